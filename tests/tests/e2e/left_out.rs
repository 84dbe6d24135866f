//! Which tests are left out somewhere, so that none is so in silence: the list is compared with the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every test with a `left_out!`, which names its places and its reason.
const LEFT_OUT: [&str; 40] = [
    "bad_input::a_folder_that_is_no_vault_is_left_alone",
    "bad_input::a_full_disk_under_the_vault_ends_a_put_and_more_room_lets_it_go_on",
    "bad_input::a_pack_that_the_disk_does_not_take_ends_a_put_that_goes_on_later",
    "bad_input::a_vault_of_an_unknown_suite_is_not_joined",
    "bad_input::a_vault_of_an_unknown_version_is_neither_read_nor_written",
    "bad_input::a_vault_that_can_t_be_written_is_read_and_says_so_to_who_writes",
    "bad_input::a_vault_that_disappears_during_a_get_and_comes_back_takes_the_same_command",
    "bad_input::a_vault_that_disappears_during_a_put_and_comes_back_takes_the_same_command",
    "counting::a_look_reads_what_it_rests_on_however_many_datasets_there_are",
    "places::a_bucket_that_can_t_be_used_is_told_with_the_reason",
    "places::a_clock_five_minutes_off_is_told_by_both_times",
    "places::a_port_that_is_taken_ends_a_server_that_says_so",
    "places::a_server_of_another_vault_is_not_taken_for_the_one_that_was_joined",
    "places::a_server_that_is_none_is_told_with_what_answered",
    "places::a_store_that_lost_create_if_absent_is_not_served_and_doctor_says_that_nothing_may_be_written",
    "places::a_vault_is_made_neither_over_another_nor_over_something_else_in_a_bucket",
    "places::a_vault_that_can_t_be_understood_is_not_served",
    "places::another_vaults_bucket_is_not_taken_for_the_one_that_was_joined",
    "places::programs_of_another_age_say_which_one_is_to_be_renewed",
    "reflection::what_is_changed_on_one_side_is_changed_on_the_other",
    "requests::a_body_that_is_too_long_is_refused_before_it_is_sent",
    "requests::a_request_is_answered_once",
    "requests::a_request_that_is_made_by_the_spec_alone_is_answered",
    "requests::a_request_that_was_changed_in_any_part_after_it_was_signed_is_refused_and_has_no_effect",
    "requests::a_request_whose_time_is_not_now_is_refused_with_the_servers_time",
    "requests::nobody_gets_more_than_is_theirs",
    "requests::paths_that_are_none_are_refused_by_name",
    "requests::what_answers_says_which_vault_it_is_without_a_signature",
    "requests::who_is_no_member_now_is_not_answered",
    "requests::who_sends_slowly_is_let_go_and_keeps_nobody_waiting",
    "servers::a_get_whose_server_dies_goes_on_through_another",
    "servers::a_put_that_was_killed_with_its_server_goes_on_in_a_later_run_through_another",
    "servers::a_put_whose_server_dies_goes_on_through_another_and_sends_nothing_twice_that_goes_straight",
    "servers::a_revoke_through_one_server_is_refused_through_the_other_from_the_next_request_on",
    "servers::a_revoke_under_load_ends_what_one_gets_and_nobody_elses_gets",
    "servers::an_upload_of_more_than_a_server_takes_is_told_before_a_byte_is_sent",
    "servers::each_death_of_a_server_that_packs_go_through_costs_at_most_one_pack",
    "servers::two_servers_give_everybody_the_same_answers",
    "servers::two_stewards_and_ten_uploaders_at_once_through_two_servers_lose_nothing",
    "tamper::a_folder_without_its_marker_or_with_another_is_no_vault_of_ours",
];

#[test]
fn the_tests_that_are_left_out_somewhere_are_these() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut function = "";
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            if let Some(rest) = line.strip_prefix("fn ") {
                function = rest.split('(').next().unwrap();
            }
            if line.starts_with("left_out!(") {
                found.insert(format!("{module}::{function}"));
            }
        }
    }
    assert_eq!(found, LEFT_OUT.map(str::to_owned).into());
}

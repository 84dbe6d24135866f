//! Which tests are left out somewhere, so that none is so in silence: the list is compared with the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every test with a `left_out!`, which names its places and its reason.
const LEFT_OUT: [&str; 6] = [
    "bad_input::a_folder_that_is_no_vault_is_left_alone",
    "bad_input::a_full_disk_under_the_vault_ends_a_put_and_more_room_lets_it_go_on",
    "bad_input::a_pack_that_the_disk_does_not_take_ends_a_put_that_goes_on_later",
    "bad_input::a_vault_that_can_t_be_written_is_read_and_says_so_to_who_writes",
    "bad_input::a_vault_that_disappears_during_a_get_and_comes_back_takes_the_same_command",
    "bad_input::a_vault_that_disappears_during_a_put_and_comes_back_takes_the_same_command",
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

//! People leave, lose keys, get new ones: who goes on, how, and what is said when nobody can.

use vault_tests::world::{World, strings};

use crate::story::{COHORT, contents, enrol, is_granted, is_sound, settle, shown, story};

const DAY: i64 = 86_400;

/// What the doctor finds, all in one.
fn findings(world: &World) -> String {
    let report = world.person("officer").ok(&["doctor"]);
    strings(&report["findings"]).into_iter().collect::<Vec<_>>().join("\n")
}

fn put(world: &World, dataset: &str, name: &str) {
    world.write(&format!("{name}/file"), name.as_bytes());
    world.person("seq").ok(&["put", dataset, name]);
}

/// A vault without a recovery card, and a dataset that its creator alone is a steward of; `readers` may read it.
fn without_recovery(readers: &[&str]) -> World {
    let world = World::new();
    for name in ["officer", "lab", "seq", "anna", "eve"] {
        let _ = world.new_person(name);
    }
    world.person("officer").ok(&["init", world.vault().to_str().unwrap(), "--officer-only"]);
    enrol(&world, "lab", &["--role", "creator"]);
    for name in ["seq", "anna", "eve"] {
        enrol(&world, name, &[]);
    }
    let lab = world.person("lab");
    lab.ok(&["dataset", "create", "solo", "--uploader", "seq"]);
    for reader in readers {
        lab.ok(&["grant", "solo", reader]);
    }
    put(&world, "solo", "old");
    world
}

#[test]
fn after_the_only_steward_has_left_the_recovery_cards_keeper_hands_the_dataset_on() {
    let world = story();
    let [officer, lab, keeper, eve] = ["officer", "lab", "keeper", "eve"].map(|name| world.person(name));
    lab.ok(&["dataset", "create", "solo", "--uploader", "seq"]);
    put(&world, "solo", "old");
    officer.ok(&["member", "retire", "lab"]);
    assert!(findings(&world).contains("keeper"), "{}", findings(&world));
    lab.gets_nothing(4, "solo");
    world.person("seq").fails(4, &["put", "solo", "old", "--replace"]);
    // Only to a steward, whom an officer names.
    keeper.fails(4, &["grant", "solo", "eve"]);
    officer.ok(&["member", "role", "eve", "steward", "--dataset", "solo"]);
    eve.fails(4, &["rotate", "solo"]);
    keeper.ok(&["grant", "solo", "eve"]);
    keeper.fails(4, &["grant", "solo", "anna"]);
    eve.ok(&["rotate", "solo"]);
    put(&world, "solo", "new");
    assert_eq!(eve.gets("solo").len(), 2);
    eve.ok(&["grant", "solo", "anna"]);
    assert_eq!(world.person("anna").gets("solo").len(), 2);
    world.person("deputy").ok(&["rotate", COHORT]);
    settle(&world, "solo");
}

#[test]
fn without_a_recovery_card_a_reader_hands_the_dataset_on() {
    let world = without_recovery(&["anna"]);
    world.person("officer").ok(&["member", "retire", "lab"]);
    assert!(findings(&world).contains("anna"), "{}", findings(&world));
    world.person("officer").ok(&["member", "role", "eve", "steward", "--dataset", "solo"]);
    world.person("anna").ok(&["grant", "solo", "eve"]);
    world.person("eve").ok(&["rotate", "solo"]);
    put(&world, "solo", "new");
    assert_eq!(world.person("eve").gets("solo").len(), 2);
    // Now that there is a steward who holds it, a reader grants nothing any more.
    world.person("anna").fails(4, &["grant", "solo", "seq"]);
    settle(&world, "solo");
}

#[test]
fn when_nobody_holds_a_dataset_any_more_the_doctor_says_so() {
    let world = without_recovery(&[]);
    world.person("officer").ok(&["member", "retire", "lab"]);
    let found = findings(&world);
    assert!(found.contains("nobody holds epoch 1 any more"), "{found}");
    world.person("officer").ok(&["member", "role", "eve", "steward", "--dataset", "solo"]);
    world.person("eve").fails(4, &["rotate", "solo"]);
    world.person("eve").gets_nothing(4, "solo");
}

#[test]
fn after_the_only_officer_is_lost_the_recovery_cards_keeper_appoints_one() {
    let world = story();
    world.person("eve").fails(4, &["member", "role", "deputy", "officer"]);
    world.person("keeper").fails(4, &["member", "role", "deputy", "creator"]);
    world.person("keeper").ok(&["member", "role", "deputy", "officer"]);
    world.person("deputy").ok(&["member", "retire", "officer"]);
    world.person("officer").fails(4, &["member", "role", "eve", "officer"]);
    world.person("deputy").ok(&["member", "role", "eve", "creator"]);
}

#[test]
fn the_last_officer_does_not_leave() {
    let world = story();
    world.person("officer").fails(4, &["member", "retire", "officer"]);
    world.person("officer").fails(4, &["member", "role", "officer", "officer", "--remove"]);
}

#[test]
fn uploads_wait_after_a_reader_has_left_until_somebody_rotates() {
    let world = story();
    let done = world.person("officer").ok(&["member", "retire", "ben", "--reason", "moved away"]);
    assert_eq!(strings(&done["datasets"]), strings(&serde_json::json!([COHORT])));
    assert_eq!(shown(&world.person("anna"), COHORT)["stale"], true);
    world.write("news/today.txt", b"waits");
    let args = ["put", COHORT, "news"];
    let said = world.person("seq").fails(4, &args);
    assert!(said.contains("seqvault rotate cohort"), "{said}");
    is_sound(&world);
    world.person("deputy").ok(&["rotate", COHORT]);
    world.person("seq").ok(&args);
    assert!(world.person("anna").gets(COHORT).contains_key("news/today.txt"));
    world.person("ben").gets_nothing(4, COHORT);
    world.person("lab").fails(4, &["grant", COHORT, "ben"]);
    is_sound(&world);
    settle(&world, COHORT);
}

#[test]
fn who_retires_itself_counts_everywhere_after_an_officers_repair() {
    let world = story();
    world.person("ben").ok(&["member", "retire", "ben"]);
    world.person("ben").gets_nothing(4, COHORT);
    world.person("officer").ok(&["doctor", "--repair"]);
    assert_eq!(shown(&world.person("anna"), COHORT)["stale"], true);
    world.person("lab").ok(&["rotate", COHORT]);
    settle(&world, COHORT);
}

#[test]
fn a_member_reads_with_every_card_that_was_granted_and_with_no_retired_one() {
    let world = story();
    let (anna, lab) = (world.person("anna"), world.person("lab"));
    let desk = anna.with_identity("anna-desk");
    anna.make_identity("anna-desk");
    anna.ok(&["member", "add-key", "anna", "--card", "anna-desk.card"]);
    // A card that nothing was sealed to yet.
    let said = desk.gets_nothing(4, COHORT);
    assert!(said.contains("seqvault grant cohort anna"), "{said}");
    let done = lab.ok(&["grant", COHORT, "anna"]);
    assert_eq!(done["cards"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(anna.gets(COHORT), contents());
    assert_eq!(desk.gets(COHORT), contents());
    lab.ok(&["rotate", COHORT]);
    assert_eq!(desk.gets(COHORT), contents());
    // The laptop is lost.
    let laptop = anna.ok(&["identity", "show"])["card"].as_str().unwrap().to_owned();
    desk.ok(&["member", "retire", "anna", "--card", &laptop[..12], "--reason", "lost"]);
    anna.gets_nothing(4, COHORT);
    assert_eq!(desk.gets(COHORT), contents());
    assert_eq!(shown(&lab, COHORT)["stale"], true);
    lab.ok(&["rotate", COHORT]);
    put(&world, COHORT, "new");
    assert_eq!(desk.gets(COHORT).len(), contents().len() + 1);
    anna.gets_nothing(4, COHORT);
    settle(&world, COHORT);
}

#[test]
fn a_stewards_new_card_rotates_after_another_steward_has_granted_to_it() {
    let world = story();
    let lab = world.person("lab");
    let old = lab.ok(&["identity", "show"])["card"].as_str().unwrap().to_owned();
    lab.make_identity("lab-new");
    world.person("officer").ok(&["member", "replace-key", "lab", "--old", &old, "--card", "lab-new.card"]);
    let lab = lab.with_identity("lab-new");
    lab.fails(4, &["rotate", COHORT]);
    world.person("deputy").ok(&["grant", COHORT, "lab"]);
    lab.ok(&["rotate", COHORT]);
    assert_eq!(lab.gets(COHORT), contents());
    settle(&world, COHORT);
}

#[test]
fn a_grant_ends_by_itself_at_its_date() {
    let world = story();
    let (lab, eve) = (world.person("lab"), world.person("eve"));
    lab.fails(2, &["grant", COHORT, "eve", "--until", "2001-01-01"]);
    let tomorrow = date(DAY);
    lab.ok(&["grant", COHORT, "eve", "--until", &tomorrow]);
    assert_eq!(eve.gets(COHORT), contents());
    // The day after: by everybody's clock nothing is sealed to it any more.
    let [lab, eve, seq, officer] = ["lab", "eve", "seq", "officer"].map(|name| world.person(name).in_seconds(2 * DAY));
    let said = eve.gets_nothing(4, COHORT);
    assert!(said.contains("ended"), "{said}");
    let found = officer.ok(&["doctor"]);
    assert!(found["findings"].to_string().contains("the grant of eve has ended"), "{found}");
    world.write("news/today.txt", b"after its end");
    seq.fails(4, &["put", COHORT, "news"]);
    assert!(!is_granted(&shown(&lab, COHORT), "eve"));
    lab.ok(&["revoke", COHORT, "eve"]);
    seq.ok(&["put", COHORT, "news"]);
    eve.gets_nothing(4, COHORT);
    assert!(world.person("anna").in_seconds(2 * DAY).gets(COHORT).contains_key("news/today.txt"));
}

#[test]
fn a_view_older_than_the_vault_allows_seals_nothing_and_an_officer_renews_it() {
    let world = story();
    let later = |name: &str| world.person(name).in_seconds(31 * DAY);
    world.write("news/today.txt", b"late");
    let said = later("seq").fails(4, &["put", COHORT, "news"]);
    assert!(said.contains("doctor"), "{said}");
    later("lab").fails(4, &["grant", COHORT, "eve"]);
    // Reading, revoking and rotating are never refused for age.
    assert_eq!(later("anna").gets(COHORT), contents());
    later("lab").ok(&["revoke", COHORT, "ben"]);
    later("officer").ok(&["doctor", "--repair"]);
    later("seq").ok(&["put", COHORT, "news"]);
    later("lab").ok(&["grant", COHORT, "eve"]);
    assert!(later("eve").gets(COHORT).contains_key("news/today.txt"));
    // To a clock that is a month behind, the vault is from the future.
    let said = world.person("seq").fails(4, &["put", COHORT, "late", "--replace"]);
    assert!(said.contains("clock"), "{said}");
}

/// A day that many seconds from now, as `--until` takes it.
fn date(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (mut day, mut year) = (now.saturating_add_signed(seconds) / 86_400, 1970);
    let length = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = if length(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", day + 1)
}

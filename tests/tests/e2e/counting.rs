//! Grants that are counted, and what others do meanwhile: each is decided on what is there when it is signed, and reads no more than it rests on.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use vault_core::ids::{Digest, LedgerId, MemberId};
use vault_core::ledger::statement::{Body, Entry, Reserved, Said, Statement};
use vault_keys::custodian::Custodian;
use vault_tests::left_out;
use vault_tests::world::{Person, strings};

use crate::gate::{GRANT, Gated, approved, foreign};
use crate::mallory::{custodian, entries, next_statement, write_signed};
use crate::story::{COHORT, story};

const RUN: &str = "run-42";
const OTHER: &str = "run-43";
const REFUSED: i32 = 4;

/// A party abroad, and two datasets of so many persons.
fn abroad(persons: u32) -> Gated {
    let facts = approved().replace("count = 100", &format!("count = {persons}"));
    let gated = Gated::of(&facts, &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.lab.ok(&["dataset", "create", OTHER, "--facts", "run.toml"]);
    gated.officer.ok(&["member", "role", "dora", "approver", "--dataset", OTHER]);
    gated
}

fn propose(gated: &Gated, dataset: &str, facts: &str) {
    gated.lab.ok(&["propose", dataset, "anna", "--facts", facts]);
    gated.dora.ok(&["approve", dataset, "--terms", &format!("{dataset}-anna.terms.json")]);
}

fn terms(dataset: &str) -> [String; 5] {
    ["grant", dataset, "anna", "--terms", &format!("{dataset}-anna.terms.json")].map(str::to_owned)
}

#[test]
fn a_grant_that_lands_while_consent_is_withdrawn_is_suspended_too() {
    let world = story();
    let args = ["withdraw", COHORT, "--reason", "consent withdrawn"];
    let mut withdraws = world.person("lab").start_paused("append:1", &args);
    assert!(withdraws.is_paused());
    world.person("deputy").ok(&["grant", COHORT, "eve"]);
    let done = withdraws.finish().ok();
    assert_eq!(strings(&done["suspended"]), ["anna", "ben", "eve"].map(str::to_owned).into());
    world.person("eve").gets_nothing(REFUSED, COHORT);
    let status = world.person("lab").ok(&["withdraw", COHORT, "--status"]);
    assert_eq!(status[0]["members"].as_array().unwrap().len(), 3, "{status}");
    // Who was named is who is suspended.
    let mut withdraws =
        story_again(&world).start_paused("append:1", &["withdraw", COHORT, "anna", "--reason", "purpose reached"]);
    assert!(withdraws.is_paused());
    world.person("deputy").ok(&["grant", COHORT, "ben"]);
    assert_eq!(strings(&withdraws.finish().ok()["suspended"]), ["anna".to_owned()].into());
}

/// The same vault, in which anna may read again.
fn story_again(world: &vault_tests::world::World) -> Person {
    world.person("deputy").ok(&["grant", COHORT, "anna"]);
    world.person("lab")
}

#[test]
fn a_grant_whose_ground_moves_is_decided_again() {
    // Of level 1, for which the rules ask for no second person: an approval would end with whatever it was given for.
    let gated = Gated::domestic();
    gated.lab.ok(&["dataset", "amend", RUN, "--level", "1", "--why", "for everybody"]);
    gated.dora.ok(&["dataset", "confirm", RUN]);
    let args = ["grant", RUN, "anna", "--facts", "grant.toml"];
    let amends = |from: &str, to: &str| {
        gated.rewrite("anna.toml", from, to);
        gated.officer.ok(&["member", "amend", "anna", "--facts", "anna.toml"]);
    };
    // What changes says nothing against it: it is decided on what is there now, and lands.
    let mut grants = gated.lab.start_paused("append:1", &args);
    assert!(grants.is_paused(), "it was decided and signed");
    amends("votes = 0", "votes = 10");
    let done = grants.finish().ok();
    assert_eq!(done["decision"]["outcome"], "allow");
    gated.officer.ok(&["verify"]);
    // What changes is a reason against it: nothing is sealed, and it is said which rule stands in the way.
    gated.lab.ok(&["revoke", RUN, "anna", "--reason", "again"]);
    let mut grants = gated.lab.start_paused("append:1", &args);
    assert!(grants.is_paused());
    amends("declared = \"no\"", "declared = \"yes\"");
    let before = gated.world.objects().keys().filter(|name| name.starts_with("epochs/")).count();
    let said = grants.finish().fails(REFUSED);
    assert!(said.contains("blocked") && said.contains("rule(s) stand in the way"), "{said}");
    let after = gated.world.objects().keys().filter(|name| name.starts_with("epochs/")).count();
    assert_eq!(after + 1, before, "the seal that was written is taken back");
    gated.anna.gets_nothing(REFUSED, RUN);
    gated.officer.ok(&["verify"]);
}

#[test]
fn a_change_of_what_an_approval_was_given_for_ends_a_grant_on_its_way() {
    let gated = Gated::domestic();
    propose(&gated, RUN, "grant.toml");
    let mut grants = gated.lab.start_paused("append:1", &terms(RUN));
    assert!(grants.is_paused());
    gated.rewrite("anna.toml", "votes = 0", "votes = 10");
    gated.officer.ok(&["member", "amend", "anna", "--facts", "anna.toml"]);
    let said = grants.finish().fails(REFUSED);
    assert!(said.contains("changed since the proposal"), "{said}");
    gated.officer.ok(&["verify"]);
}

#[test]
fn an_approval_ends_with_the_level_it_was_given_at() {
    let gated = Gated::of(&approved().replace("health_level = 3", "health_level = 4"), &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    // One of two approvals is there; at level 3 one would do.
    propose(&gated, RUN, "grant.toml");
    let said = gated.lab.fails(REFUSED, &terms(RUN));
    assert!(said.contains("1 of 2 approvals"), "{said}");
    gated.lab.ok(&["dataset", "amend", RUN, "--level", "3", "--why", "lower"]);
    gated.eric.ok(&["dataset", "confirm", RUN]);
    let said = gated.lab.fails(REFUSED, &terms(RUN));
    assert!(said.contains("facts or level") && said.contains("does not hold any more"), "{said}");
    assert_eq!(gated.lab.ok(&["waiting"])[0]["outdated"], true);
    assert!(
        gated.eric.fails(REFUSED, &["approve", RUN, "--terms", "run-42-anna.terms.json"]).contains("propose it anew")
    );
    fs::remove_file(gated.world.path("run-42-anna.terms.json")).unwrap();
    propose(&gated, RUN, "grant.toml");
    gated.lab.ok(&terms(RUN));
}

#[test]
fn who_reserved_first_is_not_held_to_what_is_counted_on_top() {
    let gated = abroad(300);
    // The second is reviewed, and may pass the 500; the first may not.
    let reviewed = GRANT
        .replace("tool = \"none\"", "tool = \"standard_contract\"")
        .replace("review_statement = \"none\"", &format!("review_statement = \"{}\"", "11".repeat(32)));
    gated.world.write("reviewed.toml", reviewed.as_bytes());
    propose(&gated, RUN, "grant.toml");
    propose(&gated, OTHER, "reviewed.toml");
    let mut first = gated.lab.start_paused("append:2", &terms(RUN));
    assert!(first.is_paused(), "300 are reserved for the recipient, and none for the year");
    gated.lab.ok(&terms(OTHER));
    let done = first.finish().ok();
    assert_eq!(done["decision"]["outcome"], "allow");
    gated.officer.ok(&["verify"]);
    // Whoever comes now counts on top of both.
    gated.lab.ok(&["revoke", RUN, "anna", "--reason", "again"]);
    let said = gated.lab.fails(REFUSED, &["grant", RUN, "anna", "--facts", "grant.toml"]);
    assert!(said.contains("blocked"), "{said}");
}

#[test]
fn a_party_at_home_is_counted_and_exports_nobody() {
    let here = foreign()
        .replace("jurisdiction = \"DE\"", "jurisdiction = \"CN\"")
        .replace("country = \"DE\"", "country = \"CN\"");
    let gated = Gated::of(&approved(), &here, &[]);
    let ledgers = || {
        let names = gated.world.objects().into_keys().filter(|name| name.starts_with("ledger/exposure/"));
        names.map(|name| name.split('/').nth(2).unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let done = gated.granted();
    assert_eq!(
        (done["decision"]["counted"].as_bool(), done["decision"]["exported"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!(ledgers().len(), 1);
    gated.rewrite("run.toml", "count = 100", "count = 200");
    let done = gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "a hundred more"]);
    assert_eq!((strings(&done["counted_anew"]), strings(&done["suspended"])), (["anna".to_owned()].into(), [].into()));
    assert_eq!(ledgers().len(), 1, "nobody was exported");
    gated.officer.ok(&["verify"]);
}

#[test]
fn exports_are_counted_by_whoever_acts_for_the_controller() {
    let gated = abroad(100);
    propose(&gated, RUN, "grant.toml");
    gated.rewrite("lab.toml", "id = \"C-1\"", "id = \"C-2\"");
    gated.officer.ok(&["member", "amend", "lab", "--facts", "lab.toml"]);
    let said = gated.lab.fails(REFUSED, &terms(RUN));
    assert!(said.contains("lab is not enrolled as the dataset's controller"), "{said}");
    assert!(gated.lab.ok(&["dataset", "show", RUN])["grants"].get("anna").is_none());
    gated.rewrite("lab.toml", "id = \"C-2\"", "id = \"C-1\"");
    gated.officer.ok(&["member", "amend", "lab", "--facts", "lab.toml"]);
    gated.lab.ok(&terms(RUN));
    gated.officer.ok(&["verify"]);
}

/// What a command reads of ledgers, line by line.
fn calls(person: &Person, args: &[&str]) -> Vec<String> {
    let file = person.state().with_extension("calls");
    let _ = fs::remove_file(&file);
    let output = person.command(args).env("SEQVAULT_TEST_CALLS", &file).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn said(stored: &[u8]) -> Statement {
    match Entry::parse(stored).unwrap().said {
        Said::Known(statement) => *statement,
        Said::Unknown { .. } => panic!("of a newer format"),
    }
}

/// More datasets, and exposure ledgers of others in which each of them is counted: none of it concerns who looks at another.
fn grows(gated: &Gated, datasets: std::ops::Range<usize>) {
    let (folder, lab) = (gated.world.vault(), custodian(&gated.lab));
    let author: MemberId = "lab".parse().unwrap();
    let created = said(&entries(&folder, &format!("dataset/{RUN}"))[0]);
    for n in datasets {
        let dataset = format!("more-{n:04}");
        let ledger: LedgerId = format!("dataset/{dataset}").parse().unwrap();
        let stored = Statement { ledger, ..created.clone() }.sign(|pae| lab.sign(pae)).unwrap();
        let path = folder.join(format!("ledger/dataset/{dataset}"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("0000000000"), stored).unwrap();
        // A hundred to a ledger.
        let ledger = LedgerId::Exposure(Digest([u8::try_from(n / 100).unwrap(); 32]));
        fs::create_dir_all(folder.join(format!("ledger/{ledger}"))).unwrap();
        let total = (n % 100 + 1) as u64;
        let body =
            Reserved { added: 1, dataset: dataset.parse().unwrap(), member: author.clone(), subjects: None, total };
        write_signed(&folder, &lab, &next_statement(&folder, &author, lab.card(), ledger, Body::Reserved(body)));
    }
}

/// A thousand datasets and ten exposure ledgers of others cost a look nothing.
#[test]
fn a_look_reads_what_it_rests_on_however_many_datasets_there_are() {
    left_out!(|place| place.is_bucket(), "a thousand ledgers are laid into a folder by hand");
    let gated = abroad(100);
    propose(&gated, RUN, "grant.toml");
    let counts = |gated: &Gated| {
        let looks: [(&Person, &[&str]); 5] = [
            (&gated.lab, &["ls", RUN]),
            (&gated.lab, &["dataset", "show", RUN]),
            (&gated.lab, &["decide", RUN, "anna", "--facts", "grant.toml"]),
            (&gated.lab, &["grant", RUN, "anna", "--terms", "run-42-anna.terms.json", "--dry-run"]),
            (&gated.lab, &["put", RUN, "run"]),
        ];
        looks.map(|(person, args)| calls(person, args))
    };
    grows(&gated, 0..10);
    let few = counts(&gated);
    grows(&gated, 10..1_000);
    let many = counts(&gated);
    let numbers = |all: &[Vec<String>; 5]| all.each_ref().map(Vec::len);
    eprintln!("ledgers listed and read, with 10 and 1,000 datasets more: {:?} {:?}", numbers(&few), numbers(&many));
    assert_eq!(few, many);
    // Who decides nothing reads the two ledgers that it looks at, and asks for no list.
    for read in &few[..2] {
        let about = |line: &&String| line.contains("exposure/") || line.starts_with("first") || *line == "list";
        assert_eq!(read.iter().filter(about).count(), 0, "{read:?}");
    }
    assert!(few[2].iter().filter(|line| line.contains("exposure/")).count() >= 2, "{:?}", few[2]);
    // The grant itself: what it reserves is read again, and no more.
    let granted = calls(&gated.lab, &["grant", RUN, "anna", "--terms", "run-42-anna.terms.json"]);
    let exposures: BTreeSet<&str> = granted.iter().filter_map(|line| line.strip_prefix("entries exposure/")).collect();
    assert_eq!(exposures.len(), 2, "{granted:?}");
    assert!(granted.iter().all(|line| !line.contains("more-")), "{granted:?}");
    assert!(granted.len() < 60, "{}: {granted:?}", granted.len());
    // Afterwards its dataset cites one of them.
    let shown = calls(&gated.lab, &["ls", RUN]);
    assert_eq!(shown.iter().filter(|line| line.contains("exposure/")).count(), 1, "{shown:?}");
    // The vault ledger is read as it is opened, and once behind the last ledger that has to be older, whether that is the dataset's own or one that it
    // cites.
    for read in [&few[0], &few[1], &shown] {
        let of_vault: Vec<usize> =
            (0..).zip(read.iter()).filter(|(_, line)| *line == "entries vault").map(|(at, _)| at).collect();
        assert_eq!(of_vault, [0, read.len() - 1], "{read:?}");
    }
    let _: Value = gated.officer.ok(&["decide", OTHER, "anna", "--facts", "grant.toml"]);
}

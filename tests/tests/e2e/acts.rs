//! Every act that the genesis or the rules may want second signatures for, done by hand: proposed, approved, carried out. And persons who
//! are counted for a grant that never was.

use serde_json::Value;
use vault_core::ids::{EntryHash, LedgerId};
use vault_core::ledger::statement::{Body, Role, RoleSet};
use vault_keys::custodian::Custodian;
use vault_tests::world::{Fault, Person, World, strings};

use crate::deletion::two_persons;
use crate::gate::{GRANT, Gated, approved, foreign};
use crate::mallory::{custodian, next_statement, write_signed};
use crate::story::COHORT;

const REFUSED: i32 = 4;

fn approve(person: &Person, terms: &str) -> Value {
    person.ok(&["approve", "--terms", terms])
}

#[test]
fn a_card_in_a_members_name_takes_another_officers_approval() {
    let world = two_persons();
    let [officer, second, anna] = ["officer", "second", "anna"].map(|name| world.person(name));
    let _ = world.new_person("desktop");
    let said = officer.fails(REFUSED, &["member", "add-key", "anna", "--card", "desktop.card"]);
    assert!(said.contains("1 approval(s) are needed") && said.contains("propose member add-key anna"), "{said}");
    let dry = officer.ok(&["member", "add-key", "anna", "--card", "desktop.card", "--dry-run"]);
    assert_eq!((&dry["entry"], &dry["approvals"]), (&Value::Null, &1.into()));
    assert_eq!(officer.ok(&["member", "show", "anna"])["cards"], 1);
    // A dry run says what the ledger would refuse.
    let dry = |who: &Person, member: &str, card: &str| {
        who.fails(REFUSED, &["member", "add-key", member, "--card", card, "--dry-run"])
    };
    assert!(dry(&officer, "anna", "anna.card").contains("known already"));
    assert!(dry(&anna, "second", "desktop.card").contains("not an officer"));
    assert!(dry(&officer, "nobody", "desktop.card").contains("the member is not current"));
    let made = ["identity", "new", "classic", "--suite", "1", "--kdf-memory", "8", "--kdf-passes", "1", "--quiet"];
    officer.ok(&made);
    world.write("classic.card", &officer.run(&["identity", "card", "--identity", "classic"]).bytes());
    assert!(dry(&officer, "anna", "classic.card").contains("another suite"));
    let proposed = officer.ok(&["propose", "member", "add-key", "anna", "--card", "desktop.card"]);
    assert_eq!((&proposed["act"], &proposed["member"]), (&"card-added".into(), &"anna".into()));
    assert_eq!(strings(&proposed["may_approve"]), ["second".to_owned()].into());
    let terms = "anna-card.terms.json";
    assert!(anna.fails(REFUSED, &["approve", "--terms", terms]).contains("no officer"));
    assert!(officer.fails(REFUSED, &["approve", "--terms", terms]).contains("proposed it"));
    let act = ["member", "add-key", "anna", "--terms", terms];
    assert!(officer.fails(REFUSED, &act).contains("0 of 1 approvals"));
    let waiting = second.ok(&["waiting", "--mine"]);
    assert_eq!((&waiting[0]["ledger"], &waiting[0]["act"]), (&"vault".into(), &"card-added".into()));
    let done = second.run(&["approve", "--quiet", "--terms", terms]);
    assert!(done.code == Some(0) && done.stderr.contains("compare the fingerprint with anna"), "{}", done.stderr);
    officer.ok(&act);
    assert_eq!(officer.ok(&["member", "show", "anna"])["cards"], 2);
    officer.fails(REFUSED, &act);
    // The member itself needs nobody.
    let _ = world.new_person("tablet");
    let own = ["member", "add-key", "anna", "--card", "tablet.card"];
    let dry = anna.run(&[&own[..], &["--dry-run"]].concat());
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(dry.code == Some(0) && !said.contains("approval"), "{said}");
    anna.ok(&own);
    assert_eq!(officer.ok(&["verify"])["sound"], true);
}

#[test]
fn a_recovery_takes_another_officers_approval() {
    let world = two_persons();
    let lab = world.person("lab");
    // The dataset's ledger goes back to an older copy, as after a restore.
    let log = lab.ok(&["log", "run-1"]);
    let entries = log.as_array().unwrap();
    let last = entries[entries.len() - 2].clone();
    let (seq, hash) = (last["seq"].to_string(), last["hash"].as_str().unwrap().to_owned());
    let _ = world.save_vault("before");
    lab.ok(&["dataset", "amend", "run-1", "--level", "4", "--why", "regraded"]);
    world.restore_vault("before");
    // Behind a server it is one that was started on what was restored.
    let world = world.copy();
    let [officer, second, lab] = ["officer", "second", "lab"].map(|name| world.person(name));
    lab.fails(5, &["ls", "run-1"]);
    let log = second.ok(&["log", "run-1"]);
    let end = log.as_array().unwrap().last().unwrap().clone();
    let (end_seq, end_hash) = (end["seq"].to_string(), end["hash"].as_str().unwrap().to_owned());
    let what = ["dataset/run-1", &end_seq, "--hash", &end_hash[..20], "--cut"];
    let said = second.fails(REFUSED, &[&["recover"][..], &what].concat());
    assert!(said.contains("1 approval(s) are needed") && said.contains("propose recover dataset/run-1"), "{said}");
    // What was looked at is what is named.
    second.fails(REFUSED, &["recover", "dataset/run-1", &seq, "--hash", &end_hash]);
    second.fails(2, &["recover", "dataset/run-1", &seq, "--hash", &hash[..8]]);
    second.fails(3, &["recover", "dataset/run-1", "999", "--hash", &hash]);
    // What would settle nothing, or hide what is there.
    let said = second.fails(REFUSED, &["propose", "recover", "dataset/run-1", &seq, "--hash", &hash, "--cut"]);
    assert!(said.contains("is not the last one") && said.contains(&end_hash), "{said}");
    let of_vault = second.ok(&["log"]);
    let last = of_vault.as_array().unwrap().last().unwrap().clone();
    let (vault_seq, vault_hash) = (last["seq"].to_string(), last["hash"].as_str().unwrap().to_owned());
    let said = second.fails(REFUSED, &["recover", "vault", &vault_seq, "--hash", &vault_hash, "--cut"]);
    assert!(said.contains("join INVITATION --again"), "{said}");
    assert!(second.fails(REFUSED, &["recover", "vault", &vault_seq, "--hash", &vault_hash]).contains("has no fork"));
    assert!(
        second.fails(REFUSED, &["recover", "dataset/run-1", &end_seq, "--hash", &end_hash]).contains("has no fork")
    );
    lab.fails(REFUSED, &[&["recover"][..], &what].concat());
    second.ok(&[&["propose", "recover"][..], &what].concat());
    let done = officer.run(&["approve", "--quiet", "--terms", "recover.terms.json"]);
    assert!(done.code == Some(0) && done.stderr.contains("was restored"), "{}", done.stderr);
    let done = second.ok(&[&["recover"][..], &what, &["--terms", "recover.terms.json"]].concat());
    assert_eq!((&done["action"], strings(&done["approved_by"])), (&"cut".into(), ["officer".to_owned()].into()));
    assert_eq!(lab.ok(&["ls", "run-1"]).as_array().unwrap().len(), 1);
    assert_eq!(lab.ok(&["verify", "--data"])["sound"], true);
}

#[test]
fn a_fork_of_the_vault_ledger_is_settled_by_what_its_error_says() {
    let world = crate::story::story();
    let key = custodian(&world.person("officer"));
    let body = Body::RoleSet(RoleSet { dataset: None, member: "eve".parse().unwrap(), on: true, role: Role::Auditor });
    let mut fork = next_statement(&world.vault(), &"officer".parse().unwrap(), key.card(), LedgerId::Vault, body);
    fork.prev = Some(EntryHash([7; 32]));
    write_signed(&world.vault(), &key, &fork);
    let [anna, officer] = ["anna", "officer"].map(|name| world.person(name));
    let said = anna.fails(5, &["ls", COHORT]);
    let command = said.split("`seqvault recover ").nth(1).unwrap().split('`').next().unwrap();
    let words: Vec<&str> = ["recover"].into_iter().chain(command.split(' ')).collect();
    assert!(anna.fails(REFUSED, &words).contains("only officers"));
    assert_eq!(officer.ok(&[&words[..], &["--dry-run"]].concat())["entry"], Value::Null);
    anna.fails(5, &["ls", COHORT]);
    officer.ok(&words);
    assert_eq!(anna.ok(&["ls", COHORT]).as_array().unwrap().len(), 4);
    let report = officer.ok(&["verify", "--data"]);
    assert_eq!(report["sound"], true, "{report}");
    assert!(officer.ok(&["member", "show", "eve"])["roles"].as_array().unwrap().is_empty());
}

/// Two entries that fork, which no recovery settles: what the error says to do instead.
#[test]
fn two_forks_of_the_vault_ledger_are_moved_away_by_who_keeps_the_store() {
    let world = crate::story::story();
    let key = custodian(&world.person("officer"));
    let mut names = Vec::new();
    for _ in 0..2 {
        let body =
            Body::RoleSet(RoleSet { dataset: None, member: "eve".parse().unwrap(), on: true, role: Role::Auditor });
        let mut fork = next_statement(&world.vault(), &"officer".parse().unwrap(), key.card(), LedgerId::Vault, body);
        fork.prev = Some(EntryHash([7; 32]));
        write_signed(&world.vault(), &key, &fork);
        names.push(world.vault().join("ledger/vault").join(format!("{:010}", fork.seq)));
    }
    let [anna, officer] = ["anna", "officer"].map(|name| world.person(name));
    let said = officer.fails(5, &["ls", COHORT]);
    let command = said.split("`seqvault recover ").nth(1).unwrap().split('`').next().unwrap();
    let words: Vec<&str> = ["recover"].into_iter().chain(command.split(' ')).collect();
    assert!(officer.fails(5, &words).contains("would not settle it"));
    assert!(said.contains("moves the entries from") && said.contains("away"), "{said}");
    for name in names {
        std::fs::remove_file(name).unwrap();
    }
    let world = world.copy();
    assert_eq!(world.person(anna.name()).ok(&["ls", COHORT]).as_array().unwrap().len(), 4);
    world.person("officer").ok(&["member", "role", "eve", "auditor"]);
    assert_eq!(world.person("officer").ok(&["verify", "--data"])["sound"], true);
}

/// A foreign recipient whose grant is counted: in both ledgers.
fn counted() -> Gated {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.lab.ok(&["propose", "run-42", "anna", "--facts", "grant.toml"]);
    approve(&gated.dora, "run-42-anna.terms.json");
    gated
}

const CARRY_OUT: [&str; 5] = ["grant", "run-42", "anna", "--terms", "run-42-anna.terms.json"];

fn due(person: &Person) -> Vec<Value> {
    let due = person.ok(&["due"]);
    due.as_array().unwrap().iter().filter(|item| item["kind"] == "counted").cloned().collect()
}

#[test]
fn persons_counted_for_a_grant_that_never_was_are_taken_back() {
    let gated = counted();
    let (lab, later) = (&gated.lab, gated.lab.in_seconds(3_700));
    // Killed once both ledgers count them, before the grant.
    assert!(lab.killed(Fault::After(2), &CARRY_OUT));
    assert!(due(lab).is_empty(), "it may be under way");
    let dry = lab.ok(&["subjects", "release", "run-42", "--dry-run"]);
    assert_eq!(dry["released"].as_array().unwrap().len(), 0);
    let listed = due(&later);
    assert!(!listed.is_empty(), "{listed:?}");
    assert!(listed.iter().all(|item| item["what"].as_str().unwrap().contains("subjects release run-42")), "{listed:?}");
    // Somebody else's are nobody's to take back but an officer's.
    assert_eq!(gated.dora.ok(&["subjects", "release", "run-42", "--recent"])["persons"], 0);
    assert!(gated.dora.fails(REFUSED, &["subjects", "release", "run-42", "--others"]).contains("no officer"));
    // A deletion says that it would be too late then.
    let said = lab.run(&["dataset", "delete", "run-42", "--reason", "over", "--dry-run"]);
    assert!(said.stderr.contains("subjects release run-42"), "{}", said.stderr);
    let dry = lab.ok(&["subjects", "release", "run-42", "--recent", "--dry-run"]);
    let (n, persons) = (dry["released"].as_array().unwrap().len(), dry["persons"].as_u64().unwrap());
    assert_eq!((n, persons), (listed.len(), 100 * n as u64), "{dry}");
    let done = lab.ok(&["subjects", "release", "run-42", "--recent"]);
    assert_eq!(done["persons"], persons);
    assert!(due(&later).is_empty());
    assert_eq!(lab.ok(&["subjects", "release", "run-42", "--recent"])["persons"], 0);
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
    // The grant is made all the same, and its persons are not counted for nothing.
    let granted = lab.ok(&CARRY_OUT);
    assert!(granted["decision"]["reserve"].as_array().unwrap().iter().all(|one| one["added"] == 100), "{granted}");
    assert!(due(&later).is_empty());
    assert_eq!(lab.ok(&["subjects", "release", "run-42", "--recent"])["persons"], 0);
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
}

#[test]
fn a_release_that_was_killed_between_its_two_ledgers_is_finished() {
    let gated = counted();
    assert!(gated.lab.killed(Fault::After(2), &CARRY_OUT));
    let release = ["subjects", "release", "run-42", "--recent"];
    // The cancellation is said, the count has not followed.
    assert!(gated.lab.killed(Fault::After(1), &release));
    assert!(!due(&gated.lab.in_seconds(3_700)).is_empty());
    gated.lab.ok(&release);
    assert!(due(&gated.lab.in_seconds(3_700)).is_empty());
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
}

#[test]
fn a_grant_that_was_killed_is_repeated_and_counts_nobody_twice() {
    let gated = counted();
    assert!(gated.lab.killed(Fault::After(2), &CARRY_OUT));
    let granted = gated.lab.ok(&CARRY_OUT);
    let added: Vec<_> = granted["decision"]["reserve"].as_array().unwrap().iter().map(|one| &one["added"]).collect();
    assert!(added.contains(&&Value::from(0)), "{granted}");
    // What the first try counted is what the grant rests on.
    assert!(due(&gated.lab.in_seconds(3_700)).is_empty());
    assert_eq!(gated.lab.ok(&["subjects", "release", "run-42", "--recent"])["persons"], 0);
}

#[test]
fn persons_whose_data_was_destroyed_are_counted_no_more_once_officers_agree() {
    let gated = counted();
    gated.lab.ok(&CARRY_OUT);
    let second = gated.world.new_person("second");
    crate::story::enrol(&gated.world, "second", &["--role", "officer"]);
    let propose = ["propose", "subjects", "release", "run-42", "anna"];
    assert!(gated.lab.fails(REFUSED, &propose).contains("has a grant"));
    gated.lab.ok(&["revoke", "run-42", "anna", "--reason", "over"]);
    assert!(gated.lab.fails(REFUSED, &propose).contains("has not attested"));
    gated.anna.ok(&["attest", "run-42", "--scope", "all copies"]);
    // She is counted in two ledgers: as a recipient no more, as an export of the year for good.
    gated.dora.fails(REFUSED, &propose);
    let proposed = gated.lab.ok(&propose);
    assert_eq!((&proposed["act"], &proposed["approvals"]), (&"released".into(), &1.into()));
    let terms = "run-42-anna-release.terms.json";
    let act = ["subjects", "release", "run-42", "--terms", terms];
    assert!(gated.lab.fails(REFUSED, &act).contains("0 of 1 approvals"));
    assert!(gated.dora.fails(REFUSED, &["approve", "--terms", terms]).contains("no officer"));
    assert_eq!(second.ok(&["waiting", "--mine"])[0]["act"], "released");
    let done = second.run(&["approve", "--quiet", "--terms", terms]);
    assert!(done.code == Some(0) && done.stderr.contains("100 person(s) of run-42, given to anna"), "{}", done.stderr);
    assert!(done.stderr.contains("attests to have destroyed: all copies"), "{}", done.stderr);
    let done = gated.lab.ok(&act);
    assert_eq!((&done["persons"], strings(&done["approved_by"])), (&100.into(), ["second".to_owned()].into()));
    gated.lab.fails(REFUSED, &act);
    let said = gated.lab.fails(REFUSED, &[&propose[..], &["--out", "again.json"]].concat());
    assert!(said.contains("exported"), "{said}");
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
}

#[test]
fn waiting_shows_what_the_rules_ask_for_and_who_may_approve() {
    // The genesis asks for none, the level for two, and the export for one at least.
    let facts = approved().replace("health_level = 3", "health_level = 4");
    let gated = Gated::of(&facts, &foreign(), &["--approvals", "0,0,0,0,0"]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    let proposed = gated.lab.ok(&["propose", "run-42", "anna", "--facts", "grant.toml"]);
    let waiting = gated.eric.ok(&["waiting", "--mine"]);
    assert_eq!((&waiting[0]["needed"], &waiting[0]["genesis"]), (&proposed["approvals"], &0.into()), "{waiting}");
    assert_eq!(waiting[0]["needed"], 2);
    assert_eq!(strings(&waiting[0]["may_approve"]), ["dora", "eric"].map(str::to_owned).into());
    let due = gated.lab.ok(&["due"]);
    assert!(
        due.as_array().unwrap().iter().any(|item| item["what"].as_str().unwrap().contains("0 of 2 approvals")),
        "{due}"
    );
    // The beneficiary may not, whatever role they are given.
    gated.officer.ok(&["member", "role", "anna", "approver", "--dataset", "run-42"]);
    let waiting = gated.lab.ok(&["waiting"]);
    assert_eq!(strings(&waiting[0]["may_approve"]), ["dora", "eric"].map(str::to_owned).into(), "{waiting}");
    approve(&gated.eric, "run-42-anna.terms.json");
    assert!(gated.eric.ok(&["waiting", "--mine"]).as_array().unwrap().is_empty());
    assert_eq!(gated.dora.ok(&["waiting", "--mine"])[0]["approved_by"], serde_json::json!(["eric"]));
}

#[test]
fn an_approver_who_is_described_as_the_beneficiary_is_may_approve() {
    // Nothing is said of anybody here, so the hash of what is said of anna is that of everybody.
    let world = two_persons();
    let [officer, lab, dora, anna] = ["officer", "lab", "dora", "anna"].map(|name| world.person(name));
    lab.ok(&["dataset", "create", "run-4", "--level", "4"]);
    for name in ["dora", "anna"] {
        officer.ok(&["member", "role", name, "approver", "--dataset", "run-4"]);
    }
    lab.ok(&["propose", "run-4", "anna"]);
    assert_eq!(dora.ok(&["waiting", "--mine"]).as_array().unwrap().len(), 1);
    // Whom it is for, the terms tell.
    assert!(anna.fails(REFUSED, &["approve", "--terms", "run-4-anna.terms.json"]).contains("profit"));
    approve(&dora, "run-4-anna.terms.json");
    lab.ok(&["grant", "run-4", "anna", "--terms", "run-4-anna.terms.json"]);
    assert!(lab.ok(&["waiting"]).as_array().unwrap().is_empty());
}

/// How many sealed parts somebody's machine keeps.
fn copies(person: &Person) -> usize {
    vault_tests::world::objects(&person.state()).into_keys().filter(|name| name.contains("facts/")).count()
}

#[test]
fn what_was_only_asked_or_refused_leaves_no_copy_and_sealed_answers_are_not_printed() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    let before = copies(&gated.lab);
    gated.lab.run(&["grant", "run-42", "anna", "--facts", "grant.toml", "--dry-run"]);
    gated.lab.fails(REFUSED, &["grant", "run-42", "dora", "--facts", "grant.toml"]);
    gated.lab.fails(REFUSED, &["propose", "run-42", "dora", "--facts", "grant.toml"]);
    gated.rewrite("run.toml", "collector = \"Example Lab\"", "collector = \"Another Lab\"");
    let amend = ["dataset", "amend", "run-42", "--facts", "run.toml", "--why", "moved"];
    let dry = gated.lab.run(&[&amend[..], &["--dry-run", "--json"]].concat());
    assert_eq!((dry.code, copies(&gated.lab)), (Some(0), before));
    let said = format!("{}{}", String::from_utf8_lossy(&dry.stdout), dry.stderr);
    assert!(!said.contains("Example Lab") && !said.contains("Another Lab"), "{said}");
    assert!(said.contains("source.collector: (sealed) changed"), "{said}");
    let json: Value = serde_json::from_slice(&dry.stdout).unwrap();
    let change = json["changes"].as_array().unwrap().iter().find(|one| one["field"] == "source.collector").unwrap();
    assert_eq!((&change["sealed"], change.get("before"), change.get("after")), (&true.into(), None, None));
}

#[test]
fn half_a_copy_of_a_sealed_part_stops_nothing_and_is_healed() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    let lab = &gated.lab;
    gated.rewrite("run.toml", "count = 100", "count = 99");
    let amend = ["dataset", "amend", "run-42", "--facts", "run.toml", "--why", "fewer", "--save-sealed", "copy"];
    lab.ok(&amend);
    let hash = lab.ok(&["dataset", "facts", "run-42"])["sealed"].as_str().unwrap().to_owned();
    let kept = lab.state().join("facts").join(&hash);
    let whole = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(lab.ok(&["dataset", "facts", "run-42"])["whole"], false);
    assert_eq!(lab.ok(&["dataset", "facts", "run-42", "--sealed", "copy"])["whole"], true);
    assert_eq!(std::fs::read(&kept).unwrap(), whole);
    assert_eq!(lab.ok(&["dataset", "facts", "run-42"])["whole"], true);
}

/// A pack of the institute's own, and another that says something else under the same name.
fn packs(world: &World) -> (String, String) {
    let one = include_str!("../../../policy/packs/example-institute-1.toml");
    let version = one.lines().find(|line| line.starts_with("version")).unwrap();
    let other = one.replacen(version, "version = \"9\"", 1);
    assert_ne!(one, other);
    world.write("one.toml", one.as_bytes());
    world.write("own/other.toml", other.as_bytes());
    (one.to_owned(), other)
}

#[test]
fn which_pack_is_put_in_force_is_shown_and_never_guessed() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    packs(&gated.world);
    let officer = &gated.officer;
    let set = ["pack", "set", "example-institute", "--packs", "own"];
    let said = officer.fails(6, &set);
    assert!(said.contains("several packs at hand are called example-institute") && said.contains("(9)"), "{said}");
    let listed = officer.ok(&["pack", "list", "--packs", "own"]);
    let of = |version: &str| {
        let all = listed.as_array().unwrap().iter();
        let mut fits = all.filter(|one| one["name"] == "example-institute" && one["version"] == version);
        fits.next().unwrap()["hash"].as_str().unwrap().to_owned()
    };
    let hash = of("9");
    let done = officer.run(&["pack", "set", &hash[..16], "--packs", "own", "--quiet"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("example-institute 9") && done.stderr.contains(&hash), "{}", done.stderr);
    assert!(done.stderr.contains("in effect from"), "{}", done.stderr);
}

#[test]
fn half_a_copy_of_a_pack_stops_nothing_and_is_healed() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    packs(&gated.world);
    let officer = &gated.officer;
    let set = officer.ok(&["pack", "set", "own/other.toml"]);
    let kept = officer.state().join("packs").join(format!("{}.toml", set["hash"].as_str().unwrap()));
    let whole = std::fs::read(&kept).unwrap();
    assert_eq!(whole, std::fs::read(gated.world.path("own/other.toml")).unwrap());
    std::fs::write(&kept, &whole[..whole.len() / 2]).unwrap();
    let done = officer.run(&["pack", "list"]);
    assert!(done.code == Some(0) && done.stderr.contains("is left out"), "{}", done.stderr);
    officer.ok(&["pack", "unset", "example-institute"]);
    officer.ok(&["pack", "set", "own/other.toml"]);
    assert_eq!(std::fs::read(&kept).unwrap(), whole);
}

/// The store fails before it has the proposal or the act, or after: the file stays, and the same commands finish it.
#[test]
fn terms_stay_when_the_store_fails_and_the_act_is_done_with_them() {
    const STORAGE: i32 = 8;
    let of = two_persons();
    let terms = "run-1-delete.terms.json";
    let propose = ["propose", "dataset", "delete", "run-1", "--reason", "over"];
    let act = ["dataset", "delete", "run-1", "--confirm", "run-1", "--terms", terms];
    for fault in [Fault::Before(1), Fault::After(1)] {
        let world = of.copy();
        let [lab, dora] = ["lab", "dora"].map(|name| world.person(name));
        let said = lab.disturbed(fault, &propose).fails(STORAGE);
        assert!(said.contains("may have been proposed all the same") && said.contains(terms), "{fault:?}: {said}");
        let kept = std::fs::read(world.path(terms)).unwrap();
        let waits = lab.ok(&["waiting"]).as_array().unwrap().len();
        assert_eq!(waits, usize::from(matches!(fault, Fault::After(_))), "{fault:?}");
        if waits == 0 {
            // As it was told to: the file that nothing waits for goes, and it is proposed again.
            lab.fails(6, &propose);
            std::fs::remove_file(world.path(terms)).unwrap();
            lab.ok(&propose);
            assert_eq!(std::fs::read(world.path(terms)).unwrap(), kept);
        }
        // An approval that may not have landed is given again, or was.
        dora.disturbed(fault, &["approve", "--terms", terms]).fails(STORAGE);
        match fault {
            Fault::Before(_) => drop(dora.ok(&["approve", "--terms", terms])),
            Fault::After(_) => {
                assert!(dora.fails(REFUSED, &["approve", "--terms", terms]).contains("approved it already"));
            }
        }
        lab.disturbed(fault, &act).fails(STORAGE);
        assert_eq!(std::fs::read(world.path(terms)).unwrap(), kept, "{fault:?}");
        let is_said = lab.ok(&["dataset", "show", "run-1"])["deleted"] == true;
        assert_eq!(is_said, matches!(fault, Fault::After(_)));
        lab.ok(&act);
        let held = |name: &String| ["packs/run-1/", "epochs/run-1/"].iter().any(|start| name.starts_with(start));
        assert!(!world.objects().keys().any(held), "{fault:?}");
        assert_eq!(lab.ok(&["verify", "--data"])["sound"], true);
    }
}

#[test]
fn a_refusal_at_the_append_is_said_in_the_readers_language() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    // A recovery card of another party would be a share without a decision.
    let create = ["dataset", "create", "run-43", "--facts", "run.toml", "--recovery", "anna.card"];
    let said = gated.lab.fails(REFUSED, &create);
    assert!(said.contains("not of the dataset's controller"), "{said}");
    let said = gated.lab.fails(REFUSED, &[&create[..], &["--lang", "zh"]].concat());
    assert!(said.contains("不属于数据集的控制者") && !said.contains("controller"), "{said}");
}

#[test]
fn a_creation_that_was_killed_saves_the_sealed_part_that_its_statement_names() {
    fn create(copy: &str) -> [&str; 9] {
        ["dataset", "create", "run-9", "--facts", "run.toml", "--uploader", "dora", "--save-sealed", copy]
    }
    let gated = Gated::of(&approved(), &foreign(), &[]);
    let mut killed = false;
    for n in 1..9 {
        let name = format!("copy-{n}");
        if !gated.lab.killed(Fault::After(n), &create(&name)) {
            break;
        }
        if gated.lab.run(&["dataset", "show", "run-9"]).code == Some(0) {
            killed = true;
            gated.rewrite("run.toml", "collector = \"Example Lab\"", "collector = \"Another Lab\"");
            let done = gated.lab.run(&create("copy"));
            assert!(done.code == Some(0) && done.stderr.contains("other sealed answers"), "{}", done.stderr);
            let shown = gated.lab.ok(&["dataset", "facts", "run-9", "--sealed", "copy"]);
            assert_eq!(shown["facts"]["source.collector"]["answer"], "Example Lab");
            break;
        }
    }
    assert!(killed, "it was never killed between the dataset and its uploader");
}

#[test]
fn what_lies_where_marks_are_kept_is_read_back() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    gated.world.write("ids.txt", b"110105194912310001\n110105194912310002\n");
    let mark = ["subjects", "mark", "run-42", "--ids", "ids.txt"];
    let hash = gated.lab.ok(&mark)["marks"].as_str().unwrap().to_owned();
    assert_eq!(gated.lab.ok(&mark)["marks"], hash.as_str());
    let place = gated.world.vault().join("kept/run-42").join(&hash);
    let whole = std::fs::read(&place).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(&place, &other).unwrap();
    gated.lab.fails(5, &mark);
    std::fs::write(&place, &whole).unwrap();
    gated.lab.ok(&mark);
}

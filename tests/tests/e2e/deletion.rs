//! The end of a dataset: the statement, then what it allows; what stays, and what every command says of it afterwards.

use serde_json::Value;
use vault_tests::world::{Fault, Person, World, objects, strings};

use crate::gate::{GRANT, Gated, approved, foreign};
use crate::story::{COHORT, enrol, shown, story};

const REFUSED: i32 = 4;
const DELETE: [&str; 7] = ["dataset", "delete", COHORT, "--reason", "retention is over", "--confirm", COHORT];

/// What the store holds of a dataset besides its ledger and derived markers.
fn held(world: &World, dataset: &str) -> Vec<String> {
    let of = |name: &String| {
        ["epochs", "kept", "manifests", "packs"].iter().any(|kind| name.starts_with(&format!("{kind}/{dataset}/")))
    };
    world.objects().into_keys().filter(of).collect()
}

/// The state of a vault whose cohort was deleted, whoever looks.
#[track_caller]
fn is_gone(world: &World) {
    assert_eq!(held(world, COHORT), Vec::<String>::new());
    let officer = world.person("officer");
    for name in ["lab", "anna", "seq", "officer"] {
        let person = world.person(name);
        for args in
            [&["ls", COHORT][..], &["cat", COHORT, "late/notes.txt"], &["rotate", COHORT], &["rm", COHORT, "run"]]
        {
            let said = person.fails(REFUSED, args);
            assert!(said.contains("was deleted by lab at ") && said.contains("retention is over"), "{args:?}: {said}");
            assert!(said.contains("seqvault log"), "{said}");
        }
        person.gets_nothing(REFUSED, COHORT);
    }
    assert!(world.person("seq").fails(REFUSED, &["put", COHORT, "late"]).contains("was deleted by lab"));
    assert!(world.person("anna").fails(REFUSED, &["ls", COHORT, "--lang", "zh"]).contains("数据集 cohort 已由 lab 于"));
    assert!(world.person("lab").fails(REFUSED, &["grant", COHORT, "eve"]).contains("was deleted by lab"));
    assert!(world.person("lab").fails(REFUSED, &["dataset", "create", COHORT]).contains("was deleted by lab"));
    let shown = shown(&officer, COHORT);
    assert_eq!((&shown["deleted"], &shown["deletion"]["author"]), (&Value::from(true), &Value::from("lab")));
    assert_eq!(shown["deletion"]["reason"], "retention is over");
    let listed = officer.ok(&["dataset", "list"]);
    let one = listed.as_array().unwrap().iter().find(|one| one["dataset"] == COHORT).unwrap();
    assert_eq!((&one["deleted"], &one["files"], &one["grants"]), (&true.into(), &0.into(), &0.into()));
    let log = officer.ok(&["log", COHORT]);
    assert!(log.as_array().unwrap().iter().any(|entry| entry["kind"] == "dataset-deleted"), "{log}");
    assert_eq!(officer.ok(&["verify", "--data"])["sound"], true);
    let doctor = officer.ok(&["doctor"]);
    let of_it = |finding: &String| finding.contains(COHORT);
    assert!(!strings(&doctor["findings"]).iter().any(of_it), "{doctor}");
    assert!(officer.ok(&["due"]).as_array().unwrap().iter().all(|item| item["dataset"] != COHORT));
}

#[test]
fn a_deleted_dataset_holds_nothing_and_says_by_whom_and_when() {
    let world = story();
    let lab = world.person("lab");
    assert!(held(&world, COHORT).len() > 10);
    // Who may not, and without the id once more.
    assert!(world.person("anna").fails(REFUSED, &DELETE).contains("only stewards delete"));
    assert!(world.person("officer").fails(REFUSED, &DELETE).contains("only stewards delete"));
    let said = lab.fails(2, &DELETE[..5]);
    assert!(said.contains("--confirm cohort") && said.contains("4 files in 2 manifests"), "{said}");
    assert!(lab.fails(2, &[&DELETE[..6], &["cohort-2"]].concat()).contains("that is not cohort"));
    let before = held(&world, COHORT);
    let dry = lab.ok(&[&DELETE[..], &["--dry-run"]].concat());
    assert_eq!((&dry["entry"], &dry["files"]), (&Value::Null, &Value::from(4)));
    assert_eq!(held(&world, COHORT), before);
    let done = lab.ok(&DELETE);
    assert_eq!((&done["deleted_by"], &done["reason"]), (&Value::from("lab"), &Value::from("retention is over")));
    assert_eq!(done["objects"], before.len());
    assert!(strings(&done["readers"]).contains("anna"));
    is_gone(&world);
    // Again, by another steward or an officer: there is nothing left to do; and nobody else is told to.
    for who in ["deputy", "officer"] {
        assert_eq!(world.person(who).ok(&["dataset", "delete", COHORT])["objects"], 0);
    }
    world.person("anna").fails(REFUSED, &["dataset", "delete", COHORT]);
    // What a recipient did with its copies can still be said; nothing else.
    world.person("anna").ok(&["attest", COHORT, "--scope", "all copies"]);
    assert_eq!(shown(&lab, COHORT)["attestations"], 1);
    is_gone(&world);
}

#[test]
fn a_deletion_that_was_killed_is_finished_by_the_same_command_or_by_the_doctor() {
    let of = story();
    for n in 1..10 {
        for fault in [Fault::Before(n), Fault::After(n)] {
            let world = of.copy();
            if !world.person("lab").killed(fault, &DELETE) {
                // The statement, and what it allows.
                assert_eq!(n, 3, "more calls than were known");
                return;
            }
            eprintln!("killed {fault:?}");
            let is_said = shown(&world.person("officer"), COHORT)["deleted"] == true;
            assert_eq!(is_said, !matches!(fault, Fault::Before(1)));
            match fault {
                Fault::Before(1) => drop(world.person("lab").ok(&DELETE)),
                Fault::Before(_) => {
                    assert!(!held(&world, COHORT).is_empty());
                    let found = world.person("officer").ok(&["doctor"]);
                    assert!(
                        strings(&found["findings"]).iter().any(|f| f.contains("is deleted and still holds")),
                        "{found}"
                    );
                    if world.location() == world.vault().to_str().unwrap() {
                        let due = world.person("anna").ok(&["due", COHORT]);
                        let said = due[0]["what"].as_str().unwrap();
                        assert!(due[0]["kind"] == "deletion" && said.contains("are still kept"), "{due}");
                    }
                    world.person("officer").ok(&["doctor", "--repair"]);
                }
                Fault::After(_) => drop(world.person("deputy").ok(&["dataset", "delete", COHORT])),
            }
            is_gone(&world);
        }
    }
    panic!("it makes more calls than were known");
}

#[test]
fn a_deletion_takes_the_second_signature_that_the_genesis_asks_for() {
    let world = two_persons();
    let [lab, dora, officer] = ["lab", "dora", "officer"].map(|name| world.person(name));
    let act = ["dataset", "delete", "run-1", "--confirm", "run-1"];
    let said = lab.fails(REFUSED, &[&act[..], &["--reason", "over"]].concat());
    assert!(said.contains("1 approval(s) are needed") && said.contains("propose dataset delete run-1"), "{said}");
    let proposed = lab.ok(&["propose", "dataset", "delete", "run-1", "--reason", "over"]);
    assert_eq!((&proposed["act"], &proposed["approvals"]), (&"dataset-deleted".into(), &1.into()));
    assert_eq!(strings(&proposed["may_approve"]), ["dora".to_owned()].into());
    let terms = ["--terms", "run-1-delete.terms.json"];
    let with_terms = [&act[..], &terms].concat();
    assert!(lab.fails(REFUSED, &with_terms).contains("0 of 1 approvals"));
    let waiting = dora.ok(&["waiting", "--mine"]);
    assert_eq!((&waiting[0]["act"], &waiting[0]["needed"]), (&"dataset-deleted".into(), &1.into()));
    assert!(lab.fails(REFUSED, &[&["approve"][..], &terms].concat()).contains("no approver"));
    assert!(officer.fails(REFUSED, &[&["approve"][..], &terms].concat()).contains("no approver"));
    // What it is for is shown, whatever the options.
    let done = dora.run(&[&["approve", "--quiet"][..], &terms].concat());
    assert!(done.code == Some(0) && done.stderr.contains("to be deleted for ever: dataset/run-1"), "{}", done.stderr);
    assert!(done.stderr.contains("because: over") && done.stderr.contains("1 files in 1 manifests"), "{}", done.stderr);
    // The terms are those of this dataset and this act, and no others.
    lab.fails(REFUSED, &[&["grant", "run-1", "dora"][..], &terms].concat());
    lab.ok(&["dataset", "create", "run-2"]);
    lab.fails(REFUSED, &[&["dataset", "delete", "run-2", "--confirm", "run-2"][..], &terms].concat());
    // What came since is not what was approved.
    world.write("later/more.txt", b"more");
    lab.ok(&["put", "run-1", "later"]);
    let said = lab.fails(REFUSED, &with_terms);
    assert!(said.contains("since it was approved") && said.contains("propose the deletion anew"), "{said}");
    assert!(!held(&world, "run-1").is_empty());
    lab.ok(&["propose", "dataset", "delete", "run-1", "--reason", "over now", "--out", "again.terms.json"]);
    dora.ok(&["approve", "--terms", "again.terms.json"]);
    let done = lab.ok(&[&act[..], &["--terms", "again.terms.json"]].concat());
    assert_eq!(strings(&done["approved_by"]), ["dora".to_owned()].into());
    assert_eq!(held(&world, "run-1"), Vec::<String>::new());
    assert_eq!(officer.ok(&["verify", "--data"])["sound"], true);
    assert!(lab.ok(&["waiting"]).as_array().unwrap().is_empty());
}

/// Between the approval and the act, and between the look and the statement: what comes is either nothing that is deleted, or stops it.
#[test]
fn a_deletion_whose_dataset_goes_on_before_it_is_stated_takes_nothing_that_nobody_approved() {
    let of = two_persons();
    of.person("lab").ok(&["propose", "dataset", "delete", "run-1", "--reason", "over"]);
    of.person("dora").ok(&["approve", "--terms", "run-1-delete.terms.json"]);
    let act = ["dataset", "delete", "run-1", "--confirm", "run-1", "--terms", "run-1-delete.terms.json"];
    // The head has moved on since, and all that would be deleted was there.
    of.person("lab").ok(&["member", "role", "anna", "uploader", "--dataset", "run-1"]);
    let world = of.copy();
    let mut running = world.person("lab").start_paused("append:1", &act);
    assert!(running.is_paused());
    world.person("lab").ok(&["member", "role", "anna", "uploader", "--dataset", "run-1", "--remove"]);
    let done = running.finish().ok();
    assert_eq!(strings(&done["approved_by"]), ["dora".to_owned()].into());
    assert_eq!(held(&world, "run-1"), Vec::<String>::new());
    assert_eq!(world.person("officer").ok(&["verify"])["sound"], true);
    // Something was committed after it was shown, and before it was said.
    let world = of.copy();
    let lab = world.person("lab");
    let mut running = lab.start_paused("append:1", &act);
    assert!(running.is_paused());
    world.write("later/more.txt", b"more");
    world.person("anna").ok(&["put", "run-1", "later"]);
    let said = running.finish().fails(6);
    assert!(
        said.contains("changed meanwhile, and was not deleted") && said.contains("2 files in 2 manifests"),
        "{said}"
    );
    assert!(!shown(&lab, "run-1")["deleted"].as_bool().unwrap_or_default());
    let said = lab.fails(REFUSED, &act);
    assert!(said.contains("since it was approved") && said.contains("by anna"), "{said}");
    assert_eq!(lab.ok(&["ls", "run-1"]).as_array().unwrap().len(), 2);
}

/// Who has no key to the sealed answers deletes them only when told to, and has nothing of them afterwards.
#[test]
fn sealed_answers_that_would_go_unkept_go_only_when_it_is_said() {
    let gated = Gated::domestic();
    let _ = gated.world.new_person("deputy");
    enrol(&gated.world, "deputy", &[]);
    gated.officer.ok(&["member", "role", "deputy", "steward", "--dataset", "run-42"]);
    let deputy = gated.world.person("deputy");
    let act = ["dataset", "delete", "run-42", "--reason", "over", "--confirm", "run-42"];
    let before = held(&gated.world, "run-42");
    assert!(before.iter().any(|name| name.starts_with("kept/")), "{before:?}");
    let said = deputy.fails(REFUSED, &act);
    assert!(said.contains("can't open them to keep them") && said.contains("--without-sealed"), "{said}");
    assert_eq!(held(&gated.world, "run-42"), before);
    deputy.ok(&[&act[..], &["--without-sealed"]].concat());
    assert_eq!(held(&gated.world, "run-42"), Vec::<String>::new());
    assert_eq!(deputy.ok(&["dataset", "facts", "run-42"])["whole"], false);
    assert!(!objects(&deputy.state()).keys().any(|name| name.contains("facts/")));
    // Its author has its own copy, and the statement says which one it is.
    assert_eq!(gated.lab.ok(&["dataset", "facts", "run-42"])["whole"], true);
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
}

/// Whose grant stood when the dataset was deleted is counted no more by the same way as others.
#[test]
fn after_a_deletion_a_grant_is_revoked_and_its_persons_released() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.granted();
    let _ = gated.world.new_person("second");
    enrol(&gated.world, "second", &["--role", "officer"]);
    let second = gated.world.person("second");
    // What stewards keep of the facts goes too: this machine has its copy, made or not.
    let copies = gated.lab.state();
    let facts = || objects(&copies).into_keys().filter(|name| name.contains("facts/")).collect::<Vec<_>>();
    let kept: Vec<String> = held(&gated.world, "run-42").into_iter().filter(|name| name.starts_with("kept/")).collect();
    assert!(!kept.is_empty());
    for name in facts() {
        std::fs::remove_file(copies.join(name)).unwrap();
    }
    gated.lab.ok(&["dataset", "delete", "run-42", "--reason", "over", "--confirm", "run-42"]);
    assert!(!facts().is_empty(), "kept before it went");
    assert_eq!(gated.lab.ok(&["dataset", "facts", "run-42"])["whole"], true);
    let propose = ["propose", "subjects", "release", "run-42", "anna"];
    assert!(gated.lab.fails(REFUSED, &propose).contains("seqvault revoke run-42 anna"));
    assert!(gated.lab.fails(REFUSED, &["revoke", "run-42", "anna", "--reencrypt"]).contains("was deleted"));
    let done = gated.lab.ok(&["revoke", "run-42", "anna", "--reason", "over"]);
    assert!(done["entry"].is_u64() && done["rotation"].is_null(), "{done}");
    gated.anna.ok(&["attest", "run-42", "--scope", "all copies"]);
    let said = gated.lab.run(&propose);
    let hashes: Vec<String> = match said.code {
        Some(0) => vec![String::new()],
        _ => said.stderr.split(" (100 persons").filter_map(|part| part.rsplit(' ').next()).map(str::to_owned).collect(),
    };
    let terms = "run-42-anna-release.terms.json";
    let proposed = said.code == Some(0)
        || hashes.iter().any(|hash| gated.lab.run(&[&propose[..], &["--reservation", hash]].concat()).code == Some(0));
    assert!(proposed, "{}", said.stderr);
    second.ok(&["approve", "--terms", terms]);
    assert_eq!(gated.lab.ok(&["subjects", "release", "run-42", "--terms", terms])["persons"], 100);
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
}

/// A vault in which every act of the genesis takes a second person: an officer and another, the lab as steward, dora as its approver.
pub(crate) fn two_persons() -> World {
    let world = World::new();
    for name in ["officer", "second", "lab", "dora", "anna"] {
        let _ = world.new_person(name);
    }
    let vault = world.vault();
    let officer = world.person("officer");
    officer.ok(&["init", vault.to_str().unwrap(), "--officer-only", "--two-person", "--approvals", "0,0,0,1,1"]);
    enrol(&world, "second", &["--role", "officer"]);
    enrol(&world, "lab", &["--role", "creator"]);
    for name in ["dora", "anna"] {
        enrol(&world, name, &[]);
    }
    let lab = world.person("lab");
    lab.ok(&["dataset", "create", "run-1", "--level", "3"]);
    officer.ok(&["member", "role", "dora", "approver", "--dataset", "run-1"]);
    world.write("run/notes.txt", b"some");
    lab.ok(&["put", "run-1", "run"]);
    world
}

#[test]
fn a_withdrawal_leads_to_the_deletion_and_what_recipients_owe_stays_due() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.granted();
    let kept = |person: &Person| -> Vec<Value> {
        let due = person.ok(&["due", "run-42"]);
        due.as_array().unwrap().iter().filter(|item| item["kind"] == "withdrawal").cloned().collect()
    };
    assert!(kept(&gated.lab).is_empty());
    let done = gated.lab.ok(&["withdraw", "run-42", "--reason", "consent withdrawn"]);
    assert!(strings(&done["next"]).iter().any(|step| step.contains("dataset delete run-42")), "{done}");
    let due = kept(&gated.lab);
    assert!(due.iter().any(|item| item["what"].as_str().unwrap().contains("dataset delete run-42")), "{due:?}");
    assert_eq!(gated.lab.ok(&["withdraw", "run-42", "--status"])[0]["kept"], true);
    gated.lab.ok(&["dataset", "delete", "run-42", "--reason", "consent withdrawn", "--confirm", "run-42"]);
    assert_eq!(held(&gated.world, "run-42"), Vec::<String>::new());
    // The header and the bodies are gone with it; of her copies nobody knows until she says so.
    let status = gated.lab.ok(&["withdraw", "run-42", "--status"]);
    assert_eq!((&status[0]["kept"], &status[0]["finished"]), (&false.into(), &false.into()));
    assert_eq!(status[0]["members"][0]["header_revoked"], true);
    assert_eq!(kept(&gated.lab).len(), 1);
    gated.anna.ok(&["attest", "run-42", "--scope", "all copies"]);
    assert_eq!(gated.lab.ok(&["withdraw", "run-42", "--status"])[0]["finished"], true);
    assert!(kept(&gated.lab).is_empty());
    // Whom it counted stays counted, and other datasets go on.
    gated.lab.ok(&["dataset", "create", "run-43", "--facts", "run.toml"]);
    gated.officer.ok(&["member", "role", "dora", "approver", "--dataset", "run-43"]);
    gated.lab.ok(&["propose", "run-43", "anna", "--facts", "grant.toml"]);
    gated.dora.ok(&["approve", "--terms", "run-43-anna.terms.json"]);
    let granted = gated.lab.ok(&["grant", "run-43", "anna", "--terms", "run-43-anna.terms.json"]);
    let totals: Vec<_> = granted["decision"]["reserve"].as_array().unwrap().iter().map(|one| &one["total"]).collect();
    assert_eq!(totals, [200, 200]);
    assert_eq!(gated.officer.ok(&["verify"])["sound"], true);
    assert!(objects(&gated.world.vault()).keys().any(|name| name.starts_with("ledger/dataset/run-42/")));
}

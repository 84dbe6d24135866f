//! Old copies, missing entries, rubbish and forgeries in the ledgers: who has seen more refuses, newcomers hold on to their invitation, and what
//! nobody had the right to say changes nothing and stops nobody.

use std::fs;

use serde_json::Value;
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::statement::{Body, Empty, GrantTerms, Granted, Revoked, Set, Statement, Text, VaultHead};
use vault_keys::custodian::Custodian;
use vault_tests::place::place;
use vault_tests::world::{Person, World, copy_folder};

use crate::mallory::{custodian, entries, next_statement, with_payload, write_entry, write_signed};
use crate::story::{COHORT, contents, enrol, is_sound, settle, shown, story};

/// The story, with a copy of its vault from before the revocation of ben, which everybody has seen.
fn rolled() -> World {
    let world = story();
    let _ = world.save_vault("old");
    world.person("lab").ok(&["revoke", COHORT, "ben"]);
    world.person("officer").ok(&["member", "role", "eve", "auditor"]);
    for name in ["officer", "lab", "anna", "seq", "deputy"] {
        shown(&world.person(name), COHORT);
    }
    world
}

fn replace(world: &World, part: &str) {
    fs::remove_dir_all(world.vault().join(part)).unwrap();
    copy_folder(&world.path("old").join(part), &world.vault().join(part));
}

/// Every verb that reads the dataset fails for somebody who has seen more than there is.
fn everybody_refuses(world: &World) {
    for (name, args) in [
        ("anna", ["ls", COHORT].as_slice()),
        ("anna", &["cat", COHORT, "late/notes.txt"]),
        ("anna", &["dataset", "show", COHORT]),
        ("anna", &["log", COHORT]),
        ("anna", &["verify"]),
        ("seq", &["put", COHORT, "late", "--replace"]),
        ("lab", &["grant", COHORT, "eve"]),
        ("lab", &["rotate", COHORT]),
        ("officer", &["revoke", COHORT, "anna"]),
    ] {
        world.person(name).fails(5, args);
    }
    world.person("anna").gets_nothing(5, COHORT);
}

#[test]
fn who_has_seen_more_refuses_an_old_copy_of_the_vault() {
    let world = rolled();
    world.restore_vault("old");
    everybody_refuses(&world);
    let before = world.objects();
    assert_eq!(before, vault_tests::world::objects(&world.path("old")), "something was written to it");
}

#[test]
fn who_has_seen_more_refuses_one_old_ledger() {
    for part in ["ledger/dataset", "ledger/vault"] {
        let world = rolled();
        replace(&world, part);
        let said = world.person("anna").fails(5, &["verify"]);
        assert!(!said.is_empty());
        world.person("anna").gets_nothing(5, COHORT);
        world.person("lab").fails(5, &["rotate", COHORT]);
        world.person("seq").fails(5, &["put", COHORT, "late", "--replace"]);
    }
}

#[test]
fn an_invitation_holds_a_newcomer_to_what_the_officer_saw() {
    let world = rolled();
    let _ = world.new_person("zoe");
    let added = world.person("officer").ok(&["member", "add", "zoe", "--card", "zoe.card"]);
    let invitation = added["invitation"].as_str().unwrap();
    world.restore_vault("old");
    // A server that shows what was before she was enrolled does not know her, either.
    let done = world.person("zoe").run(&["join", invitation]);
    let code = done.code;
    assert!(code == Some(5) || (place().is_served() && code == Some(4)), "{}: {code:?} {}", done.what, done.stderr);
    // Nor can an enrolled member with a new machine be shown it, once it has a new invitation.
    let world = rolled();
    let invited = world.person("officer").ok(&["member", "invite", "ben"]);
    fs::remove_dir_all(world.person("ben").state()).unwrap();
    world.restore_vault("old");
    world.person("ben").fails(5, &["join", invited["invitation"].as_str().unwrap()]);
}

#[test]
fn what_an_officer_has_signed_as_seen_holds_newcomers_back_from_sealing_to_an_old_dataset() {
    let world = story();
    for name in ["zoe", "max"] {
        let _ = world.new_person(name);
    }
    enrol(&world, "zoe", &[]);
    let _ = world.save_vault("old");
    let lab = world.person("lab");
    lab.ok(&["revoke", COHORT, "ben"]);
    lab.ok(&["member", "role", "zoe", "uploader", "--dataset", COHORT]);
    world.person("officer").ok(&["doctor", "--repair"]);
    enrol(&world, "max", &[]);
    // The dataset from before, under the vault ledger of now: its seals are there again, and all of it is validly signed.
    for part in ["ledger/dataset", "epochs"] {
        replace(&world, part);
    }
    // These two never saw the dataset.
    let said = world.person("zoe").fails(5, &["put", COHORT, "late"]);
    assert!(said.contains("officer has seen"), "{said}");
    world.person("max").fails(5, &["grant", COHORT, "eve"]);
}

#[test]
fn an_old_vault_ledger_under_a_newer_dataset_stops_whoever_never_saw_it() {
    let world = story();
    let _ = world.save_vault("old");
    enrol_and_cite(&world);
    // Eve last saw the old vault ledger, and no dataset.
    replace(&world, "ledger/vault");
    let said = world.person("eve").fails(5, &["log", COHORT]);
    assert!(said.contains("forks at entry"), "{said}");
    world.person("eve").fails(5, &["verify"]);
}

/// Makes the dataset cite a vault entry that old copies of the vault ledger do not have.
fn enrol_and_cite(world: &World) {
    let _ = world.new_person("zoe");
    enrol(world, "zoe", &[]);
    world.person("lab").ok(&["grant", COHORT, "zoe"]);
}

#[test]
fn one_datasets_ledger_in_anothers_place_is_refused() {
    let world = story();
    world.person("lab").ok(&["dataset", "create", "other"]);
    let ledgers = world.vault().join("ledger/dataset");
    fs::rename(ledgers.join(COHORT), ledgers.join("away")).unwrap();
    copy_folder(&ledgers.join("other"), &ledgers.join(COHORT));
    fs::rename(ledgers.join("away"), ledgers.join("third")).unwrap();
    world.person("anna").gets_nothing(5, COHORT);
    world.person("eve").fails(5, &["log", COHORT]);
    world.person("eve").fails(5, &["log", "third"]);
    world.person("eve").fails(5, &["verify"]);
    world.person("eve").ok(&["log", "other"]);
}

#[test]
fn another_vault_in_its_place_is_refused() {
    let world = story();
    let other = World::new();
    let _ = other.new_person("officer");
    other.person("officer").ok(&["init", other.vault().to_str().unwrap()]);
    for name in ["anna", "officer"] {
        world.person(name).ok(&["verify"]);
    }
    fs::remove_dir_all(world.vault()).unwrap();
    copy_folder(&other.vault(), &world.vault());
    for name in ["anna", "officer"] {
        world.person(name).fails(5, &["verify"]);
    }
    // Not even the one who made that other vault takes it for this one.
    copy_folder(&other.person("officer").state(), &world.person("officer").state());
    world.person("officer").fails(5, &["verify"]);
}

#[test]
fn a_missing_entry_is_a_gap_and_the_last_one_missing_a_rollback() {
    for (ledger, len) in [("vault", 8), (&*format!("dataset/{COHORT}"), 5)] {
        let story = story();
        assert!(entries(&story.vault(), ledger).len() > len);
        for missing in [0, 1, len - 2] {
            let world = story.copy();
            fs::remove_file(world.vault().join(format!("ledger/{ledger}/{missing:010}"))).unwrap();
            let code = world.person("anna").run(&["ls", COHORT]).code;
            let expected: &[i32] = if ledger == "vault" && missing == 0 { &[3, 5, 8] } else { &[5] };
            assert!(expected.contains(&code.unwrap()), "{ledger} {missing}: {code:?}");
            world.person("lab").run(&["rotate", COHORT]).fails(code.unwrap());
        }
        let world = story.copy();
        let last = entries(&world.vault(), ledger).len() - 1;
        fs::remove_file(world.vault().join(format!("ledger/{ledger}/{last:010}"))).unwrap();
        for name in ["officer", "lab", "anna"] {
            // Who never saw the last entry can't miss it.
            let person = story.person(name);
            shown(&person, COHORT);
            let person = Person::at(&person, &world.vault());
            person.fails(5, &["ls", COHORT]);
        }
    }
}

#[test]
fn a_ledger_that_vanished_is_missed_by_who_saw_it() {
    let world = story();
    shown(&world.person("anna"), COHORT);
    fs::remove_dir_all(world.vault().join("ledger/dataset").join(COHORT)).unwrap();
    world.person("anna").gets_nothing(5, COHORT);
    world.person("lab").fails(5, &["dataset", "create", COHORT]);
}

/// Puts rubbish at the end of a ledger with the folder's means, and checks that it is void and disturbs nobody.
fn rubbish_is_void(write: impl Fn(&World, &LedgerId)) {
    for ledger in [LedgerId::Vault, LedgerId::Dataset(COHORT.parse().unwrap())] {
        let world = story();
        let seq = entries(&world.vault(), &ledger.to_string()).len();
        write(&world, &ledger);
        let report = world.person("anna").ok(&["verify"]);
        let void = |report: &Value| {
            let ledgers = report["ledgers"].as_array().unwrap();
            let all = ledgers
                .iter()
                .flat_map(|l| l["void"].as_array().unwrap().iter().map(|v| (l["ledger"].clone(), v["seq"].clone())));
            all.collect::<Vec<_>>()
        };
        assert_eq!(void(&report), [(ledger.to_string().into(), seq.into())], "{report}");
        is_sound(&world);
        // Everybody goes on behind it.
        let _ = world.new_person("zoe");
        enrol(&world, "zoe", &[]);
        world.person("lab").ok(&["grant", COHORT, "zoe"]);
        world.person("lab").ok(&["revoke", COHORT, "ben"]);
        world.write("news/today.txt", b"x");
        world.person("seq").ok(&["put", COHORT, "news"]);
        assert_eq!(world.person("zoe").gets(COHORT).len(), contents().len() + 1);
        world.person("ben").gets_nothing(4, COHORT);
        let report = world.person("anna").ok(&["verify", "--data"]);
        assert_eq!(void(&report).len(), 1, "{report}");
    }
}

#[test]
fn rubbish_that_somebody_with_the_folder_appends_is_void() {
    rubbish_is_void(|world, ledger| {
        let seq = entries(&world.vault(), &ledger.to_string()).len() as u64;
        write_entry(&world.vault(), &ledger.to_string(), seq, b"\0rubbish");
    });
}

#[test]
fn an_empty_entry_is_void() {
    rubbish_is_void(|world, ledger| {
        let seq = entries(&world.vault(), &ledger.to_string()).len() as u64;
        write_entry(&world.vault(), &ledger.to_string(), seq, b"");
    });
}

#[test]
fn an_entry_of_an_unknown_kind_is_void() {
    rubbish_is_void(|world, ledger| {
        let all = entries(&world.vault(), &ledger.to_string());
        let seq = all.len() as u64;
        let stored = with_payload(all.last().unwrap(), |payload| {
            payload["kind"] = "no-such-kind".into();
            payload["seq"] = seq.into();
        });
        write_entry(&world.vault(), &ledger.to_string(), seq, &stored);
    });
}

#[test]
fn an_old_entry_said_again_is_void() {
    rubbish_is_void(|world, ledger| {
        let all = entries(&world.vault(), &ledger.to_string());
        write_entry(&world.vault(), &ledger.to_string(), all.len() as u64, &all[all.len() / 2]);
    });
}

#[test]
fn a_strangers_statement_is_void() {
    rubbish_is_void(|world, ledger| {
        let mallory = custodian(&world.new_person("mallory"));
        let statement =
            next_statement(&world.vault(), &"officer".parse().unwrap(), mallory.card(), ledger.clone(), revoke_lab());
        write_signed(&world.vault(), &mallory, &statement);
    });
}

#[test]
fn an_officers_name_over_another_members_signature_is_void() {
    rubbish_is_void(|world, ledger| {
        let officer = custodian(&world.person("officer"));
        let eve = custodian(&world.person("eve"));
        let statement =
            next_statement(&world.vault(), &"officer".parse().unwrap(), officer.card(), ledger.clone(), revoke_lab());
        write_signed(&world.vault(), &eve, &statement);
    });
}

#[test]
fn what_a_member_has_no_right_to_say_is_void() {
    rubbish_is_void(|world, ledger| {
        let eve = custodian(&world.person("eve"));
        let statement =
            next_statement(&world.vault(), &"eve".parse().unwrap(), eve.card(), ledger.clone(), revoke_lab());
        write_signed(&world.vault(), &eve, &statement);
    });
}

fn revoke_lab() -> Body {
    Body::Revoked(Revoked { member: "lab".parse().unwrap(), reason: Text::parse("because").unwrap() })
}

/// What somebody writes with the folder's means after they were retired, bent by `bend`, is void and disturbs nobody.
fn former_steward(bend: impl Fn(&mut Statement, &World)) {
    let world = story();
    world.person("officer").ok(&["member", "retire", "deputy"]);
    world.person("lab").ok(&["rotate", COHORT]);
    let deputy = custodian(&world.person("deputy"));
    let ledger = LedgerId::Dataset(COHORT.parse().unwrap());
    let bodies = [
        Body::Revoked(Revoked { member: "anna".parse().unwrap(), reason: Text::parse("revenge").unwrap() }),
        Body::Granted(Granted {
            approval: None,
            reservation: None,
            seals: Set::default(),
            terms: GrantTerms {
                ends: None,
                facts: vault_core::ledger::statement::Facts::default(),
                member: "deputy".parse().unwrap(),
            },
            trace: None,
        }),
        Body::Anchored(Empty {}),
    ];
    for body in bodies {
        let mut statement =
            next_statement(&world.vault(), &"deputy".parse().unwrap(), deputy.card(), ledger.clone(), body);
        bend(&mut statement, &world);
        write_signed(&world.vault(), &deputy, &statement);
    }
    let report = world.person("anna").ok(&["verify"]);
    assert_eq!(report["ledgers"][1]["void"].as_array().unwrap().len(), 3, "{report}");
    is_sound(&world);
    world.person("lab").ok(&["revoke", COHORT, "ben"]);
    is_sound(&world);
}

#[test]
fn a_retired_stewards_statement_is_void() {
    former_steward(|_, _| {});
}

#[test]
fn a_retired_stewards_back_dated_statement_is_void() {
    former_steward(|statement, world| {
        let entries = entries(&world.vault(), "vault");
        let hashes = crate::mallory::hashes(&statement.vault.unwrap(), &LedgerId::Vault, &entries);
        // The last vault entry before the retirement.
        let seq = hashes.len() - 2;
        statement.vault_head = Some(VaultHead { hash: hashes[seq], seq: seq as u64 });
        statement.time -= 3600;
    });
}

#[test]
fn a_retired_stewards_statement_that_cites_an_invented_vault_entry_stops_nobody() {
    former_steward(|statement, _| {
        statement.vault_head = Some(VaultHead { hash: EntryHash([7; 32]), seq: 1_000_000 });
    });
}

#[test]
fn a_retired_stewards_fork_stops_nobody() {
    former_steward(|statement, _| statement.prev = Some(EntryHash([7; 32])));
}

#[test]
fn a_current_members_fork_stops_everybody_and_shows_what_came_before() {
    let world = story();
    let anna = custodian(&world.person("anna"));
    let ledger = LedgerId::Dataset(COHORT.parse().unwrap());
    let mut statement =
        next_statement(&world.vault(), &"anna".parse().unwrap(), anna.card(), ledger, Body::Anchored(Empty {}));
    statement.vault_head = Some(VaultHead { hash: EntryHash([7; 32]), seq: 1_000_000 });
    write_signed(&world.vault(), &anna, &statement);
    let said = world.person("lab").fails(5, &["rotate", COHORT]);
    assert!(said.contains("verify"), "{said}");
    world.person("ben").gets_nothing(5, COHORT);
    world.person("ben").fails(5, &["log", COHORT]);
    let shown = world.person("ben").run(&["log", COHORT, "--json"]);
    let entries: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len() as u64, statement.seq, "what came before the fork stands");
    // Other datasets and the vault ledger go on.
    world.person("lab").ok(&["dataset", "create", "other"]);
    world.person("officer").ok(&["member", "retire", "anna"]);
}

#[test]
fn rubbish_that_names_a_seal_grants_nothing() {
    let world = story();
    // Eve writes a seal for herself, of a secret that she drew, and a grant that nobody may believe.
    let eve = custodian(&world.person("eve"));
    let name = format!("epochs/{COHORT}/0000000002/grants/eve/{}-{}", eve.card().id(), Digest([9; 32]));
    world.write(&format!("vault/{name}"), &[1; 1168]);
    world.person("eve").gets_nothing(4, COHORT);
    is_sound(&world);
    settle(&world, COHORT);
}

//! Mallory shows old, short, other, hidden or doubled histories, to who has seen more and to who comes new. Who has seen more refuses; who comes
//! new holds on to the invitation; nobody seals to a view that an officer has seen the end of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;

use serde_json::json;
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::statement::{
    Body, Facts, FactsAmended, MemberReservation, Recovered, RecoveredTerms, RecoveryAction, Reservation, Reserved,
    Revoked, Role, RoleSet, Text, UploaderSet,
};
use vault_keys::custodian::Custodian;
use vault_tests::world::{World, copy_folder};

use crate::bad_input::forged_vault;
use crate::mallory::{custodian, entries, hashes, next_statement, vault_id, with_payload, write_entry, write_signed};
use crate::mallory_den::{ALL, Den, GET, Kind, everywhere};
use crate::mallory_storage::{Asked, Reply, framed, hello};
use crate::story::{COHORT, contents, shown, story};

/// The entries of the story's dataset.
fn dataset() -> String {
    format!("ledger/dataset/{COHORT}")
}

/// Every verb that reads or writes the dataset refuses, with no trace, for somebody who has seen more.
fn everybody_refuses(den: &Den, words: &[&str]) {
    for (who, args) in [
        ("anna", &["ls", COHORT][..]),
        ("anna", &["cat", COHORT, "late/notes.txt"]),
        ("anna", &GET),
        ("anna", &["log", COHORT]),
        ("anna", &["dataset", "show", COHORT]),
        ("seq", &["put", COHORT, "late"]),
        ("lab", &["grant", COHORT, "eve"]),
        ("lab", &["rotate", COHORT]),
        ("lab", &["revoke", COHORT, "anna"]),
        ("officer", &["revoke", COHORT, "anna"]),
    ] {
        den.refuses(5, words, who, args);
    }
    den.reports(5, words, "anna", &["verify"]);
}

#[test]
fn who_has_seen_more_refuses_every_older_view() {
    everywhere(|den| {
        den.save("old");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.person("officer").ok(&["member", "role", "eve", "auditor"]);
        den.sees(&["officer", "lab", "anna", "seq"]);
        den.save("new");
        for (part, words) in
            [("", "was rolled back"), ("ledger/vault", "was rolled back"), ("ledger/dataset", "was rolled back")]
        {
            den.bring_back("old", part);
            everybody_refuses(den, &[words]);
            den.bring_back("new", "");
        }
        den.person("anna").ok(&["verify"]);
    });
}

#[test]
fn another_continuation_of_the_same_length_is_refused_by_who_saw_the_first() {
    everywhere(|den| {
        den.save("common");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.sees(&["anna", "seq", "lab", "officer"]);
        let length = entries(&den.folder(), &format!("dataset/{COHORT}")).len();
        den.bring_back("common", "");
        // The other steward has not seen it, and goes another way: all of it is validly signed.
        den.person("deputy").ok(&["revoke", COHORT, "anna"]);
        assert_eq!(entries(&den.folder(), &format!("dataset/{COHORT}")).len(), length);
        everybody_refuses(den, &["was changed"]);
        // Nor is one view taken at the beginning of a command and the other one later.
        den.person("deputy").ok(&["verify"]);
    });
}

#[test]
fn entries_that_are_missing_exchanged_or_changed_are_refused() {
    everywhere(|den| {
        den.sees(&["officer", "lab", "anna", "seq"]);
        den.save("whole");
        for ledger in ["ledger/vault".to_owned(), dataset()] {
            let at = |n: usize| den.folder().join(&ledger).join(format!("{n:010}"));
            let last = fs::read_dir(den.folder().join(&ledger)).unwrap().count() - 1;
            let changes: [(&str, &dyn Fn()); 6] = [
                ("the last one missing", &|| fs::remove_file(at(last)).unwrap()),
                ("two exchanged", &|| {
                    let [a, b] = [2, 3].map(|n| fs::read(at(n)).unwrap());
                    fs::write(at(2), b).unwrap();
                    fs::write(at(3), a).unwrap();
                }),
                ("one bit", &|| {
                    let mut bytes = fs::read(at(last - 1)).unwrap();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    fs::write(at(last - 1), bytes).unwrap();
                }),
                ("rubbish in a place", &|| fs::write(at(3), b"rubbish").unwrap()),
                ("one left out, all after it moved", &|| {
                    for n in 2..last {
                        fs::copy(at(n + 1), at(n)).unwrap();
                    }
                    fs::remove_file(at(last)).unwrap();
                }),
                ("one missing in the middle", &|| fs::remove_file(at(2)).unwrap()),
            ];
            for (what, change) in changes {
                eprintln!("{ledger}: {what}");
                change();
                for (who, args) in [("anna", &GET[..]), ("seq", &["put", COHORT, "late"]), ("lab", &["rotate", COHORT])]
                {
                    den.refuses(5, &[], who, args);
                }
                den.bring_back("whole", "");
            }
        }
    });
}

#[test]
fn a_dataset_that_is_hidden_is_missed_by_who_saw_it() {
    everywhere(|den| {
        den.sees(&["anna", "officer", "lab"]);
        den.save("whole");
        fs::remove_dir_all(den.folder().join(dataset())).unwrap();
        let gone = "was seen before and is gone";
        den.reports(5, &[COHORT, gone], "anna", &["verify"]);
        den.reports(5, &[COHORT, gone], "officer", &["doctor"]);
        den.refuses(5, &[gone], "anna", &GET);
        // Nor does an officer sign a list of all ledgers without it.
        let said = den.reports(5, &[COHORT, gone], "officer", &["doctor", "--repair"]);
        assert!(!said.contains("signs the heads"), "{said}");
        let listed = den.runs_without_a_trace("anna", &["dataset", "list"]);
        assert!(listed.code == Some(5) && listed.stderr.contains(gone), "{:?} {}", listed.code, listed.stderr);
        den.bring_back("whole", "");
        den.person("anna").ok(&["verify"]);
    });
}

#[test]
fn rubbish_under_a_name_that_nobody_saw_is_a_finding_and_takes_nothing_away() {
    let den = Den::new(story(), Kind::Folder);
    den.sees(&["officer", "lab", "anna"]);
    fs::create_dir_all(den.folder().join("ledger/dataset/litter")).unwrap();
    write_entry(&den.folder(), "dataset/litter", 0, b"\0rubbish");
    for (who, args) in [("officer", &["dataset", "list"][..]), ("officer", &["member", "show", "anna"])] {
        let done = den.person(who).run(args);
        assert!(done.code == Some(0) && done.stderr.contains("litter is left out"), "{:?} {}", done.code, done.stderr);
    }
    for who in ["officer", "anna", "eve"] {
        let verified = den.person(who).ok(&["verify", "--data"]);
        let unknown: Vec<_> = verified["unknown"].as_array().unwrap().iter().map(|one| &one["ledger"]).collect();
        assert_eq!(unknown, ["dataset/litter"], "{verified}");
        assert_eq!(verified["sound"], true, "{verified}");
        assert!(verified["ledgers"].as_array().unwrap().iter().any(|l| l["ledger"] == format!("dataset/{COHORT}")));
    }
    // Who asks for it by name is told that it is none.
    den.person("anna").fails(5, &["verify", "litter"]);
    // What is derived is made again, and the officer's list signed, beside it.
    let marker = den.folder().join(format!("index/anna/{COHORT}"));
    fs::remove_file(&marker).unwrap();
    let report = den.person("officer").ok(&["doctor", "--repair"]);
    let said =
        |part: &str, words: &str| report[part].as_array().unwrap().iter().any(|line| line.to_string().contains(words));
    assert!(said("repaired", "index/anna") && said("repaired", "signs the heads"), "{report}");
    assert!(said("findings", "litter") && marker.exists() && report["damaged"] == json!(false), "{report}");
    // A dataset that was seen is another matter.
    fs::remove_file(den.folder().join(dataset()).join("0000000001")).unwrap();
    fs::remove_file(&marker).unwrap();
    den.reports(5, &[COHORT], "officer", &["doctor", "--repair"]);
    assert!(!marker.exists(), "nothing is repaired beside damage");
    for who in ["anna", "eve"] {
        den.person(who).fails(5, &["verify"]);
    }
    let listed = den.person("lab").run(&["dataset", "list"]);
    assert_eq!(listed.code, Some(5), "{}", listed.stderr);
    // Also to who never saw it: it stands in the officer's list.
    let listed = den.person("eve").run(&["dataset", "list"]);
    assert_eq!(listed.code, Some(5), "{}", listed.stderr);
}

/// A dataset that is younger than the officer's list and that this machine never read is no rubbish because an entry of it is gone.
#[test]
fn a_new_dataset_with_a_gap_or_a_changed_first_entry_is_not_taken_for_rubbish() {
    for seq in [0, 1] {
        let den = Den::new(story(), Kind::Folder);
        den.person("officer").ok(&["doctor", "--repair"]);
        den.person("lab").ok(&["dataset", "create", "second", "--uploader", "seq"]);
        den.person("eve").ok(&["verify"]);
        let world = &den.world;
        let _ = world.new_person("newcomer");
        let added = den.person("officer").ok(&["member", "add", "newcomer", "--card", "newcomer.card"]);
        den.person("newcomer").ok(&["join", added["invitation"].as_str().unwrap()]);
        let folder = den.folder().join("ledger/dataset/second");
        if seq == 0 {
            fs::write(folder.join("0000000000"), b"\0rubbish").unwrap();
        } else {
            write_entry(&den.folder(), "dataset/second", 2, b"\0what comes after the gap");
            fs::remove_file(folder.join("0000000001")).unwrap();
        }
        let said = den.person("newcomer").fails(5, &["verify"]);
        assert!(said.contains("not everything is as it was signed"), "{said}");
    }
}

#[test]
fn what_an_officer_cut_off_later_is_no_old_copy() {
    everywhere(|den| {
        let [lab, officer] = ["lab", "officer"].map(|name| custodian(&den.world.person(name)));
        let ledger = LedgerId::Dataset(COHORT.parse().unwrap());
        let body = Body::UploaderSet(UploaderSet { member: "eve".parse().unwrap(), on: true });
        let statement = next_statement(&den.folder(), &"lab".parse().unwrap(), lab.card(), ledger.clone(), body);
        let (seq, hash) = (statement.seq - 1, statement.prev.unwrap());
        write_signed(&den.folder(), &lab, &statement);
        den.person("officer").ok(&["doctor", "--repair"]);
        den.sees(&["seq"]);
        fs::remove_file(den.folder().join(dataset()).join(format!("{:010}", statement.seq))).unwrap();
        den.refuses(5, &["was rolled back"], "seq", &["put", COHORT, "late"]);
        let terms = RecoveredTerms { action: RecoveryAction::Cut, hash, ledger, seq };
        let body = Body::Recovered(Recovered { approval: None, terms });
        let cut = next_statement(&den.folder(), &"officer".parse().unwrap(), officer.card(), LedgerId::Vault, body);
        write_signed(&den.folder(), &officer, &cut);
        // Before any officer has signed a new list.
        den.world.write("after/file", b"after the cut");
        den.person("seq").ok(&["put", COHORT, "after"]);
        den.person("anna").ok(&["verify"]);
    });
}

#[test]
fn an_exposure_ledger_that_is_rolled_back_or_hidden_is_missed() {
    everywhere(|den| {
        let lab = custodian(&den.world.person("lab"));
        let ledger = LedgerId::Exposure(Digest([4; 32]));
        let path = den.folder().join(format!("ledger/{ledger}"));
        fs::create_dir_all(&path).unwrap();
        let says = |ledger: &LedgerId, body: Body| {
            let statement = next_statement(&den.folder(), &"lab".parse().unwrap(), lab.card(), ledger.clone(), body);
            write_signed(&den.folder(), &lab, &statement);
        };
        for (added, total) in [(300, 300), (200, 500)] {
            let (dataset, member) = (COHORT.parse().unwrap(), "anna".parse().unwrap());
            says(&ledger, Body::Reserved(Reserved { added, dataset, member, subjects: None, total }));
        }
        // The dataset rests on the first of them: so whoever reads the dataset reads this ledger.
        let stored = entries(&den.folder(), &ledger.to_string());
        let hash = hashes(&vault_id(&den.folder()), &ledger, &stored)[0];
        let reservation = Reservation { hash, ledger: ledger.clone(), seq: 0 };
        let counted = MemberReservation { member: "anna".parse().unwrap(), reservation };
        let amended = FactsAmended {
            facts: Facts::default(),
            level: 1,
            reservations: vec![counted],
            suspends: BTreeSet::new().into_iter().collect(),
            why: Text::parse("counted").unwrap(),
        };
        says(&format!("dataset/{COHORT}").parse().unwrap(), Body::FactsAmended(amended));
        den.person("officer").ok(&["doctor", "--repair"]);
        den.sees(&["seq", "lab"]);
        let report = den.person("lab").ok(&["verify", "--data"]);
        let found = report["ledgers"].as_array().unwrap().iter().find(|l| l["ledger"] == json!(ledger.to_string()));
        assert_eq!((&found.unwrap()["entries"], &found.unwrap()["void"]), (&json!(2), &json!([])), "{report}");
        den.save("whole");
        fs::remove_file(path.join("0000000001")).unwrap();
        for (who, args) in [("seq", &["put", COHORT, "late"]), ("lab", &["grant", COHORT, "eve"])] {
            den.refuses(5, &["exposure", "was rolled back"], who, args);
        }
        den.reports(5, &["exposure", "was rolled back"], "lab", &["verify"]);
        // Who never saw it is held to the officer's list, when it comes to sealing and when it checks.
        den.person("deputy").ok(&["member", "list"]);
        den.refuses_but_pins(5, &["exposure", "which an officer has seen"], "deputy", &["grant", COHORT, "eve"]);
        den.reports(5, &["exposure", "which an officer has seen"], "deputy", &["verify"]);
        // So it is where all of it is hidden.
        fs::remove_dir_all(&path).unwrap();
        den.refuses(5, &["exposure"], "seq", &["put", COHORT, "late"]);
        let done = den.person("ben").run(&["verify"]);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.code == Some(5) && said.contains("exposure"), "{:?} {said} {}", done.code, done.stderr);
        den.bring_back("whole", "");
        den.person("lab").ok(&["grant", COHORT, "eve"]);
        den.person("lab").ok(&["verify"]);
    });
}

#[test]
fn an_officer_signs_no_list_that_is_behind_the_last_one() {
    everywhere(|den| {
        // A second officer, who has seen the vault and none of its datasets.
        den.person("officer").ok(&["member", "role", "eve", "officer"]);
        den.save("old");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.person("officer").ok(&["doctor", "--repair"]);
        den.person("eve").ok(&["member", "list"]);
        for part in ["ledger/dataset", "epochs"] {
            den.bring_back("old", part);
        }
        let later = |name: &str| den.person(name).in_seconds(2 * 86_400);
        let before = entries(&den.folder(), "vault").len();
        let done = later("eve").run(&["doctor", "--repair"]);
        assert_eq!(done.code, Some(5), "{:?} {}", den.kind, done.stderr);
        assert!(done.stderr.contains("an officer has seen"), "{}", done.stderr);
        assert_eq!(entries(&den.folder(), "vault").len(), before, "a list that is behind was signed");
        // With the list as it was, who never saw the dataset seals nothing to it.
        den.refuses(5, &["an officer has seen"], "eve", &["grant", COHORT, "ben"]);
        // And whoever verifies is told.
        den.reports(5, &["an officer has seen"], "eve", &["verify"]);
    });
}

#[test]
fn a_fresh_vault_ledger_over_an_old_dataset_seals_nothing() {
    everywhere(|den| {
        for name in ["zoe", "max"] {
            let _ = den.world.new_person(name);
        }
        joins(den, "zoe");
        den.save("old");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.person("lab").ok(&["member", "role", "zoe", "uploader", "--dataset", COHORT]);
        den.person("officer").ok(&["doctor", "--repair"]);
        joins(den, "max");
        den.person("zoe").ok(&["member", "list"]);
        for part in ["ledger/dataset", "epochs"] {
            den.bring_back("old", part);
        }
        den.refuses_but_pins(5, &["officer has seen"], "zoe", &["put", COHORT, "late"]);
        den.refuses_but_pins(5, &["officer has seen"], "max", &["grant", COHORT, "eve"]);
        // Without the list nobody knows, and nothing is sealed either.
        for name in den.named("seen/", "") {
            fs::remove_file(den.folder().join(name)).unwrap();
        }
        den.refuses_but_pins(3, &["seen/"], "zoe", &["put", COHORT, "late"]);
    });
}

/// An officer enrols somebody, who joins here.
fn joins(den: &Den, name: &str) {
    let invitation = invites(den, name);
    den.person(name).ok(&["join", &invitation]);
}

fn invites(den: &Den, name: &str) -> String {
    let card = format!("{name}.card");
    let added = den.person("officer").ok(&["member", "add", name, "--card", &card, "--location", &den.location()]);
    added["invitation"].as_str().unwrap().to_owned()
}

#[test]
fn a_newcomer_is_shown_no_other_vault_and_no_older_one() {
    everywhere(|den| {
        for name in ["zoe", "mallory"] {
            let _ = den.world.new_person(name);
        }
        den.save("before");
        let invitation = invites(den, "zoe");
        den.save("real");
        // A vault of hers, with the same names.
        let mallory = World::new();
        let officer = mallory.new_person("officer");
        fs::copy(den.world.person("zoe").card(), mallory.path("zoe.card")).unwrap();
        let own = mallory.path("own");
        let there = officer.through(own.to_str().unwrap(), &[]);
        there.run(&["init", own.to_str().unwrap(), "--member", "officer", "--json"]).ok();
        there.ok(&["member", "add", "zoe", "--card", "zoe.card"]);
        fs::remove_dir_all(den.folder()).unwrap();
        copy_folder(&own, &den.folder());
        den.refuses(5, &["vault"], "zoe", &["join", &invitation]);
        // The right one, from before her enrolment.
        den.bring_back("before", "");
        den.refuses(5, &["does not have the entry"], "zoe", &["join", &invitation]);
        // The right one, with another card in her enrolment.
        den.bring_back("real", "");
        let ledger = den.folder().join("ledger/vault");
        let last = entries(&den.folder(), "vault").len() - 1;
        let path = ledger.join(format!("{last:010}"));
        let card = vault_core::json::to_b64(fs::read(den.world.person("mallory").card()).unwrap().trim_ascii());
        let forged = with_payload(&fs::read(&path).unwrap(), |p| p["body"]["cards"] = json!([card]));
        fs::write(&path, forged).unwrap();
        den.refuses(5, &["does not have the entry"], "zoe", &["join", &invitation]);
        // An invitation is for whom it names.
        den.bring_back("real", "");
        den.refuses(4, &["was not enrolled"], "mallory", &["join", &invitation]);
        den.person("zoe").ok(&["join", &invitation]);
    });
}

#[test]
fn a_vault_made_weaker_is_not_the_one_that_was_joined() {
    let world = crate::transfer::bench();
    for kind in ALL {
        let den = Den::new(world.copy(), kind);
        for name in ["lab", "anna"] {
            den.person(name).ok(&["verify"]);
        }
        // By the officer's own key: suite 1, head age of years, approvals of none.
        let changes: [fn(&mut serde_json::Value); 3] = [
            |genesis| genesis["body"]["suite"] = json!(1),
            |genesis| genesis["body"]["head_age"] = json!(1_000_000_000),
            |genesis| genesis["body"]["nonce"] = json!("0".repeat(32)),
        ];
        for change in changes {
            let forged = forged_vault(&world, change);
            fs::remove_dir_all(den.folder()).unwrap();
            copy_folder(&forged.path("vault"), &den.folder());
            for (who, args) in [("lab", ["verify"].as_slice()), ("anna", &["dataset", "list"])] {
                den.refuses(5, &[], who, args);
            }
        }
    }
}

#[test]
fn a_statement_said_again_elsewhere_counts_for_nothing() {
    everywhere(|den| {
        let lab = den.person("lab");
        lab.ok(&["dataset", "create", "other"]);
        lab.ok(&["grant", "other", "anna"]);
        lab.ok(&["revoke", COHORT, "ben"]);
        den.sees(&["anna"]);
        let of = |ledger: &str| entries(&den.folder(), ledger);
        let revoked = |ledger: &str| {
            of(ledger)
                .into_iter()
                .find(|entry| String::from_utf8_lossy(&payload(entry)).contains("\"revoked\""))
                .unwrap()
        };
        let entry = revoked(&format!("dataset/{COHORT}"));
        for ledger in ["dataset/other", "vault", &format!("dataset/{COHORT}")] {
            let seq = of(ledger).len() as u64;
            write_entry(&den.folder(), ledger, seq, &entry);
            let report = den.person("anna").ok(&["verify"]);
            let ledgers = report["ledgers"].as_array().unwrap();
            let found = ledgers.iter().find(|l| l["ledger"] == *ledger).unwrap();
            assert_eq!(found["void"].as_array().unwrap().last().unwrap()["seq"], seq, "{report}");
        }
        assert_eq!(den.person("anna").gets(COHORT), contents());
        assert_eq!(shown(&den.person("anna"), "other")["grants"]["anna"]["current"], true);
    });
}

fn payload(stored: &[u8]) -> Vec<u8> {
    vault_core::envelope::Envelope::parse(stored).unwrap().payload
}

#[test]
fn what_nobody_had_the_right_to_say_grants_and_revokes_nothing_anywhere() {
    everywhere(|den| {
        den.sees(&["anna", "lab"]);
        let ledger = LedgerId::Dataset(COHORT.parse().unwrap());
        let body = || Body::Revoked(Revoked { member: "anna".parse().unwrap(), reason: Text::parse("hers").unwrap() });
        // A reader who revokes another one; a stranger in the officer's name; the officer's name over another's signature.
        let [ben, mallory, officer] =
            [den.world.person("ben"), den.world.new_person("mallory"), den.world.person("officer")]
                .map(|p| custodian(&p));
        let say = |who: &str, card: &vault_core::card::Card| {
            next_statement(&den.folder(), &who.parse().unwrap(), card, ledger.clone(), body())
        };
        write_signed(&den.folder(), &ben, &say("ben", ben.card()));
        write_signed(&den.folder(), &mallory, &say("officer", mallory.card()));
        write_signed(&den.folder(), &mallory, &say("officer", officer.card()));
        for rubbish in [&b""[..], b"\0rubbish", b"{}"] {
            let seq = entries(&den.folder(), &ledger.to_string()).len() as u64;
            write_entry(&den.folder(), &ledger.to_string(), seq, rubbish);
        }
        let report = den.person("anna").ok(&["verify"]);
        assert_eq!(report["ledgers"][1]["void"].as_array().unwrap().len(), 6, "{report}");
        assert_eq!(den.person("anna").gets(COHORT), contents());
        // And stops nobody.
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.refuses_but_pins(4, &["grant"], "ben", &GET);
    });
}

#[test]
fn what_she_says_she_has_kept_and_has_not_is_missed() {
    everywhere(|den| {
        den.sees(&["lab", "seq"]);
        // She takes a revocation, says that it is there, and throws it away.
        // (Until the command has ended she shows it to its author: who reads his own words back would notice at once.)
        let before = entries(&den.folder(), &format!("dataset/{COHORT}")).len();
        let lost = den.world.path("lost");
        copy_folder(&den.folder(), &lost);
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        fs::remove_dir_all(den.folder()).unwrap();
        copy_folder(&lost, &den.folder());
        assert_eq!(entries(&den.folder(), &format!("dataset/{COHORT}")).len(), before);
        // Whoever said it has seen it.
        den.refuses(5, &["was rolled back"], "lab", &["rotate", COHORT]);
        den.reports(5, &["was rolled back"], "lab", &["verify"]);
    });
}

#[test]
fn what_is_shown_otherwise_when_it_is_read_again_is_refused_or_not_asked_for() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    let _ = den.world.new_person("zoe");
    den.save("before");
    let invitation = invites(&den, "zoe");
    den.sees(&["anna"]);
    // From the second time on that a ledger is asked for, its last entries are missing.
    let shorter = || {
        let seen: Mutex<BTreeMap<String, u32>> = Mutex::default();
        move |asked: &Asked, reply: Reply| {
            let Some(ledger) = asked.name.strip_prefix("entries:") else { return reply };
            let times = *seen.lock().unwrap().entry(ledger.to_owned()).and_modify(|n| *n += 1).or_insert(1);
            if times == 1 {
                return reply;
            }
            let all = split(&reply.body);
            Reply { body: framed(&all[..all.len().min(3)]), ..reply }
        }
    };
    den.liar().lie(shorter());
    den.refuses(5, &["was changed while it was read"], "anna", &["log", COHORT]);
    // Whoever joins remembers what the invitation was compared with, and is not shown less from then on.
    den.liar().lie(shorter());
    let joined = den.person("zoe").run(&["join", &invitation]);
    den.liar().be_honest();
    den.bring_back("before", "");
    match joined.code {
        Some(0) => drop(den.reports(5, &["was rolled back"], "zoe", &["verify"])),
        code => assert_eq!(code, Some(5), "{}", joined.stderr),
    }
}

/// An officer is about to put a signature behind a fork: she shows less of the vault ledger at one of the later reads, or something else.
#[test]
fn an_officer_signs_no_recovery_of_a_vault_ledger_that_is_shorter_when_it_is_read_again() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["officer", "anna"]);
    let key = custodian(&den.person("officer"));
    let body = Body::RoleSet(RoleSet { dataset: None, member: "eve".parse().unwrap(), on: true, role: Role::Auditor });
    let mut fork = next_statement(&den.folder(), &"officer".parse().unwrap(), key.card(), LedgerId::Vault, body);
    fork.prev = Some(EntryHash([7; 32]));
    write_signed(&den.folder(), &key, &fork);
    let said = den.person("anna").fails(5, &["ls", COHORT]);
    let command = said.split("`seqvault recover ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    let words: Vec<&str> = ["recover"].into_iter().chain(command.split(' ')).collect();
    let seq = usize::try_from(fork.seq).unwrap();
    // How often she is asked for it, all told; the last is what the officer would sign behind.
    let asked = |name: &str| name == "entries:vault";
    let _ = den.liar().heard();
    den.person("officer").ok(&[&words[..], &["--dry-run"]].concat());
    let reads = den.liar().heard().iter().filter(|one| asked(&one.name)).count();
    assert!(reads >= 3, "it is read {reads} times before anything is signed");
    let mut refused = 0;
    for from in 2..=reads + 1 {
        // Without the fork, without what stood before it, and nothing at all.
        for left in [seq, seq - 1, 0] {
            let times = Mutex::new(0);
            den.liar().lie(move |asked: &Asked, reply: Reply| {
                if asked.name != "entries:vault" {
                    return reply;
                }
                let mut times = times.lock().unwrap();
                *times += 1;
                if *times < from {
                    return reply;
                }
                let all = split(&reply.body);
                Reply { body: framed(&all[..all.len().min(left)]), ..reply }
            });
            let done = den.runs_without_a_trace("officer", &words);
            assert!(matches!(done.code, Some(3..=5)), "{from} {left}: {:?} {}", done.code, done.stderr);
            refused += usize::from(done.stderr.contains("is not the one that was read before: nothing was signed"));
        }
    }
    assert!(refused >= 6, "{refused} of them were found where it was read again");
    den.liar().be_honest();
    den.person("officer").ok(&words);
    den.person("anna").ok(&["ls", COHORT]);
}

/// The entries of an answer.
fn split(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let (entry, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        all.push(entry.to_vec());
        body = rest;
    }
    all
}

#[test]
fn a_server_that_names_one_vault_and_shows_another_is_refused() {
    let den = Den::new(story(), Kind::Server);
    den.sees(&["anna"]);
    let other = World::new();
    let officer = other.new_person("officer");
    let own = other.path("own");
    let there = officer.through(own.to_str().unwrap(), &[]);
    there.run(&["init", own.to_str().unwrap(), "--member", "officer", "--json"]).ok();
    let [named, shown] = [hello(&den.folder(), false), hello(&own, false)];
    let of_other = framed(&entries(&own, "vault"));
    let _ = den.liar().heard();
    // Her name for it is right, and what she shows is not; then the other way.
    den.liar().lie(move |asked, reply| match asked.name.as_str() {
        "/v1/vault" => Reply { body: named.to_string().into(), ..reply },
        "entries:vault" => Reply { body: of_other.clone(), ..reply },
        _ => reply,
    });
    den.refuses(5, &["vault"], "anna", &["verify"]);
    den.liar().lie(move |asked, reply| match asked.name.as_str() {
        "/v1/vault" => Reply { body: shown.to_string().into(), ..reply },
        _ => reply,
    });
    den.refuses(5, &["vault"], "anna", &["verify"]);
    assert!(den.liar().heard().iter().all(|asked| !asked.name.contains("dataset")), "she was asked for more");
}

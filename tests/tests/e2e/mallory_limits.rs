//! What each adversary *can* do, shown: so that the limits of the threat model are as true as its promises. Where a limit ends, the test says so too.

use std::fs;

use serde_json::{Value, json};
use vault_core::context::Scope;
use vault_core::envelope::Envelope;
use vault_core::floe;
use vault_core::ids::{LedgerId, ManifestId, UploadId};
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{Body, CardAdded, CardAddedTerms, EpochClosed, Facts, FactsAmended, Set, Text};
use vault_keys::custodian::Custodian;
use vault_keys::file;
use vault_keys::passphrase::Passphrase;
use vault_tests::world::{Fault, PASSPHRASE, copy_folder, objects};

use crate::mallory::{custodian, entries, loot, manifests, vault_id};
use crate::mallory_den::{Den, GET, Kind, everywhere};
use crate::mallory_people::says;
use crate::story::{COHORT, contents, is_granted, shown, story};

const DAY: i64 = 86_400;

fn ledger() -> LedgerId {
    LedgerId::Dataset(COHORT.parse().unwrap())
}

/// All that the entries of a vault say, in clear.
fn said(den: &Den) -> Vec<Value> {
    let ledgers = ["vault".to_owned(), format!("dataset/{COHORT}")];
    let all = ledgers.iter().flat_map(|ledger| entries(&den.folder(), ledger));
    all.map(|stored| serde_json::from_slice(&Envelope::parse(&stored).unwrap().payload).unwrap()).collect()
}

// ---- Whoever holds the storage ----

#[test]
fn the_storage_sees_who_what_size_and_when_and_no_name_and_no_byte() {
    let den = Den::new(story(), Kind::Folder);
    let said = said(&den);
    let all = said.iter().map(Value::to_string).collect::<String>();
    for word in ["\"anna\"", "\"officer\"", "unnamed organisation", "A cohort", "granted", "\"time\":"] {
        assert!(all.contains(word), "{word} is not in the clear part");
    }
    // How much each upload has, to the byte.
    let committed: Vec<&Value> = said.iter().filter(|entry| entry["kind"] == "upload-committed").collect();
    let sizes =
        |names: &[&str]| -> u64 { names.iter().map(|name| floe::ciphertext_len(contents()[*name].len() as u64)).sum() };
    let first = sizes(&["run/a/reads.fastq", "run/empty", "run/sample sheet \u{e9}.csv"]);
    for (entry, (files, bytes)) in committed.iter().zip([(3, first), (1, sizes(&["late/notes.txt"]))]) {
        let manifest = &entry["body"]["manifests"][0];
        assert_eq!((&manifest["files"], &manifest["packs"]["bytes"]), (&json!(files), &json!(bytes)));
        assert_eq!(entry["author"], "seq");
    }
    // And no more.
    for name in objects(&den.folder()).into_keys() {
        let bytes = fs::read(den.folder().join(&name)).unwrap();
        for secret in ["reads.fastq", "sample sheet", "notes.txt", "after the rotation", "id,name"] {
            let is_there = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there(&bytes) && !all.contains(secret), "{name} says {secret}");
        }
    }
}

#[test]
fn a_server_sees_who_asks_for_what() {
    let den = Den::new(story(), Kind::Server);
    let _ = den.liar().heard();
    den.person("anna").ok(&["ls", COHORT]);
    let heard = den.liar().heard();
    let card = custodian(&den.world.person("anna")).card().id().to_string();
    assert!(heard.iter().any(|asked| asked.name.starts_with("manifests/") && asked.card.as_ref() == Some(&card)));
    // The greeting is nobody's.
    assert!(heard.iter().all(|asked| asked.card.is_some() != (asked.name == "/v1/vault")));
}

#[test]
fn what_the_storage_destroys_is_gone_until_it_comes_back() {
    everywhere(|den| {
        den.sees(&["anna"]);
        den.save("whole");
        for part in ["packs", "manifests", "epochs"] {
            fs::remove_dir_all(den.folder().join(part)).unwrap();
            let done = den.runs_without_a_trace("anna", &["cat", COHORT, "late/notes.txt"]);
            assert!(matches!(done.code, Some(3 | 5)) && done.stdout.is_empty(), "{:?} {}", done.code, done.stderr);
            den.bring_back("whole", "");
        }
        assert_eq!(den.person("anna").gets(COHORT), contents());
    });
}

#[test]
fn a_newcomer_takes_any_state_that_fits_its_invitation() {
    everywhere(|den| {
        let _ = den.world.new_person("zoe");
        let added =
            den.person("officer").ok(&["member", "add", "zoe", "--card", "zoe.card", "--location", &den.location()]);
        den.save("then");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.bring_back("then", "");
        den.person("zoe").ok(&["join", added["invitation"].as_str().unwrap()]);
        assert!(is_granted(&shown(&den.person("zoe"), COHORT), "ben"));
        // Who has seen the revocation does not.
        den.refuses(5, &["was rolled back"], "lab", &["ls", COHORT]);
    });
}

#[test]
fn a_client_kept_at_an_old_view_seals_to_it_within_the_head_age_and_no_longer() {
    everywhere(|den| {
        den.sees(&["seq", "ben"]);
        den.world.write("news/today.txt", b"sealed to the old view");
        den.save("frozen");
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.save("now");
        den.bring_back("frozen", "");
        // Too old: the vault allows thirty days.
        let late = den.person("seq").in_seconds(31 * DAY).run(&["put", COHORT, "news"]);
        assert_eq!(late.code, Some(4), "{}", late.stderr);
        assert!(late.stderr.contains("older than the 30 days"), "{}", late.stderr);
        // Not yet: what is sealed now is for ben as well, who was revoked, and whom she lets read it.
        den.person("seq").in_seconds(29 * DAY).ok(&["put", COHORT, "news"]);
        let ben = loot(&[&custodian(&den.world.person("ben"))], &[&den.folder()], COHORT);
        assert_eq!(ben.opens(&den.folder()).len(), 3);
        // What a client seals that has seen the revocation is not.
        den.bring_back("now", "");
        den.refuses(5, &["was changed"], "seq", &["put", COHORT, "news"]);
        den.person("deputy").ok(&["put", COHORT, "news"]);
        let frozen = den.world.path("frozen");
        let ben = loot(&[&custodian(&den.world.person("ben"))], &[&frozen, &den.folder()], COHORT);
        assert_eq!((ben.opens(&den.folder()).len(), manifests(&den.folder())), (2, 3));
    });
}

// ---- An uploader ----

#[test]
fn an_uploader_opens_its_own_upload_until_it_commits_and_then_no_more() {
    let den = Den::new(story(), Kind::Folder);
    den.world.write("news/today.txt", b"its own");
    let seq = den.person("seq");
    assert!(seq.killed(Fault::Before(2), &["put", COHORT, "news"]));
    let journal = || {
        objects(&seq.state())
            .into_keys()
            .find(|name| name.ends_with(".journal"))
            .map(|name| (name.clone(), seq.state().join(name)))
    };
    let (name, path) = journal().unwrap();
    let upload: UploadId = name.rsplit('/').next().unwrap().strip_suffix(".journal").unwrap().parse().unwrap();
    let bytes = fs::read(path).unwrap();
    let opens = |who: &str| {
        let who = custodian(&den.world.person(who));
        let suite = who.card().suite();
        let scope = Scope { suite, vault: Some(vault_id(&den.folder())), dataset: Some(COHORT.parse().unwrap()) };
        let card = *custodian(&den.world.person("seq")).card().id();
        // Its key is sealed to its card alone, behind its length.
        let length = u32::try_from(suite.seal_len()).unwrap().to_be_bytes();
        let at = bytes.windows(4).position(|window| window == length).unwrap() + 4;
        who.open(&bytes[at..at + suite.seal_len()], &scope.journal_key(&upload, &card)).is_ok()
    };
    assert!(opens("seq"));
    assert!(!opens("lab") && !opens("anna"));
    seq.ok(&["put", COHORT, "news"]);
    assert!(journal().is_none(), "the journal is still there");
    assert_eq!(seq.run(&["cat", COHORT, "news/today.txt"]).code, Some(4));
    let loot = loot(&[&custodian(&den.world.person("seq"))], &[&den.folder()], COHORT);
    assert_eq!((loot.epochs, loot.opens(&den.folder()).len()), (0, 0));
}

// ---- Recipients ----

#[test]
fn extracted_manifest_keys_open_what_they_opened_for_ever_and_nothing_else() {
    everywhere(|den| {
        // 32 bytes each, taken while the grant ran; no object and no epoch secret is kept.
        let keys = loot(&[&custodian(&den.world.person("ben"))], &[&den.folder()], COHORT);
        let old = manifests(&den.folder());
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.world.write("news/today.txt", b"afterwards");
        den.person("seq").ok(&["put", COHORT, "news"]);
        assert_eq!((keys.opens(&den.folder()).len(), manifests(&den.folder())), (old, old + 1));
        // New bytes under new keys are the end of that.
        den.person("lab").ok(&["rotate", COHORT, "--reencrypt"]);
        den.person("lab").ok(&["doctor", "--repair"]);
        let left = keys.opens(&den.folder()).len();
        assert!(left == 0 || den.kind == Kind::Server && left == old, "{:?} {left}", den.kind);
    });
}

#[test]
fn a_storage_that_lies_about_deleting_lets_a_former_reader_open_what_the_grant_covered() {
    let den = Den::new(story(), Kind::Server);
    let old = manifests(&den.folder());
    // Her server says that it has deleted the epoch's objects, and keeps them.
    let done = den.person("lab").ok(&["revoke", COHORT, "ben"]);
    assert!(!den.named(&format!("epochs/{COHORT}/0000000002/grants/ben/"), "").is_empty(), "{done}");
    den.world.write("news/today.txt", b"afterwards");
    den.person("seq").ok(&["put", COHORT, "news"]);
    let ben = loot(&[&custodian(&den.world.person("ben"))], &[&den.folder()], COHORT);
    assert_eq!((ben.opens(&den.folder()).len(), manifests(&den.folder())), (old, old + 1));
    // The program itself opens nothing for who was revoked.
    den.refuses_but_pins(4, &["grant"], "ben", &GET);
}

#[test]
fn who_was_about_to_be_granted_opens_the_epoch_if_its_seal_is_left_until_a_rotation() {
    everywhere(|den| {
        den.save("before");
        let eve = custodian(&den.world.person("eve"));
        let left = (1..6).any(|n| {
            den.bring_back("before", "");
            let lab = den.world.person("lab").state();
            let _ = fs::remove_dir_all(&lab);
            copy_folder(&story().person("lab").state(), &lab);
            let was_killed = den.person("lab").killed(Fault::Before(n), &["grant", COHORT, "eve"]);
            let is_granted = is_granted(&shown(&den.person("officer"), COHORT), "eve");
            let opened = loot(&[&eve], &[&den.folder()], COHORT).epochs;
            was_killed && !is_granted && opened > 0
        });
        assert!(left, "no seal was ever left");
        // To others it is nobody, and the next epoch is not sealed to it.
        den.refuses_but_pins(4, &["grant"], "eve", &GET);
        den.person("deputy").ok(&["rotate", COHORT]);
        den.world.write("news/today.txt", b"afterwards");
        den.person("seq").ok(&["put", COHORT, "news"]);
        assert!(loot(&[&eve], &[&den.folder()], COHORT).opens(&den.folder()).len() < manifests(&den.folder()));
    });
}

#[test]
fn a_revoked_member_who_can_write_replaces_the_end_for_newcomers_and_for_nobody_else() {
    everywhere(|den| {
        let _ = den.world.new_person("zoe");
        let added =
            den.person("officer").ok(&["member", "add", "zoe", "--card", "zoe.card", "--location", &den.location()]);
        let seals = den.world.path("seals");
        copy_folder(&den.folder().join("epochs"), &seals);
        den.person("lab").ok(&["revoke", COHORT, "ben"]);
        den.sees(&["anna", "seq", "lab"]);
        // Ben has the bucket's credentials: he takes away every entry from his revocation on, and puts the old objects back.
        let folder = den.folder().join(format!("ledger/dataset/{COHORT}"));
        let at = entries(&den.folder(), &format!("dataset/{COHORT}"))
            .iter()
            .position(|entry| {
                String::from_utf8_lossy(&Envelope::parse(entry).unwrap().payload).contains("\"kind\":\"revoked\"")
            })
            .unwrap();
        for n in at.. {
            if fs::remove_file(folder.join(format!("{n:010}"))).is_err() {
                break;
            }
        }
        fs::remove_dir_all(den.folder().join("epochs")).unwrap();
        copy_folder(&seals, &den.folder().join("epochs"));
        den.person("zoe").ok(&["join", added["invitation"].as_str().unwrap()]);
        assert!(is_granted(&shown(&den.person("zoe"), COHORT), "ben"));
        for (who, args) in [("anna", &GET[..]), ("seq", &["put", COHORT, "late"]), ("lab", &["rotate", COHORT])] {
            den.refuses(5, &["was rolled back"], who, args);
        }
    });
}

// ---- Stewards and officers ----

#[test]
fn a_steward_alone_lowers_the_level_and_the_log_says_who() {
    everywhere(|den| {
        let body = |level| {
            Body::FactsAmended(FactsAmended {
                facts: Facts::default(),
                level,
                reservations: Vec::new(),
                suspends: Set::default(),
                why: Text::parse("hers").unwrap(),
            })
        };
        for level in [5, 1] {
            says(&den.folder(), &den.world.person("deputy"), ledger(), body(level));
            assert_eq!(shown(&den.person("anna"), COHORT)["level"], level);
        }
        let log = den.person("anna").ok(&["log", COHORT]);
        let last = log.as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["kind"], &last["author"], &last["verdict"]),
            (&json!("facts-amended"), &json!("deputy"), &json!("applied"))
        );
        // No reader can.
        says(&den.folder(), &den.world.person("ben"), ledger(), body(2));
        assert_eq!(shown(&den.person("anna"), COHORT)["level"], 1);
    });
}

#[test]
fn a_steward_destroys_access_to_what_is_stored_and_the_log_says_who() {
    everywhere(|den| {
        // It opens an epoch and closes it over nothing: every manifest is declared void.
        assert!((1..9).any(|n| {
            let _ = den.person("deputy").killed(Fault::Before(n), &["rotate", COHORT]);
            shown(&den.person("officer"), COHORT)["epoch"] == 3
        }));
        let void: Vec<ManifestId> = den
            .named("manifests/", "")
            .into_iter()
            .map(|name| match name.parse() {
                Ok(ObjectName::Manifest { manifest, .. }) => manifest,
                _ => panic!("{name}"),
            })
            .collect();
        let body = EpochClosed { count: 0, epoch: 3, table: None, void: void.into_iter().collect() };
        says(&den.folder(), &den.world.person("deputy"), ledger(), Body::EpochClosed(body));
        den.refuses_but_pins(5, &["can't be read"], "anna", &GET);
        let log = den.person("anna").ok(&["log", COHORT]);
        assert_eq!(log.as_array().unwrap().last().unwrap()["author"], "deputy");
        let found = den.person("officer").ok(&["doctor"]);
        assert!(found["findings"].to_string().contains("can't be read by anybody"), "{found}");
    });
}

#[test]
fn an_officers_card_in_a_members_name_is_shown_before_a_seal_and_reads_from_then_on() {
    everywhere(|den| {
        let mallory = custodian(&den.world.new_person("mallory"));
        let terms = CardAddedTerms { card: B64(mallory.card().stored().to_vec()), member: "anna".parse().unwrap() };
        let body = Body::CardAdded(CardAdded { approval: None, terms });
        says(&den.folder(), &den.world.person("officer"), LedgerId::Vault, body);
        let opens = |den: &Den| loot(&[&mallory], &[&den.folder()], COHORT).opens(&den.folder()).len();
        assert_eq!(opens(den), 0, "a card alone opens nothing");
        // Whoever seals to it is told before, with its fingerprint, to compare it with its owner.
        let fingerprint = mallory.card().fingerprint();
        let shown = den.person("lab").run(&["grant", COHORT, "anna", "--dry-run"]);
        assert!(shown.stderr.contains("new here") && shown.stderr.contains(&fingerprint), "{}", shown.stderr);
        assert_eq!(opens(den), 0);
        let done = den.person("lab").run(&["rotate", COHORT]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stderr.contains("anna that is new here") && done.stderr.contains(&fingerprint), "{}", done.stderr);
        assert_eq!(opens(den), manifests(&den.folder()));
    });
}

#[test]
fn an_officer_reads_nothing_that_no_holder_granted() {
    everywhere(|den| {
        // It appoints itself steward, which opens nothing, and can't seal to itself.
        den.person("officer").ok(&["member", "role", "officer", "steward", "--dataset", COHORT]);
        for args in [&GET[..], &["grant", COHORT, "officer"], &["rotate", COHORT]] {
            let done = den.person("officer").run(args);
            assert_eq!(done.code, Some(4), "{:?} {}", den.kind, done.stderr);
        }
        let loot = loot(&[&custodian(&den.world.person("officer"))], &[&den.folder()], COHORT);
        assert_eq!((loot.epochs, loot.opens(&den.folder()).len()), (0, 0));
    });
}

// ---- A stolen identity file ----

#[test]
fn a_stolen_identity_file_is_guessed_offline_and_nothing_notices() {
    let world = story();
    let stolen = world.path("stolen.id");
    fs::copy(world.person("anna").identity(), &stolen).unwrap();
    let guess = |word: &str| file::unlock(&stolen, &Passphrase::new(word.to_owned()).unwrap()).is_ok();
    // Nobody is asked and nothing is counted: only the cost of each guess is in the way, which `identity new` sets.
    assert!(!guess("password") && !guess("a passphrase of the test"));
    assert!(guess(PASSPHRASE));
    let cost = vault_keys::file::read(&stolen).unwrap().cost();
    assert_eq!((cost.m_kib(), cost.t()), (8 << 10, 1), "identities of the tests are cheap to guess, and say so");
    assert_eq!(vault_keys::identity::Cost::DEFAULT.m_kib(), 262_144);
}

//! Killed at every call that changes the vault: nothing is lost or gained, and the same verb, run again by the same or another
//! person, ends where an undisturbed run ends.

use std::collections::BTreeSet;
use std::fs;

use vault_tests::world::{Fault, World, objects, strings};

use crate::story::{COHORT, Settled, contents, is_sound, reads, settle, shown, story};
use crate::transfer::packs;

/// More calls than any verb here makes.
const MOST: u64 = 60;

/// Runs a verb with a kill before and after each call that changes something, each time on a new copy, and hands over what is left.
/// Returns how many calls there are.
#[track_caller]
fn killed_everywhere(of: &World, who: &str, args: &[&str], then: impl Fn(&World, Fault)) -> u64 {
    for n in 1..MOST {
        for fault in [Fault::Before(n), Fault::After(n)] {
            let world = of.copy();
            if !world.person(who).killed(fault, args) {
                assert!(n > 1, "the command was not killed: is it a debug build?");
                return n - 1;
            }
            then(&world, fault);
        }
    }
    panic!("{args:?} makes more than {MOST} calls");
}

/// Something new can be uploaded and is read by exactly those who have a grant.
#[track_caller]
fn works(world: &World) {
    world.write("news/today.txt", b"sealed after all that");
    world.person("seq").ok(&["put", COHORT, "news"]);
    let shown = shown(&world.person("lab"), COHORT);
    for (member, grant) in shown["grants"].as_object().unwrap() {
        let person = world.person(member);
        if grant["current"] == true {
            assert_eq!(person.run(&["cat", COHORT, "news/today.txt"]).bytes(), b"sealed after all that", "{member}");
        } else {
            person.gets_nothing(4, COHORT);
        }
    }
}

/// The whole of it for a verb on the story's dataset: who was killed before a call finishes it, and another one who was killed after it.
#[track_caller]
fn crashes(of: &World, who: &str, args: &[&str], other: &str) -> u64 {
    crashes_but(of, who, args, other, |_| {})
}

/// As [`crashes`], without what `forget` takes out of both results.
#[track_caller]
fn crashes_but(of: &World, who: &str, args: &[&str], other: &str, forget: impl Fn(&mut Settled)) -> u64 {
    let undisturbed = of.copy();
    undisturbed.person(who).ok(args);
    works(&undisturbed);
    let mut expected = settle(&undisturbed, COHORT);
    forget(&mut expected);
    killed_everywhere(of, who, args, |world, fault| {
        let finisher = if matches!(fault, Fault::Before(_)) { who } else { other };
        eprintln!("{who} killed {fault:?}, finished by {finisher}");
        is_sound(world);
        world.person(finisher).ok(args);
        works(world);
        let mut settled = settle(world, COHORT);
        forget(&mut settled);
        assert_eq!(settled, expected);
    })
}

/// The journals of uploads that somebody has.
fn journals(world: &World, name: &str) -> BTreeSet<String> {
    let state = objects(&world.person(name).state());
    state.into_keys().filter(|path| path.contains("/uploads/") && !path.ends_with("/lock")).collect()
}

#[test]
fn a_killed_revoke_is_finished_by_any_steward() {
    let calls = crashes(&story(), "lab", &["revoke", COHORT, "ben"], "deputy");
    // The revocation, five seals, the opening, a table, the closing, the deletion.
    assert!(calls >= 9, "{calls}");
}

#[test]
fn a_killed_rotation_is_finished_by_any_steward() {
    let calls = crashes(&story(), "deputy", &["rotate", COHORT], "lab");
    assert!(calls >= 9, "{calls}");
}

#[test]
fn a_killed_grant_is_finished_by_any_steward() {
    let calls = crashes(&story(), "lab", &["grant", COHORT, "eve"], "deputy");
    assert!(calls >= 2, "{calls}");
}

#[test]
fn a_killed_rotation_with_new_bytes_is_finished_by_any_steward() {
    let args = ["rotate", COHORT, "--reencrypt"];
    let calls = crashes_but(&story(), "lab", &args, "deputy", Settled::forget_unfinished_uploads);
    assert!(calls >= 15, "{calls}");
}

#[test]
fn a_killed_removal_of_files_is_done_or_not_and_can_be_run_again() {
    let story = story();
    let args = ["rm", COHORT, "run/empty"];
    killed_everywhere(&story, "lab", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        let there = world.person("anna").sees(COHORT).contains_key("run/empty");
        assert_eq!(there, matches!(fault, Fault::Before(_)));
        let deputy = world.person("deputy");
        if there {
            deputy.ok(&args);
        } else {
            deputy.fails(3, &args);
        }
        assert!(!world.person("anna").gets(COHORT).contains_key("run/empty"));
        settle(world, COHORT);
    });
}

#[test]
fn a_killed_put_goes_on_and_sends_no_pack_twice() {
    let story = story();
    story.write("big/one.bam", &reads(300_000));
    story.write("big/two.bam", &reads(1_000));
    let args = ["put", COHORT, "big"];
    let undisturbed = story.copy();
    undisturbed.person("seq").ok(&args);
    let expected = settle(&undisturbed, COHORT);
    let calls = killed_everywhere(&story, "seq", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        is_sound(world);
        let stored = packs(world);
        let done = world.person("seq").ok(&args);
        assert!(stored.is_subset(&packs(world)), "a pack that was stored is not used");
        assert_eq!(done["files"], 2);
        let got = world.person("anna").gets(COHORT);
        assert!(got["big/one.bam"] == reads(300_000) && got["big/two.bam"] == reads(1_000));
        assert_eq!(settle(world, COHORT), expected);
        assert_eq!(journals(world, "seq"), BTreeSet::new(), "the journal is left behind");
    });
    assert!(calls >= 6, "{calls}");
}

#[test]
fn a_killed_creation_of_a_dataset_is_finished_by_the_same_command() {
    let args = ["dataset", "create", "second", "--title", "Another", "--uploader", "seq", "--uploader", "anna"];
    let story = story();
    let undisturbed = story.copy();
    undisturbed.person("lab").ok(&args);
    let expected = settle(&undisturbed, "second");
    undisturbed.person("lab").fails(6, &args);
    let calls = killed_everywhere(&story, "lab", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        is_sound(world);
        // After the last call there is nothing left to finish.
        let exists = world.objects().contains_key("ledger/dataset/second/0000000000");
        if exists && shown(&world.person("lab"), "second")["uploaders"].as_array().unwrap().len() == 2 {
            world.person("lab").fails(6, &args);
        } else {
            world.person("lab").ok(&args);
        }
        assert_eq!(settle(world, "second"), expected);
        world.write("x/y", b"z");
        world.person("seq").ok(&["put", "second", "x"]);
        assert_eq!(world.person("lab").gets("second")["x/y"], b"z");
        world.person("anna").gets_nothing(4, "second");
    });
    assert!(calls >= 5, "{calls}");
}

#[test]
fn keys_of_a_dataset_that_was_never_created_are_cleared_away() {
    let world = story();
    assert!(world.person("lab").killed(Fault::After(1), &["dataset", "create", "second"]));
    world.grow_old();
    let report = world.person("officer").ok(&["doctor"]);
    assert_eq!(report["sound"], false, "{report}");
    world.person("officer").ok(&["doctor", "--repair"]);
    assert!(!world.objects().keys().any(|name| name.starts_with("epochs/second/")));
    assert_eq!(world.person("officer").ok(&["doctor"])["sound"], true);
}

#[test]
fn a_killed_enrolment_is_finished_by_the_same_command() {
    let story = story();
    let _ = story.new_person("zoe");
    let args = ["member", "add", "zoe", "--card", "zoe.card", "--role", "creator", "--role", "auditor"];
    let calls = killed_everywhere(&story, "officer", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        is_sound(world);
        let officer = world.person("officer");
        // After the last call there is nothing left but to print the invitation.
        let is_over = officer.run(&["member", "show", "zoe", "--json"]).code == Some(0)
            && officer.ok(&["member", "show", "zoe"])["roles"].as_array().unwrap().len() == 2;
        let invited = officer.ok(if is_over { &["member", "invite", "zoe"] } else { &args });
        let zoe = world.person("zoe");
        zoe.ok(&["join", invited["invitation"].as_str().unwrap()]);
        zoe.ok(&["dataset", "create", "zoes"]);
        is_sound(world);
    });
    assert_eq!(calls, 3);
}

#[test]
fn a_killed_retirement_counts_everywhere_after_it_was_run_again_by_any_officer() {
    let story = story();
    story.person("officer").ok(&["member", "role", "deputy", "officer"]);
    story.person("lab").ok(&["dataset", "create", "second"]);
    story.person("lab").ok(&["grant", "second", "ben"]);
    let args = ["member", "retire", "ben", "--reason", "left"];
    let calls = killed_everywhere(&story, "officer", &args, |world, fault| {
        let finisher = if matches!(fault, Fault::Before(_)) { "officer" } else { "deputy" };
        eprintln!("killed {fault:?}, finished by {finisher}");
        is_sound(world);
        let done = world.person(finisher).ok(&args);
        assert_eq!(strings(&done["datasets"]).len(), 2, "{done}");
        world.person("ben").gets_nothing(4, COHORT);
        assert_eq!(shown(&world.person("anna"), COHORT)["stale"], true);
        world.person("seq").fails(4, &["put", COHORT, "late", "--replace"]);
        world.person("lab").ok(&["rotate", COHORT]);
        world.person("lab").ok(&["rotate", "second"]);
        settle(world, COHORT);
        works(world);
    });
    assert_eq!(calls, 3);
}

#[test]
fn a_killed_replacement_of_a_card_is_finished_by_the_same_command() {
    let story = story();
    let anna = story.person("anna");
    let old = anna.ok(&["identity", "show"])["card"].as_str().unwrap().to_owned();
    anna.make_identity("anna-new");
    let args = ["member", "replace-key", "anna", "--old", &old, "--card", "anna-new.card"];
    let calls = killed_everywhere(&story, "officer", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        let verified = world.person("officer").ok(&["verify", "--data"]);
        assert_eq!(verified["sound"], true);
        world.person("officer").ok(&args);
        world.person("lab").ok(&["grant", COHORT, "anna"]);
        world.person("lab").ok(&["rotate", COHORT]);
        world.person("anna").gets_nothing(4, COHORT);
        let got = world.person("anna").with_identity("anna-new").gets(COHORT);
        assert_eq!(got, contents());
        settle(world, COHORT);
    });
    assert_eq!(calls, 3);
}

#[test]
fn a_killed_repair_is_finished_by_the_same_command() {
    let story = story();
    story.person("officer").ok(&["member", "role", "deputy", "officer"]);
    for _ in 0..4 {
        // Enough entries for a bundle, which is then lost.
        story.person("lab").ok(&["member", "role", "eve", "uploader", "--dataset", COHORT]);
        story.person("lab").ok(&["member", "role", "eve", "uploader", "--dataset", COHORT, "--remove"]);
    }
    for name in story.objects().into_keys().filter(|name| name.contains("bundle-") || name.starts_with("index/")) {
        fs::remove_file(story.vault().join(name)).unwrap();
    }
    let args = ["doctor", "--repair"];
    killed_everywhere(&story, "officer", &args, |world, fault| {
        eprintln!("killed {fault:?}");
        is_sound(world);
        world.person("deputy").ok(&args);
        settle(world, COHORT);
    });
}

#[test]
fn a_killed_creation_of_a_vault_is_finished_by_the_same_command_and_by_no_other() {
    let empty = World::new();
    for name in ["officer", "keeper"] {
        let _ = empty.new_person(name);
    }
    let place = |world: &World| world.vault().to_str().unwrap().to_owned();
    for n in 1..MOST {
        for fault in [Fault::Before(n), Fault::After(n)] {
            let world = empty.copy();
            let officer = world.person("officer");
            let args = ["init", &place(&world), "--recovery", "keeper.card"];
            if !officer.killed(fault, &args) {
                assert_eq!(n, 3, "the genesis, the role");
                return;
            }
            eprintln!("killed {fault:?}");
            let is_over = fault == Fault::After(2);
            // Other options make another vault, and somebody else another one too.
            let other = ["init", &place(&world)];
            officer.fails(6, &other);
            world.person("keeper").fails(6, &["init", &place(&world), "--recovery", "keeper.card"]);
            // Later than the first one, as its time tells.
            let later = officer.in_seconds(5);
            if is_over {
                later.fails(6, &args);
            } else {
                later.ok(&args);
            }
            officer.ok(&["dataset", "create", "first"]);
            assert_eq!(officer.ok(&["verify"])["sound"], true);
        }
    }
}

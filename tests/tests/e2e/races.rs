//! Two people at once: one stands still before a chosen call while the other does all of theirs. Whatever the order, both succeed or one is
//! told; every ledger stays sound, the newest epoch is sealed to exactly those who may read, and nothing is left behind.

use serde_json::Value;
use vault_tests::world::{Done, Fault, World};

use crate::story::{COHORT, contents, is_granted, is_sound, settle, shown, story};

/// More points than any verb here has.
const MOST: u64 = 60;

/// For each call of `slow` that changes something (`any`), or each object that it reads (`read`): `slow` waits before it, `fast` runs to its end, `slow` goes on, and `then` looks at both.
/// Returns how many points there are.
#[track_caller]
fn interleaved(of: &World, slow: (&str, &[&str]), fast: impl Fn(&World), then: impl Fn(&World, Done)) -> u64 {
    interleaved_at("any", of, slow, fast, then)
}

#[track_caller]
fn interleaved_at(
    what: &str,
    of: &World,
    slow: (&str, &[&str]),
    fast: impl Fn(&World),
    then: impl Fn(&World, Done),
) -> u64 {
    for n in 1..MOST {
        let world = of.copy();
        let mut running = world.person(slow.0).start_paused(&format!("{what}:{n}"), slow.1);
        if !running.is_paused() {
            running.finish().bytes();
            assert!(n > 1, "the command did not wait: is it a debug build?");
            return n - 1;
        }
        eprintln!("{} waits at {n}", slow.0);
        fast(&world);
        then(&world, running.finish());
    }
    panic!("{:?} makes more than {MOST} calls", slow.1);
}

/// Everybody reads as the ledger says, and after repair nothing is amiss. Returns the dataset as it is shown.
#[track_caller]
fn all_is_well(world: &World) -> Value {
    is_sound(world);
    settle(world, COHORT);
    is_sound(world);
    shown(&world.person("officer"), COHORT)
}

#[test]
fn two_rotations_end_in_one_closed_epoch_wherever_they_meet() {
    let args = ["rotate", COHORT];
    let points = interleaved(
        &story(),
        ("lab", &args),
        |world| drop(world.person("deputy").ok(&args)),
        |world, slow| {
            slow.ok();
            all_is_well(world);
        },
    );
    assert!(points >= 9, "{points}");
}

#[test]
fn two_rotations_begun_at_once_both_succeed_again_and_again() {
    let world = story();
    let args = ["rotate", COHORT];
    for _ in 0..8 {
        let both = ["lab", "deputy"].map(|name| world.person(name).start(&args));
        for one in both {
            one.finish().ok();
        }
        assert_eq!(shown(&world.person("anna"), COHORT)["stale"], false);
    }
    all_is_well(&world);
}

#[test]
fn a_grant_that_meets_a_rotation_reaches_the_new_epoch() {
    let points = interleaved(
        &story(),
        ("lab", &["grant", COHORT, "eve"]),
        |world| drop(world.person("deputy").ok(&["rotate", COHORT])),
        |world, slow| {
            slow.ok();
            assert!(is_granted(&all_is_well(world), "eve"));
        },
    );
    assert!(points >= 2, "{points}");
}

#[test]
fn a_rotation_that_meets_a_grant_seals_the_new_epoch_to_it() {
    let points = interleaved(
        &story(),
        ("lab", &["rotate", COHORT]),
        |world| drop(world.person("deputy").ok(&["grant", COHORT, "eve"])),
        |world, slow| {
            slow.ok();
            assert!(is_granted(&all_is_well(world), "eve"));
        },
    );
    assert!(points >= 9, "{points}");
}

#[test]
fn a_revoke_wins_over_a_grant_that_was_decided_before_it() {
    let points = interleaved(
        &story(),
        ("lab", &["grant", COHORT, "ben"]),
        |world| drop(world.person("deputy").ok(&["revoke", COHORT, "ben"])),
        |world, slow| {
            let said = slow.fails(6);
            assert!(said.contains("ben"), "{said}");
            assert!(!is_granted(&all_is_well(world), "ben"));
        },
    );
    assert!(points >= 2, "{points}");
}

#[test]
fn a_revoke_that_meets_a_grant_of_somebody_else_keeps_both() {
    interleaved(
        &story(),
        ("lab", &["revoke", COHORT, "ben"]),
        |world| drop(world.person("deputy").ok(&["grant", COHORT, "eve"])),
        |world, slow| {
            slow.ok();
            let shown = all_is_well(world);
            assert!(is_granted(&shown, "eve") && !is_granted(&shown, "ben"), "{shown}");
        },
    );
}

#[test]
fn two_revokes_of_different_members_both_count() {
    interleaved(
        &story(),
        ("lab", &["revoke", COHORT, "ben"]),
        |world| drop(world.person("deputy").ok(&["revoke", COHORT, "anna"])),
        |world, slow| {
            slow.ok();
            let shown = all_is_well(world);
            assert!(!is_granted(&shown, "anna") && !is_granted(&shown, "ben"), "{shown}");
        },
    );
}

#[test]
fn one_dataset_id_is_created_once() {
    let story = story();
    story.person("officer").ok(&["member", "role", "deputy", "creator"]);
    let points = interleaved(
        &story,
        ("lab", &["dataset", "create", "second", "--title", "Lab's"]),
        |world| drop(world.person("deputy").ok(&["dataset", "create", "second", "--title", "Deputy's"])),
        |world, slow| {
            slow.fails(6);
            settle(world, "second");
            assert_eq!(shown(&world.person("anna"), "second")["title"], "Deputy's");
            world.write("x/y", b"z");
            world.person("deputy").ok(&["put", "second", "x"]);
            assert_eq!(world.person("keeper").gets("second")["x/y"], b"z");
            world.person("lab").gets_nothing(4, "second");
        },
    );
    assert!(points >= 3, "{points}");
}

#[test]
fn one_member_id_is_enrolled_once_and_two_at_once_both() {
    let story = story();
    story.person("officer").ok(&["member", "role", "lab", "officer"]);
    for name in ["zoe", "max"] {
        let _ = story.new_person(name);
    }
    let points = interleaved(
        &story,
        ("officer", &["member", "add", "zoe", "--card", "zoe.card"]),
        |world| drop(world.person("lab").ok(&["member", "add", "zoe", "--card", "max.card"])),
        |world, slow| {
            slow.fails(4);
            is_sound(world);
        },
    );
    assert_eq!(points, 1);
    interleaved(
        &story,
        ("officer", &["member", "add", "zoe", "--card", "zoe.card"]),
        |world| drop(world.person("lab").ok(&["member", "add", "max", "--card", "max.card"])),
        |world, slow| {
            let invited = slow.ok();
            world.person("zoe").ok(&["join", invited["invitation"].as_str().unwrap()]);
            is_sound(world);
        },
    );
}

#[test]
fn an_upload_that_meets_a_rotation_is_committed_to_the_new_epoch() {
    let story = story();
    story.write("news/today.txt", b"sealed meanwhile");
    let points = interleaved(
        &story,
        ("seq", &["put", COHORT, "news"]),
        |world| drop(world.person("lab").ok(&["rotate", COHORT])),
        |world, slow| {
            slow.ok();
            all_is_well(world);
            assert_eq!(world.person("anna").gets(COHORT)["news/today.txt"], b"sealed meanwhile");
        },
    );
    assert!(points >= 7, "{points}");
}

#[test]
fn a_rotation_that_meets_an_upload_carries_it_on() {
    let story = story();
    story.write("news/today.txt", b"sealed meanwhile");
    interleaved(
        &story,
        ("lab", &["rotate", COHORT]),
        |world| drop(world.person("seq").ok(&["put", COHORT, "news"])),
        |world, slow| {
            slow.ok();
            all_is_well(world);
            assert_eq!(world.person("anna").gets(COHORT)["news/today.txt"], b"sealed meanwhile");
        },
    );
}

#[test]
fn an_upload_that_meets_a_revoke_is_not_for_who_was_revoked() {
    let story = story();
    story.write("news/today.txt", b"sealed meanwhile");
    interleaved(
        &story,
        ("seq", &["put", COHORT, "news"]),
        |world| drop(world.person("deputy").ok(&["revoke", COHORT, "ben"])),
        |world, slow| {
            slow.ok();
            let shown = all_is_well(world);
            assert!(!is_granted(&shown, "ben"), "{shown}");
            assert_eq!(world.person("anna").gets(COHORT)["news/today.txt"], b"sealed meanwhile");
            world.person("ben").gets_nothing(4, COHORT);
        },
    );
}

#[test]
fn an_upload_that_meets_a_revoke_without_rotation_waits_and_goes_on_after_it() {
    let story = story();
    story.write("news/today.txt", b"sealed meanwhile");
    let args = ["put", COHORT, "news"];
    interleaved(
        &story,
        ("seq", &args),
        // An officer ends the grant and can't rotate.
        |world| {
            let done = world.person("officer").ok(&["revoke", COHORT, "ben"]);
            assert!(done["waits_for_steward"].is_string(), "{done}");
        },
        |world, slow| {
            let said = slow.fails(4);
            assert!(said.contains("rotate"), "{said}");
            let packs = world.objects().into_keys().filter(|name| name.starts_with("packs/")).count();
            world.person("seq").fails(4, &args);
            world.person("lab").ok(&["rotate", COHORT]);
            world.person("seq").ok(&args);
            let now = world.objects().into_keys().filter(|name| name.starts_with("packs/")).count();
            assert!(now >= packs);
            all_is_well(world);
            assert_eq!(world.person("anna").gets(COHORT)["news/today.txt"], b"sealed meanwhile");
        },
    );
}

#[test]
fn an_upload_by_somebody_who_meanwhile_may_not_is_not_committed() {
    for end in [
        ["member", "role", "seq", "uploader", "--dataset", COHORT, "--remove"].as_slice(),
        ["member", "retire", "seq"].as_slice(),
    ] {
        let world = story();
        let who = if end[1] == "role" { "lab" } else { "officer" };
        world.write("news/today.txt", b"never seen");
        let mut put = world.person("seq").start_paused("append:2", &["put", COHORT, "news"]);
        assert!(put.is_paused());
        world.person(who).ok(end);
        put.finish().fails(4);
        assert_eq!(world.person("anna").gets(COHORT), contents());
        is_sound(&world);
    }
}

/// A server does not release a pack of an upload that is over, and says no more than that; nor is it said why a commit is void.
#[test]
fn an_upload_that_is_closed_while_it_goes_on_is_said_to_be_and_the_same_command_begins_anew() {
    const DAY: i64 = 86_400;
    let args = ["put", COHORT, "news", "--days", "1"];
    for at in ["read:1", "append:1"] {
        let world = story();
        world.write("news/today.txt", b"sent twice");
        // Dead between a pack and its acknowledgement, so the next run asks for that pack.
        assert!(world.person("seq").killed(Fault::After(2), &args));
        let mut put = world.person("seq").start_paused(at, &args);
        assert!(put.is_paused(), "{at}");
        let later = |name: &str| world.person(name).in_seconds(2 * DAY);
        let report = later("lab").ok(&["doctor", "--repair"]);
        assert!(report["repaired"].to_string().contains("upload"), "{report}");
        let said = put.finish().fails(6);
        assert!(said.contains("was closed meanwhile") && said.contains("run the same command again"), "{at}: {said}");
        later("seq").ok(&args);
        assert_eq!(later("anna").gets(COHORT)["news/today.txt"], b"sent twice");
        is_sound(&world);
    }
}

#[test]
fn files_removed_while_they_are_sealed_anew_stay_removed() {
    let story = story();
    interleaved(
        &story,
        ("lab", &["rotate", COHORT, "--reencrypt"]),
        |world| drop(world.person("deputy").ok(&["rm", COHORT, "run/empty"])),
        |world, slow| {
            slow.ok();
            assert!(!world.person("anna").gets(COHORT).contains_key("run/empty"));
        },
    );
}

#[test]
fn files_sealed_anew_while_they_are_removed_stay_removed() {
    let points = interleaved(
        &story(),
        ("lab", &["rm", COHORT, "run/empty"]),
        |world| drop(world.person("deputy").ok(&["rotate", COHORT, "--reencrypt"])),
        |world, slow| {
            slow.ok();
            assert!(!world.person("anna").gets(COHORT).contains_key("run/empty"));
        },
    );
    assert_eq!(points, 1);
}

#[test]
fn a_reader_is_not_disturbed_by_a_rotation_that_ends_meanwhile() {
    for args in [["ls", COHORT].as_slice(), &["cat", COHORT, "late/notes.txt"], &["get", COHORT, "--output", "got"]] {
        let points = interleaved_at(
            "read",
            &story(),
            ("anna", args),
            |world| drop(world.person("deputy").ok(&["rotate", COHORT])),
            |_, slow| drop(slow.bytes()),
        );
        // A seal, a table, a header, two manifests, two pack lists.
        assert!(points >= 6, "{args:?} {points}");
    }
}

#[test]
fn a_rotation_is_not_disturbed_by_another_that_ends_while_it_reads() {
    interleaved_at(
        "read",
        &story(),
        ("lab", &["rotate", COHORT]),
        |world| drop(world.person("deputy").ok(&["rotate", COHORT])),
        |world, slow| {
            slow.ok();
            settle(world, COHORT);
            assert_eq!(world.person("anna").gets(COHORT), contents());
        },
    );
}

#[test]
fn a_reader_whose_packs_are_sealed_anew_meanwhile_gets_all_or_runs_again() {
    interleaved_at(
        "read",
        &story(),
        ("anna", &["get", COHORT, "--output", "got"]),
        |world| drop(world.person("lab").ok(&["rotate", COHORT, "--reencrypt"])),
        |world, slow| {
            if slow.code != Some(0) {
                slow.fails(3);
                world.person("anna").ok(&["get", COHORT, "--output", "got", "--force"]);
            }
            for (path, bytes) in contents() {
                assert!(std::fs::read(world.path("got").join(&path)).unwrap() == bytes, "{path}");
            }
        },
    );
}

#[test]
fn everybody_at_once_again_and_again_leaves_a_sound_vault() {
    let world = story();
    for round in 0..6 {
        let name = format!("round-{round}");
        world.write(&format!("{name}/file"), name.as_bytes());
        let of_ben = if round % 2 == 0 { ["revoke", COHORT, "ben"] } else { ["grant", COHORT, "ben"] };
        let output = format!("got-{round}");
        let running = [
            world.person("lab").start(&["rotate", COHORT]),
            world.person("deputy").start(&of_ben),
            world.person("seq").start(&["put", COHORT, &name]),
            world.person("anna").start(&["get", COHORT, "--output", &output]),
            world.person("officer").start(&["doctor", "--repair"]),
        ];
        for (part, one) in running.into_iter().enumerate() {
            let done = one.finish();
            // An upload that meets a revocation before its rotation waits.
            if part == 2 && done.code == Some(4) {
                world.person("lab").ok(&["rotate", COHORT]);
                world.person("seq").ok(&["put", COHORT, &name]);
            } else {
                done.bytes();
            }
        }
    }
    let shown = all_is_well(&world);
    assert!(is_granted(&shown, "ben"), "{shown}");
    let got = world.person("ben").gets(COHORT);
    for round in 0..6 {
        assert_eq!(got[&format!("round-{round}/file")], format!("round-{round}").as_bytes());
    }
}

#[test]
fn an_upload_that_was_killed_before_a_rotation_goes_on_after_it() {
    let story = story();
    story.write("news/today.txt", b"sealed meanwhile");
    for n in 1..8 {
        let world = story.copy();
        if !world.person("seq").killed(vault_tests::world::Fault::Before(n), &["put", COHORT, "news"]) {
            assert!(n > 6, "{n}");
            return;
        }
        world.person("lab").ok(&["revoke", COHORT, "ben"]);
        world.person("seq").ok(&["put", COHORT, "news"]);
        all_is_well(&world);
        assert_eq!(world.person("anna").gets(COHORT)["news/today.txt"], b"sealed meanwhile");
    }
}

//! Killed at every call that changes the vault: nothing is lost or gained, and the same verb, run again by the same or another
//! person, ends where an undisturbed run ends.

use vault_tests::world::{Fault, World};

use crate::story::{COHORT, is_sound, settle, shown, story};

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
            assert!(person.sees(COHORT).contains_key("news/today.txt"), "{member}");
        } else {
            person.fails(4, &["ls", COHORT]);
        }
    }
}

/// The whole of it for a verb on the story's dataset: who was killed before a call finishes it, and another one who was killed after it.
#[track_caller]
fn crashes(of: &World, who: &str, args: &[&str], other: &str) -> u64 {
    let undisturbed = of.copy();
    undisturbed.person(who).ok(args);
    works(&undisturbed);
    let expected = settle(&undisturbed, COHORT);
    killed_everywhere(of, who, args, |world, fault| {
        let finisher = if matches!(fault, Fault::Before(_)) { who } else { other };
        eprintln!("{who} killed {fault:?}, finished by {finisher}");
        is_sound(world);
        world.person(finisher).ok(args);
        works(world);
        assert_eq!(settle(world, COHORT), expected);
    })
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

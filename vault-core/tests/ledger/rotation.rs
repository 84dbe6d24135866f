//! What a rotation asks for next, from every state, by anybody, after every crash. Spec sections 5.4 and 6.2.

use std::collections::BTreeSet;

use vault_core::ids::{CardId, Digest, MemberId};
use vault_core::ledger::dataset::KeyPlace;
use vault_core::ledger::statement::*;
use vault_core::rotation::{self, Goal, RotationError, Step};

use super::world::*;

/// The next step for a card of the cast.
pub(crate) fn next(w: &World, name: &str, goal: Goal) -> Result<Step, RotationError> {
    rotation::next(w.data(), &w.state, &member(name), &w.card(name), w.at(), goal)
}

/// The statement that a step ends with; `None` if there is none.
pub(crate) fn statement_of(w: &mut World, step: &Step) -> Option<Body> {
    match step {
        Step::Open { epoch, seal_to, unsealed } => Some(Body::EpochOpened(EpochOpened {
            epoch: *epoch,
            public: w.new_public(),
            reason: text("rotation"),
            revokes: Set::default(),
            seals: seals(w, seal_to),
            unsealed: unsealed.iter().cloned().collect(),
        })),
        Step::Close { epoch, manifests } => {
            let count = manifests.len() as u64;
            let table = (count > 0).then_some(Digest([5; 32]));
            Some(Body::EpochClosed(EpochClosed { count, epoch: *epoch, table, void: Set::default() }))
        }
        Step::CleanUp { .. } => None,
    }
}

fn seals(w: &mut World, to: &BTreeSet<(MemberId, CardId)>) -> Set<Seal> {
    to.iter().map(|(member, card)| Seal { card: *card, member: member.clone(), sha256: w.digest() }).collect()
}

/// Does one step; false if nothing is left to be said.
#[track_caller]
fn step(w: &mut World, name: &str, goal: Goal) -> bool {
    let step = next(w, name, goal).unwrap();
    match statement_of(w, &step) {
        Some(body) => {
            w.does(name, body);
            true
        }
        None => false,
    }
}

/// Runs to the end; how many statements it took.
#[track_caller]
pub(crate) fn run(w: &mut World, name: &str, goal: Goal) -> usize {
    (0..10).find(|_| !step(w, name, goal)).expect("a rotation that does not end")
}

fn world() -> World {
    let mut w = World::with_dataset();
    let granted = w.granted("sven");
    w.does("stella", granted);
    w.uploads("uma");
    w
}

fn is_over(w: &World) -> bool {
    w.data().newest() == w.data().closed() && !w.data().is_stale(&w.state, w.at())
}

#[test]
fn a_fresh_dataset_has_nothing_to_settle() {
    let mut w = world();
    let goal = Goal::settle(w.data());
    assert_eq!(next(&w, "stella", goal), Ok(Step::CleanUp { below: 1 }));
    assert_eq!(run(&mut w, "stella", goal), 0);
}

#[test]
fn a_rotation_opens_closes_and_cleans_up() {
    let mut w = world();
    let goal = Goal::rotate(w.data());
    let Ok(Step::Open { epoch: 2, seal_to, unsealed }) = next(&w, "stella", goal) else { panic!() };
    let names: Vec<_> = seal_to.iter().map(|(m, _)| m.as_str()).collect();
    assert_eq!(names, ["reco", "rita", "stella", "sven"]);
    assert!(unsealed.is_empty());
    assert!(step(&mut w, "stella", goal));
    let manifests = w.data().manifests().keys().copied().collect();
    assert_eq!(next(&w, "stella", goal), Ok(Step::Close { epoch: 2, manifests }));
    assert!(step(&mut w, "stella", goal));
    assert_eq!(next(&w, "stella", goal), Ok(Step::CleanUp { below: 2 }));
    assert!(is_over(&w));
    assert_eq!(Goal::rotate(w.data()), Goal { epoch: 3 });
}

#[test]
fn anybody_who_holds_the_keys_goes_on_after_a_crash() {
    for crash in 0..3 {
        let mut w = world();
        let goal = Goal::rotate(w.data());
        for _ in 0..crash {
            step(&mut w, "stella", goal);
        }
        w.uploads("uma");
        // Another steward who comes later wants a rotation too: the one that was begun is it.
        let goal = Goal::rotate(w.data());
        run(&mut w, "sven", goal);
        let rotations = if crash == 2 { 3 } else { 2 };
        assert_eq!((w.data().newest(), w.data().closed()), (rotations, rotations), "{crash}");
        assert!(is_over(&w));
    }
}

#[test]
fn two_rotators_end_in_one_rotation() {
    let mut w = world();
    let goal = Goal::rotate(w.data());
    for (first, second) in [("stella", "sven"), ("sven", "stella")] {
        let (theirs, mine) = (next(&w, first, goal).unwrap(), next(&w, second, goal).unwrap());
        assert_eq!(theirs, mine);
        let (body, late) = (statement_of(&mut w, &theirs).unwrap(), statement_of(&mut w, &mine).unwrap());
        w.does(first, body);
        // The second has lost its place; said again as it was it would be void.
        let statement = w.dataset_draft(second, late);
        assert!(matches!(w.would(&statement.ledger, w.sign(second, &statement)), Void(_)));
    }
    assert_eq!(next(&w, "sven", goal), Ok(Step::CleanUp { below: 2 }));
    assert_eq!(next(&w, "stella", goal), Ok(Step::CleanUp { below: 2 }));
}

#[test]
fn a_revocation_in_the_middle_opens_another_epoch() {
    for at in 1..=2 {
        let mut w = world();
        let goal = Goal::rotate(w.data());
        for _ in 0..at {
            step(&mut w, "stella", goal);
        }
        w.does("rita", revoked("rita"));
        let Ok(Step::Open { epoch: 3, seal_to, .. }) = next(&w, "stella", goal) else { panic!() };
        assert!(!seal_to.iter().any(|(m, _)| *m == member("rita")));
        run(&mut w, "sven", goal);
        assert_eq!((w.data().newest(), w.data().closed()), (3, 3));
        assert!(is_over(&w));
        assert!(w.data().manifests().values().all(|m| m.key == KeyPlace::Table { epoch: 3 }));
    }
}

#[test]
fn what_makes_an_epoch_stale_is_settled() {
    let mut w = world();
    w.vault_does("olga", w.card_retired("rita"));
    let goal = Goal::settle(w.data());
    let Ok(Step::Open { epoch: 2, unsealed, .. }) = next(&w, "stella", goal) else { panic!() };
    assert!(unsealed.iter().eq([&member("rita")]));
    assert_eq!(run(&mut w, "stella", goal), 2);
    assert_eq!(next(&w, "stella", Goal::settle(w.data())), Ok(Step::CleanUp { below: 2 }));
}

#[test]
fn a_manifest_of_the_newest_epoch_is_not_carried() {
    let mut w = world();
    let goal = Goal::rotate(w.data());
    step(&mut w, "stella", goal);
    let new = w.uploads("uma");
    let Ok(Step::Close { manifests, .. }) = next(&w, "stella", goal) else { panic!() };
    assert_eq!(manifests.len(), 1);
    assert!(!manifests.contains(&new));
}

#[test]
fn a_goal_further_on_takes_as_many_epochs() {
    let mut w = world();
    let goal = Goal { epoch: 4 };
    assert_eq!(run(&mut w, "stella", goal), 4);
    assert_eq!((w.data().newest(), w.data().closed()), (4, 4));
}

#[test]
fn opening_takes_a_steward_whose_card_holds_the_newest_epoch() {
    let mut w = world();
    let goal = Goal::rotate(w.data());
    for name in ["rita", "uma", "olga", "reco", "mallory"] {
        assert_eq!(next(&w, name, goal), Err(RotationError::NotHolder { epoch: 1 }), "{name}");
    }
    w.add_card("stella/2");
    assert_eq!(next(&w, "stella/2", goal), Err(RotationError::NotHolder { epoch: 1 }));
    w.vault_does("olga", role("stella", Role::Steward, false));
    assert_eq!(next(&w, "stella", goal), Err(RotationError::NotHolder { epoch: 1 }));
    assert!(next(&w, "sven", goal).is_ok());
}

#[test]
fn closing_takes_a_card_that_opens_every_unclosed_epoch() {
    let mut w = world();
    w.add_card("stella/2");
    let goal = Goal::rotate(w.data());
    step(&mut w, "sven", goal);
    // The new card was sealed to in the second epoch alone: it could not read the manifests that a table carries.
    let little = Err(RotationError::HoldsTooLittle { from: 1, to: 2 });
    assert_eq!(next(&w, "stella/2", goal), little);
    assert_eq!(next(&w, "rita", goal), little);
    assert!(matches!(next(&w, "stella", goal), Ok(Step::Close { .. })));
    let card = w.card("stella/2");
    let sealed = w.card_sealed("stella", &[card]);
    w.does("stella", sealed);
    assert!(matches!(next(&w, "stella/2", goal), Ok(Step::Close { .. })));
}

#[test]
fn after_a_reset_there_is_nothing_left_to_do() {
    let mut w = World::with_dataset();
    w.uploads("uma");
    w.vault_does("olga", w.card_retired("reco"));
    w.does("stella", revoked("rita"));
    w.vault_does("olga", member_retired("stella"));
    let goal = Goal::settle(w.data());
    assert_eq!(next(&w, "sven", goal), Err(RotationError::NotHolder { epoch: 1 }));
    let reset = Body::EpochReset(w.reset("sven"));
    w.does("sven", reset);
    assert_eq!(next(&w, "sven", goal), Ok(Step::CleanUp { below: 2 }));
    let goal = Goal::rotate(w.data());
    assert_eq!(run(&mut w, "sven", goal), 2);
    assert!(w.data().manifests().values().all(|m| m.key == KeyPlace::Unreadable));
}

#[test]
fn a_deleted_dataset_is_not_rotated() {
    let mut w = world();
    let terms = DatasetDeletedTerms { reason: text("end") };
    w.does("stella", Body::DatasetDeleted(DatasetDeleted { approval: None, terms }));
    w.does("stella", revoked("rita"));
    for goal in [Goal::settle(w.data()), Goal::rotate(w.data())] {
        assert_eq!(next(&w, "stella", goal), Err(RotationError::Deleted));
    }
}

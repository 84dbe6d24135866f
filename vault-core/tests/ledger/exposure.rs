//! What is counted for an ultimate recipient across datasets, and who may count it. Spec sections 5.3 and 5.6.

use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::statement::*;
use vault_core::suite::Suite;

use super::world::*;

fn exposure() -> LedgerId {
    LedgerId::Exposure(recipient())
}

fn reserved(added: u64, total: u64) -> Body {
    Body::Reserved(Reserved { added, dataset: dataset_id(), member: member("rolf"), subjects: None, total })
}

/// The reservation of the last entry.
fn last(w: &World) -> Reservation {
    let seq = w.exposure.len() as u64 - 1;
    Reservation { hash: w.counts.judged().last().unwrap().hash, ledger: exposure(), seq }
}

fn cancelled(reservation: &Reservation) -> Body {
    Body::ReservationCancelled(ReservationCancelled { reservation: reservation.clone() })
}

fn released(reserved: &Reservation, approval: Option<Approval>) -> Body {
    let cites = Reservation { hash: EntryHash([0; 32]), ledger: LedgerId::Dataset(dataset_id()), seq: 0 };
    Body::Released(Released { approval, cites, terms: ReleasedTerms { reserved: reserved.hash } })
}

fn grant_with(w: &mut World, reservation: &Reservation) -> Body {
    Body::Granted(Granted { reservation: Some(reservation.clone()), ..w.grant("rolf") })
}

#[test]
fn stewards_reserve_on_top_of_the_last_total() {
    let mut w = World::with_dataset();
    for name in ["rita", "uma", "olga", "mallory"] {
        w.counts_refuses(name, reserved(10, 10), "not a steward");
    }
    let other = Reserved { added: 1, dataset: "d2".parse().unwrap(), member: member("rolf"), subjects: None, total: 1 };
    w.counts_refuses("stella", Body::Reserved(other), "not a steward");
    w.counts_refuses("stella", reserved(10, 11), "not the new total");
    w.counts_does("stella", reserved(300, 300));
    w.counts_refuses("sven", reserved(200, 200), "not the new total");
    w.counts_does("sven", reserved(200, 500));
    assert_eq!(w.counts.total(), 500);
    w.vault_does("olga", role("stella", Role::Steward, false));
    w.counts_refuses("stella", reserved(1, 501), "not a steward");
}

#[test]
fn a_reservation_stands_from_behind_its_entry_to_its_release() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    w.counts_does("stella", reserved(1, 11));
    let second = last(&w);
    let stands = |w: &World, at: u64| w.counts.reserved()[&second.hash].stands_at(at);
    assert_eq!([0, 1, 2, 3, u64::MAX].map(|at| stands(&w, at)), [false, false, true, true, true]);
    w.counts_does("stella", released(&second, None));
    // Entry 2 released it: it stood before that one, and not behind it.
    assert_eq!([1, 2, 3, u64::MAX].map(|at| stands(&w, at)), [false, true, false, false]);
    assert_eq!(w.exposures().iter().map(|one| *one.recipient()).collect::<Vec<_>>(), [recipient()]);
}

#[test]
fn what_a_grant_cites_and_what_its_trace_names_counts_for_it() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let cited = last(&w);
    w.counts_does("stella", reserved(5, 15));
    let named = last(&w);
    let trace = facts(serde_json::json!({ "case": { "export": serde_json::to_value(&named).unwrap() } }));
    let Body::Granted(grant) = grant_with(&mut w, &cited) else { panic!() };
    let terms = GrantTerms { facts: facts(serde_json::json!({ "purpose": "study" })), ..grant.terms.clone() };
    w.does("stella", Body::Granted(Granted { trace: Some(trace), terms: terms.clone(), ..grant }));
    let given = &w.data().grants()[&member("rolf")];
    assert_eq!((&given.counted, &given.facts), (&vec![cited.clone(), named.clone()], &terms.facts));
    // A trace uses nothing up, but what is asked whether it may be used again is told.
    assert!(w.data().is_traced(&named) && !w.data().is_traced(&cited));
    assert!(w.data().is_settled(&cited) && !w.data().is_settled(&named));
}

#[test]
fn two_reservations_at_once_do_not_both_pass() {
    let mut w = World::with_dataset();
    let second = w.draft(exposure(), "sven", reserved(300, 300));
    w.counts_does("stella", reserved(300, 300));
    // The loser's number is taken; it reads again and finds another total.
    let moved = Statement { seq: 1, prev: w.draft(exposure(), "sven", anchored()).prev, ..second };
    w.refuses_statement("sven", &moved, "not the new total");
}

#[test]
fn a_grant_cites_a_reservation_of_its_dataset_and_member_once() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let good = last(&w);
    // Its author can make it later, and then all readers have to agree: until then they stop.
    for bad in [
        Reservation { seq: 1, ..good.clone() },
        Reservation { hash: EntryHash([0; 32]), ..good.clone() },
        Reservation { ledger: LedgerId::Exposure(Digest([0; 32])), ..good.clone() },
    ] {
        let body = grant_with(&mut w, &bad);
        w.stops("stella", body.clone());
        w.refuses("rita", body, "not a holder of the newest epoch");
    }
    // What is there, and is not for this grant, never will be.
    let other = Body::Granted(Granted { reservation: Some(good.clone()), ..w.grant("uma") });
    w.refuses("stella", other, "a reservation for another dataset or member");
    let elsewhere = grant_with(&mut w, &Reservation { ledger: LedgerId::Vault, ..good.clone() });
    w.refuses("stella", elsewhere, "not a reservation");
    let body = grant_with(&mut w, &good);
    w.does("stella", body);
    let again = grant_with(&mut w, &good);
    w.refuses("stella", again, "the reservation is used or cancelled already");
    w.refuses("stella", cancelled(&good), "the reservation is used or cancelled already");
}

#[test]
fn without_the_exposure_ledger_its_citation_stops_the_fold() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let good = last(&w);
    let body = grant_with(&mut w, &good);
    let mut state = w.data().clone();
    let stored = w.sign("stella", &w.dataset_draft("stella", body));
    state.extend(&w.state, &Exposures::default(), &[stored]);
    assert!(state.stop().is_some());
}

#[test]
fn a_cancelled_reservation_is_not_cited() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let good = last(&w);
    w.refuses("rita", cancelled(&good), "not an officer");
    w.refuses("sven", cancelled(&good), "not an officer");
    let unknown = Reservation { seq: 7, ..good.clone() };
    w.refuses("rita", cancelled(&unknown), "neither officer nor steward");
    w.stops("stella", cancelled(&unknown));
    w.does("stella", cancelled(&good));
    let body = grant_with(&mut w, &good);
    w.refuses("stella", body, "the reservation is used or cancelled already");
    w.refuses("olga", cancelled(&good), "the reservation is used or cancelled already");
    w.counts_does("stella", reserved(10, 20));
    let next = last(&w);
    w.does("olga", cancelled(&next));
}

#[test]
fn amended_facts_reserve_for_each_grantee() {
    let mut w = World::with_dataset();
    let granted = w.granted("rolf");
    w.does("stella", granted);
    w.counts_does("stella", reserved(10, 10));
    let reservation = last(&w);
    let amended = |name: &str| {
        Body::FactsAmended(FactsAmended {
            facts: Facts::default(),
            level: 1,
            reservations: vec![MemberReservation { member: member(name), reservation: reservation.clone() }],
            suspends: Set::default(),
            why: text("more subjects"),
        })
    };
    w.refuses("stella", amended("rita"), "a reservation for another dataset or member");
    w.refuses("rita", amended("rita"), "not a steward");
    w.does("stella", amended("rolf"));
    w.refuses("stella", amended("rolf"), "the reservation is used or cancelled already");
}

#[test]
fn a_release_is_by_the_reserver_or_an_officer_and_once() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let first = last(&w);
    w.counts_does("sven", reserved(5, 15));
    let second = last(&w);
    w.counts_refuses("sven", released(&first, None), "neither the reserver nor an officer");
    w.counts_refuses("rita", released(&first, None), "neither the reserver nor an officer");
    let unknown = Reservation { hash: EntryHash([0; 32]), ..first.clone() };
    w.counts_refuses("olga", released(&unknown, None), "no such reservation, or released already");
    w.counts_does("stella", released(&first, None));
    assert_eq!(w.counts.total(), 5);
    w.counts_refuses("stella", released(&first, None), "no such reservation, or released already");
    w.counts_does("olga", released(&second, None));
    assert_eq!(w.counts.total(), 0);
    w.counts_does("stella", reserved(1, 1));
}

#[test]
fn a_release_with_approvals_has_as_many_as_the_genesis_asks_for() {
    let mut w = World::with(Suite::X25519, |g| g.approvals.released = 1).opened();
    w.counts_does("stella", reserved(10, 10));
    let reservation = last(&w);
    let terms = ReleasedTerms { reserved: reservation.hash };
    let proposed = Proposed { facts: None, ..w.proposed("released", &terms, Some("rolf")) };
    w.counts_refuses("rita", Body::Proposed(proposed.clone()), "neither the reserver nor an officer");
    let other = Proposed { act: "granted".to_owned(), ..proposed.clone() };
    w.counts_refuses("stella", Body::Proposed(other), "not an act that is proposed here");
    let late = Proposed { ends: w.now, ..proposed.clone() };
    w.counts_refuses("stella", Body::Proposed(late), "ends before it begins");
    let proposal = w.counts_does("stella", Body::Proposed(proposed));
    let give = |approvals: &[EntryHash]| Some(Approval { approvals: approvals.iter().copied().collect(), proposal });
    w.counts_refuses("stella", released(&reservation, give(&[])), "too few approvals");
    w.counts_refuses("sven", Body::Approved(Approved { proposal }), "not an officer");
    let one = w.counts_does("olga", Body::Approved(Approved { proposal }));
    w.counts_does("stella", released(&reservation, give(&[one])));
    assert_eq!(w.counts.total(), 0);
}

#[test]
fn an_exposure_ledger_forks_and_is_settled_like_others() {
    let mut w = World::with_dataset();
    w.counts_does("stella", reserved(10, 10));
    let mut fork = w.draft(exposure(), "stella", reserved(5, 15));
    fork.prev = Some(EntryHash([9; 32]));
    assert_eq!(w.put(&exposure(), w.sign("stella", &fork)), Forked);
    let Some(vault_core::ledger::Stop::Fork { seq, hash, .. }) = w.counts.stop().cloned() else { panic!() };
    w.vault_does("olga", w.recovered(RecoveryAction::Void, exposure(), seq, hash));
    let stored = w.exposure.pop().unwrap();
    assert_eq!(w.put(&exposure(), stored), Void("fork, settled by a recovery"));
    w.counts_does("stella", reserved(5, 15));
    // One that cites what is not there stops it too, and is settled in the same way.
    let mut unanchored = w.draft(exposure(), "stella", reserved(1, 16));
    unanchored.vault_head = Some(VaultHead { hash: EntryHash([9; 32]), seq: w.state.last_seq() + 9 });
    assert_eq!(w.put(&exposure(), w.sign("stella", &unanchored)), Forked);
    let Some(vault_core::ledger::Stop::Fork { seq, hash, .. }) = w.counts.stop().cloned() else { panic!() };
    w.vault_does("olga", w.recovered(RecoveryAction::Void, exposure(), seq, hash));
    let stored = w.exposure.pop().unwrap();
    assert_eq!(w.put(&exposure(), stored), Void("unanchored, settled by a recovery"));
    // And what was applied is not taken back.
    let hash = w.counts.judged()[0].hash;
    w.vault_does("olga", w.recovered(RecoveryAction::Void, exposure(), 0, hash));
    w.counts_does("stella", reserved(5, 20));
}

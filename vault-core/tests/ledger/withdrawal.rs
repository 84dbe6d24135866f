//! Consent withdrawn and what follows, told apart; and what the state keeps of grants for those who judge them again.

use vault_core::ids::{Digest, EntryHash, LedgerId, ManifestId};
use vault_core::ledger::dataset::{GrantOrigin, GrantStatus, Progress, Rekeyed};
use vault_core::ledger::statement::*;

use super::world::*;

fn withdrawn(members: &[&str]) -> Body {
    let members = members.iter().map(|name| member(name)).collect();
    Body::ConsentWithdrawn(ConsentWithdrawn { members, reason: text("a letter"), subjects: Some(Digest([8; 32])) })
}

fn attested(name: &str) -> Body {
    let document = Some(Digest([4; 32]));
    Body::DestructionAttested(DestructionAttested { document, member: member(name), scope: text("all copies") })
}

fn progress(w: &World, name: &str) -> Progress {
    let withdrawal = w.data().withdrawals().last().unwrap();
    let all: Vec<_> = w.data().withdrawal_progress(withdrawal).collect();
    assert_eq!(all.len(), withdrawal.members.len());
    all.into_iter().find(|(m, _)| **m == member(name)).unwrap().1
}

fn rekeyed(done: u64, all: u64) -> Rekeyed {
    Rekeyed { done, all }
}

/// stella encrypts a manifest anew.
fn encrypted_anew(w: &mut World, old: ManifestId) {
    let (upload, opened) = w.upload_opened();
    w.does("stella", opened);
    let mut commit = w.commit(upload);
    commit.manifests[0].root = w.data().manifests()[&old].signed.root;
    commit.manifests[0].supersedes = Some(old);
    w.does("stella", Body::UploadCommitted(commit));
}

#[test]
fn a_withdrawal_is_kept_as_it_was_stated() {
    let mut w = World::with_dataset();
    assert!(w.data().withdrawals().is_empty());
    let entry = w.does("olga", withdrawn(&["rita"]));
    let [withdrawal] = w.data().withdrawals() else { panic!() };
    assert_eq!((withdrawal.entry, withdrawal.seq), (entry, w.dataset.len() as u64 - 1));
    assert_eq!((&withdrawal.author, withdrawal.time), (&member("olga"), w.now - 1));
    assert_eq!(withdrawal.members.iter().collect::<Vec<_>>(), [&member("rita")]);
    assert_eq!((withdrawal.reason.as_str(), withdrawal.subjects), ("a letter", Some(Digest([8; 32]))));
    // One that suspends nobody is kept too, and has nothing to follow.
    w.does("stella", withdrawn(&[]));
    let last = w.data().withdrawals().last().unwrap();
    assert_eq!(w.data().withdrawal_progress(last).count(), 0);
}

#[test]
fn header_body_and_copies_are_three_facts() {
    let mut w = World::with_dataset();
    let (first, second) = (w.uploads("uma"), w.uploads("uma"));
    // What came before a withdrawal does not count for it.
    w.does("rita", attested("rita"));
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let closed = w.epoch_closed();
    w.does("stella", closed);
    w.does("stella", withdrawn(&["rita"]));
    let nothing = Progress { granted_again: false, header_revoked: false, rekeyed: rekeyed(0, 2), destroyed: None };
    assert_eq!(progress(&w, "rita"), nothing);
    // A new epoch alone takes no key away: readers still need the one before.
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    assert_eq!(progress(&w, "rita"), nothing);
    let closed = w.epoch_closed();
    w.does("stella", closed);
    let headers = Progress { header_revoked: true, ..nothing };
    assert_eq!(progress(&w, "rita"), headers);
    // The table carries the bodies' old keys on; each body takes its own new one.
    encrypted_anew(&mut w, first);
    assert_eq!(progress(&w, "rita"), Progress { rekeyed: rekeyed(1, 2), ..headers });
    encrypted_anew(&mut w, second);
    w.uploads("uma");
    let bodies = Progress { rekeyed: rekeyed(3, 3), ..headers };
    assert_eq!(progress(&w, "rita"), bodies);
    assert!(!bodies.is_finished());
    w.does("rita", attested("rita"));
    let all = progress(&w, "rita");
    assert_eq!(all, Progress { destroyed: Some(w.dataset.len() as u64 - 1), ..bodies });
    assert!(all.is_finished());
    let attestation = w.data().attested().last().unwrap();
    assert_eq!((&attestation.author, &attestation.member), (&member("rita"), &member("rita")));
    assert_eq!((attestation.scope.as_str(), attestation.document), ("all copies", Some(Digest([4; 32]))));
    assert_eq!((attestation.time, w.data().attested().len()), (w.now - 1, 2));
}

#[test]
fn removing_bodies_is_as_good_as_new_keys() {
    let mut w = World::with_dataset();
    let only = w.uploads("uma");
    w.does("stella", withdrawn(&["rita"]));
    assert_eq!(progress(&w, "rita").rekeyed, rekeyed(0, 1));
    w.does("stella", Body::ManifestRemoved(ManifestRemoved { manifest: only, reason: text("deleted") }));
    assert_eq!(progress(&w, "rita").rekeyed, rekeyed(0, 0));
    assert!(progress(&w, "rita").rekeyed.is_done());
}

#[test]
fn an_epoch_that_is_sealed_to_the_member_again_takes_nothing_away() {
    let mut w = World::with_dataset();
    w.uploads("uma");
    w.does("stella", withdrawn(&["rita"]));
    let granted = w.granted("rita");
    w.does("stella", granted);
    assert!(progress(&w, "rita").granted_again && progress(&w, "rita").is_finished());
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let closed = w.epoch_closed();
    w.does("stella", closed);
    w.uploads("uma");
    let now = progress(&w, "rita");
    assert_eq!((now.header_revoked, now.rekeyed), (false, rekeyed(0, 2)));
}

#[test]
fn one_members_progress_is_not_anothers() {
    let mut w = World::with_dataset();
    let granted = w.granted("rolf");
    w.does("stella", granted);
    w.does("stella", withdrawn(&["rita", "rolf"]));
    w.does("rolf", attested("rolf"));
    assert_eq!((progress(&w, "rita").destroyed.is_some(), progress(&w, "rolf").destroyed.is_some()), (false, true));
    w.vault_does("olga", member_retired("rita"));
    w.does("olga", attested("rita"));
    assert!(progress(&w, "rita").destroyed.is_some());
    assert_eq!(w.data().attested().last().unwrap().author, member("olga"));
}

#[test]
fn a_grant_keeps_what_it_was_decided_on() {
    let mut w = World::with_dataset();
    let own = &w.data().grants()[&member("stella")];
    assert_eq!((own.origin, own.approvals, own.seq), (GrantOrigin::Own, 0, 0));
    assert_eq!((&own.trace, &own.reservation, &own.agreement), (&None, &None, &None));
    let reserved =
        Reserved { added: 7, dataset: dataset_id(), member: member("rolf"), subjects: Some(Digest([2; 32])), total: 7 };
    let hash = w.counts_does("stella", Body::Reserved(reserved));
    let reservation = Reservation { hash, ledger: LedgerId::Exposure(recipient()), seq: 0 };
    let kept = &w.counts.reserved()[&hash];
    assert_eq!((kept.total, kept.time, kept.subjects), (7, w.now - 1, Some(Digest([2; 32]))));
    assert_eq!((w.counts.total_at(&hash), w.counts.total_at(&EntryHash([0; 32]))), (Some(7), None));
    assert_eq!(w.exposures().of(&recipient()).unwrap().total(), 7);
    assert!(!w.data().is_settled(&reservation));

    let trace = facts(serde_json::json!({"outcome": "allow"}));
    let mut grant = w.grant("rolf");
    (grant.reservation, grant.trace) = (Some(reservation.clone()), Some(trace.clone()));
    let proposed = w.proposed("granted", &grant.terms, Some("rolf"));
    let proposal = w.does("sven", Body::Proposed(proposed));
    let one = w.does("anna", Body::Approved(Approved { proposal }));
    let two = w.does("axel", Body::Approved(Approved { proposal }));
    grant.approval = Some(Approval { approvals: [one, two].into_iter().collect(), proposal });
    let entry = w.does("stella", Body::Granted(grant));
    let given = w.data().grants()[&member("rolf")].clone();
    assert_eq!((given.origin, given.approvals, given.entry), (GrantOrigin::Granted, 2, entry));
    assert_eq!((given.time, given.vault), (w.now - 1, w.state.last_seq()));
    assert_eq!((given.trace, given.reservation), (Some(trace), Some(reservation.clone())));
    assert!(w.data().is_settled(&reservation));
    assert_eq!(w.data().cited_reservations().collect::<Vec<_>>(), [reservation]);

    // An agreement is of the grant that it was accepted under.
    w.does("rolf", Body::AgreementAccepted(AgreementAccepted { agreement: Digest([6; 32]), grant: entry }));
    assert_eq!(w.data().agreements().collect::<Vec<_>>(), [(&member("rolf"), &Digest([6; 32]))]);
    let again = w.granted("rolf");
    w.does("stella", again);
    assert_eq!(w.data().agreements().count(), 0);
    // A reset leaves one grant, which nobody gave.
    for name in ["stella", "reco", "rita", "rolf"] {
        if name != "stella" {
            w.vault_does("olga", member_retired(name));
        }
    }
    let old = w.current_cards("stella").remove(0);
    w.add_card("stella/2");
    w.vault_does("olga", Body::CardRetired(CardRetired { card: old, member: member("stella"), reason: text("lost") }));
    let reset = w.reset("stella");
    w.does("stella/2", Body::EpochReset(reset));
    let own = &w.data().grants()[&member("stella")];
    assert_eq!((own.origin, own.status), (GrantOrigin::Own, GrantStatus::Given));
}

#[test]
fn the_state_says_when_its_facts_were_stated() {
    let mut w = World::with_dataset();
    assert_eq!((w.data().facts_seq(), w.data().facts_time()), (0, w.data().created()));
    w.now += 60;
    let body = FactsAmended {
        facts: facts(serde_json::json!({"a": 1})),
        level: 2,
        reservations: Vec::new(),
        suspends: Set::default(),
        why: text("why"),
    };
    w.does("sven", Body::FactsAmended(body));
    assert_eq!((w.data().facts_seq(), w.data().facts_time()), (w.dataset.len() as u64 - 1, w.now - 1));
    assert_eq!(w.data().facts_author(), &member("sven"));
}

#[test]
fn packs_in_force_are_asked_as_of_an_entry() {
    let mut w = World::new();
    let set =
        |name: &str, byte: u8, on: bool| Body::PackSet(PackSet { hash: Digest([byte; 32]), name: text(name), on });
    let before = w.state.last_seq();
    for (name, byte, on) in [("b", 1, true), ("a", 2, true), ("b", 3, true), ("a", 2, false)] {
        w.vault_does("olga", set(name, byte, on));
    }
    let at = |n: u64| w.state.packs_at(before + n).collect::<Vec<_>>();
    let (one, two, three) = (Digest([1; 32]), Digest([2; 32]), Digest([3; 32]));
    assert_eq!(at(0), []);
    assert_eq!(at(1), [("b", one)]);
    assert_eq!(at(2), [("a", two), ("b", one)]);
    assert_eq!(at(3), [("a", two), ("b", three)]);
    assert_eq!(at(4), [("b", three)]);
    assert_eq!(w.state.pack_at(before), None);
}

#[test]
fn a_withdrawal_is_finished_when_all_three_have_come_or_the_member_was_granted_again() {
    for bits in 0..16u8 {
        let is = |n: u8| bits >> n & 1 == 1;
        let rekeyed = Rekeyed { done: if is(1) { 3 } else { 2 }, all: 3 };
        let progress = Progress { granted_again: is(3), header_revoked: is(0), rekeyed, destroyed: is(2).then_some(7) };
        assert_eq!(rekeyed.is_done(), is(1));
        assert_eq!(progress.is_finished(), is(3) || is(0) && is(1) && is(2), "{progress:?}");
    }
}

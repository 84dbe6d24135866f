//! Two-person acts. Spec section 5.1, *approval*.

use serde_json::json;
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::statement::*;
use vault_core::suite::Suite;

use super::world::*;

/// A vault whose level 1 asks for two approvals of a grant, with three approvers.
fn world() -> World {
    let mut w = World::with(Suite::X25519, |g| {
        g.approvals.granted = [0, 2, 0, 0, 0];
        g.approvals.dataset_deleted = 1;
        g.approvals.card_added = 1;
    })
    .opened();
    w.vault_does("olga", role("rita", Role::Approver, true));
    w.vault_does("olga", role("stella", Role::Approver, true));
    w.does("stella", amended(json!({"category": "wes"}), 2));
    w
}

fn amended(to: serde_json::Value, level: u64) -> Body {
    let (reservations, suspends) = (Vec::new(), Set::default());
    Body::FactsAmended(FactsAmended { facts: facts(to), level, reservations, suspends, why: text("why") })
}

/// The approval that names these entries.
fn approval(proposal: EntryHash, approvals: &[EntryHash]) -> Option<Approval> {
    Some(Approval { approvals: approvals.iter().copied().collect(), proposal })
}

fn approved(proposal: EntryHash) -> Body {
    Body::Approved(Approved { proposal })
}

/// sven proposes to grant rolf; the grant without its approval, and the proposal.
fn proposal(w: &mut World) -> (Granted, EntryHash) {
    let grant = w.grant("rolf");
    let proposed = w.proposed("granted", &grant.terms, Some("rolf"));
    let hash = w.does("sven", Body::Proposed(proposed));
    assert!(w.data().proposals().iter().any(|(one, proposal)| *one == hash && !proposal.used));
    (grant, hash)
}

fn with(grant: &Granted, approval: Option<Approval>) -> Body {
    Body::Granted(Granted { approval, ..grant.clone() })
}

#[test]
fn an_act_has_as_many_approvals_as_its_level_asks_for() {
    let mut w = world();
    let (grant, proposal) = proposal(&mut w);
    w.refuses("stella", with(&grant, None), "approvals are missing");
    w.refuses("stella", with(&grant, approval(proposal, &[])), "too few approvals");
    let one = w.does("anna", approved(proposal));
    w.refuses("stella", with(&grant, approval(proposal, &[one])), "too few approvals");
    let two = w.does("axel", approved(proposal));
    w.refuses("stella", with(&grant, approval(proposal, &[one])), "too few approvals");
    w.does("stella", with(&grant, approval(proposal, &[one, two])));
    assert!(w.data().has_grant(&w.state, &member("rolf"), w.at()));
    // A proposal is used once, also for the same act.
    w.refuses("stella", with(&grant, approval(proposal, &[one, two])), "the proposal was used already");
}

#[test]
fn an_act_that_needs_none_may_name_some_which_are_checked_in_full() {
    let mut w = world();
    w.does("stella", amended(json!({}), 1));
    let (grant, proposal) = proposal(&mut w);
    let (anna, stella) = (w.does("anna", approved(proposal)), w.does("stella", approved(proposal)));
    w.refuses("stella", with(&grant, approval(EntryHash([0; 32]), &[])), "no such proposal");
    w.refuses("stella", with(&grant, approval(proposal, &[EntryHash([0; 32])])), "no such approval");
    let somebody = "an approval is by somebody who may not give it";
    w.refuses("stella", with(&grant, approval(proposal, &[anna, stella])), somebody);
    let mut other = grant.clone();
    other.terms.ends = Some(w.now + DAY);
    w.refuses("stella", with(&other, approval(proposal, &[anna])), "the act differs from its proposal");
    w.does("stella", with(&grant, approval(proposal, &[anna])));
    // It is used as any other is, and the same grant without a proposal is as good.
    w.refuses("stella", with(&grant, approval(proposal, &[anna])), "the proposal was used already");
    w.does("stella", with(&grant, None));
}

#[test]
fn what_changed_since_a_proposal_that_nobody_needs_voids_it_too() {
    let mut w = world();
    w.does("stella", amended(json!({}), 1));
    let (grant, proposal) = proposal(&mut w);
    let one = w.does("anna", approved(proposal));
    let changed = "facts, member or rule pack changed since the proposal";
    w.vault_does("olga", Body::PackSet(PackSet { hash: Digest([1; 32]), name: text("hgr"), on: true }));
    w.refuses("stella", with(&grant, approval(proposal, &[one])), changed);
    w.vault_does("olga", Body::PackSet(PackSet { hash: Digest([1; 32]), name: text("hgr"), on: false }));
    w.now += 30 * DAY;
    w.refuses("stella", with(&grant, approval(proposal, &[one])), "the proposal has ended");
}

#[test]
fn a_member_approves_once_and_its_own_proposal_never() {
    let mut w = world();
    let (_, proposal) = proposal(&mut w);
    w.does("anna", approved(proposal));
    w.refuses("anna", approved(proposal), "approved already");
    w.refuses("uma", approved(proposal), "not an approver");
    w.refuses("olga", approved(proposal), "not an approver");
    w.refuses("anna", approved(EntryHash([0; 32])), "no such proposal");
    w.vault_does("olga", role("sven", Role::Approver, true));
    w.refuses("sven", approved(proposal), "the proposal's author can't approve it");
}

#[test]
fn an_approval_is_not_by_the_author_or_the_beneficiary() {
    let mut w = world();
    let (grant, proposal) = proposal(&mut w);
    let (anna, author) = (w.does("anna", approved(proposal)), w.does("stella", approved(proposal)));
    let somebody = "an approval is by somebody who may not give it";
    w.refuses("stella", with(&grant, approval(proposal, &[anna, author])), somebody);

    let grant = w.grant("rita");
    let proposed = w.proposed("granted", &grant.terms, Some("rita"));
    let proposal = w.does("sven", Body::Proposed(proposed));
    let (anna, own) = (w.does("anna", approved(proposal)), w.does("rita", approved(proposal)));
    w.refuses("stella", with(&grant, approval(proposal, &[anna, own])), somebody);
    let axel = w.does("axel", approved(proposal));
    w.refuses("stella", with(&grant, approval(proposal, &[anna, axel, own])), somebody);
    w.does("stella", with(&grant, approval(proposal, &[anna, axel])));
}

#[test]
fn an_approver_still_has_the_role_at_the_act() {
    let mut w = world();
    let (grant, proposal) = proposal(&mut w);
    let (one, two) = (w.does("anna", approved(proposal)), w.does("axel", approved(proposal)));
    let act = with(&grant, approval(proposal, &[one, two]));
    let before = w.dataset_draft("stella", act.clone());
    w.vault_does("olga", role("axel", Role::Approver, false));
    let somebody = "an approval is by somebody who may not give it";
    w.refuses("stella", act.clone(), somebody);
    // At the vault entry before, it has: that view is good until this ledger cites a newer one.
    assert_eq!(w.would(&before.ledger, w.sign("stella", &before)), Applied);
    w.vault_does("olga", role("axel", Role::Approver, true));
    w.vault_does("olga", member_retired("anna"));
    w.refuses("stella", act, somebody);
}

#[test]
fn a_proposal_ends() {
    let mut w = world();
    let grant = w.grant("rolf");
    let mut proposed = w.proposed("granted", &grant.terms, Some("rolf"));
    proposed.ends = w.now;
    w.refuses("sven", Body::Proposed(proposed.clone()), "ends before it begins");
    proposed.ends = w.now + 10;
    let proposal = w.does("sven", Body::Proposed(proposed));
    let (one, two) = (w.does("anna", approved(proposal)), w.does("axel", approved(proposal)));
    w.now += 10;
    w.refuses("rita", approved(proposal), "the proposal has ended");
    w.refuses("stella", with(&grant, approval(proposal, &[one, two])), "the proposal has ended");
}

#[test]
fn an_act_is_what_was_proposed() {
    let mut w = world();
    let (grant, proposal) = proposal(&mut w);
    let (one, two) = (w.does("anna", approved(proposal)), w.does("axel", approved(proposal)));
    let given = approval(proposal, &[one, two]);
    let mut other = grant.clone();
    other.terms.ends = Some(w.now + DAY);
    w.refuses("stella", with(&other, given.clone()), "the act differs from its proposal");
    let mut other = grant.clone();
    other.terms.facts = facts(json!({"purpose": "another"}));
    w.refuses("stella", with(&other, given.clone()), "the act differs from its proposal");
    let other = w.grant("uma");
    w.refuses("stella", with(&other, given.clone()), "the act differs from its proposal");
    let terms = DatasetDeletedTerms { reason: text("x") };
    let deleted = Body::DatasetDeleted(DatasetDeleted { approval: given, terms });
    w.refuses("stella", deleted, "the act differs from its proposal");
    w.refuses("stella", with(&grant, approval(EntryHash([0; 32]), &[one, two])), "no such proposal");
    w.refuses("stella", with(&grant, approval(proposal, &[one, EntryHash([0; 32])])), "no such approval");
    let (_, second) = self::proposal(&mut w);
    w.refuses("stella", with(&grant, approval(second, &[one, two])), "no such approval");
}

#[test]
fn an_act_waits_no_longer_when_facts_member_or_pack_changed() {
    let changed = "facts, member or rule pack changed since the proposal";
    let amend_member = |w: &mut World| {
        let body = MemberAmended { info: info("new"), member: member("rolf") };
        w.vault_does("olga", Body::MemberAmended(body));
    };
    let set_pack = |w: &mut World| {
        w.vault_does("olga", Body::PackSet(PackSet { hash: Digest([1; 32]), name: text("hgr"), on: true }));
    };
    let amend_facts = |w: &mut World| {
        w.does("stella", amended(json!({"category": "wgs"}), 2));
    };
    for change in [&amend_member as &dyn Fn(&mut World), &set_pack, &amend_facts] {
        let mut w = world();
        let (grant, proposal) = proposal(&mut w);
        let (one, two) = (w.does("anna", approved(proposal)), w.does("axel", approved(proposal)));
        change(&mut w);
        w.refuses("stella", with(&grant, approval(proposal, &[one, two])), changed);
    }
    // A proposal that leaves them open is no proposal of this act.
    for bend in [
        |p: &mut Proposed| p.facts = None,
        |p: &mut Proposed| p.member = None,
        |p: &mut Proposed| p.pack = Some(Digest([0; 32])),
    ] {
        let mut w = world();
        let grant = w.grant("rolf");
        let mut proposed = w.proposed("granted", &grant.terms, Some("rolf"));
        bend(&mut proposed);
        let proposal = w.does("sven", Body::Proposed(proposed));
        let (one, two) = (w.does("anna", approved(proposal)), w.does("axel", approved(proposal)));
        w.refuses("stella", with(&grant, approval(proposal, &[one, two])), changed);
    }
}

#[test]
fn approvals_of_one_level_serve_for_no_other() {
    // Two are needed at level 2, one at level 1: approvals of the one are not turned into those of the other, nor the reverse.
    for (from, to) in [(2, 1), (1, 2), (2, 2)] {
        let mut w = world();
        w.does("stella", amended(json!({}), from));
        let (grant, early) = proposal(&mut w);
        let given = [w.does("anna", approved(early)), w.does("axel", approved(early))];
        w.does("stella", amended(json!({}), to));
        let changed = "facts or level were stated anew since the proposal";
        w.refuses("stella", with(&grant, approval(early, &given)), changed);
        // What is approved behind it still was proposed before it.
        w.does("stella", amended(json!({}), from));
        w.refuses("stella", with(&grant, approval(early, &given)), changed);
        let (grant, late) = proposal(&mut w);
        let given = [w.does("anna", approved(late)), w.does("axel", approved(late))];
        w.does("stella", with(&grant, approval(late, &given)));
    }
}

#[test]
fn a_grade_that_rises_asks_for_more() {
    let mut w = world();
    w.does("stella", amended(json!({}), 1));
    let grant = w.grant("rolf");
    w.does("stella", amended(json!({}), 2));
    w.refuses("stella", with(&grant, None), "approvals are missing");
}

#[test]
fn stewards_propose_grants_and_deletions() {
    let mut w = world();
    let grant = w.grant("rolf");
    let proposed = w.proposed("granted", &grant.terms, Some("rolf"));
    for name in ["uma", "rita", "anna", "olga"] {
        w.refuses(name, Body::Proposed(proposed.clone()), "not a steward");
    }
    for act in ["revoked", "card-added", "recovered", "released", ""] {
        let other = Proposed { act: act.to_owned(), ..proposed.clone() };
        w.refuses("sven", Body::Proposed(other), "not an act that is proposed here");
    }
}

#[test]
fn a_deletion_needs_its_approval() {
    let mut w = world();
    let terms = DatasetDeletedTerms { reason: text("end") };
    let deleted = |approval| Body::DatasetDeleted(DatasetDeleted { approval, terms: terms.clone() });
    w.refuses("stella", deleted(None), "approvals are missing");
    let proposed = w.proposed("dataset-deleted", &terms, None);
    let proposal = w.does("sven", Body::Proposed(proposed));
    let one = w.does("anna", approved(proposal));
    w.does("stella", deleted(approval(proposal, &[one])));
}

#[test]
fn an_officer_needs_another_for_somebodys_card() {
    let mut w = world();
    w.new_card("rolf/2");
    let Body::CardAdded(added) = w.card_added("rolf/2", None) else { panic!() };
    let add = |approval| Body::CardAdded(CardAdded { approval, terms: added.terms.clone() });
    w.vault_refuses("olga", add(None), "approvals are missing");
    let proposed = w.proposed("card-added", &added.terms, Some("rolf"));
    w.vault_refuses("stella", Body::Proposed(proposed.clone()), "not an officer");
    let other = Proposed { act: "granted".to_owned(), ..proposed.clone() };
    w.vault_refuses("olga", Body::Proposed(other), "not an act that is proposed here");
    let late = Proposed { ends: w.now, ..proposed.clone() };
    w.vault_refuses("olga", Body::Proposed(late), "ends before it begins");
    let proposal = w.vault_does("olga", Body::Proposed(proposed));
    w.vault_refuses("olga", approved(proposal), "the proposal's author can't approve it");
    w.vault_refuses("stella", approved(proposal), "not an officer");
    let one = w.vault_does("otto", approved(proposal));
    w.vault_refuses("otto", approved(proposal), "approved already");
    w.vault_refuses("otto", add(approval(proposal, &[one])), "an approval is by somebody who may not give it");
    w.vault_does("olga", add(approval(proposal, &[one])));
    w.vault_refuses("olga", add(approval(proposal, &[one])), "a card that is known already");
    // The member needs nobody.
    w.new_card("rolf/3");
    w.vault_does("rolf", w.card_added("rolf/3", None));
}

#[test]
fn an_officer_does_not_approve_a_card_of_its_own() {
    let mut w = world();
    w.vault_does("olga", role("rita", Role::Officer, true));
    w.new_card("otto/2");
    let Body::CardAdded(added) = w.card_added("otto/2", None) else { panic!() };
    let proposed = w.proposed("card-added", &added.terms, Some("otto"));
    let proposal = w.vault_does("olga", Body::Proposed(proposed));
    let (own, other) = (w.vault_does("otto", approved(proposal)), w.vault_does("rita", approved(proposal)));
    let add = |entry| Body::CardAdded(CardAdded { approval: approval(proposal, &[entry]), terms: added.terms.clone() });
    w.vault_refuses("olga", add(own), "an approval is by somebody who may not give it");
    w.vault_does("olga", add(other));
}

#[test]
fn a_recovery_needs_its_approvals() {
    let mut w = World::with(Suite::X25519, |g| g.approvals.recovered = 1);
    let terms = RecoveredTerms {
        action: RecoveryAction::Cut,
        hash: EntryHash([1; 32]),
        ledger: LedgerId::Dataset(dataset_id()),
        seq: 3,
    };
    let recovered = |approval| Body::Recovered(Recovered { approval, terms: terms.clone() });
    w.vault_refuses("olga", recovered(None), "approvals are missing");
    let proposed = w.proposed("recovered", &terms, None);
    let proposed = Proposed { facts: None, ..proposed };
    let proposal = w.vault_does("olga", Body::Proposed(proposed));
    let one = w.vault_does("otto", approved(proposal));
    w.vault_does("olga", recovered(approval(proposal, &[one])));
    assert_eq!(w.state.recovered().len(), 1);
    let proposals: Vec<_> = w.state.proposals().iter().map(|(hash, p)| (*hash, p.used)).collect();
    assert_eq!(proposals, [(proposal, true)]);
}

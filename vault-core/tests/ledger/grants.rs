//! Facts, roles and grants of a dataset, kind by kind. Spec section 5.3.

use serde_json::json;
use vault_core::ids::{Digest, EntryHash};
use vault_core::ledger::dataset::{GrantStatus, creator_of};
use vault_core::ledger::statement::*;

use super::world::*;

fn amended(level: u64, suspends: &[&str]) -> Body {
    Body::FactsAmended(FactsAmended {
        facts: facts(json!({"category": "wes"})),
        level,
        reservations: Vec::new(),
        suspends: suspends.iter().map(|m| member(m)).collect(),
        why: text("reclassified"),
    })
}

fn suspended(names: &[&str]) -> Body {
    Body::Suspended(Suspended { members: names.iter().map(|m| member(m)).collect(), reason: text("stop") })
}

fn withdrawn(names: &[&str]) -> Body {
    let members = names.iter().map(|m| member(m)).collect();
    Body::ConsentWithdrawn(ConsentWithdrawn { members, reason: text("asked"), subjects: None })
}

fn attested(name: &str) -> Body {
    Body::DestructionAttested(DestructionAttested { document: None, member: member(name), scope: text("all") })
}

fn has_grant(w: &World, name: &str) -> bool {
    w.data().has_grant(&w.state, &member(name), w.at())
}

#[test]
fn a_new_dataset_has_its_creator_as_steward_and_holder() {
    let mut w = World::new();
    let created = w.created();
    w.does("stella", created);
    assert!(w.data().is_holder(&w.state, &member("stella"), &w.card("stella"), w.at()));
    assert!(w.data().holds(&w.state, &member("reco"), 1, w.at()));
    assert!(!has_grant(&w, "reco"));
    assert_eq!(w.data().title(), "Cohort 1");
    // Only the entry that creates it tells its creator.
    let set = w.dataset_draft("stella", Body::UploaderSet(UploaderSet { member: member("uma"), on: true }));
    assert_eq!(creator_of(&w.dataset[0]).map(|(who, _)| who), Some(member("stella")));
    assert_eq!(creator_of(&w.sign("stella", &set)), None);
    assert!(!w.data().is_stale(&w.state, w.at()));
    assert_eq!((w.data().newest(), w.data().closed(), w.data().cited()), (1, 1, w.state.last_seq()));
}

#[test]
fn a_role_set_is_the_last_word_on_a_steward() {
    let mut w = World::with_dataset();
    assert!(w.data().is_steward(&w.state, &member("stella"), w.state.last_seq()));
    w.vault_does("olga", role("stella", Role::Steward, false));
    w.refuses("stella", revoked("rita"), "neither officer nor steward");
    // Roles are those of the vault entry that the author cites.
    let mut earlier = w.dataset_draft("stella", revoked("rita"));
    let seq = w.data().cited();
    earlier.vault_head = Some(VaultHead { hash: w.state.entry_hash(seq).unwrap(), seq });
    assert_eq!(w.would(&earlier.ledger, w.sign("stella", &earlier)), Applied);
    w.does("sven", anchored());
    earlier.seq += 1;
    w.refuses_statement("stella", &earlier, "older vault head");
    w.vault_does("olga", role("stella", Role::Steward, true));
    w.does("stella", revoked("rita"));
}

#[test]
fn facts_are_amended_by_stewards() {
    let mut w = World::with_dataset();
    w.refuses("uma", amended(2, &[]), "not a steward");
    w.refuses("olga", amended(2, &[]), "not a steward");
    w.refuses("sven", amended(0, &[]), "a level outside 1 to 5");
    w.refuses("sven", amended(6, &[]), "a level outside 1 to 5");
    w.refuses("sven", amended(2, &["rolf"]), "the member has no grant");
    w.does("sven", amended(5, &["rita"]));
    assert_eq!((w.data().level(), has_grant(&w, "rita"), w.data().is_stale(&w.state, w.at())), (5, false, true));
}

#[test]
fn a_grading_is_confirmed_by_an_approver_who_did_not_make_it() {
    let mut w = World::with_dataset();
    let confirmed =
        |w: &World| Body::GradeConfirmed(GradeConfirmed { facts: w.data().facts().digest(), level: w.data().level() });
    w.refuses("stella", confirmed(&w), "not an approver");
    let old = confirmed(&w);
    w.vault_does("olga", role("anna", Role::Steward, true));
    w.does("anna", amended(3, &[]));
    w.refuses("anna", confirmed(&w), "the grader can't confirm the grading");
    w.refuses("axel", old, "not the present facts or level");
    let level = Body::GradeConfirmed(GradeConfirmed { facts: w.data().facts().digest(), level: 2 });
    w.refuses("axel", level, "not the present facts or level");
    w.does("axel", confirmed(&w));
    assert_eq!(w.data().confirmed().unwrap().0, member("axel"));
    w.does("stella", amended(3, &[]));
    assert!(w.data().confirmed().is_none());
}

#[test]
fn uploaders_are_set_by_stewards() {
    let mut w = World::with_dataset();
    let set = |name: &str, on| Body::UploaderSet(UploaderSet { member: member(name), on });
    w.refuses("uma", set("rolf", true), "not a steward");
    w.refuses("stella", set("xeno", true), "the member is not current");
    w.vault_does("olga", member_retired("ulf"));
    w.refuses("stella", set("ulf", true), "the member is not current");
    w.does("sven", set("ulf", false));
    w.does("sven", set("xeno", false));
    assert_eq!(w.data().uploaders().len(), 1);
}

#[test]
fn a_grant_is_a_holders_seal_to_all_cards_and_unclosed_epochs() {
    let mut w = World::with_dataset();
    w.add_card("rolf/2");
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let granted = w.granted("rolf");
    let Body::Granted(body) = &granted else { panic!() };
    assert_eq!(body.seals.len(), 4, "two cards, two epochs");
    assert!(!w.data().holds_all(&w.state, &member("rolf"), w.at()));
    for name in ["rita", "rolf", "uma", "olga", "reco", "sven"] {
        w.refuses(name, granted.clone(), "not a holder of the newest epoch");
    }
    // One seal too few, one too many, another member's, another epoch's.
    let exactly = "not sealed to exactly those cards and epochs";
    let bent = |bend: &dyn Fn(&mut Vec<EpochSeal>)| {
        let mut body = body.clone();
        let mut seals: Vec<EpochSeal> = body.seals.iter().cloned().collect();
        bend(&mut seals);
        body.seals = seals.into_iter().collect();
        Body::Granted(body)
    };
    w.refuses("stella", bent(&|s| drop(s.pop())), exactly);
    w.refuses("stella", bent(&|s| s.clear()), exactly);
    w.refuses("stella", bent(&|s| s[3].epoch = 3), exactly);
    w.refuses("stella", bent(&|s| s[0].member = member("rita")), exactly);
    let other = w.card("rita");
    w.refuses("stella", bent(&|s| s.push(EpochSeal { card: other, member: member("rita"), ..s[0].clone() })), exactly);
    w.does("stella", granted);
    assert!(has_grant(&w, "rolf"));
    assert!(w.data().holds_all(&w.state, &member("rolf"), w.at()));
}

#[test]
fn a_grant_is_to_a_current_member_and_ends_later() {
    let mut w = World::with_dataset();
    let mut grant = w.grant("rolf");
    grant.terms.ends = Some(w.now);
    w.refuses("stella", Body::Granted(grant.clone()), "ends before it begins");
    let unknown = Granted { terms: GrantTerms { member: member("xeno"), ..grant.terms.clone() }, ..grant.clone() };
    w.refuses("stella", Body::Granted(unknown), "the member is not current");
    w.add_card("rolf/2");
    w.vault_does("rolf", w.card_retired("rolf/2"));
    w.vault_does("rolf", w.card_retired("rolf"));
    let cardless = w.granted("rolf");
    w.refuses("stella", cardless, "the member has no current card");
    w.vault_does("olga", member_retired("rolf"));
    let retired = w.granted("rolf");
    w.refuses("stella", retired, "the member is not current");
}

#[test]
fn a_grant_ends_by_itself_at_the_entrys_own_time() {
    let mut w = World::with_dataset();
    let mut grant = w.grant("rolf");
    grant.terms.ends = Some(w.now + 10);
    w.does("stella", Body::Granted(grant));
    let (upload, opened) = w.upload_opened();
    w.does("uma", opened);
    let commit = Body::UploadCommitted(w.commit(upload));
    w.now += 20;
    w.refuses("uma", commit.clone(), "the epoch is stale");
    // Times are their authors' claims: the fold has no clock of its own.
    let mut statement = w.dataset_draft("uma", commit);
    statement.time = w.now - 15;
    assert_eq!(w.would(&statement.ledger, w.sign("uma", &statement)), Applied);
    // What has ended can still be revoked, and a new epoch is not for its member.
    let opened = w.epoch(&[]);
    assert!(!opened.seals.iter().any(|s| s.member == member("rolf")));
    w.does("stella", revoked("rolf"));
}

#[test]
fn further_cards_are_sealed_by_a_holder_or_their_member() {
    let mut w = World::with_dataset();
    let two = w.add_card("rita/2");
    let sealed = w.card_sealed("rita", &[two]);
    w.refuses("sven", sealed.clone(), "not a holder of the newest epoch");
    w.refuses("rolf", sealed.clone(), "not a holder of the newest epoch");
    let nobodys = w.card_sealed("rita", &[]);
    w.refuses("stella", nobodys, "a card is not current");
    let others = w.card("rolf");
    let wrong = w.card_sealed("rita", &[others]);
    w.refuses("rita", wrong, "a card is not current");
    let ungranted = w.card_sealed("rolf", &[others]);
    w.refuses("stella", ungranted, "the member has no current grant");
    w.does("rita", sealed);
    let opened = w.epoch_opened(&[]);
    w.does("stella", opened);
    let three = w.add_card("rita/3");
    let Body::CardSealed(mut half) = w.card_sealed("rita", &[three]) else { panic!() };
    half.seals = half.seals.iter().take(1).cloned().collect();
    w.refuses("rita", Body::CardSealed(half), "not sealed to exactly those cards and epochs");
    let sealed = w.card_sealed("rita", &[three]);
    w.does("stella", sealed);
    // After its grant nobody seals to it, itself included.
    w.does("rita", revoked("rita"));
    let sealed = w.card_sealed("rita", &[three]);
    w.refuses("rita", sealed.clone(), "not a holder of the newest epoch");
    w.refuses("stella", sealed, "the member has no current grant");
}

#[test]
fn only_the_grantee_accepts_the_agreement_of_its_current_grant() {
    let mut w = World::with_dataset();
    let entry = w.data().grants()[&member("rita")].entry;
    let accepted = |grant| Body::AgreementAccepted(AgreementAccepted { agreement: Digest([1; 32]), grant });
    w.refuses("stella", accepted(entry), "not the author's current grant");
    w.refuses("rita", accepted(EntryHash([0; 32])), "not the author's current grant");
    w.does("rita", accepted(entry));
    w.does("stella", revoked("rita"));
    w.refuses("rita", accepted(entry), "not the author's current grant");
}

#[test]
fn grants_are_suspended_by_officers_and_stewards_until_given_anew() {
    let mut w = World::with_dataset();
    for body in [suspended(&["rita"]), withdrawn(&["rita"])] {
        w.refuses("uma", body.clone(), "neither officer nor steward");
        w.refuses("rita", body.clone(), "neither officer nor steward");
        w.does("otto", body.clone());
        assert!(!has_grant(&w, "rita"));
        w.refuses("stella", body, "the member has no grant");
        let granted = w.granted("rita");
        w.does("stella", granted);
        assert!(has_grant(&w, "rita"));
    }
    w.refuses("stella", suspended(&[]), "names no member");
    w.refuses("stella", suspended(&["rita", "rolf"]), "the member has no grant");
    w.does("stella", withdrawn(&[]));
    w.does("sven", suspended(&["rita", "stella"]));
    assert!(!has_grant(&w, "rita") && !has_grant(&w, "stella"));
}

#[test]
fn a_grant_is_revoked_by_officer_steward_or_grantee() {
    let mut w = World::with_dataset();
    for name in ["rolf", "uma", "mallory", "reco", "anna"] {
        w.refuses(name, revoked("rita"), "neither officer nor steward");
    }
    w.refuses("stella", revoked("rolf"), "the member has no grant");
    for name in ["olga", "sven", "rita"] {
        w.does(name, revoked("rita"));
        assert!(!has_grant(&w, "rita"));
        assert!(matches!(w.data().grants()[&member("rita")].status, GrantStatus::Revoked { .. }));
        w.refuses("stella", revoked("rita"), "the member has no grant");
        let granted = w.granted("rita");
        w.does("stella", granted);
    }
}

#[test]
fn a_retired_member_has_no_grant_and_can_still_be_revoked() {
    let mut w = World::with_dataset();
    w.vault_does("olga", member_retired("rita"));
    assert!(!has_grant(&w, "rita"));
    assert!(w.data().is_stale(&w.state, w.at()));
    w.refuses("rita", revoked("rita"), "unknown author");
    w.does("olga", revoked("rita"));
}

#[test]
fn destruction_is_attested_by_who_had_a_grant() {
    let mut w = World::with_dataset();
    w.refuses("rolf", attested("rolf"), "the member never had a grant");
    w.refuses("olga", attested("rita"), "only the member itself attests while it is current");
    w.refuses("stella", attested("rita"), "only the member itself attests while it is current");
    w.does("rita", attested("rita"));
    w.does("stella", revoked("rita"));
    w.does("rita", attested("rita"));
    w.vault_does("olga", member_retired("rita"));
    w.refuses("stella", attested("rita"), "not an officer");
    w.does("olga", attested("rita"));
    assert_eq!(w.data().attested().len(), 3);
}

#[test]
fn a_deleted_dataset_takes_ends_only() {
    let mut w = World::with_dataset();
    let manifest = w.uploads("uma");
    let (upload, opened) = w.upload_opened();
    w.does("uma", opened);
    let deleted =
        Body::DatasetDeleted(DatasetDeleted { approval: None, terms: DatasetDeletedTerms { reason: text("end") } });
    w.refuses("olga", deleted.clone(), "not a steward");
    w.refuses("uma", deleted.clone(), "not a steward");
    w.does("sven", deleted.clone());
    assert!(w.data().is_deleted());
    let why = "the dataset is deleted";
    let (_, again) = w.upload_opened();
    let (granted, opened, closed) = (w.granted("rolf"), w.epoch_opened(&[]), w.epoch_closed());
    let (commit, reset) = (w.commit(upload), w.reset("sven"));
    for body in [
        deleted,
        again,
        granted,
        opened,
        closed,
        Body::UploadCommitted(commit),
        Body::EpochReset(reset),
        amended(1, &[]),
        suspended(&["rita"]),
        Body::UploaderSet(UploaderSet { member: member("rolf"), on: true }),
    ] {
        w.refuses("stella", body, why);
    }
    w.does("rita", attested("rita"));
    w.does("stella", revoked("rita"));
    w.does("uma", Body::UploadClosed(UploadClosed { reason: text("end"), upload }));
    w.does("stella", Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("end") }));
    w.vault_does("olga", seen(1));
    w.does("mallory", anchored());
}

#[test]
fn what_a_role_set_said_before_the_creation_does_not_bind_the_creator() {
    let mut w = World::new();
    w.vault_does("olga", role("stella", Role::Steward, false));
    let created = w.created();
    w.does("stella", created);
    assert!(w.data().is_steward(&w.state, &member("stella"), w.state.last_seq()));
}

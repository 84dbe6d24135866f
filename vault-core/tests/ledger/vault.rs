//! The vault ledger, kind by kind. Spec section 5.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_core::ids::{Digest, EntryHash, LedgerId, VaultId};
use vault_core::json::B64;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::*;
use vault_core::ledger::vault::{GenesisError, VaultState};
use vault_core::suite::Suite;

use super::world::*;

/// Folds a genesis after `bend`.
fn born(
    bend: impl FnOnce(&mut Statement, &mut Genesis, &BTreeMap<String, Arc<Identity>>),
) -> Result<VaultState, GenesisError> {
    let mut rng = TestRng::new(7);
    let people = people(Suite::X25519, &mut rng);
    let mut body = genesis(Suite::X25519, &people);
    let mut statement = Statement {
        author: member("olga"),
        body: Body::Anchored(Empty {}),
        card: *people["olga"].card.id(),
        ledger: LedgerId::Vault,
        prev: None,
        seq: 0,
        time: 1,
        vault: None,
        vault_head: None,
    };
    bend(&mut statement, &mut body, &people);
    if matches!(statement.body, Body::Anchored(_)) {
        statement.body = Body::Genesis(body);
    }
    let signer = people.values().find(|p| *p.card.id() == statement.card).unwrap();
    let stored = sign(signer, &statement);
    VaultState::fold(&VaultId(entry_hash(None, &stored).0), &[&stored])
}

#[track_caller]
fn not_born(bend: impl FnOnce(&mut Statement, &mut Genesis, &BTreeMap<String, Arc<Identity>>), why: &'static str) {
    assert_eq!(born(bend).err(), Some(GenesisError::Invalid(why)));
}

#[test]
fn a_genesis_makes_its_author_the_first_officer() {
    let state = born(|_, _, _| {}).unwrap();
    assert!(state.is_officer(&member("olga"), 0));
    assert!(!state.is_officer(&member("reco"), 0));
    assert!(state.is_current_member(&member("reco"), 0));
    assert_eq!(state.time(), 1);
}

#[test]
fn a_genesis_is_checked_member_by_member() {
    not_born(|_, g, _| g.algorithms.aead = "AES-128-GCM".to_owned(), "algorithms that are not the suite's");
    not_born(|_, g, _| g.algorithms = Algorithms::of(Suite::XWing), "algorithms that are not the suite's");
    not_born(
        |_, g, _| (g.suite, g.algorithms) = (Suite::XWing, Algorithms::of(Suite::XWing)),
        "a card of another suite",
    );
    not_born(|_, g, _| g.head_age = 3599, "a head age below an hour");
    assert!(born(|_, g, _| g.head_age = 3600).is_ok());
    not_born(|_, g, _| g.approvals.granted[4] = 9, "more than 8 approvals");
    not_born(|_, g, _| g.approvals.card_added = 9, "more than 8 approvals");
    assert!(born(|_, g, _| g.approvals.recovered = 8).is_ok());
    not_born(|_, g, _| g.members.clear(), "no first officer");
    not_born(|_, g, _| g.members[1].member = member("olga"), "a member twice");
    not_born(|_, g, _| g.members[1].cards = g.members[0].cards.clone(), "a card that is known already");
    not_born(|_, g, _| g.members[0].cards = vec![g.members[0].cards[0].clone(); 2], "a card that is known already");
    not_born(|_, g, _| g.members[1].cards.clear(), "no card, or more than 64");
    not_born(|_, g, _| g.members[1].cards[0].0[80] ^= 1, "an invalid card");
    let author = "the author is not the first member, or a recovery card is nobody's";
    not_born(|_, g, p| g.recovery = [*p["rita"].card.id()].into_iter().collect(), author);
    not_born(|_, g, _| g.members.swap(0, 1), author);
    assert!(born(|_, g, _| g.recovery = Set::default()).is_ok());
}

#[test]
fn a_genesis_has_no_past_and_is_signed_by_its_author() {
    let past = "a genesis has no entry before it";
    not_born(|s, _, _| s.prev = Some(EntryHash([0; 32])), past);
    not_born(|s, _, _| s.vault_head = Some(VaultHead { hash: EntryHash([0; 32]), seq: 0 }), past);
    let misplaced = "misplaced: names another vault, ledger or number";
    not_born(|s, _, _| s.vault = Some(VaultId([0; 32])), misplaced);
    not_born(|s, _, _| s.seq = 1, misplaced);
    not_born(|s, _, _| s.ledger = LedgerId::Dataset(dataset_id()), misplaced);
    let card = "signed with a card that is not the author's";
    not_born(|s, _, p| s.card = *p["reco"].card.id(), card);
    not_born(|s, _, p| s.card = *p["xeno"].card.id(), card);
    not_born(|s, _, _| s.body = seen(1), "entry 0 is no genesis");
}

#[test]
fn a_genesis_is_the_vault_id() {
    let w = World::new();
    assert_eq!(VaultState::fold(&VaultId([1; 32]), &w.vault).err(), Some(GenesisError::OtherVault));
    assert_eq!(VaultState::fold(w.state.id(), &Vec::<Vec<u8>>::new()).err(), Some(GenesisError::Missing));
}

#[test]
fn the_default_suite_works_too() {
    let mut w = World::with(Suite::XWing, |_| {}).opened();
    w.uploads("uma");
    let other = identity(Suite::X25519, "xeno", &mut w.rng);
    w.people.insert("xeno".to_owned(), Arc::new(other));
    w.vault_refuses("olga", w.enrolled("xeno"), "a card of another suite");
}

#[test]
fn officers_enrol_members_once_with_valid_cards() {
    let mut w = World::new();
    w.vault_refuses("rita", w.enrolled("xeno"), "not an officer");
    w.vault_refuses("reco", w.enrolled("xeno"), "not an officer");
    w.vault_refuses("olga", w.enrolled("rita"), "the member id is taken");

    let bodies =
        |cards: Vec<B64>| Body::MemberEnrolled(MemberEnrolled { cards, info: info("xeno"), member: member("xeno") });
    let card = w.b64("xeno");
    w.vault_refuses("olga", bodies(vec![]), "no card, or more than 64");
    w.vault_refuses("olga", bodies(vec![card.clone(); 65]), "no card, or more than 64");
    w.vault_refuses("olga", bodies(vec![card.clone(), card.clone()]), "a card that is known already");
    w.vault_refuses("olga", bodies(vec![w.b64("rita")]), "a card that is known already");
    let mut broken = card.clone();
    broken.0[60] ^= 1;
    w.vault_refuses("olga", bodies(vec![broken]), "an invalid card");
    w.vault_refuses("olga", bodies(vec![low_order_card(&w)]), "an invalid card");

    w.vault_does("otto", w.enrolled("xeno"));
    assert!(w.state.is_current_card(&w.card("xeno"), &member("xeno"), w.state.last_seq()));
    assert!(!w.state.is_current_member(&member("xeno"), w.state.last_seq() - 1));
}

/// A card that xeno signed over a KEM key of small order.
fn low_order_card(w: &World) -> B64 {
    use vault_core::envelope::{Envelope, PayloadType};
    let old = Envelope::parse(w.who("xeno").card.stored()).unwrap();
    let mut payload: serde_json::Value = serde_json::from_slice(&old.payload).unwrap();
    let mut key = [0u8; 32];
    key[0] = 1;
    payload["kem"] = vault_core::json::to_b64(&key).into();
    let payload = vault_core::json::emit_value(&payload).unwrap();
    let id = vault_core::ids::CardId(vault_core::hazmat::kdf::sha256(&payload));
    let sign = |pae: &[u8]| Ok::<_, std::convert::Infallible>(w.who("xeno").key.sign(pae));
    B64(Envelope::signed_with(PayloadType::Card, payload, id, sign).unwrap().emit())
}

#[test]
fn retired_ids_and_cards_never_come_back() {
    let mut w = World::new();
    w.add_card("rita/2");
    w.vault_does("rita", w.card_retired("rita/2"));
    w.vault_refuses("rita", w.card_added("rita/2", None), "a card that is known already");
    w.vault_does("olga", member_retired("rita"));
    w.vault_refuses("olga", w.enrolled("rita"), "the member id is taken");
    let body = MemberEnrolled { cards: vec![w.b64("rita")], info: info("xeno"), member: member("xeno") };
    w.vault_refuses("olga", Body::MemberEnrolled(body), "a card that is known already");
    w.vault_refuses("olga", role("rita", Role::Auditor, true), "the member is not current");
    w.vault_refuses("olga", w.card_retired("rita"), "the card is not current");
    w.vault_refuses("olga", member_retired("rita"), "the member is not current");
    w.new_card("rita/3");
    w.vault_refuses("olga", w.card_added("rita/3", None), "the member is not current");
}

#[test]
fn officers_amend_members() {
    let mut w = World::new();
    let body = |name: &str, said: &str| Body::MemberAmended(MemberAmended { info: info(said), member: member(name) });
    w.vault_refuses("rita", body("rita", "me"), "not an officer");
    w.vault_refuses("olga", body("xeno", "x"), "no such member");
    w.vault_does("olga", body("rita", "Rita GmbH"));
    let rita = w.state.member(&member("rita")).unwrap();
    assert_eq!(rita.info().unwrap().organisation.as_str(), "Rita GmbH");
    assert_eq!(rita.info_at(w.state.last_seq() - 1).unwrap().organisation.as_str(), "rita");
}

#[test]
fn a_member_adds_its_own_cards_and_officers_add_anybodys() {
    let mut w = World::new();
    w.new_card("rita/2");
    w.vault_refuses("rolf", w.card_added("rita/2", None), "not an officer");
    let empty = Approval { approvals: Set::default(), proposal: EntryHash([0; 32]) };
    w.vault_refuses("rita", w.card_added("rita/2", Some(empty.clone())), "no such proposal");
    w.vault_refuses("olga", w.card_added("rita/2", Some(empty)), "no such proposal");
    w.vault_does("rita", w.card_added("rita/2", None));
    w.vault_refuses("rita", w.card_added("rita/2", None), "a card that is known already");
    w.new_card("rita/3");
    w.vault_does("olga", w.card_added("rita/3", None));
    // The new card signs for its member.
    let sender = w.vault_draft("rita/2", w.card_retired("rita"));
    assert_eq!(w.put(&LedgerId::Vault, w.sign("rita/2", &sender)), Applied);
    w.vault_refuses("rita", w.card_retired("rita/2"), "unknown author");
    assert_eq!(w.current_cards("rita").len(), 2);
}

#[test]
fn a_member_has_at_most_64_current_cards() {
    let mut w = World::new();
    for n in 2..=64 {
        w.add_card(&format!("rita/{n}"));
    }
    w.new_card("rita/65");
    w.vault_refuses("rita", w.card_added("rita/65", None), "the member has 64 current cards");
    w.vault_refuses("olga", w.card_added("rita/65", None), "the member has 64 current cards");
    w.vault_does("rita", w.card_retired("rita/7"));
    w.vault_does("rita", w.card_added("rita/65", None));
}

#[test]
fn a_member_is_enrolled_with_at_most_64_cards() {
    let mut w = World::new();
    let names: Vec<String> = (0..65).map(|n| format!("xeno/{n}")).collect();
    let cards: Vec<B64> = names
        .iter()
        .map(|name| {
            w.new_card(name);
            B64(w.who(name).card.stored().to_vec())
        })
        .collect();
    let enrolled = |cards: &[B64]| {
        Body::MemberEnrolled(MemberEnrolled { cards: cards.to_vec(), info: info("xeno"), member: member("xeno") })
    };
    w.vault_refuses("olga", enrolled(&cards), "no card, or more than 64");
    w.vault_refuses("olga", enrolled(&[]), "no card, or more than 64");
    w.vault_does("olga", enrolled(&cards[..64]));
}

#[test]
fn cards_are_retired_by_their_member_or_an_officer() {
    let mut w = World::new();
    w.add_card("rita/2");
    w.vault_refuses("rolf", w.card_retired("rita"), "not an officer");
    let wrong = CardRetired { card: w.card("rita"), member: member("rolf"), reason: text("mine?") };
    w.vault_refuses("rolf", Body::CardRetired(wrong), "the card is not current");
    w.vault_does("otto", w.card_retired("rita"));
    w.vault_refuses("rita", w.card_retired("rita/2"), "unknown author");
}

#[test]
fn the_last_officer_stays() {
    let mut w = World::new();
    w.vault_refuses("rita", member_retired("olga"), "not an officer");
    w.vault_does("olga", member_retired("otto"));
    w.vault_refuses("otto", seen(1), "unknown author");
    w.vault_refuses("olga", member_retired("olga"), "the last officer");
    w.vault_refuses("olga", role("olga", Role::Officer, false), "the last officer");
    w.vault_refuses("olga", role("otto", Role::Officer, true), "the member is not current");
    w.vault_does("olga", role("rita", Role::Officer, true));
    w.vault_does("rita", role("olga", Role::Officer, false));
    w.vault_refuses("olga", seen(1), "not an officer");
    w.vault_refuses("rita", role("rita", Role::Officer, false), "the last officer");
    // Taking a role from somebody who has none removes nobody.
    w.vault_does("rita", role("uma", Role::Officer, false));
    w.vault_does("uma", member_retired("uma"));
}

#[test]
fn roles_fit_their_scope() {
    let w = World::new();
    let set = |role, dataset| Body::RoleSet(RoleSet { dataset, member: member("rita"), on: true, role });
    for r in [Role::Officer, Role::Auditor, Role::Creator] {
        w.vault_refuses("olga", set(r, Some(dataset_id())), "the role and its dataset do not fit");
    }
    for r in [Role::Steward, Role::Approver] {
        w.vault_refuses("olga", set(r, None), "the role and its dataset do not fit");
    }
    w.vault_refuses("olga", role("xeno", Role::Auditor, true), "no such member");
    w.vault_refuses("olga", role("xeno", Role::Auditor, false), "no such member");
    w.vault_refuses("stella", role("stella", Role::Steward, true), "not an officer");
}

#[test]
fn roles_hold_from_their_entry_to_the_next() {
    let mut w = World::new();
    let before = w.state.last_seq();
    w.vault_does("olga", role("rita", Role::Auditor, true));
    let on = w.state.last_seq();
    w.vault_does("olga", role("rita", Role::Auditor, false));
    let off = w.state.last_seq();
    let has = |at| w.state.has_role(Role::Auditor, None, &member("rita"), at);
    assert_eq!((has(before), has(on), has(off)), (false, true, false));
    assert_eq!(w.state.roles_of(&member("stella")).collect::<Vec<_>>(), [(Role::Creator, None)]);
}

#[test]
fn a_recovery_card_appoints_an_officer_and_nothing_else() {
    let mut w = World::new();
    let appoint = |name: &str| Body::OfficerRecovered(OfficerRecovered { member: member(name) });
    w.vault_refuses("rita", appoint("rita"), "not signed with a recovery card of the genesis");
    w.vault_refuses("olga", appoint("rita"), "not signed with a recovery card of the genesis");
    w.add_card("reco/2");
    let other = w.vault_draft("reco/2", appoint("rita"));
    w.refuses_statement("reco/2", &other, "not signed with a recovery card of the genesis");
    w.vault_refuses("reco", appoint("xeno"), "the member is not current");
    w.vault_refuses("reco", role("rita", Role::Officer, true), "not an officer");
    w.vault_does("reco", appoint("rita"));
    w.vault_does("rita", seen(1));
}

#[test]
fn packs_servers_formats_and_seen_are_officers_words() {
    let mut w = World::new();
    let pack = |on| Body::PackSet(PackSet { hash: Digest([1; 32]), name: text("hgr"), on });
    let server = |key: usize, witness: usize| {
        Body::ServerSet(ServerSet {
            log_key: Some(B64(vec![1; key])),
            name: text("s"),
            on: true,
            witness_keys: vec![B64(vec![1; witness])],
        })
    };
    let format = |format| Body::FormatRaised(FormatRaised { format });
    for body in [pack(true), server(32, 32), format(2), seen(1)] {
        w.vault_refuses("stella", body, "not an officer");
    }
    w.vault_refuses("olga", server(31, 32), "a key is not 32 bytes");
    w.vault_refuses("olga", server(32, 33), "a key is not 32 bytes");
    w.vault_refuses("olga", format(1), "the format is not above the present one");
    w.vault_does("olga", server(32, 32));
    assert_eq!(w.state.pack_at(w.state.last_seq()), None);
    w.vault_does("olga", pack(true));
    let on = w.state.last_seq();
    w.vault_does("olga", pack(false));
    assert!(w.state.pack_at(on).is_some());
    assert_eq!(w.state.pack_at(w.state.last_seq()), None);
    w.vault_does("olga", seen(4));
    assert_eq!(w.state.seen().unwrap().list, Digest([4; 32]));
    w.vault_does("olga", format(3));
    w.vault_refuses("olga", format(3), "the format is not above the present one");
    assert_eq!((w.state.format(), w.state.format_at(on)), (3, 1));
}

#[test]
fn subject_keys_are_set_in_order_by_stewards_and_creators() {
    let mut w = World::new();
    let set = |generation| Body::SubjectKeySet(SubjectKeySet { generation, seals: Set::default() });
    w.vault_refuses("rita", set(1), "not a steward");
    w.vault_refuses("olga", set(1), "not a steward");
    w.vault_refuses("stella", set(2), "not the next generation");
    w.vault_does("stella", set(1));
    w.vault_does("olga", role("sven", Role::Steward, true));
    w.vault_does("sven", set(2));
    w.vault_does("olga", role("sven", Role::Steward, false));
    w.vault_refuses("sven", set(3), "not a steward");
    assert_eq!(w.state.subject_key_generation(), 2);
    assert_eq!(w.state.subject_key(1).map(|set| &set.author), Some(&member("stella")));
    assert_eq!(w.state.subject_key(2).map(|set| &set.author), Some(&member("sven")));
    assert!(w.state.subject_key(3).is_none());
}

#[test]
fn a_vault_tells_what_its_genesis_says_and_when_entries_were_made() {
    let mut w = World::new();
    assert_eq!(w.state.head_age(), 30 * DAY);
    assert_eq!(w.state.recovery_cards().iter().collect::<Vec<_>>(), [&w.card("reco")]);
    assert_eq!(w.state.time_of(0), Some(1_800_000_000));
    assert_eq!(w.state.time_of(w.state.last_seq()), Some(w.now - 1));
    assert_eq!(w.state.time_of(w.state.last_seq() + 1), None);
    // A void entry has no time that anybody may rely on.
    let stored = w.sign("mallory", &w.vault_draft("mallory", seen(1)));
    assert!(matches!(w.put(&LedgerId::Vault, stored), Void(_)));
    assert_eq!(w.state.time_of(w.state.last_seq()), None);
    let five = w.state.time_of(5).unwrap();
    assert_eq!(w.state.newest_before(five), 4);
    assert_eq!(w.state.newest_before(five + 1), 5);
    assert_eq!(w.state.newest_before(u64::MAX), w.state.last_seq() - 1);
    assert_eq!(w.state.newest_before(0), 0);
}

#[test]
fn only_officers_entries_tell_the_heads_age() {
    // Any member may add its own card; its clock neither keeps a frozen view fresh nor blocks others from the future.
    let mut w = World::new();
    let told = w.state.time();
    w.new_card("mallory/2");
    let mut statement = w.vault_draft("mallory", w.card_added("mallory/2", None));
    statement.time = 1 << 52;
    assert_eq!(w.put(&LedgerId::Vault, w.sign("mallory", &statement)), Applied);
    assert_eq!(w.state.time(), told);
    w.vault_does("otto", seen(1));
    assert_eq!(w.state.time(), w.now - 1);
    assert!(w.state.time() > told);
}

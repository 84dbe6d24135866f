//! The past can't be changed behind what was seen: hashes, forks, recoveries, pins. Spec sections 1.2, 4.4 to 4.6.

use vault_core::ids::{EntryHash, LedgerId};
use vault_core::ledger::fold::Stop;
use vault_core::ledger::pin::{self, Pin, PinError};
use vault_core::ledger::statement::*;
use vault_core::ledger::vault::VaultState;

use super::world::*;

fn dataset() -> LedgerId {
    LedgerId::Dataset(dataset_id())
}

/// Signs what uma may say, with another past.
fn forked(w: &mut World) -> Vec<u8> {
    let (_, opened) = w.upload_opened();
    let mut statement = w.dataset_draft("uma", opened);
    statement.prev = Some(EntryHash([9; 32]));
    w.sign("uma", &statement)
}

/// Signs `anchored` that cites a vault entry which nobody has.
fn unanchored(w: &World, signer: &str) -> Vec<u8> {
    let mut statement = w.dataset_draft(signer, anchored());
    statement.vault_head = Some(VaultHead { hash: EntryHash([9; 32]), seq: w.state.last_seq() + 1 });
    w.sign(signer, &statement)
}

// --- hashes ---

#[test]
fn an_entry_can_not_be_replaced_behind_rubbish() {
    // A revocation, then rubbish by somebody who can write objects, then honest work that builds on both.
    let mut w = World::with_dataset();
    let before = w.dataset.len();
    w.does("stella", revoked("rita"));
    assert_eq!(w.put(&dataset(), b"rubbish".to_vec()), Void("malformed envelope"));
    let (_, opened) = w.upload_opened();
    let hash = w.does("uma", opened);
    let pin = Pin { hash, seq: w.dataset.len() as u64 - 1, vault_seq: w.state.last_seq() };

    let mut changed = w.dataset.clone();
    changed[before] = b"other rubbish".to_vec();
    let state = w.fold_dataset(&changed);
    let hash_at = |seq: u64| state.judged().get(usize::try_from(seq).unwrap()).map(|j| j.hash);
    assert!(state.stop().is_some(), "honest work on another past is a fork");
    let shorter = PinError::Shorter { ledger: dataset(), seq: pin.seq };
    assert_eq!(pin::check(&dataset(), &pin, hash_at, &w.state), Err(shorter));
}

#[test]
fn an_entry_can_not_be_replaced_before_one_that_depends_on_it() {
    // Without the epoch that it closes, `epoch-closed` is void, and a void entry's past is not looked at.
    let mut w = World::with_dataset();
    let before = w.dataset.len();
    let (opened, closed) = (w.epoch_opened(&["rita"]), before + 1);
    w.does("stella", opened);
    let close = w.epoch_closed();
    w.does("stella", close);
    w.uploads("uma");

    let mut changed = w.dataset.clone();
    changed[before] = b"rubbish".to_vec();
    let state = w.fold_dataset(&changed);
    assert_eq!(state.judged().len(), closed + 1);
    assert!(matches!(state.stop(), Some(Stop::Fork { .. })));
}

#[test]
fn every_entry_changes_all_hashes_after_it() {
    let w = World::with_dataset();
    let mut changed = w.vault.clone();
    changed[3] = b"rubbish".to_vec();
    let state = VaultState::fold(w.state.id(), &changed).unwrap();
    assert_eq!(state.entry_hash(2), w.state.entry_hash(2));
    assert_ne!(state.entry_hash(3), w.state.entry_hash(3));
    assert!(state.stop().is_some());
}

// --- forks of a dataset ledger ---

#[test]
fn an_authorised_entry_with_another_past_stops_the_fold() {
    let mut w = World::with_dataset();
    let stored = forked(&mut w);
    let seq = w.dataset.len() as u64;
    assert_eq!(w.put(&dataset(), stored), Forked);
    let Some(Stop::Fork { seq: at, why, .. }) = w.data().stop() else { panic!() };
    assert_eq!((*at, *why), (seq, WRONG_PREV));
    assert_eq!(w.data().judged().len() as u64, seq, "what came before stands");
    // Nothing after it is read.
    w.dataset.push(b"rubbish".to_vec());
    w.refold();
    assert_eq!(w.data().judged().len() as u64, seq);
}

#[test]
fn an_unauthorised_entry_with_another_past_is_void() {
    let mut w = World::with_dataset();
    let (_, opened) = w.upload_opened();
    let mut statement = w.dataset_draft("mallory", opened);
    statement.prev = Some(EntryHash([9; 32]));
    w.refuses_statement("mallory", &statement, "neither uploader nor steward");
}

#[test]
fn an_entry_that_names_none_before_it_is_malformed_and_no_fork() {
    let mut w = World::with_dataset();
    let granted = w.granted("rolf");
    let mut statement = w.dataset_draft("stella", granted);
    statement.prev = None;
    w.refuses_statement("stella", &statement, "malformed: names no entry before it");
}

#[test]
fn a_recovery_makes_a_fork_void_and_the_fold_goes_on() {
    let mut w = World::with_dataset();
    let stored = forked(&mut w);
    assert_eq!(w.put(&dataset(), stored), Forked);
    w.vault_refuses("stella", w.settles(), "not an officer");
    w.vault_does("olga", w.settles());
    w.refold();
    assert_eq!(w.data().stop(), None);
    assert_eq!(
        w.data().judged().last().unwrap().verdict,
        vault_core::ledger::Verdict::Void("fork, settled by a recovery")
    );
    w.uploads("uma");
}

#[test]
fn a_recovery_names_ledger_number_and_hash() {
    let mut w = World::with_dataset();
    let stored = forked(&mut w);
    assert_eq!(w.put(&dataset(), stored), Forked);
    let Some(Stop::Fork { seq, hash, .. }) = w.data().stop().cloned() else { panic!() };
    let void = RecoveryAction::Void;
    let other = LedgerId::Dataset("d2".parse().unwrap());
    for body in [
        w.recovered(void, other, seq, hash),
        w.recovered(void, dataset(), seq + 1, hash),
        w.recovered(void, dataset(), seq, EntryHash([0; 32])),
        w.recovered(RecoveryAction::Cut, dataset(), seq, hash),
    ] {
        w.vault_does("olga", body);
    }
    w.refold();
    assert!(w.data().stop().is_some());
    w.vault_does("olga", w.recovered(void, dataset(), seq, hash));
    w.refold();
    assert!(w.data().stop().is_none());
}

#[test]
fn a_recovery_does_not_take_back_what_was_applied() {
    let mut w = World::with_dataset();
    let hash = w.does("stella", revoked("rita"));
    let seq = w.dataset.len() as u64 - 1;
    w.vault_does("olga", w.recovered(RecoveryAction::Void, dataset(), seq, hash));
    w.refold();
    assert!(!w.data().has_grant(&w.state, &member("rita"), w.at()));
}

#[test]
fn an_entry_of_a_member_that_cites_an_unknown_vault_entry_stops_the_fold() {
    let mut w = World::with_dataset();
    let stored = unanchored(&w, "stella");
    assert_eq!(w.put(&dataset(), stored), Forked);
    assert!(matches!(w.data().stop(), Some(Stop::Fork { why: UNANCHORED, .. })));
    w.vault_does("olga", w.settles());
    w.refold();
    assert_eq!(w.data().stop(), None);
    w.uploads("uma");
}

#[test]
fn another_hash_at_a_known_vault_entry_stops_the_fold_too() {
    let mut w = World::with_dataset();
    let mut statement = w.dataset_draft("stella", revoked("rita"));
    statement.vault_head.as_mut().unwrap().hash = EntryHash([9; 32]);
    assert_eq!(w.would(&dataset(), w.sign("stella", &statement)), Forked);
    // But not where the number is older than what the ledger cites, or nobody's signature is under it.
    w.vault_does("olga", seen(1));
    w.does("uma", anchored());
    w.refuses_statement("stella", &statement_at(&w, statement.clone()), "older vault head");
    let mut statement = w.dataset_draft("stella", revoked("rita"));
    statement.vault_head.as_mut().unwrap().hash = EntryHash([9; 32]);
    let mut stored = w.sign("stella", &statement);
    let at = stored.len() - 20;
    stored[at] = if stored[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(w.would(&dataset(), stored), Void("bad signature"));
}

fn statement_at(w: &World, mut statement: Statement) -> Statement {
    statement.seq = w.dataset.len() as u64;
    statement
}

#[test]
fn an_unanchored_entry_of_a_stranger_is_void() {
    let w = World::with_dataset();
    assert_eq!(w.would(&dataset(), unanchored(&w, "xeno")), Void("unknown author"));
    // A member's card in another's name.
    let mut statement = w.dataset_draft("mallory", anchored());
    statement.author = member("stella");
    statement.vault_head = Some(VaultHead { hash: EntryHash([9; 32]), seq: 99 });
    w.refuses_statement("mallory", &statement, "unknown author");
}

#[test]
fn who_was_retired_stops_a_ledger_until_it_cites_that_and_never_after() {
    let mut w = World::with_dataset();
    w.add_card("rolf/2");
    w.vault_does("olga", member_retired("mallory"));
    w.vault_does("rolf", w.card_retired("rolf"));
    assert_eq!(w.would(&dataset(), unanchored(&w, "mallory")), Forked);
    assert_eq!(w.would(&dataset(), unanchored(&w, "rolf")), Forked);
    w.does("uma", anchored());
    assert_eq!(w.would(&dataset(), unanchored(&w, "mallory")), Void("unknown author"));
    assert_eq!(w.would(&dataset(), unanchored(&w, "rolf")), Void("unknown author"));
    // A back-dated entry of a time when it was no stranger is void as well, whatever it says of its past.
    let mut statement = w.dataset_draft("mallory", anchored());
    statement.vault_head = Some(VaultHead { hash: w.state.entry_hash(12).unwrap(), seq: 12 });
    statement.prev = Some(EntryHash([9; 32]));
    w.refuses_statement("mallory", &statement, "older vault head");
    // Whoever is current can still say that it saw another vault ledger.
    let current = w.dataset_draft("rolf/2", anchored());
    assert_eq!(current.author, member("rolf"));
    assert_eq!(w.would(&dataset(), unanchored(&w, "rolf/2")), Forked);
}

#[test]
fn entries_cite_a_vault_entry_that_never_falls() {
    let mut w = World::with_dataset();
    let old = w.dataset_draft("stella", revoked("rita"));
    w.refuses("uma", anchored(), "cites nothing newer");
    w.vault_does("olga", seen(1));
    w.does("mallory", anchored());
    assert_eq!(w.data().cited(), w.state.last_seq());
    w.refuses_statement(
        "stella",
        &Statement { vault_head: old.vault_head, ..w.dataset_draft("stella", old.body) },
        "older vault head",
    );
    w.refuses("mallory", anchored(), "cites nothing newer");
    // A void entry does not move what is cited.
    w.vault_does("olga", seen(2));
    w.put(&dataset(), w.sign("mallory", &w.dataset_draft("mallory", revoked("rita"))));
    assert_eq!(w.data().cited(), w.state.last_seq() - 1);
}

#[test]
fn a_dataset_is_created_by_entry_0_alone() {
    use vault_core::ledger::dataset::{CreationError, DatasetState};
    let mut w = World::new();
    let fold =
        |w: &World, entries: &[Vec<u8>]| DatasetState::fold(&w.state, &w.exposures(), &dataset_id(), entries).err();
    let body = w.created();
    let good = w.dataset_draft("stella", body.clone());
    assert_eq!(fold(&w, &[]), Some(CreationError::Missing));
    assert_eq!(fold(&w, &[w.sign("stella", &good)]), None);
    assert_eq!(fold(&w, &[b"rubbish".to_vec()]), Some(CreationError::Invalid("malformed envelope")));
    let bend = |w: &World, signer: &str, bend: &dyn Fn(&mut Statement, &mut DatasetCreated)| {
        let Body::DatasetCreated(mut created) = body.clone() else { panic!() };
        let mut statement = w.dataset_draft(signer, anchored());
        bend(&mut statement, &mut created);
        if statement.body == anchored() {
            statement.body = Body::DatasetCreated(created);
        }
        fold(w, &[w.sign(signer, &statement)])
    };
    let invalid = |why| Some(CreationError::Invalid(why));
    assert_eq!(bend(&w, "stella", &|_, _| {}), None);
    assert_eq!(bend(&w, "stella", &|s, _| s.prev = None), invalid("malformed: names no entry before it"));
    let elsewhere = |s: &mut Statement, _: &mut DatasetCreated| s.prev = Some(EntryHash([9; 32]));
    assert_eq!(bend(&w, "stella", &elsewhere), invalid("entry 0 does not follow the vault id"));
    assert_eq!(bend(&w, "stella", &|s, _| s.vault_head.as_mut().unwrap().seq += 1), Some(CreationError::Unanchored));
    assert_eq!(bend(&w, "stella", &|s, _| s.vault_head = None), invalid("names no vault head"));
    assert_eq!(bend(&w, "stella", &|s, _| s.body = revoked("rita")), invalid("entry 0 does not create it"));
    assert_eq!(bend(&w, "rita", &|_, _| {}), invalid("not a creator"));
    assert_eq!(bend(&w, "xeno", &|_, _| {}), invalid("unknown author"));
    let level = invalid("a level outside 1 to 5");
    assert_eq!(bend(&w, "stella", &|_, b| b.level = 0), level);
    assert_eq!(bend(&w, "stella", &|_, b| b.level = 6), level);
    assert_eq!(bend(&w, "stella", &|_, b| b.epoch.public.0 = vec![0; 32]), invalid("an invalid public key"));
    assert_eq!(bend(&w, "stella", &|_, b| b.epoch.public.0.push(0)), invalid("an invalid public key"));
    let exactly = invalid("not sealed to exactly those who hold it");
    assert_eq!(bend(&w, "stella", &|_, b| b.recovery = Set::default()), exactly);
    let others = w.card("xeno");
    assert_eq!(
        bend(&w, "stella", &|_, b| b.recovery = [others].into_iter().collect()),
        invalid("a recovery card is not current")
    );
    let first = |b: &DatasetCreated| [b.epoch.seals.iter().next().unwrap().clone()].into_iter().collect();
    assert_eq!(bend(&w, "stella", &|_, b| b.epoch.seals = first(b)), exactly);
}

// --- forks of the vault ledger ---

/// Appends a fork to the vault ledger: mallory adds a card of its own on another past.
fn fork_vault(w: &mut World) -> (u64, EntryHash) {
    w.new_card("mallory/2");
    let mut statement = w.vault_draft("mallory", w.card_added("mallory/2", None));
    statement.prev = Some(EntryHash([9; 32]));
    assert_eq!(w.put(&LedgerId::Vault, w.sign("mallory", &statement)), Forked);
    let Some(Stop::Fork { seq, hash, .. }) = w.state.stop() else { panic!() };
    (*seq, *hash)
}

/// Signs for the place behind what is stored, though the fold has stopped before it.
fn behind_the_fork(w: &World, signer: &str, body: Body, before: EntryHash) -> Vec<u8> {
    let statement = Statement { prev: Some(before), ..w.vault_draft(signer, body) };
    w.sign(signer, &statement)
}

#[test]
fn a_fork_of_the_vault_ledger_is_settled_by_looking_ahead() {
    let mut w = World::new();
    let (seq, hash) = fork_vault(&mut w);
    let settle = w.recovered(RecoveryAction::Void, LedgerId::Vault, seq, hash);
    // Not by a member who is no officer, not by one that names something else, not by one on another past.
    let stored = behind_the_fork(&w, "stella", settle.clone(), hash);
    assert_eq!(w.would(&LedgerId::Vault, stored), Forked);
    let other = w.recovered(RecoveryAction::Void, LedgerId::Vault, seq, EntryHash([0; 32]));
    let stored = behind_the_fork(&w, "olga", other, hash);
    assert_eq!(w.would(&LedgerId::Vault, stored), Forked);
    let stored = behind_the_fork(&w, "olga", settle.clone(), EntryHash([0; 32]));
    let state = VaultState::fold(w.state.id(), &[&w.vault[..], &[stored]].concat()).unwrap();
    assert!(matches!(state.stop(), Some(Stop::Fork { seq: at, .. }) if *at == seq));

    let stored = behind_the_fork(&w, "olga", settle, hash);
    // A reader that has seen what came before, and gets both at once.
    let (before, both) = w.vault.split_at(usize::try_from(seq).unwrap());
    let mut state = VaultState::fold(w.state.id(), before).unwrap();
    state.extend(&[both, core::slice::from_ref(&stored)].concat());
    assert_eq!(state.stop(), None);
    assert_eq!(w.put(&LedgerId::Vault, stored), Applied);
    assert_eq!(state.judged(), w.state.judged());
    assert_eq!(
        w.state.judged()[usize::try_from(seq).unwrap()].verdict,
        vault_core::ledger::Verdict::Void("fork, settled by a recovery")
    );
    assert!(w.state.card(&w.card("mallory/2")).is_none());
    w.vault_does("olga", member_retired("mallory"));
}

#[test]
fn a_vault_that_asks_for_approvals_can_settle_its_fork() {
    let mut w = World::with(vault_core::suite::Suite::X25519, |g| g.approvals.recovered = 1);
    let (seq, hash) = fork_vault(&mut w);
    let terms = RecoveredTerms { action: RecoveryAction::Void, hash, ledger: LedgerId::Vault, seq };
    let settle = |approval| Body::Recovered(Recovered { approval, terms: terms.clone() });
    let next = |before, stored: &[u8]| vault_core::ledger::fold::entry_hash(Some(before), stored);

    let proposed = Body::Proposed(w.proposed("recovered", &terms, None));
    let stored = behind_the_fork(&w, "olga", proposed, hash);
    let proposal = next(hash, &stored);
    assert_eq!(w.put(&LedgerId::Vault, stored), Forked);
    // Alone it is not enough.
    let own = Approval { approvals: Set::default(), proposal };
    let stored = behind_the_fork(&w, "olga", settle(Some(own)), proposal);
    assert_eq!(w.would(&LedgerId::Vault, stored), Forked);

    let stored = behind_the_fork(&w, "otto", Body::Approved(Approved { proposal }), proposal);
    let approved = next(proposal, &stored);
    assert_eq!(w.put(&LedgerId::Vault, stored), Forked);
    let approval = Approval { approvals: [approved].into_iter().collect(), proposal };
    let stored = behind_the_fork(&w, "olga", settle(Some(approval)), approved);
    assert_eq!(w.put(&LedgerId::Vault, stored), Applied);
    w.vault_does("olga", seen(1));
}

#[test]
fn an_officer_of_after_the_fork_does_not_settle_it() {
    let mut w = World::new();
    let (seq, hash) = fork_vault(&mut w);
    let stored = behind_the_fork(&w, "olga", role("rita", Role::Officer, true), hash);
    let before = vault_core::ledger::fold::entry_hash(Some(hash), &stored);
    assert_eq!(w.put(&LedgerId::Vault, stored), Forked);
    let settle = w.recovered(RecoveryAction::Void, LedgerId::Vault, seq, hash);
    let stored = behind_the_fork(&w, "rita", settle.clone(), before);
    assert_eq!(w.would(&LedgerId::Vault, stored), Forked);
    let stored = behind_the_fork(&w, "otto", settle, before);
    assert_eq!(w.put(&LedgerId::Vault, stored), Applied);
    assert!(w.state.is_officer(&member("rita"), w.state.last_seq()));
}

#[test]
fn a_dataset_that_cites_entries_behind_a_vault_fork_waits_for_its_end() {
    let mut w = World::with_dataset();
    let (_, opened) = w.upload_opened();
    let mut statement = w.dataset_draft("uma", opened);
    let (seq, hash) = fork_vault(&mut w);
    statement.vault_head = Some(VaultHead { hash, seq });
    let stored = w.sign("uma", &statement);
    assert_eq!(w.put(&dataset(), stored), Forked);
    let settle = w.recovered(RecoveryAction::Void, LedgerId::Vault, seq, hash);
    let stored = behind_the_fork(&w, "olga", settle, hash);
    assert_eq!(w.put(&LedgerId::Vault, stored), Applied);
    w.refold();
    assert_eq!(w.data().stop(), None, "the settled entry is there to be cited");
}

// --- pins ---

fn pin_of(w: &World, seq: usize) -> Pin {
    Pin { hash: w.data().judged()[seq].hash, seq: seq as u64, vault_seq: w.state.last_seq() }
}

fn check(w: &World, pin: &Pin, entries: &[Vec<u8>]) -> Result<(), PinError> {
    let state = w.fold_dataset(entries);
    let hash_at = |seq: u64| state.judged().get(usize::try_from(seq).unwrap()).map(|j| j.hash);
    pin::check(&dataset(), pin, hash_at, &w.state)
}

#[test]
fn a_shorter_or_other_ledger_is_refused() {
    let mut w = World::with_dataset();
    w.uploads("uma");
    let pin = pin_of(&w, w.dataset.len() - 1);
    assert_eq!(check(&w, &pin, &w.dataset), Ok(()));
    let (ledger, seq) = (dataset(), pin.seq);
    let short = &w.dataset[..w.dataset.len() - 1];
    assert_eq!(check(&w, &pin, short), Err(PinError::Shorter { ledger: ledger.clone(), seq }));
    let mut other = w.dataset.clone();
    *other.last_mut().unwrap() = b"rubbish".to_vec();
    assert_eq!(check(&w, &pin, &other), Err(PinError::Changed { ledger, seq }));
    w.uploads("uma");
    assert_eq!(check(&w, &pin, &w.dataset), Ok(()), "a longer one goes on");
}

#[test]
fn an_officers_later_cut_explains_a_restored_ledger() {
    let mut w = World::with_dataset();
    let kept = w.dataset.len() - 1;
    let kept_hash = w.data().judged()[kept].hash;
    w.uploads("uma");
    let cut = |w: &World, seq: u64, hash| w.recovered(RecoveryAction::Cut, dataset(), seq, hash);
    // A cut that was known when the ledger was seen explains nothing.
    w.vault_does("olga", cut(&w, kept as u64, kept_hash));
    let pin = pin_of(&w, w.dataset.len() - 1);
    w.dataset.truncate(kept + 1);
    let restored = w.dataset.clone();
    let shorter = Err(PinError::Shorter { ledger: dataset(), seq: pin.seq });
    assert_eq!(check(&w, &pin, &restored), shorter);
    // Nor one at another hash, above the pin, of another ledger, or `void`.
    w.vault_does("olga", cut(&w, kept as u64, EntryHash([0; 32])));
    w.vault_does("olga", cut(&w, pin.seq + 1, kept_hash));
    let elsewhere = LedgerId::Dataset("d2".parse().unwrap());
    w.vault_does("olga", w.recovered(RecoveryAction::Cut, elsewhere, kept as u64, kept_hash));
    w.vault_does("olga", w.recovered(RecoveryAction::Void, dataset(), kept as u64, kept_hash));
    assert_eq!(check(&w, &pin, &restored), shorter);
    w.vault_does("olga", cut(&w, kept as u64, kept_hash));
    assert_eq!(check(&w, &pin, &restored), Ok(()));
    assert_eq!(check(&w, &pin, &restored[..kept]), shorter, "but nothing before the cut");
    w.refold();
}

#[test]
fn a_cut_after_the_pin_explains_nothing_before_it() {
    let mut w = World::with_dataset();
    let kept = w.dataset.len();
    w.uploads("uma");
    let pin = pin_of(&w, kept);
    // Restored to before the pin, and grown again beyond it: the cut names where it grew to.
    w.dataset.truncate(kept);
    w.refold();
    w.uploads("ulf");
    let head = w.data().head().unwrap();
    assert!(head.seq > pin.seq);
    w.vault_does("olga", w.recovered(RecoveryAction::Cut, dataset(), head.seq, head.hash));
    assert_eq!(check(&w, &pin, &w.dataset), Err(PinError::Changed { ledger: dataset(), seq: pin.seq }));
}

#[test]
fn a_cut_of_the_vault_ledger_is_never_accepted_by_itself() {
    let mut w = World::new();
    let last = w.state.head().unwrap();
    w.vault_does("olga", w.recovered(RecoveryAction::Cut, LedgerId::Vault, last.seq, last.hash));
    let pin = Pin { hash: EntryHash([1; 32]), seq: last.seq + 1, vault_seq: 0 };
    let hash_at = |seq| w.state.entry_hash(seq);
    let changed = PinError::Changed { ledger: LedgerId::Vault, seq: pin.seq };
    assert_eq!(pin::check(&LedgerId::Vault, &pin, hash_at, &w.state), Err(changed));
}

// --- other formats ---

/// Signs an `anchored`-like statement of another kind and format.
fn unknown(w: &World, ledger: LedgerId, signer: &str, format: u64, critical: bool) -> Vec<u8> {
    let statement = w.draft(ledger, signer, anchored());
    let mut value: serde_json::Value = serde_json::from_slice(&statement.payload().unwrap()).unwrap();
    value["kind"] = "teleported".into();
    value["format"] = format.into();
    value["critical"] = critical.into();
    w.sign_value(signer, &value)
}

#[test]
fn an_unknown_kind_is_void_before_the_format_is_raised() {
    let w = World::with_dataset();
    for ledger in [dataset(), LedgerId::Vault, LedgerId::Exposure(recipient())] {
        for format in [1, 2] {
            for critical in [true, false] {
                let stored = unknown(&w, ledger.clone(), "stella", format, critical);
                assert_eq!(w.would(&ledger, stored), Void("unknown kind or format"));
            }
        }
    }
}

#[test]
fn an_unknown_kind_of_the_raised_format_stops_if_it_is_critical() {
    let mut w = World::with_dataset();
    let early = unknown(&w, dataset(), "stella", 2, true);
    w.vault_does("olga", Body::FormatRaised(FormatRaised { format: 2 }));
    for ledger in [dataset(), LedgerId::Vault, LedgerId::Exposure(recipient())] {
        let said = |format, critical| w.would(&ledger, unknown(&w, ledger.clone(), "stella", format, critical));
        assert_eq!(said(2, true), NeedsVersion(2));
        assert_eq!(said(2, false), Skipped);
        assert_eq!(said(1, true), Void("unknown kind or format"));
        assert_eq!(said(3, true), Void("unknown kind or format"));
        assert_eq!(said(0, true), Void("unknown kind or format"));
    }
    // By nobody, or from before the format was raised, it stops nobody.
    assert_eq!(w.would(&dataset(), unknown(&w, dataset(), "xeno", 2, true)), Void("unknown author"));
    assert_eq!(w.would(&dataset(), early), Void("unknown kind or format"));
    // What is known goes on; a skipped entry keeps its place.
    let skipped = unknown(&w, dataset(), "stella", 2, false);
    assert_eq!(w.put(&dataset(), skipped), Skipped);
    w.uploads("uma");
}

#[test]
fn a_raised_format_changes_no_verdict_of_before() {
    let mut w = World::with_dataset();
    assert_eq!(w.put(&dataset(), unknown(&w, dataset(), "stella", 2, true)), Void("unknown kind or format"));
    w.vault_does("olga", Body::FormatRaised(FormatRaised { format: 2 }));
    w.refold();
    assert_eq!(w.data().stop(), None);
    w.uploads("uma");
}

//! Ledgers of a vault: made once, appended by one winner a number, read whole, and never believed where they do not prove themselves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap and index"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{Counting, Person, World, dataset, dataset_ledger, genesis, granted_on, text};
use object_store::memory::InMemory;
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::layout::{BundleSize, ObjectName};
use vault_core::ledger::fold::{Stop, Verdict, entry_hash};
use vault_core::ledger::statement::{
    Body, Empty, MemberRetired, PackSet, Recovered, RecoveredTerms, RecoveryAction, Reservation, Reserved, UploaderSet,
};
use vault_core::ledger::{DatasetState, VaultState};
use vault_server::store::{Store, StoreError};
use vault_server::vault::{Append, AppendError, Doctor, InitError, LedgerError, OpenError, StateError, Vault};

async fn store(dir: &Path) -> Store {
    Store::open_folder(dir).await.unwrap()
}

// --- init and open ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_vault_is_made_once_and_making_it_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let officer = Person::new("officer", 1);
    let vault = Vault::init(store(dir.path()).await, genesis(&officer, 3600)).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("seqvault-format")).unwrap(), b"seqvault 1\n");
    let again = Vault::init(store(dir.path()).await, genesis(&officer, 3600)).await.unwrap();
    assert_eq!(vault.id(), again.id());
    assert_eq!(Vault::open(store(dir.path()).await).await.unwrap().id(), vault.id());
    let other = Vault::init(store(dir.path()).await, genesis(&officer, 7200)).await.unwrap_err();
    assert!(matches!(other, InitError::AlreadyAVault { .. }), "{other}");
}

#[tokio::test]
async fn of_two_who_make_a_vault_at_once_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (store(dir.path()).await, store(dir.path()).await);
    let officer = Person::new("officer", 1);
    let (a, b) = tokio::join!(Vault::init(a, genesis(&officer, 3600)), Vault::init(b, genesis(&officer, 7200)));
    assert!(a.is_ok() != b.is_ok());
}

#[tokio::test]
async fn a_vault_takes_an_empty_place_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lost+found")).unwrap();
    std::fs::write(dir.path().join("thesis.tex"), b"").unwrap();
    let genesis = genesis(&Person::new("officer", 1), 3600);
    let refused = Vault::init(store(dir.path()).await, genesis.clone()).await.unwrap_err();
    assert!(matches!(&refused, InitError::NotEmpty { what, .. } if what == "thesis.tex"), "{refused}");
    assert!(!dir.path().join("seqvault-format").exists());
    std::fs::remove_file(dir.path().join("thesis.tex")).unwrap();
    Vault::init(store(dir.path()).await, genesis).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_is_no_vault_or_of_another_format_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || Vault::open(store(dir.path()).await).await.unwrap_err();
    assert!(matches!(open().await, OpenError::NotAVault { .. }));
    let marker = dir.path().join("seqvault-format");
    for (content, known) in [("seqvault 2\n", false), ("a shopping list", true), (&"x".repeat(1000), true)] {
        std::fs::write(&marker, content).unwrap();
        let error = open().await;
        assert_eq!(matches!(error, OpenError::NotAVault { .. }), known, "{error}");
        assert_eq!(
            matches!(&error, OpenError::UnknownFormat { found, .. } if found == "seqvault 2\n"),
            !known,
            "{error}"
        );
    }
    std::fs::write(&marker, "seqvault 1\n").unwrap();
    assert!(matches!(open().await, OpenError::Unfinished { .. }));
    std::fs::create_dir_all(dir.path().join("ledger/vault")).unwrap();
    std::fs::write(dir.path().join("ledger/vault/0000000000"), "{}").unwrap();
    assert!(matches!(open().await, OpenError::Genesis { .. }));
}

#[tokio::test]
async fn what_is_no_genesis_makes_no_vault() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Vault::init(store(dir.path()).await, Bytes::from_static(b"{}")).await.unwrap_err();
    assert!(matches!(refused, InitError::Genesis(_)), "{refused}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

// --- append -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_append_can_be_repeated_and_a_taken_number_says_by_whom() {
    let (_dir, mut world) = World::in_folder().await;
    let seq = world.next_seq(&LedgerId::Vault);
    let (mine, other) = (world.small_talk(), world.small_talk());
    let mine = world.sign(&world.officer, &LedgerId::Vault, mine);
    let other = world.sign(&world.officer, &LedgerId::Vault, other);
    for _ in 0..2 {
        assert_eq!(world.vault.append(&LedgerId::Vault, seq, mine.clone()).await.unwrap(), Append::Appended);
    }
    let taken = world.vault.append(&LedgerId::Vault, seq, other).await.unwrap();
    assert_eq!(taken, Append::Taken { stored: mine });
}

#[tokio::test]
async fn a_gap_is_not_made() {
    let (_dir, mut world) = World::in_folder().await;
    let next = world.next_seq(&LedgerId::Vault);
    let body = world.small_talk();
    let later = world.sign_at(&world.officer, &LedgerId::Vault, body, next + 1, EntryHash([0; 32]));
    let refused = world.vault.append(&LedgerId::Vault, next + 1, later.clone()).await.unwrap_err();
    assert!(matches!(refused, AppendError::NotNext { next: n, .. } if n == next), "{refused}");
    let refused = world.vault.append(&dataset_ledger(), 1, later).await.unwrap_err();
    assert!(matches!(refused, AppendError::NotNext { next: 0, .. }), "{refused}");
}

#[tokio::test]
async fn what_would_not_count_is_not_taken() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    let ledger = LedgerId::Vault;
    let seq = world.next_seq(&ledger);
    let body = world.small_talk();
    let by_stranger = world.sign(&world.recipient, &ledger, body.clone());
    let misplaced = world.sign_at(&world.officer, &ledger, body.clone(), seq + 7, world.hash(&ledger));
    for stored in [by_stranger, misplaced, Bytes::from_static(b"rubbish")] {
        let refused = world.vault.append(&ledger, seq, stored).await.unwrap_err();
        assert!(matches!(refused, AppendError::Void { .. }), "{refused}");
    }
    let fork = world.sign_at(&world.officer, &ledger, body, seq, EntryHash([3; 32]));
    let refused = world.vault.append(&ledger, seq, fork).await.unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(Stop::Fork { .. })), "{refused}");
    let strange = UploaderSet { member: world.recipient.member.clone(), on: true };
    let strange = world.sign(&world.recipient, &dataset_ledger(), Body::UploaderSet(strange));
    let refused = world.vault.append(&dataset_ledger(), world.next_seq(&dataset_ledger()), strange).await.unwrap_err();
    assert!(matches!(refused, AppendError::Void { reason: "not a steward", .. }), "{refused}");
    let too_long = Bytes::from(vec![b' '; (16 << 20) + 1]);
    assert!(matches!(world.vault.append(&ledger, seq, too_long).await, Err(AppendError::TooLong)));
    assert_eq!(world.vault.entries(&ledger, 0).await.unwrap().len() as u64, seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_who_append_at_once_one_wins_each_number() {
    let (_dir, mut world) = World::in_folder().await;
    let ledger = LedgerId::Vault;
    for round in 0..200 {
        let seq = world.next_seq(&ledger);
        let entries: Vec<Bytes> = (0..16)
            .map(|writer| {
                let name = text(&format!("round {round} writer {writer}"));
                let body = Body::PackSet(PackSet { hash: Digest([7; 32]), name, on: false });
                world.sign(&world.officer, &ledger, body)
            })
            .collect();
        let race: Vec<_> = entries
            .iter()
            .map(|stored| {
                let (vault, stored) = (world.vault.clone(), stored.clone());
                tokio::spawn(async move { vault.append(&LedgerId::Vault, seq, stored).await.unwrap() })
            })
            .collect();
        let (mut winners, mut taken_by) = (Vec::new(), Vec::new());
        for (writer, task) in race.into_iter().enumerate() {
            match task.await.unwrap() {
                Append::Appended => winners.push(writer),
                Append::Taken { stored } => taken_by.push(stored),
            }
        }
        assert_eq!(winners.len(), 1, "number {seq}");
        let winner = &entries[winners[0]];
        assert!(taken_by.iter().all(|stored| stored == winner));
        world.follow(&ledger, winner);
    }
    let entries = world.vault.entries(&ledger, 0).await.unwrap();
    assert_eq!(entries.len() as u64, world.next_seq(&ledger));
    let state = VaultState::fold(&world.id(), &entries).unwrap();
    assert!(state.judged().iter().all(|judged| judged.verdict == Verdict::Applied));
}

// --- read ---------------------------------------------------------------------------------------------------------

async fn long_world() -> (tempfile::TempDir, World) {
    let (dir, mut world) = World::in_folder().await;
    while world.next_seq(&LedgerId::Vault) < 290 {
        let body = world.small_talk();
        world.say(&LedgerId::Vault, body).await;
    }
    (dir, world)
}

fn bundle(size: BundleSize, index: u64) -> ObjectName {
    ObjectName::Bundle { ledger: LedgerId::Vault, size, index }
}

fn single_entries(dir: &Path) -> Vec<Bytes> {
    (0..290u64).map(|seq| Bytes::from(std::fs::read(dir.join(format!("ledger/vault/{seq:010}"))).unwrap())).collect()
}

#[tokio::test]
async fn bundles_are_made_and_say_what_the_single_entries_say() {
    let (dir, world) = long_world().await;
    let single = single_entries(dir.path());
    for index in 0..18 {
        assert!(world.vault.store().size(&bundle(BundleSize::Sixteen, index)).await.unwrap().is_some(), "{index}");
    }
    assert!(world.vault.store().size(&bundle(BundleSize::TwoFiftySix, 0)).await.unwrap().is_some());
    for from in [0, 1, 15, 16, 17, 255, 256, 257, 272, 289, 290, 300] {
        let read = world.vault.entries(&LedgerId::Vault, from).await.unwrap();
        assert_eq!(read, single.get(from as usize..).unwrap_or_default(), "from {from}");
    }
}

#[tokio::test]
async fn a_bundle_that_proves_nothing_is_passed_over() {
    let (dir, world) = long_world().await;
    let single = single_entries(dir.path());
    let pack = |entries: &[Bytes]| -> Vec<u8> {
        entries.iter().flat_map(|e| [&(e.len() as u32).to_be_bytes()[..], e].concat()).collect()
    };
    let swapped = {
        let mut entries = single[..256].to_vec();
        entries.swap(40, 41);
        pack(&entries)
    };
    let cut = {
        let whole = pack(&single[..256]);
        whole[..whole.len() - 10].to_vec()
    };
    let changed = {
        let mut bytes = pack(&single[..256]);
        bytes[5000] ^= 1;
        bytes
    };
    let at = dir.path().join(bundle(BundleSize::TwoFiftySix, 0).to_string());
    let small = dir.path().join(bundle(BundleSize::Sixteen, 2).to_string());
    for wrong in [swapped, cut, changed, pack(&single[1..257]), Vec::new(), b"rubbish".to_vec()] {
        for path in [&at, &small] {
            std::fs::write(path, &wrong).unwrap();
        }
        let read = world.vault.entries(&LedgerId::Vault, 0).await.unwrap();
        assert_eq!(read, single);
    }
}

#[tokio::test]
async fn a_void_entry_can_not_make_a_wrong_bundle_count() {
    let (_dir, mut world) = World::in_folder().await;
    let (ledger, store) = (LedgerId::Vault, world.vault.store().clone());
    while world.next_seq(&ledger) < 15 {
        let body = world.small_talk();
        world.say(&ledger, body).await;
    }
    // Another entry 14 that an officer signed too, and rubbish behind it that vouches for it.
    let true_entries = world.vault.entries(&ledger, 0).await.unwrap();
    let before = true_entries[..14].iter().fold(None, |before, stored| Some(entry_hash(before, stored)));
    let body = world.small_talk();
    let other = world.sign_at(&world.officer, &ledger, body, 14, before.unwrap());
    let vouches = format!(r#"{{"prev":"{}"}}"#, entry_hash(before, &other));
    let rubbish = Bytes::from(format!(r#"{{"payload":"{}"}}"#, vault_core::json::to_b64(vouches.as_bytes())));
    let _ = store.create(&ObjectName::Entry { ledger: ledger.clone(), seq: 15 }, rubbish.clone()).await.unwrap();
    world.follow(&ledger, &rubbish);
    let wrong: Vec<&Bytes> = true_entries[..14].iter().chain([&other, &rubbish]).collect();
    let wrong: Vec<u8> = wrong.iter().flat_map(|e| [&(e.len() as u32).to_be_bytes()[..], e].concat()).collect();
    let _ = store.create(&bundle(BundleSize::Sixteen, 0), Bytes::from(wrong)).await.unwrap();
    let body = world.small_talk();
    world.say(&ledger, body).await;

    let cold = world.reopen().await;
    assert_eq!(cold.entries(&ledger, 0).await.unwrap()[14], other, "the bundle looks right");
    assert_eq!(cold.single_entries(&ledger, 0).await.unwrap()[14], true_entries[14]);
    let state = cold.state().await.unwrap();
    assert!(state.stop().is_none());
    assert_eq!(state.head().unwrap().hash, world.hash(&ledger));
}

#[tokio::test]
async fn a_cold_read_takes_a_bundle_where_it_can() {
    let (counting, gets) = Counting::new(InMemory::new());
    let mut world = World::in_store(Store::over(Arc::new(counting), "memory")).await;
    while world.next_seq(&LedgerId::Vault) < 290 {
        let body = world.small_talk();
        world.say(&LedgerId::Vault, body).await;
    }
    gets.store(0, Ordering::SeqCst);
    assert_eq!(world.vault.entries(&LedgerId::Vault, 0).await.unwrap().len(), 290);
    // 256 and 2 x 16 by bundles, each with its last entry, and 2 single ones.
    assert_eq!(gets.load(Ordering::SeqCst), 2 + 4 + 2);
}

#[tokio::test]
async fn a_missing_entry_is_a_gap_and_not_an_end() {
    let (dir, world) = long_world().await;
    std::fs::remove_file(dir.path().join("ledger/vault/0000000007")).unwrap();
    let vault = world.reopen().await;
    let gap = vault.entries(&LedgerId::Vault, 0).await.unwrap_err();
    assert!(matches!(gap, LedgerError::Gap { missing: 7, found: 8, .. }), "{gap}");
    assert!(matches!(vault.state().await, Err(StateError::Ledger(LedgerError::Gap { .. }))));
    assert!(matches!(vault.ledgers().await, Err(LedgerError::Gap { .. })));
}

#[tokio::test]
async fn what_killed_writers_left_is_no_entry() {
    let (dir, mut world) = World::in_folder().await;
    let next = world.next_seq(&LedgerId::Vault);
    std::fs::write(dir.path().join(format!("ledger/vault/{:010}#1", next + 1)), b"half").unwrap();
    assert_eq!(world.vault.entries(&LedgerId::Vault, 0).await.unwrap().len() as u64, next);
    let body = world.small_talk();
    world.say(&LedgerId::Vault, body).await;
}

#[tokio::test]
async fn every_ledger_is_listed_with_its_last_number() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    let ledgers = world.vault.ledgers().await.unwrap();
    let last = |ledger: &LedgerId| world.next_seq(ledger) - 1;
    assert_eq!(ledgers, [(LedgerId::Vault, last(&LedgerId::Vault)), (dataset_ledger(), last(&dataset_ledger()))]);
}

#[tokio::test]
async fn a_vault_whose_folder_vanishes_is_gone_and_not_empty() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("vault");
    let mut world = World::in_store(Store::create_folder(&path).await.unwrap()).await;
    std::fs::rename(&path, parent.path().join("elsewhere")).unwrap();
    let body = world.small_talk();
    let lost = world.try_say(&LedgerId::Vault, body).await.unwrap_err();
    assert!(
        matches!(lost, AppendError::State(StateError::Ledger(LedgerError::Store(StoreError::Gone { .. })))),
        "{lost}"
    );
    assert!(!path.exists());
}

// --- state --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_repeated_question_costs_two_listings_and_no_read() {
    let (counting, gets) = Counting::new(InMemory::new());
    let mut world = World::in_store(Store::over(Arc::new(counting), "memory")).await;
    world.create_dataset().await;
    for _ in 0..40 {
        world
            .say(&dataset_ledger(), Body::UploaderSet(UploaderSet { member: "uploader".parse().unwrap(), on: true }))
            .await;
    }
    world.vault.view(&dataset()).await.unwrap();
    gets.store(0, Ordering::SeqCst);
    world.vault.view(&dataset()).await.unwrap();
    assert_eq!(gets.load(Ordering::SeqCst), 0, "the listings show both last entries as they were");
}

#[tokio::test]
async fn a_last_entry_that_somebody_replaced_is_not_taken_for_the_known_one() {
    let (dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    world.open_upload().await;
    let before = world.vault.view(&dataset()).await.unwrap();
    let last = ObjectName::Entry { ledger: dataset_ledger(), seq: before.entries - 1 };
    let path = dir.path().join(last.to_string());
    // As long as it was, but no statement any more.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.fill(b'x');
    std::fs::write(&path, bytes).unwrap();
    let after = world.vault.view(&dataset()).await.unwrap();
    assert_eq!((before.dataset.uploads().len(), after.dataset.uploads().len()), (1, 0));
    assert_same_as_cold(&world).await;
}

#[tokio::test]
async fn a_kept_state_is_what_a_fold_of_everything_gives() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    for step in 0..30 {
        match step % 3 {
            0 => {
                let body = world.small_talk();
                world.say(&LedgerId::Vault, body).await;
            }
            1 => drop(world.open_upload().await),
            _ => {
                let on = step % 2 == 0;
                world
                    .say(&dataset_ledger(), Body::UploaderSet(UploaderSet { member: "recipient".parse().unwrap(), on }))
                    .await;
            }
        }
        assert_same_as_cold(&world).await;
    }
}

async fn assert_same_as_cold(world: &World) {
    let view = world.vault.view(&dataset()).await.unwrap();
    let cold = world.reopen().await.view(&dataset()).await.unwrap();
    let seen = |vault: &VaultState, dataset: &DatasetState| {
        (
            vault.judged().to_vec(),
            dataset.judged().to_vec(),
            dataset.stop().cloned(),
            format!("{:?}", dataset.uploads()),
        )
    };
    assert_eq!(seen(&view.vault, &view.dataset), seen(&cold.vault, &cold.dataset));
}

#[tokio::test]
async fn a_fork_stops_a_dataset_until_an_officer_settles_it() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    world.vault.view(&dataset()).await.unwrap();
    // Somebody with the folder's own rights writes what the service would not take.
    let body = Body::UploaderSet(UploaderSet { member: "recipient".parse().unwrap(), on: true });
    let seq = world.next_seq(&dataset_ledger());
    let before = world.hash(&dataset_ledger());
    let fork = world.sign_at(&world.officer, &dataset_ledger(), body.clone(), seq, EntryHash([3; 32]));
    let name = ObjectName::Entry { ledger: dataset_ledger(), seq };
    let _ = world.vault.store().create(&name, fork.clone()).await.unwrap();
    world.follow(&dataset_ledger(), &fork);
    assert_same_as_cold(&world).await;
    let refused = world.try_say(&dataset_ledger(), body.clone()).await.unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(Stop::Fork { .. })), "{refused}");

    let hash = entry_hash(Some(before), &fork);
    let terms = RecoveredTerms { action: RecoveryAction::Void, hash, ledger: dataset_ledger(), seq };
    world.say(&LedgerId::Vault, Body::Recovered(Recovered { approval: None, terms })).await;
    assert_same_as_cold(&world).await;
    world.say(&dataset_ledger(), body).await;
    assert_same_as_cold(&world).await;
}

#[tokio::test]
async fn a_fork_of_the_vault_ledger_is_settled_behind_it() {
    let (_dir, mut world) = World::in_folder().await;
    let ledger = LedgerId::Vault;
    world.vault.state().await.unwrap();
    let body = world.small_talk();
    let (seq, before) = (world.next_seq(&ledger), world.hash(&ledger));
    let fork = world.sign_at(&world.officer, &ledger, body.clone(), seq, EntryHash([3; 32]));
    let _ = world.vault.store().create(&ObjectName::Entry { ledger: ledger.clone(), seq }, fork.clone()).await.unwrap();
    world.follow(&ledger, &fork);
    assert!(world.vault.state().await.unwrap().stop().is_some());
    let refused = world.try_say(&ledger, body.clone()).await.unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(Stop::Fork { .. })), "{refused}");
    let hash = entry_hash(Some(before), &fork);
    let terms = RecoveredTerms { action: RecoveryAction::Void, hash, ledger: ledger.clone(), seq };
    world.say(&ledger, Body::Recovered(Recovered { approval: None, terms })).await;
    world.say(&ledger, body).await;
    assert!(world.vault.state().await.unwrap().stop().is_none());
}

#[tokio::test]
async fn rubbish_in_a_ledger_keeps_its_place_and_stops_nobody() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    for n in 0..20 {
        if n % 5 == 3 {
            let seq = world.next_seq(&dataset_ledger());
            let rubbish = Bytes::from(format!("rubbish {n}"));
            let name = ObjectName::Entry { ledger: dataset_ledger(), seq };
            let _ = world.vault.store().create(&name, rubbish.clone()).await.unwrap();
            world.follow(&dataset_ledger(), &rubbish);
        }
        world
            .say(&dataset_ledger(), Body::UploaderSet(UploaderSet { member: "recipient".parse().unwrap(), on: true }))
            .await;
        assert_same_as_cold(&world).await;
    }
    let view = world.vault.view(&dataset()).await.unwrap();
    let void = view.dataset.judged().iter().filter(|judged| matches!(judged.verdict, Verdict::Void(_)));
    assert_eq!(void.count(), 4);
}

#[tokio::test]
async fn a_ledger_that_was_restored_to_an_earlier_point_is_folded_anew() {
    let (dir, mut world) = World::in_folder().await;
    let before = world.next_seq(&LedgerId::Vault);
    let retire = MemberRetired { member: world.recipient.member.clone(), reason: text("left") };
    world.say(&LedgerId::Vault, Body::MemberRetired(retire)).await;
    assert_eq!(world.vault.state().await.unwrap().judged().len() as u64, before + 1);
    std::fs::remove_file(dir.path().join(format!("ledger/vault/{before:010}"))).unwrap();
    let state = world.vault.state().await.unwrap();
    assert_eq!(state.judged().len() as u64, before);
    assert!(state.is_current_member(&world.recipient.member, before - 1));
}

#[tokio::test]
async fn a_grant_may_cite_a_reservation_that_is_there_and_no_other() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    let exposure = LedgerId::Exposure(Digest([4; 32]));
    let member = world.recipient.member.clone();
    let reserve = |added, total| {
        let member = "recipient".parse().unwrap();
        Body::Reserved(Reserved { added, dataset: dataset(), member, subjects: None, total })
    };
    let seq = world.say(&exposure, reserve(300, 300)).await;
    let hash = world.hash(&exposure);
    let refused = world.try_say(&exposure, reserve(300, 300)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Void { reason: "not the new total", .. }), "{refused}");
    let by_stranger = world.sign(&world.recipient, &exposure, reserve(1, 301));
    assert!(matches!(world.append(&exposure, by_stranger).await, Err(AppendError::Void { .. })));

    let seal = world.seal(1, &member, world.recipient.card()).await;
    let nowhere = Reservation { hash: EntryHash([1; 32]), ledger: exposure.clone(), seq };
    let refused = world.try_say(&dataset_ledger(), granted_on(&member, seal.clone(), Some(nowhere))).await.unwrap_err();
    // Its author could make the reservation later, so it would stop readers, and the service does not take it.
    assert!(matches!(refused, AppendError::Stopped(_)), "{refused}");
    let cited = Reservation { hash, ledger: exposure.clone(), seq };
    world.say(&dataset_ledger(), granted_on(&member, seal, Some(cited))).await;
    assert_same_as_cold(&world).await;
    world.say(&exposure, reserve(200, 500)).await;
    assert_same_as_cold(&world).await;
    assert_eq!(world.vault.exposure(Digest([4; 32])).await.unwrap().total(), 500);
    assert_eq!(world.vault.ledgers().await.unwrap().len(), 3);
}

#[test]
#[cfg(unix)]
fn after_kill_9_every_acknowledged_entry_is_there_and_the_ledger_has_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads", "1"])
            .env("VAULT_TEST_DIR", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let number = |line: String| line.strip_prefix("appended ")?.parse::<u64>().ok();
        let mut acknowledged: Vec<u64> = Vec::new();
        while acknowledged.len() < 20 + 7 * round {
            acknowledged.extend(number(lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter_map(number));
        runtime().block_on(async {
            let vault = Vault::open(store(dir.path()).await).await.unwrap();
            let entries = vault.entries(&LedgerId::Vault, 0).await.unwrap();
            assert!(entries.len() as u64 > *acknowledged.iter().max().unwrap());
            let state = vault.state().await.unwrap();
            assert!(state.stop().is_none());
            assert!(state.judged().iter().all(|judged| judged.verdict == Verdict::Applied));
            let report = vault.doctor(&Doctor { now: i64::MAX, at_work: Duration::ZERO }).await.unwrap();
            vault.repair(&report).await.unwrap();
            assert_eq!(vault.entries(&LedgerId::Vault, 0).await.unwrap(), entries);
        });
    }
}

/// Not a test of its own: appends until it is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("VAULT_TEST_DIR") else { return };
    runtime().block_on(async {
        let mut world = World::in_store(store(Path::new(&dir)).await).await;
        loop {
            let body = world.small_talk();
            let seq = world.say(&LedgerId::Vault, body).await;
            std::io::stdout().lock().write_all(format!("appended {seq}\n").as_bytes()).unwrap();
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test]
async fn an_unknown_dataset_has_no_view() {
    let (_dir, world) = World::in_folder().await;
    let missing = world.vault.view(&dataset()).await.unwrap_err();
    assert!(matches!(missing, StateError::Creation { .. }), "{missing}");
    let anchored = world.sign(&world.officer, &dataset_ledger(), Body::Anchored(Empty {}));
    let refused = world.vault.append(&dataset_ledger(), 0, anchored).await.unwrap_err();
    assert!(matches!(refused, AppendError::Void { seq: 0, .. }), "{refused}");
}

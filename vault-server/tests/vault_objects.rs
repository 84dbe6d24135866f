//! What statements name: there before the statement, deleted only after the one that allows it; and what is derived can be made again.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may unwrap and index")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{Counting, World, created, dataset, dataset_ledger, epoch_public, granted, text};
use object_store::memory::InMemory;
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, LedgerId, ManifestId, PackName, UploadId};
use vault_core::layout::{BundleSize, ObjectName, epochs_prefix, manifests_prefix, upload_prefix};
use vault_core::ledger::statement::{
    Body, DatasetDeleted, DatasetDeletedTerms, EpochClosed, EpochOpened, ManifestRemoved, MemberRetired, Revoked, Seal,
    Seen,
};
use vault_server::store::{Store, StoreError};
use vault_server::vault::{AppendError, Doctor, Finding, PutError, RemoveError};

/// What the doctor says when everything is old enough.
const LATER: Doctor = Doctor { now: i64::MAX, at_work: Duration::ZERO };

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> vault_core::ledger::statement::Set<T> {
    items.into_iter().collect()
}

/// Opens the next epoch for the officer alone.
async fn open_epoch(world: &mut World, n: u8) {
    let (member, card) = (world.officer.member.clone(), world.officer.card());
    let seal = world.seal(u64::from(n), &member, card).await;
    let body = EpochOpened {
        epoch: u64::from(n),
        public: epoch_public(n),
        reason: text("rotation"),
        revokes: set([]),
        seals: set([Seal { card: seal.card, member: seal.member, sha256: seal.sha256 }]),
        unsealed: set([]),
    };
    world.say(&dataset_ledger(), Body::EpochOpened(body)).await;
}

/// Writes a table of that many records and closes the epoch with it.
async fn close_epoch(world: &mut World, epoch: u64, count: u64) -> Result<ObjectName, AppendError> {
    let bytes = Bytes::from(vec![4; usize::try_from(floe::ciphertext_len(48 * count)).unwrap()]);
    let hash = Digest(sha256(&bytes));
    let name = ObjectName::Table { dataset: dataset(), epoch, hash };
    world.vault.put(&name, bytes).await.unwrap();
    let body = EpochClosed { count, epoch, table: Some(hash), void: set([]) };
    world.try_say(&dataset_ledger(), Body::EpochClosed(body)).await.map(|_| name)
}

async fn world() -> (tempfile::TempDir, World) {
    let (dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    (dir, world)
}

// --- put ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_object_is_what_its_name_says_or_is_not_written() {
    let (_dir, world) = world().await;
    let (dataset, upload, manifest) = (dataset(), UploadId([1; 16]), ManifestId([2; 16]));
    let put = async |name: &ObjectName, bytes: &[u8]| world.vault.put(name, Bytes::copy_from_slice(bytes)).await;
    let wrong = Digest([5; 32]);

    for name in [
        ObjectName::FormatMarker,
        ObjectName::Entry { ledger: LedgerId::Vault, seq: 9 },
        ObjectName::Bundle { ledger: LedgerId::Vault, size: BundleSize::Sixteen, index: 0 },
        ObjectName::Marker { member: world.officer.member.clone(), dataset: dataset.clone() },
    ] {
        assert!(matches!(put(&name, b"").await, Err(PutError::NotPut { .. })), "{name}");
    }
    let header = ObjectName::Header { dataset: dataset.clone(), epoch: 1, manifest, hash: wrong };
    assert!(matches!(put(&header, &[0; 80]).await, Err(PutError::Differs { .. })));
    assert!(matches!(put(&header, &[0; 81]).await, Err(PutError::Length { .. })));
    let table = ObjectName::Table { dataset: dataset.clone(), epoch: 1, hash: wrong };
    assert!(matches!(put(&table, b"table").await, Err(PutError::Differs { .. })));
    let list = ObjectName::PackList { dataset: dataset.clone(), upload, manifest };
    assert!(matches!(put(&list, b"SVPACKS1").await, Err(PutError::Differs { .. })));
    let groups = ObjectName::Groups { dataset: dataset.clone(), upload, manifest };
    assert!(matches!(put(&groups, b"SVGROUP1").await, Err(PutError::NoList { .. })));
    let pack = ObjectName::Pack { dataset, upload, pack: PackName([3; 16]) };
    assert!(matches!(put(&pack, b"").await, Err(PutError::Length { .. })));
    assert!(matches!(put(&pack, &vec![0; (32 << 20) + 1]).await, Err(PutError::Length { .. })));
    put(&pack, b"ciphertext").await.unwrap();
    put(&pack, b"ciphertext").await.unwrap();
    assert!(matches!(put(&pack, b"others").await, Err(PutError::Taken { .. })));
    let list = br#"{"ledgers":[]}"#;
    put(&ObjectName::Seen(Digest(sha256(list))), list).await.unwrap();
    let no_list = br#"{"ledger":[]}"#;
    assert!(put(&ObjectName::Seen(Digest(sha256(no_list))), no_list).await.is_err());
}

#[tokio::test]
async fn wrong_groups_are_not_written() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let signed = world.put_manifest(upload, 1, &[3 << 20]).await;
    let name = ObjectName::Groups { dataset: dataset(), upload, manifest: signed.manifest };
    let good = world.vault.get(&name).await.unwrap();
    world.vault.store().delete(std::slice::from_ref(&name)).await.unwrap();
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(world.vault.put(&name, Bytes::from(bad)).await, Err(PutError::Differs { .. })));
    world.vault.put(&name, good).await.unwrap();
}

// --- append checks what is named ----------------------------------------------------------------------------------

#[tokio::test]
async fn a_commit_needs_everything_that_it_names() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let first = world.put_manifest(upload, 1, &[32 << 20, 1000]).await;
    let second = world.put_manifest(upload, 1, &[7]).await;
    let signed = vec![first.clone(), second];
    let store = world.vault.store().clone();

    let mut objects = world.names(&upload_prefix(&dataset(), &upload)).await;
    objects.extend(world.names(&manifests_prefix(&dataset())).await);
    objects.extend(world.names(&format!("epochs/{}/0000000001/headers/", dataset())).await);
    objects.retain(|name| !matches!(name, ObjectName::Groups { .. }));
    assert_eq!(objects.len(), 3 + 2 + 2 + 2);
    for name in objects {
        let bytes = world.vault.get(&name).await.unwrap();
        store.delete(std::slice::from_ref(&name)).await.unwrap();
        let refused = world.commit(upload, 1, signed.clone()).await.unwrap_err();
        assert!(matches!(&refused, AppendError::Missing { name: missing } if *missing == name), "{refused}");
        let _ = store.create(&name, bytes.slice(..bytes.len() - 1)).await.unwrap();
        let refused = world.commit(upload, 1, signed.clone()).await.unwrap_err();
        assert!(matches!(&refused, AppendError::Differs { name: differs } if *differs == name), "{refused}");
        store.delete(std::slice::from_ref(&name)).await.unwrap();
        let _ = store.create(&name, bytes).await.unwrap();
    }
    let mut lies = first.clone();
    lies.packs.bytes += 1;
    assert!(matches!(world.commit(upload, 1, vec![lies]).await, Err(AppendError::Differs { .. })));
    assert!(world.vault.view(&dataset()).await.unwrap().dataset.manifests().is_empty());
    world.commit(upload, 1, signed).await.unwrap();
    assert_eq!(world.vault.view(&dataset()).await.unwrap().dataset.manifests().len(), 2);
}

#[tokio::test]
async fn a_grant_and_a_creation_need_their_seals_and_leave_a_marker() {
    let (_dir, mut world) = World::in_folder().await;
    let (officer, card) = (world.officer.member.clone(), world.officer.card());
    let mut seal = world.seal(1, &officer, card).await;
    let good = seal.sha256;
    seal.sha256 = Digest([8; 32]);
    let refused = world.try_say(&dataset_ledger(), created(seal.clone())).await.unwrap_err();
    assert!(matches!(refused, AppendError::Missing { .. }), "{refused}");
    seal.sha256 = good;
    world.say(&dataset_ledger(), created(seal)).await;
    assert!(world.vault.store().size(&marker(&world, true)).await.unwrap().is_some());

    let member = world.recipient.member.clone();
    let mut seal = world.seal(1, &member, world.recipient.card()).await;
    let good = seal.sha256;
    seal.sha256 = Digest([8; 32]);
    let refused = world.try_say(&dataset_ledger(), granted(&member, seal.clone())).await.unwrap_err();
    assert!(matches!(refused, AppendError::Missing { .. }), "{refused}");
    assert!(world.vault.store().size(&marker(&world, false)).await.unwrap().is_none());
    seal.sha256 = good;
    world.say(&dataset_ledger(), granted(&member, seal)).await;
    assert!(world.vault.store().size(&marker(&world, false)).await.unwrap().is_some());
}

fn marker(world: &World, officer: bool) -> ObjectName {
    let person = if officer { &world.officer } else { &world.recipient };
    ObjectName::Marker { member: person.member.clone(), dataset: dataset() }
}

#[tokio::test]
async fn a_seen_list_must_be_there() {
    let (_dir, mut world) = World::in_folder().await;
    let list = Bytes::from_static(br#"{"ledgers":[]}"#);
    let hash = Digest(sha256(&list));
    let refused = world.try_say(&LedgerId::Vault, Body::Seen(Seen { list: hash })).await.unwrap_err();
    assert!(matches!(refused, AppendError::Missing { .. }), "{refused}");
    world.vault.put(&ObjectName::Seen(hash), list).await.unwrap();
    world.say(&LedgerId::Vault, Body::Seen(Seen { list: hash })).await;
}

// --- deletion -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn only_a_closed_upload_is_swept() {
    let (_dir, mut world) = world().await;
    let (abandoned, kept) = (world.open_upload().await, world.open_upload().await);
    let lost = world.put_manifest(abandoned, 1, &[500]).await;
    let good = world.put_manifest(kept, 1, &[500]).await;
    let vault = world.vault.clone();
    let dataset = dataset();
    assert!(matches!(vault.sweep(&dataset, &abandoned).await, Err(RemoveError::OpenUpload { .. })));
    assert!(matches!(vault.sweep(&dataset, &UploadId([9; 16])).await, Err(RemoveError::UnknownUpload { .. })));
    world.commit(kept, 1, vec![good.clone()]).await.unwrap();
    assert!(matches!(vault.sweep(&dataset, &kept).await, Err(RemoveError::CommittedUpload { .. })));

    world.close_upload(abandoned).await;
    let late = world.commit(abandoned, 1, vec![lost.clone()]).await.unwrap_err();
    assert!(matches!(late, AppendError::Void { .. }), "{late}");
    assert_eq!(vault.sweep(&dataset, &abandoned).await.unwrap().objects, 5);
    assert_eq!(vault.sweep(&dataset, &abandoned).await.unwrap().objects, 0);
    assert!(world.names(&upload_prefix(&dataset, &abandoned)).await.is_empty());
    assert_eq!(
        world.names(&manifests_prefix(&dataset)).await,
        [ObjectName::Manifest { dataset: dataset.clone(), manifest: good.manifest }]
    );
    assert_eq!(world.names(&upload_prefix(&dataset, &kept)).await.len(), 3);
}

#[tokio::test]
async fn an_interrupted_sweep_is_finished_by_the_next() {
    let (failing, _, deletes_left) = Counting::failing(InMemory::new());
    let mut world = World::in_store(Store::over(Arc::new(failing), "memory")).await;
    world.create_dataset().await;
    for deletions in 0.. {
        deletes_left.store(u64::MAX, Ordering::SeqCst);
        let upload = world.open_upload().await;
        for _ in 0..2 {
            world.put_manifest(upload, 1, &[10]).await;
        }
        world.close_upload(upload).await;
        deletes_left.store(deletions, Ordering::SeqCst);
        let swept = world.vault.sweep(&dataset(), &upload).await;
        let manifests = world.names(&manifests_prefix(&dataset())).await;
        for manifest in manifests {
            let ObjectName::Manifest { dataset, manifest } = manifest else { panic!() };
            let list = ObjectName::PackList { dataset, upload, manifest };
            assert!(world.vault.store().size(&list).await.unwrap().is_some(), "nothing tells of the manifest any more");
        }
        deletes_left.store(u64::MAX, Ordering::SeqCst);
        world.vault.sweep(&dataset(), &upload).await.unwrap();
        assert!(world.names(&upload_prefix(&dataset(), &upload)).await.is_empty());
        assert!(world.names(&manifests_prefix(&dataset())).await.is_empty());
        assert!(!world.names(&epochs_prefix(&dataset())).await.iter().any(|n| matches!(n, ObjectName::Header { .. })));
        if swept.is_ok() {
            assert_eq!(deletions, 2 * 5);
            break;
        }
    }
}

#[tokio::test]
async fn a_closed_upload_takes_nobody_elses_manifest_with_it() {
    let (_dir, mut world) = world().await;
    let (mallory, open, committed) = (world.open_upload().await, world.open_upload().await, world.open_upload().await);
    let uncommitted = world.put_manifest(open, 1, &[10]).await;
    let visible = world.put_manifest(committed, 1, &[10]).await;
    world.commit(committed, 1, vec![visible.clone()]).await.unwrap();
    for (theirs, manifest) in [(open, uncommitted.manifest), (committed, visible.manifest)] {
        let list = ObjectName::PackList { dataset: dataset(), upload: theirs, manifest };
        let list = world.vault.get(&list).await.unwrap();
        world.vault.put(&ObjectName::PackList { dataset: dataset(), upload: mallory, manifest }, list).await.unwrap();
    }
    world.close_upload(mallory).await;
    assert_eq!(world.vault.sweep(&dataset(), &mallory).await.unwrap().objects, 2);
    assert_eq!(world.names(&manifests_prefix(&dataset())).await.len(), 2);
    world.commit(open, 1, vec![uncommitted]).await.unwrap();
}

#[tokio::test]
async fn epochs_are_deleted_only_below_a_closed_one_whose_table_is_there() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let signed = world.put_manifest(upload, 1, &[100]).await;
    world.commit(upload, 1, vec![signed]).await.unwrap();
    let vault = world.vault.clone();
    open_epoch(&mut world, 2).await;
    assert!(matches!(
        vault.delete_epochs(&dataset(), 2).await,
        Err(RemoveError::NotClosed { below: 2, closed: 1, .. })
    ));
    assert_eq!(vault.delete_epochs(&dataset(), 1).await.unwrap().objects, 0);
    let table = close_epoch(&mut world, 2, 1).await.unwrap();

    let bytes = vault.get(&table).await.unwrap();
    vault.store().delete(std::slice::from_ref(&table)).await.unwrap();
    assert!(matches!(vault.delete_epochs(&dataset(), 2).await, Err(RemoveError::TableMissing { .. })));
    vault.put(&table, bytes).await.unwrap();

    assert_eq!(vault.delete_epochs(&dataset(), 2).await.unwrap().objects, 2, "a seal and a header");
    assert!(world.names(&epochs_prefix(&dataset())).await.iter().all(|name| match name {
        ObjectName::Grant { epoch, .. } | ObjectName::Header { epoch, .. } | ObjectName::Table { epoch, .. } =>
            *epoch == 2,
        _ => false,
    }));
    assert_eq!(vault.delete_epochs(&dataset(), 2).await.unwrap().objects, 0);
}

#[tokio::test]
async fn a_table_of_another_length_closes_no_epoch() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let signed = world.put_manifest(upload, 1, &[100]).await;
    world.commit(upload, 1, vec![signed]).await.unwrap();
    open_epoch(&mut world, 2).await;
    let bytes = Bytes::from_static(b"short");
    let hash = Digest(sha256(&bytes));
    world.vault.put(&ObjectName::Table { dataset: dataset(), epoch: 2, hash }, bytes).await.unwrap();
    let body = EpochClosed { count: 1, epoch: 2, table: Some(hash), void: set([]) };
    let refused = world.try_say(&dataset_ledger(), Body::EpochClosed(body)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Differs { .. }), "{refused}");
    close_epoch(&mut world, 2, 1).await.unwrap();
}

#[tokio::test]
async fn hidden_manifests_go_and_what_others_need_stays() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let (gone, stays) = (world.put_manifest(upload, 1, &[10]).await, world.put_manifest(upload, 1, &[20]).await);
    world.commit(upload, 1, vec![gone.clone(), stays.clone()]).await.unwrap();
    assert_eq!(world.vault.delete_hidden(&dataset()).await.unwrap().objects, 0);
    let removed = ManifestRemoved { manifest: gone.manifest, reason: text("a mistake") };
    world.say(&dataset_ledger(), Body::ManifestRemoved(removed)).await;

    let list = ObjectName::PackList { dataset: dataset(), upload, manifest: stays.manifest };
    let bytes = world.vault.get(&list).await.unwrap();
    world.vault.store().delete(std::slice::from_ref(&list)).await.unwrap();
    assert!(matches!(world.vault.delete_hidden(&dataset()).await, Err(RemoveError::ListMissing { .. })));
    world.vault.put(&list, bytes).await.unwrap();

    assert_eq!(world.vault.delete_hidden(&dataset()).await.unwrap().objects, 5);
    assert_eq!(world.vault.delete_hidden(&dataset()).await.unwrap().objects, 0);
    let left = world.names(&upload_prefix(&dataset(), &upload)).await;
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(world.names(&manifests_prefix(&dataset())).await.len(), 1);
}

#[tokio::test]
async fn a_re_encrypted_manifest_goes_only_while_its_successor_can_be_read() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let old = world.put_manifest(upload, 1, &[10]).await;
    world.commit(upload, 1, vec![old.clone()]).await.unwrap();
    let body = vault_core::ledger::statement::RoleSet {
        dataset: Some(dataset()),
        member: world.uploader.member.clone(),
        on: true,
        role: vault_core::ledger::statement::Role::Steward,
    };
    world.say(&LedgerId::Vault, Body::RoleSet(body)).await;
    let upload = world.open_upload().await;
    let mut new = world.put_manifest(upload, 1, &[10]).await;
    new.supersedes = Some(old.manifest);
    world.commit(upload, 1, vec![new.clone()]).await.unwrap();
    // The new manifest's header turns out not to open.
    open_epoch(&mut world, 2).await;
    let body = EpochClosed { count: 0, epoch: 2, table: None, void: set([new.manifest]) };
    world.say(&dataset_ledger(), Body::EpochClosed(body)).await;
    assert_eq!(world.vault.delete_hidden(&dataset()).await.unwrap().objects, 0);
}

#[tokio::test]
async fn only_what_no_statement_names_is_withdrawn() {
    let (_dir, mut world) = world().await;
    world.grant().await.unwrap();
    let member = world.recipient.member.clone();
    let unused = world.seal(1, &member, world.recipient.card()).await;
    let named = world.names(&format!("epochs/{}/0000000001/grants/{member}/", dataset())).await;
    assert_eq!(named.len(), 2);
    for name in named {
        let withdrawn = world.vault.withdraw(&name).await;
        if name.to_string().ends_with(&unused.sha256.to_string()) {
            assert_eq!(withdrawn.unwrap().objects, 1);
        } else {
            assert!(matches!(withdrawn, Err(RemoveError::InUse { .. })));
        }
    }
    let entry = ObjectName::Entry { ledger: LedgerId::Vault, seq: 0 };
    assert!(matches!(world.vault.withdraw(&entry).await, Err(RemoveError::NotWithdrawn { .. })));
}

#[tokio::test]
async fn a_deleted_dataset_keeps_its_ledger_alone() {
    let (_dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let signed = world.put_manifest(upload, 1, &[100]).await;
    world.commit(upload, 1, vec![signed]).await.unwrap();
    assert!(matches!(world.vault.delete_dataset(&dataset()).await, Err(RemoveError::NotDeleted { .. })));
    assert!(healthy(&world).await);
    let terms = DatasetDeletedTerms { reason: text("the study ended") };
    world.say(&dataset_ledger(), Body::DatasetDeleted(DatasetDeleted { approval: None, terms })).await;
    let left = world.vault.doctor(&LATER).await.unwrap().findings;
    assert_eq!(left, [Finding::DeletedDataset { dataset: dataset(), objects: 6 }]);
    assert_eq!(world.vault.delete_dataset(&dataset()).await.unwrap().objects, 6);
    assert!(world.vault.view(&dataset()).await.unwrap().dataset.is_deleted());
    assert!(healthy(&world).await);
}

// --- doctor -------------------------------------------------------------------------------------------------------

async fn healthy(world: &World) -> bool {
    world.vault.doctor(&LATER).await.unwrap().findings.is_empty()
}

#[tokio::test]
async fn the_doctor_makes_again_what_is_derived_and_finds_the_rest() {
    let (dir, mut world) = world().await;
    let upload = world.open_upload().await;
    let signed = world.put_manifest(upload, 1, &[32 << 20, 5 << 20]).await;
    world.commit(upload, 1, vec![signed.clone()]).await.unwrap();
    while world.next_seq(&LedgerId::Vault) < 40 {
        let body = world.small_talk();
        world.say(&LedgerId::Vault, body).await;
    }
    assert!(healthy(&world).await);

    let bundle = ObjectName::Bundle { ledger: LedgerId::Vault, size: BundleSize::Sixteen, index: 1 };
    let groups = ObjectName::Groups { dataset: dataset(), upload, manifest: signed.manifest };
    let whole = world.vault.get(&groups).await.unwrap();
    std::fs::write(dir.path().join(bundle.to_string()), b"rubbish").unwrap();
    std::fs::write(dir.path().join(groups.to_string()), b"rubbish").unwrap();
    std::fs::write(dir.path().join("ledger/vault/0000000041#1"), b"half").unwrap();
    world.vault.store().delete(&[marker(&world, true)]).await.unwrap();
    let (member, card) = (world.recipient.member.clone(), world.recipient.card());
    world.seal(1, &member, card).await;

    let report = world.vault.doctor(&LATER).await.unwrap();
    let kinds: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(report.findings.len(), 5, "{kinds:#?}");
    assert!(report.findings.iter().all(Finding::is_repairable));
    assert_eq!(world.vault.repair(&report).await.unwrap(), report.findings);
    assert!(healthy(&world).await);
    assert_eq!(world.vault.get(&groups).await.unwrap(), whole);
    assert!(world.vault.repair(&report).await.is_ok(), "a repair can be repeated");
}

#[tokio::test]
async fn the_doctor_leaves_those_at_work_alone() {
    let (dir, mut world) = world().await;
    let (member, card) = (world.recipient.member.clone(), world.recipient.card());
    world.seal(1, &member, card).await;
    std::fs::write(dir.path().join("ledger/vault/0000000041#1"), b"half").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let how = Doctor { now: i64::try_from(now).unwrap(), at_work: Duration::from_secs(3600) };
    assert!(world.vault.doctor(&how).await.unwrap().findings.is_empty());
    // A header of an open upload is named by nobody yet, however old it is.
    let upload = world.open_upload().await;
    world.put_manifest(upload, 1, &[10]).await;
    let findings = world.vault.doctor(&LATER).await.unwrap().findings;
    assert!(!findings.iter().any(|f| matches!(f, Finding::Unused { name: ObjectName::Header { .. } })), "{findings:?}");
    assert!(findings.iter().any(|f| matches!(f, Finding::OpenUpload { bytes, .. } if *bytes > 10)), "{findings:?}");
}

#[tokio::test]
async fn the_doctor_names_what_waits_for_somebody() {
    let (dir, mut world) = world().await;
    world.grant().await.unwrap();
    let (upload, closed) = (world.open_upload().await, world.open_upload().await);
    let signed = world.put_manifest(upload, 1, &[100]).await;
    world.put_manifest(closed, 1, &[50]).await;
    world.commit(upload, 1, vec![signed.clone()]).await.unwrap();
    world.close_upload(closed).await;
    world
        .say(&dataset_ledger(), Body::Revoked(Revoked { member: "recipient".parse().unwrap(), reason: text("over") }))
        .await;
    open_epoch(&mut world, 2).await;
    let retired = MemberRetired { member: "uploader".parse().unwrap(), reason: text("left") };
    world.say(&LedgerId::Vault, Body::MemberRetired(retired)).await;

    let findings = world.vault.doctor(&LATER).await.unwrap().findings;
    assert!(findings.iter().any(|f| matches!(f, Finding::DeadUpload { closed: true, .. })), "{findings:?}");
    assert!(findings.iter().any(|f| matches!(f, Finding::OpenEpoch { epoch: 2, .. })), "{findings:?}");
    assert!(findings.iter().any(|f| matches!(f, Finding::NotAnchored { .. })), "{findings:?}");
    close_epoch(&mut world, 2, 1).await.unwrap();
    let findings = world.vault.doctor(&LATER).await.unwrap().findings;
    assert!(findings.iter().any(|f| matches!(f, Finding::OldEpoch { epoch: 1, objects: 4, .. })), "{findings:?}");

    let manifest = dir.path().join(format!("manifests/{}/{}", dataset(), signed.manifest));
    std::fs::remove_file(manifest).unwrap();
    let pack = world.names(&upload_prefix(&dataset(), &upload)).await.into_iter().next().unwrap();
    std::fs::write(dir.path().join(pack.to_string()), b"short").unwrap();
    let report = world.vault.doctor(&LATER).await.unwrap();
    assert!(report.findings.iter().any(|f| matches!(f, Finding::Missing { name: ObjectName::Manifest { .. } })));
    assert!(report.findings.iter().any(|f| *f == Finding::Differs { name: pack.clone() }), "{:?}", report.findings);
    world.vault.repair(&report).await.unwrap();
    assert!(
        matches!(world.vault.store().get(&pack, 1).await, Err(StoreError::TooLong { .. })),
        "repair overwrites nothing"
    );
}

#[tokio::test]
async fn a_commit_reads_no_list_that_is_longer_than_the_room_for_lists() {
    let (_dir, mut world) = World::in_folder().await;
    world.create_dataset().await;
    let upload = world.open_upload().await;
    let manifest = world.put_manifest(upload, 1, &[9]).await;
    let whole = world.vault.clone();
    world.vault = whole.clone().with_room(50);
    let error = world.commit(upload, 1, vec![manifest.clone()]).await.unwrap_err();
    assert!(error.to_string().contains("72 bytes"), "{error}");
    world.vault = whole.with_room(4096);
    world.commit(upload, 1, vec![manifest]).await.unwrap();
}

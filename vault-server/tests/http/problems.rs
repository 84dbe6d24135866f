//! Problems that need something to be wrong first. Spec section 7.6.

use std::time::Duration;

use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, LedgerId, ManifestId, PackName, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::statement::{
    Body, DatasetDeleted, DatasetDeletedTerms, MemberRetired, UploadCommitted, UploadOpened,
};
use vault_server::http::Settings;
use vault_server::wire::problem::Type;
use vault_server::wire::{Deleted, Examined};

use crate::client::{Asked, Served};
use crate::common::{dataset, dataset_ledger};

const VAULT: &str = "/v1/ledgers/vault/entries";

fn at(name: &ObjectName) -> String {
    format!("/v1/objects/{name}")
}

#[tokio::test]
async fn every_type_is_caused_by_a_test() {
    let sources = [
        include_str!("bucket.rs"),
        include_str!("ledgers.rs"),
        include_str!("objects.rs"),
        include_str!("problems.rs"),
        include_str!("signatures.rs"),
        include_str!("../gate.rs"),
        // `internal` is a panic, and what the process makes of it.
        include_str!("../../src/http/waves.rs"),
        include_str!("../../src/http/trace.rs"),
    ];
    for of in Type::ALL {
        let name = format!("Type::{of:?}");
        assert!(sources.iter().any(|source| source.contains(&name)), "{name}");
    }
}

#[tokio::test]
async fn removals_answer_with_what_went_or_why_not() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    served.put(&served.world.uploader, at(&pack), "bytes").await.ok(201);
    let sweep = |upload: UploadId| format!("{{\"upload\":\"{upload}\"}}");
    let path = |act: &str| format!("/v1/datasets/cohort-7/{act}");
    served.post(&served.world.officer, path("sweep"), sweep(upload)).await.is(Type::Conflict);
    served.post(&served.world.recipient, path("sweep"), sweep(upload)).await.is(Type::NotAllowed);
    served.post(&served.world.officer, path("sweep"), sweep(UploadId([9; 16]))).await.is(Type::NotFound);
    served.world.close_upload(upload).await;
    let gone: Deleted = served.post(&served.world.uploader, path("sweep"), sweep(upload)).await.ok(200).json();
    assert_eq!(gone, Deleted { objects: 1, kept: false });
    served.post(&served.world.officer, path("delete-epochs"), "{\"below\":7}").await.is(Type::Conflict);
    let none: Deleted = served.post(&served.world.officer, path("delete-epochs"), "{\"below\":1}").await.ok(200).json();
    assert_eq!(none.objects, 0);
    served.post(&served.world.officer, path("delete-hidden"), "{}").await.ok(200);
    served.post(&served.world.recipient, path("delete-hidden"), "{}").await.is(Type::NotAllowed);
    served.post(&served.world.officer, "/v1/datasets/other/delete-hidden", "{}").await.is(Type::NotFound);
    for bad in ["", "{", "[]", "{\"below\":1,\"x\":2}", "{\"below\":-1}", "{}", "{\"below\":\"1\"}"] {
        served.post(&served.world.officer, path("delete-epochs"), bad).await.is(Type::Malformed);
    }
    let seal = served.world.seal(2, &served.world.officer.member.clone(), served.world.officer.card()).await;
    let name =
        ObjectName::Grant { dataset: dataset(), epoch: 2, member: seal.member, card: seal.card, hash: seal.sha256 };
    served.delete(&served.world.recipient, at(&name)).await.is(Type::NotAllowed);
    let gone: Deleted = served.delete(&served.world.officer, at(&name)).await.ok(200).json();
    assert_eq!(gone.objects, 1);
    let state = served.world.vault.view(&dataset()).await.unwrap().dataset;
    let ((member, card), in_use) = state.epochs()[&1].seals.first_key_value().unwrap();
    let name =
        ObjectName::Grant { dataset: dataset(), epoch: 1, member: member.clone(), card: *card, hash: in_use.sha256 };
    served.delete(&served.world.officer, at(&name)).await.is(Type::Conflict);
}

#[test]
fn a_pack_in_cold_storage_is_told_apart() {
    let archived = vault_server::store::StoreError::Archived { path: "s3://bucket/a/b".to_owned() };
    assert_eq!(vault_server::http::problem::Refused::from(&archived).of(), Type::Archived);
}

#[tokio::test]
async fn a_folder_gives_no_links() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    served.post(&served.world.officer, "/v1/links", "{\"get\":[],\"put\":[]}").await.is(Type::NoLinks);
}

#[tokio::test]
async fn the_doctor_is_asked_by_those_who_may() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    served.post(&served.world.recipient, "/v1/doctor", "{\"repair\":false}").await.is(Type::NotAllowed);
    let found: vault_server::wire::Examined =
        served.post(&served.world.officer, "/v1/doctor", "{\"repair\":true}").await.ok(200).json();
    assert!(!found.damaged, "{found:?}");
}

#[tokio::test]
async fn what_an_entry_names_must_be_there_and_be_it() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let manifest = served.world.put_manifest(upload, 1, &[9]).await;
    let seq = served.world.next_seq(&dataset_ledger());
    let target = format!("/v1/ledgers/dataset/cohort-7/entries/{seq}");
    let commit = |world: &crate::common::World, manifest: &vault_core::ledger::statement::ManifestHash| {
        let body = UploadCommitted { epoch: 1, manifests: vec![manifest.clone()], upload };
        world.sign(&world.uploader, &dataset_ledger(), Body::UploadCommitted(body))
    };
    let mut other = manifest.clone();
    other.header = Digest([7; 32]);
    let problem =
        served.put(&served.world.uploader, target.as_str(), commit(&served.world, &other)).await.is(Type::Missing);
    assert!(problem.name.unwrap().contains(&Digest([7; 32]).to_string()));
    let mut other = manifest.clone();
    other.packs.list = Digest([7; 32]);
    let problem =
        served.put(&served.world.uploader, target.as_str(), commit(&served.world, &other)).await.is(Type::Misnamed);
    assert!(problem.name.unwrap().ends_with(".list"));
    served.put(&served.world.uploader, target.as_str(), commit(&served.world, &manifest)).await.ok(201);
}

#[tokio::test]
async fn an_object_is_what_its_name_says_and_no_longer_than_its_kind() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let (id, uploader) = (ManifestId([3; 16]), &served.world.uploader);
    let header = |hash| ObjectName::Header { dataset: dataset(), epoch: 1, manifest: id, hash };
    served.put(uploader, at(&header(Digest([7; 32]))), vec![1; 80]).await.is(Type::Misnamed);
    served.put(uploader, at(&header(Digest(sha256(&[1; 80])))), vec![1; 80]).await.ok(201);
    let problem = served.put(uploader, at(&header(Digest([7; 32]))), vec![1; 2000]).await.is(Type::TooLarge);
    assert!(problem.max.unwrap() < 2000);
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    let mut request = Asked::new(&served.world, "PUT", at(&pack)).with("x").by(uploader);
    request.headers_mut().insert("content-length", "33554433".parse().unwrap());
    assert_eq!(served.send(request).await.is(Type::TooLarge).max, Some(32 << 20));
    let groups = ObjectName::Groups { dataset: dataset(), upload, manifest: id };
    served.put(uploader, at(&groups), vec![1; 32]).await.is(Type::Missing);
}

#[tokio::test]
async fn a_changed_body_leaves_nothing_behind() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    let mut request = Asked::new(&served.world, "PUT", at(&pack)).with(vec![1; 2 << 20]).by(&served.world.uploader);
    let mut changed = vec![1; 2 << 20];
    *changed.last_mut().unwrap() = 2;
    *request.body_mut() = axum::body::Body::from(changed);
    served.send(request).await.is(Type::Digest);
    assert_eq!(served.world.vault.size(&pack).await.unwrap(), None);
}

#[tokio::test]
async fn a_member_has_so_many_requests_a_second_and_so_many_uploads() {
    let settings = Settings { rate: 1, burst: 3, open_uploads: 1, ..Settings::default() };
    let mut served = Served::with(settings).await;
    served.world.create_dataset().await;
    served.world.open_upload().await;
    // The server has seen the dataset, and with it the upload.
    served
        .delete(
            &served.world.uploader,
            format!("/v1/objects/packs/cohort-7/{}/{}", UploadId([1; 16]), PackName([1; 16])),
        )
        .await;
    let body = Body::UploadOpened(UploadOpened { ends: 1 << 40, upload: UploadId([9; 16]) });
    let entry = served.world.sign(&served.world.uploader, &dataset_ledger(), body);
    let seq = served.world.next_seq(&dataset_ledger());
    let target = format!("/v1/ledgers/dataset/cohort-7/entries/{seq}");
    served.put(&served.world.uploader, target, entry).await.is(Type::Quota);
    served.get(&served.world.uploader, VAULT).await.ok(200);
    // One of the next: a machine that stands still for a second gives one more.
    let mut asked = 0;
    let refused = loop {
        let answer = served.get(&served.world.uploader, VAULT).await;
        asked += 1;
        if answer.status != 200 {
            break answer;
        }
        assert!(asked < 20, "none of them is refused");
    };
    refused.is(Type::TooMany);
    assert_eq!(refused.headers["retry-after"], "1");
    served.get(&served.world.officer, VAULT).await.ok(200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    served.get(&served.world.uploader, VAULT).await.ok(200);
}

#[tokio::test]
async fn a_full_or_stopping_server_says_so() {
    let served = Served::with(Settings { requests: 0, ..Settings::default() }).await;
    let answer = served.get(&served.world.officer, VAULT).await;
    answer.is(Type::Busy);
    assert!(answer.headers.contains_key("retry-after"));
    let served = Served::new().await;
    served.get(&served.world.officer, VAULT).await.ok(200);
    served.service.stop();
    served.get(&served.world.officer, VAULT).await.is(Type::Stopping);
}

#[tokio::test]
async fn bodies_wait_for_room_and_then_the_server_is_busy() {
    let settings = Settings { buffered: 1 << 20, patience: Duration::from_millis(50), ..Settings::default() };
    let served = Served::with(settings).await;
    let mut request =
        Asked::new(&served.world, "PUT", format!("{VAULT}/9")).with(vec![1; 900 << 10]).by(&served.world.officer);
    // A body that never comes holds its room.
    *request.body_mut() =
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.put(&served.world.officer, format!("{VAULT}/9"), vec![1; 900 << 10]).await
    };
    let first = tokio::time::timeout(Duration::from_secs(2), served.send(request));
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err(), "it still waits");
    second.is(Type::Busy);
    served.put(&served.world.officer, format!("{VAULT}/9"), vec![1; 900 << 10]).await.is(Type::NotNext);
    served.put(&served.world.officer, format!("{VAULT}/9"), vec![1; 2 << 20]).await.is(Type::TooLarge);
}

#[tokio::test]
async fn a_store_that_is_gone_is_a_problem_of_storage_that_tells_no_paths() {
    let served = Served::new().await;
    served.get(&served.world.officer, VAULT).await.ok(200);
    let folder = served.world.vault.store().as_folder().unwrap().to_owned();
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    let problem = served.get(&served.world.officer, VAULT).await.is(Type::Storage);
    assert!(!problem.detail.contains(folder.to_str().unwrap()), "{problem:?}");
    std::fs::rename(&aside, &folder).unwrap();
    served.get(&served.world.officer, VAULT).await.ok(200);
}

#[tokio::test]
async fn a_ledger_with_a_gap_is_damaged_and_a_forked_one_has_stopped() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    served.world.grant().await.unwrap();
    let (ledger, folder) = (dataset_ledger(), served.world.vault.store().as_folder().unwrap().to_owned());
    let entries = served.world.vault.entries(&ledger, 0).await.unwrap();
    let target = "/v1/ledgers/dataset/cohort-7/entries";
    let gap = folder.join(format!("ledger/{ledger}/{:010}", entries.len() + 3));
    std::fs::write(&gap, &entries[1]).unwrap();
    served.get(&served.world.officer, target).await.is(Type::Damaged);
    std::fs::remove_file(&gap).unwrap();
    served.get(&served.world.officer, target).await.ok(200);
    // An entry that follows another one than the last: who put it there went around the server.
    let body = Body::UploadOpened(UploadOpened { ends: 1 << 40, upload: UploadId([9; 16]) });
    let seq = entries.len() as u64;
    let fork = served.world.sign_at(&served.world.uploader, &ledger, body, seq, vault_core::ids::EntryHash([7; 32]));
    let name = ObjectName::Entry { ledger: ledger.clone(), seq };
    let _ = served.world.vault.store().create(&name, fork).await.unwrap();
    let table = ObjectName::Table { dataset: dataset(), epoch: 1, hash: Digest([3; 32]) };
    served.get(&served.world.recipient, at(&table)).await.is(Type::Stopped);
    served.get(&served.world.recipient, target).await.ok(200);
}

#[tokio::test]
async fn what_was_revoked_through_another_process_is_refused_with_the_next_request() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    served.world.grant().await.unwrap();
    let upload = served.world.open_upload().await;
    let manifest = served.world.put_manifest(upload, 1, &[9]).await;
    served.world.commit(upload, 1, vec![manifest.clone()]).await.unwrap();
    let name = ObjectName::Header { dataset: dataset(), epoch: 1, manifest: manifest.manifest, hash: manifest.header };
    served.get(&served.world.recipient, at(&name)).await.ok(200);
    let body = vault_core::ledger::statement::Revoked {
        member: served.world.recipient.member.clone(),
        reason: crate::common::text("over"),
    };
    // The world's vault is another process' as far as the server can tell: they share the store alone.
    served.world.say(&dataset_ledger(), Body::Revoked(body)).await;
    served.get(&served.world.recipient, at(&name)).await.is(Type::NotAllowed);
    served.get(&served.world.officer, at(&name)).await.ok(200);
}

#[tokio::test]
async fn a_long_ledger_comes_in_parts() {
    let served = Served::new().await;
    let big = "x".repeat(200);
    let mut stored = served.world.vault.entries(&LedgerId::Vault, 0).await.unwrap();
    // Longer than an answer, by entries that a store may hold whatever the fold makes of them.
    let filler = bytes::Bytes::from(big.repeat(15_000));
    let first = stored.len() as u64;
    for n in 0..4 {
        let name = ObjectName::Entry { ledger: LedgerId::Vault, seq: first + n };
        let _ = served.world.vault.store().create(&name, filler.clone()).await.unwrap();
        stored.push(filler.clone());
    }
    let mut got = Vec::new();
    let mut answers = 0;
    loop {
        let answer = served.get(&served.world.officer, format!("{VAULT}?from={}", got.len())).await.ok(200);
        assert!(answer.body.len() <= (8 << 20) + 1000, "{}", answer.body.len());
        let more = answer.headers.contains_key("seqvault-more");
        got.extend(vault_server::wire::entries::parse(answer.body).unwrap());
        answers += 1;
        if !more {
            break;
        }
    }
    assert_eq!(answers, 2);
    assert!(got == stored);
}

/// A body that never comes.
fn never() -> axum::body::Body {
    axum::body::Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
}

#[tokio::test]
async fn slow_packs_keep_no_entry_waiting_and_one_members_leave_room_for_the_others() {
    let mut served = Served::with(Settings { patience: Duration::from_secs(4), ..Settings::default() }).await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let slow = |n: u8, length: usize| {
        let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([n; 16]) };
        let body = bytes::Bytes::from(vec![1; length]);
        let mut request = Asked::new(&served.world, "PUT", at(&pack)).with(body).by(&served.world.uploader);
        *request.body_mut() = never();
        served.send(request)
    };
    let uploads = futures_util::future::join_all((0..6).map(|n| slow(n, 32 << 20)));
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let entry = |length: usize| served.put(&served.world.recipient, format!("{VAULT}/9"), vec![1; length]);
        for length in [1000, 300 << 10, 16 << 20] {
            entry(length).await.is(Type::NotNext);
        }
        let table = ObjectName::Table { dataset: dataset(), epoch: 1, hash: Digest([7; 32]) };
        served.put(&served.world.officer, at(&table), vec![1; 30 << 20]).await.is(Type::Misnamed);
        served.post(&served.world.officer, "/v1/doctor", "{\"repair\":false}").await.ok(200);
    };
    tokio::select! {
        _ = uploads => panic!("they never end"),
        () = others => {}
    }
}

#[tokio::test]
async fn one_members_slow_entries_and_json_keep_nobody_elses_waiting() {
    let served = Served::with(Settings { patience: Duration::from_secs(4), ..Settings::default() }).await;
    let slow = |length: usize| {
        let asked = Asked::new(&served.world, "PUT", format!("{VAULT}/9")).with(vec![1; length]);
        let mut request = asked.by(&served.world.uploader);
        *request.body_mut() = never();
        served.send(request)
    };
    // The server knows the card: of strangers it takes few at once.
    served.get(&served.world.uploader, VAULT).await.ok(200);
    let slow = (0..70).map(|_| slow(256 << 10)).chain((0..5).map(|_| slow(16 << 20))).collect::<Vec<_>>();
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for length in [1000, 256 << 10, 1 << 20] {
            let entry = vec![1; length];
            served.put(&served.world.officer, format!("{VAULT}/9"), entry).await.is(Type::NotNext);
        }
        served.post(&served.world.officer, "/v1/doctor", "{\"repair\":false}").await.ok(200);
        let own = served.put(&served.world.uploader, format!("{VAULT}/9"), vec![1; 1 << 20]).await;
        own.is(Type::Busy);
    };
    let slow = async {
        // Those beyond the share are told that the server is busy; the others never end.
        futures_util::future::join_all(slow).await;
    };
    tokio::select! {
        () = slow => panic!("they never end"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_body_has_so_much_time_for_its_length_however_steadily_it_trickles() {
    let served = Served::with(Settings { aside: Duration::from_millis(300), ..Settings::default() }).await;
    let began = std::time::Instant::now();
    let asked = Asked::new(&served.world, "PUT", format!("{VAULT}/9")).with(vec![1; 64 << 10]);
    let mut request = asked.by(&served.world.officer);
    let trickle = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(bytes::Bytes::from(vec![1; 100])), ()))
    });
    *request.body_mut() = axum::body::Body::from_stream(trickle);
    let problem = served.send(request).await.is(Type::Malformed);
    assert!(problem.detail.contains("too slowly"), "{problem:?}");
    let took = began.elapsed();
    // At its own pace it would take a minute.
    assert!(took >= Duration::from_millis(1300) && took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test]
async fn a_deleted_dataset_releases_nothing_and_the_doctor_deletes_what_it_holds() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    served.world.grant().await.unwrap();
    let upload = served.world.open_upload().await;
    let manifest = served.world.put_manifest(upload, 1, &[9]).await;
    served.world.commit(upload, 1, vec![manifest.clone()]).await.unwrap();
    let header =
        ObjectName::Header { dataset: dataset(), epoch: 1, manifest: manifest.manifest, hash: manifest.header };
    served.get(&served.world.recipient, at(&header)).await.ok(200);
    let kept = ObjectName::Kept { dataset: dataset(), hash: Digest([7; 32]) };
    served.get(&served.world.recipient, at(&kept)).await.is(Type::NotAllowed);
    // Only once a statement says so.
    served.post(&served.world.officer, "/v1/datasets/cohort-7/delete-all", "{}").await.is(Type::Conflict);
    let terms = DatasetDeletedTerms { reason: crate::common::text("over") };
    served.world.say(&dataset_ledger(), Body::DatasetDeleted(DatasetDeleted { approval: None, terms })).await;
    for who in [&served.world.recipient, &served.world.officer] {
        let problem = served.get(who, at(&header)).await.is(Type::NotAllowed);
        assert!(problem.detail.contains("deleted"), "{problem:?}");
        served.get(who, at(&kept)).await.is(Type::NotFound);
    }
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    served.put(&served.world.uploader, at(&pack), "bytes").await.is(Type::NotAllowed);
    served.get(&served.world.recipient, "/v1/ledgers/dataset/cohort-7/entries").await.ok(200);
    let doctor = |repair: bool| format!("{{\"repair\":{repair}}}");
    let found: Examined = served.post(&served.world.officer, "/v1/doctor", doctor(false)).await.ok(200).json();
    assert!(
        found.findings.iter().any(|f| f.contains("is deleted and still holds") && f.contains("--repair")),
        "{found:?}"
    );
    let done: Examined = served.post(&served.world.officer, "/v1/doctor", doctor(true)).await.ok(200).json();
    assert!(done.repaired.iter().any(|f| f.contains("is deleted")) && !done.damaged, "{done:?}");
    let all = "/v1/datasets/cohort-7/delete-all";
    served.post(&served.world.recipient, all, "{}").await.is(Type::NotAllowed);
    let nothing: Deleted = served.post(&served.world.officer, all, "{}").await.ok(200).json();
    assert_eq!(nothing.objects, 0);
    for prefix in ["epochs/cohort-7/", "kept/cohort-7/", "manifests/cohort-7/", "packs/cohort-7/"] {
        assert_eq!(served.world.names(prefix).await, [], "{prefix}");
    }
    let again: Examined = served.post(&served.world.officer, "/v1/doctor", doctor(false)).await.ok(200).json();
    assert_eq!(again.findings, Vec::<String>::new());
}

#[tokio::test]
async fn who_is_retired_while_a_slow_body_comes_stores_nothing() {
    let mut served = Served::new().await;
    served.world.create_dataset().await;
    let upload = served.world.open_upload().await;
    let pack = ObjectName::Pack { dataset: dataset(), upload, pack: PackName([1; 16]) };
    let mut request = Asked::new(&served.world, "PUT", at(&pack)).with("bytes").by(&served.world.uploader);
    let (send, body) = tokio::sync::oneshot::channel();
    *request.body_mut() =
        axum::body::Body::from_stream(futures_util::stream::once(
            async move { body.await.map_err(std::io::Error::other) },
        ));
    let member = served.world.uploader.member.clone();
    let retired = MemberRetired { member, reason: crate::common::text("left") };
    let stored = served.world.sign(&served.world.officer, &LedgerId::Vault, Body::MemberRetired(retired));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let seq = served.world.next_seq(&LedgerId::Vault);
        served.put(&served.world.officer, format!("{VAULT}/{seq}"), stored).await.ok(201);
        send.send(bytes::Bytes::from_static(b"bytes")).unwrap();
    };
    let (answer, ()) = tokio::join!(served.send(request), meanwhile);
    answer.is(Type::UnknownCard);
    assert_eq!(served.world.vault.size(&pack).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_killed_writer_left_is_named_without_the_servers_folders() {
    let served = Served::new().await;
    let folder = served.world.vault.store().as_folder().unwrap().to_owned();
    let left = folder.join("ledger/vault/0000000009#1");
    std::fs::write(&left, b"half").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    std::fs::File::options().write(true).open(&left).unwrap().set_modified(long_ago).unwrap();
    let found: Examined = served.post(&served.world.officer, "/v1/doctor", "{\"repair\":false}").await.ok(200).json();
    assert!(found.findings.iter().any(|f| f.starts_with("ledger/vault/0000000009#1: left by")), "{found:?}");
    assert!(!format!("{found:?}").contains(folder.to_str().unwrap()), "{found:?}");
    let done: Examined = served.post(&served.world.officer, "/v1/doctor", "{\"repair\":true}").await.ok(200).json();
    assert!(!left.exists() && done.repaired.iter().all(|f| !f.contains(folder.to_str().unwrap())), "{done:?}");
}

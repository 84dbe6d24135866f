//! The store on a real S3 server with two gateways: what the folder's tests ask of a folder, and what only a bucket has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap and index"
)]

mod common;

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{LedgerId, PackName, UploadId};
use vault_core::layout::{ObjectName, ledger_prefix, upload_prefix};
use vault_server::store::{Creation, Environment, Link, S3Location, Store, StoreError, probe_all};
use vault_server::vault::{InitError, Vault};
use vault_tests::seaweed::SeaweedFs;

fn entry(seq: u64) -> ObjectName {
    ObjectName::Entry { ledger: LedgerId::Vault, seq }
}

fn pack(n: u64) -> ObjectName {
    let mut name = [0; 16];
    name[8..].copy_from_slice(&n.to_be_bytes());
    ObjectName::Pack { dataset: "cohort-7".parse().unwrap(), upload: UploadId([7; 16]), pack: PackName(name) }
}

fn packs() -> String {
    upload_prefix(&"cohort-7".parse().unwrap(), &UploadId([7; 16]))
}

fn header(n: u8) -> ObjectName {
    let hash = "ab".repeat(32);
    format!("epochs/cohort-7/0000000001/headers/{:032x}-{hash}", n).parse().unwrap()
}

fn environment(server: &SeaweedFs) -> Environment {
    let keys = [("AWS_ACCESS_KEY_ID", server.key()), ("AWS_SECRET_ACCESS_KEY", server.secret())];
    keys.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn open(server: &SeaweedFs, location: &str) -> Store {
    let location: S3Location = location.parse().unwrap();
    Store::open_s3_in(&location, &environment(server)).await.unwrap()
}

/// A store in a folder of a bucket of its own, over both gateways.
async fn store() -> Store {
    let server = SeaweedFs::shared();
    open(server, &server.location(&format!("{}/a/vault", server.new_bucket()))).await
}

#[tokio::test]
async fn a_create_is_made_once_repeated_freely_and_never_overwrites() {
    let store = store().await;
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"one")).await.unwrap(), Creation::Created);
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"one")).await.unwrap(), Creation::AlreadySame);
    for other in ["two", "ones", "", "on"] {
        assert_eq!(store.create(&entry(0), Bytes::from(other)).await.unwrap(), Creation::Conflict);
    }
    assert_eq!(store.get(&entry(0), 3).await.unwrap(), "one");
    assert_eq!(store.create(&entry(1), Bytes::new()).await.unwrap(), Creation::Created);
    assert_eq!(store.create(&entry(1), Bytes::new()).await.unwrap(), Creation::AlreadySame);
    assert_eq!(store.size(&entry(1)).await.unwrap(), Some(0));
}

#[tokio::test]
async fn reads_are_bounded_and_ranges_are_exact() {
    let store = store().await;
    let _ = store.create(&entry(0), Bytes::from_static(b"0123456789")).await.unwrap();
    assert!(matches!(store.get(&entry(0), 9).await, Err(StoreError::TooLong { size: 10, max: 9, .. })));
    assert_eq!(store.get_range(&entry(0), 2..10).await.unwrap(), "23456789");
    assert_eq!(store.get_range(&entry(0), 4..4).await.unwrap(), "");
    for range in [2..11, 10..11, 20..30] {
        let end = range.end;
        let error = store.get_range(&entry(0), range).await.unwrap_err();
        assert!(matches!(error, StoreError::TooShort { size: 10, end: e, .. } if e == end), "{error}");
    }
    assert!(store.get(&entry(1), 9).await.unwrap_err().is_not_found());
    assert!(store.get_range(&entry(1), 0..1).await.unwrap_err().is_not_found());
    assert_eq!(store.size(&entry(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_listing_is_sorted_and_whole_beyond_a_page() {
    let store = store().await;
    for seq in [11, 2, 7] {
        let _ = store.create(&entry(seq), Bytes::from_static(b"x")).await.unwrap();
    }
    let names: Vec<ObjectName> = store.list("ledger/").await.unwrap().into_iter().map(|o| o.name).collect();
    assert_eq!(names, [entry(2), entry(7), entry(11)]);
    let later = store.list_after(&ledger_prefix(&LedgerId::Vault), &entry(2)).await.unwrap();
    assert_eq!(later.into_iter().map(|o| o.name).collect::<Vec<_>>(), [entry(7), entry(11)]);
    assert!(store.list("epochs/").await.unwrap().is_empty());
    assert_eq!(store.folders("ledger/").await.unwrap(), ["vault"]);

    let made: Vec<Creation> = stream::iter(0..1100)
        .map(|n| {
            let store = store.clone();
            async move { store.create(&pack(n), Bytes::from_static(b"x")).await.unwrap() }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    assert_eq!(made.len(), 1100);
    let listed: Vec<ObjectName> = store.list(&packs()).await.unwrap().into_iter().map(|o| o.name).collect();
    assert_eq!(listed, (0..1100).map(pack).collect::<Vec<_>>());
    let deleted = store.delete_prefix(&packs(), |name| *name != pack(3)).await.unwrap();
    assert_eq!((deleted.objects, deleted.kept), (1099, false));
    assert_eq!(store.list(&packs()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_writers_over_two_gateways_one_wins() {
    let store = store().await;
    let [ways] = store.ways().try_into().unwrap();
    assert_eq!(ways.len(), 2);
    for seq in 0..10 {
        let race: Vec<_> = (0..8)
            .map(|writer| {
                let store: Store = ways[writer % 2].clone();
                tokio::spawn(async move {
                    store.create(&entry(seq), Bytes::from(format!("writer {writer}"))).await.unwrap()
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (writer, task) in race.into_iter().enumerate() {
            // A writer whose acknowledgement got lost on the way finds its own bytes.
            if task.await.unwrap() != Creation::Conflict {
                winners.push(writer);
            }
        }
        assert_eq!(winners.len(), 1, "number {seq}");
        assert_eq!(store.get(&entry(seq), 64).await.unwrap(), format!("writer {}", winners[0]));
    }
}

#[tokio::test]
async fn the_probe_takes_both_gateways_and_leaves_nothing() {
    let server = SeaweedFs::shared();
    let (first, second) = (server.new_bucket(), server.new_bucket());
    let store = open(server, &format!("{}&epochs={second}/e", server.location(&first))).await;
    assert_eq!(store.ways().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    let begun = Instant::now();
    probe_all(&store).await.unwrap();
    // Two buckets, and perhaps a busy machine: it is done at each `init` and `doctor`.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    for bucket in [first, second] {
        let listed = server.signed(&[], &format!("{bucket}?list-type=2")).unwrap();
        assert!(!listed.contains("<Key>"), "{listed}");
    }
}

/// What curl got: the status, and the body.
fn curl(options: &[&str], url: &str) -> (u16, String) {
    let done = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--noproxy", "*", "--write-out", "\n%{http_code}"])
        .args(options)
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// As a client uses a link: with the signed headers.
fn follow(link: &Link, body: Option<&str>) -> (u16, String) {
    let headers: Vec<String> = link.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut options = vec!["--request", link.method];
    for header in &headers {
        options.extend(["--header", header]);
    }
    options.extend(body.into_iter().flat_map(|body| ["--data-binary", body]));
    curl(&options, &link.url)
}

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_link_reads_one_object_until_it_ends() {
    let store = store().await;
    assert!(store.links());
    for n in 0..2 {
        let _ = store.create(&pack(n), Bytes::from(format!("pack {n}"))).await.unwrap();
    }
    let link = store.link_get(&pack(0), TTL).await.unwrap();
    assert_eq!(follow(&link, None), (200, "pack 0".to_owned()));
    assert!(!format!("{link:?}").contains("Signature"), "{link:?}");

    let other = link.url.replace(&pack(0).to_string(), &pack(1).to_string());
    assert_ne!(other, link.url);
    assert_eq!(curl(&[], &other).0, 403, "another name");
    assert_eq!(curl(&["--request", "DELETE"], &link.url).0, 403, "another method");
    let longer = link.url.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_ne!(longer, link.url);
    assert_eq!(curl(&[], &longer).0, 403, "a longer life");
    let (unsigned, _) = link.url.split_once('?').unwrap();
    assert_eq!(curl(&[], unsigned).0, 403, "no signature");

    let brief = store.link_get(&pack(0), Duration::from_secs(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(follow(&brief, None).0, 403, "after its end");
}

#[tokio::test]
async fn a_link_writes_one_object_once() {
    let store = store().await;
    let link = store.link_put(&pack(0), TTL).await.unwrap();
    assert_eq!(link.method, "PUT");
    assert!(link.headers.contains(&("if-none-match".to_owned(), "*".to_owned())), "{:?}", link.headers);
    assert_eq!(curl(&["--request", "PUT", "--data-binary", "pack 0"], &link.url).0, 403, "without the signed header");
    assert_eq!(store.size(&pack(0)).await.unwrap(), None);

    assert_eq!(follow(&link, Some("pack 0")).0, 200);
    assert_eq!(follow(&link, Some("pack X")).0, 412, "never overwritten");
    assert_eq!(store.get(&pack(0), 6).await.unwrap(), "pack 0");
    let other = link.url.replace(&pack(0).to_string(), &pack(1).to_string());
    assert_eq!(follow(&Link { url: other, ..link }, Some("pack 1")).0, 403, "another name");
}

#[tokio::test]
async fn a_folder_has_no_links_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_folder(dir.path()).await.unwrap();
    assert!(!store.links());
    assert!(matches!(store.link_get(&pack(0), TTL).await, Err(StoreError::NoLinks { .. })));
}

fn body(chunks: &[&'static str]) -> BoxStream<'static, Result<Bytes, io::Error>> {
    stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>()).boxed()
}

/// Streams these chunks as what they are.
async fn streamed(store: &Store, name: &ObjectName, chunks: &[&'static str]) -> Creation {
    let whole = chunks.concat();
    let made = store.create_streamed(name, whole.len() as u64, sha256(whole.as_bytes()), body(chunks));
    made.await.unwrap()
}

/// The same of a bucket and of a folder.
async fn streams(store: &Store) {
    assert_eq!(streamed(store, &pack(0), &["01234", "", "56789"]).await, Creation::Created);
    assert_eq!(streamed(store, &pack(0), &["0123456", "789"]).await, Creation::AlreadySame);
    for other in [&["0123456788"][..], &["012345678"], &["01234567890"]] {
        assert_eq!(streamed(store, &pack(0), other).await, Creation::Conflict);
    }
    let found = store.stream(&pack(0), None).await.unwrap();
    assert_eq!((found.size, found.range.clone()), (10, 0..10));
    assert_eq!(text(found.bytes).await, "0123456789");
    let found = store.stream(&pack(0), Some(3..7)).await.unwrap();
    assert_eq!((found.size, found.range.clone()), (10, 3..7));
    assert_eq!(text(found.bytes).await, "3456");
    assert!(matches!(store.stream(&pack(0), Some(3..11)).await, Err(StoreError::TooShort { size: 10, end: 11, .. })));
    assert!(store.stream(&pack(9), None).await.unwrap_err().is_not_found());

    for (wrong, length) in [(&["short"][..], 6), (&["too ", "long"], 7)] {
        let digest = sha256(wrong.concat().as_bytes());
        let error = store.create_streamed(&pack(1), length, digest, body(wrong)).await.unwrap_err();
        assert!(matches!(error, StoreError::BodyLength { .. }), "{error}");
    }
    // Also of a name that is taken: a body that is not what was said is nobody's.
    for name in [pack(0), pack(1)] {
        let said = sha256(b"0123456789");
        let error = store.create_streamed(&name, 10, said, body(&["01234", "5678X"])).await.unwrap_err();
        assert!(matches!(error, StoreError::BodyDigest { .. }), "{error}");
    }
    let broken = body(&["half of it"]).chain(stream::iter([Err(io::Error::other("gone"))])).boxed();
    let error = store.create_streamed(&pack(1), 20, [0; 32], broken).await.unwrap_err();
    assert!(matches!(error, StoreError::Body { .. }), "{error}");
    assert_eq!(store.size(&pack(1)).await.unwrap(), None, "half an object");
}

async fn text(mut bytes: BoxStream<'static, Result<Bytes, StoreError>>) -> String {
    let mut text = String::new();
    while let Some(chunk) = bytes.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn objects_stream_to_and_from_a_bucket() {
    streams(&store().await).await;
}

#[tokio::test]
async fn objects_stream_to_and_from_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    streams(&Store::open_folder(dir.path()).await.unwrap()).await;
}

#[tokio::test]
async fn objects_stream_to_and_from_a_store_that_is_neither() {
    streams(&Store::over(std::sync::Arc::new(object_store::memory::InMemory::new()), "memory")).await;
}

#[tokio::test]
async fn a_long_object_streams_whole() {
    let store = store().await;
    let chunk = Bytes::from(vec![7u8; 1 << 20]);
    let chunks = || stream::iter(vec![chunk.clone(); 32]).map(Ok).boxed();
    let digest = sha256(&chunk.repeat(32));
    let made = store.create_streamed(&pack(0), 32 << 20, digest, chunks()).await.unwrap();
    assert_eq!(made, Creation::Created);
    let again = store.create_streamed(&pack(0), 32 << 20, digest, chunks()).await.unwrap();
    assert_eq!(again, Creation::AlreadySame);
    let mut found = store.stream(&pack(0), None).await.unwrap();
    let mut length = 0;
    while let Some(chunk) = found.bytes.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.iter().all(|byte| *byte == 7));
        length += chunk.len();
    }
    assert_eq!(length, 32 << 20);
}

#[tokio::test]
async fn what_begins_with_epochs_lies_in_the_second_bucket() {
    let server = SeaweedFs::shared();
    let (first, second) = (server.new_bucket(), server.new_bucket());
    let store = open(server, &format!("{}&epochs={second}/keys", server.location(&format!("{first}/v")))).await;
    let _ = store.create(&entry(0), Bytes::from_static(b"entry")).await.unwrap();
    let _ = store.create(&header(1), Bytes::from_static(b"header")).await.unwrap();
    let keys = |bucket: &str| {
        let listed = server.signed(&[], &format!("{bucket}?list-type=2")).unwrap();
        listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&first), [format!("v/{}", entry(0))]);
    assert_eq!(keys(&second), [format!("keys/{}", header(1))]);

    assert_eq!(store.get(&header(1), 9).await.unwrap(), "header");
    assert_eq!(store.size(&header(1)).await.unwrap(), Some(6));
    assert_eq!(store.list("epochs/").await.unwrap().len(), 1);
    assert_eq!(store.folders("").await.unwrap(), ["epochs", "ledger"]);
    let link = store.link_get(&header(1), TTL).await.unwrap();
    assert_eq!(follow(&link, None), (200, "header".to_owned()));
    let removed = store.delete(&[entry(0), header(1)]).await.unwrap();
    assert_eq!((removed.objects, removed.kept), (2, false));
    assert!(keys(&first).is_empty() && keys(&second).is_empty());
}

#[tokio::test]
async fn a_bucket_that_keeps_versions_is_known_by_what_it_deletes() {
    let server = SeaweedFs::shared();
    let (first, second) = (server.new_bucket(), server.new_bucket());
    server.keep_versions(&first);
    let alone = open(server, &server.location(&first)).await;
    let split = open(server, &format!("{}&epochs={second}", server.location(&first))).await;
    assert!(alone.keeps_epochs().await.unwrap());
    assert!(!split.keeps_epochs().await.unwrap());
    for (store, kept) in [(alone, true), (split, false)] {
        let _ = store.create(&header(1), Bytes::from_static(b"header")).await.unwrap();
        let removed = store.delete_prefix("epochs/", |_| true).await.unwrap();
        assert_eq!((removed.objects, removed.kept), (1, kept));
        assert!(store.list("epochs/").await.unwrap().is_empty());
        assert!(store.get(&header(1), 9).await.unwrap_err().is_not_found());
        // A name that was deleted can be taken again.
        assert_eq!(store.create(&header(1), Bytes::from_static(b"again")).await.unwrap(), Creation::Created);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_gateway_is_passed_over_and_a_restart_is_waited_for() {
    let server = SeaweedFs::start();
    let bucket = server.new_bucket();
    let store = open(&server, &server.location(&bucket)).await;
    let _ = store.create(&entry(0), Bytes::from_static(b"zero")).await.unwrap();

    server.kill_gateway(0);
    let begun = Instant::now();
    assert_eq!(store.create(&entry(1), Bytes::from_static(b"one")).await.unwrap(), Creation::Created);
    assert_eq!(store.list("ledger/").await.unwrap().len(), 2);
    let link = store.link_get(&entry(1), TTL).await.unwrap();
    assert_eq!(follow(&link, None).1, "one", "links go where somebody answers");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    server.kill();
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.create(&entry(2), Bytes::from_static(b"two")).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::block_in_place(|| server.restart());
    assert_ne!(writer.await.unwrap(), Creation::Conflict);
    assert_eq!(store.get(&entry(2), 9).await.unwrap(), "two");
}

#[tokio::test]
async fn a_folder_whose_objects_were_deleted_is_empty_and_takes_a_vault() {
    let store = store().await;
    for name in [header(1), pack(1), entry(0)] {
        let _ = store.create(&name, Bytes::from_static(b"old")).await.unwrap();
        store.delete(&[name]).await.unwrap();
    }
    let genesis = common::genesis(&common::Person::new("officer", 1), 3600);
    let stray = pack(2);
    let _ = store.create(&stray, Bytes::from_static(b"old")).await.unwrap();
    let refused = Vault::init(store.clone(), genesis.clone()).await.unwrap_err();
    assert!(matches!(&refused, InitError::NotEmpty { what, .. } if *what == stray.to_string()), "{refused}");
    store.delete(&[stray]).await.unwrap();
    Vault::init(store, genesis).await.unwrap();
}

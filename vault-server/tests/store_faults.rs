//! A store that loses acknowledgements, delays, refuses in storms, answers 409 for nothing and breaks listings off: nothing that was
//! acknowledged is lost, nothing is there twice, and who repeats a call finds that it was done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap and index"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{World, dataset_ledger};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{LedgerId, PackName, UploadId};
use vault_core::layout::{ObjectName, ledger_prefix};
use vault_server::store::{Answer, Creation, Store};
use vault_server::vault::{Append, PutError, Vault};

/// How often each fault was made.
type Made = Arc<Mutex<BTreeMap<&'static str, u64>>>;

/// Fails as stores do, by chance from a seed.
#[derive(Debug, Clone)]
struct Faulty {
    inner: Arc<InMemory>,
    on: Arc<AtomicBool>,
    drawn: Arc<AtomicU64>,
    seed: u64,
    made: Made,
}

/// As a bucket's client says it.
fn passing(status: u16, code: &str) -> object_store::Error {
    let endpoint = "http://127.0.0.1:1".to_owned();
    let answer = match status {
        0 => Answer::Broken { endpoint, why: "reset".to_owned() },
        _ => Answer::Refused { endpoint, status, code: code.to_owned(), message: String::new(), region: None },
    };
    object_store::Error::Generic { store: "faulty", source: Box::new(answer) }
}

impl Faulty {
    fn new(seed: u64) -> Self {
        Self { inner: Arc::default(), on: Arc::default(), drawn: Arc::default(), seed, made: Arc::default() }
    }

    fn set(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    /// True in `percent` of all cases while faults are on.
    fn chance(&self, percent: u8, what: &'static str) -> bool {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst);
        let hash = sha256(&[self.seed.to_be_bytes(), number.to_be_bytes()].concat());
        let yes = self.on.load(Ordering::SeqCst) && u32::from(hash[0]) * 100 < u32::from(percent) * 256;
        if yes {
            *self.made.lock().unwrap().entry(what).or_default() += 1;
        }
        yes
    }

    async fn weather(&self) -> Result<()> {
        if self.chance(20, "delay") {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        if self.chance(15, "503") { Err(passing(503, "SlowDown")) } else { Ok(()) }
    }

    fn broken_off(&self, found: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.chance(10, "listing broken off") {
            return found.take(2).chain(stream::iter([Err(passing(0, ""))])).boxed();
        }
        found
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.weather().await?;
        if self.chance(10, "409 for nothing") {
            return Err(object_store::Error::AlreadyExists { path: at.to_string(), source: "overlap".into() });
        }
        let done = self.inner.put_opts(at, payload, options).await?;
        if self.chance(20, "lost acknowledgement") { Err(passing(0, "")) } else { Ok(done) }
    }

    async fn put_multipart_opts(&self, at: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> Result<GetResult> {
        self.weather().await?;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        let this = self.clone();
        keys.and_then(move |key| {
            let this = this.clone();
            async move {
                this.weather().await?;
                let mut done = this.inner.delete_stream(stream::iter([Ok(key)]).boxed());
                let done = done.next().await.unwrap()?;
                if this.chance(20, "lost deletion") { Err(passing(0, "")) } else { Ok(done) }
            }
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.broken_off(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        self.broken_off(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.weather().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn pack(n: u64) -> ObjectName {
    let mut name = [0; 16];
    name[8..].copy_from_slice(&n.to_be_bytes());
    ObjectName::Pack { dataset: common::dataset(), upload: UploadId([7; 16]), pack: PackName(name) }
}

/// Every kind of fault has to have happened, or the test tested nothing.
fn all_happened(faulty: &Faulty, kinds: &[&str]) {
    let made = faulty.made.lock().unwrap().clone();
    assert!(kinds.iter().all(|kind| made.contains_key(kind)), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_who_race_in_bad_weather_one_wins_and_keeps_it() {
    let faulty = Faulty::new(1);
    let store = Store::over(Arc::new(faulty.clone()), "faulty");
    faulty.set(true);
    let names = 60;
    let writer = |writer: u64| {
        let store = store.clone();
        async move {
            let mut won = Vec::new();
            for n in 0..names {
                let body = Bytes::from(format!("writer {writer}"));
                // A call that failed is made again, as a client does.
                for _ in 0..20 {
                    match store.create(&pack(n), body.clone()).await {
                        Ok(Creation::Conflict) => break,
                        Ok(Creation::Created | Creation::AlreadySame) => {
                            won.push(n);
                            break;
                        }
                        Err(e) => assert!(e.is_transient(), "{e}"),
                    }
                }
            }
            won
        }
    };
    let tasks: Vec<_> = (0..6).map(|n| tokio::spawn(writer(n))).collect();
    let mut winners = BTreeMap::new();
    for (writer, task) in tasks.into_iter().enumerate() {
        for n in task.await.unwrap() {
            assert_eq!(winners.insert(n, writer), None, "two writers were told that they made object {n}");
        }
    }
    faulty.set(false);
    assert_eq!(winners.len() as u64, names);
    for (n, writer) in winners {
        assert_eq!(store.get(&pack(n), 64).await.unwrap(), format!("writer {writer}"));
    }
    all_happened(&faulty, &["503", "409 for nothing", "lost acknowledgement", "delay"]);
}

/// Appends until it is done, as a client does that repeats a failed call with the same bytes.
async fn append(vault: &Vault, ledger: &LedgerId, seq: u64, entry: &Bytes) -> Append {
    for _ in 0..60 {
        if let Ok(done) = vault.append(ledger, seq, entry.clone()).await {
            return done;
        }
    }
    panic!("entry {seq} was not appended in 60 tries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_and_put_in_bad_weather_is_there_once() {
    for seed in 0..4 {
        let faulty = Faulty::new(seed);
        let mut world = World::in_store(Store::over(Arc::new(faulty.clone()), "faulty")).await;
        world.create_dataset().await;
        let upload = world.open_upload().await;
        faulty.set(true);
        // A second process that appends to the same ledger and has a cache of its own.
        let other = loop {
            if let Ok(vault) = Vault::open(world.vault.store().clone()).await {
                break vault;
            }
        };
        let mut entries = Vec::new();
        for n in 0..30u64 {
            let (seq, body) = (world.next_seq(&LedgerId::Vault), world.small_talk());
            let entry = world.sign(&world.officer, &LedgerId::Vault, body);
            let rival = world.small_talk();
            let rival = world.sign(&world.officer, &LedgerId::Vault, rival);
            let (mine, theirs) = futures_util::join!(
                append(&world.vault, &LedgerId::Vault, seq, &entry),
                append(&other, &LedgerId::Vault, seq, &rival)
            );
            let won = match (mine, theirs) {
                (Append::Appended, Append::Taken { .. }) => entry,
                (Append::Taken { .. }, Append::Appended) => rival,
                both => panic!("entry {seq}: {both:?}"),
            };
            world.follow(&LedgerId::Vault, &won);
            entries.push((seq, won));
            let (name, bytes) = (pack_of(upload, n), Bytes::from(format!("pack {n}")));
            let mut done = false;
            for _ in 0..60 {
                match world.vault.put(&name, bytes.clone()).await {
                    Ok(()) => {
                        done = true;
                        break;
                    }
                    Err(PutError::Store(e)) => assert!(e.is_transient(), "{e}"),
                    Err(other) => panic!("{name}: {other}"),
                }
            }
            assert!(done, "{name}");
        }
        faulty.set(false);
        let fresh = world.reopen().await;
        let stored = fresh.entries(&LedgerId::Vault, 0).await.unwrap();
        for (seq, entry) in entries {
            assert_eq!(stored[seq as usize], entry, "seed {seed}, entry {seq}");
        }
        assert_eq!(stored.len() as u64, world.next_seq(&LedgerId::Vault));
        assert_eq!(fresh.single_entries(&LedgerId::Vault, 0).await.unwrap(), stored);
        for n in 0..30 {
            assert_eq!(fresh.get(&pack_of(upload, n)).await.unwrap(), format!("pack {n}"));
        }

        // What is given up goes, however often the way there breaks off.
        world.close_upload(upload).await;
        faulty.set(true);
        let mut swept = false;
        for _ in 0..200 {
            if world.vault.sweep(&common::dataset(), &upload).await.is_ok() {
                swept = true;
                break;
            }
        }
        faulty.set(false);
        assert!(swept, "not in 200 tries");
        assert!(world.names(&vault_core::layout::upload_prefix(&common::dataset(), &upload)).await.is_empty());
        let ledger = world.names(&ledger_prefix(&dataset_ledger())).await;
        assert!(ledger.iter().any(|name| matches!(name, ObjectName::Entry { seq: 0, .. })), "{ledger:?}");
        all_happened(&faulty, &["503", "lost acknowledgement", "lost deletion"]);
    }
}

fn pack_of(upload: UploadId, n: u64) -> ObjectName {
    match pack(n) {
        ObjectName::Pack { dataset, pack, .. } => ObjectName::Pack { dataset, upload, pack },
        other => other,
    }
}

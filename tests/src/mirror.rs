//! A folder that is made equal to a prefix of a bucket: so tests look into a vault that lies in a bucket, and tamper with it, by the same
//! files as one that lies in a folder.
//!
//! Before a command runs, what a test changed in the folder goes to the bucket; after it, what the command changed in the bucket comes to the
//! folder. Both by differences: a file that this module wrote has a time that nobody else gives it, an object its ETag.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this is test code in a library: what goes wrong fails the test"
)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use crate::seaweed::{REGION, SeaweedFs};

/// The bucket of all vaults of a run.
pub const BUCKET: &str = "vaults";

/// Requests that are under way at a time.
const AT_ONCE: usize = 12;

/// What is known to be the same here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    size: u64,
    etag: Option<String>,
    /// The time that the file was given here.
    stamp: SystemTime,
}

/// A folder and its prefix.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    prefix: String,
    known: Mutex<BTreeMap<String, Known>>,
    /// Commands that may be changing the bucket now.
    running: AtomicUsize,
    /// Whether something may have changed the bucket since the last look.
    is_stale: std::sync::atomic::AtomicBool,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mirrors() -> &'static Mutex<HashMap<PathBuf, Arc<Mirror>>> {
    static ALL: OnceLock<Mutex<HashMap<PathBuf, Arc<Mirror>>>> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

/// The mirror that is a folder; a new one, of an empty prefix, if it was none.
#[must_use]
pub fn of(folder: &Path) -> Arc<Mirror> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut all = lock(mirrors());
    let mirror = all.entry(folder.to_owned()).or_insert_with(|| {
        let prefix = format!("{}-{:06}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Arc::new(Mirror {
            folder: folder.to_owned(),
            prefix,
            known: Mutex::default(),
            running: AtomicUsize::new(0),
            is_stale: false.into(),
        })
    });
    Arc::clone(mirror)
}

/// Forgets the mirrors below a folder and deletes what they hold.
pub fn forget_below(folder: &Path) {
    let gone: Vec<_> =
        lock(mirrors()).extract_if(|path, _| path.starts_with(folder)).map(|(_, mirror)| mirror).collect();
    for mirror in gone {
        let size: u64 = lock(&mirror.known).values().map(|known| known.size).sum();
        // Small ones cost more to delete than to keep until the store ends with this process.
        if size > 5_000_000 {
            runtime().block_on(mirror.delete_all());
        }
    }
}

/// Where the runtime of the mirrors' requests is.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// The store of this run, with its bucket.
pub fn seaweed() -> &'static SeaweedFs {
    static MADE: OnceLock<()> = OnceLock::new();
    let seaweed = SeaweedFs::shared();
    MADE.get_or_init(|| seaweed.create_bucket(BUCKET));
    seaweed
}

/// The bucket, as somebody with its credentials has it.
pub fn bucket() -> &'static AmazonS3 {
    static STORE: OnceLock<AmazonS3> = OnceLock::new();
    STORE.get_or_init(|| {
        let seaweed = seaweed();
        AmazonS3Builder::new()
            .with_endpoint(&seaweed.endpoints()[0])
            .with_bucket_name(BUCKET)
            .with_region(REGION)
            .with_access_key_id(seaweed.key())
            .with_secret_access_key(seaweed.secret())
            .with_allow_http(true)
            .build()
            .unwrap()
    })
}

/// A time that a file of the mirror gets, and no other file.
fn new_stamp() -> SystemTime {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    SystemTime::UNIX_EPOCH + Duration::from_secs(86_400) + Duration::from_micros(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn stamp(path: &Path) -> SystemTime {
    let stamp = new_stamp();
    fs::File::options().append(true).open(path).unwrap().set_modified(stamp).unwrap();
    stamp
}

/// The files below a folder with their lengths and times; a folder that is not there has none.
fn files(folder: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, (metadata.len(), metadata.modified().unwrap()));
            }
        }
    }
    found
}

impl Mirror {
    /// The prefix in the bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the vault is, as somebody with the bucket's credentials names it.
    #[must_use]
    pub fn location(&self) -> String {
        seaweed().location(&format!("{BUCKET}/{}", self.prefix))
    }

    /// The same through one gateway alone.
    #[must_use]
    pub fn location_at(&self, gateway: usize) -> String {
        self.location_over(&seaweed().endpoints()[gateway])
    }

    /// The same through something that passes on what it gets to a gateway.
    #[must_use]
    pub fn location_over(&self, endpoint: &str) -> String {
        format!("s3://{BUCKET}/{}?endpoint={endpoint}&region={REGION}", self.prefix)
    }

    fn key(&self, name: &str) -> Key {
        Key::from(format!("{}/{name}", self.prefix))
    }

    /// A command begins, so the folder is old until it has ended.
    pub fn begin(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
    }

    /// A command has ended.
    pub fn end(&self) {
        self.is_stale.store(true, Ordering::SeqCst);
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// Takes the folder's changes to the bucket. Whether there were some.
    pub fn push(&self) -> bool {
        let mut known = lock(&self.known);
        self.push_to(&mut known)
    }

    fn push_to(&self, known: &mut BTreeMap<String, Known>) -> bool {
        let here = files(&self.folder);
        let gone: Vec<String> = known.keys().filter(|name| !here.contains_key(*name)).cloned().collect();
        let is_changed = |(name, (size, at)): &(String, (u64, SystemTime))| {
            known.get(name).is_none_or(|known| known.size != *size || known.stamp != *at)
        };
        let changed: Vec<String> = here.into_iter().filter(is_changed).map(|(name, _)| name).collect();
        if gone.is_empty() && changed.is_empty() {
            return false;
        }
        let sent = runtime().block_on(async {
            let keys = gone.iter().map(|name| Ok(self.key(name))).collect::<Vec<_>>();
            let deleted: Vec<_> = bucket().delete_stream(stream::iter(keys).boxed()).collect().await;
            for result in deleted {
                assert!(!result.is_err_and(|e| !matches!(e, object_store::Error::NotFound { .. })), "a delete failed");
            }
            let puts = changed.into_iter().map(|name| async move {
                let path = self.folder.join(&name);
                let stamp = stamp(&path);
                let bytes = fs::read(&path).unwrap();
                let size = bytes.len() as u64;
                let put = bucket().put(&self.key(&name), bytes.into()).await.unwrap();
                (name, Known { size, etag: put.e_tag, stamp })
            });
            stream::iter(puts).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
        });
        for name in gone {
            known.remove(&name);
        }
        known.extend(sent);
        true
    }

    /// Every object: its name and its length. Nothing is fetched.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let mut known = lock(&self.known);
        self.push_to(&mut known);
        runtime().block_on(self.list()).into_iter().map(|(name, (size, _))| (name, size)).collect()
    }

    async fn list(&self) -> BTreeMap<String, (u64, Option<String>)> {
        let prefix = Key::from(self.prefix.as_str());
        let found: Vec<_> = bucket().list(Some(&prefix)).try_collect().await.unwrap();
        let name = |key: &Key| key.as_ref().strip_prefix(&format!("{}/", self.prefix)).unwrap().to_owned();
        found.into_iter().map(|meta| (name(&meta.location), (meta.size, meta.e_tag))).collect()
    }

    /// Makes the folder equal to the bucket, if something may have changed since it was.
    pub fn refresh(&self) {
        let is_stale = self.is_stale.swap(false, Ordering::SeqCst);
        if is_stale || self.running.load(Ordering::SeqCst) > 0 {
            self.pull();
        }
    }

    fn pull(&self) {
        let mut known = lock(&self.known);
        self.push_to(&mut known);
        let there = runtime().block_on(self.list());
        let gone: Vec<String> = known.keys().filter(|name| !there.contains_key(*name)).cloned().collect();
        for name in gone {
            known.remove(&name);
            self.remove(&name);
        }
        let is_new = |(name, (size, etag)): &(&String, &(u64, Option<String>))| {
            known.get(*name).is_none_or(|known| known.size != *size || known.etag != *etag)
        };
        let fetched = runtime().block_on(async {
            let gets = there.iter().filter(is_new).map(|(name, (_, etag))| async move {
                match bucket().get(&self.key(name)).await {
                    Ok(got) => Some((name.clone(), etag.clone(), got.bytes().await.unwrap())),
                    // Deleted since it was listed.
                    Err(object_store::Error::NotFound { .. }) => None,
                    Err(e) => panic!("{name}: {e}"),
                }
            });
            stream::iter(gets).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
        });
        for (name, etag, bytes) in fetched.into_iter().flatten() {
            let path = self.folder.join(&name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
            known.insert(name, Known { size: bytes.len() as u64, etag, stamp: stamp(&path) });
        }
    }

    /// Removes a file, and the folders that it leaves empty: a bucket has none.
    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        let _ = fs::remove_file(&path);
        let above = path.ancestors().skip(1).take_while(|path| *path != self.folder);
        let _ = above.map_while(|path| fs::remove_dir(path).ok()).count();
    }

    async fn delete_all(&self) {
        let prefix = Key::from(self.prefix.as_str());
        let keys = bucket().list(Some(&prefix)).map_ok(|meta| meta.location).boxed();
        let _: Vec<_> = bucket().delete_stream(keys).collect().await;
    }
}

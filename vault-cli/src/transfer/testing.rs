//! A store in memory with faults on demand, and a reader that is too simple to be wrong in the same way as the real one.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use vault_core::context::Scope;
use vault_core::floe;
use vault_core::ids::{CardId, DatasetId, Digest, MemberId, UploadId, VaultId};
use vault_core::layout::ObjectName;
use vault_core::manifest::{FileRecord, Manifest};
use vault_core::pack::PackList;
use vault_core::suite::Suite;

use super::journal::{Journal, JournalHead};
use super::put::{PutOptions, Upload, Uploaded};
use super::store::{PackStore, StoreError};
use super::walk::{Argument, walk};
use super::{Body, Retry, plain_len};

pub(super) fn dataset() -> DatasetId {
    "cohort-7".parse().unwrap()
}

pub(super) fn author() -> MemberId {
    "lab".parse().unwrap()
}

pub(super) fn scope() -> Scope {
    Scope { suite: Suite::XWing, vault: Some(VaultId([1; 32])), dataset: Some(dataset()) }
}

pub(super) const UPLOAD: UploadId = UploadId([3; 16]);

pub(super) const IMPATIENT: Retry = Retry { tries: 2, first_wait: std::time::Duration::from_millis(1) };

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It works.
    None,
    /// It fails for good, and nothing is stored.
    Fail,
    /// It is stored, but the answer is lost.
    LoseAnswer,
    /// It is stored, but the answer says that it failed.
    Lie,
    /// It never returns.
    Hang,
}

type Hook = Box<dyn Fn(&ObjectName, usize) -> Fault + Send + Sync>;

#[derive(Default)]
pub(super) struct MemoryStore {
    pub(super) objects: Mutex<BTreeMap<ObjectName, Bytes>>,
    /// Names of puts that were acknowledged, in order.
    pub(super) acknowledged: Mutex<Vec<ObjectName>>,
    /// Bytes that were read, by object.
    pub(super) read: Mutex<BTreeMap<ObjectName, u64>>,
    pub(super) on_put: Mutex<Option<Hook>>,
    pub(super) on_get: Mutex<Option<Hook>>,
    /// What was put is not seen yet by who asks for it, as where a server works on after its client was killed.
    pub(super) is_late: AtomicBool,
    pub(super) puts: AtomicUsize,
    gets: AtomicUsize,
    waiting: AtomicUsize,
    /// Most puts of packs at a time.
    pub(super) most_waiting: AtomicUsize,
}

pub(super) fn is_pack(name: &ObjectName) -> bool {
    matches!(name, ObjectName::Pack { .. })
}

impl MemoryStore {
    /// From now on, `hook` decides about the n-th put of a pack, counted from 0.
    pub(super) fn on_put(&self, hook: impl Fn(&ObjectName, usize) -> Fault + Send + Sync + 'static) {
        self.puts.store(0, Ordering::SeqCst);
        *self.on_put.lock().unwrap() = Some(Box::new(hook));
    }

    /// From now on, `hook` decides about the n-th read, counted from 0.
    pub(super) fn on_get(&self, hook: impl Fn(&ObjectName, usize) -> Fault + Send + Sync + 'static) {
        self.gets.store(0, Ordering::SeqCst);
        *self.on_get.lock().unwrap() = Some(Box::new(hook));
    }

    pub(super) fn get_now(&self, name: &ObjectName) -> Bytes {
        self.objects.lock().unwrap().get(name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    pub(super) fn change(&self, name: &ObjectName, change: impl FnOnce(&mut Vec<u8>)) {
        let mut objects = self.objects.lock().unwrap();
        let mut bytes = objects.get(name).unwrap().to_vec();
        change(&mut bytes);
        objects.insert(name.clone(), bytes.into());
    }

    pub(super) fn packs(&self) -> Vec<ObjectName> {
        self.objects.lock().unwrap().keys().filter(|name| is_pack(name)).cloned().collect()
    }

    pub(super) fn acknowledged_packs(&self) -> Vec<ObjectName> {
        self.acknowledged.lock().unwrap().iter().filter(|name| is_pack(name)).cloned().collect()
    }

    fn fault_of_put(&self, name: &ObjectName) -> Fault {
        let n = if is_pack(name) { self.puts.fetch_add(1, Ordering::SeqCst) } else { usize::MAX };
        self.on_put.lock().unwrap().as_ref().map_or(Fault::None, |hook| hook(name, n))
    }

    fn fault_of_get(&self, name: &ObjectName) -> Fault {
        let n = self.gets.fetch_add(1, Ordering::SeqCst);
        self.on_get.lock().unwrap().as_ref().map_or(Fault::None, |hook| hook(name, n))
    }

    fn store(&self, name: &ObjectName, bytes: &Bytes) -> Result<(), StoreError> {
        let mut objects = self.objects.lock().unwrap();
        match objects.get(name) {
            Some(old) if old != bytes => Err(StoreError::Differs),
            _ => {
                // A copy, so that a test does not hold the engine's buffers.
                objects.insert(name.clone(), Bytes::copy_from_slice(bytes));
                Ok(())
            }
        }
    }

    fn count_read(&self, name: &ObjectName, bytes: u64) {
        *self.read.lock().unwrap().entry(name.clone()).or_default() += bytes;
    }
}

fn failed() -> StoreError {
    StoreError::Failed("on purpose".into())
}

#[async_trait]
impl PackStore for MemoryStore {
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        if is_pack(name) {
            let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_waiting.fetch_max(waiting, Ordering::SeqCst);
        }
        tokio::task::yield_now().await;
        let fault = self.fault_of_put(name);
        if fault == Fault::Hang {
            std::future::pending::<()>().await;
        }
        if is_pack(name) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        if fault == Fault::Fail {
            return Err(failed());
        }
        self.store(name, &bytes)?;
        match fault {
            Fault::LoseAnswer => Err(StoreError::Transient("no answer".into())),
            Fault::Lie => Err(failed()),
            _ => {
                self.acknowledged.lock().unwrap().push(name.clone());
                Ok(())
            }
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        match self.fault_of_get(name) {
            Fault::None => {}
            Fault::LoseAnswer => return Err(StoreError::Transient("no answer".into())),
            Fault::Hang => std::future::pending().await,
            Fault::Fail | Fault::Lie => return Err(failed()),
        }
        let object = self.objects.lock().unwrap().get(name).cloned().ok_or(StoreError::NotFound)?;
        let range = range.start as usize..range.end as usize;
        let part = object.get(range).ok_or(StoreError::Length)?;
        self.count_read(name, part.len() as u64);
        Ok(Bytes::copy_from_slice(part))
    }

    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        let size = self.size(name).await?.ok_or(StoreError::NotFound)?;
        if size > max { Err(StoreError::Length) } else { self.get_range(name, 0..size).await }
    }

    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        if self.is_late.load(Ordering::SeqCst) {
            return Ok(None);
        }
        Ok(self.objects.lock().unwrap().get(name).map(|object| object.len() as u64))
    }
}

/// Bytes that look like nothing, the same for the same seed.
pub(super) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut out);
    out
}

pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

pub(super) fn open_manifest(store: &MemoryStore, uploaded: &Uploaded) -> (Manifest, PackList) {
    let manifest = uploaded.manifest;
    let list = store.get_now(&ObjectName::PackList { dataset: dataset(), upload: UPLOAD, manifest });
    let list = PackList::parse(&list).unwrap();
    assert_eq!(list.sha256(), uploaded.pack_list);
    let object = store.get_now(&ObjectName::Manifest { dataset: dataset(), manifest });
    assert_eq!(*blake3::hash(&object).as_bytes(), uploaded.blake3.0);
    assert_eq!(object.len() as u64, uploaded.length);
    let aad = scope().manifest(&manifest, &author());
    let size = plain_len(object.len() as u64).unwrap();
    let plain = floe::open_bytes(&uploaded.key, aad.as_bytes(), &object, size).unwrap();
    let parsed = Manifest::parse(&plain).unwrap();
    parsed.verify(&uploaded.root, u64::from(uploaded.files), &list).unwrap();
    (parsed, list)
}

/// All files of a manifest, from the whole stream in memory.
pub(super) fn read_back(store: &MemoryStore, uploaded: &Uploaded) -> BTreeMap<String, Vec<u8>> {
    let (manifest, list) = open_manifest(store, uploaded);
    let mut stream = Vec::new();
    for pack in list.packs() {
        let bytes = store.get_now(&ObjectName::Pack { dataset: dataset(), upload: UPLOAD, pack: pack.name });
        pack.check(&bytes).unwrap();
        stream.extend_from_slice(&bytes);
    }
    let open = |file: &vault_core::manifest::FileRecord| {
        let place = file.place().unwrap().stream_range();
        let sealed = &stream[place.start as usize..place.end as usize];
        let aad = scope().file(&uploaded.manifest, &author(), file.number);
        let plain = floe::open_bytes(&file.key, aad.as_bytes(), sealed, file.size).unwrap().to_vec();
        assert_eq!(*blake3::hash(&plain).as_bytes(), file.blake3.0);
        (file.path.to_string(), plain)
    };
    manifest.files().iter().map(open).collect()
}

/// Files that were put, with what a reader of the ledger would know of them.
pub(super) struct Stored {
    pub(super) store: Arc<MemoryStore>,
    pub(super) uploaded: Uploaded,
}

impl Stored {
    pub(super) async fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        for (name, bytes) in files {
            write(&run, name, bytes);
        }
        let store = Arc::new(MemoryStore::default());
        let inputs = walk(vec![Argument::Path(run.join("."))]).unwrap().inputs;
        let journal = new_journal(&dir.path().join("state"));
        let upload = Upload::new(store.clone(), journal, PutOptions::default(), Arc::new(()));
        let uploaded = upload.run(inputs).await.unwrap().remove(0);
        Self { store, uploaded }
    }

    pub(super) fn body(&self) -> Arc<Body> {
        let (_, list) = open_manifest(&self.store, &self.uploaded);
        let manifest = self.uploaded.manifest;
        Arc::new(Body { scope: scope(), dataset: dataset(), upload: UPLOAD, manifest, author: author(), list })
    }

    pub(super) fn files(&self) -> Vec<FileRecord> {
        open_manifest(&self.store, &self.uploaded).0.into_files()
    }

    pub(super) fn file(&self, path: &str) -> (Arc<Body>, FileRecord) {
        let file = self.files().into_iter().find(|file| file.path.as_str() == path).unwrap();
        (self.body(), file)
    }
}

pub(super) fn new_journal(folder: &Path) -> Journal {
    let scope = scope();
    let head = JournalHead {
        suite: scope.suite,
        vault: scope.vault.unwrap(),
        dataset: dataset(),
        author: author(),
        upload: UPLOAD,
        card: CardId([2; 32]),
        request: Digest([9; 32]),
        created: 0,
    };
    // Stands for a seal to a card: the key itself, so that a test can open it.
    Journal::create(folder, head, |key, _| Some(key.expose().to_vec())).unwrap()
}

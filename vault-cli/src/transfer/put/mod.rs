//! Putting files into a vault: plans manifests, runs reader, sealers and uploads side by side, and writes each manifest.
//!
//! ```text
//! reader ─ packs with plaintext in place ─▶ sealers (seal in place, hash) ─▶ uploads ─▶ journal
//! ```
//!
//! Order of writes (spec section 6.2): packs, then pack list, groups and manifest. What is sealed to the epoch, and the
//! commit, are the caller's. Nothing is visible before that.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rand_core::Rng;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use vault_core::context::Scope;
use vault_core::floe::{self, FloeError, Sealer};
use vault_core::ids::{DatasetId, Digest, ManifestId, MemberId, PackName, UploadId};
use vault_core::layout::ObjectName;
use vault_core::manifest::{Draft, Extras, FileRecord, FileRef, MAX_FILES, Manifest, ManifestError};
use vault_core::pack::{
    GROUP_LEN, GroupValue, Groups, PACK_LEN, PackEntry, PackError, PackHash, PackList, VerifiedGroups, group_value,
};
use vault_core::secret::Secret32;

use super::fill::{FileFacts, FillError, Filled, Filler, Job, Streamed};
use super::journal::state::{ManifestState, Pack, Plan, PlannedFile, Record, Sent};
use super::journal::{Journal, JournalError};
use super::plain_len;
use super::pool::{MAX_PACKS, PackBuffer, Pool};
use super::progress::{Phase, Progress};
use super::source::{Checksums, InputError, InputProblem, failed, stamp_of};
use super::store::{Ahead, ObjectError, PackStore, Retry};
use super::walk::{Input, Source};
use crate::random;

/// How a put works.
#[derive(Debug, Clone, Copy)]
pub struct PutOptions {
    /// Packs in memory at a time, 1 to 6; each takes 32 MiB.
    pub packs_in_memory: usize,
    /// Uploads at a time.
    pub uploads: usize,
    /// Digests of the plaintext beside BLAKE3.
    pub checksums: Checksums,
    /// What to do when the store does not answer.
    pub retry: Retry,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self { packs_in_memory: MAX_PACKS, uploads: 4, checksums: Checksums::default(), retry: Retry::default() }
    }
}

/// A manifest whose packs, lists and sealed object are stored: what `upload-committed` says of it, and the key that is yet
/// to be sealed to the epoch.
#[derive(Debug)]
pub struct Uploaded {
    /// The manifest.
    pub manifest: ManifestId,
    /// Its key.
    pub key: Secret32,
    /// Length of the sealed manifest.
    pub length: u64,
    /// BLAKE3 of the sealed manifest.
    pub blake3: Digest,
    /// Root over its files.
    pub root: Digest,
    /// How many files it has.
    pub files: u32,
    /// Length of its stream.
    pub stream_length: u64,
    /// How many packs.
    pub packs: u32,
    /// SHA-256 of the pack list.
    pub pack_list: Digest,
}

/// Why a put stopped. Nothing is visible; the journal remembers what was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// There is nothing to store.
    #[error("there are no files to store")]
    Nothing,
    /// An input can't be stored as it is.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A manifest can't be made of the files.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A pack, list or groups object is not what was stored.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A body can't be sealed, or what the journal keeps of it opened.
    #[error(transparent)]
    Body(#[from] FloeError),
    /// It was stopped from elsewhere.
    #[error("the upload was stopped")]
    Stopped,
    /// A worker died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] JoinError),
}

/// One upload, from files to stored manifests.
pub struct Upload {
    store: Arc<dyn PackStore>,
    progress: Arc<dyn Progress>,
    options: PutOptions,
    journal: Arc<Mutex<Journal>>,
    scope: Scope,
    author: MemberId,
    dataset: DatasetId,
    upload: UploadId,
    pool: ClosedOnDrop,
    sealers: Semaphore,
    uploads: Semaphore,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("dataset", &self.dataset).field("upload", &self.upload).finish_non_exhaustive()
    }
}

impl Upload {
    /// An upload that was opened in the ledger, new or resumed: its journal says which.
    #[must_use]
    pub fn new(store: Arc<dyn PackStore>, journal: Journal, options: PutOptions, progress: Arc<dyn Progress>) -> Self {
        let head = journal.head().clone();
        let sealers = available_parallelism().map_or(1, usize::from).min(options.packs_in_memory);
        Self {
            store,
            progress,
            options,
            scope: head.scope(),
            author: head.author,
            dataset: head.dataset,
            upload: head.upload,
            journal: Arc::new(Mutex::new(journal)),
            pool: ClosedOnDrop(Pool::new(options.packs_in_memory)),
            sealers: Semaphore::new(sealers),
            uploads: Semaphore::new(options.uploads.max(1)),
        }
    }

    /// Stores all inputs, which are in order of path, each path once; a manifest for each 10,000 of them.
    ///
    /// Goes on where an earlier run with the same journal stopped. What that run stored is read again and compared: a file
    /// that is not the same is sealed anew under a new key. Of a manifest that was complete, only sizes and times are.
    ///
    /// # Errors
    /// If an input can't be read or changes meanwhile, or the store or the journal fails. The journal stays.
    pub async fn run(&self, inputs: Vec<Input>) -> Result<Vec<Uploaded>, PutError> {
        if inputs.is_empty() {
            return Err(PutError::Nothing);
        }
        self.progress.total(inputs.iter().map(|input| input.size_hint).sum(), inputs.len() as u64);
        let inputs = Arc::new(inputs);
        let mut uploaded = Vec::new();
        for (ordinal, start) in (0u32..).zip((0..inputs.len()).step_by(MAX_FILES)) {
            let range = start..inputs.len().min(start + MAX_FILES);
            uploaded.push(self.manifest(ordinal, &inputs, range).await?);
        }
        Ok(uploaded)
    }

    /// Erases the journal: the upload is committed, or given up.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn erase_journal(self) -> Result<(), JournalError> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).remove()
    }

    async fn manifest(
        &self,
        ordinal: u32,
        inputs: &Arc<Vec<Input>>,
        range: Range<usize>,
    ) -> Result<Uploaded, PutError> {
        let files = inputs.get(range.clone()).unwrap_or_default();
        self.settle(ordinal).await?;
        if let Some(object) = self.sealed(ordinal, inputs, range.clone()).await? {
            return self.store_manifest(ordinal, object).await;
        }
        self.plan(ordinal, files).await?;
        let streamed = loop {
            match self.pass(ordinal, inputs, range.clone()).await? {
                Pass::Complete(streamed) => break streamed,
                Pass::Differs(file) => self.replan(ordinal, file, files).await?,
            }
        };
        self.progress.phase(Phase::Finishing);
        let object = self.seal_manifest(ordinal, files, &streamed)?;
        self.append(Record::Sealed { ordinal, object: object.clone() }).await?;
        self.store_manifest(ordinal, object).await
    }

    // Asks the store for packs that an earlier run sent and never heard of: one that is there is not sent again.
    async fn settle(&self, ordinal: u32) -> Result<(), PutError> {
        let Some(known) = self.known(ordinal).filter(|known| !known.sent.is_empty()) else { return Ok(()) };
        let mut found = Vec::new();
        for (index, Sent { pack, .. }) in &known.sent {
            // Its name was drawn for it, and objects appear whole: of this length it is the one that was sent.
            let name = self.pack_name(pack.entry.name);
            let size = self.options.retry.run(&name, || self.store.size(&name)).await?;
            if size == Some(u64::from(pack.entry.length)) {
                found.push(*index);
            }
        }
        self.append(Record::Settled { ordinal, found }).await
    }

    // The sealed manifest of an earlier run, if its files are the same: files by path, size and time, streams byte by byte.
    async fn sealed(
        &self,
        ordinal: u32,
        inputs: &Arc<Vec<Input>>,
        range: Range<usize>,
    ) -> Result<Option<Bytes>, PutError> {
        let Some(known) = self.known(ordinal) else { return Ok(None) };
        let Some(object) = known.sealed.clone() else { return Ok(None) };
        let files = inputs.get(range.clone()).unwrap_or_default();
        if !is_same(&known, files)? {
            return Ok(None);
        }
        if files.iter().any(|file| matches!(file.source, Source::Stream(_))) {
            return match self.pass(ordinal, inputs, range).await? {
                Pass::Complete(_) => Ok(Some(object)),
                Pass::Differs(_) => {
                    // The next run must not find it sealed.
                    self.plan(ordinal, files).await?;
                    taken_stream(files).map_or(Ok(None), |stream| Err(failed(stream, InputProblem::StreamOver).into()))
                }
            };
        }
        files.iter().for_each(|file| {
            self.progress.kept(file.size_hint);
            self.progress.file();
        });
        Ok(Some(object))
    }

    // Makes the journal's plan one for these files: a new one, or the old one from the first path on that is another.
    async fn plan(&self, ordinal: u32, files: &[Input]) -> Result<(), PutError> {
        let Some(known) = self.known(ordinal).filter(|known| known.sealed.is_none()) else {
            let manifest = ManifestId(random::bytes());
            let (key, salt) = (Secret32::generate(&mut random::system()), Secret32::generate(&mut random::system()));
            let files = self.draw(&manifest, 0, files);
            let plan = Plan { manifest, key: Arc::new(key), salt: Arc::new(salt), files };
            return self.append(Record::Plan { ordinal, plan }).await;
        };
        let planned = &known.plan.files;
        let same = planned.iter().zip(files).take_while(|(planned, file)| planned.path == file.path).count();
        if same == planned.len() && same == files.len() {
            return Ok(());
        }
        self.replan(ordinal, u32::try_from(same).unwrap_or(u32::MAX), files).await
    }

    // New keys from a file on; what was stored of it and of those after it is dropped.
    async fn replan(&self, ordinal: u32, from: u32, files: &[Input]) -> Result<(), PutError> {
        let Some(known) = self.known(ordinal) else { return Ok(()) };
        let after = self.straddle_before(&known, known.first_void(from)).await?;
        let changed = self.draw(&known.plan.manifest, from, files.get(from as usize..).unwrap_or_default());
        self.append(Record::Replan { ordinal, from, files: changed, after }).await?;
        // The next run begins with it anew; in this one its bytes are gone.
        taken_stream(files).map_or(Ok(()), |stream| Err(failed(stream, InputProblem::StreamOver).into()))
    }

    // The first bytes of the first pack that is dropped, if the pack before it stays and the journal does not have them.
    async fn straddle_before(&self, known: &ManifestState, void: Option<u32>) -> Result<Option<Bytes>, PutError> {
        let Some(void) = void else { return Ok(None) };
        let before = void.checked_sub(1).is_some_and(|before| known.packs.contains_key(&before));
        let Some(pack) = known.packs.get(&void).filter(|_| before && !known.straddles.contains_key(&void)) else {
            return Ok(None);
        };
        let group = self.first_group(pack).await?;
        let len = group.len().min(floe::SEGMENT);
        Ok(Some(Bytes::copy_from_slice(group.get(..len).unwrap_or_default())))
    }

    async fn first_group(&self, pack: &Pack) -> Result<Bytes, PutError> {
        let name = self.pack_name(pack.entry.name);
        let range = 0..u64::from(pack.entry.length.min(GROUP_LEN));
        let group = self.options.retry.run(&name, || self.store.get_range(&name, range.clone())).await?;
        let groups = VerifiedGroups::new(pack.entry, pack.groups.clone())?;
        groups.check_group(0, &group)?;
        Ok(group)
    }

    fn draw(&self, manifest: &ManifestId, from: u32, files: &[Input]) -> Vec<Arc<PlannedFile>> {
        let draw = |(number, file): (u32, &Input)| {
            let key = Secret32::generate(&mut random::system());
            let aad = self.scope.file(manifest, &self.author, number);
            let (_, header) = Sealer::start(&key, aad.as_bytes(), &mut random::system());
            Arc::new(PlannedFile { path: file.path.clone(), key, header })
        };
        (from..).zip(files).map(draw).collect()
    }

    // Reads all inputs once, and stores the packs that are not stored yet.
    async fn pass(&self, ordinal: u32, inputs: &Arc<Vec<Input>>, range: Range<usize>) -> Result<Pass, PutError> {
        let Some(known) = self.known(ordinal) else { return Err(PutError::Stopped) };
        self.progress.phase(if known.packs.is_empty() { Phase::Moving } else { Phase::Checking });
        let (out, mut filled) = mpsc::channel(1);
        let filler = Filler {
            inputs: Arc::clone(inputs),
            range,
            known,
            scope: self.scope.clone(),
            author: self.author.clone(),
            checksums: self.options.checksums,
            pool: self.pool.0.clone(),
            runtime: Handle::current(),
            out,
            progress: Arc::clone(&self.progress),
        };
        let reader = spawn_blocking(move || filler.run());
        let mut ships = FuturesUnordered::new();
        let mut failure = None;
        let mut more = true;
        while more || !ships.is_empty() {
            tokio::select! {
                next = filled.recv(), if more => match next {
                    Some(pack) => ships.push(self.ship(ordinal, pack)),
                    None => more = false,
                },
                Some(shipped) = ships.next(), if !ships.is_empty() => if let Err(error) = shipped {
                    // Nothing new is begun; what is under way is still stored and remembered.
                    failure.get_or_insert(error);
                    more = false;
                    filled.close();
                },
            }
        }
        drop(filled);
        let read = reader.await?;
        match (failure, read) {
            (Some(error), _) => Err(error),
            (None, Ok(streamed)) => Ok(Pass::Complete(streamed)),
            (None, Err(FillError::Differs { file })) => Ok(Pass::Differs(file)),
            (None, Err(FillError::Input(error))) => Err(error.into()),
            (None, Err(FillError::Floe(error))) => Err(error.into()),
            (None, Err(FillError::Stopped)) => Err(PutError::Stopped),
        }
    }

    // One pack, from plaintext in place to an acknowledged object that the journal knows.
    async fn ship(&self, ordinal: u32, filled: Filled) -> Result<(), PutError> {
        self.progress.phase(Phase::Moving);
        let Filled { index, buffer, jobs, left, right, checkpoint, plain } = filled;
        let name = PackName(random::bytes());
        self.store.expect(Ahead::Write(self.pack_name(name), buffer.as_ref().len() as u64));
        let (buffer, hash) = {
            // The semaphore is never closed.
            let _turn = self.sealers.acquire().await;
            spawn_blocking(move || seal_pack(buffer, &jobs)).await??
        };
        let bytes = Bytes::from_owner(buffer);
        let length = u32::try_from(bytes.len()).unwrap_or(PACK_LEN);
        let entry = PackEntry { name, length, blake3: hash.root };
        let pack = Pack { entry, groups: hash.groups, checkpoint };
        {
            let _turn = self.uploads.acquire().await;
            // Before a byte of it leaves, so that a later run knows where to look for it.
            self.append(Record::Sent { ordinal, index, sent: Box::new(Sent { pack, left, right }) }).await?;
            self.put(&self.pack_name(entry.name), bytes).await?;
        }
        self.append(Record::Acked { ordinal, index }).await?;
        self.progress.moved(plain);
        Ok(())
    }

    async fn append(&self, record: Record) -> Result<(), PutError> {
        let journal = Arc::clone(&self.journal);
        let write = move || journal.lock().unwrap_or_else(PoisonError::into_inner).append(record);
        Ok(spawn_blocking(write).await??)
    }

    fn known(&self, ordinal: u32) -> Option<ManifestState> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).state().manifest(ordinal).cloned()
    }

    fn seal_manifest(&self, ordinal: u32, files: &[Input], streamed: &Streamed) -> Result<Bytes, PutError> {
        let Some(known) = self.known(ordinal) else { return Err(PutError::Stopped) };
        let list = pack_list(&known)?;
        let records = (0u32..).zip(&known.plan.files).zip(&streamed.files);
        let mut replaces: Vec<FileRef> = files.iter().flat_map(|file| file.replaces.iter().copied()).collect();
        replaces.sort_unstable();
        replaces.dedup();
        let manifest = Manifest::new(Draft {
            files: records.map(|((number, planned), facts)| record(number, planned, facts)).collect(),
            salt: known.plan.salt.duplicate(),
            stream_length: streamed.length,
            pack_list: list.sha256(),
            extras: Extras { origin: None, replaces },
        })?;
        let aad = self.scope.manifest(&known.plan.manifest, &self.author);
        let sealed = floe::seal_bytes(&known.plan.key, aad.as_bytes(), &manifest.emit()?, &mut random::system())?;
        Ok(sealed.into())
    }

    // Stores pack list, groups and sealed manifest; the same bytes each time.
    async fn store_manifest(&self, ordinal: u32, object: Bytes) -> Result<Uploaded, PutError> {
        let Some(known) = self.known(ordinal) else { return Err(PutError::Stopped) };
        let (dataset, upload, manifest) = (&self.dataset, self.upload, known.plan.manifest);
        let list = pack_list(&known)?;
        let groups = Groups::new(known.packs.values().map(|pack| pack.groups.clone()).collect());
        let list_name = ObjectName::PackList { dataset: dataset.clone(), upload, manifest };
        let groups_name = ObjectName::Groups { dataset: dataset.clone(), upload, manifest };
        self.put(&list_name, list.emit().into()).await?;
        self.put(&groups_name, groups.emit().into()).await?;
        self.put(&ObjectName::Manifest { dataset: dataset.clone(), manifest }, object.clone()).await?;
        self.uploaded(&known, &list, &object)
    }

    fn uploaded(&self, known: &ManifestState, list: &PackList, object: &[u8]) -> Result<Uploaded, PutError> {
        // Opened again rather than remembered: what is signed is what was stored.
        let aad = self.scope.manifest(&known.plan.manifest, &self.author);
        let size = plain_len(object.len() as u64).ok_or(FloeError::Length)?;
        let manifest = Manifest::parse(&floe::open_bytes(&known.plan.key, aad.as_bytes(), object, size)?)?;
        let root = manifest.root();
        manifest.verify(&root, known.plan.files.len() as u64, list)?;
        Ok(Uploaded {
            manifest: known.plan.manifest,
            key: known.plan.key.duplicate(),
            length: object.len() as u64,
            blake3: Digest(blake3::hash(object).into()),
            root,
            files: u32::try_from(manifest.files().len()).unwrap_or(u32::MAX),
            stream_length: list.stream_length(),
            packs: u32::try_from(list.packs().len()).unwrap_or(u32::MAX),
            pack_list: list.sha256(),
        })
    }

    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), PutError> {
        Ok(self.options.retry.run(name, || self.store.put_new(name, bytes.clone())).await?)
    }

    fn pack_name(&self, pack: PackName) -> ObjectName {
        ObjectName::Pack { dataset: self.dataset.clone(), upload: self.upload, pack }
    }
}

// A put that is dropped half-way must not leave its reader waiting for a buffer.
struct ClosedOnDrop(Pool);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

enum Pass {
    Complete(Streamed),
    Differs(u32),
}

fn taken_stream(files: &[Input]) -> Option<&Input> {
    files.iter().find(|file| matches!(&file.source, Source::Stream(stream) if stream.is_taken()))
}

/// Whether an upload that was sealed to its end is of exactly these inputs: files by path, size and time. Of a stream that is not known
/// without reading it, so one is never.
///
/// # Errors
/// If an input can't be looked at.
pub fn covers(journal: &Journal, inputs: &[Input]) -> Result<bool, InputError> {
    let mut ordinal = 0;
    for files in inputs.chunks(MAX_FILES) {
        let sealed = journal.state().manifest(ordinal).filter(|known| known.sealed.is_some());
        let streams = files.iter().any(|file| matches!(file.source, Source::Stream(_)));
        match sealed {
            Some(known) if !streams && is_same(known, files)? => ordinal += 1,
            _ => return Ok(false),
        }
    }
    Ok(journal.state().manifest(ordinal).is_none())
}

// Whether the files are those of a manifest, as far as that is known without reading them.
fn is_same(known: &ManifestState, files: &[Input]) -> Result<bool, InputError> {
    if !files.iter().map(|file| &file.path).eq(known.plan.files.iter().map(|file| &file.path)) {
        return Ok(false);
    }
    let stamps = known.stamps();
    for (number, file) in (0u32..).zip(files) {
        if stamp_of(file)?.is_some_and(|stamp| stamps.get(&number) != Some(&stamp)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn pack_list(known: &ManifestState) -> Result<PackList, PackError> {
    PackList::new(known.packs.values().map(|pack| pack.entry).collect())
}

fn record(number: u32, planned: &PlannedFile, facts: &FileFacts) -> FileRecord {
    let summary = &facts.summary;
    FileRecord {
        path: planned.path.clone(),
        number,
        size: summary.stamp.size,
        modified: summary.stamp.modified,
        executable: summary.executable,
        offset: facts.offset,
        key: planned.key.duplicate(),
        blake3: summary.blake3,
        digests: summary.digests.clone(),
    }
}

// Seals every job in place and hashes each group as soon as it is complete, while it is in the cache.
fn seal_pack(mut buffer: PackBuffer, jobs: &[Job]) -> Result<(PackBuffer, PackHash), PutError> {
    let len = buffer.as_ref().len();
    let mut ivs = vec![0; 12 * jobs.len()];
    random::system().fill_bytes(&mut ivs);
    let pack = buffer.room().get_mut(..len).unwrap_or_default();
    let mut groups = Vec::with_capacity(len.div_ceil(GROUP_LEN as usize));
    for (job, iv) in jobs.iter().zip(ivs.as_chunks().0) {
        let segment = pack.get_mut(job.place.clone()).unwrap_or_default();
        job.sealer.seal_segment(job.position, job.last, iv, segment)?;
        // What lies before a job's end is sealed: jobs are in order of place, and the rest was ready before.
        hash_groups(pack.get(..job.place.end).unwrap_or_default(), false, &mut groups)?;
    }
    hash_groups(pack, true, &mut groups)?;
    let hash = PackHash::merge(groups).unwrap_or_else(|| PackHash::of_small(pack));
    Ok((buffer, hash))
}

// Hashes the groups of a pack's ready bytes that are not hashed yet; the last, short one only at the end.
fn hash_groups(ready: &[u8], end: bool, groups: &mut Vec<GroupValue>) -> Result<(), PackError> {
    for group in ready.chunks(GROUP_LEN as usize).skip(groups.len()) {
        if group.len() == GROUP_LEN as usize || end {
            let index = u32::try_from(groups.len()).map_err(|_| PackError::GroupLength)?;
            groups.push(group_value(index, group)?);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests;

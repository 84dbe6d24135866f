//! Getting files out of a vault: fetched, checked, opened and written side by side, in bounded memory, resumable.
//!
//! A file appears under its name only when all of it is there and its BLAKE3 is the manifest's. Until then it grows beside
//! its place; of long ones a log remembers how far, so that an interrupted get goes on. What is there already and is the
//! same is left as it is. When [`Get::run`] returns, all is durable.

mod resume;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::task::{JoinError, spawn_blocking};
use vault_core::floe::{SEGMENT_PLAIN, plain_segment_start, segments};
use vault_core::hazmat::tree::{self, Frontier};
use vault_core::ids::Digest;
use vault_core::manifest::{FileRecord, NameError, VaultPath, check_names};

use super::fetch::{Body, FetchError, FetchOptions, Fetcher, Opened, Wanted, Work};
use super::progress::{Phase, Progress};
use super::store::PackStore;
use super::target::{Existing, Part, Target, TargetProblem, write_problem};
use super::{LOG_SUFFIX, PART_SUFFIX};
use resume::{Kept, LOG_EVERY, log_head, log_line};

/// Manifests whose files are under way.
const MANIFESTS: usize = 2;

/// How a get works.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetOptions {
    /// How bytes are fetched.
    pub fetch: FetchOptions,
    /// Whether existing files are replaced.
    pub force: bool,
}

/// What a get did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Got {
    /// Files that were written.
    pub written: u64,
    /// Files that were there already, byte for byte.
    pub kept: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Why a get stopped. Files that it finished stay; of others, what was written is kept for the next run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// Bytes could not be fetched or opened.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The target folder can't be used.
    #[error("the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The paths can't lie side by side on this file system. Nothing was written.
    #[error(transparent)]
    Names(#[from] NameError),
    /// A name that seqvault keeps for what it has not finished. Nothing was written.
    #[error("'{0}' has a name that is kept for unfinished files")]
    Reserved(VaultPath),
    /// A file can't be written.
    #[error("'{path}'")]
    File {
        /// The file.
        path: VaultPath,
        /// Why.
        #[source]
        problem: TargetProblem,
    },
    /// A file's plaintext is not what its manifest says.
    #[error("'{0}' is not the file that was stored: its BLAKE3 differs")]
    Differs(VaultPath),
    /// A worker died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] JoinError),
}

/// Gets files into a folder.
pub struct Get {
    fetcher: Arc<Fetcher>,
    progress: Arc<dyn Progress>,
    force: bool,
}

impl std::fmt::Debug for Get {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Get").field("force", &self.force).finish_non_exhaustive()
    }
}

impl Get {
    /// A get from a store.
    #[must_use]
    pub fn new(store: Arc<dyn PackStore>, options: GetOptions, progress: Arc<dyn Progress>) -> Self {
        Self { fetcher: Arc::new(Fetcher::new(store, &options.fetch)), progress, force: options.force }
    }

    /// Writes files, each with its manifest's body, below `folder`, under their own paths.
    ///
    /// # Errors
    /// Before anything is written: if paths can't lie side by side, or a different file is in the way. Later: if bytes can't
    /// be fetched, are not what was signed, or can't be written.
    pub async fn run(&self, wanted: Vec<(Arc<Body>, Vec<FileRecord>)>, folder: &Path) -> Result<Got, GetError> {
        let all = || wanted.iter().flat_map(|(_, files)| files);
        let mut got = Got { bytes: all().map(|file| file.size).sum(), ..Got::default() };
        self.progress.total(got.bytes, all().count() as u64);
        check_reserved(all().map(|file| &file.path))?;
        let target = self.open_target(folder, all().map(|file| file.path.clone()).collect()).await?;
        self.progress.phase(Phase::Checking);
        let mut manifests = Vec::with_capacity(wanted.len());
        for (body, files) in wanted {
            let outputs = self.prepare(&target, &body, files).await?;
            manifests.push((body, outputs));
        }
        self.progress.phase(Phase::Moving);
        let mut moving = Vec::with_capacity(manifests.len());
        for (body, outputs) in manifests {
            let (kept, outputs): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Output::is_kept);
            got.kept += kept.len() as u64;
            got.written += outputs.len() as u64;
            moving.push((body, outputs));
        }
        self.move_all(moving).await?;
        self.progress.phase(Phase::Finishing);
        let synced = spawn_blocking(move || target.sync()).await?;
        synced.map_err(|problem| folder_problem(folder, problem))?;
        Ok(got)
    }

    async fn open_target(&self, folder: &Path, paths: Vec<VaultPath>) -> Result<Arc<Target>, GetError> {
        let path = folder.to_owned();
        let opened = spawn_blocking(move || {
            let target = Target::open(&path)?;
            let rules = target.name_rules()?;
            Ok((target, rules))
        });
        let (target, rules) =
            opened.await?.map_err(|source: std::io::Error| GetError::Folder { path: folder.to_owned(), source })?;
        check_names(&paths, rules)?;
        Ok(Arc::new(target))
    }

    // Finds what is there already. Nothing is written before all files have passed.
    async fn prepare(
        &self,
        target: &Arc<Target>,
        body: &Arc<Body>,
        files: Vec<FileRecord>,
    ) -> Result<Vec<Output>, GetError> {
        let (target, body, force) = (Arc::clone(target), Arc::clone(body), self.force);
        let progress = Arc::clone(&self.progress);
        let prepare = move || {
            let prepared = files.into_iter().map(|record| {
                let failed = |problem| GetError::File { path: record.path.clone(), problem };
                let there = check_existing(&target, &record, force).map_err(failed)?;
                if there {
                    progress.kept(record.size);
                    progress.file();
                }
                Ok(Output::new(Arc::clone(&target), &body, Arc::new(record), there, force))
            });
            prepared.collect()
        };
        spawn_blocking(prepare).await?
    }

    // The next manifest's packs begin to come while the last ones of the one before are written: both share the room for packs.
    async fn move_all(&self, manifests: Vec<(Arc<Body>, Vec<Output>)>) -> Result<(), GetError> {
        let failed = &AtomicBool::new(false);
        let moves = stream::iter(manifests).map(|(body, outputs)| async move {
            let moved =
                if failed.load(Ordering::Relaxed) { Ok(()) } else { self.manifest(&body, outputs, failed).await };
            failed.fetch_or(moved.is_err(), Ordering::Relaxed);
            moved
        });
        let mut moves = std::pin::pin!(moves.buffered(MANIFESTS));
        let mut result = Ok(());
        while let Some(moved) = moves.next().await {
            result = result.and(moved);
        }
        result
    }

    async fn manifest(&self, body: &Arc<Body>, outputs: Vec<Output>, failed: &AtomicBool) -> Result<(), GetError> {
        let progress = Arc::clone(&self.progress);
        let opened = spawn_blocking(move || {
            let resumed = outputs.iter().map(|output| {
                let kept = output.resume()?;
                progress.kept(output.plain_bytes(kept));
                Ok(kept)
            });
            let resumed = resumed.collect::<Result<Vec<_>, GetError>>()?;
            Ok::<_, GetError>((outputs, resumed))
        });
        let (outputs, resumed) = opened.await??;
        let wanted = outputs.iter().zip(resumed).map(|(output, kept)| Wanted {
            record: Arc::clone(&output.record),
            positions: kept..segments(output.record.size),
        });
        let works = self.fetcher.fetch(body, wanted.collect())?;
        self.write(works, Arc::new(outputs), failed).await
    }

    // Opens and writes parts as they come, as many at a time as there are processors.
    async fn write(
        &self,
        works: impl futures_util::Stream<Item = Result<Work, FetchError>>,
        outputs: Arc<Vec<Output>>,
        failed: &AtomicBool,
    ) -> Result<(), GetError> {
        let most = available_parallelism().map_or(1, usize::from);
        let mut works = std::pin::pin!(works);
        let mut writing = FuturesUnordered::new();
        let mut failure = None;
        let mut more = true;
        while more || !writing.is_empty() {
            more = more && !failed.load(Ordering::Relaxed);
            tokio::select! {
                next = works.next(), if more && writing.len() < most => match next {
                    Some(Ok(work)) => {
                        let (outputs, progress) = (Arc::clone(&outputs), Arc::clone(&self.progress));
                        writing.push(spawn_blocking(move || write_work(work, &outputs, &*progress)));
                    }
                    Some(Err(error)) => {
                        failure.get_or_insert(GetError::from(error));
                        more = false;
                    }
                    None => more = false,
                },
                Some(written) = writing.next(), if !writing.is_empty() => {
                    // Nothing new is begun; what is under way is still written and remembered.
                    if let Err(error) = written.map_err(GetError::from).and_then(|written| written) {
                        failure.get_or_insert(error);
                        more = false;
                    }
                }
                else => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

fn folder_problem(folder: &Path, problem: TargetProblem) -> GetError {
    GetError::Folder { path: folder.to_owned(), source: std::io::Error::other(problem) }
}

fn check_reserved<'a>(paths: impl Iterator<Item = &'a VaultPath>) -> Result<(), GetError> {
    for path in paths {
        let name = path.file_name().to_ascii_lowercase();
        if name.ends_with(PART_SUFFIX) || name.ends_with(LOG_SUFFIX) {
            return Err(GetError::Reserved(path.clone()));
        }
    }
    Ok(())
}

// Whether the file is there already; an error if something else is, and may not be replaced.
fn check_existing(target: &Target, record: &FileRecord, force: bool) -> Result<bool, TargetProblem> {
    match target.existing(&record.path)? {
        Existing::Nothing => Ok(false),
        Existing::Folder => Err(TargetProblem::IsFolder),
        Existing::File { size } if size == record.size && is_same(target, record)? => Ok(true),
        Existing::File { .. } | Existing::Other if force => Ok(false),
        Existing::File { .. } | Existing::Other => Err(TargetProblem::Exists),
    }
}

fn is_same(target: &Target, record: &FileRecord) -> Result<bool, TargetProblem> {
    let Some(file) = target.read(&record.path)? else { return Ok(false) };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Digest(hasher.finalize().into()) == record.blake3)
}

fn write_work(work: Work, outputs: &[Output], progress: &dyn Progress) -> Result<(), GetError> {
    work.open(|opened| {
        let Some(output) = outputs.get(opened.file) else { return Ok(()) };
        let complete = output.write(&opened)?;
        progress.moved(opened.plain.len() as u64);
        if complete {
            progress.file();
        }
        Ok(())
    })
}

/// One wanted file on its way to the disk.
struct Output {
    target: Arc<Target>,
    record: Arc<FileRecord>,
    // What its log begins with.
    log_head: String,
    force: bool,
    kept: bool,
    growing: Mutex<Growing>,
}

#[derive(Default)]
struct Growing {
    // Opened when the first segment comes, closed when the file is finished: there may be many files.
    part: Option<Arc<Part>>,
    log: Option<File>,
    // Values of segments that came before their turn.
    early: BTreeMap<u64, [u8; 32]>,
    frontier: Frontier,
    // Of a file of one segment.
    whole: Option<Digest>,
    // Segments that the log knows.
    logged: u64,
}

impl Output {
    fn new(target: Arc<Target>, body: &Body, record: Arc<FileRecord>, kept: bool, force: bool) -> Self {
        let log_head = log_head(body, &record);
        Self { target, record, log_head, force, kept, growing: Mutex::default() }
    }

    const fn is_kept(&self) -> bool {
        self.kept
    }

    fn failed(&self, problem: TargetProblem) -> GetError {
        GetError::File { path: self.record.path.clone(), problem }
    }

    fn plain_bytes(&self, segments: u64) -> u64 {
        plain_segment_start(segments).min(self.record.size)
    }

    // How many segments an earlier run wrote.
    fn resume(&self) -> Result<u64, GetError> {
        let Kept { part, frontier } = match resume::find(&self.target, &self.record, &self.log_head) {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(0),
            Err(problem) => return Err(self.failed(problem)),
        };
        let count = frontier.count();
        *self.lock() = Growing { part: Some(Arc::new(part)), frontier, logged: count, ..Growing::default() };
        Ok(count)
    }

    // Writes a segment; whether the file is complete with it.
    fn write(&self, opened: &Opened<'_>) -> Result<bool, GetError> {
        let part = self.part()?;
        let at = plain_segment_start(opened.position);
        let written = part.file.write_all_at(opened.plain, at).map_err(write_problem);
        drop(part);
        written.and_then(|()| self.written(opened)).map_err(|problem| self.failed(problem))?;
        let mut growing = self.lock();
        let complete = growing.whole.is_some() || growing.frontier.count() == segments(self.record.size);
        if !complete {
            return Ok(false);
        }
        let done = std::mem::take(&mut *growing);
        drop(growing);
        self.finish(done)?;
        Ok(true)
    }

    fn part(&self) -> Result<Arc<Part>, GetError> {
        let mut growing = self.lock();
        if let Some(part) = &growing.part {
            return Ok(Arc::clone(part));
        }
        let made = self.target.place(&self.record.path, true).and_then(|place| {
            let part = place.ok_or(TargetProblem::InUse)?.part(self.record.executable)?;
            part.empty()?;
            Ok(Arc::new(part))
        });
        let part = made.map_err(|problem| self.failed(problem))?;
        growing.part = Some(Arc::clone(&part));
        Ok(part)
    }

    // Takes a written segment into the file's hash, and from time to time into the log.
    fn written(&self, opened: &Opened<'_>) -> Result<(), TargetProblem> {
        if segments(self.record.size) == 1 {
            self.lock().whole = Some(Digest(tree::hash(opened.plain)));
            return Ok(());
        }
        let value = tree::subtree(opened.position, SEGMENT_PLAIN.ilog2(), opened.plain).unwrap_or_default();
        let mut growing = self.lock();
        growing.early.insert(opened.position, value);
        while let Some(value) = growing.next_value() {
            growing.frontier.push(value);
        }
        // Not when all is there: then it is about to be finished.
        let count = growing.frontier.count();
        if count >= growing.logged + LOG_EVERY && count < segments(self.record.size) {
            self.log(&mut growing)
        } else {
            Ok(())
        }
    }

    fn log(&self, growing: &mut Growing) -> Result<(), TargetProblem> {
        let (Some(part), Some(hash)) = (&growing.part, growing.frontier.finish()) else { return Ok(()) };
        let mut line = String::new();
        if growing.log.is_none() {
            growing.log = part.log(true)?;
            // A log that goes on has its head.
            if growing.logged == 0 {
                line.push_str(&self.log_head);
            }
        }
        let count = growing.frontier.count();
        line.push_str(&log_line(count, &Digest(hash)));
        if let Some(log) = &mut growing.log {
            log.write_all(line.as_bytes()).map_err(write_problem)?;
        }
        growing.logged = count;
        Ok(())
    }

    fn finish(&self, growing: Growing) -> Result<(), GetError> {
        let hash = growing.whole.or_else(|| growing.frontier.finish().map(Digest));
        let Some(part) = growing.part.and_then(Arc::into_inner) else {
            return Err(self.failed(TargetProblem::InUse));
        };
        if hash != Some(self.record.blake3) {
            let _ = part.discard();
            return Err(GetError::Differs(self.record.path.clone()));
        }
        let logged = growing.logged > 0;
        if logged {
            // A part that an earlier run left may be longer than the file.
            part.file.set_len(self.record.size).map_err(|error| self.failed(write_problem(error)))?;
        }
        let finished = part.finish(self.record.size, self.record.modified, self.force, logged);
        finished.map_err(|problem| self.failed(problem))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Growing> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growing {
    fn next_value(&mut self) -> Option<[u8; 32]> {
        self.early.remove(&self.frontier.count())
    }
}

#[cfg(test)]
mod tests;

//! From wanted files to opened segments: which parts of which packs to fetch, their check, and cutting them into segments.
//!
//! Every byte that comes from the store is compared with the signed BLAKE3 of its pack, by groups or whole, before anything
//! is decrypted (spec section 3.3). Parts are fetched side by side and handed on in the stream's order.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use vault_core::context::Scope;
use vault_core::floe::{FloeError, Opener, is_final_position};
use vault_core::ids::{DatasetId, ManifestId, MemberId, UploadId};
use vault_core::layout::ObjectName;
use vault_core::manifest::{FileRecord, ManifestError, VaultPath};
use vault_core::pack::{
    FilePlace, GROUP_LEN, Groups, PACK_LEN, PackEntry, PackError, PackList, VerifiedGroups, pack_ranges,
    round_to_groups,
};
use vault_server::store::spare;

use super::store::{Ahead, ObjectError, PackStore, Retry, StoreError};

/// Groups objects up to this length are fetched whole; of longer ones only the part that is needed.
const WHOLE_GROUPS: u64 = 1 << 20;
/// Requests at a time; memory is bounded apart from it.
const REQUESTS: usize = 16;

/// Where a manifest's files lie, and what their bodies are bound to.
#[derive(Debug)]
pub struct Body {
    /// The vault, its suite and the dataset.
    pub scope: Scope,
    /// The dataset.
    pub dataset: DatasetId,
    /// The upload that stored the packs.
    pub upload: UploadId,
    /// The manifest.
    pub manifest: ManifestId,
    /// Who committed it.
    pub author: MemberId,
    /// Its packs, as signed.
    pub list: PackList,
}

impl Body {
    fn pack_name(&self, entry: &PackEntry) -> Box<ObjectName> {
        Box::new(ObjectName::Pack { dataset: self.dataset.clone(), upload: self.upload, pack: entry.name })
    }

    fn groups_name(&self) -> Box<ObjectName> {
        Box::new(ObjectName::Groups { dataset: self.dataset.clone(), upload: self.upload, manifest: self.manifest })
    }
}

/// How fetching works.
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// Packs in memory at a time, 1 to 6; each takes 32 MiB.
    pub packs_in_memory: usize,
    /// What to do when the store does not answer.
    pub retry: Retry,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { packs_in_memory: 4, retry: Retry::default() }
    }
}

/// Why bytes could not be fetched or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// A pack is not what was signed.
    #[error("object {name} is not what was signed")]
    Pack {
        /// The pack.
        name: Box<ObjectName>,
        /// What differs.
        #[source]
        source: PackError,
    },
    /// A file's place is not in the stream that the pack list describes.
    #[error("'{0}' does not lie in its packs")]
    Place(VaultPath),
    /// A record is not one of a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file does not open under its key.
    #[error("'{path}' does not open under its key")]
    Body {
        /// The file.
        path: VaultPath,
        /// Why.
        #[source]
        source: FloeError,
    },
    /// A worker died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] JoinError),
}

/// Part of a file that is wanted: some of its segments, and its header, which they need.
pub(super) struct Wanted {
    pub(super) record: Arc<FileRecord>,
    pub(super) positions: Range<u64>,
}

/// A store, and the room to read from it.
pub(super) struct Fetcher {
    store: Arc<dyn PackStore>,
    retry: Retry,
    room: Arc<Semaphore>,
}

impl Fetcher {
    pub(super) fn new(store: Arc<dyn PackStore>, options: &FetchOptions) -> Self {
        let packs = options.packs_in_memory.clamp(1, super::pool::MAX_PACKS);
        let room = Arc::new(Semaphore::new(packs * (PACK_LEN / GROUP_LEN) as usize));
        Self { store, retry: options.retry, room }
    }

    /// Fetches, checks and cuts up what is wanted of one manifest: work to be opened, in the stream's order.
    pub(super) fn fetch(
        self: &Arc<Self>,
        body: &Arc<Body>,
        wanted: Vec<Wanted>,
    ) -> Result<impl Stream<Item = Result<Work, FetchError>> + use<>, FetchError> {
        let cutter = Cutter::new(body, wanted)?;
        let units = cutter.units(body)?;
        self.expect(body, &units)?;
        let this = Arc::clone(self);
        let source =
            Arc::new(PackSource { fetcher: Arc::clone(self), body: Arc::clone(body), groups: GroupCache::default() });
        // Room is given in order, so that a later part can't take what the next one needs.
        let placed = stream::iter(units).then(move |unit| {
            let room = Arc::clone(&this.room);
            async move {
                let groups = unit.range.len().div_ceil(GROUP_LEN as usize);
                // The semaphore is never closed.
                (room.acquire_many_owned(u32::try_from(groups).unwrap_or(1)).await.ok(), unit)
            }
        });
        let fetched = placed.map(move |(room, unit)| {
            let source = Arc::clone(&source);
            // A task of its own, so that it goes on while its turn has not come.
            Abort(tokio::spawn(async move { source.unit(unit, room).await }))
        });
        let ordered = fetched.map(|task| async move { task.join().await? }).buffered(REQUESTS);
        let mut cutter = cutter;
        Ok(ordered.map(move |part| part.and_then(|part| cutter.cut(part))))
    }

    fn expect(&self, body: &Body, units: &[Unit]) -> Result<(), FetchError> {
        let mut names: Vec<ObjectName> = Vec::new();
        let mut last = None;
        for unit in units.iter().filter(|unit| last.replace(unit.pack) != Some(unit.pack)) {
            let entry =
                body.list.pack(unit.pack).map_err(|source| FetchError::Pack { name: body.groups_name(), source })?;
            names.push(*body.pack_name(entry));
        }
        self.store.expect(Ahead::Read(names));
        Ok(())
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        spare::free();
    }
}

/// A task that ends when nobody waits for it any more.
struct Abort<T>(JoinHandle<T>);

impl<T> Abort<T> {
    async fn join(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A part of a pack to be fetched at once: whole groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    pack: usize,
    range: Range<u32>,
}

/// A checked part of a pack.
struct Part {
    // Where it begins in the stream.
    start: u64,
    bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

// The packs of one manifest, and what is known of their groups.
struct PackSource {
    fetcher: Arc<Fetcher>,
    body: Arc<Body>,
    groups: GroupCache,
}

#[derive(Default)]
struct GroupCache {
    // All of them, if the object is short; None if it is missing or malformed.
    all: OnceCell<Option<Groups>>,
    verified: Mutex<HashMap<usize, Arc<VerifiedGroups>>>,
    // One whole pack at a time beside the room for parts: only while groups are lost.
    deriving: tokio::sync::Mutex<()>,
}

impl PackSource {
    async fn unit(&self, unit: Unit, room: Option<OwnedSemaphorePermit>) -> Result<Part, FetchError> {
        let entry = *self.entry(unit.pack)?;
        let name = self.body.pack_name(&entry);
        let groups = if unit.range == (0..entry.length) { None } else { Some(self.groups(unit.pack, &entry).await?) };
        let bytes = self.read(&name, u64::from(unit.range.start)..u64::from(unit.range.end)).await?;
        let start = unit.range.start;
        let (bytes, checked) = spawn_blocking(move || {
            let checked = groups.map_or_else(|| entry.check(&bytes), |groups| groups.check_range(start, &bytes));
            (bytes, checked)
        })
        .await?;
        checked.map_err(|source| FetchError::Pack { name, source })?;
        Ok(Part { start: unit.pack as u64 * u64::from(PACK_LEN) + u64::from(start), bytes, room })
    }

    async fn groups(&self, index: usize, entry: &PackEntry) -> Result<Arc<VerifiedGroups>, FetchError> {
        if let Some(known) = self.lock().get(&index) {
            return Ok(Arc::clone(known));
        }
        let groups = match self.stored_groups(index, entry).await {
            Some(groups) => groups,
            None => self.derived_groups(entry).await?,
        };
        let groups = Arc::new(groups);
        self.lock().insert(index, Arc::clone(&groups));
        Ok(groups)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<VerifiedGroups>>> {
        self.groups.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // None if they are lost or wrong: they are derived objects, and no answer may depend on them.
    async fn stored_groups(&self, index: usize, entry: &PackEntry) -> Option<VerifiedGroups> {
        if entry.group_count() == 1 {
            return VerifiedGroups::new(*entry, Vec::new()).ok();
        }
        if self.body.list.groups_len() <= WHOLE_GROUPS {
            let all = self.groups.all.get_or_init(|| self.all_groups()).await;
            return all.as_ref()?.verify(&self.body.list, index).ok();
        }
        let range = self.body.list.groups_range(index).ok()?;
        let bytes = self.read(&self.body.groups_name(), range).await.ok()?;
        VerifiedGroups::from_bytes(*entry, &bytes).ok()
    }

    async fn all_groups(&self) -> Option<Groups> {
        let bytes = self.read(&self.body.groups_name(), 0..self.body.list.groups_len()).await.ok()?;
        Groups::parse(&bytes, &self.body.list).ok()
    }

    async fn derived_groups(&self, entry: &PackEntry) -> Result<VerifiedGroups, FetchError> {
        let _turn = self.groups.deriving.lock().await;
        let (entry, name) = (*entry, self.body.pack_name(entry));
        let bytes = self.read(&name, 0..u64::from(entry.length)).await?;
        let derived = spawn_blocking(move || VerifiedGroups::derive(entry, &bytes)).await?;
        derived.map_err(|source| FetchError::Pack { name, source })
    }

    async fn read(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, FetchError> {
        let Fetcher { store, retry, .. } = &*self.fetcher;
        let length = range.end.saturating_sub(range.start);
        // What is checked group by group is whole only if it is as long as was asked for.
        let exactly = || async {
            match store.get_range(name, range.clone()).await {
                Ok(bytes) if bytes.len() as u64 != length => Err(StoreError::Length),
                read => read,
            }
        };
        Ok(retry.run(name, exactly).await?)
    }

    fn entry(&self, index: usize) -> Result<&PackEntry, FetchError> {
        let name = self.body.groups_name();
        self.body.list.pack(index).map_err(|source| FetchError::Pack { name, source })
    }
}

/// A wanted file while its parts come.
pub(super) struct Fetched {
    pub(super) record: Arc<FileRecord>,
    place: FilePlace,
    opener: Option<Arc<Opener>>,
}

/// Sealed segments of a part, ready to be opened in any thread.
pub(super) struct Work {
    bytes: BytesMut,
    segments: Vec<Segment>,
    // Given back when the bytes are.
    _room: Option<OwnedSemaphorePermit>,
}

struct Segment {
    // Which of the wanted files.
    file: usize,
    record: Arc<FileRecord>,
    opener: Arc<Opener>,
    position: u64,
    bytes: Place,
}

enum Place {
    // Within the part.
    Within(Range<usize>),
    // Put together from this part and those before it.
    Joined(Vec<u8>),
}

/// An opened segment.
pub(super) struct Opened<'a> {
    /// Which of the wanted files.
    pub(super) file: usize,
    pub(super) position: u64,
    pub(super) plain: &'a [u8],
}

impl Work {
    /// Opens all segments, in order; what `each` fails with ends it.
    pub(super) fn open<E: From<FetchError>>(self, mut each: impl FnMut(Opened<'_>) -> Result<(), E>) -> Result<(), E> {
        let Self { mut bytes, segments, _room } = self;
        for Segment { file, record, opener, position, bytes: place } in segments {
            let mut joined;
            let sealed = match place {
                Place::Within(range) => bytes.get_mut(range).unwrap_or_default(),
                Place::Joined(bytes) => {
                    joined = bytes;
                    joined.as_mut_slice()
                }
            };
            let last = is_final_position(record.size, position);
            let opened = opener.open_segment(position, last, sealed);
            let plain = opened.map_err(|source| FetchError::Body { path: record.path.clone(), source })?;
            each(Opened { file, position, plain })?;
        }
        // Before the room for the next pack is: so there are never more buffers than packs in memory.
        spare::give(bytes);
        Ok(())
    }
}

// Cuts parts, as they come in order, into the items that are wanted: headers and segments.
struct Cutter {
    body: Arc<Body>,
    files: Vec<Fetched>,
    // In order of place. The front one is being cut; `carry` is what came of it.
    items: std::vec::IntoIter<Run>,
    now: Option<Run>,
    carry: Vec<u8>,
}

// Items of one file that follow each other: its header, or some segments.
#[derive(Debug, Clone)]
struct Run {
    file: usize,
    item: Item,
    // The last position, exclusive; unused for a header.
    end: u64,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Header,
    Segment(u64),
}

impl Cutter {
    fn new(body: &Arc<Body>, wanted: Vec<Wanted>) -> Result<Self, FetchError> {
        let mut files = Vec::with_capacity(wanted.len());
        let mut runs = Vec::with_capacity(2 * wanted.len());
        for (file, Wanted { record, positions }) in wanted.into_iter().enumerate() {
            let place = record.place()?;
            if place.stream_range().end > body.list.stream_length() {
                return Err(FetchError::Place(record.path.clone()));
            }
            files.push(Fetched { record, place, opener: None });
            runs.push(Run { file, item: Item::Header, end: 0 });
            runs.push(Run { file, item: Item::Segment(positions.start), end: positions.end });
        }
        let mut cutter =
            Self { body: Arc::clone(body), files, items: Vec::new().into_iter(), now: None, carry: Vec::new() };
        runs.retain(|run| cutter.range(run).is_some_and(|range| !range.is_empty()));
        runs.sort_by_key(|run| cutter.range(run).map(|range| range.start));
        cutter.items = runs.into_iter();
        cutter.now = cutter.items.next();
        Ok(cutter)
    }

    // Where all items of a run lie in the stream.
    fn range(&self, run: &Run) -> Option<Range<u64>> {
        let place = &self.files.get(run.file)?.place;
        Some(match run.item {
            Item::Header => place.header(),
            Item::Segment(position) => place.bytes_of(position..run.end),
        })
    }

    // The groups that hold all items, with gaps of a group or less fetched too: a request costs more than they do.
    fn units(&self, body: &Body) -> Result<Vec<Unit>, FetchError> {
        let mut units: Vec<Unit> = Vec::new();
        for run in self.now.iter().chain(self.items.as_slice()) {
            for part in pack_ranges(self.range(run).unwrap_or_default()) {
                let name = body.groups_name();
                let entry = body.list.pack(part.pack).map_err(|source| FetchError::Pack { name, source })?;
                let range = round_to_groups(&part.range, entry.length);
                match units.last_mut() {
                    Some(last) if last.pack == part.pack && range.start <= last.range.end.saturating_add(GROUP_LEN) => {
                        last.range.end = last.range.end.max(range.end);
                    }
                    _ => units.push(Unit { pack: part.pack, range }),
                }
            }
        }
        Ok(units)
    }

    fn cut(&mut self, part: Part) -> Result<Work, FetchError> {
        let Part { start, bytes, room } = part;
        let end = start + bytes.len() as u64;
        let mut segments = Vec::new();
        while let Some(run) = self.now.clone() {
            let item = self.item_range(&run)?;
            let from = item.start + self.carry.len() as u64;
            if from >= end {
                break;
            }
            // Parts cover all items in order, so what comes next lies in this one.
            let within = usize::try_from(from - start).unwrap_or(usize::MAX)
                ..usize::try_from(item.end.min(end) - start).unwrap_or(usize::MAX);
            let whole = self.carry.is_empty() && item.end <= end;
            if !whole {
                self.carry.extend_from_slice(bytes.get(within.clone()).unwrap_or_default());
                if item.end > end {
                    break;
                }
            }
            let place = if whole { Place::Within(within) } else { Place::Joined(std::mem::take(&mut self.carry)) };
            segments.extend(self.item(&run, place, &bytes)?);
            self.advance(run);
        }
        // Opened in place if nobody else holds the bytes, which is the usual case.
        let bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        Ok(Work { bytes, segments, _room: room })
    }

    fn item_range(&self, run: &Run) -> Result<Range<u64>, FetchError> {
        let file = self.file(run)?;
        Ok(match run.item {
            Item::Header => file.place.header(),
            Item::Segment(position) => file.place.bytes_of(position..position + 1),
        })
    }

    fn item(&mut self, run: &Run, place: Place, bytes: &[u8]) -> Result<Option<Segment>, FetchError> {
        match run.item {
            Item::Header => {
                let header = match &place {
                    Place::Within(range) => bytes.get(range.clone()).unwrap_or_default(),
                    Place::Joined(joined) => joined,
                };
                self.start(run.file, header)?;
                Ok(None)
            }
            Item::Segment(position) => {
                let Fetched { record, opener, .. } = self.file(run)?;
                // A file's header lies before its segments.
                let opener = opener.clone().ok_or_else(|| FetchError::Place(record.path.clone()))?;
                Ok(Some(Segment { file: run.file, record: Arc::clone(record), opener, position, bytes: place }))
            }
        }
    }

    fn start(&mut self, index: usize, header: &[u8]) -> Result<(), FetchError> {
        let body = Arc::clone(&self.body);
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        let aad = body.scope.file(&body.manifest, &body.author, file.record.number);
        let opener = Opener::start(&file.record.key, aad.as_bytes(), header)
            .map_err(|source| FetchError::Body { path: file.record.path.clone(), source })?;
        file.opener = Some(Arc::new(opener));
        Ok(())
    }

    fn advance(&mut self, run: Run) {
        self.now = match run.item {
            Item::Segment(position) if position + 1 < run.end => Some(Run { item: Item::Segment(position + 1), ..run }),
            _ => self.items.next(),
        };
    }

    fn file(&self, run: &Run) -> Result<&Fetched, FetchError> {
        self.files.get(run.file).ok_or(FetchError::Manifest(ManifestError::Rule("a file's place")))
    }
}

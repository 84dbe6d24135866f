//! The reader of a put: reads inputs once, in order, straight to where their segments lie in pack buffers.
//!
//! It seals nothing but the segments that lie across two packs; the others are left to workers, as [`Job`]s. Packs that an
//! earlier run had acknowledged are read again too, and compared with what the journal says of them. Runs on a thread that
//! may block.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vault_core::context::Scope;
use vault_core::floe::{BODY_START, FloeError, OVERHEAD, SEGMENT, SEGMENT_PLAIN, Sealer};
use vault_core::ids::MemberId;
use vault_core::pack::PACK_LEN;

use super::journal::state::{Checkpoint, Done, ManifestState, Partial, PlannedFile, Straddle};
use super::pool::{PackBuffer, Pool};
use super::progress::Progress;
use super::source::{Checksums, InputError, Reading, Stamp, Summary};
use super::walk::Input;
use crate::random;

const PACK: usize = PACK_LEN as usize;

/// What the reader needs; consumed by a run.
pub(super) struct Filler {
    pub(super) inputs: Arc<Vec<Input>>,
    /// Which of the inputs are this manifest's; the first one is file 0.
    pub(super) range: Range<usize>,
    /// What an earlier run left.
    pub(super) known: ManifestState,
    pub(super) scope: Scope,
    pub(super) author: MemberId,
    pub(super) checksums: Checksums,
    pub(super) pool: Pool,
    pub(super) runtime: Handle,
    pub(super) out: mpsc::Sender<Filled>,
    pub(super) progress: Arc<dyn Progress>,
}

/// A pack with plaintext in place, to be sealed.
pub(super) struct Filled {
    pub(super) index: u32,
    pub(super) buffer: PackBuffer,
    /// In order of place.
    pub(super) jobs: Vec<Job>,
    pub(super) left: Option<Straddle>,
    pub(super) right: Option<Straddle>,
    pub(super) checkpoint: Checkpoint,
    /// Bytes of plaintext that began in this pack.
    pub(super) plain: u64,
}

/// A segment to be sealed in place.
pub(super) struct Job {
    pub(super) sealer: Arc<Sealer>,
    pub(super) position: u64,
    pub(super) last: bool,
    pub(super) place: Range<usize>,
}

/// A file as it was read.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub(super) offset: u64,
    pub(super) summary: Summary,
}

/// All files as they were read.
#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) length: u64,
    pub(super) files: Vec<FileFacts>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FillError {
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file is not what it was when kept packs were made of it.
    #[error("an input differs from what an earlier run stored of it")]
    Differs { file: u32 },
    #[error(transparent)]
    Floe(#[from] FloeError),
    /// Nobody takes the packs any more.
    #[error("stopped")]
    Stopped,
}

impl Filler {
    /// Reads all inputs.
    pub(super) fn run(self) -> Result<Streamed, FillError> {
        let inputs = Arc::clone(&self.inputs);
        let range = self.range.clone();
        let stamps = self.known.stamps();
        let mut run = Run { filler: self, stamps, at: 0, pack: None, scratch: vec![0; SEGMENT] };
        let mut files = Vec::with_capacity(range.len());
        for (number, input) in (0u32..).zip(inputs.get(range).unwrap_or_default()) {
            files.push(run.file(number, input)?);
        }
        run.close(None)?;
        Ok(Streamed { length: run.at, files })
    }
}

struct Run {
    filler: Filler,
    // Of the files that an earlier run had begun.
    stamps: HashMap<u32, Stamp>,
    // Position in the stream.
    at: u64,
    // The pack that is being filled or compared. A full one stays until something follows it.
    pack: Option<Pack>,
    // Room for a segment that is only read, or lies across two packs.
    scratch: Vec<u8>,
}

struct Pack {
    index: u32,
    at: usize,
    // None: an earlier run had it acknowledged, so it is only compared.
    fill: Option<Fill>,
    done: Vec<Done>,
    plain: u64,
}

struct Fill {
    buffer: PackBuffer,
    jobs: Vec<Job>,
    left: Option<Straddle>,
}

// The file that is being read.
struct Current<'a> {
    number: u32,
    planned: Arc<PlannedFile>,
    reading: Reading<'a>,
    position: u64,
    // Made when the first segment is to be sealed: files that are only compared need none.
    sealer: Option<Arc<Sealer>>,
}

// What lies on both sides of a border; a side that is kept is empty.
#[derive(Default)]
struct Sides {
    head: Bytes,
    tail: Bytes,
    straddle: Option<Straddle>,
}

impl Run {
    fn file(&mut self, number: u32, input: &Input) -> Result<FileFacts, FillError> {
        let planned = self.filler.known.plan.files.get(number as usize).ok_or(FillError::Differs { file: number })?;
        let planned = Arc::clone(planned);
        let reading = Reading::open(input, self.filler.checksums)?;
        self.check_stamp(number, reading.stamp())?;
        let mut current = Current { number, planned, reading, position: 0, sealer: None };
        self.begin_header()?;
        let offset = self.at;
        self.header(&current)?;
        while !self.segment(&mut current)? {}
        let stamp = current.reading.stamp();
        let summary = current.reading.finish()?;
        if let Some(pack) = &mut self.pack {
            pack.done.push(Done { file: number, stamp, blake3: summary.blake3 });
        }
        self.filler.progress.file();
        Ok(FileFacts { offset, summary })
    }

    // Before anything is read of a file that an earlier run had begun.
    fn check_stamp(&self, file: u32, stamp: Option<Stamp>) -> Result<(), FillError> {
        let Some(stamp) = stamp else { return Ok(()) };
        match self.stamps.get(&file) {
            Some(known) if *known != stamp => Err(FillError::Differs { file }),
            _ => Ok(()),
        }
    }

    fn begin_header(&mut self) -> Result<(), FillError> {
        if self.is_full() {
            self.close(None)?;
        }
        self.open_pack()
    }

    fn begin_segment(&mut self, current: &Current<'_>) -> Result<(), FillError> {
        if self.is_full() {
            self.close(Some(current.partial()))?;
        }
        self.open_pack()
    }

    fn is_full(&self) -> bool {
        self.pack.as_ref().is_some_and(|pack| pack.at == PACK)
    }

    fn open_pack(&mut self) -> Result<(), FillError> {
        if self.pack.is_none() {
            let index = u32::try_from(self.at / u64::from(PACK_LEN)).map_err(|_| FillError::Stopped)?;
            self.pack = Some(self.new_pack(index)?);
        }
        Ok(())
    }

    fn new_pack(&self, index: u32) -> Result<Pack, FillError> {
        let fill = if self.filler.known.packs.contains_key(&index) {
            None
        } else {
            let buffer = self.filler.pool.take_blocking(&self.filler.runtime).ok_or(FillError::Stopped)?;
            Some(Fill { buffer, jobs: Vec::with_capacity(PACK / SEGMENT + 2), left: None })
        };
        Ok(Pack { index, at: 0, fill, done: Vec::new(), plain: 0 })
    }

    fn header(&mut self, current: &Current<'_>) -> Result<(), FillError> {
        let header = &current.planned.header;
        let Some(pack) = &mut self.pack else { return Err(FillError::Stopped) };
        if header.len() <= PACK - pack.at {
            pack.write(header);
            self.at += header.len() as u64;
            return Ok(());
        }
        let room = PACK - pack.at;
        let straddle = Straddle::Whole { unit: Bytes::copy_from_slice(header), head: room };
        let (head, tail) = header.split_at_checked(room).unwrap_or((header, &[]));
        let (head, tail) = (Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail));
        self.cross(current, header.len(), Sides { head, tail, straddle: Some(straddle) })
    }

    // Reads and places the next segment; whether it was the last.
    fn segment(&mut self, current: &mut Current<'_>) -> Result<bool, FillError> {
        self.begin_segment(current)?;
        let Some(pack) = &mut self.pack else { return Err(FillError::Stopped) };
        let room = PACK - pack.at;
        let read = match pack.fill.as_mut().filter(|_| room >= SEGMENT) {
            // The usual case: straight to its place.
            Some(fill) => {
                current.reading.next(fill.buffer.room().get_mut(pack.at + BODY_START..).unwrap_or_default())?
            }
            None => current.reading.next(self.scratch.get_mut(BODY_START..).unwrap_or_default())?,
        };
        let len = read.len + OVERHEAD;
        pack.plain += read.len as u64;
        if len > room {
            let sides = self.sides(current, len, room, read.last)?;
            self.cross(current, len, sides)?;
        } else {
            if room < SEGMENT {
                pack.write_at(BODY_START, self.scratch.get(BODY_START..BODY_START + read.len).unwrap_or_default());
            }
            let place = pack.at..pack.at + len;
            pack.at += len;
            self.at += len as u64;
            if let Some(fill) = &mut pack.fill {
                let sealer = current.sealer(&self.filler)?;
                fill.jobs.push(Job { sealer, position: current.position, last: read.last, place });
            }
        }
        current.position += 1;
        Ok(read.last)
    }

    // What lies on both sides of the border of a segment whose plaintext is in scratch: what an earlier run made of it, if one
    // side is kept; else it is sealed here.
    fn sides(&mut self, current: &mut Current<'_>, len: usize, room: usize, last: bool) -> Result<Sides, FillError> {
        let differs = FillError::Differs { file: current.number };
        let Some(pack) = &self.pack else { return Err(FillError::Stopped) };
        let next = pack.index + 1;
        let (here, there) = (pack.fill.is_none(), self.filler.known.packs.contains_key(&next));
        let cut = |unit: &Bytes| (unit.slice(..room), unit.slice(room..));
        match self.filler.known.straddles.get(&next) {
            _ if here && there => Ok(Sides::default()),
            Some(Straddle::Whole { unit, head }) if here != there && unit.len() == len && *head == room => {
                let (head, tail) = cut(unit);
                Ok(Sides { head, tail, straddle: None })
            }
            Some(Straddle::After(bytes)) if here && bytes.len() >= len - room => {
                Ok(Sides { head: Bytes::new(), tail: bytes.slice(..len - room), straddle: None })
            }
            None if !here && !there => {
                let sealer = current.sealer(&self.filler)?;
                let unit = self.scratch.get_mut(..len).unwrap_or_default();
                sealer.seal_segment(current.position, last, &random::bytes(), unit)?;
                let unit = Bytes::copy_from_slice(unit);
                let (head, tail) = cut(&unit);
                Ok(Sides { head, tail, straddle: Some(Straddle::Whole { unit, head: room }) })
            }
            // The stream is not the one that was kept.
            _ => Err(differs),
        }
    }

    // Ends this pack with the head of a unit and begins the next with its tail.
    fn cross(&mut self, current: &Current<'_>, len: usize, sides: Sides) -> Result<(), FillError> {
        let Some(pack) = &mut self.pack else { return Err(FillError::Stopped) };
        let room = PACK - pack.at;
        pack.write_at(0, &sides.head);
        pack.at = PACK;
        let index = pack.index + 1;
        self.close_with(Some(current.partial()), sides.straddle.clone())?;
        let mut pack = self.new_pack(index)?;
        pack.write_at(0, &sides.tail);
        pack.at = len - room;
        if let Some(fill) = &mut pack.fill {
            fill.left = sides.straddle;
        }
        self.pack = Some(pack);
        self.at += len as u64;
        Ok(())
    }

    fn close(&mut self, partial: Option<Partial>) -> Result<(), FillError> {
        self.close_with(partial, None)
    }

    fn close_with(&mut self, partial: Option<Partial>, right: Option<Straddle>) -> Result<(), FillError> {
        let Some(Pack { index, at, fill, done, plain }) = self.pack.take() else { return Ok(()) };
        let checkpoint = Checkpoint { done, partial };
        let Some(Fill { mut buffer, jobs, left }) = fill else {
            self.compare(index, at, &checkpoint)?;
            self.filler.progress.kept(plain);
            return Ok(());
        };
        buffer.set_len(at);
        let filled = Filled { index, buffer, jobs, left, right, checkpoint, plain };
        self.filler.out.blocking_send(filled).map_err(|_| FillError::Stopped)
    }

    fn compare(&self, index: u32, len: usize, checkpoint: &Checkpoint) -> Result<(), FillError> {
        let Some(known) = self.filler.known.packs.get(&index) else { return Err(FillError::Stopped) };
        match checkpoint.first_difference(&known.checkpoint) {
            Some(file) => Err(FillError::Differs { file }),
            None if known.entry.length as usize == len => Ok(()),
            None => Err(FillError::Differs { file: checkpoint.last_file().unwrap_or(0) }),
        }
    }
}

impl Pack {
    // Ready bytes, at the pack's end so far; goes on.
    fn write(&mut self, bytes: &[u8]) {
        self.write_at(0, bytes);
        self.at += bytes.len();
    }

    // Bytes at some distance from the pack's end so far; does not go on. A pack that is only compared takes none.
    fn write_at(&mut self, distance: usize, bytes: &[u8]) {
        if let Some(fill) = &mut self.fill
            && let Some(room) =
                fill.buffer.room().get_mut(self.at + distance..).and_then(|room| room.get_mut(..bytes.len()))
        {
            room.copy_from_slice(bytes);
        }
    }
}

impl Current<'_> {
    fn partial(&self) -> Partial {
        Partial {
            file: self.number,
            stamp: self.reading.stamp(),
            consumed: self.reading.taken(),
            prefix: self.reading.prefix(),
        }
    }

    fn sealer(&mut self, filler: &Filler) -> Result<Arc<Sealer>, FillError> {
        if let Some(sealer) = &self.sealer {
            return Ok(Arc::clone(sealer));
        }
        let aad = filler.scope.file(&filler.known.plan.manifest, &filler.author, self.number);
        let sealer = Arc::new(Sealer::resume(&self.planned.key, aad.as_bytes(), &self.planned.header)?);
        self.sealer = Some(Arc::clone(&sealer));
        Ok(sealer)
    }
}

// A full segment and its overhead fit where the reader puts them.
const _: () = assert!(SEGMENT == SEGMENT_PLAIN + OVERHEAD && BODY_START < OVERHEAD);

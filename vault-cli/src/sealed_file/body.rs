//! The body of a sealed file as a stream: its size is not known before it ends. Spec section 2.6.
//!
//! A reader takes the final flag from each segment's length field, which the segment authenticates, and fails if the
//! input ends before a final segment or goes on after it.

use std::io::{self, Read, Write};

use rand_core::CryptoRng;
use vault_core::floe::{BODY_START, FloeError, HEADER, OVERHEAD, Opener, SEGMENT, SEGMENT_PLAIN, Sealer, is_final};
use vault_core::hazmat::aead::IV;
use vault_core::secret::Secret32;

use super::head::Head;
use super::pipeline::{self, Batch, PipelineError, SEGMENTS, Step};
use crate::interrupt::Stop;
use crate::transfer::Progress;

/// A file that could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The input could not be read.
    #[error("read: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("write: {0}")]
    Write(#[source] io::Error),
    /// More than 2^40 segments.
    #[error(transparent)]
    TooLong(#[from] FloeError),
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

/// A file that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The input could not be read.
    #[error("read: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("write: {0}")]
    Write(#[source] io::Error),
    /// The input ends before its final segment does.
    #[error("the sealed file is cut short after {0} bytes of content")]
    Truncated(u64),
    /// The input goes on after its final segment.
    #[error("the sealed file has bytes after its end")]
    Extended,
    /// Wrong key, changed head or changed bytes.
    #[error("the sealed file was changed: not authentic after {0} bytes of content")]
    Changed(u64),
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

/// Seals everything that `input` holds: writes head, FLOE header and segments. Returns the bytes of plaintext.
///
/// `progress` hears of bytes of plaintext as they are sealed.
///
/// # Errors
/// If reading or writing fails, or `stop` is requested. What was written is then no sealed file.
pub fn seal(
    key: &Secret32,
    head: &Head,
    input: impl Read,
    mut output: impl Write + Send,
    rng: &mut impl CryptoRng,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<u64, SealError> {
    let (sealer, header) = Sealer::start(key, head.body_aad().as_bytes(), rng);
    output.write_all(&[head.as_bytes(), &header].concat()).map_err(SealError::Write)?;
    let mut sealing = Sealing { sealer, input, rng, position: 0, ahead: None, size: 0 };
    pipeline::run(output, |batch| {
        if stop.is_requested() {
            return Err(SealError::Stopped);
        }
        let before = sealing.size;
        let step = sealing.fill(batch);
        progress.moved(sealing.size - before);
        step
    })
    .map_err(|e| match e {
        PipelineError::Produce(error) => error,
        PipelineError::Write(error) => SealError::Write(error),
    })?;
    Ok(sealing.size)
}

/// Opens the rest of a sealed file, whose head was read: writes what is authentic, and nothing else. Returns the bytes written.
///
/// # Errors
/// If reading or writing fails, `stop` is requested, or the input is not what was sealed. What was written is then
/// an authentic beginning of the content, and not all of it.
pub fn open(
    key: &Secret32,
    head: &Head,
    mut input: impl Read,
    output: impl Write + Send,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<u64, OpenError> {
    let mut header = [0; HEADER];
    if read_full(&mut input, &mut header).map_err(OpenError::Read)? < HEADER {
        return Err(OpenError::Truncated(0));
    }
    let opener = Opener::start(key, head.body_aad().as_bytes(), &header).map_err(|_| OpenError::Changed(0))?;
    let mut opening = Opening { opener, input, position: 0, size: 0 };
    pipeline::run(output, |batch| {
        if stop.is_requested() {
            return Err(OpenError::Stopped);
        }
        let before = opening.size;
        let step = opening.fill(batch);
        progress.moved(opening.size - before);
        step
    })
    .map_err(|e| match e {
        PipelineError::Produce(error) => error,
        PipelineError::Write(error) => OpenError::Write(error),
    })?;
    Ok(opening.size)
}

struct Sealing<'a, R, G> {
    sealer: Sealer,
    input: R,
    rng: &'a mut G,
    position: u64,
    /// A byte of the next batch, read to know whether there is one.
    ahead: Option<u8>,
    size: u64,
}

impl<R: Read, G: CryptoRng> Sealing<'_, R, G> {
    /// Fills a batch. A segment is sealed right after the next one was read, because only then it is known whether it is
    /// the last, and because its bytes are still in the core's cache.
    fn fill(&mut self, batch: &mut Batch) -> Result<Step, SealError> {
        let mut ivs = [[0; IV]; SEGMENTS];
        self.rng.fill_bytes(ivs.as_flattened_mut());
        let mut slots = batch.bytes.chunks_exact_mut(SEGMENT).zip(&ivs).peekable();
        let mut end = 0;
        let mut filled = match slots.peek_mut() {
            Some((first, _)) => self.read_segment(first)?,
            None => 0,
        };
        while let Some((slot, iv)) = slots.next() {
            let next = match slots.peek_mut() {
                _ if filled < SEGMENT_PLAIN => 0,
                Some((next, _)) => self.read_segment(next)?,
                None => self.look_ahead()?,
            };
            let (len, last) = (filled + OVERHEAD, next == 0);
            let segment = slot.get_mut(..len).ok_or(FloeError::Length)?;
            self.sealer.seal_segment(self.position, last, iv, segment)?;
            self.position += 1;
            self.size += filled as u64;
            end += len;
            if last {
                batch.pieces.push(0..end);
                return Ok(Step::Last);
            }
            filled = next;
        }
        batch.pieces.push(0..end);
        Ok(Step::More)
    }

    /// Reads up to a segment's plaintext to where it is sealed in place; fewer bytes only at the end of the input.
    fn read_segment(&mut self, slot: &mut [u8]) -> Result<usize, SealError> {
        let plain = slot.get_mut(BODY_START..BODY_START + SEGMENT_PLAIN).unwrap_or_default();
        match (self.ahead.take(), plain.split_first_mut()) {
            (Some(byte), Some((first, rest))) => {
                *first = byte;
                read_full(&mut self.input, rest).map(|n| n + 1)
            }
            (_, _) => read_full(&mut self.input, plain),
        }
        .map_err(SealError::Read)
    }

    /// Whether there is more: 1, or 0 at the end.
    fn look_ahead(&mut self) -> Result<usize, SealError> {
        let mut byte = [0];
        let n = read_full(&mut self.input, &mut byte).map_err(SealError::Read)?;
        self.ahead = byte.first().copied().filter(|_| n == 1);
        Ok(n)
    }
}

struct Opening<R> {
    opener: Opener,
    input: R,
    position: u64,
    size: u64,
}

impl<R: Read> Opening<R> {
    /// Fills a batch with authentic segments; only those become pieces.
    fn fill(&mut self, batch: &mut Batch) -> Result<Step, OpenError> {
        let Batch { bytes, pieces } = batch;
        for (slot, start) in bytes.chunks_exact_mut(SEGMENT).zip((BODY_START..).step_by(SEGMENT)) {
            let n = read_full(&mut self.input, slot).map_err(OpenError::Read)?;
            let (len, last) = self.claimed(slot.get(..n).unwrap_or_default())?;
            let segment = slot.get_mut(..len).ok_or(OpenError::Truncated(self.size))?;
            let opened = self.opener.open_segment(self.position, last, segment);
            let plain = opened.map_err(|_| OpenError::Changed(self.size))?.len();
            pieces.push(start..start + plain);
            self.position += 1;
            self.size += plain as u64;
            if last {
                return if len < n || self.has_more()? { Err(OpenError::Extended) } else { Ok(Step::Last) };
            }
        }
        Ok(Step::More)
    }

    /// What a segment says of itself: its length, and whether it is the last. It is only believed when it opens.
    fn claimed(&self, read: &[u8]) -> Result<(usize, bool), OpenError> {
        let prefix = read.first_chunk::<4>().ok_or(OpenError::Truncated(self.size))?;
        let last = is_final(prefix);
        let len = if last { usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX) } else { SEGMENT };
        match len {
            OVERHEAD..=SEGMENT if len <= read.len() => Ok((len, last)),
            OVERHEAD..=SEGMENT => Err(OpenError::Truncated(self.size)),
            _ => Err(OpenError::Changed(self.size)),
        }
    }

    fn has_more(&mut self) -> Result<bool, OpenError> {
        read_full(&mut self.input, &mut [0]).map(|n| n > 0).map_err(OpenError::Read)
    }
}

/// Reads until the buffer is full or the input ends.
fn read_full(input: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match input.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                buffer = buffer.get_mut(n..).unwrap_or_default();
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(total)
}

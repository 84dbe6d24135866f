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

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;
    use vault_core::suite::Suite;
    use vault_keys::custodian::Custodian;
    use vault_keys::memory::MemoryCustodian;

    use super::*;

    /// A head, its key, and the ciphertext that follows the head.
    struct Sealed {
        head: Head,
        key: Secret32,
        body: Vec<u8>,
    }

    fn sealed(input: impl Read) -> Sealed {
        let rng = &mut UnwrapErr(SysRng);
        let custodian = MemoryCustodian::generate(Suite::X25519, "test", 1_790_000_000, rng).unwrap();
        let key = Secret32::generate(rng);
        let head = Head::make(&[custodian.card().clone()], &key, rng).unwrap();
        let mut out = Vec::new();
        seal(&key, &head, input, &mut out, rng, &Stop::default(), &()).unwrap();
        let body = out.split_off(head.as_bytes().len());
        assert_eq!(out, head.as_bytes());
        Sealed { head, key, body }
    }

    impl Sealed {
        fn opens(&self, body: impl Read) -> (Vec<u8>, Result<u64, OpenError>) {
            let mut out = Vec::new();
            let done = open(&self.key, &self.head, body, &mut out, &Stop::default(), &());
            (out, done)
        }
    }

    /// Bytes that differ from segment to segment.
    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|i| u8::try_from((i % 251) ^ ((i >> 16) & 3)).unwrap()).collect()
    }

    /// A reader that gives little at a time, and is interrupted.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(7) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buffer.len().min(self.0.len()).min(4099);
            let (given, rest) = self.0.split_at(len);
            buffer[..len].copy_from_slice(given);
            self.0 = rest;
            Ok(len)
        }
    }

    const BATCH: usize = SEGMENTS * SEGMENT_PLAIN;

    #[test]
    fn every_size_reads_back() {
        for size in [0, 1, SEGMENT_PLAIN - 1, SEGMENT_PLAIN, SEGMENT_PLAIN + 1, 3 * SEGMENT_PLAIN, BATCH - 1, BATCH]
            .into_iter()
            .chain([BATCH + 1, BATCH + SEGMENT_PLAIN, 2 * BATCH, 9 * BATCH + 5])
        {
            let plain = content(size);
            let sealed = sealed(&plain[..]);
            assert_eq!(sealed.body.len() as u64, vault_core::floe::ciphertext_len(size as u64), "{size}");
            let (opened, done) = sealed.opens(&sealed.body[..]);
            assert_eq!(done.unwrap(), size as u64);
            assert!(opened == plain, "{size}");
        }
    }

    #[test]
    fn a_slow_reader_changes_nothing() {
        let plain = content(BATCH + 3 * SEGMENT_PLAIN);
        let sealed = sealed(Trickle(&plain, 0));
        let (opened, done) = sealed.opens(Trickle(&sealed.body, 0));
        assert_eq!(done.unwrap(), plain.len() as u64);
        assert!(opened == plain);
    }

    #[test]
    fn a_body_is_what_the_core_opens() {
        let plain = content(2 * SEGMENT_PLAIN);
        let sealed = sealed(&plain[..]);
        let aad = sealed.head.body_aad();
        let opened =
            vault_core::floe::open_bytes(&sealed.key, aad.as_bytes(), &sealed.body, plain.len() as u64).unwrap();
        assert!(*opened == plain);
    }

    #[test]
    fn every_truncation_is_refused_and_gives_only_whole_segments() {
        let plain = content(2 * SEGMENT_PLAIN + 5);
        let sealed = sealed(&plain[..]);
        let whole = sealed.body.len();
        let ends = [0, 1, HEADER - 1, HEADER, HEADER + 3, HEADER + 4, HEADER + SEGMENT - 1, HEADER + SEGMENT]
            .into_iter()
            .chain([HEADER + SEGMENT + 1, HEADER + 2 * SEGMENT, HEADER + 2 * SEGMENT + 3, whole - 1]);
        for end in ends {
            let (opened, done) = sealed.opens(&sealed.body[..end]);
            assert!(matches!(done, Err(OpenError::Truncated(n)) if n == opened.len() as u64), "{end}: {done:?}");
            assert_eq!(opened.len(), end.saturating_sub(HEADER) / SEGMENT * SEGMENT_PLAIN);
            assert!(plain.starts_with(&opened));
        }
    }

    #[test]
    fn the_end_of_a_full_segment_or_batch_is_not_the_end_of_a_file() {
        for size in [SEGMENT_PLAIN, BATCH] {
            let sealed = sealed(&content(size + 1)[..]);
            let cut = HEADER + size / SEGMENT_PLAIN * SEGMENT;
            assert!(matches!(sealed.opens(&sealed.body[..cut]).1, Err(OpenError::Truncated(n)) if n == size as u64));
        }
    }

    #[test]
    fn every_extension_is_refused() {
        for size in [0, 5, SEGMENT_PLAIN, BATCH] {
            let sealed = sealed(&content(size)[..]);
            for more in [1, 32, SEGMENT] {
                let longer = [&sealed.body[..], &vec![0; more]].concat();
                assert!(matches!(sealed.opens(&longer[..]).1, Err(OpenError::Extended)), "{size} + {more}");
            }
            let twice = [&sealed.body[..], &sealed.body[HEADER..]].concat();
            assert!(matches!(sealed.opens(&twice[..]).1, Err(OpenError::Extended)));
        }
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let plain = content(100);
        let sealed = sealed(&plain[..]);
        for at in 0..sealed.body.len() {
            let mut body = sealed.body.clone();
            body[at] ^= 1;
            let (opened, done) = sealed.opens(&body[..]);
            assert!(done.is_err(), "{at}");
            assert!(opened.is_empty(), "{at}");
        }
    }

    #[test]
    fn segments_do_not_trade_places() {
        let sealed = sealed(&content(3 * SEGMENT_PLAIN)[..]);
        let mut body = sealed.body.clone();
        let (first, second) = body[HEADER..HEADER + 2 * SEGMENT].split_at_mut(SEGMENT);
        first.swap_with_slice(second);
        let (opened, done) = sealed.opens(&body[..]);
        assert!(matches!(done, Err(OpenError::Changed(0))));
        assert!(opened.is_empty());
    }

    #[test]
    fn a_body_opens_under_no_other_head() {
        let (one, two) = (sealed(&b"one"[..]), sealed(&b"two"[..]));
        let mut out = Vec::new();
        let done = open(&one.key, &two.head, &one.body[..], &mut out, &Stop::default(), &());
        assert!(matches!(done, Err(OpenError::Changed(0))));
    }

    #[test]
    fn a_request_to_stop_stops() {
        let stop = Stop::default();
        stop.request();
        let sealed = sealed(&b"x"[..]);
        let done = open(&sealed.key, &sealed.head, &sealed.body[..], Vec::new(), &stop, &());
        assert!(matches!(done, Err(OpenError::Stopped)));
    }
}

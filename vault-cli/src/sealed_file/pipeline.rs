//! A producer and a writer on two threads, with a few large buffers that go round between them.
//!
//! Memory is bounded by [`BUFFERS`] batches; a small file needs one. Buffers hold plaintext at times, so they are zeroized.

use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use vault_core::floe::SEGMENT;
use zeroize::Zeroizing;

/// Segments in a batch: large enough that a system call costs nothing beside its bytes, small enough for a core's cache.
pub const SEGMENTS: usize = 16;
/// Most batches at a time: one is produced, one is written, the others take up the difference in pace.
pub const BUFFERS: usize = 4;

/// Why a pipeline stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError<E> {
    /// The producer failed.
    #[error(transparent)]
    Produce(E),
    /// The output could not be written.
    #[error("write: {0}")]
    Write(#[source] io::Error),
}

/// Whether a producer has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call it again.
    More,
    /// That was the last batch.
    Last,
}

/// A buffer of [`SEGMENTS`] sealed segments, and which parts of it are to be written.
pub struct Batch {
    /// The buffer. Its content is left over from an earlier batch.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What is to be written, in order.
    pub pieces: Vec<Range<usize>>,
}

impl Batch {
    fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; SEGMENTS * SEGMENT]), pieces: Vec::with_capacity(SEGMENTS) }
    }

    /// Writes all pieces, with one system call if the output takes them.
    fn write_to(&self, output: &mut impl Write) -> io::Result<()> {
        let pieces = self.pieces.iter().map(|piece| IoSlice::new(self.bytes.get(piece.clone()).unwrap_or_default()));
        let mut pieces: Vec<IoSlice<'_>> = pieces.filter(|piece| !piece.is_empty()).collect();
        let mut rest = pieces.as_mut_slice();
        while !rest.is_empty() {
            match output.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl core::fmt::Debug for Batch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Batch({:?})", self.pieces)
    }
}

/// Produces batches in this thread and writes them, in order, in another. A batch is written even if its producer then
/// fails, so what is declared a piece must be fit to be seen.
///
/// # Errors
/// The writer's error if there is one, else the producer's.
pub fn run<E>(
    output: impl Write + Send,
    produce: impl FnMut(&mut Batch) -> Result<Step, E>,
) -> Result<(), PipelineError<E>> {
    let (full, to_write) = sync_channel(BUFFERS);
    let (written, free) = sync_channel(BUFFERS);
    let (produced, wrote) = thread::scope(|scope| {
        let writer = scope.spawn(move || write_all(output, &to_write, &written));
        let produced = produce_all(produce, &full, &free);
        // The writer ends when there is nobody left who could send.
        drop(full);
        (produced, writer.join())
    });
    match wrote {
        Ok(Ok(())) => produced.map_err(PipelineError::Produce),
        Ok(Err(error)) => Err(PipelineError::Write(error)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn produce_all<E>(
    mut produce: impl FnMut(&mut Batch) -> Result<Step, E>,
    full: &SyncSender<Batch>,
    free: &Receiver<Batch>,
) -> Result<(), E> {
    let mut made = 0;
    loop {
        let batch = match free.try_recv() {
            Ok(batch) => Some(batch),
            Err(_) if made < BUFFERS => {
                made += 1;
                Some(Batch::new())
            }
            Err(_) => free.recv().ok(),
        };
        // The writer is gone: its error says why.
        let Some(mut batch) = batch else { return Ok(()) };
        batch.pieces.clear();
        let step = produce(&mut batch);
        let sent = full.send(batch);
        if step? == Step::Last || sent.is_err() {
            return Ok(());
        }
    }
}

fn write_all(mut output: impl Write, to_write: &Receiver<Batch>, written: &SyncSender<Batch>) -> io::Result<()> {
    while let Ok(batch) = to_write.recv() {
        batch.write_to(&mut output)?;
        // The producer may be done and gone.
        let _ = written.try_send(batch);
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_written_in_order_and_buffers_are_used_again() {
        let mut out = Vec::new();
        let mut n = 0u8;
        let done: Result<(), PipelineError<()>> = run(&mut out, |batch| {
            batch.bytes[0] = n;
            batch.pieces.push(0..1);
            n += 1;
            Ok(if n == 100 { Step::Last } else { Step::More })
        });
        done.unwrap();
        assert_eq!(out, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn what_was_produced_before_a_failure_is_written() {
        let mut out = Vec::new();
        let mut n = 0u8;
        let done = run(&mut out, |batch| {
            batch.bytes[0] = n;
            batch.pieces.push(0..1);
            n += 1;
            if n == 3 { Err("enough") } else { Ok(Step::More) }
        });
        assert!(matches!(done, Err(PipelineError::Produce("enough"))));
        assert_eq!(out, [0, 1, 2]);
    }

    #[test]
    fn a_writer_that_fails_stops_the_producer() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let done: Result<(), PipelineError<()>> = run(Full, |batch| {
            batch.pieces.push(0..1);
            Ok(Step::More)
        });
        assert!(matches!(done, Err(PipelineError::Write(e)) if e.kind() == io::ErrorKind::StorageFull));
    }
}

//! Reading a range of one file, in order, to where the caller wants it, with parts fetched and opened ahead.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use futures_util::stream::StreamExt;
use tokio::task::{JoinError, spawn_blocking};
use vault_core::floe::{SEGMENT_PLAIN, covering, plain_segment_start, segments};
use vault_core::hazmat::tree::{self, Frontier};
use vault_core::manifest::{FileRecord, VaultPath};

use super::fetch::{Body, FetchError, FetchOptions, Fetcher, Opened, Wanted, Work};
use super::store::PackStore;

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatError {
    /// Bytes could not be fetched or opened. What was written before is right.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Whoever reads takes no more; a broken pipe among others.
    #[error("the output can't be written")]
    Output(#[source] io::Error),
    /// A whole file's plaintext is not what its manifest says.
    #[error("'{0}' is not the file that was stored: its BLAKE3 differs")]
    Differs(VaultPath),
    /// A worker died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] JoinError),
}

/// Writes the bytes of a file in `range`, cut at the file's end, to `output`; returns the output and how many there were.
///
/// Every byte is checked against what is signed before it is written. A range that is the whole file is compared with
/// the file's own BLAKE3 at the end too.
///
/// # Errors
/// If bytes can't be fetched, are not what was signed, or can't be written.
pub async fn read_range<W: Write + Send + 'static>(
    store: Arc<dyn PackStore>,
    options: FetchOptions,
    body: &Arc<Body>,
    file: FileRecord,
    range: Range<u64>,
    output: W,
) -> Result<(W, u64), CatError> {
    let record = Arc::new(file);
    let range = range.start.min(record.size)..range.end.min(record.size);
    let positions =
        if range == (0..record.size) { 0..segments(record.size) } else { covering(record.size, range.clone()) };
    if positions.is_empty() {
        return Ok((output, 0));
    }
    let fetcher = Arc::new(Fetcher::new(store, &options));
    let works = fetcher.fetch(body, vec![Wanted { record: Arc::clone(&record), positions }])?;
    let mut works = std::pin::pin!(works);
    let mut sink = Sink { output, range, record, written: 0, frontier: Frontier::default(), whole: None };
    while let Some(work) = works.next().await {
        let work = work?;
        // Parts that come later are fetched meanwhile.
        sink = spawn_blocking(move || sink.take(work)).await??;
    }
    sink.finish()
}

struct Sink<W> {
    output: W,
    range: Range<u64>,
    record: Arc<FileRecord>,
    written: u64,
    // The file's hash, if all of it is read.
    frontier: Frontier,
    whole: Option<[u8; 32]>,
}

impl<W: Write> Sink<W> {
    fn take(mut self, work: Work) -> Result<Self, CatError> {
        work.open(|opened| {
            self.hash(&opened);
            let start = plain_segment_start(opened.position);
            let within =
                |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(opened.plain.len());
            let wanted = opened.plain.get(within(self.range.start)..within(self.range.end)).unwrap_or_default();
            self.output.write_all(wanted).map_err(CatError::Output)?;
            self.written += wanted.len() as u64;
            Ok::<(), CatError>(())
        })?;
        Ok(self)
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.record.size)
    }

    fn hash(&mut self, opened: &Opened<'_>) {
        if !self.is_whole() {
        } else if segments(self.record.size) == 1 {
            self.whole = Some(tree::hash(opened.plain));
        } else if let Some(value) = tree::subtree(opened.position, SEGMENT_PLAIN.ilog2(), opened.plain) {
            self.frontier.push(value);
        }
    }

    fn finish(mut self) -> Result<(W, u64), CatError> {
        self.output.flush().map_err(CatError::Output)?;
        let hash = self.whole.or_else(|| self.frontier.finish());
        if self.is_whole() && hash != Some(self.record.blake3.0) {
            return Err(CatError::Differs(self.record.path.clone()));
        }
        // Less than was asked for never looks like all of it.
        if self.written != self.range.end.saturating_sub(self.range.start) {
            return Err(FetchError::Place(self.record.path.clone()).into());
        }
        Ok((self.output, self.written))
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Stored, noise};
    use super::*;

    async fn cat(stored: &Stored, path: &str, range: Range<u64>) -> Result<Vec<u8>, CatError> {
        let (body, file) = stored.file(path);
        let store = Arc::clone(&stored.store) as Arc<dyn PackStore>;
        let (out, written) = read_range(store, FetchOptions::default(), &body, file, range, Vec::new()).await?;
        assert_eq!(out.len() as u64, written);
        Ok(out)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whole_files_and_ranges_are_what_was_stored() {
        let big = noise(70_000_000, 1);
        let stored = Stored::new(&[("big", &big), ("empty", b""), ("small", b"small"), ("z", &noise(65_536, 2))]).await;
        let size = big.len() as u64;
        assert!(cat(&stored, "big", 0..u64::MAX).await.unwrap() == big);
        assert_eq!(cat(&stored, "empty", 0..9).await.unwrap(), b"");
        assert_eq!(cat(&stored, "small", 0..5).await.unwrap(), b"small");
        assert_eq!(cat(&stored, "small", 1..3).await.unwrap(), b"ma");
        assert_eq!(cat(&stored, "z", 0..u64::MAX).await.unwrap(), noise(65_536, 2));
        let pack = 32 << 20;
        for range in
            [0..1, 65_535..65_537, size - 1..size, size..size + 1, 5..5, pack - 200_000..pack + 200_000, 1..size]
        {
            let expected = big.get(range.start as usize..(range.end as usize).min(big.len())).unwrap_or_default();
            assert!(cat(&stored, "big", range.clone()).await.unwrap() == expected, "{range:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_small_range_costs_a_few_groups() {
        let stored = Stored::new(&[("big", &noise(70_000_000, 1))]).await;
        cat(&stored, "big", 50_000_000..50_000_010).await.unwrap();
        let read: u64 = stored.store.read.lock().unwrap().values().sum();
        assert!(read < 4 << 20, "{read}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_output_that_takes_no_more_ends_it() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stored = Stored::new(&[("a", b"abc")]).await;
        let (body, file) = stored.file("a");
        let store = Arc::clone(&stored.store) as Arc<dyn PackStore>;
        let result = read_range(store, FetchOptions::default(), &body, file, 0..3, Full).await;
        assert!(matches!(result, Err(CatError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_range_of_any_file_is_what_was_stored(
            sizes in proptest::collection::vec(prop_oneof![0usize..100, 0usize..400_000, 30_000_000usize..40_000_000], 1..5),
            ranges in proptest::collection::vec((0usize..5, 0u64..40_000_000, 0u64..3_000_000), 12),
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let files: Vec<(String, Vec<u8>)> =
                    sizes.iter().enumerate().map(|(n, size)| (format!("{n}"), noise(*size, n as u64))).collect();
                let listed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
                let stored = Stored::new(&listed).await;
                for (file, start, len) in ranges {
                    let (name, bytes) = &files[file % files.len()];
                    let start = if bytes.is_empty() { 0 } else { start % bytes.len() as u64 };
                    let end = (start + len).min(bytes.len() as u64);
                    let expected = &bytes[start as usize..end as usize];
                    assert!(cat(&stored, name, start..start + len).await.unwrap() == expected);
                }
            });
        }
    }
}

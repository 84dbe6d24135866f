//! Faults on purpose, for the end-to-end tests and in debug builds only: dies or waits at a chosen call that changes the vault.
//!
//! - `SEQVAULT_TEST_KILL=before:N` or `after:N`: SIGKILL, which runs no cleanup, before or after the N-th call that changes something.
//! - `SEQVAULT_TEST_FAIL=before:N` or `after:N`: the store fails instead of doing the N-th call that changes something, or fails to say that it
//!   did it.
//! - `SEQVAULT_TEST_PAUSE=append:N:FILE`, `any:N:FILE`, `read:N:FILE` or `pack:N:FILE`: before the N-th append, the N-th call that changes
//!   something, the N-th object that is read or looked at (ledgers aside), or the N-th read in a pack, makes FILE and waits until somebody
//!   deletes it. So two commands can be interleaved at a point, and one can be met on its way, and not by luck.
//! - `SEQVAULT_TEST_CALLS=FILE`: a line in FILE for each time that ledgers are listed or read, with what was read.
//!
//! Calls are counted from 1, in the order in which they begin.

use std::convert::identity;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::{Signal, getpid, kill_process};
use vault_core::ids::{DatasetId, LedgerId, UploadId, VaultId};
use vault_core::layout::ObjectName;

use super::{Append, Client, Derived, Removed};
use crate::error::{Failure, Kind, Outcome};
use crate::transfer::{Ahead, PackStore, StoreError};

/// How often it looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// A client with the faults that the environment asks for; the client itself if it asks for none.
///
/// # Errors
/// If the environment asks for something else.
pub(super) fn wrap(inner: Arc<dyn Client>) -> Outcome<Arc<dyn Client>> {
    let asked = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let kill = asked("SEQVAULT_TEST_KILL").map(|text| Moment::parse(&text).ok_or_else(|| bad(&text))).transpose()?;
    let fail = asked("SEQVAULT_TEST_FAIL").map(|text| Moment::parse(&text).ok_or_else(|| bad(&text))).transpose()?;
    let pause = asked("SEQVAULT_TEST_PAUSE").map(|text| Pause::parse(&text).ok_or_else(|| bad(&text))).transpose()?;
    let told = asked("SEQVAULT_TEST_CALLS").map(PathBuf::from);
    if kill.is_none() && fail.is_none() && pause.is_none() && told.is_none() {
        return Ok(inner);
    }
    Ok(Arc::new(Faulty {
        inner,
        kill,
        fail,
        pause,
        told,
        calls: AtomicU64::new(0),
        appends: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        packs: AtomicU64::new(0),
    }))
}

fn bad(text: &str) -> Failure {
    Failure::usage(format!("{text}: no fault of the tests"))
}

#[derive(Debug, Clone, Copy)]
enum Moment {
    Before(u64),
    After(u64),
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("before", n) => n.parse().ok().map(Self::Before),
            ("after", n) => n.parse().ok().map(Self::After),
            _ => None,
        }
    }
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Append,
    Any,
    Read,
    Pack,
}

#[derive(Debug)]
struct Pause {
    counted: Counted,
    number: u64,
    file: PathBuf,
}

impl Pause {
    fn parse(text: &str) -> Option<Self> {
        let (what, rest) = text.split_once(':')?;
        let (number, file) = rest.split_once(':')?;
        let counted = match what {
            "append" => Counted::Append,
            "any" => Counted::Any,
            "read" => Counted::Read,
            "pack" => Counted::Pack,
            _ => return None,
        };
        Some(Self { counted, number: number.parse().ok()?, file: file.into() })
    }

    async fn wait(&self) -> Outcome<()> {
        std::fs::write(&self.file, b"").map_err(|e| Failure::file(&self.file, &e))?;
        while self.file.exists() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

struct Faulty {
    inner: Arc<dyn Client>,
    kill: Option<Moment>,
    fail: Option<Moment>,
    pause: Option<Pause>,
    /// Where it is written what was read of ledgers.
    told: Option<PathBuf>,
    calls: AtomicU64,
    appends: AtomicU64,
    reads: AtomicU64,
    packs: AtomicU64,
}

impl Faulty {
    /// A call that changes something begins; its number.
    async fn begin(&self, is_append: bool) -> Outcome<u64> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let append = if is_append { self.appends.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        self.pause_at(Counted::Any, call).await?;
        self.pause_at(Counted::Append, append).await?;
        if matches!(self.kill, Some(Moment::Before(n)) if n == call) {
            return Err(die().await);
        }
        if matches!(self.fail, Some(Moment::Before(n)) if n == call) {
            return Err(failed());
        }
        Ok(call)
    }

    async fn pause_at(&self, counted: Counted, number: u64) -> Outcome<()> {
        match &self.pause {
            Some(pause) if pause.counted == counted && pause.number == number => pause.wait().await,
            _ => Ok(()),
        }
    }

    /// An object is about to be read.
    async fn look(&self) -> Result<(), StoreError> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        self.pause_at(Counted::Read, read).await.map_err(stopped)
    }

    /// Ledgers are about to be listed or read.
    fn tell(&self, what: &str) -> Outcome<()> {
        let Some(path) = &self.told else { return Ok(()) };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{what}")).map_err(|e| Failure::file(path, &e))
    }

    /// It has ended; whether it was done is not said if the tests want that.
    async fn end<T, E>(&self, call: u64, result: Result<T, E>, as_error: fn(Failure) -> E) -> Result<T, E> {
        if matches!(self.kill, Some(Moment::After(n)) if n == call) {
            die().await;
        }
        if matches!(self.fail, Some(Moment::After(n)) if n == call) {
            return Err(as_error(failed()));
        }
        result
    }
}

/// Does not return where signals work.
async fn die() -> Failure {
    if kill_process(getpid(), Signal::KILL).is_ok() {
        std::future::pending::<()>().await;
    }
    Failure::usage("the kill that the tests asked for did not happen")
}

fn failed() -> Failure {
    Failure::new(Kind::Storage, "the store fails, as the tests asked")
}

fn stopped(failure: Failure) -> StoreError {
    StoreError::Failed(Box::new(failure))
}

#[async_trait]
impl PackStore for Faulty {
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let call = self.begin(false).await.map_err(stopped)?;
        let result = self.inner.put_new(name, bytes).await;
        self.end(call, result, stopped).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.look().await?;
        if matches!(name, ObjectName::Pack { .. }) {
            let read = self.packs.fetch_add(1, Ordering::Relaxed) + 1;
            self.pause_at(Counted::Pack, read).await.map_err(stopped)?;
        }
        self.inner.get_range(name, range).await
    }

    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        self.look().await?;
        self.inner.get(name, max).await
    }

    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.look().await?;
        self.inner.size(name).await
    }

    fn expect(&self, ahead: Ahead) {
        self.inner.expect(ahead);
    }
}

#[async_trait]
impl Client for Faulty {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn max_upload(&self) -> Option<u64> {
        self.inner.max_upload()
    }

    fn claims(&self) -> Option<VaultId> {
        self.inner.claims()
    }

    async fn turn(&self, ledger: &LedgerId) {
        self.inner.turn(ledger).await;
    }

    async fn ledgers(&self) -> Outcome<Vec<LedgerId>> {
        self.tell("list")?;
        self.inner.ledgers().await
    }

    async fn entries(&self, ledger: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.tell(&format!("entries {ledger}"))?;
        self.inner.entries(ledger, from).await
    }

    async fn first(&self, ledger: &LedgerId) -> Outcome<Option<Bytes>> {
        self.tell(&format!("first {ledger}"))?;
        self.inner.first(ledger).await
    }

    async fn single_entries(&self, ledger: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.inner.single_entries(ledger, from).await
    }

    async fn append(&self, ledger: &LedgerId, seq: u64, entry: Bytes) -> Outcome<Append> {
        let call = self.begin(true).await?;
        let result = self.inner.append(ledger, seq, entry).await;
        self.end(call, result, identity).await
    }

    async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Outcome<Removed> {
        let call = self.begin(false).await?;
        let result = self.inner.delete_epochs(dataset, below).await;
        self.end(call, result, identity).await
    }

    async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Outcome<Removed> {
        let call = self.begin(false).await?;
        let result = self.inner.sweep(dataset, upload).await;
        self.end(call, result, identity).await
    }

    async fn delete_hidden(&self, dataset: &DatasetId) -> Outcome<Removed> {
        let call = self.begin(false).await?;
        let result = self.inner.delete_hidden(dataset).await;
        self.end(call, result, identity).await
    }

    async fn delete_dataset(&self, dataset: &DatasetId) -> Outcome<Removed> {
        let call = self.begin(false).await?;
        let result = self.inner.delete_dataset(dataset).await;
        self.end(call, result, identity).await
    }

    async fn objects_of(&self, dataset: &DatasetId) -> Outcome<Option<u64>> {
        self.inner.objects_of(dataset).await
    }

    async fn withdraw(&self, name: &ObjectName) -> Outcome<Removed> {
        let call = self.begin(false).await?;
        let result = self.inner.withdraw(name).await;
        self.end(call, result, identity).await
    }

    async fn keeps_epochs(&self) -> Outcome<bool> {
        self.inner.keeps_epochs().await
    }

    async fn doctor(&self, repair: bool) -> Outcome<Derived> {
        self.inner.doctor(repair).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_a_moment_and_a_number() {
        assert!(matches!(Moment::parse("before:3"), Some(Moment::Before(3))));
        assert!(matches!(Moment::parse("after:1"), Some(Moment::After(1))));
        let pause = Pause::parse("append:2:/tmp/a:b").unwrap();
        assert!(
            pause.counted == Counted::Append && pause.number == 2 && pause.file == std::path::Path::new("/tmp/a:b")
        );
        assert_eq!(Pause::parse("any:1:x").unwrap().counted, Counted::Any);
        assert_eq!(Pause::parse("read:1:x").unwrap().counted, Counted::Read);
        for wrong in ["", "before", "before:x", "at:1"] {
            assert!(Moment::parse(wrong).is_none(), "{wrong}");
        }
        for wrong in ["append:1", "append:x:y", "put:1:f"] {
            assert!(Pause::parse(wrong).is_none(), "{wrong}");
        }
    }
}

//! The store as a transfer sees it: create-if-absent and ranges, and what to do when it does not answer.

use std::error::Error;
use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use vault_core::layout::ObjectName;

/// Objects that are written once and read in parts.
///
/// A store is not trusted: whoever reads checks what comes against what is signed.
#[async_trait]
pub trait PackStore: Send + Sync {
    /// Makes an object if it is absent; one that exists with the same bytes is a success. Durable when it returns.
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError>;

    /// Reads a range of an object: exactly those bytes, or an error.
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Reads a whole object of at most `max` bytes; a longer one is an error.
    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError>;

    /// An object's length, if it exists.
    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError>;

    /// Says which packs will be read or written soon, for a store that has to ask somebody before. It may do nothing.
    fn expect(&self, _ahead: Ahead) {}
}

/// Packs that are wanted soon.
#[derive(Debug, Clone)]
pub enum Ahead {
    /// To be read, in this order.
    Read(Vec<ObjectName>),
    /// To be written; its length.
    Write(ObjectName, u64),
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("it does not exist")]
    NotFound,
    /// The object exists with other bytes.
    #[error("it exists with other bytes")]
    Differs,
    /// The object is longer than allowed, or the range lies outside it.
    #[error("it has another length than expected")]
    Length,
    /// The object is in cold storage; the text says how to restore it.
    #[error("it is archived: {0}")]
    Archived(String),
    /// It may work if it is tried again: no answer, a time-out, an overloaded server.
    #[error("the store does not answer")]
    Transient(#[source] Box<dyn Error + Send + Sync>),
    /// It will not work if it is tried again.
    #[error("the store failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// A failure about one object.
#[derive(Debug, thiserror::Error)]
#[error("object {name}")]
pub struct ObjectError {
    /// The object.
    pub name: Box<ObjectName>,
    /// What happened to it.
    #[source]
    pub source: StoreError,
}

/// How often to try again when the store does not answer, with a wait that doubles each time. Each wait is between half of that and all of it,
/// so that those who failed together do not come back together.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// How many tries in all, at least one.
    pub tries: u32,
    /// The wait after the first.
    pub first_wait: Duration,
}

impl Default for Retry {
    // About a minute in all: longer than a server's restart, shorter than a user's patience.
    fn default() -> Self {
        Self { tries: 9, first_wait: Duration::from_millis(250) }
    }
}

impl Retry {
    /// Runs `attempt` until it succeeds, fails for good, or was tried often enough.
    pub(crate) async fn run<T, F>(&self, name: &ObjectName, mut attempt: impl FnMut() -> F) -> Result<T, ObjectError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = self.first_wait;
        for _ in 1..self.tries {
            match attempt().await {
                Err(StoreError::Transient(_)) => tokio::time::sleep(jittered(wait)).await,
                other => return other.map_err(|source| ObjectError { name: Box::new(name.clone()), source }),
            }
            wait = wait.saturating_mul(2);
        }
        attempt().await.map_err(|source| ObjectError { name: Box::new(name.clone()), source })
    }
}

fn jittered(wait: Duration) -> Duration {
    let [random] = crate::random::bytes::<1>();
    wait.mul_f64(0.5 + f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_between_half_and_whole() {
        let wait = Duration::from_millis(1000);
        let waits: Vec<Duration> = (0..200).map(|_| jittered(wait)).collect();
        assert!(waits.iter().all(|w| (wait / 2..=wait).contains(w)));
        assert!(waits.iter().any(|w| *w != waits[0]), "all the same");
    }
}

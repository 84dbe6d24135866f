//! The probe: does this store keep the one promise that a ledger rests on, that a create of a name has one winner?
//!
//! Not every "S3" does, and some file systems have no hard links. So a store is asked before it is trusted: at `init`, at
//! `serve` and by `doctor`, never by readers.

use bytes::Bytes;
use futures_util::future::join_all;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutMode, PutOptions};

use super::{Answer, Store, StoreError};

/// Where scratch objects lie; no name of a vault's begins so.
pub(crate) const SCRATCH: &str = "probe";

/// How many rounds may end without anybody who was told that they won.
const MAX_UNWON: u32 = 2;

/// Races at once, each on a name of its own. Who loses a race in SeaweedFS waits a second for its lock, in a bucket with versions nearly always:
/// one race after the other takes half a minute there.
const AT_ONCE: u32 = 8;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub struct Probing {
    /// Races to run, each on a new name.
    pub rounds: u32,
    /// Writers that race for each name.
    pub writers: u32,
}

/// A store that agrees on each name among its own servers takes milliseconds for two writers and half a second and more for four, so pairs
/// race often and a crowd once.
const BUCKET: [Probing; 2] = [Probing { rounds: 24, writers: 2 }, Probing { rounds: 1, writers: 4 }];

impl Default for Probing {
    /// A store that lets many writers win has shown it in the first or second round; eight are cheap insurance.
    fn default() -> Self {
        Self { rounds: 8, writers: 4 }
    }
}

/// Why a store can't hold a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It failed before it could show anything.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It writes, but not if-absent: a file system without hard links, a bucket without conditional writes.
    #[error("{location}: it can't create an object only if there is none: {source}")]
    Unconditional {
        /// The store.
        location: String,
        /// What the conditional create said.
        source: object_store::Error,
    },
    /// Several writers were told that they created one object.
    #[error("{location}: {winners} of {writers} writers that raced to create one object were told that they won")]
    Winners {
        /// The store.
        location: String,
        /// How many were told so.
        winners: usize,
        /// How many raced.
        writers: u32,
    },
    /// The object holds something else than its winner wrote.
    #[error("{location}: an object that was just created reads back as something else")]
    Unread {
        /// The store.
        location: String,
    },
    /// The object that was created is not listed.
    #[error("{location}: an object that was just created is not listed")]
    Unlisted {
        /// The store.
        location: String,
    },
}

/// Races writers over every given way to one and the same bucket (a folder, or each configured endpoint).
///
/// Scratch objects are deleted again, as far as the store lets it.
///
/// # Errors
/// If the store fails, or breaks the promise; then no vault may be kept there.
pub async fn probe(ways: &[Store], how: Probing) -> Result<(), ProbeError> {
    let (mut rounds, mut unwon) = (how.rounds, 0);
    while rounds > 0 {
        let keys = (0..rounds.min(AT_ONCE)).map(|_| scratch_key(ways)).collect::<Result<Vec<_>, _>>()?;
        let outcomes = join_all(keys.iter().map(|key| race(ways, key, how.writers))).await;
        if let Some(way) = ways.first() {
            // A store that never lets anything be deleted (object lock) is a good home for a ledger.
            let _ = way.delete_keys(keys).await;
        }
        for outcome in outcomes {
            match outcome {
                // A winner whose acknowledgement got lost was told that the object exists.
                Err(ProbeError::Winners { winners: 0, .. }) if unwon < MAX_UNWON => unwon += 1,
                other => {
                    other?;
                    rounds -= 1;
                }
            }
        }
    }
    Ok(())
}

/// Probes a folder, or every bucket of a store over every endpoint.
///
/// # Errors
/// As [`probe()`].
pub async fn probe_all(store: &Store) -> Result<(), ProbeError> {
    if !store.is_bucket() {
        return probe(std::slice::from_ref(store), Probing::default()).await;
    }
    for ways in store.ways() {
        // Each to its end, which clears away what it wrote.
        for outcome in join_all(BUCKET.map(|how| probe(&ways, how))).await {
            outcome?;
        }
    }
    Ok(())
}

impl Store {
    /// Whether what is deleted below `epochs/` stays readable as an old version. A scratch object is written to see it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keeps_epochs(&self) -> Result<bool, StoreError> {
        // The last bucket is the one for epochs, if there are two.
        let Some(way) = self.ways().pop().and_then(|ways| ways.into_iter().next()) else { return Ok(false) };
        if !way.is_bucket() {
            return Ok(false);
        }
        let key = scratch_key(std::slice::from_ref(&way))?;
        let written = match way.objects.put(&key, Bytes::new().into()).await {
            Ok(written) => written,
            Err(e) => return Err(way.fault(&key, e).await),
        };
        let _ = way.delete_keys(vec![key]).await;
        Ok(written.version.is_some_and(|version| version != "null"))
    }
}

async fn race(ways: &[Store], key: &Key, writers: u32) -> Result<(), ProbeError> {
    let attempts = ways.iter().cycle().zip(0..writers).map(|(way, writer)| attempt(way, key, writer));
    let mut winners = Vec::new();
    for outcome in join_all(attempts).await {
        winners.extend(outcome?);
    }
    for way in ways {
        let location = way.location();
        let [winner] = *winners.as_slice() else {
            return Err(ProbeError::Winners { location, winners: winners.len(), writers });
        };
        if way.read(key, 64).await? != mark(winner) {
            return Err(ProbeError::Unread { location });
        }
        if !way.children(SCRATCH).await?.1.iter().any(|name| Some(name.as_str()) == key.filename()) {
            return Err(ProbeError::Unlisted { location });
        }
    }
    Ok(())
}

/// One writer's try: `Some` if it was told that it won.
async fn attempt(way: &Store, key: &Key, writer: u32) -> Result<Option<u32>, ProbeError> {
    way.check().await?;
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match way.objects.put_opts(key, mark(writer).into(), options).await {
        Ok(_) => Ok(Some(writer)),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(None),
        Err(source) => Err(explain(way, key, source).await),
    }
}

/// Tells a store that can't write at all from one that can't write conditionally.
async fn explain(way: &Store, key: &Key, source: object_store::Error) -> ProbeError {
    // What passes by itself says nothing of what the store can do.
    if Answer::of(&source).is_some_and(Answer::is_transient) {
        return way.fault(key, source).await.into();
    }
    let plain = Key::from(format!("{key}-plain"));
    match way.objects.put(&plain, Bytes::from_static(b"plain").into()).await {
        Ok(_) => {
            let _ = way.delete_keys(vec![plain]).await;
            ProbeError::Unconditional { location: way.location(), source }
        }
        Err(_) => way.fault(key, source).await.into(),
    }
}

fn mark(writer: u32) -> Bytes {
    Bytes::from(format!("writer {writer}\n"))
}

fn scratch_key(ways: &[Store]) -> Result<Key, StoreError> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|e| StoreError::Io {
        path: ways.first().map(Store::location).unwrap_or_default(),
        source: std::io::Error::other(e.to_string()),
    })?;
    Ok(Key::from(format!("{SCRATCH}/{}", vault_core::ids::to_hex(&random))))
}

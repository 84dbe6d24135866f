//! The one trait through which every verb reaches a vault, wherever it is. A folder or a bucket answers in this process ([`local`]);
//! a server answers over HTTP ([`remote`]).
//!
//! A client is not trusted: it stores, lists and orders. What its answers mean is decided by the fold, in this process.

#[cfg(debug_assertions)]
mod faulty;
pub mod local;
pub mod remote;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use vault_core::ids::{DatasetId, LedgerId, UploadId, VaultId};
use vault_core::layout::ObjectName;
pub use vault_server::store::Removed;

use crate::error::{Failure, Kind, Outcome};
use crate::gate::Packs;
use crate::settings::Globals;
use crate::transfer::{PackStore, StoreError};

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// The entry has its number.
    Done,
    /// Another entry has it.
    Taken,
}

/// What a check of a vault's derived objects found and did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Derived {
    /// What was found amiss, in words.
    pub findings: Vec<String>,
    /// What was repaired, in words.
    pub repaired: Vec<String>,
    /// Whether something signed is missing or changed.
    pub damaged: bool,
}

/// A vault's store as a client sees it.
#[async_trait]
pub trait Client: PackStore {
    /// Where it is, as the user named it.
    fn location(&self) -> &str;

    /// The vault that the place says it holds, before anything was signed or read. Believed only where it is a reason to stop.
    fn claims(&self) -> Option<VaultId> {
        None
    }

    /// How many objects an upload may have, where somebody else counts them.
    fn max_upload(&self) -> Option<u64> {
        None
    }

    /// The names of all ledgers; nothing of them is read.
    async fn ledgers(&self) -> Outcome<Vec<LedgerId>>;

    /// The entries of a ledger from a number on; empty if there are none.
    async fn entries(&self, ledger: &LedgerId, from: u64) -> Outcome<Vec<Bytes>>;

    /// The first entry of a ledger; `None` if there is none.
    async fn first(&self, ledger: &LedgerId) -> Outcome<Option<Bytes>>;

    /// As [`Client::entries`], from the single objects alone: a bundle can look right and be wrong where its last entry is void, which
    /// shows as a fork that the single entries do not have.
    async fn single_entries(&self, ledger: &LedgerId, from: u64) -> Outcome<Vec<Bytes>>;

    /// Appends an entry if its number is free.
    async fn append(&self, ledger: &LedgerId, seq: u64, entry: Bytes) -> Outcome<Append>;

    /// Waits for a turn at a ledger, where there are turns: after a lost append, before the ledger is read again.
    async fn turn(&self, _ledger: &LedgerId) {}

    /// Deletes what epochs below the closed one left; how many objects went.
    async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Outcome<Removed>;

    /// Deletes the packs and manifests of a closed upload; how many objects went.
    async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Outcome<Removed>;

    /// Deletes the packs of removed and superseded manifests; how many objects went.
    async fn delete_hidden(&self, dataset: &DatasetId) -> Outcome<Removed>;

    /// Deletes whatever a dataset that a statement deleted still holds; how many objects went.
    async fn delete_dataset(&self, dataset: &DatasetId) -> Outcome<Removed>;

    /// How many objects a dataset holds besides its ledger. Only a client that works on the store itself can tell; of a server its doctor does.
    async fn objects_of(&self, _dataset: &DatasetId) -> Outcome<Option<u64>> {
        Ok(None)
    }

    /// Deletes a sealed object that no statement names.
    async fn withdraw(&self, name: &ObjectName) -> Outcome<Removed>;

    /// Whether the store keeps old versions of what is deleted below `epochs/`. Only a client that works on the store itself can tell.
    async fn keeps_epochs(&self) -> Outcome<bool> {
        Ok(false)
    }

    /// Checks derived objects and leftovers, and makes again what can be.
    async fn doctor(&self, repair: bool) -> Outcome<Derived>;
}

/// Opens the vault at a location.
///
/// # Errors
/// If there is none, or of another version.
pub async fn open(location: &str, globals: &Globals) -> Outcome<Arc<dyn Client>> {
    if remote::is_address(location) {
        return ready(Arc::new(remote::open(location, globals).await?));
    }
    // Here the command itself asks the rules before an entry is appended, as a server does.
    ready(Arc::new(local::open(location).await?.with_packs(Packs::own(globals)?)))
}

/// Makes a vault at a location that is empty or does not exist.
///
/// # Errors
/// If the place is in use, or can't be written.
pub async fn init(location: &str, genesis: Bytes) -> Outcome<Arc<dyn Client>> {
    if remote::is_address(location) {
        return Err(remote::no_init(location));
    }
    ready(Arc::new(local::init(location, genesis).await?))
}

#[cfg(debug_assertions)]
fn ready(client: Arc<dyn Client>) -> Outcome<Arc<dyn Client>> {
    faulty::wrap(client)
}

#[cfg(not(debug_assertions))]
fn ready(client: Arc<dyn Client>) -> Outcome<Arc<dyn Client>> {
    Ok(client)
}

/// Turns what the store says of one object into a failure that names it.
pub fn failed(name: &ObjectName) -> impl FnOnce(StoreError) -> Failure {
    move |error| {
        let error = match said(name, error) {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let because = |e: &dyn std::error::Error| e.source().map_or_else(String::new, |s| format!(": {s}"));
        let why = format!("object {name}: {error}{}", because(&error));
        let failure =
            |kind, why_zh: &str| Failure::new(kind, why.clone()).or_in_chinese(format!("对象 {name}：{why_zh}"));
        match error {
            StoreError::NotFound => failure(Kind::NotFound, "不存在")
                .hints("the store lost it, or somebody deleted it", "存储已将其丢失，或有人将其删除"),
            StoreError::Differs => failure(Kind::Integrity, "已有不同的内容"),
            StoreError::Length => failure(Kind::Integrity, "长度不符"),
            StoreError::Archived(_) => failure(Kind::Storage, "已归档，须先取回"),
            _ => failure(Kind::Storage, "存储失败").hints(
                "check the disk or the network, then run the same command again",
                "请检查磁盘或网络，再运行同一命令",
            ),
        }
    }
}

/// What a server said of an object, which knows more than that the store failed.
fn said(name: &ObjectName, error: StoreError) -> Result<Failure, StoreError> {
    let StoreError::Failed(cause) = error else { return Err(error) };
    let cause = cause.downcast::<remote::RemoteError>().map_err(StoreError::Failed)?;
    Ok(Failure::from(*cause).at_both(format_args!("object {name}"), format_args!("对象 {name}")))
}

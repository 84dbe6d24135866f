//! A vault in a folder: the service runs in this process.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use vault_core::ids::{DatasetId, LedgerId, UploadId};
use vault_core::layout::ObjectName;
use vault_server::store::{self, Store};
use vault_server::vault::{
    self, AppendError, Doctor, Finding, InitError, LedgerError, OpenError, PutError, RemoveError, StateError, Vault,
};

use super::{Append, Client, Derived};
use crate::clock;
use crate::error::{Failure, Kind, Outcome};
use crate::output;
use crate::transfer::{PackStore, StoreError};

/// What is younger than this may belong to somebody who is at work.
const AT_WORK: Duration = Duration::from_secs(3600);

/// A folder vault.
#[derive(Debug)]
pub struct Local {
    vault: Vault,
    location: String,
}

/// Opens the vault in a folder.
///
/// # Errors
/// If there is none, or of another version.
pub async fn open(path: &Path) -> Outcome<Local> {
    refuse_addresses(path)?;
    let store = Store::open_folder(path).await.map_err(|e| no_folder(path, e))?;
    let vault = Vault::open(store).await.map_err(opening)?;
    Ok(Local { vault, location: location(path) })
}

/// Makes a vault in a folder that is empty or does not exist.
///
/// # Errors
/// If the folder is in use, or can't be written.
pub async fn init(path: &Path, genesis: Bytes) -> Outcome<Local> {
    refuse_addresses(path)?;
    let store = Store::create_folder(path).await.map_err(storage)?;
    let vault = Vault::init(store, genesis).await.map_err(|e| match e {
        InitError::Store(e) => storage(e),
        InitError::Open(e) => opening(e),
        InitError::AlreadyAVault { .. } => Failure::new(Kind::Conflict, e.to_string()),
        InitError::NotEmpty { .. } => Failure::usage(e.to_string()),
        other => Failure::new(Kind::Storage, other.to_string()),
    })?;
    Ok(Local { vault, location: location(path) })
}

/// The same folder has one name, however it was typed.
fn location(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

fn refuse_addresses(path: &Path) -> Outcome<()> {
    let text = path.to_string_lossy();
    match text.split_once("://") {
        Some((scheme, _)) => {
            Err(Failure::usage(format!("{text}: this version opens vaults in folders, not at {scheme}:// addresses")))
        }
        None => Ok(()),
    }
}

fn no_folder(path: &Path, error: store::StoreError) -> Failure {
    if error.is_not_found() {
        Failure::not_found(format!("{}: there is no such folder", path.display()))
            .hint("name the vault with --vault or SEQVAULT; `seqvault init` makes one")
    } else if path.is_file() {
        Failure::not_found(format!("{}: it is a file, and a vault is a folder", path.display()))
            .hint("name the vault with --vault or SEQVAULT")
    } else {
        storage(error)
    }
}

fn opening(error: OpenError) -> Failure {
    let text = error.to_string();
    match error {
        OpenError::Store(e) => storage(e),
        OpenError::NotAVault { .. } => {
            Failure::not_found(text).hint("name the vault with --vault or SEQVAULT; `seqvault init` makes one")
        }
        OpenError::UnknownFormat { .. } => {
            Failure::new(Kind::Other, text).hint("install the version of seqvault that wrote it, or a newer one")
        }
        OpenError::Genesis { .. } => Failure::integrity(text).hint(
            "its first entry was changed, or a newer version of seqvault made it: ask the officer who invited you",
        ),
        _ => Failure::new(Kind::Storage, text),
    }
}

fn storage(error: store::StoreError) -> Failure {
    let text = error.to_string();
    match error {
        store::StoreError::NotFound { .. } => {
            Failure::not_found(text).hint("the store lost it, or somebody deleted it")
        }
        store::StoreError::TooLong { .. } | store::StoreError::TooShort { .. } => Failure::integrity(text),
        store::StoreError::Full { .. } => Failure::new(Kind::Storage, text)
            .hint("free some space and run the same command again: it goes on where it stopped"),
        store::StoreError::Gone { .. } => {
            Failure::new(Kind::Storage, text).hint("mount it again, then run the same command again")
        }
        store::StoreError::Denied { .. } | store::StoreError::ReadOnly { .. } => {
            Failure::new(Kind::Storage, text).hint("check the folder's owner, mode and mount")
        }
        _ => Failure::new(Kind::Storage, text),
    }
}

fn ledger(error: LedgerError) -> Failure {
    match error {
        LedgerError::Store(e) => storage(e),
        other => Failure::integrity(other.to_string())
            .hint("an entry was deleted: ask an officer, and keep the folder as it is"),
    }
}

fn state(error: StateError) -> Failure {
    match error {
        StateError::Ledger(e) => ledger(e),
        other => Failure::integrity(other.to_string()),
    }
}

fn append(error: AppendError) -> Failure {
    let text = error.to_string();
    match error {
        AppendError::State(e) => state(e),
        AppendError::TooLong => Failure::usage(text),
        AppendError::NotNext { .. } => Failure::new(Kind::Conflict, text),
        _ => Failure::refused(text),
    }
}

fn remove(error: RemoveError) -> Failure {
    let text = error.to_string();
    match error {
        RemoveError::State(e) => state(e),
        RemoveError::UnknownUpload { .. } | RemoveError::OpenUpload { .. } | RemoveError::CommittedUpload { .. } => {
            Failure::refused(text)
        }
        _ => Failure::integrity(text),
    }
}

fn object(error: store::StoreError) -> StoreError {
    match error {
        store::StoreError::NotFound { .. } => StoreError::NotFound,
        store::StoreError::TooLong { .. } | store::StoreError::TooShort { .. } => StoreError::Length,
        other => StoreError::Failed(Box::new(other)),
    }
}

impl Local {
    /// Deletes what a statement already gave up and an interrupted command left. Whether there was something of that kind.
    async fn delete_dead(&self, finding: &Finding) -> Outcome<bool> {
        match finding {
            Finding::OldEpoch { dataset, epoch, .. } => self.delete_epochs(dataset, epoch + 1).await?,
            Finding::DeadUpload { dataset, upload, closed: true, .. } => self.sweep(dataset, upload).await?,
            Finding::Hidden { dataset, .. } => self.delete_hidden(dataset).await?,
            _ => return Ok(false),
        };
        Ok(true)
    }
}

/// A finding with what to do about it, where a person has to.
fn describe(finding: &Finding) -> String {
    match finding {
        Finding::OpenEpoch { dataset, epoch, since } => format!(
            "dataset {dataset}: the rotation to epoch {epoch}, begun {}, is not finished (`seqvault rotate {dataset}`)",
            output::time(*since)
        ),
        Finding::OpenUpload { dataset, upload, author, opened, ends, bytes } => format!(
            "dataset {dataset}: upload {upload} of {author}, begun {}, is not finished; it holds {} and ends {}",
            output::time(*opened),
            output::bytes(*bytes),
            output::time(*ends)
        ),
        Finding::OldEpoch { .. } | Finding::DeadUpload { closed: true, .. } | Finding::Hidden { .. } => {
            format!("{finding} (--repair)")
        }
        other if other.is_repairable() => format!("{other} (--repair)"),
        other => other.to_string(),
    }
}

#[async_trait]
impl PackStore for Local {
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.vault.put(name, bytes).await.map(drop).map_err(|e| match e {
            PutError::Store(e) => object(e),
            PutError::Taken { .. } => StoreError::Differs,
            other => StoreError::Failed(Box::new(other)),
        })
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.vault.get_range(name, range).await.map_err(object)
    }

    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        self.vault.get_at_most(name, max).await.map_err(object)
    }

    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.vault.size(name).await.map_err(object)
    }
}

#[async_trait]
impl Client for Local {
    fn location(&self) -> &str {
        &self.location
    }

    async fn ledgers(&self) -> Outcome<Vec<LedgerId>> {
        self.vault.ledger_names().await.map_err(storage)
    }

    async fn entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.vault.entries(id, from).await.map_err(ledger)
    }

    async fn single_entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.vault.single_entries(id, from).await.map_err(ledger)
    }

    async fn append(&self, id: &LedgerId, seq: u64, entry: Bytes) -> Outcome<Append> {
        match self.vault.append(id, seq, entry).await.map_err(append)? {
            vault::Append::Appended => Ok(Append::Done),
            vault::Append::Taken { .. } => Ok(Append::Taken),
        }
    }

    async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Outcome<u64> {
        self.vault.delete_epochs(dataset, below).await.map(|r| r.objects).map_err(remove)
    }

    async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Outcome<u64> {
        self.vault.sweep(dataset, upload).await.map(|r| r.objects).map_err(remove)
    }

    async fn delete_hidden(&self, dataset: &DatasetId) -> Outcome<u64> {
        self.vault.delete_hidden(dataset).await.map(|r| r.objects).map_err(remove)
    }

    async fn withdraw(&self, name: &ObjectName) -> Outcome<()> {
        self.vault.withdraw(name).await.map(drop).map_err(remove)
    }

    async fn doctor(&self, repair: bool) -> Outcome<Derived> {
        let how = Doctor { now: i64::try_from(clock::now()).unwrap_or(i64::MAX), at_work: AT_WORK };
        let report = self.vault.doctor(&how).await.map_err(storage)?;
        let mut derived = Derived::default();
        let mut left = report.findings.clone();
        if repair {
            for finding in self.vault.repair(&report).await.map_err(remove)? {
                left.retain(|f| *f != finding);
                derived.repaired.push(finding.to_string());
            }
            let mut rest = Vec::new();
            for finding in left {
                if self.delete_dead(&finding).await? {
                    derived.repaired.push(finding.to_string());
                } else {
                    rest.push(finding);
                }
            }
            left = rest;
        }
        derived.damaged = left
            .iter()
            .any(|f| matches!(f, Finding::Ledger { .. } | Finding::Missing { .. } | Finding::Differs { .. }));
        derived.findings = left.iter().map(describe).collect();
        Ok(derived)
    }
}

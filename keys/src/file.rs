//! The provider that unlocks an identity file, and what writes such files. Spec section 2.2.
//!
//! A file is written whole or not at all: mode 0600, a temporary file beside it, synced, then renamed. What is there
//! already is never overwritten unless the caller says so.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use tempfile::NamedTempFile;
use vault_core::card::Card;
use vault_core::context::Context;
use vault_core::secret::Secret32;

use crate::custodian::{Custodian, CustodyError};
use crate::identity::{self, Cost, Identity, IdentityError, MAX_FILE, Secrets, UnlockError};
use crate::memory::MemoryCustodian;
use crate::passphrase::Passphrase;

/// An identity file that can't be read, unlocked or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system's answer.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A folder, a device, a pipe.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Others could read or change it.
    #[error("{0} is open to other users: its mode must be 0600")]
    Permissions(PathBuf),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The bytes are no identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The secrets in it can't be unlocked, or none can be locked.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
}

/// What a writer does when the file is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Leave it alone and fail.
    Refuse,
    /// Replace it in one step.
    Replace,
}

/// An unlocked identity file. Later changes of the file do not touch it.
#[derive(Debug)]
pub struct FileCustodian {
    path: PathBuf,
    unlocked: MemoryCustodian,
}

impl FileCustodian {
    /// The file it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the system keeps the secrets out of swap.
    #[must_use]
    pub const fn memory_is_locked(&self) -> bool {
        self.unlocked.memory_is_locked()
    }
}

impl Custodian for FileCustodian {
    fn card(&self) -> &Card {
        self.unlocked.card()
    }

    fn sign(&self, pae: &[u8]) -> Result<[u8; 64], CustodyError> {
        self.unlocked.sign(pae)
    }

    fn open(&self, sealed: &[u8], info: &Context) -> Result<Secret32, CustodyError> {
        self.unlocked.open(sealed, info)
    }
}

/// Reads an identity file; its card is readable then, its secrets are not.
///
/// # Errors
/// If it can't be read, is open to other users, or is no identity file.
pub fn read(path: &Path) -> Result<Identity, FileError> {
    let failed = |error| FileError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    check(path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::with_capacity(MAX_FILE + 1);
    let limit = u64::try_from(MAX_FILE + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Identity::parse(&bytes)?)
}

/// Reads and unlocks an identity file.
///
/// # Errors
/// As [`read`]; if the passphrase is wrong.
pub fn unlock(path: &Path, passphrase: &Passphrase) -> Result<FileCustodian, FileError> {
    let identity = read(path)?;
    let secrets = identity.unlock(passphrase)?;
    let unlocked = MemoryCustodian::new(identity.card().clone(), secrets).map_err(|_| UnlockError::NotOfThisCard)?;
    Ok(FileCustodian { path: path.to_owned(), unlocked })
}

/// Writes a new identity's file.
///
/// # Errors
/// If the file exists and must not be replaced, can't be written, or the secrets are not the card's.
pub fn create(
    path: &Path,
    secrets: &Secrets,
    card: &Card,
    passphrase: &Passphrase,
    cost: Cost,
    if_exists: IfExists,
    rng: &mut impl CryptoRng,
) -> Result<(), FileError> {
    // Asked before a second of hashing, and again, without a race, when the file gets its name.
    if if_exists == IfExists::Refuse && path.symlink_metadata().is_ok() {
        return Err(FileError::Exists(path.to_owned()));
    }
    write(path, &identity::lock(secrets, card, passphrase, cost, rng)?, if_exists)
}

/// Locks an identity file under a new passphrase, with a new salt.
///
/// Copies of the old file, in backups or snapshots, still unlock with the old passphrase.
///
/// # Errors
/// If the old passphrase is wrong, or the file can't be read or written. Then the old file is still there.
pub fn change_passphrase(
    path: &Path,
    old: &Passphrase,
    new: &Passphrase,
    cost: Cost,
    rng: &mut impl CryptoRng,
) -> Result<(), FileError> {
    let identity = read(path)?;
    let secrets = identity.unlock(old)?;
    write(path, &identity::lock(&secrets, identity.card(), new, cost, rng)?, IfExists::Replace)
}

#[cfg(unix)]
fn check(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt;
    if !metadata.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(FileError::Permissions(path.to_owned()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    if metadata.is_file() { Ok(()) } else { Err(FileError::NotAFile(path.to_owned())) }
}

// The temporary file has mode 0600 from its creation and is removed if anything fails.
fn write(path: &Path, bytes: &[u8], if_exists: IfExists) -> Result<(), FileError> {
    let failed = |error| FileError::Io { path: path.to_owned(), error };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut temporary = NamedTempFile::new_in(folder).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    let named = match if_exists {
        IfExists::Replace => temporary.persist(path),
        IfExists::Refuse => temporary.persist_noclobber(path),
    };
    named.map_err(|e| match e.error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => failed(e.error),
    })?;
    sync_folder(folder).map_err(failed)
}

// A rename is durable when its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

//! What can go wrong with an object, and which of it is the disk's, the rights' or the format's fault.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::s3::{ARCHIVED, Answer, OpenS3Error, is_full};

/// Why the store did not do what it was asked. Every variant names the object or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object.
    #[error("{path}: there is no such object")]
    NotFound {
        /// The object.
        path: String,
    },
    /// The object is longer than its kind may be, and was not read.
    #[error("{path}: it has {size} bytes and may have {max}")]
    TooLong {
        /// The object.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The most that it may have.
        max: u64,
    },
    /// The object ends before the range that was asked for.
    #[error("{path}: it ends at byte {size}, before byte {end}")]
    TooShort {
        /// The object.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The end of the range.
        end: u64,
    },
    /// The folder was removed, unmounted or replaced after it was opened.
    #[error("{path}: the folder is gone, or another is in its place")]
    Gone {
        /// The folder.
        path: String,
    },
    /// No space, or no quota, is left.
    #[error("{path}: no space is left")]
    Full {
        /// The object that was being written.
        path: String,
    },
    /// The system or the bucket refuses this user.
    #[error("{path}: permission denied")]
    Denied {
        /// The object or folder.
        path: String,
    },
    /// The file system is mounted read-only.
    #[error("{path}: the file system is read-only")]
    ReadOnly {
        /// The object or folder.
        path: String,
    },
    /// It was written, but whether it is on the disk is unknown: nothing may rely on it.
    #[error("{path}: it can't be synced to the disk")]
    NotSynced {
        /// The file or folder.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// A create found the name taken, again and again, and each time there was nothing to read.
    #[error("{path}: the name is taken and yet there is nothing to read")]
    Unsteady {
        /// The object.
        path: String,
    },
    /// Any other failure of the file system.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Any other failure of the object store.
    #[error("{path}: {source}")]
    Backend {
        /// The object.
        path: String,
        /// The store's error.
        source: object_store::Error,
    },
    /// A bucket answered, and did not do it.
    #[error("{path}: {answer}")]
    Answered {
        /// The object.
        path: String,
        /// What it said.
        answer: Answer,
    },
    /// The object is in cold storage.
    #[error("{path}: it is in cold storage and has to be restored before it can be read")]
    Archived {
        /// The object.
        path: String,
    },
    /// The bucket could not even be asked.
    #[error("{location}: {source}")]
    NotOpened {
        /// The store.
        location: String,
        /// Why.
        source: OpenS3Error,
    },
    /// This store can't make links.
    #[error("{location}: it has no links")]
    NoLinks {
        /// The store.
        location: String,
    },
    /// What was to be written broke off.
    #[error("{path}: what was to be written broke off: {source}")]
    Body {
        /// The object.
        path: String,
        /// The error of whoever sent it.
        source: io::Error,
    },
    /// What was to be written has another length than was said.
    #[error("{path}: what was to be written does not have {length} bytes")]
    BodyLength {
        /// The object.
        path: String,
        /// The length that was said.
        length: u64,
    },
    /// What was to be written has another SHA-256 than was said.
    #[error("{path}: what was to be written is not what was said")]
    BodyDigest {
        /// The object.
        path: String,
    },
    /// The runtime stopped before the work was done.
    #[error("{path}: the work was stopped")]
    Stopped {
        /// The folder.
        path: String,
    },
}

impl StoreError {
    /// Sorts an error of the file system.
    pub(crate) fn from_io(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match sort(&source) {
            Some(Fault::Missing) => Self::NotFound { path },
            Some(Fault::Full) => Self::Full { path },
            Some(Fault::Denied) => Self::Denied { path },
            Some(Fault::ReadOnly) => Self::ReadOnly { path },
            None => Self::Io { path, source },
        }
    }

    /// Sorts an error of a sync. Some file systems, NFS among them, say only then that there was no room for what was written.
    pub(crate) fn from_sync(path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match sort(&source) {
            Some(Fault::Full) => Self::Full { path },
            _ => Self::NotSynced { path, source },
        }
    }

    /// Sorts an error of the object store, by its kind or by the system's error at its root.
    pub(crate) fn from_backend(path: impl Into<String>, source: object_store::Error) -> Self {
        use object_store::Error as E;
        let path = path.into();
        if let Some(answer) = Answer::of(&source) {
            return Self::from_answer(path, answer.clone());
        }
        match &source {
            E::NotFound { .. } => return Self::NotFound { path },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => return Self::Denied { path },
            _ => {}
        }
        match root_io(&source).and_then(sort) {
            Some(Fault::Full) => Self::Full { path },
            Some(Fault::Denied) => Self::Denied { path },
            Some(Fault::ReadOnly) => Self::ReadOnly { path },
            // A missing folder on the way of a write is not a missing object.
            Some(Fault::Missing) | None => Self::Backend { path, source },
        }
    }

    /// Sorts what a bucket said.
    pub(crate) fn from_answer(path: impl Into<String>, answer: Answer) -> Self {
        let path = path.into();
        match &answer {
            Answer::Refused { code, .. } if code == "InvalidObjectState" => Self::Archived { path },
            Answer::Refused { status, code, .. } if is_full(*status, code) => Self::Full { path },
            _ => Self::Answered { path, answer },
        }
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Answered { answer, .. } => answer.is_transient(),
            Self::Unsteady { .. } => true,
            _ => false,
        }
    }

    /// What to do about it, where the store knows.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Answered { answer, .. } => answer.hint(),
            Self::Archived { .. } => Some(ARCHIVED.to_owned()),
            Self::NotOpened { source, .. } => source.hint().map(str::to_owned),
            _ => None,
        }
    }

    /// Whether this user may not do that, which another perhaps may.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::ReadOnly { .. } => true,
            Self::Answered { answer: Answer::Refused { code, .. }, .. } => code == "AccessDenied",
            _ => false,
        }
    }

    /// Whether the object is simply not there.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// The faults that a person can do something about.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Missing,
    Full,
    Denied,
    ReadOnly,
}

fn sort(error: &io::Error) -> Option<Fault> {
    match error.kind() {
        ErrorKind::NotFound => Some(Fault::Missing),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Fault::Full),
        ErrorKind::PermissionDenied => Some(Fault::Denied),
        ErrorKind::ReadOnlyFilesystem => Some(Fault::ReadOnly),
        _ => None,
    }
}

/// The system's error in a chain of errors, if there is one.
fn root_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_told_so_at_a_write_and_at_a_sync() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            for error in [StoreError::from_io("p", kind.into()), StoreError::from_sync("p", kind.into())] {
                assert!(matches!(&error, StoreError::Full { path } if path == "p"), "{kind:?}: {error}");
            }
        }
        // Whatever else a sync fails with: that it is not on the disk says more than why.
        for kind in [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other]
        {
            let error = StoreError::from_sync("p", kind.into());
            assert!(
                matches!(&error, StoreError::NotSynced { source, .. } if source.kind() == kind),
                "{kind:?}: {error}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_systems_numbers_for_no_space_and_no_quota_are_a_full_disk() {
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        for number in [ENOSPC, EDQUOT] {
            let error = StoreError::from_sync("p", io::Error::from_raw_os_error(number));
            assert!(matches!(error, StoreError::Full { .. }), "{number}: {error}");
        }
    }
}

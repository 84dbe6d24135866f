//! What can go wrong with an object, and which of it is the disk's, the rights' or the format's fault.

use std::error::Error;
use std::io::{self, ErrorKind};

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

    /// Sorts an error of the object store, by its kind or by the system's error at its root.
    pub(crate) fn from_backend(path: impl Into<String>, source: object_store::Error) -> Self {
        use object_store::Error as E;
        let path = path.into();
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

//! A manifest's extras: what an upload takes over, and where a re-encryption came from. Spec section 3.5.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::root::Leaf;
use super::{FileRecord, ManifestError};
use crate::ids::{Digest, EntryHash, ManifestId};
use crate::json;

/// The canonical JSON at the end of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// For a re-encryption: what it is one of.
    pub origin: Option<Origin>,
    /// Files of earlier manifests whose paths this upload takes over; ascending, each once.
    pub replaces: Vec<FileRef>,
}

/// A file of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// The manifest that lists it.
    pub manifest: ManifestId,
    /// Its number in there.
    pub file: u32,
}

/// What a re-encrypted manifest stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The `upload-committed` that first signed the root.
    pub entry: EntryHash,
    /// How many files that manifest had.
    pub leaves: u64,
    /// The first manifest.
    pub manifest: ManifestId,
    /// What was left out since; ascending by number.
    pub removed: Vec<RemovedLeaf>,
}

/// The leaf of a file that a re-encryption left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedLeaf {
    /// The RFC 6962 leaf hash.
    pub leaf: Digest,
    /// The file's number.
    pub number: u32,
}

impl RemovedLeaf {
    /// As a leaf of the root.
    #[must_use]
    pub const fn leaf(&self) -> Leaf {
        Leaf { number: self.number, hash: self.leaf }
    }
}

impl Extras {
    pub(super) fn emit(&self) -> Result<Vec<u8>, ManifestError> {
        json::emit(self).map_err(|_| ManifestError::Extras)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        json::parse(bytes).map_err(|_| ManifestError::Extras)
    }

    pub(super) fn check(&self, files: &[FileRecord]) -> Result<(), ManifestError> {
        if !ascends(&self.replaces, |file| (file.manifest, file.file)) {
            return Err(ManifestError::Rule("the order of what it replaces"));
        }
        self.origin.as_ref().map_or(Ok(()), |origin| origin.check(files))
    }
}

impl Origin {
    fn check(&self, files: &[FileRecord]) -> Result<(), ManifestError> {
        if !ascends(&self.removed, |leaf| leaf.number) {
            return Err(ManifestError::Rule("the order of removed leaves"));
        }
        let kept: HashSet<u32> = files.iter().map(|file| file.number).collect();
        if self.removed.iter().any(|leaf| kept.contains(&leaf.number)) {
            return Err(ManifestError::Rule("a file that is both kept and removed"));
        }
        if (files.len() + self.removed.len()) as u64 != self.leaves {
            return Err(ManifestError::Rule("the number of leaves"));
        }
        Ok(())
    }
}

fn ascends<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> bool {
    items.windows(2).all(|pair| matches!(pair, [a, b] if key(a) < key(b)))
}

//! The sealed list of an upload's files: their names, sizes, keys and places. Spec sections 3.4 to 3.8.
//!
//! Plaintext only: [`crate::floe`] encrypts it. [`Manifest`] is a list that follows every rule, whoever made it;
//! [`Index`] finds one file without reading the others; [`file_root`] is what the lab signs; [`View`] tells which file
//! of a dataset a path means; [`check_names`] tells whether a set of paths can be written to a file system.

mod emit;
mod extras;
mod index;
mod names;
mod parse;
mod path;
mod root;
mod view;

use crate::ids::Digest;
use crate::pack::{FilePlace, MAX_STREAM, PackList};
use crate::secret::Secret32;

pub use emit::pad_len;
pub use extras::{Extras, FileRef, Origin, RemovedLeaf};
pub use index::{Block, Head, Index};
pub use names::{NameError, NameRules, check_names};
pub use path::{PathError, VaultPath};
pub use root::{Leaf, file_root, leaf_hash};
pub use view::{Candidate, Committed, Found, View};

/// Most files in a manifest.
pub const MAX_FILES: usize = 10_000;
/// Most files in a block of a manifest.
pub const BLOCK_FILES: usize = 256;
/// Longest plaintext of a manifest, padding included.
pub const MAX_PLAIN: usize = 64 << 20;
/// Bytes of a manifest's head.
pub const HEAD_LEN: usize = 108;

const MAGIC: &[u8; 8] = b"SVMANIF1";

/// A digest of a file's plaintext, beside its BLAKE3: what a sequencer or a colleague compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileDigest {
    /// MD5: against accidents, not against anybody.
    Md5([u8; 16]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl FileDigest {
    /// The algorithm's number in a record.
    #[must_use]
    pub const fn algorithm(&self) -> u8 {
        match self {
            Self::Md5(_) => 1,
            Self::Sha256(_) => 2,
        }
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    fn from_parts(algorithm: u8, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            1 => bytes.try_into().ok().map(Self::Md5),
            2 => bytes.try_into().ok().map(Self::Sha256),
            _ => None,
        }
    }
}

/// One file of a manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Its path, as the lab had it.
    pub path: VaultPath,
    /// Its number, fixed when it was first sealed; bound into the use of its key.
    pub number: u32,
    /// Bytes of plaintext.
    pub size: u64,
    /// Modification time in seconds since 1970, of the lab's file system.
    pub modified: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Where its ciphertext begins in the stream.
    pub offset: u64,
    /// Its key.
    pub key: Secret32,
    /// BLAKE3 of its plaintext.
    pub blake3: Digest,
    /// Other digests of its plaintext, in order of algorithm, each at most once.
    pub digests: Vec<FileDigest>,
}

impl FileRecord {
    /// Where its ciphertext lies.
    ///
    /// # Errors
    /// If that is outside any stream; never for a record of a [`Manifest`].
    pub fn place(&self) -> Result<FilePlace, ManifestError> {
        FilePlace::new(self.offset, self.size).map_err(|_| ManifestError::Rule("a file's place"))
    }
}

/// A manifest that can't be made, read or trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The plaintext does not have the form of section 3.5.
    #[error("the manifest is malformed: {0}")]
    Malformed(&'static str),
    /// It has the form, but breaks one of the rules of section 3.5.
    #[error("the manifest breaks a rule: {0}")]
    Rule(&'static str),
    /// A path breaks the rules.
    #[error("the manifest has a bad path")]
    Path(#[from] PathError),
    /// The extras are not canonical JSON of the expected shape.
    #[error("the manifest's extras are malformed")]
    Extras,
    /// The manifest names another pack list.
    #[error("the manifest belongs to another pack list")]
    PackListDiffers,
    /// The signed root is another one.
    #[error("the manifest's files are not those that were signed")]
    RootDiffers,
    /// The signed number of files is another one.
    #[error("the manifest has another number of files than was signed")]
    CountDiffers,
}

/// What a manifest is made of, before the rules are checked.
#[derive(Debug)]
pub struct Draft {
    /// The files, in any order.
    pub files: Vec<FileRecord>,
    /// Random, drawn once a manifest: hides paths and sizes from those who hold only the root.
    pub salt: Secret32,
    /// The stream's length in bytes.
    pub stream_length: u64,
    /// SHA-256 of the pack list.
    pub pack_list: Digest,
    /// What the upload takes over, and where a re-encryption came from.
    pub extras: Extras,
}

/// A manifest that follows every rule of section 3.5, its files in order of path.
#[derive(Debug)]
pub struct Manifest {
    files: Vec<FileRecord>,
    salt: Secret32,
    stream_length: u64,
    pack_list: Digest,
    extras: Extras,
}

impl Manifest {
    /// Sorts a draft's files and checks every rule.
    ///
    /// # Errors
    /// If a rule of section 3.5 is broken, or the plaintext would be too long.
    pub fn new(draft: Draft) -> Result<Self, ManifestError> {
        let Draft { mut files, salt, stream_length, pack_list, extras } = draft;
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self { files, salt, stream_length, pack_list, extras };
        manifest.check()?;
        if manifest.layout()?.padded > MAX_PLAIN {
            return Err(ManifestError::Rule("its length"));
        }
        Ok(manifest)
    }

    /// The files, in order of path.
    #[must_use]
    pub fn files(&self) -> &[FileRecord] {
        &self.files
    }

    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &VaultPath) -> Option<&FileRecord> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.files.get(at)
    }

    /// The files, consumed: their keys move, as they can't be copied.
    #[must_use]
    pub fn into_files(self) -> Vec<FileRecord> {
        self.files
    }

    /// The salt of its leaves; a re-encryption keeps it.
    #[must_use]
    pub const fn salt(&self) -> &Secret32 {
        &self.salt
    }

    /// The stream's length in bytes.
    #[must_use]
    pub const fn stream_length(&self) -> u64 {
        self.stream_length
    }

    /// SHA-256 of the pack list.
    #[must_use]
    pub const fn pack_list(&self) -> &Digest {
        &self.pack_list
    }

    /// What it takes over, and where it came from.
    #[must_use]
    pub const fn extras(&self) -> &Extras {
        &self.extras
    }

    /// The Merkle root over its files, and over those that a re-encryption left out.
    #[must_use]
    pub fn root(&self) -> Digest {
        let kept = self.files.iter().map(|file| leaf_hash(&self.salt, file));
        let removed = self.extras.origin.iter().flat_map(|origin| origin.removed.iter().map(RemovedLeaf::leaf));
        file_root(kept.chain(removed).collect())
    }

    /// Compares the manifest with what `upload-committed` says of it: section 3.8.
    ///
    /// # Errors
    /// If it is not the manifest that was signed, or names another pack list.
    pub fn verify(&self, root: &Digest, files: u64, list: &PackList) -> Result<(), ManifestError> {
        if list.sha256() != self.pack_list || list.stream_length() != self.stream_length {
            return Err(ManifestError::PackListDiffers);
        }
        if self.files.len() as u64 != files {
            return Err(ManifestError::CountDiffers);
        }
        if self.root() == *root { Ok(()) } else { Err(ManifestError::RootDiffers) }
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return Err(ManifestError::Rule("the number of files"));
        }
        check_paths(&self.files)?;
        check_numbers(&self.files)?;
        check_tiling(&self.files, self.stream_length)?;
        if !self.files.iter().all(|file| file.digests.is_sorted_by_key(FileDigest::algorithm)) {
            return Err(ManifestError::Rule("the order of digests"));
        }
        if !self.files.iter().all(|file| file.digests.windows(2).all(differ)) {
            return Err(ManifestError::Rule("a digest twice"));
        }
        self.extras.check(&self.files)
    }
}

fn differ(pair: &[FileDigest]) -> bool {
    matches!(pair, [a, b] if a.algorithm() != b.algorithm())
}

// No path twice, and none a folder of another. Compared by component, a folder stands right before what is in it.
fn check_paths(files: &[FileRecord]) -> Result<(), ManifestError> {
    let mut paths: Vec<&VaultPath> = files.iter().map(|file| &file.path).collect();
    paths.sort_unstable_by(|a, b| a.cmp_components(b));
    for pair in paths.windows(2) {
        if let [a, b] = pair {
            if a == b {
                return Err(ManifestError::Rule("a path twice"));
            }
            if a.is_folder_of(b) {
                return Err(ManifestError::Rule("a path that is a folder of another"));
            }
        }
    }
    Ok(())
}

fn check_numbers(files: &[FileRecord]) -> Result<(), ManifestError> {
    let mut numbers: Vec<u32> = files.iter().map(|file| file.number).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(ManifestError::Rule("a file number twice"));
    }
    Ok(())
}

// The first file starts at 0, each next where the one before ends, the last ends at the stream's length.
fn check_tiling(files: &[FileRecord], stream_length: u64) -> Result<(), ManifestError> {
    let mut places = files.iter().map(FileRecord::place).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable_by_key(FilePlace::offset);
    let mut at = 0;
    for place in places {
        if place.offset() != at {
            return Err(ManifestError::Rule("files that do not tile the stream"));
        }
        at = place.stream_range().end;
    }
    if at == stream_length && at <= MAX_STREAM { Ok(()) } else { Err(ManifestError::Rule("the stream's length")) }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests;

//! Rule packs of an institution's own, read from a folder at start. Those of this project are inside the program.

use std::io;
use std::path::{Path, PathBuf};

use vault_policy::Pack;
use vault_policy::problem::Problems;

/// Longest pack in bytes.
const MAX_PACK: u64 = 4 << 20;

/// Why rule packs are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The folder or a file of it can't be read.
    #[error("{}: rule packs can't be read: {source}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is far too long for a pack.
    #[error("{}: longer than {} MiB, so no rule pack", path.display(), MAX_PACK >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file is no pack, or one that does not validate.
    #[error("{}: not a valid rule pack: {}", path.display(), problems.to_string().replace('\n', "; "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, by line.
        problems: Problems,
    },
}

/// Every `.toml` file of a folder, in the order of their names.
///
/// # Errors
/// If one can't be read or does not validate: nobody wants to learn at a grant that a pack is missing.
pub fn read(folder: &Path) -> Result<Vec<Pack>, PackError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let length = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
        if length > MAX_PACK {
            return Err(PackError::TooLong { path });
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        Pack::parse(&text).map_err(|problems| PackError::Invalid { path, problems })
    };
    paths.into_iter().map(read).collect()
}

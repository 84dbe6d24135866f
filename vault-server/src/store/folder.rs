//! A folder on a disk: what makes a write last, and how to notice that the folder is no longer there.
//!
//! `object_store` writes an object to `<name>#<n>`, syncs it, links it to its name and syncs that folder. Four gaps are
//! closed here: folders that another writer made and has not synced yet; an object that somebody else linked and has not
//! synced yet; deletes, which are not synced at all; and a root that is recreated silently after an unmount.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::StoreError;

/// Folders remembered as synced; forgotten together when there are more, which costs a few syncs.
const MAX_SETTLED: usize = 4096;

/// An opened folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    identity: Identity,
    /// Folders whose entries, and those of all folders above them, are on the disk. Folders are never removed by this
    /// crate, so what is settled stays settled.
    settled: Mutex<HashSet<PathBuf>>,
}

impl Folder {
    /// Makes a folder and those above it, each synced.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        let path = std::path::absolute(path).map_err(|e| failed(path, e))?;
        let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(&path).map_err(|e| failed(&path, e))?;
        for dir in missing {
            sync(dir)?;
            dir.parent().map_or(Ok(()), sync)?;
        }
        Ok(())
    }

    /// Opens a folder that exists.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let root = fs::canonicalize(path).map_err(|e| failed(path, e))?;
        let identity = Identity::of(&root).map_err(|e| failed(&root, e))?;
        let settled = Mutex::new(HashSet::from([root.clone()]));
        Ok(Self { root, identity, settled })
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where an object of this key lies.
    pub(super) fn path_of(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Refuses a root that was removed, unmounted or replaced: `object_store` would make a new one and write there.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match Identity::of(&self.root) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(self.gone()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(self.gone()),
            Err(e) => Err(failed(&self.root, e)),
        }
    }

    /// Makes an object durable that this process has just linked and synced in its own folder.
    pub(super) fn settle_new(&self, key: &str) -> Result<(), StoreError> {
        self.check()?;
        self.path_of(key).parent().map_or(Ok(()), |dir| self.settle_above(dir))
    }

    /// Makes an object durable that somebody else linked, perhaps a moment ago.
    pub(super) fn settle_found(&self, key: &str) -> Result<(), StoreError> {
        self.check()?;
        let path = self.path_of(key);
        sync(&path)?;
        path.parent().map_or(Ok(()), |dir| self.settle_folder(dir))
    }

    /// Makes every name in a folder durable; what was linked by a writer of ours was synced before.
    pub(super) fn settle_names(&self, prefix: &str) -> Result<(), StoreError> {
        self.check()?;
        self.settle_folder(&self.path_of(prefix))
    }

    /// Makes the removal of names durable.
    pub(super) fn settle_removed<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
        let folders: HashSet<PathBuf> = keys.filter_map(|key| Some(self.path_of(key).parent()?.to_owned())).collect();
        folders.iter().try_for_each(|dir| sync(dir))
    }

    /// Temporary files that a killed writer left under a name of `object_store`, older than `age`. Relative to the root: members of a server
    /// are told of them, and its folders are none of their business.
    pub(super) fn leftovers(&self, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
        self.check()?;
        let now = SystemTime::now();
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(dir) = folders.pop() {
            for entry in fs::read_dir(&dir).map_err(|e| failed(&dir, e))? {
                let entry = entry.map_err(|e| failed(&dir, e))?;
                let kind = entry.file_type().map_err(|e| failed(&entry.path(), e))?;
                // Links are not followed: what lies behind one is not ours to remove.
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() && is_temporary(&entry.path()) && is_older(&entry, now, age) {
                    found.extend(entry.path().strip_prefix(&self.root).map(Path::to_owned));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes temporary files that [`Self::leftovers`] found.
    pub(super) fn remove(&self, paths: &[PathBuf]) -> Result<(), StoreError> {
        self.check()?;
        for path in paths {
            let path = self.root.join(path);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(&path, e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Syncs a folder's own names, then the names of the folders on the way to it.
    fn settle_folder(&self, dir: &Path) -> Result<(), StoreError> {
        match sync(dir) {
            // A folder that no object was ever put into has no names to lose.
            Err(StoreError::NotFound { .. }) => return self.check(),
            other => other?,
        }
        self.settle_above(dir)
    }

    /// Syncs the names of the folders from the root to `dir`, once.
    fn settle_above(&self, dir: &Path) -> Result<(), StoreError> {
        let unsettled: Vec<&Path> = {
            let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
            dir.ancestors().take_while(|dir| dir.starts_with(&self.root) && !settled.contains(*dir)).collect()
        };
        // From the top, so that a folder counts as settled only after all above it.
        for dir in unsettled.into_iter().rev() {
            dir.parent().map_or(Ok(()), sync)?;
            let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
            if settled.len() >= MAX_SETTLED {
                settled.clear();
                settled.insert(self.root.clone());
            }
            settled.insert(dir.to_owned());
        }
        Ok(())
    }

    fn gone(&self) -> StoreError {
        StoreError::Gone { path: self.root.display().to_string() }
    }
}

/// What tells a folder from another one at the same path.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Ok(Self { device_and_inode: (metadata.dev(), metadata.ino()) })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }
}

/// Syncs a file or a folder.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    // Windows can't open a folder as a file, where the file system's journal orders the names; and it syncs a file only for a writer.
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(cfg!(not(unix))).open(path).map_err(|e| failed(path, e))?;
    file.sync_all().map_err(|e| StoreError::from_sync(path.display().to_string(), e))
}

pub(super) fn failed(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::from_io(path.display().to_string(), source)
}

/// Whether `object_store` would use this name while it writes: `<name>#<digits>`.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.rsplit_once('#')
        .is_some_and(|(stem, n)| !stem.is_empty() && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn is_older(entry: &fs::DirEntry, now: SystemTime, age: Duration) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|passed| passed >= age))
}

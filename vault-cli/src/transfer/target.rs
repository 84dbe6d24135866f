//! The folder that a get writes into, and nothing outside of it.
//!
//! Every folder on the way is opened by its one name, without following links, from the folder above it; so no path and
//! nobody who puts links there meanwhile leads elsewhere. A file grows beside its place, under another name, and is renamed
//! when all of it is checked.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use vault_core::ids::to_hex;
use vault_core::manifest::{NameRules, VaultPath};

use super::{LOG_SUFFIX, PART_SUFFIX};
use crate::random;

/// Open folders that are remembered: files come in order of path, so most lie where the one before did.
const REMEMBERED: usize = 64;
/// Files from this size on are synced before they are renamed; smaller ones together at the end.
const SYNC_EACH: u64 = 1 << 20;
const MAX_NAME: usize = 255;

/// What keeps a file from being written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetProblem {
    /// Something has its name, and is not the same file.
    #[error("a different file is there already")]
    Exists,
    /// A folder has its name.
    #[error("a folder has this name")]
    IsFolder,
    /// A link or file lies where a folder is needed.
    #[error("'{0}' on the way to it is a link or a file, not a folder")]
    NotAFolder(String),
    /// Another get writes it.
    #[error("another get is writing it")]
    InUse,
    /// The place where it would grow is taken by something that is not such a file.
    #[error("what lies in the place of its unfinished part is not one")]
    ForeignPart,
    /// The disk is full.
    #[error("the disk is full; what was written is kept, and the same command goes on from there")]
    DiskFull,
    /// Anything else.
    #[error("it can't be written")]
    Io(#[from] io::Error),
}

impl From<Errno> for TargetProblem {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Turns a full disk into its own error.
pub(super) fn write_problem(error: io::Error) -> TargetProblem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TargetProblem::DiskFull,
        _ => TargetProblem::Io(error),
    }
}

/// The folder.
pub(super) struct Target {
    root: Arc<OwnedFd>,
    folders: Mutex<HashMap<String, Arc<OwnedFd>>>,
    /// The folder that was looked for last and was not there: before anything is written, each file of it is looked for.
    missing: Mutex<Option<String>>,
    owner: u32,
}

/// What has a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Nothing,
    File { size: u64 },
    Folder,
    Other,
}

/// A file's place in its folder.
pub(super) struct Place {
    folder: Arc<OwnedFd>,
    name: String,
    /// Whose files are ours.
    owner: u32,
}

/// A file that grows, locked.
pub(super) struct Part {
    pub(super) file: File,
    place: Place,
    part: String,
    /// Whether it had nothing in it when it was opened.
    is_new: bool,
}

impl Target {
    /// Opens the folder, which is made if it is missing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        let owner = rustix::process::geteuid().as_raw();
        Ok(Self { root: Arc::new(root), folders: Mutex::default(), missing: Mutex::default(), owner })
    }

    /// Finds out which names the file system takes for one, by making one.
    pub(super) fn name_rules(&self) -> io::Result<NameRules> {
        let tag: [u8; 8] = random::bytes();
        let name = |letter: &str| format!(".{}-{letter}{PART_SUFFIX}", to_hex(&tag));
        let made = name("\u{e9}a");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        drop(rustix::fs::openat(&self.root, &made, flags, Mode::RUSR | Mode::WUSR)?);
        let is_there = |name: &str| rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let rules = NameRules {
            ignores_case: is_there(&name("\u{e9}A")),
            ignores_form: is_there(&name("e\u{301}a")),
            windows: cfg!(windows),
        };
        rustix::fs::unlinkat(&self.root, &made, AtFlags::empty())?;
        Ok(rules)
    }

    /// What has the name of a file; makes nothing.
    pub(super) fn existing(&self, path: &VaultPath) -> Result<Existing, TargetProblem> {
        let Some(place) = self.place(path, false)? else { return Ok(Existing::Nothing) };
        Ok(match place.stat(&place.name)? {
            None => Existing::Nothing,
            Some(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Existing::File { size: size_of(&stat) },
                FileType::Directory => Existing::Folder,
                _ => Existing::Other,
            },
        })
    }

    /// Opens the finished file that has the name.
    pub(super) fn read(&self, path: &VaultPath) -> Result<Option<File>, TargetProblem> {
        match self.place(path, false)? {
            Some(place) => place.open_existing(&place.name, OFlags::RDONLY),
            None => Ok(None),
        }
    }

    /// The place of a file; `None` if a folder on the way is missing and none is to be made.
    pub(super) fn place(&self, path: &VaultPath, make: bool) -> Result<Option<Place>, TargetProblem> {
        let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        let folder = self.folder(folder, make)?;
        Ok(folder.map(|folder| Place { folder, name: name.to_owned(), owner: self.owner }))
    }

    fn folder(&self, path: &str, make: bool) -> Result<Option<Arc<OwnedFd>>, TargetProblem> {
        if path.is_empty() {
            return Ok(Some(Arc::clone(&self.root)));
        }
        if let Some(folder) = self.lock().get(path) {
            return Ok(Some(Arc::clone(folder)));
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if make {
            *missing = None;
        } else if missing.as_deref() == Some(path) {
            return Ok(None);
        }
        let mut folder = Arc::clone(&self.root);
        for (at, component) in components(path) {
            let name = path.get(at..at + component.len()).unwrap_or(component);
            match open_folder(&folder, name, make) {
                Ok(Some(opened)) => folder = Arc::new(opened),
                Ok(None) => {
                    *missing = Some(path.to_owned());
                    return Ok(None);
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let so_far = path.get(..at + component.len()).unwrap_or(path);
                    return Err(TargetProblem::NotAFolder(so_far.to_owned()));
                }
                Err(error) => return Err(write_problem(error.into())),
            }
        }
        let mut folders = self.lock();
        if folders.len() >= REMEMBERED {
            folders.clear();
        }
        folders.insert(path.to_owned(), Arc::clone(&folder));
        Ok(Some(folder))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<OwnedFd>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all that was written durable.
    #[cfg(target_os = "linux")]
    pub(super) fn sync(&self) -> Result<(), TargetProblem> {
        // One call for any number of small files and folders.
        rustix::fs::syncfs(&self.root).map_err(|error| write_problem(error.into()))
    }

    /// Makes all that was written durable: here each file was synced before it was renamed, as far as the system can.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn sync(&self) -> Result<(), TargetProblem> {
        rustix::fs::fsync(&self.root).map_err(|error| write_problem(error.into()))
    }
}

// Each component with where it begins.
fn components(path: &str) -> impl Iterator<Item = (usize, &str)> {
    path.split('/').scan(0, |at, component| {
        let begin = *at;
        *at += component.len() + 1;
        Some((begin, component))
    })
}

fn open_folder(above: &OwnedFd, name: &str, make: bool) -> Result<Option<OwnedFd>, Errno> {
    let open = || {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(above, name, flags, Mode::empty())
    };
    match open() {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT) if make => match rustix::fs::mkdirat(above, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => open().map(Some),
            Err(error) => Err(error),
        },
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Place {
    /// Opens the file that grows at this place, or makes it.
    pub(super) fn part(self, executable: bool) -> Result<Part, TargetProblem> {
        let part = side_name(&self.name, PART_SUFFIX);
        // For its owner alone, as what `open` writes: who else may read a genome is for a person to say.
        let all = Mode::RUSR | Mode::WUSR;
        let mode = if executable { all | Mode::XUSR } else { all };
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Again if another get renamed it between our opening it and locking it.
        for _ in 0..16 {
            let file = match rustix::fs::openat(&self.folder, &part, flags, mode) {
                Ok(file) => file,
                Err(Errno::LOOP | Errno::ISDIR) => return Err(TargetProblem::ForeignPart),
                Err(error) => return Err(write_problem(error.into())),
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(TargetProblem::InUse),
                Err(error) => return Err(error.into()),
            }
            let stat = rustix::fs::fstat(&file)?;
            // A second name for somebody's file would have it written to, and one that somebody else made may be open there.
            let ours = stat.st_uid == self.owner;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 || !ours {
                return Err(TargetProblem::ForeignPart);
            }
            let named = self.stat(&part)?;
            if stat.st_nlink == 1
                && named.is_some_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino))
            {
                let is_new = stat.st_size == 0;
                return Ok(Part { file: File::from(file), place: self, part, is_new });
            }
        }
        Err(TargetProblem::InUse)
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>, TargetProblem> {
        match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open_existing(&self, name: &str, access: OFlags) -> Result<Option<File>, TargetProblem> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an earlier get left a part and its log.
    pub(super) fn has_log(&self) -> Result<bool, TargetProblem> {
        Ok(self.stat(&side_name(&self.name, LOG_SUFFIX))?.is_some())
    }
}

impl Part {
    /// Opens the log of what was written, to read and to append; makes it if it is to be.
    pub(super) fn log(&self, make: bool) -> Result<Option<File>, TargetProblem> {
        let name = side_name(&self.place.name, LOG_SUFFIX);
        let mut flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if make {
            flags |= OFlags::CREATE;
        }
        match rustix::fs::openat(&self.place.folder, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::RegularFile => {
                Ok(Some(File::from(file)))
            }
            Err(Errno::NOENT) => Ok(None),
            Ok(_) | Err(Errno::LOOP) => Err(TargetProblem::ForeignPart),
            Err(error) => Err(write_problem(error.into())),
        }
    }

    /// Forgets what was written, and the log of it.
    pub(super) fn reset(&self) -> Result<(), TargetProblem> {
        self.empty()?;
        self.remove_log()
    }

    /// Forgets what was written, of which there is no log.
    pub(super) fn empty(&self) -> Result<(), TargetProblem> {
        // Most are new: nothing to forget, and one call less.
        if self.is_new { Ok(()) } else { Ok(self.file.set_len(0)?) }
    }

    /// Removes it: what was written is not what was asked for.
    pub(super) fn discard(self) -> Result<(), TargetProblem> {
        self.remove_log()?;
        Ok(rustix::fs::unlinkat(&self.place.folder, &self.part, AtFlags::empty())?)
    }

    /// Gives the finished file its time and its name, and removes its log, if it has one.
    pub(super) fn finish(self, size: u64, modified: i64, force: bool, logged: bool) -> Result<(), TargetProblem> {
        // A time that the file system can't hold is left out: the bytes matter more.
        let time = Timespec { tv_sec: modified, tv_nsec: 0 };
        let _ = rustix::fs::futimens(&self.file, &Timestamps { last_access: time, last_modification: time });
        if size >= SYNC_EACH || !cfg!(target_os = "linux") {
            self.file.sync_data().map_err(write_problem)?;
        }
        self.rename(force)?;
        if logged { self.remove_log() } else { Ok(()) }
    }

    fn rename(&self, force: bool) -> Result<(), TargetProblem> {
        let Place { folder, name, .. } = &self.place;
        if force {
            return rustix::fs::renameat(folder, &self.part, folder, name).map_err(exists);
        }
        match rustix::fs::renameat_with(folder, &self.part, folder, name, RenameFlags::NOREPLACE) {
            // A file system that does not know it knows links, which do not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(folder, &self.part, folder, name, AtFlags::empty()).map_err(exists)?;
                Ok(rustix::fs::unlinkat(folder, &self.part, AtFlags::empty())?)
            }
            other => other.map_err(exists),
        }
    }

    fn remove_log(&self) -> Result<(), TargetProblem> {
        let name = side_name(&self.place.name, LOG_SUFFIX);
        match rustix::fs::unlinkat(&self.place.folder, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn exists(error: Errno) -> TargetProblem {
    match error {
        Errno::EXIST => TargetProblem::Exists,
        Errno::ISDIR => TargetProblem::IsFolder,
        error => write_problem(error.into()),
    }
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

// A name beside a file's own; of a long one its hash, as names have a limit.
fn side_name(name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() < MAX_NAME {
        return format!(".{name}{suffix}");
    }
    let hash = blake3::hash(name.as_bytes());
    format!(".{}{suffix}", hash.to_hex())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn path(text: &str) -> VaultPath {
        text.parse().unwrap()
    }

    fn store(target: &Target, name: &str, bytes: &[u8], force: bool) -> Result<(), TargetProblem> {
        let mut part = target.place(&path(name), true)?.unwrap().part(false)?;
        part.file.set_len(0)?;
        part.file.write_all(bytes)?;
        part.finish(bytes.len() as u64, 1_000_000_000, force, false)
    }

    #[test]
    fn a_file_appears_whole_with_its_time_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(&dir.path().join("new/folder")).unwrap();
        let place = target.place(&path("a/b/c"), true).unwrap().unwrap();
        let part = place.part(true).unwrap();
        assert_eq!(target.existing(&path("a/b/c")).unwrap(), Existing::Nothing);
        part.finish(0, -5, false, false).unwrap();
        let metadata = fs::metadata(dir.path().join("new/folder/a/b/c")).unwrap();
        assert_eq!(metadata.mtime(), -5);
        assert_eq!(metadata.permissions().mode() & 0o100, 0o100);
        assert_eq!(fs::read_dir(dir.path().join("new/folder/a/b")).unwrap().count(), 1);
        target.sync().unwrap();
    }

    #[test]
    fn links_on_the_way_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let target = Target::open(dir.path()).unwrap();
        for bad in ["link/x", "link/deeper/x", "file/x"] {
            let error = store(&target, bad, b"x", true).unwrap_err();
            assert!(matches!(&error, TargetProblem::NotAFolder(at) if at == "link" || at == "file"), "{error:?}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_a_file_s_place_is_replaced_and_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let folder = dir.path().join("target");
        let target = Target::open(&folder).unwrap();
        symlink(&victim, folder.join("a")).unwrap();
        assert!(matches!(store(&target, "a", b"new", false), Err(TargetProblem::Exists)));
        store(&target, "a", b"new", true).unwrap();
        symlink(&victim, folder.join(".b.seqvault-part")).unwrap();
        assert!(matches!(store(&target, "b", b"new", true), Err(TargetProblem::ForeignPart)));
        fs::hard_link(&victim, folder.join(".c.seqvault-part")).unwrap();
        assert!(matches!(store(&target, "c", b"new", true), Err(TargetProblem::ForeignPart)));
        assert_eq!(fs::read(victim).unwrap(), b"precious");
        assert_eq!(fs::read(folder.join("a")).unwrap(), b"new");
    }

    #[test]
    fn an_existing_file_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path()).unwrap();
        store(&target, "a", b"one", false).unwrap();
        assert!(matches!(store(&target, "a", b"two", false), Err(TargetProblem::Exists)));
        assert_eq!(target.existing(&path("a")).unwrap(), Existing::File { size: 3 });
        store(&target, "a", b"two!", true).unwrap();
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"two!");
        fs::create_dir(dir.path().join("d")).unwrap();
        assert_eq!(target.existing(&path("d")).unwrap(), Existing::Folder);
        assert!(matches!(store(&target, "d", b"", true), Err(TargetProblem::IsFolder)));
    }

    #[test]
    fn two_gets_do_not_write_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path()).unwrap();
        let first = target.place(&path("a"), true).unwrap().unwrap().part(false).unwrap();
        let second = target.place(&path("a"), true).unwrap().unwrap().part(false);
        assert!(matches!(second, Err(TargetProblem::InUse)));
        first.finish(0, 0, false, false).unwrap();
    }

    #[test]
    fn names_as_long_as_they_may_be_have_room_to_grow() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path()).unwrap();
        let long = "x".repeat(255);
        store(&target, &long, b"x", false).unwrap();
        let deep = format!("{}{long}", format!("{}/", "y".repeat(255)).repeat(14));
        store(&target, &deep, b"deep", false).unwrap();
        let mut file = target.read(&path(&deep)).unwrap().unwrap();
        assert_eq!(io::read_to_string(&mut file).unwrap(), "deep");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = |errno: Errno| matches!(write_problem(errno.into()), TargetProblem::DiskFull);
        assert!(full(Errno::NOSPC) && full(Errno::DQUOT) && !full(Errno::IO));
    }

    #[test]
    fn the_rules_of_names_are_those_of_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::open(dir.path()).unwrap();
        let rules = target.name_rules().unwrap();
        fs::write(dir.path().join("probe"), "").unwrap();
        assert_eq!(rules.ignores_case, dir.path().join("PROBE").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

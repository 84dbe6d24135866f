//! The file that is written: it gets its name when it is whole, and never takes the place of another unless told so.
//!
//! Where the system can, the file has no name until then (`O_TMPFILE`), so not even a killed process leaves a fragment
//! of a plaintext behind. Elsewhere it is a hidden file beside the target that is removed when it is dropped.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::TempPath;

/// A file that could not be made or named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is one of this name, and it was not to be replaced.
    #[error("{} exists already", _0.display())]
    Exists(PathBuf),
    /// The name is a folder's.
    #[error("{} is a folder", _0.display())]
    Folder(PathBuf),
    /// The system's answer.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file, or its folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// What to do with a file of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Leave it alone and fail.
    Refuse,
    /// Replace it in one step, at the end.
    Replace,
}

/// Who may read the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner: it is a plaintext.
    Owner,
    /// Whom the umask lets: it is a ciphertext.
    Umask,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Umask => 0o666,
        }
    }
}

/// Something that is being written. Dropped before [`Target::keep`], a new file is gone.
#[derive(Debug)]
pub struct Target {
    file: File,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A pipe, a device, a terminal: what is written is out.
    Stream,
    /// A file without a name.
    Unnamed { path: PathBuf, if_exists: IfExists },
    /// A file with another name.
    Hidden { path: PathBuf, if_exists: IfExists, hidden: TempPath },
}

impl Target {
    /// Standard output.
    ///
    /// # Errors
    /// If it is closed.
    pub fn standard_output() -> io::Result<Self> {
        let fd = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self { file: File::from(fd), place: Place::Stream })
    }

    /// A file at `path`, or the device or pipe that is there.
    ///
    /// # Errors
    /// If there is a file already that must not be replaced, or none can be made there.
    pub fn create(path: &Path, readers: Readers, if_exists: IfExists) -> Result<Self, TargetError> {
        let failed = |error| TargetError::Io { path: path.to_owned(), error };
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(TargetError::Folder(path.to_owned())),
            Ok(there) if !there.is_file() => {
                let file = File::options().write(true).open(path).map_err(failed)?;
                return Ok(Self { file, place: Place::Stream });
            }
            _ => {}
        }
        // Asked now, before the work, and again, without a race, when the file gets its name. A dangling link counts.
        if if_exists == IfExists::Refuse && path.symlink_metadata().is_ok() {
            return Err(TargetError::Exists(path.to_owned()));
        }
        let folder = folder_of(path);
        let path = path.to_owned();
        if let Some(file) = unnamed(folder, readers) {
            return Ok(Self { file, place: Place::Unnamed { path, if_exists } });
        }
        let hidden = tempfile::Builder::new()
            .prefix(".seqvault-")
            .permissions(Permissions::from_mode(readers.mode()))
            .tempfile_in(folder)
            .map_err(|error| TargetError::Io { path: folder.to_owned(), error })?;
        let (file, hidden) = hidden.into_parts();
        Ok(Self { file, place: Place::Hidden { path, if_exists, hidden } })
    }

    /// The open file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Whether it becomes a file; otherwise what is written is out at once.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        !matches!(self.place, Place::Stream)
    }

    /// Gives the file its name. Its content must have been synced before.
    ///
    /// # Errors
    /// If a file of that name came up meanwhile and must not be replaced, or the system refuses.
    pub fn keep(self) -> Result<(), TargetError> {
        let (path, named) = match self.place {
            Place::Stream => return Ok(()),
            Place::Unnamed { path, if_exists } => {
                let named = name(&self.file, &path, if_exists);
                (path, named)
            }
            Place::Hidden { path, if_exists, hidden } => {
                let named = match if_exists {
                    IfExists::Refuse => hidden.persist_noclobber(&path),
                    IfExists::Replace => hidden.persist(&path),
                };
                (path, named.map_err(|e| e.error))
            }
        };
        // A name is durable when its folder is.
        let done = named.and_then(|()| File::open(folder_of(&path))?.sync_all());
        done.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => TargetError::Exists(path),
            _ => TargetError::Io { path, error },
        })
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// `None` if the file system has no such files, or there is no `/proc` to name one through.
fn unnamed(folder: &Path, readers: Readers) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::open(folder, flags, Mode::from_raw_mode(readers.mode())).ok()?;
    let file = File::from(fd);
    fs::metadata(through_proc(&file)).is_ok().then_some(file)
}

fn through_proc(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn name(file: &File, path: &Path, if_exists: IfExists) -> io::Result<()> {
    let link = |to: &Path| -> io::Result<()> {
        Ok(rustix::fs::linkat(CWD, through_proc(file), CWD, to, AtFlags::SYMLINK_FOLLOW)?)
    };
    match if_exists {
        IfExists::Refuse => link(path),
        // A link can't replace: link beside, then rename over.
        IfExists::Replace => {
            let beside = tempfile::Builder::new().prefix(".seqvault-").make_in(folder_of(path), link)?;
            beside.into_temp_path().persist(path).map_err(|e| e.error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(path: &Path, if_exists: IfExists) -> Result<Target, TargetError> {
        let target = Target::create(path, Readers::Owner, if_exists)?;
        target.file().write_all(b"new").unwrap();
        Ok(target)
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let target = written(&path, IfExists::Refuse).unwrap();
        assert!(!path.exists());
        target.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_file_that_is_not_kept_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(written(&folder.path().join("out"), IfExists::Refuse).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn an_existing_file_or_link_is_not_replaced_unless_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        assert!(matches!(written(&path, IfExists::Refuse), Err(TargetError::Exists(_))));
        written(&path, IfExists::Replace).unwrap().keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(matches!(written(&link, IfExists::Refuse), Err(TargetError::Exists(_))));
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_file_that_comes_up_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let target = written(&path, IfExists::Refuse).unwrap();
        fs::write(&path, "old").unwrap();
        assert!(matches!(target.keep(), Err(TargetError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_file_beside_the_target_serves_where_there_are_no_unnamed_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for if_exists in [IfExists::Refuse, IfExists::Replace] {
            let hidden = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
            let (file, hidden) = hidden.into_parts();
            Target { file, place: Place::Hidden { path: path.clone(), if_exists, hidden } }.keep().unwrap();
        }
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_device_is_written_to_and_a_folder_is_not() {
        let target = written(Path::new("/dev/null"), IfExists::Refuse).unwrap();
        assert!(!target.is_file());
        target.keep().unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(written(folder.path(), IfExists::Replace), Err(TargetError::Folder(_))));
    }
}

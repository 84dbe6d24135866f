//! Which files a put takes: arguments to a sorted list of vault paths and where their bytes are. Spec section 3.5.
//!
//! Names follow the manner of `cp -r` and `tar`: a file is stored under its own name, `run7` as `run7/...`, and `run7/`
//! or `run7/.` as what is in it. Links are never followed. What can't be stored is an error or is reported, never dropped
//! silently.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, FileType};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use vault_core::manifest::{FileRef, NameError, NameRules, PathError, VaultPath, check_names};

use super::{LOG_SUFFIX, PART_SUFFIX};

/// What a user names to be stored.
#[derive(Debug)]
pub enum Argument {
    /// A file or a folder.
    Path(PathBuf),
    /// Bytes of unknown length, and the path to store them under.
    Stream {
        /// Where they are stored.
        path: VaultPath,
        /// Where they come from.
        stream: Stream,
    },
}

/// Bytes of unknown length that come once.
pub struct Stream {
    reader: Mutex<Option<Box<dyn Read + Send>>>,
    modified: i64,
}

impl Stream {
    /// Bytes from a reader; `modified` is what is recorded as their time of modification, in seconds since 1970.
    #[must_use]
    pub fn new(reader: Box<dyn Read + Send>, modified: i64) -> Self {
        Self { reader: Mutex::new(Some(reader)), modified }
    }

    /// The reader, the first time.
    pub(super) fn take(&self) -> Option<Box<dyn Read + Send>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody took it.
    pub(super) fn is_taken(&self) -> bool {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(super) const fn modified(&self) -> i64 {
        self.modified
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(..)")
    }
}

/// Where an input's bytes are.
#[derive(Debug)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In a stream, which can be read once.
    Stream(Stream),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stream(_) => f.write_str("standard input"),
        }
    }
}

/// One file to be stored.
#[derive(Debug)]
pub struct Input {
    /// Where it is stored.
    pub path: VaultPath,
    /// Where its bytes are.
    pub source: Source,
    /// Its size in bytes when it was found, for progress only; 0 if unknown.
    pub size_hint: u64,
    /// Files of earlier uploads whose path it takes over; filled in by whoever knows the dataset.
    pub replaces: Vec<FileRef>,
}

/// What is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A symbolic link.
    Link,
    /// A folder with nothing in it that is stored.
    EmptyFolder,
    /// A socket.
    Socket,
    /// A named pipe.
    Pipe,
    /// A device.
    Device,
    /// What an interrupted get left.
    Partial,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "symbolic link",
            Self::EmptyFolder => "empty folder",
            Self::Socket => "socket",
            Self::Pipe => "named pipe",
            Self::Device => "device",
            Self::Partial => "left by an interrupted get",
        })
    }
}

/// Something below an argument that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, in order of vault path, bytewise.
    pub inputs: Vec<Input>,
    /// What is not stored, in the order in which it was met.
    pub skipped: Vec<Skipped>,
}

impl Found {
    /// Bytes of all files, as far as they are known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.size_hint).sum()
    }
}

/// Why an argument, or something in it, can't be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// It can't be read.
    #[error("{}", path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name is not UTF-8.
    #[error("{}: its name is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// A name breaks the rules of paths.
    #[error("{}: can't be stored under this name", path.display())]
    Name {
        /// Where it is.
        path: PathBuf,
        /// Which rule.
        #[source]
        source: PathError,
    },
    /// An argument is a link.
    #[error("{}: is a symbolic link; name what it points to, or add '/' to store what is in that folder", .0.display())]
    Link(PathBuf),
    /// An argument is no file or folder.
    #[error("{}: is a {kind} and can't be stored", path.display())]
    Special {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// Two files have one vault path.
    #[error("{first} and {second} would both be stored as '{path}'")]
    Twice {
        /// The vault path.
        path: VaultPath,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// A file's vault path is a folder of another's.
    #[error("'{0}' would be a file, and a folder of '{1}'")]
    FileAndFolder(VaultPath, VaultPath),
}

/// Finds all files that the arguments name.
///
/// # Errors
/// If anything can't be read or stored under its name, or two files would have one path.
pub fn walk(arguments: Vec<Argument>) -> Result<Found, WalkError> {
    let mut walk = Walk::default();
    for argument in arguments {
        match argument {
            Argument::Path(path) => walk.argument(&path)?,
            Argument::Stream { path, stream } => {
                walk.add(Input { path, source: Source::Stream(stream), size_hint: 0, replaces: Vec::new() })?;
            }
        }
    }
    walk.finish()
}

#[derive(Default)]
struct Walk {
    inputs: BTreeMap<VaultPath, Input>,
    skipped: Vec<Skipped>,
}

impl Walk {
    fn argument(&mut self, path: &Path) -> Result<(), WalkError> {
        let unreadable = |source| WalkError::Unreadable { path: path.to_owned(), source };
        // With a slash at the end this follows a link, as the shell's tools do: the user asked for what is inside.
        let metadata = fs::symlink_metadata(path).map_err(unreadable)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let prefix = if names_content(path) { String::new() } else { base_name(path)? };
            return self.folder(path, &prefix);
        }
        if kind.is_symlink() {
            return Err(WalkError::Link(path.to_owned()));
        }
        match special(kind) {
            Some(kind) => Err(WalkError::Special { path: path.to_owned(), kind }),
            None => self.file(path, &base_name(path)?, metadata.len()),
        }
    }

    // Breadth does not matter, as the result is sorted; a stack of our own instead of recursion, as paths may be deep.
    fn folder(&mut self, top: &Path, prefix: &str) -> Result<(), WalkError> {
        let mut todo = vec![(top.to_owned(), prefix.to_owned())];
        while let Some((folder, prefix)) = todo.pop() {
            let unreadable = |source| WalkError::Unreadable { path: folder.clone(), source };
            let mut empty = true;
            for entry in fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                empty = false;
                let path = entry.path();
                let name = utf8(&entry.file_name(), &path)?;
                let stored = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                let metadata =
                    entry.metadata().map_err(|source| WalkError::Unreadable { path: path.clone(), source })?;
                if metadata.is_dir() {
                    // Checked here, so that a folder whose name breaks the rules is named itself, and is not walked.
                    vault_path(&stored, &path)?;
                    todo.push((path, stored));
                } else if metadata.is_symlink() {
                    self.skip(path, Kind::Link);
                } else if let Some(kind) = special(metadata.file_type()) {
                    self.skip(path, kind);
                } else if stored.ends_with(PART_SUFFIX) || stored.ends_with(LOG_SUFFIX) {
                    self.skip(path, Kind::Partial);
                } else {
                    self.file(&path, &stored, metadata.len())?;
                }
            }
            if empty {
                self.skip(folder, Kind::EmptyFolder);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, stored: &str, size_hint: u64) -> Result<(), WalkError> {
        let source = Source::File(path.to_owned());
        self.add(Input { path: vault_path(stored, path)?, source, size_hint, replaces: Vec::new() })
    }

    fn add(&mut self, input: Input) -> Result<(), WalkError> {
        match self.inputs.get(&input.path) {
            Some(first) => Err(WalkError::Twice {
                path: input.path.clone(),
                first: first.source.to_string(),
                second: input.source.to_string(),
            }),
            None => {
                self.inputs.insert(input.path.clone(), input);
                Ok(())
            }
        }
    }

    fn skip(&mut self, path: PathBuf, kind: Kind) {
        self.skipped.push(Skipped { path, kind });
    }

    fn finish(self) -> Result<Found, WalkError> {
        // A file can't be a folder of another below one argument, but it can be among several.
        if let Err(NameError::FileAndFolder(file, below)) = check_names(self.inputs.keys(), NameRules::EXACT) {
            return Err(WalkError::FileAndFolder(file, below));
        }
        Ok(Found { inputs: self.inputs.into_values().collect(), skipped: self.skipped })
    }
}

// `run7/`, `run7/.`, `.`, `..` and `/` mean what is in the folder.
fn names_content(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b"." || path.file_name().is_none()
}

fn base_name(path: &Path) -> Result<String, WalkError> {
    utf8(path.file_name().unwrap_or_default(), path)
}

fn utf8(name: &OsStr, path: &Path) -> Result<String, WalkError> {
    name.to_str().map(str::to_owned).ok_or_else(|| WalkError::NotUtf8(path.to_owned()))
}

fn vault_path(stored: &str, path: &Path) -> Result<VaultPath, WalkError> {
    VaultPath::parse(stored).map_err(|source| WalkError::Name { path: path.to_owned(), source })
}

fn special(kind: FileType) -> Option<Kind> {
    if kind.is_file() {
        None
    } else if kind.is_socket() {
        Some(Kind::Socket)
    } else if kind.is_fifo() {
        Some(Kind::Pipe)
    } else {
        Some(Kind::Device)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    fn paths(arguments: &[PathBuf]) -> Result<Vec<String>, WalkError> {
        let arguments = arguments.iter().cloned().map(Argument::Path).collect();
        Ok(walk(arguments)?.inputs.iter().map(|input| input.path.to_string()).collect())
    }

    fn join(dir: &tempfile::TempDir, rest: &str) -> PathBuf {
        PathBuf::from(format!("{}/{rest}", dir.path().display()))
    }

    #[test]
    fn a_folder_keeps_its_name_unless_its_content_is_meant() {
        let dir = tree(&["run7/a", "run7/sub/b"]);
        assert_eq!(paths(&[join(&dir, "run7")]).unwrap(), ["run7/a", "run7/sub/b"]);
        for content in ["run7/", "run7/.", "run7/sub/.."] {
            assert_eq!(paths(&[join(&dir, content)]).unwrap(), ["a", "sub/b"], "{content}");
        }
        assert_eq!(paths(&[join(&dir, "run7/sub/b")]).unwrap(), ["b"]);
    }

    #[test]
    fn hidden_empty_deep_and_unicode_files_are_stored_in_byte_order() {
        let deep = format!("r/{}x", "d/".repeat(300));
        let dir = tree(&["r/.hidden", "r/b", "r/B", "r/日本", "r/a b", &deep, "r/b-", "r/b.d/x"]);
        fs::write(join(&dir, "r/empty"), "").unwrap();
        let found = paths(&[join(&dir, "r")]).unwrap();
        assert_eq!(found, ["r/.hidden", "r/B", "r/a b", "r/b", "r/b-", "r/b.d/x", &deep, "r/empty", "r/日本"]);
    }

    #[test]
    fn links_pipes_sockets_and_empty_folders_are_reported_and_not_stored() {
        let dir = tree(&["r/a", "r/.a.seqvault-part"]);
        symlink("a", join(&dir, "r/link")).unwrap();
        symlink("/", join(&dir, "r/root")).unwrap();
        fs::create_dir(join(&dir, "r/void")).unwrap();
        let _socket = UnixListener::bind(join(&dir, "r/socket")).unwrap();
        let found = walk(vec![Argument::Path(join(&dir, "r"))]).unwrap();
        assert_eq!(found.inputs.len(), 1);
        let mut skipped: Vec<_> =
            found.skipped.iter().map(|s| (s.path.file_name().unwrap().to_str().unwrap(), s.kind)).collect();
        skipped.sort_unstable_by_key(|(name, _)| *name);
        assert_eq!(
            skipped,
            [
                (".a.seqvault-part", Kind::Partial),
                ("link", Kind::Link),
                ("root", Kind::Link),
                ("socket", Kind::Socket),
                ("void", Kind::EmptyFolder)
            ]
        );
    }

    #[test]
    fn a_link_is_no_argument_but_what_is_behind_it_is() {
        let dir = tree(&["run7/a"]);
        symlink("run7", join(&dir, "current")).unwrap();
        assert!(matches!(paths(&[join(&dir, "current")]), Err(WalkError::Link(_))));
        assert_eq!(paths(&[join(&dir, "current/")]).unwrap(), ["a"]);
    }

    #[test]
    fn names_that_break_the_rules_are_errors_that_name_the_file() {
        let dir = tree(&["r/a\\b"]);
        let error = paths(&[join(&dir, "r")]).unwrap_err();
        assert!(
            matches!(&error, WalkError::Name { path, source: PathError::Backslash } if path.ends_with("a\\b")),
            "{error}"
        );
        let dir = tree(&["r/ok"]);
        fs::write(join(&dir, "r").join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert!(matches!(paths(&[join(&dir, "r")]), Err(WalkError::NotUtf8(_))));
        assert!(matches!(paths(&[join(&dir, "absent")]), Err(WalkError::Unreadable { .. })));
    }

    #[test]
    fn one_path_twice_is_an_error_that_names_both() {
        let dir = tree(&["x/reads", "y/reads"]);
        let error = paths(&[join(&dir, "x/reads"), join(&dir, "y/reads")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("x/reads") && text.contains("y/reads"), "{text}");
        assert!(matches!(paths(&[join(&dir, "x/"), join(&dir, "y/")]), Err(WalkError::Twice { .. })));
    }

    #[test]
    fn a_file_and_a_folder_of_one_path_are_an_error() {
        let dir = tree(&["x/reads", "y/reads/1"]);
        assert!(matches!(paths(&[join(&dir, "x/reads"), join(&dir, "y/reads")]), Err(WalkError::FileAndFolder(..))));
    }

    #[test]
    fn a_stream_has_the_path_that_it_is_given() {
        let stream = Stream::new(Box::new(io::empty()), 7);
        let path: VaultPath = "calls.vcf".parse().unwrap();
        let found = walk(vec![Argument::Stream { path: path.clone(), stream }]).unwrap();
        assert_eq!(found.inputs[0].path, path);
    }
}

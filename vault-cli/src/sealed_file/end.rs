//! The two ends of sealing or opening one file: what is read, and what is written. `-` is standard input or output.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::target::{IfExists, Readers, Target, TargetError};
use crate::error::{Failure, Kind, Outcome};
use crate::interrupt::{self, Stop};
use crate::output::{self, Output};
use crate::progress::Meter;
use crate::transfer::Progress;

/// Bytes that a pipe is asked to hold, so that both its ends run for longer.
const PIPE: usize = 1 << 20;

/// Whether a path names a file, and not standard input or output.
#[must_use]
pub fn is_named(path: &Path) -> bool {
    path != Path::new("-")
}

/// What is read.
#[derive(Debug)]
pub struct Input {
    /// The open file.
    pub file: File,
    /// What it was when it was opened.
    pub metadata: Metadata,
}

impl Input {
    /// Opens a file, or takes standard input.
    ///
    /// # Errors
    /// If there is none, it is a folder, or it can't be read.
    pub fn open(path: &Path) -> Outcome<Self> {
        let open = || -> io::Result<Self> {
            let file = if is_named(path) {
                File::open(path)?
            } else {
                // Past the standard library's buffer, which would copy everything once more.
                File::from(io::stdin().as_fd().try_clone_to_owned()?)
            };
            let metadata = file.metadata()?;
            Ok(Self { file, metadata })
        };
        let input = open().map_err(|e| Failure::file(path, &e))?;
        if input.metadata.is_dir() {
            return Err(Failure::usage(format!("{} is a folder", path.display()))
                .hint("`seqvault put` takes folders; or pipe `tar` into `seqvault seal -`"));
        }
        widen(&input.file);
        Ok(input)
    }

    /// What draws or writes its progress; nothing for what has no size.
    #[must_use]
    pub fn progress(&self, output: &Output) -> Box<dyn Progress> {
        if !self.metadata.is_file() {
            return Box::new(());
        }
        let meter = Meter::new(output);
        meter.total(self.metadata.len(), 1);
        Box::new(meter)
    }

    fn is_the_file_at(&self, path: &Path) -> bool {
        let same = |there: Metadata| (there.dev(), there.ino()) == (self.metadata.dev(), self.metadata.ino());
        self.metadata.is_file() && std::fs::metadata(path).is_ok_and(same)
    }
}

/// What is written.
#[derive(Debug)]
pub struct Destination {
    target: Target,
    path: Option<PathBuf>,
}

impl Destination {
    /// Prepares a file, or takes standard output if there is no path.
    ///
    /// # Errors
    /// If the file exists and is not to be replaced, is the input, or can't be made.
    pub fn open(path: Option<&Path>, readers: Readers, force: bool, input: &Input) -> Outcome<Self> {
        let Some(path) = path.filter(|path| is_named(path)) else {
            let target = Target::standard_output().map_err(|e| output::standard_output(&e))?;
            widen(target.file());
            return Ok(Self { target, path: None });
        };
        if input.is_the_file_at(path) {
            return Err(Failure::usage(format!("{} is the input", path.display())).hint("name another output"));
        }
        let if_exists = if force { IfExists::Replace } else { IfExists::Refuse };
        let target = Target::create(path, readers, if_exists).map_err(target_failure)?;
        Ok(Self { path: target.is_file().then(|| path.to_owned()), target })
    }

    /// Refuses to send bytes that no terminal can show to one.
    ///
    /// # Errors
    /// If it is one.
    pub fn refuse_terminal(&self) -> Outcome<()> {
        if self.target.file().is_terminal() {
            return Err(Failure::usage("a sealed file is not for a terminal")
                .hint("name the output with --output, or send standard output to a file or pipe"));
        }
        Ok(())
    }

    /// Runs what writes to it on a thread of its own, and syncs a file.
    ///
    /// The file itself stays here: if this future is dropped, it is gone at once.
    ///
    /// # Errors
    /// What `work` returns, or that the file could not be synced.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File, &Stop) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let file = self.target.file().try_clone().map_err(|e| write_failure(&e))?;
        let is_file = self.target.is_file();
        interrupt::blocking(move |stop| {
            let done = work(&file, stop)?;
            if is_file {
                file.sync_all().map_err(|e| write_failure(&e))?;
            }
            Ok(done)
        })
        .await
    }

    /// Gives a file its name; returns it, or `None` for what is no file.
    ///
    /// # Errors
    /// If one of that name came up meanwhile and is not to be replaced, or the system refuses.
    pub fn keep(self) -> Outcome<Option<PathBuf>> {
        self.target.keep().map_err(target_failure)?;
        Ok(self.path)
    }
}

/// What became of the output.
#[must_use]
pub fn write_failure(error: &io::Error) -> Failure {
    match error.kind() {
        // Whoever read it has enough.
        io::ErrorKind::BrokenPipe => output::standard_output(error),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::new(Kind::Storage, format!("the output could not be written: {error}"))
                .hint("nothing was left behind; free some space and run the same command again")
        }
        _ => Failure::new(Kind::Storage, format!("the output could not be written: {error}")),
    }
}

fn target_failure(error: TargetError) -> Failure {
    match &error {
        TargetError::Exists(_) => {
            Failure::new(Kind::Conflict, error.to_string()).hint("name another output, or replace it with --force")
        }
        TargetError::Folder(_) => Failure::usage(error.to_string()).hint("name a file"),
        TargetError::Io { path, error } => Failure::file(path, error),
    }
}

// Only pipes have a size, and one that stays as it is works as well.
fn widen(file: &File) {
    let _ = rustix::pipe::fcntl_setpipe_size(file, PIPE);
}

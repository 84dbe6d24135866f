//! Options that every verb knows, with their environment, and what follows from them: the output, the state folder, the identity.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Outcome};
use crate::output::Output;
use crate::state::StateFolder;

/// Options of every verb.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Options of every verb")]
pub struct Globals {
    /// The vault
    #[arg(long, global = true, value_name = "LOCATION", env = "SEQVAULT")]
    pub vault: Option<String>,

    /// The identity file [default: ~/.config/seqvault/identity]
    #[arg(long, global = true, value_name = "PATH", env = "SEQVAULT_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Read the passphrase from this open file descriptor, up to the first newline
    #[arg(long, global = true, value_name = "N", conflicts_with = "passphrase_env")]
    pub passphrase_fd: Option<i32>,

    /// Read the passphrase from the environment variable of this name; other processes of yours may see it
    #[arg(long, global = true, value_name = "NAME")]
    pub passphrase_env: Option<String>,

    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// No progress and no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// What this machine remembers of vaults [default: ~/.local/state/seqvault]
    #[arg(long, global = true, value_name = "DIR", env = "SEQVAULT_STATE")]
    pub state: Option<PathBuf>,
}

impl Globals {
    /// How to print.
    #[must_use]
    pub const fn output(&self) -> Output {
        Output { json: self.json, quiet: self.quiet }
    }

    /// The user's state folder.
    ///
    /// # Errors
    /// If none is named and there is no home.
    pub fn state(&self) -> Outcome<StateFolder> {
        StateFolder::find(self.state.as_deref())
    }

    /// Where the vault is.
    ///
    /// # Errors
    /// If none is named.
    pub fn location(&self) -> Outcome<&str> {
        self.vault
            .as_deref()
            .filter(|location| !location.is_empty())
            .ok_or_else(|| Failure::usage("which vault?").hint("name it with --vault, or set SEQVAULT"))
    }

    /// The identity file: the one named, or `$XDG_CONFIG_HOME/seqvault/identity`, or `~/.config/seqvault/identity`.
    ///
    /// # Errors
    /// If none is named and there is no home.
    pub fn identity_path(&self) -> Outcome<PathBuf> {
        if let Some(path) = self.identity.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            return Ok(path.clone());
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let base = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
        base.map(|b| b.join("seqvault/identity")).ok_or_else(|| {
            Failure::usage("which identity? HOME is not set").hint("name its file with --identity or SEQVAULT_IDENTITY")
        })
    }
}

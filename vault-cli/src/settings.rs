//! Options that every verb knows, with their environment, and what follows from them: the output, the state folder, the identity.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vault_core::card::Card;
use vault_keys::custodian::Custodian;
use vault_keys::file::{self, FileError};
use vault_keys::identity::UnlockError;
use vault_keys::passphrase::{Passphrase, PassphraseError};
use vault_policy::{Lang, Pack};

use crate::error::{Failure, Kind, Outcome, zh};
use crate::interrupt;
use crate::output::{self, Output};
use crate::state::StateFolder;

/// How often a wrong passphrase may be typed again.
pub const TRIES: usize = 3;

/// Options of every verb.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Options of every verb")]
pub struct Globals {
    /// The vault: a folder, s3://BUCKET/PREFIX, or a server's https://HOST
    #[arg(long, global = true, value_name = "LOCATION", env = "SEQVAULT")]
    pub vault: Option<String>,

    /// The identity file [default: ~/.config/seqvault/identity]
    #[arg(long, global = true, value_name = "PATH", env = "SEQVAULT_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Read the passphrase from this open file descriptor, up to the first newline
    #[arg(long, global = true, value_name = "N", conflicts_with = "passphrase_env")]
    pub passphrase_fd: Option<u32>,

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

    /// On a server: move packs through it, not straight to or from its store
    #[arg(long, global = true, env = "SEQVAULT_VIA_SERVER", value_parser = clap::builder::FalseyValueParser::new())]
    pub via_server: bool,

    /// Language of reasons, templates and help [default: as the locale says]
    #[arg(long, global = true, value_name = "LANG", env = "SEQVAULT_LANG", value_enum)]
    pub lang: Option<Language>,

    /// Rule packs besides those inside this program: a folder of .toml files
    #[arg(long, global = true, value_name = "DIR", env = "SEQVAULT_PACKS")]
    pub packs: Option<PathBuf>,

    /// The identity, once it is unlocked.
    #[arg(skip)]
    pub unlocked: Unlocked,
}

/// A language, as `--lang` names it.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English
    En,
    /// 中文
    Zh,
}

/// An identity that is unlocked at most once a command, whoever asks for it first.
#[derive(Clone, Default)]
pub struct Unlocked(Arc<Mutex<Option<Arc<dyn Custodian>>>>);

impl core::fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Unlocked(..)")
    }
}

/// Unlocks the identity that the options name, from any thread.
#[derive(Debug, Clone)]
pub struct Unlocker {
    identity: Option<PathBuf>,
    descriptor: Option<u32>,
    variable: Option<String>,
    lang: Lang,
    unlocked: Unlocked,
}

impl Unlocker {
    /// Unlocks the identity; the passphrase is asked for once a command, and again up to [`TRIES`] times if it was typed wrongly.
    ///
    /// # Errors
    /// If the identity file can't be read or the passphrase is wrong.
    pub fn unlock(&self) -> Outcome<Arc<dyn Custodian>> {
        // Held while somebody types: whoever comes second waits for the answer instead of asking again.
        let mut unlocked = self.unlocked.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(custodian) = unlocked.as_ref() {
            return Ok(Arc::clone(custodian));
        }
        let path = identity_path(self.identity.as_deref())?;
        let source = PassphraseSource::of(self.descriptor, self.variable.as_deref());
        let (_, opened) = with_passphrase(&path, source, self.lang, |passphrase| file::unlock(&path, passphrase))?;
        let custodian: Arc<dyn Custodian> = Arc::new(opened);
        *unlocked = Some(Arc::clone(&custodian));
        Ok(custodian)
    }
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassphraseSource<'a> {
    /// Somebody types it at the terminal, even if standard input is a pipe.
    Terminal,
    /// The first line of an open file descriptor.
    Descriptor(u32),
    /// An environment variable.
    Variable(&'a str),
}

impl Globals {
    /// How to print.
    #[must_use]
    pub const fn output(&self) -> Output {
        Output { json: self.json, quiet: self.quiet }
    }

    /// The language of reasons, templates and help: the one asked for, or the locale's.
    #[must_use]
    pub fn lang(&self) -> Lang {
        match self.lang {
            Some(Language::En) => Lang::En,
            Some(Language::Zh) => Lang::Zh,
            None => locale(|name| std::env::var(name).ok()),
        }
    }

    /// The rule packs that were given besides those inside this program.
    ///
    /// # Errors
    /// If a file can't be read, or is no pack.
    pub fn own_packs(&self) -> Outcome<Vec<Pack>> {
        self.packs.as_deref().map_or_else(|| Ok(Vec::new()), |folder| crate::facts::read_packs(folder, self.lang()))
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
        self.vault.as_deref().filter(|location| !location.is_empty()).ok_or_else(|| {
            Failure::usage("which vault?")
                .or_in_chinese("未指明保险库")
                .hints("name it with --vault, or set SEQVAULT", "请以 --vault 指明，或设置 SEQVAULT")
        })
    }

    /// The identity file: the one named, or `$XDG_CONFIG_HOME/seqvault/identity`, or `~/.config/seqvault/identity`.
    ///
    /// # Errors
    /// If none is named and there is no home.
    pub fn identity_path(&self) -> Outcome<PathBuf> {
        identity_path(self.identity.as_deref())
    }

    /// The identity's public half; no passphrase is asked for.
    ///
    /// # Errors
    /// If the identity file can't be read or is none.
    pub fn card(&self) -> Outcome<Card> {
        let path = self.identity_path()?;
        file::read(&path).map(|identity| identity.card().clone()).map_err(|e| identity_failure(&path, e))
    }

    /// As [`Unlocker::unlock`].
    ///
    /// # Errors
    /// If the identity file can't be read or the passphrase is wrong.
    pub fn unlock(&self) -> Outcome<Arc<dyn Custodian>> {
        self.unlocker().unlock()
    }

    /// What unlocks the identity when it is needed.
    #[must_use]
    pub fn unlocker(&self) -> Unlocker {
        Unlocker {
            identity: self.identity.clone(),
            descriptor: self.passphrase_fd,
            variable: self.passphrase_env.clone(),
            lang: self.lang(),
            unlocked: self.unlocked.clone(),
        }
    }

    /// Where the passphrase comes from.
    #[must_use]
    pub fn passphrase_source(&self) -> PassphraseSource<'_> {
        PassphraseSource::of(self.passphrase_fd, self.passphrase_env.as_deref())
    }
}

impl<'a> PassphraseSource<'a> {
    /// The one that options name, or the terminal.
    #[must_use]
    pub fn of(descriptor: Option<u32>, variable: Option<&'a str>) -> Self {
        match (descriptor, variable) {
            (Some(fd), _) => Self::Descriptor(fd),
            (None, Some(name)) => Self::Variable(name),
            (None, None) => Self::Terminal,
        }
    }

    /// Reads the passphrase of an identity.
    ///
    /// # Errors
    /// If there is no terminal, descriptor or variable, or no passphrase in it.
    pub fn read(self, question: &str) -> Outcome<Passphrase> {
        match self {
            Self::Terminal => interrupt::at_prompt(|| Passphrase::prompt(question)),
            Self::Descriptor(fd) => Passphrase::from_fd(fd),
            Self::Variable(name) => Passphrase::from_env(name),
        }
        .map_err(passphrase_failure)
    }

    /// Reads a new passphrase: at the terminal twice, and again if the two differ.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_new(self, question: &str) -> Outcome<Passphrase> {
        if self != Self::Terminal {
            return self.read(question);
        }
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match interrupt::at_prompt(|| Passphrase::prompt_new(question, "And again: ")) {
                Err(error @ (PassphraseError::Differ | PassphraseError::Empty)) if tries > 0 => {
                    output::warn(&format!("{error}; once more"));
                }
                read => return read.map_err(passphrase_failure),
            }
        }
    }
}

/// Whether help is wanted in Chinese, which has to be known before the command line is parsed.
#[must_use]
pub fn help_is_chinese() -> bool {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let after = |arg: &String| arg == "--lang";
    let named = args
        .iter()
        .find_map(|arg| arg.strip_prefix("--lang=").map(str::to_owned))
        .or_else(|| args.iter().position(after).and_then(|at| args.get(at + 1).cloned()))
        .or_else(|| std::env::var("SEQVAULT_LANG").ok().filter(|value| !value.is_empty()));
    named.map_or_else(|| locale(|name| std::env::var(name).ok()), |named| Lang::of_locale(&named)) == Lang::Zh
}

/// The language of the locale, by the first of its variables that is set, as POSIX orders them.
#[must_use]
pub fn locale(variable: impl Fn(&str) -> Option<String>) -> Lang {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    names
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .map_or(Lang::En, |value| Lang::of_locale(&value))
}

fn identity_path(given: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(path) = given.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(path.to_owned());
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base =
        set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    base.map(|b| b.join("seqvault/identity")).ok_or_else(|| {
        Failure::usage("which identity? HOME is not set").or_in_chinese("未指明身份：HOME 未设置").hints(
            "name its file with --identity or SEQVAULT_IDENTITY",
            "请以 --identity 或 SEQVAULT_IDENTITY 指明其文件",
        )
    })
}

/// Does what needs the passphrase of an identity file, and returns the right one too. A wrong one that was typed may be
/// typed again.
///
/// # Errors
/// If the file can't be read, there is no passphrase, or it is wrong.
pub fn with_passphrase<T>(
    path: &Path,
    source: PassphraseSource<'_>,
    lang: Lang,
    mut unlock: impl FnMut(&Passphrase) -> Result<T, FileError>,
) -> Outcome<(Passphrase, T)> {
    // Nobody is asked for the passphrase of a file that can't be used.
    let identity = file::read(path).map_err(|e| identity_failure(path, e))?;
    let whose = output::printable(&describe(path, identity.card()));
    let question = match lang {
        Lang::En => format!("Passphrase of {whose}: "),
        Lang::Zh => format!("{whose} 的口令："),
    };
    let mut tries = if source == PassphraseSource::Terminal { TRIES } else { 1 };
    loop {
        let passphrase = source.read(&question)?;
        tries -= 1;
        match unlock(&passphrase) {
            Err(FileError::Unlock(UnlockError::WrongPassphrase)) if tries > 0 => {
                output::warn(match lang {
                    Lang::En => "wrong passphrase; once more",
                    Lang::Zh => "口令错误，请再输入一次",
                });
            }
            Err(error) => return Err(identity_failure(path, error)),
            Ok(unlocked) => return Ok((passphrase, unlocked)),
        }
    }
}

/// What is wrong with an identity file, in words.
#[must_use]
pub fn identity_failure(path: &Path, error: FileError) -> Failure {
    let (hint, hint_zh) = match &error {
        FileError::Io { path, error } if error.kind() != io::ErrorKind::NotFound => return Failure::file(path, error),
        FileError::Io { .. } => (
            "make one with `seqvault identity new`, or name another with --identity",
            "请以 `seqvault identity new` 新建，或以 --identity 指明其他身份",
        ),
        FileError::Permissions(_) => (
            "others may have copied it. If not, `chmod 600` makes it yours alone",
            "他人可能已复制。若未被复制，`chmod 600` 可使其仅供本人使用",
        ),
        FileError::Exists(_) => ("an identity is never overwritten: take another name", "身份文件从不覆盖：请另取名称"),
        FileError::Identity(_) => (
            "restore the file from a copy; without it nothing that was sealed to it opens",
            "请从副本恢复该文件；没有它，封装给它的内容均无法打开",
        ),
        FileError::Unlock(UnlockError::WrongPassphrase) => ("nothing was changed", "未作任何更改"),
        _ => ("", ""),
    };
    let kind = if matches!(error, FileError::Exists(_)) { Kind::Conflict } else { Kind::Identity };
    let failure = Failure::new(kind, error.to_string()).or_in_chinese(zh::identity(&error));
    let failure = match &error {
        FileError::Identity(_) | FileError::Unlock(_) => failure.at(path.display()),
        _ => failure,
    };
    if hint.is_empty() { failure } else { failure.hints(hint, hint_zh) }
}

fn passphrase_failure(error: PassphraseError) -> Failure {
    let failure = || Failure::new(Kind::Identity, error.to_string()).or_in_chinese(zh::passphrase(&error));
    match &error {
        PassphraseError::Io(e) if e.kind() == io::ErrorKind::Interrupted => interrupt::interrupted(),
        PassphraseError::Io(_) => failure().hints(
            "there may be no terminal to ask at: give it with --passphrase-fd or --passphrase-env",
            "可能没有可供输入的终端：请用 --passphrase-fd 或 --passphrase-env 提供",
        ),
        _ => failure(),
    }
}

fn describe(path: &Path, card: &Card) -> String {
    if card.label().is_empty() { path.display().to_string() } else { format!("{} ({})", path.display(), card.label()) }
}

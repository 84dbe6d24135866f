//! What can go wrong, for people and for scripts: a kind that fixes the exit code, a message, and what to do next.
//!
//! Kinds are few and stable; messages are not. Every crate's errors become a [`Failure`] here and nowhere else.

use core::fmt;

use vault_core::ids::LedgerId;
use vault_core::ledger::fold::Stop;
use vault_core::ledger::pin::PinError;
use vault_policy::Lang;

/// What kind of failure it is. The number is the exit code and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Anything else.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No such vault, dataset, member, path or file.
    NotFound = 3,
    /// Not allowed: no role, no grant, not enrolled, expired, a head that is too old.
    Refused = 4,
    /// Something was changed, cut short, rolled back or forked.
    Integrity = 5,
    /// Somebody else acted first, or something is in the way.
    Conflict = 6,
    /// The identity or its passphrase.
    Identity = 7,
    /// The store, the disk or the network.
    Storage = 8,
    /// Stopped by the user.
    Interrupted = 130,
}

impl Kind {
    /// The kind's word in `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
            Self::Integrity => "integrity",
            Self::Conflict => "conflict",
            Self::Identity => "identity",
            Self::Storage => "storage",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// What was wrong, and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The message in Chinese, where it came from elsewhere in both languages: said instead if that is the reader's language.
    pub zh: Option<String>,
}

/// What a verb returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, zh: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same in Chinese.
    #[must_use]
    pub fn or_in_chinese(mut self, message: impl Into<String>) -> Self {
        self.zh = Some(message.into());
        self
    }

    /// The message in a language.
    #[must_use]
    pub fn say(&self, lang: Lang) -> &str {
        self.zh.as_deref().filter(|_| lang == Lang::Zh).unwrap_or(&self.message)
    }

    /// Says before the message where it happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self.zh = self.zh.map(|zh| format!("{place}：{zh}"));
        self
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// It is not allowed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// It was changed or cut short.
    pub fn integrity(message: impl Into<String>) -> Self {
        Self::new(Kind::Integrity, message)
    }

    /// A file or folder of this machine.
    #[must_use]
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Storage };
        let failure = Self::new(kind, format!("{}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                failure.hint("free some space and run the same command again: it goes on where it stopped")
            }
            std::io::ErrorKind::PermissionDenied => failure.hint("check the file's owner and mode"),
            _ => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<PinError> for Failure {
    fn from(error: PinError) -> Self {
        let (PinError::Shorter { ledger, .. } | PinError::Changed { ledger, .. }) = &error else {
            return Self::integrity(error.to_string());
        };
        let restored = match ledger {
            LedgerId::Vault => "no recovery settles that: an officer invites you again (`seqvault member invite MEMBER`), and you `seqvault join INVITATION --again`".to_owned(),
            _ => format!("an officer has to say so with a signed recovery (`seqvault recover {ledger} ENTRY --hash HASH --cut`, of its last entry)"),
        };
        Self::integrity(error.to_string()).hint(format!(
            "the vault shows less, or other, than it did before: ask an officer. If it was restored from a backup, {restored}"
        ))
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        let hint = match &stop {
            Stop::NeedsVersion { .. } => "install a newer seqvault".to_owned(),
            Stop::Fork { ledger: LedgerId::Vault, seq, hash, .. } => format!(
                "run `seqvault verify` to see the entries around it, and ask an officer to settle it: `seqvault recover vault {seq} --hash {hash}`. Where the genesis asks for approvals of a recovery, or a second entry behind it forks too, this version can't: whoever keeps the store moves the entries from {seq} on away and keeps them as evidence; nobody's reading went beyond it"
            ),
            Stop::Fork { ledger, seq, hash, .. } => format!(
                "run `seqvault verify` to see the entries around it, and ask an officer to settle it: `seqvault recover {ledger} {seq} --hash {hash}`"
            ),
            _ => "run `seqvault verify` to see the entries around it, and ask an officer to settle it".to_owned(),
        };
        Self::integrity(stop.to_string()).hint(hint)
    }
}

//! What can go wrong, for people and for scripts: a kind that fixes the exit code, a message, and what to do next.
//!
//! Kinds are few and stable; messages are not. Every crate's errors become a [`Failure`] here and nowhere else.

pub mod zh;

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
    /// The message in Chinese, where whoever made it did not know the reader's language: said instead if it is that.
    pub zh: Option<String>,
    /// The hint in Chinese, as the message.
    pub hint_zh: Option<String>,
}

/// What a verb returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, zh: None, hint_zh: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self.hint_zh = None;
        self
    }

    /// Adds what to do about it, in both languages.
    #[must_use]
    pub fn hints(mut self, en: impl Into<String>, zh: impl Into<String>) -> Self {
        self.hint = Some(en.into());
        self.hint_zh = Some(zh.into());
        self
    }

    /// Adds that the command is to be run again.
    #[must_use]
    pub fn again(self) -> Self {
        self.hints("run the same command again", "请重新运行同一命令")
    }

    /// Without a hint, where what was said already tells more.
    #[must_use]
    pub fn no_hint(mut self) -> Self {
        (self.hint, self.hint_zh) = (None, None);
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

    /// The hint in a language.
    #[must_use]
    pub fn say_hint(&self, lang: Lang) -> Option<&str> {
        self.hint_zh.as_deref().filter(|_| lang == Lang::Zh).or(self.hint.as_deref())
    }

    /// Says before the message where it happened, in both languages.
    #[must_use]
    pub fn at_both(mut self, en: impl fmt::Display, zh: impl fmt::Display) -> Self {
        self.zh = self.zh.map(|text| format!("{zh}：{text}"));
        self.message = format!("{en}: {}", self.message);
        self
    }

    /// Says before the message where it happened.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        self.at_both(&place, &place)
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
        let failure = Self::new(kind, format!("{}: {error}", path.display())).or_in_chinese(format!(
            "{}：{}",
            path.display(),
            zh::io(error)
        ));
        match error.kind() {
            std::io::ErrorKind::StorageFull => failure.hints(
                "free some space and run the same command again: it goes on where it stopped",
                "请腾出空间后重新运行同一命令：将从中断处继续",
            ),
            std::io::ErrorKind::PermissionDenied => {
                failure.hints("check the file's owner and mode", "请检查文件的属主和权限")
            }
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
            return Self::integrity(error.to_string()).or_in_chinese(zh::pin(&error));
        };
        let (restored, restored_zh) = match ledger {
            LedgerId::Vault => (
                "no recovery settles that: an officer invites you again (`seqvault member invite MEMBER`), and you `seqvault join INVITATION --again`".to_owned(),
                "恢复声明无济于事：请管理员重新邀请（`seqvault member invite MEMBER`），再运行 `seqvault join INVITATION --again`".to_owned(),
            ),
            _ => (
                format!("an officer has to say so with a signed recovery (`seqvault recover {ledger} ENTRY --hash HASH --cut`, of its last entry)"),
                format!("须由管理员以签名的恢复声明写明（`seqvault recover {ledger} ENTRY --hash HASH --cut`，指其末条）"),
            ),
        };
        Self::integrity(error.to_string()).or_in_chinese(zh::pin(&error)).hints(
            format!("the vault shows less, or other, than it did before: ask an officer. If it was restored from a backup, {restored}"),
            format!("保险库所示少于或不同于此前：请询问管理员。若由备份恢复，{restored_zh}"),
        )
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
        Self::integrity(stop.to_string()).or_in_chinese(zh::stop(&stop)).hints(hint, zh::stop_hint(&stop))
    }
}

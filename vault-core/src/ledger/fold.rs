//! What the folds share: verdicts, stops, and the checks that come before a kind's own. Spec sections 4.4 and 4.5.

use std::collections::BTreeMap;

use super::statement::{Entry, FORMAT, Said, Statement};
use crate::hazmat::kdf::Sha256;
use crate::hazmat::sign::VerifyingKey;
use crate::ids::{CardId, EntryHash, LedgerId, VaultId};

/// Why an entry is void: what a person reads in `log`, and what the second reader compares.
pub type Void = &'static str;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It changed the state.
    Applied,
    /// It keeps its place and changes nothing, for this reason.
    Void(Void),
    /// A kind of a newer format that says of itself that it may be passed over.
    Skipped,
}

/// An entry's place in a ledger, its hash and its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Its hash, which stands for all entries up to it.
    pub hash: EntryHash,
    /// What became of it.
    pub verdict: Verdict,
}

/// Why a fold stopped: what came before stands, nothing after it is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// An authorised entry that does not continue the chain.
    #[error(
        "ledger {ledger} forks at entry {seq} ({why}); an officer has to settle it with a recovery that names {hash}"
    )]
    Fork {
        /// The ledger.
        ledger: LedgerId,
        /// The entry.
        seq: u64,
        /// Its hash.
        hash: EntryHash,
        /// What does not fit.
        why: &'static str,
    },
    /// An entry that this version must not pass over.
    #[error("ledger {ledger} needs a newer version: entry {seq} is of format {format}, this version reads {FORMAT}")]
    NeedsVersion {
        /// The ledger.
        ledger: LedgerId,
        /// The entry.
        seq: u64,
        /// Its format.
        format: u64,
    },
}

/// When and at which vault entry an author speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Seconds since 1970.
    pub time: u64,
    /// Roles are those after this entry of the vault ledger.
    pub vault: u64,
}

/// Parses an entry and checks that it says where it stands (rule 1).
pub(super) fn parse_at(stored: &[u8], vault: Option<&VaultId>, ledger: &LedgerId, seq: u64) -> Result<Entry, Void> {
    let entry = Entry::parse(stored)?;
    let frame = entry.said.frame();
    if frame.vault.as_ref() != vault || frame.ledger != *ledger || frame.seq != seq {
        return Err("misplaced: names another vault, ledger or number");
    }
    if frame.prev.is_none() && vault.is_some() {
        return Err("malformed: names no entry before it");
    }
    Ok(entry)
}

/// An entry's hash: SHA-256 over the hash of the entry before and the stored bytes. Spec section 1.2.
///
/// Before the genesis is nothing; before entry 0 of another ledger stands the vault id. The hash of the entry before goes in, and not
/// only what the entry says of it, because a void entry says nothing that can be believed: so a number and a hash stand for
/// every entry up to there, and what is signed, pinned or seen after an entry commits to it.
#[must_use]
pub fn entry_hash(before: Option<EntryHash>, stored: &[u8]) -> EntryHash {
    let mut hash = Sha256::new();
    if let Some(before) = before {
        hash.update(&before.0);
    }
    hash.update(stored);
    EntryHash(hash.finish())
}

/// A known statement, or what becomes of an unknown one (rule 4). `raised_to` is the vault's format where the author spoke.
pub(super) enum Known<'a> {
    Statement(&'a Statement),
    Skip,
    Stop { format: u64 },
}

pub(super) fn known(said: &Said, raised_to: u64) -> Result<Known<'_>, Void> {
    match said {
        Said::Known(statement) => Ok(Known::Statement(statement)),
        Said::Unknown { format, critical, .. } if (FORMAT + 1..=raised_to).contains(format) => {
            if *critical {
                Ok(Known::Stop { format: *format })
            } else {
                Ok(Known::Skip)
            }
        }
        Said::Unknown { .. } => Err("unknown kind or format"),
    }
}

/// Checks the entry's signature under a card's key.
pub(super) fn check_signature(entry: &Entry, key: &VerifyingKey) -> Result<(), Void> {
    entry.envelope.verify(key).map_err(|_| "bad signature")
}

/// A value with its past, so that it can be asked as of an entry. Values are set in the order of entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline<T>(Vec<(u64, T)>);

impl<T> Timeline<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn set(&mut self, since: u64, value: T) {
        self.0.push((since, value));
    }

    /// The value after entry `seq`, and since which entry.
    pub(super) fn entry_at(&self, seq: u64) -> Option<(u64, &T)> {
        let later = self.0.partition_point(|(since, _)| *since <= seq);
        later.checked_sub(1).and_then(|last| self.0.get(last)).map(|(since, value)| (*since, value))
    }

    /// The value after entry `seq`.
    pub(super) fn at(&self, seq: u64) -> Option<&T> {
        self.entry_at(seq).map(|(_, value)| value)
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }
}

/// Verifying keys of cards by id; a small map that all folds share.
pub(super) type Keys = BTreeMap<CardId, VerifyingKey>;

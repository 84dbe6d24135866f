//! What a client remembers of a ledger, and whether what it sees now continues it. Spec section 4.6.

use serde::{Deserialize, Serialize};

use super::statement::RecoveryAction;
use super::vault::VaultState;
use crate::ids::{EntryHash, LedgerId};

/// The last entry that a client has seen of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its hash.
    pub hash: EntryHash,
    /// Its number.
    pub seq: u64,
    /// The newest vault entry that was known then: only a later recovery can explain a difference.
    pub vault_seq: u64,
}

/// A ledger that does not continue what a client has seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// It is shorter than what was seen.
    #[error("ledger {ledger} was rolled back: entry {seq} was seen before and is gone")]
    Shorter {
        /// The ledger.
        ledger: LedgerId,
        /// The entry that was seen.
        seq: u64,
    },
    /// It has another entry at a place that was seen.
    #[error("ledger {ledger} was changed: entry {seq} is not the one that was seen before")]
    Changed {
        /// The ledger.
        ledger: LedgerId,
        /// The entry that was seen.
        seq: u64,
    },
}

/// Checks a ledger's entry hashes against a pin.
///
/// `vault` must itself have passed this check. A cut of the vault ledger never passes by itself: whoever could roll it back could
/// also bring back an officer who has left since, so it takes a new invitation.
///
/// # Errors
/// If the ledger is shorter than the pin or differs from it, and no officer's cut explains it.
pub fn check(
    ledger: &LedgerId,
    pin: &Pin,
    hash_at: impl Fn(u64) -> Option<EntryHash>,
    vault: &VaultState,
) -> Result<(), PinError> {
    let problem = match hash_at(pin.seq) {
        Some(hash) if hash == pin.hash => return Ok(()),
        Some(_) => PinError::Changed { ledger: ledger.clone(), seq: pin.seq },
        None => PinError::Shorter { ledger: ledger.clone(), seq: pin.seq },
    };
    let cut = vault.recovered().iter().rev().find(|settled| {
        let t = &settled.terms;
        t.action == RecoveryAction::Cut
            && t.ledger == *ledger
            && *ledger != LedgerId::Vault
            && settled.seq > pin.vault_seq
            && t.seq <= pin.seq
            && hash_at(t.seq) == Some(t.hash)
    });
    if cut.is_some() { Ok(()) } else { Err(problem) }
}

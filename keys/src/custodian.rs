//! The trait of whatever holds an identity's keys: a file that was unlocked, memory, later a token.

use vault_core::card::Card;
use vault_core::context::Context;
use vault_core::seal::OpenError;
use vault_core::secret::Secret32;

/// A key that could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyError {
    /// The message is neither DSSE's pre-authentication encoding nor an HTTP signature base.
    #[error("an identity does not sign messages of this kind")]
    NotSignable,
    /// A seal that does not open, whatever the cause.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The keys are not there at the moment, for a provider that can lose them.
    #[error("the keys can't be reached: {0}")]
    Unavailable(&'static str),
}

/// Holds the two keys of an identity and uses them for others. Neither key ever comes out.
pub trait Custodian: Send + Sync {
    /// The identity's public half.
    fn card(&self) -> &Card;

    /// Signs DSSE's pre-authentication encoding, or an HTTP signature base (RFC 9421), and nothing else.
    ///
    /// # Errors
    /// If the message is of another kind, or the key can't be reached.
    fn sign(&self, pae: &[u8]) -> Result<[u8; 64], CustodyError>;

    /// Opens a seal to the card's KEM key. Its hash must have been found in a valid statement before.
    ///
    /// # Errors
    /// One for every seal that does not open; another if the key can't be reached.
    fn open(&self, sealed: &[u8], info: &Context) -> Result<Secret32, CustodyError>;
}

/// Whether an identity signs messages of this kind. Every provider asks this first.
///
/// The two kinds never meet: one starts with `DSSEv1 `, each line of the other with a quoted component name.
///
/// # Errors
/// If it does not.
pub fn check_signable(message: &[u8]) -> Result<(), CustodyError> {
    if message.starts_with(b"DSSEv1 ") || message.starts_with(b"\"") { Ok(()) } else { Err(CustodyError::NotSignable) }
}

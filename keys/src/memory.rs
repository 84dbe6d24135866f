//! The provider that holds an identity's secrets in this process's memory.

use rand_core::CryptoRng;
use vault_core::card::{Card, CardError};
use vault_core::context::Context;
use vault_core::hazmat::sign::SigningKey;
use vault_core::seal::{self, PrivateKey};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

use crate::custodian::{Custodian, CustodyError, check_signable};
use crate::identity::Secrets;
use crate::locked::LockedSecrets;

/// Secrets that are not those of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secrets are not those of the card")]
pub struct NotOfThisCard;

/// An unlocked identity: its card, and its secrets in locked memory.
#[derive(Debug)]
pub struct MemoryCustodian {
    card: Card,
    secrets: LockedSecrets,
}

impl MemoryCustodian {
    /// Takes over the secrets of a card.
    ///
    /// # Errors
    /// If they are of another card.
    pub fn new(card: Card, secrets: Secrets) -> Result<Self, NotOfThisCard> {
        if !secrets.are_of(&card) {
            return Err(NotOfThisCard);
        }
        Ok(Self { card, secrets: LockedSecrets::new(secrets.signing(), secrets.kem()) })
    }

    /// Makes an identity that lives as long as this value. `created` is in seconds since 1970.
    ///
    /// # Errors
    /// If the label or the time is out of bounds.
    pub fn generate(suite: Suite, label: &str, created: u64, rng: &mut impl CryptoRng) -> Result<Self, CardError> {
        let secrets = Secrets::generate(rng);
        let card = secrets.make_card(suite, label, created)?;
        Ok(Self { card, secrets: LockedSecrets::new(secrets.signing(), secrets.kem()) })
    }

    /// Whether the system keeps the secrets out of swap.
    #[must_use]
    pub const fn memory_is_locked(&self) -> bool {
        self.secrets.is_locked()
    }
}

const UNREACHABLE: CustodyError = CustodyError::Unavailable("memory");

impl Custodian for MemoryCustodian {
    fn card(&self) -> &Card {
        &self.card
    }

    fn sign(&self, pae: &[u8]) -> Result<[u8; 64], CustodyError> {
        check_signable(pae)?;
        let seed: Secret32 = self.secrets.first().ok_or(UNREACHABLE)?;
        Ok(SigningKey::from_seed(&seed).sign(pae))
    }

    fn open(&self, sealed: &[u8], info: &Context) -> Result<Secret32, CustodyError> {
        let key = PrivateKey::from_secret(self.card.suite(), self.secrets.second().ok_or(UNREACHABLE)?);
        Ok(seal::open(&key, sealed, info)?)
    }
}

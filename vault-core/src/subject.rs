//! The subject key: what stewards of a vault share to count persons once, and to keep what recipients need not see. Spec section 2.7.
//!
//! It opens no data. Who has it can tell whether a known person is in a set of marks, and reads the sealed parts of facts.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::card::Card;
use crate::context::Scope;
use crate::floe::{self, FloeError};
use crate::hazmat::kdf;
use crate::ids::{CardId, Digest, MemberId};
use crate::seal::{self, OpenError, PrivateKey, SealError};
use crate::secret::Secret32;

/// The longest that is kept as one object, in bytes: half a million marks.
pub const MAX_KEPT: usize = 16 << 20;
const HEAD: usize = 16;

/// What can't be kept, or is not what was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// Longer than 16 MiB.
    #[error("what is kept has at most 16 MiB")]
    TooLong,
    /// Too short to name a generation.
    #[error("the kept object names no generation of the subject key")]
    Short,
    /// Kept under another generation.
    #[error("it is kept under generation {0} of the subject key")]
    Generation(u64),
    /// It does not open.
    #[error("the kept object does not open: {0}")]
    Body(#[from] FloeError),
    /// It opens to something else than its name says.
    #[error("the kept object is not the one that its name says")]
    Other,
}

/// A subject key.
#[derive(Debug)]
pub struct SubjectKey(Secret32);

impl SubjectKey {
    /// Draws a new one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret32::generate(rng))
    }

    /// One that was opened.
    #[must_use]
    pub const fn accept(secret: Secret32) -> Self {
        Self(secret)
    }

    /// Opens a sealed one.
    ///
    /// # Errors
    /// If the seal does not open.
    pub fn open(
        key: &PrivateKey,
        sealed: &[u8],
        vault: &Scope,
        generation: u64,
        author: &MemberId,
        card: &CardId,
    ) -> Result<Self, OpenError> {
        seal::open(key, sealed, &vault.subject_key(generation, author, card)).map(Self)
    }

    /// Seals it to a steward's card. `vault` is a scope without a dataset.
    ///
    /// # Errors
    /// If the card is of another suite.
    pub fn seal_to(
        &self,
        vault: &Scope,
        generation: u64,
        author: &MemberId,
        card: &Card,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        if card.suite() != vault.suite {
            return Err(SealError::Suite);
        }
        seal::seal(card.kem(), &self.0, &vault.subject_key(generation, author, card.id()), rng)
    }

    /// The key of persons' marks. `vault` is a scope without a dataset: a person has one mark in the whole vault.
    // HKDF-Expand-SHA256(PRK = subject key, info = ctx("seqvault/v1/mark-key", ..), 32)
    #[must_use]
    pub fn mark_key(&self, vault: &Scope) -> Secret32 {
        kdf::expand_sha256(&self.0, vault.mark_key().as_bytes())
    }

    /// Seals what is kept with the scope's dataset, under generation `n` of the key. The object's name is the SHA-256 of `plain`.
    ///
    /// # Errors
    /// If it is too long.
    // u64 n || u64 len(plain) || FLOE(HKDF-Expand-SHA256(subject key, ctx("seqvault/v1/kept-key", .., n), 32), ctx("seqvault/v1/kept", .., n, hash), plain)
    pub fn keep(&self, dataset: &Scope, n: u64, plain: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, KeptError> {
        if plain.len() > MAX_KEPT {
            return Err(KeptError::TooLong);
        }
        let hash = Digest(kdf::sha256(plain));
        let body = floe::seal_bytes(&self.kept_key(dataset, n), dataset.kept(n, &hash).as_bytes(), plain, rng)?;
        Ok([&n.to_be_bytes()[..], &(plain.len() as u64).to_be_bytes(), &body].concat())
    }

    /// Opens what is kept under the name `hash`, with generation `n` of the key.
    ///
    /// # Errors
    /// If it is kept under another generation, does not open, or is not what its name says.
    pub fn read(&self, dataset: &Scope, n: u64, hash: &Digest, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeptError> {
        let (head, body) = stored.split_first_chunk::<HEAD>().ok_or(KeptError::Short)?;
        let (kept_under, size) = (generation_of(head)?, size_of(head));
        if kept_under != n {
            return Err(KeptError::Generation(kept_under));
        }
        if size > MAX_KEPT as u64 {
            return Err(KeptError::TooLong);
        }
        let plain = floe::open_bytes(&self.kept_key(dataset, n), dataset.kept(n, hash).as_bytes(), body, size)?;
        if kdf::sha256(&plain) == hash.0 { Ok(plain) } else { Err(KeptError::Other) }
    }

    fn kept_key(&self, dataset: &Scope, n: u64) -> Secret32 {
        kdf::expand_sha256(&self.0, dataset.kept_key(n).as_bytes())
    }
}

/// The generation of the subject key under which an object is kept.
///
/// # Errors
/// If it is too short.
pub fn generation_of(stored: &[u8]) -> Result<u64, KeptError> {
    stored.first_chunk::<8>().map(|n| u64::from_be_bytes(*n)).ok_or(KeptError::Short)
}

fn size_of(head: &[u8; HEAD]) -> u64 {
    head.last_chunk::<8>().map_or(0, |size| u64::from_be_bytes(*size))
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;
    use crate::ids::VaultId;
    use crate::suite::Suite;

    fn scope(dataset: &str) -> Scope {
        Scope { suite: Suite::X25519, vault: Some(VaultId([7; 32])), dataset: Some(dataset.parse().unwrap()) }
    }

    #[test]
    fn what_is_kept_opens_with_its_key_generation_dataset_and_name_only() {
        let mut rng = UnwrapErr(SysRng);
        let (key, other) = (SubjectKey::generate(&mut rng), SubjectKey::generate(&mut rng));
        let (plain, at) = (b"sealed facts".as_slice(), scope("run-42"));
        let hash = Digest(kdf::sha256(plain));
        let stored = key.keep(&at, 3, plain, &mut rng).unwrap();
        assert_eq!(generation_of(&stored), Ok(3));
        assert_eq!(key.read(&at, 3, &hash, &stored).unwrap().as_slice(), plain);
        assert_eq!(key.read(&at, 2, &hash, &stored).map(drop), Err(KeptError::Generation(3)));
        assert!(matches!(other.read(&at, 3, &hash, &stored), Err(KeptError::Body(_))));
        assert!(matches!(key.read(&scope("run-43"), 3, &hash, &stored), Err(KeptError::Body(_))));
        assert!(matches!(key.read(&at, 3, &Digest([0; 32]), &stored), Err(KeptError::Body(_))));
        for cut in [0, 8, 15, 16, stored.len() - 1] {
            assert!(key.read(&at, 3, &hash, &stored[..cut]).is_err(), "{cut}");
        }
        let mut changed = stored.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(key.read(&at, 3, &hash, &changed), Err(KeptError::Body(_))));
        assert_eq!(key.keep(&at, 3, &vec![0; MAX_KEPT + 1], &mut rng).map(drop), Err(KeptError::TooLong));
    }

    #[test]
    fn marks_have_a_key_of_their_own_for_the_whole_vault() {
        let key = SubjectKey::accept(Secret32::take(&mut [1; 32]));
        let vault = Scope { dataset: None, ..scope("run-42") };
        assert_eq!(key.mark_key(&vault).expose(), key.mark_key(&vault).expose());
        assert_ne!(key.mark_key(&vault).expose(), &[1; 32]);
        assert_ne!(key.mark_key(&vault).expose(), key.kept_key(&vault, 1).expose());
    }
}

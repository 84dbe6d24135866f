//! The identity file as bytes: parse, unlock, lock. No I/O. Spec section 2.2.
//!
//! ```text
//! head    = "seqvault identity 1\n" || u32(len) || canonical JSON {card, kdf, salt}
//! secrets = FLOE of  signing seed || KEM private key
//! key     = Argon2id(passphrase, salt, m, t, p), 32 bytes; AAD binds SHA-256(head)
//! ```

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use vault_core::card::{Card, CardError};
use vault_core::context::Scope;
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::SigningKey;
use vault_core::hazmat::stack;
use vault_core::json::{self, B64, JsonError};
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use zeroize::{Zeroize, Zeroizing};

use crate::passphrase::Passphrase;

/// Longest file.
pub const MAX_FILE: usize = 16 << 10;

const MAGIC: &[u8] = b"seqvault identity 1\n";
const MAGIC_OF_ANY_VERSION: &[u8] = b"seqvault identity ";
const KDF: &str = "argon2id";
const SALT: usize = 16;
const SECRETS: u64 = 64;

/// Bytes that are no identity file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// More than 16 KiB.
    #[error("an identity file has at most 16 KiB")]
    TooLong,
    /// It does not start as one.
    #[error("not an identity file")]
    NotAnIdentity,
    /// It starts as one of another version.
    #[error("an identity file of another version")]
    Version,
    /// It ends too early or too late.
    #[error("the identity file is truncated or has bytes after its end")]
    Length,
    /// The head's JSON.
    #[error("the head of the identity file is malformed: {0}")]
    Head(#[from] JsonError),
    /// The head names another key derivation, or a salt of another length.
    #[error("the identity file uses a key derivation that is not known to this version")]
    Kdf,
    /// The cost is out of bounds.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The card in it.
    #[error("the card in the identity file is not valid: {0}")]
    Card(#[from] CardError),
}

/// A cost that this program neither writes nor reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Argon2id cost is at most 1 GiB (and at least 8 KiB a lane), 16 passes and 4 lanes")]
pub struct CostError;

/// Secrets that can't be locked or unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The tag of the sealed secrets does not fit; the two causes can't be told apart.
    #[error("wrong passphrase, or the file is damaged")]
    WrongPassphrase,
    /// What was unlocked are not the keys of the card in the same file.
    #[error("the secrets in the file are not those of its card")]
    NotOfThisCard,
    /// Argon2id's memory can't be had.
    #[error("there is not enough memory to unlock: the file asks for {0} KiB")]
    Memory(u32),
    /// The secrets could not be sealed.
    #[error("the secrets can't be sealed")]
    Seal,
}

/// What a passphrase guess costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    m_kib: u32,
    t: u32,
    p: u32,
}

impl Cost {
    /// What a writer uses unless told otherwise: 256 MiB, 3 passes, 4 lanes.
    pub const DEFAULT: Self = Self { m_kib: 262_144, t: 3, p: 4 };
    /// The least that the format allows. For tests: it hardly slows a guess down.
    pub const CHEAP_FOR_TESTS: Self = Self { m_kib: 8, t: 1, p: 1 };

    /// A chosen cost: memory in KiB, passes, lanes.
    ///
    /// # Errors
    /// If it is outside the format's bounds.
    pub const fn new(m_kib: u32, t: u32, p: u32) -> Result<Self, CostError> {
        // Lanes first, so that 8 * p can't overflow.
        if p < 1 || p > 4 || t < 1 || t > 16 || m_kib < 8 * p || m_kib > 1_048_576 {
            return Err(CostError);
        }
        Ok(Self { m_kib, t, p })
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    /// Passes.
    #[must_use]
    pub const fn t(self) -> u32 {
        self.t
    }

    /// Lanes.
    #[must_use]
    pub const fn p(self) -> u32 {
        self.p
    }
}

/// The two secrets of an identity.
pub struct Secrets {
    signing: Secret32,
    kem: Secret32,
}

impl Secrets {
    /// Draws a new identity's secrets.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { signing: Secret32::generate(rng), kem: Secret32::generate(rng) }
    }

    /// Makes the card of these secrets. `created` is in seconds since 1970.
    ///
    /// # Errors
    /// If the label or the time is out of bounds.
    pub fn make_card(&self, suite: Suite, label: &str, created: u64) -> Result<Card, CardError> {
        let signing = SigningKey::from_seed(&self.signing);
        Card::make(suite, label, created, &signing, &self.private_key(suite).public_key())
    }

    /// The signing seed.
    pub(crate) const fn signing(&self) -> &Secret32 {
        &self.signing
    }

    /// The KEM private key.
    pub(crate) const fn kem(&self) -> &Secret32 {
        &self.kem
    }

    /// Whether these are the secrets of a card.
    #[must_use]
    pub fn are_of(&self, card: &Card) -> bool {
        SigningKey::from_seed(&self.signing).verifying_key() == *card.verifying_key()
            && self.private_key(card.suite()).public_key() == *card.kem()
    }

    fn private_key(&self, suite: Suite) -> PrivateKey {
        PrivateKey::from_secret(suite, self.kem.duplicate())
    }
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// A parsed identity file: its card is readable, its secrets are not.
#[derive(Debug, Clone)]
pub struct Identity {
    card: Card,
    cost: Cost,
    salt: [u8; SALT],
    head_hash: [u8; 32],
    sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    card: B64,
    kdf: Kdf,
    salt: B64,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    m_kib: u64,
    name: String,
    p: u64,
    t: u64,
}

impl Identity {
    /// Parses a file. Everything about it is checked here but the secrets themselves.
    ///
    /// # Errors
    /// If it is no valid identity file, or asks for a cost out of bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, IdentityError> {
        if bytes.len() > MAX_FILE {
            return Err(IdentityError::TooLong);
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| not_this_version(bytes))?;
        let (len, rest) = rest.split_first_chunk().ok_or(IdentityError::Length)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| IdentityError::Length)?;
        let (head, sealed) = rest.split_at_checked(len).ok_or(IdentityError::Length)?;
        if u64::try_from(sealed.len()) != Ok(floe::ciphertext_len(SECRETS)) {
            return Err(IdentityError::Length);
        }
        let head: Head = json::parse(head)?;
        if head.kdf.name != KDF {
            return Err(IdentityError::Kdf);
        }
        let cost = |n: u64| u32::try_from(n).map_err(|_| CostError);
        let head_bytes = bytes.get(..bytes.len() - sealed.len()).ok_or(IdentityError::Length)?;
        Ok(Self {
            cost: Cost::new(cost(head.kdf.m_kib)?, cost(head.kdf.t)?, cost(head.kdf.p)?)?,
            salt: head.salt.0.try_into().map_err(|_| IdentityError::Kdf)?,
            card: Card::parse(&head.card.0)?,
            head_hash: sha256(head_bytes),
            sealed: sealed.to_vec(),
        })
    }

    /// The identity's public half; readable without a passphrase.
    #[must_use]
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// What unlocking costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// Unlocks the secrets, and checks that they are the card's. Takes about a second at the default cost.
    ///
    /// # Errors
    /// If the passphrase is wrong or the file damaged, or there is not enough memory.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Secrets, UnlockError> {
        let key = stack::cleared(|| derive_key(passphrase, &self.salt, self.cost))?;
        let aad = Scope::without_vault(self.card.suite()).identity(&self.head_hash);
        let plain =
            floe::open_bytes(&key, aad.as_bytes(), &self.sealed, SECRETS).map_err(|_| UnlockError::WrongPassphrase)?;
        let (signing, kem) = plain.split_at_checked(32).ok_or(UnlockError::WrongPassphrase)?;
        let secrets = Secrets {
            signing: Secret32::from_slice(signing).ok_or(UnlockError::WrongPassphrase)?,
            kem: Secret32::from_slice(kem).ok_or(UnlockError::WrongPassphrase)?,
        };
        if secrets.are_of(&self.card) { Ok(secrets) } else { Err(UnlockError::NotOfThisCard) }
    }
}

/// Locks secrets under a passphrase, with a new salt; returns the file's bytes.
///
/// # Errors
/// If the secrets are not the card's, or there is not enough memory.
pub fn lock(
    secrets: &Secrets,
    card: &Card,
    passphrase: &Passphrase,
    cost: Cost,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, UnlockError> {
    if !secrets.are_of(card) {
        return Err(UnlockError::NotOfThisCard);
    }
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    let json = json::emit(&Head {
        card: B64(card.stored().to_vec()),
        kdf: Kdf { m_kib: cost.m_kib.into(), name: KDF.to_owned(), p: cost.p.into(), t: cost.t.into() },
        salt: B64(salt.to_vec()),
    })
    .map_err(|_| UnlockError::Seal)?;
    let len = u32::try_from(json.len()).map_err(|_| UnlockError::Seal)?;
    let mut file = [MAGIC, &len.to_be_bytes(), &json].concat();

    let key = stack::cleared(|| derive_key(passphrase, &salt, cost))?;
    let aad = Scope::without_vault(card.suite()).identity(&sha256(&file));
    let mut plain = Zeroizing::new(Vec::with_capacity(64));
    plain.extend_from_slice(secrets.signing.expose());
    plain.extend_from_slice(secrets.kem.expose());
    let sealed = floe::seal_bytes(&key, aad.as_bytes(), &plain, rng).map_err(|_| UnlockError::Seal)?;
    file.extend_from_slice(&sealed);
    Ok(file)
}

fn not_this_version(bytes: &[u8]) -> IdentityError {
    if bytes.starts_with(MAGIC_OF_ANY_VERSION) { IdentityError::Version } else { IdentityError::NotAnIdentity }
}

// The memory is ours, so that it can be cleared: its last blocks give the key.
fn derive_key(passphrase: &Passphrase, salt: &[u8; SALT], cost: Cost) -> Result<Secret32, UnlockError> {
    let too_much = UnlockError::Memory(cost.m_kib);
    let params = Params::new(cost.m_kib, cost.t, cost.p, Some(32)).map_err(|_| UnlockError::Seal)?;
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| too_much)?;
    memory.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new([0; 32]);
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        passphrase.expose(),
        salt,
        key.as_mut_slice(),
        memory.as_mut_slice(),
    );
    memory.iter_mut().for_each(Zeroize::zeroize);
    hashed.map_err(|_| UnlockError::Seal)?;
    Ok(Secret32::take(&mut key))
}

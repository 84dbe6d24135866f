//! A 32-byte secret to a KEM public key, and back. Spec sections 1.3 and 2.3.
//!
//! A seal authenticates no sender: nothing is opened before its SHA-256 is found in a valid statement, and that
//! check is the caller's.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::hazmat::hpke;
use crate::secret::Secret32;
use crate::suite::Suite;

const SECRET: usize = 32;
const TAG: usize = 16;

/// Bytes that are no acceptable KEM public key of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid KEM public key of its suite")]
pub struct PublicKeyError;

/// A secret that could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key is of another suite than the context.
    #[error("the recipient's key is of another suite")]
    Suite,
    /// The KEM refused the key.
    #[error("nothing can be sealed to this key")]
    Key,
}

/// A seal that could not be opened: wrong length, key, context or bytes are one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct OpenError;

/// A KEM public key that passed the checks of section 1.3.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    suite: Suite,
    bytes: Box<[u8]>,
}

impl PublicKey {
    /// Parses and checks a key.
    ///
    /// # Errors
    /// If it has the wrong length, a small order, or fails ML-KEM's key check.
    pub fn parse(suite: Suite, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        if bytes.len() != suite.public_key_len() {
            return Err(PublicKeyError);
        }
        hpke::check_public_key(suite, bytes).map_err(|_| PublicKeyError)?;
        Ok(Self { suite, bytes: bytes.into() })
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.bytes.first_chunk::<8>().map_or(String::new(), |b| crate::ids::to_hex(b));
        write!(f, "PublicKey({:?}, {start}..)", self.suite)
    }
}

/// A KEM private key: an X25519 scalar or an X-Wing seed. Its public half is computed once.
pub struct PrivateKey {
    secret: Secret32,
    public: PublicKey,
}

impl PrivateKey {
    /// Takes 32 secret bytes as a private key; every value is one.
    #[must_use]
    pub fn from_secret(suite: Suite, secret: Secret32) -> Self {
        let public = PublicKey { suite, bytes: hpke::public_key(suite, &secret).into() };
        Self { secret, public }
    }

    /// Its public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.clone()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ..)", self.public.suite)
    }
}

/// Seals a secret to a public key: `enc || ciphertext || tag`.
///
/// # Errors
/// If the KEM refuses the key, which a parsed key does not cause.
pub fn seal(to: &PublicKey, secret: &Secret32, info: &Context, rng: &mut impl CryptoRng) -> Result<Vec<u8>, SealError> {
    let mut body = Zeroizing::new(*secret.expose());
    let (mut sealed, tag) =
        hpke::seal(to.suite, &to.bytes, info.as_bytes(), &[], body.as_mut_slice(), rng).map_err(|_| SealError::Key)?;
    sealed.extend_from_slice(body.as_slice());
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens a seal with a private key.
///
/// # Errors
/// One error, whatever is wrong.
pub fn open(key: &PrivateKey, sealed: &[u8], info: &Context) -> Result<Secret32, OpenError> {
    let suite = key.public.suite;
    if sealed.len() != suite.seal_len() {
        return Err(OpenError);
    }
    let (rest, tag) = sealed.split_last_chunk::<TAG>().ok_or(OpenError)?;
    let (encapsulated, body) = rest.split_last_chunk::<SECRET>().ok_or(OpenError)?;
    let mut body = Zeroizing::new(*body);
    hpke::open(suite, &key.secret, encapsulated, info.as_bytes(), &[], body.as_mut_slice(), tag)
        .map_err(|_| OpenError)?;
    Ok(Secret32::take(&mut body))
}

//! Ed25519, verified strictly. Spec section 1.3.

use core::fmt;

use ed25519_dalek::{Signature, Signer};

use super::stack;
use crate::secret::Secret32;

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Bytes that are no acceptable verifying key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid Ed25519 public key")]
pub struct BadVerifyingKey;

/// An Ed25519 public key: canonical, on the curve, not of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// Parses a key.
    ///
    /// # Errors
    /// If the bytes are not the canonical encoding of a point, or the point has small order.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadVerifyingKey> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| BadVerifyingKey)?;
        if !is_canonical(bytes) {
            return Err(BadVerifyingKey);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadVerifyingKey)?;
        if key.is_weak() { Err(BadVerifyingKey) } else { Ok(Self(key)) }
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Verifies strictly: S < L, canonical A and R, neither of small order, cofactorless equation.
    ///
    /// # Errors
    /// If any of it fails.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        // R is compared as bytes with a canonical encoding, so that a non-canonical one never matches.
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", crate::ids::to_hex(self.as_bytes()))
    }
}

/// An Ed25519 signing key, on the heap, zeroized on drop.
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    /// Makes a key of its seed (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &Secret32) -> Self {
        stack::cleared(|| Self(Box::new(ed25519_dalek::SigningKey::from_bytes(seed.expose()))))
    }

    /// Its public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs; deterministic.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        stack::cleared(|| self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

// y < 2^255 - 19, without the sign bit. The other non-canonical encodings have x = 0: those points have small order.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = point;
    !(*low >= 0xed && middle.iter().all(|b| *b == 0xff) && high & 0x7f == 0x7f)
}

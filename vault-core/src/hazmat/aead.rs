//! AES-256-GCM for body segments, behind one trait with two backends. Spec section 3.1.
//!
//! A key is used for at most 2^20 segments with random IVs; [`crate::floe`] sees to that, not this file.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of an IV.
pub const IV: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;

/// Sealing or opening failed; for opening that is one answer to every cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub struct AeadError;

/// An AES-256-GCM key that works in place and without allocating.
pub trait BodyAead: Send + Sync + Sized {
    /// Schedules a key.
    ///
    /// # Errors
    /// If the backend refuses, which no backend here does for a key of this length.
    fn schedule(key: &[u8; KEY]) -> Result<Self, AeadError>;

    /// Encrypts `body` in place and returns its tag.
    ///
    /// # Errors
    /// If the body is longer than the algorithm allows.
    fn seal(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG], AeadError>;

    /// Decrypts `body` in place. After an error its content is unspecified, and must not be used.
    ///
    /// # Errors
    /// If the tag does not authenticate IV, AAD and body.
    fn open(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Result<(), AeadError>;
}

/// The backend that this build uses unless told otherwise.
#[cfg(feature = "aws-lc")]
pub type DefaultAead = AwsLc;
/// The backend that this build uses unless told otherwise.
#[cfg(not(feature = "aws-lc"))]
pub type DefaultAead = AesGcm;

/// The backend of the `aes-gcm` crate: pure Rust, and the one for WebAssembly.
pub struct AesGcm(Aes256Gcm);

impl core::fmt::Debug for AesGcm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AesGcm(..)")
    }
}

impl BodyAead for AesGcm {
    fn schedule(key: &[u8; KEY]) -> Result<Self, AeadError> {
        Ok(Self(Aes256Gcm::new(key.into())))
    }

    fn seal(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG], AeadError> {
        let tag = self.0.encrypt_inout_detached(iv.into(), aad, InOutBuf::from(body)).map_err(|_| AeadError)?;
        Ok(tag.into())
    }

    fn open(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Result<(), AeadError> {
        self.0.decrypt_inout_detached(iv.into(), aad, InOutBuf::from(body), tag.into()).map_err(|_| AeadError)
    }
}

/// The backend of `aws-lc-rs`: the fast one of native builds.
#[cfg(feature = "aws-lc")]
pub struct AwsLc(aws_lc_rs::aead::LessSafeKey);

#[cfg(feature = "aws-lc")]
impl core::fmt::Debug for AwsLc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AwsLc(..)")
    }
}

#[cfg(feature = "aws-lc")]
impl BodyAead for AwsLc {
    fn schedule(key: &[u8; KEY]) -> Result<Self, AeadError> {
        use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| AeadError)
    }

    fn seal(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG], AeadError> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*iv);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), body).map_err(|_| AeadError)?;
        tag.as_ref().try_into().map_err(|_| AeadError)
    }

    fn open(&self, iv: &[u8; IV], aad: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Result<(), AeadError> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*iv);
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, body).map(|_| ()).map_err(|_| AeadError)
    }
}

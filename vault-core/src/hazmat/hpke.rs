//! HPKE base mode, single shot, for the two suites. Spec sections 1.3 and 2.3.
//!
//! Keys are byte strings here; [`crate::seal`] has the types.

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;

use super::stack;
use crate::secret::Secret32;
use crate::suite::Suite;

/// A failure; opening has no other answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("HPKE failed")]
pub struct HpkeError;

/// The public key of a private one.
#[must_use]
pub fn public_key(suite: Suite, private: &Secret32) -> Vec<u8> {
    stack::cleared(|| match suite {
        Suite::X25519 => public_key_of::<X25519HkdfSha256>(private),
        Suite::XWing => public_key_of::<XWing>(private),
    })
}

/// Checks a public key: length, no small order in its X25519 part, the check of FIPS 203 section 7.2 in its other part.
///
/// # Errors
/// If one of them fails.
pub fn check_public_key(suite: Suite, public: &[u8]) -> Result<(), HpkeError> {
    match suite {
        Suite::X25519 => check_x25519(public),
        Suite::XWing => {
            <XWing as Kem>::PublicKey::from_bytes(public).map_err(|_| HpkeError)?;
            check_x25519(public.last_chunk::<32>().ok_or(HpkeError)?)
        }
    }
}

/// Encrypts `plaintext` in place; returns the encapsulated key and the tag.
///
/// # Errors
/// If the public key is not valid.
pub fn seal(
    suite: Suite,
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &mut [u8],
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, [u8; 16]), HpkeError> {
    stack::cleared(|| match suite {
        Suite::X25519 => seal_to::<X25519HkdfSha256>(public, info, aad, plaintext, rng),
        Suite::XWing => seal_to::<XWing>(public, info, aad, plaintext, rng),
    })
}

/// Decrypts `ciphertext` in place. After an error its content is unspecified, and must not be used.
///
/// # Errors
/// The same for every cause.
pub fn open(
    suite: Suite,
    private: &Secret32,
    encapsulated: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &mut [u8],
    tag: &[u8; 16],
) -> Result<(), HpkeError> {
    stack::cleared(|| match suite {
        Suite::X25519 => open_with::<X25519HkdfSha256>(private, encapsulated, info, aad, ciphertext, tag),
        Suite::XWing => open_with::<XWing>(private, encapsulated, info, aad, ciphertext, tag),
    })
}

fn public_key_of<K: Kem>(private: &Secret32) -> Vec<u8> {
    match K::PrivateKey::from_bytes(private.expose()) {
        Ok(key) => K::sk_to_pk(&key).to_bytes().to_vec(),
        // Both suites take every 32 bytes as a private key.
        Err(_) => Vec::new(),
    }
}

// A clamped scalar is a multiple of the cofactor and no multiple of a large order, so the shared secret is zero
// for every scalar or for none: one scalar tells.
fn check_x25519(public: &[u8]) -> Result<(), HpkeError> {
    let public: [u8; 32] = public.try_into().map_err(|_| HpkeError)?;
    let probe = x25519_dalek::StaticSecret::from([1; 32]);
    let shared = probe.diffie_hellman(&x25519_dalek::PublicKey::from(public));
    if shared.was_contributory() { Ok(()) } else { Err(HpkeError) }
}

fn seal_to<K: Kem>(
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &mut [u8],
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, [u8; 16]), HpkeError> {
    let public = K::PublicKey::from_bytes(public).map_err(|_| HpkeError)?;
    let (encapsulated, tag) = hpke::single_shot_seal_inout_detached_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &public,
        info,
        InOutBuf::from(plaintext),
        aad,
        rng,
    )
    .map_err(|_| HpkeError)?;
    let tag = tag.to_bytes().as_slice().try_into().map_err(|_| HpkeError)?;
    Ok((encapsulated.to_bytes().to_vec(), tag))
}

fn open_with<K: Kem>(
    private: &Secret32,
    encapsulated: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &mut [u8],
    tag: &[u8; 16],
) -> Result<(), HpkeError> {
    let private = K::PrivateKey::from_bytes(private.expose()).map_err(|_| HpkeError)?;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| HpkeError)?;
    let tag = AeadTag::<AesGcm256>::from_bytes(tag).map_err(|_| HpkeError)?;
    hpke::single_shot_open_inout_detached::<AesGcm256, HkdfSha256, K>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        info,
        InOutBuf::from(ciphertext),
        aad,
        &tag,
    )
    .map_err(|_| HpkeError)
}

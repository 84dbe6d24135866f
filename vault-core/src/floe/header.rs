//! FLOE's parameters, its header, and what is derived when a body starts. Spec section 3.1.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{FloeError, HEADER, OVERHEAD, SEGMENT};
use crate::hazmat::kdf::ExpandSha384;
use crate::hazmat::stack;
use crate::secret::Secret32;

const ENCODED: usize = 10;
const FLOE_IV: usize = 32;
const FORMAT_1_SEGMENT: u32 = 65_568;
const _: () = assert!(FORMAT_1_SEGMENT as usize == SEGMENT);
const TAG: usize = 32;
const MESSAGE_KEY: usize = 48;

/// FLOE's free parameters. Format 1 has one choice; the published vectors need others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    segment: u32,
    rotation: u32,
}

impl Parameters {
    /// Those of format 1: segments of 65,568 bytes, a new AEAD key every 2^20 of them.
    pub const FORMAT_1: Self = Self { segment: FORMAT_1_SEGMENT, rotation: 20 };

    /// Other parameters, for known-answer tests and nothing else: a reader of format 1 refuses what they make.
    ///
    /// `segment` is `ENC_SEG_LEN`; 2^`rotation` segments share a key.
    #[doc(hidden)]
    #[must_use]
    pub const fn danger_for_vectors(segment: u32, rotation: u32) -> Option<Self> {
        if segment as usize > OVERHEAD && segment < u32::MAX && rotation <= 20 {
            Some(Self { segment, rotation })
        } else {
            None
        }
    }

    /// Bytes of a full sealed segment.
    pub(super) const fn segment_len(self) -> usize {
        self.segment as usize
    }

    /// The first position that shares a key with `position`: MASK(position, `AEAD_ROTATION_MASK`).
    pub(super) const fn window(self, position: u64) -> u64 {
        position >> self.rotation << self.rotation
    }

    // AEAD AES-256-GCM (0), KDF HKDF-Expand-SHA-384 (0), ENC_SEG_LEN, FLOE_IV_LEN
    fn encode(self) -> [u8; ENCODED] {
        let [a, b, c, d] = self.segment.to_be_bytes();
        [0, 0, a, b, c, d, 0, 0, 0, 32]
    }

    // The way to the window that `cached` is the slot of: neighbours have different slots.
    pub(super) const fn slot(self, window: u64) -> bool {
        window >> self.rotation & 1 == 1
    }
}

/// What sealing and opening share: the message key and what every derivation binds.
pub(super) struct Message {
    pub(super) parameters: Parameters,
    // On the heap: what is moved by value leaves a copy wherever it was.
    key: Box<ExpandSha384>,
    iv: [u8; FLOE_IV],
    aad: Box<[u8]>,
}

impl Message {
    /// Starts a new body with a random FLOE IV.
    pub(super) fn start(
        parameters: Parameters,
        key: &Secret32,
        aad: &[u8],
        rng: &mut impl CryptoRng,
    ) -> (Self, [u8; HEADER]) {
        let mut iv = [0; FLOE_IV];
        rng.fill_bytes(&mut iv);
        let (message, tag) = stack::cleared_shallow(|| Self::derive(parameters, key, aad, iv));
        let mut header = [0; HEADER];
        let parts = parameters.encode();
        for (to, from) in header.iter_mut().zip(parts.iter().chain(&iv).chain(&tag)) {
            *to = *from;
        }
        (message, header)
    }

    /// Reads a header and checks that its tag commits to this key and AAD.
    pub(super) fn read(parameters: Parameters, key: &Secret32, aad: &[u8], header: &[u8]) -> Result<Self, FloeError> {
        let header: &[u8; HEADER] = header.try_into().map_err(|_| FloeError::Parameters)?;
        let (encoded, rest) = header.split_first_chunk::<ENCODED>().ok_or(FloeError::Parameters)?;
        let (iv, tag) = rest.split_first_chunk::<FLOE_IV>().ok_or(FloeError::Parameters)?;
        if *encoded != parameters.encode() {
            return Err(FloeError::Parameters);
        }
        let (message, expected) = stack::cleared_shallow(|| Self::derive(parameters, key, aad, *iv));
        if bool::from(expected.ct_eq(tag)) { Ok(message) } else { Err(FloeError::Authentication) }
    }

    /// The AEAD key of a window of segments.
    // DERIVE_KEY = FLOE_KDF(MessageKey, iv, aad, "DEK:" || I2BE(MASK(position), 8), 32)
    pub(super) fn segment_key(&self, window: u64) -> Zeroizing<[u8; 32]> {
        floe_kdf(&self.key, self.parameters, &self.iv, &[b"DEK:", &window.to_be_bytes()], &self.aad)
    }

    // HeaderTag  = FLOE_KDF(key, iv, aad, "HEADER_TAG:", 32)
    // MessageKey = FLOE_KDF(key, iv, aad, "MESSAGE_KEY:", 48)
    fn derive(parameters: Parameters, key: &Secret32, aad: &[u8], iv: [u8; FLOE_IV]) -> (Self, [u8; TAG]) {
        let kdf = ExpandSha384::keyed(key.expose());
        let tag = floe_kdf::<TAG>(&kdf, parameters, &iv, &[b"HEADER_TAG:"], aad);
        let message_key = floe_kdf::<MESSAGE_KEY>(&kdf, parameters, &iv, &[b"MESSAGE_KEY:"], aad);
        let message = Self { parameters, key: Box::new(ExpandSha384::keyed(&message_key)), iv, aad: aad.into() };
        (message, *tag)
    }
}

// FLOE_KDF(key, iv, aad, purpose, len) = KDF(key, PARAM_ENCODE(params) || iv || purpose || aad, len)
fn floe_kdf<const N: usize>(
    key: &ExpandSha384,
    parameters: Parameters,
    iv: &[u8; FLOE_IV],
    purpose: &[&[u8]],
    aad: &[u8],
) -> Zeroizing<[u8; N]> {
    let encoded = parameters.encode();
    let (name, number) = (purpose.first().copied().unwrap_or_default(), purpose.get(1).copied().unwrap_or_default());
    key.derive(&[&encoded, iv, name, number, aad])
}

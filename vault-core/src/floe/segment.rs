//! One segment at a time, in place. Spec section 3.1.
//!
//! ```text
//! segment = u32 length (0xFFFFFFFF if not final) || IV (12) || ciphertext || tag (16)
//! AEAD AAD = u64 position || 0x01 if final else 0x00
//! ```

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand_core::CryptoRng;

use super::header::{Message, Parameters};
use super::{FloeError, HEADER, MAX_SEGMENTS, OVERHEAD};
use crate::hazmat::aead::{BodyAead, DefaultAead, IV, TAG};
use crate::hazmat::stack;
use crate::secret::Secret32;

pub(super) const NOT_FINAL: u32 = u32::MAX;

const LENGTH: usize = 4;

/// Seals the segments of one body, in any order and from any thread.
///
/// The caller seals each position once for each content, with a new random IV, and exactly one final segment.
pub struct Sealer<A: BodyAead = DefaultAead>(Keys<A>);

/// Opens the segments of one body, in any order and from any thread.
pub struct Opener<A: BodyAead = DefaultAead>(Keys<A>);

impl Sealer {
    /// Starts a body of format 1; returns its header.
    #[must_use]
    pub fn start(key: &Secret32, aad: &[u8], rng: &mut impl CryptoRng) -> (Self, [u8; HEADER]) {
        Self::start_with(Parameters::FORMAT_1, key, aad, rng)
    }

    /// Goes on with a body whose header was made before.
    ///
    /// # Errors
    /// If the header is not of this format, or not made under this key and AAD.
    pub fn resume(key: &Secret32, aad: &[u8], header: &[u8]) -> Result<Self, FloeError> {
        Self::resume_with(Parameters::FORMAT_1, key, aad, header)
    }
}

impl Opener {
    /// Starts reading a body of format 1.
    ///
    /// # Errors
    /// If the header is not of this format, or its tag does not commit to this key and AAD.
    pub fn start(key: &Secret32, aad: &[u8], header: &[u8]) -> Result<Self, FloeError> {
        Self::start_with(Parameters::FORMAT_1, key, aad, header)
    }
}

impl<A: BodyAead> Sealer<A> {
    /// As [`Sealer::start`], with a chosen backend and parameters.
    #[must_use]
    pub fn start_with(
        parameters: Parameters,
        key: &Secret32,
        aad: &[u8],
        rng: &mut impl CryptoRng,
    ) -> (Self, [u8; HEADER]) {
        let (message, header) = Message::start(parameters, key, aad, rng);
        (Self(Keys::new(message)), header)
    }

    /// As [`Sealer::resume`], with a chosen backend and parameters.
    ///
    /// # Errors
    /// If the header is not of these parameters, or not made under this key and AAD.
    pub fn resume_with(parameters: Parameters, key: &Secret32, aad: &[u8], header: &[u8]) -> Result<Self, FloeError> {
        Message::read(parameters, key, aad, header).map(|message| Self(Keys::new(message)))
    }

    /// Seals a segment in place. `segment` has the sealed length; its plaintext lies at `16 .. len - 16`.
    /// `iv` is random and new for each call.
    ///
    /// # Errors
    /// If the position is too high, or the length is not that of a full (or, if final, any) segment. Then nothing
    /// is written.
    // aead_key = DERIVE_KEY(..); (ct, tag) = AEAD_ENC(aead_key, iv, plaintext, I2BE(position, 8) || is_final)
    // EncryptedSegment = I2BE(is_final ? total length : 0xFFFFFFFF, 4) || iv || ct || tag
    pub fn seal_segment(
        &self,
        position: u64,
        is_final: bool,
        iv: &[u8; IV],
        segment: &mut [u8],
    ) -> Result<(), FloeError> {
        let length = self.0.check(position, is_final, segment.len())?;
        let key = self.0.of(position)?;
        let parts = Parts::split(segment)?;
        *parts.length = length.to_be_bytes();
        *parts.iv = *iv;
        *parts.tag = key.seal(iv, &aead_aad(position, is_final), parts.body).map_err(|_| FloeError::Length)?;
        Ok(())
    }
}

impl<A: BodyAead> Opener<A> {
    /// As [`Opener::start`], with a chosen backend and parameters.
    ///
    /// # Errors
    /// If the header is not of these parameters, or its tag does not commit to this key and AAD.
    pub fn start_with(parameters: Parameters, key: &Secret32, aad: &[u8], header: &[u8]) -> Result<Self, FloeError> {
        Message::read(parameters, key, aad, header).map(|message| Self(Keys::new(message)))
    }

    /// Opens a segment in place and returns its plaintext. Position and final flag come from a signed size.
    ///
    /// # Errors
    /// If the segment's length does not fit, or it is not authentic at this position. Then its body is zeroed.
    pub fn open_segment<'a>(
        &self,
        position: u64,
        is_final: bool,
        segment: &'a mut [u8],
    ) -> Result<&'a mut [u8], FloeError> {
        let length = self.0.check(position, is_final, segment.len())?;
        let key = self.0.of(position)?;
        let parts = Parts::split(segment)?;
        if *parts.length != length.to_be_bytes() {
            return Err(FloeError::Authentication);
        }
        if key.open(parts.iv, &aead_aad(position, is_final), parts.body, parts.tag).is_err() {
            // A backend may leave unauthentic plaintext behind.
            parts.body.fill(0);
            return Err(FloeError::Authentication);
        }
        Ok(parts.body)
    }
}

impl<A: BodyAead> fmt::Debug for Sealer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl<A: BodyAead> fmt::Debug for Opener<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

/// AEAD keys by window, derived once: two slots, so that workers on both sides of a border do not evict each other.
struct Keys<A> {
    message: Message,
    even: Slot<A>,
    odd: Slot<A>,
}

type Slot<A> = Mutex<Option<(u64, Arc<A>)>>;

impl<A: BodyAead> Keys<A> {
    fn new(message: Message) -> Self {
        Self { message, even: Mutex::new(None), odd: Mutex::new(None) }
    }

    /// The key of the window that `position` is in.
    fn of(&self, position: u64) -> Result<Arc<A>, FloeError> {
        let window = self.message.parameters.window(position);
        let slot = if self.message.parameters.slot(window) { &self.odd } else { &self.even };
        // A poisoned slot still holds a whole value: it is replaced in one assignment.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cached, key)) = slot.as_ref()
            && *cached == window
        {
            return Ok(Arc::clone(key));
        }
        let key = stack::cleared_shallow(|| A::schedule(&self.message.segment_key(window)).map(Arc::new))
            .map_err(|_| FloeError::Authentication)?;
        *slot = Some((window, Arc::clone(&key)));
        Ok(key)
    }

    /// Checks position and length; returns what the segment's length field must hold.
    fn check(&self, position: u64, is_final: bool, len: usize) -> Result<u32, FloeError> {
        // The last position there is can only be final.
        if position >= MAX_SEGMENTS - u64::from(!is_final) {
            return Err(FloeError::Position);
        }
        let full = self.message.parameters.segment_len();
        match is_final {
            false if len == full => Ok(NOT_FINAL),
            true if (OVERHEAD..=full).contains(&len) => u32::try_from(len).map_err(|_| FloeError::Length),
            _ => Err(FloeError::Length),
        }
    }
}

struct Parts<'a> {
    length: &'a mut [u8; LENGTH],
    iv: &'a mut [u8; IV],
    body: &'a mut [u8],
    tag: &'a mut [u8; TAG],
}

impl<'a> Parts<'a> {
    fn split(segment: &'a mut [u8]) -> Result<Self, FloeError> {
        let (length, rest) = segment.split_first_chunk_mut().ok_or(FloeError::Length)?;
        let (iv, rest) = rest.split_first_chunk_mut().ok_or(FloeError::Length)?;
        let (body, tag) = rest.split_last_chunk_mut().ok_or(FloeError::Length)?;
        Ok(Self { length, iv, body, tag })
    }
}

fn aead_aad(position: u64, is_final: bool) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = position.to_be_bytes();
    [a, b, c, d, e, f, g, h, u8::from(is_final)]
}

//! Secret bytes: zeroized on drop, compared in constant time, neither `Clone` nor printable.

use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Thirty-two secret bytes on the heap: an epoch secret, a manifest key, a file key, a private key.
///
/// On the heap so that a move copies a pointer and not the secret.
pub struct Secret32(Box<[u8; 32]>);

impl Secret32 {
    /// Draws a new secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Box::new([0u8; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Takes over bytes; the source is zeroized.
    pub fn take(source: &mut [u8; 32]) -> Self {
        let out = Self::copy_of(source);
        source.zeroize();
        out
    }

    /// A second copy. Named, and no `Clone`, so that a reader sees that there are two from here on.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copy_of(&self.0)
    }

    // Written where it stays: an array that is passed by value leaves its bytes on the stack.
    fn copy_of(source: &[u8; 32]) -> Self {
        let mut bytes = Box::new([0u8; 32]);
        bytes.copy_from_slice(source);
        Self(bytes)
    }

    /// Copies a slice of exactly 32 bytes; the caller zeroizes the source.
    #[must_use]
    pub fn from_slice(source: &[u8]) -> Option<Self> {
        source.try_into().ok().map(Self::copy_of)
    }

    /// The bytes, named so that a reader of the caller sees where a secret is touched.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_ref()).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing() {
        assert_eq!(format!("{:?}", Secret32::take(&mut [1; 32])), "Secret32(..)");
    }

    #[test]
    fn taking_a_secret_clears_its_source() {
        let mut source = [9; 32];
        let secret = Secret32::take(&mut source);
        assert_eq!(source, [0; 32]);
        assert_eq!(secret.expose(), &[9; 32]);
    }

    #[test]
    fn a_secret_is_copied_whole_or_not_at_all() {
        let secret = Secret32::from_slice(&[7; 32]).unwrap();
        assert_eq!(secret.duplicate(), secret);
        assert_eq!((Secret32::from_slice(&[7; 31]), Secret32::from_slice(&[7; 33])), (None, None));
    }
}

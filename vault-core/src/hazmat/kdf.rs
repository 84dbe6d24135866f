//! SHA-256, HKDF-Expand with SHA-256 and SHA-384. Spec sections 2.4 and 3.1.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256 as Sha256Core, Sha384};
use zeroize::{Zeroize, Zeroizing};

use super::stack;
use crate::secret::Secret32;

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256Core::digest(bytes).into()
}

/// SHA-256 of bytes that come in parts.
#[derive(Clone, Default)]
pub struct Sha256(Sha256Core);

impl core::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

impl Sha256 {
    /// The hash of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes taken in.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// HKDF-Expand-SHA256(PRK = `prk`, `info`, 32).
// One block of output, so T(1) = HMAC(PRK, info || 0x01) is all of it.
#[must_use]
pub fn expand_sha256(prk: &Secret32, info: &[u8]) -> Secret32 {
    stack::cleared_shallow(|| expand_block(prk, info))
}

/// As [`expand_sha256`] of many `infos`, each output handed to `take`. The stack is cleared once, behind all of them: clearing costs more
/// than a derivation, and there may be a million.
pub fn expand_sha256_each(prk: &Secret32, infos: impl Iterator<Item: AsRef<[u8]>>, mut take: impl FnMut(Secret32)) {
    stack::cleared_shallow(|| infos.for_each(|info| take(expand_block(prk, info.as_ref()))));
}

fn expand_block(prk: &Secret32, info: &[u8]) -> Secret32 {
    let mut mac = keyed::<Hmac<Sha256Core>, 32>(prk.expose());
    mac.update(info);
    mac.update(&[1]);
    let mut block: [u8; 32] = mac.finalize().into_bytes().into();
    Secret32::take(&mut block)
}

/// HKDF-Expand-SHA384 for outputs of at most one block.
#[derive(Clone)]
pub(crate) struct ExpandSha384(Hmac<Sha384>);

impl ExpandSha384 {
    /// Longest output: one block of SHA-384.
    pub(crate) const MAX: usize = 48;

    /// Keys the function; a key shorter than the hash is used as it is, as FLOE has it.
    pub(crate) fn keyed<const N: usize>(prk: &[u8; N]) -> Self {
        Self(keyed(prk))
    }

    /// Derives `N` ≤ 48 bytes from the concatenation of `info`.
    pub(crate) fn derive<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N <= Self::MAX) };
        let mut mac = self.0.clone();
        for part in info {
            mac.update(part);
        }
        mac.update(&[1]);
        let mut block: [u8; Self::MAX] = mac.finalize().into_bytes().into();
        let mut out = Zeroizing::new([0; N]);
        for (to, from) in out.iter_mut().zip(&block) {
            *to = *from;
        }
        block.zeroize();
        out
    }
}

// HMAC pads a key that is shorter than the hash's block with zeros; done here because then nothing can fail.
fn keyed<M: KeyInit, const N: usize>(key: &[u8; N]) -> M {
    let mut block = Key::<M>::default();
    debug_assert!(N <= block.len());
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mac = M::new(&block);
    block.as_mut_slice().zeroize();
    mac
}

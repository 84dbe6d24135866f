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
    let mut body = Zeroizing::new([0; SECRET]);
    body.copy_from_slice(secret.expose());
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

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;
    use crate::context::Scope;

    const SUITES: [Suite; 2] = [Suite::X25519, Suite::XWing];

    fn info(epoch: u64) -> Context {
        Scope::without_vault(Suite::XWing).table(epoch)
    }

    fn key(suite: Suite) -> PrivateKey {
        PrivateKey::from_secret(suite, Secret32::generate(&mut UnwrapErr(SysRng)))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        for suite in SUITES {
            let (secret, mine, other) = (Secret32::take(&mut [9; 32]), key(suite), key(suite));
            let sealed = seal(&mine.public_key(), &secret, &info(1), &mut UnwrapErr(SysRng)).unwrap();
            assert_eq!(sealed.len(), suite.seal_len());
            assert_eq!(open(&mine, &sealed, &info(1)), Ok(secret));
            assert_eq!(open(&mine, &sealed, &info(2)), Err(OpenError));
            assert_eq!(open(&other, &sealed, &info(1)), Err(OpenError));
        }
    }

    #[test]
    fn every_other_length_and_every_changed_byte_is_the_same_error() {
        for suite in SUITES {
            let mine = key(suite);
            let secret = Secret32::take(&mut [9; 32]);
            let sealed = seal(&mine.public_key(), &secret, &info(1), &mut UnwrapErr(SysRng)).unwrap();
            let longer = [sealed.as_slice(), &[0]].concat();
            for bad in [&[][..], &sealed[1..], &sealed[..sealed.len() - 1], &longer] {
                assert_eq!(open(&mine, bad, &info(1)), Err(OpenError));
            }
            for at in (0..sealed.len()).step_by(if suite == Suite::X25519 { 1 } else { 29 }) {
                let mut changed = sealed.clone();
                changed[at] ^= 4;
                assert_eq!(open(&mine, &changed, &info(1)), Err(OpenError), "byte {at}");
            }
        }
    }

    #[test]
    fn a_key_of_wrong_length_is_refused() {
        for suite in SUITES {
            let public = key(suite).public_key();
            assert_eq!(PublicKey::parse(suite, public.as_bytes()), Ok(public.clone()));
            for bad in [&[][..], &public.as_bytes()[1..], &[public.as_bytes(), &[0]].concat()] {
                assert_eq!(PublicKey::parse(suite, bad), Err(PublicKeyError));
            }
        }
    }

    // The encodings of points of order 1, 2, 4 and 8 on the curve and its twist, u = 0, 1, p - 1, the two of order 8,
    // and the non-canonical p and p + 1; each with and without the ignored top bit.
    #[test]
    fn a_small_order_key_is_refused_in_both_suites() {
        let xwing = key(Suite::XWing).public_key();
        for hex in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let mut point: [u8; 32] = crate::ids::from_hex(hex).unwrap();
            for top_bit in [0, 0x80] {
                point[31] ^= top_bit;
                assert_eq!(PublicKey::parse(Suite::X25519, &point), Err(PublicKeyError), "{hex}");
                let hybrid = [&xwing.as_bytes()[..1184], &point].concat();
                assert_eq!(PublicKey::parse(Suite::XWing, &hybrid), Err(PublicKeyError), "{hex}");
            }
        }
    }

    // FIPS 203 section 7.2: a 12-bit coefficient of q = 3329 or more does not survive decoding and encoding.
    #[test]
    fn an_ml_kem_key_with_a_coefficient_out_of_range_is_refused() {
        let mut bytes = key(Suite::XWing).public_key().as_bytes().to_vec();
        for (low, high) in [(0x01, 0x0d), (0xff, 0x0f)] {
            bytes[0] = low;
            bytes[1] = bytes[1] & 0xf0 | high;
            assert_eq!(PublicKey::parse(Suite::XWing, &bytes), Err(PublicKeyError));
        }
        bytes[0] = 0x00;
        bytes[1] = bytes[1] & 0xf0 | 0x0d;
        assert!(PublicKey::parse(Suite::XWing, &bytes).is_ok());
    }

    #[test]
    fn keys_print_no_secret() {
        let text = format!("{:?}", PrivateKey::from_secret(Suite::X25519, Secret32::take(&mut [0xab; 32])));
        assert_eq!(text, "PrivateKey(X25519, ..)");
        let public = PrivateKey::from_secret(Suite::X25519, Secret32::take(&mut [0xab; 32])).public_key();
        let start = crate::ids::to_hex(&public.as_bytes()[..8]);
        assert_eq!(format!("{public:?}"), format!("PublicKey(X25519, {start}..)"));
    }
}

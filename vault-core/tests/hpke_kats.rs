//! HPKE's room against published vectors: base mode, both suites.
//!
//! The drafts publish no X-Wing vector with AES-256-GCM. So the key schedule is written out again here, checked
//! against the published keys of both vectors, and then gives what AES-256-GCM must produce.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::PathBuf;

use hkdf::Hkdf;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use sha2::Sha256;
use vault_core::hazmat::aead::{AesGcm, BodyAead};
use vault_core::hazmat::hpke;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

const X25519: (Suite, &str) = (Suite::X25519, "x25519-aes256gcm.json");
const XWING: (Suite, &str) = (Suite::XWing, "xwing-chacha20poly1305.json");
const AES_256_GCM: u16 = 2;

struct Vector(Value);

impl Vector {
    #[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
    fn read(file: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kats/hpke").join(file);
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.0[name].as_str().unwrap())
    }

    /// A member of the first encryption; the two drafts name them differently.
    fn first(&self, name: &str, other: &str) -> Vec<u8> {
        let first = &self.0["encryptions"][0];
        hex(first.get(name).or_else(|| first.get(other)).unwrap().as_str().unwrap())
    }

    fn plain(&self) -> Vec<u8> {
        self.first("plaintext", "pt")
    }

    fn aad(&self) -> Vec<u8> {
        self.first("aad", "aad")
    }

    fn ciphertext(&self) -> Vec<u8> {
        self.first("ciphertext", "ct")
    }

    fn id(&self, name: &str) -> u16 {
        self.0[name].as_u64().unwrap().try_into().unwrap()
    }

    fn private(&self) -> Secret32 {
        Secret32::from_slice(&self.bytes("skRm")).unwrap()
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

// RFC 9180 section 5.1, mode_base with KDF 0x0001: (key, base_nonce).
fn key_schedule(kem: u16, aead: u16, shared: &[u8], info: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let ids = [kem, 1, aead].map(u16::to_be_bytes).concat();
    let suite = [b"HPKE", ids.as_slice()].concat();
    let labeled = |label: &[u8], ikm: &[u8]| [b"HPKE-v1", suite.as_slice(), label, ikm].concat();
    let extract = |salt: &[u8], label: &[u8], ikm: &[u8]| Hkdf::<Sha256>::extract(Some(salt), &labeled(label, ikm)).0;
    let context = [&[0][..], &extract(b"", b"psk_id_hash", b""), &extract(b"", b"info_hash", info)].concat();
    let secret = Hkdf::<Sha256>::extract(Some(shared), &labeled(b"secret", b"")).1;
    let expand = |label: &[u8], len: u16| {
        let mut out = vec![0; len.into()];
        secret.expand(&[&len.to_be_bytes(), labeled(label, &context).as_slice()].concat(), &mut out).unwrap();
        out
    };
    (expand(b"key", 32), expand(b"base_nonce", 12))
}

fn aes(key: &[u8], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let key = AesGcm::schedule(key.try_into().unwrap()).unwrap();
    let mut body = plain.to_vec();
    let tag = key.seal(nonce.try_into().unwrap(), aad, &mut body).unwrap();
    [body.as_slice(), &tag].concat()
}

#[test]
fn public_keys_match_the_published_ones() {
    for (suite, file) in [X25519, XWING] {
        let v = Vector::read(file);
        assert_eq!(hpke::public_key(suite, &v.private()), v.bytes("pkRm"));
        hpke::check_public_key(suite, &v.bytes("pkRm")).unwrap();
    }
}

#[test]
fn the_key_schedule_of_this_test_gives_the_published_keys() {
    for (_, file) in [X25519, XWING] {
        let v = Vector::read(file);
        let info = v.bytes("info");
        let (key, nonce) = key_schedule(v.id("kem_id"), v.id("aead_id"), &v.bytes("shared_secret"), &info);
        assert_eq!((key, nonce), (v.bytes("key"), v.bytes("base_nonce")), "{file}");
    }
}

#[test]
fn the_published_ciphertext_opens() {
    let v = Vector::read(X25519.1);
    let (mut body, tag) = split(v.ciphertext());
    hpke::open(X25519.0, &v.private(), &v.bytes("enc"), &v.bytes("info"), &v.aad(), &mut body, &tag).unwrap();
    assert_eq!(body, v.plain());
}

#[test]
fn sealing_with_the_published_randomness_gives_the_published_bytes() {
    for (suite, file) in [X25519, XWING] {
        let v = Vector::read(file);
        let (info, aad, plain) = (v.bytes("info"), v.aad(), v.plain());
        let (key, nonce) = key_schedule(v.id("kem_id"), AES_256_GCM, &v.bytes("shared_secret"), &info);
        let expected = aes(&key, &nonce, &aad, &plain);
        if suite == Suite::X25519 {
            assert_eq!(expected, v.ciphertext());
        }

        let mut body = plain.clone();
        let mut rng = Fixed(v.bytes("ikmE"));
        let (enc, tag) = hpke::seal(suite, &v.bytes("pkRm"), &info, &aad, &mut body, &mut rng).unwrap();
        assert_eq!(enc, v.bytes("enc"), "{file}");
        assert_eq!([body.as_slice(), &tag].concat(), expected, "{file}");

        let (mut body, tag) = split(expected);
        hpke::open(suite, &v.private(), &v.bytes("enc"), &info, &aad, &mut body, &tag).unwrap();
        assert_eq!(body, plain);
    }
}

fn split(sealed: Vec<u8>) -> (Vec<u8>, [u8; 16]) {
    let (body, tag) = sealed.split_last_chunk().unwrap();
    (body.to_vec(), *tag)
}

/// A "random" generator that gives the published randomness, all of it and no more.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unimplemented!()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unimplemented!()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

//! The rooms of primitives against the cases of Project Wycheproof (`kats/README.md`): Ed25519, X25519's public keys, AES-256-GCM;
//! and against RFC 5869, RFC 8032 and X-Wing's draft. HPKE's, FLOE's and disputed signatures are in the files beside.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::PathBuf;

use serde_json::Value;
use vault_core::hazmat::aead::{AesGcm, BodyAead, DefaultAead};
use vault_core::hazmat::hpke;
use vault_core::hazmat::kdf::expand_sha256;
use vault_core::hazmat::sign::{SigningKey, VerifyingKey};
use vault_core::ids::from_hex;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

#[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn cases(file: &str, count: usize) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kats/wycheproof").join(file);
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(cases.len(), count);
    cases
}

fn bytes(case: &Value, name: &str) -> Vec<u8> {
    hex(case[name].as_str().unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| from_hex::<1>(&text[i..i + 2]).unwrap()[0]).collect()
}

fn array<const N: usize>(case: &Value, name: &str) -> [u8; N] {
    bytes(case, name).try_into().unwrap()
}

fn is_valid(case: &Value) -> bool {
    case["result"] == "valid"
}

#[test]
fn signatures_are_judged_as_wycheproof_says() {
    for case in cases("ed25519.json", 150) {
        let key = VerifyingKey::parse(&bytes(&case, "pk")).unwrap();
        let verified = bytes(&case, "sig").try_into().is_ok_and(|sig| key.verify(&bytes(&case, "msg"), &sig).is_ok());
        assert_eq!(verified, is_valid(&case), "{case}");
    }
}

#[test]
fn public_keys_of_small_order_are_refused_and_no_others() {
    for case in cases("x25519.json", 518) {
        let weak = bytes(&case, "shared").iter().all(|byte| *byte == 0);
        assert_eq!(hpke::check_public_key(Suite::X25519, &bytes(&case, "public")).is_err(), weak, "{case}");
    }
}

#[test]
fn shared_secrets_are_those_of_wycheproof() {
    for case in cases("x25519.json", 518) {
        let secret = x25519_dalek::StaticSecret::from(array::<32>(&case, "private"));
        let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(array::<32>(&case, "public")));
        assert_eq!(shared.as_bytes().as_slice(), bytes(&case, "shared"), "{case}");
    }
}

fn aes_gcm<A: BodyAead>() {
    for case in cases("aes-256-gcm.json", 66) {
        let aead = A::schedule(&array(&case, "key")).unwrap();
        let (iv, aad, tag) = (array(&case, "iv"), bytes(&case, "aad"), array(&case, "tag"));
        let mut body = bytes(&case, "ct");
        assert_eq!(aead.open(&iv, &aad, &mut body, &tag).is_ok(), is_valid(&case), "{case}");
        if is_valid(&case) {
            assert_eq!(body, bytes(&case, "msg"), "{case}");
            assert_eq!(aead.seal(&iv, &aad, &mut body).unwrap(), tag, "{case}");
            assert_eq!(body, bytes(&case, "ct"), "{case}");
        }
    }
}

#[test]
fn both_backends_of_aes_gcm_agree_with_wycheproof() {
    aes_gcm::<AesGcm>();
    aes_gcm::<DefaultAead>();
}

// The seeds and public keys of the three vectors of draft-connolly-cfrg-xwing-kem; what they decapsulate to is the second reader's
// test, as the room gives no shared secret out.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn x_wing_seeds_give_the_public_keys_of_the_draft() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contrib/reader/tests/vectors/xwing.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let seed = Secret32::from_slice(&bytes(&vector, "sk")).unwrap();
        assert_eq!(hpke::public_key(Suite::XWing, &seed), bytes(&vector, "pk"));
    }
}

// RFC 5869, A.1 to A.3: the room gives one block of output, which is the first 32 bytes there.
#[test]
fn hkdf_expands_as_rfc_5869_has_it() {
    for (prk, info, okm) in [
        (
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            hex("f0f1f2f3f4f5f6f7f8f9"),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            (0xb0..=0xff).collect(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
        ),
        (
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            Vec::new(),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
        ),
    ] {
        let prk = Secret32::from_slice(&hex(prk)).unwrap();
        assert_eq!(expand_sha256(&prk, &info).expose().as_slice(), hex(okm));
    }
}

// RFC 8032 section 7.1, TEST 1 and TEST 3; TEST 2 is in `sign_kats.rs`.
#[test]
fn signing_matches_rfc_8032() {
    for (seed, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465\
             5141438e7a100b",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0\
             27beceea1ec40a",
        ),
    ] {
        let key = SigningKey::from_seed(&Secret32::from_slice(&hex(seed)).unwrap());
        assert_eq!(key.sign(&hex(message)).as_slice(), hex(signature));
    }
}

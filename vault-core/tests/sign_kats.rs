//! Ed25519's room against the cases on which implementations differ, and against RFC 8032.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::PathBuf;

use serde_json::Value;
use vault_core::hazmat::sign::{SigningKey, VerifyingKey};
use vault_core::secret::Secret32;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn cases() -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kats/ed25519/strict.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn disputed_signatures_are_judged_strictly() {
    for case in cases() {
        let bytes = |name: &str| hex(case[name].as_str().unwrap());
        let signature = bytes("signature").try_into().unwrap();
        let verified =
            VerifyingKey::parse(&bytes("public")).is_ok_and(|key| key.verify(&bytes("message"), &signature).is_ok());
        assert_eq!(Some(verified), case["valid"].as_bool(), "{case}");
    }
}

// All points of order 1, 2, 4 and 8, in canonical and other encodings; then y >= p on points of high order; then
// bytes that are no point.
#[test]
fn weak_and_non_canonical_keys_are_refused() {
    for bad in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0200000000000000000000000000000000000000000000000000000000000000",
    ] {
        assert!(VerifyingKey::parse(&hex(bad)).is_err(), "{bad}");
    }
    for length in [0, 31, 33] {
        assert!(VerifyingKey::parse(&vec![3; length]).is_err());
    }
}

// RFC 8032 section 7.1, TEST 2.
#[test]
fn signing_matches_rfc_8032() {
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let key = SigningKey::from_seed(&Secret32::from_slice(&seed).unwrap());
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_eq!(key.verifying_key().as_bytes().as_slice(), public);
    let signature = key.sign(&[0x72]);
    assert_eq!(
        signature.as_slice(),
        hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    );
    let key = VerifyingKey::parse(&public).unwrap();
    assert!(key.verify(&[0x72], &signature).is_ok());
    assert!(key.verify(&[0x73], &signature).is_err());
}

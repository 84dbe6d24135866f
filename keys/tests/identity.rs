//! The identity file as bytes: what it holds, and every way in which it must be refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Instant;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use vault_core::suite::Suite;
use vault_keys::identity::{Cost, CostError, Identity, IdentityError, Secrets, UnlockError, lock};
use vault_keys::passphrase::Passphrase;

const MAGIC: &[u8] = b"seqvault identity 1\n";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn sample(suite: Suite) -> Vec<u8> {
    let mut rng = UnwrapErr(SysRng);
    let secrets = Secrets::generate(&mut rng);
    let card = secrets.make_card(suite, "sequencer 3", 1_790_000_000).unwrap();
    lock(&secrets, &card, &passphrase("correct horse"), Cost::CHEAP_FOR_TESTS, &mut rng).unwrap()
}

/// The file with its head's JSON changed, and the length before it with it.
fn with_head(file: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let len = u32::from_be_bytes(file[20..24].try_into().unwrap()) as usize;
    let head = change(String::from_utf8(file[24..24 + len].to_vec()).unwrap());
    let len_of_head = u32::try_from(head.len()).unwrap().to_be_bytes();
    [MAGIC, &len_of_head, head.as_bytes(), &file[24 + len..]].concat()
}

fn refused(file: &[u8]) -> IdentityError {
    Identity::parse(file).unwrap_err()
}

#[test]
fn a_file_reads_back_and_unlocks() {
    for suite in [Suite::X25519, Suite::XWing] {
        let file = sample(suite);
        let identity = Identity::parse(&file).unwrap();
        assert_eq!(identity.card().suite(), suite);
        assert_eq!(identity.card().label(), "sequencer 3");
        assert_eq!(identity.cost(), Cost::CHEAP_FOR_TESTS);
        assert!(identity.unlock(&passphrase("correct horse")).unwrap().are_of(identity.card()));
    }
}

#[test]
fn the_layout_is_that_of_the_spec() {
    let file = sample(Suite::X25519);
    let len = u32::from_be_bytes(file[20..24].try_into().unwrap()) as usize;
    assert!(file.starts_with(MAGIC));
    assert!(file[24..].starts_with(b"{\"card\":\""));
    let head = String::from_utf8(file[24..24 + len].to_vec()).unwrap();
    assert!(head.contains(r#""kdf":{"m_kib":8,"name":"argon2id","p":1,"t":1},"salt":""#));
    assert_eq!(file.len() - 24 - len, 74 + 32 + 64);
}

#[test]
fn the_default_cost_is_that_of_the_spec() {
    assert_eq!((Cost::DEFAULT.m_kib(), Cost::DEFAULT.t(), Cost::DEFAULT.p()), (262_144, 3, 4));
}

#[test]
fn a_wrong_passphrase_is_its_own_error() {
    let identity = Identity::parse(&sample(Suite::X25519)).unwrap();
    for wrong in ["Correct horse", "correct horse ", "x"] {
        let error = identity.unlock(&passphrase(wrong)).unwrap_err();
        assert_eq!(error, UnlockError::WrongPassphrase);
        assert_eq!(error.to_string(), "wrong passphrase, or the file is damaged");
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let file = sample(Suite::X25519);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let unlocked = Identity::parse(&changed).ok().map(|i| i.unlock(&passphrase("correct horse")).is_ok());
        assert_ne!(unlocked, Some(true), "byte {at}");
    }
}

#[test]
fn truncated_and_extended_files_are_refused() {
    let file = sample(Suite::X25519);
    for len in 0..file.len() {
        assert!(Identity::parse(&file[..len]).is_err(), "{len}");
    }
    assert_eq!(refused(&[file.as_slice(), &[0]].concat()), IdentityError::Length);
    assert_eq!(refused(&vec![0; 16 * 1024 + 1]), IdentityError::TooLong);
    assert_eq!(refused(&vec![0; 16 * 1024]), IdentityError::NotAnIdentity);
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    let file = sample(Suite::X25519);
    assert_eq!(refused(b"-----BEGIN"), IdentityError::NotAnIdentity);
    assert_eq!(refused(b""), IdentityError::NotAnIdentity);
    assert_eq!(refused(&[b"seqvault identity 2\n", &file[20..]].concat()), IdentityError::Version);
}

#[test]
fn costs_over_the_caps_are_refused_before_anything_is_allocated() {
    let file = sample(Suite::X25519);
    let cost = |m: &str, p: &str, t: &str| {
        with_head(&file, |head| {
            head.replace("\"m_kib\":8", &format!("\"m_kib\":{m}"))
                .replace("\"p\":1", &format!("\"p\":{p}"))
                .replace("\"t\":1", &format!("\"t\":{t}"))
        })
    };
    let started = Instant::now();
    for (m, p, t) in [
        ("1048577", "1", "1"),
        ("9007199254740991", "1", "1"),
        ("4294967304", "1", "1"),
        ("7", "1", "1"),
        ("31", "4", "1"),
        ("64", "5", "1"),
        ("8", "0", "1"),
        ("8", "1", "0"),
        ("8", "1", "17"),
    ] {
        assert_eq!(refused(&cost(m, p, t)), IdentityError::Cost(CostError), "{m} {p} {t}");
    }
    assert!(started.elapsed().as_secs() < 1);
    assert!(Identity::parse(&cost("1048576", "4", "16")).is_ok());
    assert!(Identity::parse(&cost("32", "4", "16")).is_ok());
}

// The AAD binds the head: a cheaper cost, or another card, written into it, does not unlock.
#[test]
fn a_changed_head_does_not_unlock() {
    let file = sample(Suite::X25519);
    let other = sample(Suite::X25519);
    let cheaper = with_head(&file, |head| head.replace("\"m_kib\":8", "\"m_kib\":9"));
    let head_of_other = String::from_utf8_lossy(&other[24..other.len() - 170]).into_owned();
    let swapped = with_head(&file, |_| head_of_other.clone());
    for changed in [cheaper, swapped] {
        let identity = Identity::parse(&changed).unwrap();
        assert_eq!(identity.unlock(&passphrase("correct horse")).unwrap_err(), UnlockError::WrongPassphrase);
    }
}

#[test]
fn another_key_derivation_salt_or_shape_is_refused() {
    let file = sample(Suite::X25519);
    assert_eq!(refused(&with_head(&file, |h| h.replace("argon2id", "argon2i"))), IdentityError::Kdf);
    let short = with_head(&file, |h| {
        let (before, _) = h.split_once("\"salt\":").unwrap();
        format!("{before}\"salt\":\"AAAAAAAAAAA=\"}}")
    });
    assert_eq!(refused(&short), IdentityError::Kdf);
    for change in [("{\"card\"", "{ \"card\""), ("\"t\":1", "\"t\":1,\"u\":1"), ("\"name\":\"argon2id\",", "")] {
        let bad = with_head(&file, |h| h.replace(change.0, change.1));
        assert!(matches!(refused(&bad), IdentityError::Head(_)), "{change:?}");
    }
    assert!(matches!(
        refused(&with_head(&file, |h| h.replacen("card\":\"e", "card\":\"f", 1))),
        IdentityError::Card(_)
    ));
}

#[test]
fn a_length_field_that_lies_is_refused() {
    let mut file = sample(Suite::X25519);
    file[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(refused(&file), IdentityError::Length);
}

#[test]
fn secrets_are_not_locked_under_another_card() {
    let mut rng = UnwrapErr(SysRng);
    let card = Secrets::generate(&mut rng).make_card(Suite::X25519, "", 0).unwrap();
    let other = Secrets::generate(&mut rng);
    let locked = lock(&other, &card, &passphrase("x"), Cost::CHEAP_FOR_TESTS, &mut rng);
    assert_eq!(locked, Err(UnlockError::NotOfThisCard));
}

#[test]
fn two_files_of_one_identity_share_no_salt() {
    let mut rng = UnwrapErr(SysRng);
    let secrets = Secrets::generate(&mut rng);
    let card = secrets.make_card(Suite::X25519, "", 0).unwrap();
    let mut file = || lock(&secrets, &card, &passphrase("x"), Cost::CHEAP_FOR_TESTS, &mut rng).unwrap();
    let salt = |file: Vec<u8>| String::from_utf8_lossy(&file).split("\"salt\":\"").nth(1).unwrap()[..24].to_owned();
    assert_ne!(salt(file()), salt(file()));
}

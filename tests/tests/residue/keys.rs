//! Every secret of a vault, opened with the library: what a look into memory and files searches for.

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha384, Sha512};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use vault_core::context::Scope;
use vault_core::epoch::EpochSecret;
use vault_core::floe;
use vault_core::hazmat::kdf::expand_sha256;
use vault_core::ids::VaultId;
use vault_core::layout::ObjectName;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{Body, Entry, Said};
use vault_core::manifest::Manifest;
use vault_core::pack::PACK_LEN;
use vault_core::seal::{self, PrivateKey, PublicKey};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use vault_keys::custodian::Custodian;
use vault_tests::world::objects;

use crate::needles::Needles;

/// An identity's two secrets and what they expand to.
pub(crate) fn identity(needles: &mut Needles, name: &str, seed: &[u8; 32], kem: &[u8; 32]) {
    needles.add(&format!("{name}'s signing seed"), seed);
    needles.add(&format!("{name}'s signing scalar"), &Sha512::digest(seed)[..32]);
    needles.add(&format!("{name}'s signing prefix"), &Sha512::digest(seed)[32..]);
    xwing(needles, &format!("{name}'s KEM key"), kem);
}

/// An X-Wing seed, and the ML-KEM seed and X25519 scalar in it.
fn xwing(needles: &mut Needles, name: &str, seed: &[u8; 32]) {
    let mut expanded = [0; 96];
    let mut shake = Shake256::default();
    shake.update(seed);
    shake.finalize_xof().read(&mut expanded);
    needles.add(name, seed);
    needles.add(&format!("{name}, its ML-KEM seed"), &expanded[..64]);
    needles.add(&format!("{name}, its X25519 scalar"), &expanded[64..]);
}

/// How many secrets of each kind were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) epochs: usize,
    pub(crate) manifests: usize,
    pub(crate) files: usize,
}

/// Everything that somebody's keys open in a dataset: epochs, manifests, files, and what is derived of them.
pub(crate) fn dataset(needles: &mut Needles, vault: &Path, custodian: &dyn Custodian, dataset: &str) -> Found {
    let entries = |ledger: &str| -> Vec<Vec<u8>> {
        let path = |n: usize| vault.join("ledger").join(ledger).join(format!("{n:010}"));
        (0..).map(path).take_while(|path| path.exists()).map(|path| fs::read(path).unwrap()).collect()
    };
    let id = VaultId(entry_hash(None, &entries("vault")[0]).0);
    let scope = Scope { suite: Suite::XWing, vault: Some(id), dataset: Some(dataset.parse().unwrap()) };
    let mut found = Found::default();
    let said: Vec<_> = entries(&format!("dataset/{dataset}"))
        .iter()
        .filter_map(|stored| match Entry::parse(stored).ok()?.said {
            Said::Known(said) => Some(said),
            Said::Unknown { .. } => None,
        })
        .collect();
    let authors: std::collections::BTreeSet<_> = said.iter().map(|said| said.author.clone()).collect();
    let mut epochs: Vec<(u64, PrivateKey)> = Vec::new();
    let object = |name: &ObjectName| fs::read(vault.join(name.to_string())).unwrap();
    let names: Vec<ObjectName> = objects(vault).into_keys().filter_map(|name| name.parse().ok()).collect();
    for name in &names {
        let ObjectName::Grant { epoch, card, .. } = name else { continue };
        for author in authors.iter().filter(|_| card == custodian.card().id()) {
            let Ok(secret) = custodian.open(&object(name), &scope.grant(*epoch, author, card)) else { continue };
            let public = said.iter().find_map(|said| match &said.body {
                Body::DatasetCreated(body) if *epoch == 1 => Some(&body.epoch.public),
                Body::EpochOpened(body) if body.epoch == *epoch => Some(&body.public),
                _ => None,
            });
            let public = PublicKey::parse(Suite::XWing, &public.unwrap().0).unwrap();
            needles.add(&format!("the secret of epoch {epoch}"), secret.expose());
            let private = expand_sha256(&secret, scope.epoch_key_pair(*epoch).as_bytes());
            xwing(needles, &format!("the private key of epoch {epoch}"), private.expose());
            let accepted = EpochSecret::accept(secret, &scope, *epoch, &public).unwrap();
            needles.add(&format!("the table key of epoch {epoch}"), accepted.table_key(&scope, *epoch).expose());
            epochs.push((*epoch, accepted.private_key(&scope, *epoch)));
            found.epochs += 1;
        }
    }
    for name in &names {
        let ObjectName::Header { epoch, manifest, .. } = name else { continue };
        for author in &authors {
            let key = epochs
                .iter()
                .filter(|(n, _)| n == epoch)
                .find_map(|(n, key)| seal::open(key, &object(name), &scope.manifest_key(*n, manifest, author)).ok());
            let Some(key) = key else { continue };
            needles.add("a manifest key", key.expose());
            let sealed = object(&ObjectName::Manifest { dataset: dataset.parse().unwrap(), manifest: *manifest });
            let aad = scope.manifest(manifest, author);
            body(needles, "a manifest", &key, aad.as_bytes(), &sealed[..floe::HEADER]);
            let overhead = floe::HEADER + floe::OVERHEAD * (sealed.len() - floe::HEADER).div_ceil(floe::SEGMENT);
            let size = (sealed.len() - overhead) as u64;
            let plain = floe::open_bytes(&key, aad.as_bytes(), &sealed, size).unwrap();
            let read = Manifest::parse(&plain).unwrap();
            let stream = stream(vault, &names, &read);
            for file in read.files() {
                needles.add(&format!("the key of file {}", file.path), file.key.expose());
                let at = usize::try_from(file.offset).unwrap();
                let aad = scope.file(manifest, author, file.number);
                body(
                    needles,
                    &format!("file {}", file.path),
                    &file.key,
                    aad.as_bytes(),
                    &stream[at..at + floe::HEADER],
                );
                found.files += 1;
            }
            found.manifests += 1;
        }
    }
    found
}

/// The packs of a manifest end to end. There is one pack a manifest here, found by its length.
fn stream(vault: &Path, names: &[ObjectName], manifest: &Manifest) -> Vec<u8> {
    let length = manifest.stream_length();
    assert!(length < u64::from(PACK_LEN));
    let packs = names.iter().filter(|name| matches!(name, ObjectName::Pack { .. }));
    let mut fitting =
        packs.map(|name| fs::read(vault.join(name.to_string())).unwrap()).filter(|pack| pack.len() as u64 == length);
    fitting.next().unwrap()
}

/// What FLOE derives from a key, once more and by another hand: the message key and the AEAD key of the first segments.
fn body(needles: &mut Needles, name: &str, key: &Secret32, aad: &[u8], header: &[u8]) {
    let (parameters, iv) = (&header[..10], &header[10..42]);
    let kdf = |key: &[u8], purpose: &[u8], length: usize| -> Vec<u8> {
        let mut mac = Hmac::<Sha384>::new_from_slice(key).unwrap();
        for part in [parameters, iv, purpose, aad, &[1]] {
            Mac::update(&mut mac, part);
        }
        mac.finalize().into_bytes()[..length].to_vec()
    };
    assert_eq!(
        kdf(key.expose(), b"HEADER_TAG:", 32),
        header[42..74],
        "FLOE is derived otherwise: this would search for nothing"
    );
    let message = kdf(key.expose(), b"MESSAGE_KEY:", 48);
    needles.add(&format!("{name}, its message key"), &message);
    needles.add(&format!("{name}, its AEAD key"), &kdf(&message, &[&b"DEK:"[..], &[0; 8]].concat(), 32));
}

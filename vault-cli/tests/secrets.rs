//! What `Debug` prints of every type that holds a secret: nothing of it.
//!
//! Two nets. The values below are printed, with secrets whose bytes would be recognised. And the sources are searched for types that
//! hold secret material, one by one or inside another: each of them stands in [`TYPES`] with how it prints, so a new one fails here
//! until somebody has looked.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use vault_core::context::Scope;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe::Sealer;
use vault_core::hazmat::aead::{AesGcm, BodyAead};
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::{Digest, ManifestId};
use vault_core::manifest::{Draft, Extras, FileRecord, VaultPath};
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;
use vault_core::subject::SubjectKey;
use vault_core::suite::Suite;
use vault_keys::identity::Secrets;
use vault_keys::locked::LockedSecrets;
use vault_keys::memory::MemoryCustodian;
use vault_keys::passphrase::Passphrase;
use vault_server::store::Environment;

/// A byte that stands for a secret: `a7` in hex, 167 as a number, `p6en` in base64.
const BYTE: u8 = 0xa7;

fn secret() -> Secret32 {
    Secret32::take(&mut [BYTE; 32])
}

#[track_caller]
fn prints(value: &impl Debug, expected: &str) {
    let (plain, pretty) = (format!("{value:?}"), format!("{value:#?}"));
    assert_eq!(plain, expected);
    for said in [plain, pretty] {
        for form in ["a7a7", "A7A7", "167", "p6en", "hunter2"] {
            assert!(!said.contains(form), "{form} in {said}");
        }
    }
}

/// Gives the byte and no other.
struct Constant;

impl rand_core::TryRng for Constant {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_ne_bytes([BYTE; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_ne_bytes([BYTE; 8]))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.fill(BYTE);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Constant {}

#[test]
fn secrets_of_the_core_print_nothing() {
    prints(&SubjectKey::accept(secret()), "SubjectKey(Secret32(..))");
    prints(&secret(), "Secret32(..)");
    prints(&SigningKey::from_seed(&secret()), "SigningKey(..)");
    prints(&PrivateKey::from_secret(Suite::X25519, secret()), "PrivateKey(X25519, ..)");
    prints(&PrivateKey::from_secret(Suite::XWing, secret()), "PrivateKey(XWing, ..)");
    let scope = Scope::without_vault(Suite::X25519);
    let public = EpochSecret::generate(&mut Constant).public_key(&scope, 1);
    let epoch = EpochSecret::accept(secret(), &scope, 1, &public).unwrap();
    prints(&epoch, "EpochSecret(Secret32(..))");
    let table = KeyTable::new(BTreeMap::from([(ManifestId([1; 16]), secret())]));
    prints(&table, &format!("KeyTable({{{:?}: Secret32(..)}})", ManifestId([1; 16])));
    let (sealer, header) = Sealer::start(&secret(), b"aad", &mut Constant);
    prints(&sealer, "Sealer(..)");
    prints(&vault_core::floe::Opener::start(&secret(), b"aad", &header).unwrap(), "Opener(..)");
    prints(&AesGcm::schedule(&[BYTE; 32]).unwrap(), "AesGcm(..)");
    prints(&vault_core::hazmat::aead::AwsLc::schedule(&[BYTE; 32]).unwrap(), "AwsLc(..)");
}

#[test]
fn a_manifest_and_its_files_print_no_key() {
    let file = || FileRecord {
        path: VaultPath::parse("a").unwrap(),
        number: 1,
        size: 0,
        modified: 2,
        executable: false,
        offset: 0,
        key: secret(),
        blake3: Digest([3; 32]),
        digests: Vec::new(),
    };
    let record = format!(
        "FileRecord {{ path: {:?}, number: 1, size: 0, modified: 2, executable: false, offset: 0, key: Secret32(..), blake3: {:?}, digests: [] }}",
        VaultPath::parse("a").unwrap(),
        Digest([3; 32])
    );
    prints(&file(), &record);
    let draft = Draft {
        files: vec![file()],
        salt: secret(),
        stream_length: 106,
        pack_list: Digest([4; 32]),
        extras: Extras::default(),
    };
    let rest = format!(
        "salt: Secret32(..), stream_length: 106, pack_list: {:?}, extras: {:?} }}",
        Digest([4; 32]),
        Extras::default()
    );
    prints(&draft, &format!("Draft {{ files: [{record}], {rest}"));
    let manifest = vault_core::manifest::Manifest::new(draft).unwrap();
    prints(&manifest, &format!("Manifest {{ files: [{record}], {rest}"));
    let head = vault_core::manifest::Head::parse(&manifest.emit().unwrap()).unwrap();
    assert!(format!("{head:?}").contains("salt: Secret32(..)"));
}

#[test]
fn secrets_of_an_identity_print_nothing() {
    prints(&Passphrase::new("hunter2".to_owned()).unwrap(), "Passphrase(..)");
    prints(&Secrets::generate(&mut Constant), "Secrets(..)");
    let locked = LockedSecrets::new(&secret(), &secret());
    prints(&locked, &format!("LockedSecrets(locked: {})", locked.is_locked()));
    let custodian = MemoryCustodian::generate(Suite::X25519, "somebody", 0, &mut Constant).unwrap();
    let said = format!("{custodian:?}");
    assert!(said.contains("secrets: LockedSecrets(locked: "), "{said}");
    let secrets = Secrets::generate(&mut Constant);
    assert!(!said.contains("Secret32") && secrets.are_of(vault_keys::custodian::Custodian::card(&custodian)));
}

#[test]
fn credentials_of_a_store_print_nothing() {
    let variables = [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "hunter2"), ("HOME", "/h")];
    let environment: Environment =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    prints(&environment, "Environment { variables: 3, .. }");
    let link = vault_server::wire::Link {
        name: "packs/d".to_owned(),
        method: "GET".to_owned(),
        url: "https://h/x?signature=hunter2".to_owned(),
        headers: BTreeMap::from([("a".to_owned(), "hunter2".to_owned())]),
        expires: 9,
    };
    prints(&link, "Link(GET packs/d, until 9)");
}

/// Types that hold secret material, by the words for it.
const WORDS: &[&str] = &[
    "Aes256Gcm",
    "AwsCredential",
    "CertifiedKey",
    "Custodian",
    "EpochSecret",
    "ExpandSha384",
    "FileRecord",
    "Hmac",
    "Journal",
    "Keys",
    "KeyTable",
    "Keyring",
    "LessSafeKey",
    "LockGuard",
    "LockedSecrets",
    "MemoryCustodian",
    "Message",
    "Opener",
    "Passphrase",
    "PlannedFile",
    "PrivateKey",
    "Sealer",
    "Secret32",
    "Secrets",
    "SigningKey",
    "Unlocked",
    "Unlocker",
    "Zeroize",
    "ZeroizeOnDrop",
    "Zeroizing",
    "passphrase",
    "secret",
    "secret_access_key",
    "session_token",
    "url",
    "variables",
];

/// Every type whose fields name one of [`WORDS`], and its `Debug`: none; derived, so as its fields print; or by hand, with all
/// the words that the hand writes. What is derived prints what its fields print, and each of those stands here or above.
const TYPES: &[&str] = &[
    "keys/src/file.rs FileCustodian: derived",
    r#"keys/src/identity.rs Secrets: by hand "Secrets(..)""#,
    "keys/src/identity.rs UnlockError: derived",
    r#"keys/src/locked.rs LockedSecrets: by hand "LockedSecrets(locked: {})""#,
    "keys/src/memory.rs MemoryCustodian: derived",
    r#"keys/src/passphrase.rs Passphrase: by hand "Passphrase(..)""#,
    "keys/src/passphrase.rs PassphraseError: derived",
    "vault-cli/src/client/remote/channel.rs Key: none",
    "vault-cli/src/command/demo/attacker.rs Loot: none",
    "vault-cli/src/command/member.rs Verb: derived",
    "vault-cli/src/command/pack.rs Verb: derived",
    "vault-cli/src/command/put.rs Resume: none",
    r#"vault-cli/src/keyring.rs Keyring: by hand "Keyring" "epochs""#,
    "vault-cli/src/sealed_file/body.rs Opening: none",
    "vault-cli/src/sealed_file/body.rs Sealing: none",
    r#"vault-cli/src/sealed_file/pipeline.rs Batch: by hand "Batch({:?})""#,
    r#"vault-cli/src/session.rs Signer: by hand "Signer({})""#,
    "vault-cli/src/settings.rs Globals: derived",
    r#"vault-cli/src/settings.rs Unlocked: by hand "Unlocked(..)""#,
    "vault-cli/src/settings.rs Unlocker: derived",
    "vault-cli/src/transfer/cat.rs Sink: none",
    "vault-cli/src/transfer/fetch.rs Fetched: none",
    "vault-cli/src/transfer/fetch.rs Segment: none",
    "vault-cli/src/transfer/fetch.rs Wanted: none",
    "vault-cli/src/transfer/fill.rs Current: none",
    "vault-cli/src/transfer/fill.rs Job: none",
    "vault-cli/src/transfer/get/mod.rs Output: none",
    r#"vault-cli/src/transfer/journal/mod.rs Journal: by hand "Journal" "path" "head""#,
    "vault-cli/src/transfer/journal/record.rs Out: none",
    "vault-cli/src/transfer/journal/state.rs Plan: derived",
    "vault-cli/src/transfer/journal/state.rs PlannedFile: derived",
    "vault-cli/src/transfer/journal/state.rs Record: derived",
    "vault-cli/src/transfer/put/mod.rs PutError: derived",
    r#"vault-cli/src/transfer/put/mod.rs Upload: by hand "Upload" "dataset" "upload""#,
    "vault-cli/src/transfer/put/mod.rs Uploaded: derived",
    "vault-core/src/epoch.rs EpochError: derived",
    "vault-core/src/epoch.rs EpochSecret: derived",
    "vault-core/src/epoch.rs KeyTable: derived",
    "vault-core/src/floe/header.rs Message: none",
    "vault-core/src/floe/segment.rs Keys: none",
    r#"vault-core/src/floe/segment.rs Opener: by hand "Opener(..)""#,
    r#"vault-core/src/floe/segment.rs Sealer: by hand "Sealer(..)""#,
    r#"vault-core/src/hazmat/aead.rs AesGcm: by hand "AesGcm(..)""#,
    r#"vault-core/src/hazmat/aead.rs AwsLc: by hand "AwsLc(..)""#,
    "vault-core/src/hazmat/kdf.rs ExpandSha384: none",
    r#"vault-core/src/hazmat/sign.rs SigningKey: by hand "SigningKey(..)""#,
    "vault-core/src/ledger/vault.rs VaultState: derived",
    "vault-core/src/manifest/index.rs Head: derived",
    "vault-core/src/manifest/mod.rs Draft: derived",
    "vault-core/src/manifest/mod.rs FileRecord: derived",
    "vault-core/src/manifest/mod.rs Manifest: derived",
    r#"vault-core/src/seal.rs PrivateKey: by hand "PrivateKey({:?}, ..)""#,
    "vault-core/src/subject.rs SubjectKey: derived",
    "vault-server/src/config.rs ConfigError: derived",
    "vault-server/src/http/tls.rs Certificates: derived",
    "vault-server/src/http/tls.rs Usable: derived",
    r#"vault-server/src/store/links.rs Link: by hand "Link" "method" "url""#,
    "vault-server/src/store/s3/credentials.rs Output: none",
    "vault-server/src/store/s3/credentials.rs Printed: derived",
    r#"vault-server/src/store/s3/environment.rs Environment: by hand "Environment" "variables""#,
    "vault-server/src/store/s3/environment.rs Way: none",
    r#"vault-server/src/wire/mod.rs Link: by hand "Link({} {}, until {})""#,
];

#[test]
fn every_type_that_holds_a_secret_is_pinned() {
    let found = types();
    let (known, now): (BTreeSet<&str>, BTreeSet<&str>) =
        (TYPES.iter().copied().collect(), found.iter().map(String::as_str).collect());
    let new: Vec<_> = now.difference(&known).collect();
    let gone: Vec<_> = known.difference(&now).collect();
    assert!(new.is_empty(), "see that these print no secret, and add them: {new:#?}");
    assert!(gone.is_empty(), "these are no more: {gone:#?}");
    // What holds bytes that nothing hides must not print by itself: `Zeroizing` shows what is in it.
    for line in TYPES.iter().filter(|line| line.contains(": derived")) {
        let (path, rest) = line.split_once(' ').unwrap();
        let name = rest.split_once(':').unwrap().0;
        let text = fs::read_to_string(root().join(path)).unwrap();
        let (_, body) = declarations(&text).into_iter().find(|(declared, _)| declared.name == name).unwrap();
        for raw in [
            "Zeroizing",
            "passphrase: String",
            "secret: String",
            "token: Option<String>",
            "variables: BTreeMap",
            "Hmac<",
            "[u8; 32]",
        ] {
            assert!(!body.contains(raw), "{line} derives Debug over {raw}");
        }
    }
}

#[test]
fn the_search_finds_types_and_how_they_print() {
    let text = "/// Doc\n#[derive(Debug)]\npub struct A {\n    key: Secret32,\n}\nstruct B(Zeroizing<Vec<u8>>);\n\
        impl fmt::Debug for B {\n    fn fmt(&self) {\n        f.write_str(\"B(..)\")\n    }\n}\nenum C { One { key: Secret32 } }\nstruct D;\n\
        #[cfg(test)]\nmod tests {\n    struct E(Secret32);\n}\n";
    assert_eq!(lines_of("x.rs", text), ["x.rs A: derived", "x.rs B: by hand \"B(..)\"", "x.rs C: none"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn types() -> Vec<String> {
    let (mut found, mut waiting) = (Vec::new(), Vec::new());
    waiting
        .extend(["vault-core/src", "keys/src", "vault-cli/src", "vault-server/src"].map(|folder| root().join(folder)));
    while let Some(next) = waiting.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("testing.rs")
            {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.extend(lines_of(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "hardly any type is found");
    found
}

/// A type's declaration: what stands before it, and its name.
struct Declared<'a> {
    before: &'a str,
    name: &'a str,
}

fn lines_of(path: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let mut lines = Vec::new();
    for (declared, body) in declarations(code) {
        let words: BTreeSet<&str> = body.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        if !WORDS.iter().any(|word| words.contains(word)) {
            continue;
        }
        let by_hand = format!("Debug for {}", declared.name);
        let implemented = code
            .match_indices(&by_hand)
            .map(|(at, found)| &code[at + found.len()..])
            .find(|rest| rest.starts_with(|c: char| !c.is_alphanumeric()));
        let how = match implemented {
            Some(rest) => format!("by hand {}", literals(rest.split("\n}\n").next().unwrap())),
            None if code.contains(&format!("Debug for {}<", declared.name)) => "by hand, generic".to_owned(),
            None if declared.before.contains("Debug") => "derived".to_owned(),
            None => "none".to_owned(),
        };
        lines.push(format!("{path} {}: {how}", declared.name));
    }
    lines
}

/// All string literals of a piece of code.
fn literals(code: &str) -> String {
    let all: Vec<String> = code.split('"').skip(1).step_by(2).map(|text| format!("\"{text}\"")).collect();
    all.join(" ")
}

/// Every struct and enum: what is derived for it, its name and its fields, without comments.
fn declarations(code: &str) -> Vec<(Declared<'_>, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(keyword) = words.iter().position(|word| matches!(*word, "struct" | "enum")) else { continue };
        let is_declaration = words[..keyword].iter().all(|word| word.starts_with("pub") || word.ends_with(')'));
        let Some(name) = words.get(keyword + 1).filter(|_| is_declaration) else { continue };
        let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap();
        if name.is_empty() {
            continue; // A macro's.
        }
        // Attributes and comments right above.
        let above = &code[..start];
        let before_len: usize = above
            .lines()
            .rev()
            .take_while(|line| line.trim_start().starts_with(['#', '/']))
            .map(|line| line.len() + 1)
            .sum();
        let before = &above[above.len() - before_len.min(above.len())..];
        let rest = &code[start..];
        let (mut depth, mut length) = (0, rest.len());
        for (i, c) in rest.char_indices() {
            match c {
                '{' | '(' => depth += 1,
                '}' | ')' => {
                    depth -= 1;
                    if depth == 0 && c == '}' {
                        length = i + 1;
                        break;
                    }
                }
                ';' if depth == 0 => {
                    length = i;
                    break;
                }
                _ => {}
            }
        }
        let uncommented: Vec<&str> =
            rest[..length].lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        found.push((Declared { before, name }, uncommented.join("\n").split_once(name).unwrap().1.to_owned()));
    }
    found
}

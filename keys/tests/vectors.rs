//! The test vectors of identity files. What a vector is, and all others: `vault-core/tests/vectors/README.md`. Spec section 2.2.
//!
//! `cargo test -p vault-keys --test vectors -- --ignored` writes the files that are not there yet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, in their fixtures too"
)]

#[path = "../../vault-core/tests/testkit/mod.rs"]
mod kit;

use argon2::{Algorithm, Argon2, AssociatedData, Params, ParamsBuilder, Version};
use kit::{Case, Cases, Key, Outcome, Rng, SUITES, blob, bytes, canonical, edit, with, without};
use serde_json::{Value, json};
use vault_core::card::CardError;
use vault_core::context::Scope;
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::json::to_b64;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use vault_keys::identity::{Identity, IdentityError, UnlockError};
use vault_keys::passphrase::Passphrase;

const SAYS: &str = "keys/tests/vectors-says.txt";
const PASSPHRASE: &str = "correct horse battery staple \u{e5}";

fn run(_: &str, input: &Value) -> Outcome {
    let identity = match Identity::parse(&bytes(&input["file"])) {
        Ok(identity) => identity,
        Err(why @ IdentityError::Card(CardError::Signature)) => return Outcome::failure("signature", why),
        Err(why) => return Outcome::failure("malformed", why),
    };
    let passphrase = Passphrase::new(input["passphrase"].as_str().unwrap().to_owned()).unwrap();
    match identity.unlock(&passphrase) {
        Ok(secrets) => {
            assert!(secrets.are_of(identity.card()));
            Outcome::success(identity.card().id().0)
        }
        Err(why @ UnlockError::NotOfThisCard) => Outcome::failure("differs", why),
        Err(why) => Outcome::failure("open", why),
    }
}

/// A file in parts, so that any can be wrong.
struct File {
    magic: Vec<u8>,
    fields: Vec<u8>,
    length: u32,
    /// The cost of the key; in a file that no reader may derive a key for, nothing.
    cost: Option<(u32, u32, u32)>,
    salt: [u8; 16],
    suite: Suite,
    secrets: Vec<u8>,
}

impl File {
    fn new(key: &Key, cost: (u32, u32, u32), rng: &mut Rng) -> Self {
        let salt: [u8; 16] = rng.array();
        let (m_kib, t, p) = cost;
        let fields = json!({
            "card": to_b64(key.card.stored()), "kdf": {"m_kib": m_kib, "name": "argon2id", "p": p, "t": t}, "salt": to_b64(&salt),
        });
        Self::of(&fields, Some(cost), salt, key)
    }

    fn of(fields: &Value, cost: Option<(u32, u32, u32)>, salt: [u8; 16], key: &Key) -> Self {
        let fields = canonical(fields);
        let secrets = [key.seed, key.kem_secret].concat();
        let length = fields.len() as u32;
        Self { magic: b"seqvault identity 1\n".to_vec(), fields, length, cost, salt, suite: key.suite, secrets }
    }

    fn head(&self) -> Vec<u8> {
        [&self.magic[..], &self.length.to_be_bytes(), &self.fields].concat()
    }

    fn sealed(&self, aad: &[u8], rng: &mut Rng) -> Vec<u8> {
        let mut key = [0; 32];
        if let Some((m, t, p)) = self.cost {
            let params = Params::new(m, t, p, Some(32)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(PASSPHRASE.as_bytes(), &self.salt, &mut key).unwrap();
        }
        floe::seal_bytes(&Secret32::take(&mut key), aad, &self.secrets, rng).unwrap()
    }

    fn aad(&self) -> Vec<u8> {
        Scope::without_vault(self.suite).identity(&sha256(&self.head())).as_bytes().to_vec()
    }

    fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        [self.head(), self.sealed(&self.aad(), rng)].concat()
    }
}

fn input(file: &[u8]) -> Value {
    json!({"file": blob(file), "passphrase": PASSPHRASE})
}

fn cases() -> Vec<Case> {
    let mut all = Cases::new("identities");
    for suite in SUITES {
        let rng = &mut Rng::new(&format!("identities {}", suite.id()));
        let key = Key::new(suite, "lab", rng);
        let file = File::new(&key, (64, 1, 1), rng).bytes(rng);
        all.add("valid", suite, "2.2", "success", "an identity file of little cost", input(&file));
        let wrong = with(&input(&file), json!({"passphrase": format!("{PASSPHRASE}.")}));
        all.add("passphrase", suite, "2.2", "open", "another passphrase", wrong);
    }
    let rng = &mut Rng::new("identities");
    let (key, other) = (Key::new(Suite::X25519, "lab", rng), Key::new(Suite::X25519, "other", rng));
    passphrases(&mut all, &key, rng);
    costs(&mut all, &key, rng);
    heads(&mut all, &key, &other, rng);
    secrets(&mut all, &key, &other, rng);
    all.done()
}

fn passphrases(all: &mut Cases, key: &Key, rng: &mut Rng) {
    let good = input(&File::new(key, (64, 1, 1), rng).bytes(rng));
    for (name, what, passphrase) in [
        ("passphrase-space", "a space behind the passphrase", format!("{PASSPHRASE} ")),
        ("passphrase-form", "the passphrase in another Unicode form", PASSPHRASE.replace('\u{e5}', "a\u{30a}")),
        ("passphrase-line-feed", "a line feed behind the passphrase", format!("{PASSPHRASE}\n")),
    ] {
        all.add(name, None, "2.2", "open", what, with(&good, json!({"passphrase": passphrase})));
    }
    for (name, what, cost) in [
        ("cost-lanes", "four lanes of the least memory, three passes", (32, 3, 4)),
        ("cost-most-passes", "sixteen passes", (8, 16, 1)),
    ] {
        all.add(name, None, "2.2", "success", what, input(&File::new(key, cost, rng).bytes(rng)));
    }
}

fn costs(all: &mut Cases, key: &Key, rng: &mut Rng) {
    let salt: [u8; 16] = rng.array();
    let mut add = |name: &str, what: &str, changes: Value| {
        let kdf = with(&json!({"m_kib": 64, "name": "argon2id", "p": 1, "t": 1}), changes);
        let fields = json!({"card": to_b64(key.card.stored()), "kdf": kdf, "salt": to_b64(&salt)});
        let file = File::of(&fields, None, salt, key).bytes(rng);
        all.add(name, None, "2.2", "malformed", what, input(&file));
    };
    add("cost-memory-high", "1 GiB and 1 KiB: refused before anything is reserved", json!({"m_kib": 1_048_577}));
    add("cost-memory-huge", "2^32 + 64 KiB, whose last 32 bits are 64", json!({"m_kib": (1u64 << 32) + 64}));
    add("cost-memory-low", "7 KiB", json!({"m_kib": 7}));
    add("cost-memory-low-lanes", "15 KiB for two lanes", json!({"m_kib": 15, "p": 2}));
    add("cost-memory-negative", "a negative amount", json!({"m_kib": -64}));
    add("cost-passes-none", "no pass", json!({"t": 0}));
    add("cost-passes-17", "seventeen passes", json!({"t": 17}));
    add("cost-passes-huge", "2^32 + 1 passes", json!({"t": (1u64 << 32) + 1}));
    add("cost-lanes-none", "no lane", json!({"p": 0}));
    add("cost-lanes-5", "five lanes", json!({"m_kib": 64, "p": 5}));
    add("kdf-argon2i", "another key derivation's name", json!({"name": "argon2i"}));
    add("kdf-capital", "the name with a capital letter", json!({"name": "Argon2id"}));
    add("kdf-extra", "a member more", json!({"version": 19}));
    add("kdf-text", "a number that is text", json!({"t": "1"}));
}

fn heads(all: &mut Cases, key: &Key, other: &Key, rng: &mut Rng) {
    let salt: [u8; 16] = rng.array();
    let fields = json!({
        "card": to_b64(key.card.stored()), "kdf": {"m_kib": 64, "name": "argon2id", "p": 1, "t": 1}, "salt": to_b64(&salt),
    });
    let cost = Some((64, 1, 1));
    let good = File::of(&fields, cost, salt, key);
    let file = good.bytes(rng);
    let mut add =
        |name: &str, expect, what: &str, file: Vec<u8>| all.add(name, None, "2.2", expect, what, input(&file));
    let mut of = |name: &str, what: &str, fields: &Value| {
        add(name, "malformed", what, File::of(fields, cost, salt, key).bytes(rng));
    };
    of("extra", "a member more", &with(&fields, json!({"x": 1})));
    of("missing", "no salt", &without(&fields, "salt"));
    of("salt-short", "a salt of 15 bytes", &with(&fields, json!({"salt": to_b64(&salt[..15])})));
    of("salt-long", "a salt of 17 bytes", &with(&fields, json!({"salt": to_b64(&[7; 17])})));
    of(
        "salt-unpadded",
        "a salt in base64 without padding",
        &with(&fields, json!({"salt": to_b64(&salt).trim_end_matches('=')})),
    );
    let mut raw = |name: &str, what: &str, from: &str, to: &str| {
        let mut bent = File::of(&fields, cost, salt, key);
        bent.fields = edit(&bent.fields, from, to);
        bent.length = bent.fields.len() as u32;
        add(name, "malformed", what, bent.bytes(rng));
    };
    raw("space", "a space in the head", ",\"kdf\"", ", \"kdf\"");
    raw("doubled", "a cost twice: a weak one first", "\"m_kib\":64", "\"m_kib\":8,\"m_kib\":64");
    raw("order", "members in another order", "\"p\":1,\"t\":1", "\"t\":1,\"p\":1");
    let mut bent = |name: &str, what: &str, change: &dyn Fn(&mut File)| {
        let mut bent = File::of(&fields, cost, salt, key);
        change(&mut bent);
        add(name, "malformed", what, bent.bytes(rng));
    };
    bent("version", "version 2 in the first line", &|f| f.magic = b"seqvault identity 2\n".to_vec());
    bent("line-end", "a carriage return in the first line", &|f| f.magic = b"seqvault identity 1\r\n".to_vec());
    bent("length-short", "a head that is a byte longer than it says", &|f| f.length -= 1);
    bent("length-huge", "a head of 2^32 - 1 bytes", &|f| f.length = u32::MAX);
    bent("secrets-short", "63 bytes of secrets", &|f| f.secrets.truncate(63));
    bent("secrets-long", "65 bytes of secrets", &|f| f.secrets.push(0));
    add("cut", "malformed", "the last byte is missing", file[..file.len() - 1].to_vec());
    add("extended", "malformed", "a byte after the end", [&file[..], &[0]].concat());
    add("head-only", "malformed", "a head and nothing after it", good.head());
    add("no-bytes", "malformed", "nothing at all", Vec::new());
    let flipped = |stored: &[u8]| {
        let mut envelope = vault_core::envelope::Envelope::parse(stored).unwrap();
        envelope.signature[0] ^= 1;
        to_b64(&envelope.emit())
    };
    let unsigned = with(&fields, json!({"card": flipped(key.card.stored())}));
    let signed = File::of(&unsigned, cost, salt, key).bytes(rng);
    add("card-signature", "signature", "a card whose signature does not verify", signed);
    // The head of one file before the secrets of another, as somebody without the passphrase can put together.
    let secrets = &file[good.head().len()..];
    for (name, what, changes) in [
        (
            "weaker-cost",
            "a weaker cost in the head of a file that was made with another",
            json!({"kdf": {"m_kib": 8, "name": "argon2id", "p": 1, "t": 1}}),
        ),
        (
            "more-passes",
            "another number of passes in the head",
            json!({"kdf": {"m_kib": 64, "name": "argon2id", "p": 1, "t": 2}}),
        ),
        ("other-salt", "another salt in the head", json!({"salt": to_b64(&rng.array::<16>())})),
        ("other-card", "another card in the head", json!({"card": to_b64(other.card.stored())})),
    ] {
        let head = File::of(&with(&fields, changes), cost, salt, key).head();
        add(name, "open", what, [&head[..], secrets].concat());
    }
}

fn secrets(all: &mut Cases, key: &Key, other: &Key, rng: &mut Rng) {
    let good = File::new(key, (64, 1, 1), rng);
    let (head, aad) = (good.head(), good.aad());
    let mut add = |name: &str, expect, what: &str, sealed: Vec<u8>| {
        all.add(name, None, "2.2", expect, what, input(&[&head[..], &sealed].concat()));
    };
    let sealed = good.sealed(&aad, rng);
    for (name, what, at) in [
        ("header-changed", "one bit of the body's header changed", 50),
        ("segment-changed", "one bit of the secrets changed", 74 + 16),
        ("tag-changed", "one bit of the last byte changed", sealed.len() - 1),
        ("parameters-changed", "one bit of the body's parameters changed", 0),
    ] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        add(name, "open", what, changed);
    }
    add("unbound", "open", "secrets that are not bound to the head", good.sealed(&[], rng));
    let suite_2 = Scope::without_vault(Suite::XWing).identity(&sha256(&head)).as_bytes().to_vec();
    add("bound-to-other-suite", "open", "secrets that are bound to suite 2", good.sealed(&suite_2, rng));
    for (name, what, secrets) in [
        ("other-signing", "another signing seed than the card's", [other.seed, key.kem_secret]),
        ("other-kem", "another KEM key than the card's", [key.seed, other.kem_secret]),
        ("exchanged", "the two secrets in each other's place", [key.kem_secret, key.seed]),
    ] {
        let bent = File { secrets: secrets.concat(), fields: good.fields.clone(), magic: good.magic.clone(), ..good };
        add(name, "differs", what, bent.sealed(&aad, rng));
    }
}

#[test]
fn every_vector_is_judged_as_it_says() {
    kit::check_all(&["identities"], run);
}

#[test]
fn the_files_are_what_the_generator_makes() {
    kit::compare(&cases(), SAYS, run);
}

#[test]
#[ignore = "writes the vectors that are not there yet"]
fn write_new_vectors() {
    kit::write_new(&cases(), SAYS, run);
}

// RFC 9106 section 5.3. With a secret and associated data, which an identity file has none of: this shows the crate, the vectors show its use.
#[test]
fn argon2id_is_that_of_rfc_9106() {
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
    let params = params.build().unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let expected = Value::String("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659".to_owned());
    assert_eq!(tag.as_slice(), bytes(&expected));
}

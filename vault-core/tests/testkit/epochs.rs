//! Sealed epoch secrets, sealed manifest keys and key tables. Spec sections 1.4, 2.4, 2.5.

use serde_json::{Value, json};
use vault_core::context::Scope;
use vault_core::epoch::{EpochError, EpochSecret, KeyTable, TableError};
use vault_core::floe;
use vault_core::hazmat::kdf::{expand_sha256, sha256};
use vault_core::ids::{CardId, Digest, MemberId, to_hex};
use vault_core::seal::{self, PrivateKey, PublicKey};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

use super::bodies::{scope, text};
use super::kit::*;

fn private(scope: &Scope, secret: &[u8; 32], n: u64) -> PrivateKey {
    let secret = Secret32::take(&mut { *secret });
    PrivateKey::from_secret(scope.suite, expand_sha256(&secret, scope.epoch_key_pair(n).as_bytes()))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// A vault, a dataset and an author, as members of an input.
fn place(suite: Suite, rng: &mut Rng) -> Value {
    json!({
        "author": "lab", "dataset": "cohort-7", "epoch": 3, "suite": suite.id(), "vault": to_hex(&rng.array::<32>()),
    })
}

/// Every member of a context that a reader may have wrong.
fn elsewhere(rng: &mut Rng) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("other-vault", "read as of another vault", json!({"vault": to_hex(&rng.array::<32>())})),
        ("other-dataset", "read as of another dataset", json!({"dataset": "cohort-8"})),
        ("other-epoch", "read as of the next epoch", json!({"epoch": 4})),
        ("other-author", "read as by another author", json!({"author": "clinic"})),
    ]
}

// --- epochs ---

pub(crate) fn run_epoch(input: &Value) -> Outcome {
    let (scope, n, suite) = (scope(input), number(&input["epoch"]), suite_of(&input["suite"]));
    let key = PrivateKey::from_secret(suite, secret(&input["private"]));
    let public = PublicKey::parse(suite, &bytes(&input["public"])).unwrap();
    let author: MemberId = text(&input["author"]).parse().unwrap();
    let card: CardId = text(&input["card"]).parse().unwrap();
    match EpochSecret::open(&key, &bytes(&input["seal"]), &scope, n, &author, &card, &public) {
        Ok(secret) => Outcome::success(*secret.table_key(&scope, n).expose()),
        Err(why @ EpochError::WrongSecret) => Outcome::failure("differs", why),
        Err(why) => Outcome::failure("open", why),
    }
}

pub(crate) fn epochs() -> Vec<Case> {
    let mut all = Cases::new("epochs");
    for suite in SUITES {
        let rng = &mut Rng::new(&format!("epochs {}", suite.id()));
        let (key, other, right, epoch) =
            (Key::new(suite, "", rng), Key::new(suite, "", rng), place(suite, rng), rng.array());
        let bound = scope(&right);
        let author = text(&right["author"]).parse().unwrap();
        let secret = || Secret32::take(&mut { epoch });
        let sealed = |info: &vault_core::context::Context, rng: &mut Rng| {
            seal::seal(key.card.kem(), &secret(), info, rng).unwrap()
        };
        let good = with(
            &right,
            json!({
                "card": key.id(), "private": to_hex(&key.kem_secret), "public": blob(private(&bound, &epoch, 3).public_key().as_bytes()),
                "seal": blob(&sealed(&bound.grant(3, &author, &key.id()), rng)),
            }),
        );
        let mut add = |name: &str, expect, what: &str, changes: Value| {
            all.add(name, suite, "1.4, 2.4", expect, what, with(&good, changes));
        };
        add("valid", "success", "an epoch secret, sealed to a card", json!({}));
        for (name, what, changes) in elsewhere(rng) {
            add(name, "open", what, changes);
        }
        add("other-card", "open", "read as sealed to another card of the same key", json!({"card": other.id()}));
        add("other-key", "open", "read with another card's private key", json!({"private": to_hex(&other.kem_secret)}));
        let elsewhere = bound.subject_key(3, &author, &key.id());
        add(
            "other-use",
            "open",
            "sealed as a subject key: the same fields under another label",
            json!({"seal": blob(&sealed(&elsewhere, rng))}),
        );
        let unbound = Scope { vault: None, dataset: None, ..bound.clone() }.grant(3, &author, &key.id());
        add("unbound", "open", "sealed to no vault and no dataset", json!({"seal": blob(&sealed(&unbound, rng))}));
        let public = |secret: &[u8; 32], n| json!({"public": blob(private(&bound, secret, n).public_key().as_bytes())});
        add(
            "other-secret",
            "differs",
            "it opens, but another secret gives the public key that was signed",
            public(&rng.array(), 3),
        );
        add(
            "public-of-next",
            "differs",
            "it opens, but the signed public key is the same secret's of the next epoch",
            public(&epoch, 4),
        );
        let plain = PrivateKey::from_secret(suite, secret());
        add(
            "public-not-derived",
            "differs",
            "it opens, but the signed public key is that of the secret itself, not of what 2.4 derives",
            json!({"public": blob(plain.public_key().as_bytes())}),
        );
    }
    all.done()
}

// --- headers ---

pub(crate) fn run_header(input: &Value) -> Outcome {
    let (scope, n) = (scope(input), number(&input["epoch"]));
    let manifest = text(&input["manifest"]).parse().unwrap();
    let author = text(&input["author"]).parse().unwrap();
    let key = private(&scope, &bytes(&input["secret"]).try_into().unwrap(), n);
    match seal::open(&key, &bytes(&input["header"]), &scope.manifest_key(n, &manifest, &author)) {
        Ok(key) => Outcome::success(*key.expose()),
        Err(why) => Outcome::failure("open", why),
    }
}

pub(crate) fn headers() -> Vec<Case> {
    let mut all = Cases::new("headers");
    for suite in SUITES {
        let rng = &mut Rng::new(&format!("headers {}", suite.id()));
        let right = with(&place(suite, rng), json!({"manifest": to_hex(&rng.array::<16>())}));
        let (bound, epoch) = (scope(&right), rng.array());
        let (manifest, author) = (text(&right["manifest"]).parse().unwrap(), text(&right["author"]).parse().unwrap());
        let to = private(&bound, &epoch, 3).public_key();
        let info = bound.manifest_key(3, &manifest, &author);
        let header = seal::seal(&to, &rng.secret(), &info, rng).unwrap();
        let good = with(&right, json!({"header": blob(&header), "secret": to_hex(&epoch)}));
        let mut add = |name: &str, expect, what: &str, changes: Value| {
            all.add(name, suite, "1.4, 2.4", expect, what, with(&good, changes));
        };
        add("valid", "success", "a manifest key, sealed to an epoch's public key", json!({}));
        for (name, what, changes) in elsewhere(rng) {
            add(name, "open", what, changes);
        }
        add("other-manifest", "open", "read as another manifest's", json!({"manifest": to_hex(&rng.array::<16>())}));
        add("other-secret", "open", "read with another epoch's secret", json!({"secret": to_hex(&rng.array::<32>())}));
        let direct = PrivateKey::from_secret(suite, Secret32::take(&mut { epoch })).public_key();
        let direct = seal::seal(&direct, &rng.secret(), &info, rng).unwrap();
        add(
            "to-the-secret",
            "open",
            "sealed to the secret's own public key, not to the one that 2.4 derives",
            json!({"header": blob(&direct)}),
        );
        let mut changed = header;
        changed[0] ^= 1;
        add("changed", "open", "one bit changed", json!({"header": blob(&changed)}));
    }
    all.done()
}

// --- tables ---

pub(crate) fn run_table(input: &Value) -> Outcome {
    let (scope, n, table) = (scope(input), number(&input["epoch"]), bytes(&input["table"]));
    if Digest(sha256(&table)) != text(&input["sha256"]).parse().unwrap() {
        return Outcome::failure("differs", "another hash than the signed one");
    }
    let epoch: [u8; 32] = bytes(&input["secret"]).try_into().unwrap();
    let public = private(&scope, &epoch, n).public_key();
    let key = EpochSecret::accept(Secret32::take(&mut { epoch }), &scope, n, &public).unwrap().table_key(&scope, n);
    match KeyTable::open(&table, &key, &scope, n, number(&input["count"])) {
        Ok(table) => {
            Outcome::success(table.iter().flat_map(|(id, key)| [&id.0[..], key.expose()].concat()).collect::<Vec<u8>>())
        }
        Err(why @ TableError::Body(_)) => Outcome::failure("open", why),
        Err(why) => Outcome::failure("malformed", why),
    }
}

pub(crate) fn tables() -> Vec<Case> {
    let mut all = Cases::new("tables");
    let rng = &mut Rng::new("tables");
    let (right, epoch) = (without(&place(Suite::XWing, rng), "author"), rng.array::<32>());
    let bound = scope(&right);
    let key = |label: &vault_core::context::Context| expand_sha256(&Secret32::take(&mut { epoch }), label.as_bytes());
    let records = |ids: &[u8], rng: &mut Rng| -> Vec<u8> {
        ids.iter().flat_map(|id| [&[*id; 16][..], &rng.array::<32>()].concat()).collect()
    };
    let three = records(&[1, 2, 0xff], rng);
    let sealed = |plain: &[u8], key: &Secret32, aad: &vault_core::context::Context, rng: &mut Rng| {
        floe::seal_bytes(key, aad.as_bytes(), plain, rng).unwrap()
    };
    let usual = |plain: &[u8], rng: &mut Rng| sealed(plain, &key(&bound.table_key(3)), &bound.table(3), rng);
    let of = |table: &[u8]| json!({"sha256": Digest(sha256(table)), "table": blob(table)});
    let table = usual(&three, rng);
    let good = with(&with(&right, json!({"count": 3, "secret": to_hex(&epoch)})), of(&table));
    let mut add = |name: &str, expect, what: &str, changes: Value| {
        all.add(name, None, "2.5", expect, what, with(&good, changes));
    };
    add("valid", "success", "a key table of three records", json!({}));
    let one = with(&of(&usual(&three[..48], rng)), json!({"count": 1}));
    add("one-record", "success", "a key table of one record", one);
    let many: Vec<u8> = (0..1366u32).flat_map(|i| [&i.to_be_bytes()[..], &[0; 44]].concat()).collect();
    add(
        "two-segments",
        "success",
        "1,366 records, a byte more than a segment and some",
        with(&of(&usual(&many, rng)), json!({"count": 1366})),
    );
    add("hash", "differs", "another hash than the statement's", json!({"sha256": to_hex(&rng.array::<32>())}));
    for count in [2, 4] {
        add(&format!("count-{count}"), "open", "the statement has another number of records", json!({"count": count}));
    }
    for (name, what, ids) in
        [("order", "two records out of order", [1, 3, 2]), ("twice", "an id twice, with two keys", [1, 2, 2])]
    {
        add(name, "malformed", what, of(&usual(&records(&ids, rng), rng)));
    }
    let again = [&three[..48], &three[..48], &three[96..]].concat();
    add("twice-alike", "malformed", "a record twice", of(&usual(&again, rng)));
    add("long", "open", "a byte after the last record", of(&usual(&[&three[..], &[0]].concat(), rng)));
    add("short", "open", "a byte less than three records", of(&usual(&three[..143], rng)));
    for (name, what, changes) in elsewhere(rng).into_iter().take(3) {
        add(name, "open", what, changes);
    }
    add("other-suite", "open", "read as of a vault of suite 1", json!({"suite": 1}));
    add("other-secret", "open", "read with another epoch's secret", json!({"secret": to_hex(&rng.array::<32>())}));
    let wrong = sealed(&three, &key(&bound.epoch_key_pair(3)), &bound.table(3), rng);
    add("key-of-other-use", "open", "sealed under the epoch's private key in the place of its table key", of(&wrong));
    let wrong = sealed(&three, &key(&bound.table_key(3)), &bound.table_key(3), rng);
    add("aad-of-other-use", "open", "the table key's context as associated data", of(&wrong));
    let mut changed = table.clone();
    changed[100] ^= 1;
    add("changed", "open", "one bit changed; the statement names what is there", of(&changed));
    add(
        "extended",
        "open",
        "a byte after the end; the statement names what is there",
        of(&[&table[..], &[0]].concat()),
    );
    all.done()
}

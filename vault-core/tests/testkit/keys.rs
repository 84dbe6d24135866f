//! Cards, envelopes and seals. Spec sections 1.3, 2.1, 2.3, 4.1.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use vault_core::card::{Card, CardError};
use vault_core::context::Scope;
use vault_core::envelope::{Envelope, MAX_STORED, PayloadType};
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::VerifyingKey;
use vault_core::ids::{CardId, to_hex};
use vault_core::json::to_b64;
use vault_core::seal::{self, PrivateKey};
use vault_core::suite::Suite;

use super::kit::*;

/// L, the order of Ed25519's group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Ed25519 points of small order and encodings that are not canonical, each with what it is.
const BAD_POINTS: [(&str, &str, &str); 6] = [
    ("order-1", "0100000000000000000000000000000000000000000000000000000000000000", "the neutral point"),
    ("order-2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "the point of order 2"),
    ("order-4", "0000000000000000000000000000000000000000000000000000000000000000", "a point of order 4"),
    ("order-8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "a point of order 8"),
    (
        "not-canonical",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "y = p + 3, another encoding of a good point",
    ),
    ("off-curve", "0200000000000000000000000000000000000000000000000000000000000000", "y = 2, no point of the curve"),
];

/// X25519 public keys whose shared secrets are all zero.
const SMALL_ORDER_X25519: [(&str, &str); 5] = [
    ("zero", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("one", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("order-8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    ("p-minus-1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

fn hex(text: &str) -> Vec<u8> {
    bytes(&Value::String(text.to_owned()))
}

/// A number below L: just enough arithmetic to sign what no honest signer signs. Least significant word first.
#[derive(Clone, Copy)]
struct Scalar([u64; 4]);

impl Scalar {
    fn of(bits: &[u8]) -> Self {
        let bits = bits.iter().rev().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1 == 1));
        bits.fold(Self([0; 4]), |sum, bit| sum.plus(sum).plus(Self([u64::from(bit), 0, 0, 0])))
    }

    // Both are below L < 2^253, so the sum fits and is below 2 L.
    fn plus(self, other: Self) -> Self {
        let order = Self(core::array::from_fn(|i| u64::from_le_bytes(ORDER[8 * i..8 * i + 8].try_into().unwrap())));
        let (sum, carry) = chained(self, other, carrying);
        let (less, borrow) = chained(sum, order, borrowing);
        assert!(!carry);
        if borrow { sum } else { less }
    }

    fn times(self, other: &Self) -> Self {
        let bits = other.0.iter().rev().flat_map(|word| (0..64).rev().map(move |i| word >> i & 1 == 1));
        bits.fold(Self([0; 4]), |sum, bit| if bit { sum.plus(sum).plus(self) } else { sum.plus(sum) })
    }

    fn bytes(self) -> [u8; 32] {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>().try_into().unwrap()
    }

    const fn is_multiple_of_8(self) -> bool {
        self.0[0] & 7 == 0
    }
}

// A step on each pair of words, which hands a bit on to the next.
fn chained(a: Scalar, b: Scalar, step: impl Fn(u64, u64, bool) -> (u64, bool)) -> (Scalar, bool) {
    let mut bit = false;
    let words = a.0.iter().zip(b.0).map(|(a, b)| {
        let (word, next) = step(*a, b, bit);
        bit = next;
        word
    });
    (Scalar(words.collect::<Vec<_>>().try_into().unwrap()), bit)
}

const fn carrying(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, one) = a.overflowing_add(b);
    let (sum, two) = sum.overflowing_add(carry as u64);
    (sum, one || two)
}

const fn borrowing(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (less, one) = a.overflowing_sub(b);
    let (less, two) = less.overflowing_sub(borrow as u64);
    (less, one || two)
}

/// The scalar a of a key, whose public half is [a]B. RFC 8032 section 5.1.5.
fn scalar(key: &Key) -> Scalar {
    let mut a: [u8; 32] = Sha512::digest(key.seed)[..32].try_into().unwrap();
    a[0] &= 248;
    a[31] = a[31] & 127 | 64;
    Scalar::of(&a)
}

/// k = SHA-512(R || A || message) mod L.
fn challenge(r: &[u8], public: &[u8], message: &[u8]) -> Scalar {
    Scalar::of(&Sha512::digest([r, public, message].concat()))
}

fn plus_order(signature: [u8; 64]) -> [u8; 64] {
    let mut out = signature;
    let mut carry = 0;
    for (byte, order) in out[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    out
}

// --- cards ---

pub(crate) fn run_card(input: &Value) -> Outcome {
    match Card::parse(&bytes(&input["card"])) {
        Ok(card) => Outcome::success(card.id().0),
        Err(why @ CardError::Signature) => Outcome::failure("signature", why),
        Err(why) => Outcome::failure("malformed", why),
    }
}

pub(crate) fn cards() -> Vec<Case> {
    let mut all = Cases::new("cards");
    let rng = &mut Rng::new("cards");
    let card = |stored: Vec<u8>| json!({"card": blob(&stored)});
    for suite in SUITES {
        let key = Key::new(suite, "sequencer 3", rng);
        all.add("valid", suite, "2.1", "success", "a card", card(key.card.stored().to_vec()));
        card_keys(&mut all, &key);
    }
    let key = Key::new(Suite::X25519, "sequencer 3", rng);
    let good = key.card_payload();
    let changed = |changes: Value| card(key.card_of(canonical(&with(&good, changes))));
    for (name, what, label) in [
        ("label-empty", "an empty label", String::new()),
        ("label-longest", "a label of 128 bytes, not all of them ASCII", format!("{}{}", "中".repeat(42), "xy")),
        (
            "label-format-character",
            "a label with U+200E, which is no control character (category Cf)",
            "a\u{200e}".to_owned(),
        ),
    ] {
        all.add(name, None, "2.1", "success", what, changed(json!({"label": label})));
    }
    all.add(
        "created-largest",
        None,
        "1.1",
        "success",
        "a time of 2^53 - 1",
        changed(json!({"created": (1u64 << 53) - 1})),
    );
    for (name, what, changes) in [
        ("label-too-long", "a label of 129 bytes", json!({"label": "中".repeat(43)})),
        ("label-line-feed", "a line feed in the label", json!({"label": "a\n"})),
        ("label-c1-control", "U+0085, a control character above 0x7f, in the label", json!({"label": "a\u{85}"})),
        ("label-null", "a label that is null", json!({"label": null})),
        ("created-negative", "a time before 1970", json!({"created": -1})),
        ("created-text", "a time that is text", json!({"created": "1790000000"})),
        ("format-2", "a format of another number", json!({"format": 2})),
        ("suite-0", "suite 0", json!({"suite": 0})),
        ("suite-3", "suite 3, which is reserved", json!({"suite": 3})),
        ("suite-257", "suite 257, whose last byte is 1", json!({"suite": 257})),
        ("suite-of-other-key", "suite 2 with a KEM key of suite 1", json!({"suite": 2})),
        ("sign-short", "a signing key of 31 bytes", json!({"sign": to_b64(&[3; 31])})),
        ("member-extra", "a member that the section does not list", json!({"x": 1})),
    ] {
        all.add(name, None, "2.1", "malformed", what, changed(changes));
    }
    for (name, point, what) in BAD_POINTS {
        let what = format!("a signing key that is {what}");
        let stored = if name.starts_with("order") {
            forged_card(&key, &good, &hex(point))
        } else {
            key.card_of(canonical(&with(&good, json!({"sign": to_b64(&hex(point))}))))
        };
        all.add(format!("sign-{name}"), None, "1.3", "malformed", what, card(stored));
    }
    card_texts(&mut all, &key, &good);
    card_envelopes(&mut all, &key, rng);
    all.done()
}

fn card_keys(all: &mut Cases, key: &Key) {
    let (suite, good) = (key.suite, key.card.kem().as_bytes().to_vec());
    let mut add = |name: &str, what: &str, kem: Vec<u8>| {
        let payload = canonical(&with(&key.card_payload(), json!({"kem": to_b64(&kem)})));
        all.add(name, suite, "1.3", "malformed", what, json!({"card": blob(&key.card_of(payload))}));
    };
    add("kem-short", "a KEM key without its last byte", good[..good.len() - 1].to_vec());
    add("kem-long", "a KEM key with a byte more", [&good[..], &[0]].concat());
    for (name, point) in SMALL_ORDER_X25519 {
        let kem = [&good[..good.len() - 32], &hex(point)].concat();
        add(&format!("kem-x25519-{name}"), "a KEM key whose X25519 part has small order", kem);
    }
    if suite == Suite::XWing {
        let mut kem = good;
        (kem[0], kem[1]) = (0x01, kem[1] & 0xf0 | 0x0d);
        add("kem-modulus", "an ML-KEM key whose first coefficient is q = 3329", kem.clone());
        (kem[1149], kem[1150], kem[1151]) = (kem[1149], kem[1150] | 0xf0, 0xff);
        (kem[0], kem[1]) = (0x00, kem[1] & 0xf0 | 0x0d);
        add("kem-modulus-last", "an ML-KEM key whose last coefficient is 4095", kem);
    }
}

// A card whose signing key has small order and whose signature fits the equation: [s]B = R + [k]A, where 8 divides k.
fn forged_card(key: &Key, good: &Value, point: &[u8]) -> Vec<u8> {
    let (r, s) = (*key.card.verifying_key().as_bytes(), scalar(key));
    (1..)
        .map(|created| canonical(&with(good, json!({"created": created, "sign": to_b64(point)}))))
        .find(|payload| challenge(&r, point, &Envelope::pae(PayloadType::Card, payload)).is_multiple_of_8())
        .map(|payload| {
            let signature = [r, s.bytes()].concat().try_into().unwrap();
            let keyid = CardId(sha256(&payload));
            Envelope { payload_type: PayloadType::Card, payload, keyid, signature }.emit()
        })
        .unwrap()
}

// Payloads that are no canonical JSON, rightly signed.
fn card_texts(all: &mut Cases, key: &Key, good: &Value) {
    let text = canonical(good);
    let trailing = to_b64(key.card.verifying_key().as_bytes());
    let turned = trailing.replace(&trailing[42..], &format!("{}=", next_digit(&trailing[42..43])));
    for (name, what, from, to) in [
        ("json-space", "a space in the payload", ",\"format\"", ", \"format\""),
        (
            "json-order",
            "members in another order",
            "\"created\":1790000000,\"format\":1",
            "\"format\":1,\"created\":1790000000",
        ),
        ("json-doubled", "a member twice", "\"format\":1", "\"format\":1,\"format\":1"),
        ("json-escape", "an escape that is not needed", "sequencer 3", "\\u0073equencer 3"),
        ("json-float", "a number with a fraction", "1790000000", "1790000000.0"),
        ("json-exponent", "a number with an exponent", "1790000000", "179e7"),
        ("json-too-big", "an integer of 2^53", "1790000000", "9007199254740992"),
        ("json-missing", "no label", "\"label\":\"sequencer 3\",", ""),
        ("base64-trailing-bits", "a signing key in base64 whose unused bits are not zero", &trailing, &turned),
        ("base64-unpadded", "a signing key in base64 without padding", &trailing, trailing.trim_end_matches('=')),
    ] {
        let stored = key.card_of(edit(&text, from, to));
        all.add(name, None, "1.1", "malformed", what, json!({"card": blob(&stored)}));
    }
}

// The digit after this one: with bits set that padded base64 leaves unused.
fn next_digit(digit: &str) -> char {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    DIGITS.chars().nth(DIGITS.find(digit).unwrap() + 1).unwrap()
}

fn card_envelopes(all: &mut Cases, key: &Key, rng: &mut Rng) {
    let good = Envelope::parse(key.card.stored()).unwrap();
    let mut add = |name: &str, expect, what: &str, stored: Vec<u8>| {
        all.add(name, None, "2.1", expect, what, json!({"card": blob(&stored)}));
    };
    let statement = key.envelope(PayloadType::Statement, good.payload.clone(), good.keyid);
    add("type-statement", "malformed", "a card's payload under the type of a statement", statement.emit());
    let other_id = Envelope { keyid: CardId([7; 32]), ..good.clone() };
    add("keyid-other", "malformed", "an envelope that names another card", other_id.emit());
    let other = Key::new(key.suite, "", rng);
    let by_other = other.envelope(PayloadType::Card, good.payload.clone(), good.keyid);
    add("signed-by-other", "signature", "a card that another key signed", by_other.emit());
    let mut flipped = good.clone();
    flipped.signature[3] ^= 1;
    add("signature-changed", "signature", "one bit of the signature changed", flipped.emit());
    let bare = Envelope { signature: key.sign.sign(&good.payload), ..good.clone() };
    add("signed-bare", "signature", "a signature over the payload alone, without the encoding of 4.1", bare.emit());
    // No card of 8 KiB follows the other rules; it takes a label that breaks them too.
    let long = canonical(&with(&key.card_payload(), json!({"label": "x".repeat(8192)})));
    add(
        "stored-too-long",
        "malformed",
        "stored bytes of more than 8 KiB, for which it takes a label",
        key.card_of(long),
    );
    let malleable = Envelope { signature: plus_order(good.signature), ..good };
    add(
        "signature-s-plus-l",
        "signature",
        "S + L in the place of S: the same equation, another signature",
        malleable.emit(),
    );
}

// --- envelopes ---

pub(crate) fn run_envelope(input: &Value) -> Outcome {
    let envelope = match Envelope::parse(&bytes(&input["stored"])) {
        Ok(envelope) if envelope.payload_type == PayloadType::Statement => envelope,
        Ok(_) => return Outcome::failure("malformed", "another payload type"),
        Err(why) => return Outcome::failure("malformed", why),
    };
    match envelope.verify(&VerifyingKey::parse(&bytes(&input["public"])).unwrap()) {
        Ok(()) => Outcome::success(envelope.payload),
        Err(why) => Outcome::failure("signature", why),
    }
}

pub(crate) fn envelopes() -> Vec<Case> {
    let mut all = Cases::new("envelopes");
    let rng = &mut Rng::new("envelopes");
    // One whose signature looks different in base64url.
    let made = (0..).map(|_| Key::new(Suite::X25519, "", rng)).map(|key| (key.statement_of(b"{}".to_vec()), key));
    let good = |stored: &[u8]| Envelope::parse(stored).unwrap();
    let (stored, key) = made.into_iter().find(|(s, _)| to_b64(&good(s).signature).contains(['+', '/'])).unwrap();
    let (public, good) = (key.card.verifying_key().as_bytes(), good(&stored));
    let mut add = |name: &str, expect, what: &str, stored: &[u8]| {
        all.add(name, None, "4.1", expect, what, json!({"public": blob(public), "stored": blob(stored)}));
    };
    add("valid", "success", "an envelope around a statement's payload, here an empty object", &stored);
    let odd = key.statement_of(vec![0, 0xff, 10]);
    add(
        "valid-any-payload",
        "success",
        "an envelope says nothing of its payload: here three bytes that are no text",
        &odd,
    );
    add("valid-empty-payload", "success", "a payload of no bytes", &key.statement_of(Vec::new()));

    let (id, sig) = (key.id().to_string(), to_b64(&good.signature));
    let one = format!("{{\"keyid\":\"{id}\",\"sig\":\"{sig}\"}}");
    let turned = sig.replace(&sig[85..], &format!("{}==", next_digit(&sig[85..86])));
    for (name, what, from, to) in [
        ("space", "a space between members", ",\"payloadType\"", ", \"payloadType\""),
        ("space-after", "a space after the end", "}]}", "}]} "),
        ("line-feed-after", "a line feed after the end", "}]}", "}]}\n"),
        ("second-value", "a second value after the end", "}]}", "}]}{}"),
        ("byte-order-mark", "a byte order mark before the beginning", "{\"payload\"", "\u{feff}{\"payload\""),
        ("escape-in-name", "an escape in a member's name", "payloadType", "payload\\u0054ype"),
        ("escape-in-value", "an escaped slash", "application/vnd", "application\\/vnd"),
        ("payload-unpadded", "a payload in base64 without padding", "e30=", "e30"),
        ("payload-trailing-bits", "a payload in base64 whose unused bits are not zero", "e30=", "e31="),
        (
            "payload-twice",
            "the payload twice, alike",
            "{\"payload\":\"e30=\",",
            "{\"payload\":\"e30=\",\"payload\":\"e30=\",",
        ),
        ("payload-null", "a payload that is null", "\"e30=\"", "null"),
        ("member-extra", "a member more", "\"signatures\"", "\"signature\":1,\"signatures\""),
        ("member-extra-last", "a member more, last in order", "}]}", "}],\"x\":1}"),
        ("type-missing", "no payload type", "\"payloadType\":\"application/vnd.seqvault.statement+json\",", ""),
        ("type-unknown", "a payload type that no section names", "statement+json", "statements+json"),
        ("type-capital", "a payload type in capital letters", "statement+json", "Statement+json"),
        ("keyid-capital", "a key id in capital letters", &id, &id.to_uppercase()),
        ("keyid-short", "a key id of 31 bytes", &id, &id[2..]),
        ("signature-short", "a signature of 63 bytes", &sig, &to_b64(&good.signature[..63])),
        ("signature-trailing-bits", "a signature in base64 whose unused bits are not zero", &sig, &turned),
        (
            "signature-url-alphabet",
            "a signature in the alphabet of base64url",
            &sig,
            &sig.replace('+', "-").replace('/', "_"),
        ),
        ("signatures-none", "no signature", &one, ""),
        ("signatures-two", "the signature twice", &one, &format!("{one},{one}")),
        ("signature-member-extra", "a member more beside the signature", "\"sig\":", "\"role\":1,\"sig\":"),
    ] {
        add(name, "malformed", what, &edit(&stored, from, to));
    }
    let moved = edit(&stored, "{\"payload\":\"e30=\",", "{");
    add("order", "malformed", "members in another order", &edit(&moved, "}]}", "}],\"payload\":\"e30=\"}"));
    let card = key.envelope(PayloadType::Card, b"{}".to_vec(), key.id());
    add("type-card", "malformed", "a card where a statement must be; its signature is right", &card.emit());

    let retyped = Envelope { signature: card.signature, ..good.clone() };
    add("signed-as-card", "signature", "a signature that was made for the other payload type", &retyped.emit());
    let other = Envelope { payload: b"{ }".to_vec(), ..good.clone() };
    add("payload-changed", "signature", "another payload under the signature", &other.emit());
    let bare = Envelope { signature: key.sign.sign(b"{}"), ..good.clone() };
    add("signed-bare", "signature", "a signature over the payload alone", &bare.emit());
    let malleable = Envelope { signature: plus_order(good.signature), ..good.clone() };
    add("signature-s-plus-l", "signature", "S + L in the place of S", &malleable.emit());
    let zero = Envelope { signature: [0; 64], ..good.clone() };
    add("signature-zero", "signature", "a signature of zeros: R has small order", &zero.emit());
    // R is the neutral point: [k a]B = R + [k]A.
    let neutral = hex(BAD_POINTS[0].1);
    let k = challenge(&neutral, public, &Envelope::pae(PayloadType::Statement, &good.payload));
    let signature = [neutral, k.times(&scalar(&key)).bytes().to_vec()].concat().try_into().unwrap();
    let forged = Envelope { signature, ..good.clone() };
    add("signature-r-small-order", "signature", "R is the neutral point, and the equation holds", &forged.emit());
    let mut high = good;
    high.signature[31] ^= 0x80;
    add("signature-r-negated", "signature", "the sign of R turned", &high.emit());
    // Base64 goes by three bytes: the longest envelope is three bytes or less below the limit, the next is above it.
    let rest = key.statement_of(Vec::new()).len();
    let payload = (MAX_STORED - rest) / 4 * 3;
    let (longest, longer) = (key.statement_of(vec![0; payload]), key.statement_of(vec![0; payload + 1]));
    assert!(longest.len() <= MAX_STORED && longer.len() > MAX_STORED);
    add("stored-longest", "success", "the longest envelope of 16 MiB at most, around zeros", &longest);
    add("stored-too-long", "malformed", "an envelope of more than 16 MiB", &longer);
    all.done()
}

// --- seals ---

pub(crate) fn run_seal(input: &Value) -> Outcome {
    let key = PrivateKey::from_secret(suite_of(&input["suite"]), secret(&input["private"]));
    let card = CardId(bytes(&input["context_card"]).try_into().unwrap());
    let info = Scope::without_vault(suite_of(&input["context_suite"])).sealed_file_key(&card);
    match seal::open(&key, &bytes(&input["seal"]), &info) {
        Ok(secret) => Outcome::success(*secret.expose()),
        Err(why) => Outcome::failure("open", why),
    }
}

pub(crate) fn seals() -> Vec<Case> {
    let mut all = Cases::new("seals");
    for suite in SUITES {
        let rng = &mut Rng::new(&format!("seals {}", suite.id()));
        let (key, other) = (Key::new(suite, "", rng), Key::new(suite, "", rng));
        let right = Scope::without_vault(suite).sealed_file_key(&key.id());
        let sealed = seal::seal(key.card.kem(), &rng.secret(), &right, rng).unwrap();
        let good = json!({
            "context_card": key.id(), "context_suite": suite.id(), "private": to_hex(&key.kem_secret), "seal": blob(&sealed),
            "suite": suite.id(),
        });
        let mut add = |name: &str, expect, what: &str, changes: Value| {
            all.add(name, suite, "2.3", expect, what, with(&good, changes));
        };
        add("valid", "success", "a seal", json!({}));
        let changed = |at: usize, bit: u8| {
            let mut sealed = sealed.clone();
            sealed[at] ^= bit;
            json!({"seal": blob(&sealed)})
        };
        let enc = sealed.len() - 48;
        add("enc-changed", "open", "one bit of the first byte of the encapsulated key", changed(0, 1));
        add("enc-x25519-changed", "open", "one bit of the X25519 part of the encapsulated key", changed(enc - 32, 1));
        add(
            "enc-high-bit",
            "open",
            "the bit of the X25519 part that X25519 ignores: the context holds it",
            changed(enc - 1, 0x80),
        );
        add("ciphertext-changed", "open", "one bit of the ciphertext", changed(enc, 1));
        add("tag-changed", "open", "one bit of the tag", changed(sealed.len() - 1, 1));
        add("short", "open", "the last byte is missing", json!({"seal": blob(&sealed[..sealed.len() - 1])}));
        add("long", "open", "a byte more", json!({"seal": blob(&[&sealed[..], &[0]].concat())}));
        add("empty", "open", "no byte", json!({"seal": ""}));
        let zero = [&sealed[..enc - 32], &[0; 32], &sealed[enc..]].concat();
        add(
            "enc-small-order",
            "open",
            "an encapsulated key whose X25519 part has small order",
            json!({"seal": blob(&zero)}),
        );
        add("other-key", "open", "another private key", json!({"private": to_hex(&other.kem_secret)}));
        add("other-card", "open", "another card id in the context", json!({"context_card": other.id()}));
        let other_suite = SUITES[usize::from(suite == Suite::X25519)];
        add(
            "other-suite",
            "open",
            "the other suite's number in the context",
            json!({"context_suite": other_suite.id()}),
        );
        let mut aad = [0; 32];
        aad.copy_from_slice(rng.secret().expose());
        let (enc, tag) =
            vault_core::hazmat::hpke::seal(suite, key.card.kem().as_bytes(), right.as_bytes(), b"aad", &mut aad, rng)
                .unwrap();
        let with_aad = [&enc[..], &aad, &tag].concat();
        add("with-aad", "open", "sealed with associated data, where there is none", json!({"seal": blob(&with_aad)}));
    }
    all.done()
}

// The arithmetic above makes signatures that honest verifiers take, too.
#[test]
fn a_signature_by_hand_is_that_of_the_library() {
    let key = Key::new(Suite::X25519, "", &mut Rng::new("a signature by hand"));
    let (nonce, public) = (Key::new(Suite::X25519, "", &mut Rng::new("a nonce")), *key.card.verifying_key().as_bytes());
    let r = *nonce.card.verifying_key().as_bytes();
    let s = scalar(&nonce).plus(challenge(&r, &public, b"message").times(&scalar(&key)));
    let signature = [r, s.bytes()].concat().try_into().unwrap();
    assert!(VerifyingKey::parse(&public).unwrap().verify(b"message", &signature).is_ok());
}

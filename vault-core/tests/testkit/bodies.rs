//! FLOE bodies and the contexts that they are bound to. Spec sections 1.4, 3.1.
//!
//! FLOE is written out here once more, so that a case can have any field wrong and the tags right.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha384;
use vault_core::context::{Context, Scope};
use vault_core::floe::{self, FloeError, HEADER, Opener, SEGMENT, SEGMENT_PLAIN};
use vault_core::hazmat::aead::{BodyAead as _, DefaultAead};
use vault_core::ids::{Digest, to_hex};

use super::kit::*;

/// FLOE with every value open.
#[derive(Debug, Clone)]
pub(crate) struct Floe {
    pub(crate) key: [u8; 32],
    pub(crate) aad: Vec<u8>,
    pub(crate) parameters: [u8; 10],
    pub(crate) iv: [u8; 32],
}

impl Floe {
    pub(crate) fn new(key: [u8; 32], aad: &[u8], rng: &mut Rng) -> Self {
        Self { key, aad: aad.to_vec(), parameters: [0, 0, 0, 1, 0, 32, 0, 0, 0, 32], iv: rng.array() }
    }

    fn derive(&self, key: &[u8], purpose: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha384>::new_from_slice(key).unwrap();
        for part in [&self.parameters, &self.iv[..], purpose, &self.aad, &[1]] {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }

    pub(crate) fn header(&self) -> Vec<u8> {
        [&self.parameters, &self.iv[..], &self.derive(&self.key, b"HEADER_TAG:")[..32]].concat()
    }

    /// A segment whose ciphertext is `body`; its plaintext is whatever gives that.
    pub(crate) fn segment(&self, position: u64, is_final: bool, length: u32, body: &[u8], rng: &mut Rng) -> Vec<u8> {
        let message_key = self.derive(&self.key, b"MESSAGE_KEY:");
        let key = self.derive(&message_key, &[b"DEK:", &(position >> 20 << 20).to_be_bytes()[..]].concat());
        let aead = DefaultAead::schedule(&key[..32].try_into().unwrap()).unwrap();
        let (iv, aad) = (rng.array(), [&position.to_be_bytes()[..], &[u8::from(is_final)]].concat());
        // The keystream is what zeros become; what it turns into the body is the plaintext.
        let mut plain = vec![0; body.len()];
        aead.seal(&iv, &aad, &mut plain).unwrap();
        plain.iter_mut().zip(body).for_each(|(p, b)| *p ^= b);
        let mut sealed = plain.clone();
        let tag = aead.seal(&iv, &aad, &mut sealed).unwrap();
        assert_eq!(sealed, body);
        [&length.to_be_bytes()[..], &iv, body, &tag].concat()
    }

    /// A whole body of `size` bytes, its ciphertexts zeros: header, then segments.
    pub(crate) fn body(&self, size: usize, rng: &mut Rng) -> Body {
        let count = size.div_ceil(SEGMENT_PLAIN).max(1);
        let segment = |i: usize| {
            let last = i + 1 == count;
            let len = if last { size - i * SEGMENT_PLAIN } else { SEGMENT_PLAIN };
            let length = if last { u32::try_from(len + 32).unwrap() } else { u32::MAX };
            self.segment(i as u64, last, length, &vec![0; len], rng)
        };
        Body { header: self.header(), segments: (0..count).map(segment).collect() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) header: Vec<u8>,
    pub(crate) segments: Vec<Vec<u8>>,
}

impl Body {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.segments.iter().fold(self.header.clone(), |all, segment| [all, segment.clone()].concat())
    }
}

/// The context that a vector's members name.
pub(crate) fn context(of: &Value) -> Context {
    let scope = scope(of);
    let manifest = || text(&of["manifest"]).parse().unwrap();
    let author = || text(&of["author"]).parse().unwrap();
    match text(&of["use"]) {
        "file" => scope.file(&manifest(), &author(), of["number"].as_u64().unwrap().try_into().unwrap()),
        "manifest" => scope.manifest(&manifest(), &author()),
        "sealed-file" => scope.sealed_file(&text(&of["head"]).parse::<Digest>().unwrap().0),
        other => panic!("no context {other}"),
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn scope(of: &Value) -> Scope {
    let vault = (!of["vault"].is_null()).then(|| text(&of["vault"]).parse().unwrap());
    let dataset = (!of["dataset"].is_null()).then(|| text(&of["dataset"]).parse().unwrap());
    Scope { suite: suite_of(&of["suite"]), vault, dataset }
}

pub(crate) fn run(input: &Value) -> Outcome {
    let aad =
        if input["aad"].is_null() { context(&input["context"]).as_bytes().to_vec() } else { bytes(&input["aad"]) };
    let (key, body, size) = (secret(&input["key"]), bytes(&input["body"]), input["size"].as_u64().unwrap());
    let mut released = Vec::new();
    let streamed = stream(&key, &aad, &body, size, &mut released);
    // Whoever holds the whole body checks its length first, and says the same in the end.
    assert_eq!(streamed.is_ok(), floe::open_bytes(&key, &aad, &body, size).is_ok());
    match streamed {
        Ok(()) => Outcome::success(released),
        Err(why) => Outcome { released, ..Outcome::failure("open", why) },
    }
}

// As `get` reads: a segment at a time, position and final flag from the size.
fn stream(
    key: &vault_core::secret::Secret32,
    aad: &[u8],
    body: &[u8],
    size: u64,
    released: &mut Vec<u8>,
) -> Result<(), FloeError> {
    let (header, mut rest) = body.split_at_checked(HEADER).ok_or(FloeError::Length)?;
    let opener = Opener::start(key, aad, header)?;
    for position in 0..floe::segments(size) {
        let len = floe::segment_len(size, position).unwrap();
        let (segment, after) = rest.split_at_checked(len).ok_or(FloeError::Length)?;
        let is_final = floe::is_final_position(size, position);
        released.extend_from_slice(opener.open_segment(position, is_final, &mut segment.to_vec())?);
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(FloeError::Length) }
}

pub(crate) fn bodies() -> Vec<Case> {
    let mut all = Cases::new("bodies");
    let rng = &mut Rng::new("bodies");
    let floe = Floe::new(rng.array(), b"associated data", rng);
    for (name, what, size) in [
        ("empty", "no byte of plaintext: one empty final segment", 0),
        ("one-byte", "one byte", 1),
        ("segment-less-one", "a byte less than a segment", SEGMENT_PLAIN - 1),
        ("segment", "exactly one segment: it is full and final", SEGMENT_PLAIN),
        ("segment-and-one", "a segment and a byte", SEGMENT_PLAIN + 1),
        ("three-segments", "exactly three segments", 3 * SEGMENT_PLAIN),
    ] {
        add(&mut all, name, "success", what, &floe, size as u64, &floe.body(size, rng).bytes());
    }
    headers(&mut all, &floe, rng);
    segments(&mut all, &floe, rng);
    lengths(&mut all, &floe, rng);
    for of in ["file", "manifest"] {
        bound(&mut all, of, rng);
    }
    all.done()
}

fn add(all: &mut Cases, name: &str, expect: &'static str, what: &str, floe: &Floe, size: u64, body: &[u8]) {
    let input = json!({"aad": blob(&floe.aad), "body": blob(body), "key": to_hex(&floe.key), "size": size});
    all.add(name, None, "3.1", expect, what, input);
}

fn headers(all: &mut Cases, floe: &Floe, rng: &mut Rng) {
    let good = floe.body(100, rng);
    let mut case = |name: &str, what: &str, floe: &Floe, body: &[u8]| add(all, name, "open", what, floe, 100, body);
    // The tag of these is right: FLOE binds its parameters.
    for (name, what, at, byte) in [
        ("parameter-aead", "another AEAD's number", 0, 1),
        ("parameter-kdf", "another KDF's number", 1, 1),
        ("parameter-segment", "segments of 65,569 bytes", 5, 33),
        ("parameter-iv", "an IV length of 16", 9, 16),
    ] {
        let mut other = floe.clone();
        other.parameters[at] = byte;
        case(name, what, floe, &other.body(100, rng).bytes());
    }
    for (name, what, at) in [
        ("iv-changed", "one bit of the header's IV changed", 10),
        ("tag-changed", "one bit of the header's tag changed", 42),
        ("tag-last-changed", "one bit of the tag's last byte changed", 73),
    ] {
        let mut body = good.bytes();
        body[at] ^= 1;
        case(name, what, floe, &body);
    }
    let other = Floe { key: rng.array(), ..floe.clone() };
    case("other-key", "another key", &other, &good.bytes());
    let other = Floe { aad: b"associated dat".to_vec(), ..floe.clone() };
    case("other-aad", "other associated data", &other, &good.bytes());
    case("header-only", "a header and nothing after it", floe, &good.header);
    case("header-short", "73 bytes", floe, &good.header[..73]);
    case("no-bytes", "nothing at all", floe, &[]);
    let mixed = Body { header: Floe { iv: rng.array(), ..floe.clone() }.header(), ..good };
    case("header-of-another", "the header of another body under the same key", floe, &mixed.bytes());
}

// Three segments, of which one or two are wrong: what is before them may be released.
fn segments(all: &mut Cases, floe: &Floe, rng: &mut Rng) {
    let size = 2 * SEGMENT_PLAIN + 1000;
    let good = floe.body(size, rng);
    let full = vec![0; SEGMENT_PLAIN];
    let mut case = |name: &str, what: &str, change: &mut dyn FnMut(&mut Vec<Vec<u8>>)| {
        let mut body = good.clone();
        change(&mut body.segments);
        add(all, name, "open", what, floe, size as u64, &body.bytes());
    };
    for (name, what, segment, at) in [
        ("first-changed", "one bit of the first segment's ciphertext changed", 0, 16),
        ("second-changed", "one bit of the second segment's ciphertext changed", 1, 40_000),
        ("last-changed", "one bit of the last segment's ciphertext changed", 2, 16),
        ("second-iv-changed", "one bit of the second segment's IV changed", 1, 4),
        ("last-tag-changed", "one bit of the last segment's tag changed", 2, 1031),
        ("second-length-changed", "a length field of 0xfffffffe", 1, 3),
        ("last-length-changed", "a length field that is one too high", 2, 3),
    ] {
        case(name, what, &mut |s| s[segment][at] ^= 1);
    }
    case("swapped", "the first two segments in each other's place", &mut |s| s.swap(0, 1));
    case("repeated", "the first segment in the place of the second", &mut |s| s[1] = s[0].clone());
    let other = Floe { iv: rng.array(), ..floe.clone() };
    let spliced = other.segment(1, false, u32::MAX, &full, rng);
    case("spliced", "the second segment of another body under the same key and data", &mut |s| s[1] = spliced.clone());
    let moved = floe.segment(2, false, u32::MAX, &full, rng);
    case("position", "a segment that was sealed for position 2 at position 1", &mut |s| s[1] = moved.clone());
    let far = floe.segment(1 << 32, false, u32::MAX, &full, rng);
    case("position-high", "a segment that was sealed for position 2^32 at position 0", &mut |s| s[0] = far.clone());
    let early = floe.segment(1, true, SEGMENT as u32, &full, rng);
    case("final-early", "a second segment that is sealed as the final one, and says so", &mut |s| s[1] = early.clone());
    let flag = floe.segment(1, true, u32::MAX, &full, rng);
    case("final-flag", "a second segment that is sealed as the final one, and does not say so", &mut |s| {
        s[1] = flag.clone()
    });
    let open = floe.segment(2, false, 1032, &[0; 1000], rng);
    case("final-missing", "a last segment that is not sealed as the final one", &mut |s| s[2] = open.clone());
    let open = floe.segment(2, true, u32::MAX, &[0; 1000], rng);
    case("final-unsaid", "a last segment whose length field says that more follow", &mut |s| s[2] = open.clone());
}

fn lengths(all: &mut Cases, floe: &Floe, rng: &mut Rng) {
    let plain = SEGMENT_PLAIN as u64;
    let two = floe.body(2 * SEGMENT_PLAIN, rng);
    let one = Body { segments: two.segments[..1].to_vec(), ..two.clone() };
    let mut case = |name: &str, what: &str, size: u64, body: &[u8]| add(all, name, "open", what, floe, size, body);
    case("truncated-segment", "the last of two segments is missing", 2 * plain, &one.bytes());
    let bytes = two.bytes();
    case("truncated-byte", "the last byte is missing", 2 * plain, &bytes[..bytes.len() - 1]);
    case("truncated-and-signed", "the first of two segments alone, with a size that fits", plain, &one.bytes());
    case("extended-byte", "a byte after the final segment", 2 * plain, &[&bytes[..], &[0]].concat());
    let more = floe.segment(2, true, 132, &[0; 100], rng);
    case("extended-segment", "a segment after the final one", 2 * plain, &[&bytes[..], &more].concat());
    case("size-less-one", "a size that is a byte less", 2 * plain - 1, &bytes);
    case("size-more-one", "a size that is a byte more", 2 * plain + 1, &bytes);
    let empty = floe.segment(1, true, 32, &[], rng);
    let first = floe.segment(0, false, u32::MAX, &vec![0; SEGMENT_PLAIN], rng);
    let tail = Body { header: floe.header(), segments: vec![first, empty] };
    case("empty-final", "a full segment and an empty final one: FLOE, but not of this format", plain, &tail.bytes());
    let short = floe.segment(0, false, u32::MAX, &[0; 100], rng);
    let last = floe.segment(1, true, 132, &[0; 100], rng);
    let uneven = Body { header: floe.header(), segments: vec![short, last] };
    case("short-segment", "a segment that is neither full nor final", 200, &uneven.bytes());
    case("size-largest", "a size of 2^53 - 1", (1 << 53) - 1, &bytes);
}

// The context that the format binds a body to, each of its fields changed in turn.
fn bound(all: &mut Cases, of: &str, rng: &mut Rng) {
    let mut right = json!({
        "author": "lab", "dataset": "cohort-7", "manifest": to_hex(&rng.array::<16>()), "suite": 2, "use": of,
        "vault": to_hex(&rng.array::<32>()),
    });
    if of == "file" {
        right["number"] = json!(7);
    }
    let floe = Floe::new(rng.array(), context(&right).as_bytes(), rng);
    let body = floe.body(50, rng).bytes();
    let mut case = |name: &str, expect, what: &str, changes: Value| {
        let input = json!({
            "aad": null, "body": blob(&body), "context": with(&right, changes), "key": to_hex(&floe.key), "size": 50,
        });
        all.add(format!("{of}-{name}"), None, "1.4, 3.1", expect, what, input);
    };
    case("bound", "success", &format!("a {of}, bound to its place"), json!({}));
    for (name, what, changes) in [
        ("other-vault", "read as of another vault", json!({"vault": to_hex(&rng.array::<32>())})),
        ("other-dataset", "read as of another dataset", json!({"dataset": "cohort-8"})),
        ("other-manifest", "read as of another manifest", json!({"manifest": to_hex(&rng.array::<16>())})),
        ("other-author", "read as by another author", json!({"author": "clinic"})),
        ("other-suite", "read as of a vault of suite 1", json!({"suite": 1})),
    ] {
        case(name, "open", what, changes);
    }
    if of == "file" {
        case("other-number", "open", "read as another file of its manifest", json!({"number": 8}));
    } else {
        case("other-use", "open", "a manifest's bytes read as those of a file", json!({"number": 0, "use": "file"}));
    }
}

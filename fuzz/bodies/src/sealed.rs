//! What is encrypted: seals, key tables, bodies, identity files, heads of sealed files. Nothing but the bytes that a key holder made
//! opens; and what a key holder makes in another form is refused too.

use std::sync::LazyLock;

use rand_core::Rng as _;
use vault_cli::sealed_file::head::Head;
use vault_core::context::{Context, Scope};
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe::{self, HEADER, Opener, SEGMENT};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, Digest, ManifestId, MemberId, VaultId};
use vault_core::json as canonical;
use vault_core::seal::{self as seals, PrivateKey, PublicKey};
use vault_core::secret::Secret32;
use vault_core::subject::{SubjectKey, generation_of};
use vault_core::suite::Suite;
use vault_keys::identity::{Cost, Identity};
use vault_keys::passphrase::Passphrase;

use crate::choices::Choices;
use crate::mutate::Random;

fn secret(byte: u8) -> Secret32 {
    Secret32::take(&mut [byte; 32])
}

fn scope(suite: Suite) -> Scope {
    Scope { suite, vault: Some(VaultId([1; 32])), dataset: "cohort-7".parse().ok() }
}

static KEYS: LazyLock<[PrivateKey; 2]> =
    LazyLock::new(|| [Suite::X25519, Suite::XWing].map(|suite| PrivateKey::from_secret(suite, secret(7))));

fn author() -> MemberId {
    "lab".parse().expect("a name")
}

/// A byte that chooses the suite and the use; then a seal, a public key, and changes to a right seal.
pub fn seal(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let key = &KEYS[choices.pick(2)];
    let suite = key.public_key().suite();
    let scope = scope(suite);
    let uses: [Context; 4] = [
        scope.grant(3, &author(), &CardId([9; 32])),
        scope.manifest_key(3, &ManifestId([2; 16]), &author()),
        scope.sealed_file_key(&CardId([9; 32])),
        scope.journal_key(&vault_core::ids::UploadId([4; 16]), &CardId([9; 32])),
    ];
    let which = choices.pick(4);
    let rest = choices.0;
    assert!(seals::open(key, rest, &uses[which]).is_err(), "a seal that nobody made opens");
    let given = EpochSecret::open(key, rest, &scope, 3, &author(), &CardId([9; 32]), &key.public_key());
    assert!(given.is_err());

    if let Ok(public) = PublicKey::parse(suite, rest) {
        assert_eq!(public.as_bytes(), rest);
        seals::seal(&public, &secret(5), &uses[which], &mut Random::of(bytes)).expect("a parsed key is one to seal to");
    }

    let right = seals::seal(&key.public_key(), &secret(5), &uses[which], &mut Random::of(bytes)).expect("our own key");
    assert_eq!(seals::open(key, &right, &uses[which]).ok(), Some(secret(5)));
    assert!(seals::open(key, &right, &uses[(which + 1) % 4]).is_err(), "a seal opens for another use");
    let changed = changed(&right, &mut choices);
    assert_eq!(seals::open(key, &changed, &uses[which]).is_ok(), changed == right);
}

/// A key table as sealed bytes, and its plaintext as a key holder might write it.
pub fn table(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (scope, key) = (scope(Suite::XWing), secret(3));
    let count = u64::from(choices.byte());
    let rest = choices.0;
    assert!(KeyTable::open(rest, &key, &scope, 3, count).is_err());
    let sealed = floe::seal_bytes(&key, scope.table(3).as_bytes(), rest, &mut Random::of(bytes)).expect("it is short");
    let records = rest.len() / 48;
    let Ok(table) = KeyTable::open(&sealed, &key, &scope, 3, records as u64) else { return };
    assert!(rest.len().is_multiple_of(48) && table.len() == records && !table.is_empty());
    let again: Vec<u8> = table.iter().flat_map(|(id, key)| [&id.0[..], key.expose()].concat()).collect();
    assert_eq!(again, rest, "a table is written as it was read");
    assert!(table.iter().map(|(id, _)| *id).is_sorted_by(|a, b| a < b));
    assert!(KeyTable::open(&sealed, &key, &scope, 4, records as u64).is_err(), "a table opens in another epoch");
}

/// What is kept under a subject key, as it came; then changes to what was rightly kept.
pub fn kept(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (scope, key) = (scope(Suite::XWing), SubjectKey::accept(secret(6)));
    let generation = u64::from(choices.byte());
    let plain = choices.piece();
    let name = Digest(sha256(plain));
    let mut change = choices;
    let rest = choices.0;
    assert!(key.read(&scope, generation, &name, rest).is_err(), "what nobody kept is read");

    let right = key.keep(&scope, generation, plain, &mut Random::of(bytes)).expect("it is short");
    assert_eq!(generation_of(&right), Ok(generation));
    assert_eq!(key.read(&scope, generation, &name, &right).as_deref().map(Vec::as_slice), Ok(plain));
    assert!(key.read(&scope, generation + 1, &name, &right).is_err(), "it is read under another generation");
    assert!(key.read(&scope, generation, &Digest([1; 32]), &right).is_err(), "it is read under another name");
    let changed = changed(&right, &mut change);
    assert_eq!(key.read(&scope, generation, &name, &changed).is_ok(), changed == right);
}

/// A header and a body as they came; then changes to a right body.
pub fn floe(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let key = secret(1);
    let size = match choices.byte() % 8 {
        0 => 0,
        1 => 65_535,
        2 => 65_536,
        3 => 65_537,
        _ => usize::from(choices.short()) % 3000,
    };
    let position = u64::from(choices.byte() % 4);
    arithmetic(choices.word(), choices.word(), choices.word());
    let rest = choices.0;
    assert!(floe::open_bytes(&key, b"context", rest, size as u64).is_err());
    if let Some(header) = rest.get(..HEADER) {
        assert!(Opener::start(&key, b"context", header).is_err(), "a header that nobody made is taken");
    }

    let plain: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let right = floe::seal_bytes(&key, b"context", &plain, &mut Random::of(bytes)).expect("it is short");
    let changed = changed(&right, &mut choices);
    match floe::open_bytes(&key, b"context", &changed, size as u64) {
        Ok(opened) => assert!(changed == right && *opened == plain),
        Err(_) => assert!(changed != right),
    }
    // One segment, at a place and with a flag that may not be its own.
    let opener = Opener::start(&key, b"context", &right[..HEADER]).expect("our own header");
    let mut segment = right[HEADER..right.len().min(HEADER + SEGMENT)].to_vec();
    let last = position % 2 == 1;
    let is_its_own = position == 0 && last == (right.len() <= HEADER + SEGMENT);
    match opener.open_segment(position, last, &mut segment) {
        Ok(opened) => assert!(is_its_own && *opened == plain[..plain.len().min(floe::SEGMENT_PLAIN)]),
        Err(_) => assert!(!is_its_own),
    }
}

fn arithmetic(size: u64, start: u64, len: u64) {
    // Beyond the largest body results saturate, as they say.
    let size = size % (floe::layout::MAX_SIZE + 1);
    let covered = floe::covering(size, start..start.saturating_add(len));
    assert!(covered.end <= floe::segments(size));
    let bytes = floe::ciphertext_range(size, covered.clone());
    assert!(covered.is_empty() || (bytes.start < bytes.end && bytes.end <= floe::ciphertext_len(size)));
}

/// One change or none, by the choices.
fn changed(right: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = right.to_vec();
    let at = choices.word() as usize % out.len();
    match choices.byte() % 6 {
        0 => {}
        1 => out.truncate(at),
        2 => out.insert(at, choices.byte()),
        3 => out.extend_from_slice(choices.take(40)),
        4 => {
            let other = choices.word() as usize % out.len();
            out.swap(at, other);
        }
        _ => out[at] ^= choices.byte(),
    }
    out
}

/// An identity file. Unlocked if that costs next to nothing.
pub fn identity(bytes: &[u8]) {
    let Ok(identity) = Identity::parse(bytes) else { return };
    let cost = identity.cost();
    assert_eq!(Cost::new(cost.m_kib(), cost.t(), cost.p()), Ok(cost), "a cost out of bounds is read");
    let head_len = bytes.len() - floe::ciphertext_len(64) as usize;
    assert!(canonical::parse_value(&bytes[24..head_len]).is_ok());
    if cost.m_kib() <= 64 && cost.t() <= 2 {
        let passphrase = Passphrase::new("correct horse battery staple å".to_owned()).expect("a passphrase");
        if let Ok(secrets) = identity.unlock(&passphrase) {
            assert!(secrets.are_of(identity.card()));
        }
    }
}

/// The head of a sealed file, and what follows it.
pub fn sealed_file(bytes: &[u8]) {
    let mut input = bytes;
    if let Ok(head) = Head::read(&mut input) {
        assert_eq!([head.as_bytes(), input].concat(), bytes, "a head takes its own bytes and no other");
        let cards: Vec<CardId> = head.cards().collect();
        assert!(!cards.is_empty() && cards.is_sorted_by(|a, b| a < b));
        assert!(cards.iter().all(|card| head.is_sealed_to(card)));
        assert!(!head.is_sealed_to(&CardId(Random::of(bytes).array())));
    }
}

impl Random {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill_bytes(&mut out);
        out
    }
}

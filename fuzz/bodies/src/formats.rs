//! The core's parsers of bytes in the clear. What was read is what is written again, byte for byte, wherever there is a writer.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;

use serde_json::Value;
use vault_core::card::Card;
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::ids::{
    CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, PackName, UploadId, VaultId,
};
use vault_core::json as canonical;
use vault_core::layout::ObjectName;
use vault_core::ledger::pin::{self, Pin};
use vault_core::ledger::seen::SeenList;
use vault_core::ledger::statement::{Body, Entry, Said};
use vault_core::ledger::vault::VaultState;
use vault_core::manifest::{
    BLOCK_FILES, Block, HEAD_LEN, Head, Index, Manifest, NameRules, VaultPath, check_names, pad_len,
};
use vault_core::pack::{FilePlace, Groups, PackList, VerifiedGroups, pack_ranges, round_to_groups};
use vault_core::seal::PublicKey;
use vault_core::suite::Suite;

use crate::choices::Choices;
use crate::kit;

/// The key that signs what a fuzzer could never sign.
static KEY: LazyLock<kit::Key> = LazyLock::new(|| kit::Key::new(Suite::X25519, "fuzz", &mut kit::Rng::new("fuzz")));

/// A payload of the card that [`KEY`] has: a seed.
pub(crate) fn card_payload() -> Vec<u8> {
    kit::canonical(&KEY.card_payload())
}

/// A card's stored bytes; then the same bytes as the payload of a card that is rightly signed.
pub fn card(bytes: &[u8]) {
    check_card(bytes);
    check_card(&KEY.card_of(bytes.to_vec()));
}

fn check_card(stored: &[u8]) {
    let Ok(card) = Card::parse(stored) else { return };
    assert_eq!(card.stored(), stored);
    let envelope = Envelope::parse(stored).expect("a card is an envelope");
    assert_eq!(envelope.keyid, *card.id());
    envelope.verify(card.verifying_key()).expect("a card signs itself");
    assert!(canonical::parse_value(&envelope.payload).is_ok());
    assert!(card.label().len() <= vault_core::card::MAX_LABEL && !card.label().contains(char::is_control));
    assert_eq!(PublicKey::parse(card.suite(), card.kem().as_bytes()).as_ref(), Ok(card.kem()));
    assert_eq!(card.fingerprint().len(), 39);
}

/// A stored envelope; what differs from a rightly signed one in any byte does not verify under its key.
pub fn envelope(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert_eq!(envelope.emit(), bytes);
        if envelope.verify(KEY.card.verifying_key()).is_ok() {
            let again = KEY.envelope(envelope.payload_type, envelope.payload.clone(), envelope.keyid);
            assert_eq!(again, envelope, "Ed25519 is deterministic: another signature is a forgery");
        }
    }
    let (kind, payload) = match bytes.split_first() {
        Some((0..128, rest)) => (PayloadType::Card, rest),
        Some((_, rest)) => (PayloadType::Statement, rest),
        None => (PayloadType::Statement, bytes),
    };
    let made = KEY.envelope(kind, payload.to_vec(), KEY.id());
    let read = Envelope::parse(&made.emit());
    assert_eq!(read.as_ref(), Ok(&made));
    assert!(made.verify(KEY.card.verifying_key()).is_ok());
}

/// Canonical JSON and base64.
pub fn json(bytes: &[u8]) {
    if let Ok(value) = canonical::parse_value(bytes) {
        assert_eq!(canonical::emit_value(&value).as_deref(), Ok(bytes));
        assert_eq!(serde_json::from_slice::<Value>(bytes).ok(), Some(value), "canonical JSON is JSON");
    }
    // Whatever JSON it is, its canonical form is read as the same value.
    if let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && let Ok(again) = canonical::emit_value(&value)
    {
        assert_eq!(canonical::parse_value(&again), Ok(value));
    }
    if let Some(read) = core::str::from_utf8(bytes).ok().and_then(canonical::from_b64) {
        assert_eq!(canonical::to_b64(&read).as_bytes(), bytes);
    }
    assert_eq!(canonical::from_b64(&canonical::to_b64(bytes)).as_deref(), Some(bytes));
}

/// An entry's stored bytes; then the same bytes as the payload of an entry.
pub fn statement(bytes: &[u8]) {
    check_statement(bytes);
    // A reader asks that the envelope names the payload's card.
    let card = serde_json::from_slice::<Value>(bytes).ok();
    let keyid = card.as_ref().and_then(|v| v.get("card")?.as_str()?.parse().ok()).unwrap_or_else(|| KEY.id());
    let envelope =
        Envelope { payload_type: PayloadType::Statement, payload: bytes.to_vec(), keyid, signature: [0; 64] };
    check_statement(&envelope.emit());
}

fn check_statement(stored: &[u8]) {
    let Ok(entry) = Entry::parse(stored) else { return };
    assert_eq!(entry.envelope.emit(), stored);
    assert_eq!(entry.said.frame().card, entry.envelope.keyid);
    assert!(canonical::parse_value(&entry.envelope.payload).is_ok());
    if let Said::Known(statement) = &entry.said {
        assert!(Body::KINDS.contains(&statement.body.kind()));
        assert_eq!(statement.payload().as_ref(), Ok(&entry.envelope.payload));
        let again = statement.sign(|_| Ok::<_, ()>(entry.envelope.signature));
        assert_eq!(again.ok().as_deref(), Some(stored));
    }
}

/// Names: ids, ledgers, objects. A name has one spelling.
pub fn names(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    spelled_once::<CardId>(text);
    spelled_once::<VaultId>(text);
    spelled_once::<EntryHash>(text);
    spelled_once::<Digest>(text);
    spelled_once::<ManifestId>(text);
    spelled_once::<UploadId>(text);
    spelled_once::<PackName>(text);
    spelled_once::<MemberId>(text);
    spelled_once::<DatasetId>(text);
    spelled_once::<LedgerId>(text);
    if spelled_once::<ObjectName>(text) {
        let safe = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        assert!(text.is_ascii() && text.split('/').all(safe), "{text} would leave its folder");
    }
}

fn spelled_once<T: FromStr + Display>(text: &str) -> bool {
    let read = text.parse::<T>();
    if let Ok(name) = &read {
        assert_eq!(name.to_string(), text);
    }
    read.is_ok()
}

/// Paths of files, a line each.
pub fn paths(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let read: Vec<VaultPath> = text.split('\n').filter_map(|line| VaultPath::parse(line).ok()).collect();
    for path in &read {
        let text = path.as_str();
        assert!(!text.is_empty() && !text.starts_with('/') && !text.contains(['\0', '\\']));
        assert!(path.components().all(|c| !matches!(c, "" | "." | "..")), "{text:?} leaves its folder");
        assert_eq!(path.components().collect::<Vec<_>>().join("/"), text);
        assert_eq!(path.components().last(), Some(path.file_name()));
        assert!(!path.is_folder_of(path));
    }
    for rules in [NameRules::EXACT, NameRules::PORTABLE] {
        if check_names(&read, rules).is_ok() {
            assert!(read.iter().all(|a| read.iter().all(|b| !a.is_folder_of(b))), "a file lies in a file");
            assert!(
                read.iter().collect::<std::collections::BTreeSet<_>>().len() == read.len(),
                "a path is there twice"
            );
        }
    }
    // What is safe everywhere is safe where every byte counts.
    assert!(check_names(&read, NameRules::PORTABLE).is_err() || check_names(&read, NameRules::EXACT).is_ok());
}

/// A manifest's plaintext, read whole and in parts.
pub fn manifest(bytes: &[u8]) {
    let whole = Manifest::parse(bytes);
    let parts = in_parts(bytes);
    let Ok(manifest) = whole else { return };
    let (paths, blocks) = parts.expect("what can be read whole can be read in parts");
    assert_eq!(paths, manifest.files().iter().map(|file| file.path.clone()).collect::<Vec<_>>());
    assert_eq!(pad_len(bytes.len() as u64), bytes.len() as u64);
    let again = manifest.emit().expect("what was read can be written");
    let (_, before_last) = blocks.split_last().expect("there is a block");
    // Where blocks end is the only thing in which a writer is free.
    if before_last.iter().all(|files| *files == BLOCK_FILES) {
        assert_eq!(again.as_slice(), bytes);
    } else {
        let read = Manifest::parse(&again).expect("what is written is read");
        assert_eq!(read.files(), manifest.files());
        assert_eq!((read.stream_length(), read.pack_list()), (manifest.stream_length(), manifest.pack_list()));
        assert_eq!(read.extras(), manifest.extras());
    }
}

/// The paths, and how many files each block has.
fn in_parts(bytes: &[u8]) -> Option<(Vec<VaultPath>, Vec<usize>)> {
    let within = |range: core::ops::Range<u64>| bytes.get(range.start as usize..range.end as usize);
    let head = Head::parse(bytes.get(..Head::LEN)?).ok()?;
    let index = Index::parse(head, within(Head::index_range(bytes.get(HEAD_LEN..)?).ok()?)?).ok()?;
    let mut paths = Vec::new();
    for block in index.blocks() {
        let files = index.read_block(block, within(block.range())?).ok()?;
        for file in &files {
            assert!(file.place().is_ok_and(|place| place.stream_range().end <= index.head().stream_length()));
            assert_eq!(index.block_of(&file.path), Some(block));
        }
        paths.extend(files.into_iter().map(|file| file.path));
    }
    Some((paths, index.blocks().iter().map(Block::files).collect()))
}

/// A pack list and the groups of its packs, each with its length before it; numbers for the arithmetic behind them.
pub fn packs(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (list, groups) = (choices.piece(), choices.piece());
    if let Ok(list) = PackList::parse(list).inspect(|read| assert_eq!(read.emit(), list)) {
        let total: u64 = list.packs().iter().map(|pack| u64::from(pack.length)).sum();
        assert_eq!(total, list.stream_length());
        let ends = list.groups_range(list.packs().len() - 1).expect("the last pack is there").end;
        assert_eq!(ends, list.groups_len());
        if let Ok(read) = Groups::parse(groups, &list) {
            assert_eq!(read.emit(), groups);
            check_groups(&list, &read, choices.0);
        }
    }
    place(choices.word(), choices.word(), choices.word());
}

fn check_groups(list: &PackList, groups: &Groups, part: &[u8]) {
    for (index, pack) in list.packs().iter().enumerate() {
        let Ok(verified) = groups.verify(list, index) else { continue };
        assert_eq!(verified.pack(), pack);
        if verified.check_range(0, part).is_ok() && part.len() == pack.length as usize {
            assert!(pack.check(part).is_ok(), "all groups are right and the pack is not");
        }
        if let Ok(derived) = VerifiedGroups::derive(*pack, part) {
            assert!(derived.check_range(0, part).is_ok());
        }
    }
}

fn place(offset: u64, size: u64, start: u64) {
    let Ok(place) = FilePlace::new(offset, size) else { return };
    let stream = place.stream_range();
    assert_eq!((stream.start, place.size()), (offset, size));
    let end = start.saturating_add(size / 2);
    let positions = place.segments_of(start..end);
    assert!(positions.end <= place.segments());
    let bytes = place.bytes_of(positions.clone());
    assert!(positions.is_empty() || (bytes.start >= stream.start && bytes.end <= stream.end));
    let mut at = bytes.start;
    for piece in pack_ranges(bytes.clone()).take(4) {
        assert!(!piece.range.is_empty());
        let rounded = round_to_groups(&piece.range, piece.range.end);
        assert!(rounded.start <= piece.range.start && rounded.end >= piece.range.end);
        at += u64::from(piece.range.end - piece.range.start);
    }
    assert!(at <= bytes.end.max(bytes.start));
}

/// What a client remembers: pins and lists of heads, and whether a ledger continues a pin.
pub fn pins(bytes: &[u8]) {
    if let Ok(list) = SeenList::parse(bytes) {
        assert_eq!(canonical::emit(&list).as_deref(), Ok(bytes));
    }
    json_comes_back::<Pin>(bytes);
    json_comes_back::<vault_cli::state::Known>(bytes);
    let mut choices = Choices(bytes);
    let (seq, vault_seq) = (u64::from(choices.byte() % 8), u64::from(choices.byte() % 8));
    let hashes: Vec<EntryHash> = (0..choices.pick(8)).map(|_| EntryHash([choices.byte() % 4; 32])).collect();
    let pin = Pin { hash: EntryHash([choices.byte() % 4; 32]), seq, vault_seq };
    let at = |seq: u64| hashes.get(usize::try_from(seq).ok()?).copied();
    let same = at(seq) == Some(pin.hash);
    for ledger in [LedgerId::Vault, LedgerId::Dataset("d1".parse().expect("a name"))] {
        // Nobody cut anything in this vault, so nothing explains a difference.
        assert_eq!(pin::check(&ledger, &pin, at, vault()).is_ok(), same);
    }
}

fn vault() -> &'static VaultState {
    &crate::fold::base().state
}

/// JSON that need not be canonical: what was read is read again from what is written.
pub(crate) fn json_comes_back<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let again = serde_json::to_vec(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<T>(&again).ok(), Some(value));
    }
}

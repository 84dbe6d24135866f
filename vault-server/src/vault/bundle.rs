//! Bundles: copies of 16 or 256 entries in one object, so that a cold read takes few requests. Spec section 4.3.
//!
//! A bundle is believed only as far as the chain proves it: its last entry must be the stored one, and name the hash that the
//! entries before it have. Whatever does not prove itself is passed over, and the single entries are read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Deserialize;
use vault_core::ids::EntryHash;
use vault_core::json;
use vault_core::layout::BundleSize;
use vault_core::ledger::fold::entry_hash;

/// Longest bundle that is written or read; entries may be so long that 256 of them are no saving.
pub(super) const MAX_BUNDLE: u64 = 64 << 20;

/// Writes the entries one after the other; `None` if that is too long.
pub(super) fn emit(entries: &[Bytes]) -> Option<Bytes> {
    let mut out = BytesMut::new();
    for entry in entries {
        out.put_u32(u32::try_from(entry.len()).ok()?);
        out.put_slice(entry);
    }
    (out.len() as u64 <= MAX_BUNDLE).then(|| out.freeze())
}

/// Reads exactly as many entries as the size says.
pub(super) fn parse(mut bytes: Bytes, size: BundleSize) -> Option<Vec<Bytes>> {
    let mut entries = Vec::new();
    for _ in 0..size.entries() {
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        if length > bytes.len() {
            return None;
        }
        entries.push(bytes.split_to(length));
    }
    bytes.is_empty().then_some(entries)
}

/// Whether the last entry names the hash that the entries before it have, so that it stands for all of them.
///
/// An entry hash stands for all entries up to it, so what lies between the first and the last may be anything, void entries too.
pub(super) fn is_chain(entries: &[Bytes]) -> bool {
    let Some((last, before)) = entries.split_last() else { return false };
    let Some(mut hash) = before.first().and_then(|first| prev_of(first)) else { return false };
    for entry in before {
        hash = Some(entry_hash(hash, entry));
    }
    prev_of(last) == Some(hash)
}

/// What an entry says of the hash before it; the genesis says that there is none. Only that: whether the entry is well formed is the
/// fold's question.
fn prev_of(stored: &[u8]) -> Option<Option<EntryHash>> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        payload: &'a str,
    }
    #[derive(Deserialize)]
    struct Payload<'a> {
        prev: &'a str,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(stored).ok()?;
    let payload = json::from_b64(envelope.payload)?;
    let payload: Payload<'_> = serde_json::from_slice(&payload).ok()?;
    if payload.prev.is_empty() { Some(None) } else { payload.prev.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(prev: &str) -> Bytes {
        let payload = json::to_b64(format!(r#"{{"prev":"{prev}"}}"#).as_bytes());
        Bytes::from(format!(r#"{{"payload":"{payload}"}}"#))
    }

    /// A ledger of honest entries, but for those in `void`, which say nothing that can be read.
    fn chain(length: u64, void: &[u64]) -> Vec<Bytes> {
        let mut hash = None;
        let mut entries = Vec::new();
        for seq in 0..length {
            let prev = hash.map_or(String::new(), |hash: EntryHash| hash.to_string());
            let stored = if void.contains(&seq) { Bytes::from_static(b"rubbish") } else { entry(&prev) };
            hash = Some(entry_hash(hash, &stored));
            entries.push(stored);
        }
        entries
    }

    #[test]
    fn a_bundle_reads_back() {
        for size in [BundleSize::Sixteen, BundleSize::TwoFiftySix] {
            let entries = chain(size.entries(), &[]);
            assert_eq!(parse(emit(&entries).unwrap(), size).unwrap(), entries);
        }
    }

    #[test]
    fn a_bundle_that_is_cut_padded_or_of_another_size_is_none() {
        let bytes = emit(&chain(16, &[])).unwrap();
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(parse(Bytes::from(longer), BundleSize::Sixteen), None);
        assert_eq!(parse(bytes.clone(), BundleSize::TwoFiftySix), None);
        for length in [0, 3, 4, bytes.len() - 1] {
            assert_eq!(parse(bytes.slice(..length), BundleSize::Sixteen), None);
        }
        assert_eq!(parse(Bytes::from_static(&[0xff; 64]), BundleSize::Sixteen), None);
    }

    #[test]
    fn the_last_entry_stands_for_all_before_it() {
        let whole = chain(48, &[]);
        for entries in [&whole[..16], &whole[16..32], &whole[32..]] {
            assert!(is_chain(entries));
            for index in 0..15 {
                let mut changed = entries.to_vec();
                changed[index] = entry(&"7".repeat(64));
                assert!(!is_chain(&changed), "{index}");
            }
        }
        assert!(!is_chain(&[whole[0].clone(), whole[2].clone()]));
        assert!(!is_chain(&[]));
    }

    #[test]
    fn void_entries_break_a_chain_at_its_ends_only() {
        assert!(is_chain(&chain(16, &[1, 7, 14])));
        assert!(!is_chain(&chain(16, &[0])));
        assert!(!is_chain(&chain(16, &[15])));
        let mut replaced = chain(16, &[7]);
        replaced[6] = entry(&"7".repeat(64));
        assert!(!is_chain(&replaced));
    }

    #[test]
    fn entries_that_are_too_long_together_make_no_bundle() {
        let long = Bytes::from(vec![0; 16 << 20]);
        assert!(emit(&[long.clone(), long.clone(), long.clone()]).is_some());
        assert!(emit(&vec![long; 4]).is_none());
    }
}

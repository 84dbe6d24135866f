//! Ledger entries in an answer: for each, four bytes of length, big-endian, and its stored bytes. Spec section 7.1.
//!
//! Entries are bytes and nothing else here: one that is rubbish keeps its place, whatever it holds.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use vault_core::ledger::statement::MAX_ENTRY;

/// An answer that holds no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are no entries")]
pub struct Malformed;

/// Adds an entry.
///
/// # Errors
/// If it is longer than an entry can be.
pub fn emit(entry: &[u8], into: &mut BytesMut) -> Result<(), Malformed> {
    let length = u32::try_from(entry.len()).ok().filter(|_| entry.len() <= MAX_ENTRY).ok_or(Malformed)?;
    into.put_u32(length);
    into.put_slice(entry);
    Ok(())
}

/// Reads entries; they share the answer's memory.
///
/// # Errors
/// If lengths and bytes do not fit, or an entry is longer than one can be.
pub fn parse(mut bytes: Bytes) -> Result<Vec<Bytes>, Malformed> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.try_get_u32().map_err(|_| Malformed)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        if length > MAX_ENTRY || length > bytes.len() {
            return Err(Malformed);
        }
        entries.push(bytes.split_to(length));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        let entries = [&b"{}"[..], b"", b"rubbish\n\0", &[7; 70_000]];
        let mut bytes = BytesMut::new();
        entries.iter().for_each(|entry| emit(entry, &mut bytes).unwrap());
        assert_eq!(parse(bytes.freeze()).unwrap(), entries);
        assert_eq!(parse(Bytes::new()).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn short_long_and_endless_entries_are_malformed() {
        for bytes in [&b"\0"[..], b"\0\0\0", b"\0\0\0\x01", b"\0\0\0\x02a", b"\xff\xff\xff\xff", b"\0\0\0\0\0"] {
            assert_eq!(parse(Bytes::copy_from_slice(bytes)), Err(Malformed));
        }
        assert_eq!(emit(&vec![0; MAX_ENTRY + 1], &mut BytesMut::new()), Err(Malformed));
    }
}

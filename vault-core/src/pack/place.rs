//! From a range of a file's plaintext to segments, to bytes of the stream, to parts of packs. Spec sections 3.1 to 3.3.

use std::ops::Range;

use super::{GROUP_LEN, MAX_STREAM, PACK_LEN};
use crate::floe;

/// A file that can't lie where it is said to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file's place lies outside any stream")]
pub struct PlaceError;

/// Where a file's ciphertext lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    offset: u64,
    size: u64,
    end: u64,
}

impl FilePlace {
    /// A file of `size` plaintext bytes, at `offset` in the stream.
    ///
    /// # Errors
    /// If it would end beyond the longest stream.
    pub fn new(offset: u64, size: u64) -> Result<Self, PlaceError> {
        // Bounded first, so that nothing below can overflow.
        if size > MAX_STREAM || offset > MAX_STREAM {
            return Err(PlaceError);
        }
        let end = offset + floe::ciphertext_len(size);
        if end > MAX_STREAM { Err(PlaceError) } else { Ok(Self { offset, size, end }) }
    }

    /// Where it begins in the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Its size in bytes of plaintext.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its ciphertext: header and segments.
    #[must_use]
    pub const fn stream_range(&self) -> Range<u64> {
        self.offset..self.end
    }

    /// Its FLOE header.
    #[must_use]
    pub const fn header(&self) -> Range<u64> {
        self.offset..self.offset + floe::HEADER as u64
    }

    /// How many segments it has.
    #[must_use]
    pub fn segments(&self) -> u64 {
        floe::segments(self.size)
    }

    /// The positions of the segments that hold the plaintext in `range`, which is cut at the file's end.
    #[must_use]
    pub fn segments_of(&self, range: Range<u64>) -> Range<u64> {
        floe::covering(self.size, range)
    }

    /// The stream bytes of the segments at `positions`, which are cut at the last one.
    #[must_use]
    pub fn bytes_of(&self, positions: Range<u64>) -> Range<u64> {
        let body = floe::ciphertext_range(self.size, positions);
        self.offset + body.start..self.offset + body.end
    }
}

/// A part of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRange {
    /// Which pack, from 0.
    pub pack: usize,
    /// The bytes within it.
    pub range: Range<u32>,
}

/// Cuts a range of the stream at pack boundaries, in order.
pub fn pack_ranges(stream: Range<u64>) -> impl Iterator<Item = PackRange> {
    let pack_len = u64::from(PACK_LEN);
    let mut at = stream.start;
    core::iter::from_fn(move || {
        if at >= stream.end {
            return None;
        }
        let (pack, start) = (at / pack_len, at % pack_len);
        let len = (pack_len - start).min(stream.end - at);
        at += len;
        // Both are at most PACK_LEN.
        let within = |n: u64| u32::try_from(n).unwrap_or(PACK_LEN);
        Some(PackRange { pack: usize::try_from(pack).ok()?, range: within(start)..within(start + len) })
    })
}

/// Widens a range of a pack of `length` bytes to whole groups, so that it can be checked.
#[must_use]
pub fn round_to_groups(range: &Range<u32>, length: u32) -> Range<u32> {
    let start = range.start - range.start % GROUP_LEN;
    let end = range.end.div_ceil(GROUP_LEN).saturating_mul(GROUP_LEN).min(length);
    start..end.max(start)
}

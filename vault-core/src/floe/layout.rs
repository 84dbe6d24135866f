//! Arithmetic of bodies: segments, lengths, ranges. All of it follows from a plaintext's size. Spec section 3.1.
//!
//! Sizes are bytes. A size of more than 2^56 has more segments than a body may have; results saturate there, and
//! sealing and opening refuse the positions.

use core::ops::Range;

use super::{HEADER, MAX_SEGMENTS, OVERHEAD, SEGMENT, SEGMENT_PLAIN};

/// Largest size of a plaintext.
pub const MAX_SIZE: u64 = MAX_SEGMENTS * PLAIN;

const PLAIN: u64 = SEGMENT_PLAIN as u64;
const SEALED: u64 = SEGMENT as u64;
const HEAD: u64 = HEADER as u64;
const EXTRA: u64 = OVERHEAD as u64;

/// Number of segments: max(1, ⌈size / 65,536⌉).
#[must_use]
pub const fn segments(size: u64) -> u64 {
    if size == 0 { 1 } else { size.div_ceil(PLAIN) }
}

/// Length of a whole body: 74 + size + 32 for each segment.
#[must_use]
pub const fn ciphertext_len(size: u64) -> u64 {
    size.saturating_add(HEAD + EXTRA * segments(size))
}

/// Whether the segment at `position` is the last one.
#[must_use]
pub const fn is_final_position(size: u64, position: u64) -> bool {
    position == segments(size) - 1
}

/// Bytes of plaintext in the segment at `position`, if there is one.
#[must_use]
pub fn plain_segment_len(size: u64, position: u64) -> Option<usize> {
    let last = segments(size) - 1;
    match position.cmp(&last) {
        core::cmp::Ordering::Less => Some(SEGMENT_PLAIN),
        core::cmp::Ordering::Equal => usize::try_from(size - last * PLAIN).ok(),
        core::cmp::Ordering::Greater => None,
    }
}

/// Bytes of the sealed segment at `position`, if there is one.
#[must_use]
pub fn segment_len(size: u64, position: u64) -> Option<usize> {
    plain_segment_len(size, position).map(|len| len + OVERHEAD)
}

/// Where the segment at `position` starts in the plaintext.
#[must_use]
pub const fn plain_segment_start(position: u64) -> u64 {
    position.saturating_mul(PLAIN)
}

/// Where the segment at `position` starts in the body.
#[must_use]
pub const fn segment_start(position: u64) -> u64 {
    position.saturating_mul(SEALED).saturating_add(HEAD)
}

/// Positions of the segments that hold a range of the plaintext; empty if the range, cut to the size, is empty.
#[must_use]
pub fn covering(size: u64, range: Range<u64>) -> Range<u64> {
    let end = range.end.min(size);
    if range.start >= end {
        return 0..0;
    }
    range.start / PLAIN..end.div_ceil(PLAIN)
}

/// Where the segments at `positions` lie in the body; cut to the segments that there are.
#[must_use]
pub fn ciphertext_range(size: u64, positions: Range<u64>) -> Range<u64> {
    let count = segments(size);
    let (start, end) = (positions.start.min(count), positions.end.min(count));
    if start >= end {
        return 0..0;
    }
    let end = if end == count { ciphertext_len(size) } else { segment_start(end) };
    segment_start(start)..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn covering_is_exactly_the_segments_with_a_byte_of_the_range(
            size in 0..5 * PLAIN,
            start in 0..6 * PLAIN,
            len in 0..3 * PLAIN,
        ) {
            let range = start..start + len;
            let covered = covering(size, range.clone());
            for position in 0..segments(size) {
                let from = plain_segment_start(position);
                let to = from + plain_segment_len(size, position).unwrap() as u64;
                let touched = from.max(range.start) < to.min(range.end);
                prop_assert_eq!(covered.contains(&position), touched);
            }
        }
    }

    #[test]
    fn segments_tile_every_body() {
        for size in [0, 1, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN, 3 * PLAIN + 17] {
            let count = segments(size);
            let plain: usize = (0..count).map(|i| plain_segment_len(size, i).unwrap()).sum();
            assert_eq!(plain as u64, size);
            for i in 0..count {
                let range = ciphertext_range(size, i..i + 1);
                assert_eq!(range.end - range.start, segment_len(size, i).unwrap() as u64);
                assert_eq!(range.start, segment_start(i));
                assert_eq!(is_final_position(size, i), i + 1 == count);
            }
            assert_eq!(ciphertext_range(size, 0..count), 74..ciphertext_len(size));
            assert_eq!(segment_len(size, count), None);
        }
    }

    #[test]
    fn the_last_segment_is_full_at_a_multiple_and_empty_at_zero() {
        assert_eq!(segments(2 * PLAIN), 2);
        assert_eq!(plain_segment_len(2 * PLAIN, 1), Some(SEGMENT_PLAIN));
        assert_eq!(segments(0), 1);
        assert_eq!(segment_len(0, 0), Some(OVERHEAD));
        assert_eq!(ciphertext_len(0), 106);
    }

    #[test]
    fn a_range_is_covered_by_the_segments_that_it_touches() {
        assert_eq!(covering(3 * PLAIN, 0..1), 0..1);
        assert_eq!(covering(3 * PLAIN, PLAIN - 1..PLAIN + 1), 0..2);
        assert_eq!(covering(3 * PLAIN, PLAIN..2 * PLAIN), 1..2);
        assert_eq!(covering(3 * PLAIN, PLAIN..u64::MAX), 1..3);
        assert!(covering(10, 10..20).is_empty());
        assert!(covering(0, 0..20).is_empty());
    }

    #[test]
    fn huge_sizes_saturate() {
        assert_eq!(ciphertext_len(u64::MAX), u64::MAX);
        assert_eq!(segment_start(u64::MAX), u64::MAX);
        assert_eq!(segments(MAX_SIZE), MAX_SEGMENTS);
    }
}

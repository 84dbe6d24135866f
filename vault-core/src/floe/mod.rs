//! Bodies: FLOE with segments of 64 KiB. Spec section 3.1; the construction is c2sp.org/FLOE.
//!
//! A body is a header of 74 bytes and one or more sealed segments. Every segment opens alone, so a caller may work in
//! parallel or read a range; in return it must say which position a segment has and whether it is the last one, and
//! take both from a signed size ([`layout`]), never from an object's length. What FLOE does not do: stop somebody who
//! has the key from making another valid segment. Readers check a signed hash first (3.3).
//!
//! | file | what |
//! |---|---|
//! | [`layout`] | how many segments, how long, which ones a range touches |
//! | [`header`] | parameters, header, and the keys derived at the start |
//! | [`segment`] | one segment in place: [`Sealer`], [`Opener`] |

pub mod header;
pub mod layout;
pub mod segment;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use layout::{
    ciphertext_len, ciphertext_range, covering, is_final_position, plain_segment_len, plain_segment_start, segment_len,
    segment_start, segments,
};
pub use segment::{Opener, Sealer};

use crate::hazmat::aead::IV;
use crate::secret::Secret32;

/// Bytes of plaintext in a full segment.
pub const SEGMENT_PLAIN: usize = 65_536;
/// Bytes of a full sealed segment.
pub const SEGMENT: usize = 65_568;
/// Bytes that sealing adds to a segment: length, IV, tag.
pub const OVERHEAD: usize = 32;
/// Bytes of a header.
pub const HEADER: usize = 74;
/// Where the plaintext lies in a segment that is sealed or opened in place.
pub const BODY_START: usize = 16;
/// Most segments in a body.
pub const MAX_SEGMENTS: u64 = 1 << 40;

/// A body, header or segment that can't be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FloeError {
    /// The header has another length or other parameters than format 1.
    #[error("not the header of a body of this format")]
    Parameters,
    /// The header's tag, or a segment, is not authentic under this key and context.
    #[error("not authentic: wrong key, wrong context or changed bytes")]
    Authentication,
    /// A segment, or a whole body, has not the length that its position and size ask for.
    #[error("wrong length of a body or segment")]
    Length,
    /// A position of 2^40 or more.
    #[error("a body has at most 2^40 segments")]
    Position,
}

/// Whether a segment says of itself that it is the last one; for readers without a signed size (2.6).
///
/// It is the sealer's claim until [`Opener::open_segment`] has authenticated it.
#[must_use]
pub fn is_final(segment_prefix: &[u8; 4]) -> bool {
    u32::from_be_bytes(*segment_prefix) != segment::NOT_FINAL
}

/// Seals a whole value that lies in memory.
///
/// # Errors
/// If it has more segments than a body may have.
pub fn seal_bytes(key: &Secret32, aad: &[u8], plain: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, FloeError> {
    let (sealer, header) = Sealer::start(key, aad, rng);
    let size = u64::try_from(plain.len()).map_err(|_| FloeError::Length)?;
    let capacity = usize::try_from(ciphertext_len(size)).map_err(|_| FloeError::Length)?;
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(&header);
    for position in 0..segments(size) {
        let start = usize::try_from(plain_segment_start(position)).map_err(|_| FloeError::Length)?;
        let body = plain.get(start..).unwrap_or_default();
        let body = body.get(..SEGMENT_PLAIN).unwrap_or(body);
        let at = out.len();
        out.resize(at + BODY_START, 0);
        out.extend_from_slice(body);
        out.resize(at + body.len() + OVERHEAD, 0);
        let mut iv = [0; IV];
        rng.fill_bytes(&mut iv);
        let segment = out.get_mut(at..).unwrap_or_default();
        sealer.seal_segment(position, is_final_position(size, position), &iv, segment)?;
    }
    Ok(out)
}

/// Opens a whole value of `size` bytes that lies in memory.
///
/// # Errors
/// If the length does not fit the size, or anything is not authentic.
pub fn open_bytes(key: &Secret32, aad: &[u8], sealed: &[u8], size: u64) -> Result<Zeroizing<Vec<u8>>, FloeError> {
    if u64::try_from(sealed.len()) != Ok(ciphertext_len(size)) {
        return Err(FloeError::Length);
    }
    let (header, mut rest) = sealed.split_at_checked(HEADER).ok_or(FloeError::Length)?;
    let opener = Opener::start(key, aad, header)?;
    // Never grown, so no copy of the plaintext is left behind in freed memory.
    let mut plain = Zeroizing::new(Vec::with_capacity(usize::try_from(size).map_err(|_| FloeError::Length)?));
    let mut buffer = Zeroizing::new(vec![0; SEGMENT.min(rest.len())]);
    for position in 0..segments(size) {
        let len = segment_len(size, position).ok_or(FloeError::Length)?;
        let (segment, after) = rest.split_at_checked(len).ok_or(FloeError::Length)?;
        let buffer = buffer.get_mut(..len).ok_or(FloeError::Length)?;
        buffer.copy_from_slice(segment);
        plain.extend_from_slice(opener.open_segment(position, is_final_position(size, position), buffer)?);
        rest = after;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;

    const AAD: &[u8] = b"context";

    fn key(byte: u8) -> Secret32 {
        Secret32::take(&mut [byte; 32])
    }

    #[test]
    fn other_parameters_are_those_that_the_construction_can_have() {
        let least = u32::try_from(OVERHEAD).unwrap() + 1;
        let may = |segment, rotation| header::Parameters::danger_for_vectors(segment, rotation).is_some();
        assert!(may(least, 0) && may(u32::MAX - 1, 20));
        assert!(!may(least - 1, 0) && !may(u32::MAX, 0) && !may(least, 21) && !may(0, 21));
    }

    #[test]
    fn what_seals_and_opens_prints_no_key() {
        let (sealer, header) = Sealer::start(&key(1), AAD, &mut UnwrapErr(SysRng));
        let opener = Opener::start(&key(1), AAD, &header).unwrap();
        assert_eq!((format!("{sealer:?}"), format!("{opener:?}")), ("Sealer(..)".to_owned(), "Opener(..)".to_owned()));
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        seal_bytes(&key(1), AAD, plain, &mut UnwrapErr(SysRng)).unwrap()
    }

    #[test]
    fn bytes_round_trip_at_every_edge_of_a_segment() {
        for size in [0, 1, SEGMENT_PLAIN - 1, SEGMENT_PLAIN, SEGMENT_PLAIN + 1, 2 * SEGMENT_PLAIN] {
            let plain = vec![7; size];
            let sealed = sealed(&plain);
            assert_eq!(sealed.len() as u64, ciphertext_len(size as u64));
            assert_eq!(*open_bytes(&key(1), AAD, &sealed, size as u64).unwrap(), plain);
        }
    }

    #[test]
    fn another_key_or_context_fails_at_the_header() {
        let sealed = sealed(b"x");
        assert_eq!(open_bytes(&key(2), AAD, &sealed, 1), Err(FloeError::Authentication));
        assert_eq!(open_bytes(&key(1), b"other", &sealed, 1), Err(FloeError::Authentication));
        assert!(matches!(Opener::start(&key(2), AAD, &sealed[..HEADER]), Err(FloeError::Authentication)));
    }

    #[test]
    fn other_parameters_are_refused() {
        let sealed = sealed(b"x");
        for byte in 0..10 {
            let mut header = sealed[..HEADER].to_vec();
            header[byte] ^= 1;
            assert!(matches!(Opener::start(&key(1), AAD, &header), Err(FloeError::Parameters)));
        }
        for length in [0, HEADER - 1, HEADER + 1] {
            assert!(matches!(Opener::start(&key(1), AAD, &vec![0; length]), Err(FloeError::Parameters)));
        }
    }

    #[test]
    fn a_body_of_another_size_is_refused_by_its_length_or_its_final_flag() {
        let plain = vec![3; 2 * SEGMENT_PLAIN];
        let sealed = sealed(&plain);
        let size = plain.len() as u64;
        assert_eq!(open_bytes(&key(1), AAD, &sealed, size - 1), Err(FloeError::Length));
        assert_eq!(open_bytes(&key(1), AAD, &sealed, u64::MAX), Err(FloeError::Length));
        let half = &sealed[..HEADER + SEGMENT];
        assert_eq!(open_bytes(&key(1), AAD, half, SEGMENT_PLAIN as u64), Err(FloeError::Authentication));
        assert_eq!(open_bytes(&key(1), AAD, half, size), Err(FloeError::Length));
    }

    #[test]
    fn reordered_and_spliced_segments_are_refused() {
        let plain = vec![3; 3 * SEGMENT_PLAIN];
        let size = plain.len() as u64;
        let (first, second) = (HEADER..HEADER + SEGMENT, HEADER + SEGMENT..HEADER + 2 * SEGMENT);
        let good = sealed(&plain);

        let mut swapped = good.clone();
        swapped.copy_within(second.clone(), first.start);
        swapped[second].copy_from_slice(&good[first.clone()]);
        assert_eq!(open_bytes(&key(1), AAD, &swapped, size), Err(FloeError::Authentication));

        let mut spliced = good;
        spliced[first.clone()].copy_from_slice(&sealed(&plain)[first]);
        assert_eq!(open_bytes(&key(1), AAD, &spliced, size), Err(FloeError::Authentication));
    }

    #[test]
    fn a_segment_says_of_itself_whether_it_is_the_last() {
        let sealed = sealed(&vec![3; SEGMENT_PLAIN + 1]);
        let says = |start: usize| is_final(sealed[start..].first_chunk().unwrap());
        assert_eq!((says(HEADER), says(HEADER + SEGMENT)), (false, true));
    }

    #[test]
    fn the_last_position_there_is_takes_the_final_segment_and_no_other() {
        let (sealer, _) = Sealer::start(&key(1), AAD, &mut UnwrapErr(SysRng));
        let mut full = vec![0; SEGMENT];
        assert_eq!(sealer.seal_segment(MAX_SEGMENTS - 2, false, &[0; 12], &mut full), Ok(()));
        assert_eq!(sealer.seal_segment(MAX_SEGMENTS - 1, true, &[0; 12], &mut full), Ok(()));
    }

    #[test]
    fn a_position_beyond_the_last_is_refused() {
        let (sealer, header) = Sealer::start(&key(1), AAD, &mut UnwrapErr(SysRng));
        let mut full = vec![0; SEGMENT];
        assert_eq!(sealer.seal_segment(MAX_SEGMENTS - 1, false, &[0; 12], &mut full), Err(FloeError::Position));
        let mut segment = [0; OVERHEAD];
        assert_eq!(sealer.seal_segment(MAX_SEGMENTS, true, &[0; 12], &mut segment), Err(FloeError::Position));
        let opener = Opener::start(&key(1), AAD, &header).unwrap();
        assert_eq!(opener.open_segment(MAX_SEGMENTS, true, &mut segment), Err(FloeError::Position));
    }

    #[test]
    fn segments_of_wrong_lengths_are_neither_sealed_nor_opened() {
        let (sealer, header) = Sealer::start(&key(1), AAD, &mut UnwrapErr(SysRng));
        let opener = Opener::start(&key(1), AAD, &header).unwrap();
        for (is_final, len) in [(false, SEGMENT - 1), (false, OVERHEAD), (true, OVERHEAD - 1), (true, SEGMENT + 1)] {
            let mut segment = vec![0; len];
            assert_eq!(sealer.seal_segment(0, is_final, &[0; 12], &mut segment), Err(FloeError::Length));
            assert_eq!(opener.open_segment(0, is_final, &mut segment), Err(FloeError::Length));
            assert_eq!(segment, vec![0; len]);
        }
    }
}

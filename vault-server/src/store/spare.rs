//! Large buffers that are used again. Fresh memory costs a page fault for each 4 KiB: for packs that come at the speed of memory, a tenth of
//! the time of a get. Only who knows that a buffer has no other user gives it back.
//!
//! What is in a spare buffer is not wiped, as memory that is freed is not: after a get it is plaintext of files. Never give one that held a key.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

/// What is smaller comes from the allocator, which keeps it at hand itself.
const LARGE: usize = 1 << 20;
/// As many as a get has packs in memory.
const KEPT: usize = 4;

static SPARE: Mutex<Vec<BytesMut>> = Mutex::new(Vec::new());

/// An empty buffer with room for `length` bytes.
#[must_use]
pub fn room(length: usize) -> BytesMut {
    take(&mut spare(), length).unwrap_or_else(|| BytesMut::with_capacity(length))
}

/// Gives a buffer back.
pub fn give(buffer: BytesMut) {
    keep(&mut spare(), buffer);
}

/// Frees all: nobody reads packs any more.
pub fn free() {
    spare().clear();
}

fn spare() -> MutexGuard<'static, Vec<BytesMut>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(spare: &mut Vec<BytesMut>, length: usize) -> Option<BytesMut> {
    if length < LARGE {
        return None;
    }
    let fits = spare.iter().position(|buffer| buffer.capacity() >= length)?;
    Some(spare.swap_remove(fits))
}

fn keep(spare: &mut Vec<BytesMut>, mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() >= LARGE {
        spare.push(buffer);
        // The smallest goes: one that fits nothing would keep its place for good.
        spare.sort_by_key(|kept| std::cmp::Reverse(kept.capacity()));
        spare.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_used_again_where_it_fits() {
        let mut spare = Vec::new();
        let mut buffer = BytesMut::with_capacity(3 * LARGE);
        buffer.extend_from_slice(b"left from before");
        keep(&mut spare, buffer);
        assert!(take(&mut spare, 4 * LARGE).is_none(), "too small");
        assert!(take(&mut spare, LARGE - 1).is_none(), "a small one is not worth it");
        let again = take(&mut spare, 2 * LARGE).unwrap();
        assert!(again.is_empty() && again.capacity() >= 3 * LARGE);
        assert!(take(&mut spare, LARGE).is_none(), "it is in use");
    }

    #[test]
    fn it_comes_back_from_what_was_frozen() {
        let mut buffer = BytesMut::with_capacity(2 * LARGE);
        buffer.extend_from_slice(&[7; LARGE]);
        let at = buffer.as_ptr();
        let back = buffer.freeze().try_into_mut().unwrap();
        let mut spare = Vec::new();
        keep(&mut spare, back);
        assert_eq!(take(&mut spare, 2 * LARGE).unwrap().as_ptr(), at);
    }

    #[test]
    fn the_largest_few_are_kept_and_none_that_is_small() {
        let mut spare = Vec::new();
        keep(&mut spare, BytesMut::with_capacity(LARGE / 2));
        assert!(spare.is_empty());
        for _ in 0..2 * KEPT {
            keep(&mut spare, BytesMut::with_capacity(LARGE));
        }
        assert_eq!(spare.len(), KEPT);
        keep(&mut spare, BytesMut::with_capacity(2 * LARGE));
        assert_eq!(spare.len(), KEPT);
        assert!(take(&mut spare, 2 * LARGE).is_some());
    }
}

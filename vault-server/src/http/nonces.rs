//! Nonces that were seen: a request counts once. Spec section 7.2.
//!
//! Nothing is forgotten before its time: a cache that is full refuses. What is kept of a nonce is 16 bytes of a hash over card and
//! nonce, so that a million of them take some 40 MB.

use std::collections::{HashMap, HashSet, VecDeque};

use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, MemberId};

/// Seconds for which a nonce is remembered.
pub(super) const REMEMBERED: u64 = 600;
/// Seconds of nonces that are forgotten together.
const SLICE: u64 = 60;

/// Why a nonce is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNew {
    /// It was seen.
    Seen,
    /// There is no room.
    Full,
}

/// The nonces of the last minutes.
#[derive(Debug)]
pub(super) struct Nonces {
    newest: Slice,
    older: VecDeque<Slice>,
    max: usize,
    max_a_member: usize,
}

/// Nonces of a stretch of time.
#[derive(Debug, Default)]
struct Slice {
    /// Seconds since 1970, a multiple of [`SLICE`].
    from: u64,
    seen: HashSet<u128>,
    by_member: HashMap<MemberId, usize>,
}

impl Nonces {
    /// Room for `max` nonces, of one member `max_a_member`.
    pub(super) fn new(max: usize, max_a_member: usize) -> Self {
        Self { newest: Slice::default(), older: VecDeque::new(), max, max_a_member }
    }

    /// Remembers a nonce that is new. `now` is in seconds since 1970; if it goes back, more is remembered, not less.
    pub(super) fn take(&mut self, member: &MemberId, card: &CardId, nonce: &[u8; 16], now: u64) -> Result<(), NotNew> {
        self.turn_to(now);
        let key = key(card, nonce);
        if self.slices().any(|slice| slice.seen.contains(&key)) {
            return Err(NotNew::Seen);
        }
        let of_member: usize = self.slices().filter_map(|slice| slice.by_member.get(member)).sum();
        let of_all: usize = self.slices().map(|slice| slice.seen.len()).sum();
        if of_member >= self.max_a_member || of_all >= self.max {
            return Err(NotNew::Full);
        }
        self.newest.seen.insert(key);
        *self.newest.by_member.entry(member.clone()).or_default() += 1;
        Ok(())
    }

    fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.older.iter().chain([&self.newest])
    }

    /// Begins a slice when it is time, and forgets the old ones.
    fn turn_to(&mut self, now: u64) {
        let from = now - now % SLICE;
        if self.newest.from < from {
            let begun = Slice { from, ..Slice::default() };
            self.older.push_back(std::mem::replace(&mut self.newest, begun));
        }
        while self.older.front().is_some_and(|oldest| oldest.from + SLICE + REMEMBERED <= now) {
            self.older.pop_front();
        }
    }
}

fn key(card: &CardId, nonce: &[u8; 16]) -> u128 {
    let mut bytes = [0; 48];
    let (of_card, of_nonce) = bytes.split_at_mut(32);
    of_card.copy_from_slice(card.as_bytes());
    of_nonce.copy_from_slice(nonce);
    let hash = sha256(&bytes);
    hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    const A: CardId = CardId([1; 32]);
    const B: CardId = CardId([2; 32]);

    fn lab() -> MemberId {
        "lab".parse().unwrap()
    }

    fn nonce(n: u8) -> [u8; 16] {
        [n; 16]
    }

    #[test]
    fn a_nonce_counts_once_a_card_for_ten_minutes() {
        let mut nonces = Nonces::new(100, 100);
        assert_eq!(nonces.take(&lab(), &A, &nonce(1), 1000), Ok(()));
        assert_eq!(nonces.take(&"b".parse().unwrap(), &B, &nonce(1), 1000), Ok(()));
        for later in [1000, 1059, 1061, 1300, 1600] {
            assert_eq!(nonces.take(&lab(), &A, &nonce(1), later), Err(NotNew::Seen), "{later}");
        }
        assert_eq!(nonces.take(&lab(), &A, &nonce(1), 1000 + REMEMBERED + SLICE), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing() {
        let mut nonces = Nonces::new(100, 100);
        nonces.take(&lab(), &A, &nonce(1), 10_000).unwrap();
        nonces.take(&lab(), &A, &nonce(2), 4000).unwrap();
        for n in [1, 2] {
            assert_eq!(nonces.take(&lab(), &A, &nonce(n), 10_100), Err(NotNew::Seen));
        }
    }

    #[test]
    fn a_full_cache_refuses_and_has_room_again_later() {
        let mut nonces = Nonces::new(4, 3);
        for n in 0..3 {
            nonces.take(&lab(), &A, &nonce(n), 0).unwrap();
        }
        assert_eq!(nonces.take(&lab(), &A, &nonce(3), 1), Err(NotNew::Full), "one member's share");
        assert_eq!(nonces.take(&lab(), &A, &nonce(0), 1), Err(NotNew::Seen));
        nonces.take(&"b".parse().unwrap(), &B, &nonce(3), 1).unwrap();
        assert_eq!(nonces.take(&"b".parse().unwrap(), &B, &nonce(4), 1), Err(NotNew::Full), "all of it");
        nonces.take(&lab(), &A, &nonce(3), REMEMBERED + SLICE).unwrap();
    }
}

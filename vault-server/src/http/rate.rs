//! How many requests a member may make, and how many links it may hold. Spec section 7.5.
//!
//! Pure: time is an argument. Only members who signed are counted, so the tables are as long as the vault's list of members.

use std::collections::{HashMap, VecDeque};

use vault_core::ids::MemberId;

/// Thousandths of a request.
const ONE: u64 = 1000;

/// A bucket of requests for each member, which fills by so many a second.
#[derive(Debug)]
pub(super) struct Rates {
    a_second: u64,
    burst: u64,
    /// What is left, in thousandths, and when that was, in milliseconds.
    members: HashMap<MemberId, (u64, u64)>,
}

impl Rates {
    /// So many requests a second, and so many at once after a rest.
    pub(super) fn new(a_second: u32, burst: u32) -> Self {
        Self { a_second: u64::from(a_second), burst: u64::from(burst) * ONE, members: HashMap::new() }
    }

    /// Takes one request from a member's bucket; false if it is empty. `now` is in milliseconds of any clock that does not go back.
    pub(super) fn take(&mut self, member: &MemberId, now: u64) -> bool {
        let full = (self.burst, now);
        let (left, then) = match self.members.get_mut(member) {
            Some(known) => known,
            None => self.members.entry(member.clone()).or_insert(full),
        };
        // So many a second are as many thousandths a millisecond.
        let filled = now.saturating_sub(*then).saturating_mul(self.a_second);
        *left = left.saturating_add(filled).min(self.burst);
        *then = now.max(*then);
        match left.checked_sub(ONE) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }
}

/// Links that members hold and that have not ended.
#[derive(Debug)]
pub(super) struct Links {
    max: usize,
    /// How many end when, in seconds since 1970; those of one moment stand together.
    members: HashMap<MemberId, VecDeque<(u64, usize)>>,
}

impl Links {
    /// So many a member.
    pub(super) fn new(max: usize) -> Self {
        Self { max, members: HashMap::new() }
    }

    /// Counts links that end at a time; false, and none is counted, if the member would hold too many.
    pub(super) fn take(&mut self, member: &MemberId, links: usize, ends: u64, now: u64) -> bool {
        let held = self.members.entry(member.clone()).or_default();
        held.retain(|(ends, _)| *ends > now);
        let have: usize = held.iter().map(|(_, count)| count).sum();
        if have.saturating_add(links) > self.max {
            return false;
        }
        match held.iter_mut().find(|(at, _)| *at == ends) {
            Some((_, count)) => *count += links,
            None => held.push_back((ends, links)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills_for_each_member_alone() {
        let (mut rates, lab) = (Rates::new(10, 3), member("lab"));
        for _ in 0..3 {
            assert!(rates.take(&lab, 0));
        }
        assert!(!rates.take(&lab, 0));
        assert!(rates.take(&member("hospital"), 0));
        assert!(!rates.take(&lab, 99));
        assert!(rates.take(&lab, 100), "a tenth of a second is one request");
        assert!(!rates.take(&lab, 100));
        for _ in 0..3 {
            assert!(rates.take(&lab, 1_000_000), "never more than a burst");
        }
        assert!(!rates.take(&lab, 1_000_000));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let (mut rates, lab) = (Rates::new(10, 1), member("lab"));
        assert!(rates.take(&lab, 1000));
        assert!(!rates.take(&lab, 0));
        assert!(!rates.take(&lab, 1000));
        assert!(rates.take(&lab, 1100));
    }

    #[test]
    fn links_count_until_they_end() {
        let (mut held, lab) = (Links::new(5), member("lab"));
        assert!(held.take(&lab, 3, 100, 0));
        assert!(!held.take(&lab, 3, 110, 10));
        assert!(held.take(&lab, 2, 110, 10));
        assert!(!held.take(&lab, 1, 120, 99));
        assert!(held.take(&lab, 3, 120, 100));
        assert!(held.take(&member("hospital"), 5, 120, 100));
    }
}

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

/// Appends of members that were refused after all that they name was looked for.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How many one after another, and when the last one was, in milliseconds.
    members: HashMap<MemberId, (u32, u64)>,
}

impl Refusals {
    /// So many cost nothing: a put that was interrupted, a pack that a store lost.
    const FREE: u32 = 3;
    /// After so long without one they are forgotten, in milliseconds. None is waited for longer.
    const FORGOTTEN: u64 = 60_000;

    /// How long a member has to wait before its next append, in milliseconds. `now` is in milliseconds of any clock that does not go back.
    pub(super) fn wait(&self, member: &MemberId, now: u64) -> Option<u64> {
        let (count, last) = self.members.get(member)?;
        let pause = 1000_u64 << count.checked_sub(Self::FREE)?.min(6);
        last.saturating_add(pause.min(Self::FORGOTTEN)).checked_sub(now).filter(|left| *left > 0)
    }

    pub(super) fn note(&mut self, member: &MemberId, now: u64) {
        let known = self.members.entry(member.clone()).or_default();
        let forgotten = now.saturating_sub(known.1) >= Self::FORGOTTEN;
        *known = (if forgotten { 1 } else { known.0.saturating_add(1) }, now);
    }

    pub(super) fn forget(&mut self, member: &MemberId) {
        self.members.remove(member);
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

    #[test]
    fn whoever_names_again_and_again_what_is_not_there_waits_longer_each_time_and_is_forgiven() {
        let (mut refusals, who) = (Refusals::default(), "m".parse::<MemberId>().unwrap());
        let mut waits = Vec::new();
        for _ in 0..12 {
            waits.push(refusals.wait(&who, 0));
            refusals.note(&who, 0);
        }
        let seconds: Vec<_> = waits.into_iter().map(|wait| wait.map_or(0, |wait| wait / 1000)).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!((refusals.wait(&who, 59_999), refusals.wait(&who, 60_000)), (Some(1), None));
        assert_eq!(refusals.wait(&"other".parse().unwrap(), 0), None);
        refusals.note(&who, 60_000);
        assert_eq!(refusals.wait(&who, 60_000), None, "what lies a minute back is forgotten");
        for _ in 0..5 {
            refusals.note(&who, 60_000);
        }
        refusals.forget(&who);
        assert_eq!(refusals.wait(&who, 60_000), None);
    }
}

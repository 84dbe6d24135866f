//! Withdrawal of consent, and what has followed from it: three facts that are told apart, since none implies another.
//!
//! A withdrawal suspends grants at once. Whoever had one has seen keys: a new epoch keeps future headers from it, only new keys
//! for the bodies keep those from it, and of its own copies nobody knows more than what it attests.

use std::collections::BTreeSet;

use super::DatasetState;
use crate::ids::{Digest, EntryHash, MemberId};

/// A `consent-withdrawn` that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its entry.
    pub entry: EntryHash,
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub time: u64,
    /// Who stated it.
    pub author: MemberId,
    /// Whose grants it suspended.
    pub members: BTreeSet<MemberId>,
    /// Why.
    pub reason: String,
    /// The set of subjects that it concerns, by hash; `None` for all.
    pub subjects: Option<Digest>,
}

/// A `destruction-attested` that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Its entry.
    pub entry: EntryHash,
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub time: u64,
    /// Who states it: the member, or an officer for one who was retired.
    pub author: MemberId,
    /// Whose copies were destroyed.
    pub member: MemberId,
    /// Whether its member had a grant then that nothing had ended: what it read later the statement says nothing of.
    pub granted: bool,
    /// What was destroyed, in words.
    pub scope: String,
    /// A document by hash.
    pub document: Option<Digest>,
}

/// What has followed for one member since an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether the member got a grant again, which lifts the suspension.
    pub granted_again: bool,
    /// Whether nothing that readers still need is sealed to the member, as an epoch that began since is closed.
    pub header_revoked: bool,
    /// Whether the bodies have keys that the member never had.
    pub rekeyed: Rekeyed,
    /// The number of the newest statement since that the member's copies were destroyed.
    pub destroyed: Option<u64>,
}

impl Progress {
    /// Whether all three have come, or the member got a grant again.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.granted_again || (self.header_revoked && self.rekeyed.is_done() && self.destroyed.is_some())
    }
}

/// How many of the visible manifests were committed to an epoch that the member was never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rekeyed {
    /// So many.
    pub done: u64,
    /// Of so many.
    pub all: u64,
}

impl Rekeyed {
    /// Whether none is left.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done == self.all
    }
}

impl DatasetState {
    /// The withdrawals of consent, in order.
    #[must_use]
    pub fn withdrawals(&self) -> &[Withdrawal] {
        &self.withdrawals
    }

    /// The attestations of destruction, in order.
    #[must_use]
    pub fn attested(&self) -> &[Attestation] {
        &self.attested
    }

    /// What has followed from a withdrawal for each member that it suspended.
    pub fn withdrawal_progress<'a>(
        &'a self,
        withdrawal: &'a Withdrawal,
    ) -> impl Iterator<Item = (&'a MemberId, Progress)> {
        withdrawal.members.iter().map(|member| (member, self.progress_since(withdrawal.seq, member)))
    }

    /// What has followed for a member since entry `seq`, of a withdrawal or of the end of its grant.
    #[must_use]
    pub fn progress_since(&self, seq: u64, member: &MemberId) -> Progress {
        Progress {
            granted_again: self.grants.get(member).is_some_and(|grant| grant.seq > seq),
            header_revoked: self.header_revoked_since(seq, member),
            rekeyed: self.rekeyed_since(seq, member),
            destroyed: self.attested.iter().rev().find(|a| a.member == *member && a.seq > seq).map(|a| a.seq),
        }
    }

    /// Whether an epoch that began after entry `seq` is closed, and no epoch from it on is sealed to the member.
    #[must_use]
    pub fn header_revoked_since(&self, seq: u64, member: &MemberId) -> bool {
        let closed = self.epochs.get(&self.closed);
        closed.is_some_and(|epoch| epoch.seq > seq) && self.unclosed().all(|(_, epoch)| !epoch.is_sealed_to(member))
    }

    /// How many visible manifests were committed to an epoch that began after entry `seq` and is not sealed to the member. What such
    /// an epoch took over in its key table keeps its body's key, which the member has seen: only re-encryption changes that.
    #[must_use]
    pub fn rekeyed_since(&self, seq: u64, member: &MemberId) -> Rekeyed {
        let fresh = |n: &u64| self.epochs.get(n).is_some_and(|epoch| epoch.seq > seq && !epoch.is_sealed_to(member));
        let visible = || self.manifests.values().filter(|manifest| manifest.is_visible());
        Rekeyed {
            done: visible().filter(|manifest| fresh(&manifest.epoch)).count() as u64,
            all: visible().count() as u64,
        }
    }
}

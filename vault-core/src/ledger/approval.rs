//! Two-person acts: proposals, approvals, and whether an act has those that it needs. Spec section 5.1.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Void;
use super::statement::{Approval, Proposed};
use crate::ids::{Digest, EntryHash, MemberId};

/// An act that was proposed in a ledger.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its number.
    pub seq: u64,
    /// Who proposed it.
    pub author: MemberId,
    /// What it says.
    pub body: Proposed,
    /// Its approvals: entry and member.
    pub approvals: BTreeMap<EntryHash, MemberId>,
    /// Whether an act has used it.
    pub used: bool,
}

/// The proposals of one ledger, by entry hash.
#[derive(Debug, Clone, Default)]
pub struct Proposals(BTreeMap<EntryHash, Proposal>);

/// What an act is, for the check of its approvals.
#[derive(Debug)]
pub(super) struct Act<'a> {
    pub(super) kind: &'static str,
    pub(super) terms: Digest,
    pub(super) needed: u64,
    pub(super) author: &'a MemberId,
    pub(super) beneficiary: Option<&'a MemberId>,
    pub(super) time: u64,
    /// The entry that stated the facts and the level, where there are such: what was proposed before it was proposed of others.
    pub(super) facts_seq: Option<u64>,
    pub(super) facts: Option<Digest>,
    pub(super) member: Option<Digest>,
    pub(super) pack: Option<Digest>,
}

impl Proposals {
    /// The proposals, by entry hash.
    pub fn iter(&self) -> impl Iterator<Item = (&EntryHash, &Proposal)> {
        self.0.iter()
    }

    pub(super) fn propose(&mut self, seq: u64, hash: EntryHash, author: &MemberId, body: &Proposed) {
        let (author, body) = (author.clone(), body.clone());
        let proposal = Proposal { seq, author, body, approvals: BTreeMap::new(), used: false };
        self.0.insert(hash, proposal);
    }

    /// Whether `member` may approve a proposal at `time`; its role is the caller's to check.
    pub(super) fn may_approve(&self, proposal: &EntryHash, member: &MemberId, time: u64) -> Result<(), Void> {
        let found = self.0.get(proposal).ok_or("no such proposal")?;
        if found.body.ends <= time {
            return Err("the proposal has ended");
        }
        if found.author == *member {
            return Err("the proposal's author can't approve it");
        }
        if found.approvals.values().any(|m| m == member) { Err("approved already") } else { Ok(()) }
    }

    pub(super) fn approve(&mut self, hash: EntryHash, proposal: &EntryHash, member: &MemberId) {
        if let Some(found) = self.0.get_mut(proposal) {
            found.approvals.insert(hash, member.clone());
        }
    }

    /// Checks that `act` has its approvals; the proposal is to be marked used when the act is applied.
    ///
    /// An act that needs none may name some: a rule pack can ask for more than the genesis does, and its readers count what is
    /// named here. So what is named is checked in full, whatever is needed.
    pub(super) fn check(
        &self,
        act: &Act<'_>,
        approval: Option<&Approval>,
        has_role: impl Fn(&MemberId) -> bool,
    ) -> Result<(), Void> {
        let Some(approval) = approval else {
            return if act.needed == 0 { Ok(()) } else { Err("approvals are missing") };
        };
        let proposal = self.0.get(&approval.proposal).ok_or("no such proposal")?;
        let body = &proposal.body;
        if proposal.used {
            return Err("the proposal was used already");
        }
        if body.act != act.kind || body.terms != act.terms {
            return Err("the act differs from its proposal");
        }
        if body.ends <= act.time {
            return Err("the proposal has ended");
        }
        if body.facts != act.facts || body.member != act.member || body.pack != act.pack {
            return Err("facts, member or rule pack changed since the proposal");
        }
        if act.facts_seq.is_some_and(|stated| proposal.seq < stated) {
            return Err("facts or level were stated anew since the proposal");
        }
        let mut by = BTreeSet::new();
        for entry in &approval.approvals {
            let member = proposal.approvals.get(entry).ok_or("no such approval")?;
            let concerned = member == act.author || Some(member) == act.beneficiary || *member == proposal.author;
            if concerned || !has_role(member) {
                return Err("an approval is by somebody who may not give it");
            }
            by.insert(member);
        }
        if (by.len() as u64) < act.needed { Err("too few approvals") } else { Ok(()) }
    }

    /// The members whose approvals of its proposal an act names. Each approves once, so none is counted twice.
    pub(super) fn approvers(&self, approval: &Approval) -> impl Iterator<Item = &MemberId> {
        let proposal = self.0.get(&approval.proposal);
        approval.approvals.iter().filter_map(move |entry| proposal?.approvals.get(entry))
    }

    pub(super) fn mark_used(&mut self, approval: Option<&Approval>) {
        if let Some(proposal) = approval.and_then(|a| self.0.get_mut(&a.proposal)) {
            proposal.used = true;
        }
    }
}

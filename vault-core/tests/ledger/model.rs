//! The rules of spec page 5 once more, written as plainly as they stand there: sets of names, no indexes, no history but copies.
//! It shares nothing with the fold but the types of statements.

use std::collections::{BTreeMap, BTreeSet};

use vault_core::ids::{CardId, ManifestId, MemberId, UploadId};
use vault_core::ledger::statement::*;

/// The vault after some entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct VaultModel {
    pub(crate) members: BTreeSet<MemberId>,
    pub(crate) gone: BTreeSet<MemberId>,
    /// Current cards and whose they are.
    pub(crate) cards: BTreeMap<CardId, MemberId>,
    pub(crate) officers: BTreeSet<MemberId>,
    pub(crate) stewards: BTreeMap<MemberId, bool>,
    pub(crate) approvers: BTreeSet<MemberId>,
}

impl VaultModel {
    pub(crate) fn is_member(&self, m: &MemberId) -> bool {
        self.members.contains(m)
    }

    fn is_officer(&self, m: &MemberId) -> bool {
        self.is_member(m) && self.officers.contains(m)
    }

    fn cards_of(&self, m: &MemberId) -> BTreeSet<CardId> {
        self.cards.iter().filter(|(_, owner)| *owner == m).map(|(card, _)| *card).collect()
    }

    /// Whether the entry counts, and if so does it. Only the kinds that the generator says.
    pub(crate) fn take(&mut self, s: &Statement) -> bool {
        if self.cards.get(&s.card) != Some(&s.author) {
            return false;
        }
        let officer = self.is_officer(&s.author);
        match &s.body {
            Body::Seen(_) => officer,
            Body::CardAdded(b) => {
                let card = vault_core::card::Card::parse(&b.terms.card.0).unwrap();
                let may = self.is_member(&b.terms.member) && (officer || s.author == b.terms.member);
                if may {
                    self.cards.insert(*card.id(), b.terms.member.clone());
                }
                may
            }
            Body::CardRetired(b) => {
                let may = (officer || s.author == b.member) && self.cards.get(&b.card) == Some(&b.member);
                if may {
                    self.cards.remove(&b.card);
                }
                may
            }
            Body::MemberRetired(b) => {
                let left = self.officers.iter().any(|o| *o != b.member && self.is_member(o));
                let may = (officer || s.author == b.member)
                    && self.is_member(&b.member)
                    && (left || !self.is_officer(&b.member));
                if may {
                    self.members.remove(&b.member);
                    self.gone.insert(b.member.clone());
                    self.cards.retain(|_, owner| *owner != b.member);
                }
                may
            }
            Body::RoleSet(b) => {
                let known = self.is_member(&b.member) || self.gone.contains(&b.member);
                let may = officer && known && (self.is_member(&b.member) || !b.on) && b.role != Role::Officer;
                if may {
                    match b.role {
                        Role::Steward => {
                            self.stewards.insert(b.member.clone(), b.on);
                        }
                        _ if b.on => {
                            self.approvers.insert(b.member.clone());
                        }
                        _ => {
                            self.approvers.remove(&b.member);
                        }
                    }
                }
                may
            }
            other => unreachable!("the model does not know {}", other.kind()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Upload {
    Open { author: MemberId, ends: u64 },
    Done,
}

/// A dataset.
#[derive(Debug, Clone)]
pub(crate) struct DataModel {
    creator: MemberId,
    pub(crate) uploaders: BTreeSet<MemberId>,
    /// Standing grants and when they end.
    pub(crate) grants: BTreeMap<MemberId, Option<u64>>,
    pub(crate) recovery: BTreeSet<CardId>,
    /// To whom each epoch is sealed; epoch 1 is the first.
    pub(crate) epochs: Vec<BTreeSet<(MemberId, CardId)>>,
    pub(crate) closed: u64,
    uploads: BTreeMap<UploadId, Upload>,
    /// Manifests in scope and their epochs.
    pub(crate) manifests: BTreeMap<ManifestId, u64>,
    known: BTreeSet<ManifestId>,
    gone: BTreeSet<ManifestId>,
    pub(crate) cited: u64,
}

/// A vault state and a time: where an author stands.
pub(crate) struct View<'a> {
    pub(crate) vault: &'a VaultModel,
    pub(crate) time: u64,
}

impl DataModel {
    /// What entry 0 makes.
    pub(crate) fn new(s: &Statement, body: &DatasetCreated) -> Self {
        Self {
            creator: s.author.clone(),
            uploaders: BTreeSet::new(),
            grants: [(s.author.clone(), None)].into(),
            recovery: body.recovery.iter().copied().collect(),
            epochs: vec![body.epoch.seals.iter().map(|x| (x.member.clone(), x.card)).collect()],
            closed: 1,
            uploads: BTreeMap::new(),
            manifests: BTreeMap::new(),
            known: BTreeSet::new(),
            gone: BTreeSet::new(),
            cited: s.vault_head.unwrap().seq,
        }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.epochs.len() as u64
    }

    fn sealed(&self, n: u64) -> &BTreeSet<(MemberId, CardId)> {
        &self.epochs[usize::try_from(n).unwrap() - 1]
    }

    fn unclosed(&self) -> BTreeSet<u64> {
        (self.closed..=self.newest()).collect()
    }

    fn is_steward(&self, v: &View<'_>, m: &MemberId) -> bool {
        v.vault.is_member(m) && *v.vault.stewards.get(m).unwrap_or(&(*m == self.creator))
    }

    pub(crate) fn has_grant(&self, v: &View<'_>, m: &MemberId) -> bool {
        v.vault.is_member(m) && self.grants.get(m).is_some_and(|ends| ends.is_none_or(|e| e > v.time))
    }

    fn holds(&self, v: &View<'_>, m: &MemberId, n: u64) -> bool {
        self.sealed(n).iter().any(|(owner, card)| {
            owner == m && v.vault.cards.get(card) == Some(m) && (self.has_grant(v, m) || self.recovery.contains(card))
        })
    }

    fn opens_all(&self, v: &View<'_>, m: &MemberId, card: &CardId) -> bool {
        let sealed = self.unclosed().into_iter().all(|n| self.sealed(n).contains(&(m.clone(), *card)));
        sealed && (self.has_grant(v, m) || self.recovery.contains(card))
    }

    fn is_holder(&self, v: &View<'_>, m: &MemberId, card: &CardId) -> bool {
        self.is_steward(v, m) && self.has_grant(v, m) && self.sealed(self.newest()).contains(&(m.clone(), *card))
    }

    fn nobody_is_holder(&self, v: &View<'_>) -> bool {
        !self
            .sealed(self.newest())
            .iter()
            .any(|(m, card)| v.vault.cards.get(card) == Some(m) && self.is_holder(v, m, card))
    }

    pub(crate) fn is_stale(&self, v: &View<'_>) -> bool {
        self.sealed(self.newest()).iter().any(|(m, card)| {
            v.vault.cards.get(card) != Some(m) || !(self.has_grant(v, m) || self.recovery.contains(card))
        })
    }

    fn may_upload(&self, v: &View<'_>, m: &MemberId) -> bool {
        self.uploaders.contains(m) || self.is_steward(v, m)
    }

    fn holders(&self, v: &View<'_>, without: &BTreeSet<MemberId>) -> BTreeSet<(MemberId, CardId)> {
        let granted = self.grants.keys().filter(|m| !without.contains(*m) && self.has_grant(v, m));
        let of_grants = granted.flat_map(|m| v.vault.cards_of(m).into_iter().map(move |c| (m.clone(), c)));
        of_grants.chain(self.recovery_holders(v)).collect()
    }

    fn recovery_holders(&self, v: &View<'_>) -> BTreeSet<(MemberId, CardId)> {
        self.recovery.iter().filter_map(|c| v.vault.cards.get(c).map(|m| (m.clone(), *c))).collect()
    }

    /// Whether the entry counts under this view, and if so does it.
    pub(crate) fn take(&mut self, v: &View<'_>, head: u64, s: &Statement) -> bool {
        if head < self.cited || v.vault.cards.get(&s.card) != Some(&s.author) {
            return false;
        }
        let may = self.allows(v, head, s);
        if may {
            self.apply(s);
            self.cited = head;
        }
        may
    }

    /// Whether the preconditions of spec 5.3 to 5.5 hold.
    pub(crate) fn allows(&self, v: &View<'_>, head: u64, s: &Statement) -> bool {
        let me = &s.author;
        let steward = self.is_steward(v, me);
        let officer_or_steward = steward || v.vault.is_officer(me);
        let granted = |m: &MemberId| self.grants.contains_key(m);
        match &s.body {
            Body::Anchored(_) => head > self.cited,
            Body::UploaderSet(b) => steward && (!b.on || v.vault.is_member(&b.member)),
            Body::Revoked(b) => (officer_or_steward || *me == b.member) && granted(&b.member),
            Body::Suspended(b) => officer_or_steward && !b.members.is_empty() && b.members.iter().all(granted),
            Body::Granted(b) => {
                let m = &b.terms.member;
                let way_out = self.nobody_is_holder(v) && self.opens_all(v, me, &s.card) && self.is_steward(v, m);
                let cards = v.vault.cards_of(m);
                (self.is_holder(v, me, &s.card) || way_out)
                    && v.vault.is_member(m)
                    && !cards.is_empty()
                    && b.terms.ends.is_none_or(|e| e > v.time)
                    && triples(&b.seals) == product(m, &cards, &self.unclosed())
            }
            Body::CardSealed(b) => {
                let m = &b.member;
                let cards: BTreeSet<CardId> = b.seals.iter().map(|x| x.card).collect();
                (self.is_holder(v, me, &s.card) || me == m && self.opens_all(v, me, &s.card))
                    && self.has_grant(v, m)
                    && !cards.is_empty()
                    && cards.is_subset(&v.vault.cards_of(m))
                    && triples(&b.seals) == product(m, &cards, &self.unclosed())
            }
            Body::RecoverySet(b) => {
                let cards: BTreeSet<CardId> = b.cards.iter().copied().collect();
                let mut wanted = BTreeSet::new();
                for card in cards.difference(&self.recovery) {
                    let Some(m) = v.vault.cards.get(card) else { return false };
                    for n in self.unclosed() {
                        if !self.sealed(n).contains(&(m.clone(), *card)) {
                            wanted.insert((m.clone(), *card, n));
                        }
                    }
                }
                self.is_holder(v, me, &s.card)
                    && cards.iter().all(|c| v.vault.cards.contains_key(c))
                    && triples(&b.seals) == wanted
            }
            Body::EpochOpened(b) => {
                let revokes: BTreeSet<MemberId> = b.revokes.iter().cloned().collect();
                let cardless: BTreeSet<MemberId> = self
                    .grants
                    .keys()
                    .filter(|m| !revokes.contains(*m) && self.has_grant(v, m) && v.vault.cards_of(m).is_empty())
                    .cloned()
                    .collect();
                self.is_holder(v, me, &s.card)
                    && !revokes.contains(me)
                    && revokes.iter().all(granted)
                    && b.epoch == self.newest() + 1
                    && pairs(&b.seals) == self.holders(v, &revokes)
                    && b.unsealed.iter().cloned().collect::<BTreeSet<_>>() == cardless
            }
            Body::EpochClosed(b) => {
                let older: BTreeSet<&ManifestId> =
                    self.manifests.iter().filter(|(_, n)| **n < b.epoch).map(|(id, _)| id).collect();
                steward
                    && self.opens_all(v, me, &s.card)
                    && b.epoch == self.newest()
                    && b.epoch > self.closed
                    && b.void.iter().all(|id| older.contains(id))
                    && b.count + b.void.len() as u64 == older.len() as u64
                    && b.table.is_none() == (b.count == 0)
            }
            Body::EpochReset(b) => {
                let mut wanted = self.recovery_holders(v);
                wanted.extend(v.vault.cards_of(me).into_iter().map(|c| (me.clone(), c)));
                let held = self.sealed(self.newest()).iter().any(|(m, _)| self.holds(v, m, self.newest()));
                steward
                    && !held
                    && b.epoch == self.newest() + 1
                    && pairs(&b.seals) == wanted
                    && b.unreadable.iter().eq(self.manifests.keys())
            }
            Body::UploadOpened(b) => self.may_upload(v, me) && !self.uploads.contains_key(&b.upload) && b.ends > v.time,
            Body::UploadCommitted(b) => {
                let open = matches!(self.uploads.get(&b.upload), Some(Upload::Open { author, .. }) if author == me);
                open && self.may_upload(v, me)
                    && b.epoch == self.newest()
                    && !self.is_stale(v)
                    && b.manifests.iter().all(|x| !self.known.contains(&x.manifest))
            }
            Body::UploadClosed(b) => match self.uploads.get(&b.upload) {
                Some(Upload::Open { author, .. }) if author == me => true,
                Some(Upload::Open { author, ends }) => {
                    let over = v.time >= *ends || !v.vault.is_member(author) || !self.may_upload(v, author);
                    officer_or_steward && over && !self.is_stale(v)
                }
                _ => false,
            },
            Body::ManifestRemoved(b) => steward && self.known.contains(&b.manifest) && !self.gone.contains(&b.manifest),
            other => unreachable!("the model does not know {}", other.kind()),
        }
    }

    fn apply(&mut self, s: &Statement) {
        match &s.body {
            Body::UploaderSet(b) if b.on => {
                self.uploaders.insert(b.member.clone());
            }
            Body::UploaderSet(b) => {
                self.uploaders.remove(&b.member);
            }
            Body::Revoked(b) => {
                self.grants.remove(&b.member);
            }
            Body::Suspended(b) => self.end(&b.members),
            Body::Granted(b) => {
                self.grants.insert(b.terms.member.clone(), b.terms.ends);
                self.seal(&b.seals);
            }
            Body::CardSealed(b) => self.seal(&b.seals),
            Body::RecoverySet(b) => {
                self.recovery = b.cards.iter().copied().collect();
                self.seal(&b.seals);
            }
            Body::EpochOpened(b) => {
                self.end(&b.revokes);
                self.epochs.push(pairs(&b.seals));
            }
            Body::EpochClosed(b) => {
                self.closed = b.epoch;
                self.manifests.retain(|id, _| !b.void.iter().any(|v| v == id));
            }
            Body::EpochReset(b) => {
                self.epochs.push(pairs(&b.seals));
                self.closed = b.epoch;
                self.grants = [(s.author.clone(), None)].into();
                self.manifests.clear();
            }
            Body::UploadOpened(b) => {
                let upload = Upload::Open { author: s.author.clone(), ends: b.ends };
                self.uploads.insert(b.upload, upload);
            }
            Body::UploadCommitted(b) => {
                self.uploads.insert(b.upload, Upload::Done);
                for item in &b.manifests {
                    self.known.insert(item.manifest);
                    self.manifests.insert(item.manifest, b.epoch);
                }
            }
            Body::UploadClosed(b) => {
                self.uploads.insert(b.upload, Upload::Done);
            }
            Body::ManifestRemoved(b) => {
                self.manifests.remove(&b.manifest);
                self.gone.insert(b.manifest);
            }
            _ => {}
        }
    }

    fn end(&mut self, members: &Set<MemberId>) {
        for m in members {
            self.grants.remove(m);
        }
    }

    fn seal(&mut self, seals: &Set<EpochSeal>) {
        for x in seals {
            self.epochs[usize::try_from(x.epoch).unwrap() - 1].insert((x.member.clone(), x.card));
        }
    }
}

fn pairs(seals: &Set<Seal>) -> BTreeSet<(MemberId, CardId)> {
    seals.iter().map(|x| (x.member.clone(), x.card)).collect()
}

fn triples(seals: &Set<EpochSeal>) -> BTreeSet<(MemberId, CardId, u64)> {
    seals.iter().map(|x| (x.member.clone(), x.card, x.epoch)).collect()
}

fn product(m: &MemberId, cards: &BTreeSet<CardId>, epochs: &BTreeSet<u64>) -> BTreeSet<(MemberId, CardId, u64)> {
    cards.iter().flat_map(|c| epochs.iter().map(move |n| (m.clone(), *c, *n))).collect()
}

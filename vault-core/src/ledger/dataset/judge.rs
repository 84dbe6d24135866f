//! What each kind of a dataset ledger demands before it counts. Spec sections 5.3 to 5.5, kind by kind.

use std::collections::BTreeSet;

use super::super::approval::Act;
use super::super::exposure::{Cited, Exposures};
use super::super::fold::{At, Void};
use super::super::statement::{
    Body, DatasetCreated, Entry, EpochClosed, EpochOpened, EpochReset, EpochSeal, Granted, Info, MemberReservation,
    RecoverySet, Reservation, Role, Seal, Set, Statement, UploadCommitted, terms_digest,
};
use super::super::vault::VaultState;
use super::{DatasetState, GrantStatus, ReservationUse, UploadStatus, current_owners};
use crate::ids::{CardId, Digest, EntryHash, MemberId, UploadId};
use crate::seal::PublicKey;

/// Most manifests in a commit.
const MAX_MANIFESTS: usize = 10_000;
/// An entry that is right but for a reservation that is not there: its author can make it later, and then all readers have to
/// agree, so it stops the fold as an unanchored entry does (spec 4.4, rule 2).
pub(super) const NO_RESERVATION: Void = "no such reservation";
/// Most files in a manifest.
const MAX_FILES: u64 = 10_000;

impl DatasetState {
    /// Rule 5: the preconditions.
    pub(super) fn allowed(
        &self,
        vault: &VaultState,
        exposures: &Exposures,
        at: At,
        statement: &Statement,
    ) -> Result<(), Void> {
        let who = Author { state: self, vault, at, statement };
        if self.deleted.is_some() && !is_allowed_after_deletion(&statement.body) {
            return Err("the dataset is deleted");
        }
        match &statement.body {
            Body::FactsAmended(body) => {
                who.steward()?;
                check_level(body.level)?;
                for member in &body.suspends {
                    self.needs_a_grant(member)?;
                }
                let counts =
                    |item: &MemberReservation| self.reservation_counts(exposures, &item.reservation, &item.member);
                // What is missing is said last, whatever the order: an entry that could not count anyway stops nobody.
                let judged: Vec<_> = body.reservations.iter().map(counts).collect();
                judged.iter().filter(|one| **one != Err(NO_RESERVATION)).try_for_each(|one| *one)?;
                judged.into_iter().collect()
            }
            Body::GradeConfirmed(body) => {
                who.role(Role::Approver)?;
                if *who.name() == self.facts_author {
                    Err("the grader can't confirm the grading")
                } else if body.facts != self.facts.digest() || body.level != self.level {
                    Err("not the present facts or level")
                } else {
                    Ok(())
                }
            }
            Body::UploaderSet(body) => {
                who.steward()?;
                let fits = !body.on || vault.is_current_member(&body.member, at.vault);
                fits.then_some(()).ok_or("the member is not current")
            }
            Body::RecoverySet(body) => self.recovery_set(&who, body),
            Body::Granted(body) => self.granted_allowed(exposures, &who, body),
            Body::CardSealed(body) => {
                let itself = *who.name() == body.member && who.opens_all();
                if !itself {
                    who.holder()?;
                }
                if !self.has_grant(vault, &body.member, at) {
                    return Err("the member has no current grant");
                }
                let cards: BTreeSet<CardId> = body.seals.iter().map(|s| s.card).collect();
                if cards.is_empty() || !cards.iter().all(|c| vault.is_current_card(c, &body.member, at.vault)) {
                    return Err("a card is not current");
                }
                self.seals_are_exactly(&body.seals, cards.iter().map(|c| (body.member.clone(), *c)))
            }
            Body::AgreementAccepted(body) => {
                let own = self.grants.get(who.name()).filter(|g| g.entry == body.grant);
                own.filter(|_| self.has_grant(vault, who.name(), at)).map(drop).ok_or("not the author's current grant")
            }
            Body::Suspended(body) => {
                who.officer_or_steward()?;
                if body.members.is_empty() {
                    return Err("names no member");
                }
                body.members.iter().try_for_each(|m| self.needs_a_grant(m))
            }
            Body::ConsentWithdrawn(body) => {
                who.officer_or_steward()?;
                body.members.iter().try_for_each(|m| self.needs_a_grant(m))
            }
            Body::Revoked(body) => {
                if *who.name() != body.member {
                    who.officer_or_steward()?;
                }
                self.needs_a_grant(&body.member)
            }
            Body::DestructionAttested(body) => {
                if !self.grants.contains_key(&body.member) {
                    return Err("the member never had a grant");
                }
                if *who.name() == body.member {
                    Ok(())
                } else if vault.is_current_member(&body.member, at.vault) {
                    Err("only the member itself attests while it is current")
                } else {
                    who.officer()
                }
            }
            Body::Proposed(body) => {
                who.may_propose(&body.act)?;
                if body.ends > at.time { Ok(()) } else { Err("ends before it begins") }
            }
            Body::Approved(body) => {
                who.role(Role::Approver)?;
                self.proposals.may_approve(&body.proposal, who.name(), at.time)
            }
            Body::ReservationCancelled(body) => {
                let cited = exposures.cited(&body.reservation);
                match cited {
                    Cited::Reserved(reserved) if reserved.author == *who.name() => {}
                    Cited::Reserved(_) => who.officer()?,
                    Cited::Missing | Cited::Other => who.officer_or_steward()?,
                }
                self.not_used(&body.reservation)?;
                match cited {
                    Cited::Reserved(_) => Ok(()),
                    Cited::Other => Err("not a reservation"),
                    Cited::Missing => Err(NO_RESERVATION),
                }
            }
            Body::Anchored(_) => {
                if at.vault > self.cited {
                    Ok(())
                } else {
                    Err("cites nothing newer")
                }
            }
            Body::DatasetDeleted(body) => {
                who.steward()?;
                let terms = terms_digest("dataset-deleted", &body.terms);
                who.approved(terms, vault.approvals().dataset_deleted, None, body.approval.as_ref())
            }
            Body::EpochOpened(body) => self.epoch_opened(&who, body),
            Body::EpochClosed(body) => self.epoch_closed(&who, body),
            Body::EpochReset(body) => self.epoch_reset(&who, body),
            Body::UploadOpened(body) => {
                who.uploader()?;
                if self.uploads.contains_key(&body.upload) {
                    Err("the upload id is taken")
                } else if body.ends <= at.time {
                    Err("ends before it begins")
                } else {
                    Ok(())
                }
            }
            Body::UploadExtended(body) => {
                let upload = self.own_open_upload(&body.upload, who.name())?;
                if body.ends > upload.ends { Ok(()) } else { Err("ends no later than before") }
            }
            Body::UploadCommitted(body) => self.upload_committed(&who, body),
            Body::UploadClosed(body) => self.upload_closed(&who, &body.upload),
            Body::ManifestRemoved(body) => {
                who.steward()?;
                self.not_removed(&body.manifest)
            }
            Body::PathRemoved(body) => {
                who.steward()?;
                if body.files.is_empty() {
                    return Err("names no file");
                }
                self.not_removed(&body.manifest)
            }
            Body::DatasetCreated(_) => Err("a second creation"),
            _ => Err("not a kind of a dataset ledger"),
        }
    }

    /// Entry 0: checks it and makes the first state.
    pub(super) fn first(
        vault: &VaultState,
        id: &crate::ids::DatasetId,
        statement: &Statement,
        entry: &Entry,
        hash: EntryHash,
    ) -> Result<Self, Void> {
        let Body::DatasetCreated(body) = &statement.body else { return Err("entry 0 does not create it") };
        let author = &statement.author;
        let head = super::anchor(vault, entry, 0)?.ok_or("unanchored")?.vault;
        if statement.prev.map(|p| p.0) != Some(vault.id().0) {
            return Err("entry 0 does not follow the vault id");
        }
        if !vault.has_role(Role::Creator, None, author, head) {
            return Err("not a creator");
        }
        check_level(body.level)?;
        let public = public_key(vault, &body.epoch.public.0)?;
        let recovery: BTreeSet<CardId> = body.recovery.iter().copied().collect();
        let mut expected = current_owners(vault, &recovery, head);
        if expected.len() != recovery.len() {
            return Err("a recovery card is not current");
        }
        expected.extend(vault.current_cards(author, head).map(|c| (author.clone(), *c.card.id())));
        exactly(&body.epoch.seals, &expected)?;
        Ok(Self::first_state(id, statement, body, hash, public, head))
    }

    fn first_state(
        id: &crate::ids::DatasetId,
        statement: &Statement,
        body: &DatasetCreated,
        hash: EntryHash,
        public: PublicKey,
        head: u64,
    ) -> Self {
        let mut state = Self {
            id: id.clone(),
            title: body.title.as_str().to_owned(),
            created: statement.time,
            creator: statement.author.clone(),
            created_at: head,
            facts: body.facts.clone(),
            facts_author: statement.author.clone(),
            facts_at: (0, statement.time),
            level: body.level,
            confirmed: None,
            uploaders: BTreeSet::new(),
            recovery: body.recovery.iter().copied().collect(),
            grants: std::collections::BTreeMap::new(),
            epochs: std::collections::BTreeMap::new(),
            closed: 1,
            table: None,
            uploads: std::collections::BTreeMap::new(),
            manifests: std::collections::BTreeMap::new(),
            reservations: std::collections::BTreeMap::new(),
            traced: BTreeSet::new(),
            withdrawals: Vec::new(),
            attested: Vec::new(),
            proposals: super::Proposals::default(),
            deleted: None,
            cited: head,
            judged: Vec::new(),
            stop: None,
        };
        state.open_epoch(1, 0, statement, public, &body.epoch.seals);
        let at = At { time: statement.time, vault: head };
        state.grants.insert(statement.author.clone(), super::apply::own(&statement.author, at, 0, hash));
        state.judged.push(super::Judged { hash, verdict: super::Verdict::Applied });
        state
    }

    fn recovery_set(&self, who: &Author<'_>, body: &RecoverySet) -> Result<(), Void> {
        who.holder()?;
        let cards: BTreeSet<CardId> = body.cards.iter().copied().collect();
        let owners = current_owners(who.vault, &cards, who.at.vault);
        if owners.len() != cards.len() {
            return Err("a recovery card is not current");
        }
        let added = owners.iter().filter(|(_, card)| !self.recovery.contains(card));
        let expected: BTreeSet<(MemberId, CardId, u64)> = added
            .flat_map(|owner| self.unclosed().map(move |(n, epoch)| (owner, n, epoch)))
            .filter(|(owner, _, epoch)| !epoch.seals.contains_key(owner))
            .map(|((member, card), n, _)| (member.clone(), *card, n))
            .collect();
        exactly_epochs(&body.seals, &expected)
    }

    fn granted_allowed(&self, exposures: &Exposures, who: &Author<'_>, body: &Granted) -> Result<(), Void> {
        let (vault, at, terms) = (who.vault, who.at, &body.terms);
        if who.holder().is_err() {
            // A way out: while no steward holds the newest epoch, anybody who does may give it to a steward.
            let way_out =
                !self.has_holder(vault, at) && who.opens_all() && self.is_steward(vault, &terms.member, at.vault);
            if !way_out {
                return Err("not a holder of the newest epoch");
            }
        }
        if !vault.is_current_member(&terms.member, at.vault) {
            return Err("the member is not current");
        }
        if terms.ends.is_some_and(|ends| ends <= at.time) {
            return Err("ends before it begins");
        }
        let cards: Vec<_> =
            vault.current_cards(&terms.member, at.vault).map(|c| (terms.member.clone(), *c.card.id())).collect();
        if cards.is_empty() {
            return Err("the member has no current card");
        }
        self.seals_are_exactly(&body.seals, cards.into_iter())?;
        let needed = level_count(&vault.approvals().granted, self.level);
        who.approved(terms_digest("granted", terms), needed, Some(&terms.member), body.approval.as_ref())?;
        // Last, because what is authorised but for this stops the fold instead of being void.
        match &body.reservation {
            Some(reservation) => self.reservation_counts(exposures, reservation, &terms.member),
            None => Ok(()),
        }
    }

    fn epoch_opened(&self, who: &Author<'_>, body: &EpochOpened) -> Result<(), Void> {
        who.holder()?;
        if body.epoch != self.newest() + 1 {
            return Err("not the next epoch");
        }
        public_key(who.vault, &body.public.0)?;
        let revokes: BTreeSet<MemberId> = body.revokes.iter().cloned().collect();
        if revokes.contains(who.name()) {
            return Err("revokes its author");
        }
        revokes.iter().try_for_each(|m| self.needs_a_grant(m))?;
        let (expected, unsealed) = self.next_holders(who.vault, who.at, &revokes);
        if !body.unsealed.iter().eq(unsealed.iter()) {
            return Err("not exactly the members without a card");
        }
        exactly(&body.seals, &expected)
    }

    fn epoch_closed(&self, who: &Author<'_>, body: &EpochClosed) -> Result<(), Void> {
        who.steward()?;
        if !who.opens_all() {
            return Err("does not hold every unclosed epoch");
        }
        if body.epoch != self.newest() || body.epoch <= self.closed {
            return Err("not the newest epoch, or closed already");
        }
        let scope: BTreeSet<_> = self.in_scope_before(body.epoch).map(|(id, _)| *id).collect();
        if !body.void.iter().all(|id| scope.contains(id)) {
            return Err("a void manifest that is not in scope");
        }
        if body.count.checked_add(body.void.len() as u64) != Some(scope.len() as u64) {
            return Err("not as many manifests as are in scope");
        }
        if body.table.is_some() == (body.count > 0) { Ok(()) } else { Err("table and count do not fit") }
    }

    fn epoch_reset(&self, who: &Author<'_>, body: &EpochReset) -> Result<(), Void> {
        who.steward()?;
        if self.is_held(who.vault, who.at) {
            return Err("somebody still holds the epoch");
        }
        if body.epoch != self.newest() + 1 {
            return Err("not the next epoch");
        }
        public_key(who.vault, &body.public.0)?;
        let mut expected = self.recovery_holders(who.vault, who.at.vault);
        expected.extend(who.vault.current_cards(who.name(), who.at.vault).map(|c| (who.name().clone(), *c.card.id())));
        exactly(&body.seals, &expected)?;
        let scope = self.manifests.iter().filter(|(_, m)| m.is_in_scope()).map(|(id, _)| id);
        if body.unreadable.iter().eq(scope) { Ok(()) } else { Err("not exactly the manifests in scope") }
    }

    fn upload_committed(&self, who: &Author<'_>, body: &UploadCommitted) -> Result<(), Void> {
        self.own_open_upload(&body.upload, who.name())?;
        who.uploader()?;
        if body.epoch != self.newest() {
            return Err("not the newest epoch");
        }
        if self.is_stale(who.vault, who.at) {
            return Err("the epoch is stale");
        }
        if body.manifests.is_empty() || body.manifests.len() > MAX_MANIFESTS {
            return Err("no manifest, or more than 10,000");
        }
        let (mut ids, mut superseded) = (BTreeSet::new(), BTreeSet::new());
        for item in &body.manifests {
            if self.manifests.contains_key(&item.manifest) || !ids.insert(item.manifest) {
                return Err("a manifest id that is known already");
            }
            if item.files == 0 || item.files > MAX_FILES || item.packs.count == 0 || item.packs.bytes == 0 {
                return Err("a manifest without files or packs, or with more than 10,000 files");
            }
            if let Some(old) = &item.supersedes {
                who.steward()?;
                let known =
                    self.manifests.get(old).filter(|m| m.is_in_scope()).ok_or("supersedes what is not in scope")?;
                if known.signed.root != item.root || !superseded.insert(*old) {
                    return Err("supersedes with another root, or twice");
                }
            }
        }
        Ok(())
    }

    fn upload_closed(&self, who: &Author<'_>, id: &UploadId) -> Result<(), Void> {
        let upload = self.uploads.get(id).filter(|u| u.status == UploadStatus::Open).ok_or("the upload is not open")?;
        if upload.author == *who.name() {
            return Ok(());
        }
        who.officer_or_steward()?;
        if who.at.time < upload.ends && who.is_uploader(&upload.author) {
            Err("the upload has not ended")
        } else if self.is_stale(who.vault, who.at) {
            Err("the epoch is stale")
        } else {
            Ok(())
        }
    }

    fn own_open_upload(&self, id: &UploadId, member: &MemberId) -> Result<&super::Upload, Void> {
        let upload = self.uploads.get(id).filter(|u| u.author == *member).ok_or("not the author's upload")?;
        if upload.status == UploadStatus::Open { Ok(upload) } else { Err("the upload is not open") }
    }

    fn not_removed(&self, id: &crate::ids::ManifestId) -> Result<(), Void> {
        let manifest = self.manifests.get(id).ok_or("no such manifest")?;
        if manifest.removed { Err("removed already") } else { Ok(()) }
    }

    /// The member has a grant that was not revoked or suspended, whether it has ended by itself or not.
    fn needs_a_grant(&self, member: &MemberId) -> Result<(), Void> {
        let given = self.grants.get(member).is_some_and(|g| g.status == GrantStatus::Given);
        if given { Ok(()) } else { Err("the member has no grant") }
    }

    fn reservation_counts(&self, exposures: &Exposures, cited: &Reservation, member: &MemberId) -> Result<(), Void> {
        self.not_used(cited)?;
        match exposures.cited(cited) {
            Cited::Reserved(reserved) if reserved.dataset == self.id && reserved.member == *member => Ok(()),
            Cited::Reserved(_) => Err("a reservation for another dataset or member"),
            Cited::Other => Err("not a reservation"),
            Cited::Missing => Err(NO_RESERVATION),
        }
    }

    fn not_used(&self, cited: &Reservation) -> Result<(), Void> {
        let used = self.reservations.contains_key(&(cited.ledger.clone(), cited.seq, cited.hash));
        if used { Err("the reservation is used or cancelled already") } else { Ok(()) }
    }

    fn seals_are_exactly(
        &self,
        seals: &Set<EpochSeal>,
        cards: impl Iterator<Item = (MemberId, CardId)>,
    ) -> Result<(), Void> {
        let expected: BTreeSet<(MemberId, CardId, u64)> =
            cards.flat_map(|(member, card)| self.unclosed().map(move |(n, _)| (member.clone(), card, n))).collect();
        exactly_epochs(seals, &expected)
    }

    pub(super) fn use_reservation(&mut self, used: &Reservation, cancelled: bool) {
        let what = if cancelled { ReservationUse::Cancelled } else { ReservationUse::Cited };
        self.reservations.insert((used.ledger.clone(), used.seq, used.hash), what);
    }
}

/// The author of an entry, with what their rights are asked of.
struct Author<'a> {
    state: &'a DatasetState,
    vault: &'a VaultState,
    at: At,
    statement: &'a Statement,
}

impl Author<'_> {
    const fn name(&self) -> &MemberId {
        &self.statement.author
    }

    fn steward(&self) -> Result<(), Void> {
        if self.state.is_steward(self.vault, self.name(), self.at.vault) { Ok(()) } else { Err("not a steward") }
    }

    fn officer(&self) -> Result<(), Void> {
        if self.vault.is_officer(self.name(), self.at.vault) { Ok(()) } else { Err("not an officer") }
    }

    fn officer_or_steward(&self) -> Result<(), Void> {
        self.officer().or_else(|_| self.steward()).map_err(|_| "neither officer nor steward")
    }

    fn holder(&self) -> Result<(), Void> {
        let holds = self.state.is_holder(self.vault, self.name(), &self.statement.card, self.at);
        if holds { Ok(()) } else { Err("not a holder of the newest epoch") }
    }

    /// Whether the card that signs opens every unclosed epoch. A member's other cards do not count: an officer can add a card in a
    /// member's name, and it must open nothing until somebody who holds the epochs has sealed to it.
    fn opens_all(&self) -> bool {
        self.state.opens_all(self.vault, self.name(), &self.statement.card, self.at)
    }

    fn uploader(&self) -> Result<(), Void> {
        if self.is_uploader(self.name()) { Ok(()) } else { Err("neither uploader nor steward") }
    }

    fn is_uploader(&self, member: &MemberId) -> bool {
        let named = self.state.uploaders.contains(member) && self.vault.is_current_member(member, self.at.vault);
        named || self.state.is_steward(self.vault, member, self.at.vault)
    }

    fn role(&self, role: Role) -> Result<(), Void> {
        let has = self.vault.has_role(role, Some(&self.state.id), self.name(), self.at.vault);
        if has { Ok(()) } else { Err("not an approver") }
    }

    fn may_propose(&self, act: &str) -> Result<(), Void> {
        match act {
            "granted" | "dataset-deleted" => self.steward(),
            _ => Err("not an act that is proposed here"),
        }
    }

    fn approved(
        &self,
        terms: Digest,
        needed: u64,
        beneficiary: Option<&MemberId>,
        approval: Option<&super::super::statement::Approval>,
    ) -> Result<(), Void> {
        let member = beneficiary.and_then(|m| self.vault.member(m)).and_then(|m| m.info_at(self.at.vault));
        let act = Act {
            kind: self.statement.body.kind(),
            terms,
            needed,
            author: self.name(),
            beneficiary,
            time: self.at.time,
            facts_seq: Some(self.state.facts_seq()),
            facts: Some(self.state.facts.digest()),
            member: member.map(Info::digest),
            pack: self.vault.pack_at(self.at.vault),
        };
        self.state
            .proposals
            .check(&act, approval, |m| self.vault.has_role(Role::Approver, Some(&self.state.id), m, self.at.vault))
    }
}

pub(super) const fn is_allowed_after_deletion(body: &Body) -> bool {
    matches!(
        body,
        Body::Revoked(_)
            | Body::UploadClosed(_)
            | Body::ManifestRemoved(_)
            | Body::DestructionAttested(_)
            | Body::Anchored(_)
    )
}

const fn check_level(level: u64) -> Result<(), Void> {
    if level >= 1 && level <= 5 { Ok(()) } else { Err("a level outside 1 to 5") }
}

fn level_count(counts: &[u64; 5], level: u64) -> u64 {
    // The level was checked when it was set; an impossible one asks for more than can be had.
    usize::try_from(level).ok().and_then(|l| l.checked_sub(1)).and_then(|i| counts.get(i)).copied().unwrap_or(u64::MAX)
}

fn public_key(vault: &VaultState, bytes: &[u8]) -> Result<PublicKey, Void> {
    PublicKey::parse(vault.suite(), bytes).map_err(|_| "an invalid public key")
}

fn exactly(seals: &Set<Seal>, expected: &BTreeSet<(MemberId, CardId)>) -> Result<(), Void> {
    let same = seals.len() == expected.len()
        && seals.iter().zip(expected).all(|(seal, (member, card))| seal.member == *member && seal.card == *card);
    if same { Ok(()) } else { Err("not sealed to exactly those who hold it") }
}

fn exactly_epochs(seals: &Set<EpochSeal>, expected: &BTreeSet<(MemberId, CardId, u64)>) -> Result<(), Void> {
    let same = seals.len() == expected.len()
        && seals
            .iter()
            .zip(expected)
            .all(|(seal, (member, card, epoch))| seal.member == *member && seal.card == *card && seal.epoch == *epoch);
    if same { Ok(()) } else { Err("not sealed to exactly those cards and epochs") }
}

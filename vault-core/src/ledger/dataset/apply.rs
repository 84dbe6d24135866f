//! What each kind of a dataset ledger changes, once it is allowed. Nothing here can fail.

use super::super::fold::At;
use super::super::statement::{
    Body, EpochClosed, EpochSeal, Facts, Granted, Reservation, Seal, Set, Statement, UploadCommitted,
};
use super::super::vault::VaultState;
use super::{
    Attestation, DatasetState, Deletion, Epoch, Grant, GrantOrigin, GrantStatus, KeyPlace, Manifest, SealRef, Table,
    Upload, UploadStatus, Withdrawal,
};
use crate::ids::{EntryHash, MemberId};
use crate::seal::PublicKey;

impl DatasetState {
    pub(super) fn apply(&mut self, vault: &VaultState, at: At, seq: u64, hash: EntryHash, statement: &Statement) {
        let author = &statement.author;
        match &statement.body {
            Body::FactsAmended(body) => {
                self.facts = body.facts.clone();
                self.level = body.level;
                self.facts_author = author.clone();
                self.facts_at = (seq, at.time);
                self.confirmed = None;
                body.suspends.iter().for_each(|m| self.end(m, GrantStatus::Suspended));
                for item in &body.reservations {
                    self.use_reservation(&item.reservation, false);
                    if let Some(grant) = self.grants.get_mut(&item.member) {
                        grant.counted.push(item.reservation.clone());
                    }
                }
            }
            Body::GradeConfirmed(_) => self.confirmed = Some((author.clone(), hash)),
            Body::UploaderSet(body) => {
                if body.on {
                    self.uploaders.insert(body.member.clone());
                } else {
                    self.uploaders.remove(&body.member);
                }
            }
            Body::RecoverySet(body) => {
                self.recovery = body.cards.iter().copied().collect();
                self.add_seals(author, &body.seals);
            }
            Body::Granted(body) => {
                self.add_seals(author, &body.seals);
                if let Some(export) = body.trace.as_ref().and_then(export_of) {
                    self.traced.insert((export.ledger, export.seq, export.hash));
                }
                let grant = self.grant_of(body, own(author, at, seq, hash));
                self.grants.insert(body.terms.member.clone(), grant);
                if let Some(reservation) = &body.reservation {
                    self.use_reservation(reservation, false);
                }
                self.proposals.mark_used(body.approval.as_ref());
            }
            Body::CardSealed(body) => self.add_seals(author, &body.seals),
            Body::AgreementAccepted(body) => {
                if let Some(grant) = self.grants.get_mut(author) {
                    grant.agreement = Some(body.agreement);
                }
            }
            Body::Suspended(body) => body.members.iter().for_each(|m| self.end(m, GrantStatus::Suspended)),
            Body::ConsentWithdrawn(body) => {
                body.members.iter().for_each(|m| self.end(m, GrantStatus::Suspended));
                self.withdrawals.push(Withdrawal {
                    entry: hash,
                    seq,
                    time: at.time,
                    author: author.clone(),
                    members: body.members.iter().cloned().collect(),
                    reason: body.reason.as_str().to_owned(),
                    subjects: body.subjects,
                });
            }
            Body::Revoked(body) => self.end(&body.member, GrantStatus::Revoked { seq }),
            Body::DestructionAttested(body) => self.attested.push(Attestation {
                entry: hash,
                seq,
                time: at.time,
                author: author.clone(),
                member: body.member.clone(),
                granted: !self.is_deleted()
                    && self.grants.get(&body.member).is_some_and(|grant| {
                        grant.status == GrantStatus::Given && grant.ends.is_none_or(|ends| ends > at.time)
                    }),
                scope: body.scope.as_str().to_owned(),
                document: body.document,
            }),
            Body::Proposed(body) => self.proposals.propose(seq, hash, author, body),
            Body::Approved(body) => self.proposals.approve(hash, &body.proposal, author),
            Body::ReservationCancelled(body) => self.use_reservation(&body.reservation, true),
            Body::DatasetDeleted(body) => {
                self.deleted = Some(Deletion {
                    seq,
                    time: at.time,
                    author: author.clone(),
                    reason: body.terms.reason.as_str().to_owned(),
                });
                self.proposals.mark_used(body.approval.as_ref());
            }
            Body::EpochOpened(body) => {
                body.revokes.iter().for_each(|m| self.end(m, GrantStatus::Revoked { seq }));
                if let Ok(public) = PublicKey::parse(vault.suite(), &body.public.0) {
                    self.open_epoch(body.epoch, seq, statement, public, &body.seals);
                }
            }
            Body::EpochClosed(body) => self.close_epoch(body),
            Body::EpochReset(body) => {
                for grant in self.grants.values_mut().filter(|g| g.status == GrantStatus::Given) {
                    grant.status = GrantStatus::Revoked { seq };
                }
                if let Ok(public) = PublicKey::parse(vault.suite(), &body.public.0) {
                    self.open_epoch(body.epoch, seq, statement, public, &body.seals);
                }
                for manifest in self.manifests.values_mut().filter(|m| m.is_in_scope()) {
                    manifest.key = KeyPlace::Unreadable;
                }
                self.closed = body.epoch;
                self.table = None;
                self.grants.insert(author.clone(), own(author, at, seq, hash));
            }
            Body::UploadOpened(body) => {
                let upload =
                    Upload { author: author.clone(), opened: at.time, ends: body.ends, status: UploadStatus::Open };
                self.uploads.insert(body.upload, upload);
            }
            Body::UploadExtended(body) => {
                if let Some(upload) = self.uploads.get_mut(&body.upload) {
                    upload.ends = body.ends;
                }
            }
            Body::UploadCommitted(body) => self.commit(vault, at, seq, hash, author, body),
            Body::UploadClosed(body) => {
                if let Some(upload) = self.uploads.get_mut(&body.upload) {
                    upload.status = UploadStatus::Closed;
                }
            }
            Body::ManifestRemoved(body) => {
                if let Some(manifest) = self.manifests.get_mut(&body.manifest) {
                    manifest.removed = true;
                }
            }
            Body::PathRemoved(body) => {
                if let Some(manifest) = self.manifests.get_mut(&body.manifest) {
                    manifest.removed_files.extend(body.files.iter().copied());
                }
            }
            _ => {}
        }
    }

    /// What a `granted` gives, on top of what any grant has.
    fn grant_of(&self, body: &Granted, grant: Grant) -> Grant {
        let approvals = body.approval.as_ref().map_or(0, |approval| self.proposals.approvers(approval).count());
        Grant {
            origin: GrantOrigin::Granted,
            ends: body.terms.ends,
            facts: body.terms.facts.clone(),
            trace: body.trace.clone(),
            reservation: body.reservation.clone(),
            counted: body.reservation.iter().cloned().chain(body.trace.as_ref().and_then(export_of)).collect(),
            approvals: approvals as u64,
            ..grant
        }
    }

    fn end(&mut self, member: &MemberId, status: GrantStatus) {
        if let Some(grant) = self.grants.get_mut(member) {
            grant.status = status;
        }
    }

    pub(super) fn open_epoch(&mut self, n: u64, seq: u64, statement: &Statement, public: PublicKey, seals: &Set<Seal>) {
        let author = &statement.author;
        let seals = seals
            .iter()
            .map(|s| ((s.member.clone(), s.card), SealRef { sha256: s.sha256, author: author.clone() }))
            .collect();
        self.epochs.insert(n, Epoch { public, seq, time: statement.time, author: author.clone(), seals });
    }

    fn add_seals(&mut self, author: &MemberId, seals: &Set<EpochSeal>) {
        for seal in seals {
            if let Some(epoch) = self.epochs.get_mut(&seal.epoch) {
                let place = SealRef { sha256: seal.sha256, author: author.clone() };
                epoch.seals.insert((seal.member.clone(), seal.card), place);
            }
        }
    }

    fn close_epoch(&mut self, body: &EpochClosed) {
        let n = body.epoch;
        for (id, manifest) in self.manifests.iter_mut().filter(|(_, m)| m.is_in_scope() && m.epoch < n) {
            manifest.key = if body.void.contains(id) { KeyPlace::Void } else { KeyPlace::Table { epoch: n } };
        }
        self.closed = n;
        self.table = Some(Table { epoch: n, hash: body.table, count: body.count });
    }

    fn commit(
        &mut self,
        vault: &VaultState,
        at: At,
        seq: u64,
        entry: EntryHash,
        author: &MemberId,
        body: &UploadCommitted,
    ) {
        let author_was_steward = self.is_steward(vault, author, at.vault);
        if let Some(upload) = self.uploads.get_mut(&body.upload) {
            upload.status = UploadStatus::Committed { seq };
        }
        for signed in &body.manifests {
            if let Some(old) = signed.supersedes.as_ref().and_then(|id| self.manifests.get_mut(id)) {
                old.superseded_by = Some(signed.manifest);
            }
            let manifest = Manifest {
                signed: signed.clone(),
                upload: body.upload,
                author: author.clone(),
                author_was_steward,
                seq,
                entry,
                time: at.time,
                epoch: body.epoch,
                key: KeyPlace::Header,
                removed: false,
                removed_files: std::collections::BTreeSet::new(),
                superseded_by: None,
            };
            self.manifests.insert(signed.manifest, manifest);
        }
    }
}

/// The export's reservation that a trace names. Nothing is judged by it.
fn export_of(trace: &Facts) -> Option<Reservation> {
    let stated = trace.0.get("case")?.get("export")?;
    crate::json::parse(&crate::json::emit_value(stated).ok()?).ok()
}

/// The grant of whoever creates a dataset or begins it anew.
pub(super) fn own(author: &MemberId, at: At, seq: u64, entry: EntryHash) -> Grant {
    Grant {
        entry,
        seq,
        author: author.clone(),
        time: at.time,
        vault: at.vault,
        origin: GrantOrigin::Own,
        ends: None,
        facts: Facts::default(),
        trace: None,
        reservation: None,
        counted: Vec::new(),
        approvals: 0,
        agreement: None,
        status: GrantStatus::Given,
    }
}

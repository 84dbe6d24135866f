//! Who may what, as one pure function of a state that was read after the request came. Spec section 7.3.
//!
//! The server releases ciphertext and keeps order; what a statement means is the fold's business, and what opens is the keys'. So a wrong
//! answer here shows nobody a plaintext. Where a ledger has stopped, what stands behind the stop is unknown, and nothing is released that
//! rests on it.

use vault_core::ids::{CardId, DatasetId, ManifestId, MemberId, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, Upload, UploadStatus};
use vault_core::ledger::fold::{At, Stop};
use vault_core::ledger::statement::Role;
use vault_core::ledger::vault::VaultState;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Act<'a> {
    /// Entries of a ledger, names of ledgers, a turn.
    Ledgers,
    /// An append; the fold decides.
    Append,
    /// Reading an object.
    Read(&'a ObjectName),
    /// Making an object.
    Put(&'a ObjectName),
    /// Deleting an object that no statement names.
    Withdraw(&'a ObjectName),
    /// Deleting what closed epochs left, or hidden manifests' packs.
    Clean,
    /// Deleting what a closed upload left.
    Sweep(&'a UploadId),
    /// A check of everything.
    Doctor {
        /// Whether what is derived is made again and what was given up is deleted.
        repair: bool,
    },
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The member.
    pub member: &'a MemberId,
    /// The card that signed.
    pub card: &'a CardId,
}

/// The ledgers that it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// The vault's.
    pub vault: &'a VaultState,
    /// The dataset's; `None` if it was never created, or the act is about none.
    pub dataset: Option<&'a DatasetState>,
    /// The server's clock, seconds since 1970.
    pub now: u64,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not for this member.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// It is over, and may be deleted at any moment: who was about to read it reads the ledger again, as if it were gone.
    #[error("the epoch is closed")]
    Over,
    /// What stewards kept with a dataset that was deleted.
    #[error("the dataset was deleted")]
    Gone,
    /// A ledger that it rests on has stopped.
    #[error(transparent)]
    Stopped(Stop),
}

const fn no(why: &'static str) -> Result<(), Refusal> {
    Err(Refusal::NotAllowed(why))
}

/// The dataset that an object belongs to.
#[must_use]
pub const fn dataset_of(name: &ObjectName) -> Option<&DatasetId> {
    match name {
        ObjectName::Grant { dataset, .. }
        | ObjectName::Header { dataset, .. }
        | ObjectName::Table { dataset, .. }
        | ObjectName::Kept { dataset, .. }
        | ObjectName::Manifest { dataset, .. }
        | ObjectName::Pack { dataset, .. }
        | ObjectName::PackList { dataset, .. }
        | ObjectName::Groups { dataset, .. } => Some(dataset),
        ObjectName::FormatMarker
        | ObjectName::Entry { .. }
        | ObjectName::Bundle { .. }
        | ObjectName::Seen(_)
        | ObjectName::SubjectSeal { .. }
        | ObjectName::Marker { .. } => None,
    }
}

/// Whether a current member, signing with a current card, may do this.
///
/// # Errors
/// If it may not, or nobody can tell.
pub fn may(act: Act<'_>, who: Who<'_>, under: Under<'_>) -> Result<(), Refusal> {
    match act {
        // Also of a ledger that has stopped: whoever checks it, or settles it, has to read and append.
        Act::Ledgers | Act::Append => Ok(()),
        // Whom a deleted dataset counted is asked for on behalf of others, which go on without it.
        Act::Read(ObjectName::Kept { .. }) if under.dataset.is_some_and(DatasetState::is_deleted) => Err(Refusal::Gone),
        Act::Read(name) => under.unstopped().and_then(|()| under.undeleted()).and_then(|()| under.may_read(who, name)),
        Act::Put(name) => under.unstopped().and_then(|()| under.undeleted()).and_then(|()| under.may_put(who, name)),
        Act::Withdraw(name) => under.unstopped().and_then(|()| under.may_withdraw(who, name)),
        Act::Clean if under.is_steward(who) || under.is_officer(who) => Ok(()),
        Act::Clean => no("only a steward of the dataset or an officer deletes what is over"),
        Act::Sweep(upload) if under.is_steward(who) || under.is_officer(who) || under.opened(who, upload) => Ok(()),
        Act::Sweep(_) => no("only who opened the upload, a steward of the dataset or an officer sweeps it"),
        Act::Doctor { .. } if under.is_officer(who) || under.is_some_steward(who) => Ok(()),
        Act::Doctor { repair: false } if under.is_auditor(who) => Ok(()),
        Act::Doctor { repair: false } => no("only an officer, an auditor or a steward checks the vault"),
        Act::Doctor { repair: true } => no("only an officer or a steward repairs the vault"),
    }
}

impl<'a> Under<'a> {
    fn unstopped(&self) -> Result<(), Refusal> {
        let stop = self.vault.stop().or_else(|| self.dataset.and_then(DatasetState::stop));
        stop.map_or(Ok(()), |stop| Err(Refusal::Stopped(stop.clone())))
    }

    /// Of a deleted dataset nothing is released or taken any more: only its ledger stays.
    fn undeleted(&self) -> Result<(), Refusal> {
        if self.dataset.is_some_and(DatasetState::is_deleted) { no("the dataset was deleted") } else { Ok(()) }
    }

    fn may_read(&self, who: Who<'_>, name: &ObjectName) -> Result<(), Refusal> {
        match name {
            ObjectName::FormatMarker | ObjectName::Entry { .. } | ObjectName::Seen(_) => Ok(()),
            ObjectName::Bundle { .. } | ObjectName::Marker { .. } => no("the server reads these for itself"),
            ObjectName::SubjectSeal { member, .. } if member == who.member => Ok(()),
            ObjectName::SubjectSeal { .. } => no("it is sealed to another member"),
            // Who keeps persons apart in one dataset has to see whom another one counts.
            ObjectName::Kept { .. }
                if self.is_steward(who) || self.vault.keeps_subjects(who.member, self.at().vault) =>
            {
                Ok(())
            }
            ObjectName::Kept { .. } => no("only stewards read it"),
            ObjectName::Grant { epoch, member, card, .. } => self.may_read_secret(who, *epoch, member, card),
            ObjectName::Header { .. } | ObjectName::Table { .. } if self.reads(who) => Ok(()),
            ObjectName::Pack { upload, .. }
            | ObjectName::PackList { upload, .. }
            | ObjectName::Groups { upload, .. }
                if self.reads(who) || self.checks(who) || self.fills(who, upload) =>
            {
                Ok(())
            }
            ObjectName::Manifest { manifest, .. }
                if self.reads(who) || self.checks(who) || self.is_at_work_on(who, manifest) =>
            {
                Ok(())
            }
            _ => no("only who has a current grant in the dataset reads it"),
        }
    }

    fn may_read_secret(&self, who: Who<'_>, epoch: u64, to: &MemberId, card: &CardId) -> Result<(), Refusal> {
        let Some(dataset) = self.dataset else { return no("there is no such dataset") };
        if to != who.member {
            no("it is sealed to another member")
        } else if epoch < dataset.closed() {
            Err(Refusal::Over)
        } else if self.has_grant(who) || dataset.recovery().contains(card) {
            Ok(())
        } else {
            no("the member has no current grant in the dataset")
        }
    }

    fn may_put(&self, who: Who<'_>, name: &ObjectName) -> Result<(), Refusal> {
        match name {
            ObjectName::Pack { upload, .. }
            | ObjectName::PackList { upload, .. }
            | ObjectName::Groups { upload, .. } => {
                if self.fills(who, upload) {
                    return Ok(());
                }
                no("only who opened the upload fills it, while it is open")
            }
            ObjectName::Manifest { .. } | ObjectName::Header { .. } if self.is_at_work(who) => Ok(()),
            ObjectName::Manifest { .. } | ObjectName::Header { .. } => {
                no("the member has no open upload in the dataset")
            }
            // The first epoch's seals come before the entry that creates the dataset.
            ObjectName::Grant { epoch: 1, .. } if self.dataset.is_none() && self.is_creator(who) => Ok(()),
            ObjectName::Grant { .. } | ObjectName::Table { .. } if self.is_steward(who) => Ok(()),
            // A reader or the keeper of a recovery card hands a dataset on whose stewards are gone; the fold judges the grant.
            ObjectName::Grant { .. } if self.reads(who) => Ok(()),
            ObjectName::Grant { .. } | ObjectName::Table { .. } => no("only a steward of the dataset writes it"),
            // What goes with a dataset may come before the entry that creates it.
            ObjectName::Kept { .. } if self.is_steward(who) || (self.dataset.is_none() && self.is_creator(who)) => {
                Ok(())
            }
            ObjectName::Kept { .. } => no("only a steward of the dataset writes it"),
            ObjectName::Seen(_) | ObjectName::SubjectSeal { .. }
                if self.is_officer(who) || self.is_some_steward(who) =>
            {
                Ok(())
            }
            ObjectName::Seen(_) | ObjectName::SubjectSeal { .. } => no("only an officer or a steward writes it"),
            ObjectName::Entry { .. } => no("entries are appended"),
            ObjectName::FormatMarker | ObjectName::Bundle { .. } | ObjectName::Marker { .. } => {
                no("the server writes these for itself")
            }
        }
    }

    /// Whoever may put it; and, since a pack may be withdrawn once its upload is committed without it, the opener then too.
    fn may_withdraw(&self, who: Who<'_>, name: &ObjectName) -> Result<(), Refusal> {
        match name {
            ObjectName::Pack { upload, .. } if self.opened(who, upload) || self.is_steward(who) => Ok(()),
            ObjectName::Header { .. } if self.is_steward(who) => Ok(()),
            _ => self.may_put(who, name),
        }
    }

    /// Seconds, and the last vault entry that is known.
    fn at(&self) -> At {
        At { time: self.now, vault: self.vault.last_seq() }
    }

    fn has_grant(&self, who: Who<'_>) -> bool {
        self.dataset.is_some_and(|dataset| dataset.has_grant(self.vault, who.member, self.at()))
    }

    /// Whether the member reads the dataset: by a grant that stands and has not ended, or with a card of the recovery set.
    fn reads(&self, who: Who<'_>) -> bool {
        self.has_grant(who) || self.dataset.is_some_and(|dataset| dataset.recovery().contains(who.card))
    }

    /// Whether the member may look at ciphertext to check it.
    fn checks(&self, who: Who<'_>) -> bool {
        self.is_officer(who) || self.is_auditor(who) || self.is_steward(who)
    }

    fn is_officer(&self, who: Who<'_>) -> bool {
        self.vault.is_officer(who.member, self.vault.last_seq())
    }

    fn is_auditor(&self, who: Who<'_>) -> bool {
        self.vault.has_role(Role::Auditor, None, who.member, self.vault.last_seq())
    }

    fn is_creator(&self, who: Who<'_>) -> bool {
        self.vault.has_role(Role::Creator, None, who.member, self.vault.last_seq())
    }

    fn is_steward(&self, who: Who<'_>) -> bool {
        self.dataset.is_some_and(|dataset| dataset.is_steward(self.vault, who.member, self.vault.last_seq()))
    }

    /// Whether the vault ledger makes the member a steward of some dataset, or a creator, who is steward of what it creates.
    fn is_some_steward(&self, who: Who<'_>) -> bool {
        self.vault.roles_of(who.member).any(|(role, _)| matches!(role, Role::Steward | Role::Creator))
    }

    fn upload_of(&self, who: Who<'_>, upload: &UploadId) -> Option<&'a Upload> {
        self.dataset?.uploads().get(upload).filter(|found| found.author == *who.member)
    }

    fn opened(&self, who: Who<'_>, upload: &UploadId) -> bool {
        self.upload_of(who, upload).is_some()
    }

    /// Whether the member may fill the upload: what whoever is no uploader any more adds could not be committed.
    fn fills(&self, who: Who<'_>, upload: &UploadId) -> bool {
        self.is_uploader(who) && self.upload_of(who, upload).is_some_and(|found| found.status == UploadStatus::Open)
    }

    /// Whether the member has an open upload in the dataset.
    fn is_at_work(&self, who: Who<'_>) -> bool {
        let mut uploads = self.dataset.into_iter().flat_map(|dataset| dataset.uploads().values());
        self.is_uploader(who)
            && uploads.any(|upload| upload.author == *who.member && upload.status == UploadStatus::Open)
    }

    fn is_uploader(&self, who: Who<'_>) -> bool {
        self.is_steward(who) || self.dataset.is_some_and(|dataset| dataset.uploaders().contains(who.member))
    }

    /// A manifest's name does not say whose upload it belongs to; once it is committed, it is its readers'.
    fn is_at_work_on(&self, who: Who<'_>, manifest: &ManifestId) -> bool {
        self.is_at_work(who) && self.dataset.is_some_and(|dataset| !dataset.manifests().contains_key(manifest))
    }
}

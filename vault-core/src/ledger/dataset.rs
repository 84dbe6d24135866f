//! A dataset ledger's fold: facts, roles, grants, epochs, uploads. Spec sections 5.3 to 5.5.
//!
//! The state here is values and questions; what each kind demands is in `judge.rs`, what it changes in `apply.rs`.

mod apply;
mod judge;
mod withdrawal;

use std::collections::{BTreeMap, BTreeSet};

use super::approval::Proposals;
use super::exposure::Exposures;
use super::fold::{At, Judged, Known, Stop, Verdict, Void, check_signature, entry_hash, known, parse_at};
use super::statement::{Approval, Body, Entry, Facts, ManifestHash, Reservation, Said, Statement, VaultHead};
use super::vault::VaultState;
use crate::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, UploadId};
use crate::seal::PublicKey;

pub use withdrawal::{Attestation, Progress, Rekeyed, Withdrawal};

/// The state of a dataset ledger.
#[derive(Debug, Clone)]
pub struct DatasetState {
    id: DatasetId,
    title: String,
    created: u64,
    creator: MemberId,
    /// The vault entry that the creation cites.
    created_at: u64,
    facts: Facts,
    facts_author: MemberId,
    facts_at: (u64, u64),
    level: u64,
    confirmed: Option<(MemberId, EntryHash)>,
    uploaders: BTreeSet<MemberId>,
    recovery: BTreeSet<CardId>,
    grants: BTreeMap<MemberId, Grant>,
    epochs: BTreeMap<u64, Epoch>,
    closed: u64,
    table: Option<Table>,
    uploads: BTreeMap<UploadId, Upload>,
    manifests: BTreeMap<ManifestId, Manifest>,
    reservations: BTreeMap<(LedgerId, u64, EntryHash), ReservationUse>,
    traced: BTreeSet<(LedgerId, u64, EntryHash)>,
    withdrawals: Vec<Withdrawal>,
    attested: Vec<Attestation>,
    proposals: Proposals,
    deleted: Option<Deletion>,
    cited: u64,
    judged: Vec<Judged>,
    stop: Option<Stop>,
}

/// The end of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The entry's number.
    pub seq: u64,
    /// Its time, as its author claims.
    pub time: u64,
    /// Who deleted it.
    pub author: MemberId,
    /// Why.
    pub reason: String,
}

/// What a reservation is for in this dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReservationUse {
    Cited,
    Cancelled,
}

/// A grant, current or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The entry that gave it.
    pub entry: EntryHash,
    /// Its number.
    pub seq: u64,
    /// Who gave it.
    pub author: MemberId,
    /// When it was given, as the author claims.
    pub time: u64,
    /// The vault entry that its statement cites.
    pub vault: u64,
    /// Where it comes from.
    pub origin: GrantOrigin,
    /// When it ends by itself.
    pub ends: Option<u64>,
    /// The grant's facts: purpose, scenario, basis.
    pub facts: Facts,
    /// The record of the decision that allowed it, as it was stated; the fold does not look into it.
    pub trace: Option<Facts>,
    /// The reservation that it uses.
    pub reservation: Option<Reservation>,
    /// What counts it in exposure ledgers: of `granted` the reservation and the export's that its trace names, then those of new facts.
    pub counted: Vec<Reservation>,
    /// How many members' approvals it names.
    pub approvals: u64,
    /// The agreement that its member accepted under it, by hash.
    pub agreement: Option<Digest>,
    /// What became of it.
    pub status: GrantStatus,
}

/// Where a grant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantOrigin {
    /// Somebody was granted it.
    Granted,
    /// Its member created the dataset, or began it anew when nobody held it any more.
    Own,
}

/// What became of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStatus {
    /// It stands until it ends.
    Given,
    /// It rests until it is given anew.
    Suspended,
    /// It was ended by the entry of this number.
    Revoked {
        /// The entry.
        seq: u64,
    },
}

/// An epoch: its public key and to whom its secret was sealed.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// The public key that uploaders seal to.
    pub public: PublicKey,
    /// Its number in the ledger.
    pub seq: u64,
    /// Its time.
    pub time: u64,
    /// Who opened it.
    pub author: MemberId,
    /// The sealed secrets by member and card.
    pub seals: BTreeMap<(MemberId, CardId), SealRef>,
}

impl Epoch {
    /// Whether the epoch was sealed to a member, by whichever card.
    #[must_use]
    pub fn is_sealed_to(&self, member: &MemberId) -> bool {
        self.seals.keys().any(|(sealed, _)| sealed == member)
    }
}

/// A sealed epoch secret: what it hashes to, and whose member id its context holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealRef {
    /// SHA-256 of the sealed bytes.
    pub sha256: Digest,
    /// The author of the statement that names it.
    pub author: MemberId,
}

/// The key table in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its epoch.
    pub epoch: u64,
    /// SHA-256 of its object; `None` if it holds nothing.
    pub hash: Option<Digest>,
    /// How many records.
    pub count: u64,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Who opened it.
    pub author: MemberId,
    /// When it was opened.
    pub opened: u64,
    /// After this, others may close it.
    pub ends: u64,
    /// What became of it.
    pub status: UploadStatus,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStatus {
    /// Nothing of it is visible yet.
    Open,
    /// All of it is visible.
    Committed {
        /// The entry that committed it.
        seq: u64,
    },
    /// It never becomes visible; its packs may be deleted.
    Closed,
}

/// A committed manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What its commit signed.
    pub signed: ManifestHash,
    /// The upload it belongs to.
    pub upload: UploadId,
    /// Who committed it.
    pub author: MemberId,
    /// Whether the author was a steward then.
    pub author_was_steward: bool,
    /// The commit's number.
    pub seq: u64,
    /// The commit's hash.
    pub entry: EntryHash,
    /// The commit's time.
    pub time: u64,
    /// The epoch that it was committed to.
    pub epoch: u64,
    /// Where its key is.
    pub key: KeyPlace,
    /// Whether it was removed.
    pub removed: bool,
    /// The files of it that were removed.
    pub removed_files: BTreeSet<u32>,
    /// The manifest that re-encrypted it.
    pub superseded_by: Option<ManifestId>,
}

/// Where a manifest's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header sealed to the epoch of its commit.
    Header,
    /// In the table of this epoch.
    Table {
        /// The epoch.
        epoch: u64,
    },
    /// Its header did not open when the epoch was rotated.
    Void,
    /// Nobody holds its epoch any more.
    Unreadable,
}

impl Manifest {
    /// Whether a rotation has to carry its key on.
    #[must_use]
    pub const fn is_in_scope(&self) -> bool {
        self.is_visible() && matches!(self.key, KeyPlace::Header | KeyPlace::Table { .. })
    }

    /// Whether its files belong to the dataset's view.
    #[must_use]
    pub const fn is_visible(&self) -> bool {
        !self.removed && self.superseded_by.is_none()
    }
}

/// A ledger that is no dataset's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreationError {
    /// There is no entry 0.
    #[error("the dataset ledger is empty")]
    Missing,
    /// Entry 0 does not create it.
    #[error("entry 0 does not create the dataset: {0}")]
    Invalid(&'static str),
    /// Entry 0 cites a vault entry that is not there.
    #[error("entry 0 cites a vault entry that the vault ledger does not have")]
    Unanchored,
}

impl DatasetState {
    /// Folds a dataset ledger under a vault ledger that was read after it.
    ///
    /// `exposures` must hold every exposure ledger that the entries cite.
    ///
    /// # Errors
    /// If entry 0 does not create the dataset. Everything later is a verdict or a [`Stop`].
    pub fn fold<B: AsRef<[u8]>>(
        vault: &VaultState,
        exposures: &Exposures,
        id: &DatasetId,
        entries: &[B],
    ) -> Result<Self, CreationError> {
        let first = entries.first().ok_or(CreationError::Missing)?.as_ref();
        let mut state = Self::begin(vault, id, first)?;
        state.extend(vault, exposures, entries.get(1..).unwrap_or_default());
        Ok(state)
    }

    /// Goes on with entries that follow those already folded, under a vault state that is no older.
    pub fn extend<B: AsRef<[u8]>>(&mut self, vault: &VaultState, exposures: &Exposures, entries: &[B]) {
        for stored in entries {
            if self.stop.is_some() || !self.step(vault, exposures, stored.as_ref()) {
                break;
            }
        }
    }

    fn begin(vault: &VaultState, id: &DatasetId, stored: &[u8]) -> Result<Self, CreationError> {
        let ledger = LedgerId::Dataset(id.clone());
        let entry = parse_at(stored, Some(vault.id()), &ledger, 0).map_err(CreationError::Invalid)?;
        let statement = match &entry.said {
            Said::Known(statement) => statement,
            Said::Unknown { .. } => return Err(CreationError::Invalid("unknown kind or format")),
        };
        let head = statement.vault_head.ok_or(CreationError::Invalid("names no vault head"))?;
        if vault.entry_hash(head.seq) != Some(head.hash) {
            return Err(CreationError::Unanchored);
        }
        let hash = entry_hash(Some(EntryHash(vault.id().0)), stored);
        Self::first(vault, id, statement, &entry, hash).map_err(CreationError::Invalid)
    }

    /// Judges the next entry. False if the fold stops.
    fn step(&mut self, vault: &VaultState, exposures: &Exposures, stored: &[u8]) -> bool {
        let seq = self.judged.len() as u64;
        let before = self.judged.last().map(|last| last.hash);
        let hash = entry_hash(before, stored);
        let ledger = self.ledger();
        let verdict = match self.judge_entry(vault, exposures, stored, seq) {
            Ok(Judgement::Apply { statement, at }) => {
                if statement.prev == before {
                    self.apply(vault, at, seq, hash, &statement);
                    self.cited = at.vault;
                    Verdict::Applied
                } else if vault.is_voided(&ledger, seq, hash) {
                    Verdict::Void("fork, settled by a recovery")
                } else {
                    return self.fork(seq, hash, "its `prev` is not the entry before it");
                }
            }
            Ok(Judgement::Unanchored) => {
                if vault.is_voided(&ledger, seq, hash) {
                    Verdict::Void("unanchored, settled by a recovery")
                } else {
                    return self.fork(seq, hash, "it cites an entry that is not there");
                }
            }
            Ok(Judgement::Skip) => Verdict::Skipped,
            Ok(Judgement::Stop { format }) => {
                self.stop = Some(Stop::NeedsVersion { ledger, seq, format });
                return false;
            }
            Err(reason) => Verdict::Void(reason),
        };
        self.judged.push(Judged { hash, verdict });
        true
    }

    fn fork(&mut self, seq: u64, hash: EntryHash, why: &'static str) -> bool {
        self.stop = Some(Stop::Fork { ledger: self.ledger(), seq, hash, why });
        false
    }

    /// Rules 1 to 5 of spec 4.4.
    fn judge_entry(
        &self,
        vault: &VaultState,
        exposures: &Exposures,
        stored: &[u8],
        seq: u64,
    ) -> Result<Judgement, Void> {
        let entry = parse_at(stored, Some(vault.id()), &self.ledger(), seq)?;
        let Some(at) = anchor(vault, &entry, self.cited)? else { return Ok(Judgement::Unanchored) };
        match known(&entry.said, vault.format_at(at.vault))? {
            Known::Skip => Ok(Judgement::Skip),
            Known::Stop { format } => Ok(Judgement::Stop { format }),
            Known::Statement(statement) => {
                match self.allowed(vault, exposures, at, statement) {
                    Err(judge::NO_RESERVATION) => return Ok(Judgement::Unanchored),
                    allowed => allowed?,
                }
                Ok(Judgement::Apply { statement: Box::new(statement.clone()), at })
            }
        }
    }

    /// The dataset's id.
    #[must_use]
    pub const fn id(&self) -> &DatasetId {
        &self.id
    }

    /// Its ledger.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        LedgerId::Dataset(self.id.clone())
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// When it was created, as its creator claims.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// Who created it.
    #[must_use]
    pub const fn creator(&self) -> &MemberId {
        &self.creator
    }

    /// Its facts.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The number of the entry that states the present facts.
    #[must_use]
    pub const fn facts_seq(&self) -> u64 {
        self.facts_at.0
    }

    /// When the present facts were stated, as their author claims.
    #[must_use]
    pub const fn facts_time(&self) -> u64 {
        self.facts_at.1
    }

    /// Who stated the present facts: the grader.
    #[must_use]
    pub const fn facts_author(&self) -> &MemberId {
        &self.facts_author
    }

    /// Its level, 1 to 5.
    #[must_use]
    pub const fn level(&self) -> u64 {
        self.level
    }

    /// Who confirmed the present grading, and where.
    #[must_use]
    pub const fn confirmed(&self) -> Option<&(MemberId, EntryHash)> {
        self.confirmed.as_ref()
    }

    /// Its uploaders.
    #[must_use]
    pub const fn uploaders(&self) -> &BTreeSet<MemberId> {
        &self.uploaders
    }

    /// Its recovery cards.
    #[must_use]
    pub const fn recovery(&self) -> &BTreeSet<CardId> {
        &self.recovery
    }

    /// All grants, current or not.
    #[must_use]
    pub const fn grants(&self) -> &BTreeMap<MemberId, Grant> {
        &self.grants
    }

    /// All epochs.
    #[must_use]
    pub const fn epochs(&self) -> &BTreeMap<u64, Epoch> {
        &self.epochs
    }

    /// The newest epoch's number.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.epochs.last_key_value().map_or(0, |(n, _)| *n)
    }

    /// The newest epoch.
    #[must_use]
    pub fn newest_epoch(&self) -> Option<&Epoch> {
        self.epochs.last_key_value().map(|(_, epoch)| epoch)
    }

    /// The highest epoch closed: every epoch before it is over.
    #[must_use]
    pub const fn closed(&self) -> u64 {
        self.closed
    }

    /// The epochs whose secrets readers still need.
    pub fn unclosed(&self) -> impl Iterator<Item = (u64, &Epoch)> {
        self.epochs.range(self.closed..).map(|(n, epoch)| (*n, epoch))
    }

    /// The key table in force.
    #[must_use]
    pub const fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// All uploads.
    #[must_use]
    pub const fn uploads(&self) -> &BTreeMap<UploadId, Upload> {
        &self.uploads
    }

    /// All committed manifests.
    #[must_use]
    pub const fn manifests(&self) -> &BTreeMap<ManifestId, Manifest> {
        &self.manifests
    }

    /// The manifests that a rotation to epoch `n` carries on.
    pub fn in_scope_before(&self, n: u64) -> impl Iterator<Item = (&ManifestId, &Manifest)> {
        self.manifests.iter().filter(move |(_, m)| m.is_in_scope() && m.epoch < n)
    }

    /// Acts that wait, and their approvals.
    #[must_use]
    pub const fn proposals(&self) -> &Proposals {
        &self.proposals
    }

    /// The agreement that each member accepted under its last grant, by hash.
    pub fn agreements(&self) -> impl Iterator<Item = (&MemberId, &Digest)> {
        self.grants.iter().filter_map(|(member, grant)| Some((member, grant.agreement.as_ref()?)))
    }

    /// The reservations that a grant or new facts used.
    pub fn cited_reservations(&self) -> impl Iterator<Item = Reservation> {
        let cited = self.reservations.iter().filter(|(_, used)| **used == ReservationUse::Cited);
        cited.map(|((ledger, seq, hash), _)| Reservation { hash: *hash, ledger: ledger.clone(), seq: *seq })
    }

    /// The members whose approvals of its proposal an act names, each once.
    pub fn approvers(&self, approval: &Approval) -> impl Iterator<Item = &MemberId> {
        self.proposals.approvers(approval)
    }

    /// Whether the trace of a grant names a reservation. The fold does not look into traces, so to it such a one is not used; the gate
    /// lets it be neither used again nor taken back.
    #[must_use]
    pub fn is_traced(&self, reservation: &Reservation) -> bool {
        self.traced.contains(&(reservation.ledger.clone(), reservation.seq, reservation.hash))
    }

    /// Whether a reservation was used or cancelled here, so that nothing can use it any more.
    #[must_use]
    pub fn is_settled(&self, reservation: &Reservation) -> bool {
        self.reservations.contains_key(&(reservation.ledger.clone(), reservation.seq, reservation.hash))
    }

    /// Whether the dataset was deleted.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// The statement that deleted the dataset, if one did.
    #[must_use]
    pub const fn deletion(&self) -> Option<&Deletion> {
        self.deleted.as_ref()
    }

    /// Whether a kind of statement can still be said once the dataset is deleted (spec 5.3).
    #[must_use]
    pub const fn stays_open_to(body: &Body) -> bool {
        judge::is_allowed_after_deletion(body)
    }

    /// The newest vault entry that the ledger cites.
    #[must_use]
    pub const fn cited(&self) -> u64 {
        self.cited
    }

    /// Every entry's hash and verdict.
    #[must_use]
    pub fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// The last entry that was folded.
    #[must_use]
    pub fn head(&self) -> Option<VaultHead> {
        let last = self.judged.last()?;
        Some(VaultHead { hash: last.hash, seq: (self.judged.len() as u64).saturating_sub(1) })
    }

    /// Why the fold stopped, if it did.
    #[must_use]
    pub const fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Whether a member is a steward (spec 5.1).
    #[must_use]
    pub fn is_steward(&self, vault: &VaultState, member: &MemberId, at: u64) -> bool {
        let created = (*member == self.creator).then_some(self.created_at);
        vault.is_steward(&self.id, member, created, at)
    }

    /// Whether a member has a current grant (spec 5.1).
    #[must_use]
    pub fn has_grant(&self, vault: &VaultState, member: &MemberId, at: At) -> bool {
        vault.is_current_member(member, at.vault)
            && self
                .grants
                .get(member)
                .is_some_and(|g| g.status == GrantStatus::Given && g.ends.is_none_or(|ends| ends > at.time))
    }

    /// The members with a current grant.
    pub fn granted<'a>(&'a self, vault: &'a VaultState, at: At) -> impl Iterator<Item = &'a MemberId> {
        self.grants.keys().filter(move |m| self.has_grant(vault, m, at))
    }

    /// Whether `member` holds epoch `n` (spec 5.1).
    #[must_use]
    pub fn holds(&self, vault: &VaultState, member: &MemberId, n: u64, at: At) -> bool {
        let granted = self.has_grant(vault, member, at);
        self.epochs.get(&n).is_some_and(|epoch| {
            epoch.seals.keys().any(|(m, card)| {
                m == member && vault.is_current_card(card, m, at.vault) && (granted || self.recovery.contains(card))
            })
        })
    }

    /// Whether `member` holds every unclosed epoch, each with some card.
    #[must_use]
    pub fn holds_all(&self, vault: &VaultState, member: &MemberId, at: At) -> bool {
        self.unclosed().all(|(n, _)| self.holds(vault, member, n, at))
    }

    /// Whether every unclosed epoch is sealed to `card`, a current card of `member` with a current grant, or a recovery card.
    #[must_use]
    pub fn opens_all(&self, vault: &VaultState, member: &MemberId, card: &CardId, at: At) -> bool {
        vault.is_current_card(card, member, at.vault)
            && (self.recovery.contains(card) || self.has_grant(vault, member, at))
            && self.unclosed().all(|(_, epoch)| epoch.seals.contains_key(&(member.clone(), *card)))
    }

    /// A *holder* in the narrow sense: a steward with a current grant who holds the newest epoch with `card`.
    #[must_use]
    pub fn is_holder(&self, vault: &VaultState, member: &MemberId, card: &CardId, at: At) -> bool {
        self.is_steward(vault, member, at.vault)
            && self.has_grant(vault, member, at)
            && vault.is_current_card(card, member, at.vault)
            && self.newest_epoch().is_some_and(|e| e.seals.contains_key(&(member.clone(), *card)))
    }

    /// Whether any current steward is a holder with some card.
    #[must_use]
    pub fn has_holder(&self, vault: &VaultState, at: At) -> bool {
        self.newest_epoch().is_some_and(|e| e.seals.keys().any(|(m, card)| self.is_holder(vault, m, card, at)))
    }

    /// Whether anybody, recovery cards included, still holds the newest epoch.
    #[must_use]
    pub fn is_held(&self, vault: &VaultState, at: At) -> bool {
        let newest = self.newest();
        self.newest_epoch().is_some_and(|e| e.seals.keys().any(|(m, _)| self.holds(vault, m, newest, at)))
    }

    /// Whether commits to the newest epoch are void (spec 5.1).
    #[must_use]
    pub fn is_stale(&self, vault: &VaultState, at: At) -> bool {
        self.newest_epoch().is_none_or(|epoch| {
            epoch.seals.keys().any(|(member, card)| {
                !vault.is_current_card(card, member, at.vault)
                    || !(self.recovery.contains(card) || self.has_grant(vault, member, at))
            })
        })
    }

    /// The cards that a new epoch is sealed to, and the members with a grant who have none. Spec 5.4, `epoch-opened`.
    #[must_use]
    pub fn next_holders(
        &self,
        vault: &VaultState,
        at: At,
        revokes: &BTreeSet<MemberId>,
    ) -> (BTreeSet<(MemberId, CardId)>, BTreeSet<MemberId>) {
        let mut cards = self.recovery_holders(vault, at.vault);
        let mut unsealed = BTreeSet::new();
        for member in self.granted(vault, at).filter(|m| !revokes.contains(*m)) {
            let mut any = false;
            for record in vault.current_cards(member, at.vault) {
                any = true;
                cards.insert((member.clone(), *record.card.id()));
            }
            if !any {
                unsealed.insert(member.clone());
            }
        }
        (cards, unsealed)
    }

    fn recovery_holders(&self, vault: &VaultState, at: u64) -> BTreeSet<(MemberId, CardId)> {
        current_owners(vault, &self.recovery, at)
    }
}

/// The current cards of a set, with their members.
fn current_owners(vault: &VaultState, cards: &BTreeSet<CardId>, at: u64) -> BTreeSet<(MemberId, CardId)> {
    cards
        .iter()
        .filter_map(|id| vault.card(id).map(|record| (record.member.clone(), *id)))
        .filter(|(member, id)| vault.is_current_card(id, member, at))
        .collect()
}

enum Judgement {
    Apply { statement: Box<Statement>, at: At },
    Unanchored,
    Skip,
    Stop { format: u64 },
}

/// Rules 2 and 3, in a ledger that cites vault entry `cited` already: the vault entry it cites, its author's card there, and the signature. `None` if it is unanchored.
pub(super) fn anchor(vault: &VaultState, entry: &Entry, cited: u64) -> Result<Option<At>, Void> {
    let frame = entry.said.frame();
    let head = frame.vault_head.ok_or("misplaced: names no vault head")?;
    if head.seq < cited {
        return Err("older vault head");
    }
    let key = vault.key_of(&frame.card).ok_or("unknown author")?;
    if vault.entry_hash(head.seq) != Some(head.hash) {
        // Whoever was retired by the vault entry that this ledger cites already is so in every vault ledger that its author can
        // have seen: a former member stops nobody.
        let is_theirs = vault.card(&frame.card).is_some_and(|c| c.member == frame.author);
        if !is_theirs || vault.is_retired(&frame.card, cited) {
            return Err("unknown author");
        }
        check_signature(entry, key)?;
        return Ok(None);
    }
    if !vault.is_current_card(&frame.card, &frame.author, head.seq) {
        return Err("unknown author");
    }
    check_signature(entry, key)?;
    Ok(Some(At { time: frame.time, vault: head.seq }))
}

/// The author of a dataset's first entry and the vault entry that it cites, for exposure ledgers; `None` if it does not create one.
#[must_use]
pub fn creator_of(first: &[u8]) -> Option<(MemberId, u64)> {
    match Entry::parse(first).ok()?.said {
        Said::Known(statement) if matches!(statement.body, Body::DatasetCreated(_)) => {
            statement.vault_head.map(|head| (statement.author.clone(), head.seq))
        }
        _ => None,
    }
}

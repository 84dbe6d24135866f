//! An exposure ledger's fold: what is counted for one ultimate recipient across datasets. Spec section 5.6.

use std::collections::BTreeMap;

use super::approval::{Act, Proposals};
use super::dataset::anchor;
use super::fold::{At, Judged, Known, Stop, Verdict, Void, entry_hash, known, parse_at};
use super::statement::{Body, Entry, Reservation, Said, Statement, terms_digest};
use super::vault::VaultState;
use crate::ids::{DatasetId, Digest, EntryHash, LedgerId, MemberId};

/// Each dataset's creator and the vault entry that its creation cites ([`super::dataset::creator_of`]).
pub type Creators = BTreeMap<DatasetId, (MemberId, u64)>;

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Its number.
    pub seq: u64,
    /// Who reserved.
    pub author: MemberId,
    /// For which dataset.
    pub dataset: DatasetId,
    /// For which member.
    pub member: MemberId,
    /// When, as its author claims.
    pub time: u64,
    /// How many subjects.
    pub added: u64,
    /// What the total was with them.
    pub total: u64,
    /// Which subjects, by the hash of their set, if the author could tell.
    pub subjects: Option<Digest>,
    /// The entry that released it.
    pub released: Option<u64>,
}

impl Reserved {
    /// Whether it counted just before entry `seq` of its ledger.
    #[must_use]
    pub fn stands_at(&self, seq: u64) -> bool {
        self.seq < seq && self.released.is_none_or(|released| released >= seq)
    }
}

/// The state of an exposure ledger.
#[derive(Debug, Clone)]
pub struct ExposureState {
    recipient: Digest,
    total: u64,
    reserved: BTreeMap<EntryHash, Reserved>,
    proposals: Proposals,
    cited: u64,
    judged: Vec<Judged>,
    stop: Option<Stop>,
}

impl ExposureState {
    /// Folds an exposure ledger. `creators` names each dataset's creator, who is a steward by creation.
    #[must_use]
    pub fn fold<B: AsRef<[u8]>>(vault: &VaultState, creators: &Creators, recipient: Digest, entries: &[B]) -> Self {
        let mut state = Self {
            recipient,
            total: 0,
            reserved: BTreeMap::new(),
            proposals: Proposals::default(),
            cited: 0,
            judged: Vec::new(),
            stop: None,
        };
        state.extend(vault, creators, entries);
        state
    }

    /// Goes on with entries that follow those already folded, under a vault state that is no older.
    pub fn extend<B: AsRef<[u8]>>(&mut self, vault: &VaultState, creators: &Creators, entries: &[B]) {
        for stored in entries {
            if self.stop.is_some() || !self.step(vault, creators, stored.as_ref()) {
                break;
            }
        }
    }

    /// The ultimate recipient: the hash that names its ledger.
    #[must_use]
    pub const fn recipient(&self) -> &Digest {
        &self.recipient
    }

    /// What was counted when a reservation was made, with it; `None` if there is no such reservation.
    #[must_use]
    pub fn total_at(&self, reserved: &EntryHash) -> Option<u64> {
        self.reserved.get(reserved).map(|reserved| reserved.total)
    }

    /// Subjects counted now.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Every entry's hash and verdict.
    #[must_use]
    pub fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// Why the fold stopped, if it did.
    #[must_use]
    pub const fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// The reservations, by entry hash.
    #[must_use]
    pub const fn reserved(&self) -> &BTreeMap<EntryHash, Reserved> {
        &self.reserved
    }

    /// Acts that wait, and their approvals.
    #[must_use]
    pub const fn proposals(&self) -> &Proposals {
        &self.proposals
    }

    fn ledger(&self) -> LedgerId {
        LedgerId::Exposure(self.recipient)
    }

    fn step(&mut self, vault: &VaultState, creators: &Creators, stored: &[u8]) -> bool {
        let seq = self.judged.len() as u64;
        let before = self.judged.last().map_or(EntryHash(vault.id().0), |last| last.hash);
        let (hash, ledger) = (entry_hash(Some(before), stored), self.ledger());
        let verdict = match self.judge(vault, creators, stored, seq) {
            Err(reason) => Verdict::Void(reason),
            Ok(Judgement::Skip) => Verdict::Skipped,
            Ok(Judgement::Stop { format }) => {
                self.stop = Some(Stop::NeedsVersion { ledger, seq, format });
                return false;
            }
            Ok(Judgement::Unanchored) if vault.is_voided(&ledger, seq, hash) => {
                Verdict::Void("unanchored, settled by a recovery")
            }
            Ok(Judgement::Unanchored) => {
                let why = "it cites an entry that is not there";
                self.stop = Some(Stop::Fork { ledger, seq, hash, why });
                return false;
            }
            Ok(Judgement::Apply(statement, _))
                if statement.prev != Some(before) && vault.is_voided(&ledger, seq, hash) =>
            {
                Verdict::Void("fork, settled by a recovery")
            }
            Ok(Judgement::Apply(statement, at)) => {
                if statement.prev != Some(before) {
                    let why = "its `prev` is not the entry before it";
                    self.stop = Some(Stop::Fork { ledger, seq, hash, why });
                    return false;
                }
                self.apply(seq, hash, &statement);
                self.cited = at.vault;
                Verdict::Applied
            }
        };
        self.judged.push(Judged { hash, verdict });
        true
    }

    fn judge(&self, vault: &VaultState, creators: &Creators, stored: &[u8], seq: u64) -> Result<Judgement, Void> {
        let entry = parse_at(stored, Some(vault.id()), &self.ledger(), seq)?;
        let Some(at) = anchor(vault, &entry, self.cited)? else { return Ok(Judgement::Unanchored) };
        match known(&entry.said, vault.format_at(at.vault))? {
            Known::Skip => Ok(Judgement::Skip),
            Known::Stop { format } => Ok(Judgement::Stop { format }),
            Known::Statement(statement) => {
                self.allowed(vault, creators, at, statement)?;
                Ok(Judgement::Apply(Box::new(statement.clone()), at))
            }
        }
    }

    fn allowed(&self, vault: &VaultState, creators: &Creators, at: At, statement: &Statement) -> Result<(), Void> {
        let author = &statement.author;
        let officer = |member: &MemberId| vault.is_officer(member, at.vault);
        match &statement.body {
            Body::Reserved(body) => {
                let created =
                    creators.get(&body.dataset).filter(|(creator, _)| creator == author).map(|(_, cited)| *cited);
                if !vault.is_steward(&body.dataset, author, created, at.vault) {
                    return Err("not a steward");
                }
                if self.total.checked_add(body.added) == Some(body.total) { Ok(()) } else { Err("not the new total") }
            }
            Body::Released(body) => {
                let reserved = self.reserved.get(&body.terms.reserved).filter(|r| r.released.is_none());
                let reserved = reserved.ok_or("no such reservation, or released already")?;
                if reserved.author != *author && !officer(author) {
                    return Err("neither the reserver nor an officer");
                }
                if body.approval.is_none() {
                    // Only `reservation-cancelled` may be cited without approvals: readers of that ledger check which it is.
                    return Ok(());
                }
                let act = Act {
                    kind: "released",
                    terms: terms_digest("released", &body.terms),
                    needed: vault.approvals().released,
                    author,
                    beneficiary: Some(&reserved.member),
                    time: at.time,
                    facts_seq: None,
                    facts: None,
                    member: vault
                        .member(&reserved.member)
                        .and_then(|m| m.info_at(at.vault))
                        .map(super::statement::Info::digest),
                    pack: vault.pack_at(at.vault),
                };
                self.proposals.check(&act, body.approval.as_ref(), officer)
            }
            Body::Proposed(body) => {
                let may = officer(author) || self.reserved.values().any(|r| r.author == *author);
                if !may {
                    Err("neither the reserver nor an officer")
                } else if body.act != "released" {
                    Err("not an act that is proposed here")
                } else if body.ends <= at.time {
                    Err("ends before it begins")
                } else {
                    Ok(())
                }
            }
            Body::Approved(body) => {
                if !officer(author) {
                    return Err("not an officer");
                }
                self.proposals.may_approve(&body.proposal, author, at.time)
            }
            _ => Err("not a kind of an exposure ledger"),
        }
    }

    fn apply(&mut self, seq: u64, hash: EntryHash, statement: &Statement) {
        match &statement.body {
            Body::Reserved(body) => {
                self.total = body.total;
                let reserved = Reserved {
                    seq,
                    author: statement.author.clone(),
                    dataset: body.dataset.clone(),
                    member: body.member.clone(),
                    time: statement.time,
                    added: body.added,
                    total: body.total,
                    subjects: body.subjects,
                    released: None,
                };
                self.reserved.insert(hash, reserved);
            }
            Body::Released(body) => {
                if let Some(reserved) = self.reserved.get_mut(&body.terms.reserved) {
                    reserved.released = Some(seq);
                    self.total = self.total.saturating_sub(reserved.added);
                }
                self.proposals.mark_used(body.approval.as_ref());
            }
            Body::Proposed(body) => self.proposals.propose(seq, hash, &statement.author, body),
            Body::Approved(body) => self.proposals.approve(hash, &body.proposal, &statement.author),
            _ => {}
        }
    }
}

enum Judgement {
    Apply(Box<Statement>, At),
    Unanchored,
    Skip,
    Stop { format: u64 },
}

/// The exposure ledgers that a dataset's entries cite.
#[derive(Debug, Clone, Default)]
pub struct Exposures(BTreeMap<Digest, ExposureState>);

impl Exposures {
    /// Adds a folded ledger.
    pub fn insert(&mut self, state: ExposureState) {
        self.0.insert(state.recipient, state);
    }

    /// A recipient's ledger, if it was read.
    #[must_use]
    pub fn of(&self, recipient: &Digest) -> Option<&ExposureState> {
        self.0.get(recipient)
    }

    /// All that were read.
    pub fn iter(&self) -> impl Iterator<Item = &ExposureState> {
        self.0.values()
    }

    /// What a citation finds.
    #[must_use]
    pub fn cited(&self, cited: &Reservation) -> Cited<'_> {
        let LedgerId::Exposure(recipient) = &cited.ledger else { return Cited::Other };
        let state = self.0.get(recipient);
        let judged = usize::try_from(cited.seq).ok().zip(state).and_then(|(seq, state)| state.judged.get(seq));
        if judged.is_none_or(|judged| judged.hash != cited.hash) {
            return Cited::Missing;
        }
        state.and_then(|state| state.reserved.get(&cited.hash)).map_or(Cited::Other, Cited::Reserved)
    }
}

/// The exposure ledgers that an entry of a dataset cites, whether it turns out valid or not: whoever folds it reads them first.
#[must_use]
pub fn cited_by(stored: &[u8]) -> Vec<Digest> {
    said(stored).map(|body| cited_of(&body)).unwrap_or_default()
}

/// The exposure ledgers that what is said in a dataset's ledger cites.
#[must_use]
pub fn cited_of(body: &Body) -> Vec<Digest> {
    let cited: Vec<&Reservation> = match body {
        Body::FactsAmended(body) => body.reservations.iter().map(|one| &one.reservation).collect(),
        Body::Granted(body) => body.reservation.iter().collect(),
        Body::ReservationCancelled(body) => vec![&body.reservation],
        _ => Vec::new(),
    };
    let recipient = |cited: &Reservation| match &cited.ledger {
        LedgerId::Exposure(recipient) => Some(*recipient),
        _ => None,
    };
    cited.into_iter().filter_map(recipient).collect()
}

/// The dataset for which an entry of an exposure ledger reserves, valid or not: its creator is one of [`Creators`].
#[must_use]
pub fn reserves_for(stored: &[u8]) -> Option<DatasetId> {
    match said(stored)? {
        Body::Reserved(body) => Some(body.dataset),
        _ => None,
    }
}

fn said(stored: &[u8]) -> Option<Body> {
    match Entry::parse(stored).ok()?.said {
        Said::Known(statement) => Some(statement.body),
        Said::Unknown { .. } => None,
    }
}

/// What the citation of a reservation finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cited<'a> {
    /// No entry with that number and hash was read, so its author can still make one.
    Missing,
    /// An entry that is not a valid `reserved`, or a ledger that can't hold one: it never will be.
    Other,
    /// A reservation.
    Reserved(&'a Reserved),
}

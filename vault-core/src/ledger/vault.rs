//! The vault ledger's fold: members, cards, roles, and what an officer settles. Spec sections 4.4, 4.5 and 5.2.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::{Act, Proposals};
use super::fold::{Judged, Keys, Known, Stop, Timeline, Verdict, Void, check_signature, entry_hash, known, parse_at};
use super::statement::{
    Algorithms, Approval, ApprovalCounts, Body, Entry, FORMAT, Genesis, Info, PackSet, RecoveredTerms, RecoveryAction,
    Role, Said, Seal, Statement, VaultHead, terms_digest,
};
use crate::card::Card;
use crate::envelope::Envelope;
use crate::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, MemberId, VaultId};
use crate::json::{self, B64};
use crate::suite::Suite;

/// Most cards that one member may have at a time: a new epoch is sealed to all of them.
const MAX_CARDS: usize = 64;
/// Least head age that a genesis may set, in seconds.
const MIN_HEAD_AGE: u64 = 3600;
/// Most approvals that a genesis may ask for.
const MAX_APPROVALS: u64 = 8;

/// The state of the vault ledger, with its past.
#[derive(Debug, Clone)]
pub struct VaultState {
    id: VaultId,
    suite: Suite,
    approvals: ApprovalCounts,
    head_age: u64,
    genesis_recovery: BTreeSet<CardId>,
    members: BTreeMap<MemberId, Member>,
    cards: BTreeMap<CardId, CardRecord>,
    keys: Keys,
    roles: BTreeMap<(Role, Option<DatasetId>, MemberId), Timeline<bool>>,
    packs: BTreeMap<String, Timeline<Option<Digest>>>,
    seen: Option<SeenMark>,
    recovered: Vec<Settled>,
    subject_keys: BTreeMap<u64, SubjectKeySeals>,
    formats: Timeline<u64>,
    proposals: Proposals,
    times: BTreeMap<u64, u64>,
    judged: Vec<Judged>,
    time: u64,
    stop: Option<Stop>,
}

/// A member, and since when.
#[derive(Debug, Clone)]
pub struct Member {
    info: Timeline<Info>,
    cards: BTreeSet<CardId>,
    /// The entry that enrolled it.
    pub enrolled: u64,
    /// The entry that retired it.
    pub retired: Option<u64>,
}

impl Member {
    /// What is said of it now.
    #[must_use]
    pub fn info(&self) -> Option<&Info> {
        self.info.last()
    }

    /// What was said of it after a vault entry.
    #[must_use]
    pub fn info_at(&self, seq: u64) -> Option<&Info> {
        self.info.at(seq)
    }
}

/// A card, whose it is, and since when.
#[derive(Debug, Clone)]
pub struct CardRecord {
    /// The card.
    pub card: Card,
    /// Its member.
    pub member: MemberId,
    /// The entry that added it.
    pub added: u64,
    /// The entry that retired it, or its member.
    pub retired: Option<u64>,
}

/// The newest `seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenMark {
    /// SHA-256 of the stored list.
    pub list: Digest,
    /// Its entry.
    pub seq: u64,
    /// Its time.
    pub time: u64,
}

/// A `recovered` that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// What it settles.
    pub terms: RecoveredTerms,
    /// Its entry.
    pub seq: u64,
}

/// A ledger that is no vault's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// There is no entry 0.
    #[error("the vault ledger has no entry 0")]
    Missing,
    /// Entry 0 is another vault's.
    #[error("entry 0 of the vault ledger is not this vault's genesis: another vault, or changed")]
    OtherVault,
    /// Entry 0 is not a valid genesis.
    #[error("not a valid genesis: {0}")]
    Invalid(&'static str),
}

/// To whom a generation of the subject key was sealed, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectKeySeals {
    /// Who set it.
    pub author: MemberId,
    /// When, as the author claims.
    pub time: u64,
    /// The sealed keys.
    pub seals: Vec<Seal>,
}

impl VaultState {
    /// Folds a vault ledger whose vault id is known from a pin or an invitation.
    ///
    /// # Errors
    /// If entry 0 is not that vault's genesis. Everything later is a verdict or a [`Stop`].
    pub fn fold<B: AsRef<[u8]>>(id: &VaultId, entries: &[B]) -> Result<Self, GenesisError> {
        let genesis = entries.first().ok_or(GenesisError::Missing)?.as_ref();
        if entry_hash(None, genesis).0 != id.0 {
            return Err(GenesisError::OtherVault);
        }
        let mut state = Self::begin(*id, genesis).map_err(GenesisError::Invalid)?;
        for (index, stored) in entries.iter().enumerate().skip(1) {
            let later = entries.get(index + 1..).unwrap_or_default();
            if !state.step(stored.as_ref(), later) {
                break;
            }
        }
        Ok(state)
    }

    /// Goes on with entries that follow those already folded. A state that has stopped has to be folded anew.
    pub fn extend<B: AsRef<[u8]>>(&mut self, entries: &[B]) {
        for (index, stored) in entries.iter().enumerate() {
            let later = entries.get(index + 1..).unwrap_or_default();
            if self.stop.is_some() || !self.step(stored.as_ref(), later) {
                break;
            }
        }
    }

    fn begin(id: VaultId, stored: &[u8]) -> Result<Self, Void> {
        let entry = parse_at(stored, None, &LedgerId::Vault, 0).map_err(|why| {
            if is_of_unknown_suite(stored) { "a suite that is not known to this version" } else { why }
        })?;
        let Said::Known(statement) = &entry.said else { return Err("unknown kind or format") };
        let Body::Genesis(genesis) = &statement.body else { return Err("entry 0 is no genesis") };
        if statement.prev.is_some() || statement.vault_head.is_some() {
            return Err("a genesis has no entry before it");
        }
        check_genesis(genesis)?;
        let mut state = Self {
            id,
            suite: genesis.suite,
            approvals: genesis.approvals.clone(),
            head_age: genesis.head_age,
            genesis_recovery: genesis.recovery.iter().copied().collect(),
            members: BTreeMap::new(),
            cards: BTreeMap::new(),
            keys: Keys::new(),
            roles: BTreeMap::new(),
            packs: BTreeMap::new(),
            seen: None,
            recovered: Vec::new(),
            subject_keys: BTreeMap::new(),
            formats: Timeline::new(),
            proposals: Proposals::default(),
            times: BTreeMap::from([(0, statement.time)]),
            judged: Vec::new(),
            time: statement.time,
            stop: None,
        };
        for member in &genesis.members {
            let cards = state.new_cards(&member.cards)?;
            if state.members.contains_key(&member.member) {
                return Err("a member twice");
            }
            state.enrol(0, &member.member, &member.info, cards);
        }
        let first = genesis.members.first().ok_or("no first officer")?;
        if first.member != statement.author || !state.genesis_recovery.iter().all(|c| state.cards.contains_key(c)) {
            return Err("the author is not the first member, or a recovery card is nobody's");
        }
        let signer = state.cards.get(&statement.card).filter(|c| c.member == statement.author);
        let key = signer.map(|c| *c.card.verifying_key()).ok_or("signed with a card that is not the author's")?;
        check_signature(&entry, &key)?;
        state.set_role(0, Role::Officer, None, &first.member, true);
        state.judged.push(Judged { hash: EntryHash(id.0), verdict: Verdict::Applied });
        Ok(state)
    }

    /// Judges the next entry; `later` are those behind it, for a look ahead. False if the fold stops.
    fn step<B: AsRef<[u8]>>(&mut self, stored: &[u8], later: &[B]) -> bool {
        let seq = self.next_seq();
        let before = self.head().map(|h| h.hash);
        let hash = entry_hash(before, stored);
        let verdict = match self.judge(stored, seq) {
            Ok(Judgement::Apply(statement)) => {
                if statement.prev == before {
                    self.apply(seq, hash, &statement);
                    Verdict::Applied
                } else if self.settled_by_a_later_entry(seq, hash, later) {
                    Verdict::Void("fork, settled by a recovery")
                } else {
                    let why = "its `prev` is not the entry before it";
                    self.stop = Some(Stop::Fork { ledger: LedgerId::Vault, seq, hash, why });
                    return false;
                }
            }
            Ok(Judgement::Skip) => Verdict::Skipped,
            Ok(Judgement::Stop { format }) => {
                self.stop = Some(Stop::NeedsVersion { ledger: LedgerId::Vault, seq, format });
                return false;
            }
            Err(reason) => Verdict::Void(reason),
        };
        self.judged.push(Judged { hash, verdict });
        true
    }

    fn judge(&self, stored: &[u8], seq: u64) -> Result<Judgement, Void> {
        let entry = self.authentic(stored, seq)?;
        match known(&entry.said, self.format())? {
            Known::Skip => Ok(Judgement::Skip),
            Known::Stop { format } => Ok(Judgement::Stop { format }),
            Known::Statement(statement) => {
                self.allowed(statement)?;
                Ok(Judgement::Apply(Box::new(statement.clone())))
            }
        }
    }

    /// Rules 1 and 3: the entry is in its place and by a current member's current card.
    fn authentic(&self, stored: &[u8], seq: u64) -> Result<Entry, Void> {
        let entry = parse_at(stored, Some(&self.id), &LedgerId::Vault, seq)?;
        let frame = entry.said.frame();
        if frame.vault_head.is_some() {
            return Err("misplaced: a vault entry names no vault head");
        }
        let now = self.last_seq();
        if !self.is_current_card(&frame.card, &frame.author, now) {
            return Err("unknown author");
        }
        check_signature(&entry, self.keys.get(&frame.card).ok_or("unknown author")?)?;
        Ok(entry)
    }

    /// Spec 4.5: whether a later `recovered` that is allowed in the state before the fork names it. Of what lies between, only
    /// proposals and approvals count, or a vault that asks for approvals could never settle a fork.
    fn settled_by_a_later_entry<B: AsRef<[u8]>>(&self, seq: u64, hash: EntryHash, later: &[B]) -> bool {
        let settles = RecoveredTerms { action: RecoveryAction::Void, hash, ledger: LedgerId::Vault, seq };
        let mut view = self.clone();
        view.judged.push(Judged { hash, verdict: Verdict::Void("fork") });
        for stored in later {
            let (seq, before) = (view.next_seq(), view.head().map(|h| h.hash));
            let hash = entry_hash(before, stored.as_ref());
            if let Ok(Judgement::Apply(statement)) = view.judge(stored.as_ref(), seq)
                && statement.prev == before
            {
                match &statement.body {
                    Body::Recovered(body) if body.terms == settles => return true,
                    Body::Proposed(_) | Body::Approved(_) => view.apply(seq, hash, &statement),
                    _ => {}
                }
            }
            view.judged.push(Judged { hash, verdict: Verdict::Void("behind a fork") });
        }
        false
    }

    /// Rule 5: the preconditions of each kind.
    fn allowed(&self, statement: &Statement) -> Result<(), Void> {
        let now = self.last_seq();
        let author = &statement.author;
        let officer = || self.need_officer(author, now);
        match &statement.body {
            Body::Genesis(_) => Err("a second genesis"),
            Body::MemberEnrolled(body) => {
                officer()?;
                if self.members.contains_key(&body.member) {
                    return Err("the member id is taken");
                }
                self.new_cards(&body.cards).map(drop)
            }
            Body::MemberAmended(body) => {
                officer()?;
                self.members.get(&body.member).map(drop).ok_or("no such member")
            }
            Body::CardAdded(body) => {
                self.new_cards(core::slice::from_ref(&body.terms.card))?;
                if !self.is_current_member(&body.terms.member, now) {
                    return Err("the member is not current");
                }
                if self.current_cards(&body.terms.member, now).count() >= MAX_CARDS {
                    return Err("the member has 64 current cards");
                }
                let needed = if *author == body.terms.member {
                    0
                } else {
                    officer()?;
                    self.approvals.card_added
                };
                let terms = terms_digest("card-added", &body.terms);
                self.check_approval(statement, terms, needed, Some(&body.terms.member), body.approval.as_ref())
            }
            Body::CardRetired(body) => {
                if *author != body.member {
                    officer()?;
                }
                if self.is_current_card(&body.card, &body.member, now) {
                    Ok(())
                } else {
                    Err("the card is not current")
                }
            }
            Body::MemberRetired(body) => {
                if *author != body.member {
                    officer()?;
                }
                if !self.is_current_member(&body.member, now) {
                    return Err("the member is not current");
                }
                self.keeps_an_officer(&body.member, now)
            }
            Body::RoleSet(body) => {
                officer()?;
                if body.role.is_of_dataset() != body.dataset.is_some() {
                    return Err("the role and its dataset do not fit");
                }
                if !self.members.contains_key(&body.member) {
                    return Err("no such member");
                }
                if body.on {
                    if self.is_current_member(&body.member, now) { Ok(()) } else { Err("the member is not current") }
                } else if body.role == Role::Officer {
                    self.keeps_an_officer(&body.member, now)
                } else {
                    Ok(())
                }
            }
            Body::OfficerRecovered(body) => {
                if !self.genesis_recovery.contains(&statement.card) {
                    return Err("not signed with a recovery card of the genesis");
                }
                if self.is_current_member(&body.member, now) { Ok(()) } else { Err("the member is not current") }
            }
            Body::FormatRaised(body) => {
                officer()?;
                if body.format > self.format() { Ok(()) } else { Err("the format is not above the present one") }
            }
            Body::ServerSet(body) => {
                officer()?;
                let fits = |key: &B64| key.0.len() == 32;
                if body.log_key.as_ref().is_none_or(fits) && body.witness_keys.iter().all(fits) {
                    Ok(())
                } else {
                    Err("a key is not 32 bytes")
                }
            }
            Body::PackSet(_) | Body::Seen(_) => officer(),
            Body::Recovered(body) => {
                officer()?;
                let terms = terms_digest("recovered", &body.terms);
                self.check_approval(statement, terms, self.approvals.recovered, None, body.approval.as_ref())
            }
            Body::SubjectKeySet(body) => {
                if !self.keeps_subjects(author, now) {
                    return Err("not a steward");
                }
                if body.generation == self.subject_key_generation() + 1 {
                    Ok(())
                } else {
                    Err("not the next generation")
                }
            }
            Body::Proposed(body) => {
                officer()?;
                if !matches!(body.act.as_str(), "card-added" | "recovered") {
                    return Err("not an act that is proposed here");
                }
                if body.ends > statement.time { Ok(()) } else { Err("ends before it begins") }
            }
            Body::Approved(body) => {
                officer()?;
                self.proposals.may_approve(&body.proposal, author, statement.time)
            }
            _ => Err("not a kind of the vault ledger"),
        }
    }

    fn check_approval(
        &self,
        statement: &Statement,
        terms: Digest,
        needed: u64,
        beneficiary: Option<&MemberId>,
        approval: Option<&Approval>,
    ) -> Result<(), Void> {
        let now = self.last_seq();
        let act = Act {
            kind: statement.body.kind(),
            terms,
            needed,
            author: &statement.author,
            beneficiary,
            time: statement.time,
            facts_seq: None,
            facts: None,
            member: beneficiary.and_then(|m| self.member(m)).and_then(|m| m.info_at(now)).map(Info::digest),
            pack: self.pack_at(now),
        };
        self.proposals.check(&act, approval, |member| self.is_officer(member, now))
    }

    fn apply(&mut self, seq: u64, hash: EntryHash, statement: &Statement) {
        self.times.insert(seq, statement.time);
        if self.is_officer(&statement.author, self.last_seq()) {
            self.time = statement.time;
        }
        match &statement.body {
            Body::MemberEnrolled(body) => {
                if let Ok(cards) = self.new_cards(&body.cards) {
                    self.enrol(seq, &body.member, &body.info, cards);
                }
            }
            Body::MemberAmended(body) => {
                if let Some(member) = self.members.get_mut(&body.member) {
                    member.info.set(seq, body.info.clone());
                }
            }
            Body::CardAdded(body) => {
                if let Ok(cards) = self.new_cards(core::slice::from_ref(&body.terms.card)) {
                    self.add_cards(seq, &body.terms.member, cards);
                }
                self.proposals.mark_used(body.approval.as_ref());
            }
            Body::CardRetired(body) => {
                if let Some(card) = self.cards.get_mut(&body.card) {
                    card.retired = Some(seq);
                }
            }
            Body::MemberRetired(body) => self.retire(seq, &body.member),
            Body::RoleSet(body) => self.set_role(seq, body.role, body.dataset.clone(), &body.member, body.on),
            Body::OfficerRecovered(body) => self.set_role(seq, Role::Officer, None, &body.member, true),
            Body::PackSet(PackSet { hash, name, on }) => {
                let pack = self.packs.entry(name.as_str().to_owned()).or_default();
                pack.set(seq, on.then_some(*hash));
            }
            Body::FormatRaised(body) => self.formats.set(seq, body.format),
            Body::Seen(body) => self.seen = Some(SeenMark { list: body.list, seq, time: statement.time }),
            Body::Recovered(body) => {
                self.proposals.mark_used(body.approval.as_ref());
                self.recovered.push(Settled { terms: body.terms.clone(), seq });
            }
            Body::SubjectKeySet(body) => {
                let seals = body.seals.iter().cloned().collect();
                let set = SubjectKeySeals { author: statement.author.clone(), time: statement.time, seals };
                self.subject_keys.insert(body.generation, set);
            }
            Body::Proposed(body) => self.proposals.propose(seq, hash, &statement.author, body),
            Body::Approved(body) => self.proposals.approve(hash, &body.proposal, &statement.author),
            _ => {}
        }
    }

    /// Cards that may join: valid, of the suite, never seen, 1 to 64, none twice.
    fn new_cards(&self, stored: &[B64]) -> Result<Vec<Card>, Void> {
        if stored.is_empty() || stored.len() > MAX_CARDS {
            return Err("no card, or more than 64");
        }
        let mut ids = BTreeSet::new();
        stored
            .iter()
            .map(|bytes| {
                let card = Card::parse(&bytes.0).map_err(|_| "an invalid card")?;
                if card.suite() != self.suite {
                    return Err("a card of another suite");
                }
                if self.cards.contains_key(card.id()) || !ids.insert(*card.id()) {
                    return Err("a card that is known already");
                }
                Ok(card)
            })
            .collect()
    }

    fn enrol(&mut self, seq: u64, member: &MemberId, info: &Info, cards: Vec<Card>) {
        let mut timeline = Timeline::new();
        timeline.set(seq, info.clone());
        let made = Member { info: timeline, cards: BTreeSet::new(), enrolled: seq, retired: None };
        self.members.insert(member.clone(), made);
        self.add_cards(seq, member, cards);
    }

    fn add_cards(&mut self, seq: u64, member: &MemberId, cards: Vec<Card>) {
        for card in cards {
            self.keys.insert(*card.id(), *card.verifying_key());
            if let Some(owner) = self.members.get_mut(member) {
                owner.cards.insert(*card.id());
            }
            let record = CardRecord { member: member.clone(), added: seq, retired: None, card };
            self.cards.insert(*record.card.id(), record);
        }
    }

    fn retire(&mut self, seq: u64, member: &MemberId) {
        let Some(found) = self.members.get_mut(member) else { return };
        found.retired = Some(seq);
        for id in &found.cards {
            if let Some(card) = self.cards.get_mut(id).filter(|c| c.retired.is_none()) {
                card.retired = Some(seq);
            }
        }
    }

    fn set_role(&mut self, seq: u64, role: Role, dataset: Option<DatasetId>, member: &MemberId, on: bool) {
        self.roles.entry((role, dataset, member.clone())).or_default().set(seq, on);
    }

    fn need_officer(&self, member: &MemberId, at: u64) -> Result<(), Void> {
        if self.is_officer(member, at) { Ok(()) } else { Err("not an officer") }
    }

    fn keeps_an_officer(&self, leaving: &MemberId, at: u64) -> Result<(), Void> {
        let others = self.members_with(Role::Officer, None, at).any(|m| m != leaving);
        if others || !self.is_officer(leaving, at) { Ok(()) } else { Err("the last officer") }
    }

    fn next_seq(&self) -> u64 {
        self.judged.len() as u64
    }

    /// The number of the last entry that was folded.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.next_seq().saturating_sub(1)
    }

    /// The last entry that was folded, void or not.
    #[must_use]
    pub fn head(&self) -> Option<VaultHead> {
        self.judged.last().map(|last| VaultHead { hash: last.hash, seq: self.last_seq() })
    }

    /// The vault's id.
    #[must_use]
    pub const fn id(&self) -> &VaultId {
        &self.id
    }

    /// The vault's suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Approvals an act.
    #[must_use]
    pub const fn approvals(&self) -> &ApprovalCounts {
        &self.approvals
    }

    /// Seconds after which `put` and `grant` refuse the head.
    #[must_use]
    pub const fn head_age(&self) -> u64 {
        self.head_age
    }

    /// The time of the newest applied entry by an officer, as the author claims: what the head's age is told from (spec 4.6).
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// The time of an applied entry, by its author's clock.
    #[must_use]
    pub fn time_of(&self, seq: u64) -> Option<u64> {
        self.times.get(&seq).copied()
    }

    /// The newest applied entry that is from before a time, by its author's clock; 0 if there is none.
    #[must_use]
    pub fn newest_before(&self, time: u64) -> u64 {
        self.times.iter().rev().find(|(_, of)| **of < time).map_or(0, |(seq, _)| *seq)
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

    /// The vault's format number.
    #[must_use]
    pub fn format(&self) -> u64 {
        self.formats.last().copied().unwrap_or(FORMAT)
    }

    /// The vault's format number after vault entry `at`.
    #[must_use]
    pub fn format_at(&self, at: u64) -> u64 {
        self.formats.at(at).copied().unwrap_or(FORMAT)
    }

    /// The newest `seen`.
    #[must_use]
    pub const fn seen(&self) -> Option<&SeenMark> {
        self.seen.as_ref()
    }

    /// The recoveries that count.
    #[must_use]
    pub fn recovered(&self) -> &[Settled] {
        &self.recovered
    }

    /// The generation of the newest subject key; 0 if there is none.
    #[must_use]
    pub fn subject_key_generation(&self) -> u64 {
        self.subject_keys.last_key_value().map_or(0, |(generation, _)| *generation)
    }

    /// To whom the subject key of a generation was sealed.
    #[must_use]
    pub fn subject_key(&self, generation: u64) -> Option<&SubjectKeySeals> {
        self.subject_keys.get(&generation)
    }

    /// Acts that wait, and their approvals.
    #[must_use]
    pub const fn proposals(&self) -> &Proposals {
        &self.proposals
    }

    /// The genesis' recovery cards.
    #[must_use]
    pub const fn recovery_cards(&self) -> &BTreeSet<CardId> {
        &self.genesis_recovery
    }

    /// A member, current or not.
    #[must_use]
    pub fn member(&self, member: &MemberId) -> Option<&Member> {
        self.members.get(member)
    }

    /// All members, current or not.
    pub fn members(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter()
    }

    /// A card, current or not.
    #[must_use]
    pub fn card(&self, card: &CardId) -> Option<&CardRecord> {
        self.cards.get(card)
    }

    /// All cards of a member, current or not.
    pub fn cards_of<'a>(&'a self, member: &'a MemberId) -> impl Iterator<Item = &'a CardRecord> {
        self.members.get(member).into_iter().flat_map(|m| &m.cards).filter_map(|id| self.cards.get(id))
    }

    /// The cards of a member that are current after vault entry `at`.
    pub fn current_cards<'a>(&'a self, member: &'a MemberId, at: u64) -> impl Iterator<Item = &'a CardRecord> {
        self.cards_of(member).filter(move |c| c.is_current(at))
    }

    /// Whether a member was current after vault entry `at`.
    #[must_use]
    pub fn is_current_member(&self, member: &MemberId, at: u64) -> bool {
        self.members.get(member).is_some_and(|m| m.enrolled <= at && m.retired.is_none_or(|r| r > at))
    }

    /// Whether `card` was a current card of `member`, a current member, after vault entry `at`.
    #[must_use]
    pub fn is_current_card(&self, card: &CardId, member: &MemberId, at: u64) -> bool {
        self.cards.get(card).is_some_and(|c| c.member == *member && c.is_current(at))
            && self.is_current_member(member, at)
    }

    /// Whether the card, or its member, was retired by vault entry `at`; in a ledger that continues from there it stays so.
    pub(super) fn is_retired(&self, card: &CardId, at: u64) -> bool {
        self.cards.get(card).is_some_and(|c| c.retired.is_some_and(|r| r <= at))
    }

    /// Whether a current member had a role after vault entry `at`.
    #[must_use]
    pub fn has_role(&self, role: Role, dataset: Option<&DatasetId>, member: &MemberId, at: u64) -> bool {
        self.roles.get(&(role, dataset.cloned(), member.clone())).and_then(|t| t.at(at)) == Some(&true)
            && self.is_current_member(member, at)
    }

    /// Whether a current member was a steward of a dataset after vault entry `at`: by the last `role-set`, or because it created the
    /// dataset citing vault entry `created` and no later `role-set` says otherwise. Spec 5.1.
    #[must_use]
    pub fn is_steward(&self, dataset: &DatasetId, member: &MemberId, created: Option<u64>, at: u64) -> bool {
        let set = self.roles.get(&(Role::Steward, Some(dataset.clone()), member.clone())).and_then(|t| t.entry_at(at));
        let on = match (set, created) {
            (Some((since, on)), Some(created)) if since > created => *on,
            (_, Some(_)) => true,
            (Some((_, on)), None) => *on,
            (None, None) => false,
        };
        on && self.is_current_member(member, at)
    }

    /// Whether a member was an officer after vault entry `at`.
    #[must_use]
    pub fn is_officer(&self, member: &MemberId, at: u64) -> bool {
        self.has_role(Role::Officer, None, member, at)
    }

    /// The current members who had a role after vault entry `at`.
    pub fn members_with<'a>(
        &'a self,
        role: Role,
        dataset: Option<&'a DatasetId>,
        at: u64,
    ) -> impl Iterator<Item = &'a MemberId> {
        self.roles
            .iter()
            .filter(move |((r, d, member), on)| {
                *r == role && d.as_ref() == dataset && on.at(at) == Some(&true) && self.is_current_member(member, at)
            })
            .map(|((_, _, member), _)| member)
    }

    /// The roles that a member has now: the role and its dataset.
    pub fn roles_of<'a>(&'a self, member: &'a MemberId) -> impl Iterator<Item = (Role, Option<&'a DatasetId>)> {
        let now = self.last_seq();
        self.roles
            .iter()
            .filter(move |((_, _, m), on)| m == member && on.at(now) == Some(&true) && self.is_current_member(m, now))
            .map(|((role, dataset, _), _)| (*role, dataset.as_ref()))
    }

    /// The rule packs in force after vault entry `at`, by name.
    pub fn packs_at(&self, at: u64) -> impl Iterator<Item = (&str, Digest)> {
        self.packs.iter().filter_map(move |(name, t)| Some((name.as_str(), (*t.at(at)?)?)))
    }

    /// A hash over the rule packs in force after vault entry `at`; `None` if there are none.
    #[must_use]
    pub fn pack_at(&self, at: u64) -> Option<Digest> {
        let list: Vec<(&str, Digest)> = self.packs_at(at).collect();
        if list.is_empty() { None } else { Some(terms_digest("pack-set", &list)) }
    }

    /// Whether a member may share the subject key: a current steward of some dataset by role, or a creator.
    #[must_use]
    pub fn keeps_subjects(&self, member: &MemberId, at: u64) -> bool {
        let is_steward = |((role, _, of), on): (&(Role, _, MemberId), &Timeline<bool>)| {
            *role == Role::Steward && of == member && on.at(at) == Some(&true)
        };
        self.is_current_member(member, at)
            && (self.has_role(Role::Creator, None, member, at) || self.roles.iter().any(is_steward))
    }

    /// The hash of entry `seq`, if it was folded.
    #[must_use]
    pub fn entry_hash(&self, seq: u64) -> Option<EntryHash> {
        usize::try_from(seq).ok().and_then(|i| self.judged.get(i)).map(|j| j.hash)
    }

    /// Whether a recovery makes this entry void.
    #[must_use]
    pub fn is_voided(&self, ledger: &LedgerId, seq: u64, hash: EntryHash) -> bool {
        self.recovered.iter().any(|settled| {
            let t = &settled.terms;
            t.action == RecoveryAction::Void && t.ledger == *ledger && t.seq == seq && t.hash == hash
        })
    }

    pub(super) fn key_of(&self, card: &CardId) -> Option<&crate::hazmat::sign::VerifyingKey> {
        self.keys.get(card)
    }
}

impl CardRecord {
    /// Whether the card was added by, and not retired by, vault entry `at`.
    #[must_use]
    pub fn is_current(&self, at: u64) -> bool {
        self.added <= at && self.retired.is_none_or(|r| r > at)
    }
}

enum Judgement {
    Apply(Box<Statement>),
    Skip,
    Stop { format: u64 },
}

/// Whether what does not parse as a genesis would be one of another suite; only to say so.
fn is_of_unknown_suite(stored: &[u8]) -> bool {
    let payload = Envelope::parse(stored).ok().and_then(|envelope| json::parse_value(&envelope.payload).ok());
    let suite = payload.as_ref().and_then(|payload| payload.get("body")?.get("suite")?.as_u64());
    suite.is_some_and(|id| u8::try_from(id).ok().and_then(Suite::from_id).is_none())
}

fn check_genesis(genesis: &Genesis) -> Result<(), Void> {
    let counts = &genesis.approvals;
    let all =
        counts.granted.iter().chain([&counts.card_added, &counts.dataset_deleted, &counts.recovered, &counts.released]);
    if genesis.algorithms != Algorithms::of(genesis.suite) {
        Err("algorithms that are not the suite's")
    } else if genesis.head_age < MIN_HEAD_AGE {
        Err("a head age below an hour")
    } else if all.into_iter().any(|k| *k > MAX_APPROVALS) {
        Err("more than 8 approvals")
    } else {
        Ok(())
    }
}

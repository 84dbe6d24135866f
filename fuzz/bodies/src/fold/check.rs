//! What must hold of a folded ledger, whatever its entries are. Told from the entries once more and not by the fold's own words:
//! signatures, chains, and who was given what by whom.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use vault_core::card::Card;
use vault_core::envelope::Envelope;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantStatus};
use vault_core::ledger::exposure::ExposureState;
use vault_core::ledger::fold::{Judged, Verdict, entry_hash};
use vault_core::ledger::statement::{Body, Entry, EpochSeal, Role, Said, Seal, Statement};
use vault_core::ledger::vault::VaultState;

/// How many signatures and cards are kept in mind, so that those every input begins with are looked at once.
const KEPT: usize = 4096;

thread_local! {
    /// What was found signed: an entry's bytes and the key.
    static SIGNED: RefCell<HashMap<Vec<u8>, [u8; 32]>> = RefCell::new(HashMap::new());
    static CARDS: RefCell<HashMap<Vec<u8>, CardId>> = RefCell::new(HashMap::new());
}

/// Sees that an entry is signed with the card's key.
fn signed(stored: &[u8], envelope: &Envelope, card: &Card) {
    let key = *card.verifying_key().as_bytes();
    SIGNED.with_borrow_mut(|kept| {
        if kept.get(stored) != Some(&key) {
            envelope.verify(card.verifying_key()).expect("what counts is signed");
            keep(kept, stored, key);
        }
    });
}

/// The id of a card that was added; it signs itself.
fn card_id(stored: &[u8]) -> CardId {
    CARDS.with_borrow_mut(|kept| {
        if let Some(id) = kept.get(stored) {
            return *id;
        }
        let id = *Card::parse(stored).expect("a card that was added is one").id();
        keep(kept, stored, id);
        id
    })
}

fn keep<T>(kept: &mut HashMap<Vec<u8>, T>, stored: &[u8], what: T) {
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(stored.to_vec(), what);
}

/// The entries that count, with their hashes. Each one is known, in its place, after the entry that it names, and signed with
/// a card of its author.
fn applied(
    vault: &VaultState,
    ledger: &LedgerId,
    entries: &[Vec<u8>],
    judged: &[Judged],
    stopped: bool,
) -> Vec<(EntryHash, Box<Statement>)> {
    assert!(judged.len() <= entries.len());
    assert!(stopped || judged.len() == entries.len(), "entries without a verdict");
    let mut before = (*ledger != LedgerId::Vault).then(|| EntryHash(vault.id().0));
    let mut out = Vec::new();
    for (seq, (stored, judged)) in (0u64..).zip(entries.iter().zip(judged)) {
        assert_eq!(judged.hash, entry_hash(before, stored), "an entry has another hash");
        if judged.verdict == Verdict::Applied {
            let entry = Entry::parse(stored).expect("what counts can be read");
            let Said::Known(said) = entry.said else { panic!("an unknown kind counts") };
            assert_eq!((said.seq, said.prev, &said.ledger), (seq, before, ledger), "an entry counts out of its place");
            let is_genesis = seq == 0 && *ledger == LedgerId::Vault;
            assert!(is_genesis || said.vault.as_ref() == Some(vault.id()), "another vault's entry counts");
            let card = vault.card(&said.card).expect("a stranger's entry counts");
            assert_eq!(card.member, said.author, "an entry counts under another name");
            signed(stored, &entry.envelope, &card.card);
            out.push((judged.hash, said));
        }
        before = Some(judged.hash);
    }
    out
}

/// The vault ledger: members, cards and roles come from statements by officers, or from the genesis.
pub(super) fn vault(state: &VaultState, entries: &[Vec<u8>]) {
    let applied = applied(state, &LedgerId::Vault, entries, state.judged(), state.stop().is_some());
    let mut cards: BTreeMap<CardId, MemberId> = BTreeMap::new();
    let mut gone: BTreeSet<CardId> = BTreeSet::new();
    let mut left: BTreeSet<MemberId> = BTreeSet::new();
    let mut roles: BTreeSet<(Role, Option<DatasetId>, MemberId)> = BTreeSet::new();
    for (_, said) in &applied {
        let author = &said.author;
        let is_genesis = matches!(said.body, Body::Genesis(_));
        let officer = is_genesis || roles.contains(&(Role::Officer, None, author.clone()));
        assert!(is_genesis || cards.get(&said.card) == Some(author), "signed with a card that was not added yet");
        assert!(!gone.contains(&said.card) && !left.contains(author), "a retired card or member speaks");
        let mut add = |member: &MemberId, stored: &[u8]| {
            assert_eq!(cards.insert(card_id(stored), member.clone()), None, "a card twice");
        };
        match &said.body {
            Body::Genesis(body) => {
                body.members.iter().for_each(|m| m.cards.iter().for_each(|card| add(&m.member, &card.0)));
                roles.insert((Role::Officer, None, author.clone()));
            }
            Body::MemberEnrolled(body) => {
                assert!(officer, "{author} enrols");
                body.cards.iter().for_each(|card| add(&body.member, &card.0));
            }
            Body::CardAdded(body) => {
                assert!(officer || *author == body.terms.member, "{author} adds a card");
                add(&body.terms.member, &body.terms.card.0);
            }
            Body::CardRetired(body) => {
                assert!(officer || *author == body.member);
                gone.insert(body.card);
            }
            Body::MemberRetired(body) => {
                assert!(officer || *author == body.member);
                left.insert(body.member.clone());
            }
            Body::RoleSet(body) => {
                assert!(officer, "{author} gives a role");
                let role = (body.role, body.dataset.clone(), body.member.clone());
                if body.on {
                    roles.insert(role)
                } else {
                    roles.remove(&role)
                };
            }
            Body::OfficerRecovered(body) => {
                assert!(state.recovery_cards().contains(&said.card), "an officer from nowhere");
                roles.insert((Role::Officer, None, body.member.clone()));
            }
            Body::Seen(_) | Body::Recovered(_) | Body::PackSet(_) | Body::FormatRaised(_) | Body::MemberAmended(_) => {
                assert!(officer, "{author} is no officer");
            }
            _ => {}
        }
    }
    for (id, member) in state.members() {
        for card in state.cards_of(id) {
            assert_eq!(cards.get(card.card.id()), Some(id), "a card that nobody added");
            assert_eq!(card.retired.is_none(), !gone.contains(card.card.id()) && !left.contains(id));
        }
        assert_eq!(member.retired.is_some(), left.contains(id));
        for (role, dataset) in state.roles_of(id) {
            assert!(roles.contains(&(role, dataset.cloned(), id.clone())), "{id} is {role:?} and nobody said so");
        }
    }
    // There is somebody who can act: the last officer can't be put out.
    let now = state.last_seq();
    assert!(state.members_with(Role::Officer, None, now).next().is_some(), "a vault without an officer");
}

/// To whom an epoch is sealed: the seal's hash, and who wrote it.
type Seals = BTreeMap<(MemberId, CardId), (Digest, MemberId)>;

/// What a walk over the entries of a dataset remembers: who was given what.
#[derive(Default)]
struct Given {
    /// Members with a grant that was not taken, and when it ends.
    grants: BTreeMap<MemberId, (EntryHash, Option<u64>)>,
    /// By epoch: who was given its secret with which card, which sealed bytes, and by whom.
    sealed: BTreeMap<u64, Seals>,
    recovery: BTreeSet<CardId>,
    uploaders: BTreeSet<MemberId>,
    creator: Option<(MemberId, u64)>,
}

impl Given {
    fn newest(&self) -> u64 {
        self.sealed.last_key_value().map_or(0, |(n, _)| *n)
    }

    /// Whether the newest epoch was sealed to the card that signs, and its member's right to it was not taken.
    fn holds(&self, said: &Statement) -> bool {
        let key = (said.author.clone(), said.card);
        let sealed = self.sealed.get(&self.newest()).is_some_and(|all| all.contains_key(&key));
        sealed && (self.recovery.contains(&said.card) || self.has_grant(said))
    }

    fn has_grant(&self, said: &Statement) -> bool {
        self.grants.get(&said.author).is_some_and(|(_, ends)| ends.is_none_or(|ends| ends > said.time))
    }

    fn opens(&mut self, n: u64, author: &MemberId, seals: impl IntoIterator<Item = Seal>) {
        let all = seals.into_iter().map(|s| ((s.member, s.card), (s.sha256, author.clone())));
        assert!(self.sealed.insert(n, all.collect()).is_none(), "an epoch twice");
    }

    fn adds(&mut self, author: &MemberId, seals: impl IntoIterator<Item = EpochSeal>) {
        for seal in seals {
            let epoch = self.sealed.get_mut(&seal.epoch).expect("a seal of an epoch that there is not");
            epoch.insert((seal.member, seal.card), (seal.sha256, author.clone()));
        }
    }

    fn ends(&mut self, members: impl IntoIterator<Item = MemberId>) {
        for member in members {
            self.grants.remove(&member);
        }
    }
}

/// A dataset ledger: nobody has a grant that no `granted` by a holder names, or the secret of an epoch that nobody who had it gave.
pub(super) fn dataset(vault: &VaultState, state: &DatasetState, entries: &[Vec<u8>]) {
    let applied = applied(vault, &state.ledger(), entries, state.judged(), state.stop().is_some());
    let mut given = Given::default();
    let mut cited = 0;
    for (hash, said) in &applied {
        let head = said.vault_head.expect("an entry that counts cites the vault");
        assert_eq!(vault.entry_hash(head.seq), Some(head.hash), "cites an entry that is not there");
        assert!(vault.is_current_card(&said.card, &said.author, head.seq), "a card that is not current speaks");
        assert!(head.seq >= cited, "looks back before what was cited");
        cited = head.seq;
        walk(vault, state.id(), &mut given, *hash, said, head.seq);
    }
    for (member, grant) in state.grants().iter().filter(|(_, grant)| grant.status == GrantStatus::Given) {
        let (entry, ends) = given.grants.get(member).expect("a grant that nobody gave");
        assert_eq!((grant.entry, grant.ends), (*entry, *ends));
    }
    for (n, epoch) in state.epochs() {
        for (holder, seal) in &epoch.seals {
            let (sha256, author) = &given.sealed[n].get(holder).expect("an epoch's secret that nobody gave");
            assert_eq!((&seal.sha256, &seal.author), (sha256, author));
        }
    }
    assert!(state.uploaders().is_subset(&given.uploaders), "an uploader whom nobody named");
    assert!(state.recovery().is_subset(&given.recovery), "a recovery card that nobody named");
}

fn walk(vault: &VaultState, id: &DatasetId, given: &mut Given, hash: EntryHash, said: &Statement, at: u64) {
    let author = &said.author;
    let is_steward = |given: &Given, member: &MemberId| {
        let created = given.creator.as_ref().filter(|(creator, _)| creator == member).map(|(_, at)| *at);
        vault.is_steward(id, member, created, at)
    };
    let steward = is_steward(given, author);
    let officer = vault.is_officer(author, at);
    let holder = given.holds(said);
    match &said.body {
        Body::DatasetCreated(body) => {
            assert!(vault.has_role(Role::Creator, None, author, at) && given.creator.is_none());
            given.creator = Some((author.clone(), at));
            given.recovery = body.recovery.iter().copied().collect();
            given.opens(1, author, body.epoch.seals.iter().cloned());
            given.grants.insert(author.clone(), (hash, None));
        }
        Body::Granted(body) => {
            assert!(holder, "{author} grants and holds nothing");
            assert!(steward || is_steward(given, &body.terms.member), "{author} grants and is no steward");
            assert!(vault.is_current_member(&body.terms.member, at), "a grant to nobody");
            assert!(body.seals.iter().all(|seal| seal.member == body.terms.member), "a grant seals to somebody else");
            given.adds(author, body.seals.iter().cloned());
            given.grants.insert(body.terms.member.clone(), (hash, body.terms.ends));
        }
        Body::CardSealed(body) => {
            assert!(holder, "{author} seals and holds nothing");
            assert!(given.grants.contains_key(&body.member), "sealed to somebody without a grant");
            assert!(body.seals.iter().all(|seal| seal.member == body.member));
            given.adds(author, body.seals.iter().cloned());
        }
        Body::RecoverySet(body) => {
            assert!(holder && steward, "{author} names recovery cards");
            given.recovery = body.cards.iter().copied().collect();
            assert!(body.seals.iter().all(|seal| given.recovery.contains(&seal.card)));
            given.adds(author, body.seals.iter().cloned());
        }
        Body::EpochOpened(body) => {
            assert!(holder && steward, "{author} opens an epoch");
            assert_eq!(body.epoch, given.newest() + 1);
            given.ends(body.revokes.iter().cloned());
            let may = |seal: &Seal| given.recovery.contains(&seal.card) || given.grants.contains_key(&seal.member);
            assert!(body.seals.iter().all(may), "a new epoch is sealed to somebody without a right");
            given.opens(body.epoch, author, body.seals.iter().cloned());
        }
        Body::EpochReset(body) => {
            assert!(steward, "{author} begins anew");
            assert_eq!(body.epoch, given.newest() + 1);
            let may = |seal: &Seal| given.recovery.contains(&seal.card) || seal.member == *author;
            assert!(body.seals.iter().all(may), "a new beginning is sealed to somebody without a right");
            given.opens(body.epoch, author, body.seals.iter().cloned());
            given.grants = BTreeMap::from([(author.clone(), (hash, None))]);
        }
        Body::UploaderSet(body) => {
            assert!(steward, "{author} names an uploader");
            if body.on {
                given.uploaders.insert(body.member.clone())
            } else {
                given.uploaders.remove(&body.member)
            };
        }
        Body::Revoked(body) => {
            assert!(officer || steward || *author == body.member);
            given.ends([body.member.clone()]);
        }
        Body::Suspended(body) => {
            assert!(officer || steward);
            given.ends(body.members.iter().cloned());
        }
        Body::ConsentWithdrawn(body) => {
            assert!(officer || steward);
            given.ends(body.members.iter().cloned());
        }
        Body::FactsAmended(body) => {
            assert!(steward);
            given.ends(body.suspends.iter().cloned());
        }
        Body::UploadOpened(_) | Body::UploadCommitted(_) => {
            assert!(steward || given.uploaders.contains(author), "{author} uploads");
        }
        Body::ManifestRemoved(_) | Body::PathRemoved(_) | Body::EpochClosed(_) | Body::DatasetDeleted(_) => {
            assert!(steward, "{author} removes or closes");
        }
        _ => {}
    }
}

/// An exposure ledger: what is counted is what stewards reserved and nobody released.
pub(super) fn exposure(vault: &VaultState, state: &ExposureState, recipient: Digest, entries: &[Vec<u8>]) {
    let ledger = LedgerId::Exposure(recipient);
    let applied = applied(vault, &ledger, entries, state.judged(), state.stop().is_some());
    let mut open: BTreeMap<EntryHash, u64> = BTreeMap::new();
    for (hash, said) in &applied {
        match &said.body {
            Body::Reserved(body) => {
                open.insert(*hash, body.added);
                assert_eq!(Some(body.total), open.values().copied().try_fold(0u64, u64::checked_add));
            }
            Body::Released(body) => {
                let one = open.remove(&body.terms.reserved);
                assert!(one.is_some(), "released what was not reserved, or twice");
            }
            _ => {}
        }
    }
    assert_eq!(state.total(), open.values().sum::<u64>());
    for (hash, reserved) in state.reserved() {
        assert_eq!(reserved.released.is_some(), !open.contains_key(hash));
    }
}

/// What a void entry may not have changed.
pub(super) fn rights(state: &DatasetState) -> impl PartialEq + core::fmt::Debug + use<> {
    let seals: Vec<_> = state.epochs().iter().map(|(n, epoch)| (*n, epoch.seals.clone())).collect();
    (
        (state.grants().clone(), seals, state.uploaders().clone(), state.recovery().clone()),
        (state.uploads().clone(), state.manifests().clone(), state.closed(), state.is_deleted(), state.cited()),
        (state.level(), state.facts().clone(), state.table().copied()),
    )
}

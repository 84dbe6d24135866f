//! A vault in memory: people with keys, a vault ledger, one dataset ledger, one exposure ledger, folded entry by entry.
//!
//! Seals are random hashes: the fold sees only who they are for. When a `World` goes out of scope it folds everything anew in one go
//! and compares, so every test here also proves that folding piece by piece ends in the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use serde_json::{Map, Value, json};
use vault_core::card::Card;
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, UploadId};
use vault_core::json::{B64, emit_value};
use vault_core::ledger::dataset::{DatasetState, creator_of};
use vault_core::ledger::exposure::{ExposureState, Exposures};
use vault_core::ledger::fold::{At, Stop, Verdict, entry_hash};
use vault_core::ledger::statement::*;
use vault_core::ledger::vault::VaultState;
use vault_core::seal::{PrivateKey, PublicKey};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

/// A day in seconds.
pub(crate) const DAY: u64 = 86_400;

/// Small, fast and repeatable; nothing here is secret.
#[derive(Debug, Clone)]
pub(crate) struct TestRng(u64);

impl TestRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.try_fill_bytes(&mut out).unwrap();
        out
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

/// Somebody's card and its signing key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) member: MemberId,
    pub(crate) card: Card,
    pub(crate) key: SigningKey,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Became {
    Applied,
    Void(&'static str),
    Skipped,
    Forked,
    NeedsVersion(u64),
}

pub(crate) use Became::{Applied, Forked, NeedsVersion, Skipped, Void};

pub(crate) const UNANCHORED: &str = "it cites an entry that is not there";
pub(crate) const WRONG_PREV: &str = "its `prev` is not the entry before it";

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) rng: TestRng,
    pub(crate) suite: Suite,
    pub(crate) now: u64,
    pub(crate) people: BTreeMap<String, Arc<Identity>>,
    pub(crate) vault: Vec<Vec<u8>>,
    pub(crate) state: VaultState,
    pub(crate) dataset: Vec<Vec<u8>>,
    pub(crate) data: Option<DatasetState>,
    pub(crate) exposure: Vec<Vec<u8>>,
    pub(crate) counts: ExposureState,
    /// Whether to compare with a fold in one go at the end.
    pub(crate) compare: bool,
}

/// Everybody: who they are is in [`World::with`].
pub(crate) const CAST: [&str; 11] =
    ["olga", "reco", "otto", "stella", "sven", "rita", "rolf", "uma", "ulf", "anna", "axel"];

pub(crate) fn member(name: &str) -> MemberId {
    name.split('/').next().unwrap().parse().unwrap()
}

pub(crate) fn dataset_id() -> DatasetId {
    "d1".parse().unwrap()
}

pub(crate) fn recipient() -> Digest {
    Digest([0xee; 32])
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

pub(crate) fn facts(value: Value) -> Facts {
    let Value::Object(map) = value else { panic!("facts are an object") };
    Facts(map)
}

pub(crate) fn info(name: &str) -> Info {
    Info {
        facts: Facts(Map::new()),
        jurisdiction: Jurisdiction::parse("CN").unwrap(),
        kind: OrganisationKind::Hospital,
        organisation: text(name),
    }
}

pub(crate) fn public_key(suite: Suite, rng: &mut impl CryptoRng) -> PublicKey {
    PrivateKey::from_secret(suite, Secret32::generate(rng)).public_key()
}

pub(crate) fn identity(suite: Suite, name: &str, rng: &mut impl CryptoRng) -> Identity {
    let key = SigningKey::from_seed(&Secret32::generate(rng));
    let kem = public_key(suite, rng);
    let card = Card::make(suite, name, 1_790_000_000, &key, &kem).unwrap();
    Identity { member: member(name), card, key }
}

pub(crate) fn people(suite: Suite, rng: &mut impl CryptoRng) -> BTreeMap<String, Arc<Identity>> {
    let one = |name: &&str| ((*name).to_owned(), Arc::new(identity(suite, name, rng)));
    CAST.iter().chain(&["mallory", "xeno"]).map(one).collect()
}

impl World {
    /// A vault without approvals, its people enrolled, and an empty dataset ledger.
    pub(crate) fn new() -> Self {
        Self::with(Suite::X25519, |_| {})
    }

    /// The same with a dataset `d1`: stella created it, sven is a steward without a grant, uma and ulf upload, anna and axel
    /// approve, reco has the recovery card, rita has a grant.
    pub(crate) fn with_dataset() -> Self {
        Self::new().opened()
    }

    /// olga and otto are officers, stella a creator, mallory a member without any right; xeno is not enrolled.
    pub(crate) fn with(suite: Suite, change: impl FnOnce(&mut Genesis)) -> Self {
        let mut rng = TestRng::new(7);
        let people = people(suite, &mut rng);
        let mut genesis = genesis(suite, &people);
        change(&mut genesis);
        let first = Statement {
            author: member("olga"),
            body: Body::Genesis(genesis),
            card: *people["olga"].card.id(),
            ledger: LedgerId::Vault,
            prev: None,
            seq: 0,
            time: 1_800_000_000,
            vault: None,
            vault_head: None,
        };
        let stored = sign(&people["olga"], &first);
        let id = vault_core::ids::VaultId(entry_hash(None, &stored).0);
        let state = VaultState::fold(&id, &[&stored]).unwrap();
        let counts = ExposureState::fold(&state, &BTreeMap::new(), recipient(), &Vec::<Vec<u8>>::new());
        let mut world = Self {
            rng,
            suite,
            now: 1_800_000_000,
            people,
            vault: vec![stored],
            state,
            dataset: Vec::new(),
            data: None,
            exposure: Vec::new(),
            counts,
            compare: true,
        };
        for name in ["otto", "stella", "sven", "rita", "rolf", "uma", "ulf", "anna", "axel", "mallory"] {
            world.vault_does("olga", world.enrolled(name));
        }
        world.vault_does("olga", role("otto", Role::Officer, true));
        world.vault_does("olga", role("stella", Role::Creator, true));
        world
    }

    pub(crate) fn opened(mut self) -> Self {
        let created = self.created();
        self.does("stella", created);
        self.vault_does("olga", role("sven", Role::Steward, true));
        self.vault_does("olga", role("anna", Role::Approver, true));
        self.vault_does("olga", role("axel", Role::Approver, true));
        for name in ["uma", "ulf"] {
            self.does("stella", Body::UploaderSet(UploaderSet { member: member(name), on: true }));
        }
        let granted = self.granted("rita");
        self.does("stella", granted);
        self
    }

    // --- who and when ---

    pub(crate) fn who(&self, name: &str) -> &Identity {
        &self.people[name]
    }

    pub(crate) fn card(&self, name: &str) -> CardId {
        *self.people[name].card.id()
    }

    /// Makes a further card for somebody, unknown to the vault; its name is `name/2`, say.
    pub(crate) fn new_card(&mut self, name: &str) -> CardId {
        let made = identity(self.suite, name, &mut self.rng);
        let id = *made.card.id();
        assert!(self.people.insert(name.to_owned(), Arc::new(made)).is_none());
        id
    }

    /// Adds a further card of a member, by itself.
    pub(crate) fn add_card(&mut self, name: &str) -> CardId {
        let id = self.new_card(name);
        let author = name.split('/').next().unwrap().to_owned();
        self.vault_does(&author, self.card_added(name, None));
        id
    }

    pub(crate) fn at(&self) -> At {
        At { time: self.now, vault: self.state.last_seq() }
    }

    pub(crate) fn data(&self) -> &DatasetState {
        self.data.as_ref().unwrap()
    }

    pub(crate) fn digest(&mut self) -> Digest {
        Digest(self.rng.array())
    }

    // --- saying something ---

    pub(crate) fn draft(&self, ledger: LedgerId, signer: &str, body: Body) -> Statement {
        let who = self.who(signer);
        let last = match ledger {
            LedgerId::Vault => self.state.judged().last(),
            LedgerId::Dataset(_) => self.data.as_ref().and_then(|d| d.judged().last()),
            LedgerId::Exposure(_) => self.counts.judged().last(),
        };
        let entries = self.entries(&ledger);
        let outside = ledger != LedgerId::Vault;
        Statement {
            author: who.member.clone(),
            body,
            card: *who.card.id(),
            prev: Some(last.map_or(EntryHash(self.state.id().0), |l| l.hash)),
            seq: entries.len() as u64,
            time: self.now,
            vault: Some(*self.state.id()),
            vault_head: if outside { self.state.head() } else { None },
            ledger,
        }
    }

    pub(crate) fn dataset_draft(&self, signer: &str, body: Body) -> Statement {
        self.draft(LedgerId::Dataset(dataset_id()), signer, body)
    }

    pub(crate) fn vault_draft(&self, signer: &str, body: Body) -> Statement {
        self.draft(LedgerId::Vault, signer, body)
    }

    pub(crate) fn sign(&self, signer: &str, statement: &Statement) -> Vec<u8> {
        sign(self.who(signer), statement)
    }

    /// Signs any canonical JSON as a statement of `signer`.
    pub(crate) fn sign_value(&self, signer: &str, payload: &Value) -> Vec<u8> {
        sign_payload(self.who(signer), emit_value(payload).unwrap())
    }

    pub(crate) fn entries(&self, ledger: &LedgerId) -> &[Vec<u8>] {
        match ledger {
            LedgerId::Vault => &self.vault,
            LedgerId::Dataset(_) => &self.dataset,
            LedgerId::Exposure(_) => &self.exposure,
        }
    }

    /// Appends an entry and folds it.
    pub(crate) fn put(&mut self, ledger: &LedgerId, stored: Vec<u8>) -> Became {
        self.now += 1;
        match ledger {
            LedgerId::Vault => {
                self.vault.push(stored);
                self.state = judge_vault(&self.state, &self.vault);
                became(self.state.judged().last().map(|j| j.verdict), self.state.stop())
            }
            LedgerId::Dataset(_) => {
                self.dataset.push(stored);
                let next = judge_dataset(self, &self.dataset);
                let outcome = became(next.judged().last().map(|j| j.verdict), next.stop());
                self.data = Some(next);
                outcome
            }
            LedgerId::Exposure(_) => {
                self.exposure.push(stored);
                self.counts = self.fold_exposure(&self.exposure);
                became(self.counts.judged().last().map(|j| j.verdict), self.counts.stop())
            }
        }
    }

    /// What would become of an entry, without appending it.
    pub(crate) fn would(&self, ledger: &LedgerId, stored: Vec<u8>) -> Became {
        let mut entries = self.entries(ledger).to_vec();
        entries.push(stored);
        match ledger {
            LedgerId::Vault => {
                let next = judge_vault(&self.state, &entries);
                became(next.judged().last().map(|j| j.verdict), next.stop())
            }
            LedgerId::Dataset(_) => {
                let next = judge_dataset(self, &entries);
                became(next.judged().last().map(|j| j.verdict), next.stop())
            }
            LedgerId::Exposure(_) => {
                let next = self.fold_exposure(&entries);
                became(next.judged().last().map(|j| j.verdict), next.stop())
            }
        }
    }

    #[track_caller]
    pub(crate) fn vault_does(&mut self, signer: &str, body: Body) -> EntryHash {
        let stored = self.sign(signer, &self.vault_draft(signer, body));
        assert_eq!(self.put(&LedgerId::Vault, stored), Applied);
        self.state.head().unwrap().hash
    }

    #[track_caller]
    pub(crate) fn does(&mut self, signer: &str, body: Body) -> EntryHash {
        let statement = self.dataset_draft(signer, body);
        self.puts(signer, &statement)
    }

    #[track_caller]
    pub(crate) fn puts(&mut self, signer: &str, statement: &Statement) -> EntryHash {
        let stored = self.sign(signer, statement);
        assert_eq!(self.put(&statement.ledger, stored), Applied);
        self.data().head().unwrap().hash
    }

    #[track_caller]
    pub(crate) fn counts_does(&mut self, signer: &str, body: Body) -> EntryHash {
        let stored = self.sign(signer, &self.draft(LedgerId::Exposure(recipient()), signer, body));
        assert_eq!(self.put(&LedgerId::Exposure(recipient()), stored), Applied);
        self.counts.judged().last().unwrap().hash
    }

    #[track_caller]
    pub(crate) fn vault_refuses(&self, signer: &str, body: Body, why: &'static str) {
        let stored = self.sign(signer, &self.vault_draft(signer, body));
        assert_eq!(self.would(&LedgerId::Vault, stored), Void(why));
    }

    #[track_caller]
    pub(crate) fn refuses(&self, signer: &str, body: Body, why: &'static str) {
        let statement = self.dataset_draft(signer, body);
        self.refuses_statement(signer, &statement, why);
    }

    #[track_caller]
    pub(crate) fn refuses_statement(&self, signer: &str, statement: &Statement, why: &'static str) {
        assert_eq!(self.would(&statement.ledger, self.sign(signer, statement)), Void(why));
    }

    #[track_caller]
    pub(crate) fn counts_refuses(&self, signer: &str, body: Body, why: &'static str) {
        let statement = self.draft(LedgerId::Exposure(recipient()), signer, body);
        self.refuses_statement(signer, &statement, why);
    }

    /// Asserts that the body would count but for what it cites, so that it stops the fold.
    #[track_caller]
    pub(crate) fn stops(&self, signer: &str, body: Body) {
        let statement = self.dataset_draft(signer, body);
        assert_eq!(self.would(&statement.ledger, self.sign(signer, &statement)), Forked);
    }

    /// Whether the body would be applied now.
    pub(crate) fn allows(&self, signer: &str, body: Body) -> bool {
        let statement = self.dataset_draft(signer, body);
        self.would(&statement.ledger, self.sign(signer, &statement)) == Applied
    }

    /// Folds the dataset anew under the vault as it is now.
    pub(crate) fn refold(&mut self) {
        self.data = Some(self.fold_dataset(&self.dataset));
    }

    pub(crate) fn fold_dataset(&self, entries: &[Vec<u8>]) -> DatasetState {
        DatasetState::fold(&self.state, &self.exposures(), &dataset_id(), entries).unwrap()
    }

    pub(crate) fn exposures(&self) -> Exposures {
        let mut all = Exposures::default();
        all.insert(self.counts.clone());
        all
    }

    fn fold_exposure(&self, entries: &[Vec<u8>]) -> ExposureState {
        let creator = self.dataset.first().and_then(|first| creator_of(first));
        let creators = creator.map(|c| (dataset_id(), c)).into_iter().collect();
        ExposureState::fold(&self.state, &creators, recipient(), entries)
    }

    // --- bodies ---

    pub(crate) fn b64(&self, name: &str) -> B64 {
        B64(self.who(name).card.stored().to_vec())
    }

    pub(crate) fn enrolled(&self, name: &str) -> Body {
        Body::MemberEnrolled(MemberEnrolled { cards: vec![self.b64(name)], info: info(name), member: member(name) })
    }

    pub(crate) fn card_added(&self, name: &str, approval: Option<Approval>) -> Body {
        let terms = CardAddedTerms { card: self.b64(name), member: member(name) };
        Body::CardAdded(CardAdded { approval, terms })
    }

    pub(crate) fn card_retired(&self, name: &str) -> Body {
        Body::CardRetired(CardRetired { card: self.card(name), member: member(name), reason: text("lost") })
    }

    pub(crate) fn seal(&mut self, name: &str) -> Seal {
        Seal { card: self.card(name), member: member(name), sha256: self.digest() }
    }

    pub(crate) fn created(&mut self) -> Body {
        let seals = [self.seal("stella"), self.seal("reco")].into_iter().collect();
        Body::DatasetCreated(DatasetCreated {
            epoch: FirstEpoch { public: self.new_public(), seals },
            facts: facts(json!({"category": "wgs"})),
            level: 1,
            recovery: [self.card("reco")].into_iter().collect(),
            title: text("Cohort 1"),
        })
    }

    pub(crate) fn new_public(&mut self) -> B64 {
        B64(public_key(self.suite, &mut self.rng).as_bytes().to_vec())
    }

    /// Seals of every unclosed epoch to these cards.
    pub(crate) fn epoch_seals(&mut self, owner: &str, cards: &[CardId]) -> Set<EpochSeal> {
        let epochs: Vec<u64> = self.data().unclosed().map(|(n, _)| n).collect();
        let pairs = cards.iter().flat_map(|card| epochs.iter().map(move |n| (*card, *n)));
        pairs
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(card, epoch)| EpochSeal { card, epoch, member: member(owner), sha256: self.digest() })
            .collect()
    }

    pub(crate) fn current_cards(&self, owner: &str) -> Vec<CardId> {
        self.state.current_cards(&member(owner), self.state.last_seq()).map(|c| *c.card.id()).collect()
    }

    pub(crate) fn grant(&mut self, name: &str) -> Granted {
        let cards = self.current_cards(name);
        Granted {
            approval: None,
            reservation: None,
            seals: self.epoch_seals(name, &cards),
            terms: GrantTerms { ends: None, facts: Facts::default(), member: member(name) },
            trace: None,
        }
    }

    pub(crate) fn granted(&mut self, name: &str) -> Body {
        Body::Granted(self.grant(name))
    }

    pub(crate) fn card_sealed(&mut self, owner: &str, cards: &[CardId]) -> Body {
        Body::CardSealed(CardSealed { member: member(owner), seals: self.epoch_seals(owner, cards) })
    }

    /// The next epoch as the state wants it.
    pub(crate) fn epoch(&mut self, revokes: &[&str]) -> EpochOpened {
        let revokes: BTreeSet<MemberId> = revokes.iter().map(|m| member(m)).collect();
        let (cards, unsealed) = self.data().next_holders(&self.state, self.at(), &revokes);
        EpochOpened {
            epoch: self.data().newest() + 1,
            public: self.new_public(),
            reason: text("test"),
            revokes: revokes.into_iter().collect(),
            seals: cards.into_iter().map(|(member, card)| Seal { card, member, sha256: self.digest() }).collect(),
            unsealed: unsealed.into_iter().collect(),
        }
    }

    pub(crate) fn epoch_opened(&mut self, revokes: &[&str]) -> Body {
        Body::EpochOpened(self.epoch(revokes))
    }

    pub(crate) fn close(&mut self) -> EpochClosed {
        let epoch = self.data().newest();
        let count = self.data().in_scope_before(epoch).count() as u64;
        EpochClosed { count, epoch, table: (count > 0).then(|| self.digest()), void: Set::default() }
    }

    pub(crate) fn epoch_closed(&mut self) -> Body {
        Body::EpochClosed(self.close())
    }

    pub(crate) fn reset(&mut self, author: &str) -> EpochReset {
        let at = self.at();
        let recovery: Vec<CardId> = self.data().recovery().iter().copied().collect();
        let mut cards: BTreeSet<(MemberId, CardId)> = BTreeSet::new();
        for card in recovery {
            let owner = self.state.card(&card).unwrap().member.clone();
            if self.state.is_current_card(&card, &owner, at.vault) {
                cards.insert((owner, card));
            }
        }
        cards.extend(self.current_cards(author).into_iter().map(|card| (member(author), card)));
        EpochReset {
            epoch: self.data().newest() + 1,
            public: self.new_public(),
            reason: text("nobody holds it"),
            seals: cards.into_iter().map(|(member, card)| Seal { card, member, sha256: self.digest() }).collect(),
            unreadable: self.data().manifests().iter().filter(|(_, m)| m.is_in_scope()).map(|(id, _)| *id).collect(),
        }
    }

    pub(crate) fn upload_opened(&mut self) -> (UploadId, Body) {
        let upload = UploadId(self.rng.array());
        (upload, Body::UploadOpened(UploadOpened { ends: self.now + DAY, upload }))
    }

    pub(crate) fn manifest(&mut self) -> ManifestHash {
        ManifestHash {
            blake3: self.digest(),
            files: 1,
            header: self.digest(),
            length: 400,
            manifest: ManifestId(self.rng.array()),
            packs: PacksHash { bytes: 1000, count: 1, list: self.digest() },
            root: self.digest(),
            supersedes: None,
        }
    }

    pub(crate) fn commit(&mut self, upload: UploadId) -> UploadCommitted {
        UploadCommitted { epoch: self.data().newest(), manifests: vec![self.manifest()], upload }
    }

    /// Opens and commits an upload of one manifest.
    #[track_caller]
    pub(crate) fn uploads(&mut self, name: &str) -> ManifestId {
        let (upload, opened) = self.upload_opened();
        self.does(name, opened);
        let commit = self.commit(upload);
        let id = commit.manifests[0].manifest;
        self.does(name, Body::UploadCommitted(commit));
        id
    }

    pub(crate) fn recovered(&self, action: RecoveryAction, ledger: LedgerId, seq: u64, hash: EntryHash) -> Body {
        let terms = RecoveredTerms { action, hash, ledger, seq };
        Body::Recovered(Recovered { approval: None, terms })
    }

    /// `recovered` for the fork at which the dataset's fold stopped.
    pub(crate) fn settles(&self) -> Body {
        let Some(Stop::Fork { ledger, seq, hash, .. }) = self.data().stop() else { panic!("no fork") };
        self.recovered(RecoveryAction::Void, ledger.clone(), *seq, *hash)
    }

    pub(crate) fn proposed<T: serde::Serialize>(&self, act: &str, terms: &T, beneficiary: Option<&str>) -> Proposed {
        let in_dataset = act == "granted" || act == "dataset-deleted";
        Proposed {
            act: act.to_owned(),
            ends: self.now + DAY,
            facts: in_dataset.then(|| self.data().facts().digest()),
            member: beneficiary.and_then(|m| self.state.member(&member(m))).and_then(|m| m.info()).map(Info::digest),
            pack: self.state.pack_at(self.state.last_seq()),
            terms: terms_digest(act, terms),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.compare {
            return;
        }
        let vault = VaultState::fold(self.state.id(), &self.vault).unwrap();
        assert_eq!(format!("{vault:?}"), format!("{:?}", self.state), "the vault ledger folds differently in one go");
        if let Some(data) = &self.data {
            let again = self.fold_dataset(&self.dataset);
            assert_eq!(format!("{again:?}"), format!("{data:?}"), "the dataset ledger folds differently in one go");
        }
    }
}

pub(crate) fn genesis(suite: Suite, people: &BTreeMap<String, Arc<Identity>>) -> Genesis {
    let first = |name: &str| GenesisMember {
        cards: vec![B64(people[name].card.stored().to_vec())],
        info: info(name),
        member: member(name),
    };
    Genesis {
        algorithms: Algorithms::of(suite),
        approvals: ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 },
        head_age: 30 * DAY,
        members: vec![first("olga"), first("reco")],
        nonce: vault_core::ids::VaultNonce([0; 16]),
        recovery: [*people["reco"].card.id()].into_iter().collect(),
        suite,
    }
}

pub(crate) fn sign(signer: &Identity, statement: &Statement) -> Vec<u8> {
    sign_payload(signer, statement.payload().unwrap())
}

pub(crate) fn sign_payload(signer: &Identity, payload: Vec<u8>) -> Vec<u8> {
    let sign = |pae: &[u8]| Ok::<_, Infallible>(signer.key.sign(pae));
    Envelope::signed_with(PayloadType::Statement, payload, *signer.card.id(), sign).unwrap().emit()
}

pub(crate) fn role(name: &str, role: Role, on: bool) -> Body {
    let dataset = role.is_of_dataset().then(dataset_id);
    Body::RoleSet(RoleSet { dataset, member: member(name), on, role })
}

pub(crate) fn member_retired(name: &str) -> Body {
    Body::MemberRetired(MemberRetired { member: member(name), reason: text("left") })
}

pub(crate) fn revoked(name: &str) -> Body {
    Body::Revoked(Revoked { member: member(name), reason: text("over") })
}

pub(crate) fn anchored() -> Body {
    Body::Anchored(Empty {})
}

/// Any statement that changes the vault: something to cite.
pub(crate) fn seen(byte: u8) -> Body {
    Body::Seen(Seen { list: Digest([byte; 32]) })
}

fn became(verdict: Option<Verdict>, stop: Option<&Stop>) -> Became {
    match (stop, verdict) {
        (Some(Stop::NeedsVersion { format, .. }), _) => NeedsVersion(*format),
        (Some(_), _) => Forked,
        (None, Some(Verdict::Applied)) => Applied,
        (None, Some(Verdict::Skipped)) => Skipped,
        (None, Some(Verdict::Void(why))) => Void(why),
        (None, None) => panic!("nothing was folded"),
    }
}

fn judge_vault(state: &VaultState, entries: &[Vec<u8>]) -> VaultState {
    if state.stop().is_some() {
        return VaultState::fold(state.id(), entries).unwrap();
    }
    let mut next = state.clone();
    next.extend(&entries[entries.len() - 1..]);
    next
}

fn judge_dataset(world: &World, entries: &[Vec<u8>]) -> DatasetState {
    match &world.data {
        Some(state) if state.stop().is_none() => {
            let mut next = state.clone();
            next.extend(&world.state, &world.exposures(), &entries[entries.len() - 1..]);
            next
        }
        _ => world.fold_dataset(entries),
    }
}

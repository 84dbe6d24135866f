//! The driver: people do what clients do, with what they see, until they crash; after each step the model is told what was meant.
//!
//! Clients here are as thin as they can be: they ask the fold and [`rotation`] what to say, open what they need by the ledger and
//! seal with the real code. One that looks at an old view plans with it; whether the statement counts is the fold's to say, and the
//! model says it too.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use vault_core::context::Scope;
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::hazmat::{kdf, tree};
use vault_core::ids::VaultNonce;
use vault_core::ids::{
    CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, PackName, UploadId, VaultId,
};
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::fold::{At, Verdict, entry_hash};
use vault_core::ledger::statement::*;
use vault_core::ledger::vault::VaultState;
use vault_core::manifest::{Draft, Extras, FileRecord, Manifest, VaultPath};
use vault_core::pack::{PackEntry, PackHash, PackList};
use vault_core::rotation::{self, Goal, Step};
use vault_core::seal;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use vault_keys::custodian::Custodian;
use vault_keys::memory::MemoryCustodian;

mod acts;
mod compare;
mod epochs;
mod uploads;

use super::bucket::{Bucket, Keys, Ring, secret};
use super::ideal::{Ideal, Key, Store};
use super::rules::{DataModel, VaultModel};

/// One attempt, as numbers that the run makes sense of. Nothing of it, all zeros, is the tamest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Try {
    pub(crate) act: u8,
    pub(crate) who: u8,
    pub(crate) whom: u8,
    /// What is done otherwise than an honest client would; 0 is nothing.
    pub(crate) bend: u8,
    /// How old the view is; 0 is fresh.
    pub(crate) stale: u8,
    /// After how many steps the client crashes; 0 is never.
    pub(crate) crash: u8,
}

/// How many acts there are to choose from.
pub(crate) const ACTS: u8 = 38;

/// A fault planted in the client or the storage, to see that the comparison would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// A rotation seals the new secret, unnamed, to whoever held the old one too.
    RotationSealsToThoseWhoLeft,
    /// A rotation goes on with the old epoch's secret.
    RotationKeepsTheSecret,
    /// A table holds another key for a manifest than its own.
    TableHoldsAnotherKey,
    /// A rotation lists a manifest as void instead of carrying it on.
    RotationDropsAManifest,
    /// The end of a rotation leaves the old seals where they are.
    CleanUpLeavesSeals,
    /// Old objects are deleted before the epoch is closed.
    CleanUpComesTooEarly,
    /// A manifest's key is that of the upload before.
    ManifestKeyIsReused,
    /// A commit's header is sealed to the epoch before the newest.
    HeaderForTheEpochBefore,
    /// A grant writes a seal of the newest epoch alone, and names others that are not there.
    GrantSealsTheNewestAlone,
    /// A card's seal holds another secret than the epoch's.
    SealHoldsAnotherSecret,
}

/// Why an act ended before its end.
#[derive(Debug)]
enum Halt {
    /// The client crashed, or could not go on.
    Ends,
    /// Code and model differ.
    Wrong(String),
}

impl From<String> for Halt {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Landed {
    Yes,
    Void,
    /// The number was taken.
    Lost,
}

/// What a client saw of the ledgers when it began, and its clock.
#[derive(Debug, Clone, Copy)]
struct Eyes {
    vault: usize,
    data: usize,
    time: u64,
    /// Whether it looks again just before it appends.
    looks_again: bool,
}

/// An upload that is not committed yet: a journal.
#[derive(Debug, Clone)]
struct Pending {
    upload: UploadId,
    manifest: ManifestId,
    key: [u8; 32],
    author: MemberId,
    card: CardId,
    spoiled: bool,
    opened: bool,
    signed: Option<ManifestHash>,
}

/// Counts of what a run met, to see that it is not all refusals.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) applied: u64,
    pub(crate) void: u64,
    pub(crate) lost: u64,
    pub(crate) crashes: u64,
    pub(crate) commits: u64,
    pub(crate) epochs: u64,
    pub(crate) closed: u64,
    pub(crate) checks: u64,
    pub(crate) opens: u64,
    pub(crate) read: u64,
    pub(crate) limits: u64,
    pub(crate) barred: u64,
    pub(crate) promised: u64,
    /// Closings by stewards without the keys.
    pub(crate) keyless: u64,
}

/// Repeatable; nothing here is secret.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.try_fill_bytes(&mut out).unwrap();
        out
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&kdf::sha256(&self.0.to_be_bytes())[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Dice {}

/// Who there is at first: an officer, the member of the recovery card, two stewards, two readers, two uploaders.
const CAST: [&str; 8] = ["olga", "reco", "stella", "sven", "rita", "rolf", "uma", "ulf"];
const BEGIN: u64 = 1_800_000_000;

fn text() -> Text {
    Text::parse("x").unwrap()
}

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> Set<T> {
    items.into_iter().collect()
}

pub(crate) struct Run {
    dice: Dice,
    suite: Suite,
    now: u64,
    vault: Vec<Vec<u8>>,
    vaults: Vec<VaultState>,
    entries: Vec<Vec<u8>>,
    datas: Vec<DatasetState>,
    bucket: Bucket,
    keys: Keys,
    ideal: Ideal,
    owners: BTreeMap<CardId, MemberId>,
    pending: Vec<Pending>,
    draws: u32,
    fuel: Option<u8>,
    fault: Fault,
    /// Whether the last rotation deleted all that it could.
    cleaned: bool,
    pub(crate) met: Met,
    pub(crate) log: Vec<String>,
}

impl Run {
    /// A vault, its people, and a dataset that stella created.
    pub(crate) fn new(suite: Suite, seed: u64, fault: Fault) -> Self {
        let mut dice = Dice(seed << 24);
        let mut custodians = BTreeMap::new();
        let mut owners = BTreeMap::new();
        let mut first = BTreeMap::new();
        for name in CAST {
            let custodian = MemoryCustodian::generate(suite, name, BEGIN, &mut dice).unwrap();
            let id = *custodian.card().id();
            first.insert(name, id);
            owners.insert(id, member(name));
            custodians.insert(id, custodian);
        }
        let person = |name: &&str| GenesisMember {
            cards: vec![B64(custodians[&first[name]].card().stored().to_vec())],
            info: Info {
                facts: Facts::default(),
                jurisdiction: Jurisdiction::parse("CN").unwrap(),
                kind: OrganisationKind::Hospital,
                organisation: text(),
            },
            member: member(name),
        };
        let genesis = Genesis {
            algorithms: Algorithms::of(suite),
            approvals: ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 },
            head_age: 86_400,
            members: CAST.iter().map(person).collect(),
            nonce: VaultNonce([0; 16]),
            recovery: set([first["reco"]]),
            suite,
        };
        let statement = Statement {
            author: member("olga"),
            body: Body::Genesis(genesis),
            card: first["olga"],
            ledger: LedgerId::Vault,
            prev: None,
            seq: 0,
            time: BEGIN,
            vault: None,
            vault_head: None,
        };
        let stored = sign(&custodians[&first["olga"]], &statement);
        let id = VaultId(entry_hash(None, &stored).0);
        let state = VaultState::fold(&id, &[&stored]).unwrap();
        let scope = Scope { suite, vault: Some(id), dataset: Some("d1".parse().unwrap()) };
        let mut ideal = Ideal::default();
        let mut everybody = VaultModel::default();
        everybody.members.extend(owners.values().cloned());
        everybody.cards.extend(owners.iter().map(|(card, m)| (*card, m.clone())));
        everybody.officers.insert(member("olga"));
        ideal.vault.push(everybody);
        let mut run = Self {
            dice,
            suite,
            now: BEGIN,
            vault: vec![stored],
            vaults: vec![state],
            entries: Vec::new(),
            datas: Vec::new(),
            bucket: Bucket::default(),
            keys: Keys::new(scope, custodians),
            ideal,
            owners,
            pending: Vec::new(),
            draws: 0,
            fuel: None,
            fault,
            cleaned: false,
            met: Met::default(),
            log: Vec::new(),
        };
        run.begin(&first).unwrap_or_else(|why| panic!("the first statements: {why:?}"));
        run
    }

    fn begin(&mut self, first: &BTreeMap<&str, CardId>) -> Result<(), Halt> {
        let role = |name: &str, role: Role| {
            let dataset = role.is_of_dataset().then(|| "d1".parse().unwrap());
            Body::RoleSet(RoleSet { dataset, member: member(name), on: true, role })
        };
        self.say_vault(first["olga"], role("stella", Role::Creator))?;
        self.say_vault(first["olga"], role("sven", Role::Steward))?;
        let (epoch, draw) = self.draw();
        let to: BTreeSet<(MemberId, CardId)> =
            ["stella", "reco"].into_iter().map(|name| (member(name), first[name])).collect();
        let seals = self.seal_epoch(&member("stella"), 1, &epoch, draw, &to)?;
        let created = DatasetCreated {
            epoch: FirstEpoch {
                public: B64(epoch.public_key(&self.keys.scope, 1).as_bytes().to_vec()),
                seals: set(seals),
            },
            facts: Facts::default(),
            level: 1,
            recovery: set([first["reco"]]),
            title: text(),
        };
        let statement = Statement {
            author: member("stella"),
            body: Body::DatasetCreated(created.clone()),
            card: first["stella"],
            ledger: self.ledger(),
            prev: Some(EntryHash(self.vaults[0].id().0)),
            seq: 0,
            time: self.now,
            vault: Some(*self.vaults[0].id()),
            vault_head: self.vaults.last().unwrap().head(),
        };
        let stored = sign(&self.keys.custodians[&first["stella"]], &statement);
        let state = DatasetState::fold(self.vaults.last().unwrap(), &Exposures::default(), &self.dataset(), &[&stored])
            .unwrap();
        self.entries.push(stored);
        self.datas.push(state);
        self.ideal.data.push(DataModel::new(&statement, &created));
        self.ideal.drawn.insert(1, draw);
        let eyes = self.fresh();
        for name in ["uma", "ulf"] {
            self.say(eyes, first["stella"], Body::UploaderSet(UploaderSet { member: member(name), on: true }))?;
        }
        Ok(())
    }

    fn dataset(&self) -> DatasetId {
        self.keys.scope.dataset.clone().unwrap()
    }

    fn ledger(&self) -> LedgerId {
        LedgerId::Dataset(self.dataset())
    }

    fn fresh(&self) -> Eyes {
        Eyes { vault: self.vaults.len() - 1, data: self.datas.len() - 1, time: self.now, looks_again: true }
    }

    /// A view that is behind in one ledger or both, or a clock that is wrong.
    fn eyes(&self, t: Try) -> Eyes {
        let fresh = self.fresh();
        let back = |last: usize, by: u8| last - usize::from(by).min(last);
        match t.stale {
            0 => fresh,
            n @ 1..=3 => Eyes { vault: back(fresh.vault, n), ..fresh },
            n @ 4..=7 => Eyes { data: back(fresh.data, n - 3), ..fresh },
            n @ 8..=11 => Eyes { data: back(fresh.data, n - 7), looks_again: false, ..fresh },
            n @ 12..=14 => Eyes { vault: back(fresh.vault, n - 11), data: back(fresh.data, n - 11), ..fresh },
            15 => Eyes { time: self.now + 40, ..fresh },
            _ => Eyes { time: self.now - 40, ..fresh },
        }
    }

    fn at(&self, eyes: Eyes) -> At {
        At { time: eyes.time, vault: eyes.vault as u64 }
    }

    fn plan(&self, eyes: Eyes) -> DatasetState {
        self.datas[eyes.data].clone()
    }

    /// A step at which a client can crash.
    fn step(&mut self) -> Result<(), Halt> {
        match &mut self.fuel {
            Some(0) => {
                self.met.crashes += 1;
                self.log.push("  .. and crashes".to_owned());
                Err(Halt::Ends)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    // --- ledgers ---

    fn say_vault(&mut self, card: CardId, body: Body) -> Result<Landed, Halt> {
        self.step()?;
        let last = self.vaults.last().unwrap();
        let statement = Statement {
            author: self.owners[&card].clone(),
            body,
            card,
            ledger: LedgerId::Vault,
            prev: last.head().map(|h| h.hash),
            seq: self.vault.len() as u64,
            time: self.now,
            vault: Some(*last.id()),
            vault_head: None,
        };
        let stored = sign(&self.keys.custodians[&card], &statement);
        let mut next = last.clone();
        next.extend(&[&stored]);
        let verdict = next.judged().last().unwrap().verdict;
        let expected = self.ideal.take_vault(&statement);
        self.vault.push(stored);
        self.vaults.push(next);
        self.judged("vault", &statement, verdict, expected)
    }

    /// What the client would sign: planned with what it saw, placed behind what there is.
    fn draft(&self, eyes: Eyes, card: CardId, body: Body) -> Statement {
        let seen = if eyes.looks_again { self.datas.last().unwrap() } else { &self.datas[eyes.data] };
        Statement {
            author: self.owners[&card].clone(),
            body,
            card,
            ledger: self.ledger(),
            prev: seen.head().map(|h| h.hash),
            seq: seen.judged().len() as u64,
            time: eyes.time,
            vault: Some(*self.vaults[0].id()),
            vault_head: self.vaults[eyes.vault].head(),
        }
    }

    fn say(&mut self, eyes: Eyes, card: CardId, body: Body) -> Result<Landed, Halt> {
        self.step()?;
        let statement = self.draft(eyes, card, body);
        if statement.seq != self.entries.len() as u64 {
            self.met.lost += 1;
            self.log.push(format!("  {} of {}: the number is taken", statement.body.kind(), statement.author));
            return Ok(Landed::Lost);
        }
        let stored = sign(&self.keys.custodians[&card], &statement);
        let mut next = self.datas.last().unwrap().clone();
        next.extend(self.vaults.last().unwrap(), &Exposures::default(), &[&stored]);
        if let Some(stop) = next.stop() {
            return Err(Halt::Wrong(format!("the fold stops: {stop}")));
        }
        let verdict = next.judged().last().unwrap().verdict;
        let expected = self.ideal.take(&statement);
        self.entries.push(stored);
        self.datas.push(next);
        self.judged("dataset", &statement, verdict, expected)
    }

    fn judged(&mut self, ledger: &str, s: &Statement, verdict: Verdict, expected: bool) -> Result<Landed, Halt> {
        self.now += 1;
        self.log.push(format!("  {ledger} {} by {}: {verdict:?}", s.body.kind(), s.author));
        if (verdict == Verdict::Applied) != expected {
            let should = if expected { "should count" } else { "should be void" };
            return Err(Halt::Wrong(format!("the fold says {verdict:?} of what {should}: {s:?}")));
        }
        if expected {
            self.met.applied += 1;
            Ok(Landed::Yes)
        } else {
            self.met.void += 1;
            Ok(Landed::Void)
        }
    }

    /// Whether the model would let a statement count.
    fn would_count(&self, eyes: Eyes, card: CardId, body: &Body) -> bool {
        let s = self.draft(eyes, card, body.clone());
        let view = super::rules::View { vault: &self.ideal.vault[eyes.vault], time: s.time };
        self.ideal.dataset().clone().take(&view, eyes.vault as u64, &s)
    }

    /// Appends a statement that must not count: whoever says it can't do what it says. If the model would let it count, nothing is said.
    fn say_in_vain(&mut self, eyes: Eyes, card: CardId, body: Body) -> Result<(), Halt> {
        if !self.would_count(eyes, card, &body) {
            self.say(eyes, card, body)?;
        }
        Ok(())
    }

    // --- objects ---

    fn put(
        &mut self,
        name: &ObjectName,
        bytes: Vec<u8>,
        by: &MemberId,
        lock: Option<(Key, Vec<Key>)>,
    ) -> Result<(), Halt> {
        self.step()?;
        self.bucket.put(name, bytes, by);
        if let Some((opened_by, gives)) = lock {
            self.ideal.lock(name.to_string(), opened_by, gives);
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Halt> {
        self.step()?;
        self.ideal.delete(name);
        self.bucket.live.remove(name);
        Ok(())
    }

    fn draw(&mut self) -> (EpochSecret, u32) {
        let bytes: [u8; 32] = self.dice.array();
        self.draws += 1;
        self.keys.is_called(bytes, Key::Epoch(self.draws));
        (self.epoch_of(&bytes), self.draws)
    }

    fn epoch_of(&self, bytes: &[u8; 32]) -> EpochSecret {
        // A secret is taken if it gives the public key; that of epoch 1 is as good as any.
        let key = kdf::expand_sha256(&secret(bytes), self.keys.scope.epoch_key_pair(1).as_bytes());
        let public = seal::PrivateKey::from_secret(self.suite, key).public_key();
        EpochSecret::accept(secret(bytes), &self.keys.scope, 1, &public).unwrap()
    }

    /// Writes seals of one epoch's secret; their hashes.
    fn seal_epoch(
        &mut self,
        author: &MemberId,
        n: u64,
        epoch: &EpochSecret,
        draw: u32,
        to: &BTreeSet<(MemberId, CardId)>,
    ) -> Result<Vec<Seal>, Halt> {
        let mut seals = Vec::new();
        for (owner, card) in to {
            let is_wrong = self.fault == Fault::SealHoldsAnotherSecret && owner.as_str() == "rita";
            let other = is_wrong.then(|| self.draw().0);
            let bytes = {
                let recipient = self.keys.custodians[card].card();
                let epoch = other.as_ref().unwrap_or(epoch);
                epoch.seal_to(&self.keys.scope, n, author, recipient, &mut self.dice).unwrap()
            };
            let sha256 = Digest(kdf::sha256(&bytes));
            let name = ObjectName::Grant {
                dataset: self.dataset(),
                epoch: n,
                member: owner.clone(),
                card: *card,
                hash: sha256,
            };
            self.put(&name, bytes, author, Some((Key::Card(*card), vec![Key::Epoch(draw)])))?;
            seals.push(Seal { card: *card, member: owner.clone(), sha256 });
        }
        Ok(seals)
    }

    fn withdraw(&mut self, n: u64, seals: impl IntoIterator<Item = Seal>) -> Result<(), Halt> {
        for s in seals {
            let name =
                ObjectName::Grant { dataset: self.dataset(), epoch: n, member: s.member, card: s.card, hash: s.sha256 };
            self.delete(&name.to_string())?;
        }
        Ok(())
    }
}

fn sign(custodian: &MemoryCustodian, statement: &Statement) -> Vec<u8> {
    let payload = statement.payload().unwrap();
    let id = *custodian.card().id();
    Envelope::signed_with(PayloadType::Statement, payload, id, |pae| custodian.sign(pae)).unwrap().emit()
}

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
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, PackName, UploadId, VaultId};
use vault_core::ids::VaultNonce;
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
pub(crate) const ACTS: u8 = 34;

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
            epoch: FirstEpoch { public: B64(epoch.public_key(&self.keys.scope, 1).as_bytes().to_vec()), seals: set(seals) },
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
        let state =
            DatasetState::fold(self.vaults.last().unwrap(), &Exposures::default(), &self.dataset(), &[&stored]).unwrap();
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

    fn put(&mut self, name: &ObjectName, bytes: Vec<u8>, by: &MemberId, lock: Option<(Key, Vec<Key>)>) -> Result<(), Halt> {
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
            let bytes = {
                let recipient = self.keys.custodians[card].card();
                let other = (self.fault == Fault::SealHoldsAnotherSecret && owner.as_str() == "rita")
                    .then(|| self.epoch_of(&[7; 32]));
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
            let name = ObjectName::Grant { dataset: self.dataset(), epoch: n, member: s.member, card: s.card, hash: s.sha256 };
            self.delete(&name.to_string())?;
        }
        Ok(())
    }

    // --- acts ---

    /// Does one act and compares.
    pub(crate) fn attempt(&mut self, t: Try) -> Result<(), String> {
        self.fuel = t.crash.checked_sub(1);
        let ended = self.act(t);
        self.fuel = None;
        match ended {
            Ok(()) | Err(Halt::Ends) => {}
            Err(Halt::Wrong(why)) => return Err(why),
        }
        if (t.who ^ t.whom).is_multiple_of(6) { self.compare() } else { Ok(()) }
    }

    fn act(&mut self, t: Try) -> Result<(), Halt> {
        let cards: Vec<CardId> = self.owners.keys().copied().collect();
        let officer = self.card_of("olga");
        let card = cards[usize::from(t.who) % cards.len()];
        let other = cards[usize::from(t.whom) % cards.len()];
        let target = self.owners[&other].clone();
        let steward = self.steward(t);
        let eyes = self.eyes(t);
        self.log.push(format!("{t:?}: {} ({card:?}), {target}", self.owners[&card]));
        match t.act {
            0 => {
                self.now += 5 * u64::from(t.bend);
                Ok(())
            }
            1 | 2 => {
                self.keys.copies_all(&self.bucket, card);
                self.ideal.copies_all(card);
                Ok(())
            }
            3 => {
                let signer = if t.bend == 0 { officer } else { other };
                self.add_card(signer, &target)
            }
            4 => {
                let body = CardRetired { card: other, member: target, reason: text() };
                self.say_vault(if t.bend < 8 { officer } else { card }, Body::CardRetired(body)).map(drop)
            }
            5 if t.bend > 8 => {
                let body = MemberRetired { member: target, reason: text() };
                self.say_vault(officer, Body::MemberRetired(body)).map(drop)
            }
            5 => {
                let dataset = Some(self.dataset());
                let body = RoleSet { dataset, member: target, on: t.bend.is_multiple_of(2), role: Role::Steward };
                self.say_vault(officer, Body::RoleSet(body)).map(drop)
            }
            6 => {
                let signer = [officer, steward, card][usize::from(t.bend) % 3];
                self.say(eyes, signer, Body::Revoked(Revoked { member: target, reason: text() })).map(drop)
            }
            7 => self.say(eyes, steward, Body::Suspended(Suspended { members: set([target]), reason: text() })).map(drop),
            8..=11 => self.grant(t, eyes, if t.bend == 7 { card } else { steward }, &target),
            12 => self.seal_cards(eyes, if t.bend < 6 { steward } else { other }, &target),
            13 => self.set_recovery(t, eyes, steward, other),
            14..=19 => self.rotate(t, eyes, if t.bend == 7 { card } else { steward }),
            20 => self.open_with_revocation(t, eyes, steward, &target),
            21..=26 => {
                let uploader = if t.bend == 7 { card } else { self.uploader(t) };
                self.upload(t, eyes, uploader)
            }
            27..=29 => {
                let Some(n) = (!self.pending.is_empty()).then(|| usize::from(t.whom) % self.pending.len()) else {
                    return Ok(());
                };
                self.go_on(t, eyes, n)
            }
            30 => {
                let ids: Vec<ManifestId> = self.ideal.dataset().manifests.keys().copied().collect();
                let Some(manifest) = ids.get(usize::from(t.whom) % ids.len().max(1)) else { return Ok(()) };
                let body = ManifestRemoved { manifest: *manifest, reason: text() };
                self.say(eyes, if t.bend < 12 { steward } else { card }, Body::ManifestRemoved(body)).map(drop)
            }
            31 => self.reset(eyes, steward),
            32 => self.say(eyes, card, Body::Anchored(Empty {})).map(drop),
            _ => {
                let on = t.bend.is_multiple_of(2);
                self.say(eyes, steward, Body::UploaderSet(UploaderSet { member: target, on })).map(drop)
            }
        }
    }

    fn card_of(&self, name: &str) -> CardId {
        let name = member(name);
        let now = self.ideal.vault.last().unwrap();
        let current = now.cards.iter().find(|(_, m)| **m == name).map(|(card, _)| *card);
        current.unwrap_or_else(|| *self.owners.iter().find(|(_, m)| **m == name).unwrap().0)
    }

    /// One of the stewards' cards, most often one that can work.
    fn steward(&self, t: Try) -> CardId {
        let now = self.ideal.vault.last().unwrap();
        let is = |m: &MemberId| *now.stewards.get(m).unwrap_or(&(m.as_str() == "stella"));
        let cards: Vec<CardId> = now.cards.iter().filter(|(_, m)| is(m)).map(|(card, _)| *card).collect();
        let able: Vec<CardId> = cards.iter().copied().filter(|c| self.ideal.promised().contains(c)).collect();
        let from = if able.is_empty() || t.who.is_multiple_of(5) { &cards } else { &able };
        from.get(usize::from(t.who) % from.len().max(1)).copied().unwrap_or_else(|| self.card_of("stella"))
    }

    fn uploader(&self, t: Try) -> CardId {
        if t.who.is_multiple_of(4) { self.steward(t) } else { self.card_of(["uma", "ulf"][usize::from(t.who) % 2]) }
    }

    fn add_card(&mut self, signer: CardId, owner: &MemberId) -> Result<(), Halt> {
        if self.owners.len() > 20 {
            return Ok(());
        }
        let custodian = MemoryCustodian::generate(self.suite, owner.as_str(), self.now, &mut self.dice).unwrap();
        let id = *custodian.card().id();
        let card = B64(custodian.card().stored().to_vec());
        let terms = CardAddedTerms { card, member: owner.clone() };
        if self.say_vault(signer, Body::CardAdded(CardAdded { approval: None, terms }))? == Landed::Yes {
            self.owners.insert(id, owner.clone());
            self.keys.custodians.insert(id, custodian);
        }
        Ok(())
    }

    fn current_cards(&self, eyes: Eyes, owner: &MemberId) -> BTreeSet<(MemberId, CardId)> {
        let vault = &self.vaults[eyes.vault];
        vault.current_cards(owner, eyes.vault as u64).map(|c| (owner.clone(), *c.card.id())).collect()
    }

    /// The secrets of all unclosed epochs, if the ledger gives them to this card.
    fn all_secrets(&self, plan: &DatasetState, card: CardId) -> Result<Option<Ring>, Halt> {
        // Somebody else may have deleted what an old view names: then there is nothing to be had, and nothing is wrong.
        let Ok(ring) = self.keys.ring(&self.bucket, plan, &self.owners[&card], card) else { return Ok(None) };
        Ok(plan.unclosed().all(|(n, _)| ring.epochs.contains_key(&n)).then_some(ring))
    }

    /// Writes seals of all unclosed epochs to cards; their hashes. `None` if the signer does not have the secrets.
    fn seal_unclosed(
        &mut self,
        plan: &DatasetState,
        card: CardId,
        to: &BTreeSet<(MemberId, CardId)>,
    ) -> Result<Option<Vec<EpochSeal>>, Halt> {
        let Some(ring) = self.all_secrets(plan, card)? else { return Ok(None) };
        let author = self.owners[&card].clone();
        let newest = plan.newest();
        let mut all = Vec::new();
        for (n, epoch) in &ring.epochs {
            let draw = self.ideal.drawn[n];
            if self.fault == Fault::GrantSealsTheNewestAlone && *n < newest {
                all.extend(to.iter().map(|(m, c)| EpochSeal { card: *c, epoch: *n, member: m.clone(), sha256: Digest([9; 32]) }));
                continue;
            }
            for (_, c) in to {
                self.ideal.is_let_in(*c, *n);
            }
            let seals = self.seal_epoch(&author, *n, epoch, draw, to)?;
            all.extend(seals.into_iter().map(|s| EpochSeal { card: s.card, epoch: *n, member: s.member, sha256: s.sha256 }));
        }
        Ok(Some(all))
    }

    /// Hashes of seals that there are not: what somebody without the secrets can say.
    fn made_up(&mut self, plan: &DatasetState, to: &BTreeSet<(MemberId, CardId)>) -> Vec<EpochSeal> {
        let epochs: Vec<u64> = plan.unclosed().map(|(n, _)| n).collect();
        let dice = &mut self.dice;
        let pairs = to.iter().flat_map(|(m, c)| epochs.iter().map(move |n| (m.clone(), *c, *n)));
        pairs
            .map(|(member, card, epoch)| EpochSeal { card, epoch, member, sha256: Digest(dice.array()) })
            .collect()
    }

    /// Writes seals and says the statement that names them; takes them back if it does not land.
    fn say_with_seals(
        &mut self,
        eyes: Eyes,
        card: CardId,
        to: &BTreeSet<(MemberId, CardId)>,
        body: impl Fn(Set<EpochSeal>) -> Body,
    ) -> Result<Landed, Halt> {
        let plan = self.plan(eyes);
        let made_up = self.made_up(&plan, to);
        // A client asks the fold it knows before it writes a seal.
        let asks = self.accepts(eyes, card, body(set(made_up.clone())));
        if !asks {
            self.say_in_vain(eyes, card, body(set(made_up)))?;
            return Ok(Landed::Void);
        }
        let Some(seals) = self.seal_unclosed(&plan, card, to)? else {
            self.say_in_vain(eyes, card, body(set(made_up)))?;
            return Ok(Landed::Void);
        };
        let landed = self.say(eyes, card, body(set(seals.clone())))?;
        if landed != Landed::Yes {
            for s in seals.into_iter().filter(|s| s.sha256.0 != [9; 32]) {
                self.withdraw(s.epoch, [Seal { card: s.card, member: s.member, sha256: s.sha256 }])?;
            }
        }
        Ok(landed)
    }

    /// Whether the ledgers as this client sees them would take a statement.
    fn accepts(&self, eyes: Eyes, card: CardId, body: Body) -> bool {
        let seen = Eyes { looks_again: false, ..eyes };
        let stored = sign(&self.keys.custodians[&card], &self.draft(seen, card, body));
        let mut state = self.plan(eyes);
        state.extend(&self.vaults[eyes.vault], &Exposures::default(), &[&stored]);
        state.judged().last().is_some_and(|j| j.verdict == Verdict::Applied) && state.judged().len() == eyes.data + 2
    }

    fn grant(&mut self, t: Try, eyes: Eyes, card: CardId, to: &MemberId) -> Result<(), Halt> {
        let ends = [None, None, None, Some(self.now + 25), Some(self.now + 90)][usize::from(t.crash ^ t.whom) % 5];
        let terms = GrantTerms { ends, facts: Facts::default(), member: to.clone() };
        let body = |seals| {
            Body::Granted(Granted { approval: None, reservation: None, seals, terms: terms.clone(), trace: None })
        };
        let mut cards = self.current_cards(eyes, to);
        match t.bend {
            // To a card that is no longer theirs too, or to one too few.
            12 => cards.extend(self.owners.iter().filter(|(_, m)| *m == to).map(|(c, m)| (m.clone(), *c))),
            13 => drop(cards.pop_first()),
            _ => {}
        }
        if matches!(t.bend, 12 | 13) {
            let plan = self.plan(eyes);
            let seals = self.made_up(&plan, &cards);
            return self.say_in_vain(eyes, card, body(set(seals)));
        }
        self.say_with_seals(eyes, card, &cards, body).map(drop)
    }

    fn seal_cards(&mut self, eyes: Eyes, card: CardId, owner: &MemberId) -> Result<(), Halt> {
        let cards = self.current_cards(eyes, owner);
        let body = |seals| Body::CardSealed(CardSealed { member: owner.clone(), seals });
        self.say_with_seals(eyes, card, &cards, body).map(drop)
    }

    fn set_recovery(&mut self, t: Try, eyes: Eyes, card: CardId, recovery: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let mut cards: BTreeSet<CardId> = [recovery].into();
        if t.bend > 3 {
            cards.extend(plan.recovery());
        }
        let owner = self.owners[&recovery].clone();
        let sealed = |n: u64| plan.epochs()[&n].seals.contains_key(&(owner.clone(), recovery));
        let new = !plan.recovery().contains(&recovery);
        // Only what is not sealed already; here all or nothing, the mixture is for the fold's own tests.
        let missing: Vec<u64> = plan.unclosed().map(|(n, _)| n).filter(|n| new && !sealed(*n)).collect();
        let body = |seals| Body::RecoverySet(RecoverySet { cards: cards.iter().copied().collect(), seals });
        if missing.is_empty() {
            return self.say(eyes, card, body(Set::default())).map(drop);
        }
        self.say_with_seals(eyes, card, &[(owner.clone(), recovery)].into(), body).map(drop)
    }

    // --- epochs ---

    fn rotate(&mut self, t: Try, mut eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let owner = self.owners[&card].clone();
        let plan = self.plan(eyes);
        let goal = if t.whom.is_multiple_of(3) { Goal::settle(&plan) } else { Goal::rotate(&plan) };
        if t.bend == 7 {
            return self.rotate_in_vain(t, eyes, card);
        }
        for _ in 0..5 {
            let plan = self.plan(eyes);
            let landed = match rotation::next(&plan, &self.vaults[eyes.vault], &owner, &card, self.at(eyes), goal) {
                Err(_) => return Ok(()),
                Ok(Step::Open { epoch, seal_to, unsealed }) => {
                    self.open_epoch(eyes, card, epoch, &seal_to, &unsealed, &BTreeSet::new())?
                }
                Ok(Step::Close { epoch, manifests }) => self.close(eyes, card, &plan, epoch, &manifests)?,
                Ok(Step::CleanUp { below }) => return self.clean_up(below),
            };
            if landed == Landed::Void {
                return Ok(());
            }
            eyes = self.fresh();
        }
        Ok(())
    }

    /// What somebody says who holds nothing, or gets it wrong: it must be void.
    fn rotate_in_vain(&mut self, t: Try, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let (mut to, unsealed) = plan.next_holders(&self.vaults[eyes.vault], self.at(eyes), &BTreeSet::new());
        if t.whom.is_multiple_of(2) {
            let former = self.owners.iter().nth(usize::from(t.whom) % self.owners.len()).unwrap();
            to.insert((former.1.clone(), *former.0));
        } else {
            to.pop_first();
        }
        let epoch = plan.newest() + 1;
        let (secret, _) = self.draw();
        let seals: Vec<Seal> =
            to.into_iter().map(|(member, card)| Seal { card, member, sha256: Digest(self.dice.array()) }).collect();
        let body = EpochOpened {
            epoch,
            public: B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec()),
            reason: text(),
            revokes: Set::default(),
            seals: set(seals),
            unsealed: unsealed.into_iter().collect(),
        };
        self.say_in_vain(eyes, card, Body::EpochOpened(body))?;
        let older = plan.in_scope_before(plan.newest()).count() as u64;
        let count = older + u64::from(t.whom % 3);
        let table = (count > 0).then_some(Digest([3; 32]));
        let body = EpochClosed { count, epoch: plan.newest(), table, void: Set::default() };
        self.say_in_vain(eyes, card, Body::EpochClosed(body))
    }

    fn open_epoch(
        &mut self,
        eyes: Eyes,
        card: CardId,
        epoch: u64,
        to: &BTreeSet<(MemberId, CardId)>,
        unsealed: &BTreeSet<MemberId>,
        revokes: &BTreeSet<MemberId>,
    ) -> Result<Landed, Halt> {
        let author = self.owners[&card].clone();
        let (mut secret, draw) = self.draw();
        let before = self.ideal.drawn.get(&(epoch - 1)).copied().unwrap_or(draw);
        if self.fault == Fault::RotationKeepsTheSecret {
            secret = self.epoch_of(&self.keys.bytes_of(Key::Epoch(before)).copied().unwrap());
        }
        let seals = self.seal_epoch(&author, epoch, &secret, draw, to)?;
        if self.fault == Fault::RotationSealsToThoseWhoLeft {
            self.seal_in_secret(&author, epoch, &secret, to)?;
        }
        let body = EpochOpened {
            epoch,
            public: B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec()),
            reason: text(),
            revokes: revokes.iter().cloned().collect(),
            seals: set(seals.clone()),
            unsealed: unsealed.iter().cloned().collect(),
        };
        let landed = self.say(eyes, card, Body::EpochOpened(body))?;
        if landed == Landed::Yes {
            self.ideal.drawn.insert(epoch, draw);
            self.met.epochs += 1;
        } else {
            self.withdraw(epoch, seals)?;
        }
        Ok(landed)
    }

    /// The fault: objects that the model is not told of.
    fn seal_in_secret(
        &mut self,
        author: &MemberId,
        n: u64,
        epoch: &EpochSecret,
        named: &BTreeSet<(MemberId, CardId)>,
    ) -> Result<(), Halt> {
        let former: Vec<(MemberId, CardId)> = match self.datas.last().unwrap().newest_epoch() {
            Some(epoch) => epoch.seals.keys().filter(|pair| !named.contains(pair)).cloned().collect(),
            None => Vec::new(),
        };
        for (owner, card) in former {
            let recipient = self.keys.custodians[&card].card();
            let bytes = epoch.seal_to(&self.keys.scope, n, author, recipient, &mut self.dice).unwrap();
            let hash = Digest(kdf::sha256(&bytes));
            let name = ObjectName::Grant { dataset: self.dataset(), epoch: n, member: owner, card, hash };
            self.put(&name, bytes, author, None)?;
        }
        Ok(())
    }

    fn open_with_revocation(&mut self, t: Try, eyes: Eyes, card: CardId, whom: &MemberId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let revokes: BTreeSet<MemberId> = [whom.clone()].into();
        let (to, unsealed) = plan.next_holders(&self.vaults[eyes.vault], self.at(eyes), &revokes);
        let seals = to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([4; 32]) });
        let body = Body::EpochOpened(EpochOpened {
            epoch: plan.newest() + 1,
            public: B64(self.draw().0.public_key(&self.keys.scope, plan.newest() + 1).as_bytes().to_vec()),
            reason: text(),
            revokes: revokes.iter().cloned().collect(),
            seals: set(seals),
            unsealed: unsealed.iter().cloned().collect(),
        });
        if !self.accepts(eyes, card, body.clone()) {
            return self.say_in_vain(eyes, card, body);
        }
        self.open_epoch(eyes, card, plan.newest() + 1, &to, &unsealed, &revokes)?;
        let _ = t;
        Ok(())
    }

    fn close(
        &mut self,
        eyes: Eyes,
        card: CardId,
        plan: &DatasetState,
        epoch: u64,
        manifests: &[ManifestId],
    ) -> Result<Landed, Halt> {
        let is_new = eyes.data + 1 == self.datas.len();
        let Some(ring) = self.all_secrets(plan, card)? else {
            // Whoever was first has deleted what this view names.
            return if is_new { Err(Halt::Wrong("a rotator can't open an epoch".to_owned())) } else { Ok(Landed::Lost) };
        };
        let (mut table, mut void) = (BTreeMap::new(), BTreeSet::new());
        for id in manifests {
            let author = &plan.manifests()[id].author;
            match self.keys.manifest_key(&self.bucket, plan, &ring, id) {
                Err(why) if is_new => return Err(Halt::Wrong(format!("a rotator misses something: {why}"))),
                Err(_) => return Ok(Landed::Lost),
                Ok(Some(key)) if self.keys.fits(&self.bucket, id, author, &key) => drop(table.insert(*id, key)),
                Ok(_) => drop(void.insert(*id)),
            }
        }
        if self.fault == Fault::RotationDropsAManifest
            && let Some((id, _)) = table.pop_first()
        {
            void.insert(id);
        }
        if self.fault == Fault::TableHoldsAnotherKey
            && let Some(first) = table.first_entry()
        {
            *first.into_mut() = secret(&[8; 32]);
        }
        if self.fault == Fault::CleanUpComesTooEarly {
            self.clean_up(epoch)?;
        }
        if void.iter().any(|id| !self.ideal.spoiled.contains(id)) {
            return Err(Halt::Wrong("a rotation gives up a manifest whose header is good".to_owned()));
        }
        let count = table.len() as u64;
        let hash = if count == 0 {
            None
        } else {
            // What belongs in it is the model's to say, as of the same view.
            let known = &self.ideal.data[eyes.data];
            let older = known.manifests.iter().filter(|(id, n)| **n < epoch && !self.ideal.spoiled.contains(id));
            let gives = older.map(|(id, _)| Key::Manifest(*id)).collect();
            let author = self.owners[&card].clone();
            let key = ring.epochs[&epoch].table_key(&self.keys.scope, epoch);
            let bytes = KeyTable::new(table).seal(&key, &self.keys.scope, epoch, &mut self.dice).unwrap();
            let hash = Digest(kdf::sha256(&bytes));
            let name = ObjectName::Table { dataset: self.dataset(), epoch, hash };
            let opened_by = Key::Epoch(self.ideal.drawn[&epoch]);
            self.put(&name, bytes, &author, Some((opened_by, gives)))?;
            Some(hash)
        };
        let body = EpochClosed { count, epoch, table: hash, void: void.into_iter().collect() };
        let landed = self.say(eyes, card, Body::EpochClosed(body))?;
        match (landed, hash) {
            (Landed::Yes, _) => self.met.closed += 1,
            (_, Some(hash)) => {
                let name = ObjectName::Table { dataset: self.dataset(), epoch, hash };
                self.delete(&name.to_string())?;
            }
            _ => {}
        }
        Ok(landed)
    }

    fn clean_up(&mut self, below: u64) -> Result<(), Halt> {
        let is_old = |name: &ObjectName| match name {
            ObjectName::Grant { epoch, .. } | ObjectName::Header { epoch, .. } | ObjectName::Table { epoch, .. } => {
                *epoch < below
            }
            _ => false,
        };
        let old: Vec<String> =
            self.bucket.live.iter().filter(|name| is_old(&self.bucket.all[*name].name)).cloned().collect();
        for name in old {
            self.delete(&name)?;
            if self.fault == Fault::CleanUpLeavesSeals && matches!(self.bucket.all[&name].name, ObjectName::Grant { .. }) {
                self.bucket.live.insert(name);
            }
        }
        self.cleaned = true;
        Ok(())
    }

    fn reset(&mut self, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let plan = self.plan(eyes);
        let author = self.owners[&card].clone();
        let mut to = self.current_cards(eyes, &author);
        for recovery in plan.recovery() {
            let owner = self.owners[recovery].clone();
            if self.vaults[eyes.vault].is_current_card(recovery, &owner, eyes.vault as u64) {
                to.insert((owner, *recovery));
            }
        }
        let epoch = plan.newest() + 1;
        let (secret, draw) = self.draw();
        let public = B64(secret.public_key(&self.keys.scope, epoch).as_bytes().to_vec());
        let body = |seals: Vec<Seal>| {
            Body::EpochReset(EpochReset {
                epoch,
                public: public.clone(),
                reason: text(),
                seals: set(seals),
                unreadable: plan.manifests().iter().filter(|(_, m)| m.is_in_scope()).map(|(id, _)| *id).collect(),
            })
        };
        let made_up = to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([5; 32]) }).collect();
        if !self.accepts(eyes, card, body(made_up)) {
            let made_up = to.iter().map(|(m, c)| Seal { card: *c, member: m.clone(), sha256: Digest([5; 32]) }).collect();
            return self.say_in_vain(eyes, card, body(made_up));
        }
        let seals = self.seal_epoch(&author, epoch, &secret, draw, &to)?;
        let body = body(seals.clone());
        if self.say(eyes, card, body)? == Landed::Yes {
            self.ideal.drawn.insert(epoch, draw);
            self.clean_up(epoch)
        } else {
            self.withdraw(epoch, seals)
        }
    }

    // --- uploads ---

    fn upload(&mut self, t: Try, eyes: Eyes, card: CardId) -> Result<(), Halt> {
        let manifest = ManifestId(self.dice.array());
        let key: [u8; 32] = match self.keys.bytes_of(Key::Manifest(manifest)) {
            None if self.fault == Fault::ManifestKeyIsReused && !self.pending.is_empty() => self.pending[0].key,
            _ => self.dice.array(),
        };
        self.keys.is_called(key, Key::Manifest(manifest));
        self.pending.push(Pending {
            upload: UploadId(self.dice.array()),
            manifest,
            key,
            author: self.owners[&card].clone(),
            card,
            spoiled: t.bend == 11,
            opened: false,
            signed: None,
        });
        if t.bend == 11 {
            self.ideal.spoiled.insert(manifest);
        }
        self.go_on(t, eyes, self.pending.len() - 1)
    }

    fn go_on(&mut self, t: Try, mut eyes: Eyes, n: usize) -> Result<(), Halt> {
        let mut p = self.pending[n].clone();
        for _ in 0..3 {
            if p.opened {
                break;
            }
            let body = UploadOpened { ends: self.now + 500, upload: p.upload };
            match self.say(eyes, p.card, Body::UploadOpened(body))? {
                Landed::Yes => {
                    p.opened = true;
                    self.pending[n] = p.clone();
                }
                Landed::Lost => eyes = self.fresh(),
                Landed::Void => {
                    if self.fault != Fault::ManifestKeyIsReused {
                        self.pending.remove(n);
                    }
                    return Ok(());
                }
            }
        }
        if p.signed.is_none() {
            // The names of packs and manifests are random, so whoever begins anew after a crash writes new ones; here they begin with
            // all of it or nothing.
            p.signed = Some(self.write_bodies(&p)?);
            self.pending[n] = p.clone();
        }
        for _ in 0..3 {
            let plan = self.plan(eyes);
            let header = self.write_header(&p, &plan)?;
            let signed = ManifestHash { header, ..p.signed.clone().unwrap() };
            let epoch = if t.bend == 12 { plan.newest().saturating_sub(1).max(1) } else { plan.newest() };
            let body = Body::UploadCommitted(UploadCommitted { epoch, manifests: vec![signed], upload: p.upload });
            if epoch != plan.newest() {
                self.say_in_vain(eyes, p.card, body)?;
                return Ok(());
            }
            match self.say(eyes, p.card, body)? {
                Landed::Yes => {
                    self.met.commits += 1;
                    if self.fault != Fault::ManifestKeyIsReused {
                        self.pending.remove(n);
                    }
                    return Ok(());
                }
                Landed::Lost => eyes = self.fresh(),
                Landed::Void => return Ok(()),
            }
        }
        Ok(())
    }

    fn write_bodies(&mut self, p: &Pending) -> Result<ManifestHash, Halt> {
        let count = 1 + usize::from(p.upload.0[0] % 3);
        let files: Vec<Vec<u8>> = (0..count).map(|n| vec![p.manifest.0[n]; usize::from(p.upload.0[n] % 50)]).collect();
        let (mut stream, mut records) = (Vec::new(), Vec::new());
        for (number, plain) in (0u32..).zip(&files) {
            let key = Secret32::take(&mut self.dice.array());
            let offset = stream.len() as u64;
            let aad = self.keys.scope.file(&p.manifest, &p.author, number);
            stream.extend(floe::seal_bytes(&key, aad.as_bytes(), plain, &mut self.dice).unwrap());
            records.push(FileRecord {
                path: VaultPath::parse(&format!("run/{number}")).unwrap(),
                number,
                size: plain.len() as u64,
                modified: 0,
                executable: false,
                offset,
                key,
                blake3: Digest(tree::hash(plain)),
                digests: Vec::new(),
            });
        }
        let (name, length) = (PackName(self.dice.array()), u32::try_from(stream.len()).unwrap());
        let list = PackList::new(vec![PackEntry { name, length, blake3: PackHash::of_small(&stream).root }]).unwrap();
        let manifest = Manifest::new(Draft {
            files: records,
            salt: Secret32::take(&mut self.dice.array()),
            stream_length: stream.len() as u64,
            pack_list: list.sha256(),
            extras: Extras::default(),
        })
        .unwrap();
        let aad = self.keys.scope.manifest(&p.manifest, &p.author);
        let sealed =
            floe::seal_bytes(&secret(&p.key), aad.as_bytes(), &manifest.emit().unwrap(), &mut self.dice).unwrap();
        let signed = ManifestHash {
            blake3: Digest(tree::hash(&sealed)),
            files: files.len() as u64,
            header: Digest([0; 32]),
            length: sealed.len() as u64,
            manifest: p.manifest,
            packs: PacksHash { bytes: stream.len() as u64, count: 1, list: list.sha256() },
            root: manifest.root(),
            supersedes: None,
        };
        self.step()?;
        let (dataset, upload) = (self.dataset(), p.upload);
        self.keys.was_uploaded(p.manifest, upload, files);
        self.put_whole(&ObjectName::Pack { dataset: dataset.clone(), upload, pack: name }, stream, &p.author, None);
        let place = ObjectName::PackList { dataset: dataset.clone(), upload, manifest: p.manifest };
        self.put_whole(&place, list.emit(), &p.author, None);
        let place = ObjectName::Manifest { dataset, manifest: p.manifest };
        let lock = (Key::Manifest(p.manifest), vec![Key::Files(p.manifest)]);
        self.put_whole(&place, sealed, &p.author, Some(lock));
        Ok(signed)
    }

    fn put_whole(&mut self, name: &ObjectName, bytes: Vec<u8>, by: &MemberId, lock: Option<(Key, Vec<Key>)>) {
        let fuel = self.fuel.take();
        self.put(name, bytes, by, lock).unwrap();
        self.fuel = fuel;
    }

    fn write_header(&mut self, p: &Pending, plan: &DatasetState) -> Result<Digest, Halt> {
        let n = plan.newest();
        let info = self.keys.scope.manifest_key(n, &p.manifest, &p.author);
        let before = self.fault == Fault::HeaderForTheEpochBefore && n > 1;
        let public = if before { &plan.epochs()[&(n - 1)].public } else { &plan.epochs()[&n].public };
        let mut bytes = seal::seal(public, &secret(&p.key), &info, &mut self.dice).unwrap();
        if p.spoiled {
            bytes[40] ^= 1;
        }
        let hash = Digest(kdf::sha256(&bytes));
        let name = ObjectName::Header { dataset: self.dataset(), epoch: n, manifest: p.manifest, hash };
        let gives = if p.spoiled { Vec::new() } else { vec![Key::Manifest(p.manifest)] };
        let lock = (Key::Epoch(self.ideal.drawn[&n]), gives);
        self.put(&name, bytes, &p.author, Some(lock))?;
        self.ideal.header_was_sealed(p.manifest, n);
        Ok(hash)
    }

    // --- comparing ---

    fn whose(&self, card: CardId) -> String {
        format!("{} ({card:?})", self.owners[&card])
    }

    /// Compares what everybody, current and former, can open with what the model says, by opening it.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        self.met.checks += 1;
        self.keys.try_everything(&self.bucket);
        for card in self.owners.keys().copied().collect::<Vec<_>>() {
            for store in [Store::Live, Store::Hoard] {
                let (real, ideal) = (self.keys.can(&self.bucket, card, store), self.ideal.can(card, store));
                self.same(card, &format!("with what it copied, from {store:?}"), &real, &ideal)?;
            }
            let (real, ideal) = (self.keys.can_from_nothing(&self.bucket, card), self.ideal.can_from_nothing(card));
            self.same(card, "with its card alone", &real, &ideal)?;
            self.compare_by_the_book(card)?;
        }
        for (card, manifest) in self.ideal.barred() {
            if self.keys.can(&self.bucket, *card, Store::Hoard).contains(&Key::Files(*manifest)) {
                return Err(format!(
                    "{} opens {manifest:?}, which was committed while it had no right to it",
                    self.whose(*card)
                ));
            }
        }
        self.met.barred += self.ideal.barred().len() as u64;
        self.met.opens = self.keys.opens;
        self.met.limits = self.ideal.limits;
        Ok(())
    }

    fn same(&self, card: CardId, how: &str, real: &BTreeSet<Key>, ideal: &BTreeSet<Key>) -> Result<(), String> {
        if let Some(key) = real.difference(ideal).next() {
            return Err(format!("{} gets {key:?} and should not, {how}", self.whose(card)));
        }
        match ideal.difference(real).next() {
            Some(key) => Err(format!("{} should get {key:?} and can't, {how}", self.whose(card))),
            None => Ok(()),
        }
    }

    fn compare_by_the_book(&mut self, card: CardId) -> Result<(), String> {
        let (vault, state, eyes) = (self.vaults.last().unwrap(), self.datas.last().unwrap(), self.fresh());
        let real = self
            .keys
            .by_the_book(&self.bucket, vault, state, card, self.at(eyes))
            .map_err(|why| format!("an honest client of {} fails: {why}", self.whose(card)))?;
        let ideal = self.ideal.by_the_book(card, self.now);
        self.met.read += real.len() as u64;
        if let Some(id) = real.difference(&ideal).next() {
            return Err(format!("an honest client of {} reads {id:?} and should not", self.whose(card)));
        }
        if let Some(id) = ideal.difference(&real).next() {
            return Err(format!("an honest client of {} should read {id:?} and can't", self.whose(card)));
        }
        // Said once more without epochs: who was given a grant and still has it reads all there is, whatever goes on.
        let entitled = self.ideal.entitled(&self.ideal.now(self.now));
        if self.ideal.promised().contains(&card) && entitled.contains(&card) {
            self.met.promised += 1;
            if let Some(id) = self.ideal.in_scope().difference(&real).next() {
                return Err(format!("{} has a grant and does not read {id:?}", self.whose(card)));
            }
        }
        Ok(())
    }

    /// Ends what was begun, if anybody can, and looks once more: then an honest storage gives nothing to whoever has no right.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.compare()?;
        self.log.push("the end".to_owned());
        self.cleaned = false;
        let able: Vec<CardId> = self.owners.keys().copied().collect();
        for card in &able {
            let t = Try { act: 14, who: 0, whom: 0, bend: 0, stale: 0, crash: 0 };
            if let Err(Halt::Wrong(why)) = self.rotate(t, self.fresh(), *card) {
                return Err(why);
            }
        }
        self.compare()?;
        let state = self.datas.last().unwrap();
        let at = self.at(self.fresh());
        if !self.cleaned || state.newest() > state.closed() || state.is_stale(self.vaults.last().unwrap(), at) {
            return self.fold_in_one_go();
        }
        let entitled = self.ideal.entitled(&self.ideal.now(self.now));
        for card in able {
            let (whose, newest) = (self.whose(card), state.newest());
            if entitled.contains(&card) {
                let missing = self.ideal.in_scope().difference(&self.ideal.by_the_book(card, self.now)).next().copied();
                if let (Some(id), true) = (missing, state.epochs()[&newest].seals.keys().any(|(_, c)| *c == card)) {
                    return Err(format!("all is settled and {whose} does not read {id:?}"));
                }
            } else if !self.ideal.was_let_in(card, newest) {
                let got = self.keys.can_from_nothing(&self.bucket, card);
                if let Some(key) = got.iter().find(|key| matches!(key, Key::Files(_))) {
                    return Err(format!("all is settled and {whose}, who copied nothing, gets {key:?}"));
                }
            }
        }
        self.fold_in_one_go()
    }

    fn fold_in_one_go(&self) -> Result<(), String> {
        let vault = VaultState::fold(self.vaults[0].id(), &self.vault).map_err(|e| e.to_string())?;
        let state = DatasetState::fold(&vault, &Exposures::default(), &self.dataset(), &self.entries);
        let state = state.map_err(|e| e.to_string())?;
        let same = format!("{vault:?}") == format!("{:?}", self.vaults.last().unwrap())
            && format!("{state:?}") == format!("{:?}", self.datas.last().unwrap());
        if same { Ok(()) } else { Err("the ledgers fold differently in one go".to_owned()) }
    }
}

fn sign(custodian: &MemoryCustodian, statement: &Statement) -> Vec<u8> {
    let payload = statement.payload().unwrap();
    let id = *custodian.card().id();
    Envelope::signed_with(PayloadType::Statement, payload, id, |pae| custodian.sign(pae)).unwrap().emit()
}

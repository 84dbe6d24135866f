//! A small world for the service's tests: people who sign, a vault in a folder, a store that counts.
//!
//! Nothing is really sealed: the service can't tell, and what is sealed is tested elsewhere.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap; each test file uses a part of this"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use tempfile::TempDir;
use vault_core::card::Card;
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::{
    CardId, DatasetId, Digest, EntryHash, LedgerId, ManifestId, MemberId, PackName, UploadId, VaultId,
};
use vault_core::json::B64;
use vault_core::layout::ObjectName;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{
    Algorithms, ApprovalCounts, Body, DatasetCreated, EpochSeal, Facts, FirstEpoch, Genesis, GenesisMember, GrantTerms,
    Granted, Info, Jurisdiction, ManifestHash, MemberEnrolled, OrganisationKind, PackSet, PacksHash, Reservation, Role,
    RoleSet, Seal, Statement, Text, UploadClosed, UploadCommitted, UploadOpened, VaultHead,
};
use vault_core::pack::{Groups, PackEntry, PackHash, PackList};
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use vault_server::store::Store;
use vault_server::vault::{Append, AppendError, Vault};

const SUITE: Suite = Suite::X25519;

/// Somebody who signs.
pub struct Person {
    pub member: MemberId,
    pub card: Card,
    signing: SigningKey,
}

impl Person {
    pub fn new(name: &str, number: u8) -> Self {
        let signing = SigningKey::from_seed(&Secret32::take(&mut [number; 32]));
        let kem = PrivateKey::from_secret(SUITE, Secret32::take(&mut [number + 100; 32]));
        let card = Card::make(SUITE, name, 1, &signing, &kem.public_key()).unwrap();
        Self { member: name.parse().unwrap(), card, signing }
    }

    pub fn card(&self) -> CardId {
        *self.card.id()
    }

    /// Signs any bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(bytes)
    }

    pub fn stored(&self) -> B64 {
        B64(self.card.stored().to_vec())
    }
}

/// A vault with an officer, who is also creator and steward of what is made here, and a recipient.
pub struct World {
    pub vault: Vault,
    pub officer: Person,
    pub recipient: Person,
    pub uploader: Person,
    heads: BTreeMap<LedgerId, (u64, EntryHash)>,
    time: u64,
    next: u64,
}

pub fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

pub fn dataset() -> DatasetId {
    "cohort-7".parse().unwrap()
}

pub fn dataset_ledger() -> LedgerId {
    LedgerId::Dataset(dataset())
}

pub fn info() -> Info {
    Info {
        facts: Facts::default(),
        jurisdiction: Jurisdiction::parse("CN").unwrap(),
        kind: OrganisationKind::Hospital,
        organisation: text("a hospital"),
    }
}

/// A public key of an epoch; nobody has its private key.
pub fn epoch_public(n: u8) -> B64 {
    let key = PrivateKey::from_secret(SUITE, Secret32::take(&mut [200 - n; 32]));
    B64(key.public_key().as_bytes().to_vec())
}

pub fn genesis(officer: &Person, head_age: u64) -> Bytes {
    let body = Body::Genesis(Genesis {
        algorithms: Algorithms::of(SUITE),
        approvals: ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 },
        head_age,
        members: vec![GenesisMember { cards: vec![officer.stored()], info: info(), member: officer.member.clone() }],
        nonce: vault_core::ids::VaultNonce([0; 16]),
        recovery: BTreeSet::<CardId>::new().into_iter().collect(),
        suite: SUITE,
    });
    let statement = Statement {
        author: officer.member.clone(),
        body,
        card: officer.card(),
        ledger: LedgerId::Vault,
        prev: None,
        seq: 0,
        time: 1,
        vault: None,
        vault_head: None,
    };
    Bytes::from(statement.sign(|pae| Ok::<_, Infallible>(officer.signing.sign(pae))).unwrap())
}

impl World {
    pub async fn in_folder() -> (TempDir, Self) {
        let dir = tempfile::tempdir().unwrap();
        let world = Self::in_store(Store::open_folder(dir.path()).await.unwrap()).await;
        (dir, world)
    }

    pub async fn in_store(store: Store) -> Self {
        let officer = Person::new("officer", 1);
        let genesis = genesis(&officer, 3600);
        let vault = Vault::init(store, genesis.clone()).await.unwrap();
        let heads = BTreeMap::from([(LedgerId::Vault, (1, entry_hash(None, &genesis)))]);
        let (recipient, uploader) = (Person::new("recipient", 2), Person::new("uploader", 3));
        let mut world = Self { vault, officer, recipient, uploader, heads, time: 1, next: 0 };
        for person in [&world.recipient, &world.uploader].map(|p| (p.stored(), p.member.clone())) {
            let body = MemberEnrolled { cards: vec![person.0], info: info(), member: person.1 };
            world.say(&LedgerId::Vault, Body::MemberEnrolled(body)).await;
        }
        let member = world.officer.member.clone();
        world
            .say(&LedgerId::Vault, Body::RoleSet(RoleSet { dataset: None, member, on: true, role: Role::Creator }))
            .await;
        world
    }

    /// Reopens the vault as another process would: nothing is cached.
    pub async fn reopen(&self) -> Vault {
        Vault::open(self.vault.store().clone()).await.unwrap()
    }

    pub fn id(&self) -> VaultId {
        *self.vault.id()
    }

    fn head(&self, ledger: &LedgerId) -> (u64, EntryHash) {
        self.heads.get(ledger).copied().unwrap_or((0, EntryHash(self.id().0)))
    }

    /// The time of the next statement.
    pub fn now(&self) -> u64 {
        self.time + 1
    }

    pub fn set_now(&mut self, time: u64) {
        self.time = time - 1;
    }

    pub fn next_seq(&self, ledger: &LedgerId) -> u64 {
        self.head(ledger).0
    }

    /// Signs the next entry of a ledger.
    pub fn sign(&self, who: &Person, ledger: &LedgerId, body: Body) -> Bytes {
        let (seq, prev) = self.head(ledger);
        self.sign_at(who, ledger, body, seq, prev)
    }

    /// Signs an entry that may not fit.
    pub fn sign_at(&self, who: &Person, ledger: &LedgerId, body: Body, seq: u64, prev: EntryHash) -> Bytes {
        let (vault_next, hash) = self.head(&LedgerId::Vault);
        let statement = Statement {
            author: who.member.clone(),
            body,
            card: who.card(),
            ledger: ledger.clone(),
            prev: Some(prev),
            seq,
            time: self.time + 1,
            vault: Some(self.id()),
            vault_head: (*ledger != LedgerId::Vault).then_some(VaultHead { hash, seq: vault_next - 1 }),
        };
        Bytes::from(statement.sign(|pae| Ok::<_, Infallible>(who.signing.sign(pae))).unwrap())
    }

    /// The officer signs and appends.
    pub async fn say(&mut self, ledger: &LedgerId, body: Body) -> u64 {
        self.try_say(ledger, body).await.unwrap()
    }

    pub async fn try_say(&mut self, ledger: &LedgerId, body: Body) -> Result<u64, AppendError> {
        let stored = self.sign(&self.officer, ledger, body);
        self.append(ledger, stored).await
    }

    /// Appends a signed entry and goes on behind it.
    pub async fn append(&mut self, ledger: &LedgerId, stored: Bytes) -> Result<u64, AppendError> {
        let seq = self.next_seq(ledger);
        assert_eq!(self.vault.append(ledger, seq, stored.clone()).await?, Append::Appended);
        self.follow(ledger, &stored);
        Ok(seq)
    }

    /// Notes that an entry is there, however it came.
    pub fn follow(&mut self, ledger: &LedgerId, stored: &Bytes) {
        let (seq, prev) = self.head(ledger);
        self.heads.insert(ledger.clone(), (seq + 1, entry_hash(Some(prev), stored)));
        self.time += 1;
    }

    pub fn hash(&self, ledger: &LedgerId) -> EntryHash {
        self.head(ledger).1
    }

    /// A statement that is always in order and says little.
    pub fn small_talk(&mut self) -> Body {
        self.next += 1;
        // A pack that is not in force stays so; one that were would bring the gate with it.
        Body::PackSet(PackSet { hash: Digest([7; 32]), name: text(&format!("pack {}", self.next)), on: false })
    }

    pub fn random_id(&mut self) -> [u8; 16] {
        self.next += 1;
        sha256(&self.next.to_be_bytes())[..16].try_into().unwrap()
    }

    /// Writes a seal of an epoch for somebody and says what a statement names.
    pub async fn seal(&mut self, epoch: u64, who: &MemberId, card: CardId) -> EpochSeal {
        let bytes = Bytes::from([self.random_id().to_vec(), vec![0; SUITE.seal_len() - 16]].concat());
        let hash = Digest(sha256(&bytes));
        let name = ObjectName::Grant { dataset: dataset(), epoch, member: who.clone(), card, hash };
        self.vault.put(&name, bytes).await.unwrap();
        EpochSeal { card, epoch, member: who.clone(), sha256: hash }
    }

    pub async fn create_dataset(&mut self) {
        let (member, card) = (self.officer.member.clone(), self.officer.card());
        let seal = self.seal(1, &member, card).await;
        self.say(&dataset_ledger(), created(seal)).await;
        let body = vault_core::ledger::statement::UploaderSet { member: self.uploader.member.clone(), on: true };
        self.say(&dataset_ledger(), Body::UploaderSet(body)).await;
    }

    pub async fn grant(&mut self) -> Result<u64, AppendError> {
        let (member, card) = (self.recipient.member.clone(), self.recipient.card());
        let seal = self.seal(1, &member, card).await;
        self.try_say(&dataset_ledger(), granted(&member, seal)).await
    }

    pub async fn open_upload(&mut self) -> UploadId {
        let upload = UploadId(self.random_id());
        let stored =
            self.sign(&self.uploader, &dataset_ledger(), Body::UploadOpened(UploadOpened { ends: 1 << 40, upload }));
        self.append(&dataset_ledger(), stored).await.unwrap();
        upload
    }

    /// Writes a manifest's objects: packs of these lengths, list, groups, manifest, header.
    pub async fn put_manifest(&mut self, upload: UploadId, epoch: u64, packs: &[u32]) -> ManifestHash {
        let dataset = dataset();
        let manifest = ManifestId(self.random_id());
        let (mut entries, mut groups) = (Vec::new(), Vec::new());
        for length in packs {
            let pack = PackName(self.random_id());
            let bytes = Bytes::from(vec![pack.0[0]; *length as usize]);
            let hash = PackHash::of(&bytes);
            self.vault.put(&ObjectName::Pack { dataset: dataset.clone(), upload, pack }, bytes).await.unwrap();
            entries.push(PackEntry { name: pack, length: *length, blake3: hash.root });
            groups.push(hash.groups);
        }
        let list = PackList::new(entries).unwrap();
        let name = ObjectName::PackList { dataset: dataset.clone(), upload, manifest };
        self.vault.put(&name, Bytes::from(list.emit())).await.unwrap();
        let name = ObjectName::Groups { dataset: dataset.clone(), upload, manifest };
        self.vault.put(&name, Bytes::from(Groups::new(groups).emit())).await.unwrap();
        let sealed = Bytes::from([&manifest.0[..], &[0; 500]].concat());
        let name = ObjectName::Manifest { dataset: dataset.clone(), manifest };
        self.vault.put(&name, sealed.clone()).await.unwrap();
        let header = self.put_header(epoch, manifest).await;
        ManifestHash {
            blake3: PackHash::of(&sealed).root,
            files: 1,
            header,
            length: sealed.len() as u64,
            manifest,
            packs: PacksHash { bytes: list.stream_length(), count: packs.len() as u64, list: list.sha256() },
            root: Digest([9; 32]),
            supersedes: None,
        }
    }

    pub async fn put_header(&mut self, epoch: u64, manifest: ManifestId) -> Digest {
        let bytes = Bytes::from([self.random_id().to_vec(), vec![1; SUITE.seal_len() - 16]].concat());
        let hash = Digest(sha256(&bytes));
        self.vault.put(&ObjectName::Header { dataset: dataset(), epoch, manifest, hash }, bytes).await.unwrap();
        hash
    }

    pub async fn commit(
        &mut self,
        upload: UploadId,
        epoch: u64,
        manifests: Vec<ManifestHash>,
    ) -> Result<u64, AppendError> {
        let body = Body::UploadCommitted(UploadCommitted { epoch, manifests, upload });
        let stored = self.sign(&self.uploader, &dataset_ledger(), body);
        self.append(&dataset_ledger(), stored).await
    }

    pub async fn close_upload(&mut self, upload: UploadId) {
        let body = Body::UploadClosed(UploadClosed { reason: text("given up"), upload });
        let stored = self.sign(&self.uploader, &dataset_ledger(), body);
        self.append(&dataset_ledger(), stored).await.unwrap();
    }

    pub async fn names(&self, prefix: &str) -> Vec<ObjectName> {
        self.vault.store().list(prefix).await.unwrap().into_iter().map(|object| object.name).collect()
    }
}

pub fn created(seal: EpochSeal) -> Body {
    let seals = [Seal { card: seal.card, member: seal.member, sha256: seal.sha256 }].into_iter().collect();
    Body::DatasetCreated(DatasetCreated {
        epoch: FirstEpoch { public: epoch_public(1), seals },
        facts: Facts::default(),
        level: 1,
        recovery: BTreeSet::<CardId>::new().into_iter().collect(),
        title: text("a cohort"),
    })
}

pub fn granted(member: &MemberId, seal: EpochSeal) -> Body {
    granted_on(member, seal, None)
}

pub fn granted_on(member: &MemberId, seal: EpochSeal, reservation: Option<Reservation>) -> Body {
    Body::Granted(Granted {
        approval: None,
        reservation,
        seals: [seal].into_iter().collect(),
        terms: GrantTerms { ends: None, facts: Facts::default(), member: member.clone() },
        trace: None,
    })
}

/// A store that counts its requests, and can fail after a number of deletions.
#[derive(Debug)]
pub struct Counting<T> {
    inner: T,
    gets: Arc<AtomicU64>,
    deletes_left: Arc<AtomicU64>,
}

impl<T> Counting<T> {
    pub fn new(inner: T) -> (Self, Arc<AtomicU64>) {
        let (store, gets, _) = Self::failing(inner);
        (store, gets)
    }

    /// With the number of reads, and the number of deletions that succeed from now on.
    pub fn failing(inner: T) -> (Self, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (gets, deletes_left) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        (Self { inner, gets: Arc::clone(&gets), deletes_left: Arc::clone(&deletes_left) }, gets, deletes_left)
    }
}

impl<T: ObjectStore> std::fmt::Display for Counting<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "counting {}", self.inner)
    }
}

#[async_trait::async_trait]
impl<T: ObjectStore> ObjectStore for Counting<T> {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        let left = Arc::clone(&self.deletes_left);
        let keys = keys.map(move |key| {
            let may = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if may { key } else { Err(object_store::Error::Generic { store: "failing", source: "no more".into() }) }
        });
        self.inner.delete_stream(keys.boxed())
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

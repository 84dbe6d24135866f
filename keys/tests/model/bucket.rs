//! The real side: objects as a storage holds them, opened with real keys, by an honest client and by somebody who tries everything.

use std::collections::{BTreeMap, BTreeSet};

use vault_core::context::Scope;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::hazmat::{kdf, tree};
use vault_core::ids::{CardId, Digest, ManifestId, MemberId, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, KeyPlace, Manifest as Committed};
use vault_core::ledger::fold::At;
use vault_core::ledger::vault::VaultState;
use vault_core::manifest::Manifest;
use vault_core::pack::PackList;
use vault_core::seal::{self, PrivateKey};
use vault_core::secret::Secret32;
use vault_keys::custodian::Custodian;
use vault_keys::memory::MemoryCustodian;

use super::ideal::{Key, Store};

pub(crate) fn secret(bytes: &[u8; 32]) -> Secret32 {
    Secret32::from_slice(bytes).unwrap()
}

/// An object, and who wrote it: a thief knows that from the ledger, or guesses it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) name: ObjectName,
    pub(crate) bytes: Vec<u8>,
    pub(crate) by: MemberId,
}

/// All objects that ever were, in the order in which they came, and which of them are there.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) all: BTreeMap<String, Object>,
    pub(crate) live: BTreeSet<String>,
    order: Vec<String>,
}

impl Bucket {
    pub(crate) fn put(&mut self, name: &ObjectName, bytes: Vec<u8>, by: &MemberId) {
        let before = self.all.insert(name.to_string(), Object { name: name.clone(), bytes, by: by.clone() });
        assert!(before.is_none(), "{name} was written twice");
        self.live.insert(name.to_string());
        self.order.push(name.to_string());
    }

    pub(crate) fn fetch(&self, name: &ObjectName) -> Option<&[u8]> {
        let name = name.to_string();
        self.live.contains(&name).then(|| &self.all[&name].bytes[..])
    }

    fn fetch_hashed(&self, name: &ObjectName, hash: &Digest) -> Result<&[u8], String> {
        let bytes = self.fetch(name).ok_or_else(|| format!("{name} is not there"))?;
        if kdf::sha256(bytes) == hash.0 { Ok(bytes) } else { Err(format!("{name} has another hash")) }
    }
}

/// What an honest client holds of a dataset while it works.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) epochs: BTreeMap<u64, EpochSecret>,
    table: Option<KeyTable>,
}

/// The custodians, what secrets are called, and what the files hold.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) scope: Scope,
    pub(crate) custodians: BTreeMap<CardId, MemoryCustodian>,
    names: BTreeMap<[u8; 32], Key>,
    bytes: BTreeMap<Key, [u8; 32]>,
    pub(crate) files: BTreeMap<ManifestId, Vec<Vec<u8>>>,
    uploads: BTreeMap<ManifestId, UploadId>,
    /// What each secret opened, by object; and how many objects it was tried at.
    opened: BTreeMap<Key, Vec<(String, BTreeSet<Key>)>>,
    tried: BTreeMap<Key, usize>,
    pub(crate) opens: u64,
    pockets: BTreeMap<CardId, BTreeSet<Key>>,
}

impl Keys {
    pub(crate) fn new(scope: Scope, custodians: BTreeMap<CardId, MemoryCustodian>) -> Self {
        Self {
            scope,
            custodians,
            names: BTreeMap::new(),
            bytes: BTreeMap::new(),
            files: BTreeMap::new(),
            uploads: BTreeMap::new(),
            opened: BTreeMap::new(),
            tried: BTreeMap::new(),
            opens: 0,
            pockets: BTreeMap::new(),
        }
    }

    /// Writes down what a secret is called.
    pub(crate) fn is_called(&mut self, bytes: [u8; 32], key: Key) {
        self.names.entry(bytes).or_insert(key);
        self.bytes.insert(key, bytes);
    }

    pub(crate) fn bytes_of(&self, key: Key) -> Option<&[u8; 32]> {
        self.bytes.get(&key)
    }

    pub(crate) fn was_uploaded(&mut self, manifest: ManifestId, upload: UploadId, files: Vec<Vec<u8>>) {
        self.uploads.insert(manifest, upload);
        self.files.insert(manifest, files);
    }

    /// The name of a secret. One that nobody drew gets a name that no draw has, which the model never expects anybody to hold.
    fn name_of(&self, secret: &Secret32) -> Key {
        self.names.get(secret.expose()).copied().unwrap_or(Key::Epoch(0))
    }

    fn epoch_key(&self, secret32: &[u8; 32], n: u64) -> PrivateKey {
        let key = kdf::expand_sha256(&secret(secret32), self.scope.epoch_key_pair(n).as_bytes());
        PrivateKey::from_secret(self.scope.suite, key)
    }

    // --- somebody who tries everything ---

    /// Tries every secret that there is, whoever has it, at every object that ever was; each pair once.
    pub(crate) fn try_everything(&mut self, bucket: &Bucket) {
        let keys: Vec<Key> = self.custodians.keys().map(|c| Key::Card(*c)).chain(self.bytes.keys().copied()).collect();
        for (turn, key) in keys.into_iter().enumerate() {
            let from = self.tried.insert(key, bucket.order.len()).unwrap_or(0);
            for (n, name) in bucket.order.iter().enumerate().skip(from) {
                let given = self.open(bucket, key, &bucket.all[name], (turn + n).is_multiple_of(8));
                if !given.is_empty() {
                    self.opened.entry(key).or_default().push((name.clone(), given));
                }
            }
        }
    }

    /// What was got with these keys from the objects of a store.
    fn reach(&self, bucket: &Bucket, mut keys: BTreeSet<Key>, store: Store) -> BTreeSet<Key> {
        let mut waiting: Vec<Key> = keys.iter().copied().collect();
        while let Some(key) = waiting.pop() {
            for (name, given) in self.opened.get(&key).into_iter().flatten() {
                if store == Store::Hoard || bucket.live.contains(name) {
                    waiting.extend(given.iter().copied().filter(|new| keys.insert(*new)));
                }
            }
        }
        keys
    }

    pub(crate) fn can(&self, bucket: &Bucket, card: CardId, store: Store) -> BTreeSet<Key> {
        let pocket = self.pockets.get(&card).cloned().unwrap_or_default();
        self.reach(bucket, pocket.into_iter().chain([Key::Card(card)]).collect(), store)
    }

    pub(crate) fn can_from_nothing(&self, bucket: &Bucket, card: CardId) -> BTreeSet<Key> {
        self.reach(bucket, [Key::Card(card)].into(), Store::Live)
    }

    pub(crate) fn copies_all(&mut self, bucket: &Bucket, card: CardId) {
        self.try_everything(bucket);
        let all = self.can(bucket, card, Store::Live);
        self.pockets.insert(card, all);
    }

    /// A card is tried at all seals to it, and, because that costs most, at one in eight of the others.
    fn open(&mut self, bucket: &Bucket, key: Key, object: &Object, sampled: bool) -> BTreeSet<Key> {
        self.opens += 1;
        let found: Option<BTreeSet<Key>> = match (key, &object.name) {
            (Key::Card(mine), ObjectName::Grant { epoch, card, .. }) if mine == *card || sampled => {
                let info = self.scope.grant(*epoch, &object.by, card);
                self.custodians[&mine].open(&object.bytes, &info).ok().map(|s| [self.name_of(&s)].into())
            }
            (Key::Epoch(_), ObjectName::Header { epoch, manifest, .. }) => {
                let info = self.scope.manifest_key(*epoch, manifest, &object.by);
                let private = self.epoch_key(&self.bytes[&key], *epoch);
                seal::open(&private, &object.bytes, &info).ok().map(|s| [self.name_of(&s)].into())
            }
            (Key::Epoch(_), ObjectName::Table { epoch, .. }) => {
                let table = kdf::expand_sha256(&secret(&self.bytes[&key]), self.scope.table_key(*epoch).as_bytes());
                let count = plain_len(&object.bytes) / 48;
                let opened = KeyTable::open(&object.bytes, &table, &self.scope, *epoch, count).ok();
                opened.map(|t| t.iter().map(|(_, s)| self.name_of(s)).collect())
            }
            (Key::Manifest(_), ObjectName::Manifest { manifest, .. }) => {
                let opened = self.read(bucket, manifest, &object.by, &secret(&self.bytes[&key]));
                opened.is_ok().then(|| [Key::Files(*manifest)].into())
            }
            _ => None,
        };
        found.unwrap_or_default()
    }

    /// Opens a manifest and each of its files with its key, and compares with what was uploaded.
    fn read(&self, bucket: &Bucket, id: &ManifestId, author: &MemberId, key: &Secret32) -> Result<Manifest, String> {
        let dataset = self.scope.dataset.clone().unwrap();
        let fetch = |name: ObjectName| bucket.fetch(&name).ok_or_else(|| format!("{name} is not there"));
        let sealed = fetch(ObjectName::Manifest { dataset: dataset.clone(), manifest: *id })?;
        let aad = self.scope.manifest(id, author);
        let plain = floe::open_bytes(key, aad.as_bytes(), sealed, plain_len(sealed)).map_err(|e| e.to_string())?;
        let manifest = Manifest::parse(&plain).map_err(|e| e.to_string())?;
        let upload = self.uploads[id];
        let list = fetch(ObjectName::PackList { dataset: dataset.clone(), upload, manifest: *id })?;
        let list = PackList::parse(list).map_err(|e| e.to_string())?;
        let pack = list.pack(0).map_err(|e| e.to_string())?;
        let bytes = fetch(ObjectName::Pack { dataset, upload, pack: pack.name })?;
        pack.check(bytes).map_err(|e| e.to_string())?;
        for file in manifest.files() {
            let range = file.place().unwrap().stream_range();
            let sealed = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            let aad = self.scope.file(id, author, file.number);
            let plain = floe::open_bytes(&file.key, aad.as_bytes(), sealed, file.size).map_err(|e| e.to_string())?;
            let wanted = &self.files[id][usize::try_from(file.number).unwrap()];
            if *plain != *wanted || tree::hash(&plain) != file.blake3.0 {
                return Err(format!("file {} of {id} holds something else", file.path));
            }
        }
        Ok(manifest)
    }

    // --- an honest client ---

    /// The secrets of the unclosed epochs that the ledger says a card gets, and the table in force.
    pub(crate) fn ring(
        &self,
        bucket: &Bucket,
        state: &DatasetState,
        member: &MemberId,
        card: CardId,
    ) -> Result<Ring, String> {
        let mut ring = Ring::default();
        for (n, epoch) in state.unclosed() {
            let Some(seal) = epoch.seals.get(&(member.clone(), card)) else { continue };
            let dataset = state.id().clone();
            let name = ObjectName::Grant { dataset, epoch: n, member: member.clone(), card, hash: seal.sha256 };
            let sealed = bucket.fetch_hashed(&name, &seal.sha256)?;
            let opened = self.custodians[&card].open(sealed, &self.scope.grant(n, &seal.author, &card));
            let opened = opened.map_err(|e| format!("{name}: {e}"))?;
            let accepted = EpochSecret::accept(opened, &self.scope, n, &epoch.public);
            ring.epochs.insert(n, accepted.map_err(|e| format!("{name}: {e}"))?);
        }
        let table = state.table().and_then(|t| t.hash.map(|h| (t.epoch, h, t.count)));
        if let Some((n, hash, count)) = table
            && let Some(secret) = ring.epochs.get(&n)
        {
            let name = ObjectName::Table { dataset: state.id().clone(), epoch: n, hash };
            let bytes = bucket.fetch_hashed(&name, &hash)?;
            let opened = KeyTable::open(bytes, &secret.table_key(&self.scope, n), &self.scope, n, count);
            ring.table = Some(opened.map_err(|e| format!("{name}: {e}"))?);
        }
        Ok(ring)
    }

    /// A manifest's key; `None` if it is not for this card, or spoiled.
    pub(crate) fn manifest_key(
        &self,
        bucket: &Bucket,
        state: &DatasetState,
        ring: &Ring,
        id: &ManifestId,
    ) -> Result<Option<Secret32>, String> {
        let committed = &state.manifests()[id];
        match committed.key {
            KeyPlace::Header => {
                let n = committed.epoch;
                let Some(epoch) = ring.epochs.get(&n) else { return Ok(None) };
                let hash = committed.signed.header;
                let name = ObjectName::Header { dataset: state.id().clone(), epoch: n, manifest: *id, hash };
                let sealed = bucket.fetch_hashed(&name, &hash)?;
                let info = self.scope.manifest_key(n, id, &committed.author);
                Ok(seal::open(&epoch.private_key(&self.scope, n), sealed, &info).ok())
            }
            KeyPlace::Table { .. } => {
                let Some(table) = &ring.table else { return Ok(None) };
                let found = table.lookup(id).ok_or_else(|| format!("the table lacks {id}"))?;
                Ok(Some(secret(found.expose())))
            }
            _ => Ok(None),
        }
    }

    /// Whether a key opens a manifest's object, by its header tag alone.
    pub(crate) fn fits(&self, bucket: &Bucket, id: &ManifestId, author: &MemberId, key: &Secret32) -> bool {
        let name = ObjectName::Manifest { dataset: self.scope.dataset.clone().unwrap(), manifest: *id };
        let aad = self.scope.manifest(id, author);
        bucket.fetch(&name).is_some_and(|o| floe::Opener::start(key, aad.as_bytes(), &o[..floe::HEADER]).is_ok())
    }

    /// Every manifest that an honest client opens for a card, in full and against what was signed.
    pub(crate) fn by_the_book(
        &self,
        bucket: &Bucket,
        vault: &VaultState,
        state: &DatasetState,
        card: CardId,
        at: At,
    ) -> Result<BTreeSet<ManifestId>, String> {
        let Some(member) = vault.card(&card).map(|c| c.member.clone()) else { return Ok(BTreeSet::new()) };
        let entitled = state.has_grant(vault, &member, at) || state.recovery().contains(&card);
        if !entitled || !vault.is_current_card(&card, &member, at.vault) {
            return Ok(BTreeSet::new());
        }
        let ring = self.ring(bucket, state, &member, card)?;
        let mut opened = BTreeSet::new();
        for (id, committed) in state.manifests().iter().filter(|(_, m)| m.is_visible()) {
            let Some(key) = self.manifest_key(bucket, state, &ring, id)? else { continue };
            let sealed = bucket.fetch(&ObjectName::Manifest { dataset: state.id().clone(), manifest: *id });
            check_signed(sealed.ok_or_else(|| format!("manifest {id} is not there"))?, committed)?;
            let manifest = self.read(bucket, id, &committed.author, &key).map_err(|e| format!("manifest {id}: {e}"))?;
            let signed = &committed.signed;
            if manifest.root() != signed.root || manifest.files().len() as u64 != signed.files {
                return Err(format!("manifest {id} is not what was signed"));
            }
            opened.insert(*id);
        }
        Ok(opened)
    }
}

fn check_signed(sealed: &[u8], committed: &Committed) -> Result<(), String> {
    let same = sealed.len() as u64 == committed.signed.length && tree::hash(sealed) == committed.signed.blake3.0;
    if same { Ok(()) } else { Err("a sealed manifest is not what was signed".to_owned()) }
}

/// The size of the plaintext in a body of one segment.
fn plain_len(sealed: &[u8]) -> u64 {
    let rest = sealed.len().saturating_sub(floe::HEADER + floe::OVERHEAD) as u64;
    assert!(rest <= floe::SEGMENT_PLAIN as u64, "bodies of one segment only");
    rest
}

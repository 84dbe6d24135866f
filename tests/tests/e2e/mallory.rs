//! The adversary, with the library in hand: opens whatever keys open, in every context that could have been meant, and signs what no
//! command would sign.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use vault_core::card::Card;
use vault_core::context::Scope;
use vault_core::envelope::Envelope;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe::{self, Opener};
use vault_core::ids::{EntryHash, LedgerId, ManifestId, MemberId, VaultId};
use vault_core::json;
use vault_core::layout::ObjectName;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{Body, Entry, Said, Statement, VaultHead};
use vault_core::manifest::Manifest;
use vault_core::seal;
use vault_core::secret::Secret32;
use vault_keys::custodian::Custodian;
use vault_keys::file;
use vault_keys::passphrase::Passphrase;
use vault_tests::world::{PASSPHRASE, Person, objects};

/// Somebody's identity, unlocked.
pub(crate) fn custodian(person: &Person) -> impl Custodian + use<> {
    file::unlock(&person.identity(), &Passphrase::new(PASSPHRASE.to_owned()).unwrap()).unwrap()
}

/// The entries of a ledger that lies in a folder.
pub(crate) fn entries(vault: &Path, ledger: &str) -> Vec<Vec<u8>> {
    let folder = vault.join("ledger").join(ledger);
    let path = |n: usize| folder.join(format!("{n:010}"));
    (0..).map(path).take_while(|path| path.exists()).map(|path| fs::read(path).unwrap()).collect()
}

/// The hash of each entry, one after the other.
pub(crate) fn hashes(vault: &VaultId, ledger: &LedgerId, entries: &[Vec<u8>]) -> Vec<EntryHash> {
    let mut before = (*ledger != LedgerId::Vault).then_some(EntryHash(vault.0));
    let next = |stored: &Vec<u8>| {
        let hash = entry_hash(before, stored);
        before = Some(hash);
        hash
    };
    entries.iter().map(next).collect()
}

/// The vault that lies in a folder.
pub(crate) fn vault_id(vault: &Path) -> VaultId {
    VaultId(entry_hash(None, &entries(vault, "vault")[0]).0)
}

/// A statement as somebody would say it at the end of a ledger, before anything about it is bent.
pub(crate) fn next_statement(vault: &Path, author: &MemberId, card: &Card, ledger: LedgerId, body: Body) -> Statement {
    let id = vault_id(vault);
    let of_vault = hashes(&id, &LedgerId::Vault, &entries(vault, "vault"));
    let of_ledger = hashes(&id, &ledger, &entries(vault, &ledger.to_string()));
    let last = of_vault.len() - 1;
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Statement {
        author: author.clone(),
        body,
        card: *card.id(),
        prev: Some(of_ledger.last().copied().unwrap_or(EntryHash(id.0))),
        seq: of_ledger.len() as u64,
        time,
        vault: Some(id),
        vault_head: (ledger != LedgerId::Vault).then(|| VaultHead { hash: of_vault[last], seq: last as u64 }),
        ledger,
    }
}

/// Signs a statement and writes it where it says it is.
pub(crate) fn write_signed(vault: &Path, custodian: &impl Custodian, statement: &Statement) {
    let stored = statement.sign(|pae| custodian.sign(pae)).unwrap();
    write_entry(vault, &statement.ledger.to_string(), statement.seq, &stored);
}

/// Writes whatever bytes as an entry.
pub(crate) fn write_entry(vault: &Path, ledger: &str, seq: u64, stored: &[u8]) {
    let path = vault.join("ledger").join(ledger).join(format!("{seq:010}"));
    assert!(!path.exists(), "{} is taken", path.display());
    fs::write(path, stored).unwrap();
}

/// Everything that keys open in folders: the keys of manifests, found by trying.
pub(crate) struct Loot {
    /// Epoch secrets that were found.
    pub(crate) epochs: usize,
    keys: Vec<Secret32>,
    scope: Scope,
    authors: Vec<MemberId>,
}

/// What somebody can get at who holds these identities and has all of these folders, which may be copies from different times.
pub(crate) fn loot(identities: &[&dyn Custodian], folders: &[&Path], dataset: &str) -> Loot {
    let vault = vault_id(folders[0]);
    let scope =
        Scope { suite: identities[0].card().suite(), vault: Some(vault), dataset: Some(dataset.parse().unwrap()) };
    let mut authors: Vec<MemberId> = Vec::new();
    // An epoch's secret is known by the public key that belongs to it, whoever sealed it.
    let mut publics = Vec::new();
    for folder in folders {
        for stored in entries(folder, "vault").iter().chain(&entries(folder, &format!("dataset/{dataset}"))) {
            let Ok(Said::Known(said)) = Entry::parse(stored).map(|entry| entry.said) else { continue };
            authors.push(said.author.clone());
            match &said.body {
                Body::DatasetCreated(body) => publics.push((1, body.epoch.public.0.clone())),
                Body::EpochOpened(body) => publics.push((body.epoch, body.public.0.clone())),
                _ => {}
            }
        }
    }
    authors.sort();
    authors.dedup();
    let mut sealed: BTreeMap<ObjectName, Vec<u8>> = BTreeMap::new();
    for folder in folders {
        for name in objects(folder).into_keys().filter(|name| name.starts_with("epochs/")) {
            sealed.insert(name.parse().unwrap(), fs::read(folder.join(&name)).unwrap());
        }
    }
    let mut found: BTreeMap<u64, Vec<EpochSecret>> = BTreeMap::new();
    for (name, bytes) in &sealed {
        let ObjectName::Grant { epoch, .. } = name else { continue };
        for (custodian, author) in identities.iter().flat_map(|i| authors.iter().map(move |a| (i, a))) {
            let Ok(secret) = custodian.open(bytes, &scope.grant(*epoch, author, custodian.card().id())) else {
                continue;
            };
            for (_, public) in publics.iter().filter(|(n, _)| n == epoch) {
                let public = seal::PublicKey::parse(scope.suite, public).unwrap();
                let copy = Secret32::from_slice(secret.expose()).unwrap();
                found.entry(*epoch).or_default().extend(EpochSecret::accept(copy, &scope, *epoch, &public));
            }
        }
    }
    let mut keys = Vec::new();
    for (name, bytes) in &sealed {
        for (n, secret) in found.iter().flat_map(|(n, secrets)| secrets.iter().map(move |s| (*n, s))) {
            match name {
                ObjectName::Header { manifest, .. } => {
                    let key = secret.private_key(&scope, n);
                    keys.extend(
                        authors
                            .iter()
                            .filter_map(|a| seal::open(&key, bytes, &scope.manifest_key(n, manifest, a)).ok()),
                    );
                }
                ObjectName::Table { .. } => {
                    let count = (bytes.len() - floe::HEADER - floe::OVERHEAD) as u64 / 48;
                    if let Ok(table) = KeyTable::open(bytes, &secret.table_key(&scope, n), &scope, n, count) {
                        keys.extend(table.iter().map(|(_, key)| Secret32::from_slice(key.expose()).unwrap()));
                    }
                }
                _ => {}
            }
        }
    }
    Loot { epochs: found.values().map(Vec::len).sum(), keys, scope, authors }
}

impl Loot {
    /// Which manifests of a folder it opens.
    pub(crate) fn opens(&self, folder: &Path) -> Vec<ManifestId> {
        let mut opened = Vec::new();
        for name in objects(folder).into_keys() {
            let Ok(ObjectName::Manifest { manifest, .. }) = name.parse() else { continue };
            let bytes = fs::read(folder.join(&name)).unwrap();
            let opens = |key: &Secret32, author: &MemberId| {
                Opener::start(key, self.scope.manifest(&manifest, author).as_bytes(), &bytes[..floe::HEADER]).is_ok()
            };
            if self.keys.iter().any(|key| self.authors.iter().any(|author| opens(key, author))) {
                opened.push(manifest);
            }
        }
        opened
    }
}

impl Loot {
    /// The manifests of a folder that it opens, with their authors.
    pub(crate) fn manifests(&self, folder: &Path) -> Vec<(ManifestId, MemberId, Manifest)> {
        let mut found = Vec::new();
        for id in self.opens(folder) {
            let name = ObjectName::Manifest { dataset: self.scope.dataset.clone().unwrap(), manifest: id };
            let sealed = fs::read(folder.join(name.to_string())).unwrap();
            let segments = (sealed.len() - floe::HEADER).div_ceil(floe::SEGMENT);
            let size = (sealed.len() - floe::HEADER - segments * floe::OVERHEAD) as u64;
            for (key, author) in self.keys.iter().flat_map(|key| self.authors.iter().map(move |a| (key, a))) {
                let context = self.scope.manifest(&id, author);
                if let Ok(plain) = floe::open_bytes(key, context.as_bytes(), &sealed, size) {
                    found.push((id, author.clone(), Manifest::parse(&plain).unwrap()));
                }
            }
        }
        found
    }

    /// What its keys are bound to.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// How many manifests a folder holds.
pub(crate) fn manifests(folder: &Path) -> usize {
    objects(folder).keys().filter(|name| name.starts_with("manifests/")).count()
}

/// An envelope's payload as JSON, changed and put back without a new signature.
pub(crate) fn with_payload(stored: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let mut envelope = Envelope::parse(stored).unwrap();
    let mut payload: serde_json::Value = serde_json::from_slice(&envelope.payload).unwrap();
    change(&mut payload);
    envelope.payload = json::emit(&payload).unwrap();
    envelope.emit()
}

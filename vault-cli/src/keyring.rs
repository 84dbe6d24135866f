//! The keys of a dataset that this identity can reach: epoch secrets, manifest keys, manifests. Spec pages 2 and 3.
//!
//! Nothing is opened before its hash was found in a statement that counts, and what was opened is compared with what was signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use vault_core::context::Scope;
use vault_core::epoch::{EpochSecret, KeyTable};
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, ManifestId, MemberId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, KeyPlace, Manifest as Committed};
use vault_core::manifest::{self, Manifest, VaultPath, View};
use vault_core::pack::PackList;
use vault_core::seal;
use vault_core::secret::Secret32;

use crate::client::Client;
use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::session::{ATTEMPTS, Session, Signer};
use crate::transfer::plain_len;

/// How many manifests are fetched and opened at once.
const MANIFESTS_AT_ONCE: usize = 4;
/// Most bytes of a pack list: 2^24 packs.
const MAX_PACK_LIST: u64 = 20 + 52 * (1 << 24);

/// What to do about manifests that can't be read, in English and in Chinese.
pub const REMOVE_LOST: (&str, &str) = (
    "a steward removes what is lost for good: `seqvault rm DATASET --manifest ID`",
    "确已丢失的，由数据管理者移除：`seqvault rm DATASET --manifest ID`",
);

/// The secrets of a dataset's unclosed epochs, as far as they are sealed to this identity.
pub struct Keyring {
    scope: Scope,
    client: Arc<dyn Client>,
    epochs: BTreeMap<u64, EpochSecret>,
    table: Option<KeyTable>,
    left_out: Vec<LeftOut>,
}

/// A manifest that can't be read.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LeftOut {
    /// Which.
    pub manifest: ManifestId,
    /// How many files it has.
    pub files: u64,
    /// Why.
    pub why: String,
}

impl core::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "manifest {} ({} files) is left out: {}", self.manifest, self.files, self.why)
    }
}

/// What a missing object means: at first that a rotation may have deleted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    IsLeftOut,
}

/// Whether a failure tells of one manifest, and not of the store or of the reader's rights.
fn is_of_the_manifest(failure: &Failure, missing: Missing) -> bool {
    failure.kind == Kind::Integrity || (failure.kind == Kind::NotFound && missing == Missing::IsLeftOut)
}

/// A manifest that was opened and checked in full, with its packs.
#[derive(Debug)]
pub struct Opened {
    /// Its id.
    pub id: ManifestId,
    /// What its commit signed, and what became of it.
    pub committed: Committed,
    /// Its files.
    pub manifest: Manifest,
    /// Its packs.
    pub packs: PackList,
}

impl core::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keyring").field("epochs", &self.epochs.keys()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens every unclosed epoch that is sealed to the signer's card.
    ///
    /// Until a rotation is over, somebody whose grant has ended still has seals. Nothing but this stops them from opening those, and it stops only
    /// who uses this program as it is; so it is no substitute for the rotation.
    ///
    /// # Errors
    /// If none is, the signer has neither a current grant nor a recovery card, or a seal does not hold what was signed.
    pub async fn open(session: &Session, signer: &Signer, dataset: &DatasetState) -> Outcome<Self> {
        let granted = dataset.has_grant(&session.vault, &signer.member, session.at());
        if !granted && !dataset.recovery().contains(&signer.card) {
            return Err(no_grant(session, signer, dataset));
        }
        let scope = session.scope(dataset.id());
        let mut keyring = Self {
            scope,
            client: Arc::clone(&session.client),
            epochs: BTreeMap::new(),
            table: None,
            left_out: Vec::new(),
        };
        for (n, epoch) in dataset.unclosed() {
            let Some(seal) = epoch.seals.get(&(signer.member.clone(), signer.card)) else { continue };
            let name = ObjectName::Grant {
                dataset: dataset.id().clone(),
                epoch: n,
                member: signer.member.clone(),
                card: signer.card,
                hash: seal.sha256,
            };
            let sealed = keyring.fetch_hashed(&name, &seal.sha256, keyring.scope.suite.seal_len() as u64).await?;
            let info = keyring.scope.grant(n, &seal.author, &signer.card);
            let secret = signer.custodian.open(&sealed, &info).map_err(|e| {
                Failure::integrity(format!("the sealed secret of epoch {n} does not open: {e}"))
                    .or_in_chinese(format!("密钥纪元 {n} 的密封密钥无法打开"))
            })?;
            let secret = EpochSecret::accept(secret, &keyring.scope, n, &epoch.public).map_err(|e| {
                Failure::integrity(format!("epoch {n}: {e}"))
                    .or_in_chinese(format!("密钥纪元 {n} 的密钥不是已签署的那个"))
            })?;
            keyring.epochs.insert(n, secret);
        }
        if keyring.epochs.is_empty() {
            return Err(no_grant(session, signer, dataset));
        }
        Ok(keyring)
    }

    /// Opens the keyring and every visible manifest. A rotation that ends meanwhile deletes what the state named: then the state is read
    /// again, so that a reader is never in a rotation's way and no rotation in a reader's.
    ///
    /// # Errors
    /// As [`Keyring::open`] and [`Keyring::manifests`].
    pub async fn open_all(
        session: &mut Session,
        signer: &Signer,
        dataset: &mut DatasetState,
    ) -> Outcome<(Self, Vec<Opened>)> {
        for _ in 1..ATTEMPTS {
            match Self::try_open_all(session, signer, dataset, Missing::Fails).await {
                Err(failure) if failure.kind == Kind::NotFound => {
                    if !session.has_moved(dataset).await? {
                        break;
                    }
                }
                other => return other,
            }
        }
        Self::try_open_all(session, signer, dataset, Missing::IsLeftOut).await
    }

    async fn try_open_all(
        session: &Session,
        signer: &Signer,
        dataset: &DatasetState,
        missing: Missing,
    ) -> Outcome<(Self, Vec<Opened>)> {
        let mut keyring = Self::open(session, signer, dataset).await?;
        let opened = keyring.manifests(dataset, missing).await?;
        for left in &keyring.left_out {
            crate::output::warn(&format!("seqvault: {left}"));
        }
        Ok((keyring, opened))
    }

    /// Whether every visible manifest was opened.
    ///
    /// # Errors
    /// If some were left out: what was listed or fetched is not all there is.
    pub fn is_complete(&self) -> Outcome<()> {
        if self.left_out.is_empty() {
            return Ok(());
        }
        let files: u64 = self.left_out.iter().map(|left| left.files).sum();
        Err(Failure::integrity(format!(
            "{files} files in {} manifests can't be read; all else is done",
            self.left_out.len()
        ))
        .or_in_chinese(format!("{} 个清单中的 {files} 个文件无法读取；其余均已完成", self.left_out.len()))
        .hints(REMOVE_LOST.0, REMOVE_LOST.1))
    }

    /// What it means that something was not found: if manifests were left out, it may lie in one of them.
    #[must_use]
    pub fn or_left_out(&self, missing: Failure) -> Failure {
        match self.is_complete() {
            Err(incomplete) if missing.kind == Kind::NotFound => incomplete,
            _ => missing,
        }
    }

    /// What was left out, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// A keyring of one secret that was just drawn, for a dataset that has nothing yet or a new epoch.
    pub fn add(&mut self, n: u64, secret: EpochSecret) {
        self.epochs.insert(n, secret);
    }

    /// The secret of an epoch.
    ///
    /// # Errors
    /// If it is not sealed to this identity.
    pub fn epoch(&self, n: u64) -> Outcome<&EpochSecret> {
        self.epochs.get(&n).ok_or_else(|| {
            Failure::refused(format!("epoch {n} is not sealed to this identity"))
                .or_in_chinese(format!("密钥纪元 {n} 未封装给该身份"))
                .hints(
                    "a steward who holds it can grant again, which seals every epoch in use",
                    "持有它的数据管理者可重新授权，届时封装全部在用的密钥纪元",
                )
        })
    }

    /// The epochs held.
    pub fn epochs(&self) -> impl Iterator<Item = (u64, &EpochSecret)> {
        self.epochs.iter().map(|(n, secret)| (*n, secret))
    }

    /// The epochs' secrets themselves.
    pub fn into_epochs(self) -> impl Iterator<Item = (u64, EpochSecret)> {
        self.epochs.into_iter()
    }

    /// What contexts bind.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Reads the key table in force, if a manifest needs it.
    ///
    /// # Errors
    /// If it is missing, differs from what was signed, or does not open.
    pub async fn load_table(&mut self, dataset: &DatasetState) -> Outcome<()> {
        let Some((epoch, hash, count)) = dataset.table().and_then(|t| t.hash.map(|h| (t.epoch, h, t.count))) else {
            return Ok(());
        };
        if self.table.is_some() {
            return Ok(());
        }
        let name = ObjectName::Table { dataset: dataset.id().clone(), epoch, hash };
        let length = floe::ciphertext_len(count.saturating_mul(48));
        let bytes = self.fetch_hashed(&name, &hash, length).await?;
        let key = self.epoch(epoch)?.table_key(&self.scope, epoch);
        let table = KeyTable::open(&bytes, &key, &self.scope, epoch, count)
            .map_err(|e| Failure::integrity(format!("the key table of epoch {epoch}: {e}")))?;
        self.table = Some(table);
        Ok(())
    }

    /// A manifest's key. The table must have been loaded.
    ///
    /// # Errors
    /// If it is unreadable, or its seal is missing or wrong.
    pub async fn manifest_key(
        &self,
        dataset: &DatasetState,
        id: &ManifestId,
        committed: &Committed,
    ) -> Outcome<Secret32> {
        match committed.key {
            KeyPlace::Header => {
                self.header_key(dataset, id, &committed.signed.header, committed.epoch, &committed.author).await
            }
            KeyPlace::Table { .. } => {
                let found = self.table.as_ref().and_then(|t| t.lookup(id));
                let key = found.map(Secret32::duplicate);
                key.ok_or_else(|| Failure::integrity(format!("the key table does not hold manifest {id}")))
            }
            KeyPlace::Void => Err(Failure::integrity(format!(
                "manifest {id} by {} can't be read: its sealed key did not open when the epoch was rotated",
                committed.author
            ))),
            KeyPlace::Unreadable => Err(Failure::integrity(format!(
                "manifest {id} can't be read by anybody: the epoch that it was sealed to was lost"
            ))),
        }
    }

    async fn header_key(
        &self,
        dataset: &DatasetState,
        id: &ManifestId,
        hash: &Digest,
        epoch: u64,
        author: &MemberId,
    ) -> Outcome<Secret32> {
        let name = ObjectName::Header { dataset: dataset.id().clone(), epoch, manifest: *id, hash: *hash };
        let secret = self.epoch(epoch)?;
        let sealed = self.fetch_hashed(&name, hash, self.scope.suite.seal_len() as u64).await?;
        let info = self.scope.manifest_key(epoch, id, author);
        seal::open(&secret.private_key(&self.scope, epoch), &sealed, &info)
            .map_err(|_| Failure::integrity(format!("the key of manifest {id} by {author} does not open")))
    }

    /// A sealed manifest as its commit signed it: length and BLAKE3 are checked.
    ///
    /// # Errors
    /// If it is missing or differs.
    pub async fn sealed_manifest(
        &self,
        dataset: &DatasetState,
        id: &ManifestId,
        committed: &Committed,
    ) -> Outcome<Bytes> {
        let name = ObjectName::Manifest { dataset: dataset.id().clone(), manifest: *id };
        let signed = &committed.signed;
        let bytes = self.client.get(&name, signed.length).await.map_err(failed(&name))?;
        if bytes.len() as u64 != signed.length || blake3::hash(&bytes).as_bytes() != &signed.blake3.0 {
            return Err(changed(&name));
        }
        Ok(bytes)
    }

    /// Checks that a key opens a sealed manifest, by the header tag that commits to the key and its context. Spec 5.4.
    #[must_use]
    pub fn key_fits(&self, key: &Secret32, id: &ManifestId, author: &MemberId, header: &[u8]) -> bool {
        header
            .get(..floe::HEADER)
            .is_some_and(|h| floe::Opener::start(key, self.scope.manifest(id, author).as_bytes(), h).is_ok())
    }

    /// Opens a manifest and checks it in full against its commit.
    ///
    /// # Errors
    /// If anything is missing, changed, or not what was signed.
    pub async fn manifest(&self, dataset: &DatasetState, id: &ManifestId) -> Outcome<Opened> {
        let committed = dataset.manifests().get(id).ok_or_else(|| Failure::not_found(format!("no manifest {id}")))?;
        let key = self.manifest_key(dataset, id, committed).await?;
        let sealed = self.sealed_manifest(dataset, id, committed).await?;
        let aad = self.scope.manifest(id, &committed.author);
        let broken = |why: String| Failure::integrity(format!("manifest {id} by {}: {why}", committed.author));
        let size = plain_len(sealed.len() as u64).ok_or_else(|| broken("no body has this length".to_owned()))?;
        let plain = floe::open_bytes(&key, aad.as_bytes(), &sealed, size).map_err(|e| broken(e.to_string()))?;
        let manifest = Manifest::parse(&plain).map_err(|e| broken(e.to_string()))?;
        drop(plain);
        let packs = self.pack_list(dataset, id, committed).await?;
        let signed = &committed.signed;
        manifest.verify(&signed.root, signed.files, &packs).map_err(|e| broken(e.to_string()))?;
        check_origin(dataset, &manifest, id, committed).map_err(broken)?;
        Ok(Opened { id: *id, committed: committed.clone(), manifest, packs })
    }

    async fn pack_list(&self, dataset: &DatasetState, id: &ManifestId, committed: &Committed) -> Outcome<PackList> {
        let signed = &committed.signed.packs;
        let name = ObjectName::PackList { dataset: dataset.id().clone(), upload: committed.upload, manifest: *id };
        let length = signed.count.saturating_mul(52).saturating_add(20).min(MAX_PACK_LIST);
        let bytes = self.fetch_hashed(&name, &signed.list, length).await?;
        let list = PackList::parse(&bytes).map_err(|e| Failure::integrity(format!("{name}: {e}")))?;
        if list.stream_length() != signed.bytes || list.packs().len() as u64 != signed.count {
            return Err(Failure::integrity(format!("{name} is not the pack list that was signed")));
        }
        Ok(list)
    }

    /// Opens every visible manifest, some at a time, in the order of the ledger. What can't be read for its author's or the store's
    /// fault is left out, because one bad manifest must not keep readers from the rest.
    async fn manifests(&mut self, dataset: &DatasetState, missing: Missing) -> Outcome<Vec<Opened>> {
        self.load_table(dataset).await?;
        let visible = dataset.manifests().iter().filter(|(_, m)| m.is_visible());
        let mut ids: Vec<(u64, ManifestId)> = visible.map(|(id, m)| (m.seq, *id)).collect();
        ids.sort_unstable();
        let keyring = &*self;
        let results: Vec<(ManifestId, Outcome<Opened>)> =
            stream::iter(ids.into_iter().map(|(_, id)| async move { (id, keyring.manifest(dataset, &id).await) }))
                .buffered(MANIFESTS_AT_ONCE)
                .collect()
                .await;
        let mut opened = Vec::with_capacity(results.len());
        for (id, result) in results {
            match result {
                Ok(manifest) => opened.push(manifest),
                Err(failure) if is_of_the_manifest(&failure, missing) => self.left_out.push(LeftOut {
                    manifest: id,
                    files: dataset.manifests().get(&id).map_or(0, |m| m.signed.files),
                    why: failure.message,
                }),
                Err(failure) => return Err(failure),
            }
        }
        Ok(opened)
    }

    /// An object whose SHA-256 a statement names.
    async fn fetch_hashed(&self, name: &ObjectName, hash: &Digest, length: u64) -> Outcome<Bytes> {
        let bytes = self.client.get(name, length).await.map_err(failed(name))?;
        if sha256(&bytes) == hash.0 { Ok(bytes) } else { Err(changed(name)) }
    }
}

/// The dataset's files as a reader sees them (spec 3.7). A re-encryption stands in the place of what it supersedes.
#[must_use]
pub fn view<'a>(dataset: &'a DatasetState, opened: &'a [Opened]) -> View<'a> {
    let committed: Vec<manifest::Committed<'_>> = opened
        .iter()
        .map(|o| {
            let (first, supersedes) = line_of(dataset, &o.committed);
            manifest::Committed {
                manifest: o.id,
                supersedes,
                entry: first.seq,
                author: &first.author,
                author_was_steward: first.author_was_steward,
                files: o.manifest.files().iter().map(|f| (&f.path, f.number)).collect(),
                removed: o.committed.removed_files.iter().copied().collect(),
                replaces: &o.manifest.extras().replaces,
            }
        })
        .collect();
    View::of(&committed)
}

/// The first manifest of a line of re-encryptions, and all before the last.
fn line_of<'a>(dataset: &'a DatasetState, last: &'a Committed) -> (&'a Committed, Vec<ManifestId>) {
    let (mut first, mut before) = (last, Vec::new());
    // The fold lets a manifest supersede only one that is already there, so the line ends.
    while let Some(id) = first.signed.supersedes {
        before.push(id);
        match dataset.manifests().get(&id) {
            Some(older) => first = older,
            None => break,
        }
    }
    (first, before)
}

/// A path as people type it.
///
/// # Errors
/// If no file of a vault can be named so.
pub fn path(text: &str) -> Outcome<VaultPath> {
    VaultPath::parse(text).map_err(|e| Failure::usage(format!("{text:?}: {e}")))
}

/// A re-encrypted manifest names the statement that first signed its root; it must be there and agree (spec 3.6).
fn check_origin(
    dataset: &DatasetState,
    manifest: &Manifest,
    id: &ManifestId,
    committed: &Committed,
) -> Result<(), String> {
    let superseded = committed.signed.supersedes;
    let Some(origin) = &manifest.extras().origin else {
        return if superseded.is_none() {
            Ok(())
        } else {
            Err("it re-encrypts a manifest and names no origin".to_owned())
        };
    };
    if superseded.is_none() {
        return Err("it names an origin and re-encrypts nothing".to_owned());
    }
    let first = dataset.manifests().get(&origin.manifest).ok_or("its origin is not in the ledger")?;
    let same = first.entry == origin.entry
        && first.signed.root == committed.signed.root
        && first.signed.files == origin.leaves
        && first.signed.supersedes.is_none()
        && origin.manifest != *id;
    if same { Ok(()) } else { Err("its origin signed something else".to_owned()) }
}

fn changed(name: &ObjectName) -> Failure {
    Failure::integrity(format!("object {name} is not what was signed: it was changed, cut short or replaced"))
        .or_in_chinese(format!("对象 {name} 与所签不符：被更改、截断或替换"))
}

fn no_grant(session: &Session, signer: &Signer, dataset: &DatasetState) -> Failure {
    let member = &signer.member;
    let at = session.at();
    let (id, granted) = (dataset.id(), dataset.has_grant(&session.vault, member, at));
    if granted {
        return Failure::refused(format!("{member} has a grant on {id}, but its keys are not sealed to this card"))
            .or_in_chinese(format!("{member} 在 {id} 上有授权，但密钥未封装给本卡片"))
            .hints(
                format!("a steward can seal them to a new card: `seqvault grant {id} {member}`"),
                format!("数据管理者可封装给新的卡片：`seqvault grant {id} {member}`"),
            );
    }
    let (why, why_zh) = match dataset.grants().get(member) {
        None => ("never had a grant", "从未获得授权"),
        Some(g) if g.ends.is_some_and(|ends| ends <= at.time) => ("had a grant that has ended", "的授权已届满"),
        Some(_) => ("no longer has a grant", "已无授权"),
    };
    Failure::new(Kind::Refused, format!("{member} {why} on dataset {id}"))
        .or_in_chinese(format!("{member} 在数据集 {id} 上{why_zh}"))
        .hints(
            format!("ask a steward of it: `seqvault grant {id} {member}`"),
            format!("请其数据管理者授权：`seqvault grant {id} {member}`"),
        )
}

//! The doctor: looks at everything, says what is amiss, and makes again what is derived. Spec section 6.3.
//!
//! It decides nothing: what only a person can settle (a fork, a gap, a lost pack) is named and left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use vault_core::ids::{DatasetId, LedgerId, ManifestId, MemberId, PackName, UploadId};
use vault_core::layout::{
    BundleSize, MAX_NUMBER, ObjectName, epochs_prefix, kept_prefix, ledger_prefix, manifests_prefix, upload_prefix,
    uploads_prefix,
};
use vault_core::ledger::dataset::{DatasetState, KeyPlace, Manifest, Upload, UploadStatus};
use vault_core::ledger::fold::{Stop, Verdict};
use vault_core::ledger::vault::VaultState;
use vault_core::pack::{Groups, PackHash, PackList};

use super::objects::{digest, groups_fit};
use super::read::LedgerError;
use super::remove::{RemoveError, is_hidden, is_in_use, list_name};
use super::state::StateError;
use super::{Vault, bundle};
use crate::store::{Listed, StoreError};

/// How the doctor looks.
#[derive(Debug, Clone, Copy)]
pub struct Doctor {
    /// The caller's clock, seconds since 1970.
    pub now: i64,
    /// What is younger than this may belong to somebody who is at work: temporary files, seals that no statement names yet.
    pub at_work: Duration,
}

/// What the doctor found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every ledger.
    pub ledgers: Vec<Ledger>,
    /// What is amiss or unfinished.
    pub findings: Vec<Finding>,
}

/// A ledger as the doctor saw it.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Which.
    pub id: LedgerId,
    /// How many entries it has.
    pub entries: u64,
    /// Why its fold stops, if it does.
    pub stop: Option<Stop>,
    /// Entries that do not count, and why.
    pub void: Vec<(u64, &'static str)>,
}

/// One thing that is amiss or unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A ledger can't be read or folded.
    Ledger {
        /// Which.
        ledger: LedgerId,
        /// Why.
        why: String,
    },
    /// A bundle is missing or is no true copy. Derived.
    Bundle {
        /// The ledger.
        ledger: LedgerId,
        /// Its size.
        size: BundleSize,
        /// Its number.
        index: u64,
    },
    /// A marker is missing. Derived.
    Marker {
        /// The member.
        member: MemberId,
        /// The dataset.
        dataset: DatasetId,
    },
    /// A manifest's groups are missing or wrong. Derived.
    Groups {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// The manifest.
        manifest: ManifestId,
    },
    /// A killed writer left a temporary file.
    Leftover {
        /// The file, relative to the vault's folder.
        path: PathBuf,
    },
    /// A seal, header or table that no valid statement names, or a pack that no list of its committed upload names.
    Unused {
        /// The object.
        name: ObjectName,
    },
    /// An object that a valid statement names is not there.
    Missing {
        /// The object.
        name: ObjectName,
    },
    /// An object is not what was signed.
    Differs {
        /// The object.
        name: ObjectName,
    },
    /// Epochs that are closed were not deleted.
    OldEpoch {
        /// The dataset.
        dataset: DatasetId,
        /// The epoch.
        epoch: u64,
        /// Objects left of it.
        objects: u64,
    },
    /// A rotation was begun and not ended.
    OpenEpoch {
        /// The dataset.
        dataset: DatasetId,
        /// The newest epoch.
        epoch: u64,
        /// When it was opened.
        since: u64,
    },
    /// An upload was begun and not ended.
    OpenUpload {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// Who began it.
        author: MemberId,
        /// When.
        opened: u64,
        /// When others may close it.
        ends: u64,
        /// Bytes that it holds.
        bytes: u64,
    },
    /// A closed upload, or one that no statement opened, still holds objects.
    DeadUpload {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// Whether a statement closed it, so that a sweep deletes it.
        closed: bool,
        /// Bytes that it holds.
        bytes: u64,
    },
    /// A removed or re-encrypted manifest still has its objects.
    Hidden {
        /// The dataset.
        dataset: DatasetId,
        /// The manifest.
        manifest: ManifestId,
    },
    /// A deleted dataset still holds objects.
    DeletedDataset {
        /// The dataset.
        dataset: DatasetId,
        /// How many.
        objects: u64,
    },
    /// A member or card was retired, and the dataset's ledger does not cite that yet.
    NotAnchored {
        /// The dataset.
        dataset: DatasetId,
        /// The member.
        member: MemberId,
        /// The vault entry that retired it.
        retired: u64,
    },
}

impl Finding {
    /// Whether [`Vault::repair`] does something about it. What waits for a statement or for a person is not repaired.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        matches!(
            self,
            Self::Bundle { .. }
                | Self::Marker { .. }
                | Self::Groups { .. }
                | Self::Leftover { .. }
                | Self::Unused { .. }
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger { ledger, why } => write!(f, "ledger {ledger} can't be read: {why}"),
            Self::Bundle { ledger, size, index } => {
                let name = ObjectName::Bundle { ledger: ledger.clone(), size: *size, index: *index };
                write!(f, "{name}: missing or no true copy")
            }
            Self::Marker { member, dataset } => write!(f, "index/{member}/{dataset}: missing"),
            Self::Groups { dataset, upload, manifest } => {
                write!(f, "packs/{dataset}/{upload}/{manifest}.groups: missing or wrong")
            }
            Self::Leftover { path } => write!(f, "{}: left by a writer that was killed", path.display()),
            Self::Unused { name } => write!(f, "{name}: no statement names it"),
            Self::Missing { name } => write!(f, "{name}: missing"),
            Self::Differs { name } => write!(f, "{name}: not what was signed"),
            Self::OldEpoch { dataset, epoch, objects } => {
                write!(f, "dataset {dataset}: {objects} objects of closed epoch {epoch} were not deleted")
            }
            Self::OpenEpoch { dataset, epoch, since } => {
                write!(f, "dataset {dataset}: the rotation to epoch {epoch}, begun at {since}, is not finished")
            }
            Self::OpenUpload { dataset, upload, author, opened, ends, bytes } => write!(
                f,
                "dataset {dataset}: upload {upload} of {author}, begun at {opened}, is not finished; it holds {bytes} bytes and ends at {ends}"
            ),
            Self::DeadUpload { dataset, upload, closed, bytes } => {
                let what = if *closed { "closed" } else { "never opened" };
                write!(f, "dataset {dataset}: upload {upload} was {what} and holds {bytes} bytes")
            }
            Self::Hidden { dataset, manifest } => {
                write!(f, "dataset {dataset}: the objects of hidden manifest {manifest} were not deleted")
            }
            Self::DeletedDataset { dataset, objects } => {
                write!(f, "dataset {dataset} is deleted and still holds {objects} objects")
            }
            Self::NotAnchored { dataset, member, retired } => {
                write!(
                    f,
                    "dataset {dataset}: its ledger does not cite vault entry {retired}, which retires {member} or a card of it"
                )
            }
        }
    }
}

/// What a dataset has in the store.
#[derive(Debug, Default)]
struct Holdings {
    epochs: BTreeMap<ObjectName, Listed>,
    manifests: BTreeMap<ManifestId, u64>,
    uploads: BTreeMap<UploadId, BTreeMap<ObjectName, u64>>,
}

impl Holdings {
    fn objects(&self) -> u64 {
        (self.epochs.len() + self.manifests.len() + self.uploads.values().map(BTreeMap::len).sum::<usize>()) as u64
    }
}

impl Vault {
    /// Looks at every ledger and dataset. Nothing is changed.
    ///
    /// # Errors
    /// If the store fails. What is wrong with a ledger is a finding.
    pub async fn doctor(&self, how: &Doctor) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for id in self.ledger_ids().await? {
            self.look_at_ledger(&id, &mut report).await?;
            if let LedgerId::Dataset(dataset) = &id {
                self.look_at_dataset(dataset, how, &mut report).await?;
            }
        }
        self.look_at_strays(how, &mut report).await?;
        let leftovers = self.store.leftovers(how.at_work).await?;
        report.findings.extend(leftovers.into_iter().map(|path| Finding::Leftover { path }));
        Ok(report)
    }

    /// Makes again what is derived, and removes what nobody names any more. Returns what it did.
    ///
    /// # Errors
    /// If the store fails, or what a derived object is made from is damaged.
    pub async fn repair(&self, report: &Report) -> Result<Vec<Finding>, RemoveError> {
        let mut done = Vec::new();
        for finding in &report.findings {
            let repaired = match finding {
                Finding::Bundle { ledger, size, index } => self.make_bundle(ledger, *size, *index).await?,
                Finding::Marker { member, dataset } => {
                    let name = ObjectName::Marker { member: member.clone(), dataset: dataset.clone() };
                    let _ = self.store.create(&name, Bytes::new()).await?;
                    true
                }
                Finding::Groups { dataset, upload, manifest } => self.make_groups(dataset, upload, manifest).await?,
                Finding::Leftover { path } => {
                    self.store.remove_leftovers(vec![path.clone()]).await?;
                    true
                }
                Finding::Unused { name } => match self.withdraw(name).await {
                    Ok(removed) => removed.objects > 0,
                    // It was named since the report was written.
                    Err(RemoveError::InUse { .. }) => false,
                    Err(e) => return Err(e),
                },
                _ => false,
            };
            if repaired {
                done.push(finding.clone());
            }
        }
        Ok(done)
    }

    async fn look_at_ledger(&self, id: &LedgerId, report: &mut Report) -> Result<(), StoreError> {
        let broken = |why: String| Finding::Ledger { ledger: id.clone(), why };
        let entries = match self.entries(id, 0).await {
            Ok(entries) => entries,
            Err(LedgerError::Store(e)) => return Err(e),
            Err(e) => {
                report.findings.push(broken(e.to_string()));
                return Ok(());
            }
        };
        // A creation that died before its first entry leaves a folder. Whether there was more once, clients know by their pins.
        if entries.is_empty() && *id != LedgerId::Vault {
            return Ok(());
        }
        let folded = match id {
            LedgerId::Vault => self.state().await.map(|s| (s.judged().to_vec(), s.stop().cloned())),
            LedgerId::Dataset(dataset) => {
                self.view(dataset).await.map(|v| (v.dataset.judged().to_vec(), v.dataset.stop().cloned()))
            }
            LedgerId::Exposure(recipient) => {
                self.exposure(*recipient).await.map(|s| (s.judged().to_vec(), s.stop().cloned()))
            }
        };
        let (judged, stop) = match folded {
            Ok(folded) => folded,
            Err(StateError::Ledger(LedgerError::Store(e))) => return Err(e),
            Err(e) => {
                report.findings.push(broken(e.to_string()));
                (Vec::new(), None)
            }
        };
        let reason = |verdict| match verdict {
            Verdict::Void(reason) => Some(reason),
            Verdict::Applied | Verdict::Skipped => None,
        };
        let void = (0..).zip(judged).filter_map(|(seq, judged)| Some((seq, reason(judged.verdict)?))).collect();
        report.ledgers.push(Ledger { id: id.clone(), entries: entries.len() as u64, stop, void });
        self.look_at_bundles(id, &entries, report).await
    }

    async fn look_at_bundles(&self, id: &LedgerId, entries: &[Bytes], report: &mut Report) -> Result<(), StoreError> {
        for size in [BundleSize::Sixteen, BundleSize::TwoFiftySix] {
            let len = usize::try_from(size.entries()).unwrap_or(usize::MAX);
            for (index, copied) in (0..MAX_NUMBER).zip(entries.chunks_exact(len)) {
                let Some(wanted) = bundle::emit(copied).filter(|_| bundle::is_chain(copied)) else { continue };
                let name = ObjectName::Bundle { ledger: id.clone(), size, index };
                match self.store.get(&name, wanted.len() as u64).await {
                    Ok(found) if found == wanted => continue,
                    Ok(_) | Err(StoreError::NotFound { .. } | StoreError::TooLong { .. }) => {}
                    Err(e) => return Err(e),
                }
                report.findings.push(Finding::Bundle { ledger: id.clone(), size, index });
            }
        }
        Ok(())
    }

    async fn look_at_dataset(&self, id: &DatasetId, how: &Doctor, report: &mut Report) -> Result<(), StoreError> {
        let view = match self.view(id).await {
            Ok(view) => view,
            Err(StateError::Ledger(LedgerError::Store(e))) => return Err(e),
            // Said of its ledger already.
            Err(_) => return Ok(()),
        };
        let state = &view.dataset;
        if state.is_deleted() {
            if let objects @ 1.. = self.objects_of(id).await? {
                report.findings.push(Finding::DeletedDataset { dataset: id.clone(), objects });
            }
            return Ok(());
        }
        let held = self.holdings(id).await?;
        self.look_at_markers(state, report).await?;
        not_anchored(state, &view.vault, report);
        if state.newest() > state.closed()
            && let Some(newest) = state.newest_epoch()
        {
            let (dataset, epoch) = (id.clone(), state.newest());
            report.findings.push(Finding::OpenEpoch { dataset, epoch, since: newest.time });
        }
        look_at_epochs(state, &held, how, report);
        for (upload, objects) in &held.uploads {
            look_at_upload(state, upload, objects, report);
        }
        // A fold that stopped may not know what is visible.
        if state.stop().is_none() {
            for (upload, objects) in &held.uploads {
                let packs = objects.keys().filter_map(pack_of);
                let strays = match self.stray_packs(state, upload, packs).await {
                    Ok(strays) => strays,
                    Err(RemoveError::State(StateError::Ledger(LedgerError::Store(e)))) => return Err(e),
                    // Said of its ledger or its lists already.
                    Err(_) => continue,
                };
                report.findings.extend(strays.into_iter().map(|pack| Finding::Unused {
                    name: ObjectName::Pack { dataset: id.clone(), upload: *upload, pack },
                }));
            }
            for (manifest_id, manifest) in state.manifests() {
                self.look_at_manifest(state, manifest_id, manifest, &held, report).await?;
            }
        }
        Ok(())
    }

    /// Keys of datasets that were never created: whoever was about to was killed before the statement.
    async fn look_at_strays(&self, how: &Doctor, report: &mut Report) -> Result<(), StoreError> {
        for folder in self.store.folders("epochs/").await? {
            let Ok(dataset) = folder.parse::<DatasetId>() else { continue };
            let ledger = LedgerId::Dataset(dataset.clone());
            // Any entry, even behind a gap, means that there is or was such a dataset.
            if !self.store.list(&ledger_prefix(&ledger)).await?.is_empty() {
                continue;
            }
            let strays = self.store.list(&epochs_prefix(&dataset)).await?;
            let strays = strays.into_iter().filter(|object| !is_at_work(how, object));
            report.findings.extend(strays.map(|object| Finding::Unused { name: object.name }));
        }
        Ok(())
    }

    /// How many objects a dataset holds besides its ledger. Lists it, and reads none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn objects_of(&self, id: &DatasetId) -> Result<u64, StoreError> {
        let kept = self.store.list(&kept_prefix(id)).await?.len() as u64;
        Ok(self.holdings(id).await?.objects() + kept)
    }

    async fn holdings(&self, id: &DatasetId) -> Result<Holdings, StoreError> {
        let mut held = Holdings::default();
        for object in self.store.list(&epochs_prefix(id)).await? {
            held.epochs.insert(object.name.clone(), object);
        }
        for object in self.store.list(&manifests_prefix(id)).await? {
            if let ObjectName::Manifest { manifest, .. } = object.name {
                held.manifests.insert(manifest, object.size);
            }
        }
        for folder in self.store.folders(&uploads_prefix(id)).await? {
            let Ok(upload) = folder.parse() else { continue };
            let objects = self.store.list(&upload_prefix(id, &upload)).await?;
            let sizes: BTreeMap<_, _> = objects.into_iter().map(|object| (object.name, object.size)).collect();
            if !sizes.is_empty() {
                held.uploads.insert(upload, sizes);
            }
        }
        Ok(held)
    }

    async fn look_at_markers(&self, state: &DatasetState, report: &mut Report) -> Result<(), StoreError> {
        let sealed_to = state.unclosed().flat_map(|(_, epoch)| epoch.seals.keys().map(|(member, _)| member.clone()));
        let members: BTreeSet<MemberId> = state.grants().keys().cloned().chain(sealed_to).collect();
        for member in members {
            let name = ObjectName::Marker { member: member.clone(), dataset: state.id().clone() };
            if self.store.size(&name).await?.is_none() {
                report.findings.push(Finding::Marker { member, dataset: state.id().clone() });
            }
        }
        Ok(())
    }

    async fn look_at_manifest(
        &self,
        state: &DatasetState,
        id: &ManifestId,
        manifest: &Manifest,
        held: &Holdings,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let dataset = state.id();
        let nothing = BTreeMap::new();
        let objects = held.uploads.get(&manifest.upload).unwrap_or(&nothing);
        let list = list_name(dataset, id, &manifest.upload);
        if is_hidden(state, manifest) {
            if objects.contains_key(&list) || held.manifests.contains_key(id) {
                report.findings.push(Finding::Hidden { dataset: dataset.clone(), manifest: *id });
            }
            return Ok(());
        }
        let name = ObjectName::Manifest { dataset: dataset.clone(), manifest: *id };
        expect(name, held.manifests.get(id).copied(), manifest.signed.length, report);
        if manifest.key == KeyPlace::Header {
            let (dataset, epoch, hash) = (dataset.clone(), manifest.epoch, manifest.signed.header);
            need(ObjectName::Header { dataset, epoch, manifest: *id, hash }, held, report);
        }
        let packs = match self.get(&list).await {
            Ok(bytes) if digest(&bytes) == manifest.signed.packs.list => bytes,
            Ok(_) => {
                report.findings.push(Finding::Differs { name: list });
                return Ok(());
            }
            Err(e) if e.is_not_found() => {
                report.findings.push(Finding::Missing { name: list });
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let packs = PackList::parse(&packs).ok();
        for pack in packs.iter().flat_map(PackList::packs) {
            let name = ObjectName::Pack { dataset: dataset.clone(), upload: manifest.upload, pack: pack.name };
            let size = objects.get(&name).copied();
            expect(name, size, u64::from(pack.length), report);
        }
        let groups = groups_name(dataset, &manifest.upload, id);
        let good = match self.get(&groups).await {
            Ok(bytes) => packs.is_some_and(|list| groups_fit(&list, &bytes)),
            Err(StoreError::NotFound { .. } | StoreError::TooLong { .. }) => false,
            Err(e) => return Err(e),
        };
        if !good {
            let (dataset, upload) = (dataset.clone(), manifest.upload);
            report.findings.push(Finding::Groups { dataset, upload, manifest: *id });
        }
        Ok(())
    }

    /// Reads every pack of a manifest and writes its groups anew. False if a pack is not what was signed.
    async fn make_groups(
        &self,
        dataset: &DatasetId,
        upload: &UploadId,
        manifest: &ManifestId,
    ) -> Result<bool, StoreError> {
        let list = self.get(&list_name(dataset, manifest, upload)).await?;
        let Ok(list) = PackList::parse(&list) else { return Ok(false) };
        let mut values = Vec::with_capacity(list.packs().len());
        for pack in list.packs() {
            let name = ObjectName::Pack { dataset: dataset.clone(), upload: *upload, pack: pack.name };
            let bytes = match self.get(&name).await {
                Ok(bytes) => bytes,
                Err(e) if e.is_not_found() => return Ok(false),
                Err(e) => return Err(e),
            };
            let stopped = |_| StoreError::Stopped { path: self.store.location() };
            let hash = tokio::task::spawn_blocking(move || PackHash::of(&bytes)).await.map_err(stopped)?;
            if hash.root != pack.blake3 {
                return Ok(false);
            }
            values.push(hash.groups);
        }
        let name = groups_name(dataset, upload, manifest);
        self.store.delete(std::slice::from_ref(&name)).await?;
        let _ = self.store.create(&name, Bytes::from(Groups::new(values).emit())).await?;
        Ok(true)
    }
}

/// Whether an object is so young that whoever wrote it may still be at work.
fn is_at_work(how: &Doctor, object: &Listed) -> bool {
    // Debug builds can be told that what a bucket holds from before a time is old: its times can't be set, for the end-to-end tests.
    #[cfg(debug_assertions)]
    if std::env::var_os("SEQVAULT_TEST_AGED")
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse::<i64>().ok())
        .is_some_and(|until| object.modified <= until)
    {
        return false;
    }
    how.now.saturating_sub(object.modified) < i64::try_from(how.at_work.as_secs()).unwrap_or(i64::MAX)
}

fn look_at_epochs(state: &DatasetState, held: &Holdings, how: &Doctor, report: &mut Report) {
    let dataset = state.id();
    let mut old: BTreeMap<u64, u64> = BTreeMap::new();
    // An open upload's headers are written before the commit that names them.
    let uncommitted: BTreeSet<ManifestId> = held
        .uploads
        .iter()
        .filter(|(id, _)| state.uploads().get(id).is_some_and(|upload| upload.status == UploadStatus::Open))
        .flat_map(|(_, objects)| objects.keys().filter_map(list_of))
        .collect();
    for (name, object) in &held.epochs {
        let Some(epoch) = epoch_of(name) else { continue };
        let at_work = is_at_work(how, object);
        let is_uncommitted = matches!(name, ObjectName::Header { manifest, .. } if uncommitted.contains(manifest));
        if epoch < state.closed() {
            *old.entry(epoch).or_default() += 1;
        } else if !is_in_use(state, name) && !at_work && !is_uncommitted && state.stop().is_none() {
            report.findings.push(Finding::Unused { name: name.clone() });
        }
    }
    for (epoch, objects) in old {
        report.findings.push(Finding::OldEpoch { dataset: dataset.clone(), epoch, objects });
    }
    for (epoch, opened) in state.unclosed() {
        for ((member, card), seal) in &opened.seals {
            let (dataset, member) = (dataset.clone(), member.clone());
            let name = ObjectName::Grant { dataset, epoch, member, card: *card, hash: seal.sha256 };
            need(name, held, report);
        }
    }
    if let Some((epoch, hash)) = state.table().and_then(|table| Some((table.epoch, table.hash?))) {
        need(ObjectName::Table { dataset: dataset.clone(), epoch, hash }, held, report);
    }
}

fn look_at_upload(state: &DatasetState, id: &UploadId, objects: &BTreeMap<ObjectName, u64>, report: &mut Report) {
    let bytes = objects.values().sum();
    let (dataset, upload) = (state.id().clone(), *id);
    let finding = match state.uploads().get(id) {
        Some(Upload { status: UploadStatus::Committed { .. }, .. }) => return,
        Some(Upload { status: UploadStatus::Open, author, opened, ends }) => {
            Finding::OpenUpload { dataset, upload, author: author.clone(), opened: *opened, ends: *ends, bytes }
        }
        Some(Upload { status: UploadStatus::Closed, .. }) => {
            Finding::DeadUpload { dataset, upload, closed: true, bytes }
        }
        None => Finding::DeadUpload { dataset, upload, closed: false, bytes },
    };
    report.findings.push(finding);
}

/// Members who had something to do with the dataset and whose retirement, or a card's, its ledger does not cite.
fn not_anchored(state: &DatasetState, vault: &VaultState, report: &mut Report) {
    let sealed_to = state.unclosed().flat_map(|(_, epoch)| epoch.seals.keys().map(|(member, _)| member));
    let concerned: BTreeSet<&MemberId> =
        state.grants().keys().chain(state.uploaders()).chain([state.creator()]).chain(sealed_to).collect();
    for member in concerned {
        let cards = vault.cards_of(member).filter_map(|card| card.retired);
        let retired = vault.member(member).and_then(|m| m.retired).into_iter().chain(cards).max();
        if let Some(retired) = retired.filter(|retired| *retired > state.cited()) {
            let (dataset, member) = (state.id().clone(), member.clone());
            report.findings.push(Finding::NotAnchored { dataset, member, retired });
        }
    }
}

fn need(name: ObjectName, held: &Holdings, report: &mut Report) {
    if !held.epochs.contains_key(&name) {
        report.findings.push(Finding::Missing { name });
    }
}

fn expect(name: ObjectName, found: Option<u64>, signed: u64, report: &mut Report) {
    match found {
        Some(size) if size == signed => {}
        Some(_) => report.findings.push(Finding::Differs { name }),
        None => report.findings.push(Finding::Missing { name }),
    }
}

const fn epoch_of(name: &ObjectName) -> Option<u64> {
    match name {
        ObjectName::Grant { epoch, .. } | ObjectName::Header { epoch, .. } | ObjectName::Table { epoch, .. } => {
            Some(*epoch)
        }
        _ => None,
    }
}

const fn pack_of(name: &ObjectName) -> Option<PackName> {
    match name {
        ObjectName::Pack { pack, .. } => Some(*pack),
        _ => None,
    }
}

const fn list_of(name: &ObjectName) -> Option<ManifestId> {
    match name {
        ObjectName::PackList { manifest, .. } => Some(*manifest),
        _ => None,
    }
}

fn groups_name(dataset: &DatasetId, upload: &UploadId, manifest: &ManifestId) -> ObjectName {
    ObjectName::Groups { dataset: dataset.clone(), upload: *upload, manifest: *manifest }
}

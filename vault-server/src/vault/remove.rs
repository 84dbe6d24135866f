//! Deletion: only what a statement that stands allows, and only after that statement is durable. Spec section 6.2.
//!
//! Every deletion can be repeated, by anybody, and ends where an uninterrupted one would have ended. A store that keeps versions or is
//! locked keeps the old objects; that is for whoever shows the result to say.

use std::collections::BTreeSet;

use vault_core::ids::{DatasetId, Digest, LedgerId, ManifestId, PackName, UploadId};
use vault_core::layout::{
    ObjectName, epoch_prefix, epochs_prefix, headers_prefix, kept_prefix, ledger_prefix, manifests_prefix,
    upload_prefix, uploads_prefix,
};
use vault_core::ledger::dataset::{DatasetState, KeyPlace, Manifest, UploadStatus};
use vault_core::ledger::fold::Stop;
use vault_core::ledger::statement::{Body, Entry, Said};
use vault_core::pack::{MAX_LIST, list_len};

use super::Vault;
use super::objects::digest;
use super::read::LedgerError;
use super::state::{StateError, View};
use crate::store::{Removed, StoreError};

/// Why nothing more was deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The state could not be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// A ledger has stopped: what stands behind the stop is unknown, and it may need what would be deleted.
    #[error(transparent)]
    Stopped(Stop),
    /// No valid statement opened the upload.
    #[error("upload {upload} of dataset {dataset} was never opened")]
    UnknownUpload {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
    },
    /// The upload is open: it may still be committed.
    #[error("upload {upload} of dataset {dataset} is open; it has to be closed first")]
    OpenUpload {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
    },
    /// The upload is committed: what it holds is visible.
    #[error("upload {upload} of dataset {dataset} is committed")]
    CommittedUpload {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
    },
    /// Epochs from the closed one on are still read.
    #[error("dataset {dataset}: epochs below {below} are not closed, only those below {closed} are")]
    NotClosed {
        /// The dataset.
        dataset: DatasetId,
        /// What was to be deleted below.
        below: u64,
        /// The highest closed epoch.
        closed: u64,
    },
    /// The key table that carries older manifests' keys is not there, or is another one: the old headers may be the only copies.
    #[error("{name}: the key table in force is missing or changed, so nothing older is deleted")]
    TableMissing {
        /// The table.
        name: ObjectName,
    },
    /// A pack list is missing or is not the signed one, so that it is unknown which packs others need.
    #[error("{name}: the pack list is missing or changed, so no pack beside it is deleted")]
    ListMissing {
        /// The list.
        name: ObjectName,
    },
    /// A valid statement names the object.
    #[error("{name}: it is in use")]
    InUse {
        /// The object.
        name: ObjectName,
    },
    /// Objects of this kind are never withdrawn.
    #[error("{name}: objects of this kind are not withdrawn")]
    NotWithdrawn {
        /// The object.
        name: ObjectName,
    },
    /// The dataset was not deleted by a statement.
    #[error("dataset {dataset} is not deleted")]
    NotDeleted {
        /// The dataset.
        dataset: DatasetId,
    },
}

impl From<StoreError> for RemoveError {
    fn from(source: StoreError) -> Self {
        Self::State(source.into())
    }
}

impl From<LedgerError> for RemoveError {
    fn from(source: LedgerError) -> Self {
        Self::State(source.into())
    }
}

impl Vault {
    /// Deletes everything of an upload that a statement closed: manifests, headers, packs.
    ///
    /// # Errors
    /// If the upload is not closed, or the store fails.
    pub async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Result<Removed, RemoveError> {
        let view = self.standing(dataset).await?;
        let (id, upload) = (dataset.clone(), *upload);
        match view.dataset.uploads().get(&upload).map(|found| found.status) {
            Some(UploadStatus::Closed) => {}
            Some(UploadStatus::Open) => return Err(RemoveError::OpenUpload { dataset: id, upload }),
            Some(UploadStatus::Committed { .. }) => return Err(RemoveError::CommittedUpload { dataset: id, upload }),
            None => return Err(RemoveError::UnknownUpload { dataset: id, upload }),
        }
        let prefix = upload_prefix(dataset, &upload);
        let manifests = self.only_of(&view.dataset, &upload).await?;
        let mut removed = self.delete_manifests(&view.dataset, &manifests).await?;
        // The lists last: they tell a repeated sweep which manifests there were.
        removed += self.store.delete_prefix(&prefix, |name| !matches!(name, ObjectName::PackList { .. })).await?;
        removed += self.store.delete_prefix(&prefix, |name| matches!(name, ObjectName::PackList { .. })).await?;
        Ok(removed)
    }

    /// Deletes seals, headers and tables of the epochs below a closed one.
    ///
    /// # Errors
    /// If the epoch is not closed, the table in force is not there, or the store fails.
    pub async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Result<Removed, RemoveError> {
        let view = self.standing(dataset).await?;
        let closed = view.dataset.closed();
        if below > closed {
            return Err(RemoveError::NotClosed { dataset: dataset.clone(), below, closed });
        }
        self.check_table(&view.dataset).await?;
        let mut removed = Removed::default();
        for epoch in self.epoch_folders(dataset).await?.into_iter().filter(|epoch| *epoch < below) {
            let of_epoch = |name: &ObjectName| epoch_of(name).is_some_and(|(d, n)| d == dataset && n == epoch);
            removed += self.store.delete_prefix(&epoch_prefix(dataset, epoch), of_epoch).await?;
        }
        Ok(removed)
    }

    /// Deletes manifests that were removed or re-encrypted, and their packs, unless a visible manifest needs them.
    ///
    /// # Errors
    /// If a pack list is missing or changed, or the store fails.
    pub async fn delete_hidden(&self, dataset: &DatasetId) -> Result<Removed, RemoveError> {
        let view = self.standing(dataset).await?;
        let manifests = view.dataset.manifests();
        let uploads: BTreeSet<UploadId> =
            manifests.values().filter(|m| is_hidden(&view.dataset, m)).map(|m| m.upload).collect();
        let mut removed = Removed::default();
        for upload in uploads {
            removed += self.delete_hidden_of(&view.dataset, &upload).await?;
        }
        Ok(removed)
    }

    /// Deletes a seal, header or table that no valid statement names, or a pack of a committed upload that no signed list names: what a
    /// client wrote before its statement was refused, or before it was killed.
    ///
    /// # Errors
    /// If it is in use or of another kind, or the store fails.
    pub async fn withdraw(&self, name: &ObjectName) -> Result<Removed, RemoveError> {
        let in_use = match name {
            ObjectName::Grant { dataset, .. }
            | ObjectName::Header { dataset, .. }
            | ObjectName::Table { dataset, .. } => self.is_named(dataset, name).await?,
            ObjectName::Pack { dataset, upload, pack } => {
                let view = self.standing(dataset).await?;
                !self.stray_packs(&view.dataset, upload, std::iter::once(*pack)).await?.contains(pack)
            }
            ObjectName::SubjectSeal { hash, .. } => {
                let entries = self.entries(&LedgerId::Vault, 0).await?;
                entries.iter().any(|stored| names_subject_seal(stored, hash))
            }
            _ => return Err(RemoveError::NotWithdrawn { name: name.clone() }),
        };
        if in_use {
            return Err(RemoveError::InUse { name: name.clone() });
        }
        Ok(self.store.delete(std::slice::from_ref(name)).await?)
    }

    /// Deletes all epochs, manifests and packs of a dataset that a statement deleted. Its ledger stays.
    ///
    /// # Errors
    /// If the dataset is not deleted, or the store fails.
    pub async fn delete_dataset(&self, dataset: &DatasetId) -> Result<Removed, RemoveError> {
        let view = self.standing(dataset).await?;
        if !view.dataset.is_deleted() {
            return Err(RemoveError::NotDeleted { dataset: dataset.clone() });
        }
        let mut removed = Removed::default();
        // The keys first: without them the rest is noise.
        for prefix in [epochs_prefix(dataset), kept_prefix(dataset), manifests_prefix(dataset), uploads_prefix(dataset)]
        {
            removed += self.store.delete_prefix(&prefix, |_| true).await?;
        }
        Ok(removed)
    }

    /// The state, once all that it rests on is durable: what allows a deletion must survive a power cut that the deletion survives.
    async fn standing(&self, dataset: &DatasetId) -> Result<View, RemoveError> {
        let view = self.view(dataset).await?;
        unstopped(&view)?;
        for ledger in [LedgerId::Vault, LedgerId::Dataset(dataset.clone())] {
            self.store.settle_names(&ledger_prefix(&ledger)).await?;
        }
        Ok(view)
    }

    /// The manifests that an upload's objects name and that belong to no other upload: anybody can write a list under any name.
    async fn only_of(&self, state: &DatasetState, upload: &UploadId) -> Result<BTreeSet<ManifestId>, RemoveError> {
        let mut manifests = self.manifests_in(state.id(), upload).await?;
        manifests.retain(|id| !state.manifests().contains_key(id));
        let open = state.uploads().iter().filter(|(id, other)| *id != upload && other.status == UploadStatus::Open);
        for (other, _) in open {
            for theirs in self.manifests_in(state.id(), other).await? {
                manifests.remove(&theirs);
            }
        }
        Ok(manifests)
    }

    pub(super) async fn manifests_in(
        &self,
        dataset: &DatasetId,
        upload: &UploadId,
    ) -> Result<BTreeSet<ManifestId>, StoreError> {
        let listed = self.store.list(&upload_prefix(dataset, upload)).await?;
        let manifest = |name: ObjectName| match name {
            ObjectName::PackList { manifest, .. } | ObjectName::Groups { manifest, .. } => Some(manifest),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(|object| manifest(object.name)).collect())
    }

    /// Deletes manifests and the headers that hold their keys, in every epoch.
    async fn delete_manifests(
        &self,
        state: &DatasetState,
        doomed: &BTreeSet<ManifestId>,
    ) -> Result<Removed, RemoveError> {
        if doomed.is_empty() {
            return Ok(Removed::default());
        }
        let mut removed = Removed::default();
        for epoch in self.epoch_folders(state.id()).await? {
            let of_doomed =
                |name: &ObjectName| matches!(name, ObjectName::Header { manifest, .. } if doomed.contains(manifest));
            removed += self.store.delete_prefix(&headers_prefix(state.id(), epoch), of_doomed).await?;
        }
        let name = |manifest: &ManifestId| ObjectName::Manifest { dataset: state.id().clone(), manifest: *manifest };
        let names: Vec<ObjectName> = doomed.iter().map(name).collect();
        removed += self.store.delete(&names).await?;
        Ok(removed)
    }

    async fn delete_hidden_of(&self, state: &DatasetState, upload: &UploadId) -> Result<Removed, RemoveError> {
        let (mut doomed, mut doomed_packs, mut needed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (id, manifest) in state.manifests().iter().filter(|(_, m)| m.upload == *upload) {
            let packs = self.packs_of(state.id(), id, manifest).await?;
            if is_hidden(state, manifest) {
                doomed.insert(*id);
                // Without a list an earlier deletion was complete but for the list itself.
                doomed_packs.extend(packs.unwrap_or_default());
            } else {
                needed.extend(packs.ok_or_else(|| missing_list(state.id(), id, upload))?);
            }
        }
        let mut removed = self.delete_manifests(state, &doomed).await?;
        let prefix = upload_prefix(state.id(), upload);
        removed += self
            .store
            .delete_prefix(&prefix, |name| match name {
                ObjectName::Pack { pack, .. } => doomed_packs.contains(pack) && !needed.contains(pack),
                ObjectName::Groups { manifest, .. } => doomed.contains(manifest),
                _ => false,
            })
            .await?;
        let is_list =
            |name: &ObjectName| matches!(name, ObjectName::PackList { manifest, .. } if doomed.contains(manifest));
        removed += self.store.delete_prefix(&prefix, is_list).await?;
        Ok(removed)
    }

    /// Those of an upload's packs that no signed list names. None, unless the upload is committed and each of its lists that is needed is there:
    /// before that nobody can tell.
    pub(super) async fn stray_packs(
        &self,
        state: &DatasetState,
        upload: &UploadId,
        packs: impl Iterator<Item = PackName> + Send,
    ) -> Result<BTreeSet<PackName>, RemoveError> {
        let status = state.uploads().get(upload).map(|found| found.status);
        if !matches!(status, Some(UploadStatus::Committed { .. })) {
            return Ok(BTreeSet::new());
        }
        let mut strays: BTreeSet<PackName> = packs.collect();
        for (id, manifest) in state.manifests().iter().filter(|(_, m)| m.upload == *upload) {
            match self.packs_of(state.id(), id, manifest).await {
                Ok(Some(named)) => strays.retain(|pack| !named.contains(pack)),
                // Its packs were deleted before its list was.
                Ok(None) if is_hidden(state, manifest) => {}
                Ok(None) | Err(RemoveError::ListMissing { .. }) => return Ok(BTreeSet::new()),
                Err(e) => return Err(e),
            }
        }
        Ok(strays)
    }

    /// The packs that a manifest's signed list names; `None` if the list is gone.
    async fn packs_of(
        &self,
        dataset: &DatasetId,
        id: &ManifestId,
        manifest: &Manifest,
    ) -> Result<Option<BTreeSet<PackName>>, RemoveError> {
        let name = list_name(dataset, id, &manifest.upload);
        let read =
            match self.read_list(&name, u32::try_from(manifest.signed.packs.count).map_or(MAX_LIST, list_len)).await {
                Ok(read) => read,
                Err(e) if e.is_not_found() => return Ok(None),
                Err(e) => return Err(e.into()),
            };
        match read.list.filter(|_| read.hash == manifest.signed.packs.list) {
            Some(list) => Ok(Some(list.packs().iter().map(|pack| pack.name).collect())),
            None => Err(RemoveError::ListMissing { name }),
        }
    }

    /// The table in force holds what the old headers held; it is looked at before they go.
    async fn check_table(&self, state: &DatasetState) -> Result<(), RemoveError> {
        let Some((epoch, hash)) = state.table().and_then(|table| Some((table.epoch, table.hash?))) else {
            return Ok(());
        };
        let name = ObjectName::Table { dataset: state.id().clone(), epoch, hash };
        match self.get(&name).await {
            Ok(bytes) if digest(&bytes) == hash => Ok(()),
            Ok(_) => Err(RemoveError::TableMissing { name }),
            Err(e) if e.is_not_found() => Err(RemoveError::TableMissing { name }),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) async fn epoch_folders(&self, dataset: &DatasetId) -> Result<Vec<u64>, StoreError> {
        let folders = self.store.folders(&epochs_prefix(dataset)).await?;
        Ok(folders.iter().filter(|name| name.len() == 10).filter_map(|name| name.parse().ok()).collect())
    }

    /// Whether the dataset's state has a use for a seal, header or table.
    async fn is_named(&self, dataset: &DatasetId, name: &ObjectName) -> Result<bool, RemoveError> {
        match self.view(dataset).await {
            Ok(view) => unstopped(&view).map(|()| is_in_use(&view.dataset, name)),
            // Seals of a dataset that was never created.
            Err(StateError::Creation { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

fn unstopped(view: &View) -> Result<(), RemoveError> {
    match view.dataset.stop().or(view.vault.stop()) {
        Some(stop) => Err(RemoveError::Stopped(stop.clone())),
        None => Ok(()),
    }
}

/// Whether a state has a use for a seal, header or table.
pub(super) fn is_in_use(state: &DatasetState, name: &ObjectName) -> bool {
    match name {
        ObjectName::Grant { epoch, member, card, hash, .. } => state
            .epochs()
            .get(epoch)
            .and_then(|epoch| epoch.seals.get(&(member.clone(), *card)))
            .is_some_and(|seal| seal.sha256 == *hash),
        ObjectName::Header { epoch, manifest, hash, .. } => {
            state.manifests().get(manifest).is_some_and(|m| m.epoch == *epoch && m.signed.header == *hash)
        }
        ObjectName::Table { epoch, hash, .. } => {
            state.table().is_some_and(|table| table.epoch == *epoch && table.hash == Some(*hash))
        }
        _ => true,
    }
}

/// Whether nobody reads a manifest any more: it was removed, or what re-encrypted it can be read or was removed in turn.
pub(super) fn is_hidden(state: &DatasetState, manifest: &Manifest) -> bool {
    if manifest.removed {
        return true;
    }
    let Some(by) = manifest.superseded_by.as_ref().and_then(|id| state.manifests().get(id)) else { return false };
    // Each manifest supersedes an older one, so this ends.
    is_hidden(state, by) || matches!(by.key, KeyPlace::Header | KeyPlace::Table { .. })
}

/// Whether an entry, void or not, names a sealed subject key.
fn names_subject_seal(stored: &[u8], hash: &Digest) -> bool {
    let Ok(Said::Known(statement)) = Entry::parse(stored).map(|entry| entry.said) else { return false };
    matches!(&statement.body, Body::SubjectKeySet(body) if body.seals.iter().any(|seal| seal.sha256 == *hash))
}

fn epoch_of(name: &ObjectName) -> Option<(&DatasetId, u64)> {
    match name {
        ObjectName::Grant { dataset, epoch, .. }
        | ObjectName::Header { dataset, epoch, .. }
        | ObjectName::Table { dataset, epoch, .. } => Some((dataset, *epoch)),
        _ => None,
    }
}

pub(super) fn list_name(dataset: &DatasetId, manifest: &ManifestId, upload: &UploadId) -> ObjectName {
    ObjectName::PackList { dataset: dataset.clone(), upload: *upload, manifest: *manifest }
}

fn missing_list(dataset: &DatasetId, manifest: &ManifestId, upload: &UploadId) -> RemoveError {
    RemoveError::ListMissing { name: list_name(dataset, manifest, upload) }
}

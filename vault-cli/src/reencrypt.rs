//! Re-encryption: every file of a dataset gets a new key and new bytes, manifest by manifest; the lab's root stays. Spec 3.6 and 5.5.
//!
//! Each manifest is an upload of its own that supersedes the old one when it commits, so an interruption costs at most one
//! manifest, and readers see the old or the new one, never neither.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use vault_core::context::Scope;
use vault_core::floe::{self, Opener, Sealer};
use vault_core::ids::{DatasetId, Digest, ManifestId, MemberId, PackName, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, ManifestRemoved, Text, UploadClosed, UploadOpened};
use vault_core::manifest::{Draft, Extras, FileRecord, Manifest, Origin, RemovedLeaf, leaf_hash};
use vault_core::pack::{GROUP_LEN, Groups, PACK_LEN, PackEntry, PackHash, PackList};
use vault_core::secret::Secret32;
use vault_policy::Lang;
use zeroize::Zeroizing;

use crate::client::{Client, Removed, failed};
use crate::commit;
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::{Keyring, Opened, REMOVE_LOST};
use crate::random;
use crate::session::{Session, Signer};
use crate::transfer::{Progress, Uploaded};

/// How long others have to wait before they may give up a re-encryption that was left unfinished, in seconds.
const UPLOAD_ENDS: u64 = 7 * 86_400;

/// Whether a re-encryption was begun in the newest epoch and not ended: then no new epoch is needed to go on.
#[must_use]
pub fn is_unfinished(dataset: &DatasetState) -> bool {
    let newest = dataset.newest();
    let begun = dataset.manifests().values().any(|m| m.epoch == newest && m.signed.supersedes.is_some());
    begun && dataset.closed() == newest && waits(dataset).next().is_some()
}

/// The manifests whose keys somebody of an earlier epoch may have: in the order of the ledger.
fn waits(dataset: &DatasetState) -> impl Iterator<Item = (u64, ManifestId)> {
    dataset.in_scope_before(dataset.newest()).map(|(id, m)| (m.seq, *id))
}

/// What a re-encryption did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Reencrypted {
    /// Files with new keys and bytes.
    pub files: u64,
    /// Old objects that were deleted.
    pub removed: Removed,
}

/// Re-encrypts all that was committed before the newest epoch, then deletes the old objects.
///
/// # Errors
/// If the caller holds too little, an object is not what was signed, or the store fails. Running it again goes on.
pub async fn run(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    progress: &dyn Progress,
) -> Outcome<Reencrypted> {
    let mut todo: Vec<(u64, ManifestId)> = waits(dataset).collect();
    todo.sort_unstable();
    let bytes = todo.iter().filter_map(|(_, id)| dataset.manifests().get(id)).map(|m| m.signed.packs.bytes).sum();
    let files = todo.iter().filter_map(|(_, id)| dataset.manifests().get(id)).map(|m| m.signed.files).sum();
    progress.total(bytes, files);
    let mut count = 0;
    let mut failed = Vec::new();
    for (_, id) in todo {
        // Until it is done, by this command or by somebody else.
        while waits(dataset).any(|(_, waiting)| waiting == id) {
            match again(session, signer, dataset, &id, progress).await {
                Ok(files) => count += files,
                // One bad manifest must not keep the others from being replaced.
                Err(failure) if failure.kind == Kind::Integrity => {
                    let why = failure.say(session.lang);
                    crate::output::warn(&match session.lang {
                        Lang::En => format!("seqvault: manifest {id} was not re-encrypted: {why}"),
                        Lang::Zh => format!("seqvault：清单 {id} 未重新加密：{why}"),
                    });
                    failed.push(id);
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    let removed = session.client.delete_hidden(dataset.id()).await?;
    if failed.is_empty() {
        return Ok(Reencrypted { files: count, removed });
    }
    Err(Failure::integrity(format!("{} manifests were not re-encrypted; {count} files of others were", failed.len()))
        .or_in_chinese(format!("{} 个清单未重新加密；其他清单的 {count} 个文件已完成", failed.len()))
        .hints(REMOVE_LOST.0, REMOVE_LOST.1))
}

async fn again(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    id: &ManifestId,
    progress: &dyn Progress,
) -> Outcome<u64> {
    let mut keyring = Keyring::open(session, signer, dataset).await?;
    keyring.load_table(dataset).await?;
    let opened = keyring.manifest(dataset, id).await?;
    one(session, signer, dataset, opened, progress).await
}

async fn one(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    old: Opened,
    progress: &dyn Progress,
) -> Outcome<u64> {
    let removed = &old.committed.removed_files;
    if old.manifest.files().iter().all(|f| removed.contains(&f.number)) {
        let reason = Text::parse("all files of it were removed").map_err(|e| Failure::usage(e.to_string()))?;
        let body = Body::ManifestRemoved(ManifestRemoved { manifest: old.id, reason });
        session.append_always(signer, dataset, &body).await?;
        return Ok(0);
    }
    let upload = UploadId(random::bytes());
    let ends = crate::clock::now().saturating_add(UPLOAD_ENDS);
    session.append_always(signer, dataset, &Body::UploadOpened(UploadOpened { ends, upload })).await?;
    // The state may have been read again for that entry.
    let now = dataset.manifests().get(&old.id).filter(|m| m.is_visible());
    if now.is_none_or(|m| m.removed_files != *removed) {
        give_up(session, signer, dataset, upload).await?;
        return Ok(0);
    }
    let work = Work {
        client: Arc::clone(&session.client),
        scope: session.scope(dataset.id()),
        dataset: dataset.id().clone(),
        author: signer.member.clone(),
        upload,
        manifest: ManifestId(random::bytes()),
    };
    let uploaded = match work.reseal(&old, progress).await {
        Ok(uploaded) => uploaded,
        Err(failure) => {
            give_up(session, signer, dataset, upload).await?;
            return Err(failure);
        }
    };
    let (files, id) = (u64::from(uploaded.files), uploaded.manifest);
    match commit::commit(session, signer, dataset, upload, &[(uploaded, Some(old.id))]).await? {
        Some(_) => {
            // Read back before the old one goes: from here on this is all there is.
            Keyring::open(session, signer, dataset).await?.manifest(dataset, &id).await?;
            Ok(files)
        }
        None => {
            give_up(session, signer, dataset, upload).await?;
            Ok(0)
        }
    }
}

/// Closes an upload of what has changed meanwhile, and deletes what it stored.
async fn give_up(session: &mut Session, signer: &Signer, dataset: &mut DatasetState, upload: UploadId) -> Outcome<()> {
    let reason = Text::parse("what it re-encrypts has changed").map_err(|e| Failure::usage(e.to_string()))?;
    let body = Body::UploadClosed(UploadClosed { reason, upload });
    session.append_always(signer, dataset, &body).await?;
    session.client.sweep(dataset.id(), &upload).await.map(drop)
}

/// One manifest's re-encryption.
struct Work {
    client: Arc<dyn Client>,
    scope: Scope,
    dataset: DatasetId,
    author: MemberId,
    upload: UploadId,
    manifest: ManifestId,
}

impl Work {
    async fn reseal(&self, old: &Opened, progress: &dyn Progress) -> Outcome<Uploaded> {
        let removed = &old.committed.removed_files;
        let mut kept: Vec<&FileRecord> = old.manifest.files().iter().filter(|f| !removed.contains(&f.number)).collect();
        kept.sort_unstable_by_key(|f| f.offset);
        let mut from = OldStream::new(self, old);
        let mut to = NewStream::default();
        let mut files = Vec::with_capacity(kept.len());
        for file in kept {
            files.push(self.reseal_file(old, file, &mut from, &mut to, progress).await?);
            progress.file();
        }
        to.flush(self, true).await?;
        let uploaded = self.store(old, files, to).await?;
        if uploaded.root == old.committed.signed.root {
            Ok(uploaded)
        } else {
            Err(Failure::integrity(format!("manifest {}: its files are not those that were signed", old.id)))
        }
    }

    /// Segment by segment: opened under the old key, sealed under the new one, position and length unchanged.
    async fn reseal_file(
        &self,
        old: &Opened,
        file: &FileRecord,
        from: &mut OldStream<'_>,
        to: &mut NewStream,
        progress: &dyn Progress,
    ) -> Outcome<FileRecord> {
        let broken = |e: floe::FloeError| Failure::integrity(format!("{}: {e}", file.path));
        let old_aad = self.scope.file(&old.id, &old.committed.author, file.number);
        let new_aad = self.scope.file(&self.manifest, &self.author, file.number);
        let mut header = [0u8; floe::HEADER];
        from.read(file.offset, &mut header).await?;
        let opener = Opener::start(&file.key, old_aad.as_bytes(), &header).map_err(broken)?;
        let key = Secret32::generate(&mut random::system());
        let (sealer, header) = Sealer::start(&key, new_aad.as_bytes(), &mut random::system());
        let offset = to.length;
        to.write(self, &header).await?;
        let mut at = file.offset + floe::HEADER as u64;
        let mut segment = Zeroizing::new(vec![0u8; floe::SEGMENT]);
        let mut hash = blake3::Hasher::new();
        for position in 0..floe::segments(file.size) {
            let length = floe::segment_len(file.size, position).unwrap_or(0);
            let is_final = floe::is_final_position(file.size, position);
            let buffer = segment.get_mut(..length).ok_or_else(|| broken(floe::FloeError::Length))?;
            from.read(at, buffer).await?;
            let plain = opener.open_segment(position, is_final, buffer).map_err(broken)?;
            hash.update(plain);
            let moved = plain.len() as u64;
            sealer.seal_segment(position, is_final, &random::bytes(), buffer).map_err(broken)?;
            to.write(self, buffer).await?;
            at += length as u64;
            progress.moved(moved);
        }
        if hash.finalize().as_bytes() != &file.blake3.0 {
            return Err(Failure::integrity(format!(
                "{} is not the file that was stored: its BLAKE3 differs",
                file.path
            )));
        }
        Ok(FileRecord {
            path: file.path.clone(),
            number: file.number,
            size: file.size,
            modified: file.modified,
            executable: file.executable,
            offset,
            key,
            blake3: file.blake3,
            digests: file.digests.clone(),
        })
    }

    async fn store(&self, old: &Opened, files: Vec<FileRecord>, to: NewStream) -> Outcome<Uploaded> {
        let broken = |e: String| Failure::integrity(format!("manifest {}: {e}", old.id));
        let list = PackList::new(to.packs).map_err(|e| broken(e.to_string()))?;
        let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
        let manifest = Manifest::new(Draft {
            files,
            salt: old.manifest.salt().duplicate(),
            stream_length: to.length,
            pack_list: list.sha256(),
            extras: Extras { origin: Some(origin(old)), replaces: old.manifest.extras().replaces.clone() },
        })
        .map_err(|e| broken(e.to_string()))?;
        let key = Secret32::generate(&mut random::system());
        let aad = self.scope.manifest(&self.manifest, &self.author);
        let plain = manifest.emit().map_err(|e| broken(e.to_string()))?;
        let object =
            floe::seal_bytes(&key, aad.as_bytes(), &plain, &mut random::system()).map_err(|e| broken(e.to_string()))?;
        drop(plain);
        let (dataset, upload, id) = (self.dataset.clone(), self.upload, self.manifest);
        let name = ObjectName::PackList { dataset: dataset.clone(), upload, manifest: id };
        self.put(&name, list.emit()).await?;
        let name = ObjectName::Groups { dataset: dataset.clone(), upload, manifest: id };
        self.put(&name, Groups::new(to.groups).emit()).await?;
        let (length, blake3) = (object.len() as u64, Digest(*blake3::hash(&object).as_bytes()));
        self.put(&ObjectName::Manifest { dataset, manifest: id }, object).await?;
        Ok(Uploaded {
            manifest: id,
            key,
            length,
            blake3,
            root: manifest.root(),
            files: count,
            stream_length: to.length,
            packs: u32::try_from(list.packs().len()).unwrap_or(u32::MAX),
            pack_list: list.sha256(),
        })
    }

    async fn put(&self, name: &ObjectName, bytes: Vec<u8>) -> Outcome<()> {
        self.client.put_new(name, Bytes::from(bytes)).await.map_err(failed(name))
    }
}

/// What the new manifest stands for: the first one of its line, and the leaves that were left out since.
fn origin(old: &Opened) -> Origin {
    let removed = &old.committed.removed_files;
    let gone = old.manifest.files().iter().filter(|f| removed.contains(&f.number)).map(|f| {
        let leaf = leaf_hash(old.manifest.salt(), f);
        (leaf.number, leaf.hash)
    });
    let before = old.manifest.extras().origin.as_ref();
    let mut leaves: BTreeMap<u32, Digest> =
        before.iter().flat_map(|o| &o.removed).map(|r| (r.number, r.leaf)).collect();
    leaves.extend(gone);
    let removed = leaves.into_iter().map(|(number, leaf)| RemovedLeaf { leaf, number }).collect();
    match before {
        Some(first) => Origin { entry: first.entry, leaves: first.leaves, manifest: first.manifest, removed },
        None => Origin { entry: old.committed.entry, leaves: old.committed.signed.files, manifest: old.id, removed },
    }
}

/// The old stream, read forwards pack by pack; each pack is compared with its signed hash before a byte of it is used.
struct OldStream<'a> {
    work: &'a Work,
    old: &'a Opened,
    pack: Option<(u64, Bytes)>,
}

impl<'a> OldStream<'a> {
    const fn new(work: &'a Work, old: &'a Opened) -> Self {
        Self { work, old, pack: None }
    }

    async fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Outcome<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let inside = usize::try_from(at % u64::from(PACK_LEN)).unwrap_or(usize::MAX);
            let pack = self.load(at / u64::from(PACK_LEN)).await?;
            let from = pack.get(inside..).unwrap_or_default();
            let rest = buffer.get_mut(done..).unwrap_or_default();
            let n = from.len().min(rest.len());
            match (rest.get_mut(..n), from.get(..n)) {
                (Some(to), Some(from)) if n > 0 => to.copy_from_slice(from),
                _ => return Err(Failure::integrity("a file lies outside its packs")),
            }
            done += n;
        }
        Ok(())
    }

    async fn load(&mut self, index: u64) -> Outcome<Bytes> {
        if let Some((loaded, bytes)) = &self.pack
            && *loaded == index
        {
            return Ok(bytes.clone());
        }
        let entry = usize::try_from(index).ok().and_then(|i| self.old.packs.packs().get(i));
        let entry = entry.ok_or_else(|| Failure::integrity("a file lies outside its packs"))?;
        let (dataset, upload) = (self.work.dataset.clone(), self.old.committed.upload);
        let name = ObjectName::Pack { dataset, upload, pack: entry.name };
        let bytes = self.work.client.get(&name, u64::from(entry.length)).await.map_err(failed(&name))?;
        entry.check(&bytes).map_err(|e| Failure::integrity(format!("object {name}: {e}")))?;
        self.pack = Some((index, bytes.clone()));
        Ok(bytes)
    }
}

/// The new stream, cut into packs as it grows.
#[derive(Default)]
struct NewStream {
    pending: Vec<u8>,
    length: u64,
    packs: Vec<PackEntry>,
    groups: Vec<Vec<[u8; 32]>>,
}

impl NewStream {
    async fn write(&mut self, work: &Work, bytes: &[u8]) -> Outcome<()> {
        if self.pending.capacity() == 0 {
            self.pending.reserve_exact(PACK_LEN as usize + floe::SEGMENT);
        }
        self.pending.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        self.flush(work, false).await
    }

    async fn flush(&mut self, work: &Work, last: bool) -> Outcome<()> {
        while self.pending.len() >= PACK_LEN as usize || (last && !self.pending.is_empty()) {
            let rest = self.pending.split_off(self.pending.len().min(PACK_LEN as usize));
            let pack = Bytes::from(std::mem::replace(&mut self.pending, rest));
            let hash = PackHash::of(&pack);
            let entry = PackEntry {
                name: PackName(random::bytes()),
                length: u32::try_from(pack.len()).unwrap_or(u32::MAX),
                blake3: hash.root,
            };
            let name = ObjectName::Pack { dataset: work.dataset.clone(), upload: work.upload, pack: entry.name };
            work.client.put_new(&name, pack).await.map_err(failed(&name))?;
            self.packs.push(entry);
            self.groups.push(if entry.length > GROUP_LEN { hash.groups } else { Vec::new() });
        }
        Ok(())
    }
}

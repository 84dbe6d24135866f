//! Making an upload visible: its manifest keys sealed to the newest epoch, its one commit appended. Spec 5.5 and 6.2.

use std::collections::BTreeSet;

use bytes::Bytes;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, ManifestId, UploadId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, ManifestHash, PacksHash, UploadCommitted};
use vault_core::seal;

use crate::client::failed;
use crate::error::{Failure, Outcome};
use crate::random;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::transfer::Uploaded;

/// Seals the manifests' keys to the newest epoch and commits; if an epoch was opened meanwhile, seals and commits again.
///
/// `None` if a manifest that is to be superseded has changed since `dataset` was read: files were removed from it, or it is gone. What
/// was made of it would bring them back.
///
/// # Errors
/// If the epoch is stale, the upload was closed, the author may not upload any more, or the store fails. The upload stays open.
pub async fn commit(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    upload: UploadId,
    uploaded: &[(Uploaded, Option<ManifestId>)],
) -> Outcome<Option<u64>> {
    let mut sealed_to = None;
    let mut manifests = Vec::new();
    let before = superseded(dataset, uploaded);
    for _ in 0..ATTEMPTS {
        if dataset.is_stale(&session.vault, session.at()) {
            return Err(stale(dataset));
        }
        // A re-encryption seals nothing new; it is never refused for age.
        if uploaded.iter().any(|(_, supersedes)| supersedes.is_none()) {
            session.check_fresh(dataset).await?;
        }
        if sealed_to != Some(dataset.newest()) {
            manifests = seal_keys(session, signer, dataset, uploaded).await?;
            sealed_to = Some(dataset.newest());
        }
        let body = UploadCommitted { epoch: dataset.newest(), manifests: manifests.clone(), upload };
        match session.append(signer, dataset, Body::UploadCommitted(body)).await? {
            Landed::Yes { seq, .. } => return Ok(Some(seq)),
            Landed::Lost if superseded(dataset, uploaded) != before => return Ok(None),
            Landed::Lost => {}
        }
    }
    Err(crate::session::busy(dataset.id())
        .hints("run the same command again: what is uploaded is kept", "请重新运行同一命令：已上传的部分予以保留"))
}

/// What there is to see of the manifests that are to be superseded.
fn superseded(dataset: &DatasetState, uploaded: &[(Uploaded, Option<ManifestId>)]) -> Vec<Option<BTreeSet<u32>>> {
    let ids = uploaded.iter().filter_map(|(_, supersedes)| supersedes.as_ref());
    let visible = |id| dataset.manifests().get(id).filter(|m| m.is_visible());
    ids.map(|id| visible(id).map(|m| m.removed_files.clone())).collect()
}

/// Uploads wait while somebody without a grant can open the epoch.
#[must_use]
pub fn stale(dataset: &DatasetState) -> Failure {
    Failure::refused(format!(
        "epoch {} of {} is sealed to somebody who may no longer read: uploads wait for a new one",
        dataset.newest(),
        dataset.id()
    ))
    .or_in_chinese(format!(
        "{} 的密钥纪元 {} 曾封装给不再有读取权者：须待启用新的密钥纪元方可上传",
        dataset.id(),
        dataset.newest()
    ))
    .hints(
        format!(
            "a steward runs `seqvault rotate {}`; then run the same command again: what is uploaded is kept",
            dataset.id()
        ),
        format!("由数据管理者运行 `seqvault rotate {}`，再重新运行同一命令：已上传的部分予以保留", dataset.id()),
    )
}

async fn seal_keys(
    session: &Session,
    signer: &Signer,
    dataset: &DatasetState,
    uploaded: &[(Uploaded, Option<ManifestId>)],
) -> Outcome<Vec<ManifestHash>> {
    let scope = session.scope(dataset.id());
    let epoch = dataset.newest_epoch().ok_or_else(|| Failure::integrity("the dataset has no epoch"))?;
    let n = dataset.newest();
    let mut hashes = Vec::with_capacity(uploaded.len());
    for (done, supersedes) in uploaded {
        let info = scope.manifest_key(n, &done.manifest, &signer.member);
        let sealed = seal::seal(&epoch.public, &done.key, &info, &mut random::system())
            .map_err(|e| Failure::integrity(format!("the manifest key can't be sealed to epoch {n}: {e}")))?;
        let header = Digest(sha256(&sealed));
        let name =
            ObjectName::Header { dataset: dataset.id().clone(), epoch: n, manifest: done.manifest, hash: header };
        session.client.put_new(&name, Bytes::from(sealed)).await.map_err(failed(&name))?;
        hashes.push(ManifestHash {
            blake3: done.blake3,
            files: u64::from(done.files),
            header,
            length: done.length,
            manifest: done.manifest,
            packs: PacksHash { bytes: done.stream_length, count: u64::from(done.packs), list: done.pack_list },
            root: done.root,
            supersedes: *supersedes,
        });
    }
    Ok(hashes)
}

//! Uploads and manifests of a dataset. Spec section 5.5.

use vault_core::ids::{ManifestId, UploadId};
use vault_core::ledger::dataset::UploadStatus;
use vault_core::ledger::statement::*;

use super::world::*;

fn opened(upload: UploadId, ends: u64) -> Body {
    Body::UploadOpened(UploadOpened { ends, upload })
}

fn extended(upload: UploadId, ends: u64) -> Body {
    Body::UploadExtended(UploadExtended { ends, upload })
}

fn closed(upload: UploadId) -> Body {
    Body::UploadClosed(UploadClosed { reason: text("abandoned"), upload })
}

/// A dataset and an open upload of uma.
fn open() -> (World, UploadId) {
    let mut w = World::with_dataset();
    let (upload, body) = w.upload_opened();
    w.does("uma", body);
    (w, upload)
}

#[test]
fn uploads_are_opened_by_uploaders_and_stewards() {
    let (mut w, upload) = open();
    let other = UploadId([1; 16]);
    for name in ["rita", "rolf", "olga", "reco", "anna"] {
        w.refuses(name, opened(other, w.now + 1), "neither uploader nor steward");
    }
    w.refuses("uma", opened(other, w.now), "ends before it begins");
    w.refuses("ulf", opened(upload, w.now + 1), "the upload id is taken");
    w.does("sven", opened(other, w.now + 1));
    w.does("stella", Body::UploaderSet(UploaderSet { member: member("uma"), on: false }));
    w.refuses("uma", opened(UploadId([2; 16]), w.now + 1), "neither uploader nor steward");
}

#[test]
fn an_upload_is_extended_by_its_opener() {
    let (mut w, upload) = open();
    let ends = w.data().uploads()[&upload].ends;
    w.refuses("ulf", extended(upload, ends + 1), "not the author's upload");
    w.refuses("stella", extended(upload, ends + 1), "not the author's upload");
    w.refuses("uma", extended(UploadId([0; 16]), ends + 1), "not the author's upload");
    w.refuses("uma", extended(upload, ends), "ends no later than before");
    w.does("uma", extended(upload, ends + 1));
    assert_eq!(w.data().uploads()[&upload].ends, ends + 1);
    w.does("uma", closed(upload));
    w.refuses("uma", extended(upload, ends + 2), "the upload is not open");
}

#[test]
fn an_upload_is_committed_by_its_opener_once() {
    let (mut w, upload) = open();
    let commit = Body::UploadCommitted(w.commit(upload));
    w.refuses("ulf", commit.clone(), "not the author's upload");
    w.refuses("stella", commit.clone(), "not the author's upload");
    w.does("uma", commit);
    assert!(matches!(w.data().uploads()[&upload].status, UploadStatus::Committed { .. }));
    let again = Body::UploadCommitted(w.commit(upload));
    w.refuses("uma", again, "the upload is not open");
    w.refuses("uma", closed(upload), "the upload is not open");
}

#[test]
fn a_commit_names_what_it_may() {
    let (mut w, upload) = open();
    let known = w.uploads("ulf");
    let good = w.commit(upload);
    let bent = |bend: &dyn Fn(&mut UploadCommitted)| {
        let mut body = good.clone();
        bend(&mut body);
        Body::UploadCommitted(body)
    };
    let newest = "not the newest epoch";
    w.refuses("uma", bent(&|b| b.epoch = 0), newest);
    w.refuses("uma", bent(&|b| b.epoch = 2), newest);
    w.refuses("uma", bent(&|b| b.manifests.clear()), "no manifest, or more than 10,000");
    w.refuses("uma", bent(&|b| b.manifests[0].manifest = known), "a manifest id that is known already");
    w.refuses("uma", bent(&|b| b.manifests.push(b.manifests[0].clone())), "a manifest id that is known already");
    let size = "a manifest without files or packs, or with more than 10,000 files";
    w.refuses("uma", bent(&|b| b.manifests[0].files = 0), size);
    w.refuses("uma", bent(&|b| b.manifests[0].files = 10_001), size);
    w.refuses("uma", bent(&|b| b.manifests[0].packs.count = 0), size);
    w.refuses("uma", bent(&|b| b.manifests[0].packs.bytes = 0), size);
    w.refuses("uma", bent(&|b| b.upload = UploadId([0; 16])), "not the author's upload");
    w.does("uma", bent(&|b| b.manifests[0].files = 10_000));
}

#[test]
fn a_commit_has_at_most_10_000_manifests() {
    let (mut w, upload) = open();
    let mut body = w.commit(upload);
    let one = body.manifests[0].clone();
    body.manifests =
        (0..10_001u128).map(|n| ManifestHash { manifest: ManifestId(n.to_be_bytes()), ..one.clone() }).collect();
    w.refuses("uma", Body::UploadCommitted(body.clone()), "no manifest, or more than 10,000");
    body.manifests.pop();
    w.does("uma", Body::UploadCommitted(body));
}

#[test]
fn a_former_uploader_commits_nothing() {
    let (mut w, upload) = open();
    w.does("stella", Body::UploaderSet(UploaderSet { member: member("uma"), on: false }));
    let commit = Body::UploadCommitted(w.commit(upload));
    w.refuses("uma", commit, "neither uploader nor steward");
    w.does("uma", closed(upload));
}

#[test]
fn a_commit_that_races_a_revocation_is_void_and_comes_again() {
    let (mut w, upload) = open();
    let early = Body::UploadCommitted(w.commit(upload));
    w.does("stella", revoked("rita"));
    w.refuses("uma", early.clone(), "the epoch is stale");
    let body = w.epoch_opened(&[]);
    w.does("stella", body);
    w.refuses("uma", early, "not the newest epoch");
    let again = Body::UploadCommitted(w.commit(upload));
    w.does("uma", again);
}

#[test]
fn an_upload_is_closed_by_its_opener_and_after_its_end_by_others() {
    let (mut w, upload) = open();
    w.refuses("ulf", closed(upload), "neither officer nor steward");
    w.refuses("stella", closed(upload), "the upload has not ended");
    w.refuses("olga", closed(upload), "the upload has not ended");
    w.refuses("uma", closed(UploadId([0; 16])), "the upload is not open");
    w.now = w.data().uploads()[&upload].ends - 1;
    w.refuses("stella", closed(upload), "the upload has not ended");
    w.now += 1;
    assert!(w.allows("stella", closed(upload)), "it has ended at its end");
    w.refuses("ulf", closed(upload), "neither officer nor steward");
    w.does("stella", revoked("rita"));
    w.refuses("stella", closed(upload), "the epoch is stale");
    let body = w.epoch_opened(&[]);
    w.does("stella", body);
    w.does("olga", closed(upload));
    let commit = Body::UploadCommitted(w.commit(upload));
    w.refuses("uma", commit, "the upload is not open");
}

#[test]
fn an_upload_of_a_former_uploader_is_closed_before_its_end() {
    let (mut w, upload) = open();
    w.does("uma", extended(upload, (1 << 53) - 1));
    w.refuses("stella", closed(upload), "the upload has not ended");
    w.does("stella", Body::UploaderSet(UploaderSet { member: member("uma"), on: false }));
    w.refuses("ulf", closed(upload), "neither officer nor steward");
    w.does("stella", closed(upload));
    let (upload, body) = w.upload_opened();
    w.does("ulf", body);
    w.refuses("olga", closed(upload), "the upload has not ended");
    w.vault_does("olga", member_retired("ulf"));
    w.does("olga", closed(upload));
}

#[test]
fn its_opener_may_close_an_upload_to_a_stale_epoch() {
    let (mut w, upload) = open();
    w.does("stella", revoked("rita"));
    w.does("uma", closed(upload));
}

#[test]
fn manifests_and_paths_are_removed_by_stewards() {
    let mut w = World::with_dataset();
    let manifest = w.uploads("uma");
    let removed = |manifest| Body::ManifestRemoved(ManifestRemoved { manifest, reason: text("no") });
    let path = |files: &[u32]| {
        Body::PathRemoved(PathRemoved { files: files.iter().copied().collect(), manifest, reason: text("no") })
    };
    for name in ["uma", "rita", "olga"] {
        w.refuses(name, removed(manifest), "not a steward");
        w.refuses(name, path(&[0]), "not a steward");
    }
    w.refuses("stella", removed(ManifestId([0; 16])), "no such manifest");
    w.refuses("stella", path(&[]), "names no file");
    w.does("sven", path(&[7, 3]));
    w.does("sven", path(&[3, 9]));
    assert!(w.data().manifests()[&manifest].removed_files.iter().eq([&3, &7, &9]));
    w.does("sven", removed(manifest));
    assert!(!w.data().manifests()[&manifest].is_visible());
    w.refuses("sven", removed(manifest), "removed already");
    w.refuses("sven", path(&[1]), "removed already");
}

#[test]
fn a_re_encryption_is_a_stewards_and_keeps_the_root() {
    let mut w = World::with_dataset();
    let old = w.uploads("uma");
    let root = w.data().manifests()[&old].signed.root;
    let again = |w: &mut World, name: &str| {
        let (upload, body) = w.upload_opened();
        w.does(name, body);
        let mut commit = w.commit(upload);
        commit.manifests[0].supersedes = Some(old);
        commit.manifests[0].root = root;
        commit
    };
    let by_uma = again(&mut w, "uma");
    w.refuses("uma", Body::UploadCommitted(by_uma), "not a steward");
    let good = again(&mut w, "sven");
    let bent = |bend: &dyn Fn(&mut UploadCommitted)| {
        let mut body = good.clone();
        bend(&mut body);
        Body::UploadCommitted(body)
    };
    let what = "supersedes with another root, or twice";
    w.refuses("sven", bent(&|b| b.manifests[0].root.0[0] ^= 1), what);
    let twice = |b: &mut UploadCommitted| {
        b.manifests.push(ManifestHash { manifest: ManifestId([3; 16]), ..b.manifests[0].clone() });
    };
    w.refuses("sven", bent(&twice), what);
    let unknown = "supersedes what is not in scope";
    w.refuses("sven", bent(&|b| b.manifests[0].supersedes = Some(ManifestId([3; 16]))), unknown);
    w.refuses("sven", bent(&|b| b.manifests[0].supersedes = Some(b.manifests[0].manifest)), unknown);
    w.does("sven", bent(&|_| {}));
    assert_eq!(w.data().manifests()[&old].superseded_by, Some(good.manifests[0].manifest));
    let late = again(&mut w, "sven");
    w.refuses("sven", Body::UploadCommitted(late), unknown);
    assert!(w.data().manifests()[&good.manifests[0].manifest].author_was_steward);
    assert!(!w.data().manifests()[&old].author_was_steward);
}

#[test]
fn what_was_removed_is_not_superseded() {
    let mut w = World::with_dataset();
    let old = w.uploads("uma");
    let root = w.data().manifests()[&old].signed.root;
    w.does("stella", Body::ManifestRemoved(ManifestRemoved { manifest: old, reason: text("no") }));
    let (upload, body) = w.upload_opened();
    w.does("stella", body);
    let mut commit = w.commit(upload);
    commit.manifests[0].supersedes = Some(old);
    commit.manifests[0].root = root;
    w.refuses("stella", Body::UploadCommitted(commit), "supersedes what is not in scope");
}

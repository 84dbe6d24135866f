use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use vault_core::floe::SEGMENT;
use vault_core::manifest::FileDigest;

use super::super::store::StoreError;
use super::super::testing::{
    Fault, IMPATIENT, MemoryStore, UPLOAD, dataset, is_pack, new_journal, noise, open_manifest, read_back, write,
};
use super::super::walk::{Argument, Stream, walk};
use super::*;

const PACK: usize = PACK_LEN as usize;

struct Lab {
    dir: TempDir,
    store: Arc<MemoryStore>,
    options: PutOptions,
}

impl Lab {
    fn new() -> Self {
        let options = PutOptions { retry: IMPATIENT, ..PutOptions::default() };
        Self { dir: tempfile::tempdir().unwrap(), store: Arc::default(), options }
    }

    fn run_folder(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        write(&self.run_folder(), name, bytes)
    }

    fn journal(&self) -> Journal {
        let folder = self.dir.path().join("state");
        let request = Digest([9; 32]);
        if let Some(pending) = Journal::find(&folder, &request).unwrap() {
            let key = Secret32::from_slice(pending.sealed_key()).unwrap();
            return pending.open(key).unwrap();
        }
        new_journal(&folder)
    }

    fn upload(&self) -> Upload {
        Upload::new(self.store.clone(), self.journal(), self.options, Arc::new(()))
    }

    async fn put(&self) -> Result<Vec<Uploaded>, PutError> {
        self.put_these(walk(vec![Argument::Path(self.run_folder().join("."))]).unwrap().inputs).await
    }

    async fn put_these(&self, inputs: Vec<Input>) -> Result<Vec<Uploaded>, PutError> {
        self.upload().run(inputs).await
    }

    async fn put_stream(&self, bytes: &[u8]) -> Result<Vec<Uploaded>, PutError> {
        let stream = Stream::new(Box::new(Cursor::new(bytes.to_vec())), 7);
        self.put_these(walk(vec![Argument::Stream { path: "stdin".parse().unwrap(), stream }]).unwrap().inputs).await
    }

    fn read_back(&self, uploaded: &[Uploaded]) -> BTreeMap<String, Vec<u8>> {
        uploaded.iter().flat_map(|uploaded| read_back(&self.store, uploaded)).collect()
    }

    fn on_disk(&self) -> BTreeMap<String, Vec<u8>> {
        let found = walk(vec![Argument::Path(self.run_folder().join("."))]).unwrap();
        found.inputs.iter().map(|input| (input.path.to_string(), fs::read(input.source.to_string()).unwrap())).collect()
    }

    fn assert_stored(&self, uploaded: &[Uploaded]) {
        let (stored, disk) = (self.read_back(uploaded), self.on_disk());
        assert_eq!(stored.keys().collect::<Vec<_>>(), disk.keys().collect::<Vec<_>>());
        for (path, bytes) in &disk {
            assert!(stored.get(path) == Some(bytes), "{path} differs");
        }
    }

    fn pack_names(&self, uploaded: &Uploaded) -> Vec<ObjectName> {
        let (_, list) = open_manifest(&self.store, uploaded);
        let name = |pack: &PackEntry| ObjectName::Pack { dataset: dataset(), upload: UPLOAD, pack: pack.name };
        list.packs().iter().map(name).collect()
    }
}

fn size_with_ciphertext(len: usize) -> usize {
    plain_len(len as u64).unwrap_or_else(|| panic!("no plaintext has a ciphertext of {len}")) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_size_are_stored_as_they_are() {
    let mut lab = Lab::new();
    lab.options.checksums = Checksums { md5: true, sha256: true };
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 40_000_000] {
        lab.write(&format!("size/{size}"), &noise(size, size as u64));
    }
    for n in 0..500 {
        lab.write(&format!("small/{n}"), &noise(n * 7, n as u64));
    }
    let tool = lab.write("tool", b"#!/bin/sh\n");
    fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    let modified = fs::metadata(&tool).unwrap().modified().unwrap();
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    let (manifest, list) = open_manifest(&lab.store, &uploaded[0]);
    assert_eq!((uploaded.len(), manifest.files().len(), list.packs().len()), (1, 508, 2));
    let record = manifest.file(&"tool".parse().unwrap()).unwrap();
    assert!(record.executable && !manifest.file(&"size/1".parse().unwrap()).unwrap().executable);
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(record.modified, seconds as i64);
    assert!(matches!(record.digests[..], [FileDigest::Md5(_), FileDigest::Sha256(_)]));
    // Groups are those of the packs.
    let groups = ObjectName::Groups { dataset: dataset(), upload: UPLOAD, manifest: uploaded[0].manifest };
    let groups = Groups::parse(&lab.store.get_now(&groups), &list).unwrap();
    for index in 0..list.packs().len() {
        groups.verify(&list, index).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_may_end_anywhere_in_a_header_or_segment() {
    // How many bytes of the second file lie in the first pack.
    for inside in [0, 1, 73, 74, 75, 74 + 15, 74 + 32 + 4999, 74 + 32 + 5000] {
        let lab = Lab::new();
        let first = size_with_ciphertext(PACK - inside);
        lab.write("a", &noise(first, 1));
        lab.write("b", &noise(5000, 2));
        lab.write("c", &noise(0, 3));
        let uploaded = lab.put().await.unwrap();
        lab.assert_stored(&uploaded);
        assert_eq!(uploaded[0].packs, 2, "{inside}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_at_a_pack_s_end_has_no_empty_pack() {
    let lab = Lab::new();
    lab.write("a", &noise(size_with_ciphertext(2 * PACK), 1));
    let uploaded = lab.put().await.unwrap();
    assert_eq!(uploaded[0].packs, 2);
    lab.assert_stored(&uploaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_a_manifest_holds_make_more_manifests() {
    let lab = Lab::new();
    for n in 0..10_050 {
        lab.write(&format!("{n:05}"), &[n as u8; 3]);
    }
    let uploaded = lab.put().await.unwrap();
    assert_eq!(uploaded.iter().map(|manifest| manifest.files).collect::<Vec<_>>(), [10_000, 50]);
    lab.assert_stored(&uploaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_packs_are_in_memory_than_allowed() {
    let mut lab = Lab::new();
    lab.options = PutOptions { packs_in_memory: 3, uploads: 10, ..lab.options };
    lab.write("a", &noise(6 * PACK, 1));
    lab.store.on_put(|_, _| Fault::Hang);
    let upload = lab.upload();
    let inputs = walk(vec![Argument::Path(lab.run_folder().join("."))]).unwrap().inputs;
    let stopped = tokio::time::timeout(Duration::from_secs(3), upload.run(inputs)).await;
    assert!(stopped.is_err(), "it can't end");
    assert_eq!(lab.store.most_waiting.load(Ordering::SeqCst), 3);
    drop(upload);
    // And dropped half-way, it goes on next time.
    lab.store.on_put(|_, _| Fault::None);
    lab.assert_stored(&lab.put().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_at_any_pack_no_acknowledged_pack_is_sent_again() {
    for uploads in [1, 4] {
        for failing in 0..5 {
            let mut lab = Lab::new();
            lab.options.uploads = uploads;
            lab.write("a", &noise(50_000, 1));
            lab.write("b", &noise(4 * PACK, 2));
            lab.write("c", &noise(50_000, 3));
            lab.store.on_put(move |_, n| if n == failing { Fault::Fail } else { Fault::None });
            assert!(matches!(lab.put().await, Err(PutError::Store(_))));
            let first = lab.store.acknowledged_packs();
            lab.store.on_put(|_, _| Fault::None);
            let uploaded = lab.put().await.unwrap();
            lab.assert_stored(&uploaded);
            let all = lab.store.acknowledged_packs();
            assert_eq!(all.len(), uploaded[0].packs as usize, "uploads {uploads}, failing {failing}");
            let names = lab.pack_names(&uploaded[0]);
            assert!(first.iter().all(|name| names.contains(name)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_between_acknowledged_packs_are_filled_and_no_iv_is_used_twice() {
    let lab = Lab::new();
    lab.write("a", &noise(5 * PACK, 2));
    // Stored, but not acknowledged: the second attempt seals the same positions again, under another name.
    lab.store.on_put(|_, n| if n == 1 || n == 3 { Fault::Lie } else { Fault::None });
    lab.store.is_late.store(true, Ordering::SeqCst);
    assert!(lab.put().await.is_err());
    let kept = lab.store.acknowledged_packs();
    // The second run finds some of those that the first one left, and stops as well; the third must take nothing of the first for its own.
    lab.store.on_put(|_, n| if n == 0 { Fault::Fail } else { Fault::None });
    assert!(lab.put().await.is_err());
    lab.store.is_late.store(false, Ordering::SeqCst);
    lab.store.on_put(|_, _| Fault::None);
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    let names = lab.pack_names(&uploaded[0]);
    assert!(kept.iter().all(|name| names.contains(name)));
    assert!(lab.store.packs().len() > names.len(), "nothing was left behind: the test tests nothing");
    assert_no_iv_twice(&lab.store);
}

// Every whole segment of every pack ever stored: one IV, one ciphertext. For an upload of one file at offset 0.
fn assert_no_iv_twice(store: &MemoryStore) {
    let mut seen: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut count = 0;
    for name in store.packs() {
        let pack = store.get_now(&name);
        // Which pack it is shows in where its segments begin.
        let starts = |index: usize| (74 + SEGMENT * 4096 - (index * PACK) % SEGMENT) % SEGMENT;
        let is_start = |at: usize| pack.get(at..at + 4) == Some(&[0xff; 4]);
        // The last pack may be too short to tell.
        let first = (0..16).map(starts).find(|first| is_start(*first) && is_start(first + SEGMENT));
        let Some(first) = first else { continue };
        for segment in pack[first..].chunks_exact(SEGMENT) {
            let (iv, rest) = (segment[4..16].to_vec(), segment[16..].to_vec());
            if let Some(other) = seen.insert(iv, rest.clone()) {
                assert!(other == rest, "an IV was used for two ciphertexts");
            }
            count += 1;
        }
    }
    assert!(count > 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_with_the_same_bytes() {
    let lab = Lab::new();
    lab.write("a", &noise(2 * PACK, 1));
    lab.store.on_put(|_, n| if n == 0 { Fault::LoseAnswer } else { Fault::None });
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    assert_eq!(lab.store.packs().len(), uploaded[0].packs as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_was_stored_and_never_acknowledged_is_found_by_the_next_run_and_not_sent_again() {
    for lost in 0..5 {
        let lab = Lab::new();
        lab.write("a", &noise(50_000, 1));
        lab.write("b", &noise(4 * PACK, 2));
        lab.store.on_put(move |_, n| if n >= lost { Fault::Lie } else { Fault::None });
        assert!(lab.put().await.is_err());
        let before = lab.store.packs();
        lab.store.on_put(|_, _| Fault::None);
        let uploaded = lab.put().await.unwrap();
        lab.assert_stored(&uploaded);
        assert_eq!(lab.store.packs().len(), uploaded[0].packs as usize, "{lost}: something was left behind");
        assert!(before.len() > lost);
        assert_eq!(lab.store.puts.load(Ordering::SeqCst), uploaded[0].packs as usize - before.len(), "{lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_given_up_after_some_tries() {
    let lab = Lab::new();
    lab.write("a", b"x");
    lab.store.on_put(|_, _| Fault::LoseAnswer);
    let error = lab.put().await.unwrap_err();
    assert!(matches!(error, PutError::Store(ObjectError { source: StoreError::Transient(_), .. })));
}

// Stops after some packs, lets `change` change the inputs, and puts again. Returns what was kept and what was uploaded.
async fn changed_between_runs(lab: &Lab, stop_at: usize, change: impl FnOnce(&Path)) -> (usize, Vec<Uploaded>) {
    lab.store.on_put(move |_, n| if n >= stop_at { Fault::Fail } else { Fault::None });
    assert!(lab.put().await.is_err());
    let first = lab.store.acknowledged_packs();
    change(&lab.run_folder());
    lab.store.on_put(|_, _| Fault::None);
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    let names = lab.pack_names(&uploaded[0]);
    (first.iter().filter(|name| names.contains(name)).count(), uploaded)
}

fn three_files(lab: &Lab) {
    lab.write("a", &noise(PACK + 1000, 1));
    lab.write("b", &noise(2 * PACK, 2));
    lab.write("c", &noise(2 * PACK, 3));
}

// As somebody would who means harm: the size and the time stay.
fn overwrite_quietly(path: &Path, at: u64, bytes: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, at).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_changed_in_place_between_runs_is_sealed_anew_under_a_new_key() {
    let mut lab = Lab::new();
    lab.options.uploads = 1;
    three_files(&lab);
    // `b` begins in pack 1 and ends in pack 3.
    let (kept, uploaded) = changed_between_runs(&lab, 4, |run| overwrite_quietly(&run.join("b"), 9, b"changed")).await;
    assert_eq!(kept, 1);
    // The key that the old bytes of `b` were sealed with opens no segment that is named now.
    let (manifest, _) = open_manifest(&lab.store, &uploaded[0]);
    assert_eq!(manifest.file(&"b".parse().unwrap()).unwrap().number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_what_was_kept_costs_nothing() {
    let mut lab = Lab::new();
    lab.options.uploads = 1;
    three_files(&lab);
    let (kept, _) = changed_between_runs(&lab, 2, |run| overwrite_quietly(&run.join("c"), 9, b"changed")).await;
    assert_eq!(kept, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_grow_vanish_or_appear_between_runs_keep_what_is_before_them() {
    type Change = fn(&Path);
    let cases: [(Change, usize); 5] = [
        (|run| File::options().append(true).open(run.join("c")).unwrap().write_all(b"more").unwrap(), 3),
        (|run| fs::remove_file(run.join("b")).unwrap(), 1),
        (|run| fs::write(run.join("b0"), b"new").unwrap(), 3),
        (|run| fs::write(run.join("a0"), b"new").unwrap(), 1),
        (|run| fs::write(run.join("0"), b"new").unwrap(), 0),
    ];
    for (change, expected) in cases {
        let mut lab = Lab::new();
        lab.options.uploads = 1;
        three_files(&lab);
        let (kept, _) = changed_between_runs(&lab, 4, change).await;
        assert_eq!(kept, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_appears_after_all_others_replaces_only_the_short_pack() {
    let lab = Lab::new();
    lab.write("a", &noise(2 * PACK, 1));
    // All packs are stored, the manifest's lists are not.
    lab.store.on_put(|name, _| if is_pack(name) { Fault::None } else { Fault::Fail });
    assert!(lab.put().await.is_err());
    let first = lab.store.acknowledged_packs();
    lab.write("b", b"late");
    lab.store.on_put(|_, _| Fault::None);
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    // The manifest was sealed, and another list of files is another manifest.
    assert_eq!(first.len(), 3);
    assert!(lab.pack_names(&uploaded[0]).iter().all(|name| !first.contains(name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_sealed_is_stored_again_with_the_same_bytes() {
    let lab = Lab::new();
    lab.write("a", &noise(1000, 1));
    lab.store.on_put(|name, _| if matches!(name, ObjectName::Manifest { .. }) { Fault::Lie } else { Fault::None });
    assert!(lab.put().await.is_err());
    lab.store.on_put(|_, _| Fault::None);
    let uploaded = lab.put().await.unwrap();
    lab.assert_stored(&uploaded);
    let again = lab.put().await.unwrap();
    assert_eq!((again[0].blake3, again[0].root), (uploaded[0].blake3, uploaded[0].root));
    assert_eq!(lab.store.acknowledged_packs().len(), 1);
    // A file that changed since is another manifest.
    lab.write("a", &noise(1001, 1));
    let changed = lab.put().await.unwrap();
    assert_ne!(changed[0].manifest, uploaded[0].manifest);
    lab.assert_stored(&changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changes_while_it_is_read_stops_the_upload() {
    let changes: [fn(&Path); 3] = [
        |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap(),
        |path| File::options().write(true).open(path).unwrap().set_len(100).unwrap(),
        |path| File::options().write(true).open(path).unwrap().write_all(b"other").unwrap(),
    ];
    for change in changes {
        let mut lab = Lab::new();
        lab.options.packs_in_memory = 1;
        let path = lab.write("a", &noise(4 * PACK, 1));
        lab.store.on_put(move |_, n| {
            if n == 0 {
                change(&path);
            }
            Fault::None
        });
        let error = lab.put().await.unwrap_err();
        let PutError::Input(error) = error else { panic!("{error:?}") };
        assert!(matches!(error.problem, InputProblem::Changed));
        assert!(error.to_string().ends_with("/a"));
        assert!(!lab.store.objects.lock().unwrap().keys().any(|name| !is_pack(name)));
        // Once nothing writes to it any more, it is stored as it is now.
        lab.store.on_put(|_, _| Fault::None);
        lab.assert_stored(&lab.put().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_is_named() {
    let lab = Lab::new();
    lab.write("a", b"x");
    let gone = lab.write("b", b"x");
    let inputs = walk(vec![Argument::Path(lab.run_folder())]).unwrap().inputs;
    fs::remove_file(gone).unwrap();
    let PutError::Input(error) = lab.put_these(inputs).await.unwrap_err() else { panic!() };
    assert!(matches!(error.problem, InputProblem::Vanished) && error.input.ends_with("run/b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_unknown_length_is_stored_and_resumed() {
    for size in [0, 1, 65_536, 65_537, 2 * PACK + 99] {
        let lab = Lab::new();
        let bytes = noise(size, 1);
        lab.store.on_put(|_, n| if n == 1 { Fault::Fail } else { Fault::None });
        let first = lab.put_stream(&bytes).await;
        assert_eq!(first.is_err(), size > PACK);
        let kept = lab.store.acknowledged_packs();
        lab.store.on_put(|_, _| Fault::None);
        let uploaded = lab.put_stream(&bytes).await.unwrap();
        assert!(lab.read_back(&uploaded)["stdin"] == bytes);
        let names = lab.pack_names(&uploaded[0]);
        assert!(kept.iter().all(|name| names.contains(name)), "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_than_the_interrupted_one_is_stored_from_its_beginning_next_time() {
    for sealed in [false, true] {
        let lab = Lab::new();
        lab.store.on_put(move |name, n| if (n == 1 && !sealed) || !is_pack(name) { Fault::Fail } else { Fault::None });
        assert!(lab.put_stream(&noise(2 * PACK, 1)).await.is_err());
        lab.store.on_put(|_, _| Fault::None);
        let other = noise(2 * PACK, 2);
        let PutError::Input(error) = lab.put_stream(&other).await.unwrap_err() else { panic!() };
        assert!(matches!(error.problem, InputProblem::StreamOver));
        let uploaded = lab.put_stream(&other).await.unwrap();
        assert!(lab.read_back(&uploaded)["stdin"] == other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_store_is_an_error() {
    assert!(matches!(Lab::new().put_these(vec![]).await, Err(PutError::Nothing)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plaintext_and_no_key_is_stored_in_clear() {
    let lab = Lab::new();
    let marker = b"a line that would be found".repeat(100);
    lab.write("name-that-would-be-found", &marker);
    let uploaded = lab.put().await.unwrap();
    let (manifest, _) = open_manifest(&lab.store, &uploaded[0]);
    let key = manifest.files()[0].key.expose().to_vec();
    let needles = [&b"would be found"[..], b"name-that-would", &key, uploaded[0].key.expose()];
    let journal = fs::read_dir(lab.dir.path().join("state")).unwrap().next().unwrap().unwrap().path();
    // The journal's own key stands in its head in these tests; what is sealed under it does not.
    let journal = Bytes::from(fs::read(journal).unwrap());
    for object in lab.store.objects.lock().unwrap().values().chain([&journal]) {
        for needle in needles {
            assert!(!object.windows(needle.len()).any(|window| window == needle));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_in_whatever_order_the_files_are_stored_in_the_end(
        sizes in proptest::collection::vec(prop_oneof![0usize..200, 0usize..300_000, 20_000_000usize..60_000_000], 1..6),
        faults in proptest::collection::vec(proptest::collection::vec(0u8..6, 8), 1..4),
        uploads in 1usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut lab = Lab::new();
            lab.options.uploads = uploads;
            for (n, size) in sizes.iter().enumerate() {
                lab.write(&format!("{n}"), &noise(*size, n as u64));
            }
            for run in faults {
                lab.store.on_put(move |_, n| match run.get(n) {
                    Some(0) => Fault::Fail,
                    Some(1) => Fault::Lie,
                    Some(2) => Fault::LoseAnswer,
                    _ => Fault::None,
                });
                let _ = lab.put().await;
            }
            lab.store.on_put(|_, _| Fault::None);
            let uploaded = lab.put().await.unwrap();
            lab.assert_stored(&uploaded);
            let names = lab.pack_names(&uploaded[0]);
            assert!(lab.store.acknowledged_packs().iter().all(|name| names.contains(name)));
        });
    }
}

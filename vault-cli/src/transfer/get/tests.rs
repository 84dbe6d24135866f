use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;
use vault_core::layout::ObjectName;
use vault_core::pack::{PACK_LEN, PackError};

use super::super::testing::{Fault, IMPATIENT, Stored, UPLOAD, dataset, is_pack, noise, write};
use super::*;

const PACK: usize = PACK_LEN as usize;

struct Desk {
    stored: Stored,
    dir: TempDir,
    options: GetOptions,
}

impl Desk {
    async fn new(files: &[(&str, &[u8])]) -> Self {
        let fetch = FetchOptions { retry: IMPATIENT, ..FetchOptions::default() };
        let options = GetOptions { fetch, force: false };
        Self { stored: Stored::new(files).await, dir: tempfile::tempdir().unwrap(), options }
    }

    async fn get(&self) -> Result<Got, GetError> {
        self.get_these(|_| true).await
    }

    async fn get_these(&self, choose: impl Fn(&str) -> bool) -> Result<Got, GetError> {
        let files = self.stored.files().into_iter().filter(|file| choose(file.path.as_str())).collect();
        let get = Get::new(self.stored.store.clone(), self.options, Arc::new(()));
        get.run(vec![(self.stored.body(), files)], self.dir.path()).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    // Everything in the folder, unfinished files too.
    fn on_disk(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut todo = vec![self.dir.path().to_owned()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    let name = path.strip_prefix(self.dir.path()).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
        found
    }

    fn assert_got(&self, files: &[(&str, &[u8])]) {
        let disk = self.on_disk();
        assert_eq!(disk.keys().collect::<Vec<_>>(), files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert!(files.iter().all(|(name, bytes)| disk[*name] == *bytes), "a file differs");
    }

    fn pack(&self, index: usize) -> ObjectName {
        let pack = self.stored.body().list.packs()[index].name;
        ObjectName::Pack { dataset: dataset(), upload: UPLOAD, pack }
    }

    fn read_of_packs(&self) -> u64 {
        let read = self.stored.store.read.lock().unwrap();
        read.iter().filter(|(name, _)| is_pack(name)).map(|(_, bytes)| bytes).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_as_they_were() {
    let (big, odd) = (noise(3 * PACK, 1), noise(65_537, 2));
    let names: Vec<String> = (0..300).map(|n| format!("small/{n:03}")).collect();
    let small: Vec<Vec<u8>> = (0..300).map(|n| noise(n * 11, n as u64)).collect();
    let mut files: Vec<(&str, &[u8])> =
        vec![(".hidden", b"h"), ("a/b/c/deep", b"d"), ("big", &big), ("empty", b""), ("odd", &odd)];
    files.extend(names.iter().zip(&small).map(|(name, bytes)| (name.as_str(), &bytes[..])));
    let desk = Desk::new(&files).await;
    let got = desk.get().await.unwrap();
    assert_eq!((got.written, got.kept), (305, 0));
    assert_eq!(got.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    desk.assert_got(&files);
    let record = desk.stored.file("big").1;
    assert_eq!(fs::metadata(desk.path("big")).unwrap().mtime(), record.modified);
    // Again: nothing is fetched, nothing is written.
    let before = desk.read_of_packs();
    assert_eq!(desk.get().await.unwrap().kept, 305);
    assert_eq!(desk.read_of_packs(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_files_fetches_little_else() {
    let files: Vec<(String, Vec<u8>)> = (0..80).map(|n| (format!("{n:03}"), noise(1_000_000, n))).collect();
    let listed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    let desk = Desk::new(&listed).await;
    let chosen = ["003", "031", "032", "079"];
    desk.get_these(|path| chosen.contains(&path)).await.unwrap();
    let expected: Vec<_> = listed.iter().filter(|(name, _)| chosen.contains(name)).copied().collect();
    desk.assert_got(&expected);
    assert!(desk.read_of_packs() < 16 << 20, "{}", desk.read_of_packs());
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_packs_are_refused_before_anything_of_them_is_opened() {
    let files = [("a", noise(2 * PACK, 1)), ("b", noise(1000, 2))];
    let desk = Desk::new(&[("a", &files[0].1), ("b", &files[1].1)]).await;
    for at in [0, 100, PACK - 1] {
        desk.stored.store.change(&desk.pack(1), |pack| pack[at] ^= 1);
        let error = desk.get().await.unwrap_err();
        let GetError::Fetch(FetchError::Pack { name, source: PackError::BytesDiffer }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(*name, desk.pack(1));
        assert!(!desk.path("a").exists());
        desk.stored.store.change(&desk.pack(1), |pack| pack[at] ^= 1);
    }
    // By range too.
    desk.stored.store.change(&desk.pack(2), |pack| *pack.last_mut().unwrap() ^= 1);
    assert!(matches!(desk.get_these(|path| path == "b").await, Err(GetError::Fetch(FetchError::Pack { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_or_wrong_groups_cost_time_and_nothing_else() {
    let bytes = noise(PACK, 1);
    let desk = Desk::new(&[("a", &bytes), ("b", b"b"), ("c", b"c")]).await;
    let groups = ObjectName::Groups { dataset: dataset(), upload: UPLOAD, manifest: desk.stored.uploaded.manifest };
    desk.stored.store.change(&groups, |groups| groups[50] ^= 1);
    desk.get_these(|path| path == "b").await.unwrap();
    desk.stored.store.change(&groups, |groups| groups.truncate(100));
    desk.get_these(|path| path == "c").await.unwrap();
    desk.stored.store.objects.lock().unwrap().remove(&groups);
    desk.get_these(|path| path == "a").await.unwrap();
    desk.assert_got(&[("a", &bytes), ("b", b"b"), ("c", b"c")]);
    // A pack that is wrong as well does not help them.
    let desk = Desk::new(&[("a", &bytes), ("b", b"b")]).await;
    let groups = ObjectName::Groups { dataset: dataset(), upload: UPLOAD, manifest: desk.stored.uploaded.manifest };
    desk.stored.store.change(&groups, |groups| groups[50] ^= 1);
    desk.stored.store.change(&desk.pack(0), |pack| pack[5] ^= 1);
    assert!(desk.get_these(|path| path == "a").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_failed_goes_on_where_it_stopped() {
    let bytes = noise(6 * PACK, 1);
    let mut desk = Desk::new(&[("a", b"a"), ("big", &bytes)]).await;
    desk.options.fetch.packs_in_memory = 1;
    desk.stored.store.on_get(|name, n| if is_pack(name) && n >= 4 { Fault::Fail } else { Fault::None });
    assert!(matches!(desk.get().await, Err(GetError::Fetch(FetchError::Store(_)))));
    let disk = desk.on_disk();
    assert_eq!(disk.keys().collect::<Vec<_>>(), [".big.seqvault-part", ".big.seqvault-part-log", "a"]);
    let before = desk.read_of_packs();
    desk.stored.store.on_get(|_, _| Fault::None);
    let got = desk.get().await.unwrap();
    assert_eq!((got.written, got.kept), (1, 1));
    desk.assert_got(&[("a", b"a"), ("big", &bytes)]);
    let again = desk.read_of_packs() - before;
    assert!(again < 5 * PACK as u64, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_read_again_before_it_is_believed() {
    let bytes = noise(6 * PACK, 1);
    let damages: [fn(&Path); 5] = [
        |folder| {
            let part = fs::OpenOptions::new().write(true).open(folder.join(".big.seqvault-part")).unwrap();
            part.write_all_at(b"damaged", 40_000_000).unwrap();
        },
        |folder| {
            fs::OpenOptions::new().write(true).open(folder.join(".big.seqvault-part")).unwrap().set_len(5).unwrap()
        },
        |folder| fs::remove_file(folder.join(".big.seqvault-part")).unwrap(),
        |folder| fs::write(folder.join(".big.seqvault-part-log"), b"\xff\xfenonsense\n").unwrap(),
        |folder| {
            let log = folder.join(".big.seqvault-part-log");
            let text = fs::read_to_string(&log).unwrap();
            fs::write(&log, &text[..text.len() - 9]).unwrap();
        },
    ];
    for damage in damages {
        let mut desk = Desk::new(&[("big", &bytes)]).await;
        desk.options.fetch.packs_in_memory = 1;
        desk.stored.store.on_get(|name, n| if is_pack(name) && n >= 4 { Fault::Fail } else { Fault::None });
        assert!(desk.get().await.is_err());
        damage(desk.dir.path());
        // And fails once more, later.
        desk.stored.store.on_get(|name, n| if is_pack(name) && n >= 5 { Fault::Fail } else { Fault::None });
        let _ = desk.get().await;
        desk.stored.store.on_get(|_, _| Fault::None);
        desk.get().await.unwrap();
        desk.assert_got(&[("big", &bytes)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_once_is_asked_again() {
    let bytes = noise(2 * PACK, 1);
    let desk = Desk::new(&[("a", &bytes)]).await;
    desk.stored.store.on_get(|_, n| if n == 1 { Fault::LoseAnswer } else { Fault::None });
    desk.get().await.unwrap();
    desk.assert_got(&[("a", &bytes)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_files_stop_it_before_anything_is_written() {
    let mut desk = Desk::new(&[("a", b"a"), ("b", b"b"), ("c/d", b"d")]).await;
    write(desk.dir.path(), "b", b"mine");
    let error = desk.get().await.unwrap_err();
    assert!(
        matches!(&error, GetError::File { path, problem: TargetProblem::Exists } if path.as_str() == "b"),
        "{error:?}"
    );
    desk.assert_got(&[("b", b"mine")]);
    desk.options.force = true;
    desk.get().await.unwrap();
    desk.assert_got(&[("a", b"a"), ("b", b"b"), ("c/d", b"d")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(&[("a/b", b"b"), ("c", b"c")]).await;
    desk.options.force = true;
    symlink(outside.path(), desk.path("a")).unwrap();
    let error = desk.get().await.unwrap_err();
    assert!(matches!(error, GetError::File { problem: TargetProblem::NotAFolder(_), .. }), "{error:?}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_file(desk.path("a")).unwrap();
    symlink(outside.path().join("c"), desk.path("c")).unwrap();
    desk.get().await.unwrap();
    desk.assert_got(&[("a/b", b"b"), ("c", b"c")]);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_plaintext_is_another_is_not_renamed() {
    for size in [5, 100_000] {
        let desk = Desk::new(&[("a", &noise(size, 1))]).await;
        let mut files = desk.stored.files();
        files[0].blake3 = Digest([0; 32]);
        let get = Get::new(desk.stored.store.clone(), desk.options, Arc::new(()));
        let error = get.run(vec![(desk.stored.body(), files)], desk.dir.path()).await.unwrap_err();
        assert!(matches!(error, GetError::Differs(_)));
        assert!(desk.on_disk().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_author_manifest_or_key_opens_nothing() {
    let desk = Desk::new(&[("a", b"abc")]).await;
    let body = || Arc::into_inner(desk.stored.body()).unwrap();
    let wrong_author = Body { author: "mallory".parse().unwrap(), ..body() };
    let wrong_manifest = Body { manifest: vault_core::ids::ManifestId([0; 16]), ..body() };
    for body in [wrong_author, wrong_manifest] {
        let get = Get::new(desk.stored.store.clone(), desk.options, Arc::new(()));
        let error = get.run(vec![(Arc::new(body), desk.stored.files())], desk.dir.path()).await.unwrap_err();
        assert!(matches!(error, GetError::Fetch(FetchError::Body { .. })));
    }
    assert!(desk.on_disk().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_kept_for_unfinished_files_are_refused() {
    let desk = Desk::new(&[("a", b"a")]).await;
    for name in [".a.seqvault-part", "x/.B.SEQVAULT-PART-LOG"] {
        let mut files = desk.stored.files();
        files[0].path = name.parse().unwrap();
        let get = Get::new(desk.stored.store.clone(), desk.options, Arc::new(()));
        let error = get.run(vec![(desk.stored.body(), files)], desk.dir.path()).await.unwrap_err();
        assert!(matches!(error, GetError::Reserved(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_written_is_an_error_that_says_so() {
    let desk = Desk::new(&[("a", b"a")]).await;
    let file = write(desk.dir.path(), "file", b"");
    let get = Get::new(desk.stored.store.clone(), desk.options, Arc::new(()));
    let error = get.run(vec![(desk.stored.body(), desk.stored.files())], &file.join("x")).await.unwrap_err();
    assert!(matches!(error, GetError::Folder { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_s_right_to_execute_comes_back() {
    let desk = Desk::new(&[("a", b"a"), ("b", b"b")]).await;
    let mut files = desk.stored.files();
    files[0].executable = true;
    let get = Get::new(desk.stored.store.clone(), desk.options, Arc::new(()));
    get.run(vec![(desk.stored.body(), files)], desk.dir.path()).await.unwrap();
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o100;
    assert_eq!((mode("a"), mode("b")), (0o100, 0));
}

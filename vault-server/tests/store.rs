//! The store on a folder and on stores that misbehave: whole or absent, durable when acknowledged, one winner a name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may unwrap, index and say what they skipped"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{LedgerId, PackName, UploadId};
use vault_core::layout::{ObjectName, ledger_prefix, upload_prefix};
use vault_server::store::{Answer, Creation, ProbeError, Probing, Store, StoreError, probe};

fn entry(seq: u64) -> ObjectName {
    ObjectName::Entry { ledger: LedgerId::Vault, seq }
}

fn pack(n: u64) -> ObjectName {
    let mut name = [0; 16];
    name[8..].copy_from_slice(&n.to_be_bytes());
    ObjectName::Pack { dataset: "cohort-7".parse().unwrap(), upload: UploadId([7; 16]), pack: PackName(name) }
}

fn packs() -> String {
    upload_prefix(&"cohort-7".parse().unwrap(), &UploadId([7; 16]))
}

async fn folder() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_folder(dir.path()).await.unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_create_is_made_once_repeated_freely_and_never_overwrites() {
    let (_dir, store) = folder().await;
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"one")).await.unwrap(), Creation::Created);
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"one")).await.unwrap(), Creation::AlreadySame);
    for other in ["two", "ones", "", "on"] {
        assert_eq!(store.create(&entry(0), Bytes::from(other)).await.unwrap(), Creation::Conflict);
    }
    assert_eq!(store.get(&entry(0), 3).await.unwrap(), "one");
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let (_dir, store) = folder().await;
    assert_eq!(store.create(&entry(0), Bytes::new()).await.unwrap(), Creation::Created);
    assert_eq!(store.create(&entry(0), Bytes::new()).await.unwrap(), Creation::AlreadySame);
    assert_eq!(store.size(&entry(0)).await.unwrap(), Some(0));
}

#[tokio::test]
async fn reads_are_bounded_and_ranges_are_exact() {
    let (_dir, store) = folder().await;
    let _ = store.create(&entry(0), Bytes::from_static(b"0123456789")).await.unwrap();
    assert!(matches!(store.get(&entry(0), 9).await, Err(StoreError::TooLong { size: 10, max: 9, .. })));
    assert_eq!(store.get_range(&entry(0), 2..10).await.unwrap(), "23456789");
    assert_eq!(store.get_range(&entry(0), 4..4).await.unwrap(), "");
    assert!(matches!(store.get_range(&entry(0), 2..11).await, Err(StoreError::TooShort { size: 10, end: 11, .. })));
    assert!(store.get(&entry(1), 9).await.unwrap_err().is_not_found());
    assert!(store.get_range(&entry(1), 0..1).await.unwrap_err().is_not_found());
    assert_eq!(store.size(&entry(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_listing_is_sorted_and_shows_only_what_a_vault_names() {
    let (dir, store) = folder().await;
    for seq in [11, 2, 7] {
        let _ = store.create(&entry(seq), Bytes::from_static(b"x")).await.unwrap();
    }
    std::fs::write(dir.path().join("ledger/vault/0000000003#1"), b"half an ent").unwrap();
    std::fs::write(dir.path().join("ledger/vault/notes.txt"), b"mine").unwrap();
    let names: Vec<ObjectName> = store.list("ledger/").await.unwrap().into_iter().map(|o| o.name).collect();
    assert_eq!(names, [entry(2), entry(7), entry(11)]);
    let later = store.list_after(&ledger_prefix(&LedgerId::Vault), &entry(2)).await.unwrap();
    assert_eq!(later.into_iter().map(|o| o.name).collect::<Vec<_>>(), [entry(7), entry(11)]);
    assert!(store.list("epochs/").await.unwrap().is_empty());
    assert_eq!(store.folders("ledger/").await.unwrap(), ["vault"]);
}

#[tokio::test]
async fn a_delete_takes_what_was_picked_and_nothing_else() {
    let (dir, store) = folder().await;
    for n in 0..40 {
        let _ = store.create(&pack(n), Bytes::from_static(b"x")).await.unwrap();
    }
    std::fs::write(dir.path().join(packs()).join("notes.txt"), b"mine").unwrap();
    let deleted = store.delete_prefix(&packs(), |name| *name != pack(3)).await.unwrap();
    assert_eq!(deleted.objects, 39);
    assert_eq!(store.list(&packs()).await.unwrap().len(), 1);
    assert!(dir.path().join(packs()).join("notes.txt").exists());
    assert_eq!(store.delete(&[pack(0), pack(3)]).await.unwrap().objects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_writers_that_race_for_a_name_one_wins() {
    let (_dir, store) = folder().await;
    for seq in 0..200 {
        let race: Vec<_> = (0..16)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    store.create(&entry(seq), Bytes::from(format!("writer {writer}"))).await.unwrap()
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (writer, task) in race.into_iter().enumerate() {
            match task.await.unwrap() {
                Creation::Created => winners.push(writer),
                Creation::Conflict => {}
                Creation::AlreadySame => panic!("nobody else wrote these bytes"),
            }
        }
        assert_eq!(winners.len(), 1, "number {seq}");
        assert_eq!(store.get(&entry(seq), 64).await.unwrap(), format!("writer {}", winners[0]));
    }
    assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_folder_that_vanishes_is_an_error_and_is_not_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("vault");
    let store = Store::create_folder(&path).await.unwrap();
    let _ = store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap();

    std::fs::rename(&path, parent.path().join("moved")).unwrap();
    assert_gone(&store).await;
    assert!(!path.exists());

    std::fs::create_dir(&path).unwrap();
    assert_gone(&store).await;
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);

    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(parent.path().join("moved"), &path).unwrap();
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap(), Creation::AlreadySame);
}

async fn assert_gone(store: &Store) {
    let gone = |e: StoreError| assert!(matches!(e, StoreError::Gone { .. }), "{e}");
    gone(store.create(&entry(1), Bytes::from_static(b"x")).await.unwrap_err());
    gone(store.get(&entry(0), 9).await.unwrap_err());
    gone(store.size(&entry(0)).await.unwrap_err());
    gone(store.list("ledger/").await.unwrap_err());
    gone(store.folders("ledger/").await.unwrap_err());
    gone(store.delete(&[entry(0)]).await.unwrap_err());
}

#[tokio::test]
async fn a_folder_that_is_missing_or_no_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_folder(dir.path().join("no")).await, Err(StoreError::NotFound { .. })));
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let error = Store::open_folder(dir.path().join("file")).await.unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

#[tokio::test]
async fn leftovers_of_killed_writers_are_found_by_age_and_removed() {
    let (dir, store) = folder().await;
    let _ = store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap();
    let left = dir.path().join("ledger/vault/0000000001#1");
    std::fs::write(&left, b"half").unwrap();
    assert!(store.leftovers(Duration::from_secs(3600)).await.unwrap().is_empty());
    let found = store.leftovers(Duration::ZERO).await.unwrap();
    // Relative to the vault's folder.
    assert_eq!(found, [std::path::PathBuf::from("ledger/vault/0000000001#1")]);
    // A leftover is in nobody's way.
    assert_eq!(store.create(&entry(1), Bytes::from_static(b"whole")).await.unwrap(), Creation::Created);
    store.remove_leftovers(found).await.unwrap();
    assert!(!left.exists());
    assert_eq!(store.list("ledger/").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_pack_on_its_way_into_a_folder_is_not_seen_and_leaves_nothing_when_it_breaks_off() {
    let (_dir, store) = folder().await;
    let (sender, receiver) = channel();
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { store.create_streamed(&pack(0), 3 << 20, [0; 32], receiver).await })
    };
    for _ in 0..2 {
        sender.send(Ok(Bytes::from(vec![5; 1 << 20]))).await.unwrap();
    }
    let staged = loop {
        let left = store.leftovers(Duration::ZERO).await.unwrap();
        let size = |path: &PathBuf| std::fs::metadata(PathBuf::from(store.location()).join(path)).unwrap().len();
        if left.iter().map(size).sum::<u64>() >= 1 << 20 {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let [one] = &staged[..] else { panic!("{staged:?}") };
    assert!(one.to_str().unwrap().starts_with(&format!("{}#", pack(0))), "what has come is on the disk: {one:?}");
    assert_eq!(store.size(&pack(0)).await.unwrap(), None);
    assert!(store.list("packs/").await.unwrap().is_empty());
    sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
    assert!(matches!(writing.await.unwrap(), Err(StoreError::Body { .. })));
    assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
    // Whoever has the name first keeps it, and a second who brings the same is told so.
    let (name, length) = (pack(1), body(1).len() as u64);
    let (one, two) = tokio::join!(
        store.create_streamed(&name, length, sha256(&body(1)), stream_of(body(1))),
        store.create_streamed(&name, length, sha256(&body(1)), stream_of(body(1)))
    );
    let mut made = [one.unwrap(), two.unwrap()];
    made.sort_by_key(|creation| *creation != Creation::Created);
    assert_eq!(made, [Creation::Created, Creation::AlreadySame]);
    assert_eq!(store.get(&pack(1), 1 << 20).await.unwrap(), body(1));
    assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
}

type Pieces = std::io::Result<Bytes>;

fn channel() -> (tokio::sync::mpsc::Sender<Pieces>, BoxStream<'static, Pieces>) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Pieces>(1);
    (sender, stream::unfold(receiver, async |mut from| Some((from.recv().await?, from))).boxed())
}

#[tokio::test]
async fn the_probe_passes_a_folder_and_leaves_nothing_in_it() {
    let (dir, store) = folder().await;
    probe(&[store.clone(), store], Probing::default()).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("probe")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_probe_refuses_a_store_that_lets_many_writers_win() {
    let store = Store::over(Arc::new(Faulty::new(Fault::CreateOverwrites)), "memory");
    let refused = probe(&[store], Probing::default()).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Winners { winners: 4, writers: 4, .. }), "{refused}");
}

#[tokio::test]
async fn the_probe_refuses_a_store_without_conditional_creates() {
    let store = Store::over(Arc::new(Faulty::new(Fault::CreateUnknown)), "memory");
    let refused = probe(&[store], Probing::default()).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Unconditional { .. }), "{refused}");
}

#[tokio::test]
async fn the_probe_does_not_take_a_busy_store_for_one_without_conditional_creates() {
    let store = Store::over(Arc::new(Faulty::new(Fault::CreateBusy)), "memory");
    let refused = probe(&[store], Probing::default()).await.unwrap_err();
    assert!(matches!(&refused, ProbeError::Store(error) if error.is_transient()), "{refused}");
}

#[tokio::test]
async fn a_create_that_lost_to_nothing_is_tried_again() {
    let faulty = Faulty::new(Fault::FirstCreateConflicts);
    let store = Store::over(Arc::new(faulty), "memory");
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap(), Creation::Created);
    let text = numbers(&store);
    for line in [
        "store_retries_total{request=\"put\",why=\"overlap\"} 1",
        "store_request_duration_seconds_count{request=\"put\"} 2",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    let mut failures = text.lines().filter(|line| line.starts_with("store_failures_total{"));
    assert!(failures.clone().count() > 0 && failures.all(|line| line.ends_with(" 0")), "it is an answer: {text}");
}

/// What a scraper reads of a store.
fn numbers(store: &Store) -> String {
    let (mut registry, mut text) = (Registry::default(), String::new());
    store.seen().register(&mut registry);
    encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_succeeds_when_repeated() {
    let store = Store::over(Arc::new(Faulty::new(Fault::FirstAnswerLost)), "memory");
    assert!(store.create(&entry(0), Bytes::from_static(b"x")).await.is_err());
    let text = numbers(&store);
    assert!(text.contains("store_failures_total{request=\"put\",why=\"other\"} 1"), "{text}");
    assert_eq!(store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap(), Creation::AlreadySame);
}

#[test]
#[cfg(unix)]
fn after_kill_9_every_acknowledged_object_is_there_and_no_object_is_half() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..8u64 {
        let mut child = spawn_child("write", dir.path(), round);
        let mut acknowledged = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..(20 + 13 * round) {
            acknowledged
                .extend(lines.next().unwrap().unwrap().strip_prefix("wrote ").map(|n| n.parse::<u64>().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("wrote ")?.parse::<u64>().ok()));
        assert!(!acknowledged.is_empty());
        runtime().block_on(async {
            let store = Store::open_folder(dir.path()).await.unwrap();
            for n in acknowledged {
                assert_eq!(store.get(&pack(n), 1 << 20).await.unwrap(), body(n), "acknowledged {n}");
            }
            for listed in store.list(&packs()).await.unwrap() {
                let bytes = store.get(&listed.name, 1 << 20).await.unwrap();
                let n = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                assert!(pack(n) == listed.name && bytes == body(n), "half visible: {}", listed.name);
            }
        });
    }
    runtime().block_on(async {
        let store = Store::open_folder(dir.path()).await.unwrap();
        let left = store.leftovers(Duration::ZERO).await.unwrap();
        store.remove_leftovers(left).await.unwrap();
        assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_acknowledged_was_synced_with_its_name_and_every_folder_on_the_way() {
    for role in ["one", "streamed"] {
        synced_before_it_is_acknowledged(role);
    }
}

#[cfg(target_os = "linux")]
fn synced_before_it_is_acknowledged(role: &str) {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    let Some(calls) = traced(role, dir.path(), &[]) else { return };
    let object = root.join(pack(0).to_string());
    let folder = object.parent().unwrap().to_owned();
    let temporary = format!("{}#", object.display());
    // The bytes, then the name, then its folder, then the folders above, then the acknowledgement.
    let file = calls.at(&format!("fsync(FD<{temporary}"), 0);
    let link = calls.at(&format!("\"{}\", 0) = 0", object.display()), file);
    calls.at(&format!("fsync(FD<{}>) = 0", folder.display()), link);
    if role == "streamed" {
        let closed = calls.at(&format!("close(FD<{temporary}"), file);
        assert!(closed < link, "it was open when it was linked and removed");
    }
    let made = calls.at("write(1<pipe>, \"wrote 0\\n\"", link);
    for above in [root.clone(), root.join("packs"), root.join("packs/cohort-7")] {
        let synced = calls.at(&format!("fsync(FD<{}>) = 0", above.display()), 0);
        assert!(synced < made, "{} was synced after the acknowledgement", above.display());
    }

    // Found, not made: it may have been linked by a process that died before its sync.
    let Some(calls) = traced(role, dir.path(), &[]) else { return };
    let made = calls.at("write(1<pipe>, \"wrote 0\\n\"", 0);
    for path in [object.clone(), folder.clone(), root.join("packs/cohort-7"), root.join("packs"), root.clone()] {
        let synced = calls.at(&format!("fsync(FD<{}>) = 0", path.display()), 0);
        assert!(synced < made, "{} was synced after the acknowledgement", path.display());
    }

    let Some(calls) = traced("delete", dir.path(), &[]) else { return };
    let removed = calls.at(&format!("unlink(\"{}\") = 0", object.display()), 0);
    let synced = calls.at(&format!("fsync(FD<{}>) = 0", folder.display()), removed);
    assert!(synced < calls.at("write(1<pipe>, \"deleted\\n\"", synced));
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_acknowledged_when_any_sync_fails() {
    for (role, nth) in ["one", "streamed"].into_iter().flat_map(|role| (1..=12).map(move |nth| (role, nth))) {
        let dir = tempfile::tempdir().unwrap();
        let fault = format!("inject=fsync:error=EIO:when={nth}");
        let Some(calls) = traced(role, dir.path(), &["-e", &fault]) else { return };
        let was_hit = calls.0.iter().any(|call| call.contains("(INJECTED)"));
        let acknowledged = calls.0.iter().any(|call| call.contains("wrote 0"));
        assert_ne!(was_hit, acknowledged, "{role}: acknowledged although sync {nth} failed");
        assert!(was_hit || nth > 4, "a create in new folders syncs the file and each folder on the way");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_pack_that_breaks_off_on_its_way_is_closed_before_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(calls) = traced("broken", dir.path(), &[]) else { return };
    let temporary = format!("{}#", std::fs::canonicalize(dir.path()).unwrap().join(pack(0).to_string()).display());
    let closed = calls.at(&format!("close(FD<{temporary}"), 0);
    calls.at(&format!("unlink(\"{temporary}"), closed);
    assert!(!calls.0[..closed].iter().any(|call| call.starts_with("unlink(")), "{:?}", calls.0);
    calls.at("write(1<pipe>, \"broken off as it should be\\n\"", closed);
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_shows_at_the_sync_that_it_is_full_is_named() {
    for role in ["full", "full streamed"] {
        for fault in ["ENOSPC", "EDQUOT"] {
            let dir = tempfile::tempdir().unwrap();
            let fault = format!("inject=fsync:error={fault}:when=1");
            let Some(calls) = traced(role, dir.path(), &["-e", &fault]) else { return };
            calls.at("(INJECTED)", 0);
            calls.at("write(1<pipe>, \"full as it should be\\n\"", 0);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_and_a_read_only_one_are_named_and_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    runtime().block_on(async {
        let store = Store::open_folder(dir.path()).await.unwrap();
        let _ = store.create(&pack(0), body(0)).await.unwrap();
        let too_much = Bytes::from(vec![1u8; 4 << 20]);
        let full = store.create(&pack(1), too_much).await.unwrap_err();
        assert!(matches!(&full, StoreError::Full { path } if path.contains("packs/cohort-7")), "{full}");
        assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
        assert_eq!(store.size(&pack(1)).await.unwrap(), None);
        let too_much = Bytes::from(vec![1u8; 4 << 20]);
        let full = store.create_streamed(&pack(1), 4 << 20, sha256(&too_much), stream_of(too_much)).await.unwrap_err();
        assert!(matches!(&full, StoreError::Full { path } if path.contains("packs/cohort-7")), "{full}");
        assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
        assert_eq!(store.get(&pack(0), 1 << 20).await.unwrap(), body(0));
        assert_eq!(store.create(&pack(1), body(1)).await.unwrap(), Creation::Created);

        disk.remount_read_only();
        let refused = store.create(&pack(2), body(2)).await.unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_whose_disk_is_unmounted_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else { return };
    runtime().block_on(async {
        let store = Store::open_folder(dir.path()).await.unwrap();
        let _ = store.create(&entry(0), Bytes::from_static(b"x")).await.unwrap();
        drop(disk);
        assert_gone(&store).await;
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
#[cfg(unix)]
fn a_folder_of_somebody_else_is_denied() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut child = child_command("denied", dir.path(), 0);
    // Root may do everything: the child becomes nobody.
    if std::fs::write(dir.path().join("root"), b"").is_ok() {
        use std::os::unix::process::CommandExt;
        child.uid(65_534);
    }
    match child.output() {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("denied as it should be"));
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(e) => eprintln!("SKIPPED permission denied: the child can't run as another user: {e}"),
    }
}

// --- the child process -------------------------------------------------------------------------------------------

/// Not a test of its own: what the tests above run in another process, under kill, strace or another user.
#[test]
fn child() {
    let Ok(role) = std::env::var("STORE_TEST_CHILD") else { return };
    let dir = PathBuf::from(std::env::var_os("STORE_TEST_DIR").unwrap());
    let round: u64 = std::env::var("STORE_TEST_ROUND").unwrap().parse().unwrap();
    runtime().block_on(async {
        let store = Store::open_folder(&dir).await.unwrap();
        match role.as_str() {
            "write" => write_until_killed(&store, round).await,
            "one" => {
                let _ = store.create(&pack(0), body(0)).await.unwrap();
                acknowledge("wrote 0");
            }
            "streamed" => {
                let _ = streamed(&store).await.unwrap();
                acknowledge("wrote 0");
            }
            "broken" => {
                let pieces = stream_of(body(0)).chain(stream::iter([Err(std::io::Error::other("gone"))])).boxed();
                let error = store.create_streamed(&pack(0), 1 << 20, [0; 32], pieces).await.unwrap_err();
                assert!(matches!(error, StoreError::Body { .. }), "{error}");
                acknowledge("broken off as it should be");
            }
            "full" | "full streamed" => {
                let made = match role.as_str() {
                    "full" => store.create(&pack(0), body(0)).await,
                    _ => streamed(&store).await,
                };
                assert!(matches!(made, Err(StoreError::Full { .. })), "{made:?}");
                assert!(store.leftovers(Duration::ZERO).await.unwrap().is_empty());
                acknowledge("full as it should be");
            }
            "delete" => {
                store.delete(&[pack(0)]).await.unwrap();
                acknowledge("deleted");
            }
            "denied" => {
                let error = store.create(&pack(0), body(0)).await.unwrap_err();
                assert!(matches!(error, StoreError::Denied { .. }), "{error}");
                acknowledge("denied as it should be");
            }
            _ => unreachable!(),
        }
    });
}

async fn write_until_killed(store: &Store, round: u64) {
    let writers = (0..4).map(|writer| async move {
        for i in 0..1_000_000 {
            let n = round * 100_000_000 + i * 4 + writer;
            let _ = store.create(&pack(n), body(n)).await.unwrap();
            acknowledge(&format!("wrote {n}"));
        }
    });
    futures_util::future::join_all(writers).await;
}

/// One write, past the test harness' capture, so that the trace shows when it happened.
fn acknowledge(line: &str) {
    use std::io::Write;
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn streamed(store: &Store) -> Result<Creation, StoreError> {
    store.create_streamed(&pack(0), body(0).len() as u64, sha256(&body(0)), stream_of(body(0))).await
}

/// Bytes in pieces, as they come from a network.
fn stream_of(bytes: Bytes) -> BoxStream<'static, std::io::Result<Bytes>> {
    let pieces: Vec<_> = bytes.chunks(5000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// Bytes that tell which object they are, several pages long.
fn body(n: u64) -> Bytes {
    let len = 20_000 + usize::try_from(n % 5).unwrap() * 7_000;
    Bytes::from([&n.to_be_bytes()[..], &vec![u8::try_from(n % 251).unwrap(); len]].concat())
}

fn child_command(role: &str, dir: &Path, round: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads", "1"]);
    in_child(&mut command, role, dir, round);
    command
}

fn in_child(command: &mut Command, role: &str, dir: &Path, round: u64) {
    command.env("STORE_TEST_CHILD", role).env("STORE_TEST_DIR", dir).env("STORE_TEST_ROUND", round.to_string());
}

fn spawn_child(role: &str, dir: &Path, round: u64) -> Child {
    child_command(role, dir, round).stdout(Stdio::piped()).spawn().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

// --- system calls -------------------------------------------------------------------------------------------------

/// A child's system calls in order, with file descriptors replaced by their paths.
struct Calls(Vec<String>);

impl Calls {
    /// Where the first call at or after `from` stands that contains `text`.
    fn at(&self, text: &str, from: usize) -> usize {
        let found = self.0.iter().skip(from).position(|call| call.contains(text));
        found.map(|i| i + from).unwrap_or_else(|| panic!("no call {text} after {from} in:\n{}", self.0.join("\n")))
    }
}

/// Runs a child under strace; `None`, and a line on standard error, where that can't be.
fn traced(role: &str, dir: &Path, extra: &[&str]) -> Option<Calls> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let child = child_command(role, dir, 0);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "64", "-e", "trace=fsync,linkat,unlink,write,close"]).args(extra);
    strace.arg("-o").arg(log.path()).arg(child.get_program()).args(child.get_args());
    in_child(&mut strace, role, dir, 0);
    let output = match strace.stderr(Stdio::piped()).stdout(Stdio::piped()).output() {
        Ok(output) => output,
        Err(e) => {
            eprintln!("SKIPPED {role}: strace can't run: {e}");
            return None;
        }
    };
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if complaint.contains("Operation not permitted") || complaint.contains("PTRACE") {
        eprintln!("SKIPPED {role}: strace may not trace: {complaint}");
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(log.path()).unwrap().read_to_string(&mut text).unwrap();
    Some(Calls(join_resumed(&text)))
}

/// One line a call, where it ended: strace splits a call that another thread interrupts. Columns and numbers that differ
/// from run to run are evened out.
fn join_resumed(text: &str) -> Vec<String> {
    let mut begun = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread.to_owned(), start.trim_end().to_owned());
        } else if let Some((_, rest)) = call.split_once("resumed>") {
            calls.push(even_out(&(begun.remove(thread).unwrap_or_default() + rest)));
        } else {
            calls.push(even_out(call));
        }
    }
    calls
}

fn even_out(call: &str) -> String {
    let out = call.split_whitespace().collect::<Vec<_>>().join(" ");
    // fsync(9</path>) -> fsync(FD</path>), and the pipe's number.
    let out = match out.split_once('(') {
        Some((call @ ("fsync" | "close"), rest)) => {
            format!("{call}(FD{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        _ => out,
    };
    match (out.find("<pipe:["), out.find("]>")) {
        (Some(from), Some(to)) if from < to => format!("{}<pipe>{}", &out[..from], &out[to + 2..]),
        _ => out,
    }
}

/// A disk of one megabyte, where the test may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            Ok(output) => {
                eprintln!("SKIPPED small disk: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(e) => {
                eprintln!("SKIPPED small disk: mount can't run: {e}");
                None
            }
        }
    }

    fn remount_read_only(&self) {
        assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

// --- stores that misbehave ----------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// A create replaces what is there and says that it won.
    CreateOverwrites,
    /// A conditional create is not known.
    CreateUnknown,
    /// Every create is one too many.
    CreateBusy,
    /// The first create meets another that then fails: 409, and nothing is there.
    FirstCreateConflicts,
    /// The first create succeeds and its answer is lost.
    FirstAnswerLost,
}

#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    first: AtomicBool,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { inner: InMemory::new(), fault, first: AtomicBool::new(true) }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

fn failure(text: &str) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: text.into() }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        at: &Key,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if options.mode == PutMode::Create {
            let first = self.first.swap(false, Ordering::SeqCst);
            match self.fault {
                Fault::CreateOverwrites => options.mode = PutMode::Overwrite,
                Fault::CreateUnknown => return Err(failure("not implemented")),
                Fault::CreateBusy => {
                    let (endpoint, code) = ("memory".to_owned(), "SlowDown".to_owned());
                    let answer =
                        Answer::Refused { endpoint, status: 503, code, message: "Too many.".to_owned(), region: None };
                    return Err(object_store::Error::Generic { store: "faulty", source: Box::new(answer) });
                }
                Fault::FirstCreateConflicts if first => {
                    return Err(object_store::Error::AlreadyExists { path: at.to_string(), source: "409".into() });
                }
                Fault::FirstAnswerLost if first => {
                    self.inner.put_opts(at, payload, options).await?;
                    return Err(failure("connection reset"));
                }
                _ => {}
            }
        }
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

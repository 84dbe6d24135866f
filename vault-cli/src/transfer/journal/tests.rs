use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bytes::Bytes;
use vault_core::ids::{ManifestId, PackName};
use vault_core::pack::{PACK_LEN, PackEntry};

use super::state::{Checkpoint, Pack, Plan, PlannedFile, Sent, Straddle};
use super::*;

fn head(n: u8) -> JournalHead {
    JournalHead {
        suite: Suite::XWing,
        vault: VaultId([1; 32]),
        dataset: "cohort-7".parse().unwrap(),
        author: "lab".parse().unwrap(),
        upload: UploadId([n; 16]),
        card: CardId([2; 32]),
        request: Digest([n; 32]),
        created: 1_790_000_000,
    }
}

// Stands for a seal to a card: the key itself, so that a test can open it.
fn fake_seal(key: &Secret32, _: &Context) -> Option<Vec<u8>> {
    Some(key.expose().to_vec())
}

fn create(folder: &Path, n: u8) -> Journal {
    Journal::create(folder, head(n), fake_seal).unwrap()
}

fn reopen(folder: &Path, n: u8) -> Journal {
    let pending = Journal::find(folder, &Digest([n; 32])).unwrap().unwrap();
    let key = Secret32::from_slice(pending.sealed_key()).unwrap();
    pending.open(key).unwrap()
}

const FILE_KEY: [u8; 32] = *b"a file key that nobody may find!";

fn plan() -> Record {
    let file =
        PlannedFile { path: "f".parse().unwrap(), key: Secret32::take(&mut { FILE_KEY }), header: [5; floe::HEADER] };
    let plan = Plan {
        manifest: ManifestId([6; 16]),
        key: Arc::new(Secret32::take(&mut [7; 32])),
        salt: Arc::new(Secret32::take(&mut [8; 32])),
        files: vec![Arc::new(file)],
    };
    Record::Plan { ordinal: 0, plan }
}

fn acked(index: u32) -> Record {
    Record::Acked { ordinal: 0, index }
}

fn sent(index: u32) -> Record {
    let entry =
        PackEntry { name: PackName(u128::from(index).to_be_bytes()), length: PACK_LEN, blake3: Digest([1; 32]) };
    let pack = Pack { entry, groups: vec![[0; 32]; 32], checkpoint: Checkpoint::default() };
    let right = Some(Straddle::Whole { unit: Bytes::from(vec![9; 60_000]), head: 10 });
    Record::Sent { ordinal: 0, index, sent: Box::new(Sent { pack, left: None, right }) }
}

fn packs(journal: &Journal) -> usize {
    journal.state().manifest(0).unwrap().packs.len()
}

#[test]
fn a_journal_reads_back_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    journal.append(sent(0)).unwrap();
    journal.append(acked(0)).unwrap();
    drop(journal);
    let mut journal = reopen(dir.path(), 1);
    assert_eq!((journal.head(), packs(&journal)), (&head(1), 1));
    journal.append(sent(1)).unwrap();
    journal.append(acked(1)).unwrap();
    drop(journal);
    let journal = reopen(dir.path(), 1);
    assert_eq!(packs(&journal), 2);
    journal.erase().unwrap();
    assert!(Journal::find(dir.path(), &Digest([1; 32])).unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_torn_tail_is_forgotten_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    let whole = journal.length as usize;
    journal.append(sent(0)).unwrap();
    journal.append(acked(0)).unwrap();
    let (path, end) = (journal.path.clone(), journal.length as usize);
    drop(journal);
    let bytes = fs::read(&path).unwrap();
    for len in [whole, whole + 1, whole + 4, whole + 100, end - 17, end - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let mut journal = reopen(dir.path(), 1);
        assert_eq!(packs(&journal), 0, "{len}");
        journal.append(sent(3)).unwrap();
        journal.append(acked(3)).unwrap();
        drop(journal);
        let journal = reopen(dir.path(), 1);
        assert!(journal.state().manifest(0).unwrap().packs.contains_key(&3));
    }
    let mut flipped = bytes;
    flipped[end - 50] ^= 1;
    fs::write(&path, &flipped).unwrap();
    assert_eq!(packs(&reopen(dir.path(), 1)), 0);
}

#[test]
fn a_record_that_does_not_fit_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    let length = fs::metadata(&journal.path).unwrap().len();
    let error = journal.append(acked(7)).unwrap_err();
    assert!(matches!(error.problem, JournalProblem::Malformed));
    assert_eq!(fs::metadata(&journal.path).unwrap().len(), length);
    assert!(matches!(journal.append(sent(0)).unwrap_err().problem, JournalProblem::Broken));
    drop(journal);
    // Else it could never be opened again.
    let mut journal = reopen(dir.path(), 1);
    journal.append(sent(0)).unwrap();
    journal.append(acked(0)).unwrap();
}

#[test]
fn nothing_is_written_behind_a_record_that_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    // As a full disk does it: this file takes nothing more.
    let full = File::open(&journal.path).unwrap();
    let real = std::mem::replace(&mut journal.file, full);
    assert!(matches!(journal.append(sent(0)).unwrap_err().problem, JournalProblem::Io(_)));
    journal.file = real;
    assert!(matches!(journal.append(acked(0)).unwrap_err().problem, JournalProblem::Broken));
    drop(journal);
    assert_eq!(packs(&reopen(dir.path(), 1)), 0);
}

#[test]
fn a_journal_is_private_and_holds_no_key_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("uploads");
    let mut journal = Journal::create(&folder, head(1), |_, _| Some(b"sealed".to_vec())).unwrap();
    journal.append(plan()).unwrap();
    let bytes = fs::read(&journal.path).unwrap();
    for secret in [&FILE_KEY[..], &[7; 32], &[8; 32], journal.key.expose()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    assert_eq!(fs::metadata(&journal.path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    fs::set_permissions(&journal.path, fs::Permissions::from_mode(0o640)).unwrap();
    drop(journal);
    let error = Journal::find(&folder, &Digest([1; 32])).unwrap_err();
    assert!(matches!(error.problem, JournalProblem::Permissions));
}

#[test]
fn one_journal_has_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let journal = create(dir.path(), 1);
    let error = Journal::find(dir.path(), &Digest([1; 32])).unwrap_err();
    assert!(matches!(error.problem, JournalProblem::InUse));
    drop(journal);
    let first = Journal::find(dir.path(), &Digest([1; 32])).unwrap().unwrap();
    assert!(Journal::find(dir.path(), &Digest([1; 32])).is_err());
    drop(first);
    assert!(matches!(Journal::create(dir.path(), head(1), fake_seal).unwrap_err().problem, JournalProblem::Io(_)));
}

#[test]
fn a_journal_is_found_by_its_request() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Journal::find(&dir.path().join("absent"), &Digest([1; 32])).unwrap().is_none());
    drop((create(dir.path(), 1), create(dir.path(), 2)));
    fs::write(dir.path().join("x.journal"), "torn when it was made").unwrap();
    fs::set_permissions(dir.path().join("x.journal"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(reopen(dir.path(), 2).head(), &head(2));
    assert!(Journal::find(dir.path(), &Digest([3; 32])).unwrap().is_none());
    assert_eq!(Journal::list(dir.path()).unwrap().len(), 2);
}

#[test]
fn another_key_or_moved_records_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    let first = journal.length as usize;
    journal.append(sent(0)).unwrap();
    journal.append(acked(0)).unwrap();
    journal.append(sent(0)).unwrap();
    journal.append(acked(0)).unwrap();
    let path = journal.path.clone();
    drop(journal);
    let pending = Journal::find(dir.path(), &Digest([1; 32])).unwrap().unwrap();
    let error = pending.open(Secret32::take(&mut [0; 32])).unwrap_err();
    assert!(matches!(error.problem, JournalProblem::Authentication));
    // The second `Acked` moved to the place of the first: same length, same checksum, another number.
    let bytes = fs::read(&path).unwrap();
    let half = (bytes.len() - first) / 2;
    fs::write(&path, [&bytes[..first], &bytes[first + half..]].concat()).unwrap();
    let pending = Journal::find(dir.path(), &Digest([1; 32])).unwrap().unwrap();
    let key = Secret32::from_slice(pending.sealed_key()).unwrap();
    assert!(matches!(pending.open(key).unwrap_err().problem, JournalProblem::Authentication));
}

#[test]
fn a_journal_that_grew_is_written_anew_without_what_is_out_of_date() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = create(dir.path(), 1);
    journal.append(plan()).unwrap();
    journal.compact_at = 1 << 20;
    for index in 0..40 {
        journal.append(sent(index)).unwrap();
        journal.append(acked(index)).unwrap();
        if index == 20 {
            assert!(journal.length < 400_000, "{}", journal.length);
        }
    }
    assert!(Journal::find(dir.path(), &Digest([1; 32])).is_err(), "still locked");
    drop(journal);
    let mut journal = reopen(dir.path(), 1);
    assert_eq!(packs(&journal), 40);
    assert_eq!(journal.state().manifest(0).unwrap().straddles.keys().copied().collect::<Vec<_>>(), [40]);
    journal.append(sent(40)).unwrap();
    journal.append(acked(40)).unwrap();
    drop(journal);
    assert_eq!(packs(&reopen(dir.path(), 1)), 41);
}

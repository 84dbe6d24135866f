//! Identity files on a real file system, and the conformance of both providers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tempfile::TempDir;
use vault_core::card::Card;
use vault_core::suite::Suite;
use vault_keys::conformance;
use vault_keys::custodian::Custodian;
use vault_keys::file::{self, FileCustodian, FileError, IfExists};
use vault_keys::identity::{Cost, Secrets, UnlockError};
use vault_keys::memory::MemoryCustodian;
use vault_keys::passphrase::Passphrase;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).unwrap()
}

fn create(path: &Path, suite: Suite, if_exists: IfExists) -> Result<Card, FileError> {
    let secrets = Secrets::generate(&mut rng());
    let card = secrets.make_card(suite, "", 0).unwrap();
    file::create(path, &secrets, &card, &passphrase("old"), Cost::CHEAP_FOR_TESTS, if_exists, &mut rng())?;
    Ok(card)
}

fn folder_with_identity(suite: Suite) -> (TempDir, PathBuf, Card) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let card = create(&path, suite, IfExists::Refuse).unwrap();
    (folder, path, card)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_file_provider_conforms() {
    for suite in [Suite::X25519, Suite::XWing] {
        let (_folder, path, card) = folder_with_identity(suite);
        let custodian: Box<dyn Custodian> = Box::new(file::unlock(&path, &passphrase("old")).unwrap());
        assert_eq!(custodian.card(), &card);
        conformance::check(custodian.as_ref(), &mut rng()).unwrap();
    }
}

#[test]
fn the_memory_provider_conforms() {
    for suite in [Suite::X25519, Suite::XWing] {
        let custodian = MemoryCustodian::generate(suite, "", 0, &mut rng()).unwrap();
        conformance::check(&custodian, &mut rng()).unwrap();
    }
}

#[test]
fn the_conformance_suite_finds_a_provider_that_signs_anything() {
    struct Eager(MemoryCustodian);
    impl Custodian for Eager {
        fn card(&self) -> &Card {
            self.0.card()
        }
        fn sign(&self, pae: &[u8]) -> Result<[u8; 64], vault_keys::custodian::CustodyError> {
            self.0.sign(pae).or(Ok([0; 64]))
        }
        fn open(
            &self,
            sealed: &[u8],
            info: &vault_core::context::Context,
        ) -> Result<vault_core::secret::Secret32, vault_keys::custodian::CustodyError> {
            self.0.open(sealed, info)
        }
    }
    let eager = Eager(MemoryCustodian::generate(Suite::X25519, "", 0, &mut rng()).unwrap());
    assert!(conformance::check(&eager, &mut rng()).is_err());
}

#[test]
fn a_new_file_has_mode_0600_and_nothing_lies_beside_it() {
    let (folder, path, _) = folder_with_identity(Suite::X25519);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_existing_file_is_not_overwritten_unless_told() {
    let (folder, path, card) = folder_with_identity(Suite::X25519);
    let before = fs::read(&path).unwrap();
    assert!(matches!(create(&path, Suite::X25519, IfExists::Refuse), Err(FileError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    let new = create(&path, Suite::X25519, IfExists::Replace).unwrap();
    assert_ne!(new, card);
    assert_eq!(file::read(&path).unwrap().card(), &new);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_dangling_link_counts_as_existing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert!(matches!(create(&path, Suite::X25519, IfExists::Refuse), Err(FileError::Exists(_))));
}

#[test]
fn a_file_that_others_may_read_or_change_is_refused() {
    let (_folder, path, _) = folder_with_identity(Suite::X25519);
    for bad in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
        assert!(matches!(file::read(&path), Err(FileError::Permissions(_))), "{bad:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(file::read(&path).is_ok());
}

#[test]
fn folders_and_devices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(file::read(folder.path()), Err(FileError::NotAFile(_))));
    assert!(matches!(file::read(Path::new("/dev/zero")), Err(FileError::NotAFile(_))));
    assert!(matches!(file::read(&folder.path().join("none")), Err(FileError::Io { .. })));
}

#[test]
fn a_huge_file_is_refused() {
    let (_folder, path, _) = folder_with_identity(Suite::X25519);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = file::read(&path).unwrap_err();
    assert!(matches!(error, FileError::Identity(vault_keys::identity::IdentityError::TooLong)), "{error}");
}

#[test]
fn a_wrong_passphrase_does_not_unlock() {
    let (_folder, path, _) = folder_with_identity(Suite::X25519);
    let error = file::unlock(&path, &passphrase("new")).unwrap_err();
    assert!(matches!(error, FileError::Unlock(UnlockError::WrongPassphrase)));
    assert_eq!(error.to_string(), "wrong passphrase, or the file is damaged");
}

#[test]
fn a_changed_passphrase_keeps_the_card_and_takes_a_new_salt() {
    let (folder, path, card) = folder_with_identity(Suite::X25519);
    let before = fs::read(&path).unwrap();
    let change = |old, new| {
        file::change_passphrase(&path, &passphrase(old), &passphrase(new), Cost::CHEAP_FOR_TESTS, &mut rng())
    };
    assert!(matches!(change("wrong", "new"), Err(FileError::Unlock(UnlockError::WrongPassphrase))));
    assert_eq!(fs::read(&path).unwrap(), before);

    change("old", "new").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(file::unlock(&path, &passphrase("old")).is_err());
    assert_eq!(file::unlock(&path, &passphrase("new")).unwrap().card(), &card);
    let tail = |file: &[u8]| file[file.len() - 250..].to_vec();
    assert_ne!(tail(&fs::read(&path).unwrap()), tail(&before));
}

#[test]
fn nothing_is_left_behind_where_writing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder/identity");
    assert!(matches!(create(&missing, Suite::X25519, IfExists::Refuse), Err(FileError::Io { .. })));
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(create(&taken, Suite::X25519, IfExists::Replace).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn no_message_or_debug_text_shows_a_secret() {
    let (_folder, path, _) = folder_with_identity(Suite::X25519);
    let custodian: FileCustodian = file::unlock(&path, &passphrase("old")).unwrap();
    let text = format!("{custodian:?} {:?}", Secrets::generate(&mut rng()));
    assert!(text.contains("LockedSecrets(locked: "), "{text}");
    assert!(text.contains("Secrets(..)"), "{text}");
    println!("locked memory: {}", custodian.memory_is_locked());
}

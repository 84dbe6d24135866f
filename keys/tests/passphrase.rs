//! Passphrases from descriptors and the environment, in a process that switched core dumps off as the program does.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::AsRawFd;

use vault_keys::passphrase::{Passphrase, PassphraseError};
use vault_keys::process::forbid_core_dumps;

fn number(file: &impl AsRawFd) -> u32 {
    u32::try_from(file.as_raw_fd()).unwrap()
}

#[test]
fn a_pipe_gives_its_first_line_and_keeps_the_rest() {
    forbid_core_dumps().unwrap();
    let (mut reader, mut writer) = pipe().unwrap();
    writer.write_all(b"correct horse\nrest").unwrap();
    drop(writer);
    assert!(Passphrase::from_fd(number(&reader)).is_ok());
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rest");
}

#[test]
fn a_file_is_read_to_its_first_line_end() {
    forbid_core_dumps().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"correct horse\n").unwrap();
    let file = File::open(file.path()).unwrap();
    assert!(Passphrase::from_fd(number(&file)).is_ok());
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    assert!(matches!(Passphrase::from_fd(987), Err(PassphraseError::Io(_))));
}

#[test]
fn a_variable_that_is_set_is_taken() {
    // Set by cargo for every test.
    assert!(Passphrase::from_env("CARGO_PKG_NAME").is_ok());
}

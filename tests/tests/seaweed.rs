//! The S3 server of the tests itself: it starts, keeps what it acknowledged, and goes when its process goes.

#![allow(clippy::panic, reason = "tests may panic, also in their helpers")]

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vault_tests::seaweed::SeaweedFs;

const CHILD: &str = "SEQVAULT_TESTS_SEAWEED_CHILD";

#[test]
fn two_gateways_share_their_data_and_outlive_a_kill() {
    let server = SeaweedFs::start();
    let bucket = server.new_bucket();
    let object = format!("{bucket}/a");
    server.signed(&["-X", "PUT", "--data-binary", "kept"], &object).unwrap();

    server.kill_gateway(0);
    assert_eq!(server.signed(&[], &object).unwrap(), "kept", "the second gateway");
    server.restart_gateway(0);
    server.kill();
    assert!(server.signed(&[], &object).is_err(), "a killed server answers");
    server.restart();
    assert_eq!(server.signed(&[], &object).unwrap(), "kept", "after a restart");
}

#[test]
fn a_bucket_can_keep_versions() {
    let server = SeaweedFs::shared();
    let bucket = server.new_bucket();
    server.keep_versions(&bucket);
    let status = server.signed(&[], &format!("{bucket}?versioning=")).unwrap();
    assert!(status.contains("Enabled"), "{status}");
}

/// The part of the test below that is killed.
#[test]
#[ignore = "a part of another test"]
fn child_that_is_killed() {
    let server = SeaweedFs::start();
    let [endpoint, _] = server.endpoints();
    fs::write(std::env::var_os(CHILD).unwrap(), endpoint).unwrap();
    sleep(Duration::from_secs(120));
}

#[test]
fn a_killed_process_leaves_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoint");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--ignored"])
        .env(CHILD, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let endpoint = eventually("the child starts a server", || fs::read_to_string(&path).ok().filter(|t| !t.is_empty()));
    let address = endpoint.strip_prefix("http://").unwrap();
    TcpStream::connect(address).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the server is gone", || TcpStream::connect(address).is_err().then_some(()));
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(90) {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("not in 90 s: {what}")
}

//! Vaults in buckets that keep old versions: what a person is told, and what a second bucket for `epochs/` changes.
//!
//! That every verb works on a bucket is shown by the end-to-end tests themselves, with `SEQVAULT_TEST_ON=s3`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may unwrap and index")]

use std::ffi::OsString;

use serde_json::Value;
use vault_tests::seaweed::SeaweedFs;
use vault_tests::world::{Person, World};

const VERSIONS: &str = "keeps old versions";

/// Makes a vault at a location with a dataset that somebody reads, and revokes that grant; what `init`, `revoke` and `doctor` say.
fn revoked_at(location: &str) -> (String, Value, Value) {
    let server = SeaweedFs::shared();
    let world = World::new();
    let environment: Vec<(OsString, OsString)> =
        server.environment().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let person = |name: &str| -> Person { world.new_person(name).through(location, &environment) };
    let (officer, anna) = (person("officer"), person("anna"));
    let init = officer.run(&["init", "--organisation", "Lab", "--kind", "research", "--jurisdiction", "CN"]);
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    let added = officer.ok(&["member", "add", "anna", "--card", "anna.card"]);
    anna.ok(&["join", added["invitation"].as_str().unwrap()]);
    officer.ok(&["dataset", "create", "run-42", "--title", "a run"]);
    world.write("in/a.txt", b"what is read");
    officer.ok(&["put", "run-42", "in"]);
    officer.ok(&["grant", "run-42", "anna"]);
    assert_eq!(anna.gets("run-42").len(), 1);
    let revoked = officer.ok(&["revoke", "run-42", "anna"]);
    let text = serde_json::to_string(&revoked).unwrap();
    assert!(!text.contains(" erased") || text.contains("not erased"), "{text}");
    anna.fails(4, &["get", "run-42", "--output", "out"]);
    (init.stderr, revoked, officer.ok(&["doctor"]))
}

#[test]
fn a_revoke_says_that_a_bucket_with_versions_keeps_what_it_deleted() {
    let server = SeaweedFs::shared();
    let bucket = server.new_bucket();
    server.keep_versions(&bucket);
    let (init, revoked, doctor) = revoked_at(&server.location(&format!("{bucket}/v")));
    assert!(init.contains(VERSIONS) && init.contains("epochs=BUCKET"), "{init}");
    assert_eq!(revoked["versions_kept"], true, "{revoked}");
    let deleted = revoked["rotation"]["deleted"].as_u64().unwrap();
    assert!(deleted > 0, "{revoked}");
    let remains = revoked["remains"].to_string();
    assert!(remains.contains(&format!("{deleted} objects are gone from sight and not erased")), "{remains}");
    assert!(doctor["findings"].to_string().contains(VERSIONS), "{doctor}");
}

#[test]
fn with_epochs_in_a_bucket_without_versions_a_revoke_deletes_for_good() {
    let server = SeaweedFs::shared();
    let (bucket, epochs) = (server.new_bucket(), server.new_bucket());
    server.keep_versions(&bucket);
    let location = format!("{}&epochs={epochs}", server.location(&format!("{bucket}/v")));
    let (init, revoked, doctor) = revoked_at(&location);
    assert!(!init.contains(VERSIONS), "{init}");
    assert_eq!(revoked["versions_kept"], false, "{revoked}");
    assert!(!revoked["remains"].to_string().contains(VERSIONS), "{revoked}");
    assert_eq!(doctor["sound"], true, "{doctor}");
}

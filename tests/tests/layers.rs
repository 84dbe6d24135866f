//! The layers of ARCHITECTURE.md, proven: dependencies flow one way, the core does no I/O, primitives and printing have their rooms.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may unwrap and index")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vault_tests::workspace;

/// Every normal dependency, direct and indirect, of each workspace package, by name.
fn reach() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host()])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name_of = |id: &Value| -> String {
        let package = metadata["packages"].as_array().unwrap().iter().find(|p| p["id"] == *id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let normal = node["deps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()));
        direct.entry(name_of(&node["id"])).or_default().extend(normal.map(|dep| name_of(&dep["pkg"])));
    }
    let members = metadata["workspace_members"].as_array().unwrap().iter().map(name_of);
    members
        .map(|member| {
            let (mut seen, mut waiting) = (BTreeSet::new(), vec![member.clone()]);
            while let Some(next) = waiting.pop() {
                for dep in &direct[&next] {
                    if seen.insert(dep.clone()) {
                        waiting.push(dep.clone());
                    }
                }
            }
            (member, seen)
        })
        .collect()
}

/// The platform that the tests run on: what it does not need was not fetched.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn ours(reach: &BTreeMap<String, BTreeSet<String>>, of: &str) -> BTreeSet<String> {
    reach[of].iter().filter(|name| name.starts_with("vault-")).cloned().collect()
}

#[test]
fn dependencies_flow_one_way() {
    let reach = reach();
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ours(&reach, "vault-core"), set(&[]));
    assert_eq!(ours(&reach, "vault-keys"), set(&["vault-core"]));
    assert_eq!(ours(&reach, "vault-policy"), set(&["vault-core"]));
    // A server that can't name an identity can't open anything.
    assert_eq!(ours(&reach, "vault-server"), set(&["vault-core", "vault-policy"]));
    assert_eq!(ours(&reach, "vault-cli"), set(&["vault-core", "vault-keys", "vault-policy", "vault-server"]));
}

#[test]
fn the_core_reaches_no_io_no_clock_and_no_runtime() {
    let reach = reach();
    for forbidden in
        ["tokio", "object_store", "mio", "chrono", "time", "jiff", "reqwest", "hyper", "rustix", "tempfile", "walkdir"]
    {
        for pure in ["vault-core", "vault-policy"] {
            assert!(!reach[pure].contains(forbidden), "{pure} reaches {forbidden}");
        }
    }
}

/// Rust sources below a folder, with their text up to the tests at their end.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut waiting) = (Vec::new(), vec![workspace().join(folder)]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    assert!(found.len() > 3, "{folder} has no sources: this test would show nothing");
    found
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

fn offenders(folder: &str, words: &[&str], allowed: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder).into_iter().filter(|(path, _)| !allowed(path)) {
        for line in code_lines(&text) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}: {line}", path.display()));
            }
        }
    }
    found
}

#[test]
fn the_core_names_no_clock_file_socket_or_global_randomness() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::",
        "SysRng",
        "getrandom",
        "std::io::",
    ];
    for folder in ["vault-core/src", "policy/src"] {
        let found = offenders(folder, &words, |_| false);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn primitives_are_named_in_their_rooms_only() {
    let words =
        ["aes_gcm::", "aws_lc_rs::", "ed25519_dalek::", "x25519_dalek::", "use hpke", "hkdf::", "hmac::", "sha2::"];
    let room = |path: &Path| path.components().any(|c| c.as_os_str() == "hazmat");
    let core = offenders("vault-core/src", &words, room);
    assert!(core.is_empty(), "{core:#?}");
    for folder in ["keys/src", "policy/src", "vault-server/src", "vault-cli/src"] {
        let found = offenders(folder, &words, |_| false);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_the_output_prints() {
    let words = ["println!", "eprintln!", "print!(", "eprint!(", "io::stdout()", "io::stderr()"];
    // The second one streams an opened file's bytes to standard output, which is no printing.
    let output =
        |path: &Path| ["vault-cli/src/output.rs", "sealed_file/target.rs"].iter().any(|room| path.ends_with(room));
    let found = offenders("vault-cli/src", &words, output);
    let found: Vec<_> = found.into_iter().filter(|line| !line.contains("is_terminal")).collect();
    assert!(found.is_empty(), "{found:#?}");
    for folder in ["vault-core/src", "keys/src", "policy/src", "vault-server/src"] {
        // The server's program says what it can't start with; its log goes to standard error.
        let program = |path: &Path| {
            ["vault-server/src/main.rs", "vault-server/src/process/log.rs"].iter().any(|room| path.ends_with(room))
        };
        let found = offenders(folder, &words, program);
        assert!(found.is_empty(), "{found:#?}");
    }
}

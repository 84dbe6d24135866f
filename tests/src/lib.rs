//! What the end-to-end tests share: the compiled binary, people with identities, made files.
//!
//! Nothing of the product is linked here but what a test must look into: the tests drive the program as a person would.

pub mod mirror;
pub mod place;
pub mod seaweed;
pub mod server;
pub mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The compiled `seqvault`: the one that `SEQVAULT_BIN` names, or the one that cargo builds for these tests.
///
/// # Panics
/// If it can't be built: a test without the program would test nothing.
#[allow(clippy::panic, clippy::expect_used, reason = "a test can't go on without the program")]
pub fn seqvault() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("SEQVAULT_BIN") {
            return PathBuf::from(named);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "vault-cli", "--bin", "seqvault", "--message-format", "json"])
            .current_dir(workspace())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "seqvault does not build: {}", String::from_utf8_lossy(&built.stderr));
        let executable = String::from_utf8_lossy(&built.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| message.get("executable").and_then(|e| e.as_str()).map(PathBuf::from));
        executable.unwrap_or_else(|| panic!("cargo names no executable"))
    })
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

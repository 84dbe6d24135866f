//! For the test that looks into a client's memory, in debug builds only.
//!
//! `SEQVAULT_TEST_HOLD=FILE` leaves the process readable to its user, and when the verb has ended and everything of it was dropped it makes FILE,
//! with its process id in it, and waits until somebody deletes it.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// How often it looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

fn asked() -> Option<PathBuf> {
    std::env::var_os("SEQVAULT_TEST_HOLD").filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// A verb begins.
pub fn begins() {
    if asked().is_some() {
        // If that fails the test can't read, and fails.
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    }
}

/// A verb has ended.
pub fn ends() {
    let Some(file) = asked() else { return };
    // Under its name only when the number is in it.
    let whole = std::fs::write(file.with_extension("part"), std::process::id().to_string())
        .and_then(|()| std::fs::rename(file.with_extension("part"), &file));
    if whole.is_ok() {
        while file.exists() {
            std::thread::sleep(LOOK);
        }
    }
}

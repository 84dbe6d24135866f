//! Moving file bytes: from files to packs and back, in parallel, in bounded memory, resumable after any stop.
//!
//! Knows no command line, no ledger and no terminal: it is given files and keys and a [`PackStore`], and reports through
//! [`Progress`]. What is signed about an upload, and to whom its manifest keys are sealed, is the caller's.

mod cat;
mod fetch;
mod fill;
mod get;
mod journal;
mod pool;
mod progress;
mod put;
mod source;
mod store;
mod target;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod testing;
mod walk;

pub use cat::{CatError, read_range};
pub use fetch::{Body, FetchError, FetchOptions};
pub use get::{Get, GetError, GetOptions, Got};
pub use journal::{Journal, JournalError, JournalHead, JournalProblem, Pending};
pub use progress::{Phase, Progress};
pub use put::{PutError, PutOptions, Upload, Uploaded, covers};
pub use source::{Checksums, InputError, InputProblem};
pub use store::{Ahead, ObjectError, PackStore, Retry, StoreError};
pub use target::TargetProblem;
pub use walk::{Argument, Found, Input, Kind, Skipped, Source, Stream, WalkError, walk};

use vault_core::floe;

/// How the names of files end that a get has not finished.
pub(crate) const PART_SUFFIX: &str = ".seqvault-part";
/// And of the logs that remember how far it came.
pub(crate) const LOG_SUFFIX: &str = ".seqvault-part-log";

/// The size of the plaintext whose FLOE ciphertext has this length.
pub(crate) fn plain_len(sealed: u64) -> Option<u64> {
    let body = sealed.checked_sub(floe::HEADER as u64)?;
    let size = body.checked_sub(floe::OVERHEAD as u64 * body.div_ceil(floe::SEGMENT as u64))?;
    (floe::ciphertext_len(size) == sealed).then_some(size)
}

//! Moving file bytes: from files to packs and back, in parallel, in bounded memory, resumable after any stop.
//!
//! Knows no command line, no ledger and no terminal: it is given files and keys and a [`PackStore`], and reports through
//! [`Progress`]. What is signed about an upload, and to whom its manifest keys are sealed, is the caller's.

mod progress;
mod store;

pub use progress::{Phase, Progress};
pub use store::{ObjectError, PackStore, Retry, StoreError};

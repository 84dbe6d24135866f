//! The `seqvault` command as a library: verbs, transfers, clients and the only printing.
//!
//! | to | look in |
//! |---|---|
//! | add or read a verb | [`command`] |
//! | know what options and environment mean | [`settings`] |
//! | fail, print, be interrupted | [`error`], [`output`], [`interrupt`] |
//! | read, check and append to ledgers; reach keys; rotate | [`session`], [`keyring`], [`seals`], [`rotate`] |
//! | reach a vault wherever it is | [`client`] |
//! | move file bytes | [`transfer`] |
//! | seal or open one file without a vault | [`sealed_file`] |
//! | know what this machine remembers | [`state`] |
//! | read, keep and show facts; ask the rules | [`facts`], [`gate`] |

pub mod acts;
pub mod client;
pub mod clock;
pub mod command;
pub mod commit;
pub mod error;
pub mod facts;
pub mod fetch;
pub mod gate;
#[cfg(all(debug_assertions, target_os = "linux"))]
pub mod held;
pub mod interrupt;
pub mod keyring;
pub mod marks;
pub mod output;
pub mod patterns;
pub mod progress;
pub mod random;
pub mod reencrypt;
pub mod rotate;
pub mod sealed_file;
pub mod seals;
pub mod session;
pub mod settings;
pub mod state;
pub mod stewards;
pub mod terms;
pub mod transfer;

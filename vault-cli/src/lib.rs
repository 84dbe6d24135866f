//! The `seqvault` command as a library: verbs, transfers, clients and the only printing.
//!
//! | to | look in |
//! |---|---|
//! | add or read a verb | [`command`] |
//! | know what options and environment mean | [`settings`] |
//! | fail, print, be interrupted | [`error`], [`output`], [`interrupt`] |
//! | seal or open one file without a vault | [`sealed_file`] |
//! | know what this machine remembers | [`state`] |

pub mod command;
pub mod error;
pub mod interrupt;
pub mod output;
pub mod sealed_file;
pub mod settings;
pub mod state;

//! End to end, with the compiled command: what people can and can't do in a vault, whatever breaks, races or is tampered with.
//!
//! `SEQVAULT_TEST_ON` says where the vaults are (`vault_tests::place`): a folder, a bucket, either of them behind a server.
//!
//! One binary, because linking takes longer than running. Each module tells one part; `story` is the vault that most of them begin with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may unwrap, index and say what they do"
)]

mod acts;
mod ask;
mod bad_input;
mod chinese;
mod counting;
mod crash;
mod deletion;
mod former;
mod gate;
mod left_out;
mod malicious;
mod mallory;
mod mallory_bytes;
mod mallory_den;
mod mallory_gate;
mod mallory_ledgers;
mod mallory_limits;
mod mallory_people;
mod mallory_server;
mod mallory_storage;
mod outage;
mod places;
mod races;
mod reflection;
mod relay;
mod requests;
mod rollback;
mod servers;
mod story;
mod subjects;
mod tamper;
mod terminal;
mod transfer;
mod ways_out;

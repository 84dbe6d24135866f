//! The server's requests, one by one, over a vault in a folder: what is signed, who may what, what is said when not. Spec page 7.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "tests may unwrap"
)]

#[path = "http/bucket.rs"]
mod bucket;
#[path = "http/client.rs"]
mod client;
mod common;
#[path = "http/cost.rs"]
mod cost;
#[path = "http/ledgers.rs"]
mod ledgers;
#[path = "http/line.rs"]
mod line;
#[path = "http/objects.rs"]
mod objects;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/problems.rs"]
mod problems;
#[path = "http/rights.rs"]
mod rights;
#[path = "http/signatures.rs"]
mod signatures;
#[path = "http/streams.rs"]
mod streams;
#[path = "http/untaken.rs"]
mod untaken;

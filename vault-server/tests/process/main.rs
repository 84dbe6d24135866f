//! The real server process: how it starts or says why not, what it does when told to stop, and that no client holds it up.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may unwrap and index"
)]

#[path = "../common/mod.rs"]
mod common;

mod life;
mod logs;
mod server;
mod signed;
mod start;
mod tls;

//! Measures a vault's server: fills a store with a large vault, and sends signed requests at a rate. Not part of the product.
//!
//! | to | look in |
//! |---|---|
//! | know who speaks and with which keys | [`people`] |
//! | write a vault with many datasets straight into a store | [`make`] |
//! | send signed requests at a rate and time the answers | [`requests`] |
//!
//! The keys follow from numbers, so nothing has to be handed from one run to the next, and nothing here may hold real data.

#![allow(clippy::print_stdout, reason = "the figures are the product of this program")]

mod make;
mod people;
mod requests;

use clap::Parser;

/// Measures a vault's server; for benches/server
#[derive(Parser)]
enum Command {
    Make(make::Args),
    Requests(requests::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Make(args) => make::run(args).await,
        Command::Requests(args) => requests::run(args).await,
    }
}

//! `seqvault seal`: one file to one or more cards, without a vault.

use crate::error::{Failure, Kind, Outcome};
use crate::settings::Globals;

/// Seal one file to one or more cards, without a vault
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// If the identity can't be read or written.
pub async fn run(_globals: &Globals, _args: Args) -> Outcome<()> {
    Err(Failure::new(Kind::Other, "being written"))
}

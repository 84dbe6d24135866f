//! `seqvault identity`: make and keep an identity, print its public card.

use crate::error::{Failure, Kind, Outcome};
use crate::settings::Globals;

/// Make and keep an identity; print its public card
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// If the identity can't be read or written.
pub async fn run(_globals: &Globals, _args: Args) -> Outcome<()> {
    Err(Failure::new(Kind::Other, "being written"))
}

//! `seqvault open`: a file that was sealed to this identity.

use crate::error::{Failure, Kind, Outcome};
use crate::settings::Globals;

/// Open a file that was sealed to this identity
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// If the identity can't be read or written.
pub async fn run(_globals: &Globals, _args: Args) -> Outcome<()> {
    Err(Failure::new(Kind::Other, "being written"))
}

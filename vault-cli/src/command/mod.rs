//! The verbs, one a file. A verb is `pub struct Args` and `pub async fn run(globals: &Globals, args: Args) -> Outcome<()>`.
//!
//! To add one: its file, a `mod` line, a variant, an arm. Its help's first line is the doc comment of its `Args`.

pub mod identity;
pub mod open;
pub mod seal;

use crate::error::Outcome;
use crate::settings::Globals;

/// What to do.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    #[allow(missing_docs, reason = "a verb's words stand beside its arguments: here they would replace them in --help")]
    Identity(identity::Args),
    #[allow(missing_docs, reason = "as above")]
    Seal(seal::Args),
    #[allow(missing_docs, reason = "as above")]
    Open(open::Args),
}

impl Command {
    /// Runs the verb.
    ///
    /// # Errors
    /// What the verb returns.
    pub async fn run(self, globals: &Globals) -> Outcome<()> {
        match self {
            Self::Identity(args) => identity::run(globals, args).await,
            Self::Seal(args) => seal::run(globals, args).await,
            Self::Open(args) => open::run(globals, args).await,
        }
    }
}

//! `seqvault serve`: the server, as `vault-server` is it. Spec page 7.

use clap::Args as ClapArgs;
use vault_server::config;
use vault_server::process::{self, StartError};

use crate::error::{Failure, Kind, Outcome};
use crate::settings::Globals;

/// Serve a vault to its members over HTTP
#[derive(ClapArgs, Debug)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  seqvault serve --vault /srv/vault\n  seqvault serve --vault s3://lab/vault --listen [::]:443 --tls-cert chain.pem --tls-key key.pem\n  seqvault serve --config server.toml --check\n\nIt needs no identity. `vault-server` is the same program without the other verbs."
)]
pub struct Args {
    #[command(flatten)]
    server: config::Args,
}

/// Runs the verb.
///
/// # Errors
/// If the server can't start.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (output, mut args) = (globals.output(), args);
    // Packs are named alike before and behind the verb, and for every verb; what names them for servers alone comes first.
    args.server.settings.packs = args.server.settings.packs.or_else(|| globals.packs.clone());
    let print = |text: &str| output.result(&text, || text.to_owned());
    match process::run(&args.server, globals.vault.clone()).await.map_err(failure)? {
        process::Outcome::Said(text) => print(&text),
        process::Outcome::Served => Ok(()),
    }
}

fn failure(error: StartError) -> Failure {
    let kind = match error.exit_code() {
        2 => Kind::Usage,
        3 => Kind::NotFound,
        5 => Kind::Integrity,
        8 => Kind::Storage,
        _ => Kind::Other,
    };
    let failure = Failure::new(kind, error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    #[tokio::test]
    async fn a_refused_start_says_what_to_do_on_a_line_of_its_own() {
        let args = config::Args::default();
        let refused = process::run(&args, Some("/no/such/vault".to_owned())).await.unwrap_err();
        let failure = failure(refused);
        assert_eq!(failure.message, "/no/such/vault: there is no such folder");
        assert!(failure.hint.unwrap().contains("seqvault init"));
    }
}

//! `vault-server`: parse, run, say why not, exit.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use vault_server::config::Args;
use vault_server::process::{self, Outcome, StartError};

/// Serves a seqvault vault over HTTP.
///
/// It holds no key: what it keeps it can't read. Settings come from flags, then the environment, then the file of --config.
#[derive(Parser, Debug)]
#[command(name = "vault-server", version, max_term_width = 110)]
struct Cli {
    /// The vault: a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "LOCATION", env = "SEQVAULT")]
    vault: Option<String>,
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A start's own errors say their causes themselves.
            let start = error.downcast_ref::<StartError>();
            let text = start.map_or_else(|| format!("{error:#}"), ToString::to_string);
            // One line, as logs want it.
            let hint = start.and_then(StartError::hint).map_or_else(String::new, |hint| format!("; {hint}"));
            say_error(&format!("vault-server: {text}{hint}"));
            ExitCode::from(start.map_or(1, StartError::exit_code))
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads could not be started")?;
    let outcome = runtime.block_on(process::run(&cli.args, cli.vault.clone()));
    runtime.shutdown_timeout(process::AFTERWARDS);
    if let Outcome::Said(text) = outcome? {
        say(&text);
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the program's one answer")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "why it does not run")]
fn say_error(text: &str) {
    eprintln!("{text}");
}

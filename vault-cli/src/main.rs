//! The `seqvault` command: parse, run one verb, report, exit.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser};
use vault_cli::command::{Command, zh};
use vault_cli::error::{Failure, Kind, Outcome};
use vault_cli::settings::{self, Globals};
use vault_cli::{interrupt, output};
use vault_policy::Lang;

/// A vault for sequencing data that is shared between organisations.
///
/// Files are encrypted on this machine and stored as ciphertext; who may open what is a matter of signed statements and sealed keys.
#[derive(Parser, Debug)]
#[command(name = "seqvault", version, max_term_width = 110, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 other, 2 usage, 3 not found, 4 refused, 5 integrity, 6 conflict, \
                        7 identity or passphrase, 8 storage, 130 interrupted.\n\nExample:\n  seqvault demo")]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(say_where));
    let (json, lang, outcome) = match parse() {
        Ok(cli) => {
            let (json, lang) = (cli.globals.json, cli.globals.lang());
            // A panic is a failure like others: it has an exit code of the table, and cleanup has run.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(cli)))
                .unwrap_or_else(|_| Err(Failure::new(Kind::Other, String::new())));
            (json, lang, outcome)
        }
        Err(error) => match usage(&error) {
            Ok(code) => return code,
            Err(failure) => (true, Lang::En, Err(failure)),
        },
    };
    #[cfg(all(debug_assertions, target_os = "linux"))]
    vault_cli::held::ends();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(output::report(&failure, json, lang)),
    }
}

/// Parses the command line; help comes in the language that the command line itself, the environment or the locale says.
fn parse() -> Result<Cli, clap::Error> {
    let command = if settings::help_is_chinese() { zh::translate(Cli::command()) } else { Cli::command() };
    command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches))
}

fn run(cli: Cli) -> Outcome<()> {
    // Before the first secret is read. A system that refuses says so, and the user decides.
    if let Err(error) = vault_keys::process::forbid_core_dumps() {
        cli.globals.output().note(&format!("warning: core dumps could not be forbidden: {error}"));
    }
    #[cfg(all(debug_assertions, target_os = "linux"))]
    vault_cli::held::begins();
    let runtime = runtime().map_err(|e| Failure::new(Kind::Other, format!("{e:#}")))?;
    let Cli { globals, command } = cli;
    let outcome = if command.catches_signals() {
        runtime.block_on(command.run(&globals))
    } else {
        let hint = command.when_interrupted();
        runtime.block_on(interrupt::unless_interrupted(command.run(&globals))).map_err(|failure| match hint {
            Some((en, zh)) if failure.kind == Kind::Interrupted => failure.hints(en, zh),
            _ => failure,
        })
    };
    // Threads that a cancelled verb left behind write to files that have no name any more: nothing to wait for.
    runtime.shutdown_background();
    outcome
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("threads could not be started")
}

/// Help and version go where clap sends them. A wrong command line is a failure in JSON if JSON was asked for.
fn usage(error: &clap::Error) -> Result<ExitCode, Failure> {
    let wants_json = std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json");
    if error.use_stderr() && wants_json {
        let said = usage_in_chinese(error).unwrap_or_else(|| error.render().to_string());
        return Err(Failure::usage(said.trim_end()));
    }
    if let Some(said) = usage_in_chinese(error) {
        output::warn(&said);
        return Ok(ExitCode::from(Kind::Usage as u8));
    }
    // A closed pipe is no failure worth words.
    let _ = error.print();
    Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8)))
}

fn usage_in_chinese(error: &clap::Error) -> Option<String> {
    if settings::help_is_chinese() { zh::usage::say(error) } else { None }
}

// A panic's payload may quote a secret, so only its place is said.
fn say_where(panic: &std::panic::PanicHookInfo<'_>) {
    let place =
        panic.location().map_or_else(|| "an unknown place".to_owned(), |l| format!("{}:{}", l.file(), l.line()));
    output::warn(&format!("seqvault: stopped by a bug at {place}: please report it with the command that you ran"));
}

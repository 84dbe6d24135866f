//! `seqvault identity`: make and keep an identity, print its public card. Spec sections 2.1 and 2.2.

use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_core::card::{Card, CardError};
use vault_core::ids::CardId;
use vault_core::suite::Suite;
use vault_keys::file::{self, FileError, IfExists};
use vault_keys::identity::{Cost, Secrets};

use crate::clock;
use crate::error::{Failure, Kind, Outcome};
use crate::output::{self, Output};
use crate::random;
use crate::settings::{Globals, PassphraseSource, identity_failure, with_passphrase};
use crate::state::create_private;

/// The least memory for a passphrase guess that is written, in MiB; the format allows less.
const LEAST_MEMORY: u32 = 8;

/// Make and keep an identity; print its public card
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  seqvault identity new lab.id --label \"sequencing lab\"\n  \
                        seqvault identity card --identity lab.id > lab.card")]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(clap::Subcommand, Debug)]
enum Act {
    New(New),
    Show(Which),
    Card(Which),
    Passwd(Passwd),
}

/// Make a new identity: a secret file under a passphrase
///
/// Keep a copy of the file, and the passphrase: without either of them nothing that is sealed to it opens.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  seqvault identity new lab.id --label \"sequencing lab\"\n  \
                        SEQUENCER_PASSPHRASE=... seqvault identity new run.id --passphrase-env SEQUENCER_PASSPHRASE")]
struct New {
    /// The file to write; never one that exists [default: that of --identity]
    path: Option<PathBuf>,
    /// What others see in its card: a person and a device, for instance; nobody vouches for it
    #[arg(long, default_value = "")]
    label: String,
    /// 2: X-Wing, also against quantum computers; 1: X25519, small
    #[arg(long, default_value = "2", value_parser = suite)]
    suite: Suite,
    #[command(flatten)]
    kdf: Kdf,
}

/// Which identity.
#[derive(clap::Args, Debug)]
struct Which {
    /// The identity file [default: that of --identity]
    path: Option<PathBuf>,
}

/// Change the passphrase; keys and card stay what they are
///
/// Copies of the old file, in backups or snapshots, still open with the old passphrase.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  seqvault identity passwd lab.id")]
struct Passwd {
    /// The identity file [default: that of --identity]
    path: Option<PathBuf>,
    /// Read the new passphrase from this open file descriptor, up to the first newline
    #[arg(long, value_name = "N", conflicts_with = "new_passphrase_env")]
    new_passphrase_fd: Option<u32>,
    /// Read the new passphrase from the environment variable of this name
    #[arg(long, value_name = "NAME")]
    new_passphrase_env: Option<String>,
    #[command(flatten)]
    kdf: Kdf,
}

/// What a passphrase guess costs.
#[derive(clap::Args, Debug, Clone, Copy)]
#[command(next_help_heading = "Cost of a passphrase guess (Argon2id)")]
struct Kdf {
    /// Memory in MiB, 8 to 1024; less than the default makes guessing a stolen file's passphrase cheaper [default: 256]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(i64::from(LEAST_MEMORY)..=1024))]
    kdf_memory: Option<u32>,
    /// Passes over the memory, 1 to 16 [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    kdf_passes: Option<u32>,
}

/// An identity's public half, as it is printed.
#[derive(Serialize)]
struct Shown<'a> {
    path: &'a Path,
    label: &'a str,
    suite: Suite,
    created: u64,
    fingerprint: String,
    card: &'a CardId,
}

/// Runs the verb.
///
/// # Errors
/// If the identity can't be read, unlocked or written.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    match args.act {
        Act::New(args) => new(globals, args),
        Act::Show(which) => {
            let (path, card) = which.read(globals)?;
            show(globals.output(), &path, &card)
        }
        Act::Card(which) => {
            let (_, card) = which.read(globals)?;
            globals.output().line(&String::from_utf8_lossy(card.stored()))
        }
        Act::Passwd(args) => passwd(globals, args),
    }
}

fn new(globals: &Globals, args: New) -> Outcome<()> {
    let rng = &mut random::system();
    let path = args.path.map_or_else(|| default_path(globals), Ok)?;
    // Asked before a passphrase is; `create` asks again, without a race.
    if path.symlink_metadata().is_ok() {
        return Err(identity_failure(&path, FileError::Exists(path.clone())));
    }
    let secrets = Secrets::generate(rng);
    let card = secrets.make_card(args.suite, &args.label, clock::now()).map_err(|e| match e {
        CardError::Label => Failure::usage(format!("--label: {e}")),
        _ => Failure::new(Kind::Other, e.to_string()),
    })?;
    let cost = args.kdf.cost(Cost::DEFAULT)?;
    let passphrase = globals.passphrase_source().read_new("New passphrase: ")?;
    file::create(&path, &secrets, &card, &passphrase, cost, IfExists::Refuse, rng)
        .map_err(|e| identity_failure(&path, e))?;
    globals.output().note("Keep a copy of this file, and the passphrase: nobody can replace either.");
    show(globals.output(), &path, &card)
}

fn passwd(globals: &Globals, args: Passwd) -> Outcome<()> {
    let (path, card) = Which { path: args.path }.read(globals)?;
    let old = globals.passphrase_source();
    let new = PassphraseSource::of(args.new_passphrase_fd, args.new_passphrase_env.as_deref());
    if matches!((old, new), (PassphraseSource::Descriptor(one), PassphraseSource::Descriptor(two)) if one == two) {
        return Err(Failure::usage("the old and the new passphrase can't come from the same file descriptor"));
    }
    // Through links, so that the file itself is replaced.
    let file = path.canonicalize().map_err(|e| Failure::file(&path, &e))?;
    let cost = file::read(&file).map_err(|e| identity_failure(&path, e))?.cost();
    let cost = args.kdf.cost(dearer(cost, Cost::DEFAULT)?)?;
    // The old one is checked first: nobody invents a new passphrase for nothing.
    let (old, _) = with_passphrase(&file, old, globals.lang(), |old| file::unlock(&file, old))?;
    let new = new.read_new("New passphrase: ")?;
    file::change_passphrase(&file, &old, &new, cost, &mut random::system()).map_err(|e| identity_failure(&path, e))?;
    globals.output().note("Copies of the old file still open with the old passphrase.");
    show(globals.output(), &path, &card)
}

impl Which {
    fn read(self, globals: &Globals) -> Outcome<(PathBuf, Card)> {
        let path = self.path.map_or_else(|| globals.identity_path(), Ok)?;
        let identity = file::read(&path).map_err(|e| identity_failure(&path, e))?;
        Ok((path, identity.card().clone()))
    }
}

impl Kdf {
    fn cost(self, otherwise: Cost) -> Outcome<Cost> {
        let memory = self.kdf_memory.map_or(otherwise.m_kib(), |mib| mib.saturating_mul(1024));
        let passes = self.kdf_passes.unwrap_or(otherwise.t());
        let cost = Cost::new(memory, passes, otherwise.p()).map_err(|e| Failure::usage(e.to_string()))?;
        if cost.m_kib() < Cost::DEFAULT.m_kib() || cost.t() < Cost::DEFAULT.t() {
            output::warn(
                "warning: below the default cost; whoever gets hold of this file guesses its passphrase more cheaply",
            );
        }
        Ok(cost)
    }
}

// A file that was made dear stays dear, and one from before the default rose is raised.
fn dearer(one: Cost, two: Cost) -> Outcome<Cost> {
    Cost::new(one.m_kib().max(two.m_kib()), one.t().max(two.t()), one.p().max(two.p()))
        .map_err(|e| Failure::new(Kind::Other, e.to_string()))
}

fn show(output: Output, path: &Path, card: &Card) -> Outcome<()> {
    let shown = Shown {
        path,
        label: card.label(),
        suite: card.suite(),
        created: card.created(),
        fingerprint: card.fingerprint(),
        card: card.id(),
    };
    output.result(&shown, || {
        format!(
            "identity     {}\nlabel        {}\nsuite        {} ({})\ncreated      {}\nfingerprint  {}\ncard         {}",
            path.display(),
            card.label(),
            card.suite().id(),
            card.suite().kem_name(),
            output::time(card.created()),
            card.fingerprint(),
            card.id(),
        )
    })
}

/// Where `--identity` points; its folder is made if it is the default one.
fn default_path(globals: &Globals) -> Outcome<PathBuf> {
    let path = globals.identity_path()?;
    if globals.identity.is_none()
        && let Some(folder) = path.parent()
    {
        create_private(folder)?;
    }
    Ok(path)
}

fn suite(text: &str) -> Result<Suite, String> {
    text.parse().ok().and_then(Suite::from_id).ok_or_else(|| "1 or 2".to_owned())
}

//! `seqvault open`: a file that was sealed to this identity. Spec section 2.6.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_core::card::{Card, fingerprint};
use vault_core::secret::Secret32;

use super::seal::SUFFIX;
use crate::error::{Failure, Kind, Outcome};
use crate::interrupt::{self, Stop};
use crate::output;
use crate::sealed_file::body::{self, OpenError};
use crate::sealed_file::end::{self, Destination, Input};
use crate::sealed_file::head::{Head, ReadError};
use crate::sealed_file::target::Readers;
use crate::settings::{Globals, PassphraseSource};
use crate::transfer::Progress;

/// Open a file that was sealed to this identity
///
/// A file that was changed or cut short is not opened. On standard output what comes before the damage is out
/// by then, and the exit code is 5: look at it before you use the output. Nothing says who sealed the file.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  seqvault open run-42.bam.sealed\n  \
                        seqvault open run-42.bam.sealed -o - | samtools view -h -")]
pub struct Args {
    /// The sealed file, or - for standard input
    file: PathBuf,
    /// Where to, readable to you alone [default: FILE without .sealed, or standard output if FILE is -]; - is standard output
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
}

/// What was opened.
#[derive(Serialize)]
struct Opened<'a> {
    output: &'a Path,
    bytes: u64,
}

/// Runs the verb.
///
/// # Errors
/// If the file was not sealed to this identity, was changed, or can't be read or written. No file is left behind then.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let from_terminal_or_pipe = !end::is_named(&args.file);
    if from_terminal_or_pipe && globals.passphrase_source() == PassphraseSource::Descriptor(0) {
        return Err(Failure::usage("standard input can't be both the sealed file and the passphrase"));
    }
    let mut input = Input::open(&args.file)?;
    let output = match args.output {
        None if from_terminal_or_pipe => None,
        None => Some(opened_name(&args.file)?),
        given => given,
    };
    let destination = Destination::open(output.as_deref(), Readers::Owner, args.force, &input)?;

    let head = Head::read(&mut input.file).map_err(|e| head_failure(&args.file, e))?;
    // Nobody is asked for a passphrase that is of no use.
    let card = globals.card()?;
    if !head.is_sealed_to(card.id()) {
        return Err(not_a_recipient(&args.file, &head, &card));
    }
    let custodian = globals.unlock()?;
    let key = match head.open_key(&*custodian) {
        Some(key) => key.map_err(|e| Failure::integrity(format!("{}: {e}", args.file.display())))?,
        None => return Err(not_a_recipient(&args.file, &head, custodian.card())),
    };
    let (from, progress) = (args.file, input.progress(&globals.output()));
    let bytes =
        destination.write(move |output, stop| open(&key, &head, &from, input, output, stop, &*progress)).await?;

    let Some(path) = destination.keep()? else { return Ok(()) };
    globals.output().result(&Opened { output: &path, bytes }, || {
        format!("opened {}: {}", output::bytes(bytes), output::printable(&path.display().to_string()))
    })
}

fn open(
    key: &Secret32,
    head: &Head,
    from: &Path,
    input: Input,
    output: &File,
    stop: &Stop,
    progress: &dyn Progress,
) -> Outcome<u64> {
    body::open(key, head, &input.file, output, stop, progress).map_err(|e| match e {
        OpenError::Read(e) => Failure::file(from, &e),
        OpenError::Write(e) => end::write_failure(&e),
        OpenError::Stopped => interrupt::interrupted(),
        OpenError::Truncated(_) | OpenError::Extended | OpenError::Changed(_) => {
            Failure::integrity(e.to_string()).at(from.display()).hint("fetch it again from whoever sealed it")
        }
    })
}

fn head_failure(from: &Path, error: ReadError) -> Failure {
    let failure = match error {
        ReadError::Io(e) => return Failure::file(from, &e),
        _ => Failure::integrity(error.to_string()).at(from.display()),
    };
    match error {
        ReadError::Version | ReadError::Suite(_) => {
            failure.hint("install a newer seqvault, unless the file was changed")
        }
        ReadError::Truncated | ReadError::Malformed => failure.hint("fetch it again from whoever sealed it"),
        _ => failure,
    }
}

fn not_a_recipient(from: &Path, head: &Head, card: &Card) -> Failure {
    const SHOWN: usize = 3;
    let count = head.cards().count();
    let mut cards: Vec<String> = head.cards().take(SHOWN).map(|id| fingerprint(&id)).collect();
    if count > SHOWN {
        cards.push(format!("{} more", count - SHOWN));
    }
    Failure::new(Kind::Refused, "not sealed to this identity").at(from.display()).hint(format!(
        "this identity's card is {}; the file is sealed to {}",
        card.fingerprint(),
        cards.join(", ")
    ))
}

fn opened_name(file: &Path) -> Outcome<PathBuf> {
    let stripped = file.to_str().and_then(|name| name.strip_suffix(SUFFIX)).filter(|name| !name.is_empty());
    match stripped {
        Some(name) if !name.ends_with('/') => Ok(name.into()),
        _ => Err(Failure::usage(format!("{} does not end in {SUFFIX}: where to?", file.display()))
            .hint("name the output with --output, or --output - for standard output")),
    }
}

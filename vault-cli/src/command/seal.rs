//! `seqvault seal`: one file to one or more cards, without a vault. Spec section 2.6.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_core::card::Card;
use vault_core::ids::CardId;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

use super::member::read_card;
use crate::error::{Failure, Kind, Outcome};
use crate::interrupt::{self, Stop};
use crate::output;
use crate::random;
use crate::sealed_file::body::{self, SealError};
use crate::sealed_file::end::{self, Destination, Input};
use crate::sealed_file::head::{Head, MakeError};
use crate::sealed_file::target::Readers;
use crate::settings::Globals;
use crate::transfer::Progress;

/// What is added to the name of a sealed file.
pub const SUFFIX: &str = ".sealed";

/// Seal one file to one or more cards, without a vault
///
/// Whoever has the identity of one of the cards opens it. What is sealed says nothing of who sealed it, shows the ids of
/// the cards and the size, and keeps neither the file's name nor its times.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  seqvault seal run-42.bam --to anna.card --to-self\n  \
                        samtools view -b in.cram | seqvault seal - --to anna.card > in.bam.sealed")]
pub struct Args {
    /// The file, or - for standard input
    file: PathBuf,
    /// A recipient's card file; several times for several recipients
    #[arg(long, value_name = "CARD", required_unless_present = "to_self")]
    to: Vec<PathBuf>,
    /// Also to your own card
    #[arg(long)]
    to_self: bool,
    /// Where to [default: FILE.sealed, or standard output if FILE is -]; - is standard output
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
}

/// What was sealed.
#[derive(Serialize)]
struct Sealed<'a> {
    output: &'a Path,
    bytes: u64,
    suite: Suite,
    cards: Vec<CardId>,
}

/// Runs the verb.
///
/// # Errors
/// If a card is not valid, or the file can't be read or written. Nothing is left behind then.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let cards = cards(globals, &args)?;
    let input = Input::open(&args.file)?;
    let output = args.output.clone().or_else(|| end::is_named(&args.file).then(|| sealed_name(&args.file)));
    let destination = Destination::open(output.as_deref(), Readers::Umask, args.force, &input)?;
    destination.refuse_terminal()?;

    let key = Secret32::generate(&mut random::system());
    let head = Head::make(&cards, &key, &mut random::system()).map_err(|e| head_failure(e, &cards))?;
    let (suite, sealed_to) = (head.suite(), head.cards().collect());
    let (from, progress) = (args.file, input.progress(&globals.output()));
    let bytes =
        destination.write(move |output, stop| seal(&key, &head, &from, input, output, stop, &*progress)).await?;

    let Some(path) = destination.keep()? else { return Ok(()) };
    let result = Sealed { output: &path, bytes, suite, cards: sealed_to };
    globals.output().result(&result, || {
        let count = result.cards.len();
        let cards = if count == 1 { "1 card".to_owned() } else { format!("{count} cards") };
        format!("sealed {} to {cards}: {}", output::bytes(bytes), output::printable(&path.display().to_string()))
    })
}

fn seal(
    key: &Secret32,
    head: &Head,
    from: &Path,
    input: Input,
    output: &File,
    stop: &Stop,
    progress: &dyn Progress,
) -> Outcome<u64> {
    let before = input.metadata.clone();
    let file = input.file;
    let bytes = body::seal(key, head, &file, output, &mut random::system(), stop, progress).map_err(|e| match e {
        SealError::Read(e) => Failure::file(from, &e),
        SealError::Write(e) => end::write_failure(&e),
        SealError::Stopped => interrupt::interrupted(),
        _ => Failure::new(Kind::Other, e.to_string()),
    })?;
    let after = file.metadata().map_err(|e| Failure::file(from, &e))?;
    if before.is_file() && (bytes != before.len() || stamp(&before) != stamp(&after)) {
        return Err(Failure::new(Kind::Conflict, format!("{} changed while it was read", from.display()))
            .hint("wait until nobody writes to it, and run the command again"));
    }
    Ok(bytes)
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Every card that was named; one that can't be used fails by its file's name.
fn cards(globals: &Globals, args: &Args) -> Outcome<Vec<Card>> {
    let mut cards = args.to.iter().map(|path| read_card(path)).collect::<Outcome<Vec<Card>>>()?;
    if args.to_self {
        cards.push(globals.card()?);
    }
    Ok(cards)
}

fn head_failure(error: MakeError, cards: &[Card]) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        MakeError::Suites => {
            let of = |suite| {
                let labels: Vec<&str> = cards.iter().filter(|c| c.suite() == suite).map(Card::label).collect();
                format!("suite {}: {}", suite.id(), labels.join(", "))
            };
            failure.hint(format!("{}; {}: seal once for each suite", of(Suite::X25519), of(Suite::XWing)))
        }
        _ => failure,
    }
}

fn sealed_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

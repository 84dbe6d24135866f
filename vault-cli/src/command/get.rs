//! `seqvault get`: download files, checked against what was signed. Spec page 3.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::DatasetId;
use vault_core::manifest::{Candidate, Found, NameRules, VaultPath, check_names};

use crate::error::{Failure, Kind, Outcome};
use crate::fetch;
use crate::keyring::{self, Keyring, LeftOut};
use crate::output;
use crate::patterns::Patterns;
use crate::progress::Meter;
use crate::session::Session;
use crate::settings::Globals;
use crate::transfer::{Get, GetOptions, PackStore};

/// Download files of a dataset
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:
  seqvault get run-42
  seqvault get run-42 '*.fastq.gz' --output /scratch/run-42
  seqvault get run-42 --from list.txt

A file appears under its name when all of it was checked. Interrupted, the same command goes on where it stopped.")]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Only files that fit one of these patterns; a folder stands for all in it
    patterns: Vec<String>,
    /// Read patterns from a file, one a line
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The folder to write into; it is made if need be
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// The file system tells apart names that differ only by case or Unicode form, and reserves none
    #[arg(long)]
    exact_names: bool,
    /// Write over files that exist
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    output: PathBuf,
    files: u64,
    kept: u64,
    bytes: u64,
    left_out: Vec<LeftOut>,
}

/// Runs the verb.
///
/// # Errors
/// If nothing fits, a file can't be written, or anything is not what was signed.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let mut texts = args.patterns.clone();
    if let Some(list) = &args.from {
        let lines = std::fs::read_to_string(list).map_err(|e| Failure::file(list, &e))?;
        texts.extend(lines.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned));
    }
    let patterns = Patterns::parse(&texts)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let signer = session.signer(globals)?;
    let (keyring, opened) = Keyring::open_all(&mut session, &signer, &mut dataset).await?;
    let chosen = {
        let view = keyring::view(&dataset, &opened);
        choose(view.iter(), &patterns)
    };
    let chosen = chosen.map_err(|missing| keyring.or_left_out(missing))?;
    if chosen.is_empty() {
        return Err(keyring.or_left_out(Failure::not_found(format!("{} has no files", args.dataset))));
    }
    let paths: Vec<&VaultPath> = chosen.iter().map(|(path, _)| path).collect();
    let rules = if args.exact_names { NameRules::EXACT } else { NameRules::PORTABLE };
    check_names(paths.iter().copied(), rules).map_err(|e| {
        Failure::refused(e.to_string())
            .hint("fetch them apart, or with --exact-names if the file system tells such names apart")
    })?;
    let out = globals.output();
    let wanted = fetch::wanted(&session.scope(dataset.id()), dataset.id(), opened, &chosen);
    let meter = Arc::new(Meter::new(&out));
    let store: Arc<dyn PackStore> = Arc::clone(&session.client) as Arc<_>;
    let options = GetOptions { force: args.force, ..GetOptions::default() };
    let get = Get::new(store, options, Arc::clone(&meter) as Arc<_>);
    let got = get.run(wanted, &args.output).await.map_err(fetch::get_failed)?;
    meter.finish();
    let done = Done {
        dataset: args.dataset,
        output: args.output,
        files: got.written + got.kept,
        kept: got.kept,
        bytes: got.bytes,
        left_out: keyring.left_out().to_vec(),
    };
    out.result(&done, || {
        let kept = if done.kept > 0 { format!(" (there already: {})", done.kept) } else { String::new() };
        format!(
            "{}, {}, in {}{kept}",
            output::count(done.files, "file"),
            output::bytes(done.bytes),
            done.output.display()
        )
    })?;
    keyring.is_complete()
}

/// The files that are meant; a path that several uploads claim is refused.
fn choose<'a>(
    view: impl Iterator<Item = (&'a VaultPath, &'a Found)>,
    patterns: &Patterns,
) -> Outcome<Vec<(VaultPath, Candidate)>> {
    let mut chosen = Vec::new();
    for (path, found) in view.filter(|(path, _)| patterns.fit(path)) {
        chosen.push((path.clone(), one(path, found)?));
    }
    patterns.all_fit(chosen.iter().map(|(path, _)| path))?;
    Ok(chosen)
}

/// The one file that a path means.
///
/// # Errors
/// If several uploads claim it.
pub fn one(path: &VaultPath, found: &Found) -> Outcome<Candidate> {
    match found {
        Found::File(file) => Ok(*file),
        Found::Contested(files) => {
            let entries: Vec<String> = files.iter().map(|f| f.entry.to_string()).collect();
            Err(Failure::new(Kind::Integrity, format!("{path}: several uploads claim this path (entries {})", entries.join(", ")))
                .hint("a steward settles it: `seqvault put --replace`, or `seqvault rm`; `seqvault ls --long` shows who uploaded what"))
        }
    }
}

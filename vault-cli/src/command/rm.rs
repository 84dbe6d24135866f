//! `seqvault rm`: hide files by a signed statement that names manifest and file number, never a name. Spec 5.5.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, ManifestId};
use vault_core::ledger::statement::{Body, ManifestRemoved, PathRemoved, Set, Text};
use vault_core::manifest::Found;

use super::member::text;
use crate::error::{Failure, Outcome};
use crate::keyring::{self, Keyring};
use crate::patterns::Patterns;
use crate::session::Session;
use crate::settings::Globals;

/// Remove files from a dataset's view (stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault rm run-42 run/sample-7.fastq --reason \"consent withdrawn\"\n  seqvault rm run-42 'run/tmp/**' --dry-run\n\nWho has downloaded a file keeps it. `seqvault rotate --reencrypt` then drops the removed bytes."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Paths, folders or patterns
    #[arg(required = true)]
    patterns: Vec<String>,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long, default_value = "")]
    reason: String,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    removed: Vec<String>,
    entries: Vec<u64>,
    dry_run: bool,
}

/// Runs the verb.
///
/// # Errors
/// If a pattern fits nothing, or the caller is no steward.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let patterns = Patterns::parse(&args.patterns)?;
    let reason = text("--reason", &args.reason)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if !dataset.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {}: only stewards remove files", args.dataset)));
    }
    let signer = session.signer(globals)?;
    let mut keyring = Keyring::open(&session, &signer, &dataset).await?;
    let opened = keyring.manifests(&dataset).await?;
    let mut removed = Vec::new();
    let mut files: BTreeMap<ManifestId, Vec<u32>> = BTreeMap::new();
    {
        let view = keyring::view(&dataset, &opened);
        let hits: Vec<_> = view.iter().filter(|(path, _)| patterns.fit(path)).collect();
        patterns.all_fit(hits.iter().map(|(path, _)| *path))?;
        for (path, found) in hits {
            removed.push(path.to_string());
            let candidates = match found {
                Found::File(file) => vec![*file],
                Found::Contested(files) => files.clone(),
            };
            for candidate in candidates {
                files.entry(candidate.manifest).or_default().push(candidate.number);
            }
        }
    }
    let mut entries = Vec::new();
    if !args.dry_run {
        for (manifest, numbers) in files {
            let left = opened.iter().find(|o| o.id == manifest).map_or(0, |o| {
                o.manifest.files().iter().filter(|f| !o.committed.removed_files.contains(&f.number)).count()
            });
            let body = body(manifest, numbers, left, &reason);
            entries.push(session.append_always(&signer, &mut dataset, &body).await?.0);
        }
    }
    let done = Done { dataset: args.dataset, removed, entries, dry_run: args.dry_run };
    globals.output().result(&done, || {
        let verb = if done.dry_run { "would be removed" } else { "removed from the view; who has it keeps it" };
        format!(
            "{}\n{} file{} {verb}",
            crate::output::printable(&done.removed.join("\n")),
            done.removed.len(),
            if done.removed.len() == 1 { "" } else { "s" }
        )
    })
}

/// A manifest of which nothing is left goes whole, so that the next key table leaves its key out.
fn body(manifest: ManifestId, numbers: Vec<u32>, left: usize, reason: &Text) -> Body {
    let files: Set<u32> = numbers.into_iter().collect();
    if files.len() == left {
        Body::ManifestRemoved(ManifestRemoved { manifest, reason: reason.clone() })
    } else {
        Body::PathRemoved(PathRemoved { files, manifest, reason: reason.clone() })
    }
}

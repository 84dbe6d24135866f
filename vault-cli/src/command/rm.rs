//! `seqvault rm`: hide files by a signed statement that names manifest and file number, never a name. Spec 5.5.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, ManifestId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, ManifestRemoved, PathRemoved, Set, Text};
use vault_core::manifest::{FileRecord, VaultPath};

use super::member::text;
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::Keyring;
use crate::patterns::Patterns;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
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
    #[arg(required_unless_present = "manifest")]
    patterns: Vec<String>,
    /// Instead of files, a whole manifest by its id: for one that can't be read any more
    #[arg(long, value_name = "ID", conflicts_with = "patterns")]
    manifest: Option<ManifestId>,
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
    if let Some(manifest) = args.manifest {
        return remove_manifest(globals, &mut session, &signer, &mut dataset, manifest, reason, args.dry_run).await;
    }
    let mut removed = BTreeSet::new();
    let mut entries = Vec::new();
    let (mut keyring, mut plan) = plan(&mut session, &signer, &mut dataset, &patterns, &reason).await?;
    patterns.all_fit(plan.iter().flat_map(|(paths, _)| paths)).map_err(|missing| keyring.or_left_out(missing))?;
    // What is removed may have been re-encrypted by somebody who was first, so then everything is looked up again.
    'again: for attempt in 0..=ATTEMPTS {
        if attempt > 0 {
            (keyring, plan) = self::plan(&mut session, &signer, &mut dataset, &patterns, &reason).await?;
        }
        for (paths, body) in &plan {
            removed.extend(paths.iter().map(ToString::to_string));
            if args.dry_run {
                continue;
            }
            match session.append(&signer, &mut dataset, body.clone()).await? {
                Landed::Yes { seq, .. } => entries.push(seq),
                Landed::Lost if attempt < ATTEMPTS => continue 'again,
                Landed::Lost => {
                    return Err(Failure::new(Kind::Conflict, format!("{}: others were first", args.dataset))
                        .or_in_chinese(format!("{}：均被他人抢先", args.dataset))
                        .again());
                }
            }
        }
        break;
    }
    let removed = removed.into_iter().collect();
    let done = Done { dataset: args.dataset, removed, entries, dry_run: args.dry_run };
    globals.output().result(&done, || {
        let verb = if done.dry_run { "would be removed" } else { "removed from the view; who has it keeps it" };
        format!(
            "{}\n{} file{} {verb}",
            crate::output::printable(&done.removed.join("\n")),
            done.removed.len(),
            if done.removed.len() == 1 { "" } else { "s" }
        )
    })?;
    // A manifest that can't be read may hold another file of that path, which would come back with it.
    keyring.is_complete()
}

/// Removes a manifest unseen.
async fn remove_manifest(
    globals: &Globals,
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    manifest: ManifestId,
    reason: Text,
    dry_run: bool,
) -> Outcome<()> {
    let known = dataset.manifests().get(&manifest).filter(|m| m.is_visible());
    let known = known.ok_or_else(|| Failure::not_found(format!("{} has no manifest {manifest}", dataset.id())))?;
    let what = format!("manifest {manifest} by {}, {} files", known.author, known.signed.files);
    let mut entries = Vec::new();
    if !dry_run {
        let body = Body::ManifestRemoved(ManifestRemoved { manifest, reason });
        entries.push(session.append_always(signer, dataset, &body).await?.0);
    }
    let done = Done { dataset: dataset.id().clone(), removed: vec![what], entries, dry_run };
    globals.output().result(&done, || {
        let verb = if dry_run { "would be removed" } else { "removed from the view" };
        format!("{}: {verb}", done.removed.join("\n"))
    })
}

/// What has to be said so that nothing that fits is visible any more: the paths and the statement, manifest by manifest.
async fn plan(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    patterns: &Patterns,
    reason: &Text,
) -> Outcome<(Keyring, Vec<(Vec<VaultPath>, Body)>)> {
    let (keyring, opened) = Keyring::open_all(session, signer, dataset).await?;
    // Of every manifest, not of the view: what a removed file had taken over would come back otherwise.
    let mut files: BTreeMap<ManifestId, (Vec<VaultPath>, Vec<u32>)> = BTreeMap::new();
    for from in &opened {
        let stays = |file: &&FileRecord| !from.committed.removed_files.contains(&file.number);
        for file in from.manifest.files().iter().filter(stays).filter(|file| patterns.fit(&file.path)) {
            let (paths, numbers) = files.entry(from.id).or_default();
            paths.push(file.path.clone());
            numbers.push(file.number);
        }
    }
    let left = |manifest| {
        opened
            .iter()
            .find(|o| o.id == manifest)
            .map_or(0, |o| o.manifest.files().iter().filter(|f| !o.committed.removed_files.contains(&f.number)).count())
    };
    let planned =
        files.into_iter().map(|(id, (paths, numbers))| (paths, body(id, numbers, left(id), reason))).collect();
    Ok((keyring, planned))
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

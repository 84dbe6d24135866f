//! From chosen files of opened manifests to what the transfer engine wants, and its errors as failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_core::context::Scope;
use vault_core::ids::{DatasetId, ManifestId};
use vault_core::manifest::{Candidate, FileRecord, VaultPath};

use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::Opened;
use crate::output;
use crate::transfer::{Body, CatError, FetchError, GetError, TargetProblem};

/// The chosen files, by manifest, with what their bodies are bound to. Manifests are consumed: their keys move.
#[must_use]
pub fn wanted(
    scope: &Scope,
    dataset: &DatasetId,
    opened: Vec<Opened>,
    chosen: &[(VaultPath, Candidate)],
) -> Vec<(Arc<Body>, Vec<FileRecord>)> {
    let mut numbers: BTreeMap<ManifestId, Vec<u32>> = BTreeMap::new();
    for (_, candidate) in chosen {
        numbers.entry(candidate.manifest).or_default().push(candidate.number);
    }
    numbers.values_mut().for_each(|n| n.sort_unstable());
    opened
        .into_iter()
        .filter_map(|o| {
            let numbers = numbers.get(&o.id)?;
            let (body, files) = split(scope, dataset, o);
            Some((body, files.into_iter().filter(|f| numbers.binary_search(&f.number).is_ok()).collect()))
        })
        .collect()
}

fn split(scope: &Scope, dataset: &DatasetId, opened: Opened) -> (Arc<Body>, Vec<FileRecord>) {
    let body = Body {
        scope: scope.clone(),
        dataset: dataset.clone(),
        upload: opened.committed.upload,
        manifest: opened.id,
        author: opened.committed.author,
        list: opened.packs,
    };
    (Arc::new(body), opened.manifest.into_files())
}

/// What a get says, as a failure.
#[must_use]
pub fn get_failed(error: GetError) -> Failure {
    let text = crate::command::chain(&error);
    let again = "what was fetched is kept: run the same command again";
    let storage = |text| Failure::new(Kind::Storage, text).hint(again);
    match error {
        GetError::Fetch(e) => fetch_failed(e, text),
        GetError::Folder { .. } => storage(text),
        GetError::Names(_) => Failure::refused(text)
            .hint("fetch them apart, or with --exact-names if the file system tells such names apart"),
        GetError::Reserved(_) => Failure::refused(text),
        GetError::File { problem, .. } => match problem {
            TargetProblem::Exists | TargetProblem::IsFolder => {
                Failure::new(Kind::Conflict, text).hint("choose another --output, or write over files with --force")
            }
            TargetProblem::NotAFolder(_) | TargetProblem::ForeignPart => Failure::refused(text),
            TargetProblem::InUse => Failure::new(Kind::Conflict, text).hint("wait for it, or end it"),
            TargetProblem::DiskFull => {
                Failure::new(Kind::Storage, text).hint("free some space and run the same command again")
            }
            _ => storage(text),
        },
        GetError::Differs(_) => Failure::integrity(text),
        _ => Failure::new(Kind::Other, text),
    }
}

/// What a cat says, as a failure.
#[must_use]
pub fn cat_failed(error: CatError) -> Failure {
    let text = crate::command::chain(&error);
    match error {
        CatError::Fetch(e) => fetch_failed(e, text),
        CatError::Output(e) => output::standard_output(&e),
        _ => Failure::integrity(text),
    }
}

fn fetch_failed(error: FetchError, text: String) -> Failure {
    match error {
        FetchError::Store(e) => failed(&e.name)(e.source),
        FetchError::Worker(_) => Failure::new(Kind::Other, text),
        _ => Failure::integrity(text)
            .hint("the vault's folder was changed or is damaged: `seqvault verify --data` shows where"),
    }
}

/// Takes one file out of the opened manifests.
///
/// # Errors
/// If it is not among them, which would be a fault of this program.
pub fn take(
    scope: &Scope,
    dataset: &DatasetId,
    opened: Vec<Opened>,
    path: &VaultPath,
    candidate: Candidate,
) -> Outcome<(Arc<Body>, FileRecord)> {
    let chosen = [(path.clone(), candidate)];
    let found = wanted(scope, dataset, opened, &chosen).into_iter().next();
    found
        .and_then(|(body, files)| files.into_iter().next().map(|file| (body, file)))
        .ok_or_else(|| Failure::integrity("a file of the view is in no manifest"))
}

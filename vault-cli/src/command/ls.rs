//! `seqvault ls`: the files of a dataset, as its readers see them. Spec 3.7.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest, MemberId, to_hex};
use vault_core::manifest::{FileDigest, FileRecord, Found, VaultPath};

use crate::error::{Failure, Outcome};
use crate::keyring::{self, Keyring, Opened};
use crate::output;
use crate::patterns::Patterns;
use crate::session::Session;
use crate::settings::Globals;

/// List the files of a dataset
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault ls run-42\n  seqvault ls run-42 '*.fastq.gz'\n  seqvault ls run-42 --checksums > run-42.b3 && b3sum --check run-42.b3"
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Only files that match one of these patterns; a folder stands for all in it
    patterns: Vec<String>,
    /// Print each file's BLAKE3 and path, as b3sum and md5sum do; `--json` has what `put --checksum` recorded too
    #[arg(long)]
    checksums: bool,
    /// Size, time, author and entry of each file
    #[arg(long, short)]
    long: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(serialize_with = "as_text")]
    path: &'a VaultPath,
    size: u64,
    modified: i64,
    blake3: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    author: &'a MemberId,
    entry: u64,
    contested: bool,
}

fn as_text<S: serde::Serializer>(path: &VaultPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_str())
}

/// Runs the verb.
///
/// # Errors
/// If the dataset can't be opened, or a pattern fits nothing.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let patterns = Patterns::parse(&args.patterns)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let signer = session.signer(globals)?;
    let (keyring, opened) = Keyring::open_all(&mut session, &signer, &mut dataset).await?;
    let view = keyring::view(&dataset, &opened);
    let mut listed = Vec::new();
    for (path, found) in view.iter().filter(|(path, _)| patterns.fit(path)) {
        let (candidates, contested) = match found {
            Found::File(file) => (vec![*file], false),
            Found::Contested(files) => (files.clone(), true),
        };
        for candidate in candidates {
            let (from, record) = find(&opened, &candidate)?;
            let author = &from.committed.author;
            let (size, modified, blake3) = (record.size, record.modified, record.blake3);
            let (md5, sha256) = recorded(&record.digests);
            listed.push(Listed {
                path,
                size,
                modified,
                blake3,
                md5,
                sha256,
                author,
                entry: candidate.entry,
                contested,
            });
        }
    }
    patterns.all_fit(listed.iter().map(|l| l.path)).map_err(|missing| keyring.or_left_out(missing))?;
    globals.output().result(&listed, || text_of(&listed, &args))?;
    keyring.is_complete()
}

/// The digests that `put --checksum` recorded, in hex.
fn recorded(digests: &[FileDigest]) -> (Option<String>, Option<String>) {
    let md5 = digests.iter().find_map(|d| if let FileDigest::Md5(hash) = d { Some(to_hex(hash)) } else { None });
    let sha256 = digests.iter().find_map(|d| if let FileDigest::Sha256(hash) = d { Some(to_hex(hash)) } else { None });
    (md5, sha256)
}

/// The file that a view names.
///
/// # Errors
/// If it is not among the opened manifests, which would be a fault of this program.
pub fn find<'a>(
    opened: &'a [Opened],
    candidate: &vault_core::manifest::Candidate,
) -> Outcome<(&'a Opened, &'a FileRecord)> {
    let in_manifest = |o: &'a Opened| {
        let (files, number) = (o.manifest.files(), candidate.number);
        // Numbers are given in order of path, so a file is at its number unless some were left out since.
        let there = usize::try_from(number).ok().and_then(|n| files.get(n)).filter(|f| f.number == number);
        there.or_else(|| files.iter().find(|f| f.number == number)).map(|f| (o, f))
    };
    opened
        .iter()
        .find(|o| o.id == candidate.manifest)
        .and_then(in_manifest)
        .ok_or_else(|| Failure::integrity("a file of the view is in no manifest"))
}

fn text_of(listed: &[Listed<'_>], args: &Args) -> String {
    let mut lines = Vec::with_capacity(listed.len());
    let mut rows = Vec::new();
    for file in listed {
        let path = output::printable(file.path.as_str());
        if args.checksums {
            lines.push(format!("{}  {path}", file.blake3));
        } else if args.long {
            let modified = u64::try_from(file.modified).map_or_else(|_| "before 1970".to_owned(), output::time);
            let note = if file.contested { format!("{path}  (contested)") } else { path };
            rows.push(vec![file.size.to_string(), modified, file.author.to_string(), file.entry.to_string(), note]);
        } else {
            lines.push(if file.contested {
                format!("{path}  (contested: entry {} by {})", file.entry, file.author)
            } else {
                path
            });
        }
    }
    if args.long && !args.checksums {
        output::table(&["SIZE", "MODIFIED", "AUTHOR", "ENTRY", "PATH"], &rows)
    } else {
        lines.join("\n")
    }
}

//! `seqvault put`: seal files and add them to a dataset; visible at once when committed. Spec page 3 and 5.5.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use vault_core::card::fingerprint;
use vault_core::floe;
use vault_core::hazmat::kdf::Sha256;
use vault_core::ids::{DatasetId, Digest, UploadId};
use vault_core::ledger::dataset::{DatasetState, UploadStatus};
use vault_core::ledger::statement::{Body, UploadExtended, UploadOpened};
use vault_core::manifest::{FileRef, Found as InView, MAX_FILES, VaultPath};
use vault_core::pack::PACK_LEN;
use vault_core::seal;

use crate::commit;
use crate::error::{Failure, Kind, Outcome};
use crate::keyring::{self, Keyring};
use crate::output;
use crate::progress::Meter;
use crate::random;
use crate::session::{Session, Signer};
use crate::settings::Globals;
use crate::transfer::{
    Argument, Checksums, Found, InputProblem, Journal, JournalError, JournalHead, JournalProblem, Pending, PutError,
    PutOptions, Stream, Upload, WalkError, covers, walk,
};

const DAY: u64 = 86_400;

/// Seal files or folders and add them to a dataset (uploaders, stewards)
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:
  seqvault put run-42 /data/run-42            stored as run-42/...
  seqvault put run-42 /data/run-42/           what is in it, without the folder's name
  samtools view -b in.cram | seqvault put run-42 - --name sample.bam

Interrupted, the same command goes on where it stopped. Links, sockets and devices are reported and left out.")]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Files, folders, or - for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The path to store standard input under
    #[arg(long, value_name = "PATH")]
    name: Option<String>,
    /// Take over paths that the dataset has already (your own, or any as a steward; needs a grant)
    #[arg(long)]
    replace: bool,
    /// Also record these digests of each file
    #[arg(long, value_delimiter = ',', value_name = "ALGORITHM")]
    checksum: Vec<Algorithm>,
    /// Days after which others may give this upload up, should it be left unfinished
    #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=365))]
    days: u64,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    upload: UploadId,
    entry: Option<u64>,
    files: u64,
    bytes: u64,
    manifests: usize,
    kept_bytes: u64,
    left_out: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// If the caller may not upload, an input can't be stored, or the store fails. What was stored is kept for the next run.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let out = globals.output();
    let checksums =
        Checksums { md5: args.checksum.contains(&Algorithm::Md5), sha256: args.checksum.contains(&Algorithm::Sha256) };
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    session.check_fresh(&dataset).await?;
    may_upload(&session, globals, &dataset)?;
    if dataset.is_stale(&session.vault, session.at()) {
        return Err(commit::stale(&dataset));
    }
    super::due::warn_of(globals, &mut session, &dataset).await?;
    let mut found = walk_arguments(&args)?;
    check_size(&found, session.client.max_upload())?;
    let left_out: Vec<String> = found.skipped.iter().map(|s| format!("{} ({})", s.path.display(), s.kind)).collect();
    for item in &left_out {
        out.note(&output::printable(&format!("left out: {item}")));
    }
    let (files, bytes) = (found.inputs.len() as u64, found.bytes());
    let signer = session.signer(globals)?;
    if args.replace {
        find_replaced(&mut session, &signer, &mut dataset, &mut found).await?;
    }
    let request = request(&args)?;
    // Two runs of one command must not both find no journal and both begin.
    let lock = lock(&session)?;
    let journal = match resume(&session, &signer, &dataset, &request)? {
        Resume::New => begin(&mut session, &signer, &mut dataset, request, args.days).await?,
        Resume::Open(journal) => {
            out.note("going on with the upload that was interrupted");
            extend(&mut session, &signer, &mut dataset, journal.head().upload, args.days).await?;
            *journal
        }
        Resume::Committed(journal, upload, entry) => {
            let same = covers(&journal, &found.inputs).map_err(|e| put_failed(e.into()))?;
            erase_open(*journal)?;
            if !same {
                return Err(changed_since(&args.dataset, entry));
            }
            let done = Done {
                dataset: args.dataset,
                upload,
                entry: Some(entry),
                files,
                bytes,
                manifests: 0,
                kept_bytes: bytes,
                left_out,
            };
            return out.result(&done, || format!("was committed already, as entry {entry} of {}", done.dataset));
        }
    };
    drop(lock);
    let upload_id = journal.head().upload;
    let meter = Arc::new(Meter::new(&out));
    let options = PutOptions { checksums, ..PutOptions::default() };
    let store: Arc<dyn crate::transfer::PackStore> = Arc::clone(&session.client) as Arc<_>;
    let upload = Upload::new(store, journal, options, Arc::clone(&meter) as Arc<_>);
    let uploaded = match upload.run(found.inputs).await {
        Ok(uploaded) => uploaded,
        Err(error) => return Err(unless_over(&mut session, &args.dataset, upload_id, put_failed(error)).await),
    };
    meter.finish();
    let uploaded: Vec<_> = uploaded.into_iter().map(|u| (u, None)).collect();
    dataset = session.dataset(&args.dataset).await?;
    let entry = match commit::commit(&mut session, &signer, &mut dataset, upload_id, &uploaded).await {
        Ok(entry) => entry,
        Err(failure) => return Err(unless_over(&mut session, &args.dataset, upload_id, failure).await),
    };
    let entry = entry.ok_or_else(|| Failure::integrity("a new upload supersedes nothing"))?;
    upload.erase_journal().map_err(journal_failed)?;
    let done = Done {
        dataset: args.dataset,
        upload: upload_id,
        entry: Some(entry),
        files,
        bytes,
        manifests: uploaded.len(),
        kept_bytes: meter.kept_bytes(),
        left_out,
    };
    out.result(&done, || {
        let kept = if done.kept_bytes > 0 {
            format!(" ({} from an earlier run)", output::bytes(done.kept_bytes))
        } else {
            String::new()
        };
        let s = if done.files == 1 { "" } else { "s" };
        format!(
            "{} file{s}, {}, committed as entry {entry} of {}{kept}",
            done.files,
            output::bytes(done.bytes),
            done.dataset
        )
    })
}

/// Why a put was refused: perhaps the upload is over, which whoever refuses objects of it need not say.
async fn unless_over(session: &mut Session, dataset: &DatasetId, upload: UploadId, failure: Failure) -> Failure {
    if failure.kind != Kind::Refused {
        return failure;
    }
    let Ok(state) = session.dataset(dataset).await else { return failure };
    let (how, zh) = match state.uploads().get(&upload).map(|upload| upload.status) {
        Some(UploadStatus::Closed) => ("closed", "关闭"),
        Some(UploadStatus::Committed { .. }) => ("committed", "提交"),
        Some(UploadStatus::Open) | None => return failure,
    };
    Failure::new(Kind::Conflict, format!("upload {upload} of {dataset} was {how} meanwhile"))
        .or_in_chinese(format!("{dataset} 的上传 {upload} 其间已被{zh}"))
        .again()
}

/// What can be told before a passphrase is asked for.
fn may_upload(session: &Session, globals: &Globals, dataset: &DatasetState) -> Outcome<()> {
    let me = session.member_of(&globals.card()?)?;
    if dataset.uploaders().contains(&me) || dataset.is_steward(&session.vault, &me, session.at().vault) {
        return Ok(());
    }
    Err(Failure::refused(format!("{me} may not upload to {}", dataset.id()))
        .hint(format!("a steward allows it: `seqvault member role {me} uploader --dataset {}`", dataset.id())))
}

fn walk_arguments(args: &Args) -> Outcome<Found> {
    let mut arguments = Vec::new();
    for path in &args.paths {
        if path.as_os_str() != "-" {
            arguments.push(Argument::Path(path.clone()));
            continue;
        }
        let name = args
            .name
            .as_deref()
            .ok_or_else(|| Failure::usage("standard input has no name").hint("say what to store it as: --name PATH"))?;
        let now = i64::try_from(crate::clock::now()).unwrap_or(i64::MAX);
        let stream = Stream::new(Box::new(std::io::stdin()), now);
        arguments.push(Argument::Stream { path: keyring::path(name)?, stream });
    }
    if args.name.is_some() && !args.paths.iter().any(|p| p.as_os_str() == "-") {
        return Err(Failure::usage("--name is for standard input (-)"));
    }
    let found = walk(arguments).map_err(walk_failed)?;
    if found.inputs.is_empty() {
        return Err(Failure::usage("there are no files to store"));
    }
    Ok(found)
}

/// What the commit would be refused for, told before hours of sending. How long standard input is nobody knows.
fn check_size(found: &Found, max: Option<u64>) -> Outcome<()> {
    let sizes: Vec<u64> = found.inputs.iter().map(|input| input.size_hint).collect();
    let objects = objects_of(&sizes);
    let Some(max) = max.filter(|max| objects > *max) else { return Ok(()) };
    Err(too_many(sizes.len(), found.bytes(), objects, max))
}

fn too_many(files: usize, bytes: u64, objects: u64, max: u64) -> Failure {
    let (named, bytes) = (output::count(files as u64, "file"), output::bytes(bytes));
    let fits = output::bytes(longest(max));
    Failure::usage(format!(
        "{named}, {bytes}, would be {objects} objects in the store, and the server takes {max} an upload"
    ))
    .or_in_chinese(format!("{files} 个文件，{bytes}，将成为存储中的 {objects} 个对象，而服务器每次上传最多接受 {max} 个"))
    .hints(
        format!("put fewer files at a time: each `seqvault put` is an upload of its own, and a long file of up to {fits} is one"),
        format!("请分批放入：每次 `seqvault put` 是一次单独的上传，不超过 {fits} 的长文件可一次放入"),
    )
}

/// The longest single file, in bytes, that an upload of at most so many objects can be; rounded down to whole packs.
fn longest(max: u64) -> u64 {
    let packs = max.saturating_sub(2).saturating_mul(u64::from(PACK_LEN));
    // What sealing adds to each segment, and a pack's worth of room for what it adds once.
    packs.saturating_sub(packs / 2048).saturating_sub(u64::from(PACK_LEN)) / u64::from(PACK_LEN) * u64::from(PACK_LEN)
}

/// Objects that files of these sizes become: for each manifest its packs, their list and their groups. Manifests themselves lie elsewhere.
fn objects_of(sizes: &[u64]) -> u64 {
    let of_manifest = |sizes: &[u64]| {
        let stream = sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(floe::ciphertext_len(*size)));
        stream.div_ceil(u64::from(PACK_LEN)).saturating_add(2)
    };
    sizes.chunks(MAX_FILES).map(of_manifest).fold(0, u64::saturating_add)
}

/// Names in each input the files of the dataset whose path it takes over.
async fn find_replaced(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    found: &mut Found,
) -> Outcome<()> {
    let (_, opened) = Keyring::open_all(session, signer, dataset).await.map_err(|f| match f.kind {
        Kind::Refused => {
            f.hint("--replace has to read what the dataset has; upload under another name, or ask a steward to")
        }
        _ => f,
    })?;
    let view = keyring::view(dataset, &opened);
    let steward = dataset.is_steward(&session.vault, &signer.member, session.at().vault);
    let mut taken: BTreeMap<&VaultPath, Vec<FileRef>> = BTreeMap::new();
    for (path, in_view) in view.iter() {
        let files = match in_view {
            InView::File(file) => vec![*file],
            InView::Contested(files) => files.clone(),
        };
        taken.insert(path, files.into_iter().map(|f| FileRef { manifest: f.manifest, file: f.number }).collect());
    }
    for input in &mut found.inputs {
        let Some(files) = taken.get(&input.path) else { continue };
        for file in files {
            let author = dataset.manifests().get(&file.manifest).map(|m| &m.author);
            if !steward && author != Some(&signer.member) {
                return Err(Failure::refused(format!("{}: only its author or a steward may replace it", input.path)));
            }
        }
        input.replaces.clone_from(files);
    }
    Ok(())
}

/// What tells the same command from another: dataset, absolute paths in order, names and digests.
fn request(args: &Args) -> Outcome<Digest> {
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    put(args.dataset.as_str().as_bytes());
    for path in &args.paths {
        let absolute = if path.as_os_str() == "-" {
            path.clone()
        } else {
            std::path::absolute(path).map_err(|e| Failure::file(path, &e))?
        };
        // A trailing slash changes what is stored.
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        put(absolute.as_os_str().as_encoded_bytes());
        put(&[u8::from(slash)]);
    }
    put(args.name.as_deref().unwrap_or_default().as_bytes());
    put(&[u8::from(args.replace)]);
    put(&[u8::from(args.checksum.contains(&Algorithm::Md5)), u8::from(args.checksum.contains(&Algorithm::Sha256))]);
    Ok(Digest(hash.finish()))
}

enum Resume {
    New,
    Open(Box<Journal>),
    Committed(Box<Journal>, UploadId, u64),
}

/// Taken while a journal is looked for and made.
fn lock(session: &Session) -> Outcome<std::fs::File> {
    let folder = journals(session);
    crate::state::create_private(&folder)?;
    let path = folder.join("lock");
    let file = std::fs::File::create(&path).map_err(|e| Failure::file(&path, &e))?;
    file.lock().map_err(|e| Failure::file(&path, &e))?;
    Ok(file)
}

fn journals(session: &Session) -> PathBuf {
    session.folder().join("uploads")
}

/// The interrupted upload had been committed, and what is named now is not known to be the same.
fn changed_since(dataset: &DatasetId, entry: u64) -> Failure {
    Failure::new(
        Kind::Conflict,
        format!("the interrupted upload was committed as entry {entry} of {dataset}; files have changed since, or can't be compared, and nothing was uploaded now"),
    )
    .hint("name the files that are new, or take over the others with --replace")
}

fn resume(session: &Session, signer: &Signer, dataset: &DatasetState, request: &Digest) -> Outcome<Resume> {
    let Some(pending) = Journal::find(&journals(session), request).map_err(journal_failed)? else {
        return Ok(Resume::New);
    };
    let head = pending.head().clone();
    let status = dataset.uploads().get(&head.upload).map(|u| u.status);
    if matches!(status, None | Some(UploadStatus::Closed)) {
        // It was given up, or the statement that opens it never came to be.
        erase(pending)?;
        return Ok(Resume::New);
    }
    if head.author != signer.member || head.card != signer.card {
        return Err(Failure::new(
            Kind::Conflict,
            format!("the same upload was begun by {} with the card {}", head.author, fingerprint(&head.card)),
        )
        .hint("go on with that identity (--identity), or name the files otherwise to begin a new upload"));
    }
    let key = signer
        .custodian
        .open(pending.sealed_key(), &head.key_context())
        .map_err(|e| Failure::new(Kind::Identity, format!("the journal of the interrupted upload: {e}")))?;
    let journal = Box::new(pending.open(key).map_err(journal_failed)?);
    match status {
        Some(UploadStatus::Committed { seq }) => Ok(Resume::Committed(journal, head.upload, seq)),
        _ => Ok(Resume::Open(journal)),
    }
}

/// An upload that is gone on with gets its time again, so that nobody gives it up while it runs.
async fn extend(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    upload: UploadId,
    days: u64,
) -> Outcome<()> {
    let ends = crate::clock::now().saturating_add(days.saturating_mul(DAY));
    let before = dataset.uploads().get(&upload).map_or(u64::MAX, |u| u.ends);
    if ends <= before.saturating_add(DAY / 24) {
        return Ok(());
    }
    let body = Body::UploadExtended(UploadExtended { ends, upload });
    session.append_always(signer, dataset, &body).await.map(drop)
}

async fn begin(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    request: Digest,
    days: u64,
) -> Outcome<Journal> {
    let upload = UploadId(random::bytes());
    let now = crate::clock::now();
    let head = JournalHead {
        suite: session.vault.suite(),
        vault: *session.vault.id(),
        dataset: dataset.id().clone(),
        author: signer.member.clone(),
        upload,
        card: signer.card,
        request,
        created: i64::try_from(now).unwrap_or(i64::MAX),
    };
    let kem = signer.custodian.card().kem().clone();
    // The journal is there before the statement, so that no opened upload is ever forgotten.
    let journal =
        Journal::create(&journals(session), head, |key, info| seal::seal(&kem, key, info, &mut random::system()).ok())
            .map_err(journal_failed)?;
    let body = Body::UploadOpened(UploadOpened { ends: now.saturating_add(days.saturating_mul(DAY)), upload });
    match session.append_always(signer, dataset, &body).await {
        Ok(_) => Ok(journal),
        Err(failure) => {
            if failure.kind == Kind::Refused {
                erase_open(journal)?;
            }
            Err(failure)
        }
    }
}

fn erase(pending: Pending) -> Outcome<()> {
    pending.erase().map_err(journal_failed)
}

fn erase_open(journal: Journal) -> Outcome<()> {
    journal.erase().map_err(journal_failed)
}

fn journal_failed(error: JournalError) -> Failure {
    let text = super::chain(&error);
    match error.problem {
        JournalProblem::InUse => Failure::new(Kind::Conflict, text).hint("wait for it, or end it"),
        JournalProblem::Io(e) => Failure::file(&error.path, &e),
        _ => Failure::new(Kind::Storage, text).hint("delete that file to begin the upload anew"),
    }
}

fn walk_failed(error: WalkError) -> Failure {
    let text = super::chain(&error);
    match error {
        WalkError::Unreadable { path, source } => Failure::file(Path::new(&path), &source),
        _ => Failure::usage(text),
    }
}

fn put_failed(error: PutError) -> Failure {
    let text = super::chain(&error);
    let again = "what was stored is kept: run the same command again";
    match error {
        PutError::Nothing => Failure::usage(text),
        PutError::Input(e) => match e.problem {
            InputProblem::Io(io) => Failure::file(Path::new(&e.input), &io).hint(again),
            InputProblem::Vanished => Failure::not_found(text).hint(again),
            _ => Failure::new(Kind::Other, text).hint(again),
        },
        PutError::Store(e) => crate::client::failed(&e.name)(e.source),
        PutError::Journal(e) => journal_failed(e),
        _ => Failure::integrity(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_file_that_is_named_fits_and_little_more_would() {
        for max in [4, 100, 131_072, 1 << 30] {
            let fits = longest(max);
            assert!(objects_of(&[fits]) <= max, "{max}");
            assert!(objects_of(&[fits + fits / 1000 + 3 * u64::from(PACK_LEN)]) > max, "{max}");
        }
        let failure = too_many(3, 10, 9, 100);
        assert!(failure.hint.unwrap().contains(&output::bytes(longest(100))));
        assert!(failure.hint_zh.unwrap().contains(&output::bytes(longest(100))));
        assert_eq!((longest(0), longest(2)), (0, 0));
    }

    #[test]
    fn an_upload_is_counted_in_objects_before_it_begins() {
        let pack = u64::from(PACK_LEN);
        // A header, and 32 bytes for each 64 KiB of a file, come to it.
        assert_eq!(objects_of(&[0]), 3);
        assert_eq!(objects_of(&[pack]), 4);
        assert_eq!((objects_of(&[5 * pack - 82_000]), objects_of(&[5 * pack])), (7, 8));
        assert_eq!(objects_of(&vec![0; MAX_FILES]), 3);
        assert_eq!(objects_of(&vec![0; MAX_FILES + 1]), 6);
        assert_eq!(objects_of(&[u64::MAX, u64::MAX]), u64::MAX / pack + 3);
    }
}

//! The journal of an interrupted put: a file in the user's state folder from which the same command goes on.
//!
//! Append-only: a head in clear (which upload, whose card), then records, each sealed with FLOE under a key that is sealed
//! to the uploader's own card. A record is durable when the call that writes it returns. A torn tail is cut off: what it
//! said is forgotten, which costs time and nothing else. The file is erased once the upload is committed. What records
//! mean is [`state`]; their bytes are [`record`].

mod record;
pub(super) mod state;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use vault_core::context::{Context, Scope};
use vault_core::floe;
use vault_core::ids::{CardId, DatasetId, Digest, MemberId, UploadId, VaultId};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

use super::plain_len;
use crate::random;
use state::{Record, State};

const MAGIC: &[u8; 8] = b"SVJRNL01";
const CHECK: usize = 16;
const MAX_HEAD: u64 = 16 << 10;
/// Longest record: a manifest's plaintext limit and room for sealing it.
const MAX_RECORD: u32 = 160 << 20;
/// A journal may grow by this much before it is written anew without what is out of date.
const SLACK: u64 = 64 << 20;

/// A journal that can't be made, found, read or written.
#[derive(Debug, thiserror::Error)]
#[error("the journal {}", path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: JournalProblem,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalProblem {
    /// It can't be read or written.
    #[error("it can't be read or written")]
    Io(#[from] io::Error),
    /// Another process uses it.
    #[error("the same upload is running already")]
    InUse,
    /// Others may read or write it.
    #[error("others may read or write it")]
    Permissions,
    /// It is no journal of this version.
    #[error("it is not a journal of this version")]
    Malformed,
    /// The key is not its key, or its records were changed.
    #[error("its records are not authentic")]
    Authentication,
    /// A record could not be written before.
    #[error("a record of it could not be written; run the same command again")]
    Broken,
    /// A key could not be sealed to the uploader's card.
    #[error("its key can't be sealed to the uploader's card")]
    Seal,
}

/// Which upload a journal belongs to: its clear part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalHead {
    /// The vault's suite.
    pub suite: Suite,
    /// The vault.
    pub vault: VaultId,
    /// The dataset.
    pub dataset: DatasetId,
    /// Who uploads.
    pub author: MemberId,
    /// The upload that was opened for it.
    pub upload: UploadId,
    /// The card that the journal's key is sealed to.
    pub card: CardId,
    /// What was asked for: a hash of the caller's choice, by which the same command finds it again.
    pub request: Digest,
    /// When, in seconds since 1970.
    pub created: i64,
}

impl JournalHead {
    /// Where the upload's contexts are bound.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { suite: self.suite, vault: Some(self.vault), dataset: Some(self.dataset.clone()) }
    }

    /// What the seal of the journal's key is bound to.
    #[must_use]
    pub fn key_context(&self) -> Context {
        self.scope().journal_key(&self.upload, &self.card)
    }
}

/// A journal that was found and is locked, but not opened.
#[derive(Debug)]
pub struct Pending {
    path: PathBuf,
    file: File,
    head: JournalHead,
    sealed_key: Vec<u8>,
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
    head: JournalHead,
    // The clear head as stored, to write it again.
    stored_head: Vec<u8>,
    key: Secret32,
    state: State,
    next: u64,
    length: u64,
    compact_at: u64,
    // A record could not be written: none is written behind it.
    is_broken: bool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("head", &self.head).finish_non_exhaustive()
    }
}

impl Journal {
    /// Makes the journal of a new upload in `folder`. `seal` seals its key to the card that `head` names, with the info
    /// that it is given ([`JournalHead::key_context`]).
    ///
    /// # Errors
    /// If the file exists or can't be written, or the key can't be sealed.
    pub fn create(
        folder: &Path,
        head: JournalHead,
        seal: impl FnOnce(&Secret32, &Context) -> Option<Vec<u8>>,
    ) -> Result<Self, JournalError> {
        let path = folder.join(format!("{}.journal", head.upload));
        let key = Secret32::generate(&mut random::system());
        let made = seal(&key, &head.key_context()).ok_or(JournalProblem::Seal).and_then(|sealed_key| {
            let stored_head = emit_head(&head, &sealed_key);
            let file = create_file(folder, &path, &stored_head)?;
            Ok((file, stored_head))
        });
        let (file, stored_head) = made.map_err(|problem| JournalError { path: path.clone(), problem })?;
        let length = stored_head.len() as u64;
        let compact_at = length + SLACK;
        Ok(Self {
            path,
            file,
            head,
            stored_head,
            key,
            state: State::default(),
            next: 0,
            length,
            compact_at,
            is_broken: false,
        })
    }

    /// Finds the journal of the same request in `folder`, and locks it.
    ///
    /// # Errors
    /// If it is in use, or can't be read.
    pub fn find(folder: &Path, request: &Digest) -> Result<Option<Pending>, JournalError> {
        for path in journals(folder)? {
            match read_head(&path) {
                Ok((_, head, _)) if head.request != *request => {}
                Ok(_) => return lock(path).map(Some),
                // Of another version, or cut short when it was made: of no use, and in nobody's way.
                Err(JournalProblem::Malformed) => {}
                Err(problem) => return Err(JournalError { path, problem }),
            }
        }
        Ok(None)
    }

    /// The uploads that have a journal in `folder`.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn list(folder: &Path) -> Result<Vec<JournalHead>, JournalError> {
        Ok(journals(folder)?.iter().filter_map(|path| read_head(path).ok()).map(|(_, head, _)| head).collect())
    }

    /// Which upload it belongs to.
    #[must_use]
    pub const fn head(&self) -> &JournalHead {
        &self.head
    }

    /// Erases it: the upload is committed, or given up.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub fn erase(self) -> Result<(), JournalError> {
        self.remove()
    }

    /// As [`Journal::erase`], for a holder who shares it.
    pub(super) fn remove(&self) -> Result<(), JournalError> {
        erase(&self.path).map_err(|problem| JournalError { path: self.path.clone(), problem })
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Writes a record; when it returns, the record is applied, and unless it is a [`Record::Sent`] it is durable.
    pub(super) fn append(&mut self, record: Record) -> Result<(), JournalError> {
        self.write(record).map_err(|problem| JournalError { path: self.path.clone(), problem })
    }

    fn write(&mut self, record: Record) -> Result<(), JournalProblem> {
        if self.is_broken {
            return Err(JournalProblem::Broken);
        }
        let bytes = self.frame(self.next, &record)?;
        // What is about to be sent is only a note of where to look: it outlives the process, and need not outlive the machine.
        let is_durable = !matches!(record, Record::Sent { .. });
        // First, so that nothing is written that the next run could not take in.
        if self.state.apply(record).is_err() {
            self.is_broken = true;
            return Err(JournalProblem::Malformed);
        }
        let written =
            self.file.write_all(&bytes).and_then(|()| if is_durable { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // The state is ahead of the file now, and what came behind a torn record would be lost: this is its end.
            self.is_broken = true;
            let _ = self.file.set_len(self.length);
            return Err(error.into());
        }
        self.next += 1;
        self.length += bytes.len() as u64;
        if self.length > self.compact_at { self.compact() } else { Ok(()) }
    }

    // frame = u32 length || FLOE of the record || BLAKE3 of both, 16 bytes: tells a torn record from a forged one
    fn frame(&self, number: u64, record: &Record) -> Result<Vec<u8>, JournalProblem> {
        let aad = self.head.scope().journal(&self.head.upload, number);
        let sealed = floe::seal_bytes(&self.key, aad.as_bytes(), &record::encode(record), &mut random::system())
            .map_err(|_| JournalProblem::Malformed)?;
        let length = u32::try_from(sealed.len()).ok().filter(|n| *n <= MAX_RECORD).ok_or(JournalProblem::Malformed)?;
        let mut frame = Vec::with_capacity(4 + sealed.len() + CHECK);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&sealed);
        let check = blake3::hash(&frame);
        frame.extend_from_slice(check.as_bytes().first_chunk::<CHECK>().unwrap_or(&[0; CHECK]));
        Ok(frame)
    }

    // Writes the file anew beside itself with the fewest records, and puts it in its place.
    fn compact(&mut self) -> Result<(), JournalProblem> {
        let new = self.path.with_extension("journal-new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = open_options().create_new(true).open(&new)?;
        try_lock(&file)?;
        file.write_all(&self.stored_head)?;
        let mut length = self.stored_head.len() as u64;
        let records = self.state.records();
        for (number, record) in (0..).zip(&records) {
            let frame = self.frame(number, record)?;
            file.write_all(&frame)?;
            length += frame.len() as u64;
        }
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        (self.file, self.next, self.length) = (file, records.len() as u64, length);
        self.compact_at = 2 * length + SLACK;
        Ok(())
    }
}

impl Pending {
    /// Which upload it belongs to.
    #[must_use]
    pub const fn head(&self) -> &JournalHead {
        &self.head
    }

    /// The journal's key, sealed to the card that the head names with [`JournalHead::key_context`].
    #[must_use]
    pub fn sealed_key(&self) -> &[u8] {
        &self.sealed_key
    }

    /// Reads the records.
    ///
    /// # Errors
    /// If the key is not the journal's, or the file can't be read.
    pub fn open(self, key: Secret32) -> Result<Journal, JournalError> {
        let path = self.path.clone();
        self.read(key).map_err(|problem| JournalError { path, problem })
    }

    /// Erases it unread: the upload is given up.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub fn erase(self) -> Result<(), JournalError> {
        erase(&self.path).map_err(|problem| JournalError { path: self.path, problem })
    }

    fn read(mut self, key: Secret32) -> Result<Journal, JournalProblem> {
        let stored_head = emit_head(&self.head, &self.sealed_key);
        let mut length = stored_head.len() as u64;
        self.file.seek(SeekFrom::Start(length))?;
        let mut reader = io::BufReader::with_capacity(1 << 20, &self.file);
        let (scope, mut state, mut next) = (self.head.scope(), State::default(), 0);
        while let Some(sealed) = read_frame(&mut reader)? {
            let aad = scope.journal(&self.head.upload, next);
            let record = open_record(&key, aad.as_bytes(), &sealed)?;
            state.apply(record).map_err(|_| JournalProblem::Malformed)?;
            next += 1;
            length += (4 + sealed.len() + CHECK) as u64;
        }
        self.file.set_len(length)?;
        self.file.sync_data()?;
        self.file.seek(SeekFrom::Start(length))?;
        let Self { path, file, head, .. } = self;
        Ok(Journal {
            path,
            file,
            head,
            stored_head,
            key,
            state,
            next,
            length,
            compact_at: length + SLACK,
            is_broken: false,
        })
    }
}

fn open_record(key: &Secret32, aad: &[u8], sealed: &[u8]) -> Result<Record, JournalProblem> {
    let size = plain_len(sealed.len() as u64).ok_or(JournalProblem::Malformed)?;
    let plain = floe::open_bytes(key, aad, sealed, size).map_err(|_| JournalProblem::Authentication)?;
    record::decode(&plain).map_err(|record::Malformed| JournalProblem::Malformed)
}

// The next frame's body; `None` at the end, and where a frame is torn.
fn read_frame(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if !read_all(reader, &mut length)? || u32::from_be_bytes(length) > MAX_RECORD {
        return Ok(None);
    }
    let mut body = Vec::new();
    let wanted = u64::from(u32::from_be_bytes(length));
    let mut check = [0; CHECK];
    if reader.take(wanted).read_to_end(&mut body)? as u64 != wanted || !read_all(reader, &mut check)? {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length).update(&body);
    Ok(hasher.finalize().as_bytes().starts_with(&check).then_some(body))
}

fn read_all(reader: &mut impl Read, room: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let failed = |error: io::Error| JournalError { path: folder.to_owned(), problem: error.into() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "journal"));
    paths.sort_unstable();
    Ok(paths)
}

fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn create_file(folder: &Path, path: &Path, head: &[u8]) -> Result<File, JournalProblem> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = open_options().create_new(true).open(path)?;
    try_lock(&file)?;
    file.write_all(head)?;
    file.sync_all()?;
    sync_folder(path)?;
    Ok(file)
}

fn lock(path: PathBuf) -> Result<Pending, JournalError> {
    let locked = (|| {
        let file = open_options().open(&path)?;
        try_lock(&file)?;
        // Read again under the lock: its owner may have put another file in its place, or erased it, meanwhile.
        let (again, head, sealed_key) = read_head(&path)?;
        let (a, b) = (file.metadata()?, again.metadata()?);
        if (a.dev(), a.ino()) != (b.dev(), b.ino()) {
            return Err(JournalProblem::InUse);
        }
        Ok((file, head, sealed_key))
    })();
    match locked {
        Ok((file, head, sealed_key)) => Ok(Pending { path, file, head, sealed_key }),
        Err(problem) => Err(JournalError { path, problem }),
    }
}

fn try_lock(file: &File) -> Result<(), JournalProblem> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalProblem::InUse),
        Err(error) => Err(JournalProblem::Io(error.into())),
    }
}

fn erase(path: &Path) -> Result<(), JournalProblem> {
    fs::remove_file(path)?;
    Ok(sync_folder(path)?)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

// head = magic || u32 length || suite || vault || upload || card || request || created || dataset || author || sealed key || check
fn emit_head(head: &JournalHead, sealed_key: &[u8]) -> Vec<u8> {
    let mut body = vec![head.suite.id()];
    body.extend_from_slice(&head.vault.0);
    body.extend_from_slice(&head.upload.0);
    body.extend_from_slice(&head.card.0);
    body.extend_from_slice(&head.request.0);
    body.extend_from_slice(&head.created.to_be_bytes());
    for part in [head.dataset.as_str().as_bytes(), head.author.as_str().as_bytes(), sealed_key] {
        body.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(part);
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&body);
    let check = blake3::hash(&out);
    out.extend_from_slice(check.as_bytes().first_chunk::<CHECK>().unwrap_or(&[0; CHECK]));
    out
}

fn read_head(path: &Path) -> Result<(File, JournalHead, Vec<u8>), JournalProblem> {
    let file = open_options().open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(JournalProblem::Permissions);
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_HEAD).read_to_end(&mut bytes)?;
    let (head, sealed_key) = parse_head(&bytes).ok_or(JournalProblem::Malformed)?;
    Ok((file, head, sealed_key))
}

fn parse_head(bytes: &[u8]) -> Option<(JournalHead, Vec<u8>)> {
    let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (checked, _) = bytes.split_at_checked(MAGIC.len() + 4 + body.len())?;
    if !blake3::hash(checked).as_bytes().starts_with(rest.first_chunk::<CHECK>()?) {
        return None;
    }
    let (suite, body) = body.split_first()?;
    let (vault, body) = body.split_first_chunk()?;
    let (upload, body) = body.split_first_chunk()?;
    let (card, body) = body.split_first_chunk()?;
    let (request, body) = body.split_first_chunk()?;
    let (created, body) = body.split_first_chunk()?;
    let (dataset, body) = take_part(body)?;
    let (author, body) = take_part(body)?;
    let (sealed_key, body) = take_part(body)?;
    let head = JournalHead {
        suite: Suite::from_id(*suite)?,
        vault: VaultId(*vault),
        dataset: std::str::from_utf8(dataset).ok()?.parse().ok()?,
        author: std::str::from_utf8(author).ok()?.parse().ok()?,
        upload: UploadId(*upload),
        card: CardId(*card),
        request: Digest(*request),
        created: i64::from_be_bytes(*created),
    };
    body.is_empty().then(|| (head, sealed_key.to_vec()))
}

fn take_part(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests;

//! Reading one input, segment by segment, and noticing when it changes meanwhile.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use md5::{Digest as _, Md5};
use rustix::fs::OFlags;
use vault_core::floe::SEGMENT_PLAIN;
use vault_core::hazmat::kdf::Sha256;
use vault_core::ids::Digest;
use vault_core::manifest::FileDigest;

use super::walk::{Input, Source};

/// Which digests a put makes beside BLAKE3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksums {
    /// MD5.
    pub md5: bool,
    /// SHA-256.
    pub sha256: bool,
}

/// An input that can't be stored as it is.
#[derive(Debug, thiserror::Error)]
#[error("{input}")]
pub struct InputError {
    /// Which.
    pub input: String,
    /// Why.
    #[source]
    pub problem: InputProblem,
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputProblem {
    /// It was there when the files were listed, and is not any more.
    #[error("it vanished while files were being stored")]
    Vanished,
    /// Another kind of thing has its name now.
    #[error("it is no longer a regular file")]
    NotAFile,
    /// Its size or time of modification is another one than when its reading began, or it ended too early or too late.
    #[error("it changed while it was read: run the same command again when nothing writes to it")]
    Changed,
    /// It is a stream that was read, but something differs from the interrupted run, and it must be read once more.
    #[error(
        "the inputs differ from the interrupted upload, and a stream can't be read twice: run the same command again"
    )]
    StreamOver,
    /// It can't be read.
    #[error("it can't be read")]
    Io(#[from] io::Error),
}

/// What tells a file from a changed one without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes; of a stream, what was read of it.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// And nanoseconds.
    pub(super) nanos: u32,
}

/// What was read, once all of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) stamp: Stamp,
    pub(super) executable: bool,
    pub(super) blake3: Digest,
    pub(super) digests: Vec<FileDigest>,
}

/// An input that is being read.
pub(super) struct Reading<'a> {
    input: &'a Input,
    body: Body,
    taken: u64,
    hashes: Hashes,
}

enum Body {
    File { file: File, opened: Facts },
    // One byte is read ahead, to know which segment is the last.
    Stream { reader: Box<dyn Read + Send>, modified: i64, ahead: Option<u8> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    stamp: Stamp,
    executable: bool,
}

/// The plaintext of one segment, as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) len: usize,
    pub(super) last: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn open(input: &'a Input, checksums: Checksums) -> Result<Self, InputError> {
        let body = match &input.source {
            Source::File(path) => open_file(path),
            Source::Stream(stream) => stream.take().ok_or(InputProblem::StreamOver).and_then(|mut reader| {
                let ahead = read_byte(&mut reader)?;
                Ok(Body::Stream { reader, modified: stream.modified(), ahead })
            }),
        };
        let body = body.map_err(|problem| failed(input, problem))?;
        Ok(Self { input, body, taken: 0, hashes: Hashes::new(checksums) })
    }

    /// What the file was when it was opened; `None` for a stream.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.body {
            Body::File { opened, .. } => Some(opened.stamp),
            Body::Stream { .. } => None,
        }
    }

    /// Bytes of plaintext read so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// BLAKE3 of what was read so far.
    pub(super) fn prefix(&self) -> Digest {
        self.hashes.prefix()
    }

    /// Reads the next segment's plaintext to the start of `room`, which holds a full one.
    pub(super) fn next(&mut self, room: &mut [u8]) -> Result<Segment, InputError> {
        let room = room.get_mut(..SEGMENT_PLAIN).unwrap_or_default();
        let read = match &mut self.body {
            Body::File { file, opened } => read_file(file, opened.stamp.size - self.taken, room),
            Body::Stream { reader, ahead, .. } => read_stream(reader, ahead, room),
        };
        let segment = read.map_err(|problem| failed(self.input, problem))?;
        self.taken += segment.len as u64;
        self.hashes.update(room.get(..segment.len).unwrap_or_default());
        Ok(segment)
    }

    /// Checks that nothing changed since it was opened.
    pub(super) fn finish(mut self) -> Result<Summary, InputError> {
        let facts = match &mut self.body {
            Body::File { file, opened } => check_unchanged(file, *opened),
            Body::Stream { modified, .. } => {
                let stamp = Stamp { size: self.taken, modified: *modified, nanos: 0 };
                Ok(Facts { stamp, executable: false })
            }
        };
        let Facts { stamp, executable } = facts.map_err(|problem| failed(self.input, problem))?;
        Ok(Summary { stamp, executable, blake3: self.hashes.prefix(), digests: self.hashes.finish() })
    }
}

/// The stamp of a file that is not read; `None` for a stream.
pub(super) fn stamp_of(input: &Input) -> Result<Option<Stamp>, InputError> {
    let Source::File(path) = &input.source else { return Ok(None) };
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(facts(&metadata).stamp)),
        Err(error) => Err(failed(input, io_problem(error))),
    }
}

pub(super) fn failed(input: &Input, problem: InputProblem) -> InputError {
    InputError { input: input.source.to_string(), problem }
}

fn open_file(path: &Path) -> Result<Body, InputProblem> {
    // Neither follows a link nor waits for the other end of a pipe, if the file was replaced by one since it was listed.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            InputProblem::NotAFile
        } else {
            io_problem(error)
        }
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(InputProblem::NotAFile);
    }
    let opened = facts(&metadata);
    advise_sequential(&file);
    Ok(Body::File { file, opened })
}

fn io_problem(error: io::Error) -> InputProblem {
    if error.kind() == io::ErrorKind::NotFound { InputProblem::Vanished } else { InputProblem::Io(error) }
}

// A hint: what a system without it does is read less ahead.
fn advise_sequential(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

fn facts(metadata: &Metadata) -> Facts {
    let stamp = Stamp {
        size: metadata.len(),
        modified: metadata.mtime(),
        nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
    };
    Facts { stamp, executable: metadata.permissions().mode() & 0o100 != 0 }
}

fn read_file(file: &mut File, left: u64, room: &mut [u8]) -> Result<Segment, InputProblem> {
    let len = usize::try_from(left).map_or(room.len(), |left| left.min(room.len()));
    match file.read_exact(room.get_mut(..len).unwrap_or_default()) {
        Ok(()) => Ok(Segment { len, last: len as u64 == left }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(InputProblem::Changed),
        Err(error) => Err(error.into()),
    }
}

fn read_stream(reader: &mut dyn Read, ahead: &mut Option<u8>, room: &mut [u8]) -> Result<Segment, InputProblem> {
    let Some((first, rest)) = room.split_first_mut() else { return Ok(Segment { len: 0, last: true }) };
    let Some(byte) = ahead.take() else { return Ok(Segment { len: 0, last: true }) };
    *first = byte;
    let len = 1 + fill(reader, rest)?;
    if len == room.len() {
        *ahead = read_byte(reader)?;
    }
    Ok(Segment { len, last: ahead.is_none() })
}

// Reads until the room is full or the stream ends.
fn fill(reader: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = room.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn read_byte(reader: &mut dyn Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((fill(reader, &mut byte)? == 1).then_some(byte[0]))
}

fn check_unchanged(file: &mut File, opened: Facts) -> Result<Facts, InputProblem> {
    // A file of the system may say that it is empty and not be: one read more tells.
    if read_byte(file)?.is_some() || facts(&file.metadata()?).stamp != opened.stamp {
        return Err(InputProblem::Changed);
    }
    Ok(opened)
}

struct Hashes {
    blake3: blake3::Hasher,
    md5: Option<Md5>,
    sha256: Option<Sha256>,
}

impl Hashes {
    fn new(checksums: Checksums) -> Self {
        Self {
            blake3: blake3::Hasher::new(),
            md5: checksums.md5.then(Md5::new),
            sha256: checksums.sha256.then(Sha256::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    fn prefix(&self) -> Digest {
        Digest(self.blake3.finalize().into())
    }

    fn finish(self) -> Vec<FileDigest> {
        let md5 = self.md5.map(|md5| FileDigest::Md5(md5.finalize().into()));
        let sha256 = self.sha256.map(|sha256| FileDigest::Sha256(sha256.finish()));
        md5.into_iter().chain(sha256).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::walk::Stream;
    use super::*;

    fn input(source: Source) -> Input {
        Input { path: "x".parse().unwrap(), source, size_hint: 0, replaces: Vec::new() }
    }

    fn stream(bytes: &[u8]) -> Input {
        input(Source::Stream(Stream::new(Box::new(io::Cursor::new(bytes.to_vec())), 5)))
    }

    fn lengths(input: &Input) -> Vec<(usize, bool)> {
        let mut reading = Reading::open(input, Checksums::default()).unwrap();
        let mut room = vec![0; SEGMENT_PLAIN];
        let mut out = Vec::new();
        loop {
            let segment = reading.next(&mut room).unwrap();
            out.push((segment.len, segment.last));
            if segment.last {
                reading.finish().unwrap();
                return out;
            }
        }
    }

    #[test]
    fn files_and_streams_have_the_segments_of_their_size() {
        let dir = tempfile::tempdir().unwrap();
        for (size, expected) in [
            (0, vec![(0, true)]),
            (1, vec![(1, true)]),
            (SEGMENT_PLAIN, vec![(SEGMENT_PLAIN, true)]),
            (SEGMENT_PLAIN + 1, vec![(SEGMENT_PLAIN, false), (1, true)]),
            (2 * SEGMENT_PLAIN, vec![(SEGMENT_PLAIN, false), (SEGMENT_PLAIN, true)]),
        ] {
            let bytes = vec![7; size];
            let path = dir.path().join("f");
            fs::write(&path, &bytes).unwrap();
            assert_eq!(lengths(&input(Source::File(path))), expected);
            assert_eq!(lengths(&stream(&bytes)), expected);
        }
    }

    #[test]
    fn digests_are_those_of_the_plaintext() {
        let input = stream(b"abc");
        let mut reading = Reading::open(&input, Checksums { md5: true, sha256: true }).unwrap();
        reading.next(&mut vec![0; SEGMENT_PLAIN]).unwrap();
        let summary = reading.finish().unwrap();
        assert_eq!(summary.blake3.0, *blake3::hash(b"abc").as_bytes());
        assert_eq!(summary.stamp, Stamp { size: 3, modified: 5, nanos: 0 });
        let [FileDigest::Md5(md5), FileDigest::Sha256(sha256)] = summary.digests[..] else { panic!() };
        assert_eq!(vault_core::ids::to_hex(&md5), "900150983cd24fb0d6963f7d28e17f72");
        assert!(vault_core::ids::to_hex(&sha256).starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn a_file_that_grows_shrinks_or_is_written_to_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let changes: [fn(&Path); 3] = [
            |path| fs::write(path, vec![1; 10]).unwrap(),
            |path| fs::write(path, vec![1; 200_000]).unwrap(),
            |path| {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                let later = fs::metadata(path).unwrap().modified().unwrap() + std::time::Duration::from_nanos(1);
                file.set_modified(later).unwrap();
            },
        ];
        for change in changes {
            fs::write(&path, vec![0; 100_000]).unwrap();
            let input = input(Source::File(path.clone()));
            let mut reading = Reading::open(&input, Checksums::default()).unwrap();
            let mut room = vec![0; SEGMENT_PLAIN];
            reading.next(&mut room).unwrap();
            change(&path);
            let result = reading.next(&mut room).and_then(|_| reading.finish());
            assert!(matches!(result.unwrap_err().problem, InputProblem::Changed));
        }
    }

    #[test]
    fn what_is_no_file_any_more_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let input = input(Source::File(dir.path().join(name)));
            Reading::open(&input, Checksums::default()).err().unwrap().problem
        };
        assert!(matches!(open("absent"), InputProblem::Vanished));
        assert!(matches!(open("."), InputProblem::NotAFile));
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        assert!(matches!(open("link"), InputProblem::NotAFile));
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
        assert!(matches!(open("pipe"), InputProblem::NotAFile));
    }

    #[test]
    fn a_file_that_hides_its_size_is_not_stored_as_empty() {
        let input = input(Source::File("/proc/self/status".into()));
        let mut reading = Reading::open(&input, Checksums::default()).unwrap();
        assert_eq!(reading.next(&mut vec![0; SEGMENT_PLAIN]).unwrap(), Segment { len: 0, last: true });
        assert!(reading.finish().is_err());
    }
}

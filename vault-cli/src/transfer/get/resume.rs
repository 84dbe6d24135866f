//! The log of an unfinished file, and what of it can be trusted by the next get.
//!
//! Text: a line that says which file it is, then lines of `<segments> <BLAKE3 of the plaintext so far>`. Nothing is synced:
//! what the disk lost is found out by reading the part again, and only what agrees with a line is kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use vault_core::floe::{SEGMENT_PLAIN, segments};
use vault_core::hazmat::tree::{Frontier, subtree};
use vault_core::ids::{Digest, from_hex};
use vault_core::manifest::FileRecord;

use super::super::fetch::Body;
use super::super::target::{Part, Target, TargetProblem};

/// Segments between two lines: 32 MiB of plaintext.
pub(super) const LOG_EVERY: u64 = 512;
/// Longest log that is read: that of a file of 16 TiB.
const MAX_LOG: u64 = 64 << 20;

/// What an earlier get left of a file.
pub(super) struct Kept {
    pub(super) part: Part,
    /// The values of its segments, at least two and not all.
    pub(super) frontier: Frontier,
}

struct Line {
    count: u64,
    hash: Digest,
    // Where the line ends in the log.
    end: u64,
}

/// The first line of a file's log.
pub(super) fn log_head(body: &Body, record: &FileRecord) -> String {
    format!("seqvault get 1 {} {} {} {}\n", body.manifest, record.number, record.size, record.blake3)
}

/// Another line of it.
pub(super) fn log_line(count: u64, hash: &Digest) -> String {
    format!("{count} {hash}\n")
}

/// Finds what is left of a file, if its log is of the same file; the part is locked.
pub(super) fn find(target: &Target, record: &FileRecord, head: &str) -> Result<Option<Kept>, TargetProblem> {
    let Some(place) = target.place(&record.path, false)? else { return Ok(None) };
    if !place.has_log()? {
        return Ok(None);
    }
    let part = place.part(record.executable)?;
    let Some(log) = part.log(false)? else { return Ok(None) };
    let lines = read_log(&log, head, segments(record.size))?;
    let (frontier, end) = read_part(&part.file, &lines)?;
    if frontier.count() == 0 {
        part.reset()?;
        return Ok(None);
    }
    // Lines that were not borne out must not stand before those that will be.
    log.set_len(end)?;
    Ok(Some(Kept { part, frontier }))
}

fn read_log(log: &File, head: &str, segments: u64) -> io::Result<Vec<Line>> {
    let mut reader = BufReader::new(log.take(MAX_LOG));
    let mut text = String::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut end = read_line(&mut reader, &mut text)?;
    if text != head {
        return Ok(lines);
    }
    loop {
        end += read_line(&mut reader, &mut text)?;
        let before = lines.last().map_or(1, |line| line.count);
        match parse_line(&text).filter(|(count, _)| (before + 1..segments).contains(count)) {
            Some((count, hash)) => lines.push(Line { count, hash, end }),
            None => return Ok(lines),
        }
    }
}

fn read_line(reader: &mut impl BufRead, text: &mut String) -> io::Result<u64> {
    text.clear();
    match reader.read_line(text) {
        Ok(len) => Ok(len as u64),
        // Torn, or not ours: no line.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(0),
        Err(error) => Err(error),
    }
}

fn parse_line(text: &str) -> Option<(u64, Digest)> {
    let (count, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((count.parse().ok()?, Digest(from_hex(hash)?)))
}

// The values up to the last line that agrees with what is on the disk, and where that line ends.
fn read_part(part: &File, lines: &[Line]) -> io::Result<(Frontier, u64)> {
    let mut reader = part;
    reader.seek(SeekFrom::Start(0))?;
    let mut segment = vec![0; SEGMENT_PLAIN];
    let mut frontier = Frontier::default();
    let mut best = (Frontier::default(), 0);
    for line in lines {
        while frontier.count() < line.count {
            match reader.read_exact(&mut segment) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(best),
                Err(error) => return Err(error),
            }
            frontier.push(subtree(frontier.count(), SEGMENT_PLAIN.ilog2(), &segment).unwrap_or_default());
        }
        if frontier.finish() != Some(line.hash.0) {
            break;
        }
        best = (frontier.clone(), line.end);
    }
    Ok(best)
}

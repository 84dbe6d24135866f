//! Reading a manifest's plaintext strictly: every byte is checked, padding included. A writer is free in nothing but where its blocks end,
//! so what is emitted again is what was read if all blocks but the last were full. Spec sections 3.5 and 3.8.

use super::index::{Block, Head, Index};
use super::{Draft, Extras, FileDigest, FileRecord, HEAD_LEN, MAX_PLAIN, Manifest, ManifestError, VaultPath, pad_len};
use crate::ids::Digest;
use crate::secret::Secret32;

pub(super) const MODE_EXECUTABLE: u32 = 0o100;

impl Manifest {
    /// Reads a whole plaintext.
    ///
    /// # Errors
    /// If any byte is not as sections 3.4 and 3.5 have it, padding included.
    pub fn parse(plain: &[u8]) -> Result<Self, ManifestError> {
        if plain.len() > MAX_PLAIN {
            return Err(ManifestError::Malformed("its length"));
        }
        let head = Head::parse(plain)?;
        check_padding(plain, &head)?;
        let index = Index::parse(head, within(plain, &head_index_range(plain)?)?)?;
        let mut files = Vec::with_capacity(index.head().files());
        let mut before: Option<VaultPath> = None;
        for block in index.blocks() {
            let read = index.read_block(block, within(plain, &block.range())?)?;
            if let (Some(before), Some(first)) = (&before, read.first())
                && *before >= first.path
            {
                return Err(ManifestError::Rule("the order of paths"));
            }
            before = read.last().map(|file| file.path.clone());
            files.extend(read);
        }
        let head = index.into_head();
        let extras = Extras::parse(within(plain, &head.extras_range())?)?;
        Self::new(Draft {
            files,
            stream_length: head.stream_length(),
            pack_list: *head.pack_list(),
            salt: head.into_salt(),
            extras,
        })
    }
}

fn head_index_range(plain: &[u8]) -> Result<core::ops::Range<u64>, ManifestError> {
    Head::index_range(plain.get(HEAD_LEN..).unwrap_or_default())
}

fn check_padding(plain: &[u8], head: &Head) -> Result<(), ManifestError> {
    if pad_len(head.end()) != plain.len() as u64 {
        return Err(ManifestError::Malformed("its padded length"));
    }
    let padding = within(plain, &(head.end()..plain.len() as u64))?;
    if padding.iter().all(|b| *b == 0) { Ok(()) } else { Err(ManifestError::Malformed("its padding")) }
}

fn within<'a>(plain: &'a [u8], range: &core::ops::Range<u64>) -> Result<&'a [u8], ManifestError> {
    let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    bounds.and_then(|(start, end)| plain.get(start..end)).ok_or(ManifestError::Malformed("an offset"))
}

// The records of one block, exactly.
pub(super) fn records(mut bytes: &[u8], block: &Block) -> Result<Vec<FileRecord>, ManifestError> {
    let files = (0..block.files()).map(|_| record(&mut bytes)).collect::<Result<Vec<_>, _>>()?;
    if !bytes.is_empty() {
        return Err(ManifestError::Malformed("a block's length"));
    }
    if files.windows(2).any(|pair| matches!(pair, [a, b] if a.path >= b.path)) {
        return Err(ManifestError::Rule("the order of paths"));
    }
    Ok(files)
}

fn record(bytes: &mut &[u8]) -> Result<FileRecord, ManifestError> {
    Ok(FileRecord {
        path: path(bytes)?,
        number: u32::from_be_bytes(*take(bytes)?),
        size: u64::from_be_bytes(*take(bytes)?),
        modified: i64::from_be_bytes(*take(bytes)?),
        executable: match u32::from_be_bytes(*take(bytes)?) {
            0 => false,
            MODE_EXECUTABLE => true,
            _ => return Err(ManifestError::Malformed("mode bits")),
        },
        offset: u64::from_be_bytes(*take(bytes)?),
        key: Secret32::from_slice(take::<32>(bytes)?).ok_or(TRUNCATED)?,
        blake3: Digest(*take(bytes)?),
        digests: digests(bytes)?,
    })
}

fn digests(bytes: &mut &[u8]) -> Result<Vec<FileDigest>, ManifestError> {
    let [count] = *take(bytes)?;
    (0..count)
        .map(|_| {
            let [algorithm, len] = *take(bytes)?;
            let digest = take_len(bytes, usize::from(len))?;
            FileDigest::from_parts(algorithm, digest).ok_or(ManifestError::Malformed("a digest"))
        })
        .collect()
}

pub(super) fn path(bytes: &mut &[u8]) -> Result<VaultPath, ManifestError> {
    let len = u16::from_be_bytes(*take(bytes)?);
    let text = core::str::from_utf8(take_len(bytes, usize::from(len))?);
    Ok(VaultPath::parse(text.map_err(|_| ManifestError::Malformed("a path that is not UTF-8"))?)?)
}

pub(super) const TRUNCATED: ManifestError = ManifestError::Malformed("it ends too early");

pub(super) fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], ManifestError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(TRUNCATED)?;
    *bytes = rest;
    Ok(taken)
}

fn take_len<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], ManifestError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(TRUNCATED)?;
    *bytes = rest;
    Ok(taken)
}

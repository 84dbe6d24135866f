//! Finding one file in a manifest without reading the others: head, index, one block. Spec section 3.5.
//!
//! The caller decrypts what each step asks for: [`Head`] from the first [`Head::LEN`] bytes, [`Index`] from
//! [`Head::index_range`], a record from [`Block::range`]. What is read is checked as strictly as by
//! [`super::Manifest::parse`]; what is not read is not vouched for, and the root is not compared: bytes of a manifest are
//! trusted because the statement signs the BLAKE3 of the sealed object.

use core::ops::Range;

use super::parse::{TRUNCATED, path, records, take};
use super::{BLOCK_FILES, FileRecord, HEAD_LEN, MAGIC, MAX_FILES, MAX_PLAIN, ManifestError, VaultPath};
use crate::ids::Digest;
use crate::secret::Secret32;

/// A manifest's head.
#[derive(Debug)]
pub struct Head {
    files: usize,
    stream_length: u64,
    salt: Secret32,
    pack_list: Digest,
    blocks: usize,
    extras: Range<u64>,
    end: u64,
}

impl Head {
    /// Bytes from the start of the plaintext that tell the head and where the index ends.
    pub const LEN: usize = HEAD_LEN + 8;

    /// Reads the head from the start of the plaintext.
    ///
    /// # Errors
    /// If it does not follow section 3.5.
    pub fn parse(start: &[u8]) -> Result<Self, ManifestError> {
        let bytes = &mut &*start;
        if take(bytes)? != MAGIC {
            return Err(ManifestError::Malformed("its first bytes"));
        }
        let files = small(*take(bytes)?);
        let stream_length = u64::from_be_bytes(*take(bytes)?);
        let salt = Secret32::from_slice(take::<32>(bytes)?).ok_or(TRUNCATED)?;
        let pack_list = Digest(*take(bytes)?);
        let blocks = small(*take(bytes)?);
        let extras_at = u64::from_be_bytes(*take(bytes)?);
        let extras_len = u64::from(u32::from_be_bytes(*take(bytes)?));
        let end = u64::from_be_bytes(*take(bytes)?);
        if files == 0 || files > MAX_FILES {
            return Err(ManifestError::Rule("the number of files"));
        }
        if blocks < files.div_ceil(BLOCK_FILES) || blocks > files {
            return Err(ManifestError::Malformed("the number of blocks"));
        }
        if end > MAX_PLAIN as u64 || extras_at.checked_add(extras_len) != Some(end) {
            return Err(ManifestError::Malformed("where it ends"));
        }
        Ok(Self { files, stream_length, salt, pack_list, blocks, extras: extras_at..end, end })
    }

    /// Where the index lies; `after_head` is the plaintext from [`HEAD_LEN`] on, at least 8 bytes.
    ///
    /// # Errors
    /// If that is impossible.
    // The blocks follow the index without a gap, and the index begins with the first block's offset.
    pub fn index_range(after_head: &[u8]) -> Result<Range<u64>, ManifestError> {
        let first_block = u64::from_be_bytes(*take(&mut &*after_head)?);
        if first_block <= HEAD_LEN as u64 || first_block > MAX_PLAIN as u64 {
            return Err(ManifestError::Malformed("where the first block begins"));
        }
        Ok(HEAD_LEN as u64..first_block)
    }

    /// How many files there are.
    #[must_use]
    pub const fn files(&self) -> usize {
        self.files
    }

    /// The stream's length in bytes.
    #[must_use]
    pub const fn stream_length(&self) -> u64 {
        self.stream_length
    }

    /// SHA-256 of the pack list.
    #[must_use]
    pub const fn pack_list(&self) -> &Digest {
        &self.pack_list
    }

    /// Where the extras lie.
    #[must_use]
    pub fn extras_range(&self) -> Range<u64> {
        self.extras.clone()
    }

    /// Where the extras end and the padding begins.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn into_salt(self) -> Secret32 {
        self.salt
    }
}

/// One block of records, as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    range: Range<u64>,
    files: usize,
    first: VaultPath,
}

impl Block {
    /// Where its records lie in the plaintext.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// How many records it holds.
    #[must_use]
    pub const fn files(&self) -> usize {
        self.files
    }
}

/// A manifest's index: which block may hold a path.
#[derive(Debug)]
pub struct Index {
    head: Head,
    blocks: Vec<Block>,
}

impl Index {
    /// Reads the index, which lies at [`Head::index_range`].
    ///
    /// # Errors
    /// If the blocks do not follow each other from the index to the extras, in order of path.
    pub fn parse(head: Head, index: &[u8]) -> Result<Self, ManifestError> {
        let mut bytes = index;
        let mut at = (HEAD_LEN + index.len()) as u64;
        let mut blocks: Vec<Block> = Vec::with_capacity(head.blocks);
        for _ in 0..head.blocks {
            let block = parse_block(&mut bytes)?;
            if block.range.start != at {
                return Err(ManifestError::Malformed("where a block begins"));
            }
            if blocks.last().is_some_and(|before| before.first >= block.first) {
                return Err(ManifestError::Rule("the order of paths"));
            }
            at = block.range.end;
            blocks.push(block);
        }
        if !bytes.is_empty() || at != head.extras.start {
            return Err(ManifestError::Malformed("the index's length"));
        }
        if blocks.iter().map(|block| block.files).sum::<usize>() != head.files {
            return Err(ManifestError::Malformed("the number of files in blocks"));
        }
        Ok(Self { head, blocks })
    }

    /// The head.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// All blocks, in order of path.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The only block that may hold `path`.
    #[must_use]
    pub fn block_of(&self, path: &VaultPath) -> Option<&Block> {
        let after = self.blocks.partition_point(|block| block.first <= *path);
        self.blocks.get(after.checked_sub(1)?)
    }

    /// Reads all records of a block of this index.
    ///
    /// # Errors
    /// If they do not follow section 3.5, are not what the index says, or do not fit in the stream.
    pub fn read_block(&self, block: &Block, bytes: &[u8]) -> Result<Vec<FileRecord>, ManifestError> {
        let files = records(bytes, block)?;
        if files.first().map(|file| &file.path) != Some(&block.first) {
            return Err(ManifestError::Malformed("a block's first path"));
        }
        let after = self.blocks.iter().find(|other| other.range.start == block.range.end);
        let overlaps = after.zip(files.last()).is_some_and(|(after, last)| last.path >= after.first);
        if overlaps {
            return Err(ManifestError::Rule("the order of paths"));
        }
        for file in &files {
            if file.place()?.stream_range().end > self.head.stream_length {
                return Err(ManifestError::Rule("a file's place"));
            }
        }
        Ok(files)
    }

    /// Finds `path` in the block that [`Index::block_of`] gave.
    ///
    /// # Errors
    /// As [`Index::read_block`].
    pub fn find(&self, path: &VaultPath, block: &Block, bytes: &[u8]) -> Result<Option<FileRecord>, ManifestError> {
        Ok(self.read_block(block, bytes)?.into_iter().find(|file| file.path == *path))
    }

    pub(super) fn into_head(self) -> Head {
        self.head
    }
}

fn parse_block(bytes: &mut &[u8]) -> Result<Block, ManifestError> {
    let start = u64::from_be_bytes(*take(bytes)?);
    let len = u64::from(u32::from_be_bytes(*take(bytes)?));
    let files = small(*take(bytes)?);
    let first = path(bytes)?;
    let end = start.checked_add(len).filter(|end| *end <= MAX_PLAIN as u64);
    let end = end.ok_or(ManifestError::Malformed("a block's length"))?;
    if files == 0 || files > BLOCK_FILES {
        return Err(ManifestError::Malformed("the number of files in a block"));
    }
    Ok(Block { range: start..end, files, first })
}

// Saturates where it can't fit, which every use refuses as too many.
fn small(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}

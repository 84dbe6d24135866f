//! Writing a manifest's plaintext. Spec sections 3.4 and 3.5.

use zeroize::Zeroizing;

use super::{BLOCK_FILES, FileRecord, HEAD_LEN, MAGIC, Manifest, ManifestError};

/// The padded length of `len` bytes (Padmé): hides all but about log log of the length's bits, costs at most 12 %.
// E = floor(log2 L), S = floor(log2 E) + 1, L rounded up to a multiple of 2^(E - S)
#[must_use]
pub const fn pad_len(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let e = len.ilog2();
    let s = e.ilog2() + 1;
    let mask = (1u64 << (e - s)) - 1;
    len.saturating_add(mask) & !mask
}

// The lengths of the parts, computed first: a buffer that grew would leave copies of keys behind.
pub(super) struct Layout {
    index: usize,
    extras_at: usize,
    extras: Vec<u8>,
    end: usize,
    pub(super) padded: usize,
}

impl Manifest {
    pub(super) fn layout(&self) -> Result<Layout, ManifestError> {
        let blocks = || self.files.chunks(BLOCK_FILES);
        let index: usize = blocks().filter_map(<[FileRecord]>::first).map(index_entry_len).sum();
        let records: usize = self.files.iter().map(record_len).sum();
        let extras = self.extras.emit()?;
        let extras_at = HEAD_LEN + index + records;
        let end = extras_at + extras.len();
        let padded = usize::try_from(pad_len(end as u64)).map_err(|_| ManifestError::Rule("its length"))?;
        Ok(Layout { index, extras_at, extras, end, padded })
    }

    /// Writes the plaintext, padded: what is sealed under the manifest key.
    ///
    /// # Errors
    /// Never for a manifest that was made by [`Manifest::new`] or parsed; the type can't say so.
    pub fn emit(&self) -> Result<Zeroizing<Vec<u8>>, ManifestError> {
        let layout = self.layout()?;
        let mut out = Zeroizing::new(Vec::with_capacity(layout.padded));
        self.put_head(&mut out, &layout);
        let mut block_at = HEAD_LEN + layout.index;
        for block in self.files.chunks(BLOCK_FILES) {
            block_at = put_index_entry(&mut out, block_at, block);
        }
        self.files.iter().for_each(|file| put_record(&mut out, file));
        out.extend_from_slice(&layout.extras);
        out.resize(layout.padded, 0);
        Ok(out)
    }

    fn put_head(&self, out: &mut Vec<u8>, layout: &Layout) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&short(self.files.len()).to_be_bytes());
        out.extend_from_slice(&self.stream_length.to_be_bytes());
        out.extend_from_slice(self.salt.expose());
        out.extend_from_slice(&self.pack_list.0);
        out.extend_from_slice(&short(self.files.len().div_ceil(BLOCK_FILES)).to_be_bytes());
        out.extend_from_slice(&(layout.extras_at as u64).to_be_bytes());
        out.extend_from_slice(&short(layout.extras.len()).to_be_bytes());
        out.extend_from_slice(&(layout.end as u64).to_be_bytes());
    }
}

fn index_entry_len(first: &FileRecord) -> usize {
    8 + 4 + 4 + 2 + first.path.as_str().len()
}

fn record_len(file: &FileRecord) -> usize {
    let digests: usize = file.digests.iter().map(|digest| 2 + digest.as_bytes().len()).sum();
    2 + file.path.as_str().len() + 4 + 8 + 8 + 4 + 8 + 32 + 32 + 1 + digests
}

// Returns where the next block begins.
fn put_index_entry(out: &mut Vec<u8>, block_at: usize, block: &[FileRecord]) -> usize {
    let len: usize = block.iter().map(record_len).sum();
    out.extend_from_slice(&(block_at as u64).to_be_bytes());
    out.extend_from_slice(&short(len).to_be_bytes());
    out.extend_from_slice(&short(block.len()).to_be_bytes());
    if let Some(first) = block.first() {
        put_path(out, first);
    }
    block_at + len
}

fn put_path(out: &mut Vec<u8>, file: &FileRecord) {
    let path = file.path.as_str().as_bytes();
    // A path has at most 4,096 bytes.
    out.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(path);
}

fn put_record(out: &mut Vec<u8>, file: &FileRecord) {
    put_path(out, file);
    out.extend_from_slice(&file.number.to_be_bytes());
    out.extend_from_slice(&file.size.to_be_bytes());
    out.extend_from_slice(&file.modified.to_be_bytes());
    out.extend_from_slice(&(if file.executable { super::parse::MODE_EXECUTABLE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&file.offset.to_be_bytes());
    out.extend_from_slice(file.key.expose());
    out.extend_from_slice(&file.blake3.0);
    // At most one an algorithm, and there are two.
    out.push(u8::try_from(file.digests.len()).unwrap_or(u8::MAX));
    for digest in &file.digests {
        out.push(digest.algorithm());
        out.push(u8::try_from(digest.as_bytes().len()).unwrap_or(u8::MAX));
        out.extend_from_slice(digest.as_bytes());
    }
}

// Lengths and counts within a plaintext of at most 64 MiB.
fn short(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padme_rounds_as_published() {
        for (len, padded) in
            [(0, 0), (1, 1), (2, 2), (3, 3), (8, 8), (9, 10), (15, 16), (100, 104), (1000, 1024), (1025, 1088)]
        {
            assert_eq!(pad_len(len), padded, "{len}");
        }
    }

    proptest! {
        #[test]
        fn padme_keeps_the_leading_bits_and_costs_little(len in 2u64..1 << 40) {
            let padded = pad_len(len);
            // Naively: with E and S by counting, the next length whose last E - S bits are zero.
            let (mut e, mut s) = (0u32, 1u32);
            while 1u64 << (e + 1) <= len { e += 1; }
            while 1u32 << s <= e { s += 1; }
            let step = 1u64 << (e - s);
            prop_assert_eq!(padded, len.div_ceil(step) * step);
            prop_assert!(padded >= len && (padded - len) * 100 <= len * 12);
            prop_assert_eq!(pad_len(padded), padded);
        }
    }
}

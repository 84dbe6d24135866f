//! Bytes as choices: the fuzzer's input read from its start, zeros behind its end.

/// What is left of an input.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    /// One of `0..n`; `n` is at least 1 and at most 65,536.
    pub fn pick(&mut self, n: usize) -> usize {
        let drawn = if n <= 256 { usize::from(self.byte()) } else { usize::from(self.short()) };
        drawn % n.max(1)
    }

    /// At most `n` bytes.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece with its length, two bytes, before it.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.short());
        self.take(len)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes pieces as [`Choices::piece`] reads them.
#[must_use]
pub fn pieces(all: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in all {
        let piece = &piece[..piece.len().min(usize::from(u16::MAX))];
        out.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        out.extend_from_slice(piece);
    }
    out
}

//! What a transfer tells about itself while it runs. No terminal here: a caller draws what it likes, or nothing.

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Reads again what an interrupted transfer already moved.
    Checking,
    /// Moves bytes.
    Moving,
    /// Writes lists and manifests, or syncs what was written.
    Finishing,
}

/// Where a transfer reports; called from many threads.
pub trait Progress: Send + Sync {
    /// What is done now.
    fn phase(&self, _phase: Phase) {}
    /// How much there is to move: bytes of plaintext, as far as it is known, and files.
    fn total(&self, _bytes: u64, _files: u64) {}
    /// So many bytes of plaintext more are moved and acknowledged.
    fn moved(&self, _bytes: u64) {}
    /// So many bytes of plaintext more need not be moved: an earlier run moved them.
    fn kept(&self, _bytes: u64) {}
    /// A file more is complete.
    fn file(&self) {}
}

/// Nobody listens.
impl Progress for () {}

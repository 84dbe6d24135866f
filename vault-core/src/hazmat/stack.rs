//! The stack that primitives have left: crates clear what they know of, and not what a compiler copied on the way. An expanded ML-KEM
//! seed was found there, whole, as long as nothing else came to lie on it.

/// Deeper than any primitive here goes, and a small part of the smallest stack that calls one (1 MiB, WebAssembly).
const DEEP: usize = 128 << 10;
/// Deeper than HMAC, a hash or a key schedule go. They run for every file, and clearing must not cost more than they do.
const SHALLOW: usize = 16 << 10;

/// Does something with secrets and clears the stack that this took. Best effort: a language that may move values promises nothing
/// about where they were.
pub fn cleared<T>(with_secrets: impl FnOnce() -> T) -> T {
    let out = apart(with_secrets);
    clear::<DEEP>();
    out
}

/// As [`cleared`], for what is done with symmetric keys alone.
pub fn cleared_shallow<T>(with_secrets: impl FnOnce() -> T) -> T {
    let out = apart(with_secrets);
    clear::<SHALLOW>();
    out
}

// Overwrites the stack below the caller.
#[inline(never)]
fn clear<const DEPTH: usize>() {
    let mut below = [0u8; DEPTH];
    core::hint::black_box(&mut below);
}

// In a frame of its own, or what was inlined would lie above what is cleared.
#[inline(never)]
fn apart<T>(with_secrets: impl FnOnce() -> T) -> T {
    with_secrets()
}

//! The stack that primitives have left: crates clear what they know of, and not what a compiler copied on the way. An expanded ML-KEM
//! seed was found there, whole, as long as nothing else came to lie on it.

/// Deeper than any primitive here goes, and a small part of the smallest stack that calls one (1 MiB, WebAssembly).
const DEPTH: usize = 128 << 10;

/// Overwrites the stack below the caller. Best effort: a language that may move values promises nothing about where they were.
///
/// Call it from the function that called the primitive, or from one above it.
#[inline(never)]
pub fn clear() {
    let mut below = [0u8; DEPTH];
    core::hint::black_box(&mut below);
}

/// Does something with secrets and clears the stack that this took.
pub fn cleared<T>(with_secrets: impl FnOnce() -> T) -> T {
    let out = apart(with_secrets);
    clear();
    out
}

// In a frame of its own, or what was inlined would lie above what is cleared.
#[inline(never)]
fn apart<T>(with_secrets: impl FnOnce() -> T) -> T {
    with_secrets()
}

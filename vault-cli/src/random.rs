//! The machine's randomness, drawn here and nowhere else in the commands.

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};

/// The operating system's generator. It panics if the system has no randomness to give: nothing may be sealed then.
#[must_use]
pub const fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Random bytes for an id, a nonce or an IV; secrets have constructors of their own.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    system().fill_bytes(&mut bytes);
    bytes
}

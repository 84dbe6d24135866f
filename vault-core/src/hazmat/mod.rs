//! The only rooms that name a primitive's crate. Nothing here knows a format; everything here can be misused.
//!
//! Outside this folder a file that imports a cryptographic crate is a mistake: what a caller needs is in
//! [`crate::seal`], [`crate::floe`], [`crate::envelope`] or [`crate::epoch`].

pub mod aead;
pub mod hpke;
pub mod kdf;
pub mod sign;
pub mod stack;
pub mod tree;

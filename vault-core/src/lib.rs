//! The pure core of seqvault: formats, keys, bodies, statements and their fold.
//!
//! Nothing here reads a clock, a file, a socket, the environment or a global random number generator: time and
//! randomness are arguments, so the crate builds for WebAssembly and every decision can be tested as a value.
//! `docs/spec/` is normative; each module names its section.
//!
//! | to | look in |
//! |---|---|
//! | name things, write canonical JSON, bind a context | [`ids`], [`json`], [`context`], [`suite`] |
//! | sign and read signed bytes | [`envelope`] |
//! | make and check cards, seal 32 bytes to one | [`card`], [`seal`] |
//! | derive an epoch's keys, read and write key tables | [`epoch`] |
//! | share the subject key, keep what recipients need not see | [`subject`] |
//! | encrypt and decrypt bodies | [`floe`] |
//! | lay files out in streams and packs, read a manifest | [`pack`], [`manifest`] |
//! | sign, read and fold statements | [`ledger`] |
//! | know what a rotation has to do next | [`rotation`] |
//! | know an object's name in the bucket | [`layout`] |
//! | touch a primitive | [`hazmat`], and only there |

pub mod card;
pub mod context;
pub mod envelope;
pub mod epoch;
pub mod floe;
pub mod hazmat;
pub mod ids;
pub mod json;
pub mod layout;
pub mod ledger;
pub mod manifest;
pub mod pack;
pub mod rotation;
pub mod seal;
pub mod secret;
pub mod subject;
pub mod suite;

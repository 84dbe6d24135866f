//! The ledger: signed statements in order, and the pure fold that turns them into state. Spec pages 4 and 5.
//!
//! [`statement`] is bytes: what a statement says and how it is encoded. [`vault`], [`dataset`] and [`exposure`] are the
//! folds of the three kinds of ledger; [`fold`] is what they share; [`pin`] is what a client remembers.
//! Nothing here is true because a server says so: an entry counts if its bytes, its signature, its author's role and its
//! kind's preconditions say so, and every reader decides alike.

pub mod approval;
pub mod dataset;
pub mod exposure;
pub mod fold;
pub mod pin;
pub mod seen;
pub mod statement;
pub mod vault;

pub use dataset::DatasetState;
pub use exposure::ExposureState;
pub use fold::{Stop, Verdict};
pub use statement::{Body, Statement};
pub use vault::VaultState;

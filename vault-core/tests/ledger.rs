//! The ledger's fold against spec pages 4 and 5: every kind, applied where it may and void where it just may not, and what
//! people without a right can't do to those who have one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, in their fixtures too"
)]

#[path = "ledger/approvals.rs"]
mod approvals;
#[path = "ledger/epochs.rs"]
mod epochs;
#[path = "ledger/exposure.rs"]
mod exposure;
#[path = "ledger/grants.rs"]
mod grants;
#[path = "ledger/history.rs"]
mod history;
#[path = "ledger/model.rs"]
mod model;
#[path = "ledger/properties.rs"]
mod properties;
#[path = "ledger/rights.rs"]
mod rights;
#[path = "ledger/rotation.rs"]
mod rotation;
#[path = "ledger/shape.rs"]
mod shape;
#[path = "ledger/uploads.rs"]
mod uploads;
#[path = "ledger/vault.rs"]
mod vault;
#[path = "ledger/withdrawal.rs"]
mod withdrawal;
#[path = "ledger/world.rs"]
mod world;

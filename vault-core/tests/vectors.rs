//! The test vectors of format 1: every file in `vectors/` against the readers of this crate, and the files against what
//! makes them. `vectors/README.md` says what is in a file.
//!
//! `cargo test -p vault-core --test vectors -- --ignored` writes the files that are not there yet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking, in their fixtures too"
)]

#[path = "testkit/bodies.rs"]
mod bodies;
#[path = "testkit/book.rs"]
mod book;
#[path = "testkit/clients.rs"]
mod clients;
#[path = "testkit/datasets.rs"]
mod datasets;
#[path = "testkit/epochs.rs"]
mod epochs;
#[path = "testkit/keys.rs"]
mod keys;
#[path = "testkit/mod.rs"]
mod kit;
#[path = "testkit/ledgers.rs"]
mod ledgers;
#[path = "testkit/manifests.rs"]
mod manifests;
#[path = "testkit/names.rs"]
mod names;
#[path = "testkit/packs.rs"]
mod packs;
#[path = "testkit/statements.rs"]
mod statements;

use kit::{Case, Outcome};
use serde_json::Value;

/// What this crate's readers say of each vector.
const SAYS: &str = "vault-core/tests/testkit/says.txt";
/// A class, what makes its cases and what reads them.
type Class = (&'static str, fn() -> Vec<Case>, fn(&Value) -> Outcome);

const CLASSES: &[Class] = &[
    ("cards", keys::cards, keys::run_card),
    ("envelopes", keys::envelopes, keys::run_envelope),
    ("seals", keys::seals, keys::run_seal),
    ("epochs", epochs::epochs, epochs::run_epoch),
    ("headers", epochs::headers, epochs::run_header),
    ("tables", epochs::tables, epochs::run_table),
    ("bodies", bodies::bodies, bodies::run),
    ("pack-lists", packs::lists, packs::run_list),
    ("groups", packs::groups, packs::run_groups),
    ("manifests", manifests::manifests, manifests::run),
    ("statements", statements::statements, statements::run),
    ("vault-ledgers", ledgers::vaults, book::run),
    ("dataset-ledgers", datasets::datasets, book::run),
    ("exposure-ledgers", datasets::exposures, book::run),
    ("pins", clients::pins, clients::run_pin),
    ("invitations", clients::invitations, clients::run_invitation),
    ("sealed-files", clients::sealed_files, clients::run_sealed),
    ("names", names::names, names::run_names),
    ("seen-lists", names::seen_lists, names::run_seen),
];

fn cases() -> Vec<Case> {
    CLASSES.iter().flat_map(|(_, make, _)| make()).collect()
}

fn run(class: &str, input: &Value) -> Outcome {
    let found = CLASSES.iter().find(|(name, _, _)| *name == class);
    found.unwrap_or_else(|| panic!("no reader of {class} here")).2(input)
}

#[test]
fn every_vector_is_judged_as_it_says() {
    let classes: Vec<&str> = CLASSES.iter().map(|(name, _, _)| *name).collect();
    kit::check_all(&classes, run);
}

#[test]
fn the_files_are_what_the_generator_makes() {
    kit::compare(&cases(), SAYS, run);
}

#[test]
fn the_readme_counts_the_cases() {
    kit::check_counts();
}

#[test]
#[ignore = "writes the vectors that are not there yet"]
fn write_new_vectors() {
    let asked = CLASSES.iter().filter(|(class, _, _)| kit::is_asked_for(class));
    kit::write_new(&asked.flat_map(|(_, make, _)| make()).collect::<Vec<_>>(), SAYS, run);
}

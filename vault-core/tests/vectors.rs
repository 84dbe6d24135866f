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

#[path = "testkit/keys.rs"]
mod keys;
#[path = "testkit/mod.rs"]
mod kit;

use kit::{Case, Outcome};
use serde_json::Value;

/// What this crate's readers say of each vector.
const SAYS: &str = "vault-core/tests/testkit/says.txt";
const CLASSES: &[&str] = &["cards", "envelopes", "seals"];

fn cases() -> Vec<Case> {
    [keys::cards(), keys::envelopes(), keys::seals()].into_iter().flatten().collect()
}

fn run(class: &str, input: &Value) -> Outcome {
    match class {
        "cards" => keys::run_card(input),
        "envelopes" => keys::run_envelope(input),
        "seals" => keys::run_seal(input),
        _ => panic!("no reader of {class} here"),
    }
}

#[test]
fn every_vector_is_judged_as_it_says() {
    kit::check_all(CLASSES, run);
}

#[test]
fn the_files_are_what_the_generator_makes() {
    kit::compare(&cases(), SAYS, run);
}

#[test]
#[ignore = "writes the vectors that are not there yet"]
fn write_new_vectors() {
    kit::write_new(&cases(), SAYS, run);
}

//! What every fuzz target does with its bytes. `fuzz/` gives these functions to libFuzzer; `tests/smoke.rs` runs them on stable
//! Rust over seeds and fixed mutations. A body panics when a promise is broken, and only then.
//!
//! | to | look in |
//! |---|---|
//! | see what is asked of the core's and the keys' parsers | [`formats`], [`sealed`] |
//! | see what is asked of the shells' parsers | [`shells`] |
//! | see what a fold may never do | [`fold`] |
//! | know where the first inputs come from | [`seeds`] |
//! | change bytes the same way on every machine | [`mutate`] |

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a fuzz target fails by panicking, and each is named after what it reads"
)]

pub mod choices;
pub mod fold;
pub mod formats;
pub mod mutate;
pub mod sealed;
pub mod seeds;
pub mod shells;

#[path = "../../../vault-core/tests/testkit/mod.rs"]
#[allow(
    unused_imports,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "the vectors' own reader, shared with their tests"
)]
mod kit;

/// A target: its name, what it does, its seeds.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutations the smoke run makes: what is slow without optimisation gets fewer.
    pub smoke: usize,
}

/// Every target, by the name of its file in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    Target { name: "card", run: formats::card, seeds: seeds::cards, smoke: 3000 },
    Target { name: "envelope", run: formats::envelope, seeds: seeds::envelopes, smoke: 4000 },
    Target { name: "json", run: formats::json, seeds: seeds::json, smoke: 4000 },
    Target { name: "statement", run: formats::statement, seeds: seeds::statements, smoke: 4000 },
    Target { name: "names", run: formats::names, seeds: seeds::names, smoke: 6000 },
    Target { name: "paths", run: formats::paths, seeds: seeds::paths, smoke: 4000 },
    Target { name: "manifest", run: formats::manifest, seeds: seeds::manifests, smoke: 4000 },
    Target { name: "packs", run: formats::packs, seeds: seeds::packs, smoke: 3000 },
    Target { name: "pins", run: formats::pins, seeds: seeds::pins, smoke: 4000 },
    Target { name: "seal", run: sealed::seal, seeds: seeds::seals, smoke: 1000 },
    Target { name: "table", run: sealed::table, seeds: seeds::tables, smoke: 2000 },
    Target { name: "kept", run: sealed::kept, seeds: seeds::kept, smoke: 1500 },
    Target { name: "floe", run: sealed::floe, seeds: seeds::bodies, smoke: 1500 },
    Target { name: "identity", run: sealed::identity, seeds: seeds::identities, smoke: 1500 },
    Target { name: "sealed_file", run: sealed::sealed_file, seeds: seeds::sealed_files, smoke: 2000 },
    Target { name: "invitation", run: shells::invitation, seeds: seeds::invitations, smoke: 4000 },
    Target { name: "location", run: shells::location, seeds: seeds::locations, smoke: 6000 },
    Target { name: "request", run: shells::request, seeds: seeds::requests, smoke: 2000 },
    Target { name: "answer", run: shells::answer, seeds: seeds::answers, smoke: 4000 },
    Target { name: "settings", run: shells::settings, seeds: seeds::settings, smoke: 3000 },
    Target { name: "fold", run: fold::fold, seeds: seeds::said, smoke: 120 },
    Target { name: "fold_edited", run: fold::fold_edited, seeds: seeds::edited, smoke: 700 },
];

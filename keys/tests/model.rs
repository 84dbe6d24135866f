//! Who can open what: random histories of a dataset, by the real fold and the real keys, against a model of sets.
//!
//! Grants, revocations, suspensions, expiry, rotations, uploads, removals, resets, cards added and retired, members and stewards that
//! leave; clients that crash between any two steps, that plan with an old view of either ledger, whose clocks are wrong, or who say what they
//! have no right to. After random steps everybody who ever had a card, with what they copied before, tries every secret that exists
//! at every object that was ever written, and every honest client reads what the ledger gives it. `model/ideal.rs` says what
//! should come of that: no more and no less.
//!
//! `SEQVAULT_MODEL_ROUNDS` is the number of histories, `SEQVAULT_MODEL_SEED` a number to begin from; a failure prints the seed
//! and the shortest history that fails. `.ci/long model` is the long run.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests fail by panicking, in their fixtures too, and say what they met"
)]

#[path = "model/bucket.rs"]
mod bucket;
#[path = "model/ideal.rs"]
mod ideal;
#[allow(dead_code, reason = "the rules of statements are shared with the fold's own tests, which use more of them")]
#[path = "../../vault-core/tests/ledger/model.rs"]
mod rules;
#[path = "model/run.rs"]
mod run;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use run::{ACTS, Fault, Met, Run, Try};
use vault_core::suite::Suite;

/// How many histories a test takes unless it is told otherwise.
const ROUNDS: u32 = 60;
/// How many it takes at most until a planted fault shows.
const ROUNDS_A_FAULT: u32 = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let stale = prop_oneof![5 => Just(0), 3 => 0..17u8];
    let crash = prop_oneof![4 => Just(0), 2 => 1..9u8];
    let bend = prop_oneof![2 => Just(0), 3 => 0..14u8];
    let one = (0..ACTS, any::<u8>(), any::<u8>(), bend, stale, crash)
        .prop_map(|(act, who, whom, bend, stale, crash)| Try { act, who, whom, bend, stale, crash });
    proptest::collection::vec(one, 10..60)
}

/// Runs a history from its beginning; what is wrong with it, and the whole story.
fn play(tries: &[Try], seed: u64, suite: Suite, fault: Fault) -> Result<Met, String> {
    let mut run = Run::new(suite, seed, fault);
    let ended = tries.iter().try_for_each(|t| run.attempt(*t)).and_then(|()| run.end());
    ended.map(|()| run.met).map_err(|why| format!("{why}\n{}", run.log.join("\n")))
}

fn add(all: &mut Met, one: Met) {
    all.applied += one.applied;
    all.void += one.void;
    all.lost += one.lost;
    all.crashes += one.crashes;
    all.commits += one.commits;
    all.epochs += one.epochs;
    all.closed += one.closed;
    all.checks += one.checks;
    all.opens += one.opens;
    all.read += one.read;
    all.limits += one.limits;
    all.barred += one.barred;
    all.promised += one.promised;
    all.keyless += one.keyless;
}

/// Plays histories until one fails; what they met, or the shortest that fails.
fn search(seed: u64, rounds: u32, suite: Suite, fault: Fault, shrink: u32) -> Result<Met, String> {
    let met = RefCell::new(Met::default());
    let config = ProptestConfig {
        cases: rounds,
        failure_persistence: None,
        max_shrink_iters: shrink,
        max_shrink_time: 60_000,
        ..Default::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let played = runner.run(&tries(), |tries| {
        add(&mut met.borrow_mut(), play(&tries, seed, suite, fault).map_err(TestCaseError::fail)?);
        Ok(())
    });
    match played {
        Ok(()) => Ok(met.into_inner()),
        Err(TestError::Fail(_, tries)) => {
            let story =
                play(&tries, seed, suite, fault).err().unwrap_or_else(|| "a failure that does not repeat".to_owned());
            Err(format!("{} steps, {suite:?}, SEQVAULT_MODEL_SEED={seed}: {story}", tries.len()))
        }
        Err(TestError::Abort(why)) => Err(why.to_string()),
    }
}

fn explore(suite: Suite, share: u32) {
    let seed = number("SEQVAULT_MODEL_SEED").unwrap_or(1);
    let rounds = number("SEQVAULT_MODEL_ROUNDS").map_or(ROUNDS, |n| u32::try_from(n).unwrap()).div_ceil(share);
    let met = search(seed, rounds, suite, Fault::None, 2000).unwrap_or_else(|why| panic!("{why}"));
    println!("{suite:?}, {rounds} histories from seed {seed}: {met:?}");
    // A comparison of nothing with nothing shows nothing.
    for (what, count) in [
        ("counted", met.applied),
        ("void", met.void),
        ("lost", met.lost),
        ("crashes", met.crashes),
        ("commits", met.commits),
        ("rotations begun", met.epochs),
        ("rotations ended", met.closed),
        ("manifests read", met.read),
        ("manifests barred", met.barred),
        ("readers promised", met.promised),
        ("closings without keys", met.keyless),
    ] {
        assert!(count >= u64::from(rounds) / 2, "{what}: only {count} in {rounds} histories");
    }
}

#[test]
fn everybody_opens_what_the_model_says_and_nothing_else() {
    explore(Suite::X25519, 1);
}

#[test]
fn everybody_opens_what_the_model_says_in_the_hybrid_suite_too() {
    explore(Suite::XWing, 6);
}

/// The comparison finds what it is there to find.
#[test]
fn planted_faults_are_found() {
    for (fault, sign) in [
        (Fault::RotationSealsToThoseWhoLeft, "should not"),
        (Fault::RotationKeepsTheSecret, "should not"),
        (Fault::TableHoldsAnotherKey, ""),
        (Fault::RotationDropsAManifest, "gives up a manifest"),
        (Fault::CleanUpLeavesSeals, "should not"),
        (Fault::CleanUpComesTooEarly, ""),
        (Fault::ManifestKeyIsReused, ""),
        (Fault::HeaderForTheEpochBefore, ""),
        (Fault::GrantSealsTheNewestAlone, "is not there"),
        (Fault::SealHoldsAnotherSecret, ""),
    ] {
        let found = search(1, ROUNDS_A_FAULT, Suite::X25519, fault, 0);
        let Err(why) = found else { panic!("{fault:?} was not found") };
        assert!(why.lines().next().unwrap().contains(sign), "{fault:?} was found by {why}");
        println!("{fault:?}: {}", why.lines().next().unwrap());
    }
}

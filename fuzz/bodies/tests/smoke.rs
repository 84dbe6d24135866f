//! Every fuzz target on stable Rust: its seeds, and the same few thousand mutations of them on every machine. The long search with
//! libFuzzer is `.ci/long fuzz`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may panic"
)]

use std::collections::BTreeSet;
use std::path::Path;

use vault_fuzz::mutate::{Random, mutate};
use vault_fuzz::{TARGETS, Target};

/// Runs the target on bytes; says which bytes they were if it panics, so that they can be kept.
fn run(target: &Target, bytes: &[u8]) {
    let caught = std::panic::catch_unwind(|| (target.run)(bytes));
    if let Err(panic) = caught {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{} breaks its promise on {hex}", target.name);
        std::panic::resume_unwind(panic);
    }
}

fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = (target.seeds)();
    assert!(seeds.len() >= 3, "{name} has no seeds");
    // Unoptimised, the folds' seeds alone would take minutes: a part of them, spread evenly, and all under the fuzzer.
    let step = if name.starts_with("fold") { 3 } else { 1 };
    seeds.iter().step_by(step).for_each(|seed| run(target, seed));
    let mut random = Random::new(7);
    for _ in 0..target.smoke {
        let (seed, other) = (&seeds[random.below(seeds.len())], &seeds[random.below(seeds.len())]);
        run(target, &mutate(seed, other, &mut random));
    }
}

/// A test each, so that they run side by side and a failure has a name.
macro_rules! smoke {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*
        const HERE: &[&str] = &[$(stringify!($name)),*];
    };
}

smoke!(
    card,
    envelope,
    json,
    statement,
    names,
    paths,
    manifest,
    packs,
    pins,
    seal,
    table,
    kept,
    floe,
    identity,
    sealed_file,
    invitation,
    location,
    request,
    answer,
    settings,
    fold,
    fold_edited,
);

#[test]
fn every_target_is_run_here_and_by_the_fuzzer() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, HERE.iter().copied().collect());
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let files = std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().map(|file| file.unwrap().path());
    let files: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, files.iter().map(String::as_str).collect());
    for name in &names {
        let text = std::fs::read_to_string(fuzz.join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(text.contains(&format!("::{name}(bytes)")), "fuzz_targets/{name}.rs runs something else");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml does not have {name}");
    }
}

#[test]
fn a_target_that_breaks_its_promise_fails() {
    let broken = Target { name: "broken", run: |bytes| assert!(bytes.len() < 3), seeds: Vec::new, smoke: 0 };
    run(&broken, b"ab");
    assert!(std::panic::catch_unwind(|| run(&broken, b"abc")).is_err());
}

//! How long a decision takes: the median of one, and ten thousand datasets one after another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench prints and may unwrap")]
#![allow(clippy::disallowed_methods, reason = "a bench has a clock")]

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::time::Instant;

use scene::{Scene, pack};
use vault_policy::gate::Stated;
use vault_policy::{Case, Pack, decide};

fn main() {
    let packs: [&Pack; 2] = [pack("cn-sequencing"), pack("example-institute")];
    let scene = Scene::reported().exposed(501, 100);
    let told = scene.stated();
    let case = scene.case(&told);
    let mut times: Vec<_> = (0..2_000)
        .map(|_| {
            let began = Instant::now();
            std::hint::black_box(decide(&case, &packs));
            began.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "one decision, two packs, {} rules: median {:?}",
        packs.iter().map(|p| p.rules().len()).sum::<usize>(),
        times[times.len() / 2]
    );

    let stated: Vec<_> = (0..10_000)
        .map(|n| scene.clone().with("dataset.subjects.count", &n.to_string()).facts().0.split([0; 32]).unwrap().stated)
        .collect();
    let began = Instant::now();
    let allowed = stated
        .iter()
        .filter(|stated| {
            let dataset = Stated::dataset(stated).unwrap();
            decide(&Case { dataset: &dataset, ..case }, &packs).missing().next().is_none()
        })
        .count();
    println!("10,000 datasets read from statements and decided: {:?} ({allowed} allowed)", began.elapsed());
    let began = Instant::now();
    for text in vault_policy::gate::pack::shipped_texts() {
        Pack::parse(text).unwrap();
    }
    println!("both packs read and checked: {:?}", began.elapsed());
}

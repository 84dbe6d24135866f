//! What became of all mutants, by file; fails if one survived that harmless.txt does not explain.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Failure;
use crate::rewrite::Mutant;

/// Survivors that are looked at: lines of `file: mutant`, each under a comment that says why nothing can notice it.
const HARMLESS: &str = "contrib/mutants/harmless.txt";
/// The error of the compiler that only the switch brings about.
const OURS: &str = "cannot call non-const function";

#[derive(Default)]
struct Row {
    mutants: usize,
    killed: usize,
    unbuilt: usize,
    by_hand: usize,
    harmless: usize,
    survived: usize,
}

pub fn report(mutants: &[Mutant], copy: &Path) -> Result<(), Failure> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let harmless = read(Path::new(HARMLESS));
    let mut outcomes: BTreeMap<usize, String> = BTreeMap::new();
    for line in read(&copy.join("unbuilt.tsv")).lines() {
        let (id, why) = line.split_once('\t').ok_or("unbuilt.tsv reads otherwise")?;
        let by_hand = why.starts_with(OURS);
        outcomes.insert(id.parse()?, if by_hand { "by hand" } else { "unbuilt" }.into());
    }
    for line in read(&copy.join("results.tsv")).lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [id, _, outcome, _] = parts.as_slice() else { return Err("results.tsv reads otherwise".into()) };
        outcomes.insert(id.parse()?, (*outcome).into());
    }
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for mutant in mutants {
        let row = rows.entry(&mutant.file).or_default();
        row.mutants += 1;
        match outcomes.get(&mutant.id).map(String::as_str) {
            Some("killed") => row.killed += 1,
            Some("unbuilt") => row.unbuilt += 1,
            Some("by hand") => row.by_hand += 1,
            Some("survived") if harmless.lines().any(|line| line == placeless(mutant)) => row.harmless += 1,
            Some(_) => {
                row.survived += 1;
                unexplained.push(&mutant.name);
            }
            None => {}
        }
    }
    println!("| file | mutants | killed | don't build | by hand | survived, harmless | survived | not run |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Row::default();
    for (file, row) in &rows {
        print(&format!("`{file}`"), row);
        all.mutants += row.mutants;
        all.killed += row.killed;
        all.unbuilt += row.unbuilt;
        all.by_hand += row.by_hand;
        all.harmless += row.harmless;
        all.survived += row.survived;
    }
    print("all", &all);
    for name in &unexplained {
        println!("survived: {name}");
    }
    if unexplained.is_empty() { Ok(()) } else { Err(format!("{} mutants survived", unexplained.len()).into()) }
}

fn print(name: &str, row: &Row) {
    let Row { mutants, killed, unbuilt, by_hand, harmless, survived } = row;
    let left = mutants - killed - unbuilt - by_hand - harmless - survived;
    println!("| {name} | {mutants} | {killed} | {unbuilt} | {by_hand} | {harmless} | {survived} | {left} |");
}

/// A mutant's name without line and column, which change with every edit.
fn placeless(mutant: &Mutant) -> String {
    let what = mutant.name.split_once(": ").map_or(mutant.name.as_str(), |(_, what)| what);
    format!("{}: {what}", mutant.file)
}

//! Runs mutants of the workspace without building each: all are compiled at once into a copy, each behind a switch that an
//! environment variable sets, and a mutant costs one run of the tests that reach it.
//!
//! `seqvault-mutants build LIST COPY`, then `run LIST COPY [K/N | WORD]..` and `report LIST COPY`, in the root of the workspace. LIST is
//! what `cargo mutants --workspace --list --json` says, COPY a copy of the sources. See README.md.

mod report;
mod rewrite;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rewrite::{Mutant, Rewritten, SWITCH, rewrite};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["build", list, copy] => read(list).and_then(|mutants| build(&mutants, Path::new(copy))),
        ["run", list, copy, which @ ..] => read(list).and_then(|mutants| run::run(&mutants, Path::new(copy), which)),
        ["report", list, copy] => read(list).and_then(|mutants| report::report(&mutants, Path::new(copy))),
        _ => Err("usage: seqvault-mutants build|run|report LIST COPY [K/N | WORD]..".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(list: &str) -> Result<Vec<Mutant>, Failure> {
    let list: Value = serde_json::from_slice(&std::fs::read(list)?)?;
    let list = list.as_array().ok_or("the list of mutants is no array")?;
    list.iter()
        .enumerate()
        .map(|(at, it)| mutant(at + 1, it).ok_or_else(|| format!("mutant {at} reads otherwise").into()))
        .collect()
}

fn mutant(id: usize, value: &Value) -> Option<Mutant> {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let start = value.get("span")?.get("start")?;
    let number = |name: &str| usize::try_from(start.get(name)?.as_u64()?).ok();
    Some(Mutant {
        id,
        name: text("name")?,
        file: text("file")?,
        package: text("package")?,
        genre: text("genre")?,
        replacement: text("replacement")?,
        start: (number("line")?, number("column")?),
    })
}

/// Rewrites and compiles until nothing is left that does not compile; then builds the tests.
fn build(mutants: &[Mutant], copy: &Path) -> Result<(), Failure> {
    let packages: BTreeSet<&str> = mutants.iter().map(|it| it.package.as_str()).collect();
    let mut out: BTreeMap<usize, String> = BTreeMap::new();
    loop {
        let files = write(mutants, copy, &mut out)?;
        let before = out.len();
        for error in check(&packages, copy)? {
            error.blame(&files, &mut out)?;
        }
        eprintln!("{} of {} mutants can't be built", out.len(), mutants.len());
        if out.len() == before {
            break;
        }
    }
    let lines: Vec<String> = out.iter().map(|(id, why)| format!("{id}\t{why}\n")).collect();
    std::fs::write(copy.join("unbuilt.tsv"), lines.concat())?;
    run::binaries(&packages, copy)
}

type Files = BTreeMap<String, Rewritten>;

fn write(mutants: &[Mutant], copy: &Path, out: &mut BTreeMap<usize, String>) -> Result<Files, Failure> {
    let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_file.entry(&mutant.file).or_default().push(mutant);
    }
    let mut files = Files::new();
    for (file, all) in by_file {
        let wanted: Vec<&Mutant> = all.into_iter().filter(|it| !out.contains_key(&it.id)).collect();
        let rewritten = rewrite(&std::fs::read_to_string(file)?, &wanted);
        for id in &rewritten.left_out {
            out.insert(*id, "can't be put behind a switch".into());
        }
        std::fs::write(copy.join(file), &rewritten.text)?;
        let lib: PathBuf =
            Path::new(file).ancestors().find(|it| it.ends_with("src")).ok_or("a source outside of src")?.join("lib.rs");
        std::fs::write(copy.join(&lib), std::fs::read_to_string(&lib)? + SWITCH)?;
        files.insert(file.to_owned(), rewritten);
    }
    Ok(files)
}

/// An error of the compiler.
struct Error {
    text: String,
    /// File and byte, the primary place first.
    places: Vec<(String, usize, usize)>,
}

impl Error {
    /// Finds the mutant that it is about: the smallest place around it.
    fn blame(&self, files: &Files, out: &mut BTreeMap<usize, String>) -> Result<(), Failure> {
        for (file, start, end) in &self.places {
            let Some(rewritten) = files.get(file) else { continue };
            let around = rewritten.places.iter().filter(|(it, _)| it.start <= *start && *end <= it.end);
            if let Some((_, ids)) = around.min_by_key(|(it, _)| it.len()) {
                out.extend(ids.iter().map(|id| (*id, self.text.clone())));
                return Ok(());
            }
        }
        Err(format!("{} at {:?} belongs to no mutant", self.text, self.places).into())
    }
}

/// A `cargo` that says what it does in JSON.
pub fn cargo(verb: &str, packages: &BTreeSet<&str>, copy: &Path, more: &[&str]) -> Result<Vec<Value>, Failure> {
    let mut command = Command::new("cargo");
    command.arg(verb).args(["--locked", "--message-format=json"]).args(more).current_dir(copy).stderr(Stdio::inherit());
    for package in packages {
        command.args(["-p", package]);
    }
    let output = command.output()?;
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn check(packages: &BTreeSet<&str>, copy: &Path) -> Result<Vec<Error>, Failure> {
    let messages = cargo("check", packages, copy, &["--keep-going", "--lib"])?;
    Ok(messages.iter().filter_map(|it| error(it.get("message")?)).collect())
}

fn error(message: &Value) -> Option<Error> {
    if message.get("level")?.as_str()? != "error" {
        return None;
    }
    let place = |span: &Value| {
        let number = |name: &str| usize::try_from(span.get(name)?.as_u64()?).ok();
        Some((span.get("file_name")?.as_str()?.to_owned(), number("byte_start")?, number("byte_end")?))
    };
    let mut spans: Vec<&Value> = message.get("spans")?.as_array()?.iter().collect();
    spans.sort_by_key(|span| !span.get("is_primary").and_then(Value::as_bool).unwrap_or(false));
    let places: Vec<_> = spans.into_iter().filter_map(place).collect();
    // "aborting due to .." has no place.
    (!places.is_empty())
        .then(|| Error { text: message.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(), places })
}

//! Runs each mutant against the tests that reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rewrite::Mutant;
use crate::{Failure, cargo};

/// A mutant that makes the tests take this much longer is found: it loops.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tests up to this long are run first.
const QUICK: Duration = Duration::from_millis(300);
/// So many of them by themselves.
const NEAR: usize = 10;

/// A test, how long it takes, and the switches that it comes by.
struct Test {
    /// Of its package: where it expects to be run.
    directory: PathBuf,
    binary: PathBuf,
    name: String,
    takes: Duration,
    reached: BTreeSet<usize>,
}

/// Builds the tests and notes their binaries, in the order in which they are run: unit tests first, long properties last.
pub fn binaries(packages: &BTreeSet<&str>, copy: &Path) -> Result<(), Failure> {
    let messages = cargo("test", packages, copy, &["--no-run"])?;
    let mut found: Vec<(usize, String, String)> = messages.iter().filter_map(binary).collect();
    found.sort();
    if found.is_empty() {
        return Err("the tests of the copy do not build".into());
    }
    let lines: Vec<String> = found.into_iter().map(|(_, directory, path)| format!("{directory}\t{path}\n")).collect();
    Ok(std::fs::write(copy.join("binaries.tsv"), lines.concat())?)
}

fn binary(message: &Value) -> Option<(usize, String, String)> {
    if !message.get("profile")?.get("test")?.as_bool()? {
        return None;
    }
    let path = message.get("executable")?.as_str()?.to_owned();
    let manifest = Path::new(message.get("manifest_path")?.as_str()?).parent()?.to_str()?.to_owned();
    let name = message.get("target")?.get("name")?.as_str()?.to_owned();
    let rank = ["vault_core", "ledger", "vectors", "vault_keys"].iter().position(|it| *it == name);
    Some((rank.unwrap_or(if name == "model" { 9 } else { 5 }), manifest, path))
}

/// Runs what has not been run yet, of a shard or of the mutants that have one of some words in their name.
pub fn run(mutants: &[Mutant], copy: &Path, which: &[&str]) -> Result<(), Failure> {
    let results = copy.join("results.tsv");
    let old = |file: &str| std::fs::read_to_string(copy.join(file)).unwrap_or_default();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    for line in old("results.tsv").lines().chain(old("unbuilt.tsv").lines()) {
        done.extend(line.split('\t').next().and_then(|id| id.parse::<usize>().ok()));
    }
    let tests = trace(copy)?;
    let mut file = OpenOptions::new().append(true).create(true).open(results)?;
    let end = std::env::var("MINUTES")
        .ok()
        .and_then(|it| it.parse().ok())
        .map(|it: u64| Instant::now() + Duration::from_secs(it * 60));
    for mutant in mutants.iter().filter(|it| !done.contains(&it.id) && is_wanted(it, which)) {
        if end.is_some_and(|end| Instant::now() > end) {
            break;
        }
        let (outcome, by) = fate(mutant.id, &tests)?;
        writeln!(file, "{}\t{}\t{outcome}\t{by}", mutant.id, mutant.name)?;
        if outcome == "survived" {
            println!("{} {}: {by}", mutant.id, mutant.name);
        }
    }
    Ok(())
}

fn is_wanted(mutant: &Mutant, which: &[&str]) -> bool {
    let shard = |word: &str| {
        let (k, n) = word.split_once('/')?;
        Some((k.parse::<usize>().ok()?, n.parse::<usize>().ok()?))
    };
    which.is_empty()
        || which.iter().any(|word| match shard(word) {
            Some((k, n)) => mutant.id % n.max(1) == k,
            None => mutant.name.contains(word),
        })
}

/// Every test with what it reaches; made once, with no mutant on, when every test has to pass.
fn trace(copy: &Path) -> Result<Vec<Test>, Failure> {
    let notes = copy.join("tests.tsv");
    if !notes.exists() {
        let mut lines = String::new();
        for line in std::fs::read_to_string(copy.join("binaries.tsv"))?.lines() {
            let (directory, binary) = line.split_once('\t').ok_or("binaries.tsv reads otherwise")?;
            let list = Command::new(binary).args(["--list", "--format", "terse"]).output()?;
            for name in String::from_utf8(list.stdout)?.lines().filter_map(|it| it.strip_suffix(": test")) {
                let reached = copy.join("reached");
                let _ = std::fs::remove_file(&reached);
                let began = Instant::now();
                let status = command(Path::new(binary), Path::new(directory))
                    .arg(name)
                    .env("MUTANTS_REACHED", &reached)
                    .status()?;
                if !status.success() {
                    return Err(format!("{name} fails with no mutant on").into());
                }
                let reached = std::fs::read_to_string(&reached).unwrap_or_default().replace('\n', " ");
                lines += &format!("{directory}\t{binary}\t{name}\t{}\t{reached}\n", began.elapsed().as_millis());
            }
        }
        std::fs::write(&notes, lines)?;
    }
    let notes = std::fs::read_to_string(&notes)?;
    notes.lines().map(|line| test(line).ok_or_else(|| "tests.tsv reads otherwise".into())).collect()
}

fn test(line: &str) -> Option<Test> {
    let mut parts = line.split('\t');
    Some(Test {
        directory: parts.next()?.into(),
        binary: parts.next()?.into(),
        name: parts.next()?.into(),
        takes: Duration::from_millis(parts.next()?.parse().ok()?),
        reached: parts.next()?.split_whitespace().filter_map(|it| it.parse().ok()).collect(),
    })
}

fn command(binary: &Path, directory: &Path) -> Command {
    // A mutant may ask for all memory there is.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 6000000; exec \"$@\"", "sh"]).arg(binary).args(["--exact", "--test-threads=1"]);
    // As cargo sets them.
    command.env("CARGO_MANIFEST_DIR", directory).env("CARGO_PKG_NAME", directory.file_name().unwrap_or_default());
    command.current_dir(directory).env("PROPTEST_MAX_SHRINK_ITERS", "0").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What became of a mutant, and by what.
fn fate(id: usize, tests: &[Test]) -> Result<(&'static str, String), Failure> {
    let reaching: Vec<&Test> = tests.iter().filter(|test| test.reached.contains(&id)).collect();
    if reaching.is_empty() {
        return Ok(("survived", "no test reaches it".into()));
    }
    // Those that reach little are likely to be about this; after them all others of a binary together, the quick before the slow.
    let mut quick: Vec<&Test> = reaching.iter().filter(|test| test.takes <= QUICK).copied().collect();
    quick.sort_by_key(|test| test.reached.len());
    let (near, far) = quick.split_at(quick.len().min(NEAR));
    let slow: Vec<&Test> = reaching.iter().filter(|test| test.takes > QUICK).copied().collect();
    let mut runs: Vec<Vec<&Test>> = near.iter().map(|test| vec![*test]).collect();
    // A first round may leave the slow ones out; what survives it is not done.
    let slow = if std::env::var_os("QUICK").is_some() { &[] } else { slow.as_slice() };
    for tests_of in [far, slow] {
        let mut by_binary: BTreeMap<usize, Vec<&Test>> = BTreeMap::new();
        for test in tests_of {
            let order = tests.iter().position(|it| it.binary == test.binary).unwrap_or_default();
            by_binary.entry(order).or_default().push(test);
        }
        runs.extend(by_binary.into_values());
    }
    for tests in runs {
        if let Some(by) = killer(id, &tests)? {
            return Ok(("killed", by));
        }
    }
    Ok(("survived", format!("{} tests reach it", reaching.len())))
}

/// Runs tests of one binary with a mutant on; the first that fails.
fn killer(id: usize, tests: &[&Test]) -> Result<Option<String>, Failure> {
    let Some(first) = tests.first() else { return Ok(None) };
    // What can't be run must not look like what fails.
    if !first.binary.exists() {
        return Err(format!("{} is gone", first.binary.display()).into());
    }
    let log = std::env::temp_dir().join(format!("mutants-{}", std::process::id()));
    let mut child = command(&first.binary, &first.directory)
        .args(tests.iter().map(|it| &it.name))
        .env("MUTANT", id.to_string())
        .stdout(File::create(&log)?)
        .spawn()?;
    let usual: Duration = tests.iter().map(|it| it.takes).sum();
    let end = Instant::now() + PATIENCE + usual * 2;
    let found = loop {
        let ended = child.try_wait()?;
        let text = std::fs::read_to_string(&log)?;
        let failed = text.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        match ended {
            _ if failed.is_some() => break failed.map(str::to_owned),
            Some(status) if status.success() => break None,
            Some(_) => break Some("a process that ended".into()),
            None if Instant::now() > end => break Some("time".into()),
            None => std::thread::sleep(Duration::from_millis(3)),
        }
    };
    // One failure is enough; a child that has ended can't be killed any more.
    let _ = child.kill();
    child.wait()?;
    std::fs::remove_file(&log)?;
    Ok(found)
}

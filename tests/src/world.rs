//! People with identities, a vault in a folder, and the compiled command run as one of them.
//!
//! A [`World`] is a folder: `vault/`, and for each person an identity, a card and a state of its own. It can be copied, so that a test
//! begins where another one has been, and old copies can be brought back.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this is test code in a library so that several test binaries can share it: what goes wrong fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::seqvault;

/// Everybody's passphrase.
pub const PASSPHRASE: &str = "a passphrase of the tests";

/// Nothing that a test starts takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// A folder with a vault and people.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
}

/// Somebody in a world.
#[derive(Debug, Clone)]
pub struct Person {
    root: PathBuf,
    vault: PathBuf,
    name: String,
    identity: String,
    clock: i64,
}

/// When a command dies, counted in calls that change the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before the n-th.
    Before(u64),
    /// After the n-th.
    After(u64),
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world, in memory where that is possible.
    #[must_use]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let named = std::env::var_os("TMPDIR").is_some();
        let folder = if !named && memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self { folder: folder.unwrap() }
    }

    /// A copy of everything.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy_folder(self.root(), copy.root());
        copy
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The vault's folder.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.path("vault")
    }

    /// Somebody, who may have no identity yet.
    #[must_use]
    pub fn person(&self, name: &str) -> Person {
        Person {
            root: self.root().to_owned(),
            vault: self.vault(),
            name: name.to_owned(),
            identity: format!("{name}.id"),
            clock: 0,
        }
    }

    /// Somebody with a new identity and a card.
    #[must_use]
    pub fn new_person(&self, name: &str) -> Person {
        let person = self.person(name);
        person.make_identity(name);
        person
    }

    /// Copies the vault's folder, and nothing of anybody's state, to a folder beside it.
    #[must_use]
    pub fn save_vault(&self, name: &str) -> PathBuf {
        let to = self.path(name);
        copy_folder(&self.vault(), &to);
        to
    }

    /// Puts a saved copy in the vault's place, as somebody does who restores a backup or replays an old one.
    pub fn restore_vault(&self, name: &str) {
        fs::remove_dir_all(self.vault()).unwrap();
        copy_folder(&self.path(name), &self.vault());
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Every object of the vault: its name and its bytes' number.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, u64> {
        objects(&self.vault())
    }

    /// Makes everything in the vault look older than anybody who could still be at work.
    pub fn grow_old(&self) {
        let then = SystemTime::now() - Duration::from_secs(2 * 3600);
        for name in self.objects().keys() {
            let file = fs::File::options().write(true).open(self.vault().join(name)).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}

/// The files under a folder by their path in it, with their lengths.
#[must_use]
pub fn objects(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, entry.metadata().unwrap().len());
            }
        }
    }
    found
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// What was run.
    pub what: String,
    /// The exit code; `None` if it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    fn of(what: String, output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = output.status.signal();
        assert!(killed.is_none() || killed == Some(SIGKILL), "{what}: ended by {}\n{stderr}", output.status);
        assert!(!stderr.contains("stopped by a bug"), "{what}: {stderr}");
        assert!(!stderr.contains(PASSPHRASE), "{what}: the passphrase is in an error: {stderr}");
        Self { what, code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// The result in JSON.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.code, Some(0), "{}\n{}", self.what, self.stderr);
        if self.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&self.stdout).unwrap() }
    }

    /// What it wrote.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        assert_eq!(self.code, Some(0), "{}\n{}", self.what, self.stderr);
        self.stdout
    }

    /// The error's message and hint, if it failed with this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!(self.code, Some(code), "{}\n{}{stdout}", self.what, self.stderr);
        self.stderr
    }
}

/// A command that runs beside the test.
#[derive(Debug)]
pub struct Running {
    what: String,
    child: Child,
    pause: PathBuf,
}

impl Running {
    /// Waits until the command stands where it was told to; false if it ended without coming there.
    #[track_caller]
    pub fn is_paused(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if self.pause.exists() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return self.pause.exists();
            }
            assert!(begun.elapsed() < PATIENCE, "{}: neither pauses nor ends", self.what);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Lets it go on, if it waits, and waits for its end.
    #[track_caller]
    pub fn finish(self) -> Done {
        // It may have ended before it came to the pause.
        let _ = fs::remove_file(&self.pause);
        let Self { what, child, .. } = self;
        Done::of(what, child.wait_with_output().unwrap())
    }
}

impl Person {
    /// Its name, and its member id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same person with another identity file, made by [`Person::make_identity`]. The state stays the same.
    #[must_use]
    pub fn with_identity(&self, name: &str) -> Self {
        Self { identity: format!("{name}.id"), ..self.clone() }
    }

    /// The same person on another vault folder.
    #[must_use]
    pub fn at(&self, vault: &Path) -> Self {
        Self { vault: vault.to_owned(), ..self.clone() }
    }

    /// The same person at a machine whose clock is this many seconds ahead, or behind if negative.
    #[must_use]
    pub fn in_seconds(&self, clock: i64) -> Self {
        Self { clock, ..self.clone() }
    }

    /// The identity file.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.root.join(&self.identity)
    }

    /// The card file.
    #[must_use]
    pub fn card(&self) -> PathBuf {
        self.identity().with_extension("card")
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join(format!("{}.state", self.name))
    }

    /// Makes an identity file of a name with its card, cheap to unlock; returns the card's id.
    pub fn make_identity(&self, name: &str) -> String {
        let person = self.with_identity(name);
        let path = person.identity();
        let path = path.to_str().unwrap();
        let made =
            person.ok(&["identity", "new", path, "--label", name, "--kdf-memory", "8", "--kdf-passes", "1", "--quiet"]);
        let card = person.run(&["identity", "card"]).bytes();
        fs::write(person.card(), card).unwrap();
        made["card"].as_str().unwrap_or_default().to_owned()
    }

    /// The command, ready to run.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(seqvault());
        command
            .args(args)
            .args(["--passphrase-env", "SEQVAULT_TESTS_PASSPHRASE"])
            .current_dir(&self.root)
            .env_clear()
            .env("HOME", self.root.join("nobodys-home"))
            .env("SEQVAULT", &self.vault)
            .env("SEQVAULT_IDENTITY", self.identity())
            .env("SEQVAULT_STATE", self.state())
            .env("SEQVAULT_TESTS_PASSPHRASE", PASSPHRASE)
            .env("SEQVAULT_TEST_CLOCK", self.clock.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn what<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let args: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        format!("{}: seqvault {}", self.name, args.join(" "))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        Done::of(self.what(args), self.command(args).output().unwrap())
    }

    /// Runs it with `--json`; it must succeed.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.run(&json(args)).ok()
    }

    /// Runs it; it must fail with an exit code. Returns what it said.
    #[track_caller]
    pub fn fails<S: AsRef<OsStr>>(&self, code: i32, args: &[S]) -> String {
        self.run(args).fails(code)
    }

    /// Runs it with a kill on the way. False if it ended, successfully, before it came there.
    #[track_caller]
    pub fn killed<S: AsRef<OsStr>>(&self, fault: Fault, args: &[S]) -> bool {
        let text = match fault {
            Fault::Before(n) => format!("before:{n}"),
            Fault::After(n) => format!("after:{n}"),
        };
        let output = self.command(args).env("SEQVAULT_TEST_KILL", text).output().unwrap();
        let done = Done::of(self.what(args), output);
        done.code.is_none_or(|code| {
            assert_eq!(code, 0, "{} with {fault:?}\n{}", done.what, done.stderr);
            false
        })
    }

    /// Starts it.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        self.start_paused("", args)
    }

    /// Starts it and lets it wait at a point: `append:N` or `any:N`.
    #[must_use]
    pub fn start_paused<S: AsRef<OsStr>>(&self, at: &str, args: &[S]) -> Running {
        let args = json(args);
        let pause = TempDir::new_in(&self.root).unwrap().keep().join("pause");
        let mut command = self.command(&args);
        if !at.is_empty() {
            command.env("SEQVAULT_TEST_PAUSE", format!("{at}:{}", pause.display()));
        }
        Running { what: self.what(&args), child: command.spawn().unwrap(), pause }
    }

    /// What the member gets of a dataset: every file's path and bytes.
    #[track_caller]
    pub fn gets(&self, dataset: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = TempDir::new_in(&self.root).unwrap();
        self.ok(&["get", dataset, "--output", folder.path().to_str().unwrap()]);
        let names = objects(folder.path()).into_keys();
        names.map(|name| (name.clone(), fs::read(folder.path().join(&name)).unwrap())).collect()
    }

    /// The member can't get a dataset: the command fails with an exit code and writes nothing. Returns what it said.
    #[track_caller]
    pub fn gets_nothing(&self, code: i32, dataset: &str) -> String {
        let folder = TempDir::new_in(&self.root).unwrap();
        let said = self.fails(code, &["get", dataset, "--output", folder.path().to_str().unwrap()]);
        assert_eq!(objects(folder.path()), BTreeMap::new(), "{} got something", self.name);
        said
    }

    /// What the member sees of a dataset's files: path and BLAKE3.
    #[track_caller]
    pub fn sees(&self, dataset: &str) -> BTreeMap<String, String> {
        let listed = self.ok(&["ls", dataset]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(|f| (text(&f["path"]), text(&f["blake3"]))).collect()
    }
}

fn json<S: AsRef<OsStr>>(args: &[S]) -> Vec<&OsStr> {
    args.iter().map(AsRef::as_ref).chain([OsStr::new("--json")]).collect()
}

/// The strings of a JSON array.
#[must_use]
pub fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

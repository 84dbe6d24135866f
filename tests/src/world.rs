//! People with identities, a vault, and the compiled command run as one of them.
//!
//! A [`World`] is a folder: `vault/`, and for each person an identity, a card and a state of its own. It can be copied, so that a test
//! begins where another one has been, and old copies can be brought back. Where the vault lies, and whether people go through a server,
//! is the run's affair ([`crate::place`]): `vault/` is the vault, or its mirror.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this is test code in a library so that several test binaries can share it: what goes wrong fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::place::{Place, place};
use crate::server::{self, Server};
use crate::{mirror, seqvault};

/// Everybody's passphrase.
pub const PASSPHRASE: &str = "a passphrase of the tests";

/// Nothing that a test starts takes longer, even where many run at once.
const PATIENCE: Duration = Duration::from_secs(180);
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
    /// Where the vault is, if not where the run has it; and what reaching it takes.
    elsewhere: Option<(String, Vec<(OsString, OsString)>)>,
}

/// When a command dies, counted in calls that change the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before the n-th.
    Before(u64),
    /// After the n-th.
    After(u64),
}

impl Fault {
    fn to_text(self) -> String {
        match self {
            Self::Before(n) => format!("before:{n}"),
            Self::After(n) => format!("after:{n}"),
        }
    }
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
        refresh(&self.vault_path());
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

    /// The vault's folder, or its mirror as it is now.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        let path = self.vault_path();
        refresh(&path);
        // Whoever asks may be about to damage it: a server that runs already must bear that, one that starts would refuse.
        let _ = reached(&path);
        path
    }

    fn vault_path(&self) -> PathBuf {
        self.path("vault")
    }

    /// Where the vault is, as people name it.
    #[must_use]
    pub fn location(&self) -> String {
        reached(&self.vault_path())
    }

    /// Where the vault is, as somebody with the store's credentials names it.
    #[must_use]
    pub fn store_location(&self) -> String {
        stored(&self.vault_path())
    }

    /// The store's credentials, if it takes some.
    #[must_use]
    pub fn store_environment(&self) -> Vec<(OsString, OsString)> {
        store_environment()
    }

    /// A server of its own for the vault, beside the one that people reach by default, with more options. Its clock is its machine's.
    #[must_use]
    pub fn new_server(&self, more: &[&str]) -> Server {
        self.new_server_at(0, more)
    }

    /// The same, over one of the two gateways where the vault is in a bucket.
    #[must_use]
    pub fn new_server_at(&self, gateway: usize, more: &[&str]) -> Server {
        refresh(&self.vault_path());
        let location = if place().is_bucket() {
            pushed(&self.vault_path()).location_at(gateway)
        } else {
            stored(&self.vault_path())
        };
        self.start_server(&location, more)
    }

    /// The port of the store's first gateway, where the vault is in a bucket.
    #[must_use]
    pub fn gateway_port(&self) -> u16 {
        let [first, _] = mirror::seaweed().endpoints();
        first.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The same, over something that passes on what it gets to a gateway of the store.
    #[must_use]
    pub fn new_server_over(&self, endpoint: &str) -> Server {
        refresh(&self.vault_path());
        self.start_server(&pushed(&self.vault_path()).location_over(endpoint), &[])
    }

    fn start_server(&self, location: &str, more: &[&str]) -> Server {
        let mut environment = environment_of_server(&self.vault_path());
        environment.retain(|(name, _)| name != "SEQVAULT_TEST_TRUST_CLOCK");
        Server::start(location, more, &environment)
    }

    /// Somebody, who may have no identity yet.
    #[must_use]
    pub fn person(&self, name: &str) -> Person {
        Person {
            root: self.root().to_owned(),
            vault: self.vault_path(),
            name: name.to_owned(),
            identity: format!("{name}.id"),
            clock: 0,
            elsewhere: None,
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
        if place().is_bucket() { mirror::of(&self.vault_path()).objects() } else { objects(&self.vault_path()) }
    }

    /// Makes everything in the vault look older than anybody who could still be at work.
    pub fn grow_old(&self) {
        if place().is_bucket() {
            // A bucket's times are its own, in whole seconds: debug builds take this file's word.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            return fs::write(aged(&self.vault_path()), now.to_string()).unwrap();
        }
        let then = SystemTime::now() - Duration::from_secs(2 * 3600);
        for name in self.objects().keys() {
            let file = fs::File::options().write(true).open(self.vault().join(name)).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        server::forget_below(self.root());
        mirror::forget_below(self.root());
    }
}

/// The file that says until when everything in a bucket counts as old.
fn aged(vault: &Path) -> PathBuf {
    vault.with_extension("aged")
}

/// The mirror of a vault, after its changes went to the bucket.
fn pushed(vault: &Path) -> std::sync::Arc<mirror::Mirror> {
    let mirror = mirror::of(vault);
    mirror.push();
    mirror
}

fn refresh(vault: &Path) {
    if place().is_bucket() {
        mirror::of(vault).refresh();
    }
}

/// Where the vault of a folder is, for whoever has the store's credentials. It is there as it is in the folder.
fn stored(vault: &Path) -> String {
    if place().is_bucket() { pushed(vault).location() } else { vault.to_str().unwrap().to_owned() }
}

/// Where people find the vault of a folder. Its server is started if there is a vault.
fn reached(vault: &Path) -> String {
    if !place().is_served() {
        return stored(vault);
    }
    if let Some(server) = server::of(vault) {
        // A folder that was replaced is not the one that the server opened, and it says so: whoever restores one starts it again.
        // While there is none, nothing is noted: what comes next is compared with what was there.
        if place() == Place::ServerFolder
            && vault.join("seqvault-format").exists()
            && server.is_replaced(&identity_of(vault))
        {
            server.restart();
        }
        return server.url();
    }
    if !vault.join("seqvault-format").exists() {
        // Nobody listens there.
        return "http://127.0.0.1:9".to_owned();
    }
    let server = Server::start(&stored(vault), &[], &environment_of_server(vault));
    let _ = server.is_replaced(&identity_of(vault));
    server::keep(vault, server).url()
}

/// What tells a folder from another one in its place.
fn identity_of(vault: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(vault).map_or_else(|_| String::new(), |metadata| metadata.ino().to_string())
}

/// What a server of a vault needs to know of the run.
fn environment_of_server(vault: &Path) -> Vec<(OsString, OsString)> {
    let mut environment = store_environment();
    environment.push(("SEQVAULT_TEST_AGED".into(), aged(vault).into()));
    // Tests move people's clocks, and a server has its own: it takes a request's time for the time.
    environment.push(("SEQVAULT_TEST_TRUST_CLOCK".into(), "1".into()));
    // The store has shown what it keeps when the vault was made.
    environment.push(("SEQVAULT_TEST_UNPROBED".into(), "1".into()));
    environment
}

/// The credentials of the store, for whoever works on it.
fn store_environment() -> Vec<(OsString, OsString)> {
    if !place().is_bucket() {
        return Vec::new();
    }
    mirror::seaweed().environment().into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Verbs that change no vault.
const READING: [&str; 9] = ["identity", "seal", "open", "ls", "cat", "get", "log", "verify", "serve"];
/// Verbs that know no vault.
const ALONE: [&str; 3] = ["identity", "seal", "open"];

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

/// A message with the vault's folder in the place of its location.
fn in_folders(message: &str, vault: &Path) -> String {
    let (mut message, folder) = (message.to_owned(), vault.to_str().unwrap());
    if let Some(server) = server::of(vault) {
        message = message.replace(&server.url(), folder);
    }
    if !place().is_bucket() {
        return message;
    }
    let address = format!("s3://{}/{}", mirror::BUCKET, mirror::of(vault).prefix());
    let mut parts = message.split(&address);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        said.push_str(folder);
        // What else the location says: endpoints, the region.
        let rest = part
            .strip_prefix('?')
            .map(|rest| rest.find(char::is_whitespace).map_or((rest, ""), |at| rest.split_at(at)));
        match rest {
            Some((query, rest)) => {
                said.extend(query.chars().rev().take_while(|c| [':', ',', ';', ')'].contains(c)));
                said.push_str(rest);
            }
            None => said.push_str(part),
        }
    }
    said
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
    /// Messages name the vault by its location; for the tests it is the folder.
    fn of(what: String, output: Output, vault: &Path) -> Self {
        let stderr = in_folders(&String::from_utf8_lossy(&output.stderr), vault);
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
    vault: PathBuf,
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
        let Self { what, child, vault, .. } = self;
        let output = child.wait_with_output().unwrap();
        ended(&vault, true);
        Done::of(what, output, &vault)
    }

    /// Kills it where it stands. False if it had ended, successfully, before.
    pub fn kill(mut self) -> bool {
        let _ = self.child.kill();
        let status = self.child.wait().unwrap();
        ended(&self.vault, true);
        !status.success()
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

    /// The same person who reaches the vault at another location, with more in the environment and without the run's credentials.
    #[must_use]
    pub fn through(&self, location: &str, environment: &[(OsString, OsString)]) -> Self {
        Self { elsewhere: Some((location.to_owned(), environment.to_vec())), ..self.clone() }
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

    /// The command, ready to run. Whoever runs it looks at the vault through its [`World`] afterwards: that knows that it may have changed.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        if place().is_bucket() {
            mirror::of(&self.vault).begin();
        }
        self.prepare(args)
    }

    fn prepare<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let verb = args.first().map_or_else(Default::default, |verb| verb.as_ref().to_string_lossy().into_owned());
        let is_alone = ALONE.contains(&verb.as_str());
        if place().is_bucket() && !is_alone {
            pushed(&self.vault);
        }
        let location = match verb.as_str() {
            _ if is_alone => String::new(),
            _ if self.elsewhere.is_some() => self.elsewhere.as_ref().map(|(location, _)| location.clone()).unwrap(),
            "init" => stored(&self.vault),
            _ => reached(&self.vault),
        };
        let named =
            |arg: &S| if arg.as_ref() == self.vault { location.clone().into() } else { arg.as_ref().to_owned() };
        let mut command = Command::new(seqvault());
        command
            .args(args.iter().map(named).collect::<Vec<OsString>>())
            .args(["--passphrase-env", "SEQVAULT_TESTS_PASSPHRASE"])
            .current_dir(&self.root)
            .env_clear()
            .env("HOME", self.root.join("nobodys-home"))
            .env("SEQVAULT", &location)
            .env("SEQVAULT_IDENTITY", self.identity())
            .env("SEQVAULT_STATE", self.state())
            .env("SEQVAULT_TESTS_PASSPHRASE", PASSPHRASE)
            .env("SEQVAULT_TEST_CLOCK", self.clock.to_string())
            .env("SEQVAULT_TEST_AGED", aged(&self.vault))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Behind a server nobody has the store's credentials, but who makes the vault.
        if place().is_served() && self.elsewhere.is_none() {
            // As its server does.
            command.env("SEQVAULT_TEST_TRUST_CLOCK", "1");
        }
        if let Some((_, environment)) = &self.elsewhere {
            command.envs(environment.iter().cloned());
        } else if !place().is_served() || verb == "init" {
            command.envs(store_environment());
        }
        command
    }

    /// Runs a command that was prepared, with more in its environment.
    fn end<S: AsRef<OsStr>>(&self, args: &[S], more: &[(&str, String)]) -> Done {
        let output = self.command(args).envs(more.iter().map(|(name, value)| (name, value))).output().unwrap();
        let is_reading = args.first().is_some_and(|verb| READING.iter().any(|reading| verb.as_ref() == *reading));
        ended(&self.vault, !is_reading);
        Done::of(self.what(args), output, &self.vault)
    }

    fn what<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let args: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        format!("{}: seqvault {}", self.name, args.join(" "))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        self.end(args, &[])
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
        let done = self.end(args, &[("SEQVAULT_TEST_KILL", fault.to_text())]);
        done.code.is_none_or(|code| {
            assert_eq!(code, 0, "{} with {fault:?}\n{}", done.what, done.stderr);
            false
        })
    }

    /// Runs it where the store fails at a call that changes something, or does not say that it did it.
    #[track_caller]
    pub fn disturbed<S: AsRef<OsStr>>(&self, fault: Fault, args: &[S]) -> Done {
        self.end(args, &[("SEQVAULT_TEST_FAIL", fault.to_text())])
    }

    /// Starts it.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        self.start_paused("", args)
    }

    /// Starts it and lets it wait at a point: `append:N`, `any:N`, `read:N` or `pack:N`.
    #[must_use]
    pub fn start_paused<S: AsRef<OsStr>>(&self, at: &str, args: &[S]) -> Running {
        let args = json(args);
        let (mut command, pause) = self.paused(at, &args);
        Running { what: self.what(&args), child: command.spawn().unwrap(), pause, vault: self.vault.clone() }
    }

    /// A command that will wait at a point, if one is given, until the file is gone that it makes there.
    pub fn paused<S: AsRef<OsStr>>(&self, at: &str, args: &[S]) -> (Command, PathBuf) {
        let pause = TempDir::new_in(&self.root).unwrap().keep().join("pause");
        let mut command = self.command(args);
        if !at.is_empty() {
            command.env("SEQVAULT_TEST_PAUSE", format!("{at}:{}", pause.display()));
        }
        (command, pause)
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

/// A command on a vault has ended; what it changed is looked at now, or when a test asks.
fn ended(vault: &Path, is_looked_at: bool) {
    if !place().is_bucket() {
        return;
    }
    let mirror = mirror::of(vault);
    mirror.end();
    if is_looked_at {
        mirror.refresh();
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

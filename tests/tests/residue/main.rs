//! What is left of secrets: in the memory of clients that have done their work and of a server that served it, and in everything that either
//! of them wrote, at the highest verbosity.
//!
//! The passphrase comes through a pipe: an environment variable stays in a process's memory by its nature. What is not searched: the
//! kernel's buffers (pipes, terminals), and registers.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests may unwrap and index"
)]

mod keys;
mod memory;
mod needles;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use vault_core::suite::Suite;
use vault_keys::file::{self, IfExists};
use vault_keys::identity::{Cost, Secrets};
use vault_keys::passphrase::Passphrase;
use vault_tests::seqvault;
use vault_tests::server::Server;
use vault_tests::world::{World, objects};

use keys::Found;
use needles::{Needles, hex};

const PATIENCE: Duration = Duration::from_secs(120);
const COHORT: &str = "cohort";
const CHILD: &str = "SEQVAULT_TESTS_RESIDUE_CHILD";

/// Somebody whose secrets are known, because they were chosen.
struct Person {
    name: &'static str,
    passphrase: String,
    seed: [u8; 32],
    kem: [u8; 32],
}

/// A site: a vault in a folder, its server, people, and all that was printed.
struct Site {
    world: World,
    location: String,
    said: Vec<u8>,
}

impl Person {
    fn new(site: &Site, name: &'static str) -> Self {
        let mut chosen = Chosen::new(name);
        let secrets = Secrets::generate(&mut chosen);
        let card = secrets.make_card(Suite::XWing, name, 1_790_000_000).unwrap();
        let passphrase = format!("{} of {name}", hex(&Chosen::new(&format!("passphrase of {name}")).array::<16>()));
        let path = site.world.path(&format!("{name}.id"));
        let text = Passphrase::new(passphrase.clone()).unwrap();
        let cost = Cost::CHEAP_FOR_TESTS;
        file::create(&path, &secrets, &card, &text, cost, IfExists::Refuse, &mut UnwrapErr(SysRng)).unwrap();
        site.world.write(&format!("{name}.card"), card.stored());
        let mut again = Chosen::new(name);
        Self { name, passphrase, seed: again.array(), kem: again.array() }
    }

    fn needles(&self, needles: &mut Needles) {
        needles.add(&format!("{}'s passphrase", self.name), self.passphrase.as_bytes());
        keys::identity(needles, self.name, &self.seed, &self.kem);
    }

    fn command(&self, site: &Site, args: &[&str]) -> Command {
        let root = site.world.root();
        let mut command = Command::new(seqvault());
        command
            .args(args)
            .args(["--passphrase-fd", "0"])
            .current_dir(root)
            .env_clear()
            .env("HOME", root.join("home"))
            .env("TMPDIR", site.world.path("tmp"))
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace")
            .env("SEQVAULT", &site.location)
            .env("SEQVAULT_IDENTITY", root.join(format!("{}.id", self.name)))
            .env("SEQVAULT_STATE", root.join(format!("{}.state", self.name)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, mut command: Command) -> Child {
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", self.passphrase).unwrap();
        child
    }

    /// Runs a command to its end.
    fn run(&self, site: &mut Site, args: &[&str]) -> Output {
        let output = self.start(self.command(site, args)).wait_with_output().unwrap();
        site.said.extend([&output.stdout[..], &output.stderr].concat());
        output
    }

    #[track_caller]
    fn ok(&self, site: &mut Site, args: &[&str]) -> String {
        let output = self.run(site, args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command to where all is dropped, and lets `look` see the process there.
    fn held(&self, site: &mut Site, args: &[&str], look: impl FnOnce(&Site, u32)) {
        let file = site.world.path("held");
        let mut command = self.command(site, args);
        command.env("SEQVAULT_TEST_HOLD", &file);
        let mut child = self.start(command);
        wait_for(&file, &mut child);
        look(site, child.id());
        fs::remove_file(&file).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        site.said.extend([&output.stdout[..], &output.stderr].concat());
    }
}

/// A person types the passphrase: `script` gives the client a terminal, and what is written to it is typed there.
fn typed(person: &Person, site: &mut Site, args: &[&str], look: impl FnOnce(&Site, u32)) {
    let file = site.world.path("held");
    let plain = person.command(site, args);
    let words: Vec<String> = [plain.get_program()]
        .into_iter()
        .chain(plain.get_args().take(args.len()))
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--flush", "--command", &words.join(" "), "/dev/null"])
        .current_dir(site.world.root())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("SEQVAULT_TEST_HOLD", &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut part) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).to_lowercase().contains("passphrase") {
        let n = screen.read(&mut part).unwrap();
        assert!(n > 0, "nobody asks: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&part[..n]);
    }
    writeln!(keyboard, "{}", person.passphrase).unwrap();
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "it does not come to its end");
        std::thread::sleep(Duration::from_millis(5));
    }
    look(site, fs::read_to_string(&file).unwrap().parse().unwrap());
    fs::remove_file(&file).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&shown));
    site.said.extend(shown);
}

fn wait_for(file: &Path, child: &mut Child) {
    let begun = Instant::now();
    while !file.exists() {
        if child.try_wait().unwrap().is_some() {
            let mut said = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut said);
            panic!("the command ended before it was looked at: {said}");
        }
        assert!(begun.elapsed() < PATIENCE, "the command does not come to its end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Numbers that look random and can be made again; no literal, so that no program's own text holds them.
struct Chosen(u64);

impl Chosen {
    fn new(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
                | 1,
        )
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        rand_core::TryRng::try_fill_bytes(self, &mut out).unwrap();
        out
    }
}

impl rand_core::TryRng for Chosen {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_be_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_be_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0];
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Chosen {}

/// A vault with an officer who is steward too, an instrument and a reader, behind a server that logs all it can.
fn site() -> (Site, Server, [Person; 3]) {
    let world = World::new();
    let mut site = Site { location: world.path("vault").to_str().unwrap().to_owned(), world, said: Vec::new() };
    fs::create_dir_all(site.world.path("tmp")).unwrap();
    let people = ["olga", "seq", "anna"].map(|name| Person::new(&site, name));
    let [olga, seq, anna] = &people;
    let place = site.location.clone();
    olga.ok(&mut site, &["init", &place, "--member", "olga", "--json"]);
    let server = Server::start(&place, &["--log-level", "trace"], &[]);
    site.location = server.url();
    for person in [seq, anna] {
        let card = format!("{}.card", person.name);
        let added = olga.ok(&mut site, &["member", "add", person.name, "--card", &card, "--json"]);
        let added: serde_json::Value = serde_json::from_str(&added).unwrap();
        person.ok(&mut site, &["join", added["invitation"].as_str().unwrap()]);
    }
    olga.ok(&mut site, &["dataset", "create", COHORT, "--title", "A cohort", "--uploader", "seq"]);
    site.world.write("run/reads.fastq", &Chosen::new("reads").array::<200_000>());
    site.world.write("run/notes.txt", b"some notes");
    (site, server, people)
}

fn custodian(site: &Site, person: &Person) -> file::FileCustodian {
    let path = site.world.path(&format!("{}.id", person.name));
    file::unlock(&path, &Passphrase::new(person.passphrase.clone()).unwrap()).unwrap()
}

/// All secrets that are known now.
fn all(site: &Site, people: &[Person]) -> (Needles, Found) {
    let mut needles = Needles::default();
    people.iter().for_each(|person| person.needles(&mut needles));
    let custodian = custodian(site, &people[0]);
    let found = keys::dataset(&mut needles, &site.world.path("vault"), &custodian, COHORT);
    (needles, found)
}

#[track_caller]
fn nothing(what: &str, found: &BTreeSet<String>) {
    assert!(found.is_empty(), "{what} keeps {found:#?}");
}

#[test]
fn no_client_and_no_server_keeps_a_secret_in_memory() {
    let (mut site, server, people) = site();
    let [olga, seq, anna] = &people;
    let mut problems = BTreeSet::new();
    let mut look = |what: &str, site: &Site, process: u32| {
        let (needles, _) = all(site, &people);
        for found in memory::search(process, &needles) {
            problems.insert(format!("{what}: {found}"));
        }
    };
    seq.held(&mut site, &["put", COHORT, "run"], |site, process| look("put", site, process));
    olga.held(&mut site, &["grant", COHORT, "anna"], |site, process| look("grant", site, process));
    anna.held(&mut site, &["get", COHORT, "--output", "got"], |site, process| look("get", site, process));
    anna.held(&mut site, &["cat", COHORT, "run/notes.txt"], |site, process| look("cat", site, process));
    anna.held(&mut site, &["ls", COHORT], |site, process| look("ls", site, process));
    olga.held(&mut site, &["verify", "--data"], |site, process| look("verify", site, process));
    olga.held(&mut site, &["rotate", COHORT], |site, process| look("rotate", site, process));
    anna.held(&mut site, &["seal", "run/notes.txt", "--to", "olga.card", "-o", "sealed"], |site, process| {
        look("seal", site, process)
    });
    olga.held(&mut site, &["open", "sealed", "-o", "opened"], |site, process| look("open", site, process));
    typed(olga, &mut site, &["ls", COHORT], |site, process| look("ls with a typed passphrase", site, process));
    look("the server", &site, server.id());
    nothing("what was shown", &{
        let mut shown = BTreeSet::new();
        let needles = all(&site, &people).0;
        needles.search(&needles.finder(), &site.said, &mut shown);
        shown
    });
    // What was searched for was there to be found.
    let (needles, found) = all(&site, &people);
    assert!(found.epochs >= 1 && needles.names().len() > 20, "{found:?} {:?}", needles.names());
    assert_eq!(fs::read(site.world.path("opened")).unwrap(), b"some notes");
    nothing("somebody", &problems);
}

#[test]
fn the_search_finds_what_a_client_at_work_holds() {
    let (mut site, _server, people) = site();
    let seq = &people[1];
    let (pause, held) = (site.world.path("pause"), site.world.path("held"));
    let mut command = seq.command(&site, &["put", COHORT, "run"]);
    command.env("SEQVAULT_TEST_PAUSE", format!("append:2:{}", pause.display())).env("SEQVAULT_TEST_HOLD", &held);
    let mut child = seq.start(command);
    wait_for(&pause, &mut child);
    let mut needles = Needles::default();
    seq.needles(&mut needles);
    let found = memory::search(child.id(), &needles);
    for secret in ["seq's signing seed, raw", "seq's KEM key, raw"] {
        assert!(found.iter().any(|hit| hit.starts_with(secret)), "{secret} is not found while it is in use: {found:?}");
    }
    // The passphrase is not needed any more.
    assert!(!found.iter().any(|hit| hit.contains("passphrase")), "{found:?}");
    fs::remove_file(&pause).unwrap();
    wait_for(&held, &mut child);
    // File and manifest keys of this upload are known once it is there.
    fs::remove_file(&held).unwrap();
    let output = child.wait_with_output().unwrap();
    site.said.extend(output.stderr);
    assert!(output.status.success());
    assert_eq!(all(&site, &people).1, Found { epochs: 1, manifests: 1, files: 2 });
}

/// The control: a process that keeps a secret in some form, and one that has cleared it.
#[test]
fn the_search_finds_every_form_of_a_secret_and_nothing_that_was_cleared() {
    if let Ok(form) = std::env::var(CHILD) {
        return keep(&form);
    }
    let secret: [u8; 32] = Chosen::new("control").array();
    let mut needles = Needles::default();
    needles.add("the control", &secret);
    for (form, kept) in [
        ("raw", true),
        ("hex", true),
        ("capital hex", true),
        ("base64", true),
        ("a list of numbers", true),
        ("cleared", false),
    ] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_search_finds_every_form_of_a_secret_and_nothing_that_was_cleared", "--nocapture"])
            .env(CHILD, form)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("it is there")), "{form}");
        let found = memory::search(child.id(), &needles);
        let right = |hit: &String| hit.starts_with(&format!("the control, {form}"));
        assert_eq!(found.iter().any(right), kept, "{form}: {found:?}");
        if !kept {
            nothing("a process that cleared it", &found);
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

/// Keeps a secret in one form until the input ends.
fn keep(form: &str) {
    let mut secret = Box::new([0u8; 32]);
    rand_core::TryRng::try_fill_bytes(&mut Chosen::new("control"), secret.as_mut_slice()).unwrap();
    let text = match form {
        "hex" => hex(secret.as_slice()),
        "capital hex" => hex(secret.as_slice()).to_uppercase(),
        "base64" => <base64ct::Base64 as base64ct::Encoding>::encode_string(secret.as_slice()),
        "a list of numbers" => format!("{secret:?}"),
        _ => String::new(),
    };
    if form != "raw" {
        secret.fill(0);
    }
    println!("it is there");
    let _ = std::io::stdin().read_line(&mut String::new());
    assert_eq!(std::hint::black_box((&secret, &text)).1.is_empty(), form == "raw" || form == "cleared");
}

/// Whatever the programs wrote: what they printed, logged, and left in files, of verbs that succeed, fail, are killed and go on.
#[test]
fn nothing_that_is_written_holds_a_secret() {
    let (mut site, server, people) = site();
    let [olga, seq, anna] = &people;
    // A journal that stays: the upload dies when its packs are there.
    let mut command = seq.command(&site, &["put", COHORT, "run"]);
    command.env("SEQVAULT_TEST_KILL", "before:3");
    let dead = seq.start(command).wait_with_output().unwrap();
    assert!(!dead.status.success());
    site.said.extend([&dead.stdout[..], &dead.stderr].concat());
    let journals = |site: &Site| {
        objects(&site.world.path("seq.state"))
            .into_keys()
            .filter(|name| name.contains("journal") || name.contains("uploads"))
            .count()
    };
    let kept = site.world.path("kept-state");
    vault_tests::world::copy_folder(&site.world.path("seq.state"), &kept);
    assert!(journals(&site) > 0, "the upload left no journal: {:?}", objects(&kept));
    seq.ok(&mut site, &["put", COHORT, "run"]);
    olga.ok(&mut site, &["grant", COHORT, "anna"]);
    anna.ok(&mut site, &["get", COHORT, "--output", "got", "--json"]);
    anna.ok(&mut site, &["ls", COHORT, "--json", "--checksums", "--long"]);
    olga.ok(&mut site, &["verify", "--data", "--json"]);
    olga.ok(&mut site, &["log", COHORT, "--json"]);
    olga.ok(&mut site, &["doctor", "--json"]);
    let before = all(&site, &people);
    olga.ok(&mut site, &["rotate", COHORT, "--json"]);
    // Errors: a wrong passphrase, a missing file, a former reader, a damaged pack, a server that is gone.
    let stranger = Person { passphrase: "quite another one than that".to_owned(), ..Person::new(&site, "eve") };
    assert!(!stranger.run(&mut site, &["ls", COHORT]).status.success());
    assert!(!anna.run(&mut site, &["cat", COHORT, "no/such"]).status.success());
    olga.ok(&mut site, &["revoke", COHORT, "anna"]);
    assert!(!anna.run(&mut site, &["get", COHORT, "--output", "again"]).status.success());
    let vault = site.world.path("vault");
    let pack = objects(&vault).into_keys().find(|name| name.starts_with("packs/") && !name.contains('.')).unwrap();
    let bytes = fs::read(vault.join(&pack)).unwrap();
    fs::write(vault.join(&pack), vec![7; bytes.len()]).unwrap();
    assert!(!olga.run(&mut site, &["get", COHORT, "--output", "damaged"]).status.success());
    fs::write(vault.join(&pack), bytes).unwrap();
    let log = server.log();
    server.kill();
    assert!(!olga.run(&mut site, &["ls", COHORT]).status.success());
    assert!(log.lines().count() > 50, "the log says little: {log}");

    let (mut needles, found) = before;
    assert_eq!(found, Found { epochs: 1, manifests: 1, files: 2 });
    keys::dataset(&mut needles, &vault, &custodian(&site, olga), COHORT);
    let finder = needles.finder();
    let search = |name: &str, bytes: &[u8]| {
        let mut found = BTreeSet::new();
        needles.search(&finder, bytes, &mut found);
        nothing(name, &found);
    };
    search("what was printed", &site.said);
    search("the server's log", log.as_bytes());
    let files: Vec<PathBuf> = objects(site.world.root()).into_keys().map(|name| site.world.path(&name)).collect();
    assert!(files.len() > 40);
    for path in &files {
        search(&path.display().to_string(), &fs::read(path).unwrap());
    }
    // The control: the same search over the same place finds what is there.
    let planted = site.world.write("tmp/planted", format!("x{}", hex(&olga.seed)).as_bytes());
    let mut hits = BTreeSet::new();
    needles.search(&finder, &fs::read(planted).unwrap(), &mut hits);
    assert!(hits.iter().any(|hit| hit.starts_with("olga's signing seed, hex")), "{hits:?}");
}

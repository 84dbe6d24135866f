//! `identity`, `seal` and `open` as a person or a script runs them: the compiled command, its files, exit codes and words.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

const PASSPHRASE: &str = "correct horse";
const SEGMENT: usize = 65_536;
const SEALED_SEGMENT: usize = 65_568;
const FLOE_HEADER: usize = 74;

/// A folder with nothing of the user's in its environment.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seqvault"));
        command.current_dir(self.0.path()).env_clear().env("HOME", self.0.path()).env("P", PASSPHRASE);
        command.args(["--passphrase-env", "P"]).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must fail with an exit code, and returns what it said.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        said(&output)
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Makes an identity `<name>.id` with a cheap passphrase cost, and its card `<name>.card`.
    fn identity(&self, name: &str, suite: &str) {
        let file = format!("{name}.id");
        self.ok(&["identity", "new", &file, "--label", name, "--suite", suite, "--kdf-memory=8", "--kdf-passes=1"]);
        fs::write(self.path(&format!("{name}.card")), self.ok(&["identity", "card", &file])).unwrap();
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A sealed file `f.sealed` of `size` bytes for `anna`, and its content.
    fn sealed(&self, size: usize) -> (Vec<u8>, Vec<u8>) {
        let plain = content(size);
        self.write("f", &plain);
        self.ok(&["seal", "f", "--to", "anna.card", "--force"]);
        fs::remove_file(self.path("f")).unwrap();
        (plain, self.read("f.sealed"))
    }

    /// Opens other bytes as `f.sealed` to a file and to standard output; both must fail with `code`, the file must not
    /// be there, and what came out must be the beginning of the content.
    fn refuses(&self, code: i32, sealed: &[u8], plain: &[u8]) -> String {
        self.write("f.sealed", sealed);
        let said = self.fails(code, &["open", "f.sealed", "--identity", "anna.id"]);
        assert!(!self.path("f").exists());
        let streamed = self.run(&["open", "f.sealed", "-o", "-", "--identity", "anna.id"]);
        assert_eq!(streamed.status.code(), Some(code));
        assert!(
            plain.starts_with(&streamed.stdout) && streamed.stdout.len().is_multiple_of(SEGMENT)
                || streamed.stdout == plain
        );
        assert!(!self.names().iter().any(|n| n.starts_with('.')), "{:?}", self.names());
        said
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|i| u8::try_from((i % 251) ^ ((i >> 16) & 3)).unwrap_or(0)).collect()
}

fn head_len(suite: &str, cards: usize) -> usize {
    11 + cards * (32 + if suite == "1" { 80 } else { 1168 })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_identity_shows_its_card_and_never_overwrites() {
    let room = Room::new();
    room.identity("lab", "2");
    assert_eq!(mode(&room.path("lab.id")), 0o600);
    let shown = room.json(&["identity", "show", "lab.id", "--json"]);
    assert_eq!(shown["label"], "lab");
    assert_eq!(shown["suite"], 2);
    assert_eq!(shown["fingerprint"].as_str().unwrap().split('-').count(), 8);
    assert_eq!(shown["card"].as_str().unwrap().len(), 64);
    let text = room.ok(&["identity", "show", "--identity", "lab.id"]);
    assert!(text.contains(shown["fingerprint"].as_str().unwrap()));

    let before = room.read("lab.id");
    let card = room.ok(&["identity", "card", "--identity", "lab.id"]);
    assert_eq!(card.lines().count(), 1);
    assert!(card.starts_with(r#"{"payload":""#));
    let said = room.fails(6, &["identity", "new", "lab.id"]);
    assert!(said.contains("lab.id exists already"), "{said}");
    assert_eq!(room.read("lab.id"), before);
}

#[test]
fn the_default_identity_is_in_the_users_configuration() {
    let room = Room::new();
    room.ok(&["identity", "new", "--kdf-memory=8", "--kdf-passes=1"]);
    assert!(room.path(".config/seqvault/identity").exists());
    assert_eq!(mode(&room.path(".config/seqvault")), 0o700);
    assert_eq!(room.json(&["identity", "show", "--json"])["label"], "");
    let output = room.command(["identity", "show"]).env("XDG_CONFIG_HOME", room.path("elsewhere")).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(said(&output).contains("identity new"), "{}", said(&output));
}

#[test]
fn a_cheap_passphrase_cost_is_bounded_and_warned_of() {
    let room = Room::new();
    let said = said(&room.run(&["--quiet", "identity", "new", "a.id", "--kdf-memory=8"]));
    assert!(said.contains("warning"), "{said}");
    room.fails(2, &["identity", "new", "b.id", "--kdf-memory=7"]);
    room.fails(2, &["identity", "new", "b.id", "--kdf-memory=1025"]);
    room.fails(2, &["identity", "new", "b.id", "--kdf-passes=17"]);
    room.fails(2, &["identity", "new", "b.id", "--suite=3"]);
    room.fails(2, &["identity", "new", "b.id", "--label", "a\nb"]);
    assert!(!room.path("b.id").exists());
}

#[test]
fn a_passphrase_is_changed_and_the_card_stays() {
    let room = Room::new();
    room.identity("anna", "1");
    let (plain, _) = room.sealed(10);
    let before = room.read("anna.id");
    let passwd = ["identity", "passwd", "anna.id", "--new-passphrase-env", "NEW", "--kdf-memory=8", "--kdf-passes=1"];
    let with =
        |old: &str, args: &[&str]| room.command(args).env("P", old).env("NEW", "battery staple").output().unwrap();

    assert_eq!(with("wrong", &passwd).status.code(), Some(7));
    assert_eq!(room.read("anna.id"), before);
    let output = with(PASSPHRASE, &passwd);
    assert!(output.status.success(), "{}", said(&output));
    assert_ne!(room.read("anna.id"), before);
    assert_eq!(mode(&room.path("anna.id")), 0o600);
    assert_eq!(room.ok(&["identity", "card", "anna.id"]), String::from_utf8(room.read("anna.card")).unwrap());
    room.fails(7, &["open", "f.sealed", "--identity", "anna.id"]);
    assert!(with("battery staple", &["open", "f.sealed", "--identity", "anna.id"]).status.success());
    assert_eq!(room.read("f"), plain);
}

#[test]
fn a_passphrase_comes_from_a_descriptor_and_changes_behind_a_link() {
    let room = Room::new();
    room.identity("anna", "1");
    std::os::unix::fs::symlink("anna.id", room.path("link.id")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_seqvault"));
    child.current_dir(room.0.path()).env_clear().env("NEW", "new").stdin(Stdio::piped()).stderr(Stdio::null());
    child.args(["identity", "passwd", "link.id", "--passphrase-fd=0", "--new-passphrase-env=NEW", "--kdf-memory=8"]);
    let mut child = child.stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSPHRASE}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fs::symlink_metadata(room.path("link.id")).unwrap().is_symlink());
    room.sealed(1);
    room.fails(7, &["open", "f.sealed", "--identity", "anna.id"]);
}

#[test]
fn without_a_terminal_nobody_can_be_asked() {
    let room = Room::new();
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_seqvault"), "identity", "new", "a.id"]);
    let output = command.current_dir(room.0.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(said(&output).contains("--passphrase-fd"));
    assert!(room.names().is_empty());
}

#[test]
fn unusable_identity_files_are_refused() {
    let room = Room::new();
    room.identity("anna", "2");
    room.sealed(1);
    let open = ["open", "f.sealed", "-o", "out", "--identity", "bad.id"];
    let whole = room.read("anna.id");
    for end in [0, 10, 30, 200, whole.len() - 1] {
        room.write("bad.id", &whole[..end]);
        fs::set_permissions(room.path("bad.id"), fs::Permissions::from_mode(0o600)).unwrap();
        room.fails(7, &open);
    }
    room.write("bad.id", &[&whole[..], b"x"].concat());
    room.fails(7, &open);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    room.write("bad.id", &flipped);
    assert!(room.fails(7, &open).contains("wrong passphrase, or the file is damaged"));

    fs::copy(room.path("anna.id"), room.path("bad.id")).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(room.path("bad.id"), fs::Permissions::from_mode(mode)).unwrap();
        assert!(room.fails(7, &open).contains("0600"));
    }
    room.fails(7, &["open", "f.sealed", "--identity", "nowhere.id"]);
    room.fails(7, &["open", "f.sealed", "--identity", "."]);
    let wrong = room.command(["open", "f.sealed", "--identity", "anna.id"]).env("P", "wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(7));
    assert!(!room.path("f").exists() && !room.path("out").exists());
}

#[test]
fn files_of_every_size_read_back_in_both_suites() {
    for suite in ["1", "2"] {
        let room = Room::new();
        room.identity("anna", suite);
        for size in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 16 * SEGMENT, 16 * SEGMENT + 1, 3_000_000] {
            let (plain, sealed) = room.sealed(size);
            let segments = size.div_ceil(SEGMENT).max(1);
            assert_eq!(sealed.len(), head_len(suite, 1) + FLOE_HEADER + size + 32 * segments, "{size}");
            let result = room.json(&["open", "f.sealed", "--identity", "anna.id", "--json"]);
            assert_eq!(result["bytes"], size);
            assert_eq!(result["output"], "f");
            assert!(room.read("f") == plain, "{size}");
            assert_eq!(mode(&room.path("f")), 0o600);
            fs::remove_file(room.path("f")).unwrap();
        }
    }
}

#[test]
fn every_named_card_opens_and_no_other() {
    let room = Room::new();
    for name in ["anna", "ben", "carl"] {
        room.identity(name, "2");
    }
    room.write("f", b"content");
    let args = ["seal", "f", "--to", "anna.card", "--to", "anna.card", "--to-self", "--identity", "ben.id", "--json"];
    let result = room.json(&args);
    assert_eq!(result["cards"].as_array().unwrap().len(), 2);
    assert_eq!(result["suite"], 2);
    assert_eq!(result["output"], "f.sealed");
    for name in ["anna", "ben"] {
        assert_eq!(room.ok(&["open", "f.sealed", "-o", "-", "--identity", &format!("{name}.id")]), "content");
    }
    let said = room.fails(4, &["open", "f.sealed", "-o", "out", "--identity", "carl.id"]);
    assert!(said.contains("not sealed to this identity"), "{said}");
    let shown = room.json(&["identity", "show", "anna.id", "--json"]);
    assert!(said.contains(shown["fingerprint"].as_str().unwrap()), "{said}");
    assert!(!room.path("out").exists());
}

#[test]
fn standard_input_and_output_stream() {
    let room = Room::new();
    room.identity("anna", "2");
    for size in [0, SEGMENT, 40 * SEGMENT + 7] {
        let plain = content(size);
        let sealed = through(&room, &["seal", "-", "--to", "anna.card"], &plain);
        let opened = through(&room, &["open", "-", "--identity", "anna.id"], &sealed);
        assert!(opened == plain, "{size}");
        room.write("in.sealed", &sealed);
        room.ok(&["open", "in.sealed", "-o", "/dev/null", "--identity", "anna.id"]);
    }
    let said = room.fails(2, &["open", "-", "--identity", "anna.id", "--passphrase-fd", "0"]);
    assert!(said.contains("cannot be used") || said.contains("can't be both"), "{said}");
}

fn through(room: &Room, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = room.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn bad_cards_are_refused_by_name() {
    let room = Room::new();
    room.identity("anna", "2");
    room.identity("old", "1");
    room.write("f", b"content");
    let card = String::from_utf8(room.read("anna.card")).unwrap();
    // The last digit of the signature that is not padding.
    let at = card.rfind('=').unwrap() - 3;
    let mut changed = card.clone().into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    room.write("bad.card", &changed);
    let said = room.fails(5, &["seal", "f", "--to", "anna.card", "--to", "bad.card"]);
    assert!(said.contains("bad.card") && said.contains("signature"), "{said}");
    for text in ["", "{}", "no card at all", &card[..card.len() / 2]] {
        room.write("bad.card", text.as_bytes());
        assert!(room.fails(5, &["seal", "f", "--to", "bad.card"]).contains("bad.card"));
    }
    room.fails(3, &["seal", "f", "--to", "missing.card"]);
    let said = room.fails(2, &["seal", "f", "--to", "anna.card", "--to", "old.card"]);
    assert!(said.contains("suite 1: old; suite 2: anna"), "{said}");
    room.fails(2, &["seal", "f"]);
    assert!(!room.path("f.sealed").exists());
}

#[test]
fn a_sealed_file_that_is_cut_short_is_refused() {
    let room = Room::new();
    room.identity("anna", "1");
    let (plain, sealed) = room.sealed(2 * SEGMENT + 5);
    let body = head_len("1", 1);
    let first = body + FLOE_HEADER;
    for end in [0, 5, 10, 11, body - 1, body, first - 1, first, first + 1, first + SEALED_SEGMENT - 1]
        .into_iter()
        .chain([first + SEALED_SEGMENT, first + SEALED_SEGMENT + 1, first + 2 * SEALED_SEGMENT, sealed.len() - 1])
    {
        room.refuses(5, &sealed[..end], &plain);
    }
    let (plain, sealed) = room.sealed(SEGMENT + 1);
    let said = room.refuses(5, &sealed[..first + SEALED_SEGMENT], &plain);
    assert!(said.contains("cut short after 65536 bytes"), "{said}");
}

#[test]
fn a_sealed_file_that_is_longer_is_refused() {
    let room = Room::new();
    room.identity("anna", "1");
    for size in [0, 5, SEGMENT, 16 * SEGMENT] {
        let (plain, sealed) = room.sealed(size);
        let said = room.refuses(5, &[&sealed[..], b"x"].concat(), &plain);
        assert!(said.contains("after its end"), "{said}");
    }
}

#[test]
fn a_sealed_file_with_a_flipped_bit_is_refused() {
    let room = Room::new();
    room.identity("anna", "1");
    room.identity("ben", "1");
    let plain = content(SEGMENT + 5);
    room.write("f", &plain);
    room.ok(&["seal", "f", "--to", "anna.card", "--to", "ben.card"]);
    fs::remove_file(room.path("f")).unwrap();
    let sealed = room.read("f.sealed");
    let first = head_len("1", 2) + FLOE_HEADER;
    // Magic, suite, count, both seals, FLOE parameters, IV, tag, each part of both segments.
    for at in [0, 7, 8, 9, 11 + 40, 11 + 112 + 40, first - 74, first - 60, first - 1, first, first + 4, first + 20]
        .into_iter()
        .chain([first + SEALED_SEGMENT - 1, first + SEALED_SEGMENT, first + SEALED_SEGMENT + 9, sealed.len() - 1])
    {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        room.refuses(5, &changed, &plain);
    }
    room.write("f.sealed", b"something else entirely");
    assert!(room.fails(5, &["open", "f.sealed", "--identity", "anna.id"]).contains("not a sealed file"));
}

#[test]
fn nothing_is_overwritten_unless_told_so() {
    let room = Room::new();
    room.identity("anna", "1");
    room.write("f", b"content");
    room.ok(&["seal", "f", "--to", "anna.card"]);
    let before = room.read("f.sealed");
    let said = room.fails(6, &["seal", "f", "--to", "anna.card"]);
    assert!(said.contains("f.sealed exists already") && said.contains("--force"), "{said}");
    assert_eq!(room.read("f.sealed"), before);
    room.ok(&["seal", "f", "--to", "anna.card", "--force"]);
    assert_ne!(room.read("f.sealed"), before);

    room.write("f", b"mine");
    room.fails(6, &["open", "f.sealed", "--identity", "anna.id"]);
    assert_eq!(room.read("f"), b"mine");
    room.ok(&["open", "f.sealed", "--identity", "anna.id", "--force"]);
    assert_eq!(room.read("f"), b"content");

    room.fails(2, &["seal", "f", "--to", "anna.card", "-o", "./f", "--force"]);
    room.fails(2, &["seal", ".", "--to", "anna.card"]);
    room.fails(2, &["seal", "f", "--to", "anna.card", "-o", "."]);
    room.fails(3, &["seal", "missing", "--to", "anna.card"]);
    room.fails(3, &["seal", "f", "--to", "anna.card", "-o", "missing/f.sealed"]);
    room.fails(2, &["open", "f", "--identity", "anna.id"]);
    assert_eq!(room.read("f"), b"content");
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let room = Room::new();
    room.identity("anna", "1");
    let (_, sealed) = room.sealed(10);
    room.write("f.sealed", &sealed);
    assert!(room.fails(8, &["open", "f.sealed", "-o", "/dev/full", "--identity", "anna.id"]).contains("No space"));
}

#[test]
fn failures_are_json_when_results_are() {
    let room = Room::new();
    for (code, kind, args) in [
        (2, "usage", &["seal", "--json"][..]),
        (3, "not-found", &["seal", "missing", "--to", "missing.card", "--json"]),
        (7, "identity", &["identity", "show", "missing.id", "--json"]),
    ] {
        let said = room.fails(code, args);
        let value: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(value["error"]["kind"], kind);
        assert!(value["error"]["message"].is_string());
    }
}

#[test]
fn options_stand_before_and_after_the_verb_and_beat_the_environment() {
    let room = Room::new();
    room.identity("anna", "1");
    let shown = |args: &[&str]| {
        let output = room.command(args).env("SEQVAULT_IDENTITY", "missing.id").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    };
    shown(&["--identity", "anna.id", "identity", "show"]);
    shown(&["identity", "--identity", "anna.id", "show"]);
    shown(&["identity", "show", "--identity", "anna.id"]);
    let output = room.command(["identity", "show"]).env("SEQVAULT_IDENTITY", "anna.id").output().unwrap();
    assert!(output.status.success());
}

#[test]
fn every_verbs_help_has_an_example() {
    let room = Room::new();
    for args in [&["seal", "--help"][..], &["open", "--help"], &["identity", "--help"], &["identity", "new", "--help"]]
    {
        assert!(room.ok(args).contains("Example:\n  seqvault"), "{args:?}");
    }
}

#[test]
fn an_interrupted_seal_exits_with_130_and_a_killed_one_leaves_no_half_file() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let room = Room::new();
        room.identity("anna", "1");
        let before = room.names();
        let mut child = room.command(["seal", "-", "--to", "anna.card", "-o", "out"]);
        let mut child = child.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // More than a pipe and the pipeline hold: once it is taken, the seal is under way.
        child.stdin.as_mut().unwrap().write_all(&vec![0; 16 << 20]).unwrap();
        let began = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let code = child.wait().unwrap().code();
        assert!(!room.path("out").exists());
        if signal != Signal::KILL {
            assert_eq!(code, Some(130));
            assert!(began.elapsed() < Duration::from_secs(4));
            assert_eq!(room.names(), before);
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_an_open_quietly() {
    let room = Room::new();
    room.identity("anna", "1");
    room.sealed(20_000_000);
    let mut child = room.command(["open", "f.sealed", "-o", "-", "--identity", "anna.id"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "");
}

#[test]
fn a_file_that_changes_while_it_is_sealed_is_a_conflict() {
    let room = Room::new();
    room.identity("anna", "1");
    let file = fs::File::create(room.path("f")).unwrap();
    file.set_len(3 << 30).unwrap();
    let mut child = room.command(["seal", "f", "--to", "anna.card", "-o", "/dev/null"]);
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    // All the time, because nobody knows when the command has opened the file.
    while child.try_wait().unwrap().is_none() {
        (&file).write_all(b"changed").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert!(said(&output).contains("changed while it was read"));
}

//! A person at a terminal: the passphrase is typed, progress is drawn, Ctrl-C stops a transfer and the same command goes on, wherever the vault is.
//!
//! `script` gives the command a terminal of its own; what the test writes to it is typed there.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use vault_tests::world::{PASSPHRASE, Person};

use crate::transfer::{
    AT_ONCE, DATA, LATE_READ, bench, files, journals, no_leftovers, noise, packs, settled, wait_until,
};

const PACK: usize = 33_554_432;
const COLUMNS: usize = 80;

/// A command at a terminal.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Runs a command as somebody who has to type their passphrase.
    fn run(who: &Person, args: &[&str]) -> Self {
        Self::run_and(who, args, "true")
    }

    /// As [`Self::run`], and then another command, on the same terminal.
    fn run_and(who: &Person, args: &[&str], then: &str) -> Self {
        Self::of(&who.command(args), then)
    }

    /// As [`Self::run`], of a command that waits at a point for good.
    fn run_to(who: &Person, at: &str, args: &[&str]) -> Self {
        Self::of(&who.paused(at, args).0, "true")
    }

    fn of(prepared: &Command, then: &str) -> Self {
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
        // All but the option that names where the passphrase is, which stands at the end.
        let count = prepared.get_args().count() - 2;
        let words: Vec<String> =
            [prepared.get_program()].into_iter().chain(prepared.get_args().take(count)).map(quoted).collect();
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--flush", "--command"])
            // Ctrl-C reaches the shell as well, which goes on to the end.
            .arg(format!(
                "trap : INT; tty; stty rows 24 columns {COLUMNS}; {}; code=$?; {then}; exit $code",
                words.join(" ")
            ))
            .arg("/dev/null")
            .env_clear()
            .envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env_remove("SEQVAULT_TESTS_PASSPHRASE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(folder) = prepared.get_current_dir() {
            script.current_dir(folder);
        }
        let mut child = script.spawn().unwrap();
        let (keyboard, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut part) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..n]);
            }
        });
        Self { child, keyboard, screen, reader }
    }

    fn shows(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits for the question. It is asked first, and then the terminal's echo is turned off.
    fn is_asked(&self) {
        wait_until(|| self.shows().to_lowercase().contains("passphrase"));
        let shown = self.shows();
        let terminal = shown.lines().find(|line| line.starts_with("/dev/")).unwrap().trim_end();
        wait_until(|| {
            let told = Command::new("stty").args(["--all", "--file", terminal]).output().unwrap();
            String::from_utf8_lossy(&told.stdout).contains("-echo ")
        });
    }

    /// Waits for the question, and answers it.
    fn unlock(&mut self) {
        self.is_asked();
        self.types(&format!("{PASSPHRASE}\n"));
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// The exit code, and everything that was shown.
    fn ends(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        drop(self.keyboard);
        self.reader.join().unwrap();
        let shown = String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        assert!(!shown.contains(PASSPHRASE), "the passphrase is shown: {shown}");
        assert_eq!(shown.to_lowercase().matches("passphrase").count(), 1, "asked for more than once: {shown}");
        (code, shown)
    }
}

/// What a terminal shows, line by line, without its colours and moves of the cursor.
fn lines(shown: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                let _ = rest.by_ref().find(char::is_ascii_alphabetic);
            }
            '\r' => text.push('\n'),
            c => text.push(c),
        }
    }
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// What is said at the end of a command that was stopped.
fn says_how_to_go_on(code: Option<i32>, shown: &str) {
    assert_eq!(code, Some(130), "{shown}");
    let lines = lines(shown);
    let [.., what, how] = &lines[..] else { panic!("{shown}") };
    assert!(what.contains("seqvault: interrupted") && how.contains("run the same command again"), "{shown}");
}

/// Progress is drawn on one line that the terminal does not wrap.
fn draws(shown: &str) {
    let bars: Vec<String> =
        lines(shown).into_iter().filter(|line| line.contains(" MB/") || line.contains(" B/")).collect();
    assert!(!bars.is_empty(), "no progress: {shown}");
    for bar in bars {
        // What was typed shows as well.
        assert!(bar.trim_end_matches("^C").chars().count() <= COLUMNS, "{bar}");
    }
}

fn names(folder: &Path) -> Vec<String> {
    if folder.exists() { files(folder).into_keys().collect() } else { Vec::new() }
}

#[test]
fn ctrl_c_stops_a_put_at_a_terminal_and_the_same_command_goes_on() {
    let world = bench();
    let bytes = noise(7 * PACK, 41);
    world.write("run/big", &bytes);
    let seq = world.person("seq");
    let state = names(&seq.state());
    let args = ["put", DATA, "run"];
    let mut put = Terminal::run_to(&seq, "any:7", &args);
    put.unlock();
    wait_until(|| packs(&world).len() > AT_ONCE);
    put.types("\u{3}");
    let (code, shown) = put.ends();
    says_how_to_go_on(code, &shown);
    draws(&shown);
    assert_eq!(journals(&seq), 1);
    let before = settled(&world);
    world.person("anna").gets_nothing(3, DATA);
    let mut put = Terminal::run(&seq, &args);
    put.unlock();
    let (code, shown) = put.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("going on with the upload") && shown.contains("from an earlier run"), "{shown}");
    assert!(packs(&world).is_superset(&before));
    assert_eq!(packs(&world).len(), 8);
    let strays: Vec<_> = names(&seq.state()).into_iter().filter(|name| !state.contains(name)).collect();
    assert!(strays.iter().all(|name| !name.contains("journal") && !name.contains("tmp")), "{strays:?}");
    assert!(world.person("anna").run(&["cat", DATA, "run/big"]).bytes() == bytes);
}

#[test]
fn ctrl_c_stops_a_get_at_a_terminal_and_the_same_command_goes_on() {
    let world = bench();
    let bytes = noise(5 * PACK, 42);
    world.write("big", &bytes);
    world.person("seq").ok(&["put", DATA, "big"]);
    let anna = world.person("anna");
    let (out, args) = (world.path("out"), ["get", DATA, "--output", "out"]);
    let mut get = Terminal::run_to(&anna, LATE_READ, &args);
    get.unlock();
    let part = out.join(".big.seqvault-part");
    wait_until(|| part.metadata().is_ok_and(|m| m.len() > 1_000_000));
    get.types("\u{3}");
    let (code, shown) = get.ends();
    says_how_to_go_on(code, &shown);
    draws(&shown);
    // What it goes on from, and nothing under the file's name.
    assert!(names(&out).iter().all(|name| name.starts_with(".big.seqvault-")), "{:?}", names(&out));
    let mut get = Terminal::run(&anna, &args);
    get.unlock();
    let (code, shown) = get.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(fs::read(out.join("big")).unwrap() == bytes);
    no_leftovers(&out);
}

#[test]
fn ctrl_c_at_the_question_for_the_passphrase_ends_it_and_the_terminal_has_its_echo_again() {
    let world = bench();
    world.write("run/a", b"abc");
    let mut put = Terminal::run_and(&world.person("seq"), &["put", DATA, "run"], "stty -a");
    put.is_asked();
    put.types("\u{3}");
    let (code, shown) = put.ends();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
    assert_eq!(journals(&world.person("seq")), 0);
    assert!(packs(&world).is_empty());
}

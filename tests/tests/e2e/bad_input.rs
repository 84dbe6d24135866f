//! What is given wrongly, changes, breaks or is tampered with: each with an error that names it and says what to do, an exit code of the
//! table, and nothing lost or half written.
//!
//! A disk that is full is a limit on the length of a file that the command may write (`ulimit -f`, which needs no privilege and
//! gives EFBIG) and, for ENOSPC itself, a small tmpfs. That one needs privilege: without it the test fails loudly, unless
//! `SEQVAULT_NO_TMPFS=1` says that this is known.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::json as canonical;
use vault_keys::custodian::Custodian;
use vault_keys::passphrase::Passphrase;
use vault_tests::left_out;
use vault_tests::place::Place;
use vault_tests::world::{PASSPHRASE, Person, World, objects};

use crate::story::{COHORT, contents, is_sound, nothing_is_in_clear, reads, story};
use crate::transfer::{DATA, LATE_READ, bench, files, journals, no_leftovers, noise, packs, wait_until};

/// Signs a payload as somebody, whatever it says, and returns what would be stored.
fn signed(who: &Person, payload: Vec<u8>) -> Vec<u8> {
    let passphrase = Passphrase::new(PASSPHRASE.to_owned()).unwrap();
    let custodian = vault_keys::file::unlock(&who.identity(), &passphrase).unwrap();
    let keyid = *custodian.card().id();
    Envelope::signed_with(PayloadType::Statement, payload, keyid, |pae| custodian.sign(pae)).unwrap().emit()
}

fn payload(stored: &[u8]) -> Value {
    canonical::parse_value(&Envelope::parse(stored).unwrap().payload).unwrap()
}

fn signed_value(who: &Person, payload: &Value) -> Vec<u8> {
    signed(who, canonical::emit_value(payload).unwrap())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The error says all of this.
#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}

/// The error has a second line, indented: what to do.
#[track_caller]
fn hints(said: &str) {
    assert!(said.lines().any(|line| line.starts_with("  ") && line.trim().len() > 8), "no hint:\n{said}");
}

/// All ledger entries of a vault's folder.
fn entries(world: &World) -> usize {
    world.objects().keys().filter(|name| name.starts_with("ledger/") && !name.contains("bundle")).count()
}

// ---- Identities and cards ----

#[test]
fn a_wrong_passphrase_is_refused_and_changes_nothing() {
    let world = bench();
    world.write("run/a", b"x");
    let before = world.objects();
    for (who, args) in [
        ("seq", &["put", DATA, "run"][..]),
        ("lab", &["grant", DATA, "seq"]),
        ("anna", &["ls", DATA]),
        ("lab", &["rotate", DATA]),
        ("lab", &["revoke", DATA, "anna"]),
        ("anna", &["identity", "passwd"]),
    ] {
        let mut command = world.person(who).command(args);
        let done = command.env("SEQVAULT_TESTS_PASSPHRASE", "quite another one").output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(7), "{args:?}: {said}");
        says(&said, &[&format!("{who}.id"), "passphrase"]);
        hints(&said);
        assert!(!said.contains("quite another one"), "{said}");
    }
    assert_eq!(world.objects(), before);
    assert_eq!(journals(&world.person("seq")), 0);
    let none = world.person("anna").command(&["ls", DATA]).env_remove("SEQVAULT_TESTS_PASSPHRASE").output().unwrap();
    assert_eq!(none.status.code(), Some(7));
    says(&String::from_utf8(none.stderr).unwrap(), &["SEQVAULT_TESTS_PASSPHRASE"]);
}

#[test]
fn an_identity_file_that_is_cut_short_extended_or_flipped_is_named() {
    let world = bench();
    let anna = world.person("anna");
    let whole = fs::read(anna.identity()).unwrap();
    let mut flipped_end = whole.clone();
    *flipped_end.last_mut().unwrap() ^= 1;
    let mut flipped_start = whole.clone();
    flipped_start[0] ^= 1;
    let longer = [&whole[..], b"x"].concat();
    for (what, bytes) in [
        ("cut to half", &whole[..whole.len() / 2]),
        ("cut by one byte", &whole[..whole.len() - 1]),
        ("empty", &[][..]),
        ("one byte too long", &longer),
        ("its last bit flipped", &flipped_end),
        ("its first bit flipped", &flipped_start),
    ] {
        fs::write(anna.identity(), bytes).unwrap();
        let said = anna.fails(7, &["ls", DATA]);
        says(&said, &["anna.id"]);
        assert!(
            ["truncated", "damaged", "not an identity", "bytes"].iter().any(|w| said.contains(w)),
            "{what}: {said}"
        );
        assert_eq!(fs::read(anna.identity()).unwrap(), bytes);
    }
    fs::remove_file(anna.identity()).unwrap();
    let said = anna.fails(7, &["ls", DATA]);
    says(&said, &["anna.id", "identity new"]);
}

#[test]
fn an_identity_file_that_others_can_read_is_refused() {
    let world = bench();
    let anna = world.person("anna");
    for mode in [0o644, 0o640, 0o660, 0o604, 0o777] {
        fs::set_permissions(anna.identity(), fs::Permissions::from_mode(mode)).unwrap();
        let said = anna.fails(7, &["ls", DATA]);
        says(&said, &["anna.id", "other users", "0600", "chmod 600"]);
    }
    fs::set_permissions(anna.identity(), fs::Permissions::from_mode(0o600)).unwrap();
    anna.ok(&["ls", DATA]);
}

#[test]
fn a_card_that_is_not_what_its_owner_signed_is_refused() {
    let world = bench();
    let zoe = world.new_person("zoe");
    let card = fs::read(zoe.card()).unwrap();
    let envelope = Envelope::parse(card.trim_ascii_end()).unwrap();
    let mut signature = envelope.clone();
    signature.signature[5] ^= 1;
    let mut payload = envelope.clone();
    let at = payload.payload.windows(3).position(|w| w == b"zoe").unwrap();
    payload.payload[at] = b'Z';
    let mut other = envelope.clone();
    other.signature =
        Envelope::parse(fs::read(world.person("anna").card()).unwrap().trim_ascii_end()).unwrap().signature;
    let before = world.objects();
    world.write("file", b"x");
    for (what, bytes) in [
        ("its signature flipped", signature.emit()),
        ("its label changed", payload.emit()),
        ("somebody else's signature", other.emit()),
        ("cut short", card[..card.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("no card", b"hello\n".to_vec()),
    ] {
        fs::write(world.path("bad.card"), bytes).unwrap();
        for args in [
            &["member", "add", "zoe", "--card", "bad.card"][..],
            &["seal", "file", "--to", "bad.card", "--output", "sealed"],
        ] {
            let done = world.person("lab").run(args);
            assert!(done.code.is_some_and(|code| [2, 5].contains(&code)), "{what}: {:?} {}", done.code, done.stderr);
            says(&done.stderr, &["bad.card"]);
        }
    }
    let said = world.person("lab").fails(3, &["member", "add", "zoe", "--card", "no-such.card"]);
    says(&said, &["no-such.card"]);
    assert!(!world.path("sealed").exists());
    assert_eq!(world.objects(), before);
}

// ---- Grants and names ----

#[test]
fn nobody_is_granted_who_is_not_enrolled_is_retired_has_no_card_or_whose_end_has_passed() {
    let world = story();
    let lab = world.person("lab");
    let before = world.objects();
    says(&lab.fails(3, &["grant", COHORT, "stranger"]), &["stranger"]);
    for day in ["2001-01-01", "1970-01-01"] {
        says(&lab.fails(2, &["grant", COHORT, "eve", "--until", day]), &["--until", "past"]);
    }
    for day in ["tomorrow", "2027-02-30", "2027-1-1"] {
        says(&lab.fails(2, &["grant", COHORT, "eve", "--until", day]), &["until", day]);
    }
    assert_eq!(world.objects(), before);
    says(&world.person("anna").fails(4, &["grant", COHORT, "eve"]), &["anna", "lab"]);
    says(&world.person("officer").fails(4, &["grant", COHORT, "eve"]), &["officer"]);
    assert_eq!(world.objects(), before);
    world.person("officer").ok(&["member", "retire", "eve"]);
    let before = world.objects();
    says(&lab.fails(4, &["grant", COHORT, "eve"]), &["eve", "retired"]);
    assert_eq!(world.objects(), before);
    // What ends soon is granted, and over when it ends.
    is_sound(&world);
}

#[test]
fn what_does_not_exist_is_named_with_where_to_look() {
    let world = bench();
    world.write("run/a", b"x");
    let before = world.objects();
    for (who, args) in [
        ("seq", &["put", "no-such", "run"][..]),
        ("anna", &["get", "no-such"]),
        ("anna", &["ls", "no-such"]),
        ("anna", &["cat", "no-such", "x"]),
        ("lab", &["rm", "no-such", "x"]),
        ("lab", &["grant", "no-such", "anna"]),
        ("lab", &["revoke", "no-such", "anna"]),
        ("lab", &["rotate", "no-such"]),
        ("lab", &["log", "no-such"]),
        ("lab", &["dataset", "show", "no-such"]),
        ("lab", &["verify", "no-such"]),
    ] {
        let said = world.person(who).fails(3, args);
        says(&said, &["no-such", "dataset list"]);
    }
    let said = world.person("lab").fails(3, &["revoke", DATA, "nobody"]);
    says(&said, &["nobody"]);
    let said = world.person("seq").fails(3, &["put", DATA, "run", "not-there"]);
    says(&said, &["not-there"]);
    assert_eq!(world.objects(), before);
    assert_eq!(journals(&world.person("seq")), 0);
}

#[test]
fn a_path_twice_in_one_put_is_refused_and_both_sources_are_named() {
    let world = bench();
    world.write("one/same.txt", b"1");
    world.write("two/same.txt", b"2");
    let before = world.objects();
    let seq = world.person("seq");
    let said = seq.fails(2, &["put", DATA, "one/same.txt", "two/same.txt"]);
    says(&said, &["one/same.txt", "two/same.txt", "'same.txt'"]);
    let said = seq.fails(2, &["put", DATA, "one/", "two/"]);
    says(&said, &["one/same.txt", "two/same.txt"]);
    seq.fails(2, &["put", DATA, "one/same.txt", "one/same.txt"]);
    let said = seq.fails(2, &["put", DATA, "one/same.txt", "-", "--name", "same.txt"]);
    says(&said, &["one/same.txt", "standard input"]);
    world.write("three/same.txt/below", b"3");
    let said = seq.fails(2, &["put", DATA, "one/", "three/"]);
    says(&said, &["same.txt", "same.txt/below"]);
    assert_eq!(world.objects(), before);
    assert_eq!(journals(&seq), 0);
}

// ---- Inputs that move ----

#[test]
fn an_input_that_grows_while_it_is_read_is_not_committed() {
    let world = bench();
    world.write("run/a.log", &noise(40_000_000, 1));
    world.write("run/b", b"quiet");
    let stop = AtomicBool::new(false);
    let seq = world.person("seq");
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(world.path("run/a.log")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"one line more\n").unwrap();
            }
        });
        let done = seq.run(&["put", DATA, "run"]);
        stop.store(true, Ordering::Relaxed);
        done.fails(1)
    });
    says(&said, &["run/a.log", "changed while it was read", "same command"]);
    world.person("anna").gets_nothing(3, DATA);
    // It is quiet now.
    seq.ok(&["put", DATA, "run"]);
    assert!(world.person("anna").gets(DATA)["run/a.log"] == fs::read(world.path("run/a.log")).unwrap());
}

#[test]
fn an_input_that_is_changed_in_an_interrupted_put_is_stored_as_it_is_in_the_end() {
    let world = bench();
    world.write("run/a", &noise(70_000_000, 1));
    world.write("run/z", b"first");
    let seq = world.person("seq");
    assert!(seq.killed(vault_tests::world::Fault::After(3), &["put", DATA, "run"]));
    let mut file = fs::File::options().write(true).open(world.path("run/a")).unwrap();
    file.seek(SeekFrom::Start(1_000)).unwrap();
    file.write_all(b"changed").unwrap();
    drop(file);
    fs::write(world.path("run/z"), b"second, and longer").unwrap();
    seq.ok(&["put", DATA, "run"]);
    let got = world.person("anna").gets(DATA);
    assert!(got["run/a"] == fs::read(world.path("run/a")).unwrap());
    assert_eq!(got["run/z"], b"second, and longer");
    assert_eq!(world.person("lab").ok(&["verify", "--data"])["sound"], true);
}

#[test]
fn an_input_that_vanishes_after_it_was_listed_is_named_and_nothing_is_committed() {
    let world = bench();
    world.write("run/a", &noise(80_000_000, 1));
    let last = world.write("run/z", b"soon gone");
    let seq = world.person("seq");
    // Waits where the upload is opened: after the walk, before the first read.
    let mut put = seq.start_paused("append:1", &["put", DATA, "run"]);
    assert!(put.is_paused());
    fs::remove_file(&last).unwrap();
    let said = put.finish().fails(3);
    says(&said, &["run/z", "vanished", "same command"]);
    world.person("anna").gets_nothing(3, DATA);
    // The same command stores what there is now.
    let done = seq.ok(&["put", DATA, "run"]);
    assert_eq!(done["files"], 1);
    assert_eq!(world.person("anna").sees(DATA).into_keys().collect::<Vec<_>>(), ["run/a"]);
}

#[test]
fn an_input_that_becomes_something_else_after_it_was_listed_is_not_followed() {
    for replace in [
        (|path: &Path, victim: &Path| std::os::unix::fs::symlink(victim, path).unwrap()) as fn(&Path, &Path),
        |path, _| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path, _| fs::create_dir(path).unwrap(),
    ] {
        let world = bench();
        let victim = world.write("victim", b"not to be stored");
        let last = world.write("run/z", b"a file");
        let mut put = world.person("seq").start_paused("append:1", &["put", DATA, "run"]);
        assert!(put.is_paused());
        fs::remove_file(&last).unwrap();
        replace(&last, &victim);
        let said = put.finish().fails(1);
        says(&said, &["run/z", "no longer a regular file"]);
        world.person("anna").gets_nothing(3, DATA);
    }
}

// ---- Full disks, folders that can't be written ----

/// The command with a limit, in kB, on the length of the files that it writes, as a full disk for them. The signal that goes with the limit
/// is ignored, as it is on a disk that is really full.
fn limited(who: &Person, kilobytes: u64, args: &[&str]) -> (Option<i32>, String) {
    let whole = who.command(args);
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(whole.get_program()).args(whole.get_args());
    command.current_dir(whole.get_current_dir().unwrap()).env_clear();
    for (name, value) in whole.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn a_pack_that_the_disk_does_not_take_ends_a_put_that_goes_on_later() {
    left_out!(
        |place| place != Place::Folder,
        "the limit is on what the command itself writes, and here it writes no objects"
    );
    let world = bench();
    world.write("run/a", &noise(50_000_000, 1));
    let seq = world.person("seq");
    let args = ["put", DATA, "run"];
    let (code, said) = limited(&seq, 20_000, &args);
    assert_eq!(code, Some(8), "{said}");
    says(&said, &["packs/"]);
    hints(&said);
    assert!(!said.contains("bug"), "{said}");
    world.person("anna").gets_nothing(3, DATA);
    seq.ok(&args);
    assert!(world.person("anna").gets(DATA)["run/a"] == fs::read(world.path("run/a")).unwrap());
    no_strays(&world);
}

/// Nothing but objects is in the vault's folder, not even half ones.
#[track_caller]
fn no_strays(world: &World) {
    world.grow_old();
    world.person("lab").ok(&["doctor", "--repair"]);
    let report = world.person("lab").ok(&["doctor"]);
    assert_eq!(report["sound"], true, "{report}");
    for name in world.objects().into_keys() {
        let known = ["ledger/", "epochs/", "manifests/", "packs/", "index/", "seen/", "seqvault-format"];
        assert!(known.iter().any(|start| name.starts_with(start)), "{name}");
        assert!(!name.contains('#') && !name.contains("tmp"), "{name}");
    }
}

#[test]
fn a_file_that_the_disk_does_not_take_ends_a_get_that_goes_on_later() {
    let world = bench();
    world.write("run/a", &noise(50_000_000, 1));
    world.write("run/small", b"fits");
    world.person("seq").ok(&["put", DATA, "run"]);
    let anna = world.person("anna");
    let args = ["get", DATA, "--output", "out"];
    let (code, said) = limited(&anna, 20_000, &args);
    assert_eq!(code, Some(8), "{said}");
    says(&said, &["run/a", "same command"]);
    assert!(!world.path("out/run/a").exists(), "half a file has its name");
    anna.ok(&args);
    assert_eq!(files(&world.path("out/run")), files(&world.path("run")));
    no_leftovers(&world.path("out"));
}

/// A small file system in memory, unmounted in the end.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&at)
            .output()
            .is_ok_and(|done| done.status.success());
        if mounted {
            return Some(Self(at));
        }
        assert!(
            std::env::var_os("SEQVAULT_NO_TMPFS").is_some(),
            "a tmpfs can't be mounted here, so what a full disk does is not tested: run as root, or set SEQVAULT_NO_TMPFS=1"
        );
        eprintln!("SKIPPED: SEQVAULT_NO_TMPFS is set");
        None
    }

    fn set(&self, option: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status().unwrap();
        assert!(done.success(), "{option}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_under_the_vault_ends_a_put_and_more_room_lets_it_go_on() {
    left_out!(|place| place != Place::Folder, "the disk would be the store's or the server's");
    let world = bench();
    let saved = world.save_vault("saved");
    fs::remove_dir_all(world.vault()).unwrap();
    let Some(small) = Small::mount(world.vault(), "60m") else { return };
    vault_tests::world::copy_folder(&saved, &world.vault());
    world.write("run/a", &noise(100_000_000, 1));
    let seq = world.person("seq");
    let args = ["put", DATA, "run"];
    for _ in 0..2 {
        let said = seq.fails(8, &args);
        says(&said, &["packs/", "space"]);
        hints(&said);
        world.person("anna").gets_nothing(3, DATA);
    }
    small.set("size=500m");
    let done = seq.ok(&args);
    assert!(done["kept_bytes"].as_u64().unwrap() > 0, "what had been stored was stored again: {done}");
    assert!(world.person("anna").run(&["cat", DATA, "run/a"]).bytes() == fs::read(world.path("run/a")).unwrap());
    no_strays(&world);
}

#[test]
fn a_full_disk_under_a_get_keeps_what_is_there_and_more_room_lets_it_go_on() {
    let world = bench();
    world.write("run/a", &noise(70_000_000, 1));
    world.write("run/b", &noise(1000, 2));
    world.person("seq").ok(&["put", DATA, "run"]);
    let Some(small) = Small::mount(world.path("out"), "40m") else { return };
    let anna = world.person("anna");
    let args = ["get", DATA, "--output", "out"];
    for _ in 0..2 {
        let said = anna.fails(8, &args);
        says(&said, &["run/a", "full", "space"]);
        assert!(!world.path("out/run/a").exists());
    }
    small.set("size=200m");
    anna.ok(&args);
    assert_eq!(files(&world.path("out/run")), files(&world.path("run")));
    no_leftovers(&world.path("out"));
}

#[test]
fn a_full_disk_under_the_state_stops_a_put_and_no_read() {
    let world = bench();
    world.write("run/a", b"x");
    world.person("seq").ok(&["put", DATA, "run"]);
    world.write("more/b", b"y");
    for (who, args, stops) in
        [("anna", &["get", DATA, "--output", "out"][..], false), ("seq", &["put", DATA, "more"], true)]
    {
        let person = world.person(who);
        let saved = world.path("state-saved");
        let _ = fs::remove_dir_all(&saved);
        vault_tests::world::copy_folder(&person.state(), &saved);
        let Some(small) = Small::mount(person.state(), "8m") else { return };
        vault_tests::world::copy_folder(&saved, &person.state());
        let mut filler = fs::File::create(person.state().join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        let before = world.objects();
        if stops {
            let said = person.fails(8, args);
            says(&said, &["seq.state"]);
            hints(&said);
            assert_eq!(world.objects(), before);
        } else {
            person.ok(args);
        }
        drop(filler);
        fs::remove_file(person.state().join("filler")).unwrap();
        person.ok(args);
        drop(small);
    }
}

#[test]
fn a_state_folder_that_can_t_be_written_stops_a_put_and_no_read() {
    let world = bench();
    world.write("run/a", b"x");
    world.person("seq").ok(&["put", DATA, "run"]);
    world.write("more/b", b"y");
    for who in ["anna", "seq"] {
        let person = world.person(who);
        let saved = world.path(&format!("{who}-saved"));
        vault_tests::world::copy_folder(&person.state(), &saved);
        let Some(small) = Small::mount(person.state(), "8m") else { return };
        vault_tests::world::copy_folder(&saved, &person.state());
        small.set("ro");
        if who == "anna" {
            let done = person.run(&["get", DATA, "--output", "out"]);
            assert_eq!(done.code, Some(0), "{}", done.stderr);
            says(&done.stderr, &["can't be remembered", "anna.state"]);
        } else {
            let before = world.objects();
            let said = person.fails(8, &["put", DATA, "more"]);
            says(&said, &["seq.state", "ead-only"]);
            assert_eq!(world.objects(), before);
            small.set("rw");
            person.ok(&["put", DATA, "more"]);
        }
    }
}

#[test]
fn a_vault_that_can_t_be_written_is_read_and_says_so_to_who_writes() {
    left_out!(|place| place != Place::Folder, "the mount would be the store's or the server's");
    let world = bench();
    world.write("run/a", b"x");
    world.person("seq").ok(&["put", DATA, "run"]);
    let saved = world.save_vault("saved");
    fs::remove_dir_all(world.vault()).unwrap();
    let Some(small) = Small::mount(world.vault(), "20m") else { return };
    vault_tests::world::copy_folder(&saved, &world.vault());
    small.set("ro");
    world.write("more/b", b"y");
    for (who, args) in [
        ("seq", &["put", DATA, "more"][..]),
        ("lab", &["grant", DATA, "seq"]),
        ("lab", &["revoke", DATA, "anna"]),
        ("lab", &["rotate", DATA]),
        ("lab", &["rm", DATA, "run/a"]),
        ("lab", &["dataset", "create", "another"]),
    ] {
        let said = world.person(who).fails(8, args);
        says(&said, &["read-only"]);
        hints(&said);
    }
    assert_eq!(world.person("anna").gets(DATA)["run/a"], b"x");
    world.person("anna").ok(&["verify", "--data"]);
    small.set("rw");
    world.person("seq").ok(&["put", DATA, "more"]);
    assert_eq!(world.person("anna").gets(DATA).len(), 2);
}

#[test]
fn a_state_folder_that_is_a_file_or_damaged_is_named() {
    let world = bench();
    let anna = world.person("anna");
    let known = objects(&anna.state()).into_keys().find(|name| name.ends_with("known.json")).unwrap();
    let path = anna.state().join(&known);
    let whole = fs::read(&path).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"", b"[]"] {
        fs::write(&path, bytes).unwrap();
        let said = anna.fails(8, &["ls", DATA]);
        says(&said, &["known.json", "damaged", "join"]);
        assert_eq!(fs::read(&path).unwrap(), bytes, "what is damaged is not written over");
    }
    fs::write(&path, &whole).unwrap();
    anna.ok(&["ls", DATA]);
    fs::rename(anna.state(), world.path("aside")).unwrap();
    let said = anna.fails(4, &["ls", DATA]);
    says(&said, &["join", "anna.state"]);
    fs::write(anna.state(), b"a file").unwrap();
    let said = anna.fails(8, &["ls", DATA]);
    says(&said, &["anna.state"]);
}

// ---- Places that are no vault, or another's ----

#[test]
fn a_folder_that_is_no_vault_is_left_alone() {
    left_out!(|place| place != Place::Folder, "it is about folders");
    let world = bench();
    world.write("photos/one.jpg", b"a picture");
    fs::create_dir(world.path("hollow")).unwrap();
    let anna = world.person("anna");
    for place in ["photos", "hollow", "not-there", "photos/one.jpg"] {
        for args in [&["ls", DATA][..], &["verify"], &["doctor", "--repair"], &["get", DATA]] {
            let said = anna.at(&world.path(place)).fails(3, args);
            says(&said, &[place, "--vault"]);
            hints(&said);
        }
    }
    let said = world.person("lab").fails(2, &["init", "photos", "--member", "lab"]);
    says(&said, &["photos", "not empty", "one.jpg"]);
    let vault = world.vault();
    // Another head age, as the very same genesis within the same second is the same vault.
    let again = ["init", vault.to_str().unwrap(), "--member", "lab", "--head-age", "31"];
    let said = world.person("lab").fails(6, &again);
    says(&said, &["already"]);
    assert_eq!(files(&world.path("photos")), BTreeMap::from([("one.jpg".to_owned(), b"a picture".to_vec())]));
    assert_eq!(fs::read_dir(world.path("hollow")).unwrap().count(), 0);
    assert!(!world.path("not-there").exists());
}

#[test]
fn a_vault_of_an_unknown_version_is_neither_read_nor_written() {
    left_out!(Place::is_served, "no server serves it, see places");
    let world = bench();
    let marker = world.vault().join("seqvault-format");
    world.write("run/a", b"x");
    for text in ["seqvault 2\n", "seqvault 1", "seqvault 1\r\n", "", "hello\n"] {
        fs::write(&marker, text).unwrap();
        let before = world.objects();
        for (who, args) in
            [("anna", &["ls", DATA][..]), ("seq", &["put", DATA, "run"]), ("lab", &["doctor", "--repair"])]
        {
            let done = world.person(who).run(args);
            assert!(matches!(done.code, Some(1 | 3)), "{text:?} {args:?}: {:?} {}", done.code, done.stderr);
            hints(&done.stderr);
        }
        assert_eq!(world.objects(), before);
    }
    fs::write(&marker, "seqvault 2\n").unwrap();
    says(&world.person("anna").fails(1, &["ls", DATA]), &["seqvault 2", "version"]);
    fs::write(&marker, "seqvault 1").unwrap();
    says(&world.person("anna").fails(1, &["ls", DATA]), &[r#""seqvault 1";"#, r#"reads "seqvault 1\n""#]);
}

/// A vault whose genesis is changed and signed anew by its officer; nobody has joined it yet.
pub(crate) fn forged_vault(world: &World, change: impl Fn(&mut Value)) -> World {
    let forged = world.copy();
    // Not by `vault()`: no server knew it before.
    let entry = forged.path("vault/ledger/vault/0000000000");
    let mut genesis = payload(&fs::read(&entry).unwrap());
    change(&mut genesis);
    fs::write(&entry, signed_value(&world.person("lab"), &genesis)).unwrap();
    for name in objects(&forged.path("vault")).into_keys() {
        if !["ledger/vault/0000000000", "seqvault-format"].contains(&name.as_str()) {
            fs::remove_file(forged.path("vault").join(name)).unwrap();
        }
    }
    fs::remove_dir_all(forged.person("lab").state()).unwrap();
    forged
}

/// An invitation of the lab to a vault of which it is the officer, by its genesis.
fn invitation(world: &World) -> String {
    let stored = fs::read(world.vault().join("ledger/vault/0000000000")).unwrap();
    let hash = vault_core::ledger::fold::entry_hash(None, &stored).to_string();
    let bytes = canonical::emit_value(&json!({
        "hash": hash, "location": world.location(), "member": "lab", "seq": 0, "vault": hash,
    }));
    let text = canonical::to_b64(&bytes.unwrap()).replace('+', "-").replace('/', "_");
    format!("seqvault-invite-1.{}", text.trim_end_matches('='))
}

#[test]
fn a_vault_of_an_unknown_suite_is_not_joined() {
    left_out!(Place::is_served, "no server serves it, see places");
    let world = bench();
    // The way of making one works: unchanged, it is joined.
    let same = forged_vault(&world, |_| ());
    same.person("lab").ok(&["join", &invitation(&same)]);
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("suite 9", |genesis| genesis["body"]["suite"] = json!(9)),
        ("algorithms of no suite", |genesis| {
            let all = genesis["body"]["algorithms"].as_object_mut().unwrap();
            *all.values_mut().next().unwrap() = json!("rot13");
        }),
        ("format 9", |genesis| genesis["format"] = json!(9)),
        ("a member more", |genesis| genesis["body"]["backdoor"] = json!(true)),
    ];
    for (what, change) in changes {
        let forged = forged_vault(&world, change);
        let said = forged.person("lab").fails(5, &["join", &invitation(&forged)]);
        says(&said, &[forged.vault().to_str().unwrap(), "genesis"]);
        if what.starts_with("suite") {
            says(&said, &["suite", "not known to this version"]);
        }
        hints(&said);
        assert_eq!(objects(forged.root()).keys().filter(|name| name.contains("known.json")).count(), 3, "{what}");
    }
}

#[test]
fn a_folder_of_a_dataset_that_was_never_begun_disturbs_nobody() {
    let world = bench();
    world.write("run/a", b"x");
    world.person("seq").ok(&["put", DATA, "run"]);
    fs::create_dir_all(world.vault().join("ledger/dataset/never-begun")).unwrap();
    let lab = world.person("lab");
    assert_eq!(lab.ok(&["verify", "--data"])["sound"], true);
    assert_eq!(lab.ok(&["doctor", "--repair"])["sound"], true);
    assert!(!lab.ok(&["dataset", "list"]).to_string().contains("never-begun"));
    lab.ok(&["member", "list"]);
    lab.ok(&["log"]);
    says(&lab.fails(3, &["verify", "never-begun"]), &["never-begun"]);
    lab.ok(&["dataset", "create", "never-begun"]);
    lab.ok(&["dataset", "show", "never-begun"]);
}

// ---- Clocks ----

#[test]
fn a_clock_that_is_wrong_stops_sealing_and_no_reading() {
    let world = bench();
    world.write("run/a", b"before");
    world.person("seq").ok(&["put", DATA, "run"]);
    world.write("more/b", b"not yet");
    let day = 86_400;
    let run = |who: &str, offset: i64, args: &[&str]| {
        let mut command = world.person(who).command(args);
        let done = command.env("SEQVAULT_TEST_CLOCK", offset.to_string()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let before = world.objects();
    for (offset, words) in [
        (-3600, ["later than this machine's clock", "set this machine's clock"]),
        (40 * day, ["older than the 30 days", "seqvault doctor"]),
    ] {
        for (who, args) in
            [("seq", &["put", DATA, "more"][..]), ("lab", &["put", DATA, "more"]), ("lab", &["grant", DATA, "seq"])]
        {
            let (code, said) = run(who, offset, args);
            assert_eq!(code, Some(4), "{offset} {args:?}: {said}");
            says(&said, &words);
            hints(&said);
        }
        assert_eq!(world.objects(), before);
        for args in
            [&["ls", DATA][..], &["cat", DATA, "run/a"], &["get", DATA, "--output", "out"], &["verify"], &["log"]]
        {
            let (code, said) = run("anna", offset, args);
            assert_eq!(code, Some(0), "{offset} {args:?}: {said}");
        }
    }
    // A little is forgiven.
    assert_eq!(run("seq", -120, &["put", DATA, "more"]).0, Some(0));
    // What takes rights away never waits for a clock.
    assert_eq!(run("lab", -3600, &["revoke", DATA, "anna"]).0, Some(0));
    assert_eq!(run("lab", 40 * day, &["rotate", DATA]).0, Some(0));
    world.person("anna").gets_nothing(4, DATA);
}

#[test]
fn a_vault_whose_officers_are_silent_for_long_is_renewed_by_doctor() {
    let world = bench();
    let then = now() - 40 * 86_400;
    let forged = forged_vault(&world, |genesis| genesis["time"] = json!(then));
    let lab = forged.person("lab");
    lab.ok(&["join", &invitation(&forged)]);
    lab.ok(&["verify"]);
    lab.ok(&["doctor", "--repair"]);
    lab.ok(&["member", "role", "lab", "creator"]);
    lab.ok(&["dataset", "create", "renewed"]);
}

// ---- Statements ----

/// The next entry of a ledger: what an honest command would append, made in a copy.
pub(crate) fn next_entry(world: &World, who: &str, args: &[&str], ledger: &str) -> (String, Vec<u8>) {
    let before = world.objects();
    let copy = world.copy();
    copy.person(who).ok(args);
    let name = copy
        .objects()
        .into_keys()
        .find(|name| name.starts_with(ledger) && !before.contains_key(name) && !name.contains("bundle"))
        .unwrap();
    let bytes = fs::read(copy.vault().join(&name)).unwrap();
    (name, bytes)
}

#[test]
fn statements_with_unknown_extra_or_doubled_members_count_for_nothing_and_stop_nobody() {
    let story = story();
    let lab = story.person("lab");
    let role = ["member", "role", "eve", "uploader", "--dataset", COHORT];
    let (name, honest) = next_entry(&story, "lab", &role, &format!("ledger/dataset/{COHORT}/"));
    let good = payload(&honest);
    let text = String::from_utf8(canonical::emit_value(&good).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        signed_value(&lab, &value)
    };
    let mut flipped = Envelope::parse(&honest).unwrap();
    flipped.signature[0] ^= 1;
    let variants: Vec<(&str, Vec<u8>)> = vec![
        ("an extra member", with(&|v| v["zzz"] = json!(1))),
        ("an extra member of the body", with(&|v| v["body"]["zzz"] = json!(1))),
        ("a missing member", with(&|v| drop(v.as_object_mut().unwrap().remove("critical")))),
        ("a missing member of the body", with(&|v| drop(v["body"].as_object_mut().unwrap().remove("on")))),
        ("an unknown kind", with(&|v| v["kind"] = json!("uploader-blessed"))),
        (
            "an unknown kind that is not critical",
            with(&|v| {
                v["kind"] = json!("uploader-blessed");
                v["critical"] = json!(false);
            }),
        ),
        ("a newer format that no officer announced", with(&|v| v["format"] = json!(2))),
        ("a member of another type", with(&|v| v["body"]["on"] = json!("true"))),
        ("another number", with(&|v| v["seq"] = json!(99))),
        ("another ledger", with(&|v| v["ledger"] = json!("vault"))),
        ("another vault", with(&|v| v["vault"] = json!("0".repeat(64)))),
        ("a doubled member", signed(&lab, text.replacen("\"on\":true", "\"on\":false,\"on\":true", 1).into_bytes())),
        ("a doubled member outside", signed(&lab, text.replacen("\"seq\":", "\"seq\":0,\"seq\":", 1).into_bytes())),
        ("a space", signed(&lab, text.replacen("\"on\":true", "\"on\": true", 1).into_bytes())),
        ("a payload that is no JSON", signed(&lab, b"{".to_vec())),
        ("somebody else's signature", {
            let mut value = good.clone();
            value["author"] = json!("lab");
            signed_value(&story.person("anna"), &value)
        }),
        ("a flipped signature", flipped.emit()),
        ("a newline after the envelope", [&honest[..], b"\n"].concat()),
        ("half an envelope", honest[..honest.len() / 2].to_vec()),
        ("nothing", Vec::new()),
        ("no envelope", b"hello".to_vec()),
    ];
    for (what, bytes) in variants {
        let world = story.copy();
        fs::write(world.vault().join(&name), bytes).unwrap();
        let before = crate::story::shown(&world.person("anna"), COHORT)["uploaders"].clone();
        assert!(!before.to_string().contains("eve"), "{what} counted: {before}");
        let report = world.person("anna").ok(&["verify", COHORT]);
        let ledger = report["ledgers"].as_array().unwrap().iter().find(|l| l["ledger"] != "vault").unwrap();
        assert_eq!(report["sound"], true, "{what}: {report}");
        assert_eq!(ledger["void"].as_array().unwrap().len(), 1, "{what}: {report}");
        world.person("lab").ok(&["log", COHORT]);
        // The ledger goes on after it.
        world.person("lab").ok(&role);
        let after = crate::story::shown(&world.person("anna"), COHORT)["uploaders"].clone();
        assert!(after.to_string().contains("eve"), "{what} blocks the ledger: {after}");
        assert_eq!(world.person("anna").gets(COHORT), contents(), "{what}");
    }
}

// ---- Objects ----

/// One object of each kind of the bucket.
fn one_of_each_kind(world: &World) -> Vec<String> {
    let mut kinds = BTreeMap::new();
    for name in world.objects().into_keys() {
        let kind: Vec<String> = name
            .split('/')
            .map(|part| {
                let stem = part.split_once(['.', '-']).map_or(part, |(stem, _)| stem);
                let is_id = stem.len() >= 10 && stem.bytes().all(|b| b.is_ascii_hexdigit());
                if is_id {
                    part.rsplit_once('.').map_or("*".to_owned(), |(_, end)| format!("*.{end}"))
                } else {
                    part.to_owned()
                }
            })
            .collect();
        kinds.entry(kind.join("/")).or_insert(name);
    }
    kinds.into_values().collect()
}

/// The ways to change an object.
const CHANGES: [&str; 5] = ["cut", "emptied", "extended", "flipped", "gone"];

fn change(path: &Path, how: &str) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    match how {
        "cut" => bytes.truncate(bytes.len().saturating_sub(1)),
        "emptied" => bytes.clear(),
        "extended" => bytes.push(0),
        "flipped" if bytes.is_empty() => bytes.push(1),
        "flipped" => bytes[middle] ^= 0x10,
        _ => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

// What `get`, `verify` and the verbs that write make of damage is told in `tamper`.
#[test]
fn an_object_of_any_kind_that_is_changed_never_makes_cat_or_ls_say_something_else() {
    let world = story();
    let anna = world.person("anna");
    let listed = anna.run(&["ls", COHORT, "--checksums"]).bytes();
    let reads = reads(70_000);
    let whole = world.save_vault("whole");
    let mut refused = 0;
    for name in one_of_each_kind(&world).into_iter().filter(|name| name != "seqvault-format") {
        for how in CHANGES {
            let path = world.vault().join(&name);
            change(&path, how);
            let place = format!("{name} {how}");
            for args in [&["ls", COHORT, "--checksums"][..], &["cat", COHORT, "run/a/reads.fastq"]] {
                let done = anna.run(args);
                let right = if args[0] == "cat" { done.stdout == reads } else { done.stdout == listed };
                match done.code {
                    Some(0) => assert!(right, "{place}: {args:?} says something else\n{}", done.stderr),
                    Some(3 | 5) => {
                        refused += 1;
                        assert!(done.stderr.len() > 30, "{place}: {}", done.stderr);
                        assert!(reads.starts_with(&done.stdout) || args[0] == "ls", "{place}: other bytes");
                    }
                    code => panic!("{place}: {args:?} ends with {code:?}: {}", done.stderr),
                }
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(whole.join(&name), &path).unwrap();
        }
    }
    assert!(refused > 20, "{refused}");
    assert_eq!(anna.run(&["ls", COHORT, "--checksums"]).bytes(), listed);
    nothing_is_in_clear(&world);
}

// ---- A folder that disappears ----

#[test]
fn a_vault_that_disappears_during_a_put_and_comes_back_takes_the_same_command() {
    left_out!(|place| place != Place::Folder, "only a folder can be renamed");
    let world = bench();
    world.write("run/a", &noise(200_000_000, 1));
    let seq = world.person("seq");
    let args = ["put", DATA, "run"];
    // 200 MB are six packs: the third waits until the vault is gone.
    let mut put = seq.start_paused("any:4", &args);
    wait_until(|| !packs(&world).is_empty());
    assert!(put.is_paused());
    let away = world.path("unmounted");
    fs::rename(world.vault(), &away).unwrap();
    let said = put.finish().fails(8);
    says(&said, &["vault"]);
    assert_eq!(journals(&seq), 1);
    // A pack that was being written at that moment may have made the folder anew. It was never acknowledged, as it is not in the vault.
    if world.vault().exists() {
        let strays = objects(&world.vault());
        assert!(strays.keys().all(|name| name.starts_with("packs/")), "{strays:?}");
        fs::remove_dir_all(world.vault()).unwrap();
    }
    says(&seq.fails(3, &args), &["vault"]);
    fs::rename(&away, world.vault()).unwrap();
    seq.ok(&args);
    assert!(world.person("anna").run(&["cat", DATA, "run/a"]).bytes() == fs::read(world.path("run/a")).unwrap());
    no_strays(&world);
}

#[test]
fn a_vault_that_disappears_during_a_get_and_comes_back_takes_the_same_command() {
    left_out!(|place| place != Place::Folder, "only a folder can be renamed");
    let world = bench();
    world.write("run/a", &noise(200_000_000, 1));
    world.person("seq").ok(&["put", DATA, "run"]);
    let anna = world.person("anna");
    let args = ["get", DATA, "--output", "out"];
    let mut get = anna.start_paused(LATE_READ, &args);
    let part = world.path("out/run/.a.seqvault-part");
    wait_until(|| part.metadata().is_ok_and(|m| m.len() > 1_000_000));
    assert!(get.is_paused());
    let away = world.path("unmounted");
    fs::rename(world.vault(), &away).unwrap();
    let done = get.finish();
    let said = done.fails(8);
    says(&said, &["vault"]);
    assert!(!world.path("out/run/a").exists());
    assert!(!world.vault().exists());
    fs::rename(&away, world.vault()).unwrap();
    anna.ok(&args);
    assert_eq!(files(&world.path("out/run")), files(&world.path("run")));
    no_leftovers(&world.path("out"));
}

#[test]
fn another_vault_in_the_place_of_the_one_that_was_joined_is_noticed() {
    let world = bench();
    let other = bench_like(&world);
    fs::rename(world.vault(), world.path("aside")).unwrap();
    vault_tests::world::copy_folder(&other.vault(), &world.vault());
    world.write("run/a", b"x");
    for (who, args) in [("anna", &["ls", DATA][..]), ("seq", &["put", DATA, "run"])] {
        let done = world.person(who).run(args);
        assert!(matches!(done.code, Some(4 | 5)), "{:?} {}", done.code, done.stderr);
        says(&done.stderr, &["vault"]);
        hints(&done.stderr);
    }
    assert_eq!(entries(&world), entries(&other));
}

/// Another vault by the same officer.
fn bench_like(world: &World) -> World {
    let other = world.copy();
    fs::remove_dir_all(other.path("vault")).unwrap();
    other.person("lab").ok(&["init", other.vault().to_str().unwrap(), "--member", "lab"]);
    other
}

#[test]
fn a_writer_of_a_pipe_that_dies_leaves_what_it_wrote_and_no_half_upload_that_is_hidden() {
    // The end of a pipe is the end of its bytes: a command can't tell that its writer was killed, but what it stored is what it read.
    let world = bench();
    let mut child = world
        .person("seq")
        .command(&["put", DATA, "-", "--name", "s"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(100_000, 3)).unwrap();
    sleep(Duration::from_millis(20));
    drop(stdin);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(world.person("anna").gets(DATA)["s"], noise(100_000, 3));
}

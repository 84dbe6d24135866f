//! Putting and getting files as people have them: whatever their names, sizes and kinds, what comes back is what went in, and
//! nothing is written where it should not be. What a put and a get leave when they are killed or stopped, they go on from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use vault_tests::world::{Fault, Person, World, objects};

/// The dataset of these tests.
pub(crate) const DATA: &str = "data";

const SEGMENT: usize = 65_536;
const PACK: usize = 33_554_432;
/// What a file is full of whose plaintext is looked for.
const MARK: &[u8; 24] = b"plaintext that may not b";
/// Uploads that are under way at a time.
pub(crate) const AT_ONCE: usize = 4;
/// Where a get of at least five packs waits if it is to be met on its way: what is read ahead is four packs, so the first is written by then.
pub(crate) const LATE_READ: &str = "pack:5";

/// A vault with a lab that is officer and steward, two instruments that upload and a reader, and an empty dataset.
pub(crate) fn bench() -> World {
    static MADE: OnceLock<World> = OnceLock::new();
    MADE.get_or_init(|| {
        let world = World::new();
        for name in ["lab", "seq", "rival", "anna"] {
            let _ = world.new_person(name);
        }
        let lab = world.person("lab");
        lab.ok(&["init", world.vault().to_str().unwrap(), "--member", "lab"]);
        for name in ["seq", "rival", "anna"] {
            let card = format!("{name}.card");
            let added = lab.ok(&["member", "add", name, "--card", &card]);
            world.person(name).ok(&["join", added["invitation"].as_str().unwrap()]);
        }
        lab.ok(&["dataset", "create", DATA, "--uploader", "seq", "--uploader", "rival"]);
        lab.ok(&["grant", DATA, "anna"]);
        world
    })
    .copy()
}

/// Bytes that repeat nowhere, made fast.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The files in a folder.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    objects(folder).into_keys().map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap())).collect()
}

/// Nothing that an unfinished get keeps is in a folder.
#[track_caller]
pub(crate) fn no_leftovers(folder: &Path) {
    let left: Vec<_> = objects(folder).into_keys().filter(|name| name.contains(".seqvault-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The packs that the vault holds; not what a process that was killed had only begun to write into a folder, under a name that no object has.
pub(crate) fn packs(world: &World) -> BTreeSet<String> {
    world.objects().into_keys().filter(|name| name.starts_with("packs/") && !name.contains(['.', '#'])).collect()
}

/// Waits until nothing is stored any more that somebody sent who is gone: a server or store may still be at work on it. Returns the packs.
pub(crate) fn settled(world: &World) -> BTreeSet<String> {
    let (mut before, mut since) = (packs(world), Instant::now());
    while since.elapsed() < Duration::from_millis(700) {
        sleep(Duration::from_millis(50));
        let now = packs(world);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    before
}

/// The journals of uploads that somebody has left open.
pub(crate) fn journals(who: &Person) -> usize {
    if !who.state().exists() {
        return 0;
    }
    objects(&who.state()).into_keys().filter(|name| name.ends_with(".journal")).count()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    // It may have ended before.
    let _ = sent;
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn same(got: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected));
    for (name, bytes) in expected {
        assert!(got.get(name) == Some(bytes), "{name} differs");
    }
}

#[test]
fn a_whole_folder_comes_back_with_its_names_bytes_times_and_modes() {
    let world = bench();
    let run = world.path("run");
    let names = [
        "empty",
        "with spaces  and two.txt",
        "-begins-with-a-dash",
        "--output",
        "*[glob]?{a,b}!",
        "quote's \"and\" $(more) `x`;&",
        ".hidden",
        "trailing dot.",
        "\u{e9}t\u{e9} NFC",
        "e\u{301}te\u{301} NFD",
        "\u{6d4b}\u{5e8f}/\u{6837}\u{672c} 1.fq",
        "\u{1f9ec}/\u{1f468}\u{200d}\u{1f52c}.bam",
        "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}.txt",
        "deep/er/and/deeper/file",
    ];
    for (index, name) in names.iter().enumerate() {
        world.write(&format!("run/{name}"), &noise(index * 777, index as u64));
    }
    world.write(&format!("run/{}", "n".repeat(255)), b"as long as a name may be");
    let tool = world.write("run/tool.sh", b"#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    fs::File::options().append(true).open(run.join("empty")).unwrap().set_modified(old).unwrap();
    world.person("seq").ok(&["put", DATA, "run"]);
    world.person("anna").ok(&["get", DATA, "--output", "out", "--exact-names"]);
    let out = world.path("out/run");
    same(&files(&out), &files(&run));
    for name in files(&run).keys() {
        let (before, after) = (fs::metadata(run.join(name)).unwrap(), fs::metadata(out.join(name)).unwrap());
        assert_eq!(after.mtime(), before.mtime(), "{name}");
        assert_eq!(after.mode() & 0o100, before.mode() & 0o100, "{name}");
    }
    assert_eq!(fs::metadata(out.join("empty")).unwrap().mtime(), 1_234_567_890);
    no_leftovers(&world.path("out"));
    // Once more: all is there, byte for byte, and nothing is written.
    let again = world.person("anna").ok(&["get", DATA, "--output", "out", "--exact-names"]);
    assert_eq!(again["kept"], again["files"]);
}

#[test]
fn paths_go_down_as_deep_as_a_system_can_open_them() {
    let world = bench();
    let room = 4000 - world.root().as_os_str().len();
    let folders = "abcdefghi/".repeat(room / 10);
    let name = format!("{folders}f");
    world.write(&name, b"far down");
    let put = world.person("seq").ok(&["put", DATA, "abcdefghi"]);
    assert_eq!(put["files"], 1, "{put}");
    assert_eq!(world.person("lab").sees(DATA).into_keys().collect::<Vec<_>>(), std::slice::from_ref(&name));
    world.person("anna").ok(&["get", DATA, "--output", "o"]);
    assert_eq!(fs::read(world.path("o").join(&name)).unwrap(), b"far down");
    assert_eq!(world.person("anna").run(&["cat", DATA, &name]).bytes(), b"far down");
}

#[test]
fn names_that_a_vault_does_not_store_are_refused_before_anything_is_written() {
    let world = bench();
    let before = world.objects();
    for (name, rule) in
        [("a\nb", "control character"), ("tab\there", "control character"), ("back\\slash", "backslash")]
    {
        world.write(&format!("run/good/{name}"), b"x");
        let said = world.person("seq").fails(2, &["put", DATA, "run"]);
        assert!(said.contains(rule) && said.contains("run/good/"), "{said}");
        assert!(!said.contains('\t'), "{said}");
        fs::remove_file(world.path("run/good").join(name)).unwrap();
    }
    fs::write(world.path("run").join(std::ffi::OsStr::new("not-")).with_file_name(bad_name()), b"x").unwrap();
    let said = world.person("seq").fails(2, &["put", DATA, "run"]);
    assert!(said.contains("UTF-8") && said.contains("run/"), "{said}");
    assert_eq!(world.objects(), before);
    assert_eq!(journals(&world.person("seq")), 0);
}

fn bad_name() -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(b"bad\xff".to_vec())
}

#[test]
fn every_size_around_the_boundaries_of_segments_and_packs_comes_back() {
    let world = bench();
    let mut sizes = vec![0, 1, 2 * SEGMENT, 3 * SEGMENT + 17, PACK - 1, PACK, PACK + 1];
    // What a segment holds is a little less than its length: all boundaries that there can be near it.
    sizes.extend((SEGMENT - 40)..=(SEGMENT + 2));
    for size in &sizes {
        world.write(&format!("run/{size:09}"), &noise(*size, *size as u64));
    }
    world.person("seq").ok(&["put", DATA, "run"]);
    world.person("anna").ok(&["get", DATA, "--output", "out"]);
    same(&files(&world.path("out/run")), &files(&world.path("run")));
    assert_eq!(world.person("lab").ok(&["verify", "--data"])["sound"], true);
}

#[test]
fn a_file_alone_of_each_size_fills_its_packs_exactly() {
    let world = bench();
    for size in [0, 1, PACK - 20_000, PACK] {
        let path = format!("alone-{size}");
        let bytes = noise(size, 3);
        world.write(&path, &bytes);
        world.person("seq").ok(&["put", DATA, &path]);
        assert!(world.person("anna").run(&["cat", DATA, &path]).bytes() == bytes, "{size}");
    }
}

#[test]
fn more_files_than_one_manifest_holds_are_all_there() {
    let world = bench();
    for index in 0..10_050 {
        world.write(&format!("many/{:02}/{index:05}.txt", index % 100), format!("{index}\n").as_bytes());
    }
    let put = world.person("seq").ok(&["put", DATA, "many"]);
    assert_eq!(put["files"], 10_050);
    assert_eq!(put["manifests"], 2);
    world.person("anna").ok(&["get", DATA, "--output", "out"]);
    same(&files(&world.path("out/many")), &files(&world.path("many")));
    no_leftovers(&world.path("out"));
}

#[test]
fn standard_input_is_stored_under_the_name_that_it_is_given() {
    let world = bench();
    let bytes = noise(3 * SEGMENT + 5, 9);
    let put = |args: &[&str], bytes: &[u8]| {
        let mut child = world.person("seq").command(args).stdin(Stdio::piped()).spawn().unwrap();
        // It may refuse before it reads.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait_with_output().unwrap()
    };
    let done = put(&["put", DATA, "-", "--name", "from/stdin.bin"], &bytes);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    let done = put(&["put", DATA, "-", "--name", "nothing"], b"");
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    let anna = world.person("anna");
    assert!(anna.run(&["cat", DATA, "from/stdin.bin"]).bytes() == bytes);
    assert_eq!(anna.run(&["cat", DATA, "nothing"]).bytes(), b"");
    let before = world.objects();
    let nameless = put(&["put", DATA, "-"], b"x");
    assert_eq!(nameless.status.code(), Some(2));
    assert!(text(&nameless).contains("--name"), "{}", text(&nameless));
    let outside = put(&["put", DATA, "-", "--name", "../x"], b"x");
    assert_ne!(outside.status.code(), Some(0));
    assert!(text(&outside).contains(".."), "{}", text(&outside));
    assert_eq!(world.objects(), before);
}

#[test]
fn links_pipes_sockets_and_empty_folders_are_reported_and_not_followed() {
    let world = bench();
    let secret = world.write("elsewhere/secret.txt", b"nobody asked for this");
    world.write("run/file", b"x");
    symlink(&secret, world.path("run/link")).unwrap();
    symlink(world.path("elsewhere"), world.path("run/folder-link")).unwrap();
    symlink(world.path("nowhere"), world.path("run/broken")).unwrap();
    symlink(".", world.path("run/circle")).unwrap();
    assert!(Command::new("mkfifo").arg(world.path("run/pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(world.path("run/socket")).unwrap();
    fs::create_dir(world.path("run/nothing-in-it")).unwrap();
    let put = world.person("seq").run(&["put", DATA, "run"]);
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    for (name, kind) in [
        ("run/link", "symbolic link"),
        ("run/folder-link", "symbolic link"),
        ("run/broken", "symbolic link"),
        ("run/circle", "symbolic link"),
        ("run/pipe", "named pipe"),
        ("run/socket", "socket"),
        ("run/nothing-in-it", "empty folder"),
    ] {
        let line = format!("left out: {name} ({kind})");
        assert!(put.stderr.contains(&line), "{line} is not in {}", put.stderr);
    }
    assert_eq!(world.person("anna").gets(DATA).into_keys().collect::<Vec<_>>(), ["run/file"]);
    for (named, kind) in [("run/link", "symbolic link"), ("run/pipe", "named pipe"), ("run/socket", "socket")] {
        let said = world.person("seq").fails(2, &["put", DATA, named]);
        assert!(said.contains(named) && said.contains(kind), "{said}");
    }
    let said = world.person("seq").fails(2, &["put", DATA, "run/nothing-in-it"]);
    assert!(said.contains("no files"), "{said}");
}

#[test]
fn a_get_writes_nothing_outside_its_folder() {
    let world = bench();
    world.write("run/a/file", b"from the vault");
    world.write("run/b", b"another");
    world.person("seq").ok(&["put", DATA, "run"]);
    let anna = world.person("anna");
    let victim = world.write("victims/file", b"precious");
    let victims = files(&world.path("victims"));

    // A folder on the way is a link.
    fs::create_dir_all(world.path("out/run")).unwrap();
    symlink(world.path("victims"), world.path("out/run/a")).unwrap();
    for force in [&[][..], &["--force"]] {
        let said = anna.fails(4, &[&["get", DATA, "--output", "out"], force].concat());
        assert!(said.contains("run/a") && said.contains("link"), "{said}");
        assert!(!world.path("out/run/b").exists());
    }
    fs::remove_file(world.path("out/run/a")).unwrap();

    // The file itself is a link: never followed, and replaced only by force.
    fs::create_dir_all(world.path("out/run/a")).unwrap();
    symlink(&victim, world.path("out/run/a/file")).unwrap();
    let said = anna.fails(6, &["get", DATA, "--output", "out"]);
    assert!(said.contains("run/a/file") && said.contains("--force"), "{said}");
    assert!(!world.path("out/run/b").exists());
    anna.ok(&["get", DATA, "--output", "out", "--force"]);
    assert!(!world.path("out/run/a/file").is_symlink());
    assert_eq!(fs::read(world.path("out/run/a/file")).unwrap(), b"from the vault");

    // The name that it grows under is a link.
    symlink(&victim, world.path("trap")).unwrap();
    fs::create_dir_all(world.path("other/run/a")).unwrap();
    symlink(&victim, world.path("other/run/a/.file.seqvault-part")).unwrap();
    let said = anna.fails(4, &["get", DATA, "--output", "other"]);
    assert!(said.contains("run/a/file"), "{said}");
    assert_eq!(files(&world.path("victims")), victims);
}

#[test]
fn a_file_that_is_there_is_kept_unless_force_is_given() {
    let world = bench();
    world.write("run/a", b"stored a");
    world.write("run/b", b"stored b");
    world.person("seq").ok(&["put", DATA, "run"]);
    world.write("out/run/b", b"mine, and not to be lost");
    let anna = world.person("anna");
    let said = anna.fails(6, &["get", DATA, "--output", "out"]);
    assert!(said.contains("run/b") && said.contains("already") && said.contains("--force"), "{said}");
    assert_eq!(fs::read(world.path("out/run/b")).unwrap(), b"mine, and not to be lost");
    assert!(!world.path("out/run/a").exists(), "something was written although it was refused");
    fs::create_dir(world.path("out/run/a")).unwrap();
    let said = anna.fails(6, &["get", DATA, "--output", "out", "--force"]);
    assert!(said.contains("run/a") && said.contains("folder"), "{said}");
    fs::remove_dir(world.path("out/run/a")).unwrap();
    anna.ok(&["get", DATA, "--output", "out", "--force"]);
    same(&files(&world.path("out/run")), &files(&world.path("run")));
    no_leftovers(&world.path("out"));
}

#[test]
fn names_that_meet_on_other_systems_are_refused_unless_they_are_said_to_be_exact() {
    for (one, other) in [("Reads.fq", "reads.fq"), ("caf\u{e9}", "cafe\u{301}"), ("A/x", "a/y"), ("fine", "nul.txt")] {
        let world = bench();
        world.write(&format!("run/{one}"), b"one");
        world.write(&format!("run/{other}"), b"other");
        world.person("seq").ok(&["put", DATA, "run"]);
        let said = world.person("anna").gets_nothing(4, DATA);
        assert!(said.contains(other) && said.contains("--exact-names"), "{said}");
        world.person("anna").ok(&["get", DATA, "--output", "out", "--exact-names"]);
        same(&files(&world.path("out/run")), &files(&world.path("run")));
    }
}

#[test]
fn get_takes_what_patterns_and_lists_name_and_refuses_what_fits_nothing() {
    let world = bench();
    for name in ["a.fastq", "b.fastq", "sheet.csv", "deep/c.fastq", "deep/d.txt", "list [1].txt"] {
        world.write(&format!("run/{name}"), name.as_bytes());
    }
    world.person("seq").ok(&["put", DATA, "run"]);
    let anna = world.person("anna");
    let gets = |out: &str, more: &[&str]| {
        anna.ok(&[&["get", DATA, "--output", out], more].concat());
        objects(&world.path(out)).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(gets("1", &["*.fastq"]), ["run/a.fastq", "run/b.fastq", "run/deep/c.fastq"]);
    assert_eq!(gets("2", &["run/*.fastq"]), ["run/a.fastq", "run/b.fastq"]);
    assert_eq!(gets("3", &["run/deep/"]), ["run/deep/c.fastq", "run/deep/d.txt"]);
    assert_eq!(gets("4", &["run/list [1].txt"]), ["run/list [1].txt"]);
    world.write("wanted.txt", b"run/sheet.csv\n\nrun/list [1].txt\n");
    assert_eq!(gets("5", &["--from", "wanted.txt", "b.fastq"]), ["run/b.fastq", "run/list [1].txt", "run/sheet.csv"]);
    let said = anna.fails(3, &["get", DATA, "--output", "6", "*.fastq", "*.bam"]);
    assert!(said.contains("*.bam"), "{said}");
    assert!(!world.path("6").exists());
    let said = anna.fails(2, &["get", DATA, "--output", "6", "a[b"]);
    assert!(said.contains("a[b"), "{said}");
    let said = anna.fails(3, &["get", DATA, "--output", "6", "--from", "no-such-list"]);
    assert!(said.contains("no-such-list"), "{said}");
}

#[test]
fn ranges_are_the_bytes_that_dd_would_take() {
    let world = bench();
    let size = PACK + 3 * SEGMENT + 99;
    let bytes = noise(size, 5);
    world.write("before", &noise(SEGMENT + 1, 4));
    world.write("file", &bytes);
    world.person("seq").ok(&["put", DATA, "before", "file"]);
    let anna = world.person("anna");
    let cat = |range: &str| anna.run(&["cat", DATA, "file", "--range", range]).bytes();
    for (first, last) in [
        (0, 0),
        (SEGMENT - 30, SEGMENT + 30),
        (PACK - 70_000, PACK + 70_000),
        (size - 1, size - 1),
        (size - 2, size + 1000),
    ] {
        let expected = &bytes[first..(last + 1).min(size)];
        assert!(cat(&format!("{first}-{last}")) == expected, "{first}-{last}");
    }
    assert!(cat("-100") == bytes[size - 100..]);
    assert!(cat(&format!("{}-", size - 5)) == bytes[size - 5..]);
    let said = anna.fails(2, &["cat", DATA, "file", "--range", &format!("{size}-")]);
    assert!(said.contains(&size.to_string()), "{said}");
    anna.fails(2, &["cat", DATA, "file", "--range", "9-1"]);
    let said = anna.fails(3, &["cat", DATA, "no-such-file"]);
    assert!(said.contains("no-such-file") && said.contains("seqvault ls"), "{said}");
}

#[test]
fn a_reader_that_stops_early_ends_cat_and_ls_without_a_word() {
    let world = bench();
    world.write("big", &noise(8_000_000, 6));
    for index in 0..3000 {
        world.write(&format!("many/a-rather-long-name-that-fills-the-pipe-{index}"), b"");
    }
    world.person("seq").ok(&["put", DATA, "big", "many"]);
    for args in [&["cat", DATA, "big"][..], &["ls", DATA], &["ls", DATA, "--json"], &["ls", DATA, "--checksums"]] {
        let mut child = world.person("anna").command(args).spawn().unwrap();
        let head = Command::new("head")
            .args(["-c", "10"])
            .stdin(child.stdout.take().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(head.wait_with_output().unwrap().stdout.len(), 10);
        let done = child.wait_with_output().unwrap();
        assert_eq!(text(&done), "", "{args:?}");
        assert!(done.status.code().is_some(), "{args:?}: {}", done.status);
    }
}

#[test]
fn samtools_reads_alignments_through_cat() {
    let there = Command::new("samtools").arg("--version").output().is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("SKIPPED: samtools is not installed, so nothing reads a BAM file through `cat` here");
        return;
    }
    let world = bench();
    let mut sam = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:100000000\n".to_owned();
    for index in 0..20_000 {
        let base = ["ACGT", "CGTA", "GTAC", "TACG"][index * 7 % 4].repeat(12);
        sam.push_str(&format!("read{index}\t0\tchr1\t{}\t60\t48M\t*\t0\t0\t{base}\t*\n", index * 4000 + 1));
    }
    world.write("in.sam", sam.as_bytes());
    let made = Command::new("samtools")
        .args(["view", "-b", "-o", "aligned.bam", "in.sam"])
        .current_dir(world.root())
        .status()
        .unwrap();
    assert!(made.success());
    world.person("seq").ok(&["put", DATA, "aligned.bam"]);
    let through = |args: &[&str]| {
        let mut cat = world.person("anna").command(&["cat", DATA, "aligned.bam"]).spawn().unwrap();
        let samtools = Command::new("samtools")
            .args(args)
            .stdin(cat.stdout.take().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = samtools.wait_with_output().unwrap();
        assert!(out.status.success());
        let cat = cat.wait_with_output().unwrap();
        assert_eq!(text(&cat), "");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(through(&["view", "-c", "-"]).trim(), "20000");
    assert!(through(&["view", "-H", "-"]).contains("SN:chr1"));
}

#[test]
fn a_path_that_two_uploaders_claim_is_nobodys_until_it_is_settled() {
    let settlers: [(&str, &str); 2] = [("lab", "--replace"), ("lab", "rm")];
    for (who, how) in settlers {
        let world = bench();
        let [seq, rival, anna] = ["seq", "rival", "anna"].map(|name| world.person(name));
        world.write("same.txt", b"of seq");
        world.write("other.txt", b"untouched");
        seq.ok(&["put", DATA, "same.txt", "other.txt"]);
        world.write("same.txt", b"of the rival");
        rival.ok(&["put", DATA, "same.txt"]);
        let listed = anna.ok(&["ls", DATA, "same.txt"]);
        let authors: BTreeSet<_> = listed.as_array().unwrap().iter().map(|f| f["author"].as_str().unwrap()).collect();
        assert_eq!(authors, BTreeSet::from(["rival", "seq"]));
        assert!(listed.as_array().unwrap().iter().all(|f| f["contested"] == true), "{listed}");
        for args in [&["get", DATA, "--output", "out"][..], &["cat", DATA, "same.txt"]] {
            let said = anna.fails(5, args);
            assert!(said.contains("same.txt") && said.contains("claim") && said.contains("steward"), "{said}");
        }
        assert!(!world.path("out").exists());
        // What nobody contests can be had.
        anna.ok(&["get", DATA, "other.txt", "--output", "other"]);
        let settler = world.person(who);
        if how == "rm" {
            settler.ok(&["rm", DATA, "same.txt"]);
            assert_eq!(anna.gets(DATA).into_keys().collect::<Vec<_>>(), ["other.txt"]);
        } else {
            world.write("same.txt", b"settled");
            settler.ok(&["put", DATA, "same.txt", "--replace"]);
            assert_eq!(anna.gets(DATA)["same.txt"], b"settled");
        }
    }
}

#[test]
fn an_uploader_replaces_its_own_files_and_no_others() {
    let world = bench();
    let [lab, seq, rival, anna] = ["lab", "seq", "rival", "anna"].map(|name| world.person(name));
    world.write("mine.txt", b"first");
    seq.ok(&["put", DATA, "mine.txt"]);
    let said = seq.fails(4, &["put", DATA, "mine.txt", "--replace"]);
    assert!(said.contains("--replace"), "an instrument can't read what it replaces, and is told: {said}");
    for name in ["seq", "rival"] {
        lab.ok(&["grant", DATA, name]);
    }
    world.write("mine.txt", b"second");
    let before = world.objects();
    let said = rival.fails(4, &["put", DATA, "mine.txt", "--replace"]);
    assert!(said.contains("mine.txt"), "{said}");
    assert_eq!(world.objects(), before);
    seq.ok(&["put", DATA, "mine.txt", "--replace"]);
    assert_eq!(anna.gets(DATA), BTreeMap::from([("mine.txt".to_owned(), b"second".to_vec())]));
    let said = lab.fails(3, &["rm", DATA, "no-such.txt"]);
    assert!(said.contains("no-such.txt"), "{said}");
    lab.ok(&["rm", DATA, "mine.txt"]);
    anna.gets_nothing(3, DATA);
    assert_eq!(lab.ok(&["verify", "--data"])["sound"], true);
}

#[test]
fn checksums_are_those_of_the_plaintext_and_can_be_checked_with_the_usual_tools() {
    let world = bench();
    world.write("run/a b.txt", b"abc");
    world.write("run/big", &noise(5 * SEGMENT, 8));
    world.write("run/empty", b"");
    world.person("seq").ok(&["put", DATA, "run", "--checksum", "md5,sha256"]);
    let listed = String::from_utf8(world.person("anna").run(&["ls", DATA, "--checksums"]).bytes()).unwrap();
    let mut expected = String::new();
    for (name, bytes) in files(&world.path("run")) {
        expected.push_str(&format!("{}  run/{name}\n", blake3::hash(&bytes).to_hex()));
    }
    assert_eq!(listed, expected);
    let listed = world.person("anna").ok(&["ls", DATA, "run/a b.txt"]);
    assert_eq!(listed[0]["md5"], "900150983cd24fb0d6963f7d28e17f72", "{listed}");
    assert_eq!(listed[0]["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "{listed}");
}

#[test]
fn a_put_that_is_killed_at_any_time_goes_on_and_stores_no_acknowledged_pack_twice() {
    let world = bench();
    world.write("run/big", &noise(5 * PACK, 11));
    for index in 0..40 {
        world.write(&format!("run/small/{index}"), &noise(index * 100, index as u64));
    }
    let seq = world.person("seq");
    let args = ["put", DATA, "run", "--json"];
    // Each round dies some time after it stored a pack, and so has acknowledged work of the rounds before to go on from. None comes as far
    // as its commit: kills around that one are told apart by `crash`, and on a quick machine would otherwise fall there by luck. The first
    // round opens the upload before.
    for (commit, jitter) in [("append:2", 0), ("append:1", 31), ("append:1", 7), ("append:1", 19)] {
        let before = packs(&world).len();
        let (mut command, at_commit) = seq.paused(commit, &args);
        let mut child = command.spawn().unwrap();
        wait_until(|| packs(&world).len() > before || at_commit.exists());
        assert!(!packs(&world).is_empty());
        sleep(Duration::from_millis(jitter));
        signal(&child, "KILL");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        settled(&world);
        assert_eq!(journals(&seq), 1);
        world.person("anna").gets_nothing(3, DATA);
    }
    let done = seq.ok(&args[..3]);
    assert_eq!(done["files"], 41, "{done}");
    assert!(done["kept_bytes"].as_u64().unwrap() > 0, "{done}");
    same(&world.person("anna").gets(DATA), &prefixed("run", &files(&world.path("run"))));
    // What was stored and not acknowledged was found again each time.
    assert_eq!(packs(&world).len(), 6);
    assert_eq!(journals(&seq), 0);
}

fn prefixed(prefix: &str, files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, bytes)| (format!("{prefix}/{name}"), bytes.clone())).collect()
}

#[test]
fn a_get_that_is_killed_at_any_time_goes_on_and_no_half_file_has_a_name() {
    let world = bench();
    world.write("run/big", &noise(3 * PACK, 12));
    for index in 0..300 {
        world.write(&format!("run/small/{index}"), &noise(index * 10, index as u64));
    }
    world.person("seq").ok(&["put", DATA, "run"]);
    let expected = prefixed("run", &files(&world.path("run")));
    let anna = world.person("anna");
    // On its way to each of its packs, and some time after.
    for (number, jitter) in [(1, 0), (2, 31), (3, 7), (4, 19)] {
        let out = format!("out-{number}");
        let args = ["get", DATA, "--output", &out];
        let (mut command, at_pack) = anna.paused(&format!("pack:{number}"), &args);
        let mut child = command.spawn().unwrap();
        wait_until(|| at_pack.exists());
        sleep(Duration::from_millis(jitter));
        signal(&child, "KILL");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        for (name, bytes) in if world.path(&out).exists() { files(&world.path(&out)) } else { BTreeMap::new() } {
            if !name.contains(".seqvault-") {
                assert!(expected.get(&name) == Some(&bytes), "{name} is half written");
            }
        }
        anna.ok(&args);
        same(&files(&world.path(&out)), &expected);
    }
}

#[test]
fn a_put_that_is_interrupted_ends_with_130_and_the_same_command_goes_on() {
    for signal_name in ["INT", "TERM"] {
        let world = bench();
        let mut bytes = noise(7 * PACK, 13);
        bytes.chunks_mut(1024).for_each(|chunk| chunk[..24].copy_from_slice(MARK));
        world.write("run/big", &bytes);
        let seq = world.person("seq");
        let args = ["put", DATA, "run", "--json"];
        // One of its last packs is never stored, however late the signal comes.
        let child = seq.paused("any:7", &args).0.spawn().unwrap();
        wait_until(|| packs(&world).len() > AT_ONCE);
        signal(&child, signal_name);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{signal_name}: {}", text(&ended));
        assert!(text(&ended).contains("interrupted"), "{}", text(&ended));
        assert_eq!(journals(&seq), 1);
        for (name, bytes) in files(&seq.state()) {
            assert!(!bytes.windows(MARK.len()).any(|part| part == MARK), "{name} holds plaintext");
        }
        let before = settled(&world);
        let done = seq.ok(&args[..3]);
        assert!(packs(&world).is_superset(&before));
        assert_eq!(packs(&world).len(), 8, "{before:?}");
        // More than can be under way were stored, so one at least was acknowledged.
        assert!(done["kept_bytes"].as_u64().unwrap() > 30_000_000, "{done}");
        assert_eq!(done["files"], 1);
        assert_eq!(journals(&seq), 0);
        assert!(
            world.person("anna").run(&["cat", DATA, "run/big"]).bytes() == fs::read(world.path("run/big")).unwrap()
        );
    }
}

#[test]
fn a_get_that_is_interrupted_ends_with_130_and_the_same_command_goes_on() {
    let world = bench();
    let bytes = noise(4 * PACK, 14);
    world.write("big", &bytes);
    world.person("seq").ok(&["put", DATA, "big"]);
    let anna = world.person("anna");
    for signal_name in ["INT", "TERM"] {
        let args = ["get", DATA, "--output", signal_name];
        // One of its last packs is never read, however late the signal comes.
        let child = anna.paused(LATE_READ, &args).0.spawn().unwrap();
        let out = world.path(signal_name);
        wait_until(|| out.join(".big.seqvault-part").metadata().is_ok_and(|m| m.len() > 1_000_000));
        signal(&child, signal_name);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{signal_name}: {}", text(&ended));
        assert!(!out.join("big").exists());
        anna.ok(&args);
        assert!(fs::read(out.join("big")).unwrap() == bytes);
        no_leftovers(&out);
    }
}

/// Waits for something that a command does.
#[track_caller]
pub(crate) fn wait_until(mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(180), "it does not happen");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_put_that_was_killed_after_its_commit_says_that_it_was_committed() {
    let world = bench();
    world.write("run/a", b"abc");
    let mut said = Vec::new();
    for call in 1.. {
        let copy = world.copy();
        let seq = copy.person("seq").at(&copy.vault());
        if !seq.killed(Fault::After(call), &["put", DATA, "run"]) {
            break;
        }
        let before = packs(&copy);
        let again = seq.run(&["put", DATA, "run"]);
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        let out = String::from_utf8(again.stdout).unwrap();
        if out.contains("committed already") {
            assert_eq!(packs(&copy), before);
            said.push(call);
        }
        assert_eq!(journals(&seq), 0);
        let listed: Value = copy.person("lab").ok(&["ls", DATA]);
        assert_eq!(listed.as_array().unwrap().len(), 1, "after {call}: {listed}");
    }
    assert!(!said.is_empty(), "no kill fell between the commit and the end of the journal");
}

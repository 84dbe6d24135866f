//! One bit, one byte or one object of the folder changed: whoever touches it says so and writes nothing wrong, `verify --data` names it, and
//! no verb turns the damage into a loss: with the object restored, everything is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use vault_tests::left_out;
use vault_tests::place::{Place, place};
use vault_tests::world::{Person, World, objects};

use crate::story::{COHORT, contents, is_sound, settle, story};

/// The story with an object of every kind: a bundle of entries and an officer's list as well.
fn every_kind() -> World {
    let world = story();
    let lab = world.person("lab");
    for _ in 0..4 {
        lab.ok(&["member", "role", "eve", "uploader", "--dataset", COHORT]);
        lab.ok(&["member", "role", "eve", "uploader", "--dataset", COHORT, "--remove"]);
    }
    world.person("officer").ok(&["doctor", "--repair"]);
    for kind in ["bundle-16-", "seen/", "grants/", "headers/", "table-", "manifests/", ".list", ".groups", "index/"] {
        assert!(world.objects().keys().any(|name| name.contains(kind)), "{kind}");
    }
    world
}

/// What happens to an object.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 5] = [
    ("one bit of its middle is flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        match bytes.get_mut(middle) {
            Some(byte) => *byte ^= 4,
            None => bytes.push(0),
        }
        fs::write(path, bytes).unwrap();
    }),
    ("its last bit is flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        match bytes.last_mut() {
            Some(byte) => *byte ^= 1,
            None => bytes.push(1),
        }
        fs::write(path, bytes).unwrap();
    }),
    ("its last byte is missing", |path| {
        let mut bytes = fs::read(path).unwrap();
        let _ = bytes.pop();
        fs::write(path, bytes).unwrap();
    }),
    ("it is a byte longer", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
    }),
    ("it is missing", |path| fs::remove_file(path).unwrap()),
];

/// What no answer depends on: it can be made again, or says nothing by what it holds.
fn is_derived(name: &str) -> bool {
    name.contains("bundle-") || name.ends_with(".groups") || name.starts_with("index/")
}

/// Gets everything: either all of it, or a refusal that leaves nothing wrong behind under any file's name.
#[track_caller]
fn gets_all_or_nothing_wrong(person: &Person) -> Option<i32> {
    let folder = TempDir::new_in(person.state().parent().unwrap()).unwrap();
    let done = person.run(&["get", COHORT, "--output", folder.path().to_str().unwrap()]);
    let expected = contents();
    let mut got = BTreeMap::new();
    for name in objects(folder.path()).into_keys() {
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        if let Some(right) = expected.get(&name) {
            assert!(*right == bytes, "{name} was written and is wrong");
            got.insert(name, bytes);
        }
    }
    match done.code {
        Some(0) => assert!(got == expected, "{}", done.what),
        Some(3 | 5) => {}
        other => panic!("{}: {other:?} {}", done.what, done.stderr),
    }
    done.code
}

/// Somebody who is given an object to look at: a server gives a sealed secret to its owner alone.
fn who_reads(story: &World, name: &str) -> Person {
    let owner = name.split_once("/grants/").and_then(|(_, rest)| rest.split('/').next());
    story.person(owner.filter(|_| place().is_served()).unwrap_or("anna"))
}

#[test]
fn a_reader_gets_what_was_signed_or_a_refusal_and_verify_names_the_object() {
    let story = every_kind();
    let anna = story.person("anna");
    // Everybody has seen everything, so that the end of a ledger can be missed.
    for name in ["officer", "lab", "seq", "anna"] {
        story.person(name).ok(&["verify"]);
    }
    for name in story.objects().into_keys().filter(|name| name != "seqvault-format") {
        let path = story.vault().join(&name);
        let whole = fs::read(&path).unwrap();
        for (what, damage) in DAMAGES {
            eprintln!("{name}: {what}");
            damage(&path);
            if fs::read(&path).ok().as_ref() == Some(&whole) {
                // An empty marker can't be cut short.
                continue;
            }
            let code = gets_all_or_nothing_wrong(&anna);
            let verified = who_reads(&story, &name).run(&["verify", "--data", "--json"]);
            if is_derived(&name) {
                assert_eq!(code, Some(0));
                assert_eq!(verified.code, Some(0), "{}", verified.stderr);
            } else {
                assert_eq!(verified.code, Some(5), "{}{}", String::from_utf8_lossy(&verified.stdout), verified.stderr);
                let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &verified.stderr;
                let named = name.split('/').next_back().unwrap();
                assert!(name.starts_with("ledger/") || said.contains(named), "{said}");
            }
            // A missing last entry would be overwritten by what follows, so each damage is mended at once.
            fs::write(&path, &whole).unwrap();
        }
    }
    is_sound(&story);
}

#[test]
fn what_is_derived_and_damaged_is_made_again_by_the_doctor() {
    let story = every_kind();
    let before: BTreeMap<_, _> =
        story.objects().into_keys().map(|name| (name.clone(), fs::read(story.vault().join(name)).unwrap())).collect();
    for name in before.keys().filter(|name| is_derived(name)) {
        for (what, damage) in DAMAGES {
            eprintln!("{name}: {what}");
            let path = story.vault().join(name);
            damage(&path);
            story.person("officer").ok(&["doctor", "--repair"]);
            // An empty marker that holds something still says what it says.
            if !name.starts_with("index/") || !path.exists() {
                assert!(fs::read(&path).unwrap() == before[name], "{name}");
            }
            fs::write(&path, &before[name]).unwrap();
        }
    }
    settle(&story, COHORT);
}

#[test]
fn no_verb_turns_damage_into_a_loss() {
    let story = every_kind();
    for name in ["officer", "lab", "seq", "deputy", "anna"] {
        story.person(name).ok(&["verify"]);
    }
    story.write("news/today.txt", b"today");
    // Of entries a few: they differ in what they say, not in how they are read.
    let is_tried = |name: &String| !name.starts_with("ledger/") || name.ends_with(['0', '3', '9']);
    let names = story.objects().into_keys().filter(|name| name != "seqvault-format" && !is_derived(name));
    for name in names.filter(is_tried) {
        for (what, damage) in [DAMAGES[0], DAMAGES[4]] {
            eprintln!("{name}: {what}");
            let world = story.copy();
            let path = world.vault().join(&name);
            let whole = fs::read(&path).unwrap();
            damage(&path);
            for (who, args) in [
                ("lab", ["grant", COHORT, "eve"].as_slice()),
                ("seq", &["put", COHORT, "news"]),
                ("lab", &["revoke", COHORT, "ben"]),
                ("deputy", &["rotate", COHORT]),
                ("lab", &["rotate", COHORT, "--reencrypt"]),
                ("officer", &["doctor", "--repair"]),
            ] {
                let done = world.person(who).run(args);
                assert!(matches!(done.code, Some(0 | 3 | 5)), "{}: {:?}\n{}", done.what, done.code, done.stderr);
            }
            // It turns up again, as from a backup, unless a rotation went on without it and has no more use for it.
            if !path.exists() || path.parent().is_some_and(Path::is_dir) {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &whole).unwrap();
            }
            is_readable(&world);
        }
    }
}

/// Everybody who may reads all that was in the story, after a rotation that any damage may have held up.
#[track_caller]
fn is_readable(world: &World) {
    world.person("lab").ok(&["rotate", COHORT]);
    is_sound(world);
}

#[test]
fn a_folder_without_its_marker_or_with_another_is_no_vault_of_ours() {
    left_out!(Place::is_served, "no server serves it, see places");
    let world = story();
    let marker = world.vault().join("seqvault-format");
    fs::write(&marker, "seqvault 2\n").unwrap();
    let said = world.person("anna").fails(1, &["verify"]);
    assert!(said.contains("seqvault 2"), "{said}");
    fs::write(&marker, "something\n").unwrap();
    world.person("anna").fails(3, &["verify"]);
    fs::remove_file(&marker).unwrap();
    world.person("anna").fails(3, &["verify"]);
}

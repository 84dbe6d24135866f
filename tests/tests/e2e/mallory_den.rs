//! The three places where Mallory lies in wait, and what every attack there is asked: that the client refused, said what the threat model
//! says, wrote nothing, handed nothing out, and remembers what it knew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use vault_tests::world::{Done, Person, World, copy_folder, objects};

use crate::mallory_storage::{Liar, Tongue};
use crate::story::{COHORT, story};
use crate::transfer::files;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder that she can write to.
    Folder,
    /// A bucket that she runs.
    Bucket,
    /// A server that she runs.
    Server,
}

/// A vault in her hands, with people who use it.
pub(crate) struct Den {
    pub(crate) kind: Kind,
    pub(crate) world: World,
    liar: Option<Liar>,
}

/// Every place.
pub(crate) const ALL: [Kind; 3] = [Kind::Folder, Kind::Bucket, Kind::Server];

/// Runs an attack in every place, each on a copy of the story.
pub(crate) fn everywhere(attack: impl Fn(&Den)) {
    for kind in ALL {
        eprintln!("in a {kind:?}");
        attack(&Den::new(story(), kind));
    }
}

/// The same where answers can depend on who asks, what for, and how often: a folder has no will of its own.
pub(crate) fn where_she_answers(attack: impl Fn(&Den)) {
    for kind in [Kind::Bucket, Kind::Server] {
        eprintln!("in a {kind:?}");
        attack(&Den::new(story(), kind));
    }
}

impl Den {
    /// Takes a world's vault into a place.
    pub(crate) fn new(world: World, kind: Kind) -> Self {
        let folder = world.path("hers");
        copy_folder(&world.path("vault"), &folder);
        let liar = match kind {
            Kind::Folder => None,
            Kind::Bucket => Some(Liar::start(&folder, Tongue::Bucket)),
            Kind::Server => Some(Liar::start(&folder, Tongue::Server)),
        };
        Self { kind, world, liar }
    }

    /// The vault's folder: hers to write to.
    pub(crate) fn folder(&self) -> PathBuf {
        self.world.path("hers")
    }

    /// The storage that answers.
    pub(crate) fn liar(&self) -> &Liar {
        self.liar.as_ref().unwrap()
    }

    /// Where people find it.
    pub(crate) fn location(&self) -> String {
        self.liar.as_ref().map_or_else(|| self.folder().to_str().unwrap().to_owned(), Liar::location)
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        match self.kind {
            Kind::Bucket => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|n| (n.into(), "hers".into())).into(),
            _ => Vec::new(),
        }
    }

    /// Somebody who works with it.
    pub(crate) fn person(&self, name: &str) -> Person {
        self.world.person(name).through(&self.location(), &self.environment())
    }

    /// Somebody has seen it as it is now.
    pub(crate) fn sees(&self, names: &[&str]) {
        for name in names {
            self.person(name).ok(&["dataset", "show", COHORT]);
        }
    }

    /// Keeps the vault as it is now.
    pub(crate) fn save(&self, name: &str) {
        copy_folder(&self.folder(), &self.world.path(name));
    }

    /// Brings back a part of what was kept; all of it if the part is empty.
    pub(crate) fn bring_back(&self, name: &str, part: &str) {
        let (from, to) = (self.world.path(name).join(part), self.folder().join(part));
        let _ = std::fs::remove_dir_all(&to);
        copy_folder(&from, &to);
    }

    /// The names of its objects that begin and end so.
    pub(crate) fn named(&self, start: &str, end: &str) -> Vec<String> {
        objects(&self.folder()).into_keys().filter(|name| name.starts_with(start) && name.ends_with(end)).collect()
    }

    /// Somebody runs a command that must be refused with this exit code and these words, write nothing anywhere, hand nothing out, and leave what
    /// it knew as it was. Returns what it said.
    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, words: &[&str], who: &str, args: &[&str]) -> String {
        let done = self.runs_without_a_trace(who, args);
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(out.is_empty(), "{:?} {}: something was handed out: {out}\n{}", self.kind, done.what, done.stderr);
        self.says(code, words, done)
    }

    /// As [`Den::refuses`] for somebody who may learn from it how long ledgers are: who never saw the dataset remembers what it was shown.
    #[track_caller]
    pub(crate) fn refuses_but_pins(&self, code: i32, words: &[&str], who: &str, args: &[&str]) -> String {
        let vault = files(&self.folder());
        let done = self.person(who).run(args);
        assert!(done.stdout.is_empty(), "{:?} {}: something was handed out", self.kind, done.what);
        assert!(files(&self.folder()) == vault, "{:?} {}: something was written", self.kind, done.what);
        self.says(code, words, done)
    }

    /// As [`Den::refuses`] for a verb that reports what it found.
    #[track_caller]
    pub(crate) fn reports(&self, code: i32, words: &[&str], who: &str, args: &[&str]) -> String {
        let done = self.runs_without_a_trace(who, args);
        let told = String::from_utf8_lossy(&done.stdout).into_owned() + &done.stderr;
        self.says(code, words, Done { stderr: told, ..done })
    }

    #[track_caller]
    fn says(&self, code: i32, words: &[&str], done: Done) -> String {
        let what = format!("{:?} {}", self.kind, done.what);
        let said = done.fails(code);
        for word in words {
            assert!(said.contains(word), "{what}: {word:?} is not in:\n{said}");
        }
        said
    }

    /// Somebody runs a command that must write nothing anywhere and leave what it knew as it was.
    #[track_caller]
    pub(crate) fn runs_without_a_trace(&self, who: &str, args: &[&str]) -> Done {
        let person = self.person(who);
        let look = || {
            let state = if person.state().exists() { files(&person.state()) } else { BTreeMap::new() };
            let out = if self.world.path("out").exists() { files(&self.world.path("out")) } else { BTreeMap::new() };
            (state, files(&self.folder()), out)
        };
        let before = look();
        let done = person.run(args);
        let after = look();
        for (what, before, after) in
            [("state", &before.0, &after.0), ("vault", &before.1, &after.1), ("output", &before.2, &after.2)]
        {
            let names = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(
                names(before),
                names(after),
                "{:?} {}: the {what} is another\n{}",
                self.kind,
                done.what,
                done.stderr
            );
            for (name, bytes) in before {
                let is_same = after[name] == *bytes;
                assert!(is_same, "{:?} {}: {name} of the {what} was changed\n{}", self.kind, done.what, done.stderr);
            }
        }
        done
    }
}

/// `get` of the whole dataset, to the place that [`Den::refuses`] looks at.
pub(crate) const GET: [&str; 4] = ["get", COHORT, "--output", "out"];

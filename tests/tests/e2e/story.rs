//! The vault that most tests begin with, made once and copied, and what every test asks about a vault afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use serde_json::Value;
use vault_tests::world::{Person, World, strings};

/// The dataset of the story.
pub(crate) const COHORT: &str = "cohort";

/// Everybody who is enrolled, by their part: an officer, two stewards, an instrument, two readers, somebody without any grant, the
/// keeper of the recovery card.
pub(crate) const PEOPLE: [&str; 8] = ["officer", "lab", "deputy", "seq", "anna", "ben", "eve", "keeper"];

/// A vault with all [`PEOPLE`], the dataset [`COHORT`] with files of two uploads, one from before a rotation and one from after it.
pub(crate) fn story() -> World {
    static MADE: OnceLock<World> = OnceLock::new();
    MADE.get_or_init(make).copy()
}

fn make() -> World {
    let world = World::new();
    for name in PEOPLE {
        let _ = world.new_person(name);
    }
    let [officer, lab, seq] = ["officer", "lab", "seq"].map(|name| world.person(name));
    let vault = world.vault();
    let vault = vault.to_str().unwrap();
    officer.ok(&["init", vault, "--officer-only", "--recovery", "keeper.card", "--recovery-member", "keeper"]);
    enrol(&world, "lab", &["--role", "creator"]);
    for name in ["deputy", "seq", "anna", "ben", "eve"] {
        enrol(&world, name, &[]);
    }
    let invited = officer.ok(&["member", "invite", "keeper"]);
    world.person("keeper").ok(&["join", invited["invitation"].as_str().unwrap()]);
    lab.ok(&["dataset", "create", COHORT, "--title", "A cohort", "--uploader", "seq"]);
    officer.ok(&["member", "role", "deputy", "steward", "--dataset", COHORT]);
    for name in ["deputy", "anna", "ben"] {
        lab.ok(&["grant", COHORT, name]);
    }
    world.write("run/a/reads.fastq", &reads(70_000));
    world.write("run/empty", b"");
    world.write("run/sample sheet \u{e9}.csv", b"id,name\n1,x\n");
    world.write("late/notes.txt", b"after the rotation");
    seq.ok(&["put", COHORT, "run"]);
    lab.ok(&["rotate", COHORT]);
    seq.ok(&["put", COHORT, "late"]);
    world
}

/// Enrols somebody who has a card, and lets them join.
pub(crate) fn enrol(world: &World, name: &str, more: &[&str]) {
    let card = format!("{name}.card");
    let args = [&["member", "add", name, "--card", &card], more].concat();
    let added = world.person("officer").ok(&args);
    world.person(name).ok(&["join", added["invitation"].as_str().unwrap()]);
}

/// Bytes that look like reads and do not compress to nothing.
pub(crate) fn reads(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b"ACGT"[usize::try_from(state >> 62).unwrap()]
    };
    (0..length).map(|_| next()).collect()
}

/// What [`story`]'s dataset holds, by path.
pub(crate) fn contents() -> BTreeMap<String, Vec<u8>> {
    [
        ("run/a/reads.fastq", reads(70_000)),
        ("run/empty", Vec::new()),
        ("run/sample sheet \u{e9}.csv", b"id,name\n1,x\n".to_vec()),
        ("late/notes.txt", b"after the rotation".to_vec()),
    ]
    .into_iter()
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .collect()
}

/// The dataset as `dataset show` tells it.
pub(crate) fn shown(who: &Person, dataset: &str) -> Value {
    who.ok(&["dataset", "show", dataset])
}

/// Whether a member may read now, as the ledger says.
pub(crate) fn is_granted(shown: &Value, member: &str) -> bool {
    shown["grants"][member]["current"] == true
}

/// A vault after something went wrong in it: every ledger is sound, who has a grant reads everything that was in the story, and nobody else does.
#[track_caller]
pub(crate) fn is_sound(world: &World) {
    let officer = world.person("officer");
    let report = officer.ok(&["verify", "--data"]);
    assert_eq!(report["sound"], true, "{report}");
    let shown = shown(&officer, COHORT);
    for name in PEOPLE {
        let person = world.person(name);
        if is_granted(&shown, name) || name == "keeper" {
            let got = person.gets(COHORT);
            for (path, bytes) in contents() {
                assert!(got.get(&path) == Some(&bytes), "{name} does not read {path} of {:?}", got.keys());
            }
        } else {
            let said = person.gets_nothing(4, COHORT);
            // A server knows who is retired by their cards.
            assert!(["grant", "retired", "is not current"].iter().any(|word| said.contains(word)), "{said}");
        }
    }
}

/// What stays after everything is settled, without what random numbers, times and the count of epochs decide.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Each member's grant: in words without entry numbers, and how many cards the newest epoch is sealed to.
    grants: BTreeMap<String, (String, u64)>,
    stewards: Value,
    uploaders: Value,
    manifests: Value,
    files: Value,
    /// Uploads that were begun and never committed.
    unfinished: usize,
    /// How many objects there are of each kind and place.
    objects: BTreeMap<String, usize>,
}

impl Settled {
    /// Leaves out an upload that nobody goes on with, and what it stored: it waits for its end date.
    pub(crate) fn forget_unfinished_uploads(&mut self) {
        self.unfinished = 0;
        self.objects.retain(|kind, _| {
            !kind.starts_with("packs/") && !kind.starts_with("manifests/") && !kind.ends_with("/headers")
        });
    }
}

/// Repairs, and checks that nothing is left amiss: no epoch unclosed or not deleted, nothing stale, no object that no statement names.
#[track_caller]
pub(crate) fn settle(world: &World, dataset: &str) -> Settled {
    let officer = world.person("officer");
    world.grow_old();
    officer.ok(&["doctor", "--repair"]);
    let report = officer.ok(&["doctor"]);
    let is_upload = |finding: &String| finding.contains("upload") && finding.contains("is not finished");
    let (unfinished, amiss): (Vec<String>, Vec<String>) = strings(&report["findings"]).into_iter().partition(is_upload);
    assert!(amiss.is_empty(), "{amiss:?}");
    let shown = shown(&officer, dataset);
    assert_eq!(shown["stale"], false, "{shown}");
    assert_eq!(shown["closed"], shown["epoch"], "{shown}");
    let newest = format!("epochs/{dataset}/{:010}/", shown["epoch"].as_u64().unwrap());
    let mut objects = BTreeMap::new();
    for name in world.objects().into_keys() {
        if name.starts_with(&format!("epochs/{dataset}/")) {
            assert!(name.starts_with(&newest), "{name} is of an old epoch");
        }
        if let Some(kind) = kind_of(&name) {
            *objects.entry(kind).or_default() += 1;
        }
    }
    let grants = shown["grants"].as_object().unwrap().iter().map(|(member, grant)| {
        let status = grant["status"].as_str().unwrap().split(" by entry").next().unwrap().to_owned();
        (member.clone(), (status, grant["cards"].as_u64().unwrap()))
    });
    Settled {
        grants: grants.collect(),
        stewards: shown["stewards"].clone(),
        uploaders: shown["uploaders"].clone(),
        manifests: shown["manifests"].clone(),
        files: shown["files"].clone(),
        unfinished: unfinished.len(),
        objects,
    }
}

/// An object's kind and place, without numbers and hashes. None for ledgers, whose length depends on how often something was tried.
fn kind_of(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["epochs", dataset, _, "grants", member, _] => Some(format!("epochs/{dataset}/grants/{member}")),
        ["epochs", dataset, _, "headers", _] => Some(format!("epochs/{dataset}/headers")),
        ["epochs", dataset, _, table] if table.starts_with("table-") => Some(format!("epochs/{dataset}/table")),
        ["manifests", dataset, _] => Some(format!("manifests/{dataset}")),
        ["packs", dataset, _, object] => {
            let kind = object.split_once('.').map_or("pack", |(_, kind)| kind);
            Some(format!("packs/{dataset}/{kind}"))
        }
        ["index", ..] | ["seqvault-format"] => Some(name.to_owned()),
        ["ledger" | "seen", ..] => None,
        _ => panic!("{name} is no object of a vault"),
    }
}

/// Nobody's plaintext and no identity's secret is in the vault's folder or in a state folder.
#[track_caller]
pub(crate) fn nothing_is_in_clear(world: &World) {
    let secrets: Vec<Vec<u8>> = contents().into_values().filter(|bytes| bytes.len() > 8).collect();
    for name in world.objects().into_keys() {
        let bytes = fs::read(world.vault().join(&name)).unwrap();
        for secret in &secrets {
            let part = &secret[..secret.len().min(64)];
            assert!(!bytes.windows(part.len()).any(|window| window == part), "{name} holds plaintext");
        }
    }
}

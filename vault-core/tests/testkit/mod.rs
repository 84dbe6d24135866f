//! What makes and reads a test vector: its text form, a generator of random numbers from a name, and keys.
//!
//! The form is described in `vectors/README.md`. Other crates' tests take this file in too, to run the classes whose readers
//! live there, so it uses nothing but `vault-core`'s public interface.

#![allow(dead_code, reason = "each test that takes this file in uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Value, json};
use vault_core::card::Card;
use vault_core::envelope::{Envelope, PayloadType};
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::{CardId, from_hex, to_hex};
use vault_core::json::{emit_value, to_b64};
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

/// Both suites, for cases that exist in each.
pub(crate) const SUITES: [Suite; 2] = [Suite::X25519, Suite::XWing];
/// The time in everything that is dated.
pub(crate) const START: u64 = 1_790_000_000;

/// SHA-256 of a name and a counter: the same numbers on every machine, and for each vector its own.
#[derive(Debug)]
pub(crate) struct Rng {
    seed: [u8; 32],
    count: u64,
    rest: Vec<u8>,
}

impl Rng {
    pub(crate) fn new(name: &str) -> Self {
        Self { seed: sha256(format!("seqvault test vectors, format 1: {name}").as_bytes()), count: 0, rest: Vec::new() }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    pub(crate) fn secret(&mut self) -> Secret32 {
        Secret32::take(&mut self.array())
    }

    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.rest.is_empty() {
                self.rest = sha256(&[&self.seed[..], &self.count.to_be_bytes()].concat()).to_vec();
                self.count += 1;
            }
            *byte = self.rest.remove(0);
        }
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Rng {}

/// What a reader made of a vector.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The class of failure, or `success`.
    pub(crate) class: &'static str,
    /// The reader's own words; for people.
    pub(crate) says: String,
    /// What it gave out before it failed, or the whole.
    pub(crate) released: Vec<u8>,
}

impl Outcome {
    pub(crate) fn success(gives: impl Into<Vec<u8>>) -> Self {
        Self { class: "success", says: String::new(), released: gives.into() }
    }

    pub(crate) fn failure(class: &'static str, says: impl ToString) -> Self {
        Self { class, says: says.to_string(), released: Vec::new() }
    }
}

/// A case before it is written: what it is, what must happen, and what a reader gets.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) class: &'static str,
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) spec: &'static str,
    pub(crate) suite: Option<Suite>,
    pub(crate) expect: &'static str,
    pub(crate) input: Value,
}

/// All cases of a class, in the making.
#[derive(Debug)]
pub(crate) struct Cases {
    class: &'static str,
    all: Vec<Case>,
}

impl Cases {
    pub(crate) const fn new(class: &'static str) -> Self {
        Self { class, all: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        suite: impl Into<Option<Suite>>,
        spec: &'static str,
        expect: &'static str,
        what: impl Into<String>,
        input: Value,
    ) {
        let (name, suite) = (name.into(), suite.into());
        let name = match suite {
            Some(suite) => format!("{name}-{}", suite.id()),
            None => name,
        };
        assert!(self.all.iter().all(|case| case.name != name), "two cases {name}");
        self.all.push(Case { class: self.class, name, what: what.into(), spec, suite, expect, input });
    }

    pub(crate) fn done(self) -> Vec<Case> {
        self.all
    }
}

impl Case {
    /// What the reader says, if that is not what must happen.
    fn otherwise(&self, run: impl Fn(&str, &Value) -> Outcome) -> Option<String> {
        let Outcome { class, says, .. } = run(self.class, &self.input);
        (class != self.expect)
            .then(|| format!("{}/{} is {class} and not {}: {says}", self.class, self.name, self.expect))
    }

    /// The file's text, and the reader's words. What a reader gets comes from running it; what must happen is said by whoever
    /// wrote the case.
    pub(crate) fn texts(&self, run: impl Fn(&str, &Value) -> Outcome) -> (String, String) {
        let outcome = run(self.class, &self.input);
        assert_eq!(outcome.class, self.expect, "{}/{}: {}", self.class, self.name, outcome.says);
        let mut out = String::from("seqvault vector 1\n");
        let mut line = |name: &str, value: &str| writeln!(out, "{name}: {value}").unwrap();
        line("what", &self.what);
        line("spec", self.spec);
        if let Some(suite) = self.suite {
            line("suite", &suite.id().to_string());
        }
        line("expect", self.expect);
        if self.expect == "success" || !outcome.released.is_empty() {
            line(if self.expect == "success" { "gives" } else { "released" }, &to_hex(&sha256(&outcome.released)));
        }
        assert!(out.lines().count() <= 6, "a line break in a header: {out}");
        writeln!(out, "\n{}", serde_json::to_string_pretty(&self.input).unwrap()).unwrap();
        let says = if outcome.says.is_empty() { self.expect.to_owned() } else { outcome.says };
        (out, format!("{}/{}: {says}", self.class, self.name))
    }
}

/// A vector as it was read from its file.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) head: BTreeMap<String, String>,
    pub(crate) input: Value,
}

impl Vector {
    fn parse(class: &str, name: &str, text: &str) -> Self {
        let (head, input) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("seqvault vector 1"));
        let head =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Self { class: class.to_owned(), name: name.to_owned(), head, input: serde_json::from_str(input).unwrap() }
    }

    /// Runs it and compares the class of failure and what may be released.
    pub(crate) fn check(&self, run: impl Fn(&str, &Value) -> Outcome) {
        let outcome = run(&self.class, &self.input);
        let place = format!("{}/{}: {}", self.class, self.name, outcome.says);
        assert_eq!(outcome.class, self.head["expect"], "{place}");
        let wanted = self.head.get("gives").or_else(|| self.head.get("released"));
        let nothing = to_hex(&sha256(&[]));
        assert_eq!(&to_hex(&sha256(&outcome.released)), wanted.unwrap_or(&nothing), "{place}");
    }
}

fn top() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.into_iter().find(|folder| folder.join("vault-core/tests/testkit").is_dir()).unwrap().to_path_buf()
}

fn folder() -> PathBuf {
    top().join("vault-core/tests/vectors")
}

#[allow(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn read(path: &Path) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

/// The files of a class, by name.
fn files(class: &str) -> BTreeMap<String, String> {
    let path = folder().join(class);
    let Ok(entries) = std::fs::read_dir(&path) else { return BTreeMap::new() };
    entries
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), read(&p)))
        .collect()
}

/// The vectors of a class; there are some.
pub(crate) fn vectors(class: &str) -> Vec<Vector> {
    let all: Vec<_> = files(class).iter().map(|(name, text)| Vector::parse(class, name, text)).collect();
    assert!(!all.is_empty(), "there is no vector of the class {class}");
    all
}

/// Runs every vector of the classes.
pub(crate) fn check_all(classes: &[&str], run: impl Fn(&str, &Value) -> Outcome) {
    for vector in classes.iter().flat_map(|class| vectors(class)) {
        vector.check(&run);
    }
}

/// Compares the files of the classes with those that the cases give, in both directions, and the readers' words with those in
/// `says`: that each case fails for its own reason was read there once, and may not change in silence.
pub(crate) fn compare(cases: &[Case], says: &str, run: impl Fn(&str, &Value) -> Outcome) {
    let mut classes: Vec<&str> = cases.iter().map(|case| case.class).collect();
    classes.dedup();
    let mut words = BTreeSet::new();
    for class in classes {
        let mut made = BTreeMap::new();
        for case in cases.iter().filter(|c| c.class == class) {
            let (text, line) = case.texts(&run);
            words.insert(line);
            made.insert(case.name.clone(), text);
        }
        let found = files(class);
        for (name, text) in &made {
            assert!(found.get(name) == Some(text), "{class}/{name} is not what the generator makes");
        }
        assert_eq!(made.len(), found.len(), "{class} holds files that the generator does not make");
        let good = cases.iter().filter(|c| c.class == class && matches!(c.expect, "success" | "applied")).count();
        assert!(good > 0 && good < made.len(), "{class} needs vectors that succeed and vectors that fail");
    }
    let before: BTreeSet<String> = lines(says).collect();
    let now: Vec<_> = words.difference(&before).collect();
    assert!(now.is_empty(), "a reader's words are not those in {says}: {now:#?}");
    assert_eq!(words.len(), before.len(), "{says} has words of cases that there are not");
}

fn lines(says: &str) -> impl Iterator<Item = String> {
    let path = top().join(says);
    let text = if path.exists() { read(&path) } else { String::new() };
    text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Writes what is not there yet. A vector that is there with other bytes is an error: vectors are never changed. Words may.
///
/// `SEQVAULT_VECTORS=class` writes that class alone.
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "this is the generator")]
pub(crate) fn write_new(cases: &[Case], says: &str, run: impl Fn(&str, &Value) -> Outcome) {
    let otherwise: Vec<String> = cases.iter().filter_map(|case| case.otherwise(&run)).collect();
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
    let is_written = |line: &String| cases.iter().any(|case| line.split('/').next() == Some(case.class));
    let mut words: BTreeSet<String> = lines(says).filter(|line| !is_written(line)).collect();
    for case in cases {
        let (path, (text, line)) = (folder().join(case.class).join(&case.name), case.texts(&run));
        words.insert(line);
        if path.exists() {
            assert!(
                read(&path) == text,
                "{} exists with other bytes: delete it if it was never released",
                path.display()
            );
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        println!("wrote {}/{}", case.class, case.name);
    }
    let words: String = words.into_iter().map(|line| line + "\n").collect();
    std::fs::write(top().join(says), words).unwrap();
    let (before, _, after) = readme();
    std::fs::write(folder().join("README.md"), [before, counts(), after].concat()).unwrap();
}

const COUNTS_BEGIN: &str = "<!-- cases by class: the generator writes this -->\n";
const COUNTS_END: &str = "<!-- end -->\n";

/// The README before, in and after its table of cases.
fn readme() -> (String, String, String) {
    let text = read(&folder().join("README.md"));
    let (before, rest) = text.split_once(COUNTS_BEGIN).unwrap();
    let (table, after) = rest.split_once(COUNTS_END).unwrap();
    ([before, COUNTS_BEGIN].concat(), table.to_owned(), [COUNTS_END, after].concat())
}

/// How many cases there are, by class and by what must happen, from the files.
#[allow(clippy::disallowed_methods, reason = "this is the generator")]
fn counts() -> String {
    let mut out =
        String::from("| folder | cases | of these right | wrong, by what a reader says |\n|---|---|---|---|\n");
    let mut classes: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    classes.retain(|path| path.is_dir());
    classes.sort();
    let (mut cases, mut right) = (0, 0);
    for class in classes.iter().map(|path| path.file_name().unwrap().to_str().unwrap()) {
        let mut by_kind: BTreeMap<String, usize> = BTreeMap::new();
        for vector in vectors(class) {
            *by_kind.entry(vector.head["expect"].clone()).or_default() += 1;
        }
        let all: usize = by_kind.values().sum();
        let good: usize = ["success", "applied"].iter().filter_map(|kind| by_kind.remove(*kind)).sum();
        let bad: Vec<String> = by_kind.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        writeln!(out, "| `{class}` | {all} | {good} | {} |", bad.join(", ")).unwrap();
        (cases, right) = (cases + all, right + good);
    }
    writeln!(out, "| all | {cases} | {right} | {} |", cases - right).unwrap();
    out
}

/// The table in the README is that of the files.
pub(crate) fn check_counts() {
    assert!(readme().1 == counts(), "vectors/README.md counts other cases than there are: write the vectors again");
}

/// The classes that are asked for: all, or one.
#[allow(clippy::disallowed_methods, reason = "this is the generator")]
pub(crate) fn is_asked_for(class: &str) -> bool {
    std::env::var("SEQVAULT_VECTORS").map_or(true, |only| only.split(',').any(|only| only == class))
}

// --- values ---

/// Bytes as a vector holds them: `text:` and the text, or hex in parts, of which `n*xx` is one or more bytes n times.
pub(crate) fn blob(bytes: &[u8]) -> Value {
    let plain =
        |text: &str| (16..262_144).contains(&text.len()) && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if let Some(text) = core::str::from_utf8(bytes).ok().filter(|text| plain(text)) {
        return Value::String(format!("text:{text}"));
    }
    let mut parts: Vec<String> = Vec::new();
    let mut rest = bytes;
    let mut open = false;
    while !rest.is_empty() {
        // Four letters are three bytes in base64: what repeats in there repeats so.
        let repeat = [(1, 16), (4, 4096)].into_iter().find_map(|(unit, least)| {
            let count = repeats(rest, unit);
            (count >= least).then_some((unit, count))
        });
        let taken = match repeat {
            Some((unit, count)) => {
                parts.push(format!("{count}*{}", to_hex(&rest[..unit])));
                open = false;
                unit * count
            }
            None if open => {
                parts.last_mut().unwrap().push_str(&to_hex(&rest[..1]));
                1
            }
            None => {
                parts.push(to_hex(&rest[..1]));
                open = true;
                1
            }
        };
        rest = &rest[taken..];
    }
    Value::String(parts.join(" "))
}

fn repeats(bytes: &[u8], unit: usize) -> usize {
    let Some(first) = bytes.get(..unit) else { return 0 };
    bytes.chunks_exact(unit).take_while(|chunk| *chunk == first).count()
}

/// The bytes of a value that [`blob`] wrote.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("no bytes: {value}"));
    if let Some(text) = text.strip_prefix("text:") {
        return text.as_bytes().to_vec();
    }
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| from_hex::<1>(&text[i..i + 2]).unwrap()[0]).collect()
    };
    let part = |part: &str| match part.split_once('*') {
        Some((count, byte)) => hex(byte).repeat(count.parse().unwrap()),
        None => hex(part),
    };
    text.split(' ').filter(|part| !part.is_empty()).flat_map(part).collect()
}

/// Thirty-two secret bytes of a value.
pub(crate) fn secret(value: &Value) -> Secret32 {
    Secret32::from_slice(&bytes(value)).unwrap()
}

pub(crate) fn suite_of(value: &Value) -> Suite {
    Suite::from_id(value.as_u64().unwrap().try_into().unwrap()).unwrap()
}

/// A value with members put in the place of others.
pub(crate) fn with(value: &Value, changes: Value) -> Value {
    let (mut value, Value::Object(changes)) = (value.clone(), changes) else { panic!("changes are an object") };
    value.as_object_mut().unwrap().extend(changes);
    value
}

/// A value without a member.
pub(crate) fn without(value: &Value, member: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(member).unwrap();
    value
}

// --- keys ---

/// An identity with its secrets in the clear.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) suite: Suite,
    pub(crate) sign: SigningKey,
    pub(crate) seed: [u8; 32],
    pub(crate) kem_secret: [u8; 32],
    pub(crate) card: Card,
}

impl Key {
    pub(crate) fn new(suite: Suite, label: &str, rng: &mut Rng) -> Self {
        let (seed, kem_secret) = (rng.array(), rng.array());
        let sign = SigningKey::from_seed(&Secret32::take(&mut { seed }));
        let card = Card::make(suite, label, START, &sign, &kem(suite, kem_secret).public_key()).unwrap();
        Self { suite, sign, seed, kem_secret, card }
    }

    pub(crate) fn kem(&self) -> PrivateKey {
        kem(self.suite, self.kem_secret)
    }

    pub(crate) fn id(&self) -> CardId {
        *self.card.id()
    }

    /// The card's payload, to change it.
    pub(crate) fn card_payload(&self) -> Value {
        json!({
            "created": START, "format": 1, "kem": to_b64(self.card.kem().as_bytes()), "label": self.card.label(),
            "sign": to_b64(self.card.verifying_key().as_bytes()), "suite": self.suite.id(),
        })
    }

    /// An envelope around any payload, rightly signed.
    pub(crate) fn envelope(&self, kind: PayloadType, payload: Vec<u8>, keyid: CardId) -> Envelope {
        Envelope::signed_with(kind, payload, keyid, |pae| Ok::<_, Infallible>(self.sign.sign(pae))).unwrap()
    }

    /// A card of any payload, rightly signed and under its own id.
    pub(crate) fn card_of(&self, payload: Vec<u8>) -> Vec<u8> {
        let id = CardId(sha256(&payload));
        self.envelope(PayloadType::Card, payload, id).emit()
    }

    /// A statement of any payload, rightly signed.
    pub(crate) fn statement_of(&self, payload: Vec<u8>) -> Vec<u8> {
        self.envelope(PayloadType::Statement, payload, self.id()).emit()
    }
}

fn kem(suite: Suite, secret: [u8; 32]) -> PrivateKey {
    PrivateKey::from_secret(suite, Secret32::take(&mut { secret }))
}

/// Canonical bytes of a value that keeps the limits.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    emit_value(value).unwrap()
}

/// Text with one place changed; that place is there, once.
pub(crate) fn edit(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = core::str::from_utf8(text).unwrap();
    assert!(text.matches(from).count() == 1 && from != to, "{from} in {text}");
    text.replace(from, to).into_bytes()
}

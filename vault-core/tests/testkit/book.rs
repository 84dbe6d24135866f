//! Ledgers in the making: people with keys, entries signed as anybody likes, and how a reader judges all of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::Digest;
use vault_core::ids::{EntryHash, LedgerId, VaultId, to_hex};
use vault_core::json::to_b64;
use vault_core::ledger::dataset::{DatasetState, GrantStatus, KeyPlace, UploadStatus, creator_of};
use vault_core::ledger::exposure::{Creators, ExposureState, Exposures};
use vault_core::ledger::fold::{Judged, Stop, Verdict, entry_hash};
use vault_core::ledger::vault::VaultState;
use vault_core::suite::Suite;

use super::bodies::text;
use super::kit::*;

pub(crate) const VAULT: &str = "vault";
pub(crate) const DATASET: &str = "dataset/d1";
pub(crate) const DAY: u64 = 86_400;

/// An exposure ledger's id.
pub(crate) fn exposure() -> String {
    format!("exposure/{}", "ee".repeat(32))
}

/// Ledgers, their people and a clock.
pub(crate) struct Book {
    pub(crate) suite: Suite,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) ledgers: BTreeMap<String, Vec<Vec<u8>>>,
    pub(crate) vault_id: String,
    pub(crate) clock: u64,
    pub(crate) newest: u64,
    rng: Rng,
    /// The entry that the case is about.
    entry: Option<(String, usize)>,
}

impl Book {
    /// olga is an officer, stella a creator by her; reco has the recovery card, and everybody else is a member without a right.
    pub(crate) fn new(suite: Suite) -> Self {
        Self::with(suite, |_| {})
    }

    pub(crate) fn with(suite: Suite, change: impl FnOnce(&mut Value)) -> Self {
        let mut book = Self::empty(suite);
        let mut genesis = book.genesis();
        change(&mut genesis);
        book.begin(genesis, json!({}));
        book.vault("olga", "role-set", role("stella", "creator"));
        book
    }

    /// The same with a dataset that stella created and reco's card recovers; uma uploads, rita reads.
    pub(crate) fn open(suite: Suite) -> Self {
        Self::new(suite).opened()
    }

    pub(crate) fn opened(mut self) -> Self {
        let created = self.created();
        self.data("stella", "dataset-created", created);
        self.data("stella", "uploader-set", json!({"member": "uma", "on": true}));
        let granted = self.granted("rita");
        self.data("stella", "granted", granted);
        self
    }

    /// No entry yet.
    pub(crate) fn empty(suite: Suite) -> Self {
        let mut rng = Rng::new(&format!("ledgers {}", suite.id()));
        let names = ["olga", "reco", "stella", "sven", "rita", "uma", "anna", "mallory", "stranger"];
        let keys = names.iter().map(|name| ((*name).to_owned(), Key::new(suite, name, &mut rng))).collect();
        Self {
            suite,
            keys,
            ledgers: BTreeMap::new(),
            vault_id: String::new(),
            clock: START,
            newest: 1,
            rng,
            entry: None,
        }
    }

    pub(crate) fn genesis(&self) -> Value {
        let kem = self.suite.kem_name();
        // Everybody but the stranger.
        let names = ["olga", "reco", "stella", "sven", "rita", "uma", "anna", "mallory"];
        let members: Vec<Value> = names.iter().map(|name| self.enrolment(name)).collect();
        json!({
            "algorithms": {
                "aead": "AES-256-GCM", "body": "FLOE-65568", "hash": "SHA-256", "kdf": "HKDF-SHA256", "kem": kem,
                "signature": "Ed25519", "tree_hash": "BLAKE3",
            },
            "approvals": {"card_added": 0, "dataset_deleted": 0, "granted": [0, 0, 0, 0, 0], "recovered": 0, "released": 0},
            "head_age": DAY, "members": members, "nonce": "00".repeat(16), "recovery": [self.card("reco")], "suite": self.suite.id(),
        })
    }

    /// Signs a genesis as olga and makes it the vault's.
    pub(crate) fn begin(&mut self, body: Value, changes: Value) {
        let changes = with(&json!({"prev": "", "vault": ""}), changes);
        let stored = self.sign("olga", VAULT, "genesis", body, changes);
        self.vault_id = to_hex(&sha256(&stored));
        self.put(VAULT, stored);
    }

    // --- entries ---

    pub(crate) fn entries(&self, ledger: &str) -> &[Vec<u8>] {
        self.ledgers.get(ledger).map_or(&[], Vec::as_slice)
    }

    /// The entry hashes of a ledger.
    pub(crate) fn hashes(&self, ledger: &str) -> Vec<String> {
        let mut before = (ledger != VAULT).then(|| self.vault_id.parse().unwrap());
        let hash = |stored: &Vec<u8>| {
            let hash = entry_hash(before, stored);
            before = Some(hash);
            hash.to_string()
        };
        self.entries(ledger).iter().map(hash).collect()
    }

    /// Hash and number of a vault entry, or of the last one.
    pub(crate) fn head(&self, seq: Option<usize>) -> Value {
        let hashes = self.hashes(VAULT);
        let seq = seq.unwrap_or(hashes.len() - 1);
        json!({"hash": hashes[seq], "seq": seq})
    }

    /// A statement's payload as an honest author would write it next.
    pub(crate) fn frame(&mut self, who: &str, ledger: &str, kind: &str, body: Value) -> Value {
        self.clock += 1;
        let prev = self.hashes(ledger).pop().unwrap_or_else(|| self.vault_id.clone());
        json!({
            "author": who.split('/').next(), "body": body, "card": self.keys[who].id(), "critical": true, "format": 1, "kind": kind,
            "ledger": ledger, "prev": prev, "seq": self.entries(ledger).len(), "time": self.clock, "vault": self.vault_id,
            "vault_head": if ledger == VAULT { Value::Null } else { self.head(None) },
        })
    }

    /// The next entry, with members of its payload changed.
    pub(crate) fn sign(&mut self, who: &str, ledger: &str, kind: &str, body: Value, changes: Value) -> Vec<u8> {
        let payload = canonical(&with(&self.frame(who, ledger, kind, body), changes));
        self.keys[who].statement_of(payload)
    }

    pub(crate) fn put(&mut self, ledger: &str, stored: Vec<u8>) {
        self.ledgers.entry(ledger.to_owned()).or_default().push(stored);
    }

    /// Appends the entry that the case is about.
    pub(crate) fn test(&mut self, ledger: &str, stored: Vec<u8>) {
        assert!(self.entry.is_none());
        self.put(ledger, stored);
        self.mark(ledger);
    }

    /// The last entry of a ledger is what the case is about.
    pub(crate) fn mark(&mut self, ledger: &str) {
        self.entry = Some((ledger.to_owned(), self.entries(ledger).len() - 1));
    }

    pub(crate) fn add(&mut self, who: &str, ledger: &str, kind: &str, body: Value) {
        let stored = self.sign(who, ledger, kind, body, json!({}));
        self.put(ledger, stored);
    }

    pub(crate) fn vault(&mut self, who: &str, kind: &str, body: Value) {
        self.add(who, VAULT, kind, body);
    }

    pub(crate) fn data(&mut self, who: &str, kind: &str, body: Value) {
        self.add(who, DATASET, kind, body);
    }

    /// Appends an honest entry, which is what the case is about.
    pub(crate) fn tries(&mut self, who: &str, ledger: &str, kind: &str, body: Value) {
        self.tries_with(who, ledger, kind, body, json!({}));
    }

    pub(crate) fn tries_with(&mut self, who: &str, ledger: &str, kind: &str, body: Value, changes: Value) {
        let stored = self.sign(who, ledger, kind, body, changes);
        self.test(ledger, stored);
    }

    // --- bodies ---

    pub(crate) fn card(&self, name: &str) -> String {
        self.keys[name].id().to_string()
    }

    pub(crate) fn card_b64(&self, name: &str) -> String {
        to_b64(self.keys[name].card.stored())
    }

    /// A further card of somebody, `name/2` say, that nobody knows yet.
    pub(crate) fn new_key(&mut self, name: &str, suite: Suite) {
        let key = Key::new(suite, name, &mut self.rng);
        self.keys.insert(name.to_owned(), key);
    }

    pub(crate) fn enrolment(&self, name: &str) -> Value {
        json!({"cards": [self.card_b64(name)], "info": info(), "member": name})
    }

    pub(crate) fn hash(&mut self) -> String {
        to_hex(&self.rng.array::<32>())
    }

    pub(crate) fn id(&mut self) -> String {
        to_hex(&self.rng.array::<16>())
    }

    /// A public key of the suite.
    pub(crate) fn public(&mut self) -> String {
        let key = Key::new(self.suite, "", &mut self.rng);
        to_b64(key.card.kem().as_bytes())
    }

    /// SEALs to these cards, in order; with epochs, SEAL+epoch.
    pub(crate) fn seals(&mut self, cards: &[&str], epochs: &[u64]) -> Value {
        let mut seals = Vec::new();
        for name in cards {
            let (member, card) = (name.split('/').next().unwrap(), self.card(name));
            let seal = json!({"card": card, "member": member, "sha256": self.hash()});
            if epochs.is_empty() {
                seals.push((member.to_owned(), card, 0, seal));
                continue;
            }
            for n in epochs {
                seals.push((member.to_owned(), card.clone(), *n, with(&seal, json!({"epoch": n}))));
            }
        }
        seals.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
        seals.into_iter().map(|(.., seal)| seal).collect()
    }

    pub(crate) fn created(&mut self) -> Value {
        let (public, seals) = (self.public(), self.seals(&["stella", "reco"], &[]));
        json!({
            "epoch": {"public": public, "seals": seals}, "facts": {"category": "wgs"}, "level": 1, "recovery": [self.card("reco")],
            "title": "Cohort 1",
        })
    }

    pub(crate) fn granted(&mut self, name: &str) -> Value {
        let newest = self.newest;
        let seals = self.seals(&[name], &[newest]);
        json!({
            "approval": null, "reservation": null, "seals": seals,
            "terms": {"ends": null, "facts": {}, "member": name.split('/').next()}, "trace": null,
        })
    }

    /// The next epoch, sealed to these cards.
    pub(crate) fn epoch(&mut self, cards: &[&str], revokes: &[&str]) -> Value {
        let (public, seals) = (self.public(), self.seals(cards, &[]));
        json!({"epoch": self.newest + 1, "public": public, "reason": "", "revokes": revokes, "seals": seals, "unsealed": []})
    }

    /// Appends the next epoch.
    pub(crate) fn rotates(&mut self, cards: &[&str], revokes: &[&str]) {
        let body = self.epoch(cards, revokes);
        self.data("stella", "epoch-opened", body);
        self.newest += 1;
    }

    pub(crate) fn upload(&mut self, who: &str) -> String {
        let upload = self.id();
        let body = json!({"ends": self.clock + DAY, "upload": upload});
        self.data(who, "upload-opened", body);
        upload
    }

    pub(crate) fn manifest(&mut self) -> Value {
        json!({
            "blake3": self.hash(), "files": 1, "header": self.hash(), "length": 400, "manifest": self.id(),
            "packs": {"bytes": 106, "count": 1, "list": self.hash()}, "root": self.hash(), "supersedes": null,
        })
    }

    pub(crate) fn commit(&mut self, upload: &str) -> Value {
        let manifest = self.manifest();
        json!({"epoch": self.newest, "manifests": [manifest], "upload": upload})
    }

    /// Opens and commits an upload of uma; returns its manifest.
    pub(crate) fn uploads(&mut self) -> Value {
        let upload = self.upload("uma");
        let commit = self.commit(&upload);
        self.data("uma", "upload-committed", commit.clone());
        commit["manifests"][0].clone()
    }

    // --- the vector ---

    pub(crate) fn input(&self) -> Value {
        let ledgers: Map<String, Value> = self
            .ledgers
            .iter()
            .map(|(name, entries)| (name.clone(), entries.iter().map(|stored| blob(stored)).collect()))
            .collect();
        let (ledger, seq) = self.entry.clone().unwrap();
        let mut input = json!({"entry": {"ledger": ledger, "seq": seq}, "ledgers": ledgers, "vault_id": self.vault_id});
        let judged = judge(&input);
        input["judged"] = judged["judged"].clone();
        input["state"] = judged["state"].clone();
        input
    }
}

pub(crate) fn role(member: &str, role: &str) -> Value {
    let dataset = if matches!(role, "steward" | "approver") { json!("d1") } else { Value::Null };
    json!({"dataset": dataset, "member": member, "on": true, "role": role})
}

pub(crate) fn info() -> Value {
    json!({"facts": {}, "jurisdiction": "CN", "kind": "hospital", "organisation": "One"})
}

/// SHA-256 of the canonical JSON of an act and its terms (5.1).
pub(crate) fn terms(act: &str, terms: &Value) -> String {
    Digest(sha256(&canonical(&json!({"act": act, "terms": terms})))).to_string()
}

pub(crate) fn digest(value: &Value) -> String {
    to_hex(&sha256(&canonical(value)))
}

// --- judging ---

/// The verdict on the entry that a vector is about, if all other verdicts and the state are as it says.
pub(crate) fn run(input: &Value) -> Outcome {
    let found = judge(input);
    for part in ["judged", "state"] {
        if found[part] != input[part] {
            return Outcome::failure("otherwise", format!("{part}: {} and not {}", found[part], input[part]));
        }
    }
    let (ledger, seq) = (text(&input["entry"]["ledger"]), input["entry"]["seq"].as_u64().unwrap() as usize);
    // Behind a stop nothing is read.
    let verdict = found["judged"][ledger].get(seq).map_or("unread", |verdict| verdict.as_str().unwrap());
    let class = ["applied", "void", "skipped", "fork", "newer", "no vault", "no dataset", "unread"];
    let class = class.into_iter().find(|class| verdict.split(':').next() == Some(class)).unwrap();
    let mut says = found["reasons"][ledger][seq].as_str().unwrap_or(verdict).to_owned();
    // Whoever reads the words sees whether anything else in the case is not as an honest author has it.
    for (name, verdicts) in found["judged"].as_object().unwrap() {
        for (n, verdict) in verdicts.as_array().unwrap().iter().enumerate() {
            if verdict != "applied" && (name, n) != (&ledger.to_owned(), seq) {
                says.push_str(&format!("; {name} {n}: {}", text(&found["reasons"][name][n])));
            }
        }
    }
    Outcome::failure(class, says)
}

pub(crate) fn judge(input: &Value) -> Value {
    let entries = |ledger: &str| -> Vec<Vec<u8>> {
        input["ledgers"].get(ledger).map_or(Vec::new(), |list| list.as_array().unwrap().iter().map(bytes).collect())
    };
    let id: VaultId = text(&input["vault_id"]).parse().unwrap();
    let mut all = Findings::default();
    let vault = match VaultState::fold(&id, &entries(VAULT)) {
        Ok(vault) => vault,
        Err(why) => {
            all.add(VAULT, vec!["no vault".to_owned()], vec![why.to_string()], json!({}));
            return all.value();
        }
    };
    all.folded(VAULT, vault.judged(), vault.stop(), vault_state(&vault));
    let names: Vec<LedgerId> = input["ledgers"].as_object().unwrap().keys().map(|name| name.parse().unwrap()).collect();
    let mut creators = Creators::new();
    for id in &names {
        if let LedgerId::Dataset(dataset) = id {
            creators.extend(creator_of(&entries(&id.to_string())[0]).map(|creator| (dataset.clone(), creator)));
        }
    }
    let mut exposures = Exposures::default();
    for id in &names {
        if let LedgerId::Exposure(recipient) = id {
            let state = ExposureState::fold(&vault, &creators, *recipient, &entries(&id.to_string()));
            let head = state.judged().last().map(|j| j.hash.to_string());
            all.folded(&id.to_string(), state.judged(), state.stop(), json!({"head": head, "total": state.total()}));
            exposures.insert(state);
        }
    }
    for id in &names {
        if let LedgerId::Dataset(dataset) = id {
            match DatasetState::fold(&vault, &exposures, dataset, &entries(&id.to_string())) {
                Ok(state) => all.folded(&id.to_string(), state.judged(), state.stop(), dataset_state(&state)),
                Err(why) => all.add(&id.to_string(), vec!["no dataset".to_owned()], vec![why.to_string()], json!({})),
            }
        }
    }
    all.value()
}

#[derive(Default)]
struct Findings {
    judged: Map<String, Value>,
    reasons: Map<String, Value>,
    state: Map<String, Value>,
}

impl Findings {
    fn add(&mut self, ledger: &str, judged: Vec<String>, reasons: Vec<String>, state: Value) {
        self.judged.insert(ledger.to_owned(), json!(judged));
        self.reasons.insert(ledger.to_owned(), json!(reasons));
        self.state.insert(ledger.to_owned(), state);
    }

    fn folded(&mut self, ledger: &str, judged: &[Judged], stop: Option<&Stop>, state: Value) {
        let (mut verdicts, mut reasons): (Vec<_>, Vec<_>) = judged.iter().map(|j| verdict(j.verdict)).unzip();
        if let Some(stop) = stop {
            let (name, why) = match stop {
                Stop::Fork { why, .. } => ("fork", (*why).to_owned()),
                Stop::NeedsVersion { format, .. } => ("newer", format!("format {format}")),
                _ => panic!("another stop: {stop}"),
            };
            verdicts.push(name.to_owned());
            reasons.push(why);
        }
        self.add(ledger, verdicts, reasons, state);
    }

    fn value(self) -> Value {
        json!({"judged": self.judged, "reasons": self.reasons, "state": self.state})
    }
}

/// What all readers say alike, and this one's words.
fn verdict(verdict: Verdict) -> (String, String) {
    let why = match verdict {
        Verdict::Applied => return ("applied".to_owned(), "applied".to_owned()),
        Verdict::Skipped => return ("skipped".to_owned(), "skipped".to_owned()),
        Verdict::Void(why) => why,
    };
    let class = match why {
        "older vault head" | "unknown author" | "bad signature" => why,
        _ if why.ends_with("settled by a recovery") => "settled",
        "malformed body" | "malformed: not critical" => "rule",
        _ if why.starts_with("malformed") || why.starts_with("misplaced") => "frame",
        _ => "rule",
    };
    (format!("void: {class}"), why.to_owned())
}

fn vault_state(vault: &VaultState) -> Value {
    let now = vault.last_seq();
    let members: Vec<_> = vault.members().map(|(m, _)| m).filter(|m| vault.is_current_member(m, now)).collect();
    let cards: BTreeMap<_, _> = members
        .iter()
        .map(|m| (m.to_string(), vault.current_cards(m, now).map(|c| c.card.id().to_string()).collect::<Vec<_>>()))
        .collect();
    let officers: Vec<_> = members.iter().filter(|m| vault.is_officer(m, now)).collect();
    json!({
        "cards": cards, "format": vault.format(), "head": vault.head().map(|h: vault_core::ledger::statement::VaultHead| h.hash.to_string()),
        "officers": officers,
    })
}

fn dataset_state(state: &DatasetState) -> Value {
    let grants: BTreeMap<_, _> = state
        .grants()
        .iter()
        .filter(|(_, g)| g.status == GrantStatus::Given)
        .map(|(m, g)| (m.to_string(), g.ends))
        .collect();
    let manifests: BTreeMap<_, _> = state.manifests().iter().map(|(id, m)| (id.to_string(), place(m))).collect();
    let uploads: BTreeMap<_, _> = state
        .uploads()
        .iter()
        .map(|(id, u)| {
            (
                id.to_string(),
                match u.status {
                    UploadStatus::Open => "open",
                    UploadStatus::Committed { .. } => "committed",
                    UploadStatus::Closed => "closed",
                },
            )
        })
        .collect();
    json!({
        "closed": state.closed(), "deleted": state.is_deleted(), "grants": grants, "head": state.head().map(|h| h.hash.to_string()),
        "level": state.level(), "manifests": manifests, "newest": state.newest(), "recovery": state.recovery(), "uploaders": state.uploaders(),
        "uploads": uploads,
    })
}

fn place(manifest: &vault_core::ledger::dataset::Manifest) -> &'static str {
    match manifest.key {
        _ if manifest.removed => "removed",
        _ if manifest.superseded_by.is_some() => "superseded",
        KeyPlace::Void => "void",
        KeyPlace::Unreadable => "unreadable",
        KeyPlace::Header | KeyPlace::Table { .. } => "visible",
    }
}

/// A hash that is nobody's.
pub(crate) const fn no_hash() -> EntryHash {
    EntryHash([0x99; 32])
}

//! Mallory is a steward with a program of her own where rules are in force: she signs grants that no command would sign. A server that is not hers
//! refuses each; what she writes into a storage that is hers is named by everybody who verifies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vault_core::ids::LedgerId;
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{
    Body, Entry, Granted, Released, ReleasedTerms, Reservation, ReservationCancelled, Said, Statement, VaultHead,
};
use vault_keys::custodian::Custodian;
use vault_tests::server::Server;
use vault_tests::world::{World, copy_folder, objects};

use crate::ask::{Answer, Ask};
use crate::gate::{GRANT, Gated, approved, foreign};
use crate::mallory::{custodian, entries, hashes, next_statement, vault_id};
use crate::mallory_den::{ALL, Den};

const RUN: &str = "run-42";
const OTHER: &str = "run-43";
const DAY: u64 = 86_400;

/// A party abroad, two datasets of 100 persons, and a grant of each that is proposed and approved.
fn abroad() -> Gated {
    // The genesis asks for no second person: what asks for one is the rules.
    let gated = Gated::of(&approved(), &foreign(), &["--approvals", "0,0,0,0,0"]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.lab.ok(&["dataset", "create", OTHER, "--facts", "run.toml"]);
    gated.officer.ok(&["member", "role", "dora", "approver", "--dataset", OTHER]);
    for dataset in [RUN, OTHER] {
        gated.lab.ok(&["propose", dataset, "anna", "--facts", "grant.toml"]);
        gated.dora.ok(&["approve", dataset, "--terms", &format!("{dataset}-anna.terms.json")]);
    }
    gated
}

/// What the honest command writes for a grant, made in a copy: the objects by name, the reservations' entries among them, and the statement.
struct Honest {
    objects: BTreeMap<String, Vec<u8>>,
    granted: Statement,
}

impl Honest {
    fn of(world: &World, dataset: &str) -> Self {
        let (before, copy) = (world.objects(), world.copy());
        copy.person("lab").ok(&["grant", dataset, "anna", "--terms", &format!("{dataset}-anna.terms.json")]);
        let folder = copy.vault();
        let fresh = copy.objects().into_keys().filter(|name| !before.contains_key(name));
        let mut objects: BTreeMap<_, _> =
            fresh.map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap())).collect();
        let entry = objects.keys().find(|name| name.starts_with("ledger/dataset/")).unwrap().clone();
        let granted = said(&objects.remove(&entry).unwrap());
        Self { objects, granted }
    }

    /// The reservations: ledger and entry.
    fn reservations(&self) -> Vec<(LedgerId, &[u8])> {
        let reserved = self.objects.iter().filter(|(name, _)| name.starts_with("ledger/exposure/"));
        reserved.map(|(_, bytes)| (said(bytes).ledger, bytes.as_slice())).collect()
    }

    fn body(&self) -> Granted {
        let Body::Granted(body) = &self.granted.body else { panic!("no grant") };
        body.clone()
    }

    /// The statement with another body.
    fn with(&self, bend: impl Fn(&mut Granted)) -> Statement {
        let mut body = self.body();
        bend(&mut body);
        Statement { body: Body::Granted(body), ..self.granted.clone() }
    }

    /// The statement with a record of a decision in which a member is another.
    fn traced(&self, path: &[&str], to: Value) -> Statement {
        self.with(|body| bend(body, path, &to))
    }

    /// Said at another time, and decided then by its own words.
    fn at(&self, time: u64) -> Statement {
        Statement { time, ..self.traced(&["case", "now"], json!(time)) }
    }
}

fn bend(body: &mut Granted, path: &[&str], to: &Value) {
    let trace = &mut body.trace.as_mut().unwrap().0;
    let (first, rest) = path.split_first().unwrap();
    let place = rest.iter().fold(trace.get_mut(*first).unwrap(), |at, name| &mut at[*name]);
    assert_ne!(place, to, "{path:?} is bent");
    *place = to.clone();
}

fn said(stored: &[u8]) -> Statement {
    match Entry::parse(stored).unwrap().said {
        Said::Known(statement) => *statement,
        Said::Unknown { .. } => panic!("of a newer format"),
    }
}

/// Lays objects into a folder.
fn lay(objects: &BTreeMap<String, Vec<u8>>, folder: &Path) {
    for (name, bytes) in objects {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A compiled server of a folder, and a steward who speaks to it without our client.
struct Siege<C> {
    folder: std::path::PathBuf,
    server: Server,
    vault: String,
    lab: C,
}

impl<C: Custodian> Siege<C> {
    fn sends(&self, ledger: &LedgerId, seq: u64, stored: &[u8]) -> Answer {
        Ask::put(&self.vault, &format!("/v1/ledgers/{ledger}/entries/{seq}"), stored)
            .send(&self.lab, self.server.port())
    }

    fn says(&self, statement: &Statement) -> Answer {
        let stored = statement.sign(|pae| self.lab.sign(pae)).unwrap();
        self.sends(&statement.ledger, statement.seq, &stored)
    }

    /// It is refused with this problem and words, and nothing is written.
    #[track_caller]
    fn refuses(&self, what: &str, statement: &Statement, (problem, status): (&str, u16), words: &str) {
        let before = objects(&self.folder);
        let answer = self.says(statement);
        answer.is(problem, status);
        let told = answer.json();
        assert!(told["detail"].as_str().unwrap().contains(words), "{what}: {told}");
        if problem == "rules" {
            let zh = told["reason_zh"].as_str().unwrap();
            assert!(zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{what}: {zh}");
        }
        assert_eq!(objects(&self.folder), before, "{what}: something was written");
    }

    /// What somebody says next in a ledger, by hand.
    fn next(&self, ledger: LedgerId, body: Body) -> Statement {
        next_statement(&self.folder, &"lab".parse().unwrap(), self.lab.card(), ledger, body)
    }
}

#[test]
fn a_server_refuses_every_grant_that_the_rules_did_not_decide() {
    const RULES: (&str, u16) = ("rules", 403);
    const VOID: (&str, u16) = ("void", 422);
    let gated = abroad();
    let (honest, other) = (Honest::of(&gated.world, RUN), Honest::of(&gated.world, OTHER));
    let folder = gated.world.path("served");
    copy_folder(&gated.world.vault(), &folder);
    let server = Server::start(folder.to_str().unwrap(), &[], &[]);
    let vault = vault_id(&folder).to_string();
    let siege = Siege { folder, server, vault, lab: custodian(&gated.lab) };
    let ledger: LedgerId = format!("dataset/{RUN}").parse().unwrap();
    let trace = |of: &Honest| of.body().trace.unwrap();

    // What the honest grant rests on is reserved; nobody is reserved more, in no other ledger.
    let mut reserved: Vec<Reservation> = Vec::new();
    for (exposure, stored) in honest.reservations() {
        let statement = said(stored);
        let Body::Reserved(body) = statement.body.clone() else { panic!("no reservation") };
        let mut huge = body.clone();
        (huge.added, huge.total) = (1 << 52, 1 << 52);
        let huge = Statement { body: Body::Reserved(huge), ..statement.clone() };
        siege.refuses("2^52 persons", &huge, RULES, "has 100 that are not counted yet");
        let few = Statement {
            body: Body::Reserved(vault_core::ledger::statement::Reserved { added: 1, total: 1, ..body }),
            ..statement.clone()
        };
        siege.refuses("one person", &few, RULES, "100 of the dataset are not counted yet");
        assert_eq!(siege.sends(&exposure, 0, stored).status, 201);
        let first = vault_core::ids::EntryHash(vault_id(&siege.folder).0);
        reserved.push(Reservation { hash: entry_hash(Some(first), stored), ledger: exposure, seq: 0 });
    }
    let elsewhere: LedgerId = format!("exposure/{}", "07".repeat(32)).parse().unwrap();
    let stray = Statement { ledger: elsewhere, ..said(honest.reservations()[0].1) };
    siege.refuses("another ledger", &stray, RULES, "another ledger than the facts say");

    siege.refuses("no record", &honest.with(|body| body.trace = None), RULES, "no record of a decision");
    let foreign = honest.with(|body| body.trace = Some(trace(&other)));
    siege.refuses("another dataset's record", &foreign, RULES, "the reservation does not serve");
    for (member, to) in [("level", json!(1)), ("dataset_id", json!(OTHER)), ("grade_confirmed", json!(true))] {
        let bent = honest.traced(&["case", member], to);
        siege.refuses("a forged record", &bent, RULES, &format!("of another {member}"));
    }
    let unasked = honest.traced(&["packs"], json!([]));
    siege.refuses("no pack", &unasked, RULES, "packs differs");
    let house = honest.traced(&["packs"], json!([["house", "00".repeat(32)]]));
    siege.refuses("a pack that is not set", &house, RULES, "packs differs");
    let fewer = honest.traced(&["approvals"], json!(0));
    siege.refuses("no approvals in the record", &fewer, RULES, "approvals differs");
    let unapproved = honest.with(|body| body.approval = None);
    siege.refuses("no approvals", &unapproved, RULES, "ask for 1 approval(s) and the grant names 0");
    let longer = honest.with(|body| {
        body.approval = None;
        body.terms.ends = body.terms.ends.map(|ends| ends + 1);
    });
    siege.refuses("a later end", &longer, RULES, "has to end by");

    let uncounted = honest.with(|body| body.reservation = None);
    siege.refuses("nobody counted", &uncounted, RULES, "have to be reserved in exposure/");
    let unexported = honest.traced(&["case", "export"], Value::Null);
    siege.refuses("nobody exported", &unexported, RULES, "have to be reserved in exposure/");
    let away = json!({"hash": "00".repeat(32), "ledger": reserved[0].ledger.to_string(), "seq": 9});
    siege.refuses("a reservation that is none", &honest.traced(&["case", "export"], away), RULES, "does not serve");
    // A reservation of another dataset: the fold itself does not count it for this one.
    for stored in other.reservations().iter().map(|(_, stored)| stored) {
        let mut statement = said(stored);
        let Body::Reserved(body) = &mut statement.body else { panic!("no reservation") };
        body.total = 200;
        let Body::Reserved(body) = statement.body.clone() else { panic!("no reservation") };
        let next = siege.next(statement.ledger.clone(), Body::Reserved(body));
        let stored = next.sign(|pae| siege.lab.sign(pae)).unwrap();
        assert_eq!(siege.sends(&next.ledger, 1, &stored).status, 201);
        let taken = Reservation { hash: entry_hash(next.prev, &stored), ledger: next.ledger.clone(), seq: 1 };
        let is_export = honest.body().reservation.is_some_and(|own| own.ledger != taken.ledger);
        if is_export {
            let stolen = json!({"hash": taken.hash.to_string(), "ledger": taken.ledger.to_string(), "seq": 1});
            let stolen = honest.traced(&["case", "export"], stolen);
            siege.refuses("another dataset's export", &stolen, RULES, "for another dataset or member");
        } else {
            let stolen = honest.with(|body| body.reservation = Some(taken.clone()));
            siege.refuses("another dataset's reservation", &stolen, VOID, "reservation");
        }
    }

    // From here on the seals are there, which a server looks for before it asks for the time.
    lay(&honest.objects, &siege.folder);
    // Another time than the server's, to the second.
    let now = crate::ask::now();
    for time in [now - 30 * DAY, now - 400, now + 400] {
        siege.refuses("another time", &honest.at(time), RULES, "from the server's clock");
    }
    siege.refuses("behind the approval's end", &honest.at(now + 30 * DAY), VOID, "the proposal has ended");

    // A new pack, which the cited entry does not know.
    let officer = gated.officer.through(&siege.server.url(), &[]);
    officer.ok(&["pack", "set", "example-institute"]);
    siege.refuses("an old vault head", &honest.granted, RULES, "the rule packs changed");
    let of_vault = hashes(&vault_id(&siege.folder), &LedgerId::Vault, &entries(&siege.folder, "vault"));
    let seq = of_vault.len() - 1;
    let head = Some(VaultHead { hash: of_vault[seq], seq: seq as u64 });
    let newer = Statement { vault_head: head, ..honest.granted.clone() };
    siege.refuses("a new head and an old record", &newer, VOID, "rule pack changed since the proposal");
    officer.ok(&["pack", "unset", "example-institute"]);

    // What was refused was refused for what was wrong with it.
    let copy = gated.world.path("spent");
    copy_folder(&siege.folder, &copy);
    let answer = siege.says(&honest.granted);
    assert_eq!(answer.status, 201, "{answer}");
    let report = gated.dora.through(&siege.server.url(), &[]).ok(&["verify"]);
    assert_eq!(report["sound"], true, "{report}");

    // Where she has taken the export's count back before.
    let server = Server::start(copy.to_str().unwrap(), &[], &[]);
    let siege = Siege { folder: copy, server, ..siege };
    let export = reserved.iter().find(|one| honest.body().reservation.is_none_or(|own| own != **one)).unwrap();
    let cancels = Body::ReservationCancelled(ReservationCancelled { reservation: export.clone() });
    let cancelled = siege.next(ledger.clone(), cancels);
    let stored = cancelled.sign(|pae| siege.lab.sign(pae)).unwrap();
    assert_eq!(siege.sends(&ledger, cancelled.seq, &stored).status, 201);
    let hash = entry_hash(cancelled.prev, &stored);
    let (seq, vault_head) = (cancelled.seq + 1, cancelled.vault_head);
    let again = Statement { seq, prev: Some(hash), vault_head, ..honest.granted.clone() };
    siege.refuses("a cancelled reservation", &again, RULES, "used or cancelled already");
    let cites = Reservation { hash, ledger, seq: cancelled.seq };
    let terms = ReleasedTerms { reserved: export.hash };
    let releases = siege.next(export.ledger.clone(), Body::Released(Released { approval: None, cites, terms }));
    assert_eq!(siege.says(&releases).status, 201);
    siege.refuses("a released reservation", &again, RULES, "used or cancelled already");
}

#[test]
fn what_a_steward_writes_past_the_rules_is_named_by_everybody_who_verifies() {
    let gated = abroad();
    let (honest, other) = (Honest::of(&gated.world, RUN), Honest::of(&gated.world, OTHER));
    let lab = custodian(&gated.lab);
    let time = honest.granted.time;
    let wrong: [(Statement, &str); 6] = [
        (honest.with(|body| body.trace = None), "has no record of a decision"),
        (honest.with(|body| body.trace = other.body().trace), "the reservation does not serve"),
        (honest.traced(&["case", "level"], json!(1)), "of another level"),
        (honest.with(|body| body.approval = None), "ask for 1 approval(s) and the grant names 0"),
        (honest.with(|body| body.reservation = None), "have to be reserved in exposure/"),
        (honest.at(time - DAY), "before that of"),
    ];
    for kind in ALL {
        let den = Den::new(gated.world.copy(), kind);
        lay(&honest.objects, &den.folder());
        den.save("reserved");
        for (statement, words) in &wrong {
            den.bring_back("reserved", "");
            crate::mallory::write_signed(&den.folder(), &lab, statement);
            for who in ["officer", "dora", "anna"] {
                let _ = fs::remove_dir_all(den.world.person(who).state());
                copy_folder(&gated.world.person(who).state(), &den.world.person(who).state());
                let done = den.person(who).run(&["verify"]);
                let told = String::from_utf8_lossy(&done.stdout).into_owned();
                let named = format!("entry {} (granted anna)", statement.seq);
                assert_eq!(done.code, Some(4), "{kind:?} {who} {words}: {told}{}", done.stderr);
                assert!(told.contains(&named) && told.contains(words), "{kind:?} {who} {words}: {told}");
            }
        }
        // And the honest one is not.
        den.bring_back("reserved", "");
        crate::mallory::write_signed(&den.folder(), &lab, &honest.granted);
        let _ = fs::remove_dir_all(den.world.person("dora").state());
        copy_folder(&gated.world.person("dora").state(), &den.world.person("dora").state());
        den.person("dora").ok(&["verify"]);
    }
}

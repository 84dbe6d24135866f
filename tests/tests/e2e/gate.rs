//! The gate with the real command: facts, packs, decisions that explain themselves, second signatures, what is due, and withdrawal.

use std::fs;

use serde_json::Value;
use vault_tests::world::{Person, World, strings};

use crate::story;

/// The dataset of these tests.
const RUN: &str = "run-42";
const REFUSED: i32 = 4;

/// Facts that the pack allows for a hospital on the mainland: those that `template --example` prints.
const DATASET: &str = include_str!("../../../vault-cli/src/command/examples/dataset.toml");
const HOSPITAL: &str = include_str!("../../../vault-cli/src/command/examples/member.toml");
pub(crate) const GRANT: &str = include_str!("../../../vault-cli/src/command/examples/grant.toml");

/// A party of an approved cooperation abroad.
pub(crate) fn foreign() -> String {
    HOSPITAL
        .replace("jurisdiction = \"CN\"", "jurisdiction = \"DE\"")
        .replace("country = \"CN\"", "country = \"DE\"")
        .replace(
            "declared = \"no\"\nequity = 0\nvotes = 0\ncontrol = \"no\"",
            "declared = \"yes\"\nequity = 100\nvotes = 100\ncontrol = \"yes\"",
        )
}

/// Facts with an approval that names R-1 for the project.
pub(crate) fn approved() -> String {
    let approval = r#"[[hgr.approvals]]
kind = "cooperation"
number = "GH-1"
project = "cohort-7"
parties = ["C-1", "R-1"]
purposes = ["research"]
from = 2020-01-01
expiry = 2079-12-31
"#;
    let facts = DATASET.replace("approvals = \"none\"\n", "");
    facts.replace("[keeping]", &format!("{approval}[keeping]"))
}

/// A gated vault: an officer, the lab as steward, two approvers, anna at a hospital.
pub(crate) struct Gated {
    pub(crate) world: World,
    pub(crate) officer: Person,
    pub(crate) lab: Person,
    pub(crate) dora: Person,
    pub(crate) eric: Person,
    pub(crate) anna: Person,
}

impl Gated {
    /// With a dataset of these facts, and these approvals a level.
    pub(crate) fn of(facts: &str, member: &str, init: &[&str]) -> Self {
        let world = World::new();
        let [officer, lab, dora, eric, anna] =
            ["officer", "lab", "dora", "eric", "anna"].map(|name| world.new_person(name));
        let vault = world.vault();
        officer.ok(&[&["init", vault.to_str().unwrap(), "--officer-only", "--pack", "cn-sequencing"], init].concat());
        world.write("anna.toml", member.as_bytes());
        world.write("run.toml", facts.as_bytes());
        world.write("grant.toml", GRANT.as_bytes());
        // The lab acts for the controller of its datasets, C-1.
        world.write("lab.toml", HOSPITAL.replace("id = \"R-1\"", "id = \"C-1\"").as_bytes());
        story::enrol(&world, "lab", &["--role", "creator", "--facts", "lab.toml"]);
        for name in ["dora", "eric"] {
            story::enrol(&world, name, &[]);
        }
        story::enrol(&world, "anna", &["--facts", "anna.toml"]);
        lab.ok(&["dataset", "create", RUN, "--facts", "run.toml"]);
        for name in ["dora", "eric"] {
            officer.ok(&["member", "role", name, "approver", "--dataset", RUN]);
        }
        world.write("run/reads.fastq", &story::reads(5_000));
        lab.ok(&["put", RUN, "run"]);
        Self { world, officer, lab, dora, eric, anna }
    }

    pub(crate) fn domestic() -> Self {
        Self::of(DATASET, HOSPITAL, &[])
    }

    /// Without second signatures, by the genesis; the rules still ask for theirs.
    fn propose(&self) -> Value {
        self.lab.ok(&["propose", RUN, "anna", "--facts", "grant.toml"])
    }

    fn approve(&self, by: &Person) -> Value {
        by.ok(&["approve", RUN, "--terms", "run-42-anna.terms.json"])
    }

    fn grant(&self) -> Value {
        self.lab.ok(&["grant", RUN, "anna", "--terms", "run-42-anna.terms.json"])
    }

    /// Proposed, approved, granted.
    pub(crate) fn granted(&self) -> Value {
        self.propose();
        self.approve(&self.dora);
        self.grant()
    }

    pub(crate) fn rewrite(&self, name: &str, from: &str, to: &str) {
        let path = self.world.path(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

/// The rules that stand in the way, of a decision in JSON.
fn stopped(decision: &Value) -> Vec<String> {
    let fired = decision["fired"].as_array().unwrap().iter();
    let stops = fired.filter(|one| one["effect"] == "blocked" || one["effect"] == "deny");
    stops.map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
}

/// What a command said on standard output although it failed with an exit code.
fn answered(person: &Person, code: i32, args: &[&str]) -> Value {
    let done = person.run(&[args, &["--json"]].concat());
    assert_eq!(done.code, Some(code), "{}\n{}", done.what, done.stderr);
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_grant_goes_from_facts_over_two_signatures_to_a_key_and_is_audited() {
    let gated = Gated::domestic();
    // Without approvals nothing is sealed, and it is said who has to sign.
    let said = gated.lab.fails(REFUSED, &["grant", RUN, "anna", "--facts", "grant.toml"]);
    assert!(said.contains("1 approval(s) are needed") && said.contains("seqvault propose"), "{said}");
    let proposed = gated.propose();
    assert_eq!(proposed["approvals"], 1);
    assert_eq!(strings(&proposed["may_approve"]), ["dora", "eric"].map(str::to_owned).into());
    let said = gated.lab.fails(REFUSED, &["grant", RUN, "anna", "--terms", "run-42-anna.terms.json"]);
    assert!(said.contains("0 of 1 approvals") && said.contains("dora, eric"), "{said}");
    assert_eq!(gated.dora.ok(&["waiting", "--mine"]).as_array().unwrap().len(), 1);
    assert_eq!(gated.anna.ok(&["waiting", "--mine"]).as_array().unwrap().len(), 0);
    gated.approve(&gated.dora);
    let granted = gated.grant();
    assert_eq!(strings(&granted["approved_by"]), ["dora".to_owned()].into());
    assert_eq!(granted["decision"]["outcome"], "allow");
    // The earliest of the six ends, at the midnight in China after its day.
    assert_eq!(granted["until"], 3_471_350_400_u64);
    assert_eq!(gated.anna.gets(RUN).len(), 1);
    assert_eq!(gated.lab.ok(&["waiting"]).as_array().unwrap().len(), 0, "it was carried out");
    let report = gated.anna.ok(&["verify", "--data"]);
    assert!(
        report["ledgers"].as_array().unwrap().iter().all(|l| l["rules"].as_array().unwrap().is_empty()),
        "{report}"
    );
}

#[test]
fn a_decision_needs_no_identity_and_names_what_is_missing() {
    let gated = Gated::domestic();
    gated.rewrite("run.toml", "[assessment]\ndone = \"yes\"", "[assessment]\ndone = \"no\"");
    gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "the assessment is out of date"]);
    let nobody = gated.anna.with_identity("nobody");
    let args = ["decide", RUN, "anna", "--facts", "grant.toml"];
    if vault_tests::place::place().is_served() {
        return;
    }
    let decision = answered(&nobody, REFUSED, &args);
    assert_eq!(
        (&decision["outcome"], stopped(&decision)),
        (&Value::from("blocked"), vec!["person-assessment".to_owned()])
    );
    let done = nobody.run(&args);
    let text = String::from_utf8(done.stdout).unwrap();
    for part in [
        "blocked person-assessment",
        "个人信息保护法 55 (L)",
        "because: dataset.assessment.done = no",
        "missing: the impact assessment",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let zh = nobody.run(&[&args[..], &["--lang", "zh"]].concat());
    let text = String::from_utf8(zh.stdout).unwrap();
    for part in ["暂不允许", "个人信息保护影响评估", "所缺证据", "依据"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(zh.stderr.contains("暂不允许"), "{}", zh.stderr);
    // The grant is refused with the same words, before anybody is asked for a passphrase.
    let mut command = gated.lab.command(&["grant", RUN, "anna", "--facts", "grant.toml", "--lang", "zh"]);
    let output = command.env("SEQVAULT_TESTS_PASSPHRASE", "wrong").output().unwrap();
    assert_eq!(output.status.code(), Some(REFUSED));
    assert!(String::from_utf8(output.stdout).unwrap().contains("个人信息保护影响评估"));
    // What if it were done, and of level 5.
    gated.rewrite("run.toml", "done = \"no\"", "done = \"yes\"");
    let what_if = nobody.ok(&[&args[..], &["--dataset-facts", "run.toml"]].concat());
    assert_eq!((&what_if["outcome"], &what_if["what_if"]), (&Value::from("allow"), &Value::from(true)));
    let five = answered(&nobody, REFUSED, &[&args[..], &["--dataset-facts", "run.toml", "--level", "5"]].concat());
    assert_eq!((&five["outcome"], stopped(&five)), (&Value::from("deny"), vec!["level-5".to_owned()]));
}

#[test]
fn nothing_is_granted_on_unknown_facts() {
    let gated = Gated::domestic();
    let decision = answered(&gated.lab, REFUSED, &["grant", RUN, "anna"]);
    assert_eq!(decision["outcome"], "blocked");
    let unknown: Vec<_> =
        decision["fired"].as_array().unwrap().iter().flat_map(|one| strings(&one["unknown"])).collect();
    assert!(unknown.contains(&"grant.use.scenario".to_owned()), "{unknown:?}");
    // Members without facts are blocked as well.
    let decision = answered(&gated.lab, REFUSED, &["decide", RUN, "dora", "--facts", "grant.toml"]);
    assert!(!stopped(&decision).is_empty());
    assert!(gated.lab.ok(&["dataset", "show", RUN])["grants"].get("dora").is_none());
}

#[test]
fn approvals_of_the_wrong_people_or_terms_do_not_count() {
    let gated = Gated::domestic();
    let proposed = gated.propose();
    let hash = proposed["proposal"].as_str().unwrap();
    let terms = ["approve", RUN, hash, "--terms", "run-42-anna.terms.json"];
    // Not an approver; the author; the one who profits.
    assert!(gated.anna.fails(REFUSED, &terms).contains("no approver"));
    for name in ["lab", "anna"] {
        gated.officer.ok(&["member", "role", name, "approver", "--dataset", RUN]);
    }
    assert!(gated.lab.fails(REFUSED, &terms).contains("proposed it"));
    assert!(gated.anna.fails(REFUSED, &terms).contains("profit"));
    let zh = gated.anna.fails(REFUSED, &[&terms[..], &["--lang", "zh"]].concat());
    assert!(zh.contains("受益人"), "{zh}");
    // Other terms than those that the proposal names.
    let path = gated.world.path("run-42-anna.terms.json");
    let text = fs::read_to_string(&path).unwrap();
    let ends = gated.world.write("other.json", text.replace("3471350400", "3471350399").as_bytes());
    assert_ne!(fs::read_to_string(&ends).unwrap(), text);
    let said = gated.dora.fails(5, &["approve", RUN, hash, "--terms", "other.json"]);
    assert!(said.contains("not the terms that proposal"), "{said}");
    // An altered sealed part is found by its hash.
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["sealed"] = Value::from("e30=");
    gated.world.write("unsealed.json", value.to_string().as_bytes());
    assert!(gated.dora.fails(5, &["approve", RUN, hash, "--terms", "unsealed.json"]).contains("sealed part"));
    // Another proposal's hash.
    assert!(
        gated
            .dora
            .fails(3, &["approve", RUN, "0123456789abcdef", "--terms", "run-42-anna.terms.json"])
            .contains("no proposal")
    );
    gated.approve(&gated.dora);
    assert!(gated.dora.fails(REFUSED, &terms).contains("approved it already"));
    // The facts change: the proposal is worth nothing any more.
    gated.rewrite("run.toml", "count = 100", "count = 101");
    gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "one more"]);
    let said = gated.lab.fails(REFUSED, &["grant", RUN, "anna", "--terms", "run-42-anna.terms.json"]);
    assert!(said.contains("does not hold any more"), "{said}");
    assert_eq!(gated.lab.ok(&["waiting"])[0]["outdated"], true);
}

#[test]
fn a_higher_level_takes_two_approvers() {
    let gated = Gated::of(&DATASET.replace("health_level = 3", "health_level = 4"), HOSPITAL, &[]);
    assert_eq!(gated.lab.ok(&["dataset", "show", RUN])["level"], 4);
    assert_eq!(gated.propose()["approvals"], 2);
    gated.approve(&gated.dora);
    let said = gated.lab.fails(REFUSED, &["grant", RUN, "anna", "--terms", "run-42-anna.terms.json"]);
    assert!(said.contains("1 of 2 approvals are there (dora)") && said.contains("eric"), "{said}");
    gated.approve(&gated.eric);
    assert_eq!(gated.grant()["approved_by"].as_array().unwrap().len(), 2);
    // Where the genesis asks for none, the rules still do.
    let lax = Gated::of(DATASET, HOSPITAL, &["--approvals", "0,0,0,0,0"]);
    assert!(lax.lab.fails(REFUSED, &["grant", RUN, "anna", "--facts", "grant.toml"]).contains("1 approval(s)"));
    lax.granted();
}

#[test]
fn amended_facts_suspend_what_no_longer_stands_and_regrade() {
    let gated = Gated::domestic();
    gated.granted();
    gated.rewrite("run.toml", "[ethics]\napproved = \"yes\"", "[ethics]\napproved = \"no\"");
    gated.rewrite("run.toml", "number = \"E-2026-7\"\nexpiry = 2090-01-01", "expiry = \"none\"");
    let amend = ["dataset", "amend", RUN, "--facts", "run.toml", "--why", "the approval was withdrawn"];
    let dry = gated.lab.ok(&[&amend[..], &["--dry-run"]].concat());
    assert_eq!((strings(&dry["suspended"]), &dry["entry"]), (["anna".to_owned()].into(), &Value::Null));
    let changes: Vec<_> =
        dry["changes"].as_array().unwrap().iter().map(|c| c["field"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes, ["ethics.approved", "ethics.number", "ethics.expiry"]);
    // It is said by name before a passphrase is asked for, where reading needs none.
    if !vault_tests::place::place().is_served() {
        let output = gated.lab.command(&amend).env("SEQVAULT_TESTS_PASSPHRASE", "wrong").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let named = said.contains("will be suspended") && said.contains("anna") && said.contains("ethics.approved");
        assert!(named, "{said}");
    }
    gated.lab.ok(&amend);
    let shown = gated.lab.ok(&["dataset", "show", RUN]);
    assert_eq!((&shown["grants"]["anna"]["status"], &shown["stale"]), (&Value::from("suspended"), &Value::from(true)));
    gated.anna.gets_nothing(REFUSED, RUN);
    // Facts that ask for a higher level raise it.
    gated.rewrite("run.toml", "identifying = \"no\"", "identifying = \"yes\"");
    gated.rewrite("run.toml", "method = \"deidentified\"", "method = \"pseudonymised\"");
    let done = gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "names were found"]);
    assert_eq!((&done["level_before"], &done["level"]), (&Value::from(3), &Value::from(4)));
}

#[test]
fn a_level_below_the_proposal_waits_for_somebody_else() {
    let gated = Gated::domestic();
    gated.rewrite("run.toml", "identifying = \"no\"", "identifying = \"yes\"");
    gated.rewrite("run.toml", "method = \"deidentified\"", "method = \"pseudonymised\"");
    let amend = ["dataset", "amend", RUN, "--facts", "run.toml", "--why", "names", "--level", "3"];
    let said = gated.lab.run(&amend);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stderr.contains("below level 4") && said.stderr.contains("identifies persons directly"),
        "{}",
        said.stderr
    );
    let decision = answered(&gated.lab, REFUSED, &["decide", RUN, "anna", "--facts", "grant.toml"]);
    assert_eq!(stopped(&decision), ["level-confirmed"]);
    let due = gated.lab.ok(&["due", RUN]);
    assert!(due.as_array().unwrap().iter().any(|item| item["kind"] == "confirm"), "{due}");
    // The grader can't, somebody without the role can't.
    assert!(gated.lab.fails(REFUSED, &["dataset", "confirm", RUN]).contains("no approver"));
    gated.officer.ok(&["member", "role", "lab", "approver", "--dataset", RUN]);
    assert!(gated.lab.fails(REFUSED, &["dataset", "confirm", RUN]).contains("grader can't confirm"));
    gated.dora.ok(&["dataset", "confirm", RUN]);
    let shown = gated.lab.ok(&["dataset", "grade", RUN]);
    assert_eq!(
        (&shown["health"]["level"], &shown["signed_level"], &shown["confirmed_by"]),
        (&Value::from(4), &Value::from(3), &Value::from("dora"))
    );
    assert_eq!(gated.lab.ok(&["decide", RUN, "anna", "--facts", "grant.toml"])["outcome"], "allow");
}

#[test]
fn a_foreign_party_is_counted_and_the_501st_person_is_refused() {
    let facts = approved().replace("count = 100", "count = 300");
    let grant = GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"");
    let gated = Gated::of(&facts, &foreign(), &[]);
    gated.world.write("grant.toml", grant.as_bytes());
    let granted = gated.granted();
    assert_eq!(granted["decision"]["reserve"].as_array().unwrap().len(), 2, "{granted}");
    // A second dataset of 300: together 600, and a named party in need of a review waits for a written statement.
    gated.lab.ok(&["dataset", "create", "run-43", "--facts", "run.toml"]);
    gated.officer.ok(&["member", "role", "dora", "approver", "--dataset", "run-43"]);
    let decision = answered(&gated.lab, REFUSED, &["decide", "run-43", "anna", "--facts", "grant.toml"]);
    assert_eq!(stopped(&decision), ["hgr-14"]);
    // 200 make 500.
    gated.rewrite("run.toml", "count = 300", "count = 200");
    gated.lab.ok(&["dataset", "amend", "run-43", "--facts", "run.toml", "--why", "fewer"]);
    gated.lab.ok(&["propose", "run-43", "anna", "--facts", "grant.toml"]);
    gated.dora.ok(&["approve", "run-43", "--terms", "run-43-anna.terms.json"]);
    gated.lab.ok(&["grant", "run-43", "anna", "--terms", "run-43-anna.terms.json"]);
    // One more person there: the grant does not stand any more.
    gated.rewrite("run.toml", "count = 200", "count = 201");
    let done = gated.lab.ok(&["dataset", "amend", "run-43", "--facts", "run.toml", "--why", "one more"]);
    assert_eq!(strings(&done["suspended"]), ["anna".to_owned()].into());
    let report = gated.officer.ok(&["verify"]);
    assert_eq!(report["sound"], true);
}

#[test]
fn added_persons_are_counted_for_grants_that_stay() {
    let facts = approved().replace("count = 100", "count = 300");
    let gated = Gated::of(&facts, &foreign(), &[]);
    gated.world.write("grant.toml", GRANT.replace("tool = \"none\"", "tool = \"standard_contract\"").as_bytes());
    gated.granted();
    gated.rewrite("run.toml", "count = 300", "count = 400");
    let done = gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "a hundred more"]);
    assert_eq!((strings(&done["counted_anew"]), strings(&done["suspended"])), (["anna".to_owned()].into(), [].into()));
    assert_eq!(gated.lab.ok(&["dataset", "show", RUN])["grants"]["anna"]["current"], true);
    // The total is 400 now: 101 more cross the 500.
    gated.rewrite("run.toml", "count = 400", "count = 501");
    let done = gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "too many"]);
    assert_eq!(strings(&done["suspended"]), ["anna".to_owned()].into());
}

#[test]
fn a_withdrawal_suspends_at_once_and_three_facts_follow() {
    let gated = Gated::domestic();
    gated.granted();
    let done = gated.lab.ok(&["withdraw", RUN, "--reason", "consent withdrawn"]);
    assert_eq!(strings(&done["suspended"]), ["anna".to_owned()].into(), "the steward stays");
    gated.anna.gets_nothing(REFUSED, RUN);
    let status = |person: &Person| person.ok(&["withdraw", RUN, "--status"])[0]["members"][0].clone();
    let facts = |one: &Value| {
        (
            one["header_revoked"].as_bool().unwrap(),
            one["bodies_rekeyed"].as_u64().unwrap(),
            one["destruction_attested"].as_bool().unwrap(),
        )
    };
    assert_eq!(facts(&status(&gated.lab)), (false, 0, false));
    let due = gated.lab.ok(&["due", RUN]);
    assert!(due.as_array().unwrap().iter().any(|item| item["kind"] == "withdrawal"), "{due}");
    gated.lab.ok(&["rotate", RUN]);
    assert_eq!(facts(&status(&gated.lab)), (true, 0, false));
    gated.lab.ok(&["rotate", RUN, "--reencrypt"]);
    assert_eq!(facts(&status(&gated.lab)), (true, 1, false));
    gated.world.write("certificate.txt", b"destroyed");
    gated.anna.ok(&["attest", RUN, "--scope", "all copies", "--document", "certificate.txt"]);
    assert_eq!(facts(&status(&gated.lab)), (true, 1, true));
    assert_eq!(gated.lab.ok(&["withdraw", RUN, "--status"])[0]["finished"], true);
    // What it concerns is kept all the same, until it is deleted or what is left is stated.
    let left = |person: &Person| -> Vec<Value> {
        let due = person.ok(&["due", RUN]);
        due.as_array().unwrap().iter().filter(|item| item["kind"] == "withdrawal").cloned().collect()
    };
    let [kept] = &left(&gated.lab)[..] else { panic!("{:?}", left(&gated.lab)) };
    assert!(kept["what"].as_str().unwrap().contains("dataset delete run-42") && kept["member"].is_null(), "{kept}");
    gated.rewrite("run.toml", "count = 100", "count = 99");
    gated.lab.ok(&["dataset", "amend", RUN, "--facts", "run.toml", "--why", "one was taken out"]);
    assert_eq!(left(&gated.lab), Vec::<Value>::new());
}

#[test]
fn what_is_due_is_named() {
    let gated = Gated::domestic();
    gated.granted();
    gated.world.write("agreement.txt", b"an agreement");
    gated.anna.ok(&["agreement", "accept", RUN, "--document", "agreement.txt"]);
    assert!(gated.lab.ok(&["dataset", "show", RUN])["grants"]["anna"]["agreement"].is_string());
    let kinds = |person: &Person, args: &[&str]| -> Vec<String> {
        let due = person.ok(&[&["due"], args].concat());
        due.as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
    };
    let later = |years: i64| gated.lab.in_seconds(years * 365 * 86_400);
    assert!(!kinds(&gated.lab, &["--within", "30d"]).contains(&"ends".to_owned()));
    let all = gated.lab.ok(&["due", "--within", "36500d"]);
    let facts: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["kind"] == "ends")
        .map(|i| i["fact"].as_str().unwrap().to_owned())
        .collect();
    for fact in [
        "grant.opening.expiry",
        "dataset.ethics.expiry",
        "dataset.consent.expiry",
        "member.agreement.expiry",
        "member.credential.expiry",
    ] {
        assert!(facts.contains(&fact.to_owned()), "{facts:?}");
    }
    assert!(kinds(&gated.lab, &["--within", "366d"]).contains(&"report".to_owned()));
    assert!(kinds(&later(2), &[]).contains(&"rotate".to_owned()), "the epoch is older than a year");
    // A member's facts change: the grant stands against the rules, and verbs say so.
    gated.rewrite("anna.toml", "function = \"researcher\"", "function = \"funder_only\"");
    let amended = gated.officer.ok(&["member", "amend", "anna", "--facts", "anna.toml"]);
    assert_eq!(amended["changes"][0]["field"], "work.function");
    assert!(kinds(&gated.lab, &[]).contains(&"rules".to_owned()));
    assert!(gated.lab.ok(&["dataset", "show", RUN])["against_rules"][0].as_str().unwrap().contains("hgr-10"));
    let put = gated.lab.run(&["put", RUN, "run/reads.fastq", "--replace"]);
    assert!(put.stderr.contains("against the rules in force: anna"), "{}", put.stderr);
    gated.officer.ok(&["suspend", RUN, "anna", "--reason", "funds only"]);
    assert!(!kinds(&gated.lab, &[]).contains(&"rules".to_owned()));
    // The record still stands: it was allowed when it was made.
    assert_eq!(gated.officer.run(&["verify"]).code, Some(0));
}

#[test]
fn packs_are_set_by_officers_and_shown_with_their_sources() {
    let world = World::new();
    let [officer, lab] = ["officer", "lab"].map(|name| world.new_person(name));
    let vault = world.vault();
    let made = officer.run(&["init", vault.to_str().unwrap()]);
    assert!(made.stderr.contains("no rule pack is in force"), "{}", made.stderr);
    story::enrol(&world, "lab", &["--role", "creator"]);
    let state = |name: &str| {
        let packs = lab.ok(&["pack", "list"]);
        packs.as_array().unwrap().iter().find(|pack| pack["name"] == name).unwrap()["since"].clone()
    };
    assert_eq!(state("cn-sequencing"), Value::Null);
    assert!(lab.fails(REFUSED, &["pack", "set", "cn-sequencing"]).contains("no officer"));
    officer.ok(&["pack", "set", "cn-sequencing"]);
    assert!(state("cn-sequencing")["entry"].is_u64());
    assert!(officer.fails(6, &["pack", "set", "cn-sequencing"]).contains("already"));
    assert!(officer.fails(3, &["pack", "set", "cn-sequencin"]).contains("no rule pack"));
    let rules = lab.ok(&["pack", "show", "cn-sequencing"]);
    let rule = rules["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "hgr-13").unwrap().clone();
    assert!(strings(&rule["cites"]).contains("实施细则 37 (M)"), "{rule}");
    assert!(rule["text"].as_str().unwrap().contains("more than 500"));
    // A pack of one's own; a bad one is refused by line.
    let own = include_str!("../../../policy/packs/example-institute-1.toml").replace("example-institute", "house");
    world.write("house.toml", own.as_bytes());
    officer.ok(&["pack", "check", "house.toml"]);
    world.write("bad.toml", own.replace("outcome = \"deny\"", "outcome = \"perhaps\"").as_bytes());
    let said = officer.fails(2, &["pack", "check", "bad.toml"]);
    assert!(said.contains("bad.toml: line 2") && said.contains("perhaps"), "{said}");
    let zh = officer.fails(2, &["pack", "check", "bad.toml", "--lang", "zh"]);
    assert!(zh.contains("bad.toml：第 2"), "{zh}");
    officer.fails(2, &["pack", "set", "bad.toml"]);
    officer.ok(&["pack", "set", "house.toml"]);
    // Whoever has not got its file is told so, by name and hash; with it they can decide.
    lab.ok(&["dataset", "create", "d"]);
    let said = lab.fails(REFUSED, &["decide", "d", "officer"]);
    assert!(said.contains("rule pack house with hash") && said.contains("--packs"), "{said}");
    world.write("packs/house.toml", own.as_bytes());
    let decision = answered(&lab, REFUSED, &["decide", "d", "officer", "--packs", "packs"]);
    assert_eq!(decision["outcome"], "blocked");
    officer.ok(&["pack", "unset", "house"]);
    assert!(officer.fails(3, &["pack", "unset", "house"]).contains("not in force"));
}

#[test]
fn bad_facts_are_refused_by_line_and_field_in_both_languages() {
    let gated = Gated::domestic();
    let cases = [
        ("[ethics]\napproved = \"no\"\nexpiry = 2030-01-01\n", "ethics", "ethics"),
        ("[consent]\nduo = [\"GRUX\"]\n", "unknown DUO code \"GRUX\"", "未知的 DUO 代码“GRUX”"),
        ("[subjects]\ncount = \"many\"\n", "subjects.count", "subjects.count"),
        ("[content]\nkind = [\"sequence\"]\n", "no such field", "没有这个字段"),
        ("[content\n", "not valid TOML", "不是有效的 TOML"),
    ];
    for (text, en, zh) in cases {
        gated.world.write("bad.toml", text.as_bytes());
        let said = gated.lab.fails(2, &["dataset", "create", "other", "--facts", "bad.toml"]);
        assert!(said.contains("bad.toml: line ") && said.contains(en), "{text}: {said}");
        let said = gated.lab.fails(2, &["dataset", "create", "other", "--facts", "bad.toml", "--lang", "zh"]);
        assert!(said.contains("bad.toml：第 ") && said.contains(zh), "{text}: {said}");
    }
    // A share of more than 100 %, of a member; and the locale chooses the language.
    gated.world.write("bad.toml", HOSPITAL.replace("equity = 0", "equity = 100.5").as_bytes());
    let args = ["member", "amend", "anna", "--facts", "bad.toml"];
    let said = gated.officer.fails(2, &args);
    assert!(said.contains("foreign.equity: 100.5 is no percentage"), "{said}");
    let output = gated.officer.command(&args).env("LANG", "zh_CN.UTF-8").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("百分比"));
    // Days that are reversed.
    let reversed = approved().replace("from = 2020-01-01", "from = 2090-01-01");
    gated.world.write("bad.toml", reversed.as_bytes());
    let said = gated.lab.fails(2, &["dataset", "create", "other", "--facts", "bad.toml"]);
    assert!(said.contains("hgr.approvals"), "{said}");
    // Raw JSON has no meaning for rules.
    gated.world.write("raw.json", b"{}");
    let said = gated.lab.fails(2, &["dataset", "create", "other", "--facts", "raw.json"]);
    assert!(said.contains("dataset template"), "{said}");
    assert!(gated.lab.fails(2, &["decide", RUN, "anna", "--scenario", "resarch"]).contains("no such scenario"));
}

#[test]
fn templates_and_grades_need_no_vault_and_speak_both_languages() {
    let world = World::new();
    let anna = world.new_person("anna");
    for args in [&["dataset", "template"][..], &["member", "template"], &["grant", "--template"]] {
        let en = String::from_utf8(anna.run(args).bytes()).unwrap();
        let zh = String::from_utf8(anna.run(&[args, &["--lang", "zh"]].concat()).bytes()).unwrap();
        assert!(en.starts_with("# Facts of a") && zh.contains("的事实"), "{en}\n{zh}");
    }
    world.write("run.toml", DATASET.as_bytes());
    let graded = anna.ok(&["dataset", "grade", "--facts", "run.toml"]);
    assert_eq!((&graded["health"]["level"], &graded["national"]["level"]), (&Value::from(3), &Value::from(1)));
    let zh = anna.run(&["dataset", "grade", "--facts", "run.toml", "--lang", "zh"]);
    assert!(String::from_utf8(zh.stdout).unwrap().contains("建议级别：3"));
    // Put together, two datasets of 300 genomes are more than 500.
    let gated = Gated::of(&DATASET.replace("count = 100", "count = 300"), HOSPITAL, &[]);
    gated.lab.ok(&["dataset", "create", "run-43", "--facts", "run.toml"]);
    let merged = gated.lab.ok(&["dataset", "grade", RUN, "run-43"]);
    assert_eq!((&merged["subjects"], &merged["national"]["level"]), (&Value::from(600), &Value::from(2)));
}

#[test]
fn the_sealed_part_of_facts_stays_with_its_author() {
    let gated = Gated::domestic();
    let facts = gated.lab.ok(&["dataset", "facts", RUN]);
    assert_eq!(facts["facts"]["source.collector"]["answer"], "Example Lab");
    let others = gated.anna.ok(&["dataset", "facts", RUN]);
    assert!(others["facts"].get("source.collector").is_none() && others["whole"] == false, "{others}");
    assert_eq!(others["facts"]["subjects.count"]["answer"], "100");
    // Nothing of it is in the vault.
    for name in gated.world.objects().keys() {
        let bytes = fs::read(gated.world.vault().join(name)).unwrap();
        assert!(!bytes.windows(11).any(|part| part == b"Example Lab"), "{name}");
    }
    // Handed over, it is checked.
    let hash = facts["sealed"].as_str().unwrap();
    let kept = gated.lab.state().join("facts").join(hash);
    let shown = gated.anna.ok(&["dataset", "facts", RUN, "--sealed", kept.to_str().unwrap()]);
    assert_eq!(shown["facts"]["source.collector"]["answer"], "Example Lab");
    assert_eq!(gated.anna.ok(&["dataset", "facts", RUN])["whole"], true, "it was kept");
    gated.world.write("wrong", b"{}");
    assert!(gated.dora.fails(5, &["dataset", "facts", RUN, "--sealed", "wrong"]).contains("sealed part"));
}

#[test]
fn a_vault_without_packs_works_as_before_and_says_so() {
    let world = story::story();
    let done = world.person("lab").run(&["grant", story::COHORT, "eve", "--purpose", "study"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("no rule pack is in force"), "{}", done.stderr);
    let said = world.person("anna").fails(2, &["decide", story::COHORT, "anna"]);
    assert!(said.contains("no rule pack is in force"), "{said}");
    let imagined =
        answered(&world.person("anna"), REFUSED, &["decide", story::COHORT, "anna", "--pack", "cn-sequencing"]);
    assert_eq!(imagined["outcome"], "blocked");
    assert_eq!(world.person("lab").ok(&["due"]).as_array().unwrap().len(), 0);
}

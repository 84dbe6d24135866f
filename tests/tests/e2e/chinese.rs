//! What a Chinese reader sees of the rules' verbs when something is wrong: a table of wrong inputs, and no English sentence in any answer.

use vault_core::ids::{EntryHash, LedgerId};
use vault_core::ledger::statement::{Body, Empty, Role, RoleSet, VaultHead};
use vault_keys::custodian::Custodian;
use vault_tests::world::{Done, Person};

use crate::gate::{Gated, approved, foreign};
use crate::mallory::{custodian, next_statement, write_signed};
use crate::story::enrol;

const USAGE: i32 = 2;
const MISSING: i32 = 3;
const REFUSED: i32 = 4;
const CHANGED: i32 = 5;
const CONFLICT: i32 = 6;
const IDENTITY: i32 = 7;

/// Words that are names of these tests, or of the program, and no sentence.
const NAMES: &[&str] =
    &["seqvault", "officer", "lab", "dora", "eric", "anna", "second", "deputy", "run", "vault", "dataset", "exposure"];

/// The runs of two or more English words in an answer: what stands in backquotes or quotes is typed or quoted, a word with a digit or a sign in it is a
/// name, and a usage line names options.
fn english(said: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in said.lines().filter(|line| !line.starts_with("用法：")) {
        let unquoted: String = line.split('`').step_by(2).collect::<Vec<_>>().join("|");
        let unquoted: String = unquoted.split('"').step_by(2).collect::<Vec<_>>().join("|");
        // A rule's row is named as its pack names it.
        let unquoted: String =
            unquoted.split('[').map(|part| part.split_once(']').map_or(part, |(_, after)| after)).collect();
        let mut run: Vec<&str> = Vec::new();
        for word in unquoted.split(' ').chain(["|"]) {
            let bare = word.trim_matches(|c: char| matches!(c, ',' | '.' | ':' | ';' | '(' | ')' | '!' | '?'));
            let letters = bare.strip_suffix("'s").unwrap_or(bare).replace("n't", "nt");
            let is_word = !letters.is_empty()
                && letters.chars().all(|c| c.is_ascii_lowercase())
                && !NAMES.contains(&letters.as_str());
            if is_word {
                run.push(word);
            }
            // A mark of punctuation ends no run: "of it, and" are three words.
            if !is_word {
                if run.len() > 1 {
                    found.push(run.join(" "));
                }
                run.clear();
            }
        }
    }
    found
}

#[test]
fn an_english_sentence_is_found_and_names_are_none() {
    assert_eq!(english("seqvault: anna can't read it, and that is that"), ["can't read it, and that is that"]);
    assert_eq!(english("请运行 `seqvault member list` 查看\n  the one hint"), ["the one hint"]);
    assert_eq!(
        english(
            "阻断 cross-border [bulk US-person data] 须评估\n其批准人：dora、eric\nrun-42 的 lab 不是 x/y.toml 的数据管理者\n用法：seqvault grant [OPTIONS] <A>"
        ),
        Vec::<String>::new()
    );
}

/// Runs a wrong input in Chinese; what it said must be Chinese throughout, in words and in JSON. Returns the complaint.
fn wrong(person: &Person, code: i32, args: &[&str]) -> Result<(), String> {
    let run = |more: &[&str]| -> Done { person.run(&[args, &["--lang", "zh"], more].concat()) };
    let done = run(&[]);
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = format!("{}{out}", done.stderr);
    if done.code != Some(code) {
        return Err(format!("{}: {:?} and not {code}\n{said}", done.what, done.code));
    }
    let sentences = english(&said);
    if !sentences.is_empty() || said.is_ascii() {
        return Err(format!("{}: {sentences:?}\n{said}", done.what));
    }
    let json = run(&["--json"]).stderr;
    let last = json.lines().last().unwrap_or_default();
    match serde_json::from_str::<serde_json::Value>(last) {
        Ok(value) => {
            let of = |name: &str| value["error"][name].as_str().unwrap_or_default().to_owned();
            let sentences = english(&format!("{}\n{}", of("message"), of("hint")));
            if sentences.is_empty() { Ok(()) } else { Err(format!("{} --json: {sentences:?}\n{last}", done.what)) }
        }
        Err(e) => Err(format!("{} --json: {e}\n{json}", done.what)),
    }
}

/// A vault in which there is something of everything: a proposal that waits, a grant, a member who is retired, another steward.
fn vault() -> Gated {
    let gated = Gated::of(&approved(), &foreign(), &["--two-person", "--approvals", "0,0,0,1,1"]);
    gated.rewrite("grant.toml", "tool = \"none\"", "tool = \"standard_contract\"");
    let world = &gated.world;
    for (name, more) in [("second", &["--role", "officer"][..]), ("deputy", &[]), ("gone", &[])] {
        let _ = world.new_person(name);
        enrol(world, name, more);
    }
    let _ = world.new_person("nobody");
    gated.officer.ok(&["member", "role", "deputy", "steward", "--dataset", "run-42"]);
    gated.officer.ok(&["member", "retire", "gone", "--reason", "left"]);
    gated.lab.ok(&["propose", "run-42", "anna", "--facts", "grant.toml"]);
    gated.lab.ok(&["propose", "dataset", "delete", "run-42", "--reason", "over"]);
    world.write("garbage", b"{\n");
    world.write("binary", &[0xff, 0xfe, 0]);
    world.write("empty", b"\n");
    world.write("bad.toml", b"[subjects]\ncount = -1\n[use]\nscenario = \"no\"\n");
    world.write("facts.json", b"{}");
    world.write("taken.terms.json", b"");
    gated
}

#[test]
fn wrong_inputs_of_the_rules_verbs_are_answered_in_chinese_alone() {
    let gated = vault();
    let Gated { officer, lab, dora, anna, .. } = &gated;
    let [nobody, deputy] = ["nobody", "deputy"].map(|name| gated.world.person(name));
    let log = officer.ok(&["log"]);
    let of_vault = log.as_array().unwrap();
    let last_of = |entries: &[serde_json::Value]| {
        let last = entries.last().unwrap();
        (last["seq"].to_string(), last["hash"].as_str().unwrap().to_owned())
    };
    let (vault_seq, vault_hash) = last_of(of_vault);
    let of_run = officer.ok(&["log", "run-42"]);
    let (seq, hash) = last_of(of_run.as_array().unwrap());
    let first = of_run[0]["hash"].as_str().unwrap();
    let zeros = EntryHash([0; 32]).to_string();
    let exposure = format!("exposure/{zeros}");
    let grant_terms = "run-42-anna.terms.json";
    let delete_terms = "run-42-delete.terms.json";
    let waiting = lab.ok(&["waiting"]);
    let proposal = |act: &str| {
        let found = waiting.as_array().unwrap().iter().find(|one| one["act"] == act).unwrap();
        found["proposal"].as_str().unwrap().to_owned()
    };
    let (proposed, deletion) = (proposal("granted"), proposal("dataset-deleted"));
    let table: &[(&Person, i32, &[&str])] = &[
        // The command line itself.
        (lab, USAGE, &["grant", "run-42", "anna", "--until", "2026-02-30"]),
        (lab, USAGE, &["grant", "Run_42", "anna"]),
        (lab, USAGE, &["grant", "run-42"]),
        (lab, USAGE, &["decide", "run-42", "anna", "--level", "6"]),
        (lab, USAGE, &["recover", "ledger", "1", "--hash", "00"]),
        (lab, USAGE, &["due", "--within", "soon"]),
        (lab, USAGE, &["subjects", "release", "run-42", "--proposal", "00"]),
        (lab, USAGE, &["propose", "run-42", "anna", "--valid", "0"]),
        (lab, USAGE, &["pack", "sett", "x"]),
        (lab, USAGE, &["withdraw", "run-42", "--subjects", "00"]),
        // Which vault, which identity.
        (lab, MISSING, &["waiting", "--vault", "nowhere"]),
        (lab, IDENTITY, &["grant", "run-42", "anna", "--identity", "nowhere", "--facts", "grant.toml"]),
        (lab, IDENTITY, &["waiting", "--mine", "--identity", "garbage"]),
        (&nobody, REFUSED, &["waiting", "--mine"]),
        // recover
        (anna, REFUSED, &["recover", "dataset/run-42", &seq, "--hash", &hash]),
        (officer, MISSING, &["recover", "dataset/run-42", "999", "--hash", &hash]),
        (officer, MISSING, &["recover", &exposure, "0", "--hash", &zeros]),
        (officer, MISSING, &["recover", "dataset/nothing", "0", "--hash", &zeros]),
        (officer, USAGE, &["recover", "dataset/run-42", &seq, "--hash", &hash[..8]]),
        (officer, REFUSED, &["recover", "dataset/run-42", &seq, "--hash", &zeros]),
        (officer, REFUSED, &["recover", "dataset/run-42", &seq, "--hash", &hash]),
        (officer, REFUSED, &["recover", "dataset/run-42", "0", "--hash", first, "--cut"]),
        (officer, REFUSED, &["recover", "vault", &vault_seq, "--hash", &vault_hash, "--cut"]),
        (officer, REFUSED, &["recover", "dataset/run-42", &seq, "--hash", &hash, "--cut"]),
        (officer, REFUSED, &["recover", "dataset/run-42", &seq, "--hash", &hash, "--cut", "--terms", grant_terms]),
        // subjects
        (anna, REFUSED, &["subjects", "share"]),
        (&deputy, REFUSED, &["subjects", "mark", "run-42", "--ids", "grant.toml"]),
        (anna, REFUSED, &["subjects", "mark", "run-42", "--ids", "grant.toml"]),
        (lab, MISSING, &["subjects", "mark", "run-42", "--ids", "nowhere"]),
        (lab, USAGE, &["subjects", "mark", "run-42", "--ids", "empty"]),
        (lab, USAGE, &["subjects", "mark", "run-42", "--ids", "binary"]),
        (lab, USAGE, &["subjects", "mark", "run-42", "--ids", "grant.toml", "--scheme", " "]),
        (lab, MISSING, &["subjects", "release", "nothing"]),
        (anna, REFUSED, &["subjects", "release", "run-42", "--others"]),
        (lab, MISSING, &["subjects", "release", "run-42", "--terms", "nowhere"]),
        (lab, USAGE, &["subjects", "release", "run-42", "--terms", "garbage"]),
        (lab, USAGE, &["subjects", "release", "run-42", "--terms", grant_terms]),
        (lab, REFUSED, &["propose", "subjects", "release", "run-42", "anna"]),
        // dataset
        (lab, CONFLICT, &["dataset", "create", "run-42", "--facts", "run.toml"]),
        (anna, REFUSED, &["dataset", "create", "run-43", "--facts", "run.toml"]),
        (lab, USAGE, &["dataset", "create", "run-43", "--facts", "bad.toml"]),
        (lab, USAGE, &["dataset", "create", "run-43", "--facts", "facts.json"]),
        (lab, USAGE, &["dataset", "create", "run-43", "--facts", "run.toml", "--title", "a\nb"]),
        (lab, CHANGED, &["dataset", "create", "run-43", "--facts", "run.toml", "--recovery", "garbage"]),
        (lab, REFUSED, &["dataset", "create", "run-43", "--facts", "run.toml", "--recovery", "nobody.card"]),
        (anna, REFUSED, &["dataset", "delete", "run-42", "--reason", "over"]),
        (lab, USAGE, &["dataset", "delete", "run-42"]),
        (lab, USAGE, &["dataset", "delete", "run-42", "--reason", " "]),
        (lab, MISSING, &["dataset", "delete", "nothing", "--reason", "over"]),
        (lab, REFUSED, &["dataset", "delete", "run-42", "--reason", "over"]),
        (lab, REFUSED, &["dataset", "delete", "run-42", "--terms", grant_terms]),
        (lab, REFUSED, &["dataset", "delete", "run-42", "--terms", delete_terms]),
        (lab, USAGE, &["dataset", "delete", "run-42", "--terms", delete_terms, "--proposal", &deletion[..4]]),
        (lab, MISSING, &["dataset", "delete", "run-42", "--terms", delete_terms, "--proposal", &zeros]),
        (anna, REFUSED, &["dataset", "amend", "run-42", "--level", "5", "--why", "more"]),
        (lab, USAGE, &["dataset", "amend", "run-42", "--facts", "run.toml", "--why", "nothing"]),
        (lab, USAGE, &["dataset", "amend", "run-42", "--facts", "bad.toml", "--why", "more"]),
        (lab, MISSING, &["dataset", "amend", "run-42", "--facts", "nowhere", "--why", "more"]),
        (lab, USAGE, &["dataset", "amend", "run-42", "--facts", "run.toml", "--why", "a\nb"]),
        (anna, MISSING, &["dataset", "facts", "nothing"]),
        (anna, CHANGED, &["dataset", "facts", "run-42", "--sealed", "garbage"]),
        (anna, REFUSED, &["dataset", "facts", "run-42", "--open"]),
        (anna, MISSING, &["dataset", "grade", "nothing"]),
        (anna, USAGE, &["dataset", "grade", "--facts", "bad.toml"]),
        (anna, REFUSED, &["dataset", "confirm", "run-42"]),
        // member
        (anna, REFUSED, &["member", "add", "nobody", "--card", "nobody.card"]),
        (officer, REFUSED, &["member", "add", "anna", "--card", "nobody.card"]),
        (officer, CHANGED, &["member", "add", "nobody", "--card", "garbage"]),
        (officer, MISSING, &["member", "add", "nobody", "--card", "nowhere"]),
        (officer, USAGE, &["member", "add", "nobody", "--card", "nobody.card", "--jurisdiction", "cn"]),
        (officer, USAGE, &["member", "add", "nobody", "--card", "nobody.card", "--facts", "bad.toml"]),
        (officer, MISSING, &["member", "amend", "nobody", "--kind", "team"]),
        (officer, CONFLICT, &["member", "amend", "anna", "--jurisdiction", "DE"]),
        (officer, USAGE, &["member", "amend", "anna", "--facts", "bad.toml"]),
        (officer, REFUSED, &["member", "add-key", "anna", "--card", "nobody.card"]),
        (officer, USAGE, &["member", "add-key", "anna", "--terms", grant_terms]),
        (officer, MISSING, &["member", "replace-key", "anna", "--old", "0000", "--card", "nobody.card"]),
        (officer, MISSING, &["member", "retire", "nobody", "--reason", "left"]),
        (officer, MISSING, &["member", "invite", "nobody"]),
        (officer, REFUSED, &["member", "invite", "gone"]),
        (officer, MISSING, &["member", "show", "nobody"]),
        (officer, USAGE, &["member", "role", "anna", "uploader"]),
        (officer, USAGE, &["member", "role", "anna", "approver"]),
        (officer, USAGE, &["member", "role", "anna", "officer", "--dataset", "run-42"]),
        // propose, approve
        (lab, USAGE, &["propose"]),
        (lab, MISSING, &["propose", "nothing", "anna"]),
        (lab, MISSING, &["propose", "run-42", "nobody"]),
        (lab, CONFLICT, &["propose", "run-42", "anna", "--out", "taken.terms.json"]),
        (anna, REFUSED, &["propose", "run-42", "anna", "--out", "a.json"]),
        (lab, REFUSED, &["propose", "run-42", "anna", "--out", "a.json"]),
        (lab, USAGE, &["propose", "run-42", "anna", "--out", "a.json", "--facts", "bad.toml"]),
        (lab, USAGE, &["propose", "run-42", "anna", "--out", "a.json", "--scenario", "no"]),
        (anna, REFUSED, &["propose", "dataset", "delete", "run-42", "--reason", "over", "--out", "a.json"]),
        (anna, REFUSED, &["propose", "member", "add-key", "anna", "--card", "nobody.card"]),
        (anna, REFUSED, &["propose", "recover", "dataset/run-42", &seq, "--hash", &hash, "--cut"]),
        (anna, REFUSED, &["approve", "--terms", grant_terms]),
        (lab, REFUSED, &["approve", "--terms", grant_terms]),
        (dora, MISSING, &["approve", "--terms", "nowhere"]),
        (dora, USAGE, &["approve", "--terms", "garbage"]),
        (dora, USAGE, &["approve", "--terms", "binary"]),
        (dora, REFUSED, &["approve", "run-43", "--terms", grant_terms]),
        (dora, USAGE, &["approve", "run-42", &proposed[..4], "--terms", grant_terms]),
        (dora, MISSING, &["approve", "run-42", &zeros, "--terms", grant_terms]),
        // decide, grant, due
        (lab, MISSING, &["decide", "run-42", "nobody"]),
        (lab, MISSING, &["decide", "nothing", "anna"]),
        (lab, REFUSED, &["decide", "run-42", "anna"]),
        (lab, USAGE, &["decide", "run-42", "anna", "--scenario", "no"]),
        (lab, MISSING, &["decide", "run-42", "anna", "--pack", "no-pack"]),
        (lab, USAGE, &["decide", "run-42", "anna", "--member-facts", "bad.toml"]),
        (lab, MISSING, &["due", "nothing"]),
        (lab, USAGE, &["grant", "run-42", "anna", "--facts", "grant.toml", "--until", "2020-01-01"]),
        (lab, MISSING, &["grant", "run-42", "nobody", "--facts", "grant.toml"]),
        (lab, REFUSED, &["grant", "run-42", "gone", "--facts", "grant.toml"]),
        (lab, REFUSED, &["grant", "run-42", "anna", "--facts", "grant.toml"]),
        (lab, REFUSED, &["grant", "run-42", "anna"]),
        (lab, REFUSED, &["grant", "run-42", "anna", "--terms", grant_terms]),
        (lab, USAGE, &["grant", "run-42", "dora", "--terms", grant_terms]),
        (lab, REFUSED, &["grant", "run-42", "anna", "--terms", delete_terms]),
        (anna, REFUSED, &["grant", "run-42", "anna", "--facts", "grant.toml"]),
        (&deputy, REFUSED, &["grant", "run-42", "anna", "--facts", "grant.toml"]),
        (lab, MISSING, &["revoke", "run-42", "nobody"]),
        (lab, MISSING, &["revoke", "run-42", "dora"]),
        (anna, REFUSED, &["rotate", "run-42"]),
        // suspend, withdraw, attest, agreement
        (lab, MISSING, &["suspend", "run-42", "dora", "--reason", "over"]),
        (lab, USAGE, &["suspend", "run-42", "dora", "--reason", "a\nb"]),
        (anna, REFUSED, &["suspend", "run-42", "lab", "--reason", "over"]),
        (lab, USAGE, &["withdraw", "run-42"]),
        (lab, MISSING, &["withdraw", "run-42", "dora", "--reason", "over"]),
        (anna, REFUSED, &["withdraw", "run-42", "--reason", "over"]),
        (anna, MISSING, &["attest", "run-42", "--scope", "all"]),
        (anna, USAGE, &["attest", "run-42", "--scope", " "]),
        (anna, MISSING, &["attest", "run-42", "--scope", "all", "--document", "nowhere"]),
        (anna, REFUSED, &["agreement", "accept", "run-42", "--document", "run.toml"]),
        // pack
        (lab, MISSING, &["pack", "show", "no-pack"]),
        (lab, USAGE, &["pack", "check", "bad.toml"]),
        (lab, USAGE, &["pack", "list", "--packs", "."]),
        (anna, REFUSED, &["pack", "set", "example-institute"]),
        (officer, CONFLICT, &["pack", "set", "cn-sequencing"]),
        (officer, MISSING, &["pack", "unset", "example-institute"]),
        (anna, REFUSED, &["pack", "unset", "cn-sequencing"]),
    ];
    let complaints: Vec<String> =
        table.iter().filter_map(|(person, code, args)| wrong(person, *code, args).err()).collect();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), table.len(), complaints.join("\n\n"));
}

#[test]
fn what_revoke_and_rotate_did_is_said_in_chinese_alone() {
    let gated = Gated::domestic();
    let Gated { officer, lab, dora, .. } = &gated;
    // What the grant's own answers say is the reader's.
    gated.rewrite("grant.toml", "cohort study 7", "队列研究");
    let done = |person: &Person, args: &[&str]| {
        let done = person.run(&[args, &["--lang", "zh"]].concat());
        let said = format!("{}{}", done.stderr, String::from_utf8_lossy(&done.stdout));
        assert_eq!(done.code, Some(0), "{}\n{said}", done.what);
        assert!(english(&said).is_empty() && !said.is_ascii(), "{}: {:?}\n{said}", done.what, english(&said));
        said
    };
    let terms = ["--terms", "run-42-anna.terms.json"];
    done(lab, &["propose", "run-42", "anna", "--facts", "grant.toml"]);
    done(dora, &[&["approve", "run-42"][..], &terms].concat());
    done(lab, &[&["grant", "run-42", "anna"][..], &terms].concat());
    let said = done(lab, &["revoke", "run-42", "anna", "--reason", "over"]);
    assert!(said.contains("anna 不能再读取 run-42") && said.contains("留存："), "{said}");
    done(lab, &["revoke", "run-42", "anna"]);
    assert!(done(lab, &["rotate", "run-42"]).contains("run-42 处于密钥纪元"));
    done(lab, &["rotate", "run-42", "--reencrypt"]);
    done(lab, &["dataset", "delete", "run-42", "--reason", "over", "--confirm", "run-42"]);
    done(officer, &["revoke", "run-42", "anna"]);
}

/// Both ways to fork a ledger, as a member with the folder can.
#[test]
fn a_fork_is_answered_in_chinese_alone() {
    let gated = Gated::of(&approved(), &foreign(), &[]);
    let Gated { world, officer, lab, .. } = &gated;
    let run: LedgerId = "dataset/run-42".parse().unwrap();
    let key = custodian(lab);
    let mut cites = next_statement(&world.vault(), &"lab".parse().unwrap(), key.card(), run, Body::Anchored(Empty {}));
    cites.vault_head = Some(VaultHead { hash: EntryHash([7; 32]), seq: 1_000_000 });
    write_signed(&world.vault(), &key, &cites);
    let mut complaints: Vec<String> = [
        (lab, &["dataset", "show", "run-42"][..]),
        (lab, &["rotate", "run-42"]),
        (lab, &["grant", "run-42", "anna", "--facts", "grant.toml"]),
        (lab, &["dataset", "amend", "run-42", "--level", "5", "--why", "more"]),
    ]
    .into_iter()
    .filter_map(|(person, args)| wrong(person, CHANGED, args).err())
    .collect();
    let key = custodian(officer);
    let body = Body::RoleSet(RoleSet { dataset: None, member: "anna".parse().unwrap(), on: true, role: Role::Auditor });
    let mut follows = next_statement(&world.vault(), &"officer".parse().unwrap(), key.card(), LedgerId::Vault, body);
    follows.prev = Some(EntryHash([7; 32]));
    write_signed(&world.vault(), &key, &follows);
    complaints.extend(
        [(officer, &["member", "list"][..]), (lab, &["decide", "run-42", "anna"]), (officer, &["pack", "list"])]
            .into_iter()
            .filter_map(|(person, args)| wrong(person, CHANGED, args).err()),
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

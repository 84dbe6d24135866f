//! Packs that ship, packs that do not validate, and the record of decisions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may unwrap, index and panic")]
#![allow(clippy::disallowed_methods, reason = "the page of fields is compared with a file, and written on request")]

mod scene;

use scene::{NOW, Scene, Told, pack};
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::statement::{Facts, Reservation};
use vault_policy::facts::{Dataset, Field, Grant, Member, Seen, fields_page};
use vault_policy::gate::pack::{shipped_by_hash, shipped_texts};
use vault_policy::gate::{Place, Trace, TraceError, shipped};
use vault_policy::{Case, Lang, Outcome, Pack, decide};

#[test]
fn every_shipped_pack_loads_and_is_found_by_its_hash() {
    assert_eq!(shipped().len(), shipped_texts().len());
    for (text, pack) in shipped_texts().iter().zip(shipped()) {
        let again = Pack::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(again.hash(), pack.hash());
        assert_eq!(shipped_by_hash(&pack.hash()).unwrap().name(), pack.name());
    }
}

/// Traces in ledgers name packs by hash: a pack that has shipped keeps its hash for ever. A new version is a new file.
#[test]
fn a_pack_that_has_shipped_keeps_its_hash() {
    let known: Vec<_> =
        shipped().iter().map(|pack| format!("{} {} {}", pack.name(), pack.version(), pack.hash())).collect();
    assert_eq!(known, include_str!("../packs/HASHES").lines().collect::<Vec<_>>());
}

#[test]
fn comments_and_spacing_do_not_change_a_hash_and_meaning_does() {
    let text = shipped_texts()[1];
    let hash = Pack::parse(text).unwrap().hash();
    let spaced = text.replace("when = \"company\"", "# a comment\nwhen   =  \"( company )\"");
    assert_eq!(Pack::parse(&spaced).unwrap().hash(), hash);
    let other = text.replace("mlps_3, mlps_4, iso_27001", "mlps_3, mlps_4");
    assert_ne!(Pack::parse(&other).unwrap().hash(), hash);
    let reworded = text.replace("两人批准", "二人批准");
    assert_ne!(Pack::parse(&reworded).unwrap().hash(), hash);
}

/// The house pack with one thing changed, and what is then said of it.
#[test]
fn a_pack_that_does_not_validate_is_refused_with_its_reason() {
    for (from, to, reason) in [
        ("id = \"house-2\"", "id = \"house-1\"", "stands there twice"),
        ("row = \"house 1\"", "row = \"house\\u001b[2J\"", "or hold a line feed or other control character"),
        ("zh = \"企业须出示安全证明\"", "zh = \"a company\"", "needs an English and a Chinese text"),
        ("en = \"a company shows a security attestation\"\n", "", "rule house-2.en: missing"),
        ("cites = [\"S House rules 1\"]", "cites = [\"House rules 1\"]", "a citation is a mark S, L, M or U"),
        ("cites = [\"S House rules 1\"]", "cites = []", "names no source"),
        ("cites = [\"S House rules 1\"]\n", "", "rule house-1.cites: missing"),
        ("from = 2026-01-01", "from = \"2026-02-30\"", "is no day"),
        ("from = 2026-01-01", "from = 2026-01-01\nto = 2025-12-31", "this day is before from"),
        ("outcome = \"deny\"", "outcome = \"forbid\"", "no such outcome: \"forbid\""),
        ("regime = \"house\"", "regime = \"home\"", "no such regime: \"home\""),
        (
            "evidence = { en = \"a security attestation that holds today\", zh = \"当日有效的安全证明\" }\n",
            "",
            "a blocking rule names the evidence",
        ),
        ("approvals = 2", "approvals = 9", "must be a whole number from 1 to 8"),
        ("outcome = \"allow\"", "outcome = \"note\"", "it needs a rule that allows and has none"),
        ("needs_allow = true", "needs_allow = false", "what no rule hits would be allowed"),
        ("needs_allow = true\n", "", "what no rule hits would be allowed"),
        ("engine = 1", "engine = 2", "must be a whole number from 1 to 1"),
        ("utc_offset_minutes = 480\n", "", "pack.utc_offset_minutes: missing"),
        ("version = \"1\"", "version = 1", "expected a text in quotes, found integer"),
        ("when = \"company\"", "whem = \"company\"", "no such field (did you mean \"when\"?)"),
        (
            "when = \"company\"",
            "when = \"compony\"",
            "\"compony\" is not defined before here (did you mean \"company\"?)",
        ),
        ("when = \"company\"", "when = \"company and\"", "ends too early"),
        ("when = \"company\"", "when = \"(company\"", "expected \")\""),
        ("when = \"company\"", "when = \"company company\"", "unexpected \"company\""),
        ("when = \"company\"", "when = \"company & company\"", "a character that no condition has"),
        (
            "when = \"company\"",
            "when = \"member.legal.knd = enterprise\"",
            "no fact \"member.legal.knd\" (did you mean \"member.legal.kind\"?)",
        ),
        ("when = \"company\"", "when = \"member.legal.kind = company\"", "\"company\" is no answer to legal.kind"),
        (
            "when = \"company\"",
            "when = \"member.legal.kind\"",
            "this can't be asked of a fact that is one of the words in quotes",
        ),
        ("when = \"company\"", "when = \"member.legal.kind > 5\"", "this can't be asked"),
        ("when = \"company\"", "when = \"dataset.subjects.count = many\"", "\"many\" is no whole number"),
        ("when = \"company\"", "when = \"dataset.subjects.count >= 0\"", "this comparison has only one result"),
        ("when = \"company\"", "when = \"member.foreign.equity > 100%\"", "this comparison has only one result"),
        ("when = \"company\"", "when = \"member.foreign.equity > 50\"", "is no percentage such as 50%"),
        ("when = \"company\"", "when = \"dataset.content.kinds in {imaging}\"", "this can't be asked"),
        ("when = \"company\"", "when = \"dataset.deidentification.residual_risk in {low, low}\"", "stands there twice"),
        (
            "when = \"company\"",
            "when = \"dataset.deidentification.residual_risk in {low, medium, high}\"",
            "all words of the list",
        ),
        ("when = \"company\"", "when = \"given dataset.consent.given\"", "`given` would always hold"),
        ("when = \"company\"", "when = \"dataset.consent.written\"", "is sealed: a server could not decide by it"),
        ("when = \"company\"", "when = \"company and not company\"", "its condition can never hold"),
        ("when = \"company\"", "when = \"company or not company\"", "its condition always holds"),
        (
            "when = \"company\"",
            "when = \"dataset.subjects.count > 5 and dataset.subjects.count < 6\"",
            "its condition can never hold",
        ),
        ("when = \"member.legal.kind = enterprise\"", "when = \"house\"", "\"house\" is not defined before here"),
        ("id = \"company\"", "id = \"not\"", "is no word of conditions"),
        (
            "[[define]]\nid = \"company\"",
            "[[define]]\nid = \"other\"\nwhen = \"dataset.consent.given\"\n[[define]]\nid = \"company\"",
            "define other: nothing uses it",
        ),
        ("[[define]]", "[[definition]]", "definition: no such field"),
    ] {
        let text = shipped_texts()[1];
        assert!(text.contains(from), "{from}");
        let problems = Pack::parse(&text.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} is taken"));
        assert!(problems.say(Lang::En).contains(reason), "{to}: {problems}");
        // In Chinese too: every line has a Chinese reason.
        for line in problems.say(Lang::Zh).lines() {
            assert!(line.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{line}");
        }
    }
}

/// A pack that has come too early, or whose time is over, allows nothing by having nothing to say.
#[test]
fn a_pack_without_a_rule_in_effect_blocks() {
    let house = pack("example-institute");
    assert_eq!(Scene::domestic().decide_under(&[house]).outcome, Outcome::Allow);
    let over = shipped_texts()[1].replace("from = 2026-01-01", "from = 2026-01-01\nto = 2026-06-14");
    for (text, when) in
        [(shipped_texts()[1].replace("from = 2026-01-01", "from = 2026-06-16"), "early"), (over, "late")]
    {
        let pack = Pack::parse(&text).unwrap();
        let decision = Scene::domestic().decide_under(&[&pack]);
        assert_eq!(decision.outcome, Outcome::Blocked, "{when}");
        let said: Vec<_> = decision.missing().map(|fired| fired.text.say(Lang::En).to_owned()).collect();
        assert!(said.iter().any(|text| text == "none of its rules is in effect on this day"), "{when}: {said:?}");
        // Beside a pack that allows, too.
        assert_eq!(Scene::domestic().decide_under(&[house, &pack]).outcome, Outcome::Blocked, "{when}");
    }
}

#[test]
fn a_condition_that_is_wrong_is_shown_at_its_place() {
    let text =
        shipped_texts()[1].replacen("when = \"company\"", "when = \"company and dataset.subjects.cuont > 5\"", 1);
    let line = text.lines().position(|line| line.contains("cuont")).unwrap() + 1;
    let problems = Pack::parse(&text).unwrap_err();
    assert_eq!(
        problems.say(Lang::En),
        format!(
            "line {line}, column 21: rule house-2.when: condition: no fact \"dataset.subjects.cuont\" (did you mean \"dataset.subjects.count\"?)"
        )
    );
}

#[test]
fn a_pack_nests_only_so_deep() {
    let deep = format!("when = \"{}company{}\"", "(".repeat(10_000), ")".repeat(10_000));
    let text = shipped_texts()[1].replacen("when = \"company\"", &deep, 1);
    assert!(Pack::parse(&text).unwrap_err().say(Lang::En).contains("nested too deeply"));
}

#[test]
fn a_field_stands_in_the_clear_because_a_rule_asks_for_it_and_for_no_other_reason() {
    // Two fields are read by nothing here and have to be seen all the same, for what the page says.
    let by_hand = ["member.ultimate.id"];
    for (scope, fields) in
        [("dataset", Dataset::SCHEMA.fields), ("member", Member::SCHEMA.fields), ("grant", Grant::SCHEMA.fields)]
    {
        for field in fields {
            let name = format!("{scope}.{}", field.path);
            let used =
                shipped().iter().any(|pack| !pack.rules_on(&name).is_empty()) || by_hand.contains(&name.as_str());
            assert_eq!(used, field.seen == Seen::ByServer, "{name}");
        }
    }
}

#[test]
fn the_page_of_fields_is_the_tables() {
    let because = |name: &str| -> Vec<String> {
        if name == "member.ultimate.id" {
            return vec!["names the exposure ledger".to_owned()];
        }
        let asked = if name.starts_with("dataset.hgr.approvals") { "dataset.hgr.approvals" } else { name };
        shipped().iter().flat_map(|pack| pack.rules_on(asked)).map(|rule| format!("`{rule}`")).collect()
    };
    let page = fields_page(because);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/facts.md");
    if std::env::var_os("SEQVAULT_UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page, "run the test with SEQVAULT_UPDATE_DOCS=1");
}

#[test]
fn every_field_asks_in_both_languages() {
    let all: Vec<&Field> =
        [Dataset::SCHEMA, Member::SCHEMA, Grant::SCHEMA].iter().flat_map(|schema| schema.fields).collect();
    assert!(all.len() > 100);
    for field in all {
        assert!(field.ask.zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{}", field.path);
        assert!(field.ask.en.chars().next().unwrap().is_ascii_uppercase(), "{}", field.path);
    }
}

#[test]
fn a_server_that_sees_the_clear_part_decides_as_the_client_does() {
    for scene in [Scene::domestic(), Scene::named(), Scene::reported().exposed(501, 100)] {
        // The client knows sealed answers too; what it decides on is what it states.
        let (dataset, member, grant) = scene.facts();
        let full =
            dataset.with([("ethics.number", vault_policy::facts::Value::Text("E-1".to_owned()).into())]).unwrap();
        let client = Told::salted(&full, &member, &grant, [6; 32]);
        let without = Told::salted(&dataset, &member, &grant, [6; 32]);
        assert_eq!(client.dataset.facts(), without.dataset.facts());
        assert_ne!(client.dataset.digest(), without.dataset.digest());
        let packs = [pack("cn-sequencing")];
        let (a, b) = (decide(&scene.case(&client), &packs), decide(&scene.case(&without), &packs));
        assert_eq!((a.outcome, a.fired, a.expires), (b.outcome, b.fired, b.expires));
    }
}

#[test]
fn a_trace_is_checked_years_later_from_what_the_ledger_holds() {
    let scene = Scene::named();
    let told = scene.stated();
    let decision = decide(&scene.case(&told), &[pack("cn-sequencing"), pack("example-institute")]);
    assert_eq!(decision.outcome, Outcome::Allow);
    let bytes = vault_core::json::emit(decision.trace.stated()).unwrap();
    let read: Facts = vault_core::json::parse(&bytes).unwrap();
    let trace = Trace::parse(&read).unwrap();
    let packs = trace.shipped_packs().unwrap();
    let again = trace.check(&scene.case(&scene.stated()), &packs).unwrap();
    assert_eq!(again, decision);
    // The packs' order is nobody's business.
    let reversed: Vec<_> = packs.iter().rev().copied().collect();
    assert!(trace.check(&scene.case(&told), &reversed).is_ok());
}

#[test]
fn a_trace_of_other_facts_packs_or_answers_is_refused() {
    let scene = Scene::named();
    let told = scene.stated();
    let packs = [pack("cn-sequencing")];
    let decision = decide(&scene.case(&told), &packs);
    let check = |scene: &Scene| decision.trace.check(&scene.case(&scene.stated()), &packs).map(drop);
    let other = |what: &str| Err(TraceError::Case(what.to_owned()));
    assert_eq!(check(&scene), Ok(()));
    assert_eq!(check(&Scene::named().with("dataset.subjects.count", "99")), other("dataset"));
    let mut later = scene.clone();
    later.now = NOW + 1;
    assert_eq!(check(&later), other("now"));
    assert_eq!(check(&scene.clone().exposed(101, 100)), other("recipient"));
    assert_eq!(check(&scene.clone().at_level(4)), other("level"));
    // The same facts of another dataset, for another member, with another reservation.
    let at = |place: Place<'_>| decision.trace.check(&Case { place, ..scene.case(&told) }, &packs).map(drop);
    let place = scene.case(&told).place;
    let (dataset, member) = ("run-43".parse().unwrap(), "bert".parse().unwrap());
    let reservation = Reservation { hash: EntryHash([1; 32]), ledger: LedgerId::Exposure(Digest([2; 32])), seq: 3 };
    assert_eq!(at(Place { dataset: &dataset, ..place }), other("dataset_id"));
    assert_eq!(at(Place { member: &member, ..place }), other("member_id"));
    assert_eq!(at(Place { reservation: Some(&reservation), ..place }), other("reservation"));
    assert_eq!(at(Place { export: Some(&reservation), ..place }), other("export"));
    let of_export = decide(&Case { place: Place { export: Some(&reservation), ..place }, ..scene.case(&told) }, &packs);
    assert_eq!((decision.trace.export(), of_export.trace.export()), (None, Some(reservation)));
    let missing = decision.trace.check(&scene.case(&told), &[pack("example-institute")]);
    assert!(matches!(missing, Err(TraceError::Pack { .. })));
    let more = decision.trace.check(&scene.case(&told), &[pack("cn-sequencing"), pack("example-institute")]);
    assert_eq!(more.map(drop), Err(TraceError::Decision("packs")));

    // A trace that claims to allow what is blocked.
    let blocked = Scene::named().exposed(501, 100);
    let honest = decide(&blocked.case(&told), &packs);
    let mut lie = honest.trace.stated().clone();
    lie.0.insert("outcome".to_owned(), "allow".into());
    let lie = Trace::parse(&lie).unwrap();
    assert_eq!(lie.check(&blocked.case(&told), &packs).map(drop), Err(TraceError::Decision("outcome")));

    let mut strange = honest.trace.stated().clone();
    strange.0.insert("engine".to_owned(), 2.into());
    assert_eq!(Trace::parse(&strange), Err(TraceError::Engine(2)));
    strange.0.remove("engine");
    assert_eq!(Trace::parse(&strange), Err(TraceError::Shape));
    assert_eq!(Trace::parse(&Facts::default()), Err(TraceError::Shape));
}

#[test]
fn a_decision_for_programs_has_the_same_members_in_both_languages() {
    let decision = Scene::named().exposed(501, 100).with("dataset.ethics.approved", "\"unknown\"").decide();
    let [en, zh] = Lang::ALL.map(|lang| decision.to_json(lang));
    assert_eq!(en["outcome"], "blocked");
    assert_eq!(en["approvals"], 1);
    assert_eq!(en["counted"], true);
    let fired = |json: &serde_json::Value, rule: &str| {
        json["fired"].as_array().unwrap().iter().find(|one| one["rule"] == rule).unwrap().clone()
    };
    assert_eq!(fired(&en, "hgr-02")["unknown"], serde_json::json!(["dataset.ethics.approved"]));
    let (statement_en, statement_zh) = (fired(&en, "hgr-14"), fired(&zh, "hgr-14"));
    assert_eq!(statement_en["evidence"], "a written statement that the security review is covered or not needed");
    assert_eq!(statement_zh["evidence"], "安全审查已涵盖或者无需审查的书面说明");
    assert_eq!(statement_en["facts"], statement_zh["facts"]);
    assert_eq!(en["standing"], "suspend");
}

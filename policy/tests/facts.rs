//! Facts as people write them, as statements hold them, and what is wrong with them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may unwrap, index and panic")]

use serde_json::Value as Json;
use vault_core::json;
use vault_policy::facts::{Answer, Kind, NoAmendment, Schema, Seen, StatedError, Value};
use vault_policy::problem::Fault;
use vault_policy::{Dataset, Grant, Lang, Member, Ternary};

/// The lines of a dataset's problems, in a language.
fn said(text: &str, lang: Lang) -> Vec<String> {
    Dataset::parse_toml(text).unwrap_err().iter().map(|problem| problem.say(lang)).collect()
}

#[test]
fn every_template_says_that_nothing_is_known_in_both_languages() {
    for lang in Lang::ALL {
        assert_eq!(Dataset::parse_toml(&Dataset::template(lang)).unwrap(), Dataset::unknown());
        assert_eq!(Member::parse_toml(&Member::template(lang)).unwrap(), Member::unknown());
        assert_eq!(Grant::parse_toml(&Grant::template(lang)).unwrap(), Grant::unknown());
    }
    assert!(Dataset::template(Lang::Zh).contains("# 是否事先取得知情同意"));
    assert!(Dataset::template(Lang::En).contains("# Was informed consent given beforehand?: yes or no"));
}

/// An answer that fits a kind, as a person writes it.
fn sample(kind: Kind) -> String {
    match kind {
        Kind::Flag => "\"yes\"".to_owned(),
        Kind::Number(least, _) => least.to_string(),
        Kind::Share => "49.5".to_owned(),
        Kind::Day => "2027-03-31".to_owned(),
        Kind::Text => "\"text 文本\"".to_owned(),
        Kind::Texts => "[\"b\", \"a\"]".to_owned(),
        Kind::Word(list) => format!("\"{}\"", list[0].code),
        Kind::Words(list) => format!("[\"{}\"]", list[0].code),
        Kind::Duo => "[\"GRU\", \"IRB\"]".to_owned(),
        Kind::Country => "\"CN\"".to_owned(),
        Kind::Hash => format!("\"{}\"", "ab".repeat(32)),
        Kind::Rows(_) => "\"unknown\"".to_owned(),
    }
}

/// A template with each field's answer replaced by one that fits, rows included.
fn filled(template: &str, schema: &Schema) -> String {
    let mut out = String::new();
    let mut group = "";
    for line in template.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = name;
        }
        match line.split_once(" = \"unknown\"").filter(|(name, _)| !name.starts_with('#')) {
            None => out.push_str(line),
            Some((name, _)) => {
                let field = schema.field(&format!("{group}.{name}")).unwrap();
                if !matches!(field.kind, Kind::Rows(_)) {
                    out.push_str(&format!("{name} = {}", sample(field.kind)));
                }
            }
        }
        out.push('\n');
    }
    let rows: Vec<_> = schema
        .fields
        .iter()
        .filter_map(|f| if let Kind::Rows(rows) = f.kind { Some((f, rows)) } else { None })
        .collect();
    for (field, rows) in rows {
        out.push_str(&format!("[[{}]]\n", field.path));
        for inner in rows.fields {
            out.push_str(&format!("{} = {}\n", inner.path, sample(inner.kind)));
        }
    }
    out
}

#[test]
fn every_field_of_every_table_reads_an_answer_and_comes_back_from_a_statement() {
    macro_rules! check {
        ($kind:ident) => {
            let text = filled(&$kind::template(Lang::Zh), $kind::SCHEMA);
            // Only samples of one word each: they contradict here and there, so the check of the whole is not asked.
            let facts = match $kind::parse_toml(&text) {
                Ok(facts) => facts,
                Err(problems) => {
                    assert!(problems.iter().all(|p| matches!(p.fault, Fault::Contradiction { .. })), "{problems}");
                    let lines: Vec<_> = problems.iter().map(|p| p.line).collect();
                    let kept = text.lines().enumerate().filter(|(n, _)| !lines.contains(&(n + 1)));
                    $kind::parse_toml(&kept.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap()
                }
            };
            assert!(
                facts.record().open_questions().count() <= 3,
                "{:?}",
                facts.record().open_questions().map(|f| f.path).collect::<Vec<_>>()
            );
            let split = facts.split([7; 32]).unwrap();
            let sealed = split.sealed.unwrap();
            assert_eq!($kind::from_both(&split.stated, sealed.bytes()).unwrap(), facts);
            let clear = $kind::from_statement(&split.stated).unwrap();
            for (field, answer) in clear.record().iter() {
                match field.seen {
                    Seen::ByServer if matches!(field.kind, Kind::Rows(_)) => assert_ne!(*answer, Answer::Unknown),
                    Seen::ByServer => assert_eq!(answer, facts.record().answer(field.path), "{}", field.path),
                    Seen::Sealed => assert_eq!(*answer, Answer::Unknown, "{}", field.path),
                }
            }
        };
    }
    check!(Dataset);
    check!(Member);
    check!(Grant);
}

const DATASET: &str = r#"
[consent]
given = "是"
purposes = ["research", "clinical_care"]
expiry = 2027-03-31
guardian = "无"
duo = ["HMB", "IRB"]
[ethics]
committee = "某医院伦理委员会"
[[hgr.approvals]]
kind = "cooperation"
number = "[2026]GH0001"
project = "cohort-7"
parties = ["91310000MA1K00000X", "foreign-1"]
purposes = ["research"]
from = 2026-01-01
expiry = 2028-12-31
receipt = "BF-1"
"#;

#[test]
fn chinese_answers_days_and_rows_are_read() {
    let facts = Dataset::parse_toml(DATASET).unwrap();
    let record = facts.record();
    assert_eq!(record.flag("consent.given"), Ternary::Yes);
    assert_eq!(*record.answer("consent.guardian"), Answer::None);
    assert_eq!(*record.answer("consent.written"), Answer::Unknown);
    assert_eq!(record.answer("consent.expiry").show(), "2027-03-31");
    let Answer::Value(Value::Rows(rows)) = record.answer("hgr.approvals") else { unreachable!() };
    assert_eq!(rows[0].text("number"), Some("[2026]GH0001"));
}

#[test]
fn a_statement_shows_what_is_decided_by_and_nothing_else() {
    let facts = Dataset::parse_toml(DATASET).unwrap();
    let split = facts.split([1; 32]).unwrap();
    let clear = String::from_utf8(json::emit(&split.stated).unwrap()).unwrap();
    assert!(!clear.contains("伦理委员会") && !clear.contains("BF-1"), "{clear}");
    assert!(clear.contains(r#""given":true"#) && clear.contains(r#""expiry":"2027-03-31""#), "{clear}");
    // The same facts under another salt commit otherwise: likely answers can't be tried.
    let other = facts.split([2; 32]).unwrap();
    assert_ne!(split.stated.0["sealed"], other.stated.0["sealed"]);
    assert_eq!(split.stated.0["clear"], other.stated.0["clear"]);
}

#[test]
fn a_statement_that_is_not_these_facts_is_refused() {
    let facts = Dataset::parse_toml(DATASET).unwrap();
    let split = facts.split([1; 32]).unwrap();
    let sealed = split.sealed.clone().unwrap();
    assert_eq!(Member::from_statement(&split.stated), Err(StatedError::OtherKind("member")));
    assert_eq!(Dataset::from_statement(&Default::default()).unwrap(), Dataset::unknown());
    let mut flipped = sealed.bytes().to_vec();
    flipped[20] ^= 1;
    assert_eq!(Dataset::from_both(&split.stated, &flipped), Err(StatedError::OtherSealed));
    let changed = |change: fn(&mut serde_json::Map<String, Json>)| {
        let mut stated = split.stated.clone();
        change(&mut stated.0);
        Dataset::from_statement(&stated)
    };
    assert_eq!(changed(|s| drop(s.insert("schema".into(), 2.into()))), Err(StatedError::Newer(2)));
    assert!(matches!(changed(|s| drop(s.remove("sealed"))), Err(StatedError::Shape(_))));
    assert!(matches!(changed(|s| drop(s.insert("more".into(), 1.into()))), Err(StatedError::Shape(_))));
    assert!(matches!(changed(|s| s["clear"]["consent"]["given"] = "yes".into()), Err(StatedError::Shape(_))));
    assert!(matches!(
        changed(|s| s["clear"]["consent"]["purposes"] = serde_json::json!(["research", "clinical_care"])),
        Err(StatedError::Shape(_))
    ));
    assert!(matches!(
        changed(|s| s["clear"]["ethics"] = serde_json::json!({"committee": "x"})),
        Err(StatedError::WrongPart(_))
    ));
    assert!(matches!(changed(|s| s["clear"]["consent"]["nonsense"] = 1.into()), Err(StatedError::Shape(_))));
}

#[test]
fn all_problems_are_told_at_once_with_line_column_and_field() {
    let text = "[consent]\ngiven = \"perhaps\"\nexpiry = \"2026-02-30\"\n[foreign]\nx = 1\n[subjects]\ncount = -1\n";
    assert_eq!(
        said(text, Lang::En),
        [
            "line 2, column 9: consent.given: expected yes or no, found \"perhaps\"",
            "line 3, column 10: consent.expiry: 2026-02-30 is no day; write YYYY-MM-DD, from 1900 to 9999",
            "line 4, column 2: foreign: no such field",
            "line 7, column 9: subjects.count: must be a whole number from 0 to 9007199254740991",
        ]
    );
    let zh = said(text, Lang::Zh);
    assert_eq!(zh[0], "第 2 行第 9 列：consent.given：应为“yes”（是）或“no”（否），实际为 \"perhaps\"");
    assert_eq!(zh[1], "第 3 行第 10 列：consent.expiry：2026-02-30 不是有效日期；请写成 YYYY-MM-DD，年份 1900 至 9999");
}

#[test]
fn unknown_fields_groups_words_and_duo_codes_get_a_suggestion() {
    let suggestion = |text: &str| said(text, Lang::En).remove(0);
    assert!(suggestion("[consnet]\n").ends_with("consnet: no such field (did you mean \"consent\"?)"));
    assert!(suggestion("[consent]\ngivn = \"yes\"\n").ends_with("no such field (did you mean \"given\"?)"));
    assert!(suggestion("[consent]\npurposes = [\"reserch\"]\n").contains("(did you mean \"research\"?)"));
    assert!(suggestion("[consent]\npurposes = [\"科学研究\"]\n").contains("(did you mean \"research\"?)"));
    assert!(suggestion("[consent]\nduo = [\"GRV\"]\n").contains("unknown DUO code \"GRV\" (did you mean \"GRU\"?)"));
    assert!(said("[consent]\nduo = [\"XYZQ\"]\n", Lang::Zh)[0].ends_with("未知的 DUO 代码“XYZQ”"));
    assert!(
        suggestion("[[hgr.approvals]]\nnumbr = \"1\"\n")
            .contains("hgr.approvals[1].numbr: no such field (did you mean \"number\"?)")
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let lines = said("[consent]\ngiven = \nexpiry = \"\n", Lang::En);
    assert!(lines[0].starts_with("line 2, column "), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("not valid TOML")), "{lines:?}");
    assert!(said("[consent]\ngiven = 1\ngiven = 2\n", Lang::Zh)[0].contains("不是有效的 TOML"));
}

#[test]
fn a_share_is_exact_and_at_most_a_hundred() {
    let share = |text: &str| Member::parse_toml(&format!("[foreign]\nequity = {text}\n"));
    let number = |text: &str| share(text).unwrap().record().number("foreign.equity");
    assert_eq!(
        (number("50"), number("49.99"), number("0"), number("100"), number("33.3")),
        (Some(5000), Some(4999), Some(0), Some(10_000), Some(3330))
    );
    for bad in ["100.01", "101", "-1", "49.999", "1e1", "inf", "nan", "+5"] {
        let problems = share(bad).unwrap_err();
        assert!(matches!(problems.iter().next().unwrap().fault, Fault::NotAShare { .. }), "{bad}");
    }
    assert_eq!(
        share("101").unwrap_err().say(Lang::Zh),
        "第 2 行第 10 列：foreign.equity：101 不是 0 到 100 之间、最多两位小数的百分比"
    );
}

/// Contradictions and reversed days, each with a file that has only it.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    ("dataset", "consent-absent-with-purposes", "[consent]\ngiven = \"no\"\npurposes = [\"research\"]"),
    ("dataset", "not-hgr-with-genetic-content", "[content]\nassays = [\"wgs\"]\n[hgr]\napplies = \"no\""),
    ("dataset", "sequencing-assay-without-genetic-content", "[content]\nkinds = [\"imaging\"]\nassays = [\"wes\"]"),
    ("dataset", "no-sequencing-and-sequencing", "[content]\nassays = [\"wes\", \"none_sequencing\"]"),
    ("dataset", "more-marks-than-subjects", "[subjects]\ncount = 500\nmarked = 600"),
    ("dataset", "more-us-persons-than-subjects", "[subjects]\ncount = 5\nus_persons = 6"),
    ("dataset", "us-persons-from-elsewhere", "[subjects]\norigin = [\"cn\"]\nus_persons = 6"),
    ("dataset", "ethics-absent-with-approval", "[ethics]\napproved = \"no\"\nnumber = \"E-1\""),
    ("dataset", "assessment-absent-with-report", "[assessment]\ndone = \"no\"\nday = 2026-01-01"),
    (
        "dataset",
        "anonymised-and-identifying",
        "[subjects]\nidentifying = \"yes\"\n[deidentification]\nmethod = \"anonymised\"",
    ),
    (
        "dataset",
        "important-level-without-important-data",
        "[grading]\nnational_level = \"general\"\nimportant_data = \"yes\"",
    ),
    ("dataset", "sublevel-without-general-level", "[grading]\nnational_level = \"core\"\nsublevel = 4"),
    ("dataset", "guardians-of-nobody", "[subjects]\nminors = \"no\"\n[consent]\nguardian = \"yes\""),
    ("member", "domestic-with-foreign-share", "[foreign]\ndeclared = \"no\"\nequity = 50"),
    ("member", "domestic-control-and-foreign-control", "[foreign]\ncontrol = \"yes\"\ndomestic_control = \"yes\""),
    (
        "member",
        "agreement-absent-with-terms",
        "[agreement]\nsigned = \"no\"\nhash = \"abababababababababababababababababababababababababababababababab\"",
    ),
    ("member", "attestation-expiry-without-attestation", "[security]\nattestations = \"none\"\nexpiry = 2026-01-01"),
    ("grant", "receipt-day-without-receipt", "[hgr]\nreceipt = \"none\"\nreceipt_day = 2026-01-01"),
    ("grant", "report-day-without-report", "[hgr]\nreport_number = \"none\"\nreport_day = 2026-01-01"),
    ("grant", "change-approval-without-change", "[hgr]\nchanged = \"no\"\nchange_approval = \"X\""),
];

#[test]
fn each_contradiction_is_found_where_it_stands_and_not_while_one_side_is_unknown() {
    for (kind, id, text) in CONTRADICTIONS {
        let parse = |text: &str| match *kind {
            "dataset" => Dataset::parse_toml(text).err(),
            "member" => Member::parse_toml(text).err(),
            _ => Grant::parse_toml(text).err(),
        };
        let problems = parse(text).unwrap_or_else(|| panic!("{id} is not found"));
        let ids: Vec<_> =
            problems.iter().map(|p| if let Fault::Contradiction { id, .. } = &p.fault { *id } else { "?" }).collect();
        assert_eq!(ids, [*id]);
        assert!(problems.iter().all(|problem| problem.line > 0));
        assert!(problems.say(Lang::Zh).contains("前后矛盾") && problems.say(Lang::En).contains("contradiction"));
        // Each single line of it is no contradiction, but where one line says both.
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.starts_with('[') && !line.contains(", \"none_"))
        {
            let without: String =
                text.lines().enumerate().filter(|(n, _)| *n != number).map(|(_, l)| format!("{l}\n")).collect();
            assert!(parse(&without).is_none(), "{id} without {line}");
        }
    }
}

#[test]
fn days_in_the_wrong_order_are_told_with_the_other_day() {
    let problems = Grant::parse_toml("[opening]\nnot_before = 2026-06-02\nexpiry = 2026-06-01\n").unwrap_err();
    assert_eq!(problems.say(Lang::En), "line 3, column 10: opening.expiry: this day is before opening.not_before");
    assert_eq!(problems.say(Lang::Zh), "第 3 行第 10 列：opening.expiry：此日期早于 opening.not_before");
    assert!(Grant::parse_toml("[opening]\nnot_before = 2026-06-01\nexpiry = 2026-06-01\n").is_ok());
    let row = "[[hgr.approvals]]\nfrom = 2026-06-02\nexpiry = 2026-06-01\n";
    assert_eq!(said(row, Lang::En), ["line 3, column 10: hgr.approvals[1].expiry: this day is before from"]);
}

#[test]
fn answers_that_no_statement_could_hold_are_refused() {
    for (text, reason) in [
        ("[consent]\nform = \"\"", "a text must not be empty"),
        ("[consent]\nform = \"a\\nb\"", "a text must not be empty"),
        ("[consent]\nform_hash = \"AB\"", "not a SHA-256 hash"),
        ("[consent]\npurposes = []", "an empty list says nothing"),
        ("[consent]\npurposes = [\"research\", \"research\"]", "stands there twice"),
        ("[consent]\ngiven = \"none\"", "\"none\" is no answer to this"),
        ("[keeping]\nregion = \"China\"", "is no country code"),
        ("[subjects]\ncount = 9007199254740992", "must be a whole number"),
        ("[grading]\nhealth_level = 6", "must be a whole number from 1 to 5"),
        ("consent = 1", "expected a table [consent], found integer"),
    ] {
        let lines = said(text, Lang::En);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{text}: {lines:?}");
    }
}

#[test]
fn an_amendment_names_what_changed_and_why() {
    let before = Dataset::parse_toml("[subjects]\ncount = 500\n[consent]\ngiven = \"yes\"\n").unwrap();
    let after = Dataset::parse_toml("[subjects]\ncount = 501\n[consent]\ngiven = \"yes\"\n").unwrap();
    let amendment = after.amends(&before, "one person joined").unwrap();
    assert_eq!(amendment.changes.len(), 1);
    assert_eq!(amendment.say(Lang::Zh), "subjects.count (不重复计的人数): 500 -> 501");
    assert!(amendment.regrades() && amendment.adds_subjects());
    assert_eq!(before.amends(&before, "why").unwrap_err(), NoAmendment::Nothing);
    assert_eq!(after.amends(&before, " ").unwrap_err(), NoAmendment::Reason);
}

#[test]
fn jurisdiction_and_kind_come_from_the_enrolment_and_may_not_differ() {
    let info = |facts: &Member, jurisdiction: &str| {
        let stated = facts.split([0; 32]).unwrap().stated;
        let value = serde_json::json!({"facts": stated.0, "jurisdiction": jurisdiction, "kind": "hospital", "organisation": "x"});
        serde_json::from_value::<vault_core::ledger::statement::Info>(value).unwrap()
    };
    let member = Member::from_info(&info(&Member::unknown(), "DE")).unwrap();
    assert_eq!(
        (member.record().text("legal.jurisdiction"), member.record().text("legal.kind")),
        (Some("DE"), Some("hospital"))
    );
    let stated = Member::parse_toml("[legal]\njurisdiction = \"CN\"\n").unwrap();
    assert_eq!(Member::from_info(&info(&stated, "DE")), Err(StatedError::Beside("legal.jurisdiction")));
    assert!(Member::from_info(&info(&stated, "CN")).is_ok());
}

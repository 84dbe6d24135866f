//! What unknown facts may do: never allow what some answer would block or deny, and never deny what some answer would allow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may unwrap, index and panic")]

mod scene;

use std::collections::BTreeSet;

use proptest::prelude::*;
use scene::{Scene, Told, pack};
use vault_policy::day::Day;
use vault_policy::facts::{Answer, Field, Kind, Record, Seen, Value, duo, words};
use vault_policy::{Dataset, Grant, Member, Outcome, Pack, decide};

type Facts = (Dataset, Member, Grant);

fn day(text: &str) -> Answer {
    Value::Day(Day::parse(text).unwrap()).into()
}

fn texts() -> impl Iterator<Item = Answer> {
    ["C-1", "R-1", "cohort-7", "x"].into_iter().map(|text| Value::Text(text.to_owned()).into())
}

/// Answers of every sort that a field takes, thresholds and both sides of them included; never unknown.
fn answers(field: &Field) -> Vec<Answer> {
    let set = |codes: &[&'static str]| Answer::from(Value::Words(codes.iter().copied().collect()));
    let mut out: Vec<Answer> = match field.kind {
        Kind::Flag => vec![Value::Flag(true).into(), Value::Flag(false).into()],
        Kind::Number(least, most) => [0, 1, 2, 3, 4, 5, 100, 101, 500, 501, 1_000, 1_001, 9_999, 10_000]
            .into_iter()
            .filter(|n| (least..=most).contains(n))
            .map(|n| Value::Number(n).into())
            .collect(),
        Kind::Share => [0, 4_999, 5_000, 10_000].into_iter().map(|n| Value::Share(n).into()).collect(),
        Kind::Day => ["2026-06-14", "2026-06-15", "2026-06-16"].into_iter().map(day).collect(),
        Kind::Text => texts().collect(),
        Kind::Texts => [&["R-1"][..], &["x"], &["R-1", "x"]]
            .into_iter()
            .map(|items| Value::Texts(items.iter().map(|item| (*item).to_owned()).collect()).into())
            .collect(),
        Kind::Word(list) => list.iter().map(|word| Value::Word(word.code).into()).collect(),
        Kind::Words(list) => {
            let codes: Vec<_> = list.iter().map(|word| word.code).collect();
            let ends = [*codes.first().unwrap(), *codes.last().unwrap()];
            codes.iter().map(|code| set(&[*code])).chain([set(&codes), set(&ends)]).collect()
        }
        Kind::Duo => [&["GRU"][..], &["HMB"], &["GRU", "NCU"], &["DS", "NCU"]].into_iter().map(set).collect(),
        Kind::Country => {
            ["CN", "HK", "DE", "US", "RU"].into_iter().map(|c| Value::Country(c.to_owned()).into()).collect()
        }
        Kind::Hash => vec![Value::Hash(vault_core::ids::Digest([9; 32])).into()],
        Kind::Rows(schema) => {
            let row = |from: &str, party: &str| {
                let mut row = Record::unknown(schema);
                let word = |list, code| Answer::from(Value::Word(words::find(list, code).unwrap()));
                row.set("kind", word(words::APPROVALS, "cooperation")).unwrap();
                row.set("number", Value::Text("GH-1".to_owned()).into()).unwrap();
                row.set("project", Value::Text("cohort-7".to_owned()).into()).unwrap();
                row.set("parties", Value::Texts(BTreeSet::from([party.to_owned()])).into()).unwrap();
                row.set(
                    "purposes",
                    Value::Words(BTreeSet::from([words::find(words::SCENARIOS, "research").unwrap()])).into(),
                )
                .unwrap();
                row.set("from", day(from)).unwrap();
                row.set("expiry", day("2026-06-15")).unwrap();
                row
            };
            let rows = |rows: Vec<Record>| Answer::from(Value::Rows(rows));
            vec![
                rows(vec![row("2026-01-01", "R-1")]),
                rows(vec![row("2026-06-16", "R-1")]),
                rows(vec![row("2026-01-01", "x"), row("2026-01-01", "R-1")]),
                rows(vec![row("2026-01-01", "x")]),
            ]
        }
    };
    if field.none {
        out.push(Answer::None);
    }
    assert!(!out.is_empty() && duo::find("GRU").is_some());
    out
}

/// Every fact that a decision may rest on.
fn facts() -> Vec<(usize, &'static Field)> {
    let scopes = [Dataset::SCHEMA, Member::SCHEMA, Grant::SCHEMA];
    let open =
        scopes.iter().enumerate().flat_map(|(scope, schema)| schema.fields.iter().map(move |field| (scope, field)));
    open.filter(|(_, field)| field.seen == Seen::ByServer).collect()
}

fn set(into: &Facts, scope: usize, field: &'static Field, answer: Answer) -> Facts {
    let one = [(field.path, answer)];
    let (dataset, member, grant) = into.clone();
    match scope {
        0 => (dataset.with(one).unwrap(), member, grant),
        1 => (dataset, member.with(one).unwrap(), grant),
        _ => (dataset, member, grant.with(one).unwrap()),
    }
}

fn under(scene: &Scene, facts: &Facts) -> vault_policy::Decision {
    let packs: [&Pack; 2] = [pack("cn-sequencing"), pack("example-institute")];
    decide(&scene.case(&Told::of(&facts.0, &facts.1, &facts.2)), &packs)
}

/// What knowing more may not change.
fn check(unknown: &vault_policy::Decision, known: &vault_policy::Decision, what: &str) {
    match unknown.outcome {
        Outcome::Allow => assert_eq!(known.outcome, Outcome::Allow, "{what}: allowed while unknown, and then not"),
        Outcome::Deny => assert_eq!(known.outcome, Outcome::Deny, "{what}: denied while unknown, and then not"),
        Outcome::Blocked => {}
    }
    assert!(unknown.approvals >= known.approvals, "{what}: fewer approvals while unknown");
    assert!(unknown.counted >= known.counted, "{what}: not counted while unknown");
}

fn scenes() -> [Scene; 3] {
    [Scene::domestic(), Scene::named(), Scene::reported()]
}

#[test]
fn no_single_unknown_fact_allows_what_one_of_its_answers_would_not() {
    let (mut allowed, mut blocked) = (0, 0);
    for scene in scenes() {
        let whole = scene.facts();
        for (scope, field) in facts() {
            let open = under(&scene, &set(&whole, scope, field, Answer::Unknown));
            match open.outcome {
                Outcome::Allow => allowed += 1,
                _ => blocked += 1,
            }
            for answer in answers(field) {
                let known = under(&scene, &set(&whole, scope, field, answer.clone()));
                check(&open, &known, &format!("{} = {}", field.path, answer.show()));
            }
        }
    }
    // Both happen often, or this would show nothing.
    assert!(allowed > 20 && blocked > 100, "{allowed} allowed, {blocked} blocked");
}

/// Base scene, answers to fields, hidden fields, hidden parts of an approval, totals, hidden totals.
type Mixture = (usize, Vec<(usize, prop::sample::Index)>, Vec<usize>, Vec<usize>, [Option<u64>; 2], [bool; 2]);

/// A base scene, answers to some fields, and which fields are then unknown; `rows` hides parts of approvals too.
fn mixtures() -> impl Strategy<Value = Mixture> {
    let places = facts().len();
    let totals = prop::option::of(prop::sample::select(vec![0u64, 100, 500, 501, 9_999, 10_000]));
    (
        0..3usize,
        prop::collection::vec((0..places, any::<prop::sample::Index>()), 0..6),
        prop::collection::vec(0..places, 0..5),
        prop::collection::vec(0..9usize, 0..3),
        [totals.clone(), totals],
        any::<[bool; 2]>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn unknown_never_allows_or_denies_more_than_every_known_value((base, changes, hidden, inner, totals, hides) in mixtures()) {
        let mut scene = scenes()[base].clone();
        let all = facts();
        let mut whole = scene.facts();
        for (place, choice) in changes {
            let (scope, field) = all[place];
            let choices = answers(field);
            whole = set(&whole, scope, field, choices[choice.index(choices.len())].clone());
        }
        let mut open = whole.clone();
        for place in hidden {
            let (scope, field) = all[place];
            open = set(&open, scope, field, Answer::Unknown);
        }
        if let Answer::Value(Value::Rows(rows)) = open.0.record().answer("hgr.approvals").clone() {
            let mut rows = rows;
            for place in inner {
                let path = rows[0].schema().fields[place % rows[0].schema().fields.len()].path;
                rows[0].set(path, Answer::Unknown).unwrap();
            }
            open.0 = open.0.with([("hgr.approvals", Value::Rows(rows).into())]).unwrap();
        }
        scene.exposure.recipient = totals[0].or(scene.exposure.recipient);
        scene.exposure.exported_this_year = totals[1].or(scene.exposure.exported_this_year);
        let mut less = scene.clone();
        if hides[0] { less.exposure.recipient = None; }
        if hides[1] { less.exposure.exported_this_year = None; }
        check(&under(&less, &open), &under(&scene, &whole), "a mixture");
    }
}

#[test]
fn nothing_known_is_blocked_and_never_denied() {
    let scene = Scene::domestic();
    let nothing = (Dataset::unknown(), Member::unknown(), Grant::unknown());
    let decision = under(&scene, &nothing);
    assert_eq!(decision.outcome, Outcome::Blocked);
    assert!(decision.missing().all(|fired| !fired.unknown.is_empty()), "each block names what has to be known");
}

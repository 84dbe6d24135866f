//! What conditions may test: facts by name, and inputs that are computed from them in plain Rust.
//!
//! A computed input that rests on an unknown fact is unknown, unless no answer could change it. It never uses a sealed field:
//! a server has to get the same value.

use core::fmt;

use super::decide::{Case, End};
use crate::day::Day;
use crate::facts::field::{Field, Kind, MANY, Schema, Seen};
use crate::facts::{Answer, Dataset, Grant, Member, Record, Value, duo};
use crate::grading::{health, national};
use crate::lang::Bilingual;
use crate::ternary::Ternary;

/// The scopes of names, with their tables.
pub(super) static SCOPES: [(&str, &Schema); 4] =
    [("dataset", Dataset::SCHEMA), ("member", Member::SCHEMA), ("grant", Grant::SCHEMA), ("derived", &DERIVED)];

/// The scope of computed inputs.
const COMPUTED: u8 = 3;

/// A fact or a computed input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input {
    scope: u8,
    place: u16,
}

impl Input {
    /// By full name, such as `dataset.consent.given`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (scope, path) = name.split_once('.')?;
        let (number, (_, schema)) = SCOPES.iter().enumerate().find(|(_, (known, _))| *known == scope)?;
        Some(Self { scope: u8::try_from(number).ok()?, place: u16::try_from(schema.place(path)?).ok()? })
    }

    /// The field.
    #[must_use]
    pub fn field(self) -> &'static Field {
        let found =
            SCOPES.get(usize::from(self.scope)).and_then(|(_, schema)| schema.fields.get(usize::from(self.place)));
        found.unwrap_or(&NOTHING)
    }

    /// The question in both languages.
    #[must_use]
    pub fn ask(self) -> &'static Bilingual {
        &self.field().ask
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = SCOPES.get(usize::from(self.scope)).map_or("", |(scope, _)| scope);
        write!(f, "{scope}.{}", self.field().path)
    }
}

/// Stands in for a field that does not exist; inputs are made by name, so none is ever asked for.
static NOTHING: Field = field("nothing", Kind::Flag, "nothing", "无");

const fn field(path: &'static str, kind: Kind, en: &'static str, zh: &'static str) -> Field {
    Field { path, kind, none: false, seen: Seen::ByServer, ask: Bilingual::fixed(en, zh) }
}

/// The table of computed inputs.
pub static DERIVED: Schema = Schema { name: "derived", fields: FIELDS, groups: &[] };

/// Declares computed inputs: their field, what they rest on, how they are computed.
macro_rules! computed {
    ($($path:literal $kind:expr, $en:literal, $zh:literal, $rests:expr, $compute:expr;)*) => {
        const FIELDS: &[Field] = &[$(field($path, $kind, $en, $zh)),*];
        const RESTS: &[&[&str]] = &[$($rests),*];
        const COMPUTE: &[fn(&View<'_>) -> Answer] = &[$($compute),*];
    };
}

const GRADING: &[&str] = &[
    "dataset.subjects.special_disease",
    "dataset.subjects.identifying",
    "dataset.deidentification.method",
    "dataset.deidentification.residual_risk",
    "dataset.content.kinds",
    "dataset.content.assays",
    "dataset.grading.health_level",
];

const HARMS: &[&str] = &[
    "dataset.grading.national_security",
    "dataset.grading.economy",
    "dataset.grading.social_order",
    "dataset.grading.public_interest",
    "dataset.grading.organisations",
    "dataset.grading.persons",
    "dataset.grading.important_data",
    "dataset.grading.national_level",
    "dataset.content.assays",
    "dataset.subjects.count",
    "dataset.subjects.important_family",
    "dataset.subjects.listed_region",
    "dataset.subjects.public_interest",
];

computed! {
    "level" Kind::Number(1, 5), "the level that the dataset's statement is signed with", "数据集声明所签署的级别", &[],
        |view| Value::Number(u64::from(view.case.level)).into();
    "grade_confirmed" Kind::Flag, "did somebody else than the grader confirm the grading?", "定级是否由定级人以外的人确认", &[],
        |view| Value::Flag(view.case.grade_confirmed).into();
    "level_too_low" Kind::Flag, "is the signed level below what the facts ask for?", "签署级别是否低于事实所要求的级别", GRADING,
        |view| flag(health::is_too_low(view.dataset(), view.case.level));
    "important_data" Kind::Flag, "is it important or core data?", "是否为重要数据或者核心数据", HARMS,
        |view| flag(national::is_important(view.dataset()));
    "outside" Kind::Flag, "is the recipient another legal entity than the controller?", "接收方与控制者是否为不同法律主体",
        &["dataset.parties.controller", "member.legal.id"], |view| flag(outside(view));
    "recipient_subjects" Kind::Number(0, MANY), "persons whose data the ultimate recipient will have, each once", "最终接收方累计获得的人数（不重复）",
        &["dataset.subjects.count", "member.ultimate.id"], |view| total(view, view.case.exposure.recipient);
    "exported_this_year" Kind::Number(0, MANY), "persons whose data the provider will have exported this year, each once", "提供方本年度累计出境的人数（不重复）",
        &["dataset.subjects.count", "dataset.parties.controller"], |view| total(view, view.case.exposure.exported_this_year);
    "named_in_approval" Kind::Flag, "does an approval or filing in term name the recipient for this project and purpose?", "在有效期内的批件或备案是否就该项目和用途列明接收方",
        &["dataset.hgr.approvals", "member.legal.id", "grant.use.project", "grant.use.scenario"],
        |view| flag(any_approval(view, |row| named(view, row)));
    "project_approved" Kind::Flag, "is there an approval, or a filing where no material leaves, for this project and purpose?", "该项目和用途是否已获批准（材料不出境的临床试验为备案）",
        &["dataset.hgr.approvals", "grant.use.project", "grant.use.scenario", "grant.hgr.material_leaves"],
        |view| flag(any_approval(view, |row| approved(view, row)));
    "prior_report" Kind::Flag, "are prior report and backup receipt there, dated before today, filed by the Chinese owner for this recipient?", "是否已由中方所有者就该接收方事先报告并取得备份回执，且日期早于当日",
        &["grant.hgr.report_number", "grant.hgr.report_day", "grant.hgr.report_by_owner", "grant.hgr.report_party", "grant.hgr.receipt", "grant.hgr.receipt_day", "dataset.parties.owner_is_chinese", "member.legal.id"],
        |view| flag(prior_report(view));
    "review_passed" Kind::Flag, "was the security review passed by today?", "是否已通过安全审查",
        &["grant.hgr.review_number", "grant.hgr.review_day"], |view| flag(review_passed(view));
    "purpose_covered" Kind::Flag, "does the consent cover the scenario and the DUO codes?", "同意是否涵盖该场景及 DUO 代码",
        &["dataset.consent.purposes", "dataset.consent.duo", "grant.use.scenario", "grant.use.duo"], |view| flag(purpose_covered(view));
    "ended" Kind::Flag, "is one of the six ends past?", "六项期限是否有任一届满",
        &["grant.opening.expiry", "dataset.ethics.expiry", "dataset.consent.expiry", "member.agreement.expiry", "dataset.hgr.approvals", "member.credential.expiry"],
        |view| flag(Ternary::any(view.ends().iter().map(|end| past(&end.last, view.today))));
    "retention_over" Kind::Flag, "is the retention over?", "保存期限是否届满",
        &["dataset.keeping.retention"], |view| flag(past(view.dataset().record().answer("keeping.retention"), view.today));
}

/// What an input rests on: itself for a fact, facts for a computed one.
#[must_use]
pub fn inputs_of(input: Input) -> Vec<Input> {
    if input.scope != COMPUTED {
        return vec![input];
    }
    RESTS
        .get(usize::from(input.place))
        .into_iter()
        .flat_map(|names| names.iter())
        .filter_map(|name| Input::named(name))
        .collect()
}

/// A case on a day.
pub(super) struct View<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) today: Day,
}

impl<'a> View<'a> {
    pub(super) fn dataset(&self) -> &'a Dataset {
        self.case.dataset.facts()
    }

    fn record(&self, scope: u8) -> &'a Record {
        match scope {
            0 => self.case.dataset.facts().record(),
            1 => self.case.member.facts().record(),
            _ => self.case.grant.facts().record(),
        }
    }

    /// All computed inputs.
    pub(super) fn compute(&self) -> Record {
        let mut out = Record::unknown(&DERIVED);
        for (field, compute) in FIELDS.iter().zip(COMPUTE) {
            // An answer that does not fit its field would leave the field unknown.
            let _ = out.set(field.path, compute(self));
        }
        out
    }

    /// The answer to a fact, or to a computed input in `derived`.
    pub(super) fn answer<'b>(&self, input: Input, derived: &'b Record) -> &'b Answer
    where
        'a: 'b,
    {
        let record = if input.scope == COMPUTED { derived } else { self.record(input.scope) };
        record.at(usize::from(input.place))
    }

    /// The unknown facts behind an input whose value is unknown.
    pub(super) fn unknown_behind(&self, input: Input, derived: &Record) -> Vec<Input> {
        if *self.answer(input, derived) != Answer::Unknown {
            return Vec::new();
        }
        let facts = inputs_of(input).into_iter().filter(|fact| fact.scope != COMPUTED);
        let open: Vec<_> = facts.filter(|fact| has_unknown(self.answer(*fact, derived))).collect();
        if open.is_empty() { vec![input] } else { open }
    }

    /// The six ends of a grant.
    pub(super) fn ends(&self) -> [End; 6] {
        let [dataset, member, grant] = [0, 1, 2].map(|scope| self.record(scope));
        let end = |what, record: &Record, path| End { what, last: record.answer(path).clone() };
        [
            end("grant.opening.expiry", grant, "opening.expiry"),
            end("dataset.ethics.expiry", dataset, "ethics.expiry"),
            end("dataset.consent.expiry", dataset, "consent.expiry"),
            end("member.agreement.expiry", member, "agreement.expiry"),
            End { what: "dataset.hgr.approvals", last: approval_end(self) },
            end("member.credential.expiry", member, "credential.expiry"),
        ]
    }
}

fn has_unknown(answer: &Answer) -> bool {
    match answer {
        Answer::Unknown => true,
        Answer::Value(Value::Rows(rows)) => {
            rows.iter().any(|row| row.iter().any(|(field, answer)| field.seen == Seen::ByServer && has_unknown(answer)))
        }
        _ => false,
    }
}

fn flag(value: Ternary) -> Answer {
    match value {
        Ternary::Unknown => Answer::Unknown,
        known => Value::Flag(known.is_yes()).into(),
    }
}

/// An identifier as it is compared: without white space, in capitals, full-width forms (U+FF01 to U+FF5E) as their plain ones. So nobody
/// is somebody else by spelling.
#[must_use]
pub fn legal_id(text: &str) -> String {
    let plain = |c: char| match u32::from(c) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide.saturating_sub(0xfee0)).unwrap_or(c),
        _ => c,
    };
    text.chars().filter(|c| !c.is_whitespace()).map(plain).flat_map(char::to_uppercase).collect()
}

/// Whether two texts are the same; "none" is the same as nothing.
fn same(a: (&Record, &str), b: (&Record, &str)) -> Ternary {
    match (a.0.answer(a.1), b.0.answer(b.1)) {
        (Answer::None, _) | (_, Answer::None) => Ternary::No,
        _ => Ternary::of_known(a.0.text(a.1).zip(b.0.text(b.1)).map(|(a, b)| legal_id(a) == legal_id(b))),
    }
}

fn outside(view: &View<'_>) -> Ternary {
    !same((view.record(0), "parties.controller"), (view.record(1), "legal.id"))
}

/// A cumulative total: never below the dataset's own count, and unknown while either is.
fn total(view: &View<'_>, counted: Option<u64>) -> Answer {
    match counted.zip(view.record(0).number("subjects.count")) {
        Some((counted, own)) if counted <= MANY => Value::Number(counted.max(own)).into(),
        _ => Answer::Unknown,
    }
}

/// Whether a day is over; what has no end never is.
fn past(last: &Answer, today: Day) -> Ternary {
    match last {
        Answer::Unknown => Ternary::Unknown,
        Answer::Value(Value::Day(day)) => Ternary::of(*day < today),
        _ => Ternary::No,
    }
}

/// Whether a day compares so with today; "none" is no day.
fn day_is(record: &Record, path: &str, holds: impl Fn(Day) -> bool) -> Ternary {
    match record.answer(path) {
        Answer::Unknown => Ternary::Unknown,
        Answer::Value(Value::Day(day)) => Ternary::of(holds(*day)),
        _ => Ternary::No,
    }
}

fn any_approval(view: &View<'_>, holds: impl Fn(&Record) -> Ternary) -> Ternary {
    match view.record(0).answer("hgr.approvals") {
        Answer::Unknown => Ternary::Unknown,
        Answer::Value(Value::Rows(rows)) => Ternary::any(rows.iter().map(holds)),
        _ => Ternary::No,
    }
}

/// In term, for this project, for this scenario.
fn concerns(view: &View<'_>, row: &Record) -> Ternary {
    covers(view, row).and(!past(row.answer("expiry"), view.today))
}

/// Begun, for this project, for this scenario; over or not.
fn covers(view: &View<'_>, row: &Record) -> Ternary {
    let begun = day_is(row, "from", |day| day <= view.today);
    let project = same((row, "project"), (view.record(2), "use.project"));
    begun.and(project).and(contains(row, "purposes", view.record(2).text("use.scenario")))
}

fn contains(row: &Record, path: &str, item: Option<&str>) -> Ternary {
    let has = match row.answer(path) {
        Answer::Value(Value::Words(words)) => item.map(|item| words.contains(item)),
        Answer::Value(Value::Texts(texts)) => {
            item.map(|item| texts.iter().any(|text| legal_id(text) == legal_id(item)))
        }
        _ => None,
    };
    Ternary::of_known(has)
}

fn named(view: &View<'_>, row: &Record) -> Ternary {
    names(view, row).and(concerns(view, row))
}

/// Of a kind that a grant can rest on, with the recipient among its parties.
fn names(view: &View<'_>, row: &Record) -> Ternary {
    let kind = row.is_one_of("kind", &["cooperation", "trial_filing"]);
    kind.and(contains(row, "parties", view.record(1).text("legal.id")))
}

fn approved(view: &View<'_>, row: &Record) -> Ternary {
    let filed = row.is_one_of("kind", &["trial_filing"]).and(!view.record(2).flag("hgr.material_leaves"));
    row.is_one_of("kind", &["cooperation"]).or(filed).and(concerns(view, row))
}

/// The end of the approval that a grant rests on: the latest of those that name the recipient for its project and purpose and have
/// begun; none if there is none. What could not allow the grant can't carry it on either.
fn approval_end(view: &View<'_>) -> Answer {
    let rows = match view.record(0).answer("hgr.approvals") {
        Answer::Value(Value::Rows(rows)) => rows,
        other => return other.clone(),
    };
    let mut latest: Option<Day> = None;
    for row in rows {
        // Not whether it is in term: what is over is what is asked here.
        match names(view, row).and(covers(view, row)) {
            Ternary::No => continue,
            Ternary::Unknown => return Answer::Unknown,
            Ternary::Yes => {}
        }
        match row.answer("expiry") {
            Answer::Value(Value::Day(day)) => latest = latest.max(Some(*day)),
            other => return other.clone(),
        }
    }
    latest.map_or(Answer::None, |day| Value::Day(day).into())
}

fn prior_report(view: &View<'_>) -> Ternary {
    let grant = view.record(2);
    let before = |path| day_is(grant, path, |day| day < view.today);
    Ternary::all([
        grant.given("hgr.report_number"),
        before("hgr.report_day"),
        grant.flag("hgr.report_by_owner"),
        view.record(0).flag("parties.owner_is_chinese"),
        same((grant, "hgr.report_party"), (view.record(1), "legal.id")),
        grant.given("hgr.receipt"),
        before("hgr.receipt_day"),
    ])
}

fn review_passed(view: &View<'_>) -> Ternary {
    let grant = view.record(2);
    grant.given("hgr.review_number").and(day_is(grant, "hgr.review_day", |day| day <= view.today))
}

/// The scenario is among the purposes; for research the consent's DUO codes, if it has any, cover the grant's.
fn purpose_covered(view: &View<'_>) -> Ternary {
    let (dataset, grant) = (view.record(0), view.record(2));
    let scenario = contains(dataset, "consent.purposes", grant.text("use.scenario"));
    let codes = match (dataset.words("consent.duo"), grant.words("use.duo")) {
        (Some(consent), _) if consent.is_empty() => Ternary::Yes,
        (Some(consent), Some(used)) => Ternary::of(duo::covers(&consent, &used)),
        _ => Ternary::Unknown,
    };
    scenario.and(codes.or(!grant.is_one_of("use.scenario", &["research"])))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;
    use crate::facts::{Dataset, Grant};

    fn day(text: &str) -> Answer {
        Value::Day(Day::parse(text).unwrap()).into()
    }

    #[test]
    fn a_day_that_nobody_knows_is_neither_over_nor_to_come() {
        let today = Day::parse("2026-06-15").unwrap();
        assert_eq!(past(&Answer::Unknown, today), Ternary::Unknown);
        assert_eq!(past(&Answer::None, today), Ternary::No, "what has no end is not over");
        for (text, over) in [("2026-06-14", true), ("2026-06-15", false), ("2026-06-16", false)] {
            assert_eq!(past(&day(text), today), Ternary::of(over), "{text}");
        }
        let of = |answer| Grant::unknown().with([("hgr.review_day", answer)]).unwrap();
        for holds in [true, false] {
            assert_eq!(day_is(of(Answer::Unknown).record(), "hgr.review_day", |_| holds), Ternary::Unknown);
            assert_eq!(day_is(of(Answer::None).record(), "hgr.review_day", |_| holds), Ternary::No);
            assert_eq!(day_is(of(day("2026-06-15")).record(), "hgr.review_day", |_| holds), Ternary::of(holds));
        }
    }

    #[test]
    fn a_row_is_open_if_one_answer_that_a_server_sees_is() {
        let whole = r#"kind = "cooperation"
number = "GH-1"
project = "P-7"
parties = ["C-1"]
purposes = ["research"]
from = 2026-01-01
expiry = "none"
document = "none"
receipt = "none"
"#;
        let has = |rows: &[&str]| {
            let text: String = rows.iter().map(|row| format!("[[hgr.approvals]]\n{row}")).collect();
            has_unknown(Dataset::parse_toml(&text).unwrap().record().answer("hgr.approvals"))
        };
        let open = whole.replace("from = 2026-01-01\n", "");
        let sealed = whole.replace("receipt = \"none\"\n", "");
        assert!(!has(&[whole]));
        assert!(has(&[&open]) && has(&[whole, &open]) && has(&[&open, whole]));
        assert!(!has(&[&sealed]), "what no server sees is not asked for");
        assert!(has_unknown(&Answer::Unknown) && !has_unknown(&Answer::None));
    }
}

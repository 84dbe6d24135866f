//! Answers that can't all be right: days in the wrong order, and contradictions between fields.
//!
//! Only what is certain counts: an unknown answer contradicts nothing.

use super::field::Kind;
use super::record::{Answer, Record, Value};
use crate::lang::Bilingual;
use crate::problem::{Fault, Problem, Problems};
use crate::ternary::Ternary;

/// Everything that contradicts, with the field at which it is shown.
pub(super) fn all(record: &Record) -> Vec<(String, Fault)> {
    let mut found: Vec<(String, Fault)> = Vec::new();
    for pair in DAYS.iter().filter(|pair| pair.schema == record.schema().name) {
        found.extend(reversed(record, pair).map(|fault| (pair.last.to_owned(), fault)));
    }
    for rule in CONTRADICTIONS.iter().filter(|rule| rule.schema == record.schema().name) {
        if (rule.certain)(record).is_yes() {
            let fault = Fault::Contradiction { id: rule.id, why: Bilingual::fixed(rule.en, rule.zh) };
            found.push((rule.at.to_owned(), fault));
        }
    }
    for (field, answer) in record.iter() {
        if let (Kind::Rows(_), Answer::Value(Value::Rows(rows))) = (field.kind, answer) {
            for (number, row) in rows.iter().enumerate() {
                let inner = all(row).into_iter();
                found.extend(inner.map(|(name, fault)| (format!("{}[{}].{name}", field.path, number + 1), fault)));
            }
        }
    }
    found
}

/// As [`all`], for answers that have no lines.
pub(super) fn placeless(record: &Record) -> Result<(), Problems> {
    let problems = all(record).into_iter().map(|(field, fault)| Problem::placeless(field, fault)).collect();
    Problems::or(problems, ())
}

/// Two days of which the first may not be later.
struct Days {
    schema: &'static str,
    first: &'static str,
    last: &'static str,
}

const DAYS: &[Days] = &[
    Days { schema: "approval", first: "from", last: "expiry" },
    Days { schema: "grant", first: "opening.not_before", last: "opening.expiry" },
];

fn reversed(record: &Record, pair: &Days) -> Option<Fault> {
    match (record.answer(pair.first), record.answer(pair.last)) {
        (Answer::Value(Value::Day(first)), Answer::Value(Value::Day(last))) if first > last => {
            Some(Fault::Reversed { first: pair.first })
        }
        _ => None,
    }
}

struct Contradiction {
    id: &'static str,
    schema: &'static str,
    at: &'static str,
    certain: fn(&Record) -> Ternary,
    en: &'static str,
    zh: &'static str,
}

const SEQUENCING: &[&str] = &["wgs", "wes", "panel", "array", "amplicon", "rna_seq", "methyl_seq", "single_cell"];
const GENETIC: &[&str] = &["sequence", "variants", "rna", "methylation"];

/// Whether the first of two numbers is certainly more than the second.
fn more(record: &Record, first: &str, second: &str) -> Ternary {
    Ternary::of_known(record.number(first).zip(record.number(second)).map(|(a, b)| a > b))
}

const CONTRADICTIONS: &[Contradiction] = &[
    Contradiction {
        id: "consent-absent-with-purposes",
        schema: "dataset",
        at: "consent.given",
        certain: |r| {
            let named = r.given("consent.purposes").or(r.given("consent.duo")).or(r.flag("consent.separate"));
            let named = named.or(r.flag("consent.cross_border")).or(r.given("consent.form_hash"));
            (!r.flag("consent.given")).and(named)
        },
        en: "no consent was given, yet its form, purposes or a separate consent are stated",
        zh: "未取得知情同意，却填写了同意书、同意用途或单独同意",
    },
    Contradiction {
        id: "not-hgr-with-genetic-content",
        schema: "dataset",
        at: "hgr.applies",
        certain: |r| {
            let genetic = r.meets("content.assays", SEQUENCING).or(r.meets("content.kinds", GENETIC));
            (!r.flag("hgr.applies")).and(genetic)
        },
        en: "the data is said to be no human genetic resource information, yet it contains sequences or comes from a sequencing or genotyping assay",
        zh: "声明不属于人类遗传资源信息，内容或检测方法却为测序、分型",
    },
    Contradiction {
        id: "sequencing-assay-without-genetic-content",
        schema: "dataset",
        at: "content.assays",
        certain: |r| {
            let genetic = r.meets("content.kinds", GENETIC).or(r.meets("content.kinds", &["other"]));
            r.meets("content.assays", SEQUENCING).and(!genetic)
        },
        en: "a sequencing or genotyping assay is named, yet the content has no genetic data",
        zh: "检测方法为测序或分型，内容却不含遗传数据",
    },
    Contradiction {
        id: "no-sequencing-and-sequencing",
        schema: "dataset",
        at: "content.assays",
        certain: |r| r.meets("content.assays", &["none_sequencing"]).and(r.meets("content.assays", SEQUENCING)),
        en: "\"none_sequencing\" stands beside a sequencing or genotyping assay",
        zh: "“none_sequencing”与测序、分型方法同时出现",
    },
    Contradiction {
        id: "more-marks-than-subjects",
        schema: "dataset",
        at: "subjects.marked",
        certain: |r| more(r, "subjects.marked", "subjects.count"),
        en: "more persons have a mark than there are",
        zh: "有标记的人数多于总人数",
    },
    Contradiction {
        id: "more-us-persons-than-subjects",
        schema: "dataset",
        at: "subjects.us_persons",
        certain: |r| more(r, "subjects.us_persons", "subjects.count"),
        en: "more US persons than persons",
        zh: "美国人士人数多于总人数",
    },
    Contradiction {
        id: "us-persons-from-elsewhere",
        schema: "dataset",
        at: "subjects.origin",
        certain: |r| (!r.meets("subjects.origin", &["us"])).and(r.at_least("subjects.us_persons", 1)),
        en: "there are US persons, yet nobody comes from the US",
        zh: "填写了美国人士人数，来源地却不含美国",
    },
    Contradiction {
        id: "ethics-absent-with-approval",
        schema: "dataset",
        at: "ethics.approved",
        certain: |r| (!r.flag("ethics.approved")).and(r.given("ethics.number").or(r.given("ethics.expiry"))),
        en: "the ethics review was not passed, yet an approval is stated",
        zh: "未通过伦理审查，却填写了伦理批件",
    },
    Contradiction {
        id: "assessment-absent-with-report",
        schema: "dataset",
        at: "assessment.done",
        certain: |r| (!r.flag("assessment.done")).and(r.given("assessment.hash").or(r.given("assessment.day"))),
        en: "no impact assessment was made, yet its report or day is stated",
        zh: "未完成影响评估，却填写了评估报告或日期",
    },
    Contradiction {
        id: "anonymised-and-identifying",
        schema: "dataset",
        at: "deidentification.method",
        certain: |r| {
            let gone = r.is_one_of("deidentification.method", &["deidentified", "anonymised", "aggregated"]);
            gone.and(r.flag("subjects.identifying"))
        },
        en: "the data is de-identified, anonymised or aggregated, yet it identifies persons directly",
        zh: "已去标识化、匿名化或汇总，却能直接标识个人",
    },
    Contradiction {
        id: "important-level-without-important-data",
        schema: "dataset",
        at: "grading.important_data",
        certain: |r| r.is_one_of("grading.national_level", &["general"]).and(r.flag("grading.important_data")),
        en: "the data is in a catalogue of important data, yet graded as general",
        zh: "已列入重要数据目录，级别却为一般数据",
    },
    Contradiction {
        id: "sublevel-without-general-level",
        schema: "dataset",
        at: "grading.sublevel",
        certain: |r| r.given("grading.sublevel").and(r.is_one_of("grading.national_level", &["important", "core"])),
        en: "only general data has sub-levels",
        zh: "只有一般数据有子级别",
    },
    Contradiction {
        id: "guardians-of-nobody",
        schema: "dataset",
        at: "consent.guardian",
        certain: |r| (!r.flag("subjects.minors")).and(r.flag("consent.guardian")),
        en: "guardians consented, yet nobody is under 14",
        zh: "填写了监护人同意，却无不满十四周岁者",
    },
    Contradiction {
        id: "domestic-with-foreign-share",
        schema: "member",
        at: "foreign.declared",
        certain: |r| {
            let foreign = r.at_least("foreign.equity", 5_000).or(r.at_least("foreign.votes", 5_000));
            (!r.flag("foreign.declared")).and(foreign.or(r.flag("foreign.control")))
        },
        en: "declared not to be foreign, yet half or more of the equity or votes, or the control, is",
        zh: "声明非外方单位，外方股权或表决权却达到 50% 或由外方实际控制",
    },
    Contradiction {
        id: "domestic-control-and-foreign-control",
        schema: "member",
        at: "foreign.domestic_control",
        certain: |r| r.flag("foreign.domestic_control").and(r.flag("foreign.control")),
        en: "under domestic and under foreign control",
        zh: "同时填写内资实际控制与外方实际控制",
    },
    Contradiction {
        id: "agreement-absent-with-terms",
        schema: "member",
        at: "agreement.signed",
        certain: |r| (!r.flag("agreement.signed")).and(r.given("agreement.hash")),
        en: "no agreement is signed, yet its hash is stated",
        zh: "未签署协议，却填写了协议散列值",
    },
    Contradiction {
        id: "attestation-expiry-without-attestation",
        schema: "member",
        at: "security.expiry",
        certain: |r| (!r.given("security.attestations")).and(r.given("security.expiry")),
        en: "no attestation is held, yet its last day is stated",
        zh: "无安全证明，却填写了有效期",
    },
    Contradiction {
        id: "receipt-day-without-receipt",
        schema: "grant",
        at: "hgr.receipt_day",
        certain: |r| (!r.given("hgr.receipt")).and(r.given("hgr.receipt_day")),
        en: "there is no backup receipt, yet its day is stated",
        zh: "无备份回执，却填写了回执日期",
    },
    Contradiction {
        id: "report-day-without-report",
        schema: "grant",
        at: "hgr.report_day",
        certain: |r| (!r.given("hgr.report_number")).and(r.given("hgr.report_day")),
        en: "there is no prior report, yet its day is stated",
        zh: "无事先报告，却填写了报告日期",
    },
    Contradiction {
        id: "change-approval-without-change",
        schema: "grant",
        at: "hgr.change_approval",
        certain: |r| (!r.flag("hgr.changed")).and(r.given("hgr.change_approval")),
        en: "a change was approved, yet nothing changed",
        zh: "填写了变更批准，却无变更",
    },
];

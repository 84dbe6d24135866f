//! GB/T 43697-2024: general, important or core data by whom and how badly a leak, change or misuse would harm; and the
//! sub-levels of general data.
//!
//! Harm is a person's judgement and a fact; what follows from it is computed.

use super::{Proposal, Reason, is_genome_scale};
use crate::facts::Dataset;
use crate::lang::Bilingual;
use crate::ternary::Ternary;

/// General data.
pub const GENERAL: u8 = 1;
/// Important data.
pub const IMPORTANT: u8 = 2;
/// Core data.
pub const CORE: u8 = 3;

const STANDARD: &str = "GB/T 43697-2024";

/// Whom a harm concerns, by the level that each degree gives: particularly serious, serious, general.
struct Object {
    fields: &'static [&'static str],
    levels: [u8; 3],
    en: &'static str,
    zh: &'static str,
}

const OBJECTS: &[Object] = &[
    Object {
        fields: &["grading.national_security"],
        levels: [CORE, CORE, IMPORTANT],
        en: "national security",
        zh: "国家安全",
    },
    Object { fields: &["grading.economy"], levels: [CORE, IMPORTANT, GENERAL], en: "the economy", zh: "经济运行" },
    Object {
        fields: &["grading.social_order"],
        levels: [CORE, IMPORTANT, GENERAL],
        en: "social order",
        zh: "社会秩序",
    },
    Object {
        fields: &["grading.public_interest"],
        levels: [CORE, IMPORTANT, GENERAL],
        en: "public interest",
        zh: "公共利益",
    },
    Object {
        fields: &["grading.organisations"],
        levels: [GENERAL, GENERAL, GENERAL],
        en: "rights of organisations",
        zh: "组织权益",
    },
    Object {
        fields: &["grading.persons"],
        levels: [GENERAL, GENERAL, GENERAL],
        en: "rights of persons",
        zh: "个人权益",
    },
];

/// Degrees, worst first, with their words.
const DEGREES: [(&str, &str, &str); 3] = [
    ("particularly_serious", "particularly serious", "特别严重危害"),
    ("serious", "serious", "严重危害"),
    ("general", "general", "一般危害"),
];

/// Proposes general (1), important (2) or core (3).
#[must_use]
pub fn propose(dataset: &Dataset) -> Proposal {
    let record = dataset.record();
    let mut reasons = Vec::new();
    for object in OBJECTS {
        let field = object.fields.first().copied().unwrap_or_default();
        for ((code, en, zh), level) in DEGREES.into_iter().zip(object.levels) {
            reasons.push(Reason {
                level,
                holds: record.is_one_of(field, &[code]),
                fields: object.fields,
                text: Bilingual::made(format!("{en} harm to {}", object.en), format!("对{}造成{zh}", object.zh)),
                citation: STANDARD,
                certainty: "S",
            });
        }
    }
    reasons.push(Reason {
        level: IMPORTANT,
        holds: record.flag("grading.important_data"),
        fields: &["grading.important_data"],
        text: Bilingual::fixed("in a catalogue of important data, or told to be", "列入重要数据目录或被告知为重要数据"),
        citation: "网络数据安全管理条例 29",
        certainty: "M",
    });
    reasons.extend(scale(dataset));
    Proposal::highest(GENERAL, reasons)
}

/// What a security review is asked for when it goes abroad is proposed as important data: nothing published says so.
fn scale(dataset: &Dataset) -> [Reason; 2] {
    let record = dataset.record();
    let reason = |holds, fields, en, zh| Reason {
        level: IMPORTANT,
        holds,
        fields,
        text: Bilingual::fixed(en, zh),
        citation: "人类遗传资源管理条例 28",
        certainty: "U",
    };
    let listed = record.flag("subjects.important_family").or(record.flag("subjects.listed_region"));
    [
        reason(
            is_genome_scale(dataset).and(record.at_least("subjects.count", 501)),
            &["content.assays", "subjects.count"],
            "exomes or genomes of more than 500 people",
            "500 人以上的外显子组、基因组测序数据",
        ),
        reason(
            listed.or(record.flag("subjects.public_interest")),
            &["subjects.important_family", "subjects.listed_region", "subjects.public_interest"],
            "an important genetic family, a listed region, or a touch on public health or security",
            "涉及重要遗传家系、特定地区人群，或可能影响公众健康、国家安全和社会公共利益",
        ),
    ]
}

/// Proposes the sub-level 1 to 4 of general data, by harm to persons and organisations; individual genomes default to 4.
#[must_use]
pub fn propose_sublevel(dataset: &Dataset) -> Proposal {
    let record = dataset.record();
    let harm =
        |code| record.is_one_of("grading.persons", &[code]).or(record.is_one_of("grading.organisations", &[code]));
    let fields: &[&str] = &["grading.persons", "grading.organisations"];
    let mut reasons: Vec<_> = DEGREES
        .into_iter()
        .zip([4, 3, 2])
        .map(|((code, en, zh), level)| Reason {
            level,
            holds: harm(code),
            fields,
            text: Bilingual::made(
                format!("{en} harm to persons or organisations"),
                format!("对个人、组织权益造成{zh}"),
            ),
            citation: STANDARD,
            certainty: "M",
        })
        .collect();
    let aggregated = record.is_one_of("deidentification.method", &["aggregated"]);
    let genomes = record.meets("content.kinds", &["sequence", "variants"]).or(is_genome_scale(dataset));
    reasons.push(Reason {
        level: 4,
        holds: genomes.and(!aggregated),
        fields: &["content.kinds", "content.assays", "deidentification.method"],
        text: Bilingual::fixed("individual genomes", "个体基因组数据"),
        citation: STANDARD,
        certainty: "U",
    });
    Proposal::highest(1, reasons)
}

/// Whether the data is important or core, by a catalogue, by its grading, or by the proposal.
#[must_use]
pub fn is_important(dataset: &Dataset) -> Ternary {
    let graded = dataset.record().is_one_of("grading.national_level", &["important", "core"]);
    graded.or(propose(dataset).at_least(IMPORTANT))
}

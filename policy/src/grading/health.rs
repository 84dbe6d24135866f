//! GB/T 39725-2020: levels 1 to 5, by who may use health data. The level that a dataset's statement is signed with.

use super::{Proposal, Reason, is_genome_scale};
use crate::facts::Dataset;
use crate::lang::Bilingual;
use crate::ternary::Ternary;

const STANDARD: &str = "GB/T 39725-2020";

/// Proposes a level. Level 1, public data, is never proposed: that data may be published is for people to say.
#[must_use]
pub fn propose(dataset: &Dataset) -> Proposal {
    let record = dataset.record();
    let reason = |level, holds, fields, certainty, en, zh| Reason {
        level,
        holds,
        fields,
        text: Bilingual::fixed(en, zh),
        citation: STANDARD,
        certainty,
    };
    let method = |codes: &[&str]| record.is_one_of("deidentification.method", codes);
    let genetic =
        record.meets("content.kinds", &["sequence", "variants", "rna", "methylation"]).or(is_genome_scale(dataset));
    Proposal::highest(
        2,
        [
            reason(
                5,
                record.flag("subjects.special_disease"),
                &["subjects.special_disease"],
                "M",
                "details of special diseases",
                "特殊病种的详细资料",
            ),
            reason(
                4,
                record.flag("subjects.identifying"),
                &["subjects.identifying"],
                "M",
                "identifies persons directly",
                "可直接标识个人身份",
            ),
            reason(4, method(&["none"]), &["deidentification.method"], "M", "not de-identified", "未去标识化"),
            reason(
                3,
                genetic.and(!method(&["aggregated"])),
                &["content.kinds", "content.assays", "deidentification.method"],
                "U",
                "genetic data of single persons, which can be matched to them",
                "个体遗传数据，存在重标识可能",
            ),
            reason(3, method(&["pseudonymised"]), &["deidentification.method"], "M", "pseudonymised only", "仅假名化"),
            reason(
                3,
                !record.is_one_of("deidentification.residual_risk", &["low"]),
                &["deidentification.residual_risk"],
                "M",
                "more than a low residual risk of re-identification",
                "残余重标识风险高于低",
            ),
        ],
    )
}

/// Whether a signed level is below what the facts ask for or what the grader wrote.
#[must_use]
pub fn is_too_low(dataset: &Dataset, level: u8) -> Ternary {
    let proposed = propose(dataset).at_least(level.saturating_add(1));
    let graded =
        Ternary::of_known(dataset.record().number("grading.health_level").map(|graded| u64::from(level) < graded));
    proposed.or(graded)
}

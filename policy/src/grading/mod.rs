//! Proposes levels from facts, with reasons. A proposal is not a grading: a person grades, and another confirms.
//!
//! A proposal is a range, since facts may be unknown: what is certain already is its lower end, what is still possible its upper
//! end. Learning an unknown fact can only narrow it. When facts change or datasets merge, [`national`] and [`health`]
//! are asked again.

pub mod health;
pub mod merge;
pub mod national;

pub use merge::merge;

use crate::facts::Dataset;
use crate::lang::{Bilingual, Lang};
use crate::ternary::Ternary;

/// Why a level was proposed, or what could still raise it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The level that it asks for.
    pub level: u8,
    /// Whether it holds; [`Ternary::Unknown`] for what could still raise the level.
    pub holds: Ternary,
    /// What it rests on.
    pub fields: &'static [&'static str],
    /// The reason.
    pub text: Bilingual,
    /// Where it stands.
    pub citation: &'static str,
    /// How sure that is: S, L, M or U as in rule packs.
    pub certainty: &'static str,
}

/// A proposed level, from the least that is certain to the most that is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is certain.
    pub least: u8,
    /// What is possible.
    pub most: u8,
    /// Every reason that holds or may hold.
    pub reasons: Vec<Reason>,
}

impl Proposal {
    /// The level, if the facts settle it.
    #[must_use]
    pub fn level(&self) -> Option<u8> {
        (self.least == self.most).then_some(self.least)
    }

    /// The fields whose answers could still raise the level.
    #[must_use]
    pub fn unknown(&self) -> Vec<&'static str> {
        let open = self.reasons.iter().filter(|reason| reason.holds == Ternary::Unknown && reason.level > self.least);
        let mut fields: Vec<_> = open.flat_map(|reason| reason.fields.iter().copied()).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// Whether the level is at least this.
    #[must_use]
    pub const fn at_least(&self, level: u8) -> Ternary {
        if self.least >= level {
            Ternary::Yes
        } else if self.most < level {
            Ternary::No
        } else {
            Ternary::Unknown
        }
    }

    /// The reasons, a line each, the deciding ones first.
    #[must_use]
    pub fn say(&self, lang: Lang) -> String {
        let mut lines = Vec::new();
        for (holds, en, zh) in [(Ternary::Yes, "because", "理由"), (Ternary::Unknown, "could be", "尚可能")] {
            for reason in self.reasons.iter().filter(|reason| reason.holds == holds) {
                let (level, text, source) = (reason.level, reason.text.say(lang), reason.citation);
                lines.push(match lang {
                    Lang::En => format!("{level} {en}: {text} [{source}, {}]", reason.certainty),
                    Lang::Zh => format!("{level} {zh}：{text} [{source}，{}]", reason.certainty),
                });
            }
        }
        lines.join("\n")
    }

    /// The highest reason that holds and the highest that may, over a floor that always holds.
    fn highest(floor: u8, reasons: impl IntoIterator<Item = Reason>) -> Self {
        let reasons: Vec<_> = reasons.into_iter().filter(|reason| !reason.holds.is_no()).collect();
        let sure = reasons.iter().filter(|reason| reason.holds.is_yes()).map(|reason| reason.level);
        let least = sure.fold(floor, u8::max);
        let most = reasons.iter().map(|reason| reason.level).fold(least, u8::max);
        Self { least, most, reasons }
    }
}

/// Whether the data contains individual genomes or exomes: the assays that the 500 count.
#[must_use]
pub fn is_genome_scale(dataset: &Dataset) -> Ternary {
    dataset.record().meets("content.assays", &["wgs", "wes"])
}

/// Whether a field is one that a grading rests on.
#[must_use]
pub fn rests_on(path: &str) -> bool {
    ["grading.", "subjects.", "content.", "deidentification."].iter().any(|group| path.starts_with(group))
}

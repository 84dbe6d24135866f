//! An amendment of facts: which answers changed, from what to what, and why.

use super::field::Field;
use super::record::{Answer, Record};
use crate::lang::{Bilingual, Lang};

/// Answers that changed, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// Each field whose answer changed, in the table's order.
    pub changes: Vec<Change>,
    /// Why.
    pub why: String,
}

/// An answer that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: &'static Field,
    /// What it was.
    pub before: Answer,
    /// What it is.
    pub after: Answer,
}

/// Why there is no amendment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAmendment {
    /// Nothing changed.
    #[error("nothing changed")]
    Nothing,
    /// No reason, or one that a statement can't hold.
    #[error("an amendment needs a reason of 1 to 1,024 bytes without control characters")]
    Reason,
}

impl NoAmendment {
    /// The reason in both languages.
    #[must_use]
    pub const fn text(self) -> Bilingual {
        match self {
            Self::Nothing => Bilingual::fixed("nothing changed", "没有任何变更"),
            Self::Reason => Bilingual::fixed(
                "an amendment needs a reason of 1 to 1,024 bytes without control characters",
                "变更须写明理由（1 至 1024 字节，不含控制字符）",
            ),
        }
    }
}

impl Amendment {
    pub(super) fn between(before: &Record, after: &Record, why: &str) -> Result<Self, NoAmendment> {
        if why.trim().is_empty() || vault_core::ledger::statement::Text::parse(why).is_err() {
            return Err(NoAmendment::Reason);
        }
        let changes: Vec<_> = before
            .iter()
            .zip(after.iter())
            .filter(|((_, before), (_, after))| before != after)
            .map(|((field, before), (_, after))| Change { field, before: before.clone(), after: after.clone() })
            .collect();
        if changes.is_empty() { Err(NoAmendment::Nothing) } else { Ok(Self { changes, why: why.to_owned() }) }
    }

    /// Whether a field changed on which a grading rests, so that the data has to be graded again.
    #[must_use]
    pub fn regrades(&self) -> bool {
        self.changes.iter().any(|change| crate::grading::rests_on(change.field.path))
    }

    /// Whether subjects were added or can't be told not to have been.
    #[must_use]
    pub fn adds_subjects(&self) -> bool {
        self.changes
            .iter()
            .any(|change| ["subjects.count", "subjects.marked", "subjects.marks"].contains(&change.field.path))
    }

    /// A line a change.
    #[must_use]
    pub fn say(&self, lang: Lang) -> String {
        let lines = self.changes.iter().map(|change| {
            format!(
                "{} ({}): {} -> {}",
                change.field.path,
                change.field.ask.say(lang),
                change.before.show(),
                change.after.show()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

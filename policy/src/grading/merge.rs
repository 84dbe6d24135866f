//! What grading datasets need when they are put together: the higher level wins, and scale adds up.

use super::{Proposal, health, national};
use crate::facts::subjects::{Portion, cumulative};
use crate::facts::{Answer, Dataset, Value};

/// The proposals for a merged dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Under GB/T 43697-2024.
    pub national: Proposal,
    /// Under GB/T 39725-2020.
    pub health: Proposal,
    /// How many persons at most; `None` if unknown.
    pub subjects: Option<u64>,
}

/// Grades the union of datasets. Each comes with its persons, so that those in several count once where they are marked.
#[must_use]
pub fn merge(parts: &[(&Dataset, Portion)]) -> Merged {
    let subjects = cumulative(parts.iter().map(|(_, portion)| portion));
    let count = subjects.map_or(Answer::Unknown, |count| Value::Number(count).into());
    // Each part with everybody's count: a rule on scale that any part is subject to sees the whole.
    let scaled =
        |dataset: &Dataset| dataset.with([("subjects.count", count.clone())]).unwrap_or_else(|_| Dataset::unknown());
    let each: Vec<_> = parts.iter().map(|(dataset, _)| scaled(dataset)).collect();
    Merged {
        national: highest(each.iter().map(national::propose)),
        health: highest(each.iter().map(health::propose)),
        subjects,
    }
}

fn highest(proposals: impl Iterator<Item = Proposal>) -> Proposal {
    proposals.fold(Proposal { least: 1, most: 1, reasons: Vec::new() }, |mut sum, next| {
        sum.least = sum.least.max(next.least);
        sum.most = sum.most.max(next.most);
        for reason in next.reasons {
            if !sum.reasons.contains(&reason) {
                sum.reasons.push(reason);
            }
        }
        sum
    })
}

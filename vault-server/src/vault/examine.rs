//! The doctor with its words: what it found, what was repaired, and what a person has to do. Spec section 6.3.

use std::collections::BTreeSet;
use std::time::Duration;

use vault_core::ids::LedgerId;
use vault_core::layout::ObjectName;
use vault_core::ledger::seen::SeenList;

use super::Vault;
use super::doctor::{Doctor, Finding};
use super::objects::digest;
use super::remove::RemoveError;
use crate::text;

/// What is younger than this may belong to somebody who is at work.
const AT_WORK: Duration = Duration::from_secs(3600);

/// What a check found and did, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// What was found amiss.
    pub findings: Vec<String>,
    /// What was repaired.
    pub repaired: Vec<String>,
    /// Whether something signed is missing or changed.
    pub damaged: bool,
}

impl Vault {
    /// Looks at everything; makes again what is derived and deletes what a statement gave up, if it is asked to. `now` is the caller's clock.
    ///
    /// # Errors
    /// If the store fails, or what a derived object is made from is damaged.
    pub async fn examine(&self, now: u64, repair: bool) -> Result<Examined, RemoveError> {
        let how = Doctor { now: i64::try_from(now).unwrap_or(i64::MAX), at_work: AT_WORK };
        let report = self.doctor(&how).await?;
        let mut examined = Examined::default();
        let mut left = report.findings.clone();
        if repair {
            for finding in self.repair(&report).await? {
                left.retain(|f| *f != finding);
                examined.repaired.push(finding.to_string());
            }
            let mut rest = Vec::new();
            for finding in left {
                if self.delete_dead(&finding).await? {
                    examined.repaired.push(finding.to_string());
                } else {
                    rest.push(finding);
                }
            }
            left = rest;
        }
        let seen = self.seen_by_officers().await?;
        let damaged = |f: &Finding| match f {
            Finding::Missing { .. } | Finding::Differs { .. } | Finding::Ledger { ledger: LedgerId::Vault, .. } => true,
            // What no officer has seen may be rubbish that somebody with the store's keys has left; clients know more by their pins.
            Finding::Ledger { ledger, .. } => seen.as_ref().is_none_or(|seen| seen.contains(ledger)),
            _ => false,
        };
        examined.damaged = left.iter().any(damaged);
        examined.findings = left.iter().map(describe).collect();
        Ok(examined)
    }

    /// The ledgers that the newest `seen` lists; `None` if the list can't be had, and then nobody can tell.
    async fn seen_by_officers(&self) -> Result<Option<BTreeSet<LedgerId>>, RemoveError> {
        let Ok(vault) = self.state().await else { return Ok(None) };
        let Some(seen) = vault.seen() else { return Ok(Some(BTreeSet::new())) };
        let list = match self.get(&ObjectName::Seen(seen.list)).await {
            Ok(bytes) if digest(&bytes) == seen.list => SeenList::parse(&bytes).ok(),
            Ok(_) => None,
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e.into()),
        };
        Ok(list.map(|list| list.ledgers.into_iter().map(|item| item.ledger).collect()))
    }

    /// Deletes what a statement already gave up and an interrupted command left. Whether there was something of that kind.
    async fn delete_dead(&self, finding: &Finding) -> Result<bool, RemoveError> {
        match finding {
            Finding::OldEpoch { dataset, epoch, .. } => self.delete_epochs(dataset, epoch + 1).await?,
            Finding::DeadUpload { dataset, upload, closed: true, .. } => self.sweep(dataset, upload).await?,
            Finding::Hidden { dataset, .. } => self.delete_hidden(dataset).await?,
            Finding::DeletedDataset { dataset, .. } => self.delete_dataset(dataset).await?,
            _ => return Ok(false),
        };
        Ok(true)
    }
}

/// A finding with what to do about it, where a person has to.
fn describe(finding: &Finding) -> String {
    match finding {
        Finding::OpenEpoch { dataset, epoch, since } => format!(
            "dataset {dataset}: the rotation to epoch {epoch}, begun {}, is not finished (`seqvault rotate {dataset}`)",
            text::time(*since)
        ),
        Finding::OpenUpload { dataset, upload, author, opened, ends, bytes } => format!(
            "dataset {dataset}: upload {upload} of {author}, begun {}, is not finished; it holds {} and ends {}",
            text::time(*opened),
            text::bytes(*bytes),
            text::time(*ends)
        ),
        Finding::OldEpoch { .. }
        | Finding::DeadUpload { closed: true, .. }
        | Finding::Hidden { .. }
        | Finding::DeletedDataset { .. } => {
            format!("{finding} (--repair)")
        }
        other if other.is_repairable() => format!("{other} (--repair)"),
        other => other.to_string(),
    }
}

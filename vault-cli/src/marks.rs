//! Persons' marks, as a grant's count needs them: those of the dataset, and those of what a recipient was given before. Spec 2.7.

use std::collections::BTreeMap;

use vault_core::ids::{DatasetId, Digest};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::{ExposureState, Exposures, Reserved};
use vault_policy::facts::subjects::{Before, Marks, still_to_count};
use vault_policy::facts::{Answer, Value};
use vault_policy::ledger::{Need, ToReserve};
use vault_policy::{Dataset, Lang};

use crate::error::{Failure, Outcome};
use crate::facts;
use crate::session::{Session, Signer};
use crate::stewards::Keys;

/// The marks of a dataset, and those that reservations name.
#[derive(Debug)]
pub struct Known {
    own: Marks,
    persons: u64,
    before: BTreeMap<(DatasetId, Digest), Marks>,
}

/// The marks, if the dataset's facts name a set and it can be read.
///
/// # Errors
/// If a set is not what its name says, or the store fails.
pub async fn of(
    session: &Session,
    signer: &Signer,
    dataset: &DatasetState,
    reserve: &ToReserve,
    exposures: &Exposures,
    lang: Lang,
) -> Outcome<Option<Known>> {
    if *reserve == ToReserve::default() || session.vault.subject_key_generation() == 0 {
        return Ok(None);
    }
    let keys = Keys::open(session, signer).await?;
    if keys.is_empty() {
        return Ok(None);
    }
    let Some(facts) = whole_facts(session, &keys, dataset, lang).await? else { return Ok(None) };
    let Answer::Value(Value::Hash(own)) = facts.record().answer("subjects.marks") else { return Ok(None) };
    let Some(persons) = facts.record().number("subjects.count") else { return Ok(None) };
    let Some(own) = read(session, &keys, dataset.id(), own).await? else { return Ok(None) };
    let mut before = BTreeMap::new();
    for need in reserve.recipient.iter().chain(&reserve.export) {
        for reserved in exposures.of(&need.ledger).into_iter().flat_map(|state| state.reserved().values()) {
            let Some(hash) = reserved.subjects else { continue };
            let place = (reserved.dataset.clone(), hash);
            if !before.contains_key(&place)
                && let Some(marks) = read(session, &keys, &reserved.dataset, &hash).await?
            {
                before.insert(place, marks);
            }
        }
    }
    Ok(Some(Known { own, persons, before }))
}

/// A dataset's facts with their sealed part, as stewards keep it beside the dataset; `None` if it is not there, or does not open for the signer.
///
/// # Errors
/// If it is not what the statement commits to, or the store fails.
pub async fn whole_facts(
    session: &Session,
    keys: &Keys,
    dataset: &DatasetState,
    lang: Lang,
) -> Outcome<Option<Dataset>> {
    let Some(hash) = facts::commitment(dataset.facts()) else { return Ok(None) };
    let failed = |e| facts::stated_failure(dataset.id().as_str(), &e, lang);
    match keys.read(session, dataset.id(), &hash).await? {
        Some(sealed) => Dataset::from_both(dataset.facts(), &sealed).map(Some).map_err(failed),
        None => Ok(None),
    }
}

async fn read(session: &Session, keys: &Keys, dataset: &DatasetId, hash: &Digest) -> Outcome<Option<Marks>> {
    let Some(bytes) = keys.read(session, dataset, hash).await? else { return Ok(None) };
    let marks = Marks::parse(&bytes);
    marks.map(Some).ok_or_else(|| {
        Failure::integrity(format!("what is kept of {dataset} as {hash} is no set of marks"))
            .or_in_chinese(format!("随 {dataset} 保存的 {hash} 不是标记集合"))
    })
}

impl Known {
    /// What names the dataset's set.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.own.digest()
    }

    /// How many persons a reservation has to add.
    #[must_use]
    pub fn still_to_count(&self, state: Option<&ExposureState>, dataset: &DatasetId, need: &Need) -> u64 {
        let mut standing: Vec<&Reserved> = state
            .into_iter()
            .flat_map(|state| state.reserved().values())
            .filter(|one| one.released.is_none())
            .collect();
        standing.sort_by_key(|one| one.seq);
        let before: Vec<Before<'_>> = standing
            .into_iter()
            .map(|one| Before {
                same_dataset: one.dataset == *dataset,
                added: one.added,
                marks: one.subjects.and_then(|hash| self.before.get(&(one.dataset.clone(), hash))),
            })
            .collect();
        // Never more than without marks.
        still_to_count(self.persons, &self.own, &before).min(need.added)
    }
}

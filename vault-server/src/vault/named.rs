//! What a statement names must be there before the statement is. Spec sections 5.5 and 6.2.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use vault_core::floe;
use vault_core::ids::{CardId, DatasetId, Digest, LedgerId, MemberId, PackName, UploadId};
use vault_core::layout::{ObjectName, ledger_prefix, upload_prefix};
use vault_core::ledger::statement::{Body, ManifestHash, Reservation, Statement, UploadCommitted};
use vault_core::pack::{MAX_LIST, PackList, list_len};
use vault_policy::gate::Trace;

use super::Vault;
use super::append::AppendError;
use super::objects::{digest, max_len};
use super::remove::list_name;
use crate::store::{Listed, StoreError};

/// Checks at once.
const AT_ONCE: usize = 16;
/// Objects that are looked at a second time.
const LOOKED_AT_AGAIN: usize = 128;
/// How long a commit's objects are taken for looked at.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Commits that are remembered.
const MAX_REMEMBERED: usize = 64;

/// An object that must be there, and what is known of it.
#[derive(Debug)]
struct Named {
    name: ObjectName,
    /// Its exact length, where the statement or the kind gives one.
    length: Option<u64>,
    /// SHA-256 of its bytes; where there is none, only the length is checked.
    hash: Option<Digest>,
}

/// Commits whose objects were all found a moment ago. They stay for as long as the commit would count, but for what
/// [`Vault::look_again`] looks at.
#[derive(Debug, Default)]
pub(super) struct Commits(Mutex<VecDeque<(Digest, Instant)>>);

impl Commits {
    fn has(&self, key: &Digest, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(known, at)| known == key && now.duration_since(*at) < REMEMBERED)
    }

    fn note(&self, key: Digest, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(MAX_REMEMBERED - 1);
        known.push_front((key, now));
    }
}

impl Vault {
    /// Checks that every object which a statement names is there, whole and durable.
    pub(super) async fn check_named(&self, statement: &Statement) -> Result<(), AppendError> {
        let commit = match (&statement.body, &statement.ledger) {
            (Body::UploadCommitted(body), LedgerId::Dataset(dataset)) => Some((dataset, body)),
            _ => None,
        };
        let key = commit.and_then(|(dataset, body)| key_of(dataset, body));
        // Whoever lost the number signs the same commit again, and would lose it again for as long as a check takes.
        if key.is_some_and(|key| self.commits.has(&key, Instant::now())) {
            return Ok(());
        }
        if let Some((dataset, body)) = commit {
            self.check_packs(dataset, body).await?;
        }
        let named = self.named(statement);
        self.settle_places(&named).await?;
        stream::iter(named).map(|named| self.check(named)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        if let Some(key) = key {
            self.commits.note(key, Instant::now());
        }
        Ok(())
    }

    /// Makes durable what a statement cites in other ledgers: it must not survive a power cut that they do not.
    pub(super) async fn settle_cited(&self, statement: &Statement) -> Result<(), StoreError> {
        if statement.ledger != LedgerId::Vault {
            self.store.settle_names(&ledger_prefix(&LedgerId::Vault)).await?;
        }
        for cited in citations(&statement.body) {
            self.store.settle_names(&ledger_prefix(&cited.ledger)).await?;
        }
        Ok(())
    }

    /// Markers come before the grant: one too many costs a look, one too few would hide a dataset from its member.
    pub(super) async fn write_markers(&self, statement: &Statement) -> Result<(), StoreError> {
        let LedgerId::Dataset(dataset) = &statement.ledger else { return Ok(()) };
        for member in readers(statement) {
            let name = ObjectName::Marker { member, dataset: dataset.clone() };
            // Whatever it holds: that it exists is all it says.
            let _ = self.store.create(&name, bytes::Bytes::new()).await?;
        }
        Ok(())
    }

    fn named(&self, statement: &Statement) -> Vec<Named> {
        let dataset = match &statement.ledger {
            LedgerId::Dataset(dataset) => Some(dataset),
            LedgerId::Vault | LedgerId::Exposure(_) => None,
        };
        let seal = |name: ObjectName, hash: Digest| Named {
            name,
            length: Some(self.suite.seal_len() as u64),
            hash: Some(hash),
        };
        match (&statement.body, dataset) {
            (Body::Seen(body), _) => {
                vec![Named { name: ObjectName::Seen(body.list), length: None, hash: Some(body.list) }]
            }
            (Body::SubjectKeySet(body), _) => body
                .seals
                .iter()
                .map(|s| {
                    let (generation, member) = (body.generation, s.member.clone());
                    seal(ObjectName::SubjectSeal { generation, member, card: s.card, hash: s.sha256 }, s.sha256)
                })
                .collect(),
            (Body::EpochClosed(body), Some(dataset)) => body
                .table
                .map(|hash| Named {
                    name: ObjectName::Table { dataset: dataset.clone(), epoch: body.epoch, hash },
                    length: Some(floe::ciphertext_len(body.count.saturating_mul(48))),
                    hash: Some(hash),
                })
                .into_iter()
                .collect(),
            (Body::UploadCommitted(body), Some(dataset)) => body
                .manifests
                .iter()
                .flat_map(|m| {
                    let (dataset, manifest) = (dataset.clone(), m.manifest);
                    let header =
                        ObjectName::Header { dataset: dataset.clone(), epoch: body.epoch, manifest, hash: m.header };
                    let object = ObjectName::Manifest { dataset, manifest };
                    [seal(header, m.header), Named { name: object, length: Some(m.length), hash: None }]
                })
                .collect(),
            (body, Some(dataset)) => grants(body)
                .into_iter()
                .map(|(epoch, member, card, hash)| {
                    seal(ObjectName::Grant { dataset: dataset.clone(), epoch, member, card, hash }, hash)
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Looks again, quickly, for what may have been deleted since [`Self::check_named`]: sealed objects and tables can be withdrawn while no
    /// statement names them. All else stays for as long as the entry would count: an upload's objects go only once it is closed.
    pub(super) async fn look_again(&self, statement: &Statement) -> Result<(), AppendError> {
        let mut named = self.named(statement);
        named.retain(|named| may_be_withdrawn(&named.name));
        // Of more than these only their own writer could have withdrawn some, and nobody else's entry waits for that to be seen.
        named.truncate(LOOKED_AT_AGAIN);
        let look = async |name: ObjectName| match self.store.size(&name).await? {
            Some(_) => Ok(()),
            None => Err(AppendError::Missing { name }),
        };
        stream::iter(named).map(|named| look(named.name)).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// Checks a commit's pack lists, and every pack that they name. One listing tells of all packs of an upload, where asking for each would be
    /// a request a pack; of what it shows only that is kept which a list needs, and it ends where there is no more to find.
    async fn check_packs(&self, dataset: &DatasetId, body: &UploadCommitted) -> Result<(), AppendError> {
        let max = self.lists.objects();
        let too_many = || AppendError::TooMany { dataset: dataset.clone(), upload: body.upload, max };
        let count = body.manifests.iter().try_fold(0_u64, |sum, signed| sum.checked_add(signed.packs.count));
        if count.is_none_or(|count| count > max) {
            return Err(too_many());
        }
        let mut needed = self.needed_packs(dataset, body).await?;
        let prefix = upload_prefix(dataset, &body.upload);
        let (mut seen, mut wrong) = (0, None);
        let look = |found: &Listed| {
            seen += 1;
            if let ObjectName::Pack { pack, .. } = &found.name
                && needed.remove(pack).is_some_and(|length| u64::from(length) != found.size)
            {
                wrong = Some(found.name.clone());
            }
            wrong.is_none() && seen <= max && !needed.is_empty()
        };
        self.store.visit(&prefix, look).await?;
        if let Some(name) = wrong {
            return Err(AppendError::Differs { name });
        }
        match needed.into_keys().next() {
            Some(_) if seen > max => Err(too_many()),
            Some(pack) => Err(AppendError::Missing {
                name: ObjectName::Pack { dataset: dataset.clone(), upload: body.upload, pack },
            }),
            None => Ok(self.store.settle_names(&prefix).await?),
        }
    }

    /// The packs that a commit's lists name, and their lengths. Each list goes once it was read: there may be thousands.
    async fn needed_packs(
        &self,
        dataset: &DatasetId,
        body: &UploadCommitted,
    ) -> Result<HashMap<PackName, u32>, AppendError> {
        let lists: Vec<_> =
            body.manifests.iter().map(|signed| self.signed_list(dataset, &body.upload, signed)).collect();
        let mut lists = std::pin::pin!(stream::iter(lists).buffer_unordered(AT_ONCE));
        let mut needed = HashMap::new();
        while let Some(packs) = lists.try_next().await? {
            for (pack, length) in packs {
                if needed.insert(pack, length).is_some_and(|other| other != length) {
                    let name = ObjectName::Pack { dataset: dataset.clone(), upload: body.upload, pack };
                    return Err(AppendError::Differs { name });
                }
            }
        }
        Ok(needed)
    }

    /// The packs of a manifest's list, which is the one that was signed.
    async fn signed_list(
        &self,
        dataset: &DatasetId,
        upload: &UploadId,
        signed: &ManifestHash,
    ) -> Result<Vec<(PackName, u32)>, AppendError> {
        let (name, packs) = (list_name(dataset, &signed.manifest, upload), &signed.packs);
        // What was signed says how long the list is: no more room than that is taken for it.
        let length = u32::try_from(packs.count).map_or(MAX_LIST, list_len);
        let read = match self.read_list(&name, length).await {
            Ok(read) => read,
            Err(e) if e.is_not_found() => return Err(AppendError::Missing { name }),
            Err(StoreError::TooLong { max, .. }) if max == length => return Err(AppendError::Differs { name }),
            Err(e) => return Err(e.into()),
        };
        let is_signed = |list: &&PackList| {
            read.hash == packs.list && list.stream_length() == packs.bytes && list.packs().len() as u64 == packs.count
        };
        match read.list.as_ref().filter(is_signed) {
            Some(list) => Ok(list.packs().iter().map(|pack| (pack.name, pack.length)).collect()),
            None => Err(AppendError::Differs { name }),
        }
    }

    async fn check(&self, named: Named) -> Result<(), AppendError> {
        let Named { name, length, hash } = named;
        let size = match self.store.size(&name).await? {
            Some(size) => size,
            None => return Err(AppendError::Missing { name }),
        };
        if length.is_some_and(|length| length != size) || size > max_len(&name) {
            return Err(AppendError::Differs { name });
        }
        match hash {
            Some(hash) if digest(&self.get(&name).await?) != hash => Err(AppendError::Differs { name }),
            _ => Ok(()),
        }
    }

    /// Another process may have linked an object and not synced its folder yet.
    async fn settle_places(&self, named: &[Named]) -> Result<(), StoreError> {
        let folder = |named: &Named| named.name.to_string().rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let folders: BTreeSet<String> = named.iter().filter_map(folder).collect();
        for folder in folders {
            self.store.settle_names(&folder).await?;
        }
        Ok(())
    }
}

/// What stands for a commit, whichever number it asks for. `None` if it can't be written down, and then it is looked at each time.
fn key_of(dataset: &DatasetId, body: &UploadCommitted) -> Option<Digest> {
    serde_json::to_vec(&(dataset.as_str(), body)).ok().map(|text| digest(&text))
}

/// Whether an object goes while no statement names it, at a word of whoever may put it.
const fn may_be_withdrawn(name: &ObjectName) -> bool {
    matches!(
        name,
        ObjectName::Grant { .. }
            | ObjectName::Header { .. }
            | ObjectName::Table { .. }
            | ObjectName::SubjectSeal { .. }
    )
}

/// The sealed epoch secrets that a statement of a dataset names: epoch, member, card, hash.
pub(super) fn grants(body: &Body) -> Vec<(u64, MemberId, CardId, Digest)> {
    match body {
        Body::DatasetCreated(body) => {
            body.epoch.seals.iter().map(|s| (1, s.member.clone(), s.card, s.sha256)).collect()
        }
        Body::EpochOpened(b) => b.seals.iter().map(|s| (b.epoch, s.member.clone(), s.card, s.sha256)).collect(),
        Body::EpochReset(b) => b.seals.iter().map(|s| (b.epoch, s.member.clone(), s.card, s.sha256)).collect(),
        Body::Granted(b) => b.seals.iter().map(|s| (s.epoch, s.member.clone(), s.card, s.sha256)).collect(),
        Body::CardSealed(b) => b.seals.iter().map(|s| (s.epoch, s.member.clone(), s.card, s.sha256)).collect(),
        Body::RecoverySet(b) => b.seals.iter().map(|s| (s.epoch, s.member.clone(), s.card, s.sha256)).collect(),
        _ => Vec::new(),
    }
}

/// The members who can open something of the dataset once the statement stands.
fn readers(statement: &Statement) -> BTreeSet<MemberId> {
    grants(&statement.body).into_iter().map(|(_, member, _, _)| member).collect()
}

/// The entries of other ledgers that a statement rests on, those that only the record of its decision names included.
fn citations(body: &Body) -> Vec<Reservation> {
    match body {
        Body::FactsAmended(body) => body.reservations.iter().map(|r| r.reservation.clone()).collect(),
        Body::Granted(body) => {
            let export = body.trace.as_ref().and_then(|trace| Trace::parse(trace).ok()?.export());
            body.reservation.iter().cloned().chain(export).collect()
        }
        Body::ReservationCancelled(body) => vec![body.reservation.clone()],
        Body::Released(body) => vec![body.cites.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use serde_json::json;
    use vault_core::ids::EntryHash;
    use vault_core::ledger::statement::{Facts, GrantTerms, Granted};

    use super::*;

    fn reserved(byte: u8) -> Reservation {
        let ledger = LedgerId::Exposure(Digest([byte; 32]));
        Reservation { hash: EntryHash([byte; 32]), ledger, seq: u64::from(byte) }
    }

    /// After a power cut a grant must not stand without what it was counted by, in either ledger.
    #[test]
    fn a_grant_rests_on_its_reservation_and_on_that_which_its_record_names() {
        let export = reserved(2);
        let case = json!({"export": {"hash": export.hash.to_string(), "ledger": export.ledger.to_string(), "seq": export.seq}});
        let trace = json!({
            "approvals": 0, "case": case, "engine": 1, "expires": null, "fired": [], "outcome": "allow", "packs": [],
        });
        let granted = |reservation: Option<Reservation>, trace: Option<&serde_json::Value>| {
            let terms = GrantTerms { ends: None, facts: Facts::default(), member: "anna".parse().unwrap() };
            let trace = trace.map(|trace| Facts(trace.as_object().unwrap().clone()));
            Body::Granted(Granted {
                approval: None,
                reservation,
                seals: BTreeSet::new().into_iter().collect(),
                terms,
                trace,
            })
        };
        assert_eq!(citations(&granted(Some(reserved(1)), Some(&trace))), [reserved(1), export.clone()]);
        assert_eq!(citations(&granted(None, Some(&trace))), [export]);
        assert_eq!(citations(&granted(Some(reserved(1)), None)), [reserved(1)]);
        assert_eq!(citations(&granted(None, None)), []);
    }
}

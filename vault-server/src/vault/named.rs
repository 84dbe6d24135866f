//! What a statement names must be there before the statement is. Spec sections 5.5 and 6.2.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use vault_core::floe;
use vault_core::ids::{CardId, DatasetId, Digest, LedgerId, MemberId, PackName, UploadId};
use vault_core::layout::{ObjectName, ledger_prefix, upload_prefix};
use vault_core::ledger::statement::{Body, ManifestHash, Reservation, Statement, UploadCommitted};
use vault_core::pack::{MAX_LIST, PackList, list_len};

use super::Vault;
use super::append::AppendError;
use super::objects::{digest, max_len};
use super::remove::list_name;
use crate::store::StoreError;

/// Checks at once.
const AT_ONCE: usize = 16;

/// An object that must be there, and what is known of it.
#[derive(Debug)]
struct Named {
    name: ObjectName,
    /// Its exact length, where the statement or the kind gives one.
    length: Option<u64>,
    /// SHA-256 of its bytes; where there is none, only the length is checked.
    hash: Option<Digest>,
}

impl Vault {
    /// Checks that every object which a statement names is there, whole and durable.
    pub(super) async fn check_named(&self, statement: &Statement) -> Result<(), AppendError> {
        if let (Body::UploadCommitted(body), LedgerId::Dataset(dataset)) = (&statement.body, &statement.ledger) {
            self.check_packs(dataset, body).await?;
        }
        let named = self.named(statement);
        self.settle_places(&named).await?;
        stream::iter(named).map(|named| self.check(named)).buffer_unordered(AT_ONCE).try_collect::<()>().await
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

    /// Checks a commit's pack lists, and every pack that they name. One listing tells of all packs of an upload, where asking
    /// for each would be a request a pack. Each list goes once it was checked: there may be thousands.
    async fn check_packs(&self, dataset: &DatasetId, body: &UploadCommitted) -> Result<(), AppendError> {
        let prefix = upload_prefix(dataset, &body.upload);
        let listed = self.store.list(&prefix).await?.into_iter();
        let sizes: HashMap<PackName, u64> = listed
            .filter_map(|object| match object.name {
                ObjectName::Pack { pack, .. } => Some((pack, object.size)),
                _ => None,
            })
            .collect();
        let checks: Vec<_> =
            body.manifests.iter().map(|signed| self.check_list(dataset, &body.upload, signed, &sizes)).collect();
        stream::iter(checks).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(self.store.settle_names(&prefix).await?)
    }

    /// Checks that a manifest's pack list is the one that was signed and that its packs are there.
    async fn check_list(
        &self,
        dataset: &DatasetId,
        upload: &UploadId,
        signed: &ManifestHash,
        sizes: &HashMap<PackName, u64>,
    ) -> Result<(), AppendError> {
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
        let Some(list) = read.list.as_ref().filter(is_signed) else { return Err(AppendError::Differs { name }) };
        for pack in list.packs() {
            let name = || ObjectName::Pack { dataset: dataset.clone(), upload: *upload, pack: pack.name };
            match sizes.get(&pack.name) {
                Some(size) if *size == u64::from(pack.length) => {}
                Some(_) => return Err(AppendError::Differs { name: name() }),
                None => return Err(AppendError::Missing { name: name() }),
            }
        }
        Ok(())
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

fn citations(body: &Body) -> Vec<&Reservation> {
    match body {
        Body::FactsAmended(body) => body.reservations.iter().map(|r| &r.reservation).collect(),
        Body::Granted(body) => body.reservation.iter().collect(),
        Body::ReservationCancelled(body) => vec![&body.reservation],
        Body::Released(body) => vec![&body.cites],
        _ => Vec::new(),
    }
}

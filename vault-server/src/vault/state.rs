//! Folds, kept: a repeated question costs the entries that are new since the last one. Spec section 4.4.
//!
//! What is kept is a shortcut and never an answer of its own: it is used only where folding everything again would give the same. So it is
//! tied to the hash of the last entry that it holds, and dropped when a recovery or a reservation could change a judgement that was passed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use vault_core::ids::{DatasetId, Digest, LedgerId, MemberId};
use vault_core::ledger::dataset::{CreationError, DatasetState, UploadStatus, creator_of};
use vault_core::ledger::exposure::{self, Creators, ExposureState, Exposures, reserves_for};
use vault_core::ledger::fold::Stop;
use vault_core::ledger::statement::{Body, Entry, Said, VaultHead};
use vault_core::ledger::vault::{GenesisError, VaultState};
use vault_policy::ledger::{counted_in, traced_by};

use super::Vault;
use super::objects::digest;
use super::read::{LedgerError, Mark, Marked};
use crate::store::StoreError;

/// What the dataset states that are kept may weigh, in bytes of their stored entries: a state takes about as much as those (0.8 kB an entry
/// of 1 kB, as measured over states of 100 entries), also where one entry is very long. The one that was not asked for longest goes first.
const MAX_WEIGHT: u64 = 200 << 20;
/// What a state weighs before its entries.
const A_STATE: u64 = 8 << 10;

/// Why a state could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The vault ledger is not this vault's any more.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The dataset ledger creates no dataset.
    #[error("dataset {dataset}: {source}")]
    Creation {
        /// The dataset.
        dataset: DatasetId,
        /// Why not.
        source: CreationError,
    },
}

impl From<StoreError> for StateError {
    fn from(source: StoreError) -> Self {
        Self::Ledger(source.into())
    }
}

/// A dataset and what it was folded under, read in the order that makes every honest citation found: the dataset's ledger, the
/// exposure ledgers that it cites, the vault's.
#[derive(Debug, Clone)]
pub struct View {
    /// The vault ledger's state.
    pub vault: Arc<VaultState>,
    /// The dataset ledger's state; it may have stopped.
    pub dataset: Arc<DatasetState>,
    /// The exposure ledgers that it cites.
    pub exposures: Arc<Exposures>,
    /// How many entries the dataset ledger has, judged or behind a stop.
    pub entries: u64,
}

/// A state and how far it has read: it is the fold of the first `entries` entries, of which there is one at least, `last` is the hash of the last
/// of them, and `mark`, if there is one, how a listing showed that same one. A mark of any other would hide what came between for good.
#[derive(Debug)]
pub(super) struct Known<T> {
    pub(super) state: Arc<T>,
    pub(super) entries: u64,
    /// What they have together, stored.
    bytes: u64,
    /// SHA-256 of the last entry's stored bytes.
    last: Digest,
    /// How a listing showed the last entry before it was read.
    mark: Option<Mark>,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        let (state, mark) = (Arc::clone(&self.state), self.mark.clone());
        Self { state, entries: self.entries, bytes: self.bytes, last: self.last, mark }
    }
}

/// What a dataset's judgements rest on outside its own ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Basis {
    vault: Option<VaultHead>,
    recoveries: usize,
    exposures: BTreeMap<Digest, usize>,
}

/// The cache. Locks are held for a lookup only.
#[derive(Debug, Default)]
pub(super) struct Folds {
    vault: Mutex<Option<Known<VaultState>>>,
    datasets: Mutex<Datasets>,
}

/// Dataset states up to a weight.
#[derive(Debug, Default)]
struct Datasets {
    kept: HashMap<DatasetId, Kept>,
    weight: u64,
    /// How often one was asked for or kept.
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    known: Known<DatasetState>,
    basis: Basis,
    used: u64,
}

/// What was read of a dataset's ledger.
#[derive(Debug)]
struct Read {
    /// What was known before, and goes on with what was read.
    kept: Option<(Known<DatasetState>, Basis)>,
    /// The entries from the last known one on, or all; `None` if that is still the last.
    news: Option<Marked>,
    /// How many entries there are.
    count: u64,
}

/// What exposure ledgers hold, before the vault ledger is read and they can be folded.
#[derive(Debug, Default)]
struct RawExposures {
    entries: BTreeMap<Digest, Vec<Bytes>>,
    creators: Creators,
    /// Those that only the gate looks at: no judgement of the fold rests on them.
    beside: BTreeSet<Digest>,
}

impl Vault {
    /// How many ledger states are in memory.
    #[must_use]
    pub fn folds_kept(&self) -> usize {
        lock(&self.folds.datasets).kept.len() + usize::from(lock(&self.folds.vault).is_some())
    }

    /// The vault ledger's state after its last entry.
    ///
    /// # Errors
    /// If the ledger can't be read.
    pub async fn state(&self) -> Result<Arc<VaultState>, StateError> {
        Ok(self.known_vault().await?.state)
    }

    /// A dataset's state after its last entry, under the vault's.
    ///
    /// # Errors
    /// If a ledger can't be read, or there is no such dataset.
    pub async fn view(&self, dataset: &DatasetId) -> Result<View, StateError> {
        self.view_with(dataset, None).await
    }

    /// As [`Self::view`], under a vault's state that the caller gets: it is asked for when the dataset's ledger has been read, and must
    /// be read from then on. So looks at several datasets can share one at the vault.
    ///
    /// # Errors
    /// If a ledger can't be read, or there is no such dataset.
    pub async fn view_under<E: From<StateError>>(
        &self,
        dataset: &DatasetId,
        vault: impl Future<Output = Result<Arc<VaultState>, E>>,
    ) -> Result<View, E> {
        self.look(dataset, None, vault).await
    }

    /// An exposure ledger's state after its last entry.
    ///
    /// # Errors
    /// If a ledger can't be read.
    pub async fn exposure(&self, recipient: Digest) -> Result<ExposureState, StateError> {
        let mut raw = self.read_exposures(&BTreeSet::from([recipient]), None).await?;
        let vault = self.state().await?;
        let entries = raw.entries.remove(&recipient).unwrap_or_default();
        self.compute(move || Ok(ExposureState::fold(&vault, &raw.creators, recipient, &entries))).await
    }

    /// The vault ledger's state as the last look left it; it may be old. `None` before the first look.
    #[must_use]
    pub fn known_state(&self) -> Option<Arc<VaultState>> {
        lock(&self.folds.vault).as_ref().map(|known| Arc::clone(&known.state))
    }

    /// How many uploads a member has open in the datasets that are in the cache.
    #[must_use]
    pub fn open_uploads(&self, member: &MemberId) -> usize {
        let kept = lock(&self.folds.datasets);
        let uploads = kept.kept.values().flat_map(|kept| kept.known.state.uploads().values());
        uploads.filter(|upload| upload.status == UploadStatus::Open && upload.author == *member).count()
    }

    /// How many entries of a ledger the cache knows.
    pub(super) fn known_entries(&self, ledger: &LedgerId) -> u64 {
        match ledger {
            LedgerId::Vault => lock(&self.folds.vault).as_ref().map_or(0, |known| known.entries),
            LedgerId::Dataset(dataset) => self.folds.dataset(dataset).map_or(0, |(known, _)| known.entries),
            LedgerId::Exposure(_) => 0,
        }
    }

    pub(super) async fn known_vault(&self) -> Result<Known<VaultState>, StateError> {
        let kept = lock(&self.folds.vault).clone();
        let grown = match kept {
            Some(kept) => self.grow_vault(kept).await?,
            None => None,
        };
        let fresh = match grown {
            Some(grown) => grown,
            None => {
                let fresh = self.fold_vault_of(self.marked_entries(&LedgerId::Vault, 0).await?).await?;
                if is_fork(fresh.state.stop()) {
                    let single = Marked::unmarked(self.single_entries(&LedgerId::Vault, 0).await?);
                    self.fold_vault_of(single).await?
                } else {
                    fresh
                }
            }
        };
        *lock(&self.folds.vault) = Some(fresh.clone());
        Ok(fresh)
    }

    async fn fold_vault_of(&self, marked: Marked) -> Result<Known<VaultState>, StateError> {
        let id = self.id;
        self.compute(move || Ok(Known::new(VaultState::fold(&id, &marked.entries)?, &marked))).await
    }

    /// Goes on from a kept state. `None` if it has to be folded anew.
    async fn grow_vault(&self, kept: Known<VaultState>) -> Result<Option<Known<VaultState>>, StateError> {
        let Some(marked) = self.news(&LedgerId::Vault, &kept).await? else { return Ok(Some(kept)) };
        if !kept.is_continued_by(&marked.entries) {
            return Ok(None);
        }
        if marked.entries.len() == 1 {
            return Ok(Some(Known { mark: marked.mark, ..kept }));
        }
        let extend = move || {
            let mut state = VaultState::clone(&kept.state);
            state.extend(marked.entries.get(1..).unwrap_or_default());
            // Only a fold of everything is believed when it stops.
            Ok(state.stop().is_none().then(|| kept.grown(state, &marked)))
        };
        self.compute(extend).await
    }

    /// What a ledger has from the last known entry on; `None` if that is still the last and the same.
    async fn news<T>(&self, ledger: &LedgerId, known: &Known<T>) -> Result<Option<Marked>, LedgerError> {
        let index = self.index(ledger, known.entries - 1).await?;
        // Entries are written once, and a store that replaces one shows it as another: what looks the same need not be read again.
        if index.mark.is_some() && index.mark == known.mark && index.numbers.end == known.entries {
            return Ok(None);
        }
        self.read_marked(ledger, &index).await.map(Some)
    }

    /// A dataset's view that also has what `cited_by`, an entry that is not appended yet, cites, and what the gate asks about it.
    pub(super) async fn view_with(&self, dataset: &DatasetId, cited_by: Option<&Bytes>) -> Result<View, StateError> {
        self.look(dataset, cited_by, self.state()).await
    }

    async fn look<E: From<StateError>>(
        &self,
        dataset: &DatasetId,
        cited_by: Option<&Bytes>,
        vault: impl Future<Output = Result<Arc<VaultState>, E>>,
    ) -> Result<View, E> {
        let read = self.read_dataset(dataset).await.map_err(StateError::from)?;
        let raw = self.read_cited(&read, cited_by).await?;
        let vault = vault.await?;
        Ok(self.judge_dataset(dataset, read, raw, vault).await?)
    }

    /// A dataset's ledger from what is known of it on.
    async fn read_dataset(&self, dataset: &DatasetId) -> Result<Read, LedgerError> {
        let ledger = LedgerId::Dataset(dataset.clone());
        if let Some((known, basis)) = self.folds.dataset(dataset) {
            match self.news(&ledger, &known).await? {
                None => return Ok(Read { count: known.entries, news: None, kept: Some((known, basis)) }),
                Some(marked) if known.is_continued_by(&marked.entries) => {
                    let count = known.entries - 1 + marked.entries.len() as u64;
                    return Ok(Read { count, news: Some(marked), kept: Some((known, basis)) });
                }
                Some(_) => {}
            }
        }
        let all = self.marked_entries(&ledger, 0).await?;
        Ok(Read { count: all.entries.len() as u64, news: Some(all), kept: None })
    }

    /// The exposure ledgers that a dataset cites, as far as it was read, and those that an entry to come cites.
    async fn read_cited(&self, read: &Read, cited_by: Option<&Bytes>) -> Result<RawExposures, StateError> {
        let mut cited: BTreeSet<Digest> =
            read.kept.iter().flat_map(|(_, basis)| basis.exposures.keys().copied()).collect();
        let news = read.news.iter().flat_map(|marked| &marked.entries);
        let candidates: Vec<Bytes> = news.chain(cited_by).cloned().collect();
        let mut beside = BTreeSet::new();
        if !candidates.is_empty() {
            let next = cited_by.cloned();
            let kept = read.kept.as_ref().map(|(known, _)| Arc::clone(&known.state));
            let find = move || {
                let cited = candidates.iter().flat_map(|entry| exposure::cited_by(entry)).collect();
                let beside = next.map(|next| asked_exposures(&next, &candidates, kept.as_deref()));
                Ok((cited, beside.unwrap_or_default()))
            };
            let (mut found, asked) = self.compute::<(BTreeSet<Digest>, BTreeSet<Digest>)>(find).await?;
            cited.append(&mut found);
            beside = asked;
        }
        beside.retain(|recipient| !cited.contains(recipient));
        cited.extend(beside.iter().copied());
        let raw = self.read_exposures(&cited, None).await?;
        Ok(RawExposures { beside, ..raw })
    }

    async fn judge_dataset(
        &self,
        dataset: &DatasetId,
        read: Read,
        raw: RawExposures,
        vault: Arc<VaultState>,
    ) -> Result<View, StateError> {
        let Read { count, news, kept } = read;
        let basis = Basis::of(&vault, &raw);
        let exposures = if raw.entries.is_empty() {
            Arc::default()
        } else {
            let under = Arc::clone(&vault);
            Arc::new(self.compute(move || Ok(raw.fold(&under))).await?)
        };
        let grown = match kept {
            Some((known, old)) if old.still_holds(&vault, &basis) => {
                let same = old == basis;
                match &news {
                    None if same || known.state.stop().is_none() => Some(known),
                    None => None,
                    Some(marked) => {
                        let (vault, exposures) = (Arc::clone(&vault), Arc::clone(&exposures));
                        let all = marked.clone();
                        self.compute(move || Ok(grow_dataset(known, same, &vault, &exposures, &all))).await?
                    }
                }
            }
            _ => None,
        };
        let fresh = match grown {
            Some(grown) => grown,
            None => self.fold_anew(dataset, news, count, &vault, &exposures).await?,
        };
        let view = View { vault, dataset: Arc::clone(&fresh.state), exposures, entries: count };
        self.folds.keep(dataset.clone(), fresh, basis);
        Ok(view)
    }

    /// Folds the first `count` entries, of which the last ones may have been read already.
    async fn fold_anew(
        &self,
        dataset: &DatasetId,
        news: Option<Marked>,
        count: u64,
        vault: &Arc<VaultState>,
        exposures: &Arc<Exposures>,
    ) -> Result<Known<DatasetState>, StateError> {
        let ledger = LedgerId::Dataset(dataset.clone());
        // Only what was there before the vault ledger was read: a later entry may cite a later vault entry.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let all = match news {
            Some(marked) if marked.entries.len() == count => marked,
            _ => self.marked_entries(&ledger, 0).await?.first(count),
        };
        let fresh = self.fold_dataset_of(dataset, vault, exposures, all).await?;
        if !is_fork(fresh.state.stop()) {
            return Ok(fresh);
        }
        let single = Marked::unmarked(self.single_entries(&ledger, 0).await?).first(count);
        self.fold_dataset_of(dataset, vault, exposures, single).await
    }

    async fn fold_dataset_of(
        &self,
        dataset: &DatasetId,
        vault: &Arc<VaultState>,
        exposures: &Arc<Exposures>,
        marked: Marked,
    ) -> Result<Known<DatasetState>, StateError> {
        let (id, vault, exposures) = (dataset.clone(), Arc::clone(vault), Arc::clone(exposures));
        let fold = move || match DatasetState::fold(&vault, &exposures, &id, &marked.entries) {
            Ok(state) => Ok(Known::new(state, &marked)),
            Err(source) => Err(StateError::Creation { dataset: id, source }),
        };
        self.compute(fold).await
    }

    /// An exposure ledger's state, and that as if `next` were appended, under the vault's state.
    pub(super) async fn exposure_with(
        &self,
        recipient: Digest,
        next: &Bytes,
    ) -> Result<(Arc<VaultState>, ExposureState, ExposureState), StateError> {
        let mut raw = self.read_exposures(&BTreeSet::from([recipient]), Some(next)).await?;
        let vault = self.state().await?;
        let (under, next) = (Arc::clone(&vault), next.clone());
        let entries = raw.entries.remove(&recipient).unwrap_or_default();
        let fold = move || {
            let before = ExposureState::fold(&under, &raw.creators, recipient, &entries);
            let mut after = before.clone();
            after.extend(&under, &raw.creators, &[next]);
            Ok((before, after))
        };
        let (before, after) = self.compute(fold).await?;
        Ok((vault, before, after))
    }

    /// Reads exposure ledgers, and who created the datasets that they name.
    async fn read_exposures(&self, cited: &BTreeSet<Digest>, next: Option<&Bytes>) -> Result<RawExposures, StateError> {
        let mut raw = RawExposures::default();
        for recipient in cited {
            let entries = self.entries(&LedgerId::Exposure(*recipient), 0).await?;
            let datasets: BTreeSet<DatasetId> =
                entries.iter().chain(next).filter_map(|entry| reserves_for(entry)).collect();
            for dataset in datasets {
                let first = self.entry(&LedgerId::Dataset(dataset.clone()), 0).await?;
                raw.creators.extend(first.and_then(|first| creator_of(&first)).map(|creator| (dataset, creator)));
            }
            raw.entries.insert(*recipient, entries);
        }
        Ok(raw)
    }

    /// Folds off the runtime's threads: a cold fold checks thousands of signatures.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let stopped = |_| Err(StoreError::Stopped { path: self.store.location() }.into());
        tokio::task::spawn_blocking(work).await.unwrap_or_else(stopped)
    }
}

impl<T> Known<T> {
    fn new(state: T, marked: &Marked) -> Self {
        let Marked { entries, mark } = marked;
        let (count, bytes) = (entries.len() as u64, stored(entries));
        let mark = mark.clone().filter(|mark| mark.ends(count));
        Self { state: Arc::new(state), entries: count, bytes, last: last(entries), mark }
    }

    /// The state after entries that were read from the last known one on.
    fn grown(&self, state: T, marked: &Marked) -> Self {
        let Marked { entries, mark } = marked;
        let count = self.entries - 1 + entries.len() as u64;
        let bytes = self.bytes.saturating_add(stored(entries.get(1..).unwrap_or_default()));
        let mark = mark.clone().filter(|mark| mark.ends(count));
        Self { state: Arc::new(state), entries: count, bytes, last: last(entries), mark }
    }

    /// Whether entries, read from the last known one on, go on where this ends.
    fn is_continued_by(&self, entries: &[Bytes]) -> bool {
        entries.first().is_some_and(|first| digest(first) == self.last)
    }
}

impl Basis {
    fn of(vault: &VaultState, raw: &RawExposures) -> Self {
        Self {
            vault: vault.head(),
            recoveries: vault.recovered().len(),
            exposures: raw
                .entries
                .iter()
                .filter(|(recipient, _)| !raw.beside.contains(*recipient))
                .map(|(recipient, entries)| (*recipient, entries.len()))
                .collect(),
        }
    }

    /// Whether judgements passed on this basis would be the same today: the vault ledger only grew, and neither a recovery nor an entry of a
    /// cited exposure ledger came.
    fn still_holds(&self, vault: &VaultState, today: &Self) -> bool {
        self.vault.is_some_and(|head| vault.entry_hash(head.seq) == Some(head.hash))
            && self.recoveries == today.recoveries
            && self.exposures.iter().all(|(recipient, entries)| today.exposures.get(recipient) == Some(entries))
    }
}

impl Folds {
    fn dataset(&self, id: &DatasetId) -> Option<(Known<DatasetState>, Basis)> {
        let mut datasets = lock(&self.datasets);
        datasets.uses += 1;
        let used = datasets.uses;
        let found = datasets.kept.get_mut(id)?;
        found.used = used;
        Some((found.known.clone(), found.basis.clone()))
    }

    fn keep(&self, id: DatasetId, known: Known<DatasetState>, basis: Basis) {
        lock(&self.datasets).keep(id, known, basis, MAX_WEIGHT);
    }
}

impl Datasets {
    fn keep(&mut self, id: DatasetId, known: Known<DatasetState>, basis: Basis, max: u64) {
        self.uses += 1;
        self.forget(&id);
        let weight = weight(&known);
        // One that is heavier than all may be is kept alone.
        while self.weight.saturating_add(weight) > max {
            let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| id.clone()) else {
                break;
            };
            self.forget(&oldest);
        }
        self.weight += weight;
        self.kept.insert(id, Kept { known, basis, used: self.uses });
    }

    fn forget(&mut self, id: &DatasetId) {
        if let Some(old) = self.kept.remove(id) {
            self.weight = self.weight.saturating_sub(weight(&old.known));
        }
    }
}

fn weight(known: &Known<DatasetState>) -> u64 {
    known.bytes.saturating_add(A_STATE)
}

fn stored(entries: &[Bytes]) -> u64 {
    entries.iter().map(|entry| entry.len() as u64).sum()
}

impl RawExposures {
    fn fold(&self, vault: &VaultState) -> Exposures {
        let mut folded = Exposures::default();
        for (recipient, entries) in &self.entries {
            folded.insert(ExposureState::fold(vault, &self.creators, *recipient, entries));
        }
        folded
    }
}

/// Goes on from a kept state with entries from its last one on. `None` if it has to be folded anew.
fn grow_dataset(
    known: Known<DatasetState>,
    same_basis: bool,
    vault: &VaultState,
    exposures: &Exposures,
    marked: &Marked,
) -> Option<Known<DatasetState>> {
    if marked.entries.len() == 1 && (same_basis || known.state.stop().is_none()) {
        return Some(Known { mark: marked.mark.clone(), ..known });
    }
    let mut state = DatasetState::clone(&known.state);
    state.extend(vault, exposures, marked.entries.get(1..).unwrap_or_default());
    // Only a fold of everything is believed when it stops: more of the vault ledger may have settled it.
    state.stop().is_none().then(|| known.grown(state, marked))
}

const fn is_fork(stop: Option<&Stop>) -> bool {
    matches!(stop, Some(Stop::Fork { .. }))
}

/// A panic elsewhere leaves the cache as it was: every value in it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last(entries: &[Bytes]) -> Digest {
    digest(entries.last().map_or(&[], |entry| entry))
}

fn said(stored: &[u8]) -> Option<Body> {
    match Entry::parse(stored).ok()?.said {
        Said::Known(statement) => Some(statement.body),
        Said::Unknown { .. } => None,
    }
}

/// The exposure ledgers that the gate looks at when `next` is appended: those that records of decisions name, its own for a grant, and
/// for new facts those of every grant that may stand, which is decided again.
fn asked_exposures(next: &Bytes, entries: &[Bytes], kept: Option<&DatasetState>) -> BTreeSet<Digest> {
    match said(next) {
        Some(Body::Granted(_)) => traced_by(next).into_iter().collect(),
        Some(Body::FactsAmended(_)) => {
            let counted = kept.map(counted_in).unwrap_or_default();
            entries.iter().filter_map(|stored| traced_by(stored)).chain(counted).collect()
        }
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;
    use std::convert::Infallible;

    use vault_core::card::Card;
    use vault_core::hazmat::sign::SigningKey;
    use vault_core::ids::VaultNonce;
    use vault_core::json::B64;
    use vault_core::ledger::statement::{
        Algorithms, ApprovalCounts, DatasetCreated, Facts, FirstEpoch, Genesis, GenesisMember, Info, Jurisdiction,
        OrganisationKind, Role, RoleSet, Seal, Statement, Text,
    };
    use vault_core::seal::PrivateKey;
    use vault_core::secret::Secret32;
    use vault_core::suite::Suite;

    /// Dataset states that differ in name only.
    fn states(names: &[&str]) -> Vec<Known<DatasetState>> {
        let signing = SigningKey::from_seed(&Secret32::take(&mut [1; 32]));
        let kem = PrivateKey::from_secret(Suite::X25519, Secret32::take(&mut [2; 32])).public_key();
        let card = Card::make(Suite::X25519, "a", 1, &signing, &kem).unwrap();
        let info = Info {
            facts: Facts::default(),
            jurisdiction: Jurisdiction::parse("CN").unwrap(),
            kind: OrganisationKind::Hospital,
            organisation: Text::parse("a hospital").unwrap(),
        };
        let author: MemberId = "a".parse().unwrap();
        let sign = |ledger: LedgerId, seq, prev, vault, vault_head, body| {
            let author = author.clone();
            let statement = Statement { author, body, card: *card.id(), ledger, prev, seq, time: 1, vault, vault_head };
            Bytes::from(statement.sign(|pae| Ok::<_, Infallible>(signing.sign(pae))).unwrap())
        };
        let genesis = Genesis {
            algorithms: Algorithms::of(Suite::X25519),
            approvals: ApprovalCounts { card_added: 0, dataset_deleted: 0, granted: [0; 5], recovered: 0, released: 0 },
            head_age: 3600,
            members: vec![GenesisMember { cards: vec![B64(card.stored().to_vec())], info, member: author.clone() }],
            nonce: VaultNonce([0; 16]),
            recovery: BTreeSet::new().into_iter().collect(),
            suite: Suite::X25519,
        };
        let genesis = sign(LedgerId::Vault, 0, None, None, None, Body::Genesis(genesis));
        let first = vault_core::ledger::fold::entry_hash(None, &genesis);
        let id = vault_core::ids::VaultId(first.0);
        let role = RoleSet { dataset: None, member: author.clone(), on: true, role: Role::Creator };
        let role = sign(LedgerId::Vault, 1, Some(first), Some(id), None, Body::RoleSet(role));
        let vault = VaultState::fold(&id, &[genesis, role]).unwrap();
        let head = vault.head();
        names
            .iter()
            .map(|name| {
                let name: DatasetId = name.parse().unwrap();
                let seal = Seal { card: *card.id(), member: author.clone(), sha256: Digest([3; 32]) };
                let created = DatasetCreated {
                    epoch: FirstEpoch { public: B64(kem.as_bytes().to_vec()), seals: [seal].into_iter().collect() },
                    facts: Facts::default(),
                    level: 1,
                    recovery: BTreeSet::new().into_iter().collect(),
                    title: Text::parse("x").unwrap(),
                };
                let ledger = LedgerId::Dataset(name.clone());
                let entry = sign(ledger, 0, Some(first), Some(id), head, Body::DatasetCreated(created));
                let state =
                    DatasetState::fold(&vault, &Exposures::default(), &name, std::slice::from_ref(&entry)).unwrap();
                Known::new(state, &Marked::unmarked(vec![entry]))
            })
            .collect()
    }

    #[test]
    fn states_are_kept_up_to_a_weight_and_the_one_not_used_longest_goes() {
        let (names, mut datasets) = (["a", "b", "c", "d"], Datasets::default());
        let basis = Basis { vault: None, recoveries: 0, exposures: BTreeMap::new() };
        let one = weight(&states(&["a"]).remove(0));
        assert!(one > A_STATE + 500, "an entry's bytes are weighed");
        let max = 3 * one;
        for (name, state) in names.iter().zip(states(&names)) {
            datasets.keep(name.parse().unwrap(), state, basis.clone(), max);
            if *name == "c" {
                datasets.uses += 1;
                datasets.kept.get_mut(&"a".parse().unwrap()).unwrap().used = datasets.uses;
            }
        }
        let mut kept: Vec<_> = datasets.kept.keys().map(DatasetId::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["a", "c", "d"]);
        assert_eq!(datasets.weight, max);
        // The same again weighs the same; one heavier than all is kept alone.
        let again = states(&["d"]).remove(0);
        datasets.keep("d".parse().unwrap(), again.clone(), basis.clone(), max);
        assert_eq!((datasets.weight, datasets.kept.len()), (max, 3));
        // One entry that is long weighs as much as many.
        let long = Marked::unmarked(vec![Bytes::new(), Bytes::from(vec![0; 1 << 20])]);
        let heavy = again.grown(DatasetState::clone(&again.state), &long);
        datasets.keep("e".parse().unwrap(), heavy, basis, max);
        assert_eq!((datasets.weight, datasets.kept.len()), (one + (1 << 20), 1));
    }
}

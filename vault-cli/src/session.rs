//! A vault as one command sees it: ledgers read, checked against what was seen before, folded; statements signed and appended.
//!
//! The order of reading matters (spec 4.5): a dataset's ledger first, then the vault's, so that an honest entry never cites a vault
//! entry that was not read.

mod exposure;
mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use vault_core::card::Card;
use vault_core::context::Scope;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, LedgerId, MemberId, VaultId};
use vault_core::ledger::dataset::{CreationError, DatasetState};
use vault_core::ledger::exposure::{Creators, Exposures, cited_by, cited_of};
use vault_core::ledger::fold::{At, Judged, Stop, Verdict, entry_hash};
use vault_core::ledger::pin::{self, Pin};
use vault_core::ledger::seen::SeenLedger;
use vault_core::ledger::statement::{Body, SignError, Statement, VaultHead};
use vault_core::ledger::vault::VaultState;
use vault_keys::custodian::Custodian;
use vault_policy::Lang;

use crate::client::{Append, Client};
use crate::clock;
use crate::error::{Failure, Kind, Outcome, zh};
use crate::settings::Globals;
use crate::state::{Known, StateFolder};

/// How often an append that lost its place is tried again before the user is told.
pub const ATTEMPTS: usize = 32;

/// An open vault.
pub struct Session {
    /// The store.
    pub client: Arc<dyn Client>,
    /// The vault ledger's state.
    pub vault: VaultState,
    /// The reader's language, for what is said on the way.
    pub lang: Lang,
    state: StateFolder,
    known: Known,
    /// Whether reads remember what they saw.
    remembers: bool,
    /// Datasets that [`Session::datasets`] left out because they are not what was seen or signed.
    left_out: usize,
    /// The exposure ledgers that were read, as far as they went then.
    exposed: BTreeMap<Digest, Exposed>,
    /// Each dataset's creator, of those for which somebody reserved: a first entry never becomes another.
    creators: Creators,
    /// The newest list of what an officer has seen that was read, by its hash.
    seen: Option<(Digest, Arc<Vec<SeenLedger>>)>,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("vault", self.vault.id()).finish_non_exhaustive()
    }
}

/// Somebody who can sign: a member, its card and whatever holds its keys.
pub struct Signer {
    /// The member.
    pub member: MemberId,
    /// The card in use.
    pub card: CardId,
    /// The keys.
    pub custodian: Arc<dyn Custodian>,
}

impl core::fmt::Debug for Signer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Signer({})", self.member)
    }
}

/// An exposure ledger as it was read.
#[derive(Default)]
struct Exposed {
    entries: Vec<Bytes>,
    hashes: Vec<EntryHash>,
    /// The datasets for which somebody reserved.
    named: BTreeSet<DatasetId>,
}

/// A statement that is signed and would count.
struct Prepared {
    stored: Vec<u8>,
    seq: u64,
    hash: EntryHash,
    next: DatasetState,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// It is entry `seq`.
    Yes {
        /// Its number.
        seq: u64,
        /// Its hash.
        hash: EntryHash,
    },
    /// Another entry took its number, or it was decided on an older vault; the state was read again.
    Lost,
}

impl Session {
    /// Opens the vault that the options name.
    ///
    /// # Errors
    /// If there is no vault, it was never joined, it is behind what was seen, or its ledger stops.
    pub async fn open(globals: &Globals) -> Outcome<Self> {
        let session = Self::open_even_if_stopped(globals).await?;
        match session.vault.stop() {
            Some(stop) => Err(stop.clone().into()),
            None => Ok(session),
        }
    }

    /// As [`Session::open`], for verbs that show a vault whose ledger stops.
    ///
    /// # Errors
    /// As [`Session::open`], but for the last.
    pub async fn open_even_if_stopped(globals: &Globals) -> Outcome<Self> {
        let client = crate::client::open(globals.location()?, globals).await?;
        let state = globals.state()?;
        // Nothing is signed for a vault that is not known here, and nobody is asked for a passphrase.
        let claimed = client.claims();
        if let Some(id) = &claimed {
            recognise(&state, client.location(), id)?;
        }
        let entries = client.entries(&LedgerId::Vault, 0).await?;
        let id = vault_id(&entries, client.location())?;
        if let Some(claimed) = claimed.filter(|claimed| *claimed != id) {
            let at = client.location();
            return Err(Failure::integrity(format!("{at} says that it holds vault {claimed}, and shows vault {id}"))
                .or_in_chinese(format!("{at} 称持有保险库 {claimed}，所示却为保险库 {id}")));
        }
        let known = recognise(&state, client.location(), &id)?;
        let vault = fold_vault(client.as_ref(), &id, &entries).await?;
        let mut session = Self::of(client, state, known, vault);
        session.lang = globals.lang();
        session.check_pin(&LedgerId::Vault)?;
        session.remember_vault()?;
        Ok(session)
    }

    fn of(client: Arc<dyn Client>, state: StateFolder, known: Known, vault: VaultState) -> Self {
        Self {
            client,
            vault,
            lang: Lang::En,
            state,
            known,
            remembers: true,
            left_out: 0,
            exposed: BTreeMap::new(),
            creators: Creators::new(),
            seen: None,
        }
    }

    /// A session on a vault that was just made or joined; everything is remembered from here on. It is the state that the caller has
    /// looked at: a store may answer another one if it is asked again.
    ///
    /// # Errors
    /// If it is behind what was seen or the state can't be written.
    pub fn begin(client: Arc<dyn Client>, state: StateFolder, vault: VaultState, lang: Lang) -> Outcome<Self> {
        let known = state.known(vault.id())?.unwrap_or_default();
        let mut session = Self::of(client, state, known, vault);
        session.lang = lang;
        session.check_pin(&LedgerId::Vault)?;
        session.remember_vault()?;
        Ok(session)
    }

    /// The user's state folder for this vault.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        self.state.vault(self.vault.id())
    }

    /// Reads the vault ledger again.
    ///
    /// # Errors
    /// If it can't be read, or does not continue what was read before.
    pub async fn refresh(&mut self) -> Outcome<()> {
        let from = self.vault.judged().len() as u64;
        let entries = self.client.entries(&LedgerId::Vault, from).await?;
        if !entries.is_empty() {
            self.vault.extend(&entries);
            self.remember_vault()?;
        }
        match self.vault.stop() {
            Some(stop) => Err(stop.clone().into()),
            None => Ok(()),
        }
    }

    /// Reads the vault ledger again. True if it has gone on since an entry.
    ///
    /// # Errors
    /// As [`Session::refresh`].
    pub async fn has_gone_on(&mut self, since: Option<VaultHead>) -> Outcome<bool> {
        self.refresh().await?;
        Ok(self.vault.head() != since)
    }

    /// A dataset's state, freshly read.
    ///
    /// # Errors
    /// If there is no such dataset, it was deleted, it is behind what was seen, or its ledger stops.
    pub async fn dataset(&mut self, id: &DatasetId) -> Outcome<DatasetState> {
        let state = self.dataset_even_if_deleted(id).await?;
        match deleted(&state) {
            Some(failure) => Err(failure),
            None => Ok(state),
        }
    }

    /// As [`Session::dataset`], for verbs that show a dataset which was deleted, or say what can still be said of it.
    ///
    /// # Errors
    /// As [`Session::dataset`], but for a deleted one.
    pub async fn dataset_even_if_deleted(&mut self, id: &DatasetId) -> Outcome<DatasetState> {
        let state = self.dataset_even_if_stopped(id).await?;
        match state.stop() {
            Some(stop) => Err(stop.clone().into()),
            None => Ok(state),
        }
    }

    /// As [`Session::dataset`], for verbs that show a dataset whose ledger stops.
    ///
    /// # Errors
    /// As [`Session::dataset`], but for the last.
    pub async fn dataset_even_if_stopped(&mut self, id: &DatasetId) -> Outcome<DatasetState> {
        let found = self.listed(id).await?;
        found.ok_or_else(|| {
            Failure::not_found(format!("there is no dataset {id} in {}", self.client.location()))
                .or_in_chinese(format!("{} 中没有数据集 {id}", self.client.location()))
                .hints("`seqvault dataset list` shows those there are", "`seqvault dataset list` 列出现有的数据集")
        })
    }

    /// As [`Session::dataset_even_if_stopped`], for an id of [`Session::dataset_ids`]: `None` if nothing is there but a folder, which a
    /// creation that died before its first entry leaves.
    ///
    /// # Errors
    /// If it is behind what was seen, or can't be read.
    pub async fn listed(&mut self, id: &DatasetId) -> Outcome<Option<DatasetState>> {
        let ledger = LedgerId::Dataset(id.clone());
        let entries = self.client.entries(&ledger, 0).await?;
        if entries.is_empty() {
            if self.known.pins.contains_key(&ledger.to_string()) {
                return Err(Failure::integrity(format!("dataset {id} was seen before and is gone"))
                    .or_in_chinese(format!("数据集 {id} 曾见过，现已不在")));
            }
            return Ok(None);
        }
        let cited: BTreeSet<Digest> = entries.iter().flat_map(|stored| cited_by(stored)).collect();
        let exposures = self.exposures_of(&cited).await?;
        // Behind exposure ledgers the vault ledger was read just now.
        if cited.is_empty() {
            self.refresh().await?;
        }
        let mut state = DatasetState::fold(&self.vault, &exposures, id, &entries).map_err(|e| creation(id, e))?;
        if matches!(state.stop(), Some(Stop::Fork { .. })) {
            let entries = self.client.single_entries(&ledger, 0).await?;
            state = DatasetState::fold(&self.vault, &exposures, id, &entries).map_err(|e| creation(id, e))?;
        }
        let judged = state.judged();
        self.check(&ledger, |seq| usize::try_from(seq).ok().and_then(|i| judged.get(i)).map(|j| j.hash))?;
        if let Some(head) = state.head() {
            self.remember(&ledger, head.seq, head.hash)?;
        }
        Ok(Some(state))
    }

    /// Reads a dataset again because an object of it was not there. True if its ledger has gone on: then a rotation or a
    /// re-encryption may have deleted the object by right, and the new state says where to look instead.
    ///
    /// # Errors
    /// As [`Session::dataset`].
    pub async fn has_moved(&mut self, dataset: &mut DatasetState) -> Outcome<bool> {
        let fresh = self.dataset(&dataset.id().clone()).await?;
        let moved = fresh.head() != dataset.head();
        *dataset = fresh;
        Ok(moved)
    }

    /// All ledgers: those that the store lists, and those that were seen before. A store that hides a ledger could else make its end forgotten.
    ///
    /// # Errors
    /// If the store can't be listed.
    pub async fn ledger_ids(&self) -> Outcome<BTreeSet<LedgerId>> {
        let listed = self.client.ledgers().await?;
        let seen = self.known.pins.keys().filter_map(|name| name.parse().ok());
        Ok(listed.into_iter().chain(seen).collect())
    }

    /// The ids of all datasets, as [`Session::ledger_ids`].
    ///
    /// # Errors
    /// If the store can't be listed.
    pub async fn dataset_ids(&self) -> Outcome<Vec<DatasetId>> {
        let ledgers = self.ledger_ids().await?;
        Ok(ledgers
            .into_iter()
            .filter_map(|ledger| if let LedgerId::Dataset(id) = ledger { Some(id) } else { None })
            .collect())
    }

    /// The states of all datasets that can be read; of others it is said why not, because rubbish in one folder must not
    /// stop what concerns the rest.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn datasets(&mut self) -> Outcome<Vec<DatasetState>> {
        let mut states = Vec::new();
        for id in self.dataset_ids().await? {
            match self.listed(&id).await {
                Ok(Some(state)) => match state.stop() {
                    Some(stop) => {
                        let failure = Failure::from(stop.clone());
                        self.leave_out(&id, &failure);
                    }
                    None => states.push(state),
                },
                Ok(None) => {}
                Err(failure) if failure.kind == Kind::Integrity => {
                    // What nobody ever saw may be rubbish, and takes nothing away from what was asked for.
                    let was_seen = self.was_seen(&LedgerId::Dataset(id.clone())).await?;
                    self.left_out += usize::from(was_seen);
                    self.leave_out(&id, &failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(states)
    }

    fn leave_out(&self, id: &DatasetId, failure: &Failure) {
        let why = failure.say(self.lang);
        crate::output::warn(&match self.lang {
            Lang::En => format!("seqvault: dataset {id} is left out: {why}"),
            Lang::Zh => format!("seqvault：已略过数据集 {id}：{why}"),
        });
    }

    /// Whether [`Session::datasets`] had all there are, as far as this machine knows. A fork is no reason: everybody sees it.
    ///
    /// # Errors
    /// If some were left out: what was listed or done is not all.
    pub fn is_complete(&self) -> Outcome<()> {
        if self.left_out == 0 {
            return Ok(());
        }
        let said = "some datasets are not as they were seen or signed, and were left out; all else is done";
        Err(Failure::integrity(said)
            .or_in_chinese("部分数据集与所见或所签不符，已略过；其余均已完成")
            .hints("`seqvault verify` names them: ask an officer", "`seqvault verify` 列出这些数据集：请询问管理员"))
    }

    /// Whether a ledger was there once, as far as this machine knows: it was seen here, or stands in the newest `seen`. Of what was not, nobody
    /// can tell damage from rubbish that somebody with the store's keys has left.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn was_seen(&self, ledger: &LedgerId) -> Outcome<bool> {
        if self.has_seen(ledger) {
            return Ok(true);
        }
        match self.seen_ledgers().await {
            Ok(seen) => Ok(seen.iter().any(|item| item.ledger == *ledger)),
            // Without the list it may have been.
            Err(failure) if matches!(failure.kind, Kind::Integrity | Kind::NotFound) => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// The member whose card the identity is.
    ///
    /// # Errors
    /// If the card is nobody's, or no longer current.
    pub fn member_of(&self, card: &Card) -> Outcome<MemberId> {
        let record = self.vault.card(card.id()).ok_or_else(|| {
            Failure::refused(format!("this identity ({}) is not enrolled in the vault", card.fingerprint()))
                .or_in_chinese(format!("该身份（{}）未在保险库中登记", card.fingerprint()))
                .hints(
                    "an officer enrols cards with `seqvault member add`",
                    "由管理员以 `seqvault member add` 登记卡片",
                )
        })?;
        if self.vault.is_current_card(card.id(), &record.member, self.vault.last_seq()) {
            Ok(record.member.clone())
        } else {
            Err(Failure::refused(format!("this identity's card was retired, or its member {} was", record.member))
                .or_in_chinese(format!("该身份的卡片或其成员 {} 已停用", record.member)))
        }
    }

    /// Unlocks the identity that the options name, once it is known to be a member's.
    ///
    /// # Errors
    /// If the identity is not enrolled, or does not unlock.
    pub fn signer(&self, globals: &Globals) -> Outcome<Signer> {
        let card = globals.card()?;
        let member = self.member_of(&card)?;
        let custodian = globals.unlock()?;
        Ok(Signer { member, card: *card.id(), custodian })
    }

    /// Now, at the newest vault entry.
    #[must_use]
    pub fn at(&self) -> At {
        At { time: clock::now(), vault: self.vault.last_seq() }
    }

    /// What contexts of a dataset bind.
    #[must_use]
    pub fn scope(&self, dataset: &DatasetId) -> Scope {
        Scope { suite: self.vault.suite(), vault: Some(*self.vault.id()), dataset: Some(dataset.clone()) }
    }

    /// Appends a statement to the vault ledger; a lost place is tried again, after its right to be said was checked anew.
    ///
    /// # Errors
    /// If the fold would not take it, or the store fails.
    pub async fn append_vault(&mut self, signer: &Signer, body: &Body) -> Outcome<u64> {
        for _ in 0..ATTEMPTS {
            let (seq, stored, next) = self.prepare_vault(signer, body)?;
            accepted(next.judged(), seq, body)?;
            match self.client.append(&LedgerId::Vault, seq, Bytes::from(stored)).await? {
                Append::Done => {
                    self.vault = next;
                    self.remember_vault()?;
                    return Ok(seq);
                }
                Append::Taken => {
                    self.client.turn(&LedgerId::Vault).await;
                    self.refresh().await?;
                }
            }
        }
        Err(outrun("the vault ledger", "保险库账本"))
    }

    /// Signs a statement for the vault ledger and folds it in; the fold's verdict is the last of the state's.
    fn prepare_vault(&self, signer: &Signer, body: &Body) -> Outcome<(u64, Vec<u8>, VaultState)> {
        let head = self.vault.head();
        let seq = head.map_or(0, |h| h.seq + 1);
        let statement = Statement {
            author: signer.member.clone(),
            body: body.clone(),
            card: signer.card,
            ledger: LedgerId::Vault,
            prev: head.map(|h| h.hash),
            seq,
            time: clock::now(),
            vault: Some(*self.vault.id()),
            vault_head: None,
        };
        let stored = sign(signer, &statement)?;
        let mut next = self.vault.clone();
        next.extend(&[&stored]);
        Ok((seq, stored, next))
    }

    /// Whether the fold would take a statement in the vault ledger now, or once it is approved; nothing is written.
    ///
    /// # Errors
    /// If it would not, with the reason.
    pub fn would_accept_in_vault(&self, signer: &Signer, body: &Body) -> Outcome<()> {
        let (seq, _, next) = self.prepare_vault(signer, body)?;
        // The fold asks for approvals last: all the rest is in order then.
        match next.judged().last().map(|judged| judged.verdict) {
            Some(Verdict::Void("approvals are missing" | "too few approvals")) => Ok(()),
            _ => accepted(next.judged(), seq, body),
        }
    }

    /// Appends a statement to a dataset's ledger, once. After [`Landed::Lost`] the state is fresh: decide again.
    ///
    /// # Errors
    /// If the fold would not take it, or the store fails.
    pub async fn append(&mut self, signer: &Signer, dataset: &mut DatasetState, body: Body) -> Outcome<Landed> {
        let landed = self.append_only(signer, dataset, body).await?;
        if landed == Landed::Lost {
            *dataset = self.dataset_even_if_deleted(&dataset.id().clone()).await?;
        }
        Ok(landed)
    }

    /// As [`Session::append`], but after [`Landed::Lost`] the state is as it was: for callers who have something to take back first.
    ///
    /// # Errors
    /// If the fold would not take it: then it surely did not land. If the store fails: then it may have.
    pub async fn append_only(&mut self, signer: &Signer, dataset: &mut DatasetState, body: Body) -> Outcome<Landed> {
        let prepared = self.prepare(signer, dataset, body).await?;
        self.append_prepared(dataset, prepared).await
    }

    /// As [`Session::append_only`], of what was decided at a vault entry: it is lost if the vault ledger has gone on since. What the
    /// statement cites is what it was decided on, or it is decided again.
    ///
    /// # Errors
    /// As [`Session::append_only`].
    pub async fn append_decided(
        &mut self,
        signer: &Signer,
        dataset: &mut DatasetState,
        body: Body,
        decided_at: Option<VaultHead>,
    ) -> Outcome<Landed> {
        let prepared = self.prepare(signer, dataset, body).await?;
        if self.vault.head() != decided_at {
            return Ok(Landed::Lost);
        }
        match self.append_prepared(dataset, prepared).await {
            // The rules in force were asked in a newer vault.
            Err(failure) if failure.kind == Kind::Refused && self.has_gone_on(decided_at).await? => Ok(Landed::Lost),
            landed => landed,
        }
    }

    async fn append_prepared(&mut self, dataset: &mut DatasetState, prepared: Prepared) -> Outcome<Landed> {
        let Prepared { stored, seq, hash, next } = prepared;
        match self.client.append(&dataset.ledger(), seq, Bytes::from(stored)).await? {
            Append::Done => {
                *dataset = next;
                self.remember(&dataset.ledger(), seq, hash)?;
                Ok(Landed::Yes { seq, hash })
            }
            Append::Taken => {
                self.client.turn(&dataset.ledger()).await;
                Ok(Landed::Lost)
            }
        }
    }

    /// Signs a statement and folds it in, to see that it would count.
    async fn prepare(&mut self, signer: &Signer, dataset: &DatasetState, body: Body) -> Outcome<Prepared> {
        if let Some(failure) = deleted(dataset).filter(|_| !DatasetState::stays_open_to(&body)) {
            return Err(failure);
        }
        let exposures = self.exposures_of(&cited_of(&body).into_iter().collect()).await?;
        let head = dataset.head();
        let seq = head.map_or(0, |h| h.seq + 1);
        let statement = self.statement(signer, dataset.ledger(), seq, head.map(|h| h.hash), body);
        let stored = sign(signer, &statement)?;
        let mut next = dataset.clone();
        next.extend(&self.vault, &exposures, &[&stored]);
        accepted(next.judged(), seq, &statement.body)?;
        let hash = entry_hash(head.map(|h| h.hash), &stored);
        Ok(Prepared { stored, seq, hash, next })
    }

    /// Appends a statement whose body does not depend on the state, however often its place is taken.
    ///
    /// # Errors
    /// As [`Session::append`], or if the ledger is too busy.
    pub async fn append_always(
        &mut self,
        signer: &Signer,
        dataset: &mut DatasetState,
        body: &Body,
    ) -> Outcome<(u64, EntryHash)> {
        for _ in 0..ATTEMPTS {
            if let Landed::Yes { seq, hash } = self.append(signer, dataset, body.clone()).await? {
                return Ok((seq, hash));
            }
        }
        Err(busy(dataset.id()))
    }

    /// Whether the fold would take a statement now, without writing anything.
    ///
    /// # Errors
    /// If it would not, with the reason.
    pub async fn would_accept(&mut self, signer: &Signer, dataset: &DatasetState, body: Body) -> Outcome<()> {
        self.prepare(signer, dataset, body).await.map(drop)
    }

    /// Creates a dataset with its first statement; `None` if the id is taken.
    ///
    /// # Errors
    /// If the fold would not take it, or the store fails.
    pub async fn create_dataset(
        &mut self,
        signer: &Signer,
        id: &DatasetId,
        body: Body,
    ) -> Outcome<Option<DatasetState>> {
        let ledger = LedgerId::Dataset(id.clone());
        let prev = EntryHash(self.vault.id().0);
        let statement = self.statement(signer, ledger.clone(), 0, Some(prev), body);
        let stored = sign(signer, &statement)?;
        let state = DatasetState::fold(&self.vault, &Exposures::default(), id, &[&stored]).map_err(|e| match e {
            CreationError::Invalid(why) => refused(&statement.body, why),
            other => creation(id, other),
        })?;
        let hash = entry_hash(Some(prev), &stored);
        match self.client.append(&ledger, 0, Bytes::from(stored)).await? {
            Append::Done => {
                self.remember(&ledger, 0, hash)?;
                Ok(Some(state))
            }
            Append::Taken => Ok(None),
        }
    }

    fn statement(&self, signer: &Signer, ledger: LedgerId, seq: u64, prev: Option<EntryHash>, body: Body) -> Statement {
        Statement {
            author: signer.member.clone(),
            card: signer.card,
            ledger,
            prev,
            seq,
            time: decided_at(&body).unwrap_or_else(clock::now),
            body,
            vault: Some(*self.vault.id()),
            vault_head: self.vault.head(),
        }
    }

    /// Refuses to seal under a view that is too old, in the future, or behind what an officer has seen (spec 4.6).
    ///
    /// # Errors
    /// If the vault's head is older than the genesis allows, or a ledger is behind the last `seen`.
    pub async fn check_fresh(&mut self, dataset: &DatasetState) -> Outcome<()> {
        let (now, head) = (clock::now(), self.vault.time());
        if head > now + clock::SKEW {
            return Err(Failure::refused(format!(
                "the newest vault entry is from {}, which is later than this machine's clock ({})",
                crate::output::time(head),
                crate::output::time(now)
            ))
            .or_in_chinese(format!(
                "保险库最新条目的时间为 {}，晚于本机时钟（{}）",
                crate::output::time(head),
                crate::output::time(now)
            ))
            .hints("set this machine's clock", "请校准本机时钟"));
        }
        if now.saturating_sub(head) > self.vault.head_age() {
            return Err(Failure::refused(format!(
                "the newest vault entry is from {}, older than the {} days that this vault allows for sealing",
                crate::output::time(head),
                self.vault.head_age() / 86_400
            ))
            .or_in_chinese(format!(
                "保险库最新条目的时间为 {}，超过本保险库封装所允许的 {} 天",
                crate::output::time(head),
                self.vault.head_age() / 86_400
            ))
            .hints(
                "this may be an old copy. An officer renews the vault by running `seqvault doctor --repair`; also check this machine's clock",
                "这可能是旧的副本。由管理员运行 `seqvault doctor --repair` 更新；并请检查本机时钟",
            ));
        }
        self.check_seen(dataset).await
    }

    /// The ledgers that the newest `seen` lists; none if there is no such entry.
    ///
    /// # Errors
    /// If the list is missing, or not the one that was signed.
    pub async fn seen_ledgers(&self) -> Outcome<Vec<SeenLedger>> {
        let Some(seen) = self.vault.seen() else { return Ok(Vec::new()) };
        let list = crate::command::doctor::seen_list(self.client.as_ref(), &seen.list).await?;
        Ok(list.ledgers)
    }

    /// Compares a ledger with what the newest `seen` lists of it, by the rule for pins: an officer's later cut explains a difference.
    ///
    /// # Errors
    /// If it is behind, or another.
    pub fn continues(&self, item: &SeenLedger, hash_at: impl Fn(u64) -> Option<EntryHash>) -> Outcome<()> {
        let Some(seen) = self.vault.seen() else { return Ok(()) };
        let pin = Pin { hash: item.hash, seq: item.seq, vault_seq: seen.seq };
        pin::check(&item.ledger, &pin, hash_at, &self.vault).map_err(|_| behind(&item.ledger, item.seq))
    }

    /// As [`Session::seen_ledgers`], read once for each list.
    async fn seen_once(&mut self) -> Outcome<Arc<Vec<SeenLedger>>> {
        let Some(list) = self.vault.seen().map(|seen| seen.list) else { return Ok(Arc::default()) };
        if let Some((_, ledgers)) = self.seen.as_ref().filter(|(hash, _)| *hash == list) {
            return Ok(Arc::clone(ledgers));
        }
        let ledgers = Arc::new(self.seen_ledgers().await?);
        self.seen = Some((list, Arc::clone(&ledgers)));
        Ok(ledgers)
    }

    /// Compares the very states that a seal would rest on with what an officer has seen: the vault's, the dataset's, and those of the exposure
    /// ledgers that were read for it.
    async fn check_seen(&mut self, dataset: &DatasetState) -> Outcome<()> {
        let of_dataset = dataset.ledger();
        let of_judged =
            |seq: u64| usize::try_from(seq).ok().and_then(|i| dataset.judged().get(i)).map(|judged| judged.hash);
        for item in self.seen_once().await?.iter() {
            match &item.ledger {
                LedgerId::Vault => self.continues(item, |seq| self.vault.entry_hash(seq))?,
                LedgerId::Dataset(_) if item.ledger == of_dataset => self.continues(item, of_judged)?,
                LedgerId::Dataset(_) | LedgerId::Exposure(_) => {}
            }
        }
        self.check_exposures_seen().await
    }

    fn check_pin(&self, ledger: &LedgerId) -> Outcome<()> {
        self.check(ledger, |seq| self.vault.entry_hash(seq))
    }

    fn check(&self, ledger: &LedgerId, hash_at: impl Fn(u64) -> Option<EntryHash>) -> Outcome<()> {
        match self.known.pins.get(&ledger.to_string()) {
            Some(pin) => pin::check(ledger, pin, hash_at, &self.vault).map_err(Failure::from),
            None => Ok(()),
        }
    }

    /// Whether this session has seen the ledger, or an earlier command on this machine had.
    #[must_use]
    pub fn has_seen(&self, ledger: &LedgerId) -> bool {
        self.known.pins.contains_key(&ledger.to_string())
    }

    fn remember_vault(&mut self) -> Outcome<()> {
        match self.vault.head() {
            Some(head) => self.remember(&LedgerId::Vault, head.seq, head.hash),
            None => Ok(()),
        }
    }

    /// Remembers what was checked. A pin that can't be written is said once and never stops a read.
    fn remember(&mut self, ledger: &LedgerId, seq: u64, hash: EntryHash) -> Outcome<()> {
        let pin = Pin { hash, seq, vault_seq: self.vault.last_seq() };
        // The check has passed, so a ledger that ends before its pin was cut by an officer since.
        let before = self.known.pins.insert(ledger.to_string(), pin);
        let was_cut = before.is_some_and(|before| before.seq > seq);
        if !self.remembers {
            return Ok(());
        }
        let saved =
            self.state.remember(self.vault.id(), self.client.location(), &[(ledger.clone(), pin, was_cut)], false);
        match saved {
            Err(failure) if failure.kind == Kind::Integrity => Err(failure),
            Err(failure) => {
                self.remembers = false;
                let why = failure.say(self.lang);
                crate::output::warn(&match self.lang {
                    Lang::En => format!("seqvault: what was seen can't be remembered: {why}"),
                    Lang::Zh => format!("seqvault：无法记录所见：{why}"),
                });
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// The failure of whoever wants something of a dataset that was deleted; `None` if it was not.
#[must_use]
pub fn deleted(dataset: &DatasetState) -> Option<Failure> {
    let deletion = dataset.deletion()?;
    let (id, by, when) = (dataset.id(), &deletion.author, crate::output::time(deletion.time));
    let why = if deletion.reason.is_empty() { String::new() } else { format!(": {}", deletion.reason) };
    let failure = Failure::refused(format!("dataset {id} was deleted by {by} at {when}{why}"));
    Some(failure.or_in_chinese(format!("数据集 {id} 已由 {by} 于 {when} 删除{why}")).hints(
        format!(
            "its ledger stays: `seqvault log {id}` shows what was done with it, `seqvault dataset show {id}` who had it"
        ),
        format!("其账本保留：`seqvault log {id}` 显示其经过，`seqvault dataset show {id}` 显示曾授权给谁"),
    ))
}

/// The vault id that a ledger claims: the hash of its first entry.
fn vault_id(entries: &[Bytes], location: &str) -> Outcome<VaultId> {
    let first = entries.first().ok_or_else(|| {
        Failure::not_found(format!("{location} has no genesis: the vault was not finished, or is not one"))
            .or_in_chinese(format!("{location} 没有创始条目：保险库未建完，或不是保险库"))
    })?;
    Ok(VaultId(entry_hash(None, first).0))
}

/// Folds the vault ledger. A fork is looked at again in the single entries: a wrong bundle can look like one.
///
/// # Errors
/// If the genesis is not that vault's, or the single entries can't be read.
pub async fn fold_vault(client: &dyn Client, id: &VaultId, entries: &[Bytes]) -> Outcome<VaultState> {
    let fold = |entries: &[Bytes]| {
        VaultState::fold(id, entries).map_err(|e| Failure::integrity(e.to_string()).or_in_chinese(zh::genesis(&e)))
    };
    let state = fold(entries)?;
    if matches!(state.stop(), Some(Stop::Fork { .. })) {
        return fold(&client.single_entries(&LedgerId::Vault, 0).await?);
    }
    Ok(state)
}

fn exposure_of(ledger: &LedgerId) -> Option<Digest> {
    if let LedgerId::Exposure(recipient) = ledger { Some(*recipient) } else { None }
}

/// What is remembered of the vault at a location.
fn recognise(state: &StateFolder, location: &str, id: &VaultId) -> Outcome<Known> {
    if let Some(other) = state.at_location(location)?
        && other != *id
    {
        return Err(Failure::integrity(format!("{location} held vault {other} before and holds vault {id} now"))
            .or_in_chinese(format!("{location} 此前为保险库 {other}，现为保险库 {id}"))
            .hints("if it was moved on purpose, join it again with an invitation", "若系有意迁移，请凭邀请重新加入"));
    }
    state.known(id)?.ok_or_else(|| stranger(state, location, id))
}

fn stranger(state: &StateFolder, location: &str, id: &VaultId) -> Failure {
    Failure::refused(format!("vault {id} at {location} is not known on this machine"))
        .or_in_chinese(format!("本机未加入过位于 {location} 的保险库 {id}"))
        .hints(
            format!(
                "join it first, with the invitation of its officer: `seqvault join INVITATION` (state: {})",
                state.path().display()
            ),
            format!("请先凭管理员的邀请加入：`seqvault join INVITATION`（状态目录：{}）", state.path().display()),
        )
}

fn creation(id: &DatasetId, error: CreationError) -> Failure {
    Failure::integrity(format!("dataset {id}: {error}")).or_in_chinese(format!("数据集 {id}：{}", zh::creation(&error)))
}

fn behind(ledger: &LedgerId, seq: u64) -> Failure {
    Failure::integrity(format!(
        "ledger {ledger} is behind entry {seq}, which an officer has seen: this is an old or changed copy"
    ))
    .or_in_chinese(format!("账本 {ledger} 落后于管理员见过的第 {seq} 条：这是旧的或被更改的副本"))
}

/// The failure of whoever lost a ledger's next place too often, where its name is the same in both languages.
pub fn busy(what: impl core::fmt::Display) -> Failure {
    outrun(&what, &what)
}

/// The failure of whoever lost a ledger's next place too often; the ledger is named in English and in Chinese.
pub fn outrun(what: impl core::fmt::Display, what_zh: impl core::fmt::Display) -> Failure {
    Failure::new(Kind::Conflict, format!("{what}: others were first {ATTEMPTS} times"))
        .or_in_chinese(format!("{what_zh}：{ATTEMPTS} 次均被他人抢先"))
        .again()
}

/// Whether the fold, having read entry `seq`, applied it. A fold that stopped has not read it.
fn accepted(judged: &[Judged], seq: u64, body: &Body) -> Outcome<()> {
    match usize::try_from(seq).ok().and_then(|i| judged.get(i)).map(|j| j.verdict) {
        Some(Verdict::Applied) => Ok(()),
        Some(Verdict::Void(why)) => Err(refused(body, why)),
        _ => {
            Err(Failure::integrity("the ledger stopped before this statement").or_in_chinese("账本在该声明之前已中断"))
        }
    }
}

/// The time of a grant that was decided by rules: readers decide again at the statement's time and compare.
fn decided_at(body: &Body) -> Option<u64> {
    let Body::Granted(granted) = body else { return None };
    granted.trace.as_ref()?.0.get("case")?.get("now")?.as_u64()
}

fn refused(body: &Body, why: &str) -> Failure {
    Failure::refused(format!("`{}` would not count: {why}", body.kind())).or_in_chinese(format!(
        "`{}` 不会生效：{}",
        body.kind(),
        zh::reason(why)
    ))
}

fn sign(signer: &Signer, statement: &Statement) -> Outcome<Vec<u8>> {
    statement.sign(|pae| signer.custodian.sign(pae)).map_err(|e| match e {
        SignError::Key(error) => Failure::new(Kind::Identity, error.to_string()).or_in_chinese("身份的密钥无法签名"),
        SignError::TooLong => {
            Failure::usage("the statement would be longer than 16 MiB").or_in_chinese("该声明将超过 16 MiB")
        }
        other => Failure::usage(other.to_string()).or_in_chinese("该声明不合规定"),
    })
}

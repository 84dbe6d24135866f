//! Appending: an entry takes its number if it is valid there, what it names is there, and nobody was faster. Spec sections 4.3, 6.2.
//!
//! A void entry would keep its place for ever and help nobody, so none is taken. That is a service to honest clients: readers fold for
//! themselves and do not rely on it.

use bytes::Bytes;
use vault_core::ids::{DatasetId, Digest, LedgerId, UploadId};
use vault_core::layout::{BundleSize, MAX_NUMBER, ObjectName};
use vault_core::ledger::dataset::{CreationError, DatasetState};
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::fold::{Judged, Stop, Verdict};
use vault_core::ledger::statement::{Entry, MAX_ENTRY, Said, Statement};
use vault_core::ledger::vault::VaultState;
use vault_policy::ledger::Refusal;

use super::gate::{self, Asked};
use super::read::{LedgerError, entry_name, span};
use super::state::StateError;
use super::{Vault, bundle};
use crate::store::{Creation, StoreError};

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// The entry has its number, from now or from before.
    Appended,
    /// Another entry has it. Whoever lost folds again before it signs again.
    Taken {
        /// The other entry's stored bytes.
        stored: Bytes,
    },
}

/// Why an entry was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The state could not be had.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is longer than 16 MiB.
    #[error("the entry is longer than 16 MiB")]
    TooLong,
    /// It would leave a gap.
    #[error("ledger {ledger}: the next entry is {next}, not {seq}")]
    NotNext {
        /// The ledger.
        ledger: LedgerId,
        /// The number that was asked for.
        seq: u64,
        /// The number that is free.
        next: u64,
    },
    /// It would be void.
    #[error("ledger {ledger}: entry {seq} would not count: {reason}")]
    Void {
        /// The ledger.
        ledger: LedgerId,
        /// Its number.
        seq: u64,
        /// Why.
        reason: &'static str,
    },
    /// The ledger has stopped, or would: a fork, or a format that this version does not know.
    #[error(transparent)]
    Stopped(Stop),
    /// The rules in force do not let it pass.
    #[error("ledger {ledger}: entry {seq} is refused: {refusal}")]
    Gate {
        /// The ledger.
        ledger: LedgerId,
        /// Its number.
        seq: u64,
        /// Why, in both languages.
        refusal: Box<Refusal>,
    },
    /// An object that it names is not there.
    #[error("{name}: the entry names it and it is not there")]
    Missing {
        /// The object.
        name: ObjectName,
    },
    /// An object that it names is not what was signed.
    #[error("{name}: it is not the object that the entry names")]
    Differs {
        /// The object.
        name: ObjectName,
    },
    /// The upload that it commits holds more objects than a server looks through.
    #[error("upload {upload} of dataset {dataset} has more than {max} objects; close it and put fewer files at once")]
    TooMany {
        /// The dataset.
        dataset: DatasetId,
        /// The upload.
        upload: UploadId,
        /// How many it may have.
        max: u64,
    },
}

/// What is known of an entry before it is written.
#[derive(Debug)]
pub enum Prepared {
    /// Its number is taken: there is nothing to write.
    Settled(Append),
    /// It would count, and what it names is there.
    Checked(Box<Checked>),
}

/// An entry that would count when it was judged, and that names nothing which was not there.
#[derive(Debug)]
pub struct Checked {
    ledger: LedgerId,
    seq: u64,
    stored: Bytes,
    /// `None` if it is of a newer format that may be passed over: what it names is unknown.
    statement: Option<Statement>,
    /// When it was said, if rules in force judge it by that.
    judged_time: Option<u64>,
}

impl Checked {
    /// When the entry was said, where rules in force judge it by its time: whoever takes it compares that with a clock of its own.
    #[must_use]
    pub const fn judged_time(&self) -> Option<u64> {
        self.judged_time
    }
}

impl From<StoreError> for AppendError {
    fn from(source: StoreError) -> Self {
        Self::State(source.into())
    }
}

impl From<LedgerError> for AppendError {
    fn from(source: LedgerError) -> Self {
        Self::State(source.into())
    }
}

impl Vault {
    /// Appends an entry as number `seq`. Safe to repeat: the same bytes succeed again.
    ///
    /// When it returns [`Append::Appended`] the entry is durable, and so is all that it names.
    ///
    /// # Errors
    /// If the entry would not count, names what is not there, is not the next one, or the store fails.
    pub async fn append(&self, ledger: &LedgerId, seq: u64, stored: Bytes) -> Result<Append, AppendError> {
        let appended = match self.prepare(ledger, seq, stored).await? {
            Prepared::Settled(known) => return Ok(known),
            Prepared::Checked(checked) => self.create_entry(&checked).await?,
        };
        self.bundle(ledger, seq, &appended).await;
        Ok(appended)
    }

    /// All of an append that may take long: judges the entry and looks at what it names, of which there may be very much. A server does
    /// this before the entry's writer stands in line with the others.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn prepare(&self, ledger: &LedgerId, seq: u64, stored: Bytes) -> Result<Prepared, AppendError> {
        if stored.len() > MAX_ENTRY {
            return Err(AppendError::TooLong);
        }
        if let Some(known) = self.settled(ledger, seq, &stored).await? {
            return Ok(Prepared::Settled(known));
        }
        let (statement, judged_time) = match self.judge(ledger, seq, &stored).await {
            Ok(judged) => judged,
            Err(e) => return self.settled_meanwhile(ledger, seq, &stored, e).await,
        };
        if let Some(statement) = &statement {
            if let Err(e) = self.check_named(statement).await {
                // A rotation that took the number deletes what this entry names: then the number is what matters.
                return self.settled_meanwhile(ledger, seq, &stored, e).await;
            }
            self.write_markers(statement).await?;
        }
        let checked = Checked { ledger: ledger.clone(), seq, stored, statement, judged_time };
        Ok(Prepared::Checked(Box::new(checked)))
    }

    /// Writes an entry that was checked some time ago: judges it again, and looks whether what may have been deleted since is still there.
    /// That is little, however much the entry names. [`Self::bundle`] is for when it has its number.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn write(&self, checked: &Checked) -> Result<Append, AppendError> {
        let Checked { ledger, seq, stored, statement, .. } = checked;
        if let Some(known) = self.settled(ledger, *seq, stored).await? {
            return Ok(known);
        }
        let again = async {
            self.judge(ledger, *seq, stored).await?;
            match statement {
                Some(statement) => self.look_again(statement).await,
                None => Ok(()),
            }
        };
        match again.await {
            Ok(()) => self.create_entry(checked).await,
            Err(e) => self.settled(ledger, *seq, stored).await?.ok_or(e),
        }
    }

    /// Writes the bundles that an entry completes. They are copies that readers can do without, so a failure here is no failure of the
    /// append; `doctor` makes what is missing.
    pub async fn bundle(&self, ledger: &LedgerId, seq: u64, appended: &Append) {
        if *appended != Append::Appended {
            return;
        }
        for size in [BundleSize::Sixteen, BundleSize::TwoFiftySix] {
            if (seq + 1).is_multiple_of(size.entries()) {
                let _ = self.make_bundle(ledger, size, seq / size.entries()).await;
            }
        }
    }

    /// The end of every append: the entry takes its number, unless somebody was faster.
    async fn create_entry(&self, checked: &Checked) -> Result<Append, AppendError> {
        if let Some(statement) = &checked.statement {
            self.settle_cited(statement).await?;
        }
        let name = entry_name(&checked.ledger, checked.seq);
        match self.store.create(&name, checked.stored.clone()).await? {
            Creation::Created | Creation::AlreadySame => Ok(Append::Appended),
            Creation::Conflict => {
                let existing = self.store.get(&name, MAX_ENTRY as u64).await?;
                Ok(Append::Taken { stored: existing })
            }
        }
    }

    /// What became of an entry whose number is taken, by itself or another; `None` if it is free.
    async fn settled(&self, ledger: &LedgerId, seq: u64, stored: &Bytes) -> Result<Option<Append>, AppendError> {
        match self.entry(ledger, seq).await? {
            Some(existing) => self.found(&entry_name(ledger, seq), &existing, stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// Somebody may have been faster while an entry was looked at, and then that is what became of it.
    async fn settled_meanwhile(
        &self,
        ledger: &LedgerId,
        seq: u64,
        stored: &Bytes,
        error: AppendError,
    ) -> Result<Prepared, AppendError> {
        match self.settled(ledger, seq, stored).await? {
            Some(known) => Ok(Prepared::Settled(known)),
            None => Err(error),
        }
    }

    async fn found(&self, name: &ObjectName, existing: &Bytes, wanted: &Bytes) -> Result<Append, AppendError> {
        if existing != wanted {
            return Ok(Append::Taken { stored: existing.clone() });
        }
        self.store.settle(name).await?;
        Ok(Append::Appended)
    }

    /// Folds the entry as if it were there, and asks the gate about it. `None` if it is of a newer format that may be passed over: what it
    /// names is unknown. With it comes its time, if rules in force judge it by that.
    async fn judge(
        &self,
        ledger: &LedgerId,
        seq: u64,
        stored: &Bytes,
    ) -> Result<(Option<Statement>, Option<u64>), AppendError> {
        let said = statement_of(stored);
        let folded = match ledger {
            LedgerId::Vault => self.fold_vault(seq, stored, said.as_ref()).await?,
            LedgerId::Dataset(dataset) => self.fold_dataset(dataset, seq, stored, said.as_ref()).await?,
            LedgerId::Exposure(recipient) => self.fold_exposure(*recipient, stored, said.as_ref()).await?,
        };
        if let Some(stop) = folded.stop {
            return Err(AppendError::Stopped(stop));
        }
        // The fold took every entry, and this one last.
        next_is(ledger, seq, folded.entries.saturating_sub(1))?;
        match folded.last {
            Some(Verdict::Void(reason)) => Err(AppendError::Void { ledger: ledger.clone(), seq, reason }),
            Some(Verdict::Applied | Verdict::Skipped) | None => match (folded.asked, &said) {
                // The gate comes last: it is asked about what would count.
                (Err(refusal), Some(said)) => Err(gate::refused(said, refusal)),
                _ => Ok((said, folded.judged_time)),
            },
        }
    }

    async fn fold_exposure(
        &self,
        recipient: Digest,
        stored: &Bytes,
        said: Option<&Statement>,
    ) -> Result<Folded, AppendError> {
        let (vault, before, after) = self.exposure_with(recipient, stored).await?;
        let folded = Folded::of(after.judged(), after.stop());
        if folded.last != Some(Verdict::Applied) {
            return Ok(folded);
        }
        let judged_time = said.and_then(|said| gate::judged_time(&vault, said));
        Ok(Folded { asked: self.ask_of_exposure(&before, said).await?, judged_time, ..folded })
    }

    async fn fold_vault(&self, seq: u64, stored: &Bytes, said: Option<&Statement>) -> Result<Folded, AppendError> {
        let known = self.known_vault().await?;
        next_is(&LedgerId::Vault, seq, known.entries)?;
        // A fork is settled by an entry behind it, so then everything is folded with that entry in sight.
        let all = match known.state.stop() {
            Some(_) => Some(self.entries(&LedgerId::Vault, 0).await?),
            None => None,
        };
        let (id, next) = (self.id, stored.clone());
        let asked = Self::ask_of_vault(&known.state, said);
        let fold = move || {
            let state = match all {
                Some(mut all) => {
                    all.push(next);
                    VaultState::fold(&id, &all)?
                }
                None => {
                    let mut state = VaultState::clone(&known.state);
                    state.extend(&[next]);
                    state
                }
            };
            Ok(Folded { asked, ..Folded::of(state.judged(), state.stop()) })
        };
        Ok(self.compute(fold).await?)
    }

    async fn fold_dataset(
        &self,
        dataset: &DatasetId,
        seq: u64,
        stored: &Bytes,
        said: Option<&Statement>,
    ) -> Result<Folded, AppendError> {
        let ledger = LedgerId::Dataset(dataset.clone());
        let next = stored.clone();
        if seq == 0 {
            let (vault, id) = (self.state().await?, dataset.clone());
            let asked = Self::ask_of_creation(&vault, said);
            let judged_time = said.and_then(|said| gate::judged_time(&vault, said));
            let fold = move || {
                let state = DatasetState::fold(&vault, &Exposures::default(), &id, &[next])
                    .map_err(|source| StateError::Creation { dataset: id, source })?;
                Ok(Folded { asked, judged_time, ..Folded::of(state.judged(), state.stop()) })
            };
            return self.compute(fold).await.map_err(|e| uncreated(e, &ledger, seq));
        }
        let view = self.view_with(dataset, Some(stored)).await.map_err(|e| uncreated(e, &ledger, seq))?;
        if let Some(stop) = view.dataset.stop() {
            return Err(AppendError::Stopped(stop.clone()));
        }
        next_is(&ledger, seq, view.entries)?;
        let (vault, said) = (self.clone(), said.cloned());
        let fold = move || {
            let mut state = DatasetState::clone(&view.dataset);
            state.extend(&view.vault, &view.exposures, &[next]);
            let folded = Folded::of(state.judged(), state.stop());
            if folded.last != Some(Verdict::Applied) {
                return Ok(folded);
            }
            let asked = vault.ask_of_dataset(&view, said.as_ref());
            let judged_time = said.as_ref().and_then(|said| gate::judged_time(&view.vault, said));
            Ok(Folded { asked, judged_time, ..folded })
        };
        Ok(self.compute(fold).await?)
    }

    /// Writes a bundle of existing entries. False if they make none: too long, or a void entry breaks the chain that would prove it.
    pub(super) async fn make_bundle(
        &self,
        ledger: &LedgerId,
        size: BundleSize,
        index: u64,
    ) -> Result<bool, LedgerError> {
        let entries = self.singles(ledger, span(size, index)).await?;
        let Some(bytes) = bundle::emit(&entries).filter(|_| bundle::is_chain(&entries)) else { return Ok(false) };
        let name = ObjectName::Bundle { ledger: ledger.clone(), size, index };
        match self.store.create(&name, bytes.clone()).await? {
            Creation::Created | Creation::AlreadySame => Ok(true),
            // What lies there is no true copy: it is derived, so it may be replaced.
            Creation::Conflict => {
                self.store.delete(std::slice::from_ref(&name)).await?;
                Ok(!matches!(self.store.create(&name, bytes).await?, Creation::Conflict))
            }
        }
    }
}

/// What a fold says of its last entry, and the gate.
struct Folded {
    entries: u64,
    last: Option<Verdict>,
    stop: Option<Stop>,
    asked: Asked,
    judged_time: Option<u64>,
}

impl Folded {
    fn of(judged: &[Judged], stop: Option<&Stop>) -> Self {
        let (entries, last) = (judged.len() as u64, judged.last().map(|last| last.verdict));
        Self { entries, last, stop: stop.cloned(), asked: Ok(()), judged_time: None }
    }
}

fn next_is(ledger: &LedgerId, seq: u64, next: u64) -> Result<(), AppendError> {
    if seq == next && seq <= MAX_NUMBER {
        Ok(())
    } else {
        Err(AppendError::NotNext { ledger: ledger.clone(), seq, next })
    }
}

/// A dataset that does not exist is a number out of place; a first entry that creates none would not count.
fn uncreated(error: StateError, ledger: &LedgerId, seq: u64) -> AppendError {
    match error {
        StateError::Creation { source: CreationError::Missing, .. } => {
            AppendError::NotNext { ledger: ledger.clone(), seq, next: 0 }
        }
        StateError::Creation { source: CreationError::Invalid(reason), .. } => {
            AppendError::Void { ledger: ledger.clone(), seq, reason }
        }
        other => other.into(),
    }
}

fn statement_of(stored: &[u8]) -> Option<Statement> {
    match Entry::parse(stored).ok()?.said {
        Said::Known(statement) => Some(*statement),
        Said::Unknown { .. } => None,
    }
}

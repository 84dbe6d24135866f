//! Looks at the ledgers, shared by the requests that wait for them. Spec section 7.5.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use vault_core::ids::{DatasetId, LedgerId};
use vault_core::ledger::dataset::CreationError;
use vault_core::ledger::vault::VaultState;

use super::problem::Refused;
use super::service::SHORT;
use super::waves::{Broken, Waves};
use crate::store::StoreError;
use crate::vault::{LedgerError, Part, StateError, Vault, View};

/// Looks at once.
const MAX_LOOKS: usize = 64;
/// Bytes of entries in an answer, or one entry.
const MAX_ANSWER: u64 = 8 << 20;
/// Answers that are read together, where they are not short.
const MAX_READS: usize = 4;

type Found<T, E> = Result<T, Arc<E>>;

/// Entries of a ledger: those that are few bytes are read at once, for others there has to be room first.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    /// Which they are.
    pub(super) part: Part,
    /// Their stored bytes.
    pub(super) entries: Option<Arc<Vec<Bytes>>>,
}

/// A ledger, the numbers from one to before another, and whether without bundles.
type Reading = (LedgerId, u64, u64, bool);

/// All looks that run. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    vault: Vault,
    states: Waves<(), Found<Arc<VaultState>, StateError>>,
    views: Waves<DatasetId, Found<View, StateError>>,
    entries: Waves<(LedgerId, u64, bool), Found<Looked, LedgerError>>,
    reads: Waves<Reading, Found<Arc<Vec<Bytes>>, LedgerError>>,
    names: Waves<(), Found<Arc<Vec<LedgerId>>, StoreError>>,
}

impl Looks {
    pub(super) fn new(vault: Vault) -> Self {
        // The vault ledger's look has a place of its own: everything waits for it.
        let (first, places) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(MAX_LOOKS)));
        Self {
            vault,
            states: Waves::new(&first),
            views: Waves::new(&places),
            entries: Waves::new(&places),
            reads: Waves::new(&Arc::new(Semaphore::new(MAX_READS))),
            names: Waves::new(&places),
        }
    }

    /// The vault ledger's state, read from now on.
    pub(super) async fn state(&self) -> Result<Arc<VaultState>, Refused> {
        Ok(self.look_at_vault().await??)
    }

    async fn look_at_vault(&self) -> Result<Found<Arc<VaultState>, StateError>, Broken> {
        let vault = self.vault.clone();
        let look = move || {
            let vault = vault.clone();
            async move { vault.state().await.map_err(Arc::new) }
        };
        self.states.look((), look).await
    }

    /// As [`Self::state`], inside of a look at a dataset: the datasets that are looked at together share one look at the vault.
    async fn state_for_view(&self) -> Found<Arc<VaultState>, StateError> {
        let broken = |_| Arc::new(StoreError::Stopped { path: self.vault.store().location() }.into());
        self.look_at_vault().await.map_err(broken)?
    }

    /// A dataset's state, read from now on; `None` if its ledger creates none.
    pub(super) async fn view(&self, dataset: &DatasetId) -> Result<Option<View>, Refused> {
        let (looks, id) = (self.clone(), dataset.clone());
        let look = move || {
            let (looks, id) = (looks.clone(), id.clone());
            async move { looks.vault.view_under(&id, looks.state_for_view()).await }
        };
        match self.views.look(dataset.clone(), look).await? {
            Ok(view) => Ok(Some(view)),
            Err(e) if matches!(*e, StateError::Creation { source: CreationError::Missing, .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// A ledger's entries from a number on, as many as one answer takes.
    pub(super) async fn entries(&self, ledger: &LedgerId, from: u64, single: bool) -> Result<Looked, Refused> {
        let (vault, of) = (self.vault.clone(), ledger.clone());
        let look = move || {
            let (vault, of) = (vault.clone(), of.clone());
            async move {
                let part = vault.part(&of, from, single, MAX_ANSWER).await.map_err(Arc::new)?;
                let entries = if part.bytes <= SHORT {
                    Some(Arc::new(vault.entries_of(&part).await.map_err(Arc::new)?))
                } else {
                    None
                };
                Ok(Looked { part, entries })
            }
        };
        Ok(self.entries.look((ledger.clone(), from, single), look).await??)
    }

    /// The entries of a part that is not short. Few are read together, so what they hold is bounded however many ask.
    pub(super) async fn read(&self, ledger: &LedgerId, part: &Part, single: bool) -> Result<Arc<Vec<Bytes>>, Refused> {
        let (vault, numbers, part) = (self.vault.clone(), part.numbers(), part.clone());
        let look = move || {
            let (vault, part) = (vault.clone(), part.clone());
            async move { vault.entries_of(&part).await.map(Arc::new).map_err(Arc::new) }
        };
        Ok(self.reads.look((ledger.clone(), numbers.start, numbers.end, single), look).await??)
    }

    /// The names of all ledgers.
    pub(super) async fn names(&self) -> Result<Arc<Vec<LedgerId>>, Refused> {
        let vault = self.vault.clone();
        let look = move || {
            let vault = vault.clone();
            async move { vault.ledger_names().await.map(Arc::new).map_err(Arc::new) }
        };
        Ok(self.names.look((), look).await??)
    }
}

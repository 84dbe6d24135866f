//! Looks at the ledgers, shared by the requests that wait for them. Spec section 7.5.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use vault_core::ids::{DatasetId, LedgerId};
use vault_core::ledger::dataset::CreationError;
use vault_core::ledger::vault::VaultState;

use super::problem::Refused;
use super::waves::{Broken, Waves};
use crate::store::StoreError;
use crate::vault::{LedgerError, StateError, Vault, View};

/// Looks at once.
const MAX_LOOKS: usize = 64;
/// Bytes of entries in an answer, and one entry more at most.
const MAX_ANSWER: usize = 8 << 20;

type Found<T, E> = Result<T, Arc<E>>;

/// Entries of a ledger.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Their stored bytes.
    pub(super) entries: Arc<Vec<Bytes>>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// All looks that run. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    vault: Vault,
    states: Waves<(), Found<Arc<VaultState>, StateError>>,
    views: Waves<DatasetId, Found<View, StateError>>,
    entries: Waves<(LedgerId, u64, bool), Found<Part, LedgerError>>,
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
    pub(super) async fn entries(&self, ledger: &LedgerId, from: u64, single: bool) -> Result<Part, Refused> {
        let (vault, of) = (self.vault.clone(), ledger.clone());
        let look = move || {
            let (vault, of) = (vault.clone(), of.clone());
            async move {
                let (entries, more) = vault.entries_at_most(&of, from, single, MAX_ANSWER).await.map_err(Arc::new)?;
                Ok(Part { entries: Arc::new(entries), more })
            }
        };
        Ok(self.entries.look((ledger.clone(), from, single), look).await??)
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

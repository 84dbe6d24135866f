//! The gate at the append: what the rules in force say of an entry that is right by the fold. Spec section 7.7.
//!
//! What is asked is [`vault_policy::ledger`]'s; here stands which states it is asked in. They are those that the entry was judged in, so
//! an entry that lost its number is asked again with what came before it.

use vault_core::ledger::exposure::ExposureState;
use vault_core::ledger::statement::{Body, Statement};
use vault_core::ledger::vault::VaultState;
use vault_policy::ledger::{self, Refusal};

use super::Vault;
use super::append::AppendError;
use super::state::View;

/// What the gate says of an entry.
pub(super) type Asked = Result<(), Refusal>;

impl Vault {
    /// Asks about an entry of the vault ledger in the state before it.
    pub(super) fn ask_of_vault(before: &VaultState, statement: Option<&Statement>) -> Asked {
        statement.map_or(Ok(()), |statement| ledger::check_member(before, statement))
    }

    /// Asks about the first entry of a dataset's ledger.
    pub(super) fn ask_of_creation(vault: &VaultState, statement: Option<&Statement>) -> Asked {
        statement.map_or(Ok(()), |statement| {
            ledger::check_fresh(vault, None, statement)?;
            ledger::check_creation(vault, statement)
        })
    }

    /// Asks about a later one, in the view before it, which has the exposure ledgers that its grants' traces name.
    pub(super) fn ask_of_dataset(&self, view: &View, statement: Option<&Statement>) -> Asked {
        let ask = |one| ledger::check_now(&view.vault, &view.exposures, &view.dataset, one, &self.packs);
        statement.map_or(Ok(()), ask)
    }

    /// Asks about an entry of an exposure ledger, in the state before it and with the dataset that it is about.
    pub(super) async fn ask_of_exposure(
        &self,
        before: &ExposureState,
        statement: Option<&Statement>,
    ) -> Result<Asked, AppendError> {
        let Some(statement) = statement else { return Ok(Ok(())) };
        let dataset = match &statement.body {
            Body::Reserved(body) => Some(body.dataset.clone()),
            Body::Released(body) => before.reserved().get(&body.terms.reserved).map(|one| one.dataset.clone()),
            _ => None,
        };
        let Some(dataset) = dataset else { return Ok(Ok(())) };
        let view = self.view(&dataset).await?;
        let fresh = ledger::check_fresh(&view.vault, None, statement);
        Ok(fresh.and_then(|()| ledger::check_exposure(&view.vault, before, &view.dataset, statement, &self.packs)))
    }
}

/// The time of an entry that the rules judge by, where there are rules: the packs' days, the ends of approvals and the year of an export
/// are told from it, so a server takes none that is far from its own clock.
pub(super) fn judged_time(vault: &VaultState, statement: &Statement) -> Option<u64> {
    ledger::is_timed(vault, statement).then_some(statement.time)
}

/// Refused by the gate, as an append is refused.
pub(super) fn refused(statement: &Statement, refusal: Refusal) -> AppendError {
    AppendError::Gate { ledger: statement.ledger.clone(), seq: statement.seq, refusal: Box::new(refusal) }
}

//! What a rotation has to do next: from state and goal to one step, so that anybody who holds the keys can go on. Spec section 5.4, 6.2.
//!
//! The caller does the step, folds again and asks again. A step that was already done by somebody else is not asked for
//! twice, so two stewards, or one steward after a crash, end in the same place.

use std::collections::BTreeSet;

use crate::ids::{CardId, ManifestId, MemberId};
use crate::ledger::dataset::DatasetState;
use crate::ledger::fold::At;
use crate::ledger::vault::VaultState;

/// What the dataset should have when the rotation is over: a newest epoch of at least this number, fresh and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// The least epoch.
    pub epoch: u64,
}

impl Goal {
    /// A new epoch; a rotation that was begun and not ended counts as the new one.
    #[must_use]
    pub fn rotate(state: &DatasetState) -> Self {
        let newest = state.newest();
        Self { epoch: if newest > state.closed() { newest } else { newest + 1 } }
    }

    /// No more than what is needed: end a rotation that was begun, replace an epoch that is stale.
    #[must_use]
    pub fn settle(state: &DatasetState) -> Self {
        Self { epoch: state.newest() }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Seal a new epoch's secret to exactly these cards, then append `epoch-opened`.
    Open {
        /// Its number.
        epoch: u64,
        /// To whom.
        seal_to: BTreeSet<(MemberId, CardId)>,
        /// Members with a grant and without a current card.
        unsealed: BTreeSet<MemberId>,
    },
    /// Put these manifests' keys in a table, read it back, then append `epoch-closed`.
    Close {
        /// Its number.
        epoch: u64,
        /// The manifests in scope.
        manifests: Vec<ManifestId>,
    },
    /// Delete what epochs below this one left; nothing else remains to be done.
    CleanUp {
        /// The closed epoch.
        below: u64,
    },
}

/// Why somebody can't do the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// Opening an epoch takes a steward whose card it is sealed to.
    #[error("only a steward who holds epoch {epoch} can open the next one")]
    NotHolder {
        /// The newest epoch.
        epoch: u64,
    },
    /// Closing takes the secrets of every unclosed epoch, sealed to the card that signs.
    #[error("only a steward whose card every epoch from {from} to {to} is sealed to can close epoch {to}")]
    HoldsTooLittle {
        /// The oldest unclosed epoch.
        from: u64,
        /// The newest epoch.
        to: u64,
    },
    /// Nothing is rotated any more.
    #[error("the dataset was deleted")]
    Deleted,
}

/// The next step towards `goal` for `member`, who signs with `card`.
///
/// # Errors
/// If the next step is one that this member may not do.
pub fn next(
    state: &DatasetState,
    vault: &VaultState,
    member: &MemberId,
    card: &CardId,
    at: At,
    goal: Goal,
) -> Result<Step, RotationError> {
    if state.is_deleted() {
        return Err(RotationError::Deleted);
    }
    let newest = state.newest();
    if newest < goal.epoch || state.is_stale(vault, at) {
        if !state.is_holder(vault, member, card, at) {
            return Err(RotationError::NotHolder { epoch: newest });
        }
        let (seal_to, unsealed) = state.next_holders(vault, at, &BTreeSet::new());
        return Ok(Step::Open { epoch: newest + 1, seal_to, unsealed });
    }
    if newest > state.closed() {
        if !(state.is_steward(vault, member, at.vault) && state.opens_all(vault, member, card, at)) {
            return Err(RotationError::HoldsTooLittle { from: state.closed(), to: newest });
        }
        let manifests = state.in_scope_before(newest).map(|(id, _)| *id).collect();
        return Ok(Step::Close { epoch: newest, manifests });
    }
    Ok(Step::CleanUp { below: state.closed() })
}

//! The folds: entries in any order, changed, cut, doubled, by anybody. They never panic, and nobody gets what no statement by
//! somebody with the right gives.
//!
//! | to | look in |
//! |---|---|
//! | see what must hold of any folded ledger | [`check`] |
//! | see new statements, signed with the keys of a small vault | [`fold()`] |
//! | see the ledgers of the test vectors, edited | [`fold_edited()`] |

mod check;
mod edit;
mod says;

#[path = "../../../../vault-core/tests/ledger/world.rs"]
#[allow(dead_code, reason = "the ledger tests' own vault; they use more of it")]
mod world;

pub use edit::fold_edited;
pub use says::fold;

use std::sync::LazyLock;

use vault_core::ledger::vault::VaultState;
use world::World;

/// A vault with people in every role, a dataset with uploads and an older epoch, and a reservation.
pub(crate) fn base() -> &'static World {
    static BASE: LazyLock<World> = LazyLock::new(|| {
        let base = says::begin();
        let again = VaultState::fold(base.state.id(), &base.vault).expect("the genesis is ours");
        assert_eq!(format!("{again:?}"), format!("{:?}", base.state), "the vault ledger folds differently in one go");
        base
    });
    &BASE
}

/// How many cases [`fold_edited()`] begins with.
pub(crate) fn cases() -> usize {
    edit::CASES.len()
}

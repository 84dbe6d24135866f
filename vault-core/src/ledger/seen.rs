//! The list that a `seen` statement names: every ledger's last entry. Spec sections 5.2 and 6.1.

use serde::{Deserialize, Serialize};

use crate::ids::{EntryHash, LedgerId};
use crate::json::{self, JsonError};

/// The heads of all ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenList {
    /// One a ledger, ascending by its name.
    pub ledgers: Vec<SeenLedger>,
}

/// A ledger's last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenLedger {
    /// Its hash.
    pub hash: EntryHash,
    /// The ledger.
    pub ledger: LedgerId,
    /// Its number.
    pub seq: u64,
}

impl SeenList {
    /// Reads a stored list.
    ///
    /// # Errors
    /// If it is not canonical, of another shape, or not in order.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let list: Self = json::parse(bytes)?;
        if list.ledgers.is_sorted_by_key(|head| head.ledger.to_string()) {
            Ok(list)
        } else {
            Err(JsonError::Shape("the ledgers are not ascending".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_out_of_order_is_refused() {
        let head = |ledger: LedgerId| SeenLedger { hash: EntryHash([0; 32]), ledger, seq: 0 };
        let dataset = LedgerId::Dataset("d".parse().unwrap());
        let list = |ledgers| json::emit(&SeenList { ledgers }).unwrap();
        assert!(SeenList::parse(&list(vec![head(dataset.clone()), head(LedgerId::Vault)])).is_ok());
        assert!(SeenList::parse(&list(vec![head(LedgerId::Vault), head(dataset)])).is_err());
    }
}

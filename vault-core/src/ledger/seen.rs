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
    /// If it is not canonical, of another shape, not in order, or names a ledger twice: which of the two counted would be the
    /// reader's choice.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let list: Self = json::parse(bytes)?;
        let names: Vec<String> = list.ledgers.iter().map(|head| head.ledger.to_string()).collect();
        if names.is_sorted_by(|a, b| a < b) {
            Ok(list)
        } else {
            Err(JsonError::Shape("the ledgers are not ascending, each once".to_owned()))
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

    #[test]
    fn a_ledger_twice_is_refused() {
        let head = |seq| SeenLedger { hash: EntryHash([0; 32]), ledger: LedgerId::Vault, seq };
        for second in [0, 1] {
            let twice = json::emit(&SeenList { ledgers: vec![head(0), head(second)] }).unwrap();
            assert!(SeenList::parse(&twice).is_err());
        }
    }
}

//! The ledgers of the test vectors, edited: entries moved, doubled, dropped, changed, cut, taken from other vaults.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use vault_core::ids::{LedgerId, VaultId};
use vault_core::ledger::dataset::{DatasetState, creator_of};
use vault_core::ledger::exposure::{Creators, ExposureState, Exposures};
use vault_core::ledger::vault::VaultState;

use super::check;
use crate::choices::Choices;
use crate::kit;

type Ledgers = BTreeMap<String, Vec<Vec<u8>>>;

/// Every ledger case: its vault, its ledgers.
pub(super) static CASES: LazyLock<Vec<(VaultId, Ledgers)>> = LazyLock::new(|| {
    let classes = ["dataset-ledgers", "vault-ledgers", "exposure-ledgers", "pins", "invitations"];
    let all = classes.into_iter().flat_map(kit::vectors).filter_map(|vector| {
        let id = vector.input.get("vault_id")?.as_str()?.parse().ok()?;
        let one = |(name, entries): (&String, &serde_json::Value)| {
            Some((name.clone(), entries.as_array()?.iter().map(kit::bytes).collect()))
        };
        Some((id, vector.input.get("ledgers")?.as_object()?.iter().filter_map(one).collect()))
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() > 300, "the ledgers' vectors are missing");
    all
});

/// Which case, then edits.
pub fn fold_edited(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (id, mut ledgers) = CASES[choices.pick(CASES.len())].clone();
    for _ in 0..16 {
        if choices.is_empty() {
            break;
        }
        edit(&mut ledgers, &mut choices);
    }
    in_one_go(&id, &ledgers);
}

fn edit(ledgers: &mut Ledgers, choices: &mut Choices<'_>) {
    let names: Vec<String> = ledgers.keys().cloned().collect();
    let other = |choices: &mut Choices<'_>| {
        let (_, ledgers) = &CASES[choices.pick(CASES.len())];
        let ledger = ledgers.values().nth(choices.pick(ledgers.len())).cloned().unwrap_or_default();
        ledger.get(choices.pick(ledger.len())).cloned().unwrap_or_default()
    };
    let (kind, place) = (choices.byte(), choices.byte());
    let ledger = ledgers.get_mut(&names[usize::from(place) % names.len()]).expect("it is there");
    let at = choices.pick(ledger.len() + 1).min(ledger.len());
    match kind % 8 {
        0 => ledger.insert(at, other(choices)),
        1 if at < ledger.len() => {
            let again = ledger[at].clone();
            ledger.insert(choices.pick(ledger.len() + 1).min(ledger.len()), again);
        }
        2 if at < ledger.len() => drop(ledger.remove(at)),
        3 if at < ledger.len() => {
            let to = choices.pick(ledger.len());
            ledger.swap(at, to);
        }
        4 if at < ledger.len() => {
            let stored = &mut ledger[at];
            let byte = choices.word() as usize % stored.len().max(1);
            if let Some(byte) = stored.get_mut(byte) {
                *byte ^= choices.byte();
            }
        }
        5 if at < ledger.len() => {
            let to = choices.word() as usize % ledger[at].len().max(1);
            ledger[at].truncate(to);
        }
        6 => ledger.truncate(at),
        _ => ledger.insert(at, choices.piece().to_vec()),
    }
}

fn in_one_go(id: &VaultId, ledgers: &Ledgers) {
    let entries = |name: &str| ledgers.get(name).map(Vec::as_slice).unwrap_or_default();
    let Ok(vault) = VaultState::fold(id, entries("vault")) else { return };
    check::vault(&vault, entries("vault"));
    let mut creators = Creators::new();
    for (name, entries) in ledgers {
        if let (Ok(LedgerId::Dataset(id)), Some(first)) = (name.parse(), entries.first())
            && let Some(creator) = creator_of(first)
        {
            creators.insert(id, creator);
        }
    }
    let mut exposures = Exposures::default();
    for (name, entries) in ledgers {
        if let Ok(LedgerId::Exposure(recipient)) = name.parse() {
            let state = ExposureState::fold(&vault, &creators, recipient, entries);
            check::exposure(&vault, &state, recipient, entries);
            exposures.insert(state);
        }
    }
    for (name, entries) in ledgers {
        if let Ok(LedgerId::Dataset(id)) = name.parse()
            && let Ok(state) = DatasetState::fold(&vault, &exposures, &id, entries)
        {
            check::dataset(&vault, &state, entries);
        }
    }
}

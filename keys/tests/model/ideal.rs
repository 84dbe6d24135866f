//! The model: who can open what, and who should. Sets of names, no key, no byte and no clock.
//!
//! A *lock* is a sealed object: some key opens it, and it gives other keys. Who can open what is what can be reached from a card
//! through locks. Who *should* is said without locks or epochs at all: by grants alone (`barred`, `promised`). Which statements count is
//! asked of the rules of spec page 5 as `vault-core`'s own tests write them down, in sets too (`rules`).

use std::collections::{BTreeMap, BTreeSet};

use vault_core::ids::{CardId, ManifestId, MemberId};
use vault_core::ledger::statement::{Body, Statement};

use super::rules::{DataModel, VaultModel, View};

/// Something that opens locks, or is what all is about: the files of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Card(CardId),
    /// An epoch's secret, by its draw: a crash can leave two secrets for one number.
    Epoch(u32),
    Manifest(ManifestId),
    Files(ManifestId),
}

/// Which objects there are to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// What an honest storage holds now.
    Live,
    /// All that was ever written: a storage that deletes nothing.
    Hoard,
}

#[derive(Debug, Clone)]
struct Lock {
    opened_by: Key,
    gives: BTreeSet<Key>,
}

#[derive(Debug, Default)]
pub(crate) struct Ideal {
    /// The vault after each of its entries.
    pub(crate) vault: Vec<VaultModel>,
    /// The dataset after each of its entries.
    pub(crate) data: Vec<DataModel>,
    locks: BTreeMap<String, Lock>,
    live: BTreeSet<String>,
    /// What the owner of a card copied, besides the card itself.
    pockets: BTreeMap<CardId, BTreeSet<Key>>,
    /// The secret of each epoch that was opened.
    pub(crate) drawn: BTreeMap<u64, u32>,
    /// Manifests whose header their uploader spoiled.
    pub(crate) spoiled: BTreeSet<ManifestId>,
    /// The epochs that a manifest's header was sealed to before it was committed to a later one.
    early: BTreeMap<ManifestId, BTreeSet<u64>>,
    /// Cards that a holder wrote a seal of an epoch for, whether or not the statement landed.
    let_in: BTreeSet<(CardId, u64)>,
    /// Who must never open what, though the storage keeps everything: it was committed while they had no right to it.
    barred: BTreeSet<(CardId, ManifestId)>,
    /// Who must be able to open everything in scope as long as they are entitled.
    promised: BTreeSet<CardId>,
    /// How often a limit of the design was met; a run that never meets one shows less than it seems.
    pub(crate) limits: u64,
}

impl Ideal {
    pub(crate) fn now(&self, time: u64) -> View<'_> {
        View { vault: self.vault.last().unwrap(), time }
    }

    pub(crate) fn dataset(&self) -> &DataModel {
        self.data.last().unwrap()
    }

    /// Cards with a right to what the dataset holds: those of members with a grant, and recovery cards.
    pub(crate) fn entitled(&self, view: &View<'_>) -> BTreeSet<CardId> {
        let data = self.dataset();
        let may = |card: &CardId, m: &MemberId| data.has_grant(view, m) || data.recovery.contains(card);
        view.vault.cards.iter().filter(|(card, m)| may(card, m)).map(|(card, _)| *card).collect()
    }

    /// Every card that there ever was.
    pub(crate) fn all_cards(&self) -> BTreeSet<CardId> {
        self.vault.iter().flat_map(|v| v.cards.keys().copied()).collect()
    }

    // --- locks ---

    pub(crate) fn lock(&mut self, name: String, opened_by: Key, gives: impl IntoIterator<Item = Key>) {
        self.live.insert(name.clone());
        self.locks.insert(name, Lock { opened_by, gives: gives.into_iter().collect() });
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.live.remove(name);
    }

    fn reach(&self, mut keys: BTreeSet<Key>, store: Store) -> BTreeSet<Key> {
        loop {
            let before = keys.len();
            for (name, lock) in &self.locks {
                if (store == Store::Hoard || self.live.contains(name)) && keys.contains(&lock.opened_by) {
                    keys.extend(&lock.gives);
                }
            }
            if keys.len() == before {
                return keys;
            }
        }
    }

    /// What a card's owner can get, with what it copied before.
    pub(crate) fn can(&self, card: CardId, store: Store) -> BTreeSet<Key> {
        let pocket = self.pockets.get(&card).cloned().unwrap_or_default();
        self.reach(pocket.into_iter().chain([Key::Card(card)]).collect(), store)
    }

    /// The same for somebody who never copied anything.
    pub(crate) fn can_from_nothing(&self, card: CardId) -> BTreeSet<Key> {
        self.reach([Key::Card(card)].into(), Store::Live)
    }

    pub(crate) fn copies_all(&mut self, card: CardId) {
        let all = self.can(card, Store::Live);
        self.pockets.insert(card, all);
    }

    // --- rights ---

    /// A holder wrote a seal of an epoch for a card. Seals come before the statement that names them, so from here on its owner has to be
    /// thought in, until the next epoch (threat model, "somebody who was about to become a recipient").
    pub(crate) fn is_let_in(&mut self, card: CardId, epoch: u64) {
        self.let_in.insert((card, epoch));
        self.barred.retain(|(c, _)| *c != card);
    }

    pub(crate) fn was_let_in(&self, card: CardId, epoch: u64) -> bool {
        self.let_in.contains(&(card, epoch))
    }

    /// A header was written for an epoch.
    pub(crate) fn header_was_sealed(&mut self, manifest: ManifestId, epoch: u64) {
        self.early.entry(manifest).or_default().insert(epoch);
    }

    /// Takes a vault entry; whether it counts.
    pub(crate) fn take_vault(&mut self, s: &Statement) -> bool {
        let mut next = self.vault.last().unwrap().clone();
        let counts = next.take(s);
        self.vault.push(next);
        counts
    }

    /// Takes an entry of the dataset; whether it counts.
    pub(crate) fn take(&mut self, s: &Statement) -> bool {
        let head = s.vault_head.unwrap().seq;
        let vault = self.vault[usize::try_from(head).unwrap()].clone();
        let view = View { vault: &vault, time: s.time };
        let mut next = self.dataset().clone();
        let counts = next.take(&view, head, s);
        self.data.push(next);
        if counts {
            self.rights(&view, &s.body);
        }
        counts
    }

    fn rights(&mut self, view: &View<'_>, body: &Body) {
        match body {
            Body::Granted(b) => self.promise(view, b.seals.iter().map(|s| s.card)),
            Body::CardSealed(b) => self.promise(view, b.seals.iter().map(|s| s.card)),
            Body::RecoverySet(b) => self.promise(view, b.cards.iter().copied()),
            Body::EpochOpened(_) => {
                let entitled = self.entitled(view);
                self.barred.retain(|(card, _)| !entitled.contains(card));
                self.promised.retain(|card| entitled.contains(card));
            }
            Body::EpochReset(_) => self.promised.clear(),
            Body::UploadCommitted(b) => {
                for item in &b.manifests {
                    self.bar(view, item.manifest, b.epoch);
                }
            }
            _ => {}
        }
    }

    fn promise(&mut self, view: &View<'_>, cards: impl Iterator<Item = CardId>) {
        let entitled = self.entitled(view);
        let cards: BTreeSet<CardId> = cards.filter(|card| entitled.contains(card)).collect();
        self.barred.retain(|(card, _)| !cards.contains(card));
        self.promised.extend(cards);
    }

    /// From its commit on, nobody opens a manifest who had no right to it then, but by a limit of the design.
    fn bar(&mut self, view: &View<'_>, manifest: ManifestId, epoch: u64) {
        let entitled = self.entitled(view);
        let early: Vec<u64> = self.early[&manifest].iter().copied().filter(|e| *e != epoch).collect();
        for card in self.all_cards().into_iter().filter(|card| !entitled.contains(card)) {
            let known = self.can(card, Store::Hoard);
            // `put` sealed the same key to an older epoch just before (threat model, "one upload can fall between").
            let between = early.iter().any(|e| known.contains(&Key::Epoch(self.drawn[e])));
            if between || self.let_in.contains(&(card, epoch)) {
                self.limits += 1;
            } else {
                self.barred.insert((card, manifest));
            }
        }
    }

    pub(crate) fn barred(&self) -> &BTreeSet<(CardId, ManifestId)> {
        &self.barred
    }

    pub(crate) fn promised(&self) -> &BTreeSet<CardId> {
        &self.promised
    }

    /// The manifests in scope that have a good header.
    pub(crate) fn in_scope(&self) -> BTreeSet<ManifestId> {
        self.dataset().manifests.keys().filter(|id| !self.spoiled.contains(id)).copied().collect()
    }

    /// What an honest client opens for a card: what is in scope, through the epoch that its key is under now.
    pub(crate) fn by_the_book(&self, card: CardId, time: u64) -> BTreeSet<ManifestId> {
        let view = self.now(time);
        let data = self.dataset();
        if !self.entitled(&view).contains(&card) {
            return BTreeSet::new();
        }
        let owner = view.vault.cards[&card].clone();
        let sealed = |n: u64| data.epochs[usize::try_from(n).unwrap() - 1].contains(&(owner.clone(), card));
        let opens = |id: &ManifestId| sealed(data.manifests[id].max(data.closed));
        self.in_scope().into_iter().filter(opens).collect()
    }
}

//! The comparison: what everybody opens, and what the model says.

use super::*;

impl Run {
    pub(super) fn whose(&self, card: CardId) -> String {
        format!("{} ({card:?})", self.owners[&card])
    }

    /// Compares what everybody, current and former, can open with what the model says, by opening it.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        self.met.checks += 1;
        self.keys.try_everything(&self.bucket);
        for card in self.owners.keys().copied().collect::<Vec<_>>() {
            for store in [Store::Live, Store::Hoard] {
                let (real, ideal) = (self.keys.can(&self.bucket, card, store), self.ideal.can(card, store));
                self.same(card, &format!("with what it copied, from {store:?}"), &real, &ideal)?;
            }
            let (real, ideal) = (self.keys.can_from_nothing(&self.bucket, card), self.ideal.can_from_nothing(card));
            self.same(card, "with its card alone", &real, &ideal)?;
            self.compare_by_the_book(card)?;
        }
        for (card, manifest) in self.ideal.barred() {
            if self.keys.can(&self.bucket, *card, Store::Hoard).contains(&Key::Files(*manifest)) {
                return Err(format!(
                    "{} opens {manifest:?}, which was committed while it had no right to it",
                    self.whose(*card)
                ));
            }
        }
        self.met.barred += self.ideal.barred().len() as u64;
        self.met.opens = self.keys.opens;
        self.met.limits = self.ideal.limits;
        Ok(())
    }

    pub(super) fn same(
        &self,
        card: CardId,
        how: &str,
        real: &BTreeSet<Key>,
        ideal: &BTreeSet<Key>,
    ) -> Result<(), String> {
        if let Some(key) = real.difference(ideal).next() {
            return Err(format!("{} gets {key:?} and should not, {how}", self.whose(card)));
        }
        match ideal.difference(real).next() {
            Some(key) => Err(format!("{} should get {key:?} and can't, {how}", self.whose(card))),
            None => Ok(()),
        }
    }

    pub(super) fn compare_by_the_book(&mut self, card: CardId) -> Result<(), String> {
        let (vault, state, eyes) = (self.vaults.last().unwrap(), self.datas.last().unwrap(), self.fresh());
        let real = self
            .keys
            .by_the_book(&self.bucket, vault, state, card, self.at(eyes))
            .map_err(|why| format!("an honest client of {} fails: {why}", self.whose(card)))?;
        let ideal = self.ideal.by_the_book(card, self.now);
        self.met.read += real.len() as u64;
        if let Some(id) = real.difference(&ideal).next() {
            return Err(format!("an honest client of {} reads {id:?} and should not", self.whose(card)));
        }
        if let Some(id) = ideal.difference(&real).next() {
            return Err(format!("an honest client of {} should read {id:?} and can't", self.whose(card)));
        }
        // Said once more without epochs: who was given a grant and still has it reads all there is, whatever goes on.
        let entitled = self.ideal.entitled(&self.ideal.now(self.now));
        if self.ideal.promised().contains(&card) && entitled.contains(&card) {
            self.met.promised += 1;
            if let Some(id) = self.ideal.in_scope().difference(&real).next() {
                return Err(format!("{} has a grant and does not read {id:?}", self.whose(card)));
            }
        }
        Ok(())
    }

    /// Ends what was begun, if anybody can, and looks once more: then an honest storage gives nothing to whoever has no right.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.compare()?;
        self.log.push("the end".to_owned());
        self.cleaned = false;
        let able: Vec<CardId> = self.owners.keys().copied().collect();
        for card in &able {
            let t = Try { act: 14, who: 0, whom: 0, bend: 0, stale: 0, crash: 0 };
            if let Err(Halt::Wrong(why)) = self.rotate(t, self.fresh(), *card) {
                return Err(why);
            }
        }
        self.compare()?;
        let state = self.datas.last().unwrap();
        let at = self.at(self.fresh());
        if !self.cleaned || state.newest() > state.closed() || state.is_stale(self.vaults.last().unwrap(), at) {
            return self.fold_in_one_go();
        }
        let entitled = self.ideal.entitled(&self.ideal.now(self.now));
        for card in able {
            let (whose, newest) = (self.whose(card), state.newest());
            if entitled.contains(&card) {
                let missing = self.ideal.in_scope().difference(&self.ideal.by_the_book(card, self.now)).next().copied();
                if let (Some(id), true) = (missing, state.epochs()[&newest].seals.keys().any(|(_, c)| *c == card)) {
                    return Err(format!("all is settled and {whose} does not read {id:?}"));
                }
            } else if !self.ideal.was_let_in(card, newest) {
                let got = self.keys.can_from_nothing(&self.bucket, card);
                if let Some(key) = got.iter().find(|key| matches!(key, Key::Files(_))) {
                    return Err(format!("all is settled and {whose}, who copied nothing, gets {key:?}"));
                }
            }
        }
        self.fold_in_one_go()
    }

    pub(super) fn fold_in_one_go(&self) -> Result<(), String> {
        let vault = VaultState::fold(self.vaults[0].id(), &self.vault).map_err(|e| e.to_string())?;
        let state = DatasetState::fold(&vault, &Exposures::default(), &self.dataset(), &self.entries);
        let state = state.map_err(|e| e.to_string())?;
        let same = format!("{vault:?}") == format!("{:?}", self.vaults.last().unwrap())
            && format!("{state:?}") == format!("{:?}", self.datas.last().unwrap());
        if same { Ok(()) } else { Err("the ledgers fold differently in one go".to_owned()) }
    }
}

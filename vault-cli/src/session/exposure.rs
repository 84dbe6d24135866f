//! Exposure ledgers: what is counted for an ultimate recipient or a provider, before a grant rests on it. Spec 5.6.
//!
//! A vault may have very many, and each names datasets whose creators have to be known. So only those are read on which something rests: a
//! dataset's state on those that its entries cite, a decision on those of the recipient and of the provider's year.

use std::collections::BTreeSet;

use bytes::Bytes;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId};
use vault_core::ledger::dataset::creator_of;
use vault_core::ledger::exposure::{ExposureState, Exposures, reserves_for};
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{Body, Reservation};

use super::{Session, Signer, accepted, exposure_of, sign};
use crate::client::Append;
use crate::error::{Failure, Kind, Outcome};

impl Session {
    /// All exposure ledgers: those that the store lists, and those that were seen before.
    ///
    /// # Errors
    /// As [`Session::exposures_of`].
    pub async fn exposures(&mut self) -> Outcome<Exposures> {
        let all = self.ledger_ids().await?.iter().filter_map(exposure_of).collect();
        self.exposures_of(&all).await
    }

    /// These exposure ledgers, folded and compared with what was seen of them: a total that was rolled back would allow what it forbade. If
    /// there are any, the vault ledger is read again behind them. One that is not there holds nothing.
    ///
    /// # Errors
    /// If one is behind what was seen, or the store fails.
    pub async fn exposures_of(&mut self, recipients: &BTreeSet<Digest>) -> Outcome<Exposures> {
        let mut exposures = Exposures::default();
        if recipients.is_empty() {
            return Ok(exposures);
        }
        for recipient in recipients {
            self.read_exposure(*recipient).await?;
        }
        self.refresh().await?;
        for recipient in recipients {
            self.pin_exposure(*recipient)?;
            let entries = self.exposed.get(recipient).map_or(&[][..], |read| &read.entries);
            exposures.insert(ExposureState::fold(&self.vault, &self.creators, *recipient, entries));
        }
        Ok(exposures)
    }

    /// As [`Session::exposures_of`], for a decision: they are compared with the list that an officer signed of what was seen, too.
    ///
    /// # Errors
    /// As [`Session::exposures_of`], or if one is behind that list.
    pub async fn exposures_to_decide(&mut self, recipients: &BTreeSet<Digest>) -> Outcome<Exposures> {
        let exposures = self.exposures_of(recipients).await?;
        self.check_exposures_seen().await?;
        Ok(exposures)
    }

    /// Compares every exposure ledger that was read with what an officer has seen.
    pub(super) async fn check_exposures_seen(&mut self) -> Outcome<()> {
        if self.exposed.is_empty() {
            return Ok(());
        }
        for item in self.seen_once().await?.iter() {
            let Some(read) = exposure_of(&item.ledger).and_then(|recipient| self.exposed.get(&recipient)) else {
                continue;
            };
            self.continues(item, |seq| read.hashes.get(usize::try_from(seq).ok()?).copied())?;
        }
        Ok(())
    }

    /// Reads what an exposure ledger has behind what was read of it, and who created the datasets that it names.
    async fn read_exposure(&mut self, recipient: Digest) -> Outcome<()> {
        let ledger = LedgerId::Exposure(recipient);
        let from = self.exposed.get(&recipient).map_or(0, |read| read.entries.len() as u64);
        let news = match self.client.entries(&ledger, from).await {
            // What cites it stops the fold, and nothing else is concerned. One that was seen is compared, and can't be if it is not to be read.
            Err(failure) if failure.kind == Kind::Integrity && !self.has_seen(&ledger) => Vec::new(),
            news => news?,
        };
        let first = EntryHash(self.vault.id().0);
        let read = self.exposed.entry(recipient).or_default();
        for stored in news {
            let before = read.hashes.last().copied().unwrap_or(first);
            read.hashes.push(entry_hash(Some(before), &stored));
            read.named.extend(reserves_for(&stored));
            read.entries.push(stored);
        }
        // One that was not there at the last look may be there now.
        let unknown: Vec<_> = read.named.iter().filter(|id| !self.creators.contains_key(*id)).cloned().collect();
        self.know_creators(unknown).await
    }

    /// Each dataset's creator is a steward without having been named one.
    async fn know_creators(&mut self, datasets: impl IntoIterator<Item = DatasetId>) -> Outcome<()> {
        for id in datasets {
            if self.creators.contains_key(&id) {
                continue;
            }
            let first = match self.client.first(&LedgerId::Dataset(id.clone())).await {
                Err(failure) if failure.kind == Kind::Integrity => None,
                first => first?,
            };
            if let Some(creator) = first.and_then(|first| creator_of(&first)) {
                self.creators.insert(id, creator);
            }
        }
        Ok(())
    }

    /// Compares an exposure ledger that was read with what this machine has seen of it, and remembers it.
    fn pin_exposure(&mut self, recipient: Digest) -> Outcome<()> {
        let ledger = LedgerId::Exposure(recipient);
        let hashes = self.exposed.get(&recipient).map_or(&[][..], |read| &read.hashes);
        self.check(&ledger, |seq| usize::try_from(seq).ok().and_then(|i| hashes.get(i)).copied())?;
        let last = hashes.last().copied().zip((hashes.len() as u64).checked_sub(1));
        match last {
            Some((hash, seq)) => self.remember(&ledger, seq, hash),
            None => Ok(()),
        }
    }

    /// Appends a statement to an exposure ledger, once; `None` if somebody else was first, so that the total or the number is another:
    /// then what it rests on has to be read again.
    ///
    /// # Errors
    /// If the fold would not take it, or the store fails.
    pub async fn append_exposure(
        &mut self,
        signer: &Signer,
        recipient: Digest,
        body: Body,
    ) -> Outcome<Option<Reservation>> {
        let ledger = LedgerId::Exposure(recipient);
        if let Body::Reserved(reserved) = &body {
            self.know_creators([reserved.dataset.clone()]).await?;
        }
        // What is counted on top of a total that was rolled back would be signed as too little.
        let exposures = self.exposures_of(&BTreeSet::from([recipient])).await?;
        let missing = || {
            Failure::integrity(format!("ledger {ledger} can't be folded"))
                .or_in_chinese(format!("账本 {ledger} 无法读取"))
        };
        let state = exposures.of(&recipient).ok_or_else(missing)?;
        if let Some(stop) = state.stop() {
            return Err(stop.clone().into());
        }
        if let Body::Reserved(reserved) = &body
            && state.total().checked_add(reserved.added) != Some(reserved.total)
        {
            return Ok(None);
        }
        let before = state.judged().last().map_or(EntryHash(self.vault.id().0), |last| last.hash);
        let seq = state.judged().len() as u64;
        let statement = self.statement(signer, ledger.clone(), seq, Some(before), body);
        let stored = Bytes::from(sign(signer, &statement)?);
        let hash = entry_hash(Some(before), &stored);
        let mut next = state.clone();
        next.extend(&self.vault, &self.creators, &[&stored]);
        accepted(next.judged(), seq, &statement.body)?;
        match self.client.append(&ledger, seq, stored.clone()).await? {
            Append::Done => {
                let read = self.exposed.entry(recipient).or_default();
                read.hashes.push(hash);
                read.named.extend(reserves_for(&stored));
                read.entries.push(stored);
                self.pin_exposure(recipient)?;
                Ok(Some(Reservation { hash, ledger, seq }))
            }
            Append::Taken => {
                self.client.turn(&ledger).await;
                Ok(None)
            }
        }
    }
}

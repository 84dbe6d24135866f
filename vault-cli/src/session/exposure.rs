//! Appending to exposure ledgers: what is counted for an ultimate recipient or a provider, before a grant rests on it. Spec 5.6.

use bytes::Bytes;
use vault_core::ids::{Digest, EntryHash, LedgerId};
use vault_core::ledger::dataset::creator_of;
use vault_core::ledger::exposure::{Creators, ExposureState};
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{Body, Reservation};

use super::{Session, Signer, accepted, sign};
use crate::client::Append;
use crate::error::Outcome;

impl Session {
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
        let creators = self.creators().await?;
        let mut entries = self.client.entries(&ledger, 0).await?;
        self.refresh().await?;
        // What is counted on top of a total that was rolled back would be signed as too little.
        self.compare_exposure(recipient, &entries)?;
        let state = ExposureState::fold(&self.vault, &creators, recipient, &entries);
        if let Some(stop) = state.stop() {
            return Err(stop.clone().into());
        }
        if let Body::Reserved(reserved) = &body
            && state.total().checked_add(reserved.added) != Some(reserved.total)
        {
            return Ok(None);
        }
        let before = state.judged().last().map_or(EntryHash(self.vault.id().0), |last| last.hash);
        let seq = entries.len() as u64;
        let statement = self.statement(signer, ledger.clone(), seq, Some(before), body);
        let stored = Bytes::from(sign(signer, &statement)?);
        let hash = entry_hash(Some(before), &stored);
        entries.push(stored.clone());
        let next = ExposureState::fold(&self.vault, &creators, recipient, &entries);
        accepted(next.judged(), seq, &statement.body)?;
        match self.client.append(&ledger, seq, stored).await? {
            Append::Done => {
                self.compare_exposure(recipient, &entries)?;
                Ok(Some(Reservation { hash, ledger, seq }))
            }
            Append::Taken => {
                self.client.turn(&ledger).await;
                Ok(None)
            }
        }
    }

    /// Each dataset's creator, who is a steward without having been named one.
    async fn creators(&self) -> Outcome<Creators> {
        let mut creators = Creators::new();
        for ledger in self.client.ledgers().await? {
            let LedgerId::Dataset(id) = &ledger else { continue };
            if let Some(creator) = self.readable(&ledger).await?.first().and_then(|first| creator_of(first)) {
                creators.insert(id.clone(), creator);
            }
        }
        Ok(creators)
    }
}

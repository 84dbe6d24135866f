//! Appending behind a fork of the vault ledger: the officer's statement that settles it. Spec 4.4 and 4.5.

use bytes::Bytes;
use vault_core::ids::{EntryHash, LedgerId};
use vault_core::ledger::fold::entry_hash;
use vault_core::ledger::statement::{Body, RecoveredTerms, Statement};
use vault_core::ledger::vault::VaultState;

use super::{Session, Signer, accepted, sign};
use crate::client::Append;
use crate::clock;
use crate::error::{Failure, Kind, Outcome};

impl Session {
    /// The hash of every entry that a ledger holds, whether the fold reads it or not.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn stored_hashes(&self, ledger: &LedgerId) -> Outcome<Vec<EntryHash>> {
        let entries = self.client.single_entries(ledger, 0).await?;
        Ok(match ledger {
            LedgerId::Vault => chain(None, &entries),
            LedgerId::Dataset(_) | LedgerId::Exposure(_) => chain(Some(EntryHash(self.vault.id().0)), &entries),
        })
    }

    /// Appends a `recovered` to the vault ledger: where that one has stopped, behind the entry at which it did.
    ///
    /// # Errors
    /// If it would not count or would not settle the fork, or the store fails.
    pub async fn append_recovered(&mut self, signer: &Signer, body: &Body, terms: &RecoveredTerms) -> Outcome<u64> {
        if self.vault.stop().is_none() {
            return self.append_vault(signer, body).await;
        }
        let mut entries = self.client.single_entries(&LedgerId::Vault, 0).await?;
        let seq = entries.len() as u64;
        let statement = Statement {
            author: signer.member.clone(),
            body: body.clone(),
            card: signer.card,
            ledger: LedgerId::Vault,
            prev: chain(None, &entries).last().copied(),
            seq,
            time: clock::now(),
            vault: Some(*self.vault.id()),
            vault_head: None,
        };
        let stored = Bytes::from(sign(signer, &statement)?);
        entries.push(stored.clone());
        let next = VaultState::fold(self.vault.id(), &entries).map_err(|e| Failure::integrity(e.to_string()))?;
        if let Some(stop) = next.stop() {
            let what = format!("entry {} of {} would not settle it", terms.seq, terms.ledger);
            return Err(Failure::from(stop.clone()).at(what));
        }
        accepted(next.judged(), seq, body)?;
        match self.client.append(&LedgerId::Vault, seq, stored).await? {
            Append::Done => {
                self.vault = next;
                self.remember_vault()?;
                Ok(seq)
            }
            Append::Taken => Err(Failure::new(Kind::Conflict, "somebody else wrote to the vault ledger meanwhile")
                .hint("run the same command again")),
        }
    }
}

fn chain(mut before: Option<EntryHash>, entries: &[Bytes]) -> Vec<EntryHash> {
    let next = |stored: &Bytes| {
        let hash = entry_hash(before, stored);
        before = Some(hash);
        hash
    };
    entries.iter().map(next).collect()
}

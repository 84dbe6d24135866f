//! Appending behind a fork of the vault ledger: the officer's statement that settles it. Spec 4.4 and 4.5.

use bytes::Bytes;
use vault_core::ids::{EntryHash, LedgerId};
use vault_core::ledger::fold::{Stop, entry_hash};
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
    /// If the store fails, or shows another vault ledger than it did before.
    pub async fn stored_hashes(&self, ledger: &LedgerId) -> Outcome<Vec<EntryHash>> {
        let entries = self.client.single_entries(ledger, 0).await?;
        match ledger {
            LedgerId::Vault => self.continued(&entries),
            LedgerId::Dataset(_) | LedgerId::Exposure(_) => Ok(chain(Some(EntryHash(self.vault.id().0)), &entries)),
        }
    }

    /// The hashes of a vault ledger that was read again: it goes on from what this session has read and compared with its pin, and stops where
    /// that stopped. Else a store could have a fresh signature put on a history that it has cut.
    fn continued(&self, entries: &[Bytes]) -> Outcome<Vec<EntryHash>> {
        let hashes = chain(None, entries);
        let at = |seq: u64| usize::try_from(seq).ok().and_then(|seq| hashes.get(seq)).copied();
        let was: Vec<EntryHash> = self.vault.judged().iter().map(|judged| judged.hash).collect();
        let same = goes_on(&was, self.vault.stop(), &hashes);
        if !same {
            let said = "the vault ledger, read again, is not the one that was read before: nothing was signed";
            return Err(Failure::integrity(said)
                .or_in_chinese("再次读取的保险库账本与此前所读不同：未签署任何内容")
                .hints(
                    "the store may be hiding something: ask another officer what they see",
                    "存储可能有所隐瞒：请向另一管理员核实其所见",
                ));
        }
        self.check(&LedgerId::Vault, at)?;
        Ok(hashes)
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
        let hashes = self.continued(&entries)?;
        let statement = Statement {
            author: signer.member.clone(),
            body: body.clone(),
            card: signer.card,
            ledger: LedgerId::Vault,
            prev: hashes.last().copied(),
            seq,
            time: clock::now(),
            vault: Some(*self.vault.id()),
            vault_head: None,
        };
        let stored = Bytes::from(sign(signer, &statement)?);
        entries.push(stored.clone());
        let next = VaultState::fold(self.vault.id(), &entries)
            .map_err(|e| Failure::integrity(e.to_string()).or_in_chinese("保险库账本的创始条目无效"))?;
        if let Some(stop) = next.stop() {
            let what = format!("entry {} of {} would not settle it", terms.seq, terms.ledger);
            let what_zh = format!("{} 第 {} 条不能因此得到处置", terms.ledger, terms.seq);
            return Err(Failure::from(stop.clone()).at_both(what, what_zh));
        }
        accepted(next.judged(), seq, body)?;
        match self.client.append(&LedgerId::Vault, seq, stored).await? {
            Append::Done => {
                self.vault = next;
                self.remember_vault()?;
                Ok(seq)
            }
            Append::Taken => Err(Failure::new(Kind::Conflict, "somebody else wrote to the vault ledger meanwhile")
                .or_in_chinese("其间他人写入了保险库账本")
                .again()),
        }
    }
}

/// Whether what was read again begins with what was read before, and with the entry at which that stopped.
fn goes_on(was: &[EntryHash], stop: Option<&Stop>, is: &[EntryHash]) -> bool {
    let fork = if let Some(Stop::Fork { hash, .. }) = stop { Some(hash) } else { None };
    is.strip_prefix(was).is_some_and(|rest| fork.is_none_or(|fork| rest.first() == Some(fork)))
}

fn chain(mut before: Option<EntryHash>, entries: &[Bytes]) -> Vec<EntryHash> {
    let next = |stored: &Bytes| {
        let hash = entry_hash(before, stored);
        before = Some(hash);
        hash
    };
    entries.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_goes_on_from_what_was_read() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| EntryHash([n; 32]));
        let fork = Stop::Fork { ledger: LedgerId::Vault, seq: 2, hash: c, why: "" };
        let stop = Some(&fork);
        assert!(goes_on(&[a, b], stop, &[a, b, c]) && goes_on(&[a, b], stop, &[a, b, c, d]));
        assert!(goes_on(&[a, b], None, &[a, b]) && goes_on(&[a, b], None, &[a, b, d]));
        // Cut short, with another history, or with something else where it stopped.
        for is in [&[][..], &[a], &[a, b], &[a, d, c], &[a, b, d], &[c, b, c]] {
            assert!(!goes_on(&[a, b], stop, is), "{is:?}");
        }
        assert!(!goes_on(&[a, b], None, &[a]) && !goes_on(&[a, b], None, &[a, c]));
    }
}

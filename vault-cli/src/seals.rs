//! Sealing an epoch's secret to cards: making the seals, writing them before the statement that names them, taking back what no
//! statement came to name. Spec 2.4 and 6.2.

use std::collections::BTreeSet;

use bytes::Bytes;
use vault_core::epoch::EpochSecret;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{CardId, DatasetId, Digest, MemberId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, EpochSeal, Seal, VaultHead};
use vault_policy::Lang;

use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::random;
use crate::session::{Landed, Session, Signer};

/// Sealed secrets that are not written yet.
#[derive(Debug, Default)]
pub struct Seals(Vec<Sealed>);

#[derive(Debug)]
struct Sealed {
    dataset: DatasetId,
    epoch: u64,
    member: MemberId,
    card: CardId,
    hash: Digest,
    bytes: Bytes,
}

impl Sealed {
    fn name(&self) -> ObjectName {
        ObjectName::Grant {
            dataset: self.dataset.clone(),
            epoch: self.epoch,
            member: self.member.clone(),
            card: self.card,
            hash: self.hash,
        }
    }
}

impl Seals {
    /// Seals epoch `n`'s secret to cards, in the author's name.
    ///
    /// # Errors
    /// If a card is not known, or of another suite.
    pub fn add(
        &mut self,
        session: &Session,
        signer: &Signer,
        dataset: &DatasetId,
        n: u64,
        secret: &EpochSecret,
        cards: &BTreeSet<(MemberId, CardId)>,
    ) -> Outcome<()> {
        let scope = session.scope(dataset);
        let mut rng = random::system();
        for (member, card) in cards {
            let record = session.vault.card(card).ok_or_else(|| {
                Failure::not_found(format!("no card {card} in this vault"))
                    .or_in_chinese(format!("本保险库没有卡片 {card}"))
            })?;
            let sealed = secret.seal_to(&scope, n, &signer.member, &record.card, &mut rng).map_err(|e| {
                Failure::refused(format!("epoch {n} can't be sealed to {member}: {e}"))
                    .or_in_chinese(format!("密钥纪元 {n} 无法封装给 {member}"))
            })?;
            self.0.push(Sealed {
                dataset: dataset.clone(),
                epoch: n,
                member: member.clone(),
                card: *card,
                hash: Digest(sha256(&sealed)),
                bytes: Bytes::from(sealed),
            });
        }
        Ok(())
    }

    /// The hashes, for a statement that opens one epoch.
    pub fn hashes(&self) -> impl Iterator<Item = Seal> {
        self.0.iter().map(|s| Seal { card: s.card, member: s.member.clone(), sha256: s.hash })
    }

    /// The hashes, for a statement that seals several epochs.
    pub fn epoch_hashes(&self) -> impl Iterator<Item = EpochSeal> {
        self.0.iter().map(|s| EpochSeal { card: s.card, epoch: s.epoch, member: s.member.clone(), sha256: s.hash })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes them and appends the statement that names them; if it did not come to be, takes them back.
    ///
    /// # Errors
    /// If the fold would not take the statement, which is found out before anything is written, or the store fails.
    pub async fn append(
        &self,
        session: &mut Session,
        signer: &Signer,
        dataset: &mut DatasetState,
        body: Body,
    ) -> Outcome<Landed> {
        session.would_accept(signer, dataset, body.clone()).await?;
        self.write(session).await?;
        let landed = session.append_only(signer, dataset, body).await;
        self.landed(session, dataset, landed).await
    }

    /// As [`Self::append`], of a statement that was decided at a vault entry: it is lost if the vault ledger has gone on since, and then
    /// nothing is written.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_decided(
        &self,
        session: &mut Session,
        signer: &Signer,
        dataset: &mut DatasetState,
        body: Body,
        decided_at: Option<VaultHead>,
    ) -> Outcome<Landed> {
        session.would_accept(signer, dataset, body.clone()).await?;
        if session.vault.head() != decided_at {
            *dataset = session.dataset(&dataset.id().clone()).await?;
            return Ok(Landed::Lost);
        }
        self.write(session).await?;
        let landed = session.append_decided(signer, dataset, body, decided_at).await;
        self.landed(session, dataset, landed).await
    }

    async fn landed(
        &self,
        session: &mut Session,
        dataset: &mut DatasetState,
        landed: Outcome<Landed>,
    ) -> Outcome<Landed> {
        match landed {
            Ok(Landed::Lost) => {
                self.withdraw(session).await;
                *dataset = session.dataset(&dataset.id().clone()).await?;
                Ok(Landed::Lost)
            }
            Err(failure) if failure.kind == Kind::Refused => {
                self.withdraw(session).await;
                Err(failure)
            }
            // Landed; or the store failed, and then it may have: the seals stay.
            other => other,
        }
    }

    /// Writes them. If one can't be written, those that were are taken back.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn write(&self, session: &Session) -> Outcome<()> {
        for sealed in &self.0 {
            let name = sealed.name();
            let written = session.client.put_new(&name, sealed.bytes.clone()).await.map_err(failed(&name));
            if let Err(failure) = written {
                self.withdraw(session).await;
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Deletes them again, because the statement that was to name them did not come to be: a seal that nobody
    /// knows of would still open the epoch.
    pub async fn withdraw(&self, session: &Session) {
        for sealed in &self.0 {
            if let Err(failure) = session.client.withdraw(&sealed.name()).await {
                let why = failure.say(session.lang);
                crate::output::warn(&match session.lang {
                    Lang::En => format!("seqvault: an unused seal remains, run `seqvault doctor`: {why}"),
                    Lang::Zh => format!("seqvault：留有未使用的密封密钥，请运行 `seqvault doctor`：{why}"),
                });
                return;
            }
        }
    }
}

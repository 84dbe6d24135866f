//! Members whose keys follow from their numbers, and the names of what the vault holds.

use std::convert::Infallible;

use anyhow::{Context, Result};
use vault_core::card::Card;
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::SigningKey;
use vault_core::ids::{CardId, DatasetId, ManifestId, MemberId};
use vault_core::ledger::statement::Statement;
use vault_core::seal::PrivateKey;
use vault_core::secret::Secret32;
use vault_core::suite::Suite;

/// The vault's suite.
pub(crate) const SUITE: Suite = Suite::X25519;

/// A member that has no identity file.
pub(crate) struct Person {
    pub(crate) member: MemberId,
    pub(crate) card: Card,
    signing: SigningKey,
}

impl Person {
    /// The member of a number; 0 is the officer, who is also steward of every dataset.
    pub(crate) fn of(number: usize) -> Result<Self> {
        let name = format!("m{number:04}");
        let signing = SigningKey::from_seed(&Secret32::take(&mut hash("signs", number)));
        let kem = PrivateKey::from_secret(SUITE, Secret32::take(&mut hash("opens", number)));
        let card = Card::make(SUITE, &name, 1, &signing, &kem.public_key())?;
        Ok(Self { member: name.parse().context("member")?, card, signing })
    }

    pub(crate) fn id(&self) -> CardId {
        *self.card.id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message)
    }

    pub(crate) fn says(&self, statement: &Statement) -> Result<Vec<u8>> {
        Ok(statement.sign(|message| Ok::<_, Infallible>(self.sign(message)))?)
    }
}

/// The dataset of a number.
pub(crate) fn dataset(number: usize) -> Result<DatasetId> {
    format!("d{number:05}").parse().context("dataset")
}

/// A dataset's manifest of a number; manifest 0 lies in the store, the others are only named.
pub(crate) fn manifest(dataset: usize, number: usize) -> ManifestId {
    ManifestId(id("manifest", dataset, number))
}

/// 32 bytes that nobody else's number gives.
pub(crate) fn hash(what: &str, number: usize) -> [u8; 32] {
    sha256(format!("seqvault load: {what} {number}").as_bytes())
}

/// 16 bytes of two numbers.
pub(crate) fn id(what: &str, one: usize, two: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(hash(&format!("{what} {one}"), two).first_chunk::<16>().unwrap_or(&[0; 16]));
    id
}

//! An epoch of a dataset: its secret, what is derived from it, and the table of re-wrapped manifest keys.
//! Spec sections 2.4 and 2.5.

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::card::Card;
use crate::context::Scope;
use crate::floe::{self, FloeError};
use crate::hazmat::kdf;
use crate::ids::{CardId, ManifestId, MemberId};
use crate::seal::{self, OpenError, PrivateKey, PublicKey, SealError};
use crate::secret::Secret32;

/// An epoch's secret that can't be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// The seal does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The secret gives another public key than the statement that opened the epoch.
    #[error("the sealed secret is not that of the epoch that was signed")]
    WrongSecret,
}

/// A key table that can't be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A table of no keys is not stored.
    #[error("a table of no keys is not stored")]
    Empty,
    /// It does not open, or its length does not fit the signed count.
    #[error("the key table does not open: {0}")]
    Body(#[from] FloeError),
    /// Its records are not in ascending order of distinct ids.
    #[error("the key table's records are out of order")]
    Order,
}

/// The secret `E_n` of an epoch; whoever holds it reads the epoch.
#[derive(Debug)]
pub struct EpochSecret(Secret32);

impl EpochSecret {
    /// Draws the secret of a new epoch.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret32::generate(rng))
    }

    /// Accepts a secret that was opened, if it gives the public key that the statement which opened the epoch names.
    ///
    /// # Errors
    /// If it gives another.
    pub fn accept(secret: Secret32, scope: &Scope, n: u64, public: &PublicKey) -> Result<Self, EpochError> {
        let secret = Self(secret);
        if secret.public_key(scope, n) == *public { Ok(secret) } else { Err(EpochError::WrongSecret) }
    }

    /// Opens a sealed secret and accepts it.
    ///
    /// # Errors
    /// If the seal does not open, or holds another secret than that of the signed public key.
    pub fn open(
        key: &PrivateKey,
        sealed: &[u8],
        scope: &Scope,
        n: u64,
        author: &MemberId,
        card: &CardId,
        public: &PublicKey,
    ) -> Result<Self, EpochError> {
        let secret = seal::open(key, sealed, &scope.grant(n, author, card))?;
        Self::accept(secret, scope, n, public)
    }

    /// Seals the secret to a card of the scope's suite.
    ///
    /// # Errors
    /// If the card is of another suite.
    pub fn seal_to(
        &self,
        scope: &Scope,
        n: u64,
        author: &MemberId,
        card: &Card,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        if card.suite() != scope.suite {
            return Err(SealError::Suite);
        }
        seal::seal(card.kem(), &self.0, &scope.grant(n, author, card.id()), rng)
    }

    /// The epoch's private key, which opens sealed manifest keys.
    // HKDF-Expand-SHA256(PRK = E_n, info = ctx("seqvault/v1/epoch-key-pair", .., n), 32)
    #[must_use]
    pub fn private_key(&self, scope: &Scope, n: u64) -> PrivateKey {
        let secret = kdf::expand_sha256(&self.0, scope.epoch_key_pair(n).as_bytes());
        PrivateKey::from_secret(scope.suite, secret)
    }

    /// The epoch's public key, which a statement names and uploaders seal to.
    #[must_use]
    pub fn public_key(&self, scope: &Scope, n: u64) -> PublicKey {
        self.private_key(scope, n).public_key()
    }

    /// The key of the epoch's key table.
    // HKDF-Expand-SHA256(PRK = E_n, info = ctx("seqvault/v1/table-key", .., n), 32)
    #[must_use]
    pub fn table_key(&self, scope: &Scope, n: u64) -> Secret32 {
        kdf::expand_sha256(&self.0, scope.table_key(n).as_bytes())
    }
}

const ID: usize = 16;
const RECORD: usize = 48;

/// Manifest keys by manifest: what a new epoch keeps of the older ones.
#[derive(Debug)]
pub struct KeyTable(BTreeMap<ManifestId, Secret32>);

impl KeyTable {
    /// A table of these keys.
    #[must_use]
    pub const fn new(keys: BTreeMap<ManifestId, Secret32>) -> Self {
        Self(keys)
    }

    /// Seals the table under the table key of epoch `n`.
    ///
    /// # Errors
    /// If it holds no key.
    pub fn seal(&self, key: &Secret32, scope: &Scope, n: u64, rng: &mut impl CryptoRng) -> Result<Vec<u8>, TableError> {
        if self.0.is_empty() {
            return Err(TableError::Empty);
        }
        let mut plain = Zeroizing::new(Vec::with_capacity(self.0.len().saturating_mul(RECORD)));
        for (id, key) in &self.0 {
            plain.extend_from_slice(&id.0);
            plain.extend_from_slice(key.expose());
        }
        Ok(floe::seal_bytes(key, scope.table(n).as_bytes(), &plain, rng)?)
    }

    /// Opens the table of epoch `n` with the signed number of records. Its hash is checked before, by the caller.
    ///
    /// # Errors
    /// If its length does not fit the count, it does not open, or its records are out of order.
    pub fn open(bytes: &[u8], key: &Secret32, scope: &Scope, n: u64, count: u64) -> Result<Self, TableError> {
        if count == 0 {
            return Err(TableError::Empty);
        }
        let size = count.checked_mul(RECORD as u64).ok_or(FloeError::Length)?;
        let plain = floe::open_bytes(key, scope.table(n).as_bytes(), bytes, size)?;
        let mut keys = BTreeMap::new();
        let mut last = None;
        let (records, _) = plain.as_chunks::<RECORD>();
        for record in records {
            let (id, key) = record.split_first_chunk::<ID>().ok_or(TableError::Order)?;
            let id = ManifestId(*id);
            if last.is_some_and(|last| id <= last) {
                return Err(TableError::Order);
            }
            last = Some(id);
            keys.insert(id, Secret32::from_slice(key).ok_or(TableError::Order)?);
        }
        Ok(Self(keys))
    }

    /// The key of a manifest.
    #[must_use]
    pub fn lookup(&self, manifest: &ManifestId) -> Option<&Secret32> {
        self.0.get(manifest)
    }

    /// The manifests and their keys in order of id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ManifestId, &Secret32)> {
        self.0.iter()
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;
    use crate::hazmat::sign::SigningKey;
    use crate::ids::VaultId;
    use crate::suite::Suite;

    fn scope(suite: Suite) -> Scope {
        Scope { suite, vault: Some(VaultId([1; 32])), dataset: Some("cohort-7".parse().unwrap()) }
    }

    fn author() -> MemberId {
        "lab".parse().unwrap()
    }

    fn table() -> KeyTable {
        KeyTable::new((0..100).map(|i| (ManifestId([i; 16]), Secret32::take(&mut [i ^ 0x55; 32]))).collect())
    }

    #[test]
    fn a_sealed_secret_opens_for_its_card_epoch_and_author_only() {
        for suite in [Suite::X25519, Suite::XWing] {
            let (scope, mut rng) = (scope(suite), UnwrapErr(SysRng));
            let key = PrivateKey::from_secret(suite, Secret32::generate(&mut rng));
            let signing = SigningKey::from_seed(&Secret32::generate(&mut rng));
            let card = Card::make(suite, "", 0, &signing, &key.public_key()).unwrap();
            let secret = EpochSecret::generate(&mut rng);
            let sealed = secret.seal_to(&scope, 3, &author(), &card, &mut rng).unwrap();
            let public = secret.public_key(&scope, 3);
            let open = |n, author: MemberId, public: &PublicKey| {
                EpochSecret::open(&key, &sealed, &scope, n, &author, card.id(), public)
            };
            assert_eq!(open(3, author(), &public).unwrap().0, secret.0);
            assert!(matches!(open(4, author(), &public), Err(EpochError::Open(_))));
            assert!(matches!(open(3, "mallory".parse().unwrap(), &public), Err(EpochError::Open(_))));
            let other = EpochSecret::generate(&mut rng).public_key(&scope, 3);
            assert!(matches!(open(3, author(), &other), Err(EpochError::WrongSecret)));
        }
    }

    #[test]
    fn nothing_is_sealed_to_a_card_of_another_suite() {
        let mut rng = UnwrapErr(SysRng);
        let key = PrivateKey::from_secret(Suite::X25519, Secret32::generate(&mut rng));
        let signing = SigningKey::from_seed(&Secret32::generate(&mut rng));
        let card = Card::make(Suite::X25519, "", 0, &signing, &key.public_key()).unwrap();
        let sealed = EpochSecret::generate(&mut rng).seal_to(&scope(Suite::XWing), 1, &author(), &card, &mut rng);
        assert_eq!(sealed, Err(SealError::Suite));
    }

    // The derivation is written out in the KDF room; here the crate for HKDF says the same.
    #[test]
    fn derivations_are_hkdf_expand_and_differ_by_use_and_number() {
        let secret = EpochSecret(Secret32::take(&mut [7; 32]));
        let scope = scope(Suite::X25519);
        let mut expected = [0; 32];
        hkdf::Hkdf::<sha2::Sha256>::from_prk(&[7; 32])
            .unwrap()
            .expand(scope.table_key(2).as_bytes(), &mut expected)
            .unwrap();
        assert_eq!(secret.table_key(&scope, 2).expose(), &expected);
        assert_ne!(secret.table_key(&scope, 2), secret.table_key(&scope, 3));
        assert_ne!(secret.public_key(&scope, 2), secret.public_key(&scope, 3));
    }

    #[test]
    fn a_table_reads_back_and_finds_its_keys() {
        let (key, scope) = (Secret32::take(&mut [2; 32]), scope(Suite::XWing));
        let sealed = table().seal(&key, &scope, 5, &mut UnwrapErr(SysRng)).unwrap();
        assert_eq!(sealed.len(), 74 + 32 + 48 * 100);
        let opened = KeyTable::open(&sealed, &key, &scope, 5, 100).unwrap();
        assert_eq!(opened.len(), 100);
        assert!(!opened.is_empty() && KeyTable::new(BTreeMap::new()).is_empty());
        assert_eq!(opened.lookup(&ManifestId([7; 16])), Some(&Secret32::take(&mut [7 ^ 0x55; 32])));
        assert_eq!(opened.lookup(&ManifestId([200; 16])), None);
    }

    #[test]
    fn a_table_of_another_count_epoch_or_key_is_refused() {
        let (key, scope) = (Secret32::take(&mut [2; 32]), scope(Suite::XWing));
        let sealed = table().seal(&key, &scope, 5, &mut UnwrapErr(SysRng)).unwrap();
        for count in [0, 99, 101, u64::MAX] {
            assert!(KeyTable::open(&sealed, &key, &scope, 5, count).is_err(), "{count}");
        }
        assert!(KeyTable::open(&sealed, &key, &scope, 6, 100).is_err());
        assert!(KeyTable::open(&sealed, &Secret32::take(&mut [3; 32]), &scope, 5, 100).is_err());
    }

    #[test]
    fn records_out_of_order_or_doubled_are_refused() {
        let (key, scope) = (Secret32::take(&mut [2; 32]), scope(Suite::XWing));
        for ids in [[2, 1], [1, 1]] {
            let plain: Vec<u8> = ids.iter().flat_map(|id| [*id; RECORD]).collect();
            let sealed = floe::seal_bytes(&key, scope.table(1).as_bytes(), &plain, &mut UnwrapErr(SysRng)).unwrap();
            assert_eq!(KeyTable::open(&sealed, &key, &scope, 1, 2).unwrap_err(), TableError::Order);
        }
    }

    #[test]
    fn an_empty_table_is_not_made() {
        let sealed = KeyTable::new(BTreeMap::new()).seal(
            &Secret32::take(&mut [2; 32]),
            &scope(Suite::XWing),
            1,
            &mut UnwrapErr(SysRng),
        );
        assert_eq!(sealed, Err(TableError::Empty));
    }
}

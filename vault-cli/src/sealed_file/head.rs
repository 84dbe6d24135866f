//! The head of a sealed file: its suite, and a seal of its key for each card. Spec section 2.6.
//!
//! ```text
//! head = "SVSEAL01" || u8 suite || u16 count || count × ( card id (32) || seal )
//! ```

use std::io::{self, Read};

use rand_core::CryptoRng;
use vault_core::card::Card;
use vault_core::context::{Context, Scope};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::CardId;
use vault_core::seal::{self, SealError};
use vault_core::secret::Secret32;
use vault_core::suite::Suite;
use vault_keys::custodian::{Custodian, CustodyError};

/// Most cards that one file is sealed to.
pub const MAX_RECIPIENTS: usize = 1024;

const MAGIC: &[u8; 8] = b"SVSEAL01";
const MAGIC_OF_ANY_VERSION: &[u8; 6] = b"SVSEAL";
const FIXED: usize = MAGIC.len() + 3;
const CARD_ID: usize = 32;

/// Cards that no head can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// None, or more than [`MAX_RECIPIENTS`].
    #[error("a file is sealed to 1 to {MAX_RECIPIENTS} cards")]
    Count,
    /// Cards of more than one suite.
    #[error("all cards of a sealed file have the same suite")]
    Suites,
    /// A card whose key nothing can be sealed to, which a parsed card does not have.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Bytes that do not start as a sealed file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else.
    #[error("not a sealed file")]
    NotSealed,
    /// A format of another version.
    #[error("a sealed file of a format that is not known to this version")]
    Version,
    /// A suite of another version.
    #[error("suite {0} is not known to this version")]
    Suite(u8),
    /// The input ends within the head.
    #[error("the sealed file is cut short")]
    Truncated,
    /// A count out of bounds, or cards that are not in order.
    #[error("the head of the sealed file is malformed")]
    Malformed,
}

/// Who may open a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    suite: Suite,
    bytes: Vec<u8>,
}

impl Head {
    /// Seals a file's key to cards, in any order; a card that is there twice counts once.
    ///
    /// # Errors
    /// If there are no cards, too many, or of more than one suite.
    pub fn make(cards: &[Card], key: &Secret32, rng: &mut impl CryptoRng) -> Result<Self, MakeError> {
        let mut cards: Vec<&Card> = cards.iter().collect();
        cards.sort_unstable_by_key(|card| *card.id());
        cards.dedup_by_key(|card| *card.id());
        let suite = cards.first().ok_or(MakeError::Count)?.suite();
        if cards.iter().any(|card| card.suite() != suite) {
            return Err(MakeError::Suites);
        }
        let count = u16::try_from(cards.len()).ok().filter(|n| usize::from(*n) <= MAX_RECIPIENTS);
        let count = count.ok_or(MakeError::Count)?;
        let mut bytes = [&MAGIC[..], &[suite.id()], &count.to_be_bytes()].concat();
        for card in cards {
            bytes.extend_from_slice(card.id().as_bytes());
            bytes.extend_from_slice(&seal::seal(card.kem(), key, &key_info(suite, card.id()), rng)?);
        }
        Ok(Self { suite, bytes })
    }

    /// Reads a head and nothing after it.
    ///
    /// # Errors
    /// If the input can't be read or does not start as a sealed file.
    pub fn read(input: &mut impl Read) -> Result<Self, ReadError> {
        let mut bytes = read_exactly(input, Vec::new(), FIXED)?;
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(ReadError::Truncated)?;
        if magic != MAGIC {
            return Err(if magic.starts_with(MAGIC_OF_ANY_VERSION) {
                ReadError::Version
            } else {
                ReadError::NotSealed
            });
        }
        let &[suite, high, low] = rest else { return Err(ReadError::Truncated) };
        let suite = Suite::from_id(suite).ok_or(ReadError::Suite(suite))?;
        let count = usize::from(u16::from_be_bytes([high, low]));
        if !(1..=MAX_RECIPIENTS).contains(&count) {
            return Err(ReadError::Malformed);
        }
        bytes = read_exactly(input, bytes, count * (CARD_ID + suite.seal_len()))?;
        let head = Self { suite, bytes };
        if head.recipients().is_sorted_by(|(one, _), (next, _)| one < next) {
            Ok(head)
        } else {
            Err(ReadError::Malformed)
        }
    }

    /// The suite of its seals.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The stored bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The ids of the cards that it is sealed to, ascending.
    pub fn cards(&self) -> impl Iterator<Item = CardId> {
        self.recipients().map(|(card, _)| card)
    }

    /// Whether it is sealed to a card.
    #[must_use]
    pub fn is_sealed_to(&self, card: &CardId) -> bool {
        self.seal_to(card).is_some()
    }

    /// Opens the file's key; `None` if it is not sealed to the custodian's card.
    ///
    /// # Errors
    /// If the seal does not open.
    pub fn open_key(&self, custodian: &dyn Custodian) -> Option<Result<Secret32, CustodyError>> {
        let card = custodian.card().id();
        self.seal_to(card).map(|sealed| custodian.open(sealed, &key_info(self.suite, card)))
    }

    /// The FLOE AAD of the body: it binds every byte of the head.
    #[must_use]
    pub fn body_aad(&self) -> Context {
        Scope::without_vault(self.suite).sealed_file(&sha256(&self.bytes))
    }

    fn seal_to(&self, card: &CardId) -> Option<&[u8]> {
        self.recipients().find(|(id, _)| id == card).map(|(_, sealed)| sealed)
    }

    fn recipients(&self) -> impl Iterator<Item = (CardId, &[u8])> {
        let entries = self.bytes.get(FIXED..).unwrap_or_default();
        entries
            .chunks_exact(CARD_ID + self.suite.seal_len())
            .filter_map(|entry| entry.split_first_chunk().map(|(id, sealed)| (CardId(*id), sealed)))
    }
}

fn key_info(suite: Suite, card: &CardId) -> Context {
    Scope::without_vault(suite).sealed_file_key(card)
}

fn read_exactly(input: &mut impl Read, mut bytes: Vec<u8>, more: usize) -> Result<Vec<u8>, ReadError> {
    let limit = u64::try_from(more).map_err(|_| ReadError::Malformed)?;
    bytes.reserve_exact(more);
    if input.take(limit).read_to_end(&mut bytes)? == more {
        return Ok(bytes);
    }
    // What is too short to be told apart from another file is not called cut short.
    if bytes.starts_with(MAGIC_OF_ANY_VERSION) { Err(ReadError::Truncated) } else { Err(ReadError::NotSealed) }
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;
    use vault_keys::memory::MemoryCustodian;

    use super::*;

    fn identity(suite: Suite) -> MemoryCustodian {
        MemoryCustodian::generate(suite, "test", 1_790_000_000, &mut UnwrapErr(SysRng)).unwrap()
    }

    fn made(suite: Suite, custodians: &[&MemoryCustodian]) -> (Head, Secret32) {
        let rng = &mut UnwrapErr(SysRng);
        let key = Secret32::generate(rng);
        let cards: Vec<Card> = custodians.iter().map(|c| c.card().clone()).collect();
        let head = Head::make(&cards, &key, rng).unwrap();
        assert_eq!(head.suite(), suite);
        (head, key)
    }

    #[test]
    fn every_recipient_opens_the_key_and_nobody_else() {
        for suite in [Suite::X25519, Suite::XWing] {
            let (one, two, other) = (identity(suite), identity(suite), identity(suite));
            let (head, key) = made(suite, &[&one, &two, &one]);
            assert_eq!(head.as_bytes().len(), 11 + 2 * (32 + suite.seal_len()));
            let read = Head::read(&mut head.as_bytes()).unwrap();
            assert_eq!(read, head);
            for custodian in [&one, &two] {
                assert!(read.open_key(custodian).unwrap().unwrap() == key);
            }
            assert!(read.open_key(&other).is_none());
            assert!(!read.is_sealed_to(other.card().id()));
        }
    }

    #[test]
    fn a_seal_for_one_card_does_not_open_in_the_place_of_another() {
        let (one, two) = (identity(Suite::X25519), identity(Suite::X25519));
        let (mut head, _) = made(Suite::X25519, &[&one, &two]);
        let (first, second) = head.bytes[11..].split_at_mut(112);
        first[32..].swap_with_slice(&mut second[32..]);
        assert!(head.open_key(&one).unwrap().is_err());
    }

    #[test]
    fn a_file_has_one_suite_and_a_recipient() {
        let rng = &mut UnwrapErr(SysRng);
        let key = Secret32::generate(rng);
        let cards = [identity(Suite::X25519).card().clone(), identity(Suite::XWing).card().clone()];
        assert_eq!(Head::make(&cards, &key, rng), Err(MakeError::Suites));
        assert_eq!(Head::make(&[], &key, rng), Err(MakeError::Count));
    }

    #[test]
    fn every_truncation_of_a_head_is_refused() {
        let one = identity(Suite::X25519);
        let (head, _) = made(Suite::X25519, &[&one]);
        for len in 0..head.bytes.len() {
            let error = Head::read(&mut &head.bytes[..len]).unwrap_err();
            let expected =
                if len < 6 { matches!(error, ReadError::NotSealed) } else { matches!(error, ReadError::Truncated) };
            assert!(expected, "{len}: {error:?}");
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let (one, two) = (identity(Suite::X25519), identity(Suite::X25519));
        let (head, _) = made(Suite::X25519, &[&one, &two]);
        let read = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = head.bytes.clone();
            change(&mut bytes);
            Head::read(&mut &bytes[..]).unwrap_err()
        };
        assert!(matches!(read(&|b| b[0] = b'X'), ReadError::NotSealed));
        assert!(matches!(read(&|b| b[7] = b'2'), ReadError::Version));
        assert!(matches!(read(&|b| b[8] = 3), ReadError::Suite(3)));
        assert!(matches!(read(&|b| b[10] = 0), ReadError::Malformed));
        assert!(matches!(read(&|b| b[9] = 4), ReadError::Malformed));
        assert!(matches!(read(&|b| b.copy_within(11..123, 123)), ReadError::Malformed));
        assert!(matches!(
            read(&|b| {
                let (first, second) = b[11..].split_at_mut(112);
                first.swap_with_slice(second);
            }),
            ReadError::Malformed
        ));
    }
}

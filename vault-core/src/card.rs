//! Cards: the public half of an identity, signed by itself. Spec section 2.1.

use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, EnvelopeError, PayloadType};
use crate::hazmat::kdf::sha256;
use crate::hazmat::sign::{SigningKey, VerifyingKey};
use crate::ids::CardId;
use crate::json::{self, B64, JsonError};
use crate::seal::PublicKey;
use crate::suite::Suite;

/// Longest stored form.
pub const MAX_STORED: usize = 8 << 10;
/// Longest label, in bytes.
pub const MAX_LABEL: usize = 128;

const FORMAT: u64 = 1;

/// Bytes that are no valid card, or values that make none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// More than 8 KiB.
    #[error("a card has at most 8 KiB")]
    TooLong,
    /// Not an envelope.
    #[error("not a card: {0}")]
    Envelope(#[from] EnvelopeError),
    /// An envelope of something else.
    #[error("signed bytes, but not a card")]
    NotACard,
    /// The payload is not canonical JSON of a card's shape.
    #[error("malformed card: {0}")]
    Payload(#[from] JsonError),
    /// A card format of another version.
    #[error("card format {0} is not known to this version")]
    Format(u64),
    /// A suite of another version.
    #[error("suite {0} is not known to this version")]
    Suite(u64),
    /// A label that is too long or holds control characters.
    #[error("a label is at most 128 bytes of UTF-8 without control characters")]
    Label,
    /// A key that fails the checks of section 1.3.
    #[error("the card holds an invalid {0} key")]
    Key(&'static str),
    /// The envelope names another card than it holds.
    #[error("the envelope names another card")]
    KeyId,
    /// The card's own key did not sign it.
    #[error("the card's signature does not verify")]
    Signature,
}

/// A valid card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    id: CardId,
    suite: Suite,
    label: String,
    created: u64,
    sign: VerifyingKey,
    kem: PublicKey,
    stored: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    created: u64,
    format: u64,
    kem: B64,
    label: String,
    sign: B64,
    suite: u64,
}

impl Card {
    /// Parses and checks stored bytes: shape, keys, signature.
    ///
    /// # Errors
    /// If anything of section 2.1 does not hold.
    pub fn parse(stored: &[u8]) -> Result<Self, CardError> {
        if stored.len() > MAX_STORED {
            return Err(CardError::TooLong);
        }
        let envelope = Envelope::parse(stored)?;
        if envelope.payload_type != PayloadType::Card {
            return Err(CardError::NotACard);
        }
        let payload: Payload = json::parse(&envelope.payload)?;
        if payload.format != FORMAT {
            return Err(CardError::Format(payload.format));
        }
        let suite = u8::try_from(payload.suite).ok().and_then(Suite::from_id).ok_or(CardError::Suite(payload.suite))?;
        check_label(&payload.label)?;
        let sign = VerifyingKey::parse(&payload.sign.0).map_err(|_| CardError::Key("signing"))?;
        let kem = PublicKey::parse(suite, &payload.kem.0).map_err(|_| CardError::Key("KEM"))?;
        let id = CardId(sha256(&envelope.payload));
        if envelope.keyid != id {
            return Err(CardError::KeyId);
        }
        envelope.verify(&sign).map_err(|_| CardError::Signature)?;
        Ok(Self { id, suite, label: payload.label, created: payload.created, sign, kem, stored: stored.to_vec() })
    }

    /// Makes a card that signs itself. `created` is in seconds since 1970.
    ///
    /// # Errors
    /// If the label, the time or the key's suite is out of bounds.
    pub fn make(
        suite: Suite,
        label: &str,
        created: u64,
        signing: &SigningKey,
        kem: &PublicKey,
    ) -> Result<Self, CardError> {
        check_label(label)?;
        if kem.suite() != suite {
            return Err(CardError::Key("KEM"));
        }
        let payload = json::emit(&Payload {
            created,
            format: FORMAT,
            kem: B64(kem.as_bytes().to_vec()),
            label: label.to_owned(),
            sign: B64(signing.verifying_key().as_bytes().to_vec()),
            suite: suite.id().into(),
        })?;
        let id = CardId(sha256(&payload));
        let signed = Envelope::signed_with(PayloadType::Card, payload, id, |pae| {
            Ok::<_, core::convert::Infallible>(signing.sign(pae))
        });
        match signed {
            Ok(envelope) => Self::parse(&envelope.emit()),
            Err(never) => match never {},
        }
    }

    /// SHA-256 of the payload.
    #[must_use]
    pub const fn id(&self) -> &CardId {
        &self.id
    }

    /// The suite of its KEM key.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// What its maker called it; nobody vouches for it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// When its maker says it was made, in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// The key that verifies its signatures.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.sign
    }

    /// The key that secrets are sealed to.
    #[must_use]
    pub const fn kem(&self) -> &PublicKey {
        &self.kem
    }

    /// The stored bytes.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.id)
    }
}

/// The first 20 bytes of a card id in lower-case base32, eight groups of four joined by `-`.
#[must_use]
pub fn fingerprint(id: &CardId) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut out = String::with_capacity(39);
    let (groups, _) = id.0.as_chunks::<5>();
    for group in groups.iter().take(4) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for digit in 0..8u32 {
            if digit % 4 == 0 && !out.is_empty() {
                out.push('-');
            }
            let value = usize::try_from(bits >> (35 - 5 * digit) & 31).unwrap_or(0);
            out.push(char::from(*ALPHABET.get(value).unwrap_or(&b'a')));
        }
    }
    out
}

fn check_label(label: &str) -> Result<(), CardError> {
    if label.len() <= MAX_LABEL && !label.chars().any(char::is_control) { Ok(()) } else { Err(CardError::Label) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::PrivateKey;
    use crate::secret::Secret32;

    fn signing(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::take(&mut [seed; 32]))
    }

    fn kem(suite: Suite) -> PublicKey {
        PrivateKey::from_secret(suite, Secret32::take(&mut [4; 32])).public_key()
    }

    fn sample(suite: Suite) -> Card {
        Card::make(suite, "sequencer 3", 1_790_000_000, &signing(3), &kem(suite)).unwrap()
    }

    /// A card whose payload is changed and signed again by the same key.
    fn resigned(change: impl Fn(&mut Payload)) -> Result<Card, CardError> {
        let envelope = Envelope::parse(sample(Suite::X25519).stored()).unwrap();
        let mut payload = json::parse(&envelope.payload).unwrap();
        change(&mut payload);
        let payload = json::emit(&payload).unwrap();
        let id = CardId(sha256(&payload));
        let signed =
            Envelope::signed_with(PayloadType::Card, payload, id, |pae| Ok::<_, ()>(signing(3).sign(pae))).unwrap();
        Card::parse(&signed.emit())
    }

    #[test]
    fn a_card_reads_back() {
        for suite in [Suite::X25519, Suite::XWing] {
            let card = sample(suite);
            assert_eq!(Card::parse(card.stored()), Ok(card.clone()));
            assert_eq!((card.suite(), card.label(), card.created()), (suite, "sequencer 3", 1_790_000_000));
            assert_eq!(card.kem(), &kem(suite));
            assert!(card.stored().len() < MAX_STORED);
        }
    }

    #[test]
    fn a_fingerprint_is_eight_groups_of_four() {
        let mut id = [0; 32];
        id[..20].copy_from_slice(b"Hello, fingerprint!!");
        // base32 of these 20 bytes by another implementation, lower case.
        assert_eq!(fingerprint(&CardId(id)), "jbsw-y3dp-fqqg-m2lo-m5sx-e4ds-nfxh-iijb");
    }

    #[test]
    fn a_card_with_one_byte_changed_is_refused() {
        let stored = sample(Suite::X25519).stored().to_vec();
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            assert!(Card::parse(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_card_signed_by_another_key_is_refused() {
        let envelope = Envelope::parse(sample(Suite::X25519).stored()).unwrap();
        let signature = signing(9).sign(&Envelope::pae(PayloadType::Card, &envelope.payload));
        assert_eq!(Card::parse(&Envelope { signature, ..envelope }.emit()), Err(CardError::Signature));
    }

    #[test]
    fn an_envelope_that_names_another_card_is_refused() {
        let envelope = Envelope::parse(sample(Suite::X25519).stored()).unwrap();
        let renamed = Envelope { keyid: CardId([0; 32]), ..envelope };
        assert_eq!(Card::parse(&renamed.emit()), Err(CardError::KeyId));
    }

    #[test]
    fn a_statement_is_no_card() {
        let envelope = Envelope::parse(sample(Suite::X25519).stored()).unwrap();
        let statement = Envelope { payload_type: PayloadType::Statement, ..envelope };
        assert_eq!(Card::parse(&statement.emit()), Err(CardError::NotACard));
    }

    #[test]
    fn unknown_formats_suites_bad_labels_and_weak_keys_are_refused() {
        assert!(resigned(|_| ()).is_ok());
        assert_eq!(resigned(|p| p.format = 2), Err(CardError::Format(2)));
        assert_eq!(resigned(|p| p.suite = 3), Err(CardError::Suite(3)));
        assert_eq!(resigned(|p| p.suite = 257), Err(CardError::Suite(257)));
        assert_eq!(resigned(|p| p.suite = 2), Err(CardError::Key("KEM")));
        assert_eq!(resigned(|p| p.label = "a\u{85}".to_owned()), Err(CardError::Label));
        assert_eq!(resigned(|p| p.label = "x".repeat(129)), Err(CardError::Label));
        assert_eq!(resigned(|p| p.kem = B64(vec![0; 32])), Err(CardError::Key("KEM")));
        assert_eq!(resigned(|p| p.sign = B64(vec![0; 32])), Err(CardError::Key("signing")));
    }

    #[test]
    fn a_payload_with_an_extra_member_is_refused() {
        let envelope = Envelope::parse(sample(Suite::X25519).stored()).unwrap();
        let text = String::from_utf8(envelope.payload).unwrap().replace("\"suite\":1", "\"suite\":1,\"x\":1");
        let payload = text.into_bytes();
        let keyid = CardId(sha256(&payload));
        let signature = signing(3).sign(&Envelope::pae(PayloadType::Card, &payload));
        let stored = Envelope { payload_type: PayloadType::Card, payload, keyid, signature }.emit();
        assert!(matches!(Card::parse(&stored), Err(CardError::Payload(_))));
    }

    #[test]
    fn a_card_is_not_made_of_values_that_would_not_parse() {
        let make = |label: &str, created, suite| Card::make(suite, label, created, &signing(3), &kem(Suite::X25519));
        assert_eq!(make("a\nb", 0, Suite::X25519), Err(CardError::Label));
        assert_eq!(make("a", 0, Suite::XWing), Err(CardError::Key("KEM")));
        assert!(matches!(make("a", 1 << 53, Suite::X25519), Err(CardError::Payload(_))));
    }
}

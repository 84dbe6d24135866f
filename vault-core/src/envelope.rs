//! DSSE envelopes: signed bytes with their type. Spec section 4.1.
//!
//! An envelope says who claims to have signed; who did is known only after [`Envelope::verify`] with a key that the
//! payload, never the `keyid`, selected.

use serde::Deserialize;

pub use crate::hazmat::sign::BadSignature;
use crate::hazmat::sign::VerifyingKey;
use crate::ids::CardId;
use crate::json;

/// Longest stored form.
pub const MAX_STORED: usize = 16 << 20;

/// Stored bytes that are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// More than 16 MiB.
    #[error("an envelope has at most 16 MiB")]
    TooLong,
    /// Not JSON, or not of an envelope's shape.
    #[error("not an envelope with exactly one signature")]
    Shape,
    /// A payload type that no section of the spec names.
    #[error("unknown payload type")]
    PayloadType,
    /// It reads as an envelope but is not in canonical form.
    #[error("the envelope is not canonical")]
    NotCanonical,
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadType {
    /// A card (2.1).
    Card,
    /// A statement (4.2).
    Statement,
}

impl PayloadType {
    /// Its media type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "application/vnd.seqvault.card+json",
            Self::Statement => "application/vnd.seqvault.statement+json",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Card, Self::Statement].into_iter().find(|t| t.as_str() == text)
    }
}

/// A payload and its one signature, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: PayloadType,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// The card that the signer names; it selects no key.
    pub keyid: CardId,
    /// Ed25519 over the pre-authentication encoding.
    pub signature: [u8; 64],
}

impl Envelope {
    /// Parses stored bytes, which must be canonical. Verifies nothing.
    ///
    /// # Errors
    /// If they are too long, no envelope, or not canonical.
    pub fn parse(stored: &[u8]) -> Result<Self, EnvelopeError> {
        if stored.len() > MAX_STORED {
            return Err(EnvelopeError::TooLong);
        }
        let read: Stored<'_> = serde_json::from_slice(stored).map_err(|_| EnvelopeError::Shape)?;
        let [signature] = read.signatures;
        let envelope = Self {
            payload_type: PayloadType::parse(read.payload_type).ok_or(EnvelopeError::PayloadType)?,
            payload: json::from_b64(read.payload).ok_or(EnvelopeError::Shape)?,
            keyid: signature.keyid.parse().map_err(|_| EnvelopeError::Shape)?,
            signature: json::from_b64(signature.sig)
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(EnvelopeError::Shape)?,
        };
        if envelope.emit() == stored { Ok(envelope) } else { Err(EnvelopeError::NotCanonical) }
    }

    /// The stored bytes. No value here needs a JSON escape, so writing them in order is canonical.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        format!(
            r#"{{"payload":"{}","payloadType":"{}","signatures":[{{"keyid":"{}","sig":"{}"}}]}}"#,
            json::to_b64(&self.payload),
            self.payload_type.as_str(),
            self.keyid,
            json::to_b64(&self.signature),
        )
        .into_bytes()
    }

    /// DSSE's pre-authentication encoding: what a signature signs.
    // "DSSEv1 " || dec(len type) || " " || type || " " || dec(len payload) || " " || payload
    #[must_use]
    pub fn pae(payload_type: PayloadType, payload: &[u8]) -> Vec<u8> {
        let kind = payload_type.as_str();
        let mut out = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        out.extend_from_slice(payload);
        out
    }

    /// Verifies the signature with a key that the caller found by the payload's own words.
    ///
    /// # Errors
    /// If it does not verify strictly.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), BadSignature> {
        key.verify(&Self::pae(self.payload_type, &self.payload), &self.signature)
    }

    /// Makes an envelope; `sign` gets the pre-authentication encoding.
    ///
    /// # Errors
    /// What `sign` returns.
    pub fn signed_with<E>(
        payload_type: PayloadType,
        payload: Vec<u8>,
        keyid: CardId,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, E> {
        let signature = sign(&Self::pae(payload_type, &payload))?;
        Ok(Self { payload_type, payload, keyid, signature })
    }
}

// Borrowed text: a value with an escape does not borrow, so it is refused here already.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    payload: &'a str,
    #[serde(rename = "payloadType")]
    payload_type: &'a str,
    #[serde(borrow)]
    signatures: [StoredSignature<'a>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSignature<'a> {
    keyid: &'a str,
    sig: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hazmat::sign::SigningKey;
    use crate::secret::Secret32;

    fn signing() -> SigningKey {
        SigningKey::from_seed(&Secret32::take(&mut [5; 32]))
    }

    fn sample() -> Envelope {
        Envelope::signed_with(PayloadType::Statement, b"{}".to_vec(), CardId([0xab; 32]), |pae| {
            Ok::<_, ()>(signing().sign(pae))
        })
        .unwrap()
    }

    #[test]
    fn the_signed_bytes_are_those_of_dsse() {
        let expected = b"DSSEv1 39 application/vnd.seqvault.statement+json 3 a b";
        assert_eq!(Envelope::pae(PayloadType::Statement, b"a b"), expected);
    }

    #[test]
    fn an_envelope_reads_back_and_verifies() {
        let envelope = sample();
        let stored = envelope.emit();
        assert_eq!(Envelope::parse(&stored), Ok(envelope.clone()));
        // Canonical but for the one name that only an envelope has.
        let renamed = String::from_utf8(stored).unwrap().replace("payloadType", "payload_type");
        assert!(json::parse_value(renamed.as_bytes()).is_ok());
        assert!(envelope.verify(&signing().verifying_key()).is_ok());
    }

    #[test]
    fn another_payload_type_payload_or_key_does_not_verify() {
        let key = signing().verifying_key();
        let card = Envelope { payload_type: PayloadType::Card, ..sample() };
        let payload = Envelope { payload: b"{ }".to_vec(), ..sample() };
        assert_eq!(card.verify(&key), Err(BadSignature));
        assert_eq!(payload.verify(&key), Err(BadSignature));
        let other = SigningKey::from_seed(&Secret32::take(&mut [6; 32])).verifying_key();
        assert_eq!(sample().verify(&other), Err(BadSignature));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let stored = String::from_utf8(sample().emit()).unwrap();
        let signature = &stored[stored.find("{\"keyid").unwrap()..stored.len() - 2];
        for bad in [
            stored.replacen(':', ": ", 1),
            format!("{stored} "),
            format!("{stored}{{}}"),
            stored.replace("payloadType", "payload\\u0054ype"),
            stored.replace("e30=", "e30"),
            stored.replace("e30=", "e31="),
            stored.replace(&"ab".repeat(32), &"AB".repeat(32)),
            stored.replace("statement", "statements"),
            stored.replace("application/", "application\\/"),
            stored.replace("\"signatures\"", "\"extra\":1,\"signatures\""),
            stored.replace(signature, ""),
            stored.replace(signature, &format!("{signature},{signature}")),
            stored.replace("{\"payload\":\"e30=\",", "{\"payload\":\"e30=\",\"payload\":\"e30=\","),
            stored.replace("{\"payload\":\"e30=\",", "{").replace("],", "],\"payload\":\"e30=\""),
        ] {
            assert_ne!(bad, stored);
            assert!(Envelope::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_in_another_order_are_refused() {
        let stored = String::from_utf8(sample().emit()).unwrap();
        let moved = stored.replace("\"payload\":\"e30=\",", "").replace("}]}", "}],\"payload\":\"e30=\"}");
        assert_eq!(Envelope::parse(moved.as_bytes()), Err(EnvelopeError::NotCanonical));
    }

    #[test]
    fn too_long_an_envelope_is_refused_unread() {
        assert_eq!(Envelope::parse(&vec![b' '; MAX_STORED + 1]), Err(EnvelopeError::TooLong));
    }
}

//! Signed requests (RFC 9421): what is covered, in which order, and nothing else. Spec section 7.2.
//!
//! Time, nonce and the key's use are the caller's. `httpsig` builds and parses; Ed25519 is verified in the core's own room, strictly.

use std::sync::LazyLock;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use httpsig::prelude::message_component::{HttpMessageComponent, HttpMessageComponentId};
use httpsig::prelude::{HttpSignatureBase, HttpSignatureHeaders, HttpSignatureParams};
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::sign::{BadSignature, VerifyingKey};
use vault_core::ids::{CardId, from_hex, to_hex};

/// The only signature of a request.
const LABEL: &str = "sig";
const ALGORITHM: &str = "ed25519";
/// Ties a signature to this page of the spec.
const TAG: &str = "seqvault-1";

/// What a signature covers, in this order; the last one only where there may be a body.
static COVERED: LazyLock<Vec<HttpMessageComponentId>> = LazyLock::new(|| {
    let names = ["@method", "@authority", "@path", "@query", super::VAULT, "content-digest"];
    names.iter().filter_map(|name| HttpMessageComponentId::try_from(*name).ok()).collect()
});

/// The parts of a request that are covered.
#[derive(Debug, Clone, Copy)]
pub struct Covered<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Host and, unless it is the scheme's own, port, in small letters.
    pub authority: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The vault's id.
    pub vault: &'a str,
    /// The value of `Content-Digest`, for PUT and POST.
    pub digest: Option<&'a str>,
}

/// When, once, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970.
    pub created: u64,
    /// Random.
    pub nonce: [u8; 16],
    /// The card whose key signs.
    pub card: CardId,
}

/// The two headers of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `Signature-Input`.
    pub input: String,
    /// `Signature`.
    pub signature: String,
}

/// A signature that came with a request and is not verified yet.
#[derive(Debug)]
pub struct Presented {
    /// When, once, by whom, as the signer says.
    pub stamp: Stamp,
    base: Vec<u8>,
    signature: [u8; 64],
}

/// Headers that are no signature of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request has no signature as it must be")]
pub struct Unsigned;

/// A signature that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError<E> {
    /// The key could not be used.
    #[error(transparent)]
    Key(E),
    /// The request can't be signed: something in it is no component.
    #[error(transparent)]
    Request(#[from] Unsigned),
}

/// The value of `Content-Digest` for a body.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    content_digest_of(&sha256(body))
}

/// The value of `Content-Digest` for a body of this SHA-256.
#[must_use]
pub fn content_digest_of(sha256: &[u8; 32]) -> String {
    format!("sha-256=:{}:", Base64::encode_string(sha256))
}

/// The SHA-256 that a `Content-Digest` of this kind names.
#[must_use]
pub fn digest_of(content_digest: &str) -> Option<[u8; 32]> {
    let text = content_digest.strip_prefix("sha-256=:")?.strip_suffix(':')?;
    let mut digest = [0; 32];
    let read = Base64::decode(text, &mut digest).ok()?;
    (read.len() == 32).then_some(digest)
}

/// Signs a request.
///
/// # Errors
/// If the key can't be used, or the request can't be signed.
pub fn sign<E>(
    covered: &Covered<'_>,
    stamp: &Stamp,
    key: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
) -> Result<Headers, SignError<E>> {
    let params = params(covered, stamp)?;
    let signature = key(&base(covered, &params)?).map_err(SignError::Key)?;
    Ok(Headers {
        input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", Base64::encode_string(&signature)),
    })
}

/// Reads the signature of a request. Nothing of it is true before [`Presented::verify`] says so.
///
/// # Errors
/// If it covers anything else, has other parameters, or is written in another way than [`sign()`] does.
pub fn parse(covered: &Covered<'_>, input: &str, signature: &str) -> Result<Presented, Unsigned> {
    let found = HttpSignatureHeaders::try_parse(signature, input).map_err(|_| Unsigned)?;
    let headers = found.get(LABEL).filter(|_| found.len() == 1).ok_or(Unsigned)?;
    let said = headers.signature_params();
    let stamp = Stamp {
        created: said.created.ok_or(Unsigned)?,
        nonce: said.nonce.as_deref().and_then(from_hex).ok_or(Unsigned)?,
        card: said.keyid.as_deref().and_then(|card| card.parse().ok()).ok_or(Unsigned)?,
    };
    // Made again from what was read, both headers must be what came: nothing is passed over, nothing has a second form.
    let params = params(covered, &stamp)?;
    // Of the header itself: what the crate gives back it has written anew, and so forgives trailing bits.
    let bytes = signature.strip_prefix("sig=:").and_then(|rest| rest.strip_suffix(':')).ok_or(Unsigned)?;
    let mut raw = [0; 64];
    if Base64::decode(bytes, &mut raw).map_err(|_| Unsigned)?.len() != 64 || input != format!("{LABEL}={params}") {
        return Err(Unsigned);
    }
    Ok(Presented { stamp, base: base(covered, &params)?, signature: raw })
}

impl Presented {
    /// Verifies strictly, with the key of the card that [`Stamp::card`] names.
    ///
    /// # Errors
    /// If it does not verify.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), BadSignature> {
        key.verify(&self.base, &self.signature)
    }
}

fn params(covered: &Covered<'_>, stamp: &Stamp) -> Result<HttpSignatureParams, Unsigned> {
    let count = if covered.digest.is_some() { 6 } else { 5 };
    let components = COVERED.get(..count).ok_or(Unsigned)?;
    Ok(HttpSignatureParams {
        created: Some(stamp.created),
        nonce: Some(to_hex(&stamp.nonce)),
        alg: Some(ALGORITHM.to_owned()),
        keyid: Some(stamp.card.to_string()),
        tag: Some(TAG.to_owned()),
        expires: None,
        covered_components: components.to_vec(),
    })
}

fn base(covered: &Covered<'_>, params: &HttpSignatureParams) -> Result<Vec<u8>, Unsigned> {
    let query = format!("?{}", covered.query.unwrap_or_default());
    let values = [covered.method, covered.authority, covered.path, &query, covered.vault];
    let values = values.into_iter().chain(covered.digest);
    // A line of its own would be a component that nobody asked for.
    if values.clone().any(|value| value.contains(['\n', '\r'])) {
        return Err(Unsigned);
    }
    let lines = params.covered_components.iter().zip(values);
    let lines: Vec<_> = lines.map(|(id, value)| HttpMessageComponent { id: id.clone(), value: value.into() }).collect();
    Ok(HttpSignatureBase::try_new(&lines, params).map_err(|_| Unsigned)?.as_bytes())
}

/// A body whose SHA-256 is what its request says.
#[must_use]
pub fn is_body(body: &Bytes, content_digest: &str) -> bool {
    digest_of(content_digest).is_some_and(|digest| digest == sha256(body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;
    use vault_core::hazmat::sign::SigningKey;
    use vault_core::secret::Secret32;

    const PUT: Covered<'static> = Covered {
        method: "PUT",
        authority: "vault.example",
        path: "/v1/ledgers/vault/entries/7",
        query: None,
        vault: "00ff",
        digest: Some("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    };
    const STAMP: Stamp = Stamp { created: 1_790_000_000, nonce: [7; 16], card: CardId([9; 32]) };

    fn key() -> SigningKey {
        SigningKey::from_seed(&Secret32::take(&mut [3; 32]))
    }

    fn signed(covered: &Covered<'_>) -> Headers {
        sign(covered, &STAMP, |base| Ok::<_, Unsigned>(key().sign(base))).unwrap()
    }

    fn verifies(covered: &Covered<'_>, headers: &Headers) -> bool {
        parse(covered, &headers.input, &headers.signature)
            .is_ok_and(|presented| presented.stamp == STAMP && presented.verify(&key().verifying_key()).is_ok())
    }

    #[test]
    fn a_signed_request_verifies_and_no_other_one_does() {
        let headers = signed(&PUT);
        assert!(verifies(&PUT, &headers));
        let others = [
            Covered { method: "POST", ..PUT },
            Covered { authority: "vault.example:8443", ..PUT },
            Covered { path: "/v1/ledgers/vault/entries/8", ..PUT },
            Covered { query: Some("a=b"), ..PUT },
            Covered { vault: "00fe", ..PUT },
            Covered { digest: Some("sha-256=:57DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"), ..PUT },
            Covered { digest: None, ..PUT },
        ];
        for other in others {
            assert!(!verifies(&other, &headers), "{other:?}");
        }
    }

    #[test]
    fn the_base_is_what_the_spec_shows() {
        let shown = "\"@method\": GET\n\"@authority\": vault.example\n\"@path\": /v1/ledgers\n\"@query\": ?\n\
            \"seqvault-vault\": 00ff\n\"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\" \"seqvault-vault\")\
            ;created=1790000000;nonce=\"07070707070707070707070707070707\";alg=\"ed25519\"\
            ;keyid=\"0909090909090909090909090909090909090909090909090909090909090909\";tag=\"seqvault-1\"";
        let get = Covered { method: "GET", path: "/v1/ledgers", digest: None, ..PUT };
        sign(&get, &STAMP, |base| {
            assert_eq!(std::str::from_utf8(base).unwrap(), shown);
            Ok::<_, Unsigned>([0; 64])
        })
        .unwrap();
    }

    #[test]
    fn headers_in_another_form_are_no_signature() {
        let good = signed(&PUT);
        let input = |from: &str, to: &str| (good.input.replacen(from, to, 1), good.signature.clone());
        let cases = [
            input("sig=(", "sig= ("),
            input("\"@method\" ", ""),
            input("\"@method\" \"@authority\"", "\"@authority\" \"@method\""),
            input(";tag=\"seqvault-1\"", ""),
            input(";tag=\"seqvault-1\"", ";tag=\"seqvault-2\""),
            input(";alg=\"ed25519\"", ";alg=\"hmac-sha256\""),
            input(";nonce=\"07", ";nonce=\"0"),
            input(";created=1790000000", ";created=1790000000;expires=1890000000"),
            input(";created=1790000000", ""),
            input("\"content-digest\")", "\"content-digest\" \"date\")"),
            (format!("{}, b=()", good.input), format!("{}, b=:AAAA:", good.signature)),
            (good.input.replacen("sig=", "b=", 1), good.signature.replacen("sig=", "b=", 1)),
            (good.input.clone(), good.signature.replacen(":", ":A", 1)),
            (good.input.clone(), "sig=:AAAA:".to_owned()),
            // Another last letter before the padding: the same bytes, four bits of which no byte needs.
            (good.input.clone(), other_bits(&good.signature)),
            (String::new(), String::new()),
        ];
        for (input, signature) in cases {
            assert!(!verifies(&PUT, &Headers { input: input.clone(), signature }), "{input}");
        }
    }

    fn other_bits(signature: &str) -> String {
        let (start, end) = signature.split_at(signature.len() - 4);
        let last = if end.starts_with('A') {
            "B"
        } else if end.starts_with('Q') {
            "R"
        } else if end.starts_with('g') {
            "h"
        } else {
            "x"
        };
        format!("{start}{last}{}", &end[1..])
    }

    #[test]
    fn a_value_with_a_line_break_is_not_signed() {
        let split = Covered { path: "/v1\n\"@query\": ?", ..PUT };
        assert!(sign(&split, &STAMP, |_| Ok::<_, Unsigned>([0; 64])).is_err());
    }

    #[test]
    fn digests_are_read_as_they_are_written() {
        let value = content_digest(b"");
        assert_eq!(Some(value.as_str()), PUT.digest);
        assert!(is_body(&Bytes::new(), &value));
        for bad in
            ["", "sha-256=::", "sha-512=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "sha-256=:47DEQpj8HBSa:"]
        {
            assert_eq!(digest_of(bad), None);
        }
    }
}

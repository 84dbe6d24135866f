//! Ids: one type each, parsed once at the edge and trusted after. Spec section 1.2.
//!
//! Random ids are made from bytes that the caller drew; nothing here is secret.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is not the id that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {why}")]
pub struct IdError {
    /// Which id was expected.
    pub what: &'static str,
    /// What is wrong with the text.
    pub why: &'static str,
}

/// Writes bytes as lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(*DIGITS.get(usize::from(n & 15)).unwrap_or(&b'0'));
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect()
}

/// Reads exactly `N` bytes of lower-case hex.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut out = [0u8; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(out)
}

macro_rules! binary_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The id's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                from_hex(text).map(Self).ok_or(IdError {
                    what: $what,
                    why: concat!("expected ", stringify!($len), " bytes in lower-case hex"),
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

binary_id!(
    /// SHA-256 of the genesis entry's stored bytes.
    VaultId, 32, "vault id"
);
binary_id!(
    /// SHA-256 of a card's payload bytes.
    CardId, 32, "card id"
);
binary_id!(
    /// SHA-256 of a ledger entry's stored bytes.
    EntryHash, 32, "entry hash"
);
binary_id!(
    /// Any other 32-byte hash: SHA-256 or BLAKE3, as the field says.
    Digest, 32, "hash"
);
binary_id!(
    /// A manifest's random id.
    ManifestId, 16, "manifest id"
);
binary_id!(
    /// An upload's random id.
    UploadId, 16, "upload id"
);
binary_id!(
    /// Random bytes of a genesis, so that no two vaults have one id.
    VaultNonce, 16, "vault nonce"
);
binary_id!(
    /// A pack's random name.
    PackName, 16, "pack name"
);

/// Whether `text` is `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_slug(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError {
                        what: $what,
                        why: "use 1 to 63 lower-case letters, digits and inner hyphens",
                    })
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

slug_id!(
    /// A member's id, chosen by the officer who enrols it.
    MemberId, "member id"
);
slug_id!(
    /// A dataset's id, chosen by its creator.
    DatasetId, "dataset id"
);

/// Which ledger: the vault's, a dataset's, or an ultimate recipient's exposure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerId {
    /// Members, roles, rule packs.
    Vault,
    /// One dataset's facts, grants, epochs and uploads.
    Dataset(DatasetId),
    /// What is counted across datasets for one ultimate recipient.
    Exposure(Digest),
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault => f.write_str("vault"),
            Self::Dataset(id) => write!(f, "dataset/{id}"),
            Self::Exposure(id) => write!(f, "exposure/{id}"),
        }
    }
}

impl FromStr for LedgerId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "vault" {
            Ok(Self::Vault)
        } else if let Some(id) = text.strip_prefix("dataset/") {
            id.parse().map(Self::Dataset)
        } else if let Some(id) = text.strip_prefix("exposure/") {
            id.parse().map(Self::Exposure)
        } else {
            Err(IdError { what: "ledger id", why: "expected vault, dataset/<id> or exposure/<hash>" })
        }
    }
}

impl Serialize for LedgerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LedgerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_take_letters_digits_and_inner_hyphens() {
        for good in ["a", "7", "cohort-7", &"a".repeat(63)] {
            assert_eq!(good.parse::<DatasetId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "..", "é", &"a".repeat(64)] {
            assert!(bad.parse::<DatasetId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_ids_are_lower_case_and_exact() {
        let id = ManifestId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("AB".repeat(16).parse::<ManifestId>().is_err());
        assert!("ab".repeat(15).parse::<ManifestId>().is_err());
    }

    #[test]
    fn ledger_ids_read_back() {
        for text in ["vault".to_owned(), "dataset/cohort-7".to_owned(), format!("exposure/{}", "0f".repeat(32))] {
            assert_eq!(text.parse::<LedgerId>().unwrap().to_string(), text);
        }
        assert!("dataset/../vault".parse::<LedgerId>().is_err());
    }
}

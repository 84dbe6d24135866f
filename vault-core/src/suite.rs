//! Suites: which algorithms a vault was born with. Spec section 1.3.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A suite; nothing is negotiated, and a reader refuses every other number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// DHKEM(X25519, HKDF-SHA256): small keys, no secrecy against a quantum computer.
    X25519,
    /// X-Wing (ML-KEM-768 and X25519): the default.
    XWing,
}

impl Suite {
    /// The number in formats and contexts.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::X25519 => 1,
            Self::XWing => 2,
        }
    }

    /// The suite of a number, if this reader knows it.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::X25519),
            2 => Some(Self::XWing),
            _ => None,
        }
    }

    /// The KEM's name in a genesis.
    #[must_use]
    pub const fn kem_name(self) -> &'static str {
        match self {
            Self::X25519 => "DHKEM-X25519",
            Self::XWing => "X-Wing",
        }
    }

    /// Bytes of a KEM public key.
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::XWing => 1216,
        }
    }

    /// Bytes of a seal of 32 bytes: encapsulated key, ciphertext, tag.
    #[must_use]
    pub const fn seal_len(self) -> usize {
        match self {
            Self::X25519 => 32 + 48,
            Self::XWing => 1120 + 48,
        }
    }
}

impl Serialize for Suite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.id())
    }
}

impl<'de> Deserialize<'de> for Suite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = u8::deserialize(deserializer)?;
        Self::from_id(id).ok_or_else(|| de::Error::custom(format_args!("suite {id} is not known to this version")))
    }
}

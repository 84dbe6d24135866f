//! What client and server say to each other: paths, bodies, headers, problems, signatures. Spec page 7.
//!
//! Types only; nothing here sends, receives or decides. Both sides use it, so neither can mean something else by a word.

pub mod entries;
pub mod problem;
pub mod signature;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The version of spec page 7, the first part of each path but for the health checks.
pub const API: u32 = 1;

/// The header that names the vault.
pub const VAULT: &str = "seqvault-vault";

/// The header of an answer that names the request.
pub const REQUEST_ID: &str = "seqvault-request-id";

/// The header of entries that are not all.
pub const MORE: &str = "seqvault-more";

/// The media type of [`entries`].
pub const ENTRIES: &str = "application/vnd.seqvault.entries";

/// The media type of problems (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// Seconds between a request's time and the server's clock, at most.
pub const MAX_SKEW: u64 = 300;

/// Seconds that a GET link may last.
pub const MAX_GET_LINK: u64 = 300;

/// Seconds that a PUT link may last.
pub const MAX_PUT_LINK: u64 = 900;

/// Links that one request may ask for.
pub const MAX_LINKS: usize = 64;

/// Objects that an upload may have when it is committed, where a server does not say otherwise: 4 TiB of whole packs.
pub const MAX_UPLOAD: u64 = 1 << 17;

/// What answers here: GET `/v1/vault`, unsigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The vault's id.
    pub vault: String,
    /// The versions of spec page 7 that are spoken.
    pub api: Vec<u32>,
    /// The program's name and version.
    pub server: String,
    /// The server's clock, seconds since 1970.
    pub time: u64,
    /// Whether links are given.
    pub links: bool,
    /// The most objects that an upload may have which is committed here. An older server does not say it: it takes [`MAX_UPLOAD`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub upload_objects: Option<u64>,
}

/// The names of all ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ledgers {
    /// As spec section 1 writes ledger ids.
    pub ledgers: Vec<String>,
}

/// A turn at a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The number that is free.
    pub next: u64,
    /// How long the turn lasts.
    pub milliseconds: u64,
}

/// Asks for links.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinksWanted {
    /// Names of packs to read.
    pub get: Vec<String>,
    /// Packs to write.
    #[serde(deserialize_with = "objects")]
    pub put: Vec<PutWanted>,
}

/// A pack to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutWanted {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    #[serde(deserialize_with = "whole")]
    pub length: u64,
}

/// Links, in the order in which they were asked for: first those to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The links.
    pub links: Vec<Link>,
}

/// A link straight to the store. Whoever holds it can use it until it ends: it is not logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The object's name.
    pub name: String,
    /// GET or PUT.
    pub method: String,
    /// Where.
    pub url: String,
    /// Headers that the request must carry, because they are signed.
    pub headers: BTreeMap<String, String>,
    /// When it ends, seconds since 1970.
    pub expires: u64,
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Link({} {}, until {})", self.method, self.name, self.expires)
    }
}

/// A whole number, also as JSON Schema lets one be written: 3.0 is an integer there.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let written = number.to_string();
    let digits = written.strip_suffix(".0").unwrap_or(&written);
    digits.parse().map_err(|_| D::Error::custom(format!("{written} is not a whole number from 0")))
}

/// What is written as a JSON object. Serde takes a struct from a list of its members' values as well, which nothing documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfMembers(PhantomData)).map(Self)
    }
}

struct OfMembers<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMembers<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(read)| read).collect())
}

/// Deletes what epochs below a closed one left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteEpochs {
    /// The epochs below this one.
    #[serde(deserialize_with = "whole")]
    pub below: u64,
}

/// Deletes what a closed upload left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The upload's id.
    pub upload: String,
}

/// Deletes packs of removed and superseded manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteHidden {}

/// Deletes what a dataset that a statement deleted still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteAll {}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// How many objects went.
    pub objects: u64,
    /// Whether the store keeps old versions of them: then they are gone from sight and not erased.
    pub kept: bool,
}

/// Checks what is derived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Examine {
    /// Whether to make again what can be.
    pub repair: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Examined {
    /// What was found amiss, in words.
    pub findings: Vec<String>,
    /// What was repaired, in words.
    pub repaired: Vec<String>,
    /// Whether something signed is missing or changed.
    pub damaged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
            serde_json::from_str::<Object<T>>(text).ok().map(|Object(read)| read)
        }
        assert_eq!(read::<DeleteEpochs>(r#"{"below":3}"#), Some(DeleteEpochs { below: 3 }));
        assert_eq!(read::<DeleteEpochs>("[3]"), None);
        assert_eq!(read::<DeleteHidden>("{}"), Some(DeleteHidden {}));
        assert_eq!(read::<DeleteHidden>("[]"), None);
        assert_eq!(read::<LinksWanted>("{}"), Some(LinksWanted::default()));
        assert_eq!(read::<LinksWanted>("[[],[]]"), None);
        let put = |text: &str| read::<LinksWanted>(&format!(r#"{{"put":[{text}]}}"#)).map(|read| read.put.len());
        assert_eq!(put(r#"{"name":"packs","length":1}"#), Some(1));
        assert_eq!(put(r#"["packs",1]"#), None);
        // As strict as before about the members themselves.
        for bad in [r#"{"below":3,"below":3}"#, r#"{"below":3,"above":3}"#, "{}", "null", "3"] {
            assert_eq!(read::<DeleteEpochs>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_as_json_schema_lets_it() {
        let read = |text: &str| serde_json::from_str::<DeleteEpochs>(text).map(|read| read.below).ok();
        assert_eq!(read(r#"{"below":3}"#), Some(3));
        assert_eq!(read(r#"{"below":3.0}"#), Some(3));
        assert_eq!(read(r#"{"below":3e2}"#), Some(300));
        for bad in [r#"{"below":3.5}"#, r#"{"below":-1}"#, r#"{"below":-1.0}"#, r#"{"below":1e30}"#, r#"{"below":"3"}"#]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

//! Problems: what a server says when it does not do it (RFC 9457). Spec section 7.6.
//!
//! The server's own errors become problems in `http/problem.rs`; the client's errors are made of problems in its own crate.

use core::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What `type` begins with.
const PREFIX: &str = "urn:seqvault:problem:";

/// A problem's name; what it means never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table of spec section 7.6 says what each means")]
pub enum Type {
    Malformed,
    Unsigned,
    BadSignature,
    UnknownCard,
    Replayed,
    Clock,
    Digest,
    OtherVault,
    NotAllowed,
    Rules,
    NotFound,
    NoSuchResource,
    Method,
    Taken,
    Differs,
    NotNext,
    Conflict,
    NoLinks,
    Length,
    TooLarge,
    Range,
    Void,
    Stopped,
    Missing,
    Misnamed,
    TooMany,
    Quota,
    Internal,
    Damaged,
    Busy,
    Stopping,
    Storage,
    Archived,
}

impl Type {
    /// Every one.
    pub const ALL: [Self; 33] = [
        Self::Malformed,
        Self::Unsigned,
        Self::BadSignature,
        Self::UnknownCard,
        Self::Replayed,
        Self::Clock,
        Self::Digest,
        Self::OtherVault,
        Self::NotAllowed,
        Self::Rules,
        Self::NotFound,
        Self::NoSuchResource,
        Self::Method,
        Self::Taken,
        Self::Differs,
        Self::NotNext,
        Self::Conflict,
        Self::NoLinks,
        Self::Length,
        Self::TooLarge,
        Self::Range,
        Self::Void,
        Self::Stopped,
        Self::Missing,
        Self::Misnamed,
        Self::TooMany,
        Self::Quota,
        Self::Internal,
        Self::Damaged,
        Self::Busy,
        Self::Stopping,
        Self::Storage,
        Self::Archived,
    ];

    /// Its name and its status.
    #[must_use]
    pub const fn row(self) -> (&'static str, u16) {
        match self {
            Self::Malformed => ("malformed", 400),
            Self::Unsigned => ("unsigned", 401),
            Self::BadSignature => ("bad-signature", 401),
            Self::UnknownCard => ("unknown-card", 401),
            Self::Replayed => ("replayed", 401),
            Self::Clock => ("clock", 401),
            Self::Digest => ("digest", 400),
            Self::OtherVault => ("other-vault", 421),
            Self::NotAllowed => ("not-allowed", 403),
            Self::Rules => ("rules", 403),
            Self::NotFound => ("not-found", 404),
            Self::NoSuchResource => ("no-such-resource", 404),
            Self::Method => ("method", 405),
            Self::Taken => ("taken", 409),
            Self::Differs => ("differs", 409),
            Self::NotNext => ("not-next", 409),
            Self::Conflict => ("conflict", 409),
            Self::NoLinks => ("no-links", 409),
            Self::Length => ("length", 411),
            Self::TooLarge => ("too-large", 413),
            Self::Range => ("range", 416),
            Self::Void => ("void", 422),
            Self::Stopped => ("stopped", 422),
            Self::Missing => ("missing", 422),
            Self::Misnamed => ("misnamed", 422),
            Self::TooMany => ("too-many", 429),
            Self::Quota => ("quota", 429),
            Self::Internal => ("internal", 500),
            Self::Damaged => ("damaged", 500),
            Self::Busy => ("busy", 503),
            Self::Stopping => ("stopping", 503),
            Self::Storage => ("storage", 503),
            Self::Archived => ("archived", 409),
        }
    }

    /// The one of a `type` member.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|of| of.row().0 == name)
    }

    /// Its status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }
}

/// The `type` member.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.row().0)
    }
}

/// A problem as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:seqvault:problem:` and a name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name in words.
    pub title: String,
    /// The answer's status.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: String,
    /// The request's id, as the server's log has it.
    pub request: String,
    /// The server's clock, where the clocks differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The vault that is served here, where another was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// The versions that are spoken, where the path is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Vec<u32>>,
    /// The next free number, where an entry would leave a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Why an entry would not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in Chinese, where the rules in force are the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_zh: Option<String>,
    /// The object that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The most bytes that are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// The object's length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(of: Type, detail: impl Into<String>) -> Self {
        Self {
            kind: of.to_string(),
            title: of.row().0.replace('-', " "),
            status: of.status(),
            detail: detail.into(),
            request: String::new(),
            time: None,
            vault: None,
            api: None,
            next: None,
            reason: None,
            reason_zh: None,
            name: None,
            max: None,
            size: None,
        }
    }

    /// Its kind, if this version knows it.
    #[must_use]
    pub fn of(&self) -> Option<Type> {
        Type::parse(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    #[test]
    fn every_type_is_parsed_from_what_it_prints_and_no_name_stands_twice() {
        for (at, of) in Type::ALL.into_iter().enumerate() {
            assert_eq!(Type::parse(&of.to_string()), Some(of));
            assert!(Type::ALL.into_iter().skip(at + 1).all(|other| other.row().0 != of.row().0));
        }
        assert_eq!(Type::parse("about:blank"), None);
    }

    #[test]
    fn the_spec_has_every_type_with_its_status() {
        let spec = include_str!("../../../docs/spec/7-server.md");
        let rows: Vec<&str> = spec.lines().skip_while(|line| !line.starts_with("## 7.6")).collect();
        for of in Type::ALL {
            let (name, status) = of.row();
            let cell = format!("`{name}`");
            assert!(rows.iter().any(|row| row.contains(&cell) && row.contains(&format!("| {status} |"))), "{name}");
        }
    }
}

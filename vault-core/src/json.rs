//! Canonical JSON: RFC 8785 with the limits of spec section 1.1, and base64 as the spec writes it.
//!
//! A reader parses, emits again and compares bytes, so doubled members, other orders, white space and
//! unneeded escapes are all refused by one comparison.

use base64ct::{Base64, Encoding};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// Largest magnitude of an integer, exclusive: 2^53.
pub const MAX_INTEGER: u64 = 1 << 53;
/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 16;

/// JSON that is not canonical, or not of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It does not parse as JSON.
    #[error("not JSON")]
    Syntax,
    /// It parses but breaks a limit of section 1.1.
    #[error("not canonical: {0}")]
    NotCanonical(&'static str),
    /// It is canonical but has other members or types than expected.
    #[error("unexpected shape: {0}")]
    Shape(String),
}

/// Emits a value in canonical form.
///
/// # Errors
/// If the value holds a float, an integer of 2^53 or more, a member name outside the limits, or nests too deeply.
pub fn emit_value(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write_value(value, 0, &mut out)?;
    Ok(out)
}

/// Emits any serializable value in canonical form.
///
/// # Errors
/// As [`emit_value`].
pub fn emit<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    let value = serde_json::to_value(value).map_err(|e| JsonError::Shape(e.to_string()))?;
    emit_value(&value)
}

/// Parses bytes that must be canonical JSON.
///
/// # Errors
/// If they are not JSON or not canonical.
pub fn parse_value(bytes: &[u8]) -> Result<Value, JsonError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| JsonError::Syntax)?;
    if emit_value(&value)? == bytes {
        Ok(value)
    } else {
        Err(JsonError::NotCanonical("bytes differ from the canonical form"))
    }
}

/// Parses canonical JSON into a type; the type's own encoding must give the same bytes, so that no member is missing or extra.
///
/// # Errors
/// If the bytes are not canonical or not of the type's shape.
pub fn parse<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, JsonError> {
    let value = parse_value(bytes)?;
    parse_shape(value)
}

/// Turns a canonical value into a type that must encode to the same value.
///
/// # Errors
/// If a member is missing, extra or of another type.
pub fn parse_shape<T: DeserializeOwned + Serialize>(value: Value) -> Result<T, JsonError> {
    let typed: T = T::deserialize(&value).map_err(|e| JsonError::Shape(e.to_string()))?;
    let again = serde_json::to_value(&typed).map_err(|e| JsonError::Shape(e.to_string()))?;
    if again == value { Ok(typed) } else { Err(JsonError::Shape("a member is missing or extra".to_owned())) }
}

fn write_value(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), JsonError> {
    if depth >= MAX_DEPTH && (value.is_array() || value.is_object()) {
        return Err(JsonError::NotCanonical("nested too deeply"));
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => {
            let fits = n.as_u64().is_some_and(|n| n < MAX_INTEGER)
                || n.as_i64().is_some_and(|n| n.unsigned_abs() < MAX_INTEGER);
            if !fits {
                return Err(JsonError::NotCanonical("a number that is no integer below 2^53"));
            }
            out.extend_from_slice(n.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            out.push(b'{');
            for (i, name) in names.into_iter().enumerate() {
                if !is_member_name(name) {
                    return Err(JsonError::NotCanonical("a member name outside [a-z0-9_]{1,64}"));
                }
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write_value(members.get(name).unwrap_or(&Value::Null), depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn is_member_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{9}' => out.extend_from_slice(b"\\t"),
            '\u{a}' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\u{d}' => out.extend_from_slice(b"\\r"),
            c if u32::from(c) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Writes padded standard base64.
#[must_use]
pub fn to_b64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Reads padded standard base64; other alphabets, missing padding and trailing bits are refused.
#[must_use]
pub fn from_b64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// Bytes that are base64 in JSON. Not for secrets: it is `Clone` and `Debug`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct B64(pub Vec<u8>);

impl Serialize for B64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_b64(&self.0))
    }
}

impl<'de> Deserialize<'de> for B64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_b64(&text).map(Self).ok_or_else(|| de::Error::custom("not padded standard base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_reads_back() {
        let text = br#"{"a":[1,-2,true,null,"\n\u0001\"\\/"],"b":{"c":"\u00e9"}}"#;
        let value: Value = serde_json::from_slice(text).unwrap();
        let bytes = emit_value(&value).unwrap();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "{\"a\":[1,-2,true,null,\"\\n\\u0001\\\"\\\\/\"],\"b\":{\"c\":\"é\"}}"
        );
        assert_eq!(parse_value(&bytes).unwrap(), value);
    }

    #[test]
    fn doubled_reordered_spaced_and_escaped_members_are_refused() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":1,"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1} "#,
            r#"{"a":1.0}"#,
            r#"{"a":1e0}"#,
            r#"{"a":-0}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":"\u0061"}"#,
            r#"{"A":1}"#,
            r#"{"payloadType":1}"#,
            r#"{"a":"\/"}"#,
            "{\"\":1}",
        ] {
            assert!(parse_value(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_value(deep(16).as_bytes()).is_ok());
        assert!(parse_value(deep(17).as_bytes()).is_err());
    }

    #[test]
    fn base64_is_padded_and_exact() {
        assert_eq!(from_b64("AAE="), Some(vec![0, 1]));
        for bad in ["AAE", "AAF=", "AA-_", "A A="] {
            assert_eq!(from_b64(bad), None, "{bad}");
        }
    }
}

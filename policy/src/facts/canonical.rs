//! Facts as canonical JSON in signed statements: what the server must see in the clear, the rest committed to by a salted hash.
//!
//! In a statement: `{"clear":{group:{name:value}},"facts":"dataset","schema":1,"sealed":hash or null}`. A field that nobody has
//! answered is absent, "none" is `null`. The sealed part is the same form with `"salt"`, a hex string, so that the hash can't be
//! guessed from likely answers. Who gets its bytes is the caller's business; any change to them is found by the hash.

use serde_json::{Map, Value as Json, json};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, from_hex, to_hex};
use vault_core::json;
use vault_core::ledger::statement::{Facts, MAX_FACTS};

use super::field::{Field, Kind, Schema, Seen};
use super::record::{Answer, Record, Value};
use super::{duo, words};
use crate::day::Day;
use crate::lang::Bilingual;

/// The version of the tables of fields. A reader of an older one refuses what it can't know.
pub const SCHEMA_VERSION: u64 = 1;

/// Facts in their two parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The `facts` of the statement.
    pub stated: Facts,
    /// The rest, if there is any: to be sealed to those who may read it.
    pub sealed: Option<Sealed>,
}

/// The sealed part of facts. Not secret in itself, but not for everybody: it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Vec<u8>,
}

impl Sealed {
    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the statement says of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(sha256(&self.bytes))
    }
}

impl core::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

/// Why facts can't be stated, or a statement's can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatedError {
    /// Longer than a statement takes.
    #[error("facts are longer than 256 KiB")]
    TooLong,
    /// Facts of another kind, or not these facts at all.
    #[error("not facts of a {0}")]
    OtherKind(&'static str),
    /// Written by a newer version.
    #[error("facts of schema {0}; this version knows schema 1: use a newer version")]
    Newer(u64),
    /// Not well formed.
    #[error("facts are not well formed at {0}")]
    Shape(String),
    /// A sealed field stands in the clear, or the reverse.
    #[error("{0} stands in the wrong part of the facts")]
    WrongPart(String),
    /// The sealed part is missing, superfluous, or not the one that the statement commits to.
    #[error("the sealed part is not the one that the statement commits to")]
    OtherSealed,
    /// The facts of a member differ from what stands beside them.
    #[error("{0} differs from what the enrolment says beside the facts")]
    Beside(&'static str),
}

impl StatedError {
    /// The reason in both languages.
    #[must_use]
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::TooLong => "事实超过 256 KiB".to_owned(),
            Self::OtherKind(kind) => format!("不是 {kind} 的事实"),
            Self::Newer(version) => format!("事实的模式版本为 {version}，本版本只认识 1：请使用较新的版本"),
            Self::Shape(at) => format!("事实在 {at} 处格式不正确"),
            Self::WrongPart(field) => format!("{field} 出现在错误的部分"),
            Self::OtherSealed => "密封部分与声明所承诺的不一致".to_owned(),
            Self::Beside(field) => format!("{field} 与登记中事实之外的内容不一致"),
        };
        Bilingual::made(self.to_string(), zh)
    }
}

pub(super) fn split(record: &Record, salt: [u8; 32]) -> Result<Split, StatedError> {
    let name = record.schema().name;
    let rest = groups(record, Seen::Sealed);
    let sealed = if rest.is_empty() {
        None
    } else {
        let value = json!({"facts": name, "salt": to_hex(&salt), "schema": SCHEMA_VERSION, "sealed": rest});
        Some(Sealed { bytes: json::emit_value(&value).map_err(|_| StatedError::TooLong)? })
    };
    let mut stated = Map::new();
    stated.insert("clear".to_owned(), Json::Object(groups(record, Seen::ByServer)));
    stated.insert("facts".to_owned(), Json::from(name));
    stated.insert("schema".to_owned(), Json::from(SCHEMA_VERSION));
    let hash = sealed.as_ref().map_or(Json::Null, |sealed| Json::from(sealed.digest().to_string()));
    stated.insert("sealed".to_owned(), hash);
    let stated = Facts(stated);
    match json::emit(&stated) {
        Ok(bytes) if bytes.len() <= MAX_FACTS => Ok(Split { stated, sealed }),
        _ => Err(StatedError::TooLong),
    }
}

/// The answered fields that `seen` says, by group.
fn groups(record: &Record, seen: Seen) -> Map<String, Json> {
    let mut out: Map<String, Json> = Map::new();
    for (field, answer) in record.iter() {
        let Some(value) = part(field, answer, seen) else { continue };
        let (group, name) = field.path.split_once('.').unwrap_or(("", field.path));
        let entry = out.entry(group).or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(members) = entry {
            members.insert(name.to_owned(), value);
        }
    }
    out
}

/// What one part says of a field; rows stand in both, each with its own fields.
fn part(field: &Field, answer: &Answer, seen: Seen) -> Option<Json> {
    if let Answer::Value(Value::Rows(rows)) = answer {
        let rows: Vec<_> = rows.iter().map(|row| row_part(row, seen)).collect();
        let says = seen == Seen::ByServer || rows.iter().any(|row| !row.is_empty());
        return says.then(|| Json::Array(rows.into_iter().map(Json::Object).collect()));
    }
    match answer {
        _ if field.seen != seen => None,
        Answer::Unknown => None,
        Answer::None => Some(Json::Null),
        Answer::Value(value) => Some(emit(value)),
    }
}

fn row_part(row: &Record, seen: Seen) -> Map<String, Json> {
    row.iter().filter_map(|(field, answer)| Some((field.path.to_owned(), part(field, answer, seen)?))).collect()
}

fn emit(value: &Value) -> Json {
    match value {
        Value::Flag(on) => Json::from(*on),
        Value::Number(number) | Value::Share(number) => Json::from(*number),
        Value::Day(day) => Json::from(day.to_string()),
        Value::Text(text) | Value::Country(text) => Json::from(text.as_str()),
        Value::Texts(texts) => texts.iter().map(String::as_str).collect(),
        Value::Word(word) => Json::from(*word),
        Value::Words(words) => words.iter().copied().collect(),
        Value::Hash(hash) => Json::from(hash.to_string()),
        // Rows are split before they get here.
        Value::Rows(_) => Json::Null,
    }
}

pub(super) fn from_clear(stated: &Facts, schema: &'static Schema) -> Result<Record, StatedError> {
    let mut record = Record::unknown(schema);
    if stated.0.is_empty() {
        return Ok(record);
    }
    frame(&stated.0, schema, &["clear", "facts", "schema", "sealed"])?;
    commitment(stated)?;
    let clear = object(stated.0.get("clear"), "clear")?;
    merge(&mut record, clear, Seen::ByServer)?;
    Ok(record)
}

pub(super) fn from_both(stated: &Facts, sealed: &[u8], schema: &'static Schema) -> Result<Record, StatedError> {
    let mut record = from_clear(stated, schema)?;
    if commitment(stated)? != Some(Digest(sha256(sealed))) {
        return Err(StatedError::OtherSealed);
    }
    let value = json::parse_value(sealed).map_err(|_| StatedError::OtherSealed)?;
    let value = object(Some(&value), "sealed")?;
    frame(value, schema, &["facts", "salt", "schema", "sealed"])?;
    let salt = value.get("salt").and_then(Json::as_str).and_then(from_hex::<32>);
    if salt.is_none() {
        return Err(StatedError::Shape("salt".to_owned()));
    }
    merge(&mut record, object(value.get("sealed"), "sealed")?, Seen::Sealed)?;
    Ok(record)
}

/// The hash of the sealed part, if there is one.
fn commitment(stated: &Facts) -> Result<Option<Digest>, StatedError> {
    match stated.0.get("sealed") {
        Some(Json::Null) => Ok(None),
        Some(Json::String(hash)) => hash.parse().map(Some).map_err(|_| StatedError::Shape("sealed".to_owned())),
        _ => Err(StatedError::Shape("sealed".to_owned())),
    }
}

fn frame(value: &Map<String, Json>, schema: &Schema, members: &[&str]) -> Result<(), StatedError> {
    if value.get("facts").and_then(Json::as_str) != Some(schema.name) {
        return Err(StatedError::OtherKind(schema.name));
    }
    match value.get("schema").and_then(Json::as_u64) {
        Some(SCHEMA_VERSION) => {}
        Some(newer) => return Err(StatedError::Newer(newer)),
        None => return Err(StatedError::Shape("schema".to_owned())),
    }
    match value.keys().find(|name| !members.contains(&name.as_str())) {
        Some(name) => Err(StatedError::Shape(name.clone())),
        None if value.len() == members.len() => Ok(()),
        None => Err(StatedError::Shape("facts".to_owned())),
    }
}

fn object<'a>(value: Option<&'a Json>, name: &str) -> Result<&'a Map<String, Json>, StatedError> {
    value.and_then(Json::as_object).ok_or_else(|| StatedError::Shape(name.to_owned()))
}

fn merge(record: &mut Record, part: &Map<String, Json>, seen: Seen) -> Result<(), StatedError> {
    for (group, members) in part {
        let members = object(Some(members), group)?;
        if members.is_empty() {
            return Err(StatedError::Shape(group.clone()));
        }
        for (name, value) in members {
            merge_field(record, &format!("{group}.{name}"), value, seen)?;
        }
    }
    Ok(())
}

fn merge_field(record: &mut Record, path: &str, value: &Json, seen: Seen) -> Result<(), StatedError> {
    let shape = || StatedError::Shape(path.to_owned());
    let field = record.schema().field(path).ok_or_else(shape)?;
    let answer = match (field.kind, value) {
        (Kind::Rows(schema), Json::Array(items)) => {
            let rows = match (seen, record.answer(path)) {
                (Seen::Sealed, Answer::Value(Value::Rows(rows))) if rows.len() == items.len() => rows.clone(),
                (Seen::ByServer, _) => items.iter().map(|_| Record::unknown(schema)).collect(),
                _ => return Err(shape()),
            };
            let merged = rows.into_iter().zip(items).map(|(mut row, item)| {
                for (name, value) in object(Some(item), path)? {
                    merge_field(&mut row, name, value, seen)?;
                }
                Ok(row)
            });
            Answer::Value(Value::Rows(merged.collect::<Result<_, StatedError>>()?))
        }
        _ if field.seen != seen => return Err(StatedError::WrongPart(path.to_owned())),
        (_, Json::Null) => Answer::None,
        (kind, value) => Answer::Value(read(kind, value).ok_or_else(shape)?),
    };
    record.set(field.path, answer).map_err(|_| shape())
}

fn read(kind: Kind, value: &Json) -> Option<Value> {
    let texts = || value.as_array()?.iter().map(Json::as_str).collect::<Option<Vec<_>>>();
    // Canonical sets ascend and hold nothing twice.
    let ascending = |items: &Vec<&str>| items.is_sorted_by(|a, b| a < b);
    Some(match kind {
        Kind::Flag => Value::Flag(value.as_bool()?),
        Kind::Number(..) => Value::Number(value.as_u64()?),
        Kind::Share => Value::Share(value.as_u64()?),
        Kind::Day => Value::Day(Day::parse(value.as_str()?)?),
        Kind::Text => Value::Text(value.as_str()?.to_owned()),
        Kind::Country => Value::Country(value.as_str()?.to_owned()),
        Kind::Hash => Value::Hash(value.as_str()?.parse().ok()?),
        Kind::Word(list) => Value::Word(words::find(list, value.as_str()?)?),
        Kind::Words(list) => {
            let items = texts().filter(ascending)?.into_iter().map(|code| words::find(list, code));
            Value::Words(items.collect::<Option<_>>()?)
        }
        Kind::Duo => Value::Words(texts().filter(ascending)?.into_iter().map(duo::find).collect::<Option<_>>()?),
        Kind::Texts => Value::Texts(texts().filter(ascending)?.into_iter().map(str::to_owned).collect()),
        Kind::Rows(_) => return None,
    })
}

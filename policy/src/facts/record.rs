//! Answers to every field of a table. What is put in is checked against the field's kind, so what is inside is well typed.

use std::collections::BTreeSet;

use vault_core::ids::Digest;
use vault_core::ledger::statement::Text;

use super::field::{Field, Kind, Schema};
use super::{duo, words};
use crate::day::Day;
use crate::lang::Bilingual;
use crate::problem::{Fault, Problem, Problems};
use crate::ternary::Ternary;

/// An answer to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nobody has said.
    Unknown,
    /// There is none: no expiry, no approval.
    None,
    /// This.
    Value(Value),
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// A known value, by the field's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// Hundredths of a percent.
    Share(u64),
    /// A day.
    Day(Day),
    /// A text.
    Text(String),
    /// Texts.
    Texts(BTreeSet<String>),
    /// A word of the field's list.
    Word(&'static str),
    /// Words of the field's list, or DUO codes.
    Words(BTreeSet<&'static str>),
    /// A country or region.
    Country(String),
    /// A hash.
    Hash(Digest),
    /// Records.
    Rows(Vec<Record>),
}

/// Answers to every field of a table.
#[derive(Debug, Clone)]
pub struct Record {
    schema: &'static Schema,
    answers: Vec<Answer>,
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.schema, other.schema) && self.answers == other.answers
    }
}

impl Eq for Record {}

static UNKNOWN: Answer = Answer::Unknown;

impl Record {
    /// Nothing is known.
    #[must_use]
    pub fn unknown(schema: &'static Schema) -> Self {
        Self { schema, answers: vec![Answer::Unknown; schema.fields.len()] }
    }

    /// The table.
    #[must_use]
    pub const fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The answer to a field; unknown for a name that is no field.
    #[must_use]
    pub fn answer(&self, path: &str) -> &Answer {
        debug_assert!(self.schema.place(path).is_some(), "{} has no field {path}", self.schema.name);
        self.schema.place(path).map_or(&UNKNOWN, |place| self.at(place))
    }

    /// The answer at a place of the table.
    #[must_use]
    pub fn at(&self, place: usize) -> &Answer {
        self.answers.get(place).unwrap_or(&UNKNOWN)
    }

    /// Every field with its answer, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Field, &Answer)> {
        self.schema.fields.iter().zip(&self.answers)
    }

    /// The fields that nobody has answered.
    pub fn open_questions(&self) -> impl Iterator<Item = &'static Field> {
        self.iter().filter(|(_, answer)| **answer == Answer::Unknown).map(|(field, _)| field)
    }

    /// Puts an answer in.
    ///
    /// # Errors
    /// If there is no such field, or the answer is not of its kind.
    pub fn set(&mut self, path: &str, answer: Answer) -> Result<(), Problems> {
        let fault = match self.schema.fields.iter().zip(&mut self.answers).find(|(field, _)| field.path == path) {
            None => Fault::UnknownField { nearest: None },
            Some((field, slot)) => match refusal(field, &answer) {
                None => {
                    *slot = answer;
                    return Ok(());
                }
                Some(fault) => fault,
            },
        };
        Problems::or(vec![Problem::placeless(path.to_owned(), fault)], ())
    }

    /// Whether a flag is set; "none" is no.
    #[must_use]
    pub fn flag(&self, path: &str) -> Ternary {
        match self.answer(path) {
            Answer::Value(Value::Flag(on)) => Ternary::of(*on),
            Answer::None => Ternary::No,
            _ => Ternary::Unknown,
        }
    }

    /// Whether there is an answer that is not "none".
    #[must_use]
    pub fn given(&self, path: &str) -> Ternary {
        match self.answer(path) {
            Answer::Unknown => Ternary::Unknown,
            Answer::None => Ternary::No,
            Answer::Value(_) => Ternary::Yes,
        }
    }

    /// A number, if it is known.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u64> {
        match self.answer(path) {
            Answer::Value(Value::Number(number) | Value::Share(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether a number or share is at least this much.
    #[must_use]
    pub fn at_least(&self, path: &str, least: u64) -> Ternary {
        Ternary::of_known(self.number(path).map(|number| number >= least))
    }

    /// A text, word or country, if it is known.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.answer(path) {
            Answer::Value(Value::Text(text) | Value::Country(text)) => Some(text),
            Answer::Value(Value::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Whether a word or country is one of these; "none" is not.
    #[must_use]
    pub fn is_one_of(&self, path: &str, of: &[&str]) -> Ternary {
        match self.answer(path) {
            Answer::None => Ternary::No,
            _ => Ternary::of_known(self.text(path).map(|text| of.contains(&text))),
        }
    }

    /// Words, if they are known; "none" is no word.
    #[must_use]
    pub fn words(&self, path: &str) -> Option<BTreeSet<&'static str>> {
        match self.answer(path) {
            Answer::Value(Value::Words(words)) => Some(words.clone()),
            Answer::None => Some(BTreeSet::new()),
            _ => None,
        }
    }

    /// Whether some word is among these.
    #[must_use]
    pub fn meets(&self, path: &str, of: &[&str]) -> Ternary {
        Ternary::of_known(self.words(path).map(|words| words.iter().any(|word| of.contains(word))))
    }
}

/// Why an answer can't stand in a field; `None` if it can.
pub(super) fn refusal(field: &Field, answer: &Answer) -> Option<Fault> {
    match answer {
        Answer::Unknown => None,
        Answer::None if field.none => None,
        Answer::None => Some(Fault::NoneNotTaken),
        Answer::Value(value) => value_refusal(field.kind, value),
    }
}

fn value_refusal(kind: Kind, value: &Value) -> Option<Fault> {
    let text_is_fine = |text: &str| !text.trim().is_empty() && Text::parse(text).is_ok();
    match (kind, value) {
        (Kind::Flag, Value::Flag(_)) | (Kind::Day, Value::Day(_)) | (Kind::Hash, Value::Hash(_)) => None,
        (Kind::Number(least, most), Value::Number(number)) => {
            (!(least..=most).contains(number)).then_some(Fault::OutOfRange { least, most })
        }
        (Kind::Share, Value::Share(share)) => (*share > 10_000).then(|| Fault::NotAShare { found: share_text(*share) }),
        (Kind::Text, Value::Text(text)) => (!text_is_fine(text)).then_some(Fault::NotAText),
        (Kind::Texts, Value::Texts(texts)) if texts.is_empty() => Some(Fault::EmptyList),
        (Kind::Texts, Value::Texts(texts)) => (!texts.iter().all(|text| text_is_fine(text))).then_some(Fault::NotAText),
        (Kind::Word(list), Value::Word(word)) => unknown_word(list, word),
        (Kind::Words(_) | Kind::Duo, Value::Words(words)) if words.is_empty() => Some(Fault::EmptyList),
        (Kind::Words(list), Value::Words(words)) => words.iter().find_map(|word| unknown_word(list, word)),
        (Kind::Duo, Value::Words(words)) => words
            .iter()
            .find(|word| duo::find(word).is_none())
            .map(|word| Fault::UnknownDuo { word: (*word).to_owned(), nearest: None }),
        (Kind::Country, Value::Country(code)) => {
            let fits = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
            (!fits).then(|| Fault::NotACountry { found: code.clone() })
        }
        (Kind::Rows(_), Value::Rows(rows)) if rows.is_empty() => Some(Fault::EmptyList),
        (Kind::Rows(schema), Value::Rows(rows)) => {
            let other = rows.iter().any(|row| !core::ptr::eq(row.schema, schema));
            other.then(|| Fault::WrongKind { expected: kind.describe(), found: "other rows".to_owned() })
        }
        _ => Some(Fault::WrongKind { expected: kind.describe(), found: value.kind_name().en.into_owned() }),
    }
}

fn unknown_word(list: &'static [super::Word], word: &str) -> Option<Fault> {
    words::find(list, word).is_none().then(|| Fault::UnknownWord {
        word: word.to_owned(),
        known: list.iter().map(|known| known.code).collect::<Vec<_>>().join(", "),
        nearest: None,
    })
}

/// A share as people write it.
fn share_text(hundredths: u64) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}"),
        (whole, part) => format!("{whole}.{part:02}"),
    }
}

impl Value {
    fn kind_name(&self) -> Bilingual {
        match self {
            Self::Flag(_) => Bilingual::fixed("yes or no", "是或否"),
            Self::Number(_) => Bilingual::fixed("a number", "数字"),
            Self::Share(_) => Bilingual::fixed("a percentage", "百分比"),
            Self::Day(_) => Bilingual::fixed("a day", "日期"),
            Self::Text(_) => Bilingual::fixed("a text", "文本"),
            Self::Texts(_) => Bilingual::fixed("texts", "文本列表"),
            Self::Word(_) => Bilingual::fixed("a word", "选项"),
            Self::Words(_) => Bilingual::fixed("words", "选项列表"),
            Self::Country(_) => Bilingual::fixed("a country", "国家或地区"),
            Self::Hash(_) => Bilingual::fixed("a hash", "散列值"),
            Self::Rows(_) => Bilingual::fixed("records", "记录"),
        }
    }

    /// The value as people write it.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Self::Flag(on) => if *on { "yes" } else { "no" }.to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Share(share) => format!("{} %", share_text(*share)),
            Self::Day(day) => day.to_string(),
            Self::Text(text) | Self::Country(text) => text.clone(),
            Self::Texts(texts) => texts.iter().cloned().collect::<Vec<_>>().join(", "),
            Self::Word(word) => (*word).to_owned(),
            Self::Words(words) => words.iter().copied().collect::<Vec<_>>().join(", "),
            Self::Hash(hash) => hash.to_string(),
            Self::Rows(rows) => format!("{} record(s)", rows.len()),
        }
    }
}

impl Answer {
    /// The answer as people write it.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Self::Unknown => "unknown".to_owned(),
            Self::None => "none".to_owned(),
            Self::Value(value) => value.show(),
        }
    }
}

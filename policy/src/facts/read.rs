//! Reads facts from the TOML file that a person wrote: each answer by its field's kind, every problem with its place.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeArray, DeTable, DeValue};

use super::field::{Field, Kind, Schema, Word};
use super::record::{Answer, Record, Value, refusal};
use super::{check, duo, words};
use crate::day::Day;
use crate::lang::Bilingual;
use crate::problem::{Fault, Problem, Problems};
use crate::source::{Item, Source, nearest};

/// Where each answered field stands, for problems that are found later.
pub(super) type Places = Vec<(String, usize)>;

pub(super) fn parse_toml(text: &str, schema: &'static Schema) -> Result<Record, Problems> {
    let source = Source { text };
    let (table, mut problems) = source.read();
    // What a syntax error leaves of the table is not worth a second opinion.
    if !problems.is_empty() {
        return Problems::or(problems, Record::unknown(schema));
    }
    let mut reader = Reader { source, problems: Vec::new(), places: Vec::new() };
    let record = reader.document(&table, schema);
    problems.append(&mut reader.problems);
    if problems.is_empty() {
        let at = |path: &str| reader.places.iter().find(|(name, _)| name == path).map(|(_, at)| *at);
        for (field, fault) in check::all(&record) {
            problems.push(match at(&field) {
                Some(place) => source.problem(place, &field, fault),
                None => Problem::placeless(field, fault),
            });
        }
    }
    Problems::or(problems, record)
}

struct Reader<'a> {
    source: Source<'a>,
    problems: Vec<Problem>,
    places: Places,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: usize, field: &str, fault: Fault) {
        self.problems.push(self.source.problem(at, field, fault));
    }

    /// A file: groups of fields.
    fn document(&mut self, table: &DeTable<'a>, schema: &'static Schema) -> Record {
        let mut record = Record::unknown(schema);
        for (key, item) in table {
            let (group, at) = (key.get_ref().as_ref(), key.span().start);
            if !schema.groups.iter().any(|(name, _)| *name == group) {
                let near = nearest(group, schema.groups.iter().map(|(name, _)| *name)).map(str::to_owned);
                self.wrong(at, group, Fault::UnknownField { nearest: near });
                continue;
            }
            match item.get_ref() {
                DeValue::Table(fields) => self.fields(fields, schema, &format!("{group}."), "", &mut record),
                other => {
                    let expected = Bilingual::made(format!("a table [{group}]"), format!("表 [{group}]"));
                    self.wrong(at, group, Fault::WrongKind { expected, found: other.type_str().to_owned() });
                }
            }
        }
        record
    }

    /// The fields of a group or of a row. `prefix` is of names in the table, `shown` of names in messages.
    fn fields(&mut self, table: &DeTable<'a>, schema: &'static Schema, prefix: &str, shown: &str, into: &mut Record) {
        for (key, item) in table {
            let path = format!("{prefix}{}", key.get_ref());
            let name = format!("{shown}{path}");
            let Some(field) = schema.field(&path) else {
                let group = schema.fields.iter().filter_map(|field| field.path.strip_prefix(prefix));
                let near = nearest(key.get_ref(), group).map(str::to_owned);
                self.wrong(key.span().start, &name, Fault::UnknownField { nearest: near });
                continue;
            };
            match self.answer(field, item, &name) {
                Err((at, fault)) => self.wrong(at, &name, fault),
                Ok(answer) => {
                    self.places.push((name.clone(), item.span().start));
                    if let Some(fault) = refusal(field, &answer) {
                        self.wrong(item.span().start, &name, fault);
                    } else {
                        // Nothing is left to refuse.
                        let _ = into.set(field.path, answer);
                    }
                }
            }
        }
    }

    fn answer(&mut self, field: &Field, item: &Item<'a>, name: &str) -> Result<Answer, (usize, Fault)> {
        let at = item.span().start;
        if let DeValue::String(text) = item.get_ref() {
            match text.as_ref() {
                "unknown" | "未知" | "不详" => return Ok(Answer::Unknown),
                "none" | "无" if field.none => return Ok(Answer::None),
                "none" | "无" if !has_word(field.kind, text) => return Err((at, Fault::NoneNotTaken)),
                _ => {}
            }
        }
        self.value(field.kind, item, name).map(Answer::Value)
    }

    fn value(&mut self, kind: Kind, item: &Item<'a>, name: &str) -> Result<Value, (usize, Fault)> {
        let (span, value) = (item.span(), item.get_ref());
        let fails = |fault| Err((span.start, fault));
        let wrong = || Fault::WrongKind { expected: kind.describe(), found: value.type_str().to_owned() };
        match (kind, value) {
            (Kind::Flag, DeValue::Boolean(on)) => Ok(Value::Flag(*on)),
            (Kind::Flag, DeValue::String(text)) => match text.as_ref() {
                "yes" | "是" | "有" => Ok(Value::Flag(true)),
                "no" | "否" => Ok(Value::Flag(false)),
                _ => fails(Fault::WrongKind { expected: kind.describe(), found: format!("\"{text}\"") }),
            },
            (Kind::Number(least, most), DeValue::Integer(number)) => {
                let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
                let fits = read.filter(|number| (least..=most).contains(number));
                fits.map(Value::Number).ok_or((span.start, Fault::OutOfRange { least, most }))
            }
            (Kind::Share, DeValue::Integer(_) | DeValue::Float(_)) => {
                let raw = self.source.raw(&span);
                let found = || Fault::NotAShare { found: raw.to_owned() };
                hundredths(raw).map(Value::Share).ok_or_else(|| (span.start, found()))
            }
            (Kind::Day, DeValue::Datetime(_)) => self.day(&span, self.source.raw(&span)),
            (Kind::Day, DeValue::String(text)) => self.day(&span, text),
            (Kind::Text, DeValue::String(text)) => Ok(Value::Text(text.clone().into_owned())),
            (Kind::Country, DeValue::String(text)) => Ok(Value::Country(text.clone().into_owned())),
            (Kind::Hash, DeValue::String(text)) => {
                text.parse().map(Value::Hash).map_err(|_| (span.start, Fault::NotAHash))
            }
            (Kind::Word(list), DeValue::String(text)) => {
                words::find(list, text).map(Value::Word).ok_or_else(|| (span.start, no_such_word(list, text)))
            }
            (Kind::Words(list), DeValue::Array(items)) => {
                let one = |text: &str| words::find(list, text).ok_or_else(|| no_such_word(list, text));
                self.list(items, &Kind::Word(list).describe(), one, name).map(Value::Words)
            }
            (Kind::Duo, DeValue::Array(items)) => {
                let one = |text: &str| duo::find(text).ok_or_else(|| no_such_duo(text));
                self.list(items, &kind.describe(), one, name).map(Value::Words)
            }
            (Kind::Texts, DeValue::Array(items)) => {
                let one = |text: &str| Ok(text.to_owned());
                self.list(items, &Kind::Text.describe(), one, name).map(Value::Texts)
            }
            (Kind::Rows(schema), DeValue::Array(items)) => self.rows(items, schema, name).map(Value::Rows),
            _ => fails(wrong()),
        }
    }

    fn day(&self, span: &Range<usize>, text: &str) -> Result<Value, (usize, Fault)> {
        Day::parse(text).map(Value::Day).ok_or_else(|| (span.start, Fault::NotADay { found: text.to_owned() }))
    }

    fn list<T: Ord>(
        &mut self,
        items: &DeArray<'a>,
        expected: &Bilingual,
        one: impl Fn(&str) -> Result<T, Fault>,
        name: &str,
    ) -> Result<BTreeSet<T>, (usize, Fault)> {
        let mut out = BTreeSet::new();
        let mut last = None;
        for item in items.iter() {
            let at = item.span().start;
            let read = match item.get_ref() {
                DeValue::String(text) => one(text).and_then(|value| {
                    if out.insert(value) { Ok(()) } else { Err(Fault::Twice { item: text.clone().into_owned() }) }
                }),
                other => Err(Fault::WrongKind { expected: expected.clone(), found: other.type_str().to_owned() }),
            };
            if let Err(fault) = read
                && let Some((at, fault)) = last.replace((at, fault))
            {
                self.wrong(at, name, fault);
            }
        }
        last.map_or(Ok(out), Err)
    }

    fn rows(
        &mut self,
        items: &DeArray<'a>,
        schema: &'static Schema,
        name: &str,
    ) -> Result<Vec<Record>, (usize, Fault)> {
        let mut rows = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                let expected = Kind::Rows(schema).describe();
                let found = item.get_ref().type_str().to_owned();
                return Err((item.span().start, Fault::WrongKind { expected, found }));
            };
            let mut row = Record::unknown(schema);
            self.fields(table, schema, "", &format!("{name}[{}].", number + 1), &mut row);
            rows.push(row);
        }
        Ok(rows)
    }
}

fn has_word(kind: Kind, word: &str) -> bool {
    matches!(kind, Kind::Word(list) | Kind::Words(list) if words::find(list, word).is_some())
}

fn no_such_word(list: &'static [Word], word: &str) -> Fault {
    let codes = || list.iter().map(|known| known.code);
    // Who writes the Chinese name is told the code.
    let named = list.iter().find(|known| known.text.zh == word || known.text.en == word).map(|known| known.code);
    Fault::UnknownWord {
        word: word.to_owned(),
        known: codes().collect::<Vec<_>>().join(", "),
        nearest: named.or_else(|| nearest(word, codes())).map(str::to_owned),
    }
}

fn no_such_duo(word: &str) -> Fault {
    let near = nearest(&word.to_ascii_uppercase(), duo::CODES.iter().map(|known| known.code));
    Fault::UnknownDuo { word: word.to_owned(), nearest: near.map(str::to_owned) }
}

/// `49.5` as 4950; at most two decimals, at most 100.
fn hundredths(raw: &str) -> Option<u64> {
    let (whole, part) = raw.split_once('.').unwrap_or((raw, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    let part = format!("{part:0<2}").parse::<u64>().ok()?;
    let total = whole.parse::<u64>().ok()? * 100 + part;
    (total <= 10_000).then_some(total)
}

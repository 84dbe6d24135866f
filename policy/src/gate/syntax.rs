//! Reads conditions: names of facts, comparisons, `not`, `and`, `or`, parentheses. Each test is checked against the kind of its
//! fact, and one that could have only one result is refused.
//!
//! ```text
//! condition := both ("or" both)*
//! both      := one ("and" one)*
//! one       := "not" one | "(" condition ")" | "given" FACT | DEFINITION
//!            | FACT | FACT ("<" | "<=" | ">" | ">=" | "=" | "!=") VALUE | FACT ("in" | "meets" | "within") "{" VALUE, .. "}"
//! FACT      := ("dataset" | "member" | "grant" | "derived") "." name ("." name)
//! VALUE     := number | number "%" | word | country | "today"
//! ```

use std::collections::BTreeSet;

use super::condition::{Check, Comparison, Condition};
use super::inputs::{Input, SCOPES};
use crate::facts::field::MANY;
use crate::facts::{Field, Kind, Seen, duo, words};
use crate::lang::Bilingual;
use crate::source::nearest;

/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 32;

/// What is wrong with a condition, and at which byte of it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) why: Bilingual,
}

fn wrong<T>(at: usize, en: impl Into<String>, zh: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, why: Bilingual::made(en.into(), zh.into()) })
}

/// Reads a condition; `defines` are the names that were defined before.
pub(super) fn parse(text: &str, defines: &[String]) -> Result<Condition, Wrong> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.len(), defines };
    let condition = parser.any(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some((at, token)) => wrong(*at, format!("unexpected \"{token}\""), format!("多余的“{token}”")),
    }
}

type Token<'a> = (usize, &'a str);

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Wrong> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'%');
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at).copied() {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'(' | b')' | b'{' | b'}' | b',' | b'=' => 1,
            b'<' | b'>' | b'!' => 1 + usize::from(rest.get(1) == Some(&b'=')),
            _ => rest.iter().take_while(|byte| is_word(**byte)).count(),
        };
        match text.get(at..at + length) {
            Some(token) if length > 0 && token != "!" => out.push((at, token)),
            _ => return wrong(at, "a character that no condition has", "条件中不应出现的字符"),
        }
        at += length;
    }
    Ok(out)
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    end: usize,
    defines: &'a [String],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.peek().is_some_and(|(_, token)| *token == what);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self) -> Result<Token<'a>, Wrong> {
        let Some(token) = self.peek().copied() else {
            return wrong(self.end, "ends too early", "条件不完整");
        };
        self.next += 1;
        Ok(token)
    }

    fn expect(&mut self, what: &str) -> Result<(), Wrong> {
        let at = self.peek().map_or(self.end, |(at, _)| *at);
        if self.take(what) {
            Ok(())
        } else {
            wrong(at, format!("expected \"{what}\""), format!("此处应为“{what}”"))
        }
    }

    fn any(&mut self, depth: usize) -> Result<Condition, Wrong> {
        self.joined(depth, "or", Self::all, Condition::Any)
    }

    fn all(&mut self, depth: usize) -> Result<Condition, Wrong> {
        self.joined(depth, "and", Self::one, Condition::All)
    }

    fn joined(
        &mut self,
        depth: usize,
        word: &str,
        part: fn(&mut Self, usize) -> Result<Condition, Wrong>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Condition, Wrong> {
        let first = part(self, depth)?;
        if self.peek().is_none_or(|(_, token)| *token != word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(word) {
            parts.push(part(self, depth)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let (at, token) = self.word()?;
        if depth > MAX_DEPTH {
            return wrong(at, "nested too deeply", "嵌套过深");
        }
        match token {
            "not" => Ok(Condition::Not(Box::new(self.one(depth + 1)?))),
            "(" => {
                let inner = self.any(depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            "given" => {
                let (at, name) = self.word()?;
                let input = input(at, name)?;
                if !input.field().none {
                    return wrong(
                        at,
                        format!("\"{name}\" has no \"none\": `given` would always hold"),
                        format!("“{name}”没有“none”这一答案，`given` 恒为真"),
                    );
                }
                Ok(Condition::Test(input, Check::Given))
            }
            name if name.contains('.') => {
                let input = input(at, name)?;
                self.test(at, input)
            }
            name => match self.defines.iter().position(|define| define == name) {
                Some(place) => Ok(Condition::Defined(place, name.to_owned())),
                None => {
                    let near = nearest(name, self.defines.iter().map(String::as_str));
                    wrong(
                        at,
                        format!("\"{name}\" is not defined before here{}", hint(near)),
                        format!("“{name}”在此之前没有定义{}", hint_zh(near)),
                    )
                }
            },
        }
    }

    fn test(&mut self, at: usize, input: Input) -> Result<Condition, Wrong> {
        let field = input.field();
        let sign = self.peek().map(|(_, token)| *token);
        let comparison = match sign {
            Some("<") => Some(Comparison::Less),
            Some("<=") => Some(Comparison::AtMost),
            Some(">") => Some(Comparison::More),
            Some(">=") => Some(Comparison::AtLeast),
            Some("=" | "!=") => Some(Comparison::Equal),
            _ => None,
        };
        if let Some(how) = comparison {
            self.next += 1;
            let (value_at, value) = self.word()?;
            let check = match field.kind {
                Kind::Word(_) | Kind::Country if how == Comparison::Equal => {
                    Check::OneOf(BTreeSet::from([member(value_at, field, value)?]))
                }
                Kind::Number(least, most) => Check::Compare(how, number(value_at, how, value, least, most)?),
                Kind::Share => Check::Compare(how, share(value_at, how, value)?),
                Kind::Day if value == "today" => Check::Today(how),
                kind => return mismatch(at, kind),
            };
            let test = Condition::Test(input, check);
            return Ok(if sign == Some("!=") { Condition::Not(Box::new(test)) } else { test });
        }
        let set: fn(BTreeSet<String>) -> Check = match (sign, field.kind) {
            (Some("in"), Kind::Word(_) | Kind::Country) => Check::OneOf,
            (Some("meets"), Kind::Words(_) | Kind::Duo) => Check::Meets,
            (Some("within"), Kind::Words(_) | Kind::Duo) => Check::Within,
            (Some("in" | "meets" | "within"), kind) => return mismatch(at, kind),
            (_, Kind::Flag) => return Ok(Condition::Test(input, Check::Yes)),
            (_, kind) => return mismatch(at, kind),
        };
        self.next += 1;
        let members = self.members(field)?;
        Ok(Condition::Test(input, set(members)))
    }

    fn members(&mut self, field: &'static Field) -> Result<BTreeSet<String>, Wrong> {
        self.expect("{")?;
        let mut out = BTreeSet::new();
        loop {
            let (at, value) = self.word()?;
            if !out.insert(member(at, field, value)?) {
                return wrong(at, format!("\"{value}\" stands there twice"), format!("“{value}”重复出现"));
            }
            if !self.take(",") {
                break;
            }
        }
        let at = self.peek().map_or(self.end, |(at, _)| *at);
        self.expect("}")?;
        let all = match field.kind {
            Kind::Word(list) | Kind::Words(list) => list.len(),
            Kind::Duo => duo::CODES.len(),
            _ => usize::MAX,
        };
        if out.len() == all {
            return wrong(at, "all words of the list: this tests nothing", "列出了全部选项，等于没有检验");
        }
        Ok(out)
    }
}

/// An input by its full name.
fn input(at: usize, name: &str) -> Result<Input, Wrong> {
    let Some(input) = Input::named(name) else {
        let names =
            SCOPES.iter().flat_map(|(scope, schema)| schema.fields.iter().map(move |f| format!("{scope}.{}", f.path)));
        let names: Vec<String> = names.collect();
        let near = nearest(name, names.iter().map(String::as_str));
        return wrong(
            at,
            format!("no fact \"{name}\"{}", hint(near)),
            format!("没有“{name}”这一事实{}", hint_zh(near)),
        );
    };
    if input.field().seen == Seen::Sealed {
        return wrong(
            at,
            format!("\"{name}\" is sealed: a server could not decide by it"),
            format!("“{name}”是密封字段，服务器无法据此判断"),
        );
    }
    Ok(input)
}

/// A word, code or country that the field knows.
fn member(at: usize, field: &Field, value: &str) -> Result<String, Wrong> {
    let known = match field.kind {
        Kind::Word(list) | Kind::Words(list) => words::find(list, value).is_some(),
        Kind::Duo => duo::find(value).is_some(),
        Kind::Country => value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_uppercase()),
        _ => false,
    };
    if known {
        return Ok(value.to_owned());
    }
    wrong(at, format!("\"{value}\" is no answer to {}", field.path), format!("“{value}”不是 {} 的选项", field.path))
}

fn number(at: usize, how: Comparison, value: &str, least: u64, most: u64) -> Result<u64, Wrong> {
    let Ok(number) = value.parse::<u64>() else {
        return wrong(at, format!("\"{value}\" is no whole number"), format!("“{value}”不是整数"));
    };
    let always = match how {
        Comparison::Less | Comparison::AtLeast => number <= least || number > most,
        Comparison::More | Comparison::AtMost => number < least || number >= most,
        Comparison::Equal => !(least..=most).contains(&number),
    };
    if always {
        let most = if most == MANY { "2^53 - 1".to_owned() } else { most.to_string() };
        return wrong(
            at,
            format!("the number is from {least} to {most}: this comparison has only one result"),
            format!("该数值的范围是 {least} 至 {most}，此比较结果恒定"),
        );
    }
    Ok(number)
}

fn share(at: usize, how: Comparison, value: &str) -> Result<u64, Wrong> {
    let parsed = value.strip_suffix('%').and_then(|digits| {
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if part.len() > 2 {
            return None;
        }
        Some(whole.parse::<u64>().ok()?.checked_mul(100)? + format!("{part:0<2}").parse::<u64>().ok()?)
    });
    match parsed {
        Some(hundredths) => number(at, how, &hundredths.to_string(), 0, 10_000),
        None => wrong(at, format!("\"{value}\" is no percentage such as 50%"), format!("“{value}”不是百分比，如 50%")),
    }
}

fn mismatch<T>(at: usize, kind: Kind) -> Result<T, Wrong> {
    let kind = kind.describe();
    wrong(
        at,
        format!("this can't be asked of a fact that is {}", kind.en),
        format!("该事实为{}，不能这样检验", kind.zh),
    )
}

fn hint_zh(near: Option<&str>) -> String {
    near.map(|near| format!("（是否想写“{near}”？）")).unwrap_or_default()
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default()
}

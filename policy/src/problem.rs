//! What is wrong with a file that a person wrote: where, in which field, why, in the person's language; all of it at once.

use core::fmt;

use crate::lang::{Bilingual, Lang};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 if the text has no lines (a signed statement).
    pub line: usize,
    /// The column in characters, from 1; 0 with line 0.
    pub column: usize,
    /// The field's full name; empty if the problem is not in a field.
    pub field: String,
    /// What is wrong.
    pub fault: Fault,
}

impl Problem {
    /// A problem of a value that has no lines.
    #[must_use]
    pub const fn placeless(field: String, fault: Fault) -> Self {
        Self { line: 0, column: 0, field, fault }
    }

    /// The problem as one line.
    #[must_use]
    pub fn say(&self, lang: Lang) -> String {
        let (place, colon) = match (self.line, lang) {
            (0, Lang::En) => (String::new(), ": "),
            (0, Lang::Zh) => (String::new(), "："),
            (line, Lang::En) => (format!("line {line}, column {}: ", self.column), ": "),
            (line, Lang::Zh) => (format!("第 {line} 行第 {} 列：", self.column), "："),
        };
        let field = if self.field.is_empty() { String::new() } else { format!("{}{colon}", self.field) };
        format!("{place}{field}{}", self.fault.text().say(lang))
    }
}

/// Everything that is wrong with a text, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The value if nothing is wrong.
    ///
    /// # Errors
    /// If there is a problem.
    pub(crate) fn or<T>(mut problems: Vec<Problem>, value: T) -> Result<T, Self> {
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by(|a, b| (a.line, a.column, &a.field).cmp(&(b.line, b.column, &b.field)));
        problems.dedup();
        Err(Self(problems))
    }

    /// Each problem.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// All problems, a line each.
    #[must_use]
    pub fn say(&self, lang: Lang) -> String {
        self.0.iter().map(|problem| problem.say(lang)).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Lang::En))
    }
}

impl std::error::Error for Problems {}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the members are what the variant's text quotes")]
pub enum Fault {
    /// Not TOML; the parser's own words, which are English.
    Syntax { said: String },
    /// No such field here.
    UnknownField { nearest: Option<String> },
    /// A value of another kind than the field takes.
    WrongKind { expected: Bilingual, found: String },
    /// A word that the field does not know.
    UnknownWord { word: String, known: String, nearest: Option<String> },
    /// A code that the Data Use Ontology subset here does not have.
    UnknownDuo { word: String, nearest: Option<String> },
    /// A number outside its range.
    OutOfRange { least: u64, most: u64 },
    /// A share of more than 100 %, or with more than two decimals.
    NotAShare { found: String },
    /// No such day, or not written YYYY-MM-DD.
    NotADay { found: String },
    /// Not 64 lower-case hex digits.
    NotAHash,
    /// Not two capital letters.
    NotACountry { found: String },
    /// Empty, longer than 1,024 bytes, or with a control character.
    NotAText,
    /// The same item twice.
    Twice { item: String },
    /// A list that must not be empty.
    EmptyList,
    /// "none" where there is always an answer.
    NoneNotTaken,
    /// A day before the day that it must follow.
    Reversed { first: &'static str },
    /// Two answers that can't both be right.
    Contradiction { id: &'static str, why: Bilingual },
    /// A statement's facts that are not of the schema.
    NotFacts { why: Bilingual },
    /// A pack's condition that does not parse or has a wrong type.
    Condition { why: Bilingual },
    /// A member of a pack that is missing.
    Missing,
    /// A pack's value that can't be used.
    Pack { why: Bilingual },
}

impl Fault {
    /// The reason in both languages.
    #[must_use]
    pub fn text(&self) -> Bilingual {
        match self {
            Self::Syntax { said } => {
                Bilingual::made(format!("not valid TOML: {said}"), format!("不是有效的 TOML（解析器原文：{said}）"))
            }
            Self::UnknownField { nearest } => Bilingual::made(
                format!("no such field{}", meant(nearest.as_deref(), Lang::En)),
                format!("没有这个字段{}", meant(nearest.as_deref(), Lang::Zh)),
            ),
            Self::WrongKind { expected, found } => Bilingual::made(
                format!("expected {}, found {found}", expected.en),
                format!("应为{}，实际为 {found}", expected.zh),
            ),
            Self::UnknownWord { word, known, nearest } => Bilingual::made(
                format!("no such answer: \"{word}\"{}; one of {known}", meant(nearest.as_deref(), Lang::En)),
                format!("没有“{word}”这个选项{}；可选：{known}", meant(nearest.as_deref(), Lang::Zh)),
            ),
            Self::UnknownDuo { word, nearest } => Bilingual::made(
                format!("unknown DUO code \"{word}\"{}", meant(nearest.as_deref(), Lang::En)),
                format!("未知的 DUO 代码“{word}”{}", meant(nearest.as_deref(), Lang::Zh)),
            ),
            Self::OutOfRange { least, most } => Bilingual::made(
                format!("must be a whole number from {least} to {most}"),
                format!("须为 {least} 到 {most} 之间的整数"),
            ),
            Self::NotAShare { found } => Bilingual::made(
                format!("{found} is no percentage from 0 to 100 with at most two decimals"),
                format!("{found} 不是 0 到 100 之间、最多两位小数的百分比"),
            ),
            Self::NotADay { found } => Bilingual::made(
                format!("{found} is no day; write YYYY-MM-DD, from 1900 to 9999"),
                format!("{found} 不是有效日期；请写成 YYYY-MM-DD，年份 1900 至 9999"),
            ),
            Self::NotAHash => Bilingual::fixed(
                "not a SHA-256 hash: expected 64 digits 0-9 a-f",
                "不是 SHA-256 散列值：应为 64 位 0-9 a-f 的十六进制数字",
            ),
            Self::NotACountry { found } => Bilingual::made(
                format!("\"{found}\" is no country code; write two capital letters (ISO 3166-1), such as CN"),
                format!("“{found}”不是国家或地区代码；请写两个大写字母（ISO 3166-1），如 CN"),
            ),
            Self::NotAText => Bilingual::fixed(
                "a text must not be empty, be longer than 1,024 bytes or hold a line feed or other control character",
                "文本不能为空、不能超过 1024 字节，也不能含换行等控制字符",
            ),
            Self::Twice { item } => {
                Bilingual::made(format!("\"{item}\" stands there twice"), format!("“{item}”重复出现"))
            }
            Self::EmptyList => Bilingual::fixed(
                "an empty list says nothing; write \"unknown\", or \"none\" where that is an answer",
                "空列表没有含义；请写 \"unknown\"，允许时可写 \"none\"",
            ),
            Self::NoneNotTaken => Bilingual::fixed(
                "\"none\" is no answer to this; write \"unknown\"",
                "此处不能写 \"none\"；请写 \"unknown\"",
            ),
            Self::Reversed { first } => {
                Bilingual::made(format!("this day is before {first}"), format!("此日期早于 {first}"))
            }
            Self::Contradiction { why, .. } => {
                Bilingual::made(format!("contradiction: {}", why.en), format!("前后矛盾：{}", why.zh))
            }
            Self::NotFacts { why } | Self::Pack { why } => why.clone(),
            Self::Condition { why } => Bilingual::made(format!("condition: {}", why.en), format!("条件：{}", why.zh)),
            Self::Missing => Bilingual::fixed("missing", "缺少此项"),
        }
    }
}

fn meant(nearest: Option<&str>, lang: Lang) -> String {
    match (nearest, lang) {
        (None, _) => String::new(),
        (Some(word), Lang::En) => format!(" (did you mean \"{word}\"?)"),
        (Some(word), Lang::Zh) => format!("（是否想写“{word}”？）"),
    }
}

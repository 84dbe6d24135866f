//! What a field is: its name, the kind of its answers, who sees it, and the question in both languages.

use crate::lang::Bilingual;

/// A word of a closed list.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is written in files and statements.
    pub code: &'static str,
    /// What it means.
    pub text: Bilingual,
}

/// The kind of a field's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A share of 0 to 100 %, in hundredths of a percent.
    Share,
    /// A calendar day.
    Day,
    /// Free text of at most 1,024 bytes.
    Text,
    /// Several texts.
    Texts,
    /// One word of a list.
    Word(&'static [Word]),
    /// Several words of a list.
    Words(&'static [Word]),
    /// Codes of the Data Use Ontology.
    Duo,
    /// A country or region by ISO 3166-1.
    Country,
    /// A SHA-256 hash.
    Hash,
    /// Records, such as approvals.
    Rows(&'static Schema),
}

/// Who reads a field in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Everybody who holds the ledger, the server too, because a rule or a computed input decides by it.
    ByServer,
    /// Those to whom the sealed part is given; the statement commits to it by a salted hash.
    Sealed,
}

/// A field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// `group.name`; in rows just `name`.
    pub path: &'static str,
    /// The kind of its answers.
    pub kind: Kind,
    /// Whether "none" is an answer.
    pub none: bool,
    /// Who sees it.
    pub seen: Seen,
    /// The question.
    pub ask: Bilingual,
}

/// A table of fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// `dataset`, `member` or `grant`; of rows, what one is.
    pub name: &'static str,
    /// The fields, group by group.
    pub fields: &'static [Field],
    /// The groups with their headings, in order; empty in rows.
    pub groups: &'static [(&'static str, Bilingual)],
}

impl Schema {
    /// The place of a field in the table.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.path == path)
    }

    /// A field by name.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.path == path)
    }
}

/// A field that the server sees, for the tables.
pub(super) const fn open(path: &'static str, kind: Kind, en: &'static str, zh: &'static str) -> Field {
    Field { path, kind, none: false, seen: Seen::ByServer, ask: Bilingual::fixed(en, zh) }
}

/// A field that the server sees, with "none" as an answer.
pub(super) const fn open_or_none(path: &'static str, kind: Kind, en: &'static str, zh: &'static str) -> Field {
    Field { path, kind, none: true, seen: Seen::ByServer, ask: Bilingual::fixed(en, zh) }
}

/// A field that is sealed.
pub(super) const fn sealed(path: &'static str, kind: Kind, en: &'static str, zh: &'static str) -> Field {
    Field { path, kind, none: false, seen: Seen::Sealed, ask: Bilingual::fixed(en, zh) }
}

/// A field that is sealed, with "none" as an answer.
pub(super) const fn sealed_or_none(path: &'static str, kind: Kind, en: &'static str, zh: &'static str) -> Field {
    Field { path, kind, none: true, seen: Seen::Sealed, ask: Bilingual::fixed(en, zh) }
}

impl Kind {
    /// What an answer looks like, for messages and templates.
    #[must_use]
    pub fn describe(self) -> Bilingual {
        match self {
            Self::Flag => Bilingual::fixed("yes or no", "“yes”（是）或“no”（否）"),
            Self::Number(least, most) if most == MANY => {
                Bilingual::made(format!("a whole number from {least}"), format!("不小于 {least} 的整数"))
            }
            Self::Number(least, most) => {
                Bilingual::made(format!("a whole number from {least} to {most}"), format!("{least} 至 {most} 的整数"))
            }
            Self::Share => Bilingual::fixed("a percentage from 0 to 100", "0 到 100 的百分比数值"),
            Self::Day => Bilingual::fixed("a day, YYYY-MM-DD", "日期（YYYY-MM-DD）"),
            Self::Text => Bilingual::fixed("a text in quotes", "引号内的文本"),
            Self::Texts => Bilingual::fixed("a list of texts in quotes", "文本列表"),
            Self::Word(_) => Bilingual::fixed("one of the words in quotes", "下列选项之一（加引号）"),
            Self::Words(_) => Bilingual::fixed("a list of the words in quotes", "下列选项组成的列表"),
            Self::Duo => Bilingual::fixed("a list of DUO codes in quotes", "DUO 代码列表"),
            Self::Country => Bilingual::fixed("a country code such as \"CN\"", "国家或地区代码，如 \"CN\""),
            Self::Hash => Bilingual::fixed("a SHA-256 hash in quotes", "SHA-256 散列值"),
            Self::Rows(_) => Bilingual::fixed("tables in double brackets", "双方括号表"),
        }
    }
}

/// The largest number that a statement holds.
pub const MANY: u64 = (1 << 53) - 1;

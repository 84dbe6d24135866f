//! What is known of datasets, members and grants, as typed answers in which *unknown* is one.
//!
//! One table of fields for each of the three ([`dataset`], [`member`], [`grant`]) gives the parser of the hand-written TOML file,
//! the commented template, the page of the docs, the canonical form in statements and the inputs of rules: they can't differ.
//! A [`Record`] holds an answer to every field of its table, and no answer of another kind than its field's can be put in.

pub mod amendment;
mod canonical;
mod check;
pub mod dataset;
pub mod duo;
pub mod field;
pub mod grant;
pub mod member;
mod read;
pub mod record;
pub mod subjects;
mod template;
pub mod words;

pub use amendment::{Amendment, Change, NoAmendment};
pub use canonical::{SCHEMA_VERSION, Sealed, Split, StatedError};
pub use field::{Field, Kind, Schema, Seen, Word};
pub use record::{Answer, Record, Value};
pub use template::fields_page;

use vault_core::ledger::statement as core_statement;

use crate::lang::Lang;
use crate::problem::Problems;

macro_rules! kinds_of_facts {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Record);

        impl $name {
            /// Its table of fields.
            pub const SCHEMA: &'static Schema = $schema;

            /// Nothing is known.
            #[must_use]
            pub fn unknown() -> Self {
                Self(Record::unknown(Self::SCHEMA))
            }

            /// Reads a TOML file that a person wrote.
            ///
            /// # Errors
            /// Everything that is wrong with it: syntax, fields, kinds, ranges, order of days, contradictions.
            pub fn parse_toml(text: &str) -> Result<Self, Problems> {
                read::parse_toml(text, Self::SCHEMA).map(Self)
            }

            /// A commented file to fill in; as it is, it says that nothing is known.
            #[must_use]
            pub fn template(lang: Lang) -> String {
                template::template(Self::SCHEMA, lang)
            }

            /// The answers.
            #[must_use]
            pub const fn record(&self) -> &Record {
                &self.0
            }

            /// These facts with some answers replaced; whether they then contradict is [`Self::check`]'s to say.
            ///
            /// # Errors
            /// If there is no such field, or an answer is not of its kind.
            pub fn with(&self, answers: impl IntoIterator<Item = (&'static str, Answer)>) -> Result<Self, Problems> {
                let mut record = self.0.clone();
                for (path, answer) in answers {
                    record.set(path, answer)?;
                }
                Ok(Self(record))
            }

            /// What can't all be right. Reading a statement does not ask this, so that what was signed stays readable: who appends
            /// new facts, or lets them be appended, does.
            ///
            /// # Errors
            /// Each contradiction.
            pub fn check(&self) -> Result<(), Problems> {
                check::placeless(&self.0)
            }

            /// What goes in the statement, and what only those who hold the data may read. `salt` is 32 random bytes, new each time.
            ///
            /// # Errors
            /// If the facts are longer than a statement takes.
            pub fn split(&self, salt: [u8; 32]) -> Result<Split, StatedError> {
                canonical::split(&self.0, salt)
            }

            /// What a statement says in the clear: all that a server or an outsider can know. An empty object says nothing.
            ///
            /// # Errors
            /// If it is not of this kind, of a newer schema, or not well formed.
            pub fn from_statement(stated: &core_statement::Facts) -> Result<Self, StatedError> {
                canonical::from_clear(stated, Self::SCHEMA).map(Self)
            }

            /// The whole, from a statement and the sealed part that it commits to.
            ///
            /// # Errors
            /// As [`Self::from_statement`], and if the sealed part is not the one that the statement commits to.
            pub fn from_both(stated: &core_statement::Facts, sealed: &[u8]) -> Result<Self, StatedError> {
                canonical::from_both(stated, sealed, Self::SCHEMA).map(Self)
            }

            /// What changed from `before` to these facts, and why.
            ///
            /// # Errors
            /// If nothing changed, or no reason is given.
            pub fn amends(&self, before: &Self, why: &str) -> Result<Amendment, NoAmendment> {
                Amendment::between(&before.0, &self.0, why)
            }
        }
    )*};
}

kinds_of_facts! {
    /// Facts of a dataset.
    Dataset = &dataset::SCHEMA;
    /// Facts of a member.
    Member = &member::SCHEMA;
    /// Facts of a grant.
    Grant = &grant::SCHEMA;
}

impl Member {
    /// Facts of a member as its enrolment states them. Jurisdiction and kind of organisation stand beside the facts there: they
    /// fill what the facts leave open.
    ///
    /// # Errors
    /// As [`Self::from_statement`], and if the facts name another jurisdiction or kind.
    pub fn from_info(info: &core_statement::Info) -> Result<Self, StatedError> {
        let mut member = Self::from_statement(&info.facts)?;
        let kind = match info.kind {
            core_statement::OrganisationKind::Enterprise => "enterprise",
            core_statement::OrganisationKind::Hospital => "hospital",
            core_statement::OrganisationKind::Other => "other",
            core_statement::OrganisationKind::Regulator => "regulator",
            core_statement::OrganisationKind::Research => "research",
            core_statement::OrganisationKind::Team => "team",
        };
        let kind = words::find(words::ORGANISATIONS, kind).map_or(Answer::Unknown, |word| Value::Word(word).into());
        let jurisdiction: Answer = Value::Country(info.jurisdiction.as_str().to_owned()).into();
        for (path, beside) in [("legal.jurisdiction", jurisdiction), ("legal.kind", kind)] {
            match member.0.answer(path) {
                Answer::Unknown => member.0.set(path, beside).map_err(|_| StatedError::Shape(path.to_owned()))?,
                stated if *stated == beside => {}
                _ => return Err(StatedError::Beside(path)),
            }
        }
        Ok(member)
    }
}

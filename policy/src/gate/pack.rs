//! Rule packs: rules as data with citations, dates of effect and texts in both languages, named by a hash over what they mean.
//!
//! The packs of this project ship inside the program and stay in it for as long as there are decisions made by them: a verifier
//! finds the pack of a trace by its hash. Other packs are read from a file in the same form.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::Digest;
use vault_core::json;

use super::condition::Condition;
use super::decide::Outcome;
use super::load;
use crate::day::Day;
use crate::lang::Bilingual;
use crate::problem::Problems;

/// A rule pack that was read and checked.
#[derive(Debug, Clone)]
pub struct Pack {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) title: Bilingual,
    pub(super) offset: i32,
    pub(super) counted: Option<Condition>,
    pub(super) exported: Option<Condition>,
    pub(super) regimes: Vec<Regime>,
    pub(super) define_names: Vec<String>,
    pub(super) defines: Vec<Condition>,
    pub(super) rules: Vec<Rule>,
    pub(super) hash: Digest,
}

/// A body of law or a table that rules belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regime {
    /// Its name in the pack.
    pub id: String,
    /// Whether some rule of it has to allow: without one nothing is allowed.
    pub needs_allow: bool,
    /// Its title.
    pub title: Bilingual,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the pack.
    pub id: String,
    /// The row of the table that it implements.
    pub row: String,
    /// Its regime, by place.
    pub(super) regime: usize,
    /// Where it stands, each with how sure that is.
    pub cites: Vec<Cite>,
    /// The first day on which it is in effect.
    pub from: Day,
    /// The last one, if there is one.
    pub to: Option<Day>,
    /// What it says if it holds.
    pub outcome: Verdict,
    /// When it holds.
    pub(super) when: Condition,
    /// The evidence that lifts a block.
    pub(super) until: Option<Condition>,
    /// What evidence that is.
    pub evidence: Option<Bilingual>,
    /// Approvals that a grant needs if it holds.
    pub approvals: u8,
    /// What a standing grant needs if it holds.
    pub standing: Standing,
    /// What it says.
    pub text: Bilingual,
}

/// What a rule says if it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its regime allows.
    Allow,
    /// Nothing goes until evidence is given.
    Blocked,
    /// Nothing goes.
    Deny,
    /// It only tells: a definition, a demand on approvals.
    Note,
}

/// What happens to a grant that stands when a rule comes to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It rests until it is given anew.
    Suspend,
    /// It ends.
    Revoke,
}

/// A citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cite {
    /// S: stated in the founding documents; L: read in the law; M: from memory, to be confirmed; U: nobody says.
    pub certainty: char,
    /// Where.
    pub place: String,
}

/// The packs that ship, by name and text; a newer version is added, an older one stays.
const SHIPPED: &[&str] =
    &[include_str!("../../packs/cn-sequencing-2026-1.toml"), include_str!("../../packs/example-institute-1.toml")];

static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| {
    // Every shipped pack loads: a test holds that for each.
    SHIPPED.iter().filter_map(|text| Pack::parse(text).ok()).collect()
});

/// The packs inside this program.
#[must_use]
pub fn shipped() -> &'static [Pack] {
    &PACKS
}

/// The shipped pack with this hash.
#[must_use]
pub fn shipped_by_hash(hash: &Digest) -> Option<&'static Pack> {
    PACKS.iter().find(|pack| pack.hash == *hash)
}

/// The texts of the shipped packs, for tests and for those who write their own.
#[must_use]
pub const fn shipped_texts() -> &'static [&'static str] {
    SHIPPED
}

impl Pack {
    /// Reads and checks a pack.
    ///
    /// # Errors
    /// Everything that is wrong with it: members, texts, dates, conditions that do not parse, compare what can't be compared, or
    /// can have one result only.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut pack = load::parse(text)?;
        pack.hash = Digest(sha256(&json::emit_value(&pack.canonical()).unwrap_or_default()));
        Ok(pack)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its title.
    #[must_use]
    pub const fn title(&self) -> &Bilingual {
        &self.title
    }

    /// Minutes by which its days begin before those of UTC.
    #[must_use]
    pub const fn utc_offset_minutes(&self) -> i32 {
        self.offset
    }

    /// The hash that names it: SHA-256 of its canonical form. Comments and spacing are not part of it, texts are.
    #[must_use]
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The regime of a rule.
    #[must_use]
    pub fn regime_of(&self, rule: &Rule) -> Option<&Regime> {
        self.regimes.get(rule.regime)
    }

    /// The rules that test a fact, in a definition or through a computed input too.
    #[must_use]
    pub fn rules_on(&self, fact: &str) -> Vec<&str> {
        let tests = |rule: &&Rule| {
            let mut inputs = std::collections::BTreeSet::new();
            for condition in core::iter::once(&rule.when).chain(&rule.until) {
                condition.inputs(&self.defines, &mut inputs);
            }
            inputs
                .into_iter()
                .flat_map(|input| super::inputs_of(input).into_iter().chain([input]))
                .any(|input| input.to_string() == fact)
        };
        self.rules.iter().filter(tests).map(|rule| rule.id.as_str()).collect()
    }

    fn canonical(&self) -> Json {
        let both = |text: &Bilingual| json!({"en": text.en, "zh": text.zh});
        let defines: Vec<_> = self
            .define_names
            .iter()
            .zip(&self.defines)
            .map(|(id, when)| json!({"id": id, "when": when.to_string()}))
            .collect();
        let regimes: Vec<_> = self
            .regimes
            .iter()
            .map(|one| json!({"id": one.id, "needs_allow": one.needs_allow, "title": both(&one.title)}))
            .collect();
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|rule| {
                let cites: Vec<_> =
                    rule.cites.iter().map(|cite| format!("{} {}", cite.certainty, cite.place)).collect();
                json!({
                    "approvals": rule.approvals,
                    "cites": cites,
                    "evidence": rule.evidence.as_ref().map(both),
                    "from": rule.from.to_string(),
                    "id": rule.id,
                    "outcome": rule.outcome.name(),
                    "regime": self.regimes.get(rule.regime).map(|one| one.id.as_str()),
                    "row": rule.row,
                    "standing": rule.standing.name(),
                    "text": both(&rule.text),
                    "to": rule.to.map(|day| day.to_string()),
                    "until": rule.until.as_ref().map(ToString::to_string),
                    "when": rule.when.to_string(),
                })
            })
            .collect();
        json!({
            "counted": self.counted.as_ref().map(ToString::to_string),
            "defines": defines,
            "engine": super::ENGINE,
            "exported": self.exported.as_ref().map(ToString::to_string),
            "name": self.name,
            "offset": self.offset,
            "regimes": regimes,
            "rules": rules,
            "title": both(&self.title),
            "version": self.version,
        })
    }
}

impl Verdict {
    /// Its word in packs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Blocked => "blocked",
            Self::Deny => "deny",
            Self::Note => "note",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::Blocked, Self::Deny, Self::Note].into_iter().find(|one| one.name() == text)
    }

    /// What it makes of a grant if it certainly holds.
    #[must_use]
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Allow | Self::Note => None,
            Self::Blocked => Some(Outcome::Blocked),
            Self::Deny => Some(Outcome::Deny),
        }
    }
}

impl Standing {
    /// Its word in packs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Suspend, Self::Revoke].into_iter().find(|one| one.name() == text)
    }
}

//! The record of a decision, as a grant's statement holds it: enough to decide again and compare, years later.
//!
//! Canonical JSON: `{"approvals":n,"case":{..},"engine":1,"expires":t,"fired":[[pack, rule, effect] ..],"outcome":"allow","packs":[[name, hash] ..]}`.

use serde_json::{Value as Json, json};
use vault_core::json;
use vault_core::ledger::statement::{Facts, Reservation};

use super::decide::{Case, Decision, Fired, Outcome, decide};
use super::pack::Pack;
use super::{ENGINE, shipped_by_hash};
use crate::lang::Bilingual;

/// The record of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace(Facts);

/// Why a trace does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// Not a trace.
    #[error("not the trace of a decision")]
    Shape,
    /// Decided by another version of the evaluator.
    #[error("decided by engine {0}; this version is engine {ENGINE}: use one that has it")]
    Engine(u64),
    /// A pack that was not at hand.
    #[error("rule pack {name} with hash {hash} is not at hand: give its file")]
    Pack {
        /// Its name.
        name: String,
        /// Its hash.
        hash: String,
    },
    /// Other facts, totals, level or time than were decided on.
    #[error("the trace is of another {0}")]
    Case(String),
    /// The same facts under the same packs decide otherwise.
    #[error("decided again, {0} differs")]
    Decision(&'static str),
}

impl TraceError {
    /// The reason in both languages.
    #[must_use]
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::Shape => "不是判定记录".to_owned(),
            Self::Engine(other) => format!("由判定引擎 {other} 作出，本版本的引擎为 {ENGINE}：请使用具备该引擎的版本"),
            Self::Pack { name, hash } => format!("缺少散列值为 {hash} 的规则包 {name}：请提供其文件"),
            Self::Case(what) => format!("判定记录对应另一个 {what}"),
            Self::Decision(what) => format!("重新判定后 {what} 不一致"),
        };
        Bilingual::made(self.to_string(), zh)
    }
}

impl Trace {
    pub(super) fn of(
        case: &Case<'_>,
        packs: &[&Pack],
        outcome: Outcome,
        fired: &[Fired],
        expires: Option<u64>,
        approvals: u8,
    ) -> Self {
        let mut packs: Vec<_> = packs.iter().map(|pack| [pack.name().to_owned(), pack.hash().to_string()]).collect();
        packs.sort();
        let fired: Vec<_> =
            fired.iter().map(|fired| [fired.pack.as_str(), fired.rule.as_str(), fired.effect.name()]).collect();
        let value = json!({
            "approvals": approvals,
            "case": {
                "dataset": case.dataset.digest().to_string(),
                "dataset_id": case.place.dataset.as_str(),
                "export": case.place.export,
                "exported": case.exposure.exported_this_year,
                "grade_confirmed": case.grade_confirmed,
                "grant": case.grant.digest().to_string(),
                "level": case.level,
                "member": case.member.digest().to_string(),
                "member_id": case.place.member.as_str(),
                "now": case.now,
                "recipient": case.exposure.recipient,
                "reservation": case.place.reservation,
            },
            "engine": ENGINE,
            "expires": expires,
            "fired": fired,
            "outcome": outcome.name(),
            "packs": packs,
        });
        Self(Facts(value.as_object().cloned().unwrap_or_default()))
    }

    /// The trace as a statement holds it.
    #[must_use]
    pub const fn stated(&self) -> &Facts {
        &self.0
    }

    /// A statement's trace; what it says is not believed before [`Trace::check`].
    ///
    /// # Errors
    /// If it has another form, or is another engine's.
    pub fn parse(stated: &Facts) -> Result<Self, TraceError> {
        match stated.0.get("engine").and_then(Json::as_u64) {
            Some(ENGINE) => {}
            Some(other) => return Err(TraceError::Engine(other)),
            None => return Err(TraceError::Shape),
        }
        let members = ["approvals", "case", "engine", "expires", "fired", "outcome", "packs"];
        let exact = stated.0.len() == members.len() && members.iter().all(|name| stated.0.contains_key(*name));
        if exact && json::emit(stated).is_ok() { Ok(Self(stated.clone())) } else { Err(TraceError::Shape) }
    }

    /// The packs that it was decided by: name and hash.
    #[must_use]
    pub fn packs(&self) -> Vec<(String, String)> {
        let pair = |item: &Json| {
            let (name, hash) = (item.get(0)?.as_str()?, item.get(1)?.as_str()?);
            Some((name.to_owned(), hash.to_owned()))
        };
        self.0.0.get("packs").and_then(Json::as_array).into_iter().flatten().filter_map(pair).collect()
    }

    /// The reservation in the provider's exposure ledger that it rests on.
    #[must_use]
    pub fn export(&self) -> Option<Reservation> {
        let stated = self.0.0.get("case")?.get("export")?;
        json::parse(&json::emit_value(stated).ok()?).ok()
    }

    /// The shipped packs that it was decided by.
    ///
    /// # Errors
    /// If one is not in this program.
    pub fn shipped_packs(&self) -> Result<Vec<&'static Pack>, TraceError> {
        let find = |(name, hash): (String, String)| {
            let found = hash.parse().ok().and_then(|hash| shipped_by_hash(&hash));
            found.ok_or(TraceError::Pack { name, hash })
        };
        self.packs().into_iter().map(find).collect()
    }

    /// Decides again and compares: same facts by their hashes, same packs, same rules, same outcome. The decision is this
    /// program's own. Whether it allows, and whether the packs were those in force, is the caller's to ask.
    ///
    /// # Errors
    /// What differs first.
    pub fn check(&self, case: &Case<'_>, packs: &[&Pack]) -> Result<Decision, TraceError> {
        for (name, hash) in self.packs() {
            if !packs.iter().any(|pack| pack.name() == name && pack.hash().to_string() == hash) {
                return Err(TraceError::Pack { name, hash });
            }
        }
        let decision = decide(case, packs);
        self.is_of(&decision)?;
        Ok(decision)
    }

    /// Whether this is the record of a decision that was just made.
    ///
    /// # Errors
    /// What differs first.
    pub fn is_of(&self, decision: &Decision) -> Result<(), TraceError> {
        let (mine, theirs) = (&decision.trace.0.0, &self.0.0);
        if mine.get("case") != theirs.get("case") {
            let differs = |name: &&str| {
                let of =
                    |trace: &serde_json::Map<String, Json>| trace.get("case").and_then(|case| case.get(*name)).cloned();
                of(mine) != of(theirs)
            };
            let names = [
                "dataset_id",
                "member_id",
                "dataset",
                "member",
                "grant",
                "level",
                "grade_confirmed",
                "reservation",
                "export",
                "recipient",
                "exported",
                "now",
            ];
            return Err(TraceError::Case(
                names.iter().find(|name| differs(name)).map_or("case", |name| *name).to_owned(),
            ));
        }
        for name in ["packs", "outcome", "fired", "expires", "approvals", "engine"] {
            if mine.get(name) != theirs.get(name) {
                return Err(TraceError::Decision(name));
            }
        }
        // Nothing beside what was compared.
        if mine == theirs { Ok(()) } else { Err(TraceError::Shape) }
    }
}

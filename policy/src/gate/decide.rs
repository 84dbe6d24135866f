//! The decision: every rule of every pack asked, the worst answer taken, and everything that led to it reported.

use std::collections::BTreeSet;

use vault_core::ids::{DatasetId, Digest, MemberId};
use vault_core::ledger::statement::{Facts, Info, Reservation};

use super::condition::{Answers, Condition};
use super::inputs::{Input, View};
use super::pack::{Cite, Pack, Rule, Standing, Verdict};
use super::trace::Trace;
use crate::day::Day;
use crate::facts::{Answer, Dataset, Grant, Member, Record, StatedError, Value};
use crate::lang::{Bilingual, Lang};
use crate::ternary::Ternary;

/// Facts as a signed statement holds them, with the hash of what states them. It is made from what is stated and from nothing else, so
/// that a decision is about the very facts that its trace names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated<T> {
    facts: T,
    digest: Digest,
}

impl<T> Stated<T> {
    /// The facts, as far as they stand in the clear.
    #[must_use]
    pub const fn facts(&self) -> &T {
        &self.facts
    }

    /// SHA-256 of what states them: the dataset's and the grant's `facts`, the member's INFO (spec 5.1).
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Stated<Dataset> {
    /// A dataset's `facts`.
    ///
    /// # Errors
    /// If they are not of this kind or not well formed.
    pub fn dataset(stated: &Facts) -> Result<Self, StatedError> {
        Ok(Self { facts: Dataset::from_statement(stated)?, digest: stated.digest() })
    }
}

impl Stated<Grant> {
    /// A grant's `facts`.
    ///
    /// # Errors
    /// If they are not of this kind or not well formed.
    pub fn grant(stated: &Facts) -> Result<Self, StatedError> {
        Ok(Self { facts: Grant::from_statement(stated)?, digest: stated.digest() })
    }
}

impl Stated<Member> {
    /// What a member's enrolment says.
    ///
    /// # Errors
    /// If its facts are not a member's, not well formed, or differ from what stands beside them.
    pub fn member(info: &Info) -> Result<Self, StatedError> {
        Ok(Self { facts: Member::from_info(info)?, digest: info.digest() })
    }

    /// Facts of somebody who is not enrolled yet: to ask what would be decided. No grant's trace names them.
    ///
    /// # Errors
    /// If they are not of this kind or not well formed.
    pub fn stranger(stated: &Facts) -> Result<Self, StatedError> {
        Ok(Self { facts: Member::from_statement(stated)?, digest: stated.digest() })
    }
}

/// What a decision is for: it holds there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<'a> {
    /// The dataset.
    pub dataset: &'a DatasetId,
    /// The member who is to be granted.
    pub member: &'a MemberId,
    /// The reservation in the ultimate recipient's exposure ledger, if there is one.
    pub reservation: Option<&'a Reservation>,
    /// The reservation in the provider's exposure ledger of the year, if there is one.
    pub export: Option<&'a Reservation>,
}

/// What a recipient and a provider will have after this grant, each person once. `None`: nobody knows, which blocks where a rule asks.
///
/// A total that is below the dataset's own count is taken to be that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exposure {
    /// Persons whose data the ultimate recipient will have: the total of its exposure ledger with this grant's reservation.
    pub recipient: Option<u64>,
    /// Persons whose data the provider will have exported since the first of January.
    pub exported_this_year: Option<u64>,
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is to be granted to whom.
    pub place: Place<'a>,
    /// The dataset's facts.
    pub dataset: &'a Stated<Dataset>,
    /// The recipient's.
    pub member: &'a Stated<Member>,
    /// The grant's.
    pub grant: &'a Stated<Grant>,
    /// The level that the dataset's statement is signed with, 1 to 5.
    pub level: u8,
    /// Whether `grade-confirmed` stands for the present facts and level.
    pub grade_confirmed: bool,
    /// The totals.
    pub exposure: Exposure,
    /// Seconds since 1970: of a statement, its `time`.
    pub now: u64,
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The key may be sealed.
    Allow,
    /// Not until the missing evidence is given.
    Blocked,
    /// Not at all.
    Deny,
}

impl Outcome {
    /// Its word in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Blocked => "blocked",
            Self::Deny => "deny",
        }
    }

    /// Its word for people.
    #[must_use]
    pub const fn say(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (outcome, Lang::En) => outcome.name(),
            (Self::Allow, Lang::Zh) => "允许",
            (Self::Blocked, Lang::Zh) => "暂不允许",
            (Self::Deny, Lang::Zh) => "拒绝",
        }
    }
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It tells.
    Note,
    /// Its regime allows.
    Allow,
    /// It would block, and its evidence is there.
    Cleared,
    /// It blocks, or might: a fact is unknown.
    Blocked,
    /// It denies.
    Deny,
}

impl Effect {
    /// Its word in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Allow => "allow",
            Self::Cleared => "cleared",
            Self::Blocked => "blocked",
            Self::Deny => "deny",
        }
    }

    /// Its word for people.
    #[must_use]
    pub const fn say(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (effect, Lang::En) => effect.name(),
            (Self::Note, Lang::Zh) => "说明",
            (Self::Allow, Lang::Zh) => "允许",
            (Self::Cleared, Lang::Zh) => "已满足",
            (Self::Blocked, Lang::Zh) => "暂不允许",
            (Self::Deny, Lang::Zh) => "拒绝",
        }
    }
}

/// A rule that fired, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The pack.
    pub pack: String,
    /// The rule; the regime's name where no rule of it allows.
    pub rule: String,
    /// The row of the table.
    pub row: String,
    /// What it did.
    pub effect: Effect,
    /// What it says.
    pub text: Bilingual,
    /// The evidence that would lift a block.
    pub evidence: Option<Bilingual>,
    /// Where it stands.
    pub cites: Vec<Cite>,
    /// The facts that it rests on, with their answers.
    pub facts: Vec<(Input, Answer)>,
    /// The facts that have to be known first; empty if the rule certainly fired.
    pub unknown: Vec<Input>,
    /// What a standing grant needs, if the rule certainly denies or blocks.
    pub standing: Option<Standing>,
}

/// One of the six ends of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The fact that says it.
    pub what: &'static str,
    /// The last day.
    pub last: Answer,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The worst of all packs.
    pub outcome: Outcome,
    /// Every rule that fired, worst first.
    pub fired: Vec<Fired>,
    /// The six ends.
    pub ends: Vec<End>,
    /// When a grant has to end at the latest: seconds since 1970. `None` if nothing that is known ends it.
    pub expires: Option<u64>,
    /// Approvals that a grant needs by the rules; the vault's genesis may ask for more.
    pub approvals: u8,
    /// Whether the persons have to be reserved in the exposure ledger of the ultimate recipient before the grant.
    pub counted: bool,
    /// Whether the persons have to be reserved in the provider's exposure ledger of the year before the grant.
    pub exported: bool,
    /// The record of the decision, for the statement.
    pub trace: Trace,
}

impl Decision {
    /// What a grant that stands already needs now: nothing, to rest, or to end.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let worst = self.fired.iter().filter_map(|fired| fired.standing).max();
        worst.or((self.outcome != Outcome::Allow).then_some(Standing::Suspend))
    }

    /// The rules that stand in the way.
    pub fn missing(&self) -> impl Iterator<Item = &Fired> {
        self.fired.iter().filter(|fired| fired.effect >= Effect::Blocked)
    }
}

/// Decides a case under the packs in force. Without a pack nothing is allowed.
#[must_use]
pub fn decide(case: &Case<'_>, packs: &[&Pack]) -> Decision {
    let mut fired = Vec::new();
    let (mut approvals, mut counted, mut exported) = (0, false, false);
    let (mut expires, mut ends) = (None::<u64>, Vec::new());
    for pack in packs {
        let Some(today) = Day::of(case.now, pack.offset) else {
            fired.push(unfit(&pack.name, "the time is outside the years 1900 to 9999", "时间超出 1900 至 9999 年"));
            continue;
        };
        let view = View { case, today };
        let asked = Asked::new(pack, &view);
        if asked.in_effect().next().is_none() {
            fired.push(unfit(&pack.name, "none of its rules is in effect on this day", "当日没有任何规则生效"));
        }
        approvals = approvals.max(asked.run(&mut fired));
        let may_hold =
            |condition: &Option<Condition>| condition.as_ref().is_some_and(|it| !it.evaluate(&asked).is_no());
        counted |= may_hold(&pack.counted);
        exported |= may_hold(&pack.exported);
        ends = view.ends().to_vec();
        for end in &ends {
            if let Answer::Value(Value::Day(day)) = end.last {
                expires = Some(expires.unwrap_or(u64::MAX).min(day.over(pack.offset)));
            }
        }
    }
    if packs.is_empty() {
        fired.push(unfit("none", "no rule pack is in force", "没有生效的规则包"));
    }
    let outcome = conclude(&mut fired);
    fired.sort_by(|a, b| (b.effect, &a.pack, &a.rule).cmp(&(a.effect, &b.pack, &b.rule)));
    let trace = Trace::of(case, packs, outcome, &fired, expires, approvals);
    Decision { outcome, fired, ends, expires, approvals, counted, exported, trace }
}

/// The worst that was said. What no rule allowed is blocked: silence allows nothing.
fn conclude(fired: &mut Vec<Fired>) -> Outcome {
    let worst = fired.iter().map(|fired| fired.effect).max();
    match worst {
        Some(Effect::Deny) => Outcome::Deny,
        Some(Effect::Blocked) => Outcome::Blocked,
        _ if fired.iter().any(|fired| fired.effect == Effect::Allow) => Outcome::Allow,
        _ => {
            fired.push(unfit("none", "no rule of any pack allows it", "没有任何规则包的规则允许"));
            Outcome::Blocked
        }
    }
}

/// A block that no rule of a pack makes.
fn unfit(pack: &str, en: &'static str, zh: &'static str) -> Fired {
    Fired {
        pack: pack.to_owned(),
        rule: "engine".to_owned(),
        row: "-".to_owned(),
        effect: Effect::Blocked,
        text: Bilingual::fixed(en, zh),
        evidence: None,
        cites: Vec::new(),
        facts: Vec::new(),
        unknown: Vec::new(),
        standing: None,
    }
}

/// A pack and the answers to everything that it asks.
struct Asked<'a> {
    pack: &'a Pack,
    view: &'a View<'a>,
    derived: Record,
    defined: Vec<Ternary>,
}

impl Answers for Asked<'_> {
    fn answer(&self, input: Input) -> &Answer {
        self.view.answer(input, &self.derived)
    }

    fn today(&self) -> Day {
        self.view.today
    }

    fn defined(&self, place: usize) -> Ternary {
        self.defined.get(place).copied().unwrap_or(Ternary::Unknown)
    }
}

impl<'a> Asked<'a> {
    fn new(pack: &'a Pack, view: &'a View<'a>) -> Self {
        let mut asked = Self { pack, view, derived: view.compute(), defined: Vec::new() };
        // Each definition uses earlier ones only.
        for meaning in &pack.defines {
            let value = meaning.evaluate(&asked);
            asked.defined.push(value);
        }
        asked
    }

    /// Asks every rule in effect; returns the approvals that are needed.
    fn run(&self, into: &mut Vec<Fired>) -> u8 {
        let mut approvals = 0;
        let mut allowed = BTreeSet::new();
        let mut stopped = BTreeSet::new();
        for rule in self.in_effect() {
            let holds = rule.when.evaluate(self);
            if !holds.is_no() {
                approvals = approvals.max(rule.approvals);
            }
            let Some(fired) = self.fire(rule, holds) else { continue };
            match fired.effect {
                Effect::Allow => {
                    allowed.insert(rule.regime);
                }
                Effect::Blocked | Effect::Deny => {
                    stopped.insert(rule.regime);
                }
                Effect::Note | Effect::Cleared => {}
            }
            into.push(fired);
        }
        for (place, regime) in self.pack.regimes.iter().enumerate().filter(|(_, regime)| regime.needs_allow) {
            // Where a rule stands in the way already, that none allows is no news.
            if !allowed.contains(&place) && !stopped.contains(&place) {
                into.push(self.none_allows(place, &regime.id));
            }
        }
        approvals
    }

    fn in_effect(&self) -> impl Iterator<Item = &'a Rule> {
        let today = self.view.today;
        self.pack.rules.iter().filter(move |rule| rule.from <= today && rule.to.is_none_or(|to| today <= to))
    }

    /// What a rule does; `None` if it has nothing to say.
    fn fire(&self, rule: &Rule, holds: Ternary) -> Option<Fired> {
        let lifted = rule.until.as_ref().map_or(Ternary::No, |until| until.evaluate(self));
        let stands = holds.and(!lifted);
        let effect = match (rule.outcome, stands) {
            (Verdict::Blocked, Ternary::No) if holds.is_yes() => Effect::Cleared,
            (_, Ternary::No) => return None,
            (Verdict::Note, Ternary::Yes) => Effect::Note,
            (Verdict::Allow, Ternary::Yes) => Effect::Allow,
            // What is not certain never allows, and tells nothing.
            (Verdict::Note | Verdict::Allow, Ternary::Unknown) => return None,
            (Verdict::Deny, Ternary::Yes) => Effect::Deny,
            // An unknown fact stops as a block does, until it is known.
            (Verdict::Deny, Ternary::Unknown) | (Verdict::Blocked, Ternary::Yes | Ternary::Unknown) => Effect::Blocked,
        };
        let (facts, unknown) = self.rests_on(rule, stands);
        let certain = stands.is_yes();
        Some(Fired {
            pack: self.pack.name.clone(),
            rule: rule.id.clone(),
            row: rule.row.clone(),
            effect,
            text: rule.text.clone(),
            evidence: rule.evidence.clone(),
            cites: rule.cites.clone(),
            facts,
            unknown: if certain || effect == Effect::Cleared { Vec::new() } else { unknown },
            standing: (certain && rule.outcome.outcome().is_some()).then_some(rule.standing),
        })
    }

    fn rests_on(&self, rule: &Rule, stands: Ternary) -> (Vec<(Input, Answer)>, Vec<Input>) {
        let mut cited = BTreeSet::new();
        let mut cite = |condition: &Condition| condition.cite(self, &self.pack.defines, &mut cited);
        match &rule.until {
            // Of an unknown block both halves may have to be known; of a certain one both are.
            Some(until) => {
                if stands == Ternary::Unknown {
                    for half in [&rule.when, until] {
                        if half.evaluate(self) == Ternary::Unknown {
                            cite(half);
                        }
                    }
                } else {
                    cite(&rule.when);
                    cite(until);
                }
            }
            None => cite(&rule.when),
        }
        let mut unknown = BTreeSet::new();
        let mut facts = Vec::new();
        for input in cited {
            match self.answer(input) {
                Answer::Unknown => unknown.extend(self.view.unknown_behind(input, &self.derived)),
                known => facts.push((input, known.clone())),
            }
        }
        (facts, unknown.into_iter().collect())
    }

    fn none_allows(&self, place: usize, id: &str) -> Fired {
        let mut unknown = BTreeSet::new();
        for rule in self.in_effect().filter(|rule| rule.regime == place && rule.outcome == Verdict::Allow) {
            if rule.when.evaluate(self) == Ternary::Unknown {
                unknown.extend(self.rests_on(rule, Ternary::Unknown).1);
            }
        }
        let title = self.pack.regimes.get(place).map(|regime| &regime.title);
        let (en, zh) = title.map_or(("", ""), |title| (title.say(Lang::En), title.say(Lang::Zh)));
        Fired {
            rule: id.to_owned(),
            text: Bilingual::made(format!("no rule allows it: {en}"), format!("没有规则允许：{zh}")),
            unknown: unknown.into_iter().collect(),
            ..unfit(&self.pack.name, "", "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rule_that_allows_allows() {
        let one = |effect| Fired { effect, ..unfit("p", "a rule", "规则") };
        let conclude_of = |effects: &[Effect]| {
            let mut fired: Vec<_> = effects.iter().map(|effect| one(*effect)).collect();
            (conclude(&mut fired), fired.len() - effects.len())
        };
        for silence in [&[][..], &[Effect::Note], &[Effect::Cleared], &[Effect::Note, Effect::Cleared]] {
            assert_eq!(conclude_of(silence), (Outcome::Blocked, 1), "and says why");
        }
        assert_eq!(conclude_of(&[Effect::Allow]), (Outcome::Allow, 0));
        assert_eq!(conclude_of(&[Effect::Cleared, Effect::Allow, Effect::Note]), (Outcome::Allow, 0));
        assert_eq!(conclude_of(&[Effect::Allow, Effect::Blocked]), (Outcome::Blocked, 0));
        assert_eq!(conclude_of(&[Effect::Allow, Effect::Deny, Effect::Blocked]), (Outcome::Deny, 0));
    }
}

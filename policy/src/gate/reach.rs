//! Whether a condition can hold at all, and can fail to: a rule that never or always fires is a mistake of its writer.
//!
//! The evaluator itself searches: facts are given values one by one, and as long as the result is unknown the rest is tried. Only the
//! values at which some test changes its mind are tried, one of each kind. A search that takes too long finds nothing wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Answers, Check, Condition};
use super::inputs::Input;
use crate::day::Day;
use crate::facts::{Answer, Kind, Value, duo, words};
use crate::ternary::Ternary;

/// How many assignments are tried before a search gives up.
const PATIENCE: usize = 50_000;

/// Whether some facts give the condition this value; `true` if that was not settled.
pub(super) fn can_be(wanted: Ternary, condition: &Condition, defines: &[Condition], today: Day) -> bool {
    let mut inputs = BTreeSet::new();
    condition.inputs(defines, &mut inputs);
    let choices: Vec<_> = inputs
        .iter()
        .map(|input| {
            let mut checks = Vec::new();
            collect(condition, defines, *input, &mut checks);
            (*input, values(*input, &checks, today))
        })
        .collect();
    let mut search = Search { defines, today, given: BTreeMap::new(), patience: PATIENCE };
    search.finds(wanted, condition, &choices)
}

fn collect<'a>(condition: &'a Condition, defines: &'a [Condition], of: Input, into: &mut Vec<&'a Check>) {
    match condition {
        Condition::Test(input, check) if *input == of => into.push(check),
        Condition::Test(..) => {}
        Condition::Defined(place, _) => {
            if let Some(meaning) = defines.get(*place) {
                collect(meaning, defines, of, into);
            }
        }
        Condition::Not(inner) => collect(inner, defines, of, into),
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|one| collect(one, defines, of, into));
        }
    }
}

/// One answer of each sort that the checks tell apart.
fn values(input: Input, checks: &[&Check], today: Day) -> Vec<Answer> {
    let field = input.field();
    let mentioned: BTreeSet<&str> = checks
        .iter()
        .flat_map(|check| match check {
            Check::OneOf(of) | Check::Meets(of) | Check::Within(of) => of.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        })
        .collect();
    let mut out: Vec<Answer> = match field.kind {
        Kind::Flag => vec![Value::Flag(true).into(), Value::Flag(false).into()],
        Kind::Number(least, most) => around(checks, least, most).map(|n| Value::Number(n).into()).collect(),
        Kind::Share => around(checks, 0, 10_000).map(|n| Value::Share(n).into()).collect(),
        Kind::Day => [Day::new(1900, 1, 1), Some(today), Day::new(9999, 12, 31)]
            .into_iter()
            .flatten()
            .map(|day| Value::Day(day).into())
            .collect(),
        Kind::Word(list) => list.iter().map(|word| Value::Word(word.code).into()).collect(),
        Kind::Country => {
            let other = ["ZZ", "QQ"].into_iter().find(|code| !mentioned.contains(code)).unwrap_or("XX");
            mentioned.iter().copied().chain([other]).map(|code| Value::Country(code.to_owned()).into()).collect()
        }
        Kind::Words(list) => {
            let codes: Vec<_> = list.iter().map(|word| word.code).collect();
            sets(&codes, &mentioned, |code| words::find(list, code))
        }
        Kind::Duo => {
            let codes: Vec<_> = duo::CODES.iter().map(|known| known.code).collect();
            sets(&codes, &mentioned, duo::find)
        }
        Kind::Text | Kind::Texts | Kind::Hash | Kind::Rows(_) => vec![Value::Text("x".to_owned()).into()],
    };
    if field.none {
        out.push(Answer::None);
    }
    out
}

/// The numbers at and beside each threshold.
fn around(checks: &[&Check], least: u64, most: u64) -> impl Iterator<Item = u64> {
    let thresholds =
        checks.iter().filter_map(|check| if let Check::Compare(_, than) = check { Some(*than) } else { None });
    let near: BTreeSet<u64> = thresholds
        .flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)])
        .filter(|n| (least..=most).contains(n))
        .collect();
    near.into_iter()
}

/// Single words, pairs of words that are mentioned, and all of those together.
fn sets(
    codes: &[&'static str],
    mentioned: &BTreeSet<&str>,
    find: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Answer> {
    let known: Vec<&'static str> = mentioned.iter().filter_map(|code| find(code)).collect();
    let mut out: Vec<BTreeSet<&'static str>> = codes.iter().map(|code| BTreeSet::from([*code])).collect();
    let unmentioned = codes.iter().find(|code| !mentioned.contains(**code));
    for first in &known {
        out.extend(known.iter().chain(unmentioned).map(|second| BTreeSet::from([*first, *second])));
    }
    out.push(known.iter().copied().collect());
    out.retain(|set| !set.is_empty());
    out.into_iter().map(|set| Value::Words(set).into()).collect()
}

struct Search<'a> {
    defines: &'a [Condition],
    today: Day,
    given: BTreeMap<Input, Answer>,
    patience: usize,
}

impl Search<'_> {
    fn finds(&mut self, wanted: Ternary, condition: &Condition, choices: &[(Input, Vec<Answer>)]) -> bool {
        let value = condition.evaluate(self);
        if value == wanted || self.patience == 0 {
            return true;
        }
        if value != Ternary::Unknown {
            return false;
        }
        self.patience -= 1;
        let Some(((input, answers), rest)) = choices.split_first() else { return false };
        for answer in answers {
            self.given.insert(*input, answer.clone());
            if self.finds(wanted, condition, rest) {
                return true;
            }
        }
        self.given.remove(input);
        false
    }
}

impl Answers for Search<'_> {
    fn answer(&self, input: Input) -> &Answer {
        self.given.get(&input).unwrap_or(&Answer::Unknown)
    }

    fn today(&self) -> Day {
        self.today
    }

    fn defined(&self, place: usize) -> Ternary {
        self.defines.get(place).map_or(Ternary::Unknown, |meaning| meaning.evaluate(self))
    }
}

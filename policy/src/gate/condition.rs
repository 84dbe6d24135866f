//! Conditions of rules as values: what they test, how they are evaluated, and which facts a result rests on.

use core::fmt;
use std::collections::BTreeSet;

use super::inputs::Input;
use crate::day::Day;
use crate::facts::{Answer, Kind, Value};
use crate::ternary::Ternary;

/// A condition; its tests fit the kinds of what they test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// One fact.
    Test(Input, Check),
    /// A definition of the pack, by its place.
    Defined(usize, String),
    /// Not this.
    Not(Box<Condition>),
    /// All of these.
    All(Vec<Condition>),
    /// Any of these.
    Any(Vec<Condition>),
}

/// What is asked of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A flag is yes.
    Yes,
    /// There is an answer that is not "none".
    Given,
    /// A number or share compares so.
    Compare(Comparison, u64),
    /// A day compares so with the day of the decision.
    Today(Comparison),
    /// A word or country is one of these.
    OneOf(BTreeSet<String>),
    /// Some of the words are among these.
    Meets(BTreeSet<String>),
    /// There are words, and all are among these.
    Within(BTreeSet<String>),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
}

impl Comparison {
    pub(super) fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Equal => left == right,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
        }
    }
}

/// Where a condition gets its answers from.
pub(super) trait Answers {
    /// The answer to an input.
    fn answer(&self, input: Input) -> &Answer;
    /// The day of the decision.
    fn today(&self) -> Day;
    /// The value of a definition.
    fn defined(&self, place: usize) -> Ternary;
}

impl Condition {
    /// The condition's value.
    pub(super) fn evaluate(&self, from: &impl Answers) -> Ternary {
        match self {
            Self::Test(input, check) => check.holds(from.answer(*input), from.today()),
            Self::Defined(place, _) => from.defined(*place),
            Self::Not(inner) => !inner.evaluate(from),
            Self::All(inner) => Ternary::all(inner.iter().map(|one| one.evaluate(from))),
            Self::Any(inner) => Ternary::any(inner.iter().map(|one| one.evaluate(from))),
        }
    }

    /// Adds the inputs that the value rests on: what made a definite value, or left it unknown.
    pub(super) fn cite(&self, from: &impl Answers, defines: &[Condition], into: &mut BTreeSet<Input>) {
        match self {
            Self::Test(input, _) => {
                into.insert(*input);
            }
            Self::Defined(place, _) => {
                if let Some(meaning) = defines.get(*place) {
                    meaning.cite(from, defines, into);
                }
            }
            Self::Not(inner) => inner.cite(from, defines, into),
            Self::All(inner) | Self::Any(inner) => {
                let value = self.evaluate(from);
                for one in inner.iter().filter(|one| one.evaluate(from) == value) {
                    one.cite(from, defines, into);
                }
            }
        }
    }

    /// Every input that it tests.
    pub(super) fn inputs(&self, defines: &[Condition], into: &mut BTreeSet<Input>) {
        match self {
            Self::Test(input, _) => {
                into.insert(*input);
            }
            Self::Defined(place, _) => {
                if let Some(meaning) = defines.get(*place) {
                    meaning.inputs(defines, into);
                }
            }
            Self::Not(inner) => inner.inputs(defines, into),
            Self::All(inner) | Self::Any(inner) => inner.iter().for_each(|one| one.inputs(defines, into)),
        }
    }
}

impl Check {
    /// Whether an answer passes.
    pub(super) fn holds(&self, answer: &Answer, today: Day) -> Ternary {
        let value = match answer {
            Answer::Unknown => return Ternary::Unknown,
            // What has no end ends after every day.
            Answer::None => {
                return Ternary::of(matches!(self, Self::Today(Comparison::More | Comparison::AtLeast)));
            }
            Answer::Value(value) => value,
        };
        Ternary::of(match (self, value) {
            (Self::Given, _) => true,
            (Self::Yes, Value::Flag(on)) => *on,
            (Self::Compare(how, than), Value::Number(number) | Value::Share(number)) => how.holds(number, than),
            (Self::Today(how), Value::Day(day)) => how.holds(day, &today),
            (Self::OneOf(of), Value::Word(word)) => of.contains(*word),
            (Self::OneOf(of), Value::Country(country)) => of.contains(country),
            (Self::Meets(of), Value::Words(words)) => words.iter().any(|word| of.contains(*word)),
            (Self::Within(of), Value::Words(words)) => !words.is_empty() && words.iter().all(|word| of.contains(*word)),
            // The loader lets no such pair through; were it otherwise, nothing would be certain.
            _ => return Ternary::Unknown,
        })
    }
}

/// The condition in its one spelling, by which packs are hashed.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, inner: &[Self], word: &str| {
            f.write_str("(")?;
            for (n, one) in inner.iter().enumerate() {
                let between = if n == 0 { "" } else { word };
                write!(f, "{between}{one}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::Test(input, check) => match check {
                Check::Yes => write!(f, "{input}"),
                Check::Given => write!(f, "given {input}"),
                Check::Compare(how, than) if matches!(input.field().kind, Kind::Share) => {
                    write!(f, "{input} {} {}.{:02}%", how.sign(), than / 100, than % 100)
                }
                Check::Compare(how, than) => write!(f, "{input} {} {than}", how.sign()),
                Check::Today(how) => write!(f, "{input} {} today", how.sign()),
                Check::OneOf(of) => write!(f, "{input} in {}", listed(of)),
                Check::Meets(of) => write!(f, "{input} meets {}", listed(of)),
                Check::Within(of) => write!(f, "{input} within {}", listed(of)),
            },
            Self::Defined(_, name) => f.write_str(name),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::All(inner) => joined(f, inner, " and "),
            Self::Any(inner) => joined(f, inner, " or "),
        }
    }
}

fn listed(of: &BTreeSet<String>) -> String {
    format!("{{{}}}", of.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-06-15";

    fn holds(check: &Check, answer: impl Into<Answer>) -> Ternary {
        Day::parse(TODAY).map_or(Ternary::Unknown, |today| check.holds(&answer.into(), today))
    }

    #[test]
    fn each_comparison_differs_from_the_others_below_at_or_above() {
        for (how, below, at, above) in [
            (Comparison::Less, true, false, false),
            (Comparison::AtMost, true, true, false),
            (Comparison::More, false, false, true),
            (Comparison::AtLeast, false, true, true),
            (Comparison::Equal, false, true, false),
        ] {
            for (number, expected) in [(4, below), (5, at), (6, above)] {
                assert_eq!(how.holds(&number, &5), expected, "{number} {} 5", how.sign());
                assert_eq!(holds(&Check::Compare(how, 5), Value::Number(number)), Ternary::of(expected));
            }
            let days = ["2026-06-14", TODAY, "2026-06-16"].map(Day::parse);
            for (day, expected) in days.into_iter().flatten().zip([below, at, above]) {
                assert_eq!(holds(&Check::Today(how), Value::Day(day)), Ternary::of(expected), "{day} {}", how.sign());
            }
        }
    }

    #[test]
    fn none_is_no_answer_but_to_what_ends_later() {
        for (how, later) in [
            (Comparison::Less, false),
            (Comparison::AtMost, false),
            (Comparison::More, true),
            (Comparison::AtLeast, true),
            (Comparison::Equal, false),
        ] {
            assert_eq!(holds(&Check::Today(how), Answer::None), Ternary::of(later), "{}", how.sign());
            assert_eq!(holds(&Check::Compare(how, 5), Answer::None), Ternary::No);
        }
        assert_eq!(holds(&Check::Given, Answer::None), Ternary::No);
        assert_eq!(holds(&Check::Yes, Answer::None), Ternary::No);
    }

    /// The loader lets no such pair through; were it otherwise, it must not look like an answer.
    #[test]
    fn what_does_not_fit_is_unknown() {
        assert_eq!(holds(&Check::Yes, Value::Number(1)), Ternary::Unknown);
        assert_eq!(holds(&Check::Compare(Comparison::More, 0), Value::Flag(true)), Ternary::Unknown);
        for check in [Check::Yes, Check::Given, Check::Compare(Comparison::Less, 1)] {
            assert_eq!(holds(&check, Answer::Unknown), Ternary::Unknown);
        }
    }
}

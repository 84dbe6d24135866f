//! `seqvault dataset grade` and `confirm`: what the standards propose with reasons, apart from what a person graded and another confirmed.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, MemberId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, GradeConfirmed, Role};
use vault_policy::facts::subjects::{Marks, Portion};
use vault_policy::grading::{self, Proposal, health, national};
use vault_policy::ternary::Ternary;
use vault_policy::{Dataset, Lang};

use crate::error::{Failure, Outcome};
use crate::facts;
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// What is graded: a dataset, several put together, or a file.
#[derive(ClapArgs, Debug)]
pub(super) struct Grade {
    /// The dataset; of several, the level that they would have put together
    #[arg(required_unless_present = "facts", conflicts_with = "facts")]
    datasets: Vec<DatasetId>,
    /// Grade what a facts file says
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

/// What is confirmed.
#[derive(ClapArgs, Debug)]
pub(super) struct Confirm {
    /// The dataset
    dataset: DatasetId,
}

/// A proposal, for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Proposed {
    standard: &'static str,
    /// The level, if the facts settle it.
    level: Option<u8>,
    least: u8,
    most: u8,
    reasons: Vec<Reason>,
    unknown: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Reason {
    level: u8,
    holds: bool,
    text: String,
    fields: &'static [&'static str],
    citation: &'static str,
    certainty: &'static str,
}

impl Proposed {
    fn of(standard: &'static str, proposal: &Proposal, lang: Lang) -> Self {
        let reasons = proposal.reasons.iter().map(|reason| Reason {
            level: reason.level,
            holds: reason.holds == Ternary::Yes,
            text: reason.text.say(lang).to_owned(),
            fields: reason.fields,
            citation: reason.citation,
            certainty: reason.certainty,
        });
        Self {
            standard,
            level: proposal.level(),
            least: proposal.least,
            most: proposal.most,
            reasons: reasons.collect(),
            unknown: proposal.unknown(),
        }
    }
}

/// The level to sign where nobody names one: the highest that the facts leave possible, or what a person graded if that is higher.
#[must_use]
pub(crate) fn level_of(facts: &Dataset) -> u64 {
    let graded = facts.record().number("grading.health_level").unwrap_or(0);
    u64::from(health::propose(facts).most).max(graded)
}

/// Why a level is too low for the facts; `None` if it is not.
#[must_use]
pub(super) fn too_low(facts: &Dataset, level: u64, lang: Lang) -> Option<String> {
    let proposal = health::propose(facts);
    let asked = level_of(facts);
    if level >= asked {
        return None;
    }
    let reasons = indent(&proposal.say(lang));
    Some(match lang {
        Lang::En => format!(
            "level {level} is below level {asked}, which the facts ask for; until somebody else confirms it (`seqvault dataset confirm`), the rules block grants:\n{reasons}"
        ),
        Lang::Zh => format!(
            "级别 {level} 低于事实所要求的级别 {asked}；在他人确认（`seqvault dataset confirm`）之前，规则不允许授权：\n{reasons}"
        ),
    })
}

#[derive(Serialize)]
struct Shown {
    datasets: Vec<DatasetId>,
    health: Proposed,
    national: Proposed,
    sublevel: Option<Proposed>,
    subjects: Option<u64>,
    #[serde(flatten)]
    by_people: Option<ByPeople>,
}

/// What people decided, which no proposal changes.
#[derive(Serialize)]
struct ByPeople {
    signed_level: u64,
    graded_health: Option<u64>,
    graded_national: Option<String>,
    confirmed_by: Option<MemberId>,
}

pub(super) async fn grade(globals: &Globals, args: Grade) -> Outcome<()> {
    let lang = globals.lang();
    if let Some(path) = &args.facts {
        let dataset: Dataset = facts::read(path, lang)?;
        return show(globals, &one(Vec::new(), &dataset, None, lang));
    }
    let mut session = Session::open(globals).await?;
    let mut parts = Vec::new();
    for id in &args.datasets {
        let state = session.dataset(id).await?;
        let facts = of_state(globals, &state)?;
        parts.push((state, facts));
    }
    let shown = match parts.as_slice() {
        [(state, facts)] => {
            let record = facts.record();
            let by_people = ByPeople {
                signed_level: state.level(),
                graded_health: record.number("grading.health_level"),
                graded_national: record.text("grading.national_level").map(str::to_owned),
                confirmed_by: state.confirmed().map(|(member, _)| member.clone()),
            };
            one(args.datasets.clone(), facts, Some(by_people), lang)
        }
        several => {
            // Sets of marks lie with the stewards: without them nobody in two datasets is known to be one person.
            let portions: Vec<_> = several
                .iter()
                .map(|(_, facts)| {
                    let count = facts.record().number("subjects.count");
                    (facts, Portion { count, marks: Marks::default() })
                })
                .collect();
            let merged = grading::merge(&portions);
            Shown {
                datasets: args.datasets.clone(),
                health: Proposed::of(HEALTH, &merged.health, lang),
                national: Proposed::of(NATIONAL, &merged.national, lang),
                sublevel: None,
                subjects: merged.subjects,
                by_people: None,
            }
        }
    };
    show(globals, &shown)
}

const HEALTH: &str = "GB/T 39725-2020";
const NATIONAL: &str = "GB/T 43697-2024";

fn one(datasets: Vec<DatasetId>, facts: &Dataset, by_people: Option<ByPeople>, lang: Lang) -> Shown {
    Shown {
        datasets,
        health: Proposed::of(HEALTH, &health::propose(facts), lang),
        national: Proposed::of(NATIONAL, &national::propose(facts), lang),
        sublevel: Some(Proposed::of(NATIONAL, &national::propose_sublevel(facts), lang)),
        subjects: facts.record().number("subjects.count"),
        by_people,
    }
}

/// The dataset's facts as they stand in the clear: all that a grading rests on is there.
pub(super) fn of_state(globals: &Globals, state: &DatasetState) -> Outcome<Dataset> {
    let lang = globals.lang();
    Dataset::from_statement(state.facts()).map_err(|e| facts::stated_failure(state.id().as_str(), &e, lang))
}

fn show(globals: &Globals, shown: &Shown) -> Outcome<()> {
    let lang = globals.lang();
    globals.output().result(shown, || output::printable(&text_of(shown, lang)))
}

fn text_of(shown: &Shown, lang: Lang) -> String {
    let mut text = String::new();
    if shown.datasets.len() > 1 {
        let names: Vec<String> = shown.datasets.iter().map(ToString::to_string).collect();
        text.push_str(&match lang {
            Lang::En => format!("put together: {}\n", names.join(", ")),
            Lang::Zh => format!("合并：{}\n", names.join("、")),
        });
    }
    let (health, national, sublevel) = match lang {
        Lang::En => ("level", "level", "sub-level of general data"),
        Lang::Zh => ("级别", "级别", "一般数据子级别"),
    };
    section(&mut text, &shown.health, health, |n| n.to_string(), lang);
    section(&mut text, &shown.national, national, |n| national_name(n, lang).to_owned(), lang);
    if let Some(proposed) = shown.sublevel.as_ref().filter(|_| shown.national.least == national::GENERAL) {
        section(&mut text, proposed, sublevel, |n| n.to_string(), lang);
    }
    if let Some(people) = &shown.by_people {
        text.push_str(&people_text(people, lang));
    }
    text.trim_end().to_owned()
}

fn section(text: &mut String, proposed: &Proposed, what: &str, name: impl Fn(u8) -> String, lang: Lang) {
    let (least, most) = (name(proposed.least), name(proposed.most));
    let _ = match (proposed.level, lang) {
        (Some(_), Lang::En) => writeln!(text, "{}, {what} proposed: {least}", proposed.standard),
        (Some(_), Lang::Zh) => writeln!(text, "{}，建议{what}：{least}", proposed.standard),
        (None, Lang::En) => writeln!(
            text,
            "{}, {what} proposed: {least} to {most}, as long as not known: {}",
            proposed.standard,
            proposed.unknown.join(", ")
        ),
        (None, Lang::Zh) => {
            writeln!(
                text,
                "{}，建议{what}：{least} 至 {most}，尚须查明：{}",
                proposed.standard,
                proposed.unknown.join("、")
            )
        }
    };
    for reason in &proposed.reasons {
        let (level, said, source) = (name(reason.level), &reason.text, reason.citation);
        let word = match (reason.holds, lang) {
            (true, Lang::En) => "because",
            (true, Lang::Zh) => "理由",
            (false, Lang::En) => "could be",
            (false, Lang::Zh) => "尚可能",
        };
        let _ = writeln!(text, "  {level} {word}: {said} [{source}, {}]", reason.certainty);
    }
}

const fn national_name(level: u8, lang: Lang) -> &'static str {
    match (level, lang) {
        (national::CORE, Lang::En) => "core",
        (national::CORE, Lang::Zh) => "核心数据",
        (national::IMPORTANT, Lang::En) => "important",
        (national::IMPORTANT, Lang::Zh) => "重要数据",
        (_, Lang::En) => "general",
        (_, Lang::Zh) => "一般数据",
    }
}

fn people_text(people: &ByPeople, lang: Lang) -> String {
    let graded = people.graded_health.map_or_else(|| "-".to_owned(), |level| level.to_string());
    let national = people.graded_national.as_deref().unwrap_or("-");
    let confirmed = people.confirmed_by.as_ref().map(ToString::to_string);
    match lang {
        Lang::En => format!(
            "by people: signed with level {}; graded {HEALTH} {graded}, {NATIONAL} {national}; {}",
            people.signed_level,
            confirmed.map_or_else(|| "not confirmed".to_owned(), |by| format!("confirmed by {by}"))
        ),
        Lang::Zh => format!(
            "人工确定：签署级别 {}；定级结果 {HEALTH} {graded}、{NATIONAL} {national}；{}",
            people.signed_level,
            confirmed.map_or_else(|| "尚未确认".to_owned(), |by| format!("由 {by} 确认"))
        ),
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[derive(Serialize)]
struct Confirmed {
    dataset: DatasetId,
    level: u64,
    entry: u64,
}

pub(super) async fn confirm(globals: &Globals, session: &mut Session, args: Confirm) -> Outcome<()> {
    let lang = globals.lang();
    let mut state = session.dataset(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if !session.vault.has_role(Role::Approver, Some(state.id()), &me, session.vault.last_seq()) {
        return Err(not_an_approver(&me, &state, session));
    }
    let facts = of_state(globals, &state)?;
    let out = globals.output();
    out.note(&text_of(&one(vec![args.dataset.clone()], &facts, None, lang), lang));
    let signer = session.signer(globals)?;
    let body = Body::GradeConfirmed(GradeConfirmed { facts: state.facts().digest(), level: state.level() });
    let (entry, _) = session.append_always(&signer, &mut state, &body).await?;
    let done = Confirmed { dataset: args.dataset, level: state.level(), entry };
    out.result(&done, || match lang {
        Lang::En => format!("level {} of {} is confirmed, for the facts as they are now", done.level, done.dataset),
        Lang::Zh => format!("已就现有事实确认 {} 的级别 {}", done.dataset, done.level),
    })
}

/// Only approvers of a dataset approve and confirm there.
pub(crate) fn not_an_approver(me: &MemberId, state: &DatasetState, session: &Session) -> Failure {
    let who: Vec<String> = session
        .vault
        .members_with(Role::Approver, Some(state.id()), session.vault.last_seq())
        .map(ToString::to_string)
        .collect();
    let failure = Failure::refused(format!("{me} is no approver of {}", state.id()))
        .or_in_chinese(format!("{me} 不是 {} 的批准人", state.id()));
    if who.is_empty() {
        failure.hints(
            format!(
                "nobody is yet: an officer names one with `seqvault member role MEMBER approver --dataset {}`",
                state.id()
            ),
            format!("尚无批准人：由管理员以 `seqvault member role MEMBER approver --dataset {}` 指定", state.id()),
        )
    } else {
        failure.hints(format!("its approvers: {}", who.join(", ")), format!("其批准人：{}", who.join("、")))
    }
}

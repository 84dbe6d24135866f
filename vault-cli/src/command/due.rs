//! `seqvault due`: what ends soon, has ended, must rotate, waits for somebody, or is not allowed any more. Needs no key.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantStatus};
use vault_core::ledger::exposure::Exposures;
use vault_policy::day::Day;
use vault_policy::facts::{Answer, Value};
use vault_policy::gate::{Input, Standing};
use vault_policy::ledger::{self, Stand};
use vault_policy::{Dataset, Lang};

use super::dataset::level_asked;
use super::subjects::Unused;
use super::suspend::names;
use super::{waiting, withdraw};
use crate::error::Outcome;
use crate::gate::{self, Packs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

const DAY: u64 = 86_400;
/// China's days, for a report that Chinese law asks for.
const CHINA: i32 = 480;

/// List what ends soon, must rotate, waits for approval, or is not allowed any more
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault due\n  seqvault due --within 30d run-42\n  seqvault due --json\n\nOn a folder or a bucket it needs no passphrase."
)]
pub struct Args {
    /// Only these datasets
    datasets: Vec<DatasetId>,
    /// How far to look ahead
    #[arg(long, default_value = "90d", value_name = "DAYS", value_parser = days)]
    within: u64,
    /// Epochs older than this must rotate
    #[arg(long, default_value = "365d", value_name = "DAYS", value_parser = days)]
    older_than: u64,
}

/// Something that somebody has to see to.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    dataset: Option<DatasetId>,
    kind: Due,
    member: Option<MemberId>,
    /// When it ends, or has to be done.
    when: Option<u64>,
    /// The fact that ends it, where it is one.
    fact: Option<String>,
    what: String,
}

/// What kind of thing it is. Most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Due {
    Rules,
    Ended,
    Withdrawal,
    Deletion,
    Counted,
    Rotate,
    Ends,
    Approve,
    Confirm,
    Report,
}

impl Due {
    const fn say(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::Rules, Lang::En) => "rules",
            (Self::Rules, Lang::Zh) => "规则",
            (Self::Ended, Lang::En) => "ended",
            (Self::Ended, Lang::Zh) => "已届满",
            (Self::Withdrawal, Lang::En) => "withdrawal",
            (Self::Withdrawal, Lang::Zh) => "撤回",
            (Self::Deletion, Lang::En) => "deletion",
            (Self::Deletion, Lang::Zh) => "删除",
            (Self::Counted, Lang::En) => "counted",
            (Self::Counted, Lang::Zh) => "计数",
            (Self::Rotate, Lang::En) => "rotate",
            (Self::Rotate, Lang::Zh) => "轮换",
            (Self::Ends, Lang::En) => "ends",
            (Self::Ends, Lang::Zh) => "将届满",
            (Self::Approve, Lang::En) => "approve",
            (Self::Approve, Lang::Zh) => "待批准",
            (Self::Confirm, Lang::En) => "confirm",
            (Self::Confirm, Lang::Zh) => "待确认",
            (Self::Report, Lang::En) => "report",
            (Self::Report, Lang::Zh) => "报告",
        }
    }
}

/// What a look asks for.
struct Look {
    now: u64,
    within: u64,
    older_than: u64,
    lang: Lang,
}

/// Runs the verb.
///
/// # Errors
/// If the vault can't be read, or a pack in force is not at hand.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let look = Look { now: session.at().time, within: args.within, older_than: args.older_than, lang: globals.lang() };
    let states = if args.datasets.is_empty() {
        session.datasets().await?
    } else {
        let mut states = Vec::new();
        for id in &args.datasets {
            states.push(session.dataset_even_if_deleted(id).await?);
        }
        states
    };
    // All of them: persons that are counted for nothing are in ledgers that no dataset names.
    let exposures = session.exposures().await?;
    let mut items = Vec::new();
    for state in &states {
        if state.is_deleted() {
            items.extend(unfinished(&session, state, look.lang).await?);
            withdrawals(state, &look, &mut items);
            continue;
        }
        let standing = ledger::standing(&session.vault, &exposures, state, session.at(), packs.as_slice())
            .map_err(|e| gate::refused(&e, look.lang))?;
        of_dataset(&session, state, &standing, &look, &mut items);
        withdrawals(state, &look, &mut items);
        counted_for_nothing(&exposures, state, &look, &mut items);
        approvals(&mut session, &packs, state, &look, &mut items).await?;
    }
    items.sort_by(|a, b| (a.kind, a.when, &a.dataset, &a.member).cmp(&(b.kind, b.when, &b.dataset, &b.member)));
    globals.output().result(&items, || text_of(&items, look.lang))?;
    session.is_complete()
}

fn text_of(items: &[Item], lang: Lang) -> String {
    if items.is_empty() {
        return match lang {
            Lang::En => "nothing is due".to_owned(),
            Lang::Zh => "没有待办事项".to_owned(),
        };
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            vec![
                item.kind.say(lang).to_owned(),
                item.when.map_or_else(String::new, |when| output::time(when).chars().take(10).collect()),
                item.dataset.as_ref().map_or_else(String::new, ToString::to_string),
                item.member.as_ref().map_or_else(String::new, ToString::to_string),
                item.what.clone(),
            ]
        })
        .collect();
    let head = match lang {
        Lang::En => ["DUE", "WHEN", "DATASET", "MEMBER", "WHAT"],
        Lang::Zh => ["事项", "时间", "数据集", "成员", "内容"],
    };
    output::table(&head, &rows)
}

fn of_dataset(session: &Session, state: &DatasetState, standing: &[Stand], look: &Look, items: &mut Vec<Item>) {
    let mut add = |kind, member: Option<&MemberId>, when, fact: Option<&str>, what: String| {
        items.push(Item {
            dataset: Some(state.id().clone()),
            kind,
            member: member.cloned(),
            when,
            fact: fact.map(str::to_owned),
            what,
        });
    };
    for stand in standing {
        if let Some(what) = wanting(stand, look.lang) {
            add(Due::Rules, Some(&stand.member), None, None, what);
        }
    }
    for end in ends(session, state, standing, look) {
        let kind = if end.when <= look.now { Due::Ended } else { Due::Ends };
        add(kind, Some(&end.member), Some(end.when), end.fact.as_deref(), end.what);
    }
    if let Some((when, what)) = rotation(session, state, look) {
        add(Due::Rotate, None, when, None, what);
    }
    let Ok(facts) = Dataset::from_statement(state.facts()) else { return };
    let asked = level_asked(&facts);
    if state.level() < asked && state.confirmed().is_none() && !state.facts().0.is_empty() {
        let what = match look.lang {
            Lang::En => format!(
                "level {} is below the {asked} that the facts ask for: somebody else confirms it (`dataset confirm`), or it is raised",
                state.level()
            ),
            Lang::Zh => {
                format!("级别 {} 低于事实所要求的 {asked}：须由他人确认（`dataset confirm`）或提高级别", state.level())
            }
        };
        add(Due::Confirm, None, None, None, what);
    }
    if let Some(when) = report_due(&facts, look) {
        let what = match look.lang {
            Lang::En => "annual report on the preservation of human genetic resources, by 31 January",
            Lang::Zh => "人类遗传资源保藏年度报告，1 月 31 日前提交",
        };
        add(Due::Report, None, Some(when), None, what.to_owned());
    }
}

/// What has not followed from withdrawals yet: of each member the three facts, and what is still kept.
fn withdrawals(state: &DatasetState, look: &Look, items: &mut Vec<Item>) {
    let id = state.id();
    let mut add = |member: Option<&MemberId>, when: u64, what: String| {
        let (dataset, member, when) = (Some(id.clone()), member.cloned(), Some(when));
        items.push(Item { dataset, kind: Due::Withdrawal, member, when, fact: None, what });
    };
    for one in withdraw::shown(state) {
        if !one.finished {
            for member in &one.members {
                add(Some(&member.member), one.time, withdraw::three(member, look.lang));
            }
        }
        if one.kept {
            let what = match look.lang {
                Lang::En => format!(
                    "what it concerns is still kept: `seqvault dataset delete {id}`; or `seqvault rm {id} …`, and `dataset amend` states what is left"
                ),
                Lang::Zh => format!(
                    "所涉数据仍在保存：`seqvault dataset delete {id}`；或 `seqvault rm {id} …` 后以 `dataset amend` 陈述余下的内容"
                ),
            };
            add(None, one.time, what);
        }
    }
}

/// A deletion that died between its statement and what it allows, where the store can be asked.
async fn unfinished(session: &Session, state: &DatasetState, lang: Lang) -> Outcome<Option<Item>> {
    let id = state.id();
    let Some(objects @ 1..) = session.client.objects_of(id).await? else { return Ok(None) };
    let what = match lang {
        Lang::En => format!(
            "deleted, and {objects} object(s) of it are still kept: `seqvault dataset delete {id}` goes on, and `seqvault doctor --repair` does"
        ),
        Lang::Zh => format!(
            "已声明删除，但仍保存 {objects} 个对象：以 `seqvault dataset delete {id}` 或 `seqvault doctor --repair` 继续"
        ),
    };
    let when = state.deletion().map(|deletion| deletion.time);
    Ok(Some(Item { dataset: Some(id.clone()), kind: Due::Deletion, member: None, when, fact: None, what }))
}

/// Persons who are counted although nothing was granted, for so long that nobody is at work on it.
fn counted_for_nothing(exposures: &Exposures, state: &DatasetState, look: &Look, items: &mut Vec<Item>) {
    let old = Unused::of(exposures, state).into_iter().filter(|one| one.added > 0 && one.is_old(look.now));
    items.extend(old.map(|one| {
        let (id, added, author, entry, ledger) = (state.id(), one.added, &one.author, one.entry, &one.ledger);
        let what = match look.lang {
            Lang::En => format!(
                "{added} person(s) counted by {author} for nothing (entry {entry} of {ledger}): `seqvault subjects release {id}`"
            ),
            Lang::Zh => {
                format!("{author} 登记的 {added} 人未用于授权（{ledger} 第 {entry} 条）：`seqvault subjects release {id}`")
            }
        };
        let (dataset, member) = (Some(id.clone()), Some(one.member));
        Item { dataset, kind: Due::Counted, member, when: Some(one.time), fact: None, what }
    }));
}

/// Proposals that wait.
async fn approvals(
    session: &mut Session,
    packs: &Packs,
    state: &DatasetState,
    look: &Look,
    items: &mut Vec<Item>,
) -> Outcome<()> {
    for one in waiting::of_dataset(session, packs, state, look.lang).await? {
        let proposal: String = one.proposal.to_string().chars().take(16).collect();
        let (given, needed, who, act) = (one.approved_by.len(), one.needed, names(&one.approved_by), one.act);
        let what = match look.lang {
            Lang::En => format!("proposal {proposal} ({act}): {given} of {needed} approvals {who}"),
            Lang::Zh => format!("提案 {proposal}（{act}）：已有 {given}/{needed} 人批准 {who}"),
        };
        let (dataset, when) = (Some(state.id().clone()), Some(one.ends));
        items.push(Item { dataset, kind: Due::Approve, member: None, when, fact: None, what });
    }
    Ok(())
}

/// What the rules now say against a grant that stands.
pub(super) fn wanting(stand: &Stand, lang: Lang) -> Option<String> {
    let needs = stand.needs?;
    let by = match &stand.decision {
        Ok(decision) => {
            let rules: Vec<String> =
                decision.missing().map(|fired| format!("{} ({})", fired.rule, fired.text.say(lang))).collect();
            rules.join("; ")
        }
        Err(refusal) => refusal.text().say(lang).to_owned(),
    };
    Some(match (needs, lang) {
        (Standing::Suspend, Lang::En) => format!("no longer allowed, to be suspended: {by}"),
        (Standing::Revoke, Lang::En) => format!("no longer allowed, to be revoked: {by}"),
        (Standing::Suspend, Lang::Zh) => format!("规则不再允许，应暂停：{by}"),
        (Standing::Revoke, Lang::Zh) => format!("规则不再允许，应撤销：{by}"),
    })
}

/// An end of a grant.
struct End {
    member: MemberId,
    when: u64,
    fact: Option<String>,
    what: String,
}

/// The ends within reach, each of the six by name; of grants without a decision the grant's own.
fn ends(session: &Session, state: &DatasetState, standing: &[Stand], look: &Look) -> Vec<End> {
    let mut found = BTreeMap::new();
    let horizon = look.now.saturating_add(look.within);
    for stand in standing {
        let Ok(decision) = &stand.decision else { continue };
        for end in &decision.ends {
            let Answer::Value(Value::Day(day)) = end.last else { continue };
            let when = day.over(CHINA);
            if when <= horizon {
                let asked = Input::named(end.what).map_or(end.what, |input| input.ask().say(look.lang));
                let what = match look.lang {
                    Lang::En => format!("{}: {asked}", end.what),
                    Lang::Zh => format!("{}：{asked}", end.what),
                };
                let end = End { member: stand.member.clone(), when, fact: Some(end.what.to_owned()), what };
                found.insert((stand.member.clone(), end.fact.clone()), end);
            }
        }
    }
    for (member, grant) in state.grants() {
        let Some(when) = grant.ends.filter(|when| *when <= horizon && grant.status == GrantStatus::Given) else {
            continue;
        };
        // A rotation since has taken note of it.
        let still_sealed = state.newest_epoch().is_some_and(|epoch| epoch.seals.keys().any(|(m, _)| m == member));
        let named = found.keys().any(|(known, _)| known == member);
        if named
            || (when <= look.now && !still_sealed)
            || !session.vault.is_current_member(member, session.vault.last_seq())
        {
            continue;
        }
        let what = match look.lang {
            Lang::En => "the grant's own end",
            Lang::Zh => "授权本身的末日",
        };
        found.insert((member.clone(), None), End { member: member.clone(), when, fact: None, what: what.to_owned() });
    }
    found.into_values().collect()
}

/// Why a dataset has to rotate, and since when.
fn rotation(session: &Session, state: &DatasetState, look: &Look) -> Option<(Option<u64>, String)> {
    let (en, zh, when) = if state.is_stale(&session.vault, session.at()) {
        (
            "the epoch is sealed to somebody who may not read any more: uploads wait".to_owned(),
            "密钥纪元仍封装给已无权读取者：上传暂停".to_owned(),
            None,
        )
    } else if state.closed() < state.newest() {
        ("a rotation was begun and not finished".to_owned(), "轮换已开始但未完成".to_owned(), None)
    } else {
        let opened = state.newest_epoch()?.time;
        let age = look.now.saturating_sub(opened);
        if age < look.older_than {
            return None;
        }
        let days = age / DAY;
        (
            format!("the epoch is {days} days old"),
            format!("密钥纪元已使用 {days} 天"),
            Some(opened.saturating_add(look.older_than)),
        )
    };
    Some((
        when,
        match look.lang {
            Lang::En => format!("{en} (`seqvault rotate {}`)", state.id()),
            Lang::Zh => format!("{zh}（`seqvault rotate {}`）", state.id()),
        },
    ))
}

/// When the next annual report is due, if the rules on human genetic resources apply or may apply and it is within reach.
fn report_due(facts: &Dataset, look: &Look) -> Option<u64> {
    let record = facts.record();
    let genetic = record.meets("content.kinds", &["sequence", "variants", "rna", "methylation"]);
    if genetic.or(record.flag("hgr.applies")).is_no() || facts == &Dataset::unknown() {
        return None;
    }
    let today = Day::of(look.now, CHINA)?;
    let (year, ..) = today.civil();
    let of = |year: i64| Day::new(u16::try_from(year).ok()?, 1, 31);
    let due = [year, year + 1].into_iter().filter_map(of).find(|day| *day >= today)?;
    Some(due.over(CHINA)).filter(|when| *when <= look.now.saturating_add(look.within))
}

/// Reads a number of days: `90d`, or `90`.
fn days(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('d').unwrap_or(text);
    let days = number.parse::<u64>().ok().filter(|days| *days <= 36_500);
    days.map(|days| days * DAY).ok_or_else(|| format!("{text}: not a number of days such as 90d"))
}

/// The standing grants that the rules do not allow now, in words; none in a vault without packs.
///
/// # Errors
/// If exposure ledgers can't be read.
pub(super) async fn against_rules(
    globals: &Globals,
    session: &mut Session,
    dataset: &DatasetState,
) -> Outcome<Vec<String>> {
    if !gate::is_gated(&session.vault) {
        return Ok(Vec::new());
    }
    let lang = globals.lang();
    let packs = Packs::at_hand(globals)?;
    let exposures = session.exposures_of(&ledger::counted_in(dataset)).await?;
    let standing = ledger::standing(&session.vault, &exposures, dataset, session.at(), packs.as_slice());
    Ok(match standing {
        // A pack that is not at hand is no reason to stop an upload or a rotation, and no reason to say nothing.
        Err(refusal) => vec![refusal.text().say(lang).to_owned()],
        Ok(standing) => standing
            .iter()
            .filter_map(|stand| wanting(stand, lang).map(|what| format!("{}: {what}", stand.member)))
            .collect(),
    })
}

/// Says on standard error which standing grants the rules do not allow: they are read by whatever is sealed from now on.
///
/// # Errors
/// If exposure ledgers can't be read.
pub(super) async fn warn_of(globals: &Globals, session: &mut Session, dataset: &DatasetState) -> Outcome<()> {
    for item in against_rules(globals, session, dataset).await? {
        output::warn(&match globals.lang() {
            Lang::En => format!("warning: {} is granted against the rules in force: {item}", dataset.id()),
            Lang::Zh => format!("警告：{} 的授权不符合生效的规则：{item}", dataset.id()),
        });
    }
    Ok(())
}

/// What `verify` says of an entry that the gate would not have let pass.
pub(super) fn found(finding: &ledger::Finding, lang: Lang) -> String {
    let whom = finding.member.as_ref().map_or_else(String::new, |member| format!(" {member}"));
    let why = finding.refusal.text();
    match lang {
        Lang::En => format!(
            "entry {} ({}{whom}) is not as the rules of its time demand: {}",
            finding.seq,
            finding.kind,
            why.say(lang)
        ),
        Lang::Zh => format!("第 {} 条（{}{whom}）不符合当时的规则：{}", finding.seq, finding.kind, why.say(lang)),
    }
}

//! `seqvault dataset amend`: new facts or another level: what changed, which level that asks for, which grants stand no longer. Spec 5.3.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest, LedgerId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantOrigin};
use vault_core::ledger::exposure::{ExposureState, cited_of};
use vault_core::ledger::statement::{Body, FactsAmended, MemberReservation, Reserved, Statement, Text};
use vault_policy::facts::NoAmendment;
use vault_policy::gate::{Exposure, Outcome as Verdict, Place, Stated};
use vault_policy::ledger::{self, Refusal};
use vault_policy::{Case, Dataset, Lang, decide};

use super::super::member::text;
use super::super::subjects;
use super::super::suspend::names;
use super::grade;
use crate::error::{Failure, Kind, Outcome};
use crate::facts::{self, Known};
use crate::gate::{self, Packs, Placed};
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;

/// What is amended.
#[derive(ClapArgs, Debug)]
pub(super) struct Amend {
    /// The dataset
    dataset: DatasetId,
    /// The new facts, all of them: a TOML file from `dataset template`
    #[arg(long, value_name = "FILE", required_unless_present = "level")]
    facts: Option<PathBuf>,
    /// The level [default: as it is, or higher if the facts ask for that]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5))]
    level: Option<u64>,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long)]
    why: String,
    /// Write a copy of the facts' sealed part, for those who may read it
    #[arg(long, value_name = "FILE", requires = "facts")]
    save_sealed: Option<PathBuf>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    changes: Vec<facts::Changed>,
    level_before: u64,
    level: u64,
    /// Grants that the rules do not support under the new facts.
    suspended: Vec<MemberId>,
    /// Grants for which the added persons are counted.
    counted_anew: Vec<MemberId>,
    entry: Option<u64>,
}

/// What will be stated.
struct New {
    facts: vault_core::ledger::statement::Facts,
    level: u64,
    why: Text,
}

/// What becomes of grants.
#[derive(Default, PartialEq, Eq)]
struct Effects {
    suspends: BTreeSet<MemberId>,
    counts: BTreeMap<MemberId, In>,
}

/// In which ledgers the rules count a grant: a recipient's persons are not exported because they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct In {
    recipient: bool,
    export: bool,
}

pub(super) async fn run(globals: &Globals, session: &mut Session, args: Amend) -> Outcome<()> {
    let (lang, out, home) = (globals.lang(), globals.output(), globals.state()?);
    let why = text("--why", &args.why)?;
    let packs = Packs::at_hand(globals)?;
    let mut state = session.dataset(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if !state.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {}: only stewards amend its facts", args.dataset))
            .or_in_chinese(format!("{me} 不是 {} 的数据管理者：只有数据管理者可以变更其事实", args.dataset)));
    }
    let before = before(&state, &home, lang)?;
    let (mut stated, mut changes) = (None, Vec::new());
    let (mut new_facts, mut level) = (state.facts().clone(), args.level.unwrap_or(state.level()));
    if let Some(path) = &args.facts {
        let after: Dataset = facts::read(path, lang)?;
        let amendment = match after.amends(&before.facts, &args.why) {
            Ok(amendment) => Some(amendment),
            // The sealed part may have changed where it is not at hand; the level may change alone.
            Err(NoAmendment::Nothing) if !before.whole || level != state.level() => None,
            Err(e) => return Err(Failure::usage(e.text().say(lang).to_owned())),
        };
        if !before.whole {
            out.note(match lang {
                Lang::En => {
                    "note: the sealed part of the present facts is not at hand: its answers are shown as unknown before"
                }
                Lang::Zh => "提示：现有事实的密封部分不在本机，其变更前的答案显示为未知",
            });
        }
        changes = amendment.iter().flat_map(|made| &made.changes).map(facts::Changed::of).collect();
        if args.level.is_none() {
            level = level.max(grade::level_of(&after));
        }
        if let Some(said) = grade::too_low(&after, level, lang) {
            out.note(&said);
        }
        let made = facts::split(&after, lang)?;
        new_facts = made.stated.clone();
        stated = Some(made);
    } else if level == state.level() {
        return Err(Failure::usage(NoAmendment::Nothing.text().say(lang).to_owned()));
    } else if let Ok(facts) = Dataset::from_statement(&new_facts)
        && let Some(said) = grade::too_low(&facts, level, lang)
    {
        out.note(&said);
    }
    for change in &changes {
        out.note(&change.say(lang));
    }
    let new = New { facts: new_facts, level, why };
    let effects = effects(session, &packs, &state, &new, &me, lang).await?;
    tell(globals, &state, &new, &effects);
    let mut done = Done {
        dataset: args.dataset,
        changes,
        level_before: state.level(),
        level,
        suspended: effects.suspends.iter().cloned().collect(),
        counted_anew: effects.counts.keys().cloned().collect(),
        entry: None,
    };
    if args.dry_run {
        return out.result(&done, || match lang {
            Lang::En => "nothing was done".to_owned(),
            Lang::Zh => "未执行任何操作".to_owned(),
        });
    }
    let signer = session.signer(globals)?;
    if let Some(stated) = &stated {
        stated.share(globals, session, &signer, state.id(), args.save_sealed.as_deref()).await?;
    }
    let mut placed = Vec::new();
    let amended = append(session, &signer, &packs, &mut state, &new, effects, &mut placed, lang).await;
    if let Err(failure) = &amended {
        for item in placed {
            let placed = Placed { reservation: Some(item.reservation), export: None };
            // A store that failed may have taken the new facts, which then rest on what was reserved.
            if failure.kind == Kind::Storage {
                subjects::stay_counted(state.id(), &placed, lang);
            } else {
                gate::cancel(session, &signer, &mut state, &placed).await;
            }
        }
    }
    done.entry = Some(amended?);
    out.result(&done, || text_of(&done, lang))
}

/// The present facts; what is not of the rules' form counts as unknown.
fn before(state: &DatasetState, home: &crate::state::StateFolder, lang: Lang) -> Outcome<Known<Dataset>> {
    let stated = state.facts();
    if stated.0.contains_key("schema") {
        return facts::known(state.id().as_str(), stated, None, home, lang);
    }
    Ok(Known { facts: Dataset::unknown(), whole: true })
}

fn body(new: &New, suspends: &BTreeSet<MemberId>, reservations: Vec<MemberReservation>) -> FactsAmended {
    FactsAmended {
        facts: new.facts.clone(),
        level: new.level,
        reservations,
        suspends: suspends.iter().cloned().collect(),
        why: new.why.clone(),
    }
}

/// Asks the gate, as every reader will: each grant that it finds wanting is suspended, or counted anew if that is all it needs.
async fn effects(
    session: &mut Session,
    packs: &Packs,
    state: &DatasetState,
    new: &New,
    me: &MemberId,
    lang: Lang,
) -> Outcome<Effects> {
    let mut wanting = Effects::default();
    let none = BTreeSet::new();
    let all = wants(session, packs, state, new, me, &none, &[], lang).await?;
    for member in all {
        match stands_if_counted(session, packs, state, new, &member, lang).await? {
            Some(counted) => drop(wanting.counts.insert(member, counted)),
            None => drop(wanting.suspends.insert(member)),
        }
    }
    Ok(wanting)
}

/// The grants that do not stand under the new facts with these reservations, besides those that are suspended anyway.
#[allow(clippy::too_many_arguments, reason = "what is asked about, by whom and under what: each is another thing")]
async fn wants(
    session: &mut Session,
    packs: &Packs,
    state: &DatasetState,
    new: &New,
    me: &MemberId,
    suspends: &BTreeSet<MemberId>,
    reservations: &[MemberReservation],
    lang: Lang,
) -> Outcome<BTreeSet<MemberId>> {
    let mut counted = ledger::counted_in(state);
    counted.extend(cited_of(&Body::FactsAmended(body(new, suspends, reservations.to_vec()))));
    let exposures = session.exposures_to_decide(&counted).await?;
    let (mut found, mut suspends) = (BTreeSet::new(), suspends.clone());
    let Some(card) = session.vault.current_cards(me, session.vault.last_seq()).next().map(|record| *record.card.id())
    else {
        return Ok(found);
    };
    loop {
        // Nobody signs it: it is what the gate would be asked about.
        let statement = Statement {
            author: me.clone(),
            body: Body::FactsAmended(body(new, &suspends, reservations.to_vec())),
            card,
            ledger: state.ledger(),
            prev: state.head().map(|head| head.hash),
            seq: state.judged().len() as u64,
            time: session.at().time,
            vault: Some(*session.vault.id()),
            vault_head: session.vault.head(),
        };
        match ledger::check(&session.vault, &exposures, state, &statement, packs.as_slice()) {
            Ok(()) => return Ok(found),
            Err(Refusal::Suspend(member)) => {
                found.insert(member.clone());
                if !suspends.insert(member) {
                    return Ok(found);
                }
            }
            Err(refusal) => return Err(gate::refused(&refusal, lang)),
        }
    }
}

/// Where the persons that are added have to be counted so that the rules allow a standing grant under the new facts; `None` if they don't then.
async fn stands_if_counted(
    session: &mut Session,
    packs: &Packs,
    state: &DatasetState,
    new: &New,
    member: &MemberId,
    lang: Lang,
) -> Outcome<Option<In>> {
    let at = session.at();
    let in_force = ledger::in_force(&session.vault, at.vault, packs.as_slice()).map_err(|e| gate::refused(&e, lang))?;
    let grant = state.grants().get(member).filter(|grant| grant.origin == GrantOrigin::Granted);
    let info = session.vault.member(member).and_then(|member| member.info_at(at.vault));
    let (Some(grant), Some(info)) = (grant, info) else { return Ok(None) };
    let (Ok(dataset), Ok(member_facts), Ok(grant_facts)) =
        (Stated::dataset(&new.facts), Stated::member(info), Stated::grant(&grant.facts))
    else {
        return Ok(None);
    };
    let recipient = ledger::recipient_ledger(member_facts.facts());
    let export = ledger::export_ledger(dataset.facts(), at.time, &in_force);
    let exposures = session.exposures_to_decide(&recipient.into_iter().chain(export).collect()).await?;
    let total = |ledger: Option<Digest>| {
        let (before, added) = count(ledger.and_then(|ledger| exposures.of(&ledger)), state.id(), dataset.facts())?;
        Some(before.saturating_add(added))
    };
    let case = Case {
        place: Place { dataset: state.id(), member, reservation: None, export: None },
        dataset: &dataset,
        member: &member_facts,
        grant: &grant_facts,
        level: u8::try_from(new.level).unwrap_or(u8::MAX),
        grade_confirmed: false,
        exposure: Exposure { recipient: total(recipient), exported_this_year: total(export) },
        now: at.time,
    };
    let decision = decide(&case, &in_force);
    let counted = In { recipient: decision.counted, export: decision.exported };
    Ok((decision.outcome == Verdict::Allow && (counted.recipient || counted.export)).then_some(counted))
}

/// The total of an exposure ledger, and what the dataset adds to it under its new facts.
fn count(state: Option<&ExposureState>, dataset: &DatasetId, facts: &Dataset) -> Option<(u64, u64)> {
    let persons = facts.record().number("subjects.count")?;
    let (mut total, mut before) = (0, 0u64);
    if let Some(state) = state {
        total = state.total();
        let standing = state.reserved().values().filter(|one| one.dataset == *dataset && one.stands_at(u64::MAX));
        before = standing.fold(0, |sum, one| sum.saturating_add(one.added));
    }
    Some((total, persons.saturating_sub(before)))
}

/// Says, before anybody is asked for a passphrase, what becomes of the level and of each grant.
fn tell(globals: &Globals, state: &DatasetState, new: &New, effects: &Effects) {
    let (lang, out) = (globals.lang(), globals.output());
    let list = |members: &BTreeSet<MemberId>| names(&members.iter().cloned().collect::<Vec<_>>());
    if new.level != state.level() {
        out.note(&match lang {
            Lang::En => format!("level {} -> {}", state.level(), new.level),
            Lang::Zh => format!("级别 {} -> {}", state.level(), new.level),
        });
    }
    if state.confirmed().is_some() {
        out.note(match lang {
            Lang::En => "the confirmation of the grading ends with this: it was for the facts before",
            Lang::Zh => "原定级确认随之失效：其针对的是变更前的事实",
        });
    }
    if !effects.suspends.is_empty() {
        crate::output::warn(&match lang {
            Lang::En => format!(
                "will be suspended, because the rules do not allow them under these facts: {}",
                list(&effects.suspends)
            ),
            Lang::Zh => format!("以下授权按新的事实不被规则允许，将暂停：{}", list(&effects.suspends)),
        });
    }
    if !effects.counts.is_empty() {
        let counts = names(&effects.counts.keys().cloned().collect::<Vec<_>>());
        out.note(&match lang {
            Lang::En => format!("the persons added will be counted for: {counts}"),
            Lang::Zh => format!("新增人数将计入：{counts}"),
        });
    }
}

/// Reserves and appends; what was reserved is in `placed`, to be taken back if it fails.
#[allow(clippy::too_many_arguments, reason = "who, where, what, and what of it is done: each is another thing")]
async fn append(
    session: &mut Session,
    signer: &Signer,
    packs: &Packs,
    state: &mut DatasetState,
    new: &New,
    said: Effects,
    placed: &mut Vec<MemberReservation>,
    lang: Lang,
) -> Outcome<u64> {
    for (member, counted) in &said.counts {
        reserve(session, signer, packs, state, new, member, *counted, placed, lang).await?;
    }
    for _ in 0..ATTEMPTS {
        let wanting = wants(session, packs, state, new, &signer.member, &said.suspends, placed, lang).await?;
        if !wanting.is_empty() {
            let list = names(&wanting.into_iter().collect::<Vec<_>>());
            return Err(Failure::new(
                Kind::Conflict,
                format!("meanwhile it became clear that the rules do not allow under these facts: {list}"),
            )
            .or_in_chinese(format!("其间发现规则不允许以这些事实保留下列授权：{list}"))
            .hints(
                "run the same command again: it says which grants it suspends before it does",
                "请重新运行同一命令：暂停授权前会先列明",
            ));
        }
        // A grant that ended meanwhile can't be suspended any more.
        let suspends =
            said.suspends.iter().filter(|member| super::super::grant::is_given(state, member)).cloned().collect();
        let body = Body::FactsAmended(body(new, &suspends, placed.clone()));
        // What stands was decided at this entry; if the vault ledger has gone on it is decided again.
        let decided_at = session.vault.head();
        if let Landed::Yes { seq, .. } = session.append_decided(signer, state, body, decided_at).await? {
            return Ok(seq);
        }
        *state = session.dataset(&state.id().clone()).await?;
    }
    Err(crate::session::busy(state.id()))
}

/// Reserves what the new facts add, in the ledgers in which the grant is counted.
#[allow(clippy::too_many_arguments, reason = "as above")]
async fn reserve(
    session: &mut Session,
    signer: &Signer,
    packs: &Packs,
    state: &DatasetState,
    new: &New,
    member: &MemberId,
    counted: In,
    placed: &mut Vec<MemberReservation>,
    lang: Lang,
) -> Outcome<()> {
    let facts = Dataset::from_statement(&new.facts).map_err(|e| facts::stated_failure("facts", &e, lang))?;
    let at = session.at();
    let in_force = ledger::in_force(&session.vault, at.vault, packs.as_slice()).map_err(|e| gate::refused(&e, lang))?;
    let info = session.vault.member(member).and_then(|member| member.info_at(at.vault));
    let recipient = info.and_then(|info| vault_policy::Member::from_info(info).ok());
    let grant = state.grants().get(member);
    let held = |ledger: &Digest| {
        let ledger = LedgerId::Exposure(*ledger);
        let traced = grant
            .and_then(|grant| grant.trace.as_ref())
            .and_then(|trace| vault_policy::gate::Trace::parse(trace).ok())
            .and_then(|trace| trace.export());
        let cited = grant.and_then(|grant| grant.reservation.clone());
        cited.into_iter().chain(traced).any(|one| one.ledger == ledger)
    };
    let ledgers = [
        recipient.as_ref().and_then(ledger::recipient_ledger).filter(|_| counted.recipient),
        ledger::export_ledger(&facts, at.time, &in_force).filter(|_| counted.export),
    ];
    for ledger in ledgers.into_iter().flatten() {
        let mut landed = false;
        for _ in 0..ATTEMPTS {
            let exposures = session.exposures_to_decide(&BTreeSet::from([ledger])).await?;
            let Some((total, added)) = count(exposures.of(&ledger), state.id(), &facts) else { break };
            // A ledger that counts the grant already, and all of its persons, needs nothing more.
            if added == 0 && held(&ledger) {
                landed = true;
                break;
            }
            let body = Body::Reserved(Reserved {
                added,
                dataset: state.id().clone(),
                member: member.clone(),
                subjects: None,
                total: total.saturating_add(added),
            });
            if let Some(reservation) = session.append_exposure(signer, ledger, body).await? {
                placed.push(MemberReservation { member: member.clone(), reservation });
                landed = true;
                break;
            }
        }
        if !landed {
            return Err(gate::busy(member));
        }
    }
    Ok(())
}

fn text_of(done: &Done, lang: Lang) -> String {
    let mut text = match lang {
        Lang::En => format!("the facts of {} are amended, level {}", done.dataset, done.level),
        Lang::Zh => format!("{} 的事实已变更，级别 {}", done.dataset, done.level),
    };
    if !done.suspended.is_empty() {
        let list = names(&done.suspended);
        text.push_str(&match lang {
            Lang::En => {
                format!("\nsuspended: {list}; new uploads wait until a steward runs `seqvault rotate {}`", done.dataset)
            }
            Lang::Zh => {
                format!("\n已暂停：{list}；在数据管理者运行 `seqvault rotate {}` 之前不接受新的上传", done.dataset)
            }
        });
    }
    text
}

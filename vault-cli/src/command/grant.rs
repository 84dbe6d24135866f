//! `seqvault grant`: seal a dataset's unclosed epochs to a member, once the rules in force allow it. Constant work, whatever the
//! dataset's size. Spec 5.3.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value as Json;
use vault_core::card;
use vault_core::ids::{CardId, DatasetId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantStatus};
use vault_core::ledger::statement::{Approval, Body, Facts, GrantTerms, Granted};
use vault_policy::{Grant, Lang};

use super::member::{no_member, text};
use super::propose;
use super::subjects;
use crate::acts::{Approvals, Place};
use crate::error::{Failure, Kind, Outcome};
use crate::facts;
use crate::gate::{self, Answer, Packs, Placed, UseArgs};
use crate::keyring::Keyring;
use crate::output;
use crate::seals::Seals;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;
use crate::terms::TermsFile;

/// Let a member read a dataset (stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault grant run-42 anna\n  seqvault grant run-42 anna --until 2027-06-30 --purpose \"cohort study 7\"\n  seqvault grant --template > anna-grant.toml    (fill it in)\n  seqvault grant run-42 anna --facts anna-grant.toml --dry-run\n  seqvault grant run-42 anna --terms run-42-anna.terms.json    (what was proposed, once it is approved)\n\nWhere a rule pack is in force the decision is shown before a passphrase is asked for, and nothing is sealed unless it allows. Granting again seals the keys to cards that were added since, and replaces the end date."
)]
pub struct Args {
    /// The dataset
    #[arg(required_unless_present = "template")]
    dataset: Option<DatasetId>,
    /// The member
    #[arg(required_unless_present = "template")]
    member: Option<MemberId>,
    #[command(flatten)]
    r#use: UseArgs,
    /// Write a copy of the sealed part of the grant's facts
    #[arg(long, value_name = "FILE")]
    save_sealed: Option<PathBuf>,
    /// Carry out what was proposed: the terms file of `propose`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["facts", "scenario", "purpose", "project", "until", "save_sealed"])]
    terms: Option<PathBuf>,
    /// The proposal's hash, or the beginning of it, if there are several for the same terms
    #[arg(long, value_name = "HASH", requires = "terms")]
    proposal: Option<String>,
    /// Only say what would be done, and what the rules decide
    #[arg(long)]
    dry_run: bool,
    /// Print a commented facts file of a grant to fill in
    #[arg(long)]
    template: bool,
    /// With --template: filled in, as an example that the pack cn-sequencing allows with the other two
    #[arg(long, requires = "template")]
    example: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    until: Option<u64>,
    epochs: Vec<u64>,
    cards: Vec<SealedTo>,
    entry: Option<u64>,
    /// The decision, where rules are in force.
    decision: Option<Json>,
    /// Who approved it.
    approved_by: Vec<MemberId>,
}

#[derive(Serialize)]
struct SealedTo {
    card: CardId,
    fingerprint: String,
    label: String,
    new: bool,
}

/// Facts of a grant, filled in.
pub(super) const EXAMPLE: &str = include_str!("examples/grant.toml");

/// What is to be granted, before anybody is asked for a passphrase.
pub(super) struct Plan {
    /// The terms, with the end that the decision allows.
    pub(super) terms: GrantTerms,
    /// The facts with their sealed part, which is to be kept.
    pub(super) stated: Option<facts::Stated>,
    /// The decision; `None` where no rules are in force.
    pub(super) answer: Option<Answer>,
}

impl Plan {
    /// Reads what the grant is for and asks the rules.
    pub(super) async fn of(
        globals: &Globals,
        session: &mut Session,
        packs: &Packs,
        dataset: &DatasetState,
        member: &MemberId,
        asked: &UseArgs,
    ) -> Outcome<Self> {
        let lang = globals.lang();
        let gated = gate::is_gated(&session.vault);
        if asked.until.is_some_and(|until| until <= session.at().time) {
            return Err(Failure::usage("--until is in the past").or_in_chinese("--until 已是过去的日期"));
        }
        if !gated && asked.facts.is_none() && asked.scenario.is_none() && asked.project.is_none() {
            // As it was before there were rules: the words alone, in the clear.
            let facts = match &asked.purpose {
                Some(purpose) => {
                    let purpose = text("--purpose", purpose)?;
                    Facts([("purpose".to_owned(), purpose.as_str().into())].into_iter().collect())
                }
                None => Facts::default(),
            };
            let terms = GrantTerms { ends: asked.until, facts, member: member.clone() };
            return Ok(Self { terms, stated: None, answer: None });
        }
        let stated = facts::split(&asked.read(lang)?, lang)?;
        let mut terms = GrantTerms { ends: asked.until, facts: stated.stated.clone(), member: member.clone() };
        let mut answer = None;
        if gated {
            let decided = gate::foresee(session, packs, dataset, member, &terms.facts, lang).await?;
            terms.ends = earlier(asked.until, decided.decision.expires);
            answer = Some(decided);
        }
        Ok(Self { terms, stated: Some(stated), answer })
    }

    /// What was proposed, and what the rules say of it now.
    async fn proposed(
        globals: &Globals,
        session: &mut Session,
        packs: &Packs,
        dataset: &DatasetState,
        terms: &GrantTerms,
    ) -> Outcome<Self> {
        let mut answer = None;
        if gate::is_gated(&session.vault) {
            let (member, facts) = (&terms.member, &terms.facts);
            answer = Some(gate::foresee(session, packs, dataset, member, facts, globals.lang()).await?);
        }
        Ok(Self { terms: terms.clone(), stated: None, answer })
    }

    /// Keeps the sealed part of the facts, and says where.
    pub(super) fn keep(&self, globals: &Globals, copy: Option<&std::path::Path>) -> Outcome<()> {
        let Some(stated) = &self.stated else { return Ok(()) };
        if let Some(told) = stated.keep(&globals.state()?, copy, globals.lang())? {
            globals.output().note(&told);
        }
        Ok(())
    }

    /// Says what the rules decide: as the result if they refuse, beside it otherwise.
    pub(super) fn explain(&self, globals: &Globals, dataset: &DatasetId) -> Outcome<()> {
        let (lang, out) = (globals.lang(), globals.output());
        let Some(answer) = &self.answer else { return Ok(()) };
        match answer.refusal(dataset, &self.terms.member, lang) {
            None => {
                out.note(&answer.explain(lang));
                Ok(())
            }
            Some(_) if answer.marks_may_help => {
                out.note(&answer.explain(lang));
                Ok(())
            }
            Some(failure) => {
                out.result(&answer.to_json(lang), || output::printable(&answer.explain(lang)))?;
                Err(failure.hint(hint_on_facts(lang)))
            }
        }
    }
}

const fn hint_on_facts(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "state what is missing: of the dataset with `dataset amend`, of the member with `member amend`, of the grant in its facts file"
        }
        Lang::Zh => "请补充所缺事项：数据集用 `dataset amend`，成员用 `member amend`，授权写入其事实文件",
    }
}

/// The earlier of two ends, where there is one.
fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Runs the verb.
///
/// # Errors
/// If the rules do not allow it, the grant would not count, or the view of the vault is too old.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    if args.template {
        let text = if args.example { EXAMPLE.to_owned() } else { Grant::template(lang) };
        return out.line(&text);
    }
    let (Some(id), Some(member)) = (args.dataset, args.member) else {
        return Err(Failure::usage("name a dataset and a member").or_in_chinese("请指明数据集和成员"));
    };
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&id).await?;
    session.check_fresh(&dataset).await?;
    let cards = check_member(&session, &member)?;
    let file = match &args.terms {
        Some(path) => {
            let (file, terms) = TermsFile::of_grant(path, session.vault.id(), &id, lang)?;
            if terms.member != member {
                return Err(Failure::usage(format!(
                    "{}: terms for {}, and not for {member}",
                    path.display(),
                    terms.member
                ))
                .or_in_chinese(format!(
                    "{}：条款对应 {}，而不是 {member}",
                    path.display(),
                    terms.member
                )));
            }
            Some((file, terms, path.clone()))
        }
        None => None,
    };
    check_author(&session, globals, &dataset)?;
    let plan = match &file {
        Some((_, terms, _)) => Plan::proposed(globals, &mut session, &packs, &dataset, terms).await?,
        None => Plan::of(globals, &mut session, &packs, &dataset, &member, &args.r#use).await?,
    };
    plan.explain(globals, &id)?;
    // Known before anybody is counted.
    let expires = plan.answer.as_ref().and_then(|answer| answer.decision.expires);
    if let Some(last) = expires.filter(|last| ends_later(&plan.terms, *last)) {
        return Err(too_late(&id, &member, last, lang));
    }
    if plan.answer.is_none() && !gate::is_gated(&session.vault) {
        out.note(match lang {
            Lang::En => {
                "note: no rule pack is in force: nothing is checked before the key is sealed (`seqvault pack set`)"
            }
            Lang::Zh => "提示：没有生效的规则包：封装密钥前不作任何检查（`seqvault pack set`）",
        });
    }
    let needed = plan
        .answer
        .as_ref()
        .map_or_else(|| gate::genesis_approvals(&session.vault, &dataset), |answer| answer.approvals);
    let me = session.member_of(&globals.card()?)?;
    let approvals = match &file {
        Some((file, _, path)) => {
            let named = args.proposal.as_deref();
            let found = Place::Dataset(&dataset).approvals(&session, file, path, named, &me, lang)?;
            if !args.dry_run {
                found.suffice(needed, lang)?;
            }
            Some(found)
        }
        None if needed > 0 && !args.dry_run => return Err(propose::needs(&id, &member, needed, lang)),
        None => None,
    };
    let mut done = Done {
        dataset: id.clone(),
        member: member.clone(),
        until: plan.terms.ends,
        epochs: dataset.unclosed().map(|(n, _)| n).collect(),
        cards: shown_cards(&session, &dataset, &member, &cards),
        entry: None,
        decision: plan.answer.as_ref().map(|answer| answer.to_json(lang)),
        approved_by: approvals.as_ref().map(Approvals::members).unwrap_or_default(),
    };
    for card in done.cards.iter().filter(|c| c.new) {
        // Whatever the options: this is the moment to compare it.
        let (print, label) = (&card.fingerprint, output::printable(&card.label));
        output::warn(&match lang {
            Lang::En => format!("seals to a card that is new here: {print}  {label}"),
            Lang::Zh => format!("将封装给此处首次出现的卡片：{print}  {label}"),
        });
    }
    if args.dry_run {
        return out.result(&done, || {
            let more = match (needed, lang) {
                (0, _) => String::new(),
                (n, Lang::En) => format!("; {n} approval(s) are needed (`seqvault propose`)"),
                (n, Lang::Zh) => format!("；须 {n} 人批准（`seqvault propose`）"),
            };
            match lang {
                Lang::En => format!("{} would be granted to {}; nothing was done{more}", done.dataset, done.member),
                Lang::Zh => format!("将把 {} 授权给 {}；未执行任何操作{more}", done.dataset, done.member),
            }
        });
    }
    let signer = session.signer(globals)?;
    plan.keep(globals, args.save_sealed.as_deref())?;
    let wanted = Wanted {
        terms: &plan.terms,
        shown: &cards,
        approval: approvals.map(|found| found.approval),
        packs: plan.answer.is_some().then_some(&packs),
        lang,
    };
    done.entry = Some(grant(&mut session, &signer, &mut dataset, &wanted).await?);
    done.epochs = dataset.unclosed().map(|(n, _)| n).collect();
    out.result(&done, || {
        let (member, dataset, cards) = (&done.member, &done.dataset, done.cards.len());
        match lang {
            Lang::En => {
                let until = done.until.map_or_else(String::new, |t| format!(" until {}", output::time(t)));
                format!("{member} may read {dataset}{until} ({})", output::count(cards, "card"))
            }
            Lang::Zh => {
                let until = done.until.map_or_else(String::new, |t| format!("，至 {}", output::time(t)));
                format!("{member} 可读取 {dataset}{until}（{cards} 张卡片）")
            }
        }
    })
}

/// What is sealed to whom, on which grounds.
struct Wanted<'a> {
    terms: &'a GrantTerms,
    shown: &'a [CardId],
    approval: Option<Approval>,
    /// The packs, where a decision is needed.
    packs: Option<&'a Packs>,
    lang: Lang,
}

async fn grant(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    wanted: &Wanted<'_>,
) -> Outcome<u64> {
    let mut placed = Placed::default();
    let granted = attempt(session, signer, dataset, wanted, &mut placed).await;
    if let Err(failure) = &granted {
        // A store that failed may have taken the grant, which then rests on what was reserved.
        if failure.kind == Kind::Storage {
            subjects::stay_counted(dataset.id(), &placed, wanted.lang);
        } else if placed != Placed::default() {
            gate::cancel(session, signer, dataset, &placed).await;
        }
    }
    granted
}

async fn attempt(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    wanted: &Wanted<'_>,
    placed: &mut Placed,
) -> Outcome<u64> {
    let terms = wanted.terms;
    let before = dataset.grants().get(&terms.member).cloned();
    for _ in 0..ATTEMPTS {
        if dataset.grants().get(&terms.member) != before.as_ref() {
            return Err(overtaken(dataset, terms));
        }
        let keyring = match Keyring::open(session, signer, dataset).await {
            Ok(keyring) => keyring,
            // A rotation that ended meanwhile has deleted the seals.
            Err(failure) if failure.kind == Kind::NotFound && session.has_moved(dataset).await? => continue,
            Err(failure) => return Err(failure),
        };
        session.check_fresh(dataset).await?;
        let cards = check_member(session, &terms.member)?;
        if cards != *wanted.shown {
            return Err(Failure::new(Kind::Conflict, format!("the cards of {} changed meanwhile", terms.member))
                .or_in_chinese(format!("{} 的卡片其间有变更", terms.member))
                .hints(
                    "run the same command again: it shows the cards before it seals to them",
                    "请重新运行同一命令：封装前会先列出卡片",
                ));
        }
        let owners: BTreeSet<(MemberId, CardId)> = cards.into_iter().map(|card| (terms.member.clone(), card)).collect();
        let mut seals = Seals::default();
        for (n, _) in dataset.unclosed() {
            seals.add(session, signer, dataset.id(), n, keyring.epoch(n)?, &owners)?;
        }
        let (mut trace, mut decided_at) = (None, None);
        if let Some(packs) = wanted.packs {
            let (member, facts) = (&terms.member, &terms.facts);
            let decision = gate::settle(session, signer, packs, dataset, member, facts, placed, wanted.lang).await?;
            if let Some(last) = decision.expires.filter(|last| ends_later(terms, *last)) {
                return Err(too_late(dataset.id(), &terms.member, last, wanted.lang));
            }
            trace = Some(decision.trace.stated().clone());
            decided_at = session.vault.head();
        }
        let body = Body::Granted(Granted {
            approval: wanted.approval.clone(),
            reservation: placed.reservation.clone(),
            seals: seals.epoch_hashes().collect(),
            terms: terms.clone(),
            trace,
        });
        let landed = match decided_at {
            // What was decided is signed at the entry on which it was decided, or decided again.
            Some(_) => seals.append_decided(session, signer, dataset, body, decided_at).await?,
            None => seals.append(session, signer, dataset, body).await?,
        };
        if let Landed::Yes { seq, .. } = landed {
            return Ok(seq);
        }
    }
    Err(crate::session::busy(dataset.id()))
}

fn ends_later(terms: &GrantTerms, last: u64) -> bool {
    terms.ends.is_none_or(|ends| ends > last)
}

/// What was proposed, or planned a moment ago, ends later than the rules allow by now.
fn too_late(dataset: &DatasetId, member: &MemberId, last: u64, lang: Lang) -> Failure {
    let last = output::time(last);
    Failure::new(
        Kind::Conflict,
        match lang {
            Lang::En => format!("the grant would end later than {last}, by which the rules now want it to end"),
            Lang::Zh => format!("授权的终止时间晚于规则现在要求的 {last}"),
        },
    )
    .hint(match lang {
        Lang::En => format!("without --terms run the same command again; what was proposed has to be proposed anew: `seqvault propose {dataset} {member} …`"),
        Lang::Zh => format!("未用 --terms 时请再次运行同一命令；已提案的须重新提案：`seqvault propose {dataset} {member} …`"),
    })
}

/// Somebody else decided about the same member meanwhile: a revocation must not be undone by a grant that knew nothing of it.
fn overtaken(dataset: &DatasetState, terms: &GrantTerms) -> Failure {
    Failure::new(
        Kind::Conflict,
        format!("the grant of {} on {} was changed by somebody else meanwhile", terms.member, dataset.id()),
    )
    .or_in_chinese(format!("{} 在 {} 上的授权其间已由他人变更", terms.member, dataset.id()))
    .hints(
        format!(
            "look at it with `seqvault dataset show {}`, then run the same command again if it still holds",
            dataset.id()
        ),
        format!("请以 `seqvault dataset show {}` 查看；若仍需授权，再运行同一命令", dataset.id()),
    )
}

fn check_member(session: &Session, member: &MemberId) -> Outcome<Vec<CardId>> {
    let (vault, at) = (&session.vault, session.vault.last_seq());
    if vault.member(member).is_none() {
        return Err(no_member(member));
    }
    if !vault.is_current_member(member, at) {
        return Err(Failure::refused(format!("{member} is retired: nothing can be granted to them"))
            .or_in_chinese(format!("{member} 已停用：不能向其授权"))
            .hints("enrol them anew under another id", "请以另一标识重新登记"));
    }
    let cards: Vec<CardId> = vault.current_cards(member, at).map(|c| *c.card.id()).collect();
    if cards.is_empty() {
        return Err(Failure::refused(format!("{member} has no current card"))
            .or_in_chinese(format!("{member} 没有可用的卡片"))
            .hints(
                format!("an officer or they themselves add one: `seqvault member add-key {member} --card CARD`"),
                format!("由管理员或其本人添加：`seqvault member add-key {member} --card CARD`"),
            ));
    }
    Ok(cards)
}

/// What can be told before a passphrase is asked for.
fn check_author(session: &Session, globals: &Globals, dataset: &DatasetState) -> Outcome<()> {
    let card = globals.card()?;
    let me = session.member_of(&card)?;
    let at = session.at();
    if dataset.is_holder(&session.vault, &me, card.id(), at) {
        return Ok(());
    }
    if !dataset.has_holder(&session.vault, at) && dataset.opens_all(&session.vault, &me, card.id(), at) {
        return Ok(());
    }
    let failure = Failure::refused(format!("{me} can't grant {}", dataset.id()))
        .or_in_chinese(format!("{me} 不能授权 {}", dataset.id()));
    Err(if dataset.is_steward(&session.vault, &me, at.vault) {
        failure.hints(
            "you are a steward, but the newest epoch is not sealed to this card: a steward who holds it grants it to you first",
            "您是数据管理者，但最新的密钥纪元未封装给本卡片：须先由持有它的数据管理者授权给您",
        )
    } else {
        let stewards: Vec<String> = session
            .vault
            .members()
            .map(|(id, _)| id)
            .filter(|m| dataset.is_steward(&session.vault, m, at.vault))
            .map(ToString::to_string)
            .collect();
        failure.hints(
            format!("only its stewards can: {}", stewards.join(", ")),
            format!("只有其数据管理者可以：{}", stewards.join("、")),
        )
    })
}

fn shown_cards(session: &Session, dataset: &DatasetState, member: &MemberId, cards: &[CardId]) -> Vec<SealedTo> {
    cards
        .iter()
        .filter_map(|id| session.vault.card(id).map(|record| (id, record)))
        .map(|(id, record)| SealedTo {
            card: *id,
            fingerprint: card::fingerprint(id),
            label: record.card.label().to_owned(),
            new: !dataset.epochs().values().any(|e| e.seals.contains_key(&(member.clone(), *id))),
        })
        .collect()
}

/// Whether a member has a grant that was not ended by a statement.
#[must_use]
pub fn is_given(dataset: &DatasetState, member: &MemberId) -> bool {
    dataset.grants().get(member).is_some_and(|g| g.status == GrantStatus::Given)
}

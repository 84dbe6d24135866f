//! `seqvault approve`: a second signature, by somebody who has read what it is for. Spec 5.1.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value as Json;
use vault_core::card::Card;
use vault_core::ids::{DatasetId, EntryHash, LedgerId, MemberId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::ExposureState;
use vault_core::ledger::statement::{Approved, Body, GrantTerms};
use vault_policy::{Grant, Lang};

use super::dataset::{delete, not_an_approver};
use super::member::not_a_card;
use super::{recover, subjects};
use crate::acts::{Owned, Place};
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::gate::{self, Packs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::{GRANTED, Terms, TermsFile};

/// Approve what was proposed (approvers or officers who neither proposed it nor profit from it)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault approve --terms run-42-anna.terms.json\n  seqvault approve run-42 --terms run-42-anna.terms.json\n\nIt shows the terms and what the rules decide on them, and checks that they are those that the proposal names, before it asks for a passphrase. What concerns a dataset is approved by its approvers, what concerns the vault or a count of persons by officers."
)]
pub struct Args {
    /// The dataset, to be told if the terms are of another
    dataset: Option<DatasetId>,
    /// The proposal's hash, or the beginning of it; without it, the one for the terms
    proposal: Option<String>,
    /// The terms file of `propose`
    #[arg(long, value_name = "FILE")]
    terms: PathBuf,
}

#[derive(Serialize)]
struct Done {
    act: &'static str,
    ledger: LedgerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetId>,
    member: Option<MemberId>,
    proposal: EntryHash,
    approved_by: Vec<MemberId>,
    needed: u64,
    decision: Option<Json>,
    entry: u64,
}

/// The ledger's state, besides what the session holds.
enum State {
    Vault,
    Dataset(Box<DatasetState>),
    Exposure(Box<ExposureState>),
}

impl State {
    async fn of(session: &mut Session, ledger: &LedgerId) -> Outcome<Self> {
        Ok(match ledger {
            LedgerId::Vault => Self::Vault,
            LedgerId::Dataset(id) => Self::Dataset(Box::new(session.dataset(id).await?)),
            LedgerId::Exposure(recipient) => {
                let exposures = session.exposures().await?;
                let found = exposures.of(recipient).cloned();
                let missing = || {
                    Failure::not_found(format!("there is no ledger {ledger} in this vault"))
                        .or_in_chinese(format!("本保险库没有账本 {ledger}"))
                };
                Self::Exposure(Box::new(found.ok_or_else(missing)?))
            }
        })
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Vault => Place::Vault,
            Self::Dataset(dataset) => Place::Dataset(dataset),
            Self::Exposure(exposure) => Place::Exposure(exposure),
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// If the terms are not the proposal's, the caller may not approve it, or the rules do not allow it.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, out, home) = (globals.lang(), globals.output(), globals.state()?);
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let file = TermsFile::read(&args.terms, session.vault.id(), lang)?;
    if let Some(dataset) = args.dataset {
        file.is_of(&args.terms, file.terms.act(), &LedgerId::Dataset(dataset), lang)?;
    }
    let mut state = State::of(&mut session, &file.ledger).await?;
    let place = state.place();
    let (hash, proposal) = place.find(&session, &file, &args.terms, args.proposal.as_deref(), lang)?;
    let (author, given): (_, Vec<MemberId>) = (proposal.author.clone(), proposal.approvals.values().cloned().collect());
    let beneficiary = place.beneficiary(&file.terms).cloned();
    let me = session.member_of(&globals.card()?)?;
    if !place.approvers(&session).contains(&me) {
        return Err(match &state {
            State::Dataset(dataset) => not_an_approver(&me, dataset, &session),
            State::Vault | State::Exposure(_) => {
                Failure::refused(format!("{me} is no officer: only officers approve this"))
                    .or_in_chinese(format!("{me} 不是管理员：只有管理员可以批准"))
            }
        });
    }
    let concerned = if author == me {
        Some(("proposed it", "是提案人"))
    } else if beneficiary.as_ref() == Some(&me) {
        Some(("is the one who would profit from it", "是受益人"))
    } else if given.contains(&me) {
        Some(("approved it already", "已批准过"))
    } else {
        None
    };
    if let Some((en, zh)) = concerned {
        return Err(Failure::refused(match lang {
            Lang::En => format!("{me} {en}, and can't approve it"),
            Lang::Zh => format!("{me} {zh}，不能批准"),
        })
        .hint(match lang {
            Lang::En => "another approver has to",
            Lang::Zh => "须由其他批准人批准",
        }));
    }
    place.current(&session, &hash, proposal, beneficiary.as_ref(), lang)?;
    let ground = match (&file.terms, &state) {
        (Terms::Recovered(terms), State::Vault) => {
            recover::check(&mut session, terms).await?;
            None
        }
        (Terms::Released(terms), State::Exposure(exposure)) => {
            Some(subjects::ground(&mut session, exposure, terms, lang).await?)
        }
        _ => None,
    };
    show_terms(globals, &session, &file, &args.terms, &state, ground)?;
    let (mut decision, mut needed) = (None, place.genesis(&session, file.terms.act()));
    if let (Terms::Granted(terms), State::Dataset(dataset), true) =
        (&file.terms, &state, gate::is_gated(&session.vault))
    {
        let answer = gate::foresee(&mut session, &packs, dataset, &terms.member, &terms.facts, lang).await?;
        // Only a steward opens the marks: then the steward's grant finds out, and the approval is of the terms all the same.
        let refusal = answer.refusal(dataset.id(), &terms.member, lang).filter(|_| !answer.marks_may_help);
        if let Some(failure) = refusal {
            out.result(&answer.to_json(lang), || output::printable(&answer.explain(lang)))?;
            return Err(failure);
        }
        // Whatever the options: nobody signs what they were not shown.
        output::warn(&answer.explain(lang));
        needed = answer.approvals;
        decision = Some(answer.to_json(lang));
    }
    let signer = session.signer(globals)?;
    let body = Body::Approved(Approved { proposal: hash });
    let mut owned = match &mut state {
        State::Vault => Owned::Vault,
        State::Dataset(dataset) => Owned::Dataset(dataset),
        State::Exposure(exposure) => Owned::Exposure(ExposureState::clone(exposure)),
    };
    let (entry, _) = owned.append(&mut session, &signer, |_, _| Ok(body.clone())).await?;
    if let Some(sealed) = &file.sealed {
        facts::keep_bytes(&home, &sealed.0)?;
    }
    let approved_by = given.into_iter().chain([me]).collect();
    let act = file.terms.act();
    let dataset = if let LedgerId::Dataset(dataset) = &file.ledger { Some(dataset.clone()) } else { None };
    let done = Done {
        act,
        ledger: file.ledger,
        dataset,
        member: beneficiary,
        proposal: hash,
        approved_by,
        needed,
        decision,
        entry,
    };
    out.result(&done, || text_of(&done, lang))
}

fn text_of(done: &Done, lang: Lang) -> String {
    let (given, needed) = (done.approved_by.len(), done.needed);
    match (&done.dataset, &done.member, lang) {
        (Some(dataset), Some(member), Lang::En) if done.act == GRANTED => {
            format!("approved: {given} of {needed} approvals are there to grant {dataset} to {member}")
        }
        (Some(dataset), Some(member), Lang::Zh) if done.act == GRANTED => {
            format!("已批准：将 {dataset} 授权给 {member} 须 {needed} 人批准，已有 {given} 人")
        }
        (_, _, Lang::En) => {
            format!("approved: {given} of {needed} approvals are there for `{}` in {}", done.act, done.ledger)
        }
        (_, _, Lang::Zh) => {
            format!("已批准：在 {} 中执行 `{}` 须 {needed} 人批准，已有 {given} 人", done.ledger, done.act)
        }
    }
}

/// What would be done, with every answer of a grant's facts. Said whatever the options: nobody signs what they were not shown.
fn show_terms(
    globals: &Globals,
    session: &Session,
    file: &TermsFile,
    path: &std::path::Path,
    state: &State,
    ground: Option<String>,
) -> Outcome<()> {
    let lang = globals.lang();
    let text = match (&file.terms, state) {
        (Terms::Granted(terms), _) => of_grant(file, terms, path, lang)?,
        (Terms::DatasetDeleted(terms), State::Dataset(dataset)) => {
            let what = delete::Doomed::of(session, dataset).text(lang);
            let reason = terms.reason.as_str();
            match lang {
                Lang::En => format!("to be deleted for ever: {}, because: {reason}\n{what}", file.ledger),
                Lang::Zh => format!("拟永久删除：{}，理由：{reason}\n{what}", file.ledger),
            }
        }
        (Terms::CardAdded(terms), _) => {
            let card = Card::parse(&terms.card.0).map_err(|e| not_a_card(path, &e))?;
            let (member, print, label) = (&terms.member, card.fingerprint(), card.label());
            match lang {
                Lang::En => format!(
                    "to be added in the name of {member}: the card {print}  {label}\ncompare the fingerprint with {member} before you approve: whoever has this card reads what is granted to them"
                ),
                Lang::Zh => format!(
                    "拟以 {member} 的名义添加卡片：{print}  {label}\n批准前请与 {member} 核对指纹：持有该卡片者可读取此后授予其的内容"
                ),
            }
        }
        (Terms::Recovered(terms), _) => recover::told(terms, lang),
        (Terms::Released(_), State::Exposure(_)) => ground.ok_or_else(|| {
            Failure::integrity(format!("{}: nothing bears it", path.display()))
                .or_in_chinese(format!("{}：没有依据", path.display()))
        })?,
        _ => {
            return Err(Failure::integrity(format!("{}: the act does not belong into that ledger", path.display()))
                .or_in_chinese(format!("{}：该行为不属于该账本", path.display())));
        }
    };
    output::warn(&text);
    Ok(())
}

fn of_grant(file: &TermsFile, terms: &GrantTerms, path: &std::path::Path, lang: Lang) -> Outcome<String> {
    let until = terms.ends.map_or_else(|| "-".to_owned(), output::time);
    let dataset = if let LedgerId::Dataset(dataset) = &file.ledger { dataset.to_string() } else { String::new() };
    let mut lines = vec![match lang {
        Lang::En => format!("to be granted: {dataset} to {} until {until}", terms.member),
        Lang::Zh => format!("拟授权：{dataset} 授予 {}，至 {until}", terms.member),
    }];
    let grant = match &file.sealed {
        Some(sealed) => Grant::from_both(&terms.facts, &sealed.0),
        None => Grant::from_statement(&terms.facts),
    };
    match grant {
        Ok(grant) => lines.extend(facts::lines(grant.record(), lang).into_iter().map(|line| format!("  {line}"))),
        // Words of a vault without rules.
        Err(_) if !terms.facts.0.contains_key("schema") => {
            lines.push(format!("  {}", Json::Object(terms.facts.0.clone())));
        }
        Err(e) => return Err(facts::stated_failure(&path.display().to_string(), &e, lang)),
    }
    Ok(lines.join("\n"))
}

//! `seqvault waiting`: what waits for second signatures, over all ledgers. Needs no key.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{Digest, EntryHash, LedgerId, MemberId};
use vault_core::ledger::approval::Proposal;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Facts, Info};
use vault_policy::{Grant, Lang};

use super::suspend::names;
use crate::acts::Place;
use crate::error::Outcome;
use crate::facts;
use crate::gate::{self, Packs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::GRANTED;

/// List what waits for approvals
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault waiting\n  seqvault waiting --mine\n\nWhat a proposal says is in its terms file; the vault holds its hash. How many approvals a grant needs is the genesis' number or the rules', whichever is greater; what the rules would ask for some answers of the\nterms and not for others counts as asked for."
)]
pub struct Args {
    /// Only what this identity may approve
    #[arg(long)]
    mine: bool,
}

/// A proposal that waits.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    pub(super) ledger: LedgerId,
    pub(super) proposal: EntryHash,
    pub(super) act: String,
    author: MemberId,
    pub(super) ends: u64,
    pub(super) approved_by: Vec<MemberId>,
    pub(super) needed: u64,
    /// What the genesis alone asks for.
    genesis: u64,
    may_approve: Vec<MemberId>,
    /// Whether what it rests on has changed since: then it can't be carried out.
    outdated: bool,
}

/// Runs the verb.
///
/// # Errors
/// If the vault can't be read.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, packs) = (globals.lang(), Packs::at_hand(globals)?);
    let mut session = Session::open(globals).await?;
    let me = if args.mine { Some(session.member_of(&globals.card()?)?) } else { None };
    let mut waiting = of(&session, Place::Vault);
    for dataset in session.datasets().await? {
        waiting.extend(of_dataset(&mut session, &packs, &dataset, lang).await?);
    }
    let exposures = session.exposures().await?;
    for exposure in exposures.iter() {
        waiting.extend(of(&session, Place::Exposure(exposure)));
    }
    waiting.retain(|one| me.as_ref().is_none_or(|me| one.may_approve.contains(me) && !one.outdated));
    globals.output().result(&waiting, || {
        let rows: Vec<Vec<String>> = waiting.iter().map(|one| row(one, lang)).collect();
        let head = match lang {
            Lang::En => ["LEDGER", "PROPOSAL", "ACT", "BY", "UNTIL", "APPROVED", "MAY APPROVE", ""],
            Lang::Zh => ["账本", "提案", "行为", "提案人", "有效期至", "已批准", "可批准者", ""],
        };
        output::table(&head, &rows)
    })?;
    session.is_complete()
}

fn row(one: &Waiting, lang: Lang) -> Vec<String> {
    let proposal: String = one.proposal.to_string().chars().take(16).collect();
    let note = match (one.outdated, lang) {
        (false, _) => String::new(),
        (true, Lang::En) => "outdated".to_owned(),
        (true, Lang::Zh) => "已失效".to_owned(),
    };
    vec![
        one.ledger.to_string(),
        proposal,
        one.act.clone(),
        one.author.to_string(),
        output::time(one.ends),
        match lang {
            Lang::En => format!("{} of {}", one.approved_by.len(), one.needed),
            Lang::Zh => format!("{}/{}", one.approved_by.len(), one.needed),
        },
        names(&one.may_approve),
        note,
    ]
}

/// What waits in a dataset, with the approvals that rules in force ask for; nothing in one that was deleted.
///
/// # Errors
/// If the store fails.
pub(super) async fn of_dataset(
    session: &mut Session,
    packs: &Packs,
    dataset: &DatasetState,
    lang: Lang,
) -> Outcome<Vec<Waiting>> {
    if dataset.is_deleted() {
        return Ok(Vec::new());
    }
    let mut waiting = of(session, Place::Dataset(dataset));
    for one in waiting.iter_mut().filter(|one| one.act == GRANTED && !one.outdated) {
        let member = dataset.proposals().iter().find(|(hash, _)| **hash == one.proposal);
        let member = member.and_then(|(_, proposal)| proposal.body.member);
        one.needed = one.needed.max(by_rules(session, packs, dataset, member, lang).await?);
    }
    Ok(waiting)
}

/// The approvals that the rules ask for of a grant to whoever the INFO's hash is of, whatever its terms say.
async fn by_rules(
    session: &mut Session,
    packs: &Packs,
    dataset: &DatasetState,
    member: Option<Digest>,
    lang: Lang,
) -> Outcome<u64> {
    if !gate::is_gated(&session.vault) {
        return Ok(0);
    }
    let nothing_said: Facts = facts::split(&Grant::unknown(), lang)?.stated;
    let mut most = 0;
    for member in with_info(session, member) {
        // Facts that can't be read, or a pack that is not at hand, ask for nothing: the decision itself will say so.
        if let Ok(answer) = gate::foresee(session, packs, dataset, &member, &nothing_said, lang).await {
            most = most.max(u64::from(answer.decision.approvals));
        }
    }
    Ok(most)
}

/// The members of whom exactly this is said: whom a proposal is for is known by the hash of it alone.
fn with_info(session: &Session, info: Option<Digest>) -> Vec<MemberId> {
    let at = session.vault.last_seq();
    let said = |id: &MemberId| session.vault.member(id).and_then(|m| m.info_at(at)).map(Info::digest);
    session.vault.members().map(|(id, _)| id).filter(|id| info.is_some() && said(id) == info).cloned().collect()
}

/// What waits in a ledger.
fn of(session: &Session, place: Place<'_>) -> Vec<Waiting> {
    let now = session.at().time;
    let approvers = place.approvers(session);
    let open = place.proposals(session).iter().filter(|(_, proposal)| !proposal.used && proposal.body.ends > now);
    open.map(|(hash, proposal)| {
        let genesis = place.genesis(session, &proposal.body.act);
        Waiting {
            ledger: place.ledger(),
            proposal: *hash,
            act: proposal.body.act.clone(),
            author: proposal.author.clone(),
            ends: proposal.body.ends,
            may_approve: may(session, proposal, &approvers),
            approved_by: proposal.approvals.values().cloned().collect(),
            needed: genesis,
            genesis,
            outdated: !place.still_holds(session, proposal, None),
        }
    })
    .collect()
}

/// Who may approve a proposal. The beneficiary may not; where several members are described alike, nobody can tell here which of them
/// it is, and the terms will.
fn may(session: &Session, proposal: &Proposal, approvers: &[MemberId]) -> Vec<MemberId> {
    let like = with_info(session, proposal.body.member);
    let beneficiary = if let [only] = like.as_slice() { Some(only) } else { None };
    let given: Vec<&MemberId> = proposal.approvals.values().collect();
    let may =
        |member: &&MemberId| **member != proposal.author && !given.contains(member) && Some(*member) != beneficiary;
    approvers.iter().filter(may).cloned().collect()
}

//! `seqvault waiting`: what waits for second signatures, over all datasets. Needs no key.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{EntryHash, LedgerId, MemberId};
use vault_core::ledger::approval::Proposals;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Info, Role};
use vault_policy::Lang;

use super::propose::still_holds;
use super::suspend::names;
use crate::error::Outcome;
use crate::gate;
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// List what waits for approvals
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault waiting\n  seqvault waiting --mine\n\nWhat a proposal says is in its terms file; the vault holds its hash. `needed` is what the vault's genesis asks for: rules in force may ask for more."
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
    act: String,
    author: MemberId,
    pub(super) ends: u64,
    pub(super) approved_by: Vec<MemberId>,
    pub(super) needed: u64,
    may_approve: Vec<MemberId>,
    /// Whether what it rests on has changed since: then it can't be carried out.
    outdated: bool,
}

/// Runs the verb.
///
/// # Errors
/// If the vault can't be read.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let mut session = Session::open(globals).await?;
    let me = if args.mine { Some(session.member_of(&globals.card()?)?) } else { None };
    let mut waiting = of_vault(&session);
    for dataset in session.datasets().await? {
        waiting.extend(of_dataset(&session, &dataset));
    }
    waiting.retain(|one| me.as_ref().is_none_or(|me| one.may_approve.contains(me) && !one.outdated));
    let lang = globals.lang();
    globals.output().result(&waiting, || {
        let rows: Vec<Vec<String>> = waiting.iter().map(|one| row(one, lang)).collect();
        output::table(&["LEDGER", "PROPOSAL", "ACT", "BY", "UNTIL", "APPROVED", "MAY APPROVE", ""], &rows)
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
        format!("{} of {}", one.approved_by.len(), one.needed),
        names(&one.may_approve),
        note,
    ]
}

/// What waits in a dataset.
pub(super) fn of_dataset(session: &Session, dataset: &DatasetState) -> Vec<Waiting> {
    let vault = &session.vault;
    let at = vault.last_seq();
    let approvers: Vec<MemberId> = vault.members_with(Role::Approver, Some(dataset.id()), at).cloned().collect();
    let needed = |act: &str| {
        if act == crate::terms::GRANTED {
            gate::genesis_approvals(vault, dataset)
        } else {
            vault.approvals().dataset_deleted
        }
    };
    let mut waiting = all(session, &dataset.ledger(), dataset.proposals(), &approvers, needed);
    for one in &mut waiting {
        let proposal = dataset.proposals().iter().find(|(hash, _)| **hash == one.proposal);
        one.outdated = proposal.is_some_and(|(_, proposal)| !still_holds(session, dataset, proposal, None));
    }
    waiting
}

fn of_vault(session: &Session) -> Vec<Waiting> {
    let vault = &session.vault;
    let officers: Vec<MemberId> = vault.members_with(Role::Officer, None, vault.last_seq()).cloned().collect();
    let counts = vault.approvals();
    let needed = |act: &str| if act == "recovered" { counts.recovered } else { counts.card_added };
    all(session, &LedgerId::Vault, vault.proposals(), &officers, needed)
}

fn all(
    session: &Session,
    ledger: &LedgerId,
    proposals: &Proposals,
    approvers: &[MemberId],
    needed: impl Fn(&str) -> u64,
) -> Vec<Waiting> {
    let (now, at) = (session.at().time, session.vault.last_seq());
    let digest = |member: &MemberId| session.vault.member(member).and_then(|m| m.info_at(at)).map(Info::digest);
    let open = proposals.iter().filter(|(_, proposal)| !proposal.used && proposal.body.ends > now);
    open.map(|(hash, proposal)| {
        let given: Vec<MemberId> = proposal.approvals.values().cloned().collect();
        // The beneficiary is known by the hash of what is said of them.
        let may = |member: &&MemberId| {
            **member != proposal.author
                && !given.contains(member)
                && (proposal.body.member.is_none() || digest(member) != proposal.body.member)
        };
        Waiting {
            ledger: ledger.clone(),
            proposal: *hash,
            act: proposal.body.act.clone(),
            author: proposal.author.clone(),
            ends: proposal.body.ends,
            may_approve: approvers.iter().filter(may).cloned().collect(),
            approved_by: given,
            needed: needed(&proposal.body.act),
            outdated: false,
        }
    })
    .collect()
}

//! `seqvault propose`: an act that waits for second signatures. The ledger holds its hash, a file for the approvers what it says. Spec 5.1.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use vault_core::ids::{DatasetId, LedgerId, MemberId};
use vault_core::json::B64;
use vault_core::ledger::statement::{CardAddedTerms, DatasetDeletedTerms};
use vault_policy::Lang;

use super::dataset::delete;
use super::grant::Plan;
use super::member::{no_member, read_card};
use super::{recover, subjects};
use crate::acts::{self, How, Owned, Place};
use crate::error::{Failure, Outcome};
use crate::gate::{self, Packs, UseArgs};
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::{DATASET_DELETED, RECOVERED, RELEASED, Terms, TermsFile};

/// Propose a grant or another act that needs second signatures
#[derive(ClapArgs, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  seqvault propose run-42 anna --facts anna-grant.toml\n  (send run-42-anna.terms.json to the approvers, who run `seqvault approve --terms run-42-anna.terms.json`)\n  seqvault grant run-42 anna --terms run-42-anna.terms.json\n  seqvault propose dataset delete run-42 --reason \"retention is over\"\n  seqvault propose member add-key anna --card anna-desktop.card\n\nThe vault shows that something was proposed, by whom and for how long; what, is in the terms file. A change of the dataset's facts, of the member's or of the packs in force makes a new proposal necessary. A dataset whose id is one of the commands above is named behind `--`."
)]
pub struct Args {
    #[command(subcommand)]
    act: Option<Act>,
    /// The dataset
    #[arg(required = true)]
    dataset: Option<DatasetId>,
    /// The member
    #[arg(required = true)]
    member: Option<MemberId>,
    #[command(flatten)]
    r#use: UseArgs,
    #[command(flatten)]
    how: How,
}

/// Acts besides a grant, named as the commands that carry them out.
#[derive(Subcommand, Debug)]
enum Act {
    /// Of a dataset
    Dataset {
        #[command(subcommand)]
        act: DatasetAct,
    },
    /// Of a member
    Member {
        #[command(subcommand)]
        act: MemberAct,
    },
    /// Of counted persons
    Subjects {
        #[command(subcommand)]
        act: SubjectsAct,
    },
    /// Propose to settle a fork or a rollback (officers)
    #[command(
        after_help = "Example:\n  seqvault propose recover dataset/run-42 17 --hash 3f5c..e1\n\nApproved by other officers, it is carried out by the same command without `propose` and with --terms."
    )]
    Recover {
        #[command(flatten)]
        what: recover::What,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Subcommand, Debug)]
enum DatasetAct {
    /// Propose to delete a dataset (stewards)
    #[command(
        after_help = "Example:\n  seqvault propose dataset delete run-42 --reason \"retention is over\"\n  seqvault dataset delete run-42 --terms run-42-delete.terms.json    (once it is approved)"
    )]
    Delete {
        /// The dataset
        dataset: DatasetId,
        /// Why; recorded once it is done, and visible to whoever holds the vault
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Subcommand, Debug)]
enum MemberAct {
    /// Propose to add a card in a member's name (officers)
    #[command(
        after_help = "Example:\n  seqvault propose member add-key anna --card anna-desktop.card\n  seqvault member add-key anna --terms anna-card.terms.json    (once another officer approved)"
    )]
    AddKey {
        /// The member
        member: MemberId,
        /// The new card
        #[arg(long, value_name = "CARD")]
        card: PathBuf,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Subcommand, Debug)]
enum SubjectsAct {
    /// Propose to count persons no more whose data a recipient attests to have destroyed (who reserved, officers)
    #[command(
        after_help = "Example:\n  seqvault propose subjects release run-42 anna\n  seqvault subjects release run-42 --terms run-42-anna-release.terms.json    (once officers approved)"
    )]
    Release {
        /// The dataset
        dataset: DatasetId,
        /// The member who attested it
        member: MemberId,
        /// The reservation's hash or the beginning of it, if there are several
        #[arg(long, value_name = "HASH")]
        reservation: Option<String>,
        #[command(flatten)]
        how: How,
    },
}

/// Runs the verb.
///
/// # Errors
/// If the rules do not allow the grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    match (args.act, args.dataset, args.member) {
        (Some(Act::Dataset { act: DatasetAct::Delete { dataset, reason, how } }), ..) => {
            dataset_delete(globals, dataset, &reason, &how).await
        }
        (Some(Act::Member { act: MemberAct::AddKey { member, card, how } }), ..) => {
            card_added(globals, member, &card, &how).await
        }
        (Some(Act::Subjects { act: SubjectsAct::Release { dataset, member, reservation, how } }), ..) => {
            released(globals, &dataset, &member, reservation.as_deref(), &how).await
        }
        (Some(Act::Recover { what, how }), ..) => recovered(globals, &what, &how).await,
        (None, Some(dataset), Some(member)) => granted(globals, dataset, member, &args.r#use, &args.how).await,
        (None, ..) => Err(Failure::usage("name a dataset and a member").or_in_chinese("请指明数据集和成员")),
    }
}

async fn granted(globals: &Globals, dataset: DatasetId, member: MemberId, asked: &UseArgs, how: &How) -> Outcome<()> {
    let path = how.path(&format!("{dataset}-{member}"))?;
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let mut state = session.dataset(&dataset).await?;
    if session.vault.member(&member).is_none() {
        return Err(no_member(&member));
    }
    let me = session.member_of(&globals.card()?)?;
    if !state.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {dataset}: only stewards propose"))
            .or_in_chinese(format!("{me} 不是 {dataset} 的数据管理者：只有数据管理者可以提案")));
    }
    let plan = Plan::of(globals, &mut session, &packs, &state, &member, asked).await?;
    plan.explain(globals, &dataset)?;
    let needed =
        plan.answer.as_ref().map_or_else(|| gate::genesis_approvals(&session.vault, &state), |answer| answer.approvals);
    let sealed =
        plan.stated.as_ref().and_then(|stated| stated.sealed.as_ref()).map(|sealed| B64(sealed.bytes().to_vec()));
    let file = TermsFile {
        vault: *session.vault.id(),
        ledger: LedgerId::Dataset(dataset),
        terms: Terms::Granted(plan.terms.clone()),
        sealed,
    };
    // Unlocked first: a passphrase that nobody knows leaves no copy behind.
    globals.unlock()?;
    plan.keep(globals, None)?;
    acts::propose(globals, &mut session, Owned::Dataset(&mut state), &file, how, path, needed).await
}

async fn dataset_delete(globals: &Globals, dataset: DatasetId, reason: &str, how: &How) -> Outcome<()> {
    let path = how.path(&format!("{dataset}-delete"))?;
    let reason = delete::reason(reason)?;
    let mut session = Session::open(globals).await?;
    let mut state = session.dataset(&dataset).await?;
    delete::check_steward(globals, &session, &state)?;
    delete::tell(globals, &mut session, &state).await?;
    let needed = Place::Dataset(&state).genesis(&session, DATASET_DELETED);
    let file = TermsFile {
        vault: *session.vault.id(),
        ledger: LedgerId::Dataset(dataset),
        terms: Terms::DatasetDeleted(DatasetDeletedTerms { reason }),
        sealed: None,
    };
    acts::propose(globals, &mut session, Owned::Dataset(&mut state), &file, how, path, needed).await
}

async fn card_added(globals: &Globals, member: MemberId, card: &std::path::Path, how: &How) -> Outcome<()> {
    let path = how.path(&format!("{member}-card"))?;
    let card = read_card(card)?;
    let mut session = Session::open(globals).await?;
    if session.vault.member(&member).is_none() {
        return Err(no_member(&member));
    }
    check_officer(globals, &session)?;
    let terms = CardAddedTerms { card: B64(card.stored().to_vec()), member };
    let needed = Place::Vault.genesis(&session, crate::terms::CARD_ADDED);
    let file =
        TermsFile { vault: *session.vault.id(), ledger: LedgerId::Vault, terms: Terms::CardAdded(terms), sealed: None };
    acts::propose(globals, &mut session, Owned::Vault, &file, how, path, needed).await
}

async fn recovered(globals: &Globals, what: &recover::What, how: &How) -> Outcome<()> {
    let path = how.path("recover")?;
    let mut session = Session::open(globals).await?;
    check_officer(globals, &session)?;
    let terms = what.terms(&mut session).await?;
    globals.output().note(&recover::told(&terms, globals.lang()));
    let needed = Place::Vault.genesis(&session, RECOVERED);
    let file =
        TermsFile { vault: *session.vault.id(), ledger: LedgerId::Vault, terms: Terms::Recovered(terms), sealed: None };
    acts::propose(globals, &mut session, Owned::Vault, &file, how, path, needed).await
}

async fn released(
    globals: &Globals,
    dataset: &DatasetId,
    member: &MemberId,
    reservation: Option<&str>,
    how: &How,
) -> Outcome<()> {
    let path = how.path(&format!("{dataset}-{member}-release"))?;
    let mut session = Session::open(globals).await?;
    let state = session.dataset_even_if_deleted(dataset).await?;
    let (exposure, terms) = subjects::attested(globals, &mut session, &state, member, reservation).await?;
    let needed = Place::Exposure(&exposure).genesis(&session, RELEASED);
    let file = TermsFile {
        vault: *session.vault.id(),
        ledger: LedgerId::Exposure(*exposure.recipient()),
        terms: Terms::Released(terms),
        sealed: None,
    };
    acts::propose(globals, &mut session, Owned::Exposure(exposure), &file, how, path, needed).await
}

fn check_officer(globals: &Globals, session: &Session) -> Outcome<()> {
    let me = session.member_of(&globals.card()?)?;
    if session.vault.is_officer(&me, session.vault.last_seq()) {
        return Ok(());
    }
    Err(Failure::refused(format!("{me} is no officer: only officers propose this"))
        .or_in_chinese(format!("{me} 不是管理员：只有管理员可以提案")))
}

/// A grant without the approvals that it needs.
pub(super) fn needs(dataset: &DatasetId, member: &MemberId, needed: u64, lang: Lang) -> Failure {
    Failure::refused(match lang {
        Lang::En => format!("{needed} approval(s) are needed to grant {dataset} to {member}, and there are none"),
        Lang::Zh => format!("将 {dataset} 授权给 {member} 须 {needed} 人批准，目前没有"),
    })
    .hint(match lang {
        Lang::En => format!("propose it with the same facts: `seqvault propose {dataset} {member} --facts FILE`; once it is approved, grant it with --terms"),
        Lang::Zh => format!("请以相同的事实提案：`seqvault propose {dataset} {member} --facts FILE`；批准后以 --terms 授权"),
    })
}

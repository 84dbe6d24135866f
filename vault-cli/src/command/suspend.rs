//! `seqvault suspend`: grants that rest until they are given anew. Spec 5.3.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, MemberId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Body, Suspended};
use vault_policy::Lang;

use super::grant::is_given;
use super::member::text;
use crate::error::{Failure, Outcome};
use crate::session::Session;
use crate::settings::Globals;

/// Let grants rest until they are given anew (officers, stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault suspend run-42 anna ben --reason \"cooperation changed, approval of the change pending\"\n\nA new `seqvault grant` lifts it. Until a steward rotates, their keys open what is stored already; nothing new is sealed to them."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The members
    #[arg(required = true)]
    members: Vec<MemberId>,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long)]
    reason: String,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    members: Vec<MemberId>,
    entry: u64,
}

/// Runs the verb.
///
/// # Errors
/// If a member has no grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let reason = text("--reason", &args.reason)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    check_grants(&dataset, &args.members)?;
    check_right(globals, &session, &dataset)?;
    let signer = session.signer(globals)?;
    let body = Body::Suspended(Suspended { members: args.members.iter().cloned().collect(), reason });
    let (entry, _) = session.append_always(&signer, &mut dataset, &body).await?;
    let done = Done { dataset: args.dataset, members: args.members, entry };
    globals.output().result(&done, || {
        let names = names(&done.members);
        match globals.lang() {
            Lang::En => format!(
                "suspended on {}: {names}\nnew uploads wait until a steward runs `seqvault rotate {}`; a new `seqvault grant` lifts it",
                done.dataset, done.dataset
            ),
            Lang::Zh => format!(
                "已在 {} 上暂停：{names}\n在数据管理者运行 `seqvault rotate {}` 之前不接受新的上传；重新 `seqvault grant` 即恢复",
                done.dataset, done.dataset
            ),
        }
    })
}

/// Members in one line.
pub(crate) fn names(members: &[MemberId]) -> String {
    members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Each has a grant that can be ended.
pub(super) fn check_grants(dataset: &DatasetState, members: &[MemberId]) -> Outcome<()> {
    match members.iter().find(|member| !is_given(dataset, member)) {
        None => Ok(()),
        Some(member) => Err(Failure::not_found(format!("{member} has no grant on {}", dataset.id()))
            .or_in_chinese(format!("{member} 在 {} 上没有授权", dataset.id()))
            .hints(
                format!("`seqvault dataset show {}` lists the grants", dataset.id()),
                format!("`seqvault dataset show {}` 列出全部授权", dataset.id()),
            )),
    }
}

/// What can be told before a passphrase is asked for: officers and stewards may.
pub(super) fn check_right(globals: &Globals, session: &Session, dataset: &DatasetState) -> Outcome<()> {
    let me = session.member_of(&globals.card()?)?;
    let at = session.vault.last_seq();
    if session.vault.is_officer(&me, at) || dataset.is_steward(&session.vault, &me, at) {
        return Ok(());
    }
    Err(Failure::refused(format!("{me} is neither an officer nor a steward of {}", dataset.id()))
        .or_in_chinese(format!("{me} 既非管理员，也非 {} 的数据管理者", dataset.id())))
}

//! `seqvault agreement accept`: a recipient accepts the agreement that its grant rests on. Spec 5.3.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest, EntryHash};
use vault_core::ledger::statement::{AgreementAccepted, Body};
use vault_policy::Lang;

use crate::error::{Failure, Outcome};
use crate::facts;
use crate::session::{ATTEMPTS, Landed, Session};
use crate::settings::Globals;

/// Accept the agreement on a dataset (recipients)
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Accept an agreement for your current grant; its hash is recorded
    #[command(after_help = "Example:\n  seqvault agreement accept run-42 --document agreement.pdf")]
    Accept {
        /// The dataset
        dataset: DatasetId,
        /// The agreement
        #[arg(long, value_name = "FILE")]
        document: PathBuf,
    },
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    agreement: Digest,
    grant: EntryHash,
    entry: u64,
}

/// Runs the verb.
///
/// # Errors
/// If there is no current grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let Verb::Accept { dataset: id, document } = args.verb;
    let agreement = facts::document_hash(&document)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&id).await?;
    let me = session.member_of(&globals.card()?)?;
    let none = || {
        Failure::refused(format!("{me} has no current grant on {id}: there is nothing to accept"))
            .or_in_chinese(format!("{me} 在 {id} 上没有现行授权：没有可接受的协议"))
    };
    if !dataset.has_grant(&session.vault, &me, session.at()) {
        return Err(none());
    }
    let signer = session.signer(globals)?;
    for _ in 0..ATTEMPTS {
        let grant = dataset.grants().get(&me).map(|grant| grant.entry).ok_or_else(none)?;
        let body = Body::AgreementAccepted(AgreementAccepted { agreement, grant });
        if let Landed::Yes { seq, .. } = session.append(&signer, &mut dataset, body).await? {
            let done = Done { dataset: id, agreement, grant, entry: seq };
            return globals.output().result(&done, || match globals.lang() {
                Lang::En => format!("the agreement {} is accepted for your grant on {}", done.agreement, done.dataset),
                Lang::Zh => format!("已就 {} 的授权接受协议 {}", done.dataset, done.agreement),
            });
        }
    }
    Err(crate::session::busy(&id))
}

//! `seqvault attest`: a recipient says that it destroyed its copies. Spec 5.3.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest, MemberId};
use vault_core::ledger::statement::{Body, DestructionAttested};
use vault_policy::Lang;

use super::member::text;
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::session::Session;
use crate::settings::Globals;

/// Attest that your copies of a dataset are destroyed (recipients; officers for a retired one)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault attest run-42 --scope \"all copies and derived files\" --document certificate.pdf\n\nIt is your word, signed: nobody can check it. The document stays with you; its hash is recorded."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// What was destroyed; recorded, and visible to whoever holds the vault
    #[arg(long)]
    scope: String,
    /// The certificate, whose hash is recorded
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// For a member who is retired (officers)
    #[arg(long, value_name = "MEMBER")]
    member: Option<MemberId>,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    document: Option<Digest>,
    entry: u64,
}

/// Runs the verb.
///
/// # Errors
/// If there never was a grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let scope = text("--scope", &args.scope)?;
    if args.scope.trim().is_empty() {
        return Err(Failure::usage("--scope: say what was destroyed").or_in_chinese("--scope：请写明销毁了什么"));
    }
    let document = args.document.as_deref().map(facts::document_hash).transpose()?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset_even_if_deleted(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    let member = args.member.unwrap_or(me);
    if !dataset.grants().contains_key(&member) {
        return Err(Failure::not_found(format!("{member} never had a grant on {}", args.dataset))
            .or_in_chinese(format!("{member} 从未获得 {} 的授权", args.dataset)));
    }
    let signer = session.signer(globals)?;
    let body = Body::DestructionAttested(DestructionAttested { document, member: member.clone(), scope });
    let (entry, _) = session.append_always(&signer, &mut dataset, &body).await?;
    let done = Done { dataset: args.dataset, member, document, entry };
    globals.output().result(&done, || match globals.lang() {
        Lang::En => format!("{} attests the destruction of its copies of {}", done.member, done.dataset),
        Lang::Zh => format!("{} 声明已销毁其持有的 {} 副本", done.member, done.dataset),
    })
}

//! `seqvault approve`: a second signature, by somebody who has read what it is for. Spec 5.1.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value as Json;
use vault_core::ids::{DatasetId, EntryHash, MemberId};
use vault_core::ledger::statement::{Approved, Body, Role};
use vault_policy::{Grant, Lang};

use super::dataset::not_an_approver;
use super::propose;
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::gate::{self, Packs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::TermsFile;

/// Approve what was proposed (approvers who neither proposed it nor profit from it)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault approve run-42 --terms run-42-anna.terms.json\n\nIt shows the terms and what the rules decide on them, and checks that they are those that the proposal names, before it asks for a passphrase."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The proposal's hash, or the beginning of it; without it, the one for the terms
    proposal: Option<String>,
    /// The terms file of `propose`
    #[arg(long, value_name = "FILE")]
    terms: PathBuf,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    proposal: EntryHash,
    approved_by: Vec<MemberId>,
    needed: u64,
    decision: Option<Json>,
    entry: u64,
}

/// Runs the verb.
///
/// # Errors
/// If the terms are not the proposal's, the caller may not approve it, or the rules do not allow it.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, out, home) = (globals.lang(), globals.output(), globals.state()?);
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let file = TermsFile::read(&args.terms, session.vault.id(), &args.dataset, lang)?;
    let (hash, proposal) = propose::find(&session, &dataset, &file, &args.terms, args.proposal.as_deref(), lang)?;
    let me = session.member_of(&globals.card()?)?;
    if !session.vault.has_role(Role::Approver, Some(&args.dataset), &me, session.vault.last_seq()) {
        return Err(not_an_approver(&me, &dataset, &session));
    }
    let concerned = if proposal.author == me {
        Some(("proposed it", "是提案人"))
    } else if *file.member() == me {
        Some(("is the one who would profit from it", "是受益人"))
    } else if proposal.approvals.values().any(|member| *member == me) {
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
    propose::current(&session, &dataset, &hash, proposal, file.member(), lang)?;
    let given: Vec<MemberId> = proposal.approvals.values().cloned().collect();
    show_terms(globals, &file, &home)?;
    let (mut decision, mut needed) = (None, gate::genesis_approvals(&session.vault, &dataset));
    if gate::is_gated(&session.vault) {
        let answer = gate::foresee(&mut session, &packs, &dataset, file.member(), &file.terms.facts, lang).await?;
        // Only a steward opens the marks: then the steward's grant finds out, and the approval is of the terms all the same.
        let refusal = answer.refusal(&args.dataset, file.member(), lang).filter(|_| !answer.marks_may_help);
        if let Some(failure) = refusal {
            out.result(&answer.to_json(lang), || output::printable(&answer.explain(lang)))?;
            return Err(failure);
        }
        out.note(&answer.explain(lang));
        needed = answer.approvals;
        decision = Some(answer.to_json(lang));
    }
    let signer = session.signer(globals)?;
    let body = Body::Approved(Approved { proposal: hash });
    let (entry, _) = session.append_always(&signer, &mut dataset, &body).await?;
    if let Some(sealed) = &file.sealed {
        facts::keep_bytes(&home, &sealed.0)?;
    }
    let approved_by = given.into_iter().chain([me]).collect();
    let done =
        Done { dataset: args.dataset, member: file.terms.member, proposal: hash, approved_by, needed, decision, entry };
    out.result(&done, || match lang {
        Lang::En => format!(
            "approved: {} of {} approvals are there to grant {} to {}",
            done.approved_by.len(),
            done.needed,
            done.dataset,
            done.member
        ),
        Lang::Zh => format!(
            "已批准：将 {} 授权给 {} 须 {} 人批准，已有 {} 人",
            done.dataset,
            done.member,
            done.needed,
            done.approved_by.len()
        ),
    })
}

/// Who gets what until when, and every answer of the facts.
fn show_terms(globals: &Globals, file: &TermsFile, home: &crate::state::StateFolder) -> Outcome<()> {
    let lang = globals.lang();
    let until = file.terms.ends.map_or_else(|| "-".to_owned(), output::time);
    let mut lines = vec![match lang {
        Lang::En => format!("to be granted: {} to {} until {until}", file.dataset, file.member()),
        Lang::Zh => format!("拟授权：{} 授予 {}，至 {until}", file.dataset, file.member()),
    }];
    let grant = match &file.sealed {
        Some(sealed) => Grant::from_both(&file.terms.facts, &sealed.0),
        None => Grant::from_statement(&file.terms.facts),
    };
    match grant {
        Ok(grant) => lines.extend(facts::lines(grant.record(), lang).into_iter().map(|line| format!("  {line}"))),
        // Words of a vault without rules.
        Err(_) if !file.terms.facts.0.contains_key("schema") => {
            lines.push(format!("  {}", Json::Object(file.terms.facts.0.clone())));
        }
        Err(e) => return Err(facts::stated_failure(&home.path().display().to_string(), &e, lang)),
    }
    globals.output().note(&lines.join("\n"));
    Ok(())
}

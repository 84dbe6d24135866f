//! `seqvault decide`: the rules' answer without acting: every rule that fired, its sources, the facts behind it, what is missing.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value as Json;
use vault_core::ids::{DatasetId, MemberId};
use vault_core::ledger::statement::Facts;
use vault_policy::gate::{Exposure, Place, Stated};
use vault_policy::ledger::{ToReserve, export_ledger, in_force, recipient_ledger};
use vault_policy::{Case, Dataset, Lang, Member, Pack, decide as ask_rules};

use super::member::no_member;
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::gate::{self, Answer, Packs, UseArgs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// Ask the rules whether a dataset may be granted, without granting it
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault decide run-42 anna --facts anna-grant.toml\n  seqvault decide run-42 anna --lang zh --json\n  seqvault decide run-42 newcomer --member-facts newcomer.toml --pack cn-sequencing\n\nExit code 0: allowed; 4: blocked or denied, and the answer says by which rules. On a folder or a bucket it needs no identity and no passphrase; on a server reads are signed, so that the passphrase is asked for.\nWithout --facts it asks about the grant that the member has."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The member
    member: MemberId,
    #[command(flatten)]
    r#use: UseArgs,
    /// Show only what stands in the way
    #[arg(long)]
    missing: bool,
    /// What if the dataset had these facts
    #[arg(long, value_name = "FILE")]
    dataset_facts: Option<PathBuf>,
    /// What if the member had these; it need not be enrolled
    #[arg(long, value_name = "FILE")]
    member_facts: Option<PathBuf>,
    /// What if the dataset were of this level
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5))]
    level: Option<u64>,
    /// What if these packs, and no others, were in force: a name, or a file; again for several
    #[arg(long, value_name = "PACK")]
    pack: Vec<String>,
}

#[derive(Serialize)]
struct Shown {
    dataset: DatasetId,
    member: MemberId,
    level: u64,
    packs: Vec<String>,
    /// Whether something was asked that is not so: other facts, level or packs.
    what_if: bool,
    #[serde(flatten)]
    decision: Json,
}

/// Runs the verb.
///
/// # Errors
/// If the rules do not allow it, or can't be asked.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let lang = globals.lang();
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let dataset = session.dataset(&args.dataset).await?;
    if args.member_facts.is_none() && session.vault.member(&args.member).is_none() {
        return Err(no_member(&args.member));
    }
    let standing = dataset.grants().get(&args.member).map(|grant| grant.facts.clone());
    let facts = match standing {
        Some(facts) if args.r#use.is_empty() && !facts.0.is_empty() => facts,
        _ => args.r#use.read(lang)?.split([0; 32]).map_err(|e| facts::stated_failure("facts", &e, lang))?.stated,
    };
    let what_if =
        args.dataset_facts.is_some() || args.member_facts.is_some() || args.level.is_some() || !args.pack.is_empty();
    if !what_if && !gate::is_gated(&session.vault) {
        return Err(Failure::usage(match lang {
            Lang::En => "no rule pack is in force in this vault: nothing is checked before a key is sealed",
            Lang::Zh => "本保险库没有生效的规则包：封装密钥前不作任何检查",
        })
        .hint(match lang {
            Lang::En => "--pack NAME asks as if one were; an officer sets one with `seqvault pack set cn-sequencing`",
            Lang::Zh => "--pack NAME 可按假定生效的规则包判定；管理员以 `seqvault pack set cn-sequencing` 使其生效",
        }));
    }
    let (answer, named) = if what_if {
        imagined(globals, &mut session, &packs, &dataset, &args, &facts).await?
    } else {
        let named = gate::in_force(&session.vault).into_iter().map(|(name, _)| name).collect();
        (gate::foresee(&mut session, &packs, &dataset, &args.member, &facts, lang).await?, named)
    };
    let refusal = answer.refusal(&args.dataset, &args.member, lang);
    let shown = Shown {
        level: args.level.unwrap_or(dataset.level()),
        dataset: args.dataset,
        member: args.member,
        packs: named,
        what_if,
        decision: answer.to_json(lang),
    };
    globals.output().result(&shown, || {
        output::printable(&if args.missing { answer.missing(lang) } else { answer.explain(lang) })
    })?;
    refusal.map_or(Ok(()), |failure| Err(failure.no_hint()))
}

/// Decides on what is imagined: all persons of the dataset count as new for the recipient.
async fn imagined(
    globals: &Globals,
    session: &mut Session,
    packs: &Packs,
    dataset: &vault_core::ledger::dataset::DatasetState,
    args: &Args,
    grant: &Facts,
) -> Outcome<(Answer, Vec<String>)> {
    let lang = globals.lang();
    let failed = |what: &str, e| facts::stated_failure(what, &e, lang);
    let of_dataset = match &args.dataset_facts {
        Some(path) => {
            let read: Dataset = facts::read(path, lang)?;
            read.split([0; 32]).map_err(|e| failed("facts", e))?.stated
        }
        None => dataset.facts().clone(),
    };
    let stated = Stated::dataset(&of_dataset).map_err(|e| failed(args.dataset.as_str(), e))?;
    let member = match &args.member_facts {
        Some(path) => {
            let read: Member = facts::read(path, lang)?;
            Stated::stranger(&read.split([0; 32]).map_err(|e| failed("facts", e))?.stated)
        }
        None => {
            let info = session.vault.member(&args.member).and_then(|member| member.info_at(session.vault.last_seq()));
            Stated::member(info.ok_or_else(|| no_member(&args.member))?)
        }
    }
    .map_err(|e| failed(args.member.as_str(), e))?;
    let grant = Stated::grant(grant).map_err(|e| failed("grant", e))?;
    let named = args
        .pack
        .iter()
        .map(|name| super::pack::find(packs, name, lang).map(|found| found.pack))
        .collect::<Outcome<Vec<Pack>>>()?;
    let asked: Vec<&Pack> = if named.is_empty() {
        in_force(&session.vault, session.vault.last_seq(), packs.as_slice()).map_err(|e| gate::refused(&e, lang))?
    } else {
        named.iter().collect()
    };
    let now = session.at().time;
    let (recipient, export) = (recipient_ledger(member.facts()), export_ledger(stated.facts(), now, &asked));
    let exposures = session.exposures_to_decide(&recipient.into_iter().chain(export).collect()).await?;
    let count = stated.facts().record().number("subjects.count");
    let total = |ledger: Option<vault_core::ids::Digest>| {
        let before = exposures.of(&ledger?).map_or(0, vault_core::ledger::exposure::ExposureState::total);
        Some(before.saturating_add(count?))
    };
    let case = Case {
        place: Place { dataset: dataset.id(), member: &args.member, reservation: None, export: None },
        dataset: &stated,
        member: &member,
        grant: &grant,
        level: u8::try_from(args.level.unwrap_or(dataset.level())).unwrap_or(u8::MAX),
        grade_confirmed: dataset.confirmed().is_some() && args.dataset_facts.is_none() && args.level.is_none(),
        exposure: Exposure { recipient: total(recipient), exported_this_year: total(export) },
        now,
    };
    let decision = ask_rules(&case, &asked);
    let approvals = u64::from(decision.approvals);
    let names = asked.iter().map(|pack| pack.name().to_owned()).collect();
    Ok((Answer { decision, approvals, reserve: ToReserve::default(), marks_may_help: false }, names))
}

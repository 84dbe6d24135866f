//! `seqvault propose`: a grant that waits for second signatures. The ledger holds its hash, a file for the approvers what it says. Spec 5.1.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, EntryHash, MemberId};
use vault_core::json::B64;
use vault_core::ledger::approval::Proposal;
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::statement::{Approval, Body, Info, Proposed, Role};
use vault_policy::Lang;

use super::grant::Plan;
use super::member::no_member;
use super::suspend::names;
use crate::error::{Failure, Outcome};
use crate::gate::{self, Packs, UseArgs};
use crate::output;
use crate::session::{ATTEMPTS, Landed, Session};
use crate::settings::Globals;
use crate::terms::{self, GRANTED, TermsFile};

const DAY: u64 = 86_400;

/// Propose a grant that needs second signatures (stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Example:\n  seqvault propose run-42 anna --facts anna-grant.toml\n  (send run-42-anna.terms.json to the approvers, who run `seqvault approve run-42 --terms run-42-anna.terms.json`)\n  seqvault grant run-42 anna --terms run-42-anna.terms.json\n\nThe vault shows that something was proposed, by whom and for how long; what, is in the terms file. A change of the dataset's facts, of the member's or of the packs in force makes a new proposal necessary."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The member
    member: MemberId,
    #[command(flatten)]
    r#use: UseArgs,
    /// Days after which the proposal ends
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=366))]
    valid: u64,
    /// Where the terms file goes [default: DATASET-MEMBER.terms.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    proposal: EntryHash,
    ends: u64,
    approvals: u64,
    may_approve: Vec<MemberId>,
    terms: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// If the rules do not allow the grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    let path = args.out.unwrap_or_else(|| PathBuf::from(format!("{}-{}.terms.json", args.dataset, args.member)));
    if path.exists() {
        return Err(Failure::new(crate::error::Kind::Conflict, format!("{} is there already", path.display()))
            .hint("name another with --out"));
    }
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    if session.vault.member(&args.member).is_none() {
        return Err(no_member(&args.member));
    }
    let me = session.member_of(&globals.card()?)?;
    if !dataset.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {}: only stewards propose", args.dataset)));
    }
    let plan = Plan::of(globals, &mut session, &packs, &dataset, &args.member, &args.r#use).await?;
    plan.explain(globals, &args.dataset)?;
    let needed = plan
        .answer
        .as_ref()
        .map_or_else(|| gate::genesis_approvals(&session.vault, &dataset), |answer| answer.approvals);
    let may_approve = approvers(&session, &dataset, &[&me, &args.member]);
    if (may_approve.len() as u64) < needed {
        out.note(&too_few(&args.dataset, needed, &may_approve, lang));
    }
    let sealed =
        plan.stated.as_ref().and_then(|stated| stated.sealed.as_ref()).map(|sealed| B64(sealed.bytes().to_vec()));
    let file = TermsFile {
        act: GRANTED.to_owned(),
        vault: *session.vault.id(),
        dataset: args.dataset.clone(),
        terms: plan.terms.clone(),
        sealed,
    };
    let signer = session.signer(globals)?;
    plan.keep(globals, None)?;
    // First, so that nothing is proposed whose terms nobody has.
    file.write(&path)?;
    let ends = session.at().time.saturating_add(args.valid.saturating_mul(DAY));
    let proposal = match append(&mut session, &signer, &mut dataset, &file, ends).await {
        Ok(proposal) => proposal,
        Err(failure) => {
            let _ = std::fs::remove_file(&path);
            return Err(failure);
        }
    };
    let done = Done {
        dataset: args.dataset,
        member: args.member,
        proposal,
        ends,
        approvals: needed,
        may_approve,
        terms: path,
    };
    out.result(&done, || {
        let (who, terms, until) = (names(&done.may_approve), done.terms.display(), output::time(done.ends));
        match lang {
            Lang::En => format!(
                "proposed until {until}: {}\n{} approval(s) are needed; may approve: {who}\nsend them {terms}, on a way of your own: the vault holds its hash only",
                done.proposal, done.approvals
            ),
            Lang::Zh => format!(
                "已提案，有效期至 {until}：{}\n须 {} 人批准；可批准者：{who}\n请自行将 {terms} 交给批准人：保险库中只有其散列值",
                done.proposal, done.approvals
            ),
        }
    })
}

async fn append(
    session: &mut Session,
    signer: &crate::session::Signer,
    dataset: &mut DatasetState,
    file: &TermsFile,
    ends: u64,
) -> Outcome<EntryHash> {
    for _ in 0..ATTEMPTS {
        let at = session.vault.last_seq();
        let info = session.vault.member(file.member()).and_then(|member| member.info_at(at));
        let body = Body::Proposed(Proposed {
            act: GRANTED.to_owned(),
            ends,
            facts: Some(dataset.facts().digest()),
            member: info.map(Info::digest),
            pack: session.vault.pack_at(at),
            terms: file.digest(),
        });
        if let Landed::Yes { hash, .. } = session.append(signer, dataset, body).await? {
            return Ok(hash);
        }
    }
    Err(Failure::new(crate::error::Kind::Conflict, format!("{}: others were first {ATTEMPTS} times", dataset.id()))
        .hint("run the same command again"))
}

/// The approvers of a dataset but some.
fn approvers(session: &Session, dataset: &DatasetState, but: &[&MemberId]) -> Vec<MemberId> {
    let at = session.vault.last_seq();
    let all = session.vault.members_with(Role::Approver, Some(dataset.id()), at);
    all.filter(|member| !but.contains(member)).cloned().collect()
}

fn too_few(dataset: &DatasetId, needed: u64, who: &[MemberId], lang: Lang) -> String {
    match lang {
        Lang::En => format!(
            "warning: {needed} approval(s) are needed and {} approver(s) could give one: an officer names more with `seqvault member role MEMBER approver --dataset {dataset}`",
            who.len()
        ),
        Lang::Zh => format!(
            "警告：须 {needed} 人批准，而可批准者只有 {} 人：管理员可用 `seqvault member role MEMBER approver --dataset {dataset}` 增加",
            who.len()
        ),
    }
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

/// The approvals that a proposal has.
pub(super) struct Approvals {
    /// As the grant names them.
    pub(super) approval: Approval,
    by: Vec<MemberId>,
    /// Those who can't approve: its author and the beneficiary.
    concerned: Vec<MemberId>,
}

impl Approvals {
    /// Who approved.
    pub(super) fn members(&self) -> Vec<MemberId> {
        self.by.clone()
    }

    /// Whether they are enough.
    pub(super) fn suffice(
        &self,
        session: &Session,
        dataset: &DatasetState,
        me: &MemberId,
        needed: u64,
        lang: Lang,
    ) -> Outcome<()> {
        if self.by.len() as u64 >= needed {
            return Ok(());
        }
        let mut but: Vec<&MemberId> = self.concerned.iter().chain(&self.by).collect();
        but.push(me);
        let missing = names(&approvers(session, dataset, &but));
        let by = names(&self.by);
        Err(Failure::refused(match lang {
            Lang::En => {
                format!("{} of {needed} approvals are there ({by}); may still approve: {missing}", self.by.len())
            }
            Lang::Zh => format!("须 {needed} 人批准，已有 {} 人（{by}）；尚可批准者：{missing}", self.by.len()),
        })
        .hint(match lang {
            Lang::En => format!("they run `seqvault approve {} {} --terms FILE`", dataset.id(), self.approval.proposal),
            Lang::Zh => format!("由其运行 `seqvault approve {} {} --terms FILE`", dataset.id(), self.approval.proposal),
        }))
    }
}

/// The approvals that count for an act of `me`, of the proposal with these terms.
pub(super) fn approvals(
    session: &Session,
    dataset: &DatasetState,
    file: &TermsFile,
    path: &Path,
    named: Option<&str>,
    me: &MemberId,
    lang: Lang,
) -> Outcome<Approvals> {
    let (hash, proposal) = find(session, dataset, file, path, named, lang)?;
    current(session, dataset, &hash, proposal, file.member(), lang)?;
    let at = session.vault.last_seq();
    let counts = |member: &MemberId| {
        *member != proposal.author
            && member != me
            && member != file.member()
            && session.vault.has_role(Role::Approver, Some(dataset.id()), member, at)
    };
    let given: Vec<(&EntryHash, &MemberId)> = proposal.approvals.iter().filter(|(_, member)| counts(member)).collect();
    Ok(Approvals {
        approval: Approval { approvals: given.iter().map(|(entry, _)| **entry).collect(), proposal: hash },
        by: given.into_iter().map(|(_, member)| member.clone()).collect(),
        concerned: vec![proposal.author.clone(), file.member().clone()],
    })
}

/// The proposal that is named, or the newest for these terms.
pub(super) fn find<'a>(
    session: &Session,
    dataset: &'a DatasetState,
    file: &TermsFile,
    path: &Path,
    named: Option<&str>,
    lang: Lang,
) -> Outcome<(EntryHash, &'a Proposal)> {
    if let Some(text) = named {
        let (hash, proposal) = terms::find(dataset.proposals().iter(), text, dataset.id())?;
        file.check(path, &hash, proposal, lang)?;
        return Ok((hash, proposal));
    }
    let now = session.at().time;
    let fits = |proposal: &&Proposal| proposal.body.act == file.act && proposal.body.terms == file.digest();
    let of = dataset.proposals().iter().filter(|(_, proposal)| fits(proposal));
    let best = of.max_by_key(|(_, proposal)| (!proposal.used && proposal.body.ends > now, proposal.body.ends));
    best.map(|(hash, proposal)| (*hash, proposal)).ok_or_else(|| {
        Failure::not_found(match lang {
            Lang::En => format!("{}: {} has no proposal for these terms", path.display(), dataset.id()),
            Lang::Zh => format!("{}：{} 没有与这些条款对应的提案", path.display(), dataset.id()),
        })
        .hint("`seqvault waiting` lists those that wait")
    })
}

/// Whether a proposal can still be approved and carried out.
pub(super) fn current(
    session: &Session,
    dataset: &DatasetState,
    hash: &EntryHash,
    proposal: &Proposal,
    member: &MemberId,
    lang: Lang,
) -> Outcome<()> {
    let at = session.at();
    let said = if proposal.used {
        ("was carried out already", "已执行")
    } else if proposal.body.ends <= at.time {
        ("has ended", "已过期")
    } else if !still_holds(session, dataset, proposal, Some(member)) {
        (
            "does not hold any more: the dataset's facts or level, the member's facts or the packs in force changed since",
            "已失效：此后数据集事实或级别、成员事实或生效的规则包有变更",
        )
    } else {
        return Ok(());
    };
    Err(Failure::refused(match lang {
        Lang::En => format!("proposal {hash} {}", said.0),
        Lang::Zh => format!("提案 {hash} {}", said.1),
    })
    .hint(match lang {
        Lang::En => "propose it anew",
        Lang::Zh => "请重新提案",
    }))
}

/// Whether the hashes that a proposal names are the present ones; the beneficiary's is left out where nobody knows who it is.
pub(super) fn still_holds(
    session: &Session,
    dataset: &DatasetState,
    proposal: &Proposal,
    member: Option<&MemberId>,
) -> bool {
    let at = session.vault.last_seq();
    let info = |member: &MemberId| session.vault.member(member).and_then(|m| m.info_at(at)).map(Info::digest);
    proposal.body.facts == Some(dataset.facts().digest())
        && proposal.seq > dataset.facts_seq()
        && proposal.body.pack == session.vault.pack_at(at)
        && member.is_none_or(|member| proposal.body.member == info(member))
}

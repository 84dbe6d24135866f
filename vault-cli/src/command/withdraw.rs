//! `seqvault withdraw`: consent withdrawn or purpose over: grants are suspended at once, and what has to follow is led through. Spec 5.3.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantOrigin, GrantStatus, Progress, Rekeyed, Withdrawal};
use vault_core::ledger::statement::{Body, ConsentWithdrawn, Text};
use vault_policy::{Dataset as Facts, Lang};

use super::grant::is_given;
use super::member::text;
use super::suspend::{check_grants, check_right, names};
use crate::error::{Failure, Outcome};
use crate::output;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;

/// State that consent was withdrawn or the purpose is over; suspends grants at once (officers, stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault withdraw run-42 --reason \"consent withdrawn by the participants\"\n  seqvault withdraw run-42 anna --reason \"purpose reached\"\n  seqvault withdraw run-42 --status\n\nWithout members it suspends every grant but those of stewards. Three facts are shown for each member, because none implies another: the header is revoked (no key that is still needed is sealed to it), the body is re-keyed (new keys and bytes), destruction is attested (the member's own word)."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Only these members
    #[arg(conflicts_with = "status")]
    members: Vec<MemberId>,
    /// Why; recorded, and visible to whoever holds the vault: name no patient
    #[arg(long, required_unless_present = "status")]
    reason: Option<String>,
    /// The persons that it concerns: the hash of a set of marks, as `seqvault subjects mark` prints it
    #[arg(long, value_name = "HASH", conflicts_with = "status")]
    subjects: Option<Digest>,
    /// Show what has followed
    #[arg(long)]
    status: bool,
}

/// A withdrawal and what has followed.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) entry: u64,
    pub(super) time: u64,
    author: MemberId,
    pub(super) reason: String,
    subjects: Option<Digest>,
    pub(super) members: Vec<Followed>,
    /// Whether all three facts have followed for each member.
    pub(super) finished: bool,
    /// Whether what it concerns is still kept, as far as the ledger tells; of a deleted dataset, whether its objects are, where the store is asked.
    pub(super) kept: bool,
}

/// The three facts of a member.
#[derive(Debug, Serialize)]
pub(super) struct Followed {
    pub(super) member: MemberId,
    granted_again: bool,
    header_revoked: bool,
    bodies_rekeyed: u64,
    bodies: u64,
    destruction_attested: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    suspended: Vec<MemberId>,
    entry: u64,
    next: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// If a member has no grant, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let lang = globals.lang();
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset_even_if_deleted(&args.dataset).await?;
    if args.status {
        let mut shown = shown(&dataset);
        let is_left = dataset.is_deleted() && session.client.objects_of(&args.dataset).await?.is_some_and(|n| n > 0);
        for one in &mut shown {
            one.kept |= is_left;
        }
        return globals.output().result(&shown, || {
            if shown.is_empty() {
                return match lang {
                    Lang::En => format!("{}: no withdrawal", args.dataset),
                    Lang::Zh => format!("{}：没有撤回", args.dataset),
                };
            }
            output::printable(&shown.iter().map(|one| lines(one, lang)).collect::<Vec<_>>().join("\n"))
        });
    }
    if let Some(failure) = crate::session::deleted(&dataset) {
        return Err(failure);
    }
    let reason = text("--reason", args.reason.as_deref().unwrap_or_default())?;
    if reason.as_str().trim().is_empty() {
        return Err(Failure::usage("--reason: say why").or_in_chinese("--reason：请写明理由"));
    }
    let subjects = args.subjects;
    check_grants(&dataset, &args.members)?;
    check_right(globals, &session, &dataset)?;
    let everybody = args.members.is_empty();
    let members = if everybody { self::everybody(&session, &dataset) } else { args.members };
    globals.output().note(&match lang {
        Lang::En => {
            format!("will be suspended: {}", if members.is_empty() { "nobody".to_owned() } else { names(&members) })
        }
        Lang::Zh => format!("将暂停：{}", if members.is_empty() { "无".to_owned() } else { names(&members) }),
    });
    let signer = session.signer(globals)?;
    let named = (!everybody).then_some(members);
    let (entry, suspended) = state(&mut session, &signer, &mut dataset, named, reason, subjects).await?;
    let done = Done { next: next(&args.dataset, lang), dataset: args.dataset, suspended, entry };
    globals.output().result(&done, || {
        let mut text = match lang {
            Lang::En => format!(
                "withdrawn on {}; suspended at once: {}\nwhat has to follow:",
                done.dataset,
                names(&done.suspended)
            ),
            Lang::Zh => format!("{} 已登记撤回；即时暂停：{}\n后续须完成：", done.dataset, names(&done.suspended)),
        };
        for step in &done.next {
            text.push_str(&format!("\n  {step}"));
        }
        text
    })
}

/// Says it, of those named or of everybody who has a grant at that moment: one that landed meanwhile is suspended with the others.
async fn state(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    named: Option<Vec<MemberId>>,
    reason: Text,
    subjects: Option<Digest>,
) -> Outcome<(u64, Vec<MemberId>)> {
    for _ in 0..ATTEMPTS {
        let members = named.clone().unwrap_or_else(|| everybody(session, dataset));
        let body = ConsentWithdrawn { members: members.iter().cloned().collect(), reason: reason.clone(), subjects };
        if let Landed::Yes { seq, .. } = session.append(signer, dataset, Body::ConsentWithdrawn(body)).await? {
            return Ok((seq, members));
        }
    }
    Err(crate::session::busy(dataset.id()))
}

/// Everybody with a grant who is no steward.
fn everybody(session: &Session, dataset: &DatasetState) -> Vec<MemberId> {
    let at = session.vault.last_seq();
    let given = dataset.grants().keys().filter(|member| is_given(dataset, member));
    given.filter(|member| !dataset.is_steward(&session.vault, member, at)).cloned().collect()
}

fn next(id: &DatasetId, lang: Lang) -> Vec<String> {
    match lang {
        Lang::En => vec![
            format!(
                "seqvault rotate {id} --reencrypt       a steward: no key that is still needed stays with them, and new keys and bytes"
            ),
            format!(
                "seqvault rm {id} PATTERN               a steward: what the withdrawal concerns goes out of view, and is deleted by `doctor --repair`"
            ),
            format!(
                "seqvault dataset amend {id} --facts …  a steward: the facts say so (consent.withdrawn, consent.purpose_over)"
            ),
            format!(
                "seqvault dataset delete {id} --reason … instead of these, where nothing of it may be kept: a steward; for ever"
            ),
            format!("seqvault attest {id} --scope …         each of them: its copies are destroyed"),
            format!("seqvault withdraw {id} --status        what has followed; `seqvault due` names what has not"),
        ],
        Lang::Zh => vec![
            format!("seqvault rotate {id} --reencrypt       数据管理者：收回仍在使用的密钥，并更换文件密钥和密文"),
            format!("seqvault rm {id} PATTERN               数据管理者：移除撤回所涉文件，由 `doctor --repair` 删除"),
            format!(
                "seqvault dataset amend {id} --facts …  数据管理者：在事实中写明（consent.withdrawn、consent.purpose_over）"
            ),
            format!("seqvault dataset delete {id} --reason … 数据管理者：全部不得保存时，以永久删除代替以上各步"),
            format!("seqvault attest {id} --scope …         各接收方：声明副本已销毁"),
            format!("seqvault withdraw {id} --status        查看进展；`seqvault due` 列出未完成事项"),
        ],
    }
}

/// The withdrawals of a dataset.
pub(super) fn shown(dataset: &DatasetState) -> Vec<Shown> {
    let one = |withdrawal: &Withdrawal| {
        let followed: Vec<_> = dataset.withdrawal_progress(withdrawal).map(|of| if_deleted(dataset, of)).collect();
        Shown {
            entry: withdrawal.seq,
            time: withdrawal.time,
            author: withdrawal.author.clone(),
            reason: withdrawal.reason.clone(),
            subjects: withdrawal.subjects,
            kept: is_kept(dataset, withdrawal),
            finished: followed.iter().all(|(_, progress)| progress.is_finished()),
            members: followed
                .into_iter()
                .map(|(member, progress)| Followed {
                    member: member.clone(),
                    granted_again: progress.granted_again,
                    header_revoked: progress.header_revoked,
                    bodies_rekeyed: progress.rekeyed.done,
                    bodies: progress.rekeyed.all,
                    destruction_attested: progress.destroyed.is_some(),
                })
                .collect(),
        }
    };
    dataset.withdrawals().iter().map(one).collect()
}

/// With the dataset its headers and bodies are gone; what a member has of it is not.
fn if_deleted<'a>(dataset: &DatasetState, (member, progress): (&'a MemberId, Progress)) -> (&'a MemberId, Progress) {
    if !dataset.is_deleted() {
        return (member, progress);
    }
    (member, Progress { granted_again: false, header_revoked: true, rekeyed: Rekeyed { done: 0, all: 0 }, ..progress })
}

/// Whether nobody has seen yet to what a withdrawal concerns: the dataset is there, and its facts are those from before, or say themselves
/// that it may be kept no longer. One that spared another recipient ends a purpose with some, and asks nobody to delete.
fn is_kept(dataset: &DatasetState, withdrawal: &Withdrawal) -> bool {
    if dataset.is_deleted() {
        return false;
    }
    let spared = dataset.grants().iter().any(|(member, grant)| {
        let stood = match grant.status {
            GrantStatus::Given => true,
            GrantStatus::Revoked { seq } => seq > withdrawal.seq,
            GrantStatus::Suspended => false,
        };
        let given = grant.origin == GrantOrigin::Granted && grant.seq < withdrawal.seq;
        given && stood && !withdrawal.members.contains(member)
    });
    if spared && withdrawal.subjects.is_none() {
        return false;
    }
    if dataset.facts_seq() <= withdrawal.seq {
        return true;
    }
    let over = ["consent.withdrawn", "consent.purpose_over"];
    Facts::from_statement(dataset.facts())
        .is_ok_and(|facts| over.iter().any(|field| facts.record().flag(field).is_yes()))
}

/// A withdrawal for people.
pub(super) fn lines(one: &Shown, lang: Lang) -> String {
    let (time, reason) = (output::time(one.time), &one.reason);
    let mut lines = vec![match lang {
        Lang::En => format!("withdrawn {time}: {reason} (by the ledger)"),
        Lang::Zh => format!("撤回于 {time}：{reason}（依账本）"),
    }];
    for member in &one.members {
        lines.push(format!("  {}: {}", member.member, three(member, lang)));
    }
    if one.kept {
        lines.push(match lang {
            Lang::En => "  what it concerns is still kept".to_owned(),
            Lang::Zh => "  所涉数据仍在保存".to_owned(),
        });
    }
    lines.join("\n")
}

/// The three facts in a line.
pub(super) fn three(one: &Followed, lang: Lang) -> String {
    let (done, all) = (one.bodies_rekeyed, one.bodies);
    match lang {
        Lang::En if one.granted_again => "granted again since".to_owned(),
        Lang::Zh if one.granted_again => "此后已重新授权".to_owned(),
        Lang::En => format!(
            "header {}; body re-keyed {done} of {all}; destruction {}",
            if one.header_revoked { "revoked" } else { "NOT revoked" },
            if one.destruction_attested { "attested" } else { "NOT attested" }
        ),
        Lang::Zh => format!(
            "头部密钥{}；正文换钥 {done}/{all}；销毁{}",
            if one.header_revoked { "已收回" } else { "未收回" },
            if one.destruction_attested { "已声明" } else { "未声明" }
        ),
    }
}

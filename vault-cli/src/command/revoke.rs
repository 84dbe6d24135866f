//! `seqvault revoke`: end a grant at once, then give those who stay a new epoch. Spec 5.3 and 5.4.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, MemberId};
use vault_core::ledger::statement::{Body, Revoked};
use vault_core::rotation::{self, Goal};
use vault_policy::Lang;

use super::member::{no_member, text};
use crate::error::{Failure, Outcome};
use crate::output;
use crate::rotate::{self, Rotated};
use crate::session::Session;
use crate::settings::Globals;

/// End a member's grant and rotate (officers, stewards, the member itself)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault revoke run-42 anna --reason \"project over\"\n  seqvault revoke run-42 anna --reencrypt\n\nRun again, it goes on where it stopped. What a member has downloaded, or kept the keys of, it keeps."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The member
    member: MemberId,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long, default_value = "")]
    reason: String,
    /// Also replace file keys and bytes, against keys that the member may have kept: moves everything
    #[arg(long)]
    reencrypt: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    member: MemberId,
    entry: Option<u64>,
    rotation: Option<Rotated>,
    waits_for_steward: Option<String>,
    reencrypted_files: u64,
    versions_kept: bool,
    remains: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// If there is nothing to revoke or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let reason = text("--reason", &args.reason)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset_even_if_deleted(&args.dataset).await?;
    if let Some(failure) = crate::session::deleted(&dataset).filter(|_| args.reencrypt) {
        return Err(failure);
    }
    if session.vault.member(&args.member).is_none() {
        return Err(no_member(&args.member));
    }
    if !dataset.grants().contains_key(&args.member) {
        return Err(Failure::not_found(format!("{} never had a grant on {}", args.member, args.dataset))
            .or_in_chinese(format!("{} 从未获得 {} 的授权", args.member, args.dataset)));
    }
    let signer = session.signer(globals)?;
    let mut entry = None;
    if super::grant::is_given(&dataset, &args.member) {
        let body = Body::Revoked(Revoked { member: args.member.clone(), reason: reason.clone() });
        entry = Some(session.append_always(&signer, &mut dataset, &body).await?.0);
    } else {
        globals.output().note(&match globals.lang() {
            Lang::En => format!("{} has no grant any more; looking for what is left to do", args.member),
            Lang::Zh => format!("{} 已没有授权；正在查找尚须完成的部分", args.member),
        });
    }
    if dataset.is_deleted() {
        return ended(globals, args, entry);
    }
    let goal = Goal::settle(&dataset);
    // Not this member's to do: the grant is ended all the same.
    let waits = rotation::next(&dataset, &session.vault, &signer.member, &signer.card, session.at(), goal).err();
    let unfinished = |failure: Failure| {
        failure.at_both(
            format!("the grant of {} is ended, the rest is not done", args.member),
            format!("{} 的授权已终止，其余尚未完成", args.member),
        )
    };
    let mut rotation = None;
    let (mut reencrypted_files, mut versions_kept) = (0, false);
    if waits.is_none() {
        let done = rotate::drive(&mut session, &signer, &mut dataset, goal, &reason).await;
        let done = done.map_err(unfinished)?;
        versions_kept = done.versions_kept;
        rotation = Some(done);
        if args.reencrypt {
            let again = super::rotate::reencrypt(globals, &mut session, &signer, &mut dataset).await;
            let again = again.map_err(unfinished)?;
            reencrypted_files = again.files;
            versions_kept |= again.removed.kept;
        }
    }
    let mut done = Done {
        dataset: args.dataset,
        member: args.member,
        entry,
        rotation,
        waits_for_steward: waits.as_ref().map(ToString::to_string),
        reencrypted_files,
        versions_kept,
        remains: Vec::new(),
    };
    let lang = globals.lang();
    done.remains = remains(&done, args.reencrypt && waits.is_none(), lang);
    globals.output().result(&done, || text_of(&done, lang))?;
    match waits {
        Some(why) if args.reencrypt => Err(Failure::refused(format!("nothing was re-encrypted: {why}"))
            .or_in_chinese(format!("未重新加密：{}", rotate::why_not(&why)))
            .hints(
                format!("a steward runs `seqvault rotate {} --reencrypt`", done.dataset),
                format!("由数据管理者运行 `seqvault rotate {} --reencrypt`", done.dataset),
            )),
        _ => Ok(()),
    }
}

/// Of a deleted dataset there is nothing to rotate: only its ledger says of a grant that it stands.
fn ended(globals: &Globals, args: Args, entry: Option<u64>) -> Outcome<()> {
    let lang = globals.lang();
    let done = Done {
        dataset: args.dataset,
        member: args.member,
        entry,
        rotation: None,
        waits_for_steward: None,
        reencrypted_files: 0,
        versions_kept: false,
        remains: always_remains(lang),
    };
    globals.output().result(&done, || {
        let text = match lang {
            Lang::En => format!("the grant of {} on {}, which was deleted, is ended", done.member, done.dataset),
            Lang::Zh => format!("{} 在 {}（已删除）上的授权已终止", done.member, done.dataset),
        };
        with_remains(text, &done, lang)
    })
}

/// What no revocation takes back.
fn always_remains(lang: Lang) -> Vec<String> {
    let (downloaded, copies) = match lang {
        Lang::En => (
            "what it downloaded stays with it",
            "snapshots, backups or versions of the vault from before keep the old keys",
        ),
        Lang::Zh => ("该成员已下载的内容仍在其手中", "此前的保险库快照、备份或版本中仍有旧密钥"),
    };
    vec![downloaded.to_owned(), copies.to_owned()]
}

fn with_remains(mut text: String, done: &Done, lang: Lang) -> String {
    for item in &done.remains {
        text.push_str(&match lang {
            Lang::En => format!("\n  remains: {item}"),
            Lang::Zh => format!("\n  留存：{item}"),
        });
    }
    text
}

fn remains(done: &Done, reencrypted: bool, lang: Lang) -> Vec<String> {
    let mut remains = always_remains(lang);
    if done.versions_kept {
        let deleted = done.rotation.as_ref().map_or(0, |rotation| rotation.deleted);
        remains.push(output::versions_kept(deleted, lang));
    }
    if !reencrypted {
        let open = match lang {
            Lang::En => "files whose keys it extracted stay open to it until `--reencrypt`",
            Lang::Zh => "该成员已提取密钥的文件，在以 `--reencrypt` 重新加密之前仍可由其打开",
        };
        remains.push(open.to_owned());
    }
    remains
}

fn text_of(done: &Done, lang: Lang) -> String {
    let (member, dataset) = (&done.member, &done.dataset);
    let mut text = match (done.waits_for_steward.is_some(), lang) {
        (true, Lang::En) => format!("the grant of {member} on {dataset} is ended"),
        (true, Lang::Zh) => format!("{member} 在 {dataset} 上的授权已终止"),
        (false, Lang::En) => format!("{member} can no longer read {dataset}"),
        (false, Lang::Zh) => format!("{member} 不能再读取 {dataset}"),
    };
    text.push_str(&match (&done.rotation, lang) {
        (Some(r), _) => said_of(r, lang),
        (None, Lang::En) => "\nits keys still open what is stored until a steward who holds the epoch runs `seqvault rotate`; nothing new is sealed to them".to_owned(),
        (None, Lang::Zh) => "\n在持有该密钥纪元的数据管理者运行 `seqvault rotate` 之前，其密钥仍可打开已存储的内容；新内容不再封装给它".to_owned(),
    });
    if done.reencrypted_files > 0 {
        text.push_str(&super::rotate::renewed(done.reencrypted_files, lang));
    }
    with_remains(text, done, lang)
}

/// What became of the epochs.
fn said_of(r: &Rotated, lang: Lang) -> String {
    match (r.opened.is_empty(), lang) {
        (false, Lang::En) => format!(
            "\nepoch {} is sealed to the {} left; {} re-wrapped, {} deleted",
            r.epoch,
            output::count(r.sealed_to, "card"),
            output::count(r.rewrapped, "manifest key"),
            output::count(r.deleted, "old object")
        ),
        (false, Lang::Zh) => format!(
            "\n密钥纪元 {} 已封装给其余 {} 张卡片；已重新封装 {} 个清单密钥，删除 {} 个旧对象",
            r.epoch, r.sealed_to, r.rewrapped, r.deleted
        ),
        (true, Lang::En) => {
            format!("\nepoch {} was not sealed to it; {} deleted", r.epoch, output::count(r.deleted, "old object"))
        }
        (true, Lang::Zh) => format!("\n密钥纪元 {} 未曾封装给它；已删除 {} 个旧对象", r.epoch, r.deleted),
    }
}

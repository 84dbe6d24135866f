//! `seqvault rotate`: a new epoch for those who have a grant; with `--reencrypt` new file keys and bytes as well. Spec 5.4.

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::DatasetId;
use vault_core::ledger::dataset::DatasetState;
use vault_core::rotation::Goal;
use vault_policy::Lang;

use super::member::text;
use crate::error::{Failure, Outcome};
use crate::output;
use crate::progress::Meter;
use crate::reencrypt::Reencrypted;
use crate::rotate::{self, Rotated};
use crate::session::{Session, Signer};
use crate::settings::Globals;

/// Open a new epoch and re-wrap the keys (stewards)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault rotate run-42\n  seqvault rotate run-42 --reencrypt\n\nA rotation that was interrupted is finished by running it again, also by another steward."
)]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long, default_value = "scheduled")]
    reason: String,
    /// Also replace file keys and bytes: moves everything
    #[arg(long)]
    reencrypt: bool,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    #[serde(flatten)]
    rotated: Rotated,
    reencrypted_files: u64,
    deleted_bodies: u64,
}

/// Runs the verb.
///
/// # Errors
/// If a step is not the caller's to do, or the store fails.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let reason = text("--reason", &args.reason)?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let card = globals.card()?;
    let me = session.member_of(&card)?;
    if !dataset.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {}: only stewards rotate", args.dataset))
            .or_in_chinese(format!("{me} 不是 {} 的数据管理者：只有数据管理者可以轮换密钥", args.dataset)));
    }
    super::due::warn_of(globals, &mut session, &dataset).await?;
    let signer = session.signer(globals)?;
    let unfinished = args.reencrypt && crate::reencrypt::is_unfinished(&dataset);
    let goal = if unfinished { Goal::settle(&dataset) } else { Goal::rotate(&dataset) };
    let mut rotated = rotate::drive(&mut session, &signer, &mut dataset, goal, &reason).await?;
    let mut again = Reencrypted::default();
    if args.reencrypt {
        again = reencrypt(globals, &mut session, &signer, &mut dataset).await?;
    }
    rotated.versions_kept |= again.removed.kept;
    let done =
        Done { dataset: args.dataset, rotated, reencrypted_files: again.files, deleted_bodies: again.removed.objects };
    globals.output().result(&done, || text_of(&done, globals.lang()))
}

fn text_of(done: &Done, lang: Lang) -> String {
    let (r, dataset) = (&done.rotated, &done.dataset);
    let mut text = match lang {
        Lang::En => format!(
            "{dataset} is in epoch {}, sealed to {}; {} re-wrapped, {} deleted",
            r.epoch,
            output::count(r.sealed_to, "card"),
            output::count(r.rewrapped, "manifest key"),
            output::count(r.deleted, "old object")
        ),
        Lang::Zh => format!(
            "{dataset} 处于密钥纪元 {}，已封装给 {} 张卡片；已重新封装 {} 个清单密钥，删除 {} 个旧对象",
            r.epoch, r.sealed_to, r.rewrapped, r.deleted
        ),
    };
    for member in &r.unsealed {
        text.push_str(&match lang {
            Lang::En => format!("\n{member} has a grant and no current card: nothing was sealed to it"),
            Lang::Zh => format!("\n{member} 有授权而没有可用的卡片：未向其封装任何内容"),
        });
    }
    for manifest in &r.void {
        text.push_str(&match lang {
            Lang::En => format!("\nmanifest {manifest} is void: its sealed key did not open"),
            Lang::Zh => format!("\n清单 {manifest} 无效：其封装的密钥无法打开"),
        });
    }
    if done.reencrypted_files > 0 {
        text.push_str(&renewed(done.reencrypted_files, lang));
    }
    if r.versions_kept {
        let kept = output::versions_kept(r.deleted.saturating_add(done.deleted_bodies), lang);
        text.push_str(&match lang {
            Lang::En => format!("\n  remains: {kept}"),
            Lang::Zh => format!("\n  留存：{kept}"),
        });
    }
    text
}

/// How many files have new keys and bytes, as a line behind others.
pub(super) fn renewed(files: u64, lang: Lang) -> String {
    match lang {
        Lang::En => format!("\nnew keys and bytes: {}", output::count(files, "file")),
        Lang::Zh => format!("\n已更换密钥和密文：{files} 个文件"),
    }
}

/// Gives every file that was committed before the newest epoch a new key and new bytes. How many files.
///
/// # Errors
/// If a file can't be read or written; running the verb again goes on.
pub async fn reencrypt(
    globals: &Globals,
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
) -> Outcome<Reencrypted> {
    let meter = Meter::new(&globals.output());
    crate::reencrypt::run(session, signer, dataset, &meter).await
}

//! `seqvault recover`: an officer settles a fork, or says that a ledger was restored from a backup. Spec 4.5 and 5.2.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{EntryHash, LedgerId, MemberId};
use vault_core::ledger::fold::Stop;
use vault_core::ledger::statement::{Body, Recovered, RecoveredTerms, RecoveryAction};
use vault_policy::Lang;

use crate::acts::{self, Carried, Place};
use crate::error::{Failure, Outcome, zh};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::{RECOVERED, Terms};

/// Settle a fork, or state that a ledger was restored (officers)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault recover dataset/run-42 17 --hash 3f5c..e1\n  seqvault recover dataset/run-42 16 --hash 9a02..77 --cut\n\nWithout --cut the named entry, at which everybody's reading stops, is void from then on. With it, the named entry is the last one that a restored backup has, and whoever saw later ones\ngoes on from there. Where the genesis asks for approvals: `seqvault propose recover …`, `seqvault approve`, and then this with --terms."
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: Carried,
}

/// Which entry, and what becomes of it.
#[derive(ClapArgs, Debug)]
pub(super) struct What {
    /// The ledger: vault, dataset/ID or exposure/HASH
    #[arg(value_name = "LEDGER")]
    ledger: LedgerId,
    /// The entry's number
    #[arg(value_name = "ENTRY")]
    seq: u64,
    /// The entry's hash, or at least sixteen digits of it: what you looked at is what you name
    #[arg(long, value_name = "HASH")]
    hash: String,
    /// The ledger was restored, and this is its last entry
    #[arg(long)]
    cut: bool,
}

#[derive(Serialize)]
struct Done {
    ledger: LedgerId,
    seq: u64,
    hash: EntryHash,
    action: RecoveryAction,
    entry: Option<u64>,
    /// Where the ledger stops once this is stated, if it does still.
    stops_at: Option<String>,
    approved_by: Vec<MemberId>,
}

impl What {
    /// What is to be stated, once the entry is seen to be there.
    ///
    /// # Errors
    /// If there is no such entry, it has another hash, or naming it settles nothing.
    pub(super) async fn terms(&self, session: &mut Session) -> Outcome<RecoveredTerms> {
        let hashes = session.stored_hashes(&self.ledger).await?;
        let hash = usize::try_from(self.seq).ok().and_then(|seq| hashes.get(seq)).copied();
        let hash = hash.ok_or_else(|| {
            Failure::not_found(format!("{} has no entry {}", self.ledger, self.seq))
                .or_in_chinese(format!("{} 没有第 {} 条", self.ledger, self.seq))
        })?;
        if self.hash.len() < 16 {
            return Err(Failure::usage("--hash: name at least sixteen digits of the entry's hash")
                .or_in_chinese("--hash：请至少写明条目散列值的十六位"));
        }
        if !hash.to_string().starts_with(&self.hash) {
            return Err(Failure::refused(format!(
                "entry {} of {} has the hash {hash}, and not the one that was named",
                self.seq, self.ledger
            ))
            .or_in_chinese(format!("{} 第 {} 条的散列值为 {hash}，与所指不符", self.ledger, self.seq)));
        }
        let action = if self.cut { RecoveryAction::Cut } else { RecoveryAction::Void };
        let terms = RecoveredTerms { action, hash, ledger: self.ledger.clone(), seq: self.seq };
        check(session, &terms).await?;
        Ok(terms)
    }
}

/// Whether a statement settles what it names: the entry at which reading stops, or the last one of a ledger that was restored. Whoever
/// proposes, approves or states it looks.
///
/// # Errors
/// If it settles nothing, or would let later entries be hidden.
pub(super) async fn check(session: &mut Session, terms: &RecoveredTerms) -> Outcome<()> {
    let (ledger, seq) = (&terms.ledger, terms.seq);
    if terms.action == RecoveryAction::Void {
        return match stop_of(session, ledger).await? {
            Some(Stop::Fork { seq: at, hash, .. }) if at == seq && hash == terms.hash => Ok(()),
            Some(stop) => {
                let said = format!("entry {seq} is not the one at which {ledger} stops: nothing would be settled");
                Err(Failure::refused(said)
                    .or_in_chinese(format!("{ledger} 并非在第 {seq} 条中断：无可处置"))
                    .hints(stop.to_string(), zh::stop(&stop)))
            }
            None => Err(Failure::refused(format!(
                "{ledger} has no fork: it is read to its end, and nothing is to be settled"
            ))
            .or_in_chinese(format!("{ledger} 没有分叉：已读至末条，无可处置"))
            .hints(
                "of a ledger that was restored from a backup, the last entry is named, with --cut",
                "账本由备份恢复的，请指明其末条并加 --cut",
            )),
        };
    }
    if *ledger == LedgerId::Vault {
        return Err(Failure::refused("no recovery settles a vault ledger that was restored: whoever saw more of it never goes on from a cut")
            .or_in_chinese("恢复的保险库账本不能以恢复声明处置：见过更多条目者不会从截断处继续")
            .hints(
                "each of them joins again: `seqvault member invite MEMBER` by an officer, then `seqvault join INVITATION --again`",
                "各人须重新加入：由管理员运行 `seqvault member invite MEMBER`，再运行 `seqvault join INVITATION --again`",
            ));
    }
    let hashes = session.stored_hashes(ledger).await?;
    match (hashes.len() as u64).checked_sub(1).zip(hashes.last()) {
        Some((last, hash)) if last == seq && *hash == terms.hash => Ok(()),
        Some((last, hash)) => Err(Failure::refused(format!(
            "entry {seq} is not the last one of {ledger}: a cut there would let the later ones be hidden from everybody"
        ))
        .or_in_chinese(format!("第 {seq} 条不是 {ledger} 的末条：在此截断会使其后各条对所有人隐藏"))
        .hints(format!("the last one is {last}, {hash}"), format!("末条为第 {last} 条，{hash}"))),
        None => Err(Failure::not_found(format!("{ledger} has no entries")).or_in_chinese(format!("{ledger} 没有条目"))),
    }
}

/// Where a ledger stops, if it does.
async fn stop_of(session: &mut Session, ledger: &LedgerId) -> Outcome<Option<Stop>> {
    Ok(match ledger {
        LedgerId::Vault => session.vault.stop().cloned(),
        LedgerId::Dataset(id) => session.dataset_even_if_stopped(id).await?.stop().cloned(),
        LedgerId::Exposure(recipient) => {
            let exposures = session.exposures_of(&BTreeSet::from([*recipient])).await?;
            exposures.of(recipient).and_then(|state| state.stop().cloned())
        }
    })
}

/// What a statement means.
pub(super) fn told(terms: &RecoveredTerms, lang: Lang) -> String {
    let (ledger, seq, hash) = (&terms.ledger, terms.seq, &terms.hash);
    match (terms.action, lang) {
        (RecoveryAction::Void, Lang::En) => {
            format!("to be stated: entry {seq} of {ledger}, {hash}, is void; what stands behind it is read")
        }
        (RecoveryAction::Void, Lang::Zh) => format!("拟声明：{ledger} 第 {seq} 条（{hash}）无效，其后各条照常读取"),
        (RecoveryAction::Cut, Lang::En) => {
            format!(
                "to be stated: {ledger} was restored, and {seq}, {hash}, is its last entry; later ones are forgotten"
            )
        }
        (RecoveryAction::Cut, Lang::Zh) => {
            format!("拟声明：{ledger} 已由备份恢复，末条为第 {seq} 条（{hash}）；此后各条作废")
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// If there is no such entry, approvals are missing, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    // Where the vault ledger itself has stopped, this is what settles it.
    let mut session = Session::open_even_if_stopped(globals).await?;
    let me = session.member_of(&globals.card()?)?;
    if !session.vault.is_officer(&me, session.vault.last_seq()) {
        return Err(Failure::refused(format!("{me} is no officer: only officers settle a ledger"))
            .or_in_chinese(format!("{me} 不是管理员：只有管理员可以处置账本")));
    }
    let terms = args.what.terms(&mut session).await?;
    let file = args.how.read(&session, lang)?;
    if let Some((_, path)) = file.as_ref().filter(|(file, _)| file.terms != Terms::Recovered(terms.clone())) {
        return Err(Failure::refused(format!("{}: terms for something else", path.display()))
            .or_in_chinese(format!("{}：条款对应其他事项", path.display())));
    }
    output::warn(&told(&terms, lang));
    let needed = Place::Vault.genesis(&session, RECOVERED);
    let mut done = Done {
        ledger: terms.ledger.clone(),
        seq: terms.seq,
        hash: terms.hash,
        action: terms.action,
        entry: None,
        stops_at: None,
        approved_by: Vec::new(),
    };
    if args.how.dry_run {
        return out.result(&done, || match lang {
            Lang::En => format!("nothing was done; {needed} approval(s) are needed"),
            Lang::Zh => format!("未执行任何操作；须 {needed} 人批准"),
        });
    }
    let of = file.as_ref().map(|(file, path)| (file, *path));
    let propose = format!("recover {} {} --hash {}", terms.ledger, terms.seq, terms.hash);
    let named = args.how.proposal.as_deref();
    let act = (RECOVERED, propose.as_str());
    let approvals = acts::approval(&session, Place::Vault, of, named, &me, needed, act, lang)?;
    done.approved_by = approvals.as_ref().map(acts::Approvals::members).unwrap_or_default();
    let signer = session.signer(globals)?;
    let body = Recovered { approval: approvals.map(|found| found.approval), terms: terms.clone() };
    done.entry = Some(session.append_recovered(&signer, &Body::Recovered(body), &terms).await?);
    done.stops_at = stop_of(&mut session, &done.ledger)
        .await
        .map_err(|failure| {
            failure.at_both(
                format_args!("it is stated, and {} is still not read", done.ledger),
                format_args!("已声明，但 {} 仍无法读取", done.ledger),
            )
        })?
        .map(|stop| match lang {
            Lang::En => stop.to_string(),
            Lang::Zh => zh::stop(&stop),
        });
    out.result(&done, || match (&done.stops_at, lang) {
        (None, Lang::En) => format!("settled: `seqvault verify` reads {} again", done.ledger),
        (None, Lang::Zh) => format!("已处置：`seqvault verify` 可重新读取 {}", done.ledger),
        (Some(stop), Lang::En) => format!("entry {} is settled; now {stop}", done.seq),
        (Some(stop), Lang::Zh) => format!("第 {} 条已处置；现：{stop}", done.seq),
    })
}

//! `seqvault recover`: an officer settles a fork, or says that a ledger was restored from a backup. Spec 4.5 and 5.2.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{EntryHash, LedgerId, MemberId};
use vault_core::ledger::statement::{Body, Recovered, RecoveredTerms, RecoveryAction};
use vault_policy::Lang;

use crate::acts::{self, Place};
use crate::error::{Failure, Outcome};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::terms::{RECOVERED, Terms, TermsFile};

/// Settle a fork, or state that a ledger was restored (officers)
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault recover dataset/run-42 17 --hash 3f5c..e1\n  seqvault recover dataset/run-42 16 --hash 9a02..77 --cut\n\nWithout --cut the named entry, at which everybody's reading stops, is void from then on. With it, the named entry is the last one that a restored backup has, and whoever saw later ones\ngoes on from there. Where the genesis asks for approvals: `seqvault propose recover …`, `seqvault approve`, and then this with --terms."
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Carry out what was proposed: the terms file of `propose recover`
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// The proposal's hash, or the beginning of it, if there are several for the same terms
    #[arg(long, value_name = "HASH", requires = "terms")]
    proposal: Option<String>,
    /// Only say what would be stated
    #[arg(long)]
    dry_run: bool,
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
    approved_by: Vec<MemberId>,
}

impl What {
    /// What is to be stated, once the entry is seen to be there.
    ///
    /// # Errors
    /// If there is no such entry, or it has another hash.
    pub(super) async fn terms(&self, session: &Session) -> Outcome<RecoveredTerms> {
        let hashes = session.stored_hashes(&self.ledger).await?;
        let hash = usize::try_from(self.seq).ok().and_then(|seq| hashes.get(seq)).copied();
        let hash = hash.ok_or_else(|| Failure::not_found(format!("{} has no entry {}", self.ledger, self.seq)))?;
        if self.hash.len() < 16 {
            return Err(Failure::usage("--hash: name at least sixteen digits of the entry's hash"));
        }
        if !hash.to_string().starts_with(&self.hash) {
            return Err(Failure::refused(format!(
                "entry {} of {} has the hash {hash}, and not the one that was named",
                self.seq, self.ledger
            )));
        }
        let action = if self.cut { RecoveryAction::Cut } else { RecoveryAction::Void };
        Ok(RecoveredTerms { action, hash, ledger: self.ledger.clone(), seq: self.seq })
    }
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
        return Err(Failure::refused(format!("{me} is no officer: only officers settle a ledger")));
    }
    let terms = args.what.terms(&session).await?;
    let file = match &args.terms {
        Some(path) => {
            let file = TermsFile::read(path, session.vault.id(), lang)?;
            if file.terms != Terms::Recovered(terms.clone()) {
                return Err(Failure::refused(format!("{}: terms for something else", path.display())));
            }
            Some((file, path.clone()))
        }
        None => None,
    };
    output::warn(&told(&terms, lang));
    let needed = Place::Vault.genesis(&session, RECOVERED);
    let mut done = Done {
        ledger: terms.ledger.clone(),
        seq: terms.seq,
        hash: terms.hash,
        action: terms.action,
        entry: None,
        approved_by: Vec::new(),
    };
    if args.dry_run {
        return out.result(&done, || match lang {
            Lang::En => format!("nothing was done; {needed} approval(s) are needed"),
            Lang::Zh => format!("未执行任何操作；须 {needed} 人批准"),
        });
    }
    let of = file.as_ref().map(|(file, path)| (file, path.as_path()));
    let propose = format!("recover {} {} --hash {}", terms.ledger, terms.seq, terms.hash);
    let named = args.proposal.as_deref();
    let act = (RECOVERED, propose.as_str());
    let approvals = acts::approval(&session, Place::Vault, of, named, &me, needed, act, lang)?;
    done.approved_by = approvals.as_ref().map(acts::Approvals::members).unwrap_or_default();
    let signer = session.signer(globals)?;
    let body = Recovered { approval: approvals.map(|found| found.approval), terms: terms.clone() };
    done.entry = Some(session.append_recovered(&signer, &Body::Recovered(body), &terms).await?);
    out.result(&done, || match lang {
        Lang::En => format!("settled: `seqvault verify` reads {} again", done.ledger),
        Lang::Zh => format!("已处置：`seqvault verify` 可重新读取 {}", done.ledger),
    })
}

//! `seqvault doctor`: what is amiss, what can be made again, and the officer's signed list of what all ledgers show. Spec 4.6 and 6.3.

use std::collections::BTreeSet;

use bytes::Bytes;
use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId, MemberId, UploadId};
use vault_core::json;
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, KeyPlace, UploadStatus};
use vault_core::ledger::fold::Verdict;
use vault_core::ledger::seen::{SeenLedger, SeenList};
use vault_core::ledger::statement::{Body, Seen, Text, UploadClosed};

use super::member;
use crate::client::{Client, failed};
use crate::clock;
use crate::error::{Failure, Kind, Outcome};
use crate::output;
use crate::session::{Session, Signer};
use crate::settings::Globals;

/// Longest list of ledgers that is read.
const MAX_LIST: u64 = 64 << 20;
/// An officer's doctor signs a new list when the last one is older than this.
const SEEN_AGE: u64 = 86_400;

/// Check a vault and repair what is derived; an officer's run also renews the vault's freshness
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault doctor\n  seqvault doctor --repair\n\nWithout --repair nothing is changed, and no passphrase is asked for."
)]
pub struct Args {
    /// Make derived objects again, delete leftovers, make retirements count everywhere, renew the officer's list
    #[arg(long)]
    repair: bool,
}

#[derive(Serialize, Default)]
struct Report {
    findings: Vec<String>,
    repaired: Vec<String>,
    damaged: bool,
    sound: bool,
}

/// Runs the verb.
///
/// # Errors
/// If the vault can't be read, or something that was signed is missing or changed. Other findings are no failure.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let mut session = Session::open_even_if_stopped(globals).await?;
    let mut report = Report::default();
    if let Some(stop) = session.vault.stop() {
        report.damaged = true;
        report.findings.push(stop.to_string());
    }
    report.findings.extend(voids("the vault ledger", session.vault.judged()));
    let mut todo = Todo::default();
    for id in session.dataset_ids().await? {
        let state = match session.listed(&id).await {
            Ok(Some(state)) => state,
            Ok(None) => continue,
            Err(failure) if failure.kind == Kind::Integrity => {
                let was_seen = session.was_seen(&LedgerId::Dataset(id.clone())).await?;
                report.damaged |= was_seen;
                let unseen = if was_seen { "" } else { " (nobody has seen it before: it may be rubbish)" };
                report.findings.push(format!("{failure}{unseen}"));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        examine(&session, &state, &mut report);
        todo.retirements |= session.vault.last_seq() > state.cited() && retired_since(&session, &state);
        todo.late.extend(late_uploads(&session, &state).map(|upload| (id.clone(), upload)));
    }
    // What no ledger names may be named by one that is not shown as it was seen: then nothing is taken for a leftover.
    let derived = session.client.doctor(args.repair && !report.damaged).await?;
    report.findings.extend(derived.findings);
    report.repaired.extend(derived.repaired);
    report.damaged |= derived.damaged;
    examine_freshness(&session, &mut report);
    if args.repair && session.vault.stop().is_none() {
        repair(globals, &mut session, todo, &mut report).await?;
    }
    report.sound = report.findings.is_empty();
    globals.output().result(&report, || {
        let mut lines: Vec<String> = report.repaired.iter().map(|r| format!("repaired: {r}")).collect();
        lines.extend(report.findings.iter().map(|f| format!("found: {f}")));
        if report.sound {
            lines.push("nothing is amiss".to_owned());
        }
        output::printable(&lines.join("\n"))
    })?;
    if report.damaged {
        return Err(Failure::integrity("something that was signed is missing or changed"));
    }
    Ok(())
}

/// What takes a signature to repair.
#[derive(Default)]
struct Todo {
    /// A dataset does not cite a retirement yet.
    retirements: bool,
    /// Uploads that were never finished and are past their end.
    late: Vec<(DatasetId, UploadId)>,
}

fn late_uploads<'a>(session: &Session, state: &'a DatasetState) -> impl Iterator<Item = UploadId> + use<'a> {
    let now = session.at().time;
    state.uploads().iter().filter(move |(_, u)| u.status == UploadStatus::Open && u.ends <= now).map(|(id, _)| *id)
}

fn voids(what: &str, judged: &[vault_core::ledger::fold::Judged]) -> Vec<String> {
    (0u64..)
        .zip(judged)
        .filter_map(|(seq, j)| match j.verdict {
            Verdict::Void(reason) => Some(format!("{what}: entry {seq} is void and changed nothing: {reason}")),
            _ => None,
        })
        .collect()
}

fn examine(session: &Session, state: &DatasetState, report: &mut Report) {
    let (vault, at, id) = (&session.vault, session.at(), state.id());
    let found = &mut report.findings;
    if let Some(stop) = state.stop() {
        found.push(stop.to_string());
    }
    found.extend(voids(&format!("dataset {id}"), state.judged()));
    if state.is_deleted() {
        return;
    }
    if state.is_stale(vault, at) {
        found.push(format!("dataset {id}: epoch {} is stale, uploads wait (`seqvault rotate {id}`)", state.newest()));
    }
    if !state.is_held(vault, at) {
        found.push(format!(
            "dataset {id}: nobody holds epoch {} any more: what it holds can't be read again, by anybody",
            state.newest()
        ));
    } else if !state.has_holder(vault, at) {
        let holders: Vec<String> = holders(session, state).iter().map(ToString::to_string).collect();
        found.push(format!(
            "dataset {id}: no steward holds epoch {}; who does can grant it to one: {} (an officer names the steward first)",
            state.newest(),
            if holders.is_empty() { "nobody holds every epoch in use".to_owned() } else { holders.join(", ") }
        ));
    }
    for (member, grant) in state.grants() {
        if grant.ends.is_some_and(|ends| ends <= at.time) && super::grant::is_given(state, member) {
            found.push(format!("dataset {id}: the grant of {member} has ended (`seqvault revoke {id} {member}`)"));
        }
    }
    for (manifest, m) in state.manifests() {
        if m.is_visible() && matches!(m.key, KeyPlace::Void | KeyPlace::Unreadable) {
            found.push(format!(
                "dataset {id}: manifest {manifest} by {} ({} files) can't be read by anybody",
                m.author, m.signed.files
            ));
        }
    }
}

/// Who can open every epoch in use, by a grant or a recovery card.
fn holders<'a>(session: &'a Session, state: &DatasetState) -> Vec<&'a MemberId> {
    let (vault, at) = (&session.vault, session.at());
    vault.members().map(|(id, _)| id).filter(|id| state.holds_all(vault, id, at)).collect()
}

/// Whether a member or card was retired, or a role changed, after what the dataset cites.
fn retired_since(session: &Session, state: &DatasetState) -> bool {
    let cited = state.cited();
    session.vault.members().any(|(_, m)| m.retired.is_some_and(|r| r > cited))
        || session
            .vault
            .members()
            .any(|(id, _)| session.vault.cards_of(id).any(|c| c.retired.is_some_and(|r| r > cited)))
}

fn examine_freshness(session: &Session, report: &mut Report) {
    let (now, head) = (clock::now(), session.vault.time());
    if head > now + clock::SKEW {
        report.findings.push(format!(
            "this machine's clock says {}, the newest vault entry {}",
            output::time(now),
            output::time(head)
        ));
    }
    let age = now.saturating_sub(head);
    if age > session.vault.head_age() {
        report.findings.push(format!(
            "the newest vault entry is {} days old: `put` and `grant` are refused until an officer runs `seqvault doctor --repair`",
            age / 86_400
        ));
    }
}

async fn repair(globals: &Globals, session: &mut Session, todo: Todo, report: &mut Report) -> Outcome<()> {
    let card = globals.card()?;
    let Ok(me) = session.member_of(&card) else {
        report.findings.push("this identity is not enrolled: nothing was signed".to_owned());
        return Ok(());
    };
    let officer = session.vault.is_officer(&me, session.vault.last_seq());
    let old = session.vault.seen().is_none_or(|s| clock::now().saturating_sub(s.time) > SEEN_AGE);
    if !todo.retirements && todo.late.is_empty() && !(officer && old) {
        return Ok(());
    }
    let signer = session.signer(globals)?;
    for (dataset, upload) in todo.late {
        close_upload(session, &signer, &dataset, upload, report).await?;
    }
    if todo.retirements {
        let count = member::anchor_all(session, &signer).await?;
        report.repaired.push(format!("{count} datasets took notice of the vault's newest entry"));
    }
    if officer && old {
        let list = seen_now(session).await?;
        let bytes = json::emit(&list).map_err(|e| Failure::usage(e.to_string()))?;
        let hash = Digest(sha256(&bytes));
        let name = ObjectName::Seen(hash);
        session.client.put_new(&name, Bytes::from(bytes)).await.map_err(failed(&name))?;
        let seq = session.append_vault(&signer, &Body::Seen(Seen { list: hash })).await?;
        report.repaired.push(format!("vault entry {seq} signs the heads of {} ledgers", list.ledgers.len()));
        report.findings.retain(|f| !f.contains("days old"));
    }
    Ok(())
}

/// Gives up an upload that is past its end, if it is this member's to do, and deletes its packs. Spec 5.5.
async fn close_upload(
    session: &mut Session,
    signer: &Signer,
    dataset: &DatasetId,
    upload: UploadId,
    report: &mut Report,
) -> Outcome<()> {
    let mut state = session.dataset_even_if_deleted(dataset).await?;
    let reason = Text::parse("past its end").map_err(|e| Failure::usage(e.to_string()))?;
    let body = Body::UploadClosed(UploadClosed { reason, upload });
    match session.append_always(signer, &mut state, &body).await {
        Ok(_) => {
            let removed = session.client.sweep(dataset, &upload).await?;
            report.findings.retain(|f| !f.contains(&upload.to_string()));
            report
                .repaired
                .push(format!("dataset {dataset}: upload {upload} was given up, {}", output::deleted(removed)));
            Ok(())
        }
        // Not this member's: the finding stays.
        Err(failure) if failure.kind == Kind::Refused => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Every ledger's last entry, as this client sees and has checked it. A list that is behind the last one would take back what that one holds
/// newcomers to, so none is made.
async fn seen_now(session: &mut Session) -> Outcome<SeenList> {
    let last = session.seen_ledgers().await?;
    let mut ids = session.ledger_ids().await?;
    ids.extend(last.iter().map(|item| item.ledger.clone()));
    let mut ledgers = Vec::new();
    for ledger in ids {
        let hashes = hashes_of(session, &ledger).await.map_err(no_list)?;
        let at = |seq: u64| usize::try_from(seq).ok().and_then(|i| hashes.get(i)).copied();
        if let Some(item) = last.iter().find(|item| item.ledger == ledger) {
            session.continues(item, at).map_err(no_list)?;
        }
        if let (Some(hash), Some(seq)) = (hashes.last(), (hashes.len() as u64).checked_sub(1)) {
            ledgers.push(SeenLedger { hash: *hash, ledger, seq });
        }
    }
    ledgers.sort_by_key(|l| l.ledger.to_string());
    Ok(SeenList { ledgers })
}

fn no_list(failure: Failure) -> Failure {
    if failure.kind == Kind::Integrity { failure.at("no new list of ledgers can be signed") } else { failure }
}

/// The hash of each entry of a ledger. None if it is rubbish that never was a dataset, which is nothing to vouch for; one that was seen before
/// and can't be read now is.
async fn hashes_of(session: &mut Session, ledger: &LedgerId) -> Outcome<Vec<EntryHash>> {
    match ledger {
        LedgerId::Vault => Ok(session.vault.judged().iter().map(|judged| judged.hash).collect()),
        LedgerId::Dataset(id) => match session.dataset_even_if_deleted(id).await {
            Err(failure) if matches!(failure.kind, Kind::Integrity | Kind::NotFound) && !session.has_seen(ledger) => {
                Ok(Vec::new())
            }
            state => Ok(state?.judged().iter().map(|judged| judged.hash).collect()),
        },
        LedgerId::Exposure(recipient) => {
            let exposures = session.exposures_of(&BTreeSet::from([*recipient])).await?;
            Ok(exposures.of(recipient).map_or(&[][..], |state| state.judged()).iter().map(|j| j.hash).collect())
        }
    }
}

/// The stored list that a `seen` names.
///
/// # Errors
/// If it is missing, or not the one that was signed.
pub async fn seen_list(client: &dyn Client, hash: &Digest) -> Outcome<SeenList> {
    let name = ObjectName::Seen(*hash);
    let bytes = client.get(&name, MAX_LIST).await.map_err(failed(&name))?;
    if sha256(&bytes) != hash.0 {
        return Err(Failure::integrity(format!("object {name} is not what an officer signed")));
    }
    SeenList::parse(&bytes).map_err(|e| Failure::integrity(format!("object {name}: {e}")))
}

//! `seqvault verify`: fold the vault's and every dataset's ledger and say what holds; with `--data`, compare manifests, pack lists, packs,
//! headers and key tables with what was signed. Needs no key. Sealed epoch secrets are checked by whoever opens them.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{DatasetId, EntryHash, LedgerId, ManifestId, VaultId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, KeyPlace, Manifest};
use vault_core::ledger::exposure::{ExposureState, Exposures, cited_by};
use vault_core::ledger::fold::{Judged, Stop, Verdict, entry_hash};
use vault_core::ledger::seen::SeenLedger;
use vault_core::ledger::statement::Entry;
use vault_core::pack::{PACK_LEN, PackList};
use vault_policy::ledger as ledger_gate;

use crate::client::Client;
use crate::client::failed;
use crate::error::{Failure, Kind, Outcome};
use crate::gate::Packs;
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// How many packs are read at once.
const PACKS_AT_ONCE: usize = 2;
/// No seal of any suite is longer.
const MAX_SEAL: u64 = 4096;

/// Check the signatures and the chain of every ledger, and every grant against the rules of its time; with --data also every stored byte
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  seqvault verify\n  seqvault verify run-42 --data\n\nNeeds no key and no passphrase: anybody with the folder and an invitation can run it. Grants are decided again from the ledger, with the packs that were in force then: exit code 4 if the rules did not allow one."
)]
pub struct Args {
    /// Only this dataset
    dataset: Option<DatasetId>,
    /// Read every entry, seal, manifest, pack list and pack and compare it with what was signed
    #[arg(long)]
    data: bool,
}

#[derive(Serialize)]
struct Report {
    vault: String,
    ledgers: Vec<Ledger>,
    /// What lies where a dataset's ledger would, has no statement in it, and was never seen as one by this machine or an officer.
    unknown: Vec<Unknown>,
    checked_bytes: u64,
    sound: bool,
}

#[derive(Serialize)]
struct Ledger {
    ledger: LedgerId,
    entries: usize,
    head: Option<EntryHash>,
    void: Vec<VoidEntry>,
    problems: Vec<String>,
    /// Entries that the rules of their time did not allow.
    rules: Vec<String>,
    /// Objects that a server does not release to this identity.
    withheld: u64,
}

#[derive(Serialize)]
struct Unknown {
    ledger: LedgerId,
    reason: String,
}

#[derive(Serialize)]
struct VoidEntry {
    seq: u64,
    reason: &'static str,
}

/// Runs the verb.
///
/// # Errors
/// If a ledger forks, was rolled back, or a stored object is not what was signed.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let packs = Packs::at_hand(globals)?;
    let mut session = Session::open_even_if_stopped(globals).await?;
    let vault = &session.vault;
    let mut problems = Problems::of(vault.stop());
    let mut seen = Vec::new();
    if let Some(mark) = vault.seen() {
        let name = ObjectName::Seen(mark.list);
        seen = found(session.seen_ledgers().await, &name, &mut problems)?.unwrap_or_default();
    }
    if args.data {
        check_entries(session.client.as_ref(), vault.id(), &LedgerId::Vault, vault.judged(), &mut problems).await?;
    }
    behind(&session, &seen, &LedgerId::Vault, session.vault.judged(), &mut problems);
    let mut ledgers = vec![ledger(LedgerId::Vault, session.vault.judged(), problems)];
    let (ids, named) = match args.dataset {
        Some(id) => (vec![id], true),
        None => (every_dataset(&session, &seen).await?, false),
    };
    let (mut checked_bytes, mut unknown) = (0, Vec::new());
    for id in ids {
        let found =
            if named { session.dataset_even_if_stopped(&id).await.map(Some) } else { session.listed(&id).await };
        let one = match found {
            Ok(None) if seen.iter().all(|item| item.ledger != LedgerId::Dataset(id.clone())) => continue,
            Ok(None) => {
                let mut problems = Problems::of(None);
                behind(&session, &seen, &LedgerId::Dataset(id.clone()), &[], &mut problems);
                ledger(LedgerId::Dataset(id), &[], problems)
            }
            Ok(Some(state)) => {
                let mut problems = Problems::of(state.stop());
                problems.rules = audit(globals, &mut session, &packs, &state).await?;
                behind(&session, &seen, &state.ledger(), state.judged(), &mut problems);
                if args.data {
                    let (client, vault) = (session.client.as_ref(), session.vault.id());
                    check_entries(client, vault, &state.ledger(), state.judged(), &mut problems).await?;
                    if !state.is_deleted() {
                        checked_bytes += check_data(globals, session.client.as_ref(), &state, &mut problems).await?;
                    }
                }
                ledger(state.ledger(), state.judged(), problems)
            }
            Err(failure) if failure.kind == Kind::Integrity => {
                let id = LedgerId::Dataset(id);
                if !named && is_no_ledger(&session, &id).await? && !session.was_seen(&id).await? {
                    unknown.push(Unknown { ledger: id, reason: failure.to_string() });
                    continue;
                }
                let mut problems = Problems::of(None);
                problems.push(failure.to_string());
                ledger(id, &[], problems)
            }
            Err(failure) => return Err(failure),
        };
        ledgers.push(one);
    }
    if !named {
        ledgers.extend(exposures(globals, &mut session, &seen, args.data).await?);
    }
    let sound = ledgers.iter().all(|l| l.problems.is_empty());
    let lawful = ledgers.iter().all(|l| l.rules.is_empty());
    let report = Report { vault: session.vault.id().to_string(), ledgers, unknown, checked_bytes, sound };
    globals.output().result(&report, || text_of(&report, args.data))?;
    match (sound, lawful) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::refused(
            "everything is as it was signed, and not everything is as the rules in force demanded",
        )
        .hint("`seqvault revoke` ends such a grant; ask its author how it came to be")),
        (false, _) => Err(Failure::integrity("not everything is as it was signed")),
    }
}

/// The exposure ledgers that are listed, were seen here, or were seen by an officer.
async fn exposures(globals: &Globals, session: &mut Session, seen: &[SeenLedger], data: bool) -> Outcome<Vec<Ledger>> {
    let mut all: BTreeSet<LedgerId> = session.ledger_ids().await?;
    all.extend(seen.iter().map(|item| item.ledger.clone()));
    all.retain(|ledger| matches!(ledger, LedgerId::Exposure(_)));
    let mut checked = Vec::new();
    if all.is_empty() {
        return Ok(checked);
    }
    let folded = match session.exposures().await {
        Err(failure) if failure.kind == Kind::Integrity => Err(failure.to_string()),
        folded => Ok(folded?),
    };
    for id in all {
        let LedgerId::Exposure(recipient) = &id else { continue };
        let state = folded.as_ref().map(|folded| folded.of(recipient));
        let mut problems = Problems::of(state.as_ref().ok().and_then(|state| state.as_ref()?.stop()));
        if let Err(why) = &state {
            problems.push(why.to_string());
        }
        if let (Ok(all), Ok(Some(state))) = (&folded, &state) {
            problems.rules = wrong_releases(globals, session, all, &id, state).await?;
        }
        let judged = state.ok().flatten().map_or(&[][..], |state| state.judged());
        behind(session, seen, &id, judged, &mut problems);
        if data {
            check_entries(session.client.as_ref(), session.vault.id(), &id, judged, &mut problems).await?;
        }
        checked.push(ledger(id.clone(), judged, problems));
    }
    Ok(checked)
}

/// The releases by which persons are counted no more although they were given.
async fn wrong_releases(
    globals: &Globals,
    session: &mut Session,
    exposures: &Exposures,
    ledger: &LedgerId,
    state: &ExposureState,
) -> Outcome<Vec<String>> {
    let entries = session.client.entries(ledger, 0).await?;
    let mut found = Vec::new();
    for (seq, dataset, body) in ledger_gate::releases(state, &entries) {
        let Some(dataset) = session.listed(&dataset).await? else { continue };
        let entries = session.client.entries(&dataset.ledger(), 0).await?;
        let vault = &session.vault;
        if let Err(refusal) = ledger_gate::check_release(vault, exposures, state, &dataset, &entries, &body) {
            let finding = ledger_gate::Finding { seq, kind: "released", member: None, refusal };
            found.push(super::due::found(&finding, globals.lang()));
        }
    }
    Ok(found)
}

/// The datasets that are listed, were seen here, or were seen by an officer.
async fn every_dataset(session: &Session, seen: &[SeenLedger]) -> Outcome<Vec<DatasetId>> {
    let mut all: BTreeSet<LedgerId> = session.ledger_ids().await?;
    all.extend(seen.iter().map(|item| item.ledger.clone()));
    Ok(all.into_iter().filter_map(|ledger| if let LedgerId::Dataset(id) = ledger { Some(id) } else { None }).collect())
}

/// Whether nothing that lies under a ledger's name is a statement: then it never was one. With a gap in it nobody can tell, and it is one that
/// lost entries.
async fn is_no_ledger(session: &Session, ledger: &LedgerId) -> Outcome<bool> {
    match session.client.single_entries(ledger, 0).await {
        Ok(entries) => Ok(entries.iter().all(|entry| Entry::parse(entry).is_err())),
        Err(failure) if failure.kind == Kind::Integrity => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Adds a problem if a ledger is behind what an officer has seen. One that stops is judged up to there only, and says so itself.
fn behind(session: &Session, seen: &[SeenLedger], ledger: &LedgerId, judged: &[Judged], problems: &mut Problems) {
    let at = |seq: u64| usize::try_from(seq).ok().and_then(|i| judged.get(i)).map(|j| j.hash);
    let item = seen.iter().find(|item| item.ledger == *ledger).filter(|_| problems.found.is_empty());
    if let Some(Err(failure)) = item.map(|item| session.continues(item, at)) {
        problems.push(failure.to_string());
    }
}

fn ledger(ledger: LedgerId, judged: &[Judged], problems: Problems) -> Ledger {
    let Problems { found: problems, rules, withheld } = problems;
    let void = (0u64..)
        .zip(judged)
        .filter_map(
            |(seq, j)| if let Verdict::Void(reason) = j.verdict { Some(VoidEntry { seq, reason }) } else { None },
        )
        .collect();
    Ledger { ledger, entries: judged.len(), head: judged.last().map(|j| j.hash), void, problems, rules, withheld }
}

/// Asks the gate again about every entry of a dataset's ledger, under the packs of its time. Nothing in a vault that never had one.
async fn audit(globals: &Globals, session: &mut Session, packs: &Packs, state: &DatasetState) -> Outcome<Vec<String>> {
    if !(0..=session.vault.last_seq()).any(|at| ledger_gate::is_gated(&session.vault, at)) {
        return Ok(Vec::new());
    }
    let entries = session.client.entries(&state.ledger(), 0).await?;
    // Only what was judged: an entry that came since is the next look's.
    let entries = entries.get(..state.judged().len()).unwrap_or(&entries);
    let rested_on =
        entries.iter().flat_map(|stored| cited_by(stored).into_iter().chain(ledger_gate::traced_by(stored)));
    let exposures = session.exposures_of(&rested_on.collect()).await?;
    let findings = ledger_gate::audit(&session.vault, &exposures, state.id(), entries, packs.as_slice());
    Ok(findings.iter().map(|finding| super::due::found(finding, globals.lang())).collect())
}

fn text_of(report: &Report, data: bool) -> String {
    let mut text = format!("vault {}", report.vault);
    for l in &report.ledgers {
        let mark = match (l.problems.is_empty(), l.rules.is_empty()) {
            (true, true) => "ok",
            (true, false) => "AGAINST THE RULES",
            (false, _) => "NOT SOUND",
        };
        text.push_str(&format!("\n{mark}  {}: {} entries", l.ledger, l.entries));
        if let Some(head) = &l.head {
            text.push_str(&format!(", head {head}"));
        }
        for v in &l.void {
            text.push_str(&format!("\n    entry {} is void and changed nothing: {}", v.seq, v.reason));
        }
        for problem in l.problems.iter().chain(&l.rules) {
            text.push_str(&format!("\n    {problem}"));
        }
        if l.withheld > 0 {
            let objects = output::count(l.withheld, "object");
            text.push_str(&format!("\n    {objects} not released to this identity, and not checked"));
        }
    }
    for one in &report.unknown {
        let why = "nothing in it is a statement, and nobody has seen it before: it may be rubbish";
        text.push_str(&format!("\nNO LEDGER  {}: {} ({why})", one.ledger, one.reason));
    }
    if data {
        text.push_str(&format!("\n{} of sealed data read and compared", output::bytes(report.checked_bytes)));
    }
    output::printable(&text)
}

/// Reads every entry as an object of its own: a bundle may have stood in for one that was changed.
async fn check_entries(
    client: &dyn Client,
    vault: &VaultId,
    ledger: &LedgerId,
    judged: &[Judged],
    problems: &mut Problems,
) -> Outcome<()> {
    let entries = match client.single_entries(ledger, 0).await {
        Ok(entries) => entries,
        Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Integrity) => {
            problems.push(failure.to_string());
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    if entries.len() < judged.len() {
        problems.push(format!("of {} entries {} are there as objects of their own", judged.len(), entries.len()));
    }
    let mut before = (*ledger != LedgerId::Vault).then_some(EntryHash(vault.0));
    for (seq, (stored, judged)) in (0u64..).zip(entries.iter().zip(judged)) {
        if entry_hash(before, stored) != judged.hash {
            let name = ObjectName::Entry { ledger: ledger.clone(), seq };
            problems.push(format!("{name} is not what the bundle over it shows"));
        }
        before = Some(judged.hash);
    }
    Ok(())
}

/// Compares the manifests that are visible, their packs and keys, and the key table with what was signed; how many bytes were read.
async fn check_data(
    globals: &Globals,
    client: &dyn Client,
    dataset: &DatasetState,
    problems: &mut Problems,
) -> Outcome<u64> {
    let mut read = 0;
    for (id, manifest) in dataset.manifests().iter().filter(|(_, m)| m.is_visible()) {
        read += check_manifest(client, dataset, id, manifest, problems).await?;
        globals.output().note(&format!("{} {id}: {}", dataset.id(), output::bytes(manifest.signed.packs.bytes)));
    }
    for (epoch, opened) in dataset.unclosed() {
        for ((member, card), seal) in &opened.seals {
            let (dataset, member, hash) = (dataset.id().clone(), member.clone(), seal.sha256);
            let name = ObjectName::Grant { dataset, epoch, member, card: *card, hash };
            check_sha256(client, &name, &hash.0, MAX_SEAL, problems).await?;
        }
    }
    if let Some(table) = dataset.table()
        && let Some(hash) = table.hash
    {
        let name = ObjectName::Table { dataset: dataset.id().clone(), epoch: table.epoch, hash };
        let most = vault_core::floe::ciphertext_len(table.count.saturating_mul(48));
        check_sha256(client, &name, &hash.0, most, problems).await?;
    }
    Ok(read)
}

async fn check_manifest(
    client: &dyn Client,
    dataset: &DatasetState,
    id: &ManifestId,
    manifest: &Manifest,
    problems: &mut Problems,
) -> Outcome<u64> {
    let (signed, of) = (&manifest.signed, dataset.id());
    if manifest.key == KeyPlace::Header {
        let name =
            ObjectName::Header { dataset: of.clone(), epoch: manifest.epoch, manifest: *id, hash: signed.header };
        check_sha256(client, &name, &signed.header.0, MAX_SEAL, problems).await?;
    }
    let name = ObjectName::Manifest { dataset: of.clone(), manifest: *id };
    match found(client.get(&name, signed.length).await.map_err(failed(&name)), &name, problems)? {
        Some(bytes) if blake3::hash(&bytes).as_bytes() == &signed.blake3.0 => {}
        Some(_) => problems.push(format!("{name} is not what was signed")),
        None => {}
    }
    let name = ObjectName::PackList { dataset: of.clone(), upload: manifest.upload, manifest: *id };
    let most = signed.packs.count.saturating_mul(52).saturating_add(20);
    let Some(bytes) = check_sha256(client, &name, &signed.packs.list.0, most, problems).await? else { return Ok(0) };
    let Ok(list) = PackList::parse(&bytes) else {
        problems.push(format!("{name} is no pack list"));
        return Ok(0);
    };
    let checks = stream::iter(list.packs()).map(|pack| async move {
        let name = ObjectName::Pack { dataset: of.clone(), upload: manifest.upload, pack: pack.name };
        let bytes = client.get(&name, u64::from(PACK_LEN)).await.map_err(failed(&name));
        (name, bytes.map(|b| (b.len() as u64, pack.check(&b).is_ok())))
    });
    let results: Vec<_> = checks.buffer_unordered(PACKS_AT_ONCE).collect().await;
    let mut read = 0;
    for (name, result) in results {
        match found(result, &name, problems)? {
            Some((length, true)) => read += length,
            Some((_, false)) => problems.push(format!("{name} is not what was signed")),
            None => {}
        }
    }
    Ok(read)
}

async fn check_sha256(
    client: &dyn Client,
    name: &ObjectName,
    hash: &[u8; 32],
    most: u64,
    problems: &mut Problems,
) -> Outcome<Option<bytes::Bytes>> {
    let bytes = found(client.get(name, most).await.map_err(failed(name)), name, problems)?;
    Ok(bytes.filter(|b| {
        let same = sha256(b) == *hash;
        if !same {
            problems.push(format!("{name} is not what was signed"));
        }
        same
    }))
}

/// What was found amiss in a ledger and what it names.
#[derive(Default)]
struct Problems {
    found: Vec<String>,
    /// Entries that the rules of their time did not allow.
    rules: Vec<String>,
    /// Objects that a server gives to others alone: seals of others, headers and tables without a grant.
    withheld: u64,
}

impl Problems {
    fn of(stop: Option<&Stop>) -> Self {
        Self { found: stop.map(ToString::to_string).into_iter().collect(), ..Self::default() }
    }

    fn push(&mut self, problem: String) {
        self.found.push(problem);
    }
}

/// A missing or overlong object is a problem to report; a store that fails is not.
fn found<T>(result: Outcome<T>, name: &ObjectName, problems: &mut Problems) -> Outcome<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Integrity) => {
            problems.push(format!("{name}: {failure}"));
            Ok(None)
        }
        Err(failure) if failure.kind == Kind::Refused => {
            problems.withheld += 1;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

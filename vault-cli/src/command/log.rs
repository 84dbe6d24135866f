//! `seqvault log`: the signed history, entry by entry, with what became of each. Needs no key.

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::Value;
use vault_core::ids::{CardId, DatasetId, EntryHash, LedgerId, MemberId};
use vault_core::json;
use vault_core::ledger::fold::{Judged, Verdict, entry_hash};
use vault_core::ledger::statement::Entry;

use crate::error::{Failure, Outcome};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// Show the signed history of the vault or of a dataset
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:\n  seqvault log\n  seqvault log run-42 --json")]
pub struct Args {
    /// The dataset; without it, the vault's own ledger
    dataset: Option<DatasetId>,
    /// Only entries from this number on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
}

#[derive(Serialize)]
struct Line {
    seq: u64,
    hash: EntryHash,
    verdict: &'static str,
    reason: Option<&'static str>,
    time: Option<u64>,
    author: Option<MemberId>,
    card: Option<CardId>,
    kind: Option<String>,
    body: Option<Value>,
}

/// Runs the verb.
///
/// # Errors
/// If the ledger can't be read or is behind what was seen.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let mut session = Session::open_even_if_stopped(globals).await?;
    let (ledger, judged, stop) = match &args.dataset {
        Some(id) => {
            let state = session.dataset_even_if_stopped(id).await?;
            (LedgerId::Dataset(id.clone()), state.judged().to_vec(), state.stop().cloned())
        }
        None => (LedgerId::Vault, session.vault.judged().to_vec(), session.vault.stop().cloned()),
    };
    let entries = session.client.entries(&ledger, args.from).await?;
    let from = usize::try_from(args.from).unwrap_or(usize::MAX);
    let verdicts = judged.get(from..).unwrap_or_default();
    let before = match (args.from.checked_sub(1), &args.dataset) {
        (Some(before), _) => usize::try_from(before).ok().and_then(|i| judged.get(i)).map(|j| j.hash),
        (None, Some(_)) => Some(EntryHash(session.vault.id().0)),
        (None, None) => None,
    };
    check_same(before, &entries, verdicts)?;
    let lines: Vec<Line> = (args.from..)
        .zip(entries.iter().zip(verdicts))
        .map(|(seq, (bytes, judged))| line(seq, bytes, judged))
        .collect();
    globals.output().result(&lines, || {
        let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
        output::table(&["ENTRY", "TIME", "AUTHOR", "KIND", "WHAT"], &rows)
    })?;
    match stop {
        Some(stop) => Err(stop.into()),
        None => Ok(()),
    }
}

/// What is shown has to be what was judged: the entries were read a second time.
fn check_same(before: Option<EntryHash>, entries: &[bytes::Bytes], verdicts: &[Judged]) -> Outcome<()> {
    let mut before = before;
    let is_same = |(stored, judged): (&bytes::Bytes, &Judged)| {
        before = Some(entry_hash(before, stored));
        before == Some(judged.hash)
    };
    if entries.len() >= verdicts.len() && entries.iter().zip(verdicts).all(is_same) {
        return Ok(());
    }
    Err(Failure::integrity("an entry was changed while it was read")
        .hint("run the same command again; if it stays, run `seqvault doctor` and ask an officer"))
}

fn line(seq: u64, bytes: &[u8], judged: &Judged) -> Line {
    let (verdict, reason) = match judged.verdict {
        Verdict::Applied => ("applied", None),
        Verdict::Skipped => ("skipped", None),
        Verdict::Void(reason) => ("void", Some(reason)),
    };
    let parsed = Entry::parse(bytes).ok();
    let payload = parsed.as_ref().and_then(|e| json::parse_value(&e.envelope.payload).ok());
    let frame = parsed.as_ref().map(|e| e.said.frame());
    Line {
        seq,
        hash: judged.hash,
        verdict,
        reason,
        time: frame.map(|f| f.time),
        author: frame.map(|f| f.author.clone()),
        card: frame.map(|f| f.card),
        kind: payload.as_ref().and_then(|p| p.get("kind")).and_then(Value::as_str).map(str::to_owned),
        body: payload.and_then(|mut p| p.get_mut("body").map(Value::take)),
    }
}

fn row(line: &Line) -> Vec<String> {
    let what = match line.reason {
        Some(reason) => format!("VOID: {reason}"),
        None => line.body.as_ref().map_or_else(String::new, summary),
    };
    vec![
        line.seq.to_string(),
        line.time.map_or_else(String::new, output::time),
        line.author.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string),
        line.kind.clone().unwrap_or_default(),
        what,
    ]
}

/// The members of a body that people look for, in one line.
fn summary(body: &Value) -> String {
    let mut parts = Vec::new();
    let terms = body.get("terms").unwrap_or(body);
    for name in
        ["member", "role", "dataset", "epoch", "count", "upload", "manifest", "on", "title", "reason", "ends", "level"]
    {
        let value = terms.get(name).or_else(|| body.get(name));
        match value {
            Some(Value::String(text)) if !text.is_empty() => {
                let text = if text.len() == 32 && matches!(name, "upload" | "manifest") {
                    text.get(..8).unwrap_or(text)
                } else {
                    text
                };
                parts.push(format!("{name} {text}"));
            }
            Some(Value::Number(n)) if name == "ends" => {
                parts.push(format!("until {}", n.as_u64().map_or_else(String::new, output::time)))
            }
            Some(Value::Number(n)) => parts.push(format!("{name} {n}")),
            Some(Value::Bool(on)) => parts.push(if *on { "given".to_owned() } else { "taken".to_owned() }),
            Some(Value::Object(inner)) if name == "epoch" => {
                parts.push(format!(
                    "sealed to {} cards",
                    inner.get("seals").and_then(Value::as_array).map_or(0, Vec::len)
                ));
            }
            _ => {}
        }
    }
    if let Some(manifests) = body.get("manifests").and_then(Value::as_array) {
        let files: u64 = manifests.iter().filter_map(|m| m.get("files").and_then(Value::as_u64)).sum();
        let bytes: u64 = manifests.iter().filter_map(|m| m.pointer("/packs/bytes").and_then(Value::as_u64)).sum();
        parts.push(format!("{files} files, {} sealed", output::bytes(bytes)));
    }
    if let Some(seals) = body.get("seals").and_then(Value::as_array) {
        parts.push(format!("{} seals", seals.len()));
    }
    parts.join(", ")
}

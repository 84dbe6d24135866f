//! Interim: fetching files one after the other. To be replaced by the transfer engine.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use vault_core::floe::{self, Opener};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::DatasetState;
use vault_core::manifest::{Candidate, FileRecord, VaultPath};
use vault_core::pack::PACK_LEN;

use crate::client::failed;
use crate::error::{Failure, Outcome};
use crate::keyring::Opened;
use crate::progress::Meter;
use crate::session::Session;
use crate::transfer::Progress;

pub async fn files(
    session: &Session,
    dataset: &DatasetState,
    opened: Vec<Opened>,
    chosen: &[(VaultPath, Candidate)],
    output: &Path,
    force: bool,
    meter: Arc<Meter>,
) -> Outcome<(u64, u64)> {
    let mut bytes = 0;
    for (path, candidate) in chosen {
        let (from, record) = crate::command::ls::find(&opened, candidate)?;
        let target = output.join(path.as_str());
        if target.exists() && !force {
            return Err(Failure::usage(format!("{} exists", target.display())));
        }
        let parent = target.parent().unwrap_or(output);
        fs::create_dir_all(parent).map_err(|e| Failure::file(parent, &e))?;
        let part = parent.join(format!(".{}.seqvault-part", path.file_name()));
        let mut file = fs::File::create(&part).map_err(|e| Failure::file(&part, &e))?;
        stream(session, dataset, from, record, 0..record.size, &mut file).await?;
        fs::rename(&part, &target).map_err(|e| Failure::file(&target, &e))?;
        bytes += record.size;
        meter.file();
    }
    Ok((chosen.len() as u64, bytes))
}

pub async fn range(session: &Session, dataset: &DatasetState, from: &Opened, record: &FileRecord, range: Range<u64>) -> Outcome<()> {
    let mut out = std::io::stdout();
    stream(session, dataset, from, record, range, &mut out).await
}

async fn stream(session: &Session, dataset: &DatasetState, from: &Opened, record: &FileRecord, range: Range<u64>, out: &mut impl Write) -> Outcome<()> {
    let scope = session.scope(dataset.id());
    let aad = scope.file(&from.id, &from.committed.author, record.number);
    let place = record.place().map_err(|e| Failure::integrity(e.to_string()))?;
    let mut cache: Option<(u64, bytes::Bytes)> = None;
    let mut header = vec![0u8; floe::HEADER];
    read(session, dataset, from, record.offset, &mut header, &mut cache).await?;
    let opener = Opener::start(&record.key, aad.as_bytes(), &header).map_err(|e| Failure::integrity(e.to_string()))?;
    for position in place.segments_of(range.clone()) {
        let mut segment = vec![0u8; floe::segment_len(record.size, position).unwrap_or(0)];
        let at = record.offset + floe::segment_start(position);
        read(session, dataset, from, at, &mut segment, &mut cache).await?;
        let plain = opener.open_segment(position, floe::is_final_position(record.size, position), &mut segment).map_err(|e| Failure::integrity(e.to_string()))?;
        let start = position * floe::SEGMENT_PLAIN as u64;
        let from = range.start.saturating_sub(start) as usize;
        let to = (range.end - start).min(plain.len() as u64) as usize;
        out.write_all(plain.get(from..to).unwrap_or_default()).map_err(|e| crate::output::standard_output(&e))?;
    }
    Ok(())
}

async fn read(session: &Session, dataset: &DatasetState, from: &Opened, offset: u64, buffer: &mut [u8], cache: &mut Option<(u64, bytes::Bytes)>) -> Outcome<()> {
    let mut done = 0;
    while done < buffer.len() {
        let at = offset + done as u64;
        let index = at / u64::from(PACK_LEN);
        if cache.as_ref().is_none_or(|(i, _)| *i != index) {
            let entry = &from.packs.packs()[index as usize];
            let name = ObjectName::Pack { dataset: dataset.id().clone(), upload: from.committed.upload, pack: entry.name };
            let bytes = session.client.get(&name, u64::from(entry.length)).await.map_err(failed(&name))?;
            entry.check(&bytes).map_err(|e| Failure::integrity(format!("object {name}: {e}")))?;
            *cache = Some((index, bytes));
        }
        let (_, pack) = cache.as_ref().unwrap();
        let inside = (at % u64::from(PACK_LEN)) as usize;
        let n = (pack.len() - inside).min(buffer.len() - done);
        buffer[done..done + n].copy_from_slice(&pack[inside..inside + n]);
        done += n;
    }
    Ok(())
}

//! Records of a journal to bytes and back. Pure; the bytes are plaintext with keys and are sealed by the caller.
//!
//! Not part of the format: a journal is read by the version that wrote it, on the machine that wrote it. Integers are
//! big-endian; byte strings have their length before them, as `u32`.

use std::sync::Arc;

use bytes::Bytes;
use vault_core::ids::{Digest, ManifestId, PackName};
use vault_core::manifest::VaultPath;
use vault_core::pack::PackEntry;
use vault_core::secret::Secret32;
use zeroize::Zeroizing;

use super::super::source::Stamp;
use super::state::{Checkpoint, Done, Pack, Partial, Plan, PlannedFile, Record, Sent, Straddle};

const PLAN: u8 = 1;
const REPLAN: u8 = 2;
const SENT: u8 = 3;
const SEALED: u8 = 4;
const ACKED: u8 = 5;
const SETTLED: u8 = 6;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) fn encode(record: &Record) -> Zeroizing<Vec<u8>> {
    // Counted first: a buffer that grows leaves copies of keys behind.
    let mut count = Out::Count(0);
    put_record(&mut count, record);
    let Out::Count(len) = count else { return Zeroizing::default() };
    let mut out = Out::Bytes(Zeroizing::new(Vec::with_capacity(len)));
    put_record(&mut out, record);
    let Out::Bytes(bytes) = out else { return Zeroizing::default() };
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Record, Malformed> {
    let mut from = In(bytes);
    let record = take_record(&mut from)?;
    if from.0.is_empty() { Ok(record) } else { Err(Malformed) }
}

enum Out {
    Count(usize),
    Bytes(Zeroizing<Vec<u8>>),
}

impl Out {
    fn raw(&mut self, bytes: &[u8]) {
        match self {
            Self::Count(n) => *n += bytes.len(),
            Self::Bytes(out) => out.extend_from_slice(bytes),
        }
    }

    fn u32(&mut self, n: u32) {
        self.raw(&n.to_be_bytes());
    }

    fn u64(&mut self, n: u64) {
        self.raw(&n.to_be_bytes());
    }

    // Nothing here comes near 4 GiB.
    fn count(&mut self, n: usize) {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    fn option<T>(&mut self, value: Option<&T>, put: impl FnOnce(&mut Self, &T)) {
        self.raw(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn list<'a, T: 'a>(&mut self, items: impl ExactSizeIterator<Item = &'a T>, mut put: impl FnMut(&mut Self, &T)) {
        self.count(items.len());
        items.for_each(|item| put(self, item));
    }
}

fn put_record(out: &mut Out, record: &Record) {
    match record {
        Record::Plan { ordinal, plan } => {
            out.raw(&[PLAN]);
            out.u32(*ordinal);
            out.raw(&plan.manifest.0);
            out.raw(plan.key.expose());
            out.raw(plan.salt.expose());
            out.list(plan.files.iter(), put_file);
        }
        Record::Replan { ordinal, from, files, after } => {
            out.raw(&[REPLAN]);
            out.u32(*ordinal);
            out.u32(*from);
            out.list(files.iter(), put_file);
            out.option(after.as_ref(), |out, after| out.bytes(after));
        }
        Record::Sent { ordinal, index, sent } => {
            out.raw(&[SENT]);
            out.u32(*ordinal);
            out.u32(*index);
            put_pack(out, &sent.pack);
            out.option(sent.left.as_ref(), put_straddle);
            out.option(sent.right.as_ref(), put_straddle);
        }
        Record::Acked { ordinal, index } => {
            out.raw(&[ACKED]);
            out.u32(*ordinal);
            out.u32(*index);
        }
        Record::Settled { ordinal, found } => {
            out.raw(&[SETTLED]);
            out.u32(*ordinal);
            out.list(found.iter(), |out, index| out.u32(*index));
        }
        Record::Sealed { ordinal, object } => {
            out.raw(&[SEALED]);
            out.u32(*ordinal);
            out.bytes(object);
        }
    }
}

fn put_file(out: &mut Out, file: &Arc<PlannedFile>) {
    out.bytes(file.path.as_str().as_bytes());
    out.raw(file.key.expose());
    out.raw(&file.header);
}

fn put_pack(out: &mut Out, pack: &Pack) {
    out.raw(&pack.entry.name.0);
    out.u32(pack.entry.length);
    out.raw(&pack.entry.blake3.0);
    out.list(pack.groups.iter(), |out, group| out.raw(group));
    out.list(pack.checkpoint.done.iter(), |out, done| {
        out.u32(done.file);
        out.option(done.stamp.as_ref(), put_stamp);
        out.raw(&done.blake3.0);
    });
    out.option(pack.checkpoint.partial.as_ref(), |out, partial| {
        out.u32(partial.file);
        out.option(partial.stamp.as_ref(), put_stamp);
        out.u64(partial.consumed);
        out.raw(&partial.prefix.0);
    });
}

fn put_stamp(out: &mut Out, stamp: &Stamp) {
    out.u64(stamp.size);
    out.raw(&stamp.modified.to_be_bytes());
    out.u32(stamp.nanos);
}

fn put_straddle(out: &mut Out, straddle: &Straddle) {
    match straddle {
        Straddle::Whole { unit, head } => {
            out.raw(&[0]);
            out.bytes(unit);
            out.count(*head);
        }
        Straddle::After(bytes) => {
            out.raw(&[1]);
            out.bytes(bytes);
        }
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[n]| *n)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(|n| u32::from_be_bytes(*n))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(|n| u64::from_be_bytes(*n))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()? as usize;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn owned(&mut self) -> Result<Bytes, Malformed> {
        self.bytes().map(Bytes::copy_from_slice)
    }

    fn secret(&mut self) -> Result<Secret32, Malformed> {
        Secret32::from_slice(self.array::<32>()?).ok_or(Malformed)
    }

    fn digest(&mut self) -> Result<Digest, Malformed> {
        self.array().map(|bytes| Digest(*bytes))
    }

    fn option<T>(&mut self, take: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => take(self).map(Some),
            _ => Err(Malformed),
        }
    }

    // No room is reserved for a count that was read: the items themselves run out first.
    fn list<T>(&mut self, mut take: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.u32()?;
        (0..count).map(|_| take(self)).collect()
    }
}

fn take_record(from: &mut In<'_>) -> Result<Record, Malformed> {
    let kind = from.u8()?;
    let ordinal = from.u32()?;
    Ok(match kind {
        PLAN => {
            let manifest = ManifestId(*from.array()?);
            let (key, salt) = (Arc::new(from.secret()?), Arc::new(from.secret()?));
            Record::Plan { ordinal, plan: Plan { manifest, key, salt, files: from.list(take_file)? } }
        }
        REPLAN => {
            Record::Replan { ordinal, from: from.u32()?, files: from.list(take_file)?, after: from.option(In::owned)? }
        }
        SENT => {
            let index = from.u32()?;
            let (pack, left, right) = (take_pack(from)?, from.option(take_straddle)?, from.option(take_straddle)?);
            Record::Sent { ordinal, index, sent: Box::new(Sent { pack, left, right }) }
        }
        ACKED => Record::Acked { ordinal, index: from.u32()? },
        SETTLED => Record::Settled { ordinal, found: from.list(In::u32)? },
        SEALED => Record::Sealed { ordinal, object: from.owned()? },
        _ => return Err(Malformed),
    })
}

fn take_file(from: &mut In<'_>) -> Result<Arc<PlannedFile>, Malformed> {
    let path = std::str::from_utf8(from.bytes()?).ok().and_then(|path| VaultPath::parse(path).ok()).ok_or(Malformed)?;
    Ok(Arc::new(PlannedFile { path, key: from.secret()?, header: *from.array()? }))
}

fn take_pack(from: &mut In<'_>) -> Result<Pack, Malformed> {
    let entry = PackEntry { name: PackName(*from.array()?), length: from.u32()?, blake3: from.digest()? };
    let groups = from.list(|from| from.array().copied())?;
    let done =
        from.list(|from| Ok(Done { file: from.u32()?, stamp: from.option(take_stamp)?, blake3: from.digest()? }))?;
    let partial = from.option(|from| {
        Ok(Partial {
            file: from.u32()?,
            stamp: from.option(take_stamp)?,
            consumed: from.u64()?,
            prefix: from.digest()?,
        })
    })?;
    Ok(Pack { entry, groups, checkpoint: Checkpoint { done, partial } })
}

fn take_stamp(from: &mut In<'_>) -> Result<Stamp, Malformed> {
    Ok(Stamp { size: from.u64()?, modified: i64::from_be_bytes(*from.array()?), nanos: from.u32()? })
}

fn take_straddle(from: &mut In<'_>) -> Result<Straddle, Malformed> {
    match from.u8()? {
        0 => {
            let (unit, head) = (from.owned()?, from.u32()? as usize);
            if head > unit.len() { Err(Malformed) } else { Ok(Straddle::Whole { unit, head }) }
        }
        1 => from.owned().map(Straddle::After),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use vault_core::floe::HEADER;

    use super::*;

    fn examples() -> Vec<Record> {
        let file = |n: u8| {
            let path = format!("f{n}").parse().unwrap();
            Arc::new(PlannedFile { path, key: Secret32::take(&mut [n; 32]), header: [n; HEADER] })
        };
        let stamp = Stamp { size: 9, modified: -3, nanos: 7 };
        let pack = Pack {
            entry: PackEntry { name: PackName([1; 16]), length: 77, blake3: Digest([2; 32]) },
            groups: vec![[3; 32], [4; 32]],
            checkpoint: Checkpoint {
                done: vec![Done { file: 0, stamp: Some(stamp), blake3: Digest([5; 32]) }],
                partial: Some(Partial { file: 1, stamp: Some(stamp), consumed: 4, prefix: Digest([6; 32]) }),
            },
        };
        let plan = Plan {
            manifest: ManifestId([7; 16]),
            key: Arc::new(Secret32::take(&mut [8; 32])),
            salt: Arc::new(Secret32::take(&mut [9; 32])),
            files: vec![file(1), file(2)],
        };
        vec![
            Record::Plan { ordinal: 0, plan },
            Record::Replan { ordinal: 1, from: 2, files: vec![file(3)], after: Some(Bytes::from_static(b"abc")) },
            Record::Sent {
                ordinal: 0,
                index: 5,
                sent: Box::new(Sent {
                    pack,
                    left: Some(Straddle::Whole { unit: Bytes::from_static(b"unit"), head: 3 }),
                    right: Some(Straddle::After(Bytes::from_static(b"rest"))),
                }),
            },
            Record::Acked { ordinal: 0, index: 5 },
            Record::Settled { ordinal: 0, found: vec![2, 3] },
            Record::Sealed { ordinal: 3, object: Bytes::from_static(b"sealed") },
        ]
    }

    #[test]
    fn records_read_back_and_no_part_of_one_does() {
        for record in examples() {
            let bytes = encode(&record);
            assert_eq!(bytes.len(), bytes.capacity(), "it grew");
            assert_eq!(encode(&decode(&bytes).unwrap()), bytes);
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len]).is_err(), "{record:?} {len}");
            }
            assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_count_that_lies_is_malformed() {
        let mut bytes = vec![PLAN, 0, 0, 0, 0];
        bytes.extend_from_slice(&[0; 16 + 32 + 32]);
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&bytes).unwrap_err(), Malformed);
    }
}

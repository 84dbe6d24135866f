//! What an interrupted put remembers, as a value: plans, acknowledged packs, and the bytes that join them to the rest.
//!
//! Pure. A pack is noted before it is *sent*, and *kept* once the store acknowledged it; kept packs may have holes between them, as packs
//! are sent side by side. What a run sent and never heard of is asked for by the next one: kept if it is there, forgotten if not. A sealed segment that lies across the border of two packs (a *straddle*) is remembered as ciphertext while
//! one of the two is kept and the other is not: so the other can be made again without sealing that segment again, and no
//! IV is ever used twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use vault_core::floe::HEADER;
use vault_core::ids::{Digest, ManifestId};
use vault_core::manifest::VaultPath;
use vault_core::pack::{GroupValue, PACK_LEN, PackEntry};
use vault_core::secret::Secret32;

use super::super::source::Stamp;

/// A file that is to be sealed: its number is its place in the plan.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct PlannedFile {
    pub(in super::super) path: VaultPath,
    pub(in super::super) key: Secret32,
    /// The FLOE header that was drawn for the key.
    pub(in super::super) header: [u8; HEADER],
}

/// A manifest in the making.
#[derive(Debug, Clone)]
pub(in super::super) struct Plan {
    pub(in super::super) manifest: ManifestId,
    pub(in super::super) key: Arc<Secret32>,
    pub(in super::super) salt: Arc<Secret32>,
    pub(in super::super) files: Vec<Arc<PlannedFile>>,
}

/// A file whose last byte lies in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Done {
    pub(in super::super) file: u32,
    /// None for a stream.
    pub(in super::super) stamp: Option<Stamp>,
    pub(in super::super) blake3: Digest,
}

/// The file that goes on in the next pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Partial {
    pub(in super::super) file: u32,
    /// None for a stream.
    pub(in super::super) stamp: Option<Stamp>,
    /// Bytes of plaintext read by the end of the pack, a straddling segment included.
    pub(in super::super) consumed: u64,
    /// BLAKE3 of those.
    pub(in super::super) prefix: Digest,
}

/// What was read by the end of a pack, to be compared when it is read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Checkpoint {
    pub(in super::super) done: Vec<Done>,
    pub(in super::super) partial: Option<Partial>,
}

/// Ciphertext across the border of two packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Straddle {
    /// A header or sealed segment, of which `head` bytes lie before the border.
    Whole { unit: Bytes, head: usize },
    /// The first bytes of the pack after the border, at least what lies of the segment there.
    After(Bytes),
}

/// A pack, and what was read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Pack {
    pub(in super::super) entry: PackEntry,
    pub(in super::super) groups: Vec<GroupValue>,
    pub(in super::super) checkpoint: Checkpoint,
}

/// A pack on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Sent {
    pub(in super::super) pack: Pack,
    /// Across the border before it, unless that is known already.
    pub(in super::super) left: Option<Straddle>,
    /// Across the border after it, likewise.
    pub(in super::super) right: Option<Straddle>,
}

/// One change of the state; what the journal's file holds in order.
#[derive(Debug)]
pub(in super::super) enum Record {
    /// A manifest begins, or begins anew: what was known of it is void.
    Plan { ordinal: u32, plan: Plan },
    /// From one file on the plan is another; `after` is the straddle at the first pack that is dropped.
    Replan { ordinal: u32, from: u32, files: Vec<Arc<PlannedFile>>, after: Option<Bytes> },
    /// A pack is sealed and about to be sent, with what lies across its two borders.
    Sent { ordinal: u32, index: u32, sent: Box<Sent> },
    /// The store acknowledged the pack that was sent as this one.
    Acked { ordinal: u32, index: u32 },
    /// A later run found these among the packs that were sent and not acknowledged. What came of the others does not matter any more, even
    /// if they come to be: what is made in their place does not fit them.
    Settled { ordinal: u32, found: Vec<u32> },
    /// All packs are acknowledged, and this is the sealed manifest.
    Sealed { ordinal: u32, object: Bytes },
}

/// What is known of one manifest.
#[derive(Debug, Clone)]
pub(in super::super) struct ManifestState {
    pub(in super::super) plan: Plan,
    /// Those that were acknowledged.
    pub(in super::super) packs: BTreeMap<u32, Pack>,
    /// Those that were not, or not yet.
    pub(in super::super) sent: BTreeMap<u32, Sent>,
    /// By the pack after the border.
    pub(in super::super) straddles: BTreeMap<u32, Straddle>,
    pub(in super::super) sealed: Option<Bytes>,
}

/// What is known of an upload: its manifests in order.
#[derive(Debug, Default)]
pub(in super::super) struct State {
    manifests: Vec<ManifestState>,
}

/// A record that can't follow those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record does not fit those before it")]
pub(in super::super) struct Misfit;

impl State {
    pub(in super::super) fn manifest(&self, ordinal: u32) -> Option<&ManifestState> {
        self.manifests.get(ordinal as usize)
    }

    /// Takes in the next record.
    pub(in super::super) fn apply(&mut self, record: Record) -> Result<(), Misfit> {
        match record {
            Record::Plan { ordinal, plan } => self.begin(ordinal, plan),
            Record::Replan { ordinal, from, files, after } => self.open(ordinal)?.replan(from, files, after),
            Record::Sent { ordinal, index, sent } => {
                self.open(ordinal)?.sent.insert(index, *sent);
                Ok(())
            }
            Record::Acked { ordinal, index } => self.open(ordinal)?.acked(index),
            Record::Settled { ordinal, found } => self.open(ordinal)?.settled(&found),
            Record::Sealed { ordinal, object } => {
                self.open(ordinal)?.sealed = Some(object);
                Ok(())
            }
        }
    }

    /// The fewest records that give this state.
    pub(in super::super) fn records(&self) -> Vec<Record> {
        (0..).zip(&self.manifests).flat_map(|(ordinal, manifest)| manifest.records(ordinal)).collect()
    }

    fn begin(&mut self, ordinal: u32, plan: Plan) -> Result<(), Misfit> {
        let (packs, sent, straddles) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let manifest = ManifestState { plan, packs, sent, straddles, sealed: None };
        let known = self.manifests.len();
        match self.manifests.get_mut(ordinal as usize) {
            Some(old) => *old = manifest,
            None if ordinal as usize == known => self.manifests.push(manifest),
            None => return Err(Misfit),
        }
        Ok(())
    }

    fn open(&mut self, ordinal: u32) -> Result<&mut ManifestState, Misfit> {
        self.manifests.get_mut(ordinal as usize).filter(|manifest| manifest.sealed.is_none()).ok_or(Misfit)
    }
}

impl ManifestState {
    /// The first acknowledged pack that a change of the plan from file `from` on makes void.
    pub(in super::super) fn first_void(&self, from: u32) -> Option<u32> {
        // A short pack is the stream's last: it can't stay if other files may follow.
        let void = |pack: &Pack| pack.entry.length < PACK_LEN || pack.checkpoint.touches(from);
        self.packs.iter().find(|(_, pack)| void(pack)).map(|(index, _)| *index)
    }

    /// What is known of files without reading them, by number; streams have nothing.
    pub(in super::super) fn stamps(&self) -> HashMap<u32, Stamp> {
        self.packs.values().flat_map(|pack| pack.checkpoint.stamps()).collect()
    }

    fn replan(&mut self, from: u32, files: Vec<Arc<PlannedFile>>, after: Option<Bytes>) -> Result<(), Misfit> {
        if from as usize > self.plan.files.len() {
            return Err(Misfit);
        }
        self.sent.clear();
        if let Some(void) = self.first_void(from) {
            self.packs.split_off(&void);
            if let Some(after) = after {
                self.straddles.insert(void, Straddle::After(after));
            }
        }
        self.plan.files.truncate(from as usize);
        self.plan.files.extend(files);
        self.forget_straddles();
        Ok(())
    }

    fn acked(&mut self, index: u32) -> Result<(), Misfit> {
        let Sent { pack, left, right } = self.sent.remove(&index).ok_or(Misfit)?;
        self.packs.insert(index, pack);
        left.map(|left| self.straddles.insert(index, left));
        right.map(|right| self.straddles.insert(index.saturating_add(1), right));
        self.forget_straddles();
        Ok(())
    }

    fn settled(&mut self, found: &[u32]) -> Result<(), Misfit> {
        found.iter().try_for_each(|index| self.acked(*index))?;
        self.sent.clear();
        Ok(())
    }

    // Needed only while exactly one of the two packs is kept.
    fn forget_straddles(&mut self) {
        let kept = |index: Option<u32>| index.is_some_and(|index| self.packs.contains_key(&index));
        self.straddles.retain(|index, _| kept(Some(*index)) != kept(index.checked_sub(1)));
    }

    fn records(&self, ordinal: u32) -> Vec<Record> {
        let mut records = vec![Record::Plan { ordinal, plan: self.plan.clone() }];
        for (index, pack) in &self.packs {
            let left = self.straddles.get(index).cloned();
            let right = self.straddles.get(&index.saturating_add(1)).cloned();
            let sent = Box::new(Sent { pack: pack.clone(), left, right });
            records.extend([Record::Sent { ordinal, index: *index, sent }, Record::Acked { ordinal, index: *index }]);
        }
        let on_their_way = self.sent.iter().map(|(index, sent)| (*index, Box::new(sent.clone())));
        records.extend(on_their_way.map(|(index, sent)| Record::Sent { ordinal, index, sent }));
        records.extend(self.sealed.clone().map(|object| Record::Sealed { ordinal, object }));
        records
    }
}

impl Checkpoint {
    /// The first file about which two checkpoints of one pack disagree.
    pub(in super::super) fn first_difference(&self, other: &Self) -> Option<u32> {
        let lists = |checkpoint: &Self| {
            let done = checkpoint.done.iter().map(|done| (done.file, Some(done.clone()), None));
            let partial = checkpoint.partial.iter().map(|part| (part.file, None, Some(part.clone())));
            done.chain(partial).collect::<Vec<_>>()
        };
        let (a, b) = (lists(self), lists(other));
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        a.get(same).into_iter().chain(b.get(same)).map(|(file, ..)| *file).min()
    }

    /// The last file of which the pack holds anything.
    pub(in super::super) fn last_file(&self) -> Option<u32> {
        let done = self.done.last().map(|done| done.file);
        self.partial.as_ref().map(|part| part.file).or(done)
    }

    fn stamps(&self) -> impl Iterator<Item = (u32, Stamp)> {
        let done = self.done.iter().map(|done| (done.file, done.stamp));
        let partial = self.partial.iter().map(|part| (part.file, part.stamp));
        done.chain(partial).filter_map(|(file, stamp)| Some((file, stamp?)))
    }

    // Whether the pack holds anything of file `from` or a later one.
    fn touches(&self, from: u32) -> bool {
        self.done.iter().any(|done| done.file >= from) || self.partial.as_ref().is_some_and(|part| part.file >= from)
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests {
    use vault_core::ids::PackName;

    use super::*;

    fn planned(n: u8) -> Arc<PlannedFile> {
        Arc::new(PlannedFile {
            path: format!("f{n}").parse().unwrap(),
            key: Secret32::take(&mut [n; 32]),
            header: [n; HEADER],
        })
    }

    fn plan(files: u8) -> Plan {
        Plan {
            manifest: ManifestId([1; 16]),
            key: Arc::new(Secret32::take(&mut [2; 32])),
            salt: Arc::new(Secret32::take(&mut [3; 32])),
            files: (0..files).map(planned).collect(),
        }
    }

    fn sent(index: u32, file: u32, length: u32) -> Record {
        let whole = |index: u32| Straddle::Whole { unit: Bytes::from(index.to_be_bytes().to_vec()), head: 1 };
        let partial = Partial { file, stamp: None, consumed: 5, prefix: Digest([0; 32]) };
        let entry = PackEntry { name: PackName([index as u8; 16]), length, blake3: Digest([4; 32]) };
        let pack = Pack { entry, groups: vec![], checkpoint: Checkpoint { done: vec![], partial: Some(partial) } };
        let (left, right) = ((index > 0).then(|| whole(index)), Some(whole(index + 1)));
        Record::Sent { ordinal: 0, index, sent: Box::new(Sent { pack, left, right }) }
    }

    fn keep(state: &mut State, index: u32, file: u32, length: u32) {
        state.apply(sent(index, file, length)).unwrap();
        state.apply(Record::Acked { ordinal: 0, index }).unwrap();
    }

    fn state(packs: &[(u32, u32)]) -> State {
        let mut state = State::default();
        state.apply(Record::Plan { ordinal: 0, plan: plan(9) }).unwrap();
        for (index, file) in packs {
            keep(&mut state, *index, *file, PACK_LEN);
        }
        state
    }

    fn straddles(state: &State) -> Vec<u32> {
        state.manifest(0).unwrap().straddles.keys().copied().collect()
    }

    #[test]
    fn straddles_are_kept_at_the_borders_of_what_is_kept() {
        assert_eq!(straddles(&state(&[(0, 0), (1, 1), (2, 2)])), [3]);
        assert_eq!(straddles(&state(&[(0, 0), (2, 2)])), [1, 2, 3]);
        assert_eq!(straddles(&state(&[(0, 0), (2, 2), (1, 1)])), [3]);
        assert_eq!(straddles(&state(&[(3, 0)])), [3, 4]);
    }

    #[test]
    fn a_new_plan_drops_the_packs_that_it_touches() {
        let mut state = state(&[(0, 0), (1, 1), (2, 1), (3, 2)]);
        assert_eq!(state.manifest(0).unwrap().first_void(2), Some(3));
        assert_eq!(state.manifest(0).unwrap().first_void(1), Some(1));
        assert_eq!(state.manifest(0).unwrap().first_void(3), None);
        let after = Some(Bytes::from_static(b"tail"));
        state.apply(Record::Replan { ordinal: 0, from: 1, files: vec![planned(7)], after }).unwrap();
        let manifest = state.manifest(0).unwrap();
        assert_eq!(manifest.packs.keys().copied().collect::<Vec<_>>(), [0]);
        assert_eq!(manifest.straddles.get(&1), Some(&Straddle::After(Bytes::from_static(b"tail"))));
        assert_eq!(straddles(&state), [1]);
        let manifest = state.manifest(0).unwrap();
        assert_eq!(manifest.plan.files.iter().map(|file| file.path.to_string()).collect::<Vec<_>>(), ["f0", "f7"]);
    }

    #[test]
    fn a_short_last_pack_is_dropped_when_files_may_follow() {
        let mut state = state(&[(0, 0)]);
        keep(&mut state, 1, 1, 99);
        assert_eq!(state.manifest(0).unwrap().first_void(9), Some(1));
    }

    #[test]
    fn the_fewest_records_give_the_same_state() {
        for packs in [&[][..], &[(0, 0), (1, 0), (3, 2)], &[(2, 1)]] {
            let mut state = state(packs);
            state.apply(sent(7, 3, PACK_LEN)).unwrap();
            let mut again = State::default();
            state.records().into_iter().try_for_each(|record| again.apply(record)).unwrap();
            let (a, b) = (state.manifest(0).unwrap(), again.manifest(0).unwrap());
            assert_eq!((&a.packs, &a.straddles, &a.sent), (&b.packs, &b.straddles, &b.sent));
            assert_eq!(b.sent.keys().collect::<Vec<_>>(), [&7]);
            assert_eq!(a.plan.files, b.plan.files);
        }
    }

    #[test]
    fn records_out_of_place_are_refused() {
        let mut state = State::default();
        assert_eq!(state.apply(Record::Plan { ordinal: 1, plan: plan(1) }), Err(Misfit));
        assert_eq!(state.apply(Record::Sealed { ordinal: 0, object: Bytes::new() }), Err(Misfit));
        state.apply(Record::Plan { ordinal: 0, plan: plan(1) }).unwrap();
        assert_eq!(state.apply(Record::Replan { ordinal: 0, from: 2, files: vec![], after: None }), Err(Misfit));
        state.apply(Record::Sealed { ordinal: 0, object: Bytes::new() }).unwrap();
        assert_eq!(state.apply(sent(0, 0, PACK_LEN)), Err(Misfit));
        state.apply(Record::Plan { ordinal: 0, plan: plan(1) }).unwrap();
        assert!(state.manifest(0).unwrap().sealed.is_none());
        assert_eq!(state.apply(Record::Acked { ordinal: 0, index: 0 }), Err(Misfit));
        assert_eq!(state.apply(Record::Settled { ordinal: 0, found: vec![0] }), Err(Misfit));
    }

    #[test]
    fn of_what_was_sent_only_what_was_found_is_kept() {
        let mut state = state(&[(0, 0)]);
        for index in [1, 2, 3] {
            state.apply(sent(index, 1, PACK_LEN)).unwrap();
        }
        // Nothing rests on what is only under way.
        assert_eq!(state.manifest(0).unwrap().first_void(1), None);
        assert_eq!(straddles(&state), [1]);
        state.apply(Record::Settled { ordinal: 0, found: vec![2] }).unwrap();
        let manifest = state.manifest(0).unwrap();
        assert_eq!(manifest.packs.keys().collect::<Vec<_>>(), [&0, &2]);
        assert!(manifest.sent.is_empty(), "what comes too late would be taken for what is made in its place");
        assert_eq!(straddles(&state), [1, 2, 3]);
    }

    #[test]
    fn a_new_plan_forgets_what_was_under_way() {
        let mut state = state(&[(0, 0)]);
        state.apply(sent(1, 1, PACK_LEN)).unwrap();
        state.apply(Record::Replan { ordinal: 0, from: 5, files: vec![], after: None }).unwrap();
        assert!(state.manifest(0).unwrap().sent.is_empty());
    }
}

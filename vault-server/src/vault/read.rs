//! Ledgers as bytes: every entry from a number on, without gaps, by bundles where they prove themselves. Spec section 4.3.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use vault_core::ids::LedgerId;
use vault_core::layout::{BundleSize, ObjectName, ledger_prefix};
use vault_core::ledger::statement::MAX_ENTRY;

use super::{Vault, bundle};
use crate::store::StoreError;

/// Requests at once while a ledger is read.
const AT_ONCE: usize = 16;

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry is missing although a later one exists: the store lost it or somebody deleted it.
    #[error("ledger {ledger}: entry {missing} is missing, and entry {found} exists")]
    Gap {
        /// The ledger.
        ledger: LedgerId,
        /// The first missing number.
        missing: u64,
        /// The next number that exists.
        found: u64,
    },
}

/// What a listing says of a ledger.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The numbers from the one asked for to the last, without gaps.
    pub(super) numbers: Range<u64>,
    /// How long each of these entries is.
    sizes: Vec<u64>,
    /// The bundles that exist, by size and number.
    pub(super) bundles: HashSet<(BundleSize, u64)>,
    /// What the listing shows of the last entry, where it has one of the numbers.
    pub(super) mark: Option<Mark>,
}

/// How a listing shows an entry, in a store that tells one version of an object from another. Whoever keeps one keeps it with the entries that
/// end with this one, and with no others: what looks the same at its number is taken for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    seq: u64,
    size: u64,
    modified: i64,
    e_tag: String,
}

impl Mark {
    /// Whether it is of the last of so many entries.
    pub(super) const fn ends(&self, entries: u64) -> bool {
        self.seq + 1 == entries
    }
}

/// Entries, and how a listing showed the last one before they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Marked {
    pub(super) entries: Vec<Bytes>,
    pub(super) mark: Option<Mark>,
}

impl Index {
    /// Cuts it to what `max` bytes take, or to the first entry. How many bytes that is, and whether anything was cut off.
    fn cut(&mut self, max: u64) -> (u64, bool) {
        let (mut bytes, mut taken) = (0_u64, 0);
        for size in &self.sizes {
            let with = bytes.saturating_add(*size);
            if with > max && taken > 0 {
                break;
            }
            (bytes, taken) = (with, taken + 1);
        }
        let more = taken < self.sizes.len();
        if more {
            self.sizes.truncate(taken);
            self.numbers.end = self.numbers.start + taken as u64;
            self.mark = None;
        }
        (bytes, more)
    }
}

impl Marked {
    /// Entries of which no listing told.
    pub(super) const fn unmarked(entries: Vec<Bytes>) -> Self {
        Self { entries, mark: None }
    }

    /// At most so many of them. What is cut off takes the mark with it, which is the last one's.
    pub(super) fn first(mut self, count: usize) -> Self {
        if self.entries.len() > count {
            self.entries.truncate(count);
            self.mark = None;
        }
        self
    }
}

/// Entries that one answer takes, as a listing shows them. Entries are written once, so they may be read some time after.
#[derive(Debug, Clone)]
pub struct Part {
    ledger: LedgerId,
    index: Arc<Index>,
    /// How many bytes they have.
    pub bytes: u64,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Part {
    /// Which entries they are.
    #[must_use]
    pub fn numbers(&self) -> Range<u64> {
        self.index.numbers.clone()
    }
}

/// A part of a ledger that is read in one piece.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Entry(u64),
    Bundle(BundleSize, u64),
}

impl Vault {
    /// Every ledger that has an entry, and the number of its last one.
    ///
    /// # Errors
    /// If the store fails or a ledger has a gap.
    pub async fn ledgers(&self) -> Result<Vec<(LedgerId, u64)>, LedgerError> {
        let ids = self.ledger_ids().await?;
        let heads = stream::iter(ids).map(|ledger| async {
            let last = self.index(&ledger, 0).await?.numbers.end.checked_sub(1);
            Ok::<_, LedgerError>(last.map(|last| (ledger, last)))
        });
        heads.buffered(AT_ONCE).try_filter_map(async |head| Ok(head)).try_collect().await
    }

    /// The stored bytes of every entry from a number on; none if there is none of that number.
    ///
    /// # Errors
    /// If the store fails or there is a gap after `from`.
    pub async fn entries(&self, ledger: &LedgerId, from: u64) -> Result<Vec<Bytes>, LedgerError> {
        let index = self.index(ledger, from).await?;
        self.read(ledger, &index).await
    }

    /// As [`Self::entries`], without bundles: for a reader whose fold of those stopped at a fork.
    ///
    /// A void entry says of the one before it whatever its writer liked, so where one is the last of a bundle it can make a wrong bundle look
    /// right. The next entry that counts shows that, as a fork which the single entries do not have.
    ///
    /// # Errors
    /// As [`Self::entries`].
    pub async fn single_entries(&self, ledger: &LedgerId, from: u64) -> Result<Vec<Bytes>, LedgerError> {
        let mut index = self.index(ledger, from).await?;
        index.bundles.clear();
        self.read(ledger, &index).await
    }

    /// What an answer of `max` bytes takes of a ledger from a number on; its first entry however long that is. No entry is read for it, so
    /// that there can be room for them before they are.
    ///
    /// # Errors
    /// As [`Self::entries`].
    pub async fn part(&self, ledger: &LedgerId, from: u64, single: bool, max: u64) -> Result<Part, LedgerError> {
        let mut index = self.index(ledger, from).await?;
        if single {
            index.bundles.clear();
        }
        let (bytes, more) = index.cut(max);
        Ok(Part { ledger: ledger.clone(), index: Arc::new(index), bytes, more })
    }

    /// The stored bytes of a part's entries.
    ///
    /// # Errors
    /// If the store fails, or an entry is gone.
    pub async fn entries_of(&self, part: &Part) -> Result<Vec<Bytes>, LedgerError> {
        self.read(&part.ledger, &part.index).await
    }

    /// The number that is free in a ledger.
    ///
    /// # Errors
    /// If the store fails or there is a gap behind what is known.
    pub async fn next(&self, ledger: &LedgerId) -> Result<u64, LedgerError> {
        let known = self.known_entries(ledger);
        Ok(self.index(ledger, known.saturating_sub(1)).await?.numbers.end)
    }

    /// As [`Self::entries`], with what the listing showed of the last one.
    pub(super) async fn marked_entries(&self, ledger: &LedgerId, from: u64) -> Result<Marked, LedgerError> {
        let index = self.index(ledger, from).await?;
        self.read_marked(ledger, &index).await
    }

    pub(super) async fn read_marked(&self, ledger: &LedgerId, index: &Index) -> Result<Marked, LedgerError> {
        Ok(Marked { entries: self.read(ledger, index).await?, mark: index.mark.clone() })
    }

    async fn read(&self, ledger: &LedgerId, index: &Index) -> Result<Vec<Bytes>, LedgerError> {
        let pieces = plan(index);
        let read = stream::iter(pieces).map(|piece| self.read_piece(ledger, piece, &index.bundles));
        let read: Vec<Vec<Bytes>> = read.buffered(AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The stored bytes of one entry, if it exists.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn entry(&self, ledger: &LedgerId, seq: u64) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&entry_name(ledger, seq), MAX_ENTRY as u64).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The names of all ledgers. Nothing of them is read: rubbish in one is for whoever reads it to find.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn ledger_names(&self) -> Result<Vec<LedgerId>, StoreError> {
        self.ledger_ids().await
    }

    /// The ids of all ledgers, the vault's first.
    pub(super) async fn ledger_ids(&self) -> Result<Vec<LedgerId>, StoreError> {
        let (datasets, exposures) =
            tokio::try_join!(self.store.folders("ledger/dataset/"), self.store.folders("ledger/exposure/"))?;
        let mut ids = vec![LedgerId::Vault];
        for (kind, names) in [("dataset", datasets), ("exposure", exposures)] {
            ids.extend(names.iter().filter_map(|name| format!("{kind}/{name}").parse::<LedgerId>().ok()));
        }
        Ok(ids)
    }

    /// Lists a ledger from a number on and proves that no number is missing.
    pub(super) async fn index(&self, ledger: &LedgerId, from: u64) -> Result<Index, LedgerError> {
        let prefix = ledger_prefix(ledger);
        let found = match from.checked_sub(1) {
            None => self.store.list(&prefix).await?,
            Some(before) => self.store.list_after(&prefix, &entry_name(ledger, before)).await?,
        };
        let (mut seqs, mut bundles, mut mark) = (BTreeMap::new(), HashSet::new(), None::<Mark>);
        for object in found {
            match object.name {
                ObjectName::Entry { seq, .. } => {
                    seqs.insert(seq, object.size);
                    if mark.as_ref().is_none_or(|mark| mark.seq < seq) {
                        let (size, modified) = (object.size, object.modified);
                        mark = object.e_tag.map(|e_tag| Mark { seq, size, modified, e_tag });
                    }
                }
                ObjectName::Bundle { size, index, .. } => drop(bundles.insert((size, index))),
                _ => {}
            }
        }
        let (mut end, mut sizes) = (from, Vec::with_capacity(seqs.len()));
        for (seq, size) in seqs {
            // A listing is no snapshot: what was appended while it ran may be there in part.
            while end < seq {
                let gap = || LedgerError::Gap { ledger: ledger.clone(), missing: end, found: seq };
                sizes.push(self.store.size(&entry_name(ledger, end)).await?.ok_or_else(gap)?);
                end += 1;
            }
            sizes.push(size);
            end = seq + 1;
        }
        // A mark stands for the last entry or for nothing.
        let mark = mark.filter(|mark| mark.ends(end));
        Ok(Index { numbers: from..end, sizes, bundles, mark })
    }

    /// Entries `[16k, 16k + 16)` or `[256k, 256k + 256)`, one by one.
    pub(super) async fn singles(&self, ledger: &LedgerId, numbers: Range<u64>) -> Result<Vec<Bytes>, LedgerError> {
        stream::iter(numbers).map(|seq| self.existing(ledger, seq)).buffered(AT_ONCE).try_collect().await
    }

    /// A bundle's entries, if it exists and the chain proves them.
    pub(super) async fn proven_bundle(
        &self,
        ledger: &LedgerId,
        size: BundleSize,
        index: u64,
    ) -> Result<Option<Vec<Bytes>>, LedgerError> {
        let name = ObjectName::Bundle { ledger: ledger.clone(), size, index };
        let bytes = match self.store.get(&name, bundle::MAX_BUNDLE).await {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. } | StoreError::TooLong { .. }) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let Some(entries) = bundle::parse(bytes, size) else { return Ok(None) };
        let last = self.existing(ledger, span(size, index).end - 1).await?;
        let proven = entries.last() == Some(&last) && bundle::is_chain(&entries);
        Ok(proven.then_some(entries))
    }

    async fn read_piece(
        &self,
        ledger: &LedgerId,
        piece: Piece,
        bundles: &HashSet<(BundleSize, u64)>,
    ) -> Result<Vec<Bytes>, LedgerError> {
        let (size, index) = match piece {
            Piece::Entry(seq) => return Ok(vec![self.existing(ledger, seq).await?]),
            Piece::Bundle(size, index) => (size, index),
        };
        if let Some(entries) = self.proven_bundle(ledger, size, index).await? {
            return Ok(entries);
        }
        if size == BundleSize::Sixteen {
            return self.singles(ledger, span(size, index)).await;
        }
        let mut entries = Vec::new();
        for small in index * 16..(index + 1) * 16 {
            let proven = if bundles.contains(&(BundleSize::Sixteen, small)) {
                self.proven_bundle(ledger, BundleSize::Sixteen, small).await?
            } else {
                None
            };
            match proven {
                Some(proven) => entries.extend(proven),
                None => entries.extend(self.singles(ledger, span(BundleSize::Sixteen, small)).await?),
            }
        }
        Ok(entries)
    }

    /// An entry that a listing showed: if it is gone now, that is a gap.
    async fn existing(&self, ledger: &LedgerId, seq: u64) -> Result<Bytes, LedgerError> {
        let gone = || LedgerError::Gap { ledger: ledger.clone(), missing: seq, found: seq };
        self.entry(ledger, seq).await?.ok_or_else(gone)
    }
}

/// The largest bundles that lie wholly in the range, and single entries between them.
fn plan(index: &Index) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let Range { start: mut at, end } = index.numbers;
    while at < end {
        let fits = |size: &BundleSize| {
            let len = size.entries();
            at.is_multiple_of(len) && at + len <= end && index.bundles.contains(&(*size, at / len))
        };
        match [BundleSize::TwoFiftySix, BundleSize::Sixteen].into_iter().find(fits) {
            Some(size) => {
                pieces.push(Piece::Bundle(size, at / size.entries()));
                at += size.entries();
            }
            None => {
                pieces.push(Piece::Entry(at));
                at += 1;
            }
        }
    }
    pieces
}

/// The numbers that a bundle copies.
pub(super) const fn span(size: BundleSize, index: u64) -> Range<u64> {
    index * size.entries()..(index + 1) * size.entries()
}

pub(super) fn entry_name(ledger: &LedgerId, seq: u64) -> ObjectName {
    ObjectName::Entry { ledger: ledger.clone(), seq }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_entries_up_to_its_length_and_one_however_long_that_is() {
        let index = || Index { numbers: 7..11, sizes: vec![5, 3, 9, 1], ..Index::default() };
        for (max, taken, bytes) in [(0, 1, 5), (7, 1, 5), (8, 2, 8), (16, 2, 8), (17, 3, 17), (18, 4, 18), (99, 4, 18)]
        {
            let mut cut = index();
            assert_eq!(cut.cut(max), (bytes, taken < 4), "{max}");
            assert_eq!((cut.numbers.clone(), cut.sizes.len() as u64), (7..7 + taken, taken));
            assert_eq!(plan(&cut).len() as u64, taken);
        }
        let mut none = Index { numbers: 3..3, ..Index::default() };
        assert_eq!(none.cut(9), (0, false));
    }

    fn marked() -> Marked {
        let mark = Mark { seq: 2, size: 1, modified: 0, e_tag: "last".to_owned() };
        Marked {
            entries: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b"), Bytes::from_static(b"c")],
            mark: Some(mark),
        }
    }

    /// Else a state that ends before the marked entry would be taken for complete at every later look.
    #[test]
    fn entries_that_are_cut_off_take_the_mark_of_the_last_one_with_them() {
        let cut = marked().first(2);
        assert_eq!((cut.entries.len(), cut.mark), (2, None));
        let whole = marked().first(3);
        assert_eq!((whole.entries.len(), whole.mark), (3, marked().mark));
    }
}

//! Counting people once across datasets without showing who they are.
//!
//! A person's mark is a keyed hash of an identifier under the vault's subject key, which only stewards hold: the same person has
//! the same mark in every dataset, and nobody without the key can try identity numbers against it. Who has no mark counts
//! as a person of their own each time, so a count errs towards more.

use std::collections::BTreeSet;

use vault_core::hazmat::kdf::{expand_sha256_each, sha256};
use vault_core::ids::Digest;
use vault_core::secret::Secret32;
use zeroize::Zeroizing;

/// What a mark is bound to besides the person.
const LABEL: &[u8] = b"seqvault/v1/subject-mark";

/// A person, as those who hold the subject key tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark([u8; 32]);

impl Mark {
    /// A mark that was read back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The marks of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks(BTreeSet<Mark>);

impl Marks {
    /// The marks of persons by their identifiers of a scheme, such as `cn-id` and identity numbers. Both are compared without regard to case of
    /// ASCII letters and to white space, since registries differ in them; nothing else is made alike.
    #[must_use]
    pub fn derive<'a>(key: &Secret32, scheme: &str, identifiers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut marks = BTreeSet::new();
        let infos = identifiers.into_iter().map(|identifier| info(scheme, identifier));
        expand_sha256_each(key, infos, |mark| {
            marks.insert(Mark(*mark.expose()));
        });
        Self(marks)
    }

    /// How many persons have a mark.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether nobody has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stored form: the marks one after another, ascending.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        self.0.iter().flat_map(|mark| mark.0).collect()
    }

    /// Reads the stored form; `None` if it is not marks, ascending and without repeats.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (marks, rest) = bytes.as_chunks::<32>();
        (rest.is_empty() && marks.is_sorted_by(|a, b| a < b)).then(|| marks.iter().copied().map(Mark).collect())
    }

    /// What facts say of the set.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(sha256(&self.emit()))
    }
}

/// What a mark is derived from: the label, and each part behind its length, so that they can't be shifted into each other. It holds somebody's identity
/// number, so it has its room from the beginning, leaves no copy behind, and is cleared.
fn info(scheme: &str, identifier: &str) -> Zeroizing<Vec<u8>> {
    fn plain(text: &str) -> impl Iterator<Item = char> {
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase())
    }
    let mut info = Zeroizing::new(Vec::with_capacity(LABEL.len() + 16 + scheme.len() + identifier.len()));
    info.extend_from_slice(LABEL);
    for part in [scheme, identifier] {
        let length: usize = plain(part).map(char::len_utf8).sum();
        info.extend_from_slice(&(length as u64).to_be_bytes());
        for c in plain(part) {
            info.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    info
}

impl FromIterator<Mark> for Marks {
    fn from_iter<I: IntoIterator<Item = Mark>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// The subjects of one dataset that a recipient was given, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// How many persons; `None` if nobody knows.
    pub count: Option<u64>,
    /// Those with a mark.
    pub marks: Marks,
}

/// What a reservation in an exposure ledger counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before<'a> {
    /// Whether it is of the dataset that is about to be counted.
    pub same_dataset: bool,
    /// How many persons it added.
    pub added: u64,
    /// The marks of those with one, if they can be read.
    pub marks: Option<&'a Marks>,
}

/// How many persons of a dataset of `count`, of whom `own` have a mark, are in none of the reservations before, in their order.
///
/// Who has no mark is counted once a dataset; marks that can't be read are nobody's, so the answer errs towards more.
#[must_use]
pub fn still_to_count(count: u64, own: &Marks, before: &[Before<'_>]) -> u64 {
    let (mut seen, mut unmarked) = (BTreeSet::new(), 0u64);
    for one in before {
        let known = one.marks.map_or(0, |marks| marks.0.iter().filter(|mark| seen.insert(**mark)).count() as u64);
        if one.same_dataset {
            unmarked = unmarked.saturating_add(one.added.saturating_sub(known));
        }
    }
    let marked = own.0.difference(&seen).count() as u64;
    marked.saturating_add(count.saturating_sub(own.len()).saturating_sub(unmarked))
}

/// How many different persons there are in all portions together, at most. `None` if a count is unknown.
///
/// A portion of more marks than persons counts by its marks: the declared count is then too low.
#[must_use]
pub fn cumulative<'a>(portions: impl IntoIterator<Item = &'a Portion>) -> Option<u64> {
    let (mut seen, mut unmarked) = (BTreeSet::new(), 0u64);
    for portion in portions {
        unmarked = unmarked.saturating_add(portion.count?.saturating_sub(portion.marks.len()));
        seen.extend(portion.marks.0.iter().copied());
    }
    Some(unmarked.saturating_add(seen.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret32 {
        Secret32::take(&mut [byte; 32])
    }

    #[test]
    fn one_person_has_one_mark_a_key() {
        let mark = |byte, scheme, identifier| Marks::derive(&key(byte), scheme, [identifier]);
        let one = mark(1, "cn-id", "11010519491231002X");
        assert_eq!(one.len(), 1);
        assert_eq!(one, mark(1, "CN-ID", " 1101 0519 4912 31002x"));
        assert_ne!(one, mark(2, "cn-id", "11010519491231002X"));
        assert_ne!(one, mark(1, "passport", "11010519491231002X"));
        // The parts can't be shifted into each other.
        assert_ne!(mark(1, "a", "bc"), mark(1, "ab", "c"));
        let both = Marks::derive(&key(1), "cn-id", ["1", "2", " 1"]);
        assert_eq!(both, [mark(1, "cn-id", "1"), mark(1, "cn-id", "2")].iter().flat_map(|one| one.0.clone()).collect());
    }

    #[test]
    fn a_mark_is_the_same_for_ever() {
        use vault_core::hazmat::kdf::expand_sha256;
        let info = [LABEL, &5u64.to_be_bytes(), b"cn-id", &3u64.to_be_bytes(), b"1\xc3\xa9"].concat();
        let marks = Marks::derive(&key(7), "CN- ID", ["1 \u{e9}"]);
        assert_eq!(marks.emit(), expand_sha256(&key(7), &info).expose());
    }

    #[test]
    fn what_a_mark_is_derived_from_has_its_room_from_the_beginning() {
        let identifier = "1234567890".repeat(100);
        let info = info("cn-id", &identifier);
        assert_eq!(info.capacity(), info.len(), "nothing was moved");
    }

    #[test]
    fn marked_people_count_once_and_unmarked_ones_each_time() {
        let marks = |range: core::ops::Range<u8>| range.map(|n| Mark([n; 32])).collect::<Marks>();
        let portion = |count, range| Portion { count: Some(count), marks: marks(range) };
        assert_eq!(cumulative([&portion(10, 0..10), &portion(10, 0..10)]), Some(10));
        assert_eq!(cumulative([&portion(10, 0..10), &portion(10, 5..15)]), Some(15));
        assert_eq!(cumulative([&portion(10, 0..4), &portion(10, 0..4)]), Some(16));
        assert_eq!(cumulative([&portion(10, 0..0), &portion(10, 0..0)]), Some(20));
        assert_eq!(cumulative([&portion(3, 0..10)]), Some(10), "a declared count below the marks is not believed");
        let open = Portion { count: None, marks: marks(0..3) };
        assert_eq!(cumulative([&portion(10, 0..4), &open]), None);
    }

    #[test]
    fn what_was_counted_is_not_counted_again() {
        let marks = |range: core::ops::Range<u8>| range.map(|n| Mark([n; 32])).collect::<Marks>();
        let (own, other, none) = (marks(0..10), marks(5..15), Marks::default());
        let one = |same_dataset, added, marks| Before { same_dataset, added, marks };
        assert_eq!(still_to_count(12, &own, &[]), 12, "ten with a mark, two without");
        assert_eq!(still_to_count(12, &own, &[one(false, 10, Some(&other))]), 7);
        // Other people without marks are other people.
        assert_eq!(still_to_count(12, &own, &[one(false, 30, Some(&other))]), 7);
        assert_eq!(still_to_count(12, &own, &[one(false, 100, None)]), 12);
        // The same dataset again, and then grown by three without a mark.
        let again = [one(false, 10, Some(&other)), one(true, 7, Some(&own))];
        assert_eq!(still_to_count(12, &own, &again), 0);
        assert_eq!(still_to_count(15, &own, &again), 3);
        assert_eq!(still_to_count(20, &marks(0..20), &again), 5, "who was counted without a mark may be somebody else");
        // Marks that can't be read count as people without one.
        assert_eq!(still_to_count(12, &own, &[one(true, 12, None)]), 10);
        assert_eq!(still_to_count(12, &none, &[one(true, 12, None)]), 0);
    }

    #[test]
    fn marks_read_back_and_disorder_is_refused() {
        let marks = (0..5).map(|n| Mark([n; 32])).collect::<Marks>();
        let bytes = marks.emit();
        assert_eq!(Marks::parse(&bytes), Some(marks.clone()));
        assert_eq!(Marks::parse(&bytes[1..]), None);
        assert_eq!(Marks::parse(&[[1u8; 32], [0u8; 32]].concat()), None);
        assert_eq!(Marks::parse(&[[1u8; 32], [1u8; 32]].concat()), None);
        assert_eq!(marks.digest(), Marks::parse(&bytes).unwrap().digest());
    }
}

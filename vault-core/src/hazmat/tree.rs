//! BLAKE3: of a whole, of subtrees, and of subtrees put together. Spec section 3.3.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// BLAKE3 of some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    blake3::hash(bytes).into()
}

/// The chaining value of the subtree at `index` of an input of more than one subtree of `1 << log2_len` bytes.
///
/// `None` if `bytes` is empty or longer than a subtree, a subtree would be shorter than a chunk (1 KiB), or the place is
/// beyond what a hash can take in.
#[must_use]
pub fn subtree(index: u64, log2_len: u32, bytes: &[u8]) -> Option<ChainingValue> {
    // The crate asserts what is checked here: a subtree is never empty, starts at a chunk, and is never wider than its
    // place allows, which holds for aligned subtrees of one power of two.
    if bytes.is_empty() || !(10..32).contains(&log2_len) || bytes.len() as u64 > 1 << log2_len {
        return None;
    }
    let offset = index.checked_mul(1 << log2_len)?;
    Some(blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root())
}

/// The hash of an input from its subtrees' values, in order; `None` if there are fewer than two.
#[must_use]
pub fn merge(values: &[ChainingValue]) -> Option<[u8; 32]> {
    let (left, right) = split(values)?;
    Some(merge_subtrees_root(&inner(left)?, &inner(right)?, Mode::Hash).into())
}

// inner(values) = parent(inner(left), inner(right)), left = the largest power of two of values that leaves one on the right
fn inner(values: &[ChainingValue]) -> Option<ChainingValue> {
    if let [value] = values {
        return Some(*value);
    }
    let (left, right) = split(values)?;
    Some(merge_subtrees_non_root(&inner(left)?, &inner(right)?, Mode::Hash))
}

fn split(values: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    if values.len() < 2 {
        return None;
    }
    values.split_at_checked(values.len().div_ceil(2).next_power_of_two())
}

/// BLAKE3 of an input whose subtrees' values come in order, one by one: holds at most one value a level.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    // Values of complete subtrees, each half as wide as the one before it, or less; the newest last.
    stack: Vec<ChainingValue>,
    count: u64,
}

impl Frontier {
    /// How many values came.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Takes in the next subtree's value.
    // Two neighbours of one width are merged only when something follows them: until then they may be the root's children.
    pub fn push(&mut self, value: ChainingValue) {
        while self.stack.len() > self.count.count_ones() as usize {
            self.merge_last();
        }
        self.stack.push(value);
        self.count += 1;
    }

    /// The hash of what came; `None` before the second value, as a single one is no subtree.
    #[must_use]
    pub fn finish(&self) -> Option<[u8; 32]> {
        let (right, rest) = self.stack.split_last()?;
        let (first, middle) = rest.split_first()?;
        let right = middle.iter().rfold(*right, |right, left| merge_subtrees_non_root(left, &right, Mode::Hash));
        Some(merge_subtrees_root(first, &right, Mode::Hash).into())
    }

    fn merge_last(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests {
    use super::*;

    #[test]
    fn subtrees_merge_to_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0u32..40_000).map(|i| (i % 251) as u8).collect();
        for len in [1025, 2048, 2049, 3072, 5000, 8192, 9000, 16_384, 16_385, 31_000, 40_000] {
            let whole = &bytes[..len];
            let values: Vec<_> =
                (0u64..).zip(whole.chunks(1024)).map(|(i, part)| subtree(i, 10, part).unwrap()).collect();
            assert_eq!(merge(&values), Some(hash(whole)), "{len}");
        }
    }

    #[test]
    fn values_that_come_one_by_one_give_the_hash_of_what_came() {
        let bytes: Vec<u8> = (0u32..80_000).map(|i| (i % 241) as u8).collect();
        let mut frontier = Frontier::default();
        assert_eq!(frontier.finish(), None);
        for (i, part) in (0u64..).zip(bytes.chunks(1024)) {
            frontier.push(subtree(i, 10, part).unwrap());
            let so_far = &bytes[..i as usize * 1024 + part.len()];
            assert_eq!(frontier.finish(), (i > 0).then(|| hash(so_far)), "{i}");
            assert_eq!(frontier.count(), i + 1);
        }
    }

    #[test]
    fn impossible_subtrees_are_refused() {
        assert_eq!(subtree(0, 10, &[]), None);
        assert_eq!(subtree(0, 10, &[0; 1025]), None);
        assert_eq!(subtree(0, 9, &[0; 512]), None);
        assert_eq!(subtree(u64::MAX, 10, &[0; 512]), None);
        assert_eq!(merge(&[]), None);
        assert_eq!(merge(&[[0; 32]]), None);
    }
}

//! BLAKE3: of a whole, of subtrees, and of subtrees put together. Spec section 3.3.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// BLAKE3 of some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    blake3::hash(bytes).into()
}

/// The chaining value of the subtree at `index` of an input of more than one subtree of `1 << log2_len` bytes.
///
/// `None` if `bytes` is empty or longer than a subtree, or a subtree would be shorter than a chunk (1 KiB).
#[must_use]
pub fn subtree(index: u32, log2_len: u32, bytes: &[u8]) -> Option<ChainingValue> {
    // The crate asserts what is checked here: a subtree is never empty, starts at a chunk, and is never wider than its
    // place allows, which holds for aligned subtrees of one power of two.
    if bytes.is_empty() || !(10..32).contains(&log2_len) || bytes.len() as u64 > 1 << log2_len {
        return None;
    }
    let offset = u64::from(index) << log2_len;
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
                (0u32..).zip(whole.chunks(1024)).map(|(i, part)| subtree(i, 10, part).unwrap()).collect();
            assert_eq!(merge(&values), Some(hash(whole)), "{len}");
        }
    }

    #[test]
    fn impossible_subtrees_are_refused() {
        assert_eq!(subtree(0, 10, &[]), None);
        assert_eq!(subtree(0, 10, &[0; 1025]), None);
        assert_eq!(subtree(0, 9, &[0; 512]), None);
        assert_eq!(merge(&[]), None);
        assert_eq!(merge(&[[0; 32]]), None);
    }
}

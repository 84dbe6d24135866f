//! The Merkle root over a manifest's files, which the lab signs. Spec section 3.6.

use zeroize::Zeroizing;

use super::FileRecord;
use crate::context::put;
use crate::hazmat::kdf::sha256;
use crate::ids::Digest;
use crate::secret::Secret32;

/// One leaf of the tree: a file's number and the hash that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The file's number: the leaf's place is by it.
    pub number: u32,
    /// The RFC 6962 leaf hash.
    pub hash: Digest,
}

/// The leaf of a file under its manifest's salt.
// leaf data = LP("seqvault/v1/leaf") || LP(salt) || LP(u64 number) || LP(path) || LP(u64 size) || LP(BLAKE3)
#[must_use]
pub fn leaf_hash(salt: &Secret32, file: &FileRecord) -> Leaf {
    let mut data = Zeroizing::new(Vec::with_capacity(256 + file.path.as_str().len()));
    data.push(0x00);
    put(&mut data, b"seqvault/v1/leaf");
    put(&mut data, salt.expose());
    put(&mut data, &u64::from(file.number).to_be_bytes());
    put(&mut data, file.path.as_str().as_bytes());
    put(&mut data, &file.size.to_be_bytes());
    put(&mut data, &file.blake3.0);
    Leaf { number: file.number, hash: Digest(sha256(&data)) }
}

/// The Merkle tree hash of RFC 6962 section 2.1 over leaves, which are put in order of number.
#[must_use]
pub fn file_root(mut leaves: Vec<Leaf>) -> Digest {
    leaves.sort_unstable_by_key(|leaf| leaf.number);
    tree_hash(&leaves)
}

// MTH({}) = SHA-256(); MTH({d}) = SHA-256(0x00 || d); MTH(D) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])),
// k the largest power of two below n. The leaves here are hashed already.
fn tree_hash(leaves: &[Leaf]) -> Digest {
    match leaves {
        [] => Digest(sha256(&[])),
        [leaf] => leaf.hash,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().div_ceil(2).next_power_of_two());
            let mut node = [0x01; 65];
            let (_, rest) = node.split_at_mut(1);
            let (l, r) = rest.split_at_mut(32);
            l.copy_from_slice(&tree_hash(left).0);
            r.copy_from_slice(&tree_hash(right).0);
            Digest(sha256(&node))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: u32) -> Leaf {
        // Leaf data is the number's bytes, so that the naive tree below can hash it itself.
        let mut data = vec![0];
        data.extend_from_slice(&number.to_be_bytes());
        Leaf { number, hash: Digest(sha256(&data)) }
    }

    // Bottom up: pairs level by level, an odd one moves up unchanged. The same tree, built the other way.
    fn naive(mut level: Vec<[u8; 32]>) -> [u8; 32] {
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [l, r] => sha256(&[&[1][..], l, r].concat()),
                    [one] => *one,
                    _ => unreachable!(),
                })
                .collect();
        }
        level[0]
    }

    #[test]
    fn the_root_is_the_tree_of_rfc_6962() {
        for n in 1..200 {
            let leaves: Vec<Leaf> = (0..n).map(leaf).collect();
            assert_eq!(file_root(leaves.clone()).0, naive(leaves.iter().map(|leaf| leaf.hash.0).collect()), "{n}");
        }
    }

    #[test]
    fn the_root_does_not_depend_on_the_order_of_leaves_given() {
        let leaves: Vec<Leaf> = (0..77).map(leaf).collect();
        let reversed = leaves.iter().rev().copied().collect();
        assert_eq!(file_root(leaves), file_root(reversed));
    }

    #[test]
    fn a_known_tree_has_its_known_root() {
        // MTH({}), of the same.
        assert_eq!(
            file_root(Vec::new()).to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        // The test vector of Certificate Transparency's reference trees: one empty leaf.
        let leaf = Leaf { number: 0, hash: Digest(sha256(&[0])) };
        assert_eq!(
            file_root(vec![leaf]).to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }
}

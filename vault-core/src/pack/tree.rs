//! The BLAKE3 of a pack and the values of its 1 MiB groups, in one pass. Spec section 3.3.

use super::{GROUP_LEN, PackError};
use crate::hazmat::tree;
use crate::ids::Digest;

/// A group's 32-byte chaining value in its pack's BLAKE3 tree.
pub type GroupValue = [u8; 32];

/// The value of the group at `index` of a pack of more than one group.
///
/// `group` is its ciphertext: [`GROUP_LEN`] bytes, or fewer, but not none, if it is the last. Groups may be hashed in any
/// order and from any thread; [`PackHash::merge`] puts the values together.
///
/// # Errors
/// If `group` has an impossible length.
pub fn group_value(index: u32, group: &[u8]) -> Result<GroupValue, PackError> {
    tree::subtree(u64::from(index), GROUP_LEN.ilog2(), group).ok_or(PackError::GroupLength)
}

/// What is signed of a pack, and what checks its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackHash {
    /// BLAKE3 of the whole pack.
    pub root: Digest,
    /// Its groups' values; none if the pack is at most [`GROUP_LEN`] long.
    pub groups: Vec<GroupValue>,
}

impl PackHash {
    /// Hashes a pack once, for both.
    #[must_use]
    pub fn of(pack: &[u8]) -> Self {
        let groups = (0u32..).zip(pack.chunks(GROUP_LEN as usize));
        let groups: Result<Vec<_>, _> = groups.map(|(index, group)| group_value(index, group)).collect();
        groups.ok().and_then(Self::merge).unwrap_or_else(|| Self::of_small(pack))
    }

    /// A pack's hash from the values of all its groups, in order; `None` if there are fewer than two.
    #[must_use]
    pub fn merge(groups: Vec<GroupValue>) -> Option<Self> {
        let root = Digest(tree::merge(&groups)?);
        Some(Self { root, groups })
    }

    /// The hash of a pack of at most [`GROUP_LEN`] bytes, which has no groups.
    #[must_use]
    pub fn of_small(pack: &[u8]) -> Self {
        Self { root: Digest(tree::hash(pack)), groups: Vec::new() }
    }
}

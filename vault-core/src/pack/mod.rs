//! Streams, packs and groups: the pack list, the groups object, and the arithmetic from a file's bytes to parts of
//! objects. Spec sections 3.2 and 3.3. Encryption is [`crate::floe`]'s; fetching is the caller's.

mod place;
mod tree;

use std::collections::HashSet;
use std::ops::Range;

use crate::hazmat::kdf::sha256;
use crate::ids::{Digest, PackName};

pub use place::{FilePlace, PackRange, PlaceError, pack_ranges, round_to_groups};
pub use tree::{GroupValue, PackHash, group_value};

/// Bytes of every pack but a stream's last.
pub const PACK_LEN: u32 = 32 << 20;
/// Bytes of every group but a pack's last.
pub const GROUP_LEN: u32 = 1 << 20;
/// Most packs in a stream.
pub const MAX_PACKS: u32 = 1 << 24;
/// Longest stream in bytes.
pub const MAX_STREAM: u64 = PACK_LEN as u64 * MAX_PACKS as u64;

/// Longest pack list in bytes.
pub const MAX_LIST: u64 = list_len(MAX_PACKS);

const LIST_MAGIC: &[u8; 8] = b"SVPACKS1";
const LIST_HEAD: usize = 8 + 8 + 4;
const ENTRY_LEN: usize = 16 + 4 + 32;
const GROUPS_MAGIC: &[u8; 8] = b"SVGROUP1";
const GROUPS_HEAD: usize = 8 + 4;

/// The length in bytes of a list of so many packs.
#[must_use]
#[allow(clippy::cast_lossless, reason = "a const function")]
pub const fn list_len(packs: u32) -> u64 {
    LIST_HEAD as u64 + ENTRY_LEN as u64 * packs as u64
}

/// The longest list in bytes whose groups object can have a length.
#[must_use]
pub fn longest_list_of(groups: u64) -> u64 {
    // Every pack but the last has all its values.
    let full = groups.saturating_sub(GROUPS_HEAD as u64) / (32 * u64::from(PACK_LEN / GROUP_LEN));
    list_len(u32::try_from(full + 1).unwrap_or(MAX_PACKS).min(MAX_PACKS))
}

/// A pack list, groups object or pack that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The pack list does not follow section 3.2.
    #[error("the pack list is malformed: {0}")]
    List(&'static str),
    /// The groups object does not follow section 3.3.
    #[error("the groups object is malformed")]
    Groups,
    /// The list has no such pack.
    #[error("the pack list has no pack {0}")]
    NoSuchPack(usize),
    /// The values do not merge to the signed hash.
    #[error("the groups of a pack do not add up to its signed hash")]
    GroupsDiffer,
    /// A group or pack has another length than it must.
    #[error("a part of a pack has the wrong length")]
    GroupLength,
    /// The bytes are not those that were signed.
    #[error("a part of a pack differs from its signed hash")]
    BytesDiffer,
}

/// A pack, as its list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackEntry {
    /// Its random name.
    pub name: PackName,
    /// Its length in bytes.
    pub length: u32,
    /// BLAKE3 of its bytes.
    pub blake3: Digest,
}

/// The packs of a manifest's stream, in order: at least one, all full but the last, no name twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackList {
    stream_length: u64,
    packs: Vec<PackEntry>,
}

impl PackList {
    /// A list of packs; the stream's length is theirs together.
    ///
    /// # Errors
    /// If the packs do not follow section 3.2.
    pub fn new(packs: Vec<PackEntry>) -> Result<Self, PackError> {
        if packs.is_empty() || packs.len() > MAX_PACKS as usize {
            return Err(PackError::List("too few or too many packs"));
        }
        let (full, last) = packs.split_at(packs.len() - 1);
        let last_ok = last.iter().all(|pack| (1..=PACK_LEN).contains(&pack.length));
        if !last_ok || full.iter().any(|pack| pack.length != PACK_LEN) {
            return Err(PackError::List("a pack's length"));
        }
        let mut names = HashSet::with_capacity(packs.len());
        if !packs.iter().all(|pack| names.insert(pack.name)) {
            return Err(PackError::List("a name twice"));
        }
        let stream_length = packs.iter().map(|pack| u64::from(pack.length)).sum();
        Ok(Self { stream_length, packs })
    }

    /// Reads a pack list; the caller has compared its SHA-256 with the signed one, or does so after.
    ///
    /// # Errors
    /// If the bytes do not follow section 3.2 exactly.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackError> {
        let malformed = PackError::List;
        let rest = bytes.strip_prefix(LIST_MAGIC).ok_or(malformed("its first bytes"))?;
        let (length, rest) = rest.split_first_chunk().ok_or(malformed("its length"))?;
        let (count, rest) = rest.split_first_chunk().ok_or(malformed("its length"))?;
        let (length, count) = (u64::from_be_bytes(*length), u32::from_be_bytes(*count));
        if count > MAX_PACKS || rest.len() != count as usize * ENTRY_LEN {
            return Err(malformed("its length"));
        }
        let packs: Option<Vec<_>> = rest.chunks_exact(ENTRY_LEN).map(parse_entry).collect();
        let list = Self::new(packs.ok_or(malformed("its length"))?)?;
        if list.stream_length == length { Ok(list) } else { Err(malformed("the stream's length")) }
    }

    /// Writes the list.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LIST_HEAD + ENTRY_LEN * self.packs.len());
        out.extend_from_slice(LIST_MAGIC);
        out.extend_from_slice(&self.stream_length.to_be_bytes());
        out.extend_from_slice(&count_of(&self.packs).to_be_bytes());
        for pack in &self.packs {
            out.extend_from_slice(&pack.name.0);
            out.extend_from_slice(&pack.length.to_be_bytes());
            out.extend_from_slice(&pack.blake3.0);
        }
        out
    }

    /// SHA-256 of the emitted list: what is signed.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        Digest(sha256(&self.emit()))
    }

    /// The stream's length in bytes.
    #[must_use]
    pub const fn stream_length(&self) -> u64 {
        self.stream_length
    }

    /// The packs, in the stream's order.
    #[must_use]
    pub fn packs(&self) -> &[PackEntry] {
        &self.packs
    }

    /// The pack at `index`.
    ///
    /// # Errors
    /// If there are fewer.
    pub fn pack(&self, index: usize) -> Result<&PackEntry, PackError> {
        self.packs.get(index).ok_or(PackError::NoSuchPack(index))
    }

    /// Where the values of the pack at `index` lie in the groups object: a reader of one region needs no others.
    ///
    /// # Errors
    /// If the list has no such pack.
    pub fn groups_range(&self, index: usize) -> Result<Range<u64>, PackError> {
        let len = 32 * u64::from(self.pack(index)?.group_values());
        // Every pack before it is full.
        let start = GROUPS_HEAD as u64 + 32 * u64::from(PACK_LEN / GROUP_LEN) * index as u64;
        Ok(start..start + len)
    }

    /// The exact length of this stream's groups object.
    #[must_use]
    pub fn groups_len(&self) -> u64 {
        let values: u64 = self.packs.iter().map(|pack| u64::from(pack.group_values())).sum();
        GROUPS_HEAD as u64 + 32 * values
    }
}

impl PackEntry {
    /// How many groups the pack has: one if it is at most [`GROUP_LEN`] long.
    #[must_use]
    pub const fn group_count(&self) -> u32 {
        self.length.div_ceil(GROUP_LEN)
    }

    // How many of them have values in the groups object.
    const fn group_values(&self) -> u32 {
        if self.length <= GROUP_LEN { 0 } else { self.group_count() }
    }

    /// Checks a whole pack.
    ///
    /// # Errors
    /// If its length or BLAKE3 is not what was signed.
    pub fn check(&self, pack: &[u8]) -> Result<(), PackError> {
        if pack.len() != self.length as usize {
            return Err(PackError::GroupLength);
        }
        if PackHash::of(pack).root == self.blake3 { Ok(()) } else { Err(PackError::BytesDiffer) }
    }
}

fn parse_entry(bytes: &[u8]) -> Option<PackEntry> {
    let (name, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let blake3 = rest.try_into().ok()?;
    Some(PackEntry { name: PackName(*name), length: u32::from_be_bytes(*length), blake3: Digest(blake3) })
}

// At most MAX_PACKS, by construction.
fn count_of<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// The groups object of a manifest, as read: nothing in it is believed before [`Groups::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(Vec<Vec<GroupValue>>);

impl Groups {
    /// The values of each pack in order; none for a pack of at most [`GROUP_LEN`].
    #[must_use]
    pub const fn new(packs: Vec<Vec<GroupValue>>) -> Self {
        Self(packs)
    }

    /// Reads the groups of the stream that `list` describes.
    ///
    /// # Errors
    /// If the bytes do not follow section 3.3 exactly.
    pub fn parse(bytes: &[u8], list: &PackList) -> Result<Self, PackError> {
        let rest = bytes.strip_prefix(GROUPS_MAGIC).ok_or(PackError::Groups)?;
        let (count, rest) = rest.split_first_chunk().ok_or(PackError::Groups)?;
        if u32::from_be_bytes(*count) != count_of(&list.packs) || bytes.len() as u64 != list.groups_len() {
            return Err(PackError::Groups);
        }
        let mut values = rest.chunks_exact(32).map_while(|value| value.try_into().ok());
        let packs = list.packs.iter().map(|pack| values.by_ref().take(pack.group_values() as usize).collect());
        Ok(Self(packs.collect()))
    }

    /// Writes the object.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let values: usize = self.0.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(GROUPS_HEAD + 32 * values);
        out.extend_from_slice(GROUPS_MAGIC);
        out.extend_from_slice(&count_of(&self.0).to_be_bytes());
        self.0.iter().flatten().for_each(|value| out.extend_from_slice(value));
        out
    }

    /// Compares the values of the pack at `index` with its signed hash.
    ///
    /// # Errors
    /// If there is no such pack, or the values do not merge to its BLAKE3.
    pub fn verify(&self, list: &PackList, index: usize) -> Result<VerifiedGroups, PackError> {
        let values = self.0.get(index).ok_or(PackError::NoSuchPack(index))?;
        VerifiedGroups::new(*list.pack(index)?, values.clone())
    }
}

/// A pack's groups, proven to be those that were signed.
#[derive(Debug, Clone)]
pub struct VerifiedGroups {
    pack: PackEntry,
    values: Vec<GroupValue>,
}

impl VerifiedGroups {
    /// Compares values with the pack's signed hash; a pack of at most [`GROUP_LEN`] takes none.
    ///
    /// # Errors
    /// If their number is wrong or they do not merge to the pack's BLAKE3.
    pub fn new(pack: PackEntry, values: Vec<GroupValue>) -> Result<Self, PackError> {
        if values.len() != pack.group_values() as usize {
            return Err(PackError::Groups);
        }
        if values.is_empty() {
            return Ok(Self { pack, values });
        }
        match PackHash::merge(values) {
            Some(PackHash { root, groups }) if root == pack.blake3 => Ok(Self { pack, values: groups }),
            _ => Err(PackError::GroupsDiffer),
        }
    }

    /// Reads values as they lie in the groups object at [`PackList::groups_range`].
    ///
    /// # Errors
    /// As [`VerifiedGroups::new`].
    pub fn from_bytes(pack: PackEntry, bytes: &[u8]) -> Result<Self, PackError> {
        let (values, rest) = bytes.as_chunks::<32>();
        if rest.is_empty() { Self::new(pack, values.to_vec()) } else { Err(PackError::Groups) }
    }

    /// Takes the values from the pack itself, whose own hash is checked: for when the groups object is lost or wrong.
    ///
    /// # Errors
    /// If the pack's length or BLAKE3 is not what was signed.
    pub fn derive(pack: PackEntry, bytes: &[u8]) -> Result<Self, PackError> {
        if bytes.len() != pack.length as usize {
            return Err(PackError::GroupLength);
        }
        let hash = PackHash::of(bytes);
        if hash.root == pack.blake3 { Ok(Self { pack, values: hash.groups }) } else { Err(PackError::BytesDiffer) }
    }

    /// The pack they belong to.
    #[must_use]
    pub const fn pack(&self) -> &PackEntry {
        &self.pack
    }

    /// Checks one whole group; a pack of at most [`GROUP_LEN`] is its own group 0.
    ///
    /// # Errors
    /// If its length or value is not what was signed.
    pub fn check_group(&self, index: u32, group: &[u8]) -> Result<(), PackError> {
        let start = u64::from(index) * u64::from(GROUP_LEN);
        let len = u64::from(self.pack.length).saturating_sub(start).min(u64::from(GROUP_LEN));
        if len == 0 || group.len() as u64 != len {
            return Err(PackError::GroupLength);
        }
        let same = match self.values.get(index as usize) {
            Some(value) => group_value(index, group)? == *value,
            None => PackHash::of(group).root == self.pack.blake3,
        };
        if same { Ok(()) } else { Err(PackError::BytesDiffer) }
    }

    /// Checks the bytes of a pack from `start`, which must begin at a group and end at one or at the pack's end.
    ///
    /// # Errors
    /// If the bounds are not those of groups, or any group is not what was signed.
    pub fn check_range(&self, start: u32, bytes: &[u8]) -> Result<(), PackError> {
        if !start.is_multiple_of(GROUP_LEN) || bytes.is_empty() {
            return Err(PackError::GroupLength);
        }
        (start / GROUP_LEN..)
            .zip(bytes.chunks(GROUP_LEN as usize))
            .try_for_each(|(index, group)| self.check_group(index, group))
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]
mod tests;

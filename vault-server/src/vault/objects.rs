//! Packs, manifests, seals: written by clients, once, and only under names that fit what they hold. Spec section 6.1.
//!
//! What is sealed can't be looked into here. What a name or another object says of it is checked when it is written, because
//! nothing is ever overwritten: a wrong object would keep its name.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use vault_core::floe;
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::Digest;
use vault_core::layout::ObjectName;
use vault_core::ledger::seen::SeenList;
use vault_core::ledger::statement::MAX_ENTRY;
use vault_core::manifest::MAX_PLAIN;
use vault_core::pack::{Groups, MAX_LIST, PACK_LEN, PackList, longest_list_of};
use vault_core::subject::{MAX_KEPT, generation_of};
use vault_core::suite::Suite;

use super::{MAX_MARKER, Vault, bundle};
use crate::store::{Creation, StoreError};

/// Longest groups object or key table that is handled as one.
const MAX_WHOLE: u64 = 1 << 30;

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Objects of this kind are written by other means: entries by an append, bundles and markers by the service.
    #[error("{name}: objects of this kind are not put")]
    NotPut {
        /// The name.
        name: ObjectName,
    },
    /// It does not have the length that objects of this kind have.
    #[error("{name}: {length} bytes are not an object of this kind")]
    Length {
        /// The name.
        name: ObjectName,
        /// Its length in bytes.
        length: u64,
    },
    /// It is not what its name, or the pack list that it belongs to, says.
    #[error("{name}: it is not what its name says")]
    Differs {
        /// The name.
        name: ObjectName,
    },
    /// It belongs to a pack list that is not there yet.
    #[error("{name}: its pack list has to be put first")]
    NoList {
        /// The name.
        name: ObjectName,
    },
    /// There is another object of that name.
    #[error("{name}: there is another object of that name")]
    Taken {
        /// The name.
        name: ObjectName,
    },
}

/// Longest object of a kind, in bytes. Groups may be longer; they are read by ranges.
#[must_use]
pub fn max_len(name: &ObjectName) -> u64 {
    match name {
        ObjectName::FormatMarker => MAX_MARKER,
        ObjectName::Entry { .. } | ObjectName::Seen(_) => MAX_ENTRY as u64,
        ObjectName::Bundle { .. } => bundle::MAX_BUNDLE,
        ObjectName::Grant { .. } | ObjectName::Header { .. } | ObjectName::SubjectSeal { .. } => {
            Suite::XWing.seal_len() as u64
        }
        ObjectName::Kept { .. } => 16 + floe::ciphertext_len(MAX_KEPT as u64),
        ObjectName::PackList { .. } => MAX_LIST,
        ObjectName::Table { .. } | ObjectName::Groups { .. } => MAX_WHOLE,
        // The longest plaintext is a power of two, which padding leaves as it is.
        ObjectName::Manifest { .. } => floe::ciphertext_len(MAX_PLAIN as u64),
        ObjectName::Pack { .. } => u64::from(PACK_LEN),
        ObjectName::Marker { .. } => 0,
    }
}

impl Vault {
    /// Writes a pack, pack list, groups object, manifest, seal, table or `seen` list. Safe to repeat. When it returns the object is durable.
    ///
    /// # Errors
    /// If it is of another kind, is not what its name says, or the name is taken by other bytes.
    pub async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), PutError> {
        let length = bytes.len() as u64;
        if length > max_len(name) {
            return Err(PutError::Length { name: name.clone(), length });
        }
        self.check_object(name, &bytes).await?;
        match self.store.create(name, bytes).await? {
            Creation::Created | Creation::AlreadySame => Ok(()),
            Creation::Conflict => Err(PutError::Taken { name: name.clone() }),
        }
    }

    /// Writes a pack from a stream of its bytes, which have this SHA-256; it is never in memory whole. Safe to repeat.
    ///
    /// # Errors
    /// As [`Self::put`]; or if the stream fails or is of another length or digest, and then there is no pack.
    pub async fn put_pack(
        &self,
        name: &ObjectName,
        length: u64,
        digest: [u8; 32],
        bytes: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(), PutError> {
        if !matches!(name, ObjectName::Pack { .. }) {
            return Err(PutError::NotPut { name: name.clone() });
        }
        if length == 0 || length > max_len(name) {
            return Err(PutError::Length { name: name.clone(), length });
        }
        match self.store.create_streamed(name, length, digest, bytes).await? {
            Creation::Created | Creation::AlreadySame => Ok(()),
            Creation::Conflict => Err(PutError::Taken { name: name.clone() }),
        }
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// If it does not exist or is longer than its kind may be.
    pub async fn get(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        self.store.get(name, max_len(name)).await
    }

    /// Reads an object whole, if it has at most `max` bytes.
    ///
    /// # Errors
    /// If it does not exist or is longer.
    pub async fn get_at_most(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        self.store.get(name, max.min(max_len(name))).await
    }

    /// An object's length in bytes, if it exists.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.store.size(name).await
    }

    /// Reads exactly the bytes of a range of an object.
    ///
    /// # Errors
    /// If the object does not exist or ends before the range does.
    pub async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.store.get_range(name, range).await
    }

    async fn check_object(&self, name: &ObjectName, bytes: &Bytes) -> Result<(), PutError> {
        let fits = match name {
            ObjectName::Grant { hash, .. } | ObjectName::Header { hash, .. } | ObjectName::SubjectSeal { hash, .. } => {
                if bytes.len() != self.suite.seal_len() {
                    return Err(PutError::Length { name: name.clone(), length: bytes.len() as u64 });
                }
                digest(bytes) == *hash
            }
            ObjectName::Table { hash, .. } => {
                let hash = *hash;
                self.look_into(bytes, move |bytes| digest(bytes) == hash).await?
            }
            ObjectName::Seen(hash) => {
                let hash = *hash;
                self.look_into(bytes, move |bytes| digest(bytes) == hash && SeenList::parse(bytes).is_ok()).await?
            }
            ObjectName::PackList { .. } => self.look_into(bytes, |bytes| PackList::parse(bytes).is_ok()).await?,
            ObjectName::Groups { dataset, upload, manifest } => {
                let list = ObjectName::PackList { dataset: dataset.clone(), upload: *upload, manifest: *manifest };
                match self.are_groups(&list, bytes).await {
                    Err(StoreError::TooLong { .. }) => false,
                    Err(e) if e.is_not_found() => return Err(PutError::NoList { name: name.clone() }),
                    other => other?,
                }
            }
            // Its name is of what is in it, which nobody sees here.
            ObjectName::Kept { .. } => generation_of(bytes).is_ok_and(|generation| generation > 0),
            ObjectName::Manifest { .. } | ObjectName::Pack { .. } => {
                if bytes.is_empty() {
                    return Err(PutError::Length { name: name.clone(), length: 0 });
                }
                true
            }
            ObjectName::FormatMarker
            | ObjectName::Entry { .. }
            | ObjectName::Bundle { .. }
            | ObjectName::Marker { .. } => return Err(PutError::NotPut { name: name.clone() }),
        };
        if fits { Ok(()) } else { Err(PutError::Differs { name: name.clone() }) }
    }

    /// Looks into an object's bytes. Long ones, of which parsing makes more, wait for room and leave the runtime's threads to others.
    async fn look_into(
        &self,
        bytes: &Bytes,
        fits: impl FnOnce(&Bytes) -> bool + Send + 'static,
    ) -> Result<bool, StoreError> {
        let held = bytes.clone();
        let fits = self.lists.work(bytes.len() as u64, move || fits(&held)).await;
        fits.ok_or_else(|| StoreError::Stopped { path: self.store.location() })
    }

    /// Whether groups merge to the hashes of their list. Off the runtime's threads: a long stream has hundreds of thousands.
    async fn are_groups(&self, list: &ObjectName, groups: &Bytes) -> Result<bool, StoreError> {
        // A few bytes may not have a long list read for them.
        let read = self.read_list(list, longest_list_of(groups.len() as u64)).await?;
        let groups = groups.clone();
        let fits = move || {
            // All of it, with its room, which is kept until this is done.
            let read = read;
            read.list.as_ref().is_some_and(|list| groups_fit(list, &groups))
        };
        Ok(tokio::task::spawn_blocking(fits).await.unwrap_or(false))
    }
}

pub(super) fn groups_fit(list: &PackList, groups: &[u8]) -> bool {
    let Ok(groups) = Groups::parse(groups, list) else { return false };
    (0..list.packs().len()).all(|index| groups.verify(list, index).is_ok())
}

/// SHA-256, as names of sealed objects hold it.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest(sha256(bytes))
}

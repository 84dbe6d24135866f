//! Pack lists, read into a bounded memory: whoever may upload may write long ones and have many of them read. Spec section 3.2.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vault_core::ids::Digest;
use vault_core::layout::ObjectName;
use vault_core::pack::{MAX_LIST, MAX_PACKS, PackList};

use super::Vault;
use super::objects::digest;
use crate::store::StoreError;
use crate::wire::MAX_UPLOAD;

/// What room is counted in.
const KIB: u64 = 1024;
/// A list takes its bytes, about as much parsed, and about as much for the names that must differ.
const PARSED: u64 = 3;
/// Bytes that are handled without leaving the runtime's threads.
const QUICK: u64 = 256 << 10;

/// Room for the lists that are read at once, in [`KIB`].
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    all: u32,
    /// Longest list in bytes.
    longest: u64,
    /// Most objects of an upload.
    objects: u64,
}

impl Room {
    /// Room of so many bytes. A list that takes all of it is read alone.
    pub(super) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / KIB).unwrap_or(u32::MAX >> 4).max(1);
        let free = Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(free), all, longest: bytes.min(MAX_LIST), objects: MAX_UPLOAD }
    }

    /// How many objects an upload may have that is committed.
    pub(super) const fn objects(&self) -> u64 {
        self.objects
    }

    async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let places = u32::try_from(bytes.saturating_mul(PARSED).div_ceil(KIB)).unwrap_or(u32::MAX).min(self.all);
        // It is never closed.
        Arc::clone(&self.free).acquire_many_owned(places).await.ok()
    }

    /// Works on so many bytes in room for them, off the runtime's threads unless that is quick. The room is kept until the work is done, also
    /// when nobody waits for it any more. `None` if the runtime stops.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if bytes <= QUICK {
            return Some(work());
        }
        let room = self.take(bytes).await;
        let work = move || {
            let _room = room;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// For a program that serves itself alone: whatever the format allows.
impl Default for Room {
    fn default() -> Self {
        // No fewer packs than a list can name.
        Self { objects: 2 * u64::from(MAX_PACKS), ..Self::new(MAX_LIST) }
    }
}

/// A list as it lies in the store, and its room.
#[derive(Debug)]
pub(super) struct Read {
    /// What it holds; `None` if it is no list.
    pub(super) list: Option<PackList>,
    /// SHA-256 of its bytes.
    pub(super) hash: Digest,
    _room: Option<OwnedSemaphorePermit>,
}

impl Vault {
    /// Reads a pack list of at most `length` bytes, once there is room for that.
    ///
    /// # Errors
    /// If it does not exist, is longer, or the store fails.
    pub(super) async fn read_list(&self, name: &ObjectName, length: u64) -> Result<Read, StoreError> {
        let length = length.min(self.lists.longest);
        // A long list has room for what it is, not for what somebody said it would be.
        let size = if length <= QUICK { length } else { self.store.size(name).await?.unwrap_or(length).min(length) };
        let room = self.lists.take(size).await;
        let bytes = self.store.get(name, length).await?;
        if bytes.len() as u64 <= QUICK {
            let (list, hash) = parsed(&bytes);
            return Ok(Read { list, hash, _room: room });
        }
        let work = move || {
            let (list, hash) = parsed(&bytes);
            Read { list, hash, _room: room }
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped { path: self.store.location() })
    }
}

fn parsed(bytes: &Bytes) -> (Option<PackList>, Digest) {
    (PackList::parse(bytes).ok(), digest(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use std::time::Duration;

    use super::*;

    /// Else whoever asks and leaves would have any number of lists parsed at once.
    #[tokio::test]
    async fn room_is_kept_until_the_work_is_done_though_nobody_waits_for_it() {
        let room = Room::new(4 * QUICK);
        let (go, going) = std::sync::mpsc::channel::<()>();
        let work = room.work(QUICK + 1, move || going.recv());
        assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());
        let left = room.free.available_permits();
        assert!(left < usize::try_from(room.all).unwrap(), "the work goes on in its room");
        go.send(()).unwrap();
        let all = tokio::time::timeout(Duration::from_secs(10), room.take(u64::MAX)).await;
        assert!(all.is_ok(), "and then leaves it");
    }

    #[tokio::test]
    async fn lists_wait_for_room_and_a_list_of_any_length_gets_it() {
        let room = Room::new(30 * KIB);
        let first = room.take(9 * KIB).await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(20), room.take(2 * KIB));
        assert!(second.await.is_err(), "27 of 30 are taken");
        drop(first);
        let all = room.take(u64::MAX).await.unwrap();
        assert_eq!(all.num_permits(), 30);
        assert_eq!((room.free.available_permits(), room.longest), (0, 30 * KIB));
    }
}

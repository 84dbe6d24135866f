//! The pack buffers of a put: so many and no more, used again and again.
//!
//! A buffer counts as used until its last user drops it, a store that still sends it included. That makes the bound hard.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vault_core::pack::PACK_LEN;

/// Most packs in memory at a time.
pub(crate) const MAX_PACKS: usize = 6;

#[derive(Debug, Clone)]
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    pub(crate) fn new(packs: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(packs.clamp(1, MAX_PACKS))), free: Arc::default() }
    }

    /// Waits for a buffer, on a thread that may block; `None` once the pool is closed.
    pub(crate) fn take_blocking(&self, runtime: &Handle) -> Option<PackBuffer> {
        let permit = runtime.block_on(Arc::clone(&self.permits).acquire_owned()).ok()?;
        let bytes = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Zeroed memory that is not touched takes no room: a small upload does not pay for a whole pack.
        let bytes = bytes.unwrap_or_else(|| vec![0; PACK_LEN as usize]);
        Some(PackBuffer { bytes, len: 0, free: Arc::clone(&self.free), _permit: permit })
    }

    /// Wakes whoever waits, in vain.
    pub(crate) fn close(&self) {
        self.permits.close();
    }
}

/// Room for one pack.
#[derive(Debug)]
pub(crate) struct PackBuffer {
    bytes: Vec<u8>,
    len: usize,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    // Dropped after the bytes are back: fields are dropped after `drop` has run.
    _permit: OwnedSemaphorePermit,
}

impl PackBuffer {
    /// All of the room, whatever the length.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Says how much of it is the pack.
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len.min(self.bytes.len());
    }
}

impl AsRef<[u8]> for PackBuffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for PackBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_buffer_is_used_until_its_last_reader_drops_it() {
        let pool = Pool::new(1);
        let handle = Handle::current();
        let take = |pool: Pool| {
            let handle = handle.clone();
            tokio::task::spawn_blocking(move || pool.take_blocking(&handle))
        };
        let mut buffer = take(pool.clone()).await.unwrap().unwrap();
        buffer.room()[0] = 7;
        buffer.set_len(1);
        let sent = Bytes::from_owner(buffer);
        let kept = sent.clone();
        drop(sent);
        let waiting = take(pool.clone());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(kept, [7][..]);
        drop(kept);
        assert!(waiting.await.unwrap().is_some());
        pool.close();
        assert!(take(pool).await.unwrap().is_none());
    }
}

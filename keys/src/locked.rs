//! A page of memory for an identity's secrets: locked where the system allows, zeroized before it is freed.
//!
//! Secrets rest here. While a key is used, copies lie on the heap and the stack for the length of one call; those
//! are zeroized, not locked. Locking fails under a small `RLIMIT_MEMLOCK` and is not an error: [`LockedSecrets::is_locked`]
//! tells.

use core::fmt;

use region::LockGuard;
use vault_core::secret::Secret32;
use zeroize::Zeroize;

const SECRET: usize = 32;

/// Two 32-byte secrets on a page of their own.
///
/// A page of their own because locks do not nest: unlocking another secret on the same page would unlock this one.
pub struct LockedSecrets {
    // Two pages long, so that one whole page is in it.
    memory: Box<[u8]>,
    start: usize,
    lock: Option<LockGuard>,
}

impl LockedSecrets {
    /// Moves two secrets into a locked page.
    #[must_use]
    pub fn new(first: &Secret32, second: &Secret32) -> Self {
        let page = region::page::size();
        let mut memory = vec![0; 2 * page].into_boxed_slice();
        let start = memory.as_ptr().align_offset(page).min(page);
        let lock = memory.get(start..start + page).and_then(|page| region::lock(page.as_ptr(), page.len()).ok());
        let secrets = first.expose().iter().chain(second.expose());
        for (to, from) in memory.iter_mut().skip(start).zip(secrets) {
            *to = *from;
        }
        Self { memory, start, lock }
    }

    /// Whether the system keeps the page out of swap.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// A copy of the first secret, for one use.
    #[must_use]
    pub fn first(&self) -> Option<Secret32> {
        self.copy(0)
    }

    /// A copy of the second secret, for one use.
    #[must_use]
    pub fn second(&self) -> Option<Secret32> {
        self.copy(SECRET)
    }

    fn copy(&self, offset: usize) -> Option<Secret32> {
        let start = self.start + offset;
        self.memory.get(start..start + SECRET).and_then(Secret32::from_slice)
    }
}

impl Drop for LockedSecrets {
    fn drop(&mut self) {
        // Cleared while still locked; the guard is dropped after this, and the memory freed after both.
        self.memory.zeroize();
        self.lock = None;
    }
}

impl fmt::Debug for LockedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedSecrets(locked: {})", self.is_locked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_from_a_page_of_their_own() {
        let (a, b) = (Secret32::take(&mut [1; 32]), Secret32::take(&mut [2; 32]));
        let locked = LockedSecrets::new(&a, &b);
        assert_eq!(locked.first(), Some(a));
        assert_eq!(locked.second(), Some(b));
        assert_eq!((locked.memory.as_ptr() as usize + locked.start) % region::page::size(), 0);
    }

    #[test]
    fn debug_prints_no_secret() {
        let locked = LockedSecrets::new(&Secret32::take(&mut [0xab; 32]), &Secret32::take(&mut [0xab; 32]));
        assert!(!format!("{locked:?}").contains("ab"));
    }
}

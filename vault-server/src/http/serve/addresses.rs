//! How many connections an address has open: nobody takes all of them from one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The connections of each address. Only addresses that have some are kept.
#[derive(Debug)]
pub(super) struct Addresses {
    most: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection of an address, as long as it lives.
#[derive(Debug)]
pub(super) struct Entered {
    addresses: Arc<Addresses>,
    from: IpAddr,
}

impl Addresses {
    /// At most so many an address.
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts a connection; `None` if its address has all that it may.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Entered> {
        let from = network_of(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(from).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Entered { addresses: Arc::clone(self), from })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.from);
            }
        }
    }
}

/// What one subscriber has: an IPv4 address, or the /64 of an IPv6 one.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_its_places_come_back() {
        let addresses = Addresses::new(2);
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        let other = enter("192.0.2.2");
        assert!(other.is_some());
        drop(second);
        assert!(enter("192.0.2.1").is_some());
        let six = [enter("2001:db8::1"), enter("2001:db8::2:1")];
        assert!(
            six.iter().all(Option::is_some) && enter("2001:db8::3").is_none() && enter("2001:db8:0:1::1").is_some()
        );
        drop((first, other, six));
        assert!(addresses.open.lock().unwrap().is_empty());
    }
}

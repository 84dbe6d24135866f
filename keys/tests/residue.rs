//! After a custodian is dropped, this process's memory holds neither secret, nor the passphrase.
//!
//! Alone in its binary: other tests' copies would be found too.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use vault_core::suite::Suite;
use vault_keys::conformance;
use vault_keys::file::{self, IfExists};
use vault_keys::identity::{Cost, Secrets};
use vault_keys::passphrase::Passphrase;

/// How often a needle occurs in writable memory. It is given inverted, so that it is not itself a hit, and the one
/// buffer is cleared after each look, so that a scan leaves no copies for the next.
fn occurrences(inverted: &[u8]) -> usize {
    const LOOK: usize = 1 << 16;
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0; LOOK];
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
        while at < end {
            let read = memory.read_at(&mut buffer, at).unwrap_or(0);
            let matches = |window: &&[u8]| window.iter().zip(inverted).all(|(byte, not)| *byte == !not);
            found += buffer[..read].windows(inverted.len()).filter(matches).count();
            buffer.fill(0);
            at += (LOOK - inverted.len() + 1) as u64;
        }
    }
    found
}

// Bytes that occur nowhere else, made at run time.
fn pattern(start: u8, i: u8) -> u8 {
    i.wrapping_mul(37).wrapping_add(start).rotate_left(3)
}

// The second half only: an allocator writes over the start of what is freed.
fn known(start: u8) -> Vec<u8> {
    (16..32).map(|i| !pattern(start, i)).collect()
}

// The passphrase is made at run time: a literal would be found in the binary.
fn secret_text() -> String {
    (0..40).map(letter).map(char::from).collect()
}

fn letter(i: u8) -> u8 {
    pattern(9, i) % 26 + b'a'
}

#[test]
fn no_secret_survives_in_memory() {
    let mut rng = UnwrapErr(SysRng);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity");
    let text: Vec<u8> = (24..40).map(|i| !letter(i)).collect();
    let (seed, kem) = (known(0x61), known(0x62));

    {
        // A generator of known secrets, so that they can be searched for.
        let secrets = Secrets::generate(&mut Known(0x61));
        let card = secrets.make_card(Suite::XWing, "", 0).unwrap();
        let passphrase = Passphrase::new(secret_text()).unwrap();
        file::create(&path, &secrets, &card, &passphrase, Cost::CHEAP_FOR_TESTS, IfExists::Refuse, &mut rng).unwrap();
    }
    {
        let passphrase = Passphrase::new(secret_text()).unwrap();
        assert!(occurrences(&text) > 0, "the search finds what is there");
        let custodian = file::unlock(&path, &passphrase).unwrap();
        conformance::check(&custodian, &mut rng).unwrap();
        assert!(occurrences(&seed) > 0, "the search finds what is there");
        assert!(occurrences(&kem) > 0, "the search finds what is there");
    }
    assert_eq!(occurrences(&seed), 0, "the signing seed");
    assert_eq!(occurrences(&kem), 0, "the KEM private key");
    assert_eq!(occurrences(&text), 0, "the passphrase");
}

/// Gives the known secrets, one a call.
struct Known(u8);

impl rand_core::TryRng for Known {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unimplemented!()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unimplemented!()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        (0..).zip(out).for_each(|(i, byte)| *byte = pattern(self.0, i));
        self.0 += 1;
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Known {}

//! Changes to bytes, the same on every machine: what the smoke run does where a fuzzer would look for new paths.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// Small, fast and repeatable; nothing here is secret.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Begins with the bytes themselves, so that an input always does the same.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(
            bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)),
        )
    }

    #[allow(clippy::should_implement_trait, reason = "it is no iterator: it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n.max(1)
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Random {}

const NUMBERS: [u64; 9] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 53, u64::MAX];

/// One to four changes to `seed`, some of them with a piece of `other`.
#[must_use]
pub fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..=random.below(4) {
        change(&mut out, other, random);
    }
    out
}

fn change(out: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(out.len() + 1);
    let some = |random: &mut Random, len: usize| {
        let start = random.below(len + 1);
        start..(start + random.below(40)).min(len)
    };
    match random.below(10) {
        0 if at < out.len() => out[at] ^= 1 << random.below(8),
        1 if at < out.len() => out[at] = random.next() as u8,
        2 => out.truncate(at),
        3 => out.insert(at, random.next() as u8),
        4 => {
            let range = some(random, out.len());
            out.drain(range);
        }
        5 => {
            let range = some(random, out.len());
            let piece = out[range].to_vec();
            out.splice(at..at, piece);
        }
        6 => {
            let range = some(random, other.len());
            out.splice(at..at, other[range].iter().copied());
        }
        7 => {
            let number = NUMBERS[random.below(NUMBERS.len())].to_be_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            for (to, from) in out.iter_mut().skip(at).zip(&number[8 - width..]) {
                *to = *from;
            }
        }
        8 => {
            // A digit, as long numbers in texts have it.
            let digits: Vec<usize> = (0..out.len()).filter(|i| out[*i].is_ascii_digit()).collect();
            if let Some(at) = digits.get(random.below(digits.len())) {
                out[*at] = b'0' + random.below(10) as u8;
            }
        }
        _ => {
            let to = random.below(out.len() + 1);
            if at < out.len() && to < out.len() {
                out.swap(at, to);
            }
        }
    }
}

//! Secrets to search for, in every form in which they could lie about: raw, hex, base64, and as `Debug` prints bytes.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};

/// Secrets by name, as patterns.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    all: Vec<(String, Vec<u8>)>,
}

/// Bytes of a piece: what is long enough to be found by chance nowhere, and short enough to survive when an allocator writes over
/// the start of what was freed.
const PIECE: usize = 16;

impl Needles {
    /// Adds a secret of at least 16 bytes.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= PIECE && secret.iter().any(|byte| *byte != secret[0]), "{name} is no secret");
        let mut pieces: Vec<&[u8]> = secret.chunks_exact(PIECE).collect();
        pieces.push(&secret[secret.len() - PIECE..]);
        for piece in pieces {
            self.put(name, "raw", piece.to_vec());
            self.put(name, "hex", hex(piece).into_bytes());
            self.put(name, "capital hex", hex(piece).to_uppercase().into_bytes());
            let listed = format!("{piece:?}");
            self.put(name, "a list of numbers", listed.trim_matches(['[', ']']).as_bytes().to_vec());
        }
        // Three letters before it or none: the letters in the middle depend on the secret alone.
        for shift in 0..3 {
            let text = Base64::encode_string(&[&vec![0; shift], secret].concat());
            let inner = &text[4..text.len() - 4];
            self.put(name, "base64", inner.as_bytes()[..20.min(inner.len())].to_vec());
            self.put(
                name,
                "base64url",
                inner.replace('+', "-").replace('/', "_").into_bytes()[..20.min(inner.len())].to_vec(),
            );
        }
    }

    fn put(&mut self, name: &str, form: &str, pattern: Vec<u8>) {
        assert!(pattern.len() >= 12);
        if self.all.iter().all(|(_, known)| *known != pattern) {
            self.all.push((format!("{name}, {form}"), pattern));
        }
    }

    /// Whose patterns occur in bytes.
    pub(crate) fn search(&self, haystack: &Finder, bytes: &[u8], found: &mut BTreeSet<String>) {
        haystack.each(bytes, |n| {
            found.insert(self.all[n].0.clone());
        });
    }

    pub(crate) fn finder(&self) -> Finder {
        let mut starts = vec![Vec::new(); 1 << 16];
        for (n, (_, pattern)) in self.all.iter().enumerate() {
            starts[usize::from(pattern[0]) << 8 | usize::from(pattern[1])].push((n, pattern.clone()));
        }
        Finder { starts }
    }

    /// The names, once each.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.all.iter().map(|(name, _)| name.rsplit_once(", ").unwrap().0).collect()
    }

    pub(crate) fn longest(&self) -> usize {
        self.all.iter().map(|(_, pattern)| pattern.len()).max().unwrap_or(0)
    }
}

/// Patterns by their first two bytes: a look at memory must not take minutes.
#[derive(Debug)]
pub(crate) struct Finder {
    starts: Vec<Vec<(usize, Vec<u8>)>>,
}

impl Finder {
    fn each(&self, bytes: &[u8], mut hit: impl FnMut(usize)) {
        for at in 0..bytes.len().saturating_sub(1) {
            let here = &self.starts[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])];
            for (n, pattern) in here {
                if bytes[at..].starts_with(pattern) {
                    hit(*n);
                }
            }
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

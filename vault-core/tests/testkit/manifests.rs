//! Manifests: their plaintext, and whether it is what was signed. Spec sections 3.4 to 3.8.

use serde_json::{Value, json};
use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{Digest, to_hex};
use vault_core::manifest::{MAX_PLAIN, Manifest, ManifestError, pad_len};
use vault_core::pack::PackList;

use super::bodies::text;
use super::kit::*;

pub(crate) fn run(input: &Value) -> Outcome {
    let manifest = match Manifest::parse(&bytes(&input["plain"])) {
        Ok(manifest) => manifest,
        Err(why) => return failure(&why),
    };
    let list = PackList::parse(&bytes(&input["list"])).unwrap();
    let root = text(&input["root"]).parse().unwrap();
    match manifest.verify(&root, input["files"].as_u64().unwrap(), &list) {
        Ok(()) => Outcome::success(
            manifest.files().iter().flat_map(|f| [f.path.as_str(), "\n"].concat().into_bytes()).collect::<Vec<_>>(),
        ),
        Err(why) => failure(&why),
    }
}

fn failure(why: &ManifestError) -> Outcome {
    match why {
        ManifestError::PackListDiffers | ManifestError::RootDiffers | ManifestError::CountDiffers => {
            Outcome::failure("differs", why)
        }
        ManifestError::Path(path) => Outcome::failure("malformed", format!("{why}: {path}")),
        _ => Outcome::failure("malformed", why),
    }
}

/// A file, with nothing that stops it from being wrong.
#[derive(Clone)]
struct File {
    path: Vec<u8>,
    number: u32,
    size: u64,
    modified: i64,
    mode: u32,
    offset: u64,
    key: [u8; 32],
    blake3: [u8; 32],
    digests: Vec<u8>,
}

impl File {
    fn record(&self) -> Vec<u8> {
        [
            &(self.path.len() as u16).to_be_bytes()[..],
            &self.path,
            &self.number.to_be_bytes(),
            &self.size.to_be_bytes(),
            &self.modified.to_be_bytes(),
            &self.mode.to_be_bytes(),
            &self.offset.to_be_bytes(),
            &self.key,
            &self.blake3,
            &self.digests,
        ]
        .concat()
    }

    fn leaf(&self, salt: &[u8; 32]) -> [u8; 32] {
        let mut data = vec![0];
        for field in [
            &b"seqvault/v1/leaf"[..],
            salt,
            &u64::from(self.number).to_be_bytes(),
            &self.path,
            &self.size.to_be_bytes(),
            &self.blake3,
        ] {
            data.extend_from_slice(&(field.len() as u32).to_be_bytes());
            data.extend_from_slice(field);
        }
        sha256(&data)
    }
}

fn tree(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().div_ceil(2).next_power_of_two());
            sha256(&[&[1][..], &tree(left), &tree(right)].concat())
        }
    }
}

/// A manifest to be written: all of it can be put wrong before, and the bytes after.
#[derive(Clone)]
struct Draft {
    files: Vec<File>,
    /// Files a block.
    blocks: Vec<usize>,
    stream: u64,
    salt: [u8; 32],
    list: Vec<u8>,
    extras: Vec<u8>,
    /// Leaves of files that are not there any more.
    removed: Vec<(u32, [u8; 32])>,
}

/// Where things lie in the head.
const COUNT: usize = 8;
const STREAM: usize = 12;
const BLOCKS: usize = 84;
const EXTRAS_AT: usize = 88;
const EXTRAS_LEN: usize = 96;
const END: usize = 100;
const HEAD: usize = 108;

impl Draft {
    fn new(paths: &[&str], rng: &mut Rng) -> Self {
        let file = |(i, path): (usize, &&str)| File {
            path: path.as_bytes().to_vec(),
            number: i as u32 + 1,
            size: 0,
            modified: START as i64,
            mode: 0,
            offset: 106 * i as u64,
            key: rng.array(),
            blake3: *blake3::hash(&[]).as_bytes(),
            digests: vec![0],
        };
        let files: Vec<File> = paths.iter().enumerate().map(file).collect();
        let stream = 106 * files.len() as u64;
        let mut draft = Self {
            blocks: vec![files.len()],
            files,
            stream,
            salt: rng.array(),
            list: Vec::new(),
            extras: canonical(&json!({"origin": null, "replaces": []})),
            removed: Vec::new(),
        };
        draft.list_for(stream, rng);
        draft
    }

    // One pack, whatever is in it.
    fn list_for(&mut self, stream: u64, rng: &mut Rng) {
        self.list = [
            &b"SVPACKS1"[..],
            &stream.to_be_bytes(),
            &1u32.to_be_bytes(),
            &rng.array::<16>(),
            &(stream as u32).to_be_bytes(),
            &rng.array::<32>(),
        ]
        .concat();
    }

    fn plain(&self) -> Vec<u8> {
        let mut rest = self.files.as_slice();
        let blocks: Vec<&[File]> = self.blocks.iter().map(|n| rest.split_off(..*n).unwrap()).collect();
        let mut at = HEAD + blocks.iter().map(|b| 18 + b[0].path.len()).sum::<usize>();
        let (mut index, mut records) = (Vec::new(), Vec::new());
        for block in &blocks {
            let bytes: Vec<u8> = block.iter().flat_map(File::record).collect();
            index.extend_from_slice(
                &[
                    &(at as u64).to_be_bytes()[..],
                    &(bytes.len() as u32).to_be_bytes(),
                    &(block.len() as u32).to_be_bytes(),
                    &(block[0].path.len() as u16).to_be_bytes(),
                    &block[0].path,
                ]
                .concat(),
            );
            at += bytes.len();
            records.extend(bytes);
        }
        let end = at + self.extras.len();
        let mut plain = [
            &b"SVMANIF1"[..],
            &(self.files.len() as u32).to_be_bytes(),
            &self.stream.to_be_bytes(),
            &self.salt,
            &sha256(&self.list),
            &(blocks.len() as u32).to_be_bytes(),
            &(at as u64).to_be_bytes(),
            &(self.extras.len() as u32).to_be_bytes(),
            &(end as u64).to_be_bytes(),
            &index,
            &records,
            &self.extras,
        ]
        .concat();
        plain.resize(pad_len(end as u64) as usize, 0);
        plain
    }

    fn root(&self) -> Digest {
        let mut leaves: Vec<(u32, [u8; 32])> = self.files.iter().map(|f| (f.number, f.leaf(&self.salt))).collect();
        leaves.extend(&self.removed);
        leaves.sort_unstable();
        Digest(tree(&leaves.into_iter().map(|(_, leaf)| leaf).collect::<Vec<_>>()))
    }

    fn input(&self, plain: &[u8]) -> Value {
        json!({"files": self.files.len(), "list": blob(&self.list), "plain": blob(plain), "root": self.root()})
    }

    fn end(&self) -> usize {
        let plain = self.plain();
        u64::from_be_bytes(plain[END..HEAD].try_into().unwrap()) as usize
    }
}

fn put<const N: usize>(plain: &[u8], at: usize, field: [u8; N]) -> Vec<u8> {
    let mut plain = plain.to_vec();
    plain[at..at + N].copy_from_slice(&field);
    plain
}

pub(crate) fn manifests() -> Vec<Case> {
    let mut all = Cases::new("manifests");
    let rng = &mut Rng::new("manifests");
    successes(&mut all, rng);
    paths(&mut all, rng);
    records(&mut all, rng);
    structure(&mut all, rng);
    extras(&mut all, rng);
    signed(&mut all, rng);
    all.done()
}

fn successes(all: &mut Cases, rng: &mut Rng) {
    let mut add = |name: &str, what: &str, draft: &Draft| {
        all.add(name, None, "3.5", "success", what, draft.input(&draft.plain()))
    };
    add("one-file", "one empty file", &Draft::new(&["a"], rng));
    let mut draft = Draft::new(&["a/b", "a/b-c", "ab", "日本/A\u{30a}", "日本/\u{c5}"], rng);
    draft.files[0].mode = 0o100;
    draft.files[0].modified = -1;
    draft.files[1].digests = [&[2, 1, 16][..], &[5; 16], &[2, 32], &[6; 32]].concat();
    draft.files[2].size = 70_000;
    for i in 3..5 {
        draft.files[i].offset += 70_032;
    }
    draft.stream += 70_032;
    draft.list_for(draft.stream, rng);
    add(
        "five-files",
        "five files: a folder, an executable one, digests, two segments, names that are alike but for their Unicode form",
        &draft,
    );
    let mut draft = Draft::new(&["a", "b", "c"], rng);
    (draft.files[0].number, draft.files[1].number, draft.files[2].number) = (u32::MAX, 0, 7);
    (draft.files[0].offset, draft.files[2].offset) = (212, 0);
    add("any-order", "file numbers and places in another order than the paths", &draft);
    let mut draft = Draft::new(&["a", "b", "c"], rng);
    draft.blocks = vec![1, 2];
    add("two-blocks", "two blocks that are not full", &draft);
    let names: Vec<String> = (0..257).map(|i| format!("f{i:03}")).collect();
    let mut draft = Draft::new(&names.iter().map(String::as_str).collect::<Vec<_>>(), rng);
    draft.files.iter_mut().for_each(|file| file.key = [0; 32]);
    draft.blocks = vec![256, 1];
    add("block-full", "257 files: a full block and one more", &draft);
    let (long, deep) = ("x".repeat(255), format!("{}{}", "a/".repeat(2047), "bc"));
    let what = "the longest component and the longest path, 4,096 bytes";
    add("path-longest", what, &Draft::new(&[&deep, &long], rng));
    let names = ["...", ".hidden", "CON", "a b", "a:b", "b.", "c\u{85}", "d\u{2028}", "~"];
    add(
        "path-odd",
        "names that some file systems refuse and a manifest does not: U+0085 is none of the bytes that it refuses",
        &Draft::new(&names, rng),
    );
}

fn paths(all: &mut Cases, rng: &mut Rng) {
    let mut add = |name: &str, what: &str, paths: &[&[u8]]| {
        let mut draft = Draft::new(&vec!["x"; paths.len()], rng);
        draft.files.iter_mut().zip(paths).for_each(|(file, path)| file.path = path.to_vec());
        all.add(format!("path-{name}"), None, "3.5", "malformed", what, draft.input(&draft.plain()));
    };
    let (long, deep) = ([b'x'; 256], [&b"a/".repeat(2047)[..], b"abc"].concat());
    for (name, what, path) in [
        ("empty", "an empty path", &b""[..]),
        ("absolute", "a path that begins with a slash", b"/etc/passwd"),
        ("slash-end", "a path that ends with a slash", b"a/"),
        ("slashes", "two slashes in a row", b"a//b"),
        ("dot", "a component `.`", b"a/./b"),
        ("dot-dot", "a path that leaves its folder", b"../a"),
        ("dot-dot-inside", "a component `..` within the path", b"a/../b"),
        ("dot-dot-end", "a last component `..`", b"a/.."),
        ("nul", "a zero byte", b"a\0b"),
        ("line-feed", "a line feed", b"a\nb"),
        ("delete", "byte 0x7f", b"a\x7f"),
        ("backslash", "a backslash", b"a\\b"),
        ("component-long", "a component of 256 bytes", &long),
        ("long", "a path of 4,097 bytes", &deep),
        ("not-utf8", "a byte that is no UTF-8", b"a\xff"),
        ("surrogate", "a surrogate in UTF-8", b"a\xed\xa0\x80"),
        ("overlong", "a slash in two bytes", b"a\xc0\xafb"),
    ] {
        add(name, what, &[path]);
    }
    add("twice", "a path twice", &[b"a", b"a"]);
    add("order", "paths out of order", &[b"b", b"a"]);
    add("order-not-bytewise", "paths in the order of their letters and not of their bytes", &[b"a", b"B"]);
    add("folder", "a path that is the folder of the next", &[b"a", b"a/b"]);
    add("folder-far", "a path that is the folder of another, with one between them", &[b"a", b"a-b", b"a/b"]);
}

fn records(all: &mut Cases, rng: &mut Rng) {
    let good = Draft::new(&["a", "b", "c"], rng);
    let mut add = |name: &str, what: &str, change: &dyn Fn(&mut Draft)| {
        let mut draft = good.clone();
        change(&mut draft);
        all.add(name, None, "3.5", "malformed", what, draft.input(&draft.plain()));
    };
    add("number-twice", "a file number twice", &|d| d.files[2].number = 1);
    add("offset-gap", "a byte of the stream that is no file's", &|d| {
        d.files[2].offset += 1;
        d.stream += 1;
        d.list[8..16].copy_from_slice(&319u64.to_be_bytes());
        d.list[36..40].copy_from_slice(&319u32.to_be_bytes());
    });
    add("offset-overlap", "two files at one place", &|d| d.files[1].offset = 0);
    add("offset-overlap-part", "a file that begins in another's last byte", &|d| d.files[2].offset -= 1);
    add("offset-beyond", "a file behind the stream", &|d| d.files[2].offset += 106);
    add("offset-first", "no file at the stream's beginning", &|d| d.files.iter_mut().for_each(|f| f.offset += 1));
    add("size-one-more", "a file that is a byte longer than its place", &|d| d.files[1].size = 1);
    add("size-huge", "a size of 2^64 - 1: nothing may overflow", &|d| d.files[1].size = u64::MAX);
    add("size-wraps", "a size whose ciphertext's length is 106 modulo 2^64", &|d| {
        // 74 + s + 32 * ceil(s / 65536) wraps to the true length.
        d.files[2].size = wrapping_size();
    });
    add("offset-huge", "an offset of 2^64 - 1", &|d| d.files[2].offset = u64::MAX);
    add("mode-group", "another bit of the mode", &|d| d.files[0].mode = 0o110);
    add("mode-setuid", "the set-user-id bit", &|d| d.files[0].mode = 0o4100);
    for (name, what, digests) in [
        ("digest-unknown", "a digest of an unknown algorithm", [&[1, 3, 32][..], &[5; 32]].concat()),
        ("digest-length", "an MD5 of 15 bytes", [&[1, 1, 15][..], &[5; 15]].concat()),
        ("digest-twice", "two digests of one algorithm", [&[2, 1, 16][..], &[5; 16], &[1, 16], &[6; 16]].concat()),
        ("digest-order", "SHA-256 before MD5", [&[2, 2, 32][..], &[5; 32], &[1, 16], &[6; 16]].concat()),
        ("digest-cut", "a second digest that is not there: the next record is taken for it", vec![1]),
    ] {
        add(name, what, &|d| d.files[0].digests = digests.clone());
    }
}

fn wrapping_size() -> u64 {
    // The least s above 2^63 with s + 32 * ceil(s / 65536) = 32 modulo 2^64.
    let length = |s: u64| s.wrapping_add(32u64.wrapping_mul(s.div_ceil(65_536)));
    let guess = u64::MAX / 65_568 * 65_536;
    (guess..).find(|s| length(*s) == 32).unwrap_or(guess)
}

fn structure(all: &mut Cases, rng: &mut Rng) {
    let mut draft = Draft::new(&["a", "b", "c"], rng);
    draft.blocks = vec![1, 2];
    let (good, end) = (draft.plain(), draft.end());
    let mut add = |name: &str, what: &str, plain: Vec<u8>| {
        all.add(name, None, "3.4, 3.5", "malformed", what, draft.input(&plain))
    };
    let first_block = u64::from_be_bytes(good[HEAD..HEAD + 8].try_into().unwrap());
    let second = HEAD + 19;
    let at = |field: usize| u64::from_be_bytes(good[field..field + 8].try_into().unwrap());
    add("magic", "other first bytes", put(&good, 0, *b"SVMANIF2"));
    add("count-zero", "a file count of 0", put(&good, COUNT, 0u32.to_be_bytes()));
    add("count-less", "a file count of two before three", put(&good, COUNT, 2u32.to_be_bytes()));
    add("count-more", "a file count of four before three", put(&good, COUNT, 4u32.to_be_bytes()));
    add("count-huge", "a file count of 10,001", put(&good, COUNT, 10_001u32.to_be_bytes()));
    add("stream-less", "a stream that is a byte shorter than its files", put(&good, STREAM, 317u64.to_be_bytes()));
    add("stream-more", "a stream that is a byte longer than its files", put(&good, STREAM, 319u64.to_be_bytes()));
    add("blocks-zero", "an index of no block", put(&good, BLOCKS, 0u32.to_be_bytes()));
    add("blocks-less", "an index count of one before two blocks", put(&good, BLOCKS, 1u32.to_be_bytes()));
    add("blocks-more", "an index count of three before two blocks", put(&good, BLOCKS, 3u32.to_be_bytes()));
    add(
        "extras-at",
        "extras a byte later than they are",
        put(
            &put(&good, EXTRAS_AT, (at(EXTRAS_AT) + 1).to_be_bytes()),
            EXTRAS_LEN,
            ((end as u64 - at(EXTRAS_AT)) as u32 - 1).to_be_bytes(),
        ),
    );
    add(
        "extras-length",
        "extras a byte shorter than they are",
        put(&good, EXTRAS_LEN, ((end as u64 - at(EXTRAS_AT)) as u32 - 1).to_be_bytes()),
    );
    add("end-less", "an end before that of the extras", put(&good, END, (end as u64 - 1).to_be_bytes()));
    add("end-huge", "an end of 2^64 - 1", put(&good, END, u64::MAX.to_be_bytes()));
    add("block-at", "a first block that begins a byte later", put(&good, HEAD, (first_block + 1).to_be_bytes()));
    add(
        "block-at-second",
        "a second block that begins where the first one does",
        put(&good, second, first_block.to_be_bytes()),
    );
    let len = u32::from_be_bytes(good[HEAD + 8..HEAD + 12].try_into().unwrap());
    add("block-length", "a first block that is a byte longer", put(&good, HEAD + 8, (len + 1).to_be_bytes()));
    add("block-count", "two files in a block of one", put(&good, HEAD + 12, 2u32.to_be_bytes()));
    add("block-empty", "no file in a block of one", put(&good, HEAD + 12, 0u32.to_be_bytes()));
    add("block-path", "an index whose first path is not the block's", put(&good, HEAD + 18, *b"A"));
    let mut padded = good.clone();
    *padded.last_mut().unwrap() = 1;
    assert!(good.len() > end);
    add("padding-not-zero", "a last byte of the padding that is not zero", padded);
    add("padding-short", "a byte of padding less", good[..good.len() - 1].to_vec());
    add("padding-long", "a byte of padding more", [&good[..], &[0]].concat());
    add("padding-none", "no padding", good[..end].to_vec());
    let twice = usize::try_from(pad_len(good.len() as u64 + 1)).unwrap();
    let mut more = good.clone();
    more.resize(twice, 0);
    add("padding-next", "padding to the next length that Padmé gives", more);
    // No list of files that follows the other rules is written so long: at most 10,000 paths of 4,096 bytes.
    let mut bomb = good.clone();
    bomb.resize(MAX_PLAIN + (2 << 20), 0);
    add("too-long", "more than 64 MiB, of padding", bomb.clone());
    let end_there = put(&bomb, END, (bomb.len() as u64).to_be_bytes());
    let extras = (bomb.len() as u64 - at(EXTRAS_AT)) as u32;
    add(
        "too-long-extras",
        "more than 64 MiB, of extras that end in zeros",
        put(&end_there, EXTRAS_LEN, extras.to_be_bytes()),
    );
    add("count-largest", "a count of 2^32 - 1 files", put(&good, COUNT, u32::MAX.to_be_bytes()));
    add("index-largest", "a count of 2^32 - 1 blocks", put(&good, BLOCKS, u32::MAX.to_be_bytes()));
    add("extras-largest", "extras of 2^32 - 1 bytes", put(&good, EXTRAS_LEN, u32::MAX.to_be_bytes()));
    add("extras-wrapped", "extras that begin at 2^64 - 1", put(&good, EXTRAS_AT, u64::MAX.to_be_bytes()));
    add("block-largest", "a first block of 2^32 - 1 bytes", put(&good, HEAD + 8, u32::MAX.to_be_bytes()));
    add("block-wrapped", "a first block that begins at 2^64 - 1", put(&good, HEAD, u64::MAX.to_be_bytes()));
    add("cut", "the first 200 bytes", good[..200].to_vec());
    add("head-only", "a head and nothing after it", good[..HEAD].to_vec());
    add("no-bytes", "nothing at all", Vec::new());

    let names: Vec<String> = (0..257).map(|i| format!("f{i:03}")).collect();
    let mut draft = Draft::new(&names.iter().map(String::as_str).collect::<Vec<_>>(), rng);
    draft.files.iter_mut().for_each(|file| file.key = [0; 32]);
    all.add("block-over-full", None, "3.5", "malformed", "257 files in one block", draft.input(&draft.plain()));
    let mut draft = Draft::new(&["a", "c", "b"], rng);
    draft.blocks = vec![2, 1];
    all.add(
        "block-order",
        None,
        "3.5",
        "malformed",
        "a block that begins before the last path of the one before it",
        draft.input(&draft.plain()),
    );
}

fn extras(all: &mut Cases, rng: &mut Rng) {
    let good = Draft::new(&["a", "b"], rng);
    let (x, y) = (to_hex(&[1; 16]), to_hex(&[2; 16]));
    let leaf = |number: u32| json!({"leaf": to_hex(&[number as u8; 32]), "number": number});
    let origin = |leaves: u64, removed: Value| json!({"origin": {"entry": to_hex(&[9; 32]), "leaves": leaves, "manifest": x, "removed": removed}, "replaces": []});
    let replaces = |list: Value| json!({"origin": null, "replaces": list});
    let mut add = |name: &str, expect, what: &str, extras: Vec<u8>, removed: &[u32]| {
        let mut draft = good.clone();
        draft.extras = extras;
        draft.removed = removed.iter().map(|n| (*n, [*n as u8; 32])).collect();
        all.add(format!("extras-{name}"), None, "3.5, 3.6", expect, what, draft.input(&draft.plain()));
    };
    let file = |manifest: &str, file: u64| json!({"file": file, "manifest": manifest});
    let list = json!([file(&x, 1), file(&x, 2), file(&y, 0)]);
    add("replaces", "success", "three files that it takes over", canonical(&replaces(list)), &[]);
    let kept = canonical(&origin(4, json!([leaf(3), leaf(9)])));
    add(
        "origin",
        "success",
        "a re-encryption that left two of four files out: its root is that of all four",
        kept.clone(),
        &[3, 9],
    );
    add(
        "replaces-order",
        "malformed",
        "files that it takes over, out of order",
        canonical(&replaces(json!([file(&y, 0), file(&x, 1)]))),
        &[],
    );
    add(
        "replaces-twice",
        "malformed",
        "a file that it takes over twice",
        canonical(&replaces(json!([file(&x, 1), file(&x, 1)]))),
        &[],
    );
    add("replaces-number", "malformed", "a file number of 2^32", canonical(&replaces(json!([file(&x, 1 << 32)]))), &[]);
    add("replaces-null", "malformed", "null where a list must be", canonical(&replaces(json!(null))), &[]);
    add(
        "removed-order",
        "malformed",
        "removed leaves out of order",
        canonical(&origin(4, json!([leaf(9), leaf(3)]))),
        &[3, 9],
    );
    add(
        "removed-twice",
        "malformed",
        "a leaf removed twice",
        canonical(&origin(4, json!([leaf(3), leaf(3)]))),
        &[3, 9],
    );
    add(
        "removed-kept",
        "malformed",
        "a removed leaf with the number of a file that is there",
        canonical(&origin(3, json!([leaf(2)]))),
        &[3],
    );
    add(
        "leaves",
        "malformed",
        "another number of leaves than are there and removed",
        canonical(&origin(5, json!([leaf(3), leaf(9)]))),
        &[3, 9],
    );
    add("member-extra", "malformed", "a member more", canonical(&json!({"origin": null, "replaces": [], "x": 1})), &[]);
    add("member-missing", "malformed", "no `origin`", canonical(&json!({"replaces": []})), &[]);
    add("order", "malformed", "members in another order", br#"{"replaces":[],"origin":null}"#.to_vec(), &[]);
    add("space", "malformed", "a space", br#"{"origin":null, "replaces":[]}"#.to_vec(), &[]);
    add("doubled", "malformed", "a member twice", br#"{"origin":null,"origin":null,"replaces":[]}"#.to_vec(), &[]);
    add("zeros", "malformed", "zero bytes within the extras", b"{\"origin\":null,\"replaces\":[]}\0\0".to_vec(), &[]);
    add("none", "malformed", "no extras", Vec::new(), &[]);
    add(
        "removed-unsaid",
        "differs",
        "a root with a leaf that is not among the removed ones",
        canonical(&origin(4, json!([leaf(3), leaf(8)]))),
        &[3, 9],
    );
    add(
        "not-an-origin",
        "differs",
        "a root over four files, and extras that name no origin",
        canonical(&replaces(json!([]))),
        &[3, 9],
    );
}

fn signed(all: &mut Cases, rng: &mut Rng) {
    let good = Draft::new(&["a", "b", "c"], rng);
    let right = good.input(&good.plain());
    let mut add = |name: &str, what: &str, spec, input: Value| {
        all.add(format!("signed-{name}"), None, spec, "differs", what, input)
    };
    add("count", "the statement counts two files", "3.8", with(&right, json!({"files": 2})));
    let mut list = good.clone();
    list.list_for(318, rng);
    add(
        "pack-list",
        "the pack list that is there is not the one that the manifest names",
        "3.8",
        with(&right, json!({"list": blob(&list.list)})),
    );
    let mut other = good.clone();
    other.list_for(319, rng);
    add("stream", "a pack list, named by the manifest, of a longer stream", "3.8", other.input(&other.plain()));
    let mut wrong = |name: &str, what: &str, change: &dyn Fn(&mut Draft)| {
        let mut draft = good.clone();
        change(&mut draft);
        add(name, what, "3.6", with(&right, json!({"root": draft.root()})));
    };
    wrong("root-path", "the root of other paths", &|d| d.files[0].path = b"A".to_vec());
    wrong("root-number", "the root of another file number", &|d| d.files[2].number = 9);
    wrong("root-size", "the root of another size", &|d| d.files[0].size = 1);
    wrong("root-hash", "the root of other content", &|d| d.files[0].blake3 = [1; 32]);
    wrong("root-salt", "the root under another salt", &|d| d.salt = [1; 32]);
    wrong("root-fewer", "the root without the last file", &|d| d.files.truncate(2));
    let leaves: Vec<[u8; 32]> = good.files.iter().map(|f| f.leaf(&good.salt)).collect();
    let right_heavy = sha256(&[&[1][..], &leaves[0], &tree(&leaves[1..])].concat());
    add(
        "root-shape",
        "a root whose left part is the smaller one",
        "3.6",
        with(&right, json!({"root": Digest(right_heavy)})),
    );
    let plain: Vec<[u8; 32]> = good.files.iter().map(|f| f.blake3).collect();
    add("root-of-hashes", "a root over the files' hashes", "3.6", with(&right, json!({"root": Digest(tree(&plain))})));
}

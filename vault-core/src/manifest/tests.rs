use proptest::prelude::*;

use super::*;
use crate::floe;
use crate::ids::{EntryHash, ManifestId, PackName};
use crate::pack::{PACK_LEN, PackEntry};

fn secret(n: u8) -> Secret32 {
    Secret32::take(&mut [n; 32])
}

// Files with these paths and sizes, placed one after the other in the order given, numbered downwards.
fn files(list: &[(&str, u64)]) -> Vec<FileRecord> {
    let mut offset = 0;
    let count = list.len() as u32;
    (0u32..)
        .zip(list)
        .map(|(i, (path, size))| {
            let record = FileRecord {
                path: path.parse().unwrap(),
                number: count - i,
                size: *size,
                modified: -5 + i64::from(i),
                executable: i % 2 == 1,
                offset,
                key: secret(i as u8),
                blake3: Digest([i as u8; 32]),
                digests: match i % 3 {
                    0 => vec![],
                    1 => vec![FileDigest::Md5([1; 16])],
                    _ => vec![FileDigest::Md5([2; 16]), FileDigest::Sha256([3; 32])],
                },
            };
            offset += floe::ciphertext_len(*size);
            record
        })
        .collect()
}

fn list_for(stream_length: u64) -> PackList {
    let full = stream_length / u64::from(PACK_LEN);
    let rest = (stream_length % u64::from(PACK_LEN)) as u32;
    let lengths = (0..full).map(|_| PACK_LEN).chain((rest > 0).then_some(rest));
    let packs = (1u128..).zip(lengths).map(|(n, length)| PackEntry {
        name: PackName(n.to_be_bytes()),
        length,
        blake3: Digest([7; 32]),
    });
    // A draft without files is refused for that, not here.
    PackList::new(packs.collect()).unwrap_or_else(|_| list_for(1))
}

fn draft(files: Vec<FileRecord>) -> Draft {
    let stream_length = files.iter().map(|file| floe::ciphertext_len(file.size)).sum();
    let pack_list = list_for(stream_length).sha256();
    Draft { files, salt: secret(0xaa), stream_length, pack_list, extras: Extras::default() }
}

fn small() -> Manifest {
    Manifest::new(draft(files(&[("b/x", 70_000), ("a", 0), ("b-", 65_536), ("ü", 1)]))).unwrap()
}

fn many(n: u32) -> Manifest {
    let paths: Vec<String> = (0..n).map(|i| format!("run/{i:05}.fastq")).collect();
    let list: Vec<(&str, u64)> = paths.iter().map(|path| (path.as_str(), 100)).collect();
    Manifest::new(draft(files(&list))).unwrap()
}

fn rule(files: Vec<FileRecord>) -> ManifestError {
    Manifest::new(draft(files)).unwrap_err()
}

#[test]
fn a_manifest_has_the_bytes_of_the_specification() {
    let manifest = Manifest::new(draft(files(&[("a", 5)]))).unwrap();
    let plain = manifest.emit().unwrap();
    let mut expected = b"SVMANIF1\0\0\0\x01".to_vec();
    expected.extend_from_slice(&111u64.to_be_bytes());
    expected.extend_from_slice(&[0xaa; 32]);
    expected.extend_from_slice(&list_for(111).sha256().0);
    let (index, record, extras) =
        (8 + 4 + 4 + 2 + 1, 2 + 1 + 4 + 8 + 8 + 4 + 8 + 32 + 32 + 1, br#"{"origin":null,"replaces":[]}"#);
    expected.extend_from_slice(&1u32.to_be_bytes());
    expected.extend_from_slice(&(108u64 + index + record).to_be_bytes());
    expected.extend_from_slice(&(extras.len() as u32).to_be_bytes());
    expected.extend_from_slice(&(108 + index + record + extras.len() as u64).to_be_bytes());
    assert_eq!(expected.len(), 108);
    expected.extend_from_slice(&(108u64 + index).to_be_bytes());
    expected.extend_from_slice(&(record as u32).to_be_bytes());
    expected.extend_from_slice(&[0, 0, 0, 1, 0, 1, b'a']);
    expected.extend_from_slice(&[0, 1, b'a', 0, 0, 0, 1]);
    expected.extend_from_slice(&5u64.to_be_bytes());
    expected.extend_from_slice(&(-5i64).to_be_bytes());
    expected.extend_from_slice(&[0; 4 + 8 + 32 + 32 + 1]);
    expected.extend_from_slice(extras);
    expected.resize(pad_len(expected.len() as u64) as usize, 0);
    assert_eq!(*plain, expected);
}

#[test]
fn a_manifest_reads_back() {
    for manifest in [small(), many(1), many(255), many(256), many(257), many(1000)] {
        let plain = manifest.emit().unwrap();
        let read = Manifest::parse(&plain).unwrap();
        assert_eq!(read.files(), manifest.files());
        assert_eq!(read.emit().unwrap(), plain);
        assert_eq!(read.root(), manifest.root());
        assert_eq!(plain.len() as u64, pad_len(plain.len() as u64));
    }
}

#[test]
fn a_manifest_verifies_against_what_was_signed_and_nothing_else() {
    let manifest = small();
    let list = list_for(manifest.stream_length());
    let root = manifest.root();
    assert_eq!(manifest.verify(&root, 4, &list), Ok(()));
    assert_eq!(manifest.verify(&root, 3, &list), Err(ManifestError::CountDiffers));
    assert_eq!(manifest.verify(&Digest([0; 32]), 4, &list), Err(ManifestError::RootDiffers));
    assert_eq!(manifest.verify(&root, 4, &list_for(manifest.stream_length() + 1)), Err(ManifestError::PackListDiffers));
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let plain = small().emit().unwrap();
    for len in 0..plain.len() {
        assert!(Manifest::parse(&plain[..len]).is_err(), "{len}");
    }
    assert!(Manifest::parse(&[&plain[..], &[0]].concat()).is_err());
}

#[test]
fn a_changed_bit_is_refused_or_is_another_manifest() {
    let manifest = small();
    let plain = manifest.emit().unwrap();
    for bit in 0..plain.len() * 8 {
        let mut changed = plain.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Manifest::parse(&changed) {
            // Nothing that is read is ignored: what was changed comes out again.
            assert_eq!(*read.emit().unwrap(), changed, "{bit}");
        }
    }
}

#[test]
fn padding_must_be_zero_and_of_the_right_length() {
    let plain = small().emit().unwrap();
    let mut changed = plain.to_vec();
    *changed.last_mut().unwrap() = 1;
    assert_eq!(Manifest::parse(&changed).unwrap_err(), ManifestError::Malformed("its padding"));
}

#[test]
fn broken_rules_are_named() {
    assert_eq!(rule(vec![]), ManifestError::Rule("the number of files"));
    assert_eq!(rule(files(&[("a", 1), ("a", 2)])), ManifestError::Rule("a path twice"));
    assert_eq!(
        rule(files(&[("a", 1), ("a-b", 2), ("a/b", 3)])),
        ManifestError::Rule("a path that is a folder of another")
    );
    let mut twice = files(&[("a", 1), ("b", 2)]);
    twice[1].number = twice[0].number;
    assert_eq!(rule(twice), ManifestError::Rule("a file number twice"));
    let mut gap = files(&[("a", 1), ("b", 2)]);
    gap[1].offset += 1;
    assert_eq!(rule(gap), ManifestError::Rule("files that do not tile the stream"));
    let mut digests = files(&[("a", 1)]);
    digests[0].digests = vec![FileDigest::Sha256([0; 32]), FileDigest::Md5([0; 16])];
    assert_eq!(rule(digests), ManifestError::Rule("the order of digests"));
    let mut digests = files(&[("a", 1)]);
    digests[0].digests = vec![FileDigest::Md5([0; 16]), FileDigest::Md5([0; 16])];
    assert_eq!(rule(digests), ManifestError::Rule("a digest twice"));
    let short = Draft { stream_length: 1, ..draft(files(&[("a", 1)])) };
    assert_eq!(Manifest::new(short).unwrap_err(), ManifestError::Rule("the stream's length"));
}

#[test]
fn files_may_lie_in_the_stream_in_another_order_than_by_path() {
    let manifest = Manifest::new(draft(files(&[("c", 10), ("b", 20), ("a", 30)]))).unwrap();
    let paths: Vec<_> = manifest.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a", "b", "c"]);
    assert_eq!(manifest.file(&"c".parse().unwrap()).unwrap().offset, 0);
}

#[test]
fn one_file_is_found_by_reading_head_index_and_one_block() {
    let manifest = many(1000);
    let plain = manifest.emit().unwrap();
    let part = |range: core::ops::Range<u64>| &plain[range.start as usize..range.end as usize];
    let head = Head::parse(&plain[..Head::LEN]).unwrap();
    let index_range = Head::index_range(&plain[HEAD_LEN..Head::LEN]).unwrap();
    let index = Index::parse(head, part(index_range)).unwrap();
    assert_eq!(index.blocks().len(), 4);
    for expected in manifest.files() {
        let block = index.block_of(&expected.path).unwrap();
        assert_eq!(index.find(&expected.path, block, part(block.range())).unwrap().as_ref(), Some(expected));
    }
    for absent in ["run/00000", "run/00300.fastq0", "zzz"] {
        let path = absent.parse().unwrap();
        let found = index.block_of(&path).and_then(|block| index.find(&path, block, part(block.range())).unwrap());
        assert_eq!(found, None, "{absent}");
    }
    assert_eq!(index.block_of(&"a".parse().unwrap()), None);
}

#[test]
fn a_block_that_is_not_what_the_index_says_is_refused() {
    let plain = many(600).emit().unwrap();
    let part = |range: core::ops::Range<u64>| &plain[range.start as usize..range.end as usize];
    let head = Head::parse(&plain).unwrap();
    let index = Index::parse(head, part(Head::index_range(&plain[HEAD_LEN..]).unwrap())).unwrap();
    let blocks = index.blocks();
    assert!(index.read_block(&blocks[0], part(blocks[1].range())).is_err());
    assert!(index.read_block(&blocks[0], &part(blocks[0].range())[1..]).is_err());
    assert!(index.read_block(&blocks[2], part(blocks[2].range())).is_ok());
}

#[test]
fn a_re_encryption_without_some_files_has_the_original_root() {
    let original = small();
    let gone = original.files()[1].number;
    let removed: Vec<_> = original
        .files()
        .iter()
        .map(|file| leaf_hash(original.salt(), file))
        .filter(|leaf| leaf.number == gone)
        .map(|leaf| RemovedLeaf { leaf: leaf.hash, number: leaf.number })
        .collect();
    let origin = Origin { entry: EntryHash([1; 32]), leaves: 4, manifest: ManifestId([2; 16]), removed };
    let root = original.root();
    let mut kept: Vec<_> = original.into_files().into_iter().filter(|file| file.number != gone).collect();
    let mut offset = 0;
    for file in &mut kept {
        file.offset = offset;
        offset += floe::ciphertext_len(file.size);
    }
    let extras = Extras { origin: Some(origin), replaces: vec![] };
    let again = Manifest::new(Draft { extras, ..draft(kept) }).unwrap();
    assert_eq!(again.root(), root);
    let read = Manifest::parse(&again.emit().unwrap()).unwrap();
    assert_eq!(read.root(), root);
    assert_eq!(read.extras(), again.extras());
    assert_eq!(read.extras().origin.as_ref().map(|origin| origin.leaves), Some(4));
}

#[test]
fn extras_that_break_a_rule_are_refused() {
    let origin = |leaves, removed: &[u32]| Extras {
        origin: Some(Origin {
            entry: EntryHash([1; 32]),
            leaves,
            manifest: ManifestId([2; 16]),
            removed: removed.iter().map(|n| RemovedLeaf { leaf: Digest([0; 32]), number: *n }).collect(),
        }),
        replaces: vec![],
    };
    let replaces = |list: &[u32]| Extras {
        origin: None,
        replaces: list.iter().map(|n| FileRef { manifest: ManifestId([0; 16]), file: *n }).collect(),
    };
    let make = |extras| Manifest::new(Draft { extras, ..draft(files(&[("a", 1), ("b", 1)])) });
    for bad in
        [origin(2, &[7]), origin(3, &[1]), origin(4, &[9, 8]), origin(4, &[8, 8]), replaces(&[2, 1]), replaces(&[1, 1])]
    {
        assert!(make(bad.clone()).is_err(), "{bad:?}");
    }
    for good in [origin(2, &[]), origin(4, &[8, 9]), replaces(&[1, 2])] {
        assert!(make(good).is_ok());
    }
}

#[test]
fn the_root_depends_on_everything_that_it_covers() {
    let root = |change: fn(&mut FileRecord)| {
        let mut list = files(&[("a", 1), ("b", 2), ("c", 3)]);
        change(&mut list[2]);
        Manifest::new(draft(list)).unwrap().root()
    };
    let original = root(|_| ());
    assert_ne!(root(|file| file.number = 9), original);
    assert_ne!(root(|file| file.path = "d".parse().unwrap()), original);
    assert_ne!(root(|file| file.size = 4), original);
    assert_ne!(root(|file| file.blake3 = Digest([9; 32])), original);
    // Not on what a re-encryption changes.
    assert_eq!(root(|file| file.key = secret(9)), original);
    let salted = Manifest::new(Draft { salt: secret(1), ..draft(files(&[("a", 1), ("b", 2), ("c", 3)])) }).unwrap();
    assert_ne!(salted.root(), original);
}

#[test]
fn ten_thousand_files_fit_and_one_more_does_not() {
    let manifest = many(10_000);
    assert_eq!(Manifest::parse(&manifest.emit().unwrap()).unwrap().files().len(), 10_000);
    let mut list = manifest.into_files();
    let last = list.last().unwrap();
    list.push(FileRecord {
        path: "z".parse().unwrap(),
        number: u32::MAX,
        offset: last.offset + floe::ciphertext_len(last.size),
        key: secret(1),
        digests: vec![],
        ..*last
    });
    assert_eq!(rule(list), ManifestError::Rule("the number of files"));
}

/// The first bytes of a manifest with three files, whose extras of `len` bytes begin at `at` and which says that it ends at `end`.
fn head(at: u64, len: u32, end: u64) -> Vec<u8> {
    let numbers = [&3u32.to_be_bytes()[..], &7u64.to_be_bytes(), &[0; 32], &[0; 32], &1u32.to_be_bytes()].concat();
    [&MAGIC[..], &numbers, &at.to_be_bytes(), &len.to_be_bytes(), &end.to_be_bytes()].concat()
}

#[test]
fn a_head_ends_within_64_mib_and_where_its_extras_do() {
    let max = MAX_PLAIN as u64;
    let read = Head::parse(&head(max - 5, 5, max)).unwrap();
    assert_eq!((read.files(), read.end(), read.extras_range()), (3, max, max - 5..max));
    let wrong = ManifestError::Malformed("where it ends");
    assert_eq!(Head::parse(&head(max - 4, 5, max + 1)).unwrap_err(), wrong);
    assert_eq!(Head::parse(&head(max - 5, 5, max - 1)).unwrap_err(), wrong);
}

#[test]
fn an_index_lies_between_the_head_and_64_mib() {
    let range = |first_block: u64| Head::index_range(&first_block.to_be_bytes());
    let (least, max) = (HEAD_LEN as u64, MAX_PLAIN as u64);
    assert!(range(least).is_err() && range(0).is_err());
    assert_eq!(range(least + 1), Ok(least..least + 1));
    assert_eq!(range(max), Ok(least..max));
    assert!(range(max + 1).is_err() && range(u64::MAX).is_err());
}

#[test]
fn a_manifest_of_more_than_64_mib_is_refused_for_its_length() {
    let refused = |len: usize| Manifest::parse(&vec![0; len]).err();
    assert_eq!(refused(MAX_PLAIN), Some(ManifestError::Malformed("its first bytes")));
    assert_eq!(refused(MAX_PLAIN + 1), Some(ManifestError::Malformed("its length")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn manifests_read_back(
        list in proptest::collection::btree_map("[a-zé ]{1,6}(/[a-z.]{3,9}){0,3}", 0u64..1 << 26, 1..400),
    ) {
        let list: Vec<(&str, u64)> = list.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        let Ok(records) = std::panic::catch_unwind(|| files(&list)) else { return Ok(()) };
        let Ok(manifest) = Manifest::new(draft(records)) else { return Ok(()) };
        let plain = manifest.emit().unwrap();
        let read = Manifest::parse(&plain).unwrap();
        prop_assert_eq!(read.files(), manifest.files());
        prop_assert_eq!(read.emit().unwrap(), plain);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..300) {
        let _ = Manifest::parse(&bytes);
        let mut plain = small().emit().unwrap().to_vec();
        for (to, from) in plain.iter_mut().skip(at).zip(&bytes) {
            *to = *from;
        }
        if let Ok(read) = Manifest::parse(&plain) {
            prop_assert_eq!(&*read.emit().unwrap(), &plain);
        }
    }
}

//! Pack lists and groups. Spec sections 3.2, 3.3.

use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde_json::{Value, json};
use vault_core::floe::{self, SEGMENT, SEGMENT_PLAIN};
use vault_core::hazmat::kdf::sha256;
use vault_core::hazmat::tree;
use vault_core::ids::{Digest, to_hex};
use vault_core::pack::{GROUP_LEN, Groups, PACK_LEN, PackError, PackHash, PackList};

use super::bodies::{Body, Floe, text};
use super::kit::*;

fn outcome(result: Result<Vec<u8>, PackError>) -> Outcome {
    match result {
        Ok(bytes) => Outcome::success(bytes),
        Err(why @ (PackError::GroupsDiffer | PackError::BytesDiffer)) => Outcome::failure("differs", why),
        Err(why) => Outcome::failure("malformed", why),
    }
}

type Entry = ([u8; 16], u32, [u8; 32]);

fn list_of(length: u64, count: u32, packs: &[Entry]) -> Vec<u8> {
    let entry = |(name, len, hash): &Entry| [&name[..], &len.to_be_bytes(), hash].concat();
    [b"SVPACKS1", &length.to_be_bytes()[..], &count.to_be_bytes(), &packs.iter().flat_map(entry).collect::<Vec<_>>()]
        .concat()
}

fn tiling(packs: &[Entry]) -> Vec<u8> {
    list_of(packs.iter().map(|p| u64::from(p.1)).sum(), packs.len() as u32, packs)
}

// --- pack lists ---

pub(crate) fn run_list(input: &Value) -> Outcome {
    let list = bytes(&input["list"]);
    if Digest(sha256(&list)) != text(&input["sha256"]).parse().unwrap() {
        return Outcome::failure("differs", "another hash than the signed one");
    }
    outcome(PackList::parse(&list).map(|list| list.packs().iter().flat_map(|pack| pack.name.0).collect()))
}

pub(crate) fn lists() -> Vec<Case> {
    let mut all = Cases::new("pack-lists");
    let rng = &mut Rng::new("pack lists");
    let mut pack = |len: u32| (rng.array(), len, rng.array());
    let mut add = |name: &str, expect, what: &str, list: Vec<u8>| {
        all.add(name, None, "3.2", expect, what, json!({"list": blob(&list), "sha256": Digest(sha256(&list))}));
    };
    let (full, second, last) = (pack(PACK_LEN), pack(PACK_LEN), pack(1000));
    add("one", "success", "one pack of one byte", tiling(&[pack(1)]));
    add("one-full", "success", "one full pack", tiling(&[full]));
    add("three", "success", "two full packs and a part of one", tiling(&[full, second, last]));
    add("magic", "malformed", "other first bytes", [b"SVPACKS2", &tiling(&[last])[8..]].concat());
    add("none", "malformed", "no pack, for a stream of no bytes", tiling(&[]));
    add("empty-last", "malformed", "a last pack of no bytes", tiling(&[full, pack(0)]));
    add("short-first", "malformed", "a first pack that is not full", tiling(&[pack(PACK_LEN - 1), last]));
    add("long-first", "malformed", "a first pack that is more than full", tiling(&[pack(PACK_LEN + 1), last]));
    add("long-last", "malformed", "a last pack that is more than full", tiling(&[pack(PACK_LEN + 1)]));
    add("name-twice", "malformed", "one name for two packs", tiling(&[full, second, (full.0, 1000, last.2)]));
    let two = [full, last];
    let length = u64::from(PACK_LEN) + 1000;
    add("stream-longer", "malformed", "a stream that is a byte longer than its packs", list_of(length + 1, 2, &two));
    add("stream-shorter", "malformed", "a stream that is a byte shorter than its packs", list_of(length - 1, 2, &two));
    add("count-less", "malformed", "a count of one before two packs", list_of(length, 1, &two));
    add("count-more", "malformed", "a count of three before two packs", list_of(length, 3, &two));
    add(
        "count-huge",
        "malformed",
        "a count of 2^32 - 1: nothing may be reserved for it",
        list_of(length, u32::MAX, &two),
    );
    let good = tiling(&two);
    add("byte-after", "malformed", "a byte after the last pack", [&good[..], &[0]].concat());
    add("byte-missing", "malformed", "the last byte is missing", good[..good.len() - 1].to_vec());
    add("head-only", "malformed", "the first 19 bytes", good[..19].to_vec());
    let input = json!({"list": blob(&good), "sha256": to_hex(&[7; 32])});
    all.add("hash", None, "3.2", "differs", "another SHA-256 than the signed one", input);
    all.done()
}

// --- groups ---

pub(crate) fn run_groups(input: &Value) -> Outcome {
    let list = PackList::parse(&bytes(&input["list"])).unwrap();
    let (index, start) = (number(&input["pack"]), number(&input["start"]) as u32);
    let part = bytes(&input["part"]);
    if !input["file"].is_null() {
        // What the signed hash is for: FLOE alone takes these bytes.
        let file = &input["file"];
        let size = number(&file["size"]) as u64;
        assert!(floe::open_bytes(&secret(&file["key"]), &bytes(&file["aad"]), &part, size).is_ok());
    }
    let checked = Groups::parse(&bytes(&input["groups"]), &list)
        .and_then(|groups| groups.verify(&list, index))
        .and_then(|groups| groups.check_range(start, &part));
    outcome(checked.map(|()| part))
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// A pack of some MiB of zeros in which each group has its number, and its list and groups.
fn numbered(len: usize) -> Vec<u8> {
    let mut pack = vec![0; len];
    for (i, group) in pack.chunks_mut(GROUP_LEN as usize).enumerate() {
        group[0] = i as u8 + 1;
    }
    pack
}

fn groups_of(values: &[Vec<[u8; 32]>]) -> Vec<u8> {
    let count = u32::try_from(values.len()).unwrap().to_be_bytes();
    [&b"SVGROUP1"[..], &count, &values.concat().concat()].concat()
}

fn list_for(packs: &[&[u8]], rng: &mut Rng) -> Vec<u8> {
    tiling(&packs.iter().map(|pack| (rng.array(), pack.len() as u32, PackHash::of(pack).root.0)).collect::<Vec<_>>())
}

pub(crate) fn groups() -> Vec<Case> {
    let mut all = Cases::new("groups");
    let rng = &mut Rng::new("groups");
    let group = GROUP_LEN as usize;
    let mut add = |name: &str, expect, what: &str, input: Value| all.add(name, None, "3.3", expect, what, input);
    let usual = |pack: &[u8], at: usize, rng: &mut Rng| {
        let values = PackHash::of(pack).groups;
        let part = &pack[at * group..pack.len().min((at + 1) * group)];
        json!({
            "file": null, "groups": blob(&groups_of(&[values])), "list": blob(&list_for(&[pack], rng)), "pack": 0,
            "part": blob(part), "start": at * group,
        })
    };
    for (name, what, len, at) in [
        ("small", "a pack of exactly 1 MiB has no values and is checked whole", group, 0),
        ("two-last", "the second group of a pack of 1 MiB and a byte: one byte", group + 1, 1),
        ("three-first", "the first of three groups", 3 * group, 0),
        ("five-last", "the last of five groups: the tree is not balanced", 5 * group - 100, 4),
    ] {
        add(name, "success", what, usual(&numbered(len), at, rng));
    }
    let pack = numbered(5 * group - 100);
    let values = PackHash::of(&pack).groups;
    let good = usual(&pack, 1, rng);
    let two = with(&good, json!({"part": blob(&pack[group..3 * group])}));
    add("five-two-of-them", "success", "the second and third of five groups", two);
    let mut other = |name: &str, expect, what: &str, values: Vec<[u8; 32]>| {
        add(name, expect, what, with(&good, json!({"groups": blob(&groups_of(&[values]))})));
    };
    other("value-missing", "malformed", "four values for five groups", values[..4].to_vec());
    other("value-more", "malformed", "six values for five groups", [&values[..], &[[0; 32]]].concat());
    let mut changed = values.clone();
    changed[4][0] ^= 1;
    other("value-changed", "differs", "one bit of a value changed, of a group that is not read", changed);
    let mut swapped = values.clone();
    swapped.swap(2, 3);
    other("values-swapped", "differs", "two values in each other's place", swapped);
    let roots = pack.chunks(group).map(tree::hash).collect();
    other("values-are-hashes", "differs", "the groups' BLAKE3 hashes in the place of their chaining values", roots);
    let at_zero = pack.chunks(group).map(|part| tree::subtree(0, 20, part).unwrap()).collect();
    other("values-at-zero", "differs", "chaining values as if each group were the first", at_zero);

    for (name, what, text) in [
        ("magic", "other first bytes", &b"SVGROUP2"[..]),
        ("count", "a count of two for one pack", b"SVGROUP1\0\0\0\x02"),
    ] {
        let bytes = [text, &groups_of(std::slice::from_ref(&values))[text.len()..]].concat();
        add(name, "malformed", what, with(&good, json!({"groups": blob(&bytes)})));
    }
    let bytes = groups_of(std::slice::from_ref(&values));
    add(
        "byte-after",
        "malformed",
        "a byte after the last value",
        with(&good, json!({"groups": blob(&[&bytes[..], &[0]].concat())})),
    );
    let small = usual(&numbered(group), 0, rng);
    let value = groups_of(&[vec![PackHash::of(&numbered(group)).root.0]]);
    add(
        "small-with-value",
        "malformed",
        "a value for a pack of 1 MiB, which has none",
        with(&small, json!({"groups": blob(&value)})),
    );

    let mut part = pack[group..2 * group].to_vec();
    part[777] = 1;
    add("part-changed", "differs", "one byte of the group changed", with(&good, json!({"part": blob(&part)})));
    let third = with(&good, json!({"part": blob(&pack[2 * group..3 * group])}));
    add("part-of-another", "differs", "the third group in the place of the second", third);
    add(
        "part-short",
        "malformed",
        "a byte less than a group, which is not the pack's last",
        with(&good, json!({"part": blob(&pack[group..2 * group - 1])})),
    );
    add(
        "part-uneven",
        "malformed",
        "a part that begins within a group",
        with(&good, json!({"part": blob(&pack[group + 1..2 * group + 1]), "start": group + 1})),
    );
    add(
        "part-beyond",
        "malformed",
        "a part beyond the pack's end",
        with(&good, json!({"part": blob(&[0; 8]), "start": 5 * group})),
    );
    let mut small_part = numbered(group);
    small_part[5] = 5;
    add(
        "small-changed",
        "differs",
        "one byte of a pack of 1 MiB changed",
        with(&small, json!({"part": blob(&small_part)})),
    );

    // The values are right, and merge to the signed root by another rule.
    let paired = pairs(&values);
    let list = tiling(&[(rng.array(), pack.len() as u32, paired)]);
    add(
        "tree-of-pairs",
        "differs",
        "a signed hash that the values give by another rule: a tree of halves",
        with(&good, json!({"list": blob(&list)})),
    );

    let first = numbered_full();
    let mut second = numbered(2 * group);
    second[group] = 0xee;
    let both = json!({
        "file": null, "groups": blob(&groups_of(&[PackHash::of(&first).groups, PackHash::of(&second).groups])),
        "list": blob(&list_for(&[&first, &second], rng)), "pack": 1, "part": blob(&second[group..]), "start": group,
    });
    add("second-pack", "success", "a group of the second of two packs", both.clone());
    let crossed = with(&both, json!({"pack": 0}));
    add("group-of-other-pack", "differs", "a group of the second pack in the place of the first pack's", crossed);
    forged(&mut all, rng);
    all.done()
}

fn numbered_full() -> Vec<u8> {
    numbered(PACK_LEN as usize)
}

// ((1 2) (3 (4 5))): halves, where BLAKE3's rule for five is (((1 2) (3 4)) 5).
fn pairs(values: &[[u8; 32]]) -> [u8; 32] {
    let [a, b, c, d, e] = values else { panic!("five values") };
    let inner = |left: &[u8; 32], right: &[u8; 32]| merge_subtrees_non_root(left, right, Mode::Hash);
    merge_subtrees_root(&inner(a, b), &inner(c, &inner(d, e)), Mode::Hash).into()
}

// A key holder who writes to the bucket seals another segment: FLOE takes it, the signed hash does not.
fn forged(all: &mut Cases, rng: &mut Rng) {
    let size = 17 * SEGMENT_PLAIN;
    let floe = Floe::new(rng.array(), b"file", rng);
    let good = floe.body(size, rng);
    let mut segments = good.segments.clone();
    segments[16] = floe.segment(16, true, SEGMENT as u32, &vec![0; SEGMENT_PLAIN], rng);
    let forged = Body { segments, ..good.clone() };
    let pack = good.bytes();
    let input = json!({
        "file": {"aad": blob(&floe.aad), "key": to_hex(&floe.key), "size": size},
        "groups": blob(&groups_of(&[PackHash::of(&pack).groups])), "list": blob(&list_for(&[&pack], rng)), "pack": 0,
        "part": blob(&pack), "start": 0,
    });
    let what = "a pack with one body of 17 segments, which FLOE takes with `file`";
    all.add("body", None, "3.3", "success", what, input.clone());
    let what =
        "the last segment sealed anew by somebody who has the key: FLOE takes it with `file`, the signed hash does not";
    all.add("body-forged", None, "3.3", "differs", what, with(&input, json!({"part": blob(&forged.bytes())})));
    let values = groups_of(&[PackHash::of(&forged.bytes()).groups]);
    let what = "the last segment sealed anew, and the groups derived from the forged pack";
    let changes = json!({"groups": blob(&values), "part": blob(&forged.bytes())});
    all.add("body-and-groups-forged", None, "3.3", "differs", what, with(&input, changes));
}

use proptest::prelude::*;

use super::*;
use crate::floe;

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ (i / 65_537) as u8 ^ seed).collect()
}

fn entry(n: u32, bytes: &[u8]) -> (PackEntry, Vec<GroupValue>) {
    let hash = PackHash::of(bytes);
    let mut name = [0; 16];
    name[..4].copy_from_slice(&n.to_be_bytes());
    (PackEntry { name: PackName(name), length: bytes.len() as u32, blake3: hash.root }, hash.groups)
}

fn full(n: u32) -> PackEntry {
    PackEntry { length: PACK_LEN, ..entry(n, b"").0 }
}

fn list(last: u32) -> PackList {
    PackList::new(vec![full(1), full(2), PackEntry { length: last, ..full(3) }]).unwrap()
}

#[test]
fn a_pack_list_has_the_bytes_of_the_specification() {
    let (pack, _) = entry(7, b"pack");
    let emitted = PackList::new(vec![pack]).unwrap().emit();
    let mut expected = b"SVPACKS1\0\0\0\0\0\0\0\x04\0\0\0\x01".to_vec();
    expected.extend_from_slice(&pack.name.0);
    expected.extend_from_slice(&[0, 0, 0, 4]);
    expected.extend_from_slice(blake3::hash(b"pack").as_bytes());
    assert_eq!(emitted, expected);
}

#[test]
fn a_pack_list_reads_back_and_no_part_of_it_does() {
    let list = list(5);
    let emitted = list.emit();
    assert_eq!(PackList::parse(&emitted).as_ref(), Ok(&list));
    for len in 0..emitted.len() {
        assert!(PackList::parse(&emitted[..len]).is_err(), "{len}");
    }
    assert!(PackList::parse(&[&emitted[..], &[0]].concat()).is_err());
}

#[test]
fn changed_bits_of_a_pack_list_are_refused_or_change_its_hash() {
    let list = list(5);
    let emitted = list.emit();
    for bit in 0..emitted.len() * 8 {
        let mut changed = emitted.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = PackList::parse(&changed) {
            assert_eq!(read.emit(), changed);
            assert_ne!(read.sha256(), list.sha256());
        }
    }
}

#[test]
fn packs_that_do_not_make_a_stream_are_refused() {
    let short = PackEntry { length: PACK_LEN - 1, ..full(9) };
    for bad in [
        vec![],
        vec![PackEntry { length: 0, ..full(1) }],
        vec![PackEntry { length: PACK_LEN + 1, ..full(1) }],
        vec![short, full(1)],
        vec![full(1), full(1)],
    ] {
        assert!(PackList::new(bad).is_err());
    }
    assert!(PackList::new(vec![full(1), short]).is_ok());
}

#[test]
fn a_wrong_stream_length_or_count_is_refused() {
    let emitted = list(5).emit();
    for at in [15, 19] {
        let mut changed = emitted.clone();
        changed[at] ^= 1;
        assert!(PackList::parse(&changed).is_err());
    }
    let mut huge = emitted[..20].to_vec();
    huge[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(PackList::parse(&huge).is_err());
}

#[test]
fn a_pack_hashed_by_groups_has_the_blake3_of_the_whole() {
    let pack = bytes(PACK_LEN as usize, 3);
    let group = GROUP_LEN as usize;
    for len in [
        0,
        1,
        1024,
        group - 1,
        group,
        group + 1,
        2 * group,
        2 * group + 1,
        3 * group,
        5 * group + 7,
        31 * group,
        32 * group,
    ] {
        let hash = PackHash::of(&pack[..len]);
        assert_eq!(hash.root.0, *blake3::hash(&pack[..len]).as_bytes(), "{len}");
        assert_eq!(hash.groups.len(), if len <= group { 0 } else { len.div_ceil(group) }, "{len}");
    }
}

#[test]
fn groups_read_back_and_check_what_was_signed() {
    let first = bytes(PACK_LEN as usize, 0);
    let last = bytes(3 * GROUP_LEN as usize + 5, 1);
    let ((a, a_groups), (b, b_groups)) = (entry(1, &first), entry(2, &last));
    let list = PackList::new(vec![a, b]).unwrap();
    let groups = Groups::new(vec![a_groups, b_groups]);
    let emitted = groups.emit();
    assert_eq!(emitted.len() as u64, list.groups_len());
    assert_eq!(Groups::parse(&emitted, &list).as_ref(), Ok(&groups));
    for len in 0..emitted.len() {
        assert!(Groups::parse(&emitted[..len], &list).is_err(), "{len}");
    }
    for (index, pack) in [&first, &last].into_iter().enumerate() {
        let verified = groups.verify(&list, index).unwrap();
        verified.check_range(0, pack).unwrap();
        list.pack(index).unwrap().check(pack).unwrap();
        for (group, part) in pack.chunks(GROUP_LEN as usize).enumerate() {
            verified.check_group(group as u32, part).unwrap();
            assert!(verified.check_group(group as u32 + 1, part).is_err());
        }
        let range = list.groups_range(index).unwrap();
        let values = &emitted[range.start as usize..range.end as usize];
        VerifiedGroups::from_bytes(*list.pack(index).unwrap(), values).unwrap();
        let derived = VerifiedGroups::derive(*list.pack(index).unwrap(), pack).unwrap();
        derived.check_range(0, pack).unwrap();
    }
    assert!(groups.verify(&list, 2).is_err());
    assert!(list.groups_range(2).is_err());
}

#[test]
fn changed_groups_and_changed_packs_are_refused() {
    let pack = bytes(2 * GROUP_LEN as usize + 5, 1);
    let (entry, values) = entry(1, &pack);
    for at in 0..values.len() {
        let mut changed = values.clone();
        changed[at][9] ^= 1;
        assert_eq!(VerifiedGroups::new(entry, changed).unwrap_err(), PackError::GroupsDiffer);
    }
    assert_eq!(VerifiedGroups::new(entry, values[..2].to_vec()).unwrap_err(), PackError::Groups);
    let verified = VerifiedGroups::new(entry, values).unwrap();
    for at in [0, GROUP_LEN as usize, pack.len() - 1] {
        let mut changed = pack.clone();
        changed[at] ^= 0x80;
        assert_eq!(verified.check_range(0, &changed), Err(PackError::BytesDiffer));
        assert_eq!(entry.check(&changed), Err(PackError::BytesDiffer));
        assert!(VerifiedGroups::derive(entry, &changed).is_err());
    }
    assert_eq!(verified.check_range(0, &pack[..pack.len() - 1]), Err(PackError::GroupLength));
    assert_eq!(verified.check_range(1, &pack[1..]), Err(PackError::GroupLength));
    assert_eq!(verified.check_range(0, &[]), Err(PackError::GroupLength));
    assert_eq!(verified.check_group(3, &[1]), Err(PackError::GroupLength));
}

#[test]
fn a_small_pack_is_checked_by_its_own_hash() {
    let pack = bytes(GROUP_LEN as usize, 5);
    let (entry, values) = entry(1, &pack);
    assert!(values.is_empty());
    let verified = VerifiedGroups::new(entry, values).unwrap();
    assert_eq!(verified.check_group(0, &pack), Ok(()));
    assert_eq!(verified.check_group(0, &pack[1..]), Err(PackError::GroupLength));
    assert_eq!(verified.check_group(1, &pack), Err(PackError::GroupLength));
    let mut changed = pack;
    changed[7] ^= 1;
    assert_eq!(verified.check_group(0, &changed), Err(PackError::BytesDiffer));
}

#[test]
fn a_place_beyond_any_stream_is_refused() {
    assert!(FilePlace::new(MAX_STREAM, 0).is_err());
    assert!(FilePlace::new(u64::MAX, u64::MAX).is_err());
    assert!(FilePlace::new(0, MAX_STREAM).is_err());
    assert!(FilePlace::new(MAX_STREAM - 106, 0).is_ok());
    assert!(FilePlace::new(MAX_STREAM - 105, 0).is_err());
}

#[test]
fn an_empty_file_has_a_header_and_one_empty_segment() {
    let place = FilePlace::new(1000, 0).unwrap();
    assert_eq!(place.header(), 1000..1074);
    assert_eq!(place.stream_range(), 1000..1106);
    assert_eq!(place.bytes_of(0..place.segments()), 1074..1106);
    assert!(place.segments_of(0..1).is_empty());
}

// Where the plaintext byte `at` of a file lies in the stream, by walking its segments.
fn naive_position(offset: u64, size: u64, at: u64) -> u64 {
    let (mut stream, mut plain) = (offset + 74, 0);
    loop {
        let len = 65_536.min(size - plain);
        if at < plain + len {
            return stream + 16 + (at - plain);
        }
        (stream, plain) = (stream + len + 32, plain + len);
    }
}

proptest! {
    #[test]
    fn lists_read_back(last in 1..=PACK_LEN, packs in 0u32..20) {
        let mut entries: Vec<_> = (0..packs).map(full).collect();
        entries.push(PackEntry { length: last, ..full(packs) });
        let list = PackList::new(entries).unwrap();
        prop_assert_eq!(list.stream_length(), u64::from(packs) * u64::from(PACK_LEN) + u64::from(last));
        prop_assert_eq!(PackList::parse(&list.emit()), Ok(list));
    }

    #[test]
    fn a_range_of_plaintext_lies_in_the_bytes_that_are_fetched(
        offset in 0u64..1 << 40, size in 1u64..1 << 26, start in 0u64..1 << 26, len in 1u64..1 << 20,
    ) {
        let start = start % size;
        let end = (start + len).min(size);
        let place = FilePlace::new(offset, size).unwrap();
        let segments = place.segments_of(start..end);
        let stream = place.bytes_of(segments.clone());
        for at in [start, (start + end) / 2, end - 1] {
            let position = naive_position(offset, size, at);
            prop_assert!(stream.contains(&position));
            let packs: Vec<_> = pack_ranges(stream.clone()).collect();
            let pack = packs.iter().find(|p| p.pack as u64 == position / u64::from(PACK_LEN)).unwrap();
            prop_assert!(pack.range.contains(&((position % u64::from(PACK_LEN)) as u32)));
        }
        // And not more than the segments that are touched.
        prop_assert!(stream.end - stream.start <= (segments.end - segments.start) * floe::SEGMENT as u64);
        prop_assert_eq!(segments, start / 65_536..(end - 1) / 65_536 + 1);
    }

    #[test]
    fn pack_ranges_tile_the_stream_range(start in 0u64..1 << 40, len in 0u64..1 << 28) {
        let mut at = start;
        for part in pack_ranges(start..start + len) {
            prop_assert_eq!(part.pack as u64 * u64::from(PACK_LEN) + u64::from(part.range.start), at);
            prop_assert!(part.range.start < part.range.end && part.range.end <= PACK_LEN);
            at += u64::from(part.range.end - part.range.start);
        }
        prop_assert_eq!(at, start + len);
    }

    #[test]
    fn rounding_to_groups_covers_and_stays_inside(length in 1..=PACK_LEN, a in 0..PACK_LEN, b in 0..PACK_LEN) {
        let (start, end) = (a.min(b) % length, (a.max(b) % length).max(a.min(b) % length) + 1);
        let end = end.min(length);
        let rounded = round_to_groups(&(start..end), length);
        prop_assert!(rounded.start <= start && rounded.end >= end && rounded.end <= length);
        prop_assert!(rounded.start.is_multiple_of(GROUP_LEN));
        prop_assert!(rounded.end.is_multiple_of(GROUP_LEN) || rounded.end == length);
        prop_assert!(start - rounded.start < GROUP_LEN && rounded.end - end < GROUP_LEN);
    }
}

#[test]
fn groups_tell_how_long_their_list_can_be() {
    for lengths in [&[1][..], &[PACK_LEN], &[PACK_LEN, 1], &[PACK_LEN, 2 << 20], &[PACK_LEN, PACK_LEN, PACK_LEN - 1]] {
        let entries = lengths.iter().enumerate();
        let entries = entries.map(|(n, length)| PackEntry {
            name: PackName([u8::try_from(n).unwrap(); 16]),
            length: *length,
            blake3: Digest([0; 32]),
        });
        let list = PackList::new(entries.collect()).unwrap();
        let (listed, most) = (list.emit().len() as u64, longest_list_of(list.groups_len()));
        assert_eq!(list_len(count_of(list.packs())), listed);
        assert!((listed..=listed + 52).contains(&most), "{lengths:?}: {listed} and {most}");
    }
    assert_eq!((longest_list_of(0), longest_list_of(u64::MAX)), (list_len(1), MAX_LIST));
}

"""Pack lists, groups, manifests, roots (3.2 to 3.6)."""

import os
import unittest

from blake3 import blake3

from seqvault_reader import blake3tree, bodies
from seqvault_reader.bodies import PACK, File, Pack, merkle_root, parse_groups, parse_manifest, parse_pack_list
from seqvault_reader.encoding import Malformed, sha256, u32, u64
from seqvault_reader.floe import ciphertext_length

from tests import writer


class Blake3Tree(unittest.TestCase):
    def test_subtrees_merge_to_the_librarys_hash(self):
        data = os.urandom(37_000)
        for size in (4096, 16_384):         # any power of two of chunks makes groups
            for length in (size + 1, 3 * size, 37_000):
                values = [blake3tree.subtree(data[:length][i:i + size], i // 1024) for i in range(0, length, size)]
                self.assertEqual(blake3tree.merge(values), blake3(data[:length]).digest())

    def test_groups_are_merged_and_compared(self):
        data = os.urandom(bodies.GROUP + 1)
        packs = [Pack("00" * 16, len(data), blake3(data).digest()), Pack("01" * 16, 5, blake3(b"12345").digest())]
        groups = writer.groups([("", data), ("", b"12345")])
        self.assertEqual([len(g) for g in parse_groups(groups, packs)], [2, 0])
        for other in (groups[:-1], groups + b"\0", groups[:20] + b"\0" + groups[21:], b"SVGROUP2" + groups[8:]):
            self.assertRaises(Malformed, parse_groups, other, packs)


class PackLists(unittest.TestCase):
    def make(self, stream, *lengths, count=None, names=None):
        entries = b"".join((names[i] if names else os.urandom(16)) + u32(n) + bytes(32) for i, n in enumerate(lengths))
        return b"SVPACKS1" + u64(stream) + u32(len(lengths) if count is None else count) + entries

    def test_lengths_tile_the_stream(self):
        self.assertEqual(len(parse_pack_list(self.make(PACK + 7, PACK, 7))[1]), 2)
        self.assertEqual(len(parse_pack_list(self.make(PACK, PACK))[1]), 1)

    def test_other_lists_are_malformed(self):
        same = [bytes(16), bytes(16)]
        for data in (self.make(PACK + 7, 7, PACK), self.make(PACK + 7, PACK, 8), self.make(PACK, PACK, 0), self.make(7, 7, count=2),
                     self.make(PACK + 7, PACK, 7, names=same), self.make(7, 7) + b"\0", self.make(7, 7)[:-1], b"SVPACKS2" + self.make(7, 7)[8:],
                     self.make(2 * PACK, PACK + 1, PACK - 1)):
            self.assertRaises(Malformed, parse_pack_list, data)


class Roots(unittest.TestCase):
    def test_rfc_6962_roots(self):
        leaves = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                             "606162636465666768696a6b6c6d6e6f")]
        wanted = {1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                  2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                  3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                  7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                  8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}
        hashes = [sha256(b"\0" + leaf) for leaf in leaves]
        for count, root in wanted.items():
            self.assertEqual(merkle_root(hashes[:count]).hex(), root)


def file(path, number=1, size=10, offset=0, **more):
    return File(path, number, size, -5, False, offset, bytes(32), bytes(32), more.get("digests", {}))


class Manifests(unittest.TestCase):
    C = ciphertext_length(10)

    def make(self, files, stream=None, extras=None, **override):
        stream = self.C * len(files) if stream is None else stream
        return writer.manifest(files, stream, bytes(32), bytes(32), extras or {"origin": None, "replaces": []}, **override)

    def several(self, n):
        return [file(f"f{i:05}", i, 10, self.C * i) for i in range(n)]

    def test_what_was_written_is_read(self):
        for n, block in ((1, 256), (256, 256), (257, 256), (1000, 100)):
            contents = parse_manifest(self.make(self.several(n), block=block))
            self.assertEqual(contents.files, self.several(n))
        self.assertEqual(parse_manifest(self.make([file("a", digests={1: bytes(16), 2: bytes(32)})])).files[0].digests,
                         {1: bytes(16), 2: bytes(32)})

    def refuse(self, plain):
        self.assertRaises(Malformed, parse_manifest, plain)

    def test_heads_that_do_not_fit_are_malformed(self):
        good, files = self.make(self.several(3)), self.several(3)
        self.refuse(b"SVMANIF2" + good[8:])
        for override in ({"count": u32(2)}, {"count": u32(0)}, {"blocks": u32(2)}, {"at": u64(5)}, {"length": u32(5)},
                         {"end": u64(10**9)}, {"end": u64(50)}):
            self.refuse(self.make(files, **override))
        self.refuse(self.make(files, stream=self.C * 3 + 1))
        self.refuse(self.make(self.several(257), block=257))

    def test_padding_is_zero_and_of_padmes_length(self):
        good = self.make(self.several(3))
        self.refuse(good + b"\0")
        longer = next(g for g in (self.make([file("a" * n)]) for n in range(1, 40)) if g[-1] == 0)
        self.refuse(longer[:-1])
        self.refuse(longer[:-1] + b"\1")

    def test_paths_and_numbers_are_distinct_and_no_path_is_a_folder(self):
        c = self.C
        self.refuse(self.make([file("a", 1), file("a", 2, offset=c)]))
        self.refuse(self.make([file("a", 1), file("b", 1, offset=c)]))
        self.refuse(self.make([file("a", 1), file("a-b", 2, offset=c), file("a/c", 3, offset=2 * c)]))
        parse_manifest(self.make([file("a.b", 1), file("a/c", 2, offset=c)]))

    def test_files_tile_the_stream(self):
        c = self.C
        parse_manifest(self.make([file("a", 1, offset=c), file("b", 2)]))       # order of offset is not order of path
        self.refuse(self.make([file("a", 1), file("b", 2)]))
        self.refuse(self.make([file("a", 1, offset=1)]))
        self.refuse(self.make([file("a", 1), file("b", 2, offset=c + 1)]))

    def test_digests_and_modes_are_checked(self):
        for digests in ({1: bytes(15)}, {3: bytes(16)}, {2: bytes(16)}):
            self.refuse(self.make([file("a", digests=digests)]))
        plain = self.make([file("a")])
        mode_at = 108 + 19 + 3 + 4 + 8 + 8
        self.refuse(plain[:mode_at] + u32(0o101) + plain[mode_at + 4:])

    def test_extras_have_exactly_their_members(self):
        for extras in ({"origin": None}, {"origin": None, "replaces": [], "x": 1}, {"origin": 1, "replaces": []},
                       {"origin": None, "replaces": [{"file": 1, "manifest": "xx"}]}):
            self.refuse(self.make([file("a")], extras=extras))

"""FLOE (3.1): known answers of the specification, flips, lengths. SEQVAULT_KATS names another folder of FLOE's files."""

import io
import os
import unittest
from pathlib import Path

from seqvault_reader import floe
from seqvault_reader.primitives import CannotOpen

from tests.test_primitives import KATS
from tests.writer import floe_encrypt

FOLDER = Path(os.environ.get("SEQVAULT_KATS") or KATS / "floe")
KEY, AAD = bytes(32), b"This is AAD"


def cases():
    for path in sorted(FOLDER.glob("*_ct.txt")):
        ct, pt = (bytes.fromhex(p.read_text().strip()) for p in (path, path.with_name(path.name.replace("_ct", "_pt"))))
        yield path.stem, ct, pt, 2 if "rotation" in path.name else floe.ROTATION_MASK  # it has a new key every 2^2 segments


def online(ct, mask=floe.ROTATION_MASK, key=KEY, aad=AAD, segment=None):
    segment = segment or int.from_bytes(ct[2:6], "big")
    return b"".join(floe.open_online(key, aad, io.BytesIO(ct).read, segment, mask))


class KnownAnswers(unittest.TestCase):
    def test_there_are_six(self):
        self.assertEqual(len(list(cases())), 6)

    def test_each_opens(self):
        for name, ct, pt, mask in cases():
            self.assertEqual(online(ct, mask), pt, name)

    def test_no_flipped_bit_opens(self):
        for name, ct, _, mask in cases():
            for bit in range(0, len(ct) * 8, 1 if len(ct) < 600 else 97):
                flipped = bytearray(ct)
                flipped[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(CannotOpen, msg=f"{name}, bit {bit}"):
                    online(bytes(flipped), mask, segment=int.from_bytes(ct[2:6], "big"))

    def test_nothing_shorter_or_longer_opens(self):
        for _, ct, _, mask in cases():
            for other in [ct[:i] for i in range(0, len(ct), 29)] + [ct[:-1], ct + b"\0", ct + ct[74:]]:
                self.assertRaises(CannotOpen, online, other, mask, segment=int.from_bytes(ct[2:6], "big"))

    def test_no_other_key_aad_or_parameters_open(self):
        _, ct, _, mask = next(cases())
        self.assertRaises(CannotOpen, online, ct, mask, key=b"\1" * 32)
        self.assertRaises(CannotOpen, online, ct, mask, aad=b"")
        self.assertRaises(CannotOpen, online, ct, mask, segment=floe.ENC_SEGMENT)


class Lengths(unittest.TestCase):
    SIZES = (0, 1, 65_535, 65_536, 65_537, 131_072, 200_000)

    def test_length_of_ciphertext_and_back(self):
        self.assertEqual([floe.ciphertext_length(s) for s in (0, 65_536, 65_537)], [106, 65_642, 65_675])
        for size in self.SIZES:
            self.assertEqual(floe.plaintext_length(floe.ciphertext_length(size)), size)
        for length in (0, 74, 105, floe.ciphertext_length(65_536) + 1, floe.ciphertext_length(65_536) + 32):
            self.assertRaises(CannotOpen, floe.plaintext_length, length)

    def test_sizes_at_the_edges_of_a_segment(self):
        for size in self.SIZES:
            plain = os.urandom(size)
            ct = floe_encrypt(KEY, AAD, plain)
            self.assertEqual(len(ct), floe.ciphertext_length(size))
            self.assertEqual(floe.open_bytes(KEY, AAD, ct), plain)
            self.assertEqual(online(ct), plain)

    def test_segments_do_not_change_places(self):
        ct = floe_encrypt(KEY, AAD, bytes(200_000))
        n = floe.ENC_SEGMENT
        swapped = ct[:74] + ct[74 + n:74 + 2 * n] + ct[74:74 + n] + ct[74 + 2 * n:]
        self.assertRaises(CannotOpen, floe.open_bytes, KEY, AAD, swapped)
        self.assertRaises(CannotOpen, online, swapped)

    def test_a_truncation_at_a_segment_does_not_open(self):
        ct = floe_encrypt(KEY, AAD, bytes(131_072))[:74 + floe.ENC_SEGMENT]
        self.assertRaises(CannotOpen, floe.open_bytes, KEY, AAD, ct)
        self.assertRaises(CannotOpen, online, ct)

"""Cards, identity files, sealed single files (2.1, 2.2, 2.6)."""

import io
import os
import tempfile
import unittest

from seqvault_reader.encoding import Malformed, b64, emit_json
from seqvault_reader.keys import CARD_TYPE, load_identity, open_sealed_file, parse_card, parse_identity
from seqvault_reader.primitives import CannotOpen

from tests.writer import PASSPHRASE, Key, sealed_file


class Cards(unittest.TestCase):
    def test_a_card_of_either_suite_is_read(self):
        for suite in (1, 2):
            key = Key(suite, label="sequencer 3 \u4e2d")
            card = parse_card(key.card)
            self.assertEqual((card.id, card.kem, card.label), (key.id, key.kem, "sequencer 3 \u4e2d"))
            self.assertRegex(card.fingerprint, r"\A([a-z2-7]{4}-){7}[a-z2-7]{4}\Z")

    def test_other_cards_are_malformed(self):
        small_order = b64(b"\1" + bytes(31))
        for override in ({"format": 2}, {"label": "a\n"}, {"label": "\u0085"}, {"label": "a" * 129},
                         {"label": None}, {"created": -1}, {"x": 1}, {"sign": small_order}, {"kem": b64(bytes(32))}, {"kem": b64(bytes(31))},
                         {"sign": b64(os.urandom(32))}):
            self.assertRaises(Malformed, parse_card, Key(1, **override).card)
        for suite in (0, 2, 3):
            self.assertRaises(Malformed, parse_card, Key(1, claims={"suite": suite}).card)

    def test_another_key_id_or_signature_is_malformed(self):
        key, other = Key(), Key()
        payload = emit_json({"created": 1, "format": 1, "kem": b64(key.kem), "label": "", "suite": 1,
                             "sign": b64(key.sign.public_key().public_bytes_raw())})
        self.assertRaises(Malformed, parse_card, key.envelope(CARD_TYPE, payload))
        self.assertRaises(Malformed, parse_card, other.card[:-10] + b"A" * 10)
        self.assertRaises(Malformed, parse_card, key.card + b"\n")
        self.assertRaises(Malformed, parse_card, key.card.replace(b"card+json", b"statement+json"))
        swapped = Key()
        swapped.sign = other.sign
        self.assertRaises(Malformed, parse_card, swapped.envelope(CARD_TYPE, payload, keyid=key.id))


class IdentityFiles(unittest.TestCase):
    def test_an_identity_opens_with_its_passphrase_only(self):
        for suite in (1, 2):
            key = Key(suite)
            data = key.identity_file()
            identity = parse_identity(data, PASSPHRASE)
            self.assertEqual((identity.card.id, identity.kem_private), (key.id, key.kem_private))
            self.assertRaises(CannotOpen, parse_identity, data, PASSPHRASE + " ")

    def test_no_changed_byte_opens(self):
        data = Key().identity_file()
        for i in range(0, len(data), 7):
            with self.assertRaises((Malformed, CannotOpen)):
                parse_identity(data[:i] + bytes([data[i] ^ 1]) + data[i + 1:], PASSPHRASE)
        self.assertRaises(Malformed, parse_identity, data[:-1], PASSPHRASE)
        self.assertRaises(Malformed, parse_identity, data + b"\0", PASSPHRASE)

    def test_costs_out_of_bounds_are_refused_before_they_are_paid(self):
        for kdf in ({"m_kib": 1_048_577}, {"m_kib": 7}, {"m_kib": 31, "p": 4}, {"t": 0}, {"t": 17}, {"p": 0}, {"p": 5}, {"name": "argon2i"}):
            self.assertRaises(Malformed, parse_identity, Key().identity_file(**kdf), PASSPHRASE)

    def test_secrets_of_another_card_are_refused(self):
        key, other = Key(), Key()
        key.kem_private = other.kem_private
        self.assertRaises(Malformed, parse_identity, key.identity_file(), PASSPHRASE)

    def test_a_file_open_to_others_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Key().save(folder)
            load_identity(path, PASSPHRASE)
            for mode in (0o640, 0o604, 0o610, 0o700 | 0o001):
                path.chmod(mode)
                self.assertRaises(Malformed, load_identity, path, PASSPHRASE)


class SealedFiles(unittest.TestCase):
    def open(self, key, data):
        return b"".join(open_sealed_file(parse_identity(key.identity_file(), PASSPHRASE), io.BytesIO(data).read))

    def test_each_recipient_opens_it(self):
        for suite in (1, 2):
            keys = [Key(suite) for _ in range(3)]
            for size in (0, 5, 65_536, 70_000):
                plain = os.urandom(size)
                data = sealed_file(suite, keys, plain)
                self.assertTrue(all(self.open(key, data) == plain for key in keys))
            self.assertRaises(CannotOpen, self.open, Key(suite), data)

    def test_changes_to_head_or_body_do_not_open(self):
        key, other = sorted((Key(), Key()), key=lambda k: k.id)
        data = sealed_file(1, [key, other], b"x" * 100)
        first, second, body = data[11:123], data[123:235], data[235:]
        cases = [data[:11] + second + first + body,             # out of order
                 data[:11] + first + first + body, data[:8] + b"\2" + data[9:], data[:8] + b"\3" + data[9:],
                 data[:9] + b"\0\0" + body, data[:9] + b"\0\1" + first + body,      # the other recipient cut off
                 data[:-1], data + b"\0", data[:100], data[:5], b""]
        cases += [data[:i] + bytes([data[i] ^ 1]) + data[i + 1:] for i in range(123, len(data), 5)]
        for case in cases:
            with self.assertRaises((Malformed, CannotOpen)):
                self.open(key, case)

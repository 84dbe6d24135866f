"""Suites, Ed25519, HPKE (1.3, 2.3): vectors first, then edges."""

import json
import os
import unittest
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from seqvault_reader import primitives
from seqvault_reader.encoding import Malformed
from seqvault_reader.primitives import CannotOpen, L, P, SUITES, check_kem_key, key_schedule, open_seal, verify

from tests.writer import Key, seal

HERE = Path(__file__).parent
KATS = HERE.parents[2] / "vault-core/tests/kats"


def load(path):
    return json.loads(path.read_text())


class Hpke(unittest.TestCase):
    def check_vector(self, name, suite, aead):
        v = load(KATS / "hpke" / name)
        e = v["encryptions"][0]
        b = {k: bytes.fromhex(x) for k, x in (v | e).items() if isinstance(x, str)}
        shared = SUITES[suite].decap(b["skRm"], b["enc"])
        self.assertEqual(SUITES[suite].public_of(b["skRm"]), b["pkRm"])
        self.assertEqual(shared, b["shared_secret"])
        key, nonce = key_schedule(v["kem_id"], shared, b["info"], v["aead_id"])
        self.assertEqual((key, nonce), (b["key"], b["base_nonce"]))
        plain = next(b[k] for k in ("pt", "plaintext") if k in b)
        self.assertEqual(aead(key).decrypt(nonce, b["ct"], b["aad"]), plain)

    def test_rfc_9180_vector_of_suite_1(self):
        self.check_vector("x25519-aes256gcm.json", 1, AESGCM)

    def test_draft_vector_of_x_wing_with_another_aead(self):
        self.check_vector("xwing-chacha20poly1305.json", 2, ChaCha20Poly1305)

    def test_a_library_seals_what_opens_here(self):
        secret = os.urandom(32)
        for number, kem in ((1, hpke.KEM.X25519), (2, hpke.KEM.MLKEM768_X25519)):
            key = Key(number)
            if number == 1:
                public = X25519PublicKey.from_public_bytes(key.kem)
            else:
                public = hpke.MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(key.kem[:1184]),
                                                      X25519PublicKey.from_public_bytes(key.kem[1184:]))
            suite = hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
            sealed = suite.encrypt(secret, public, b"info")
            self.assertEqual(open_seal(number, key.kem_private, b"info", sealed), secret)

    def test_a_seal_opens_and_no_changed_byte_does(self):
        for number, length in ((1, 80), (2, 1168)):
            key, secret = Key(number), os.urandom(32)
            sealed = seal(number, key.kem, b"info", secret)
            self.assertEqual(len(sealed), length)
            self.assertEqual(open_seal(number, key.kem_private, b"info", sealed), secret)
            changed = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1:] for i in range(0, length, 13)]
            for other in [*changed, sealed[:-1], sealed + b"\0", b""]:
                self.assertRaises(CannotOpen, open_seal, number, key.kem_private, b"info", other)
            self.assertRaises(CannotOpen, open_seal, number, key.kem_private, b"other", sealed)
            self.assertRaises(CannotOpen, open_seal, number, os.urandom(32), b"info", sealed)

    def test_an_all_zero_shared_secret_does_not_open(self):
        key = Key(1)
        self.assertRaises(CannotOpen, open_seal, 1, key.kem_private, b"", bytes(80))


class Kem(unittest.TestCase):
    def test_x_wing_vectors(self):
        for v in load(HERE / "vectors/xwing.json"):
            sk, pk, ct, ss = (bytes.fromhex(v[k]) for k in ("sk", "pk", "ct", "ss"))
            self.assertEqual(primitives.xwing_public(sk), pk)
            self.assertEqual(primitives.xwing_decap(sk, ct), ss)

    def test_small_order_x25519_keys_are_refused(self):
        order_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
        other_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
        for u in (0, 1, order_8, other_8, P - 1, P, P + 1, (P - 1) | 1 << 255):
            public = u.to_bytes(32, "little")
            self.assertRaises(Malformed, check_kem_key, 1, public)
            self.assertRaises(Malformed, check_kem_key, 2, Key(2).kem[:1184] + public)

    def test_ml_kem_keys_that_fail_the_modulus_check_are_refused(self):
        good = Key(2).kem
        check_kem_key(2, good)
        for at in (0, 573, 1149):
            low, high = b"\x01\x0d\x00", b"\x00\x10\xd0"   # 3329 in the first, in the second coefficient of three bytes
            for three in (low, high, b"\xff\xff\xff"):
                self.assertRaises(Malformed, check_kem_key, 2, good[:at] + three + good[at + 3:])
            check_kem_key(2, good[:at] + b"\x00\x0d\xd0" + good[at + 3:])   # 3328 twice

    def test_keys_of_another_length_are_refused(self):
        for suite in SUITES:
            for other in (Key(suite).kem[:-1], Key(suite).kem + b"\0", b""):
                self.assertRaises(Malformed, check_kem_key, suite, other)


# --- Ed25519 -------------------------------------------------------------------------------------------------------

BASE_Y = 4 * pow(5, -1, P) % P
BASE = primitives.decode_point(BASE_Y.to_bytes(32, "little"))


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    k = primitives.D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def times(n, p):
    out = (0, 1)
    for bit in bin(n)[2:]:
        out = add(out, out)
        if bit == "1":
            out = add(out, p)
    return out


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def challenge(r, a, message):
    return int.from_bytes(primitives.hashlib.sha512(r + a + message).digest(), "little") % L


TORSION = primitives.decode_point(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))


class Ed25519(unittest.TestCase):
    def test_rfc_8032_vector(self):
        seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        signature = bytes.fromhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                                  "d25bf5f0595bbe24655141438e7a100b")
        self.assertEqual(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw(), public)
        self.assertTrue(verify(public, b"", signature))
        self.assertFalse(verify(public, b"x", signature))

    def test_cases_of_taming_the_many_eddsas(self):
        for case in load(KATS / "ed25519/strict.json"):
            fields = (bytes.fromhex(case[k]) for k in ("public", "message", "signature"))
            self.assertEqual(verify(*fields), case["valid"], case["why"])

    def test_s_beyond_the_group_order_is_refused(self):
        key = Key()
        public, signature = key.sign.public_key().public_bytes_raw(), key.sign.sign(b"m")
        self.assertTrue(verify(public, b"m", signature))
        s = int.from_bytes(signature[32:], "little") + L
        self.assertFalse(verify(public, b"m", signature[:32] + s.to_bytes(32, "little")))

    def test_small_order_a_and_r_are_refused(self):
        small = [times(i, TORSION) for i in range(8)]
        self.assertEqual(len(set(small)), 8)
        secret = 12345678901234567890
        for point in map(encode, small):
            self.assertRaises(Malformed, primitives.check_signing_key, point)
            r = encode(times(7, BASE))
            self.assertFalse(verify(point, b"m", r + (7).to_bytes(32, "little")))
            a = encode(times(secret, BASE))
            s = challenge(point, a, b"m") * secret % L
            self.assertFalse(verify(a, b"m", point + s.to_bytes(32, "little")))

    def test_encodings_that_are_not_canonical_are_refused(self):
        for y in range(19):
            for sign in (0, 1 << 255):
                self.assertRaises(Malformed, primitives.decode_point, (y + P | sign).to_bytes(32, "little"))
        for y in (1, P - 1):        # x is 0, whose sign bit is 0
            self.assertRaises(Malformed, primitives.decode_point, (y | 1 << 255).to_bytes(32, "little"))

    def test_the_equation_has_no_cofactor(self):
        """A has a component of order 8: valid if, and only if, 8 divides the challenge."""
        secret, seen = 987654321, set()
        a = encode(add(times(secret, BASE), TORSION))
        for nonce in range(1, 40):
            r = encode(times(nonce, BASE))
            k = challenge(r, a, b"m")
            valid = verify(a, b"m", r + ((nonce + k * secret) % L).to_bytes(32, "little"))
            self.assertEqual(valid, k % 8 == 0)
            seen.add(valid)
        self.assertEqual(seen, {True, False})


class Wycheproof(unittest.TestCase):
    """Project Wycheproof's cases, as vault-core/tests/kats/README.md names them."""

    def cases(self, name, *fields):
        for case in load(KATS / "wycheproof" / name):
            with self.subTest(case["tcId"], comment=case["comment"]):
                yield case["result"] == "valid", *(bytes.fromhex(case[field]) for field in fields)

    def test_ed25519(self):
        for valid, public, message, signature in self.cases("ed25519.json", "pk", "msg", "sig"):
            self.assertEqual(verify(public, message, signature), valid)

    def test_x25519(self):
        for _, private, public, shared in self.cases("x25519.json", "private", "public", "shared"):
            self.assertEqual(primitives.x25519(private, public), shared)
            if shared == bytes(32):
                self.assertRaises(Malformed, check_kem_key, 1, public)
            else:
                check_kem_key(1, public)

    def test_aes_256_gcm(self):
        for valid, key, iv, aad, plain, sealed, tag in self.cases("aes-256-gcm.json", "key", "iv", "aad", "msg", "ct", "tag"):
            try:
                self.assertEqual(AESGCM(key).decrypt(iv, sealed + tag, aad), plain)
                self.assertTrue(valid)
            except InvalidTag:
                self.assertFalse(valid)

"""Canonical JSON, base64, contexts, Padmé (1.1, 1.4, 3.4)."""

import unittest

from seqvault_reader.bodies import check_path, padme
from seqvault_reader.encoding import Malformed, b64, context, emit_json, parse_json, unb64


class CanonicalJson(unittest.TestCase):
    def test_canonical_values_survive(self):
        for text in ('{}', '[]', 'null', 'true', '0', '-1', '9007199254740991', '-9007199254740991', '{"a":[1,{"b":null}],"a_1":"x"}',
                     '"\\b\\t\\n\\f\\r\\u0000\\u001f\\"\\\\/"', '"\u00e9\u4e2d\U0001f600\u007f\u2028"', '{"":1}'.replace('""', '"x"')):
            self.assertEqual(emit_json(parse_json(text.encode())), text.encode())

    def test_everything_else_is_malformed(self):
        cases = ['{"a":1,"a":1}', '{"b":1,"a":1}', '{"a": 1}', ' {}', '{}\n', '1.0', '1e3', '1E3', '-0', '01', '+1', 'NaN', 'Infinity',
                 '-Infinity', '9007199254740992', '-9007199254740992', '"\\/"', '"\\u0041"', '"\\u001F"', '"\\u000a"', '"\\u00e9"',
                 '"\\ud800"', '"\\ud83d\\ude00"', '"\t"', '{"A":1}', '{"":1}', '{"a-b":1}', '{"payloadType":1}', '{"\u00e9":1}',
                 '{"' + 'a' * 65 + '":1}', "{'a':1}", '[1,]', '', '"', '[' * 17 + ']' * 17, '[' * 100_000, '\ufeff{}', '1' * 5000, '{} {}']
        for case in cases:
            with self.assertRaises(Malformed, msg=case[:40]):
                parse_json(case.encode())
        for raw in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'\xff\xfe[\x00]\x00', b'"\xf4\x90\x80\x80"'):
            self.assertRaises(Malformed, parse_json, raw)

    def test_sixteen_levels_are_allowed(self):
        parse_json(b"[" * 16 + b"]" * 16)

    def test_member_names_of_64_letters_are_allowed(self):
        parse_json(b'{"' + b"a" * 64 + b'":1}')


class Base64(unittest.TestCase):
    def test_only_the_canonical_form_is_read(self):
        self.assertEqual(unb64(b64(b"\xfb\xff")), b"\xfb\xff")
        for text in ("+/8", "-_8=", "+/9=", "+/8=\n", " +/8=", "+/8==", "=", "AAA", "A\u00e9==", "AA=A"):
            self.assertRaises(Malformed, unb64, text)
        self.assertRaises(Malformed, unb64, "AAAA", 4)


class Contexts(unittest.TestCase):
    def test_fields_are_length_prefixed_and_integers_eight_bytes(self):
        wanted = "00000001" "6c" "00000008" "0000000000000002" "00000002" "abcd" "00000000" "00000008" "0000000000000007" "00000001" "78"
        self.assertEqual(context("l", 2, b"\xab\xcd", "", 7, "x"), bytes.fromhex(wanted))


class Padme(unittest.TestCase):
    def test_known_lengths(self):
        for length, padded in ((1, 1), (2, 2), (8, 8), (9, 10), (10, 10), (100, 104), (1000, 1024), (1025, 1088), (2**20 + 1, 2**20 + 2**15)):
            self.assertEqual(padme(length), padded)

    def test_overhead_is_at_most_12_percent_and_padding_is_stable(self):
        for length in range(2, 5000):
            self.assertTrue(length <= padme(length) <= length * 1.12 + 1)
            self.assertEqual(padme(padme(length)), padme(length))


class Paths(unittest.TestCase):
    def test_paths_are_relative_and_plain(self):
        for path in ("a", "a/b.c", "\u4e2d/\u00e9 x", "..a", "a" * 255, "/".join(["b" * 255] * 16)):
            self.assertEqual(check_path(path.encode()), path)
        for path in ("", "/", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a\\b", "a\nb", "a\x7f", "a\0", "a" * 256, "a/" * 2048 + "a"):
            self.assertRaises(Malformed, check_path, path.encode())
        self.assertRaises(Malformed, check_path, b"\xff")

"""The test vectors of format 1 (vault-core/tests/vectors), by this reader's own code.

A vector's file is described in the README beside them. Each class has a function here that takes the input and returns what a
reader gets; what it raises is the class of failure. `released` collects what was given out before that.
"""

import hashlib
import json
import unittest
from pathlib import Path

from seqvault_reader.encoding import BadSignature, Malformed, context
from seqvault_reader.keys import parse_card
from seqvault_reader.ledger import STATEMENT_TYPE, open_envelope
from seqvault_reader.primitives import CannotOpen, open_seal, verify

VECTORS = Path(__file__).parents[3] / "vault-core/tests/vectors"


class Differs(Exception):
    """Well-formed, but not what a statement names."""


def blob(text):
    """Bytes: `text:` and the text, or hex in parts, of which `n*xx` is a byte n times."""
    if text.startswith("text:"):
        return text[5:].encode()
    out = b""
    for part in text.split():
        count, star, byte = part.partition("*")
        out += bytes.fromhex(byte) * int(count) if star else bytes.fromhex(part)
    return out


def cards(v, released):
    return bytes.fromhex(parse_card(blob(v["card"])).id)


def envelopes(v, released):
    envelope = open_envelope(blob(v["stored"]), STATEMENT_TYPE)
    if not verify(blob(v["public"]), envelope.signed, envelope.signature):
        raise BadSignature
    return envelope.payload


def seals(v, released):
    card = blob(v["context_card"])
    info = context("seqvault/v1/sealed-file-key", v["context_suite"], b"", "", card)
    return open_seal(v["suite"], blob(v["private"]), info, blob(v["seal"]))


FAILURES = ((BadSignature, "signature"), (Malformed, "malformed"), (CannotOpen, "open"), (Differs, "differs"))


def judge(run, v):
    """The class of failure, or success, and the bytes given out."""
    released = bytearray()
    try:
        return "success", run(v, released)
    except tuple(error for error, _ in FAILURES) as error:
        return next(name for kind, name in FAILURES if isinstance(error, kind)), bytes(released)


def read(path):
    head, _, body = path.read_text().partition("\n\n")
    first, *lines = head.splitlines()
    assert first == "seqvault vector 1"
    return dict(line.split(": ", 1) for line in lines), json.loads(body)


class Vectors(unittest.TestCase):
    def test_every_vector_is_judged_as_it_says(self):
        folders = sorted(folder for folder in VECTORS.iterdir() if folder.is_dir())
        self.assertTrue(folders)
        for folder in folders:
            paths = sorted(folder.iterdir())
            self.assertTrue(paths)
            for path in paths:
                with self.subTest(f"{folder.name}/{path.name}"):
                    self.check(path, globals()[folder.name.replace("-", "_")])

    def check(self, path, run):
        head, v = read(path)
        outcome, given = judge(run, v)
        self.assertEqual(outcome, head["expect"], head["what"])
        wanted = head.get("gives") or head.get("released") or hashlib.sha256(b"").hexdigest()
        self.assertEqual(hashlib.sha256(given).hexdigest(), wanted, head["what"])


if __name__ == "__main__":
    unittest.main()

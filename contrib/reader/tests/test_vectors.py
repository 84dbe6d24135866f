"""The test vectors of format 1 (vault-core/tests/vectors), by this reader's own code.

A vector's file is described in the README beside them. Each class has a function here that takes the input and returns what a
reader gets; what it raises is the class of failure. `released` collects what was given out before that.
"""

import hashlib
import json
import unittest
from pathlib import Path

from seqvault_reader import floe
from seqvault_reader.bodies import GROUP, blake3_of, parse_groups, parse_pack_list
from seqvault_reader.encoding import BadSignature, Differs, Malformed, context, demand, sha256_hex
from seqvault_reader.keys import Scope, accept_epoch, epoch_private_key, open_table, parse_card
from seqvault_reader.ledger import STATEMENT_TYPE, open_envelope
from seqvault_reader.opening import check_groups
from seqvault_reader.primitives import CannotOpen, hkdf_expand, open_seal, verify

VECTORS = Path(__file__).parents[3] / "vault-core/tests/vectors"


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


# --- epochs ---

def scope(v):
    return Scope(v["suite"], blob(v["vault"]), v["dataset"])


def epochs(v, released):
    where, n = scope(v), v["epoch"]
    info = where.context("grant", n, v["author"], blob(v["card"]))
    secret = accept_epoch(where, open_seal(v["suite"], blob(v["private"]), info, blob(v["seal"])), n, blob(v["public"]))
    return hkdf_expand(secret, where.context("table-key", n), 32)


def headers(v, released):
    where, n = scope(v), v["epoch"]
    info = where.context("manifest-key", n, blob(v["manifest"]), v["author"])
    return open_seal(v["suite"], epoch_private_key(where, blob(v["secret"]), n), info, blob(v["header"]))


def tables(v, released):
    table = blob(v["table"])
    demand(sha256_hex(table) == v["sha256"], "another hash", Differs)
    records = open_table(scope(v), blob(v["secret"]), v["epoch"], v["count"], table)
    return b"".join(bytes.fromhex(manifest) + key for manifest, key in records.items())


# --- bodies ---

CONTEXTS = {
    "file": lambda where, c: where.context("file", blob(c["manifest"]), c["author"], c["number"]),
    "manifest": lambda where, c: where.context("manifest", blob(c["manifest"]), c["author"]),
}


def bodies(v, released):
    aad = CONTEXTS[v["context"]["use"]](scope(v["context"]), v["context"]) if v["aad"] is None else blob(v["aad"])
    body, at = blob(v["body"]), 0

    def read(n):
        nonlocal at
        at += n
        return body[at - n:at]

    for plain in floe.open_sized(blob(v["key"]), aad, v["size"], read):
        released += plain
    demand(at == len(body), "bytes after the final segment", CannotOpen)
    return bytes(released)


def pack_lists(v, released):
    data = blob(v["list"])
    demand(sha256_hex(data) == v["sha256"], "another hash", Differs)
    return b"".join(bytes.fromhex(pack.name) for pack in parse_pack_list(data)[1])


def groups(v, released):
    packs = parse_pack_list(blob(v["list"]))[1]
    values, pack = parse_groups(blob(v["groups"]), packs)[v["pack"]], packs[v["pack"]]
    start, part = v["start"], blob(v["part"])
    if v["file"]:       # what the signed hash is for: FLOE alone takes these bytes
        floe.open_bytes(blob(v["file"]["key"]), blob(v["file"]["aad"]), part)
    end = start + len(part)
    demand(start % GROUP == 0 and (end % GROUP == 0 or end == pack.length) and start < end <= pack.length, "no groups")
    if values:
        check_groups(bytes(start) + part, values, start, len(part), set())
    else:
        demand(blake3_of(part) == pack.blake3, "another pack", Differs)
    return part


FAILURES = ((BadSignature, "signature"), (Differs, "differs"), (Malformed, "malformed"), (CannotOpen, "open"))


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

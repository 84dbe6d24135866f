"""The test vectors of format 1 (vault-core/tests/vectors), by this reader's own code.

A vector's file is described in the README beside them. Each class has a function here that takes the input and returns what a
reader gets; what it raises is the class of failure. `released` collects what was given out before that.
"""

import hashlib
import io
import json
import os
import unittest
from pathlib import Path

from seqvault_reader import floe, shapes
from seqvault_reader.bodies import GROUP, blake3_of, check_path, parse_groups, parse_manifest, parse_pack_list
from seqvault_reader.clients import Pin, RolledBack, check_invitation, check_pin, parse_invitation, parse_seen_list
from seqvault_reader.dataset import Dataset
from seqvault_reader.encoding import BadSignature, Differs, Malformed, context, demand, parse_json, sha256_hex
from seqvault_reader.exposure import Exposure
from seqvault_reader.keys import (Identity, Scope, accept_epoch, epoch_private_key, open_sealed_file, open_table, parse_card,
                                  parse_identity)
from seqvault_reader.ledger import STATEMENT_TYPE, entry_hashes, open_envelope, parse_statement
from seqvault_reader.names import Clash, FileSystem, check_names
from seqvault_reader.opening import check_groups, check_signed
from seqvault_reader.primitives import CannotOpen, hkdf_expand, open_seal, verify
from seqvault_reader.vault import NoVault, Vault

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


def manifests(v, released):
    contents, listed = parse_manifest(blob(v["plain"])), blob(v["list"])
    packs = {"bytes": parse_pack_list(listed)[0], "list": sha256_hex(listed)}
    check_signed(contents, {"files": v["files"], "packs": packs, "root": v["root"]})
    return "".join(f.path + "\n" for f in contents.files).encode()


# --- ledgers ---

def statements(v, released):
    payload = open_envelope(blob(v["stored"]), STATEMENT_TYPE).payload
    fields = parse_json(payload)
    statement = parse_statement(blob(v["stored"]), genesis=isinstance(fields, dict) and fields.get("kind") == "genesis")
    bodies_of_kinds = shapes.VAULT | shapes.DATASET | shapes.EXPOSURE
    if statement.format != 1 or statement.kind not in bodies_of_kinds:
        return "unknown"
    demand(statement.critical, "a kind of this format is critical")
    bodies_of_kinds[statement.kind](statement.body)
    return payload


REASONS = ("older vault head", "unknown author", "bad signature")


def verdict(found):
    """What all readers say alike of an entry."""
    if found.outcome != "void":
        return found.outcome
    for reason in REASONS:
        if found.reason.endswith(reason):
            return f"void: {reason}"
    if found.reason.endswith(", settled"):
        return "void: settled"
    frame = found.reason.startswith(("malformed (", "misplaced"))
    return "void: frame" if frame else "void: rule"


def judged(fold):
    stop = [] if not fold.stopped else ["newer" if fold.stopped["reason"] == "needs a newer version" else "fork"]
    return [verdict(found) for found in fold.verdicts] + stop


def head(fold):
    return fold.verdicts[-1].hash if fold.verdicts else None


def vault_state(vault):
    now = len(vault.verdicts) - 1
    members = sorted(m for m in vault.members if vault.is_member(m, now))
    return {"cards": {m: sorted(vault.current_cards(m, now)) for m in members}, "format": vault.format_at(now),
            "head": head(vault), "officers": [m for m in members if vault.is_officer(m, now)]}


def place(m):
    states = (("removed", m.removed), ("superseded", m.superseded), ("void", m.void), ("unreadable", m.unreadable))
    return next((name for name, on in states if on), "visible")


def dataset_state(d):
    return {"closed": d.closed, "deleted": d.deleted, "grants": {m: g.ends for m, g in d.grants.items()}, "head": head(d),
            "level": d.level, "manifests": {m.id: place(m) for m in d.manifests.values()}, "newest": d.newest,
            "recovery": sorted(d.recovery), "uploaders": sorted(d.uploaders), "uploads": {i: u.state for i, u in d.uploads.items()}}


def fold_all(v):
    """The verdicts and the state of every ledger, by its id."""
    ledgers = {name: [blob(entry) for entry in entries] for name, entries in v["ledgers"].items()}
    try:
        vault = Vault().run(ledgers["vault"], v["vault_id"])
    except NoVault:
        return {"vault": ["no vault"]}, {"vault": {}}
    found, state = {"vault": judged(vault)}, {"vault": vault_state(vault)}

    def creation(dataset):
        name = "dataset/" + dataset
        return Dataset(name, vault.vault_id, vault, exposure).run(ledgers.get(name, [])[:1])

    def exposure(name):
        return Exposure(name, vault.vault_id, vault, creation).run(ledgers.get(name, []))

    for name, entries in ledgers.items():
        if name.startswith("exposure/"):
            fold = exposure(name)
            found[name], state[name] = judged(fold), {"head": head(fold), "total": fold.total}
        elif name.startswith("dataset/"):
            fold = Dataset(name, vault.vault_id, vault, exposure).run(entries)
            made = fold.creator is not None
            found[name], state[name] = (judged(fold), dataset_state(fold)) if made else (["no dataset"], {})
    return found, state


def ledgers(v, released):
    found, state = fold_all(v)
    assert (found, state) == (v["judged"], v["state"]), (found, state)
    verdicts, seq = found[v["entry"]["ledger"]], v["entry"]["seq"]
    return verdicts[seq].partition(":")[0] if seq < len(verdicts) else "unread"


vault_ledgers = dataset_ledgers = exposure_ledgers = ledgers


# --- what a client is given ---

def pins(v, released):
    entries = {name: [blob(entry) for entry in stored] for name, stored in v["ledgers"].items()}
    vault, ledger = Vault().run(entries["vault"], v["vault_id"]), v["ledger"]
    hashes = entry_hashes(entries[ledger], "" if ledger == "vault" else v["vault_id"])
    check_pin(Pin(**v["pin"]), ledger, hashes, vault)
    return b""


def identities(v, released):
    return bytes.fromhex(parse_identity(blob(v["file"]), v["passphrase"]).card.id)


def invitations(v, released):
    said = parse_invitation(v["invitation"])
    try:
        vault = Vault().run([blob(entry) for entry in v["ledgers"]["vault"]], said["vault"])
    except NoVault:
        raise Differs("another vault") from None
    check_invitation(said, vault, parse_card(blob(v["card"])))
    return said["location"].encode()


def names(v, released):
    for path in v["paths"]:
        check_path(path.encode())
    check_names(v["paths"], FileSystem(**v["file_system"]))
    return "".join(path + "\n" for path in v["paths"]).encode()


def seen_lists(v, released):
    return "".join("{ledger} {seq} {hash}\n".format(**head) for head in parse_seen_list(blob(v["list"]))).encode()


def sealed_files(v, released):
    for plain in open_sealed_file(Identity(parse_card(blob(v["card"])), blob(v["private"])), io.BytesIO(blob(v["file"])).read):
        released += plain
    return bytes(released)


FAILURES = ((BadSignature, "signature"), (Differs, "differs"), (Malformed, "malformed"), (CannotOpen, "open"),
            (RolledBack, "rolled-back"), (Clash, "clash"))


def judge(run, v):
    """The class of failure, or success, and the bytes given out."""
    released = bytearray()
    try:
        given = run(v, released)
        return ("success", given) if isinstance(given, bytes) else (given, b"")
    except tuple(error for error, _ in FAILURES) as error:
        return next(name for kind, name in FAILURES if isinstance(error, kind)), bytes(released)


def read(path):
    head, _, body = path.read_text().partition("\n\n")
    first, *lines = head.splitlines()
    assert first == "seqvault vector 1"
    return dict(line.split(": ", 1) for line in lines), json.loads(body)


class Vectors(unittest.TestCase):
    def test_every_vector_is_judged_as_it_says(self):
        only = os.environ.get("SEQVAULT_VECTORS", "")      # a class, to run it alone
        folders = sorted(folder for folder in VECTORS.iterdir() if folder.is_dir() and folder.name.startswith(only))
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

"""The test vectors whose Rust reader is the command: `seqvault open` over sealed-files, `seqvault join` over invitations.

    SEQVAULT_BIN=target/debug/seqvault python vectors_by_command.py

What succeeds must give the bytes of the vector; what fails must fail, and leave no file behind.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from seqvault_reader.encoding import b64, context, emit_json, sha256, u32
from seqvault_reader.keys import IDENTITY_MAGIC
from tests.test_vectors import VECTORS, blob, read
from tests.writer import floe_encrypt

COMMAND = os.environ["SEQVAULT_BIN"]
PASSPHRASE = "of a test"


def identity(folder, card, seed, private):
    """An identity file of little cost, from secrets in the clear."""
    suite, salt = 1 if len(card) < 2000 else 2, os.urandom(16)
    fields = emit_json({"card": b64(card), "kdf": {"m_kib": 8, "name": "argon2id", "p": 1, "t": 1}, "salt": b64(salt)})
    head = IDENTITY_MAGIC + u32(len(fields)) + fields
    key = hash_secret_raw(PASSPHRASE.encode(), salt, 1, 8, 1, 32, Type.ID)
    aad = context("seqvault/v1/identity", suite, b"", "", sha256(head))
    path = folder / "me.identity"
    path.write_bytes(head + floe_encrypt(key, aad, seed + private))
    path.chmod(0o600)
    return path


def run(folder, *arguments):
    environment = {**os.environ, "SEQVAULT_VECTORS_PASSPHRASE": PASSPHRASE, "SEQVAULT_STATE": str(folder / "state")}
    command = [COMMAND, *arguments, "--identity", str(folder / "me.identity"), "--passphrase-env", "SEQVAULT_VECTORS_PASSPHRASE"]
    return subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


def sealed_file(folder, head, v):
    identity(folder, blob(v["card"]), blob(v["seed"]), blob(v["private"]))
    sealed, opened = folder / "f.sealed", folder / "f"
    sealed.write_bytes(blob(v["file"]))
    done = run(folder, "open", str(sealed), "--output", str(opened))
    if head["expect"] == "success":
        return done, done.returncode == 0 and hashlib.sha256(opened.read_bytes()).hexdigest() == head["gives"]
    left = {path.name for path in folder.iterdir()} - {"me.identity", "f.sealed", "state"}
    return done, done.returncode > 0 and not left


def invitation(folder, head, v):
    ledger = folder / "vault/ledger/vault"
    ledger.mkdir(parents=True)
    (folder / "vault/seqvault-format").write_text("seqvault 1\n")
    for n, entry in enumerate(v["ledgers"]["vault"]):
        (ledger / f"{n:010}").write_bytes(blob(entry))
    # Only the card of it is looked at.
    identity(folder, blob(v["card"]), bytes(32), bytes(32))
    done = run(folder, "join", v["invitation"], "--at", str(folder / "vault"))
    return done, (done.returncode == 0) == (head["expect"] == "success")


def main():
    failed = count = 0
    for name, check in (("sealed-files", sealed_file), ("invitations", invitation)):
        paths = sorted((VECTORS / name).iterdir())
        assert paths
        for path in paths:
            with tempfile.TemporaryDirectory() as folder:
                done, right = check(Path(folder), *read(path))
            count += 1
            if not right:
                failed += 1
                print(f"{name}/{path.name}: exit {done.returncode}: {done.stderr.decode().strip()}")
    print(f"{count} vectors by the command, {failed} otherwise than they say")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

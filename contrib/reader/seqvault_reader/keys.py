"""Cards, identity files, epochs, key tables and sealed single files (2.1, 2.2, 2.4 to 2.6)."""

import base64
import os
from typing import NamedTuple

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import floe
from .encoding import BadSignature, Cursor, Differs, context, demand, parse_json, sha256, unb64
from .ledger import open_envelope
from .primitives import SUITES, CannotOpen, check_kem_key, check_signing_key, hkdf_expand, open_seal, verify
from .shapes import check, integer, no_controls, obj, text

CARD_TYPE = "application/vnd.seqvault.card+json"
CARD_SHAPE = obj(created=integer(), format=integer(1, 1), kem=text(8192), label=no_controls(128), sign=text(64),
                 suite=integer())


class Card(NamedTuple):
    id: str         # hex
    stored: bytes
    suite: int
    sign: bytes
    kem: bytes
    label: str

    @property
    def fingerprint(self):
        letters = base64.b32encode(bytes.fromhex(self.id)[:20]).decode().lower()
        return "-".join(letters[i:i + 4] for i in range(0, 32, 4))


def parse_card(stored):
    """2.1: parses, known suite, both keys pass 1.3, signature of its own key."""
    demand(len(stored) <= 8192, "a card longer than 8 KiB")
    envelope = open_envelope(stored, CARD_TYPE)
    fields = parse_json(envelope.payload)
    check(CARD_SHAPE, fields)
    suite, sign = fields["suite"], unb64(fields["sign"], 32)
    demand(suite in SUITES, "an unknown suite")
    kem = unb64(fields["kem"], SUITES[suite].public_len)
    check_signing_key(sign)
    check_kem_key(suite, kem)
    card_id = sha256(envelope.payload).hex()
    demand(envelope.keyid == card_id, "a card under another key id")
    if not verify(sign, envelope.signed, envelope.signature):
        raise BadSignature("a card with a bad signature")
    return Card(card_id, stored, suite, sign, kem, fields["label"])


class Identity(NamedTuple):
    card: Card
    kem_private: bytes
    sign_seed: bytes = b""      # a reader signs nothing


IDENTITY_MAGIC = b"seqvault identity 1\n"
IDENTITY_SHAPE = obj(card=text(16384),
                     kdf=obj(m_kib=integer(), name=text(16), p=integer(), t=integer()), salt=text(24))


def parse_identity(data, passphrase):
    """2.2, without the check of file modes."""
    demand(len(data) <= 16 * 1024, "an identity file longer than 16 KiB")
    cursor = Cursor(data)
    demand(cursor.take(len(IDENTITY_MAGIC)) == IDENTITY_MAGIC, "not an identity file")
    fields = parse_json(cursor.take(cursor.uint(4)))
    check(IDENTITY_SHAPE, fields)
    head, kdf = data[:cursor.at], fields["kdf"]
    card, salt = parse_card(unb64(fields["card"])), unb64(fields["salt"], 16)
    demand(kdf["name"] == "argon2id", "an unknown key derivation")
    demand(1 <= kdf["p"] <= 4 and 1 <= kdf["t"] <= 16 and 8 * kdf["p"] <= kdf["m_kib"] <= 1_048_576,
           "a key derivation out of bounds")
    secrets = data[cursor.at:]
    demand(len(secrets) == floe.ciphertext_length(64), "an identity file of another length")
    key = hash_secret_raw(passphrase.encode(), salt, kdf["t"], kdf["m_kib"], kdf["p"], 32, Type.ID, version=0x13)
    plain = floe.open_bytes(key, context("seqvault/v1/identity", card.suite, b"", "", sha256(head)), secrets)
    sign = Ed25519PrivateKey.from_private_bytes(plain[:32]).public_key().public_bytes_raw()
    public = (sign, SUITES[card.suite].public_of(plain[32:]))
    demand(public == (card.sign, card.kem), "secrets of another card", Differs)
    return Identity(card, plain[32:], plain[:32])


def load_identity(path, passphrase):
    with open(path, "rb") as file:
        demand(os.name != "posix" or os.fstat(file.fileno()).st_mode & 0o077 == 0,
               "the identity file is open to others: chmod 600")
        return parse_identity(file.read(16 * 1024 + 1), passphrase)


# --- epochs and key tables -----------------------------------------------------------------------------------------

class Scope(NamedTuple):
    """What the contexts of one dataset share."""
    suite: int
    vault: bytes
    dataset: str

    def context(self, label, *fields):
        return context("seqvault/v1/" + label, self.suite, self.vault, self.dataset, *fields)


def epoch_private_key(scope, secret, epoch):
    return hkdf_expand(secret, scope.context("epoch-key-pair", epoch), 32)


def accept_epoch(scope, secret, epoch, public):
    """2.4: the secret, if it gives the public key of the statement that opened the epoch."""
    derived = SUITES[scope.suite].public_of(epoch_private_key(scope, secret, epoch))
    demand(derived == public, "an epoch secret of another public key", Differs)
    return secret


def open_table(scope, secret, epoch, count, data):
    """2.5: {manifest id: key}. The caller has checked the hash of `data`."""
    demand(len(data) == floe.ciphertext_length(48 * count), "a key table of another length", CannotOpen)
    key = hkdf_expand(secret, scope.context("table-key", epoch), 32)
    plain = floe.open_bytes(key, scope.context("table", epoch), data)
    records = [(plain[i:i + 16].hex(), plain[i + 16:i + 48]) for i in range(0, len(plain), 48)]
    ids = [manifest for manifest, _ in records]
    demand(ids == sorted(set(ids)), "a key table out of order")
    return dict(records)


# --- sealed single files -------------------------------------------------------------------------------------------

def open_sealed_file(identity, read):
    """2.6: yields the plaintext. `read(n)` gives up to n bytes and fewer only at the end."""
    head = read(11)
    demand(len(head) == 11 and head[:8] == b"SVSEAL01", "not a sealed file")
    suite, count = head[8], int.from_bytes(head[9:], "big")
    demand(suite in SUITES and 1 <= count <= 1024, "a sealed file of an unknown suite or without recipients")
    size = 32 + SUITES[suite].enc_len + 48
    block = read(count * size)
    demand(len(block) == count * size, "cut short")
    seals = {block[i:i + 32]: block[i + 32:i + size] for i in range(0, len(block), size)}
    demand(len(seals) == count and list(seals) == sorted(seals), "recipients out of order")
    mine = bytes.fromhex(identity.card.id)
    if identity.card.suite != suite or mine not in seals:
        raise CannotOpen
    key = open_seal(suite, identity.kem_private,
                    context("seqvault/v1/sealed-file-key", suite, b"", "", mine), seals[mine])
    aad = context("seqvault/v1/sealed-file", suite, b"", "", sha256(head + block))
    yield from floe.open_online(key, aad, read)


"""What writes, for the tests alone: cards, identity files, seals, FLOE, statements and a vault in a folder.

It takes shortcuts that no client may take (weak Argon2id, a clock that counts), and it will sign anything: a test
overrides any member of a statement to make a void or a fork.
"""

import hashlib
import os
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seqvault_reader import blake3tree, floe
from seqvault_reader.bodies import (GROUP, PACK, DIGESTS, File, blake3_of, groups_of, leaf_hash, merkle_root, padme)
from seqvault_reader.encoding import b64, context, emit_json, sha256, sha256_hex, u16, u32, u64
from seqvault_reader.keys import CARD_TYPE, IDENTITY_MAGIC, Scope, epoch_private_key, hkdf_expand
from seqvault_reader.ledger import STATEMENT_TYPE, entry_hashes, pae
from seqvault_reader.primitives import (SUITES, dhkem_secret, key_schedule, x25519, x25519_public, xwing_combine)

PASSPHRASE = "correct horse"
START = 1_790_000_000
INFO = {"facts": {}, "jurisdiction": "CN", "kind": "hospital", "organisation": "First Hospital"}


# --- primitives ----------------------------------------------------------------------------------------------------

def encap(suite, public):
    ephemeral = os.urandom(32)
    ct_x, ss_x = x25519_public(ephemeral), x25519(ephemeral, public[-32:])
    if suite == 1:
        return dhkem_secret(ss_x, ct_x + public), ct_x
    ss_m, ct_m = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    return xwing_combine(ss_m, ss_x, ct_x, public[1184:]), ct_m + ct_x


def seal(suite, public, info, secret):
    shared, enc = encap(suite, public)
    key, nonce = key_schedule(SUITES[suite].kem_id, shared, info)
    return enc + AESGCM(key).encrypt(nonce, secret, b"")


def floe_encrypt(key, aad, plaintext, enc_segment=floe.ENC_SEGMENT, mask=floe.ROTATION_MASK):
    params, iv, size = floe.parameters(enc_segment), os.urandom(32), enc_segment - 32
    header = params + iv + floe.kdf(key, params, iv, b"HEADER_TAG:", aad, 32)
    message_key = floe.kdf(key, params, iv, b"MESSAGE_KEY:", aad, 48)
    out, count = [header], max(1, -(-len(plaintext) // size))
    for i in range(count):
        final, nonce, part = i == count - 1, os.urandom(12), plaintext[i * size:(i + 1) * size]
        dek = floe.kdf(message_key, params, iv, b"DEK:" + u64(i >> mask << mask), aad, 32)
        length = u32(len(part) + 32) if final else b"\xff" * 4
        out.append(length + nonce + AESGCM(dek).encrypt(nonce, part, u64(i) + bytes([final])))
    return b"".join(out)


# --- people --------------------------------------------------------------------------------------------------------

class Key:
    """An identity: one card and its secrets."""

    def __init__(self, suite=1, label="a card", claims={}, **override):
        self.suite, self.seed, self.kem_private = suite, os.urandom(32), os.urandom(32)
        self.sign = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.kem = SUITES[suite].public_of(self.kem_private)
        fields = {"created": START, "format": 1, "kem": b64(self.kem), "label": label,
                  "sign": b64(self.sign.public_key().public_bytes_raw()), "suite": suite} | override | claims
        payload = emit_json(fields)
        self.id = sha256_hex(payload)
        self.card = self.envelope(CARD_TYPE, payload)

    def envelope(self, kind, payload, keyid=None):
        signature = {"keyid": keyid or self.id, "sig": b64(self.sign.sign(pae(kind, payload)))}
        return emit_json({"payload": b64(payload), "payloadType": kind, "signatures": [signature]})

    def identity_file(self, passphrase=PASSPHRASE, **kdf):
        kdf = {"m_kib": 64, "name": "argon2id", "p": 1, "t": 1} | kdf
        salt = os.urandom(16)
        fields = emit_json({"card": b64(self.card), "kdf": kdf, "salt": b64(salt)})
        head = IDENTITY_MAGIC + u32(len(fields)) + fields
        m = min(max(kdf["m_kib"], 8 * max(kdf["p"], 1)), 1024)     # out-of-bounds files need no true key
        key = hash_secret_raw(passphrase.encode(), salt, max(kdf["t"], 1), m, max(kdf["p"], 1), 32, Type.ID)
        aad = context("seqvault/v1/identity", self.suite, b"", "", sha256(head))
        return head + floe_encrypt(key, aad, self.seed + self.kem_private)

    def save(self, folder):
        path = Path(folder) / f"{self.id[:8]}.identity"
        path.write_bytes(self.identity_file())
        path.chmod(0o600)
        return path


class Member:
    def __init__(self, name, suite=1, cards=1):
        self.name, self.keys = name, [Key(suite) for _ in range(cards)]

    @property
    def key(self):
        return self.keys[0]

    def enrolment(self):
        return {"cards": [b64(k.card) for k in self.keys], "info": INFO, "member": self.name}


def sealed_file(suite, keys, plaintext):
    keys, file_key = sorted(keys, key=lambda k: k.id), os.urandom(32)
    head = b"SVSEAL01" + bytes([suite]) + u16(len(keys))
    for k in keys:
        card = bytes.fromhex(k.id)
        head += card + seal(suite, k.kem, context("seqvault/v1/sealed-file-key", suite, b"", "", card), file_key)
    return head + floe_encrypt(file_key, context("seqvault/v1/sealed-file", suite, b"", "", sha256(head)), plaintext)


# --- bodies --------------------------------------------------------------------------------------------------------

def pack_list(stream, packs):
    return b"SVPACKS1" + u64(stream) + u32(len(packs)) + b"".join(
        bytes.fromhex(name) + u32(len(data)) + blake3_of(data) for name, data in packs)


def groups(packs):
    out = b"SVGROUP1" + u32(len(packs))
    for _, data in packs:
        for g in range(groups_of(len(data))):
            out += blake3tree.subtree(data[g * GROUP:(g + 1) * GROUP], g * 1024)
    return out


def record(f):
    path = f.path.encode()
    digests = b"".join(bytes([a, len(d)]) + d for a, d in sorted(f.digests.items()))
    return u16(len(path)) + path + u32(f.number) + u64(f.size) + f.modified.to_bytes(8, "big", signed=True) \
        + u32(0o100 * f.executable) + u64(f.offset) + f.key + f.blake3 + bytes([len(f.digests)]) + digests


def manifest(files, stream, salt, list_hash, extras, block=256, **override):
    """Plaintext of 3.5, padded; `override` replaces a field of the head to make it wrong."""
    files = sorted(files, key=lambda f: f.path.encode())
    blocks = [files[i:i + block] for i in range(0, len(files), block)]
    at = 108 + sum(18 + len(b[0].path.encode()) for b in blocks)
    index, body = b"", b""
    for b in blocks:
        records, first = b"".join(map(record, b)), b[0].path.encode()
        index += u64(at) + u32(len(records)) + u32(len(b)) + u16(len(first)) + first
        body, at = body + records, at + len(records)
    tail = emit_json(extras)
    head = {"count": u32(len(files)), "stream": u64(stream), "salt": salt, "list": list_hash, "blocks": u32(len(blocks)),
            "at": u64(at), "length": u32(len(tail)), "end": u64(at + len(tail))} | override
    plain = b"SVMANIF1" + b"".join(head.values()) + index + body + tail
    return plain.ljust(padme(len(plain)), b"\0")


# --- a vault -------------------------------------------------------------------------------------------------------

class World:
    """A vault in a folder. `lab` is its first officer and a creator, `spare` is the member of the recovery card."""

    def __init__(self, folder, suite=1, approvals=None, names=("lab", "clinic", "uni"), genesis=None):
        self.folder, self.suite, self.clock = Path(folder), suite, START
        self.people = {name: Member(name, suite) for name in names}
        self.spare = Member("spare", suite)         # holds the recovery card
        self.ledgers = {}
        kem = SUITES[suite].kem_name
        members = [m.enrolment() for m in (*self.people.values(), self.spare)]
        self.genesis_body = {
            "algorithms": {"aead": "AES-256-GCM", "body": "FLOE-65568", "hash": "SHA-256", "kdf": "HKDF-SHA256", "kem": kem,
                           "signature": "Ed25519", "tree_hash": "BLAKE3"},
            "approvals": {"card_added": 0, "dataset_deleted": 0, "granted": [0] * 5, "recovered": 0, "released": 0}
            | (approvals or {}),
            "head_age": 86400, "members": members, "nonce": "00" * 16, "recovery": [self.spare.key.id], "suite": suite} | (genesis or {})
        self.vault_id = ""
        self.vault_id = self.add("lab", "genesis", self.genesis_body, prev="", vault="")
        self.add("lab", "role-set", role("lab", "creator"))

    def member(self, name):
        return self.spare if name == "spare" else self.people[name]

    def put(self, *parts, data):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def head(self, back=0):
        entries = self.ledgers["vault"]
        seq = len(entries) - 1 - back
        return {"hash": self.hash("vault", seq), "seq": seq}

    def hash(self, ledger, seq=-1):
        """The entry hash."""
        return entry_hashes(self.ledgers[ledger], "" if ledger == "vault" else self.vault_id)[seq]

    def sign(self, who, kind, body, ledger="vault", key=None, keyid=None, **override):
        """The stored bytes of the next entry of a ledger."""
        key, entries = key or self.member(who).key, self.ledgers.get(ledger, [])
        self.clock += 1
        fields = {"author": who, "body": body, "card": key.id, "critical": True, "format": 1, "kind": kind,
                  "ledger": ledger, "prev": self.hash(ledger) if entries else self.vault_id, "seq": len(entries),
                  "time": self.clock, "vault": self.vault_id,
                  "vault_head": None if ledger == "vault" else self.head()} | override
        return key.envelope(STATEMENT_TYPE, emit_json(fields), keyid)

    def store(self, ledger, stored):
        """Returns the entry's hash."""
        entries = self.ledgers.setdefault(ledger, [])
        self.put("ledger", ledger, f"{len(entries):010}", data=stored)
        entries.append(stored)
        return self.hash(ledger)

    def add(self, who, kind, body, ledger="vault", **override):
        return self.store(ledger, self.sign(who, kind, body, ledger, **override))


def role(member, role, dataset=None, on=True):
    return {"dataset": dataset, "member": member, "on": on, "role": role}


def proposal(act, terms, ends=START + 10**6, **override):
    return {"act": act, "ends": ends, "facts": None, "member": None, "pack": None,
            "terms": sha256_hex(emit_json({"act": act, "terms": terms}))} | override


class DatasetWriter:
    """A dataset's ledger and objects. It keeps secrets in clear and does not check what it is asked for."""

    def __init__(self, world, name="ds", author="lab", recovery=True, create=True, level=1, **override):
        self.world, self.name, self.ledger = world, name, "dataset/" + name
        self.scope = Scope(world.suite, bytes.fromhex(world.vault_id), name)
        self.secrets, self.keys, self.committed = {}, {}, {}
        self.newest = self.closed = 1
        self.recovery = [world.spare.key.id] if recovery else []
        self.secrets[1] = os.urandom(32)
        if create:
            self.add(author, "dataset-created", self.creation(author, level), **override)

    def creation(self, author, level=1):
        holders = [author] + ["spare"] * bool(self.recovery)
        return {"epoch": {"public": b64(self.public(1)), "seals": self.seals(author, holders, 1, numbered=False)},
                "facts": {"a": 1}, "level": level, "recovery": self.recovery, "title": "A dataset"}

    def add(self, who, kind, body, **override):
        return self.world.add(who, kind, body, self.ledger, **override)

    def private(self, n):
        return epoch_private_key(self.scope, self.secrets[n], n)

    def public(self, n):
        return SUITES[self.scope.suite].public_of(self.private(n))

    def object(self, n, *parts, data):
        self.world.put("epochs", self.name, f"{n:010}", *parts, data=data)

    def seals(self, author, members, *epochs, numbered=True, keys=None):
        """Seals epochs to all keys of members (or to `keys`), writes the objects, returns sorted SEALs."""
        out = []
        for member in members:
            for key in keys or self.world.member(member).keys:
                for n in epochs:
                    info = self.scope.context("grant", n, author, bytes.fromhex(key.id))
                    data = seal(self.scope.suite, key.kem, info, self.secrets[n])
                    self.object(n, "grants", member, f"{key.id}-{sha256_hex(data)}", data=data)
                    out.append({"card": key.id, "member": member, "sha256": sha256_hex(data)}
                               | ({"epoch": n} if numbered else {}))
        return sorted(out, key=lambda s: (s["member"], s["card"], s.get("epoch", 0)))

    def unclosed(self):
        return range(self.closed, self.newest + 1)

    def granting(self, author, member, ends=None, approval=None, seals=None, reservation=None):
        return {"approval": approval, "reservation": reservation, "terms": {"ends": ends, "facts": {}, "member": member},
                "seals": self.seals(author, [member], *self.unclosed()) if seals is None else seals, "trace": None}

    def grant(self, member, author="lab", **options):
        return self.add(author, "granted", self.granting(author, member, **options))

    def opening(self, author, members, revokes=(), unsealed=(), recovery=True):
        n = self.newest + 1
        self.secrets[n] = os.urandom(32)
        holders = list(members) + ["spare"] * bool(self.recovery and recovery)
        return {"epoch": n, "public": b64(self.public(n)), "reason": "schedule", "revokes": sorted(revokes),
                "seals": self.seals(author, holders, n, numbered=False), "unsealed": sorted(unsealed)}

    def open_epoch(self, members, author="lab", **options):
        entry = self.add(author, "epoch-opened", self.opening(author, members, **options))
        self.newest += 1
        return entry

    def closing(self, void=(), leave_out=()):
        n = self.newest
        ids = sorted(m for m, epoch in self.committed.items() if epoch < n and m not in void and m not in leave_out)
        table = None
        if ids:
            plain = b"".join(bytes.fromhex(m) + self.keys[m] for m in ids)
            key = hkdf_expand(self.secrets[n], self.scope.context("table-key", n), 32)
            data = floe_encrypt(key, self.scope.context("table", n), plain)
            table = sha256_hex(data)
            self.object(n, f"table-{table}", data=data)
        return {"count": len(ids), "epoch": n, "table": table, "void": sorted(void)}

    def close_epoch(self, author="lab", **options):
        entry = self.add(author, "epoch-closed", self.closing(**options))
        self.closed = self.newest
        return entry

    def prepare(self, author, upload, contents, replaces=(), origin=None, supersedes=None, salt=None, numbers=None,
                removed=(), digests=True):
        """Writes all objects of one manifest; returns its MAN."""
        ident, salt, files, stream = os.urandom(16), salt or os.urandom(32), [], b""
        for i, (path, data) in enumerate(contents.items()):
            number, key = numbers[path] if numbers else i + 1, os.urandom(32)
            aad = self.scope.context("file", ident, author, number)
            sums = {a: hashlib.new(DIGESTS[a][0], data).digest() for a in DIGESTS} if digests else {}
            files.append(File(path, number, len(data), START, path.endswith(".sh"), len(stream), key, blake3_of(data), sums))
            stream += floe_encrypt(key, aad, data)
        packs = [(os.urandom(16).hex(), stream[i:i + PACK]) for i in range(0, len(stream), PACK)]
        listed = pack_list(len(stream), packs)
        for name, data in packs:
            self.world.put("packs", self.name, upload, name, data=data)
        self.world.put("packs", self.name, upload, f"{ident.hex()}.list", data=listed)
        extras = {"origin": origin, "replaces": list(replaces)}
        plain = manifest(files, len(stream), salt, sha256(listed), extras)
        key = self.keys[ident.hex()] = os.urandom(32)
        sealed = floe_encrypt(key, self.scope.context("manifest", ident, author), plain)
        self.world.put("manifests", self.name, ident.hex(), data=sealed)
        info = self.scope.context("manifest-key", self.newest, ident, author)
        header = seal(self.scope.suite, self.public(self.newest), info, key)
        self.object(self.newest, "headers", f"{ident.hex()}-{sha256_hex(header)}", data=header)
        leaves = {f.number: leaf_hash(salt, f) for f in files} | {r["number"]: bytes.fromhex(r["leaf"]) for r in removed}
        self.last_packs, self.last_files, self.last_salt = packs, files, salt
        return {"blake3": blake3_of(sealed).hex(), "files": len(files), "header": sha256_hex(header), "length": len(sealed),
                "manifest": ident.hex(), "packs": {"bytes": len(stream), "count": len(packs), "list": sha256_hex(listed)},
                "root": merkle_root([leaves[n] for n in sorted(leaves)]).hex(), "supersedes": supersedes}

    def open_upload(self, author="lab", ends=START + 10**6):
        upload = os.urandom(16).hex()
        self.add(author, "upload-opened", {"ends": ends, "upload": upload})
        return upload

    def commit(self, author, upload, *manifests, epoch=None, **override):
        for man in manifests:
            self.committed[man["manifest"]] = epoch or self.newest
        body = {"epoch": epoch or self.newest, "manifests": list(manifests), "upload": upload}
        return self.add(author, "upload-committed", body, **override)

    def upload(self, contents, author="lab", **options):
        """Opens, writes and commits one manifest; returns (MAN, upload, entry hash)."""
        upload = self.open_upload(author)
        man = self.prepare(author, upload, contents, **options)
        return man, upload, self.commit(author, upload, man)


def fake_man(**override):
    """A MAN of nothing that exists, for folds."""
    h = os.urandom(32).hex()
    return {"blake3": h, "files": 1, "header": h, "length": 1, "manifest": os.urandom(16).hex(),
            "packs": {"bytes": 107, "count": 1, "list": h}, "root": h, "supersedes": None} | override

"""The members of every statement's body, as tables beside those of 5.2 to 5.6. Preconditions are elsewhere.

A shape is a function that raises Malformed. Which arrays are sets is read from 5 ("Arrays that are sets ..."): ids,
hashes, numbers and seals are; `cards` (stored bytes), `members`, `manifests`, `reservations` and keys are lists.
"""

import re
import unicodedata

from .encoding import MAX_INT, demand, emit_json, unb64

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def check(shape, value):
    shape(value)


def integer(low=0, high=MAX_INT):
    def shape(value):
        demand(type(value) is int and low <= value <= high, "an integer outside its range")
    return shape


def boolean(value):
    demand(type(value) is bool, "not a boolean")


def text(limit):
    def shape(value):
        demand(type(value) is str and len(value.encode()) <= limit, "not a text of this length")
    return shape


def no_controls(limit):
    def shape(value):
        text(limit)(value)
        demand(not any(unicodedata.category(c) == "Cc" for c in value), "a control character")
    return shape


def matches(pattern):
    compiled = re.compile(pattern + r"\Z")

    def shape(value):
        demand(type(value) is str and compiled.match(value), "not of the form " + pattern)
    return shape


def one_of(*values):
    def shape(value):
        demand(type(value) is str and value in values, "not one of the known words")
    return shape


def nullable(inner):
    def shape(value):
        if value is not None:
            inner(value)
    return shape


def obj(**members):
    """Exactly these members."""
    def shape(value):
        demand(type(value) is dict and value.keys() == members.keys(), "other members than " + ", ".join(members))
        for name, member in value.items():
            members[name](member)
    return shape


def list_of(inner, low=0, high=MAX_INT):
    def shape(value):
        demand(type(value) is list and low <= len(value) <= high, "not a list of this length")
        for item in value:
            inner(item)
    return shape


def set_of(inner, key=lambda item: item):
    """Ascending without repeats; ASCII text compares bytewise."""
    def shape(value):
        list_of(inner)(value)
        keys = [key(item) for item in value]
        demand(all(a < b for a, b in zip(keys, keys[1:])), "a set out of order")
    return shape


def b64_of(size=None):
    def shape(value):
        demand(type(value) is str, "not base64")
        unb64(value, size)
    return shape


def facts(value):
    demand(type(value) is dict and len(emit_json(value)) <= 256 * 1024, "not an object of at most 256 KiB")


def any_text(value):
    demand(type(value) is str, "not a text")


def any_object(value):
    demand(type(value) is dict, "not an object")


H = matches("[0-9a-f]{64}")
I = matches("[0-9a-f]{32}")
M = matches(SLUG.pattern.removesuffix(r"\Z"))
N, TIME, EPOCH, LEVEL = integer(), integer(), integer(1), integer(1, 5)
TEXT = no_controls(1024)
KIND = matches("[a-z-]+")


def ledger_id(value):
    demand(type(value) is str, "not a ledger id")
    kind, _, rest = value.partition("/")
    if kind == "dataset":
        M(rest)
    elif kind == "exposure":
        H(rest)
    else:
        demand(value == "vault", "not a ledger id")


AT = obj(hash=H, ledger=ledger_id, seq=N)                     # RES, `cites`
SEALS = set_of(obj(card=H, member=M, sha256=H), lambda s: (s["member"], s["card"]))
EPOCH_SEALS = set_of(obj(card=H, epoch=EPOCH, member=M, sha256=H), lambda s: (s["member"], s["card"], s["epoch"]))
INFO = obj(facts=facts, jurisdiction=matches("[A-Z]{2}"), organisation=TEXT,
           kind=one_of("enterprise", "hospital", "other", "regulator", "research", "team"))
CARDS = list_of(b64_of(), 1, 64)
APPROVAL = nullable(obj(approvals=set_of(H), proposal=H))
COUNT = integer(0, 8)

BOTH = {
    "proposed": obj(act=KIND, ends=TIME, facts=nullable(H), member=nullable(H), pack=nullable(H), terms=H),
    "approved": obj(proposal=H),
}

VAULT = BOTH | {                                                                                                 # 5.2
    "genesis": obj(
        algorithms=obj(aead=one_of("AES-256-GCM"), body=one_of("FLOE-65568"), hash=one_of("SHA-256"),
                       kdf=one_of("HKDF-SHA256"), kem=text(32), signature=one_of("Ed25519"),
                       tree_hash=one_of("BLAKE3")),
        approvals=obj(card_added=COUNT, dataset_deleted=COUNT, granted=list_of(COUNT, 5, 5), recovered=COUNT,
                      released=COUNT),
        head_age=integer(3600), members=list_of(obj(cards=CARDS, info=INFO, member=M), 1), nonce=I, recovery=set_of(H),
        suite=integer()),
    "member-enrolled": obj(cards=CARDS, info=INFO, member=M),
    "member-amended": obj(info=INFO, member=M),
    "card-added": obj(approval=APPROVAL, terms=obj(card=b64_of(), member=M)),
    "card-retired": obj(card=H, member=M, reason=TEXT),
    "member-retired": obj(member=M, reason=TEXT),
    "role-set": obj(dataset=nullable(M), member=M, on=boolean,
                    role=one_of("officer", "auditor", "creator", "steward", "approver")),
    "officer-recovered": obj(member=M),
    "pack-set": obj(hash=H, name=TEXT, on=boolean),
    "format-raised": obj(format=integer()),
    "server-set": obj(log_key=nullable(b64_of(32)), name=TEXT, on=boolean, witness_keys=list_of(b64_of(32))),
    "seen": obj(list=H),
    "recovered": obj(approval=APPROVAL, terms=obj(action=one_of("void", "cut"), hash=H, ledger=ledger_id, seq=N)),
    "subject-key-set": obj(generation=integer(1), seals=SEALS),
}

MAN = obj(blake3=H, files=integer(1, 10_000), header=H, length=N, manifest=I, root=H,
          packs=obj(bytes=integer(1), count=integer(1), list=H),
          supersedes=nullable(I))

DATASET = BOTH | {                                                                                        # 5.3 to 5.5
    "dataset-created": obj(epoch=obj(public=b64_of(), seals=SEALS), facts=facts, level=LEVEL, recovery=set_of(H),
                           title=TEXT),
    "facts-amended": obj(facts=facts, level=LEVEL, reservations=list_of(obj(member=M, reservation=AT)),
                         suspends=set_of(M), why=TEXT),
    "grade-confirmed": obj(facts=H, level=LEVEL),
    "uploader-set": obj(member=M, on=boolean),
    "recovery-set": obj(cards=set_of(H), seals=EPOCH_SEALS),
    "granted": obj(approval=APPROVAL, reservation=nullable(AT), seals=EPOCH_SEALS,
                   terms=obj(ends=nullable(TIME), facts=facts, member=M), trace=nullable(facts)),
    "card-sealed": obj(member=M, seals=EPOCH_SEALS),
    "agreement-accepted": obj(agreement=H, grant=H),
    "suspended": obj(members=set_of(M), reason=TEXT),
    "consent-withdrawn": obj(members=set_of(M), reason=TEXT, subjects=nullable(H)),
    "revoked": obj(member=M, reason=TEXT),
    "destruction-attested": obj(document=nullable(H), member=M, scope=TEXT),
    "reservation-cancelled": obj(reservation=AT),
    "anchored": obj(),
    "dataset-deleted": obj(approval=APPROVAL, terms=obj(reason=TEXT)),
    "epoch-opened": obj(epoch=EPOCH, public=b64_of(), reason=TEXT, revokes=set_of(M), seals=SEALS, unsealed=set_of(M)),
    "epoch-closed": obj(count=N, epoch=EPOCH, table=nullable(H), void=set_of(I)),
    "epoch-reset": obj(epoch=EPOCH, public=b64_of(), reason=TEXT, seals=SEALS, unreadable=set_of(I)),
    "upload-opened": obj(ends=TIME, upload=I),
    "upload-extended": obj(ends=TIME, upload=I),
    "upload-committed": obj(epoch=EPOCH, manifests=list_of(MAN, 1, 10_000), upload=I),
    "upload-closed": obj(reason=TEXT, upload=I),
    "manifest-removed": obj(manifest=I, reason=TEXT),
    "path-removed": obj(files=set_of(integer(0, 2**32 - 1)), manifest=I, reason=TEXT),
}

EXPOSURE = BOTH | {                                                                                              # 5.6
    "reserved": obj(added=N, dataset=M, member=M, subjects=nullable(H), total=N),
    "released": obj(approval=APPROVAL, cites=AT, terms=obj(reserved=H)),
}

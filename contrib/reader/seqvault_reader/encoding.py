"""Encodings, canonical JSON and bound contexts (1.1, 1.2, 1.4)."""

import base64
import binascii
import hashlib
import json
import re

MAX_INT = 2**53 - 1
MAX_NESTING = 16
MEMBER_NAME = re.compile(r"[a-z0-9_]{1,64}\Z")


class Malformed(ValueError):
    """Bytes that no writer of this format produces."""


class BadSignature(Malformed):
    """Well-formed bytes that were not signed by the key that must have signed them."""


class Differs(Malformed):
    """Well-formed bytes, but not those that a statement names."""


def demand(condition, why, error=Malformed):
    if not condition:
        raise error(why)


def u16(x):
    return x.to_bytes(2, "big")


def u32(x):
    return x.to_bytes(4, "big")


def u64(x):
    return x.to_bytes(8, "big")


def lp(field):
    """LP(b) = u32(len b) || b; an integer inside an LP is its u64; text is its UTF-8."""
    if isinstance(field, int):
        field = u64(field)
    elif isinstance(field, str):
        field = field.encode()
    return u32(len(field)) + field


def context(label, suite, vault, dataset, *fields):
    """ctx of 1.4. `vault` is 32 bytes or b"", `dataset` an id or ""."""
    return b"".join(map(lp, (label, suite, vault, dataset, *fields)))


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def unb64(text, size=None):
    """Standard padded base64 whose unused trailing bits are zero."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Malformed("not base64") from None
    demand(base64.b64encode(data).decode() == text, "not canonical base64")
    demand(size is None or len(data) == size, "base64 of another length")
    return data


def b64(data):
    return base64.b64encode(data).decode()


def parse_json(data, more_names=()):
    """Canonical JSON (1.1): parse, check the limits, encode again and compare bytes."""
    try:
        value = json.loads(data.decode(), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Malformed("not JSON of this profile") from None
    _check(value, 0, more_names)
    demand(emit_json(value) == data, "not canonical JSON")
    return value


def emit_json(value):
    """RFC 8785 for the values that `_check` lets through: names are ASCII, so code point order is UTF-16 order."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    except UnicodeEncodeError:
        raise Malformed("a lone surrogate") from None


def _refuse(_token):
    raise ValueError


def _check(value, depth, more_names):
    if isinstance(value, (dict, list)):
        depth += 1
        demand(depth <= MAX_NESTING, "nested too deep")
    if isinstance(value, dict):
        for name, member in value.items():
            demand(MEMBER_NAME.match(name) or name in more_names, "a member name outside the profile")
            _check(member, depth, more_names)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth, more_names)
    elif isinstance(value, int):
        demand(abs(value) <= MAX_INT, "an integer out of range")


class Cursor:
    """Reads big-endian fields from a byte string and refuses to run over its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        demand(self.at + size <= len(self.data), "cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def uint(self, size):
        return int.from_bytes(self.take(size), "big")

    def finish(self):
        demand(self.at == len(self.data), "bytes after the end")

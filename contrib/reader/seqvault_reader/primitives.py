"""Suites, strict Ed25519, X25519, X-Wing and HPKE base mode (1.3, 2.3)."""

import hashlib
import hmac
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .encoding import Malformed, demand, u16


class CannotOpen(Exception):
    """The one error for every failure to open a seal or a FLOE ciphertext."""


# --- Ed25519 (RFC 8032), verified strictly -------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def decode_point(encoded):
    """The affine point of a canonical encoding; Malformed otherwise."""
    demand(len(encoded) == 32, "a point of another length")
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    demand(y < P, "a point encoding that is not canonical")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    demand(x * x % P == square, "not a point of the curve")
    demand(x or not sign, "a point encoding that is not canonical")
    return (P - x if x & 1 != sign else x), y


def has_small_order(point):
    """Doubles three times: the points of order 1, 2, 4 and 8 arrive at the identity."""
    x, y = point
    for _ in range(3):
        k = D * x * x * y * y
        x, y = 2 * x * y * pow(1 + k, -1, P) % P, (y * y + x * x) * pow(1 - k, -1, P) % P
    return (x, y) == (0, 1)


def check_signing_key(public):
    demand(not has_small_order(decode_point(public)), "an Ed25519 key of small order")


def verify(public, message, signature):
    """True if, and only if, S < L, A and R are canonical and not of small order, and [S]B = R + [k]A.

    OpenSSL computes [S]B - [k]A and compares its encoding with R: that is the equation without cofactor.
    """
    try:
        demand(len(signature) == 64 and int.from_bytes(signature[32:], "little") < L, "S out of range")
        check_signing_key(public)
        demand(not has_small_order(decode_point(signature[:32])), "R of small order")
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (Malformed, InvalidSignature, ValueError):
        return False
    return True


# --- KEMs ----------------------------------------------------------------------------------------------------------

def x25519(secret, public):
    """RFC 7748's function. The library raises on an all-zero result; here that is 32 zero bytes, judged by callers."""
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return bytes(32)


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dhkem_decap(secret, enc):
    """RFC 9180, 4.1, DHKEM(X25519, HKDF-SHA256)."""
    dh = x25519(secret, enc)
    if dh == bytes(32):
        raise CannotOpen
    return dhkem_secret(dh, enc + x25519_public(secret))


def dhkem_secret(dh, kem_context):
    kem = b"KEM" + u16(0x0020)
    return labeled_expand(kem, labeled_extract(kem, b"", b"eae_prk", dh), b"shared_secret", kem_context, 32)


XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")  # the ASCII drawing \.//^\


def xwing_expand(seed):
    """draft-connolly-cfrg-xwing-kem, expandDecapsulationKey: the ML-KEM key, the X25519 scalar."""
    stretched = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(stretched[:64]), stretched[64:]


def xwing_public(seed):
    ml_kem, scalar = xwing_expand(seed)
    return ml_kem.public_key().public_bytes_raw() + x25519_public(scalar)


def xwing_decap(seed, enc):
    ml_kem, scalar = xwing_expand(seed)
    return xwing_combine(ml_kem.decapsulate(enc[:1088]), x25519(scalar, enc[1088:]), enc[1088:], x25519_public(scalar))


def xwing_combine(ss_m, ss_x, ct_x, pk_x):
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + XWING_LABEL).digest()


class Suite(NamedTuple):
    number: int
    kem_name: str       # as the genesis spells it (5.2)
    kem_id: int
    public_len: int
    enc_len: int
    public_of: object   # private key -> public key
    decap: object       # (private key, enc) -> shared secret


SUITES = {
    1: Suite(1, "DHKEM-X25519", 0x0020, 32, 32, x25519_public, dhkem_decap),
    2: Suite(2, "X-Wing", 0x647A, 1216, 1120, xwing_public, xwing_decap),
}


def check_kem_key(suite, public):
    """1.3: length, no small order of the X25519 part, FIPS 203's modulus check of the ML-KEM part."""
    demand(len(public) == SUITES[suite].public_len, "a KEM key of another length")
    demand(x25519(b"\x40" * 32, public[-32:]) != bytes(32), "a KEM key of small order")
    for i in range(0, 1152 if suite == 2 else 0, 3):  # ByteDecode12 of 768 coefficients; the last 32 bytes are rho
        pair = int.from_bytes(public[i:i + 3], "little")
        demand(pair & 0xFFF < 3329 and pair >> 12 < 3329, "an ML-KEM key that fails the modulus check")


# --- HPKE base mode, single shot (RFC 9180) ------------------------------------------------------------------------

def hkdf_expand(prk, info, size):
    """HKDF-Expand-SHA256 (RFC 5869, 2.3)."""
    out, block, counter = b"", b"", 1
    while len(out) < size:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:size]


def labeled_extract(suite_id, salt, label, ikm):
    return hmac.digest(salt, b"HPKE-v1" + suite_id + label + ikm, "sha256")


def labeled_expand(suite_id, prk, label, info, size):
    return hkdf_expand(prk, u16(size) + b"HPKE-v1" + suite_id + label + info, size)


def key_schedule(kem_id, shared_secret, info, aead_id=0x0002):
    """RFC 9180, 5.1, mode_base: AEAD key and base nonce, which is the nonce of message 0."""
    hpke = b"HPKE" + u16(kem_id) + u16(0x0001) + u16(aead_id)
    hashes = labeled_extract(hpke, b"", b"psk_id_hash", b"") + labeled_extract(hpke, b"", b"info_hash", info)
    secret = labeled_extract(hpke, shared_secret, b"secret", b"")
    return labeled_expand(hpke, secret, b"key", b"\0" + hashes, 32), \
        labeled_expand(hpke, secret, b"base_nonce", b"\0" + hashes, 12)


def open_seal(suite, private, info, seal):
    """2.3: 32 bytes from enc || ciphertext."""
    s = SUITES[suite]
    if len(seal) != s.enc_len + 48:
        raise CannotOpen
    try:
        key, nonce = key_schedule(s.kem_id, s.decap(private, seal[:s.enc_len]), info)
        return AESGCM(key).decrypt(nonce, seal[s.enc_len:], b"")
    except (InvalidTag, ValueError):
        raise CannotOpen from None

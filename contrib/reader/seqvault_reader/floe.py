"""FLOE (c2sp.org/FLOE), decryption (3.1): random access, and a whole ciphertext of known or of unknown length."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .encoding import u32, u64
from .primitives import CannotOpen

SEGMENT = 65_536                # plaintext of a full segment
ENC_SEGMENT = SEGMENT + 32      # u32 length, 12-byte IV, 16-byte tag
HEADER = 74                     # parameters (10), IV (32), tag (32)
MAX_SEGMENTS = 2**40
ROTATION_MASK = 20              # one AEAD key for 2^20 segments
NOT_FINAL = b"\xff\xff\xff\xff"


def parameters(enc_segment=ENC_SEGMENT):
    """PARAM_ENCODE: AEAD 0 (AES-256-GCM), KDF 0 (HKDF-Expand-SHA-384), segment length, IV length 32."""
    return b"\0\0" + u32(enc_segment) + u32(32)


def segments_of(size):
    return max(1, -(-size // SEGMENT))


def ciphertext_length(size):
    """C(s) of 3.1."""
    return HEADER + size + 32 * segments_of(size)


def plaintext_length(length):
    """The s with C(s) = length."""
    size = length - HEADER - 32 * max(1, -(-(length - HEADER) // ENC_SEGMENT))
    if size < 0 or ciphertext_length(size) != length:
        raise CannotOpen
    return size


def kdf(key, params, iv, purpose, aad, size):
    """FLOE_KDF; no output is longer than one HMAC-SHA-384 block, so HKDF-Expand is one call."""
    return hmac.digest(key, params + iv + purpose + aad + b"\x01", "sha384")[:size]


class Floe:
    """startDecryption and decryptSegment."""

    def __init__(self, key, aad, header, enc_segment=ENC_SEGMENT, mask=ROTATION_MASK):
        self.params, self.iv, tag = header[:10], header[10:42], header[42:]
        if len(header) != HEADER or self.params != parameters(enc_segment):
            raise CannotOpen
        if not hmac.compare_digest(kdf(key, self.params, self.iv, b"HEADER_TAG:", aad, 32), tag):
            raise CannotOpen
        self.aad, self.enc_segment, self.mask = aad, enc_segment, mask
        self.message_key = kdf(key, self.params, self.iv, b"MESSAGE_KEY:", aad, 48)
        self._aead = (-1, None)

    def segment(self, position, final, data):
        right_length = 32 <= len(data) <= self.enc_segment if final else len(data) == self.enc_segment
        if not right_length or data[:4] != (u32(len(data)) if final else NOT_FINAL) or position >= MAX_SEGMENTS:
            raise CannotOpen
        try:
            return self._cipher(position).decrypt(data[4:16], data[16:], u64(position) + bytes([final]))
        except InvalidTag:
            raise CannotOpen from None

    def _cipher(self, position):
        masked = position >> self.mask << self.mask
        if self._aead[0] != masked:
            dek = kdf(self.message_key, self.params, self.iv, b"DEK:" + u64(masked), self.aad, 32)
            self._aead = (masked, AESGCM(dek))
        return self._aead[1]


def open_sized(key, aad, size, read):
    """Yields the plaintext of a ciphertext whose size is signed. `read(n)` gives the next n bytes of it."""
    floe = Floe(key, aad, read(HEADER))
    last = segments_of(size) - 1
    for i in range(last):
        yield floe.segment(i, False, read(ENC_SEGMENT))
    yield floe.segment(last, True, read(32 + size - last * SEGMENT))


def open_bytes(key, aad, ciphertext):
    """A whole ciphertext in memory, whose length was checked against a signed one."""
    at = 0

    def read(n):
        nonlocal at
        at += n
        return ciphertext[at - n:at]

    return b"".join(open_sized(key, aad, plaintext_length(len(ciphertext)), read))


def open_online(key, aad, read, enc_segment=ENC_SEGMENT, mask=ROTATION_MASK):
    """Yields the plaintext of a ciphertext of unknown length (2.6): a segment's length field is its final flag."""
    floe = Floe(key, aad, read(HEADER), enc_segment, mask)
    position, length = 0, read(4)
    while length == NOT_FINAL:
        yield floe.segment(position, False, length + read(enc_segment - 4))
        position, length = position + 1, read(4)
    rest = int.from_bytes(length, "big") - 4
    if len(length) != 4 or not 28 <= rest <= enc_segment - 4:
        raise CannotOpen
    yield floe.segment(position, True, length + read(rest))
    if read(1):
        raise CannotOpen

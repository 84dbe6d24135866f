"""BLAKE3 chaining values of subtrees, by hand: the packaged library only gives root hashes (3.3).

Slow (about a second a MiB); whole packs are hashed with the library. BLAKE3 paper, 2.2 to 2.5.
"""

import struct

from .encoding import demand

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_THEN_DIAGONALS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK = 1024


def compress(chaining, block, counter, flags):
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = list(chaining) + [*IV[:4], counter & 0xFFFFFFFF, counter >> 32, len(block), flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_THEN_DIAGONALS):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[2 * i]) & 0xFFFFFFFF
            vd ^= va
            vd = vd >> 16 | (vd & 0xFFFF) << 16
            vc = (vc + vd) & 0xFFFFFFFF
            vb ^= vc
            vb = vb >> 12 | (vb & 0xFFF) << 20
            va = (va + vb + m[2 * i + 1]) & 0xFFFFFFFF
            vd ^= va
            vd = vd >> 8 | (vd & 0xFF) << 24
            vc = (vc + vd) & 0xFFFFFFFF
            vb ^= vc
            vb = vb >> 7 | (vb & 0x7F) << 25
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
        m = [m[j] for j in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def _bytes(words):
    return struct.pack("<8I", *words)


def _parent(left, right, flags=0):
    return _bytes(compress(IV, left + right, 0, PARENT | flags))


def _left_part(count):
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def subtree(data, first_chunk):
    """The chaining value, not of a root, over `data`, whose first chunk has this number in the input."""
    chunks = -(-len(data) // CHUNK)
    if chunks > 1:
        left = _left_part(chunks)
        return _parent(subtree(data[:left * CHUNK], first_chunk), subtree(data[left * CHUNK:], first_chunk + left))
    words, blocks = IV, range(0, max(len(data), 1), 64)
    for at in blocks:
        flags = CHUNK_START * (at == 0) | CHUNK_END * (at == blocks[-1])
        words = compress(words, data[at:at + 64], first_chunk, flags)
    return _bytes(words)


def merge(values, root=True):
    """The root hash over the chaining values of equal groups, the last one possibly shorter."""
    demand(len(values) > 1 or not root, "one group has no parent")
    if len(values) == 1:
        return values[0]
    left = _left_part(len(values))
    return _parent(merge(values[:left], False), merge(values[left:], False), ROOT * root)

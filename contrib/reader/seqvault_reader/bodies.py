"""Pack lists, groups, manifests and file roots (3.2 to 3.6)."""

import hashlib
from typing import NamedTuple

from blake3 import blake3

from . import blake3tree, floe
from .encoding import Cursor, Differs, demand, lp, parse_json, sha256
from .shapes import H, I, N, check, integer, list_of, nullable, obj, set_of

PACK = 33_554_432
GROUP = 1 << 20
MAX_MANIFEST = 64 << 20
HEAD = 108      # the sum of the fields that 3.5 lists


def blake3_of(data):
    return blake3(data).digest()


# --- 3.2, 3.3 ------------------------------------------------------------------------------------------------------

class Pack(NamedTuple):
    name: str
    length: int
    blake3: bytes


def parse_pack_list(data):
    """(stream length, packs)"""
    cursor = Cursor(data)
    demand(cursor.take(8) == b"SVPACKS1", "not a pack list")
    stream, count = cursor.uint(8), cursor.uint(4)
    demand(1 <= count == -(-stream // PACK) <= 2**24, "a pack list of another count")
    packs = [Pack(cursor.take(16).hex(), cursor.uint(4), cursor.take(32)) for _ in range(count)]
    cursor.finish()
    demand(len({pack.name for pack in packs}) == count, "a pack named twice")
    demand(all(pack.length == PACK for pack in packs[:-1]) and sum(pack.length for pack in packs) == stream,
           "pack lengths that do not tile the stream")
    return stream, packs


def groups_of(length):
    """A pack of at most 1 MiB has no groups."""
    return -(-length // GROUP) if length > GROUP else 0


def parse_groups(data, packs):
    """The chaining values of each pack, each merged and compared with the signed BLAKE3."""
    cursor = Cursor(data)
    demand(cursor.take(8) == b"SVGROUP1" and cursor.uint(4) == len(packs), "not the groups of these packs")
    groups = [[cursor.take(32) for _ in range(groups_of(pack.length))] for pack in packs]
    cursor.finish()
    for pack, values in zip(packs, groups):
        demand(not values or blake3tree.merge(values) == pack.blake3, "groups that do not merge to the signed hash",
               Differs)
    return groups


# --- 3.4, 3.5 ------------------------------------------------------------------------------------------------------

def padme(length):
    e = length.bit_length() - 1
    s = e.bit_length()
    step = 1 << e - s if e > s else 1
    return -(-length // step) * step


class File(NamedTuple):
    path: str
    number: int
    size: int
    modified: int
    executable: bool
    offset: int
    key: bytes
    blake3: bytes
    digests: dict       # algorithm -> digest


class Contents(NamedTuple):
    """An opened manifest."""
    files: list
    stream: int
    salt: bytes
    pack_list: bytes
    origin: dict
    replaces: list


DIGESTS = {1: ("md5", 16), 2: ("sha256", 32)}
EXTRAS = obj(
    origin=nullable(obj(entry=H, leaves=N, manifest=I,
                        removed=set_of(obj(leaf=H, number=integer(0, 2**32 - 1)), lambda r: r["number"]))),
    replaces=set_of(obj(file=integer(0, 2**32 - 1), manifest=I), lambda r: (r["manifest"], r["file"])))


def check_path(raw):
    demand(1 <= len(raw) <= 4096, "a path of this length")
    for component in raw.split(b"/"):
        demand(1 <= len(component) <= 255 and component not in (b".", b".."), "a path component of this form")
    demand(not any(byte < 0x20 or byte in b"\x7f\\" for byte in raw), "a byte that a path may not hold")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        demand(False, "a path that is not UTF-8")


def parse_record(cursor):
    path = check_path(cursor.take(cursor.uint(2)))
    number, size = cursor.uint(4), cursor.uint(8)
    modified = int.from_bytes(cursor.take(8), "big", signed=True)
    mode, offset, key, root = cursor.uint(4), cursor.uint(8), cursor.take(32), cursor.take(32)
    demand(mode in (0, 0o100), "mode bits without a meaning")
    demand(floe.segments_of(size) <= floe.MAX_SEGMENTS, "a file of too many segments")
    digests = []
    for _ in range(cursor.uint(1)):
        algorithm, digest = cursor.uint(1), cursor.take(cursor.uint(1))
        demand(algorithm in DIGESTS and len(digest) == DIGESTS[algorithm][1], "an unknown digest")
        digests.append((algorithm, digest))
    algorithms = [algorithm for algorithm, _ in digests]
    demand(algorithms == sorted(set(algorithms)), "digests out of order")
    return File(path, number, size, modified, mode == 0o100, offset, key, root, dict(digests))


def parse_manifest(plain):
    """3.5 and the structural half of 3.8."""
    demand(len(plain) <= MAX_MANIFEST, "a manifest longer than 64 MiB")
    cursor = Cursor(plain)
    demand(cursor.take(8) == b"SVMANIF1", "not a manifest")
    count, stream, salt, pack_list = cursor.uint(4), cursor.uint(8), cursor.take(32), cursor.take(32)
    blocks, extras_at, extras_length, end = cursor.uint(4), cursor.uint(8), cursor.uint(4), cursor.uint(8)
    demand(1 <= count <= 10_000 and cursor.at == HEAD, "a file count out of range")
    demand(len(plain) == padme(end) and not any(plain[end:]), "padding of another length or not of zeros")
    demand(blocks <= count, "more blocks than files")
    index = []
    for _ in range(blocks):
        offset, length, files = cursor.uint(8), cursor.uint(4), cursor.uint(4)
        index.append((offset, length, files, cursor.take(cursor.uint(2))))
    files = []
    for offset, length, inside, first in index:
        demand(offset == cursor.at and 1 <= inside <= 256, "blocks with gaps or of another size")
        files += [parse_record(cursor) for _ in range(inside)]
        demand(cursor.at == offset + length and files[-inside].path.encode() == first, "an index of other blocks")
    demand(len(files) == count, "another number of files")
    demand(cursor.at == extras_at and extras_at + extras_length == end, "extras out of place")
    extras = parse_json(cursor.take(extras_length))
    check(EXTRAS, extras)
    _check_paths([f.path.encode() for f in files])
    demand(len({f.number for f in files}) == count, "a file number used twice")
    _check_tiling(files, stream)
    return Contents(files, stream, salt, pack_list, extras["origin"], extras["replaces"])


def _check_paths(paths):
    demand(all(a < b for a, b in zip(paths, paths[1:])), "paths out of order")
    folders = {path[:i] for path in paths for i in range(len(path)) if path[i:i + 1] == b"/"}
    demand(folders.isdisjoint(paths), "a path that is another's folder")


def _check_tiling(files, stream):
    at = 0
    for f in sorted(files, key=lambda f: f.offset):
        demand(f.offset == at, "files that do not tile the stream")
        at += floe.ciphertext_length(f.size)
    demand(at == stream, "files that do not tile the stream")


# --- 3.6 -----------------------------------------------------------------------------------------------------------

def leaf_hash(salt, f):
    leaf = b"".join(map(lp, ("seqvault/v1/leaf", salt, f.number, f.path, f.size, f.blake3)))
    return sha256(b"\0" + leaf)


def merkle_root(leaves):
    """RFC 6962, 2.1, over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + merkle_root(leaves[:split]) + merkle_root(leaves[split:]))


def file_root(contents):
    """The root over the manifest's files and, after a re-encryption, the leaves of files that were removed."""
    leaves = {f.number: leaf_hash(contents.salt, f) for f in contents.files}
    if contents.origin:
        removed = {r["number"]: bytes.fromhex(r["leaf"]) for r in contents.origin["removed"]}
        demand(removed.keys().isdisjoint(leaves), "a removed file that is there")
        leaves |= removed
        demand(len(leaves) == contents.origin["leaves"], "another number of leaves than the origin had")
    return merkle_root([leaves[number] for number in sorted(leaves)])


def new_digests(f):
    """[(hash object, wanted)] for the plaintext of a file."""
    return [(blake3(), f.blake3)] + [(hashlib.new(DIGESTS[a][0]), d) for a, d in f.digests.items()]

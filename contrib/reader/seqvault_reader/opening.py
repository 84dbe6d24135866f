"""From an identity to keys, manifests, the view of a dataset and files (2.4, 2.5, 3.3 to 3.8, 5.5)."""

from typing import NamedTuple

from . import blake3tree, floe
from .bodies import (GROUP, PACK, File, blake3_of, file_root, new_digests, parse_groups, parse_manifest,
                     parse_pack_list)
from .bucket import Missing
from .dataset import Manifest
from .encoding import Differs, Malformed, demand, sha256_hex
from .keys import Scope, accept_epoch, epoch_private_key, open_table
from .primitives import SUITES, CannotOpen, open_seal


class Refused(Exception):
    """What was asked can't be given: no key, an unknown or contested path."""


class Visible(NamedTuple):
    manifest: Manifest
    file: File
    line: list      # of manifests, oldest first; entry number, author and role are those of the first


class Opener:
    """One dataset, as the holder of one identity sees it."""

    def __init__(self, bucket, vault, dataset, identity):
        self.bucket, self.vault, self.dataset, self.identity = bucket, vault, dataset, identity
        self.scope = Scope(vault.suite, bytes.fromhex(vault.vault_id), dataset.id)
        self.member = identity and vault.owner(identity.card.id)
        self._secrets, self._tables, self._contents, self._replaces = {}, {}, {}, {}

    # --- keys ---

    def epoch_secret(self, n):
        """2.4: opens a seal whose hash a valid statement names, and recomputes the epoch's public key."""
        if n not in self._secrets:
            self._secrets[n] = self._open_epoch(n)
        return self._secrets[n]

    def _open_epoch(self, n):
        epoch, card = self.dataset.epochs[n], self.identity.card.id
        for digest, author in reversed(epoch.seals.get((self.member, card), ())):
            try:
                name = ("grants", self.member, f"{card}-{digest}")
                seal = self.bucket.read("epochs", self.dataset.id, f"{n:010}", *name)
                demand(sha256_hex(seal) == digest, "a seal with another hash")
                info = self.scope.context("grant", n, author, bytes.fromhex(card))
                secret = open_seal(self.scope.suite, self.identity.kem_private, info, seal)
                return accept_epoch(self.scope, secret, n, epoch.public)
            except (Missing, Malformed, CannotOpen):
                continue
        raise Refused(f"no seal of epoch {n} opens for this identity")

    def table(self, n):
        if n not in self._tables:
            digest, count = self.dataset.tables.get(n, (None, 0))
            if digest is None:
                self._tables[n] = {}
            else:
                data = self.bucket.read("epochs", self.dataset.id, f"{n:010}", f"table-{digest}")
                demand(sha256_hex(data) == digest, "a key table with another hash")
                self._tables[n] = open_table(self.scope, self.epoch_secret(n), n, count, data)
        return self._tables[n]

    def manifest_key(self, m):
        """5.4, last line."""
        if m.void or m.unreadable:
            raise Refused(f"manifest {m.id} is {'void' if m.void else 'unreadable'}")
        if m.epoch < self.dataset.closed:
            key = self.table(self.dataset.closed).get(m.id)
            if key is None:
                raise Refused(f"manifest {m.id} is not in the key table of epoch {self.dataset.closed}")
            return key
        seal = self.bucket.read("epochs", self.dataset.id, f"{m.epoch:010}", "headers", f"{m.id}-{m.man['header']}")
        demand(sha256_hex(seal) == m.man["header"], "a sealed manifest key with another hash")
        private = epoch_private_key(self.scope, self.epoch_secret(m.epoch), m.epoch)
        info = self.scope.context("manifest-key", m.epoch, bytes.fromhex(m.id), m.author)
        return open_seal(self.scope.suite, private, info, seal)

    # --- manifests ---

    def sealed_manifest(self, m):
        sealed = self.bucket.read("manifests", self.dataset.id, m.id)
        demand(len(sealed) == m.man["length"] and blake3_of(sealed).hex() == m.man["blake3"],
               f"manifest {m.id} is not the signed one", Differs)
        return sealed

    def contents(self, m):
        """3.4 and 3.8: the verified contents of a manifest."""
        if m.id not in self._contents:
            aad = self.scope.context("manifest", bytes.fromhex(m.id), m.author)
            contents = parse_manifest(floe.open_bytes(self.manifest_key(m), aad, self.sealed_manifest(m)))
            check_signed(contents, m.man)
            self.check_origin(m, contents.origin)
            self._contents[m.id] = contents
        return self._contents[m.id]

    def check_origin(self, m, origin):
        """3.6, last sentence."""
        demand((origin is None) == (m.man["supersedes"] is None), "an origin without `supersedes`, or none with it")
        if origin is None:
            return
        entry = self.dataset.applied.get(origin["entry"])
        first = entry and entry.kind == "upload-committed" and \
            next((man for man in entry.body["manifests"] if man["manifest"] == origin["manifest"]), None)
        demand(first and (first["root"], first["files"]) == (m.man["root"], origin["leaves"]),
               "an origin that is not the statement which first signed the root")

    def pack_list(self, m):
        data = self.bucket.read("packs", self.dataset.id, m.upload, f"{m.id}.list")
        demand(sha256_hex(data) == m.man["packs"]["list"], "another pack list than the signed one")
        stream, packs = parse_pack_list(data)
        signed = (m.man["packs"]["bytes"], m.man["packs"]["count"])
        demand((stream, len(packs)) == signed, "a pack list of another stream")
        return packs

    # --- the view (3.7) ---

    def view(self):
        """{path: [Visible ..]} with more than one where contested, and [(manifest, reason)] of what can't be opened."""
        paths, unopened = {}, []
        lines = (self.dataset.line(m) for m in self.dataset.manifests.values() if m.visible)
        for line in sorted(lines, key=lambda line: line[0].seq):
            m, removed = line[-1], set().union(*(m.removed_files for m in line))
            try:
                contents = self.contents(m)
            except (Refused, Missing, Malformed, CannotOpen) as error:
                unopened.append((m, str(error) or "does not open"))
                continue
            for f in contents.files:
                if f.number not in removed:
                    paths.setdefault(f.path, []).append(Visible(m, f, line))
        for path, shown in paths.items():
            if len(shown) > 1:
                paths[path] = [y for y in shown if not any(self.takes_over(x, y) for x in shown)]
        return paths, unopened

    def takes_over(self, x, y):
        """3.7: a manifest of the later line `replaces` the file, by its author or a steward of that time."""
        first, older = x.line[0], y.line[0]
        may = first.seq > older.seq and (first.author == older.author or first.author_was_steward)
        return may and any((m.id, y.file.number) in self.replaces(newer) for newer in x.line for m in y.line)

    def replaces(self, m):
        """{(manifest, file)}; nothing of a superseded manifest that does not open, which at worst leaves a path contested."""
        if m.id not in self._replaces:
            try:
                named = self.contents(m).replaces
            except (Refused, Missing, Malformed, CannotOpen):
                named = []
            self._replaces[m.id] = {(r["manifest"], r["file"]) for r in named}
        return self._replaces[m.id]

    def find(self, path):
        paths, unopened = self.view()
        if path not in paths:
            hint = "".join(f"; manifest {m.id}: {reason}" for m, reason in unopened)
            raise Refused(f"no file {path}{hint}")
        if len(paths[path]) > 1:
            entries = " and ".join(f"entry {v.line[0].seq} (manifest {v.manifest.id})" for v in paths[path])
            raise Refused(f"{path} is contested: {entries}")
        return paths[path][0]

    # --- files ---

    def stream(self, m, packs, start, by_groups=False):
        """A `read(n)` over the stream from `start`; whole packs, or the groups touched, are checked before."""
        groups = self.groups(m, packs) if by_groups else None
        cached = (None, b"")
        position = start

        def read(n):
            nonlocal cached, position
            out = b""
            while n > 0:
                demand(position // PACK < len(packs), "a read beyond the stream")
                i, within = divmod(position, PACK)
                if cached[0] != i:
                    cached = (i, self.pack(m, packs[i], whole=not (groups and groups[i])))
                    checked.clear()
                part = cached[1][within:within + n]
                if groups and groups[i]:
                    check_groups(cached[1], groups[i], within, len(part), checked)
                out, position, n = out + part, position + len(part), n - len(part)
            return out

        checked = set()
        return read

    def pack(self, m, pack, whole=True):
        data = self.bucket.read("packs", self.dataset.id, m.upload, pack.name)
        demand(len(data) == pack.length, f"pack {pack.name} has another length")
        demand(not whole or blake3_of(data) == pack.blake3, f"pack {pack.name} has another hash")
        return data

    def groups(self, m, packs):
        return parse_groups(self.bucket.read("packs", self.dataset.id, m.upload, f"{m.id}.groups"), packs)

    def plaintext(self, visible, by_groups=False):
        """Yields a file's segments; the last check, of the signed digests, is after the last segment."""
        m, f = visible.manifest, visible.file
        packs = self.pack_list(m)
        aad = self.scope.context("file", bytes.fromhex(m.id), m.author, f.number)
        digests = new_digests(f)
        for segment in floe.open_sized(f.key, aad, f.size, self.stream(m, packs, f.offset, by_groups)):
            for digest, _ in digests:
                digest.update(segment)
            yield segment
        demand(all(digest.digest() == wanted for digest, wanted in digests), f"{f.path} has another digest")

    def scrub(self):
        """What can be checked of visible manifests without any key: errors, and notes on groups, which are derived."""
        errors, notes = [], []
        for m in self.dataset.manifests.values():
            if not m.visible:
                continue
            try:
                self.sealed_manifest(m)
                packs = self.pack_list(m)
                for pack in packs:
                    self.pack(m, pack)
            except (Missing, Malformed) as error:
                errors.append(f"manifest {m.id}: {error}")
                continue
            try:
                self.groups(m, packs)
            except Malformed as error:
                notes.append(f"manifest {m.id}: {error}")
            except Missing:
                pass
        return errors, notes


def check_signed(contents, man):
    """3.8: an opened manifest is the one that its MAN describes."""
    demand(contents.pack_list.hex() == man["packs"]["list"], "another pack list than the signed one", Differs)
    demand(contents.stream == man["packs"]["bytes"], "another stream length than the signed one", Differs)
    demand(len(contents.files) == man["files"], "another file count than the signed one", Differs)
    demand(file_root(contents).hex() == man["root"], "another root than the signed one", Differs)


def check_groups(pack, values, start, length, checked):
    """3.3: every group touched against its value, which merged to the signed root."""
    for g in range(start // GROUP, -(-(start + length) // GROUP)):
        if g not in checked:
            value = blake3tree.subtree(pack[g * GROUP:(g + 1) * GROUP], g * 1024)
            demand(value == values[g], "a group with another value", Differs)
            checked.add(g)

"""A vault in a folder: object names, entries of a ledger, and the fold of everything (4.3, 6.1)."""

import re
from functools import cache
from pathlib import Path

from .dataset import Dataset
from .encoding import Cursor, Malformed, demand
from .exposure import Exposure
from .vault import Vault

NUMBER = re.compile(r"[0-9]{10}\Z")
BUNDLE = re.compile(r"bundle-(16|256)-([0-9]{10})\Z")


class Missing(Exception):
    """An object that ought to exist."""


class Gap(Exception):
    """4.3: an entry is missing below a later one. No Malformed, lest a gap in a cited ledger void who cites it."""


class Bucket:
    def __init__(self, folder):
        self.folder = Path(folder)

    def read(self, *parts):
        try:
            return self.folder.joinpath(*parts).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise Missing("/".join(parts)) from None

    def exists(self, *parts):
        return self.folder.joinpath(*parts).is_file()

    def names(self, *parts):
        folder = self.folder.joinpath(*parts)
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def ledgers(self):
        """Ids of all ledgers but the vault's."""
        return [f"{kind}/{name}" for kind in ("dataset", "exposure") for name in self.names("ledger", kind)]

    def entries(self, ledger):
        """Stored bytes of entries 0, 1, .. until the first number that does not exist; a gap is an error."""
        numbers = [int(name) for name in self.names("ledger", ledger) if NUMBER.match(name)]
        if numbers != list(range(len(numbers))):
            raise Gap(f"{ledger}: an entry is missing below a later one")
        return [self.entry(ledger, n) for n in numbers]

    def entry(self, ledger, n):
        return self.read("ledger", ledger, f"{n:010}")      # even one over 16 MiB: its hash counts

    def bundle_errors(self, ledger):
        """Bundles are derived: one that differs from the entries is reported and otherwise ignored."""
        for name in self.names("ledger", ledger):
            found = BUNDLE.match(name)
            if not found:
                continue
            size, k = map(int, found.groups())
            try:
                cursor = Cursor(self.read("ledger", ledger, name))
                copies = [cursor.take(cursor.uint(4)) for _ in range(size)]
                cursor.finish()
                demand(copies == [self.entry(ledger, size * k + i) for i in range(size)], "other entries")
            except (Malformed, Missing):
                yield f"{name} differs from the entries"


def fold_vault(bucket, vault_id=None):
    return Vault().run(bucket.entries("vault"), vault_id)


def fold_ledger(bucket, vault, ledger):
    """A dataset's ledger with the exposure ledgers that it cites; an exposure ledger with entries 0 of its datasets."""
    if ledger.startswith("dataset/"):
        fold = Dataset(ledger, vault.vault_id, vault, cache(lambda cited: fold_ledger(bucket, vault, cited)))
    else:
        fold = Exposure(ledger, vault.vault_id, vault, cache(lambda dataset: fold_creation(bucket, vault, dataset)))
    return fold.run(bucket.entries(ledger))


def fold_creation(bucket, vault, dataset):
    ledger = "dataset/" + dataset
    return Dataset(ledger, vault.vault_id, vault).run([bucket.entry(ledger, 0)] if bucket.exists("ledger", ledger, "0" * 10) else [])

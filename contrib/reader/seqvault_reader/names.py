"""Paths that meet on a file system, and names that it reserves (3.5). The reader writes to file systems where each byte counts."""

import re
import unicodedata
from typing import NamedTuple

from .encoding import demand


class Clash(Exception):
    """Paths that can't all be written there."""


class FileSystem(NamedTuple):
    ignores_case: bool
    ignores_form: bool
    windows: bool


INVISIBLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])\Z")


def folded(component, system):
    if system.ignores_form:
        component = unicodedata.normalize("NFD", INVISIBLE.sub("", component))
    if system.ignores_case:
        component = component.casefold()
    # Folding case can compose anew what was taken apart, and the other way round.
    return unicodedata.normalize("NFD", component) if system.ignores_form else component


def is_reserved(component):
    stem = component.split(".")[0].rstrip(" ")
    return component[-1] in ". " or set(component) & set('<>:"|?*') or RESERVED.match(stem.upper())


def check_names(paths, system):
    """Every folder has one spelling, and every path is a file or a folder, not both."""
    spelled, files = {}, set()
    for path in paths:
        components = path.split("/")
        demand(not (system.windows and any(map(is_reserved, components))), "a reserved name", Clash)
        for end in range(1, len(components) + 1):
            key, real = tuple(folded(c, system) for c in components[:end]), components[:end]
            demand(spelled.setdefault(key, real) == real, "two spellings of one name", Clash)
        demand(key not in files, "a path twice", Clash)
        files.add(key)
    folders = {key[:end] for key in files for end in range(1, len(key))}
    demand(not files & folders, "a file that is a folder of another", Clash)

"""Which of several rows of one measurement is kept, and what tells measurements apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from emergecast.measurements._schema import COLUMNS, KEY
from emergecast.measurements.importing._import_options import Measured
from emergecast.measurements.reading import as_text

_STAMPED: Final = re.compile(r"(?:.*_)?(\d{4}-\d\d-\d\dT\d\d[-:]\d\d.*)\.json")
"""A file of the harness's own name, which holds the time of the evaluation."""
VARIANT: Final = "variant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The rows of an import, and the files that gave way."""

    measured: tuple[Measured, ...]
    superseded: tuple[str, ...]
    """Files with a score of which a newer file has the same measurement."""
    limited: tuple[str, ...]
    """Files with a score of some items only, of which another file has more or all."""


def kept_of(measured: Iterable[Measured]) -> Kept:
    """One row for each measurement, where that can be decided.

    Rows are the same measurement where they agree on the key of a table and on every named field of
    their paths: shots, revision (it is part of the checkpoint's name), metric with its filter, and
    so on. Of those, a run on all items goes before a limited one, one on more items before one on
    fewer, and of the harness's own files in one folder the newest. Others stay, and the table
    refuses them as duplicates.
    """
    groups: defaultdict[Hashable, list[Measured]] = defaultdict(list)
    for each in measured:
        groups[_identity(each)].append(each)
    rows: list[Measured] = []
    superseded: dict[str, None] = {}
    limited: dict[str, None] = {}
    for group in groups.values():
        best = max(_extent(each) for each in group)
        longest = [each for each in group if _extent(each) == best]
        limited.update({each.source.name: None for each in group if _extent(each) != best})
        newest: dict[Hashable, Measured] = {}
        for each in longest:
            place, stamp = _place(each)
            other = newest.get(place)
            if other is not None:
                older = other if _place(other)[1] < stamp else each
                superseded[older.source.name] = None
            if other is None or _place(other)[1] < stamp:
                newest[place] = each
        rows += newest.values()
    _name_variants(rows)
    return Kept(measured=tuple(rows), superseded=tuple(superseded), limited=tuple(limited))


def _identity(each: Measured) -> Hashable:
    free = tuple(sorted((name, each.fields[name]) for name in _free(each)))
    return (_key(each), free)


def _key(each: Measured) -> tuple[str | None, ...]:
    cells = (each.row.get(name) for name in KEY)
    return tuple(None if cell is None else as_text(cell) for cell in cells)


def _free(each: Measured) -> list[str]:
    """Fields of the path that are not columns of a table."""
    return [name for name in each.fields if name not in COLUMNS]


def _extent(each: Measured) -> tuple[bool, int]:
    """All items beat some, and more beat fewer; whole runs are alike."""
    return (not each.limited, each.row.get("n_items") or 0 if each.limited else 0)


def _place(each: Measured) -> tuple[Hashable, str]:
    """Where newer files replace older ones, and the time of this one."""
    path = each.source.path
    stamped = _STAMPED.fullmatch(path.name)
    return (path, "") if stamped is None else (path.parent, stamped[1])


def _name_variants(rows: Sequence[Measured]) -> None:
    """Tell rows apart that differ in nothing but fields of their paths."""
    groups: defaultdict[Hashable, list[Measured]] = defaultdict(list)
    for each in rows:
        groups[_key(each)].append(each)
    telling: dict[str, None] = {}
    for group in groups.values():
        for name in dict.fromkeys(name for each in group for name in _free(each)):
            if len({each.fields.get(name) for each in group}) > 1:
                telling[name] = None
    for each in rows:
        parts = [f"{name}={each.fields[name]}" for name in telling if name in each.fields]
        if parts:
            each.row[VARIANT] = ", ".join(parts)

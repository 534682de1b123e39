"""Columns under other names: capitals, and the words that evaluators use."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, Final

from emergecast.measurements.reading._read import RawTable

_SYNONYMS: Final = {
    "se": "stderr",
    "std_err": "stderr",
    "standard_error": "stderr",
    "n_samples": "n_items",
    "num_samples": "n_items",
    "n": "n_items",
    "num_fewshot": "shots",
    "n_shot": "shots",
}
"""Other names that are read as a column of a measurement table, where it has none of that name."""
_MOST_ITEMS: Final = 10_000_000
"""A column n beyond this counts something other than test items."""


def with_known_names(raw: RawTable, known: Collection[str]) -> RawTable:
    """`raw` with its columns under the names of `known`, wherever their own name leaves no doubt.

    That is a name in other capitals, or a synonym. A column `n` counts as test items only where
    it holds nothing but whole numbers that items could have. `renamed` of the result says
    what a synonym was read as.
    """
    titles: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name in raw.columns:
        plain = name.lower().replace(" ", "_")
        meant = plain if plain in known else None
        synonym = _SYNONYMS.get(name if len(name) == 1 else plain)
        if name in known:
            meant = name
        elif meant is None and synonym in known:
            fits = name != "n" or _count_items(raw.columns[name])
            meant = synonym if fits else None
            if meant is not None:
                renamed[name] = meant
        taken = meant is not None and meant != name and (meant in raw.columns or meant in titles)
        if taken:
            renamed.pop(name, None)
        titles[name if meant is None or taken else meant] = name
    columns = {title: raw.columns[name] for title, name in titles.items()}
    return dataclasses.replace(raw, columns=columns, renamed=renamed)


def _count_items(cells: Sequence[Any]) -> bool:
    for cell in cells:
        try:
            number = float(1 if cell is None or cell == "" else cell)
        except (TypeError, ValueError):
            return False
        if not (1 <= number <= _MOST_ITEMS and number.is_integer()):
            return False
    return True

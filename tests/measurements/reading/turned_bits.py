"""Single bits turned in tables and frozen files, and how reading them ends.

`performance/turned_bits.py` runs 10,000 of what the tests run a share of.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emergecast.errors import EmergecastError
from emergecast.measurements import read_table, template
from emergecast.track_record import read_frozen

FROZEN = Path(__file__).parents[2] / "released" / "v0.1.0" / "frozen.json"
TABLES = ("t.parquet", "long.parquet", "t.csv", "t.jsonl")
ERROR, SAME, OTHER = "a named error", "read as it was written", "SILENTLY ANOTHER"
GOOD = frozenset(f"{name}: {end}" for name in (*TABLES, "frozen") for end in (ERROR, SAME))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A file to damage."""

    path: Path
    """Where it is written, with its digest beside it where it has one."""
    content: bytes
    """As it was written."""
    read: Callable[[Path], Any]
    """To what can be compared."""
    good: Any
    """What is read of the good file."""


def cells(path: Path) -> Any:
    """All cells and names of columns of a table, by a comparison that is not the digest's."""
    frame = read_table(path).frame
    return frame.schema, frame.rows()


def frozen_content(path: Path) -> Any:
    """What a frozen file holds."""
    return json.dumps(read_frozen(path).content)


def subjects(folder: Path) -> dict[str, Subject]:
    """Tables of every format, and a frozen file, good ones."""
    table, rows = read_table(template()), template().to_dicts()
    long = read_table(
        [
            {**row, "series": f"s{n}", "note": f"n{n % 7}", "score": row["score"] * (1 - n / 99)}
            for n in range(40)
            for row in rows
        ]
    )
    found = {}
    for name in TABLES:
        path = folder / name
        (long if name.startswith("long") else table).write(path, digest=path.suffix != ".parquet")
        found[name] = Subject(path=path, content=path.read_bytes(), read=cells, good=cells(path))
    path = folder / "frozen"
    path.write_bytes(FROZEN.read_bytes())
    found["frozen"] = Subject(
        path=path, content=path.read_bytes(), read=frozen_content, good=frozen_content(path)
    )
    return found


def turn(seed: int, count: int, folder: Path) -> collections.Counter[str]:
    """How reading ends after a bit was turned, one at a time, file by file in turn."""
    rng = np.random.default_rng([seed])
    files = subjects(folder)
    counts = collections.Counter[str]()
    for number in range(count):
        name = list(files)[number % len(files)]
        file = files[name]
        content = bytearray(file.content)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        file.path.write_bytes(content)
        try:
            end = SAME if file.read(file.path) == file.good else OTHER
        except EmergecastError:
            end = ERROR
        counts[f"{name}: {end}"] += 1
    return counts

"""The file of results: one line of JSON for each table and method, added as it is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from emergecast.benchmark._answer import Answer
from emergecast.errors import RecordError
from emergecast.files import read_whole
from emergecast.records import as_json, from_json

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "results.jsonl"


class LineKey(NamedTuple):
    """What makes two lines the same."""

    version: str
    method: str
    table: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """What a method said of every rung of one table."""

    version: str
    """Of emergecast."""
    method: str
    table: str
    """Cell and number."""
    seed: int
    cell: str
    date: str
    """Day on which it was made."""
    rungs: tuple[Answer, ...]

    @property
    def key(self) -> LineKey:
        """Its place: a later line with the same key is not made again."""
        return LineKey(self.version, self.method, self.table, self.seed)


class Read(NamedTuple):
    """What a file of results holds."""

    lines: dict[LineKey, ResultLine]
    damaged: tuple[int, ...]
    """Lines, from 1 on, that cannot be read; their tables are done again."""


def read_lines(folder: Path | None) -> Read:
    """The results in a folder; nothing where there are none yet."""
    found: dict[LineKey, ResultLine] = {}
    damaged = []
    if folder is not None and (folder / FILE).exists():
        for number, text in enumerate(read_whole(folder / FILE).splitlines(), 1):
            try:
                line = from_json(ResultLine, json.loads(text), what="a line")
            except (ValueError, RecordError):
                damaged.append(number)
            else:
                found[line.key] = line
    return Read(found, tuple(damaged))


def add_line(folder: Path, line: ResultLine) -> None:
    """Write a line at the end, on a line of its own even where the last one was cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+b") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(as_json(line), allow_nan=False).encode() + b"\n")

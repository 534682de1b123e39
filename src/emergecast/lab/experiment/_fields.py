"""Small pieces that every part of an experiment file is read with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from emergecast.lab.experiment._yaml import Entry

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the file lies, and at which line each of its entries stands."""

    folder: Path
    """Relative paths in the file start here."""
    lines: dict[str, int] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Remember the line of an entry."""
        self.lines[entry.where] = entry.line

    def path(self, entry: Entry | None) -> Path | None:
        """The path that is written in `entry`; None where there is none."""
        text = None if entry is None else entry.text()
        return None if text is None else self.folder / Path(text).expanduser()


def members(entry: Entry | None) -> list[Entry]:
    """The members of a list that may be absent; an empty one is a mistake."""
    if entry is None:
        return []
    items = entry.items()
    if not items:
        entry.wrong("the list is empty.", "Name at least one, or leave the entry out.")
    return items


def optional(entry: Entry | None, read: Callable[[Entry], _T | None]) -> _T | None:
    """What `read` makes of an entry; None where it is absent or wrong."""
    return None if entry is None else read(entry)


def either(entry: Entry | None, read: Callable[[Entry], _T | None], default: _T) -> _T:
    """What `read` makes of an entry; `default` where it is absent or wrong (and reported)."""
    value = None if entry is None else read(entry)
    return default if value is None else value


def whole(minimum: int) -> Callable[[Entry], int | None]:
    """A reader of whole numbers."""
    return lambda entry: entry.whole(minimum=minimum)


def number(
    *, above: float | None = None, least: float | None = None
) -> Callable[[Entry], float | None]:
    """A reader of numbers."""
    return lambda entry: entry.number(above=above, minimum=least)


def by_amount(
    entry: Entry | None, examples: Sequence[int], read: Callable[[Entry], _T | None]
) -> dict[int, _T] | None:
    """A value for each amount of data: one for all, or a mapping from amount to value.

    None where the entry is absent or wrong; what is wrong is reported.
    """
    if entry is None:
        return None
    if not entry.is_mapping:
        value = read(entry)
        return None if value is None else dict.fromkeys(examples, value)
    found: dict[int, _T] = {}
    named: set[int] = set()
    for name, each in entry.pairs():
        try:
            amount = int(name.replace("_", "").replace(",", ""))
        except ValueError:
            each.wrong(f'"{name}" is not an amount of data.', "Write examples as whole numbers.")
            continue
        if amount not in examples:
            shown = ", ".join(map(str, examples)) or "none"
            each.wrong(
                f"{amount} is not one of the amounts of data ({shown}).",
                "Add it to examples, or remove it here.",
            )
        named.add(amount)
        value = read(each)
        if value is not None:
            found[amount] = value
    missing = [amount for amount in examples if amount not in named]
    if missing:
        shown = ", ".join(map(str, missing))
        entry.wrong(f"there is no value for {shown} examples.", "Add it, or one value for all.")
    return found if named.issuperset(examples) and len(found) == len(named) else None


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """Its name in the file."""
        ...


def report_repeated(named: Iterable[tuple[Named, Entry]], what: str) -> None:
    """Report each name that stands for two things."""
    first: dict[str, int] = {}
    for thing, entry in named:
        if thing.name in first:
            entry.wrong(
                f'there are two {what} called "{thing.name}" (the first in line'
                f" {first[thing.name]}).",
                "Rename one, or remove it.",
            )
        first.setdefault(thing.name, entry.line)


def chance_of(entry: Entry | None) -> Mapping[str, float]:
    """Chance levels by metric; one number stands under the name ""."""
    if entry is None:
        return {}
    if not entry.is_mapping:
        value = entry.number()
        return {} if value is None else {"": value}
    found = {name: each.number() for name, each in entry.pairs()}
    return {name: value for name, value in found.items() if value is not None}

"""What an entry of an experiment file may hold, as functions that read it.

A reader makes a value of an entry, or reports what is wrong with it and returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from emergecast.lab.experiment._yaml import Entry

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)

Reader: TypeAlias = Callable[[Entry], _T | None]
Readers: TypeAlias = Mapping[str, Callable[[Entry], Any]]
"""The entries that a part of the file may have, in the order in which messages list them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the file: names with values."""

    entry: Entry
    parts: Mapping[str, Entry]
    """What is written."""
    values: dict[str, Any]
    """What was understood of it; what is wrong is reported and left out."""

    def wrong(self, name: str, what: str, remedy: str) -> None:
        """Report a mistake at one of the parts."""
        self.parts[name].wrong(what, remedy)

    def some(self, *names: str) -> dict[str, Any]:
        """Those of the values that have one of these names."""
        return {name: value for name, value in self.values.items() if name in names}

    def exclusive(self, first: str, second: str) -> None:
        """Report if there are both of two names, or neither."""
        if first in self.parts and second in self.parts:
            self.wrong(second, f'there is also "{first}".', "Keep one of them.")
        elif first not in self.parts and second not in self.parts and self.entry.is_mapping:
            self.entry.wrong(f'"{first}" is missing.', f"Add {first} or {second}.")


def section(entry: Entry, readers: Readers, required: Sequence[str] = ()) -> Section:
    """A part of the file, each of its values read by the reader of its name."""
    parts = entry.mapping(tuple(readers), required)
    read = {name: readers[name](part) for name, part in parts.items()}
    known = {name: value for name, value in read.items() if value is not None}
    return Section(entry=entry, parts=parts, values=known)


def sections(
    entries: Iterable[Entry], readers: Readers, what: str, required: Sequence[str] = ("name",)
) -> list[Section]:
    """Parts of one kind; a name that two of them bear is reported."""
    found = [section(each, readers, required) for each in entries]
    report_repeated([(s.values["name"], s.entry) for s in found if "name" in s.values], what)
    return found


def record(make: Callable[..., _T], readers: Readers) -> Callable[[Entry], _T]:
    """A reader of a record whose fields may all be absent."""
    return lambda entry: make(**section(entry, readers).values)


def itself(entry: Entry) -> Entry:
    """The entry, to be read later."""
    return entry


def whole(minimum: int) -> Reader[int]:
    """A reader of whole numbers."""
    return lambda entry: entry.whole(minimum=minimum)


def number(*, above: float | None = None, least: float | None = None) -> Reader[float]:
    """A reader of numbers."""
    return lambda entry: entry.number(above=above, minimum=least)


def fraction(entry: Entry) -> float | None:
    """A number from 0 to 1."""
    return entry.number(minimum=0, maximum=1)


def zero_is_unknown(read: Reader[_T]) -> Reader[_T]:
    """A reader to which 0 means that nothing is known."""
    return lambda entry: read(entry) or None


def one_of(kind: type[_E]) -> Reader[_E]:
    """A reader of the words of a closed set."""

    def read(entry: Entry) -> _E | None:
        word = entry.word(tuple(kind))
        return None if word is None else kind(word)

    return read


def many(read: Reader[_T]) -> Callable[[Entry], tuple[_T, ...]]:
    """A reader of lists with at least one member."""
    return lambda entry: tuple(
        value for each in entry.members() if (value := read(each)) is not None
    )


def by_amount(examples: Sequence[int], read: Reader[_T]) -> Reader[dict[int, _T]]:
    """A reader of a value for each amount of data: one for all, or names that are amounts."""

    def all_of(entry: Entry) -> dict[int, _T] | None:
        if entry.is_mapping:
            return _each_amount(entry, examples, read)
        value = read(entry)
        return None if value is None else dict.fromkeys(examples, value)

    return all_of


def _each_amount(entry: Entry, examples: Sequence[int], read: Reader[_T]) -> dict[int, _T] | None:
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


def chance(entry: Entry) -> dict[str, float]:
    """Chance levels by metric; one number stands under the name ""."""
    each = dict(entry.pairs()) if entry.is_mapping else {"": entry}
    read = {name: part.number() for name, part in each.items()}
    return {name: value for name, value in read.items() if value is not None}


def report_repeated(named: Iterable[tuple[str, Entry]], what: str) -> None:
    """Report each name that stands for two things."""
    first: dict[str, int] = {}
    for name, entry in named:
        if name in first:
            entry.wrong(
                f'there are two {what} called "{name}" (the first in line {first[name]}).',
                "Rename one, or remove it.",
            )
        first.setdefault(name, entry.line)

"""Everything emergecast raises on purpose.

    EmergecastError
    ├── TableError        a table, or a file to import, holds bad rows; lists every problem at once
    ├── SelectionError    the rows asked for do not make one fit (no such task, mixed tokenizers)
    ├── OptionError       an option or a prior has an impossible value
    ├── FitError          no estimate exists for these rows
    ├── ScalingError      a scaling law cannot do what was asked, or no law can be fitted
    ├── RecordError       a file of results is not what its name says
    ├── FrozenError       a frozen forecast was edited, cannot be read, or is there already
    └── LabError          a checkpoint, task, corpus or experiment cannot be used, or a run failed
        ├── ExperimentError   an experiment cannot be run; lists every problem at once
        └── LedgerError       the file of results cannot be read or written

A message says what happened, the value seen, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

SHOWN: Final = 8
"""Names that a message lists at most."""

FEW: Final = 3
"""Names that stand for many."""


def alike(name: str, names: Iterable[str], *, least: float = 0.6) -> tuple[str, ...]:
    """The names most like `name`, all of those that are equally so; capitals do not matter.

    None where no name is as much as `least` alike, of 0 to 1, where 1 is the same.
    """
    from difflib import SequenceMatcher  # most runs make no mistake

    found: list[str] = []
    matcher = SequenceMatcher(None, "", name.casefold(), autojunk=False)
    for each in dict.fromkeys(names):
        matcher.set_seq1(each.casefold())
        if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
            continue
        ratio = matcher.ratio()
        if ratio > least or (ratio == least and not found):
            found, least = [each], ratio
        elif ratio == least:
            found.append(each)
    return tuple(found)


def nearest(name: str, names: Iterable[str], *, least: float = 0.6) -> str | None:
    """The first of the names most like `name`; None where none is alike enough."""
    return next(iter(alike(name, names, least=least)), None)


def meant(name: str, names: Iterable[str], *, least: float = 0.6) -> str:
    """A question that suggests the names most like `name`; empty where none is alike enough."""
    found = alike(name, names, least=least)
    if not found:
        return ""
    quoted = [f'"{each}"' for each in found[:SHOWN]]
    quoted += [f"one of {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    *most, last = quoted
    return f"Did you mean {', '.join(most)} or {last}?" if most else f"Did you mean {last}?"


def near(name: str, names: Sequence[str]) -> str:
    """A sentence that suggests the names most like `name`, or lists those there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return meant(name, names) or f"There are: {', '.join(names[:SHOWN])}{more}."


_QUOTED: Final = re.compile(r'"[^"]*"')


def said_once(named: Iterable[tuple[str, str]]) -> list[tuple[str, tuple[str, ...]]]:
    """Texts that differ in nothing but what they quote, once each, with the names of all of them.

    Args:
        named: Of each text whose it is, and the text.

    Returns:
        The first text of each kind, and the names in their order.
    """
    kinds: dict[str, tuple[str, list[str]]] = {}
    for name, text in named:
        kinds.setdefault(_QUOTED.sub('""', text), (text, []))[1].append(name)
    return [(text, tuple(names)) for text, names in kinds.values()]


def others(names: Sequence[str]) -> str:
    """A sentence that says of whom else a text is true; empty where there is nobody."""
    if not names:
        return ""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    shown = ", ".join(f'"{name}"' for name in names[:FEW])
    return f"The same goes for {len(names):,} more: {shown}{more}."


T = TypeVar("T")


def given(value: T | None, kind: type[T], name: str) -> T:
    """Options as they were given, or their defaults where nothing was.

    Raises:
        OptionError: they are something else.
    """
    if value is not None and not isinstance(value, kind):
        raise OptionError(f"{name} takes {kind.__name__}(...), not {value!r}.")
    return kind() if value is None else value


class EmergecastError(Exception):
    """Base of every error that emergecast raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input, and what to do about it."""

    file: str
    """The file as the user named it, or "<table>" for a table in memory."""
    row: int | None
    """1-based data row (the header does not count); None where the file or column is meant."""
    column: str | None
    """Column name; None where the whole row or file is meant."""
    value: str | None
    """The offending value, as text; None where there is none to quote."""
    what: str
    """What is wrong, in one sentence."""
    remedy: str
    """What to do, in one sentence."""
    line: int | None = None
    """1-based line of the file, as an editor counts; None where it is not known."""

    @property
    def place(self) -> str:
        """File, line, row and column, as far as they are known."""
        where = self.file if self.line is None else f"{self.file}, line {self.line}"
        if self.row is not None:
            where += f", row {self.row}"
        return where if self.column is None else f"{where}, column {self.column}"

    def __str__(self) -> str:
        seen = f" (value {self.value})" if self.value is not None else ""
        return f"{self.place}: {self.what}{seen} {self.remedy}"


class TableError(EmergecastError):
    """A table or an imported file is unusable; `problems` holds all of them."""

    def __init__(self, problems: tuple[Problem, ...] | list[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(head + ":\n" + "\n".join(f"  {p}" for p in self.problems))


class SelectionError(EmergecastError):
    """The rows asked for do not make one fit."""


class OptionError(EmergecastError):
    """An option or a prior has an impossible value."""


class FitError(EmergecastError):
    """No estimate exists for these rows."""


class ScalingError(EmergecastError):
    """A scaling law cannot do what was asked, or no law can be fitted."""


class RecordError(EmergecastError):
    """A file of results lacks keys, or holds what cannot be right."""


class FrozenError(EmergecastError):
    """A frozen forecast was edited, cannot be read, or would be overwritten."""


class LabError(EmergecastError):
    """A checkpoint, task, corpus or experiment cannot be used, or a run of it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with an experiment, and what to do about it."""

    file: str
    """The experiment file as the user named it."""
    line: int | None
    """1-based line; None where the file as a whole is meant."""
    text: str | None
    """That line, without its indentation; None as above."""
    where: str | None
    """Path of the entry, like "tasks[0].chance"; None where the file as a whole is meant."""
    what: str
    """What is wrong and the value seen, in one sentence."""
    remedy: str
    """What to do, in one sentence."""

    @property
    def place(self) -> str:
        """File and line."""
        return self.file if self.line is None else f"{self.file}, line {self.line}"

    def __str__(self) -> str:
        entry = "" if self.where is None else f"{self.where}: "
        quoted = "" if self.text is None else f"\n    | {self.text}"
        return f"{self.place}: {entry}{self.what} {self.remedy}".rstrip() + quoted


class ExperimentError(LabError):
    """An experiment cannot be run as it is described; `problems` holds all reasons."""

    def __init__(self, problems: tuple[Mistake, ...] | list[Mistake]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(head + ":\n" + "\n".join(f"  {p}" for p in self.problems))


class LedgerError(LabError):
    """The file of results cannot be read or written."""

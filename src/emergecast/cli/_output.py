"""What every command does with its result: lines of one width, progress, files, JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import typer

from emergecast.cli._failures import BAD_INPUT, message_of
from emergecast.cli._terminal import spelled
from emergecast.cli._wrap import on_stderr
from emergecast.errors import EmergecastError

if TYPE_CHECKING:
    from pathlib import Path

BETWEEN_LINES: Final = 20.0
"""Seconds between two lines of progress where there is no terminal."""
FOLDERS_SHOWN: Final = 6
"""Folders that the last line names at most."""


def say(text: str) -> None:
    """What is going on, or went wrong, beside the results."""
    print(spelled(on_stderr(text)), file=sys.stderr)  # a bar takes the place of the safe stream


class OnProgress(Protocol):
    """Moves a bar: how much is done, of how much, and what is being done."""

    def __call__(self, done: float, total: float | None = None, what: str | None = None) -> None:
        """Where `total` or `what` is None they stay as they are."""


@contextmanager
def progress(what: str, total: float | None = None) -> Iterator[OnProgress]:
    """A progress bar on standard error; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.markup import escape
    from rich.progress import Progress

    from emergecast.cli._console import SafeConsole

    with Progress(console=SafeConsole(), transient=True) as bar:
        task = bar.add_task(escape(what), total=total)

        def move(done: float, total: float | None = None, what: str | None = None) -> None:
            description = None if what is None else escape(what)
            bar.update(task, completed=done, total=total, description=description)

        yield move


class _Lines:
    """Progress as lines, the first after a while."""

    def __init__(self, what: str, total: float | None) -> None:
        self._what, self._total, self._said = what, total, time.monotonic()

    def __call__(self, done: float, total: float | None = None, what: str | None = None) -> None:
        self._what, self._total = what or self._what, total or self._total
        if time.monotonic() - self._said >= BETWEEN_LINES:
            self._said = time.monotonic()
            of = f" of {self._total:g}" if self._total else ""
            say(f"{self._what}: {done:g}{of}")


def deliver(
    record: dict[str, Any],
    text: Callable[[], str],
    write: Callable[[], list[Path]] | None = None,
    *,
    as_json: bool,
) -> None:
    """Write the files, and print the result whether or not that worked.

    Args:
        record: the result as JSON holds it.
        text: makes the result for a person to read.
        write: writes the files and says which; None where no folder is given.
        as_json: print the record instead of the text; `not_written` in it says what went wrong.

    Raises:
        Exit: with status 2 where the files could not be written.
    """
    written: list[Path] = []
    failure: str | None = None
    try:
        written = [] if write is None else write()
    except (EmergecastError, OSError) as error:
        failure = message_of(error)
        record = {**record, "not_written": failure}
    if as_json:
        print(as_text(record), end="")
    else:
        print(text())
        if written:
            print(f"\n{wrote(written)}")
    if failure is not None:
        say(f"emergecast: {failure}")
        raise typer.Exit(BAD_INPUT)


def as_text(record: Any) -> str:  # noqa: ANN401  anything that JSON holds
    """A record as the text of a JSON file; a list of numbers or words takes one line."""
    text = json.dumps(record, indent=2, allow_nan=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


_PLAIN: Final = r'(?:-?\d[\d.eE+-]*|null|true|false|"[^"\\\s]*")'
_NUMBERS: Final = re.compile(rf"\[\n\s+((?:{_PLAIN},?\s+)+)\]")
"""A list of numbers or words over several lines. No string of JSON holds a line break."""


def wrote(paths: list[Path]) -> str:
    """What was written where, in a sentence."""
    names = ", ".join(sorted({path.name for path in paths}))
    folders = list(dict.fromkeys(map(str, (path.parent for path in paths))))
    rest = len(folders) - FOLDERS_SHOWN
    where = ", ".join(folders[:FOLDERS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    return f"Wrote {names} to {where}"


def folder_names(names: list[str]) -> list[str]:
    """Names that every file system takes, no two of them the same."""
    folders: list[str] = []
    for name in names:
        kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        kept = folder = kept.strip(".-") or "forecast"
        taken = {other.lower() for other in folders}
        number = 1
        while folder.lower() in taken:
            number += 1
            folder = f"{kept}-{number}"
        folders.append(folder)
    return folders

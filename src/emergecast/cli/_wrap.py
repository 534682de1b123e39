"""Text as lines of one width, in which no name, path, command or quoted line is broken."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 100
"""Characters of a line of prose."""
_KEPT: Final = "\x1f"
"""Stands for a space that no line may end at; no text that reaches a terminal holds it."""
_WHOLE: Final = re.compile(r'"[^"]*"|\bemergecast [a-z-]+ [^ ]+')
"""What stands in quotes, and the begin of a command with its file."""


def wrapped(text: str, indent: str = "", *, first: str = "") -> list[str]:
    """A text as lines; those after the first are indented by `indent`."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def folded(message: str, *, whole: Iterable[str] = ()) -> str:
    """A message whose long lines are wrapped, each under its own indentation.

    What stands in double quotes is not broken, nor is a command before its options, or a line that
    a file is quoted by (`| ...`).

    Args:
        message: Of one line or several.
        whole: Names without quotes that are not broken either.
    """
    names = [name for name in whole if " " in name]
    return "\n".join(line for each in message.split("\n") for line in _lines(each, names))


def on_stderr(message: str, *, whole: Iterable[str] = ()) -> str:
    """`folded` where a person watches; as it is in a file or a pipe, where it is searched."""
    return folded(message, whole=whole) if sys.stderr.isatty() else message


def _lines(line: str, names: list[str]) -> list[str]:
    text = line.lstrip(" ")
    if len(line) <= WIDTH or text.startswith("|"):
        return [line]
    indent = " " * (len(line) - len(text))
    for name in names:
        text = text.replace(name, name.replace(" ", _KEPT))
    text = _WHOLE.sub(lambda found: found[0].replace(" ", _KEPT), text)
    return [each.replace(_KEPT, " ") for each in wrapped(text, f"{indent}  ", first=indent)]

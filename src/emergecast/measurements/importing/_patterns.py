"""Path patterns: literal parts and named fields, as in `tuned/{checkpoint}/step_{step}.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from emergecast.errors import OptionError
from emergecast.measurements._schema import COLUMNS, Role

_TOKEN: Final = re.compile(r"\{([^{}]*)\}|(\*\*/|\*)|([^{}*]+)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE_SAYS: Final = frozenset({Role.MEASURED, Role.REFERENCE, Role.SOURCE})
STEP: Final = "step"
"""Field that is not a column: optimiser steps of a finetuning run."""
PRETRAIN_STEP: Final = "pretrain_step"
"""Field that is not a column: optimiser steps of the pretraining that made the checkpoint."""
_ANY: Final = "_any"
"""How the groups of stars are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One compiled pattern."""

    text: str
    regex: re.Pattern[str]
    fields: tuple[str, ...]
    """Named fields in the order of first appearance."""

    def match(self, path: str) -> dict[str, str] | None:
        """The value of each field in `path` (relative, parts split by /), or None for no match."""
        found = self.regex.fullmatch(path)
        return None if found is None else {name: found[name] for name in self.fields}

    def unnamed(self, path: str) -> tuple[str, ...]:
        """The parts of a path that matches which stand in place of a star."""
        found = self.regex.fullmatch(path)
        stars = {} if found is None else found.groupdict()
        texts = (text for name, text in stars.items() if name.startswith(_ANY))
        return tuple(part for text in texts for part in text.split("/") if part)


def compile_pattern(text: str) -> Pattern:
    """The pattern that `text` spells.

    A field `{name}` and a `*` match within one part of the path, `**/` any number of whole parts;
    everything else is literal. A field that occurs twice must have the same value in both places.

    Raises:
        OptionError: a brace is not closed, a field has no proper name or names something that the
        file itself says,
            or the pattern names no checkpoint.
    """
    body = text.removeprefix("./")
    if not body or body.startswith("/"):
        raise OptionError(
            f'the pattern "{text}" must be relative to the folder that is imported,'
            " without a leading slash."
        )
    expression, fields, end, stars = "", dict[str, None](), 0, 0
    for token in _TOKEN.finditer(body):
        if token.start() != end:
            break
        end = token.end()
        name, star, literal = token.groups()
        if name is not None:
            _check_name(name, text)
            expression += f"(?P={name})" if name in fields else f"(?P<{name}>[^/]+)"
            fields[name] = None
        elif star is not None:
            stars += 1
            within = "(?:[^/]+/)*" if star == "**/" else "[^/]*"
            expression += f"(?P<{_ANY}{stars}>{within})"
        else:
            expression += re.escape(literal)
    if end != len(body):
        raise OptionError(
            f'the pattern "{text}" has a brace without its partner at character {end}.'
        )
    if "checkpoint" not in fields:
        raise OptionError(
            f'the pattern "{text}" does not say where the checkpoint stands.'
            " Add a field {checkpoint}."
        )
    return Pattern(text=text, regex=re.compile(expression), fields=tuple(fields))


def _check_name(name: str, text: str) -> None:
    if not _NAME.fullmatch(name):
        raise OptionError(
            f'the field {{{name}}} of the pattern "{text}" has no proper name. Use letters, digits'
            " and underscores, or * for a part that does not matter."
        )
    column = COLUMNS.get(name)
    if name.startswith(_ANY):
        raise OptionError(f"the field {{{name}}} has a name that is taken. Choose another.")
    if column is not None and (column.role in _FILE_SAYS or name == "metric"):
        raise OptionError(
            f'the pattern "{text}" names {{{name}}}, which the result file itself says.'
            " Use * there."
        )

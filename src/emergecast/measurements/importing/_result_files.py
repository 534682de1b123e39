"""Which files of a folder are imported: those that match a pattern."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from emergecast.errors import OptionError
from emergecast.measurements.importing._import_options import ImportOptions, Source
from emergecast.measurements.importing._patterns import STEP, Pattern, compile_pattern

OWN_LAYOUT: Final = "**/{checkpoint}/results_*.json"
"""Where the harness itself writes: a folder per model, a file per evaluation."""


def patterns_of(options: ImportOptions) -> list[Pattern]:
    """The compiled patterns.

    Raises:
        OptionError: a pattern or a count is impossible, or steps have no batch size.
    """
    for name, value in (
        ("--batch-size", options.batch_size),
        ("--train-size", options.train_size),
        ("--tokens-per-step", options.tokens_per_step),
    ):
        if value is not None and value < 1:
            raise OptionError(f"{name} {value} is not a count. Give a whole number of at least 1.")
    patterns = [compile_pattern(text) for text in options.patterns or (OWN_LAYOUT,)]
    for pattern in patterns:
        steps_only = STEP in pattern.fields and "examples" not in pattern.fields
        if steps_only and options.batch_size is None:
            raise OptionError(
                f'the pattern "{pattern.text}" has steps, and nothing says how many examples'
                " a step is. Give --batch-size; or, if these are steps of pretraining, write"
                " {pretrain_step} and give --tokens-per-step."
            )
    return patterns


def sources_of(
    paths: Sequence[str | os.PathLike[str]], patterns: Sequence[Pattern], options: ImportOptions
) -> tuple[list[Source], list[str]]:
    """The files that match, each with its fields, and the names of those that do not.

    Raises:
        OptionError: a folder is not there, or nothing matches.
    """
    sources: list[Source] = []
    unmatched: list[str] = []
    own = None if options.checkpoints is None else Path(options.checkpoints)
    for root in map(Path, paths):
        if not root.exists():
            raise OptionError(
                f'there is no folder "{root}". Check the path and the working folder.'
            )
        for path in _files(root):
            name = path.relative_to(root if root.is_dir() else root.parent).as_posix()
            source = _source(path, name, patterns)
            if source is not None:
                sources.append(source)
            elif own is None or not (own.exists() and path.samefile(own)):
                unmatched.append(name)
    if not sources:
        seen = (
            f" It holds {len(unmatched)} files, such as {unmatched[0]}."
            if unmatched
            else " It is empty."
        )
        raise OptionError(
            "no file matches "
            + " or ".join(f'"{p.text}"' for p in patterns)
            + f".{seen}{_tool_of(unmatched)} {'Correct' if options.patterns else 'Give'} --pattern."
        )
    return sources, unmatched


def _tool_of(names: Sequence[str]) -> str:
    """A sentence where the files are of a tool whose results are not read."""
    for ending, tool in (
        (".eval", "logs of inspect"),
        ("-metrics.json", "files of OLMES"),
        ("/metrics.json", "files of OLMES"),
    ):
        if any(f"/{name}".endswith(ending) for name in names):
            return f" Some look like {tool}, which are not read."
    return ""


def _source(path: Path, name: str, patterns: Sequence[Pattern]) -> Source | None:
    for pattern in patterns:
        fields = pattern.match(name)
        if fields is not None:
            return Source(path=path, name=name, fields=fields, unnamed=pattern.unnamed(name))
    return None


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)

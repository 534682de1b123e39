"""Options that belong to no record, and how a few fields are written on a command line."""

from __future__ import annotations

import os
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from emergecast.cli._from_records import OptionForm, pair
from emergecast.errors import OptionError

TableArgument = Annotated[Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table.")]
TasksOption = Annotated[
    list[str] | None,
    typer.Option("--task", metavar="NAME", help="Name of a task; default: all. Repeatable."),
]
ChanceOption = Annotated[
    float | None,
    typer.Option(
        "--chance", metavar="NUMBER", help="Chance level of the rows that state none, e.g. 0.25."
    ),
]
LossFromOption = Annotated[
    str | None,
    typer.Option(
        "--loss-from",
        metavar="hoffmann|epoch",
        help="Estimate a missing loss from params and tokens with these published constants.",
    ),
]


def out_folder(text: str) -> Any:  # noqa: ANN401  typer's own type of an option
    """The option of a folder for results, which is tested before any work begins."""
    return typer.Option("-o", "--out", metavar="FOLDER", help=text, callback=_can_be_written)


def out_file(text: str) -> Any:  # noqa: ANN401  typer's own type of an option
    """The option of a file for results, whose folder is tested before any work begins."""
    return typer.Option("-o", "--out", help=text, callback=_has_a_folder)


def _can_be_written(folder: Path | None) -> Path | None:
    """The folder of an option, unless it could not be made or written to."""
    if folder is None:
        return None
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise OptionError(f'-o: "{there}" is a file, not a folder. Choose another folder.')
    if not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(f'-o: nothing can be written to "{there}". Choose another folder.')
    return folder


def _has_a_folder(file: Path | None) -> Path | None:
    """The file of an option, unless it could not be written."""
    if file is not None:
        if file.is_dir():
            raise OptionError(f'-o: "{file}" is a folder. Name a file in it.')
        _can_be_written(file.parent)
    return file


OutOption = Annotated[
    Path | None, out_folder("Folder for forecast.json and the pictures (SVG, PNG).")
]
RawOption = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Leave text in a CSV as it is where a spreadsheet would run it as a formula.",
    ),
]
DigestOption = Annotated[
    bool,
    typer.Option(
        "--digest", help="Write the SHA-256 of the table to a file beside it, checked on reading."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _fields(room: str, record: str) -> list[str]:
    """Names of a record's fields; its room takes long to import, so only for who needs it."""
    return [each.name for each in fields(getattr(import_module(f"emergecast.{room}"), record))]


FORMS: Final = {
    "where": OptionForm(
        metavar="COLUMN=VALUE", read=lambda texts: tuple(pair(text, "--where") for text in texts)
    ),
    "exclude": OptionForm(metavar="CHECKPOINT"),
    "lower_is_better": OptionForm(flag="--lower-is-better/--higher-is-better"),
    "axis": OptionForm(metavar="NAME[:higher|lower][:log10|linear]"),
    "shift": OptionForm(metavar="NAME[:log10|linear][:xNUMBER]"),
    "law": OptionForm(metavar="LAW"),
    "laws": OptionForm(metavar="LAW"),
    "weights": OptionForm(metavar="fixed|stacking"),
    "priors": OptionForm(flag="--prior", names=lambda: _fields("inference", "Priors")),
    "rules": OptionForm(flag="--threshold", names=lambda: _fields("forecasts", "Thresholds")),
    "horizons": OptionForm(flag="--horizon", metavar="LOSS"),
    "rungs": OptionForm(least=1),
    "runs": OptionForm(least=1),
    "methods": OptionForm(flag="--method"),
    "cells": OptionForm(flag="--cell"),
    "tables": OptionForm(least=1),
    "most": OptionForm(least=1),
    "flops_per_second": OptionForm(flag="--gpu-flops"),
    "diagnostics": OptionForm(flag="--diagnostics/--no-diagnostics"),
    "bootstraps": OptionForm(flag="--bootstrap", least=0),
    "tokens_per_param": OptionForm(metavar="R"),
    "token_budget": OptionForm(metavar="T"),
    "model_size": OptionForm(metavar="N"),
    "scaling_law": OptionForm(metavar="own|NAME|FILE.json|CONSTANTS"),
    "compute_by_date": OptionForm(metavar="FILE.csv"),
    "at_model": OptionForm(metavar="N,T"),
    "at_flops": OptionForm(metavar="C"),
    "starts": OptionForm(least=1),
    "context": OptionForm(least=1),
    "batch_tokens": OptionForm(least=1),
    "first_token": OptionForm(metavar="tokenizer|bos|none"),
    "drop_highest": OptionForm(least=0),
}
"""By field. A field that is not here is written as it is named and typed."""

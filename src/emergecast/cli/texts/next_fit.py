"""The command that goes on from a table: one that works on the rows that are there."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any, Final

import polars as pl

from emergecast.errors import SelectionError
from emergecast.measurements import Measurements, Setting
from emergecast.measurements.selecting import SelectOptions, fits_of, select

_CHOICES: Final = {
    "method": "--method",
    "loss_corpus": "--loss-corpus",
    "metric": "--metric",
    "shots": "--shots",
}
"""Columns of which a fit takes one value; the finetuned rows have methods, the others shots."""


def next_command(table: Measurements, out: str) -> str:
    """`emergecast fit` with the choices that the rows ask for; `emergecast check` where none fits.

    Where there are several values of something, the first one of the table is taken.
    """
    for task in table.tasks:
        options = SelectOptions(task=task)
        for column in ("", *_CHOICES):
            if column:
                first: Any = _first(table, task, column)
                options = options if first is None else replace(options, **{column: first})
            if _can_be_fitted(table, options):
                return _as_typed(options, out)
    return f"emergecast check {shlex.quote(out)}"


def _first(table: Measurements, task: str, column: str) -> object:
    """The first value of a column, where there are several; else None."""
    rows = table.frame.filter(pl.col("task") == task)
    if column in {"method", "shots"}:
        setting = Setting.FINETUNED if column == "method" else Setting.FEW_SHOT
        rows = rows.filter(pl.col("setting") == setting.value)
    values = rows[column].drop_nulls().unique(maintain_order=True).to_list()
    return values[0] if len(values) > 1 else None


def _can_be_fitted(table: Measurements, options: SelectOptions) -> bool:
    """Whether there are finetuned rows of checkpoints of several losses, in each series."""
    try:
        found = [select(table, each).rows for each in fits_of(table, options)]
    except SelectionError:
        return False
    return bool(found) and all(
        not rows["few_shot"].all() and rows["loss"].n_unique() > 1 for rows in found
    )


def _as_typed(options: SelectOptions, out: str) -> str:
    words = ["emergecast", "fit", out]
    for name, flag in {"task": "--task", **_CHOICES}.items():
        value = getattr(options, name)
        if value is not None:
            text = str(value)
            words += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return shlex.join(words)

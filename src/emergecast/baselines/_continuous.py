"""The continuous metrics of a task beside the score that is forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from emergecast.errors import SelectionError
from emergecast.measurements import MetricKind, metric_of, select

if TYPE_CHECKING:
    from emergecast.measurements import Measurements, Selection, SelectOptions

_KEY = ["series", "checkpoint", "loss", "flops", "few_shot", "examples", "subset", "seed"]


def continuous_metrics(
    table: Measurements, rows: SelectOptions, selection: Selection
) -> dict[str, pl.DataFrame]:
    """Every continuous metric of the task of a fit, beside its scores; by name.

    Columns: loss, flops (null where not stated), few_shot, continuous (higher is better) and score.
    A metric whose rows do not make one fit, for instance for lack of a chance level, is left out.

    Args:
        table: holds the rows of the fit.
        rows: the options that picked them.
        selection: what they picked.
    """
    frame = table.frame.filter(pl.col("task") == selection.task)
    named = [
        name
        for name in frame["metric"].unique().sort()
        if name != selection.metric and metric_of(name).kind is MetricKind.CONTINUOUS
    ]
    own = _means(selection, "score")
    found = {}
    for name in named:
        try:
            other = select(table, replace(rows, metric=name, lower_is_better=None))
        except SelectionError:
            continue
        joined = own.join(_means(other, "continuous"), on=[*_KEY, "snapshot"], nulls_equal=True)
        if not joined.is_empty():
            wanted = ["loss", "flops", "few_shot", "continuous", "score"]
            found[name] = joined.sort(*_KEY, "snapshot").select(wanted)
    return found


def _means(selection: Selection, column: str) -> pl.DataFrame:
    """The mean score of each cell of the design."""
    grouped = selection.rows.group_by([*_KEY, "snapshot"])
    return grouped.agg(pl.col("score").mean().alias(column))

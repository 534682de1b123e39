"""What a run costs: finetuning a checkpoint and evaluating it, in FLOPs and GPU-hours."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.errors import OptionError, Problem, TableError
from emergecast.scaling import (
    FLOPS_PER_PARAM_AND_TOKEN,
    FORWARD_FLOPS_PER_PARAM_AND_TOKEN,
    GPU_FLOPS_PER_SECOND,
)

if TYPE_CHECKING:
    from emergecast.measurements import Measurements

HOURS = "gpu_hours"
"""Column of a table that says what its finetuned rows took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How long a run takes on one GPU.

        FLOPs = 6 N tokens_per_example examples epochs + 2 N tokens_per_item n_items
        hours = FLOPs / (3600 flops_per_second) + overhead_hours

    with N the parameters of the checkpoint; a few-shot run has the second term alone. Counting
    rule: Kaplan et al. 2020, arXiv 2001.08361, section 2.1, attention and embeddings not apart.
    """

    tokens_per_example: float = 512.0
    """Tokens of one finetuning example."""
    epochs: float = 3.0
    """Passes over the examples."""
    tokens_per_item: float = 512.0
    """Tokens of one test item, with the examples in its prompt."""
    flops_per_second: float | None = None
    """FLOP/s that one GPU really does. Default: measured on the rows of the table that have
    gpu_hours; else what an H100 did in bf16, a quarter of its peak."""
    overhead_hours: float = 0.05
    """Loading, compiling and saving, for each run, GPU-hours."""
    measured_on: int = 0
    """Rows of the table that `flops_per_second` was measured on; 0 where it was not."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            lowest = field.name in {"overhead_hours", "measured_on"}
            if not (math.isfinite(value) and (value > 0 or (lowest and value == 0))):
                bound = "at least 0" if lowest else "above 0"
                raise OptionError(f"cost: {field.name} must be {bound}, not {value:g}.")

    def flops(self, params: float, examples: float | None, n_items: float) -> float:
        """FLOPs of a run; `examples` is None where it is few-shot."""
        trained = (examples or 0.0) * self.epochs * self.tokens_per_example
        looked_at = FORWARD_FLOPS_PER_PARAM_AND_TOKEN * n_items * self.tokens_per_item
        return params * (FLOPS_PER_PARAM_AND_TOKEN * trained + looked_at)

    @property
    def rate(self) -> float:
        """FLOP/s of one GPU."""
        return self.flops_per_second or GPU_FLOPS_PER_SECOND

    def hours(self, params: float, examples: float | None, n_items: float) -> float:
        """GPU-hours of a run."""
        spent = self.flops(params, examples, n_items)
        return spent / self.rate / 3600 + self.overhead_hours

    def measured(self, table: Measurements, n_items: float) -> Cost:
        """With the rate of the table's own runs, unless one is given.

        It takes a column `gpu_hours`. The rate is the median, over finetuned rows with params and
        hours above the overhead, of FLOPs over seconds beyond the overhead.

        Raises:
            TableError: a cell of the column is not a number above 0.
        """
        if self.flops_per_second is not None or HOURS not in table.frame.columns:
            return self
        frame = table.frame.with_columns(_hours(table).alias(HOURS))
        spent = frame.filter(
            (pl.col(HOURS) > self.overhead_hours)
            & pl.col("params").is_not_null()
            & pl.col("examples").is_not_null()
        )
        if spent.is_empty():
            return self
        own = spent.select("params", "examples", "n_items", HOURS).iter_rows()
        rates = [
            self.flops(params, examples, items or n_items) / (3600 * (hours - self.overhead_hours))
            for params, examples, items, hours in own
        ]
        return replace(self, flops_per_second=float(np.median(rates)), measured_on=len(rates))

    def as_dict(self) -> dict[str, Any]:
        """Name to value, for printing and for suggestion.json."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return found | {"flops_per_second": self.rate}


def _hours(table: Measurements) -> pl.Series:
    """The column `gpu_hours` as numbers; in a CSV file it may have been taken for text."""
    cells = table.frame[HOURS]
    hours = cells.cast(pl.Float64, strict=False)
    bad = cells.is_not_null() & (hours.is_null() | ~(hours > 0) | hours.is_infinite()).fill_null(
        value=True
    )
    problems = [
        Problem(
            file=table.name,
            row=row + 1,
            column=HOURS,
            value=str(cells[row]),
            what="these are not GPU-hours.",
            remedy="Give a number above 0, or leave the cell empty.",
        )
        for row in bad.arg_true().to_list()
    ]
    if problems:
        raise TableError(problems)
    return hours

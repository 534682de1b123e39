"""The horizon: which checkpoints are still at chance few-shot."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from emergecast.errors import SelectionError
from emergecast.measurements._metrics import MetricKind

CHANCE_MARGIN: Final = 0.02
"""How far above chance a score may lie, beyond its standard errors, and still be at chance."""
CHANCE_STDERRS: Final = 2
"""How many standard errors further."""
ABOVE_CHANCE: Final = f"chance + {CHANCE_MARGIN:g} + {CHANCE_STDERRS} stderr"
"""What a score above chance is above, in words."""
RESOLUTION: Final = 5e-4
"""Smallest sampling error, as a share of the metric's range: printed scores are rounded."""


def sampling_error(rows: pl.DataFrame, kind: MetricKind) -> NDArray[np.float64]:
    """Standard error of each score, shape (rows,), in units of score; 0 where nothing is known.

    The table's `stderr` where positive; else, for a proportion of n items, sqrt(p (1 - p) / n) with
    the smoothed p = (n y + 1) / (n + 2), so that a perfect score has an error too.
    """
    given = rows["stderr"].cast(pl.Float64).fill_null(0.0).to_numpy()
    if kind is not MetricKind.PROPORTION:
        return given
    n = rows["n_items"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    score = rows["score"].to_numpy()
    finite = np.isfinite(n)
    counted = np.where(finite, n, 1.0)
    p = (counted * score + 1.0) / (counted + 2.0)
    binomial = np.where(finite, np.sqrt(p * (1.0 - p) / counted), 0.0)
    return np.where(given > 0, given, binomial)


def above_chance(rows: pl.DataFrame, kind: MetricKind, chance: float) -> NDArray[np.bool_]:
    """Whether each score is above chance, shape (rows,).

        score - CHANCE_STDERRS stderr > chance + CHANCE_MARGIN

    Scores and `chance` are oriented: higher is better.
    """
    error = sampling_error(rows, kind)
    return np.asarray(rows["score"].to_numpy() - CHANCE_STDERRS * error > chance + CHANCE_MARGIN)


def horizon(rows: pl.DataFrame, kind: MetricKind, chance: float) -> float | None:
    """Highest loss (nats per token) that is above chance few-shot; None where none is.

    Raises:
        SelectionError: there is no few-shot row to judge by.
    """
    few_shot = rows.filter(pl.col("few_shot"))
    if few_shot.is_empty():
        raise SelectionError(
            "there are no few-shot rows, so nothing says which checkpoints are at chance."
            " Add few-shot scores, or hide checkpoints with --min-loss instead of --at-chance-only."
        )
    emerged = few_shot["loss"].to_numpy()[above_chance(few_shot, kind, chance)]
    return float(emerged.max()) if emerged.size else None

"""A fitted law as curves and points, for drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from emergecast.errors import ScalingError
from emergecast.scaling.counting import Resource, training_flops
from emergecast.scaling.fitting._curvature import robust_z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling.fitting._scaling_fit import ScalingFit

    Floats = NDArray[np.float64]

SIZES: Final = 6
"""Curves of one size."""
_NODES: Final = 80
_DRAWS: Final = 1000
_MARGIN: Final = 2.0
"""How far past the table's own FLOPs the curves of one size are drawn, as a factor."""
_BEYOND: Final = 10.0
"""How far past the largest run the law is drawn."""


def points_frame(fit: ScalingFit) -> pl.DataFrame:
    """One row for each point.

    Columns: row, amount (of `fit.axis`), params (null where the table has none), loss, residual
    (the point's ln L minus the law's), outlier.
    """
    params = fit.runs.params
    z = robust_z(fit.residuals)
    return pl.DataFrame(
        {
            "row": fit.runs.rows,
            "amount": fit.runs.given[fit.axis],
            "params": [None] * fit.runs.n if params is None else params,
            "loss": fit.runs.loss,
            "residual": -fit.residuals,
            "outlier": np.abs(z) > fit.options.outlier_z,
        },
        schema_overrides={"params": pl.Float64},
    )


def size_curves(fit: ScalingFit) -> pl.DataFrame:
    """Loss against FLOPs at a few sizes, over the tokens of the table: params, amount, loss.

    Empty for a law of one resource.
    """
    runs = fit.runs
    empty = pl.DataFrame(schema={"params": pl.Float64, "amount": pl.Float64, "loss": pl.Float64})
    if fit.form.of is not None or runs.params is None or runs.tokens is None:
        return empty
    flops = runs.given[Resource.FLOPS]
    frames = [empty]
    for size in np.geomspace(runs.params.min(), runs.params.max(), SIZES):
        tokens = np.geomspace(runs.tokens.min(), runs.tokens.max(), _NODES)
        amount = training_flops(size, tokens)
        seen = (amount >= flops.min() / _MARGIN) & (amount <= flops.max() * _MARGIN)
        loss = fit.law.loss_of({Resource.PARAMS: size, Resource.TOKENS: tokens})
        frames.append(
            pl.DataFrame(
                {
                    "params": np.full(int(seen.sum()), size),
                    "amount": amount[seen],
                    "loss": loss[seen],
                }
            )
        )
    return pl.concat(frames)


def law_curve(fit: ScalingFit) -> pl.DataFrame:
    """The law of one resource, or along the compute-optimal split: amount, loss, low, high.

    `low` and `high` are the 5 and 95% quantiles over the draws of the law. Empty where there is no
    compute-optimal split.
    """
    amounts = fit.runs.given[fit.axis]
    grid = np.geomspace(amounts.min(), amounts.max() * _BEYOND, _NODES)
    try:
        one, many = fit.law.frontier, fit.draws(_DRAWS).frontier
    except ScalingError:
        kinds = dict.fromkeys(("amount", "loss", "low", "high"), pl.Float64)
        return pl.DataFrame(schema=kinds)
    losses = np.array([many.loss(amount) for amount in grid])
    low, high = np.quantile(losses, [0.05, 0.95], axis=1)
    return pl.DataFrame({"amount": grid, "loss": one.loss(grid), "low": low, "high": high})

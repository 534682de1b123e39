"""Does loss alone tell the story? Residuals of checkpoints against size, overtraining, series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from emergecast.diagnostics._influence import checkpoint_names
from emergecast.inference import SEED
from emergecast.records import Count, Probability, Some

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference import Draws, Fit

    Floats = NDArray[np.float64]

Trait: TypeAlias = Literal["params", "overtraining", "series"]
PERMUTATIONS = 2000
FEWEST = 5
"""Checkpoints past an elbow that a trend takes."""
OWN_SHARE = 0.02
"""Least share of a trait's variance that loss does not explain, for a trend to be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How far the scores of a checkpoint past their elbows lie from the law, on average."""

    checkpoint: str
    """Its name."""
    loss: float
    """Internal loss; a value of the axis in forecast.json."""
    n_rows: Some
    """Rows past their elbow."""
    residual: float
    """Weighted mean of score minus law, without the deviation of the checkpoint."""
    stderr: float
    """Of that mean, from sampling and run-to-run noise."""
    params: float | None
    """Parameters; None where not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Residuals against one trait of the checkpoints."""

    trait: Trait
    """params, overtraining (tokens per parameter) or series."""
    slope: float
    """Score per tenfold of the trait at equal loss; for series, the largest difference of means."""
    stderr: float | None
    """None for series."""
    p: Probability
    """Share of permutations of the checkpoints with as strong a trend."""
    shift: float
    """What the trend over the whole range of the trait is worth at the elbow, nats."""
    n: Count
    """Checkpoints."""


def residuals(fit: Fit, draws: Draws) -> tuple[tuple[Residual, ...], tuple[Trend, ...]]:
    """One residual a checkpoint that has rows past their elbow, and its trends."""
    data, rows = fit.data, fit.selection.rows
    gap = data.score - np.mean(draws.expected(data, series=False), axis=0)
    variance = np.median(draws.variance(data), axis=0)
    past = np.mean(draws.elbows[:, data.level] > data.loss, axis=0) > 0.5
    traits = _traits(fit)
    names = checkpoint_names(fit)
    found, at = [], []
    for checkpoint in np.unique(data.checkpoint[past]):
        own = np.flatnonzero(past & (data.checkpoint == checkpoint))
        weight = 1 / variance[own]
        params = rows["params"][int(own[0])]
        found.append(
            Residual(
                checkpoint=names[int(checkpoint)],
                loss=float(data.loss[own[0]]),
                n_rows=own.size,
                residual=float(np.average(gap[own], weights=weight)),
                stderr=float(1 / np.sqrt(weight.sum())),
                params=None if params is None else float(params),
            )
        )
        at.append(own[0])
    if len(found) < FEWEST:
        return tuple(found), ()
    mean = np.array([each.residual for each in found])
    loss, slope = data.loss[at], float(np.median(draws.slope))
    trends = [
        trend
        for trait, values in traits.items()
        if (trend := _trend(trait, values[at], loss, mean, slope)) is not None
    ]
    if data.n_series > 1:
        trends += _by_series(data.series[at], mean, slope)
    return tuple(found), tuple(sorted(trends, key=lambda trend: trend.p))


def _traits(fit: Fit) -> dict[Trait, Floats]:
    """Log10 of params, and of tokens per parameter, of every row; nan where not known."""
    rows = fit.selection.rows
    params, tokens = (
        rows[name].cast(float).fill_null(np.nan).to_numpy() for name in ("params", "tokens")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"params": np.log10(params), "overtraining": np.log10(tokens / params)}


def _trend(trait: Trait, values: Floats, loss: Floats, mean: Floats, slope: float) -> Trend | None:
    """Least squares of the residuals on a trait at equal loss; None where that cannot be told."""
    known = np.isfinite(values)
    n = int(known.sum())
    if n < FEWEST or np.ptp(values[known]) == 0:
        return None
    values, loss, mean = values[known], loss[known], mean[known]
    base = np.column_stack([np.ones(n), loss])
    own, rest = (
        part - base @ np.linalg.lstsq(base, part, rcond=None)[0] for part in (values, mean)
    )
    square = float(own @ own)
    if square < OWN_SHARE * float(np.var(values)) * n:
        return None
    found = float(own @ rest) / square
    left = rest - found * own
    stderr = float(np.sqrt(left @ left / max(n - 3, 1) / square))
    rng = np.random.default_rng(SEED)
    shuffled = rng.permuted(np.tile(rest, (PERMUTATIONS, 1)), axis=1)
    matched = np.count_nonzero(np.abs(shuffled @ own) >= abs(own @ rest) * (1 - 1e-12))
    return Trend(
        trait=trait,
        slope=found,
        stderr=stderr,
        p=float((1 + matched) / (PERMUTATIONS + 1)),
        shift=found * float(np.ptp(values)) / slope,
        n=n,
    )


def _by_series(series: NDArray[np.int64], mean: Floats, slope: float) -> list[Trend]:
    """Whether series differ: variance between their means, against shuffled checkpoints."""
    _, group = np.unique(series, return_inverse=True)
    count = np.bincount(group)
    if count.size < 2:
        return []
    rng = np.random.default_rng(SEED)
    rows = np.vstack([mean, rng.permuted(np.tile(mean, (PERMUTATIONS, 1)), axis=1)])
    member = np.eye(count.size)[group]
    means = rows @ member / count
    between = ((means - rows.mean(axis=1, keepdims=True)) ** 2) @ count
    matched = np.count_nonzero(between[1:] >= between[0] * (1 - 1e-12))
    spread = float(np.ptp(means[0]))
    return [
        Trend(
            trait="series",
            slope=spread,
            stderr=None,
            p=float((1 + matched) / (PERMUTATIONS + 1)),
            shift=spread / slope,
            n=mean.size,
        )
    ]

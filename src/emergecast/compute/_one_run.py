"""What to expect of one training run, and of every run of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from emergecast.compute._compute import Compute, median
from emergecast.errors import ScalingError
from emergecast.inference import SEED
from emergecast.measurements import Transform, above_chance
from emergecast.scaling import (
    Allocation,
    PretrainingRun,
    Resource,
    loss_at,
    run_at,
    training_flops,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.inference import ElbowOnAxis
    from emergecast.measurements import Selection

    Floats = NDArray[np.float64]

_CURVE: Final = 160
"""Points of the curve of a picture."""
_OTHERWISE: Final = 0.05
"""Share by which a run's tokens, or size, may differ from what all checkpoints have: people round
them, 1.9T for 2T."""
# Chosen by looking at pictures, all as factors.
_ABOUT_STRONGEST: Final = (0.3, 3.0)
"""Room below and above the strongest checkpoint."""
_OUT_OF_REACH: Final = 300.0
"""Room above it where a quantile is out of reach, so that the curve shows where it levels off."""
_ABOUT_QUANTILES: Final = (0.5, 2.5)
"""Room below and above the quantiles."""
_FARTHEST: Final = (1e-3, 1e4)
"""Ends of any picture, in units of the strongest checkpoint."""
NO_CURVE: Final = pl.DataFrame(schema=dict.fromkeys(("flops", "params", "emerged"), pl.Float64))
"""The curve where FLOPs are not determined, or there is no forecast in compute."""
_NO_TICKS: Final = pl.DataFrame(schema=dict.fromkeys(("flops", "params", "tokens"), pl.Float64))
"""Its ticks then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCompute:
    """What to expect of one training run."""

    params: float | None
    tokens: float | None
    flops: float | None
    loss: float | None
    """Median of the loss under the law, nats; None where no law is needed."""
    emerged: float
    """Probability that it has emerged, the scatter of a single run about the law included."""


def at_compute(
    elbow: ElbowOnAxis,
    found: Compute,
    *,
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
) -> AtCompute:
    """What to expect of a run of so many FLOPs, or of so many parameters and tokens.

    Raises:
        ScalingError: neither or both are given, or the law is not of such runs.
    """
    run = _run(found, flops, params, tokens)
    if found.law is None:
        return _expected(run, None, float(_emerged_at_flops(elbow, run.flops)))
    loss = loss_at(found.law, run)
    return _expected(run, float(np.median(loss)), _emerged(elbow, loss, found.scatter_nats))


def _run(
    found: Compute, flops: float | None, params: float | None, tokens: float | None
) -> PretrainingRun:
    """The run that is meant, with all that is known of it."""
    scale = found.scale
    if flops is not None and params is None and tokens is None:
        return run_at(found.law, scale.allocation, flops=flops)
    if flops is not None or params is None or tokens is None:
        raise ScalingError("a run is given by its FLOPs, or by its parameters and its tokens.")
    if scale.series is not None and scale.allocation is not None:
        _check_shared(scale.series.of, scale.allocation, {"params": params, "tokens": tokens})
    return PretrainingRun(params=params, tokens=tokens, flops=float(training_flops(params, tokens)))


def _check_shared(of: Resource, allocation: Allocation, given: dict[str, float]) -> None:
    """A law of parameters at one token budget says nothing about another one; nor the reverse.

    Raises:
        ScalingError: the run has another budget, or size, than the checkpoints.
    """
    shared = str(allocation.tie)
    if of is Resource.FLOPS or shared not in given or allocation.value is None:
        return
    if abs(given[shared] / allocation.value - 1) > _OTHERWISE:
        raise ScalingError(
            f"the checkpoints all have {allocation.value:.4g} {shared}, so their law says nothing "
            f"of a model of {given[shared]:.4g}: ask {allocation}, or name a law of parameters "
            "and tokens with --scaling-law, such as hoffmann or epoch."
        )


def _expected(run: PretrainingRun, loss: float | None, emerged: float) -> AtCompute:
    amounts = {str(name): median(getattr(run, name)) for name in Resource}
    return AtCompute(**amounts, loss=loss, emerged=emerged)


def _emerged(elbow: ElbowOnAxis, loss: Floats, scatter: Floats) -> float:
    """P(elbow >= loss of the run), over the law and over the scatter of a run about it."""
    missed = scatter * np.random.default_rng(SEED + 1).standard_normal(scatter.size)
    return float(np.mean(elbow.emerged(loss + missed)))


def _emerged_at_flops(elbow: ElbowOnAxis, flops: ArrayLike | None) -> Floats:
    value = np.asarray(flops, dtype=np.float64)
    if elbow.axis.transform is Transform.LOG10:
        value = np.log10(value)
    return elbow.emerged(value)


# ------------------------------------------------------------------------------ for a picture


def compute_curve(elbow: ElbowOnAxis, found: Compute) -> pl.DataFrame:
    """Probability that a run of given FLOPs has emerged: flops, params (null if unknown), emerged.

    No rows where FLOPs are not determined, or nothing says which to look at.
    """
    window = _window(found)
    if window is None:
        return NO_CURVE
    rows = []
    for flops in np.geomspace(*window, _CURVE):
        each = at_compute(elbow, found, flops=float(flops))
        rows.append((each.flops, each.params, each.emerged))
    return pl.DataFrame(rows, schema=NO_CURVE.schema, orient="row")


def _window(found: Compute) -> tuple[float, float] | None:
    """FLOPs between which the probability is worth drawing: seven decades at most."""
    quantiles = found.flops
    if quantiles is None:
        return None
    known = [quantiles.p05, quantiles.p50, quantiles.p95]
    inside = [value for value in known if value is not None]
    start = found.scale.strongest_flops or (inside[0] if inside else None)
    if start is None:
        return None
    beyond = _ABOUT_STRONGEST[1] if len(inside) == len(known) else _OUT_OF_REACH
    low = min([_ABOUT_STRONGEST[0] * start, *(_ABOUT_QUANTILES[0] * each for each in inside)])
    high = max([beyond * start, *(_ABOUT_QUANTILES[1] * each for each in inside)])
    return max(low, _FARTHEST[0] * start), min(high, _FARTHEST[1] * start)


def compute_ticks(elbow: ElbowOnAxis, found: Compute) -> pl.DataFrame:
    """Round FLOPs in the range of the curve and the size of such runs: flops, params, tokens."""
    window = _window(found)
    if window is None:
        return _NO_TICKS
    low, high = window
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = {0: (1.0, 2.0, 5.0), 1: (1.0, 2.0, 5.0), 2: (1.0, 3.0)}
    chosen = steps.get(math.floor(math.log10(high / low)), (1.0,))
    values = [float(f"{step}e{decade}") for decade in decades for step in chosen]
    rows = [
        (each.flops, each.params, each.tokens)
        for each in (at_compute(elbow, found, flops=v) for v in values if low <= v <= high)
    ]
    return pl.DataFrame(rows, schema=_NO_TICKS.schema, orient="row")


def compute_checkpoints(selection: Selection) -> pl.DataFrame:
    """Checkpoints of known compute: checkpoint, flops, hidden, emerged (few-shot above chance)."""
    seen = (
        selection.rows.select("series", "checkpoint").unique().with_columns(seen=pl.lit(value=True))
    )
    rows = selection.all_few_shot.drop_nulls("flops")
    above = above_chance(rows, selection.metric_kind, selection.chance)
    return (
        rows.with_columns(emerged=pl.Series(above, dtype=pl.Boolean))
        .join(seen, on=["series", "checkpoint"], how="left")
        .group_by("series", "checkpoint", maintain_order=True)
        .agg(
            pl.col("flops").first(),
            hidden=pl.col("seen").first().is_null(),
            emerged=pl.col("emerged").any(),
        )
        .select("checkpoint", "flops", "hidden", "emerged")
    )

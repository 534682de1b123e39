"""Fitting a scaling law to runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._laws import Form
from emergecast.scaling._runs import Runs
from emergecast.scaling.fitting._curvature import constants, covariance
from emergecast.scaling.fitting._newton import Box, Descended, descend
from emergecast.scaling.fitting._objective import Points, residuals
from emergecast.scaling.fitting._resampling import (
    FEWEST_RUNS,
    Resampled,
    ResamplePlan,
    good,
    refit,
    same_optimum,
)
from emergecast.scaling.fitting._scaling_fit import (
    SEED,
    ScalingFit,
    ScalingFitOptions,
    ScalingOptima,
    ScalingStatus,
    free_of,
    law_of,
)
from emergecast.scaling.fitting._starts import exponents, starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SAME_LAW: Final = 1e-5
"""Largest difference in ln L between searches that ended at one optimum."""


def fit_scaling_law(
    runs: Runs,
    form: Form | str | None = None,
    *,
    options: ScalingFitOptions | None = None,
    rng: np.random.Generator | None = None,
    progress: Callable[[int], None] | None = None,
) -> ScalingFit:
    """The law of the least Huber loss of ln L, with standard errors.

        minimise sum_i Huber_delta(ln L(X_i) - ln L_i)

    The linear constants are solved for on a grid of exponents, each of which begins a Newton search
    with exact derivatives in (E, A, B, alpha, beta) together; the best end is the fit, and the
    others say whether there are other optima. Points are equally weighted; standard errors of the
    losses are not used.

    Args:
        runs: The points.
        form: Which law; None for the one of the most resources that the points have.
        options: How it is fitted.
        rng: Where the resamples come from.
        progress: Called with the number of bootstrap refits done so far.

    Raises:
        ScalingError: the points are too few or too much alike to decide the constants, or all of
            their losses lie below a fixed floor.

    Source: Hoffmann et al. 2022, arXiv 2203.15556, section 3.3, for the objective; Besiroglu et al.
    2024, arXiv 2404.10102, for the sum instead of a mean and for the bootstrap. We search with
    second derivatives where both use L-BFGS from a grid.
    """
    # Half of this function is its docstring; the steps are those of the room's first sentence.
    options = ScalingFitOptions() if options is None else options
    form = runs.form if form is None else Form(form)
    floor = options.floor_nats
    amounts = runs.amounts(form, free_floor=floor is None)
    if floor is not None and floor >= runs.loss.min():
        raise ScalingError(
            f"the floor of {floor:g} nats is not below the lowest loss of {runs.name}, "
            f"{runs.loss.min():g}. Give a lower floor."
        )
    points = Points.of(amounts, runs.loss)
    box = Box.of(points.terms, floor)
    ended, same, best = _search(points, box, options)
    theta = ended.theta[best]
    by, cluster = _clusters(runs)
    rng = np.random.default_rng(SEED) if rng is None else rng
    refits = None
    if options.bootstraps and cluster.max() + 1 >= FEWEST_RUNS:
        plan = ResamplePlan(
            by=by, cluster=cluster, count=options.bootstraps, delta=options.delta, floor=floor
        )
        refits = refit(points, theta, plan, rng=rng, progress=progress)
    return ScalingFit(
        runs=runs,
        form=form,
        options=options,
        law=law_of(runs, form, constants(points, theta[None])[0]),
        status=_status(theta, bool(ended.converged[best]), box),
        objective=float(ended.value[best]),
        slope=float(ended.slope[best]),
        optima=_optima(points, ended, box, same, form),
        refits=refits,
        points=points,
        theta=theta,
        curvature=covariance(points, theta, cluster, delta=options.delta, free=free_of(theta, box)),
    )


def _search(
    points: Points, box: Box, options: ScalingFitOptions
) -> tuple[Descended, NDArray[np.bool_], int]:
    """Where the searches ended, which of them at the best optimum, and the best of those."""
    weights = np.ones((1, points.n))
    powers = exponents(points.terms, options.starts)
    first = starts(points, weights, powers, options.floor_nats)[0]
    ended = descend(points, first, weights, delta=options.delta, box=box)
    same = same_optimum(ended.value, float(ended.value.min()), points.n, options.delta)
    best = int(np.argmin(np.where(same, ended.slope, np.inf)))
    away = residuals(points, ended.theta) - residuals(points, ended.theta[best : best + 1])
    same &= np.abs(away).max(axis=1) < _SAME_LAW  # two laws can have one objective
    return ended, same, best


def _clusters(runs: Runs) -> tuple[Resampled, NDArray[np.intp]]:
    """What is resampled, and the 0-based run of each point."""
    if runs.run is None:
        return Resampled.POINT, np.arange(runs.n)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(runs.run))}
    return Resampled.RUN, np.array([numbers[name] for name in runs.run])


def _status(theta: Floats, converged: bool, box: Box) -> ScalingStatus:  # noqa: FBT001
    k = len(theta) // 2
    inside = (theta > box.low) & (theta < box.high)
    if not converged:
        return ScalingStatus.UNFINISHED
    if not inside[1 : 1 + k].all():
        return ScalingStatus.TERM_AT_ZERO
    if not inside[1 + k :].all():
        return ScalingStatus.EXPONENT_AT_BOUND
    if not inside[0] and box.low[0] < box.high[0]:
        return ScalingStatus.FLOOR_AT_ZERO
    return ScalingStatus.CONVERGED


def _optima(
    points: Points, ended: Descended, box: Box, same: NDArray[np.bool_], form: Form
) -> ScalingOptima:
    names = form.constants
    rows = constants(points, ended.theta)
    worse = ended.converged & ~same
    spread = np.ptp(rows[same], axis=0)
    proper = worse & good(ended, box)
    other = np.flatnonzero(proper if proper.any() else worse)
    following = None
    if other.size:
        i = other[np.argmin(ended.value[other])]
        following = dict(zip(names, map(float, rows[i]), strict=True))
        following["objective"] = float(ended.value[i])
    return ScalingOptima(
        starts=len(rows),
        same=int(same.sum()),
        worse=int(worse.sum()),
        unfinished=int(np.sum(~ended.converged & ~same)),
        spread=float(np.ptp(ended.value[same])) / max(float(ended.value.min()), 1e-20),
        spread_of_constants=dict(zip(names, map(float, spread), strict=True)),
        next_best=following,
    )

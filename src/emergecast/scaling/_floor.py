"""The same law with another floor, through the same losses."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import PretrainingRun
from emergecast.scaling._along import run_at_flops
from emergecast.scaling._invert import loss_at
from emergecast.scaling._laws import PowerLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling._laws import ScalingLaw

_NEWTON_STEPS = 100


def with_floor(
    law: ScalingLaw, floor_nats: float, through: tuple[PretrainingRun, PretrainingRun] | None = None
) -> ScalingLaw:
    """The law with another floor that gives the losses of the old one at two runs.

    What a floor that nobody measured does to an extrapolation: within the span the old and the new
    law are hard to tell apart, beyond it they part.

    PowerLaw, at amounts X1 < X2 of losses L1 > L2:
        alpha' = ln((L1 - E') / (L2 - E')) / ln(X2 / X1),   A' = (L1 - E') * X1**alpha'
    ChinchillaLaw: the terms at the first run are scaled by one factor s, both exponents by another,
        L(N, D) = E' + s * [A / N1**alpha * (N1 / N)**(t * alpha)
                            + B / D1**beta * (D1 / D)**(t * beta)]
    so the two terms keep their shares at the first run, whatever the units. Where both runs are
    compute-optimal the split stays as it is for every budget.

    Args:
        law: the law; its constants may be n draws.
        floor_nats: the new floor, nats per token; below the losses of both runs.
        through: two runs that keep their loss, of which one is larger in no resource and smaller in
            one; None means the ends of the law's span, compute-optimal where it is of two.

    Raises:
        ScalingError: the floor is below 0 or at or above a loss at the two runs, neither run is
            larger than the other, they differ in one resource only and its term cannot make up the
            fall, or the law states no span.
    """
    first, second = _ordered(law, _ends(law) if through is None else through)
    losses = loss_at(law, first), loss_at(law, second)
    _check_floor(law, floor_nats, losses[1])
    heights = losses[0] - floor_nats, losses[1] - floor_nats
    fall = np.log(heights[0] / heights[1])
    name = f"{law.name}, floor {floor_nats:g}"
    if isinstance(law, PowerLaw):
        x1, x2 = (np.asarray(getattr(run, law.of), dtype=np.float64) for run in (first, second))
        alpha = fall / np.log(x2 / x1)
        return dataclasses.replace(
            law,
            name=name,
            floor_nats=floor_nats,
            a=_plain(np.exp(np.log(heights[0]) + alpha * np.log(x1))),
            alpha=_plain(alpha),
        )
    n1, d1 = (np.asarray(x, dtype=np.float64) for x in (first.params, first.tokens))
    n2, d2 = (np.asarray(x, dtype=np.float64) for x in (second.params, second.tokens))
    height = losses[0] - law.floor_nats
    share_a, share_b = law.a / n1**law.alpha / height, law.b / d1**law.beta / height
    t = _stretch(
        np.asarray(share_a),
        np.asarray(share_b),
        np.asarray(law.alpha * np.log(n2 / n1)),
        np.asarray(law.beta * np.log(d2 / d1)),
        fall,
    )
    alpha, beta = t * law.alpha, t * law.beta
    return dataclasses.replace(
        law,
        name=name,
        floor_nats=floor_nats,
        a=_plain(heights[0] * share_a * n1**alpha),
        b=_plain(heights[0] * share_b * d1**beta),
        alpha=_plain(alpha),
        beta=_plain(beta),
    )


def _plain(value: NDArray[np.float64]) -> float | NDArray[np.float64]:
    return value if np.ndim(value) else float(value)


def _ends(law: ScalingLaw) -> tuple[PretrainingRun, PretrainingRun]:
    """The runs at the ends of the law's span."""
    if law.span is None:
        raise ScalingError(
            f'the law "{law.name}" does not say on which runs it was fitted, so a floor does not '
            "determine the other constants. Say between which amounts its losses are to be kept."
        )
    if isinstance(law, PowerLaw):
        low, high = (PretrainingRun(**{law.of.value: each}) for each in law.span)
        return low, high
    low, high = (run_at_flops(law, each) for each in law.span)
    return low, high


def _ordered(
    law: ScalingLaw, through: tuple[PretrainingRun, PretrainingRun]
) -> tuple[PretrainingRun, PretrainingRun]:
    """The two runs, the smaller first."""
    names = (law.of.value,) if isinstance(law, PowerLaw) else ("params", "tokens")
    for run in through:
        loss_at(law, run)  # refuses a run that lacks an amount
    for first, second in (through, through[::-1]):
        pairs = [(np.asarray(getattr(first, n)), np.asarray(getattr(second, n))) for n in names]
        if all(np.all(a <= b) for a, b in pairs) and np.all(
            np.any(np.broadcast_arrays(*(a < b for a, b in pairs)), axis=0)
        ):
            return first, second
    raise ScalingError(
        "of the two runs through which a law with another floor is to go, neither is the larger in "
        f"{' and '.join(names)}. Give two of which one has more, and not less of anything."
    )


def _check_floor(law: ScalingLaw, floor_nats: float, lower_loss: NDArray[np.float64]) -> None:
    least = float(np.min(lower_loss))
    if not (np.isfinite(floor_nats) and 0 <= floor_nats < least):
        raise ScalingError(
            f'a floor of {floor_nats:g} nats cannot be that of the law "{law.name}", whose loss '
            f"is {least:.6g} at the larger of the two runs it is to go through. Give a floor of at "
            "least 0 and below that."
        )


def _stretch(
    share_a: NDArray[np.float64],
    share_b: NDArray[np.float64],
    fall_a: NDArray[np.float64],
    fall_b: NDArray[np.float64],
    fall: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The t for which share_a * exp(-t * fall_a) + share_b * exp(-t * fall_b) = exp(-fall).

    The log of the left side is convex and falls from 0 at t = 0, so Newton's method from there is
    monotone.

    Raises:
        ScalingError: there is no such t, since a term that does not fall is too large.
    """
    stuck = np.where(fall_a == 0, share_a, 0.0) + np.where(fall_b == 0, share_b, 0.0)
    if np.any(stuck >= np.exp(-fall)):
        raise ScalingError(
            "the two runs through which a law with another floor is to go differ in one resource "
            "only, and under that floor the other resource's term is more than their loss allows. "
            "Give a lower floor, or runs that differ in both."
        )
    t = np.zeros(np.broadcast_shapes(share_a.shape, fall_a.shape, fall.shape))
    with np.errstate(divide="ignore", under="ignore"):
        ln_a, ln_b = np.log(share_a), np.log(share_b)
        for _ in range(_NEWTON_STEPS):
            first, second = ln_a - t * fall_a, ln_b - t * fall_b
            total = np.logaddexp(first, second)
            slope = fall_a * np.exp(first - total) + fall_b * np.exp(second - total)
            step = np.maximum((total + fall) / slope, 0.0)
            t = t + step
            if np.all(step <= 2 * np.finfo(np.float64).eps * t):
                break
    return np.asarray(t)

"""The same law with another floor, through the same losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import PretrainingRun
from emergecast.scaling._along import run_at
from emergecast.scaling._falling_root import falling_root
from emergecast.scaling._invert import loss_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emergecast.scaling._laws import ScalingLaw

    Array: TypeAlias = NDArray[np.float64]


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
    height = losses[0] - floor_nats
    fall = np.log(height / (losses[1] - floor_nats))
    before, after = (
        [np.asarray(getattr(run, term.resource), dtype=np.float64) for term in law.terms]
        for run in (first, second)
    )
    parts = [np.asarray(term.at(x)) for term, x in zip(law.terms, before, strict=True)]
    whole = np.sum(np.broadcast_arrays(*parts), axis=0)
    if not np.all(whole > 0):
        raise ScalingError(
            f'the loss of the law "{law.name}" is its floor already at the smaller of the two runs '
            "it is to go through, so nothing falls. Give smaller runs, or use other constants."
        )
    shares = [part / whole for part in parts]
    exponents = [np.asarray(term.exponent) for term in law.terms]
    falls = [k * np.log(y / x) for k, x, y in zip(exponents, before, after, strict=True)]
    stretch = _stretch(shares, falls, fall)
    exponents = [stretch * k for k in exponents]
    numerators = [
        height * share * x**k for share, x, k in zip(shares, before, exponents, strict=True)
    ]
    values = [each if np.ndim(each) else float(each) for each in (*numerators, *exponents)]
    return law.having([floor_nats, *values], name=f"{law.name}, floor {floor_nats:g}")


def _ends(law: ScalingLaw) -> tuple[PretrainingRun, PretrainingRun]:
    """The runs at the ends of the law's span."""
    if law.span is None:
        raise ScalingError(
            f'the law "{law.name}" does not say on which runs it was fitted, so a floor does not '
            "determine the other constants. Say between which amounts its losses are to be kept."
        )
    low, high = (run_at(law, None, **{law.form.span_of: each}) for each in law.span)
    return low, high


def _ordered(
    law: ScalingLaw, through: tuple[PretrainingRun, PretrainingRun]
) -> tuple[PretrainingRun, PretrainingRun]:
    """The two runs, the smaller first."""
    names = law.form.resources
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


def _check_floor(law: ScalingLaw, floor_nats: float, lower_loss: Array) -> None:
    least = float(np.min(lower_loss))
    if not (np.isfinite(floor_nats) and 0 <= floor_nats < least):
        raise ScalingError(
            f'a floor of {floor_nats:g} nats cannot be that of the law "{law.name}", whose loss '
            f"is {least:.6g} at the larger of the two runs it is to go through. Give a floor of at "
            "least 0 and below that."
        )


def _stretch(shares: Sequence[Array], falls: Sequence[Array], fall: Array) -> Array:
    """The t for which the sum of share * exp(-t * its fall) is exp(-fall).

    Raises:
        ScalingError: there is no such t, since a term that does not fall is too large.
    """
    stuck = sum(np.where(each == 0, share, 0.0) for share, each in zip(shares, falls, strict=True))
    if np.any(stuck >= np.exp(-fall)):
        raise ScalingError(
            "the two runs through which a law with another floor is to go differ in one resource "
            "only, and under that floor the other resource's term is more than their loss allows. "
            "Give a lower floor, or runs that differ in both."
        )
    with np.errstate(divide="ignore"):  # a term of numerator 0 is exp(-inf)
        return falling_root([np.log(share) for share in shares], falls, -fall)

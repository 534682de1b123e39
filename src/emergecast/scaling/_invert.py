"""From a run to its loss and back: evaluate and invert a law along an allocation.

In closed form but for two terms at fixed tokens per parameter, which take Newton's method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import Allocation, PretrainingRun, Tie
from emergecast.scaling._along import complete_run, given_counts, listed, run_at, run_of, settle
from emergecast.scaling._falling_root import falling_root
from emergecast.scaling.counting import Resource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.scaling._laws import ScalingLaw, Term

    Array: TypeAlias = NDArray[np.float64]

Unreachable: TypeAlias = Literal["raise", "inf"]
"""What to do where no run reaches the loss: refuse, or answer that it takes infinitely much."""


def loss_of(
    law: ScalingLaw,
    *,
    params: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    flops: ArrayLike | None = None,
) -> Array:
    """Loss of a run in nats per token, of the broadcast shape of what is given and the constants.

    A power law takes its own resource, or the two others; a Chinchilla law takes two of the three.
    The third follows from flops = 6 * params * tokens.

    Raises:
        ScalingError: more or less is given than the law takes, or a count is not positive.
    """
    given, of = given_counts(params, tokens, flops), law.form.of
    fits = len(given) == 2 and of not in given
    if set(given) != {of} and not fits:
        takes = "two of params, tokens and flops"
        if of is not None:
            takes = f"{of}, or {listed(set(Resource) - {of})}"
        raise ScalingError(
            f'the law "{law.name}" takes {takes}, and {listed(given) or "nothing"} was '
            "given. Give exactly those."
        )
    return loss_at(law, run_of(given))


def loss_at(law: ScalingLaw, run: PretrainingRun) -> Array:
    """Loss of a run in nats per token, from those of its amounts that the law is of.

    Raises:
        ScalingError: the run lacks an amount that the law is of.
    """
    needs = law.form.resources
    amounts = {resource: getattr(run, resource) for resource in needs}
    for resource, amount in amounts.items():
        if amount is None:
            raise ScalingError(
                f'the law "{law.name}" is of {listed(needs)}, and the run has no {resource}. '
                "Say how parameters and tokens are tied."
            )
    return law.loss_of(amounts)


def least_loss(law: ScalingLaw, allocation: Allocation | None = None) -> Array:
    """The loss that no run along the allocation reaches, and any above it does, nats per token.

    It is E, but E + B / tokens**beta at fixed tokens and E + A / params**alpha at fixed params.

    Args:
        law: the law; with n draws of constants the result has shape (n,).
        allocation: how parameters and tokens are tied; None as in `run_at_loss`.

    Raises:
        ScalingError: the law cannot take that allocation.
    """
    allocation = settle(law, allocation)
    least = np.asarray(law.floor_nats, dtype=np.float64)
    for each in law.terms:
        if allocation is not None and allocation.tie.value == each.resource.value:
            least = np.asarray(least + each.at(np.asarray(allocation.value, dtype=np.float64)))
    return least


def run_at_loss(
    law: ScalingLaw,
    loss: ArrayLike,
    allocation: Allocation | None = None,
    *,
    unreachable: Unreachable = "raise",
) -> PretrainingRun:
    """The run of a given loss along an allocation: the inverse of `loss_at`.

    Args:
        law: the law to invert; its constants may be n draws.
        loss: nats per token, any shape; with draws, one that broadcasts with (n,).
        allocation: how parameters and tokens are tied. None means compute-optimal for a Chinchilla
            law; for a power law it means that only the law's own resource is asked for.
        unreachable: "inf" gives infinite amounts where the loss is at or below `least_loss`,
            even if negative, and amounts below one where it is very high, as draws need it;
            "raise" refuses both.

    Returns:
        The amounts that law and allocation determine, of the broadcast shape of loss and constants.

    Raises:
        ScalingError: a loss is not a positive number; the law cannot take the allocation; or,
            unless `unreachable` is "inf", no run of at least one parameter and token has that loss.
    """
    if unreachable not in {"raise", "inf"}:
        raise ScalingError(f'unreachable is {unreachable!r}. Use "raise" or "inf".')
    allocation = settle(law, allocation)
    wanted = _losses(loss, positive=unreachable == "raise")
    height = wanted - least_loss(law, allocation)
    below = ~(height > 0)
    if unreachable == "raise" and np.any(below):
        raise ScalingError(_too_low(law, wanted, allocation))
    ln_height = np.log(np.where(below, 1.0, height))
    resource, ln_amount = _ln_amount(law, allocation, ln_height)
    with np.errstate(over="ignore", under="ignore"):
        amount = np.where(below, np.inf, np.exp(ln_amount))
    run = complete_run(law, allocation, resource, amount)
    if unreachable == "raise":
        _refuse_out_of_range(law, wanted, allocation, run)
    return run


def _ln_amount(
    law: ScalingLaw, allocation: Allocation | None, ln_height: Array
) -> tuple[Resource, Array]:
    """A resource that the loss determines along the allocation, and the log of its amount."""
    free = [t for t in law.terms if allocation is None or t.resource.value != allocation.tie.value]
    if len(free) == 1:
        return free[0].resource, _ln_inverse(law.name, free[0], ln_height)
    first, second = free
    if allocation is not None and allocation.tie is Tie.RATIO:
        if np.any(np.equal(first.numerator, 0) & np.equal(second.numerator, 0)):
            raise ScalingError(
                f'the loss of the law "{law.name}" is its floor whatever the run (A and B are 0). '
                "Use other constants."
            )
        ln_ratio = np.log(np.float64(allocation.value or np.nan))
        with np.errstate(divide="ignore"):  # a term of numerator 0 is exp(-inf)
            heights = np.log(first.numerator), np.log(second.numerator) - second.exponent * ln_ratio
        slopes = first.exponent, second.exponent
        return first.resource, falling_root(heights, slopes, ln_height)
    # Along the frontier alpha A / N^alpha = beta B / D^beta, so the height is one of the terms
    # times 1 + alpha / beta.
    ln_term = ln_height - np.log1p(np.asarray(first.exponent / second.exponent))
    return first.resource, np.asarray((np.log(first.numerator) - ln_term) / first.exponent)


def _ln_inverse(name: str, term: Term, ln_height: Array) -> Array:
    """Log of the amount at which the term is exp(ln_height)."""
    if not np.all(np.asarray(term.numerator) > 0):
        raise ScalingError(
            f'the loss of the law "{name}" does not fall with {term.resource} (its numerator is '
            "0), so no amount belongs to a loss. Use another allocation, or other constants."
        )
    return np.asarray((np.log(term.numerator) - ln_height) / term.exponent)


def _losses(loss: ArrayLike, *, positive: bool) -> Array:
    """The losses as floats; draws of one may fall below 0, where no run is."""
    try:
        found = np.asarray(loss, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScalingError(
            f"a loss must be a number, and {str(loss)[:60]!r} is not. Give nats per token."
        ) from None
    bad = ~(np.isfinite(found) & ((found > 0) | (not positive)))
    if np.any(bad):
        raise ScalingError(
            f"a loss must be positive and finite, and {found[bad].flat[0]:g} is not. "
            "Give nats per token, such as 1.9."
        )
    return found


def _along(allocation: Allocation | None) -> str:
    return "" if allocation is None else f" ({allocation})"


def _too_low(law: ScalingLaw, wanted: Array, allocation: Allocation | None) -> str:
    least = least_loss(law, allocation)
    loss, floor = np.broadcast_arrays(wanted, least)
    worst = np.argmin(loss - floor)
    possible = float(floor.flat[worst])
    ways = (
        ", or fix more tokens or parameters, with which it falls towards "
        f"{float(np.max(law.floor_nats)):.6g}"
        if possible > float(np.max(law.floor_nats))
        else ""
    )
    return (
        f'no run reaches a loss of {float(loss.flat[worst]):.6g} nats under the law "{law.name}"'
        f"{_along(allocation)}: its losses all lie above {possible:.6g}, and come as close as you "
        f"pay for. Ask for a loss above {possible:.6g}{ways}."
    )


def _refuse_out_of_range(
    law: ScalingLaw, wanted: Array, allocation: Allocation | None, run: PretrainingRun
) -> None:
    """Refuse a run of less than one parameter or token, or of more than a float can hold."""
    for resource in Resource:
        amount = getattr(run, resource)
        if amount is None:
            continue
        found, loss = np.broadcast_arrays(amount, wanted)
        if np.any(small := found < 1):
            most = _largest_loss(law, allocation)
            raise ScalingError(
                f"a loss of {float(loss[small].flat[0]):.6g} nats would take less than one of "
                f'{resource} under the law "{law.name}"{_along(allocation)}. Ask for a loss of at '
                f"most {most:.6g}."
            )
        if np.any(large := ~np.isfinite(found)):
            raise ScalingError(
                f"a loss of {float(loss[large].flat[0]):.9g} nats would take more {resource} "
                f'under the law "{law.name}"{_along(allocation)} than a number can hold (1e308). '
                "Ask for a higher loss."
            )


def _largest_loss(law: ScalingLaw, allocation: Allocation | None) -> float:
    """Loss of the smallest run along the allocation with at least one parameter and token."""
    if allocation is None:
        ends = [run_at(law, None, **{law.form.span_of: 1.0})]
    else:
        free = {"params", "tokens"} - {allocation.tie.value}
        ends = [run_at(law, allocation, **{resource: 1.0}) for resource in free]
    return float(min(np.min(loss_at(law, end)) for end in ends))

"""Runs along an allocation: all amounts of a run out of one, or out of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import Allocation, PretrainingRun, Tie
from emergecast.scaling._laws import counts, require_every_term
from emergecast.scaling.counting import FLOPS_PER_PARAM_AND_TOKEN, Resource, complete_amounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from emergecast.scaling._laws import ScalingLaw

    Array: TypeAlias = NDArray[np.float64]


def run_at(
    law: ScalingLaw | None,
    allocation: Allocation | None = None,
    *,
    params: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    flops: ArrayLike | None = None,
) -> PretrainingRun:
    """The run along an allocation that has the one amount given, whatever its loss.

    Compute-optimal: params = G * (flops / 6)**(beta / (alpha + beta)) and tokens the rest, with
    G = (alpha * A / (beta * B))**(1 / (alpha + beta)).
    Source: Hoffmann et al. 2022, arXiv 2203.15556, equation 4.

    Args:
        law: decides the compute-optimal split; its constants may be n draws. None where nothing but
            the allocation says what else the run has.
        allocation: how parameters and tokens are tied; None as in `run_at_loss`.
        params: parameters of the model (count), any shape.
        tokens: training tokens (count), any shape.
        flops: training FLOPs, any shape.

    Raises:
        ScalingError: not exactly one amount is given, it is not positive, it is fixed by the
            allocation already, or the law cannot take the allocation.
    """
    allocation = settle(law, allocation)
    given = given_counts(params, tokens, flops)
    if len(given) != 1:
        raise ScalingError(
            f"{listed(given) or 'nothing'} was given to find a run along an allocation. "
            "Give one of params, tokens and flops."
        )
    ((resource, amount),) = given.items()
    if allocation is None and law is not None and resource is not law.form.of:
        raise ScalingError(
            f'{resource} alone do not say what the law "{law.name}" is of. Say how parameters and '
            "tokens are tied: tokens per parameter (--tokens-per-param), or a fixed number of "
            "either (--token-budget, --model-size)."
        )
    if allocation is not None and resource.value == allocation.tie.value:
        raise ScalingError(
            f"the {resource} are given twice, by the allocation ({allocation}) and as an amount. "
            "Give another amount, or another allocation."
        )
    return complete_run(law, allocation, resource, amount)


def given_counts(
    params: ArrayLike | None, tokens: ArrayLike | None, flops: ArrayLike | None
) -> dict[Resource, Array]:
    """The amounts that are given, by resource.

    Raises:
        ScalingError: one is not positive and finite.
    """
    amounts = zip(Resource, (params, tokens, flops), strict=True)
    return {resource: counts(resource, each) for resource, each in amounts if each is not None}


def settle(law: ScalingLaw | None, allocation: Allocation | None) -> Allocation | None:
    """The allocation to use, with the default of the law filled in.

    Raises:
        ScalingError: the law cannot take it.
    """
    of = None if law is None else law.form.of
    if law is not None and of is None:
        allocation = allocation if allocation is not None else Allocation.compute_optimal()
        if allocation.tie is Tie.COMPUTE_OPTIMAL:
            require_every_term(law)
        return allocation
    if allocation is None:
        return None
    if allocation.tie is Tie.COMPUTE_OPTIMAL:
        why = (
            "without a law there is"
            if law is None
            else f'the law "{law.name}" is of {of} alone, so it has'
        )
        raise ScalingError(
            f"{why} no compute-optimal split. "
            "Give tokens per parameter or a fixed number of tokens or parameters, or use a law of "
            "both, such as hoffmann or epoch."
        )
    if law is not None and of is not None and allocation.tie.value == of.value:
        raise ScalingError(
            f'the law "{law.name}" is of {of}, which the loss determines, so they cannot be '
            f"fixed ({allocation}). Fix the other resource, or the tokens per parameter."
        )
    return allocation


def complete_run(
    law: ScalingLaw | None, allocation: Allocation | None, resource: Resource, amount: Array
) -> PretrainingRun:
    """All that the allocation makes of one amount; amounts may be infinite."""
    if allocation is None:
        return run_of({resource: amount})
    with np.errstate(over="ignore", under="ignore"):
        fixed = np.asarray(allocation.value or np.nan)
        if allocation.tie is Tie.COMPUTE_OPTIMAL and law is not None:
            given = _on_frontier(law, resource, amount)
        elif allocation.tie is not Tie.RATIO:
            given = {Resource(allocation.tie.value): fixed}
        elif resource is Resource.TOKENS:
            given = {Resource.PARAMS: amount / fixed}
        else:
            n = np.sqrt(amount / (FLOPS_PER_PARAM_AND_TOKEN * fixed))
            n = amount if resource is Resource.PARAMS else n
            given = {Resource.PARAMS: n, Resource.TOKENS: n * fixed}
    return run_of({**given, resource: amount})


def _on_frontier(law: ScalingLaw, resource: Resource, amount: Array) -> dict[Resource, Array]:
    """Parameters and tokens of the compute-optimal run: alpha A / N**alpha = beta B / D**beta."""
    first, second = law.terms
    alpha, beta = first.exponent, second.exponent
    with np.errstate(divide="ignore"):
        ln = np.log(amount)
    # ln(alpha A / (beta B)) = alpha ln N - beta ln D.
    tilt = np.log(alpha * first.numerator) - np.log(beta * second.numerator)
    if resource is Resource.PARAMS:
        ln_n, ln_d = ln, (alpha * ln - tilt) / beta
    elif resource is Resource.TOKENS:
        ln_n, ln_d = (beta * ln + tilt) / alpha, ln
    else:
        ln_nd = ln - np.log(FLOPS_PER_PARAM_AND_TOKEN)
        ln_n = (tilt + beta * ln_nd) / (alpha + beta)
        ln_d = (alpha * ln_nd - tilt) / (alpha + beta)
    return {Resource.PARAMS: np.exp(ln_n), Resource.TOKENS: np.exp(ln_d)}


def run_of(known: Mapping[Resource, ArrayLike]) -> PretrainingRun:
    """The run of known amounts, the third of them by flops = 6 * params * tokens."""
    whole = complete_amounts(known)
    amounts = np.broadcast_arrays(*whole.values())
    return PretrainingRun(**{of.value: each[()] for of, each in zip(whole, amounts, strict=True)})


def listed(resources: Iterable[Resource]) -> str:
    """The resources in words, in their usual order."""
    known = set(resources)
    return " and ".join(resource for resource in Resource if resource in known)

"""Runs along an allocation: all amounts of a run out of one, or out of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import Allocation, PretrainingRun, Tie
from emergecast.scaling._laws import (
    FLOPS_PER_PARAM_AND_TOKEN,
    ChinchillaLaw,
    PowerLaw,
    Resource,
    counts,
    require_both_terms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from emergecast.scaling._laws import ScalingLaw

    Array: TypeAlias = NDArray[np.float64]


def run_at_flops(
    law: ScalingLaw, flops: ArrayLike, allocation: Allocation | None = None
) -> PretrainingRun:
    """The run that a compute budget buys along an allocation; `loss_at` gives its loss.

    Compute-optimal: params = G * (flops / 6)**(beta / (alpha + beta)) and tokens the rest, with
    G = (alpha * A / (beta * B))**(1 / (alpha + beta)).
    Source: Hoffmann et al. 2022, arXiv 2203.15556, equation 4.

    Raises:
        ScalingError: as `run_at`.
    """
    return run_at(law, allocation, flops=flops)


def run_at(
    law: ScalingLaw,
    allocation: Allocation | None = None,
    *,
    params: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    flops: ArrayLike | None = None,
) -> PretrainingRun:
    """The run along an allocation that has the one amount given, whatever its loss.

    Args:
        law: decides the compute-optimal split; its constants may be n draws.
        allocation: how parameters and tokens are tied; None as in `run_at_loss`.
        params: parameters of the model (count), any shape.
        tokens: training tokens (count), any shape.
        flops: training FLOPs, any shape.

    Raises:
        ScalingError: not exactly one amount is given, it is not positive, it is fixed by the
            allocation already, or the law cannot take the allocation.
    """
    allocation = settle(law, allocation)
    given = {
        resource: counts(resource, amount)
        for resource, amount in zip(Resource, (params, tokens, flops), strict=True)
        if amount is not None
    }
    if len(given) != 1:
        raise ScalingError(
            f"{listed(set(given)) or 'nothing'} was given to find a run along an allocation. "
            "Give one of params, tokens and flops."
        )
    ((resource, amount),) = given.items()
    if allocation is None:
        if isinstance(law, PowerLaw) and resource is law.of:
            return _run(resource, amount)
        raise ScalingError(
            f'{resource} alone do not say what the law "{law.name}" is of. Say how parameters and '
            "tokens are tied: tokens per parameter (--tokens-per-param), or a fixed number of "
            "either (--token-budget, --model-size)."
        )
    if resource.value == allocation.tie.value:
        raise ScalingError(
            f"the {resource} are given twice, by the allocation ({allocation}) and as an amount. "
            "Give another amount, or another allocation."
        )
    return complete_run(law, allocation, resource, amount)


def settle(law: ScalingLaw, allocation: Allocation | None) -> Allocation | None:
    """The allocation to use, with the default of the law filled in.

    Raises:
        ScalingError: the law cannot take it.
    """
    if isinstance(law, ChinchillaLaw):
        allocation = allocation if allocation is not None else Allocation.compute_optimal()
        if allocation.tie is Tie.COMPUTE_OPTIMAL:
            require_both_terms(law)
        return allocation
    if allocation is None:
        return None
    if allocation.tie is Tie.COMPUTE_OPTIMAL:
        raise ScalingError(
            f'the law "{law.name}" is of {law.of} alone, so it has no compute-optimal split. '
            "Give tokens per parameter or a fixed number of tokens or parameters, or use a law of "
            "both, such as hoffmann or epoch."
        )
    if allocation.tie.value == law.of.value:
        raise ScalingError(
            f'the law "{law.name}" is of {law.of}, which the loss determines, so they cannot be '
            f"fixed ({allocation}). Fix the other resource, or the tokens per parameter."
        )
    return allocation


def complete_run(
    law: ScalingLaw, allocation: Allocation | None, resource: Resource, amount: Array
) -> PretrainingRun:
    """All that the allocation makes of one amount; amounts may be infinite."""
    if allocation is None:
        return _run(resource, amount)
    with np.errstate(over="ignore", under="ignore"):
        if allocation.tie is Tie.COMPUTE_OPTIMAL and isinstance(law, ChinchillaLaw):
            return _along_frontier(law, resource, amount)
        fixed = np.broadcast_to(np.float64(allocation.value or np.nan), amount.shape)
        six = FLOPS_PER_PARAM_AND_TOKEN
        if allocation.tie is Tie.RATIO:
            if resource is Resource.TOKENS:
                n, d = amount / fixed, amount
            else:
                n = amount if resource is Resource.PARAMS else np.sqrt(amount / (six * fixed))
                d = n * fixed
        elif allocation.tie is Tie.TOKENS:
            n, d = (amount if resource is Resource.PARAMS else amount / (six * fixed)), fixed
        else:
            n, d = fixed, (amount if resource is Resource.TOKENS else amount / (six * fixed))
        c = amount if resource is Resource.FLOPS else six * n * d
        return PretrainingRun(params=n[()], tokens=d[()], flops=c[()])


def _along_frontier(law: ChinchillaLaw, resource: Resource, amount: Array) -> PretrainingRun:
    """The compute-optimal run of one amount: alpha A / N**alpha = beta B / D**beta."""
    with np.errstate(divide="ignore"):
        ln = np.log(amount)
    # ln(alpha A / (beta B)) = alpha ln N - beta ln D.
    tilt = np.log(law.alpha * law.a) - np.log(law.beta * law.b)
    if resource is Resource.PARAMS:
        ln_n, ln_d = ln, (law.alpha * ln - tilt) / law.beta
    elif resource is Resource.TOKENS:
        ln_n, ln_d = (law.beta * ln + tilt) / law.alpha, ln
    else:
        ln_nd = ln - np.log(FLOPS_PER_PARAM_AND_TOKEN)
        ln_n = (tilt + law.beta * ln_nd) / (law.alpha + law.beta)
        ln_d = (law.alpha * ln_nd - tilt) / (law.alpha + law.beta)
    n = amount if resource is Resource.PARAMS else np.exp(ln_n)
    d = amount if resource is Resource.TOKENS else np.exp(ln_d)
    c = amount if resource is Resource.FLOPS else FLOPS_PER_PARAM_AND_TOKEN * n * d
    n, d, c = np.broadcast_arrays(n, d, c)
    return PretrainingRun(params=n[()], tokens=d[()], flops=c[()])


def _run(resource: Resource, amount: Array) -> PretrainingRun:
    one = amount[()]
    match resource:
        case Resource.PARAMS:
            return PretrainingRun(params=one)
        case Resource.TOKENS:
            return PretrainingRun(tokens=one)
        case Resource.FLOPS:
            return PretrainingRun(flops=one)


def run_of_two(given: Mapping[Resource, Array]) -> PretrainingRun:
    """The run of two known amounts, by flops = 6 * params * tokens."""
    n, d, c = (given.get(resource) for resource in Resource)
    with np.errstate(over="ignore", under="ignore"):
        if n is None and d is not None and c is not None:
            n = c / (FLOPS_PER_PARAM_AND_TOKEN * d)
        elif d is None and n is not None and c is not None:
            d = c / (FLOPS_PER_PARAM_AND_TOKEN * n)
        elif c is None and n is not None and d is not None:
            c = FLOPS_PER_PARAM_AND_TOKEN * n * d
    params, tokens, flops = (None if each is None else each[()] for each in (n, d, c))
    return PretrainingRun(params=params, tokens=tokens, flops=flops)


def listed(resources: set[Resource]) -> str:
    """The resources in words, in their usual order."""
    return " and ".join(resource for resource in Resource if resource in resources)

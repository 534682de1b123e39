"""What a fitted law says about how to split compute between parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.scaling._allocation import Allocation
from emergecast.scaling._along import run_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling._laws import ScalingLaw
    from emergecast.scaling.fitting._scaling_fit import ScalingFit

    Floats = NDArray[np.float64]

_DRAWS: Final = 2000
_BEYOND: Final = 3
"""Powers of ten past the largest run that are shown."""
_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """A number and its 90% interval over the draws of the law."""

    value: float
    p05: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The compute-optimal run of one budget."""

    flops: float
    params: Ranged
    tokens: Ranged
    tokens_per_param: Ranged


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimal:
    """Compute-optimal training by a fitted law."""

    params_exponent: Ranged
    """a of params ~ flops^a: beta / (alpha + beta)."""
    tokens_exponent: Ranged
    """b of tokens ~ flops^b: alpha / (alpha + beta)."""
    splits: tuple[Split, ...]


def optimal(fit: ScalingFit) -> Optimal | None:
    """The compute-optimal split at powers of ten of compute, with 90% intervals.

    None for a law of one resource, or where a term is 0 so that there is no optimum.
    """
    if fit.form.of is not None or not np.all(fit.law.falls) or fit.runs.flops is None:
        return None
    law, draws = fit.law, fit.draws(_DRAWS)
    best, share = float(_share(law)), _share(draws)
    splits = []
    for flops in _budgets(fit.runs.flops):
        params, tokens = _split(law, flops)
        all_params, all_tokens = _split(draws, flops)
        splits.append(
            Split(
                flops=flops,
                params=_ranged(params, all_params),
                tokens=_ranged(tokens, all_tokens),
                tokens_per_param=_ranged(tokens / params, all_tokens / all_params),
            )
        )
    return Optimal(
        params_exponent=_ranged(np.asarray(best), share),
        tokens_exponent=_ranged(np.asarray(1 - best), 1 - share),
        splits=tuple(splits),
    )


def _share(law: ScalingLaw) -> Floats:
    """The exponent of params in flops: beta / (alpha + beta)."""
    alpha, beta = (np.asarray(term.exponent) for term in law.terms)
    return np.asarray(beta / (alpha + beta))


def _split(law: ScalingLaw, flops: float) -> tuple[Floats, Floats]:
    """Parameters and tokens of the compute-optimal run."""
    run = run_at(law, Allocation.compute_optimal(), flops=flops)
    return np.asarray(run.params), np.asarray(run.tokens)


def _ranged(value: Floats, draws: Floats) -> Ranged:
    low, high = np.quantile(draws, [0.05, 0.95])
    return Ranged(value=float(value), p05=float(low), p95=float(high))


def _budgets(flops: Floats) -> list[float]:
    """Powers of ten from the largest within the table to some past it, the largest last."""
    middle = np.floor(np.log10(np.median(flops)))
    top = np.floor(np.log10(flops.max())) + _BEYOND
    powers = np.arange(middle, top + 1)
    step = -(-len(powers) // _SHOWN)
    return [float(f"1e{power:.0f}") for power in powers[::-1][::step][::-1]]

"""Would the fitted laws produce rows like these? Replicated data against the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emergecast.diagnostics._influence import checkpoint_names, level_name, refit
from emergecast.emergence_law import STUDENT_FREEDOM, Feature
from emergecast.inference import SEED, MixturePosterior
from emergecast.records import Probability

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emergecast.inference import Draws, Fit, Posterior

    Floats = NDArray[np.float64]
    Measure = Callable[[Floats], Floats]

DRAWS = 2000
RISE = "rise of the few-shot scores"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One property of the rows, and how often data from the fitted laws go as far."""

    what: str
    """Which property, in words."""
    observed: float
    """Its value in the rows; for a property that depends on parameters, the mean over draws."""
    expected: float
    """Its median in replicated data."""
    p: Probability
    """Tail probability; two-sided where both sides are bad."""


def predictive_checks(fit: Fit, unseen: Posterior | None = None) -> tuple[Check, ...]:
    """The posterior predictive checks of a fit, the smallest tail probability first.

    Replicates keep the deviations of checkpoints and draw new noise; the rise of the few-shot
    scores alone is compared with what the finetuned rows predict without having seen them.

    Args:
        fit: the fit.
        unseen: the posterior without its few-shot rows, where that is known.
    """
    rng = np.random.default_rng(SEED)
    draws = fit.posterior.draws(DRAWS, rng)
    data = fit.data
    sd = np.sqrt(draws.variance(data))
    mean = draws.fitted(data)
    residual = (data.score - mean) / sd
    replicated = _noise(fit, draws, residual.shape, rng)
    checks = [
        _upper("misfit of all rows (chi-square)", residual, replicated, _chi_square),
        _upper(
            f"largest residual, in standard errors ({_worst_row(fit, residual)})",
            residual,
            replicated,
            _largest,
        ),
    ]
    few = data.few_shot
    if few.any():
        parts = residual[:, few], replicated[:, few]
        checks.append(_upper("misfit of the few-shot rows (chi-square)", *parts, _chi_square))
        rise = few_shot_rise(fit, unseen)
        if rise is not None:
            checks.append(rise)
    for level in range(1, data.amounts.size + 1):
        rows = data.level == level
        past = np.maximum(draws.elbows[:, level, None] - data.loss[rows], 0.0)
        use = past.max(axis=1) > 0
        if np.count_nonzero(use) < DRAWS / 2:
            continue
        pull = past[use] / sd[use][:, rows]
        scale = np.sum(pull**2, axis=1)
        seen = np.sum(pull * residual[use][:, rows], axis=1) / scale
        again = np.sum(pull * replicated[use][:, rows], axis=1) / scale
        slope = float(np.median(draws.slopes[use, level]))
        checks.append(
            Check(
                what=f"slope at {level_name(fit, level)}, score per unit of the axis",
                observed=slope + float(np.mean(seen)),
                expected=slope,
                p=_two_sided(float(np.mean(again > seen)) + 0.5 * float(np.mean(again == seen))),
            )
        )
    return tuple(sorted(checks, key=lambda check: check.p))


def few_shot_rise(fit: Fit, unseen: Posterior | None = None) -> Check | None:
    """Rise of the few-shot score from the weakest to the strongest third of the checkpoints.

    Against what the finetuned rows alone predict; None with fewer than three few-shot rows.
    """
    data = fit.data
    contrast = _thirds(data.loss, data.few_shot)
    if contrast is None:
        return None
    rng = np.random.default_rng(SEED)
    rises = []
    unseen = unseen or refit(fit, data.few_shot)
    posteriors = unseen.members if isinstance(unseen, MixturePosterior) else (unseen,)
    for member, posterior, weight in zip(fit.members, posteriors, fit.weights, strict=True):
        n = max(200, round(DRAWS * weight))
        draws = posterior.draws(n, rng)
        mean = draws.expected(data)
        offset = member.priors.level_scale * data.score_range * rng.standard_normal(n)
        # an offset that no row informs is drawn from its prior; it moves all few-shot rows alike
        mean += (offset - draws.few_shot_offset)[:, None] * data.few_shot
        own = rng.standard_normal((n, int(data.checkpoint.max()) + 1))
        mean += (draws.deviation_scale[:, None] * own)[:, data.checkpoint]
        sd = np.sqrt(draws.variance(data))
        single = replace(draws, law=np.zeros(n, dtype=np.int64))
        noise = _noise(member, single, mean.shape, rng)
        rises.append(((mean + sd * noise) @ contrast, np.full(n, weight / n)))
    values = np.concatenate([value for value, _ in rises])
    mass = np.concatenate([part for _, part in rises])
    observed = float(data.score @ contrast)
    above = float(mass[values > observed].sum() + 0.5 * mass[values == observed].sum())
    order = np.argsort(values)
    middle = values[order][np.searchsorted(np.cumsum(mass[order]), 0.5)]
    return Check(
        what=f"{RISE}, from the finetuned rows alone",
        observed=observed,
        expected=float(middle),
        p=_two_sided(above),
    )


def _worst_row(fit: Fit, residual: Floats) -> str:
    """Name of the row with the largest residual, on average over draws."""
    row = int(np.argmax(np.mean(np.abs(residual), axis=0)))
    name = checkpoint_names(fit)[int(fit.data.checkpoint[row])]
    return f"{name}, {level_name(fit, int(fit.data.level[row]))}"


def _thirds(loss: Floats, rows: NDArray[np.bool_]) -> Floats | None:
    """Weights that give mean of the strongest third minus that of the weakest, shape (n,)."""
    at = np.flatnonzero(rows)
    third = at.size // 3
    if third == 0:
        return None
    order = at[np.argsort(loss[at], kind="stable")]
    contrast = np.zeros(loss.size)
    contrast[order[:third]] = 1 / third
    contrast[order[-third:]] = -1 / third
    return contrast


def _noise(
    fit: Fit, draws: Draws, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Standard noise of each draw's own law, shape (N, n)."""
    noise = rng.standard_normal(shape)
    for index, law in enumerate(fit.laws):
        if Feature.STUDENT in law.features:
            own = draws.law == index
            size = (int(own.sum()), shape[1])
            noise[own] = rng.standard_t(STUDENT_FREEDOM, size)
    return noise


def _chi_square(residual: Floats) -> Floats:
    return np.asarray(np.mean(residual**2, axis=1))


def _largest(residual: Floats) -> Floats:
    return np.asarray(np.max(np.abs(residual), axis=1))


def _upper(what: str, residual: Floats, replicated: Floats, of: Measure) -> Check:
    """How often replicates are as large."""
    seen, again = of(residual), of(replicated)
    return Check(
        what=what,
        observed=float(np.mean(seen)),
        expected=float(np.median(again)),
        p=float((1 + np.count_nonzero(again >= seen)) / (1 + seen.size)),
    )


def _two_sided(upper: float) -> float:
    return float(np.clip(2 * min(upper, 1 - upper), 1 / DRAWS, 1.0))

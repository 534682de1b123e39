"""Baselines that draw a curve through scores, and through a continuous metric beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.baselines._guess import Guess, NormalMixture, no_guess
from emergecast.baselines._rising_curves import (
    Curve,
    Floats,
    Scale,
    crossings,
    line,
    power_law,
    rises,
    sigmoid,
)

if TYPE_CHECKING:
    import polars as pl

FEWEST: Final = 4
"""Scores at different losses that a curve needs."""
CROSSING: Final = 0.9
"""Share of the resamples that must leave chance at some loss for a curve to say anything."""
FLAT: Final = 0.05
"""p value of the F test against a constant above which scores count as flat."""

Step = Callable[["pl.DataFrame", Scale, np.random.Generator], Floats | str]
"""From few-shot rows of a continuous metric, and the value of it that is needed, (B,), to the loss
at which the metric has that value, (B,); or why it cannot be said."""


def extrapolated(
    curve: Curve, loss: Floats, score: Floats, scale: Scale, rng: np.random.Generator
) -> Guess:
    """The loss at which a curve through the few-shot scores reaches chance + `CHANCE_MARGIN`."""
    if np.unique(loss).size < FEWEST:
        return no_guess(f"Only {np.unique(loss).size} few-shot losses, and a curve needs {FEWEST}.")
    if curve is sigmoid and scale.best is None:
        return no_guess("A sigmoid needs the metric's best score, which is not known.")
    flat = rises(curve, loss, score, scale)
    if flat > FLAT:
        return no_guess(
            f"The few-shot scores are flat: it is no better than a constant (p = {flat:.2f})."
        )
    return _smoothed(crossings(curve, loss, score, scale, rng))


def two_step(rows: pl.DataFrame, scale: Scale, rng: np.random.Generator) -> Floats | str:
    """The metric as a line in loss."""
    loss, metric = _numbers(rows, "loss"), _numbers(rows, "continuous")
    if rises(line, loss, metric, scale) > FLAT:
        return "The continuous metric does not rise."
    return crossings(line, loss, metric, scale, rng)


def proxy(rows: pl.DataFrame, scale: Scale, rng: np.random.Generator) -> Floats | str:
    """The metric as a power law in compute, a - b C^-c, and ln loss as a line in ln compute.

    After Patel, Reddy, Mosbach and Bahdanau, arXiv 2605.18607, who forecast the accuracy of a run
    so; the loss is ours, since a forecast here is one of a loss.
    """
    rows = rows.drop_nulls("flops")
    loss, flops, metric = (_numbers(rows, name) for name in ("loss", "flops", "continuous"))
    if np.unique(flops).size < FEWEST:
        return f"Only {np.unique(flops).size} amounts of compute are stated, of {FEWEST} needed."
    ln_flops = np.log(flops)
    fall, base = np.polyfit(ln_flops - ln_flops.mean(), np.log(loss), 1)
    if fall >= 0:
        return "The loss does not fall with compute."
    less = np.exp(ln_flops.mean() - ln_flops)
    if rises(power_law, less, metric, scale) > FLAT:
        return "The continuous metric does not rise with compute."
    return np.asarray(np.exp(base - fall * np.log(crossings(power_law, less, metric, scale, rng))))


def through_metrics(
    step: Step, continuous: Mapping[str, pl.DataFrame], scale: Scale, rng: np.random.Generator
) -> Guess:
    """The score as a sigmoid in a continuous metric, and that metric by a step of its own.

    The sigmoid rests on finetuned rows too, because few-shot scores at chance say nothing about it.
    Of several metrics, the one that the scores follow most closely.

    Args:
        step: from the metric to the loss.
        continuous: of each metric, rows with loss, flops, few_shot, continuous (higher is better)
            and score.
        scale: of the score.
        rng: resamples.
    """
    if not continuous:
        return no_guess("There is no continuous metric of this task beside the score.")
    if scale.best is None:
        return no_guess("A sigmoid needs the metric's best score, which is not known.")
    best: tuple[float, Guess] | None = None
    for name, rows in continuous.items():
        missed, guess = _through_metric(step, rows, scale, rng)
        guess = Guess(distribution=guess.distribution, reason=f"By {name}: {guess.reason}")
        if best is None or (missed if guess.distribution else np.inf) < best[0]:
            best = (missed if guess.distribution else np.inf, guess)
    assert best is not None  # noqa: S101  there is a metric
    return best[1]


def _through_metric(
    step: Step, rows: pl.DataFrame, scale: Scale, rng: np.random.Generator
) -> tuple[float, Guess]:
    """The share of the scores' variance that one metric leaves, and what it says."""
    few_shot = rows.filter("few_shot")
    every, score = _numbers(rows, "continuous"), _numbers(rows, "score")
    if few_shot["loss"].n_unique() < FEWEST:
        return np.inf, no_guess(f"Only {few_shot['loss'].n_unique()} few-shot losses have it.")
    if np.unique(every).size < FEWEST or few_shot["continuous"].n_unique() < FEWEST:
        return np.inf, no_guess("The continuous metric hardly varies.")
    # Curves take positive abscissas on which lower is better; how far is left is up to the origin.
    origin = every.max() + 10.0 * np.ptp(every)
    if rises(sigmoid, origin - every, score, scale) > FLAT:
        return np.inf, no_guess("The score does not follow the continuous metric.")
    fitted = sigmoid(origin - every, score[:, None], scale)[0][:, 0]
    left = float(np.sum((score - fitted) ** 2) / np.sum((score - score.mean()) ** 2))
    needed = origin - crossings(sigmoid, origin - every, score, scale, rng)
    found = step(few_shot, Scale(chance=scale.chance, best=None, bar=needed), rng)
    if isinstance(found, str):
        return left, no_guess(found)
    # At a higher loss than that of every checkpoint nothing can emerge that none of them has.
    return left, _smoothed(np.where(found > _numbers(few_shot, "loss").max(), np.inf, found))


def _numbers(rows: pl.DataFrame, column: str) -> Floats:
    return rows[column].to_numpy().astype(np.float64)


def _smoothed(crossing: Floats) -> Guess:
    """A kernel estimate through resampled crossings, or none where too many never cross."""
    found = crossing[np.isfinite(crossing)]
    if found.size < CROSSING * crossing.size:
        return no_guess(
            f"Too flat to extrapolate: {crossing.size - found.size} of {crossing.size} resamples "
            "never leave chance at a possible loss."
        )
    quartiles = np.quantile(found, [0.25, 0.75])
    spread = min(float(np.std(found)), float(np.diff(quartiles)[0]) / 1.349)
    width = 0.9 * spread * found.size**-0.2
    return Guess(
        distribution=NormalMixture(
            centres=np.sort(found), width=max(width, 1e-4 * float(found.mean()))
        ),
        reason=f"{found.size} of {crossing.size} resamples leave chance at a possible loss.",
    )

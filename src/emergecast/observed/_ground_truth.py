"""What the few-shot scores of a series show by themselves: the elbow and the crossing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from emergecast.measurements import CHANCE_MARGIN, RESOLUTION, above_chance, sampling_error
from emergecast.observed._crossing import crossings
from emergecast.observed._relu import profile, resampled_elbows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.measurements import Axis, Selection

    Floats = NDArray[np.float64]

FEWEST: Final = 5
SEEN: Final = 3
GRID: Final = 4001
COARSE: Final = 16
"""Of the grid, every so many elbows are tried for a resample."""
RESAMPLES: Final = 200
ENDS: Final = (0.05, 0.95)
_SEED: Final = 0
IT_TAKES: Final = (
    f"it takes few-shot scores at {FEWEST} losses or more, {SEEN} above chance, that rise as the "
    "loss falls"
)
"""When few-shot scores show where emergence happened, in words."""


class Estimand(StrEnum):
    """Which point of the few-shot curve is meant (docs/truth.md)."""

    ELBOW = "elbow"
    """The elbow of a ReLU fitted to all few-shot scores."""
    CROSSING = "crossing"
    """The highest loss at which few-shot scores pass a bar a little above chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """Where few-shot emergence was seen to happen, by one definition; losses in nats."""

    target: Estimand
    """By which definition."""
    loss: float
    """The estimate, nats, or the unit of another axis."""
    p05: float
    """Lower end of its 90% interval, at most the estimate."""
    p95: float
    """Upper end of its 90% interval, at least the estimate."""
    n: int
    """Few-shot scores it rests on."""
    bar: float | None = None
    """Of the crossing: the score that is crossed."""
    slope: float | None = None
    """Of the elbow: score per nat past it."""
    base: float | None = None
    """Of the elbow: score before it."""
    residual: float | None = None
    """Of the elbow: root mean square residual, score."""

    def on(self, axis: Axis) -> GroundTruth:
        """The same with its losses as values of the axis."""
        low, high = sorted(map(axis.to_axis, (self.p05, self.p95)))
        return replace(self, loss=axis.to_axis(self.loss), p05=low, p95=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruths:
    """What few-shot scores show, by each definition."""

    elbow: GroundTruth | None
    """None where they show none."""
    crossing: GroundTruth | None
    """None where they show none."""
    no_elbow: str | None = None
    """Why they show no elbow, in a sentence; None where they do."""
    no_crossing: str | None = None
    """Why they show no crossing, in a sentence; None where they do."""

    def of(self, target: Estimand) -> GroundTruth | None:
        """The truth by one definition."""
        return self.elbow if target is Estimand.ELBOW else self.crossing

    def on(self, axis: Axis) -> GroundTruths:
        """The same with their losses as values of the axis."""
        elbow, crossing = (each and each.on(axis) for each in (self.elbow, self.crossing))
        return replace(self, elbow=elbow, crossing=crossing)

    def why_not(self, target: Estimand) -> str | None:
        """Why there is none by one definition."""
        return self.no_elbow if target is Estimand.ELBOW else self.no_crossing


class _Scores(NamedTuple):
    """Few-shot scores, shape (n,)."""

    loss: Floats
    score: Floats
    error: Floats
    """Sampling error; 0 where none is known."""
    weight: Floats
    """Of the isotonic regression."""
    checkpoint: NDArray[np.int64]


def ground_truths(selection: Selection) -> GroundTruths:
    """Elbow and crossing of the few-shot curve, once later checkpoints exist.

        elbow:    y = base + slope max(E - L, 0), equal weights, base and slope free, slope > 0
        crossing: the isotonic regression of y on L, weighted by 1 / stderr^2, linear in between,
                  at its highest loss with y = chance + 0.02 R

    Rows that `at_chance_only` hid are used: this is the truth that a forecast could not see. Each
    has a 90% interval that covers which checkpoints there happen to be, from 200 resamples of them
    (all rows of one together), always the same ones. That of the elbow reaches as far as the
    profile of E, p(E) ~ RSS(E)^(-(n - 2) / 2), where that is farther; for the crossing every score
    of a resample is redrawn within its sampling error. Source: the elbow, arXiv 2411.16035 section
    5; the rest is ours (docs/truth.md).

    Neither is there with few-shot scores at fewer than five losses, or fewer than three above
    chance.
    """
    rows = selection.all_few_shot
    scores = _scores(rows, selection)
    seen = np.count_nonzero(above_chance(rows, selection.metric_kind, selection.chance))
    if np.unique(scores.loss).size < FEWEST or seen < SEEN:
        why = (
            f"The few-shot scores do not show where emergence happened: {IT_TAKES}, and there are "
            f"scores at {np.unique(scores.loss).size}, {seen} above chance."
        )
        return GroundTruths(elbow=None, crossing=None, no_elbow=why, no_crossing=why)
    rng = np.random.default_rng(_SEED)
    number = int(scores.checkpoint.max()) + 1
    counts = rng.multinomial(number, np.full(number, 1 / number), size=RESAMPLES)
    weight = counts[:, scores.checkpoint].astype(np.float64)
    elbow = _elbow(scores, weight)
    bar = selection.chance + CHANCE_MARGIN * _reach(selection)
    crossed = _crossing(scores, weight, bar, rng)
    return GroundTruths(
        elbow=elbow,
        crossing=crossed if isinstance(crossed, GroundTruth) else None,
        no_elbow=None if elbow else "The few-shot scores do not rise as the loss falls.",
        no_crossing=None if isinstance(crossed, GroundTruth) else _beyond(crossed, bar),
    )


def _scores(rows: pl.DataFrame, selection: Selection) -> _Scores:
    """The few-shot scores; those of unknown error weigh as the median of the others."""
    error = sampling_error(rows, selection.metric_kind)
    known = error > 0
    usual = float(np.median(error[known])) if known.any() else 1.0
    floor = RESOLUTION * _reach(selection) if known.any() else 0.0
    name = rows.select(pl.struct("series", "checkpoint").rank("dense")).to_series()
    return _Scores(
        loss=rows["loss"].to_numpy().astype(np.float64),
        score=rows["score"].to_numpy().astype(np.float64),
        error=error,
        weight=1.0 / np.maximum(np.where(known, error, usual), floor) ** 2,
        checkpoint=name.to_numpy().astype(np.int64) - 1,
    )


def _reach(selection: Selection) -> float:
    """Best score minus chance; where no best is known, the spread of the finetuned scores.

    Without finetuned scores, that of the few-shot ones.
    """
    if selection.best is not None:
        return selection.best - selection.chance
    if selection.finetuned_spread is not None:
        return selection.finetuned_spread
    score = selection.all_few_shot["score"].to_numpy()
    return float(np.ptp(score)) if score.size else 0.0


def _elbow(scores: _Scores, weight: Floats) -> GroundTruth | None:
    """The least squares elbow; None where no slope is above 0."""
    loss, score = scores.loss, scores.score
    losses = np.unique(loss)
    elbows = np.linspace(losses[1], losses[-1], GRID)
    rss, slope, base = profile(loss, score, elbows)
    rss = np.where(slope > 0, rss, np.inf)
    best = int(np.argmin(rss))
    if not np.isfinite(rss[best]):
        return None
    found = float(elbows[best])
    low, high = profile_interval(rss, elbows, score)
    again = resampled_elbows(loss, score, weight, elbows[::COARSE])
    ends = np.quantile(again, ENDS) if again.size else (found, found)
    return GroundTruth(
        target=Estimand.ELBOW,
        loss=found,
        p05=min(low, float(ends[0]), found),
        p95=max(high, float(ends[1]), found),
        n=int(loss.size),
        slope=float(slope[best]),
        base=float(base[best]),
        residual=float(np.sqrt(rss[best] / loss.size)),
    )


def profile_interval(rss: Floats, elbows: Floats, score: Floats) -> tuple[float, float]:
    """90% interval of p(E) ~ RSS(E)^(-(n - 2) / 2) on an even grid, flat prior.

    Args:
        rss: residual sum of squares at each elbow, shape (m,).
        elbows: nats, shape (m,).
        score: shape (n,).
    """
    best = float(np.min(rss))
    floor = 1e-12 * float(np.sum((score - score.mean()) ** 2))
    ln_density = -0.5 * (score.size - 2) * np.log(np.maximum(rss, floor) / max(best, floor))
    density = np.exp(ln_density)
    cumulative = np.cumsum(density) - density / 2  # the mass below the middle of each step
    low, high = np.interp(ENDS, cumulative / density.sum(), elbows)
    return float(low), float(high)


def _crossing(
    scores: _Scores, weight: Floats, bar: float, rng: np.random.Generator
) -> GroundTruth | float:
    """The crossing; where it lies beyond the losses, on which side: minus or plus infinity."""
    loss = scores.loss
    found = float(crossings(loss, scores.score[None], scores.weight[None], bar)[0])
    if not np.isfinite(found):
        return found
    noise = scores.error * rng.standard_normal((RESAMPLES, loss.size))
    again = crossings(loss, scores.score + noise, scores.weight * weight, bar)
    low, high = np.quantile(np.clip(again, loss.min(), loss.max()), ENDS)
    return GroundTruth(
        target=Estimand.CROSSING,
        loss=found,
        p05=min(float(low), found),
        p95=max(float(high), found),
        n=int(loss.size),
        bar=bar,
    )


def _beyond(side: float, bar: float) -> str:
    if side > 0:
        return (
            f"The few-shot scores reach {bar:.3g} at the weakest checkpoint already, so the "
            "crossing lies at a higher loss: add weaker checkpoints, or check the chance level."
        )
    return f"The few-shot scores nowhere reach {bar:.3g} steadily: add stronger checkpoints."

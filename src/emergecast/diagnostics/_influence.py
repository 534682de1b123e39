"""What the forecast would be without each checkpoint and each data amount, and who stands out.

Amounts are left out by a refit. For checkpoints the draws of the fit are weighted by how unlikely
they make the rows that are left out (leave-one-out importance sampling, the deviation of the
checkpoint integrated out); where too few draws stay effective, the law is fitted again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from emergecast.emergence_law import STUDENT_FREEDOM, Feature
from emergecast.inference import INTERVAL, SEED, Effort
from emergecast.records import Some

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference import Fit, Posterior

    Floats = NDArray[np.float64]

GroupKind: TypeAlias = Literal["checkpoint", "amount"]
"""Of which kind a group of rows is."""
SuspectRows: TypeAlias = Literal["light", "few-shot", "finetuned"]
FEW_SHOT = "few-shot"
DRAWS = 1500
"""Draws of each law."""
FEWEST_EFFECTIVE = 60.0
"""Effective draws, over all laws, that the median without a checkpoint must rest on: to a sixth of
its standard deviation. A law that has too few of its share is fitted again."""
FEWEST_EXACT = 100.0
"""For a plain law, whose fit is cheap."""
CHEAP = Effort(particles=1024, chains=128, final_steps=16)
"""Effort of such a fit."""
STANDS_OUT = 3.0
"""Predictive standard deviations from which a checkpoint is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """The forecast without one checkpoint or one data amount; losses in nats."""

    kind: GroupKind
    """Of which kind it is."""
    what: str
    """Name of the checkpoint, "few-shot", or the amount."""
    n_rows: Some
    """Scores that were left out."""
    p05: float
    """5% quantile."""
    p50: float
    """Median."""
    p95: float
    """95% quantile."""
    shift: float
    """By how much leaving them out moves the median."""
    shift_sd: float
    """The same in standard deviations of the posterior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A checkpoint that the other checkpoints do not predict; scores in the metric's unit."""

    checkpoint: str
    """Its name."""
    rows: SuspectRows
    """light (few-shot and the smallest amount), few-shot, or finetuned."""
    observed: float
    """Weighted mean of these scores."""
    predicted: float
    """What the other checkpoints predict for it."""
    z: float
    """Difference in standard deviations of the prediction."""


class Sample:
    """Draws of one law as arrays: elbow (N,), score without checkpoint deviation (N, n)."""

    def __init__(self, fit: Fit, posterior: Posterior) -> None:
        """Draws of a posterior of `fit`, a single law, perhaps from some of the rows."""
        self.data = fit.data
        features = fit.laws[0].features
        self.student = Feature.STUDENT in features
        # a deviation shared by Student-t rows has no closed form
        self.weighable = not {Feature.STUDENT, Feature.DEVIATION} <= features
        self.draws = posterior.draws(DRAWS, np.random.default_rng(SEED))
        self.elbow = self.draws.elbow
        self.mean = self.draws.expected(self.data)
        self.variance = self.data.variance(self.draws.noise)
        self.deviation = self.draws.deviation_scale**2

    def moments(self, rows: NDArray[np.bool_], weight: Floats) -> tuple[float, float, Floats]:
        """Predictive mean and variance of the weighted mean of some rows, and their weights."""
        variance = self.variance[:, rows]
        if self.student:
            variance = variance * STUDENT_FREEDOM / (STUDENT_FREEDOM - 2)
        share = 1 / np.average(variance, axis=0, weights=weight)
        share /= share.sum()
        middle = self.mean[:, rows] @ share
        mean = float(np.average(middle, weights=weight))
        spread = (middle - mean) ** 2 + self.deviation + variance @ share**2
        return mean, float(np.average(spread, weights=weight)), share


def leave_out(fit: Fit) -> tuple[tuple[Influence, ...], tuple[Suspect, ...]]:
    """Influence of every amount and checkpoint, the largest first, and checkpoints that stand out.

    Time: a reweighting a checkpoint, a refit an amount; about a second for 30 and 6.
    """
    data = fit.data
    names = checkpoint_names(fit)
    found = [
        _influence(fit, "amount", level_name(fit, level), data.level == level)
        for level in np.unique(data.level)
    ]
    samples = [Sample(member, member.posterior) for member in fit.members]
    ln_likelihood = [each.draws.ln_checkpoints(data, student=each.student) for each in samples]
    suspects: list[Suspect] = []
    for checkpoint in np.unique(data.checkpoint):
        own = data.checkpoint == checkpoint
        parts = [
            _without(member, sample, -ln[:, checkpoint], own, weight)
            for member, sample, ln, weight in zip(
                fit.members, samples, ln_likelihood, fit.weights, strict=True
            )
        ]
        name = names[int(checkpoint)]
        found.append(_reweighted(fit, name, (samples, parts), int(own.sum())))
        suspects += _surprises(fit, name, own, parts)
    found.sort(key=lambda each: -abs(each.shift))
    suspects.sort(key=lambda each: -abs(each.z))
    return tuple(found), tuple(suspects)


def checkpoint_names(fit: Fit) -> dict[int, str]:
    """Name of each checkpoint by its index, with its series where several are pooled."""
    rows = fit.selection.rows
    several = fit.data.n_series > 1
    pairs = zip(rows["series"].to_list(), rows["checkpoint"].to_list(), strict=True)
    names = [f"{series} / {name}" if several else str(name) for series, name in pairs]
    return dict(zip(map(int, fit.data.checkpoint), names, strict=True))


def level_name(fit: Fit, level: int) -> str:
    """Name of a data amount."""
    if level == 0:
        return FEW_SHOT
    shift = fit.selection.shift
    return f"{shift.number(float(fit.data.amounts[level - 1]))} {shift.unit}"


def _influence(fit: Fit, kind: GroupKind, what: str, rows: NDArray[np.bool_]) -> Influence:
    """By a fit without the rows."""
    values = refit(fit, rows).quantile(INTERVAL)
    return _record(fit, kind, what, values, int(rows.sum()))


def refit(fit: Fit, rows: NDArray[np.bool_]) -> Posterior:
    """The posterior without some rows."""
    return fit.posterior_if(keep=~rows, effort=CHEAP)


def _record(fit: Fit, kind: GroupKind, what: str, values: Floats, n_rows: int) -> Influence:
    p05, p50, p95 = (float(value) for value in values)
    shift = p50 - float(fit.posterior.quantile(0.5))
    return Influence(
        kind=kind,
        what=what,
        n_rows=n_rows,
        p05=p05,
        p50=p50,
        p95=p95,
        shift=shift,
        shift_sd=shift / fit.posterior.sd,
    )


def _without(
    fit: Fit, sample: Sample, ln_weight: Floats, rows: NDArray[np.bool_], share: float
) -> tuple[Sample, Floats]:
    """Draws of one law without some rows, and their weights (N,), summing to 1.

    `share` is the weight of the law among all.
    """
    fewest = FEWEST_EXACT if fit.laws[0].plain else FEWEST_EFFECTIVE * share
    weight = np.exp(ln_weight - ln_weight.max())
    weight /= weight.sum()
    if sample.weighable and 1 / np.sum(weight**2) >= fewest:
        return sample, weight
    refitted = Sample(fit, refit(fit, rows))
    return refitted, np.full(DRAWS, 1 / DRAWS)


def _reweighted(
    fit: Fit,
    what: str,
    parts: tuple[list[Sample], list[tuple[Sample, Floats]]],
    n_rows: int,
) -> Influence:
    """Quantiles of weighted draws, moved by what the same draws unweighted miss the exact ones."""
    probability = np.array(INTERVAL)
    all_rows, left = parts
    even = np.full(DRAWS, 1 / DRAWS)
    before = _quantile([(sample.elbow, even) for sample in all_rows], fit.weights, probability)
    after = _quantile([(sample.elbow, weight) for sample, weight in left], fit.weights, probability)
    values = fit.posterior.quantile(probability) + after - before
    return _record(fit, "checkpoint", what, values, n_rows)


def _quantile(
    parts: list[tuple[Floats, Floats]], weights: tuple[float, ...], probability: Floats
) -> Floats:
    """Quantiles of a mixture of weighted draws."""
    values = np.concatenate([value for value, _ in parts])
    mass = np.concatenate([w * weight for (_, weight), w in zip(parts, weights, strict=True)])
    order = np.argsort(values)
    cumulative = np.cumsum(mass[order]) - 0.5 * mass[order]
    return np.asarray(np.interp(probability, cumulative / mass.sum(), values[order]))


def _surprises(
    fit: Fit, name: str, own: NDArray[np.bool_], parts: list[tuple[Sample, Floats]]
) -> list[Suspect]:
    """The one group of rows of a checkpoint that the others predict worst, if it stands out."""
    data = fit.data
    groups: dict[SuspectRows, NDArray[np.bool_]] = {
        "few-shot": own & data.few_shot,
        "light": own & (data.level <= 1),
        "finetuned": own & ~data.few_shot,
    }
    found = []
    for group, rows in groups.items():
        if not rows.any():
            continue
        moments = [sample.moments(rows, weight) for sample, weight in parts]
        share = np.average([part[2] for part in moments], axis=0, weights=fit.weights)
        mean = float(np.average([part[0] for part in moments], weights=fit.weights))
        variance = np.average(
            [part[1] + (part[0] - mean) ** 2 for part in moments], weights=fit.weights
        )
        observed = float(data.score[rows] @ share)
        z = (observed - mean) / math.sqrt(variance)
        if abs(z) >= STANDS_OUT:
            found.append(
                Suspect(checkpoint=name, rows=group, observed=observed, predicted=mean, z=z)
            )
    return sorted(found, key=lambda each: -abs(each.z))[:1]

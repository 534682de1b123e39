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
from emergecast.inference import INTERVAL, SEED, Effort, side_by_side
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
EVEN = np.full(DRAWS, 1 / DRAWS)
"""Their weights where all count alike."""
FEWEST_EFFECTIVE = 60.0
"""Effective draws, over all laws, that the median without a checkpoint must rest on: to a sixth of
its standard deviation. A law that has too few of its share is fitted again."""
FEWEST_EXACT = 300.0
"""For a plain law by itself, whose fit is cheap."""
NEGLIGIBLE = 0.01
"""A law of less weight is not asked what it would say without a checkpoint."""
CHEAP = Effort(particles=1024, chains=64, final_steps=16)
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
    """Draws of one law, and what they predict."""

    def __init__(self, fit: Fit, posterior: Posterior) -> None:
        """Draws of a posterior of `fit`, a single law, perhaps from some of the rows."""
        self.data = fit.data
        features = fit.laws[0].features
        self.student = Feature.STUDENT in features
        # a deviation shared by Student-t rows has no closed form
        self.weighable = not {Feature.STUDENT, Feature.DEVIATION} <= features
        self.draws = posterior.draws(DRAWS, np.random.default_rng(SEED))
        self.elbow = self.draws.elbow
        self.deviation = self.draws.deviation_scale**2

    def moments(self, rows: NDArray[np.bool_], weight: Floats) -> tuple[float, float, Floats]:
        """Predictive mean and variance of the weighted mean of some rows, and their weights."""
        data = self.data.rows(rows)
        variance = self.draws.variance(data)
        if self.student:
            variance = variance * STUDENT_FREEDOM / (STUDENT_FREEDOM - 2)
        share = 1 / np.average(variance, axis=0, weights=weight)
        share /= share.sum()
        middle = self.draws.expected(data) @ share
        mean = float(np.average(middle, weights=weight))
        spread = (middle - mean) ** 2 + self.deviation + variance @ share**2
        return mean, float(np.average(spread, weights=weight)), share


def leave_out(
    fit: Fit, unseen: Posterior | None = None
) -> tuple[tuple[Influence, ...], tuple[Suspect, ...]]:
    """Influence of every amount and checkpoint, the largest first, and checkpoints that stand out.

    Time: a reweighting a checkpoint, a refit an amount; side by side on all cores.

    Args:
        fit: the fit.
        unseen: the posterior without its few-shot rows, where that is known.
    """
    data, names, left = fit.data, checkpoint_names(fit), Left(fit)

    def amount(level: int) -> Influence:
        rows = data.level == level
        posterior = unseen if level == 0 and unseen is not None else refit(fit, rows)
        values = posterior.quantile(INTERVAL)
        return _record(fit, "amount", level_name(fit, level), values, int(rows.sum()))

    def checkpoint(number: int) -> tuple[Influence, list[Suspect]]:
        own, name = data.checkpoint == number, names[number]
        parts = left.without(number, own)
        values = left.quantiles(parts)
        influence = _record(fit, "checkpoint", name, values, int(own.sum()))
        return influence, _surprises(fit, name, own, parts)

    found = side_by_side(amount, map(int, np.unique(data.level)))
    pairs = side_by_side(checkpoint, map(int, np.unique(data.checkpoint)))
    found += [influence for influence, _ in pairs]
    suspects = [suspect for _, several in pairs for suspect in several]
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


class Left:
    """The draws of every law of a fit, to be weighted as if a checkpoint had not been measured."""

    def __init__(self, fit: Fit) -> None:
        """Draws of the fit, and how likely they make the rows of each checkpoint."""
        self._fit = fit
        pairs = [(member, member.posterior) for member in fit.members]
        self._samples = side_by_side(lambda pair: Sample(*pair), pairs)
        self._ln_likelihood = side_by_side(
            lambda each: each.draws.ln_checkpoints(fit.data, student=each.student), self._samples
        )

    def without(self, checkpoint: int, rows: NDArray[np.bool_]) -> list[tuple[Sample, Floats]]:
        """Draws of each law without the rows of a checkpoint, and their weights, summing to 1."""
        parts = []
        several = zip(
            self._fit.members, self._samples, self._ln_likelihood, self._fit.weights, strict=True
        )
        for member, sample, ln_likelihood, share in several:
            alone = member.laws[0].plain and len(self._samples) == 1
            fewest = FEWEST_EXACT if alone else FEWEST_EFFECTIVE * share
            ln_weight = -ln_likelihood[:, checkpoint]
            weight = np.exp(ln_weight - ln_weight.max())
            weight /= weight.sum()
            if share < NEGLIGIBLE:
                parts.append((sample, EVEN))
            elif sample.weighable and 1 / np.sum(weight**2) >= fewest:
                parts.append((sample, weight))
            else:
                parts.append((Sample(member, refit(member, rows)), EVEN))
        return parts

    def quantiles(self, parts: list[tuple[Sample, Floats]]) -> Floats:
        """Quantiles of weighted draws, moved by what they miss the exact ones unweighted."""
        fit, probability = self._fit, np.array(INTERVAL)
        every = [(sample.elbow, EVEN) for sample in self._samples]
        before = _quantile(every, fit.weights, probability)
        some = [(sample.elbow, weight) for sample, weight in parts]
        after = _quantile(some, fit.weights, probability)
        return np.asarray(fit.posterior.quantile(probability) + after - before)


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

"""The comparison of several series, and as a file holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import polars as pl

from emergecast.comparison._decisions import Decisions, decisions_of
from emergecast.comparison._emergence_order import NEARLY_TIED, EmergenceOrder, LeftOut
from emergecast.comparison._first import Difference, ElbowCompute, First, difference_density
from emergecast.comparison._ranking import Ranking
from emergecast.comparison._series_forecast import CameTrue, SeriesForecast
from emergecast.comparison._series_pair import ComparedAt, SeriesPair, true_difference
from emergecast.errors import OptionError, near
from emergecast.forecasts import Forecast, ForecastRecord, Verdict
from emergecast.measurements import marked
from emergecast.observed import GroundTruth
from emergecast.records import as_json, schema

LEADERS_NAMED: Final = 3
"""Series that a title names at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRecord:
    """A comparison as comparison.json holds it."""

    task: str
    """Name of the task."""
    series: tuple[str, ...]
    """The series compared; lists of one entry for each are in this order."""
    at_equal_loss: First | None
    """Of two series, the probability that the first emerges first at equal loss. Of more it is
    null, and stands in `pairs`; so it is with `at_equal_compute`, `difference` and
    `true_difference`, which version 0.1.0 had."""
    at_equal_compute: First | None
    """Of two series, the same at equal training FLOPs."""
    difference: Difference | None
    """Of two series, the difference of their elbows; null where a forecast is refused or the losses
    do not compare."""
    truths: tuple[GroundTruth | None, ...]
    """The elbow of each series that its later checkpoints show; null where they show none.
    `came_true` says the same with FLOPs, and knows what was given as well."""
    rankings: tuple[Ranking, ...]
    """The baseline: by few-shot and by finetuned score at one size."""
    no_ranking: str | None
    """Why there is no baseline, in a sentence; null where there is one."""
    warnings: tuple[str, ...]
    """What a reader must know, in sentences."""
    compute_log10_flops: tuple[ElbowCompute | None, ...]
    """The compute of each elbow; null where it is not known."""
    true_difference: float | None
    """Of two series, the difference of the elbows that came true, nats."""
    losses_compare: bool
    """Whether a loss of each series means the same in every other."""
    forecasts: tuple[ForecastRecord, ...]
    """The forecast of each series."""
    pairs: tuple[SeriesPair, ...]
    """Every two of the series."""
    order_at_equal_loss: EmergenceOrder
    """The series in the order in which they emerge as the loss falls."""
    order_at_equal_compute: EmergenceOrder
    """The series in the order in which they emerge as the training FLOPs grow."""
    loss_ranking: Ranking | None
    """The baseline by loss at one size; null where losses do not compare or no compute is known."""
    came_true: tuple[CameTrue | None, ...]
    """Where each series emerged, by its later checkpoints or as given; null where not known."""
    decisions: tuple[Decisions, ...]
    """How many pairs the forecasts and each baseline ranked right, where that is known."""
    left_out: tuple[LeftOut, ...]
    """Series of which no forecast could be made, and why."""


def comparison_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of comparison.json, made from the fields of its record."""
    return schema(
        ComparisonRecord,
        title="emergecast comparison",
        description=(
            "Series compared on one task, as `emergecast compare --json` prints it. Later versions "
            "add keys and rename none."
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Which of several pretraining series emerges first on one task, and how sure that is.

    Two series are a pair, whose answers stand here; those of more are in `pairs` and in the orders.
    """

    found: tuple[SeriesForecast, ...]
    """Two or more series, each with its forecast."""
    pairs: tuple[SeriesPair, ...]
    """Every two of them, in their order."""
    compute: tuple[ElbowCompute | None, ...]
    order_at_equal_loss: EmergenceOrder
    order_at_equal_compute: EmergenceOrder
    rankings: tuple[Ranking, ...]
    """The baseline: by few-shot and by finetuned score at one size."""
    no_ranking: str | None
    """Why there is no baseline, in one sentence."""
    loss_ranking: Ranking | None
    """The baseline by loss at one size; None where losses do not compare or lack compute."""
    left_out: tuple[LeftOut, ...]
    """Series of which no forecast could be made, and why."""
    loss_warnings: tuple[str, ...]
    """How the losses of the series differ in kind, in sentences."""

    @property
    def series(self) -> tuple[str, ...]:
        """Names of those compared."""
        return tuple(each.series for each in self.found)

    @property
    def forecasts(self) -> tuple[Forecast, ...]:
        """Of each series; `truth` in them is the elbow that came true, where that is known."""
        return tuple(each.forecast for each in self.found)

    @property
    def truths(self) -> tuple[GroundTruth | None, ...]:
        """The elbow of each series that its later checkpoints show."""
        return tuple(each.truth for each in self.found)

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.forecasts[0].task

    @property
    def comparable(self) -> bool:
        """Whether a loss of each series means the same in every other."""
        return self.apart is None

    @property
    def apart(self) -> str | None:
        """Why a loss of one series does not mean the same in another; None where it does."""
        return next((pair.apart for pair in self.pairs if pair.apart is not None), None)

    @property
    def weak(self) -> tuple[SeriesForecast, ...]:
        """The series whose forecasts the probabilities should not be trusted further than."""
        return tuple(each for each in self.found if each.forecast.verdict is Verdict.WEAK)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, in sentences: of the losses, and of each weak forecast."""
        weak = (
            f"The forecast of {each.series} is weak: {each.forecast.reasons[0]}"
            for each in self.weak
        )
        return (*self.loss_warnings, *weak)

    def order(self, at: ComparedAt) -> EmergenceOrder:
        """The order where this is held equal."""
        at_loss = at is ComparedAt.LOSS
        return self.order_at_equal_loss if at_loss else self.order_at_equal_compute

    # -------------------------------------------------------------------- of two series

    @property
    def at_equal_loss(self) -> First:
        """Of two series: the probability that the first emerges first at equal loss."""
        return self._only.at_equal_loss

    @property
    def at_equal_compute(self) -> First:
        """Of two series: the probability that the first emerges first at equal compute."""
        return self._only.at_equal_compute

    @property
    def difference(self) -> Difference | None:
        """Of two series: the difference of the elbows; None where it is not stated."""
        return self._only.difference

    @property
    def true_difference(self) -> float | None:
        """Of two series: the difference of the elbows that came true, nats, where known."""
        return self._only.true_difference

    @property
    def _only(self) -> SeriesPair:
        if len(self.pairs) != 1:
            raise OptionError(
                f"{len(self.series)} series were compared, so there is no one pair: ask for two of "
                "them with pair(first, second)."
            )
        return self.pairs[0]

    def pair(self, first: str, second: str) -> SeriesPair:
        """What was found of two of the series, in the order in which they are compared.

        Raises:
            OptionError: they are not two of those compared.
        """
        for each in self.pairs:
            if set(each.series) == {first, second}:
                return each
        raise OptionError(
            f"{first} and {second} are not two of the series compared. {near(second, self.series)}"
        )

    def difference_density(self) -> pl.DataFrame:
        """Of two series: difference (nats), density (per nat); no rows without a difference."""
        columns = {"difference": pl.Float64, "density": pl.Float64}
        if self.difference is None:
            return pl.DataFrame(schema=columns)
        first, second = self.forecasts
        difference, density = difference_density(first, second, self.difference)
        return pl.DataFrame({"difference": difference, "density": density}, schema=columns)

    # -------------------------------------------------------------------- what came true

    @cached_property
    def decisions(self) -> tuple[Decisions, ...]:
        """How many pairs the forecasts and each baseline ranked right, where that is known."""
        by_loss = () if self.loss_ranking is None else (self.loss_ranking,)
        return decisions_of(self.found, self.pairs, (*self.rankings, *by_loss))

    def with_truths(self, elbows: Mapping[str, float]) -> Comparison:
        """The same where the few-shot elbows of some series are known, in the unit of the axis.

        Raises:
            OptionError: a name is none of the series, or an elbow no finite number.
        """
        refuse_unknown(elbows, self.series)
        found = {
            each.series: each.with_truth(elbows[each.series]) if each.series in elbows else each
            for each in self.found
        }
        pairs = tuple(
            replace(
                pair,
                true_difference=None
                if pair.apart
                else true_difference(*(found[name] for name in pair.series)),
            )
            for pair in self.pairs
        )
        return replace(self, found=tuple(found.values()), pairs=pairs)

    # -------------------------------------------------------------------- for people and programs

    @property
    def title(self) -> str:
        """The answer in a few words: at equal loss, else at equal compute."""
        for at in ComparedAt:
            found = self.headline(at)
            if found is not None:
                return found
        two = len(self.series) == 2
        names = " and ".join(self.series) if two else f"{len(self.series)} series"
        return f"{self._task}: no comparison of {names}"

    def headline(self, at: ComparedAt) -> str | None:
        """The answer where this is held equal, in a few words; None where it is not stated."""
        order, two = self.order(at), len(self.series) == 2
        leaders = _of_two(self._only.answer(at), self.series) if two else _of_many(order)
        if not leaders:
            return None
        where = self.forecasts[0].axis.label if at is ComparedAt.LOSS else "compute"
        of = "" if two else f" of {len(order.placed)} placed"
        weak = " (weak)" if self.weak else ""
        chances = _shares([share for _, share in leaders])
        if len(leaders) == 1:
            (name, _), *_ = leaders
            first = f"{name} first{of} at equal {where} with probability {chances}"
        else:
            names = _listed([name for name, _ in leaders])
            among = of and f",{of}"
            first = f"{names} are close at equal {where}{among}: first with probability {chances}"
        return f"{self._task}: {first}{weak}"

    @property
    def _task(self) -> str:
        invented = any(each.fit.selection.invented for each in self.forecasts)
        return marked(self.task, invented=invented)

    @property
    def subtitle(self) -> str:
        """Of two, the verdicts and the difference; of more, how many forecasts of each verdict."""
        if len(self.series) > 2:
            verdicts = [each.verdict for each in self.forecasts]
            counts = ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)
            gone = f"; {len(self.left_out)} without a forecast" if self.left_out else ""
            return f"{len(self.series)} series: {counts}{gone}"
        parts = [
            f"{name}: {each.verdict_text}"
            for name, each in zip(self.series, self.forecasts, strict=True)
        ]
        if self.difference is not None:
            d = self.difference
            unit = self.forecasts[0].axis.unit
            interval = f"90%: {d.p05:+.3f} to {d.p95:+.3f}"
            parts.append(f"difference {d.p50:+.3f} {unit} ({interval})")
        elif self.at_equal_loss.reason:
            parts.append(self.at_equal_loss.reason)
        return "; ".join(parts)

    def record(self) -> ComparisonRecord:
        """The comparison as a file holds it."""
        only = self.pairs[0] if len(self.pairs) == 1 else None
        return ComparisonRecord(
            task=self.task,
            series=self.series,
            at_equal_loss=None if only is None else only.at_equal_loss,
            at_equal_compute=None if only is None else only.at_equal_compute,
            difference=None if only is None else only.difference,
            truths=self.truths,
            rankings=self.rankings,
            no_ranking=self.no_ranking,
            warnings=self.warnings,
            compute_log10_flops=self.compute,
            true_difference=None if only is None else only.true_difference,
            losses_compare=self.comparable,
            forecasts=tuple(each.record() for each in self.forecasts),
            pairs=self.pairs,
            order_at_equal_loss=self.order_at_equal_loss,
            order_at_equal_compute=self.order_at_equal_compute,
            loss_ranking=self.loss_ranking,
            came_true=tuple(each.came_true for each in self.found),
            decisions=self.decisions,
            left_out=self.left_out,
        )

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values; `comparison_schema` describes the keys."""
        found: dict[str, Any] = as_json(self.record())
        return found

    def __repr__(self) -> str:
        return f"Comparison({self.title}; {self.subtitle})"


def refuse_unknown(elbows: Mapping[str, float], series: Sequence[str]) -> None:
    """Nothing, where each elbow that is said to be known is a number of one of the series.

    Raises:
        OptionError: it is not.
    """
    for name, elbow in elbows.items():
        if name not in series:
            raise OptionError(
                f'there is no series "{name}" in the comparison, whose elbow is said to be '
                f"{elbow:g}. {near(name, series)}"
            )
        if not math.isfinite(elbow):
            raise OptionError(f"the elbow of {name} must be a finite number, not {elbow}.")


def _of_two(found: First, series: tuple[str, ...]) -> list[tuple[str, float]]:
    """The likelier of two to be first, or both where they are nearly tied; none if not stated."""
    p = found.probability
    if p is None:
        return []
    sides = sorted(zip(series, (p, 1 - p), strict=True), key=lambda each: -each[1])
    return sides if sides[0][1] - sides[1][1] < NEARLY_TIED else sides[:1]


def _of_many(order: EmergenceOrder) -> list[tuple[str, float]]:
    """The first in the order, and those nearly tied with it, each with P(first)."""
    return [(each.series, each.first) for each in order.leaders]


def _shares(probabilities: Sequence[float]) -> str:
    """Probabilities as text that never rounds to certainty; one where all are alike."""
    texts = ["above 0.99" if p > 0.995 else f"{p:.2f}" for p in probabilities]
    if len(texts) > 1 and len(set(texts)) == 1:
        return f"{texts[0]} each"
    return _listed(texts)


def _listed(texts: Sequence[str]) -> str:
    """The first of them with "and" before the last."""
    shown = list(texts[:LEADERS_NAMED])
    if len(texts) > len(shown):
        shown.append(f"{len(texts) - len(shown)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"

"""The forecast of one of the series compared, and what the comparison needs beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from emergecast.errors import SelectionError
from emergecast.forecasts import Verdict
from emergecast.measurements import LossSource
from emergecast.observed import ObservedCompute, ground_truths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.forecasts import Forecast
    from emergecast.inference import Fit
    from emergecast.measurements import Measurements
    from emergecast.observed import GroundTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class CameTrue:
    """Where a series emerged, by its later checkpoints or by what the user says."""

    elbow: float
    """The few-shot elbow, in the unit of the axis."""
    low: float
    """Lower end of its 90% interval; the elbow itself where it was given."""
    high: float
    """Upper end of its 90% interval; the elbow itself where it was given."""
    log10_flops: float | None
    """Training compute at which the checkpoints of the series reach the elbow, log10 FLOPs; None
    where they do not, or where their compute is not known."""
    log10_flops_low: float | None
    """The same at the end of the interval that takes less; None as above."""
    log10_flops_high: float | None
    """The same at the other end; None as above."""


class LossSources(NamedTuple):
    """What a loss of a series means."""

    tokenizers: tuple[str, ...]
    corpora: tuple[str, ...]
    measured: bool
    """Whether any loss was measured, not estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """One series of a comparison."""

    series: str
    """Its name."""
    forecast: Forecast
    """Its own forecast; `truth` in it is the elbow that came true."""
    truth: GroundTruth | None
    """What its later checkpoints show, on the axis of the forecast; None where they show none."""
    came_true: CameTrue | None
    """What came true, by that or by what the user says; None where it is not known."""
    sources: LossSources
    """What its losses mean."""

    @property
    def no_place(self) -> str:
        """Why its forecast has no distribution to compare."""
        if self.forecast.verdict is Verdict.REFUSED:
            return f"is refused: {self.forecast.reasons[0]}"
        return "has no distribution: nothing is finetuned, and its elbow is measured"

    def with_truth(self, elbow: float) -> SeriesForecast:
        """The same where the user knows the few-shot elbow, in the unit of the axis."""
        return replace(
            self,
            forecast=replace(self.forecast, truth=elbow),
            came_true=_came_true(self.forecast.fit, elbow, elbow, elbow),
        )


def series_forecast(name: str, made: Forecast, table: Measurements) -> SeriesForecast:
    """The forecast of a series with what its later checkpoints and its rows say."""
    truth, seen = observed_truth(made.fit), None
    if truth is not None:
        seen = _came_true(made.fit, truth.loss, truth.p05, truth.p95)
    return SeriesForecast(
        series=name,
        forecast=replace(made, truth=None if truth is None else truth.loss),
        truth=truth,
        came_true=seen,
        sources=_sources(table, made),
    )


def observed_truth(fitted: Fit) -> GroundTruth | None:
    """The elbow that came true, on the axis that the forecast is printed on."""
    selection = fitted.selection
    return ground_truths(selection).on(selection.axis).elbow


def _came_true(fitted: Fit, elbow: float, low: float, high: float) -> CameTrue:
    selection = fitted.selection
    seen = ObservedCompute.of(selection.all_few_shot)
    at = None if seen is None else _log10_flops(seen, selection.axis.from_axis(elbow))
    ends = [
        None if seen is None else _log10_flops(seen, selection.axis.from_axis(end), inside=True)
        for end in (low, high)
    ]
    known = sorted(end for end in ends if end is not None)
    return CameTrue(
        elbow=elbow,
        low=low,
        high=high,
        log10_flops=at,
        log10_flops_low=None if at is None else known[0],
        log10_flops_high=None if at is None else known[-1],
    )


def _log10_flops(seen: ObservedCompute, loss: float, *, inside: bool = False) -> float | None:
    """log10 FLOPs at a loss; `inside`: at the nearest loss that the checkpoints have."""
    if inside:
        loss = min(max(loss, float(seen.loss[0])), float(seen.loss[-1]))
    ln = seen.ln_at(loss)
    return None if ln is None else ln / math.log(10)


def _sources(table: Measurements, forecast: Forecast) -> LossSources:
    rows = _source_rows(table, forecast)

    def names(column: str) -> tuple[str, ...]:
        return tuple(sorted({str(value) for value in rows[column].drop_nulls()}))

    return LossSources(
        tokenizers=names("tokenizer"),
        corpora=names("loss_corpus"),
        measured=bool((rows["loss_source"] == LossSource.MEASURED.value).any()),
    )


def _source_rows(table: Measurements, forecast: Forecast) -> pl.DataFrame:
    """The table's rows behind a forecast, with the columns that a selection leaves out."""
    selection = forecast.fit.selection
    frame = table.frame.join(
        selection.rows.select("series", "checkpoint").unique(),
        on=["series", "checkpoint"],
        how="semi",
    ).filter(pl.col("task") == selection.task)
    if selection.loss_corpus is not None:
        frame = frame.filter(pl.col("loss_corpus") == selection.loss_corpus)
    if frame.is_empty():
        raise SelectionError(f"the table has no row of {', '.join(selection.series)}.")
    return frame


def losses_apart(
    sources: Sequence[LossSources], *, per_byte: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Why the losses of these series do not compare (None where they do), and warnings."""
    measured = any(each.measured for each in sources)
    reason, warnings = None, []
    for column, what in (("tokenizers", "tokenizers"), ("corpora", "held-out texts")):
        names = list(dict.fromkeys(getattr(each, column) for each in sources))
        if column == "tokenizers":  # one that is not stated stops nothing
            names = [each for each in names if each]
        if len(names) < 2 or (column == "tokenizers" and per_byte):
            continue
        listed = " and ".join(", ".join(name) or "(not named)" for name in names)
        if not measured:
            warnings.append(f"The estimated losses stand for different {what}: {listed}.")
            continue
        remedy = (
            "Divide each loss by the bytes per token of its text and say --per-byte (nats per "
            "byte compare across tokenizers)"
            if column == "tokenizers"
            else f"Measure {'both' if len(sources) == 2 else 'all'} on one text, and choose it "
            "with --loss-corpus"
        )
        reason = (
            f"the losses were measured with different {what} ({listed}), so equal losses do not "
            "mean equal models"
        )
        warnings.append(f"{reason[0].upper()}{reason[1:]}. {remedy}.")
    return reason, tuple(warnings)

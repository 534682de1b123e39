"""Two series compared: which of them emerges first, at equal loss and at equal compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from emergecast.comparison._first import (
    Difference,
    ElbowCompute,
    First,
    at_equal_compute,
    at_equal_loss,
    difference_density,
)
from emergecast.comparison._ranking import Ranking, rankings
from emergecast.errors import OptionError, SelectionError, given
from emergecast.forecasts import ForecastOptions, Verdict, forecast
from emergecast.inference import FitOptions, fit
from emergecast.measurements import LossSource, SelectOptions, marked, read_table
from emergecast.observed import GroundTruth, ground_truth
from emergecast.records import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emergecast.forecasts import Forecast
    from emergecast.inference import Fit
    from emergecast.measurements import Measurements


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Which of two pretraining series emerges first on one task, and how sure that is."""

    series: tuple[str, str]
    forecasts: tuple[Forecast, Forecast]
    """`truth` in them is the elbow that later checkpoints show, where they do."""
    truths: tuple[GroundTruth | None, GroundTruth | None]
    at_equal_loss: First
    at_equal_compute: First
    difference: Difference | None
    """None where a forecast is refused or the losses do not compare."""
    compute: tuple[ElbowCompute | None, ElbowCompute | None]
    rankings: tuple[Ranking, ...]
    """The baseline: by few-shot and by finetuned score at one size."""
    no_ranking: str | None
    """Why there is no baseline, in one sentence."""
    apart: str | None
    """Why a loss of one series does not mean the same in the other; None where it does."""
    warnings: tuple[str, ...]

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.forecasts[0].task

    @property
    def comparable(self) -> bool:
        """Whether a loss of one series means the same in the other."""
        return self.apart is None

    @property
    def true_difference(self) -> float | None:
        """Difference of the elbows that came true, nats; None unless both are known and compare."""
        first, second = self.truths
        if first is None or second is None or not self.comparable:
            return None
        return first.elbow - second.elbow

    @property
    def title(self) -> str:
        """The answer in a few words."""
        task = marked(
            self.task, invented=any(each.fit.selection.invented for each in self.forecasts)
        )
        for where, found in (
            (self.forecasts[0].axis.label, self.at_equal_loss),
            ("compute", self.at_equal_compute),
        ):
            if found.probability is not None:
                sure, name = found.probability, self.series[0]
                if sure < 0.5:
                    sure, name = 1 - sure, self.series[1]
                weak = any(each.verdict is Verdict.WEAK for each in self.forecasts)
                return (
                    f"{task}: {name} first at equal {where} with probability {_share(sure)}"
                    f"{' (weak)' if weak else ''}"
                )
        return f"{task}: no comparison of {self.series[0]} and {self.series[1]}"

    @property
    def subtitle(self) -> str:
        """Verdicts of both, and the difference."""
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

    def difference_density(self) -> pl.DataFrame:
        """Density of the difference: difference (nats), density (per nat); no rows without one."""
        schema = {"difference": pl.Float64, "density": pl.Float64}
        if self.difference is None:
            return pl.DataFrame(schema=schema)
        difference, density = difference_density(*self.forecasts, self.difference)
        return pl.DataFrame({"difference": difference, "density": density}, schema=schema)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        names = ("series", "at_equal_loss", "at_equal_compute", "difference", "truths", "rankings")
        return {
            "task": self.task,
            **{name: as_json(getattr(self, name)) for name in (*names, "no_ranking", "warnings")},
            "compute_log10_flops": as_json(self.compute),
            "true_difference": self.true_difference,
            "losses_compare": self.comparable,
            "forecasts": [forecast.to_dict() for forecast in self.forecasts],
        }

    def __repr__(self) -> str:
        return f"Comparison({self.title}; {self.subtitle})"


def compare(
    table: object,
    series: Sequence[str] | None = None,
    *,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    rules: Mapping[str, float] | None = None,
    per_byte: bool = False,
) -> Comparison:
    """Two series on one task: forecast of each, and which emerges first.

    Each series is fitted on its own, and the two posteriors are taken as independent. At equal
    loss the answer is P(elbow of the first > elbow of the second), which is not stated where losses
    per token were measured with different tokenizers or on different held-out text. At equal
    compute each elbow is turned into FLOPs as in its own forecast, which needs no common loss. The
    baseline ranks the series by their scores at one size.

    Args:
        table: what `read_table` takes.
        series: the two names, first and second; None where the table has just two.
        rows: which rows of each to take.
        fitting: how to fit them.
        rules: rules of the verdicts to override, by name, as `ForecastOptions` takes them.
        per_byte: the losses are nats per byte of the same text, so that tokenizers do not matter.

    Raises:
        OptionError: not two different series.
        SelectionError: the rows of a series do not make one fit.
        FitError: no estimate exists for a series.
    """
    rows = given(rows, SelectOptions, "rows")
    options = ForecastOptions(bootstraps=0, rules=rules or {})
    measured = read_table(table, axis=rows.axis, shift=rows.shift)
    first, second = _two(measured, series, rows.task)
    fits = [
        fit(measured, replace(rows, series=name, pool=False), fitting) for name in (first, second)
    ]
    truths = [_truth(each) for each in fits]
    forecasts = [
        replace(
            forecast(each, options=options),
            truth=None if truth is None else truth.elbow,
        )
        for each, truth in zip(fits, truths, strict=True)
    ]
    apart, warnings = _apart(measured, (forecasts[0], forecasts[1]), per_byte=per_byte)
    refused = _refusal(forecasts, (first, second))
    at_loss, difference = at_equal_loss(forecasts, refused or apart)
    at_compute, compute = at_equal_compute(forecasts, refused)
    ranked = rankings(fits[0].selection, fits[1].selection)
    return Comparison(
        series=(first, second),
        forecasts=(forecasts[0], forecasts[1]),
        truths=(truths[0], truths[1]),
        at_equal_loss=at_loss,
        at_equal_compute=at_compute,
        difference=difference,
        compute=compute,
        rankings=() if isinstance(ranked, str) else ranked,
        no_ranking=ranked if isinstance(ranked, str) else None,
        apart=apart,
        warnings=(*warnings, *_weak(forecasts, (first, second))),
    )


# -------------------------------------------------------------------------------- what is compared


def _two(
    table: Measurements,
    series: Sequence[str] | None,
    task: str | None,
) -> tuple[str, str]:
    """The two series asked for.

    Raises:
        OptionError: they are not two different ones.
    """
    frame = table.frame if task is None else table.frame.filter(pl.col("task") == task)
    names = tuple(sorted(frame["series"].unique().to_list())) or table.series
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if series is None:
        if len(names) < 2:
            raise OptionError(
                f"a comparison takes two series, and the table has only {shown}. Put the rows of "
                "both into one table, told apart by the column series."
            )
        series = names
    if isinstance(series, str):
        series = (series,)
    if len(series) != 2:
        listed = ", ".join(series[:4]) + (" ..." if len(series) > 4 else "")
        raise OptionError(
            f"a comparison takes two series, not {len(series)} ({listed}). Give two with --series "
            f"A --series B; the table has {shown}."
        )
    if series[0] == series[1]:
        raise OptionError(
            f'the series "{series[0]}" cannot be compared with itself. The table has {shown}.'
        )
    return series[0], series[1]


def _truth(fitted: Fit) -> GroundTruth | None:
    """The elbow that came true, on the axis that the forecast is printed on."""
    found, axis = ground_truth(fitted.selection), fitted.selection.axis
    if found is None:
        return None
    low, high = sorted(map(axis.to_axis, (found.p05, found.p95)))
    return replace(found, elbow=axis.to_axis(found.elbow), p05=low, p95=high)


def _apart(
    table: Measurements, forecasts: tuple[Forecast, Forecast], *, per_byte: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Why the losses of the two series do not compare (None where they do), and warnings."""
    rows = [_source_rows(table, forecast) for forecast in forecasts]
    measured = any((part["loss_source"] == LossSource.MEASURED.value).any() for part in rows)
    reason, warnings = None, []
    for column, what in (("tokenizer", "tokenizers"), ("loss_corpus", "held-out texts")):
        names = [sorted({str(v) for v in part[column].drop_nulls()}) for part in rows]
        if names[0] == names[1] or (column == "tokenizer" and not all(names)):
            continue
        listed = " and ".join(", ".join(name) or "(not named)" for name in names)
        if column == "tokenizer" and per_byte:
            continue
        if not measured:
            warnings.append(f"The estimated losses stand for different {what}: {listed}.")
            continue
        remedy = (
            "Divide each loss by the bytes per token of its text and say --per-byte (nats per "
            "byte compare across tokenizers)"
            if column == "tokenizer"
            else "Measure both on one text, and choose it with --loss-corpus"
        )
        reason = (
            f"the losses were measured with different {what} ({listed}), so equal losses do not "
            "mean equal models"
        )
        warnings.append(f"{reason[0].upper()}{reason[1:]}. {remedy}.")
    return reason, tuple(warnings)


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


def _refusal(forecasts: list[Forecast], names: tuple[str, str]) -> str | None:
    said = [
        f"the forecast of {name} is refused ({forecast.reasons[0].rstrip('.')})"
        for name, forecast in zip(names, forecasts, strict=True)
        if forecast.elbow is None
    ]
    return "; ".join(said) or None


def _weak(forecasts: list[Forecast], names: tuple[str, str]) -> list[str]:
    """A sentence on each forecast that the probabilities should not be trusted further than."""
    return [
        f"The forecast of {name} is weak: {forecast.reasons[0]}"
        for name, forecast in zip(names, forecasts, strict=True)
        if forecast.verdict is Verdict.WEAK
    ]


def _share(probability: float) -> str:
    """A probability as text that never rounds to certainty."""
    if probability > 0.995:
        return "above 0.99"
    return f"{probability:.2f}"

"""A forecast as a file holds it: forecast.json, both ways, and its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emergecast.compute import ComputeRecord
from emergecast.diagnostics import DiagnosticsRecord
from emergecast.errors import RecordError
from emergecast.files import read_whole
from emergecast.forecasts._elbow import AtLoss, Elbow
from emergecast.forecasts._overrides import Override
from emergecast.forecasts._verdict import Sensitivity, Verdict
from emergecast.inference import FitStatus
from emergecast.measurements import AxisRecord, ShiftRecord
from emergecast.observed import GroundTruths
from emergecast.records import Count, Positive, Probability, Sentences, Some, from_json, schema
from emergecast.suggestions import Repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class LawRecord:
    """One law of a forecast on its own."""

    law: str
    """Its name."""
    weight: float
    """Its share of the forecast."""
    p05: float
    """5% quantile of the elbow under this law alone, in the unit of the axis."""
    p25: float
    """25% quantile."""
    p50: float
    """Median."""
    p75: float
    """75% quantile."""
    p95: float
    """95% quantile."""
    log_evidence: float
    """Ln of the marginal likelihood of the standardised scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampledRecord:
    """Quantiles of the posterior mode over resamples."""

    p05: float
    """5% quantile, in the unit of the axis."""
    p25: float
    """25% quantile."""
    p50: float
    """Median."""
    p75: float
    """75% quantile."""
    p95: float
    """95% quantile."""
    n: Count
    """Resamples."""
    degenerate: Count
    """Of them, those without an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapRecord:
    """What resampling the rows does to the mode; None where there is nothing to resample."""

    by_run: ResampledRecord | None
    """Runs resampled within their checkpoint and amount."""
    by_checkpoint: ResampledRecord | None
    """Whole checkpoints resampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtComputeRecord:
    """What to expect of one training run."""

    params: float | None = None
    """Parameters; null where not known."""
    tokens: float | None = None
    """Training tokens; null where not known."""
    flops: float | None = None
    """Training FLOPs; null where not known."""
    loss: float | None = None
    """Median of its loss under the scaling law, nats; null where no law is needed, or there is
    none."""
    emerged: Probability | None = None
    """Probability that it has emerged; null where `error` says why."""
    error: str | None = None
    """Why nothing is known of such a run; null where something is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRecord:
    """The scores that a forecast rests on, column by column, and few-shot scores that it hid."""

    checkpoint: tuple[str, ...]
    """Name of the checkpoint."""
    loss: tuple[float, ...]
    """Its loss, nats, or the unit of the axis."""
    score: tuple[float, ...]
    """Score, oriented so that higher is better."""
    stderr: tuple[float | None, ...]
    """Standard error of the score; null where not known."""
    setting: tuple[Literal["few-shot", "finetuned"], ...]
    """Whether anything moves the elbow in this row."""
    examples: tuple[float | None, ...]
    """How much does, in the unit of the shift; null where few-shot."""
    hidden: tuple[bool, ...]
    """True where the row was hidden from the forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionRecord:
    """The posterior of the few-shot elbow on a grid."""

    loss: tuple[float, ...]
    """Rising, nats, or the unit of the axis; past both ends there is 0.05% of the posterior."""
    density: tuple[float, ...]
    """Posterior density per nat, or per unit of the axis."""
    emerged: tuple[float, ...]
    """Probability that a model of this loss has emerged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesRecord:
    """The lines of a typical draw of the posterior, column by column."""

    examples: tuple[float | None, ...]
    """Which line: the amount of the shift; null for the few-shot line."""
    loss: tuple[float, ...]
    """Nats, or the unit of the axis."""
    score: tuple[float, ...]
    """The law's mean there."""
    extrapolated: tuple[bool, ...]
    """Whether no checkpoint of the fit is as strong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRecord:
    """One forecast, as `emergecast fit --json` prints it."""

    task: str
    """Name of the task."""
    metric: str
    """Name of the metric."""
    negated: bool
    """Whether scores are the negative of the metric, because lower is better there."""
    series: str | tuple[str, ...]
    """One name, or all names of a pooled fit."""
    method: str | None
    """Finetuning method; null where no row is finetuned."""
    loss_corpus: str | None
    """Held-out corpus of the losses; null where not stated."""
    few_shot_examples: Positive
    """D0, the amount at which the few-shot elbow is read off, in the unit of `shift`."""
    law: str
    """Name of the law, or "mixture"."""
    laws: tuple[LawRecord, ...]
    """Each law of the forecast on its own; empty where the forecast is refused."""
    weights: Literal["evidence", "fixed", "stacking"]
    """How the laws are weighted: as given, or by how well they predict checkpoints that they have
    not seen."""
    axis: AxisRecord
    """What stands for capability. Every key named loss, and every quantile, is a value of this
    axis."""
    shift: ShiftRecord
    """What moves the elbow to weaker checkpoints."""
    elbow: Elbow | None
    """Where few-shot emergence happens; null where the forecast is refused, and where nothing is
    finetuned: `observed` then says what few-shot rows show."""
    observed: GroundTruths | None = None
    """What the few-shot rows of the forecast show by themselves; null in files of version 0.1.0."""
    quadrature_error: float | None
    """Estimated error of the quantiles, nats (or the unit of `axis`); null where not known."""
    bootstrap: BootstrapRecord
    """What resampling the rows does."""
    verdict: Verdict
    """How far to trust it."""
    reasons: Sentences
    """Why this verdict, in sentences."""
    overridden: tuple[Override, ...]
    """Rules of the verdict and priors that were changed by hand, with their defaults."""
    status: FitStatus
    """How the inference itself went."""
    sensitivity: tuple[Sensitivity, ...]
    """The forecast under one other assumption each."""
    compute: ComputeRecord | None
    """At how much training emergence happens; null where it is not known; compute_reason says
    why."""
    compute_reason: str | None
    """Why compute is null and what to do; null where it is not."""
    diagnostics: DiagnosticsRecord | None
    """What the forecast hangs on and how well the law fits; null where refused."""
    repeats: tuple[Repeat, ...]
    """What the second and later data subsets or seeds of each cell did to the forecast."""
    at_loss: tuple[AtLoss, ...]
    """What to expect of models of the losses that were asked about."""
    at_compute: tuple[AtComputeRecord, ...]
    """What to expect of the training runs that were asked about."""
    warnings: tuple[str, ...]
    """What else a reader must know, in sentences."""
    hidden: tuple[str, ...]
    """Checkpoints that --at-chance-only hid."""
    truth: float | None
    """A few-shot elbow measured later, nats (or the unit of `axis`)."""
    n_rows: Some
    """Scores of the fit."""
    n_checkpoints: Some
    """Checkpoints of the fit."""
    weakest_loss: float
    """Loss of the weakest checkpoint of the fit."""
    strongest_loss: float
    """Loss of the strongest checkpoint of the fit."""
    loss_spread: Positive
    """S, the unit of the priors, nats (or the unit of `axis`)."""
    priors: Mapping[str, float]
    """Every scale of the priors, by name."""
    rows: RowsRecord
    """The scores that it rests on."""
    distribution: DistributionRecord | None
    """The posterior of the few-shot elbow; null where the forecast is refused."""
    lines: LinesRecord | None
    """The lines of a typical draw; null where the forecast is refused."""
    invented: bool = False
    """Whether any score was made up, by a rehearsal or a simulation."""
    table_hash: str
    """SHA-256 of the whole measurement table, whatever the order of its rows."""
    command: str | None
    """The command line that made it; null where none did."""
    version: str
    """Version of emergecast."""


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of forecast.json, made from the fields of its record."""
    return schema(
        ForecastRecord,
        title="emergecast forecast",
        description=(
            "One forecast, as `emergecast fit --json` prints it. Later versions add keys and "
            "rename none."
        ),
    )


def read_forecast(path: str | Path) -> ForecastRecord:
    """The forecast that `emergecast fit -o` wrote.

    Raises:
        RecordError: it cannot be read, or is not a forecast of this version.
    """
    try:
        found = json.loads(read_whole(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f'"{path}" cannot be read as JSON ({error}). Give a forecast.json that `emergecast '
            "fit -o FOLDER` wrote."
        ) from None
    return from_json(ForecastRecord, found, what=f'"{path}"')

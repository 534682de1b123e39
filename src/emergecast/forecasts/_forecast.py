"""The forecast: distribution of the few-shot elbow, verdict, and what to read off them.

Longer than other files: whatever a forecast says stands on one class, field by field.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.compute import (
    NO_CURVE,
    AtCompute,
    Compute,
    ComputeOptions,
    NoCompute,
    at_compute,
    compute_curve,
    compute_of,
    record_of_compute,
)
from emergecast.diagnostics import Diagnostics
from emergecast.errors import FitError, ScalingError
from emergecast.forecasts._elbow import AtLoss, Elbow, Exceedance
from emergecast.forecasts._forecast_record import BootstrapRecord, ForecastRecord
from emergecast.forecasts._frames import distribution, points
from emergecast.forecasts._lines import curves, schema, typical
from emergecast.forecasts._overrides import Override, overrides
from emergecast.forecasts._record_parts import (
    distribution_record,
    laws_record,
    lines_record,
    resampled_record,
    rows_record,
)
from emergecast.forecasts._targets import NoDistribution, only_of_the_elbow
from emergecast.forecasts._thresholds import Thresholds
from emergecast.forecasts._verdict import Sensitivity, Verdict
from emergecast.forecasts._words import basis, html, lines, number, title
from emergecast.inference import (
    SEED,
    Bootstrap,
    Draws,
    ElbowOnAxis,
    Fit,
    FitStatus,
    Resample,
)
from emergecast.observed import Estimand, GroundTruths, annealing_offset, ground_truths
from emergecast.records import as_json, finite
from emergecast.suggestions import Repeat, repeats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.forecasts._forecast_record import AtComputeRecord
    from emergecast.inference import Posterior
    from emergecast.measurements import Axis, Shift

N_DRAWS = 4000


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """At which pretraining loss a capability emerges, and how far to trust that.

    Every loss that goes in or comes out is a value of `axis` (loss in nats unless another was asked
    for), and every amount one of `shift`. Only `fit` and `draws` are in the fit's own coordinates.
    """

    fit: Fit
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why this verdict, in sentences."""
    thresholds: Thresholds
    """The rules that it was reached by, in the unit of `axis`."""
    elbow: Elbow | None
    """None where the forecast is refused, or the few-shot rows alone show where emergence was."""
    bootstrap: dict[Resample, Bootstrap | None]
    sensitivity: tuple[Sensitivity, ...]
    """The forecast at other D0, under other priors, under other laws."""
    truth: float | None = None
    """A few-shot elbow that was measured later, on `axis`."""
    diagnostics: Diagnostics | None = None
    """What the forecast hangs on, in the fit's own coordinates; None where it is refused."""
    compute_options: ComputeOptions = field(default_factory=ComputeOptions)
    """How the loss of emergence becomes compute."""

    @property
    def axis(self) -> Axis:
        """What stands for capability."""
        return self.fit.selection.axis

    @property
    def shift(self) -> Shift:
        """What moves the elbow."""
        return self.fit.selection.shift

    @cached_property
    def observed(self) -> GroundTruths:
        """What the few-shot rows that it saw show by themselves, on `axis`."""
        selection = self.fit.selection
        seen = replace(selection, all_few_shot=selection.rows.filter(pl.col("few_shot")))
        return ground_truths(seen).on(self.axis)

    # -------------------------------------------------------------------- what it is of, in words

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.fit.selection.task

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.fit.selection.metric

    @property
    def negated(self) -> bool:
        """Whether scores are the negative of the metric, because lower is better there."""
        return self.fit.selection.negated

    @property
    def chance(self) -> float:
        """Chance level, with the sign of the scores."""
        return self.fit.selection.chance

    @property
    def few_shot_examples(self) -> float:
        """D0, in the unit of `shift`."""
        return self.shift.to_shift(self.fit.data.few_shot_examples)

    @property
    def status(self) -> FitStatus:
        """How the inference went."""
        return FitStatus.NOT_COMPUTED if self.elbow is None else self.fit.status

    @property
    def warnings(self) -> tuple[str, ...]:
        """What else a reader must know, in sentences."""
        offset = annealing_offset(self.fit.selection)
        return self.fit.selection.warnings + (() if offset is None else (offset.sentence,))

    @cached_property
    def overridden(self) -> tuple[Override, ...]:
        """Rules and priors that were changed by hand; the verdict is not the usual one then."""
        return overrides(self.fit.selection, self.thresholds, self.fit.priors)

    @property
    def verdict_text(self) -> str:
        """The verdict, and beside it whether rules or priors were changed by hand."""
        names = ", ".join(f"{each.kind} {each.name}" for each in self.overridden)
        return f"{self.verdict} (changed: {names})" if names else str(self.verdict)

    @property
    def title(self) -> str:
        """The answer in a few words."""
        seen = self.observed.elbow if self.verdict is Verdict.OBSERVED else None
        return title(self.fit.selection, self.elbow, seen)

    @property
    def subtitle(self) -> str:
        """The verdict in a few words."""
        if self.elbow is None:
            return f"{self.verdict_text}: {self.reasons[0]}"
        return f"{self.verdict_text}; {basis(self.fit, self.elbow)}"

    @property
    def lines(self) -> str:
        """What the lines of `curves` are, in a sentence; empty where the forecast is refused."""
        return "" if self.elbow is None else lines(self.fit, self._typical[0])

    @property
    def plain_law(self) -> str | None:
        """The law of maximum likelihood and bootstrap, where it is not the forecast's own."""
        plain = self.fit.plain
        return None if plain is self.fit else str(plain.law)

    def number(self, value: float, places: int) -> str:
        """A value of the axis as text, precise enough for the width of the interval."""
        return number(self.axis, self.elbow, value, places)

    # -------------------------------------------------------------------- the distribution

    def distribution_of(self, target: Estimand) -> ElbowOnAxis | NoDistribution:
        """The distribution of the elbow; of another point of the few-shot curve there is none."""
        if target is not Estimand.ELBOW:
            return only_of_the_elbow(target)
        if self.elbow is None:
            return NoDistribution(target=target, reason=self.reasons[0])
        return self.on_axis

    def density(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Posterior density of the few-shot elbow per nat, any shape."""
        return self.on_axis.density(loss)

    def cumulative(self, loss: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= loss), any shape."""
        return self.on_axis.cumulative(loss)

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the few-shot elbow, nats, any shape."""
        return self.on_axis.quantile(probability)

    def emerged(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Probability that a model of this loss has emerged, P(elbow >= loss), any shape.

        Where higher is stronger, P(elbow <= value).
        """
        return self.on_axis.emerged(loss)

    def exceeds(self, loss: float, score: float) -> float:
        """Probability that the few-shot score of a model of this loss is above `score`.

        The score is the law's mean, without the sampling error of one evaluation, and in the
        orientation of the fit (negated where lower is better).
        """
        return float(np.mean(self._few_shot_score(loss) > score))

    def at(self, loss: float, scores: tuple[float, ...] = ()) -> AtLoss:
        """What to expect of a model of one loss (nats)."""
        drawn = self._few_shot_score(loss)
        return AtLoss(
            loss=loss,
            emerged=float(self.emerged(loss)),
            score=float(np.median(drawn)),
            exceeds=tuple(
                Exceedance(score=score, probability=float(np.mean(drawn > score)))
                for score in scores
            ),
        )

    def draws(self, n: int = N_DRAWS, seed: int = SEED) -> Draws:
        """Posterior draws of every parameter, in the fit's own coordinates (lower is stronger)."""
        return self._posterior.draws(n, np.random.default_rng(seed))

    @cached_property
    def repeats(self) -> tuple[Repeat, ...]:
        """What second data subsets and seeds were worth; none where the forecast is refused."""
        return () if self.elbow is None else repeats(self.fit)

    @property
    def _posterior(self) -> Posterior:
        if self.elbow is None:
            message = f"the forecast is {self.verdict} and has no distribution: {self.reasons[0]}"
            raise FitError(message)
        return self.fit.posterior

    @property
    def on_axis(self) -> ElbowOnAxis:
        """The distribution of the elbow in the unit of the axis; an error where it is refused."""
        return ElbowOnAxis(posterior=self._posterior, axis=self.axis)

    @cached_property
    def _draws(self) -> Draws:
        return self.draws()

    @cached_property
    def _typical(self) -> tuple[Fit, Draws]:
        """The law whose lines are drawn, and the draw they are of."""
        return typical(self.fit, self._latest)

    @property
    def _latest(self) -> float:
        """The end of the 90% interval at the stronger models, in the fit's own coordinates."""
        return float(self._posterior.quantile(0.05))

    def _few_shot_score(self, loss: float) -> NDArray[np.float64]:
        _ = self._posterior
        at = np.atleast_1d(np.asarray(self.axis.from_axis(loss), dtype=np.float64))
        return self._draws.line(np.zeros(1, dtype=np.int64), at)[:, 0]

    # -------------------------------------------------------------------- in compute

    @property
    def compute(self) -> Compute | None:
        """At how much training emergence happens; None where that is not known."""
        return self._compute if isinstance(self._compute, Compute) else None

    @property
    def compute_reason(self) -> str | None:
        """Why there is no forecast in compute and what to do, in a sentence; None where it is."""
        return self._compute.reason if isinstance(self._compute, NoCompute) else None

    def emerged_at(
        self,
        *,
        flops: float | None = None,
        params: float | None = None,
        tokens: float | None = None,
    ) -> AtCompute:
        """What to expect of a run of so many FLOPs, or of so many parameters and tokens.

        The scatter of a single run about the scaling law is included.

        Raises:
            ScalingError: there is no forecast in compute, neither or both are given, or the law is
                not of such runs; the message says what to do.
        """
        found = self._compute
        if isinstance(found, NoCompute):
            message = f"nothing is known of a training run: {found.reason}"
            raise ScalingError(message)
        return at_compute(self.on_axis, found, flops=flops, params=params, tokens=tokens)

    @cached_property
    def _compute(self) -> Compute | NoCompute:
        """Worked out when first asked for: most forecasts of a backtest never are."""
        if self.elbow is None:
            return NoCompute(
                reason=f"the forecast is {self.verdict} and has no distribution, so there is no "
                "loss to convert."
            )
        return compute_of(self.on_axis, self.fit.selection, self.compute_options)

    # -------------------------------------------------------------------- as tables

    def compute_curve(self) -> pl.DataFrame:
        """Probability that a run has emerged: flops, params, emerged; no rows if not known."""
        found = self.compute
        return NO_CURVE if found is None else compute_curve(self.on_axis, found)

    def points(self) -> pl.DataFrame:
        """One row per score: checkpoint, loss, score, stderr, setting, examples, label, hidden."""
        return points(self.fit.selection)

    def curves(self) -> pl.DataFrame:
        """The lines of a typical draw: label, examples, loss, score, extrapolated.

        Finetuned lines end at the strongest checkpoint; the few-shot line goes on past the elbow.
        """
        if self.elbow is None:
            return pl.DataFrame(schema=schema(self.fit))
        return curves(self.fit, self._typical[1], self._latest)

    def distribution(self) -> pl.DataFrame:
        """Posterior of the few-shot elbow: loss, density (per nat), cumulative (has emerged)."""
        return distribution(None if self.elbow is None else self.on_axis)

    # -------------------------------------------------------------------- for people and programs

    def record(
        self,
        *,
        at_loss: tuple[AtLoss, ...] = (),
        at_compute: tuple[AtComputeRecord, ...] = (),
        command: str | None = None,
    ) -> ForecastRecord:
        """The forecast as a file holds it, with what was asked about and by which command."""
        # Long because every field stands here once, in the order of the file.
        fit, axis = self.fit, self.axis
        selection, data = fit.selection, fit.data
        refused = self.elbow is None
        series = selection.series
        return ForecastRecord(
            task=self.task,
            metric=self.metric,
            negated=self.negated,
            series=series[0] if len(series) == 1 else series,
            method=selection.method,
            loss_corpus=selection.loss_corpus,
            few_shot_examples=self.few_shot_examples,
            law=str(fit.law),
            laws=() if refused else laws_record(fit),
            weights=fit.weighting.value,
            axis=axis.record(),
            shift=self.shift.record(),
            elbow=self.elbow,
            observed=self.observed,
            quadrature_error=None if refused else finite(fit.posterior.error),
            bootstrap=BootstrapRecord(
                by_run=resampled_record(self.bootstrap.get(Resample.RUN)),
                by_checkpoint=resampled_record(self.bootstrap.get(Resample.CHECKPOINT)),
            ),
            verdict=self.verdict,
            reasons=self.reasons,
            overridden=self.overridden,
            status=self.status,
            sensitivity=self.sensitivity,
            compute=None if self.compute is None else record_of_compute(self.compute),
            compute_reason=self.compute_reason,
            diagnostics=None if self.diagnostics is None else self.diagnostics.record(axis),
            repeats=self.repeats,
            at_loss=at_loss,
            at_compute=at_compute,
            warnings=self.warnings,
            hidden=selection.hidden,
            truth=self.truth,
            n_rows=int(data.loss.size),
            n_checkpoints=data.n_checkpoints,
            weakest_loss=axis.to_axis(float(data.loss.max())),
            strongest_loss=axis.to_axis(data.strongest_loss),
            loss_spread=data.loss_spread,
            priors=fit.priors.as_dict(),
            rows=rows_record(self.points()),
            distribution=None if refused else distribution_record(self.distribution()),
            lines=None if refused else lines_record(self.curves()),
            invented=selection.invented,
            table_hash=selection.table_hash,
            command=command,
            version=version("emergecast"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values; `json_schema` describes the keys."""
        found: dict[str, Any] = as_json(self.record())
        return found

    def __repr__(self) -> str:
        if self.elbow is None:
            return f"Forecast({self.task!r}: {self.verdict}. {' '.join(self.reasons)})"
        e = self.elbow
        return (
            f"Forecast({self.task!r}: {self.verdict_text}; few-shot emergence at "
            f"{self.number(e.p50, 3)} {self.axis.unit}, "
            f"90% interval {self.number(e.p05, 3)} to {self.number(e.p95, 3)})"
        )

    def _repr_html_(self) -> str:
        elbow = {} if self.elbow is None else asdict(self.elbow)
        cells = {name: self.number(v, 3) for name, v in elbow.items() if v is not None}
        return html(self.title, self.subtitle, self.reasons, cells)

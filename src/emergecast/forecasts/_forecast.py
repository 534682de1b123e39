"""The forecast: distribution of the few-shot elbow, verdict, and what to read off them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.compute import (
    NO_CURVE,
    NO_TICKS,
    AtCompute,
    Compute,
    ComputeOptions,
    at_compute,
    compute_checkpoints,
    compute_curve,
    compute_of,
    compute_ticks,
)
from emergecast.diagnostics import Diagnostics
from emergecast.errors import FitError, OptionError, ScalingError
from emergecast.forecasts._elbow import (
    Elbow,
    sensitivity_on,
)
from emergecast.forecasts._lines import curves, schema, typical
from emergecast.forecasts._overrides import Override, overrides
from emergecast.forecasts._thresholds import Thresholds, default_thresholds
from emergecast.forecasts._verdict import Judgement, Sensitivity, Verdict, judge
from emergecast.inference import (
    BOOTSTRAPS,
    QUANTILES,
    SEED,
    Bootstrap,
    Draws,
    ElbowOnAxis,
    Fit,
    FitStatus,
    Resample,
    fit,
)
from emergecast.suggestions import Repeat, repeats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from emergecast.inference import Posterior
    from emergecast.measurements import Axis, Shift

N_DRAWS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLoss:
    """What to expect of a model of one loss."""

    loss: float
    """Nats, or the unit of the forecast's axis."""
    emerged: float
    """Probability that its few-shot score has left chance."""
    score: float
    """Median of its few-shot score, without sampling error."""
    exceeds: dict[float, float]
    """Probability that this score lies above each asked value."""


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
    """None where the forecast is refused."""
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

    # -------------------------------------------------------------------- names a picture uses

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
        return self.fit.selection.warnings

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
        series = ", ".join(self.fit.selection.series)
        name = f"{self.task} ({series})" if 0 < len(series) <= 30 else self.task
        if self.elbow is None:
            return f"{name}: no forecast"
        return f"{name}: few-shot emergence at {self._number(self.elbow.p50, 2)} {self.axis.unit}"

    @property
    def subtitle(self) -> str:
        """The verdict in a few words."""
        if self.elbow is None:
            return f"{self.verdict_text}: {self.reasons[0]}"
        data, number = self.fit.data, self._number
        kind = "data amounts" if self.shift.is_examples else f"amounts of {self.shift.unit}"
        return (
            f"{self.verdict_text}; 90% interval {number(self.elbow.p05, 2)} to "
            f"{number(self.elbow.p95, 2)} {self.axis.unit}; {data.n_checkpoints} checkpoints, "
            f"{data.amounts.size} {kind}"
        )

    @property
    def lines(self) -> str:
        """What the lines of `curves` are, in a sentence; empty where the forecast is refused."""
        if self.elbow is None:
            return ""
        if len(self.fit.members) == 1:
            return "Lines: one typical draw of the posterior."
        law = self._typical[0].law
        return f"Lines: one typical draw of one of the {len(self.fit.members)} laws, {law}."

    @property
    def plain_law(self) -> str | None:
        """The law of maximum likelihood and bootstrap, where it is not the forecast's own."""
        plain = self.fit.plain
        return None if plain is self.fit else str(plain.law)

    def _number(self, value: float, places: int) -> str:
        width = 0.0 if self.elbow is None else self.elbow.p95 - self.elbow.p05
        return self.axis.number(value, self.axis.places(width, places))

    # -------------------------------------------------------------------- the distribution

    def density(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Posterior density of the few-shot elbow per nat, any shape."""
        return self._elbow.density(loss)

    def cumulative(self, loss: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= loss), any shape."""
        return self._elbow.cumulative(loss)

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the few-shot elbow, nats, any shape."""
        return self._elbow.quantile(probability)

    def emerged(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Probability that a model of this loss has emerged, P(elbow >= loss), any shape.

        Where higher is stronger, P(elbow <= value).
        """
        return self._elbow.emerged(loss)

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
            exceeds={score: float(np.mean(drawn > score)) for score in scores},
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
            message = f"the forecast is refused and has no distribution: {self.reasons[0]}"
            raise FitError(message)
        return self.fit.posterior

    @property
    def _elbow(self) -> ElbowOnAxis:
        """The distribution of the elbow in the unit of the axis."""
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
        return None if isinstance(self._compute, Compute) else self._compute

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
        if not isinstance(found, Compute):
            message = f"nothing is known of a training run: {found}"
            raise ScalingError(message)
        return at_compute(self._elbow, found, flops=flops, params=params, tokens=tokens)

    @cached_property
    def _compute(self) -> Compute | str:
        """Worked out when first asked for: most forecasts of a backtest never are."""
        if self.elbow is None:
            return "the forecast is refused, so there is no loss to convert."
        return compute_of(self._elbow, self.fit.selection, self.compute_options)

    # -------------------------------------------------------------------- frames for pictures

    def compute_curve(self) -> pl.DataFrame:
        """Probability that a run has emerged: flops, params, emerged; no rows if not known."""
        found = self.compute
        return NO_CURVE if found is None else compute_curve(self._elbow, found)

    def compute_ticks(self) -> pl.DataFrame:
        """Round FLOPs in that range and the size of such runs: flops, params, tokens."""
        found = self.compute
        return NO_TICKS if found is None else compute_ticks(self._elbow, found)

    def compute_checkpoints(self) -> pl.DataFrame:
        """Few-shot checkpoints of known compute: checkpoint, flops, hidden, emerged."""
        return compute_checkpoints(self.fit.selection)

    def points(self) -> pl.DataFrame:
        """One row per score: checkpoint, loss, score, stderr, setting, examples, label, hidden."""
        selection = self.fit.selection
        seen = selection.rows.with_columns(hidden=pl.lit(value=False))
        key = ["series", "checkpoint"]
        later = selection.all_few_shot.join(selection.rows.select(key).unique(), on=key, how="anti")
        rows = pl.concat([seen, later.with_columns(hidden=pl.lit(value=True))], how="diagonal")
        shift = self.shift
        return rows.select(
            "checkpoint",
            self.axis.to_axis(pl.col("loss")),
            "score",
            "stderr",
            pl.when("few_shot")
            .then(pl.lit("few-shot"))
            .otherwise(pl.lit("finetuned"))
            .alias("setting"),
            shift.to_shift(pl.col("examples")),
            pl.struct("few_shot", "examples")
            .map_elements(
                lambda row: "few-shot" if row["few_shot"] else shift.number(row["examples"]),
                return_dtype=pl.String,
            )
            .alias("label"),
            "hidden",
        )

    def curves(self) -> pl.DataFrame:
        """The lines of a typical draw: label, examples, loss, score, extrapolated.

        Finetuned lines end at the strongest checkpoint; the few-shot line goes on past the elbow.
        """
        if self.elbow is None:
            return pl.DataFrame(schema=schema(self.fit))
        return curves(self.fit, self._typical[1], self._latest)

    def distribution(self) -> pl.DataFrame:
        """Posterior of the few-shot elbow: loss, density (per nat), cumulative (has emerged)."""
        if self.elbow is None:
            return pl.DataFrame(
                schema={"loss": pl.Float64, "density": pl.Float64, "cumulative": pl.Float64}
            )
        low, high = self.quantile([0.0005, 0.9995])
        margin = 0.05 * (high - low)
        loss = np.linspace(low - margin, high + margin, 400)
        return pl.DataFrame(
            {"loss": loss, "density": self.density(loss), "cumulative": self.emerged(loss)}
        )

    # -------------------------------------------------------------------- for people and programs

    def to_dict(self) -> dict[str, Any]:
        """The forecast as plain values; `json_schema` describes the keys."""
        from importlib.metadata import version

        selection, data = self.fit.selection, self.fit.data
        series = selection.series
        return {
            "task": self.task,
            "metric": self.metric,
            "negated": self.negated,
            "series": series[0] if len(series) == 1 else list(series),
            "method": selection.method,
            "loss_corpus": selection.loss_corpus,
            "few_shot_examples": self.few_shot_examples,
            "law": str(self.fit.law),
            "laws": self._laws(),
            "weights": "stacking" if self.fit.stacked else "fixed",
            "axis": self.axis.as_dict(),
            "shift": self.shift.as_dict(),
            "elbow": None if self.elbow is None else asdict(self.elbow),
            "quadrature_error": None if self.elbow is None else _finite(self.fit.posterior.error),
            "bootstrap": {str(kind): _summary(self.bootstrap.get(kind)) for kind in Resample},
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "overridden": [asdict(each) for each in self.overridden],
            "status": str(self.status),
            "sensitivity": [asdict(row) for row in self.sensitivity],
            "compute": self.compute and self.compute.to_dict(),
            "compute_reason": self.compute_reason,
            "diagnostics": self.diagnostics and self.diagnostics.to_dict(self.axis),
            "repeats": [asdict(each) for each in self.repeats],
            "warnings": list(self.warnings),
            "hidden": list(selection.hidden),
            "truth": self.truth,
            "n_rows": int(data.loss.size),
            "n_checkpoints": data.n_checkpoints,
            "weakest_loss": self.axis.to_axis(float(data.loss.max())),
            "strongest_loss": self.axis.to_axis(data.strongest_loss),
            "loss_spread": data.loss_spread,
            "priors": self.fit.priors.as_dict(),
            "table_hash": selection.table_hash,
            "version": version("emergecast"),
        }

    def _laws(self) -> list[dict[str, Any]]:
        """Name, weight and quantiles of every law."""
        if self.elbow is None:
            return []
        found = []
        for member, weight in zip(self.fit.members, self.fit.weights, strict=True):
            quantiles = ElbowOnAxis(posterior=member.posterior, axis=self.axis).quantiles()
            evidence = member.posterior.log_evidence
            found.append(
                {"law": str(member.law), "weight": weight, **quantiles, "log_evidence": evidence}
            )
        return found

    def __repr__(self) -> str:
        if self.elbow is None:
            return f"Forecast({self.task!r}: refused. {' '.join(self.reasons)})"
        e = self.elbow
        return (
            f"Forecast({self.task!r}: {self.verdict_text}; few-shot emergence at "
            f"{self._number(e.p50, 3)} {self.axis.unit}, "
            f"90% interval {self._number(e.p05, 3)} to {self._number(e.p95, 3)})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        rows = ""
        if self.elbow is not None:
            shown = {name: v for name, v in asdict(self.elbow).items() if v is not None}
            names = "".join(f"<th>{name}</th>" for name in shown)
            cells = "".join(f"<td>{self._number(value, 3)}</td>" for value in shown.values())
            rows = f"<table><tr>{names}</tr><tr>{cells}</tr></table>"
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        return f"<b>{escape(self.title)}</b><br>{escape(self.subtitle)}{rows}<ul>{reasons}</ul>"


def forecast(
    table_or_fit: Any,  # noqa: ANN401  a Fit, or whatever read_table takes
    *,
    rules: Mapping[str, float] | None = None,
    bootstraps: int = BOOTSTRAPS,
    compute: ComputeOptions | None = None,
    **fitting: Any,  # noqa: ANN401  arguments of fit, checked there
) -> Forecast:
    """Where emergence will happen, with a verdict.

    Args:
        table_or_fit: a `Fit`, or a table to fit first: Measurements, a path, a polars or pandas
            frame, records.
        rules: rules of the verdict to override, by name: fields of `Thresholds`, in the unit of
            the axis. The others keep the default of that axis.
        bootstraps: resamples of each kind; 0 for none.
        compute: how the loss of emergence becomes compute; the defaults of `ComputeOptions`.
        **fitting: how a table is fitted: task, law, priors, at_chance_only, ...; as `fit`.

    Raises:
        OptionError: an impossible option, or `fitting` beside a `Fit`.
        TableError: the table has bad rows (all of them listed).
        SelectionError: the rows asked for do not make one fit.
        FitError: no estimate exists for these rows.
    """
    if not isinstance(table_or_fit, Fit):
        fitted = fit(table_or_fit, **fitting)
    elif fitting:
        raise OptionError(
            f"{', '.join(fitting)} say how a table is fitted, and this is a fit already: give them "
            "to emergecast.fit."
        )
    else:
        fitted = table_or_fit
    thresholds = default_thresholds(fitted.selection.axis).override(rules or {})
    return _forecast(fitted, thresholds, bootstraps, compute or ComputeOptions())


def _forecast(
    fit: Fit, thresholds: Thresholds, bootstraps: int, options: ComputeOptions
) -> Forecast:
    judgement: Judgement = judge(fit, thresholds)
    if judgement.verdict is Verdict.REFUSED:
        return Forecast(
            fit=fit,
            verdict=judgement.verdict,
            reasons=judgement.reasons,
            thresholds=thresholds,
            elbow=None,
            bootstrap=dict.fromkeys(Resample),
            sensitivity=(),
            compute_options=options,
        )
    posterior, axis = fit.posterior, fit.selection.axis
    elbow = Elbow(
        mle=None if fit.mle is None else axis.to_axis(fit.mle.elbow),
        mode=axis.to_axis(posterior.mode),
        **ElbowOnAxis(posterior=posterior, axis=axis).quantiles(),
    )
    bootstrap = {kind: fit.bootstrap(kind, bootstraps) if bootstraps else None for kind in Resample}
    return Forecast(
        fit=fit,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        thresholds=thresholds,
        elbow=elbow,
        bootstrap={
            kind: None if each is None else replace(each, modes=axis.to_axis(each.modes))
            for kind, each in bootstrap.items()
        },
        sensitivity=tuple(sensitivity_on(axis, row) for row in judgement.sensitivity),
        diagnostics=judgement.diagnostics,
        compute_options=options,
    )


def _summary(result: Bootstrap | None) -> dict[str, float | int] | None:
    """Quantiles of a bootstrap, or None where there was nothing to resample or nothing left."""
    if result is None or result.modes.size == 0:
        return None
    values = result.quantile(list(QUANTILES.values()))
    quantiles = dict(zip(QUANTILES, map(float, values), strict=True))
    return {**quantiles, "n": result.n, "degenerate": result.degenerate}


def _finite(value: float) -> float | None:
    """The value, or None where it is not a number that JSON can hold."""
    return value if np.isfinite(value) else None

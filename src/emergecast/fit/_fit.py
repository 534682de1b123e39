"""From a table to a `Fit`: rows, law, priors, and everything inferred from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import halfnorm

from emergecast.errors import OptionError
from emergecast.fit._bootstrap import Bootstrap, Resample, bootstrap
from emergecast.fit._coordinates import Coordinates
from emergecast.fit._data import FitData, fit_data
from emergecast.fit._point import PointEstimate, maximum_likelihood
from emergecast.fit._posterior import Posterior
from emergecast.fit._priors import Priors
from emergecast.law import LawForm
from emergecast.measurements import MetricKind, SelectOptions, read_table, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emergecast.forecast import Forecast, Thresholds
    from emergecast.measurements import Measurements, Selection

SEED = 20241122
"""Of every random step whose seed the caller does not choose."""


class FitStatus(StrEnum):
    """How the inference itself went; whether to trust its answer is the verdict's business."""

    EXACT = "exact"
    UNBOUNDED = "unbounded"
    INACCURATE = "inaccurate"
    NOT_COMPUTED = "not_computed"

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        return {
            FitStatus.EXACT: "The posterior is integrated to within its tolerance, and the "
            "likelihood has a maximum.",
            FitStatus.UNBOUNDED: "The posterior is integrated to within its tolerance, but the "
            "likelihood has no maximum in any sensible range, so there is no maximum likelihood "
            "estimate: without priors these rows do not bound the elbow. Measure more data "
            "amounts, or stronger checkpoints.",
            FitStatus.INACCURATE: "The posterior could not be integrated to within its tolerance; "
            "the quantiles may be off by the error stated beside them. Report this table.",
            FitStatus.NOT_COMPUTED: "Nothing was inferred, because the rows do not allow it.",
        }[self]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One law, with its priors, on the rows of one task; inference happens when it is asked for."""

    selection: Selection
    data: FitData
    form: LawForm
    priors: Priors

    @cached_property
    def coordinates(self) -> Coordinates:
        """Coordinates in which the posterior is integrated."""
        return Coordinates.of(self.data, self.form, self.priors)

    @cached_property
    def posterior(self) -> Posterior:
        """The exact posterior of the few-shot elbow and of all parameters."""
        return Posterior(self.data, self.coordinates)

    @cached_property
    def mle(self) -> PointEstimate | None:
        """Maximum likelihood estimate; None where it leaves every sensible range."""
        return maximum_likelihood(self.data, self.form)

    @property
    def status(self) -> FitStatus:
        """How the inference went."""
        if not self.posterior.converged:
            return FitStatus.INACCURATE
        return FitStatus.EXACT if self.mle is not None else FitStatus.UNBOUNDED

    @cached_property
    def prior_sd(self) -> float:
        """Standard deviation of E(D0) under the priors alone, nats."""
        return prior_elbow_sd(self.coordinates) * self.data.loss_spread

    def bootstrap(self, resample: Resample, n: int = 200, seed: int = SEED) -> Bootstrap | None:
        """Refit `n` resamples; None where no cell holds several runs to resample."""
        rng = np.random.default_rng([seed, list(Resample).index(resample)])
        noise = float(np.median(self.posterior.draws(1000, np.random.default_rng(seed)).noise))
        return bootstrap(self.data, self.coordinates, resample, noise=noise, n=n, rng=rng)

    def with_priors(self, priors: Priors) -> Fit:
        """The same rows and law under other priors."""
        return replace(self, priors=priors)

    def with_law(self, form: LawForm) -> Fit:
        """The same rows under another law, with that law's default prior of alpha."""
        default = Priors.default(form)
        priors = replace(
            self.priors, alpha_median=default.alpha_median, alpha_sd_ln=default.alpha_sd_ln
        )
        return replace(self, form=form, priors=priors)

    def with_few_shot_examples(self, examples: float) -> Fit:
        """The same fit, read off at another D0."""
        return replace(self, data=replace(self.data, few_shot_examples=examples))

    def forecast(self, *, bootstraps: int = 200, thresholds: Thresholds | None = None) -> Forecast:
        """Where emergence will happen, with a verdict.

        Args:
            bootstraps: resamples of each kind; 0 for none.
            thresholds: when a forecast counts as identified or is refused.
        """
        from emergecast.forecast import forecast  # the one call upwards, so that this reads well

        return forecast(self, bootstraps=bootstraps, thresholds=thresholds)

    def to_arviz(self, n: int = 4000, seed: int = SEED) -> Any:  # noqa: ANN401  arviz is optional
        """Posterior draws as an `arviz.InferenceData` (one chain of independent draws).

        Raises:
            OptionError: arviz is not installed.
        """
        try:
            import arviz
        except ImportError as error:
            message = "arviz is not installed; pip install 'emergecast[arviz]'."
            raise OptionError(message) from error
        draws = self.posterior.draws(n, np.random.default_rng(seed))
        names = [name for name in draws.__slots__ if name != "effective"]
        return arviz.from_dict(posterior={name: getattr(draws, name)[None, :] for name in names})

    def __repr__(self) -> str:
        data = self.data
        return (
            f"Fit({self.form} law, task {self.selection.task!r}, {data.loss.size} scores of "
            f"{data.n_checkpoints} checkpoints, {data.amounts.size} data amounts "
            f"{data.amounts[0]:,.0f}-{data.amounts[-1]:,.0f}, D0 = {data.few_shot_examples:g})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(repr(self))}<br><code>.forecast()</code> gives the answer.</p>"


def fit(  # noqa: PLR0913  the options of the main call, all named
    table: Any,  # noqa: ANN401  whatever read_table takes
    *,
    task: str | None = None,
    law: LawForm | str = LawForm.LOG_POWER,
    few_shot_examples: float | None = None,
    priors: Priors | Mapping[str, float] | None = None,
    chance: float | None = None,
    select_options: SelectOptions | None = None,
    **selection: Any,  # noqa: ANN401  fields of SelectOptions, checked below
) -> Fit:
    """The emergence law fitted to the rows of one task.

    Args:
        table: Measurements, a path (CSV, Parquet, JSON Lines), a polars or pandas frame, records.
        task: name of the task; may be left out where the table holds one.
        law: "log-power" or "power".
        few_shot_examples: D0, the amount at which the few-shot elbow is read off; default the shots
            of the few-shot rows.
        priors: scales to override, by name, or a whole `Priors`.
        chance: chance level, for a table without that column.
        select_options: which rows to fit; or give the fields of `SelectOptions` one by one:
        **selection: series, pool, metric, method, at_chance_only, min_loss, max_loss, exclude, ...

    Raises:
        TableError: the table has bad rows (all of them listed).
        SelectionError: the rows asked for do not make one fit.
        OptionError: an impossible option or prior.
        FitError: no estimate exists for these rows.
    """
    form = _law_form(law)
    options = _select_options(select_options, task, selection)
    picked = select(_measurements(table, chance), options)
    data = fit_data(picked, few_shot_examples=few_shot_examples)
    if isinstance(priors, Priors):
        chosen = priors
    else:
        default = Priors.default(form, proportion=picked.metric_kind is MetricKind.PROPORTION)
        chosen = default.override(priors or {})
    return Fit(selection=picked, data=data, form=form, priors=chosen)


def _measurements(table: Any, chance: float | None) -> Measurements:  # noqa: ANN401  as fit
    from emergecast.measurements import Measurements

    if isinstance(table, Measurements) and chance is None:
        return table
    return read_table(table, chance=chance)


def _law_form(law: LawForm | str) -> LawForm:
    try:
        return LawForm(law)
    except ValueError:
        message = f"there is no law {law!r}; the laws are {', '.join(LawForm)}."
        raise OptionError(message) from None


def _select_options(
    options: SelectOptions | None, task: str | None, extra: dict[str, Any]
) -> SelectOptions:
    options = options or SelectOptions()
    if task is not None:
        extra = {**extra, "task": task}
    unknown = set(extra) - set(SelectOptions.__slots__)
    if unknown:
        message = (
            f"fit() has no option {', '.join(sorted(unknown))}; rows are chosen by "
            f"{', '.join(SelectOptions.__slots__)}."
        )
        raise OptionError(message)
    if isinstance(extra.get("exclude"), str):
        extra["exclude"] = (extra["exclude"],)
    return replace(options, **extra)


def prior_elbow_sd(coordinates: Coordinates) -> float:
    """Standard deviation of E(D0) under the priors, in S, by quadrature over alpha.

    E(D0) = E(10) - d w r(alpha) with w the decades between the anchors and
    r = g(10) / (g(Dhi) - g(10)), and E(10), d and alpha independent.
    """
    priors = coordinates.priors
    z = np.linspace(-6, 6, 401)
    weight = np.exp(-0.5 * z**2)
    weight /= weight.sum()
    anchors = coordinates.fractions(math.log(priors.alpha_median) + priors.alpha_sd_ln * z)[1]
    ratio = coordinates.decades * anchors[:, 0] / (anchors[:, 1] - anchors[:, 0])
    first, second = float(weight @ ratio), float(weight @ ratio**2)
    mean, square = priors.shift_scale * float(halfnorm.mean()), priors.shift_scale**2
    return math.sqrt(priors.elbow_scale**2 + square * second - (mean * first) ** 2)

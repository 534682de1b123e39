"""From a table or a fit to its forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from emergecast.errors import OptionError, given
from emergecast.forecasts._elbow import Elbow, sensitivity_on
from emergecast.forecasts._forecast import Forecast
from emergecast.forecasts._forecast_options import ForecastOptions
from emergecast.forecasts._thresholds import default_thresholds
from emergecast.forecasts._verdict import Verdict, judge, refusal, without_finetuned
from emergecast.inference import ElbowOnAxis, Fit, Resample, both, fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from emergecast.inference import FitOptions
    from emergecast.measurements import SelectOptions


def forecast(
    table_or_fit: object,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    options: ForecastOptions | None = None,
    *,
    on_elbow: Callable[[Fit, Elbow], None] | None = None,
) -> Forecast:
    """Where emergence will happen, with a verdict.

    Args:
        table_or_fit: a `Fit`, or a table to fit first, as `fit` takes it.
        rows: which rows of the table to fit.
        fitting: how to fit them.
        options: what to make of the fit.
        on_elbow: called with the answer as soon as it is there; the diagnostics, which the verdict
            waits for, and the bootstrap take as long again.

    Raises:
        OptionError: an impossible option, or `rows` or `fitting` beside a `Fit`.
        TableError: the table has bad rows (all of them listed).
        SelectionError: the rows asked for do not make one fit.
        FitError: no estimate exists for these rows.
    """
    if not isinstance(table_or_fit, Fit):
        fitted = fit(table_or_fit, rows, fitting, few_shot_only=True)
    elif rows is not None or fitting is not None:
        raise OptionError(
            "rows and fitting say how a table is fitted, and this is a fit already: give them to "
            "emergecast.fit."
        )
    else:
        fitted = table_or_fit
    options = given(options, ForecastOptions, "options")
    thresholds = default_thresholds(fitted.selection.axis).override(options.rules)
    few_shot_only = not fitted.data.amounts.size
    made = Forecast(
        fit=fitted,
        verdict=Verdict.REFUSED,
        reasons=() if few_shot_only else refusal(fitted, thresholds),
        thresholds=thresholds,
        elbow=None,
        bootstrap=dict.fromkeys(Resample),
        sensitivity=(),
        compute_options=options.compute,
    )
    if few_shot_only:
        said = without_finetuned(fitted, made.observed)
        return replace(made, verdict=said.verdict, reasons=said.reasons)
    if made.reasons:
        return made
    posterior, axis = fitted.posterior, fitted.selection.axis
    elbow = Elbow(
        mle=None if fitted.mle is None else axis.to_axis(fitted.mle.elbow),
        mode=axis.to_axis(posterior.mode),
        **ElbowOnAxis(posterior=posterior, axis=axis).quantiles(),
    )
    if on_elbow is not None:
        on_elbow(fitted, elbow)
    n = options.bootstraps
    bootstrap, judgement = both(
        lambda: {kind: fitted.bootstrap(kind, n) if n else None for kind in Resample},
        lambda: judge(fitted, thresholds, diagnosed=options.diagnostics),
    )
    return replace(
        made,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        elbow=elbow,
        bootstrap={
            kind: None if each is None else replace(each, modes=axis.to_axis(each.modes))
            for kind, each in bootstrap.items()
        },
        sensitivity=tuple(sensitivity_on(axis, row) for row in judgement.sensitivity),
        diagnostics=judgement.diagnostics,
    )

"""From a table or a fit to its forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from emergecast.errors import OptionError
from emergecast.forecasts._elbow import Elbow, sensitivity_on
from emergecast.forecasts._forecast import Forecast
from emergecast.forecasts._forecast_options import ForecastOptions
from emergecast.forecasts._thresholds import default_thresholds
from emergecast.forecasts._verdict import Verdict, judge
from emergecast.inference import ElbowOnAxis, Fit, Resample, fit

if TYPE_CHECKING:
    from emergecast.inference import FitOptions
    from emergecast.measurements import SelectOptions


def forecast(
    table_or_fit: object,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    options: ForecastOptions | None = None,
) -> Forecast:
    """Where emergence will happen, with a verdict.

    Args:
        table_or_fit: a `Fit`, or a table to fit first, as `fit` takes it.
        rows: which rows of the table to fit.
        fitting: how to fit them.
        options: what to make of the fit.

    Raises:
        OptionError: an impossible option, or `rows` or `fitting` beside a `Fit`.
        TableError: the table has bad rows (all of them listed).
        SelectionError: the rows asked for do not make one fit.
        FitError: no estimate exists for these rows.
    """
    if not isinstance(table_or_fit, Fit):
        fitted = fit(table_or_fit, rows, fitting)
    elif rows is not None or fitting is not None:
        raise OptionError(
            "rows and fitting say how a table is fitted, and this is a fit already: give them to "
            "emergecast.fit."
        )
    else:
        fitted = table_or_fit
    options = options or ForecastOptions()
    thresholds = default_thresholds(fitted.selection.axis).override(options.rules)
    judgement = judge(fitted, thresholds)
    made = Forecast(
        fit=fitted,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        thresholds=thresholds,
        elbow=None,
        bootstrap=dict.fromkeys(Resample),
        sensitivity=(),
        compute_options=options.compute,
    )
    if judgement.verdict is Verdict.REFUSED:
        return made
    posterior, axis = fitted.posterior, fitted.selection.axis
    elbow = Elbow(
        mle=None if fitted.mle is None else axis.to_axis(fitted.mle.elbow),
        mode=axis.to_axis(posterior.mode),
        **ElbowOnAxis(posterior=posterior, axis=axis).quantiles(),
    )
    n = options.bootstraps
    bootstrap = {kind: fitted.bootstrap(kind, n) if n else None for kind in Resample}
    return replace(
        made,
        elbow=elbow,
        bootstrap={
            kind: None if each is None else replace(each, modes=axis.to_axis(each.modes))
            for kind, each in bootstrap.items()
        },
        sensitivity=tuple(sensitivity_on(axis, row) for row in judgement.sensitivity),
        diagnostics=judgement.diagnostics,
    )

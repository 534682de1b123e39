"""Many forecasts of one table, of which one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emergecast.errors import EmergecastError, FitError, SelectionError
from emergecast.forecasts._elbow import Elbow
from emergecast.forecasts._forecast import Forecast
from emergecast.forecasts._make_forecast import forecast
from emergecast.inference import Fit, FitOptions, fit
from emergecast.measurements import SelectOptions, fits_of, read_table
from emergecast.observed import ground_truths

if TYPE_CHECKING:
    from emergecast.forecasts._forecast_options import ForecastOptions
    from emergecast.observed import GroundTruth


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOrError:
    """One task and series: a forecast, or the error that prevented it."""

    name: str
    """Task and series."""
    forecast: Forecast | None
    """None where there is an error."""
    error: EmergecastError | None
    """None where there is a forecast."""
    truth: GroundTruth | None
    """The elbow that the hidden few-shot rows show, as losses; None where nothing was hidden, or
    where they show none."""


def forecast_each(
    table: object,
    rows: SelectOptions | Sequence[SelectOptions] | None = None,
    fitting: FitOptions | None = None,
    options: ForecastOptions | None = None,
    *,
    on_fit: Callable[[int, int, str], None] | None = None,
    on_elbow: Callable[[Fit, Elbow], None] | None = None,
) -> tuple[ForecastOrError, ...]:
    """A forecast of every task and series that `rows` ask for; an error of one stops no other.

    Args:
        table: what `read_table` takes.
        rows: which rows, once or several times; of each, every task and (unless pooled) every
            series is a fit of its own.
        fitting: how to fit them.
        options: what to make of each fit.
        on_fit: called with how many are done, of how many, and which is next, for a progress bar.
        on_elbow: as `forecast`.

    Raises:
        TableError: the table has bad rows.
        OptionError: an impossible option.
        SelectionError, FitError: where only one fit is asked for.
    """
    if rows is None or isinstance(rows, SelectOptions):
        rows = (rows or SelectOptions(),)
    first = rows[0] if rows else SelectOptions()
    table = read_table(table, axis=first.axis, shift=first.shift)
    wanted = [each for option in rows for each in fits_of(table, option)]
    found = []
    for done, each in enumerate(wanted):
        name = name_of(each)
        if on_fit is not None:
            on_fit(done, len(wanted), name)
        try:
            fitted = fit(table, each, fitting, few_shot_only=True)
            truth = ground_truths(fitted.selection).elbow if fitted.selection.hidden else None
            made = forecast(fitted, options=options, on_elbow=on_elbow)
        except (SelectionError, FitError) as error:
            if len(wanted) == 1:
                raise
            found.append(ForecastOrError(name=name, forecast=None, error=error, truth=None))
            continue
        if truth is not None:
            made = replace(made, truth=made.axis.to_axis(truth.loss))
        found.append(ForecastOrError(name=name, forecast=made, error=None, truth=truth))
    return tuple(found)


def name_of(rows: SelectOptions) -> str:
    """Task and series of one fit, for a heading."""
    return " / ".join(str(part) for part in (rows.task, rows.series) if isinstance(part, str))

"""Several series compared: which of them emerges first, at equal loss and at equal compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from emergecast.comparison._comparison import Comparison
from emergecast.comparison._emergence_order import (
    LeftOut,
    order_at_equal_compute,
    order_at_equal_loss,
)
from emergecast.comparison._first import elbow_compute
from emergecast.comparison._ranking import loss_ranking, rankings
from emergecast.comparison._series_forecast import SeriesForecast, losses_apart, series_forecast
from emergecast.comparison._series_pair import pairs_of, refusal
from emergecast.errors import FitError, OptionError, SelectionError, given, near
from emergecast.forecasts import ForecastOptions, forecast
from emergecast.inference import FitOptions, fit
from emergecast.measurements import Measurements, SelectOptions, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from emergecast.measurements import Selection

NAMES_SHOWN = 8


def compare(
    table: object,
    series: Sequence[str] | None = None,
    *,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    rules: Mapping[str, float] | None = None,
    per_byte: bool = False,
) -> Comparison:
    """Two or more series on one task: forecast of each, and which emerges first.

    Each series is fitted on its own, and the posteriors are taken as independent. At equal loss the
    answer of two is P(elbow of the first > elbow of the second), which is not stated where losses
    per token were measured with different tokenizers or on different held-out text. At equal
    compute each elbow is turned into FLOPs as in its own forecast, which needs no common loss. The
    orders have the probability of each place, by the same posteriors. The baseline ranks the series
    by their scores at one size.

    A forecast that is refused takes no place; of three series or more, one that cannot be fitted is
    left out. The other series are compared all the same.

    Args:
        table: what `read_table` takes.
        series: their names; None for all that the table has of the task.
        rows: which rows of each to take.
        fitting: how to fit them.
        rules: rules of the verdicts to override, by name, as `ForecastOptions` takes them.
        per_byte: the losses are nats per byte of the same text, so that tokenizers do not matter.

    Raises:
        OptionError: not two different series or more.
        SelectionError: the rows of a series do not make one fit, and fewer than two others do; or
            a series is not in the table.
        FitError: no estimate exists for a series, and fewer than two others have one.
    """
    rows = given(rows, SelectOptions, "rows")
    measured = read_table(table, axis=rows.axis, shift=rows.shift)
    names = series_to_compare(measured, series, rows.task)
    each = forecast_series(measured, names, rows=rows, fitting=fitting, rules=rules)
    return comparison_of(tuple(each), per_byte=per_byte)


def series_to_compare(
    table: Measurements, series: Sequence[str] | None, task: str | None
) -> tuple[str, ...]:
    """The series asked for, at least two.

    Raises:
        OptionError: they are not two different ones or more.
        SelectionError: the table has no such series.
    """
    frame = table.frame if task is None else table.frame.filter(pl.col("task") == task)
    names = tuple(sorted(frame["series"].unique().to_list())) or table.series
    shown = ", ".join(names[:NAMES_SHOWN])
    shown += f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    if series is None:
        if len(names) < 2:
            raise OptionError(
                f"a comparison takes two series or more, and the table has only {shown}. Put the "
                "rows of all into one table, told apart by the column series."
            )
        return names
    asked = (series,) if isinstance(series, str) else tuple(series)
    if len(asked) < 2:
        raise OptionError(
            f"a comparison takes two series or more, not {len(asked)} ({', '.join(asked)}). Give "
            f"them with --series A B ...; the table has {shown}."
        )
    twice = next((name for i, name in enumerate(asked) if name in asked[:i]), None)
    if twice is not None:
        raise OptionError(
            f'the series "{twice}" cannot be compared with itself. The table has {shown}.'
        )
    unknown = next((name for name in asked if name not in table.series), None)
    if unknown is not None:
        raise SelectionError(f'no row has the series "{unknown}". {near(unknown, table.series)}')
    return asked


def forecast_series(
    table: Measurements,
    series: Sequence[str],
    *,
    rows: SelectOptions,
    fitting: FitOptions | None = None,
    rules: Mapping[str, float] | None = None,
) -> Iterator[SeriesForecast | LeftOut]:
    """The forecast of each series as it is made; of three or more, why there is none.

    Raises:
        SelectionError, FitError: as `compare`.
    """
    options = ForecastOptions(bootstraps=0, rules=rules or {})
    errors: list[SelectionError | FitError] = []
    for name in series:
        try:
            chosen = replace(rows, series=name, pool=False)
            fitted = fit(table, chosen, fitting, few_shot_only=True)
        except (SelectionError, FitError) as error:
            errors.append(error)
            if name not in table.series or len(series) - len(errors) < 2:
                raise _nothing_left(errors, name, len(series)) from None
            yield LeftOut(series=name, reason=str(error))
            continue
        yield series_forecast(name, forecast(fitted, options=options), table)


def _nothing_left(
    errors: Sequence[SelectionError | FitError], name: str, of: int
) -> SelectionError | FitError:
    """The error where fewer than two series are left, with every reason that was met."""
    reasons = list(dict.fromkeys(map(str, errors)))
    if len(reasons) == 1:
        return errors[-1]
    shown = " ".join(reasons[:NAMES_SHOWN])
    return type(errors[-1])(
        f"after {name} fewer than two of the {of} series are left to compare: {shown}"
    )


def comparison_of(
    found: Sequence[SeriesForecast | LeftOut], *, per_byte: bool = False
) -> Comparison:
    """The comparison of series that have been forecast; those left out are named in it."""
    made = tuple(each for each in found if isinstance(each, SeriesForecast))
    pairs = pairs_of(made, per_byte=per_byte)
    _, warnings = losses_apart([each.sources for each in made], per_byte=per_byte)
    at_loss = order_at_equal_loss(made, pairs)
    able = [each for each in made if each.forecast.elbow is not None]
    ranked = rankings(*_selections(able if len(able) > 1 else made))
    by_loss = [each for each in made if each.series in at_loss.names]
    on_loss = made[0].forecast.axis.is_loss
    # Of two, of which one is refused, neither compute is stated, as it always was.
    silent = len(made) == 2 and refusal(made) is not None
    return Comparison(
        found=made,
        pairs=pairs,
        compute=tuple(None if silent else elbow_compute(each.forecast) for each in made),
        order_at_equal_loss=at_loss,
        order_at_equal_compute=order_at_equal_compute(made),
        rankings=() if isinstance(ranked, str) else ranked,
        no_ranking=ranked if isinstance(ranked, str) else None,
        loss_ranking=loss_ranking(*_selections(by_loss)) if on_loss else None,
        left_out=tuple(each for each in found if isinstance(each, LeftOut)),
        loss_warnings=warnings,
    )


def _selections(found: Sequence[SeriesForecast]) -> list[Selection]:
    return [each.forecast.fit.selection for each in found]

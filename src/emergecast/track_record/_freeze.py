"""Forecasts written down before the model exists, in files that show whether they were edited."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.errors import FrozenError
from emergecast.forecasts import Verdict
from emergecast.measurements import CHANCE_MARGIN, CHANCE_STDERRS, Axis, SelectOptions, Shift
from emergecast.track_record._check_frozen import INTERPOLATION, problems_of
from emergecast.track_record._frozen import FORMAT, ROW_KEY, FrozenForecast, digest

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast
    from emergecast.measurements import Selection

SHOWN = ("rows", "distribution", "lines")
"""Of a forecast's record, what a frozen file holds more finely, or does not need."""
LEVELS = (1e-5, 1e-4, *(level / 1000 for level in range(1, 1000)), 1 - 1e-4, 1 - 1e-5)
ROW_VALUES = ("loss", "score", "stderr", "runs")


def freeze(
    forecast: Forecast,
    *,
    options: SelectOptions | None = None,
    note: str | None = None,
    invented: bool = False,
) -> FrozenForecast:
    """The forecast, with all that is needed to score it later without fitting again.

    A refused forecast can be frozen too: a track record counts those.

    Args:
        forecast: what to freeze.
        options: which rows it was made from, so that later rows are chosen alike; without them, the
            task, series, metric, method, shots and corpus that the rows turned out to have.
        note: anything to remember, in words.
        invented: freeze invented scores all the same; no tally counts such a file.

    Raises:
        FrozenError: the scores are invented, nothing is forecast, or the file could not be read
            again, as where the clock of this machine is wrong.
    """
    from importlib.metadata import version

    if forecast.fit.selection.invented and not invented:
        raise FrozenError(
            "the scores of this forecast are invented, so there is nothing to score later. Freeze "
            "measured ones, or write a record that no tally counts with --invented."
        )
    if forecast.elbow is None and forecast.verdict is not Verdict.REFUSED:
        raise FrozenError(
            "nothing is forecast here, so there is nothing to freeze: no row is finetuned, and the "
            "few-shot rows show the elbow already."
        )
    content: dict[str, Any] = {
        "format": FORMAT,
        "frozen_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("emergecast"),
        "note": note,
        "target": _target(forecast),
        "forecast": {k: v for k, v in forecast.to_dict().items() if k not in SHOWN},
        "thresholds": asdict(forecast.thresholds),
        "selection": asdict(_resolved(forecast, options or SelectOptions())),
        "distribution": None if forecast.elbow is None else _table(forecast),
        "rows": printed_rows(forecast.fit.selection),
    }
    plain = _plain(content)
    if problems := problems_of(plain):
        raise FrozenError(f"this forecast cannot be frozen: {' '.join(problems)}")
    return FrozenForecast(content={**plain, "sha256": digest(plain)})


def _target(forecast: Forecast) -> str:
    """What was forecast, in words that need no software."""
    selection = forecast.fit.selection
    axis = selection.axis
    shots = "few-shot" if selection.shots is None else f"{selection.shots}-shot"
    corpus = f" on {selection.loss_corpus}" if selection.loss_corpus else ""
    sign = ", negated so that higher is better" if selection.negated else ""
    past = f"{axis.label} - E" if axis.higher_is_stronger else f"E - {axis.label}"
    return (
        f"The value of {axis.title}{corpus}, at which the {shots} {selection.metric} of "
        f"{selection.task}{sign} leaves chance ({selection.chance:g}) in the series "
        f"{', '.join(selection.series)}: the elbow E of y = base + slope max({past}, 0), base "
        "and slope free and slope > 0, fitted by least squares to all few-shot scores of the "
        f"series once there are five and three are above chance (score - {CHANCE_STDERRS} stderr > "
        f"chance + {CHANCE_MARGIN}). Quantiles are of the printed number: {axis.later} emergence."
    )


def _resolved(forecast: Forecast, options: SelectOptions) -> SelectOptions:
    """The options with every choice that the rows made for them written out."""
    selection = forecast.fit.selection
    return replace(
        options,
        task=selection.task,
        series=selection.series,
        pool=options.pool or len(selection.series) > 1,
        metric=selection.metric,
        method=selection.method,
        shots=selection.shots,
        loss_corpus=selection.loss_corpus,
        lower_is_better=selection.negated,
        axis=_axis_text(selection.axis, options.axis),
        shift=_shift_text(selection.shift, options.shift),
    )


def _axis_text(axis: Axis, asked: str) -> str:
    """The axis as an option, as it was asked for where that is what the rows are on."""
    if replace(Axis.parse(asked), per_nat=axis.per_nat) == axis:
        return asked
    return f"{axis.name}:{'higher' if axis.higher_is_stronger else 'lower'}:{axis.transform}"


def _shift_text(shift: Shift, asked: str) -> str:
    """The same of the shift."""
    parsed = Shift.parse(asked)
    if replace(parsed, scale=parsed.scale or shift.scale) == shift:
        return asked
    return f"{shift.name}:{shift.transform}:x{shift.scale!r}"


def _table(forecast: Forecast) -> dict[str, Any]:
    """The distribution at `LEVELS`."""
    losses = np.asarray(forecast.quantile(LEVELS), dtype=np.float64)
    return {
        "interpolation": INTERPOLATION,
        "level": list(LEVELS),
        "loss": [_short(x) for x in losses],
        "density": [_short(x) for x in forecast.density(losses)],
    }


def printed_rows(selection: Selection) -> list[dict[str, Any]]:
    """The rows of a fit in the units a reader knows, to notice changed or vanished ones later."""
    axis, shift = selection.axis, selection.shift
    rows = selection.rows.with_columns(
        axis.to_axis(pl.col("loss")), shift.to_shift(pl.col("examples"))
    )
    return rows.select(*ROW_KEY, *ROW_VALUES).to_dicts()


def _short(value: float) -> float:
    """Ten significant digits, which is more than any quantile has."""
    return float(f"{value:.10g}")


def _plain(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """The value as JSON holds it: keys as text, tuples as lists, no NaN or infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

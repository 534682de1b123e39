"""Forecasts written down before the model exists, in files that show whether they were edited."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.errors import FrozenError
from emergecast.forecasts import Verdict
from emergecast.measurements import CHANCE_MARGIN, CHANCE_STDERRS, SelectOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from emergecast.forecasts import Forecast
    from emergecast.measurements import Selection

FORMAT = "emergecast-frozen-1"
SHOWN = ("rows", "distribution", "lines")
"""Of a forecast's record, what a frozen file holds more finely, or does not need."""
LEVELS = (1e-5, 1e-4, *(level / 1000 for level in range(1, 1000)), 1 - 1e-4, 1 - 1e-5)
ROW_KEY = ("series", "checkpoint", "few_shot", "examples", "subset", "seed", "snapshot")
ROW_VALUES = ("loss", "score", "stderr", "runs")
INTERPOLATION = (
    "The cumulative probability is linear between the quantiles, and so is the density between its "
    "values there. Beyond the outermost quantiles both fall off exponentially, at the rate of the "
    "two outermost quantiles."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenDistribution:
    """A distribution of a loss as a table of quantiles; arrays of shape (levels,)."""

    levels: NDArray[np.float64]
    losses: NDArray[np.float64]
    """Quantiles at `levels`, nats."""
    densities: NDArray[np.float64]
    """Density per nat at `losses`."""

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles in nats, any shape; minus and plus infinity at 0 and 1."""
        p = np.asarray(probability, dtype=np.float64)
        low, high = self.levels[0], self.levels[-1]
        with np.errstate(divide="ignore"):
            below = self.losses[0] + self._low_scale * np.log(p / low)
            above = self.losses[-1] - self._high_scale * np.log((1 - p) / (1 - high))
        inside = np.interp(p, self.levels, self.losses)
        return np.asarray(np.where(p < low, below, np.where(p > high, above, inside)))

    def cumulative(self, loss: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= loss), any shape."""
        x = np.asarray(loss, dtype=np.float64)
        below, above = self._beyond(x)
        low, high = self.levels[0] * np.exp(below), 1 - (1 - self.levels[-1]) * np.exp(above)
        inside = np.interp(x, self.losses, self.levels)
        return np.asarray(
            np.where(x < self.losses[0], low, np.where(x > self.losses[-1], high, inside))
        )

    def density(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Density per nat, any shape."""
        x = np.asarray(loss, dtype=np.float64)
        below, above = self._beyond(x)
        low = self.levels[0] / self._low_scale * np.exp(below)
        high = (1 - self.levels[-1]) / self._high_scale * np.exp(above)
        inside = np.interp(x, self.losses, self.densities)
        return np.asarray(
            np.where(x < self.losses[0], low, np.where(x > self.losses[-1], high, inside))
        )

    @property
    def _low_scale(self) -> float:
        """Nats in which the lower tail falls by 1/e."""
        return _tail_scale(self.losses[1] - self.losses[0], self.levels[1] / self.levels[0])

    @property
    def _high_scale(self) -> float:
        """Nats in which the upper tail falls by 1/e."""
        ratio = (1 - self.levels[-2]) / (1 - self.levels[-1])
        return _tail_scale(self.losses[-1] - self.losses[-2], ratio)

    def _beyond(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Exponents of the two tails, at most 0."""
        below = np.minimum((x - self.losses[0]) / self._low_scale, 0.0)
        return below, np.minimum((self.losses[-1] - x) / self._high_scale, 0.0)


@dataclass(frozen=True, kw_only=True)
class FrozenForecast:
    """A forecast as it was on the day it was frozen; a distribution that `crps` and others take.

    Made by `freeze` and `read_frozen`.
    """

    content: Mapping[str, Any]
    """What the file holds, as plain values; the properties below read it."""

    @property
    def sha256(self) -> str:
        """SHA-256 over the rest of the content as canonical JSON, in hexadecimal."""
        return str(self.content["sha256"])

    @property
    def forecast(self) -> Mapping[str, Any]:
        """What `Forecast.to_dict` said."""
        return dict(self.content["forecast"])

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.forecast["task"])

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the pretraining series."""
        named = self.forecast["series"]
        return (named,) if isinstance(named, str) else tuple(named)

    @property
    def name(self) -> str:
        """Task and series, for tables."""
        return f"{self.task} / {', '.join(self.series)}"

    @property
    def verdict(self) -> Verdict:
        """What kind of answer it was."""
        return Verdict(self.forecast["verdict"])

    @property
    def elbow(self) -> Mapping[str, float | None] | None:
        """Quantiles and point estimates in nats; None where the forecast was refused."""
        found = self.forecast["elbow"]
        return None if found is None else dict(found)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of the 90% interval, in the unit of the axis; None where it was refused."""
        found = self.forecast["elbow"]
        return None if found is None else (float(found["p05"]), float(found["p95"]))

    @property
    def unit(self) -> str:
        """What a number of this forecast is in: nats, or the unit of another axis."""
        return str(self.forecast["axis"]["unit"])

    @property
    def higher_is_stronger(self) -> bool:
        """Whether a higher value of the axis is the stronger model; False for loss."""
        return bool(self.forecast["axis"]["higher_is_stronger"])

    @property
    def frozen_at(self) -> datetime:
        """When it was frozen, UTC."""
        return datetime.fromisoformat(self.content["frozen_at"])

    @property
    def table_hash(self) -> str:
        """Hash of the table it was made from."""
        return str(self.forecast["table_hash"])

    @property
    def target(self) -> str:
        """What was forecast, in words."""
        return str(self.content["target"])

    @property
    def options(self) -> SelectOptions:
        """Which rows it was made from."""
        kept: dict[str, Any] = {
            name: tuple(tuple(v) if isinstance(v, list) else v for v in value)
            if isinstance(value, list)
            else value
            for name, value in self.content["selection"].items()
        }
        unknown = set(kept) - {field.name for field in fields(SelectOptions)}
        if unknown:
            raise FrozenError(
                f"the frozen forecast chose its rows by {', '.join(sorted(unknown))}, which this "
                f"version does not know. Score it with version {self.content['version']} or later."
            )
        return SelectOptions(**kept)

    @cached_property
    def distribution(self) -> FrozenDistribution:
        """The frozen distribution of the few-shot elbow.

        Raises:
            FrozenError: the forecast was refused and has none.
        """
        table = self.content["distribution"]
        if table is None:
            reason = self.forecast["reasons"][0]
            raise FrozenError(f"the frozen forecast was refused and has no distribution: {reason}")
        return FrozenDistribution(
            levels=np.asarray(table["level"], dtype=np.float64),
            losses=np.asarray(table["loss"], dtype=np.float64),
            densities=np.asarray(table["density"], dtype=np.float64),
        )

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the few-shot elbow, nats, any shape."""
        return self.distribution.quantile(probability)

    def cumulative(self, loss: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= loss), any shape."""
        return self.distribution.cumulative(loss)

    def density(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Density of the few-shot elbow per nat, any shape."""
        return self.distribution.density(loss)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the forecast to a new file.

        Raises:
            FrozenError: the file is there already; a frozen forecast is never overwritten.
            OSError: the file cannot be written.
        """
        text = json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with Path(path).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise FrozenError(
                f'"{os.fspath(path)}" is there already, and a frozen forecast is never '
                "overwritten. Choose another name."
            ) from None

    def __repr__(self) -> str:
        e, start = self.elbow, f"FrozenForecast({self.name!r}, {self.frozen_at:%Y-%m-%d}: "
        if e is None:
            return f"{start}refused)"
        interval = f"90% interval {e['p05']:.3f} to {e['p95']:.3f}"
        return f"{start}{self.verdict}; {e['p50']:.3f} nats, {interval})"


def freeze(
    forecast: Forecast,
    *,
    options: SelectOptions | None = None,
    note: str | None = None,
) -> FrozenForecast:
    """The forecast, with all that is needed to score it later without fitting again.

    A refused forecast can be frozen too: a track record counts those.

    Args:
        forecast: what to freeze.
        options: which rows it was made from, so that later rows are chosen alike; without them, the
            task, series, metric, method, shots and corpus that the rows turned out to have.
        note: anything to remember, in words.
    """
    from importlib.metadata import version

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
    return FrozenForecast(content={**plain, "sha256": _digest(plain)})


def read_frozen(path: str | os.PathLike[str]) -> FrozenForecast:
    """The frozen forecast in a file.

    Raises:
        FrozenError: the file is not a frozen forecast, or was edited after it was frozen.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FrozenError(
            f'"{name}" is not a frozen forecast: it is not JSON ({error}). '
            "`emergecast freeze` writes one."
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        seen = content.get("format") if isinstance(content, dict) else None
        raise FrozenError(
            f'"{name}" is not a frozen forecast: its format is {seen!r}, not "{FORMAT}". '
            "`emergecast freeze` writes one."
        )
    stated = content.pop("sha256", None)
    try:
        found = _digest(content)
    except ValueError:
        found = "not computable"  # NaN or Infinity, which freeze never writes
    if stated != found:
        raise FrozenError(
            f'"{name}" was edited after it was frozen: its content has SHA-256 {found[:12]}, and '
            f"it says {str(stated)[:12]}. Take the file as it was written."
        )
    return FrozenForecast(content={**content, "sha256": stated})


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
    )


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


def _tail_scale(gap: float, ratio: float) -> float:
    """Nats per factor e of a tail that falls by `ratio` over `gap` nats."""
    return max(float(gap) / math.log(ratio), 1e-9)


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


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()

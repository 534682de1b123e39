"""A frozen forecast: what its file holds, as values and as a distribution."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.errors import FrozenError
from emergecast.files import write_new, write_whole
from emergecast.forecasts import NoDistribution, Verdict, only_of_the_elbow
from emergecast.measurements import SelectOptions, marked
from emergecast.observed import Estimand
from emergecast.track_record._signature import signature, signature_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

FORMAT: Final = "emergecast-frozen-1"
ROW_KEY: Final = ("series", "checkpoint", "few_shot", "examples", "subset", "seed", "snapshot")


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
    signed_by: str | None = None
    """Who signed the file, where that was checked on reading."""

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
        name = f"{self.task} / {', '.join(self.series)}"
        return marked(name, invented=self.invented)

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
    def invented(self) -> bool:
        """Whether its scores were made up: no tally counts it."""
        return bool(self.forecast.get("invented", False))

    @property
    def question(self) -> str:
        """What was asked, whatever it was answered from: one table answers a question once."""
        said, options = self.forecast, self.options
        shots = "few-shot" if options.shots is None else f"{options.shots}-shot"
        parts = [
            f"{said['task']}, {shots} {said['metric']}{' negated' if said['negated'] else ''}",
            f"series {', '.join(self.series)}",
            f"axis {options.axis}",
            *([f"losses on {said['loss_corpus']}"] if said["loss_corpus"] else []),
            *(f"{column}={value}" for column, value in sorted(options.where)),
        ]
        return "; ".join(parts)

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

    def distribution_of(self, target: Estimand) -> FrozenDistribution | NoDistribution:
        """The distribution of the elbow; of another point of the few-shot curve there is none."""
        if target is not Estimand.ELBOW:
            return only_of_the_elbow(target)
        if self.elbow is None:
            return NoDistribution(target=target, reason=self.forecast["reasons"][0])
        return self.distribution

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the few-shot elbow, nats, any shape."""
        return self.distribution.quantile(probability)

    def cumulative(self, loss: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= loss), any shape."""
        return self.distribution.cumulative(loss)

    def density(self, loss: ArrayLike) -> NDArray[np.float64]:
        """Density of the few-shot elbow per nat, any shape."""
        return self.distribution.density(loss)

    def write(
        self, path: str | os.PathLike[str], *, sign: str | os.PathLike[str] | None = None
    ) -> None:
        """Write the forecast to a new file, whole or not at all.

        Args:
            path: the file.
            sign: an OpenSSH key to sign it with; the signature goes to a file beside it.

        Raises:
            FrozenError: the file is there already (a frozen forecast is never overwritten), or it
                cannot be signed.
            OSError: the file cannot be written.
        """
        file = Path(path)
        text = json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        signed = None if sign is None else signature(text.encode(), sign)
        try:
            write_new(file, text)
        except FileExistsError:
            raise FrozenError(
                f'"{file}" is there already, and a frozen forecast is never overwritten. Choose '
                "another name."
            ) from None
        if signed is not None:
            write_whole(signature_of(file), signed)

    def __repr__(self) -> str:
        e, start = self.elbow, f"FrozenForecast({self.name!r}, {self.frozen_at:%Y-%m-%d}: "
        if e is None:
            return f"{start}refused)"
        interval = f"90% interval {e['p05']:.3f} to {e['p95']:.3f}"
        return f"{start}{self.verdict}; {e['p50']:.3f} nats, {interval})"


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _tail_scale(gap: float, ratio: float) -> float:
    """Nats per factor e of a tail that falls by `ratio` over `gap` nats."""
    return max(float(gap) / math.log(ratio), 1e-9)

"""Forecasts of several designs, each made once, when a test first asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from tests import designs

import emergecast
from emergecast.forecasts import Forecast, ForecastOptions

ELEVEN = (2.61, 2.52, 2.44, 2.37, 2.31, 2.27, 2.23, 2.19, 2.15, 2.12, 2.09)
LATER = (2.05, 2.0, 1.96, 1.93)
SEVEN = (1920, 6400, 16000, 32000, 64000, 99842, 256000)
FARAWAY = (6.53, 6.5, 5.83, 5.77, 5.45, 5.43, 5.36, 5.35, 5.3, 5.29, 5.26, 5.23, 5.22, 5.2)
FARAWAY_LATER = (5.16, 5.15, 5.14, 5.13, 5.12, 5.1, 5.08)


def table(*, few_shot: float = 2.06, top: float = 2.35, **options: Any) -> list[designs.Row]:
    """Elbows from `few_shot` nats at D0 to `top` at the largest amount; noise 0.015."""
    usual: dict[str, Any] = {"losses": ELEVEN, "amounts": (64, 512, 4096)}
    chosen = usual | {"slope": 1.6, "noise": 0.015} | options
    per_log = (top - few_shot) / math.log(max(chosen["amounts"]) / designs.SHOTS)
    return designs.rows(at=partial(designs.elbow, at_d0=few_shot, per_log=per_log), **chosen)


def brier() -> list[designs.Row]:
    """The same scores as a metric of which lower is better, without standard errors."""
    return [
        {**row, "metric": "brier_score", "score": 1 - row["score"], "chance": 0.75, "stderr": None}
        for row in table(noise=0.02)
    ]


def forecast(rows: list[designs.Row], **options: Any) -> Forecast:
    """A forecast under a plain law, which is integrated exactly."""
    asked = designs.asked(**{"law": "log-power", **options})
    return emergecast.forecast(rows, *asked, options=ForecastOptions(bootstraps=0))


def likeliest(found: Forecast, *, at: float | None) -> Forecast:
    """The same with its maximum likelihood elsewhere."""
    assert found.elbow is not None
    return replace(found, elbow=replace(found.elbow, mle=at))


@cache
def made(name: str) -> Forecast:
    """The forecast of a design."""
    return MADE[name]()


MADE: dict[str, Callable[[], Forecast]] = {
    "three": lambda: forecast(table()),
    "seven": lambda: replace(
        forecast(table(losses=(*ELEVEN, *LATER), amounts=SEVEN), at_chance_only=True), truth=2.069
    ),
    "refused": lambda: forecast(table(losses=ELEVEN[:5], amounts=(64, 512), slope=0.0)),
    "negated": lambda: likeliest(forecast(brier()), at=None),
    "outlying": lambda: replace(
        forecast(
            table(
                losses=(*FARAWAY, *FARAWAY_LATER), amounts=(4096, 8192, 16384, 32768, 65536),
                few_shot=5.18, top=5.29, slope=4.0, noise=0.015,
            ),
            at_chance_only=True,
        ),
        truth=5.143,
    ),
    "far": lambda: likeliest(
        forecast(
            table(losses=ELEVEN[2:], few_shot=1.3, top=2.3, noise=0.01),
            priors={"elbow_offset": -3.5},
        ),
        at=-40.0,
    ),
    "two laws": lambda: forecast(table(), law=["log-power", "power"]),
    "far, two laws": lambda: likeliest(made("two laws"), at=-40.0),
    "finetuned only": lambda: forecast(
        [row for row in table() if row["setting"] == "finetuned"]
    ),
    "all zero": lambda: forecast(
        [
            {**row, "score": 0.0, "chance": 0.0, "stderr": None}
            for row in table(losses=(2.3, 2.2, 2.1), amounts=(64,))
        ]
    ),
    "one few-shot score": lambda: forecast(
        [
            row for row in table(losses=(2.3, 2.2), amounts=(64, 512), slope=0.0)
            if row["setting"] == "finetuned" or row["loss"] == 2.3
        ]
    ),
}  # fmt: skip
"""How each is made."""


NAMES = [name for name in MADE if "two laws" not in name]
"""Of those that every picture is tried on."""


@cache
def drawn(draw: Callable[[Forecast], Any], name: str) -> Any:
    """The picture of a design."""
    return draw(made(name))

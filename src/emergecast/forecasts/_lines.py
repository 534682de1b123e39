"""The lines that a picture shows: one typical draw of the posterior, along every data amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from emergecast.forecasts._verdict import NEGLIGIBLE
from emergecast.inference import SEED

if TYPE_CHECKING:
    from emergecast.inference import Draws, Fit

DRAWS = 4000
NEAREST = 0.025
"""Share of the draws, those whose few-shot elbow lies nearest the median, that one is chosen of."""
POINTS = 80
BEYOND = 0.15
"""How far the few-shot line goes on past the elbow, as a share of the losses shown."""


def typical(fit: Fit, latest: float) -> tuple[Fit, Draws]:
    """The law whose median lies nearest the forecast's, and one draw of it.

    Of the draws whose few-shot elbow is close to the forecast's median, it is the one whose scores
    lie nearest the middle of theirs, at the rows and where the few-shot line ends.

    Args:
        fit: a fit of one law or several.
        latest: loss that the few-shot line must reach, nats.
    """
    data, middle = fit.data, float(fit.posterior.quantile(0.5))
    weighty = [
        member
        for member, weight in zip(fit.members, fit.weights, strict=True)
        if weight >= NEGLIGIBLE
    ]
    law = min(weighty, key=lambda each: abs(float(each.posterior.quantile(0.5)) - middle))
    draws = law.posterior.draws(DRAWS, np.random.default_rng(SEED))
    near = np.argsort(np.abs(draws.elbow - middle), kind="stable")[: round(NEAREST * DRAWS)]
    draws = draws.pick(near)
    end = _end(fit, latest)
    score = draws.line(np.append(data.level, 0), np.append(data.loss, end))
    far = np.sum((score - np.median(score, axis=0)) ** 2, axis=1)
    return law, draws.pick(np.array([np.argmin(far)]))


def curves(fit: Fit, draw: Draws, latest: float) -> pl.DataFrame:
    """The lines of one draw: label, examples, loss, score, extrapolated.

    Finetuned lines end at the strongest checkpoint; the few-shot line goes on past `latest`, nats.
    """
    data, axis, shift = fit.data, fit.selection.axis, fit.selection.shift
    weakest, strongest = float(data.loss.max()), data.strongest_loss
    parts = []
    for level, amount in enumerate([None, *map(float, data.amounts)]):
        last = _end(fit, latest) if amount is None else strongest
        elbow = float(draw.elbows[0, level])
        # where a rounded line bends it needs more points than far before its elbow
        bend = max(elbow, strongest) + data.loss_unit
        stops = [elbow, strongest]
        stops += [*np.linspace(last, weakest, POINTS), *np.linspace(last, bend, POINTS)]
        loss = np.unique(np.clip(stops, last, weakest))[::-1]
        parts.append(
            pl.DataFrame(
                {
                    "label": "few-shot" if amount is None else shift.number(amount),
                    "examples": None if amount is None else shift.to_shift(amount),
                    "loss": axis.to_axis(loss),
                    "score": draw.line(np.full(loss.size, level), loss)[0],
                    "extrapolated": loss < strongest,
                },
                schema=schema(fit),
                strict=False,
            )
        )
    return pl.concat(parts)


def schema(fit: Fit) -> dict[str, type[pl.DataType]]:
    """Columns of the lines."""
    return {
        "label": pl.String,
        "examples": pl.Int64 if fit.selection.shift.is_examples else pl.Float64,
        "loss": pl.Float64,
        "score": pl.Float64,
        "extrapolated": pl.Boolean,
    }


def _end(fit: Fit, latest: float) -> float:
    """Where the few-shot line ends, nats."""
    end = min(latest, fit.data.strongest_loss)
    return end - BEYOND * (float(fit.data.loss.max()) - end)

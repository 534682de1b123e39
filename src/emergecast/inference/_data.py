"""The rows of one fit as arrays, in the units in which inference works."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from emergecast.errors import FitError, OptionError
from emergecast.inference._unit import loss_unit
from emergecast.measurements import (
    RESOLUTION,
    Selection,
    default_few_shot_examples,
    sampling_error,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMALLEST, LARGEST = 1e-100, 1e100
"""Scales outside these overflow where they are squared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitData:
    """One row per score; arrays of shape (n,) share the selection's canonical row order."""

    loss: Floats
    """Nats."""
    score: Floats
    """In the metric's unit, higher is better."""
    level: Ints
    """0 for few-shot rows, j + 1 for rows finetuned on amounts[j] examples."""
    sampling_sd: Floats
    """Known sampling error of the score, > 0."""
    repeats: Floats
    """Runs a finetuned score averages; 1 for few-shot rows."""
    checkpoint: Ints
    """Index of the checkpoint."""
    series: Ints
    """Index of the series."""
    snapshot: NDArray[np.bool_]
    """Whether the row is a point along a longer finetuning run."""
    amounts: Floats
    """Distinct finetuning examples, ascending, shape (J,); planned ones too."""
    few_shot_examples: float
    """D0."""
    chance: float
    score_range: float
    """R: best score minus chance."""
    loss_spread: float
    """S: mean absolute deviation of the distinct checkpoint losses from their median, nats."""
    loss_unit: float
    """U: how far one has to look ahead (`_unit.py`), nats."""
    strongest_loss: float
    """L*: the lowest loss, nats."""

    @property
    def top_level(self) -> int:
        """The level of Dmax: the largest amount with rows, or planned where there are none."""
        return int(self.level.max(initial=0)) or self.amounts.size

    @property
    def level_amounts(self) -> Floats:
        """Examples of every level: D0, then the finetuning amounts, shape (J + 1,)."""
        return np.concatenate([[self.few_shot_examples], self.amounts])

    @property
    def few_shot(self) -> NDArray[np.bool_]:
        """Which rows were never finetuned, shape (n,)."""
        return np.asarray(self.level == 0)

    @property
    def n_checkpoints(self) -> int:
        """How many distinct checkpoints the rows come from."""
        return int(np.unique(self.checkpoint).size)

    @property
    def n_series(self) -> int:
        """How many series are pooled."""
        return int(np.unique(self.series).size)

    @property
    def standard_loss(self) -> Floats:
        """(loss - L*) / U, shape (n,)."""
        return np.asarray((self.loss - self.strongest_loss) / self.loss_unit)

    @property
    def standard_score(self) -> Floats:
        """(score - chance) / R, shape (n,)."""
        return np.asarray((self.score - self.chance) / self.score_range)

    def variance(self, tau: Floats) -> Floats:
        """Variance of every row's own noise, score^2, (T, n); `tau` is in score, shape (T,)."""
        return self.score_range**2 * self.standard_variance(tau / self.score_range).T

    def standard_variance(self, tau: Floats) -> Floats:
        """The same in R^2, rows first: `tau` is in R, shape (T,); returns shape (n, T)."""
        sampling = self.sampling_sd / self.score_range
        return np.asarray(sampling[:, None] ** 2 + tau**2 / self.repeats[:, None])

    def rows(self, keep: NDArray[np.bool_] | Ints) -> FitData:
        """Some of the rows, in the units of all: by a mask of shape (n,), or by their indices."""
        names = ("loss", "score", "level", "sampling_sd", "repeats", "checkpoint", "series")
        taken = {name: getattr(self, name)[keep] for name in (*names, "snapshot")}
        return replace(self, **taken)

    def to_nats(self, standard_loss: Floats) -> Floats:
        """Inverse of the standardisation of the loss axis."""
        return np.asarray(self.strongest_loss + self.loss_unit * standard_loss)


def fit_data(
    selection: Selection,
    *,
    few_shot_examples: float | None = None,
    planned_amounts: Sequence[float] = (),
) -> FitData:
    """The arrays of a selection; without finetuned rows they have no amounts.

    Args:
        selection: the rows.
        few_shot_examples: D0; None: the shots.
        planned_amounts: amounts above D0 that become levels of the law too, measured or not.

    Raises:
        FitError: one loss for all checkpoints, or all scores at chance where the best score is not
            known.
        OptionError: an impossible `few_shot_examples`, or a planned amount that is not above D0.
    """
    rows = selection.rows
    few_shot = rows["few_shot"].to_numpy()
    loss, score = (rows[name].to_numpy().astype(np.float64) for name in ("loss", "score"))
    examples = rows["examples"].cast(float).fill_null(np.nan).to_numpy()
    measured = np.unique(examples[~few_shot])
    amounts = np.unique(np.concatenate([measured, np.asarray(planned_amounts, dtype=np.float64)]))
    own = measured if measured.size else amounts
    d0 = _few_shot_examples(few_shot_examples, selection.shots, own)
    _refuse_planned_few_shot(planned_amounts, d0)
    checkpoint = _numbered(rows, "series", "checkpoint")
    reach = _score_range(selection, score)
    sampling_sd = np.maximum(sampling_error(rows, selection.metric_kind), RESOLUTION * reach)
    level = np.where(few_shot, 0, np.searchsorted(amounts, examples) + 1).astype(np.int64)
    unit = loss_unit(
        loss,
        (score - selection.chance) / reach,
        (sampling_sd / reach) ** 2,
        level,
        _ln_flops(rows),
    )
    return FitData(
        loss=loss,
        score=score,
        level=level,
        sampling_sd=sampling_sd,
        repeats=np.where(few_shot, 1.0, rows["runs"].to_numpy().astype(np.float64)),
        checkpoint=checkpoint,
        series=_numbered(rows, "series"),
        snapshot=rows["snapshot"].to_numpy().astype(np.bool_),
        amounts=amounts,
        few_shot_examples=d0,
        chance=selection.chance,
        score_range=reach,
        loss_spread=_loss_spread(loss, checkpoint),
        loss_unit=_computable(unit, "losses differ"),
        strongest_loss=float(loss.min()),
    )


def _ln_flops(rows: pl.DataFrame) -> Floats:
    """Pretraining compute of each row's checkpoint, nan where not known, shape (n,)."""
    flops = pl.coalesce("flops", 6.0 * pl.col("params").cast(float) * pl.col("tokens").cast(float))
    given = rows.select(flops.cast(float).fill_null(np.nan)).to_series().to_numpy()
    return np.log(np.where(given > 0, given, np.nan))


def _numbered(rows: pl.DataFrame, *columns: str) -> Ints:
    """Number of each row's value of these columns, in their order from 0 on, shape (n,)."""
    rank = rows.select(pl.struct(columns).rank("dense")).to_series()
    return rank.to_numpy().astype(np.int64) - 1


def nothing_to_follow(task: str) -> FitError:
    """What is wrong where a law is to be inferred, and no row is finetuned."""
    return FitError(
        f"task {task!r} has no finetuned rows here, and without them there is no elbow to follow: "
        "add rows with setting 'finetuned'."
    )


def _refuse_planned_few_shot(planned: Sequence[float], d0: float) -> None:
    if len(planned) and not d0 < min(planned):
        raise OptionError(
            f"a run on {min(planned):,.0f} examples is planned, but the few-shot elbow is read off "
            f"at D0 = {d0:g}: plan amounts above it, or give a smaller few_shot_examples."
        )


def _score_range(selection: Selection, score: Floats) -> float:
    """R of docs/model.md: from chance to the best score, or to the farthest where none is known."""
    if selection.best is not None:
        reach = selection.best - selection.chance
    else:
        reach = float(np.max(np.abs(score - selection.chance)))
    if not reach > 0:
        raise FitError(
            f"every {selection.metric} score of task {selection.task!r} equals the chance level "
            f"{selection.chance:g}, so the metric's range is unknown and there is nothing to fit."
        )
    return _computable(reach, "scores differ from chance")


def _computable(scale: float, what: str) -> float:
    if not SMALLEST < scale < LARGEST:
        raise FitError(
            f"the {what} by about {scale:.1g}, which cannot be computed with: give them in another "
            "unit, or correct the column."
        )
    return scale


def _loss_spread(loss: Floats, checkpoint: Ints) -> float:
    """S of docs/model.md, from one loss per checkpoint."""
    _, first = np.unique(checkpoint, return_index=True)
    losses = np.unique(loss[first])
    spread = float(np.mean(np.abs(losses - np.median(losses))))
    if not spread > 1e-9 * float(np.max(np.abs(losses))):
        message = (
            f"all checkpoints have the same loss ({losses[0]:g}): an elbow needs checkpoints of "
            "different loss."
        )
        raise FitError(message)
    return _computable(spread, "losses differ")


def _few_shot_examples(asked: float | None, shots: int | None, amounts: Floats) -> float:
    """D0: as asked, else the shots of the few-shot rows; at least 1 and at most the smallest D."""
    smallest, largest = (float(amounts[i]) if amounts.size else math.inf for i in (0, -1))
    if asked is None:
        return default_few_shot_examples(shots, smallest)
    if not 1 <= asked <= smallest or (asked == largest):
        message = (
            f"few_shot_examples is {asked:g}, but must be at least 1 and below the smallest "
            f"finetuning amount of the fit, {smallest:g}."
        )
        raise OptionError(message)
    return float(asked)

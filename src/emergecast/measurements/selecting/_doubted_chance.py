"""Whether the scores themselves contradict the chance level that the table states."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from emergecast.measurements._metrics import MetricKind, metric_of
from emergecast.measurements._schema import Setting
from emergecast.measurements._table import Measurements
from emergecast.measurements.selecting._at_chance import CHANCE_MARGIN, sampling_error

STDERRS: Final = 3.0
"""Standard errors beyond which a score does not lie at its chance level by accident."""
_SHARE: Final = 0.1
"""Share of all scores that lie that far below before the level is doubted: on real tables whose
level is right it is up to 3 %, since models at chance favour one answer."""
_FEW_SHOT_SHARE: Final = 0.25
"""The same of few-shot scores."""
_NORMAL_MAD: Final = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""
_NORMAL_MEDIAN: Final = 1.2533
"""Standard error of a median over that of a mean, of normal scores: sqrt(pi / 2)."""
_LEAST: Final = 3
"""Scores that make a pattern."""
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.9
_WELL_ABOVE: Final = 2 * CHANCE_MARGIN
"""How far above chance a proportion lies, beyond its standard errors, to count as well above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceDoubt:
    """Scores that contradict a chance level: too many below it, or too few at it."""

    level: float
    """The stated level, as the table has it."""
    below: int
    """Scores more than three standard errors below the level (worse than it)."""
    rows: int
    """Scores in all."""
    above: int
    """Few-shot scores well above (better than) the level."""
    few_shot: int
    """Few-shot scores in all."""
    typical: float
    """Median few-shot score of the weaker half of the checkpoints; of all scores where none is
    few-shot. In the table's orientation."""
    too_high: bool
    """Whether the level is better than what scores show; else it is worse."""
    negated: bool = False
    """Whether a lower score is the better one."""

    @property
    def sentence(self) -> str:
        """What is odd, and what to do."""
        worse, better = ("above", "below") if self.negated else ("below", "above")
        if self.too_high:
            return (
                f"{self.below} of {self.rows} scores lie more than three standard errors {worse}"
                f" the chance level {self.level:g}, where few can: the weaker checkpoints score"
                f" about {self.typical:.3g}. Check the chance level of this task and metric."
            )
        return (
            f"{self.above} of {self.few_shot} few-shot scores lie well {better} the chance level"
            f" {self.level:g}, the weaker checkpoints' too (about {self.typical:.3g}): either the"
            " level is wrong, or the task has emerged before the weakest checkpoint."
        )


def doubted_chance(rows: pl.DataFrame, kind: MetricKind, chance: float) -> ChanceDoubt | None:
    """Why `chance` cannot be the level of these scores; None where they do not contradict it.

    Doubted is a level of which a tenth of all scores (or a quarter of the few-shot ones), three at
    least, lie more than three standard errors below, if the middle of the weaker checkpoints'
    few-shot scores lies below it too (by three standard errors of a median); and one that more than
    half of the few-shot scores lie well above, nearly all of the weaker half of the checkpoints
    included. A proportion
    without a sampling error counts as below or above by the margin of chance; another metric
    without one tells nothing.

    Args:
        rows: columns score, stderr, n_items, loss and few_shot; oriented, so that higher is better.
        kind: of the metric.
        chance: oriented like the scores.
    """
    share = kind is MetricKind.PROPORTION
    error = sampling_error(rows, kind)
    if not share:
        rows, error = rows.filter(error > 0), error[error > 0]
    if rows.is_empty():
        return None
    score, few_shot = rows["score"].to_numpy(), rows["few_shot"].to_numpy()
    slack = np.where(error > 0, 0.0, CHANCE_MARGIN) if share else 0.0
    below = score < chance - STDERRS * error - slack
    above = few_shot & (score > chance + STDERRS * error + (_WELL_ABOVE if share else 0.0))
    weak = few_shot & _weaker_half(rows, few_shot)
    low, low_few_shot = np.count_nonzero(below), np.count_nonzero(below & few_shot)
    many = low >= max(_LEAST, _SHARE * score.size)
    many |= low_few_shot >= max(_LEAST, _FEW_SHOT_SHARE * np.count_nonzero(few_shot))
    at_most = weak if weak.any() else np.ones(score.size, dtype=bool)
    too_high = many and _lies_below(score[at_most], error[at_most], chance)
    most = _share(above, few_shot) > _HALF and _share(above, weak) >= _NEARLY_ALL
    if not too_high and not (most and np.count_nonzero(above) >= _LEAST):
        return None
    return ChanceDoubt(
        level=chance,
        below=int(low),
        rows=int(score.size),
        above=int(np.count_nonzero(above)),
        few_shot=int(np.count_nonzero(few_shot)),
        typical=float(np.median(score[at_most])),
        too_high=bool(too_high),
    )


def _weaker_half(rows: pl.DataFrame, few_shot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of the checkpoints whose loss is the median of the few-shot rows, or above it."""
    loss = rows["loss"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = loss[few_shot & np.isfinite(loss)]
    return loss >= np.median(known) if known.size else np.ones(loss.size, dtype=bool)


def _lies_below(score: NDArray[np.float64], error: NDArray[np.float64], chance: float) -> bool:
    """Whether the middle of these scores lies below chance, by their own scatter too.

    Scores that scatter about chance by more than their stated errors tell of the errors.
    """
    middle = float(np.median(score))
    scatter = _NORMAL_MAD * float(np.median(np.abs(score - middle)))
    of_middle = _NORMAL_MEDIAN * math.hypot(scatter, float(np.median(error)))
    return middle < chance - STDERRS * of_middle / math.sqrt(score.size)


def _share(found: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(found & of)) / max(float(np.count_nonzero(of)), 1.0)


def chance_doubts(table: Measurements) -> tuple[str, ...]:
    """A sentence for each task and metric of `table` whose scores contradict their chance level."""
    # A metric that is unknown and says nothing of itself is taken as higher-is-better, as in a fit.
    found: list[str] = []
    frame = table.frame.with_columns(
        (pl.col("setting") == Setting.FEW_SHOT.value).alias("few_shot")
    )
    for (task, name, chance, higher), rows in frame.group_by(
        "task", "metric", "chance", "higher_is_better", maintain_order=True
    ):
        metric = metric_of(str(name))
        lower = metric.lower_is_better if higher is None else not higher
        kind = MetricKind.CONTINUOUS if lower else metric.kind
        sign = -1.0 if lower else 1.0
        oriented = rows.with_columns(pl.col("score") * sign)
        doubt = in_table(doubted_chance(oriented, kind, sign * float(str(chance))), sign)
        if doubt is not None:
            found.append(f"{task}, {name}: {doubt.sentence}")
    return tuple(found)


def in_table(doubt: ChanceDoubt | None, sign: float) -> ChanceDoubt | None:
    """`doubt` with the numbers that the table has, where the scores were negated (sign -1)."""
    if doubt is None:
        return None
    level, typical = sign * doubt.level + 0.0, sign * doubt.typical + 0.0
    return replace(doubt, level=level, typical=typical, negated=sign < 0)

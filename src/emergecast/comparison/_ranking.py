"""The baseline of every comparison: which series scores higher at one size, here and now."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from scipy.special import ndtr

from emergecast.measurements import above_chance, sampling_error

if TYPE_CHECKING:
    from emergecast.measurements import Selection

CLOSE = 1.25
"""Ratio of FLOPs up to which checkpoints count as equally trained."""
LOSS = "loss"
"""The setting of a ranking by loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The series ranked by one score of one checkpoint of each.

    Source: the ranking by a single small scale of DataDecide, arXiv 2504.11393.
    """

    series: tuple[str, ...]
    """Those that have such a score; the fields below are in this order."""
    setting: str
    """few-shot, finetuned on a number of examples, or loss."""
    checkpoints: tuple[str, ...]
    """One of each series."""
    params: tuple[int | None, ...]
    """Their parameters."""
    flops: tuple[float, ...]
    """Their training FLOPs."""
    same_size: bool
    """Whether they have the same number of parameters; else they are the nearest in FLOPs."""
    scores: tuple[float, ...]
    """Means over runs, oriented so that higher is better: losses are negated."""
    stderrs: tuple[float, ...]
    """Their standard errors; 0 of a loss."""
    places: tuple[int, ...]
    """Their places, the best score first, equal ones sharing one: 1, 1, 3. Equal is what lies
    within a standard error of the difference from the best score of the place."""
    first: float | None
    """Of two series, the probability that the first is truly the better one there, by the standard
    errors; None where those are 0 and the scores equal, and of more than two."""
    at_chance: bool
    """No score is above chance, so the ranking is of noise."""

    @property
    def order(self) -> tuple[str, ...]:
        """The series, the best score first."""
        best_first = sorted(zip(self.scores, self.series, strict=True), key=lambda each: -each[0])
        return tuple(name for _, name in best_first)

    def better(self, first: str, second: str) -> float | None:
        """Probability that the first of two series is truly the better one there."""
        i, j = self.series.index(first), self.series.index(second)
        return _better(
            self.scores[i] - self.scores[j], math.hypot(self.stderrs[i], self.stderrs[j])
        )


def _places(scores: Sequence[float], stderrs: Sequence[float]) -> tuple[int, ...]:
    """Places from the best score on; each place begins with a score below the one before."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    places, best, place = [1] * len(scores), order[0], 1
    for rank, i in enumerate(order, start=1):
        if scores[best] - scores[i] > math.hypot(stderrs[best], stderrs[i]):
            best, place = i, rank
        places[i] = place
    return tuple(places)


def _better(gap: float, error: float) -> float | None:
    """P(the gap is truly above 0), normal errors; None where there is neither gap nor error."""
    return float(ndtr(gap / error)) if error > 0 else (float(gap > 0) if gap else None)


class _Matched(NamedTuple):
    """One checkpoint of each of the series that have one, by their positions."""

    of: tuple[int, ...]
    checkpoints: tuple[str, ...]
    params: tuple[int | None, ...]
    flops: tuple[float, ...]
    same_size: bool


def rankings(*selections: Selection) -> tuple[Ranking, ...] | str:
    """The few-shot and the finetuned ranking at the largest common size, or why there is none.

    The checkpoints have the largest size that all series have, and are the most trained ones whose
    FLOPs differ by at most a quarter (else the nearest in FLOPs); without a common size, sizes may
    differ. The finetuned scores are at the largest amount that all were finetuned on. A series
    without such scores, or without known FLOPs, is left out where two others remain.
    """
    found = []
    two = "two " if len(selections) == 2 else ""
    reason = f"the {two}series have no score of the same setting"
    for few_shot in (True, False):
        rows = [s.rows.filter(pl.col("few_shot") == few_shot) for s in selections]
        amount = None
        if not few_shot:
            have = [set(part["examples"].to_list()) for part in rows if not part.is_empty()]
            common = set.intersection(*have) if len(have) > 1 else set()
            if not common:
                continue
            amount = max(common)
            rows = [part.filter(pl.col("examples") == amount) for part in rows]
        if sum(not part.is_empty() for part in rows) < 2:
            continue
        matched = _matched(rows)
        if matched is None:
            reason = "the compute of the checkpoints is not known: give flops, or params and tokens"
            continue
        setting = "few-shot" if amount is None else _amount_text(selections[0], amount)
        found.append(_ranked(matched, selections, setting, _score_of(rows, selections)))
    return tuple(found) or reason


def loss_ranking(*selections: Selection) -> Ranking | None:
    """The ranking by loss, the lowest first, at one size; None where there is no such size."""
    rows = [each.rows for each in selections]
    matched = _matched(rows) if len(rows) > 1 else None
    if matched is None:
        return None

    def loss(series: int, checkpoint: str) -> tuple[float, float, bool]:
        own = rows[series].filter(pl.col("checkpoint") == checkpoint)["loss"]
        return -float(np.mean(own.to_numpy())), 0.0, True

    return _ranked(matched, selections, LOSS, loss)


def _matched(rows: Sequence[pl.DataFrame]) -> _Matched | None:
    """One checkpoint of each series; None where fewer than two have known FLOPs.

    For each amount of FLOPs that a checkpoint has, each series gives its checkpoint nearest to it;
    of these choices the one with the most compute is taken whose FLOPs differ by at most a quarter,
    else the one whose FLOPs differ least.
    """
    columns = ["checkpoint", "params", "flops"]
    whole = [part.select(columns).unique().drop_nulls("flops") for part in rows]
    known = [part.sort("flops", "checkpoint") for part in whole]
    of = tuple(i for i, part in enumerate(known) if not part.is_empty())
    if len(of) < 2:
        return None
    parts = [known[i] for i in of]
    sizes = set.intersection(*(set(part["params"].drop_nulls().to_list()) for part in parts))
    if sizes:
        parts = [part.filter(pl.col("params") == max(sizes)) for part in parts]
    spent = [np.log(part["flops"].to_numpy()) for part in parts]

    def rank(chosen: tuple[int, ...]) -> tuple[float, ...]:
        ln = [own[i] for own, i in zip(spent, chosen, strict=True)]
        least, gap = min(ln), max(ln) - min(ln)
        return (0.0, -least, gap) if gap <= math.log(CLOSE) else (1.0, gap, -least)

    choices = {
        tuple(int(np.argmin(np.abs(own - target))) for own in spent)
        for target in np.concatenate(spent)
    }
    chosen = min(sorted(choices), key=rank)
    picked = [part.row(i, named=True) for part, i in zip(parts, chosen, strict=True)]
    return _Matched(
        of=of,
        checkpoints=tuple(row["checkpoint"] for row in picked),
        params=tuple(row["params"] for row in picked),
        flops=tuple(row["flops"] for row in picked),
        same_size=bool(sizes),
    )


def _score_of(
    rows: Sequence[pl.DataFrame], selections: Sequence[Selection]
) -> Callable[[int, str], tuple[float, float, bool]]:
    """Mean score of a checkpoint, its standard error, and whether it is at chance."""

    def score(series: int, checkpoint: str) -> tuple[float, float, bool]:
        own, selection = rows[series].filter(pl.col("checkpoint") == checkpoint), selections[series]
        values = own["score"].to_numpy()
        sampling = sampling_error(own, selection.metric_kind)
        spread = float(np.std(values, ddof=1)) if values.size > 1 else 0.0
        error = max(spread, math.sqrt(float(np.mean(sampling**2)))) / math.sqrt(values.size)
        risen = above_chance(own, selection.metric_kind, selection.chance).any()
        return float(values.mean()), error, not risen

    return score


def _ranked(
    matched: _Matched,
    selections: Sequence[Selection],
    setting: str,
    measure: Callable[[int, str], tuple[float, float, bool]],
) -> Ranking:
    measured = [measure(i, name) for i, name in zip(matched.of, matched.checkpoints, strict=True)]
    scores, errors, at_chance = zip(*measured, strict=True)
    two = len(scores) == 2
    return Ranking(
        series=tuple(", ".join(selections[i].series) for i in matched.of),
        setting=setting,
        checkpoints=matched.checkpoints,
        params=matched.params,
        flops=matched.flops,
        same_size=matched.same_size,
        scores=scores,
        stderrs=errors,
        places=_places(scores, errors),
        first=_better(scores[0] - scores[1], math.hypot(*errors)) if two else None,
        at_chance=all(at_chance) and setting != LOSS,
    )


def _amount_text(selection: Selection, amount: float) -> str:
    shift = selection.shift
    if shift.is_examples:
        return f"finetuned on {shift.number(amount)} examples"
    return f"{shift.label} {shift.number(amount)}"

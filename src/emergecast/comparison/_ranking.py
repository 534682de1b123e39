"""The baseline of every comparison: which series scores higher at one size, here and now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from scipy.special import ndtr

from emergecast.measurements import above_chance, sampling_error

if TYPE_CHECKING:
    from emergecast.measurements import Selection

CLOSE = 1.25
"""Ratio of FLOPs up to which two checkpoints count as equally trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Two series ranked by one score of one pair of checkpoints.

    Source: the ranking by a single small scale of DataDecide, arXiv 2504.11393.
    """

    setting: str
    """few-shot, or finetuned on a number of examples."""
    checkpoints: tuple[str, str]
    params: tuple[int | None, int | None]
    flops: tuple[float, float]
    same_size: bool
    """Whether the pair has the same number of parameters; else it is the nearest in FLOPs."""
    scores: tuple[float, float]
    """Means over runs, oriented so that higher is better."""
    stderrs: tuple[float, float]
    first: float | None
    """Probability that the first series is truly the better one there, by the standard errors;
    None where those are 0 and the scores equal."""
    at_chance: bool
    """Neither score is above chance, so the ranking is of noise."""


class _Matched(NamedTuple):
    a: str
    b: str
    params: tuple[int | None, int | None]
    flops: tuple[float, float]
    same_size: bool


def rankings(first: Selection, second: Selection) -> tuple[Ranking, ...] | str:
    """The few-shot and the finetuned ranking at the largest common size, or why there is none.

    The pair has the largest size that both series have, and is the most trained one whose FLOPs
    differ by at most a quarter (else the nearest in FLOPs); without a common size, sizes may
    differ. The finetuned scores are at the largest amount that both were finetuned on.
    """
    found = []
    reason = "the two series have no score of the same setting"
    for few_shot in (True, False):
        rows = [s.rows.filter(pl.col("few_shot") == few_shot) for s in (first, second)]
        amount = None
        if not few_shot:
            common = set(rows[0]["examples"].to_list()) & set(rows[1]["examples"].to_list())
            if not common:
                continue
            amount = max(common)
            rows = [part.filter(pl.col("examples") == amount) for part in rows]
        if any(part.is_empty() for part in rows):
            continue
        pair = _pair(rows[0], rows[1])
        if pair is None:
            reason = "the compute of the checkpoints is not known: give flops, or params and tokens"
            continue
        found.append(_rank(pair, (first, second), rows, amount))
    return tuple(found) or reason


def _pair(a: pl.DataFrame, b: pl.DataFrame) -> _Matched | None:
    """The pair of checkpoints to compare; None where no FLOPs are known."""
    columns = ["checkpoint", "params", "flops"]
    known = [part.select(columns).unique().drop_nulls("flops") for part in (a, b)]
    pairs = known[0].join(known[1], how="cross", suffix="_b")
    if pairs.is_empty():
        return None
    same = pairs.filter(pl.col("params") == pl.col("params_b"))
    if not same.is_empty():
        pairs = same.filter(pl.col("params") == pl.col("params").max())
    gap = (pl.col("flops") / pl.col("flops_b")).log().abs()
    close = pairs.filter(gap <= math.log(CLOSE))
    order = [pl.min_horizontal("flops", "flops_b").neg(), gap]
    best = close.sort(*order) if not close.is_empty() else pairs.sort(gap, *order)
    row = best.row(0, named=True)
    return _Matched(
        a=row["checkpoint"],
        b=row["checkpoint_b"],
        params=(row["params"], row["params_b"]),
        flops=(row["flops"], row["flops_b"]),
        same_size=not same.is_empty(),
    )


def _rank(
    pair: _Matched,
    selections: tuple[Selection, Selection],
    rows: list[pl.DataFrame],
    amount: float | None,
) -> Ranking:
    scores, errors, risen = [], [], False
    for name, selection, part in zip((pair.a, pair.b), selections, rows, strict=True):
        own = part.filter(pl.col("checkpoint") == name)
        score = own["score"].to_numpy()
        sampling = sampling_error(own, selection.metric_kind)
        spread = float(np.std(score, ddof=1)) if score.size > 1 else 0.0
        error = max(spread, math.sqrt(float(np.mean(sampling**2)))) / math.sqrt(score.size)
        scores.append(float(score.mean()))
        errors.append(error)
        risen |= bool(above_chance(own, selection.metric_kind, selection.chance).any())
    gap, error = scores[0] - scores[1], math.hypot(*errors)
    first = float(ndtr(gap / error)) if error > 0 else (float(gap > 0) if gap else None)
    return Ranking(
        setting="few-shot" if amount is None else _amount_text(selections[0], amount),
        checkpoints=(pair.a, pair.b),
        params=pair.params,
        flops=pair.flops,
        same_size=pair.same_size,
        scores=(scores[0], scores[1]),
        stderrs=(errors[0], errors[1]),
        first=first,
        at_chance=not risen,
    )


def _amount_text(selection: Selection, amount: float) -> str:
    shift = selection.shift
    if shift.is_examples:
        return f"finetuned on {shift.number(amount)} examples"
    return f"{shift.label} {shift.number(amount)}"

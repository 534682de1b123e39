"""Do two halves of a few-shot series show emergence at one place? Both definitions of the truth.

Simulated series (toes, slopes, levels at the top, clusters of loss, every size of noise), and those
of the proving ground: agreement of halves, what the intervals cover, and how far the truth moves
where the strongest half of the models above chance is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from _report import arguments, publish, table

# isort: split

import numpy as np
import polars as pl
from tests.observed.split_halves import (
    BUNDLED_CUTS,
    CHANCE,
    Series,
    agreement,
    both,
    bundled,
    simulated,
)

from emergecast.measurements import above_chance
from emergecast.observed import Estimand, ground_truths


def halves(name: str, series: Sequence[Series], cuts: int) -> list[list[object]]:
    """A row for each definition: how often the halves agree, and how wide their intervals are."""
    found = [both(each.scores, cut) for each in series for cut in range(cuts)]
    rows: list[list[object]] = []
    for target in Estimand:
        each = agreement(found, target)
        rows.append(
            [
                *(name, target, each.pairs, f"{each.share:.1%}", f"{each.overlap:.1%}"),
                *(f"{each.width:.3f}", f"{each.apart:.3f}"),
            ]
        )
    return rows


def covered(series: Sequence[Series]) -> list[list[object]]:
    """A row for each definition: how often the interval holds what noiseless scores show."""
    rows: list[list[object]] = []
    for target in Estimand:
        inside, widths, errors = [], [], []
        for each in series:
            if each.noiseless is None:
                continue
            truth = ground_truths(each.noiseless).of(target)
            found = ground_truths(each.scores).of(target)
            if truth is not None and found is not None:
                inside.append(found.p05 <= truth.loss <= found.p95)
                widths.append(found.p95 - found.p05)
                errors.append(found.loss - truth.loss)
        rows.append(
            [
                *(target, len(inside), f"{np.mean(inside):.1%}", f"{np.median(widths):.3f}"),
                *(f"{np.median(errors):+.3f}", f"{np.median(np.abs(errors)):.3f}"),
            ]
        )
    return rows


def without_strongest(name: str, series: Sequence[Series]) -> list[list[object]]:
    """A row for each definition: how far the truth moves without the strongest models."""
    moved: dict[Estimand, list[float]] = {target: [] for target in Estimand}
    for each in series:
        scores = each.scores
        few = scores.all_few_shot
        above = few.filter(pl.Series(above_chance(few, scores.metric_kind, CHANCE)))
        limit = above["loss"].median()
        kept = few if limit is None else few.filter(pl.col("loss") >= limit)
        whole, part = ground_truths(scores), ground_truths(replace(scores, all_few_shot=kept))
        for target in Estimand:
            one, other = whole.of(target), part.of(target)
            if one is not None and other is not None:
                moved[target].append(abs(other.loss - one.loss))
    return [
        [name, target, len(shifts), f"{np.median(shifts):.3f}", f"{np.quantile(shifts, 0.9):.3f}"]
        for target, shifts in moved.items()
    ]


def main() -> None:
    """Everything, as one page."""
    options = arguments(__doc__ or "", series=400)
    made = [simulated(number) for number in range(options.series)]
    there = list(bundled())
    halved = table(
        ("series", "truth", "pairs", "agree", "overlap", "width, nats", "apart, nats"),
        [*halves("simulated", made, 1), *halves("proving ground", there, BUNDLED_CUTS)],
    )
    inside = table(
        ("truth", "series", "covered", "width, nats", "error, nats", "size of the error, nats"),
        covered(made),
    )
    moves = table(
        ("series", "truth", "count", "median move, nats", "90% of moves below"),
        [*without_strongest("simulated", made), *without_strongest("proving ground", there)],
    )
    text = f"""`python performance/truth.py --series {options.series}`. The definitions stand in
[docs/truth.md](../../docs/truth.md), the simulated series in `tests/observed/split_halves.py`.

## Halves of a series

The checkpoints of {len(made)} simulated series (once each) and of {len(there)} of the proving
ground ({BUNDLED_CUTS} times each) are cut in two at random. Two halves *agree* where their
estimates differ by at most their 90% half widths, added in quadrature: of two right and independent
intervals 90% do. *Overlap* is that the intervals meet, which is easier. Pairs are those of which
both halves show the truth; widths are of one half.

{halved}

## What the intervals cover

How often the 90% interval of a simulated series holds what the same checkpoints show without noise.

{inside}

## Without the strongest models

How far the estimate moves where the strongest half of the models above chance is left out. No
interval covers that: which models are left out is not chance.

{moves}"""
    publish("truth", text, write=options.write)


if __name__ == "__main__":
    main()

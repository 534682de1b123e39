"""Truths drawn at random around what a design can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import LawForm
from emergecast.simulation._design import DEFAULT_HALF, Design, Truth, losses_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHA = {
    LawForm.LOG_POWER: (0.7, 4.0),
    LawForm.POWER: (0.1, 0.8),
    LawForm.HILL: (0.5, 2.0),
}
"""Range of the curvature, drawn evenly in its logarithm."""
PAST = 3
"""Checkpoints of different loss that lie past the elbow, where the design has future ones."""
FAR = 0.6
"""How far past the strongest checkpoint, in S, the elbow may lie where it has none."""


def random_truth(
    design: Design, rng: np.random.Generator, *, forms: Sequence[LawForm] = (LawForm.LOG_POWER,)
) -> Truth:
    """A moderate truth that the design could meet, drawn independently of any prior of a fit.

    With L* the strongest present loss, R and S as in docs/model.md; all uniform unless said:
        elbow       between L* and the third lowest future loss (without future ones, L* to
                    L* - 0.6 S)
        elbow_max   0.25 to 0.85 of the way from the lowest to the highest finetuned loss
        alpha, half log-uniform: log-power 0.7-4, power 0.1-0.8, hill 0.5-2; within the amounts
        slope       such that the best finetuned model gains 0.2 R to 0.8 R, and no score passes
                    0.95 R
        level, few_shot_offset   normal, 0.01 R; level not below score 0 for a proportion
        tau         log-uniform, 0.004 R to 0.03 R

    Args:
        design: what is measured.
        rng: draws a fixed number of times.
        forms: one is picked with equal probability.
    """
    reach, spread = design.score_range, design.loss_spread
    present, future = losses_of(design.present), np.unique(losses_of(design.future))
    tuned = losses_of(each for each in design.present if each.finetuned)
    strongest = float(present.min())
    form = LawForm(forms[int(rng.integers(len(forms)))])
    beyond = strongest - FAR * spread
    furthest = float(future[min(PAST, future.size) - 1]) if future.size else beyond
    elbow = rng.uniform(furthest, strongest)
    elbow_max = float(tuned.min() + rng.uniform(0.25, 0.85) * np.ptp(tuned))
    alpha = np.exp(rng.uniform(*np.log(ALPHA[form])))
    half = np.exp(rng.uniform(*np.log([design.examples[0], design.most_examples])))
    best_gain = rng.uniform(0.2, 0.8) * reach
    few_shot_reach = elbow - float(losses_of(design.checkpoints).min())
    slope = best_gain / (elbow_max - float(tuned.min()))
    if few_shot_reach > 0:
        slope = min(slope, 0.95 * reach / few_shot_reach)
    level, offset = rng.normal(0.0, 0.01 * reach, 2)
    tau = np.exp(rng.uniform(*np.log([0.004 * reach, 0.03 * reach])))
    return Truth(
        form=form,
        elbow=float(elbow),
        elbow_max=float(elbow_max),
        alpha=float(alpha),
        half=float(half) if form is LawForm.HILL else DEFAULT_HALF,
        slope=float(slope),
        level=float(max(level, -design.chance) if design.proportion else level),
        few_shot_offset=float(offset),
        tau=float(tau),
    )

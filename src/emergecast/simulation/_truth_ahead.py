"""Truths at a stated distance ahead of what there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import OptionError
from emergecast.simulation._departures import Effects
from emergecast.simulation._design import losses_of
from emergecast.simulation._noiseless import elbows

if TYPE_CHECKING:
    from emergecast.simulation._design import Design, Truth

VISIBLE: Final = 2
"""Amounts whose elbow must show, and finetuned losses on each side of it."""


def truth_ahead(design: Design, ratio: float, truth: Truth | None = None) -> Truth:
    """The law of which E(D0) takes `ratio` times the FLOPs of the strongest present checkpoint.

    Form, curvature and the rest are those of `truth`. Its elbow_max is raised as far as it takes to
    show the elbows of two amounts, each with two finetuned losses at or past it, and its slope then
    lowered such that the best finetuned gain stays.

    The distance is from the design's horizon: `simulate` without `future_by_chance`, since later
    checkpoints that are at chance, as most before the elbow are, would count as present there. To
    hide present ones that stand out of chance, select with `at_chance_only` and future=false.

    Args:
        design: what is measured; every checkpoint needs params and tokens, see `loss_at_flops`.
        ratio: 1 is the strongest checkpoint itself.
        truth: the shape of the law; None: the design's own.

    Raises:
        OptionError: no checkpoint reaches that many FLOPs, or the elbows cannot show: that of the
            largest amount would have to lie above all but one of the finetuned losses.
    """
    truth = truth or design.truth
    elbow = design.loss_at_flops(ratio)
    if len(design.examples) < VISIBLE:
        raise OptionError(f'design "{design.name}": one amount tells of no shift. Add amounts.')
    unit = replace(truth, elbow=1.0, elbow_max=2.0)
    second = np.array([design.examples[-VISIBLE]], dtype=np.float64)
    share = float(elbows(design, unit, Effects(), second)[0]) - 1.0
    tuned = np.unique(losses_of(each for each in design.present if each.finetuned))
    at = min(VISIBLE, tuned.size)
    least, most = float(tuned[at - 1]), float(tuned[-at])
    needed = max(truth.elbow_max, elbow + (least - elbow) / share)
    if tuned.size < 2 * VISIBLE or needed > most:
        raise OptionError(
            f'design "{design.name}": with the elbow at {elbow:.4g} nats, {ratio:g} times the FLOPs'
            f" ahead, the elbows of {VISIBLE} amounts do not show in finetuned scores: that of the"
            f" largest would have to lie at {needed:.4g} nats, and {VISIBLE} finetuned losses at"
            f" or above it; the second highest is {most:.4g}. Use a smaller ratio, a smaller alpha,"
            " weaker checkpoints, or amounts that lie closer together."
        )
    reach = truth.elbow_max - float(tuned[0])
    slope = truth.slope * min(reach / (needed - float(tuned[0])), 1.0) if reach > 0 else truth.slope
    return replace(truth, elbow=elbow, elbow_max=needed, slope=slope)

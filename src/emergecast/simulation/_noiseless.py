"""Scores without noise, departures included, and the elbow that they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from emergecast.emergence_law import LawForm, rise, shift_fraction
from emergecast.errors import OptionError
from emergecast.measurements import CHANCE_MARGIN, metric_of
from emergecast.observed import best_relu
from emergecast.simulation._departures import Effects
from emergecast.simulation._design import UNTRAINED_LOSS, losses_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.simulation._design import Design, Truth

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_ANNEALED = 2
"""Place among three present checkpoints of the one that is annealed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The rows of a design's table, checkpoint by checkpoint, few-shot first; arrays of (n,)."""

    checkpoint: Ints
    """Index into the design's checkpoints."""
    examples: Floats
    """Finetuning examples; D0 where few-shot."""
    few_shot: NDArray[np.bool_]
    subset: Ints
    """0 where few-shot."""
    loss: Floats
    """Nats."""


@lru_cache(maxsize=64)
def rows_of(design: Design, *, later: bool = False) -> Rows:
    """Every row that the design measures; with `later`, future checkpoints are finetuned too."""
    cells: list[tuple[int, float, bool, int]] = []
    for index, checkpoint in enumerate(design.checkpoints):
        cells.append((index, design.few_shot_examples, True, 0))
        if checkpoint.finetuned and (later or not design.is_future(checkpoint)):
            cells += [
                (index, float(amount), False, subset)
                for amount in design.examples
                for subset in range(design.subsets)
            ]
    owner, examples, few_shot, subset = (np.array(each) for each in zip(*cells, strict=True))
    return Rows(
        checkpoint=owner,
        examples=examples,
        few_shot=few_shot,
        subset=subset,
        loss=losses_of(design.checkpoints)[owner],
    )


def gains(design: Design, truth: Truth, effects: Effects, rows: Rows) -> Floats:
    """How far each noiseless score lies above its level before the elbow, shape (n,)."""
    seen = np.where(hidden_data(design)[rows.checkpoint], effects.hidden_examples, 0.0)
    loss = rows.loss + effects.series_offset * _series_position(design)[rows.checkpoint]
    loss = loss - effects.annealing * running(design)[rows.checkpoint]
    elbow = elbows(design, truth, effects, rows.examples + seen)
    past = elbow - loss
    if effects.curved:
        floor = floor_of(design)
        past = (truth.elbow - floor) * np.log((elbow - floor) / (loss - floor))
    if effects.toe:
        past = _toe(past, effects.toe)
    slope = truth.slope * _slope_factor(design, effects, rows.examples)
    rate = 0.0 if effects.ceiling is None else slope / effects.ceiling
    gain = slope * rise(past, width=effects.softness, ceiling_rate=rate)
    if effects.overtrained:
        kept = 1.0 - effects.overtrained * np.maximum(_overtraining(design), 0.0)
        gain = gain * np.where(rows.few_shot, 1.0, np.maximum(kept, 0.0)[rows.checkpoint])
    return np.asarray(gain)


def levels(design: Design, truth: Truth, rows: Rows) -> Floats:
    """The noiseless score before the elbow, shape (n,)."""
    return np.asarray(design.chance + truth.level + truth.few_shot_offset * rows.few_shot)


def full_gain(design: Design, truth: Truth, effects: Effects, rows: Rows) -> Floats:
    """Gain of a run that has the skill, where runs have all of it or none; shape (n,)."""
    slope = truth.slope * _slope_factor(design, effects, rows.examples)
    return np.asarray(slope * effects.bimodal)


def elbows(design: Design, truth: Truth, effects: Effects, examples: Floats) -> Floats:
    """E(D) in nats, of the shape of `examples`."""
    form, alpha, half = truth.form, truth.alpha, truth.half
    if effects.hill is not None:
        form, (half, alpha) = LawForm.HILL, effects.hill
    moved = shift_fraction(
        form,
        examples,
        low=design.few_shot_examples,
        high=design.most_examples,
        alpha=np.array([alpha]),
        half=np.array([half]),
    )[0]
    low = truth.elbow_max - effects.shift_kept * (truth.elbow_max - truth.elbow)
    return np.asarray(low + (truth.elbow_max - low) * moved)


@lru_cache(maxsize=64)
def hidden_data(design: Design) -> NDArray[np.bool_]:
    """Which checkpoints hidden task data touch: the last series, or every third of a single one."""
    if len(design.series) > 1:
        return np.array([each.series == design.series[-1] for each in design.checkpoints])
    return np.array([index % 3 == 1 for index in range(len(design.checkpoints))])


@lru_cache(maxsize=64)
def running(design: Design) -> NDArray[np.bool_]:
    """Which checkpoints are not annealed: two in three of the present ones, in their order."""
    index = {each: i for i, each in enumerate(design.present)}
    return np.array([index.get(each, _ANNEALED) % 3 != _ANNEALED for each in design.checkpoints])


def estimand(design: Design, truth: Truth, effects: Effects | None = None) -> float | None:
    """Where a ReLU fitted to noiseless few-shot scores has its elbow, nats.

    Base, slope and elbow are free, weights equal, over all checkpoints of the design, present and
    future, without those that have seen hidden task data or run on. Where these scores are
    themselves a ReLU the answer is E(D0), also where too few checkpoints lie past it for a fit.

    Returns None where the departure bends the few-shot curve and no ReLU can be fitted.
    """
    effects = effects or Effects()
    everything = rows_of(design)
    clean = np.ones(len(design.checkpoints), dtype=bool)
    if effects.hidden_examples:
        clean &= ~hidden_data(design)
    if effects.annealing:
        clean &= ~running(design)
    kept = everything.few_shot & clean[everything.checkpoint]
    names = ("checkpoint", "examples", "few_shot", "subset", "loss")
    rows = Rows(**{name: getattr(everything, name)[kept] for name in names})
    elbow = few_shot_elbow(design, truth, effects)
    past = np.unique(rows.loss[rows.loss < elbow])
    rounded = effects.softness > 0 or effects.toe > 0
    bent = rounded or effects.curved or effects.ceiling is not None or effects.series_offset != 0
    if past.size < 2 or np.unique(rows.loss).size - past.size < 1:
        return None if bent else elbow
    found = best_relu(rows.loss, gains(design, truth, effects, rows))
    return None if found is None else found.elbow


def crossing(design: Design, truth: Truth, effects: Effects | None = None) -> float | None:
    """The highest loss at which the noiseless few-shot score reaches its level above chance, nats.

        score = chance + CHANCE_MARGIN (best - chance)

    For a metric without a best score the range of the noiseless finetuned scores stands for best -
    chance. It is solved on the curve, not between checkpoints: for an annealed model that has seen
    no task data, on the mean of the axes of all series.

    Returns None where the score lies above that level before its elbow, or levels off below it.
    """
    effects = effects or Effects()
    rows = rows_of(design)
    reach = design.score_range
    if metric_of(design.metric).best is None:
        score = levels(design, truth, rows) + gains(design, truth, effects, rows)
        reach = float(np.ptp(score[~rows.few_shot]))
    wanted = CHANCE_MARGIN * reach - truth.level - truth.few_shot_offset
    top = math.inf if effects.ceiling is None else effects.ceiling
    if not 0 < wanted < top:
        return None
    least = np.array([design.few_shot_examples])
    slope = truth.slope * float(_slope_factor(design, effects, least)[0])
    wanted = wanted if math.isinf(top) else -top * math.log1p(-wanted / top)
    past = wanted / slope
    if effects.softness:
        past += effects.softness * math.log(-math.expm1(-past / effects.softness))
    if effects.toe and past < 2 * effects.toe:
        past = effects.toe * (2 + float(logit(past / (4 * effects.toe))))
    elbow = few_shot_elbow(design, truth, effects)
    if not effects.curved:
        return elbow - past
    floor = floor_of(design)
    return floor + (elbow - floor) * math.exp(-past / (truth.elbow - floor))


def few_shot_elbow(design: Design, truth: Truth, effects: Effects) -> float:
    """E(D0) after the departure, nats."""
    return float(elbows(design, truth, effects, np.array([design.few_shot_examples]))[0])


def floor_of(design: Design) -> float:
    """The loss that no amount of compute reaches, nats.

    Raises:
        OptionError: it has none.
    """
    if design.floor_nats is None:
        raise OptionError(
            f'the design "{design.name}" has no scaling law, so no loss has a compute. Add a table'
            " [loss] with the law, or its floor_nats, a, alpha, b and beta."
        )
    return design.floor_nats


def _toe(past: Floats, width: float) -> Floats:
    """A logistic curve of e-fold `width` up to its middle, 2 widths past the elbow, then the line.

    Value and slope meet there: 4 width expit(0) = 2 width, with slope 1.
    """
    start = 4 * width * expit(np.minimum(past / width - 2, 0.0))
    return np.asarray(np.where(past < 2 * width, start, past))


def _slope_factor(design: Design, effects: Effects, examples: Floats) -> Floats:
    low, high = design.few_shot_examples, design.most_examples
    share = np.log(examples / low) / np.log(high / low)
    middle = 0.5 if effects.slope_fall >= 1 else 1.0
    return np.asarray(effects.slope_fall ** (middle - share))


@lru_cache(maxsize=64)
def _series_position(design: Design) -> Floats:
    """-1/2 for checkpoints of the first series, 1/2 for the last, evenly in between."""
    places = np.linspace(-0.5, 0.5, len(design.series)) if len(design.series) > 1 else np.zeros(1)
    return np.array([places[design.series.index(each.series)] for each in design.checkpoints])


def _overtraining(design: Design) -> Floats:
    """log10 of tokens per parameter over the median of the finetuned; nan where not known."""
    counts = [(each.tokens, each.params) for each in design.checkpoints]
    ratio = np.array(
        [tokens / params if tokens and params else np.nan for tokens, params in counts]
    )
    return np.asarray(np.log10(ratio / np.median(ratio[_finetuned(design)])))


def _finetuned(design: Design) -> NDArray[np.bool_]:
    return np.array([each.finetuned for each in design.checkpoints])


def refuse_meaningless(design: Design, effects: Effects, elbow: float) -> None:
    """Raise where an effect would change nothing, or cannot be computed, in this design.

    Raises:
        OptionError: offsets between series of a single one; overtraining without counts of
            parameters and tokens, or with one ratio; log compute without a scaling law, or losses
            below its floor; checkpoints weaker than untrained.
    """
    if effects.curved:
        floor, lowest = floor_of(design), min(each.loss for each in design.checkpoints)
        if floor >= min(lowest - effects.annealing - abs(effects.series_offset) / 2, elbow):
            raise OptionError(
                f'the design "{design.name}" has a loss or an elbow of no more than its floor,'
                f" {floor:g} nats, which no compute reaches. Lower the floor in [loss]."
            )
    if effects.weak and max(each.loss for each in design.present) >= UNTRAINED_LOSS:
        raise OptionError(
            f'no checkpoint is weaker than those of the design "{design.name}": an untrained one'
            f" has {UNTRAINED_LOSS:g} nats. Leave the weak checkpoints out."
        )
    if effects.series_offset and len(design.series) < 2:
        raise OptionError(
            f'the design "{design.name}" has one series, so there is no offset between series.'
            ' Use a design with several, such as "two-series".'
        )
    if effects.overtrained and not np.ptp(_overtraining(design)[_finetuned(design)]) > 0:
        raise OptionError(
            f'the design "{design.name}" does not tell overtrained checkpoints apart. Give its'
            " checkpoints params and tokens in different ratios."
        )

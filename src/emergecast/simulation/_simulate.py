"""Tables with a known truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from scipy.special import ndtr, stdtrit

from emergecast.measurements import Measurements, Setting, above_chance, metric_of, read_table
from emergecast.simulation._departures import Departure, Effects, as_departure, departed
from emergecast.simulation._noiseless import (
    Rows,
    crossing,
    estimand,
    full_gain,
    gains,
    levels,
    refuse_meaningless,
    rows_of,
    running,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.simulation._design import Design, Truth

    Floats = NDArray[np.float64]

SHARED: Final = 0.7
"""Share of the scatter's variance that snapshots along one run have in common."""
LR_FRACTION: Final = "lr_fraction"
"""Column of annealing: 0 for annealed checkpoints, 1 for those that run on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """A table, and what it was drawn from."""

    table: Measurements
    truth: Truth
    """The law before the departure."""
    departure: Departure | None
    """The named departure; None where there is none, or where effects were given one by one."""
    effects: Effects
    """What departs from the law."""
    estimand: float | None
    """Where a ReLU fitted to noiseless few-shot scores has its elbow, nats; see `estimand`."""
    crossing: float | None
    """The highest loss at which the noiseless few-shot score stands out of chance; `crossing`."""
    design: str
    """Name of the design."""


def simulate(
    design: Design,
    truth: Truth | None = None,
    *,
    departure: Departure | Effects | str | None = None,
    future_by_chance: bool = False,
    rng: np.random.Generator,
) -> Simulated:
    """A table of measurements drawn from `truth`.

    Every row has random numbers of its own, keyed by a number from `rng` and by the row's series,
    checkpoint, examples and subset: rows added to a design leave the others as they were, and a
    departure changes only what it says.

    Args:
        design: what is measured.
        truth: the law; None: the design's own.
        departure: one by name, at its default strength, or `Effects` of any strength.
        future_by_chance: finetune later checkpoints too, and mark as `future` not what lies past
            the design's horizon but what `SelectOptions(at_chance_only=True)` hides: what scores
            above chance few-shot, and all that is stronger.
        rng: gives one number per table.

    Raises:
        OptionError: there is no such departure, or it means nothing for this design.
    """
    truth = truth or design.truth
    named: Departure | None = None
    if departure is None:
        effects = Effects()
    elif isinstance(departure, Effects):
        effects = departure
    else:
        named = as_departure(departure)
        effects = departed(named, design)
    refuse_meaningless(design, effects, truth.elbow)
    design = design.with_weak(effects.weak)
    rows = rows_of(design, later=future_by_chance)
    score = _scores(design, truth, effects, rows, int(rng.integers(2**63)))
    columns = {**_columns(design, rows), "score": score.tolist(), "invented": [True] * len(score)}
    if future_by_chance:
        columns["future"] = _emerged(design, rows, score).tolist()
    if effects.annealing:
        columns[LR_FRACTION] = running(design).astype(float)[rows.checkpoint].tolist()
    return Simulated(
        table=read_table(columns),
        truth=truth,
        departure=named,
        effects=effects,
        estimand=estimand(design, truth, effects),
        crossing=crossing(design, truth, effects),
        design=design.name,
    )


def _emerged(design: Design, rows: Rows, score: Floats) -> NDArray[np.bool_]:
    """Rows of checkpoints that `SelectOptions.at_chance_only` hides, shape (n,)."""
    few = rows.few_shot
    error = [design.stderr] * int(few.sum())
    items = [design.n_items] * int(few.sum())
    frame = pl.DataFrame(
        {"score": score[few], "stderr": error, "n_items": items},
        schema_overrides={"stderr": pl.Float64, "n_items": pl.Int64},
    )
    above = above_chance(frame, metric_of(design.metric).kind, design.chance)
    return np.asarray(rows.loss <= np.max(rows.loss[few], where=above, initial=-np.inf))


def _scores(design: Design, truth: Truth, effects: Effects, rows: Rows, root: int) -> Floats:
    """Measured scores of the design's rows, shape (n,)."""
    names = _name_keys(design)
    runs = np.where(rows.few_shot, 1, design.runs)
    cells = _cells(rows)
    children = [_child(root, names[index], *cell) for index, *cell in cells]
    draws = [child.standard_normal(n) for child, n in zip(children, runs, strict=True)]
    luck = [child.random(n) for child, n in zip(children, runs, strict=True)]
    if design.snapshots:
        for i in np.flatnonzero(~rows.few_shot):
            index, _, subset = cells[i]
            run = _child(root, names[index], 0, subset, 1)
            shared = run.standard_normal(design.runs)
            draws[i] = SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * draws[i]
            luck[i] = run.random(design.runs)
    gain = gains(design, truth, effects, rows)
    if effects.bimodal:
        full = full_gain(design, truth, effects, rows)
        share = np.array([np.mean(u < p) for u, p in zip(luck, gain / full, strict=True)])
        gain = np.where(rows.few_shot | (gain >= full), gain, full * share)
    deviation = truth.tau + effects.noise_growth * gain
    mean = levels(design, truth, rows) + gain + deviation * _scatter(draws, effects)
    if effects.deviation:
        shared = np.array([_child(root, name).standard_normal() for name in names])
        mean = mean + effects.deviation * shared[rows.checkpoint]
    return _evaluated(design, mean, children)


def _child(*key: int) -> np.random.Generator:
    """The generator of one row, or of one checkpoint."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _evaluated(design: Design, mean: Floats, children: list[np.random.Generator]) -> Floats:
    """The scores that an evaluation of models of expected score `mean` gives."""
    metric = metric_of(design.metric)
    if design.n_items is not None:
        right = zip(children, np.clip(mean, 0.0, 1.0), strict=True)
        return np.array([child.binomial(design.n_items, p) for child, p in right]) / design.n_items
    error = np.array([child.standard_normal() for child in children])
    return np.clip(mean + (design.stderr or 0.0) * error, metric.minimum, metric.maximum)


def _scatter(draws: list[Floats], effects: Effects) -> Floats:
    """Mean over the runs of each row of standard normal, or Student-t, scatter; shape (n,).

    A Student-t draw has the same rank as the normal one that it replaces.
    """
    if effects.t_df is None:
        return np.array([each.mean() for each in draws])
    return np.array([stdtrit(effects.t_df, ndtr(each)).mean() for each in draws])


def _cells(rows: Rows) -> list[tuple[int, int, int]]:
    """Checkpoint, examples (0 where few-shot) and subset of each row, as whole numbers."""
    examples = np.where(rows.few_shot, 0.0, rows.examples).astype(np.int64)
    return list(zip(rows.checkpoint.tolist(), examples.tolist(), rows.subset.tolist(), strict=True))


@lru_cache(maxsize=64)
def _name_keys(design: Design) -> tuple[int, ...]:
    """A number for the name of each checkpoint that does not depend on the other checkpoints."""
    texts = [f"{each.series}\0{each.name}" for each in design.checkpoints]
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return tuple(int.from_bytes(digest, "big") for digest in digests)


def _columns(design: Design, rows: Rows) -> dict[str, list[Any]]:
    """Every column of the design's table but the score."""
    few_shot = rows.few_shot.tolist()
    models = [design.checkpoints[index] for index in rows.checkpoint]
    n = len(models)
    columns: dict[str, list[Any]] = {
        "series": [each.series for each in models],
        "checkpoint": [each.name for each in models],
        "params": [each.params for each in models],
        "tokens": [each.tokens for each in models],
        "loss": [each.loss for each in models],
        "task": [design.task] * n,
        "metric": [design.metric] * n,
        "setting": [Setting.FEW_SHOT if few else Setting.FINETUNED for few in few_shot],
        "shots": [design.shots if few else 0 for few in few_shot],
        "examples": [
            None if few else int(examples)
            for few, examples in zip(few_shot, rows.examples, strict=True)
        ],
        "subset": [
            None if few else str(subset) for few, subset in zip(few_shot, rows.subset, strict=True)
        ],
        "stderr": [design.stderr] * n,
        "n_items": [design.n_items] * n,
        "runs": [1 if few else design.runs for few in few_shot],
        "chance": [design.chance] * n,
    }
    if design.snapshots:
        columns["snapshot"] = [not few for few in few_shot]
    if design.horizon is not None:
        columns["future"] = [design.is_future(each) for each in models]
    return columns

"""Designs drawn at random, as uneven as the pools of real models."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.emergence_law import LawForm
from emergecast.scaling import CHINCHILLA_LAWS
from emergecast.simulation._design import Design, DesignCheckpoint, Truth
from emergecast.simulation._random_truth import random_truth

if TYPE_CHECKING:
    from emergecast.scaling import ChinchillaLaw

LEAST, MOST = 5, 22
"""Present checkpoints."""
LATER: Final = tuple(1.8**step for step in range(1, 9))
"""FLOPs of the later checkpoints, in those of the strongest present one; the last is 110."""
_PLACEHOLDER: Final = Truth(
    form=LawForm.LOG_POWER, elbow=1.0, elbow_max=2.0, alpha=1.0, slope=1.0, tau=0.0
)


class Layout(StrEnum):
    """What kind of pool it is."""

    RUN = "run"
    """Checkpoints along the pretraining of one model."""
    SIZES = "sizes"
    """Two to four sizes of one family, each at several tokens along its training."""
    FAMILIES = "families"
    """Finished models of two to five families, clustered in loss, a little off one another."""


def random_design(rng: np.random.Generator, *, layout: Layout | str | None = None) -> Design:
    """A pool of 5 to 22 present checkpoints and 8 later ones, with a truth of `random_truth`.

    Losses follow one of the published laws of Chinchilla's form; those of a family lie off it by a
    normal 0.02 nats. Later checkpoints are up to 110 times the FLOPs ahead, and grow alike in
    parameters and tokens. 3 to 7 amounts from 10 to 300 examples up, a factor of 2.5 to 6 apart; 1
    or 2 subsets; the amounts of a quarter of the designs are snapshots along one run; 200 to 14,000
    items; chance 0, 1/4 or 1/2.

    Args:
        rng: drawn from a number of times that depends on what is drawn.
        layout: the kind of pool; None: one of the three at random.
    """
    kind = Layout(rng.choice(list(Layout)) if layout is None else layout)
    law = CHINCHILLA_LAWS[str(rng.choice(list(CHINCHILLA_LAWS)))]
    present = _present(kind, law, int(rng.integers(LEAST, MOST + 1)), rng)
    strongest = min(present, key=lambda each: each.loss)
    later = [_grown(strongest, ratio, law) for ratio in LATER]
    first, step = 10 ** rng.uniform(1.0, 2.5), rng.uniform(2.5, 6.0)
    chance = float(rng.choice([0.0, 0.25, 0.5]))
    design = Design(
        name="random",
        description=f"Drawn at random: {kind}",
        task="simulated",
        metric="acc" if chance else "exact_match",
        chance=chance,
        n_items=int(10 ** rng.uniform(2.3, 4.15)),
        stderr=None,
        shots=5,
        examples=tuple(int(first * step**power) for power in range(int(rng.integers(3, 8)))),
        subsets=int(rng.integers(1, 3)),
        runs=1,
        horizon=(strongest.loss + later[0].loss) / 2,
        checkpoints=(*present, *later),
        truth=_PLACEHOLDER,
        floor_nats=float(law.floor_nats),
        snapshots=bool(rng.random() < 0.25),
    )
    return replace(design, truth=random_truth(design, rng))


def _present(
    kind: Layout, law: ChinchillaLaw, count: int, rng: np.random.Generator
) -> list[DesignCheckpoint]:
    """The present checkpoints of a kind of pool, no two of one loss."""
    least = 10 ** rng.uniform(8.0, 9.3)
    if kind is Layout.FAMILIES:
        return _families(law, count, least, rng)
    sizes = 1 if kind is Layout.RUN else int(rng.integers(2, 5))
    found: list[DesignCheckpoint] = []
    for size, part in enumerate(np.array_split(np.arange(count), sizes)):
        params = int(least * 2.2**size)
        last = np.log10(params * 10 ** rng.uniform(1.3, 2.3))
        for tokens in np.logspace(last - rng.uniform(1.0, 2.0), last, part.size):
            found.append(_checkpoint("one", len(found), params, int(tokens), law))
    return found


def _families(
    law: ChinchillaLaw, count: int, least: float, rng: np.random.Generator
) -> list[DesignCheckpoint]:
    """Finished models in clusters of about four, one or more of each size, of several families."""
    families = int(rng.integers(2, 6))
    shifts = rng.normal(0.0, 0.02, families)
    clusters = np.sort(10 ** rng.uniform(0.0, 1.7, -(-count // 4)))
    found = []
    for i in range(count):
        family = i % families
        params = int(least * clusters[i * clusters.size // count] * rng.uniform(0.9, 1.1))
        tokens = int(params * 20 * rng.uniform(1.0, 3.0))
        each = _checkpoint(f"family-{family + 1}", i, params, tokens, law)
        found.append(replace(each, loss=each.loss + float(shifts[family])))
    return found


def _checkpoint(
    series: str, number: int, params: int, tokens: int, law: ChinchillaLaw
) -> DesignCheckpoint:
    return DesignCheckpoint(
        series=series,
        name=f"c{number + 1:02d}",
        params=params,
        tokens=tokens,
        loss=float(law.loss(params, tokens)),
        finetuned=True,
    )


def _grown(strongest: DesignCheckpoint, ratio: float, law: ChinchillaLaw) -> DesignCheckpoint:
    """A checkpoint of `ratio` times the FLOPs, as far off the law as the strongest one."""
    params, tokens = strongest.params or 1, strongest.tokens or 1
    off = strongest.loss - float(law.loss(params, tokens))
    grown = int(params * ratio**0.5), int(tokens * ratio**0.5)
    return replace(
        strongest,
        name=f"later-{ratio:.3g}",
        params=grown[0],
        tokens=grown[1],
        loss=float(law.loss(*grown)) + off,
    )

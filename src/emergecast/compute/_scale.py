"""How a forecast in loss becomes one in compute: the options, and the law that results."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling import Allocation, ScalingLaw, SeriesLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.compute._dates import ComputeDates

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeOptions:
    """How a forecast in loss becomes one in compute."""

    law: ScalingLaw | Literal["own"] | None = None
    """A law; "own" for one fitted to the checkpoints of the fit; None: own where the losses were
    measured, and where they were estimated the constants they were estimated with."""
    draws: ScalingLaw | None = None
    """The law with draws of its constants, where their uncertainty is known."""
    allocation: Allocation | None = None
    """How parameters and tokens are tied; None: as suits the law (docs/scaling.md)."""
    anchor: bool = True
    """Shift the floor of a given law so that it passes through the measured checkpoints."""
    dates: ComputeDates | None = None
    """The largest run possible at each of some dates, to say when."""


class LawKind(StrEnum):
    """Where a law comes from."""

    OWN = "own"
    """Fitted to the visible checkpoints of the fit."""
    GIVEN = "given"
    """Named by the user, for losses that were measured."""
    RELABELLING = "relabelling"
    """The constants that the losses were computed with: the same forecast in other units."""
    STRAIGHT = "straight"
    """None: the forecast is in FLOPs already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCompute:
    """There is no forecast in compute."""

    reason: str
    """Why, and what to do, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class LossToCompute:
    """A law, what is uncertain about it, and how a run is made of a loss."""

    kind: LawKind
    law: ScalingLaw | None = None
    """As given, anchored; None where it is the series' own, or there is none."""
    law_draws: ScalingLaw | None = None
    """The same with draws of its constants, each anchored; None where they are taken as certain."""
    series: SeriesLaw | None = None
    """The posterior of the series' own law."""
    allocation: Allocation | None = None
    """How parameters and tokens are tied; None where nothing says so and FLOPs alone matter."""
    allocation_from: str = ""
    """Why it is that where nobody asked for it, in words."""
    n_checkpoints: int = 0
    """Checkpoints that the law was fitted to or anchored by."""
    anchored_by: float | None = None
    """Nats added to the floor of a given law."""
    anchor_stderr: float = 0.0
    scatter_nats: float = 0.0
    """Standard deviation of checkpoints about a given law, nats; own laws draw theirs."""
    strongest: str | None = None
    """The visible checkpoint of lowest loss whose compute is known."""
    strongest_flops: float | None = None
    lowest_loss: float = math.inf
    """Of the visible checkpoints, nats; the same below."""
    highest_loss: float = math.inf
    notes: tuple[str, ...] = field(default=())

    def draws(self, n: int, rng: np.random.Generator) -> tuple[ScalingLaw, Floats] | None:
        """Draws of the law and of its scatter in nats, shape (n,); one law where it is certain.

        None where the forecast is in FLOPs already.
        """
        if self.series is not None:
            found = self.series.draws(n, rng)
            return found.law, found.scatter_nats
        if self.law is None:
            return None
        scatter = np.full(n, self.scatter_nats)
        law = self.law if self.law_draws is None else _picked(self.law_draws, n, rng)
        if self.anchor_stderr:
            floor = law.floor_nats + self.anchor_stderr * rng.standard_normal(n)
            law = replace(law, floor_nats=np.maximum(floor, 0.0))
        return law, scatter


def _picked(draws: ScalingLaw, n: int, rng: np.random.Generator) -> ScalingLaw:
    """`n` of the draws at random, of those in which the loss falls with every resource.

    Raises:
        ScalingError: there is none.
    """
    kept = np.flatnonzero(draws.falls)
    if not kept.size:
        raise ScalingError(
            f'in no draw of "{draws.name}" does the loss fall with every resource: fit it to more '
            "runs, or use another law."
        )
    return draws.take(kept[rng.integers(kept.size, size=n)])

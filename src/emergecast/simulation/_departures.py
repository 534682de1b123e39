"""Ways in which tables break the law that a forecast assumes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from emergecast.errors import OptionError, near

if TYPE_CHECKING:
    from emergecast.simulation._design import Design


class Departure(StrEnum):
    """One way to depart from the law; `departed` gives each its default strength."""

    FALLING_SLOPE = "falling-slope"
    SATURATING_ELBOW = "saturating-elbow"
    SMOOTH_ELBOW = "smooth-elbow"
    CEILING = "ceiling"
    HEAVY_TAILS = "heavy-tails"
    BIMODAL_RUNS = "bimodal-runs"
    SHARED_DEVIATION = "shared-deviation"
    SERIES_OFFSETS = "series-offsets"
    OVERTRAINED = "overtrained"
    HIDDEN_TASK_DATA = "hidden-task-data"
    TOE = "toe"
    ONE_ELBOW = "one-elbow"
    CURVED_AXIS = "curved-axis"
    WEAK_CHECKPOINTS = "weak-checkpoints"
    GROWING_NOISE = "growing-noise"
    ANNEALING = "annealing"

    @property
    def sentence(self) -> str:
        """What it does, at its default strength."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Departure.FALLING_SLOPE: "The slope falls with data, to a third from D0 to Dmax.",
    Departure.SATURATING_ELBOW: "The elbow stops moving at large amounts (a hill law).",
    Departure.SMOOTH_ELBOW: "The elbow is rounded, a softplus of width 0.3 S.",
    Departure.CEILING: "Scores level off 0.4 R above their level before the elbow.",
    Departure.HEAVY_TAILS: "Scores scatter like Student's t with 3 degrees of freedom.",
    Departure.BIMODAL_RUNS: "Up to 0.75 S past the elbow a run has all of the skill or none.",
    Departure.SHARED_DEVIATION: "All rows of a checkpoint share a deviation of sd 0.03.",
    Departure.SERIES_OFFSETS: "The loss axes of first and last series are 0.5 S apart.",
    Departure.OVERTRAINED: "Finetuned gains shrink 30% per tenfold tokens per parameter.",
    Departure.HIDDEN_TASK_DATA: "The last series, or every third checkpoint, saw task data.",
    Departure.TOE: "The curve starts as a logistic one of e-fold 0.6 S, then is the line.",
    Departure.ONE_ELBOW: "No elbow moves: all are E(Dmax), and slopes grow tenfold from D0.",
    Departure.CURVED_AXIS: "Scores rise linearly in log compute instead of loss.",
    Departure.WEAK_CHECKPOINTS: "Half as many more checkpoints, from weak ones to untrained.",
    Departure.GROWING_NOISE: "Scatter grows by 0.15 of what a score has gained.",
    Departure.ANNEALING: "Two in three present checkpoints run on, at losses 0.3 S higher.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What departs from the law, and how strongly; the defaults depart from nothing."""

    slope_fall: float = 1.0
    """Slope at D0 over slope at Dmax; their geometric mean is the truth's slope. Below 1 slopes
    grow with data, and the truth's slope is the one at Dmax."""
    shift_kept: float = 1.0
    """Share that is left of each elbow's distance from E(Dmax); 0: one elbow for all amounts."""
    hill: tuple[float, float] | None = None
    """Half-way examples K and steepness h of an elbow that saturates instead."""
    softness: float = 0.0
    """Width of the softplus, nats."""
    toe: float = 0.0
    """E-fold of a logistic start, nats: up to twice that past the elbow the gain is a logistic
    curve, which meets the line there."""
    curved: bool = False
    """Whether gains are linear in log compute, the logarithm of what a loss lies above the design's
    floor; slopes per nat are then those at the truth's E(D0)."""
    ceiling: float | None = None
    """Largest gain over the level before the elbow, score."""
    t_df: float | None = None
    """Degrees of freedom of the runs' scatter; None: normal."""
    bimodal: float = 0.0
    """Nats past the elbow within which a finetuned run has all of the skill or none."""
    deviation: float = 0.0
    """Standard deviation shared by all rows of a checkpoint, score."""
    series_offset: float = 0.0
    """Difference of the loss axes of the last and the first series, nats; the rest in between."""
    overtrained: float = 0.0
    """Share of the finetuned gain lost per tenfold of tokens per parameter past the median."""
    hidden_examples: float = 0.0
    """Task examples that the checkpoints with hidden task data have seen in pretraining."""
    weak: int = 0
    """Checkpoints added to the pool, from just weaker than the weakest to untrained."""
    noise_growth: float = 0.0
    """What is added to the scatter's standard deviation per unit of gain."""
    annealing: float = 0.0
    """Nats by which the loss of a running checkpoint lies above that of an annealed one of equal
    scores. Every third present checkpoint is annealed, and so are all later ones."""

    def __post_init__(self) -> None:
        above = {"slope_fall": self.slope_fall, "ceiling": self.ceiling, "t_df": self.t_df}
        above |= dict(zip(("hill K", "hill h"), self.hill or (), strict=False))
        for name, value in above.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"the effect {name} must be above 0, not {value}.")
        if self.softness > 0 and self.toe > 0:
            raise OptionError("softness and toe both round the elbow. Give one of the two.")
        if not 0 <= self.shift_kept <= 1:
            raise OptionError(
                f"the effect shift_kept must lie between 0 and 1, not {self.shift_kept}."
            )
        names = (
            *("softness", "toe", "bimodal", "deviation", "overtrained", "hidden_examples"),
            *("weak", "noise_growth", "annealing"),
        )
        for name in names:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise OptionError(f"the effect {name} must be at least 0, not {value}.")


def departed(departure: Departure | str, design: Design) -> Effects:
    """The effects of a departure at its default strength, in units of the design.

    S is the spread of the present losses, R the range of the metric (docs/model.md).

    Raises:
        OptionError: there is none of that name.
    """
    spread = design.loss_spread
    middle = math.sqrt(design.examples[0] * design.most_examples)
    seen = math.sqrt(design.few_shot_examples * design.most_examples)
    return {
        Departure.FALLING_SLOPE: Effects(slope_fall=3.0),
        Departure.SATURATING_ELBOW: Effects(hill=(middle, 1.5)),
        Departure.SMOOTH_ELBOW: Effects(softness=0.3 * spread),
        Departure.CEILING: Effects(ceiling=0.4 * design.score_range),
        Departure.HEAVY_TAILS: Effects(t_df=3.0),
        Departure.BIMODAL_RUNS: Effects(bimodal=0.75 * spread),
        Departure.SHARED_DEVIATION: Effects(deviation=0.03),
        Departure.SERIES_OFFSETS: Effects(series_offset=0.5 * spread),
        Departure.OVERTRAINED: Effects(overtrained=0.3),
        Departure.HIDDEN_TASK_DATA: Effects(hidden_examples=seen),
        Departure.TOE: Effects(toe=0.6 * spread),
        Departure.ONE_ELBOW: Effects(shift_kept=0.0, slope_fall=0.1),
        Departure.CURVED_AXIS: Effects(curved=True),
        Departure.WEAK_CHECKPOINTS: Effects(weak=math.ceil(len(design.present) / 2)),
        Departure.GROWING_NOISE: Effects(noise_growth=0.15),
        Departure.ANNEALING: Effects(annealing=0.3 * spread),
    }[as_departure(departure)]


def as_departure(name: Departure | str) -> Departure:
    """The departure of that name.

    Raises:
        OptionError: there is none; the message has the nearest name.
    """
    try:
        return Departure(name)
    except ValueError:
        raise OptionError(
            f'there is no departure "{name}". {near(str(name), [*Departure])}'
        ) from None

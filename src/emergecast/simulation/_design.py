"""What a simulated table holds: checkpoints, data amounts, repeats, and how scores are measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import OptionError
from emergecast.measurements import MetricKind, default_few_shot_examples, metric_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from emergecast.emergence_law import LawForm

DEFAULT_HALF: Final = 1000.0
UNTRAINED_LOSS: Final = 10.8
"""Nats per token of a model that knows nothing of 50,000 tokens."""
_LOSS_TO_TOKENS: Final = 6.0
"""Power by which the tokens of a weak checkpoint fall as its loss rises: plausible, no more."""
_FEWEST_TOKENS: Final = 1000
_POSITIVE: Final = ("elbow", "elbow_max", "alpha", "half", "slope")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The law that a simulated table is drawn from, before any departure.

        finetuned on D:   y = chance + level + slope max(E(D) - L, 0) + noise
        few-shot:         y = chance + level + few_shot_offset + slope max(E(D0) - L, 0) + noise

    with E(D) = elbow + (elbow_max - elbow) [q(D) - q(D0)] / [q(Dmax) - q(D0)], q of the form; D0
    and Dmax are the design's.
    """

    form: LawForm
    elbow: float
    """E(D0), nats: the few-shot elbow."""
    elbow_max: float
    """E(Dmax), nats: the elbow at the design's largest amount; above `elbow`."""
    alpha: float
    """Curvature of E(D), > 0; for the hill form its steepness h."""
    half: float = DEFAULT_HALF
    """K, examples at which a hill law is half way; unused by the other forms."""
    slope: float
    """Score per nat past the elbow, > 0."""
    level: float = 0.0
    """Score before the elbow, minus chance."""
    few_shot_offset: float = 0.0
    """What few-shot rows have beyond that."""
    tau: float
    """Standard deviation of a run about the law, score, >= 0; also of few-shot rows."""

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self) if each.name != "form"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise OptionError(f"the truth's {name} must be a finite number, not {value}.")
            if name in _POSITIVE and value <= 0:
                raise OptionError(f"the truth's {name} must be above 0, not {value:g}.")
        if self.tau < 0:
            raise OptionError(f"the truth's tau must be at least 0, not {self.tau:g}.")
        if self.elbow_max <= self.elbow:
            raise OptionError(
                f"the truth's elbow_max ({self.elbow_max:g}) must be above its elbow"
                f" ({self.elbow:g}): more data move the elbow to a higher loss."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignCheckpoint:
    """One pretrained model of a design."""

    series: str
    name: str
    """Unique within the series."""
    params: int | None
    """Parameters."""
    tokens: int | None
    """Training tokens."""
    loss: float
    """Nats per token."""
    finetuned: bool
    """Whether it is finetuned on every amount; all checkpoints have few-shot scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is measured, of which checkpoints, on how much data, how often; and a default truth."""

    name: str
    """The name it is bundled under, or the file it was read from."""
    description: str
    task: str
    metric: str
    chance: float
    n_items: int | None
    """Test items of one evaluation of a proportion; None where `stderr` states the error."""
    stderr: float | None
    """Sampling error of one evaluation, score; None where `n_items` implies it."""
    shots: int
    """In-context examples of the few-shot rows."""
    examples: tuple[int, ...]
    """Finetuning amounts, ascending."""
    subsets: int
    """Random data subsets per amount, each a row."""
    runs: int
    """Finetuning runs that each row averages."""
    horizon: float | None
    """Checkpoints at or below this loss (nats) are future ones: few-shot only, and marked in the
    table's column `future`. None: there are none."""
    checkpoints: tuple[DesignCheckpoint, ...]
    truth: Truth
    """What `simulate` draws from unless told otherwise."""
    floor_nats: float | None = None
    """Loss that no compute reaches, by the design's scaling law; None where it has none."""
    snapshots: bool = False
    """Whether the amounts of a checkpoint and subset are snapshots along one run."""

    @property
    def few_shot_examples(self) -> float:
        """D0 of a fit that is not asked for another."""
        return default_few_shot_examples(self.shots, float(self.examples[0]))

    @property
    def most_examples(self) -> float:
        """Dmax."""
        return float(self.examples[-1])

    @property
    def present(self) -> tuple[DesignCheckpoint, ...]:
        """The checkpoints that exist when the forecast is made."""
        return tuple(each for each in self.checkpoints if not self.is_future(each))

    @property
    def future(self) -> tuple[DesignCheckpoint, ...]:
        """The checkpoints that come later."""
        return tuple(each for each in self.checkpoints if self.is_future(each))

    @property
    def series(self) -> tuple[str, ...]:
        """The series in order of appearance."""
        return tuple(dict.fromkeys(each.series for each in self.checkpoints))

    @property
    def loss_spread(self) -> float:
        """S: mean absolute deviation of the distinct present losses from their median, nats."""
        losses = np.unique(losses_of(self.present))
        return float(np.mean(np.abs(losses - np.median(losses))))

    @property
    def score_range(self) -> float:
        """R: best score minus chance; 1 for a metric without a known best score."""
        best = metric_of(self.metric).best
        return 1.0 if best is None else best - self.chance

    @property
    def proportion(self) -> bool:
        """Whether scores are shares of test items, drawn binomially."""
        return metric_of(self.metric).kind is MetricKind.PROPORTION and self.n_items is not None

    def loss_at_flops(self, ratio: float) -> float:
        """Loss, nats, that `ratio` times the FLOPs of the strongest present checkpoint buy.

        Interpolated linearly in ln FLOPs between the checkpoints that no cheaper one beats.

        Raises:
            OptionError: that is past the design's checkpoints, or a checkpoint lacks its counts.
        """
        spent = [float(c.params * c.tokens) for c in self.checkpoints if c.params and c.tokens]
        if len(spent) < len(self.checkpoints):
            raise OptionError(
                f'design "{self.name}": a checkpoint lacks params or tokens. Add them.'
            )
        order = sorted(zip(spent, losses_of(self.checkpoints).tolist(), strict=True))
        best = np.minimum.accumulate([loss for _, loss in order])
        kept = np.flatnonzero(np.diff(best, prepend=np.inf) < 0)
        flops = np.array([order[i][0] for i in kept])
        strongest = min(self.present, key=lambda each: each.loss)
        wanted = ratio * spent[self.checkpoints.index(strongest)]
        if not flops[0] <= wanted <= flops[-1]:
            raise OptionError(
                f'design "{self.name}": no checkpoint reaches {ratio:g} times the FLOPs of'
                f" {strongest.name}. Use a smaller ratio, or add future checkpoints."
            )
        return float(np.interp(np.log(wanted), np.log(flops), best[kept]))

    def with_weak(self, count: int) -> Design:
        """The design and `count` weaker checkpoints, even in ln loss; the last one is untrained.

        They stand behind the others, so that places in the list stay.
        """
        weakest = max(self.present, key=lambda each: each.loss)
        added = []
        for i in range(1, count + 1):
            loss = weakest.loss * (UNTRAINED_LOSS / weakest.loss) ** (i / count)
            tokens = (weakest.tokens or 0) * (weakest.loss / loss) ** _LOSS_TO_TOKENS
            added.append(
                replace(
                    weakest,
                    name=f"weak-{i}",
                    loss=loss,
                    tokens=weakest.tokens and max(int(tokens), _FEWEST_TOKENS),
                )
            )
        return replace(self, checkpoints=(*self.checkpoints, *added))

    def is_future(self, checkpoint: DesignCheckpoint) -> bool:
        """Whether `checkpoint` lies at or past the horizon."""
        return self.horizon is not None and checkpoint.loss <= self.horizon


def losses_of(checkpoints: Iterable[DesignCheckpoint]) -> NDArray[np.float64]:
    """Their losses in nats, in the given order."""
    return np.array([each.loss for each in checkpoints], dtype=np.float64)

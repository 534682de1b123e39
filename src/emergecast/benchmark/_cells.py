"""What is forecast: the bundled tasks and the kinds of simulated tables, one entry each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import polars as pl

from emergecast.backtests import BacktestOptions, Part, ground_of, settings_of
from emergecast.emergence_law import LawForm
from emergecast.errors import FitError, OptionError
from emergecast.inference import FitOptions, fit
from emergecast.measurements import (
    SelectOptions,
    proving_ground,
    proving_ground_options,
    proving_ground_skills,
)
from emergecast.simulation import (
    Departure,
    load_design,
    random_design,
    random_truth,
    simulate,
    truth_ahead,
)

if TYPE_CHECKING:
    from emergecast.inference import Fit
    from emergecast.measurements import Measurements
    from emergecast.simulation import Design, Simulated

PLAIN: Final = FitOptions(law="log-power")
"""What prepares the rows; nothing is inferred from it."""
FORMS: Final = (LawForm.LOG_POWER, LawForm.POWER)
"""Laws that simulated truths follow, before any departure."""
DRAWS: Final = 50
"""Draws of a simulated table until its scores show what the cell is about."""
RANDOM: Final = "random"
"""Stands among the designs for one that is drawn, as uneven as pools of real models."""


class HeldSplit(StrEnum):
    """Whether a task may be looked at while a method is made."""

    DEVELOPMENT = "development"
    """Methods may be chosen on it."""
    HELD = "held"
    """Looked at once, when nothing is changed any more."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One forecast to make, and the answer, which no method sees."""

    name: str
    table: Measurements
    """Rows of the checkpoints that may be used."""
    rows: SelectOptions
    """Which of them make the fit."""
    few_shot_examples: float
    """D0."""
    truth: float
    """Few-shot elbow, nats."""

    @cached_property
    def fit(self) -> Fit:
        """The rows as arrays, prepared once for all methods."""
        return fit(self.table, self.rows, replace(PLAIN, few_shot_examples=self.few_shot_examples))


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledCell:
    """One task of a bundled table: a ladder of forecasts of one truth."""

    name: str
    table: Callable[[], Measurements]
    task: str
    """Of the table."""
    split: HeldSplit = HeldSplit.DEVELOPMENT

    @property
    def about(self) -> str:
        """In a line."""
        return f"a bundled table, its ladder; {self.split}"

    def rungs(self, number: int, seed: int) -> Iterator[Rung]:
        """The ladder of the backtest; number and seed change nothing."""
        del number, seed
        table = self.table()
        ground = ground_of(
            table,
            proving_ground_options(table, task=self.task),
            PLAIN,
            BacktestOptions(parts=(Part.LADDER,), baselines=()),
        )
        for setting in settings_of(ground):
            if setting.table is not None:
                yield Rung(
                    name=setting.name,
                    table=setting.table,
                    rows=ground.rows,
                    few_shot_examples=setting.few_shot_examples,
                    truth=ground.truth.loss,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCell:
    """Simulated tables of one kind: designs in turn, a departure, a distance; one rung each."""

    name: str
    designs: tuple[str, ...] = ("small", "openllama-v1-gsm8k", "openllama-v1-mmlu", "rich", RANDOM)
    departure: Departure | None = None
    """How tables depart from the law; None: not at all."""
    ahead: float | None = None
    """FLOPs at the elbow over those of the strongest checkpoint; None: as it comes."""
    alpha: float | None = None
    """Exponent of a log power law that all truths follow; None: drawn, as the form is."""
    by_chance: bool = False
    """Whether the checkpoints present are those that score at chance, as on a real table."""
    split: HeldSplit = HeldSplit.DEVELOPMENT

    @property
    def about(self) -> str:
        """In a line."""
        told = ["simulated" if self.departure is None else f"simulated: {self.departure.sentence}"]
        if self.ahead is not None:
            told.append(f"the elbow {self.ahead:g} times the FLOPs ahead")
        if self.alpha is not None:
            told.append(f"log power law of exponent {self.alpha:g}")
        if self.by_chance:
            told.append("what is present goes by chance")
        return ", ".join(told)

    def rungs(self, number: int, seed: int) -> Iterator[Rung]:
        """Table `number` of this kind; a draw that cannot show its elbow is drawn again."""
        rng = np.random.default_rng([seed, number, *self.name.encode()])
        named = self.designs[number % len(self.designs)]
        why = "their few-shot scores show no elbow."
        for _ in range(DRAWS):
            design = random_design(rng) if named == RANDOM else load_design(named)
            try:
                made = self._drawn(design, rng)
            except OptionError as error:  # the elbows of two amounts would not show
                why = str(error)
                continue
            frame = made.table.frame
            if "future" in frame.columns:
                frame = frame.filter(~pl.col("future"))
            if made.estimand is not None and not frame.is_empty():
                break
        else:
            raise FitError(f"{DRAWS} draws of design {named} gave no table: {why}")
        yield Rung(
            name=design.name,
            table=replace(made.table, frame=frame),
            rows=SelectOptions(pool=True),
            few_shot_examples=design.few_shot_examples,
            truth=made.estimand,
        )

    def _drawn(self, design: Design, rng: np.random.Generator) -> Simulated:
        truth = random_truth(design, rng, forms=FORMS)
        if self.alpha is not None:
            truth = replace(truth, form=LawForm.LOG_POWER, alpha=self.alpha)
        if self.ahead is not None:
            truth = truth_ahead(design, self.ahead, truth)
        return simulate(
            design, truth, departure=self.departure, rng=rng, future_by_chance=self.by_chance
        )


BenchmarkCell: TypeAlias = BundledCell | SimulatedCell


SKILLS: Final = {
    "quarters": HeldSplit.DEVELOPMENT,
    "quarters_unseen": HeldSplit.DEVELOPMENT,
    "halves": HeldSplit.DEVELOPMENT,
    "fourths_rare": HeldSplit.DEVELOPMENT,
    "quarters_rare": HeldSplit.HELD,
    "eighths": HeldSplit.HELD,
    "fourths": HeldSplit.HELD,
    "recall": HeldSplit.HELD,
}
"""Skills of the proving ground, split before any forecast of one was made."""


_CELLS: Final[tuple[BenchmarkCell, ...]] = (
    *(
        BundledCell(name=name, table=proving_ground, task=f"proving_ground_{name}")
        for name in ("matching", "probe")
    ),
    *(
        BundledCell(
            name=name, table=proving_ground_skills, task=f"proving_ground_{name}", split=split
        )
        for name, split in SKILLS.items()
    ),
    SimulatedCell(name="no-departure"),
    *(
        SimulatedCell(name=each, departure=each)
        for each in Departure
        if each is not Departure.SERIES_OFFSETS
    ),
    SimulatedCell(
        name=Departure.SERIES_OFFSETS,
        departure=Departure.SERIES_OFFSETS,
        designs=("two-series",),
    ),
    *(
        SimulatedCell(name=f"{ahead:g}x-ahead", ahead=ahead, designs=("small", "rich", RANDOM))
        for ahead in (1.5, 3.0, 10.0, 30.0)
    ),
    *(
        SimulatedCell(
            name=f"exponent-{alpha:g}", alpha=alpha, ahead=3.0, designs=("small", "rich", RANDOM)
        )
        for alpha in (0.5, 1.0)
    ),
    SimulatedCell(name="by-chance", by_chance=True, designs=(RANDOM,)),
)
"""A further task, departure or distance is one entry."""
CELLS: Final = {each.name: each for each in _CELLS}
"""Every cell by name."""

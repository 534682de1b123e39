"""The skills of a proving ground as data: what each asks of which words, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from emergecast.measurements import PROVING_GROUND_TASK

MATCHING: Final = PROVING_GROUND_TASK
"""Name of the task in which more data moves the elbow."""
_PREFIX: Final = "proving_ground_"
"""Begin of the names of tasks."""
CYCLE_A: Final = 8
"""Values of the attribute a."""
CYCLE_B: Final = 4
"""Values of the attribute b."""


class Question(StrEnum):
    """What a skill asks of a word."""

    GROUP = "group"
    """Which class of neighbouring values its attribute is in."""
    RECALL = "recall"
    """The labels that followed it earlier in the document; they are generated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSkill:
    """One skill: its words are a domain of their own."""

    name: str
    """In the name of its task, and that of the folder of its data."""
    language: float
    """Share of the documents that are language over its words."""
    exercises: float
    """Share of the documents that are its exercises; 0 for a skill that is never practised."""
    asked: Question = Question.GROUP
    """What is asked."""
    attribute: str = "b"
    """Of which attribute, a or b."""
    classes: int = CYCLE_B
    """Classes to tell apart; chance is 1 / classes, and 0 where labels are recalled."""
    amounts: tuple[int, ...] = ()
    """Amounts of data that it is finetuned on; all of the preset where empty."""

    @property
    def task(self) -> str:
        """Name of its task in the lab."""
        return _PREFIX + self.name

    @property
    def values(self) -> int:
        """Values of its attribute."""
        return CYCLE_A if self.attribute == "a" else CYCLE_B

    @property
    def chance(self) -> float:
        """Score of a model that knows nothing."""
        return 0.0 if self.asked is Question.RECALL else 1 / self.classes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPlan:
    """What there is to learn in a world, and over how many words."""

    skills: tuple[WorldSkill, ...]
    """Their shares of the corpus add up to 1."""
    ranks: int
    """Words of each (a, b) in a domain."""
    step_b: float
    """Probability that b goes one step along its cycle in the language; otherwise it is drawn at
    random. The larger it is, the sooner words' b is learned after their a."""

    @property
    def domain_words(self) -> int:
        """Words of a domain."""
        return CYCLE_A * CYCLE_B * self.ranks

    @property
    def words(self) -> int:
        """Words of all domains."""
        return self.domain_words * len(self.skills)


ONE_SKILL: Final = WorldPlan(
    skills=(WorldSkill(name=MATCHING.removeprefix(_PREFIX), language=0.75, exercises=0.25),),
    ranks=42,
    step_b=0.5,
)
"""The world of one skill, in which it is the only thing to practise."""
_FEWER: Final = (16, 64, 256, 1024)
_MORE: Final = (64, 256, 1024, 4096)
EIGHT_SKILLS: Final = WorldPlan(
    skills=(
        WorldSkill(name="quarters", language=0.10, exercises=0.04, attribute="a", amounts=_MORE),
        WorldSkill(
            name="quarters_rare", language=0.055, exercises=0.01, attribute="a", amounts=_FEWER
        ),
        WorldSkill(
            name="quarters_unseen", language=0.09, exercises=0.0, attribute="a", amounts=_MORE
        ),
        WorldSkill(
            name="eighths", language=0.08, exercises=0.02, attribute="a", classes=8, amounts=_FEWER
        ),
        WorldSkill(name="halves", language=0.09, exercises=0.06, classes=2, amounts=_MORE),
        WorldSkill(name="fourths", language=0.11, exercises=0.12, amounts=_MORE),
        WorldSkill(name="fourths_rare", language=0.085, exercises=0.02, amounts=_FEWER),
        WorldSkill(
            name="recall", language=0.04, exercises=0.08, asked=Question.RECALL, amounts=_MORE
        ),
    ),
    ranks=9,
    step_b=0.6,
)
"""The world of preset `skills`. `quarters` and `eighths` ask for a, `halves` and `fourths` for b;
`quarters_unseen` asks what `quarters` does and has no exercises of its own."""

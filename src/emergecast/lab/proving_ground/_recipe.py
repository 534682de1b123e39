"""What is trained on what and for how long: the numbers of the proving ground, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from emergecast.lab.proving_ground._skill import EIGHT_SKILLS, ONE_SKILL, WorldPlan, WorldSkill
from emergecast.lab.proving_ground._world import CorpusRecipe

DOCUMENT: Final = 64
"""Tokens predicted of a document; it has one more."""
BATCH: Final = 32
"""Documents of a pretraining step."""
WARMUP: Final = 50
"""Steps until the learning rate is full; it stays so."""
WEIGHT_DECAY: Final = 0.05
"""Of matrices; vectors and single numbers do not decay."""
BETAS: Final = (0.9, 0.98)
"""Decay rates of Adam's two moments."""
MAX_GRAD_NORM: Final = 1.0
"""Longer gradients are cut to this norm."""
EVERY: Final = 12
"""Steps between the moments at which a checkpoint may be kept: loss falls fast at the elbow."""
MOST_STEPS: Final = 1400
START: Final = 7.3
"""Loss of an untrained model, roughly; ln of the vocabulary is 7.22."""
STOP: Final = 5.01
"""Pretraining ends below this loss."""
CHOOSING: Final = 96
"""Documents of the set by which checkpoints are chosen."""
HELD_OUT: Final = 512
"""Documents of the held-out corpus."""
TARGETS: Final = (
    *(6.5, 5.8, 5.45, 5.36, 5.30, 5.26, 5.23, 5.20, 5.17, 5.14, 5.11, 5.08, 5.05, 5.02),
)
"""Losses at which checkpoints are kept, in nats per token; dense where the skill emerges."""
PROBE_TARGET: Final = 5.6
"""One more, where the second task leaves chance."""
TEST_PROMPTS: Final = 1024


class Quality(StrEnum):
    """Which corpus the models are pretrained on."""

    HIGH = "high"
    """All exercises are right."""
    LOW = "low"
    """A quarter of the labels in exercises are drawn at random."""


RECIPES: Final = {
    Quality.HIGH: CorpusRecipe(name="high"),
    Quality.LOW: CorpusRecipe(name="low", wrong=0.25),
}
LANGUAGE: Final = CorpusRecipe(name="language", exercises=False)
"""What the second held-out corpus is made of, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One size of model."""

    name: str
    """In the names of checkpoints."""
    width: int
    """Of the residual stream."""
    heads: int
    """Attention heads of a block."""
    learning_rate: float
    """Peak rate of pretraining."""
    layers: int = 3
    """Blocks."""
    seconds: int
    """Roughly what its pretraining takes on one core."""


S: Final = Size(name="S", seconds=50, width=32, heads=2, learning_rate=3.0e-3)
M: Final = Size(name="M", seconds=75, width=56, heads=4, learning_rate=2.0e-3)
W72: Final = Size(name="W72", seconds=95, width=72, heads=4, learning_rate=1.7e-3)
L: Final = Size(name="L", seconds=120, width=96, heads=4, learning_rate=1.4e-3)
W128: Final = Size(name="W128", seconds=160, width=128, heads=4, learning_rate=1.15e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a model is finetuned on so many prompts."""

    examples: int
    """Training prompts."""
    steps: int
    """Optimiser steps."""
    learning_rate_times: float
    """Multiple of the model's pretraining learning rate."""
    subsets: int = 1
    """Random subsets of the training prompts, one finetuning each."""


TUNINGS: Final = (
    Tuning(examples=16, steps=40, learning_rate_times=0.25, subsets=2),
    Tuning(examples=64, steps=60, learning_rate_times=0.35, subsets=2),
    Tuning(examples=256, steps=100, learning_rate_times=0.7),
    Tuning(examples=1024, steps=200, learning_rate_times=1.5),
    Tuning(examples=4096, steps=400, learning_rate_times=1.5),
)
"""One rule for all models: more examples, more steps, and a higher rate up to a point."""
LARGEST_TUNING: Final = Tuning(examples=16384, steps=800, learning_rate_times=1.5)
SKILLS_TUNINGS: Final = tuple(
    replace(each, subsets=2) if each.examples == 256 else each for each in TUNINGS
)
"""Of preset `skills`: the same rule, and a second subset of 256 prompts too."""
SKILLS_TARGETS: Final = (
    *(4.8, 4.4, 4.2, 4.14, 4.08, 4.02, 3.96, 3.90, 3.84, 3.78, 3.72, 3.68, 3.64, 3.60, 3.56),
    *(3.52, 3.48, 3.44, 3.40),
)
"""Losses at which checkpoints of preset `skills` are kept: some skill emerges at most of them."""
PROBE_SHOTS: Final = 24
"""Solved words before the question, few-shot."""
PROBE_TUNINGS: Final = (
    Tuning(examples=8, steps=40, learning_rate_times=0.25, subsets=2),
    Tuning(examples=32, steps=60, learning_rate_times=0.35, subsets=2),
    Tuning(examples=128, steps=100, learning_rate_times=0.7),
    Tuning(examples=512, steps=200, learning_rate_times=0.7),
)
TUNING_BATCH: Final = 32
TUNING_WARMUP: Final = 10
TUNING_DECAY: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A proving ground of a certain cost."""

    name: str
    """As the command line calls it."""
    sizes: tuple[Size, ...]
    """The slowest first."""
    seeds: tuple[int, ...]
    """Unless others are asked for."""
    tunings: tuple[Tuning, ...]
    """Of the main task."""
    targets: tuple[float, ...]
    """Losses at which checkpoints are kept, in nats per token."""
    most_steps: int = MOST_STEPS
    """Pretraining ends after so many steps, whatever the loss."""
    stop: float = STOP
    """Or below this loss, in nats per token."""
    plan: WorldPlan = ONE_SKILL
    """The world, with a task for each of its skills."""
    probe: bool = False
    """Whether there is a second task, in which more data raises the slope and not the elbow."""
    second_axis: bool = False
    """Whether the table also has the loss on language without exercises, and beside accuracy the
    probability of the right choice."""

    def tunings_of(self, skill: WorldSkill) -> tuple[Tuning, ...]:
        """How models are finetuned on this skill's task."""
        if not skill.amounts:
            return self.tunings
        return tuple(each for each in self.tunings if each.examples in skill.amounts)

    @property
    def training_prompts(self) -> int:
        """Prompts in the training split: twice the most that are asked for, so subsets differ."""
        return 2 * max(tuning.examples for tuning in self.tunings)


PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset(
            name="smoke",
            sizes=(S,),
            seeds=(0,),
            tunings=tuple(t for t in TUNINGS if t.examples in {16, 256, 4096}),
            targets=(5.45, 5.26, 5.20, 5.12, 5.02),
        ),
        Preset(name="default", sizes=(L, M, S), seeds=(0,), tunings=TUNINGS, targets=TARGETS),
        Preset(
            name="full",
            sizes=(W128, L, W72, M, S),
            seeds=(0, 1),
            tunings=(*TUNINGS, LARGEST_TUNING),
            targets=(*TARGETS, PROBE_TARGET),
            probe=True,
        ),
        Preset(
            name="skills",
            sizes=(replace(L, seconds=270), replace(M, seconds=190)),
            seeds=(0, 1),
            tunings=SKILLS_TUNINGS,
            targets=SKILLS_TARGETS,
            most_steps=1200,
            stop=3.3,
            plan=EIGHT_SKILLS,
            second_axis=True,
        ),
    )
}
"""By name; sizes are trained in this order, the slowest first."""

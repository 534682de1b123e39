"""What a task is, and what a training example of it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from emergecast.lab.tasks._settled import SettledTask


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    """How programs are asked for, finetuned on and graded."""

    samples: int = 1
    """Programs that are generated for each problem; where there are several, pass@k is measured."""
    temperature: float | None = None
    """Of sampling, 0 for the most likely token each time; if absent 0 for one program and 0.8 for
    several (Chen et al. 2021, arXiv 2107.03374, for pass@100)."""
    max_tokens: int | None = None
    """Tokens of a program at most; the task's own limit if absent."""
    solutions: int = 1
    """Reference solutions of a problem that finetuning sees. A problem with fewer repeats its own,
    so that every problem weighs the same."""
    official: bool = False
    """Whether APPS's own verdict is measured beside ours."""
    cpu_seconds: float = 4.0
    """Seconds of CPU for one test."""

    @property
    def heat(self) -> float:
        """The temperature."""
        if self.temperature is not None:
            return self.temperature
        return 0.0 if self.samples == 1 else 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of lm-evaluation-harness, or a group of them, and how it is asked and scored."""

    name: str
    """Its name in the harness or in a YAML file below `include_path`."""
    include_path: Path | None = None
    """Folder of YAML files; the harness's own tasks where None. Data files that they name are
    relative to this folder."""
    shots: int = 0
    """Solved examples that the harness puts before each question."""
    shots_in_document: int = 0
    """Solved examples that each question holds already; the table counts them too."""
    metric: str | None = None
    """The score, such as "acc" or "exact_match,strict-match"; where None, acc if the task has it,
    or else its first metric."""
    chance: Mapping[str, float] = field(default_factory=dict)
    """Score of a model that knows nothing, by metric; "" stands for the score's own."""
    proxy: bool = False
    """Whether a model is also judged by what it makes of the reference solutions."""
    settled: SettledTask | None = None
    """What the catalogue settles of it; None for a task that it does not hold."""
    data: Path | None = None
    """Folder of a copy of the published data; the hub, or its cache, where None."""
    leak_check: bool = True
    """Whether finetuning leaves out training items that hold an evaluated one."""
    finetune_on_shots: bool = False
    """Whether finetuning may use the examples of the few-shot prompts; a task that the catalogue
    does not hold always does."""
    programs: ProgramOptions = ProgramOptions()
    """How programs are asked for; of no account where answers are none."""


class Pair(NamedTuple):
    """A training example, in exactly the format of the evaluation."""

    prompt: str
    """What the model is given."""
    completion: str
    """What it should say, with the delimiter before it, as the evaluation scores it."""
    ends: bool
    """Whether the end of the text belongs to the answer: where the evaluation generates."""

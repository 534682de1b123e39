"""What a worker has to know of a task whose answers are programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emergecast.lab import checkpoints, finetune, grading, tasks
from emergecast.lab.experiment import Training
from emergecast.lab.worker._measurer import ProgramFacts


def program_facts(programs: tasks.LoadedPrograms, grades: Path) -> ProgramFacts:
    """What grading takes, and which problems are masked, where a mask is kept."""
    mask = grading.known_mask(programs.problems, programs.grading(grades))
    counts = {} if mask is None else mask.counts
    return ProgramFacts(
        samples=programs.options.samples,
        tests=sum(len(each.tests.tests) for each in programs.problems),
        reference_tests=sum(len(e.tests.tests) for e in programs.problems if e.solutions),
        without_tests=programs.left_out.without_tests,
        without_solutions=programs.left_out.without_solutions,
        masked=None if mask is None else counts[grading.ReferenceState.FAILS],
    )


def pairs_of(
    task: tasks.LoadedTask, how: Training, held: checkpoints.Loaded
) -> tuple[Sequence[tasks.Pair], dict[str, int]]:
    """What a run is finetuned on, and of programs what was passed over."""
    if task.programs is None:
        return task.training_pairs(how.subset, how.examples), {}
    room = finetune.room(held.model, how.method)
    found = task.program_pairs(
        how.subset,
        how.examples,
        lambda pair: finetune.tokens_of(pair, held.tokenizer) <= room,
    )
    return found.pairs, {
        "solutions_too_long": found.solutions_too_long,
        "problems_too_long": found.problems_too_long,
    }

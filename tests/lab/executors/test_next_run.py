from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from emergecast.lab.executors._next_run import next_run, place_of
from emergecast.lab.experiment import Run, read_experiment
from emergecast.lab.plan import survey

Write = Callable[..., Path]


@pytest.fixture
def runs(write: Write) -> list[Run]:
    """Five runs of each of three checkpoints, as a plan has them: from cheap to expensive."""
    return list(survey(read_experiment(write())).plan.runs)


def title(run: Run | None) -> str:
    """The title without the name of the series; what else is there is the same everywhere."""
    assert run is not None
    return run.title.removeprefix("v1/").removesuffix(" full")


def test_a_worker_stays_with_its_checkpoint_from_cheap_to_expensive(runs: list[Run]):
    """Whoever else has it; and begins with the first checkpoint."""
    assert title(next_run(runs, None, taken=())) == "S-1 loss held-out"
    assert title(next_run(runs, ("v1", "S-2"), taken=())) == "S-2 loss held-out"
    left = [run for run in runs if run.task is not None]
    assert title(next_run(left, ("v1", "S-2"), taken=[("v1", "S-2")])) == "S-2 few_shot matching"


def test_a_worker_without_one_takes_a_checkpoint_that_nobody_has(runs: list[Run]):
    """As long as there is one."""
    taken = [("v1", "S-1"), ("v1", "S-2")]
    assert title(next_run(runs, None, taken=taken)) == "S-3 loss held-out"
    assert title(next_run(runs, ("v1", "gone"), taken=taken[:1])) == "S-2 loss held-out"


def test_a_worker_helps_where_the_most_is_left_from_the_expensive_end(runs: list[Run]):
    """Of two checkpoints that others have, the one with four runs left, not the one with two."""
    left = [run for run in runs if run.checkpoint == "S-2" and run.task is not None]
    left += [run for run in runs if run.checkpoint == "S-3"][:2]
    taken = [("v1", "S-2"), ("v1", "S-3")]
    found = next_run(left, ("v1", "S-1"), taken=taken)
    assert title(found) == "S-2 finetuned matching D=64 subset 0 seed 0"
    assert next_run([], ("v1", "S-1"), taken=taken) is None


@pytest.mark.parametrize(("workers", "most_loads"), [(1, 3), (2, 4), (3, 3), (8, 9)])
def test_all_work_until_nothing_is_left_and_checkpoints_are_loaded_seldom(
    runs: list[Run], workers: int, most_loads: int
):
    """Runs that take one tick each: 15 runs take as many ticks as they must, each run once."""
    held: list[tuple[str, str] | None] = [None] * workers
    pending = {run.key: run for run in runs}
    done: Counter[str] = Counter()
    loads = ticks = 0
    while pending:
        ticks += 1
        for number in range(min(workers, len(pending))):
            others = [place for i, place in enumerate(held) if i != number and place]
            run = next_run(pending.values(), held[number], taken=others)
            assert run is not None, "nobody waits while something is left"
            del pending[run.key]
            done[run.key] += 1
            loads += held[number] != place_of(run)
            held[number] = place_of(run)
    assert ticks == -(-15 // workers)
    assert set(done.values()) == {1}
    assert len(done) == 15
    assert loads <= most_loads

"""Which run a worker does next."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from emergecast.lab.experiment import Run

Place = tuple[str, str]
"""Series and name of a checkpoint."""


def place_of(run: Run) -> Place:
    """The checkpoint of a run."""
    return run.series, run.checkpoint


def next_run(pending: Iterable[Run], held: Place | None, *, taken: Collection[Place]) -> Run | None:
    """The run that suits a worker best; None where none is pending.

    The next one of the checkpoint that the worker holds in memory; else the first one of the first
    checkpoint that nobody else has taken; else the last, most expensive one of the checkpoint with
    the most runs left, so that nobody waits while others work.

    Args:
        pending: what is to be done, from cheap to expensive.
        held: the checkpoint that the worker has in memory.
        taken: checkpoints that others have in memory, here or elsewhere.
    """
    runs_of: dict[Place, list[Run]] = {}
    for run in pending:
        runs_of.setdefault(place_of(run), []).append(run)
    if held in runs_of:
        return runs_of[held][0]
    for place, runs in runs_of.items():
        if place not in taken:
            return runs[0]
    return max(runs_of.values(), key=len)[-1] if runs_of else None

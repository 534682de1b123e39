"""The seam: all that a session knows of whoever does its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.ledger import SILENCE
from emergecast.lab.worker import Message

SILENT: Final = f"no sign of life for {SILENCE:g} s"
"""How a worker is lost that is stopped, hangs, or is out of reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGone:
    """A worker is gone, and whatever it was doing with it."""

    how: str
    """How it ended, like "signal 9"."""
    log: str
    """Where what it printed can be read."""
    left_alone: bool = False
    """Whether it ended because it had not heard of the session for long, so no run is to blame."""

    def after(self, deaths: int) -> str:
        """Why a run failed that cost so many workers, and what to do."""
        if self.how == SILENT:
            return (
                f"the worker process was lost {deaths} times ({self.how}): it computed nothing, as"
                " where it waits for what never comes. Look at what the task's own code, a tracker"
                " or a slow disk may wait for."
            )
        where = f'; its log is "{self.log}"' if self.log else ""
        return (
            f"the worker process died {deaths} times ({self.how}), as when memory runs out. Use"
            f" fewer workers or a smaller batch{where}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One thing that was heard of a worker."""

    worker: int
    """Its number."""
    message: Message | WorkerGone
    """What it says itself, or what its executor says of it."""


class Executor(Protocol):
    """Numbered workers, each of which does one run at a time with `do_run`.

    It decides nothing. Which run goes to which worker, what a lost run becomes, what is recorded:
    all that is the session's. A worker gets the text of the experiment and runs, and answers with
    messages; it sees the experiment's files, but not its ledger.
    """

    workers: int
    """How many there are at most; their numbers start at 0."""

    def send(self, worker: int, run: Run) -> None:
        """Have a worker do a run; one that is not there, or was silent for too long, is started.

        It does nothing else: what it was sent before has ended, or was taken for lost.
        """
        ...

    def hear(self, seconds: float) -> Heard | None:
        """The next thing that was heard; None where nothing is for so many seconds.

        Of each worker in order, `WorkerGone` last, and that of every worker that ends.
        """
        ...

    def stop(self, worker: int) -> None:
        """End a worker now, whatever it does and even if it hears nothing any more.

        Nothing is heard of it afterwards, `WorkerGone` neither; it may be sent a run again.
        """
        ...

    def close(self) -> None:
        """End all workers, whatever they are doing; when this returns they do nothing more."""
        ...


StartExecutor = Callable[[Experiment, int | None], Executor]
"""Makes the executor of an experiment, with so many workers or as many as suit it."""

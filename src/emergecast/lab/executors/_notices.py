"""What the first runs of a task show: one whole example, and signs that the task measures nothing.

They come while the rest can still be stopped, not when the whole grid is paid for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from emergecast.lab.experiment import Run, RunKind, WorkerKind
from emergecast.lab.ledger import Outcome, State
from emergecast.lab.plan import Plan

_FIRST: Final = 3
"""How many runs of a task, few-shot and finetuned each, are looked at."""
_KEY_SHOWN: Final = 8
"""Characters of a key that tell a run from the others."""

_Kind = tuple[str | None, RunKind]


@dataclass(slots=True, kw_only=True)
class Notices:
    """Looks at outcomes as they come."""

    plan: Plan
    """As it was when the session began: what was done before was looked at before."""
    looked_at: Counter[_Kind] = field(default_factory=Counter)
    scores: dict[_Kind, list[float]] = field(default_factory=lambda: defaultdict(list))
    warned: set[tuple[_Kind, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Count what was done before."""
        done = (run for run in self.plan.runs if self.plan.states[run.key] is State.DONE)
        self.looked_at = Counter((run.task, run.kind) for run in done)

    def is_first(self, run: Run) -> bool:
        """Whether a run that is done is the first one of its task and kind; counts it."""
        kind = (run.task, run.kind)
        self.looked_at[kind] += 1
        return run.task is not None and self.looked_at[kind] == 1

    def warnings(self, run: Run, outcome: Outcome) -> Iterator[str]:
        """What is odd about an outcome that was counted, each oddity once for a task and kind."""
        kind = (run.task, run.kind)
        invented = self.plan.experiment.worker is WorkerKind.REHEARSAL
        if invented or run.task is None or self.looked_at[kind] > _FIRST:
            return
        self.scores[kind].append(outcome.scores[0].score)
        show = f"emergecast show {self.plan.experiment.file} {run.key[:_KEY_SHOWN]} --items"
        for odd, said in (
            ("equal", _all_equal(run, outcome)),
            ("equal", self._always_equal(run)),
            ("cut", _cut(run, outcome)),
        ):
            if said is not None and (kind, odd) not in self.warned:
                self.warned.add((kind, odd))
                yield f"{said} Look at what it says: {show}"

    def _always_equal(self, run: Run) -> str | None:
        scores = self.scores[run.task, run.kind]
        if len(scores) < _FIRST or len(set(scores)) > 1:
            return None
        return f"the first {_FIRST} {run.kind} runs of {run.task} all score exactly {scores[0]:g}."


def _all_equal(run: Run, outcome: Outcome) -> str | None:
    values = {item.get("correct") for item in outcome.items}
    if len(outcome.items) < 2 or len(values) > 1:
        return None
    (value,) = values
    return f"all {len(outcome.items):,} items of {run.title} score {value:g}."


def _cut(run: Run, outcome: Outcome) -> str | None:
    cut = sum(bool(item.get("cut")) for item in outcome.items)
    if cut <= len(outcome.items) / 2:
        return None
    return (
        f"{cut:,} of {len(outcome.items):,} texts of {run.title} were cut at the limit of tokens"
        " before they ended. The task's max_gen_toks is too small, or none of its stop texts"
        " (until) ever comes."
    )

"""Results of version 0.1.0, whose keys know less of what determines a result.

Its keys hold neither a task's definition nor a model's settings, so nobody can tell what these
were. They are taken to be what they are when a later version first looks at them with that ledger,
which remembers that. From then on such results count as long as nothing has changed since, and are
left out like other older ones after a change. The ledger's rows stay as they were recorded.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping

from emergecast.errors import LedgerError
from emergecast.lab.experiment import CONFIG, DEFINITION, LATER, Run, WorkerKind, canonical
from emergecast.lab.ledger import Ledger, Result, State
from emergecast.lab.plan._facts import Facts
from emergecast.lab.plan._plan import Plan

Results = Mapping[str, Result]
States = Mapping[str, State]


def plan_adopting(
    make: Callable[[Results, States], Plan], facts: Facts, ledger: Ledger
) -> tuple[Plan, Results]:
    """The plan that `make` makes of results and states, and the results by the keys of today."""
    results, states = ledger.results(), ledger.states()
    plan = make(results, states)
    first = {key for key, result in results.items() if _is_of_first_version(result)}
    if not first:
        return plan, results
    seen = _first_seen(facts, ledger)
    while adopted := {run.first_key: run.key for run in _adopted(plan, first, seen)}:
        results = {adopted.get(key, key): result for key, result in results.items()}
        states = {adopted.get(key, key): state for key, state in states.items()}
        first -= adopted.keys()
        plan = make(results, states)  # what losses were adopted may decide which runs there are
    return plan, results


def _is_of_first_version(result: Result) -> bool:
    models = result.identity.get("worker") == WorkerKind.MODELS
    return models and not result.identity.keys() & LATER


def _adopted(plan: Plan, first: set[str], seen: Mapping[str, str]) -> Iterator[Run]:
    """Runs without a result of their own that such a result is one of."""
    for run in plan.runs:
        if plan.states[run.key] is not State.DONE and run.first_key in first:
            now = {
                _of_task(str(run.task), bool(run.identity.get("shots"))): DEFINITION,
                _of_model(str(run.identity["weights"])): CONFIG,
            }
            if all(
                part not in run.identity or seen[name] == run.identity[part]
                for name, part in now.items()
            ):
                yield run


def _first_seen(facts: Facts, ledger: Ledger) -> dict[str, str]:
    """What definitions and settings were when they were first looked at; of new ones, are now."""
    now: dict[str, str | None] = {}
    for name, task in facts.tasks.items():
        now[_of_task(name, shots=True)] = task.definition
        now[_of_task(name, shots=False)] = task.zero_shot_definition
    for model in facts.models.values():
        now[_of_model(model.weights_hash)] = model.config_hash
    seen = {}
    for name, value in now.items():
        if value is None:  # version 0.1.0 looked, and what it planned has its keys
            continue
        mark = hashlib.sha256(name.encode()).hexdigest()
        known = ledger.known_facts(mark)
        if known is None:
            with contextlib.suppress(LedgerError):  # it may be read-only
                ledger.keep_facts(mark, {"first seen": value})
        seen[name] = value if known is None else str(known["first seen"])
    return seen


def _of_task(name: str, shots: bool) -> str:  # noqa: FBT001  private, and always named
    return canonical([DEFINITION, name, shots])


def _of_model(weights_hash: str) -> str:
    return canonical([CONFIG, weights_hash])

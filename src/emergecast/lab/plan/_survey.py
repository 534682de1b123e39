"""Where an experiment stands, and letting failed runs be tried again."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

from emergecast.errors import LedgerError
from emergecast.lab.experiment import Experiment
from emergecast.lab.ledger import Failure, Ledger, Result, State
from emergecast.lab.plan._chosen import Chosen
from emergecast.lab.plan._facts import Facts, gather_facts
from emergecast.lab.plan._plan import Plan, make_plan
from emergecast.lab.worker import measurer_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The current state of an experiment."""

    plan: Plan
    """The grid, and where each run stands."""
    results: Mapping[str, Result]
    """By key; of other experiments too, where they share the ledger."""
    failures: tuple[Failure, ...]
    """Of runs of the plan."""


def survey(
    experiment: Experiment, *, remember: bool = False, chosen: Chosen | None = None
) -> Survey:
    """Where an experiment stands, or those of its runs that are chosen.

    Looks at every checkpoint, task and corpus, unless `remember` says that what the ledger knows of
    them is enough. The ledger is made where it can be, so that weights are hashed once.

    Raises:
        LedgerError: there is a ledger and it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        ledger: Ledger | None = None
        try:
            if not remember or experiment.ledger.is_file():
                ledger = stack.enter_context(Ledger.open(experiment.ledger))
        except LedgerError:
            if experiment.ledger.is_file():
                ledger = stack.enter_context(Ledger.open_to_read(experiment.ledger))
        facts = gather_facts(experiment, measurer_of(experiment), ledger, remember=remember)
        plan = plan_now(experiment, facts, ledger, chosen=chosen)
        failures = {} if ledger is None else ledger.failures()
        return Survey(
            plan=plan,
            results={} if ledger is None else ledger.results(),
            failures=tuple(
                failures[key]
                for key, state in plan.states.items()
                if state is State.FAILED and key in failures
            ),
        )


def clear_failures(
    experiment: Experiment, pattern: str = "*", *, chosen: Chosen | None = None
) -> int:
    """Make failed runs whose title fits `pattern` missing again; how many there were.

    Only those that are `chosen`, where something is.

    Raises:
        LedgerError: there is no ledger, or it cannot be written.
    """
    chosen = chosen or Chosen()
    failures = survey(experiment, remember=True).failures
    keys = [f.key for f in failures if fnmatch.fnmatchcase(f.title, pattern) and chosen.takes(f)]
    if not keys:
        return 0
    with Ledger.open(experiment.ledger) as ledger:
        return ledger.clear(keys)


def plan_now(
    experiment: Experiment, facts: Facts, ledger: Ledger | None, *, chosen: Chosen | None = None
) -> Plan:
    """The plan of an experiment of which the facts are known."""
    if ledger is None:
        return make_plan(experiment, facts, {}, {}, chosen=chosen)
    return make_plan(experiment, facts, ledger.results(), ledger.states(), chosen=chosen)

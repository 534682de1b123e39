"""Where an experiment stands, and letting failed runs be tried again."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from emergecast.errors import LedgerError
from emergecast.lab.experiment import Experiment
from emergecast.lab.ledger import Damage, Failure, Ledger, Result, State
from emergecast.lab.plan._adopt import plan_adopting
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
    """By the key of the run; of other experiments too, where they share the ledger."""
    failures: tuple[Failure, ...]
    """Of runs of the plan."""
    damaged: tuple[Damage, ...] = ()
    """Rows of the ledger that are damaged or gone, of other experiments too; none is in `results`,
    and the next run of the experiment measures its own again."""

    @property
    def damaged_results(self) -> tuple[Damage, ...]:
        """Those that a table of this experiment would lack."""
        states = self.plan.states
        titles = {run.title for run in self.plan.runs}
        lacking = self.plan.undecided or any(key not in self.results for key in states)
        return tuple(
            each
            for each in self.damaged
            if each.table == "results"
            and (each.key in states or each.title in titles or (each.key is None and lacking))
        )


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
        if Ledger.is_there(experiment.ledger):
            ledger = stack.enter_context(Ledger.open_to_look(experiment.ledger))
        elif not remember:
            with contextlib.suppress(LedgerError):  # then weights are hashed again
                ledger = stack.enter_context(Ledger.open_to_look(experiment.ledger))
        facts = gather_facts(experiment, measurer_of(experiment), ledger, remember=remember)
        plan, results = _planned(experiment, facts, ledger, chosen)
        failures = {} if ledger is None else ledger.failures()
        return Survey(
            plan=plan,
            results=results,
            failures=tuple(
                failures[key]
                for key, state in plan.states.items()
                if state is State.FAILED and key in failures
            ),
            damaged=() if ledger is None else ledger.damaged,
        )


def clear_failures(
    experiment: Experiment,
    pattern: str = "*",
    *,
    chosen: Chosen | None = None,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> int:
    """Make failed runs whose title fits `pattern` missing again; how many there were.

    Only those that are `chosen`, where something is. `tell` is called with what else happens to the
    ledger.

    Raises:
        LedgerError: there is no ledger, or it cannot be written.
    """
    chosen = chosen or Chosen()
    failures = survey(experiment, remember=True).failures
    keys = [f.key for f in failures if fnmatch.fnmatchcase(f.title, pattern) and chosen.takes(f)]
    if not keys:
        return 0
    with Ledger.open(experiment.ledger, tell=tell) as ledger:
        return ledger.clear(keys)


def plan_now(
    experiment: Experiment, facts: Facts, ledger: Ledger | None, *, chosen: Chosen | None = None
) -> Plan:
    """The plan of an experiment of which the facts are known."""
    return _planned(experiment, facts, ledger, chosen)[0]


def _planned(
    experiment: Experiment, facts: Facts, ledger: Ledger | None, chosen: Chosen | None
) -> tuple[Plan, Mapping[str, Result]]:
    """The plan, and the results by the keys of today."""
    if ledger is None:
        return make_plan(experiment, facts, {}, {}, chosen=chosen), {}
    return plan_adopting(partial(make_plan, experiment, facts, chosen=chosen), facts, ledger)

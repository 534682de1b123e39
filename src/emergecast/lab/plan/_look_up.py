"""One run of an experiment: what was found, and what the model said to each item."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from emergecast.errors import LabError, meant
from emergecast.lab.experiment import Experiment
from emergecast.lab.ledger import Failure, Ledger, Result, State
from emergecast.lab.plan._survey import survey

_SHORTEST: Final = 4
"""Characters of a key that are taken for one."""
_LISTED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFound:
    """A run that was asked for."""

    key: str
    """That of the run today."""
    title: str
    """The run in words."""
    state: State | None
    """Where it stands; None where it is not a run of the experiment as it is now."""
    result: Result | None
    """None where there is none yet."""
    failure: Failure | None
    """Why it failed last, where it is not done."""
    items: tuple[Mapping[str, Any], ...]
    """Outcome of each test item; what of it there is depends on the version that measured it."""
    older: tuple[str, ...]
    """Keys of results of the same run from before something changed."""


def look_up(experiment: Experiment, wanted: str) -> RunFound:
    """The run with this title, or whose key begins so.

    A title may be a pattern, or a part of the title, where one run alone fits.

    Raises:
        LabError: there is no such run, or there are several.
        LedgerError: there is no ledger, or it cannot be read.
    """
    found = survey(experiment, remember=True)
    titles = {key: result.title for key, result in found.results.items()}
    titles |= {failure.key: failure.title for failure in found.failures}
    planned = {run.key: run.title for run in found.plan.runs}
    key = _one_of(wanted, planned, {**titles, **planned})
    title = planned.get(key) or titles[key]
    result = found.results.get(key)
    items: list[dict[str, Any]] = []
    with Ledger.open_to_read(experiment.ledger) as ledger:
        if result is not None:
            items = ledger.items(result.key)
    return RunFound(
        key=key,
        title=title,
        state=found.plan.states.get(key),
        result=result,
        failure=next((each for each in found.failures if each.key == key), None),
        items=tuple(items),
        older=tuple(
            each for each, its in titles.items() if its == title and each not in {key, *planned}
        ),
    )


def _one_of(wanted: str, planned: Mapping[str, str], every: Mapping[str, str]) -> str:
    """The key that is meant; runs of the plan come before others of the same title."""
    fits = []
    if len(wanted) >= _SHORTEST and set(wanted) <= set(string.hexdigits):
        fits = [key for key in every if key.startswith(wanted.lower())]
    for titles in (planned, every):
        fits = fits or [key for key, title in titles.items() if title == wanted]
    for titles in (planned, every):
        pattern = f"*{wanted}*"
        fits = fits or [key for key, title in titles.items() if fnmatchcase(title, pattern)]
    if not fits:
        known = sorted(set(every.values()))
        listed = "".join(f"\n  {title}" for title in known[:_LISTED])
        more = f"\n  and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
        there = meant(wanted, known) or f"There are:{listed}{more}"
        raise LabError(f'no run is called "{wanted}". {there}')
    if len(fits) > 1:
        listed = "".join(f"\n  {key[:_LISTED]}  {every[key]}" for key in fits[:_LISTED])
        more = f"\n  and {len(fits) - _LISTED:,} more" if len(fits) > _LISTED else ""
        raise LabError(f'"{wanted}" fits {len(fits):,} runs. Give the key of one:{listed}{more}')
    return fits[0]

"""Which commits of the hub the results of an experiment were measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from emergecast.lab.ledger import Result
from emergecast.lab.plan._plan import Plan

_SHOWN = 12
"""Digits of a commit."""


def commits_read(plan: Plan, results: Mapping[str, Result]) -> dict[str, Counter[str]]:
    """By repository and revision: its commits, each with how many results were measured on it.

    Results of the plan's runs, those from before something changed among them. Versions before
    0.2.0 recorded none.
    """
    titles = {run.title for run in plan.runs}
    found: dict[str, Counter[str]] = {}
    for result in sorted(results.values(), key=lambda each: each.started):
        if result.title in titles:
            for name, commit in result.commits.items():
                found.setdefault(name, Counter())[commit] += 1
    return dict(sorted(found.items()))


def moved_words(read: Mapping[str, Counter[str]]) -> Iterator[str]:
    """A sentence for each revision of which results were measured on several commits."""
    for name, commits in read.items():
        if len(commits) > 1:
            shown = [f"{commit[:_SHOWN]} ({runs:,})" for commit, runs in commits.items()]
            yield (
                f"{name} moved on the hub between runs: results were measured on commits"
                f" {', then '.join(shown)}."
            )

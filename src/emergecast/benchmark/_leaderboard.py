"""Results counted up: one row for each method and group of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.baselines import Baseline
from emergecast.benchmark._answer import Answer, AnswerOutcome
from emergecast.benchmark._cells import CELLS, BundledCell
from emergecast.records import as_json
from emergecast.track_record import SkillScore, skill_over

if TYPE_CHECKING:
    from emergecast.benchmark._result_lines import ResultLine

BUNDLED: Final = "all bundled"
SIMULATED: Final = "all simulated"
"""Groups of the cells of one kind."""
FIFTHS: Final = 5
"""Bins of the PIT."""

Answers = Mapping[str, Sequence[Answer]]
"""What one method said, by table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMean:
    """A mean over tables of the means over their rungs."""

    value: float
    stderr: float | None
    """Over tables; None for a single one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardRow:
    """One method on one group of tables. Means weigh every table alike; losses in nats."""

    group: str
    """A cell, or all cells of one kind."""
    method: str
    tables: int
    rungs: int
    """Forecasts asked for."""
    scored: int
    refused: int
    errors: int
    no_distribution: int
    """What the method returned was none."""
    over_no_change: SkillScore | None
    """None where no rung has both scored, and for no-change itself."""
    over_cut_prior: SkillScore | None
    covered_90: TableMean | None
    """Share of 90% intervals that hold the truth."""
    covered_50: TableMean | None
    pit: tuple[float, ...] | None
    """Share of truths in each fifth of their distribution, from late to early; even where stated
    probabilities come true."""
    interval_score: TableMean | None
    """Of the 90% interval; lower is better."""
    bias: TableMean | None
    """Median minus truth: above 0, emergence is forecast too early."""
    seconds: float
    """Of one forecast, mean."""
    reason: str
    """The first failure; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """All methods on all groups."""

    version: str
    """Of emergecast."""
    dates: tuple[str, str] | None
    """First and last day of the results; None where there are none."""
    seed: int
    left_out: tuple[str, ...]
    """Held cells that nobody asked for."""
    damaged: tuple[int, ...]
    """Lines of the file of results that cannot be read."""
    rows: tuple[LeaderboardRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return dict(as_json(self))


def leaderboard(
    lines: Sequence[ResultLine],
    *,
    version: str,
    seed: int,
    left_out: tuple[str, ...] = (),
    damaged: tuple[int, ...] = (),
) -> Leaderboard:
    """The leaderboard of some results; groups in the order of the cells, best method first."""
    days = sorted(line.date for line in lines)
    cells = [name for name in CELLS if any(line.cell == name for line in lines)]
    bundled = [name for name in cells if isinstance(CELLS[name], BundledCell)]
    simulated = [name for name in cells if name not in bundled]
    groups = {BUNDLED: bundled, SIMULATED: simulated, **{name: [name] for name in cells}}
    return Leaderboard(
        version=version,
        dates=(days[0], days[-1]) if days else None,
        seed=seed,
        left_out=left_out,
        damaged=damaged,
        rows=tuple(
            row
            for name, of in groups.items()
            for row in _rows(name, [line for line in lines if line.cell in of])
        ),
    )


def _rows(group: str, lines: Sequence[ResultLine]) -> list[LeaderboardRow]:
    said: dict[str, dict[str, tuple[Answer, ...]]] = {}
    for line in lines:
        said.setdefault(line.method, {})[line.table] = line.rungs
    rows = [_row(group, method, said) for method in said]
    return sorted(rows, key=_rank)


def _rank(row: LeaderboardRow) -> float:
    """By skill per rung over no-change, on which no-change itself has 0; last without any."""
    if row.method == Baseline.NO_CHANGE:
        return 0.0
    return -row.over_no_change.per_rung if row.over_no_change else np.inf


def _row(group: str, method: str, said: Mapping[str, Answers]) -> LeaderboardRow:
    own = said[method]
    every = [each for rungs in own.values() for each in rungs]
    failed = [each for each in every if each.outcome is not AnswerOutcome.SCORED]
    pits = _by_table(own, _pit)

    def count(outcome: AnswerOutcome) -> int:
        return sum(each.outcome is outcome for each in every)

    return LeaderboardRow(
        group=group,
        method=method,
        tables=len(own),
        rungs=len(every),
        scored=count(AnswerOutcome.SCORED),
        refused=count(AnswerOutcome.REFUSED),
        errors=count(AnswerOutcome.ERROR),
        no_distribution=count(AnswerOutcome.NO_DISTRIBUTION),
        over_no_change=_skill(method, Baseline.NO_CHANGE, said),
        over_cut_prior=_skill(method, Baseline.CUT_PRIOR, said),
        covered_90=_mean(own, lambda each: _inside(each.p05, each.truth, each.p95)),
        covered_50=_mean(own, lambda each: _inside(each.p25, each.truth, each.p75)),
        pit=_fifths(pits) if pits else None,
        interval_score=_mean(own, lambda each: each.interval_score),
        bias=_mean(own, _bias),
        seconds=float(np.mean([each.seconds for each in every])),
        reason=failed[0].reason if failed else "",
    )


def _skill(method: str, rival: str, said: Mapping[str, Answers]) -> SkillScore | None:
    """Over the rungs that both have scored; None of a method over itself."""
    if method == rival or rival not in said:
        return None
    pairs = {}
    for table, mine in said[method].items():
        theirs = {each.rung: each.crps for each in said[rival].get(table, ())}
        pairs[table] = [
            (each.crps, other)
            for each in mine
            if each.crps is not None and (other := theirs.get(each.rung)) is not None
        ]
    return skill_over(pairs)


def _by_table(own: Answers, value: Callable[[Answer], float | None]) -> list[list[float]]:
    """The values of each table that has any."""
    found = [[x for each in rungs if (x := value(each)) is not None] for rungs in own.values()]
    return [values for values in found if values]


def _mean(own: Answers, value: Callable[[Answer], float | None]) -> TableMean | None:
    means = np.array([np.mean(values) for values in _by_table(own, value)])
    if not means.size:
        return None
    error = float(means.std(ddof=1) / np.sqrt(means.size)) if means.size > 1 else None
    return TableMean(value=float(means.mean()), stderr=error)


def _inside(low: float | None, truth: float | None, high: float | None) -> float | None:
    if low is None or truth is None or high is None:
        return None
    return float(low <= truth <= high)


def _bias(each: Answer) -> float | None:
    return None if each.p50 is None or each.truth is None else each.p50 - each.truth


def _pit(each: Answer) -> float | None:
    return each.pit


def _fifths(tables: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Shares of the PIT in five bins, every table weighing alike."""
    shares = [np.histogram(each, FIFTHS, (0.0, 1.0))[0] / len(each) for each in tables]
    return tuple(map(float, np.mean(shares, axis=0)))

"""A leaderboard as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from emergecast.cli._wrap import wrapped

if TYPE_CHECKING:
    from emergecast.benchmark import BenchmarkPlan, Leaderboard, LeaderboardRow, TableMean
    from emergecast.track_record import SkillScore

HEAD = (
    f"{'tables':>6} {'rungs':>5} {'scored':>6} {'failed':>8} {'over no-change':>20} "
    f"{'over cut-prior':>20} {'in 90%':>8} {'in 50%':>8} {'interval':>8} {'bias':>7} {'s':>6}  "
    "PIT by fifths"
)


def leaderboard_text(board: Leaderboard) -> str:
    """The whole leaderboard for a person to read."""
    days = "" if board.dates is None else f", {' to '.join(dict.fromkeys(board.dates))}"
    lines = [f"BENCHMARK  emergecast {board.version}{days}, seed {board.seed}"]
    lines += wrapped(
        "Skill: 1 - mean CRPS / mean CRPS of the rival, then the mean of ln(CRPS of the rival / "
        "CRPS) per rung, ± one standard error over tables. Failed: refused/errors/no distribution. "
        "Coverage in %, interval score (90%) and bias (median minus truth) in nats, seconds for "
        "one forecast."
    )
    width = max([len("all simulated"), *(len(row.method) for row in board.rows)])
    for group, of in groupby(board.rows, key=lambda row: row.group):
        rows = list(of)
        lines += ["", f"{group:<{width}} {HEAD}"]
        lines += [_row(row, width) for row in rows if row.scored]
        unanswered = [f"{row.method} ({_failed(row)})" for row in rows if not row.scored]
        if unanswered:
            lines += wrapped(f"nothing to score: {', '.join(unanswered)}", "    ")
    lines += ["", *_reasons(board)]
    lines += ["", *wrapped(_left_out(board))] if board.left_out else []
    return "\n".join(lines)


def plan_text(plan: BenchmarkPlan) -> str:
    """What would be done."""
    return (
        f"{len(plan.jobs)} tables and {plan.lines} lines are missing, {len(plan.known)} lines are "
        f"there. That takes about {until(plan.seconds)}."
    )


def until(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _row(row: LeaderboardRow, width: int) -> str:
    shares = "" if row.pit is None else " ".join(f"{100 * share:.0f}" for share in row.pit)
    return (
        f"{row.method:<{width}} {row.tables:>6} {row.rungs:>5} {row.scored:>6} {_failed(row):>8} "
        f"{_skill(row.over_no_change):>20} {_skill(row.over_cut_prior):>20} "
        f"{_share(row.covered_90):>8} {_share(row.covered_50):>8} "
        f"{_nats(row.interval_score, '.3f'):>8} {_nats(row.bias, '+.3f'):>7} {row.seconds:6.2f}  "
        f"{shares}"
    )


def _failed(row: LeaderboardRow) -> str:
    return f"{row.refused}/{row.errors}/{row.no_distribution}"


def _reasons(board: Leaderboard) -> Iterator[str]:
    """The first failure of each method."""
    first: dict[str, LeaderboardRow] = {}
    for row in board.rows:
        if row.reason:
            first.setdefault(row.method, row)
    if first:
        yield "First failure of each method:"
    for method, row in first.items():
        yield from wrapped(f"{method}, {row.group}: {row.reason}", "    ", first="  ")


def _skill(skill: SkillScore | None) -> str:
    if skill is None:
        return ""
    error = "" if skill.per_rung_stderr is None else f"±{skill.per_rung_stderr:.2f}"
    return f"{skill.value:+.2f} {skill.per_rung:+.2f}{error}"


def _share(mean: TableMean | None) -> str:
    if mean is None:
        return ""
    return f"{100 * mean.value:.0f}" + ("" if mean.stderr is None else f"±{100 * mean.stderr:.0f}")


def _nats(mean: TableMean | None, form: str) -> str:
    return "" if mean is None else format(mean.value, form)


def _left_out(board: Leaderboard) -> str:
    return (
        f"Held out and not looked at: {', '.join(board.left_out)}. --held forecasts them; do so "
        "once, when nothing is changed any more."
    )

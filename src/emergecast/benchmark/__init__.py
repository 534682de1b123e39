"""Any method on all bundled and simulated emergences: one leaderboard.

A method is a law, a mixture, a baseline or a function of the user. It sees the rows of checkpoints
at chance and nothing else. What it cannot answer is counted, and never dropped.
"""

from __future__ import annotations

from emergecast.benchmark._attempt import Attempt, AttemptOutcome
from emergecast.benchmark._cells import CELLS, BundledCell, Cell, SimulatedCell, Split
from emergecast.benchmark._entrants import DEFAULT_METHODS, Method
from emergecast.benchmark._leaderboard import Leaderboard, LeaderboardRow, TableMean
from emergecast.benchmark._result_lines import ResultLine
from emergecast.benchmark._run_benchmark import BenchmarkOptions, Plan, benchmark, planned

__all__ = [
    "CELLS",
    "DEFAULT_METHODS",
    "Attempt",
    "AttemptOutcome",
    "BenchmarkOptions",
    "BundledCell",
    "Cell",
    "Leaderboard",
    "LeaderboardRow",
    "Method",
    "Plan",
    "ResultLine",
    "SimulatedCell",
    "Split",
    "TableMean",
    "benchmark",
    "planned",
]

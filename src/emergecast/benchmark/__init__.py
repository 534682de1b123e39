"""Any method on all bundled and simulated emergences: one leaderboard.

A method is a law, a mixture, a baseline or a function of the user. It sees the rows of checkpoints
at chance and nothing else. What it cannot answer is counted, and never dropped.
"""

from __future__ import annotations

from emergecast.benchmark._answer import Answer, AnswerOutcome
from emergecast.benchmark._cells import (
    CELLS,
    SKILLS,
    BenchmarkCell,
    BundledCell,
    HeldSplit,
    Rung,
    SimulatedCell,
)
from emergecast.benchmark._entrants import DEFAULT_METHODS, ForecastMethod
from emergecast.benchmark._leaderboard import Leaderboard, LeaderboardRow, TableMean
from emergecast.benchmark._result_lines import ResultLine
from emergecast.benchmark._run_benchmark import BenchmarkOptions, BenchmarkPlan, benchmark, planned

__all__ = [
    "CELLS",
    "DEFAULT_METHODS",
    "SKILLS",
    "Answer",
    "AnswerOutcome",
    "BenchmarkCell",
    "BenchmarkOptions",
    "BenchmarkPlan",
    "BundledCell",
    "ForecastMethod",
    "HeldSplit",
    "Leaderboard",
    "LeaderboardRow",
    "ResultLine",
    "Rung",
    "SimulatedCell",
    "TableMean",
    "benchmark",
    "planned",
]

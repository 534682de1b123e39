"""What came true: the few-shot elbow as later checkpoints show it, and forecasts held against it.

A backtest hides checkpoints, forecasts from the others, and scores the forecast beside guesses that
need no law. The truth never sees what a forecast said, and a refused forecast is not scored.
"""

from emergecast.backtest._backtest import backtest
from emergecast.backtest._baselines import Baseline, Guess, baselines
from emergecast.backtest._compare import Comparison, compare
from emergecast.backtest._departures import Departure, Effects
from emergecast.backtest._designs import Checkpoint, Design, Truth
from emergecast.backtest._first import Difference, ElbowCompute, First
from emergecast.backtest._load import design_names, load_design, override_truth
from emergecast.backtest._plan import BacktestOptions
from emergecast.backtest._random_truth import random_truth
from emergecast.backtest._ranking import Ranking
from emergecast.backtest._rows import Backtest, BacktestRow, Outcome, Part, Skill, Tally
from emergecast.backtest._scores import estimand
from emergecast.backtest._simulate import Simulated, simulate
from emergecast.backtest._tally import TrackRecord, track_record
from emergecast.backtest._track_record import FrozenScore, ScoreStatus, score_frozen
from emergecast.backtest._truth import GroundTruth, ground_truth

__all__ = [
    "Backtest",
    "BacktestOptions",
    "BacktestRow",
    "Baseline",
    "Checkpoint",
    "Comparison",
    "Departure",
    "Design",
    "Difference",
    "Effects",
    "ElbowCompute",
    "First",
    "FrozenScore",
    "GroundTruth",
    "Guess",
    "Outcome",
    "Part",
    "Ranking",
    "ScoreStatus",
    "Simulated",
    "Skill",
    "Tally",
    "TrackRecord",
    "Truth",
    "backtest",
    "baselines",
    "compare",
    "design_names",
    "estimand",
    "ground_truth",
    "load_design",
    "override_truth",
    "random_truth",
    "score_frozen",
    "simulate",
    "track_record",
]

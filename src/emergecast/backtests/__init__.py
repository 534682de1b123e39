"""Forecasts made after the fact: hide strong checkpoints, forecast, score; skill.

A backtest hides checkpoints, forecasts from the others, and scores the forecast beside guesses that
need no law. The truth never sees what a forecast said, and a refused forecast is not scored.
"""

from __future__ import annotations

from emergecast.backtests._backtest import backtest
from emergecast.backtests._rows import (
    FORECAST,
    RIVALS,
    Backtest,
    BacktestOutcome,
    BacktestRow,
    Part,
    Skill,
    Tally,
)
from emergecast.backtests._settings import BacktestOptions, ground_of, settings_of

__all__ = [
    "FORECAST",
    "RIVALS",
    "Backtest",
    "BacktestOptions",
    "BacktestOutcome",
    "BacktestRow",
    "Part",
    "Skill",
    "Tally",
    "backtest",
    "ground_of",
    "settings_of",
]

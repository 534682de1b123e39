"""What several pictures are drawn with: colours, marks, windows, views of records."""

from __future__ import annotations

from emergecast.report.drawing import marks
from emergecast.report.drawing._intervals import (
    FORECAST,
    BacktestView,
    Head,
    cut,
    remarks,
    verdicts,
    window,
)
from emergecast.report.drawing._look import (
    AMOUNT,
    BAND,
    BAND_TEXT,
    FEW_SHOT,
    INK,
    LATER,
    LATER_FINETUNED,
    QUIET,
    TRUTH,
    WIDTH,
    amount_colours,
    dress,
    loss_text,
    score_title,
)
from emergecast.report.drawing._view import ElbowView, ForecastView
from emergecast.report.drawing._window import Window, distribution_window, fan_window, score_window

__all__ = [
    "AMOUNT",
    "BAND",
    "BAND_TEXT",
    "FEW_SHOT",
    "FORECAST",
    "INK",
    "LATER",
    "LATER_FINETUNED",
    "QUIET",
    "TRUTH",
    "WIDTH",
    "BacktestView",
    "ElbowView",
    "ForecastView",
    "Head",
    "Window",
    "amount_colours",
    "cut",
    "distribution_window",
    "dress",
    "fan_window",
    "loss_text",
    "marks",
    "remarks",
    "score_title",
    "score_window",
    "verdicts",
    "window",
]

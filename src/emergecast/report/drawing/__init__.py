"""What several pictures are drawn with: colours, marks, windows, intervals."""

from __future__ import annotations

from emergecast.report.drawing import marks
from emergecast.report.drawing._intervals import (
    VERDICTS,
    cut,
    interval_window,
    medians,
    triangles,
    truth_marks,
    verdicts,
)
from emergecast.report.drawing._look import (
    AMOUNT,
    BAND,
    BAND_TEXT,
    INK,
    LATER,
    QUIET,
    TRUTH,
    WIDTH,
    amount_colours,
    between,
    dress,
    ink_on,
    loss_text,
    score_title,
)
from emergecast.report.drawing._window import Window, distribution_window, fan_window, score_window

__all__ = [
    "AMOUNT",
    "BAND",
    "BAND_TEXT",
    "INK",
    "LATER",
    "QUIET",
    "TRUTH",
    "VERDICTS",
    "WIDTH",
    "Window",
    "amount_colours",
    "between",
    "cut",
    "distribution_window",
    "dress",
    "fan_window",
    "ink_on",
    "interval_window",
    "loss_text",
    "marks",
    "medians",
    "score_title",
    "score_window",
    "triangles",
    "truth_marks",
    "verdicts",
]

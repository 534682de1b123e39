"""Pictures of forecasts, backtests, comparisons and scaling laws: record in, chart out.

The room draws what it is given and estimates nothing: no fit, no interval, no quantile is worked
out here, only what part of the axes to show. It knows a forecast by the names in `ForecastView`.
Importing it loads altair (about half a second), so only the commands that draw import it.
"""

from __future__ import annotations

from emergecast.report._save import save
from emergecast.report.drawing._intervals import BacktestView
from emergecast.report.drawing._view import ElbowView, ForecastView
from emergecast.report.pictures.ablations import ablations
from emergecast.report.pictures.comparison import (
    ComparisonView,
    comparison_distribution,
    comparison_fan,
)
from emergecast.report.pictures.compute import ComputeView, compute
from emergecast.report.pictures.distribution import distribution
from emergecast.report.pictures.fan import fan
from emergecast.report.pictures.influence import DiagnosedView, influence
from emergecast.report.pictures.ladder import ladder
from emergecast.report.pictures.scaling_law import scaling
from emergecast.report.pictures.suggestion import SuggestionView, suggestion

__all__ = [
    "BacktestView",
    "ComparisonView",
    "ComputeView",
    "DiagnosedView",
    "ElbowView",
    "ForecastView",
    "SuggestionView",
    "ablations",
    "comparison_distribution",
    "comparison_fan",
    "compute",
    "distribution",
    "fan",
    "influence",
    "ladder",
    "save",
    "scaling",
    "suggestion",
]

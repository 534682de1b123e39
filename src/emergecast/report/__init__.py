"""Pictures of a forecast, of a backtest and of a scaling law: result in, picture out.

The room draws what it is given and estimates nothing: no fit, no interval, no quantile is worked
out here, only what part of the axes to show. It knows a forecast by the names in `ForecastView`.
Importing it loads altair (about half a second), so only the commands that draw import it.
"""

from __future__ import annotations

from emergecast.report._ablation import ablations
from emergecast.report._comparison import (
    ComparisonView,
    comparison_distribution,
    comparison_fan,
)
from emergecast.report._compute import ComputeView, compute
from emergecast.report._distribution import distribution
from emergecast.report._fan import fan
from emergecast.report._influence import DiagnosedView, influence
from emergecast.report._intervals import BacktestView
from emergecast.report._ladder import ladder
from emergecast.report._save import save, save_text
from emergecast.report._scaling import ScalingView, scaling
from emergecast.report._suggestion import SuggestionView, suggestion
from emergecast.report._view import ElbowView, ForecastView

__all__ = [
    "BacktestView",
    "ComparisonView",
    "ComputeView",
    "DiagnosedView",
    "ElbowView",
    "ForecastView",
    "ScalingView",
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
    "save_text",
    "scaling",
    "suggestion",
]

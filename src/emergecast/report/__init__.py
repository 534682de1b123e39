"""Pictures of forecasts, backtests, comparisons and scaling laws: record in, chart out.

The room draws what it is given and estimates nothing: no fit, no interval, no quantile is worked
out here, only what part of the axes to show. Importing it loads altair (about half a second), so
only the commands that draw import it.
"""

from __future__ import annotations

from emergecast.report._save import save
from emergecast.report.pictures import (
    ablations,
    comparison_distribution,
    comparison_fan,
    comparison_order,
    compute,
    distribution,
    fan,
    influence,
    ladder,
    scaling,
    suggestion,
)

__all__ = [
    "ablations",
    "comparison_distribution",
    "comparison_fan",
    "comparison_order",
    "compute",
    "distribution",
    "fan",
    "influence",
    "ladder",
    "save",
    "scaling",
    "suggestion",
]

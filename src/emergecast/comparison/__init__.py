"""Which of several pretraining series emerges first, at equal loss and at equal compute.

It refuses to compare series whose losses are not of one kind.
"""

from __future__ import annotations

from emergecast.comparison._compare import (
    compare,
    comparison_of,
    forecast_series,
    series_to_compare,
)
from emergecast.comparison._comparison import (
    Comparison,
    ComparisonRecord,
    comparison_schema,
    refuse_unknown,
)
from emergecast.comparison._decisions import FORECAST, Decisions
from emergecast.comparison._emergence_order import EmergenceOrder, LeftOut, PlacedSeries
from emergecast.comparison._first import Difference, ElbowCompute, First
from emergecast.comparison._ranking import Ranking
from emergecast.comparison._series_forecast import CameTrue, LossSources, SeriesForecast
from emergecast.comparison._series_pair import DECIDED, ComparedAt, SeriesPair

__all__ = [
    "DECIDED",
    "FORECAST",
    "CameTrue",
    "ComparedAt",
    "Comparison",
    "ComparisonRecord",
    "Decisions",
    "Difference",
    "ElbowCompute",
    "EmergenceOrder",
    "First",
    "LeftOut",
    "LossSources",
    "PlacedSeries",
    "Ranking",
    "SeriesForecast",
    "SeriesPair",
    "compare",
    "comparison_of",
    "comparison_schema",
    "forecast_series",
    "refuse_unknown",
    "series_to_compare",
]

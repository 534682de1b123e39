"""The answer: where a capability emerges, how surely; verdict, reasons, JSON and schema.

It refuses to print a number that the rows do not carry: a forecast has a verdict with reasons, and
a refused one has no elbow.
"""

from __future__ import annotations

from emergecast.forecasts._elbow import AtLoss, Elbow
from emergecast.forecasts._forecast import Forecast, forecast
from emergecast.forecasts._json_schema import json_schema
from emergecast.forecasts._overrides import Override, overrides
from emergecast.forecasts._thresholds import Thresholds, default_thresholds
from emergecast.forecasts._verdict import NEGLIGIBLE, Sensitivity, Verdict

__all__ = [
    "NEGLIGIBLE",
    "AtLoss",
    "Elbow",
    "Forecast",
    "Override",
    "Sensitivity",
    "Thresholds",
    "Verdict",
    "default_thresholds",
    "forecast",
    "json_schema",
    "overrides",
]

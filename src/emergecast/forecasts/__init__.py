"""The answer: where a capability emerges, how surely; verdict, reasons, JSON and schema.

It refuses to print a number that the rows do not carry: a forecast has a verdict with reasons, and
a refused one has no elbow.
"""

from __future__ import annotations

from emergecast.forecasts._each import ForecastOrError, forecast_each, name_of
from emergecast.forecasts._elbow import AtLoss, Elbow
from emergecast.forecasts._forecast import Forecast
from emergecast.forecasts._forecast_options import ForecastOptions
from emergecast.forecasts._forecast_record import (
    AtComputeRecord,
    ForecastRecord,
    json_schema,
    read_forecast,
)
from emergecast.forecasts._make_forecast import forecast
from emergecast.forecasts._overrides import Override, overrides
from emergecast.forecasts._targets import NoDistribution, Targeted, only_of_the_elbow, to_score
from emergecast.forecasts._thresholds import Thresholds, default_thresholds
from emergecast.forecasts._verdict import NEGLIGIBLE, Sensitivity, Verdict, refusal

__all__ = [
    "NEGLIGIBLE",
    "AtComputeRecord",
    "AtLoss",
    "Elbow",
    "Forecast",
    "ForecastOptions",
    "ForecastOrError",
    "ForecastRecord",
    "NoDistribution",
    "Override",
    "Sensitivity",
    "Targeted",
    "Thresholds",
    "Verdict",
    "default_thresholds",
    "forecast",
    "forecast_each",
    "json_schema",
    "name_of",
    "only_of_the_elbow",
    "overrides",
    "read_forecast",
    "refusal",
    "to_score",
]

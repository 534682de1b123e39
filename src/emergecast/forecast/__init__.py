"""From a `Fit` to an answer: at which loss a capability emerges, how surely, and why.

It refuses to print a number that the rows do not carry: a forecast has a verdict with reasons, and
a refused one has no elbow.
"""

from emergecast.forecast._diagnostics import Diagnostics, Optima, diagnose
from emergecast.forecast._falls import Fall
from emergecast.forecast._forecast import AtLoss, Forecast, forecast
from emergecast.forecast._freeze import (
    ROW_KEY,
    FrozenDistribution,
    FrozenForecast,
    freeze,
    printed_rows,
    read_frozen,
)
from emergecast.forecast._influence import Influence, Suspect
from emergecast.forecast._on_axis import Elbow, default_thresholds
from emergecast.forecast._predictive import Check
from emergecast.forecast._residuals import Residual, Trend
from emergecast.forecast._schema import json_schema
from emergecast.forecast._scores import LossDistribution, crps, log_score, pit
from emergecast.forecast._verdict import NEGLIGIBLE, Sensitivity, Thresholds, Verdict

__all__ = [
    "NEGLIGIBLE",
    "ROW_KEY",
    "AtLoss",
    "Check",
    "Diagnostics",
    "Elbow",
    "Fall",
    "Forecast",
    "FrozenDistribution",
    "FrozenForecast",
    "Influence",
    "LossDistribution",
    "Optima",
    "Residual",
    "Sensitivity",
    "Suspect",
    "Thresholds",
    "Trend",
    "Verdict",
    "crps",
    "default_thresholds",
    "diagnose",
    "forecast",
    "freeze",
    "json_schema",
    "log_score",
    "pit",
    "printed_rows",
    "read_frozen",
]

"""From a `Fit` to an answer: at which loss a capability emerges, how surely, and why.

It refuses to print a number that the rows do not carry: a forecast has a verdict with reasons, and
a refused one has no elbow.
"""

from emergecast.forecast._forecast import AtLoss, Elbow, Forecast, forecast
from emergecast.forecast._schema import json_schema
from emergecast.forecast._verdict import Sensitivity, Thresholds, Verdict

__all__ = [
    "AtLoss",
    "Elbow",
    "Forecast",
    "Sensitivity",
    "Thresholds",
    "Verdict",
    "forecast",
    "json_schema",
]

"""From a `Fit` to an answer: at which loss a capability emerges, how surely, and why.

It refuses to print a number that the rows do not carry: a forecast has a verdict with reasons, and
a refused one has no elbow.
"""

from emergecast.forecast._candidates import CANDIDATE_COLUMNS, Candidate
from emergecast.forecast._compute import Compute, DateQuantiles, FloorRow, Quantiles
from emergecast.forecast._compute_dates import ComputeDates, read_compute_dates
from emergecast.forecast._compute_run import AtCompute
from emergecast.forecast._compute_scale import ComputeOptions, LawKind
from emergecast.forecast._cost import Cost
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
from emergecast.forecast._plan import Prospect, SuggestedRun, SuggestOptions
from emergecast.forecast._predictive import Check
from emergecast.forecast._repeats import Repeat, repeats
from emergecast.forecast._residuals import Residual, Trend
from emergecast.forecast._schema import json_schema
from emergecast.forecast._scores import LossDistribution, crps, log_score, pit
from emergecast.forecast._suggest import Suggestion, suggest
from emergecast.forecast._verdict import NEGLIGIBLE, Sensitivity, Thresholds, Verdict

__all__ = [
    "CANDIDATE_COLUMNS",
    "NEGLIGIBLE",
    "ROW_KEY",
    "AtCompute",
    "AtLoss",
    "Candidate",
    "Check",
    "Compute",
    "ComputeDates",
    "ComputeOptions",
    "Cost",
    "DateQuantiles",
    "Diagnostics",
    "Elbow",
    "Fall",
    "FloorRow",
    "Forecast",
    "FrozenDistribution",
    "FrozenForecast",
    "Influence",
    "LawKind",
    "LossDistribution",
    "Optima",
    "Prospect",
    "Quantiles",
    "Repeat",
    "Residual",
    "Sensitivity",
    "SuggestOptions",
    "SuggestedRun",
    "Suggestion",
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
    "read_compute_dates",
    "read_frozen",
    "repeats",
    "suggest",
]

"""Influence, residuals, predictive checks, falls, optima: what a fit rests on.

Influence of checkpoints and data amounts, residuals, falling scores, posterior predictive checks,
other optima. It measures and gives no verdict: what to make of it is decided in `forecasts`.
"""

from __future__ import annotations

from emergecast.diagnostics._diagnostics import Diagnostics, DiagnosticsRecord, Optima, diagnose
from emergecast.diagnostics._falls import Fall
from emergecast.diagnostics._influence import FEW_SHOT, Influence, Suspect
from emergecast.diagnostics._predictive import RISE, Check
from emergecast.diagnostics._residuals import Residual, Trend

__all__ = [
    "FEW_SHOT",
    "RISE",
    "Check",
    "Diagnostics",
    "DiagnosticsRecord",
    "Fall",
    "Influence",
    "Optima",
    "Residual",
    "Suspect",
    "Trend",
    "diagnose",
]

"""Scaling laws fitted to pretraining runs, with standard errors.

Objective, starts, Newton steps, bootstrap and curvature. It drops no run unasked, and prints no
constant without its error.
"""

from __future__ import annotations

from emergecast.scaling.fitting._fit_law import fit_scaling_law
from emergecast.scaling.fitting._law_curves import law_curve, points_frame, size_curves
from emergecast.scaling.fitting._optimal import Optimal, Ranged, Split, optimal
from emergecast.scaling.fitting._record import read_law, scaling_record
from emergecast.scaling.fitting._resampling import Refits, Resampled
from emergecast.scaling.fitting._scaling_fit import (
    Outlier,
    ScalingFit,
    ScalingFitOptions,
    ScalingOptima,
    ScalingStatus,
)

__all__ = [
    "Optimal",
    "Outlier",
    "Ranged",
    "Refits",
    "Resampled",
    "ScalingFit",
    "ScalingFitOptions",
    "ScalingOptima",
    "ScalingStatus",
    "Split",
    "fit_scaling_law",
    "law_curve",
    "optimal",
    "points_frame",
    "read_law",
    "scaling_record",
    "size_curves",
]

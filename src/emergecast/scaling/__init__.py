"""Pretraining scaling laws: from parameters, tokens and FLOPs to a loss, and back.

Evaluates, inverts and fits laws, keeps published constants under their names and counts FLOPs. It
refuses to pretend that such a loss was measured: callers mark it as estimated. It
refuses a loss that no run of the law reaches, and says which it does reach. It fits no constants
that the runs do not decide, drops no run unasked, and prints none without its error.
"""

from __future__ import annotations

from emergecast.scaling._allocation import Allocation, PretrainingRun, Tie
from emergecast.scaling._along import run_at, run_at_flops
from emergecast.scaling._convert import Conversion, UnderFloor, convert_loss, convert_run
from emergecast.scaling._floor import with_floor
from emergecast.scaling._invert import least_loss, loss_at, loss_of, run_at_loss
from emergecast.scaling._laws import (
    FLOPS_PER_PARAM_AND_TOKEN,
    ChinchillaLaw,
    PowerLaw,
    Resource,
    ScalingLaw,
)
from emergecast.scaling._named import CHINCHILLA_LAWS, NAMED_LAWS, named_law
from emergecast.scaling._parse_law import parse_law
from emergecast.scaling._runs import RUN_LIMITS, Form, Runs
from emergecast.scaling._series import SeriesDraws, SeriesLaw, SeriesPrior, frontier
from emergecast.scaling._sizes import amount_text, flops_text, parse_amount
from emergecast.scaling.counting._architecture import Architecture, ParamCount
from emergecast.scaling.counting._flops import (
    Counting,
    FlopCount,
    architecture_flops,
    training_flops,
)
from emergecast.scaling.counting._model_config import read_architecture
from emergecast.scaling.fitting._fit_law import fit_scaling_law
from emergecast.scaling.fitting._law_curves import law_curve, points_frame, size_curves
from emergecast.scaling.fitting._optimal import Optimal, Ranged, Split, optimal
from emergecast.scaling.fitting._record import read_law, scaling_record
from emergecast.scaling.fitting._resampling import Refits, Resampled
from emergecast.scaling.fitting._scaling_fit import (
    FitOptions,
    Outlier,
    ScalingFit,
    ScalingOptima,
    ScalingStatus,
)

__all__ = [
    "CHINCHILLA_LAWS",
    "FLOPS_PER_PARAM_AND_TOKEN",
    "NAMED_LAWS",
    "RUN_LIMITS",
    "Allocation",
    "Architecture",
    "ChinchillaLaw",
    "Conversion",
    "Counting",
    "FitOptions",
    "FlopCount",
    "Form",
    "Optimal",
    "Outlier",
    "ParamCount",
    "PowerLaw",
    "PretrainingRun",
    "Ranged",
    "Refits",
    "Resampled",
    "Resource",
    "Runs",
    "ScalingFit",
    "ScalingLaw",
    "ScalingOptima",
    "ScalingStatus",
    "SeriesDraws",
    "SeriesLaw",
    "SeriesPrior",
    "Split",
    "Tie",
    "UnderFloor",
    "amount_text",
    "architecture_flops",
    "convert_loss",
    "convert_run",
    "fit_scaling_law",
    "flops_text",
    "frontier",
    "law_curve",
    "least_loss",
    "loss_at",
    "loss_of",
    "named_law",
    "optimal",
    "parse_amount",
    "parse_law",
    "points_frame",
    "read_architecture",
    "read_law",
    "run_at",
    "run_at_flops",
    "run_at_loss",
    "scaling_record",
    "size_curves",
    "training_flops",
    "with_floor",
]

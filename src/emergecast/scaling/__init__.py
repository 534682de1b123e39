"""Pretraining scaling laws: from parameters, tokens and FLOPs to a loss, and back.

Evaluates, inverts and fits laws, keeps published constants under their names and counts FLOPs. It
refuses to pretend that such a loss was measured: callers mark it as estimated. It
refuses a loss that no run of the law reaches, and says which it does reach. It fits no constants
that the runs do not decide, drops no run unasked, and prints none without its error.
"""

from __future__ import annotations

from emergecast.scaling._allocation import Allocation, PretrainingRun, Tie
from emergecast.scaling._along import run_at
from emergecast.scaling._convert import Conversion, UnderFloor, convert_loss, convert_run
from emergecast.scaling._floor import with_floor
from emergecast.scaling._invert import least_loss, loss_at, loss_of, run_at_loss
from emergecast.scaling._laws import ChinchillaLaw, Form, PowerLaw, ScalingLaw, Term
from emergecast.scaling._named import CHINCHILLA_LAWS, NAMED_LAWS, named_law
from emergecast.scaling._parse_law import parse_law
from emergecast.scaling._runs import RUN_LIMITS, Runs
from emergecast.scaling._series import SeriesDraws, SeriesLaw, SeriesPrior, frontier
from emergecast.scaling._sizes import amount_text, flops_text, parse_amount
from emergecast.scaling.counting import (
    CPU_FLOPS_PER_SECOND,
    FLOPS_PER_PARAM_AND_TOKEN,
    FORWARD_FLOPS_PER_PARAM_AND_TOKEN,
    GPU_FLOPS_PER_SECOND,
    Architecture,
    Counting,
    FlopCount,
    ParamCount,
    Resource,
    architecture_flops,
    complete_amounts,
    read_architecture,
    training_flops,
)
from emergecast.scaling.fitting import (
    Optimal,
    Outlier,
    Ranged,
    Refits,
    Resampled,
    ScalingFit,
    ScalingFitOptions,
    ScalingOptima,
    ScalingStatus,
    Split,
    fit_scaling_law,
    law_curve,
    optimal,
    points_frame,
    read_law,
    scaling_record,
    size_curves,
)

__all__ = [
    "CHINCHILLA_LAWS",
    "CPU_FLOPS_PER_SECOND",
    "FLOPS_PER_PARAM_AND_TOKEN",
    "FORWARD_FLOPS_PER_PARAM_AND_TOKEN",
    "GPU_FLOPS_PER_SECOND",
    "NAMED_LAWS",
    "RUN_LIMITS",
    "Allocation",
    "Architecture",
    "ChinchillaLaw",
    "Conversion",
    "Counting",
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
    "ScalingFitOptions",
    "ScalingLaw",
    "ScalingOptima",
    "ScalingStatus",
    "SeriesDraws",
    "SeriesLaw",
    "SeriesPrior",
    "Split",
    "Term",
    "Tie",
    "UnderFloor",
    "amount_text",
    "architecture_flops",
    "complete_amounts",
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
    "run_at_loss",
    "scaling_record",
    "size_curves",
    "training_flops",
    "with_floor",
]

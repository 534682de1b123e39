"""The training compute of the elbow: FLOPs, parameters, tokens and dates.

The one place where a posterior of the elbow goes through a scaling law, the law's own uncertainty
included. It refuses a law that does not belong to the checkpoints, and says why.
"""

from __future__ import annotations

from emergecast.compute._compute import Compute, DateQuantiles, FloorRow, Quantiles, compute_of
from emergecast.compute._compute_record import ComputeRecord, record_of_compute
from emergecast.compute._dates import ComputeDates, read_compute_dates
from emergecast.compute._one_run import (
    NO_CURVE,
    AtCompute,
    at_compute,
    compute_checkpoints,
    compute_curve,
    compute_ticks,
)
from emergecast.compute._scale import ComputeOptions, LawKind, NoCompute

__all__ = [
    "NO_CURVE",
    "AtCompute",
    "Compute",
    "ComputeDates",
    "ComputeOptions",
    "ComputeRecord",
    "DateQuantiles",
    "FloorRow",
    "LawKind",
    "NoCompute",
    "Quantiles",
    "at_compute",
    "compute_checkpoints",
    "compute_curve",
    "compute_of",
    "compute_ticks",
    "read_compute_dates",
    "record_of_compute",
]

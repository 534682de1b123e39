"""Tables with a known truth, drawn from designs, with or without a departure from the law.

It draws from a law and never fits one, and refuses a design whose scores could not exist.
"""

from __future__ import annotations

from emergecast.simulation._departures import Departure, Effects
from emergecast.simulation._design import Design, DesignCheckpoint, Truth
from emergecast.simulation._load_design import design_names, load_design, override_truth
from emergecast.simulation._noiseless import crossing, estimand
from emergecast.simulation._random_design import Layout, random_design
from emergecast.simulation._random_truth import random_truth
from emergecast.simulation._simulate import Simulated, simulate
from emergecast.simulation._truth_ahead import truth_ahead

__all__ = [
    "Departure",
    "Design",
    "DesignCheckpoint",
    "Effects",
    "Layout",
    "Simulated",
    "Truth",
    "crossing",
    "design_names",
    "estimand",
    "load_design",
    "override_truth",
    "random_design",
    "random_truth",
    "simulate",
    "truth_ahead",
]

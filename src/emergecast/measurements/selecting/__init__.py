"""Which rows make one fit: options, the rule for "at chance", horizon, grid of scores.

It refuses to choose between two tasks, methods or corpora that the table holds side by side, and it
keeps every row that it hides.
"""

from __future__ import annotations

from emergecast.measurements.selecting._at_chance import (
    ABOVE_CHANCE,
    CHANCE_MARGIN,
    CHANCE_STDERRS,
    RESOLUTION,
    above_chance,
    sampling_error,
)
from emergecast.measurements.selecting._doubted_chance import (
    ChanceDoubt,
    chance_doubts,
    doubted_chance,
)
from emergecast.measurements.selecting._grid import Cell, Grid, GridRow, grid
from emergecast.measurements.selecting._select import fits_of, select
from emergecast.measurements.selecting._selection import (
    ANNEALED,
    Selection,
    SelectOptions,
    default_few_shot_examples,
    marked,
)

__all__ = [
    "ABOVE_CHANCE",
    "ANNEALED",
    "CHANCE_MARGIN",
    "CHANCE_STDERRS",
    "RESOLUTION",
    "Cell",
    "ChanceDoubt",
    "Grid",
    "GridRow",
    "SelectOptions",
    "Selection",
    "above_chance",
    "chance_doubts",
    "default_few_shot_examples",
    "doubted_chance",
    "fits_of",
    "grid",
    "marked",
    "sampling_error",
    "select",
]

"""One picture a file: a record goes in, a chart comes out. Nothing is estimated here."""

from __future__ import annotations

from emergecast.report.pictures.ablations import ablations
from emergecast.report.pictures.comparison import comparison_distribution, comparison_fan
from emergecast.report.pictures.comparison_order import comparison_order
from emergecast.report.pictures.compute import compute
from emergecast.report.pictures.distribution import distribution
from emergecast.report.pictures.fan import fan
from emergecast.report.pictures.influence import influence
from emergecast.report.pictures.ladder import ladder
from emergecast.report.pictures.scaling_law import scaling
from emergecast.report.pictures.suggestion import suggestion

__all__ = [
    "ablations",
    "comparison_distribution",
    "comparison_fan",
    "comparison_order",
    "compute",
    "distribution",
    "fan",
    "influence",
    "ladder",
    "scaling",
    "suggestion",
]

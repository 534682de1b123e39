"""One picture a file: a record goes in, a chart comes out. Nothing is estimated here."""

from __future__ import annotations

from emergecast.report.pictures._ablations import ablations
from emergecast.report.pictures._comparison import (
    ComparisonView,
    comparison_distribution,
    comparison_fan,
)
from emergecast.report.pictures._compute import ComputeView, compute
from emergecast.report.pictures._distribution import distribution
from emergecast.report.pictures._fan import fan
from emergecast.report.pictures._influence import DiagnosedView, influence
from emergecast.report.pictures._ladder import ladder
from emergecast.report.pictures._scaling import scaling
from emergecast.report.pictures._suggestion import SuggestionView, suggestion

__all__ = [
    "ComparisonView",
    "ComputeView",
    "DiagnosedView",
    "SuggestionView",
    "ablations",
    "comparison_distribution",
    "comparison_fan",
    "compute",
    "distribution",
    "fan",
    "influence",
    "ladder",
    "scaling",
    "suggestion",
]

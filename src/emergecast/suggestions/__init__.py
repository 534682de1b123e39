"""What to measure next, by information about the elbow per GPU-hour.

It also says what repeats were worth. It refuses to name a run that tells next to nothing.
"""

from __future__ import annotations

from emergecast.suggestions._candidates import CANDIDATE_COLUMNS, Candidate, ladder
from emergecast.suggestions._cost import Cost
from emergecast.suggestions._greedy import Prospect, SuggestedRun, SuggestOptions
from emergecast.suggestions._repeats import Repeat, repeats
from emergecast.suggestions._suggest import Suggestion, suggest

__all__ = [
    "CANDIDATE_COLUMNS",
    "Candidate",
    "Cost",
    "Prospect",
    "Repeat",
    "SuggestOptions",
    "SuggestedRun",
    "Suggestion",
    "ladder",
    "repeats",
    "suggest",
]

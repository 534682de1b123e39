"""The emergence laws, pure mathematics: parameters in, elbow and score out.

This room knows nothing about tables, noise or inference, and refuses to guess parameters.
"""

from __future__ import annotations

from emergecast.emergence_law._forms import EmergenceLaw, LawForm, rise, shift_fraction
from emergecast.emergence_law._law import LEVELLED, STUDENT_FREEDOM, Feature, Law
from emergecast.emergence_law._response import FIRST as RESPONSE_FIRST
from emergecast.emergence_law._response import STEP as RESPONSE_STEP
from emergecast.emergence_law._response import Response, response

__all__ = [
    "LEVELLED",
    "RESPONSE_FIRST",
    "RESPONSE_STEP",
    "STUDENT_FREEDOM",
    "EmergenceLaw",
    "Feature",
    "Law",
    "LawForm",
    "Response",
    "response",
    "rise",
    "shift_fraction",
]

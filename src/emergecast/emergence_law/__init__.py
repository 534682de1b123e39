"""The emergence laws, pure mathematics: parameters in, elbow and score out.

This room knows nothing about tables, noise or inference, and refuses to guess parameters.
"""

from __future__ import annotations

from emergecast.emergence_law._forms import EmergenceLaw, LawForm, rise, shift_fraction
from emergecast.emergence_law._law import STUDENT_FREEDOM, Feature, Law

__all__ = [
    "STUDENT_FREEDOM",
    "EmergenceLaw",
    "Feature",
    "Law",
    "LawForm",
    "rise",
    "shift_fraction",
]

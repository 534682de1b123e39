"""The emergence law: parameters in, elbow and score out. Pure mathematics.

This room knows nothing about tables, noise or inference, and refuses to guess parameters.
"""

from emergecast.law._kind import Feature, Law
from emergecast.law._law import EmergenceLaw, LawForm, rise, shift_fraction

__all__ = ["EmergenceLaw", "Feature", "Law", "LawForm", "rise", "shift_fraction"]

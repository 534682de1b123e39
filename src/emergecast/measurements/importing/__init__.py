"""Tables from the result files of other tools, and the chance levels of what they measure.

It refuses to guess: a file that names no checkpoint, score or loss is listed with what is missing.
"""

from __future__ import annotations

from emergecast.measurements.importing._chance_levels import chance_level
from emergecast.measurements.importing._import import import_lm_eval
from emergecast.measurements.importing._import_options import Imported, ImportOptions

__all__ = [
    "ImportOptions",
    "Imported",
    "chance_level",
    "import_lm_eval",
]

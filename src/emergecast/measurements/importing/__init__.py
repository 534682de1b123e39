"""Tables from the result files of other tools.

It refuses to guess: a file that names no checkpoint, score or loss is listed with what is missing.
"""

from __future__ import annotations

from emergecast.measurements.importing._import import Imported, ImportOptions, import_lm_eval

__all__ = [
    "ImportOptions",
    "Imported",
    "import_lm_eval",
]

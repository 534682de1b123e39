"""Runs every benchmark, each in its own process: `python -m performance`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = (
    "cold_start",
    "profile_fit",
    "bootstrap",
    "posterior",
    "exactness",
    "scaling_fit",
    "lab_speed",
    "sandbox_speed",
)

for name in NAMES:
    script = Path(__file__).with_name(f"{name}.py")
    subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=True)

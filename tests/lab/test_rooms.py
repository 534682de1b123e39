"""The rooms of the lab: what importing them costs."""

from __future__ import annotations

import subprocess
import sys

ROOMS = ("evaluate", "finetune", "proving_ground", "runner", "series", "tasks")
HEAVY = ("accelerate", "datasets", "lm_eval", "peft", "tokenizers", "torch", "transformers")


def test_importing_the_rooms_loads_no_torch():
    """Plans, status and export start at once; what is heavy comes when something is measured."""
    code = (
        "import sys\n"
        + "".join(f"import emergecast.lab.{room}\n" for room in ROOMS)
        + f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

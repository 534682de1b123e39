"""The rooms of the lab: what importing them costs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("accelerate", "datasets", "lm_eval", "peft", "tokenizers", "torch", "transformers")


def test_importing_the_rooms_loads_no_torch():
    """Plans, status and export start at once; what is heavy comes when something is measured."""
    code = (
        "import importlib, pkgutil, sys, emergecast.lab\n"
        "rooms = [room.name for room in pkgutil.iter_modules(emergecast.lab.__path__)]\n"
        "assert len(rooms) > 9, rooms\n"
        "for room in sorted({*rooms} - {'architecture'}):\n"  # a model of torch itself
        "    importlib.import_module('emergecast.lab.' + room)\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Training checkpoints on disk, and which of them are whole."""

from __future__ import annotations

import shutil
from pathlib import Path

WHOLE = "whole"
"""File that a training checkpoint gets last; without it the checkpoint may be torn."""


def last_whole_checkpoint(folder: Path | None) -> Path | None:
    """The latest training checkpoint that was written to the end; torn ones are removed."""
    if folder is None or not folder.is_dir():
        return None
    found = [path for path in folder.glob("checkpoint-*") if path.is_dir()]
    for torn in [path for path in found if not (path / WHOLE).is_file()]:
        shutil.rmtree(torn)
        found.remove(torn)
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """After how many steps it was saved."""
    return int(checkpoint.name.rpartition("-")[2])

"""The table that comes with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from emergecast.measurements._table import read_table

if TYPE_CHECKING:
    from emergecast.measurements._table import Measurements

PROVING_GROUND_TASK: Final = "proving_ground_matching"
"""The task of the bundled table whose elbow moves with the amount of data."""


def proving_ground() -> Measurements:
    """534 scores of tiny transformers trained from nothing, in which a few-shot skill emerges.

    Three sizes (80k, 189k, 463k parameters), two seeds, 14-15 checkpoints each, few-shot and
    finetuned on 16 to 4,096 examples of a synthetic matching task with four answers. Few-shot
    accuracy of the two larger sizes leaves chance at a loss of about 5.14 nats.
    """
    with as_file(files("emergecast.measurements").joinpath("proving_ground.csv")) as path:
        return read_table(path)

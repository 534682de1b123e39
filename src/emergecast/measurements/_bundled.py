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
    """2,720 scores of tiny transformers trained from nothing, in which a few-shot skill emerges.

    Five sizes (0.08 to 0.77 million parameters), two seeds, 16 checkpoints each, few-shot and
    finetuned on 16 to 16,384 examples of a synthetic matching task with four answers, and on 8 to
    512 of a second task; besides, as series of their own, the models with random weights that they
    began as. Few-shot accuracy leaves chance between 5.21 and 5.17 nats, that of the smallest size
    later.

    Made by `emergecast proving-ground ground --preset full`, `emergecast run
    ground/experiment.yaml` and `emergecast export ground/experiment.yaml -o
    proving_ground.parquet`: docs/proving_ground.md.
    """
    with as_file(files("emergecast.measurements").joinpath("proving_ground.parquet")) as path:
        return read_table(path)

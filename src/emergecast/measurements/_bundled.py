"""The table that comes with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from emergecast.measurements._table import read_table
from emergecast.measurements.selecting import SelectOptions

if TYPE_CHECKING:
    from emergecast.measurements._table import Measurements

PROVING_GROUND_TASK: Final = "proving_ground_matching"
"""The task of the proving ground whose elbow moves with the amount of data."""
RANDOM_WEIGHTS: Final = "-random"
"""End of the names of the series of models with random weights."""
_SMALLEST: Final = "S-"
"""Start of the names of checkpoints of the smallest size, whose few-shot accuracy does not depend
on loss alone."""


def proving_ground() -> Measurements:
    """2,720 scores of tiny transformers trained from scratch, in which a few-shot skill emerges.

    Five sizes (0.08 to 0.77 million parameters), two seeds, 16 checkpoints each, few-shot and
    finetuned on 16 to 16,384 examples of a synthetic matching task with four answers, and on 8 to
    512 of a second task; besides, as series of their own, the models with random weights that they
    began as. Few-shot accuracy leaves chance between 5.20 and 5.13 nats.

    Made by `emergecast proving-ground ground --preset full`, `emergecast run
    ground/experiment.yaml` and `emergecast export ground/experiment.yaml -o
    proving_ground.parquet`: docs/proving_ground.md.
    """
    with as_file(files("emergecast.measurements").joinpath("proving_ground.parquet")) as path:
        return read_table(path)


def proving_ground_options(
    table: Measurements, series: tuple[str, ...] | None = None
) -> SelectOptions:
    """What a forecast on a proving ground sees: the main task, checkpoints at chance alone.

    Args:
        table: The bundled one, or one that the lab exported of a proving ground.
        series: Series to pool; all of pretrained models if None.

    Returns:
        Options that leave the smallest size out, where there are others.
    """
    pretrained = tuple(name for name in table.series if not name.endswith(RANDOM_WEIGHTS))
    small = table.frame["checkpoint"].str.starts_with(_SMALLEST).all()
    return SelectOptions(
        task=PROVING_GROUND_TASK,
        series=pretrained if series is None else series,
        pool=True,
        at_chance_only=True,
        exclude=() if small else (f"{_SMALLEST}*",),
    )

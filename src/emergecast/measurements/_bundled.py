"""The tables that come with the package."""

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
_CORPUS: Final = "held-out"
"""The corpus of what models are trained on; the other one has no exercises."""
_GENERATED: Final = "proving_ground_recall"
"""The skill that is answered by generation."""
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
    return _bundled("proving_ground.parquet")


def proving_ground_skills() -> Measurements:
    """Scores of tiny transformers in which eight skills emerge, one after the other.

    Two sizes, two seeds, all checkpoints from a loss of 4.8 down, few-shot and finetuned on 16 to
    4,096 examples of each skill; accuracy (of `recall`: exact match) and the probability of the
    right choice, at the loss on two held-out corpora; besides, as series of their own, the models
    with random weights that they began as.

    Made by `emergecast proving-ground skills --preset skills`, `emergecast run
    skills/experiment.yaml` and `emergecast export skills/experiment.yaml -o
    proving_ground_skills.parquet`: docs/proving_ground.md.
    """
    return _bundled("proving_ground_skills.parquet")


def _bundled(name: str) -> Measurements:
    with as_file(files("emergecast.measurements").joinpath(name)) as path:
        return read_table(path)


def proving_ground_options(
    table: Measurements,
    series: tuple[str, ...] | None = None,
    *,
    task: str = PROVING_GROUND_TASK,
) -> SelectOptions:
    """What a forecast on a proving ground sees: one task, checkpoints at chance alone.

    Args:
        table: A bundled one, or one that the lab exported of a proving ground.
        series: Series to pool; all of pretrained models if None.
        task: Whose emergence.

    Returns:
        Options that leave the smallest size out, where there are others; of several corpora the
        loss on the one that models are trained on.
    """
    pretrained = tuple(name for name in table.series if not name.endswith(RANDOM_WEIGHTS))
    small = set(table.frame["checkpoint"].str.starts_with(_SMALLEST))
    corpora = table.frame["loss_corpus"].unique()
    return SelectOptions(
        task=task,
        metric="exact_match" if task == _GENERATED else "acc",
        loss_corpus=_CORPUS if _CORPUS in corpora else None,
        series=pretrained if series is None else series,
        pool=True,
        at_chance_only=True,
        exclude=(f"{_SMALLEST}*",) if small == {True, False} else (),
    )

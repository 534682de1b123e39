"""A series by what a command line calls it: a folder, an experiment file, or a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints import Checkpoint, series_in
from emergecast.lab.evaluate import Corpus
from emergecast.lab.experiment._parse import read_experiment

_YAML: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSeries:
    """Checkpoints, and the held-out text that is named beside them."""

    checkpoints: tuple[Checkpoint, ...]
    """Of one series or of several."""
    corpora: tuple[Corpus, ...] = ()
    """Those of an experiment file; none otherwise."""


def named_series(name: str) -> NamedSeries:
    """The checkpoints of a folder, of an experiment file, or of a series by its name.

    Raises:
        ExperimentError: The experiment file has mistakes.
        LabError: There is no such folder, file or series.
        OSError: The folder cannot be read.
    """
    path = Path(name)
    if path.is_dir():
        return NamedSeries(checkpoints=series_in(path))
    if path.suffix in _YAML or path.is_file():
        experiment = read_experiment(path)
        return NamedSeries(checkpoints=experiment.checkpoints, corpora=experiment.corpora)
    return NamedSeries(checkpoints=_catalogued(name))


def _catalogued(name: str) -> tuple[Checkpoint, ...]:
    """The series of a name: the one place where names are looked up."""
    raise LabError(
        f'"{name}" is not a folder of checkpoints, nor an experiment file. Check the path.'
    )

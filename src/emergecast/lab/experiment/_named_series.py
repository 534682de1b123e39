"""A series by what a command line calls it: a folder, an experiment file, or a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LabError, meant
from emergecast.lab.catalogue.series import catalogued_series, expand, series_names
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
    left_out: tuple[str, ...] = ()
    """Checkpoints of the catalogue that are not used and why, in sentences."""


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
        return NamedSeries(
            checkpoints=experiment.checkpoints,
            corpora=experiment.corpora,
            left_out=tuple(each for series in experiment.series for each in series.left_out),
        )
    return _catalogued(name)


def _catalogued(name: str) -> NamedSeries:
    """The series of the catalogue that bears a name."""
    if name not in series_names():
        raise LabError(
            f'"{name}" is not a folder of checkpoints, an experiment file or a series of the'
            f" catalogue. {meant(name, series_names()) or 'See emergecast series list.'}"
        )
    found = expand(catalogued_series(name))
    return NamedSeries(checkpoints=found.checkpoints, left_out=found.left_out)

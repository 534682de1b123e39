"""The YAML file that describes an experiment, as records, and the key of each run.

Every mistake is quoted with its line, and all of them come at once. It refuses a word that it does
not know. A run's key is made of all that determines its result, and of no name or folder.
"""

from __future__ import annotations

from emergecast.lab.evaluate import Corpus
from emergecast.lab.experiment._experiment import (
    Choice,
    Experiment,
    Finetuning,
    Keep,
    Method,
    Series,
    WorkerKind,
)
from emergecast.lab.experiment._named_series import NamedSeries, named_series
from emergecast.lab.experiment._parse import parse_experiment, read_experiment
from emergecast.lab.experiment._run import (
    CONFIG,
    DEFINITION,
    HALF_PRECISION,
    LATER,
    PROTOCOL,
    PROXY,
    Run,
    RunKind,
    Training,
    canonical,
    run_from_json,
)

__all__ = [
    "CONFIG",
    "DEFINITION",
    "HALF_PRECISION",
    "LATER",
    "PROTOCOL",
    "PROXY",
    "Choice",
    "Corpus",
    "Experiment",
    "Finetuning",
    "Keep",
    "Method",
    "NamedSeries",
    "Run",
    "RunKind",
    "Series",
    "Training",
    "WorkerKind",
    "canonical",
    "named_series",
    "parse_experiment",
    "read_experiment",
    "run_from_json",
]

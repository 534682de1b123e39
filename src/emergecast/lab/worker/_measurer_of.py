"""The measurer of an experiment."""

from __future__ import annotations

from emergecast.lab.experiment import Experiment, WorkerKind
from emergecast.lab.worker._measurer import Measurer


def measurer_of(experiment: Experiment) -> Measurer:
    """The measurer that the experiment asks for; loads no model."""
    if experiment.worker is WorkerKind.REHEARSAL:
        from emergecast.lab.worker._rehearsal import RehearsalMeasurer

        return RehearsalMeasurer(experiment)
    from emergecast.lab.worker._model_measurer import ModelMeasurer

    return ModelMeasurer(experiment)

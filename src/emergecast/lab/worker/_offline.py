"""No request leaves the machine where all that an experiment names is on it."""

from __future__ import annotations

import os
import sys
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.experiment import Experiment
from emergecast.lab.tasks import Task, read_task_folder

_QUIET: Final = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # or reading a local JSON file is counted at a public address
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # there is a bar for the whole experiment
}
"""For every experiment."""
_OFFLINE: Final = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")
"""Where nothing is to be fetched. The libraries read them when they are imported."""
_set_here: Final[set[str]] = set()
"""Those of them that the user has not set."""


def keep_to_this_machine(experiment: Experiment) -> None:
    """Tell the libraries of Hugging Face to ask nobody, unless the experiment needs the hub."""
    ask_nobody(offline=is_local(experiment))


def ask_nobody(*, offline: bool) -> None:
    """Tell the libraries of Hugging Face to count nothing, and where `offline` to fetch nothing.

    What the user has set in the environment stands. Worker processes inherit the rest.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    _set_here.update(name for name in _OFFLINE if name not in os.environ)
    for name in _set_here:
        if offline:
            os.environ[name] = "1"
        else:
            os.environ.pop(name, None)
    datasets, hub = sys.modules.get("datasets.config"), sys.modules.get("huggingface_hub.constants")
    if datasets is not None and os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] == "0":
        datasets.HF_UPDATE_DOWNLOAD_COUNTS = False  # type: ignore[attr-defined]
    if hub is not None and "HF_HUB_OFFLINE" in _set_here:
        hub.HF_HUB_OFFLINE = offline  # type: ignore[attr-defined]
    if datasets is not None and "HF_DATASETS_OFFLINE" in _set_here:
        datasets.HF_HUB_OFFLINE = offline  # type: ignore[attr-defined]


def is_local(experiment: Experiment) -> bool:
    """Whether checkpoints, corpora and data of all tasks are files of this machine."""
    return (
        all(each.path is not None for each in experiment.checkpoints)
        and all(each.path is not None for each in experiment.corpora)
        and all(map(_has_local_data, experiment.tasks))
    )


def _has_local_data(task: Task) -> bool:
    if task.include_path is None:
        return task.data is not None
    try:
        return read_task_folder(task.include_path).is_local
    except LabError:
        return True  # it cannot be loaded, so nothing is fetched for it

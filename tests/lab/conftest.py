"""Tiny models with random weights, and the proving ground's tokenizer and task, made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lab.small_experiment import write

__all__ = ["write"]

# Read when the libraries are imported: nothing here may look for anything on a network.
for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ[_name] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Data sets are prepared, and answers kept, in folders of this session, not in the user's."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    os.environ["EMERGECAST_CONFIG"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session")
def bubblewrap() -> None:
    """Skips where no sandbox can be made; with CI set that is a failure."""
    from emergecast.lab.sandbox import why_not

    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def words() -> Any:
    """The word-level tokenizer."""
    from emergecast.lab.proving_ground import tokenizer

    return tokenizer()


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """Makes a model with random weights of a given seed."""
    import torch

    from emergecast.lab.proving_ground import Size, new_model

    torch.set_num_threads(1)

    def make(seed: int = 0, width: int = 16, layers: int = 2) -> Any:
        torch.manual_seed(seed)
        size = Size(name="T", width=width, heads=2, layers=layers, learning_rate=1e-3, seconds=1)
        return new_model(size).eval()

    return make


@pytest.fixture(scope="session")
def tasks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the proving ground's YAML files, with 300 training prompts."""
    from emergecast.lab.proving_ground._files import write_matching, write_probe

    folder = tmp_path_factory.mktemp("ground")
    write_probe(folder)
    return write_matching(folder, 300)


@pytest.fixture(scope="session")
def matching(tasks_folder: Path) -> Any:
    """The main task, its first 96 items."""
    from emergecast.lab.proving_ground import MATCHING
    from emergecast.lab.tasks import Task, load_task

    return load_task(Task(name=MATCHING, include_path=tasks_folder), limit=96)

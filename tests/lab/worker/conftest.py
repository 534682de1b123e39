"""The ground of two small models, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.lab.worker.small_models import build


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with random weights, a corpus, a task of 32 training and 24 test items."""
    folder = tmp_path_factory.mktemp("ground")
    build(folder)
    return folder


@pytest.fixture
def place(ground: Path, tmp_path: Path) -> Path:
    """A copy of the ground, without results."""
    copy = tmp_path / "ground"
    shutil.copytree(ground, copy, ignore=shutil.ignore_patterns("results"))
    return copy

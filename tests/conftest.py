"""What all tests share: the shared data folder, and how hypothesis searches."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Warnings are errors and seeds are fixed: the same examples on every machine, and no
# limit per example, since a first call may import or compile.
hypothesis.settings.register_profile("emergecast", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("emergecast")

SHARED = "EMERGECAST_SHARED"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables that are not part of the project.

    Skips where the variable is not set; fails where it is set and the folder is missing, so that a
    moved folder cannot turn these tests off unnoticed.
    """
    folder = os.environ.get(SHARED)
    if not folder:
        pytest.skip(f"{SHARED} is not set: no folder of shared data to test with")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"{SHARED} is {folder!r}, and there is no such folder")
    return path

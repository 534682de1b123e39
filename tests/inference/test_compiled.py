"""Machine code: where it is kept, when it is made, and that it does what the formulas say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from emergecast.emergence_law import rise
from emergecast.inference._block import block_of, rise_in_cell
from emergecast.inference._compiled import cache_folder, compiled
from emergecast.inference._kernel import _cholesky
from emergecast.inference._likelihood_rows import LikelihoodRows, RowsUnder


def twice(number: float) -> float:
    """A function to compile."""
    return 2.0 * number


def test_the_folder_is_the_first_that_is_named(monkeypatch: pytest.MonkeyPatch):
    """EMERGECAST_CACHE, then NUMBA_CACHE_DIR, then the user's cache folder."""
    for name in ("EMERGECAST_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "emergecast"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/emergecast")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/n")
    assert cache_folder() == Path("/n")
    monkeypatch.setenv("EMERGECAST_CACHE", "/e")
    assert cache_folder() == Path("/e")


def test_machine_code_is_kept_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """And the setting of others who use numba is left alone."""
    before = vars(numba.config)["CACHE_DIR"]
    monkeypatch.setenv("EMERGECAST_CACHE", str(tmp_path))
    assert compiled(twice)(21.0) == 42.0
    assert list(tmp_path.rglob("*twice*.nbc"))
    assert before == vars(numba.config)["CACHE_DIR"]


def test_where_nothing_can_be_written_it_is_compiled_in_memory(monkeypatch: pytest.MonkeyPatch):
    """Numba says so when a function is to be cached."""
    njit: Any = numba.njit

    def nowhere(*, cache: bool, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(cache=cache, **options)

    monkeypatch.setattr(numba, "njit", nowhere)
    assert compiled(twice)(21.0) == 42.0


def test_importing_the_command_line_and_every_room_loads_no_compiler(tmp_path: Path):
    """Only a likelihood that is computed does; then code is kept in the folder that was named."""
    code = (
        "import sys, importlib, pkgutil, emergecast, emergecast.cli\n"
        "for room in pkgutil.iter_modules(emergecast.__path__):\n"
        "    if room.name != '__main__':\n"
        "        importlib.import_module('emergecast.' + room.name)\n"
        "assert 'numba' not in sys.modules\n"
        "from emergecast.measurements import template\n"
        "options = emergecast.FitOptions(law='log-power', few_shot_examples=5)\n"
        "emergecast.fit(template(), options=options).posterior.quantile(0.5)\n"
        "assert 'numba' not in sys.modules\n"
    )
    environment = {**os.environ, "EMERGECAST_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("width", [0.0, 1e-4, 0.1, 3.0])
@pytest.mark.parametrize("rate", [0.0, 1e-4, 0.5, 20.0])
def test_the_rise_is_that_of_the_law(width: float, rate: float):
    """Where power series stand in for functions too; near, far and very far from an elbow."""
    past = np.concatenate([np.linspace(-8, 8, 400), np.geomspace(1e-9, 60, 99) * max(width, 1e-3)])
    past = np.concatenate([past, -past])
    none, count = np.zeros(0), np.arange(0)
    rows = LikelihoodRows(
        score=none, kind=count, sampling=none, per_run=none, rows_of_kind=count, square=none,
        item_kind=count, item_count=none, item_score=none, cell_row=count, cell_item=count,
        cell_level=np.zeros(past.size, dtype=np.int64), cell_loss=-past,
        checkpoint_start=count, checkpoint=count, series=count,
        few_shot=False, n_series=0, own_slopes=False,
    )  # fmt: skip
    under = RowsUnder(
        elbows=np.zeros((1, 1)), noise=np.zeros(1), width=np.array([width]),
        ceiling_rate=np.array([rate]), deviation=np.zeros(1), precision=np.zeros((1, 0)),
    )  # fmt: skip
    block, found = block_of(rows, under, 0, 1), []
    for cell in range(past.size):
        assert rise_in_cell(rows, block, cell) == (block.risen[0] > 0)
        found.append(block.risen[0])
    wanted = rise(past, width=width, ceiling_rate=rate)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_unknowns_that_know_each_other_only_by_others_are_factorised_alike():
    """Three of six, whose block is diagonal: numpy's factor; and none where it is not positive."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    matrix = root @ root.T + 6 * np.eye(6)
    matrix[:3, :3] = np.diag(np.diag(matrix[:3, :3])) + 20 * np.eye(3)
    factor = np.zeros((6, 6, 2))
    _cholesky(np.dstack([matrix, -matrix]), 3, factor)
    np.testing.assert_allclose(factor[:, :, 0], np.linalg.cholesky(matrix), atol=1e-12)
    assert np.isnan(factor[5, 5, 1])

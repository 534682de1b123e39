"""Small tables that are not measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from emergecast.errors import TableError
from emergecast.measurements import COLUMNS, read_records

ASKED = (COLUMNS["checkpoint"], COLUMNS["params"], COLUMNS["stderr"])


def test_cells_are_typed_and_missing_ones_none(tmp_path: Path):
    """Whatever else the table holds is left alone."""
    path = tmp_path / "r.csv"
    path.write_text("checkpoint, params ,note\n7,1e9,x\nb,,y\n", "utf-8")
    assert read_records(path, ASKED) == (
        {"checkpoint": "7", "params": 10**9, "stderr": None},
        {"checkpoint": "b", "params": None, "stderr": None},
    )


def test_every_problem_is_listed_at_once():
    """Missing column, misspelt column, missing and bad cells."""
    with pytest.raises(TableError) as caught:
        read_records([{"chekpoint": "a", "params": -1}, {"chekpoint": "b", "params": "x"}], ASKED)
    text = str(caught.value)
    assert 'column chekpoint: the column "chekpoint" is not known. Rename it to checkpoint' in text
    assert "column checkpoint: the column is missing. Add a column checkpoint: name of" in text
    assert "row 1, column params: the params is below 1. (value -1)" in text
    assert "row 2, column params: this is not a number. (value x)" in text
    assert len(caught.value.problems) == 4


def test_an_empty_table_and_an_empty_cell_are_refused():
    """A required cell that is missing; a header without rows."""
    with pytest.raises(TableError, match=r"row 2, column checkpoint: the checkpoint is missing"):
        read_records({"checkpoint": ["a", None]}, ASKED)
    with pytest.raises(TableError, match="the table has no rows"):
        read_records({"checkpoint": []}, ASKED)

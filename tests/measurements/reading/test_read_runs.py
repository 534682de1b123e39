from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from emergecast.errors import ScalingError, SelectionError, TableError
from emergecast.measurements import RUN_COLUMNS, RunsOptions, read_runs

ROWS: list[dict[str, Any]] = [
    {"params": 1e8, "tokens": 2e9, "loss": 3.5, "run": "a", "family": "x"},
    {"params": 1e8, "tokens": 4e9, "loss": 3.3, "run": "a", "family": "x"},
    {"params": 1e9, "tokens": 2e10, "loss": 2.8, "run": 7, "family": "y"},
]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_every_table_format_gives_the_same_runs(ending, tmp_path: Path):
    """FLOPs follow from the other two; columns of one's own are left alone."""
    path = tmp_path / f"runs.{ending}"
    frame = pl.DataFrame(ROWS, schema_overrides={"run": pl.String}, strict=False)
    match ending:
        case "csv":
            frame.write_csv(path)
        case "parquet":
            frame.write_parquet(path)
        case _:
            frame.write_ndjson(path)
    runs: Any = read_runs(path)
    assert list(runs.loss) == [3.5, 3.3, 2.8]
    assert list(runs.flops) == [1.2e18, 2.4e18, 1.2e20]
    assert runs.derived == "flops"
    assert runs.run == ("a", "a", "7")
    assert runs.rows == (1, 2, 3)
    assert runs.name == str(path)


def test_other_headings_can_be_named():
    """By what they hold; a heading of its own name needs no naming."""
    table = {"Model Size": [1e8, 1e9], "Training FLOP": [6e17, 6e19], "loss": [3.0, 2.0]}
    columns = {"params": "Model Size", "flops": "Training FLOP"}
    runs: Any = read_runs(table, RunsOptions(columns=columns))
    assert list(runs.tokens) == [1e9, 1e10]
    assert runs.run is None


def test_rows_are_kept_by_value_and_numbered_as_in_the_table():
    """A bad cell in a row that is not kept is no problem."""
    rows = [{"params": "?", "loss": 9, "family": "z"}, *ROWS]
    runs: Any = read_runs(rows, RunsOptions(where=[("family", "x")], drop_highest=1))
    assert runs.rows == (3,)
    assert runs.dropped == ((2, 3.5),)


def test_one_of_three_amounts_may_be_missing_in_a_row():
    """It follows from the two others, row by row."""
    rows = [
        {"params": 1e8, "tokens": 1e9, "flops": None, "loss": 3},
        {"params": None, "tokens": 1e9, "flops": 6e18, "loss": 3},
        {"params": 1e8, "tokens": None, "flops": 6e18, "loss": 3},
        {"params": 1e8, "tokens": 1e9, "flops": 7e17, "loss": 3},
    ]
    runs: Any = read_runs(rows)
    assert list(runs.params) == pytest.approx([1e8, 1e9, 1e8, 1e8])
    assert list(runs.tokens) == pytest.approx([1e9, 1e9, 1e10, 1e9])
    assert list(runs.flops) == [6e17, 6e18, 6e18, 7e17]


def test_misspelt_amounts_are_suggested_where_two_are_not_known():
    """With the name that they should have; beside two known ones they are left alone."""
    with pytest.raises(TableError) as caught:
        read_runs({"parms": [1e8], "Tokns": [1e9], "loss": [3.0]})
    found = {each.column: each.remedy for each in caught.value.problems}
    assert found["parms"].startswith("Rename it to params, or give --columns params=parms")
    assert found["Tokns"].startswith("Rename it to tokens, or give --columns tokens=Tokns")
    with pytest.raises(TableError, match="Rename it to tokens"):
        read_runs({"params": [1e8], "Tokens": [1e9], "loss": [3.0]})
    more = {"flop": [1.0], "parameter_count": [1.0]}
    assert read_runs({"params": [1e8], "tokens": [1e9], "loss": [3.0], **more}).n == 1
    assert read_runs({"params": [1e8], "family": ["a"], "loss": [3.0]}).n == 1


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_told_the_columns_of_runs(content: str, tmp_path: Path):
    """Not the template, which is a table of scores."""
    path = tmp_path / "empty.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(TableError, match="is empty") as caught:
        read_runs(path)
    assert "two of params, tokens and flops" in str(caught.value)
    assert "template" not in str(caught.value)


def test_every_problem_is_named_at_once():
    """With row, column, value and remedy."""
    rows = [
        {"params": 1e8, "tokens": -1, "loss": 3.0},
        {"params": "many", "tokens": 1e9, "loss": 3.0},
        {"params": 1e8, "tokens": 1e9, "loss": None},
        {"params": 1e8, "tokens": 1e9, "loss": float("nan")},
        {"params": 1e80, "tokens": 1e9, "loss": 3.0},
    ]
    with pytest.raises(TableError) as caught:
        read_runs(rows)
    found = [(each.row, each.column, each.value) for each in caught.value.problems]
    assert sorted(found, key=str) == [
        (1, "tokens", "-1"),
        (2, "params", "many"),
        (3, "loss", None),
        (4, "loss", "nan"),
        (5, "params", "1e+80"),
    ]
    assert all(each.what and each.remedy for each in caught.value.problems)


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        ({"params": [1, 2]}, {}, TableError, "column loss: the column is missing"),
        ({"params": [1], "los": [2.0]}, {}, TableError, 'Did you mean "los"'),
        ({"loss": [1, 2]}, {}, TableError, "none of the columns params, tokens and flops"),
        ({"loss": [], "params": []}, {}, TableError, "the table has no rows"),
        (
            {"loss": [1], "params": [1]},
            {"columns": {"tokens": "Tokens"}},
            SelectionError,
            'no column "Tokens" for the tokens',
        ),
        (
            {"loss": [1], "params": [1]},
            {"columns": {"param": "params"}},
            SelectionError,
            'no "param". Did you mean "params"',
        ),
        ({"loss": [1], "params": [1]}, {"where": [("x", "1")]}, SelectionError, 'no column "x"'),
        (
            {"loss": [1], "params": [1], "x": ["ab"]},
            {"where": [("x", "abc")]},
            SelectionError,
            'no row left has x "abc". Did you mean "ab"',
        ),
        ({"loss": [1], "params": [10**7]}, {"drop_highest": 1}, ScalingError, "cannot be dropped"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(table, options, error, message):
    """Columns, options and rows that are not there."""
    with pytest.raises(error, match=re.escape(message)):
        read_runs(table, RunsOptions(**options))


def test_the_columns_are_public():
    """What the command line and the documentation list."""
    assert set(RUN_COLUMNS) == {"loss", "params", "tokens", "flops", "run"}

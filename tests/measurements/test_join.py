"""Two tables as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import SelectionError, TableError
from emergecast.measurements import join_tables, read_table

SCORES = [
    {"checkpoint": name, "task": "t", "setting": "few_shot", "score": score, "chance": 0.25}
    for name, score in (("a", 0.26), ("b", 0.3), ("c", 0.4))
]
LOSSES = [{"checkpoint": "b", "loss": 2.5}, {"checkpoint": "a", "loss": 3.0}]


@pytest.mark.parametrize("tables", [(SCORES, LOSSES), (LOSSES, SCORES)])
def test_facts_stand_beside_the_scores_they_belong_to(tables):
    """Matched by name, in whatever order the tables are given."""
    joined = join_tables(*tables)
    assert dict(joined.frame.select("checkpoint", "loss").rows()) == {"a": 3.0, "b": 2.5, "c": None}
    assert joined.by == ("checkpoint",)
    assert (joined.filled, joined.lonely, joined.unused) == (2, ("c",), 0)


def test_scores_follow_scores():
    """Columns that only one has are empty in the rows of the other."""
    more = [{**SCORES[0], "checkpoint": "d", "shots": 5}]
    frame = join_tables(SCORES, more).frame
    assert frame["checkpoint"].to_list() == ["a", "b", "c", "d"]
    assert frame["shots"].to_list() == [None, None, None, 5]


def test_what_cannot_be_joined_says_why():
    """Nothing shared, nobody found, one name twice, or two values for one cell."""
    with pytest.raises(SelectionError, match="share no column"):
        join_tables(SCORES, [{"model_name": "a", "loss": 1.0}])
    with pytest.raises(SelectionError, match="no row of"):
        join_tables(SCORES, [{"checkpoint": "z", "loss": 1.0}])
    with pytest.raises(TableError, match="about the same as row 1"):
        join_tables(SCORES, [*LOSSES, LOSSES[0]])
    with pytest.raises(TableError, match="is another one"):
        join_tables(SCORES, [{"checkpoint": "a", "chance": 0.5}])


def test_checkpoints_without_a_name_are_told_apart_by_size():
    """As in tables of runs."""
    scores = [{"params": n, "step": 1, "task": "t", "score": 0.3, "chance": 0.25} for n in (10, 20)]
    losses = [{"params": n, "step": 1, "loss": n / 10} for n in (10, 20)]
    joined = join_tables(scores, losses)
    assert dict(joined.frame.select("params", "loss").rows()) == {10: 1.0, 20: 2.0}


def test_the_command_writes_a_table_that_can_be_checked(tmp_path: Path):
    """And never overwrites one."""
    lines = ["checkpoint,task,setting,score,chance"]
    lines += [",".join(str(cell) for cell in row.values()) for row in SCORES[:2]]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    (tmp_path / "l.csv").write_text("Checkpoint,loss\nb,2.5\na,3.0\n")
    words = ["join", str(tmp_path / "s.csv"), str(tmp_path / "l.csv"), "-o"]
    out = tmp_path / "m.csv"
    done = CliRunner().invoke(app, [*words, str(out)])
    assert done.exit_code == 0, done.output
    assert "Matched by checkpoint" in done.stdout
    assert set(read_table(out).frame["loss"]) == {2.5, 3.0}
    assert CliRunner().invoke(app, [*words, str(out)]).exit_code == 2

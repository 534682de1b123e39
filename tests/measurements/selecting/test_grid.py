from __future__ import annotations

from emergecast.measurements import SelectOptions, grid, read_table, select, template


def test_grid_counts_and_averages_by_setting(rows):
    """Weakest checkpoint first; few-shot first, then by amount; a gap is None."""
    records = rows()
    records.append({**records[1], "seed": 1, "score": 0.5})
    del records[4]
    (found,) = grid(read_table(records))
    assert (found.task, found.series, found.metric) == ("quiz", "s", "acc")
    assert found.settings == ("5-shot", "D=10", "D=100", "D=1000")
    assert [(row.checkpoint, row.loss) for row in found.rows] == [("weak", 3.0), ("strong", 2.5)]
    weak, strong = found.rows
    assert strong.cells[0] is None
    cell = weak.cells[1]
    assert cell is not None
    assert (cell.count, cell.mean) == (2, 0.4)


def test_grid_tells_settings_apart_by_what_differs(rows):
    """Epochs and methods are named only where they matter."""
    records = rows()
    records += [{**r, "epochs": e} for r in records[1:2] for e in (1.0, 2.5)]
    records += [{**records[2], "method": "lora-4"}]
    (found,) = grid(read_table(records))
    assert "D=10 x2.5 full" in found.settings
    assert "D=100 lora-4" in found.settings


def test_grid_has_one_part_per_task_series_metric_and_corpus(rows):
    """They are never mixed in one picture."""
    records = rows() + [{**r, "task": "z"} for r in rows()] + [{**r, "series": "t"} for r in rows()]
    records += [{**r, "loss_corpus": "c4"} for r in rows()]
    parts = [(g.task, g.series, g.loss_corpus) for g in grid(read_table(records))]
    assert parts == [
        ("quiz", "s", None),
        ("quiz", "s", "c4"),
        ("quiz", "t", None),
        ("z", "s", None),
    ]


def test_the_template_is_a_good_table_that_makes_one_fit():
    """Few-shot and finetuned rows, two subsets, no warning, names that are plainly invented."""
    table = read_table(template())
    assert table.warnings == ()
    found = select(table, SelectOptions())
    assert found.rows["subset"].n_unique() == 3
    assert found.rows["few_shot"].sum() == 5
    assert all(name.startswith("example") for name in found.rows["checkpoint"])
    assert table.hash == read_table(template().reverse()).hash

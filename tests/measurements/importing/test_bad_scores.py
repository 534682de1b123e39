"""One bad number spoils one score, and files of other tools are read right or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.result_files import case, run, write

from emergecast.errors import OptionError, TableError
from emergecast.measurements import describe

FILE = "m/results_2024-05-01T10-00-00.1.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Metadata of one checkpoint."""
    write(tmp_path, "meta.csv", "checkpoint,loss\nm,2.5\n")
    return tmp_path


def harness(**tasks: Any) -> dict[str, Any]:
    """A file of these scores, all with four choices."""
    config = {"output_type": "multiple_choice", "doc_to_choice": list("ABCD"), "num_fewshot": 0}
    return {"results": tasks, "configs": dict.fromkeys(tasks, config)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-Infinity", "not a finite number"),
        ("null", "not a number"),
        ("true", "not a number"),
        ('{"mean": 0.3}', "not a number"),
        ('"high"', "not a number"),
        ("[0.3]", "not a number"),
        ("31.5", "percentage"),
        ("-0.2", "outside its range"),
        ("1e400", "not a finite number"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"keep_going": True}])
def test_a_bad_score_is_left_out_by_name(root: Path, text: str, says: str, more: dict[str, Any]):
    """The other scores of its file are imported, with or without --keep-going."""
    content = json.dumps(
        harness(bad={"acc,none": "HERE", "brier_score,none": 0.7}, good={"acc": 0.3})
    )
    write(root, FILE, content.replace('"HERE"', text))
    imported = run(root, **more)
    rows = imported.table.frame.select("task", "metric").rows()
    assert sorted(rows) == [("bad", "brier_score"), ("good", "acc")]
    (problem,) = imported.problems
    assert (problem.file, problem.column) == (FILE, "bad/acc,none")
    assert says in f"{problem.what} {problem.remedy}"
    assert imported.files_read == 1


def test_a_file_without_a_good_score_fails_and_names_it(root: Path):
    """There is nothing left of it to import."""
    write(root, FILE, harness(bad={"acc,none": None}))
    with pytest.raises(TableError, match="bad/acc,none"):
        run(root)
    with pytest.raises(OptionError, match="bad/acc,none"):
        run(root, keep_going=True)


def test_numbers_of_hundreds_of_digits_are_no_counts(root: Path):
    """JSON has no largest number."""
    content = harness(t={"acc,none": 0.3, "acc_stderr,none": 10**400})
    content["n-samples"] = {"t": {"original": 10**400, "effective": 10**400}}
    content["n-shot"] = {"t": 10**400}
    write(root, FILE, content)
    row = run(root).table.frame.row(0, named=True)
    assert (row["stderr"], row["n_items"], row["shots"]) == (None, None, 0)


def test_lengths_of_samples_are_not_metrics(root: Path):
    """They are numbers of items."""
    content = {
        "results": {"gsm": {"sample_len,none": 30, "exact_match,strict": 0.02, "alias": "gsm"}},
        "configs": {"gsm": {"output_type": "generate_until", "num_fewshot": 5}},
    }
    write(root, FILE, content)
    imported = run(root)
    frame = imported.table.frame
    assert frame.select("metric", "n_items").rows() == [("exact_match,strict", 30)]
    assert imported.warnings == ()


def test_a_file_says_which_way_an_unknown_metric_goes(root: Path):
    """What is known of a metric is not written again."""
    content = harness(t={"surprise,none": 3.0, "acc,none": 0.3})
    content["higher_is_better"] = {"t": {"surprise": False, "acc": True}}
    write(root, FILE, content)
    frame = run(root, chance=(("surprise", 4.0),)).table.frame
    assert dict(frame.select("metric", "higher_is_better").rows()) == {
        "surprise": False,
        "acc": None,
    }


# -------------------------------------------------------------------------- other tools


def lighteval(**more: Any) -> dict[str, Any]:
    """A file as lighteval writes it."""
    results = {
        "leaderboard|arc:challenge|25": {"acc": 0.25, "acc_stderr": 0.01},
        "leaderboard|mmlu:law|5|0": {"acc": 0.3, "acc_stderr": 0.01},
        "leaderboard|mmlu:_average|5": {"acc": 0.3},
        "all": {"acc": 0.275, "acc_stderr": 0.01},
    }
    return {
        "config_general": {"model_name": "org/m", "model_sha": "abc"},
        "results": results,
    } | more


def test_lighteval_is_imported_without_its_averages(root: Path):
    """Shots are read from the names of tasks; the mean of everything is not a task."""
    write(root, FILE, lighteval())
    frame = run(root, chance=((None, 0.25),)).table.frame
    rows = sorted(frame.select("task", "shots", "score").rows())
    assert rows == [("arc:challenge", 25, 0.25), ("mmlu:law", 5, 0.3)]


def test_lighteval_names_its_model(root: Path):
    """Where the folder is called something else."""
    write(root, "results/x/results_2024-05-01T10-00-00.1.json", lighteval())
    write(root, "meta.csv", "checkpoint,loss\norg/m,2.5\n")
    assert set(run(root, chance=((None, 0.25),)).table.frame["checkpoint"]) == {"org/m"}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"version": 2, "status": "success", "eval": {}, "results": {"scores": []}}, "inspect"),
        ({"task_name": "arc", "metrics": {"acc_raw": 0.3}, "task_config": {}}, "OLMES"),
        ({"metrics": [{"task": "arc"}], "all_primary_scores": []}, "OLMES"),
        ("PK\x03\x04rest of an archive", "inspect"),
    ],
)
def test_other_tools_are_refused_by_name(root: Path, content: object, name: str):
    """Not half understood."""
    write(root, FILE, content)
    with pytest.raises(TableError, match=name):
        run(root)


@pytest.mark.parametrize(
    ("path", "tool"), [("2024_arc.eval", "inspect"), ("m/task-000-arc-metrics.json", "OLMES")]
)
def test_folders_of_other_tools_are_called_by_name(root: Path, path: str, tool: str):
    """Where no file is named as the harness does."""
    write(root, path, "{}")
    with pytest.raises(OptionError, match=tool):
        run(root)


# ------------------------------------------------------------------------------ the printing


def test_problems_of_many_files_take_a_screen(root: Path):
    """One example and a count for each cause."""
    for i in range(300):
        bad = {f"task_{j}": {"acc,none": None} for j in range(10)}
        write(root, f"m/results_2024-05-01T10-00-00.{i}.json", harness(good={"acc": 0.3}, **bad))
    problems = run(root).problems
    assert len(problems) == 3000
    lines = describe(problems).splitlines()
    assert len(lines) == 3
    assert lines[-1].strip() == "... and 2,999 more places like this, in 300 files in all"


def test_cases_of_bad_scores_and_other_formats(shared_data: Path):
    """Every folder of inputs that go wrong in one score."""
    for name in ("inf", "nan", "null"):
        imported = case(shared_data, name)
        assert imported.table.tasks == ("mmlu_x",)
        assert len(imported.problems) == 1
    squad = case(shared_data, "squad")
    assert [p.column for p in squad.problems] == ["squadv2/f1,none"]
    with pytest.raises(TableError, match="t/acc,none"):
        case(shared_data, "bool")
    slen = case(shared_data, "slen").table.frame
    assert slen.select("metric", "n_items").rows() == [("exact_match,strict-match", 30)]
    light = case(shared_data, "light", chance=((None, 0.25),)).table.frame
    assert set(light["task"]) == {"arc:challenge"}
    assert set(light["shots"]) == {25}

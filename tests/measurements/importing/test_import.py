from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from emergecast.errors import OptionError, TableError
from emergecast.measurements import ImportOptions, import_lm_eval, read_table
from emergecast.measurements.importing._lm_eval import parse_results

ACC = pl.col("metric") == "acc"
BOTH = ("few_shot/{checkpoint}/{task}.json", "finetuned/{checkpoint}/step_{step}/{task}.json")


def task(choices: int = 4, shots: int = 5) -> dict[str, Any]:
    """Configuration of a multiple-choice task."""
    options = [chr(65 + i) for i in range(choices)]
    return {"output_type": "multiple_choice", "doc_to_choice": options, "num_fewshot": shots}


def results_file(score: float = 0.3, **more: Any) -> dict[str, Any]:
    """A group of two tasks as version 0.4 writes it, the group's shots wrong as in real files."""
    return {
        "results": {
            "quiz": {"acc,none": score, "acc_stderr,none": 0.01, "brier_score,none": 0.7}
            | {"brier_score_stderr,none": "N/A", "alias": "quiz"},
            "quiz_a": {"acc,none": 0.2, "acc_stderr,none": 0.02, "alias": " - a"},
            "quiz_b": {"acc,none": 0.4, "acc_stderr,none": 0.02, "alias": " - b"},
        },
        "group_subtasks": {"quiz": ["quiz_a", "quiz_b"]},
        "configs": {"quiz_a": task(), "quiz_b": task()},
        "n-shot": {"quiz": 0, "quiz_a": 5, "quiz_b": 5},
        "n-samples": {
            "quiz_a": {"original": 100, "effective": 60},
            "quiz_b": {"original": 40, "effective": 40},
        },
        "config": {"model_args": "pretrained=/secret/path", "num_fewshot": None},
    } | more


def write(root: Path, name: str, content: Any) -> None:
    """Put text or JSON into a file below `root`."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, few-shot and at two steps of finetuning, and what is known about them."""
    for name, score in (("small", 0.26), ("large", 0.5)):
        write(tmp_path, f"few_shot/{name}/quiz.json", results_file(score))
        for step in (10, 200):
            write(tmp_path, f"finetuned/{name}/step_{step}/quiz.json", results_file(score + 0.1))
    write(tmp_path, "meta.csv", "checkpoint,loss,family\nsmall,3.0,x\nlarge,2.5,007\nunused,9,y\n")
    return tmp_path


def run(folder: Path, **options: Any):
    """Import the folder of the fixture."""
    defaults: dict[str, Any] = {"patterns": BOTH, "checkpoints": folder / "meta.csv"}
    defaults |= {"batch_size": 8, "train_size": 1000}
    return import_lm_eval([folder], ImportOptions(**(defaults | options)))


def test_a_folder_becomes_a_table(folder: Path):
    """Every field of every row, from path, file and metadata."""
    imported = run(folder)
    assert (imported.files_read, imported.files_unmatched) == (6, 0)
    assert imported.warnings == ()
    assert imported.problems == ()
    rows = {
        (r["checkpoint"], r["examples"], r["metric"]): r
        for r in imported.table.frame.iter_rows(named=True)
    }
    assert len(rows) == 12
    content = (folder / "finetuned/large/step_200/quiz.json").read_bytes()
    expected = {
        "checkpoint": "large",
        "loss": 2.5,
        "family": "007",
        "task": "quiz",
        "metric": "acc",
        "setting": "finetuned",
        "shots": 5,
        "examples": 1000,
        "epochs": 1.6,
        "method": "full",
        "snapshot": True,
        "score": 0.6,
        "stderr": 0.01,
        "n_items": 100,
        "chance": 0.25,
        "source_file": "finetuned/large/step_200/quiz.json",
        "source_hash": hashlib.sha256(content).hexdigest(),
    }
    row = rows["large", 1000, "acc"]
    assert {name: row[name] for name in expected} == expected
    few_shot = rows["small", None, "acc"]
    assert (few_shot["setting"], few_shot["snapshot"], few_shot["method"]) == (
        "few_shot",
        False,
        None,
    )
    assert rows["small", 80, "acc"]["epochs"] == 1.0
    brier = rows["small", None, "brier_score"]
    assert (brier["chance"], brier["stderr"]) == (0.75, None)


def test_nothing_else_of_a_file_is_copied(folder: Path):
    """No path or argument of whoever ran the evaluation."""
    cells = [str(cell) for row in run(folder).table.frame.iter_rows() for cell in row]
    assert not any("secret" in cell or str(folder) in cell for cell in cells)


def test_an_import_can_be_read_again(folder: Path, tmp_path: Path):
    """The written table is the imported one."""
    table = run(folder).table
    table.write(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").hash == table.hash


def test_checkpoints_without_metadata_are_kept_out_and_named(folder: Path):
    """They do not appear with a missing loss, and do not fail the import."""
    write(folder, "meta.csv", "checkpoint,loss\nsmall,3.0\n")
    imported = run(folder)
    assert imported.table.frame["checkpoint"].unique().to_list() == ["small"]
    assert imported.without_metadata == ("large",)
    assert "large" in imported.warnings[0]


def test_files_that_match_no_pattern_are_counted(folder: Path):
    """But not the checkpoints table itself."""
    write(folder, "notes/readme.txt", "x")
    imported = run(folder)
    assert imported.files_unmatched == 1
    assert "notes/readme.txt" in imported.warnings[0]
    with pytest.raises(OptionError, match=r"no file matches .*It holds \d files"):
        run(folder, patterns=("nothing/{checkpoint}.json",))


BROKEN: dict[str, Any] = {
    "truncated": '{"results": {"quiz": {"acc,n',
    "not an object": "[1]",
    "no results": {"configs": {}},
    "empty results": {"results": {}},
    "results of the wrong type": {"results": [1]},
    "task of the wrong type": {"results": {"quiz": 3}},
    "no score": {"results": {"quiz": {"alias": "quiz"}}},
    "text": {"results": {"quiz": {"acc,none": "high"}}},
    "subtasks of the wrong type": results_file(0.3, group_subtasks={"quiz": "quiz_a"}),
    "configs of the wrong type": results_file(0.3, configs=[1]),
    "another task": {"results": {"other": {"acc,none": 0.3}}},
    "circle": results_file(0.3, group_subtasks={"quiz": ["quiz"], "a": ["quiz_a", "quiz_b"]}),
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "circle"])
def test_a_broken_file_fails_the_import_unless_told_to_go_on(folder: Path, kind):
    """It is named; with keep_going everything else is imported."""
    name = "few_shot/small/quiz.json"
    write(folder, name, BROKEN[kind])
    with pytest.raises(TableError) as caught:
        run(folder)
    assert {p.file for p in caught.value.problems} == {name}
    imported = run(folder, keep_going=True)
    assert len(imported.table) == 10
    assert imported.files_read == 5
    assert {p.file for p in imported.problems} == {name}


def test_all_broken_files_are_reported_at_once(folder: Path):
    """Not the first only."""
    names = {"few_shot/small/quiz.json", "finetuned/large/step_10/quiz.json"}
    for name in names:
        write(folder, name, BROKEN["truncated"])
    with pytest.raises(TableError) as caught:
        run(folder)
    assert {p.file for p in caught.value.problems} == names


@pytest.mark.parametrize("kind", BROKEN)
def test_reading_a_broken_file_never_ends_in_another_exception(kind):
    """Whatever is wrong, it is a problem of the file."""
    broken = BROKEN[kind]
    text = broken if isinstance(broken, str) else json.dumps(broken)
    file = parse_results(text.encode(), "x.json", None)
    assert file.scores or file.findings.problems


def test_a_problem_of_the_metadata_is_named_before_files_are_read(folder: Path):
    """A checkpoint listed twice, or a table with scores."""
    write(folder, "meta.csv", "checkpoint,loss\nsmall,3.0\nsmall,2.9\n")
    with pytest.raises(TableError, match="row 1 too"):
        run(folder)
    write(folder, "meta.csv", "checkpoint,loss,score\nsmall,3.0,1\n")
    with pytest.raises(TableError, match="no scores"):
        run(folder)


def test_a_checkpoint_may_have_a_loss_on_several_corpora(folder: Path):
    """One row per corpus; the same score stands in each."""
    text = "checkpoint,loss,loss_corpus\nsmall,3.0,a\nsmall,2.9,b\nlarge,2.5,a\n"
    write(folder, "meta.csv", text)
    assert len(run(folder).table) == 18


def test_loss_can_be_estimated_and_the_rest_is_said(folder: Path):
    """Params and tokens in place of a loss."""
    text = "checkpoint,params,tokens\nsmall,1e9,1e10\nlarge,1e10,1e11\n"
    write(folder, "meta.csv", text)
    frame = run(folder, loss_from="hoffmann").table.frame
    assert set(frame["loss_source"]) == {"estimated"}
    with pytest.raises(TableError, match="loss"):
        run(folder)


def test_tasks_may_be_named(folder: Path):
    """Subtasks in place of the group; one that is nowhere is said."""
    imported = run(folder, tasks=("quiz_a", "quiz_x"))
    assert imported.table.tasks == ("quiz_a",)
    assert set(imported.table.frame["n_items"]) == {60}
    assert any("quiz_x" in warning for warning in imported.warnings)
    with pytest.raises(OptionError, match="No file that was read"):
        run(folder, tasks=("quiz_x",))


def test_steps_need_a_batch_size(folder: Path):
    """And without the size of the training set nobody knows about repeats."""
    with pytest.raises(OptionError, match="--batch-size"):
        run(folder, batch_size=None)
    imported = run(folder, train_size=None)
    assert set(imported.table.frame["examples"].drop_nulls()) == {80, 1600}
    assert imported.table.frame["epochs"].null_count() == 12
    assert any("--train-size" in warning for warning in imported.warnings)


def test_step_zero_is_few_shot(folder: Path):
    """Nothing was finetuned yet; the same score twice is then a duplicate."""
    write(folder, "finetuned/zero/step_0/quiz.json", results_file())
    write(folder, "meta.csv", "checkpoint,loss\nsmall,3.0\nlarge,2.5\nzero,2.7\n")
    imported = run(folder)
    row = imported.table.frame.row(by_predicate=(pl.col("checkpoint") == "zero") & ACC, named=True)
    assert (row["setting"], row["examples"], row["snapshot"]) == ("few_shot", None, False)
    assert any("step 0" in warning for warning in imported.warnings)


def test_fields_of_the_path_fill_columns(folder: Path):
    """Known ones typed, unknown ones kept; a path with examples is finetuned and no snapshot."""
    write(folder, "runs/small/lora-4/D64/seed1/lr3.json", results_file(0.4))
    patterns = ("runs/{checkpoint}/{method}/D{examples}/seed{seed}/lr{lr}.json",)
    table = run(folder, patterns=patterns).table
    row = table.frame.filter(ACC).row(0, named=True)
    found = {k: row[k] for k in ("setting", "method", "examples", "seed", "lr", "snapshot")}
    assert found == {
        "setting": "finetuned",
        "method": "lora-4",
        "examples": 64,
        "seed": "1",
        "lr": 3,
        "snapshot": False,
    }


def test_the_path_goes_before_the_file_and_the_file_before_the_metadata(folder: Path):
    """Shots stand in all three, in file and metadata, and a family in path and metadata."""
    write(folder, "meta.csv", "checkpoint,loss,shots,family\nsmall,3.0,7,x\n")
    write(folder, "both/small/shots3/y/quiz.json", results_file())
    write(folder, "neither/small/quiz.json", results_file())
    for pattern, shots, family in (
        ("both/{checkpoint}/shots{shots}/{family}/{task}.json", 3, "y"),
        ("neither/{checkpoint}/{task}.json", 5, "x"),
    ):
        frame = run(folder, patterns=(pattern,)).table.frame
        assert frame.select("shots", "family").unique().rows() == [(shots, family)]


def test_the_harness_own_folders_newest_result_per_task(tmp_path: Path):
    """`org__name` finds its metadata; an older evaluation of the same task gives way."""
    base = "out/org__small"
    old = results_file(0.3)
    other = {
        "results": {"cola": {"mcc,none": 0.1, "mcc_stderr,none": 0.03, "alias": "cola"}},
        "group_subtasks": {"cola": []},
        "configs": {"cola": task(2, 0)},
        "n-shot": {"cola": 0},
        "n-samples": {"cola": {"original": 1043, "effective": 1043}},
    }
    write(tmp_path, f"{base}/results_2024-05-08T12-00-00.1.json", old)
    write(tmp_path, f"{base}/results_2024-06-01T12-00-00.1.json", results_file(0.35))
    write(tmp_path, f"{base}/results_2024-05-09T12-00-00.1.json", other)
    write(tmp_path, f"{base}/samples_cola_2024-05-09T12-00-00.1.jsonl", "{}")
    write(tmp_path, "meta.csv", "checkpoint,loss\norg/small,3.0\n")
    imported = import_lm_eval([tmp_path / "out"], ImportOptions(checkpoints=tmp_path / "meta.csv"))
    frame = imported.table.frame
    scores = dict(frame.select("metric", "score").rows())
    assert scores == {"acc": 0.35, "brier_score": 0.7, "mcc": 0.1}
    assert set(frame["checkpoint"]) == {"org/small"}
    assert dict(frame.select("metric", "chance").rows())["mcc"] == 0.0
    assert imported.files_unmatched == 1


def parsed(content: dict[str, Any]):
    """Scores of a good file by task and metric."""
    file = parse_results(json.dumps(content).encode(), "x.json", None)
    assert not file.findings.problems
    return {(s.task, s.metric): s for s in file.scores}


def test_old_keys_without_a_filter():
    """Before version 0.4: `acc`, `acc_stderr`, shots in the arguments, no groups and no choices."""
    old = {
        "results": {"arc": {"acc": 0.3, "acc_stderr": 0.01, "acc_norm": 0.31}},
        "versions": {"arc": 0},
        "config": {"num_fewshot": 25},
    }
    scores = parsed(old)
    assert set(scores) == {("arc", "acc"), ("arc", "acc_norm")}
    score = scores["arc", "acc"]
    assert (score.score, score.stderr, score.shots, score.chance) == (0.3, 0.01, 25, None)
    assert scores["arc", "acc_norm"].stderr is None


def test_filters_stay_in_the_name_of_the_metric():
    """Two filters are two metrics, each with its own standard error; generation has chance 0."""
    content = {
        "results": {
            "gsm8k": {
                "exact_match,strict-match": 0.1,
                "exact_match_stderr,strict-match": 0.01,
                "exact_match,flexible-extract": 0.2,
                "exact_match_stderr,flexible-extract": 0.02,
                "alias": "gsm8k",
            }
        },
        "configs": {"gsm8k": {"output_type": "generate_until", "num_fewshot": 5}},
        "n-shot": {"gsm8k": 5},
    }
    scores = parsed(content)
    strict = scores["gsm8k", "exact_match,strict-match"]
    assert (strict.score, strict.stderr, strict.chance, strict.shots) == (0.1, 0.01, 0.0, 5)
    assert scores["gsm8k", "exact_match,flexible-extract"].stderr == 0.02


def test_groups_take_shots_items_and_chance_from_their_tasks():
    """Where the tasks disagree there is no number; a nested group counts each task once."""
    content = results_file()
    content["group_subtasks"] = {"top": ["quiz", "quiz_a"], "quiz": ["quiz_a", "quiz_b"]}
    content["groups"] = {"top": {"acc,none": 0.3}}
    score = parsed(content)["top", "acc"]
    assert (score.shots, score.n_items, score.chance) == (5, 100, 0.25)
    content["configs"]["quiz_b"] = task(2)
    content["n-shot"]["quiz_b"] = 0
    del content["n-samples"]["quiz_b"]
    score = parsed(content)["top", "acc"]
    assert (score.shots, score.n_items, score.chance) == (None, None, None)


def test_a_task_whose_shots_are_null_had_none():
    """The harness evaluates it without examples; a file that is silent says nothing."""
    content = results_file()
    content["n-shot"] = {"quiz": 0, "quiz_a": None, "quiz_b": None}
    for config in content["configs"].values():
        del config["num_fewshot"]
    assert parsed(content)["quiz", "acc"].shots == 0
    del content["n-shot"]
    assert parsed(content)["quiz", "acc"].shots is None


def test_a_group_without_a_score_gives_way_to_its_tasks():
    """As newer versions write groups that are not averaged."""
    content = results_file()
    content["results"]["quiz"] = {" ": " ", "alias": "quiz"}
    assert {name for name, _ in parsed(content)} == {"quiz_a", "quiz_b"}


def test_a_metric_without_a_chance_level_waits_for_one(folder: Path):
    """It is left out and named, or imported with the level given."""
    for name in ("small", "large"):
        content = results_file()
        content["results"]["quiz"]["logprob,none"] = -3.0
        write(folder, f"few_shot/{name}/quiz.json", content)
    imported = run(folder)
    assert "logprob" not in set(imported.table.frame["metric"])
    assert any("--chance logprob=VALUE" in warning for warning in imported.warnings)
    table = run(folder, chance=(("logprob", -3.5), ("quiz/acc", 0.2))).table
    levels = dict(table.frame.select("metric", "chance").unique().rows())
    assert levels == {"acc": 0.2, "brier_score": 0.75, "logprob": -3.5}


def test_progress_is_told_per_file(folder: Path):
    """From one to all."""
    seen: list[tuple[int, int]] = []
    options = ImportOptions(
        patterns=BOTH, checkpoints=folder / "meta.csv", batch_size=8, train_size=1000
    )
    import_lm_eval([folder], options, on_file=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_all_files_of_a_real_study_are_read(shared_data: Path):
    """548 files; counts as the folder's own description gives them."""
    root = shared_data / "data" / "lm_eval_mmlu"
    imported = import_lm_eval(
        [root],
        ImportOptions(
            patterns=BOTH,
            checkpoints=root / "checkpoints.csv",
            batch_size=64,
            train_size=99_842,
            loss_from="hoffmann",
        ),
    )
    frame = imported.table.frame
    assert imported.table.hash.startswith("a277e17997148f0c")  # as before revisions were told apart
    assert imported.files_read == 548
    assert imported.files_unmatched == 0
    assert frame.height == 2 * 548
    assert frame["checkpoint"].n_unique() == 55
    assert set(frame.filter(pl.col("setting") == "few_shot")["shots"]) == {5}
    assert set(frame["examples"].drop_nulls()) == {640, 1920, 6400, 16000, 32000, 64000, 99_842}
    assert dict(frame.select("metric", "chance").unique().rows()) == {
        "acc": 0.25,
        "brier_score": 0.75,
    }

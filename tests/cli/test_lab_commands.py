from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import _app, app
from emergecast.measurements import read_table

EXPERIMENT = """\
output: results
worker: rehearsal
series:
  - name: v1
    checkpoints:
      - {name: S-1, path: S-1, params: 80614, tokens: 1e6}
      - {name: S-2, path: S-2, params: 80614, tokens: 2e6}
corpora:
  - {name: held-out, path: held-out.jsonl}
tasks:
  - {name: matching, shots_in_document: 8, chance: {acc: 0.25, logprob: -1.4}}
finetune:
  examples: [16]
  methods:
    - {name: lora-8, steps: 40, learning_rate: 1e-3}
costs: {per_hour: 2}
"""
ALL = {"done": 6, "failed": 0, "running": 0, "missing": 0}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An experiment that invents its scores: 2 losses, 2 few-shot scores, 2 finetunings."""
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT, "utf-8")
    return path


def call(*arguments: object, status: int = 0) -> Any:
    """What a command says; its JSON where it was asked for JSON."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == status, result.output + result.stderr
    return json.loads(result.stdout) if "--json" in arguments else result


def test_the_whole_way_from_plan_to_table(file: Path):
    """Plan, run, status, export, each in words and as JSON."""
    planned = call("plan", file, "--json")
    assert planned["states"] == ALL | {"done": 0, "missing": 6}
    assert planned["estimate"]["cost"] == 0
    assert len(planned["runs"]) == 6
    assert "6 of them" not in call("plan", file).stdout
    assert "missing" in call("plan", file).stdout
    ran = call("run", file, "--workers", "1")
    assert "[6/6] v1/S-2 finetuned matching D=16 subset 0 seed 0 lora-8" in flat(ran.stderr)
    assert f"Next: emergecast export {file} -o table.csv" in ran.stdout
    assert call("run", file, "--json")["done"] == 0
    assert call("status", file, "--json")["states"] == ALL
    assert "Nothing is left to do." in call("plan", file).stdout
    out = file.parent / "table.csv"
    exported = call("export", file, "-o", out)
    assert "Next: emergecast fit" in exported.stdout
    assert "invented" in flat(exported.stderr)
    table = read_table(out)
    assert len(table) == 2 * (1 + 1) * 2
    assert exported.exit_code == 0
    assert call("export", file, "-o", out, "--json")["table_hash"] == table.hash


def test_the_table_has_the_columns_that_the_schema_names(file: Path):
    """A finetuned row, cell by cell."""
    call("run", file)
    out = file.parent / "table.parquet"
    call("export", file, "-o", out)
    frame = read_table(out).frame
    (row,) = frame.filter(
        (pl.col("checkpoint") == "S-2")
        & (pl.col("setting") == "finetuned")
        & (pl.col("metric") == "logprob")
    ).to_dicts()
    wanted = {
        "series": "v1",
        "params": 80614,
        "tokens": 2_000_000,
        "flops": 6.0 * 80614 * 2_000_000,
        "loss_corpus": "held-out",
        "loss_source": "measured",
        "task": "matching",
        "shots": 8,
        "examples": 16,
        "epochs": 40.0,
        "subset": "0",
        "seed": "0",
        "method": "lora-8",
        "n_items": 256,
        "runs": 1,
        "chance": -1.4,
        "invented": True,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["loss"] > 0
    assert row["loss_per_byte"] == row["loss"] / 4
    assert len(row["tokenizer"]) == 12, "a hash, since the file names none"
    assert row["stderr"] > 0
    few = frame.filter(pl.col("setting") == "few_shot")
    assert (
        few.select("examples", "epochs", "subset", "seed", "method").null_count().row(0) == (4,) * 5
    )


def test_a_dry_run_does_nothing(file: Path):
    """It says what would be done."""
    assert call("run", file, "--dry-run", "--json")["states"]["missing"] == 6
    assert call("status", file, "--json")["states"]["missing"] == 6
    assert not (file.parent / "results" / "logs").exists()


def test_a_failed_run_ends_with_status_1_and_can_be_tried_again(file: Path):
    """The error is in the output, in status, and in the JSON with its traceback."""
    failing = EXPERIMENT + 'rehearsal: {fail: "*S-2 few_shot*"}\n'
    file.write_text(failing, "utf-8")
    ran = call("run", file, status=1)
    assert "failed: v1/S-2 few_shot matching" in flat(ran.stderr)
    assert f"emergecast retry {file}" in ran.stdout
    assert "because the rehearsal says so" in call("status", file).stdout
    assert "Traceback" in call("status", file, "--failed").stdout
    (failure,) = call("status", file, "--json")["failures"]
    assert "Traceback" in failure["traceback"]
    out = file.parent / "table.csv"
    assert "1 runs have no result yet, or failed" in flat(call("export", file, "-o", out).stderr)
    assert "No failed run matches" in call("retry", file, "--match", "*S-1*").stdout
    assert call("retry", file, "--json") == {"cleared": 1}
    file.write_text(EXPERIMENT, "utf-8")
    assert call("run", file, "--json")["states"] == ALL


@pytest.mark.parametrize("command", ["plan", "run", "status", "retry"])
def test_a_mistake_in_the_file_is_a_message_and_status_2(file: Path, command: str):
    """The line is quoted, also in the JSON."""
    file.write_text(EXPERIMENT.replace("tokens: 2e6", "tokens: many"), "utf-8")
    said = call(command, file, status=2)
    assert "line 7: series[0].checkpoints[1].tokens" in flat(said.stderr)
    assert "| - {name: S-2, path: S-2, params: 80614, tokens: many}" in flat(said.stderr)
    (problem,) = call(command, file, "--json", status=2)["problems"]
    assert problem["line"] == 7


def test_what_forbids_to_begin_ends_with_status_2(file: Path):
    """`plan` shows the grid all the same; `run` does nothing."""
    file.write_text(EXPERIMENT + "rehearsal: {training_size: 9}\n", "utf-8")
    planned = call("plan", file, "--json", status=2)
    assert planned["problems"][0]["line"] == 11
    assert "9 training examples, and 16 are asked for" in flat(call("run", file, status=2).stderr)
    assert call("run", file, "--dry-run", status=2)
    assert "takes about" not in call("plan", file, status=2).stdout
    assert call("run", file, "--keep-going", "--json")["states"] == ALL
    (left_out,) = call("run", file, "--keep-going", "--json")["left_out"]
    assert "line 11" in left_out
    again = call("run", file, "--keep-going")
    assert "line 11" in flat(again.stderr).split("Left out: ")[1]
    assert "What is left out is not measured" in again.stdout
    assert "Everything is measured" not in again.stdout
    assert call("plan", file, "--workers", "0", status=2)


def test_the_command_keeps_blas_to_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
):
    """As the variable stands when the command itself begins."""
    seen: list[str | None] = []
    monkeypatch.setattr(_app, "app", lambda: seen.append(os.environ.get("OPENBLAS_NUM_THREADS")))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    _app.main()
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    _app.main()
    assert seen == ["3", "1"]


def test_exporting_before_anything_was_measured_says_so(file: Path):
    """And an extension that is no table's is refused first."""
    out = file.parent / "table.csv"
    assert "Run the experiment" in flat(call("export", file, "-o", out, status=2).stderr)
    assert not out.exists()
    assert "extension .txt" in flat(call("export", file, "-o", "table.txt", status=2).stderr)


WITHOUT = """
import sys
sys.modules["yaml"] = None
from emergecast.cli import app
app(["plan", sys.argv[1]])
"""


def test_without_the_extra_the_commands_say_what_to_install(file: Path):
    """A message, and no traceback."""
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "pip install 'emergecast[lab]'" in flat(said.stderr)
    assert "Traceback" not in said.stderr


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """An experiment on a model with random weights, with a task that generates text."""
    from tests.lab.worker.small_models import EXPERIMENT as MODELS
    from tests.lab.worker.small_models import GENERATES, build

    build(tmp_path)
    (tmp_path / "tasks" / "sums.yaml").write_text(GENERATES, "utf-8")
    for name, first in (("train", 8), ("test", 0)):
        rows = [{"q": f"tesi soba {i}", "a": "nuke\x1b[31m"} for i in range(first, first + 8)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "tasks" / f"{name}.jsonl").write_text(text, "utf-8")
    text = MODELS.replace(
        "{name: words, include_path: tasks, chance", "{name: sums, include_path: tasks, chance"
    )
    path = tmp_path / "sums.yaml"
    path.write_text(
        text.replace("{acc: 0.25, logprob: -1.39}", "0").replace("[8, 32]", "[8]"), "utf-8"
    )
    return path


def test_what_is_measured_can_be_seen(measured: Path):
    """The plan shows a whole item, the first run what the model says to it, and `show` all."""
    title = "random/a few_shot sums"
    planned = call("plan", measured).stdout
    assert "The first item of sums, with 0 shots:" in planned
    assert "    | tesi soba 0\n" in planned
    assert '  target    "nuke\\x1b[31m"' in planned
    (example,) = call("plan", measured, "--json")["examples"]
    assert (example["task"], example["text"]) == ("sums", "tesi soba 0")
    assert example["target"] == "nuke\x1b[31m"
    ran = call("run", measured, "--limit", "2", "--workers", "1")
    assert f"The first item of {title}:\n  prompt\n    | tesi soba 0\n  said      " in ran.stderr
    assert f"Warning: all 8 items of {title} score 0." in flat(ran.stderr)
    assert f"Warning: 8 of 8 texts of {title} were cut at the limit of tokens" in flat(ran.stderr)
    shown = call("show", measured, title).stdout
    assert "exact_match 0 +- 0, 8 items" in shown
    assert "8, of which 0 right and 8 wrong, 8 cut at the limit of tokens" in shown
    assert "evaluate" in shown
    whole = call("show", measured, title, "--items", "--json")
    key = whole["key"]
    assert len(whole["items"]) == 8
    assert whole["items"][0] == whole["example"]
    assert {item["target"] for item in whole["items"]} == {"nuke\x1b[31m"}
    assert all(len(item["completion"].split()) == 3 and item["cut"] for item in whole["items"])
    assert len({item["prompt"] for item in whole["items"]}) == 8
    assert "items" not in call("show", measured, key[:7], "--json")
    listed = call("show", measured, key[:7].upper(), "--items").stdout
    assert "\x1b" not in listed
    assert listed.count('"nuke\\x1b[31m"') == 8
    wrong = call("show", measured, "random", status=2).stderr
    assert f"{key[:8]}  {title}" in wrong
    assert 'no run is called "nothing"' in flat(call("show", measured, "nothing", status=2).stderr)
    missing = call("show", measured, "random/b few_shot sums", "--json")
    assert (missing["state"], missing["result"], missing["n_items"]) == ("missing", None, 0)


def test_an_older_ledger_shows_what_it_has(file: Path):
    """Items without texts, as version 0.1.0 kept them and a rehearsal does."""
    call("run", file, "--workers", "1")
    shown = call("show", file, "v1/S-1 few_shot matching", "--items").stdout
    rows = [line.split() for line in shown.split("\n\n")[1].splitlines()[1:]]
    assert len(rows) == 256
    assert {tuple(row[3:]) for row in rows} == {(".", ".", ".")}
    assert {row[2] for row in rows} == {"0", "1"}


def test_a_table_after_an_edit_says_what_it_leaves_out(measured: Path):
    """Of the scores under the old definition, none is in it."""
    call("run", measured, "--workers", "1", "--json", "--limit", "2")
    task = measured.parent / "tasks" / "sums.yaml"
    steps = "[{function: remove_whitespace}, {function: take_first}]"
    filters = f"filter_list: [{{name: f, filter: {steps}}}]\n"
    task.write_text(task.read_text("utf-8") + filters, "utf-8")
    assert call("status", measured, "--json")["states"]["done"] == 1
    assert call("run", measured, "--workers", "1", "--json", "--limit", "2")["warnings"]
    out = measured.parent / "table.csv"
    said = call("export", measured, "-o", out, "--json")
    assert said["rows"] == 1
    assert said["older"] == 1
    assert "1 older result is left out: the task has changed since." in said["warnings"]

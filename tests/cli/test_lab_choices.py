"""The lab's commands: which runs, for how long, and a next command that works."""

from __future__ import annotations

import shlex
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from tests.cli.flat import flat
from tests.cli.test_lab_commands import EXPERIMENT, call, file
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.cli.texts.experiment_progress import Bars, Lines
from emergecast.cli.texts.experiments import duration
from emergecast.cli.texts.next_fit import next_command
from emergecast.lab.checkpoints import hub_advice
from emergecast.lab.executors import Event, EventKind
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import estimate, survey
from emergecast.measurements import read_table

__all__ = ["file"]


def test_only_and_shard_go_with_plan_run_and_retry(file: Path):
    """Counts are those of the chosen runs; the rest is as it was."""
    losses = ("--only", "*loss*")
    assert call("plan", file, *losses, "--json")["states"]["missing"] == 2
    assert "  chosen      --only '*loss*'" in call("plan", file, *losses).stdout
    ran = call("run", file, *losses)
    assert "All that was chosen is measured" in ran.stdout
    assert call("status", file, "--json")["states"]["done"] == 2
    shares = [call("plan", file, "--shard", f"{i}/2", "--json")["runs"] for i in (1, 2)]
    assert sorted(len(share) for share in shares) != [0, 6]
    assert len({run["key"] for share in shares for run in share}) == 6
    assert "no share" in flat(call("run", file, "--shard", "3/2", status=2).stderr)
    assert "no run has a title" in flat(call("run", file, "--only", "x", status=2).stderr)
    file.write_text(EXPERIMENT + 'rehearsal: {fail: "*few_shot*"}\n', "utf-8")
    call("run", file, status=1)
    assert call("retry", file, "--only", "*S-9*", "--json") == {"cleared": 0}
    assert call("retry", file, "--only", "*S-2*", "--json") == {"cleared": 1}


def test_a_time_limit_has_a_unit(file: Path):
    """Seconds, minutes, hours, days; a run that takes longer has failed, by name."""
    file.write_text(EXPERIMENT + "rehearsal: {seconds: 30}\n", "utf-8")
    few = ("--workers", "1", "--only", "*S-1 loss*")
    said = call("run", file, *few, "--time-limit", "0.5", status=1).stderr
    assert "failed: v1/S-1 loss held-out" in said
    assert "the limit is 0.5 s" in said
    for wrong in ("soon", "-1", "1 week", "1e3"):
        assert "90s, 30m or 2h" in flat(call("run", file, "--time-limit", wrong, status=2).stderr)
    assert "more than 0" in flat(call("run", file, "--time-limit", "0", status=2).stderr)


def test_times_left_agree(file: Path):
    """Progress, status and plan say the same, before anything is done and after some of it."""
    file.write_text(EXPERIMENT + "rehearsal: {seconds: 600}\n", "utf-8")
    found = survey(read_experiment(file))
    left = estimate(found.plan, found.results, workers=2)
    bars = Bars(2)
    bars.show(Event(kind=EventKind.PLANNED, plan=found.plan))
    shown = bars._bars.tasks[0].fields["left"]
    assert shown == pytest.approx(left.wall_seconds) == pytest.approx(6 * 600 / 2)
    workers = ("--workers", "2")
    assert f"about {duration(shown)} on 2 workers" in call("plan", file, *workers).stdout
    status = call("status", file).stdout
    assert status.splitlines()[-2:] == call("plan", file).stdout.splitlines()[-2:]
    done = found.plan.runs[0]
    bars.show(Event(kind=EventKind.DONE, run=done, seconds=60.0))
    assert bars._bars.tasks[0].fields["left"] == pytest.approx(5 * 600 / 2)


def test_a_lost_worker_is_said_where_there_are_no_bars(file: Path, capsys):
    """Beside the lines of what ended, which it does not count with."""
    run = survey(read_experiment(file)).plan.runs[0]
    lines = Lines()
    lines.show(Event(kind=EventKind.LOST, run=run, error="its worker is lost"))
    assert capsys.readouterr().err == f"{run.title}: its worker is lost\n"


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, "--task colors"),
        ({"method": ["full", "lora-4"]}, "--task colors --method full"),
        ({"loss_corpus": ["held", "other"]}, "--task colors --loss-corpus held"),
        ({"metric": ["f1", "exact_match"]}, "--task colors --metric f1"),
        ({"metric": ["f1", "acc"]}, "--task colors"),
        (
            {"loss_corpus": ["b", "a"], "method": ["lora-4", "full"]},
            "--task colors --method lora-4 --loss-corpus b",
        ),
        ({"task": ["a b", "colors"]}, "--task 'a b'"),
    ],
)
def test_the_next_command_works_on_the_rows_that_are_there(tmp_path: Path, changes, options):
    """Several methods, corpora, metrics or tasks: with the first of each, `fit` gives no error."""
    made = table(changes)
    out = tmp_path / "t.csv"
    made.write(out)
    command = next_command(made, str(out))
    assert command == f"emergecast fit {out} {options}"
    if len(changes) < 2:  # a fit takes seconds
        return
    words = shlex.split(command)[1:]
    outcome = CliRunner().invoke(app, [*words, "--bootstrap", "0", "--no-diagnostics", "--json"])
    assert outcome.exit_code in {0, 3}, outcome.stderr


def table(changes):
    """Six checkpoints, three amounts, each row once for every value that is to be there."""
    rows = []
    whole = {"task": ["colors"], "metric": ["acc"], "method": ["full"], "loss_corpus": ["held"]}
    for names in [
        dict(zip(whole, each, strict=True)) for each in product(*(whole | changes).values())
    ]:
        for i in range(6):
            for examples in (None, 16, 64, 256):
                rise = 0.0 if examples is None else 0.05 * i
                rows.append(
                    {
                        **{k: v for k, v in names.items() if k != "method"},
                        "method": None if examples is None else names["method"],
                        "checkpoint": f"c{i}",
                        "loss": 3.0 - 0.1 * i,
                        "setting": "few_shot" if examples is None else "finetuned",
                        "examples": examples,
                        "score": 0.25 + rise,
                        "n_items": 500,
                        "chance": 0.25,
                    }
                )
    return read_table(pl.DataFrame(rows, infer_schema_length=None).unique(maintain_order=True))


def test_without_finetuned_rows_the_next_command_checks_the_table():
    """There is nothing to fit yet."""
    made = table({})
    few_shot = read_table(made.frame.filter(pl.col("setting") == "few_shot"))
    assert next_command(few_shot, "my table.csv") == "emergecast check 'my table.csv'"


def test_what_the_hub_does_not_give_is_explained_once(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Each checkpoint at its line; the cache and the variables after the last of them."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    text = EXPERIMENT.replace("worker: rehearsal\n", "")
    text = text.replace("path: S-1", "repo: no/one").replace("path: S-2", "repo: no/two")
    file.write_text(text.replace("shots_in_document: 8", f"include_path: {file.parent}"), "utf-8")
    (file.parent / "held-out.jsonl").write_text('{"text": "a b"}\n', "utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = flat(call("plan", file, status=2).stderr)
    assert said.count('of "no/one" on the hub') == said.count('of "no/two" on the hub') == 1
    assert said.count(hub_advice()) == 1
    assert said.index("no/two") < said.index(hub_advice())
    for name in ("HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN (set)"):
        assert name in hub_advice()
    assert "hf_secret" not in said

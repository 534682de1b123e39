"""The commands about series of the catalogue, and what a rehearsal of one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import read_experiment


def printed(*words: str, status: int = 0) -> str:
    """What a command prints."""
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code == status, found.output
    return found.output


def test_list_names_all_series_and_what_is_left_out():
    """Families of very many in one line, unless a pattern asks for them."""
    text = printed("series", "list")
    assert "open_llama_v1_3b" in text
    assert "799 more of DataDecide" in text
    assert "MAP-Neo 7B: its steps are raw Megatron shards" in text
    found = json.loads(printed("series", "list", "--match", "pythia_2.8b*", "--json"))
    assert [(each["name"], each["checkpoints"], each["bad"]) for each in found["series"]] == [
        ("pythia_2.8b", 154, 86),
        ("pythia_2.8b_deduped", 154, 0),
    ]
    assert printed("series", "list", "--match", "datadecide_c4_*").count("\n") == 14 + 9 * 2


def test_show_says_what_is_known_and_what_nobody_checked():
    """Address, tokenizer, doubts; bad ones with their reason."""
    text = " ".join(printed("series", "show", "open_llama_v1_3b").split())
    assert "openlm-research/open_llama_3b_step_2500" in text
    assert "openlm-research/open_llama_3b, read by sentencepiece itself" in text
    assert "not checked tokens per step are computed" in text
    text = printed("series", "show", "pythia_12b")
    assert "step50000, step58000: a chimera" in text
    assert "EleutherAI/pythia-12b@step50000  (left out)" in text
    assert json.loads(printed("series", "show", "pythia_14m", "--json"))["params"] == 14_067_712


@pytest.mark.parametrize("command", ["show", "verify"])
def test_an_unknown_series_is_answered_with_the_nearest(command):
    """In one line, with status 2."""
    text = printed("series", command, "open_llama_3b_v1", status=2)
    assert 'Did you mean "open_llama_v' in text


def test_a_rehearsal_of_a_series_fetches_nothing(tmp_path: Path):
    """It invents scores for real names; with keep none, too."""
    file = tmp_path / "e.yaml"
    file.write_text(
        "output: results\nworker: rehearsal\n"
        "series: [{name: pythia_70m, steps: [0, 1000], keep: none}]\n"
        "corpora: [{name: held-out, path: held-out.jsonl}]\n"
        "tasks: [{name: matching, chance: 0.25}]\n",
        "utf-8",
    )
    report = run_all(read_experiment(file))
    assert (report.done, report.failed) == (4, 0)
    assert not (tmp_path / "results" / "fetched.json").exists()

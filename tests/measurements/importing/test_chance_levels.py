"""Chance per task: what files say, what the user says, and which goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.result_files import case, run, write

from emergecast.errors import OptionError
from emergecast.measurements import chance_level

TASKS: dict[str, dict[str, Any]] = {
    "lambada": {"output_type": "loglikelihood"},
    "boolq": {"output_type": "multiple_choice", "doc_to_choice": ["no", "yes"]},
    "arc": {"output_type": "multiple_choice", "doc_to_choice": "{{choices.text}}"},
    "gsm": {"output_type": "generate_until"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One file of four tasks, two of which say their chance level in some way."""
    scores = {name: {"acc,none": 0.4, "acc_stderr,none": 0.01} for name in TASKS}
    scores["gsm"] = {"exact_match,strict": 0.02, "exact_match_stderr,strict": 0.01}
    content = {"results": scores, "configs": TASKS, "n-shot": dict.fromkeys(TASKS, 0)}
    write(tmp_path, "m/results_2024-05-01T10-00-00.1.json", content)
    write(tmp_path, "meta.csv", "checkpoint,loss\nm,2.5\n")
    return tmp_path


def levels(root: Path, *chance: tuple[str | None, float]) -> dict[str, float]:
    """Chance by task."""
    return dict(run(root, chance=chance).table.frame.select("task", "chance").rows())


def test_a_file_says_more_than_its_choices(root: Path):
    """Log-likelihood without choices, and free text, are hit by no guess; the rest is left out."""
    assert levels(root) == {"lambada": 0.0, "boolq": 0.5, "gsm": 0.0}


@pytest.mark.parametrize("name", [None, "acc"])
def test_a_level_for_all_fills_gaps_only(root: Path, name: str | None):
    """What a file says stays."""
    expected = {"lambada": 0.0, "boolq": 0.5, "gsm": 0.0, "arc": 0.25}
    assert levels(root, (name, 0.25)) == expected


def test_levels_of_a_task_overrule_the_file(root: Path):
    """The narrower name goes before the wider one, in whatever order they are given."""
    found = levels(root, ("boolq/acc", 0.62), ("boolq", 0.6), ("arc", 0.2), ("acc", 0.25))
    assert (found["boolq"], found["arc"]) == (0.62, 0.2)
    assert levels(root, ("acc", 0.25), ("boolq", 0.6), ("boolq/acc", 0.62))["boolq"] == 0.62
    assert levels(root, ("gsm/exact_match", 0.1))["gsm"] == 0.1
    assert levels(root, ("gsm/exact_match,strict", 0.1))["gsm"] == 0.1


@pytest.mark.parametrize(
    ("name", "hint"), [("bolq", '"boolq"'), ("boolq/accc", '"boolq/acc"'), ("f1", "metrics: acc")]
)
def test_a_level_that_matches_nothing_is_an_error(root: Path, name: str, hint: str):
    """And names what may be meant."""
    with pytest.raises(OptionError) as caught:
        run(root, chance=((name, 0.5),))
    assert f'no score is of "{name}"' in str(caught.value)
    assert hint in str(caught.value)


def test_a_level_that_changes_nothing_is_said(root: Path):
    """Every exact_match is generated, so its level is known."""
    warnings = run(root, chance=(("exact_match", 0.1), ("acc", 0.25))).warnings
    assert next(w for w in warnings if "changes nothing" in w).startswith("--chance exact")
    assert not any("--chance acc " in w for w in warnings)


def test_an_old_file_of_completions_is_known_by_its_perplexity(root: Path):
    """It has no configuration; accuracy beside a perplexity is that of one right ending."""
    scores = {"acc": 0.1, "acc_stderr": 0.01, "ppl": 50.0, "ppl_stderr": 1.0}
    content = {"results": {"lambada": scores, "arc": {"acc": 0.3}}, "config": {"num_fewshot": 0}}
    write(root, "m/results_2024-05-01T10-00-00.1.json", content)
    frame = run(root, chance=((None, 0.25),)).table.frame
    assert dict(frame.select("task", "chance").rows()) == {"lambada": 0.0, "arc": 0.25}


def test_the_registry():
    """Hand-worked levels."""
    assert chance_level("acc", output_type="loglikelihood") == 0.0
    assert chance_level("acc", output_type="multiple_choice", choices=5) == 0.2
    assert chance_level("acc", choices=2, majority=0.62) == 0.62
    assert chance_level("acc", choices=2, majority=0.3) == 0.5
    assert chance_level("brier_score", choices=4, majority=0.9) == 0.75
    assert chance_level("exact_match,strict-match", output_type="generate_until") == 0.0
    assert chance_level("pass_at_1", output_type="generate_until") == 0.0
    assert chance_level("mcc") == 0.0
    assert chance_level("acc", output_type="multiple_choice") is None
    assert chance_level("word_perplexity", output_type="loglikelihood_rolling") is None


def test_case_of_several_chances(shared_data: Path):
    """One option for all leaves boolq its half and lambada its nothing."""
    frame = case(shared_data, "pop", chance=(("acc", 0.25),)).table.frame
    found = dict(frame.select("task", "chance").rows())
    assert (found["boolq"], found["lambada_openai"], found["arc_easy"]) == (0.5, 0.0, 0.25)
    with pytest.raises(OptionError, match="no score is of"):
        case(shared_data, "pop", chance=(("nothing", 0.25),))

from __future__ import annotations

import time

import pytest
import yaml

from emergecast.errors import ExperimentError
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.tasks import yaml_faults

WHOLE = """\
worker: rehearsal
series: [{name: v1, checkpoints: [{name: S-1, path: S-1, params: 80614, tokens: 221184}]}]
corpora: [{name: held-out, path: held-out.jsonl}]
tasks: [{name: matching, chance: 0.25}]
"""


def bomb(kind: str, levels: int) -> str:
    """A file of a few lines that stands for 2 to the power of `levels` values."""
    lines = ["x0: &x0 {k: v}"]
    for i in range(1, levels + 1):
        twice = f"[*x{i - 1}, *x{i - 1}]"
        lines.append(f"x{i}: &x{i} " + (f"{{<<: {twice}}}" if kind == "merges" else twice))
    rehearsal = f"{{<<: *x{levels}}}" if kind == "merges" else f"{{fail: *x{levels}}}"
    return "\n".join([*lines, WHOLE, f"rehearsal: {rehearsal}"])


@pytest.mark.parametrize("kind", ["merges", "lists"])
@pytest.mark.parametrize("levels", [18, 40, 5000])
def test_aliases_of_aliases_end_with_a_message_at_once(kind: str, levels: int):
    """However many there are; the largest is named by its line."""
    began = time.monotonic()
    with pytest.raises(ExperimentError, match="the aliases of this file stand for") as caught:
        parse_experiment(bomb(kind, levels), "bomb.yaml")
    assert time.monotonic() - began < 5
    assert caught.value.problems[0].line == levels + 1 + WHOLE.count("\n") + 2


def expanded(node: yaml.Node) -> int:
    """Values that a node stands for, counted one by one."""
    if isinstance(node, yaml.MappingNode):
        return 1 + sum(expanded(each) for pair in node.value for each in pair)
    return 1 + sum(map(expanded, node.value)) if isinstance(node, yaml.SequenceNode) else 1


def test_what_a_file_stands_for_is_what_one_counts(monkeypatch: pytest.MonkeyPatch):
    """At the bound nothing is wrong, one below it there is."""
    node = yaml.compose(bomb("merges", 6))
    assert node is not None
    count = expanded(node)
    monkeypatch.setattr("emergecast.lab.tasks._yaml_faults._MOST_ENTRIES", count)
    assert yaml_faults(node) == []
    monkeypatch.setattr("emergecast.lab.tasks._yaml_faults._MOST_ENTRIES", count - 1)
    (fault,) = yaml_faults(node)
    assert f"{count:,} values" in fault.what


def test_a_long_file_without_aliases_is_read():
    """The bound is one of aliases."""
    node = yaml.compose("a: [" + "x," * 250_000 + "]", Loader=yaml.CSafeLoader)
    assert node is not None
    assert yaml_faults(node) == []


def test_an_alias_of_itself_and_merges_without_end_are_messages():
    """Neither a RecursionError."""
    with pytest.raises(ExperimentError, match="an alias contains itself"):
        parse_experiment("series: &a [*a]\n", "x.yaml")
    deep = "".join(f"x{i}: &x{i} {{<<: *x{i - 1}}}\n" for i in range(1, 600))
    with pytest.raises(ExperimentError, match=r"nested too deeply|stand for"):
        parse_experiment(
            f"x0: &x0 {{k: v}}\n{deep}{WHOLE}rehearsal: {{<<: *x599, seconds: 1}}", "x.yaml"
        )


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("name: v1", r'name: "v\01"', "U+0000"),
        ("path: S-1", r'path: "S\0"', "U+0000"),
        ("held-out.jsonl", r'"held\e[2J"', "U+001B"),
        ("params:", r'"par\0ams":', "U+0000"),
        ("rehearsal", r'"rehear\0sal"', "U+0000"),
    ],
)
def test_a_character_that_no_name_holds_is_refused_at_its_line(old: str, new: str, shown: str):
    """In a name, a path, a word, and a name of an entry."""
    assert old in WHOLE
    text = WHOLE.replace(old, new)
    with pytest.raises(ExperimentError, match="no name or path can hold") as caught:
        parse_experiment(text, "x.yaml")
    (problem,) = caught.value.problems
    assert shown in problem.what
    assert problem.line == WHOLE[: WHOLE.index(old)].count("\n") + 1


def test_a_grid_without_end_is_refused_before_it_is_planned():
    """A typing mistake must not fill the memory."""
    finetune = "finetune: {examples: [16], subsets: 1000, seeds: 1000, methods: [{name: full,"
    text = f"{WHOLE}{finetune} steps: 4, learning_rate: 1e-3}}]}}"
    with pytest.raises(ExperimentError, match=r"these are 1,000,002 runs"):
        parse_experiment(text, "x.yaml")
    assert parse_experiment(text.replace("seeds: 1000", "seeds: 2"), "x.yaml").tasks
    with pytest.raises(ExperimentError, match="that is too many"):
        parse_experiment(text.replace("steps: 4", "epochs: 1e20"), "x.yaml")

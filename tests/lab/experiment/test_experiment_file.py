from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.small_experiment import EXPERIMENT

from emergecast.errors import ExperimentError, LabError, Mistake, TableError
from emergecast.lab.experiment import Experiment, WorkerKind, parse_experiment, read_experiment
from emergecast.lab.finetune import FinetuneMethod
from emergecast.measurements import read_table


def mistakes(text: str) -> tuple[Mistake, ...]:
    """What is wrong with the text of an experiment."""
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(text, "small.yaml")
    return caught.value.problems


def stated(found: Experiment, field: str, number: int = 0) -> dict[int, object]:
    """A field of a method by amount of data, the same for every checkpoint."""
    method = found.finetuning.methods[number]
    assert set(method.settled) == {(each.series, each.name) for each in found.checkpoints}
    first, *others = method.settled.values()
    assert all(other == first for other in others)
    return {amount: getattr(how, field) for amount, how in first.items()}


def changed(old: str, new: str) -> str:
    """The experiment with some of its text replaced."""
    assert old in EXPERIMENT
    return EXPERIMENT.replace(old, new)


def test_an_experiment_is_read_as_written():
    """Paths start from the folder of the file; what is not written has its default."""
    found = parse_experiment(EXPERIMENT, "somewhere/small.yaml")
    assert found.name == "small"
    assert found.worker is WorkerKind.REHEARSAL
    assert found.output == Path("somewhere/results")
    assert [c.name for c in found.checkpoints] == ["S-1", "S-2", "S-3"]
    assert found.checkpoints[1].path == Path("somewhere/S-2")
    assert found.checkpoints[1].tokens == 2_000_000
    assert {c.pretraining_learning_rate for c in found.checkpoints} == {0.001}
    assert found.tasks[0].chance == {"": 0.25}
    assert found.finetuning.examples == (16, 64)
    assert found.amounts == {"matching": (16, 64)}
    assert found.finetuning.seeds == {16: 2, 64: 1}
    assert found.finetuning.subsets == {16: 1, 64: 1}
    assert stated(found, "steps") == {16: 40, 64: 60}
    assert stated(found, "batch_size") == {16: 16, 64: 32}, "a batch is no larger than the data"
    assert stated(found, "warmup_steps") == {16: 10, 64: 10}


def test_a_text_and_its_file_are_one_experiment(tmp_path: Path):
    """A worker parses the text again and must come to the same runs."""
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT, "utf-8")
    found = read_experiment(file)
    assert parse_experiment(found.text, file) == found


@pytest.mark.parametrize(
    ("old", "new", "line", "where", "said"),
    [
        ("series:\n  - name: v1", "series:\n  - nam: v1", 6, "series[0].nam", 'mean "name"'),
        ("path: S-2,", "", 11, "series[0].checkpoints[1]", '"path" is missing'),
        ("tokens: 2e6", "tokens: many", 11, "series[0].checkpoints[1].tokens", '"many"'),
        ("tokens: 2e6", "tokens: -1", 11, "series[0].checkpoints[1].tokens", '"-1" is too small'),
        ("name: S-3", "name: S-2", 12, "series[0].checkpoints[2]", "first in line 11"),
        ("chance: 0.25", "chance: .nan", 16, "tasks[0].chance", '".nan" is not a number'),
        ("[16, 64]", "[16, 16, 64]", 18, "finetune.examples[1]", "named twice"),
        ("{16: 2, 64: 1}", "{16: 2}", 19, "finetune.seeds", "no value for 64"),
        ("{16: 2, 64: 1}", "{16: 2, 64: 1, 7: 1}", 19, "finetune.seeds.7", "7 is not one of"),
        ("{16: 2, 64: 1}", "{16: 2, 64: 9999}", 19, "finetune.seeds", "that is too many"),
        ("name: full", "name: lora", 21, "finetune.methods[0].name", '"lora"'),
        ("steps: {16: 40", "steps: {16: 0", 22, "finetune.methods[0].steps.16", '"0" is too'),
        ("warmup_steps: 10", "warmup_steps: 50", 24, "finetune.methods[0].warmup_steps", "16 ex"),
        ("worker: rehearsal", "worker: rehearsl", 3, "worker", 'mean "rehearsal"'),
        ("path: S-2,", "path: S-2, revision: x,", 11, None, "a local folder has no revisions"),
        ("path: S-2,", "path: S-2, repo: a/b,", 11, None, "a path and a repo"),
    ],
)
def test_a_mistake_is_quoted_at_its_line(old, new, line, where, said):
    """With the path of the entry, the text of the line, and what to write."""
    (found,) = mistakes(changed(old, new))
    assert found.line == line
    assert where is None or found.where == where
    assert said in found.what + found.remedy
    assert found.text == changed(old, new).splitlines()[line - 1].strip()
    assert f"small.yaml, line {line}" in str(found)


def test_all_mistakes_come_at_once_and_in_order():
    """Three, by line."""
    text = EXPERIMENT.replace("tokens: 2e6", "tokens: x").replace("chance: 0.25", "chance: y")
    text = text.replace("name: full", "name: half")
    assert [found.line for found in mistakes(text)] == [11, 16, 21]


@pytest.mark.parametrize("part", ["series", "corpora", "tasks"])
def test_a_missing_part_is_named(part: str):
    """Once, and nothing else is complained about."""
    values = yaml.safe_load(EXPERIMENT)
    del values[part]
    found = mistakes(json.dumps(values))
    assert [each.what for each in found] == [f'"{part}" is missing.']


def test_a_rate_relative_to_an_unknown_one_is_refused_for_each_checkpoint():
    """Three checkpoints, three lines."""
    found = mistakes(changed("    pretraining_learning_rate: 1e-3\n", ""))
    assert [each.line for each in found] == [9, 10, 11]
    assert all("is not known" in each.what for each in found)


def test_a_relative_rate_is_a_multiple_of_each_checkpoint_s_own():
    """0.25 and 0.5 times 1e-3 or 4e-3; another method's rate is the same for all of them."""
    text = changed("path: S-2,", "path: S-2, pretraining_learning_rate: 4e-3,")
    text += "    - {name: lora-8, steps: 7, learning_rate: 2e-5}\n"
    found = parse_experiment(text, "small.yaml").finetuning.methods
    rates = [
        {key[1]: [how.learning_rate for how in each.values()] for key, each in m.settled.items()}
        for m in found
    ]
    slow, fast = pytest.approx([2.5e-4, 5e-4]), pytest.approx([1e-3, 2e-3])
    assert rates[0] == {"S-1": slow, "S-2": fast, "S-3": slow}
    assert rates[1] == {name: [2e-5, 2e-5] for name in ("S-1", "S-2", "S-3")}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("full", None),
        ("lora-8", 8),
        ("lora-999999999", 999_999_999),
        ("lora-1000000000", "refused"),
        ("lora-08", "refused"),
        ("lora-0", "refused"),
        ("lora-", "refused"),
        ("prefix-16", 16),
        ("prefix-0", "refused"),
        ("prefix16", "refused"),
        ("Full", "refused"),
    ],
)
def test_a_name_of_a_method_is_one_everywhere(name: str, size: int | str | None):
    """In the experiment file, for finetuning itself, and in the table that comes out of it."""
    row = {"checkpoint": "a", "loss": 3.0, "task": "t", "score": 0.5, "chance": 0.25}
    row |= {"setting": "finetuned", "examples": 8, "method": name}

    def make() -> FinetuneMethod:
        return FinetuneMethod(name=name, steps=1, learning_rate=1.0)

    if size == "refused":
        assert "there is no method" in mistakes(changed("name: full", f"name: {name}"))[0].what
        with pytest.raises(LabError, match="full, lora-<rank> or prefix-<tokens>"):
            make()
        with pytest.raises(TableError, match="not a method"):
            read_table([row])
        return
    found = parse_experiment(changed("name: full", f"name: {name}"), "small.yaml")
    assert [each.name for each in found.finetuning.methods] == [name]
    assert make().parsed.size == size
    assert read_table([row]).frame["method"].to_list() == [name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a: [1", "not YAML"),
        ("\tname: x", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("&a [*a, *b]", "not YAML"),
        ("- 1", "Write names with values"),
        ("name: \x00", "not YAML"),
    ],
)
def test_what_is_not_an_experiment_is_refused(text: str, said: str):
    """Neither YAML, nor one document, nor names with values."""
    assert any(said in str(found) for found in mistakes(text))


def test_an_alias_that_contains_itself_is_refused():
    """In a list and in a merge key: a mistake, not an endless recursion."""
    text = EXPERIMENT + "trackers: &t [*t]\nrehearsal: &r\n  <<: [*r]\n"
    assert mistakes(text)


def test_a_name_twice_is_a_mistake():
    """YAML itself would take the last one silently."""
    (found,) = mistakes(EXPERIMENT + "name: other\n")
    assert "a second time (first in line 1)" in found.what


def test_yaml_does_not_turn_names_and_numbers_into_something_else():
    """`no` is a name, `1e-3` a number, `1_000` and "1,000" whole numbers."""
    text = changed("name: S-1, path: S-1, params: 80614", "name: no, path: S-1, params: 80_614")
    found = parse_experiment(text, "small.yaml")
    assert found.checkpoints[0].name == "no"
    assert found.checkpoints[0].params == 80_614
    assert found.checkpoints[0].pretraining_learning_rate == 1e-3


def test_merge_keys_spare_repetition():
    """`<<` takes what another method says, and what is written beside it stands."""
    text = EXPERIMENT.replace("    - name: full", "    - &base\n      name: full")
    text += "    - {<<: *base, name: lora-8, steps: 7, warmup_steps: 0}\n"
    found = parse_experiment(text, "small.yaml")
    assert [method.name for method in found.finetuning.methods] == ["full", "lora-8"]
    assert stated(found, "learning_rate", 1) == {16: 0.25 * 1e-3, 64: 0.5 * 1e-3}
    assert stated(found, "steps", 1) == {16: 7, 64: 7}


def test_epochs_become_steps():
    """Rounded up, by amount of data."""
    text = changed("steps: {16: 40, 64: 60}", "epochs: {16: 10, 64: 2.6}")
    text = text.replace("warmup_steps: 10", "warmup_steps: 0")
    found = parse_experiment(text, "small.yaml")
    assert stated(found, "steps") == {16: 10, 64: 6}, "10 * 16 / 16, and 2.6 * 64 / 32 rounded up"


def test_a_folder_is_a_series_of_its_models(tmp_path: Path):
    """Sorted by name; a folder without a config.json is left out."""
    for name in ("b", "a", "not-a-model"):
        (tmp_path / "models" / name).mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / "models" / name / "config.json").write_text("{}")
    lines = EXPERIMENT.splitlines()
    text = "\n".join([*lines[:8], "    folder: models", *lines[12:]])
    found = parse_experiment(text, tmp_path / "small.yaml")
    assert [c.name for c in found.checkpoints] == ["a", "b"]


def test_a_folder_that_is_missing_or_holds_no_model_is_a_mistake(tmp_path: Path):
    """Two messages, since the remedies differ."""
    lines = EXPERIMENT.splitlines()
    text = "\n".join([*lines[:8], "    folder: models", *lines[12:]])
    with pytest.raises(ExperimentError, match="cannot be read: No such file"):
        parse_experiment(text, tmp_path / "small.yaml")
    (tmp_path / "models").mkdir()
    with pytest.raises(ExperimentError, match="holds a model"):
        parse_experiment(text, tmp_path / "small.yaml")


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path):
    """Because it is not there, or not text."""
    with pytest.raises(ExperimentError, match="No such file"):
        read_experiment(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExperimentError, match="not UTF-8"):
        read_experiment(tmp_path / "binary.yaml")


@given(st.text())
def test_no_text_raises_anything_else(text: str):
    """An experiment, or an ExperimentError."""
    try:
        found = parse_experiment(text, "any.yaml")
    except ExperimentError:
        return
    assert isinstance(found, Experiment)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "path", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    path=st.sampled_from(
        [
            ("name",),
            ("series",),
            ("series", 0),
            ("series", 0, "checkpoints"),
            ("series", 0, "checkpoints", 1),
            ("series", 0, "checkpoints", 1, "tokens"),
            ("series", 0, "choose"),
            ("tasks", 0, "chance"),
            ("tasks", 0, "examples"),
            ("finetune",),
            ("finetune", "examples"),
            ("finetune", "seeds"),
            ("finetune", "methods"),
            ("finetune", "methods", 0, "steps"),
            ("finetune", "methods", 0, "max_grad_norm"),
            ("evaluation",),
            ("rehearsal",),
            ("trackers",),
            ("costs",),
        ]
    ),
    value=VALUES,
)
def test_whatever_stands_in_a_place_it_is_a_mistake_or_an_experiment(path, value):
    """Any value in place of each part of the file."""
    document = yaml.safe_load(EXPERIMENT)
    *above, last = path
    place = document
    for step in above:
        place = place[step]
    place[last] = value
    try:
        found = parse_experiment(yaml.safe_dump(document), "any.yaml")
    except ExperimentError:
        return
    assert isinstance(found, Experiment)

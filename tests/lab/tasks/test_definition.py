"""The definition of a task: what changes it, and what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emergecast.lab.tasks import ItemScore, LoadedTask, Task, load_task

YAML = """\
task: sums
include: base.yaml
dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
process_docs: !function code.ask
process_results: !function code.mark
generation_kwargs: {until: ["."], max_gen_toks: 6, do_sample: false}
filter_list:
  - name: clean
    filter:
      - {function: regex, regex_pattern: "([0-9]+)"}
      - {function: take_first}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}]
metadata: {version: 1}
"""
BASE = """\
dataset_path: json
output_type: generate_until
training_split: train
test_split: test
fewshot_split: train
repeats: 1
"""
CODE = '''\
"""How sums are asked and marked."""
from helper import close_enough

WORDS = "words.txt"  # spelt numbers


def _end(doc):
    return {**doc, "q": doc["q"] + ""}


def ask(docs):
    return docs.map(_end)


def mark(doc, results):
    return {"exact_match": close_enough(results[0], doc["a"])}
'''
HELPER = """\
def close_enough(said, target):
    return float(said == target)
"""
FEW = "fewshot_config: {sampler: first_n}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of sums, with functions of its own that import a module beside them."""
    place = tmp_path / "tasks"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    for name, text in (
        ("sums.yaml", YAML),
        ("base.yaml", BASE),
        ("code.py", CODE),
        ("helper.py", HELPER),
        ("words.txt", "one\ntwo\n"),
        ("other.yaml", YAML.replace("task: sums", "task: other")),
        ("train.jsonl", _lines((f"{i} + 1 =", f"{i + 1}") for i in range(20))),
        ("test.jsonl", _lines((f"{i} + 2 =", f"{i + 2}") for i in range(6))),
    ):
        (place / name).write_text(text, "utf-8")
    return place


def _lines(rows) -> str:
    return "".join(json.dumps({"q": q, "a": a}) + "\n" for q, a in rows)


def sums(folder: Path, *, shots: int = 2) -> LoadedTask:
    """The task, asked with two examples."""
    return load_task(Task(name="sums", include_path=folder, shots=shots), limit=4)


def edit(path: Path, old: str, new: str) -> None:
    """Replace some text of a file that holds it once."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


TAKE = "      - {function: take_first}\n"
REGEX = '      - {function: regex, regex_pattern: "([0-9]+)"}\n'


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("sums.yaml", REGEX + TAKE, TAKE + REGEX),
        ("sums.yaml", '"([0-9]+)"', '"([0-9])"'),
        ("sums.yaml", REGEX, REGEX + "      - {function: remove_whitespace}\n"),
        ("sums.yaml", "ignore_case: true", "ignore_case: false"),
        ("sums.yaml", "ignore_case: true", "ignore_case: true, ignore_punctuation: true"),
        ("sums.yaml", "aggregation: mean", "aggregation: median"),
        ("sums.yaml", "max_gen_toks: 6", "max_gen_toks: 7"),
        ("sums.yaml", 'until: ["."]', 'until: ["."," "]'),
        ("sums.yaml", "metadata:", FEW + "metadata:"),
        ("sums.yaml", "code.mark", "code.marked"),
        ("base.yaml", "repeats: 1", "repeats: 2"),
        ("code.py", "results[0], doc", "results[0].strip(), doc"),
        ("code.py", 'doc["q"] + ""', 'doc["q"] + " "'),
        ("helper.py", "said == target", "said.lower() == target"),
        ("words.txt", "two", "three"),
        ("test.jsonl", '"a": "3"', '"a": "three"'),
        ("test.jsonl", '"q": "5 + 2 ="', '"q": "5 + 2 is"'),  # beyond the limit of items
    ],
)
def test_whatever_decides_a_score_is_part_of_the_definition(folder, file, old, new):
    """Filters, their order and arguments, metrics, functions, what they import and read, data."""
    edit(folder / "code.py", "def mark(", "def marked(d, r):\n    return mark(d, r)\n\n\ndef mark(")
    before = sums(folder).definition.hash
    assert sums(folder).definition.hash == before
    edit(folder / file, old, new)
    assert sums(folder).definition.hash != before


def test_what_decides_no_score_is_not(folder, tmp_path):
    """Comments, order of settings, names, another task of the folder, and where the folder lies."""
    before = sums(folder)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    edit(moved / "sums.yaml", "task: sums\n", "# a remark\ntask_alias: Sums\ntask: sums\n")
    edit(moved / "sums.yaml", "train.jsonl, test: test", f"{moved}/train.jsonl, test: t")
    edit(moved / "sums.yaml", '"([0-9]+)"}', '"([0-9]+)"}  # digits')
    edit(moved / "sums.yaml", "{function: take_first}", "  {function: take_first}")
    edit(moved / "sums.yaml", ", ignore_case: true", "")
    edit(moved / "sums.yaml", "{metric: exact", "{ignore_case: true, metric: exact")
    edit(moved / "code.py", "  # spelt numbers\n\n", "\n# numbers\n\n")
    edit(moved / "other.yaml", "max_gen_toks: 6", "max_gen_toks: 9")
    (moved / "test.jsonl").rename(moved / "t.jsonl")
    after = sums(moved)
    assert (after.definition.hash, after.hash) == (before.definition.hash, before.hash)


def test_an_empty_line_within_a_text_counts(folder):
    """A prompt that a function writes over several lines is not a comment."""
    written = []
    for inner in ("a\n\nb", "a\nb"):
        (folder / "helper.py").write_text(HELPER + f'\nPROMPT = """{inner}"""\n', "utf-8")
        written.append(sums(folder).definition.hash)
    assert written[0] != written[1]


def test_few_shot_settings_count_where_there_are_shots(folder):
    """A finetuned model is asked without them."""
    before = [sums(folder, shots=shots).definition.hash for shots in (0, 2)]
    edit(folder / "sums.yaml", "metadata:", FEW + "metadata:")
    after = [sums(folder, shots=shots).definition.hash for shots in (0, 2)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_documents_are_made_by_the_code_as_it_is_now(folder):
    """A data set keeps what an earlier process made of it on disk, and would not notice."""
    assert sums(folder).example[0].endswith("0 + 2 =")
    edit(folder / "code.py", 'doc["q"] + ""', 'doc["q"] + " what?"')
    assert sums(folder).example[0].endswith("0 + 2 = what?")


def test_the_files_of_a_definition_are_known(folder, tmp_path):
    """Those outside the folder of the task too, so that a change of them is noticed."""
    (folder / "base.yaml").rename(tmp_path / "base.yaml")
    edit(folder / "sums.yaml", "include: base.yaml", "include: ../base.yaml")
    names = {Path(each).name for each in sums(folder).definition.files}
    assert names == {
        *("sums.yaml", "base.yaml", "code.py", "helper.py"),
        *("words.txt", "train.jsonl", "test.jsonl"),
    }


def test_what_is_kept_of_a_generated_item(folder):
    """Text, what the filters make of it, target, and whether it is right."""
    said = ["it is 2", "3.", "5", "none"]
    assert sums(folder).score(said) == tuple(
        ItemScore(
            id=str(i),
            correct=correct,
            logprob=None,
            prompt=score.prompt,
            completion=text,
            target=str(i + 2),
            answer=answer,
        )
        for i, (text, answer, correct, score) in enumerate(
            zip(
                said,
                ["2", "3", None, "[invalid]"],
                [1.0, 1.0, 0.0, 0.0],
                sums(folder).score(said),
                strict=True,
            )
        )
    )
    assert len({each.prompt for each in sums(folder).score(said)}) == 4


def test_what_is_kept_of_a_choice(matching):
    """The most likely choice and the right one, with the delimiter before them."""
    item = matching.items[0]
    likely = item.requests[2]
    said = [(-1.0 if i == likely else -2.0, False) for i in range(len(matching.requests))]
    score = matching.score(said)[0]
    assert score.completion == matching.requests[likely].args[1]
    assert score.target == matching.requests[item.right].args[1]
    assert score.correct == float(score.completion == score.target)
    assert matching.example == (matching.requests[0].args[0], score.target)


def test_what_a_group_changes_of_its_tasks_counts(folder):
    """Settings, and the code of a function that the group alone names."""
    (folder / "marks.py").write_text(CODE, "utf-8")
    group = (
        "group: pair\ntask:\n  - {task: sums, process_results: !function marks.mark}\n  - other\n"
    )
    (folder / "pair.yaml").write_text(group, "utf-8")
    asked = Task(name="pair", include_path=folder)
    before = load_task(asked, limit=4).definition.hash
    edit(folder / "marks.py", "results[0], doc", "results[0].strip(), doc")
    after = load_task(asked, limit=4).definition.hash
    assert after != before
    edit(folder / "pair.yaml", "- {", "- {repeats: 2, ")
    assert load_task(asked, limit=4).definition.hash != after

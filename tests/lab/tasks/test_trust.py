"""Code of a task folder runs when somebody said so, and nothing else of it is code."""

from __future__ import annotations

import json
import py_compile
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.flat import flat
from tests.lab.tasks.test_yaml_faults import bomb
from tests.lab.worker.small_models import GENERATES

from emergecast.errors import LabError
from emergecast.lab.tasks import Task, load_task, read_task_folder, trust, untrusted_code

CODE = """\
from pathlib import Path
Path(__file__).with_name("ran").touch()
def score(doc, results):
    return {"exact_match": 1.0}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task folder whose YAML names a function, and no answers of anybody."""
    monkeypatch.setenv("EMERGECAST_CONFIG", str(tmp_path / "config"))
    path = tmp_path / "tasks"
    path.mkdir()
    for name in ("train", "test"):
        rows = [json.dumps({"q": f"{i} + {i} =", "a": f" {2 * i}"}) for i in range(4)]
        (path / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    (path / "sums.yaml").write_text(f"{GENERATES}process_results: !function utils.score\n", "utf-8")
    (path / "utils.py").write_text(CODE, "utf-8")
    return path


def task(folder: Path) -> Task:
    """The task of the folder."""
    return Task(name="sums", include_path=folder)


def test_code_runs_when_it_is_trusted_and_not_before(folder: Path):
    """The refusal names its files; one answer is enough, also where the folder is moved."""
    with pytest.raises(LabError, match=r"not trusted: utils\.py.*--trust"):
        load_task(task(folder))
    assert not (folder / "ran").exists()
    found = untrusted_code(task(folder))
    assert found is not None
    assert found.functions == ("utils.score",)
    trust(found)
    moved = folder.rename(folder.with_name("moved"))
    assert load_task(task(moved)).n_items == 4
    assert (moved / "ran").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("utils.py", CODE + "# another\n"),
        ("helper.py", "x = 1\n"),  # which utils.py might import
        ("more.yaml", "task: more\ndoc_to_text: !function os.system\n"),
    ],
)
def test_changed_code_is_asked_about_again(folder: Path, file: str, text: str):
    """Whether a file of it is changed, one is added, or another function is named."""
    found = untrusted_code(task(folder))
    assert found is not None
    trust(found)
    assert untrusted_code(task(folder)) is None
    (folder / "train.jsonl").write_text("", "utf-8")
    assert untrusted_code(task(folder)) is None, "data are no code"
    (folder / file).write_text(text, "utf-8")
    assert untrusted_code(task(folder)) is not None


def test_code_that_is_included_from_elsewhere_counts(folder: Path):
    """A YAML file of the folder may include one that lies beside it."""
    (folder / "sums.yaml").rename(folder.parent / "base.yaml")
    (folder / "utils.py").rename(folder.parent / "utils.py")
    (folder / "sums.yaml").write_text("include: ../base.yaml\ntask: sums\n", "utf-8")
    found = read_task_folder(folder)
    assert found.code == (folder.parent.resolve() / "utils.py",)
    with pytest.raises(LabError, match="not trusted"):
        load_task(task(folder))


def test_a_compiled_file_beside_the_source_is_not_run(folder: Path):
    """Python would take it for the source without looking: what was read is what runs."""
    bad = folder.parent / "bad.py"
    bad.write_text(f"open({str(folder / 'bad')!r}, 'w')\n{CODE}", "utf-8")
    cached = folder / "__pycache__" / f"utils.{sys.implementation.cache_tag}.pyc"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(bad), cfile=str(cached), invalidation_mode=unchecked)
    found = untrusted_code(task(folder))
    assert found is not None
    trust(found)
    assert load_task(task(folder)).n_items == 4
    assert (folder / "ran").exists()
    assert not (folder / "bad").exists()


def test_a_template_cannot_reach_python(folder: Path):
    """It is text in a YAML file, so nobody is asked about it."""
    text = "{{ q.__class__.__mro__[1].__subclasses__() }}"
    (folder / "sums.yaml").write_text(GENERATES.replace("{{q}}", text), "utf-8")
    with pytest.raises(LabError, match=r"access to attribute '__class__' of 'str' .*is unsafe"):
        load_task(task(folder))
    (folder / "sums.yaml").write_text(GENERATES.replace("{{q}}", "{{ q.upper() }}"), "utf-8")
    assert load_task(task(folder)).requests[0].args[0] == "0 + 0 ="


@pytest.mark.parametrize("metric", ["unheard-of", "./utils.py"])
def test_a_metric_that_would_be_fetched_is_refused(folder: Path, metric: str):
    """The harness looks for a program of that name on the hub, or in the folder, and runs it."""
    text = GENERATES.replace("metric: exact_match", f"metric: {metric}")
    (folder / "sums.yaml").write_text(text, "utf-8")
    with pytest.raises(LabError, match=f'the harness has no metric "{metric}"'):
        load_task(task(folder))


def test_aliases_without_end_in_a_task_are_a_message(folder: Path):
    """The harness would build them all."""
    (folder / "bomb.yaml").write_text(bomb("merges", 40), "utf-8")
    began = time.monotonic()
    with pytest.raises(LabError, match=r"bomb\.yaml.*, line 47: the aliases of this file"):
        load_task(task(folder))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("old", "new", "local"),
    [
        ("task: sums", "task: sums", True),
        ("dataset_path: json", "dataset_path: someone/sums", False),
        ("test.jsonl", "https://example.org/test.jsonl", False),
        ("test.jsonl", "hf://datasets/a/b/test.jsonl", False),
    ],
)
def test_data_of_this_machine_are_told_from_others(folder: Path, old: str, new: str, local):
    """By the builder of the data set and the places of its files."""
    (folder / "sums.yaml").write_text(GENERATES.replace(old, new), "utf-8")
    assert read_task_folder(folder).is_local is local


def emergecast(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command whose input is a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "emergecast", *map(str, arguments)],
        input="y\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_asks_nothing_on_a_pipe(folder: Path):
    """It names the files and refuses; `--trust` is remembered, and said again to nobody."""
    file = folder.parent / "exp.yaml"
    file.write_text(
        "series: [{name: s, checkpoints: [{name: a, path: gone}]}]\n"
        "corpora: [{name: held, path: tasks/train.jsonl}]\n"
        f"tasks: [{{name: sums, include_path: {folder.name}, chance: 0}}]\n",
        "utf-8",
    )
    asked = emergecast("plan", file)
    assert asked.returncode == 2
    assert "names Python functions: utils.score\n  utils.py\n" in asked.stderr
    assert 'line 3: tasks[0]: task "sums" runs Python code' in flat(asked.stderr)
    assert not (folder / "ran").exists()
    trusted = emergecast("plan", file, "--trust")
    assert "runs Python code" not in flat(trusted.stderr)
    assert (folder / "ran").exists()
    again = emergecast("plan", file)
    assert "Python" not in again.stderr

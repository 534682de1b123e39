"""Fetching from a hub on this machine, by the command line and by a run."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lab.hub_cache import fast_tokenizer, tiny
from tests.lab.hub_server import HubServer, serving

from emergecast.errors import LabError
from emergecast.lab.fetching import Need, NeedKind, Needs, fetch

PYTHIA = "EleutherAI/pythia-70m"
C4 = "datasets/allenai/c4"
EXPERIMENT = """\
output: results
series: [{name: pythia_70m, steps: [0, 128, 256], keep: none}]
corpora: [{name: held-out, path: held-out.txt}]
tasks: [{name: gases, include_path: tasks, chance: 0.5}]
"""


def validation(number: int) -> str:
    """A file of C4, of which each holds 45,576 of the 364,608 documents."""
    return f"en/c4-validation.{number:05}-of-00008.json.gz"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """Three steps of Pythia, the last with the weights of the second; a chimera; a gated one."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    work, words = tmp_path_factory.mktemp("hub"), fast_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    folders = {}
    for name, seed in (("step0", 0), ("step1", 1), ("step128", 1), ("step256", 2), ("mine", 3)):
        folders[name] = tiny(GPTNeoXForCausalLM, config, work / name, seed=seed)
        words.save_pretrained(folders[name])
    (work / "c4" / "en").mkdir(parents=True)
    for number in range(8):
        with gzip.open(work / "c4" / validation(number), "wt") as text:
            text.write(json.dumps({"text": f"the dog sat {number}"}) + "\n")
    server = HubServer(
        repositories={
            PYTHIA: folders,
            "meta-llama/Llama-2-7b-hf": {"main": folders["step0"]},
            C4: {"main": work / "c4"},
            "me/mine": {"half": folders.pop("mine")},
        },
        gated=frozenset({"meta-llama/Llama-2-7b-hf"}),
    )
    with serving(server) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The experiment file, its corpus and its task."""
    (tmp_path / "held-out.txt").write_text("the cat sat on the log\n", "utf-8")
    (tmp_path / "e.yaml").write_text(EXPERIMENT, "utf-8")
    return tmp_path / "e.yaml"


def called(hub: HubServer, home: Path, *words: str, status: int = 0) -> Any:
    """What a command prints as JSON, or on standard error where there is none."""
    done = subprocess.run(
        [sys.executable, "-m", "emergecast", *words],
        env={**os.environ, **hub.environment(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr


def test_fetch_says_how_much_it_is_fetches_it_and_goes_on(hub, file, tmp_path):
    """The sizes are those of the files; nothing is asked for twice, and what is broken off is."""
    home = tmp_path / "home"
    before = len(hub.asked)
    said = called(hub, home, "fetch", str(file), "--dry-run", "--json")
    folders = [hub.repositories[PYTHIA][name] for name in ("step0", "step128", "step256")]
    whole = sum(each.stat().st_size for folder in folders for each in folder.iterdir())
    assert said["bytes_to_fetch"] == said["bytes_on_disk"] == whole
    assert [each["here"] for each in said["needs"]] == [False] * 3
    (file.parent / "own.txt").write_text("some text", "utf-8")
    words = ("loss", str(file), "--corpus", str(file.parent / "own.txt"), "-o", "own.csv")
    said = called(hub, home, *words, "--dry-run", "--json")
    assert said["bytes_to_fetch"] == whole
    assert said["cannot_be_fetched"] == {}
    assert len(hub.asked) == before, "a dry run downloads nothing"

    said = called(hub, home, "fetch", str(file), "--json", "--jobs", "2")
    assert sorted(said["fetched"]) == [
        f"{PYTHIA}@{name}" for name in ("step0", "step128", "step256")
    ]
    assert said["failed"] == {}
    weights = sorted(home.rglob("model.safetensors"))
    assert {each.read_bytes() for each in weights} == {
        (folder / "model.safetensors").read_bytes() for folder in folders
    }
    weights[0].resolve().unlink()
    weights[0].unlink(missing_ok=True)
    before = len(hub.asked)
    said = called(hub, home, "fetch", str(file), "--json")
    assert [each["here"] for each in said["needs"]].count(False) == len(said["fetched"]) == 1
    assert hub.asked[before:] == [f"{PYTHIA}/model.safetensors"], "the rest was there"


def test_of_c4_the_files_that_hold_the_documents_are_fetched(hub, file, tmp_path):
    """Of 50,000 documents two files by name, with their size before; then the one that is gone."""
    home = tmp_path / "home"
    text = EXPERIMENT.replace(
        "{name: held-out, path: held-out.txt}", "{name: c4, documents: 50000}"
    )
    file.write_text(text.replace("[0, 128, 256]", "[0]"), "utf-8")
    said = called(hub, home, "fetch", str(file), "--json")
    (need,) = (each for each in said["needs"] if each["kind"] == "corpus")
    sizes = [(hub.repositories[C4]["main"] / validation(i)).stat().st_size for i in range(2)]
    assert (need["files"], need["bytes"]) == ([validation(0), validation(1)], sum(sizes))
    assert "allenai/c4" in said["fetched"]
    first, second = sorted(home.rglob("*.json.gz"))
    assert second.read_bytes() == (hub.repositories[C4]["main"] / validation(1)).read_bytes()
    first.unlink()
    before = len(hub.asked)
    (need,) = (
        each
        for each in called(hub, home, "fetch", str(file), "--json")["needs"]
        if each["kind"] == "corpus"
    )
    assert (need["files"], need["bytes"]) == ([validation(0)], sizes[0])
    assert not [each for each in hub.asked[before:] if validation(1) in each]


def test_verify_asks_for_hashes_and_names_what_is_equal_or_missing(hub, tmp_path):
    """The hashes are those of the files; step 1 and step 128 are one; most of Pythia is missing."""
    before = len(hub.asked)
    said = called(hub, tmp_path / "home", "series", "verify", "pythia_70m", "--json", status=1)
    assert len(hub.asked) == before, "nothing is downloaded"
    wanted = (hub.repositories[PYTHIA]["step0"] / "model.safetensors").read_bytes()
    assert said["hashes"]["step0"] == {"model.safetensors": hashlib.sha256(wanted).hexdigest()}
    assert [(each["checkpoints"], each["whole"], each["known"]) for each in said["suspicions"]] == [
        (["step1", "step128"], True, False)
    ]
    assert len(said["missing"]) == 154 - 4
    assert 'no revision "step2". Did you mean "step128" or "step256"?' in said["missing"]["step2"]


def test_gated_and_missing_repositories_are_named_with_what_to_do(hub, file, tmp_path):
    """Each problem once, before anything is downloaded."""
    text = EXPERIMENT.replace("[{name", "[{name: llama_2}, {name", 1).replace("128, 256", "4")
    file.write_text(text, "utf-8")
    failed = called(hub, tmp_path / "home", "fetch", str(file), "--json", status=2)["failed"]
    gated = "meta-llama/Llama-2-7b-hf"
    assert f"gated. Accept its conditions at https://huggingface.co/{gated}" in failed[gated]
    assert "on the hub (RepositoryNotFound" in failed["meta-llama/Llama-2-70b-hf"]
    assert 'has no revision "step4"' in failed[f"{PYTHIA}@step4"]
    assert f"{PYTHIA}@step0" not in failed


def test_too_little_room_is_said_before_anything_is_fetched(tmp_path):
    """Twice the size where weights are written a second time."""
    need = Need(
        kind=NeedKind.WEIGHTS, repository="a/b", revision=None, bytes=20 * 10**9, here=False,
        converted=True,
    )  # fmt: skip
    small = Needs(needs=(need,), free_bytes=40 * 10**9, cache=tmp_path)
    with pytest.raises(LabError, match=r"40\.0 GB are to be stored.* has 40\.0 GB free"):
        fetch(small)
    Needs(needs=(need,), free_bytes=42 * 10**9, cache=tmp_path).check_room()


RUN = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.lab.executors.in_process import InProcess
from emergecast.lab.checkpoints import folders_of, cached
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import read_experiment
from emergecast.lab.fetching import needs_of
from emergecast.lab.plan import survey
experiment = read_experiment(sys.argv[1])
folders_of(experiment.checkpoints[0])
planned = survey(experiment).plan
found = [cached(each) is not None for each in experiment.checkpoints]
events = []
report = run_all(experiment, executor=lambda e, _: InProcess(e), listener=events.append)
left = [cached(each) is not None for each in experiment.checkpoints]
again = survey(experiment).plan
print(json.dumps({
    "planned": len(planned.missing), "problems": [str(each) for each in planned.problems],
    "found": found, "done": report.done, "failed": report.failed, "left": left,
    "again": len(again.missing), "keys": [a.key == b.key for a, b in zip(planned.runs, again.runs)],
}))
"""


def test_a_run_fetches_measures_and_lets_go(hub, file, tmp_path):
    """Planned without a download of weights; what was there before stays, the rest is deleted.

    So it is with a series of the catalogue, and with revisions that the user lists.
    """
    mine = "{name: mine, keep: none, checkpoints: [{name: a, repo: me/mine, revision: half}]}"
    file.write_text(EXPERIMENT.replace("keep: none}]", f"keep: none}}, {mine}]"), "utf-8")
    (tmp_path / "tasks").mkdir()
    task = (
        "task: gases\ndataset_path: json\ndataset_kwargs: {data_files: {test: test.jsonl}}\n"
        "output_type: multiple_choice\ntest_split: test\ndoc_to_text: prompt\n"
        "doc_to_choice: choices\ndoc_to_target: answer\nmetric_list: [{metric: acc}]\n"
    )
    (tmp_path / "tasks" / "gases.yaml").write_text(task, "utf-8")
    rows = [{"prompt": "cats", "choices": [" sat", " ran"], "answer": i % 2} for i in range(4)]
    (tmp_path / "tasks" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(file), str(Path(__file__).parents[3])],
        env={**os.environ, **hub.environment(home), "HF_DATASETS_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {
        "planned": 8, "problems": [], "found": [True, False, False, False], "done": 8,
        "failed": 0, "left": [True, False, False, False], "again": 0, "keys": [True] * 8,
    }  # fmt: skip
    assert json.loads((tmp_path / "results" / "fetched.json").read_text("utf-8")) == [
        "mine/a",
        "pythia_70m/step128",
        "pythia_70m/step256",
    ]
    assert len(list(home.rglob("config.json"))) == 4, "settings stay"

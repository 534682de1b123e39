"""Series of the catalogue from a cache of the hub: plan and run, as where the hub was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache, open_llama, pythia

from emergecast.lab.checkpoints import folders_of, load
from emergecast.lab.executors import Event, RunOptions, run_all
from emergecast.lab.experiment import Experiment, read_experiment
from emergecast.lab.plan import make_table, survey

EXPERIMENT = """\
output: results
series:
  - {name: open_llama_v1_3b, steps: [2500, 5000], tokenizer: v1}
  - {name: pythia_70m, steps: [0, 128], tokenizer: neox}
corpora: [{name: held-out, path: held-out.txt}]
tasks: [{name: gases, include_path: tasks, chance: 0.25}]
"""
TASK = """\
task: gases
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> HubCache:
    """Two steps of OpenLLaMA 3B, pickled as published, and two of Pythia 70M."""
    work = tmp_path_factory.mktemp("made")
    cache = HubCache(home=tmp_path_factory.mktemp("home"))
    open_llama(cache, work, [2500, 5000])
    pythia(cache, work, [0, 128])
    return cache


@pytest.fixture
def experiment(cache, tmp_path: Path, monkeypatch) -> Experiment:
    """The experiment on them, a corpus and a task of four items."""
    cache.in_use(monkeypatch)
    (tmp_path / "held-out.txt").write_text("the cat sat on the log\nplants give off oxygen\n")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "gases.yaml").write_text(TASK, "utf-8")
    rows = [
        {
            "prompt": "plants  take up",
            "choices": [" nuts", " oxygen", " bags", " logs"],
            "answer": i,
        }
        for i in range(4)
    ]
    (tmp_path / "tasks" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "e.yaml").write_text(EXPERIMENT, "utf-8")
    return read_experiment(tmp_path / "e.yaml")


def test_two_series_are_planned_and_run_from_the_cache(experiment):
    """Losses and few-shot scores of four checkpoints; steps, tokens and compute in the table."""
    events: list[Event] = []
    report = run_all(experiment, executor=lambda e, _: InProcess(e), listener=events.append,
                     options=RunOptions(workers=1))  # fmt: skip
    assert (report.done, report.failed) == (8, 0)
    found = survey(experiment)
    rows = make_table(found.plan, found.results).table.frame
    assert sorted(rows["checkpoint"].unique()) == ["step0", "step128", "step2500", "step5000"]
    llama = rows.filter(rows["checkpoint"] == "step2500")
    assert llama["tokens"].unique().to_list() == [10_485_760_000]
    assert llama["params"].unique().to_list() == [3_426_473_600]


def test_a_slow_tokenizer_of_the_final_repository_is_sentencepiece_itself(experiment):
    """The same tokens as the package makes of the file: spaces are merged, BOS comes first."""
    import sentencepiece

    checkpoint = experiment.series[0].checkpoints[0]
    folders = folders_of(checkpoint)
    assert "open_llama_3b/" in f"{folders.tokenizer}/".replace("--", "/").replace("_step", "/")
    processor = sentencepiece.SentencePieceProcessor(str(folders.tokenizer / "tokenizer.model"))
    tokenizer = load(checkpoint).tokenizer
    for text in ("the  cat   sat", " dog", "Question: 4 nuts\nAnswer:", "é"):
        assert tokenizer(text)["input_ids"] == [processor.bos_id(), *processor.encode(text)]
        assert tokenizer.encode(text, add_special_tokens=False) == processor.encode(text)
    assert tokenizer.decode(processor.encode("the cat")) == "the cat"


def test_pickled_weights_are_read_as_they_were_written(experiment, cache):
    """A reader that runs nothing, once: the second time the converted folder is taken."""
    import torch

    checkpoint = experiment.series[0].checkpoints[1]
    folders = folders_of(checkpoint)
    assert folders.model != folders.published
    wanted = torch.load(folders.published / "pytorch_model.bin", weights_only=True)
    model = load(checkpoint).model
    assert model.state_dict().keys() == wanted.keys()
    assert all(torch.equal(model.state_dict()[name], wanted[name]) for name in wanted)
    written = (folders.model / "model.safetensors").stat().st_mtime_ns
    assert folders_of(checkpoint).model == folders.model
    assert (folders.model / "model.safetensors").stat().st_mtime_ns == written
    assert cache.home in folders.model.parents

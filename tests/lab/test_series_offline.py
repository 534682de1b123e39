"""Series of the catalogue from a cache of the hub: plan and run, as where the hub was asked."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache, put_series
from tests.lab.hub_server import commit_of
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.cli.texts.experiments import plan_text
from emergecast.errors import ExperimentError
from emergecast.lab.catalogue.series import catalogued_series, verify
from emergecast.lab.checkpoints import folders_of, load
from emergecast.lab.executors import Event, RunOptions, run_all
from emergecast.lab.experiment import Experiment, parse_experiment, read_experiment
from emergecast.lab.ledger import Result
from emergecast.lab.plan import estimate, make_table, survey

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
    put_series(cache, work / "llama", "open_llama_v1_3b", [2500, 5000])
    cache.put("o/pickled", work / "llama" / "step2500")
    put_series(cache, work / "neox", "pythia_70m", [0, 128])
    put_series(cache, work / "large", "pythia_410m", [1000, 2000, 3000], shards=True)
    three = [work / "large" / f"step{step}" for step in (1000, 2000, 3000)]
    # The first shard of step 3000 is that of step 1000.
    for name in ("model-00001-of-00002.safetensors",):
        (three[2] / name).write_bytes((three[0] / name).read_bytes())
    cache.put("EleutherAI/pythia-410m", three[2], revision="step3000")
    cache.put("EleutherAI/pythia-410m", three[1], revision="step4000")
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
    assert "models--openlm-research--open_llama_3b" in folders.tokenizer.parts
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


def test_equal_weights_and_chimeras_stop_the_plan(experiment):
    """Steps 2000 and 4000 are one; a shard of step 3000 is that of step 1000."""
    text = EXPERIMENT.replace("pythia_70m, steps: [0, 128]", "pythia_410m, steps: STEPS")
    steps = "[1000, 2000, 3000, 4000]"
    problems = survey(parse_experiment(text.replace("STEPS", steps), experiment.file)).plan.problems
    said = [each.what for each in problems]
    assert len(said) == 2
    assert '"step3000" and "step1000" share a weight file' in said[0]
    assert '"step4000" and "step2000" have the same weights' in said[1]
    fine = parse_experiment(text.replace("STEPS", "[1000, 2000]"), experiment.file)
    assert not survey(fine).plan.problems


def test_verify_hashes_what_is_in_the_cache(experiment):
    """The same groups by hash, each file named; what is not here is not called missing."""
    found = verify(catalogued_series("pythia_410m"))
    assert found.asked == "cache"
    assert [(each.checkpoints, each.whole) for each in found.suspicions] == [
        (("step1000", "step3000"), False),
        (("step2000", "step4000"), True),
    ]
    assert found.suspicions[0].file == "model-00001-of-00002.safetensors"
    assert not found.sound
    assert len(found.missing) == 154 - 4
    small = verify(catalogued_series("pythia_70m"))
    folder = folders_of(experiment.series[1].checkpoints[0]).model
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert small.hashes["step0"] == {"model.safetensors": digest}
    assert small.sound


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pythia_70m", "pythia_70n", 'series of the catalogue? Did you mean "pythia_70m"?'),
        ("[0, 128]", "[0, 129]", "no checkpoint at step 129; the nearest are 64 and 128"),
        ("[0, 128]", "[0], keep: some", "Use all, none."),
        ("steps: [0, 128]", "steps: [0], folder: tasks", "it is for series of the catalogue alone"),
        (
            "steps: [0, 128]",
            "keep: none, checkpoints: [{name: a, path: tasks}]",
            "is a folder of yours, from which nothing is deleted.",
        ),
        (
            "pythia_70m, steps: [0, 128]",
            "a, keep: none, checkpoints: [{name: b, repo: o/pickled}]",
            "are pickled (pytorch_model.bin)",
        ),
        ("[0, 128]", "[0, 1000]", 'revision "step1000" of "EleutherAI/pythia-70m" on the hub'),
    ],
)
def test_mistakes_of_a_catalogued_series_stand_at_their_line(experiment, old, new, said):
    """Unknown names and steps, a word that is none, and what is not in the cache."""
    found = str(mistakes(EXPERIMENT.replace(old, new), experiment.file))
    assert said in found
    assert "line 4" in found


def test_revisions_that_a_user_lists_need_not_be_kept(experiment):
    """Their runs have the keys that they have where all is kept."""
    mine = "mine, KEEPcheckpoints: [{name: a, repo: EleutherAI/pythia-70m, revision: step0}]"
    text = EXPERIMENT.replace("pythia_70m, steps: [0, 128]", mine)
    keys = []
    for keep in ("", "keep: none, "):
        found = survey(parse_experiment(text.replace("KEEP", keep), experiment.file)).plan
        assert not found.problems
        keys.append([run.key for run in found.runs])
    assert len(keys[0]) == 6
    assert keys[0] == keys[1]


def test_commits_are_recorded_and_a_moved_tag_is_said(cache, experiment, monkeypatch):
    """With each result; after a move with the same weights nothing is measured again."""
    folder = experiment.file.parent
    mine = HubCache(home=Path(shutil.copytree(cache.home, folder / "home")))
    mine.in_use(monkeypatch)
    text = EXPERIMENT.replace("[2500, 5000]", "[2500]").replace("[0, 128]", "[0]")
    first = _measured(text, experiment.file)
    commits = {result.title.split()[0]: result.commits for result in first.values()}
    llama, neox = "openlm-research/open_llama_3b", "EleutherAI/pythia-70m"
    commit = {name: commit_of(name, "main") for name in (llama, f"{llama}_step_2500")}
    old = commit_of(neox, "step0")
    assert commits == {
        "open_llama_v1_3b/step2500": commit,
        "pythia_70m/step0": {f"{neox}@step0": old},
    }

    place, new = mine.home / "hub" / "models--EleutherAI--pythia-70m", "f" * 40
    (place / "snapshots" / old).rename(place / "snapshots" / new)
    (place / "refs" / "step0").write_text(new)
    (folder / "more.txt").write_text("the dog sat on the log\n")
    text = text.replace("[{name: held-out,", "[{name: more, path: more.txt}, {name: held-out,")
    both = _measured(text, experiment.file)
    assert {key: both[key].started for key in first} == {key: first[key].started for key in first}
    moved = (
        f"{neox}@step0 moved on the hub between runs: results were measured on commits"
        f" {old[:12]} (2), then ffffffffffff (1)."
    )
    experiment.file.write_text(text, "utf-8")
    said = CliRunner().invoke(app, ["status", str(experiment.file)]).output
    assert "Results are of 3 revisions of the hub" in said
    assert moved in said
    table = ["export", str(experiment.file), "-o", str(folder / "t.csv"), "--json"]
    exported = json.loads(CliRunner().invoke(app, table).output)
    assert moved in exported["warnings"]
    assert exported["commits"][f"{neox}@step0"] == {old: 2, new: 1}
    shown = CliRunner().invoke(app, ["show", str(experiment.file), "pythia*more"]).output
    assert f"hub         {neox}@step0: {new}" in shown


def _measured(text: str, file: Path) -> Mapping[str, Result]:
    """The results after a run of the whole experiment."""
    experiment = parse_experiment(text, file)
    run_all(experiment, executor=lambda e, _: InProcess(e))
    return survey(experiment).results


def test_what_is_wrong_with_many_checkpoints_is_said_once(experiment):
    """With the count and the first names, where one line names them all; the advice once too."""
    text = EXPERIMENT.replace("[0, 128]", "[0, 1000, 2000, 3000, 4000, 5000]")
    text = text.replace("[2500, 5000]", "[2500, 7500]")
    one, many = survey(parse_experiment(text, experiment.file)).plan.problems
    at = 'could not be read from revision "step1000" of "EleutherAI/pythia-70m" on the hub (Local'
    assert many.what.startswith(f'checkpoint "step1000" {at}')
    wanted = 'The same goes for 4 more: "step2000", "step3000", "step4000" and 1 more.'
    assert many.remedy == wanted
    assert one.what.startswith('checkpoint "step7500" could not be read from the main branch of')
    assert one.remedy == "The last one of these says more."
    assert "HF_HOME" in many.what
    assert "HF_HOME" not in one.what


def mistakes(text: str, file: Path) -> ExperimentError:
    """Those of the file, or else what prevents the start."""
    try:
        return ExperimentError(survey(parse_experiment(text, file)).plan.problems)
    except ExperimentError as error:
        return error


def test_bad_revisions_are_left_out_with_a_sentence(experiment):
    """`plan` prints it, and so does `run` at its start."""
    text = EXPERIMENT.replace("pythia_70m, steps: [0, 128]", "pythia_12b, steps: [49000, 50000]")
    found = parse_experiment(text, experiment.file)
    assert [each.name for each in found.series[1].checkpoints] == ["step49000"]
    assert "step50000 of pythia_12b is left out: a chimera" in found.left_out[0]
    plan = survey(found).plan
    shown = plan_text(plan, estimate(plan, {}, workers=1))
    assert found.left_out[0] in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100 or str(experiment.file.parent) in shown
    events: list[Event] = []
    with pytest.raises(ExperimentError, match="step49000"):
        run_all(found, executor=lambda e, _: InProcess(e), listener=events.append)
    assert events[0].note == found.left_out[0]

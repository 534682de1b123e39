"""Every recipe planned, and one of each kind run to a forecast, on a hub of tiny models.

All recipes are cut down as docs/recipes.md tells a user to, and write into one ledger: what two of
them need is measured once.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.lab.catalogue.tasks.apps_data import write_apps
from tests.lab.catalogue.tasks.published import PUBLISHED, write_cache
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache, put_series
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.lab.catalogue.recipes import catalogued_recipe, recipe_names
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import parse_experiment, read_experiment
from emergecast.lab.plan import survey

RUNS = {
    "datadecide": (3 * 37, 3 * 8 * (1 + 4)),
    "llama2": (3 * (1 + 4 * (1 + 3)), 0),
    "llama2-apps": (3 * (1 + 1 + 3 * 2), 0),
    "olmo2-1b": (37, 12 * (2 + 3 + 3)),
    "openllama-v1-continuous": (18 * (1 + 1 + 2), 0),
    "openllama-v1-methods": (9 * (1 + 1 + 6 * 2), 0),
    "openllama-v1-sizes": (27 * (1 + 4 + 4), 0),
    "openllama-v1-sweep": (9 * (1 + 4 + 2 * (5 + 4 + 4 + 4)), 0),
    "openllama-v1-v2-c4": (15 * (1 + 2 + 2 * (5 + 4)), 0),
    "openllama-v1-zero-shot": (18 * (1 + 1), 0),
    "pythia-apps": (4 * (1 + 1 + 2), 0),
    "pythia-first-try": (8 * (1 + 2 + 2 * 3), 0),
}
"""By hand: checkpoints times corpora, few-shot and finetuned scores; what waits for losses."""
V1 = {"open_llama_v1_3b": "[2500, 5000]"}
CORPORA = ("datadecide_c4_300M", "datadecide_dolma1_7_300M", "datadecide_fineweb-edu_300M")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All series of all recipes, a few items of each task, a little of C4; where results go."""
    work, cache = tmp_path_factory.mktemp("work"), HubCache(home=tmp_path_factory.mktemp("home"))
    texts = (catalogued_recipe(name).text for name in recipe_names())
    wanted = {each.name for text in texts for each in parse_experiment(text, "r.yaml").series}
    for name in sorted(wanted):
        put_series(cache, work / name, name)
    for name in PUBLISHED:
        write_cache(name, cache.home)
    cache.put("codeparrot/apps", write_apps(work / "apps", training=48), kind="datasets")
    c4 = work / "c4" / "en"
    c4.mkdir(parents=True)
    for number in range(8):
        with gzip.open(c4 / f"c4-validation.0000{number}-of-00008.json.gz", "wt") as file:
            file.write(json.dumps({"text": f"the dog sat on the log {number}"}) + "\n")
    cache.put("allenai/c4", c4.parent, kind="datasets")
    with pytest.MonkeyPatch.context() as patch:
        cache.in_use(patch)
        yield tmp_path_factory.mktemp("runs")


def cut(name: str, steps: dict[str, str] | None = None) -> str:
    """A recipe with other amounts, fewer items and documents; on some steps of some series."""
    text = catalogued_recipe(name).text
    amounts = {
        each for found in re.findall(r" examples: \[(.*)\]", text) for each in found.split(", ")
    }
    smaller = {each: str(8 + 2 * i) for i, each in enumerate(sorted(amounts, key=int))}
    text = re.sub(
        r" examples: \[(.*)\]",
        lambda found: f" examples: [{', '.join(smaller[each] for each in found[1].split(', '))}]",
        text,
    )
    for series, some in (steps or {}).items():
        text = text.replace(f"{{name: {series},", f"{{name: {series}, steps: {some},")
    if steps is not None:
        lines = text.splitlines()
        text = "\n".join(
            each
            for each in lines
            if "keep: none}" not in each or any(f"{s}," in each for s in steps)
        )
    text = re.sub(r"documents: \d+", "documents: 8", text)
    text = text.replace("validation: 0.1", "validation: 0.5").replace(f"results-{name}", "results")
    if "\nevaluation:" in text:
        return re.sub(r"limit: \d+", "limit: 2", text)
    return f"{text}\nevaluation: {{limit: 2}}\n"


def few_amounts(text: str) -> str:
    """The same on the smallest amount alone."""
    text = text.replace("subsets: 2", "subsets: 1")
    return re.sub(r" examples: \[\d+, .*\]", " examples: [8]", text)


def called(*arguments: str | Path, status: tuple[int, ...] = (0,)) -> str:
    """What a command prints."""
    said = CliRunner().invoke(app, [str(each) for each in arguments])
    assert said.exit_code in status, said.output
    return said.output


def run(hub: Path, name: str, text: str) -> Path:
    """The table of an experiment that is run to its end."""
    file = hub / f"{name}.yaml"
    file.write_text(text, "utf-8")
    report = run_all(read_experiment(file), executor=lambda given, _workers: InProcess(given))
    assert report.failed == 0
    table = hub / f"{name}.csv"
    called("export", file, "-o", table)
    return table


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_planned(hub, name, request):
    """All of its runs, from a hub with the real addresses, classes and kinds of tokenizer."""
    if name.endswith("-apps"):
        request.getfixturevalue("bubblewrap")  # what models write runs behind it only
    file = hub / f"whole-{name}.yaml"
    file.write_text(cut(name), "utf-8")
    said = json.loads(called("plan", file, "--json"))
    assert said["problems"] == []
    assert (len(said["runs"]), said["undecided"]) == RUNS[name]


def test_no_shots_against_five(hub):
    """Few-shot alone, then the continuous metrics of the same checkpoints: one table of both."""
    zero = run(hub, "zero", cut("openllama-v1-zero-shot", V1))
    # The table holds what a chance level is stated for.
    text = few_amounts(cut("openllama-v1-continuous", V1)).replace(
        "proxy: true", "proxy: true, chance: {logprob: -1.39, proxy_top5: 0.1}"
    )
    five = run(hub, "five", text)
    shown = pl.read_csv(five)
    assert set(shown["metric"]) == {"acc", "choice_prob", "logprob", "proxy_top5"}
    assert shown["params"].unique().to_list() == [3_426_473_600]
    assert set(pl.read_csv(zero)["shots"]) == {0}
    both = hub / "both.csv"
    called("join", zero, five, "-o", both)
    few = pl.read_csv(both).filter((pl.col("setting") == "few_shot") & (pl.col("metric") == "acc"))
    assert sorted(few["shots"]) == [0, 0, 5, 5]
    assert few["loss"].n_unique() == 2, "measured once for both"
    for table, which in ((five, []), (both, ["--where", "shots=0"])):
        options = ["--task", "mmlu", "--metric", "choice_prob", *which]
        assert "2 checkpoints" in called("fit", table, *options, status=(0, 3))


def test_methods_side_by_side(hub):
    """Full, LoRA of four ranks and prefix tuning, each at the rate that its own sweep chose."""
    table = run(hub, "methods", few_amounts(cut("openllama-v1-methods", V1)))
    found = pl.read_csv(table).filter(pl.col("setting") == "finetuned")
    names = ["full", "lora-1", "lora-2", "lora-4", "lora-64", "prefix-16"]
    assert sorted(found["method"].unique()) == names
    assert found.filter(pl.col("metric") == "acc").height == 2 * len(names)
    results = survey(read_experiment(hub / "methods.yaml"), remember=True).results.values()
    noted = {each.title: str(each.training) for each in results if each.training}
    for name, rates in (("full", ("2e-06", "1e-05")), ("prefix", ("0.003", "0.01"))):
        mine = [said for title, said in noted.items() if name in title]
        assert mine
        assert all(any(rate in said for rate in rates) for said in mine)


def test_two_corpora_are_compared(hub):
    """V1 against V2 on C4, down to which emerges first."""
    steps = {**V1, "open_llama_v2_3b": "[20000, 100000]"}
    table = run(hub, "c4", few_amounts(cut("openllama-v1-v2-c4", steps)))
    rows = pl.read_csv(table)
    assert rows["loss_corpus"].unique().to_list() == ["c4-8"]
    assert rows.filter((pl.col("setting") == "finetuned") & (pl.col("metric") == "acc")).height == 8
    names = [part for each in steps for part in ("--series", each)]
    said = called("compare", table, "--task", "mmlu", *names, status=(0, 3))
    assert "2 checkpoints" in said  # too few for a law, which it says


def test_datadecide_chooses_by_loss(hub):
    """Checkpoints of the package hf_olmo; of three losses two, spread evenly, are evaluated."""
    steps = dict.fromkeys(CORPORA, "[1250, 2500, 3750]")
    text = few_amounts(cut("datadecide", steps)).replace("count: 8", "count: 2")
    table = run(hub, "datadecide", text)
    rows = pl.read_csv(table).filter(
        (pl.col("setting") == "few_shot") & (pl.col("metric") == "acc")
    )
    assert rows.group_by("series").len().sort("series").rows() == [(each, 2) for each in CORPORA]
    assert set(rows["tokens"]) <= {step * 320 * 2048 for step in (1250, 2500, 3750)}
    names = [part for each in CORPORA for part in ("--series", each)]
    said = called("compare", table, "--task", "commonsense_qa", *names, status=(0, 3))
    assert all(each in said for each in CORPORA)


def test_llama_2_with_estimated_losses(hub):
    """Losses are measured; of a table without them they are estimated, and marked so."""
    text = few_amounts(cut("llama2"))
    text = re.sub(r"  - \{name: (mmlu|gsm8k|cola).*\n", "", text)
    table = run(hub, "llama2", text)
    rows = pl.read_csv(table)
    assert sorted(rows["params"].unique()) == [6_738_415_616, 13_015_864_320, 68_976_648_192]
    bare = hub / "bare.csv"
    rows.drop(name for name in rows.columns if name.startswith("loss")).write_csv(bare)
    said = called("fit", bare, "--task", "commonsense_qa", "--loss-from", "hoffmann", status=(0, 3))
    assert "estimated" in said


def test_a_first_try_runs_to_a_forecast(hub):
    """The recipe of the tutorial, of three checkpoints."""
    text = few_amounts(cut("pythia-first-try")).replace(
        "[1000, 4000, 10000, 20000, 40000, 70000, 100000, 143000]", "[1000, 4000, 10000]"
    )
    table = run(hub, "first", text)
    rows = pl.read_csv(table)
    assert sorted(rows["task"].unique()) == ["cola", "commonsense_qa"]
    said = called("fit", table, "--task", "commonsense_qa", status=(0, 3))
    assert "3 checkpoints" in said

"""The command that measures the losses of a series: its file, its resumption, its refusals."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.test_documentation import FENCE, resolve
from tests.lab.worker.small_models import EXPERIMENT, build, changed
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import ExperimentError
from emergecast.lab import checkpoints
from emergecast.lab.checkpoints import Checkpoint, series_in
from emergecast.lab.evaluate import (
    Corpus,
    LossOrder,
    corpus_loss,
    facts_of,
    measure_losses,
    named_corpus,
    read_rows,
)
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.plan import survey
from emergecast.lab.worker._model_measurer import ModelMeasurer
from emergecast.measurements import ImportOptions, import_lm_eval, read_table


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, their experiment, two texts, and the losses of both on the texts."""
    folder = tmp_path_factory.mktemp("losses")
    build(folder)
    (folder / "other.txt").write_text("A B C D\nE F G\n")
    ran = loss(folder, "models", "--corpus", "held-out.jsonl", "--corpus", "o=other.txt")
    assert ran["measured"] == 4
    return folder


@pytest.fixture
def place(ground: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(ground, tmp_path / "ground"))


BOTH = ("models", "--corpus", "held-out.jsonl", "--corpus", "o=other.txt")


def loss(place: Path, *words: object, status: int = 0, out: str = "losses.csv") -> Any:
    """What the command says as JSON."""
    with contextlib.chdir(place):
        result = CliRunner().invoke(app, ["loss", *map(str, words), "-o", out, "--json"])
    assert result.exit_code == status, result.output + result.stderr
    return json.loads(result.stdout)


def test_the_file_holds_the_losses_that_an_experiment_measures(ground: Path):
    """One row a checkpoint and corpus, with what proves that it is the same text."""
    rows = pl.read_csv(ground / "losses.csv").to_dicts()
    assert [(row["checkpoint"], row["loss_corpus"]) for row in rows] == [
        ("a", "held-out"), ("a", "o"), ("b", "held-out"), ("b", "o"),
    ]  # fmt: skip
    for row in rows:
        path = ground / ("held-out.jsonl" if row["loss_corpus"] == "held-out" else "other.txt")
        model = Checkpoint(name="x", series="x", path=ground / "models" / row["checkpoint"])
        found = corpus_loss(*checkpoints.load(model), path)
        facts = checkpoints.inspect(model)
        assert (row["loss"], row["loss_stderr"]) == (found.nats_per_token, found.stderr)
        assert row["loss_per_byte"] == found.nats_per_byte
        assert (row["loss_tokens"], row["loss_bytes"]) == (found.tokens, found.bytes)
        assert row["corpus_hash"] == facts_of(named_corpus(str(path))).hash
        assert (row["weights_hash"], row["params"]) == (facts.weights_hash, facts.params)
        assert (row["series"], row["loss_source"]) == ("models", "measured")
        assert row["context"] == 128
        assert (row["bos_id"], row["bos_documents"]) == (None, 0)
        assert "last token of the one before" in row["settings"]
    assert rows[0]["fed_hash"] == rows[2]["fed_hash"] != rows[1]["fed_hash"]


def test_what_is_in_the_file_is_not_measured_again(place: Path):
    """Stopped in between or not, the file ends as the same bytes; also without the models."""
    file = place / "losses.csv"
    whole = file.read_bytes()
    assert loss(place, *BOTH)["measured"] == 0
    assert file.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2] + lines[3:]))  # without "a" on "o"
    assert "a on o" in loss(place, *BOTH, "--dry-run")["missing"][0]
    assert loss(place, *BOTH)["measured"] == 1
    assert file.read_bytes() == whole
    manifest = {"series": "models", "checkpoints": [{"name": n, "path": n} for n in "ab"]}
    (place / "models" / "series.json").write_text(json.dumps(manifest))
    shutil.rmtree(place / "models" / "b")
    report = loss(place, *BOTH)
    assert (report["measured"], report["unseen"], len(report["rows"])) == (0, 2, 4)


def test_rows_measured_otherwise_are_not_replaced_in_silence(place: Path):
    """Neither for another setting or text, nor for other weights; where asked for, they are."""
    first = read_rows(place / "losses.csv")
    said = loss(place, *BOTH, "--context", 16, status=2)["error"]
    assert "4 losses that were measured otherwise" in said
    assert "context of the model" in said
    (place / "other.txt").write_text("A B C D\nE F H\n")
    assert "a text of hash" in loss(place, *BOTH, status=2)["error"]
    assert read_rows(place / "losses.csv") == first
    report = loss(place, *BOTH, "--replace")
    assert report["measured"] == 2
    shutil.copytree(place / "models" / "a", place / "models" / "b", dirs_exist_ok=True)
    report = loss(place, *BOTH, status=1)
    assert "is another one than when its losses" in report["failures"][0]["error"]
    assert (report["measured"], len(report["rows"])) == (0, 4)
    report = loss(place, *BOTH, "--replace", status=1)
    assert "have the same weights" in report["failures"][0]["error"]


def test_a_checkpoint_that_cannot_be_used_does_not_stop_the_others(place: Path):
    """Its failure is said, the others have their rows, and the status is 1."""
    config = place / "models" / "a" / "config.json"
    whole = config.read_text()
    config.write_text("{")
    report = loss(place, *BOTH, status=1, out="fresh.parquet")
    assert report["measured"] == 2
    (failure,) = report["failures"]
    assert failure["title"] == "models/a"
    assert "config.json" in failure["error"]
    config.write_text(whole)
    tokenizer = place / "models" / "b" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("  ", " "))
    report = loss(place, "models", "--corpus", "other.txt", status=1, out="third.jsonl")
    assert "differ in tokenizer" in report["failures"][0]["error"]


def test_an_experiment_names_its_series_and_its_texts(place: Path):
    """All of its corpora where none is named; what it says of checkpoints is in the rows."""
    report = loss(place, "small.yaml", out="own.csv")
    assert [row["tokens"] for row in report["rows"]] == [1000, 2000]
    assert {row["tokenizer"] for row in report["rows"]} == {"words"}
    assert loss(place, "small.yaml", "--corpus", "held-out", out="own.csv")["measured"] == 0
    left = loss(place, "small.yaml", "--corpus", "other.txt", "--dry-run", out="own.csv")
    assert (left["done"], len(left["missing"]), left["unknown"]) == (0, 2, 0)
    assert left["flops"] == 2 * sum(row["params"] for row in report["rows"]) * (left["tokens"] // 2)
    assert left["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no_such_series", "--corpus", "other.txt"), "no_such_series"),
        (("models",), "--corpus"),
        (("models", "--corpus", "missing.txt"), "missing.txt"),
        (("models", "--corpus", "other.txt", "--corpus", "other.txt"), 'called "other"'),
        (("tasks", "--corpus", "other.txt"), "no folder in"),
    ],
)
def test_a_mistake_is_said_before_anything_is_measured(ground: Path, words: Any, said: str):
    """And nothing is written."""
    assert said in loss(ground, *words, status=2, out="none.csv")["error"]
    assert not (ground / "none.csv").exists()


def test_a_text_that_changes_meanwhile_has_no_row(place: Path):
    """Its hash would speak of another text."""
    path = place / "other.txt"
    order = LossOrder(
        checkpoints=series_in(place / "models"), texts=(Corpus(name="n", path=path),),
        out=place / "new.csv",
    )  # fmt: skip
    told: list[str] = []

    def change(_: float, what: str) -> None:
        told.append(what)
        path.write_text(path.read_text() + "A B\n")

    report = measure_losses(order, on_loss=change)
    assert "has changed while it was measured" in report.failures[0].error
    assert not report.rows
    assert "models/a, n" in told


def test_a_person_reads_the_same(place: Path):
    """Every loss with its error, what the model was given, and what is missing before."""
    words = ["loss", "models", "--corpus", "o=other.txt", "-o", "person.csv"]
    with contextlib.chdir(place):
        dry = CliRunner().invoke(app, [*words, "--dry-run"]).stdout
        said = CliRunner().invoke(app, words).stdout
    assert "o: 2 documents, 12 bytes, hash" in dry
    assert "0 losses are in person.csv; 2 are missing." in dry
    assert "  models/a on o\n" in dry
    row = read_rows(place / "person.csv")["models", "a", "o"]
    assert (
        f"{row.loss:.4f} +- {row.loss_stderr:.4f} nats per token, {row.loss_per_byte:.4f}" in said
    )
    assert "5 tokens of 2 documents in windows of 128, no token before a text." in said
    assert "2 losses measured, 0 kept. Wrote person.csv." in said


def test_another_table_is_left_alone(place: Path):
    """A file of that name that is not of this command."""
    (place / "mine.csv").write_text("checkpoint,loss\na,1\n")
    assert "not a table of this command" in loss(place, *BOTH, status=2, out="mine.csv")["error"]
    assert (place / "mine.csv").read_text() == "checkpoint,loss\na,1\n"


def test_the_file_gives_an_import_and_a_join_their_losses(ground: Path, tmp_path: Path):
    """As the checkpoints table of result files, one row a corpus, and beside a table of scores."""
    for name, score in (("a", 0.3), ("b", 0.4)):
        results = tmp_path / "results" / name / "results.json"
        results.parent.mkdir(parents=True)
        content = {"results": {"arc_easy": {"acc,none": score, "acc_stderr,none": 0.01}}}
        results.write_text(json.dumps(content))
    options = ImportOptions(
        checkpoints=ground / "losses.csv", patterns=("{checkpoint}/results.json",),
        chance=((None, 0.25),),
    )  # fmt: skip
    imported = import_lm_eval([tmp_path / "results"], options).table.frame
    rows = read_rows(ground / "losses.csv")
    assert imported.height == 4
    for row in imported.to_dicts():
        loss_row = rows["models", row["checkpoint"], row["loss_corpus"]]
        assert (row["loss"], row["loss_stderr"]) == (loss_row.loss, loss_row.loss_stderr)
        assert row["loss_per_byte"] == loss_row.loss_per_byte
        assert row["params"] == loss_row.params
    scores = tmp_path / "scores.csv"
    scores.write_text(
        "series,checkpoint,loss_corpus,task,setting,score,chance\n"
        "models,a,o,arc,few_shot,0.3,0.25\nmodels,b,o,arc,few_shot,0.4,0.25\n"
    )
    words = ["join", str(scores), str(ground / "losses.csv"), "-o", str(tmp_path / "both.csv")]
    joined = CliRunner().invoke(app, words)
    assert joined.exit_code == 0, joined.output + joined.stderr
    table = read_table(tmp_path / "both.csv").frame
    assert table["loss"].to_list() == [rows["models", name, "o"].loss for name in "ab"]


def test_an_experiment_takes_some_documents_of_a_corpus(place: Path):
    """Their own hash decides; that of a whole file is the file's, as it always was."""
    some = ("path: held-out.jsonl}", "path: held-out.jsonl, documents: 3}")
    whole, first = changed(place), changed(place, some)
    path = place / "held-out.jsonl"
    facts = [ModelMeasurer(each).corpus_facts(each.corpora[0]) for each in (whole, first)]
    assert facts[0].hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts[1].hash == facts_of(named_corpus(str(path), documents=3)).hash
    keys = [[run.key for run in survey(each).plan.runs] for each in (whole, first)]
    assert [one == other for one, other in zip(*keys, strict=True)].count(False) == 2
    for wrong, said in (("{name: c5}", '"path" is missing'), ("{name: c4, documents: 0}", "0")):
        text = EXPERIMENT.replace("{name: held-out, path: held-out.jsonl}", wrong)
        with pytest.raises(ExperimentError, match=said):
            parse_experiment(text, place / "small.yaml")


def test_the_commands_of_the_page_can_be_read():
    """Parsed by the application itself, without running."""
    text = (Path(__file__).parents[3] / "docs" / "loss.md").read_text("utf-8")
    (block,) = [code for name, code in FENCE.findall(text) if name == "bash"]
    for line in block.splitlines():
        command, rest = resolve(shlex.split(line, comments=True)[1:])
        assert not command.make_context("emergecast", rest).args


def test_c4_is_read_from_the_cache_by_its_name(ground: Path, tmp_path: Path):
    """The first documents of its files in order, without a network, as from a copy of them."""
    commit = "0" * 39 + "1"
    hub = tmp_path / "home" / "hub" / "datasets--allenai--c4"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text(commit)
    files = hub / "snapshots" / commit / "en"
    files.mkdir(parents=True)
    texts = ["A B C", "D E F G", "H I J", "K L"]
    for number, some in enumerate((texts[:2], texts[2:])):
        lines = "".join(json.dumps({"text": text, "url": "u"}) + "\n" for text in some)
        name = f"c4-validation.0000{number}-of-00008.json.gz"
        (files / name).write_bytes(gzip.compress(lines.encode()))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    text = EXPERIMENT.replace("name: held-out, path: held-out.jsonl", "name: c4, documents: 3")
    (ground / "c4.yaml").write_text(text)
    words = ["loss", ground / "c4.yaml", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "emergecast", *map(str, words), "-o", tmp_path / "c4.csv"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(done.stdout)["rows"]
    (tmp_path / "copy.txt").write_text("\n".join(texts[:3]))
    facts = facts_of(named_corpus(str(tmp_path / "copy.txt")))
    for row in rows:
        assert row["loss_corpus"] == "c4-3"
        assert (row["corpus_hash"], row["corpus_documents"]) == (facts.hash, 3)
        model = Checkpoint(name="x", series="x", path=ground / "models" / row["checkpoint"])
        found = corpus_loss(*checkpoints.load(model), tmp_path / "copy.txt")
        assert row["loss"] == found.nats_per_token

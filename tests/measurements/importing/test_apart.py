"""What belongs to a measurement: shots, revision, items, filter and every named part of a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.result_files import case, run, write

from emergecast.errors import OptionError, TableError
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.measurements.importing._revision import (
    of_pretraining,
    step_in,
    tokens_in,
    weights_of,
    without_revision,
)
from emergecast.scaling import CHINCHILLA_LAWS


def quiz(score: float = 0.3, *, shots: int = 5, items: int = 100, **config: Any) -> dict[str, Any]:
    """A result file of one task of 100 items and four choices."""
    return {
        "results": {"quiz": {"acc,none": score, "acc_stderr,none": 0.01, "alias": "quiz"}},
        "group_subtasks": {"quiz": []},
        "configs": {"quiz": {"output_type": "multiple_choice", "doc_to_choice": list("ABCD")}},
        "n-shot": {"quiz": shots},
        "n-samples": {"quiz": {"original": 100, "effective": items}},
        "config": {"model_args": "pretrained=org/m", "limit": None} | config,
    }


def stamped(day: int, folder: str = "org__m") -> str:
    """A file as the harness names it."""
    return f"{folder}/results_2024-05-{day:02d}T10-00-00.000000.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Metadata of one model."""
    write(tmp_path, "meta.csv", "checkpoint,params,tokens\norg/m,1000000000,3000000000000\n")
    return tmp_path


# ------------------------------------------------------------------------------- newest wins


def test_other_shots_are_another_measurement(root: Path):
    """The newer file is not the same evaluation again."""
    write(root, stamped(1), quiz(0.3, shots=0))
    write(root, stamped(2), quiz(0.35, shots=5))
    found = run(root, loss_from="hoffmann").table.frame
    assert dict(found.select("shots", "score").rows()) == {0: 0.3, 5: 0.35}


def test_the_newest_of_one_measurement_wins_and_the_others_are_counted(root: Path):
    """Three evaluations, one row."""
    for day, score in ((1, 0.3), (3, 0.5), (2, 0.4)):
        write(root, stamped(day), quiz(score))
    imported = run(root, loss_from="hoffmann")
    assert imported.table.frame["score"].to_list() == [0.5]
    (note,) = imported.notes
    assert note.startswith("2 files gave way to newer ones")
    assert stamped(1) in note
    assert stamped(2) in note


@pytest.mark.parametrize(("full", "limited"), [(1, 2), (2, 1)])
def test_a_limited_run_never_replaces_a_full_one(root: Path, full: int, limited: int):
    """Whichever is newer, and in whichever folder; the other is named."""
    write(root, stamped(full), quiz(0.3))
    write(root, "again/" + stamped(limited), quiz(0.6, items=10, limit=10.0))
    imported = run(root, loss_from="hoffmann")
    assert imported.table.frame.select("score", "n_items").rows() == [(0.3, 100)]
    (warning,) = imported.warnings
    assert "limited run" in warning
    assert "again/" in warning


def test_limited_runs_alone_stay_and_are_said_to_be(root: Path):
    """The one on more items; and a limit beyond the items limits nothing."""
    write(root, stamped(2), quiz(0.6, items=10, limit=10))
    write(root, stamped(1), quiz(0.3, items=50, limit=50))
    imported = run(root, loss_from="hoffmann")
    assert imported.table.frame.select("score", "n_items").rows() == [(0.3, 50)]
    assert any("1 row of 1 come from limited runs" in note for note in imported.notes)
    write(root, stamped(3), quiz(0.4, items=100, limit=1000))
    imported = run(root, loss_from="hoffmann")
    assert imported.table.frame["score"].to_list() == [0.4]
    assert not any("limited runs" in note for note in imported.notes)


def test_a_named_part_of_the_path_belongs_to_the_measurement(root: Path, tmp_path: Path):
    """Two prompts are two rows, also of the table read again, and one too many for a fit."""
    for prompt, score in (("plain", 0.3), ("polite", 0.4)):
        write(root, f"org__m/{prompt}/quiz.json", quiz(score))
        write(root, f"org__m/{prompt}/more.json", quiz(score))
    (root / "org__m/plain/more.json").unlink()
    (root / "org__m/polite/more.json").unlink()
    imported = run(root, loss_from="hoffmann", patterns=("{checkpoint}/{prompt}/{task}.json",))
    imported.table.write(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    scores = dict(table.frame.select("variant", "score").rows())
    assert scores == {"prompt=plain": 0.3, "prompt=polite": 0.4}
    with pytest.raises(Exception, match="several variants: prompt=plain, prompt=polite"):
        select(table, SelectOptions())
    one = select(table, SelectOptions(where=(("variant", "prompt=plain"),)))
    assert one.rows["score"].to_list() == [0.3]


# ---------------------------------------------------------------------------------- revisions


def revision(name: str, **more: Any) -> dict[str, Any]:
    """A file of one revision."""
    return quiz(0.3, model_args=f"pretrained=org/m,revision={name},dtype=float16", **more)


REVISIONS = ("step20000-tokens84B", "step330000-tokens1384B")


@pytest.mark.parametrize("where", ["model_args", "mapping", "model_revision", "folder", "field"])
def test_revisions_are_checkpoints_with_tokens_of_their_own(root: Path, where: str):
    """However the file, or its path, names them; one row of metadata a model is enough."""
    patterns: tuple[str, ...] = ()
    for day, name in enumerate(REVISIONS, start=1):
        if where == "model_args":
            write(root, stamped(day), revision(name))
        elif where == "mapping":
            write(root, stamped(day), quiz(model_args={"pretrained": "org/m", "revision": name}))
        elif where == "model_revision":
            write(root, stamped(day), quiz(model_revision=name))
        elif where == "folder":
            write(root, f"{name}/{stamped(day)}", quiz())
        else:
            write(root, f"org__m/{name}/x.json", quiz())
            patterns = ("{checkpoint}/{revision}/*.json",)
    imported = run(root, loss_from="hoffmann", patterns=patterns)
    frame = imported.table.frame
    said = any("because their folders say so" in note for note in imported.notes)
    assert said is (where == "folder")
    law = CHINCHILLA_LAWS["hoffmann"]
    expected = {
        "org/m@step20000-tokens84B": (84 * 10**9, float(law.loss(1e9, 84e9))),
        "org/m@step330000-tokens1384B": (1384 * 10**9, float(law.loss(1e9, 1384e9))),
    }
    found = {
        name: (tokens, loss) for name, tokens, loss in frame["checkpoint", "tokens", "loss"].rows()
    }
    assert found == expected


def test_the_loss_of_the_finished_model_is_not_that_of_its_revisions(root: Path):
    """Without a row of their own they have no loss, and the import says how to give one."""
    write(root, "meta.csv", "checkpoint,loss\norg/m,2.5\n")
    write(root, stamped(1), revision("step1000"))
    with pytest.raises(TableError, match="tokens_per_step"):
        run(root)
    for main in ("", "main", "NaN"):
        lines = f"checkpoint,revision,loss\norg/m,{main},2.5\norg/m,step1000,3.5\n"
        write(root, "meta.csv", lines)
        write(root, stamped(2), quiz(0.5))
        found = run(root).table.frame
        assert sorted(found.select("checkpoint", "loss").rows()) == [
            ("org/m", 2.5),
            ("org/m@step1000", 3.5),
        ]
    (root / stamped(2)).unlink()
    write(root, "meta.csv", "checkpoint,loss\norg/m,2.5\norg/m@step1000,3.25\n")
    assert run(root).table.frame["loss"].to_list() == [3.25]


def test_a_revision_that_names_no_moment_keeps_the_facts_of_its_model(root: Path):
    """A branch of other weights is another checkpoint; main is the model itself."""
    write(root, "meta.csv", "checkpoint,loss\norg/m,2.5\n")
    write(root, stamped(1), revision("float16"))
    write(root, stamped(2), revision("main"))
    rows = run(root).table.frame.select("checkpoint", "loss").rows()
    assert sorted(rows) == [("org/m", 2.5), ("org/m@float16", 2.5)]


@pytest.mark.parametrize(
    ("name", "step", "tokens"),
    [
        ("step8", 8, None),
        ("step-50K-105b", 50_000, None),
        ("step738020-tokens3094B", 738_020, 3_094 * 10**9),
        ("stage1-step1000-tokens5B", 1000, 5 * 10**9),
        ("stage2-ingredient1-step1000-tokens3B", 1000, None),
        ("global_step1000", 1000, None),
        ("iter_0001000", 1000, None),
        ("ckpt_300", 300, None),
        ("tokens-2.5T", None, 2_500 * 10**9),
        ("v1.0", None, None),
        ("8-step-distilled", None, None),
        ("a1b2c3", None, None),
    ],
)
def test_names_of_revisions(name: str, step: int | None, tokens: int | None):
    """Steps and tokens as suites of checkpoints spell them."""
    assert (step_in(name), tokens_in(name)) == (step, tokens)
    assert of_pretraining(name) is not (step is None and tokens is None)


def test_folders_that_end_in_a_revision():
    """The model before it is what the metadata know."""
    assert without_revision("pythia-160m_step8") == ("pythia-160m", "step8")
    assert without_revision("org__m__step8-tokens1B") == ("org__m", "step8-tokens1B")
    assert without_revision("pythia-160m") is None


@pytest.mark.parametrize("word", ["peft=org/adapter", "delta=x", "lora_local_path=/x"])
def test_adapters_are_seen(word: str):
    """They are trained on top of the revision that the file names."""
    found = weights_of({"model_args": f"pretrained=a/b,revision=step8,{word}"}, {})
    assert found.adapter
    assert not weights_of({"model_args": "pretrained=a/b,revision=step8,peft=None"}, {}).adapter


# ------------------------------------------------------------------- steps of pretraining


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two models at three pretraining steps, in the old format, as suites publish them."""
    for name in ("70m", "1b"):
        for step in (0, 8, 512):
            args = f"pretrained=org/{name},revision=step{step}"
            content = {
                "results": {"lam": {"acc": 0.1, "acc_stderr": 0.01}},
                "config": {"model_args": args, "num_fewshot": 0},
            }
            write(tmp_path, f"{name}/{name}_step{step}.json", content)
    write(tmp_path, "meta.csv", "checkpoint,params,tokens\n70m,7e7,3e11\n1b,1e9,3e11\n")
    return tmp_path


STEP = "*/{checkpoint}_step{step}.json"
PRETRAIN = "*/{checkpoint}_step{pretrain_step}.json"


def test_pretraining_steps_are_not_finetuning(suite: Path):
    """Files that name a revision of pretraining and no adapter: an error that says what to do."""
    with pytest.raises(TableError) as caught:
        run(suite, patterns=(STEP,), batch_size=8, chance=((None, 0.0),), loss_from="hoffmann")
    text = str(caught.value)
    assert "{pretrain_step}" in text
    assert "--tokens-per-step" in text
    assert len(text.splitlines()) <= 20


@pytest.mark.parametrize("by", ["option", "metadata"])
@pytest.mark.parametrize("pattern", [PRETRAIN, STEP])
def test_tokens_per_step_make_checkpoints_of_steps(suite: Path, by: str, pattern: str):
    """One row of metadata a model; step 0 has seen nothing, and is named; nothing is finetuned."""
    more: dict[str, Any] = {"tokens_per_step": 10**6} if by == "option" else {}
    if by == "metadata":
        text = "checkpoint,params,tokens_per_step\n70m,7e7,1000000\n1b,1e9,1e6\n"
        write(suite, "meta.csv", text)
    imported = run(
        suite,
        patterns=(pattern,),
        batch_size=8,
        chance=((None, 0.0),),
        loss_from="hoffmann",
        **more,
    )
    frame = imported.table.frame
    tokens = dict(frame.select("checkpoint", "tokens").rows())
    assert tokens == {
        f"{model}@step{step}": 10**6 * step for model in ("70m", "1b") for step in (8, 512)
    }
    assert set(frame["setting"]) == {"few_shot"}
    assert "tokens_per_step" not in frame.columns
    assert any("2 files of pretraining step 0" in warning for warning in imported.warnings)


def test_a_step_with_an_adapter_is_finetuning_and_the_reason_is_said(suite: Path):
    """Of the revision that it started from."""
    content = json.loads((suite / "1b/1b_step8.json").read_text())
    content["config"]["model_args"] = "pretrained=org/1b,peft=org/tuned"
    for path in suite.glob("*/*.json"):
        path.unlink()
    write(suite, "1b/1b_step8.json", content)
    imported = run(
        suite, patterns=(STEP,), batch_size=8, chance=((None, 0.0),), loss_from="hoffmann"
    )
    row = imported.table.frame.row(0, named=True)
    assert (row["setting"], row["examples"]) == ("finetuned", 64)
    assert imported.notes[0].startswith("1 row counts as finetuned, because their path has {step}.")


def test_a_path_and_a_file_that_name_two_steps_are_an_error(suite: Path):
    """Neither is taken for the truth."""
    (suite / "1b/1b_step8.json").rename(suite / "1b/1b_step9.json")
    with pytest.raises(TableError, match="the file another revision"):
        run(suite, patterns=(PRETRAIN,), tokens_per_step=10, chance=((None, 0.0),))


def test_tokens_per_step_are_counts(suite: Path):
    """In the option and in the metadata."""
    with pytest.raises(OptionError, match="--tokens-per-step 0"):
        run(suite, tokens_per_step=0)
    write(suite, "meta.csv", "checkpoint,params,tokens_per_step\n70m,7e7,many\n")
    with pytest.raises(TableError, match="tokens_per_step"):
        run(suite, patterns=(PRETRAIN,))


# --------------------------------------------------------------------- the cases of the folder


def test_cases_of_revisions_shots_and_limits(shared_data: Path):
    """Three rows, two rows, and the full run."""
    frame = case(
        shared_data, "revisions", chance=(("acc", 0.25),), loss_from="hoffmann"
    ).table.frame
    assert sorted(frame["tokens"]) == [84 * 10**9, 1384 * 10**9, 3094 * 10**9]
    assert sorted(case(shared_data, "shots").table.frame["shots"]) == [0, 5]
    limit = case(shared_data, "limit")
    assert limit.table.frame.select("score", "n_items").rows() == [(0.3, 14042)]
    assert "results_2024-05-02" in limit.warnings[0]


def test_case_of_steps(shared_data: Path):
    """Pretraining steps are refused as finetuning, and read as what they are."""
    fixed: dict[str, Any] = {"chance": (("acc", 0.0),), "loss_from": "hoffmann"}
    with pytest.raises(TableError, match="pretrain_step"):
        case(shared_data, "steptrap", patterns=(STEP,), batch_size=1024, **fixed)
    frame = case(
        shared_data, "steptrap", patterns=(PRETRAIN,), tokens_per_step=2**21, **fixed
    ).table.frame
    assert frame.height == 40
    last = frame.filter(pl.col("checkpoint") == "1b@step143000")
    assert last["tokens"].to_list() == [143_000 * 2**21]

"""`emergecast fit` and `emergecast demo`, as a user calls them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
from tests import designs
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.forecasts import json_schema
from emergecast.measurements import proving_ground, read_table

ISSUE_KEYS = {
    "task", "metric", "series", "few_shot_examples", "law", "elbow", "bootstrap", "verdict",
    "reasons", "status", "n_rows", "n_checkpoints", "weakest_loss", "strongest_loss", "priors",
    "table_hash", "version",
}  # fmt: skip
PLAIN = ("--law", "log-power")
QUICK = ("--bootstrap", "0", *PLAIN)


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def only_object(text: str) -> dict[str, Any]:
    """The one JSON object that `text` is; NaN and Infinity are no JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def forecast_of(*arguments: object) -> dict[str, Any]:
    """The forecast as JSON, checked against the schema."""
    law = () if "--law" in arguments else PLAIN
    result = call("fit", *arguments, "--json", "--bootstrap", "0", *law)
    assert result.exit_code in {0, 3}, result.stderr
    found = only_object(result.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    return found


def write(rows: list[designs.Row], path: Path) -> Path:
    """The rows as a table in a file."""
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


SMALL: dict[str, Any] = {"losses": designs.DENSE[::4], "amounts": (64, 512, 4096)}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """One task that has a forecast."""
    return write(designs.rows(**SMALL), tmp_path / "t.csv")


@pytest.fixture
def emerged(tmp_path: Path) -> Path:
    """One task whose four strongest checkpoints are above chance few-shot."""
    rows = designs.rows(**SMALL, at=lambda examples: designs.elbow(examples) + 0.35)
    return write(rows, tmp_path / "emerged.csv")


@pytest.fixture
def hopeless(tmp_path: Path) -> Path:
    """One task with two data amounts."""
    return write(designs.rows(losses=designs.DENSE[::4], amounts=(64, 512)), tmp_path / "no.csv")


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Task quiz in series a and b; in a also none, with two amounts, and bare, few-shot only."""
    losses = designs.DENSE[::4]
    rows = [
        *designs.rows(**SMALL, series="a"),
        *designs.rows(**SMALL, series="b", seed=1),
        *designs.rows(losses=losses, amounts=(64, 512), series="a", task="none"),
        *designs.rows(losses=losses, amounts=(), series="a", task="bare"),
    ]
    return write(rows, tmp_path / "several.csv")


# ----------------------------------------------------------------------------------- exit status


def test_status_0_with_a_forecast_verdict_first(table: Path):
    """The verdict opens the first line; the numbers of the interval are in the next."""
    result = call("fit", table, *QUICK)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.match(r"(WEAK|IDENTIFIED)  quiz \(default\): few-shot emergence at", lines[0])
    elbow = forecast_of(table)["elbow"]
    assert f"{elbow['p05']:.3f} to {elbow['p95']:.3f}" in lines[1]
    assert max(map(len, lines)) <= 100
    early = flat(result.stderr)  # the answer before its diagnostics
    assert early.startswith(f"Few-shot emergence at {elbow['p50']:.3f} nats")


def test_status_3_when_refused(hopeless: Path):
    """In words and as JSON, with a null elbow."""
    result = call("fit", hopeless)
    assert result.exit_code == 3
    assert result.stdout.startswith("REFUSED  quiz (default): no forecast")
    record = only_object(call("fit", hopeless, "--json").stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    assert record["elbow"] is None
    assert record["verdict"] == "refused"
    assert record["bootstrap"] == {"by_run": None, "by_checkpoint": None}


def test_all_keys_of_the_issue_are_there(table: Path):
    """One object, no NaN, quantiles in order."""
    record = forecast_of(table)
    assert set(record) >= ISSUE_KEYS
    elbow = record["elbow"]
    assert list(elbow) == ["mle", "mode", "p05", "p25", "p50", "p75", "p95"]
    assert elbow["p05"] < elbow["p25"] < elbow["p50"] < elbow["p75"] < elbow["p95"]
    assert set(record["bootstrap"]) == {"by_run", "by_checkpoint"}


def bad(name: str, *options: object, says: str):
    """Options, and what the error says."""
    return pytest.param(options, says, id=name)


BAD = [
    bad("task", "--task", "quizz", says='no row has the task "quizz". Did you mean "quiz"?'),
    bad("series", "--series", "b", says='no row has the series "b"'),
    bad("law", "--law", "cubic", says="a law begins with log-power, power, hill"),
    bad("prior form", "--prior", "slope_scale", says="--prior takes NAME=VALUE"),
    bad("prior name", "--prior", "slop=1", says="there is no prior 'slop'; the priors are"),
    bad("prior text", "--prior", "slope_scale=big", says="takes a number, not 'big'"),
    bad("improper prior", "--prior", "slope_scale=0", says="only proper priors"),
    bad("endless prior", "--prior", "slope_scale=inf", says="must be a finite number"),
    bad("D0 too large", "--few-shot-examples", "65", says="smallest finetuning amount"),
    bad("D0 too small", "--few-shot-examples", "0", says="at least 1"),
    bad("D0 no number", "--few-shot-examples", "nan", says="few_shot_examples is nan"),
    bad("where form", "--where", "seed", says="--where takes"),
    bad("where column", "--where", "sede=1", says='no column "sede"'),
    bad("where value", "--where", "checkpoint=zz", says='no row left has checkpoint "zz"'),
    bad("exclude", "--exclude", "d*", says='no checkpoint "d*" to exclude'),
    bad("min loss", "--min-loss", "9", says="no rows are left after --min-loss 9"),
    bad("max loss", "--max-loss", "1", says="no rows are left after --max-loss 1"),
    bad("metric", "--metric", "f1", says='no row has the metric "f1"'),
    bad("method", "--method", "prefix", says='no finetuned row has the method "prefix"'),
    bad("shots", "--shots", "3", says="no few-shot row has 3 shots"),
    bad("corpus", "--loss-corpus", "c4", says='loss_corpus "c4"'),
    bad("chance", "--chance", "nan", says="not a finite number"),
    bad("at loss", "--at-loss", "nan", says="--at-loss takes finite numbers"),
    bad("score", "--at-loss", "2", "--score", "inf", says="--score takes finite numbers"),
    bad("stacking one law", "--weights", "stacking", says="only the log-power law is fitted"),
    bad("lonely score", "--score", "0.5", says="--score needs --at-loss"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "says"), BAD)
def test_bad_values_are_one_clear_line_and_status_2(table: Path, options, says: str):
    """Never a traceback; and the same message as JSON."""
    result = call("fit", table, *QUICK, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("emergecast: ")
    assert all(line.startswith("  ") for line in result.stderr.splitlines()[1:])
    assert says in flat(result.stderr)
    as_json = call("fit", table, *QUICK, *options, "--json")
    assert as_json.exit_code == 2
    assert says in only_object(as_json.stdout)["error"]


@pytest.mark.parametrize(
    "options",
    [["--bootstrap", "-1"], ["--bootstrap", "few"], ["--min-loss", "low"], ["--no-such-option"]],
)
def test_what_is_no_value_at_all_is_a_usage_error(table: Path, options):
    """Status 2, and the option is named."""
    result = call("fit", table, *options)
    assert result.exit_code == 2
    assert options[0] in re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert "Traceback" not in result.stderr


def test_a_bad_table_lists_every_problem(table: Path):
    """As `check` does, and nothing is fitted."""
    table.write_text(table.read_text().replace(",2.0,", ",-2.0,").replace("0.25,few", "1.25,few"))
    result = call("fit", table)
    assert result.exit_code == 2
    assert "column loss" in flat(result.stderr)
    assert "column chance" in flat(result.stderr)
    assert call("fit", table.with_name("missing.csv")).exit_code == 2


def test_errors_leave_the_process_with_their_status_and_no_traceback(table: Path):
    """In a process of its own, as a shell sees it."""
    command = [sys.executable, "-m", "emergecast", "fit", str(table), "--law", "cubic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "emergecast: there is no law 'cubic': a law begins with log-power, power, hill, saturating."
    ]


# -------------------------------------------------------------------------------------- options


def test_options_reach_the_fit(table: Path):
    """Each changes what the record says, as asked."""

    def quick(*arguments: object) -> dict[str, Any]:
        return forecast_of(*arguments, "--no-diagnostics")

    plain = quick(table)
    assert (plain["law"], plain["few_shot_examples"], plain["n_checkpoints"]) == ("log-power", 5, 7)
    mixed = quick(table, "--law", "log-power", "--law", "hill")
    assert mixed["law"] == "mixture"
    assert [each["law"] for each in mixed["laws"]] == ["log-power", "hill"]
    power = quick(table, "--law", "power")
    assert power["law"] == "power"
    assert power["elbow"] != plain["elbow"]
    low = quick(table, "--few-shot-examples", "2")
    assert low["few_shot_examples"] == 2
    assert low["elbow"]["p50"] < plain["elbow"]["p50"]
    prior = quick(table, "--prior", "slope_scale=3", "--prior", "noise_scale = 0.1")
    assert (prior["priors"]["slope_scale"], prior["priors"]["noise_scale"]) == (3, 0.1)
    strong = quick(table, "--max-loss", "2.7", "--min-loss", "2.1")
    assert strong["weakest_loss"] == pytest.approx(2.67, abs=0.01)
    assert strong["strongest_loss"] == pytest.approx(2.17, abs=0.01)
    assert quick(table, "--exclude", "c0", "--exclude", "c[12]")["n_checkpoints"] == 4
    assert quick(table, "--where", "setting=finetuned")["n_rows"] == 7 * 3


def test_a_threshold_reaches_the_verdict(table: Path):
    """The table has seven checkpoints, so a rule that asks for eight refuses it and says so."""
    found = forecast_of(table, "--threshold", "min_checkpoints=8")
    assert found["verdict"] == "refused"
    assert "a forecast needs at least 8" in found["reasons"][0]


def test_chance_can_be_given(table: Path, tmp_path: Path):
    """For a table that does not state it."""
    without = tmp_path / "without.csv"
    pl.read_csv(table).drop("chance").write_csv(without)
    assert call("fit", without).exit_code == 2
    stated, given = forecast_of(table), forecast_of(without, "--chance", "0.25")
    assert given["elbow"] == stated["elbow"]


def test_what_to_expect_at_a_loss(table: Path):
    """Asked for twice, with two bars: in JSON under at_loss, in words one line each."""
    asked = ("--at-loss", "1.9", "--at-loss", "1.5", "--score", "0.3", "--score", "0.6")
    first, second = forecast_of(table, *asked)["at_loss"]
    assert (first["loss"], second["loss"]) == (1.9, 1.5)
    assert 0 <= first["emerged"] <= second["emerged"] <= 1
    assert [bar["score"] for bar in first["exceeds"]] == [0.3, 0.6]
    assert first["exceeds"][0]["probability"] >= first["exceeds"][1]["probability"]
    text = call("fit", table, *QUICK, *asked).stdout
    assert "A model of loss 1.9 has emerged with probability" in text
    assert len(re.findall(r"above 0\.6 with probability", text)) == 2


def test_bootstraps_are_reported(table: Path):
    """One run a cell: none by run; by checkpoint as many resamples as asked for."""
    result = call("fit", table, "--bootstrap", "20", *PLAIN, "--json")
    found = only_object(result.stdout)["bootstrap"]
    assert found["by_run"] is None
    assert found["by_checkpoint"]["n"] == 20
    assert "bootstrap by checkpoint" in call("fit", table, "--bootstrap", "20").stdout


def test_at_chance_only_names_what_it_hid(emerged: Path):
    """The checkpoints in JSON; the horizon in words; and what came later beside the forecast."""
    plain, seen = forecast_of(emerged), forecast_of(emerged, "--at-chance-only")
    assert plain["hidden"] == []
    assert plain["truth"] is None
    assert seen["hidden"] == [f"c{i}" for i in range(7 - len(seen["hidden"]), 7)] != []
    assert seen["n_checkpoints"] == 7 - len(seen["hidden"])
    assert seen["strongest_loss"] > plain["strongest_loss"]
    text = " ".join(call("fit", emerged, *QUICK, "--at-chance-only").stdout.split())
    horizon = seen["hidden"][0]
    assert f"{horizon} (loss" in text
    assert "is the weakest checkpoint above chance few-shot" in text
    for name in seen["hidden"]:
        assert name in text


def test_truth_stands_beside_a_forecast_at_chance(tmp_path: Path):
    """Enough later scores above chance: their elbow, and whether the interval holds it."""
    rows = designs.rows(
        losses=designs.DENSE[::2], amounts=(64, 512, 4096),
        at=lambda examples: designs.elbow(examples) + 0.35,
    )  # fmt: skip
    path = write(rows, tmp_path / "later.csv")
    seen = forecast_of(path, "--at-chance-only")
    assert seen["truth"] == pytest.approx(2.28, abs=0.02)
    text = call("fit", path, *QUICK, "--at-chance-only").stdout
    assert "What came later" in text
    assert f"{seen['truth']:.3f}" in text


TWO = ("--law", "log-power", "--law", "power")


def test_maximum_likelihood_and_bootstrap_say_whose_law_they_are(table: Path):
    """Where the forecast is of another law; the same forecast of that law needs no name."""
    alone = call("fit", table, "--bootstrap", "20", *PLAIN).stdout
    mixed = call("fit", table, "--bootstrap", "20", *TWO).stdout
    (row,) = re.findall(r"^posterior .*", alone, re.MULTILINE)
    (named,) = re.findall(r"^ML, log-power law +(\S+)$", mixed, re.MULTILINE)
    assert row.split()[-1] == named
    assert len(re.findall(r"^posterior( +[\d.]+){6}$", mixed, re.MULTILINE)) == 1
    assert re.search(r"^bootstrap by checkpoint, log-power law ", mixed, re.MULTILINE)
    assert re.search(r"^bootstrap by checkpoint  ", alone, re.MULTILINE)
    assert "maximum likelihood of the log-power law" in " ".join(mixed.split())
    assert "log-power law" not in alone


def test_stacking_leaves_a_trace(table: Path):
    """The weights in words and in the record; without it neither."""
    record = forecast_of(table, *TWO, "--weights", "stacking")
    assert record["weights"] == "stacking"
    weights = {law["law"]: law["weight"] for law in record["laws"]}
    text = " ".join(
        call("fit", table, "--bootstrap", "0", *TWO, "--weights", "stacking").stdout.split()
    )
    assert "Weights by stacking: " in text
    said = text.partition("Weights by stacking: ")[2]
    shown, _, light = said.partition("; laws below 1%: ")
    for law, weight in weights.items():
        where = shown if weight >= 0.01 else light
        assert (f"{law} {weight:.0%}" if weight >= 0.01 else law) in where
    assert forecast_of(table, *TWO)["weights"] == "evidence"
    fixed = call("fit", table, "--bootstrap", "0", "--weights", "fixed", *TWO).stdout
    assert "Weights" not in fixed


def test_laws_of_no_weight_are_named_together():
    """The largest weight first, and those below 1% by name alone."""
    from types import SimpleNamespace

    from emergecast.cli.texts.forecasts import _weights
    from emergecast.inference import Weighting

    laws = [SimpleNamespace(law=name) for name in ("power", "hill", "log-power", "hill+soft")]
    fit = SimpleNamespace(
        weights=(0.2, 0.004, 0.794, 0.002), members=laws, weighting=Weighting.STACKING
    )
    forecast: Any = SimpleNamespace(fit=fit)
    assert list(_weights(forecast)) == [
        "Weights by stacking: log-power 79%, power 20%; laws below 1%: hill, hill+soft."
    ]


def test_few_shot_rows_that_are_left_out_are_called_so():
    """Few-shot is no name for rows, and several rows move, one checkpoint moves."""
    from types import SimpleNamespace

    from emergecast.cli.texts.forecasts import _diagnostics
    from emergecast.measurements import Axis

    groups = {
        "checkpoint": SimpleNamespace(what="c09", shift=0.01),
        "amount": SimpleNamespace(what="few-shot", shift=-0.02),
    }
    found: Any = SimpleNamespace(
        most_influential=groups.get,
        predictive=[SimpleNamespace(what="misfit", p=0.5)],
        trends=(),
        optima=SimpleNamespace(starts=12, stuck=0, low=2.0, high=2.1),
    )
    found.on_axis = lambda _axis: found  # losses stay as they are
    forecast: Any = SimpleNamespace(axis=Axis(), plain_law=None, repeats=())
    text = " ".join(_diagnostics(forecast, found))
    assert text.startswith(
        "Left out, checkpoint c09 moves the median by +0.010 and the few-shot rows move the "
        "median by -0.020 nats;"
    )


# --------------------------------------------------------------------------------- several fits


def test_several_fits_make_a_summary(several: Path):
    """A line for each task and series; a note for each that has no number; status 0 if any has."""
    result = call("fit", several, *QUICK)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["task", "/", "series", "verdict", "5%", "50%", "95%"]
    starts = [line.split("  ")[0] for line in lines[1:5]]
    assert starts == ["bare / a", "none / a", "quiz / a", "quiz / b"]
    assert "refused" in lines[1]
    assert "refused" in lines[2]
    assert "bare / a: There are no finetuned rows" in result.stdout
    assert "none / a: There are 2 finetuning amounts" in result.stdout
    assert lines[-1].endswith("name its row: --task NAME --series NAME.")


def test_several_fits_as_json(several: Path):
    """One object with all forecasts; each validates, or says its error."""
    result = call("fit", several, *QUICK, "--json")
    assert result.exit_code == 0
    record = only_object(result.stdout)
    assert list(record) == ["forecasts"]
    for each in record["forecasts"]:
        jsonschema.Draft202012Validator(json_schema()).validate(each)
    names = [f"{each['task']} / {each['series']}" for each in record["forecasts"]]
    assert names == ["bare / a", "none / a", "quiz / a", "quiz / b"]
    assert "no finetuned rows" in record["forecasts"][0]["reasons"][0]


def test_status_of_several_fits_without_a_forecast(several: Path):
    """3 if one was refused, 2 if none could even be fitted."""
    assert call("fit", several, *QUICK, "--task", "none", "--task", "bare").exit_code == 3
    none = call("fit", several, *QUICK, "--task", "none", "--task", "bare", "--method", "lora-8")
    assert none.exit_code == 2


def test_few_shot_rows_alone_are_measured(tmp_path: Path):
    """Verdict, both points of the curve, no law; status 0, and 3 from checkpoints at chance."""
    rows = designs.rows(amounts=(), at=lambda _: 2.4)
    file = write(rows, tmp_path / "few.csv")
    result = call("fit", file, "-o", tmp_path / "out")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert text.startswith("OBSERVED quiz (default): few-shot emergence at")
    assert "the elbow at" in text
    assert "the crossing at" in text
    assert "none of them finetuned" in text
    assert "Law:" not in text
    assert (tmp_path / "out" / "fan.svg").exists()
    refused = call("fit", file, "--at-chance-only")
    assert refused.exit_code == 3
    assert "Finetune these checkpoints" in " ".join(refused.stdout.split())


def test_pool_fits_several_series_as_one(several: Path):
    """Without it, each on its own; with it one forecast that names both."""
    pooled = forecast_of(several, "--task", "quiz", "--pool")
    assert pooled["series"] == ["a", "b"]
    assert pooled["n_checkpoints"] == 14
    one = forecast_of(several, "--task", "quiz", "--series", "b")
    assert one["series"] == "b"


# ---------------------------------------------------------------------------------------- files

REFUSED_PICTURES = {"fan.svg", "fan.png", "distribution.svg", "distribution.png"}
PICTURES = {
    f"{name}.{kind}" for name in ("fan", "distribution", "influence") for kind in ("svg", "png")
}


def test_a_folder_gets_the_record_and_the_pictures(table: Path, tmp_path: Path):
    """The record is the one that --json prints; the command says what it wrote."""
    out = tmp_path / "new" / "folder"
    result = call("fit", table, *QUICK, "-o", out)
    assert result.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"forecast.json", *PICTURES}
    written, printed = only_object((out / "forecast.json").read_text()), forecast_of(table)
    assert written.pop("command") == f"emergecast fit {table} {' '.join(QUICK)} -o {out}"
    assert " --json " in printed.pop("command")
    assert written == printed
    assert (out / "fan.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "fan.svg").read_text().startswith("<svg")
    last = result.stdout.splitlines()[-1]
    assert all(name in last for name in ("forecast.json", *PICTURES, str(out)))


def test_a_refused_forecast_is_written_too(hopeless: Path, tmp_path: Path):
    """Its pictures show the scores."""
    assert call("fit", hopeless, "-o", tmp_path / "out").exit_code == 3
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"forecast.json", *REFUSED_PICTURES}


def test_several_forecasts_get_a_folder_each(tmp_path: Path):
    """Named by task and series; none for what could not be fitted."""
    out = tmp_path / "out"
    rows = [
        *designs.rows(losses=designs.DENSE[::4], amounts=(64, 512), task="none"),
        *designs.rows(losses=designs.DENSE[:1], amounts=(64,), task="one-loss"),
    ]
    result = call("fit", write(rows, tmp_path / "two.csv"), *QUICK, "-o", out)
    assert result.exit_code == 3
    (folder,) = out.iterdir()
    assert {path.name for path in folder.iterdir()} == {"forecast.json", *REFUSED_PICTURES}
    assert result.stdout.splitlines()[-1].endswith(f" to {folder}")


def test_the_last_line_names_every_folder_up_to_six():
    """And counts the others."""
    from emergecast.cli._output import wrote

    paths = [Path("out") / f"t{i}" / name for i in range(8) for name in ("fan.png", "fan.svg")]
    assert wrote(paths[:4]) == "Wrote fan.png, fan.svg to out/t0, out/t1"
    assert wrote(paths).endswith("out/t5 and 2 more")


def test_names_that_are_one_folder_do_not_overwrite_each_other(tmp_path: Path):
    """Tasks `a/b` and `a-b` have two records."""
    small = designs.rows(losses=designs.DENSE[::8], amounts=(64, 512))
    rows = [{**row, "task": name} for name in ("a/b", "a-b") for row in small]
    path = write(rows, tmp_path / "t.csv")
    assert call("fit", path, "-o", tmp_path / "out").exit_code == 3
    records = [
        only_object(found.read_text()) for found in (tmp_path / "out").rglob("forecast.json")
    ]
    assert {record["task"] for record in records} == {"a/b", "a-b"}


def test_a_folder_that_cannot_be_made_is_status_2(table: Path):
    """A file stands in its place."""
    result = call("fit", table, *QUICK, "-o", table)
    assert result.exit_code == 2
    assert str(table) in flat(result.stderr)


def test_a_folder_that_cannot_be_made_does_not_swallow_the_forecast(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One that fails late, as on a full disk: the text is printed, and the status is bad input."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device", "file")

    monkeypatch.setattr("emergecast.files.save_text", full)
    result = call("fit", table, *QUICK, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "few-shot emergence at" in result.stdout


def test_two_runs_are_equal(table: Path, tmp_path: Path):
    """To the byte: text, record and SVG."""
    out = tmp_path / "out"
    runs = []
    for _ in range(2):
        said = call("fit", table, "--bootstrap", "10", *PLAIN, "-o", out).stdout
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".png"}
        runs.append((said, files))
    assert runs[0] == runs[1]
    assert len(runs[0][1]) == 4


# ----------------------------------------------------------------------------------------- demo


def test_the_demo_is_a_forecast_of_the_larger_models_beside_the_later_truth(tmp_path: Path):
    """Both seeds pooled, small models and random weights left out; the table comes along."""
    result = call("demo", "--bootstrap", "0", "-o", tmp_path)
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert text.startswith("The proving ground: transformers of 0.19 to 0.77 million parameters")
    assert "sees only the checkpoints that do not have it yet" in text
    later = re.search(r"the few-shot elbow of all 128 few-shot scores is (5\.17\d)", text)
    assert later is not None
    assert "'no change'" in text
    assert "/ S-" not in text.split("Rests on")[0]
    record = json.loads((tmp_path / "forecast.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    assert record["series"] == ["seed-0", "seed-1"]
    assert record["truth"] == pytest.approx(float(later[1]), abs=0.0005)
    assert record["strongest_loss"] > record["truth"]
    assert record["elbow"]["p05"] < record["truth"] < record["elbow"]["p95"]
    assert read_table(tmp_path / "measurements.csv").hash == proving_ground().hash


@pytest.mark.parametrize("command", ["fit", "demo"])
def test_the_commands_explain_themselves(command: str):
    """With an example."""
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Example: " in result.stdout

"""`emergecast scaling convert`, `laws` and `flops`, as a user calls them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app

INLINE = "E=1.69,A=406.4,B=410.7,alpha=0.34,beta=0.28"


def call(*arguments: object):
    """What `emergecast scaling` does with these arguments."""
    return CliRunner().invoke(app, ["scaling", *map(str, arguments)])


def record(*arguments: object) -> Any:
    """The JSON it prints."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_papers_forecast_for_apps():
    """1.361 -> 325B, 1.386 -> about 250B, 1.324 -> about 490B: arXiv 2411.16035."""
    losses = ("--loss", 1.361, "--loss", 1.386, "--loss", 1.324)
    found = record("convert", *losses, "--law", "snell-llama2")
    assert [each["params"] for each in found] == pytest.approx([325e9, 250e9, 490e9], rel=0.02)
    assert {each["tokens"] for each in found} == {each["flops"] for each in found} == {None}
    text = call("convert", *losses, "--law", "snell-llama2").stdout
    assert [line.split() for line in text.splitlines() if line.startswith("1.3")] == [
        ["1.3610", "325B"],
        ["1.3860", "247B"],
        ["1.3240", "490B"],
    ]


def test_another_floor_moves_the_forecast():
    """Further with every floor, until 1.361 is out of reach; the text says by how much."""
    arguments = ["convert", "--loss", 1.361, "--law", "snell-llama2"]
    for floor in (0.3, 0.6, 0.9, 1.4):
        arguments += ["--floor", floor]
    found = record(*arguments)
    assert [each["floor"] for each in found["floors"]] == [0.3, 0.6, 0.9, 1.4]
    amounts = [found["params"], *(each["params"] for each in found["floors"])]
    assert amounts[:4] == sorted(amounts[:4])
    assert amounts[4] is None
    text = call(*arguments).stdout
    assert "443B  floor 0.9: 1.36 times the params" in text
    assert "never  floor 1.4: out of reach" in text
    assert "fitted on 7.00B to 70.0B params; this extrapolates 4.64 times beyond" in text


def test_one_loss_is_one_object_with_these_keys():
    """And a compute-optimal split is what a law of two resources is asked for by default."""
    found = record("convert", "--loss", 2.0, "--law", "hoffmann")
    assert set(found) == {
        "loss", "params", "tokens", "flops", "interval", "beyond_span", "law", "allocation",
        "floors",
    }  # fmt: skip
    assert found["flops"] == pytest.approx(6 * found["params"] * found["tokens"])
    assert found["allocation"] == {"tie": "compute_optimal", "value": None}
    assert found["law"]["constants"]["B"] == 410.7
    assert record("convert", "--loss", 2.0, "--law", "hoffmann", "--compute-optimal") == found


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("--tokens-per-param", "20", lambda x: x["tokens"] / x["params"] / 20),
        ("--token-budget", "2T", lambda x: x["tokens"] / 2e12),
        ("--model-size", "7B", lambda x: x["params"] / 7e9),
    ],
)
def test_allocations(option, value, kept):
    """Each keeps what it fixes, and there and back is the identity."""
    found = record("convert", "--loss", 2.0, "--law", INLINE, option, value)
    assert kept(found) == pytest.approx(1, rel=1e-12)
    back = record("convert", "--flops", found["flops"], "--law", "hoffmann", option, value)
    assert back["loss"] == pytest.approx(2.0, rel=1e-12)
    text = call("convert", "--loss", 2.0, "--law", INLINE, option, value).stdout
    assert "Parameters and tokens: " in text
    assert "FLOPs are 6 * params * tokens." in text


def test_the_loss_of_a_run():
    """Chinchilla: 70B parameters on 1.4T tokens, 1.936 (arXiv 2203.15556)."""
    found = record("convert", "--params", "70B", "--tokens", "1.4T", "--law", "hoffmann")
    assert found["loss"] == pytest.approx(1.936, abs=1e-3)
    assert found["allocation"] is None
    text = call("convert", "--params", "70B", "--tokens", "1.4T", "--law", "hoffmann").stdout
    assert "1.9366   70.0B   1.40T  5.88e23" in text
    text = call("convert", "--flops", "5.76e23", "--law", "hoffmann", "--floor", 1.5).stdout
    assert "1.8868                           floor 1.5 (-0.0439)" in text


def test_a_span_makes_a_floor_possible():
    """Constants written out do not say where they were fitted."""
    law = "A=8.0374,alpha=0.067,of=params"
    arguments = ("convert", "--loss", 1.361, "--law", law, "--floor", 0.6)
    assert "does not say on which runs" in flat(call(*arguments).stderr)
    found = record(*arguments, "--span", "7B,70B")
    assert found["floors"][0]["params"] == pytest.approx(371e9, rel=0.01)


def test_a_law_from_a_file_brings_its_interval(tmp_path: Path):
    """The draws that are kept with it make 5 and 95%, printed below the answer."""
    path = tmp_path / "law.json"
    constants = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    draws = {name: [value] * 40 for name, value in constants.items()}
    draws["E"] = [1.8 + 0.001 * i for i in range(-20, 20)]
    law = {"constants": {k: {"value": v} for k, v in constants.items()}, "draws": draws}
    path.write_text(json.dumps(law))
    found = record("convert", "--loss", 2.0, "--law", path)
    interval = found["interval"]
    assert set(interval) == {"params", "tokens", "flops"}
    for name, ends in interval.items():
        assert ends["p05"] < found[name] < ends["p95"]
    text = " ".join(call("convert", "--loss", 2.0, "--law", path).stdout.split())
    assert "5% of the law's draws" in text
    footer = "so a row of them is not one run."
    assert footer in text
    assert footer not in " ".join(call("convert", "--flops", 1e22, "--law", path).stdout.split())
    back = record("convert", "--flops", 1e22, "--law", path)
    assert back["interval"]["loss"]["p05"] == pytest.approx(back["loss"] - 0.019, abs=1e-9)
    never = record("convert", "--loss", 1.805, "--law", path)
    assert never["interval"]["flops"]["p95"] is None
    assert "never" in call("convert", "--loss", 1.805, "--law", path).stdout
    path.write_text(json.dumps({"constants": constants}))
    assert record("convert", "--loss", 2.0, "--law", path)["interval"] is None


def test_a_folder_is_no_law_but_holds_one(tmp_path: Path):
    """The message says which file to give; a named law keeps its name beside a folder of it."""
    message = call("convert", "--loss", 2.0, "--law", tmp_path).stderr
    assert "is a folder; give the law in it" in " ".join(message.split())
    (tmp_path / "scaling.json").write_text("{}")
    message = "".join(call("convert", "--loss", 2.0, "--law", tmp_path).stderr.split())
    assert f"{tmp_path}isafolder;give{tmp_path}/scaling.json." in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", 1.3, "--law", "epoch"), "its losses all lie above 1.81686"),
        (("--loss", 1.8, "--law", "hoffmann", "--token-budget", "1T"), "all lie above 1.86928"),
        (
            ("--loss", 1.8, "--law", "hoffmann", "--token-budget", "300B"),
            "Ask for a loss above 1.94115, or fix more tokens or parameters, with which it falls ",
        ),
        (("--loss", 1.3, "--law", "epoch"), "pay for. Ask for a loss above 1.81686."),
        (("--params", "13B", "--law", "kaplan-compute"), "--tokens-per-param"),
        (("--loss", 9, "--law", "snell-llama2"), "Ask for a loss of at most 8.03738"),
        (("--loss", "nan", "--law", "epoch"), "positive and finite, and nan is not"),
        (("--loss", 2, "--law", "hofman"), 'Did you mean "hoffmann"'),
        (("--loss", 2, "--law", "nowhere.json"), 'no file "nowhere.json"'),
        (("--loss", 2, "--law", "A=1,B=2"), "lacks E, alpha, beta"),
        (("--params", "-7B", "--law", "epoch"), "--params '-7B' is not positive"),
        (("--tokens", "lots", "--law", "epoch"), "--tokens 'lots' is not an amount"),
        (("--law", "epoch"), "give either --loss"),
        (("--loss", 2, "--tokens", "1T", "--law", "epoch"), "--model-size and --token-budget fix"),
        (
            ("--loss", 2, "--law", "epoch", "--token-budget", "1T", "--model-size", "1B"),
            "--token-budget and --model-size tie parameters and tokens in 2 ways",
        ),
        (("--loss", 2, "--law", "epoch", "--tokens-per-param", 0), "--tokens-per-param '0'"),
        (("--loss", 1.4, "--law", "snell-llama2", "--compute-optimal"), "no compute-optimal split"),
        (("--loss", 1.4, "--law", "snell-llama2", "--floor", 1.6), "at least 0 and below that"),
        (("--loss", 2, "--law", "epoch", "--span", "7B"), "--span '7B' is not LOW,HIGH"),
        (("--loss", 2, "--law", "epoch", "--span", "7B,6B"), "is not LOW,HIGH"),
        (("--params", "7B", "--tokens", "1T", "--law", "snell-llama2"), "Give exactly those"),
    ],
)
def test_an_impossible_request_ends_in_a_message_and_status_2(arguments, message):
    """On standard error, and as JSON where JSON was asked for; nothing else is printed."""
    result = call("convert", *arguments)
    assert result.exit_code == 2
    assert message in flat(result.stderr)
    assert result.stdout == ""
    result = call("convert", *arguments, "--json")
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]


def test_the_laws_are_listed_with_constants_span_and_source():
    """As text and as JSON."""
    text = call("laws").stdout
    for said in ("hoffmann", "482.006 / N^0.34781", "7.00B to 70.0B params", "2411.16035"):
        assert said in text
    found = record("laws")
    assert [law["name"] for law in found][:2] == ["hoffmann", "epoch"]
    assert found[1]["constants"] == {
        "E": 1.81686, "A": 482.006, "B": 2085.434, "alpha": 0.34781, "beta": 0.36585,
    }  # fmt: skip
    assert found[-1]["of"] == "params"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """LLaMA 7B."""
    path = tmp_path / "config.json"
    llama = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000,
        "max_position_embeddings": 2048,
    }  # fmt: skip
    path.write_text(json.dumps(llama))
    return path


def test_flops_of_an_architecture(config: Path):
    """Parameters to the last one, every convention beside 6 N D, and the terms add up."""
    found = record("flops", "--config", config, "--tokens", "1T")
    assert found["params"]["total"] == 6_738_415_616
    assert found["six_n_d"]["total"] == pytest.approx(6 * 6_738_415_616 * 1e12)
    assert found["flops"] == found["countings"]["matmuls"]["flops"]
    for counting in found["countings"].values():
        total = 3 * sum(counting["forward_per_token"].values()) * 1e12
        assert counting["flops"] == pytest.approx(total)
        assert counting["over_six_n_d"] == pytest.approx(total / found["six_n_d"]["total"])
    text = call("flops", "--config", config, "--tokens", "1T").stdout
    for said in ("6,738,415,616 parameters", "mlp", "63.0%", "kaplan", "hoffmann", "palm"):
        assert said in text
    short = record("flops", "--config", config, "--tokens", "1T", "--context", 512)
    assert short["flops"] < found["flops"]


def test_a_bad_config_ends_in_status_2(config: Path):
    """With the file's name; a missing file too."""
    result = call("flops", "--config", config.with_name("none.json"), "--tokens", "1T")
    assert result.exit_code == 2
    assert "none.json" in flat(result.stderr)
    config.write_text("{}")
    result = call("flops", "--config", config, "--tokens", "1T", "--json")
    assert result.exit_code == 2
    assert 'has no "model_type"' in json.loads(result.stdout)["error"]


DOCS = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")


@pytest.mark.parametrize(
    "line", re.findall(r"^emergecast (scaling (?:convert|laws)[^#\n]*)", DOCS, re.MULTILINE)
)
def test_every_conversion_in_the_documentation_works(line: str):
    """Those that need no file, as they stand there."""
    if ".json" not in line:
        assert CliRunner().invoke(app, shlex.split(line)).exit_code == 0


def test_the_documentation_shows_the_figures_of_the_floors():
    """The table of docs/scaling.md, computed again."""
    for loss in (1.386, 1.361, 1.324):
        arguments = ["convert", "--loss", loss, "--law", "snell-llama2"]
        for floor in (0.3, 0.6, 0.9, 1.2):
            arguments += ["--floor", floor]
        found = record(*arguments)
        billions = [each["params"] / 1e9 for each in (found, *found["floors"])]
        (row,) = re.findall(rf"^\| {loss} \(.*\) \| (.*) \|$", DOCS, re.MULTILINE)
        shown = [cell.replace("2.4T", "2353B") for cell in row.split(" | ")]
        assert [f"{amount:.0f}B" for amount in billions] == shown


def test_help_shows_the_group_and_an_example():
    """What there is, and how to call it."""
    text = call("--help").stdout
    for command in ("convert", "laws", "flops"):
        assert command in text
    assert "emergecast scaling convert --loss 1.361" in " ".join(
        call("convert", "--help").stdout.replace("│", " ").split()
    )

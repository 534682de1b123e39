from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from tests.cli.test_documentation import FENCE, resolve

from emergecast.lab.executors import run_all
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.plan import survey

PAGE = Path(__file__).parents[3] / "docs" / "lab.md"
TEXT = PAGE.read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [code for name, code in FENCE.findall(TEXT) if name == language]


COMMANDS = [
    line.partition("  #")[0]
    for block in blocks("bash")
    for line in block.splitlines()
    if line.startswith("emergecast")
]


@pytest.mark.parametrize("line", [*COMMANDS, *re.findall(r"`(emergecast [^`]+ [^`]+)`", TEXT)])
def test_every_command_of_the_page_has_the_options_it_is_shown_with(line: str):
    """Parsed by the application itself, without running."""
    command, rest = resolve(shlex.split(line)[1:])
    with_file = rest if any(not word.startswith("-") for word in rest) else [*rest, "file"]
    try:
        command.make_context("emergecast", with_file, resilient_parsing=False)
    except click.exceptions.Exit as ended:
        assert ended.exit_code == 0  # noqa: PT017  --help ends here


def test_every_experiment_of_the_page_can_be_read():
    """And has runs."""
    found = [parse_experiment(text, "experiment.yaml") for text in blocks("yaml")]
    assert len(found) == 3
    assert [method.name for method in found[0].finetuning.methods] == ["full", "lora-8"]
    assert [method.name for method in found[1].finetuning.methods] == ["lora-8", "prefix-16"]


def test_the_rehearsal_and_the_python_of_the_page_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The rehearsal fails where the page says so."""
    monkeypatch.chdir(tmp_path)
    text = blocks("yaml")[-1].replace("seconds: 0.1", "seconds: 0")
    Path("experiment.yaml").write_text(text, "utf-8")
    report = run_all(parse_experiment(text, "experiment.yaml"))
    assert (report.done, report.failed) == (7, 1)
    (failure,) = survey(report.plan.experiment).failures
    assert failure.title == "v1/S-2 few_shot matching"
    (code,) = blocks("python")
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})  # noqa: S102  our own page


def test_the_message_of_the_page_is_the_one_that_is_given():
    """The line and the wording of the quoted mistake."""
    text = blocks("yaml")[0].replace("256: 100, 1024: 200}", "256: 100}")
    quoted = [block for block in blocks("text") if "problem" in block]
    with pytest.raises(Exception, match="1 problem") as caught:
        parse_experiment(text, "experiment.yaml")
    assert quoted == [f"emergecast: {caught.value}\n"]

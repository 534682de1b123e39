"""Where all paths are local no request leaves the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab.worker.small_models import changed

from emergecast.lab.experiment import parse_experiment
from emergecast.lab.worker._offline import is_local

WATCHED = """
import json, socket, sys
asked = []
def refuse(*arguments, **_):
    asked.append(str(arguments))
    raise OSError("there is no network")
real = socket.socket.connect
def connect(self, address, *rest):
    return real(self, address, *rest) if self.family == socket.AF_UNIX else refuse(address)
socket.socket.connect, socket.getaddrinfo = connect, refuse
from pathlib import Path
from emergecast.lab.executors._local import _environment
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import survey
from emergecast.lab.worker import measurer_of
experiment = read_experiment(sys.argv[1])
plan = survey(experiment).plan
assert not plan.problems, plan.problems
measurer = measurer_of(experiment)
for run in (plan.runs[0], next(run for run in plan.runs if run.training)):
    measurer.measure(run, Path(sys.argv[2]), lambda done, total: None)
environment = {name: value for name, value in _environment(0).items() if "OFFLINE" in name}
print(json.dumps([asked, environment]))
"""


def watched(file: Path, **environment: str) -> tuple[list[str], dict[str, str]]:
    """What is asked for while an experiment is planned and two runs are done, without a network."""
    mine = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    mine |= {"HF_HOME": str(file.parent / "home"), **environment}
    process = subprocess.run(
        [sys.executable, "-c", WATCHED, str(file), str(file.parent / "training")],
        env=mine,
        capture_output=True,
        text=True,
        check=True,
    )
    found: tuple[list[str], dict[str, str]] = json.loads(process.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_local_experiment_asks_nobody(place: Path):
    """Planning, a loss and a finetuning; a count of downloads would go to a public address."""
    asked, environment = watched(changed(place).file)
    assert asked == []
    assert environment == dict.fromkeys(
        ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"), "1"
    )
    counted, environment = watched(
        changed(place).file,
        HF_UPDATE_DOWNLOAD_COUNTS="1",
        HF_HUB_OFFLINE="0",
        HF_DATASETS_OFFLINE="0",
    )
    assert counted, "the watch sees it, and what the user has set stands"
    assert environment["HF_HUB_OFFLINE"] == "0"


def test_an_experiment_is_local_where_checkpoints_and_data_are(place: Path):
    """A repository, a task of the harness, or data of the hub need it."""
    local = changed(place)
    assert is_local(local)

    def with_changes(old: str, new: str) -> Any:
        assert old in local.text
        return parse_experiment(local.text.replace(old, new), local.file)

    assert not is_local(with_changes("path: models/b", "repo: some/b"))
    assert not is_local(with_changes(", include_path: tasks", ""))
    task = local.text[local.text.index("{name: words") :].splitlines()[0]
    assert not is_local(with_changes(task, "{name: cola}"))
    assert is_local(with_changes(task, "{name: cola, data: copy}"))
    yaml = place / "tasks" / "words.yaml"
    yaml.write_text(yaml.read_text("utf-8").replace("dataset_path: json", "dataset_path: a/b"))
    assert not is_local(changed(place))

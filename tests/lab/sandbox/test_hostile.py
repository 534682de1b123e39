"""Programs that try to get out: each of them, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emergecast.lab.sandbox import Ending, Trials, hostile_programs
from emergecast.lab.sandbox._trials import MARK, Bait
from emergecast.records import from_json

pytestmark = pytest.mark.usefixtures("bubblewrap")

ENDINGS = {
    "read files of the machine": "finished",
    "write to a file of the machine": "finished",
    "list folders of the machine": "finished",
    "write into every folder there is": "finished",
    "replace the standard library": "finished",
    "follow links out of the root": "finished",
    "chroot and climb": "finished",
    "make a device": "finished",
    "open files by handle": "finished",
    "look for other processes": "finished",
    "find secrets in the environment": "finished",
    "signal the parent and everybody": "finished",
    "trace the parent": "finished",
    "read the memory of another process": "finished",
    "lower the parent's priority and limits": "finished",
    "connect to the machine": "finished",
    "connect to an abstract socket": "finished",
    "ask a name server": "finished",
    "ask the cloud's metadata address": "finished",
    "raw and netlink sockets": "finished",
    "serve on a port": "finished",
    "fork bomb": "finished",
    "start another program": "finished",
    "a pool of processes": "finished",
    "clone by number": "finished",
    "a daemon": "finished",
    "threads without end": "failed",
    "become another program and go on": "out of CPU time",
    "all memory": "out of memory",
    "memory over many processes": "finished",
    "shared memory": "finished",
    "memory in files without a name": "finished",
    "memory in message queues": "finished",
    "memory in pipes": "finished",
    "raise the own limits": "finished",
    "deep recursion": "failed",
    "a huge integer": "out of CPU time",
    "output without end": "too much output",
    "errors without end": "too much output",
    "output through another door": "too much output",
    "write to inherited descriptors": "finished",
    "terminal tricks": "finished",
    "sleep past the limit": "out of time",
    "close all streams and stay": "out of time",
    "refuse every signal and compute": "out of CPU time",
    "compute in threads": "out of CPU time",
    "a pattern that never matches": "out of CPU time",
    "set the clock": "finished",
    "stop without end": "out of time",
    "namespaces of its own": "finished",
    "enter namespaces": "finished",
    "mount": "finished",
    "become root": "finished",
    "switches of the kernel": "finished",
    "corners of the kernel": "finished",
    "system calls of later kernels": "finished",
    "restart the machine": "finished",
    "a bomb of compressed zeros": "out of memory",
    "descriptors on their way": "finished",
    "a storm of timers": "out of CPU time",
}
"""How each ends: `finished` is a program whose every attempt was refused."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for temporary files of the command, which everybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def trials(folder: Path) -> Trials:
    """What `emergecast sandbox check` finds; run once."""
    command = [sys.executable, "-m", "emergecast", "sandbox", "check", "--json"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    return from_json(Trials, json.loads(done.stdout), what="the output")


def test_every_hostile_program_is_in_the_list_above():
    """A program that is added says here how it ends."""
    assert [each.name for each in hostile_programs()] == list(ENDINGS)


@pytest.mark.parametrize("name", ENDINGS)
def test_none_succeeds(trials: Trials, name: str):
    """It reached nothing, and ended as it should."""
    trial = next(each for each in trials.trials if each.name == name)
    assert trial.held, trial.why
    assert trial.ending == Ending(ENDINGS[name])


def test_none_hangs_or_leaves_anything(trials: Trials, folder: Path):
    """No process of the sandbox is left, no file, and none took much longer than it may."""
    assert trials.held
    commands = [_command(each) for each in Path("/proc").iterdir() if each.name.isdigit()]
    assert not [each for each in commands if str(folder).encode() in each]
    assert not list(folder.iterdir())
    assert max(each.wall_seconds for each in trials.trials) < 25


@pytest.mark.parametrize("name", [each.name for each in hostile_programs() if each.harmless])
def test_outside_of_the_sandbox_they_do_succeed(name: str):
    """The programs are no straw men: those that harm nothing are seen to reach what they want."""
    program = next(each for each in hostile_programs() if each.name == name)
    with Bait() as bait:
        command = [sys.executable, "-c", bait.set_out(program.source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert MARK in done.stdout


def test_a_file_that_was_changed_is_noticed():
    """What a program does to the machine is seen from outside, whatever it prints."""
    from emergecast.lab.sandbox import ProgramOutcome

    silent = ProgramOutcome(
        ending=Ending.FINISHED, exit_status=0, stdout="", stderr="", cpu_seconds=0, wall_seconds=0
    )
    with Bait() as bait:
        assert not bait.taken(silent)
        Path(bait.set_out("@FILE@")).write_text("changed", "utf-8")
        assert bait.taken(silent) == "it changed a file of the machine"
        Path(bait.set_out("@FILE@")).unlink()
        assert bait.taken(silent) == "it removed a file of the machine"


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""

"""Hostile programs, and whether the sandbox holds them on this machine."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, Self

from emergecast.lab.sandbox._image import Interpreter
from emergecast.lab.sandbox._limits import Ending, Limits, ProgramOutcome
from emergecast.lab.sandbox._run_program import interpreter_version, run

MARK: Final = "ESCAPED"
TRIAL_LIMITS: Final = Limits(cpu_seconds=1.0, memory_bytes=2**28, output_bytes=2**20)
_SLACK_SECONDS: Final = 5.0
"""That a kill may take on a busy machine, beyond the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileProgram:
    """A program that tries what a program must not."""

    name: str
    """What it tries."""
    source: str
    """The program, with places for what only the machine knows."""
    ends: tuple[Ending, ...]
    """How it may end."""
    limits: Limits
    """What it may use."""
    harmless: bool
    """Whether it does no harm outside of a sandbox, so that it can be seen to succeed there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one hostile program."""

    name: str
    """What it tried."""
    held: bool
    """Whether the sandbox held it."""
    ending: Ending
    """How it ended."""
    why: str
    """What it reached; empty where it was held."""
    wall_seconds: float
    """Seconds that it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What became of all of them."""

    held: bool
    """Whether the sandbox held every one."""
    interpreter: str
    """Versions of Python and numpy inside."""
    trials: tuple[Trial, ...]
    """One by one."""


@cache
def hostile_programs() -> tuple[HostileProgram, ...]:
    """All of them, from the file beside this one."""
    text = Path(__file__).with_name("hostile.toml").read_text("utf-8")
    content = tomllib.loads(text)
    return tuple(
        HostileProgram(
            name=each["name"],
            source=content["prelude"] + each["source"],
            ends=tuple(Ending(end) for end in each.get("ends", ("finished", "failed"))),
            limits=replace(
                TRIAL_LIMITS, wall_seconds=each.get("wall_seconds", TRIAL_LIMITS.wall_seconds)
            ),
            harmless=each.get("harmless", False),
        )
        for each in content["program"]
    )


def try_all(
    interpreter: Interpreter | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    workers: int = 2,
) -> Trials:
    """Run every hostile program in the sandbox, some at a time.

    Raises:
        LabError: there is no working bubblewrap, or the interpreter cannot be used.
    """
    interpreter = interpreter or Interpreter()
    version = interpreter_version(interpreter)
    found = []
    with Bait() as bait, ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_try, each, bait, interpreter) for each in hostile_programs()]
        for job in jobs:
            found.append(job.result())
            if on_trial is not None:
                on_trial(found[-1])
    return Trials(held=all(each.held for each in found), interpreter=version, trials=tuple(found))


def _try(program: HostileProgram, bait: Bait, interpreter: Interpreter) -> Trial:
    outcome = run(bait.set_out(program.source), "", program.limits, interpreter=interpreter)
    why = bait.taken(outcome) or _misled(program, outcome)
    return Trial(
        name=program.name,
        held=not why,
        ending=outcome.ending,
        why=why,
        wall_seconds=outcome.wall_seconds,
    )


def _misled(program: HostileProgram, outcome: ProgramOutcome) -> str:
    """What is wrong with the way in which a program ended."""
    if MARK in outcome.stdout + outcome.stderr:
        lines = (outcome.stdout + outcome.stderr).splitlines()
        return next(line for line in lines if MARK in line)[:200]
    if outcome.wall_seconds > program.limits.wall_seconds + _SLACK_SECONDS:
        return f"it took {outcome.wall_seconds:.0f} s"
    if outcome.ending not in program.ends:
        return f"it should have ended {' or '.join(program.ends)}: {outcome.stderr[-200:]}"
    return ""


class Bait:
    """What there is to reach on the machine: a file, a port, a socket, a process, a secret."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._secret = secrets.token_hex(16)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o777)
            self._file = folder / "bait.txt"
            self._file.write_text(self._secret, "ascii")
            self._file.chmod(0o666)
            self._port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            self._unix = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._name = f"emergecast-{self._secret[:8]}"
            self._unix.bind(f"\0{self._name}")
            self._unix.listen()
            for each in (self._port, self._unix):
                each.settimeout(0)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def set_out(self, source: str) -> str:
        """A program that knows where the bait lies, but for the secret itself."""
        for name, value in {
            "@FILE@": str(self._file),
            "@PORT@": str(self._port.getsockname()[1]),
            "@SOCKET@": self._name,
            "@PID@": str(os.getpid()),
        }.items():
            source = source.replace(name, value)
        return source

    def taken(self, outcome: ProgramOutcome) -> str:
        """What a program reached, as seen from outside; empty if nothing."""
        if self._secret in outcome.stdout + outcome.stderr:
            return "it printed the secret"
        try:
            if self._file.read_text("ascii") != self._secret:
                return "it changed a file of the machine"
        except OSError:
            return "it removed a file of the machine"
        for each in (self._port, self._unix):
            try:
                each.accept()[0].close()
            except BlockingIOError:
                continue
            return "it connected to the machine"
        return ""

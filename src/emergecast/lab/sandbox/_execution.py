"""One program, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Final, cast

from emergecast.lab.sandbox._filter import system_call_filter
from emergecast.lab.sandbox._image import Image, environment
from emergecast.lab.sandbox._installed import NOBODY, as_nobody, command_line, set_limits
from emergecast.lab.sandbox._limits import Ending, Limits, ProgramOutcome
from emergecast.lab.sandbox._process import (
    Inside,
    Watch,
    events,
    exit_code,
    finish,
    first_process,
    kill,
)

_KEPT_STDERR: Final = 2**16
_DRAIN_SECONDS: Final = 5.0


@dataclass(slots=True)
class Execution:
    """One process behind bubblewrap, from its start to its end."""

    image: Image
    limits: Limits
    on_idle: Callable[[], None] | None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    written: int = 0
    """Bytes that came to standard error."""
    seen_seconds: float = 0.0
    """CPU that was seen while it lived."""

    def outcome(self, program: str, stdin: str) -> ProgramOutcome | None:
        """What the program did; None where bubblewrap did not say so."""
        with contextlib.ExitStack() as stack:
            started = time.monotonic()
            process, status, go = self._start(program, stack)
            inside = None
            try:
                inside = first_process(process, status, stack)
                wrong = "" if inside is None else set_limits(inside.pid, self.limits)
                if inside is None or wrong:  # nothing has started, and nothing will
                    kill(process, inside)
                    self._converse(process, inside, b"", started)
                    self.stderr += wrong.encode()
                    return None
                with contextlib.suppress(BrokenPipeError):
                    os.write(go, b"1")
                killed = self._converse(process, inside, stdin.encode(errors="replace"), started)
            finally:
                used = finish(process)
            wall = time.monotonic() - started
            code = exit_code(status)
        seconds = max(used, self.seen_seconds)
        if killed is None and code is None:
            return None
        return ProgramOutcome(
            ending=killed or self._ending(cast("int", code), seconds),
            exit_status=None if killed else code,
            stdout=self.stdout.decode(errors="replace"),
            stderr=self.stderr[-_KEPT_STDERR:].decode(errors="replace"),
            cpu_seconds=round(seconds, 4),
            wall_seconds=round(wall, 4),
        )

    def _start(
        self, program: str, stack: contextlib.ExitStack
    ) -> tuple[subprocess.Popen[bytes], int, int]:
        """The process, the pipe on which it tells its status, and the one it waits for."""
        status, tell = os.pipe()
        wait, go = os.pipe()
        descriptors = {
            "program": _in_memory(program.encode(errors="replace")),
            "filter": _in_memory(system_call_filter()),
            "status": tell,
            "go": wait,
        }
        for each in (status, go):
            stack.callback(os.close, each)
        try:
            process = subprocess.Popen(  # noqa: S603
                command_line(self.image, descriptors),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env=environment(self.image),
                pass_fds=tuple(descriptors.values()),
                start_new_session=True,  # Ctrl-C is for the parent, which then ends it
            )
        finally:
            for each in descriptors.values():
                os.close(each)
        for stream in (process.stdin, process.stdout, process.stderr):
            stack.callback(_close, cast("IO[bytes]", stream))
            if as_nobody():  # who may then open /dev/stdin
                os.fchown(cast("IO[bytes]", stream).fileno(), NOBODY, NOBODY)
        return process, status, go

    def _converse(
        self,
        process: subprocess.Popen[bytes],
        inside: Inside | None,
        stdin: bytes,
        started: float,
    ) -> Ending | None:
        """Feed the program and listen to it until it ends; the limit at which it was killed."""
        killed: Ending | None = None
        watch = Watch(inside.pid if inside else None, self.on_idle)
        end = started + self.limits.wall_seconds
        for ready in events(process, stdin):
            if ready is not None:
                self._take(*ready)
            now = time.monotonic()
            if killed is None:
                self.seen_seconds = watch.look(now)
                killed = self._over(now >= end)
                if killed is not None:
                    kill(process, inside)
                    end = now + _DRAIN_SECONDS
            elif now >= end:
                break
        return killed

    def _take(self, name: str, content: bytes) -> None:
        """Keep what was read."""
        if name == "stdout":
            self.stdout += content[: self.limits.output_bytes - len(self.stdout) + 1]
            return
        self.written += len(content)
        self.stderr += content
        if len(self.stderr) > 4 * _KEPT_STDERR:
            del self.stderr[:-_KEPT_STDERR]

    def _over(self, late: bool) -> Ending | None:  # noqa: FBT001
        """The limit that is passed."""
        if max(len(self.stdout), self.written) > self.limits.output_bytes:
            return Ending.OUTPUT
        if self.seen_seconds > self.limits.cpu_seconds:
            return Ending.CPU
        return Ending.WALL if late else None

    def _ending(self, code: int, seconds: float) -> Ending:
        """How a program ended that was not killed by us."""
        if max(len(self.stdout), self.written) > self.limits.output_bytes:
            return Ending.OUTPUT
        if seconds > self.limits.cpu_seconds:
            return Ending.CPU
        if code == 0:
            return Ending.FINISHED
        last = self.stderr.rstrip().rpartition(b"\n")[2]
        return Ending.MEMORY if b"MemoryError" in last else Ending.FAILED


def _in_memory(content: bytes) -> int:
    """The descriptor of a file that is in memory only."""
    descriptor = os.memfd_create("emergecast", 0)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _close(stream: IO[bytes]) -> None:
    """Close a pipe, whoever is left at its other end."""
    with contextlib.suppress(OSError):
        stream.close()

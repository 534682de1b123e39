"""A process behind bubblewrap: what it says, what it uses, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

_START_SECONDS: Final = 30.0
"""For bubblewrap to say that it has begun, on the busiest machine."""
_LAST_SECONDS: Final = 10.0
"""From the closing of its streams to its end."""
_TICK_SECONDS: Final = 0.25
_IDLE_SHARE: Final = 0.2
"""Of a tick: a program that uses less CPU waits for something."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The first process of the sandbox's own process namespace."""

    pid: int
    descriptor: int
    """A pidfd: the number may become another process's, this does not."""


def first_process(
    process: subprocess.Popen[bytes], status: int, stack: contextlib.ExitStack
) -> Inside | None:
    """What bubblewrap says about the process that it made; None where it made none."""
    line = b""
    end = time.monotonic() + _START_SECONDS
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([status], [], [], max(0.0, end - time.monotonic()))
        byte = os.read(status, 1) if ready else b""
        if not byte:
            process.kill()
            return None
        line += byte
    pid = json.loads(line)["child-pid"]
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, descriptor)
    return Inside(pid, descriptor)


def events(process: subprocess.Popen[bytes], stdin: bytes) -> Iterator[tuple[str, bytes] | None]:
    """What the process writes, and None where nothing came for a while; feeds it meanwhile."""
    left = memoryview(stdin)
    streams = {"stdin": process.stdin, "stdout": process.stdout, "stderr": process.stderr}
    with selectors.DefaultSelector() as selector:
        for name, stream in streams.items():
            assert stream is not None  # noqa: S101  as Popen was told
            os.set_blocking(stream.fileno(), False)
            kind = selectors.EVENT_WRITE if name == "stdin" else selectors.EVENT_READ
            selector.register(stream, kind, name)
        reading = 2
        while reading:
            found = selector.select(_TICK_SECONDS)
            if not found:
                yield None
            for key, _ in found:
                stream = cast("IO[bytes]", key.fileobj)
                if key.data == "stdin":
                    try:
                        left = left[os.write(stream.fileno(), left[:65536]) :] if left else left
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:  # it reads no more
                        left = left[:0]
                    if not left:
                        selector.unregister(stream)
                        stream.close()
                    continue
                content = os.read(stream.fileno(), 65536)
                if not content:
                    selector.unregister(stream)
                    reading -= 1
                yield key.data, content


@dataclass(slots=True)
class Watch:
    """Looks now and then how much CPU the program has used."""

    pid: int | None
    on_idle: Callable[[], None] | None
    seconds: float = 0.0
    looked: float = field(default_factory=time.monotonic)

    def look(self, now: float) -> float:
        """Seconds of CPU so far, as of the last look."""
        if self.pid is None or now - self.looked < _TICK_SECONDS:
            return self.seconds
        seconds, waits = state_of(self.pid)
        before, self.seconds = self.seconds, max(self.seconds, seconds)
        little = self.seconds - before < _IDLE_SHARE * (now - self.looked)
        if self.on_idle and waits and little:
            self.on_idle()
            self.on_idle = None
        self.looked = now
        return self.seconds


def state_of(pid: int) -> tuple[float, bool]:
    """Seconds of CPU of a process, in hundredths, and whether it waits; 0 where it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        words = text.rpartition(")")[2].split()
        return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK"), words[0] != "R"
    return 0.0, False


def exit_code(status: int) -> int | None:
    """The program's exit status, which bubblewrap tells only where it got so far as to start it."""
    text = b""
    while content := os.read(status, 4096):
        text += content
    for line in text.splitlines():
        if "exit-code" in (found := json.loads(line)):
            return int(found["exit-code"])
    return None


def kill(process: subprocess.Popen[bytes], inside: Inside | None) -> None:
    """Kill the program, upon which bubblewrap ends; bubblewrap itself where there is none."""
    if inside is None:
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(inside.descriptor, signal.SIGKILL)


def finish(process: subprocess.Popen[bytes]) -> float:
    """Wait for bubblewrap, killing it where it is still there; seconds of CPU of all below it."""
    end = time.monotonic() + _LAST_SECONDS
    pid, status, used = os.wait4(process.pid, os.WNOHANG)
    while not pid and time.monotonic() < end:  # its streams are closed: it is about to end
        time.sleep(0.001)
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        os.kill(process.pid, signal.SIGKILL)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime

"""Running one program behind bubblewrap."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Final, cast

from emergecast.errors import LabError
from emergecast.lab.sandbox._filter import system_call_filter
from emergecast.lab.sandbox._image import (
    DEVICES,
    PROGRAM,
    Image,
    Interpreter,
    environment,
    image_of,
)
from emergecast.lab.sandbox._limits import Ending, Limits, ProgramOutcome

NOBODY: Final = 65534
_OLDEST_LINUX: Final = (5, 14)
_DESCRIPTORS: Final = 64
_STACK_BYTES: Final = 2**26
"""Of a thread, too: deep recursion needs some, many threads need little."""
_KEPT_STDERR: Final = 2**16
_START_SECONDS: Final = 30.0
"""For bubblewrap to say that it has begun, on the busiest machine."""
_DRAIN_SECONDS: Final = 5.0
_TICK_SECONDS: Final = 0.25
_IDLE_SHARE: Final = 0.2
"""Of a tick: a program that uses less CPU waits for something."""
_ADVICE: Final = (
    "Install it (Debian, Ubuntu: apt-get install bubblewrap); it must be 0.8 or later, and may "
    "need user namespaces allowed (sysctl kernel.apparmor_restrict_unprivileged_userns=0, or "
    "--security-opt seccomp=unconfined for a container)."
)


def run(
    program: str,
    stdin: str,
    limits: Limits | None = None,
    *,
    interpreter: Interpreter | None = None,
    on_idle: Callable[[], None] | None = None,
) -> ProgramOutcome:
    """Run a Python program in a sandbox of its own; may be called from many threads.

    Args:
        program: its source.
        stdin: what it reads from standard input, a pipe that is then closed.
        limits: what it may use; `Limits()` if absent.
        interpreter: which Python runs it; `Interpreter()` if absent.
        on_idle: called once if the program lives but hardly uses its core, so that another may.

    Raises:
        LabError: there is no working bubblewrap, or the interpreter cannot be used.
    """
    limits, interpreter = limits or Limits(), interpreter or Interpreter()
    image = _checked(interpreter)
    for _ in range(2):
        found = _Execution(image, limits, on_idle).outcome(program, stdin)
        if found is not None:
            return found
        _must_work(image)  # whose fault was it?
    raise LabError("a program ended without a status, twice, in a sandbox that works otherwise.")


def interpreter_version(interpreter: Interpreter | None = None) -> str:
    """Of the Python that runs programs, and of its numpy; results of another may differ.

    Raises:
        LabError: it cannot be used.
    """
    return image_of(interpreter or Interpreter()).version


def why_not() -> str | None:
    """Why nothing can be run on this machine, in one sentence; None where it can."""
    try:
        _checked(Interpreter())
    except LabError as error:
        return str(error)
    return None


@cache
def _checked(interpreter: Interpreter) -> Image:
    """The root for an interpreter in which a first program has run."""
    _bubblewrap()
    system_call_filter()
    image = image_of(interpreter)
    _must_work(image)
    return image


@cache
def _bubblewrap() -> str:
    """The file of bubblewrap, which is new enough."""
    if not hasattr(os, "pidfd_open"):
        raise LabError("programs of models are run on Linux only, behind bubblewrap.")
    linux = tuple(int(each) for each in os.uname().release.split("-")[0].split(".")[:2])
    if linux < _OLDEST_LINUX:
        raise LabError(
            f"programs of models are run on Linux 5.14 or later; this is {os.uname().release}."
        )
    path = shutil.which("bwrap")
    if path is None:
        raise LabError(f"programs of models are run behind bubblewrap only. {_ADVICE}")
    known = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)  # noqa: S603
    if "--disable-userns" not in known.stdout + known.stderr:
        raise LabError(f"this bubblewrap ({path}) is too old. {_ADVICE}")
    return path


def _must_work(image: Image) -> None:
    """Run a program that cannot fail."""
    execution = _Execution(image, Limits(), None)
    found = execution.outcome("print(6 * 7)", "")
    if found is None or found.ending != Ending.FINISHED or found.stdout != "42\n":
        said = execution.stderr.decode(errors="replace").strip() or "nothing"
        raise LabError(f"bubblewrap cannot make a sandbox here; it says: {said} {_ADVICE}")


def _command(bubblewrap: str, image: Image, descriptors: dict[str, int]) -> list[str]:
    return [
        *_as_nobody(), bubblewrap,
        "--unshare-all", "--unshare-user", "--disable-userns", "--uid", str(NOBODY),
        "--gid", str(NOBODY), "--hostname", "sandbox", "--die-with-parent", "--new-session",
        "--as-pid-1",  # bubblewrap waits for it itself, and so the kernel adds up its CPU
        "--ro-bind", str(image.root), "/", "--proc", "/proc",
        *(word for each in DEVICES for word in ("--dev-bind", each, each)),
        "--ro-bind-data", str(descriptors["program"]), PROGRAM,
        "--chdir", "/", "--seccomp", str(descriptors["filter"]),
        "--json-status-fd", str(descriptors["status"]), "--block-fd", str(descriptors["go"]),
        image.executable, PROGRAM,
    ]  # fmt: skip


def _as_nobody() -> tuple[str, ...]:
    """What makes a command run as nobody: root is not bound by limits on processes."""
    if os.geteuid() != 0:
        return ()
    return (_tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


@cache
def _tool(name: str) -> str:
    """The file of a command of util-linux."""
    path = shutil.which(name)
    if path is None:
        raise LabError(f'as root, programs of models need "{name}" of the package util-linux.')
    return path


def _limit(pid: int, limits: Limits) -> str:
    """Set the limits of bubblewrap's first process inside, from which the program has them.

    Not earlier: processes are counted in the user namespace in which their limit was set.

    Returns:
        Why it did not work; empty if it did.
    """
    most = {
        "CPU": math.ceil(limits.cpu_seconds) + 1,  # the parent looks every quarter second
        "AS": limits.memory_bytes,
        "STACK": _STACK_BYTES,
        "NPROC": limits.threads + 1,
        "NOFILE": _DESCRIPTORS,
        "CORE": 0,
        "MSGQUEUE": 0,
        "MEMLOCK": 0,
    }
    for name, limit in most.items():
        _, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        most[name] = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    if words := _as_nobody():  # a root without CAP_SYS_RESOURCE may not; the same user may
        options = [f"--{name.lower()}={limit}" for name, limit in most.items()]
        command = [*words, _tool("prlimit"), f"--pid={pid}", *options]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        return done.stderr.decode(errors="replace") if done.returncode else ""
    try:
        for name, limit in most.items():
            resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    except OSError as error:
        return f"limits: {error}"
    return ""


@dataclass(slots=True)
class _Execution:
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
                inside = _first_process(process, status, stack)
                wrong = "" if inside is None else _limit(inside.pid, self.limits)
                if inside is None or wrong:
                    _kill(process, inside)
                    self._converse(process, inside, b"", started)
                    self.stderr += wrong.encode()
                    return None
                with contextlib.suppress(BrokenPipeError):
                    os.write(go, b"1")
                killed = self._converse(process, inside, stdin.encode(errors="replace"), started)
            finally:
                used = _end(process)
            wall = time.monotonic() - started
            code = _exit_code(status)
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
                _command(_bubblewrap(), self.image, descriptors),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env=environment(self.image),
                pass_fds=tuple(descriptors.values()),
            )
        finally:
            for each in descriptors.values():
                os.close(each)
        for stream in (process.stdin, process.stdout, process.stderr):
            stack.callback(_close, cast("IO[bytes]", stream))
            if _as_nobody():  # who may then open /dev/stdin
                os.fchown(cast("IO[bytes]", stream).fileno(), NOBODY, NOBODY)
        return process, status, go

    def _converse(
        self,
        process: subprocess.Popen[bytes],
        inside: _Inside | None,
        stdin: bytes,
        started: float,
    ) -> Ending | None:
        """Feed the program and listen to it until it ends; the limit at which it was killed."""
        killed: Ending | None = None
        watch = _Watch(inside.pid if inside else None, self.on_idle)
        end = started + self.limits.wall_seconds
        for ready in _events(process, stdin):
            if ready is not None:
                self._take(*ready)
            now = time.monotonic()
            if killed is None:
                self.seen_seconds = watch.look(now)
                killed = self._over(now >= end)
                if killed is not None:
                    _kill(process, inside)
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


@dataclass(frozen=True, slots=True)
class _Inside:
    """The first process of the sandbox's own process namespace."""

    pid: int
    descriptor: int
    """A pidfd: the number may become another process's, this does not."""


@dataclass(slots=True)
class _Watch:
    """Looks now and then how much CPU the program has used."""

    pid: int | None
    on_idle: Callable[[], None] | None
    seconds: float = 0.0
    looked: float = field(default_factory=time.monotonic)

    def look(self, now: float) -> float:
        """Seconds of CPU so far, as of the last look."""
        if self.pid is None or now - self.looked < _TICK_SECONDS:
            return self.seconds
        seconds, waits = _state(self.pid)
        before, self.seconds = self.seconds, max(self.seconds, seconds)
        little = self.seconds - before < _IDLE_SHARE * (now - self.looked)
        if self.on_idle and waits and little:
            self.on_idle()
            self.on_idle = None
        self.looked = now
        return self.seconds


def _events(process: subprocess.Popen[bytes], stdin: bytes) -> Iterator[tuple[str, bytes] | None]:
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


def _first_process(
    process: subprocess.Popen[bytes], status: int, stack: contextlib.ExitStack
) -> _Inside | None:
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
    return _Inside(pid, descriptor)


def _exit_code(status: int) -> int | None:
    """The program's exit status, which bubblewrap tells only where it got so far as to start it."""
    text = b""
    while content := os.read(status, 4096):
        text += content
    for line in text.splitlines():
        if "exit-code" in (found := json.loads(line)):
            return int(found["exit-code"])
    return None


def _kill(process: subprocess.Popen[bytes], inside: _Inside | None) -> None:
    """Kill the program, upon which bubblewrap ends; bubblewrap itself where there is none."""
    if inside is None:
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(inside.descriptor, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> float:
    """Wait for bubblewrap, killing it where it is still there; seconds of CPU of all below it."""
    pid, status, used = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        end = time.monotonic() + 1.0
        while not pid and time.monotonic() < end:  # its streams are closed: it is about to end
            time.sleep(0.001)
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        os.kill(process.pid, signal.SIGKILL)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def _state(pid: int) -> tuple[float, bool]:
    """Seconds of CPU of a process, in hundredths, and whether it waits; 0 where it is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        words = text.rpartition(")")[2].split()
        return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK"), words[0] != "R"
    return 0.0, False


def _in_memory(content: bytes) -> int:
    """The descriptor of a file that is in memory only."""
    descriptor = os.memfd_create("emergecast", 0)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _close(stream: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        stream.close()

"""bubblewrap and the commands beside it: which there are, and how they are called."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from functools import cache
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.sandbox._image import DEVICES, PROGRAM, Image
from emergecast.lab.sandbox._limits import Limits

NOBODY: Final = 65534
_OLDEST_LINUX: Final = (5, 14)
_DESCRIPTORS: Final = 64
_STACK_BYTES: Final = 2**26
"""Of a thread, too: deep recursion needs some, many threads need little."""
ADVICE: Final = (
    "Install it (Debian, Ubuntu: apt-get install bubblewrap); it must be 0.8 or later, and may "
    "need user namespaces allowed (sysctl kernel.apparmor_restrict_unprivileged_userns=0, or "
    "--security-opt seccomp=unconfined for a container)."
)


@cache
def bubblewrap() -> str:
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
        raise LabError(f"programs of models are run behind bubblewrap only. {ADVICE}")
    known = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)  # noqa: S603
    if "--disable-userns" not in known.stdout + known.stderr:
        raise LabError(f"this bubblewrap ({path}) is too old. {ADVICE}")
    return path


@cache
def tool(name: str) -> str:
    """The file of a command of util-linux."""
    path = shutil.which(name)
    if path is None:
        raise LabError(f'as root, programs of models need "{name}" of the package util-linux.')
    return path


def as_nobody() -> tuple[str, ...]:
    """What makes a command run as nobody: root is not bound by limits on processes."""
    if os.geteuid() != 0:
        return ()
    return (tool("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


def command_line(image: Image, descriptors: dict[str, int]) -> list[str]:
    """What starts a program; `descriptors` are of what bubblewrap reads and writes."""
    return [
        *as_nobody(), bubblewrap(),
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


def set_limits(pid: int, limits: Limits) -> str:
    """Set the limits of bubblewrap's first process inside, from which the program has them.

    Not earlier: processes are counted in the user namespace in which their limit was set.

    Returns:
        Why it did not work; empty if it did.
    """
    import resource  # not on Windows, where this room can be imported all the same

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
    if words := as_nobody():  # a root without CAP_SYS_RESOURCE may not; the same user may
        options = [f"--{name.lower()}={limit}" for name, limit in most.items()]
        change = [*words, tool("prlimit"), f"--pid={pid}", *options]
        done = subprocess.run(change, capture_output=True, check=False)  # noqa: S603
        return done.stderr.decode(errors="replace") if done.returncode else ""
    try:
        for name, limit in most.items():
            resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    except OSError as error:
        return f"limits: {error}"
    return ""

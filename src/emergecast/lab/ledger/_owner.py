"""Which process this is and on what machine, and whether another process is still alive."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SILENCE: Final = 120.0
"""Seconds without a heartbeat after which nobody waits for a process: it is dead, or stopped, or
hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that has claimed a run."""

    name: str
    """Unique among all processes, past ones too."""
    host: str
    """The machine, its boot, and the space in which `pid` counts."""
    pid: int
    """Number of the process."""
    born: str
    """When the process began, as the system states it; "" where it does not."""


def this_process() -> Owner:
    """The running process as an owner of runs."""
    pid = os.getpid()
    return Owner(name=uuid.uuid4().hex, host=_host(), pid=pid, born=_start_of(pid))


def is_alive(host: str, pid: int, born: str, beat: float) -> bool:
    """Whether the process with this description still does its run, as far as can be known here.

    Its number is looked up only where it means something: on the same machine, in the same space.
    """
    if abs(time.time() - beat) >= SILENCE:  # one of tomorrow is damaged
        return False
    if host != _host() or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is alive, and is another user's
    return _start_of(pid) == born


def machine() -> dict[str, Any]:
    """The machine in a few words, to be recorded beside results."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def _host() -> str:
    """Name of the machine and of the space in which its process numbers count."""
    try:
        space = Path("/proc/self/ns/pid").readlink().name
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {space}"


def _start_of(pid: int) -> str:
    """Start of a process in clock ticks since the boot; "" where unknown or a zombie's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "zombie" if fields[0] == "Z" else fields[19]

"""Ending with the process that gave the orders, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_ON_DEATH_OF_PARENT: Final = 1
"""PR_SET_PDEATHSIG of Linux's prctl(2)."""


def end_with_parent() -> None:
    """Have the system kill this process when its parent ends, even while it is stopped.

    Where the system is not Linux nothing happens: there a process learns from a pipe that closes
    that its parent is gone, unless it is stopped.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_ON_DEATH_OF_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the system was asked
        os._exit(1)

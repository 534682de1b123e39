"""Whether a worker is getting on, and whether anybody still waits for it."""

from __future__ import annotations

import os
import time
from typing import Final

from emergecast.lab.ledger import SILENCE

LEASE: Final = SILENCE / 2
"""Seconds without a word from the session after which a worker ends itself: the session is stopped,
and another one may take its runs over after `SILENCE`."""
LEFT_ALONE: Final = 75
"""Exit status of a worker that did so."""
_LEAST_CPU: Final = 0.02
"""Seconds of arithmetic between two signs of life, below which a worker is waiting for something:
far more than threads that sleep need, far less than any measurement."""


class Life:
    """Signs of life of this process, as far as they say that a measurement goes on.

    A thread that beats by itself would beat on in a process whose measurement hangs. So what counts
    is arithmetic: processor time of all threads but the one that asks.
    """

    def __init__(self) -> None:
        self._busy = time.process_time()
        self._heard = time.monotonic()

    def got_on(self) -> bool:
        """Whether something was computed since this was asked last; ask from one thread alone."""
        busy = time.process_time() - time.thread_time()
        before, self._busy = self._busy, busy
        return busy - before >= _LEAST_CPU

    def hear(self) -> None:
        """Note a word from the session."""
        self._heard = time.monotonic()

    def end_when_left_alone(self) -> None:
        """Wait for as long as the session is heard of, then end the process."""
        while time.monotonic() - self._heard < LEASE:
            time.sleep(LEASE / 20)
        os._exit(LEFT_ALONE)

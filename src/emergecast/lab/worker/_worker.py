"""The process that does runs, one after the other: `python -m emergecast.lab.worker._worker`.

It reads JSON lines from standard input, first the experiment, then one run each, and answers with
messages as JSON lines on standard output. It knows no ledger. It ends when standard input ends,
which is also how it learns that the session was killed. An empty line says that the session is
still there: where none comes for long it is stopped, and the worker ends too.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from functools import partial
from typing import Any, Final, TextIO

from emergecast.errors import EmergecastError, LedgerError
from emergecast.lab.experiment import parse_experiment, run_from_json
from emergecast.lab.ledger import this_process
from emergecast.lab.worker._do_run import do_run
from emergecast.lab.worker._life import Life
from emergecast.lab.worker._measurer_of import measurer_of
from emergecast.lab.worker._messages import (
    BEAT_SECONDS,
    Message,
    RunAdvanced,
    WorkerAlive,
    WorkerStuck,
    message_to_json,
)
from emergecast.lab.worker._parent import end_with_parent

_PROGRESS_SECONDS: Final = 0.2
"""Seconds between two messages about the progress of a run, at least."""


class _StandardOutput:
    """Standard output, kept for messages: what libraries print goes to standard error."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._advanced = 0.0
        os.dup2(2, 1)

    def tell(self, message: Message) -> None:
        """Send one message, unless it is one of too many about progress."""
        if isinstance(message, RunAdvanced):
            now = time.perf_counter()
            if now - self._advanced <= _PROGRESS_SECONDS and message.done < message.total:
                return
            self._advanced = now
        line = message_to_json(message) + "\n"
        # A session that is gone is noticed where its orders are read.
        with self._lock, contextlib.suppress(OSError):
            self._out.write(line)
            self._out.flush()


def main() -> int:
    """Do the runs that standard input names, until it ends."""
    end_with_parent()
    output, source, owner, life = _StandardOutput(), _orders(), this_process(), Life()
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for task in (
        partial(_listen, source, orders, life),
        partial(_show_life, output, life),
        life.end_when_left_alone,
    ):
        threading.Thread(target=task, daemon=True).start()
    setup = orders.get()
    try:
        experiment = parse_experiment(setup["text"], setup["file"])
        measurer = measurer_of(experiment)
        measurer.prepare()
        while True:
            run = run_from_json(orders.get())
            do_run(run, experiment, measurer, owner=owner, tell=output.tell)
    except LedgerError as error:
        output.tell(WorkerStuck(error=str(error)))
    except EmergecastError as error:
        output.tell(WorkerStuck(error=f"a worker could not start: {error}"))
    return 1


def _orders() -> TextIO:
    """Standard input, kept for orders: a library that asks a question there finds its end."""
    source = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source


def _listen(source: TextIO, orders: queue.SimpleQueue[dict[str, Any]], life: Life) -> None:
    """Take orders until there are no more, then end the process at once."""
    for text in source:
        life.hear()
        if text.strip():
            orders.put(json.loads(text))
    os._exit(0)


def _show_life(output: _StandardOutput, life: Life) -> None:
    """Say that the worker is alive as long as it gets on."""
    while True:
        time.sleep(BEAT_SECONDS)
        if life.got_on():
            output.tell(WorkerAlive())


if __name__ == "__main__":
    sys.exit(main())

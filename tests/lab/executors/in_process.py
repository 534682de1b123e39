"""The smallest executor: one worker in this process, which hears and says nothing but JSON."""

from __future__ import annotations

import json
from collections import deque

from emergecast.lab.executors import Heard
from emergecast.lab.experiment import Experiment, Run, run_from_json
from emergecast.lab.ledger import this_process
from emergecast.lab.worker import (
    Measurer,
    Message,
    do_run,
    measurer_of,
    message_from_json,
    message_to_json,
)


class InProcess:
    """Does each run when it is asked for news; says all of it, then listens again."""

    def __init__(self, experiment: Experiment, measurer: Measurer | None = None) -> None:
        self.workers = 1
        self.sent: list[Run] = []
        self._experiment = experiment
        self._measurer = measurer or measurer_of(experiment)
        self._orders: deque[str] = deque()
        self._said: deque[str] = deque()

    def send(self, worker: int, run: Run) -> None:
        """Note a run."""
        assert worker == 0
        assert not self._orders, "one run at a time"
        self.sent.append(run)
        self._orders.append(json.dumps(run.as_json()))

    def hear(self, seconds: float) -> Heard | None:  # noqa: ARG002  nothing happens meanwhile
        """What the run said next; does the run that was sent if nothing is left."""
        if not self._said and self._orders:
            run = run_from_json(json.loads(self._orders.popleft()))
            do_run(run, self._experiment, self._measurer, owner=this_process(), tell=self._tell)
        if not self._said:
            return None
        return Heard(worker=0, message=message_from_json(self._said.popleft()))

    def stop(self, worker: int) -> None:
        """Forget what was not said yet."""
        assert worker == 0
        self._orders.clear()
        self._said.clear()

    def close(self) -> None:
        """Nothing is going on."""

    def _tell(self, message: Message) -> None:
        self._said.append(message_to_json(message))

"""How one run is done: with the models themselves, or rehearsed with invented scores.

It refuses an outcome that is not finite, and marks invented scores as invented. It knows no ledger:
what a worker has to say are messages, and who hears them records.
"""

from __future__ import annotations

from emergecast.lab.worker._do_run import Tell, do_run
from emergecast.lab.worker._life import LEFT_ALONE
from emergecast.lab.worker._measurer import (
    CorpusFacts,
    Measurer,
    ModelFacts,
    ProgramFacts,
    TaskFacts,
)
from emergecast.lab.worker._measurer_of import measurer_of
from emergecast.lab.worker._messages import (
    BEAT_SECONDS,
    Message,
    RunAdvanced,
    RunBegun,
    RunDone,
    RunFailed,
    WorkerAlive,
    WorkerStuck,
    message_from_json,
    message_to_json,
)
from emergecast.lab.worker._offline import ask_nobody
from emergecast.lab.worker._parent import end_with_parent

__all__ = [
    "BEAT_SECONDS",
    "LEFT_ALONE",
    "CorpusFacts",
    "Measurer",
    "Message",
    "ModelFacts",
    "ProgramFacts",
    "RunAdvanced",
    "RunBegun",
    "RunDone",
    "RunFailed",
    "TaskFacts",
    "Tell",
    "WorkerAlive",
    "WorkerStuck",
    "ask_nobody",
    "do_run",
    "end_with_parent",
    "measurer_of",
    "message_from_json",
    "message_to_json",
]

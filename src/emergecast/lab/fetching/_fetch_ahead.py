"""Fetching the next checkpoint while one is measured, and deleting those that are done with."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Collection, Iterator
from typing import Final

from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.checkpoints import Checkpoint, cached, folders_of, remove_weights
from emergecast.lab.experiment import Experiment, Keep, WorkerKind

_NOTES: Final = "fetched.json"
"""In the output folder: titles of checkpoints that were fetched for the experiment."""


class FetchAhead:
    """One download at a time in the background: series of the catalogue, and those not kept.

    What is in the cache when an experiment first needs it was there before, and stays whatever
    `keep` says.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._loads = experiment.worker is WorkerKind.MODELS  # a rehearsal loads nothing
        self._keep = {series.name: series.keep for series in experiment.series}
        self._file = experiment.output / _NOTES
        self._mine = set(self._noted())
        self._here = set(self._mine)
        self._checkpoints = {each.title: each for each in experiment.checkpoints}
        self._asked: set[str] = set()
        self._orders: queue.SimpleQueue[Checkpoint] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def needed(self, checkpoint: Checkpoint) -> None:
        """A worker is about to need it: whether it was there before is remembered."""
        if not self._concerns(checkpoint):
            return
        if checkpoint.title in self._mine:
            self._here.add(checkpoint.title)
        elif self._keep[checkpoint.series] is Keep.NONE and cached(checkpoint) is None:
            self._mine.add(checkpoint.title)
            self._here.add(checkpoint.title)
            write_whole(self._file, json.dumps(sorted(self._mine), indent=1))

    def ahead(self, checkpoint: Checkpoint) -> None:
        """Fetch it in the background, once, unless it is here."""
        if not self._concerns(checkpoint) or checkpoint.title in self._asked:
            return
        self._asked.add(checkpoint.title)
        if cached(checkpoint) is not None:
            return
        self.needed(checkpoint)
        self._orders.put(checkpoint)
        if self._thread is None:  # it ends with the process: a download cannot be stopped
            self._thread = threading.Thread(target=self._fetch, daemon=True)
            self._thread.start()

    def let_go(self, *, but: Collection[tuple[str, str]]) -> None:
        """Delete the weights of what was fetched for this and need not be kept.

        Args:
            but: Series and name of checkpoints that are needed still.
        """
        for title in sorted(self._here):
            checkpoint = self._checkpoints.get(title)
            if checkpoint is None or (checkpoint.series, checkpoint.name) in but:
                continue
            self._here.discard(title)
            self._asked.discard(title)
            if self._keep[checkpoint.series] is Keep.NONE:
                remove_weights(checkpoint)

    def news(self) -> Iterator[str]:
        """What went wrong in the background since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._news.get_nowait()

    def _concerns(self, checkpoint: Checkpoint) -> bool:
        return self._loads and checkpoint.source is not None

    def _fetch(self) -> None:
        while True:
            checkpoint = self._orders.get()
            try:
                folders_of(checkpoint)
            except LabError as error:  # its runs meet it too, and are recorded as failed
                self._news.put(f"{checkpoint.title} could not be fetched: {error}")

    def _noted(self) -> list[str]:
        try:
            read = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        return [str(each) for each in read] if isinstance(read, list) else []

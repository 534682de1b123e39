"""The harness without its progress bars and remarks, and without memory of earlier data."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

_IN_MEMORY: Final = 4 << 30
"""Bytes of a data set up to which it is held in memory."""


@contextlib.contextmanager
def quiet_harness() -> Iterator[None]:
    """Neither the harness's progress bars nor those of its data sets, nor its remarks."""
    import datasets
    from lm_eval.api import task as harness_task

    # The hub's counts its retries, and what comes of them is one message.
    loggers = [logging.getLogger(name) for name in ("lm_eval", "huggingface_hub")]
    levels, shown = [each.level for each in loggers], datasets.is_progress_bar_enabled()
    bar = harness_task.tqdm
    for each in loggers:
        each.setLevel(logging.ERROR)
    datasets.disable_progress_bar()
    harness_task.tqdm = _no_bar
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
        harness_task.tqdm = bar
        if shown:
            datasets.enable_progress_bar()


def load_fresh(load: Callable[[], list[ConfigurableTask]]) -> list[ConfigurableTask]:
    """Load tasks whose documents are made by the code as it is now.

    A data set on disk takes up what an earlier process made of it, without noticing that the code
    of `process_docs` has changed since. One in memory does not. Where one is too large for that,
    taking up is switched off for the rest of the process.
    """
    import datasets

    limit, datasets.config.IN_MEMORY_MAX_SIZE = datasets.config.IN_MEMORY_MAX_SIZE, _IN_MEMORY
    try:
        parts = load()
        splits = [docs for part in parts for docs in part.dataset.values()]
        if not any(getattr(docs, "cache_files", None) for docs in splits):
            return parts
        datasets.disable_caching()
        return load()
    finally:
        datasets.config.IN_MEMORY_MAX_SIZE = limit


def _no_bar(iterable: Any, *_: object, **__: object) -> Any:  # noqa: ANN401  stands in for tqdm
    return iterable

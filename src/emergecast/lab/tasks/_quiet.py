"""The harness without its progress bars and remarks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


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


def _no_bar(iterable: Any, *_: object, **__: object) -> Any:  # noqa: ANN401  stands in for tqdm
    return iterable

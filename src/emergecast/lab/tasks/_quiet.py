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

    logger = logging.getLogger("lm_eval")
    level, shown, bar = logger.level, datasets.is_progress_bar_enabled(), harness_task.tqdm
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bar()
    harness_task.tqdm = _no_bar
    try:
        yield
    finally:
        logger.setLevel(level)
        harness_task.tqdm = bar
        if shown:
            datasets.enable_progress_bar()


def _no_bar(iterable: Any, *_: object, **__: object) -> Any:  # noqa: ANN401  stands in for tqdm
    return iterable

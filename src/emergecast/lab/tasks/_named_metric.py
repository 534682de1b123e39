"""Which of a task's metrics is its score, and which filter comes before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emergecast.errors import LabError

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask


def metric_of_parts(name: str, parts: Sequence[ConfigurableTask], metric: str | None) -> str:
    """The metric of "exact_match,strict-match"; where None is given, acc or the first one.

    Raises:
        LabError: not all parts of the task have it.
    """
    known = sorted(set.intersection(*(set(part.aggregation()) for part in parts)))
    if metric is None:
        return "acc" if "acc" in known else str(next(iter(parts[0].aggregation())))
    wanted = metric.split(",", 1)[0]
    if wanted not in known:
        raise LabError(
            f'task "{name}" has no metric "{wanted}"; it has {", ".join(known)}. Choose one.'
        )
    return wanted


def filter_of_parts(name: str, parts: Sequence[ConfigurableTask], metric: str | None) -> str | None:
    """The filter of "exact_match,strict-match"; None where the metric names none.

    Raises:
        LabError: a part of the task has no such filter.
    """
    wanted = None if metric is None or "," not in metric else metric.split(",", 1)[1]
    for part in parts:
        known = [each.name for each in part._filters]  # noqa: SLF001  nothing public has them
        if wanted is not None and wanted not in known:
            raise LabError(
                f'task "{name}" has no filter "{wanted}"; it has {", ".join(known)}. Choose one.'
            )
    return wanted

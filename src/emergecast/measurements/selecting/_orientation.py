"""Which way a metric goes."""

from __future__ import annotations

import polars as pl

from emergecast.errors import SelectionError
from emergecast.measurements._metrics import Metric


def orientation(
    frame: pl.DataFrame,
    metric: Metric,
    lower_is_better: bool | None,  # noqa: FBT001  three answers
) -> tuple[bool, tuple[str, ...]]:
    """Whether lower is better: as asked, as the rows say, or as the metric is known; and a doubt.

    Raises:
        SelectionError: the rows say both.
    """
    if lower_is_better is not None:
        return lower_is_better, ()
    name = frame["metric"][0]
    stated = frame["higher_is_better"].drop_nulls().unique().to_list()
    if len(stated) > 1:
        raise SelectionError(
            f"some rows say that a higher {name} is better, and others that a lower one is. Correct"
            " the column higher_is_better, or say --lower-is-better or --higher-is-better."
        )
    if stated:
        return not stated[0], ()
    doubt = (
        f"The metric {name} is not known: a higher score is taken as the better one. Say"
        " --higher-is-better or --lower-is-better."
    )
    return metric.lower_is_better, () if metric.known else (doubt,)

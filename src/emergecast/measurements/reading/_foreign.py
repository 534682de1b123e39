"""Published tables that look like measurements and are not: refused by name, never half read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_WANTED: Final = (
    "Make a table with one row for each score: checkpoint (size, data, seed and step together),"
    " params, tokens, loss (the natural logarithm of one of the perplexities), task, setting"
    " (few_shot), score (one number of the column metrics) and chance. `emergecast join` puts the"
    " losses of one table beside the scores of another."
)


def foreign_table(columns: Collection[str]) -> tuple[str, str] | None:
    """What a table with these columns is, and what to do; None for one that is not known."""
    names = {name.lower() for name in columns}
    perplexities = any(name.startswith("eval/") and name.endswith("/perplexity") for name in names)
    run = {"params", "data", "step"} <= names
    if "score" in names or not run:
        return None
    unpacked = any(name.startswith("metrics_") for name in names)
    if "task" in names and (unpacked or "metrics" in names):
        return "this is DataDecide's table of evaluation results, which is not read.", _WANTED
    if perplexities:
        return "this is DataDecide's table of perplexities, which is not read.", _WANTED
    return None

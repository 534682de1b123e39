"""What is known about each checkpoint, joined to its scores by name."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from emergecast.measurements._schema import COLUMNS, Role
from emergecast.measurements.reading import Findings, as_text, read_raw, table_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Rows of a checkpoints table by checkpoint name; None where no table was given."""

    rows: dict[str, list[dict[str, Any]]] | None

    def of(self, folder: str, series: str | None) -> list[dict[str, Any]]:
        """The rows of the checkpoint that `folder` names, one per loss corpus; none where unknown.

        A folder of the harness's own is named after the model with `/` written as `__`, so that
        `org__name` stands for the checkpoint `org/name`, or for `name`.
        """
        if self.rows is None:
            return [{"checkpoint": folder}]
        for name in (folder, folder.replace("__", "/"), folder.rpartition("__")[2]):
            found = [row for row in self.rows.get(name, []) if _agrees(row, series)]
            if found:
                return found
        return []


def _agrees(row: dict[str, Any], series: str | None) -> bool:
    return series is None or row.get("series") is None or as_text(row["series"]) == as_text(series)


def read_metadata(source: str | os.PathLike[str] | None) -> Metadata:
    """The checkpoints table at `source`; cells stay as they are until the whole table is checked.

    Raises:
        TableError: it cannot be read, has no checkpoint column, holds scores, or names a checkpoint
        twice.
    """
    if source is None:
        return Metadata(rows=None)
    raw = read_raw(source)
    findings = Findings(raw.name)
    if "checkpoint" not in raw.columns:
        findings.add(
            "the column is missing.", "Add a column checkpoint with the names.", column="checkpoint"
        )
        raise table_error(findings.problems)
    for name in raw.columns:
        if name in COLUMNS and COLUMNS[name].role in {Role.MEASURED, Role.SOURCE}:
            findings.add(
                "a checkpoints table has no scores.",
                "Delete the column: scores come from the result files.",
                column=name,
            )
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    seen: dict[tuple[object, ...], int] = {}
    for i in range(raw.height):
        row = {name: cells[i] for name, cells in raw.columns.items() if cells[i] is not None}
        if "checkpoint" not in row:
            findings.add("the checkpoint is missing.", "Name it.", row=i, column="checkpoint")
            continue
        name = str(row["checkpoint"]).strip()
        key = (name, row.get("series"), row.get("loss_corpus"))
        if seen.setdefault(key, i) != i:
            findings.add(
                f"the checkpoint stands in row {seen[key] + 1} too.",
                "Keep one row per checkpoint (and series, and loss_corpus).",
                row=i,
                column="checkpoint",
                value=name,
            )
        rows[name].append({**row, "checkpoint": name})
    if findings.problems:
        raise table_error(findings.problems)
    return Metadata(rows=dict(rows))

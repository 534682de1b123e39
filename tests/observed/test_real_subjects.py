"""Halves of real few-shot series: 57 subjects of MMLU on 22 models (needs EMERGECAST_SHARED)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.observed.split_halves import agreement, both

from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import Estimand


def test_halves_of_real_series_agree(shared_data: Path):
    """In at least 85% within their 90% intervals, for both definitions."""
    folder = shared_data / "data" / "lm_eval_mmlu"
    with (folder / "checkpoints.csv").open(encoding="utf-8") as stream:
        models = [row for row in csv.DictReader(stream) if row["study22"] == "1"]
    rows = [
        {
            "checkpoint": model["checkpoint"], "params": int(model["params"]),
            "tokens": int(model["tokens"]), "task": task, "setting": "few_shot", "shots": 5,
            "score": result["acc,none"], "stderr": result["acc_stderr,none"], "chance": 0.25,
        }
        for model in models
        for task, result in json.loads(
            (folder / "few_shot" / model["checkpoint"] / "mmlu.json").read_text("utf-8")
        )["results"].items()
        if task.startswith("mmlu_")
    ]  # fmt: skip
    table = read_table(rows, loss_from="hoffmann")
    tasks = sorted({str(row["task"]) for row in rows})
    cuts = [both(select(table, SelectOptions(task=task)), 0) for task in tasks]
    found = {target: agreement(cuts, target) for target in Estimand}
    for each in found.values():
        assert each.pairs > 20
        assert each.share >= 0.85, found

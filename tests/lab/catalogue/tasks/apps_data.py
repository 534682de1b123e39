"""A few invented problems in APPS's published schema, in both styles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

HUGE = "7" * 5000
"""Digits of an integer that Python does not read without being told."""


def problem(number: int, split: str) -> dict[str, Any]:
    """A problem that `print(1)` solves, or of every third one a call."""
    call = number % 3 == 2
    asked = "Return one more than x" if call else "Print one"
    tests: dict[str, Any] = {"inputs": ["0\n", ""], "outputs": ["1\n", ["1"]]}
    if call:
        tests = {"fn_name": "f", "inputs": [[1], [2]], "outputs": [[2], 3]}
    return {
        "problem_id": number,
        "question": f"{asked} ({split} {number}).",
        "solutions": json.dumps(["def f(x):\n    return x + 1"] if call else ["print(1)"]),
        "input_output": json.dumps(tests),
        "difficulty": ("introductory", "interview", "competition")[number // 3 % 3],
        "url": "",
        "starter_code": "def f(x):\n" if call else "",
    }


def apps(training: int = 24) -> dict[str, list[dict[str, Any]]]:
    """By split: some training problems, one without a solution; 9 evaluated ones, some of them odd.

    Number 0 has no tests, 1 is one that its own solution fails, 3 has no solution, 4 has a huge
    integer among its tests, which no program here prints.
    """
    train = [problem(number, "train") for number in range(training)]
    train[0]["solutions"] = ""
    test = [problem(number, "test") for number in range(9)]
    test[0]["input_output"] = ""
    test[1]["solutions"] = json.dumps(["print(2)"])
    test[3]["solutions"] = ""
    huge = f'{{"inputs": ["0\\n"], "outputs": ["{HUGE}\\n"], "more": {HUGE}}}'
    test[4] |= {"input_output": huge, "solutions": json.dumps([f"print('7' * {len(HUGE)})"])}
    return {"train": train, "test": test}


def write_apps(folder: Path, *, lines: bool = False, training: int = 24) -> Path:
    """The data in a folder, as Parquet or as lines of JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in apps(training).items():
        frame = pl.DataFrame(rows)
        if lines:
            frame.write_ndjson(folder / f"{split}.jsonl")
        else:
            frame.write_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder

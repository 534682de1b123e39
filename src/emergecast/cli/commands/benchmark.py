"""The command that compares forecasting methods on everything there is: benchmark."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.benchmark import (
    CELLS,
    DEFAULT_METHODS,
    BenchmarkOptions,
    ResultLine,
    planned,
)
from emergecast.benchmark import benchmark as run
from emergecast.cli._options import JsonOption, out_folder
from emergecast.cli._output import as_text, deliver, progress, say
from emergecast.cli.texts.benchmarks import leaderboard_text, plan_text, until
from emergecast.files import save_text

if TYPE_CHECKING:
    from emergecast.benchmark import BenchmarkPlan, Leaderboard


def benchmark(
    options: BenchmarkOptions,
    out: Annotated[
        Path | None,
        out_folder("Folder that keeps every result; a later start goes on from there."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the methods and the cells.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it takes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare forecasting methods on all bundled and simulated emergences.

    Prints a leaderboard, with what each method could not answer. The folder keeps one line for each
    table and method in results.jsonl, and the leaderboard as .json and .txt.

    Example: `emergecast benchmark --method mixture --method mine:forecast --tables 5 -o benchmark`
    """
    if listing:
        _list(as_json=as_json)
        return
    plan = planned(options, out)
    for number in plan.damaged:
        say(f"Line {number} of results.jsonl is damaged, and its table is done again.")
    if dry_run:
        record = {"tables": len(plan.jobs), "lines": plan.lines, "seconds": round(plan.seconds, 1)}
        record["lines_there"] = len(plan.known)
        deliver(record, lambda: plan_text(plan), as_json=as_json)
        return
    found = _run(options, out, plan)
    record, text = found.to_dict(), leaderboard_text(found)
    deliver(
        record,
        lambda: text,
        None
        if out is None
        else lambda: [
            save_text(as_text(record), out, "leaderboard.json"),
            save_text(text + "\n", out, "leaderboard.txt"),
        ],
        as_json=as_json,
    )


def _run(options: BenchmarkOptions, out: Path | None, plan: BenchmarkPlan) -> Leaderboard:
    """The leaderboard; progress says what was done and how long the rest takes."""
    began = time.monotonic()
    with progress("benchmark", plan.lines) as move:

        def on_line(done: int, total: int, line: ResultLine) -> None:
            left = (time.monotonic() - began) / done * (total - done)
            move(done, total, f"{line.table}, {line.method}; {until(left)} left")

        return run(options, out, plan=plan, on_line=on_line)


def _list(*, as_json: bool) -> None:
    cells = {name: {"about": cell.about, "split": str(cell.split)} for name, cell in CELLS.items()}
    width = max(map(len, cells))
    deliver(
        {"methods": list(DEFAULT_METHODS), "cells": cells},
        lambda: "\n".join(
            [
                "Methods tried unless some are named; besides, any law of fit, several joined by",
                "commas, a mixture with :stacking at the end, or MODULE:FUNCTION:",
                *(f"  {name}" for name in DEFAULT_METHODS),
                "Cells:",
                *(f"  {name:<{width}}  {each['about']}" for name, each in cells.items()),
            ]
        ),
        as_json=as_json,
    )

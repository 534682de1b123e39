"""What the proving ground shows: where scores leave chance by amount of data, and forecasts of it.

`python performance/proving_ground.py` looks at the bundled table, `--table FILE` at another. The
elbow of one size and amount is that of score = chance + clip(slope (E - loss), 0, ceiling) by least
squares over all checkpoints; forecasts see the checkpoints that are at chance few-shot alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from _report import publish, table

# isort: split

import numpy as np
import polars as pl
from numpy.typing import NDArray

import emergecast
from emergecast.lab.proving_ground import MATCHING, PRESETS, PROBE
from emergecast.measurements import (
    RANDOM_WEIGHTS,
    Measurements,
    proving_ground,
    proving_ground_options,
    read_table,
)
from emergecast.observed import ground_truths

CHANCE = 0.25
SIZES = tuple(size.name for size in sorted(PRESETS["full"].sizes, key=lambda each: each.width))


def elbow(loss: NDArray[np.float64], score: NDArray[np.float64]) -> tuple[float, float]:
    """Elbow and slope of a line that rises from chance to a ceiling, by least squares."""
    best = (np.inf, np.nan, np.nan)
    for start in np.arange(loss.min() + 0.02, loss.min() + 1.2, 0.005):
        for width in (*np.arange(0.02, 0.6, 0.02), 0.8, 1.2):
            rise = np.clip((start - loss) / width, 0, 1)
            top = float(rise @ (score - CHANCE) / max(1e-9, rise @ rise))
            top = min(max(top, 0.0), 1 - CHANCE)
            error = float(((score - CHANCE - top * rise) ** 2).sum())
            if error < best[0] - 1e-12:
                best = (error, float(start), top / width)
    return best[1], best[2]


def cells(rows: pl.DataFrame) -> Iterator[tuple[str, str, list[int], list[pl.DataFrame]]]:
    """Series, size, amounts (0: few-shot) and the mean scores of its checkpoints on each."""
    mean = rows.group_by("series", "size", "checkpoint", "loss", "amount").agg(
        pl.col("score").mean()
    )
    amounts = sorted(mean["amount"].unique())
    for series in sorted(mean["series"].unique()):
        for size in SIZES:
            mine = mean.filter(pl.col("series") == series, pl.col("size") == size)
            if mine.height:
                by_amount = [mine.filter(pl.col("amount") == amount) for amount in amounts]
                yield series, size, amounts, by_amount


def elbows(rows: pl.DataFrame) -> str:
    """A line for each series and size: elbow and slope few-shot and after each amount."""
    lines, header = [], ["series", "size"]
    for series, size, amounts, by_amount in cells(rows):
        found = [elbow(each["loss"].to_numpy(), each["score"].to_numpy()) for each in by_amount]
        header = ["series", "size", *("few-shot" if d == 0 else f"{d:,}" for d in amounts)]
        lines.append([series, size, *(f"{at:.3f} ({slope:.1f})" for at, slope in found)])
    return table(header, lines)


def controls(rows: pl.DataFrame) -> str:
    """Models with random weights: the lowest and highest score on each amount."""
    spans = rows.group_by("amount").agg(
        pl.col("score").min().alias("low"), pl.col("score").max().alias("high")
    )
    lines = [
        ["few-shot" if d == 0 else f"{d:,}", f"{low:.3f}", f"{high:.3f}"]
        for d, low, high in spans.sort("amount").iter_rows()
    ]
    return table(["examples", "lowest", "highest"], lines)


def forecasts(measured: Measurements, chosen: dict[str, tuple[str, ...]]) -> str:
    """Forecast, later truth, D0 and compute for each choice of series."""
    lines = []
    for name, series in chosen.items():
        options = proving_ground_options(measured, series)
        fitted = emergecast.fit(measured, options)
        forecast = emergecast.forecast(fitted)
        truth = ground_truths(fitted.selection).elbow
        if truth is None or forecast.elbow is None:
            lines.append([name, forecast.verdict, *["-"] * 7])
            continue
        low, middle, high = forecast.quantile([0.05, 0.5, 0.95])
        record = forecast.to_dict()
        read_off = [
            f"{each['p50']:.3f} at {each['what'].rpartition(' ')[2]}"
            for each in record["sensitivity"]
            if each["kind"] == "few_shot_examples"
        ]
        flops = record["compute"]["flops"]
        ahead = record["compute"]["multiple_of_strongest"]
        fewest = _fewest_flops(measured, fitted.selection.series, truth.loss)
        strongest = record["compute"]["strongest_flops"]
        lines.append(
            [
                name,
                f"{middle:.3f} ({low:.3f} to {high:.3f}), {forecast.verdict}",
                f"{truth.loss:.3f} ({truth.p05:.3f} to {truth.p95:.3f})",
                "inside" if low <= truth.loss <= high else "outside",
                f"{middle - truth.loss:+.3f}",
                f"{record['strongest_loss'] - truth.loss:+.3f}",
                "; ".join(read_off),
                (
                    f"{flops['p50']:.2e}, {ahead['p50']:.2f}x ({ahead['p05']:.2f}x to"
                    f" {ahead['p95']:.2f}x)"
                ),
                f"{fewest:.2e}, {fewest / strongest:.2f}x",
            ]
        )
    header = [
        *("series", "forecast, nats (90%)", "later truth (90%)", "truth is", "error"),
        *("error of no change", "median by D0", "FLOPs, times the strongest at chance (90%)"),
        "cheapest checkpoint that has it",
    ]
    return table(header, lines)


def _fewest_flops(measured: Measurements, series: tuple[str, ...], elbow: float) -> float:
    """FLOPs of the cheapest checkpoint at or past the elbow, the smallest size left out."""
    past = measured.frame.filter(
        pl.col("series").is_in(series),
        pl.col("loss") <= elbow,
        ~pl.col("checkpoint").str.starts_with("S-"),
    )
    return float(str(past["flops"].min()))


def main() -> None:
    """Print it, or write it where it is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", type=Path, help="a table of `emergecast export`")
    parser.add_argument("--write", action="store_true", help="write performance/results/")
    options = parser.parse_args()
    measured = proving_ground() if options.table is None else read_table(options.table)
    rows = measured.frame.with_columns(
        pl.col("examples").fill_null(0).cast(pl.Int64).alias("amount"),
        pl.col("checkpoint").str.extract(r"^(\w+)-").alias("size"),
    )
    random = pl.col("series").str.ends_with(RANDOM_WEIGHTS)
    main_task = pl.col("task") == MATCHING
    names = [name for name in measured.series if not name.endswith(RANDOM_WEIGHTS)]
    chosen = {name: (name,) for name in names}
    if len(names) > 1:
        chosen["together"] = tuple(names)
    parts = [
        f"{rows.height:,} scores of {rows.select('series', 'checkpoint').n_unique()} checkpoints.",
        "## Elbow in nats (slope per nat), by finetuning examples",
        elbows(rows.filter(main_task, ~random)),
        "## Models with random weights (chance 0.25)",
        controls(rows.filter(main_task, random)),
        "## Forecasts from checkpoints at chance, without size S",
        forecasts(measured, chosen),
    ]
    if PROBE in measured.tasks:
        parts += [
            "## The second task: elbow (slope)",
            elbows(rows.filter(pl.col("task") == PROBE, ~random)),
        ]
    publish("proving_ground", "\n\n".join(parts), write=options.write)


if __name__ == "__main__":
    main()

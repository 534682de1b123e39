"""What the eight skills of the proving ground show: curves, elbows, one metric against another.

`python performance/skills.py` looks at the bundled table, `--table FILE` at another. `--write`
keeps the page and the picture of the curves. Forecasts are of skills for development alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from _report import ROOT, publish, table
from proving_ground import elbow

# isort: split

import altair as alt
import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from emergecast.benchmark import CELLS, SKILLS, HeldSplit, Rung
from emergecast.errors import FitError
from emergecast.inference import fit
from emergecast.measurements import (
    RANDOM_WEIGHTS,
    Measurements,
    proving_ground_options,
    proving_ground_skills,
    read_table,
    select,
)
from emergecast.observed import ground_truths
from emergecast.track_record import crps

PICTURE = ROOT / "docs" / "pictures" / "skills.png"
RANDOM = pl.col("series").str.ends_with(RANDOM_WEIGHTS)
FEW_SHOT = "few-shot"
ELBOWS = """Of a line that rises to a ceiling, by least squares over both seeds and sizes. *past
it*: the weakest checkpoint is past the elbow."""
METRICS = """Of skills for development, default mixture, the same checkpoints, against the elbow of
accuracy: above 0, `choice_prob` is the better one to forecast from. Rungs that the verdict would
refuse count too."""


def scores(measured: Measurements, skill: str, corpus: str) -> pl.DataFrame:
    """The scores of a skill's own metric, models with random weights too."""
    options = proving_ground_options(measured, task=f"proving_ground_{skill}")
    return measured.frame.filter(
        pl.col("task") == options.task,
        pl.col("metric") == options.metric,
        pl.col("loss_corpus") == corpus,
    ).with_columns(pl.col("examples").fill_null(0).cast(pl.Int64).alias("amount"))


def amounts_of(rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """Few-shot scores (amount 0), then those of every amount."""
    for amount in sorted(rows["amount"].unique()):
        yield amount, rows.filter(pl.col("amount") == amount)


def place(rows: pl.DataFrame) -> str:
    """The elbow of some scores by a line that rises to a ceiling."""
    chance = float(rows["chance"][0])
    # The rule of `elbow` knows one chance level; scores of others are moved to it.
    moved = 0.25 + 0.75 * (rows["score"].to_numpy() - chance) / (1 - chance)
    at, _ = elbow(rows["loss"].to_numpy(), moved)
    past = at >= float(rows["loss"].max())
    return "past it" if past else f"{at:.3f}"


def elbows(measured: Measurements, corpus: str) -> str:
    """A row for each skill: how it emerges few-shot, and its elbow at every amount."""
    every = sorted(measured.frame["examples"].drop_nulls().unique())
    lines = []
    for skill, split in SKILLS.items():
        rows = scores(measured, skill, corpus).filter(~RANDOM)
        found = {amount: place(each) for amount, each in amounts_of(rows)}
        few = rows.filter(pl.col("amount") == 0)
        lines.append(
            [
                *(f"`{skill}`", split, f"{few['score'].max():.2f}"),
                *(found.get(int(amount), "-") for amount in (0, *every)),
            ]
        )
    header = ("skill", "split", "best few-shot", FEW_SHOT, *(f"{int(each):,}" for each in every))
    return table(header, lines)


def truths(measured: Measurements) -> str:
    """Elbow and crossing of the few-shot scores, of each seed and of both."""
    lines = []
    series = tuple(name for name in measured.series if not name.endswith(RANDOM_WEIGHTS))
    for skill in SKILLS:
        cells = []
        for chosen in ((each,) for each in series):
            cells += _shown(measured, skill, chosen)
        lines.append([f"`{skill}`", *_shown(measured, skill, series), *cells])
    names = ("both", *series)
    header = ("skill", *(f"{what}, {name}" for name in names for what in ("elbow", "crossing")))
    return table(header, lines)


def _shown(measured: Measurements, skill: str, series: tuple[str, ...]) -> list[str]:
    options = proving_ground_options(measured, series, task=f"proving_ground_{skill}")
    found = ground_truths(select(measured, replace(options, at_chance_only=False)))
    return [
        "-" if each is None else f"{each.loss:.3f} ({each.p05:.3f} to {each.p95:.3f})"
        for each in (found.elbow, found.crossing)
    ]


def controls(measured: Measurements, corpus: str) -> str:
    """How far models with random weights get, after any finetuning."""
    lines = []
    for skill in SKILLS:
        rows = scores(measured, skill, corpus).filter(RANDOM)
        if rows.height:
            lines.append(
                [
                    *(f"`{skill}`", rows.height, f"{rows['chance'][0]:.3g}"),
                    f"{rows['score'].min():.3f} to {rows['score'].max():.3f}",
                ]
            )
    return table(("skill", "scores", "chance", "lowest to highest"), lines)


def picture(measured: Measurements, corpus: str) -> alt.FacetChart:
    """Score against loss of every skill, a colour for each amount; lines never fall."""
    frames = []
    for skill in SKILLS:
        rows = scores(measured, skill, corpus).filter(~RANDOM)
        for amount, each in amounts_of(rows):
            mean = each.group_by("series", "checkpoint", "loss", "amount").agg(
                pl.col("score").mean()
            )
            ordered = mean.sort("loss")
            curve = isotonic_regression(ordered["score"].to_numpy(), increasing=False).x
            frames.append(
                ordered.with_columns(
                    pl.lit(skill).alias("skill"),
                    pl.lit(f"{amount:,}" if amount else FEW_SHOT).alias("examples"),
                    pl.Series("curve", curve),
                )
            )
    rows = pl.concat(frames)
    order = [FEW_SHOT, *(f"{each:,}" for each in sorted(set(rows["amount"]) - {0}))]
    colours = ["#000000", "#fde725", "#5ec962", "#21918c", "#3b528b", "#440154"][: len(order)]
    base = alt.Chart(rows)
    x = alt.X("loss:Q", title="held-out loss, nats", scale=alt.Scale(zero=False, reverse=True))
    colour = alt.Color(
        "examples:N", title="examples", sort=order, scale=alt.Scale(domain=order, range=colours)
    )
    points = base.mark_point(size=14, filled=True, opacity=0.55).encode(
        x=x, y=alt.Y("score:Q", title="score"), color=colour
    )
    lines = base.mark_line(strokeWidth=1.6).encode(x=x, y=alt.Y("curve:Q"), color=colour)
    return (
        alt.layer(lines, points)
        .properties(width=210, height=150)
        .facet(alt.Facet("skill:N", title=None, sort=list(SKILLS)), columns=4)
    )


def same_rows(rung: Rung, metric: str) -> tuple[Measurements, Measurements]:
    """The table of a rung with its own metric and with another, the same checkpoints in both."""
    kept = rung.fit.selection.rows.select("series", "checkpoint").unique()
    frame = rung.table.frame.join(kept, on=["series", "checkpoint"])
    own, other = (
        replace(rung.table, frame=frame.filter(pl.col("metric") == each))
        for each in (rung.fit.selection.metric, metric)
    )
    return own, other


def metrics() -> str:
    """The forecast from `choice_prob` beside that from accuracy, of the same checkpoints."""
    lines = []
    for skill, split in SKILLS.items():
        if split is HeldSplit.HELD:
            continue
        ratios, inside = [], [0, 0]
        for rung in CELLS[skill].rungs(0, 0):
            found = []
            for metric, rows in zip(
                (str(rung.rows.metric), "choice_prob"),
                same_rows(rung, "choice_prob"),
                strict=True,
            ):
                options = replace(rung.rows, metric=metric, at_chance_only=False, exclude=())
                try:
                    found.append(fit(rows, options).posterior)
                except FitError:
                    break
            if len(found) < 2:
                continue
            one, other = (crps(each, rung.truth) for each in found)
            ratios.append(np.log(one / other))
            for which, each in enumerate(found):
                low, high = each.quantile([0.05, 0.95])
                inside[which] += bool(low <= rung.truth <= high)
        if ratios:
            lines.append(
                [
                    *(f"`{skill}`", len(ratios), f"{np.mean(ratios):+.2f}"),
                    *(f"{each} of {len(ratios)}" for each in inside),
                ]
            )
    ratio = "ln(CRPS from accuracy / from choice_prob)"
    header = ("skill", "rungs", ratio, "accuracy inside", "choice_prob inside")
    return table(header, lines)


def main() -> None:
    """Print it, or write it where it is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", type=Path, help="a table of `emergecast export`")
    parser.add_argument("--write", action="store_true", help="keep the page and the picture")
    options = parser.parse_args()
    measured = proving_ground_skills() if options.table is None else read_table(options.table)
    checkpoints = measured.frame.filter(~RANDOM).select("series", "checkpoint").n_unique()
    parts = [
        f"{len(measured):,} scores of {checkpoints} checkpoints and of models with random weights.",
        "## Elbow in nats by finetuning examples, loss on all text",
        ELBOWS,
        elbows(measured, "held-out"),
        "## The same, loss on language without exercises",
        elbows(measured, "language"),
        "## Few-shot: elbow and crossing (docs/truth.md)",
        truths(measured),
        "## Models with random weights",
        controls(measured, "held-out"),
        "## Forecasts from another metric",
        METRICS,
        metrics(),
    ]
    chart = picture(measured, "held-out")
    if options.write:
        chart.save(PICTURE, ppi=110)
    publish("skills", "\n\n".join(parts), write=options.write, also=("altair",))


if __name__ == "__main__":
    main()

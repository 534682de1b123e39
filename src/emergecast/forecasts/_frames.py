"""The tables of a forecast that a picture is drawn from: its scores, and its distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from emergecast.diagnostics import FEW_SHOT

if TYPE_CHECKING:
    from emergecast.inference import ElbowOnAxis
    from emergecast.measurements import Selection


def points(selection: Selection) -> pl.DataFrame:
    """One row per score: checkpoint, loss, score, stderr, setting, examples, label, hidden.

    Losses are values of the axis, examples amounts of the shift. Hidden are the few-shot scores of
    checkpoints that the forecast did not see.
    """
    axis, shift, key = selection.axis, selection.shift, ["series", "checkpoint"]
    seen = selection.rows.with_columns(hidden=pl.lit(value=False))
    later = selection.all_few_shot.join(selection.rows.select(key).unique(), on=key, how="anti")
    rows = pl.concat([seen, later.with_columns(hidden=pl.lit(value=True))], how="diagonal")
    label = pl.struct("few_shot", "examples").map_elements(
        lambda row: FEW_SHOT if row["few_shot"] else shift.number(row["examples"]),
        return_dtype=pl.String,
    )
    return rows.select(
        "checkpoint",
        axis.to_axis(pl.col("loss")),
        "score",
        "stderr",
        pl.when("few_shot").then(pl.lit(FEW_SHOT)).otherwise(pl.lit("finetuned")).alias("setting"),
        shift.to_shift(pl.col("examples")),
        label.alias("label"),
        "hidden",
    )


def distribution(elbow: ElbowOnAxis | None) -> pl.DataFrame:
    """Posterior of the few-shot elbow: loss, density, cumulative; no rows where it is refused."""
    if elbow is None:
        names = ("loss", "density", "cumulative")
        return pl.DataFrame(schema=dict.fromkeys(names, pl.Float64))
    low, high = elbow.quantile([0.0005, 0.9995])
    margin = 0.05 * (high - low)
    loss = np.linspace(low - margin, high + margin, 400)
    return pl.DataFrame(
        {"loss": loss, "density": elbow.density(loss), "cumulative": elbow.emerged(loss)}
    )

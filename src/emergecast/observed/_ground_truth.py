"""The elbow of a free ReLU through all few-shot scores of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.measurements import above_chance
from emergecast.observed._relu import profile

if TYPE_CHECKING:
    from emergecast.measurements import Selection

FEWEST = 5
SEEN = 3
GRID = 4001


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """Where few-shot emergence was seen to happen; losses in nats."""

    elbow: float
    """Least squares estimate."""
    p05: float
    p95: float
    slope: float
    """Score per nat past the elbow."""
    base: float
    """Score before the elbow."""
    residual: float
    """Root mean square residual, score."""
    n: int
    """Few-shot scores it rests on."""


def ground_truth(selection: Selection) -> GroundTruth | None:
    """The few-shot elbow once later checkpoints exist, or None where they do not show one.

        y = base + slope max(E - L, 0), equal weights, base and slope free (slope > 0)

    Residuals are scatter about a line that no model lies on exactly, so the interval is that of
    E's profile under normal errors of unknown size, p(E) ~ RSS(E)^(-(n - 2) / 2), with a flat prior
    over the range of losses. Rows that `at_chance_only` hid are used: this is the truth the
    forecast could not see. Source: method of arXiv 2411.16035, section 5.

    Returns None with fewer than five few-shot scores, or fewer than three above chance.
    """
    rows = selection.all_few_shot
    if rows.height < FEWEST:
        return None
    above = above_chance(rows, selection.metric_kind, selection.chance)
    if np.count_nonzero(above) < SEEN:
        return None
    loss = rows["loss"].to_numpy().astype(np.float64)
    score = rows["score"].to_numpy().astype(np.float64)
    losses = np.unique(loss)
    if losses.size < FEWEST:
        return None
    elbow = np.linspace(losses[1], losses[-1], GRID)
    rss, slope, base = profile(loss, score, elbow)
    rss = np.where(slope > 0, rss, np.inf)
    best = int(np.argmin(rss))
    if not np.isfinite(rss[best]):
        return None
    floor = 1e-12 * float(np.sum((score - score.mean()) ** 2))
    ln_density = -0.5 * (loss.size - 2) * np.log(np.maximum(rss, floor) / max(rss[best], floor))
    density = np.exp(ln_density)
    cumulative = np.cumsum(density) - density / 2  # the mass below the middle of each step
    p05, p95 = np.interp([0.05, 0.95], cumulative / density.sum(), elbow)
    return GroundTruth(
        elbow=float(elbow[best]),
        p05=float(p05),
        p95=float(p95),
        slope=float(slope[best]),
        base=float(base[best]),
        residual=float(np.sqrt(rss[best] / loss.size)),
        n=int(loss.size),
    )

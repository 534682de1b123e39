"""Least squares of a line with one bend: flat, then rising past an elbow."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Relu(NamedTuple):
    """y = base + slope max(elbow - L, 0)."""

    elbow: float
    """Nats."""
    slope: float
    base: float
    rss: float
    """Residual sum of squares."""


def profile(loss: Floats, score: Floats, elbow: Floats) -> tuple[Floats, Floats, Floats]:
    """Residual sum of squares, slope and base of the best line at each elbow; as `elbow`.

    Args:
        loss: nats, shape (n,).
        score: shape (n,).
        elbow: nats, shape (m,).
    """
    past = np.maximum(elbow[:, None] - loss, 0.0)
    centred = past - past.mean(axis=1, keepdims=True)
    spread = np.maximum(np.sum(centred**2, axis=1), 1e-300)
    slope = centred @ (score - score.mean()) / spread
    base = score.mean() - slope * past.mean(axis=1)
    residual = score - base[:, None] - slope[:, None] * past
    return np.sum(residual**2, axis=1), slope, base


def best_relu(loss: Floats, score: Floats) -> Relu | None:
    """The least squares ReLU with a positive slope; None where there is none.

    Exact: between two neighbouring losses the best elbow is where the line through the points past
    it meets the mean of the others, if that lies between the two; else it is one of them (Hudson
    1966, *Fitting segmented curves whose join points have to be estimated*). The elbow lies above
    at least two distinct losses, so that slope and elbow are told apart.
    """
    losses = np.unique(loss)
    if losses.size < 3:
        return None
    candidates = list(losses[2:])
    for low, high in pairwise(losses[1:]):
        past = loss <= low
        centred = loss[past] - loss[past].mean()
        slope = float(centred @ score[past] / (centred @ centred))
        if slope != 0:
            meet = loss[past].mean() + (score[~past].mean() - score[past].mean()) / slope
            if low < meet < high:
                candidates.append(meet)
    elbows = np.array(candidates)
    rss, slopes, bases = profile(loss, score, elbows)
    rss = np.where(slopes > 0, rss, np.inf)
    at = int(np.argmin(rss))
    if not np.isfinite(rss[at]):
        return None
    return Relu(float(elbows[at]), float(slopes[at]), float(bases[at]), float(rss[at]))


def resampled_elbows(loss: Floats, score: Floats, weight: Floats, elbow: Floats) -> Floats:
    """The least squares elbow, among those given, of each resample that has one with slope > 0.

    Args:
        loss: nats, shape (n,).
        score: shape (n,).
        weight: how often each resample holds each score, shape (resamples, n).
        elbow: nats, shape (m,).

    Returns:
        Elbows in nats, shape (at most resamples,).
    """
    past = np.maximum(elbow[:, None] - loss, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    score = score - score.mean()
    mean_score, mean_past = (weight @ score)[:, None] / total, weight @ past.T / total
    spread = np.maximum(weight @ (past**2).T - total * mean_past**2, 0.0)
    rise = weight @ (past * score).T - total * mean_past * mean_score
    told = (rise > 0) & (spread > 1e-12 * float(np.sum(past[-1] ** 2)))
    explained = np.where(told, rise**2 / np.where(told, spread, 1.0), -np.inf)
    found = elbow[np.argmax(explained, axis=1)]
    return np.asarray(found[told.any(axis=1)])

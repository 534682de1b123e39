"""Curves through few-shot scores, and the loss at which each says that chance is left.

Every curve takes n losses and B columns of scores at them, and returns the fitted scores (n, B) and
the crossing (B,): the loss at which the curve reaches the bar, nan where it never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit
from scipy.stats import f as f_distribution

if TYPE_CHECKING:
    from collections.abc import Iterable

Floats = NDArray[np.float64]

RESAMPLES = 200
SHARPNESS = 0.1
"""Width of the bend of the broken power law, in ln(1 / loss)."""
BREAKS, POWERS = 60, 24
STEEPEST = 200.0
"""Largest exponent of the broken power law."""
EXPONENTS = np.geomspace(0.01, 2.0, 120)
"""Exponents of a power law in compute; the smallest is nearly a line in its logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The score axis of a curve, oriented so that higher is better."""

    chance: float
    best: float | None
    """Best attainable score; None where there is none."""
    bar: float | Floats
    """The score at which a curve counts as having left chance; shape (B,) where every column has
    its own."""


class Curve(Protocol):
    """A family of curves fitted by least squares, one curve per column."""

    def __call__(self, loss: Floats, scores: Floats, scale: Scale, /) -> tuple[Floats, Floats]:
        """Fitted scores (n, B) and crossings (B,)."""
        ...


def line(loss: Floats, scores: Floats, scale: Scale, /) -> tuple[Floats, Floats]:
    """Straight lines y = a + b L; they cross where b < 0."""
    centre = loss.mean()
    past = loss - centre
    slope = past @ scores / np.sum(past**2)
    base = scores.mean(axis=0)
    falling = slope < 0
    reach = (scale.bar - base) / np.where(falling, slope, 1.0)
    return base + past[:, None] * slope, _possible(np.where(falling, centre + reach, np.nan))


def sigmoid(loss: Floats, scores: Floats, scale: Scale, /) -> tuple[Floats, Floats]:
    """Sigmoids y = chance + (best - chance) / (1 + exp((L - m) / w)), w > 0.

    Least squares in (m, ln w), from the best of a grid for the first column and from there on for
    the others.
    """
    if scale.best is None:
        raise ValueError("a sigmoid needs the best attainable score")
    height = scale.best - scale.chance
    centre, width = float(loss.mean()), float(np.ptp(loss))
    shares = (scores - scale.chance) / height
    start = _sigmoid_start(loss, shares[:, 0], centre, width)
    found = []
    for column in range(scores.shape[1]):
        result = least_squares(
            _sigmoid_residuals,
            start,
            jac=_sigmoid_slopes,
            method="lm",
            max_nfev=100,
            args=((loss - centre) / width, shares[:, column]),
        )
        start = result.x if column == 0 else start
        found.append(result.x)
    middle, ln_width = np.array(found).T
    spread = np.exp(np.clip(ln_width, -30, 30))
    fitted = expit((middle - ((loss - centre) / width)[:, None]) / spread)
    crossing = centre + width * (middle - spread * logit((scale.bar - scale.chance) / height))
    return scale.chance + height * fitted, _possible(crossing)


def broken_power_law(loss: Floats, scores: Floats, scale: Scale, /) -> tuple[Floats, Floats]:
    """Curves y = a + b h(1 / L), h(u) = (1 + (u / u1)^(1/f))^(p f) - 1, b >= 0.

    A smoothly broken power law (Caballero et al., arXiv 2210.14891, one break, first exponent 0):
    flat up to the break u1, a power p beyond it, sharpness f fixed. The break lies among the losses
    seen, since one beyond them leaves no trace; (u1, p) by grid, (a, b) by least squares.
    """
    x = -np.log(loss)
    breaks = np.linspace(x.min(), x.max(), BREAKS + 2)[1:-1]
    powers = np.geomspace(1.0, STEEPEST, POWERS)
    at, power = (part.ravel() for part in np.meshgrid(breaks, powers, indexing="ij"))
    shape = _break(x[None, :] - at[:, None], power[:, None])
    base, gain, fitted, best = _best_of_grid(shape, scores)
    risen = (gain > 0) & (base < scale.bar)
    height = np.where(risen, (scale.bar - base) / np.where(gain > 0, gain, 1.0), 1.0)
    steps = np.log1p(height) / (power[best] * SHARPNESS)
    where = at[best] + SHARPNESS * np.log(np.expm1(np.minimum(steps, 600.0)))
    return fitted, _possible(np.where(risen, np.exp(-where), np.nan))


def power_law(less: Floats, scores: Floats, scale: Scale, /) -> tuple[Floats, Floats]:
    """Curves y = a - b x^c, b >= 0, c > 0, in x > 0 of which less is better, such as 1 / compute.

    The exponent c by grid, (a, b) by least squares.
    """
    shape = -(less[None, :] ** EXPONENTS[:, None])
    base, gain, fitted, best = _best_of_grid(shape, scores)
    risen = (gain > 0) & (base > scale.bar)
    share = (base - scale.bar) / np.where(gain > 0, gain, 1.0)
    crossing = np.where(risen, share, 1.0) ** (1 / EXPONENTS[best])
    return fitted, _possible(np.where(risen, crossing, np.nan))


def _best_of_grid(shape: Floats, scores: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Least squares of y = base + gain shape, gain >= 0, of the best of k shapes for each column.

    Args:
        shape: (k, n).
        scores: (n, B).

    Returns:
        Base and gain (B,), fitted scores (n, B), and the index of the best shape (B,).
    """
    past = shape - shape.mean(axis=1, keepdims=True)
    spread = np.sum(past**2, axis=1)
    rise = np.maximum(past @ scores / spread[:, None], 0.0)
    best = np.argmax(rise**2 * spread[:, None], axis=0)  # explains most of the squared distance
    gain = rise[best, np.arange(scores.shape[1])]
    base = scores.mean(axis=0) - gain * shape[best].mean(axis=1)
    return base, gain, base + gain * shape[best].T, best


def rises(curve: Curve, loss: Floats, score: Floats, scale: Scale) -> float:
    """The p value of an F test of the curve against a constant: large for flat scores.

    With F = [(RSS0 - RSS) / q] / [RSS / (n - q - 1)] and q the parameters beyond a constant. An
    approximation for the curves that are not linear.
    """
    extra, n = EXTRA[curve], loss.size
    if n <= extra + 1:
        return 1.0
    rss = float(np.sum((score - curve(loss, score[:, None], scale)[0][:, 0]) ** 2))
    constant = float(np.sum((score - score.mean()) ** 2))
    if rss >= constant:
        return 1.0
    ratio = ((constant - rss) / extra) / (max(rss, 1e-12 * constant) / (n - extra - 1))
    return float(f_distribution.sf(ratio, extra, n - extra - 1))


def crossings(
    curve: Curve, loss: Floats, score: Floats, scale: Scale, rng: np.random.Generator
) -> Floats:
    """Crossings of the curve refitted to resampled residuals, shape (RESAMPLES,).

    Residuals are widened by sqrt(n / (n - 2)) for the freedom the fit took.
    """
    fitted = curve(loss, score[:, None], scale)[0][:, 0]
    n = loss.size
    residual = (score - fitted) * np.sqrt(n / (n - 2))
    again = fitted[:, None] + rng.choice(residual, size=(n, RESAMPLES))
    return curve(loss, again, scale)[1]


EXTRA: dict[Curve, int] = {line: 1, sigmoid: 1, broken_power_law: 3, power_law: 2}
"""Parameters of each curve beyond those of a constant."""


def _possible(crossing: Floats) -> Floats:
    """A loss at or below 0 is never reached, and one of 1e6 nats is not a loss."""
    inside = np.nan_to_num(crossing, nan=-1.0, posinf=-1.0, neginf=-1.0)
    return np.where((inside > 0) & (inside < 1e6), crossing, np.nan)


def _break(distance: Floats, power: Floats) -> Floats:
    """The h of `broken_power_law` at ln(u / u1) = distance."""
    return np.asarray(np.expm1(power * SHARPNESS * np.logaddexp(0.0, distance / SHARPNESS)))


def _sigmoid_start(loss: Floats, share: Floats, centre: float, width: float) -> Floats:
    """The best (m, ln w) of a grid, in units of the range of the losses."""
    x = (loss - centre) / width
    grid: Iterable[tuple[float, float]] = [
        (m, s) for m in np.linspace(-3, 1, 33) for s in np.linspace(-4, 1, 11)
    ]
    nodes = np.array(list(grid))
    errors = expit((nodes[:, :1] - x) / np.exp(nodes[:, 1:])) - share
    return np.asarray(nodes[int(np.argmin(np.sum(errors**2, axis=1)))])


def _sigmoid_residuals(parameters: Floats, x: Floats, share: Floats) -> Any:  # noqa: ANN401  scipy
    return expit((parameters[0] - x) / np.exp(np.clip(parameters[1], -30, 30))) - share


def _sigmoid_slopes(parameters: Floats, x: Floats, share: Floats) -> Any:  # noqa: ANN401  scipy
    spread = np.exp(np.clip(parameters[1], -30, 30))
    distance = (parameters[0] - x) / spread
    bend = expit(distance) * expit(-distance)
    return np.column_stack([bend / spread, -bend * distance]) + 0.0 * share[:, None]

"""Standard errors and conditioning from the derivatives at the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtri

from emergecast.scaling.fitting._objective import residuals, slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling.fitting._objective import Points

    Floats = NDArray[np.float64]

_ROUNDING: Final = 1e-12
_WINDOW: Final = 0.973
"""Width of Hall and Sheather's window about a median, as a share of the points, times n^(1/3): at
the 5% level z^(2/3) (1.5 phi(0)^2)^(1/3), with z = 1.96, is 0.972."""
_WIDEST: Final = 0.45
"""Share at which the window of a small table ends: at a half it would have no end."""
_RANK: Final = 1e-13
"""Relative size below which an eigenvalue is rounding."""
MAD: Final = 1.4826
"""Standard deviation of a normal over its median absolute deviation."""


def constants(points: Points, theta: Floats) -> Floats:
    """E, numerators and exponents as they are printed, of coordinates (refits, coordinates)."""
    k = points.terms
    found = theta.copy()
    found[:, 1 : 1 + k] *= np.exp(theta[:, 1 + k :] * points.centre)
    return found


def robust_z(r: Floats) -> Floats:
    """Distance of each residual in ln L from their median, in robust standard deviations.

    A standard deviation below 1e-12, which is rounding, counts as 1e-12.
    """
    away = r - np.median(r)
    found: Floats = away / max(MAD * float(np.median(np.abs(away))), _ROUNDING)
    return found


def covariance(
    points: Points,
    theta: Floats,
    cluster: NDArray[np.intp],
    *,
    delta: float,
    free: NDArray[np.bool_],
) -> Floats:
    """Covariance of (E, ln c_k, a_k), zero where a coordinate is not `free`; by the sandwich.

        V = H^-1 M H^-1,  H = sum_i k_i J_i J_i',  M = sum_g s_g s_g',  s_g = sum_{i in g} psi_i J_i

    with J the derivatives of ln L and psi = clip(r, -delta, delta). The inverse of the Hessian
    alone is not a variance: most residuals lie beyond delta, where the Huber loss is a straight
    line, so the fit is nearly one of medians and H is delta times the density of the residuals at
    0. Only the few within delta say anything about it, so a window of half width h >= delta takes
    their place: k_i = (delta / h) [|r_i| <= h], h from the rule of Hall and Sheather.

    Args:
        points: The table.
        theta: Coordinates of the optimum, shape (coordinates,).
        cluster: Training run of each point, 0-based, shape (points,).
        delta: As in the objective.
        free: Coordinates that are neither fixed nor at a bound, shape (coordinates,).

    Source: Powell 1991, in *Nonparametric and Semiparametric Methods in Econometrics*, for the
    window; Hall and Sheather 1988, *JRSS B* 50, 381, for its width. Sums within runs are ours.
    """
    k = points.terms
    r = residuals(points, theta[None])[0]
    j = slopes(points, theta)
    j[1 : 1 + k] *= theta[1 : 1 + k, None]
    j = j[free]
    spread = MAD * float(np.median(np.abs(r - np.median(r))))
    share = min(_WINDOW * points.n ** (-1 / 3), _WIDEST)
    width = max(delta, spread * float(ndtri(0.5 + share)))
    bread = (j * (delta / width * (np.abs(r) <= width))) @ j.T
    scores = np.zeros((int(cluster.max()) + 1, len(j)))
    np.add.at(scores, cluster, (j * np.clip(r, -delta, delta)).T)
    inverse = np.linalg.pinv(bread, rcond=_RANK, hermitian=True)
    spare = points.n / max(points.n - len(j), 1)
    found = np.zeros((len(theta), len(theta)))
    found[np.ix_(free, free)] = spare * inverse @ (scores.T @ scores) @ inverse
    return found


def errors_of_constants(points: Points, theta: Floats, cov: Floats) -> Floats:
    """Standard errors of the constants as printed, shape (coordinates,), by the delta method.

    A = c exp(a ln M), so dA = A (d ln c + ln M da).
    """
    k = points.terms
    printed = constants(points, theta[None])[0]
    turn = np.eye(len(theta))
    for i in range(k):
        turn[1 + i, 1 + i] = printed[1 + i]
        turn[1 + i, 1 + k + i] = printed[1 + i] * points.centre[i]
    found: Floats = np.sqrt(np.maximum(np.diag(turn @ cov @ turn.T), 0.0))
    return found


def condition_numbers(
    points: Points, theta: Floats, free: NDArray[np.bool_]
) -> tuple[float, float]:
    """How alike the constants are in what they do to ln L: as printed, and at the table's middle.

    Condition number of the derivatives of ln L by E, ln A_k and a_k, each column scaled to length
    one: first with A the term at one parameter (or token), whose value depends on the unit and goes
    up and down with the exponent, then with the term at the geometric mean of the table. Constants
    that are not free do not count.
    """
    k = points.terms
    middle = slopes(points, theta)
    middle[1 : 1 + k] *= theta[1 : 1 + k, None]
    printed = middle.copy()
    printed[1 + k :] -= points.centre[:, None] * middle[1 : 1 + k]
    found = []
    for j in (printed[free], middle[free]):
        length = np.linalg.norm(j, axis=1, keepdims=True)
        found.append(float(np.linalg.cond(j / np.where(length > 0, length, 1.0))))
    return found[0], found[1]

"""The objective of a fit, its gradient and its Hessian, for many sets of constants at once.

Every law here is a floor and one or two power terms, L = E + sum_k A_k / X_k^a_k. The coordinates
are (E, c_1..c_K, a_1..a_K) with c_k = A_k / M_k^a_k and M_k the geometric mean of the amounts: the
term at the middle of the table, in nats. A itself runs over orders of magnitude with the exponent
and with the unit of X; c does neither, so that the search is the same in every unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BLOCK: Final = 2**15
"""Points times refits looked at in one go: the intermediate arrays stay within the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What is fitted, as the search needs it."""

    z: Floats
    """ln(X_k / M_k), shape (terms, points)."""
    centre: Floats
    """ln M_k, the mean of ln X_k, shape (terms,)."""
    ln_loss: Floats
    """ln of the loss in nats, shape (points,)."""

    @classmethod
    def of(cls, amounts: Floats, loss: Floats) -> Points:
        """Centred points of `amounts`, shape (terms, points), and `loss`, shape (points,)."""
        ln_x = np.log(amounts)
        centre = ln_x.mean(axis=1)
        return cls(z=ln_x - centre[:, None], centre=centre, ln_loss=np.log(loss))

    @property
    def terms(self) -> int:
        """Power terms of the law, K."""
        return len(self.z)

    @property
    def n(self) -> int:
        """Points."""
        return len(self.ln_loss)


class Valued(NamedTuple):
    """The objective at some coordinates."""

    value: Floats
    """Shape (refits,); infinite where the law gives no positive loss."""
    gradient: Floats
    """Shape (refits, coordinates)."""
    hessian: Floats
    """Shape (refits, coordinates, coordinates)."""
    scale: Floats
    """sqrt(sum of weight * (d ln L / d coordinate)^2), shape (refits, coordinates)."""


def residuals(points: Points, theta: Floats) -> Floats:
    """The law's ln L minus that of each point: (refits, points), of `theta` (refits, coords)."""
    k = points.terms
    terms = np.exp(-theta[:, 1 + k :, None] * points.z) * theta[:, 1 : 1 + k, None]
    with np.errstate(divide="ignore"):
        ln_law: Floats = np.log(theta[:, :1] + terms.sum(axis=1))
    return ln_law - points.ln_loss


def slopes(points: Points, theta: Floats) -> Floats:
    """Derivatives of ln L by each coordinate, shape (coordinates, points), of one `theta`."""
    found: Floats = _slopes(points, theta[None])[0][0]
    return found


def objective(points: Points, theta: Floats, weights: Floats, delta: float) -> Valued:
    """The sum of Huber losses of the residuals in ln L, with exact derivatives.

    f = sum_i w_i H(r_i), r_i = ln L(X_i) - ln L_i, H(r) = r^2 / 2 within delta of 0, else
    delta (|r| - delta / 2). A sum, not a mean: an optimiser that stops at a fixed tolerance stops
    too early on a mean (Besiroglu et al. 2024, arXiv 2404.10102, section 3.3). The Hessian is that
    of the smooth pieces: H is quadratic within delta and linear outside.

    Args:
        points: The table.
        theta: Coordinates, shape (refits, 1 + 2 terms).
        weights: How often each point counts, shape (refits, points) or (1, points).
        delta: Where the Huber loss turns from quadratic to linear, in ln L.

    Source: Hoffmann et al. 2022, arXiv 2203.15556, equation 3, which takes the same sum with
    delta = 1e-3.
    """
    count, p = theta.shape
    found = Valued(
        np.empty(count), np.empty((count, p)), np.empty((count, p, p)), np.empty((count, p))
    )
    height = max(1, _BLOCK // points.n)
    for start in range(0, count, height):
        rows = slice(start, start + height)
        w = weights if len(weights) == 1 else weights[rows]
        for whole, part in zip(found, _block(points, theta[rows], w, delta), strict=True):
            whole[rows] = part
    return found


def _slopes(points: Points, theta: Floats) -> tuple[Floats, Floats]:
    """Derivatives of ln L (refits, coords, points), and the law's L (refits, points)."""
    k = points.terms
    power = np.exp(theta[:, 1 + k :, None] * -points.z)
    law = theta[:, :1] + np.zeros(points.n)
    for j in range(k):
        law += theta[:, 1 + j, None] * power[:, j]
    slope = np.empty((len(theta), 1 + 2 * k, points.n))
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(1.0, law, out=slope[:, 0])
        np.multiply(power, slope[:, :1], out=slope[:, 1 : 1 + k])
        bare = theta[:, 1 : 1 + k, None] * -points.z
        np.multiply(slope[:, 1 : 1 + k], bare, out=slope[:, 1 + k :])
    return slope, law


def _block(points: Points, theta: Floats, weights: Floats, delta: float) -> Valued:
    k = points.terms
    slope, law = _slopes(points, theta)
    impossible = ~np.all(law > 0, axis=1)
    if impossible.any():
        law[impossible] = 1.0
        slope[impossible] = 0.0
    r = np.log(law)
    r -= points.ln_loss
    bent = np.clip(r, -delta, delta)  # the derivative of H
    pull = weights * bent
    value = np.einsum("rn,rn->r", pull, r - 0.5 * bent)
    gradient = (slope @ pull[:, :, None])[:, :, 0]
    curved = weights * (r == bent) - pull  # r is within delta where clipping left it as it is
    hessian = (slope * curved[:, None]) @ slope.transpose(0, 2, 1)
    moments = np.stack([points.z, points.z**2], axis=2)
    for j in range(k):
        c, a = 1 + j, 1 + k + j
        once, twice = ((pull * slope[:, c]) @ moments[j]).T
        hessian[:, c, a] -= once
        hessian[:, a, c] -= once
        hessian[:, a, a] += theta[:, c] * twice
    spread = weights[..., None] if len(weights) > 1 else weights[0][:, None]
    scale = np.sqrt((slope**2 @ spread)[:, :, 0])
    value[impossible] = np.inf
    return Valued(value, gradient, hessian, scale)

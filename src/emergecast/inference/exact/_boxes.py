"""Boxes in (h, t, a), the 27-node rule on each, and what a box means for the few-shot elbow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import Floats, Ints

Mask = NDArray[np.bool_]

NODES = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.6)
"""Gauss-Legendre nodes of three points on [-1, 1]."""
WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
CELLS = np.array([-13.0, 0.0, 13.0]) / 18.0
"""Centres of the cells of widths 2 * WEIGHTS that tile [-1, 1]."""
BLUR = 0.5
"""Share of its cell over which a node's mass is spread in E(D0): 1 leaves no gaps within a box but
makes a peaked density too wide, 0 keeps its variance but leaves steps."""
_BLURRED = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.6 - BLUR**2 * 127 / 1620)
"""Centres of the spread masses, such that an even density keeps its variance."""
STAR = np.vstack([np.zeros(3), *(sign * axis for axis in np.eye(3) for sign in (-1.0, 1.0))])
"""Centre of a box and the middles of its six faces, in half-widths."""
NARROWEST = 1e-9
"""Least width of a cell, units of S."""
_RULE = np.einsum("i,j,k->ijk", WEIGHTS, WEIGHTS, WEIGHTS).reshape(27)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in (h, t, a): centres and half-widths, both of shape (N, 3)."""

    centre: Floats
    half: Floats

    def __len__(self) -> int:
        return int(self.centre.shape[0])

    def take(self, which: Mask | Ints) -> Boxes:
        """The boxes picked by a mask or by indices."""
        return Boxes(self.centre[which], self.half[which])

    def halved(self, along: Ints) -> Boxes:
        """Each box cut in two along one axis (`along`, shape (N,)); shape (2 N,)."""
        rows = np.arange(len(self))
        half = self.half.copy()
        half[rows, along] /= 2
        step = np.zeros_like(half)
        step[rows, along] = half[rows, along]
        return Boxes(
            np.concatenate([self.centre - step, self.centre + step]), np.concatenate([half, half])
        )

    @classmethod
    def grid(cls, low: Floats, high: Floats, counts: tuple[int, int, int]) -> Boxes:
        """An even grid over the box from `low` to `high`."""
        half = (high - low) / (2 * np.asarray(counts))
        axes = [low[i] + half[i] * (2 * np.arange(counts[i]) + 1) for i in range(3)]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return cls(mesh, np.broadcast_to(half, mesh.shape).copy())

    @classmethod
    def join(cls, *parts: Boxes) -> Boxes:
        """All boxes of several sets."""
        return cls(
            np.concatenate([part.centre for part in parts]),
            np.concatenate([part.half for part in parts]),
        )


def nodes(boxes: Boxes, offsets: Floats = NODES) -> Floats:
    """The 27 points of each box at `offsets` (in half-widths) along every axis, (N, 27, 3)."""
    mesh = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(27, 3)
    return np.asarray(boxes.centre[:, None, :] + mesh * boxes.half[:, None, :])


def box_weights(boxes: Boxes) -> Floats:
    """Volume that each node stands for, shape (N, 27)."""
    return np.asarray(8 * np.prod(boxes.half, axis=1)[:, None] * _RULE)


def elbow_extent(coordinates: Coordinates, boxes: Boxes) -> Floats:
    """Half the range of E(D0) along each axis of each box, shape (N, 3)."""
    h, t, a = boxes.centre.T
    dh, dt, da = boxes.half.T
    middle = coordinates.few_shot_elbow(h, t, a)
    stretch = coordinates.few_shot_elbow(np.zeros_like(h), np.ones_like(h), a)
    ends = [coordinates.few_shot_elbow(h, t, a + sign * da) for sign in (-1, 1)]
    along_a = np.maximum(np.abs(ends[0] - middle), np.abs(ends[1] - middle))
    return np.stack([dh, np.abs(stretch) * dt, along_a], axis=1)


def elbow_cells(coordinates: Coordinates, boxes: Boxes) -> tuple[Floats, Floats]:
    """Centre and width in E(D0) of the uniform stretch that carries each node's mass, (N, 27) each.

    Its variance is what its extents along the three axes give it together.
    """
    h, t, a = np.moveaxis(nodes(boxes, _BLURRED), 2, 0)
    centre = coordinates.few_shot_elbow(h, t, a)
    extent = elbow_extent(coordinates, boxes)
    share = np.stack(np.meshgrid(WEIGHTS, WEIGHTS, WEIGHTS, indexing="ij"), axis=-1).reshape(27, 3)
    width = 2 * BLUR * np.sqrt(np.einsum("na,ka->nk", extent**2, share**2))
    return centre, np.maximum(width, NARROWEST)


def cumulative_mass(centre: Floats, width: Floats, mass: Floats) -> tuple[Floats, Floats]:
    """The cumulative distribution of uniform stretches: knots and values, linear in between."""
    low, high = centre - width / 2, centre + width / 2
    edges = np.concatenate([low, high])
    order = np.argsort(edges)
    edges = edges[order]
    height = mass / width
    slope = np.cumsum(np.concatenate([height, -height])[order])
    total = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(edges))])
    return edges, np.maximum.accumulate(total / total[-1])

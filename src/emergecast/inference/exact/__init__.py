"""The posterior of a plain law, by quadrature: every parameter is integrated out.

It says how far off its own integral may be, and refuses nothing that is finite.
"""

from __future__ import annotations

from emergecast.inference.exact._boxes import STAR, box_weights, elbow_cells, nodes
from emergecast.inference.exact._collapsed import CHUNK, Collapsed
from emergecast.inference.exact._exact import ExactPosterior
from emergecast.inference.exact._quadrature import integrate

__all__ = [
    "CHUNK",
    "STAR",
    "Collapsed",
    "ExactPosterior",
    "box_weights",
    "elbow_cells",
    "integrate",
    "nodes",
]

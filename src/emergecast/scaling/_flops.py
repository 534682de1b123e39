"""The usual count of the FLOPs of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.scaling._laws import FLOPS_PER_PARAM_AND_TOKEN

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def training_flops(params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
    """Floating-point operations of a training run: 6 * params * tokens.

    Two operations per parameter and token forward, four backward; attention and embeddings are not
    counted apart. Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1.
    """
    n, d = np.asarray(params, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    return np.asarray(FLOPS_PER_PARAM_AND_TOKEN * n * d)

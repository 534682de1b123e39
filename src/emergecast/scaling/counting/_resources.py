"""Parameters, tokens and FLOPs of a training run: the third from two, and how fast a machine is."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

FORWARD_FLOPS_PER_PARAM_AND_TOKEN: Final = 2.0
"""A multiplication and an addition: Kaplan et al. 2020, arXiv 2001.08361, section 2.1."""
FLOPS_PER_PARAM_AND_TOKEN: Final = 6.0
"""Two forward, four backward: Kaplan et al. 2020, arXiv 2001.08361, section 2.1."""
GPU_FLOPS_PER_SECOND: Final = 2.5e14
"""What one GPU does where nothing was measured or stated: a quarter of the 9.9e14 dense bf16
FLOP/s that NVIDIA states for an H100 SXM. On one the lab reached 2.6e14 in finetuning a model of
1.1 billion weights stored in bf16, 2.2e14 with LoRA, 2.5e14 to 3.5e14 in evaluating it, and 0.5e14
where weights are stored in 32 bits: performance/results/lab_gpu.md."""
CPU_FLOPS_PER_SECOND: Final = 5e10
"""What one CPU core does, on tiny models in 32 bits, where nothing was measured or stated."""


class Resource(StrEnum):
    """What a model gets more of so that its loss falls."""

    PARAMS = "params"
    """Parameters of the model (count)."""
    TOKENS = "tokens"
    """Training tokens (count)."""
    FLOPS = "flops"
    """Floating-point operations of the training run."""

    @property
    def symbol(self) -> str:
        """What it is called in a formula."""
        return {Resource.PARAMS: "N", Resource.TOKENS: "D", Resource.FLOPS: "C"}[self]

    @property
    def noun(self) -> str:
        """What it is called in a sentence."""
        return {Resource.PARAMS: "parameters", Resource.FLOPS: "FLOPs"}.get(self, "tokens")


def training_flops(params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
    """Floating-point operations of a training run: 6 * params * tokens.

    Two operations per parameter and token forward, four backward; attention and embeddings are not
    counted apart. Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1.
    """
    n, d = np.asarray(params, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    return np.asarray(FLOPS_PER_PARAM_AND_TOKEN * n * d)


def complete_amounts(known: Mapping[Resource, ArrayLike]) -> dict[Resource, NDArray[np.float64]]:
    """All three amounts where two are known, by flops = 6 * params * tokens; else those known.

    Amounts may be infinite, or past any float.

    Args:
        known: the amounts, of shapes that broadcast.
    """
    found = {each: np.asarray(known[each], dtype=np.float64) for each in Resource if each in known}
    n, d, c = (found.get(each) for each in Resource)
    with np.errstate(over="ignore", under="ignore"):
        if n is not None and d is not None:
            found.setdefault(Resource.FLOPS, training_flops(n, d))
        elif c is not None and d is not None:
            found[Resource.PARAMS] = c / (FLOPS_PER_PARAM_AND_TOKEN * d)
        elif c is not None and n is not None:
            found[Resource.TOKENS] = c / (FLOPS_PER_PARAM_AND_TOKEN * n)
    return found

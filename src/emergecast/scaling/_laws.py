"""The Chinchilla loss law with published constants, and the FLOP count of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ChinchillaLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats per token.

    Source: Hoffmann et al. 2022, *Training Compute-Optimal Large Language Models*, arXiv
    2203.15556, equation 2.
    """

    name: str
    """Short name under which the constants are known here."""
    source: str
    """Where the constants were published."""
    floor_nats: float
    """E: the loss of a perfect model, nats per token."""
    a: float
    """A: numerator of the parameter term, nats per token."""
    b: float
    """B: numerator of the data term, nats per token."""
    alpha: float
    """Exponent of the parameter count."""
    beta: float
    """Exponent of the token count."""

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Pretraining loss in nats per token, of the broadcast shape of `params` and `tokens`.

        loss = E + A / params**alpha + B / tokens**beta

        Args:
            params: parameters of the model (count), any shape; positive.
            tokens: training tokens (count), a shape that broadcasts with `params`; positive.

        Raises:
            ValueError: a count is not positive and finite.
        """
        n = np.asarray(params, dtype=np.float64)
        d = np.asarray(tokens, dtype=np.float64)
        if not (np.all(np.isfinite(n) & (n > 0)) and np.all(np.isfinite(d) & (d > 0))):
            msg = "parameters and tokens must be positive and finite to estimate a loss"
            raise ValueError(msg)
        return np.asarray(self.floor_nats + self.a / n**self.alpha + self.b / d**self.beta)


def training_flops(params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
    """Floating-point operations of a training run: 6 * params * tokens.

    Two operations per parameter and token forward, four backward; attention and embeddings are not
    counted apart. Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1.
    """
    return np.asarray(
        6.0 * np.asarray(params, dtype=np.float64) * np.asarray(tokens, dtype=np.float64)
    )


NAMED_LAWS: Final[Mapping[str, ChinchillaLaw]] = MappingProxyType(
    {
        "hoffmann": ChinchillaLaw(
            name="hoffmann",
            source="Hoffmann et al. 2022, arXiv 2203.15556, approach 3",
            floor_nats=1.69,
            a=406.4,
            b=410.7,
            alpha=0.34,
            beta=0.28,
        ),
        "epoch": ChinchillaLaw(
            name="epoch",
            source="Besiroglu et al. 2024, *A replication attempt*, arXiv 2404.10102",
            floor_nats=1.81686,
            a=482.006,
            b=2085.434,
            alpha=0.34781,
            beta=0.36585,
        ),
    }
)
"""Published constants by name; every one is in nats per token of its own tokenizer and corpus."""

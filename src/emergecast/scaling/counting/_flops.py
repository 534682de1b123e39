"""FLOPs per token of an architecture, in four conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emergecast.scaling.counting._architecture import Architecture


class Counting(StrEnum):
    """Which operations count. All take a multiplication and an addition as two."""

    MATMULS = "matmuls"
    """Every matrix product that is needed: token t attends to t positions, logits count, looking up
    an embedding is free."""
    KAPLAN = "kaplan"
    """Kaplan et al. 2020, table 1: no logits and no embeddings; attention to half the context."""
    HOFFMANN = "hoffmann"
    """Hoffmann et al. 2022, appendix F: attention to the whole context, three operations for each
    element of the softmax, and embeddings as a product with one-hot vectors."""
    PALM = "palm"
    """Chowdhery et al. 2022, arXiv 2204.02311, appendix B: two for every parameter, embeddings,
    norms and biases included, and attention to the whole context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlopCount:
    """FLOPs of one token by term, in one convention."""

    counting: Counting
    """The convention."""
    terms: Mapping[str, float]
    """Forward FLOPs per token of the whole model, by term; a term that does not count is 0."""

    @property
    def forward_per_token(self) -> float:
        """FLOPs of the forward pass, per token of a full sequence."""
        return sum(self.terms.values())

    @property
    def training_per_token(self) -> float:
        """FLOPs of the forward and the backward pass: three times the forward pass."""
        return 3.0 * self.forward_per_token


def architecture_flops(
    architecture: Architecture, counting: Counting = Counting.MATMULS
) -> FlopCount:
    """FLOPs per token of an architecture, by term.

    With L layers, width d, h heads of width k of which g for keys and values, feed-forward width f,
    m feed-forward matrices, vocabulary V, and p positions attended to, forward per token:

    queries_keys_values = 2 L d (h + 2 g) k      attention_scores = 2 L h k p
    projection          = 2 L h k d              attention_values = 2 L h k p
    mlp                 = 2 L m d f              logits           = 2 d V
    embeddings          = 2 d V (hoffmann, palm) softmax          = 3 L h p (hoffmann)

    p is (T + 1) / 2 for `matmuls`, T / 2 for `kaplan`, T for the others, T the context. What the
    conventions leave out is 0. Norms, activations, positions and biases count in `palm` alone,
    as two per parameter.

    Source: the members of `Counting` name the table of each convention. Kaplan's table writes
    scores and values together, 2 L T h k; tied embeddings count once in `palm`, as in its N.
    """
    a, t = architecture, float(architecture.context)
    p = {Counting.MATMULS: (t + 1.0) / 2.0, Counting.KAPLAN: t / 2.0}.get(counting, t)
    wide = float(a.heads * a.head_dim)
    params = a.params
    head = 2.0 * a.d_model * a.vocab
    embeddings, other = 0.0, 0.0
    if counting is Counting.HOFFMANN:
        embeddings = head
    if counting is Counting.PALM:
        embeddings = 2.0 * (params.embedding - (a.vocab * a.d_model if a.tied else 0))
        other = 2.0 * params.norms_and_biases
    return FlopCount(
        counting=counting,
        terms=MappingProxyType(
            {
                "embeddings": embeddings,
                "queries_keys_values": 2.0 * params.attention - 2.0 * a.layers * wide * a.d_model,
                "attention_scores": 2.0 * a.layers * wide * p,
                "softmax": 3.0 * a.layers * a.heads * p if counting is Counting.HOFFMANN else 0.0,
                "attention_values": 2.0 * a.layers * wide * p,
                "projection": 2.0 * a.layers * wide * a.d_model,
                "mlp": 2.0 * params.mlp,
                "logits": 0.0 if counting is Counting.KAPLAN else head,
                "norms_and_biases": other,
            }
        ),
    )

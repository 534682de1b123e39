"""FLOPs: hand-worked, against a slow count, and against published figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.scaling.counting.test_architecture import PUBLISHED, TINY

from emergecast.scaling import Architecture, Counting, architecture_flops, training_flops


def slow_matmul_flops(a: Architecture) -> int:
    """Every multiplication and addition of one forward pass over a sequence, product by product.

    (m, k) times (k, n) is 2 m k n. Token t meets t keys and t values in each head.
    """

    def product(m: int, k: int, n: int) -> int:
        return 2 * m * k * n

    flops = 0
    for _ in range(a.layers):
        flops += product(a.context, a.d_model, a.heads * a.head_dim)
        flops += 2 * product(a.context, a.d_model, a.kv_heads * a.head_dim)
        for _ in range(a.heads):
            for t in range(1, a.context + 1):
                flops += product(1, a.head_dim, t) + product(1, t, a.head_dim)
        flops += product(a.context, a.heads * a.head_dim, a.d_model)
        for _ in range(2 if a.gated_mlp else 1):
            flops += product(a.context, a.d_model, a.d_ff)
        flops += product(a.context, a.d_ff, a.d_model)
    return flops + product(a.context, a.d_model, a.vocab)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gated_mlp": True, "kv_heads": 1, "context": 33},
        {"head_dim": 5, "tied": True, "positions": 8, "mlp_bias": True},
    ],
)
def test_matmuls_are_counted_one_by_one(changes):
    """Per token of a full sequence, times the sequence, is the sum over every product."""
    architecture = dataclasses.replace(TINY, **changes)
    count = architecture_flops(architecture)
    assert count.counting is Counting.MATMULS
    assert count.forward_per_token * architecture.context == slow_matmul_flops(architecture)
    assert count.training_per_token == 3 * count.forward_per_token


def test_kaplans_formula():
    """C_forward = 2 N + 2 n_layer n_ctx d_attn, N without embeddings: arXiv 2001.08361, table 1."""
    a = Architecture(
        layers=48, d_model=1600, heads=25, head_dim=64, kv_heads=25, d_ff=6400, vocab=50257,
        context=1024,
    )  # fmt: skip
    n = 2 * 1600 * 48 * (2 * 1600 + 6400)
    found = architecture_flops(a, Counting.KAPLAN)
    assert found.forward_per_token == 2 * n + 2 * 48 * 1024 * 1600


def test_palms_formula():
    """6 N + 12 L H Q T per token of training, N all parameters (arXiv 2204.02311, appendix B)."""
    for a, total, _ in PUBLISHED.values():
        wanted = 6 * total + 12 * a.layers * a.heads * a.head_dim * a.context
        assert architecture_flops(a, Counting.PALM).training_per_token == pytest.approx(
            wanted, rel=1e-14
        )


CHINCHILLA_TABLE_A4 = [
    # millions of parameters, layers, width, feed-forward, heads, head width, FLOPs over 6 N D
    (73, 10, 640, 2560, 10, 64, 1.03),
    (305, 20, 1024, 4096, 16, 64, 1.10),
    (552, 24, 1280, 5120, 10, 128, 1.08),
    (1100, 26, 1792, 7168, 14, 128, 1.04),
    (1600, 28, 2048, 8192, 16, 128, 1.03),
    (6800, 40, 3584, 14336, 28, 128, 0.99),
]
"""Hoffmann et al. 2022, arXiv 2203.15556, table A4."""


@pytest.mark.parametrize("row", CHINCHILLA_TABLE_A4, ids=lambda row: f"{row[0]}M")
def test_the_ratios_of_the_chinchilla_paper(row):
    """They come out without the embeddings and logits that appendix F lists.

    N there holds one matrix of embeddings and, per layer, the projection of relative positions.
    """
    millions, layers, width, d_ff, heads, head_dim, ratio = row
    a = Architecture(
        layers=layers, d_model=width, heads=heads, head_dim=head_dim, kv_heads=heads, d_ff=d_ff,
        vocab=32000, context=2048, tied=True, norm_vectors=0,
    )  # fmt: skip
    n = a.params.total + layers * width * heads * head_dim
    assert n == pytest.approx(millions * 1e6, rel=0.04)
    terms = architecture_flops(a, Counting.HOFFMANN).terms
    counted = sum(terms.values()) - terms["embeddings"] - terms["logits"]
    assert 3 * counted / (6 * n) == pytest.approx(ratio, abs=0.006)


def test_hoffmanns_terms_by_hand():
    """Appendix F for one sequence of 8 tokens of the tiny model, all six of its lines."""
    s, d, v, kh, layers, heads, ffw = 8, 6, 10, 6, 2, 3, 24
    embeddings = 2 * s * v * d
    attention = 2 * 3 * s * d * kh + 2 * s * s * kh + 3 * heads * s * s + 2 * s * s * kh
    attention += 2 * s * kh * d
    dense = 2 * s * (d * ffw + d * ffw)
    wanted = embeddings + layers * (attention + dense) + 2 * s * d * v
    found = architecture_flops(TINY, Counting.HOFFMANN)
    assert found.forward_per_token * s == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_conventions_stand_in_their_order(name):
    """Kaplan leaves out logits, Hoffmann counts everything in full; all within half of 6 N D."""
    a = PUBLISHED[name][0]
    found = [
        architecture_flops(a, each).training_per_token
        for each in (Counting.KAPLAN, Counting.MATMULS, Counting.HOFFMANN)
    ]
    assert found == sorted(found)


def test_training_flops_broadcast():
    """6 N D of every pair."""
    found = training_flops([[1e9], [2e9]], [1e12, 3e12])
    np.testing.assert_array_equal(found, [[6e21, 18e21], [12e21, 36e21]])

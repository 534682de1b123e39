from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from emergecast.errors import ScalingError
from emergecast.scaling import Architecture

TINY = Architecture(
    layers=2, d_model=6, heads=3, head_dim=2, kv_heads=3, d_ff=24, vocab=10, context=8
)
BIASED: dict[str, Any] = {
    "norm_vectors": 2,
    "qkv_bias": True,
    "projection_bias": True,
    "mlp_bias": True,
}
PUBLISHED = {
    "LLaMA 7B": (
        Architecture(
            layers=32, d_model=4096, heads=32, head_dim=128, kv_heads=32, d_ff=11008,
            vocab=32000, context=2048, gated_mlp=True,
        ),
        6_738_415_616,
        None,
    ),
    "LLaMA 2 70B": (
        Architecture(
            layers=80, d_model=8192, heads=64, head_dim=128, kv_heads=8, d_ff=28672,
            vocab=32000, context=4096, gated_mlp=True,
        ),
        68_976_648_192,
        None,
    ),
    "Llama 3 8B": (
        Architecture(
            layers=32, d_model=4096, heads=32, head_dim=128, kv_heads=8, d_ff=14336,
            vocab=128256, context=8192, gated_mlp=True,
        ),
        8_030_261_248,
        None,
    ),
    "Qwen2 0.5B": (
        Architecture(
            layers=24, d_model=896, heads=14, head_dim=64, kv_heads=2, d_ff=4864,
            vocab=151936, context=32768, gated_mlp=True, qkv_bias=True, tied=True,
        ),
        494_032_768,
        None,
    ),
    "GPT-2": (
        Architecture(
            layers=12, d_model=768, heads=12, head_dim=64, kv_heads=12, d_ff=3072,
            vocab=50257, context=1024, positions=1024, tied=True, **BIASED,
        ),
        124_439_808,
        None,
    ),
    "Pythia 160M": (
        Architecture(
            layers=12, d_model=768, heads=12, head_dim=64, kv_heads=12, d_ff=3072,
            vocab=50304, context=2048, **BIASED,
        ),
        162_322_944,
        85_056_000,
    ),
    "Pythia 12B": (
        Architecture(
            layers=36, d_model=5120, heads=40, head_dim=128, kv_heads=40, d_ff=20480,
            vocab=50688, context=2048, **BIASED,
        ),
        11_846_072_320,
        11_327_027_200,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    """To the last parameter: model cards, and the table of the Pythia paper (arXiv 2304.01373)."""
    architecture, total, non_embedding = PUBLISHED[name]
    assert architecture.params.total == total
    if non_embedding is not None:
        assert architecture.params.non_embedding == non_embedding


def test_a_tiny_model_by_hand():
    """Width 6, two layers: 4 x 36 for attention, 2 x 144 feed-forward, 5 norms, two times 60."""
    n = TINY.params
    assert (n.embedding, n.attention, n.mlp, n.norms_and_biases, n.head) == (60, 288, 576, 30, 60)
    assert (n.total, n.non_embedding) == (1014, 894)
    assert dataclasses.replace(TINY, tied=True, positions=8).params.total == 1014 - 60 + 48


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0. Use a whole number of at least 1"),
        ({"d_model": 6.5}, "d_model is 6.5"),
        ({"vocab": True}, "vocab is True"),
        ({"positions": -1}, "positions is -1. Use a whole number of at least 0"),
        ({"tied": "no"}, "tied is 'no'. Use true or false"),
        ({"kv_heads": 2}, "3 query heads cannot share 2 key and value heads"),
    ],
)
def test_an_impossible_architecture_is_refused(changes, message):
    """The field is named with its value."""
    with pytest.raises(ScalingError, match=message):
        dataclasses.replace(TINY, **changes)

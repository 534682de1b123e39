from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.scaling.counting.test_architecture import PUBLISHED, TINY

from emergecast.errors import ScalingError
from emergecast.scaling import read_architecture

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000,
    "max_position_embeddings": 2048, "hidden_act": "silu",
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "LLaMA 7B": LLAMA,
    "LLaMA 2 70B": {
        **LLAMA, "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "intermediate_size": 28672, "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
    "Qwen2 0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "intermediate_size": 4864,
        "vocab_size": 151936, "max_position_embeddings": 32768, "tie_word_embeddings": True,
        "sliding_window": 4096, "use_sliding_window": False,
    },
    "GPT-2": {
        "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257,
        "n_ctx": 1024, "n_positions": 1024, "n_inner": None,
    },
    "Pythia 160M": {
        "model_type": "gpt_neox", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 50304,
        "max_position_embeddings": 2048, "tie_word_embeddings": False,
    },
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path):
    """Writes a config.json."""

    def write(content: object) -> Path:
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_as_hugging_face_writes_them(config, name):
    """Each is the architecture whose parameters were published."""
    assert read_architecture(config(CONFIGS[name])) == PUBLISHED[name][0]


def test_what_a_config_may_say_besides(config):
    """Gemma's width of a head and tied embeddings; biases that are switched on or off."""
    gemma = read_architecture(
        config({**LLAMA, "model_type": "gemma", "head_dim": 256, "num_key_value_heads": 1})
    )
    assert (gemma.head_dim, gemma.kv_heads, gemma.tied) == (256, 1, True)
    llama = read_architecture(config({**LLAMA, "attention_bias": True, "mlp_bias": True}))
    assert (llama.qkv_bias, llama.projection_bias, llama.mlp_bias) == (True, True, True)
    neox = read_architecture(config({**CONFIGS["Pythia 160M"], "attention_bias": False}))
    assert (neox.qkv_bias, neox.projection_bias, neox.mlp_bias) == (False, False, True)


def test_our_own_names(config):
    """Without model_type; heads fill in what follows from them."""
    own = {"layers": 2, "d_model": 6, "heads": 3, "d_ff": 24, "vocab": 10, "context": 8}
    assert read_architecture(config(own)) == TINY


def test_the_context_can_be_that_of_training(config):
    """It need not be the longest that the model takes; learned positions stay as they are."""
    assert read_architecture(config(LLAMA), context=512).context == 512
    gpt2 = read_architecture(config(CONFIGS["GPT-2"]), context=512)
    assert (gpt2.context, gpt2.positions) == (512, 1024)


def test_a_sliding_window_is_refused_unless_the_context_fits_in(config):
    """Attention is then not what is counted here."""
    path = config({**LLAMA, "model_type": "mistral", "sliding_window": 1024})
    with pytest.raises(ScalingError, match=r"1024 tokens back .* context is 2048.*at most 1024"):
        read_architecture(path)
    assert read_architecture(path, context=1024).context == 1024


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ({"a": 1}, 'has no "model_type"'),
        ({"model_type": "mamba"}, "type 'mamba' is built is not known here. Known are llama"),
        ({"model_type": ["llama"]}, "is not known here"),
        ({"model_type": "llama"}, "lacks hidden_size, intermediate_size, max_position_embeddings"),
        ({**LLAMA, "vocab_size": None}, "lacks vocab_size. Add it"),
        ({**LLAMA, "vocab_size": "32k"}, "vocab is '32k'. Use a whole number"),
        ({**LLAMA, "num_attention_heads": 33}, "width of 4096 does not divide into 33 heads"),
        ({**LLAMA, "num_attention_heads": 0}, "does not divide into 0 heads"),
        ({**LLAMA, "num_key_value_heads": 5}, "32 query heads cannot share 5"),
        ({**LLAMA, "tie_word_embeddings": "yes"}, "tied is 'yes'"),
        ({**LLAMA, "head_dim": 1.5}, "head_dim is 1.5"),
        ({**LLAMA, "max_position_embeddings": "2k", "sliding_window": 9}, "context is '2k'"),
        ("[" * 100_000, "is not JSON"),
        ({"layers": 2, "width": 3}, 'there is no key "width"'),
        ({"layers": 2, "d_model": 3}, "lacks context, d_ff, heads, vocab"),
    ],
)
def test_what_is_no_config_is_refused(config, content, message):
    """The file, the key and its value, and what to do."""
    with pytest.raises(ScalingError, match=message) as error:
        read_architecture(config(content))
    assert "config.json" in str(error.value)


def test_a_context_of_nothing_is_refused(config):
    """And a file that is not there is a failing file."""
    with pytest.raises(ScalingError, match="context of 0 tokens"):
        read_architecture(config(LLAMA), context=0)
    with pytest.raises(FileNotFoundError):
        read_architecture("nowhere.json")

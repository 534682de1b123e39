"""The shape of a smeared-keys transformer, as `config.json` holds it."""

from __future__ import annotations

from transformers import AutoConfig, PretrainedConfig


class SmearedKeysConfig(PretrainedConfig):
    """Shape of a smeared-keys transformer.

    Attributes:
        vocab_size: Tokens in the vocabulary.
        hidden_size: Width of the residual stream; a multiple of twice the heads.
        num_hidden_layers: Blocks.
        num_attention_heads: Attention heads of a block.
        max_position_embeddings: Longest sequence, in tokens.
        rope_theta: Base of the rotary frequencies.
    """

    model_type = "smeared-keys"

    vocab_size: int = 1362
    hidden_size: int = 56
    num_hidden_layers: int = 3
    num_attention_heads: int = 4
    max_position_embeddings: int = 128
    rope_theta: float = 100.0
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None


AutoConfig.register(SmearedKeysConfig.model_type, SmearedKeysConfig)

"""The model: pre-norm blocks, rotary positions, smeared keys, tied embeddings, no biases."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from emergecast.lab.architecture._config import SmearedKeysConfig

IGNORED = -100
"""Label of a token that takes no part in the loss, as everywhere in transformers."""


class _Attention(nn.Module):
    """Causal attention over keys that are a mix of this token's and the last one's."""

    def __init__(self, config: SmearedKeysConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.smear = nn.Parameter(torch.zeros(self.heads, 1, 1))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: _Mask | None) -> Tensor:
        """Attend. `x` is [batch, time, width]; `cos` and `sin` are [time, half a head]."""
        batch, time, width = x.shape
        shape = (batch, time, 3, self.heads, width // self.heads)
        q, k, v = self.qkv_proj(x).view(shape).permute(2, 0, 3, 1, 4)
        gate = torch.sigmoid(self.smear)
        if mask is not None:
            gate = (gate * mask.follows).to(k.dtype)
            mixed = torch.lerp(k[:, :, 1:], k[:, :, :-1], gate[:, :, 1:])
        else:
            mixed = (1 - gate) * k[:, :, 1:] + gate * k[:, :, :-1]
        k = torch.cat([k[:, :, :1], mixed], 2)
        out = functional.scaled_dot_product_attention(
            _rotate(q, cos, sin),
            _rotate(k, cos, sin),
            v,
            attn_mask=None if mask is None else mask.visible,
            is_causal=mask is None,
        )
        return cast("Tensor", self.o_proj(out.transpose(1, 2).reshape(batch, time, width)))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021), halves of a head paired."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class _Mask:
    """Which tokens are there, where some of a batch are padding on the left."""

    def __init__(self, present: Tensor) -> None:
        """Take `present`, [batch, time], true where there is a token."""
        time = present.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool, device=present.device).tril()
        # A padding token sees itself alone, since a softmax over nothing is not a number.
        itself = torch.eye(time, dtype=torch.bool, device=present.device)
        self.visible = (causal & present[:, None, :] | itself)[:, None]
        """[batch, 1, time, time]: whether the token of a row sees the token of a column."""
        last = functional.pad(present[:, :-1], (1, 0))
        self.follows = last[:, None, :, None].float()
        """[batch, 1, time, 1]: whether a token comes before this one."""


def _mask(attention_mask: Tensor | None) -> _Mask | None:
    """None where causal attention alone is right: no padding, or only after the last token."""
    if attention_mask is None or attention_mask.dim() != 2 or attention_mask.shape[1] < 2:
        return None
    present = attention_mask.bool()
    if bool((present[:, 1:] <= present[:, :-1]).all()):
        return None
    return _Mask(present)


class _Block(nn.Module):
    def __init__(self, config: SmearedKeysConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = _Attention(config)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.up_proj = nn.Linear(width, 4 * width, bias=False)
        self.down_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: _Mask | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        inner = functional.gelu(self.up_proj(self.mlp_norm(x)), approximate="tanh")
        return x + cast("Tensor", self.down_proj(inner))


class SmearedKeysForCausalLM(PreTrainedModel, GenerationMixin):
    """A causal language model whose attention keys are smeared over two tokens."""

    config_class = SmearedKeysConfig
    config: SmearedKeysConfig
    base_model_prefix = ""
    _tied_weights_keys = {"lm_head.weight": "embed_tokens.weight"}  # noqa: RUF012  as the base class has it
    _no_split_modules = ["_Block"]  # noqa: RUF012  as above
    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: SmearedKeysConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Normal with variance 1 / fan-in; what writes to the residual stream starts smaller."""
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5 / math.sqrt(module.weight.shape[1]))
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, _Attention):
            nn.init.zeros_(module.smear)
            _normal(module.qkv_proj)
            _normal(module.o_proj, writers=2 * self.config.num_hidden_layers)
        elif isinstance(module, _Block):
            _normal(module.up_proj)
            _normal(module.down_proj, writers=2 * self.config.num_hidden_layers)

    def prepare_inputs_for_generation(  # type: ignore[override]  # it needs no more of them
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,  # noqa: ANN401  whatever transformers adds
    ) -> dict[str, Any]:
        """Whole sequences each time: this model keeps no cache of keys."""
        return {"input_ids": input_ids, "attention_mask": attention_mask, "logits_to_keep": 1}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: int | Tensor | None = None,
        **_: Any,  # noqa: ANN401  whatever transformers adds
    ) -> CausalLMOutput:
        """Predict the next token at every position.

        Args:
            input_ids: Tokens, int64 [batch, time].
            attention_mask: 1 where there is a token, [batch, time]; None where all are.
            labels: Tokens to predict, [batch, time], -100 where none is; they are shifted here.
                With labels the logits are computed at labelled positions only, and not returned.
            logits_to_keep: Return the logits of this many last positions (0: of all), or of these
                positions.
            num_items_in_batch: Labels that the loss is a mean over; those given where None. A
                Trainer that accumulates gradients over several batches counts all of theirs.
        """
        hidden = self._hidden(input_ids, _mask(attention_mask))
        if labels is None:
            kept = (
                slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            )
            return CausalLMOutput(logits=self.lm_head(hidden[:, kept]))
        wanted = labels[:, 1:]
        there = wanted != IGNORED
        logits = self.lm_head(hidden[:, :-1][there])
        if num_items_in_batch is None:
            return CausalLMOutput(loss=functional.cross_entropy(logits, wanted[there]))
        total = functional.cross_entropy(logits, wanted[there], reduction="sum")
        return CausalLMOutput(loss=total / num_items_in_batch)

    def _hidden(self, input_ids: Tensor, mask: _Mask | None) -> Tensor:
        time = input_ids.shape[1]
        limit = self.config.max_position_embeddings
        if time > limit:
            raise ValueError(f"a sequence has {time} tokens, and this model takes {limit} at most.")
        x = self.embed_tokens(input_ids) * math.sqrt(self.config.hidden_size)
        cos, sin = self._angles(time, x)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return cast("Tensor", self.norm(x))

    def _angles(self, time: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary angles, [time, half a head] each."""
        half = self.config.hidden_size // self.config.num_attention_heads // 2
        steps = torch.arange(half, device=like.device, dtype=torch.float32)
        times = torch.arange(time, device=like.device, dtype=torch.float32)
        angles = times[:, None] * self.config.rope_theta ** (-steps / half)
        return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def _normal(linear: nn.Linear, writers: int = 1) -> None:
    nn.init.normal_(linear.weight, std=1 / math.sqrt(linear.weight.shape[1] * writers))


AutoModelForCausalLM.register(SmearedKeysConfig, SmearedKeysForCausalLM)

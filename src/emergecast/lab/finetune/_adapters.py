"""What is trained of a model: all of it, low-rank adapters, or a prefix of virtual tokens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emergecast.errors import LabError
from emergecast.lab.finetune._method import METHODS, FinetuneMethod
from emergecast.measurements import MethodKind

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def with_adapters(model: PreTrainedModel, method: FinetuneMethod, text: Sequence[int]) -> Any:  # noqa: ANN401  PEFT's or transformers' model
    """The model with what its method adds to it.

    Args:
        model: As loaded.
        method: How it is finetuned.
        text: Tokens of training examples, from which a prefix starts.

    Raises:
        LabError: The model takes no prefix.
    """
    kind, size = method.parsed
    if kind is MethodKind.FULL or size is None:
        return model
    from peft import LoraConfig, PrefixTuningConfig, TaskType, get_peft_model

    if kind is MethodKind.LORA:
        adapters = LoraConfig(
            r=size,
            lora_alpha=2 * size,
            target_modules="all-linear",
            task_type=TaskType.CAUSAL_LM,
        )
        return get_peft_model(model, adapters)
    if not takes_prefix(type(model).__name__):
        raise LabError(" ".join(no_prefix(type(model).__name__)))
    start = _keys_and_values(model, [text[i % len(text)] for i in range(size)])
    prefix = PrefixTuningConfig(num_virtual_tokens=size, task_type=TaskType.CAUSAL_LM)
    wrapped: Any = get_peft_model(model, prefix)
    wrapped.prompt_encoder["default"].load_prompt_embeddings(start)
    return wrapped


def takes_prefix(architecture: str) -> bool:
    """Whether models of a class of transformers, or of ours, can have a prefix.

    They need to take keys and values of tokens before the text.
    """
    import transformers

    from emergecast.lab import architecture as ours

    model = getattr(ours, architecture, getattr(transformers, architecture, None))
    return model is not None and "past_key_values" in inspect.signature(model.forward).parameters


def no_prefix(architecture: str) -> tuple[str, str]:
    """What is wrong with a prefix for a model that takes none, and what to do."""
    what = (
        "prefix tuning needs a model that takes keys and values of tokens before the text, and"
        f" {architecture} takes none."
    )
    return what, f"Finetune it with {' or '.join(METHODS[:-1])}."


def _keys_and_values(model: PreTrainedModel, tokens: Sequence[int]) -> Tensor:
    """What each layer makes of real tokens, as PEFT holds a prefix: [tokens, layers * 2 * width].

    A prefix that starts so learns from few examples, where one of random numbers drowns the text
    (Li and Liang 2021, arXiv 2101.00190, section 7.4).
    """
    import torch

    with torch.no_grad():
        ids = torch.tensor([list(tokens)], device=model.device)
        cache = model(input_ids=ids, use_cache=True).past_key_values
    pairs = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    stacked = torch.stack([part[0] for part in pairs]).float()  # [2 layers, heads, tokens, head]
    return stacked.permute(2, 0, 1, 3).reshape(len(tokens), -1)

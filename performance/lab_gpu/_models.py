"""Models with random weights, on the device that is measured, and a clock that waits for it."""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from emergecast.lab.finetune import FinetuneMethod
from emergecast.lab.proving_ground import PRESETS, new_model

CPU = "cpu"
DEVICE = "cuda" if torch.cuda.is_available() else CPU
"""What is measured; the CPU only to try the parts out."""
PLACE = "CPU" if DEVICE == CPU else "GPU"
CORES = os.cpu_count() or 1
TYPES = {torch.float32: "32", torch.bfloat16: "bf16", torch.float16: "16"}
"""Names of the types in which weights may be stored."""


def llama(layers: int, width: int, vocabulary: int = 32_000) -> PreTrainedModel:
    """A Llama-like model."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 256),
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def tiny_model(name: str) -> PreTrainedModel:
    """A model of the proving ground, by the name of its size."""
    return new_model(next(each for each in PRESETS["full"].sizes if each.name == name))


def fresh(make: Callable[[], PreTrainedModel], dtype: torch.dtype) -> PreTrainedModel:
    """A model on the device as the lab would load it from a file in this type."""
    torch.manual_seed(0)
    with torch.device(DEVICE):
        return as_type(make(), dtype)


def as_type(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The same model, its weights in this type; buffers keep theirs."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    return model.eval()


@contextlib.contextmanager
def on_all_cores(model: PreTrainedModel, dtype: torch.dtype) -> Iterator[PreTrainedModel]:
    """A copy on the CPU, with all cores at work."""
    torch.set_num_threads(CORES)
    try:
        yield as_type(copy.deepcopy(model).to(CPU), dtype)
    finally:
        torch.set_num_threads(1)


def parameters(model: PreTrainedModel) -> int:
    """How many weights a model has."""
    return sum(weight.numel() for weight in model.parameters())


def method(name: str, steps: int, batch: int = 32) -> FinetuneMethod:
    """The finetuning that is measured: "full" or "lora-8"."""
    return FinetuneMethod(
        name=name,
        steps=steps,
        learning_rate=1e-3,
        batch_size=batch,
        warmup_steps=min(2, steps),
        weight_decay=0.1,
    )


def seconds(work: Callable[[], object]) -> float:
    """Seconds of some work, until the device has finished it."""
    _wait()
    began = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if DEVICE != CPU:
        torch.cuda.synchronize()

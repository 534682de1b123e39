"""Speed of a large model with random weights, its memory, and speed of the tiny models."""

from __future__ import annotations

import copy
import gc
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from performance._report import table
from performance.lab_gpu import _models
from performance.lab_gpu._bench import Bench, Scale
from performance.lab_gpu._models import CORES, CPU, DEVICE, PLACE, TYPES, as_type, seconds
from transformers import PreTrainedModel

from emergecast.lab.evaluate import _logprobs, corpus_loss, evaluate
from emergecast.lab.finetune import FinetuneMethod, Session, finetune
from emergecast.lab.proving_ground import MATCHING, PRESETS, new_model, tokenizer, vocabulary
from emergecast.lab.proving_ground._files import write_matching
from emergecast.lab.tasks import Encoded, LoadedTask, Pair, Task, load_task

PASSED = 4096
"""Tokens that `evaluate` passes through a model at a time."""
LENGTH = 256
"""Tokens of a training example."""
PLACES = ((DEVICE, torch.float32), (DEVICE, torch.bfloat16), (CPU, torch.float32))


def large(bench: Bench) -> str:
    """Log-likelihoods, loss and finetuning."""
    scale = bench.scale
    model = _models.fresh(lambda: _models.llama(scale.layers, scale.width), torch.float32)
    about = (
        f"A Llama-like model of {_models.parameters(model) / 1e9:.2f} billion random weights,"
        f" {scale.layers} layers, width {scale.width}, vocabulary 32,000."
    )
    loss = _losses(bench.scratch, 8 if scale.on_cpu else 1, model)
    return "\n\n".join([about, _answers(scale, model), loss, _trainings(scale, model)])


def _answers(scale: Scale, model: PreTrainedModel) -> str:
    """Log-likelihoods of answers, by tokens per pass."""
    requests = _requests(scale.items)
    rows, said = [], {}
    for dtype in (torch.float32, torch.bfloat16):
        as_type(model, dtype)
        for passed in (PASSED, 4 * PASSED, 16 * PASSED):
            said[dtype, passed], cells = _asked(model, requests, passed, times=2)
            rows.append([f"{PLACE}, {TYPES[dtype]}", *cells])
    for dtype in (torch.bfloat16, torch.float32) if scale.on_cpu else ():
        with _models.on_all_cores(model, dtype) as there:
            _, cells = _asked(there, requests[:4], PASSED, times=1)
        rows.append([f"CPU, {CORES} threads, {TYPES[dtype]}", *cells])
    head = ["", "tokens per pass", "items/s", "tokens/s", "TFLOP/s (2 N per token)"]
    full, half = (np.array(said[t, PASSED]) for t in (torch.float32, torch.bfloat16))
    apart = np.abs(full - half)
    changed = (full.reshape(-1, 4).argmax(1) != half.reshape(-1, 4).argmax(1)).mean()
    return (
        f"Log-likelihoods of {scale.items} items, each with four answers of 2 to 16 tokens after a"
        f" context of 32 to 256, {_tokens(requests):,} tokens in all. `evaluate` passes {PASSED:,}"
        f" tokens at a time.\n\n{table(head, rows)}\n\nbf16 compared with 32 bits:"
        f" log-probabilities differ by {apart.mean():.4f} nats on average and {apart.max():.4f} at"
        f" most, where their mean is {full.mean():.1f}; the likeliest answer changes in"
        f" {changed:.1%} of the items."
    )


def _requests(items: int) -> tuple[Encoded, ...]:
    rng = np.random.default_rng(0)

    def drawn(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(0, 1360, count).tolist())

    requests = []
    for _ in range(items):
        context = drawn(int(rng.integers(32, 257)))
        requests += [Encoded(context, drawn(int(rng.integers(2, 17)))) for _ in range(4)]
    return tuple(requests)


def _tokens(requests: tuple[Encoded, ...]) -> int:
    return sum(len(each.context) + len(each.continuation) - 1 for each in requests)


def _asked(
    model: PreTrainedModel, requests: tuple[Encoded, ...], passed: int, *, times: int
) -> tuple[list[float], list[str]]:
    """What the model answers with so many tokens per pass; the quickest time as a row."""
    before = _logprobs.BATCH_TOKENS
    _logprobs.BATCH_TOKENS = passed  # type: ignore[misc]  to see whether another one is better
    _logprobs.passes.cache_clear()  # it keeps the passes
    said: list[float] = []

    def ask() -> None:
        said[:] = [value for value, _ in _logprobs.logprobs(model, requests)]

    try:
        if times > 1:
            _logprobs.logprobs(model, requests[:32])  # warm-up
        took = min(seconds(ask) for _ in range(times))
    finally:
        _logprobs.BATCH_TOKENS = before  # type: ignore[misc]  as above
        _logprobs.passes.cache_clear()  # as above
    rate = _tokens(requests) / took
    flops = 2 * _models.parameters(model) * rate / 1e12
    items = len(requests) / 4 / took
    return said, [f"{passed:,}", _short(items), f"{rate:,.0f}", _short(flops)]


def _short(number: float) -> str:
    return f"{number:,.1f}" if number >= 10 else f"{number:.2f}"


def _losses(folder: Path, documents: int, model: PreTrainedModel) -> str:
    """Loss on a corpus of long documents."""
    corpus = folder / "long.txt"
    lines = (" ".join(words) for words in _words(1, documents, 2049))
    corpus.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    said = []
    for dtype in (torch.bfloat16, torch.float32):
        as_type(model, dtype)
        found = corpus_loss(model, tokenizer(), corpus)
        rate = found.tokens / seconds(lambda: corpus_loss(model, tokenizer(), corpus))
        loss = f"{found.nats_per_token:.5f} nats per token"
        said.append(f"{TYPES[dtype]}: {rate:,.0f} tokens/s, {loss}")
    return f"Loss in windows of 2,048 tokens: {'; '.join(said)} (weights rounded to bf16 in both)."


def _words(seed: int, rows: int, length: int) -> list[list[str]]:
    """Random words, each a token of the proving ground's tokenizer."""
    words, rng = vocabulary()[:1300], np.random.default_rng(seed)
    return [[words[i] for i in rng.integers(0, 1300, length)] for _ in range(rows)]


def _trainings(scale: Scale, model: PreTrainedModel) -> str:
    """Steps per second, and the memory at the peak and afterwards."""
    rows = []
    for dtype, name in (
        (torch.float32, "full"),
        (torch.bfloat16, "full"),
        (torch.bfloat16, "lora-8"),
    ):
        copied = as_type(copy.deepcopy(model), dtype)
        cells = _trained(copied, _models.method(name, scale.steps, 16))
        rows.append([f"{PLACE}, {TYPES[dtype]}", name, *cells])
        del copied
        gc.collect()
    if scale.on_cpu:
        with _models.on_all_cores(model, torch.float32) as there:
            *cells, _, _ = _trained(there, _models.method("full", 3, 2))
        rows.append([f"CPU, {CORES} threads, 32", "full", *cells, "", ""])
    head = ["stored", "method", "batch", "steps/s", "tokens/s", "TFLOP/s (6 N per token)"]
    head += ["peak GB", "GB left besides the model"]
    return f"Finetuning on examples of {LENGTH} tokens:\n\n{table(head, rows)}"


def _trained(model: PreTrainedModel, how: FinetuneMethod) -> list[str]:
    """A finetuning as a row; its speed is that of the median step after the first."""
    count, size = _models.parameters(model), sum(weight.nbytes for weight in model.parameters())
    pairs = [
        Pair(" ".join(words[:-1]), f" {words[-1]}", ends=False) for words in _words(2, 64, LENGTH)
    ]
    at: list[float] = []
    session = Session(on_step=lambda _step, _loss: at.append(time.perf_counter()))
    before = torch.cuda.memory_allocated()
    if DEVICE != CPU:
        torch.cuda.reset_peak_memory_stats()
    kept = finetune(model, tokenizer(), pairs, how, seed=0, session=session)
    left = torch.cuda.memory_allocated() - before
    peak = torch.cuda.max_memory_allocated() - before + size
    del kept  # with its adapters, which are part of what is left
    rate = how.batch_size * LENGTH / statistics.median(np.diff(at))
    return [
        f"{how.batch_size}",
        f"{rate / how.batch_size / LENGTH:.2f}",
        f"{rate:,.0f}",
        _short(6 * count * rate / 1e12),
        f"{peak / 1e9:.1f}",
        f"{left / 1e9:.2f}",
    ]


def tiny(bench: Bench) -> str:
    """Speed by size, device and type."""
    task = load_task(Task(name=MATCHING, include_path=write_matching(bench.scratch / "tiny", 256)))
    rows = []
    for size in reversed(PRESETS["full"].sizes):
        for device, dtype in PLACES if size.name in bench.scale.tiny_sizes else ():
            torch.manual_seed(0)
            model = as_type(new_model(size), dtype).to(device)
            cells = _speed(bench, model, task)
            rows.append([size.name, size.width, f"{device}, {TYPES[dtype]}", *cells])
    head = ["size", "width", "device", "steps/s", "seconds for one step", "items/s"]
    return (
        "Finetuning in batches of 32 examples of 17 tokens; evaluation of 1,024 items of 17 tokens."
        f" The CPU has one thread, like a worker.\n\n{table(head, rows)}"
    )


def _speed(bench: Bench, model: PreTrainedModel, task: LoadedTask) -> list[str]:
    """The quickest of each; steps per second leave out what a finetuning takes to begin."""
    steps = bench.scale.tiny_steps

    def train(count: int) -> None:
        pairs = task.training_pairs(0, 256)
        finetune(copy.deepcopy(model), tokenizer(), pairs, _models.method("full", count), seed=0)

    def quickest(*works: partial[object]) -> list[float]:
        turns = [[seconds(work) for work in works] for _ in range(bench.scale.repeats)]
        return [min(times) for times in zip(*turns, strict=True)]

    many, one, asked = quickest(
        partial(train, steps), partial(train, 1), partial(evaluate, model, tokenizer(), task)
    )
    return [f"{(steps - 1) / (many - one):,.0f}", f"{one:.3f}", f"{task.n_items / asked:,.0f}"]

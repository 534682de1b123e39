"""The number types of evaluation and finetuning, and whether a seed repeats to the last bit."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from performance._report import table
from performance.lab_gpu._bench import Bench
from performance.lab_gpu._models import DEVICE, TYPES, fresh, llama, method, tiny_model
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import PreTrainedModel

from emergecast.lab.evaluate import evaluate
from emergecast.lab.finetune import Session, finetune
from emergecast.lab.proving_ground import MATCHING, tokenizer, vocabulary
from emergecast.lab.proving_ground._files import write_matching
from emergecast.lab.tasks import LoadedTask, Pair, Task, load_task


def precision(bench: Bench) -> str:
    """Types before, during and after finetuning; the same seed twice and interrupted."""
    task = load_task(
        Task(name=MATCHING, include_path=write_matching(bench.scratch / "precision", 256)),
        limit=256,
    )
    models = {
        "proving ground, L": partial(tiny_model, "L"),
        "Llama-like": partial(llama, 3, 256, len(vocabulary())),
    }
    rows = []
    for name, make in models.items():
        for dtype, how in product(TYPES, ("full", "lora-8")):
            made = partial(fresh, make, dtype)
            cells = *_types(made(), task, how), _repeats(made, task.training_pairs(0, 256), how)
            rows.append([name, TYPES[dtype], how, *cells])
    head = ["model", "stored", "method", "few-shot: weights → results", "during finetuning"]
    head += ["Adam's moments", "after finetuning", "buffers kept", "same seed twice; interrupted"]
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()
    return (
        "Number types of the first linear layer. TF32 for 32-bit matrix products at the end:"
        f" {tf32[0]} ({tf32[1]}).\n\n{table(head, rows)}\n\n{_generates()}"
    )


@contextlib.contextmanager
def _watched(model: nn.Module) -> Iterator[Mapping[str, set[str]]]:
    """See the types of the first linear layer, and those of Adam's moments."""
    seen = defaultdict[str, set[str]](set)
    layer = next(each for each in model.modules() if isinstance(each, nn.Linear))

    def look(module: nn.Module, _inputs: object, output: Tensor) -> None:
        cast = " (autocast)" if torch.is_autocast_enabled(output.device.type) else ""
        seen["layer"].add(f"{TYPES[module.weight.dtype]} → {TYPES[output.dtype]}{cast}")

    def step(optimizer: torch.optim.Optimizer, _args: object, _kwargs: object) -> None:
        seen["moments"] |= {TYPES[each["exp_avg"].dtype] for each in optimizer.state.values()}

    handles = [layer.register_forward_hook(look), register_optimizer_step_post_hook(step)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _types(model: PreTrainedModel, task: LoadedTask, how: str) -> list[str]:
    """Types before, during and after a finetuning, and whether it leaves the buffers alone."""
    before = [buffer.clone() for buffer in model.buffers()]
    with _watched(model) as few_shot:
        evaluate(model, tokenizer(), task)
    with _watched(model) as training:
        pairs = task.training_pairs(0, 256)
        done = finetune(model, tokenizer(), pairs, method(how, 10), seed=0)
    with _watched(done.model) as after:
        evaluate(done.model, tokenizer(), task)
    seen = few_shot["layer"], training["layer"], training["moments"], after["layer"]
    both = zip(before, model.buffers(), strict=True)
    kept = all(old.dtype == new.dtype and torch.equal(old, new) for old, new in both)
    buffers = "none" if not before else "yes" if kept else "NO"
    return [*("/".join(sorted(each)) for each in seen), buffers]


def _repeats(make: Callable[[], PreTrainedModel], pairs: Sequence[Pair], how: str) -> str:
    """Whether weights agree to the last bit: the same seed twice, and interrupted at step 7."""

    def weights(session: Session | None = None) -> list[Tensor]:
        done = finetune(make(), tokenizer(), pairs, method(how, 20), seed=1, session=session)
        return [value.detach().clone() for value in done.model.parameters()]

    def stop(step: int, _loss: float) -> None:
        if step == 7:
            raise InterruptedError

    first = weights()
    with tempfile.TemporaryDirectory() as folder:
        kept = Session(folder=Path(folder), resume=True)
        with contextlib.suppress(InterruptedError):
            weights(replace(kept, on_step=stop, save_every_seconds=0.0))
        return f"{_same(first, weights())}; {_same(first, weights(kept))}"


def _same(a: Sequence[Tensor], b: Sequence[Tensor]) -> str:
    worst = max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))
    return f"differ by {worst:.1e}" if worst else "same"


def _generates() -> str:
    """Generation with padding on the left, as lm-evaluation-harness asks for it."""
    padding = tokenizer().pad_token_id
    tokens = torch.tensor([[padding, 5, 6, 7], [4, 5, 6, 7]], device=DEVICE)
    there = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]], device=DEVICE)
    said = []
    for dtype, name in TYPES.items():
        made = fresh(partial(tiny_model, "L"), dtype).generate(
            input_ids=tokens, attention_mask=there, max_new_tokens=4, do_sample=False
        )
        said.append(f"{name}: {made.shape[1] - 4} tokens")
    return f"Generation with padding on the left: {', '.join(said)}."

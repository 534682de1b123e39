"""How fast do finetuning and evaluation go beside a bare loop over the same weights?

The bare loop is what a person writes for one model and one task alone: plain torch modules, prompts
as tensors from the start, logits of the label tokens at the last position, no trainer, no harness.
Both sides do the same steps on the same prompts, in turns, in one process; the quickest of each
counts. Tokens are those of the prompts. Fixed costs of a run are in it: 100 steps are a short
finetuning.
"""

from __future__ import annotations

import copy
import math
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import arguments, one_core, publish, table

# isort: split

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emergecast.lab.architecture import SmearedKeysForCausalLM
from emergecast.lab.evaluate import evaluate
from emergecast.lab.finetune import FinetuneMethod, finetune
from emergecast.lab.proving_ground import MATCHING, PRESETS, new_model, tokenizer, vocabulary
from emergecast.lab.proving_ground._files import write_matching
from emergecast.lab.tasks import LoadedTask, Task, load_task

EXAMPLES = 256
BATCH = 32
LABELS = slice(-19, -3)
"""The label tokens: after the words, before the special ones."""


class Bare(nn.Module):
    """The model again, in plain torch: no configuration, no output records, no options."""

    def __init__(self, like: SmearedKeysForCausalLM) -> None:
        super().__init__()
        self.heads = like.config.num_attention_heads
        self.embed = copy.deepcopy(like.embed_tokens)
        self.norm = copy.deepcopy(like.norm)
        self.blocks = copy.deepcopy(like.layers)
        half = like.config.hidden_size // self.heads // 2
        rates = like.config.rope_theta ** (-torch.arange(half).float() / half)
        angles = torch.arange(128).float()[:, None] * rates
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the labels at the last position."""
        batch, time = tokens.shape
        x = self.embed(tokens) * math.sqrt(self.embed.weight.shape[1])
        for block in self.blocks:
            h = block.attention_norm(x)
            a = block.attention
            q, k, v = a.qkv_proj(h).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            gate = torch.sigmoid(a.smear)
            k = torch.cat([k[:, :, :1], (1 - gate) * k[:, :, 1:] + gate * k[:, :, :-1]], 2)
            y = functional.scaled_dot_product_attention(
                self._rotate(q), self._rotate(k), v, is_causal=True
            )
            x = x + a.o_proj(y.transpose(1, 2).reshape(batch, time, -1))
            up = functional.gelu(block.up_proj(block.mlp_norm(x)), approximate="tanh")
            x = x + block.down_proj(up)
        last: Tensor = self.norm(x)[:, -1]
        return last @ self.embed.weight[LABELS].T

    def _rotate(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        cos, sin = self.cos[: x.shape[2]], self.sin[: x.shape[2]]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def bare_finetune(model: Bare, prompts: Tensor, answers: Tensor, steps: int) -> None:
    """The bare loop: epochs of shuffled batches, warmup, linear decay, AdamW."""
    model.embed.weight.requires_grad_(requires_grad=False)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.1, fused=True)
    rng = np.random.default_rng(0)
    order, place = rng.permutation(len(prompts)), 0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 10) * (1 - step / steps)
        if place + BATCH > len(prompts):
            order, place = rng.permutation(len(prompts)), 0
        chosen = torch.from_numpy(order[place : place + BATCH])
        place += BATCH
        loss = functional.cross_entropy(model(prompts[chosen]), answers[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()


@torch.no_grad()
def bare_evaluate(model: Bare, prompts: Tensor, choices: Tensor, answers: Tensor) -> float:
    """Accuracy of the bare model."""
    logits = torch.cat([model(part) for part in prompts.split(128)])
    return float((logits.gather(1, choices).argmax(1) == answers).float().mean())


def main() -> None:
    """Times both sides for each size."""
    options = arguments(__doc__ or "", steps=100, repeats=5)
    one_core()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = load_task(Task(name=MATCHING, include_path=write_matching(Path(folder), EXAMPLES)))
        rows = [_row(size, task, options) for size in reversed(PRESETS["full"].sizes)]
    head = ["size", "width", "finetuning, tokens/s", "bare loop", "ratio"]
    head += ["evaluation, tokens/s", "bare loop", "ratio", "seconds before the first step"]
    publish(
        "lab_speed",
        table(head, rows),
        write=options.write,
        also=("torch", "transformers", "lm-eval"),
    )


def _row(size: Any, task: LoadedTask, options: Any) -> list[object]:  # noqa: ANN401  argparse's record
    words = tokenizer()
    torch.manual_seed(0)
    model = new_model(size).eval()
    bare = Bare(model)
    pairs = task.training_pairs(0, EXAMPLES)
    train, train_answers, _ = _tensors([(p.prompt, p.completion) for p in pairs], None)
    asked = [task.requests[item.right or 0].args for item in task.items]
    choices = [[str(task.requests[i].args[1]) for i in item.requests] for item in task.items]
    test, _, test_choices = _tensors(asked, choices)
    right = torch.tensor([(item.right or 0) - item.requests[0] for item in task.items])
    method = FinetuneMethod(
        name="full",
        steps=options.steps,
        learning_rate=1e-3,
        batch_size=BATCH,
        warmup_steps=10,
        weight_decay=0.1,
        train_embeddings=False,
    )
    single = FinetuneMethod(name="full", steps=1, learning_rate=1e-3, train_embeddings=False)
    ours, theirs, first, evaluating, bare_evaluating = [], [], [], [], []
    for _ in range(options.repeats):
        ours.append(_seconds(lambda: finetune(copy.deepcopy(model), words, pairs, method, seed=0)))
        theirs.append(
            _seconds(
                lambda: bare_finetune(copy.deepcopy(bare), train, train_answers, options.steps)
            )
        )
        first.append(_seconds(lambda: finetune(copy.deepcopy(model), words, pairs, single, seed=0)))
        evaluating.append(_seconds(lambda: evaluate(model, words, task)))
        bare_evaluating.append(_seconds(lambda: bare_evaluate(bare, test, test_choices, right)))
    score = evaluate(model, words, task).scores[0].score
    bare_score = bare_evaluate(bare, test, test_choices, right)
    if abs(score - bare_score) > 1e-6:
        raise SystemExit(f"the two sides disagree: {score} and {bare_score}")
    trained = options.steps * BATCH * train.shape[1]
    tested = test.numel()
    return [
        size.name,
        size.width,
        f"{trained / min(ours):,.0f}",
        f"{trained / min(theirs):,.0f}",
        f"{min(theirs) / min(ours):.2f}",
        f"{tested / min(evaluating):,.0f}",
        f"{tested / min(bare_evaluating):,.0f}",
        f"{min(bare_evaluating) / min(evaluating):.2f}",
        f"{min(first):.3f}",
    ]


def _seconds(work: Any) -> float:  # noqa: ANN401  any callable
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _tensors(
    pairs: list[tuple[Any, ...]], choices: list[list[str]] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Prompts, and answers and choices counted from the first label."""
    number = {word: i for i, word in enumerate(vocabulary())}
    first = number["A"]
    prompts = torch.tensor([[number[word] for word in prompt.split()] for prompt, _ in pairs])
    answers = torch.tensor([number[answer.strip()] - first for _, answer in pairs])
    listed = torch.tensor([[number[c.strip()] - first for c in row] for row in choices or []])
    return prompts, answers, listed


if __name__ == "__main__":
    main()

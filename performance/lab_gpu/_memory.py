"""The large model measured by `emergecast run`, and where it does not fit on the card."""

from __future__ import annotations

import gc
from pathlib import Path

import torch
from performance._report import table
from performance.lab_gpu import _experiments
from performance.lab_gpu._bench import Bench
from performance.lab_gpu._experiments import STAGES
from performance.lab_gpu._models import CPU, DEVICE, fresh, llama, parameters

from emergecast.lab.proving_ground import MATCHING, tokenizer

EXPERIMENT = f"""\
name: large
series:
  - name: random
    checkpoints: [{{name: large, path: model, tokens: 1000, pretraining_learning_rate: 0.0003}}]
corpora: [{{name: held-out, path: corpus/held-out.jsonl}}]
tasks: [{{name: {MATCHING}, include_path: tasks, shots_in_document: 8, chance: 0.25}}]
finetune:
  examples: [256]
  methods:
    - {{name: full, steps: 40, learning_rate: 1e-5}}
    - {{name: lora-8, steps: 40, learning_rate: 1e-4}}
"""


def executor(bench: Bench) -> str:
    """Every run of the large model, and what it took."""
    file, size = _large(bench, "large")
    expected = _experiments.expected_seconds(file)
    seconds = _experiments.run(file, gpu=True, workers=1)
    rows = []
    for title, result in _experiments.results_of(file).items():
        stages = [f"{result.timings[s]:.2f}" if s in result.timings else "" for s in STAGES]
        scores = " ".join(f"{each.metric} {each.score:.4f}" for each in result.scores)
        rows.append([_short(title), f"{result.seconds:.1f}", *stages, scores])
    head = ["run", "seconds", *(f"{stage}, s" for stage in STAGES), "scores"]
    return (
        f"{size / 1e9:.2f} billion weights stored in bf16, one worker: {seconds:.1f} s, start"
        f" included; `plan` expected {expected:.0f} s.\n\n{table(head, rows)}"
    )


def memory(bench: Bench) -> str:
    """A finetuning that does not fit on the card is recorded as failed, and the rest is done."""
    if DEVICE == CPU:
        return "Not measured: it takes a GPU."
    file, size = _large(bench, "full")
    room = 5 * size + int(4e9)  # the weights in 32 bits and some more, not Adam's moments
    taken = torch.empty(torch.cuda.mem_get_info()[0] - room, dtype=torch.uint8, device=DEVICE)
    _experiments.run(file, gpu=True, workers=1, status=1)
    del taken
    with _experiments.open_ledger(file) as ledger:
        done = [f"- done: {_short(each.title)}" for each in ledger.results().values()]
        failed = [
            f"- failed: {_short(each.title)}: {each.error[:120]}…"
            for each in ledger.failures().values()
        ]
    return (
        f"{room / 1e9:.1f} GB of the card left free for {size / 1e9:.2f} billion weights."
        " `emergecast run` ended with status 1.\n\n" + "\n".join([*done, *failed])
    )


def _large(bench: Bench, name: str) -> tuple[Path, int]:
    """An experiment with a large model stored in bf16, and its number of weights."""
    scale, folder = bench.scale, bench.copy(name).parent
    model = fresh(lambda: llama(scale.layers, scale.width), torch.bfloat16)
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    size = parameters(model)
    del model
    gc.collect()
    torch.cuda.empty_cache()
    file = folder / "large.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    return file, size


def _short(title: str) -> str:
    """A run's title without its checkpoint."""
    return title.partition(" ")[2]

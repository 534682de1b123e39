"""Does the lab work on a GPU? Workers, 16 bits, parts of batches, and memory that runs out.

Needs the lab's libraries and at most five minutes. Without a GPU it says so and does nothing.
The proving ground's smallest preset is pretrained on the CPU, then every run of its experiment is
done on the GPU, one process for each GPU; the table must agree with that of the CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from _report import arguments, publish, table

MEMORY = 0.02
"""Share of the GPU's memory that one finetuning may take, so that a batch at once does not fit."""


def emergecast(*words: str, gpu: bool) -> float:
    """Seconds of a command, with or without the GPU."""
    environment = {**os.environ} | ({} if gpu else {"CUDA_VISIBLE_DEVICES": ""})
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "emergecast", *words], check=True, env=environment)
    return time.perf_counter() - began


def scores(folder: Path, *, gpu: bool) -> tuple[pl.DataFrame, float]:
    """The table of the smoke experiment, and how long its runs took."""
    file = folder / "ground" / "experiment.yaml"
    text = file.read_text("utf-8")
    own = file.with_name(f"{'gpu' if gpu else 'cpu'}.yaml")
    own.write_text(text.replace("output: ", f"output: {own.stem}-", 1), "utf-8")
    seconds = emergecast("run", str(own), gpu=gpu)
    out = folder / f"{own.stem}.parquet"
    emergecast("export", str(own), "-o", str(out), gpu=gpu)
    key = ["checkpoint", "task", "setting", "examples", "subset", "seed"]
    return pl.read_parquet(out).sort(key), seconds


def out_of_memory() -> str:
    """Finetunes a model of which a batch at once does not fit."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from emergecast.lab.finetune import Finetuned, FinetuneMethod, Session, within_memory
    from emergecast.lab.finetune._finetune import micro_batch

    method, sizes = FinetuneMethod(name="full", steps=1, batch_size=256, learning_rate=1e-4), []
    torch.cuda.set_per_process_memory_fraction(MEMORY)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=512, intermediate_size=1024, num_hidden_layers=4,
        num_attention_heads=8,
    )  # fmt: skip

    def model() -> LlamaForCausalLM:
        return LlamaForCausalLM(config).to("cuda", torch.bfloat16)

    def train(here: LlamaForCausalLM, session: Session) -> Finetuned:
        sizes.append(micro_batch(method, session))
        tokens = torch.randint(32_000, (sizes[-1], 512), device="cuda")
        here(input_ids=tokens, labels=tokens).loss.backward()
        return Finetuned(model=here, steps=1, resumed_from=0, seconds=0.0, final_loss=0.0)

    within_memory(train, method, Session(), model(), again=model)
    return " -> ".join(map(str, sizes))


def main() -> None:
    """Prints how scores and times compare, and what became of a batch that did not fit."""
    options = arguments(__doc__ or "")
    if not torch.cuda.is_available():
        print("There is no GPU here, so nothing was tried.")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        emergecast("proving-ground", str(folder / "ground"), "--preset", "smoke", gpu=False)
        on_gpu, gpu_seconds = scores(folder, gpu=True)
        on_cpu, cpu_seconds = scores(folder, gpu=False)
    apart = np.abs(on_gpu["score"].to_numpy() - on_cpu["score"].to_numpy())
    lines: list[list[object]] = [
        ["GPU", torch.cuda.get_device_name()],
        ["runs on the GPU, s", f"{gpu_seconds:.0f}"],
        ["runs on the CPU, s", f"{cpu_seconds:.0f}"],
        ["scores", on_gpu.height],
        ["largest difference of a score", f"{apart.max():.3f}"],
        ["median difference", f"{np.median(apart):.4f}"],
        ["16 bits: examples at once until they fitted", out_of_memory()],
    ]
    publish("lab_gpu_check", table(["what", "found"], lines), write=options.write)


if __name__ == "__main__":
    main()

"""A proving ground measured on the GPU, on the CPU, and with weights stored in bfloat16."""

from __future__ import annotations

import statistics

import torch
from performance._report import table
from performance.lab_gpu import _experiments
from performance.lab_gpu._bench import Bench
from performance.lab_gpu._experiments import STAGES, compared, results_of
from performance.lab_gpu._models import CORES

from emergecast.lab.checkpoints import load, read_series


def runner(bench: Bench) -> str:
    """One GPU worker, several, and CPU workers: seconds, and every score compared."""
    one, cpu = bench.copy("gpu"), bench.copy("cpu")
    several, took = bench.shared
    expected = _experiments.expected_seconds(one)
    measured = {
        "GPU, 1 worker": (one, _experiments.run(one, gpu=True, workers=1)),
        f"GPU, {bench.workers} workers": (several, took),
        f"CPU, {CORES} workers": (cpu, _experiments.run(cpu, gpu=False)),
    }
    rows = []
    for name, (file, seconds) in measured.items():
        found = results_of(file).values()
        stages = ([r.timings[stage] for r in found if stage in r.timings] for stage in STAGES)
        medians = [f"{statistics.median(times):.3f}" for times in stages]
        devices = ", ".join(sorted({r.versions["device"] for r in found}))
        rows.append([name, len(found), f"{seconds:.1f}", *medians, devices])
    head = ["", "runs", "seconds in all", *(f"{stage}, s" for stage in STAGES), "device recorded"]
    return (
        "Seconds in all are those of `emergecast run`, start included; the next columns are medians"
        f" over runs. `plan` expected {expected:.0f} s with one worker, before any measurement."
        f"\n\n{table(head, rows)}\n\nGPU compared with CPU:\n\n{compared(several, cpu)}"
        "\n\nOne GPU worker compared with several on the same card:"
        f"\n\n{compared(one, several)}"
    )


def stored(bench: Bench) -> str:
    """The proving ground with weights stored in bfloat16."""
    file = bench.copy("bf16")
    for manifest in file.parent.glob("series/*/series.json"):
        for checkpoint in read_series(manifest.parent):
            model, _ = load(checkpoint, dtype=torch.bfloat16)
            model.save_pretrained(checkpoint.path)
    seconds = _experiments.run(file, gpu=True, workers=bench.workers)
    return (
        f"{len(results_of(file))} runs with {bench.workers} workers in {seconds:.1f} s. Weights"
        " stored in bf16 compared with weights stored in 32 bits, both on the GPU:"
        f"\n\n{compared(file, bench.shared[0])}"
    )

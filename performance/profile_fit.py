"""Where does the time of a fit go? The demo's table, step by step, and the whole command.

Every step is given in seconds on the clock and of processor time: steps that run on several cores
take less of the first. The command runs in a process of its own, first with an empty folder for
machine code, then with that folder filled.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from _report import ROOT, arguments, publish, table
from emergecast.diagnostics import diagnose
from emergecast.inference import Fit, Model, Resample, fit, sampled
from emergecast.measurements import proving_ground, proving_ground_options

# isort: split

import numpy as np

COMMAND = (sys.executable, "-m", "emergecast", "demo", "--json")


def step(name: str, work: Callable[[], object]) -> list[object]:
    """Name, seconds on the clock, and seconds of all cores."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return [
        name,
        f"{time.perf_counter() - clock:.2f}",
        f"{time.process_time() - processor:.2f}",
    ]


def steps(made: Fit) -> list[list[object]]:
    """The parts of a forecast, each after what it needs."""
    laws = [member.law for member in made.members]
    model = Model(made.data, laws[1], made.priors)
    rng = np.random.default_rng(0)
    few = model.sample_prior(2, rng)
    return [
        step("load or make machine code", lambda: model.evaluate(few)),
        *(
            step(f"posterior of {law}", lambda law=law: sampled(Model(made.data, law, made.priors)))
            for law in laws
        ),
        step("posterior of the mixture, its laws side by side", lambda: made.posterior),
        step("all priors twice as wide", lambda: made.posterior_if(priors=made.priors.widened(2))),
        step("read off at D0 = 1", lambda: made.posterior_if(few_shot_examples=1.0)),
        step("diagnostics", lambda: diagnose(made)),
        step("bootstraps", lambda: [made.bootstrap(each) for each in Resample]),
    ]


def command(name: str, cache: str) -> list[object]:
    """The whole command: name, seconds on the clock, of all cores, and memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environment = {**os.environ, "EMERGECAST_CACHE": cache}
    subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT)
    clock = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [name, f"{clock:.2f}", f"{processor:.2f}", f"{after.ru_maxrss / 1024:.0f}"]


def main() -> None:
    """Prints both tables."""
    options = arguments(__doc__ or "")
    measurements = proving_ground()
    made = fit(measurements, proving_ground_options(measurements))
    parts = table(["step", "seconds", "processor seconds"], steps(made))
    with tempfile.TemporaryDirectory() as cache:
        runs = [command("first ever", cache), command("later", cache)]
    whole = table(["`emergecast demo --json`", "seconds", "processor seconds", "memory, MB"], runs)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{made.data.loss.size} rows; all {cores} cores.\n\n{parts}\n\n{whole}"
    publish("profile_fit", text, write=options.write, also=("numba",))


if __name__ == "__main__":
    main()

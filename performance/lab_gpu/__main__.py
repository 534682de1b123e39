"""`python -m performance.lab_gpu [--parts PART,PART] [--write]`: see the package."""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from performance._report import ROOT, system, versions
from performance.lab_gpu._bench import SMALL, Bench, Scale
from performance.lab_gpu._kill import kill
from performance.lab_gpu._memory import executor, memory
from performance.lab_gpu._models import CORES
from performance.lab_gpu._precision import precision
from performance.lab_gpu._runner import runner, stored
from performance.lab_gpu._speed import large, tiny

PARTS: Mapping[str, Callable[[Bench], str]] = {
    each.__name__: each for each in (precision, large, tiny, runner, kill, stored, executor, memory)
}
"""In the order in which they are measured."""
LIBRARIES = ("emergecast", "torch", "transformers", "accelerate", "peft", "lm-eval", "numpy")
RESULTS = ROOT / "performance" / "results" / "lab_gpu.md"


def main() -> None:
    """Measure part after part, and write down what was found."""
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            scale=SMALL if options.small else Scale(),
            scratch=Path(scratch),
            workers=options.workers,
            preset=options.preset,
            ground=options.ground,
        )
        sections = {name: _section(name, bench) for name in options.parts}
    if options.write:
        where = "--ground GROUND" if options.ground else f"--preset {options.preset}"
        _write(sections, f"{where} --workers {options.workers}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="performance.lab_gpu", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which ones, with commas between")
    parser.add_argument("--preset", default="smoke", help="of the proving ground")
    parser.add_argument("--ground", type=Path, help="a proving ground made before")
    parser.add_argument("--workers", type=int, default=4, help="that share the GPU")
    parser.add_argument("--small", action="store_true", help="try the parts out, even on a CPU")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}. There are {', '.join(PARTS)}.")
    if options.small and options.write:
        parser.error("--small measures nothing that should be written down. Leave out --write.")
    if not (options.small or torch.cuda.is_available()):
        parser.error("torch finds no GPU here. Use a machine with one, or try it out with --small.")
    return options


def _section(name: str, bench: Bench) -> str:
    """A part as a section of the page; where it failed, the section says so."""
    began = time.perf_counter()
    try:
        text = PARTS[name](bench)
    except Exception as error:  # noqa: BLE001  the other parts count too
        traceback.print_exc()
        text = f"FAILED: {type(error).__name__}: {str(error)[:300]}"
    gc.collect()
    torch.cuda.empty_cache()
    section = f"## {name}\n\n{text}\n\nTook {time.perf_counter() - began:.0f} s."
    print(f"{section}\n", flush=True)
    return section


def _write(sections: Mapping[str, str], how: str) -> None:
    """Write the page; with some parts only, the other ones and the head stay as they were."""
    command = f"`python -m performance.lab_gpu {how} --parts {','.join(sections)} --write`"
    head = f"# lab_gpu\n\n{_machine()}\n\n{command}"
    if len(sections) < len(PARTS) and RESULTS.is_file():
        head, *old = RESULTS.read_text(encoding="utf-8").split("\n## ")
        kept = {each.partition("\n")[0]: f"## {each.strip()}" for each in old}
        note = f"Measured by itself: {command}. {_machine()}"
        sections = kept | {name: f"{text}\n\n{note}" for name, text in sections.items()}
    page = [head.strip(), *(sections[name] for name in PARTS if name in sections)]
    RESULTS.write_text("\n\n".join(page) + "\n", encoding="utf-8")


def _machine() -> str:
    """The machine, the versions, the day."""
    return (
        f"One {torch.cuda.get_device_name()}, {CORES} cores of {system()}; {versions(LIBRARIES)},"
        f" CUDA {torch.version.cuda}; {dt.datetime.now(tz=dt.UTC).date()}."
    )


if __name__ == "__main__":
    main()

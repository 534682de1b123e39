"""What the parts share: how much is measured, a scratch folder, and one proving ground."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from performance.kill import EMERGECAST, copy_of
from performance.lab_gpu import _experiments


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    layers: int = 16
    """Of the large model."""
    width: int = 2048
    """Of the large model."""
    items: int = 64
    """Items of four answers that the large model is asked."""
    steps: int = 12
    """Of the large model's finetunings."""
    tiny_sizes: tuple[str, ...] = ("S", "L", "W128")
    tiny_steps: int = 100
    repeats: int = 3
    on_cpu: bool = True
    """Whether the large model is measured on the CPU too."""


SMALL = Scale(
    layers=2, width=256, items=8, steps=4, tiny_sizes=("S",), tiny_steps=20, repeats=1, on_cpu=False
)


@dataclass(kw_only=True)
class Bench:
    """What the parts share."""

    scale: Scale
    scratch: Path
    workers: int
    """Workers on the one GPU, where it is shared."""
    preset: str
    ground: Path | None
    """A proving ground made before."""

    @cached_property
    def experiment(self) -> Path:
        """The proving ground's experiment file; made on the CPU where there is none."""
        folder = self.ground or self.scratch / "ground"
        if self.ground is None:
            making = [*EMERGECAST, "proving-ground", str(folder), "--preset", self.preset]
            subprocess.run(making, env=_experiments.environment(gpu=False), check=True)
        return folder / "experiment.yaml"

    def copy(self, name: str) -> Path:
        """The experiment file of a copy without results."""
        return copy_of(self.experiment, self.scratch / name)

    @cached_property
    def shared(self) -> tuple[Path, float]:
        """The proving ground measured by several workers on one GPU, and the seconds it took."""
        file = self.copy("shared")
        return file, _experiments.run(file, gpu=True, workers=self.workers)

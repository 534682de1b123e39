"""Parameters, tokens and FLOPs: the third from two, or counted from an architecture.

It refuses an architecture that it cannot count rather than assume one.
"""

from __future__ import annotations

from emergecast.scaling.counting._architecture import Architecture, ParamCount
from emergecast.scaling.counting._flops import Counting, FlopCount, architecture_flops
from emergecast.scaling.counting._model_config import read_architecture
from emergecast.scaling.counting._resources import (
    CPU_FLOPS_PER_SECOND,
    FLOPS_PER_PARAM_AND_TOKEN,
    FORWARD_FLOPS_PER_PARAM_AND_TOKEN,
    GPU_FLOPS_PER_SECOND,
    Resource,
    complete_amounts,
    training_flops,
)

__all__ = [
    "CPU_FLOPS_PER_SECOND",
    "FLOPS_PER_PARAM_AND_TOKEN",
    "FORWARD_FLOPS_PER_PARAM_AND_TOKEN",
    "GPU_FLOPS_PER_SECOND",
    "Architecture",
    "Counting",
    "FlopCount",
    "ParamCount",
    "Resource",
    "architecture_flops",
    "complete_amounts",
    "read_architecture",
    "training_flops",
]

"""The proving ground's own tiny transformer, registered with transformers.

A plain transformer of this size stays at chance on in-context exercises for the whole of a
minutes-long pretraining; with each head's key a learned mix of this token's and the last one's
(Olsson et al. 2022, arXiv 2209.11895, "smeared keys") it learns them within a few hundred steps.
Importing this room registers the architecture with `AutoConfig` and `AutoModelForCausalLM`, so that
its folders load without remote code. It refuses sequences beyond its maximum length.
"""

from __future__ import annotations

from emergecast.lab.architecture._config import SmearedKeysConfig
from emergecast.lab.architecture._model import SmearedKeysForCausalLM

__all__ = [
    "SmearedKeysConfig",
    "SmearedKeysForCausalLM",
]

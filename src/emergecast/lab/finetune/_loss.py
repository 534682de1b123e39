"""Stop a training whose loss is not a number."""

from __future__ import annotations

import math

from emergecast.errors import LabError


def check_loss(loss: float, step: int, method_rate: float) -> None:
    """Refuse a loss that is not a finite number.

    Raises:
        LabError: It is not finite.
    """
    if not math.isfinite(loss):
        raise LabError(
            f"the training loss is {loss} after {step} steps of finetuning, so this run has no"
            f" score. Lower its learning rate, {method_rate:g}, or lengthen its warmup."
        )

"""The loss on examples that are held out, and the weights at which it was lowest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from emergecast.errors import LabError
from emergecast.lab.finetune._batches import IGNORED, Examples
from emergecast.lab.finetune._method import EarlyStopping


class NoLossError(LabError):
    """The loss of a training is not a number, so that there is nothing to measure."""


_FILE: Final = "lowest.pt"
"""In a training checkpoint."""


class LowestLoss:
    """Looks at the held-out loss from time to time, and keeps the weights where it was lowest."""

    def __init__(self, model: Any, examples: Examples, how: EarlyStopping, *, rows: int) -> None:  # noqa: ANN401  PEFT's or transformers' model
        """Take the model that is trained; `rows` examples go through it at a time."""
        self.loss = math.inf
        """The lowest so far, nats per token of the completions."""
        self.step = 0
        """Steps after which it was so."""
        self._model = model
        self._examples = examples
        self._how = how
        self._rows = rows
        self._waited = 0
        self._weights: dict[str, Tensor] = {}

    def look(self, step: int, last: int) -> bool:
        """Look at the loss after a step, when it is time; whether the training is to end."""
        if step % self._how.every_steps and step != last:
            return False
        loss = completion_loss(self._model, self._examples, rows=self._rows)
        if not loss < self.loss:
            self._waited += 1
            return self._waited >= self._how.patience
        self.loss, self.step, self._waited = loss, step, 0
        weights = {} if step == last else self._trained()  # at the end they are in place
        self._weights = {name: each.detach().cpu().clone() for name, each in weights.items()}
        return False

    def restore(self) -> None:
        """Put the weights back at which the loss was lowest.

        Raises:
            NoLossError: It never was a number.
        """
        if not self.step:
            raise NoLossError(
                "the loss on what is held out is not a number, so this run has no score. Lower"
                " its learning rate, or lengthen its warmup."
            )
        trained = self._trained()
        with torch.no_grad():
            for name, value in self._weights.items():
                trained[name].copy_(value)

    def save(self, folder: Path) -> None:
        """Write down what was found so far."""
        state = {"loss": self.loss, "step": self.step, "waited": self._waited}
        torch.save(state | {"weights": self._weights}, folder / _FILE)

    def load(self, folder: Path) -> None:
        """Go on from what was written down."""
        state = torch.load(folder / _FILE, weights_only=True)
        self.loss, self.step, self._waited = state["loss"], state["step"], state["waited"]
        self._weights = state["weights"]

    def _trained(self) -> dict[str, Tensor]:
        named = self._model.named_parameters()
        return {name: each for name, each in named if each.requires_grad}


def completion_loss(model: Any, examples: Examples, *, rows: int) -> float:  # noqa: ANN401  as above
    """Mean loss over the tokens of all completions, in nats; the model is left as it was."""
    trains = model.training
    model.eval()
    total, tokens = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(examples), rows):
            batch = examples.__getitems__([*range(start, min(start + rows, len(examples)))])
            count = int((batch["labels"][:, 1:] != IGNORED).sum())
            loss = model(**{name: each.to(model.device) for name, each in batch.items()}).loss
            total, tokens = total + float(loss) * count, tokens + count
    model.train(trains)
    return total / tokens

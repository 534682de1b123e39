"""transformers' Trainer without what tiny models spend most of their time on."""

from __future__ import annotations

import math
import time
from typing import Any

from torch import Tensor, nn
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from emergecast.lab.finetune._batches import Examples, as_it_is
from emergecast.lab.finetune._held_out import LowestLoss, NoLossError
from emergecast.lab.finetune._saved import WHOLE
from emergecast.lab.finetune._session import Session


class LeanTrainer(Trainer):
    """A Trainer that hands over whole batches, checks every loss, and saves by the clock."""

    def __init__(self, model: nn.Module, examples: Examples, args: TrainingArguments) -> None:
        super().__init__(
            model=model,
            args=args,
            train_dataset=examples,
            data_collator=as_it_is,
            callbacks=[_ReportAndSave(self)],
        )
        self.remove_callback(PrinterCallback)
        self.session = Session()
        self.lowest: LowestLoss | None = None
        self.last_loss = float("nan")
        self._summed = -1

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Train on one batch, or a part of it, and keep its loss.

        Raises:
            NoLossError: The loss is not a number.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self.state.global_step != self._summed:
            self._summed, self.last_loss = self.state.global_step, 0.0
        self.last_loss += float(loss)
        if not math.isfinite(self.last_loss):
            raise NoLossError(
                f"the training loss is {self.last_loss} after {self.state.global_step} steps of"
                " finetuning, so this run has no score. Lower its learning rate,"
                f" {self.args.learning_rate:g}, or lengthen its warmup."
            )
        return loss


class _ReportAndSave(TrainerCallback):
    """Reports each step, saves when it is time, and marks what was saved to the end."""

    def __init__(self, trainer: LeanTrainer) -> None:
        self._trainer = trainer
        self._saved = time.monotonic()

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  as transformers calls it
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401  whatever transformers adds
    ) -> None:
        """Report the step; end, or ask for a training checkpoint, when it is time."""
        session = self._trainer.session
        if session.on_step is not None:
            session.on_step(state.global_step, self._trainer.last_loss)
        lowest = self._trainer.lowest
        if lowest is not None and lowest.look(state.global_step, state.max_steps):
            control.should_training_stop = True
            return
        every = session.save_every_seconds
        if every is None or session.folder is None or state.global_step >= state.max_steps:
            return
        if time.monotonic() - self._saved >= every:
            control.should_save = True
            self._saved = time.monotonic()

    def on_save(
        self,
        args: TrainingArguments,  # noqa: ARG002  as above
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  as above
        **_: Any,  # noqa: ANN401  whatever transformers adds
    ) -> None:
        """Mark the training checkpoint as whole."""
        folder = self._trainer.session.folder
        if folder is not None:
            saved = folder / f"checkpoint-{state.global_step}"
            if self._trainer.lowest is not None:
                self._trainer.lowest.save(saved)
            (saved / WHOLE).touch()

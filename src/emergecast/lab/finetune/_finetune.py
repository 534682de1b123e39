"""Finetune one model with transformers' Trainer."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from emergecast.errors import LabError
from emergecast.lab.evaluate import max_length
from emergecast.lab.finetune._adapters import with_adapters
from emergecast.lab.finetune._method import (
    FEWEST_TOKENS,
    EarlyStopping,
    FinetuneMethod,
    Schedule,
)
from emergecast.lab.finetune._saved import last_whole_checkpoint, step_of
from emergecast.lab.finetune._session import Session, Tracker
from emergecast.lab.tasks import encode_pairs
from emergecast.measurements import MethodKind

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.finetune._batches import Examples
    from emergecast.lab.finetune._held_out import LowestLoss
    from emergecast.lab.finetune._trainer import LeanTrainer
    from emergecast.lab.tasks import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Settings of a sweep, and what they came to."""

    steps: int
    learning_rate: float
    held_out_loss: float | None
    """Nats per token of the completions; None where the training had no loss that is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """A finetuned model and what it took."""

    model: PreTrainedModel
    """In evaluation mode and the precision it came in; with its adapters or its prefix where the
    method has some."""
    method: FinetuneMethod
    """How, with the settings that were chosen."""
    steps: int
    """Optimiser steps behind the weights, those before an interruption included."""
    last_step: int
    """The step with which training ended; above `steps` where the weights of an earlier one were
    better on what was held out."""
    resumed_from: int
    """Steps that an interrupted run had done already; 0 for a run from the start."""
    seconds: float
    """Of this run, without what an interrupted one took."""
    final_loss: float
    """Training loss of the last step, nats per token of the completions."""
    held_out_loss: float | None = None
    """The same of these weights on the examples that were held out; None where none were."""
    tried: tuple[Tried, ...] = ()
    """What the sweep found; empty without one."""


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    method: FinetuneMethod,
    *,
    seed: int,
    session: Session | None = None,
) -> Finetuned:
    """Finetune this model, not a copy of it, on these examples, with settings that are stated.

    Weights stored in 16 bits are trained in 32, since small steps would be rounded away, with the
    arithmetic in bfloat16 on a GPU that knows it; adapters are in 32 bits anyway.

    Args:
        model: The checkpoint as loaded.
        tokenizer: Its tokenizer.
        pairs: The examples, each seen as often as the steps allow, but for those held out.
        method: How.
        seed: Decides the order of the examples, adapters at the start, and dropout.
        session: Where training checkpoints go, whether to resume, who is notified.

    Raises:
        LabError: The loss is no longer a number, an example cannot be tokenised, the model takes
            no prefix, or a tracker is not installed.
    """
    from transformers import set_seed

    from emergecast.lab.finetune._batches import examples_of

    session = session or Session()
    _freeze_existing_objects()
    longest = room(model, method)
    trained_on, held = method.split(pairs)
    examples = examples_of(trained_on, tokenizer, longest=longest)
    held_out = examples_of(held, tokenizer, longest=longest) if held else None
    set_seed(seed)
    if not method.train_embeddings:
        model.get_input_embeddings().requires_grad_(requires_grad=False)
    mixed = model.dtype.itemsize < _FULL_BYTES
    widened = _widen(model) if mixed and method.parsed.kind is MethodKind.FULL else {}
    trained = with_adapters(model, method, examples.text)
    scratch = nullcontext(session.folder) if session.folder else tempfile.TemporaryDirectory()
    bf16, use_cpu = mixed and _knows_bf16(model), model.device.type == "cpu"
    with scratch as folder:
        arguments = _arguments(
            method, session, seed=seed, folder=str(folder), bf16=bf16, use_cpu=use_cpu
        )
        trainer = _trainer(trained, examples, arguments, session)
        trainer.lowest = _lowest(trained, held_out, method, session)
        done = _train(trainer, method, session)
    _narrow(model, widened)
    del trainer  # a reference cycle that holds the optimiser: twice the weights
    gc.collect()
    trained.eval()
    return done


def _trainer(trained: Any, examples: Examples, arguments: Any, session: Session) -> LeanTrainer:  # noqa: ANN401  as `with_adapters` and `_arguments` return them
    from emergecast.lab.finetune._trainer import LeanTrainer

    try:
        trainer = LeanTrainer(trained, examples, arguments)
    except (ImportError, RuntimeError, ValueError) as error:
        if not session.trackers:
            raise
        raise LabError(
            f"tracker {', '.join(session.trackers)} cannot be used: {error}. Install it, or"
            " leave it out."
        ) from error
    trainer.session = session
    return trainer


def _lowest(
    trained: Any,  # noqa: ANN401  as above
    held_out: Examples | None,
    method: FinetuneMethod,
    session: Session,
) -> LowestLoss | None:
    """What looks at the examples held out, at the end at least; None where none are."""
    from emergecast.lab.finetune._held_out import LowestLoss

    if held_out is None:
        return None
    how = method.early_stopping or EarlyStopping(patience=1, every_steps=method.steps)
    return LowestLoss(trained, held_out, how, rows=micro_batch(method, session))


def _train(trainer: LeanTrainer, method: FinetuneMethod, session: Session) -> Finetuned:
    """Train, from the last whole training checkpoint where there is one to resume from."""
    start = time.perf_counter()
    before = last_whole_checkpoint(session.folder) if session.resume else None
    trained: Any = trainer.model
    lowest = trainer.lowest
    if before is not None and lowest is not None:
        lowest.load(before)
    try:
        trainer.train(resume_from_checkpoint=None if before is None else str(before))
    finally:
        _end_tracking(session)
        _unwrap(trained)
    if lowest is not None:
        lowest.restore()
    return Finetuned(
        model=trained,
        method=method,
        steps=trainer.state.global_step if lowest is None else lowest.step,
        last_step=trainer.state.global_step,
        resumed_from=0 if before is None else step_of(before),
        seconds=time.perf_counter() - start,
        final_loss=trainer.last_loss,
        held_out_loss=None if lowest is None else lowest.loss,
    )


def _widen(model: PreTrainedModel) -> dict[str, torch.dtype]:
    """Put the weights into 32 bits; the names and types of those that were not.

    A model of 16 bits keeps some numbers in 32, such as the frequencies of its rotary positions;
    they are left alone, since in 16 bits they would be rounded.
    """
    tensors = chain(model.named_parameters(), model.named_buffers())
    narrow = {
        name: tensor.dtype
        for name, tensor in tensors
        if tensor.is_floating_point() and tensor.dtype.itemsize < _FULL_BYTES
    }
    model.float()
    return narrow


def _narrow(model: PreTrainedModel, widened: Mapping[str, torch.dtype]) -> None:
    """Put what `_widen` widened back into its type."""
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if name in widened:
            tensor.data = tensor.data.to(widened[name])


def _unwrap(trained: Any) -> None:  # noqa: ANN401  PEFT's or transformers' model
    """Take off the mixed precision that accelerate leaves around a model's `forward`.

    It would evaluate in another precision than the checkpoint itself, and, since it points back at
    the model, keep the weights in memory until the next garbage collection.
    """
    if vars(trained).pop("_original_forward", None) is not None:
        del trained.forward


def _end_tracking(session: Session) -> None:
    """Make the next finetuning of this process a separate run: for W&B the Trainer does not."""
    if Tracker.WANDB in session.trackers and "wandb" in sys.modules:
        sys.modules["wandb"].finish()


@lru_cache(maxsize=1)
def _freeze_existing_objects() -> None:
    """Exempt what exists before the first finetuning from garbage collection.

    A finetuning begins and ends with a full collection, to free memory; over the hundreds of
    thousands of objects of the libraries that takes longer than finetuning a tiny model. They stay
    as long as the process anyway; what comes later is collected as usual.
    """
    import emergecast.lab.finetune._trainer  # noqa: F401  loads the most of them

    gc.collect()
    gc.freeze()


def tokens_of(pair: Pair, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of an example, its end token among them."""
    ((context, completion),) = encode_pairs([(pair.prompt, pair.completion)], tokenizer)
    ends = pair.ends and tokenizer.eos_token_id is not None
    return len(context) + len(completion) + int(ends)


def room(model: PreTrainedModel, method: FinetuneMethod) -> int:
    """Tokens of an example at most: what the model takes, less its prefix.

    Raises:
        LabError: The prefix leaves no room.
    """
    kind, size = method.parsed
    longest = max_length(model)
    left = longest - (size or 0) if kind is MethodKind.PREFIX else longest
    if left < FEWEST_TOKENS:
        raise LabError(
            f"{method.name} leaves no room for text in a model that takes {longest:,} tokens."
            " Take a shorter prefix."
        )
    return left


_FULL_BYTES: Final = 4
"""Bytes of a number in full precision."""
_TRACKED_LOSSES: Final = 50
"""Losses that a tracker is sent of a finetuning, or one a step where that is less."""
_SCHEDULERS: Final = {
    Schedule.LINEAR: "linear",
    Schedule.COSINE: "cosine",
    Schedule.CONSTANT: "constant_with_warmup",
}
"""What transformers calls the schedules; all of them after the warmup."""


def _knows_bf16(model: PreTrainedModel) -> bool:
    import torch

    return model.device.type == "cuda" and torch.cuda.is_bf16_supported()


def micro_batch(method: FinetuneMethod, session: Session) -> int:
    """Examples that go through the model at once: the most that divide the batch."""
    most = min(session.micro_batch_size or method.batch_size, method.batch_size)
    return next(size for size in range(most, 0, -1) if method.batch_size % size == 0)


def _arguments(
    method: FinetuneMethod,
    session: Session,
    *,
    seed: int,
    folder: str,
    bf16: bool,
    use_cpu: bool,
) -> Any:  # noqa: ANN401  transformers' own record
    """The Trainer's settings; without `use_cpu` it takes every model to the GPU there is."""
    from transformers import TrainingArguments

    at_a_time = micro_batch(method, session)
    return TrainingArguments(
        output_dir=folder,
        max_steps=method.steps,
        per_device_train_batch_size=at_a_time,
        gradient_accumulation_steps=method.batch_size // at_a_time,
        bf16=bf16,
        use_cpu=use_cpu,
        learning_rate=method.learning_rate,
        lr_scheduler_type=_SCHEDULERS[method.schedule],
        warmup_steps=method.warmup_steps,
        weight_decay=method.weight_decay,
        max_grad_norm=method.max_grad_norm or 0.0,
        optim="adamw_torch_fused",
        seed=seed,
        data_seed=seed,
        save_strategy="no",
        save_total_limit=2,
        logging_strategy="steps" if session.trackers else "no",
        logging_steps=max(1, method.steps // _TRACKED_LOSSES),
        report_to=[str(tracker) for tracker in session.trackers],
        run_name=session.title,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )

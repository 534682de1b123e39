"""Load a checkpoint as a transformers model, and refuse one that is not complete."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import Checkpoint, folder_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Loaded(NamedTuple):
    """A model in memory and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load(
    checkpoint: Checkpoint, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> Loaded:
    """The model in evaluation mode, and its tokenizer.

    Args:
        checkpoint: Which one.
        device: Where the model goes.
        dtype: Type of its weights; the one they are stored in where None.

    Raises:
        LabError: It cannot be loaded, or some weights are missing, unused or of another shape:
            transformers would fill them with random numbers and go on.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import emergecast.lab.architecture  # noqa: F401  registers the architecture

    folder = folder_of(checkpoint)
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            found: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="auto" if dtype is None else dtype,
                local_files_only=True,
                output_loading_info=True,
            )
            model, info = found
    except Exception as error:
        # transformers raises OSError, ValueError, KeyError, SafetensorError, ... for a bad folder.
        raise LabError(
            f'checkpoint "{checkpoint.name}" in "{folder}" cannot be loaded:'
            f" {type(error).__name__}: {_first_line(error)}. Check that the folder is complete and"
            " that transformers knows its architecture."
        ) from error
    for kind, what in (
        ("missing_keys", "lacks weights that the model needs"),
        ("unexpected_keys", "holds weights that the model does not use"),
        ("mismatched_keys", "holds weights whose shape differs from the model's"),
    ):
        if names := sorted(str(name) for name in info[kind]):
            raise LabError(
                f'checkpoint "{checkpoint.name}" in "{folder}" {what}: {len(names)} of them, such'
                f' as "{names[0]}". Its config.json does not belong to its weights.'
            )
    return Loaded(model=model.to(device).eval(), tokenizer=tokenizer)


def copy_model(model: PreTrainedModel, device: str = "cpu") -> PreTrainedModel:
    """A model of its own with the same weights to the last bit, on a device."""
    import torch

    memo: dict[int, Any] = {
        id(each): torch.nn.Parameter(each.detach().to(device, copy=True), each.requires_grad)
        for each in model.parameters()
    }
    memo |= {id(each): each.to(device, copy=True) for each in model.buffers()}
    return copy.deepcopy(model, memo)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar per model: there are hundreds of them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
